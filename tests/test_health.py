"""How feeds are judged: usual numbers, silences, and words for every reason."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest

from ingest.fetch import REASONS
from ingest.models import Feed, FeedState
from ingest.pipeline import health
from ingest.store import Booking

FEED = "https://news.example/feed"


def booked(*numbers: int, **others: int) -> dict[date, list[Booking]]:
    """A file of stories a day, with so many new stories of the feed, and `others` of it on the last day."""
    days = [date(2026, 11, 1) + timedelta(days=k) for k in range(len(numbers))]
    bookings = {day: [_booking({"indexed": n})] for day, n in zip(days, numbers, strict=True)}
    bookings[days[-1]].append(_booking(others))
    return bookings


def _booking(counts: dict[str, int]) -> Booking:
    return Booking("f", "v", "run", 0, True, {FEED: counts, "": {"indexed": 99}})


def test_what_is_usual_leaves_out_today_and_the_days_before_it_was_read() -> None:
    found = health.judge(booked(0, 0, 4, 6, 5, 0, 1))[FEED]
    assert found.usual == 4.5
    assert found.new == 16
    assert list(found.days.values()) == [0, 0, 4, 6, 5, 0, 1]


def test_stories_of_an_archive_are_no_feeds() -> None:
    assert set(health.judge(booked(1))) == {FEED}


@pytest.mark.parametrize(
    ("numbers", "silent"),
    [
        ((9, 8, 9, 8, 0, 0), 2),  # eight were to be expected on the day that is over
        ((9, 8, 9, 8, 9, 0), 0),  # today is not over
        ((1, 0, 1, 0, 0, 0), 0),  # a feed of few stories is silent now and then
        ((3, 2, 3, 0, 0, 0), 3),
        ((0, 0, 0, 0, 0, 0), 0),  # it never said anything: its state tells why
    ],
)
def test_a_silence_is_told_where_chance_does_not_explain_it(numbers: tuple[int, ...], silent: int) -> None:
    assert health.judge(booked(*numbers))[FEED].silent == silent


def test_shares_leave_aside_what_was_known() -> None:
    found = health.judge(booked(6, unchanged=90, duplicate=2, rejected=2))[FEED]
    assert found.share("indexed") == pytest.approx(0.6)
    assert found.share("rejected", "quarantined") == pytest.approx(0.2)
    assert health.judge(booked(0, unchanged=5))[FEED].share("indexed") is None


def test_every_reason_has_words_and_advice() -> None:
    of_parsing = {"not-a-feed", "unparsable", "empty", "cut-off", "failed"}
    assert set(health.ADVICE) == set(REASONS) - {""} | of_parsing
    assert all(what.endswith(".") and advice.endswith(".") for what, advice in health.ADVICE.values())


def test_trouble_is_told_where_there_is_some() -> None:
    feed = Feed(FEED)
    state = FeedState(FEED, FEED, polled=datetime(2026, 11, 1, tzinfo=UTC), status="backoff", reason="dns", failures=2)
    assert health.why(feed, state) == health.ADVICE["dns"]
    assert health.why(feed, None) is None
    assert health.why(Feed(FEED, paused=True), state) is None
    other = Feed("https://a.example/", title="A")
    assert [told.url for told in health.troubled_first([other, feed], {FEED: state})] == [FEED, other.url]
