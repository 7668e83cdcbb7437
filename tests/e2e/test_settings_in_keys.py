"""Every setting changes the key of what it touches, and of nothing else."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Final

import pytest

from fromager.derivations.customisation.schema import SETTINGS
from fromager.derivations.customisation.setting import Covered
from support.projects import sdist, sdist_members
from support.repositories import Repository
from support.rust import fake_rust
from support.wheels import WheelMaker

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from support.command_line import Outcome, Place
    from support.index import LocalIndex

    Offer = Callable[..., None]

EDIT: Final = "[{{ action = 'replace-line', files = ['notes.txt'], search = 'old', replace = 'new' }}]"  # fmt: skip
MUTATIONS: Final = {
    "build-dir": "'sub'",
    "env": "{{ SOMETHING = '1' }}",
    "scm-version": "true",
    "config-settings": "{{ option = ['a', 'b'] }}",
    "append-cflags": "['-g0']",
    "append-cxxflags": "['-g0']",
    "append-ldflags": "['-s']",
    "remove-flags": "['-Werror']",
    "cflags": "['-O1']",
    "cxxflags": "['-O1']",
    "ldflags": "['-s']",
    "build-requires": "['mut-other']",
    "update-build-requires": "['mut-other']",
    "remove-build-requires": "['mut-tool']",
    "edits": EDIT,
    "extra-sources": "[{{ url = '{files}extra.txt', sha256 = '{sha256}', path = 'x' }}]",
    "download-url": "'{files}elsewhere.tar.gz'",
    "download-filename": "'mut_touched-1.0.tgz'",
    "index": "'{index}'",
    "include-sdists": "true",
    "include-wheels": "true",
    "ignore-platform": "true",
    "min-age": "0",
    "submodules": "['vendor']",
    "tags": "{{ provider = 'git', project = '{repository}', tag = 'v{{version}}' }}",
    "match-runtime": "{{ '*' = 'never' }}",
    "prebuilt": "true",
    "prebuilt-index": "'{index}'",
    "system-packages": "{{ commands = ['sh'] }}",
    "open": "[{{ path = '{folder}', at = '/opt/opened' }}]",
    "rust": "'Cargo.toml'",
    "cores-per-job": "2",
    "memory-per-job": "1.5",
    "exclusive": "true",
    "timeout": "500",
    "defaults": "false",
    "changelog": "['because']",
    "requires-external": "['libfoo']",
    "wheel-files": "{{ 'notes.txt' = 'x' }}",
    "build-tag-hook": "'nowhere:none'",
    "sbom": "true",
    "purl": "{{ namespace = 'acme' }}",
    "annotations": "{{ reason = 'none' }}",
}
WITHOUT_EFFECT_ALONE: Final = {
    # They say where a file is found or what it is called: the same bytes, the same key.
    *("download-filename", "index", "prebuilt-index"),
    # They say which versions there are: the one that is chosen is the same.
    *("include-sdists", "include-wheels", "ignore-platform", "min-age"),
    "match-runtime",
    # It is not taken from git.
    "submodules",
    # There is no SBOM, and no changelog.
    *("purl", "build-tag-hook"),
}


def test_every_setting_is_tried() -> None:
    assert set(MUTATIONS) == set(SETTINGS)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("opened")
    (path / "data").write_text("seen")
    return path


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> str:
    made = Repository.make(tmp_path_factory.mktemp("repositories") / "mut_touched")
    made.commit(sdist_members("mut_touched", requires=["mut-tool"]), tag="v1.0")
    return made.url


@pytest.mark.parametrize("name", sorted(MUTATIONS))
def test_a_setting_changes_the_key_of_its_package_alone(
    place: Place,
    offer: Offer,
    index: LocalIndex,
    folder: Path,
    repository: str,
    tmp_path: Path,
    name: str,
) -> None:
    offer_projects(offer, index)
    place.variables["PATH"] = f"{fake_rust(tmp_path / 'rust')}:/usr/bin:/bin"
    before = keys(place.realise("mut-touched", "mut-other", "mut-tool"))
    files = f"{index.url.removesuffix('simple/')}files/"
    value = MUTATIONS[name].format(
        files=files,
        index=index.url,
        folder=folder,
        repository=repository,
        sha256=hashlib.sha256(b"extra").hexdigest(),
    )
    (place.folder / "fromager.toml").write_text(
        f"[package.Mut_Touched]\n{name} = {value}\n"
    )

    outcome = place.realise("mut-touched", "mut-other", "mut-tool")

    after = keys(outcome)
    touched = SETTINGS[name].covered is not Covered.NOTHING
    assert (after.pop("mut-touched") != before.pop("mut-touched")) == (
        touched and name not in WITHOUT_EFFECT_ALONE
    )
    assert after == before
    if SETTINGS[name].covered in (Covered.NOTHING, Covered.FINISH):
        assert outcome.builds == 0


def keys(outcome: Outcome) -> dict[str, str]:
    return {row["name"]: row["key"] for row in outcome.json["wheels"]}


def offer_projects(offer: Offer, index: LocalIndex) -> None:
    _, content = sdist("mut_touched", "1.0")
    sub = {f"sub/{name}": text for name, text in members(requires=["mut-tool"]).items()}
    offer(
        "mut_touched",
        requires=["mut-tool"],
        more={**sub, "notes.txt": "old\n", "Cargo.toml": "", "Cargo.lock": ""},
    )
    offer("mut_tool")
    offer("mut_other")
    index.add("elsewhere.tar.gz", content)
    index.add("extra.txt", b"extra")
    wheel = WheelMaker("mut_touched")
    index.add(wheel.filename, wheel.build())


def members(**options: list[str]) -> dict[str, str]:
    """The files of a tiny project, without their top-level folder."""
    import gzip
    import io
    import tarfile

    _, content = sdist("mut_touched", "1.0", **options)  # type: ignore[arg-type]
    found = {}
    with tarfile.open(fileobj=io.BytesIO(gzip.decompress(content))) as tar:
        for member in tar.getmembers():
            file = tar.extractfile(member)
            assert file is not None
            found[member.name.partition("/")[2]] = file.read().decode()
    return found
