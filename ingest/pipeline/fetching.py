"""The first move: feeds → a landing file, in two hops.

Feeds land; parsing says which entries need their page; the pages land in the same file, each with the entry that asked
for it, so that a page that has to wait for another run digests alone. What the polls taught is written beside the
landing file, and only after both are safe does the feeds' state move on: a run that is killed and run again loses
nothing and fetches no finished batch twice.
"""

from __future__ import annotations

import hashlib
import math
import time
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from ingest import addresses, feeds, parse
from ingest.errors import GiveUp, NotAFeed
from ingest.fetch import Fetched, Fetcher, Request
from ingest.landing import CaptureWriter
from ingest.models import Capture, Entry, Feed, FeedState, FullText, Rejection, TextFrom, WantedPage
from ingest.pipeline.pipe import Pipe, Progress, Step, silent
from ingest.pipeline.runs import Run, beside

PAGE_BUDGET = 300.0  # seconds that a run spends on pages; the rest waits for the next run
PAGE_TRIES = 3  # a page that failed so often in a row is given up: its story stays as the feed told it
PAGE_PATIENCE = timedelta(days=7)  # a page that waited longer than this is given up as well


@dataclass(slots=True)
class _Batch:
    """What is known of a batch while it is fetched."""

    writer: CaptureWriter
    states: dict[str, FeedState]
    lines: dict[str, dict[str, Any]] = field(default_factory=dict)
    pages: dict[str, WantedPage] = field(default_factory=dict)  # by address key: one request a page
    fresh: set[str] = field(default_factory=set)  # address keys of pages that an entry of this very run asked for
    told: set[tuple[str, str]] = field(default_factory=set)  # feeds and keys of the entries in this run's documents
    limited: dict[str, float] = field(default_factory=dict)  # feeds whose host asked for time → when it is over


def fetch(
    pipe: Pipe,
    run: Run,
    batch: Sequence[Feed],
    *,
    number: int = 0,
    page_budget: float = PAGE_BUDGET,
    progress: Progress = silent,
) -> str:
    """Poll these feeds and fetch the pages that their new entries need.

    Gives the path of the landing file, complete; a batch that landed in an earlier try is not fetched again.
    """
    path = run.landing_file(number)
    if not pipe.landing.exists(beside(path)):
        while pipe.landing.exists(path):  # a try that was killed between landing and learning: keep its bytes
            number += 1000
            path = run.landing_file(number)
        pipe.landing.write_json(beside(path), _poll(pipe, path, batch, page_budget, progress))
    learned = pipe.landing.read_json(beside(path))
    _remember(pipe, learned)
    return path


def _poll(pipe: Pipe, path: str, batch: Sequence[Feed], page_budget: float, progress: Progress) -> dict[str, Any]:
    urls = [feed.url for feed in batch]
    with pipe.landing.captures(path) as writer, Fetcher(pipe.settings) as fetcher, parse.Parser() as parser:
        work = _Batch(writer, pipe.store.states(urls))
        _feeds(work, fetcher, parser, batch, progress)
        end = time.monotonic() + page_budget
        waiting = {page.url: page for page in pipe.store.wanted(urls)}
        for page in waiting.values():
            work.pages[addresses.key(page.url)] = page
        delays = {feed.url: feed.delay for feed in batch}
        left, gone = _pages(work, fetcher, delays, page_budget, progress)
        # Nobody waits for a host that asked for time; but where it is over by now, its feeds are tried once more.
        again = [feed for feed in batch if work.limited.get(feed.url, math.inf) <= time.monotonic()]
        if again:
            work.pages.clear()
            _feeds(work, fetcher, parser, again, progress)
            more = _pages(work, fetcher, delays, max(0.0, end - time.monotonic()), progress)
            left, gone = left + more[0], gone + more[1]
    return {
        "feeds": [work.lines[url] for url in urls],
        "states": [state.to_json() for state in work.states.values()],
        "wanted": [page.to_json() for page in left],
        "fetched": [url for url in gone if url in waiting],
    }


def _feeds(work: _Batch, fetcher: Fetcher, parser: parse.Parser, batch: Sequence[Feed], progress: Progress) -> None:
    for done, (feed, fetched) in enumerate(_answers(fetcher, batch, work.states), 1):
        _learn(work, parser, feed, fetched)
        progress(Step("feeds", done, len(batch), "feeds"))


def _answers(
    fetcher: Fetcher, batch: Sequence[Feed], states: Mapping[str, FeedState]
) -> Iterator[tuple[Feed, Fetched]]:
    def request(feed: Feed) -> Request:
        state = states.get(feed.url)
        return Request(
            url=state.address if state else feed.url,
            kind="feed",
            etag=state.etag if state else None,
            last_modified=state.last_modified if state else None,
            delay=feed.delay,
            tag=feed,
        )

    for fetched in fetcher.run(request(feed) for feed in batch):
        yield fetched.request.tag, fetched


def _learn(work: _Batch, parser: parse.Parser, feed: Feed, fetched: Fetched) -> None:
    """Land the responses of one poll, parse its document, and say what it taught."""
    for response in fetched.responses:
        work.writer.add(replace(response, feed=feed.url, site=feed.site, language=feed.language))
    now = datetime.now(UTC)
    if fetched.reason == "rate-limited" and fetched.retry_after is not None:
        work.limited[feed.url] = time.monotonic() + fetched.retry_after
    poll = feeds.Poll(
        status=fetched.status,
        reason=fetched.reason,
        retry_after=fetched.retry_after,
        moved_to=fetched.moved_to,
    )
    document: parse.ParsedFeed | None = None
    detail = fetched.detail
    if fetched.status == "ok":
        answer = fetched.responses[-1]
        try:
            document = parser.feed(answer, feed)
        except GiveUp as error:
            detail = str(error)
            reason = "not-a-feed" if isinstance(error, NotAFeed) else "unparsable"
            poll = replace(poll, status="failed", reason=reason)
        else:
            poll = _with_document(poll, answer, document)
    learned = feeds.after(feed, work.states.get(feed.url), poll, now)
    work.states[feed.url] = learned.state
    waited = work.lines[feed.url]["entries"] if feed.url in work.lines else 0  # its pages, where it is asked again
    work.lines[feed.url] = _line(feed, poll, detail, document, learned)
    work.lines[feed.url]["entries"] += waited
    if document:
        work.told.update((feed.url, key) for key in poll.entries)
        _want_pages(work, feed, document, {*learned.new, *learned.changed}, now)


def _with_document(poll: feeds.Poll, answer: Capture, document: parse.ParsedFeed) -> feeds.Poll:
    entries = [entry for entry in document.entries if isinstance(entry, Entry)]
    return replace(
        poll,
        etag=answer.header("etag"),
        last_modified=answer.header("last-modified"),
        cache_control=answer.header("cache-control"),
        body=hashlib.sha256(answer.body).hexdigest()[:32],
        ttl=document.ttl,
        entries={feeds.entry_key(entry): feeds.entry_digest(entry) for entry in entries},
    )


def _line(
    feed: Feed, poll: feeds.Poll, detail: str, document: parse.ParsedFeed | None, learned: feeds.Learned
) -> dict[str, Any]:
    """What the run's report says of the feed; the counts by outcome come from publishing."""
    reason = poll.reason or (learned.state.reason if learned.state.failures else "") or ""
    if reason in ("not-a-feed", "unparsable", "empty"):
        status = "failed"
    elif poll.status == "unchanged" or (document and not learned.new and not learned.changed):
        status = "unchanged"
    elif poll.status == "waiting":
        status = "waiting"
    else:
        status = "new" if document else "unreachable"
    return {
        "url": feed.url,
        "title": feed.title,
        "status": status,
        "reason": reason or None,
        "detail": detail or None,
        "entries": len(document.entries) if document else int(reason == "unparsable"),
        "gap": learned.gap,
        "truncated": bool(document and document.truncated),
    }


def _want_pages(work: _Batch, feed: Feed, document: parse.ParsedFeed, keys: Collection[str], now: datetime) -> None:
    if feed.full_text is FullText.NEVER:
        return
    for entry in document.entries:
        if isinstance(entry, Rejection) or not entry.url or entry.id_by != "address":
            continue
        rich = entry.text_from is TextFrom.FULL_FEED and feed.full_text is FullText.AUTO
        if rich or feeds.entry_key(entry) not in keys:
            continue
        key = addresses.key(entry.url)
        if key not in work.fresh:  # the first entry of this run that asks for it counts
            work.fresh.add(key)
            work.pages[key] = WantedPage(url=entry.url, feed=feed.url, entry=entry.to_json(), since=now)


def _pages(
    work: _Batch, fetcher: Fetcher, delays: Mapping[str, float | None], budget: float, progress: Progress
) -> tuple[list[WantedPage], list[str]]:
    """Fetch the pages, oldest wish first: those that must wait for another run, and the addresses that are done."""
    wishes = sorted(work.pages.items(), key=lambda item: item[1].since)
    left: list[WantedPage] = []
    done: list[str] = []
    requests = (Request(url=page.url, kind="page", delay=delays[page.feed], tag=(key, page)) for key, page in wishes)
    for count, fetched in enumerate(fetcher.run(requests, budget=budget), 1):
        key, page = fetched.request.tag
        # A page that waited tells its entry where the document of this run does; else it is an entry of its own.
        again = key in work.fresh or (page.feed, feeds.entry_key(Entry.from_json(page.entry))) in work.told
        note = {"entry": dict(page.entry), "waited": not again}
        for response in fetched.responses[:-1]:
            work.writer.add(replace(response, feed=page.feed))
        for response in fetched.responses[-1:]:
            entry = note if fetched.status == "ok" else None
            work.writer.add(replace(response, feed=page.feed, entry=entry))
        if fetched.status == "ok" and note["waited"]:
            work.lines[page.feed]["entries"] += 1  # told by an earlier document
        if fetched.status == "ok" or not _try_again(fetched, page):
            done.append(page.url)
        else:
            left.append(replace(page, tries=page.tries + (fetched.status == "failed")))
        progress(Step("pages", count, len(wishes), "pages"))
    return left, done


def _try_again(fetched: Fetched, page: WantedPage) -> bool:
    if datetime.now(UTC) - page.since > PAGE_PATIENCE:
        return False
    if fetched.status == "waiting":
        return True
    passing = fetched.reason in (
        "rate-limited",
        "server-error",
        "dns",
        "connect",
        "timeout",
        "truncated",
        "bad-response",
    )
    return passing and page.tries + 1 < PAGE_TRIES


def _remember(pipe: Pipe, learned: Mapping[str, Any]) -> None:
    """Move the feeds' state on to what is written beside the landing file, unless it is further already (a run of
    last week that is cleared today must not set it back; a state from the future is one of a clock that was wrong)."""
    learnt = [FeedState.from_json(record) for record in learned["states"]]
    now = pipe.store.states(state.url for state in learnt)
    known = {url: polled for url, state in now.items() if (polled := _polled(state)) <= datetime.now(UTC)}
    ahead = [state for state in learnt if state.url not in known or _polled(state) > known[state.url]]
    if ahead:
        pipe.store.save_wanted(map(WantedPage.from_json, learned["wanted"]), fetched=learned["fetched"])
        pipe.store.save_states(ahead)


def _polled(state: FeedState) -> datetime:
    return state.polled or datetime.min.replace(tzinfo=UTC)


def summary(lines: Sequence[Mapping[str, Any]]) -> Counter[str]:
    """How many feeds came to which status."""
    return Counter(line["status"] for line in lines)
