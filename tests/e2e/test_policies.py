"""How new files may be: cut-off dates, and the age that releases must have."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from support.index import Hosted
from support.projects import sdist

if TYPE_CHECKING:
    from support.command_line import Outcome, Place
    from support.index import LocalIndex

NOW = datetime.now(UTC)


def offer(
    index: LocalIndex, name: str, version: str, days: int, **more: object
) -> None:
    """A release that was uploaded so many days ago."""
    filename, content = sdist(name, version, **more)  # type: ignore[arg-type]
    uploaded = (NOW - timedelta(days=days)).isoformat()
    index.add(filename, Hosted(content, upload_time=uploaded))


def names(outcome: Outcome) -> list[str]:
    return [f"{row['name']}=={row['version']}" for row in outcome.json["wheels"]]


def day(ago: int) -> str:
    return (NOW - timedelta(days=ago)).date().isoformat()


def test_what_is_newer_than_a_day_is_passed_over(
    place: Place, index: LocalIndex
) -> None:
    offer(index, "dated", "1.0", 20)
    offer(index, "dated", "2.0", 10)
    offer(index, "dated", "3.0", 1)

    assert names(place.realise("dated")) == ["dated==3.0"]
    outcome = place.realise("dated", "--exclude-newer", day(10))
    assert names(outcome) == ["dated==2.0"]
    outcome = place.realise(
        "dated", "--exclude-newer", (NOW - timedelta(days=15)).isoformat()
    )
    assert names(outcome) == ["dated==1.0"]


def test_single_projects_may_have_a_day_of_their_own(
    place: Place, index: LocalIndex
) -> None:
    for name in ("early", "late", "free"):
        offer(index, name, "1.0", 20)
        offer(index, name, "2.0", 5)

    outcome = place.realise(
        *("early", "late", "free", "--exclude-newer", day(10)),
        *("--exclude-newer-package", f"Late={day(3)}"),
        *("--exclude-newer-package", "free=none"),
    )

    assert names(outcome) == ["early==1.0", "free==2.0", "late==2.0"]


def test_what_is_too_young_is_passed_over_but_not_what_is_asked_for_exactly(
    place: Place, index: LocalIndex
) -> None:
    offer(index, "young", "1.0", 20)
    offer(index, "young", "2.0", 2)

    assert names(place.realise("young", "--min-age", "7")) == ["young==1.0"]
    assert names(place.realise("young==2.0", "--min-age", "7")) == ["young==2.0"]
    own = ("--min-age-package", "young=1")
    assert names(place.realise("young", "--min-age", "7", *own)) == ["young==2.0"]
    place.variables["FROMAGER_MIN_AGE"] = "7"
    assert names(place.realise("young")) == ["young==1.0"]
    assert names(place.realise("young", "--min-age", "0")) == ["young==2.0"]


def test_what_builds_are_done_with_must_be_old_enough_too(
    place: Place, index: LocalIndex
) -> None:
    offer(index, "aged", "1.0", 20, requires=["agedtool"], imports=["agedtool"])
    offer(index, "agedtool", "1.0", 20, value="'old'")
    offer(index, "agedtool", "2.0", 2, value="'new'")

    outcome = place.run("realise", "aged", "--min-age", "7")

    assert outcome.code == 0, outcome.err
    assert "agedtool==1.0" in outcome.built
    assert "agedtool==2.0" not in outcome.built


def test_without_upload_times_nothing_is_used_unless_the_index_may_lack_them(
    place: Place, index: LocalIndex
) -> None:
    index.add(*sdist("undated", "1.0"))

    refused = place.run("realise", "undated", "--min-age", "7")
    allowed = place.realise("undated", "--min-age", "7", "--undated-index", index.url)

    assert refused.code == 4
    assert "undated 1.0 has no known upload time" in refused.error
    assert "allow this one not to" in refused.error
    assert names(allowed) == ["undated==1.0"]


def test_an_answer_is_remembered_for_the_same_limits_only(
    place: Place, index: LocalIndex
) -> None:
    offer(index, "kept", "1.0", 20)
    offer(index, "kept", "2.0", 5)
    place.realise("kept", "--min-age", "7")

    again = place.realise("kept", "--min-age", "7")

    assert (again.processes, again.connections) == ((), 0)
    assert names(again) == ["kept==1.0"]
    assert names(place.realise("kept", "--min-age", "3")) == ["kept==2.0"]


def test_a_limit_that_cannot_be_read_is_one_clear_error(place: Place) -> None:
    for words, message in (
        (("--exclude-newer", "tomorrow"), "exclude-newer: 'tomorrow' is no date"),
        (("--min-age-package", "x=soon"), "min-age-package: 'soon' is no number"),
        (("--min-age-package", "7"), "min-age-package: '7' is for no project"),
    ):
        outcome = place.run("realise", "anything", *words)

        assert outcome.code == 2
        assert message in outcome.error
