"""What readers are shown, as JSON objects: the same from the command line and on the pages."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import asdict
from typing import Any

from ingest import addresses, dates
from ingest.models import Feed, FeedState, Kinship, Link, Story
from ingest.store import Hit, Query, Store

Record = dict[str, Any]


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
    return {
        **told.to_json(),
        "members": [_member(member, links, found[0]) for member in found],
        "origin": _origin(store, told, links),
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


def _member(member: Story, links: Iterable[Link], lead: Story) -> Record:
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
        "numbers": [] if member.lead or not own else _numbers(member, own),
    }


def _hours(lead: Story, member: Story) -> float | None:
    """How long after the lead; None where one of them has no date."""
    if not lead.published or not member.published:
        return None
    return round((member.instant() - lead.instant()).total_seconds() / 3600, 2)


def _numbers(member: Story, own: list[Link]) -> list[Record]:
    """The numbers in which a copy differs from the lead, or where it is not linked to it, from its nearest."""
    nearest = max(own, key=lambda link: (link.other(member.id) == member.cluster, link.share, link.a, link.b))
    return _differing(nearest, member.id)


def _differing(link: Link, story: str) -> list[Record]:
    theirs, ours = link.numbers if story == link.b else link.numbers[::-1]
    if not theirs and not ours:
        return []
    return [{"of": link.other(story), "theirs": list(dict.fromkeys(theirs)), "own": list(dict.fromkeys(ours))}]


def _origin(store: Store, told: Story, links: Iterable[Link]) -> Record | None:
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
        "numbers": _differing(link, told.id) if link else [],
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
