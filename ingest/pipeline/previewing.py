"""What a feed would bring, before it is added: its latest entries, read as digest reads them. Nothing is kept."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from ingest.models import Content, Entry, Feed, Rejection
from ingest.pipeline import finding, workers
from ingest.pipeline.batches import prepare_preview, preview
from ingest.pipeline.pipe import Pipe

SHOWN = 12  # entries


@dataclass(frozen=True, slots=True)
class Previewed:
    """What an entry would become: a story as its feed tells it, or why it is none. `known`: its story is there."""

    told: Content | Rejection
    known: bool = False


@dataclass(frozen=True, slots=True)
class Preview:
    """A feed that was found, how many entries its document has, and what the first of them would become."""

    feed: Feed
    there: bool  # the feed is read already
    entries: int
    stories: Sequence[Previewed]


def look(pipe: Pipe, url: str) -> Preview:
    """Find the feed of an address and read its latest entries, in a process with limits.

    Raises UsageError as `finding.look` does.
    """
    feed, document = finding.look(pipe, url)
    first = document.entries[:SHOWN]
    told = _read(pipe, [entry for entry in first if isinstance(entry, Entry)])
    stories = [next(told) if isinstance(entry, Entry) else entry for entry in first]
    keys = [key for story in stories if isinstance(story, Content) for key in story.keys]
    known = pipe.store.resolve(keys)
    there = any(other.url == feed.url for other in pipe.feeds())
    return Preview(feed, there, len(document.entries), [_previewed(story, known) for story in stories])


def _read(pipe: Pipe, entries: Sequence[Entry]) -> Iterator[Content | Rejection]:
    context = [pipe.settings.topics, pipe.settings.sites]
    for _, results in workers.run(
        [entries] if entries else [], preview, workers=1, prepare=prepare_preview, context=context
    ):
        for entry, result in zip(entries, results, strict=True):
            if isinstance(result, workers.Lost):
                yield Rejection(result.reason, result.detail, entry.where, entry.feed)
            else:
                yield result


def _previewed(story: Content | Rejection, known: Mapping[str, str]) -> Previewed:
    return Previewed(story, isinstance(story, Content) and any(key in known for key in story.keys))
