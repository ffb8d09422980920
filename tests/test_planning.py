"""Slices that are decided while the one before is written: the same store, and nothing believed that did not come true.

The embedded store never waits, so it is told to here: before anything of a slice is there, or when all of it is.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from ingest import dedup
from ingest.errors import SitrepError, StoreGone
from ingest.models import Content, Link
from ingest.pipeline import planning
from ingest.pipeline.pipe import Pipe, Step
from ingest.pipeline.publishing import TRIES, publish
from ingest.pipeline.runs import live_first
from ingest.pipeline.surroundings import Surroundings
from ingest.pipeline.upcoming import Known, TooEarly, Upcoming, second
from ingest.settings import Settings
from ingest.store import Lease, Query, Slice
from ingest.store.sqlite import SqliteStore
from tests.builders import content, story
from tests.store_contract import leased, write
from tests.test_order import Maker, batches

Meanwhile = Callable[[], None] | None


class Waiting(SqliteStore):
    """Has time at a moment of its own choosing."""

    late = False
    refuse: frozenset[str] = frozenset()  # stories

    def write(self, slice_: Slice, lease: Lease, meanwhile: Meanwhile = None) -> Mapping[str, str]:
        refused = {story.id: "too long" for story in slice_.stories if story.id in self.refuse}
        if meanwhile and not self.late:
            meanwhile()
        if not refused:
            super().write(slice_, lease)
        if meanwhile and self.late:
            meanwhile()
        return refused


class Late(Waiting):
    late = True


class Foretelling(Waiting):
    """Looks whether what was foretold of a slice is what is there when it is written."""

    looked = 0

    def write(self, slice_: Slice, lease: Lease, meanwhile: Meanwhile = None) -> Mapping[str, str]:
        before = Upcoming(self, slice_, [])
        ids = {story.id for story in self.export(Query())} | {story.id for story in slice_.stories}
        keys = {f"site{site}.example/{kind}/{n}" for site in range(7) for kind in ("story", "news") for n in range(70)}
        foretold = _answers(before, ids, keys)
        refused = super().write(slice_, lease, meanwhile)
        assert _answers(self, ids, keys) == foretold
        self.looked += len(slice_.clusters) + len(slice_.links) + len(slice_.unlinked)
        return refused


def _answers(store: Known, ids: set[str], keys: set[str]) -> list[Any]:
    prints = {id_: (told.shingles.tolist(), told.stated()) for id_, told in store.fingerprints(ids).items()}
    told = [store.resolve(keys), store.get(ids), store.heads(ids), store.texts(ids), store.links(ids), prints]
    return [*told, store.closed_months(), store.removed(ids)]


@pytest.fixture
def early(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """Of each slice in turn, whether it was decided while the one before was written."""
    monkeypatch.setattr(planning, "SLICE", 7)
    monkeypatch.setattr(planning, "ARCHIVE_SLICE", 9)
    plain, taken = planning.Planner.plan, []

    def plan(self: planning.Planner, *asked: Any) -> planning.Plan:
        ready = self._early
        found = plain(self, *asked)
        taken.append(found is ready)
        return found

    monkeypatch.setattr(planning.Planner, "plan", plan)
    return taken


def filed(home: Path, contents: Sequence[Content], kind: type[SqliteStore]) -> Pipe:
    """A pipe whose landing zone has these contents in files of stories, and whose store is empty."""
    numbered = enumerate(batches(random.Random(5), contents))
    files = {f"stories/{'captures' if n % 3 else 'archive'}/{n:05d}": batch for n, batch in numbered}
    return filed_as(home, files, kind)


def filed_as(home: Path, files: Mapping[str, Sequence[Content]], kind: type[SqliteStore]) -> Pipe:
    pipe = Pipe(Settings(home, str(home / "landing")))
    pipe.__dict__["store"] = kind(pipe.settings.database)
    for path, batch in files.items():
        ordered = sorted(batch, key=lambda content: (content.instant(), content.id, content.captured))
        prints = dedup.fingerprints([(content.title, content.text) for content in ordered])
        header = {"reading": "1", "position": 0, "last": True, "counts": {}, "reasons": {}, "named": []}
        pipe.landing.write_part(path, ordered, prints, header)
    return pipe


def holds(pipe: Pipe) -> tuple[Any, ...]:
    stories = [{**story.to_json(), "indexed": None} for story in pipe.store.export(Query())]
    bookings = {path: replace(booking, run="") for path, booking in pipe.store.bookings().items()}
    return stories, pipe.store.links(story["id"] for story in stories), bookings


def made(home: Path, contents: Sequence[Content], kind: type[SqliteStore]) -> tuple[Any, ...]:
    pipe = filed(home, contents, kind)
    publish(pipe, run="test")
    found = holds(pipe)
    pipe.close()
    return found


@pytest.mark.parametrize("kind", [Waiting, Late, Foretelling])
def test_a_slice_that_was_decided_early_is_the_same(tmp_path: Path, early: list[bool], kind: type[SqliteStore]) -> None:
    contents = Maker(random.Random(1)).world(60)
    expected = made(tmp_path / "plain", contents, SqliteStore)
    assert not any(early)
    early.clear()
    assert made(tmp_path / "early", contents, kind) == expected
    assert len(early) > 10
    assert early.count(True) > 0.8 * len(early)  # also the first one of the next file
    assert len(expected[1]) > 8


def test_what_is_foretold_is_looked_at(tmp_path: Path, early: list[bool]) -> None:
    pipe = filed(tmp_path, Maker(random.Random(1)).world(60), Foretelling)
    publish(pipe, run="test")
    assert isinstance(pipe.store, Foretelling)
    assert pipe.store.looked > 20
    assert any(early)
    pipe.close()


def test_somebody_else_in_between_makes_it_be_decided_again(tmp_path: Path, early: list[bool]) -> None:
    contents = Maker(random.Random(2)).world(60)
    expected = made(tmp_path / "plain", contents, SqliteStore)
    early.clear()
    pipe, other = (filed(tmp_path / "shared", contents, Waiting) for _ in range(2))
    rest, after = live_first(pipe.landing.parts())[:2:-1], []

    def between(step: Step) -> None:
        if step.unit == "stories" and rest and not other.store.bookings(rest[:1]):
            publish(other, [rest.pop(0)], run="other")
            after.append(len(early))

    publish(pipe, run="test", progress=between)
    (stories, links, bookings), (known, told, booked) = holds(pipe), expected
    assert len(after) > 3
    assert not any(early[turn] for turn in after if turn < len(early))
    ours = {"id", "cluster", "rewritten_from"}  # of a story that is known by two addresses: that which was seen first
    assert [_without(story, ours) for story in sorted(stories, key=_guid)] == [
        _without(story, ours) for story in sorted(known, key=_guid)
    ]
    assert len(links) == len(told)
    assert bookings.keys() == booked.keys()
    pipe.close()
    other.close()


def _guid(story: Mapping[str, Any]) -> str:
    return str(story["guid"])


def _without(story: Mapping[str, Any], names: set[str]) -> dict[str, Any]:
    return {name: value for name, value in story.items() if name not in names}


def test_what_the_store_refuses_was_foretold_in_vain(tmp_path: Path, early: list[bool]) -> None:
    """As if the story had not been there: also the slice after it is decided once more, by what is there."""
    contents = Maker(random.Random(3)).world(60)
    plain = made(tmp_path / "plain", contents, SqliteStore)
    bad = next(link.a for link in plain[1] if link.share == 1.0)

    class Refusing(Waiting):
        refuse = frozenset({bad})

    early.clear()
    stories, links, bookings = made(tmp_path / "early", contents, Refusing)
    assert any(early)
    assert bad not in {story["id"] for story in stories}
    assert sum(booking.reasons.get("refused_by_store", 0) for booking in bookings.values()) >= 1
    without = [told for told in contents if told.id != bad]
    pipe = filed(tmp_path / "without", without, SqliteStore)
    publish(pipe, run="test")
    assert (stories, links) == holds(pipe)[:2]
    pipe.close()


def test_a_slice_that_is_decided_again_knows_nothing_of_the_one_after(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(planning, "ARCHIVE_SLICE", 2)
    written: list[Slice] = []

    class Refusing(Waiting):
        refuse = frozenset({"id-a"})

        def write(self, slice_: Slice, lease: Lease, meanwhile: Meanwhile = None) -> Mapping[str, str]:
            written.append(slice_)
            return super().write(slice_, lease, meanwhile)

    one, two, text = (" ".join(Maker(random.Random(seed)).body()) for seed in range(3))
    told = [
        content(name, title=name, text=text, published=f"2022-05-0{day}")
        for day, (name, text) in enumerate((("1", one), ("2", two), ("a", f"{text} Now."), ("b", text), ("c", text)), 1)
    ]
    pipe = filed_as(tmp_path, {"stories/archive/0": told}, Refusing)
    publish(pipe, run="test")
    ids = [[story.id.removeprefix("id-") for story in slice_.stories] for slice_ in written]
    assert ids == [["1", "2"], ["a", "b"], ["b"], ["c"]]
    assert [len(slice_.links) for slice_ in written] == [0, 1, 0, 1]
    pipe.close()


def test_the_next_file_may_be_set_aside(tmp_path: Path, early: list[bool]) -> None:
    contents = Maker(random.Random(4)).world(60)
    pipe = filed(tmp_path, contents, Waiting)
    files = pipe.landing.parts()
    note = {"version": pipe.landing.part(files[5]).version, "tries": TRIES, "error": "?"}
    pipe.landing.write_json(f"failures/{files[5]}.json", note)
    with pytest.raises(SitrepError, match=f"{files[5]} could not be published"):
        publish(pipe, run="test")
    assert {path for path, booking in pipe.store.bookings().items() if booking.complete} == {*files} - {files[5]}
    assert any(early)
    pipe.close()


def test_what_was_not_written_is_not_around_what_comes_next(tmp_path: Path) -> None:
    """The same process goes on with another file after the store was gone."""

    class Gone(SqliteStore):
        gone = True

        def write(self, slice_: Slice, lease: Lease, meanwhile: Meanwhile = None) -> Mapping[str, str]:
            if self.gone:
                raise StoreGone("it is gone.", subject="store")
            return super().write(slice_, lease, meanwhile)

    text = " ".join(Maker(random.Random(1)).body())
    one, other = (content(name, title="A bridge", text=text, source=f"{name}.example") for name in "ab")
    pipe = filed_as(tmp_path, {"stories/archive/0": [one], "stories/archive/1": [other]}, Gone)
    store = pipe.store
    assert isinstance(store, Gone)
    around = Surroundings(store)
    with pytest.raises(StoreGone):
        publish(pipe, ["stories/archive/0"], run="test", around=around)
    store.gone = False
    publish(pipe, ["stories/archive/1"], run="test", around=around)
    assert store.links([one.id, other.id]) == []
    publish(pipe, run="test", around=around)
    assert len(store.links([one.id])) == 1
    pipe.close()


def test_relations_that_change_are_foretold(tmp_path: Path) -> None:
    with closing(SqliteStore(tmp_path / "store.sqlite")) as store:
        one, other, third = (story(name) for name in ("a", "b", "c"))
        write(store, one, other, third, links=[Link(one.id, other.id, 1.0, 0.0), Link(other.id, third.id, 0.5, 0.0)])
        slice_ = Slice(
            unlinked=[(other.id, one.id)],
            links=[Link(one.id, third.id, 0.4, 1.0)],
            clusters={third.id: (one.id, False)},
            rewritten_from={other.id: one.id},
            removed={"id-never": "1999-01"},
        )
        ids, upcoming = {one.id, other.id, third.id, "id-never"}, Upcoming(store, slice_, [])
        lease = leased(store)
        store.close_month("1999-01", lease)
        before, foretold = _answers(store, ids, set()), _answers(upcoming, ids, set())
        store.write(slice_, lease)
        assert _answers(store, ids, set()) == foretold != before


def test_a_window_that_the_slice_changes_is_not_told_before_it_is_there(tmp_path: Path) -> None:
    contents = Maker(random.Random(1)).world(20)
    pipe = filed(tmp_path, contents, SqliteStore)
    publish(pipe, run="test")
    moment = second(next(iter(pipe.store.export(Query()))))
    upcoming = Upcoming(pipe.store, Slice(), [moment])

    def window(since: int, until: int) -> Any:
        return list(upcoming.window(*(datetime.fromtimestamp(at, UTC) for at in (since, until))))

    for since, until in ((moment, moment), (moment - 5, moment), (moment, moment + 5)):
        with pytest.raises(TooEarly):
            window(since, until)
    assert sum(map(len, window(moment + 1, moment + 10**8))) > 0
    pipe.close()
