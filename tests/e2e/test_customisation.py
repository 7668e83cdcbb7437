"""What settings do to builds, seen from inside of them."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import zipfile
from typing import TYPE_CHECKING, Any

import pytest

from fromager.derivations import RebuildRefused, build_again
from fromager.store import open_store
from support.projects import BACKEND, sdist
from support.rebuilding import rebuild_means
from support.store_check import check_error
from support.wheels import WheelMaker

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from support.command_line import Outcome, Place
    from support.index import LocalIndex

    Offer = Callable[..., None]


def telling(code: str, **more: str) -> dict[str, Any]:
    """A project whose build runs this as well."""
    body = "\n".join(f"    {line}" for line in code.splitlines())
    hook = f"\n_build = build_wheel\n\ndef build_wheel(directory, config_settings=None, metadata_directory=None):\n{body}\n    return _build(directory)\n"  # fmt: skip
    return {"more": {"tiny_backend.py": BACKEND + hook, **more}}


def settings(place: Place, text: str) -> None:
    (place.folder / "fromager.toml").write_text(text)


def log(place: Place, name: str) -> str:
    return place.run("log", name).out.strip()


def test_variables_are_expanded_in_order(place: Place, offer: Offer) -> None:
    code = "print(os.environ['B'], os.environ['D'], os.environ['PATH'])"
    offer("expanded", "1.5", **telling(code))
    settings(
        place,
        "[package.expanded.env]\nA = 1\nB = '${A}-${__version__}-${C:-none}-$$x'\n"
        "D = true\nPATH = '${PATH}:/extra'\n",
    )

    place.realise("expanded")

    assert log(place, "expanded") == ("1-1.5-none-$x 1 /env/bin:/usr/bin:/bin:/extra")


def test_the_number_of_jobs_may_be_named_and_is_no_part_of_the_key(
    place: Place, offer: Offer
) -> None:
    offer("threads", **telling("print('N', os.environ['NVCC_THREADS'])"))
    settings(place, "[package.threads.env]\nNVCC_THREADS = '${MAX_JOBS}$$'\n")

    first = place.realise("threads", "--cores", "3")
    second = place.realise("threads", "--cores", "2")

    assert log(place, "threads") == "N 3$"
    assert second.built == []
    assert second.wheel("threads")["key"] == first.wheel("threads")["key"]


def test_variables_of_the_caller_reach_templates_only_if_they_are_declared(
    place: Place, offer: Offer
) -> None:
    offer("homely", **telling("print('CUDA', os.environ['WHERE'])"))
    place.variables["CUDA_HOME"] = "/opt/cuda"
    rule = "[package.homely.env]\nWHERE = '${CUDA_HOME}'\n"
    settings(place, rule)

    refused = place.run("realise", "homely")
    settings(place, f"host-env = ['CUDA_HOME']\n{rule}")
    allowed = place.realise("homely")
    place.variables["CUDA_HOME"] = "/opt/other"
    other = place.realise("homely")

    check_error(refused, 2, r"fromager\.toml:2", "CUDA_HOME", "host-env")
    assert "CUDA /opt/cuda" not in log(place, "homely")
    assert other.wheel("homely")["key"] != allowed.wheel("homely")["key"]


def test_config_settings_reach_the_backend(place: Place, offer: Offer) -> None:
    offer("configured", **telling("print(sorted(config_settings.items()))"))
    settings(place, "[package.configured.config-settings]\na = 'x'\nb = ['y', 'z']\n")

    place.realise("configured")

    assert log(place, "configured") == "[('a', 'x'), ('b', ['y', 'z'])]"


def test_a_project_may_lie_in_a_folder_of_its_source(
    place: Place, index: LocalIndex
) -> None:
    from support.projects import archive

    _, content = sdist("inner", "1.0")
    members: dict[str, str] = unpacked(content)
    packed = archive(
        "inner-1.0", {"README": "x", **{f"py/{n}": t for n, t in members.items()}}
    )
    index.add("inner-1.0.tar.gz", packed)
    settings(place, "[package.inner]\nbuild-dir = './py/'\n")

    assert place.realise("inner").built == ["inner==1.0"]
    settings(place, "[package.inner]\nbuild-dir = 'nowhere'\n")
    check_error(place.run("realise", "inner"), 1, "no folder nowhere")


def unpacked(content: bytes) -> dict[str, str]:
    """The files of an sdist, without their top-level folder."""
    import gzip
    import io
    import tarfile

    found = {}
    with tarfile.open(fileobj=io.BytesIO(gzip.decompress(content))) as tar:
        for member in tar.getmembers():
            file = tar.extractfile(member)
            assert file is not None
            found[member.name.partition("/")[2]] = file.read().decode()
    return found


def test_what_a_build_would_download_is_put_into_its_source(
    place: Place, offer: Offer, index: LocalIndex
) -> None:
    from support.projects import archive

    code = "print(pathlib.Path('third/data.txt').read_text(), os.listdir('third/lib'))"
    offer("fetching", **telling(code))
    library = archive("lib-2", {"lib.c": "int x;"})
    index.add("data.bin", b"the data")
    index.add("lib-2.tar.gz", library)
    files = index.url.replace("simple", "files")
    sources: list[dict[str, Any]] = [
        {"url": f"{files}data.bin", "sha256": sha256(b"the data"), "path": "third/data.txt"},
        {"url": f"{files}lib-2.tar.gz", "sha256": sha256(library), "path": "third/lib", "unpack": True},
    ]  # fmt: skip
    tables = "".join(
        "[[package.fetching.extra-sources]]\n"
        + "".join(f"{k} = {json.dumps(v)}\n" for k, v in source.items())
        for source in sources
    )
    settings(place, tables)

    place.realise("fetching")

    assert log(place, "fetching") == "the data ['lib.c']"
    settings(place, tables.replace(sha256(b"the data"), "0" * 64))
    outcome = place.run("realise", "fetching")
    check_error(outcome, 1, "data.bin", "0" * 64)
    origin = f"{place.folder / 'fromager.toml'}:1"
    assert f"fetching==1.0 has it as an extra source ({origin})" in outcome.err


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def test_a_source_is_edited_in_order_after_its_patches(
    place: Place, offer: Offer
) -> None:
    code = "print(pathlib.Path('a.txt').read_text().split(), sorted(os.listdir('.')))"
    offer("edited", **telling(code, **{"a.txt": "one\ntwo\nthree\n", "b.txt": ""}))
    (place.folder / "added.sh").write_text("#!/bin/sh\n")
    settings(
        place,
        """
[[package.edited.edits]]
action = "replace-line"
files = "*.txt"
search = "^t(.)"
replace = '\\1'
[[package.edited.edits]]
action = "delete-line"
files = ["a.txt"]
search = "^h"
[[package.edited.edits]]
action = "remove"
files = ["b.txt"]
[[package.edited.edits]]
action = "file"
path = "new/run.sh"
from = "added.sh"
executable = true
""",
    )

    place.realise("edited")
    shown = options_of_the_source(place, "edited")

    told = log(place, "edited")
    (place.folder / "added.sh").write_text("#!/bin/sh\nexit\n")
    assert place.realise("edited").built == ["edited==1.0"]
    assert told.startswith("['one', 'wo']")
    assert "'new'" in told
    assert "'b.txt'" not in told
    actions = [edit["action"] for edit in shown["edits"]]
    assert actions == ["replace-line", "delete-line", "remove", "file"]


def options_of_the_source(place: Place, name: str) -> Any:
    with open_store(place.store, create=False) as store:
        claim = store.history("source", f"{name}==1.0")[0]
        return json.loads(store.read_file(claim.derivation))["options"]


def test_an_edit_that_finds_nothing_is_an_error_with_its_line(
    place: Place, offer: Offer
) -> None:
    offer("unedited")
    edit = "[[package.unedited.edits]]\naction = 'delete-line'\nfiles = ['about.json']\nsearch = 'zzz'\n"  # fmt: skip
    settings(place, edit)

    outcome = place.run("realise", "unedited")

    check_error(outcome, 1, r"fromager\.toml:1", "about.json", "zzz")
    settings(place, f"{edit}ignore-missing = true\n")
    place.realise("unedited")


def test_build_requirements_are_changed_without_a_patch(
    place: Place, offer: Offer
) -> None:
    offer("needy", requires=["gone-tool", "n-tool<1"], imports=["n_tool", "n_more"])
    offer("n_tool", "2.0", value="two")
    offer("n_more")
    settings(
        place,
        "[package.needy]\nupdate-build-requires = ['n-tool>=2', 'n-more']\n"
        "remove-build-requires = ['Gone_Tool']\n",
    )

    outcome = place.realise("needy")

    with zipfile.ZipFile(outcome.wheel("needy")["path"]) as wheel:
        assert wheel.read("needy/saw_n_tool.txt") == b"two"


def test_extra_build_requirements_are_in_the_environment(
    place: Place, offer: Offer
) -> None:
    offer("wanting", imports=["w_tool"])
    offer("w_tool", value="w")
    settings(place, "[package.wanting]\nbuild-requires = ['w-tool']\n")

    assert place.realise("wanting").built == ["w-tool==1.0", "wanting==1.0"]


def test_the_version_is_told_to_setuptools_scm(place: Place, offer: Offer) -> None:
    variable = "SETUPTOOLS_SCM_PRETEND_VERSION_FOR_SCM_PROJECT"
    offer("scm_project", "3.1", **telling(f"print(os.environ['{variable}'])"))
    settings(place, "[package.scm-project]\nscm-version = true\n")

    place.realise("scm-project")

    assert log(place, "scm-project") == "3.1"


PROBE = """
pathlib.Path('x.c').write_text('''
#include <stdio.h>
int main(void) {
#ifdef NDEBUG
  printf("NDEBUG ");
#endif
#ifdef EXTRA
  printf("EXTRA=%s ", EXTRA);
#endif
#ifdef GONE
  printf("GONE ");
#endif
  return 0;
}
''')
flags = ["-DNDEBUG", "-DGONE", "-Wall"]
subprocess.run(["gcc", *flags, "-c", "x.c", "-o", "x.o"], check=True)
subprocess.run(["gcc", "x.o", "-o", "x"], check=True)
subprocess.run(["./x"], check=True)
link = subprocess.run(["gcc", "x.o", "-o", "x", "-###"], capture_output=True, text=True)
print(os.environ.get("CFLAGS"), "--build-id=none" in link.stderr)
"""


@pytest.mark.skipif(shutil.which("gcc") is None, reason="there is no compiler")
def test_compiler_flags_are_appended_and_removed_and_none_is_lost(
    place: Place, offer: Offer
) -> None:
    offer("flagged", **telling(PROBE))
    settings(
        place,
        "[package.flagged]\nappend-cflags = ['-DEXTRA=\"a b\"']\n"
        "append-ldflags = ['-Wl,--build-id=none']\nremove-flags = ['-DGONE']\n",
    )

    place.realise("flagged")

    assert log(place, "flagged") == "NDEBUG EXTRA=a b None True"


def test_compiler_flags_are_replaced(place: Place, offer: Offer) -> None:
    offer("replaced", **telling("print(os.environ['CFLAGS'])"))
    settings(place, "[package.replaced]\ncflags = ['-O1', '-DX=$1']\n")

    place.realise("replaced")

    assert log(place, "replaced") == "-O1 '-DX=$1'"


def test_a_path_of_the_machine_is_opened_to_one_package_only(
    place: Place, offer: Offer, tmp_path: Path
) -> None:
    folder = tmp_path / "licence"
    folder.mkdir()
    (folder / "key").write_text("1")
    code = "print(os.path.exists('/opt/licence/key'), os.path.exists('/dev/ptmx2'))"
    offer("opened", **telling(code))
    offer("closed", **telling(code))
    settings(
        place,
        f"[package.opened]\nopen = [{{ path = '{folder}', at = '/opt/licence' }}]\n",
    )

    first = place.realise("opened", "closed")
    (folder / "key").write_text("2")
    second = place.realise("opened", "closed")

    assert second.built == ["opened==1.0"]
    assert log(place, "opened").startswith("True")
    assert log(place, "closed").startswith("False")
    assert first.wheel("closed")["key"] == second.wheel("closed")["key"]


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ("open = ['/no/such/place']", "/no/such/place"),
        ("open = ['/usr/share/doc']", "put together for the sandbox|lacks"),
        ("open = [{ path = '/usr', at = '/etc' }]", "belongs to the sandbox"),
        ("open = [{ path = '/etc', at = '/usr' }]", "it would hide /usr"),
        ("system-packages.commands = ['no-such-program']", "no-such-program"),
        ("system-packages.files = ['/usr/include/no-such.h']", "no-such.h"),
        ("system-packages.pkg-config = ['nosuchlib >= 2']", "nosuchlib >= 2"),
    ],
)
def test_what_the_machine_lacks_is_named_before_a_build(
    place: Place, offer: Offer, setting: str, said: str
) -> None:
    offer("lacking")
    settings(place, f"[package.lacking]\n{setting}\n")

    outcome = place.run("realise", "lacking")

    check_error(outcome, 5, "lacking==1.0", said, r"fromager\.toml:2")
    assert outcome.builds == 0


def test_a_prebuilt_wheel_is_used_as_it_is_and_never_silently(
    place: Place, offer: Offer, index: LocalIndex
) -> None:
    wheel = WheelMaker("taken")
    index.add(wheel.filename, wheel.build())
    index.add("taken-1.0-cp27-none-any.whl", b"does not fit")
    offer(
        "uses_taken",
        dependencies=["taken"],
        requires=["taken"],
        imports=["demo"],
        more={},
    )
    settings(place, "[package.taken]\nprebuilt = true\n")

    outcome = place.realise("taken")
    again = place.run("realise", "taken")
    refused = place.run("realise", "taken", "--only-from-source")

    row = outcome.wheel("taken")
    assert row["prebuilt"].endswith("/files/taken-1.0-py3-none-any.whl")
    assert row["sha256"] == sha256(wheel.build())
    assert outcome.builds == 0
    assert "taken==1.0 is not built from source" in again.err
    check_error(refused, 1, "taken==1.0")


def test_only_from_source_lists_what_is_prebuilt_among_build_tools(
    place: Place, offer: Offer, index: LocalIndex
) -> None:
    for name in ("pre_one", "pre_two"):
        wheel = WheelMaker(name)
        index.add(wheel.filename, wheel.build())
    offer("pre_user", requires=["pre-one", "pre-two"])
    settings(
        place,
        "[package.pre-one]\nprebuilt = true\n[package.pre-two]\nprebuilt = true\n",
    )

    refused = place.run("realise", "pre-user", "--only-from-source")

    check_error(refused, 1, "pre-one==1.0, pre-two==1.0")
    assert "taken" not in refused.err


def test_all_that_is_prebuilt_is_listed_at_once_and_nothing_is_built(
    place: Place, offer: Offer, index: LocalIndex
) -> None:
    for name in ("pre_need", "pre_deep"):
        wheel = WheelMaker(name)
        index.add(wheel.filename, wheel.build())
    offer("deep_tool", requires=["pre-deep"])
    offer("deep_user", dependencies=["pre-need"], requires=["deep-tool"])
    settings(
        place,
        "[package.pre-need]\nprebuilt = true\n[package.pre-deep]\nprebuilt = true\n",
    )

    refused = place.run("realise", "deep-user", "--only-from-source")
    built = place.run("realise", "deep-user")
    lock = place.run("lock", "deep-user", "-o", "pylock.toml")
    by_lock = place.run(
        "realise", "deep-user", "--only-from-source", "--lock", "pylock.toml"
    )

    check_error(refused, 1, "pre-deep==1.0, pre-need==1.0")
    assert refused.builds == 0
    assert len(refused.err.splitlines()) == len(refused.error.splitlines())
    # Each is told once, and not as built.
    assert built.err.count("pre-deep==1.0: not built, but taken from") == 1
    assert built.built == ["deep-tool==1.0", "deep-user==1.0"]
    assert lock.code == 0, lock.err
    check_error(by_lock, 1, "pre-deep==1.0, pre-need==1.0")


def test_without_a_fitting_wheel_a_prebuilt_package_cannot_be_had(
    place: Place, offer: Offer
) -> None:
    offer("unfitting")
    settings(place, "[package.unfitting]\nprebuilt = true\n")

    outcome = place.run("realise", "unfitting")

    check_error(
        outcome,
        4,
        "unfitting 1.0 has no wheel that fits, and ",
        "fromager.toml:2 asks for one",
        "Name an index that has wheels of unfitting",
    )


def test_a_package_that_a_variant_does_not_touch_is_shared(
    place: Place, offer: Offer
) -> None:
    offer("v_touched")
    offer("v_untouched")
    settings(place, "[package.v-touched.variants.cuda.env]\nX = '1'\n")

    cpu = place.realise("v-touched", "v-untouched")
    cuda = place.realise("v-touched", "v-untouched", "--variant", "cuda")
    rocm = place.realise("v-touched", "v-untouched", "--variant", "rocm")

    assert cuda.built == ["v-touched==1.0"]
    assert rocm.built == []
    assert keys(rocm) == keys(cpu)
    assert keys(cuda)["v-untouched"] == keys(cpu)["v-untouched"]


def keys(outcome: Outcome) -> dict[str, str]:
    return {row["name"]: row["key"] for row in outcome.json["wheels"]}


def test_an_index_of_its_own_is_the_only_one_that_is_asked(
    place: Place, offer: Offer, index: LocalIndex
) -> None:
    from support.index import local_index

    offer("routed", "9.0")
    with local_index(dict([sdist("routed", "1.0")])) as other:
        settings(place, f"[variants.own]\nindex = '{other.url}'\n")
        outcome = place.realise("routed", "--variant", "own")
        again = place.realise("routed", "--variant", "own")

    assert outcome.wheel("routed")["version"] == "1.0"
    assert again.connections == 0
    assert place.realise("routed").wheel("routed")["version"] == "9.0"


def test_a_package_may_be_fetched_from_elsewhere(
    place: Place, offer: Offer, index: LocalIndex
) -> None:
    offer("moved_away", "1.0", value="old")
    _, content = sdist("moved_away", "1.0", value="new")
    index.add("tag-1.0.tgz", content)
    files = index.url.replace("simple", "files")
    text = (
        f"download_source:\n  url: {files}tag-${{version}}.tgz#sha256={sha256(content)}\n"
        "  destination_filename: moved_away-${version}.tar.gz\n"
    )
    upstream(place, "moved_away.yaml", text)

    outcome = place.realise("moved-away")

    with zipfile.ZipFile(outcome.wheel("moved-away")["path"]) as wheel:
        assert b"new" in wheel.read("moved_away/__init__.py")


def upstream(place: Place, name: str, text: str) -> None:
    folder = place.folder / "overrides" / "settings"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(text)


def test_upstreams_files_are_read_as_they_are(place: Place, offer: Offer) -> None:
    offer("up_stream", **telling("print(os.environ['A'], os.environ['B'])"))
    upstream(
        place,
        "up_stream.yaml",
        "changelog:\n  1.0:\n    - first\nenv:\n  A: yes\n"
        "build_options:\n  exclusive_build: true\n  build_ext_parallel: true\n"
        "variants:\n  cpu:\n    env:\n      B: ${A}2\n",
    )

    outcome = place.realise("up-stream")

    assert log(place, "up-stream") == "1 12"
    assert "build_options.build_ext_parallel has no effect: it made" in outcome.err
    assert outcome.wheel("up-stream")["path"].endswith("/up_stream-1.0-1-py3-none-any.whl")  # fmt: skip


def test_patches_of_a_variant_are_applied_in_the_order_of_their_names(
    place: Place, offer: Offer
) -> None:
    code = "print(pathlib.Path('a.txt').read_text().split())"
    offer("patched_variant", **telling(code, **{"a.txt": "0\n"}))
    folder = place.folder / "overrides" / "patches"
    for name, old, new in (
        ("patched_variant/cuda/3.patch", "2", "3"),
        ("patched_variant-1.0/2.patch", "1", "2"),
        ("patched-variant/1.patch", "0", "1"),
        ("patched_variant-1.0/cuda/4.patch", "3", "4"),
        ("patched_variant-2.0/9.patch", "9", "9"),
    ):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"--- a/a.txt\n+++ b/a.txt\n@@ -1 +1 @@\n-{old}\n+{new}\n")

    place.realise("patched-variant", "--variant", "cuda")
    cuda = log(place, "patched-variant")
    place.realise("patched-variant")

    assert cuda == "['4']"
    assert log(place, "patched-variant") == "['2']"


def test_a_patch_that_fails_shows_what_it_wants_what_is_there_and_when_it_fitted(
    place: Place, offer: Offer
) -> None:
    offer("fitted", "1.0", more={"a.txt": "old\n"})
    offer("fitted", "2.0", more={"a.txt": "other\n"})
    path = place.folder / "overrides/patches/fitted/1.patch"
    path.parent.mkdir(parents=True)
    path.write_text("--- a/a.txt\n+++ b/a.txt\n@@ -1 +1 @@\n-old\n+new\n")
    place.realise("fitted==1.0")

    outcome = place.run("realise", "fitted==2.0")

    check_error(outcome, 1, f"error: {re.escape(str(path))}: a.txt: hunk 1")
    for part in ("-old", "+new", "other", "last applied to fitted==1.0"):
        assert part in outcome.err


def test_a_build_that_wants_to_be_alone_is(place: Place, offer: Offer) -> None:
    offer("alone", quirk="cores")
    settings(
        place,
        "[package.alone]\nexclusive = true\ncores-per-job = 2\ntimeout = 50\n",
    )

    place.realise("alone", "--cores", "1")

    from fromager.cli.settings import usable_cores

    assert log(place, "alone") == f"cores {usable_cores()}"


def test_what_was_customised_is_done_again_from_its_record(
    place: Place, index: LocalIndex, tmp_path: Path
) -> None:
    from support.projects import archive

    opened = tmp_path / "opened"
    opened.mkdir()
    (opened / "data").write_text("seen")
    told = (
        "files = {'opened': open('/opt/again/data').read(), 'late': os.environ['LATE'],"
        " 'note': pathlib.Path('../note').read_text(), 'extra': pathlib.Path('../x/y')"
        ".read_text(), 'gcc': str(os.path.exists('/fromager/bin/gcc')),"
        " 'config': config_settings['a'], 'old': pathlib.Path('../old').read_text()}\n"
        "ABOUT['files'] = {f'repeated/{k}': v for k, v in files.items()}"
    )
    _, content = sdist("repeated", "1.0", **telling(told))
    members = {f"py/{name}": text for name, text in unpacked(content).items()}
    packed = archive("repeated-1.0", {"old": "old\n", **members})
    extra = archive("extra", {"y": "extra"})
    index.add("repeated-1.0.tar.gz", packed)
    index.add("extra.tar.gz", extra)
    url = f"{index.url.replace('simple', 'files')}extra.tar.gz"
    patch = place.folder / "overrides/patches/repeated/1.patch"
    patch.parent.mkdir(parents=True)
    patch.write_text("--- a/old\n+++ b/old\n@@ -1 +1 @@\n-old\n+patched\n")
    settings(
        place,
        f"""
[package.repeated]
build-dir = "py"
config-settings = {{ a = "b" }}
append-cflags = ["-g0"]
open = [{{ path = "{opened}", at = "/opt/again" }}]
system-packages = {{ commands = ["sh"] }}
extra-sources = [
  {{ url = "{url}", sha256 = "{sha256(extra)}", path = "x", unpack = true }},
]
env.LATE = "${{MAX_JOBS}}"
edits = [
  {{ action = "replace-line", files = "old", search = "patched", replace = "edited" }},
  {{ action = "file", path = "note", content = "dropped" }},
  {{ action = "version" }},
  {{ action = "pkg-info" }},
  {{ action = "build-requires" }},
  {{ action = "remove", files = ["gone"], ignore-missing = true }},
]
""",
    )
    row = place.realise("repeated").wheel("repeated")

    with zipfile.ZipFile(row["path"]) as wheel:
        held = {
            n: wheel.read(f"repeated/{n}").decode() for n in ("old", "note", "opened")
        }
    assert held == {"old": "edited\n", "note": "dropped", "opened": "seen"}
    with open_store(place.store) as store:
        for kind in ("patch-set", "source", "requires", "wheel"):
            recorded = store.history(kind, "repeated==1.0")[0]
            with build_again(rebuild_means(store), recorded) as rebuilt:
                assert rebuilt.same, kind
        (opened / "data").write_text("another")
        recorded = store.history("wheel", "repeated==1.0")[0]
        with (
            pytest.raises(RebuildRefused, match="/opt/again is not what it was"),
            build_again(rebuild_means(store), recorded),
        ):
            pass


def test_what_is_prebuilt_cannot_be_done_again(place: Place, index: LocalIndex) -> None:
    wheel = WheelMaker("pre_again")
    index.add(wheel.filename, wheel.build())
    settings(place, "[package.pre-again]\nprebuilt = true\n")
    place.realise("pre-again")

    with open_store(place.store) as store:
        recorded = store.history("wheel", "pre-again==1.0")[0]
        with (
            pytest.raises(RebuildRefused, match="not built, but taken from"),
            build_again(rebuild_means(store), recorded),
        ):
            pass


@pytest.mark.parametrize("value", ["soon", "-1", "${MAX_JOBS}"])
def test_a_source_date_that_is_none_is_an_error(
    place: Place, offer: Offer, value: str
) -> None:
    offer("dated")
    settings(place, f"[package.dated.env]\nSOURCE_DATE_EPOCH = '{value}'\n")

    check_error(place.run("realise", "dated"), 2, r"toml:2", "SOURCE_DATE_EPOCH")
