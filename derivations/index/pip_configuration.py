"""What pip is told of indexes: its variables and files, as pip reads them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from fromager.derivations.errors import InputError
from fromager.derivations.index.address import ConfiguredIndexes, IndexUrl

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

_SECTION: Final = "global"


@dataclass(frozen=True, slots=True)
class PipConfiguration:
    """pip's variables and files; files are parsed only if they can matter."""

    environ: Mapping[str, str]
    files: tuple[tuple[Path, str], ...]
    """Files and their text, the one that wins first."""

    def get(self, option: str) -> str | None:
        """An option's value (`index-url`); None if it is not set."""
        found = self.find(option)
        return found[0] if found is not None else None

    def find(self, option: str) -> tuple[str, str] | None:
        """An option's value, and where it comes from."""
        variable = f"PIP_{option.upper().replace('-', '_')}"
        # pip has called this option by two names.
        variables = (variable, "PIP_DEFAULT_TIMEOUT")[: 1 + (option == "timeout")]
        for name in variables:
            if self.environ.get(name):
                return self.environ[name], name
        for path, text in self.files:
            if option in text.lower().replace("_", "-"):
                value = _option(path, text, option)
                if value:
                    return value, str(path)
        return None


def read_pip_configuration(
    environ: Mapping[str, str], home: Path, etc: Path
) -> PipConfiguration:
    """pip's configuration: global, of the user, and where `PIP_CONFIG_FILE` points.

    Raises:
        InputError: a file that exists and cannot be read.
    """
    chosen = environ.get("PIP_CONFIG_FILE")
    if chosen == "/dev/null":
        return PipConfiguration(environ, ())
    config_home = environ.get("XDG_CONFIG_HOME")
    config = home / ".config" if not config_home else home / config_home
    places = [
        config / "pip" / "pip.conf",
        home / ".pip" / "pip.conf",
        etc / "pip.conf",
        etc / "xdg" / "pip" / "pip.conf",
    ]
    if chosen:
        places.insert(0, home / chosen)
    found = ((place, _text(place)) for place in places)
    return PipConfiguration(environ, tuple((p, t) for p, t in found if t is not None))


def pip_indexes(pip: PipConfiguration, cwd: Path) -> ConfiguredIndexes:
    """pip's lists of links and indexes in order of priority.

    pip itself has no order: the best file of all places wins. Here links come first,
    then a main index that is configured; extra indexes come before the public one only.
    """
    links = pip.find("find-links")
    found = []
    if links is not None:
        value, origin = links
        found = [IndexUrl.parse_links(each, origin, cwd) for each in value.split()]
    if (pip.get("no-index") or "").lower() in {"1", "true", "yes", "on"}:
        return ConfiguredIndexes(found, only=True)
    main = _indexes(pip, "index-url", cwd)
    extra = _indexes(pip, "extra-index-url", cwd)
    if not main and (extra or found):
        main, extra = extra, [IndexUrl.default()]
    return ConfiguredIndexes([*found, *main, *extra])


def _indexes(pip: PipConfiguration, option: str, cwd: Path) -> list[IndexUrl]:
    found = pip.find(option)
    if found is None:
        return []
    value, origin = found
    return [IndexUrl.parse(url, origin, cwd) for url in value.split()]


def _text(path: Path) -> str | None:
    try:
        return path.read_text("utf-8")
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path} cannot be read: {error}") from error


def _option(path: Path, text: str, option: str) -> str | None:
    import configparser

    parser = configparser.RawConfigParser()
    try:
        parser.read_string(text)
    except configparser.Error as error:
        raise InputError(f"{path} is not a configuration file of pip") from error
    if not parser.has_section(_SECTION):
        return None
    options = {name.replace("_", "-"): v for name, v in parser.items(_SECTION)}
    return options.get(option)
