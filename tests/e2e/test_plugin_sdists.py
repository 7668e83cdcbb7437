"""Plugins that build sdists, and those that say what is called how."""

from __future__ import annotations

import tarfile
from typing import TYPE_CHECKING

import pytest

from support.plugins import install
from support.projects import TELLING_BACKEND, sdist
from support.store_check import check_error

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from support.command_line import Outcome, Place
    from support.index import LocalIndex

    Offer = Callable[..., None]
    Plug = Callable[..., Path]

HEARD = """
    import pathlib, shutil

    def after_build_wheel(ctx, req, dist_name, dist_version, sdist_filename, wheel_filename):
        shutil.copy(sdist_filename, {folder!r})
"""
UPSTREAM = """
    import pathlib
    import tarfile
    import typing

    from packaging.requirements import Requirement
    from packaging.version import Version

    from fromager import build_environment, context, tarballs

    def build_sdist(
        ctx: context.WorkContext,
        extra_environ: dict[str, typing.Any],
        req: Requirement,
        version: Version,
        sdist_root_dir: pathlib.Path,
        build_dir: pathlib.Path,
        build_env: build_environment.BuildEnvironment,
    ) -> pathlib.Path:
        name = f"{req.name.replace('-', '_')}-{version}"
        sdist = ctx.sdists_builds / f"{name}.tar.gz"
        (build_dir / "MADE").write_text(f"by the plugin, {extra_environ.get('MOOD')}")
        with tarfile.open(sdist, "x:gz", format=tarfile.PAX_FORMAT) as tar:
            tarballs.tar_reproducible(tar=tar, basedir=sdist_root_dir, prefix=name)
        return sdist

    def update_extra_environ(ctx, req, version, sdist_root_dir, extra_environ, build_env):
        extra_environ["MOOD"] = "fine"
"""


@pytest.fixture
def heard(site: Path, tmp_path: Path) -> Path:
    """The folder into which a hook copies the sdists that it hears of."""
    folder = tmp_path / "heard"
    folder.mkdir()
    files = {"sdist_listener.py": HEARD.format(folder=str(folder))}
    points = {"fromager.hooks": {"post_build": "sdist_listener:after_build_wheel"}}
    install(site, "sdist_listener", files, points)
    return folder


def members(path: Path) -> dict[str, str]:
    with tarfile.open(path) as archive:
        return {
            member.name: stream.read().decode()
            for member in archive
            if (stream := archive.extractfile(member)) is not None
        }


def sdists(place: Place, outcome: Outcome) -> list[Path]:
    """The sdists that plugins built, by the store's word."""
    assert outcome.code == 0, outcome.err
    return [
        path
        for path in place.store.glob("*-sdist/*")
        if path.name.rpartition("-")[0].replace("_", "-")
        == outcome.json["wheels"][0]["name"]
    ]


def test_upstreams_build_sdist_builds_what_hooks_are_given(
    place: Place, offer: Offer, plug: Plug, heard: Path
) -> None:
    offer("packed")
    plug("packed", UPSTREAM)

    outcome = place.realise("packed")

    (made,) = heard.iterdir()
    assert made.name == "packed-1.0.tar.gz"
    found = members(made)
    assert found["packed-1.0/MADE"] == "by the plugin, fine"
    assert "packed-1.0/pyproject.toml" in found
    # The header of a gzip file has no time in it.
    assert made.read_bytes()[4:8] == bytes(4)
    (held,) = sdists(place, outcome)
    assert held.read_bytes() == made.read_bytes()
    assert place.realise("packed").processes == ()


def test_the_code_of_a_plugin_is_in_the_key_of_its_sdist_and_not_of_the_wheel(
    place: Place, offer: Offer, plug: Plug
) -> None:
    offer("repacked")
    path = plug("repacked", UPSTREAM.split("def update_extra_environ")[0])
    first = place.realise("repacked")
    before = sdists(place, first)
    path.write_text(path.read_text().replace("by the plugin", "by another"))

    second = place.realise("repacked")

    assert second.out == first.out
    (new,) = [each for each in sdists(place, second) if each not in before]
    assert members(new)["repacked-1.0/MADE"].startswith("by another")


def test_the_backend_builds_an_sdist_for_a_plugin_with_what_that_needs(
    place: Place, offer: Offer, plug: Plug, heard: Path
) -> None:
    offer("sdist_tool")
    offer("by_backend")
    plug(
        "by_backend",
        """
        from fromager import sources

        def get_build_sdist_dependencies(ctx, req, sdist_root_dir, build_dir, extra_environ, build_env):
            return ["sdist-tool"]

        def build_sdist(ctx, extra_environ, req, version, sdist_root_dir, build_dir, build_env):
            build_env.run(["python", "-c", "import sdist_tool"])
            return sources.default_build_sdist(
                ctx=ctx, extra_environ=extra_environ, req=req, version=version,
                sdist_root_dir=sdist_root_dir, build_dir=build_dir, build_env=build_env,
            )
        """,
    )

    outcome = place.realise("by-backend")

    assert "sdist-tool==1.0" in outcome.built
    (made,) = heard.iterdir()
    assert "by_backend-1.0/PKG-INFO" in members(made)


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("raise OSError('no room')", "OSError: no room"),
        ("pass", "one sdist must be written, not none"),
        ("(output / 'x-2.tar.gz').touch()", r"x-2\.tar\.gz is not an sdist of "),
        ("(output / 'what').touch()", "'what' is no name of an sdist"),
        ("return 7", "a path must be returned, not 7"),
    ],
)
def test_a_plugin_whose_sdist_is_none_is_named(
    place: Place, offer: Offer, plug: Plug, body: str, said: str
) -> None:
    import hashlib

    name = f"none_{hashlib.sha256(body.encode()).hexdigest()[:8]}"
    offer(name)
    plug(name, f"def build_sdist(output):\n    {body}\n")

    check_error(place.run("realise", name), 5, "failed in build_sdist: .*" + said)


def test_a_plugin_says_what_the_archive_that_it_fetched_is_called(
    place: Place, index: LocalIndex, offer: Offer, plug: Plug, heard: Path
) -> None:
    offer("called", "1.0")
    index.add("download-77", sdist("called", "1.0")[1])
    url = f"{index.url.removesuffix('simple/')}files/download-77"
    plug(
        "called",
        f"""
        from fromager import downloads

        def download_source(ctx, req, version, download_url, sdists_downloads_dir):
            return downloads.download_url(
                destination_dir=sdists_downloads_dir, url="{url}"
            )

        def expected_source_archive_name(req, dist_version, ctx):
            return f"{{req.name}}-{{dist_version}}.tar.gz"
        """,
    )

    place.realise("called")

    assert [path.name for path in heard.iterdir()] == ["called-1.0.tar.gz"]


def test_a_plugin_says_where_the_source_is_that_it_prepared(
    place: Place, offer: Offer, plug: Plug
) -> None:
    offer("placed", value="before")
    plug(
        "placed",
        """
        import shutil

        def prepare_source(ctx, req, source_filename, version, sdist_root_dir):
            target = ctx.work_dir / f"{req.name}-{version}" / "source"
            shutil.copytree(sdist_root_dir, target)
            for path in target.rglob("*"):
                if path.is_file() and "before" in path.read_text():
                    path.write_text(path.read_text().replace("before", "after"))

        def expected_source_directory_name(req, dist_version):
            return f"{req.name}-{dist_version}/source"
        """,
    )

    outcome = place.realise("placed")

    import zipfile

    with zipfile.ZipFile(outcome.json["wheels"][0]["path"]) as wheel:
        text = "".join(
            wheel.read(name).decode()
            for name in wheel.namelist()
            if name.endswith(".py")
        )
    assert "after" in text
    assert "before" not in text


def test_a_plugin_says_what_is_needed_where_no_wheel_is_built(
    place: Place, offer: Offer, plug: Plug
) -> None:
    offer(
        "told_needs",
        dependencies=["never-there"],
        static=False,
        more={"tiny_backend.py": TELLING_BACKEND},
    )
    offer("needed_instead")
    plug(
        "told_needs",
        """
        from packaging.requirements import Requirement

        def get_install_dependencies_of_sdist(
            ctx, req, version, sdist_root_dir, build_env, extra_environ, build_dir, config_settings
        ):
            return {Requirement("needed-instead>=1")}
        """,
    )

    outcome = place.run("lock", "told-needs>=1")

    assert outcome.code == 0, outcome.err
    lock = (place.folder / "pylock.toml").read_text()
    assert 'name = "needed-instead"' in lock
    assert "never-there" not in lock


def test_upstreams_default_says_what_the_backend_does(
    place: Place, offer: Offer, plug: Plug
) -> None:
    offer(
        "told_default",
        dependencies=["needed-by-default"],
        static=False,
        more={"tiny_backend.py": TELLING_BACKEND},
    )
    offer("needed_by_default")
    offer("needed_beside")
    plug(
        "told_default",
        """
        from fromager import dependencies
        from packaging.requirements import Requirement

        def get_install_dependencies_of_sdist(
            ctx, req, version, sdist_root_dir, build_env, extra_environ, build_dir, config_settings
        ):
            found = dependencies.default_get_install_dependencies_of_sdist(
                ctx=ctx,
                req=req,
                version=version,
                sdist_root_dir=sdist_root_dir,
                build_env=build_env,
                extra_environ=extra_environ,
                build_dir=build_dir,
                config_settings=config_settings,
            )
            return found | {Requirement("needed-beside")}
        """,
    )

    outcome = place.run("lock", "told-default>=1")

    assert outcome.code == 0, outcome.err
    lock = (place.folder / "pylock.toml").read_text()
    assert 'name = "needed-by-default"' in lock
    assert 'name = "needed-beside"' in lock


def test_an_sdist_of_a_plugin_can_be_built_again(
    place: Place, offer: Offer, plug: Plug
) -> None:
    offer("packed_again")
    plug("packed_again", UPSTREAM)
    outcome = place.realise("packed-again")
    (made,) = sdists(place, outcome)

    checked = place.run("check", str(made.parent), "--rounds", "1")

    assert checked.code == 0, checked.err


SPEAKING = """
    import pathlib
    import shutil

    from fromager import sources

    def get_build_system_dependencies(ctx, req, version, sdist_root_dir):
        return ["kept-system"]

    def prepare_source(ctx, req, source_filename, version, sdist_root_dir):
        (sdist_root_dir / "PREPARED").touch()

    def get_build_sdist_dependencies(ctx, req, sdist_root_dir, build_dir, extra_environ, build_env):
        return ["kept-tool"]

    def build_sdist(ctx, extra_environ, req, version, sdist_root_dir, build_dir, build_env):
        build_env.run(["python", "-c", "import kept_tool"])
        return sources.default_build_sdist(
            ctx=ctx, extra_environ=extra_environ, req=req, version=version,
            sdist_root_dir=sdist_root_dir, build_dir=build_dir, build_env=build_env,
        )
"""


@pytest.mark.parametrize("form", [[], ["--collection"]])
def test_a_root_keeps_what_a_plugin_made_and_said(
    fresh: Place, offer: Offer, plug: Plug, heard: Path, form: list[str]
) -> None:
    offer("kept_system")
    offer("kept_tool")
    offer("kept")
    plug("kept", SPEAKING)
    first = fresh.realise("kept", "--root", "mine", *form)
    (made,) = sdists(fresh, first)

    collected = fresh.run("gc")
    again = fresh.realise("kept", "--refresh", "--root", "mine", *form)

    assert collected.code == 0, collected.err
    assert made.exists()
    assert [p for p in again.processes if "--version" not in p] == []
    assert again.out == first.out
    assert "root mine: generation 1" in again.err
    # It is kept beside the wheel; whoever names the root means the wheel.
    assert str(made.parent) in fresh.run("root", "show", "mine", "1").out
    meant = fresh.run("store", "info", "root:mine", "--json")
    assert meant.code == 0, meant.err
    assert str(made.parent) not in meant.out
    fresh.run("root", "delete", "mine")
    fresh.run("gc")
    assert not made.exists()
