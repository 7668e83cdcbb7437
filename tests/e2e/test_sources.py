"""Sources that a requirement names itself: folders, archives, commits in git."""

from __future__ import annotations

import io
import re
import tarfile
from typing import TYPE_CHECKING

import pytest

from support.index import LocalIndex, local_index
from support.projects import scm_members, sdist
from support.projects import sdist_members as members
from support.repositories import WHEN, Repository, git_server
from support.store_check import check_error, check_store

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from support.command_line import Outcome, Place

    Offer = Callable[..., None]


def write(folder: Path, files: dict[str, str]) -> Path:
    for path, text in files.items():
        place = folder / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(text)
    return folder


def names(outcome: Outcome) -> list[str]:
    return [f"{row['name']}=={row['version']}" for row in outcome.json["wheels"]]


def test_a_folder_is_built_and_found_again_until_it_changes(
    place: Place, offer: Offer
) -> None:
    offer("folderdep")
    folder = write(
        place.folder / "demo", members("demofolder", dependencies=["folderdep"])
    )

    first = place.realise("./demo")
    second = place.realise("./demo")
    (folder / "demofolder" / "__init__.py").write_text("VALUE = 'other'\n")
    third = place.realise("demofolder @ ./demo")

    assert names(first) == ["demofolder==1.0", "folderdep==1.0"]
    assert first.wheel("demofolder")["requested"]
    assert second.builds == 0 and second.out == first.out
    assert third.builds == 1
    assert third.wheel("demofolder")["key"] != first.wheel("demofolder")["key"]
    check_store(place)


def test_a_folder_has_the_same_key_wherever_it_lies(place: Place, fresh: Place) -> None:
    files = members("movedfolder")
    write(place.folder / "one" / "demo", files)
    write(fresh.folder / "elsewhere" / "demo", files)

    here = place.realise("./one/demo")
    there = fresh.realise("elsewhere/demo/")

    assert here.wheel("movedfolder")["key"] == there.wheel("movedfolder")["key"]


def test_a_commit_a_folder_and_an_archive_with_the_same_files_are_one_build(
    place: Place,
) -> None:
    repository = Repository.make(place.folder / "same")
    repository.commit(members("samefiles"))

    first = place.realise(f"git+{repository.url}")
    second = place.realise("./same")

    assert first.builds == 1 and second.builds == 0
    assert first.wheel("samefiles")["key"] == second.wheel("samefiles")["key"]


def test_a_tag_gives_the_version_and_the_commit_its_time(place: Place) -> None:
    repository = Repository.make(place.folder / "scm")
    files = scm_members("scmdemo", quirk="")
    repository.commit(files, tag="v1.2.0")
    repository.commit({"scmdemo/__init__.py": "VALUE = 2\n"})
    url = f"git+{repository.url}"

    tagged = place.realise(f"{url}@v1.2.0")
    later = place.realise(f"scmdemo @ {url}")

    assert names(tagged) == ["scmdemo==1.2.0"]
    version = f"1.2.1.dev1+g{repository.head[:9]}"
    assert names(later) == [f"scmdemo=={version}"]
    shown = place.run("derivation", "show", "scmdemo==1.2.0").json
    variables = shown["derivation"]["options"]["variables"]
    assert variables["SETUPTOOLS_SCM_PRETEND_VERSION_FOR_SCMDEMO"] == "1.2.0"
    assert variables["SOURCE_DATE_EPOCH"] == str(WHEN)
    (repository.folder / "scmdemo" / "__init__.py").write_text("VALUE = 3\n")
    assert names(place.realise("./scm")) == [f"scmdemo=={version}.changed"]


def test_a_branch_is_looked_up_each_time_and_a_commit_never(place: Place) -> None:
    repository = Repository.make(place.folder / "served" / "moving")
    first = repository.commit(members("moving"))

    with git_server(place.folder / "served") as server:
        url = f"git+{server.url('moving/.git')}"
        before = place.realise(f"{url}@main")
        repository.commit({"moving/__init__.py": "VALUE = 'new'\n"})
        after = place.realise(f"{url}@main")
        asked = len(server.requests)
        fixed = place.realise(f"moving @ {url}@{first}")
        again = place.realise(f"moving @ {url}@{first}")

        assert len(server.requests) == asked
    assert after.wheel("moving")["key"] != before.wheel("moving")["key"]
    assert fixed.wheel("moving")["key"] == before.wheel("moving")["key"]
    assert again.processes == ()
    assert place.realise("--offline", f"{url}@main").out == after.out


def test_a_project_may_lie_in_a_folder_of_its_source(
    place: Place, index: LocalIndex
) -> None:
    inner = {f"python/{path}": text for path, text in members("inner").items()}
    repository = Repository.make(place.folder / "outer")
    repository.commit({**inner, "README": "outer"})
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        archive.add(repository.folder / "python", "outer-1/python")
    index.add("outer-1.tar.gz", buffer.getvalue())

    from_git = place.realise(f"inner @ git+{repository.url}#subdirectory=python")
    from_archive = place.realise(
        f"inner @ {index.file_url('outer-1.tar.gz')}#subdirectory=python"
    )
    wrong = place.run("realise", f"git+{repository.url}#subdirectory=none")

    assert names(from_git) == names(from_archive) == ["inner==1.0"]
    check_error(wrong, 1, "there is no folder none")


def test_patches_fit_sources_of_any_kind(place: Place) -> None:
    repository = Repository.make(place.folder / "patchedgit")
    repository.commit(members("patchedgit"))
    patches = place.folder / "patches" / "patchedgit"
    patches.mkdir(parents=True)
    (patches / "one.patch").write_text(
        "--- a/patchedgit/__init__.py\n+++ b/patchedgit/__init__.py\n"
        "@@ -1 +1 @@\n-VALUE = '1.0'\n+VALUE = 'patched'\n"
    )

    plain = place.realise(f"git+{repository.url}")
    patched = place.realise(f"git+{repository.url}", "--patches", "patches")

    assert patched.wheel("patchedgit")["key"] != plain.wheel("patchedgit")["key"]


def test_an_archive_at_an_address_is_built(place: Place, index: LocalIndex) -> None:
    index.add(*sdist("addressed", "1.0"))
    url = index.file_url("addressed-1.0.tar.gz")

    outcome = place.realise(url)
    again = place.realise(f"{url}#sha256={index.sha256('addressed-1.0.tar.gz')}")
    wrong = place.run("realise", f"{url}#sha256={'0' * 64}")

    assert names(outcome) == ["addressed==1.0"]
    assert "sha256" in outcome.err and "trusted from now on" in outcome.err
    assert again.builds == 0
    check_error(wrong, 1, "expected sha256 0000")
    index.add("addressed-1.0.tar.gz", sdist("addressed", "1.0", value="new")[1])
    assert place.realise(url).out == outcome.out
    refreshed = place.realise("--refresh", url)
    assert refreshed.wheel("addressed")["key"] != outcome.wheel("addressed")["key"]
    assert place.realise(url).out == refreshed.out


def test_a_source_of_its_own_counts_for_all_who_require_the_project(
    place: Place, offer: Offer, index: LocalIndex
) -> None:
    offer("ownuser", dependencies=["ownlib"], requires=["ownlib"], imports=["ownlib"])
    offer("ownlib", "9.0")
    write(place.folder / "ownlib", members("ownlib", "2.0", value="own"))

    outcome = place.realise("ownuser", "./ownlib")

    assert names(outcome) == ["ownlib==2.0", "ownuser==1.0"]
    assert index.count("/simple/ownlib") == 0


def test_extras_and_markers_hold_for_sources_of_their_own(
    place: Place, offer: Offer
) -> None:
    offer("extradep")
    files = members("extraown", dependencies=["extradep; extra == 'x'"], extras=["x"])
    write(place.folder / "extraown", files)

    assert names(place.realise("./extraown")) == ["extraown==1.0"]
    assert names(place.realise("./extraown[x]")) == ["extradep==1.0", "extraown==1.0"]
    left = place.realise("extradep", "./extraown ; python_version < '3'")
    assert names(left) == ["extradep==1.0"]
    assert "left out" in left.err


def test_sources_may_name_sources_themselves(place: Place, offer: Offer) -> None:
    library = Repository.make(place.folder / "lib")
    library.commit(members("lowlib"), tag="v1.0")
    user = members("highuser", dependencies=[f"lowlib @ git+{library.url}@v1.0"])
    write(place.folder / "highuser", user)
    offer("published", dependencies=[f"lowlib @ git+{library.url}@v1.0"])

    assert names(place.realise("./highuser")) == ["highuser==1.0", "lowlib==1.0"]
    check_error(place.run("realise", "published"), 4, "lowlib from a URL")


def test_a_page_from_elsewhere_cannot_name_folders_of_this_machine(
    place: Place, index: LocalIndex
) -> None:
    secret = write(place.folder / "secret", members("secret"))
    index.add(*sdist("nosy", "1.0", dependencies=[f"secret @ file://{secret}"]))

    outcome = place.run("realise", index.file_url("nosy-1.0.tar.gz"))

    check_error(outcome, 1, "a place on this machine")


def test_two_places_for_one_project_are_a_conflict(place: Place) -> None:
    for folder in ("one", "two"):
        write(place.folder / folder, members("contestedplace"))

    outcome = place.run("realise", "./one", "contestedplace @ ./two")

    check_error(outcome, 4, "contestedplace is required from two places", "one", "two")


def test_a_place_that_does_not_fit_is_explained(place: Place, offer: Offer) -> None:
    write(place.folder / "oldlib", members("oldlib", "1.0"))
    offer("needsnew", dependencies=["oldlib>=2"])

    outcome = place.run("realise", "needsnew", "./oldlib")

    check_error(
        outcome, 4, r"oldlib>=2", "oldlib is taken from .*oldlib", "version 1.0"
    )


def test_a_place_with_another_project_is_an_error(place: Place) -> None:
    write(place.folder / "thing", members("actual"))

    check_error(place.run("realise", "wanted @ ./thing"), 1, "is actual, not wanted")


def test_a_source_whose_backend_tells_nothing_fails_as_a_build(place: Place) -> None:
    files = scm_members("silent", quirk="crash")
    write(place.folder / "silent", files)

    outcome = place.run("realise", "./silent")

    assert outcome.code == 5
    assert "on purpose" in outcome.err


def test_constraints_may_say_where_a_project_is_taken_from(
    place: Place, offer: Offer, index: LocalIndex
) -> None:
    offer("limituser", dependencies=["limitlib"])
    offer("limitlib", "5.0")
    write(place.folder / "limitlib", members("limitlib", "2.0"))
    (place.folder / "c.txt").write_text("limitlib @ ./limitlib\nunneeded @ ./x\n")
    (place.folder / "x").mkdir()

    outcome = place.realise("limituser", "-c", "c.txt")

    assert names(outcome) == ["limitlib==2.0", "limituser==1.0"]


def test_a_requirement_file_may_hold_all_of_it(place: Place, offer: Offer) -> None:
    offer("filedep")
    write(place.folder / "work" / "demo", members("fromfile", dependencies=["filedep"]))
    write(place.folder / "work" / "edit", members("edited"))
    lines = "-e ./edit\n./demo\n--trusted-host host.test\n"
    (place.folder / "work" / "r.txt").write_text(lines)

    outcome = place.realise("-r", "work/r.txt")

    assert names(outcome) == ["edited==1.0", "filedep==1.0", "fromfile==1.0"]
    assert "built as a wheel" in outcome.err


def test_a_project_file_and_its_groups_are_lists_of_requirements(
    place: Place, offer: Offer
) -> None:
    for name in ("pdep", "pextra", "pgroup"):
        offer(name)
    (place.folder / "pyproject.toml").write_text(
        '[project]\nname = "own"\ndependencies = ["pdep"]\n'
        '[project.optional-dependencies]\nfast = ["pextra"]\n'
        '[dependency-groups]\ntest = ["pgroup"]\n'
    )

    words = ("-r", "pyproject.toml")
    assert names(place.realise(*words)) == ["pdep==1.0"]
    assert names(place.realise(*words, "--extra", "fast")) == [
        "pdep==1.0",
        "pextra==1.0",
    ]
    assert names(place.realise("--group", "test")) == ["pgroup==1.0"]
    assert names(place.realise("--group", "pyproject.toml:test")) == ["pgroup==1.0"]
    check_error(place.run("realise", "--extra", "fast"), 2, "--extra needs a project")


def test_folders_of_archives_come_before_indexes(
    place: Place, offer: Offer, index: LocalIndex
) -> None:
    offer("linked", "9.0")
    offer("linkeddep")
    folder = place.folder / "archives"
    folder.mkdir()
    filename, content = sdist("linked", "1.0", dependencies=["linkeddep"])
    (folder / filename).write_bytes(content)

    outcome = place.realise("--find-links", "archives", "linked")
    again = place.realise("--find-links", "archives", "linked")
    alone = place.run("realise", "--find-links", "archives", "--no-index", "linked")

    assert names(outcome) == ["linked==1.0", "linkeddep==1.0"]
    assert again.processes == () and again.out == outcome.out
    check_error(alone, 4, "linkeddep")
    (place.folder / "r.txt").write_text("-f archives\n--no-index\nlinked\n")
    told = place.run("realise", "-r", "r.txt", "--no-deps")
    assert told.code == 0, told.err


def test_a_project_with_an_index_of_its_own_comes_from_there(
    place: Place, offer: Offer, index: LocalIndex
) -> None:
    offer("confused", "9.0")
    with local_index(dict([sdist("confused", "1.0")])) as own:
        outcome = place.realise("--index-for", f"confused={own.url}", "confused")

    assert names(outcome) == ["confused==1.0"]
    assert index.count("confused") == 0


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("git+file:///no/such/repository", 1),
        ("./none", 2),
        ("https://127.0.0.1:1/x-1.0.whl", 2),
        ("git+ext://sh", 2),
    ],
)
def test_a_place_that_cannot_be_used_is_one_error(
    place: Place, text: str, code: int
) -> None:
    check_error(place.run("realise", text), code)


def test_where_hashes_are_given_places_must_be_fixed(
    place: Place, offer: Offer, index: LocalIndex
) -> None:
    offer("hashedone")
    repository = Repository.make(place.folder / "unhashed")
    commit = repository.commit(members("unhashed"))
    line = f"hashedone --hash=sha256:{index.sha256('hashedone-1.0.tar.gz')}\n"
    (place.folder / "loose.txt").write_text(f"{line}git+{repository.url}@main\n")
    (place.folder / "fixed.txt").write_text(f"{line}git+{repository.url}@{commit}\n")

    check_error(place.run("realise", "-r", "loose.txt"), 2, "unhashed==1.0", "no hash")
    assert place.run("realise", "-r", "fixed.txt").code == 0


def test_tags_are_versions_where_a_rule_says_so(
    place: Place, offer: Offer, index: LocalIndex
) -> None:
    repository = Repository.make(place.folder / "ruled")
    repository.commit(scm_members("ruled", quirk=""), tag="rel-1.0")
    repository.commit({"ruled/__init__.py": "VALUE = 2\n"}, tag="rel-2.0")
    repository.commit({}, tag="other-9.0")
    offer("ruleuser", dependencies=["ruled<2"])
    (place.folder / "fromager.toml").write_text(
        "[package.ruled.tags]\n"
        f'provider = "git"\nproject = "{repository.url}"\ntag = "rel-{{version}}"\n'
    )

    newest = place.realise("ruled")
    older = place.realise("ruleuser")

    assert [row["version"] for row in newest.json["wheels"]] == ["2.0"]
    assert older.wheel("ruled")["version"] == "1.0"
    assert index.count("/simple/ruled/") == 0
    assert place.run("lock", "ruled").code == 0
    repository.commit({"ruled/__init__.py": "VALUE = 3\n"}, tag="rel-3.0")
    assert place.realise("ruled").wheel("ruled")["version"] == "3.0"
    locked = place.realise("--lock", "pylock.toml")
    assert locked.wheel("ruled")["key"] == newest.wheel("ruled")["key"]


def test_a_version_that_only_a_later_index_has_is_explained(
    place: Place, offer: Offer, index: LocalIndex
) -> None:
    offer("hidden", "9.0")
    with local_index(dict([sdist("hidden", "1.0")])) as own:
        words = ("--index", own.url, "--index", index.url, "realise", "hidden>1")
        outcome = place.run(*words)

    said = rf"hidden is taken from {re.escape(own.url)}, the first index that has it"
    check_error(outcome, 4, "no version of hidden fits >1; there is 1.0", said)


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ('{ provider = "git" }', r"fromager\.toml:1: tags: 'project' is missing"),
        ('{ provider = "gi", project = "a/b" }', "unknown provider 'gi'"),
        ('{ provider = "git", project = "a/b" }', "no address of a git repository"),
        (
            '{ provider = "git", project = "https://me:secret@host.example/a" }',
            "credentials do not belong into settings",
        ),
        (
            '{ provider = "github", project = "a/b", tag = "v1" }',
            r"must hold \{version\} once",
        ),
        (
            '{ provider = "gitlab", project = "a/b", pattern = "v" }',
            "must have one group",
        ),
    ],
)
def test_a_rule_for_tags_that_cannot_be_used_is_refused(
    place: Place, setting: str, said: str
) -> None:
    (place.folder / "fromager.toml").write_text(f"package.ruled.tags = {setting}\n")

    outcome = place.run("realise", "ruled")

    check_error(outcome, 2, said)
    assert "secret" not in outcome.err


def test_what_was_built_from_a_place_is_built_again_and_compared(place: Place) -> None:
    repository = Repository.make(place.folder / "rechecked")
    files = {f"py/{path}": text for path, text in scm_members("rechecked").items()}
    repository.commit(files, tag="v3.0")
    source = f"git+{repository.url}@v3.0#subdirectory=py"
    patches = place.folder / "patches" / "rechecked"
    patches.mkdir(parents=True)
    (patches / "one.patch").write_text(
        "--- a/py/rechecked/__init__.py\n+++ b/py/rechecked/__init__.py\n"
        "@@ -1 +1 @@\n-VALUE = '1.0'\n+VALUE = 'patched'\n"
    )
    for words in ((), ("--patches", "patches")):
        assert names(place.realise(source, *words)) == ["rechecked==3.0"]
        outcome = place.run("check", "--closure", "rechecked==3.0")
        assert outcome.code == 0, outcome.out + outcome.err
        assert "rechecked==3.0 (source): reproduced" in outcome.out
    metadata = place.run("store", "ls", "--json").json
    told = [
        row["path"] for row in metadata["objects"] if "-metadata" in str(row["path"])
    ]
    assert any(place.run("check", path).code == 0 for path in told if "recheck" in path)
