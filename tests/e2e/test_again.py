"""Recorded steps are done again from the store alone, and nothing is registered."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from fromager.derivations import (
    BuildError,
    BuildPolicy,
    Conditions,
    Freshness,
    InputGone,
    RebuildMeans,
    RebuildRefused,
    build_again,
    build_closure,
    decode,
    open_client,
)
from fromager.derivations.index.address import IndexUrl
from fromager.derivations.index.transport import HttpSettings
from fromager.store import Digest, LocalStore, Realisation, open_store, read_tree
from support.rebuilding import rebuild_means
from support.trees import leftovers

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from fromager.derivations import Target
    from support.command_line import Place

PATCH = """\
--- a/patched.txt
+++ b/patched.txt
@@ -1 +1 @@
-before
+after
"""


@pytest.fixture
def store(place: Place) -> Iterator[LocalStore]:
    with open_store(place.store) as store:
        yield store


@pytest.fixture
def means(store: LocalStore) -> RebuildMeans:
    return rebuild_means(store)


def wheel(store: LocalStore, subject: str) -> Realisation:
    return store.history("wheel", subject)[0]


def steps_to(store: LocalStore, root: Realisation) -> dict[str, Realisation]:
    """One realisation of each kind among all that led to one."""
    drvs = [path for path in build_closure(store, [root]) if path.name.endswith(".drv")]
    return {each.kind: each for path in drvs for each in store.realised(path)[:1]}


def claims(store: LocalStore) -> set[str]:
    folder = store.root / ".fromager" / "realisations"
    return {str(path) for path in folder.rglob("*.json")}


def lasting(facts: tuple[tuple[str, str], ...]) -> dict[str, str]:
    """What must be equal each time: the backend's own file bears the time of day, and
    what a build was done among, its log with it, is recorded of what is kept."""
    among = ("raw_sha256", "log_sha256", "host.", "version.")
    return {name: value for name, value in facts if not name.startswith(among)}


def test_every_kind_of_step_gives_the_same_again(
    place: Place, store: LocalStore, means: RebuildMeans, offer: Callable[..., None]
) -> None:
    offer("again-tool", offers="build_meta")
    offer(
        "again",
        requires=["again-tool"],
        backend="again_tool.build_meta",
        asks=["again-tool>=1"],
        more={"patched.txt": "before\n"},
    )
    patches = place.folder / "patches" / "again-1.0"
    patches.mkdir(parents=True)
    (patches / "one.patch").write_text(PATCH)
    place.realise("again==1.0", "--patches", "patches")
    found = steps_to(store, wheel(store, "again==1.0"))
    found["requires"] = store.history("requires", "again==1.0")[0]
    before = claims(store)

    for kind in ("patch-set", "source", "layout", "environment", "requires", "wheel"):
        with build_again(means, found[kind]) as again:
            assert again.same, kind
            assert lasting(again.facts) == lasting(found[kind].facts)
            if again.path.is_dir():
                assert read_tree(again.path).digest == found[kind].output_digest

    assert claims(store) == before
    assert leftovers(store) == []


def test_a_file_is_fetched_again_from_an_index_that_has_it(
    place: Place, store: LocalStore, offer: Callable[..., None]
) -> None:
    offer("again-fetched")
    place.realise("again-fetched")
    recorded = store.history("fetch", "again_fetched-1.0.tar.gz")[0]
    client = open_client(
        [IndexUrl.parse(place.index, "test", place.folder)],
        HttpSettings,
        store.cache("index"),
        Freshness.CACHED,
    )

    with build_again(rebuild_means(store, client), recorded) as again:
        assert again.same

    with (
        pytest.raises(RebuildRefused, match="nothing may be fetched"),
        build_again(rebuild_means(store), recorded),
    ):
        pass


def test_a_build_is_told_apart_from_the_recorded_one(
    place: Place, store: LocalStore, means: RebuildMeans, offer: Callable[..., None]
) -> None:
    offer(
        "again-clock",
        imports=["again_now"],
        more={"again_now.py": "import time\nVALUE = str(time.time_ns())\n"},
    )
    place.realise("again-clock")
    recorded = wheel(store, "again-clock==1.0")

    with build_again(means, recorded) as again:
        assert not again.same
        assert again.digest == read_tree(again.path).digest
        assert again.log is not None
        assert dict(again.facts)["sha256"] != recorded.fact("sha256")

    assert store.realisations(recorded.key) == (recorded,)


def test_an_input_that_is_gone_is_named(
    place: Place, store: LocalStore, means: RebuildMeans, offer: Callable[..., None]
) -> None:
    offer("again-gone")
    place.realise("again-gone")
    recorded = wheel(store, "again-gone==1.0")
    source = store.history("source", "again-gone==1.0")[0]
    lying = source.output.below(store.root)
    away = lying.with_name(f"{lying.name}.away")
    lying.rename(away)

    try:
        with (
            pytest.raises(InputGone, match=r"again-gone==1\.0 .*its source") as raised,
            build_again(means, recorded),
        ):
            pass
    finally:
        away.rename(lying)

    assert raised.value.role == "source"
    assert raised.value.digest == str(source.output_digest)
    assert "Realise it first" in (raised.value.hint or "")


def test_another_platform_is_refused_and_named(
    place: Place, store: LocalStore, means: RebuildMeans, offer: Callable[..., None]
) -> None:
    offer("again-elsewhere")
    place.realise("again-elsewhere")
    recorded = wheel(store, "again-elsewhere==1.0")
    here = means.find_target

    def elsewhere(executable: str | None, level: str) -> Target:
        target = here(executable, level)
        platform = replace(target.base.platform, digest=Digest(bytes(32)))
        return replace(target, base=replace(target.base, platform=platform))

    with (
        pytest.raises(RebuildRefused, match=r"its platform was blake3:.* here it is"),
        build_again(replace(means, find_target=elsewhere), recorded),
    ):
        pass


def test_a_build_without_a_sandbox_is_done_again_without_one(
    place: Place, store: LocalStore, means: RebuildMeans, offer: Callable[..., None]
) -> None:
    offer("again-open")
    place.realise("again-open", "--sandbox", "none")
    recorded = wheel(store, "again-open==1.0")

    with build_again(means, recorded) as again:
        assert again.same
        assert again.level == "none"


def test_an_output_of_an_older_recipe_is_refused(
    place: Place, store: LocalStore, means: RebuildMeans, offer: Callable[..., None]
) -> None:
    offer("again-old")
    place.realise("again-old")
    recorded = wheel(store, "again-old==1.0")
    content = json.loads(store.read_file(recorded.derivation))
    content["builder"] = "wheel/0 older"
    text = json.dumps(content, sort_keys=True, separators=(",", ":")).encode()
    with store.transaction() as transaction:
        drv = transaction.add_bytes(text, "old.drv")
    old = replace(recorded, key=decode(text).key, derivation=drv.path)

    with (
        pytest.raises(RebuildRefused, match=r"recipe wheel/0 older, here .* wheel/1"),
        build_again(means, old),
    ):
        pass


def test_a_backend_that_asks_for_something_else_is_no_second_build(
    place: Place, store: LocalStore, means: RebuildMeans, offer: Callable[..., None]
) -> None:
    offer("again-ask-a")
    offer("again-ask-b")
    offer("again-fickle", asks=["again-ask-a"])
    place.realise("again-fickle")
    recorded = wheel(store, "again-fickle==1.0")

    def other_answer(source: Path) -> None:
        about = json.loads((source / "about.json").read_text())
        about["asks"] = ["again-ask-b"]
        (source / "about.json").write_text(json.dumps(about))

    with (
        pytest.raises(BuildError, match="other requirements than before: again-ask-b"),
        build_again(means, recorded, conditions=Conditions(prepare=other_answer)),
    ):
        pass


def test_a_failure_carries_the_end_of_its_log(
    place: Place, store: LocalStore, means: RebuildMeans, offer: Callable[..., None]
) -> None:
    offer("again-broken")
    place.realise("again-broken")
    recorded = wheel(store, "again-broken==1.0")

    def broken(source: Path) -> None:
        (source / "tiny_backend.py").write_text("print('going wrong')\n1 / 0\n")

    with (
        pytest.raises(BuildError) as raised,
        build_again(means, recorded, conditions=Conditions(prepare=broken)),
    ):
        pass

    assert any("ZeroDivisionError" in line for line in raised.value.log_tail)


def test_conditions_are_no_part_of_what_is_built(
    place: Place,
    store: LocalStore,
    means: RebuildMeans,
    offer: Callable[..., None],
    tmp_path: Path,
) -> None:
    offer("again-moved")
    place.realise("again-moved")
    recorded = wheel(store, "again-moved==1.0")
    elsewhere = Conditions(cores=2, folder=tmp_path)

    with build_again(
        replace(means, policy=BuildPolicy(timeout=60)), recorded, conditions=elsewhere
    ) as again:
        assert again.path.is_relative_to(tmp_path)
        assert again.same

    assert not again.path.exists()
