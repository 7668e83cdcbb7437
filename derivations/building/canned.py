"""Files that a sandbox shows instead of the machine's own, the same everywhere."""

from __future__ import annotations

from typing import Final

ETC: Final = {
    "/etc/passwd": "root:x:0:0:root:/:/bin/sh\n"
    "fromager:x:1000:100:fromager:/homeless-shelter:/bin/sh\n"
    "nobody:x:65534:65534:nobody:/:/bin/sh\n",
    "/etc/group": "root:x:0:\nusers:x:100:\nnogroup:x:65534:\n",
    "/etc/hosts": "127.0.0.1 localhost\n::1 localhost\n",
    "/etc/nsswitch.conf": "passwd: files\ngroup: files\nhosts: files\n",
}

_RELEASE: Final = "6.1.0"
_MEMORY: Final = """\
MemTotal:       16777216 kB
MemFree:         8388608 kB
MemAvailable:   12582912 kB
Buffers:               0 kB
Cached:          4194304 kB
SwapCached:            0 kB
SwapTotal:             0 kB
SwapFree:              0 kB
"""
_PROCESSORS: Final = {
    # What every processor of the architecture has, and nothing beyond.
    "x86_64": "vendor_id\t: GenuineIntel\ncpu family\t: 6\nmodel\t\t: 15\n"
    "model name\t: x86-64 baseline\nstepping\t: 1\ncpu MHz\t\t: 2000.000\n"
    "flags\t\t: fpu de pse tsc msr pae mce cx8 apic sep mtrr pge mca cmov pat pse36 "
    "clflush mmx fxsr sse sse2 syscall nx lm\n",
    "aarch64": "BogoMIPS\t: 100.00\nFeatures\t: fp asimd\nCPU implementer\t: 0x41\n"
    "CPU architecture: 8\nCPU variant\t: 0x0\nCPU part\t: 0xd03\nCPU revision\t: 0\n",
}


def proc_files(machine: str, cores: int) -> dict[str, str]:
    """What lies over files of `/proc`: a plain machine with as many processors."""
    processor = _PROCESSORS.get(machine, "")
    columns = "0 0 0 0 0 0 0 0 0 0"
    processors = "".join(f"cpu{number} {columns}\n" for number in range(cores))
    return {
        "/proc/cpuinfo": "".join(
            f"processor\t: {number}\n{processor}\n" for number in range(cores)
        ),
        "/proc/meminfo": _MEMORY,
        "/proc/stat": f"cpu  {columns}\n{processors}"
        "ctxt 0\nbtime 315532800\nprocesses 1\nprocs_running 1\nprocs_blocked 0\n",
        "/proc/version": f"Linux version {_RELEASE}\n",
        "/proc/sys/kernel/osrelease": f"{_RELEASE}\n",
        "/proc/sys/kernel/random/boot_id": "00000000-0000-4000-8000-000000000000\n",
    }
