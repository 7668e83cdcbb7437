"""Pages lead to pages that exist, and all can be reached from the index."""

import re
from pathlib import Path
from typing import Final

import pytest

ROOT: Final = Path(__file__).parents[2]
DOCS: Final = ROOT / "docs"
PAGES: Final = tuple(sorted(DOCS.rglob("*.md")))
LINK: Final = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")


def targets(page: Path) -> list[tuple[str, str]]:
    """The pages and sections that a page links to, as (path, section)."""
    prose = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    local = [link for link in LINK.findall(prose) if ":" not in link]
    return [(path, section) for path, _, section in (x.partition("#") for x in local)]


def sections(page: Path) -> set[str]:
    """The anchors of a page's headings, as code hosting sites make them."""
    headings = re.findall(
        r"^#+ (.*)$", page.read_text(encoding="utf-8"), flags=re.MULTILINE
    )
    kept = (re.sub(r"[^\w\- ]", "", heading.lower()) for heading in headings)
    return {heading.replace(" ", "-") for heading in kept}


@pytest.mark.parametrize(
    "page", [ROOT / "README.md", *PAGES], ids=lambda p: p.relative_to(ROOT).as_posix()
)
def test_links_lead_somewhere(page: Path) -> None:
    broken = []
    for path, section in targets(page):
        target = (page.parent / path).resolve() if path else page
        if not target.exists() or (section and section not in sections(target)):
            broken.append(f"{path}#{section}")

    assert broken == []


def test_every_page_is_reached_from_the_index() -> None:
    reached, queue = set[Path](), [DOCS / "index.md"]
    while queue:
        page = queue.pop()
        if page in reached or page.suffix != ".md":
            continue
        reached.add(page)
        queue += [(page.parent / path).resolve() for path, _ in targets(page) if path]

    assert set(PAGES) - reached == set()
