"""What uv is told of indexes: its variables and files, as uv reads them."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final

from fromager.derivations.errors import InputError
from fromager.derivations.index.address import ConfiguredIndexes, IndexUrl

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path


_TRUE: Final = frozenset({"1", "true", "yes", "y", "on"})


@dataclass
class _Found:
    """Indexes as they are found, from the strongest place to the weakest."""

    environ: Mapping[str, str]
    cwd: Path
    links: list[IndexUrl] = field(default_factory=list)
    indexes: list[IndexUrl] = field(default_factory=list)
    default: IndexUrl | None = None
    no_index: bool = False
    explicit: dict[str, IndexUrl] = field(default_factory=dict)
    """By name, indexes for single projects."""
    chosen: dict[str, str] = field(default_factory=dict)
    """By project, the name of its index."""
    notes: list[str] = field(default_factory=list)

    def add(self, text: str, origin: str, folder: Path, *, default: bool) -> None:
        """Take an index, written as `url` or `name=url`."""
        name, equals, url = text.partition("=")
        if not equals or not re.fullmatch(r"[\w.-]+", name):
            name, url = "", text
        self.add_named(name, url, (origin, folder), default=default)

    def add_named(
        self, name: str, url: str, place: tuple[str, Path], *, default: bool
    ) -> None:
        """Take an index that has a name or none, from a file or variable."""
        index = self.parsed(name, IndexUrl.parse(url, *place))
        if not default:
            self.indexes.append(index)
        elif self.default is None:
            self.default = index
        if name:
            self.explicit.setdefault(name, index)

    def parsed(self, name: str, index: IndexUrl) -> IndexUrl:
        """The index with the credentials that variables give to one of that name."""
        prefix = f"UV_INDEX_{re.sub(r'[^A-Z0-9]', '_', name.upper())}"
        user = self.environ.get(f"{prefix}_USERNAME") if name else None
        password = self.environ.get(f"{prefix}_PASSWORD") if name else None
        if user or password:
            index = replace(index, credentials=(user or "", password or ""))
        return index

    def result(self) -> ConfiguredIndexes:
        """All that was found, in order of priority."""
        assigned = {}
        for project, name in self.chosen.items():
            if name in self.explicit:
                assigned[project] = self.explicit[name]
            else:
                self.notes.append(f"{project} is to come from {name!r}, no known index")
        indexes = [] if self.no_index else self.indexes
        found = [*self.links, *indexes]
        if not self.no_index and (found or self.default is not None):
            found.append(self.default or IndexUrl.default())
        return ConfiguredIndexes(found, self.notes, assigned, self.no_index)


def uv_indexes(
    environ: Mapping[str, str], home: Path, cwd: Path, etc: Path
) -> ConfiguredIndexes:
    """uv's lists of links and indexes in its order of priority, links first.

    Raises:
        InputError: a file that cannot be read, or that holds something else.
    """
    found = _Found(environ, cwd)
    for variable in ("UV_INDEX", "UV_EXTRA_INDEX_URL"):
        for text in environ.get(variable, "").split():
            found.add(text, variable, cwd, default=False)
    for variable in ("UV_DEFAULT_INDEX", "UV_INDEX_URL"):
        if environ.get(variable):
            found.add(environ[variable], variable, cwd, default=True)
    for place in re.split(r"[\s,]+", environ.get("UV_FIND_LINKS", "")):
        if place:
            found.links.append(IndexUrl.parse_links(place, "UV_FIND_LINKS", cwd))
    found.no_index = environ.get("UV_NO_INDEX", "").lower() in _TRUE
    for path, settings in _files(environ, home, cwd, etc):
        _read_settings(path, settings, found)
    return found.result()


def _read_settings(path: Path, settings: Mapping[str, object], found: _Found) -> None:
    origin, folder = str(path), path.parent
    rows = settings.get("index", [])
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise InputError(f"{path}: `index` must be a list of tables")
    for row in rows:
        url, name = row.get("url"), row.get("name") or ""
        if not isinstance(url, str) or not isinstance(name, str):
            raise InputError(f"{path}: an index must have a `url`, and a name in text")
        if row.get("format", "simple") == "flat":
            links = IndexUrl.parse_links(url, origin, folder)
            found.links.append(found.parsed(name, links))
            continue
        if row.get("explicit") is True:
            index = IndexUrl.parse(url, origin, folder)
            found.explicit.setdefault(name, found.parsed(name, index))
            continue
        is_default = row.get("default") is True
        found.add_named(name, url, (origin, folder), default=is_default)
    for url in _texts(path, settings, "extra-index-url"):
        found.add(url, origin, folder, default=False)
    for url in _texts(path, settings, "index-url"):
        found.add(url, origin, folder, default=True)
    for place in _texts(path, settings, "find-links"):
        found.links.append(IndexUrl.parse_links(place, origin, folder))
    found.no_index = found.no_index or settings.get("no-index") is True
    sources = settings.get("sources", {})
    if isinstance(sources, dict):
        for project, source in sources.items():
            if isinstance(source, dict) and isinstance(source.get("index"), str):
                normal = re.sub(r"[-_.]+", "-", project).lower()
                found.chosen.setdefault(normal, source["index"])


def _texts(path: Path, settings: Mapping[str, object], option: str) -> list[str]:
    value = settings.get(option, [])
    if isinstance(value, str):
        return [value]
    if isinstance(value, list) and all(isinstance(item, str) for item in value):
        return value
    raise InputError(f"{path}: `{option}` must be text, or a list of texts")


def _files(
    environ: Mapping[str, str], home: Path, cwd: Path, etc: Path
) -> Iterator[tuple[Path, Mapping[str, object]]]:
    """uv's configuration, the strongest first: of the project, the user, the system."""
    if environ.get("UV_NO_CONFIG", "").lower() in _TRUE:
        return
    if environ.get("UV_CONFIG_FILE"):
        path = cwd / environ["UV_CONFIG_FILE"]
        settings = _toml(path)
        if settings is None:
            raise InputError(f"{path}, named by UV_CONFIG_FILE, does not exist")
        yield path, settings
        return
    project = _project_file(cwd)
    if project is not None:
        yield project
    config_home = environ.get("XDG_CONFIG_HOME")
    config = home / ".config" if not config_home else home / config_home
    for place in (config, etc / "xdg", etc):
        path = place / "uv" / "uv.toml"
        settings = _toml(path)
        if settings is not None:
            yield path, settings


def _project_file(cwd: Path) -> tuple[Path, Mapping[str, object]] | None:
    for folder in (cwd, *cwd.parents):
        path = folder / "uv.toml"
        settings = _toml(path)
        if settings is not None:
            return path, settings
        path = folder / "pyproject.toml"
        # Parsing costs more than looking for the words that must be there.
        settings = _toml(path, needed=b"uv")
        tool = (settings or {}).get("tool")
        if isinstance(tool, dict) and isinstance(tool.get("uv"), dict):
            return path, tool["uv"]
    return None


def _toml(path: Path, needed: bytes = b"") -> Mapping[str, object] | None:
    try:
        content = path.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}") from error
    if needed not in content:
        return None
    import tomllib

    try:
        return tomllib.loads(content.decode("utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InputError(f"{path} is not valid TOML: {error}") from error
