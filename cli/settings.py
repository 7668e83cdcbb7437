"""Settings: defaults, then `fromager.toml` (user, then project), then environment
variables, then the command line. Each value remembers where it came from."""

from __future__ import annotations

import os
from dataclasses import dataclass
from difflib import get_close_matches
from typing import TYPE_CHECKING, Final

from fromager.cli.store_places import relative_to_file, settings_of
from fromager.derivations import InputError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from fromager.derivations import SettingsTables

FILE_NAME: Final = "fromager.toml"
LEVELS: Final = ("full", "none")
MAY_BE_NOTHING: Final = ("min-age",)
TABLES: Final = ("package", "variants")
"""What a file may say of packages; see `SettingsTables`."""


@dataclass(frozen=True, slots=True)
class Setting:
    """One setting: what it is called, in which form, and what it stands for."""

    name: str
    type: type
    default: object
    meaning: str
    variable: str
    separator: str | None = None
    """What stands between the texts of a list in the variable; None is blanks."""


SETTINGS: Final = {
    setting.name: setting
    for setting in (
        Setting("store", str, None, "the store's folder", "FROMAGER_STORE"),
        Setting(
            "lower",
            list,
            (),
            "stores beneath it, which are only read",
            "FROMAGER_LOWER",
            os.pathsep,
        ),
        Setting(
            "index",
            list,
            (),
            "package indexes, first has priority",
            "FROMAGER_INDEX_URL",
        ),
        Setting(
            "find-links",
            list,
            (),
            "folders and pages with links, before all indexes",
            "FROMAGER_FIND_LINKS",
        ),
        Setting("no-index", bool, False, "use no index", "FROMAGER_NO_INDEX"),
        Setting(
            "index-for",
            list,
            (),
            "NAME=URL, the only index for a project",
            "FROMAGER_INDEX_FOR",
        ),
        Setting("python", str, None, "the interpreter to build for", "FROMAGER_PYTHON"),
        Setting("jobs", int, None, "builds that run at once", "FROMAGER_JOBS"),
        Setting("cores", int, None, "cores that each build may use", "FROMAGER_CORES"),
        Setting(
            "timeout", int, 7200, "seconds that one build may take", "FROMAGER_TIMEOUT"
        ),
        Setting("sandbox", str, "full", "the sandbox's level", "FROMAGER_SANDBOX"),
        Setting(
            "overrides",
            str,
            None,
            "the folder of settings and patches of packages",
            "FROMAGER_OVERRIDES",
        ),
        Setting("patches", str, None, "the folder of patches", "FROMAGER_PATCHES"),
        Setting(
            "variant",
            str,
            "cpu",
            "the variant that is built",
            "FROMAGER_VARIANT",
        ),
        Setting(
            "host-env",
            list,
            (),
            "variables of the caller that templates may name",
            "FROMAGER_HOST_ENV",
        ),
        Setting(
            "exclude-newer",
            str,
            None,
            "the last day whose uploads are used",
            "FROMAGER_EXCLUDE_NEWER",
        ),
        Setting(
            "exclude-newer-package",
            list,
            (),
            "the last day for single projects",
            "FROMAGER_EXCLUDE_NEWER_PACKAGE",
        ),
        Setting(
            "min-age",
            int,
            None,
            "days that files must have been on the index",
            "FROMAGER_MIN_AGE",
        ),
        Setting(
            "min-age-package",
            list,
            (),
            "days for single projects",
            "FROMAGER_MIN_AGE_PACKAGE",
        ),
        Setting(
            "undated-index",
            list,
            (),
            "indexes whose files may lack upload times",
            "FROMAGER_UNDATED_INDEX",
        ),
        Setting(
            "substituters",
            list,
            (),
            "caches that are asked before anything is built",
            "FROMAGER_SUBSTITUTERS",
        ),
        Setting(
            "signing-key",
            str,
            None,
            "the name of the key that signs what is pushed",
            "FROMAGER_SIGNING_KEY",
        ),
        Setting("offline", bool, False, "make no request", "FROMAGER_OFFLINE"),
        Setting(
            "max-source-bytes",
            int,
            8 << 30,
            "bytes that one unpacked source may have",
            "FROMAGER_MAX_SOURCE_BYTES",
        ),
        Setting(
            "max-source-files",
            int,
            500_000,
            "files that one unpacked source may have",
            "FROMAGER_MAX_SOURCE_FILES",
        ),
    )
}


@dataclass(frozen=True, slots=True)
class Value:
    """A value and where it came from."""

    value: object
    origin: str


@dataclass(frozen=True)
class Settings:
    """All settings in force."""

    values: Mapping[str, Value]
    packages: tuple[SettingsTables, ...] = ()
    """What the files say of packages, the one that counts most last."""
    folder: Path | None = None
    """Where the project's file lies."""

    def text(self, name: str) -> str | None:
        """A text, or None if it is not set."""
        value = self.values[name].value
        return None if value is None else str(value)

    def number(self, name: str) -> int | None:
        """A number, or None if it is not set."""
        value = self.values[name].value
        return value if isinstance(value, int) else None

    def flag(self, name: str) -> bool:
        """A switch."""
        return bool(self.values[name].value)

    def texts(self, name: str) -> tuple[str, ...]:
        """A list of texts."""
        value = self.values[name].value
        return tuple(str(item) for item in value) if isinstance(value, tuple) else ()


def load_settings(
    flags: Mapping[str, object],
    environ: Mapping[str, str],
    folder: Path,
    user_folder: Path,
    file: Path | None = None,
) -> Settings:
    """The settings in force in a folder.

    Raises:
        InputError: a file or a value that cannot be read, an unknown key.
    """
    values = {
        name: Value(setting.default, "default") for name, setting in SETTINGS.items()
    }
    if file is not None and not file.is_file():
        raise InputError(f"there is no settings file {file}")
    packages = []
    project = [file] if file else _project_file(folder)
    for path in project if file else [user_folder / FILE_NAME, *project]:
        if path.is_file():
            found, tables = _from_file(path)
            values.update(found)
            packages += tables
    for name, setting in SETTINGS.items():
        if setting.variable in environ:
            origin = f"environment variable {setting.variable}"
            text = environ[setting.variable]
            values[name] = Value(_from_text(setting, text, origin), origin)
    stores = flags.get("store")
    named = settings_of(stores) if isinstance(stores, tuple) else {}
    for name in SETTINGS:
        given = named.get(name, flags.get(name.replace("-", "_")))
        if given is not None and (given != () or name in named):
            values[name] = Value(_checked(name, given, "command line"), "command line")
    where = project[0].parent if project else None
    return Settings(values, tuple(packages), where)


def places_of_settings(folder: Path, user_folder: Path) -> list[Path]:
    """Where a settings file may be: the user's, then the project's, the nearest
    first."""
    return [place / FILE_NAME for place in (user_folder, folder, *folder.parents)]


def _project_file(folder: Path) -> list[Path]:
    """The nearest settings file, in this folder or one above it."""
    _, *places = places_of_settings(folder, folder)
    return [place for place in places if place.is_file()][:1]


def _from_file(path: Path) -> tuple[dict[str, Value], list[SettingsTables]]:
    from fromager.derivations import load_toml

    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise InputError(f"{path} is no UTF-8 text") from error
    table = load_toml(text, str(path))
    found = {}
    about: dict[str, object] = {
        name: table.pop(name) for name in TABLES if name in table
    }
    for name, value in table.items():
        line = _line_of(name, text)
        if name not in SETTINGS:
            raise InputError(
                f"{path}:{line}: unknown setting {name!r}", hint=_nearest(name)
            )
        given = tuple(value) if isinstance(value, list) else value
        origin = f"{path}:{line}"
        checked = _checked(name, given, origin)
        # A path in a file is meant from where the file lies.
        if name in ("store", "overrides", "patches") and isinstance(checked, str):
            checked = relative_to_file(checked, path.parent)
        if name == "lower" and isinstance(checked, tuple):
            checked = tuple(relative_to_file(text, path.parent) for text in checked)
        if name == "find-links" and isinstance(checked, tuple):
            checked = tuple(
                text if ":" in text else relative_to_file(text, path.parent)
                for text in checked
            )
        found[name] = Value(checked, origin)
    return found, _tables(path, text, about)


def _tables(path: Path, text: str, about: dict[str, object]) -> list[SettingsTables]:
    if not about:
        return []
    from fromager.derivations import SettingsTables

    return [SettingsTables(path, text, about)]


def _line_of(name: str, text: str) -> int:
    for number, line in enumerate(text.splitlines(), start=1):
        if line.strip().strip("[").startswith(name):
            return number
    return 1


def _nearest(name: str) -> str:
    close = get_close_matches(name, (*SETTINGS, *TABLES), n=1)
    if close:
        return f"Did you mean {close[0]!r}"
    return f"The settings are {', '.join((*SETTINGS, *TABLES))}"


def _from_text(setting: Setting, text: str, origin: str) -> object:
    value: object = text
    if setting.type is int:
        if not text.strip().lstrip("-").isdigit():
            raise InputError(f"{origin}: {text!r} is no whole number")
        value = int(text)
    elif setting.type is bool:
        words = {"1": True, "true": True, "yes": True, "": False}
        words |= {"0": False, "false": False, "no": False}
        if text.lower() not in words:
            raise InputError(f"{origin}: {text!r} is neither true nor false")
        value = words[text.lower()]
    elif setting.type is list:
        parts = text.split(setting.separator)
        value = tuple(part for part in parts if part)
    return _checked(setting.name, value, origin)


def _checked(name: str, value: object, origin: str) -> object:
    setting = SETTINGS[name]
    if setting.type is list:
        fits = isinstance(value, tuple) and all(isinstance(v, str) for v in value)
    else:
        fits = type(value) is setting.type
    if not fits:
        kind = {int: "a whole number", str: "a text", bool: "true or false"}
        wanted = kind.get(setting.type, "a list of texts")
        from fromager.derivations import redact

        shown = redact(repr(value))
        raise InputError(f"{origin}: {name} must be {wanted}, not {shown}")
    least = 0 if name in MAY_BE_NOTHING else 1
    if setting.type is int and isinstance(value, int) and value < least:
        raise InputError(f"{origin}: {name} must be at least {least}, not {value}")
    if name == "variant" and (not value or "/" in str(value)):
        raise InputError(f"{origin}: {value!r} is no name of a variant")
    if name == "sandbox" and value not in LEVELS:
        raise InputError(f"{origin}: sandbox must be {' or '.join(LEVELS)}")
    return value


def default_jobs(cores: int, memory: int) -> int:
    """Builds at once: one per core, and at least 2 GiB of memory for each."""
    return max(1, min(cores, memory // (2 << 30)))


def usable_cores() -> int:
    """Cores that this process may run on."""
    return len(os.sched_getaffinity(0))


def memory_bytes() -> int:
    """Memory of the machine, in bytes."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
