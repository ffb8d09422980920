"""Whole jobs, as the command line and the DAGs run them: the moves in order, and who gets what."""

from __future__ import annotations

import hashlib
import itertools
import os
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from urllib.parse import urlsplit

from ingest import addresses, archive, dates
from ingest import feeds as opml
from ingest.errors import NotAnArchive
from ingest.models import Feed, FeedReport, FeedState, RunReport
from ingest.pipeline import runs
from ingest.pipeline import workers as crew
from ingest.pipeline.ahead import Ahead
from ingest.pipeline.batches import Job
from ingest.pipeline.digesting import digest, nobody
from ingest.pipeline.fetching import PAGE_BUDGET, fetch
from ingest.pipeline.pipe import Pipe, Progress, Step, silent
from ingest.pipeline.publishing import is_set_aside, publish
from ingest.pipeline.reporting import report
from ingest.pipeline.runs import Run

BATCH = 64  # feeds in one landing file: what is in flight at once
DAY = timedelta(days=1)
LOOK_BACK = 31  # days: a run that is killed may be the last one before a holiday


# --- feeds ----------------------------------------------------------------------------------------------------------
@dataclass(frozen=True, slots=True)
class Polls:
    """The feeds that a run polls, and a line for each that it leaves alone."""

    feeds: list[Feed]
    skipped: list[FeedReport]


def choose(pipe: Pipe, feeds: Sequence[Feed], *, everything: bool, now: datetime | None = None) -> Polls:
    """Those that are due; `everything`: all that are not in back-off, paused or retired."""
    states = pipe.store.states(feed.url for feed in feeds)
    chosen = opml.due(feeds, states, now or datetime.now(UTC), everything=everything)
    taken = {feed.url for feed in chosen}
    return Polls(chosen, [_skipped(feed, states.get(feed.url)) for feed in feeds if feed.url not in taken])


def _skipped(feed: Feed, state: FeedState | None) -> FeedReport:
    status = "paused" if feed.paused else state.status if state and state.status != "active" else "not due"
    reason = state.reason if state and not feed.paused else None
    return FeedReport(addresses.shown(feed.url), feed.title, status, reason, None, 0, gap=False, truncated=False)


def batches(feeds: Iterable[Feed], size: int = BATCH) -> list[list[Feed]]:
    """Feeds in batches for as many processes; a host's feeds stay together, so that one process minds its manners."""
    by_host: dict[str, list[Feed]] = defaultdict(list)
    for feed in feeds:
        by_host[urlsplit(feed.url).netloc.lower()].append(feed)
    packed: list[list[Feed]] = []
    for group in by_host.values():
        if not packed or len(packed[-1]) + len(group) > size:
            packed.append([])
        packed[-1].extend(group)
    return packed


def poll(
    pipe: Pipe,
    run: Run,
    polls: Polls,
    *,
    page_budget: float = PAGE_BUDGET,
    notes: Sequence[str] = (),
    progress: Progress = silent,
) -> RunReport:
    """Fetch, digest and publish, in this process; one landing file. What a run that was killed left is published too,
    in its name: its feeds will say that nothing is new."""
    crew.get_ready()
    landings = [fetch(pipe, run, polls.feeds, page_budget=page_budget, progress=progress)]
    parts = digest_landings(pipe, run, landings, progress=progress)
    publish(pipe, parts, run=run.id, progress=progress)
    for path in left_over(pipe, run):
        left = digest_landings(pipe, run, [path], progress=progress)
        publish(pipe, left, run=runs.owner(path), progress=progress)
        notes = [*notes, f"published as well: what run {runs.owner(path)} had landed and did not get to"]
    return report(pipe, run, parts, landings=landings, skipped=polls.skipped, notes=notes)


def landed(pipe: Pipe, day: date) -> list[str]:
    """The landing files of a day, complete ones."""
    return pipe.landing.list(f"captures/{day}/", suffix=".warc.gz")


def left_over(pipe: Pipe, run: Run) -> list[str]:
    """The landing files of the run's day, and of the last one before it on which any landed, that are not published to
    their end. What was set aside for failing again and again is not among them."""
    left: list[str] = []
    before = (run.day - back * DAY for back in range(1, LOOK_BACK + 1))
    for day in (*itertools.islice((day for day in before if landed(pipe, day)), 1), run.day):
        parts = pipe.landing.parts(f"stories/captures/{day}/")
        booked = {path for path, booking in pipe.store.bookings(parts).items() if booking.complete}
        by_file: dict[str, list[str]] = defaultdict(list)
        for path in parts:
            by_file[path.rpartition("/")[0]].append(path)
        left += [file for file in landed(pipe, day) if not _is_done(pipe, by_file[runs.stories_of(file)], booked)]
    return left


def left_by_polls(pipe: Pipe, run: Run) -> list[str]:
    """Those of the `left_over` that polls fetched: they run one after the other, so what another one left is nobody's
    any more. A daily run may be at its own at this moment."""
    return [path for path in left_over(pipe, run) if "-poll-" in runs.owner(path) and runs.owner(path) != run.id]


def _is_done(pipe: Pipe, parts: Sequence[str], booked: Collection[str]) -> bool:
    """Whether these are all parts of a landing file, and each is in the store or was set aside."""
    whole = bool(parts) and bool(pipe.landing.part(parts[-1]).header["last"])
    return whole and all(path in booked or is_set_aside(pipe, path) for path in parts)


def digest_landings(
    pipe: Pipe, run: Run, landings: Iterable[str], *, workers: int | None = None, progress: Progress = silent
) -> list[str]:
    """Digest landing files; those that are digested are left as they are."""
    parts: list[str] = []
    for path in landings:
        with pipe.landing.local(path) as local:
            source = archive.Source(str(local), "warc", local.stat().st_size, ())
            job = Job(source, runs.stories_of(path), run.started, trusted=True, run=run.id)
            parts += digest(pipe.landing, job, pipe.settings, workers_=workers, progress=progress)
    return parts


# --- archives -------------------------------------------------------------------------------------------------------
def backfill(
    pipe: Pipe, run: Run, paths: Sequence[str], *, workers: int | None = None, progress: Progress = silent
) -> tuple[RunReport, list[str]]:
    """Digest and publish foreign archives: the report, and what was rejected, named.

    Raises NotAnArchive, before anything is read, for a path that holds none.
    """
    sources = archive.sources(paths)
    crew.get_ready()
    parts: list[str] = []
    with Ahead(pipe.settings, run.id) as ahead:
        for source in sources:
            if source.kind != "empty":
                parts += digest_archive(pipe, run, source, workers=workers, progress=progress, ready=ahead.add)
    publish(pipe, parts, run=run.id, progress=progress)
    skipped = skipped_files(sources)
    return report(pipe, run, parts, notes=skipped), [*skipped, *named(pipe, dict.fromkeys(parts))]


def digest_archive(
    pipe: Pipe,
    run: Run,
    source: archive.Source,
    *,
    workers: int | None = None,
    progress: Progress = silent,
    ready: Callable[[str], None] = nobody,
) -> list[str]:
    """Digest one file (or folder of pages) of a foreign archive; its manifest keeps when that was first done."""
    fingerprint = _content(source, progress)
    manifest = f"archives/{fingerprint}.json"
    if not pipe.landing.exists(manifest):
        path = str(Path(source.path).absolute())  # it is looked for again, from wherever that may be
        first = {"path": path, "size": source.size, "sha256": fingerprint, "first": dates.iso(run.started)}
        pipe.landing.write_json(manifest, first)
    now = dates.instant(pipe.landing.read_json(manifest)["first"])
    job = Job(source, f"stories/archive/{fingerprint[:16]}", now, trusted=False, run=run.id)
    return digest(pipe.landing, job, pipe.settings, workers_=workers, progress=progress, ready=ready)


def skipped_files(sources: Iterable[archive.Source]) -> list[str]:
    """What is not read, and why, a line each."""
    return [f"{file.path}: {file.why}" for source in sources for file in source.skipped]


def _content(source: archive.Source, progress: Progress) -> str:
    """The SHA-256 of an archive's bytes: the same archive under another name is the same."""
    total = hashlib.sha256()
    done = 0
    for path in archive.files(source):
        total.update(os.fsencode(path.name) + b"\0" if source.kind == "folder" else b"")
        try:
            with path.open("rb") as file:
                while block := file.read(1 << 20):
                    total.update(block)
                    done += len(block)
                    progress(Step("identify", done, source.size, "bytes"))
        except OSError as error:
            if source.kind != "folder":
                raise NotAnArchive(f"cannot be read ({error.strerror})", subject=source.path) from error
            total.update(b"\0")  # a page that cannot be read is refused where it is read, and costs the others nothing
    return total.hexdigest()


# --- days -----------------------------------------------------------------------------------------------------------
@dataclass(frozen=True, slots=True)
class Asked:
    """What is known of an Airflow run of the daily DAG when it begins. `started` is the run's, so a retry decides as
    its first try did, and a run that is cleared later decides anew."""

    backfill: bool
    interval_end: datetime | None
    started: datetime
    complete: bool  # its interval's landing


def fetches(asked: Asked) -> tuple[bool, str]:
    """Whether a daily run fetches, or replays what landed; and why, in a sentence."""
    if asked.backfill:
        return False, "a backfill run replays what landed in its interval"
    if asked.complete:
        return False, "this interval's landing is complete: replaying it"
    if asked.interval_end is None:
        return True, "started by hand, for no interval: fetching"
    if asked.interval_end <= asked.started < asked.interval_end + DAY:
        return True, "the newest closed interval: fetching"
    return False, "not the newest closed interval: replaying what landed in it"


def complete(pipe: Pipe, day: date) -> bool:
    return pipe.landing.exists(_completion(day))


def close(pipe: Pipe, run: Run, landings: Sequence[str]) -> None:
    """Mark the landing of the run's day as complete."""
    if not complete(pipe, run.day):
        pipe.landing.write_json(_completion(run.day), {"run": run.id, "landings": list(landings)})


def _completion(day: date) -> str:
    return f"captures/{day}/complete.json"


def archive_of(pipe: Pipe, day: date) -> list[str]:
    """The path of the archive that is kept by day (SITREP_ARCHIVE), where it has that day."""
    if not pipe.settings.archive:
        return []
    path = day.strftime(pipe.settings.archive)
    return [path] if Path(path).exists() else []


def undigested(pipe: Pipe) -> list[str]:
    """All landing files; digesting one that is done costs nothing."""
    return pipe.landing.list("captures/", suffix=".warc.gz")


def digest_known_archives(
    pipe: Pipe,
    run: Run,
    *,
    workers: int | None = None,
    progress: Progress = silent,
    say: Callable[[str], None],
) -> list[str]:
    """Digest the archives that were backfilled before, where they still lie; `say` names those that do not."""
    parts: list[str] = []
    for manifest in pipe.landing.list("archives/", suffix=".json"):
        known = pipe.landing.read_json(manifest)
        found = [source for source in _sources(known["path"]) if source.path == known["path"]]
        if not found or found[0].size != known["size"]:
            say(f"{known['path']}: no longer there as it was; its stories stay as they are")
            continue
        parts += digest_archive(pipe, run, found[0], workers=workers, progress=progress)
    return parts


def _sources(path: str) -> list[archive.Source]:
    try:
        return archive.sources([path])
    except NotAnArchive:
        return []


def named(pipe: Pipe, parts: Iterable[str], most: int = 20) -> list[str]:
    """What was rejected or quarantined, and why, then what stories were kept without; a line each."""
    headers = [pipe.landing.part(path).header for path in parts]
    told = [
        f"{item['where']}: {item['outcome']}, {item['reason']}" + (f" ({item['detail']})" if item["detail"] else "")
        for header in headers
        for item in header["named"]
    ]
    told += [
        f"{item['where']}: kept without {item['field']} ({item['detail']})"
        for header in headers
        for item in header.get("without", ())
    ]
    return told[:most] + (["… and more; `sitrep report` counts them all"] if len(told) > most else [])
