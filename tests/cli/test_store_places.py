"""Which stores the settings mean."""

from __future__ import annotations

from pathlib import Path

import pytest

from fromager.cli.settings import load_settings
from fromager.cli.store_places import StorePlaces
from fromager.derivations import InputError

HERE = Path("/here")


def places(
    *given: str, folder: Path = HERE, environ: dict[str, str] | None = None
) -> StorePlaces:
    settings = load_settings({"store": given}, environ or {}, folder, Path("/nowhere"))
    return StorePlaces.find(
        settings.text("store") or "default", settings.texts("lower"), folder
    )


@pytest.mark.parametrize(
    ("given", "top", "lower"),
    [
        ((), "/here/default", []),
        (("mine",), "/here/mine", []),
        (("/mine", "ro:low", "ro:/far"), "/mine", ["/here/low", "/far"]),
        (("ro:low", "mine"), "/here/mine", ["/here/low"]),
        (("ro:low",), None, ["/here/low"]),
        (("ro:a", "ro:b"), None, ["/here/a", "/here/b"]),
    ],
)
def test_stores_are_named_by_options(
    given: tuple[str, ...], top: str | None, lower: list[str]
) -> None:
    found = places(*given)

    expected = None if top is None else Path(top)
    assert found == StorePlaces(expected, tuple(map(Path, lower)))


def test_stores_are_named_by_variables() -> None:
    environ = {"FROMAGER_STORE": "mine", "FROMAGER_LOWER": "/with blank::low"}

    assert places(environ=environ) == StorePlaces(
        HERE / "mine", (Path("/with blank"), HERE / "low")
    )


def test_options_stand_for_all_stores() -> None:
    environ = {"FROMAGER_STORE": "mine", "FROMAGER_LOWER": "/low"}

    assert places("other", environ=environ) == StorePlaces(HERE / "other")
    assert places("ro:other", environ=environ) == StorePlaces(None, (HERE / "other",))


def test_paths_in_a_file_are_meant_from_there(tmp_path: Path) -> None:
    (tmp_path / "fromager.toml").write_text('store = "ro:a"\nlower = ["b", "ro:/c"]\n')

    found = places(folder=tmp_path)

    assert found == StorePlaces(None, (tmp_path / "a", tmp_path / "b", Path("/c")))


def test_one_store_at_most_is_written_to() -> None:
    with pytest.raises(InputError, match="a and b") as caught:
        places("a", "b")

    assert "ro:" in (caught.value.hint or "")
