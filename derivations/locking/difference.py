"""What changed from one lock to another, in words."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from fromager.derivations.locking.lock import Lock, LockedRelease, LockedSet


def lock_changes(before: Lock, after: Lock) -> tuple[str, ...]:
    """One sentence for each change, without full stops; none if the locks are equal."""
    return tuple(dict.fromkeys([*_request(before, after), *_sets(before, after)]))


def _request(before: Lock, after: Lock) -> Iterator[str]:
    old, new = before.request, after.request
    for title, was, now in (
        ("requirement", old.requirements, new.requirements),
        ("constraint", old.constraints, new.constraints),
        ("build constraint", old.build_constraints, new.build_constraints),
        ("index", old.indexes, new.indexes),
    ):
        yield from (f"the {title} {text} is gone" for text in was if text not in now)
        yield from (f"the {title} {text} is new" for text in now if text not in was)
    if old.variant != new.variant:
        yield f"the variant is {new.variant}, it was {old.variant}"
    if old.prereleases != new.prereleases:
        allowed = "are allowed" if new.prereleases else "are not allowed any more"
        yield f"pre-releases {allowed}"
    was_limits, now_limits = dict(old.limits), dict(new.limits)
    for name in sorted({*was_limits, *now_limits}):
        before_it = was_limits.get(name, "not set")
        after_it = now_limits.get(name, "not set")
        if before_it != after_it:
            yield f"{name} is {after_it}, it was {before_it}"


def _sets(before: Lock, after: Lock) -> Iterator[str]:
    old = {locked.platform.name: locked for locked in before.sets}
    new = {locked.platform.name: locked for locked in after.sets}
    yield from (f"the platform {name} is gone" for name in old if name not in new)
    yield from (f"the platform {name} is new" for name in new if name not in old)
    for name, was in old.items():
        if name in new:
            where = "" if len(old) == len(new) == 1 else f" on {name}"
            for sentence in _set(before, was, after, new[name]):
                yield sentence + where


def _set(before: Lock, old: LockedSet, after: Lock, new: LockedSet) -> Iterator[str]:
    yield from _versions(old.wheels, new.wheels, "")
    for subject in sorted({*old.builds} & {*new.builds}):
        was, now = before.by_subject[subject], after.by_subject[subject]
        yield from _release(was, now)
        prepared = old.builds[subject].source, new.builds[subject].source
        if prepared[0] != prepared[1] and was.file.sha256 == now.file.sha256:
            yield f"the source of {subject} is prepared otherwise"
        environments = old.builds[subject].environment, new.builds[subject].environment
        yield from _versions(*environments, f" to build {subject}")


def _release(was: LockedRelease, now: LockedRelease) -> Iterator[str]:
    if was.file.sha256 != now.file.sha256:
        yield (
            f"the file of {now.subject} is another one: sha256 {now.file.sha256}, "
            f"it was {was.file.sha256}"
        )
    elif was.file.url != now.file.url:
        yield f"the file of {now.subject} is fetched from {now.file.url}"
    if was.dependencies != now.dependencies:
        yield (
            f"{now.subject} needs {', '.join(now.dependencies) or 'nothing'}, it "
            f"needed {', '.join(was.dependencies) or 'nothing'}"
        )


def _versions(
    before: Sequence[str], after: Sequence[str], purpose: str
) -> Iterator[str]:
    old, new = _by_name(before), _by_name(after)
    for name in sorted({*old, *new}):
        if name not in new:
            yield f"{name} {old[name]} is gone{purpose}"
        elif name not in old:
            yield f"{name} {new[name]} is new{purpose}"
        elif old[name] != new[name]:
            yield f"{name} is {new[name]}, it was {old[name]}{purpose}"


def _by_name(subjects: Iterable[str]) -> Mapping[str, str]:
    return {name: version for name, _, version in (s.partition("==") for s in subjects)}
