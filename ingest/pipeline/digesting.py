"""The second move: one landing file, or one file of a foreign archive → files of stories.

Pure: no network, no store. The same bytes give the same files, whoever digests them. Reading is sequential and cheap;
parsing, cleaning, tagging and fingerprinting are done by worker processes (`batches`, `reading`), batch by batch, and
what comes back is written in parts of 10,000 stories. A part that is complete says where reading goes on, so a digest
that was interrupted goes on behind its last complete part.
"""

from __future__ import annotations

import functools
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

from ingest import addresses, archive, dates, dedup, feeds, sites, tag, versions
from ingest.landing import Landing
from ingest.models import Capture, Content, Dropped, Entry, Fingerprint, Outcome, Quarantined, Rejection
from ingest.pipeline import workers
from ingest.pipeline.batches import Answered, Digested, Job, Trouble, prepare, work
from ingest.pipeline.pipe import Progress, Step, silent
from ingest.settings import Settings

PART = 10_000  # stories in a file of stories
# What the stories of a part may weigh, their texts and 4,000 for all else of each: while it is written, a part takes
# some seven times as many bytes of memory (measured on stories of 200 words, and on whole pages).
PART_WEIGHT = 32 << 20
BATCH_ITEMS = 64
BATCH_BYTES = 1 << 20  # of raw input in one batch: some fifty pages
NAMED = 200  # rejections whose place and reason a part names, and as many fields that were dropped; all are counted
Item = archive.Raw | archive.Refused
Ready = Callable[[str], None]
WALL = 2  # entries that end at one address: it is a wall or a front page, and none of theirs


def nobody(_: str) -> None:
    """Nobody waits for files of stories before all are there."""


def digest(
    landing: Landing,
    job: Job,
    settings: Settings,
    *,
    workers_: int | None = None,
    progress: Progress = silent,
    ready: Ready = nobody,
) -> list[str]:
    """Digest `job` and give the paths of its files of stories, all complete; `ready` is told of each when it is.

    Nothing is done where they are there already, read by this version of the cleaner and the rules.
    """
    paths = _complete(landing, job.prefix, _reading(settings))
    position = 0
    for path in paths:
        ready(path)
    if paths:
        header = landing.part(paths[-1]).header
        if header["last"]:
            _drop_others(landing, job.prefix, paths)
            return paths
        position = header["position"]
    items = archive.read(job.source, position)
    return digest_items(landing, job, items, settings, behind=paths, workers_=workers_, progress=progress, ready=ready)


def digest_items(
    landing: Landing,
    job: Job,
    items: Iterable[Item],
    settings: Settings,
    *,
    behind: Sequence[str] = (),
    workers_: int | None = None,
    progress: Progress = silent,
    ready: Ready = nobody,
) -> list[str]:
    """Digest these items of `job`, `behind` the parts that are there; gives the paths of all parts."""
    writer = _Writer(landing, job, _reading(settings), list(behind), ready)
    results = workers.run(
        _batches(items),
        work,
        workers=workers_ or settings.workers,
        prepare=prepare,
        context=[settings.topics, settings.sites, job, _answered(job) if job.trusted else Answered()],
    )
    for batch, done in results:
        for raw, digested in zip(batch, done, strict=True):
            if isinstance(digested, workers.Lost):
                writer.set_aside(raw, Trouble(digested.reason, digested.detail))
            else:
                writer.add(raw, digested)
        writer.end_of_batch(batch[-1].position)
        progress(Step("digest", batch[-1].done, job.source.size, "bytes"))
    writer.close()
    _drop_others(landing, job.prefix, writer.paths)
    return writer.paths


def _reading(settings: Settings) -> str:
    """What the stories of a part depend on beside their bytes."""
    rules, site_rules = settings.topics, settings.sites
    found = _rules_version(rules, _changed(rules)), _sites_version(site_rules, _changed(site_rules))
    return " ".join((versions.CLEANER, *found))


def _changed(path: Path) -> int:
    return path.stat().st_mtime_ns if path.exists() else 0


@functools.lru_cache(maxsize=4)
def _rules_version(rules: Path, _changed: int) -> str:
    return tag.load(rules).version


@functools.lru_cache(maxsize=4)
def _sites_version(rules: Path, _changed: int) -> str:
    return sites.load(rules).version


def _complete(landing: Landing, prefix: str, reading: str) -> list[str]:
    """The parts from the first on that this very reading made; those of another, or behind a gap, are made again."""
    there = set(landing.parts(prefix + "/"))
    found: list[str] = []
    while (path := _part(prefix, len(found))) in there:
        header = landing.part(path).header
        if header["reading"] != reading:
            break
        found.append(path)
        if header["last"]:
            break
    return found


def is_digested(landing: Landing, prefix: str, settings: Settings) -> bool:
    """Whether this very reading made all files of stories under `prefix`: digesting again would do nothing."""
    paths = _complete(landing, prefix, _reading(settings))
    return bool(paths) and bool(landing.part(paths[-1]).header["last"])


def _part(prefix: str, number: int) -> str:
    return f"{prefix}/{number:05d}"


def _drop_others(landing: Landing, prefix: str, paths: Sequence[str]) -> None:
    """Delete parts that an earlier reading left behind the last one of this: their stories stand in these."""
    for path in landing.parts(prefix + "/"):
        if path not in paths:
            landing.delete(path + ".json")


def _batches(items: Iterable[Item]) -> Iterator[list[Item]]:
    batch: list[Item] = []
    size = 0
    for item in items:
        batch.append(item)
        size += len(item.data) if isinstance(item, archive.Raw) else 0
        if len(batch) >= BATCH_ITEMS or size >= BATCH_BYTES:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def _answered(job: Job) -> Answered:
    found = Answered()
    ends: dict[str, set[str]] = defaultdict(set)
    for raw in archive.read(job.source) if job.source.kind == "warc" else ():
        if isinstance(raw, archive.Refused) or not raw.note:
            continue
        capture = archive.decode(raw, now=job.now, trusted=True)
        if not isinstance(capture, Capture) or not capture.entry or not capture.answers:
            continue
        entry = Entry.from_json(capture.entry["entry"])
        ends[addresses.key(capture.url)].add(addresses.key(entry.url or ""))
        if not capture.entry["waited"]:
            found.pages[entry.feed or ""][feeds.entry_key(entry)] += 1
    found.walls = {end for end, asked in ends.items() if len(asked) >= WALL}
    return found


class _Writer:
    """Collects what comes back, and writes a part when it is full, in order of time (what publish reads at once then
    needs one window of the store)."""

    def __init__(self, landing: Landing, job: Job, reading: str, paths: list[str], ready: Ready) -> None:
        self.landing = landing
        self.job = job
        self.reading = reading
        self.paths = paths
        self.ready = ready
        self.position = 0
        self._empty()

    def _empty(self) -> None:
        self.stories: list[tuple[Content, Fingerprint]] = []
        self.weight = 0
        self.counts: dict[str, Counter[str]] = defaultdict(Counter)
        self.reasons: Counter[str] = Counter()
        self.named: list[dict[str, str]] = []
        self.dropped: Counter[str] = Counter()
        self.without: list[dict[str, str]] = []
        self.documents: Counter[str] = Counter()
        self.topics: Counter[str] = Counter()
        self.tagged = 0

    def add(self, raw: Item, digested: Digested) -> None:
        fingerprints = iter(digested.fingerprints)
        for result in digested.results:
            if isinstance(result, Content):
                self.stories.append((result, next(fingerprints)))
                self.weight += len(result.text) + 4000
                self.topics.update(result.tags.topics)
                self.tagged += bool(result.tags.topics)
            elif isinstance(result, Outcome):
                self.counts[""][result] += 1
            elif isinstance(result, Dropped):
                self.dropped[result.field] += 1
                if len(self.without) < NAMED:
                    self.without.append({"field": result.field, "detail": result.detail, "where": result.where})
            elif isinstance(result, Rejection):
                self._count(Outcome.REJECTED, result.reason, result.detail, result.where, result.feed)
            else:
                self.set_aside(raw, result)

    def set_aside(self, raw: Item, trouble: Trouble) -> None:
        """Quarantine an item with its bytes."""
        assert isinstance(raw, archive.Raw)
        where = raw.where
        url = trouble.url or archive.address(raw)
        feed, whole = archive.feed_of(raw) if self.job.trusted else (trouble.feed, False)
        self.landing.quarantine(
            Quarantined(
                reason=trouble.reason,
                detail=trouble.detail,
                where=where,
                kind=raw.kind,
                feed=addresses.shown(feed) if feed else None,
                captured=self.job.now,
                meta={
                    "trusted": self.job.trusted,
                    "note": raw.note.decode("utf-8", "replace") if raw.note else None,
                    "now": dates.iso(self.job.now),
                },
                data=raw.data,
                url=url and addresses.shown(url),
                source=addresses.site(url),
                run=self.job.run,
            )
        )
        self._count(Outcome.QUARANTINED, trouble.reason, trouble.detail, where, feed)
        if feed and whole:
            self.documents[addresses.shown(feed)] += 1  # however many entries its poll found in it

    def _count(self, outcome: Outcome, reason: str, detail: str, where: str, feed: str | None) -> None:
        self.counts[addresses.shown(feed or "") if self.job.trusted else ""][outcome] += 1
        self.reasons[reason] += 1
        if len(self.named) < NAMED:
            said = {"outcome": str(outcome), "reason": reason, "detail": detail, "where": where, "feed": feed or ""}
            self.named.append(said)

    def end_of_batch(self, position: int) -> None:
        """A place where reading can go on: the part ends here if it is full."""
        self.position = position
        if len(self.stories) >= PART or self.weight >= PART_WEIGHT or sum(self.reasons.values()) >= PART:
            self._write(last=False)

    def close(self) -> None:
        self._write(last=True)

    def _write(self, *, last: bool) -> None:
        path = _part(self.job.prefix, len(self.paths))
        ordered = sorted(
            self.stories, key=lambda item: (item[0].instant(), item[0].id, -item[0].text_from.rank, item[0].captured)
        )
        header = {
            "reading": self.reading,
            "position": self.position,
            "last": last,
            "counts": {feed: dict(counts) for feed, counts in self.counts.items()},
            "reasons": dict(self.reasons),
            "named": self.named,
            "documents": dict(self.documents),
            "fingerprints": dedup.VERSION,
            "dropped": dict(self.dropped),
            "without": self.without,
            "topics": dict(self.topics),
            "tagged": self.tagged,
        }
        self.landing.write_part(path, [story for story, _ in ordered], [mark for _, mark in ordered], header)
        self.paths.append(path)
        self._empty()
        self.ready(path)
