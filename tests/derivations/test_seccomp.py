from __future__ import annotations

import errno
import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fromager.derivations.building.seccomp import program

ALLOW = 0x7FFF0000
REFUSE = 0x00050000
AUDIT = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
# From the kernel's own tables, not from the program under test.
CHMOD = {"x86_64": {90: 1, 91: 1, 268: 2, 452: 2}, "aarch64": {52: 1, 53: 2, 452: 2}}
XATTR = {
    "x86_64": {*range(188, 200), 463, 464, 465, 466},
    "aarch64": {*range(5, 17), 463, 464, 465, 466},
}
KEYS = {"x86_64": {248, 249, 250}, "aarch64": {217, 218, 219}}
SOCKET = {"x86_64": 41, "aarch64": 198}
MACHINES = sorted(AUDIT)

arguments = st.lists(st.integers(0, 2**32 - 1), min_size=6, max_size=6)


@pytest.mark.parametrize("machine", MACHINES)
@given(number=st.integers(0, 600), arguments=arguments)
@settings(max_examples=100, deadline=None)
def test_all_that_is_not_listed_is_permitted(
    machine: str, number: int, arguments: list[int]
) -> None:
    listed = {*CHMOD[machine], *XATTR[machine], *KEYS[machine], SOCKET[machine]}
    if number in listed:
        return

    assert _verdict(machine, number, arguments) == ALLOW


@pytest.mark.parametrize("machine", MACHINES)
@given(mode=st.integers(0, 0o7777), rest=arguments)
@settings(max_examples=100, deadline=None)
def test_a_mode_is_refused_exactly_if_it_has_a_setuid_or_setgid_bit(
    machine: str, mode: int, rest: list[int]
) -> None:
    for number, position in CHMOD[machine].items():
        values = [*rest[:position], mode, *rest[position + 1 :]]

        verdict = _verdict(machine, number, values)

        assert verdict == (REFUSE | errno.EPERM if mode & 0o6000 else ALLOW)


@pytest.mark.parametrize("machine", MACHINES)
def test_extended_attributes_are_not_supported(machine: str) -> None:
    assert {_verdict(machine, n, [0] * 6) for n in XATTR[machine]} == {
        REFUSE | errno.ENOTSUP
    }


@pytest.mark.parametrize("machine", MACHINES)
def test_kernel_keys_are_refused(machine: str) -> None:
    assert {_verdict(machine, n, [0] * 6) for n in KEYS[machine]} == {
        REFUSE | errno.EPERM
    }


@pytest.mark.parametrize("machine", MACHINES)
def test_of_sockets_only_netlink_is_refused(machine: str) -> None:
    verdicts = {
        family: _verdict(machine, SOCKET[machine], [family, 1, 0, 0, 0, 0])
        for family in range(45)
    }

    assert verdicts.pop(16) == REFUSE | errno.EAFNOSUPPORT
    assert set(verdicts.values()) == {ALLOW}


@pytest.mark.parametrize("machine", MACHINES)
def test_calls_of_another_architecture_are_refused(machine: str) -> None:
    assert _verdict(machine, 1, [0] * 6, audit=0x40000003) == REFUSE | errno.EPERM


def test_calls_with_the_bit_of_the_x32_interface_are_refused() -> None:
    assert _verdict("x86_64", 0x40000001, [0] * 6) == REFUSE | errno.EPERM


def test_there_is_no_program_for_an_unknown_architecture() -> None:
    assert program("s390x") is None


def _verdict(
    machine: str, number: int, values: list[int], *, audit: int | None = None
) -> int:
    """What the kernel would do: `seccomp_data` through classic BPF."""
    code = program(machine)
    assert code is not None and len(code) % 8 == 0
    data = struct.pack("<IIQ6Q", number, audit or AUDIT[machine], 0, *values)
    instructions = list(struct.iter_unpack("<HBBI", code))
    accumulator, position = 0, 0
    while True:
        operation, true, false, operand = instructions[position]
        position += 1
        if operation == 0x20:
            (accumulator,) = struct.unpack_from("<I", data, operand)
        elif operation == 0x06:
            return int(operand)
        else:
            holds = {
                0x15: accumulator == operand,
                0x35: accumulator >= operand,
                0x45: bool(accumulator & operand),
            }[operation]
            position += true if holds else false
