"""A process whose system calls to the file system wait for leave: seen, refused, cut.

`supervise(work, judge)` runs `work` in a child. Whenever the child, or a process that
it started, is about to change or sync a file, it is stopped and `judge(call)` is asked.
At that moment the disk is what it would be if the child were killed there. This sees
what SQLite and the C library do, too, which no hook inside of Python does.

It is `seccomp_unotify(2)`; no privilege is needed.
"""

from __future__ import annotations

import array
import ctypes
import errno
import fcntl
import os
import platform
import select
import signal
import socket
import struct
from dataclasses import dataclass
from functools import cached_property, partial
from random import Random
from typing import TYPE_CHECKING, Final, TypeAlias

from support.processes import fork, wait

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def _table(text: str) -> dict[str, int]:
    """Names and numbers of system calls, each name before its number."""
    words = text.split()
    return dict(zip(words[::2], map(int, words[1::2]), strict=True))


_NUMBERS: Final = {
    "x86_64": _table(
        "write 1 open 2 ioctl 16 pwrite64 18 writev 20 sendfile 40 fsync 74"
        " fdatasync 75 truncate 76 ftruncate 77 rename 82 mkdir 83 rmdir 84 creat 85"
        " link 86 unlink 87 symlink 88 chmod 90 fchmod 91 sync 162 openat 257"
        " mkdirat 258 unlinkat 263 renameat 264 linkat 265 symlinkat 266 fchmodat 268"
        " utimensat 280 fallocate 285 pwritev 296 syncfs 306 renameat2 316"
        " copy_file_range 326 pwritev2 328 fchmodat2 452"
    ),
    "aarch64": _table(
        "ioctl 29 mkdirat 34 unlinkat 35 symlinkat 36 linkat 37 renameat 38"
        " truncate 45 ftruncate 46 fallocate 47 fchmod 52 fchmodat 53 openat 56"
        " write 64 writev 66 pwrite64 68 pwritev 70 sendfile 71 sync 81 fsync 82"
        " fdatasync 83 utimensat 88 syncfs 267 renameat2 276 copy_file_range 285"
        " pwritev2 287 fchmodat2 452"
    ),
}
_AUDIT: Final = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
_SECCOMP: Final = {"x86_64": 317, "aarch64": 277}

_OPENS: Final = {"open": 1, "openat": 2}
"""Calls that matter only with certain flags, and which argument holds these."""
_CHANGING_FLAGS: Final = os.O_CREAT | os.O_TRUNC
_CLONES: Final = (0x40049409, 0x4020940D)
"""`ioctl` requests that share the blocks of one file with another."""

_PLAIN, _BELOW = (None, 0), (0, 1)
_BY_PATH: Final[dict[str, tuple[tuple[int | None, int], ...]]] = {
    # The arguments that are paths, each after that of the folder it is relative to.
    **dict.fromkeys(("open", "truncate", "mkdir", "rmdir", "creat"), (_PLAIN,)),
    **dict.fromkeys(("unlink", "chmod"), (_PLAIN,)),
    **dict.fromkeys(("rename", "link"), (_PLAIN, (None, 1))),
    **dict.fromkeys(("openat", "mkdirat", "unlinkat", "fchmodat"), (_BELOW,)),
    **dict.fromkeys(("utimensat", "fchmodat2"), (_BELOW,)),
    **dict.fromkeys(("renameat", "renameat2", "linkat"), (_BELOW, (2, 3))),
    "symlink": ((None, 1),),
    "symlinkat": ((1, 2),),
}
_BY_DESCRIPTOR: Final = {
    **dict.fromkeys(("write", "pwrite64", "writev", "pwritev", "pwritev2"), 0),
    **dict.fromkeys(("fsync", "fdatasync", "syncfs", "ftruncate", "fchmod"), 0),
    **dict.fromkeys(("fallocate", "sendfile", "ioctl"), 0),
    "copy_file_range": 2,
}
SYNCS: Final = ("fsync", "fdatasync", "syncfs", "sync")
GROWING: Final = frozenset(
    (
        *(
            "write",
            "pwrite64",
            "writev",
            "pwritev",
            "pwritev2",
            "fallocate",
            "sendfile",
        ),
        *(
            "copy_file_range",
            "open",
            "openat",
            "creat",
            "mkdir",
            "mkdirat",
            "ftruncate",
        ),
        *("symlink", "symlinkat", "link", "linkat", "rename", "renameat", "renameat2"),
    )
)
"""Calls that need space, if only for a folder's entry."""
CHANGING: Final = frozenset(_BY_PATH) | frozenset(_BY_DESCRIPTOR)
"""Calls that change something, or sync it."""

_AT_FDCWD: Final = -100
_CONTINUE: Final = 1
_RECEIVE, _SEND = 0xC0502100, 0xC0182101


@dataclass(frozen=True)
class Call:
    """A system call that is about to happen."""

    name: str
    thread: int
    arguments: tuple[int, ...]

    @cached_property
    def paths(self) -> tuple[bytes, ...]:
        """The files that it changes or syncs, absolute."""
        if self.name in _BY_DESCRIPTOR:
            return (self._opened(self.arguments[_BY_DESCRIPTOR[self.name]]),)
        return tuple(
            self._resolved(folder, path) for folder, path in _BY_PATH.get(self.name, ())
        )

    @property
    def descriptor(self) -> int:
        """The open file that it is about, -1 if it names a path."""
        place = _BY_DESCRIPTOR.get(self.name)
        return -1 if place is None else self.arguments[place]

    def memory(self, address: int, size: int) -> bytes:
        """What the process has at an address."""
        with open(f"/proc/{self.thread}/mem", "rb", buffering=0) as memory:
            memory.seek(address)
            return memory.read(size)

    def __str__(self) -> str:
        return f"{self.name}({', '.join(os.fsdecode(path) for path in self.paths)})"

    def _resolved(self, folder: int | None, path: int) -> bytes:
        text = self._text(self.arguments[path])
        if folder is None:
            base = os.readlink(f"/proc/{self.thread}/cwd".encode())
        else:
            base = self._opened(self.arguments[folder])
        return os.path.normpath(os.path.join(base, text)) if text else base

    def _opened(self, number: int) -> bytes:
        number = ctypes.c_int(number).value
        place = "cwd" if number == _AT_FDCWD else f"fd/{number}"
        try:
            return os.readlink(f"/proc/{self.thread}/{place}".encode())
        except OSError:
            return b""

    def _text(self, address: int) -> bytes:
        found = b""
        while address and b"\0" not in found:
            page = 4096 - (address + len(found)) % 4096
            found += self.memory(address + len(found), page)
        return found.partition(b"\0")[0]


@dataclass(frozen=True)
class Kill:
    """The judgement that the process dies here."""


@dataclass(frozen=True)
class Fail:
    """The judgement that the call fails, with this number of `errno`."""

    number: int


@dataclass(frozen=True)
class Shorten:
    """The judgement that a `write` takes only so many bytes."""

    count: int


Judgement: TypeAlias = Kill | Fail | Shorten | None


def concerns(call: Call, folder: Path) -> bool:
    """Whether a call is about something in a folder, or the folder itself."""
    top = os.fsencode(folder)
    return call.name == "sync" or any(
        path == top or path.startswith(top + b"/") for path in call.paths
    )


def supervision() -> str | None:
    """Why no process can be supervised here; None if it can."""
    if platform.machine() not in _NUMBERS:
        return f"system calls of {platform.machine()} are not known here"
    try:
        done = supervise(_try_it, lambda call: Fail(errno.EXDEV))
    except OSError as error:
        return f"system calls cannot be supervised: {error}"
    return None if done == 0 else "system calls cannot be supervised"


def _try_it() -> None:
    try:
        os.rename("/nowhere", "/nothing")
    except OSError as error:
        if error.errno == errno.EXDEV:
            return
    os._exit(1)


def supervise(
    work: Callable[[], None], judge: Callable[[Call], Judgement], *, seed: int = 0
) -> int:
    """Run `work` in a child, `judge` beside it; how the child ended, as `wait` says.

    The child waits for each judgement. With `None` its call goes on as it was. If it
    starts processes, the `seed` decides which of them goes on when several could.
    """
    ours, theirs = socket.socketpair()
    with ours, theirs:
        child = fork(partial(_supervised, theirs, work))
        theirs.close()
        descriptors = array.array("i")
        _, extra, _, _ = ours.recvmsg(1, socket.CMSG_SPACE(descriptors.itemsize))
        for _, _, content in extra:
            descriptors.frombytes(content[: descriptors.itemsize])
        if descriptors:
            try:
                _attend(descriptors[0], child, judge, Random(seed))
            except BaseException:
                os.kill(child, signal.SIGKILL)
                raise
            finally:
                os.close(descriptors[0])
                code = wait(child)
            return code
        wait(child)
        raise OSError(errno.ENOSYS, "no supervision of system calls")


def _attend(
    listener: int, child: int, judge: Callable[[Call], Judgement], chance: Random
) -> None:
    """Let one process go on at a time, up to its next call: nothing else happens then.

    Which one is up to `chance`, and to that alone: every run is the same.
    """
    poll = select.poll()
    poll.register(listener, select.POLLIN)
    waiting: dict[int, tuple[int, Call]] = {}
    running = child
    while True:
        settled = running in waiting or _sleeps(running)
        ready = poll.poll(0 if settled and waiting else 1)
        if ready and not ready[0][1] & select.POLLIN:
            return
        if ready:
            received = _receive(listener)
            if received is not None:
                waiting[received[1].thread] = received
        elif settled and waiting:
            running = chance.choice(sorted(waiting))
            number, call = waiting.pop(running)
            judgement = judge(call)
            if isinstance(judgement, Kill):
                os.kill(child, signal.SIGKILL)
                return
            _answer(listener, number, call, judgement)


def _sleeps(thread: int) -> bool:
    """Whether a process waits for another one, or has ended."""
    try:
        with open(f"/proc/{thread}/stat", "rb") as status:
            return status.read().rpartition(b") ")[2][:1] in b"SZX"
    except OSError:
        return True


def _receive(listener: int) -> tuple[int, Call] | None:
    names = {number: name for name, number in _NUMBERS[platform.machine()].items()}
    request = bytearray(80)
    try:
        fcntl.ioctl(listener, _RECEIVE, request)
    except OSError as error:
        if error.errno == errno.ENOENT:  # it was killed meanwhile
            return None
        raise
    number, thread, _, call, _, _, *arguments = struct.unpack("<QIIiIQ6Q", request)
    return number, Call(names[call], thread, tuple(arguments))


def _answer(
    listener: int, number: int, call: Call, judgement: Fail | Shorten | None
) -> None:
    match judgement:
        case None:
            answer = struct.pack("<QqiI", number, 0, 0, _CONTINUE)
        case Fail(reason):
            answer = struct.pack("<QqiI", number, 0, -reason, 0)
        case Shorten(count):
            done = _write_part(call, count)
            answer = struct.pack("<QqiI", number, done, 0, 0)
    try:
        fcntl.ioctl(listener, _SEND, answer)
    except OSError as error:
        if error.errno != errno.ENOENT:  # it was killed meanwhile
            raise


def _write_part(call: Call, count: int) -> int:
    """Do the beginning of a `write` in the place of the process."""
    libc = ctypes.CDLL(None, use_errno=True)
    process = os.pidfd_open(call.thread)
    try:
        # 438 is `pidfd_getfd` on all architectures: the same open file, offset and all.
        opened = libc.syscall(438, process, call.arguments[0], 0)
    finally:
        os.close(process)
    if opened < 0:
        raise OSError(ctypes.get_errno(), "no access to the open files of a process")
    try:
        content = call.memory(call.arguments[1], min(count, call.arguments[2]))
        if call.name == "pwrite64":
            return os.pwrite(opened, content, call.arguments[3])
        return os.write(opened, content)
    finally:
        os.close(opened)


def _supervised(to_parent: socket.socket, work: Callable[[], None]) -> None:
    machine = platform.machine()
    libc = ctypes.CDLL(None, use_errno=True)
    code = _program(machine)
    content = ctypes.create_string_buffer(code, len(code))

    class Program(ctypes.Structure):
        _fields_ = (("length", ctypes.c_ushort), ("code", ctypes.c_void_p))

    program = Program(len(code) // 8, ctypes.addressof(content))
    # Without new privileges (38) anyone may be supervised.
    libc.prctl(38, 1, 0, 0, 0)
    # Set a filter (1), and get what hears of it (8).
    listener = libc.syscall(_SECCOMP[machine], 1, 8, ctypes.byref(program))
    if listener < 0:
        to_parent.sendmsg([b"-"])
        return
    descriptors = array.array("i", [listener])
    to_parent.sendmsg(
        [b"+"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, descriptors.tobytes())]
    )
    os.close(listener)
    to_parent.close()
    work()


_LOAD, _EQUAL, _ANY_BIT, _RETURN = 0x20, 0x15, 0x45, 0x06
_ALLOW, _NOTIFY = 0x7FFF0000, 0x7FC00000


def _program(machine: str) -> bytes:
    """The BPF program that picks the calls to be judged."""
    code: list[tuple[int, int, int, int]] = [
        (_LOAD, 0, 0, 4),
        (_EQUAL, 1, 0, _AUDIT[machine]),
        (_RETURN, 0, 0, _ALLOW),
        (_LOAD, 0, 0, 0),
    ]
    for name, number in _NUMBERS[machine].items():
        if name in _OPENS:
            code += [
                (_EQUAL, 0, 4, number),
                (_LOAD, 0, 0, 16 + 8 * _OPENS[name]),
                (_ANY_BIT, 0, 1, _CHANGING_FLAGS),
                (_RETURN, 0, 0, _NOTIFY),
                (_RETURN, 0, 0, _ALLOW),
            ]
        elif name == "ioctl":
            code += [
                (_EQUAL, 0, 5, number),
                (_LOAD, 0, 0, 16 + 8),
                (_EQUAL, 1, 0, _CLONES[0]),
                (_EQUAL, 0, 1, _CLONES[1]),
                (_RETURN, 0, 0, _NOTIFY),
                (_RETURN, 0, 0, _ALLOW),
            ]
        else:
            code += [(_EQUAL, 0, 1, number), (_RETURN, 0, 0, _NOTIFY)]
    code.append((_RETURN, 0, 0, _ALLOW))
    return b"".join(struct.pack("<HBBI", *instruction) for instruction in code)
