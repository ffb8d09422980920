"""What publishing some contents changes in the store: decided, and nothing written."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

from ingest import dedup
from ingest.models import TOLD, Content, Fingerprint, Head, Outcome, Story
from ingest.pipeline import revisions
from ingest.pipeline.runs import is_live
from ingest.pipeline.upcoming import Known, head, second
from ingest.store import Booking, Slice, Store

CLOSED = "month_dropped"


@dataclass(slots=True)
class Work:
    """A slice in the making: stories as they were and as they become; those that go are in `before` alone."""

    before: dict[str, Story]
    after: dict[str, Story] = field(default_factory=dict)
    prints: dict[str, Fingerprint] = field(default_factory=dict)
    aliases: dict[str, str] = field(default_factory=dict)
    rewritten: set[str] = field(default_factory=set)
    removed: dict[str, str] = field(default_factory=dict)  # story → the closed month for which it was not let in
    outcomes: list[tuple[str, str, Outcome]] = field(default_factory=list)  # feed, story, outcome

    def leave_out(self, refused: Collection[str]) -> None:
        """As if these stories had not been among what is published now."""
        for id_ in refused:
            del self.after[id_]
            self.prints.pop(id_, None)
        self.rewritten.difference_update(refused)
        self.aliases = {key: id_ for key, id_ in self.aliases.items() if id_ not in refused}
        self.outcomes = [
            (feed, id_, Outcome.QUARANTINED if id_ in refused else outcome) for feed, id_, outcome in self.outcomes
        ]


def decide(store: Known, replaced: Store | None, items: Sequence[tuple[Content, Fingerprint]], now: datetime) -> Work:
    """What each content makes of its story, one after the other. `replaced`: the store that this one will stand in
    for."""
    known = store.resolve({key for content, _ in items for key in content.keys})
    ids = {content.id for content, _ in items} | set(known.values())
    work, gate = Work(store.get(ids)), _Gate.of(store, replaced, ids)
    for content, fingerprint in items:
        id_ = _identity(content, known, work)
        for key in _new_keys(content, id_, known):
            known[key] = work.aliases[key] = id_
        story = work.after.get(id_) or work.before.get(id_)
        if gate.shuts_out(id_, content, there=story is not None):
            work.removed[id_] = gate.removed[id_]
            work.outcomes.append((content.feed or "", id_, Outcome.REJECTED))
            continue
        first_indexed = gate.indexed.get(id_, now)
        decision = revisions.again(story, content) if story else revisions.first(content, first_indexed)
        work.after[id_] = decision.story
        work.outcomes.append((content.feed or "", id_, decision.outcome))
        if decision.rewritten:
            work.rewritten.add(id_)
        if decision.story.content.digest == content.digest:
            work.prints[id_] = fingerprint
    return work


@dataclass(frozen=True, slots=True)
class _Gate:
    """Which stories of closed months are let in: none but those that are there."""

    closed: frozenset[str]
    removed: dict[str, str]  # story → the closed month for which it went, or was not let in
    indexed: Mapping[str, datetime]  # of the store that this one will stand in for: what it holds is let in

    @classmethod
    def of(cls, known: Known, replaced: Store | None, ids: Collection[str]) -> _Gate:
        closed = frozenset(known.closed_months())
        removed = known.removed(ids) if closed else {}
        return cls(closed, removed, replaced.indexed(ids) if replaced else {})

    def shuts_out(self, id_: str, content: Content, *, there: bool) -> bool:
        month = f"{content.instant().astimezone(UTC):%Y-%m}"
        if month in self.closed and not there and id_ not in self.indexed:
            self.removed.setdefault(id_, month)
        return id_ in self.removed


def _identity(content: Content, known: Mapping[str, str], work: Work) -> str:
    """The id that the story has had since it was first seen, under whichever of its addresses."""
    if content.id in work.before or content.id in work.after:
        return content.id
    return next((known[key] for key in content.keys if key in known), content.id)


def _new_keys(content: Content, id_: str, known: Mapping[str, str]) -> list[str]:
    """The keys under which the story is to be known from now on. Not the address of an entry that is known as itself
    under another id: it shared its link with others once."""
    if id_ != content.id and content.keys[0].startswith(TOLD) and known.get(content.keys[0]) == id_:
        return []
    return [key for key in content.keys if key not in known]


def with_closed(reasons: Mapping[str, int], work: Work) -> dict[str, int]:
    """The reasons of a booking, with the stories that closed months shut out."""
    closed = sum(outcome is Outcome.REJECTED for _, _, outcome in work.outcomes)
    return {**reasons, **({CLOSED: reasons.get(CLOSED, 0) + closed} if closed else {})}


def moved(work: Work) -> dict[str, list[int]]:
    """The stories whose text or time is new, with the instants (s) at which that changes the picture."""
    found: dict[str, list[int]] = {}
    for id_, after in work.after.items():
        before = work.before.get(id_)
        if before and before.content.digest == after.content.digest and second(before) == second(after):
            continue
        found[id_] = [second(story) for story in (before, after) if story]
    return found


def reranked(work: Work) -> set[str]:
    """Known stories whose place among those of their cluster may be another now, though their text is the same."""
    known = work.before.keys() & work.after.keys()
    return {
        id_
        for id_ in known
        if (work.before[id_].published, work.before[id_].first_seen)
        != (work.after[id_].published, work.after[id_].first_seen)
    }


def slice_of(store: Known, work: Work, verdicts: dedup.Verdicts, booking: Booking) -> Slice:
    """What the work changes in the store, with the booking's counts."""
    related = related_to(store, work, verdicts, {*moved(work), *reranked(work)})
    counts = _count(work, related.places, booking, live=is_live(booking.file))
    clusters, origins = related.moved(), related.made_anew()
    stories = [_placed(work.after[id_], clusters, origins) for id_ in sorted(work.rewritten)]
    touched = [
        _placed(story, clusters, origins)
        for id_, story in sorted(work.after.items())
        if id_ not in work.rewritten and story != work.before.get(id_)
    ]
    written = {story.id for story in (*stories, *touched)}
    return Slice(
        stories=stories,
        touched=touched,
        fingerprints={id_: work.prints[id_] for id_ in work.rewritten if id_ in work.prints},
        aliases=work.aliases,
        links=verdicts.linked,
        unlinked=verdicts.unlinked,
        clusters={id_: place for id_, place in clusters.items() if id_ not in written},
        rewritten_from={id_: origin for id_, origin in origins.items() if id_ not in written},
        removed=work.removed,
        booking=replace(booking, counts=counts),
    )


def _placed(story: Story, clusters: Mapping[str, tuple[str, bool]], origins: Mapping[str, str | None]) -> Story:
    cluster, lead = clusters.get(story.id, (story.cluster, story.lead))
    return replace(story, cluster=cluster, lead=lead, rewritten_from=origins.get(story.id, story.rewritten_from))


@dataclass(frozen=True, slots=True)
class Related:
    """The stories of every component that was touched as they were, and what they are to each other now: cluster and
    whether it leads, and what each was made from."""

    heads: Mapping[str, Head]
    places: Mapping[str, tuple[str, bool]]
    origins: Mapping[str, str | None]

    def moved(self) -> dict[str, tuple[str, bool]]:
        return {
            id_: place for id_, place in self.places.items() if (self.heads[id_].cluster, self.heads[id_].lead) != place
        }

    def made_anew(self) -> dict[str, str | None]:
        return {id_: origin for id_, origin in self.origins.items() if self.heads[id_].rewritten_from != origin}


def related_to(store: Known, work: Work, verdicts: dedup.Verdicts, changed: Collection[str]) -> Related:
    """What is touched is followed through the store as far as it reaches."""
    ids, links = dedup.touched(changed, verdicts, store.links)
    ids -= work.before.keys() & work.removed.keys()
    heads = store.heads(ids - work.after.keys()) | {id_: head(work.after[id_]) for id_ in ids & work.after.keys()}
    places = dedup.clusters(heads, links)
    return Related(heads, places, dedup.rewritten(heads, links, places))


def _count(
    work: Work, places: Mapping[str, tuple[str, bool]], booking: Booking, *, live: bool
) -> dict[str, dict[str, int]]:
    """The booking's counts with this slice's. A new story is a duplicate where its cluster was there before it, and
    where another new one leads it."""
    new = work.after.keys() - work.before.keys()
    old = {cluster for id_, (cluster, _) in places.items() if id_ not in new}
    counts: dict[str, Counter[str]] = defaultdict(Counter, {feed: Counter(n) for feed, n in booking.counts.items()})
    for feed, id_, outcome in work.outcomes:
        cluster, lead = places.get(id_, (id_, True))
        if outcome is Outcome.INDEXED and (cluster in old or not lead):
            outcome = Outcome.DUPLICATE
        counts[feed if live else ""][str(outcome)] += 1
    return {feed: dict(n) for feed, n in counts.items()}
