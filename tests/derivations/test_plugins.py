"""Which plugins there are, and what they consist of."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from fromager.derivations import PluginBroken, Plugins, find_entry_points
from fromager.derivations.plugins.code import collect
from support.plugins import install

if TYPE_CHECKING:
    from pathlib import Path


def own_files(module: str, folder: Path) -> set[str]:
    files = collect(module, [str(folder)]).files
    return {path for path in files if not path.startswith("packaging/")}


def write(folder: Path, **modules: str) -> None:
    for name, text in modules.items():
        path = folder / f"{name.replace('__', '/')}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def test_a_plugin_consists_of_what_it_imports(tmp_path: Path) -> None:
    write(
        tmp_path,
        acme__one="from acme import shared\nfrom .deep.tool import run\n",
        acme__other="import acme.unseen\n",
        acme__unseen="",
        acme__shared="def f():\n    from acme import late\n",
        acme__late="",
        acme__deep__tool="import json, helper\n",
        acme__typed="",
        helper="import fromager.context\n",
    )
    (tmp_path / "acme" / "__init__.py").write_text("")

    assert own_files("acme.one", tmp_path) == {
        *("acme/__init__.py", "acme/one.py", "acme/shared.py", "acme/late.py"),
        *("acme/deep/tool.py", "helper.py"),
    }


def test_what_is_for_type_checkers_only_is_left_out(tmp_path: Path) -> None:
    text = "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import helper\n"
    write(tmp_path, typed=text, helper="")

    assert own_files("typed", tmp_path) == {"typed.py"}


def test_of_other_packages_and_of_a_plugin_that_is_one_all_is_taken(
    tmp_path: Path,
) -> None:
    write(tmp_path, whole__part="", whole__more="", library__a="", library__b="")
    (tmp_path / "whole/__init__.py").write_text("import library.a\n")
    (tmp_path / "library/__init__.py").write_text("")
    (tmp_path / "whole/data.txt").write_text("data")
    (tmp_path / "whole/__pycache__").mkdir()
    (tmp_path / "whole/__pycache__/part.pyc").write_text("")

    assert own_files("whole", tmp_path) == {
        *("whole/__init__.py", "whole/part.py", "whole/more.py", "whole/data.txt"),
        *("library/__init__.py", "library/a.py", "library/b.py"),
    }


def test_functions_are_found_without_running_anything(tmp_path: Path) -> None:
    text = "raise SystemExit\ntry:\n    def a(): pass\nexcept E:\n    b = 1\nfrom x import c as d\n"
    write(tmp_path, quiet=text)

    assert collect("quiet", [str(tmp_path)]).functions >= {"a", "d"}


@pytest.mark.parametrize(
    ("text", "said"), [("def (", "invalid syntax"), ("\0", "null bytes")]
)
def test_code_that_cannot_be_read_is_named(
    tmp_path: Path, text: str, said: str
) -> None:
    write(tmp_path, unread=text)

    with pytest.raises(PluginBroken, match=said):
        collect("unread", [str(tmp_path)])
    with pytest.raises(PluginBroken, match="no such module"):
        collect("nowhere.at.all", [str(tmp_path)])


def test_entry_points_are_found_without_an_import(tmp_path: Path) -> None:
    points = {
        "fromager.project_overrides": {"Some_Package": "mod.ule", "bad": "a b"},
        "fromager.hooks": {"post_build": "mod : run [extra]"},
        "console_scripts": {"x": "y:z"},
    }
    install(tmp_path, "acme", {}, points)
    install(tmp_path, "stranger", {}, {"console_scripts": {"x": "y:z"}})

    found = find_entry_points([str(tmp_path), str(tmp_path), "/nowhere"])

    assert [(e.group, e.name, e.module, e.attribute) for e in found] == [
        ("fromager.hooks", "post_build", "mod", "run"),
        ("fromager.project_overrides", "Some_Package", "mod.ule", ""),
        ("fromager.project_overrides", "bad", "ab", ""),
    ]
    plugins = Plugins(found, (str(tmp_path),))
    assert plugins.packages == ("bad", "some-package")
    assert plugins.of("some-package") is not None
    assert plugins.of("other") is None


def test_a_file_of_entry_points_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    install(tmp_path, "acme", {}, {})
    path = tmp_path / "acme-1.0.dist-info" / "entry_points.txt"
    path.write_text("[fromager.hooks]\nno equals sign\n")

    (found,) = find_entry_points([str(tmp_path)])

    assert "cannot be read" in found.problem


def test_of_a_distribution_that_is_there_twice_the_first_counts(
    tmp_path: Path,
) -> None:
    for name in ("first", "second"):
        points = {"fromager.hooks": {"post_build": f"{name}:run"}}
        install(tmp_path / name, "acme", {}, points)

    found = find_entry_points([str(tmp_path / "first"), str(tmp_path / "second")])

    assert [entry.module for entry in found] == ["first"]
