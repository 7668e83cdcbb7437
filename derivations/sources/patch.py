"""Patches: unified diffs applied to a source tree, strictly.

No fuzz, no rejects, no guesses: a patch fits, or it is an error that shows what the
patch wants and what the file holds.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from fromager.derivations.errors import SourceError
from fromager.derivations.sources.unified_diff import (
    NOWHERE,
    FileChange,
    HunkMismatch,
    InvalidDiff,
    apply_hunks,
    parse_diff,
    reverse,
    strip_prefix,
)

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path


class PatchFailed(SourceError):
    """A patch that does not fit a source tree."""

    def __init__(
        self,
        patch: str,
        reason: str,
        *,
        file: str = "",
        hunk: str = "",
        found: str = "",
    ) -> None:
        super().__init__(
            f"{patch}: {file}: {reason}" if file else f"{patch}: {reason}",
            hint="Adapt the patch to this version of the source, or drop it",
        )
        self.patch, self.reason, self.file = patch, reason, file
        self.hunk = hunk
        """The hunk that does not fit, as the patch has it."""
        self.found = found
        """What the file holds where the hunk should fit."""

    def of(self, patch: str) -> PatchFailed:
        """The same, said of a patch by another name."""
        return PatchFailed(
            patch, self.reason, file=self.file, hunk=self.hunk, found=self.found
        )


def apply_patch(root: Path, content: bytes, name: str) -> tuple[str, ...]:
    """Apply a patch to the tree at `root`; its changed files, in the patch's order.

    Names may have a prefix (`a/`, `b/`, any one folder) or none, found as a person would
    choose between `patch -p1` and `-p0`. After an error the tree may be changed in part.

    Raises:
        PatchFailed: no diff, a hunk that does not fit, a name that leads out of the
            tree, or a change that a diff cannot hold.
    """
    try:
        changes = parse_diff(content)
    except InvalidDiff as error:
        raise PatchFailed(name, f"it cannot be read: {error}") from error
    level = _level(root, changes)
    return tuple(_Application(root, name, level).apply(change) for change in changes)


def _level(root: Path, changes: Sequence[FileChange]) -> int:
    """How many leading folders of all names are to be dropped: 1 if that fits."""
    for level in (1, 0):
        if all(_fits(root, change, level) for change in changes):
            return level
    return 1


def _fits(root: Path, change: FileChange, level: int) -> bool:
    if change.moves:
        return True
    if change.creates:
        # A name without folders has no prefix; nor has one whose first folder is there.
        first, slash, _ = change.new_name.partition("/")
        prefixed = bool(slash) and (first in ("a", "b") or not (root / first).is_dir())
        return prefixed == (level == 1)
    names = {change.old_name, change.new_name} - {NOWHERE}
    if level and not all("/" in name for name in names):
        return False
    return any((root / strip_prefix(name, level)).is_file() for name in names)


class _Application:
    def __init__(self, root: Path, patch: str, level: int) -> None:
        self._root, self._patch, self._level = root, patch, level

    def apply(self, change: FileChange) -> str:
        old, new = self._names(change)
        if change.unsupported:
            raise self._failure(new, f"{change.unsupported} cannot be applied")
        source, target = self._place(old), self._place(new)
        if change.creates:
            self._create(new, target, change)
            return new
        if not source.is_file():
            raise self._failure(old, "there is no such file")
        content = source.read_bytes()
        executable = bool(source.stat().st_mode & 0o100)
        result = self._applied(old, content, change)
        if change.deletes:
            if result:
                raise self._failure(old, "it is to be deleted, but holds more")
            self._delete(source)
            return old
        if new != old:
            if target.exists():
                raise self._failure(new, "it is there already")
            if not change.copies:
                self._delete(source)
        if change.executable is not None:
            executable = change.executable
        self._write(target, result, executable)
        return new

    def _names(self, change: FileChange) -> tuple[str, str]:
        """The names before and after, both the same where one file is changed."""
        if change.moves:
            return change.old_name, change.new_name
        old, new = (
            strip_prefix(name, self._level) if name != NOWHERE else NOWHERE
            for name in (change.old_name, change.new_name)
        )
        if old == NOWHERE:
            return new, new
        if new == NOWHERE:
            return old, old
        # Without git's headers two names are no rename: `x.orig` and `x`.
        there = new if self._place(new).is_file() or change.creates else old
        return there, there

    def _place(self, name: str) -> Path:
        parts = name.split("/")
        if name.startswith("/") or not {"", ".", ".."}.isdisjoint(parts):
            raise self._failure(name, "the name leads out of the tree")
        place = self._root
        for part in parts:
            place = place / part
            if place.is_symlink():
                raise self._failure(name, "the way there is a symbolic link")
        return place

    def _create(self, name: str, target: Path, change: FileChange) -> None:
        content = b"".join(line for hunk in change.hunks for line in hunk.new)
        if any(hunk.old for hunk in change.hunks):
            raise self._failure(name, "a new file has no lines before it")
        if target.exists():
            same = target.is_file() and target.read_bytes() == content
            reason = "already applied" if same else "it is there already"
            raise self._failure(name, reason)
        self._write(target, content, bool(change.executable))

    def _applied(self, name: str, content: bytes, change: FileChange) -> bytes:
        try:
            return apply_hunks(content, change.hunks)
        except HunkMismatch as error:
            reason = f"hunk {error.number}: {error.reason}"
            if self._is_applied(content, change):
                reason = "already applied, or reversed"
            raise PatchFailed(
                self._patch,
                reason,
                file=name,
                hunk=error.hunk.text,
                found=error.found.decode("utf-8", "replace"),
            ) from error

    @staticmethod
    def _is_applied(content: bytes, change: FileChange) -> bool:
        try:
            apply_hunks(content, reverse(change.hunks))
        except HunkMismatch:
            return False
        return True

    def _write(self, target: Path, content: bytes, executable: bool) -> None:
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            # A new file: the old one may have other names (hard links).
            target.unlink(missing_ok=True)
            target.write_bytes(content)
            target.chmod(0o755 if executable else 0o644)
        except (FileExistsError, NotADirectoryError, IsADirectoryError) as error:
            name = str(target.relative_to(self._root))
            raise self._failure(name, "a file and a folder of one name") from error

    def _delete(self, place: Path) -> None:
        place.unlink()
        for folder in place.parents:
            if folder == self._root or any(folder.iterdir()):
                break
            folder.rmdir()

    def _failure(self, file: str, reason: str) -> PatchFailed:
        return PatchFailed(self._patch, reason, file=file)
