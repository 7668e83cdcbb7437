"""Settings that say which versions there are, and what is taken along from git."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from support.index import Hosted
from support.projects import sdist
from support.repositories import Repository
from support.store_check import check_error
from support.wheels import WheelMaker

if TYPE_CHECKING:
    from pathlib import Path

    from support.command_line import Outcome, Place
    from support.index import LocalIndex


def settings(place: Place, text: str) -> None:
    (place.folder / "fromager.toml").write_text(text)


def upstream(place: Place, name: str, text: str) -> None:
    folder = place.folder / "overrides" / "settings"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{name}.yaml").write_text(text)


def versions(outcome: Outcome) -> list[str]:
    return [f"{row['name']}=={row['version']}" for row in outcome.json["wheels"]]


def publish(index: LocalIndex, name: str, *, tag: str = "py3-none-any") -> str:
    """An sdist of 1.0, a wheel of 2.0, and the sources of both elsewhere."""
    index.add(*sdist(name, "1.0"))
    wheel = WheelMaker(name, "2.0", tag)
    index.add(wheel.filename, wheel.build())
    for version in ("1.0", "2.0"):
        index.add(f"{name}-source-{version}.tar.gz", sdist(name, version)[1])
    files = f"{index.url.removesuffix('simple/')}files"
    return f"download_source: {{url: '{files}/{name}-source-${{version}}.tar.gz'}}\n"


def test_versions_of_wheels_count_where_that_is_asked_for(
    place: Place, index: LocalIndex
) -> None:
    source = publish(index, "wheely")

    plain = place.realise("wheely")
    upstream(place, "wheely", f"{source}resolver_dist: {{include_wheels: true}}\n")
    counted = place.realise("wheely")

    assert versions(plain) == ["wheely==1.0"]
    assert versions(counted) == ["wheely==2.0"]
    assert counted.built == ["wheely==2.0"]


def test_a_wheel_is_never_taken_for_a_source(place: Place, index: LocalIndex) -> None:
    publish(index, "nosource")
    upstream(place, "nosource", "resolver_dist: {include_wheels: true}\n")

    assert versions(place.realise("nosource")) == ["nosource==1.0"]
    check_error(place.run("realise", "nosource==2.0"), 4, "wheels")


def test_sdists_may_be_left_out(place: Place, index: LocalIndex) -> None:
    source = publish(index, "nosdist")
    index.add(*sdist("nosdist", "3.0"))
    rules = "resolver_dist: {include_sdists: false, include_wheels: true}\n"
    upstream(place, "nosdist", source + rules)

    assert versions(place.realise("nosdist")) == ["nosdist==2.0"]


@pytest.mark.parametrize(("ignore", "version"), [("false", "1.0"), ("true", "2.0")])
def test_wheels_for_other_platforms_count_only_if_that_is_asked_for(
    place: Place, index: LocalIndex, ignore: str, version: str
) -> None:
    name = f"foreign_{ignore}"
    source = publish(index, name, tag="py3-none-win32")
    rules = f"resolver_dist: {{include_wheels: true, ignore_platform: {ignore}}}\n"
    upstream(place, name, source + rules)

    assert versions(place.realise(name)) == [f"foreign-{ignore}=={version}"]


def test_a_package_may_have_to_be_of_an_age(place: Place, index: LocalIndex) -> None:
    for name in ("settled", "restless"):
        for version, days in (("1.0", 20), ("2.0", 2)):
            uploaded = (datetime.now(UTC) - timedelta(days=days)).isoformat()
            filename, content = sdist(name, version)
            index.add(filename, Hosted(content, upload_time=uploaded))
    upstream(place, "settled", "resolver_dist: {min_release_age: 7}\n")
    upstream(place, "restless", "resolver_dist: {min_release_age: 0}\n")

    alone = place.realise("settled", "restless")
    limited = place.realise("settled", "restless", "--min-age", "10")
    again = place.realise("settled", "restless", "--min-age", "10")
    said = place.realise("settled", "--min-age-package", "settled=1")

    assert versions(alone) == ["restless==2.0", "settled==1.0"]
    assert versions(limited) == ["restless==2.0", "settled==1.0"]
    assert again.processes == ()
    assert versions(said) == ["settled==2.0"]


@pytest.mark.parametrize(
    ("rule", "seen"),
    [
        ("", "['one.txt', 'two.txt']"),
        ("{submodules: false}", "[]"),
        ("{submodules: true}", "['one.txt', 'two.txt']"),
        ("{submodules: true, submodule_paths: [vendor/one]}", "['one.txt']"),
    ],
)
def test_submodules_are_those_that_settings_name(
    place: Place, tmp_path: Path, rule: str, seen: str
) -> None:
    from support.projects import BACKEND

    code = "\nprint(sorted(p.name for p in pathlib.Path('vendor').rglob('*.txt')))\n"
    files = {**members("with_modules"), "tiny_backend.py": BACKEND + code}
    repository = Repository.make(tmp_path / "main")
    repository.commit(files)
    for each in ("one", "two"):
        part = Repository.make(tmp_path / each)
        part.commit({f"{each}.txt": each})
        repository.add_submodule(part.url, f"vendor/{each}")
    if rule:
        upstream(place, "with_modules", f"git_options: {rule}\n")

    place.realise(f"with-modules @ git+{repository.url}")

    assert place.run("log", "with-modules").out.strip() == seen


def test_submodules_that_are_not_wanted_need_not_be_there(
    place: Place, tmp_path: Path
) -> None:
    import shutil

    repository = Repository.make(tmp_path / "main")
    repository.commit(members("lonely"))
    gone = Repository.make(tmp_path / "gone")
    gone.commit({"a.txt": "a"})
    repository.add_submodule(gone.url, "vendor/gone")
    shutil.rmtree(gone.folder)
    upstream(place, "lonely", "git_options: {submodules: false}\n")

    outcome = place.realise(f"lonely @ git+{repository.url}")

    assert outcome.built == ["lonely==1.0"]


def members(name: str) -> dict[str, str]:
    import io
    import tarfile

    _, content = sdist(name, "1.0")
    found = {}
    with tarfile.open(fileobj=io.BytesIO(content)) as archive:
        for member in archive:
            stream = archive.extractfile(member)
            assert stream is not None
            found[member.name.partition("/")[2]] = stream.read().decode()
    return found
