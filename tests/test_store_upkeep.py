"""Months that are dropped and brought back, and the store made anew: the same on both stores."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from builders import content
from elasticsearch import Elasticsearch

from ingest import dedup
from ingest.errors import SitrepError, UsageError
from ingest.models import Content, Feed, Outcome
from ingest.pipeline import dropping, planning, rebuilding, reporting, runs
from ingest.pipeline.pipe import Pipe
from ingest.pipeline.publishing import publish
from ingest.settings import Settings
from ingest.store import Lease, Query, Store
from tests.elastic_server import PREFIX, wipe

pytestmark = pytest.mark.slow

# Months of which one is dropped: at their edges stand stories that tell the same, years before 2015 share an index.
NEW_YEAR = datetime(2015, 1, 1, tzinfo=UTC)


def told(number: int, at: datetime, **changes: Any) -> Content:
    """A story of its own at this moment."""
    chance = random.Random(number)
    words = ["".join(chance.choices("abdefgiklmnoprstuvw", k=7)) for _ in range(60)]
    fields = {"title": f"Report {number}", "text": " ".join(words) + ".", "published": at.isoformat(), "first_seen": at}
    return content(f"s{number:03}", **{**fields, "captured": at + timedelta(hours=1), **changes})


def archive() -> list[Content]:
    """Ninety days around the new year, two stories a day; every fifth is told again by another within two days, so
    that clusters reach over both ends of December, one moved over the edge and one is undated."""
    listed: list[Content] = []
    for number in range(180):
        at = NEW_YEAR + timedelta(hours=12 * number - 45 * 24)
        listed.append(told(number, at))
        if number % 5 == 0:
            for hours, name in ((30, "echo"), (47, "copy")):
                later = at + timedelta(hours=hours)
                twin = content(f"{name}{number:03}", title=listed[-1].title, text=listed[-1].text, source="b.example")
                listed.append(replace(twin, published=later.isoformat(), first_seen=later, captured=later))
    # an outlet that moves its story over the edge: the earlier capture counts
    edge = datetime(2014, 12, 31, 23, tzinfo=UTC)
    listed.append(told(200, edge))
    listed.append(
        told(
            200,
            edge + timedelta(days=1),
            text="It was told once more, with more words.",
            captured=edge + timedelta(days=2),
        )
    )
    listed.append(told(201, edge + timedelta(days=1), published=None, published_from=None))
    return sorted(listed, key=lambda each: (each.instant(), each.id))


@pytest.fixture(params=["embedded", "served"])
def pipe(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Pipe]:
    """An empty store on each, and the archive in the landing zone, as files of stories in two orders."""
    monkeypatch.setattr(planning, "ARCHIVE_SLICE", 60)
    monkeypatch.setattr(dropping, "SLICE", 25)
    settings = Settings(home=tmp_path, landing=str(tmp_path / "landing"))
    prefix = f"{PREFIX}upkeep-"
    client: Elasticsearch | None = request.getfixturevalue("client") if request.param == "served" else None
    if client:
        url = request.getfixturevalue("elasticsearch_url")
        settings = replace(settings, elasticsearch_url=url, elasticsearch_prefix=prefix)
    pipe = Pipe(settings)
    stories = archive()
    for number, some in enumerate((stories[::2], stories[1::2])):
        write_part(pipe, f"stories/archive/x/{number:05}", some)
    yield pipe
    if client:  # emptying is faster than deleting, where it has not moved to another generation
        wipe(client, prefix, whole=pipe.store._layout.generation > 1)  # type: ignore[attr-defined]
    pipe.close()


def write_part(pipe: Pipe, path: str, contents: Sequence[Content]) -> None:
    prints = dedup.fingerprints([(each.title, each.text) for each in contents])
    pipe.landing.write_part(path, contents, prints, {"counts": {}, "reasons": {}, "named": [], "last": True})


def exported(store: Store) -> list[str]:
    return [json.dumps(each.to_json()) for each in store.export(Query())]


def without_clock(lines: Sequence[str]) -> list[dict[str, Any]]:
    return [{**json.loads(line), "indexed": None} for line in lines]


def links(store: Store) -> list[Any]:
    return list(store.links([each.id for each in store.export(Query())]))


def december(lines: Sequence[str]) -> list[str]:
    return [line for line in lines if (json.loads(line)["published"] or "").startswith("2014-12")]


# dropping ------------------------------------------------------------------------------------------------------------
def test_a_dropped_month_is_gone_as_if_it_had_never_been(pipe: Pipe, tmp_path: Path) -> None:
    publish(pipe, run="r")
    before = exported(pipe.store)
    assert len(december(before)) > 70
    steps: list[Any] = []
    gone = dropping.drop(pipe, "2014-12", progress=steps.append)
    assert (gone, steps[-1].done, steps[-1].total) == (len(december(before)), gone, gone)
    after = exported(pipe.store)
    assert len(after) == len(before) - gone
    assert december(after) == []
    assert {json.loads(line)["id"] for line in after} == {json.loads(line)["id"] for line in before} - {
        json.loads(line)["id"] for line in december(before)
    }
    # clusters over the edge fall apart, leads pass on: the same as in a store that never had the month
    other = Pipe(Settings(home=tmp_path / "other", landing=str(tmp_path / "other")))
    write_part(other, "stories/archive/x/00000", [each for each in archive() if each.id in ids(after)])
    publish(other, run="r")
    assert without_clock(exported(other.store)) == without_clock(after)
    assert links(other.store) == links(pipe.store)
    assert sum(json.loads(line)["lead"] for line in after) > sum(json.loads(line)["lead"] for line in before) - gone
    other.close()
    assert dropping.drop(pipe, "2014-12") == 0
    assert dropping.holds(pipe, "2014-12") == 0
    for month in ("2014-11", "2015-01"):
        assert dropping.holds(pipe, month) > 30


def ids(lines: Sequence[str]) -> set[str]:
    return {json.loads(line)["id"] for line in lines}


def test_what_publishes_a_dropped_month_counts_it_as_rejected(pipe: Pipe) -> None:
    dropping.drop(pipe, "2014-12")
    publish(pipe, run="r")
    run = runs.start("replay")
    first = reporting.report(pipe, replace(run, id="r"), pipe.landing.parts())
    expected = exported(pipe.store)
    assert december(expected) == []
    assert first.outcomes[Outcome.REJECTED] == first.reasons["month_dropped"] > 70
    assert sum(first.outcomes.values()) == first.entries == len(archive())
    # told again under an address that is known for it, with a date of another month: it stays out
    moved = told(70, NEW_YEAR + timedelta(days=20))
    assert content("s070").id not in ids(expected)
    write_part(pipe, "stories/archive/y/00000", [moved, told(300, NEW_YEAR - timedelta(days=3)), told(301, NEW_YEAR)])
    (booking,) = publish(pipe, ["stories/archive/y/00000"], run="y").values()
    assert booking.counts == {"": {"rejected": 2, "indexed": 1}}
    assert booking.reasons == {"month_dropped": 2}
    publish(pipe, run="again")
    assert ids(exported(pipe.store)) == {*ids(expected), "id-s301"}


def test_a_file_that_was_published_before_its_month_was_dropped(pipe: Pipe) -> None:
    """To whoever publishes or backfills it again, it is not unchanged."""
    parts = pipe.landing.parts()
    publish(pipe, run="r")
    first = reporting.report(pipe, replace(runs.start("replay"), id="r"), parts)
    gone = dropping.drop(pipe, "2014-12")
    assert gone > 70
    write_part(pipe, "stories/archive/y/00000", [told(300, NEW_YEAR - timedelta(days=3)), told(301, NEW_YEAR)])
    again = runs.start("replay")
    publish(pipe, run=again.id)
    second = reporting.report(pipe, again, parts)
    assert second.entries == first.entries == sum(second.outcomes.values())
    assert second.reasons == {"month_dropped": second.outcomes[Outcome.REJECTED]}
    there = {each.id for each in pipe.store.export(Query())}
    assert second.outcomes[Outcome.REJECTED] == sum(
        id_ not in there for path in parts for id_ in pipe.landing.part(path).ids
    )
    assert second.outcomes[Outcome.UNCHANGED] == second.entries - second.outcomes[Outcome.REJECTED]
    # what was never let in was counted when it was published, and is not counted twice
    let_in = reporting.report(pipe, again, ["stories/archive/y/00000"])
    assert let_in.reasons == {"month_dropped": 1}
    later = reporting.report(pipe, runs.start("replay"), ["stories/archive/y/00000"])
    assert later.reasons == {"month_dropped": 1}
    assert later.outcomes == {**dict.fromkeys(Outcome, 0), Outcome.REJECTED: 1, Outcome.UNCHANGED: 1}


def test_a_month_is_brought_back(pipe: Pipe) -> None:
    publish(pipe, run="r")
    before, linked = exported(pipe.store), links(pipe.store)
    reporting.report(pipe, replace(runs.start("replay"), id="r"), pipe.landing.parts())
    gone = dropping.drop(pipe, "2014-12")
    with pytest.raises(UsageError, match="is no month"):
        dropping.undo(pipe, "2014-13")
    assert dropping.undo(pipe, "2014-11") is None
    assert dropping.undo(pipe, "2014-12") == pipe.landing.parts()
    assert dropping.undo(pipe, "2014-12") is None
    again = runs.start("replay")
    publish(pipe, run=again.id)
    assert without_clock(exported(pipe.store)) == without_clock(before)
    assert links(pipe.store) == linked
    told = reporting.report(pipe, again, pipe.landing.parts()).outcomes
    assert told[Outcome.INDEXED] + told[Outcome.DUPLICATE] == gone  # what came back is told as that


@pytest.mark.parametrize("number", [1, 3])
def test_a_drop_that_is_cut_off_goes_on(pipe: Pipe, monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    publish(pipe, run="r")
    plain, calls = pipe.store.write, 0

    def cut(*args: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == number:
            raise KeyboardInterrupt
        return plain(*args)

    monkeypatch.setattr(pipe.store, "write", cut)
    with pytest.raises(KeyboardInterrupt):
        dropping.drop(pipe, "2014-12")
    monkeypatch.undo()
    publish(pipe, run="r")  # brings nothing of it back
    dropping.drop(pipe, "2014-12")
    assert december(exported(pipe.store)) == []


@pytest.mark.parametrize("month", ["2022-5", "2022-00", "22-05", "2022-05-01", "", "9999-01", "٢٠٢٢-05"])
def test_what_is_no_month(tmp_path: Path, month: str) -> None:
    with pytest.raises(UsageError, match="Write it like 2022-05"):
        dropping.span(month)


# rebuilding ----------------------------------------------------------------------------------------------------------
def test_a_rebuilt_store_is_the_same_byte_for_byte(pipe: Pipe) -> None:
    feed = Feed("https://news.example/feed")
    pipe.store.save_feeds([feed])
    publish(pipe, run="r")
    dropping.drop(pipe, "2014-12")
    before, linked = exported(pipe.store), links(pipe.store)
    aliases = pipe.store.resolve([key for each in archive() for key in each.keys])
    steps: list[Any] = []
    files, stories = rebuilding.rebuild(pipe, runs.start("replay"), progress=steps.append)
    assert (files, stories) == (2, len(before))
    assert steps[-1].done == steps[-1].total == 2
    assert exported(pipe.store) == before  # with the time at which each was indexed
    assert links(pipe.store) == linked
    assert pipe.store.resolve([key for each in archive() for key in each.keys]) == aliases
    assert pipe.store.feeds() == [feed]
    assert {path: (booking.run, booking.complete) for path, booking in pipe.store.bookings().items()} == dict.fromkeys(
        pipe.landing.parts(), ("r", True)
    )
    assert isinstance(pipe.store.lease("elsewhere:1:next", live=True), Lease)


def test_a_rebuild_that_is_cut_off_goes_on_and_others_publish_meanwhile(
    pipe: Pipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish(pipe, run="r")
    before = exported(pipe.store)

    class Cut(BaseException):
        pass

    slices: list[Any] = []

    def cut(step: Any) -> None:
        slices.extend([step] if step.unit == "stories" else [])
        if len(slices) == 3:
            raise Cut

    with pytest.raises(Cut):
        rebuilding.rebuild(pipe, runs.start("replay"), progress=cut)
    assert exported(pipe.store) == before
    with pytest.raises(UsageError, match="being rebuilt"):
        dropping.drop(pipe, "2014-12")
    write_part(pipe, "stories/archive/y/00000", [told(400, NEW_YEAR)])
    publish(pipe, run="live")
    after = exported(pipe.store)
    assert len(after) == len(before) + 1
    done: list[int] = []
    rebuilding.rebuild(pipe, runs.start("replay"), progress=lambda step: done.append(step.done))
    assert exported(pipe.store) == after
    assert dropping.drop(pipe, "2014-12") > 70


def test_a_rebuild_loses_nothing_unasked(pipe: Pipe) -> None:
    publish(pipe, run="r")
    before = exported(pipe.store)
    pipe.landing.delete("stories/archive/x/00001.json")
    with pytest.raises(SitrepError, match="in no file of stories: nothing is replaced"):
        rebuilding.rebuild(pipe, runs.start("replay"))
    assert exported(pipe.store) == before
    _, stories = rebuilding.rebuild(pipe, runs.start("replay"), accept_loss=True)
    assert len(exported(pipe.store)) == stories < len(before)
