"""What readers are shown, as JSON objects: the same from the command line and on the pages."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from typing import Any

from ingest import addresses, dates, figures
from ingest.models import Feed, FeedState, Kinship, Link, Story
from ingest.store import Hit, Query, Store

Record = dict[str, Any]

MOST_READ = 4_000_000  # characters of the members of a cluster, read for their numbers: some two seconds


def hit(found: Hit) -> Record:
    """A story that was found, with its snippet, the spans that match in it, and how many copies there are."""
    marks = [list(span) for span in found.marks]
    return {
        **found.story.to_json(),
        "score": found.score,
        "snippet": found.snippet,
        "marks": marks,
        "copies": found.copies,
        "outlets": found.outlets,
    }


def story(store: Store, told: Story, *, most: int | None = None) -> Record:
    """A story with the members of its cluster (the lead first, then in the order of time; at `most` so many), the story
    that it was rewritten from, and its revisions."""
    found = members(store, told, most=most)
    links = store.links(member.id for member in found)
    reader = _Reader()
    return {
        **told.to_json(),
        "members": [_member(member, links, found[0], reader) for member in found],
        "origin": _origin(store, told, links, reader),
        "revisions": revisions(told),
    }


def members(store: Store, told: Story, *, most: int | None = None) -> list[Story]:
    """The stories of a cluster: the lead first, then in the order of time; at `most` so many."""
    if most is None:
        found = {each.id: each for each in store.export(Query(cluster=told.cluster))}
    else:
        page = store.search(Query(cluster=told.cluster, order="oldest", limit=most))
        found = {each.id: each for each in (hit.story for hit in page.hits)}
        found = {**store.get([told.cluster]), **found, told.id: told}  # a cluster is called after its lead
    return sorted(found.values(), key=lambda each: (not each.lead, each.instant(), each.id))


def revisions(told: Story) -> list[Record]:
    """The texts of a story, oldest first."""
    return [
        {
            "revision": number,
            "first_captured": dates.iso(version.first),
            "last_captured": dates.iso(version.last),
            "title": version.content.title,
            "text": version.content.text,
            "published": version.content.published,
        }
        for number, version in enumerate(told.versions, 1)
    ]


def _member(member: Story, links: Iterable[Link], lead: Story, reader: _Reader) -> Record:
    own = [link for link in links if member.id in (link.a, link.b) and link.kinship is Kinship.SAME]
    return {
        "id": member.id,
        "lead": member.lead,
        "title": member.content.title,
        "source": member.content.source,
        "published": member.published,
        "url": member.content.url,
        "hours": _hours(lead, member),
        "share": max((link.share for link in own), default=None),
        "numbers": [] if member.lead else reader.differing(lead, member, own),
    }


def _hours(lead: Story, member: Story) -> float | None:
    """How long after the lead; None where one of them has no date."""
    if not lead.published or not member.published:
        return None
    return round((member.instant() - lead.instant()).total_seconds() / 3600, 2)


class _Reader:
    """Says which numbers differ between two stories: from their texts, up to `MOST_READ` characters in all; after that
    from what the link between them knows, which takes "78,000" and "78 000" for two numbers."""

    def __init__(self) -> None:
        self._left = MOST_READ
        self._first: dict[str, Sequence[figures.Figure]] = {}  # a cluster's lead is read once

    def differing(self, first: Story, story: Story, links: Iterable[Link]) -> list[Record]:
        """At most one record: what `first` states and the story in its place (`changed`), and all numbers that only
        `first` (`theirs`), only the story (`own`) has there."""
        if first.content.digest == story.content.digest:
            return []
        found = self._by_text(first, story) if self._left > 0 else _by_link(first, story, links)
        theirs = dict.fromkeys([*(one for one, _ in found.changed), *found.left])
        own = dict.fromkeys([*(other for _, other in found.changed), *found.right])
        changed = [list(pair) for pair in found.changed]
        return [{"of": first.id, "changed": changed, "theirs": [*theirs], "own": [*own]}] if theirs or own else []

    def _by_text(self, first: Story, story: Story) -> figures.Differences:
        if first.id not in self._first:
            self._first = {first.id: self._figures(first)}
        return figures.differences(self._first[first.id], self._figures(story))

    def _figures(self, story: Story) -> Sequence[figures.Figure]:
        content = story.content
        self._left -= min(len(content.text), figures.LONGEST)
        return figures.read(content.title, content.text, content.language)


def _by_link(first: Story, story: Story, links: Iterable[Link]) -> figures.Differences:
    link = next((link for link in links if {link.a, link.b} == {first.id, story.id}), None)
    if link is None:
        return figures.Differences()
    theirs, own = link.numbers if story.id == link.b else link.numbers[::-1]
    return figures.Differences((), theirs, own)


def _origin(store: Store, told: Story, links: Iterable[Link], reader: _Reader) -> Record | None:
    """The story that it was rewritten from; where the two are linked themselves also why it is thought so."""
    origin = store.get([told.rewritten_from]).get(told.rewritten_from) if told.rewritten_from else None
    if not origin:
        return None
    link = next((link for link in links if {link.a, link.b} == {origin.id, told.id}), None)
    return {
        "id": origin.id,
        "title": origin.content.title,
        "source": origin.content.source,
        "published": origin.published,
        "url": origin.content.url,
        "share": link.share if link else None,
        "hours": link.hours if link else None,
        "numbers": reader.differing(origin, told, links),
    }


def feed_id(url: str) -> str:
    """What a feed is called in addresses of pages, where its own address would have to be escaped."""
    return hashlib.sha256(url.encode(errors="surrogatepass")).hexdigest()[:16]


def settings_of(told: Feed) -> Record:
    """A feed as its reader configured it, its address as it may be shown."""
    return {**asdict(told), "url": addresses.shown(told.url)}


def feed(told: Feed, state: FeedState | None) -> Record:
    """A feed and how it stands."""
    return {
        "id": feed_id(told.url),
        **settings_of(told),
        "status": "paused" if told.paused else state.status if state else "new",
        "reason": state.reason if state else None,
        "address": addresses.shown(state.address if state else told.url),
        "polled": state.polled if state else None,
        "due": state.due if state else None,
        "interval": state.interval if state else None,
    }
