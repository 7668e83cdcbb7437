"""A report as lines of text."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from fromager.derivations.comparing.causes import EXPLANATIONS
from fromager.derivations.comparing.report import Sameness

if TYPE_CHECKING:
    from collections.abc import Iterator

    from fromager.derivations.comparing.report import Finding, MemberDifference, Report

MEMBERS_SHOWN: Final = 50
"""Members told one by one; JSON and HTML tell all."""


def summary(report: Report) -> Iterator[str]:
    """The report, line by line: verdict, container, members, causes and remedies."""
    yield verdict(report)
    if report.sameness is Sameness.IDENTICAL:
        return
    yield ""
    if report.container:
        yield "archive:"
        for finding in report.container:
            yield f"  {_finding(finding)}"
            yield from _sides(finding, "    ")
    for member in report.members[:MEMBERS_SHOWN]:
        yield from _member(member)
    if len(report.members) > MEMBERS_SHOWN:
        yield f"… and {len(report.members) - MEMBERS_SHOWN} more members"
    yield ""
    yield "causes and remedies:"
    for cause in report.causes:
        about = EXPLANATIONS[cause]
        yield f"  {about.title} ({cause.value}): {about.remedy}"
        if about.variation is not None:
            yield f"    confirmed by the variation: {about.variation}"


def verdict(report: Report) -> str:
    """One line: whether they are the same, and how far."""
    names = report.first.name
    if report.first.name != report.second.name:
        names = f"{report.first.name} and {report.second.name}"
    match report.sameness:
        case Sameness.IDENTICAL:
            return f"{names}: identical"
        case Sameness.SAME_CONTENT:
            return f"{names}: same content, the archives differ"
    count = len(report.members)
    what = "member differs" if count == 1 else "members differ"
    titles = ", ".join(EXPLANATIONS[cause].title for cause in report.causes)
    return f"{names}: {count} {what}: {titles}"


def _member(member: MemberDifference) -> Iterator[str]:
    old, new = member.sizes
    size = f"{old} bytes" if old == new else f"{old} -> {new} bytes"
    if old is None or new is None:
        size = f"{new if old is None else old} bytes"
    change = "" if member.change == "changed" else f", {member.change}"
    yield f"{member.path or 'content'} ({member.kind}, {size}{change}):"
    for finding in member.findings:
        yield f"  {_finding(finding)}"
        if not member.excerpt:
            yield from _sides(finding, "    ")
    for line in member.excerpt:
        yield f"    {line}"


def _finding(finding: Finding) -> str:
    times = f", {finding.count} times" if finding.count > 1 else ""
    return f"{EXPLANATIONS[finding.cause].title}: {finding.detail}{times}"


def _sides(finding: Finding, indent: str) -> Iterator[str]:
    if finding.first or finding.second:
        yield f"{indent}- {finding.first}"
        yield f"{indent}+ {finding.second}"
