"""What a command is asked for, in words and files, as a request."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from fromager.cli.policies import find_cutoffs
from fromager.cli.recording import current_recording
from fromager.derivations import (
    GivenRequirement,
    InputError,
    RealiseRequest,
    parse_given,
    read_constraints,
    read_requirements,
    redact,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from fromager.cli.wiring import Wiring
    from fromager.derivations import FetchDocument, RequirementFile


@dataclass(frozen=True)
class Words:
    """What stands on a command line."""

    requirements: Sequence[str] = ()
    files: Sequence[str] = ()
    constraints: Sequence[str] = ()
    build_constraints: Sequence[str] = ()
    extras: Sequence[str] = ()
    groups: Sequence[str] = ()
    """`NAME`, or `FILE:NAME`."""


@dataclass(frozen=True)
class Asked:
    """A request, and what its files say of where to look."""

    request: RealiseRequest
    index_urls: tuple[str, ...] = field(repr=False)
    find_links: tuple[str, ...] = field(repr=False)
    no_index: bool

    def places(self, flags: Mapping[str, object]) -> dict[str, object]:
        """Global options that the files stand for, where they are not given."""
        found: dict[str, object] = {}
        if self.index_urls and not flags.get("index"):
            found["index"] = self.index_urls
        if self.find_links and not flags.get("find_links"):
            found["find_links"] = self.find_links
        if self.no_index:
            found["no_index"] = True
        return found


def read_request(
    wiring: Wiring,
    words: Words,
    *,
    dependencies: bool,
    prereleases: bool,
    refresh: bool,
    may_be_empty: bool = False,
) -> Asked:
    """What is asked for; files are read, and what is left unused in them is told.
    Those at an address are fetched; with `refresh`, whatever is known of them.

    Raises:
        InputError: nothing is asked for, or something that cannot be understood.
        NetworkError: a server does not give a file.
    """
    fetch = _fetching(wiring, refresh)

    def constraining(name: str) -> RequirementFile:
        return read_constraints(name, wiring.environ, fetch)

    read = _read_files(wiring, words, fetch)
    narrow = [constraining(name) for name in words.constraints]
    build = [constraining(name) for name in words.build_constraints]
    written = [
        parse_given(text, "command line", wiring.folder) for text in words.requirements
    ]
    given = [each for each in written if isinstance(each, GivenRequirement)]
    direct = [each for each in written if not isinstance(each, GivenRequirement)]
    given += [each for file in read for each in file.requirements]
    direct += [each for file in read for each in file.direct]
    if not given and not direct and not may_be_empty:
        raise InputError(
            "nothing to realise", hint="Name a requirement, such as click==8.1.7, or -r"
        )
    for file in build:
        for place in file.direct_constraints:
            raise InputError(
                f"{place.origin}: a build constraint can only narrow versions",
                hint="Write NAME==VERSION",
            )
    hashes: dict[str, tuple[str, ...]] = {}
    for file in (*read, *narrow):
        hashes.update(file.hashes)
        for note in file.notes:
            wiring.console.warning(note)
    request = RealiseRequest(
        tuple(given),
        tuple(each for file in (*read, *narrow) for each in file.constraints),
        tuple(each for file in build for each in file.constraints),
        tuple(sorted(hashes.items())),
        require_hashes=any(file.require_hashes for file in read),
        direct=tuple(direct),
        direct_constraints=tuple(
            each for file in (*read, *narrow) for each in file.direct_constraints
        ),
        dependencies=dependencies,
        prereleases=prereleases or any(file.prereleases for file in read),
        cutoffs=find_cutoffs(wiring.settings, given, datetime.now(UTC)),
    )
    return Asked(
        request,
        tuple(url for file in read for url in file.index_urls),
        tuple(place for file in read for place in file.find_links),
        any(file.no_index for file in read),
    )


def _fetching(wiring: Wiring, refresh: bool) -> FetchDocument:
    """Fetches files that are at an address; they are kept in the store."""

    def fetch(url: str) -> bytes:
        from fromager.derivations import StopSignal

        # Whether such a file is the same is known by asking for it.
        current_recording().spoil()
        with wiring.open_store(create=True) as store:
            network = wiring.network(store, StopSignal())
            return network.document(url, refresh=refresh)

    return fetch


def _read_files(
    wiring: Wiring, words: Words, fetch: FetchDocument
) -> list[RequirementFile]:
    projects = [name for name in words.files if name.endswith(".toml")]
    if words.extras and not projects:
        raise InputError(
            "--extra needs a project",
            hint="Name its pyproject.toml with -r, or write the extra behind a "
            "requirement: NAME[EXTRA]",
        )
    found = [
        _project(name, extras=words.extras)
        if name in projects
        else read_requirements(name, wiring.environ, fetch)
        for name in words.files
    ]
    for text in words.groups:
        file, colon, group = text.rpartition(":")
        name = file if colon else "pyproject.toml"
        found.append(_project(name, groups=(group,)))
    return found


def _project(
    name: str, *, extras: Sequence[str] = (), groups: Sequence[str] = ()
) -> RequirementFile:
    if name.startswith(("https://", "http://")):
        raise InputError(
            f"{redact(name)}: projects are read from this machine only",
            hint="Download the file, and name the copy; or name a file of requirements",
        )
    # Only who has such a file pays for it.
    from fromager.derivations import read_project

    return read_project(Path(name), extras=extras, groups=groups)
