"""Sources that a requirement names itself: an archive, a folder, a commit in git.

    https://host.example/demo-1.0.tar.gz#sha256=…&subdirectory=python
    git+https://host.example/demo.git@v1.0#subdirectory=python
    ./demo     /srv/demo-1.0.tar.gz     file:///srv/demo

What is written is parsed once, at the edge; credentials are taken out of it there and
go to who makes requests, and nowhere else. The text of a source never holds any.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeAlias
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit, urlunsplit

from fromager.derivations.errors import InputError
from fromager.derivations.index.address import Login, redact, without_credentials

if TYPE_CHECKING:
    from packaging.markers import Marker

ARCHIVE_SUFFIXES: Final = (
    *(".tar.gz", ".tgz", ".tar.xz", ".txz", ".tar.bz2", ".tbz", ".tar", ".zip"),
)
GIT_SCHEMES: Final = frozenset({"https", "http", "ssh", "file"})
COMMIT: Final = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
_HOST: Final = re.compile(r"[A-Za-z0-9.\[][A-Za-z0-9.:_\[\]-]*")
_USER: Final = re.compile(r"[A-Za-z0-9._][A-Za-z0-9._-]*")
_REF: Final = re.compile(r"(?![-/.])[^\s~^:?*\[\\\x00-\x20\x7f]+")
_OTHER_SYSTEMS: Final = ("hg+", "svn+", "bzr+", "git+git:", "git://")
_OF_SSH: Final = re.compile(r"(?:git\+)?(?P<login>git@[\w.-]+):/*(?P<path>.+)")
"""The short form of addresses for ssh, which is no URL."""
_HASHES: Final = frozenset({"md5", "sha1", "sha224", "sha384", "sha512"})
_KNOWN: Final = frozenset({"egg", "subdirectory", "sha256", "submodules"}) | _HASHES


@dataclass(frozen=True, slots=True)
class ArchiveSource:
    """A source archive at an address of its own, or on this machine."""

    url: str
    """`https`, `http` or `file`; without credentials and fragment."""
    sha256: str | None = None
    subdirectory: str = ""
    """Where in it the project lies; empty for its top."""

    @property
    def filename(self) -> str:
        """The last part of the address."""
        return _filename(self.url)

    @property
    def is_fixed(self) -> bool:
        """Whether it can only ever be one content."""
        return self.sha256 is not None

    def __str__(self) -> str:
        parts = []
        if self.sha256 is not None:
            parts.append(f"sha256={self.sha256}")
        if self.subdirectory:
            parts.append(f"subdirectory={self.subdirectory}")
        return f"{self.url}#{'&'.join(parts)}" if parts else self.url


@dataclass(frozen=True, slots=True)
class FolderSource:
    """A project in a folder of this machine, as it is when it is read."""

    path: str
    """Absolute."""

    @property
    def is_fixed(self) -> bool:
        """Whether it can only ever be one content."""
        return False

    def __str__(self) -> str:
        return self.path


@dataclass(frozen=True, slots=True)
class GitSource:
    """A project in a commit of a git repository."""

    url: str
    """Of a scheme in `GIT_SCHEMES`; without a password."""
    ref: str | None = None
    """A commit, a tag or a branch; None for the branch that the server has chosen."""
    subdirectory: str = ""
    submodules: tuple[str, ...] | None = None
    """Paths of those that are taken along, sorted; None for all."""

    @property
    def is_fixed(self) -> bool:
        """Whether it names a commit in full."""
        return self.ref is not None and COMMIT.fullmatch(self.ref) is not None

    @property
    def name(self) -> str:
        """What the repository is called."""
        path = unquote(urlsplit(self.url).path).rstrip("/").removesuffix("/.git")
        return path.rpartition("/")[2].removesuffix(".git") or "repository"

    def at(self, commit: str) -> GitSource:
        """The same at this commit."""
        return replace(self, ref=commit)

    def __str__(self) -> str:
        text = f"git+{self.url}" + (f"@{self.ref}" if self.ref else "")
        parts = [f"subdirectory={self.subdirectory}"] if self.subdirectory else []
        if self.submodules is not None:
            parts.append(f"submodules={','.join(self.submodules) or 'none'}")
        return f"{text}#{'&'.join(parts)}" if parts else text


DirectSource: TypeAlias = ArchiveSource | FolderSource | GitSource


@dataclass(frozen=True, slots=True)
class DirectRequirement:
    """A requirement that says itself where its source is."""

    source: DirectSource
    origin: str
    """As shown to people: `command line`, `requirements.txt:3`."""
    name: str | None = None
    """Normalised; None where only the source tells it."""
    extras: tuple[str, ...] = ()
    """Normalised and sorted."""
    marker: Marker | None = None
    login: Login | None = field(default=None, repr=False, compare=False)
    """User and password that were written into the address."""

    @property
    def by_name(self) -> str:
        """The requirement without its place; its project is known."""
        extras = f"[{','.join(self.extras)}]" if self.extras else ""
        marker = f" ; {self.marker}" if self.marker is not None else ""
        return f"{self.name}{extras}{marker}"

    def __str__(self) -> str:
        extras = f"[{','.join(self.extras)}]" if self.extras else ""
        marker = f" ; {self.marker}" if self.marker is not None else ""
        if self.name is None:
            return f"{self.source}{extras}{marker}"
        return f"{self.name}{extras} @ {self.source}{marker}"


@dataclass(frozen=True, slots=True)
class ParsedSource:
    """A source, and what else was written with it."""

    source: DirectSource
    login: Login | None = field(repr=False)
    name: str | None
    """What `#egg=` says; it may hold extras."""


def _meant(text: str) -> str:
    """What to write instead of an address that no source is taken from."""
    found = _OF_SSH.fullmatch(text)
    if found is not None:
        return f"Write git+ssh://{found['login']}/{found['path']}"
    return (
        "Repositories are those of git: git+https://, git+ssh://, git+http:// or "
        "git+file://"
    )


def parse_source(text: str, folder: Path) -> ParsedSource:
    """The source that an address or a path stands for; paths are below `folder`.

    Raises:
        InputError: something that no source can be taken from; never with a password.
    """
    if _OF_SSH.fullmatch(text) or text.startswith(_OTHER_SYSTEMS):
        raise InputError(f"{redact(text)!r} cannot be used", hint=_meant(text))
    if text.startswith("git+"):
        return _git(text.removeprefix("git+"))
    address, _, fragment = text.partition("#")
    scheme = _split(address).scheme if ":" in address.partition("/")[0] else ""
    if scheme in {"http", "https"}:
        return _remote(address, _options(text, fragment))
    if scheme == "file":
        return _local(_path_of(address), _options(text, fragment), text)
    if scheme:
        raise InputError(
            f"{redact(text)!r} is of no scheme that can be used",
            hint="Use https://, http://, file:// or git+https://",
        )
    path = folder / address
    if fragment and not path.exists():
        # A name may hold this character.
        return _local(folder / text, {}, text)
    return _local(path, _options(text, fragment), text)


def _remote(address: str, options: dict[str, str]) -> ParsedSource:
    url, login = _without_login(address)
    if re.search(r"[\x00-\x20\x7f]", url):
        raise InputError(f"{url!r} is not the address of a file")
    filename = _filename(url)
    _check_archive(filename, url)
    source = ArchiveSource(url, _sha256(options, url), _subdirectory(options, url))
    return ParsedSource(source, login, options.get("egg"))


def _local(path: Path, options: dict[str, str], text: str) -> ParsedSource:
    # `..` must not be resolved by its text: a folder may be a link.
    path = path.absolute()
    shown = redact(text)
    if path.is_dir():
        if _sha256(options, shown) is not None:
            raise InputError(
                f"{shown!r} is a folder, which has no sha256",
                hint="Leave the hash out, or name an archive",
            )
        below = _subdirectory(options, shown)
        folder = path / below if below else path
        if not folder.is_dir():
            raise InputError(f"{shown!r}: there is no folder {folder}")
        return ParsedSource(FolderSource(str(folder)), None, options.get("egg"))
    if not path.is_file():
        raise InputError(
            f"{shown!r} is no file or folder of this machine",
            hint="A relative path is meant from the folder of the file that holds it, "
            "on a command line from the working folder",
        )
    _check_archive(path.name, shown)
    source = ArchiveSource(
        path.as_uri(), _sha256(options, shown), _subdirectory(options, shown)
    )
    return ParsedSource(source, None, options.get("egg"))


def _git(text: str) -> ParsedSource:
    address, _, fragment = text.partition("#")
    shown = f"git+{redact(text)}"
    options = _options(shown, fragment)
    parts = _split(address)
    if parts.scheme not in GIT_SCHEMES:
        raise InputError(
            f"{shown!r} is of no scheme that can be used",
            hint="Use git+https://, git+ssh://, git+http:// or git+file://",
        )
    path, at, ref = parts.path.rpartition("@")
    if not at:
        path, ref = parts.path, ""
    url = check_git_url(urlunsplit((parts.scheme, parts.netloc, path, "", "")))
    ref = unquote(ref)
    if at and (not _REF.fullmatch(ref) or ".." in ref or "@{" in ref):
        raise InputError(
            f"{shown!r}: {ref!r} is no name of a commit, a tag or a branch"
        )
    given = options.get("submodules", "all")
    paths = tuple(sorted(set(given.split(",")) - {""}))
    source = GitSource(
        url,
        ref.lower() if COMMIT.fullmatch(ref.lower()) else ref or None,
        _subdirectory(options, shown),
        None if given == "all" else () if given == "none" else paths,
    )
    login = None if parts.scheme == "ssh" else _without_login(address)[1]
    return ParsedSource(source, login, options.get("egg"))


def check_git_url(url: str) -> str:
    """The URL of a repository without a password, if it can be handed to git.

    Only a name of the user, for ssh, is left of what stands before the host.

    Raises:
        InputError: another scheme, or a host that could be taken for an option.
    """
    parts = _split(url)
    user, at, host = parts.netloc.rpartition("@")
    user = user.partition(":")[0]
    is_file = parts.scheme == "file"
    bad = (
        parts.scheme not in GIT_SCHEMES
        or (is_file and host not in ("", "localhost"))
        or (not is_file and not _HOST.fullmatch(host))
        or not parts.path.strip("/")
        or re.search(r"[\x00-\x20\x7f]", url)
    )
    keep = bool(at) and parts.scheme == "ssh"
    if bad or (keep and not _USER.fullmatch(user)):
        raise InputError(f"{redact(url)!r} is no address of a git repository")
    netloc = f"{user}@{host}" if keep else host
    return urlunsplit((parts.scheme, netloc, parts.path, "", ""))


def _without_login(address: str) -> tuple[str, Login | None]:
    parts = _split(address)
    url = without_credentials(address)
    pair, at, _ = parts.netloc.rpartition("@")
    if not at:
        return url, None
    user, _, password = pair.partition(":")
    return url, Login(url, unquote(user), unquote(password))


def _split(address: str) -> SplitResult:
    try:
        parts = urlsplit(address)
        _ = parts.port
    except ValueError as error:
        raise InputError(f"{redact(address)!r}: {error}") from error
    return parts


def _options(text: str, fragment: str) -> dict[str, str]:
    """What a fragment says (`egg=demo&subdirectory=python`)."""
    found = dict(parse_qsl(fragment, keep_blank_values=True))
    unknown = sorted(set(found) - _KNOWN)
    if unknown or (fragment and not found):
        what = ", ".join(unknown) or fragment
        raise InputError(
            f"{redact(text)!r}: {redact(what)!r} after # is not understood",
            hint="There may be sha256=, subdirectory= and, for git, submodules=",
        )
    return found


def _sha256(options: dict[str, str], shown: str) -> str | None:
    found = options.get("sha256")
    if found is None:
        weaker = sorted(_HASHES.intersection(options))
        if weaker:
            raise InputError(
                f"{shown!r}: a hash of the kind {weaker[0]} is not checked",
                hint="Give a sha256",
            )
        return None
    if not re.fullmatch(r"[0-9a-fA-F]{64}", found):
        raise InputError(f"{shown!r}: {found!r} is not a sha256")
    return found.lower()


def _subdirectory(options: dict[str, str], shown: str) -> str:
    return check_subdirectory(options.get("subdirectory", ""), shown)


def check_subdirectory(found: str, shown: str) -> str:
    """A folder in a source, with nothing in it that says nothing.

    Raises:
        InputError: it leads out of the source; `shown` is what people call that.
    """
    parts = [part for part in found.split("/") if part not in ("", ".")]
    if found.startswith("/") or ".." in parts or "\0" in found:
        raise InputError(f"{shown!r}: subdirectory {found!r} leads out of the source")
    return "/".join(parts)


def _check_archive(filename: str, shown: str) -> None:
    if filename.endswith(".whl"):
        raise InputError(
            f"{shown!r} is a wheel; everything is built from source",
            hint="Name the source distribution of the same version",
        )
    if not filename.lower().endswith(ARCHIVE_SUFFIXES):
        raise InputError(
            f"{shown!r} is no source archive by its name",
            hint=f"Source archives end in {', '.join(ARCHIVE_SUFFIXES)}",
        )


def _filename(url: str) -> str:
    return unquote(urlsplit(url).path).rpartition("/")[2]


def _path_of(address: str) -> Path:
    parts = _split(address)
    if parts.netloc not in ("", "localhost"):
        raise InputError(f"{redact(address)!r} lies on another machine")
    path = unquote(parts.path)
    if not path.startswith("/"):
        raise InputError(
            f"{redact(address)!r} is no absolute path",
            hint="Write file:///the/whole/path, or the path alone",
        )
    return Path(path)
