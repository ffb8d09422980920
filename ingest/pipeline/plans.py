"""What a scheduled run does: decided once, when it begins, and kept in the landing zone (runs/<run>.json).

The DAGs call these functions, one a task. Every task of a run, and every retry of it, works by the same plan; what goes
from task to task is the run, numbers of batches, and paths.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from pathlib import Path
from typing import Any

from ingest import archive
from ingest.errors import NotAnArchive, UsageError
from ingest.models import FeedReport, RunReport
from ingest.pipeline import jobs, runs
from ingest.pipeline.digesting import is_digested
from ingest.pipeline.fetching import fetch
from ingest.pipeline.jobs import Asked, Polls
from ingest.pipeline.pipe import Pipe, Progress, Step, silent
from ingest.pipeline.publishing import publish
from ingest.pipeline.reporting import report
from ingest.pipeline.runs import Run

TASKS = 500  # mapped tasks of one kind in a run: Airflow refuses more than 1,024
SAY_EVERY = 20.0  # seconds between two lines of progress in a log
Work = dict[str, str]  # {"landing": a landing file} or {"archive": a path}

GIVE_PATHS = 'Start the run with {"paths": ["/archive/2022.warc.gz", …]}: WARC files, JSON Lines, or folders.'


@dataclass(frozen=True, slots=True)
class Plan:
    """`batches` are the feeds' URLs. `name` is the Airflow run's, <DAG>/<run>. `whole_day`: the run closes its day and
    reports on all that landed in it."""

    run: Run
    why: str = ""
    batches: Sequence[Sequence[str]] = ()
    skipped: Sequence[FeedReport] = ()
    whole_day: bool = False
    replays: bool = False
    archives: Sequence[str] = ()
    notes: Sequence[str] = field(default_factory=tuple)
    name: str = ""


def poll(pipe: Pipe, name: str, started: datetime, day: date | None) -> Plan:
    """The feeds that are due. `name` and `started` are the Airflow run's; its landing stands under `day`."""
    run = runs.start("poll", now=started, day=day, name=name)
    return _kept(pipe, run, name, lambda: _polls(run, jobs.choose(pipe, pipe.feeds(), everything=False, now=started)))


def daily(pipe: Pipe, name: str, asked: Asked, day: date) -> Plan:
    """Fetch or replay, as `jobs.fetches` says; a backfill run takes the archive that is kept by day as well."""
    fetches, why = jobs.fetches(asked)
    run = runs.start("daily" if fetches else "replay", now=asked.started, day=day, name=name)

    def decide() -> Plan:
        if fetches:
            polls = jobs.choose(pipe, pipe.feeds(), everything=True, now=asked.started)
            return _polls(run, polls, why=why, whole_day=asked.interval_end is not None)
        kept_by_day = jobs.archive_of(pipe, day) if asked.backfill else []
        found = [source for path in kept_by_day for source in archive.look(path)]
        return Plan(run, f"{day}: {why}", replays=True, archives=_full(found), notes=jobs.skipped_files(found))

    return _kept(pipe, run, name, decide)


def backfill(pipe: Pipe, name: str, started: datetime, paths: Any) -> Plan:
    """The sources at these paths.

    Raises UsageError where there are none, and NotAnArchive for one that holds none.
    """
    if not isinstance(paths, list) or not paths or not all(isinstance(path, str) and path for path in paths):
        raise UsageError("no paths were given", subject="paths", advice=GIVE_PATHS)
    if relative := [path for path in paths if not Path(path).is_absolute()]:
        raise UsageError("is not an absolute path", subject=relative[0], advice=GIVE_PATHS)
    found = archive.sources(paths)
    run = runs.start("archive", now=started, name=name)
    plan = Plan(run, archives=_full(found), notes=jobs.skipped_files(found))
    return _kept(pipe, run, name, lambda: plan)


def _full(found: Iterable[archive.Source]) -> list[str]:
    return [source.path for source in found if source.kind != "empty"]


def _polls(run: Run, polls: Polls, *, why: str = "", whole_day: bool = False) -> Plan:
    batches = [[feed.url for feed in batch] for batch in jobs.batches(polls.feeds)]
    return Plan(run, why, batches, polls.skipped, whole_day)


# --- what is kept ---------------------------------------------------------------------------------------------------
def _path(run: Run) -> str:
    return f"runs/{run.id}.json"


def _kept(pipe: Pipe, run: Run, name: str, decide: Callable[[], Plan]) -> Plan:
    """The plan of this run: the one that an earlier try of it made, else a new one."""
    if not pipe.landing.exists(_path(run)):
        pipe.landing.write_json(_path(run), _to_json(replace(decide(), name=name)))
    return plan_of(pipe, run)


def _to_json(plan: Plan) -> dict[str, Any]:
    record = {name: getattr(plan, name) for name in plan.__slots__}
    return {**record, "run": plan.run.to_json(), "skipped": [feed.to_json() for feed in plan.skipped]}


def plan_of(pipe: Pipe, run: Run) -> Plan:
    """The plan that `run` began with."""
    record = pipe.landing.read_json(_path(run))
    skipped = [FeedReport.from_json(line) for line in record["skipped"]]
    return Plan(**{**record, "run": Run.from_json(record["run"]), "skipped": skipped})


# --- the moves ------------------------------------------------------------------------------------------------------
def fetch_batch(pipe: Pipe, run: Run, number: int, *, progress: Progress = silent) -> str:
    """Fetch one batch of the plan: its landing file."""
    urls = set(plan_of(pipe, run).batches[number])
    feeds = [feed for feed in pipe.feeds() if feed.url in urls]
    return fetch(pipe, run, feeds, number=number, progress=progress)


def close(pipe: Pipe, run: Run, fetched: Iterable[str]) -> list[list[Work]]:
    """Close the day where the run is to, and give what it digests, in shares for as many tasks. A poll takes what polls
    before it landed and did not bring to its end: their feeds will not tell it again."""
    plan = plan_of(pipe, run)
    landings = list(fetched)
    if run.kind == "poll":
        landings += jobs.left_by_polls(pipe, run)
    if plan.whole_day or plan.replays:
        landings = jobs.landed(pipe, run.day)
    if plan.whole_day:
        jobs.close(pipe, run, landings)
    return shares_of_work(pipe, [*({"landing": path} for path in landings), *archives(plan)])


def archives(plan: Plan) -> list[Work]:
    return [{"archive": path} for path in plan.archives]


def shares_of_work(pipe: Pipe, work: Iterable[Work]) -> list[list[Work]]:
    """Work in shares: one for all that is digested already (it costs nothing), one each for the rest."""
    done: list[Work] = []
    rest: list[Work] = []
    for item in work:
        (done if "landing" in item and _is_digested(pipe, item["landing"]) else rest).append(item)
    return ([done] if done else []) + _shares(rest)


def _is_digested(pipe: Pipe, landing: str) -> bool:
    return is_digested(pipe.landing, runs.stories_of(landing), pipe.settings)


def _shares(items: Sequence[Any]) -> list[list[Any]]:
    number = min(len(items), TASKS)
    return [list(items[n::number]) for n in range(number)]


def digest(pipe: Pipe, run: Run, share: Iterable[Work], *, progress: Progress = silent) -> list[str]:
    """Digest a share of the work: its files of stories."""
    parts: list[str] = []
    for item in share:
        if "landing" in item:
            parts += jobs.digest_landings(pipe, run, [item["landing"]], progress=progress)
            continue
        found = [source for source in archive.sources([item["archive"]]) if source.path == item["archive"]]
        if not found:
            raise NotAnArchive("is no longer there as it was", subject=item["archive"])
        parts += jobs.digest_archive(pipe, run, found[0], progress=progress)
    return parts


def queue(parts: Iterable[str]) -> list[list[str]]:
    """Files of stories in the order in which they are published, in short tasks: those of the feeds together, which
    are small, then an archive's one by one, so that a poll's stories get in between."""
    ordered = runs.live_first(set(parts))
    live = [part for part in ordered if runs.is_live(part)]
    return ([live] if live else []) + _shares(ordered[len(live) :])


def publish_parts(pipe: Pipe, run: Run, parts: Sequence[str], *, progress: Progress = silent) -> int:
    """Publish these files of stories; how many they are."""
    return len(publish(pipe, parts, run=run.id, progress=progress))


def report_on(pipe: Pipe, run: Run, work: Iterable[Work], parts: Iterable[str]) -> RunReport:
    """The run's report. Raises Unbalanced."""
    plan = plan_of(pipe, run)
    landings = [item["landing"] for item in work if "landing" in item]
    notes = [note for note in (plan.why, *plan.notes) if note]
    if plan.replays and not landings and not plan.archives:
        notes.append(f"nothing landed on {run.day}")
    return report(
        pipe,
        run,
        sorted(set(parts)),
        landings=landings,
        skipped=plan.skipped,
        notes=notes,
        whole_day=plan.whole_day,
    )


# --- logs -----------------------------------------------------------------------------------------------------------
def told(say: Callable[[str], None]) -> Progress:
    """Progress for a log: a line now and then, with the rate and the time left."""
    began: dict[str, tuple[float, int]] = {}
    last = time.monotonic()

    def tell(step: Step) -> None:
        nonlocal last
        now = time.monotonic()
        start, done = began.setdefault(step.name, (now, step.done))
        if now - last < SAY_EVERY:
            return
        last = now
        rate = (step.done - done) / (now - start) if now > start else 0.0
        of = f" of {step.total:,d}" if step.total else ""
        left = f", about {(step.total - step.done) / rate:,.0f} s left" if rate and step.total else ""
        say(f"{step.name}: {step.done:,d}{of} {step.unit}, {rate:,.0f} a second{left}")

    return tell
