"""Locks on disk, and what a request and a lock say of each other."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from fromager.cli.settings import Settings
    from fromager.derivations import Lock, LockedRequest, RealiseRequest

LIMITS: Final = (
    "exclude-newer",
    "exclude-newer-package",
    "min-age",
    "min-age-package",
)
"""The settings that a lock records, since they decide on versions."""


def read_lock(path: Path) -> Lock:
    """The lock in a file.

    Raises:
        InvalidLock: it is none.
        OSError: it cannot be read.
    """
    from fromager.derivations import InvalidLock, parse_lock

    try:
        text = path.read_text(encoding="utf-8")
        return parse_lock(text, str(path), path.absolute().parent)
    except UnicodeDecodeError as error:
        raise InvalidLock("it is no UTF-8 text", origin=str(path)) from error


def locked_by(
    path: Path, request: RealiseRequest, settings: Settings
) -> RealiseRequest:
    """The request with everything taken from the lock in a file.

    Without requirements of its own it is the lock's.

    Raises:
        InvalidLock: the file cannot be used.
        LockMismatch: it was made for another variant.
    """
    from dataclasses import replace

    from fromager.derivations import (
        GivenRequirement,
        InputError,
        LockMismatch,
        parse_requirement,
    )

    if not path.is_file():
        raise InputError(f"there is no lock {path}")
    lock = read_lock(path)
    variant = settings.text("variant")
    if variant != lock.request.variant:
        raise LockMismatch(
            f"the lock is for the variant {lock.request.variant}, not for {variant}",
            hint="Build that variant, or lock this one",
        )
    for place in (*request.direct, *request.direct_constraints):
        raise InputError(
            f"{place.origin}: {place} says where its source is, and so does the lock",
            hint="Name it by name and version, or leave the lock out",
        )
    given = request.requirements
    if not given:
        texts = (
            *lock.request.requirements,
            # Where their source is stands in the lock.
            *(each.by_name for each in lock.request.direct),
        )
        given = tuple(
            GivenRequirement(parse_requirement(text), str(path)) for text in texts
        )
    return replace(request, requirements=given, lock=lock)


def write_whole(path: Path, text: str) -> None:
    """Write a file so that its name always holds the old text or the new one."""
    # It takes time to import, and most commands write nothing so.
    from tempfile import NamedTemporaryFile

    with NamedTemporaryFile(
        "w", encoding="utf-8", dir=path.parent, prefix=f".{path.name}-", delete=False
    ) as file:
        try:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
            mode = path.stat().st_mode if path.exists() else 0o666 & ~_umask()
            Path(file.name).chmod(mode & 0o777)
            Path(file.name).replace(path)
        except BaseException:
            Path(file.name).unlink(missing_ok=True)
            raise


def locked_request(
    request: RealiseRequest, settings: Settings, indexes: Iterable[str]
) -> LockedRequest:
    """What a lock says of the request that it was made for."""
    from fromager.derivations import LockedRequest

    def texts(given: Iterable[object]) -> tuple[str, ...]:
        return tuple(sorted({str(each) for each in given}))

    limits: list[tuple[str, str | int]] = []
    for name in LIMITS:
        number = settings.number(name)
        text = " ".join(settings.texts(name)) or settings.text(name)
        if number is not None:
            limits.append((name, number))
        elif text and text != "()":
            limits.append((name, text))
    from fromager.derivations import recorded

    return LockedRequest(
        texts(given.requirement for given in request.requirements),
        texts(given.requirement for given in request.constraints),
        texts(given.requirement for given in request.build_constraints),
        request.prereleases,
        settings.text("variant") or "",
        tuple(indexes),
        tuple(limits),
        direct_constraints=recorded(request.direct_constraints),
    )


def recorded_limits(request: LockedRequest) -> Mapping[str, object]:
    """The settings that a lock recorded, as flags of a command."""
    found: dict[str, object] = {}
    for name, value in request.limits:
        is_list = name.endswith("-package") and isinstance(value, str)
        flag = name.replace("-", "_")
        found[flag] = tuple(str(value).split()) if is_list else value
    return found


def _umask() -> int:
    mask = os.umask(0o022)
    os.umask(mask)
    return mask
