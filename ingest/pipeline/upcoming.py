"""The store as it will be when a slice that is being written there is written: for those who decide what comes next
meanwhile."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from dataclasses import replace
from datetime import datetime
from typing import Protocol, TypeVar

from ingest.models import Fingerprint, Head, Link, Story, Window
from ingest.store import Slice

One = TypeVar("One", Story, Head)


class Known(Protocol):
    """What deciding asks of a store; see `Store`."""

    def resolve(self, keys: Iterable[str]) -> dict[str, str]: ...
    def get(self, ids: Iterable[str]) -> dict[str, Story]: ...
    def heads(self, ids: Iterable[str]) -> dict[str, Head]: ...
    def texts(self, ids: Iterable[str]) -> dict[str, tuple[str | None, str]]: ...
    def fingerprints(self, ids: Iterable[str]) -> dict[str, Fingerprint]: ...
    def links(self, ids: Iterable[str]) -> list[Link]: ...
    def window(self, since: datetime, until: datetime) -> Iterator[Window]: ...
    def closed_months(self) -> list[str]: ...
    def removed(self, ids: Iterable[str]) -> dict[str, str]: ...


class TooEarly(Exception):
    """This cannot be told before the slice is written."""


class Upcoming:
    """`store` with all that `slice_` changes, whatever of it is there already. `moments`: the instants (s) at which
    stories come, go or change with it."""

    def __init__(self, store: Known, slice_: Slice, moments: Collection[int]) -> None:
        self._store, self._slice, self._moments = store, slice_, moments
        self._stories = {story.id: story for story in (*slice_.touched, *slice_.stories)}
        self._links = {(link.a, link.b): link for link in slice_.links}
        self._unlinked = {tuple(sorted(pair)) for pair in slice_.unlinked}

    def _others(self, ids: Collection[str]) -> list[str]:
        return [id_ for id_ in ids if id_ not in self._stories and id_ not in self._slice.removed]

    def _own(self, ids: Collection[str]) -> Iterator[Story]:
        return (self._stories[id_] for id_ in ids if id_ in self._stories)

    def resolve(self, keys: Iterable[str]) -> dict[str, str]:
        listed, new = set(keys), self._slice.aliases
        return self._store.resolve(listed - new.keys()) | {key: new[key] for key in listed & new.keys()}

    def get(self, ids: Iterable[str]) -> dict[str, Story]:
        listed = set(ids)
        found = {id_: self._placed(story) for id_, story in self._store.get(self._others(listed)).items()}
        return found | {story.id: story for story in self._own(listed)}

    def heads(self, ids: Iterable[str]) -> dict[str, Head]:
        listed = set(ids)
        found = {id_: self._placed(head) for id_, head in self._store.heads(self._others(listed)).items()}
        return found | {story.id: head(story) for story in self._own(listed)}

    def _placed(self, one: One) -> One:
        """A story whose text stays as it is."""
        if place := self._slice.clusters.get(one.id):
            one = replace(one, cluster=place[0], lead=place[1])
        if one.id in self._slice.rewritten_from:
            one = replace(one, rewritten_from=self._slice.rewritten_from[one.id])
        return one

    def texts(self, ids: Iterable[str]) -> dict[str, tuple[str | None, str]]:
        listed = set(ids)
        own = {story.id: (story.content.title, story.content.text) for story in self._own(listed)}
        return self._store.texts(self._others(listed)) | own

    def fingerprints(self, ids: Iterable[str]) -> dict[str, Fingerprint]:
        listed, new = set(ids) - self._slice.removed.keys(), self._slice.fingerprints
        return self._store.fingerprints(listed - new.keys()) | {id_: new[id_] for id_ in listed & new.keys()}

    def links(self, ids: Iterable[str]) -> list[Link]:
        listed = set(ids)
        stored = {(link.a, link.b): link for link in self._store.links(listed)}
        found = {pair: link for pair, link in stored.items() if pair not in self._unlinked}
        found |= {pair: link for pair, link in self._links.items() if not listed.isdisjoint(pair)}
        return [link for _, link in sorted(found.items())]

    def window(self, since: datetime, until: datetime) -> Iterator[Window]:
        """As the port says. Raises TooEarly where the slice changes something in it: nobody asks for that who kept what
        was around it."""
        first, last = since.timestamp(), until.timestamp()
        if any(first - 1 < moment <= last for moment in self._moments):
            raise TooEarly
        return self._store.window(since, until)

    def closed_months(self) -> list[str]:
        return self._store.closed_months()  # they change between two slices alone

    def removed(self, ids: Iterable[str]) -> dict[str, str]:
        listed, new = set(ids), self._slice.removed
        return self._store.removed(listed) | {id_: new[id_] for id_ in listed & new.keys()}


def second(story: Story) -> int:
    return int(story.instant().timestamp() // 1)


def head(story: Story) -> Head:
    return Head(story.id, story.published, story.first_seen, story.cluster, story.lead, story.rewritten_from)
