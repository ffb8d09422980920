"""The same stories in any order and in any batches, through the real publisher and store, give the same store."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ingest import dates, dedup
from ingest.models import Content, Fingerprint, Tags, TextFrom
from ingest.pipeline.pipe import Pipe
from ingest.pipeline.publishing import publish
from ingest.pipeline.surroundings import Surroundings
from ingest.settings import Settings
from ingest.store import Lease, Query, Slice
from ingest.store.sqlite import SqliteStore

NOUNS = """
    aid ambassador army artillery autumn bakery bank barrage border bread bridge brigade bus capital ceasefire child
    clinic column convoy county crossing dawn delegation depot district dock drone east engineer evening family ferry
    field flour fog force fuel garrison governor grain harbour hill hospital hour island kilometre lake launch lorry
    market medicine minister mission morning mortar neighbour night north officer operation outpost parcel patrol plain
    platform port power quarter rail rain ration region reserve river road roof school sector shell shelter ship siege
    silo soldier south square station storm street supply talks tent tonne town train transport treaty troop truck
    tunnel unit valley village volunteer warehouse water week west winter yard
"""
WORDS = NOUNS.split()
VERBS = "reached left crossed shelled supplied guarded repaired closed opened watched rebuilt searched".split()  # noqa: SIM905
START = datetime(2022, 5, 1, tzinfo=UTC)
SPAN = 20 * 24  # hours: several windows of comparison, and slices that have to be parted
NOW = datetime(2022, 7, 1, tzinfo=UTC)
OWN = (TextFrom.TEASER, TextFrom.FULL_FEED, TextFrom.PAGE)


@dataclass
class Maker:
    """Makes up what captures say: events, retold by several outlets, seen several times, changed, mentioned."""

    rng: random.Random

    def sentence(self) -> str:
        noun = [self.rng.choice(WORDS) for _ in range(7)]
        number = self.rng.choice(["", f" {self.rng.randint(2, 900)}"])
        verb, other = self.rng.choice(VERBS), self.rng.choice(VERBS)
        return f"The {noun[0]} of the {noun[1]} {verb}{number} {noun[2]} {noun[3]} and {other} the {noun[4]} {noun[5]}."

    def body(self) -> list[str]:
        return [self.sentence() for _ in range(self.rng.randint(4, 9))]

    def retold(self, body: Sequence[str]) -> list[str]:
        """A copy, often cut or edited a little."""
        kept = list(body)
        for _ in range(self.rng.choice((0, 0, 1, 2))):
            kept[self.rng.randrange(len(kept))] = self.sentence()
        return kept[: max(3, len(kept) - self.rng.choice((0, 0, 1)))]

    def published(self, moment: datetime) -> str | None:
        day = str(moment.date()) if not moment.second else dates.iso(moment)
        return self.rng.choice((dates.iso(moment), dates.iso(moment), day, None))

    def story(self, number: int, body: Sequence[str], happened: datetime) -> list[Content]:
        """All captures of one story."""
        if number % 3 == 0:  # its id depends on what came first; ids decide only where all else is equal, so nothing is
            happened += timedelta(seconds=1 + number)
        site = f"site{number % 7}.example"
        by = self.rng.choice(("address", "address", "address", "guid", "content"))
        published, text = self.published(happened), body
        captures = []
        for _ in range(self.rng.choice((1, 1, 1, 2, 3, 4))):
            captured = happened + timedelta(hours=self.rng.choice((1, 1, 2, 5, 30)))
            if self.rng.random() < 0.4:
                text = self.retold(text)
            if self.rng.random() < 0.15:
                published = self.published(captured)  # its outlet dates it anew
            captures.append(self.content(number, site, by, text, published, captured))
        if by == "content":  # another text is another story then
            captures = [captures[0], replace(captures[0], captured=captures[-1].captured)]
        mentions = self.rng.choice((0, 0, 0, 1, 2)) if by == "address" else 0
        return captures + [self.mention(captures[0]) for _ in range(mentions)]

    def content(
        self, number: int, site: str, by: str, text: Sequence[str], published: str | None, captured: datetime
    ) -> Content:
        url, final = f"{site}/story/{number}", f"{site}/news/{number}"
        text_from = self.rng.choice(OWN) if by == "address" else TextFrom.PAGE
        keys: tuple[str, ...] = ()
        if by == "address":  # a teaser knows the address in the feed, a page the one where it ended too
            moved = number % 3 == 0 and text_from is TextFrom.PAGE
            keys = (final, url) if moved else (url,)
        told = text[:2] if text_from is TextFrom.TEASER else text
        return Content(
            id=_hash(*(keys[:1] or ((by, str(number)) if by == "guid" else (by, *text)))),
            keys=keys,
            guid=f"story {number}",
            url=f"https://{keys[0]}" if keys else None,
            canonical_url=None,
            source=site,
            feed=self.rng.choice((None, f"https://{site}/feed", f"https://{site}/all")),
            title=f"Story of {text[0][4:30]}",
            text="\n\n".join(told),
            language="en",
            authors=self.rng.choice(((), ("Ada Marsh",))),
            published=published,
            published_from="page" if published else None,
            first_seen=captured,
            captured=captured,
            text_from=text_from,
            tags=Tags(),
            digest=_hash(*told),
            cleaner="1",
            rules_version="1",
        )

    def mention(self, of: Content) -> Content:
        """What another site's feed says of the address."""
        text = self.sentence()
        later = of.captured + timedelta(hours=self.rng.choice((-2, 1, 40)))
        return replace(
            of,
            feed=f"https://other{self.rng.randint(1, 2)}.example/feed",
            title="Seen elsewhere",
            text=text,
            digest=_hash(text),
            text_from=TextFrom.MENTION,
            published=self.rng.choice((None, dates.iso(later))),
            first_seen=later,
            captured=later,
        )

    def world(self, stories: int) -> list[Content]:
        told: list[tuple[list[str], datetime]] = []
        contents: list[Content] = []
        for number in range(stories):
            body, happened = self.body(), START + timedelta(hours=self.rng.randrange(SPAN))
            if told and self.rng.random() < 0.6:
                body, happened = self.rng.choice(told[-6:])
                body, happened = self.retold(body), happened + timedelta(hours=self.rng.choice((0, 1, 9, 60)))
            told.append((body, happened))
            contents += self.story(number, body, happened)
        return contents + self.rng.sample(contents, len(contents) // 10)  # some of them twice


def _hash(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:32]


def filled(home: Path, batches: Iterable[Sequence[Content]]) -> dict[str, Any]:
    """What a store shows that got these batches, one after the other. A story is named by its guid there, not by its
    id: the id of one that is known by two addresses is that of the one that was seen first. Two publishers take turns,
    each with what it kept from its last one."""
    pipe = Pipe(Settings(home, str(home / "landing")))
    turns, publishers = random.Random(7), [Surroundings(pipe.store), Surroundings(pipe.store)]
    for number, batch in enumerate(batches):
        path = landed(pipe, number, batch)
        if turns.random() < 0.3:
            publishers.reverse()
        publish(pipe, [path], run="test", around=publishers[0])
    stories = list(pipe.store.export(Query()))
    names = {story.id: str(story.content.guid) for story in stories}
    links = {
        tuple(sorted((names[link.a], names[link.b]))): (link.share, link.hours, link.kinship)
        for link in pipe.store.links(names)
    }
    pipe.close()
    shown: dict[str, Any] = {"links": links}
    for story in stories:
        record = story.to_json()
        record.update(id=names[story.id], cluster=names[story.cluster], indexed=None)
        record["rewritten_from"] = names.get(story.rewritten_from or "")
        record["versions"] = [(version.content.digest, version.first) for version in story.versions]
        shown[names[story.id]] = record
    assert len(shown) == len(stories) + 1
    return shown


def landed(pipe: Pipe, number: int, batch: Iterable[Content]) -> str:
    """A file of these stories; its path."""
    ordered = sorted(batch, key=lambda content: (content.instant(), content.id, content.captured))
    prints = dedup.fingerprints([(content.title, content.text) for content in ordered])
    path = f"stories/{'captures' if number % 3 else 'archive'}/{number:05d}"
    header = {"reading": "1", "position": 0, "last": True, "counts": {}, "reasons": {}, "named": []}
    pipe.landing.write_part(path, ordered, prints, header)
    return path


def batches(rng: random.Random, contents: Sequence[Content]) -> list[Sequence[Content]]:
    parts = []
    rest = list(contents)
    while rest:
        size = rng.choice((1, 2, 5, 20, 60))
        parts.append(rest[:size])
        rest = rest[size:]
    return parts


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(10))
def test_any_order_and_any_batches_give_the_same_store(tmp_path: Path, seed: int) -> None:
    rng = random.Random(seed)
    contents = Maker(rng).world(60)
    once = filled(tmp_path / "once", [contents])
    assert len(once["links"]) >= 8
    by_time = sorted(contents, key=lambda content: content.captured)
    for number, order in enumerate((by_time, by_time[::-1], *(rng.sample(contents, len(contents)) for _ in range(2)))):
        again = filled(tmp_path / str(number), batches(rng, order))
        assert {name: (again.get(name), told) for name, told in once.items() if again.get(name) != told} == {}
        assert again.keys() == once.keys()


def test_the_week_before_last_then_last_week_then_both_again_give_the_same_as_both_at_once(tmp_path: Path) -> None:
    contents = Maker(random.Random(4)).world(80)
    middle = START + timedelta(hours=SPAN / 2)
    early, late = ([x for x in contents if (x.captured < middle) is side] for side in (True, False))
    once = filled(tmp_path / "once", [contents])
    assert min(len(early), len(late), len(once["links"])) > 5
    assert filled(tmp_path / "weeks", [early, late, contents]) == once
    assert filled(tmp_path / "other", [late, early, contents]) == once


class Watched(SqliteStore):
    """Notes what is written."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.slices: list[Slice] = []

    def write(self, slice_: Slice, lease: Lease, meanwhile: Callable[[], None] | None = None) -> Mapping[str, str]:
        self.slices.append(slice_)
        return super().write(slice_, lease, meanwhile)


def test_a_late_arrival_that_leads_its_copies_touches_them_and_nothing_else(tmp_path: Path) -> None:
    maker = Maker(random.Random(5))
    bodies = [maker.body() for _ in range(4)]

    def told(number: int, body: Sequence[str], hour: int) -> Content:
        at = START + timedelta(hours=hour)
        return maker.content(number, f"site{number}.example", "guid", body, dates.iso(at), at)

    copies = [told(number, bodies[0], 20 + number) for number in range(3)]
    strangers = [told(10 + number, body, 20 + number) for number, body in enumerate(bodies[1:])]
    late = told(20, bodies[0], 2)
    pipe = Pipe(Settings(tmp_path, str(tmp_path / "landing")))
    pipe.__dict__["store"] = store = Watched(pipe.settings.database)
    publish(pipe, [landed(pipe, 0, [*copies, *strangers])], run="test")
    before = {story.id: story for story in store.export(Query())}
    assert [before[copy.id].cluster for copy in copies] == [copies[0].id] * 3
    store.slices.clear()
    publish(pipe, [landed(pipe, 1, [late])], run="test")
    (change,) = store.slices
    assert [story.id for story in change.stories] == [late.id]
    assert change.clusters == {copy.id: (late.id, False) for copy in copies}
    assert not change.rewritten_from
    after = {story.id: story for story in store.export(Query())}
    assert [after[copy.id].cluster for copy in (late, *copies)] == [late.id] * 4
    assert {stranger.id: after[stranger.id] for stranger in strangers} == {x.id: before[x.id] for x in strangers}
    publish(pipe, [landed(pipe, 2, [later := told(21, bodies[0], 40)])], run="test")
    assert ([story.id for story in store.slices[1].stories], store.slices[1].clusters) == ([later.id], {})
    pipe.close()


def test_fingerprints_of_another_version_are_made_anew_from_the_file_of_stories(tmp_path: Path) -> None:
    contents = Maker(random.Random(3)).world(3)[:1]
    header = {
        "reading": "1",
        "position": 0,
        "last": True,
        "counts": {},
        "reasons": {},
        "named": [],
        "fingerprints": "0",
    }
    pipe = Pipe(Settings(tmp_path, str(tmp_path / "landing")))
    old = Fingerprint(np.arange(5, dtype=np.uint64))
    pipe.landing.write_part("stories/archive/00000", contents, [old], header)
    publish(pipe, run="test")
    (found,) = pipe.store.fingerprints([contents[0].id]).values()
    (expected,) = dedup.fingerprints([(contents[0].title, contents[0].text)])
    assert found.shingles.tolist() == expected.shingles.tolist()
    pipe.close()
