"""Which feeds are due, and what a poll teaches about a feed: its rate, its back-off, where it went, what is new."""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from ingest import addresses
from ingest.feeds.opml import same
from ingest.models import Entry, Feed, FeedState

SHORTEST, LONGEST = 600.0, 86_400.0  # seconds between two polls of a feed
SECOND_LOOK = 1800.0  # after the first poll nothing is known of the rate, and a busy window lasts two hours
SHARE = 0.4  # of a window may be new: enough is left to see that nothing was missed, even if the rate doubles
# How fast the interval grows while nothing comes: by a twentieth an hour, so that a busy feed's 48 minutes are 79 after
# a quiet night of ten hours and the morning is not missed; by a quarter a poll at most, so that a feed that fell silent
# is asked once a day after five days.
GROWTH_AN_HOUR, GROWTH_A_POLL = 0.05, 0.25
AFTER_GAP = 0.25  # the rate is unknown then, only that it was too high

BACKOFF_FIRST = 600.0
BACKOFF_GONE = 3600.0  # a site that is put up anew answers 410 for minutes, not for an hour
BACKOFF_WAY = 10_800.0  # the limit where the fault may be our own network's: a night offline must not cost the morning
ON_THE_WAY = frozenset({"dns", "connect", "timeout"})
RETRY_AFTER = 60.0, 86_400.0  # seconds between which a server's wish is honoured

GONE_CONFIRMED = 2  # 410s in a row
MOVE_CONFIRMED = 3, timedelta(hours=24)  # permanent redirects to the same place, and the time between first and last
WHOLE_AGAIN = timedelta(days=7)  # a server whose ETag never changes is asked without it so often
REMEMBERED = 2000  # entries of a feed that are known at least; three windows if those are more


def due(feeds: Iterable[Feed], states: Mapping[str, FeedState], now: datetime, *, everything: bool) -> list[Feed]:
    """The feeds to poll now, each once, in their order.

    A poll takes those that are due by their own rate; the daily run (`everything`) all that are not in back-off.
    Neither takes what is paused or retired.
    """
    chosen: dict[str, Feed] = {}
    for feed in feeds:
        state = states.get(feed.url)
        if not feed.paused and (state is None or _is_due(state, now, everything)):
            chosen.setdefault(same(feed.url), feed)
    return list(chosen.values())


def _is_due(state: FeedState, now: datetime, everything: bool) -> bool:
    if state.status == "retired":
        return False
    if everything and state.status != "backoff":
        return True
    if state.due is None or (state.polled is not None and state.polled > now):  # polled by a clock that went wrong
        return True
    return state.due <= now


# --- what a poll teaches ---------------------------------------------------------------------------------------------
@dataclass(frozen=True, slots=True)
class Poll:
    """What one poll brought, as facts. `status` and `reason` are the fetcher's, or failed with `not-a-feed` or
    `unparsable`; `entries` maps the keys of the document's entries to their digests, in the order of the document."""

    status: str  # ok, unchanged, failed, waiting
    reason: str = ""
    retry_after: float | None = None  # seconds that the server wants to be left alone
    moved_to: str | None = None  # where permanent redirects, and only those, led
    etag: str | None = None
    last_modified: str | None = None
    cache_control: str | None = None
    ttl: float | None = None  # seconds that the document asks for
    body: str | None = None  # digest of the answer's bytes
    entries: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Learned:
    """What a poll taught: the feed's state from now on, and the keys of entries that are new or that the outlet
    changed. `gap`: the window rolled over since the last look, so stories may have been missed. `redated`: so many
    known entries came with another date and the same text that dates say nothing for this feed."""

    state: FeedState
    new: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()
    gap: bool = False
    redated: bool = False


def after(feed: Feed, state: FeedState | None, poll: Poll, now: datetime) -> Learned:
    """What this poll teaches about the feed. Pure: the same facts at the same time teach the same."""
    state = state or FeedState(url=feed.url, address=feed.url)
    if poll.status == "waiting":  # its turn did not come
        return Learned(state)
    if poll.status == "ok" and not poll.entries and state.known:  # a parked domain's feed is valid and empty
        poll = replace(poll, status="failed", reason="empty")
    if poll.status == "failed":
        return Learned(_failed(state, poll, now))
    if poll.status == "unchanged":
        return Learned(_reached(state, poll, now, _slower(state, now)))
    return _looked(state, poll, now)


def _looked(state: FeedState, poll: Poll, now: datetime) -> Learned:
    """After a document: compare it with what is known, learn the rate."""
    new = tuple(key for key in poll.entries if key not in state.known)
    first = not state.known
    gap = not first and bool(poll.entries) and len(new) == len(poll.entries)
    changed, redated = _changed(state.known, poll.entries)
    interval = SECOND_LOOK if first else _interval(state, len(new), len(poll.entries), gap, now)
    lies = bool(poll.etag) and poll.etag == state.etag and poll.body != state.body
    state = replace(
        _reached(state, poll, now, interval),
        # A server that gives another body under the same ETag would say 304 to news: it is asked without one.
        etag=None if lies else poll.etag,
        last_modified=None if lies else poll.last_modified,
        body=poll.body,
        whole=now,
        known=_remembered(state.known, poll.entries),
    )
    return Learned(state, new, changed, gap, redated)


def _reached(state: FeedState, poll: Poll, now: datetime, interval: float) -> FeedState:
    """After any good answer."""
    asked = max(poll.ttl or 0.0, max_age(poll.cache_control) or 0.0)
    interval = min(max(interval, asked, SHORTEST), LONGEST)
    state = replace(
        state,
        polled=now,
        due=now + timedelta(seconds=interval),
        interval=interval,
        status="active",
        reason=None,
        failures=0,
        gone=0,
    )
    if state.whole is None or now - state.whole >= WHOLE_AGAIN:  # next time it must show all of itself
        state = replace(state, etag=None, last_modified=None)
    return _moved(state, poll.moved_to, now)


def _slower(state: FeedState, now: datetime) -> float:
    """The interval after a poll without news: a little longer, unless the poll came early and says nothing."""
    early = state.polled is None or (now - state.polled).total_seconds() < 0.8 * state.interval
    growth = min(GROWTH_AN_HOUR * state.interval / 3600, GROWTH_A_POLL)
    return state.interval if early else state.interval * (1 + growth)


def _interval(state: FeedState, new: int, window: int, gap: bool, now: datetime) -> float:
    """Seconds until `SHARE` of the window will be new, by what came since the last poll; fast down, slowly up."""
    if gap:
        return state.interval * AFTER_GAP
    if not new or state.polled is None:
        return _slower(state, now)
    elapsed = max((now - state.polled).total_seconds(), 1.0)
    ideal = elapsed * SHARE * window / new
    if elapsed < state.interval / 2 and new < SHARE * window:  # too soon to tell a rate from one or two entries
        return state.interval
    if state.failures:  # `elapsed` counts from a poll that failed: the rate is lower than it seems
        ideal = max(ideal, state.interval)
    return min(ideal, _slower(state, now)) if ideal > state.interval else ideal


def _moved(state: FeedState, target: str | None, now: datetime) -> FeedState:
    """Follow a permanent redirect for good once it was given often enough, over long enough."""
    if not target or target == state.address:
        return replace(state, moving_to=None, moved=0, moving_since=None)
    if target != state.moving_to or state.moving_since is None:
        return replace(state, moving_to=target, moved=1, moving_since=now)
    times, span = MOVE_CONFIRMED
    state = replace(state, moved=state.moved + 1)
    if state.moved < times or now - (state.moving_since or now) <= span:
        return state
    return replace(state, address=target, moving_to=None, moved=0, moving_since=None)


def _failed(state: FeedState, poll: Poll, now: datetime) -> FeedState:
    failures = state.failures + 1
    gone = state.gone + 1 if poll.reason == "gone" else 0
    retired = gone >= GONE_CONFIRMED
    no_feed = poll.reason in ("not-a-feed", "unparsable", "empty")
    return replace(
        state,
        polled=now,
        due=None if retired else now + timedelta(seconds=_backoff(state.url, failures, poll)),
        status="retired" if retired else "backoff",
        reason=poll.reason or "failed",
        failures=failures,
        gone=gone,
        # The validators of a page that is no feed would make the next answer a 304, and a success.
        etag=None if no_feed else state.etag,
        last_modified=None if no_feed else state.last_modified,
    )


def _backoff(url: str, failures: int, poll: Poll) -> float:
    """Seconds until the next try: what the server asks for, a day where it shut us out, else doubling from ten
    minutes, a little longer for one feed than for another, so that those that failed together come apart."""
    if poll.retry_after is not None and not math.isnan(poll.retry_after):
        return min(max(poll.retry_after, RETRY_AFTER[0]), RETRY_AFTER[1])
    if poll.reason == "blocked":
        return LONGEST
    if poll.reason == "gone":
        return BACKOFF_GONE
    limit = BACKOFF_WAY if poll.reason in ON_THE_WAY else LONGEST
    seed = hashlib.sha256(f"{failures} {url}".encode(errors="replace")).digest()
    jitter = 1 + 0.25 * int.from_bytes(seed[:4]) / 2**32
    return min(BACKOFF_FIRST * math.ldexp(jitter, min(failures - 1, 10)), limit)


def _changed(known: Mapping[str, str], entries: Mapping[str, str]) -> tuple[tuple[str, ...], bool]:
    """Known entries whose text changed, or whose date alone did, unless the feed re-dates most of what it shows."""
    both = [key for key in entries if key in known]
    text = {key for key in both if entries[key].partition(":")[0] != known[key].partition(":")[0]}
    dated = {key for key in both if entries[key] != known[key]} - text
    redated = len(dated) >= 3 and len(dated) > len(both) / 2
    told = text if redated else text | dated
    return tuple(key for key in both if key in told), redated


def _remembered(known: Mapping[str, str], entries: Mapping[str, str]) -> dict[str, str]:
    """What is known from now on, the latest last: what the feed shows, and the most recent of what it showed."""
    all_of_it = {key: digest for key, digest in known.items() if key not in entries}
    all_of_it.update(reversed(list(entries.items())))  # a feed shows the newest first
    drop = len(all_of_it) - max(REMEMBERED, 3 * len(entries))
    return dict(list(all_of_it.items())[max(drop, 0) :])


def max_age(cache_control: str | None) -> float | None:
    """The seconds for which a Cache-Control header says that an answer stays fresh; None where it says nothing."""
    header = (cache_control or "").lower()
    found = re.search(r"(?:^|[,\s])max-age\s*=\s*\"?(\d{1,10})", header)
    return float(found[1]) if found and "no-cache" not in header and "no-store" not in header else None


def entry_key(entry: Entry) -> str:
    """What makes an entry the same one when it comes again: its address, else its guid, else its content."""
    if entry.url and entry.id_by == "address":
        name = f"address {addresses.key(entry.url)}"
    elif entry.guid and entry.id_by != "content":
        name = f"guid {entry.guid}"
    else:
        name = f"content {entry_digest(entry).partition(':')[0]}"
    return _digest(name)


def entry_digest(entry: Entry) -> str:
    """What a feed says of an entry, as "text:date": another text is a change, another date alone may be none. Markup
    does not count: image addresses and counting pixels differ with every answer."""
    told = entry.text if entry.text is not None else re.sub(r"<[^<>]*>", " ", entry.html or "")
    text = "\x1f".join(" ".join(part.split()) for part in (entry.title or "", told, *entry.authors))
    return f"{_digest(text)}:{_digest(entry.published or '', 8)}"


def _digest(text: str, length: int = 16) -> str:
    return hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()[:length]
