"""How a slice is written so that it is there wholly or not at all, for every publisher that follows.

Elasticsearch has no transactions. So what a slice changes is first written down as a whole (the journal); naming it in
the lease's document, which only the holder of the lease can change, is the moment at which the slice counts. Then its
documents are written, by id, and at last its booking. Whoever takes the lease over from a publisher that died in
between finishes the slice from the journal first: the next decisions see all of it.

A publisher that only slept and wakes up after somebody took over can do no harm: every document is written on
condition that it is as it was (or was not there) when this publisher still had the lease. What was changed since
answers with a conflict, and the conflict with LeaseLost.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, NamedTuple
from urllib.parse import quote

import orjson

from ingest.store import Slice
from ingest.store.elastic import documents, layout
from ingest.store.elastic.bulk import LONGEST_ID, SENDERS, Action, Outcome, action, deliver
from ingest.store.elastic.connection import Connection
from ingest.store.elastic.layout import Layout
from ingest.store.holders import now_and_then
from ingest.store.rows import bound, seconds

ROUNDS = 5  # of conflicts, before somebody else's writing is called an error
LOOKED_UP = 5000  # ids at once
ANYWHERE = ("stories", "prints")  # under the id of a story, in one month or another
SEARCHED = frozenset({"stories", "prints", "links", "revisions"})  # by the next decisions; the rest is read by id

Key = tuple[str, str]  # kind, id


class Change(NamedTuple):
    """What a document becomes; None: it goes. `partial`: only where it is there already. `month`: where a new story
    is put."""

    kind: str
    id: str
    document: documents.Document | None
    partial: bool = False
    month: str = ""

    @property
    def key(self) -> Key:
        return self.kind, self.id

    @property
    def beside(self) -> str | None:
        """The story in whose month it lies."""
        if self.kind == "revisions" and self.document:
            return str(self.document["story"])
        return self.id if self.kind == "prints" and self.document else None


@dataclass(frozen=True, slots=True)
class Place:
    """Where a document stands and as which version it was seen."""

    index: str
    seq_no: int
    primary_term: int


def changes(slice_: Slice) -> list[Change]:
    """All that a slice changes."""
    written = {story.id: story for story in slice_.touched} | {story.id: story for story in slice_.stories}
    listed = [
        Change("stories", id_, documents.story_document(story), month=layout.suffix(seconds(story.instant())))
        for id_, story in written.items()
    ]
    listed += [
        Change("stories", id_, document, partial=True)
        for id_, document in _relations(slice_).items()
        if id_ not in written
    ]
    for id_, story in written.items():
        for place in range(1, len(story.versions)):
            name = documents.digest(id_, str(place))
            listed.append(Change("revisions", name, documents.revision_document(story, place)))
        if id_ not in slice_.fingerprints:
            listed.append(Change("prints", id_, {"instant": seconds(story.instant())}, partial=True))
    for id_, fingerprint in slice_.fingerprints.items():
        document = documents.print_document(fingerprint)
        if id_ in written:
            listed.append(Change("prints", id_, {"id": id_, "instant": seconds(written[id_].instant()), **document}))
        else:
            listed.append(Change("prints", id_, document, partial=True))
    listed += [
        Change("aliases", documents.digest(key), {"key": bound(key), "story": story})
        for key, story in slice_.aliases.items()
    ]
    listed += [Change("links", documents.digest(*sorted(pair)), None) for pair in slice_.unlinked]
    listed += [
        Change("links", documents.digest(link.a, link.b), documents.link_document(link)) for link in slice_.links
    ]
    for id_, month in slice_.removed.items():
        listed += [Change(kind, id_, None, partial=True) for kind in ANYWHERE]
        listed.append(Change("closed", documents.digest("story", id_), {"month": month, "story": bound(id_)}))
    if slice_.booking:
        booking = slice_.booking
        listed.append(Change("bookings", documents.digest(booking.file), documents.booking_document(booking)))
    return listed


def _relations(slice_: Slice) -> dict[str, documents.Document]:
    """What changes about stories whose text stays as it is."""
    changed = {id_: {"cluster": cluster, "lead": lead} for id_, (cluster, lead) in slice_.clusters.items()}
    for id_, origin in slice_.rewritten_from.items():
        changed[id_] = {**changed.get(id_, {}), "rewritten_from": origin}
    return changed


class Writer:
    """Carries changes out."""

    def __init__(self, connection: Connection, layout: Layout) -> None:
        self._connection = connection
        self._layout = layout
        self._months: set[str] = set()

    def write(
        self, listed: Sequence[Change], hold: Callable[[], None], meanwhile: Callable[[], None] | None = None
    ) -> dict[str, str]:
        """Carry out a slice's changes; gives the stories that the store refuses, with the reason.

        Where there are any, nothing but the other stories is written: the slice must be decided again without them.
        `hold` is called between looking and writing, and raises where the lease is lost; `meanwhile` when all but the
        booking is written, while the server makes it visible.
        """
        stories = [one for one in listed if one.kind == "stories"]
        places = self._look_up(stories)
        beside = [one for one in self._placed(listed, stories, places) if one.kind != "stories"]
        beside += self._forgotten(stories, beside, places)
        places |= self._look_up(self._perhaps_there(beside, stories, places))
        self._make_months([*stories, *beside], places)  # at once, which is faster than one kind after the other
        hold()
        whole, moved = ([one for one in stories if one.partial == partial] for partial in (False, True))
        refused = self._carry_out(whole, places, hold)
        with ThreadPoolExecutor(2) as refreshing:  # one core of the server makes things visible, another goes on
            refreshed = [refreshing.submit(self._refresh, whole, places)]
            if not refused:
                self._carry_out([*moved, *(one for one in beside if one.kind != "bookings")], places, hold)
                refreshed.append(refreshing.submit(self._refresh, [*moved, *beside], places))
                if meanwhile:
                    meanwhile()
            for each in refreshed:
                each.result()
        if not refused:
            self._carry_out(self._new([one for one in beside if one.kind == "bookings"], places), places, hold)
        return {ident: why for (_, ident), why in refused.items()}

    # looking -----------------------------------------------------------------------------------------------------
    def _look_up(self, listed: Sequence[Change]) -> dict[Key, Place]:
        """Where these documents stand. Of a story, and of a fingerprint that goes, nobody knows the month."""
        anywhere = {kind: [one.id for one in listed if one.kind == kind and _is_anywhere(one)] for kind in ANYWHERE}
        places = self._look_up_small([one for one in listed if not _is_anywhere(one)])
        for kind, ids in anywhere.items():
            places |= self._look_everywhere(kind, ids)
        return places

    def _perhaps_there(
        self, listed: Sequence[Change], stories: Sequence[Change], places: Mapping[Key, Place]
    ) -> list[Change]:
        """The changes for which it is worth looking. Who decided knew no story under a new alias, and what lies beside
        a new story is new; where that is wrong (a publisher died here before) a conflict says so."""
        new = {one.id for one in stories if not one.partial and one.key not in places}
        return [one for one in listed if one.kind != "aliases" and (one.document is None or one.beside not in new)]

    def _look_everywhere(self, kind: str, ids: Sequence[str]) -> dict[Key, Place]:
        """Where these stand, in whichever month."""
        places: dict[Key, Place] = {}
        for start in range(0, len(ids), LOOKED_UP):
            body = {
                "query": {"ids": {"values": ids[start : start + LOOKED_UP]}},
                "_source": False,
                "seq_no_primary_term": True,
                "size": LOOKED_UP,
                "track_total_hits": False,
                "sort": ["_doc"],
            }
            for hit in self._connection.search(self._layout.months(kind), body)["hits"]["hits"]:
                places[kind, hit["_id"]] = Place(hit["_index"], hit["_seq_no"], hit["_primary_term"])
        return places

    def _placed(self, listed: Sequence[Change], stories: Sequence[Change], places: Mapping[Key, Place]) -> list[Change]:
        """The changes with what lies beside a story in its month; what is of no story is left out."""
        months = {one.id: one.month for one in stories if not one.partial}
        strangers = [one.beside for one in listed if one.beside and one.beside not in months]
        found = {**places, **self._look_everywhere("stories", strangers)}
        months |= {ident: self._layout.suffix(place.index) for (_, ident), place in found.items()}
        return [
            one._replace(month=months[one.beside]) if one.beside else one
            for one in listed
            if not one.beside or one.beside in months
        ]

    def _forgotten(
        self, stories: Sequence[Change], beside: Sequence[Change], places: Mapping[Key, Place]
    ) -> list[Change]:
        """The revisions that these stories had and have no longer, since a richer text came or the story goes, to be
        deleted."""
        known = [one.id for one in stories if not one.document or (not one.partial and one.key in places)]
        kept = {one.id for one in beside if one.kind == "revisions"}
        found: list[Change] = []
        for start in range(0, len(known), LOOKED_UP):
            query = {"terms": {"story": known[start : start + LOOKED_UP]}}
            for hit in self._connection.all(self._layout.months("revisions"), query, False):
                if hit["_id"] not in kept:
                    month = self._layout.suffix(hit["_index"])
                    found.append(Change("revisions", hit["_id"], None, month=month))
        return found

    def _index(self, one: Change) -> str:
        if one.kind in layout.MONTHLY:
            return self._layout.month(one.kind, one.month)
        return self._layout.small(one.kind)

    def _look_up_small(self, listed: Sequence[Change]) -> dict[Key, Place]:
        """Where these documents stand, of which the index is known."""
        places: dict[Key, Place] = {}
        for start in range(0, len(listed), LOOKED_UP):
            part = listed[start : start + LOOKED_UP]
            asked = [{"_index": self._index(one), "_id": one.id, "_source": False} for one in part]
            docs = self._connection.request("POST", "/_mget", {"docs": asked}).body["docs"]
            for one, doc in zip(part, docs, strict=True):
                if doc.get("found"):
                    places[one.key] = Place(doc["_index"], doc["_seq_no"], doc["_primary_term"])
        return places

    # writing -----------------------------------------------------------------------------------------------------
    def _carry_out(
        self, listed: Sequence[Change], places: Mapping[Key, Place], hold: Callable[[], None]
    ) -> dict[Key, str]:
        refused: dict[Key, str] = {}
        for _ in range(ROUNDS):
            self._make_months(listed, places)
            too_long = {one.key: "its id is too long" for one in listed if len(one.id.encode()) > LONGEST_ID}
            outcome = deliver(self._connection, self._actions(listed, places, too_long, hold), senders=SENDERS)
            self._only_stories(outcome)
            refused |= too_long | outcome.refused
            listed = self._unsettled(listed, places, outcome)
            if not listed:
                return refused
            hold()  # raises where somebody took over; else somebody who knows no lease wrote there
            self.refresh(map(self._layout.months, layout.MONTHLY))
            places = self._look_up(listed)
        return self._connection.gone("somebody else keeps changing the same documents.", "Who writes there?")

    def _actions(
        self, listed: Iterable[Change], places: Mapping[Key, Place], left_out: Collection[Key], hold: Callable[[], None]
    ) -> Iterator[Action]:
        """The lines to send, one by one; the lease is renewed meanwhile."""
        alive = now_and_then(hold)
        for one in listed:
            alive()
            if one.key not in left_out and (made := self._action(one, places)):
                yield made

    def _action(self, one: Change, places: Mapping[Key, Place]) -> Action | None:
        place = places.get(one.key)
        if place is None:
            if one.partial or one.document is None:
                return None
            return action("create", one.key, self._index(one), one.id, _with_words(one))
        condition = {"if_seq_no": place.seq_no, "if_primary_term": place.primary_term}
        if one.document is None:
            return action("delete", one.key, place.index, one.id, None, **condition)
        if one.kind == "bookings":  # what an update leaves of a flattened field is a mixture
            return action("index", one.key, place.index, one.id, one.document, **condition)
        return action("update", one.key, place.index, one.id, {"doc": _with_words(one)}, **condition)

    def _only_stories(self, outcome: Outcome) -> None:
        for (kind, _), why in outcome.refused.items():
            if kind != "stories":
                advice = "This is a fault of Sitrep: report it."
                self._connection.gone(f"it refused a document of {kind} ({why}).", advice)

    def _new(self, listed: Sequence[Change], places: Mapping[Key, Place]) -> list[Change]:
        """The changes that say what does not stand there yet; an update finds that out by itself."""
        found = self._contents(listed, places)
        return [one for one in listed if not _says(found.get(one.key), one)]

    def _unsettled(self, listed: Sequence[Change], places: Mapping[Key, Place], outcome: Outcome) -> list[Change]:
        """The changes in conflict that are not there as they should be: an unanswered request may have made them."""
        conflicts = set(outcome.conflicts)
        return self._new([one for one in listed if one.key in conflicts], places)

    def _contents(self, listed: Sequence[Change], places: Mapping[Key, Place]) -> dict[Key, Any]:
        asked = [
            {"_index": places[one.key].index if one.key in places else self._index(one), "_id": one.id}
            for one in listed
        ]
        if not asked:
            return {}
        docs = self._connection.request("POST", "/_mget", {"docs": asked}).body["docs"]
        return {one.key: doc.get("_source") for one, doc in zip(listed, docs, strict=True)}

    def _make_months(self, listed: Iterable[Change], places: Mapping[Key, Place]) -> None:
        """The indices of months that have no story yet."""
        new = {
            self._index(one)
            for one in listed
            if one.kind in layout.MONTHLY and not one.partial and one.key not in places
        }
        missing = sorted(new - self._months)
        made = self._connection.make_indices({index: {} for index in missing})
        for index in missing:
            self._check_month(index, fresh=index in made)
            self._months.add(index)

    def _check_month(self, index: str, *, fresh: bool) -> None:
        answer = self._connection.request("GET", f"/{quote(index)}/_mapping").body
        meta = answer[index]["mappings"].get("_meta", {})
        if meta.get("schema") != self._layout.version:
            if fresh:
                self._connection.request("DELETE", f"/{quote(index)}", allow=(404,))
            advice = "Run `sitrep store setup`, which puts them there."
            self._connection.gone(f"the templates for {index} are missing or of another version.", advice)

    def _refresh(self, listed: Iterable[Change], places: Mapping[Key, Place]) -> None:
        """Make what was written visible to the searches of the next decisions; keys and bookings are read by id."""
        indices = set()
        for one in listed:
            if one.kind in SEARCHED and (one.key in places or not one.partial):
                indices.add(places[one.key].index if one.key in places else self._index(one))
        self.refresh(indices)

    def forget_empty_months(self) -> None:
        patterns = [self._layout.months(kind) for kind in layout.MONTHLY]
        self.refresh(patterns)
        for pattern in patterns:
            for index, number in self._connection.counts(pattern).items():
                if not number:
                    self._connection.request("DELETE", f"/{quote(index)}", allow=(403, 404))
                    self._months.discard(index)

    def refresh(self, indices: Iterable[str]) -> None:
        by_length: dict[int, list[str]] = defaultdict(list)
        for number, index in enumerate(sorted(indices)):  # a request's line has 4,096 bytes at most
            by_length[number // 50].append(index)
        for some in by_length.values():
            self._connection.request("POST", f"/{','.join(map(quote, some))}/_refresh", ignore_unavailable="true")


def _is_anywhere(one: Change) -> bool:
    return one.kind == "stories" or (one.kind == "prints" and one.document is None)


def _with_words(one: Change) -> documents.Document:
    """The document as it is sent; the journal does without the words."""
    assert one.document is not None
    if one.kind != "stories" or one.partial:
        return one.document
    return {**one.document, "words": documents.words(one.document["title"], one.document["text"])}


def _says(found: Any, wanted: Change) -> bool:
    """Whether a stored document says all that it should."""
    if wanted.document is None or found is None:
        return wanted.document is None and found is None
    plain = orjson.loads(orjson.dumps(wanted.document))
    return all(found.get(name) == value for name, value in plain.items())
