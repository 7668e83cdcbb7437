"""What plugins do on this machine: versions, downloads, hooks, build tags, commands."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from support.plugins import install
from support.projects import sdist
from support.repositories import Repository
from support.store_check import check_error

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from support.command_line import Outcome, Place
    from support.index import LocalIndex

    Offer = Callable[..., None]
    Plug = Callable[..., Path]


def versions(outcome: Outcome) -> list[str]:
    return [f"{row['name']}=={row['version']}" for row in outcome.json["wheels"]]


def files(index: LocalIndex) -> str:
    return f"{index.url.removesuffix('simple/')}files"


def test_upstreams_generic_provider_says_which_versions_there_are(
    place: Place, index: LocalIndex, offer: Offer, plug: Plug
) -> None:
    offer("generic", "9.0")
    for version in ("1.0", "2.0"):
        index.add(f"elsewhere-{version}.tar.gz", sdist("generic", version)[1])
    plug(
        "generic",
        f"""
        import typing
        from packaging.version import Version
        from fromager import resolver

        VERSIONS = {{
            "{files(index)}/elsewhere-1.0.tar.gz": "1.0",
            "{files(index)}/elsewhere-2.0.tar.gz": "2.0",
        }}

        def _version_source(identifier: str) -> typing.Iterable[tuple[str, Version]]:
            return VERSIONS.items()

        def get_resolver_provider(ctx, req, include_sdists, include_wheels, sdist_server_url):
            return resolver.GenericProvider(
                version_source=_version_source, constraints=ctx.constraints
            )
        """,
    )

    outcome = place.realise("generic")

    assert versions(outcome) == ["generic==2.0"]
    assert versions(place.realise("generic<2")) == ["generic==1.0"]


def test_a_version_map_and_a_matcher_say_which_versions_there_are(
    place: Place, index: LocalIndex, plug: Plug
) -> None:
    index.add("mapped-3.tar.gz", sdist("mapped", "3.0")[1])
    index.add("matched.tar.gz", sdist("matched", "1.2.3")[1])
    plug(
        "mapped",
        f"""
        from fromager import resolver, versionmap

        def get_resolver_provider(ctx, req):
            table = versionmap.VersionMap({{"3.0": "{files(index)}/mapped-3.tar.gz"}})
            return resolver.VersionMapProvider(version_map=table, package_name=req.name)
        """,
    )
    plug(
        "matched",
        f"""
        import re
        from fromager import resolver

        def get_resolver_provider():
            found = [("{files(index)}/matched.tar.gz", "project-1.2.3"), ("x", "y")]
            return resolver.GenericProvider(
                version_source=lambda name: found, matcher=re.compile("project-(.*)")
            )
        """,
    )

    outcome = place.realise("mapped", "matched")

    assert versions(outcome) == ["mapped==3.0", "matched==1.2.3"]


def test_tags_of_a_repository_are_versions(
    place: Place, plug: Plug, tmp_path: Path
) -> None:
    repository = Repository.make(tmp_path / "served" / "group" / "tagged.git")
    repository.commit(members("tagged", "1.0"), tag="tagged-1_0")
    repository.commit(members("tagged", "1.1"), tag="tagged-1_1")
    plug(
        "tagged",
        f"""
        from packaging.version import Version
        from fromager import resolver

        def custom_tag_match(identifier: str, item: str) -> Version | None:
            if item.startswith("tagged-"):
                return Version(item[7:].replace("_", "."))
            return None

        def get_resolver_provider(ctx, req, sdist_server_url, include_sdists, include_wheels, req_type, ignore_platform):
            return resolver.GitLabTagProvider(
                project_path="group/tagged",
                server_url="file://{tmp_path}/served",
                constraints=ctx.constraints,
                matcher=custom_tag_match,
                req_type=req_type,
            )
        """,
    )

    assert versions(place.realise("tagged")) == ["tagged==1.1"]


def test_an_index_may_be_named_by_a_plugin(
    place: Place, offer: Offer, plug: Plug
) -> None:
    from support.index import local_index

    offer("moved_index", "1.0")
    with local_index(dict([sdist("moved_index", "5.0")])) as other:
        plug(
            "moved_index",
            f"""
            from fromager import resolver

            def get_resolver_provider(ctx, req, **kwargs):
                return resolver.PyPIProvider(
                    include_sdists=True, include_wheels=False,
                    sdist_server_url="{other.url}", constraints=ctx.constraints,
                )
            """,
        )

        assert versions(place.realise("moved-index")) == ["moved-index==5.0"]


DOWNLOAD = """
    import pathlib
    from fromager import sources

    def download_source(ctx, req, version, download_url, sdists_downloads_dir):
        assert download_url.endswith(".tar.gz"), download_url
        (pathlib.Path({count!r})).open("a").write("x")
        return sources.download_url(
            destination_dir=sdists_downloads_dir,
            url="{url}",
            destination_filename=f"fetched-{{version}}.tar.gz",
        )
"""


def test_a_plugin_fetches_once_and_what_it_fetched_is_kept_by_its_hash(
    place: Place, index: LocalIndex, offer: Offer, plug: Plug
) -> None:
    offer("self_fetched")
    _, content = sdist("self_fetched", "1.0", value="from elsewhere")
    index.add("other.tar.gz", content)
    count = place.folder / "count"
    url = f"{files(index)}/other.tar.gz"
    plug("self_fetched", DOWNLOAD.format(count=str(count), url=url))

    first = place.realise("self-fetched")
    second = place.realise("self-fetched")

    assert first.built == ["self-fetched==1.0"]
    assert second.out == first.out
    assert count.read_text() == "x"
    import zipfile

    with zipfile.ZipFile(first.wheel("self-fetched")["path"]) as wheel:
        assert b"from elsewhere" in wheel.read("self_fetched/__init__.py")


def test_a_plugin_may_fetch_a_repository(
    place: Place, offer: Offer, plug: Plug, tmp_path: Path
) -> None:
    repository = Repository.make(tmp_path / "cloned")
    repository.commit(members("cloned", "1.0"), tag="v1.0")
    plug(
        "cloned",
        f"""
        from fromager import resolver, sources

        def get_resolver_provider(ctx, req):
            return resolver.GitLabTagProvider("cloned/.git".removesuffix(".git").rstrip("/"), server_url="file://{tmp_path}", matcher=None)

        def download_source(ctx, req, version, download_url, sdists_downloads_dir):
            target = sdists_downloads_dir / f"{{req.name}}-{{version}}"
            sources.download_git_source(
                ctx=ctx, req=req, url_to_clone="file://{tmp_path}/cloned",
                destination_dir=target, ref=download_url,
            )
            return target
        """,
    )
    (tmp_path / "cloned.git").symlink_to(tmp_path / "cloned" / ".git")

    first = place.realise("cloned")

    assert first.built == ["cloned==1.0"]
    assert place.realise("cloned").built == []


def members(name: str, version: str) -> dict[str, str]:
    import io
    import tarfile

    _, content = sdist(name, version)
    found = {}
    with tarfile.open(fileobj=io.BytesIO(content)) as archive:
        for member in archive:
            stream = archive.extractfile(member)
            assert stream is not None
            found[member.name.partition("/")[2]] = stream.read().decode()
    return found


HOOKS = """
    import pathlib

    def _note(event, **values):
        with pathlib.Path({log!r}).open("a") as stream:
            shown = " ".join(f"{{k}}={{v}}" for k, v in sorted(values.items()))
            stream.write(f"{{event}} {{shown}}\\n")

    def after_build_wheel(ctx, req, dist_name, dist_version, sdist_filename, wheel_filename):
        assert wheel_filename.is_file() and sdist_filename.is_file()
        _note("post_build", name=dist_name, version=dist_version, wheel=wheel_filename.name, sdist=sdist_filename.name)

    def after_prebuilt_wheel(ctx, req, dist_name, dist_version, wheel_filename):
        _note("prebuilt_wheel", name=dist_name)

    def after_bootstrap(ctx, req, dist_name, dist_version, sdist_filename, wheel_filename):
        _note("post_bootstrap", name=dist_name, sdist=sdist_filename and sdist_filename.name)

    def failing(dist_name):
        raise RuntimeError("the upload failed")
"""


def hooks(site: Path, log: Path, **points: str) -> None:
    named = {name: f"{log.stem}_hooks:{value}" for name, value in points.items()}
    files = {f"{log.stem}_hooks.py": HOOKS.format(log=str(log))}
    install(site, f"{log.stem}_plugins", files, {"fromager.hooks": named})


def test_hooks_hear_of_each_wheel_once(
    place: Place, offer: Offer, site: Path, index: LocalIndex
) -> None:
    from support.wheels import WheelMaker

    offer("heard", dependencies=["heard-pre"])
    wheel = WheelMaker("heard_pre")
    index.add(wheel.filename, wheel.build())
    log = place.folder / "heard.txt"
    (place.folder / "fromager.toml").write_text(
        "[package.heard-pre]\nprebuilt = true\n[package.heard]\nchangelog = ['a']\n"
    )
    hooks(
        site,
        log,
        post_build="after_build_wheel",
        prebuilt_wheel="after_prebuilt_wheel",
        post_bootstrap="after_bootstrap",
    )

    place.realise("heard")
    place.realise("heard", "heard-pre")

    assert sorted(log.read_text().splitlines()) == [
        "post_bootstrap name=heard sdist=heard-1.0.tar.gz",
        "post_bootstrap name=heard-pre sdist=None",
        "post_build name=heard sdist=heard-1.0.tar.gz version=1.0 wheel=heard-1.0-1-py3-none-any.whl",
        "prebuilt_wheel name=heard-pre",
    ]


def test_a_hook_that_failed_is_called_again(
    place: Place, offer: Offer, site: Path
) -> None:
    offer("hooked")
    log = place.folder / "hooked.txt"
    hooks(site, log, post_build="failing")

    refused = place.run("realise", "hooked")
    hooks(site, log, post_build="after_build_wheel")
    again = place.realise("hooked")

    check_error(
        refused, 5, r"hooked==1\.0: the plugin hooked_hooks failed in failing: .*upload"
    )
    assert again.builds == 0
    assert log.read_text().count("post_build") == 1


def test_upstreams_build_tag_hook_adds_to_the_tag(
    place: Place, offer: Offer, site: Path
) -> None:
    offer("suffixed")
    offer("plain_tag")
    text = """
    def build_tag(*, ctx, req, version, wheel_tags):
        assert {str(tag) for tag in wheel_tags} == {"py3-none-any"}
        return ["el9", ctx.variant]
    """
    install(site, "tag_plugin", {"tag_plugin.py": text}, {})
    (place.folder / "overrides/settings").mkdir(parents=True)
    (place.folder / "overrides/settings.yaml").write_text(
        "wheels: {build_tag_hook: 'tag_plugin:build_tag'}\n"
    )
    (place.folder / "overrides/settings/suffixed.yaml").write_text(
        "changelog: {'1.0': [again]}\n"
    )

    outcome = place.realise("suffixed", "plain-tag")
    again = place.realise("suffixed", "plain-tag")
    (site / "tag_plugin.py").write_text("def build_tag():\n    return 'el10'\n")
    nonsense = place.run("realise", "suffixed")
    (site / "tag_plugin.py").unlink()
    gone = place.run("realise", "suffixed")

    assert outcome.wheel("suffixed")["path"].endswith("-1_el9_cpu-py3-none-any.whl")
    assert outcome.wheel("plain-tag")["path"].endswith("plain_tag-1.0-py3-none-any.whl")
    assert again.processes == ()
    check_error(nonsense, 5, "tag_plugin failed in build_tag: a sequence of texts")
    check_error(gone, 1, "the plugin tag_plugin cannot be used: there is no such")
    for failure in (nonsense, gone):
        assert "overrides/settings.yaml:1 names it as build tag hook" in failure.err


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "def get_resolver_provider():\n    return 7\n",
            "in get_resolver_provider: one of upstream's providers must be returned",
        ),
        (
            "def get_resolver_provider():\n    import time\n    time.sleep(3600)\n",
            r"in get_resolver_provider: it was stopped after \d+ seconds",
        ),
        (
            "def download_source(output):\n    return output / 'none'\n",
            "in download_source: there is no .*none",
        ),
        (
            "def download_source(output):\n    return '/etc/passwd'\n",
            "in download_source: /etc/passwd is not where",
        ),
    ],
)
def test_a_plugin_that_fails_outside_is_named(
    place: Place, offer: Offer, plug: Plug, text: str, said: str
) -> None:
    import hashlib

    name = f"out_{hashlib.sha256(text.encode()).hexdigest()[:8]}"
    offer(name)
    plug(name, text)

    check_error(place.run("realise", name, "--timeout", "2"), 5, said)


def test_plugins_are_listed_and_shown(place: Place, plug: Plug) -> None:
    plug("shown_plugin", "def build_wheel(): pass\ndef helper(): pass\n")

    (row,) = [
        each
        for each in place.run("list-overrides", "--json").json["packages"]
        if each["name"] == "shown-plugin"
    ]
    shown = place.run("config", "show", "shown-plugin", "--json").json

    assert row["functions"] == shown["functions"] == ["build_wheel"]
    assert row["plugin"] == "plugin_shown_plugin (shown_plugin_plugin-1.0)"
    assert "functions build_wheel" in place.run("list-overrides", "--details").out
    assert "build_wheel" in place.run("config", "show", "shown-plugin").out


def test_lint_tells_of_plugins_that_are_of_no_use(
    place: Place, plug: Plug, site: Path
) -> None:
    plug("fine_plugin", "def build_wheel(): pass\n")
    plug("loadless", "import nowhere_at_all\ndef build_wheel(): pass\n")
    plug("nothing_in", "")
    points = {
        "post_biuld": "hooky:run",
        "post_build": "hooky:gone",
        "post_bootstrap": "hooky",
    }
    install(
        site, "hooky", {"hooky.py": "def run(): pass\n"}, {"fromager.hooks": points}
    )

    outcome = place.run("lint", "fine-plugin", "loadless")

    assert outcome.code == 1
    lines = outcome.out.splitlines()
    assert not [line for line in lines if "plugin_fine_plugin" in line]
    for said in (
        "plugin plugin_loadless (loadless_plugin-1.0): error: it cannot be loaded: Mod",
        "plugin_nothing_in (nothing_in_plugin-1.0): warning: it overrides nothing",
        "plugin_nothing_in (nothing_in_plugin-1.0): warning: there is no package",
        "hooky:run (hooky-1.0): warning: nothing is called 'post_biuld'; did you mean",
        "hooky:gone (hooky-1.0): error: it cannot be loaded: AttributeError",
        "hooky (hooky-1.0): error: it names no function",
    ):
        assert [line for line in lines if said in line], (said, lines)


def test_plugins_add_commands(place: Place, site: Path) -> None:
    text = """
    import click

    @click.command("greet")
    @click.argument("name")
    def greet(name):
        click.echo(f"hello {name}")

    other = 7
    """
    points = {
        "greet": "greeting:greet",
        "wrong": "greeting:other",
        "gone": "nowhere:greet",
        "realise": "greeting:greet",
    }
    install(site, "greeting", {"greeting.py": text}, {"fromager.cli": points})

    assert called(place, site, "greet", "you").out == "hello you\n"
    assert "greeting:greet" in called(place, site, "--help").out
    check_error(called(place, site, "wrong"), 1, "it is a int, no command")
    check_error(called(place, site, "gone"), 1, "ModuleNotFoundError")
    assert "requirements" in called(place, site, "realise", "--help").out.lower()


def called(place: Place, site: Path, *words: str) -> Outcome:
    """A command of its own, since what it imports must not stay in this process."""
    place.variables["PYTHONPATH"] = str(site)
    return place.call(*words)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("unreadable", "def prepare_source(:\n"),
        ("absent", "import there_is_none\n\ndef get_resolver_provider(req): ...\n"),
        ("raising", "def get_resolver_provider(req):\n    raise OSError('no way')\n"),
    ],
)
def test_a_plugin_that_is_of_no_use_stops_its_own_package_only(
    place: Place, offer: Offer, plug: Plug, name: str, text: str
) -> None:
    offer(name)
    offer(f"needs-{name}", dependencies=[name])
    offer(f"beside-{name}")
    plug(name, text)
    wanted = (name, f"needs-{name}", f"beside-{name}")

    outcome = place.run("realise", "--json", "--keep-going", *wanted)

    assert outcome.code == (1 if name == "unreadable" else 5)
    assert f"{name}: the plugin plugin_{name} " in outcome.error
    rows = [f"{row['name']}=={row['version']}" for row in outcome.json["wheels"]]
    assert rows == [f"beside-{name}==1.0", f"needs-{name}==1.0"]
    # Without the option it is the end of all.
    alone = place.run("realise", "--json", *wanted)
    check_error(alone, outcome.code, f"plugin_{name}")
    assert alone.out == ""


def test_a_project_that_only_a_failing_plugin_knows_is_left_out(
    place: Place, offer: Offer, plug: Plug
) -> None:
    offer("known-otherwise")
    offer("needs-forgotten", dependencies=["forgotten"])
    plug("forgotten", "def get_resolver_provider(req):\n    return 'nonsense'\n")

    outcome = place.run("realise", "--keep-going", "forgotten>=3", "known-otherwise")

    assert outcome.code == 5
    assert "forgotten: the plugin plugin_forgotten failed" in outcome.error
    assert "known_otherwise-1.0" in outcome.out
    # Nothing can be said of a set that must hold it.
    demanding = place.run("realise", "--keep-going", "needs-forgotten")
    check_error(demanding, 5, "forgotten: the plugin plugin_forgotten failed")
    assert demanding.out == ""


def test_a_function_that_fetches_has_the_time_that_its_package_is_given(
    place: Place, offer: Offer, plug: Plug
) -> None:
    offer("slow_fetch")
    plug(
        "slow_fetch",
        "def download_source():\n    import time\n    time.sleep(3600)\n",
    )
    (place.folder / "fromager.toml").write_text("[package.slow-fetch]\ntimeout = 1\n")

    outcome = place.run("realise", "slow-fetch")

    check_error(outcome, 5, "slow-fetch==1.0", r"stopped after \d+ seconds")


def test_a_function_that_fetches_nothing_is_told_as_that(
    place: Place, offer: Offer, plug: Plug
) -> None:
    offer("no_fetch")
    plug("no_fetch", "def download_source():\n    pass\n")

    outcome = place.run("realise", "no-fetch")

    check_error(outcome, 5, "download_source: it gave no path of a file or a folder")
