"""How feeds do: what each brought, day by day, and in plain words why one brings nothing and what to do about it."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from statistics import median
from types import MappingProxyType

from ingest import addresses
from ingest.models import NEW, Feed, FeedState, Outcome
from ingest.pipeline.pipe import Pipe
from ingest.store import Booking

DAYS = 14
MOST_FILES = 100
REFUSED = (Outcome.REJECTED, Outcome.QUARANTINED)
# A silence is told as one when so many stories were to be expected in it: by chance alone (Poisson) fewer than one
# silence in a hundred is that long.
EXPECTED = 5.0

# Why a feed brings nothing (reasons of `fetch` and `parse`): what happened, and what its reader can do.
ADVICE: Mapping[str, tuple[str, str]] = MappingProxyType(
    {
        "bad-response": ("What its server sends is damaged.", "Usually passes; if it stays, tell the site."),
        "bad-redirect": ("Its address leads in a circle or nowhere.", "Look for the feed's new address on its site."),
        "bad-url": ("Its address is none of the web.", "Remove it and add the right one."),
        "blocked": (
            "Its site refuses programs.",
            "Ask the site, look for another feed of it, or pause it. It is tried again once a day.",
        ),
        "budget": ("The run had no time left for it.", "Nothing; the next poll asks it first."),
        "connect": ("Its server cannot be reached.", "See whether the site opens in a browser; it is tried again."),
        "cut-off": ("The run that read it was killed.", "Nothing; what it had fetched is kept."),
        "dns": ("The name of its server is unknown.", "Check the address; the site may have moved or closed."),
        "empty": ("It answers with a feed that has no entries.", "Look whether the site has another feed."),
        "failed": ("It could not be read.", "Try “Check now”, which says more."),
        "gone": ("Its server says that it is gone for good.", "Find the new address, or remove it."),
        "not-a-feed": ("What answers is no feed, but a page or something else.", "Find the new address of the feed."),
        "not-found": ("There is nothing at its address.", "Find the new address of the feed."),
        "private-address": (
            "Its name leads to an address that is not public.",
            "If it is a server of your own, allow it with SITREP_ALLOW_ADDRESSES.",
        ),
        "rate-limited": ("Its server asks for a pause.", "Nothing; Sitrep waits as long as it was asked to."),
        "robots": ("Its robots.txt forbids programs to read it.", "Ask the site for leave, or remove it."),
        "server-error": ("Its server is broken at the moment.", "Usually passes; if it stays for days, tell the site."),
        "timeout": ("Its server is too slow.", "Usually passes; if it stays, tell its site, or pause it."),
        "tls": ("Its certificate cannot be trusted.", "Look at the site in a browser; it has to renew it."),
        "too-large": ("Its document is larger than any honest feed.", "Look for a shorter feed of the site."),
        "too-many-redirects": ("Its address leads on and on.", "Look for the feed's new address on its site."),
        "truncated": ("Its answer breaks off.", "Usually passes; if it stays, tell the site."),
        "unexpected-status": ("Its server answers with an error.", "“Check now” says which; check the address."),
        "unparsable": ("Its document cannot be read in bounded time.", "Tell the site; the document is quarantined."),
    }
)
UNKNOWN = ("It could not be read.", "“Check now” says how it answers at the moment.")


@dataclass(frozen=True, slots=True)
class Health:
    """What a feed brought in the days that are looked at.

    `days`: new stories by day (UTC, as its landing stands), oldest first. `usual`: their median before today.
    `outcomes` count its entries of all of these days; `silent`: since how many days no new story came, where that is
    longer than chance explains, else 0.
    """

    days: Mapping[date, int]
    outcomes: Mapping[str, int] = field(default_factory=dict)
    usual: float = 0.0
    silent: int = 0

    @property
    def new(self) -> int:
        return sum(self.days.values())

    def share(self, *outcomes: str) -> float | None:
        """How many of its entries, leaving aside those that were known, had one of these outcomes."""
        told = sum(n for outcome, n in self.outcomes.items() if outcome != Outcome.UNCHANGED)
        return sum(self.outcomes.get(outcome, 0) for outcome in outcomes) / told if told else None


def healths(pipe: Pipe, today: date, days: int = DAYS) -> dict[str, Health]:
    """By feed, its address as it may be shown; those that brought no entry in these days are left out."""
    span = [today - timedelta(days=back) for back in range(days - 1, -1, -1)]
    files = {day: pipe.landing.parts(f"stories/captures/{day}/") for day in span}
    bookings = pipe.store.bookings(path for paths in files.values() for path in paths)
    return judge({day: [bookings[path] for path in paths if path in bookings] for day, paths in files.items()})


@dataclass(frozen=True, slots=True)
class Refused:
    """Why so many of a feed's entries became no stories, and what was said of the latest of them."""

    reason: str
    entries: int
    latest: str


def refused(pipe: Pipe, feed: str, today: date, days: int = DAYS) -> list[Refused]:
    """The reasons for which entries of a feed (its address as it may be shown) were rejected or quarantined in these
    days, the most frequent first; of as many files of stories as name some, 100 at most, each of which names 200."""
    told: dict[str, list[str]] = {}
    for path in _refusing(pipe, feed, today, days)[:MOST_FILES]:
        for said in pipe.landing.part(path).header.get("named", ()):
            if addresses.shown(said["feed"]) == feed:
                told.setdefault(said["reason"], []).append(said["detail"] or said["where"])
    found = [Refused(reason, len(details), details[0]) for reason, details in told.items()]
    return sorted(found, key=lambda each: (-each.entries, each.reason))


def _refusing(pipe: Pipe, feed: str, today: date, days: int) -> list[str]:
    """The files of stories in which entries of the feed were refused, the latest first."""
    span = (today - timedelta(days=back) for back in range(days))
    files = [path for day in span for path in sorted(pipe.landing.parts(f"stories/captures/{day}/"), reverse=True)]
    booked = pipe.store.bookings(files)
    counts = {path: booking.counts.get(feed, {}) for path, booking in booked.items()}
    return [path for path in files if any(counts.get(path, {}).get(outcome) for outcome in REFUSED)]


def judge(booked: Mapping[date, Sequence[Booking]]) -> dict[str, Health]:
    """What these bookings, by day in the order of time, say of each feed. Pure."""
    brought: dict[str, dict[date, int]] = defaultdict(lambda: dict.fromkeys(booked, 0))
    outcomes: dict[str, Counter[str]] = defaultdict(Counter)
    for day, bookings in booked.items():
        for booking in bookings:
            for url, counts in booking.counts.items():
                brought[url][day] += sum(counts.get(outcome, 0) for outcome in NEW)
                outcomes[url].update(counts)
    return {url: _health(days, outcomes[url]) for url, days in brought.items() if url}


def _health(days: Mapping[date, int], outcomes: Mapping[str, int]) -> Health:
    numbers = list(days.values())
    first = next((k for k, n in enumerate(numbers) if n), len(numbers))  # before it, nobody may have read the feed
    known = numbers[first:-1]
    usual = float(median(known)) if known else 0.0
    silence = next((k for k, n in enumerate(reversed(numbers)) if n), len(numbers))
    rate = math.fsum(numbers) / max(1, len(numbers) - first - silence)
    return Health(days, outcomes, usual, silence if silence > 1 and rate * (silence - 1) >= EXPECTED else 0)


def why(feed: Feed, state: FeedState | None) -> tuple[str, str] | None:
    """What is wrong with a feed and what to do, in plain words; None where nothing is."""
    if feed.paused or state is None or state.status == "active":
        return None
    return ADVICE.get(state.reason or "", UNKNOWN)


def troubled_first(feeds: Iterable[Feed], states: Mapping[str, FeedState]) -> list[Feed]:
    """Those that somebody should look at first, then by title."""

    def rank(feed: Feed) -> tuple[int, str, str]:
        state = states.get(feed.url)
        bad = why(feed, state) is not None
        return (2 if feed.paused else 0 if bad else 1, (feed.title or feed.url).casefold(), feed.url)

    return sorted(feeds, key=rank)
