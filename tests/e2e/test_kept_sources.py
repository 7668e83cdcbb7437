"""What a named root keeps of where things came from: all that building again would need."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from support.plugins import install
from support.projects import archive, sdist
from support.rust import DEFAULT_INDEX, add_registry, cargo_config, crate, fake_rust
from support.rust import locked as cargo_lock
from support.wheels import WheelMaker

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from support.command_line import Place
    from support.index import LocalIndex

    Offer = Callable[..., None]
    Plug = Callable[..., Path]

SETTINGS = """
[package.kept-patched]
edits = [{{ action = "file", path = "note", from = "note.txt" }}]
changelog = ["one"]
extra-sources = [
  {{ url = "{files}extra.tar.gz", sha256 = "{sha256}", path = "x", unpack = true }},
]
[package.kept-taken]
prebuilt = true
"""
PATCH = "--- a/old\n+++ b/old\n@@ -1 +1 @@\n-old\n+new\n"
DOWNLOADS = """
    import pathlib
    import shutil

    def download_source(ctx, req, version, download_url, sdists_downloads_dir):
        pathlib.Path({calls!r}).open("a").write("called\\n")
        return shutil.copy({archive!r}, sdists_downloads_dir)
"""


def files_asked_for(index: LocalIndex) -> list[str]:
    return [r.path for r in index.requests if not r.path.startswith("/simple/")]


def test_a_root_keeps_sources_patches_files_and_what_was_fetched_beside_them(
    fresh: Place, offer: Offer, index: LocalIndex
) -> None:
    extra, wheel = archive("extra", {"y": "extra"}), WheelMaker("kept_taken")
    index.add("extra.tar.gz", extra)
    index.add(wheel.filename, wheel.build())
    offer("kept_patched", dependencies=["kept-taken"], more={"old": "old\n"})
    files = index.url.replace("simple", "files")
    sha256 = hashlib.sha256(extra).hexdigest()
    (fresh.folder / "fromager.toml").write_text(
        SETTINGS.format(files=files, sha256=sha256)
    )
    (fresh.folder / "note.txt").write_text("dropped in")
    patch = fresh.folder / "overrides/patches/kept_patched/1.patch"
    patch.parent.mkdir(parents=True)
    patch.write_text(PATCH)
    first = fresh.realise("kept-patched", "--root", "mine")
    assert len(files_asked_for(index)) == 3
    index.requests.clear()

    collected = fresh.run("gc")
    again = fresh.realise("kept-patched", "--refresh")

    assert collected.code == 0, collected.err
    assert again.out == first.out
    assert again.builds == 0
    assert index.requests
    assert files_asked_for(index) == []


def test_a_root_keeps_the_crates_of_what_compiles_rust(
    fresh: Place, offer: Offer, index: LocalIndex, tmp_path: Path
) -> None:
    leaf = crate("leaf", "1.0.0")
    add_registry(index, [leaf])
    (fresh.folder / ".cargo").mkdir()
    (fresh.folder / ".cargo/config.toml").write_text(cargo_config(index))
    fresh.variables["PATH"] = f"{fake_rust(tmp_path / 'rust')}:/usr/bin:/bin"
    manifest = '[package]\nname = "demo"\nversion = "0.1.0"\nedition = "2021"\n'
    lock = cargo_lock(leaf, source=f"registry+{DEFAULT_INDEX}")
    offer("setuptools-rust")
    offer(
        "kept_rusty",
        requires=["setuptools-rust"],
        more={"Cargo.toml": manifest, "Cargo.lock": lock},
    )
    first = fresh.realise("kept-rusty", "--root", "mine")
    index.requests.clear()

    collected = fresh.run("gc")
    again = fresh.realise("kept-rusty", "--refresh")

    assert collected.code == 0, collected.err
    assert again.out == first.out
    assert again.builds == 0
    assert files_asked_for(index) == []


def test_a_root_keeps_what_a_plugin_fetched(
    fresh: Place, offer: Offer, plug: Plug, tmp_path: Path
) -> None:
    offer("kept_fetched")
    offer("kept_other")
    name, content = sdist("kept_fetched", "1.0", value="by the plugin")
    (tmp_path / name).write_bytes(content)
    calls = tmp_path / "calls"
    plug(
        "kept_fetched",
        DOWNLOADS.format(calls=str(calls), archive=str(tmp_path / name)),
    )
    fresh.realise("kept-fetched", "--root", "mine")

    collected = fresh.run("gc")
    again = fresh.realise("kept-fetched", "kept-other")

    assert collected.code == 0, collected.err
    assert again.built == ["kept-other==1.0"]
    assert calls.read_text() == "called\n"


def test_what_hooks_heard_once_they_do_not_hear_again(
    fresh: Place, offer: Offer, site: Path, tmp_path: Path
) -> None:
    offer("kept_heard")
    heard = tmp_path / "heard"
    text = f"""
        def told(ctx, req, dist_name, dist_version, sdist_filename, wheel_filename):
            open({str(heard)!r}, "a").write(f"{{dist_name}}\\n")
    """
    points = {"fromager.hooks": {"post_build": "kept_listener:told"}}
    install(site, "kept_listener", {"kept_listener.py": text}, points)
    fresh.realise("kept-heard", "--root", "mine")

    collected = fresh.run("gc")
    fresh.realise("kept-heard", "--refresh")

    assert collected.code == 0, collected.err
    assert heard.read_text() == "kept-heard\n"
