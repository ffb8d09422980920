"""What digesting hands to its workers and gets back, and what they do with it.

The parent of the workers needs names and shapes alone: `reading`, with all that takes half a second to import, is
imported where it works.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from ingest import archive
from ingest.models import Content, Dropped, Entry, Fingerprint, Outcome, Rejection

if TYPE_CHECKING:
    from ingest.pipeline.reading import Reader


@dataclass(frozen=True, slots=True)
class Job:
    """What is digested: `source` as `archive` reads it, `prefix` for its files of stories.

    `trusted` is for our own landing files; `now` is the capture time of what states none. `run` is the one that digests
    it.
    """

    source: archive.Source
    prefix: str
    now: datetime
    trusted: bool
    run: str = ""


@dataclass(slots=True)
class Answered:
    """Entries of a landing file whose page lies in the same file, and pages that are nobody's.

    `pages` counts, by feed, the keys of entries: the feed's own telling of them is not counted again. `walls` are
    final addresses where several entries ended: consent walls and front pages."""

    pages: dict[str, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
    walls: set[str] = field(default_factory=set)


@dataclass(frozen=True, slots=True)
class Trouble:
    """Something that could be a story, or hold some, but could not be handled."""

    reason: str
    detail: str
    feed: str | None = None
    url: str | None = None


Result = Content | Rejection | Trouble | Outcome | Dropped  # the last beside the story that it was dropped from


@dataclass(frozen=True, slots=True)
class Digested:
    """What became of one raw item: what it held, and the fingerprints of the stories among it, in their order."""

    results: list[Result]
    fingerprints: list[Fingerprint]


_reader: Reader


def prepare(rules: Path, site_rules: Path, job: Job, answered: Answered) -> None:
    """Load what every item needs, once a process."""
    from ingest.pipeline import reading

    global _reader
    reading.load_models()
    _reader = reading.Reader(rules, site_rules, job, answered)


def work(batch: Sequence[archive.Raw | archive.Refused]) -> list[Digested]:
    """Digest raw items; runs in a worker process."""
    from ingest import dedup

    read = [list(_reader.read(raw)) for raw in batch]
    stories = [(story.title, story.text) for results in read for story in results if isinstance(story, Content)]
    fingerprints = iter(dedup.fingerprints(stories))
    return [
        Digested(results, [next(fingerprints) for result in results if isinstance(result, Content)]) for results in read
    ]


def prepare_preview(rules: Path, site_rules: Path) -> None:
    """As `prepare`, for `preview`."""
    now = datetime.now(UTC)
    prepare(rules, site_rules, Job(archive.Source("", "preview", 0), "", now, trusted=False), Answered())


def preview(entries: Sequence[Entry]) -> list[Content | Rejection]:
    """What a feed's entries become as they stand, their pages not fetched; runs in a worker process."""
    return [_reader.told(entry) for entry in entries]
