"""A run's report: what came in, what became of it, and whether the two agree."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from ingest import addresses, dates, wording
from ingest.errors import Missing, Unbalanced
from ingest.models import FeedReport, Outcome, RunReport
from ingest.pipeline import mirroring
from ingest.pipeline.deciding import CLOSED
from ingest.pipeline.pipe import Pipe
from ingest.pipeline.runs import Run, beside, is_live, stories_of
from ingest.store import Booking

KEPT = (Outcome.REJECTED, Outcome.QUARANTINED)  # what digest booked; publishing again does not change it

Counts = Mapping[str, Mapping[str, int]]


def report(
    pipe: Pipe,
    run: Run,
    parts: Sequence[str],
    *,
    landings: Sequence[str] = (),
    skipped: Iterable[FeedReport] = (),
    notes: Sequence[str] = (),
    whole_day: bool = False,
    again: Collection[str] = (),
) -> RunReport:
    """Sum up a run over its own files of stories, whoever published them, keep the report, and show it where people
    look into the store. `again`: quarantined items that the run handled once more.

    What another run published and reported is unchanged to this one, except where the run reports on a `whole_day`; it
    is rejected where its month was dropped since.
    Raises Unbalanced where a file is not published, or where outcomes and entries differ; the report is not kept then.
    """
    parts = [*dict.fromkeys(parts)]  # an archive may be named twice, and lie there under two names
    bookings = pipe.store.bookings(parts)
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    reasons: Counter[str] = Counter()
    dropped: Counter[str] = Counter()
    topics: Counter[str] = Counter()
    lost: set[str] = set()  # feeds of which a document was set aside as a whole
    damaged = 0  # records of landing files, of which nobody knows what they held
    tagged = 0
    entries = 0
    for path in parts:
        booking = _complete(pipe, path, bookings.get(path))
        entries += _came_in(pipe, path)
        header = pipe.landing.part(path).header
        dropped.update(header.get("dropped", {}))
        lost.update(header.get("documents", ()))
        damaged += sum(header["counts"].get("", {}).values()) if is_live(path) else 0
        topics.update(header.get("topics", {}))
        tagged += header.get("tagged", 0)
        reasons.update(booking.reasons)
        old = booking.run != run.id and not whole_day and pipe.landing.exists(_path(booking.run))
        if old:
            since = _dropped_since(pipe, path, booking)
            reasons.update({CLOSED: since.total()} if since else {})
            _add(counts, _as_unchanged(booking.counts, since))
        else:
            _add(counts, booking.counts)
    total = sum((Counter(outcomes) for outcomes in counts.values()), Counter())
    feeds = _feeds(pipe, landings, counts, bookings, None if damaged else lost)
    _balance(run, entries, total, feeds, counts, nameless=bool(damaged) or not all(map(is_live, parts)))
    if damaged:
        told = f"{wording.plural(damaged, 'record')} of landing files could not be read: damaged, or changed there"
        notes = [*notes, told]
    result = RunReport(
        run=run.id,
        kind=run.kind,
        started=run.started,
        ended=datetime.now(UTC),
        entries=entries,
        outcomes={outcome: total[outcome] for outcome in Outcome},
        reasons=reasons,
        feeds=(*feeds, *skipped),
        notes=tuple(notes),
        dropped=dropped,
        topics=topics,
        tagged=tagged,
    )
    pipe.landing.write_json(_path(run.id), result.to_json())
    if unshown := mirroring.show(pipe, result, again=again):
        result = replace(result, notes=(*result.notes, *unshown))
        pipe.landing.write_json(_path(run.id), result.to_json())
    return result


def kept(pipe: Pipe, run: str | None = None) -> dict[str, Any]:
    """The report of a run as `RunReport.to_json` gives it, or of the last one.

    Raises Missing where there is none, LandingFault where what is kept is none.
    """
    paths = pipe.landing.list("reports/", suffix=".json")
    if run is None and not paths:
        raise Missing("no run has been reported yet", advice="Start one with `sitrep run` or `sitrep backfill`.")
    path = _path(run) if run else _latest(pipe, paths)
    if path not in paths:
        raise Missing("there is no report of that run", subject=str(run), advice="`sitrep report` shows the last.")
    return mirroring.kept(pipe, path).to_json()


def latest(pipe: Pipe, most: int) -> list[dict[str, Any]]:
    """The reports of the latest runs, as `kept` gives them, newest first. Raises LandingFault as it does."""
    paths = pipe.landing.list("reports/", suffix=".json")
    return [mirroring.kept(pipe, path).to_json() for path in paths[: -most - 1 : -1]]


def _latest(pipe: Pipe, paths: Sequence[str]) -> str:
    """The run that began last; names say the second, and of those of one second the report says more."""
    second = paths[-1].partition("-")[0]
    return max(
        (path for path in paths if path.startswith(second)),
        key=lambda path: dates.instant(pipe.landing.read_json(path)["started"]),
    )


def _path(run: str) -> str:
    return f"reports/{run}.json"


def _complete(pipe: Pipe, path: str, booking: Booking | None) -> Booking:
    if booking is None or not booking.complete or booking.version != pipe.landing.part(path).version:
        raise Unbalanced("not published to its end", subject=path, advice="Run `sitrep publish`.")
    return booking


def _came_in(pipe: Pipe, path: str) -> int:
    """How many entries a file of stories stands for: its stories, and what digest counted beside them."""
    part = pipe.landing.part(path)
    return part.count + sum(sum(outcomes.values()) for outcomes in part.header["counts"].values())


def _add(counts: dict[str, Counter[str]], more: Counts) -> None:
    for feed, outcomes in more.items():
        counts[feed].update(outcomes)


def _as_unchanged(counts: Counts, dropped: Mapping[str, int]) -> dict[str, Counter[str]]:
    """What was booked, for a run that finds it published. `dropped`: stories that went out of the store since, by
    feed."""
    told = {}
    for feed, outcomes in counts.items():
        kept = Counter({outcome: n for outcome, n in outcomes.items() if outcome in KEPT})
        out = dropped.get(feed, 0)
        kept[Outcome.REJECTED] += out
        kept[Outcome.UNCHANGED] = sum(outcomes.values()) - kept.total()
        told[feed] = Counter({str(outcome): n for outcome, n in kept.items() if n})
    return told


def _dropped_since(pipe: Pipe, path: str, booking: Booking) -> Counter[str]:
    """Stories of a file that went when their month was dropped, by feed; not those that were never let in, which are
    booked as rejected."""
    if not pipe.store.closed_months():
        return Counter()
    part = pipe.landing.part(path)
    removed = pipe.store.removed(part.ids)
    told = [content for content, _ in part.slice(0, part.count) if content.id in removed] if removed else []
    known = booking.reasons.get(CLOSED, 0)
    gone: Counter[str] = Counter()
    for content in told[known:]:
        feed = content.feed or "" if is_live(path) else ""
        there = sum(n for outcome, n in booking.counts.get(feed, {}).items() if outcome not in KEPT)
        gone[feed] += gone[feed] < there
    return gone


def _feeds(
    pipe: Pipe, landings: Iterable[str], counts: Counts, bookings: Mapping[str, Booking], lost: Collection[str] | None
) -> list[FeedReport]:
    """A line per feed; several polls of one feed (a whole day) in one line. `lost`: the feeds of which digest did not
    read all that their polls counted; None: nobody knows which."""
    lines: dict[str, list[Mapping[str, Any]]] = defaultdict(list)
    for landing in landings:
        learned = beside(landing)
        told = pipe.landing.read_json(learned)["feeds"] if pipe.landing.exists(learned) else _cut_off(landing, bookings)
        for line in told:
            lines[addresses.shown(line["url"])].append(line)
    return [_line(url, polls, counts.get(url, {}), lost is None or url in lost) for url, polls in lines.items()]


def _cut_off(landing: str, bookings: Mapping[str, Booking]) -> list[dict[str, Any]]:
    """Lines for the feeds of a landing file whose batch was killed before it could say what it taught."""
    prefix = stories_of(landing) + "/"
    counts: Counter[str] = Counter()
    for path, booking in bookings.items():
        if path.startswith(prefix):
            counts.update({feed: sum(outcomes.values()) for feed, outcomes in booking.counts.items()})
    said = {"title": None, "reason": "cut-off", "detail": "its run was killed", "gap": False, "truncated": False}
    return [{"url": url, "status": "new", "entries": n, **said} for url, n in counts.items()]


def _line(url: str, polls: Sequence[Mapping[str, Any]], counts: Mapping[str, int], lost: bool) -> FeedReport:
    """`lost`: digest did not read all that was counted (a document that is set aside as a whole counts as one, not as
    its entries). A document at the limit of time may be read by its poll and not by digest, or the other way round."""
    one = lost or any(poll["reason"] == "unparsable" for poll in polls)
    last = next((poll for poll in polls if poll["status"] == "new"), polls[-1])
    return FeedReport(
        url=url,
        title=last["title"],
        status=last["status"],
        reason=last["reason"],
        detail=last["detail"],
        entries=sum(counts.values()) if one else sum(poll["entries"] for poll in polls),
        gap=any(poll["gap"] for poll in polls),
        truncated=any(poll["truncated"] for poll in polls),
        outcomes={Outcome(outcome): n for outcome, n in counts.items()},
    )


def _balance(
    run: Run, entries: int, total: Counter[str], feeds: Sequence[FeedReport], counts: Counts, *, nameless: bool
) -> None:
    """In = sum of outcomes, for the run and for each feed as its poll counted it."""
    if total.total() != entries:
        raise Unbalanced(f"{entries} entries came in, {total.total()} were accounted for", subject=run.id)
    for feed in feeds:
        if sum(feed.outcomes.values()) != feed.entries:
            told = f"{feed.entries} entries in its document, {sum(feed.outcomes.values())} accounted for"
            raise Unbalanced(told, subject=feed.url)
    # The entries of archives, and what is damaged, belong to no feed.
    known = {feed.url for feed in feeds} | ({""} if nameless else set())
    if feeds and (strangers := counts.keys() - known):
        raise Unbalanced(f"entries of feeds that were not polled: {', '.join(sorted(strangers))}", subject=run.id)
