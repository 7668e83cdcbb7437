"""The system calls that a sandbox refuses, as a BPF program for `seccomp(2)`.

What is refused would leave traces in outputs that depend on the file system or on
privileges: extended attributes, setuid bits, kernel keys, netlink sockets.
"""

from __future__ import annotations

import errno
import struct
from dataclasses import dataclass
from functools import cache
from typing import Final


@dataclass(frozen=True, slots=True)
class _Architecture:
    audit: int
    """`AUDIT_ARCH_…` of `<linux/audit.h>`."""
    numbers: dict[str, int]
    x32: bool
    """Whether there is a second set of call numbers, told by bit 30."""


_XATTR: Final = ("set", "lset", "fset", "get", "lget", "fget")
_XATTR_CALLS: Final = (
    *(f"{name}xattr" for name in _XATTR),
    *("listxattr", "llistxattr", "flistxattr"),
    *("removexattr", "lremovexattr", "fremovexattr"),
)
# Calls that came later have one number on all architectures.
_COMMON: Final = {
    "fchmodat2": 452,
    "setxattrat": 463,
    "getxattrat": 464,
    "listxattrat": 465,
    "removexattrat": 466,
}
_KEYS: Final = ("add_key", "request_key", "keyctl")
_CHMOD: Final = {"chmod": 1, "fchmod": 1, "fchmodat": 2, "fchmodat2": 2}
"""The call, and which argument holds the mode, counted from 0."""

_ARCHITECTURES: Final = {
    "x86_64": _Architecture(
        0xC000003E,
        {
            **{name: 188 + n for n, name in enumerate(_XATTR_CALLS)},
            "chmod": 90,
            "fchmod": 91,
            "fchmodat": 268,
            "socket": 41,
            "add_key": 248,
            "request_key": 249,
            "keyctl": 250,
            **_COMMON,
        },
        x32=True,
    ),
    "aarch64": _Architecture(
        0xC00000B7,
        {
            **{name: 5 + n for n, name in enumerate(_XATTR_CALLS)},
            "fchmod": 52,
            "fchmodat": 53,
            "socket": 198,
            "add_key": 217,
            "request_key": 218,
            "keyctl": 219,
            **_COMMON,
        },
        x32=False,
    ),
}

_LOAD: Final = 0x20  # BPF_LD | BPF_W | BPF_ABS
_EQUAL: Final = 0x15  # BPF_JMP | BPF_JEQ | BPF_K
_GREATER_EQUAL: Final = 0x35  # BPF_JMP | BPF_JGE | BPF_K
_ANY_BIT: Final = 0x45  # BPF_JMP | BPF_JSET | BPF_K
_RETURN: Final = 0x06  # BPF_RET | BPF_K
_ALLOW: Final = 0x7FFF0000
_REFUSE: Final = 0x00050000
_NUMBER: Final = 0
_AUDIT: Final = 4
_ARGUMENTS: Final = 16
_X32_BIT: Final = 0x40000000
_SET_ID: Final = 0o6000
_NETLINK: Final = 16


@cache
def program(machine: str) -> bytes | None:
    """The program for a machine (`uname -m`), as an array of `struct sock_filter`.

    None for an architecture whose call numbers are not known here.
    """
    architecture = _ARCHITECTURES.get(machine)
    if architecture is None:
        return None
    numbers = architecture.numbers
    code = [
        # Calls of another architecture (32 bit) are refused altogether.
        (_LOAD, 0, 0, _AUDIT),
        (_EQUAL, 1, 0, architecture.audit),
        _refuse(errno.EPERM),
        (_LOAD, 0, 0, _NUMBER),
    ]
    if architecture.x32:
        code += [(_GREATER_EQUAL, 0, 1, _X32_BIT), _refuse(errno.EPERM)]
    for name in (*_XATTR_CALLS, *(n for n in _COMMON if "xattr" in n)):
        code += [(_EQUAL, 0, 1, numbers[name]), _refuse(errno.ENOTSUP)]
    for name in _KEYS:
        code += [(_EQUAL, 0, 1, numbers[name]), _refuse(errno.EPERM)]
    for name, argument in _CHMOD.items():
        if name in numbers:
            code += [
                (_EQUAL, 0, 4, numbers[name]),
                (_LOAD, 0, 0, _ARGUMENTS + 8 * argument),
                (_ANY_BIT, 0, 1, _SET_ID),
                _refuse(errno.EPERM),
                (_RETURN, 0, 0, _ALLOW),
            ]
    code += [
        (_EQUAL, 0, 4, numbers["socket"]),
        (_LOAD, 0, 0, _ARGUMENTS),
        (_EQUAL, 0, 1, _NETLINK),
        _refuse(errno.EAFNOSUPPORT),
        (_RETURN, 0, 0, _ALLOW),
        (_RETURN, 0, 0, _ALLOW),
    ]
    return b"".join(struct.pack("<HBBI", *instruction) for instruction in code)


def _refuse(number: int) -> tuple[int, int, int, int]:
    return (_RETURN, 0, 0, _REFUSE | number)
