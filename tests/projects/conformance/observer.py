"""A build backend that builds nothing, and reports all that a build can observe."""

import contextlib
import ctypes
import errno
import glob
import grp
import hashlib
import json
import os
import platform
import pwd
import re
import resource
import socket
import subprocess
import sys
import tempfile
import time


def build_wheel(wheel_directory, config_settings=None, metadata_directory=None):
    settings = config_settings or {}
    report = {
        "user": user(),
        "host": host(),
        "process": process(),
        "environment": dict(os.environ),
        "environment of a child": child_environment(),
        "files of /etc": {name: read(f"/etc/{name}") for name in sorted(os.listdir("/etc"))},
        "devices": sorted(os.listdir("/dev")),
        "root": sorted(os.listdir("/")),
        "build folder": sorted(os.listdir("/build")),
        "mounts": mounts(),
        "absent": [path for path in ABSENT if os.path.lexists(path)],
        "processor": {name: digest(f"/proc/{name}") for name in ("cpuinfo", "meminfo", "stat")},
        "kernel texts": {
            name: read(f"/proc/{name}")
            for name in ("version", "sys/kernel/osrelease", "sys/kernel/random/boot_id")
        },
        "processors": [os.cpu_count(), len(os.sched_getaffinity(0))],
        "network": network(int(settings["port"])),
        "refused": refused(),
        "writable": [path for path in PLACES if writes(path)],
        "temporary names": [tempfile.mkdtemp(), tempfile.mkdtemp()],
        "time zone": [time.tzname, time.localtime(0).tm_hour],
        "hashes are random": bool(sys.flags.hash_randomization),
        "modes": modes(),
        "processes": processes(),
    }
    with open(os.path.join(wheel_directory, "report.json"), "w") as file:
        json.dump(report, file)
    return "report.json"


ABSENT = [
    "/homeless-shelter",
    "/home",
    "/opt",
    "/srv",
    "/run",
    "/sys",
    "/boot",
    "/mnt",
    "/media",
    "/usr/sbin",
    "/usr/games",
    "/usr/src",
    "/usr/share/doc",
    "/var/lib",
    "/var/cache",
    "/etc/resolv.conf",
    "/etc/localtime",
    "/etc/machine-id",
    "/etc/ld.so.conf",
    "/etc/hostname",
    "/etc/ssl",
    "/dev/kvm",
    "/dev/fuse",
    "/dev/dri",
    "/dev/console",
    "/usr/bin/git",
    "/usr/bin/cmake",
    "/usr/bin/ninja",
    "/usr/bin/node",
    "/usr/bin/rustc",
    "/usr/bin/curl",
    "/usr/bin/ssh",
    "/fromager/request.json",
    "/build/request.json",
]
PLACES = [
    *("/", "/usr", "/usr/bin", "/usr/include", "/etc", "/env", "/env/bin", "/fromager"),
    *("/dev", "/proc/sys/kernel", "/var", sys.base_prefix, os.path.dirname(os.__file__)),
    *("/build", "/build/src", "/build/out", "/build/tmp", "/tmp", "/var/tmp", "/dev/shm"),
]


def user():
    return {
        "uid": os.getresuid(),
        "gid": os.getresgid(),
        # Groups of the caller cannot be dropped; they have no name and no number here.
        "groups": sorted(set(os.getgroups()) - {65534}),
        "name": pwd.getpwuid(os.getuid()).pw_name,
        "group": grp.getgrgid(os.getgid()).gr_name,
        "home": os.path.expanduser("~"),
    }


def host():
    return {
        "hostname": socket.gethostname(),
        "node": platform.node(),
        "domain": read("/proc/sys/kernel/domainname"),
        "fqdn": socket.getfqdn(),
        "localhost": socket.gethostbyname("localhost"),
    }


def process():
    umask = os.umask(0)
    os.umask(umask)
    status = dict(
        line.split(":\t", 1)
        for line in subprocess.check_output(["cat", "/proc/self/status"], text=True).splitlines()
        if ":\t" in line
    )
    names = ("RLIMIT_CORE", "RLIMIT_STACK", "RLIMIT_NOFILE", "RLIMIT_AS")
    return {
        "cwd": os.getcwd(),
        "umask": oct(umask),
        "terminals": [os.isatty(number) for number in (0, 1, 2)],
        "stdin": os.readlink("/proc/self/fd/0"),
        "descriptors": descriptors(),
        "limits": {name: resource.getrlimit(getattr(resource, name)) for name in names},
        "personality": read("/proc/self/personality"),
        "arguments": sys.argv,
        "path": [
            re.sub(r"python3\.\d+t?", "python3", path)
            for path in sys.path
            if path.startswith(("/build", "/fromager", "/env"))
        ],
        # The C library keeps two signals beyond 31 for itself.
        "ignored signals": hex(int(status["SigIgn"], 16) & 0x7FFFFFFF),
        **{
            name: status.get(name)
            for name in ("NoNewPrivs", "Seccomp", "CapEff", "SigBlk")
        },
    }


def descriptors():
    # Without the one that lists them.
    names = os.listdir("/proc/self/fd")
    return [name for name in names if os.path.lexists(f"/proc/self/fd/{name}")]


def child_environment():
    output = subprocess.check_output(["env", "-0"])
    return sorted(item.decode() for item in output.split(b"\0") if item)


def mounts():
    found = []
    with open("/proc/self/mountinfo") as file:
        for line in file:
            before, after = line.split(" - ")
            fields = before.split()
            kind = after.split()[0]
            options = fields[5].split(",")
            shown = kind if kind in ("tmpfs", "proc", "devpts") else "bind"
            access = "rw" if "rw" in options else "ro"
            found.append([fields[4], shown, access, "nosuid" in options])
    return sorted(found)


def network(port):
    outside = None
    with contextlib.closing(socket.socket()) as client:
        client.settimeout(2)
        outside = errno.errorcode.get(client.connect_ex(("127.0.0.1", port)))
    with contextlib.closing(socket.socket()) as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        with contextlib.closing(socket.create_connection(server.getsockname(), 2)):
            inside = True
    try:
        socket.getaddrinfo("index.example", 443)
        resolves = True
    except OSError:
        resolves = False
    with open("/proc/net/dev") as file:
        interfaces = [line.split(":")[0].strip() for line in file if ":" in line]
    return {
        "a listener outside": outside,
        "a listener inside": inside,
        "names": resolves,
        "interfaces": interfaces,
    }


def refused():
    path = os.path.join(tempfile.gettempdir(), "attempt")
    with open(path, "w"):
        pass
    libc = ctypes.CDLL(None, use_errno=True)
    keyctl = {"x86_64": 250, "aarch64": 219}.get(platform.machine(), -1)
    found = {
        "set an attribute": attempt(os.setxattr, path, "user.a", b"b"),
        "list attributes": attempt(os.listxattr, path),
        "setuid": attempt(os.chmod, path, 0o4755),
        "setgid": attempt(os.chmod, path, 0o2755),
        "a plain mode": attempt(os.chmod, path, 0o755),
        "netlink": attempt(socket.socket, socket.AF_NETLINK, socket.SOCK_RAW, 0),
        "mount": attempt_call(libc, libc.mount, b"none", b"/tmp", b"tmpfs", 0, None),
        "keys": attempt_call(libc, libc.syscall, keyctl, 0, -3, 0),
        "own": attempt(os.chown, path, 0, 0),
    }
    os.unlink(path)
    return found


def attempt(function, *arguments):
    try:
        result = function(*arguments)
    except OSError as error:
        return errno.errorcode[error.errno]
    if isinstance(result, socket.socket):
        result.close()
    return "permitted"


def attempt_call(libc, function, *arguments):
    ctypes.set_errno(0)
    if function(*arguments) < 0:
        return errno.errorcode[ctypes.get_errno()]
    return "permitted"


def writes(folder):
    path = os.path.join(folder, "attempt")
    try:
        with open(path, "w"):
            pass
        os.unlink(path)
    except OSError:
        return False
    return True


def modes():
    path = "/build/tmp/new"
    os.mkdir(path)
    with open(f"{path}/file", "w"):
        pass
    found = [oct(os.stat(p).st_mode) for p in (path, f"{path}/file", "/", "/build", "/build/src", "/build/out", "/build/tmp", "/tmp")]
    os.unlink(f"{path}/file")
    os.rmdir(path)
    return found


def processes():
    found = []
    for path in sorted(glob.glob("/proc/[0-9]*/comm")):
        found.append(read(path))
    return found


def read(path):
    try:
        with open(path) as file:
            return file.read()
    except OSError as error:
        return errno.errorcode[error.errno]


def digest(path):
    return hashlib.sha256(read(path).encode()).hexdigest()[:16]
