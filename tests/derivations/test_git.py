"""Commits of real repositories: over file:// and HTTP, and nothing of them ever run."""

from __future__ import annotations

import gzip
import os
import threading
from typing import TYPE_CHECKING

import pytest

from fromager.derivations.building.stopping import StopSignal
from fromager.derivations.errors import NetworkError, SourceError, Stopped
from fromager.derivations.index.address import Credentials, Login
from fromager.derivations.sources.direct import GitSource
from fromager.derivations.sources.git import LFS_POINTER, Commit
from fromager.derivations.sources.git_command import GitCommand, GitSettings
from support.repositories import WHEN, Repository, git, git_client, git_server

if TYPE_CHECKING:
    from pathlib import Path

    from fromager.derivations.sources.git import Git


@pytest.fixture
def demo(tmp_path: Path) -> Repository:
    repository = Repository.make(tmp_path / "served" / "demo")
    repository.commit({"a.txt": "one", "sub/b.txt": "two"}, tag="v1.0")
    return repository


def contents(client: Git, source: GitSource) -> dict[str, bytes]:
    commit = client.find(source)
    return {file.path: file.content for file in client.files(source, commit)}


def test_a_tag_a_branch_and_a_commit_are_found(
    demo: Repository, tmp_path: Path
) -> None:
    first = demo.head
    second = demo.commit({"a.txt": "three"})
    client = git_client(tmp_path / "cache")

    found = {
        ref: client.find(GitSource(demo.url, ref)).identity
        for ref in (None, "main", "v1.0", "refs/tags/v1.0", "tags/v1.0", first)
    }

    assert found.pop(None) == found.pop("main") == second
    assert set(found.values()) == {first}
    assert client.find(GitSource(demo.url, "v1.0")).tags == ("v1.0",)


def test_the_first_digits_of_a_commit_are_enough(
    demo: Repository, tmp_path: Path
) -> None:
    first = demo.head
    demo.commit({"a.txt": "three"})
    client = git_client(tmp_path / "cache")
    source = GitSource(demo.url, first[:10])
    # What was fetched before, and how much of it, makes no difference.
    contents(client, GitSource(demo.url))

    assert client.find(source).identity == first
    assert contents(client, source)["a.txt"] == b"one"


@pytest.mark.parametrize("ref", ["none", "v9", "abcdef0", "1234567890"])
def test_what_is_not_there_is_an_error(
    demo: Repository, tmp_path: Path, ref: str
) -> None:
    with pytest.raises(SourceError, match=f"no commit, tag or branch '{ref}'"):
        git_client(tmp_path / "cache").find(GitSource(demo.url, ref))


def test_a_commit_that_nobody_has_is_an_error(demo: Repository, tmp_path: Path) -> None:
    client = git_client(tmp_path / "cache")

    with pytest.raises(SourceError):
        contents(client, GitSource(demo.url, "0" * 40))


def test_files_come_as_git_holds_them(demo: Repository, tmp_path: Path) -> None:
    files = {
        ".gitattributes": "*.txt text eol=crlf\nv.txt export-subst ident\n"
        "x.txt filter=evil export-ignore\n",
        "v.txt": "$Format:%H$ $Id$\n",
        "x.txt": "text\n",
        "tool.sh": "#!/bin/sh\n",
    }
    (demo.folder / "link").symlink_to("a.txt")
    demo.commit(files)
    (demo.folder / "tool.sh").chmod(0o755)
    demo.commit({})
    client = git_client(tmp_path / "cache")
    source = GitSource(demo.url)

    found = {file.path: file for file in client.files(source, client.find(source))}

    assert {p: found[p].content.decode() for p in files} == files
    assert found["link"].is_link and found["link"].content == b"a.txt"
    assert [path for path in sorted(found) if found[path].is_executable] == ["tool.sh"]
    assert not any(path.startswith(".git/") for path in found)
    assert client.commit_time(demo.url, client.find(source)) == WHEN


def test_nothing_of_a_repository_is_run(demo: Repository, tmp_path: Path) -> None:
    marker = tmp_path / "ran"
    script = f"#!/bin/sh\ntouch {marker}\ncat\n"
    hooks = demo.folder / ".git" / "hooks"
    hooks.mkdir(exist_ok=True)
    for name in ("post-checkout", "post-merge", "reference-transaction", "pre-fetch"):
        (hooks / name).write_text(script)
        (hooks / name).chmod(0o755)
    filters = tmp_path / "filter.sh"
    filters.write_text(script)
    filters.chmod(0o755)
    configuration = tmp_path / "gitconfig"
    configuration.write_text(
        f'[filter "evil"]\nsmudge = {filters}\nclean = {filters}\nrequired = true\n'
        f"[core]\nfsmonitor = {filters}\nhooksPath = {hooks}\n"
    )
    demo.commit({".gitattributes": "*.txt filter=evil\n", "x.txt": "x"})
    marker.unlink(missing_ok=True)
    client = git_client(
        tmp_path / "cache", environ={"GIT_CONFIG_GLOBAL": str(configuration)}
    )

    assert contents(client, GitSource(demo.url))["x.txt"] == b"x"
    assert not marker.exists()


def test_variables_that_point_git_elsewhere_do_not_reach_it(
    demo: Repository, tmp_path: Path
) -> None:
    other = Repository.make(tmp_path / "other")
    environ = {
        "GIT_DIR": str(other.folder / ".git"),
        "GIT_OBJECT_DIRECTORY": str(tmp_path / "objects"),
        "GIT_CONFIG_COUNT": "1",
        "GIT_CONFIG_KEY_0": "protocol.ext.allow",
        "GIT_CONFIG_VALUE_0": "always",
        "GIT_ALLOW_PROTOCOL": "ext",
    }
    client = git_client(tmp_path / "cache", environ=environ)

    assert set(contents(client, GitSource(demo.url))) == {"a.txt", "sub/b.txt"}


def test_other_protocols_are_refused_whoever_allows_them(tmp_path: Path) -> None:
    configuration = tmp_path / "gitconfig"
    configuration.write_text(
        '[protocol]\nallow = always\n[url "ext::sh -c touch% ran% "]\n'
        "insteadOf = file:///short/\n"
    )
    client = git_client(
        tmp_path / "cache", environ={"GIT_CONFIG_GLOBAL": str(configuration)}
    )

    with pytest.raises(SourceError, match="'ext' not allowed"):
        client.refs("file:///short/x")


def test_what_lies_in_lfs_is_refused(demo: Repository, tmp_path: Path) -> None:
    pointer = LFS_POINTER + b"oid sha256:" + b"0" * 64 + b"\nsize 12\n"
    demo.commit({"big.bin": pointer})

    with pytest.raises(SourceError, match=r"big\.bin lies in git LFS") as caught:
        contents(git_client(tmp_path / "cache"), GitSource(demo.url))

    assert caught.value.hint


@pytest.fixture
def nested(demo: Repository, tmp_path: Path) -> Repository:
    """`outer` holds `libs/demo` and `libs/inner`, which holds `deep`."""
    inner = Repository.make(tmp_path / "served" / "inner")
    inner.commit({"i.txt": "inner"})
    inner.add_submodule(demo.url, "deep")
    outer = Repository.make(tmp_path / "served" / "outer")
    outer.commit({"o.txt": "outer"})
    outer.add_submodule("../demo", "libs/demo")
    outer.add_submodule(inner.url, "libs/inner")
    return outer


def test_submodules_are_taken_along(nested: Repository, tmp_path: Path) -> None:
    client = git_client(tmp_path / "cache")

    def paths(*submodules: str) -> set[str]:
        return set(contents(client, GitSource(nested.url, submodules=submodules)))

    everything = set(contents(client, GitSource(nested.url)))

    assert everything == {
        *(".gitmodules", "o.txt", "libs/demo/a.txt", "libs/demo/sub/b.txt"),
        *("libs/inner/.gitmodules", "libs/inner/i.txt"),
        *("libs/inner/deep/a.txt", "libs/inner/deep/sub/b.txt"),
    }
    assert paths() == {".gitmodules", "o.txt"}
    assert paths("libs/demo") == {path for path in everything if "inner" not in path}
    assert "libs/inner/deep/a.txt" in paths("libs/inner/deep")
    with pytest.raises(SourceError, match="there is no submodule nothing"):
        paths("nothing")


def test_a_submodule_on_this_machine_is_for_those_on_this_machine(
    nested: Repository, tmp_path: Path
) -> None:
    client = git_client(tmp_path / "cache")

    with git_server(tmp_path / "served") as server:
        source = GitSource(server.url("inner/.git"))
        with pytest.raises(SourceError, match="a folder of this machine"):
            contents(client, source)


@pytest.mark.parametrize(
    "url", ["ext::sh -c true", "ftp://x.test/y", "--upload-pack=x", "ssh://-oX=y/z"]
)
def test_a_submodule_with_another_scheme_is_refused(
    demo: Repository, tmp_path: Path, url: str
) -> None:
    head = demo.head
    modules = f'[submodule "s"]\npath = s\nurl = {url}\n'
    (demo.folder / ".gitmodules").write_text(modules)
    git(demo.folder, "update-index", "--add", "--cacheinfo", f"160000,{head},s")
    git(demo.folder, "add", ".gitmodules")
    git(demo.folder, "commit", "--quiet", "--message=x")

    with pytest.raises(SourceError, match="a submodule"):
        contents(git_client(tmp_path / "cache"), GitSource(demo.url))


def test_a_path_that_no_clean_tree_has_is_refused(
    demo: Repository, tmp_path: Path
) -> None:
    blob = git(demo.folder, "rev-parse", "HEAD:a.txt")
    inner = make_tree(demo, f"100644 blob {blob}\tconfig")
    top = make_tree(demo, f"040000 tree {inner}\t.GIT")
    commit = git(demo.folder, "commit-tree", "-m", "x", top)
    git(demo.folder, "update-ref", "refs/heads/evil", commit)

    with pytest.raises(SourceError, match="no clean path"):
        contents(git_client(tmp_path / "cache"), GitSource(demo.url, "evil"))


def make_tree(repository: Repository, row: str) -> str:
    """A tree object as no `git add` would make it."""
    import hashlib
    import zlib

    facts, name = row.split("\t")
    mode, _, identity = facts.split(" ")
    body = f"{mode.lstrip('0')} {name}\0".encode() + bytes.fromhex(identity)
    content = f"tree {len(body)}\0".encode() + body
    digest = hashlib.sha1(content).hexdigest()
    place = repository.folder / ".git" / "objects" / digest[:2] / digest[2:]
    place.parent.mkdir(exist_ok=True)
    place.write_bytes(zlib.compress(content))
    return digest


def test_tags_and_distances_are_known(demo: Repository, tmp_path: Path) -> None:
    tagged = demo.head
    demo.commit({"a.txt": "2"})
    last = demo.commit({"a.txt": "3"})
    client = git_client(tmp_path / "cache")

    assert client.nearest_tag(demo.url, Commit(tagged)) == ("v1.0", 0)
    assert client.nearest_tag(demo.url, Commit(last)) == ("v1.0", 2)


def test_without_a_tag_all_commits_are_counted(tmp_path: Path) -> None:
    bare = Repository.make(tmp_path / "untagged")
    bare.commit({"a": "1"}, tag="nothing")
    last = bare.commit({"a": "2"})

    found = git_client(tmp_path / "cache").nearest_tag(bare.url, Commit(last))

    assert found == (None, 2)


@pytest.mark.parametrize("dumb", [False, True], ids=["smart", "dumb"])
def test_repositories_come_over_http(
    demo: Repository, tmp_path: Path, dumb: bool
) -> None:
    first = demo.head
    demo.commit({"a.txt": "newer"})
    git(demo.folder, "update-server-info")
    client = git_client(tmp_path / "cache")

    with git_server(tmp_path / "served", dumb=dumb) as server:
        url = server.url("demo/.git")
        for ref in ("v1.0", first):
            assert contents(client, GitSource(url, ref))["a.txt"] == b"one"
        assert contents(client, GitSource(url))["a.txt"] == b"newer"
        asked = len(server.requests)
        contents(client, GitSource(url, first))

        assert len(server.requests) == asked


def test_a_server_gives_no_more_than_the_commit_that_is_wanted(
    demo: Repository, tmp_path: Path
) -> None:
    before = demo.head
    demo.commit({"big.txt": "x" * 1000})
    last = demo.commit({"a.txt": "newer"})
    client = git_client(tmp_path / "cache")

    with git_server(tmp_path / "served") as server:
        url = server.url("demo/.git")
        folder = client.fetch(url, Commit(last))

    assert git(folder, "rev-list", "--all", "--objects") == ""
    assert git(folder, "cat-file", "-t", last) == "commit"
    with pytest.raises(Exception, match="cat-file"):
        git(folder, "cat-file", "-t", before)


def test_a_password_goes_to_its_own_server_only(
    demo: Repository, tmp_path: Path
) -> None:
    secret = ("me", "p@ss:w/rd")
    with (
        git_server(tmp_path / "served", secret) as server,
        git_server(tmp_path / "served", ("other", "pair")) as stranger,
    ):
        url, elsewhere = server.url("demo/.git"), stranger.url("demo/.git")
        credentials = Credentials(logins=[Login(url, *secret)])
        client = git_client(tmp_path / "cache", credentials=credentials)

        assert contents(client, GitSource(url))["a.txt"] == b"one"
        with pytest.raises(NetworkError):
            client.refs(elsewhere)
        server.redirect = stranger.base
        with pytest.raises((NetworkError, SourceError)):
            client.refs(url)

    shown = [headers.get("authorization") for _, headers in stranger.requests]
    assert stranger.requests and set(shown) == {None}
    assert any("authorization" in headers for _, headers in server.requests)
    assert_absent(tmp_path / "cache", "p@ss", "rd")


def assert_absent(folder: Path, *secrets: str) -> None:
    for path in folder.rglob("*"):
        if path.is_file() and path.suffix not in (".pack", ".idx", ".rev"):
            content = path.read_bytes()
            if content[:2] == b"\x1f\x8b":
                content = gzip.decompress(content)
            assert secrets[0].encode() not in content, path


def test_a_password_is_not_handed_to_what_stores_them(
    demo: Repository, tmp_path: Path
) -> None:
    kept = tmp_path / "kept"
    configuration = tmp_path / "gitconfig"
    configuration.write_text(f"[credential]\nhelper = store --file {kept}\n")
    secret = ("me", "canary")

    with git_server(tmp_path / "served", secret) as server:
        url = server.url("demo/.git")
        client = git_client(
            tmp_path / "cache",
            credentials=Credentials(logins=[Login(url, *secret)]),
            environ={"GIT_CONFIG_GLOBAL": str(configuration)},
        )
        client.refs(url)

    assert not kept.exists() or "canary" not in kept.read_text()


def test_a_server_that_wants_a_password_is_named(
    demo: Repository, tmp_path: Path
) -> None:
    with git_server(tmp_path / "served", ("me", "secret")) as server:
        url = server.url("demo/.git")
        wrong = Credentials(logins=[Login(url, "me", "canary")])
        client = git_client(tmp_path / "cache", credentials=wrong)

        with pytest.raises(NetworkError) as caught:
            client.refs(url)

    assert url in str(caught.value) and caught.value.hint
    assert "canary" not in str(caught.value)


def test_offline_only_what_was_fetched_is_there(
    demo: Repository, tmp_path: Path
) -> None:
    with git_server(tmp_path / "served") as server:
        url = server.url("demo/.git")
        fetched = contents(git_client(tmp_path / "cache"), GitSource(url))
        offline = git_client(tmp_path / "cache", offline=True)

        assert contents(offline, GitSource(url, demo.head)) == fetched
        with pytest.raises(NetworkError, match="the network is not to be used"):
            offline.find(GitSource(url, "main"))


def test_many_may_fetch_at_once(demo: Repository, tmp_path: Path) -> None:
    commits = [demo.head] + [demo.commit({"a.txt": str(n)}) for n in range(3)]
    found: list[int] = []

    def fetch(commit: str) -> None:
        client = git_client(tmp_path / "cache")
        found.append(len(contents(client, GitSource(demo.url, commit))))

    threads = [threading.Thread(target=fetch, args=(each,)) for each in commits * 2]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert found == [2] * 8


def test_a_wish_to_stop_ends_it(tmp_path: Path) -> None:
    stop = StopSignal()
    stop.set()
    program = tmp_path / "git"
    program.write_text("#!/bin/sh\nexec sleep 60\n")
    program.chmod(0o755)
    environ = {"PATH": os.environ["PATH"]}
    command = GitCommand(GitSettings(environ, str(program)), stop)

    with pytest.raises(Stopped):
        command.run(["fetch"], url="https://x.test/y")

    stop.close()


def test_a_machine_without_git_is_told_so() -> None:
    command = GitCommand(GitSettings({}, "/nowhere/git"))

    with pytest.raises(SourceError, match="is not there") as caught:
        command.run(["--version"])

    assert "Install git" in (caught.value.hint or "")
