"""A report as one HTML page that needs nothing else."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING, Final

from fromager.derivations.comparing.causes import EXPLANATIONS
from fromager.derivations.comparing.summary import verdict

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from fromager.derivations.comparing.report import (
        Finding,
        MemberDifference,
        Report,
        Side,
    )

_STYLE: Final = """
:root { color-scheme: light dark; font: 15px/1.5 system-ui, sans-serif }
body { max-width: 70rem; margin: 2rem auto; padding: 0 1rem }
table { border-collapse: collapse; width: 100% }
th, td { text-align: left; vertical-align: top; padding: .3rem .8rem .3rem 0;
  border-bottom: 1px solid #8884 }
code, pre { font: 13px/1.45 ui-monospace, monospace; overflow-wrap: anywhere }
pre { white-space: pre-wrap; margin: .3rem 0; padding: .5rem; background: #8881 }
del { background: #f552; text-decoration: none }
ins { background: #5b52; text-decoration: none }
summary { cursor: pointer; padding: .25rem 0 }
.aside { opacity: .7 }
"""


def html_page(
    report: Report,
    title: str,
    inputs: Sequence[str] = (),
    attached: Sequence[tuple[str, str]] = (),
) -> str:
    """The whole page; `inputs` are lines about what the two were built from.

    `attached` are titles and texts of other reports, such as that of another tool.
    """
    return "\n".join(
        (
            "<!doctype html>",
            '<html lang="en"><head><meta charset="utf-8">',
            '<meta name="viewport" content="width=device-width">',
            f"<title>{escape(title)}</title><style>{_STYLE}</style></head><body>",
            f"<h1>{escape(title)}</h1><p>{escape(verdict(report))}</p>",
            *_sides(report.first, report.second),
            *_list("What they were built from", inputs),
            *_causes(report),
            *_findings("Archive", report.container),
            *_members(report.members),
            *_attached(attached),
            "</body></html>\n",
        )
    )


def _sides(*sides: Side) -> Iterator[str]:
    yield "<table><tr><th></th><th>name</th><th>format</th><th>bytes</th>"
    yield "<th>sha256</th></tr>"
    for mark, side in zip("-+", sides, strict=True):
        cells = (side.name, side.format, str(side.size), side.sha256 or "")
        row = "".join(f"<td><code>{escape(cell)}</code></td>" for cell in cells)
        yield f"<tr><td>{mark}</td>{row}</tr>"
    yield "</table>"


def _list(title: str, lines: Sequence[str]) -> Iterator[str]:
    if lines:
        yield f"<h2>{escape(title)}</h2><ul>"
        yield from (f"<li><code>{escape(line)}</code></li>" for line in lines)
        yield "</ul>"


def _causes(report: Report) -> Iterator[str]:
    if not report.causes:
        return
    yield "<h2>Causes and remedies</h2><table>"
    yield "<tr><th>cause</th><th>remedy</th><th>variation that confirms it</th></tr>"
    for cause in report.causes:
        about = EXPLANATIONS[cause]
        cells = (about.title, about.remedy, about.variation or "")
        row = "".join(f"<td>{escape(cell)}</td>" for cell in cells)
        yield f"<tr>{row}</tr>"
    yield "</table>"


def _findings(title: str, findings: Sequence[Finding]) -> Iterator[str]:
    if findings:
        yield f"<h2>{title}</h2>"
        for finding in findings:
            yield f"<p>{_title(finding)}</p>{_values(finding)}"


def _members(members: Sequence[MemberDifference]) -> Iterator[str]:
    if not members:
        return
    yield f"<h2>Members ({len(members)})</h2>"
    for member in members:
        titles = ", ".join(EXPLANATIONS[f.cause].title for f in member.findings)
        old, new = member.sizes
        about = f"{member.change}, {member.kind}, {old} / {new} bytes"
        yield f"<details><summary><code>{escape(member.path or 'content')}</code> "
        yield f'{escape(titles)} <span class="aside">{escape(about)}</span></summary>'
        for finding in member.findings:
            yield f"<p>{_title(finding)}</p>"
            yield "" if member.excerpt else _values(finding)
        if member.excerpt:
            yield f"<pre>{_marked(member.excerpt)}</pre>"
        yield "</details>"


def _attached(texts: Sequence[tuple[str, str]]) -> Iterator[str]:
    for title, text in texts:
        marked = _marked(text.splitlines())
        yield f"<h2>{escape(title)}</h2><pre>{marked}</pre>"


def _title(finding: Finding) -> str:
    times = f", {finding.count} times" if finding.count > 1 else ""
    title = EXPLANATIONS[finding.cause].title
    return f"<strong>{escape(title)}</strong>: {escape(finding.detail)}{times}"


def _values(finding: Finding) -> str:
    if not finding.first and not finding.second:
        return ""
    lines = (f"- {finding.first}", f"+ {finding.second}")
    return f"<pre>{_marked(lines)}</pre>"


def _marked(lines: Sequence[str]) -> str:
    tags = {"-": "del", "+": "ins"}
    return "\n".join(
        f"<{tag}>{escape(line)}</{tag}>"
        if (tag := tags.get(line[:1]))
        else escape(line)
        for line in lines
    )
