"""The shape of the source tree: layers, seams, purity, size.

The rules are in `support/source_rules.py`; here is what they are applied to, and a
planted breach of each, so that a rule that can no longer fail is noticed.
"""

import ast
import sys
from importlib import import_module
from pathlib import Path
from typing import Final

import pytest

from support import source_rules as rules

ROOT: Final = Path(__file__).parents[1]

PURE: Final = (
    "store/api.py",
    "store/digest.py",
    "store/errors.py",
    "store/path.py",
    "store/realisation.py",
    "store/records.py",
    "store/tree.py",
    "derivations/annotating/annotation.py",
    "derivations/annotating/sbom.py",
    "derivations/building/canned.py",
    "derivations/building/environment.py",
    "derivations/building/programs.py",
    "derivations/building/record.py",
    "derivations/building/seccomp.py",
    "derivations/building/zip_structure.py",
    "derivations/checking/bisection.py",
    "derivations/checking/verdict.py",
    "derivations/comparing/binaries.py",
    "derivations/comparing/causes.py",
    "derivations/comparing/compare.py",
    "derivations/comparing/page.py",
    "derivations/comparing/report.py",
    "derivations/comparing/summary.py",
    "derivations/comparing/texts.py",
    "derivations/comparing/tokens.py",
    "derivations/comparison.py",
    "derivations/core_metadata.py",
    "derivations/customisation/composites.py",
    "derivations/customisation/document.py",
    "derivations/customisation/effects.py",
    "derivations/customisation/native.py",
    "derivations/customisation/readers.py",
    "derivations/customisation/rules.py",
    "derivations/customisation/schema.py",
    "derivations/customisation/setting.py",
    "derivations/customisation/templates.py",
    "derivations/customisation/toml_document.py",
    "derivations/customisation/upstream.py",
    "derivations/customisation/values.py",
    "derivations/customisation/yaml_document.py",
    "derivations/derivation.py",
    "derivations/errors.py",
    "derivations/index/address.py",
    "derivations/index/anchors.py",
    "derivations/index/forges.py",
    "derivations/index/page.py",
    "derivations/index/releases.py",
    "derivations/index/simple.py",
    "derivations/interpreter.py",
    "derivations/locking/*.py",
    "derivations/realising/events.py",
    "derivations/realising/goals.py",
    "derivations/realising/instantiate.py",
    "derivations/realising/locked.py",
    "derivations/realising/lock_making.py",
    "derivations/realising/preferences.py",
    "derivations/realising/request.py",
    "derivations/plugins/broken.py",
    "derivations/plugins/plugins.py",
    "derivations/plugins/protocol.py",
    "derivations/project_requirements.py",
    "derivations/requirement.py",
    "derivations/requirement_lines.py",
    "derivations/requirements.py",
    "derivations/resolution/*.py",
    "derivations/rust/lock.py",
    "derivations/rust/project.py",
    "derivations/sbom/bill.py",
    "derivations/sbom/contents.py",
    "derivations/sbom/cyclonedx.py",
    "derivations/sbom/spdx.py",
    "derivations/serving/frames.py",
    "derivations/serving/negotiation.py",
    "derivations/serving/offered.py",
    "derivations/serving/pages.py",
    "derivations/serving/tokens.py",
    "derivations/sharing/challenging.py",
    "derivations/sharing/claims.py",
    "derivations/sharing/compression.py",
    "derivations/sharing/envelope.py",
    "derivations/sharing/failing.py",
    "derivations/sharing/keys.py",
    "derivations/sharing/layout.py",
    "derivations/sharing/place.py",
    "derivations/sharing/policy.py",
    "derivations/sharing/proving.py",
    "derivations/sharing/statement.py",
    "derivations/sources/direct.py",
    "derivations/sources/epoch.py",
    "derivations/sources/git_refs.py",
    "derivations/sources/members.py",
    "derivations/sources/project.py",
    "derivations/sources/tag_rules.py",
    "derivations/sources/unified_diff.py",
    "derivations/sources/versions_of_tags.py",
)
"""Values in, values out: no clock, no disk, no network, no processes."""

EFFECTS: Final = (
    "asyncio",
    "os",
    "random",
    "requests",
    "secrets",
    "shutil",
    "socket",
    "sqlite3",
    "subprocess",
    "tempfile",
    "threading",
    "time",
    "urllib3",
)

SCRIPTS: Final = (
    "derivations/building/bytecode.py",
    "derivations/building/inspection.py",
    "derivations/building/runner.py",
    "derivations/checking/observer.py",
    "derivations/plugins/caller.py",
    "derivations/plugins/stand_in.py",
    "derivations/plugins/upstream_modules.py",
    "derivations/plugins/upstream_resolver.py",
)
"""Run by other interpreters, from 3.9 on, with nothing but their own library."""

LINES: Final = 400


@pytest.fixture(scope="module")
def modules() -> tuple[rules.Module, ...]:
    return rules.read_tree(ROOT)


def plant(root: Path, files: dict[str, str]) -> tuple[rules.Module, ...]:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return rules.read_tree(root)


def test_the_tree_is_seen(modules: tuple[rules.Module, ...]) -> None:
    assert {module.folder for module in modules} == set(rules.LAYERS)


def test_imports_point_down(modules: tuple[rules.Module, ...]) -> None:
    assert rules.upward_imports(modules) == []


def test_only_public_names_cross_a_folder(modules: tuple[rules.Module, ...]) -> None:
    assert rules.private_imports(modules) == []


def test_no_modules_import_each_other(modules: tuple[rules.Module, ...]) -> None:
    assert rules.import_cycles(modules) == []


def test_the_core_has_no_effects(modules: tuple[rules.Module, ...]) -> None:
    assert rules.impure_imports(modules, PURE, EFFECTS) == []


def test_lists_name_modules_that_exist(modules: tuple[rules.Module, ...]) -> None:
    assert rules.unmatched(modules, PURE + SCRIPTS) == []


def test_modules_stay_short(modules: tuple[rules.Module, ...]) -> None:
    # Tables of exports are lists: they are as long as what they name.
    code = [each for each in modules if not each.path.endswith("__init__.py")]

    assert rules.long_modules(code, LINES) == []


def test_the_library_does_not_print(modules: tuple[rules.Module, ...]) -> None:
    assert rules.prints(modules, SCRIPTS) == []


def test_the_library_reads_no_environment(modules: tuple[rules.Module, ...]) -> None:
    assert rules.environment_reads(modules, SCRIPTS) == []


def test_scripts_run_anywhere(modules: tuple[rules.Module, ...]) -> None:
    library = sys.stdlib_module_names
    assert rules.unportable_scripts(modules, SCRIPTS, (3, 9), library) == []


@pytest.mark.parametrize("layer", rules.LAYERS)
def test_every_public_name_can_be_had(layer: str) -> None:
    package = import_module(f"fromager.{layer}")

    names = getattr(package, "__all__", [])

    assert [name for name in names if not hasattr(package, name)] == []
    assert len(names) == len(set(names))


@pytest.mark.parametrize("layer", ["store", "derivations"])
def test_types_of_public_names_are_those_of_their_modules(layer: str) -> None:
    package = import_module(f"fromager.{layer}")
    stub = ast.parse((ROOT / layer / "__init__.pyi").read_text())

    declared = {
        name.asname: node.module
        for node in stub.body
        if isinstance(node, ast.ImportFrom)
        for name in node.names
    }

    homes = {name: f"{package.__name__}.{at}" for name, at in package._MODULE.items()}
    assert declared == homes


@pytest.mark.parametrize("layer", rules.LAYERS)
def test_folders_declare_their_types(layer: str) -> None:
    assert (ROOT / layer / "py.typed").is_file()


@pytest.mark.parametrize(
    "line",
    [
        "from fromager.cli import main",
        "import fromager.derivations.plan",
        "def late():\n    from fromager.derivations import plan",
        "if TYPE_CHECKING:\n    from fromager.cli.main import Main",
        "from derivations import plan",
        "import store",
    ],
)
def test_an_upward_import_is_found(tmp_path: Path, line: str) -> None:
    modules = plant(tmp_path, {"store/a.py": line})

    assert len(rules.upward_imports(modules)) == 1


@pytest.mark.parametrize(
    "line",
    [
        "from fromager.store.digest import Digest",
        "from fromager.store import _secret",
        "from fromager.store import digest",
        "import fromager.store",
    ],
)
def test_a_private_import_is_found(tmp_path: Path, line: str) -> None:
    modules = plant(
        tmp_path,
        {
            "store/__init__.py": '_HOME = {"digest": "Digest"}',
            "store/digest.py": "",
            "derivations/fine.py": "from fromager.store import Digest",
            "derivations/bad.py": line,
        },
    )

    (breach,) = rules.private_imports(modules)
    assert breach.startswith("derivations/bad.py imports ")


def test_a_cycle_is_found(tmp_path: Path) -> None:
    modules = plant(
        tmp_path,
        {
            "store/__init__.py": "",
            "store/a.py": "from fromager.store import b",
            "store/b.py": "def late():\n    from fromager.store.c import x",
            "store/c.py": "from fromager.store.a import y",
        },
    )

    (breach,) = rules.import_cycles(modules)
    assert breach.count("imports") == 3


@pytest.mark.parametrize(
    "line",
    ["import os", "from subprocess import run", "import requests.auth as auth"],
)
def test_an_effect_in_the_core_is_found(tmp_path: Path, line: str) -> None:
    modules = plant(tmp_path, {"store/a.py": line, "derivations/a.py": line})

    (breach,) = rules.impure_imports(modules, ["store/*.py"], EFFECTS)
    assert breach.startswith("store/a.py imports ")


def test_a_module_that_is_gone_from_a_list_is_found(tmp_path: Path) -> None:
    modules = plant(tmp_path, {"store/a.py": ""})

    assert rules.unmatched(modules, ["store/a.py", "cli/b.py"]) == ["cli/b.py"]


def test_a_long_module_is_found(tmp_path: Path) -> None:
    modules = plant(tmp_path, {"store/a.py": "1\n" * 4, "store/b.py": "1\n" * 3})

    assert rules.long_modules(modules, 3) == ["store/a.py has 4 lines"]


def test_a_print_is_found(tmp_path: Path) -> None:
    line = "print('x')\nconsole.print('y')\n"
    files = dict.fromkeys(["store/a.py", "derivations/script.py", "cli/a.py"], line)
    modules = plant(tmp_path, files)

    assert rules.prints(modules, ["derivations/script.py"]) == ["store/a.py:1 prints"]


@pytest.mark.parametrize(
    "line", ["os.environ['X']", "os.getenv('X')", "from os import environ as e"]
)
def test_a_look_at_the_environment_is_found(tmp_path: Path, line: str) -> None:
    files = dict.fromkeys(["store/a.py", "store/script.py", "cli/a.py"], line)
    modules = plant(tmp_path, files)

    assert len(rules.environment_reads(modules, ["store/script.py"])) == 1


@pytest.mark.parametrize(
    "text", ["match x:\n    case _: pass", "import click", "import fromager.store"]
)
def test_a_script_that_needs_too_much_is_found(tmp_path: Path, text: str) -> None:
    modules = plant(tmp_path, {"store/a.py": text, "store/b.py": text})
    library = sys.stdlib_module_names

    breaches = rules.unportable_scripts(modules, ["store/a.py"], (3, 9), library)

    assert len(breaches) == 1
