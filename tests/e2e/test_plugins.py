"""Overrides in code, written as upstream documents them, and as this program does."""

from __future__ import annotations

import re
import zipfile
from typing import TYPE_CHECKING, Final

import pytest

from fromager.store import open_store
from support.plugins import install
from support.projects import BACKEND
from support.store_check import check_error

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from support.command_line import Outcome, Place

    Offer = Callable[..., None]
    Plug = Callable[..., Path]


@pytest.fixture
def plug(site: Path) -> Plug:
    """Installs a plugin for a package; the modules of a folder of their own."""

    def add(package: str, text: str, **more: str) -> Path:
        module = f"plugins_of_{package}"
        files = {f"{module}/__init__.py": "", f"{module}/{package}.py": text}
        files |= {f"{module}/{name}.py": each for name, each in more.items()}
        points = {"fromager.project_overrides": {package: f"{module}.{package}"}}
        install(site, f"{package}_plugin", files, points)
        return site / module

    return add


def log(place: Place, name: str) -> list[str]:
    return place.run("log", name).out.splitlines()


def names_in(outcome: Outcome, name: str) -> dict[str, str]:
    with zipfile.ZipFile(outcome.wheel(name)["path"]) as wheel:
        return {each: wheel.read(each).decode() for each in wheel.namelist()}


UPSTREAM_BUILD = """
    import logging
    import pathlib
    import typing

    from packaging.requirements import Requirement
    from packaging.version import Version

    from fromager import build_environment, context, external_commands, wheels

    logger = logging.getLogger(__name__)


    def build_wheel(
        ctx: context.WorkContext,
        build_env: build_environment.BuildEnvironment,
        extra_environ: dict[str, typing.Any],
        req: Requirement,
        sdist_root_dir: pathlib.Path,
        version: Version,
        build_dir: pathlib.Path,
    ) -> None:
        external_commands.run(
            [str(build_env.python), "-c", "print('hello from', __import__('os').getcwd())"],
            cwd=str(build_dir),
            extra_environ=extra_environ,
        )
        print("building", req, version, ctx.variant)
        wheels.default_build_wheel(
            ctx=ctx, build_env=build_env, extra_environ=extra_environ, req=req,
            sdist_root_dir=sdist_root_dir, version=version, build_dir=build_dir,
        )
"""


def test_upstreams_build_wheel_builds(place: Place, offer: Offer, plug: Plug) -> None:
    offer("up_built")
    plug("up_built", UPSTREAM_BUILD)

    outcome = place.realise("up-built")

    assert outcome.built == ["up-built==1.0"]
    lines = log(place, "up-built")
    assert "hello from /build/src" in lines
    assert "building up-built==1.0 1.0 cpu" in lines


def test_our_own_form_needs_only_what_it_uses(
    place: Place, offer: Offer, plug: Plug
) -> None:
    offer("own_built", more={"pyproject.toml": "[build-system]\nrequires = []\n"})
    plug(
        "own_built",
        """
        import shutil
        import zipfile

        def build_wheel(project, output, version):
            name = f"own_built-{version}-py3-none-any.whl"
            info = f"own_built-{version}.dist-info"
            with zipfile.ZipFile(output / name, "w") as wheel:
                wheel.writestr(f"{info}/METADATA", f"Name: own-built\\nVersion: {version}\\n")
                wheel.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n")
                wheel.writestr(f"{info}/RECORD", f"{info}/METADATA,,\\n")
                wheel.write(project / "own_built/__init__.py", "own_built.py")
        """,
    )

    outcome = place.run("realise", "own-built")

    # The wheel that the plugin writes is held to the same rules as any other.
    check_error(outcome, 5, "missing from RECORD|no hash in RECORD")


PREPARE = """
    from pathlib import Path

    from fromager import sources

    def prepare_source(ctx, req, source_filename, version):
        root, is_new = sources.unpack_source(
            ctx=ctx, req=req, version=version, source_filename=source_filename
        )
        print("archive", Path(source_filename).name, is_new)
        sources.prepare_new_source(
            ctx=ctx, req=req, source_root_dir=root, version=version
        )
        (root / "up_prepared" / "more.py").write_text("VALUE = 'prepared'\\n")
        return root, is_new
"""


def test_upstreams_prepare_source_gets_a_patched_source(
    place: Place, offer: Offer, plug: Plug
) -> None:
    offer("up_prepared")
    plug("up_prepared", PREPARE)

    outcome = place.realise("up-prepared")

    assert "up_prepared/more.py" in names_in(outcome, "up-prepared")


def test_upstreams_default_preparation_gives_the_folder_and_that_it_is_new(
    place: Place, offer: Offer, plug: Plug
) -> None:
    offer("up_default")
    plug(
        "up_default",
        """
        from fromager import sources

        def prepare_source(ctx, req, source_filename, version):
            root, is_new = sources.default_prepare_source(
                ctx=ctx, req=req, source_filename=source_filename, version=version
            )
            (root / "up_default" / "more.py").write_text(f"NEW = {is_new}")
            return root, is_new
        """,
    )

    outcome = place.realise("up-default")

    assert names_in(outcome, "up-default")["up_default/more.py"] == "NEW = True"


def test_what_a_plugin_prepares_decides_alone_about_the_build(
    place: Place, offer: Offer, plug: Plug
) -> None:
    offer("own_prepared")
    offer("beside_prepared")
    text = """
def prepare_source(source):
    (source / "own_prepared" / "__init__.py").write_text("VALUE = {!r}")
"""
    plain = place.realise("own-prepared", "beside-prepared")
    plug("own_prepared", text.format("a"))
    first = place.realise("own-prepared", "beside-prepared")
    plug("own_prepared", text.format("a") + "# a remark\n")
    second = place.realise("own-prepared", "beside-prepared")
    plug("own_prepared", text.format("b"))
    third = place.realise("own-prepared", "beside-prepared")

    keys = [o.wheel("own-prepared")["key"] for o in (plain, first, second, third)]
    assert keys[1] == keys[2]
    assert len(set(keys)) == 3
    assert [o.builds for o in (first, second, third)] == [1, 0, 1]
    others = {o.wheel("beside-prepared")["key"] for o in (plain, first, second, third)}
    assert len(others) == 1
    assert names_in(third, "own-prepared")["own_prepared/__init__.py"] == "VALUE = 'b'"


def test_the_code_of_a_plugin_is_in_the_key_of_what_it_builds(
    place: Place, offer: Offer, plug: Plug
) -> None:
    offer("keyed")
    offer("keyed_user", requires=["keyed"])
    text = "from plugins_of_keyed import helper\ndef update_extra_environ(variables):\n    variables['X'] = helper.VALUE\n"  # fmt: skip
    found = []
    for helper, stranger in (("1", "1"), ("1", "2"), ("2", "2")):
        folder = plug("keyed", text, helper=f"VALUE = {helper!r}\n")
        (folder / "stranger.py").write_text(f"VALUE = {stranger!r}\n")
        found.append(place.realise("keyed", "keyed-user"))

    keys = [outcome.wheel("keyed")["key"] for outcome in found]
    assert keys[0] == keys[1] != keys[2]
    users = {outcome.wheel("keyed-user")["key"] for outcome in found}
    assert len(users) == 1


def test_nothing_is_started_while_plugins_stay_the_same(
    place: Place, offer: Offer, plug: Plug
) -> None:
    offer("plugged_again")
    plug("plugged_again", UPSTREAM_BUILD)
    first = place.realise("plugged-again")

    second = place.realise("plugged-again")

    assert second.out == first.out
    assert (second.processes, second.connections) == ((), 0)


def test_a_plugin_says_what_a_build_needs(
    place: Place, offer: Offer, plug: Plug
) -> None:
    offer("needed_first")
    offer("needed_later")
    offer("needing", imports=["needed_first", "needed_later"], quirk="imports")
    plug(
        "needing",
        """
        from fromager import dependencies

        def get_build_system_dependencies(ctx, req, sdist_root_dir, build_dir):
            assert (sdist_root_dir / "PKG-INFO").is_file()
            found = dependencies.default_get_build_system_dependencies(
                ctx=ctx, req=req, sdist_root_dir=sdist_root_dir, build_dir=build_dir
            )
            return {*found, "needed-first>=1"}

        def get_build_backend_dependencies(ctx, req, sdist_root_dir, build_dir, extra_environ, build_env):
            assert build_env.python.exists()
            yield "needed-later"
        """,
    )

    outcome = place.realise("needing")

    assert outcome.built == ["needed-first==1.0", "needed-later==1.0", "needing==1.0"]


def test_a_plugin_changes_variables(place: Place, offer: Offer, plug: Plug) -> None:
    code = "\nprint('A', os.environ['A'], 'B', os.environ['B'], [n for n in os.environ if 'PLUGIN' in n])\n"
    offer("changed_env", more={"tiny_backend.py": BACKEND + code})
    plug(
        "changed_env",
        """
        def update_extra_environ(ctx, req, version, sdist_root_dir, extra_environ, build_env):
            extra_environ["A"] = extra_environ["A"] + "-more"
            extra_environ["B"] = str(version)
        """,
    )
    (place.folder / "fromager.toml").write_text("[package.changed-env.env]\nA = 'a'\n")

    place.realise("changed-env")

    assert "A a-more B 1.0 []" in log(place, "changed-env")


def test_a_plugin_adds_metadata_to_a_wheel(
    place: Place, offer: Offer, plug: Plug
) -> None:
    offer("told_more")
    plug(
        "told_more",
        """
        def add_extra_metadata_to_wheels(ctx, req, version, extra_environ, sdist_root_dir, dist_info_dir):
            (dist_info_dir / "mine.txt").write_text(sdist_root_dir.name)
            annotations = ctx.package_build_info(req).annotations
            return {"team": annotations["team"], "deep": {"list": [1, True]}, "none": None}
        """,
    )
    (place.folder / "fromager.toml").write_text(
        "[package.told-more.annotations]\nteam = 'builders'\n"
    )

    outcome = place.realise("told-more")
    (place.folder / "fromager.toml").write_text(
        "[package.told-more.annotations]\nteam = 'others'\n"
    )
    other = place.realise("told-more")

    members = names_in(outcome, "told-more")
    assert members["told_more-1.0.dist-info/mine.txt"] == "src"
    assert members["told_more-1.0.dist-info/fromager-build-settings"] == (
        '"team" = "builders"\n\n["deep"]\n"list" = [1, true]\n'
    )
    assert other.wheel("told-more")["key"] != outcome.wheel("told-more")["key"]


def test_a_build_with_a_plugin_can_be_done_again(
    place: Place, offer: Offer, plug: Plug
) -> None:
    offer("plug_checked", "1.0")
    plug(
        "plug_checked",
        "def prepare_source(source):\n    (source / 'x').write_text('x')\n"
        "def get_build_system_dependencies():\n    return []\n"
        "def update_extra_environ(variables):\n    variables['X'] = '1'\n",
    )
    place.realise("plug-checked")

    outcome = place.run("check", "plug-checked", "--closure", "--json")

    states = {row["state"] for row in outcome.json["verdicts"]}
    assert outcome.code == 0, outcome.err
    assert states == {"reproduced"}


BAD: Final = [
    (
        "def build_wheel():\n    raise ValueError('on purpose')\n",
        r"plugins_of_NAME\.NAME failed in build_wheel: ValueError: on purpose",
    ),
    ("def build_wheel():\n    pass\n", "in build_wheel: one wheel must be written"),
    ("import nowhere\ndef build_wheel():\n    pass\n", "cannot be loaded: Module"),
    ("def build_wheel(colour):\n    pass\n", "it has a parameter 'colour'"),
    (
        "import os\ndef build_wheel():\n    os._exit(3)\n",
        "in build_wheel: .*code 3",
    ),
    (
        "def get_build_backend_dependencies():\n    return 'x'\n",
        "in get_build_backend_dependencies: requirements must be returned, not 'x'",
    ),
    (
        "def get_build_system_dependencies():\n    return ['a b']\n",
        "in get_build_system_dependencies: requirements must be returned, not 'a b'",
    ),
    (
        "def update_extra_environ(variables):\n    variables['A'] = 1\n",
        "in update_extra_environ: variables",
    ),
    (
        "def prepare_source():\n    return '/usr'\n",
        "in prepare_source: /usr is no folder below /build",
    ),
    (
        "def prepare_source():\n    raise SystemExit(4)\n",
        "in prepare_source: SystemExit: 4",
    ),
    (
        "def add_extra_metadata_to_wheels():\n    return 7\n",
        "in add_extra_metadata_to_wheels: a dict must be returned, not 7",
    ),
    (
        "from fromager.sources import get_source_type\n\ndef prepare_source(): pass",
        "cannot be loaded: ImportError: cannot import name 'get_source_type'",
    ),
]
"""What a plugin may do wrong, and what is said of it."""


def test_plugins_that_fail_are_named_and_leave_nothing(
    place: Place, offer: Offer, plug: Plug
) -> None:
    names = [f"bad{number}" for number in range(len(BAD))]
    for name, (text, _) in zip(names, BAD, strict=True):
        offer(name)
        plug(name, text)

    outcome = place.run("realise", "--json", "--keep-going", *names)

    failures = sorted(outcome.json["failures"])
    assert outcome.code == 5
    for name, (_, said) in zip(names, BAD, strict=True):
        pattern = rf"{name}\b.*{said.replace('NAME', name)}"
        assert [each for each in failures if re.search(pattern, each)], (name, failures)
    with open_store(place.store) as store:
        built = {subject.partition("==")[0] for subject in store.subjects("wheel")}
    assert built.isdisjoint(names)


def test_a_plugin_that_cannot_be_read_is_named(
    place: Place, offer: Offer, plug: Plug
) -> None:
    offer("unreadable")
    plug("unreadable", "def build_wheel(:\n")

    outcome = place.run("realise", "unreadable")

    check_error(outcome, 1, r"unreadable\.unreadable cannot be used: .*invalid syntax")


def test_a_plugin_that_hangs_is_stopped(place: Place, offer: Offer, plug: Plug) -> None:
    offer("hung_up")
    plug("hung_up", "import time\ndef prepare_source():\n    time.sleep(3600)\n")

    outcome = place.run("realise", "hung-up", "--timeout", "2")

    check_error(
        outcome, 5, r"failed in prepare_source: it was stopped after \d+ seconds"
    )


def test_a_plugin_reaches_neither_the_network_nor_its_own_machine(
    place: Place, offer: Offer, plug: Plug
) -> None:
    offer("confined")
    plug(
        "confined",
        f"""
        import os, socket

        def prepare_source(source):
            print("home", os.path.exists({str(place.folder)!r}))
            try:
                socket.create_connection(("192.0.2.1", 80), timeout=5)
            except OSError as error:
                print("network", error.errno)
            raise RuntimeError("enough")
        """,
    )

    outcome = place.run("realise", "confined")

    assert "home False" in outcome.err
    assert "network 101" in outcome.err


def test_without_a_sandbox_a_plugin_finds_its_places_too(
    place: Place, offer: Offer, plug: Plug
) -> None:
    offer("unconfined")
    plug(
        "unconfined",
        UPSTREAM_BUILD
        + "\n    def prepare_source(source):\n        (source / 'unconfined' / 'a.py').write_text('')\n"
        "        return source\n",
    )

    outcome = place.realise("unconfined", "--sandbox", "none")

    assert "unconfined/a.py" in names_in(outcome, "unconfined")


def test_an_old_interpreter_calls_plugins_too(
    place: Place, offer: Offer, plug: Plug
) -> None:
    from pathlib import Path

    found = sorted(Path.home().glob(".pyenv/versions/3.9.*/bin/python"))
    if not found:
        pytest.skip("there is no Python 3.9")
    offer("aged_plug")
    plug("aged_plug", UPSTREAM_BUILD)

    outcome = place.realise("aged-plug", "--python", str(found[0]))

    assert outcome.built == ["aged-plug==1.0"]


def test_two_plugins_for_one_package_are_an_error(
    place: Place, offer: Offer, plug: Plug, tmp_path: Path
) -> None:
    offer("fought_over")
    folder = plug("fought_over", "").parent
    points = {"fromager.project_overrides": {"Fought-Over": "rival"}}
    install(folder, "rival_plugin", {"rival.py": ""}, points)

    outcome = place.run("realise", "fought-over")

    check_error(outcome, 1, "rival .* and plugins_of_fought_over.*each of them is for")


def test_a_plugin_that_is_installed_for_others_changes_nothing(
    place: Place, offer: Offer, plug: Plug
) -> None:
    offer("unplugged")
    before = place.realise("unplugged")
    plug("somebody_else", "def build_wheel(:\n")

    assert place.realise("unplugged").wheel("unplugged") == before.wheel("unplugged")
