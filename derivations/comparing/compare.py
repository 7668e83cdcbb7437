"""Two artifacts compared: container, members, and a cause for every difference."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from fromager.derivations.building.record import (
    InvalidRecordFile,
    parse_record,
)
from fromager.derivations.comparing.binaries import (
    compare_binaries,
    first_difference,
    kind_of,
)
from fromager.derivations.comparing.causes import Cause
from fromager.derivations.comparing.contents import packed_contents
from fromager.derivations.comparing.report import (
    Finding,
    MemberDifference,
    Report,
    Sameness,
    Side,
)
from fromager.derivations.comparing.texts import compare_texts, decoded

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence

    from fromager.derivations.comparing.contents import Contents, Member
    from fromager.derivations.comparing.tokens import Clues

DEEPEST: Final = 3
"""Archives in archives are looked into so deep."""
TEXT_LIMIT: Final = 64 << 20
"""Bytes up to which a text is compared line by line."""

_FIELDS: Final = {
    "time": Cause.MEMBER_TIME,
    "gzip time": Cause.TIMESTAMP,
    "mode": Cause.MODE,
    "owner": Cause.OWNER,
    "method": Cause.COMPRESSION,
    "packed size": Cause.COMPRESSION,
    "gzip level": Cause.COMPRESSION,
}
"""What a field of a container tells; the others tell of the tool that wrote it."""


def compare(first: Contents, second: Contents, clues: Clues) -> Report:
    """What differs between two artifacts, and why; pure but for reading members."""
    sides = (_side(first), _side(second))
    if first.sha256 is not None and first.sha256 == second.sha256:
        return Report(*sides, Sameness.IDENTICAL)
    tops = _other_tops(first, second)
    if tops is not None:
        first, second = _below(first, tops[0]), _below(second, tops[1])
    members = _Members(first, second, clues, DEEPEST).differences()
    container = tuple(_container(first, second, {each.path for each in members}))
    if tops is not None:
        top_folders = Finding(Cause.NAME, "the top folders differ", *tops)
        container = (top_folders, *container)
    if members:
        return Report(*sides, Sameness.DIFFERENT, container, members)
    same = Sameness.SAME_CONTENT if container or first.sha256 else Sameness.IDENTICAL
    if same is Sameness.SAME_CONTENT and not container:
        detail = "the bytes of the archive differ, not what it holds or says"
        container = (Finding(Cause.CONTAINER, detail),)
    return Report(*sides, same, container, members)


def _other_tops(first: Contents, second: Contents) -> tuple[str, str] | None:
    """The folders that hold all of two archives, if they differ: sdists have one that
    names the version (PEP 625)."""
    tops = _top(first), _top(second)
    if tops[0] is None or tops[1] is None or tops[0] == tops[1]:
        return None
    return tops[0], tops[1]


def _top(contents: Contents) -> str | None:
    if contents.format not in ("tar", "zip") or not contents.members:
        return None
    names = {member.path.partition("/")[0] for member in contents.members}
    inside = all("/" in member.path for member in contents.members)
    return names.pop() if len(names) == 1 and inside else None


def _below(contents: Contents, top: str) -> Contents:
    """The same without the folder that holds all of it; links into it, too."""
    inside = f"{top}/"
    members = (
        replace(
            member,
            path=member.path.removeprefix(inside),
            link=member.link and member.link.removeprefix(inside),
        )
        for member in contents.members
        if member.path != inside
    )
    return replace(contents, members=tuple(members))


def _side(contents: Contents) -> Side:
    return Side(contents.name, contents.format, contents.size, contents.sha256)


def _container(
    first: Contents, second: Contents, changed: Collection[str]
) -> Iterator[Finding]:
    """Differences of the archives; `changed` are members that differ by themselves."""
    if first.format != second.format:
        detail = "different formats"
        yield Finding(Cause.CONTAINER, detail, first.format, second.format)
        return
    if first.name != second.name and first.format == "wheel":
        yield Finding(Cause.NAME, "the names differ", first.name, second.name)
    old, new = dict(first.fields), dict(second.fields)
    for name in sorted(old.keys() | new.keys()):
        if old.get(name) != new.get(name):
            cause = _FIELDS.get(name, Cause.CONTAINER)
            yield Finding(cause, name, old.get(name, ""), new.get(name, ""))
    yield from _headers(first, second, changed)
    names = {member.path for member in second.members}
    common = [member.path for member in first.members if member.path in names]
    kept = set(common)
    others = [member.path for member in second.members if member.path in kept]
    if common != others:
        detail = "members stand in another order"
        yield Finding(Cause.MEMBER_ORDER, detail)


def _headers(
    first: Contents, second: Contents, changed: Collection[str]
) -> Iterator[Finding]:
    """Fields of members that differ: how often, and where for the first time."""
    others = {member.path: member for member in second.members}
    found: dict[str, Finding] = {}
    for member in first.members:
        other = others.get(member.path)
        if other is None or other.fields == member.fields:
            continue
        theirs = dict(other.fields)
        for name, value in member.fields:
            if theirs.get(name) == value:
                continue
            if name == "packed size" and member.path in changed:
                continue
            known = found.get(name)
            found[name] = Finding(
                _FIELDS.get(name, Cause.CONTAINER),
                known.detail if known else f"{name} of members, first {member.path}",
                known.first if known else value,
                known.second if known else theirs.get(name, ""),
                known.count + 1 if known else 1,
            )
    # What is packed otherwise has another size for that reason.
    if "method" in found:
        found.pop("packed size", None)
    yield from found.values()


@dataclass(frozen=True)
class _Members:
    """The members of two artifacts being compared."""

    first: Contents
    second: Contents
    clues: Clues
    depth: int

    def differences(self) -> tuple[MemberDifference, ...]:
        """All that are not the same, sorted by path."""
        old = {member.path: member for member in self.first.members}
        new = {member.path: member for member in self.second.members}
        found = [
            difference
            for path in sorted(old.keys() | new.keys())
            if (difference := self._difference(path, old.get(path), new.get(path)))
        ]
        changed = {each.path for each in found}
        return tuple(self._with_record(each, changed, old, new) for each in found)

    def _difference(
        self, path: str, old: Member | None, new: Member | None
    ) -> MemberDifference | None:
        if old is None or new is None:
            there, change = (new, "only in second") if old is None else (old, "")
            assert there is not None
            finding = Finding(Cause.MEMBERS, "the other side does not have it")
            sizes = (old.size if old else None, new.size if new else None)
            kind = "link" if there.link is not None else "file"
            change = change or "only in first"
            return MemberDifference(path, change, kind, sizes, (finding,))
        sizes = (old.size, new.size)
        if old.link is not None or new.link is not None:
            if old.link == new.link:
                return None
            targets = (str(old.link), str(new.link))
            finding = Finding(Cause.LINK, "it points elsewhere", *targets)
            return MemberDifference(path, "changed", "link", sizes, (finding,))
        modes: tuple[Finding, ...] = ()
        if old.executable != new.executable:
            detail = "executable on one side only"
            modes = (
                Finding(Cause.MODE, detail, str(old.executable), str(new.executable)),
            )
        before, after = old.read(), new.read()
        if before == after:
            if not modes:
                return None
            return MemberDifference(path, "changed", "file", sizes, modes)
        kind, findings, excerpt = self._explain(path, before, after)
        return MemberDifference(
            path, "changed", kind, sizes, (*modes, *findings), excerpt
        )

    def _explain(
        self, path: str, before: bytes, after: bytes
    ) -> tuple[str, tuple[Finding, ...], tuple[str, ...]]:
        name = path or self.first.name
        if max(len(before), len(after)) <= TEXT_LIMIT:
            old, new = decoded(before), decoded(after)
            if old is not None and new is not None:
                found, excerpt = compare_texts(old, new, self._names(), self.clues)
                return "text", found, excerpt
        kind = kind_of(name, before)
        if kind != kind_of(name, after):
            detail = f"another kind of file: {kind} and {kind_of(name, after)}"
            return kind, (Finding(Cause.BINARY, detail),), ()
        inside = self._inside(name, before, after) if self.depth else None
        if inside is not None:
            return kind, inside, ()
        return kind, compare_binaries(kind, before, after, self.clues), ()

    def _inside(
        self, name: str, before: bytes, after: bytes
    ) -> tuple[Finding, ...] | None:
        """The findings of an archive in an archive; None if it is none."""
        old, new = packed_contents(name, before), packed_contents(name, after)
        if old is None or new is None:
            return None
        members = _Members(old, new, self.clues, self.depth - 1).differences()
        found = [
            Finding(
                each.cause, f"{member.path}: {each.detail}", each.first, each.second
            )
            for member in members
            for each in member.findings
        ]
        changed = {member.path for member in members}
        found = [*_container(old, new, changed), *found]
        return tuple(found) or (
            Finding(Cause.CONTAINER, first_difference(before, after)),
        )

    def _names(self) -> frozenset[str]:
        """The names of all files and folders on both sides."""
        paths = [m.path for side in (self.first, self.second) for m in side.members]
        parts = {part for path in paths for part in path.split("/")}
        return frozenset(parts | {part.rpartition(".")[0] for part in parts} - {""})

    def _with_record(
        self,
        difference: MemberDifference,
        changed: set[str],
        old: dict[str, Member],
        new: dict[str, Member],
    ) -> MemberDifference:
        """A RECORD that differs since what it lists does, told as such."""
        path = difference.path
        if not path.endswith(".dist-info/RECORD") or difference.change != "changed":
            return difference
        finding = _record_finding(old[path].read(), new[path].read(), changed)
        if finding is None:
            return difference
        return MemberDifference(
            path, difference.change, "RECORD", difference.sizes, (finding,)
        )


def _record_finding(first: bytes, second: bytes, changed: set[str]) -> Finding | None:
    try:
        before, after = parse_record(first), parse_record(second)
    except InvalidRecordFile:
        return None
    differing = {
        path
        for path in before.keys() | after.keys()
        if before.get(path) != after.get(path)
    }
    if not differing:
        return Finding(Cause.MEMBER_ORDER, "RECORD has the same rows in another order")
    if differing <= changed:
        return Finding(Cause.RECORD, f"RECORD follows {_listed(sorted(differing))}")
    return None


def _listed(names: Sequence[str]) -> str:
    shown = ", ".join(names[:3])
    return shown if len(names) <= 3 else f"{shown} and {len(names) - 3} more"
