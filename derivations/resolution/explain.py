"""Why a request has no answer, in sentences, and what to change.

The search proves that there is none. The facts that its proof stands on are told from
the request on: who requires what, through whom; then which versions would have done,
and why each was refused.
"""

from __future__ import annotations

from functools import reduce
from operator import or_
from typing import TYPE_CHECKING, Final

from fromager.derivations.resolution.evidence import Evidence
from fromager.derivations.resolution.facts import (
    Constrained,
    Given,
    Needed,
    Uncalled,
    Unusable,
)
from fromager.derivations.resolution.outcome import Cause, Impossible
from fromager.derivations.resolution.remedy import remedy
from fromager.derivations.resolution.wording import (
    clause,
    listed,
    quarantine_text,
    reason_text,
    refusal_sentences,
    versions_text,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from fromager.derivations.resolution.evidence import Deadlock
    from fromager.derivations.resolution.search import Search

_MOST_ALIKE: Final = 3
"""More different requirements of one project for another are told as one."""
_NEWEST: Final = 4


def explain(search: Search) -> Impossible:
    """The refusal that a search ended with."""
    evidence = Evidence(search)
    sentences = [
        *_given(evidence),
        *_needed(evidence),
        *_unusable(evidence),
        *(f"no index has a project named {name}" for name in evidence.unknown),
        *_places(evidence),
    ]
    for name, refusals in evidence.newer.items():
        sentences += refusal_sentences(name, refusals)
    for deadlock in evidence.deadlocks:
        sentences += _fate(evidence, deadlock)
    return Impossible(
        "\n  ".join(("no set of versions fits:", *dict.fromkeys(sentences))),
        remedy(evidence),
        tuple(_causes(evidence)),
    )


def _given(evidence: Evidence) -> Iterator[str]:
    required: dict[str, list[str]] = {}
    limited: dict[str, list[str]] = {}
    for fact in evidence.facts:
        if isinstance(fact, (Given, Constrained)):
            origins = required if isinstance(fact, Given) else limited
            origins.setdefault(fact.demand.origin or "", []).append(str(fact.demand))
    for origin, texts in required.items():
        yield f"{origin} requires {listed(texts)}"
    for origin, texts in limited.items():
        yield f"{origin} limits versions to {listed(texts)}"


def _needed(evidence: Evidence) -> Iterator[str]:
    """One sentence for all versions of a project that require the same of another."""
    groups: dict[tuple[str, str | None, str], dict[str, int]] = {}
    for fact in evidence.facts:
        if isinstance(fact, Needed):
            texts = groups.setdefault((fact.name, fact.extra, fact.demand.name), {})
            text = str(fact.demand)
            texts[text] = texts.get(text, 0) | 1 << fact.index
    for (name, extra, needed), by_text in groups.items():
        subject = name if extra is None else f"{name}[{extra}]"
        if len(by_text) > _MOST_ALIKE:
            first, *_, last = by_text
            which = _which(evidence, name, reduce(or_, by_text.values()))
            yield (
                f"{subject} {which} each require other versions of {needed}, "
                f"between {last} and {first}"
            )
            continue
        for text, chosen in by_text.items():
            what = clause(f"requires {text}", chosen.bit_count())
            yield f"{subject} {_which(evidence, name, chosen)} {what}"


def _which(evidence: Evidence, name: str, chosen: int) -> str:
    """Some versions, and whether they are all that other requirements leave."""
    text = versions_text(evidence.versions(name, chosen))
    left = evidence.search.choices(name, evidence.demands.get(name, ()))
    return (
        f"{text}, all that fit," if chosen.bit_count() > 1 and chosen == left else text
    )


def _unusable(evidence: Evidence) -> Iterator[str]:
    groups: dict[tuple[str, str], int] = {}
    for fact in evidence.facts:
        if isinstance(fact, (Unusable, Uncalled)):
            reason = "is no final release, and nothing in such a set names it"
            if isinstance(fact, Unusable):
                reason = reason_text(fact.kind, fact.detail)
            key = (fact.name, reason)
            groups[key] = groups.get(key, 0) | 1 << fact.index
    for (name, reason), chosen in groups.items():
        which = _which(evidence, name, chosen)
        yield f"{name} {which} {clause(reason, chosen.bit_count())}"


def _places(evidence: Evidence) -> Iterator[str]:
    """Where projects are taken from that no index is asked for."""
    for name in evidence.demands:
        catalogue = evidence.search.known(name)
        if catalogue is not None and catalogue.project.place is not None:
            yield f"{name} is taken from {catalogue.project.place}"


def _fate(evidence: Evidence, deadlock: Deadlock) -> Iterator[str]:
    """Why no version of a project is left, and which there are."""
    name = deadlock.name
    yield from refusal_sentences(name, deadlock.refusals)
    other = "other " if deadlock.refusals else ""
    texts = [demand.text for demand in deadlock.demands if demand.text]
    existing = evidence.existing(name)
    if not existing:
        reason = evidence.quarantined(name)
        yield (
            f"{name} has no releases"
            if reason is None
            else f"{name} is {quarantine_text(reason)}"
        )
    elif texts:
        newest = [str(version) for version in existing[:_NEWEST]]
        older = len(existing) - len(newest)
        there_are = "there is" if len(existing) == 1 else "there are"
        exist = listed([*newest, f"{older} older"] if older else newest)
        fits = listed(texts) if len(texts) <= _MOST_ALIKE else "all of that"
        yield f"no {other}version of {name} fits {fits}; {there_are} {exist}"
        index = evidence.index(name)
        if index is not None:
            yield f"{name} is taken from {index}, the first index that has it"
    elif not deadlock.refusals:
        yield f"no version of {name} can be used"


def _causes(evidence: Evidence) -> Iterator[Cause]:
    for fact in evidence.facts:
        match fact:
            case Given(demand) | Constrained(demand):
                yield Cause(str(demand), demand.origin or "")
            case Needed(name, index, _, demand):
                [version] = evidence.versions(name, 1 << index)
                yield Cause(str(demand), f"{name} {version}")
