"""The links of an HTML page, with their attributes."""

from __future__ import annotations

from dataclasses import dataclass
from html.parser import HTMLParser


@dataclass(frozen=True, slots=True)
class Listing:
    """What matters of an HTML page."""

    links: tuple[tuple[dict[str, str], str], ...]
    """Attributes and text of each anchor."""
    base: str | None
    """What the page gives as the base of its links."""
    meta: dict[str, str]
    """What it states of itself by name, such as the API's version (PEP 629)."""
    is_html: bool
    """Whether there is any markup of a document in it."""
    is_application: bool
    """Whether it has forms or scripts, as login pages do."""


def read_anchors(text: str) -> Listing:
    """The links of a page; any text can be read, if only to find none."""
    reader = _Reader()
    reader.feed(text)
    reader.close()
    reader.end_link()
    return Listing(
        tuple(reader.links),
        reader.base,
        reader.meta,
        reader.is_html,
        reader.is_application,
    )


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.links: list[tuple[dict[str, str], str]] = []
        self.base: str | None = None
        self.meta: dict[str, str] = {}
        self.is_html = self.is_application = False
        self._attributes: dict[str, str] | None = None
        self._label: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in {"html", "body", "a", "title", "h1"}:
            self.is_html = True
        attributes = {name: value or "" for name, value in attrs}
        if tag == "a":
            self.end_link()
            self._attributes = attributes
        elif tag == "base":
            self.base = self.base or attributes.get("href")
        elif tag == "meta" and "name" in attributes:
            self.meta[attributes["name"]] = attributes.get("content", "")
        elif tag in {"form", "input", "script"}:
            self.is_application = True

    def handle_endtag(self, tag: str) -> None:
        if tag == "a":
            self.end_link()

    def handle_data(self, data: str) -> None:
        if self._attributes is not None:
            self._label.append(data)

    def end_link(self) -> None:
        """Note the link that is open, if there is one."""
        if self._attributes is not None:
            self.links.append((self._attributes, "".join(self._label).strip()))
        self._attributes = None
        self._label = []
