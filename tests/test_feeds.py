"""Feeds: OPML in and out, which are due, what polls teach, where pages name their feeds."""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingest import addresses, words
from ingest.errors import UsageError
from ingest.feeds import (
    Learned,
    Poll,
    after,
    candidates,
    due,
    entry_digest,
    entry_key,
    max_age,
    read_opml,
    same,
    write_opml,
)
from ingest.feeds.opml import SIZE_LIMIT
from ingest.models import Entry, Feed, FeedState, FullText, TextFrom

NOON = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
FEED = Feed("https://news.example/feed")
SEEDS = Path(__file__).parent.parent / "seeds" / "feeds.opml"


def opml(body: str, head: str = "", version: str = "2.0") -> bytes:
    return f'<opml version="{version}"><head>{head}</head><body>{body}</body></opml>'.encode()


def minutes(count: float) -> timedelta:
    return timedelta(minutes=count)


# --- OPML in ---------------------------------------------------------------------------------------------------------
def test_nested_outlines_become_groups_and_every_option_is_read() -> None:
    found = read_opml(
        b"""<?xml version="1.0" encoding="UTF-8"?>
        <opml version="2.0" xmlns:s="https://github.com/sitrep-news/sitrep/opml"><head><title>Mine</title></head><body>
          <outline text="World"><outline text="Asia">
            <outline type="rss" text="Harbour Post" xmlUrl="https://harbour.example/rss?a=1&amp;b=2"
              htmlUrl="https://harbour.example/" language="en-us" s:fullText="never" s:delay="2.5" s:paused="true"/>
          </outline></outline>
          <outline text="Alone" xmlUrl="https://alone.example/atom.xml" fullText="ALWAYS" delay="3" language="uk"/>
        </body></opml>"""
    )
    assert found.problems == ()
    assert list(found) == [
        Feed(
            "https://harbour.example/rss?a=1&b=2",
            title="Harbour Post",
            site="https://harbour.example/",
            full_text=FullText.NEVER,
            language="en",
            delay=2.5,
            group="World / Asia",
            paused=True,
        ),
        Feed("https://alone.example/atom.xml", title="Alone", full_text=FullText.ALWAYS, language="uk", delay=3.0),
    ]


@pytest.mark.parametrize(
    ("outline", "url", "title"),
    [
        ('<outline XMLURL="https://a.example/f" TITLE="A"/>', "https://a.example/f", "A"),
        ('<outline xmlurl="https://a.example/f" text="" title="A"/>', "https://a.example/f", "A"),
        ('<outline xmlUrl=" https://a.example/f&#10;" text="A &amp; B&#10;C"/>', "https://a.example/f", "A & B C"),
        ('<outline type="rss" url="https://a.example/f" text="A"/>', "https://a.example/f", "A"),
        ('<outline xmlUrl="feed://a.example/f" text="A"/>', "http://a.example/f", "A"),
        ('<outline xmlUrl="feed:https://a.example/f" text="A"/>', "https://a.example/f", "A"),
        ('<outline xmlUrl="https://a.example/f?x=1&y=2&copy=3" text="A"/>', "https://a.example/f?x=1&y=2&copy=3", "A"),
        ('<outline xmlUrl="https://a.example/f" text="Caf&eacute;&nbsp;News"/>', "https://a.example/f", "Café News"),
        ('<outline xmlUrl="https://a.example/f" text="A" broken', "https://a.example/f", "A"),
        ('<outline xmlUrl="https://a.example/f" text="A\x0b&#x1b;[31m"/>', "https://a.example/f", "A[31m"),
        ("<outline xmlUrl='https://a.example/f' text='https://a.example/f'/>", "https://a.example/f", None),
        ('<OUTLINE xmlUrl="HTTPS://A.example/F" text="A"/>', "HTTPS://A.example/F", "A"),
    ],
)
def test_carelessly_written_outlines_still_name_their_feed(outline: str, url: str, title: str | None) -> None:
    assert [(feed.url, feed.title) for feed in read_opml(opml(outline))] == [(url, title)]


@pytest.mark.parametrize(
    "data",
    [
        opml('<outline xmlUrl="https://a.example/f"/>', version="1.0"),
        b'<opml><body><outline xmlUrl="https://a.example/f"/></body></opml>',
        b'<opml><outline xmlUrl="https://a.example/f"/></opml>',
        b'<outline xmlUrl="https://a.example/f"/>',
        b'\xef\xbb\xbf\n <?xml version="1.0"?><opml><body><outline xmlUrl="https://a.example/f"/></body></opml>',
        b'<!DOCTYPE opml SYSTEM "http://127.0.0.1:9/opml.dtd"><opml><body><outline xmlUrl="https://a.example/f"/>'
        b"</body></opml>",
        '<?xml version="1.0" encoding="utf-16"?><opml><body><outline xmlUrl="https://a.example/f"/></body></opml>'.encode(
            "utf-16"
        ),
        b'<?xml version="1.0" encoding="utf-16"?><opml><body><outline xmlUrl="https://a.example/f"/></body></opml>',
        b'<?xml version="1.0" encoding="klingon"?><opml><body><outline xmlUrl="https://a.example/f"/></body></opml>',
        b'<?xml version="1.0" encoding="rot13"?><opml><body><outline xmlUrl="https://a.example/f"/></body></opml>',
        b'<o:opml xmlns:o="urn:x"><o:body><o:outline xmlUrl="https://a.example/f"/></o:body></o:opml>',
    ],
)
def test_all_kinds_of_documents_are_read(data: bytes) -> None:
    assert [feed.url for feed in read_opml(data)] == ["https://a.example/f"]


@pytest.mark.parametrize("encoding", ["utf-8", "windows-1251", "koi8-r", "utf-16-le", "utf-16-be", "iso-8859-5"])
def test_titles_survive_odd_encodings(encoding: str) -> None:
    text = (
        f'<?xml version="1.0" encoding="{encoding}"?><opml><body><outline xmlUrl="https://a.example/f" text="Новости"/>'
    )
    assert read_opml((text + "</body></opml>").encode(encoding)).feeds[0].title == "Новости"


def test_bytes_that_are_not_what_they_are_declared_to_be_are_read_as_windows_1252() -> None:
    text = '<?xml version="1.0" encoding="UTF-8"?><opml><body><outline xmlUrl="https://a.example/f" text="Café"/>'
    assert read_opml((text + "</body></opml>").encode("cp1252")).feeds[0].title == "Café"


def test_a_feed_named_twice_counts_once_and_the_first_naming_holds() -> None:
    found = read_opml(
        opml(
            '<outline text="G"><outline text="First" xmlUrl="https://a.example/f"/></outline>'
            '<outline text="Second" xmlUrl="http://A.example:80/f#top"/><outline text="Other" xmlUrl="https://a.example/F"/>'
        )
    )
    assert [(feed.title, feed.group) for feed in found] == [("First", "G"), ("Other", None)]


def test_what_is_no_feed_is_reported_and_the_rest_goes_on() -> None:
    found = read_opml(
        opml(
            '<outline text="Empty"/><outline text="Local" xmlUrl="file:///etc/passwd"/>'
            '<outline text="Script" xmlUrl="javascript:alert(1)"/><outline xmlUrl="https://"/>'
            '<outline text="Web" type="link" url="https://a.example/"/>'
            '<outline text="More" type="include" url="https://a.example/more.opml"/>'
            '<outline text="Secret" xmlUrl="https://me:hunter2@a.example/f"/>'
            '<outline text="Odd" fullText="sometimes" delay="-1" language="Klingon" xmlUrl="https://odd.example/f"/>'
            '<outline text="Good" xmlUrl="https://a.example/f?mail=me@b.example"/>'
        )
    )
    assert [feed.title for feed in found] == ["Odd", "Good"]
    assert found.feeds[0] == Feed("https://odd.example/f", title="Odd")
    assert len(found.problems) == 9
    assert [problem.split("'")[1] for problem in found.problems if problem.startswith("'")] == [
        "Empty", "Local", "Script", "Web", "More", "Secret", "Odd", "Odd",
    ]  # fmt: skip
    assert "hunter2" not in " ".join(found.problems)
    (secret,) = [problem for problem in found.problems if "Secret" in problem]
    assert secret.startswith(
        "'Secret' has a user or a password in its address, 'https://a.example/f'. Those are never sent"
    )


def test_tokens_in_addresses_stand_in_no_problem_and_no_title() -> None:
    token = "https://a.example/f?token=s3cr3t&amp;n=1"
    found = read_opml(
        opml(
            f'<outline text="{token}" xmlUrl="{token}"/><outline text="{token}2" xmlUrl="{token}3" delay="-1"/>'
            '<outline text="X" xmlUrl="ftp://a.example/f?token=s3cr3t"/>'
        )
    )
    assert [feed.url for feed in found] == [
        "https://a.example/f?token=s3cr3t&n=1",
        "https://a.example/f?token=s3cr3t&n=13",
    ]
    assert "s3cr3t" not in repr([found.problems, [feed.title for feed in found]])
    assert len(found.problems) == 2


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"   ",
        b"\x00\x01\x02",
        b"not xml at all",
        b"<rss><channel/></rss>",
        b"<html><body>404</body></html>",
        b"{}",
    ],
)
def test_what_is_no_opml_is_named_in_one_sentence(data: bytes) -> None:
    with pytest.raises(UsageError, match="This is no OPML file") as caught:
        read_opml(data)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
@pytest.mark.parametrize(
    "subset",
    [
        '<!ENTITY x SYSTEM "file:///etc/hostname">',
        '<!ENTITY % d SYSTEM "http://127.0.0.1:9/evil.dtd"> %d;',
        '<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;"><!ENTITY x "&b;&b;&b;&b;&b;">',
        '<!entity x "y">',
    ],
)
def test_entities_of_its_own_are_refused(subset: str, encoding: str) -> None:
    text = f'<?xml version="1.0" encoding="{encoding}"?><!DOCTYPE opml [{subset}]>'
    text += '<opml><body><outline text="&x;" xmlUrl="https://a.example/f"/></body></opml>'
    with pytest.raises(UsageError, match="entities of its own"):
        read_opml(text.encode(encoding))


def test_an_entity_that_nobody_declared_stays_text() -> None:
    assert read_opml(opml('<outline text="A &xxe; B" xmlUrl="https://a.example/f"/>')).feeds[0].title == "A &xxe; B"


def test_a_file_of_any_size_and_shape_is_over_soon() -> None:
    started = time.perf_counter()
    with pytest.raises(UsageError, match="are not read"):
        read_opml(b" " * (SIZE_LIMIT + 1))
    for part in ('<outline text="x">', "<!DOCTYPE ", "<?xml ", "&", "<!DOCTYPE x [", "& &", "<outline xmlUrl='"):
        try:
            read_opml(opml(part * (1_000_000 // len(part))))
        except UsageError:
            pass  # refused is fine; slow is not
    assert len(read_opml(opml('<outline xmlUrl="https://a.example/f"/>' * 20_000))) == 1
    assert time.perf_counter() - started < 10  # 1.6 s measured; a quadratic search took minutes


# --- OPML out and in again -------------------------------------------------------------------------------------------
TITLES = st.text(max_size=40).map(lambda text: words.one_line(words.one_line(text, 300), 300) or None)
URLS = st.builds(
    "{}://{}.example/{}".format,
    st.sampled_from(["http", "https"]),
    st.from_regex(r"[a-z]([a-z0-9-]{0,8}[a-z0-9])?", fullmatch=True),
    st.from_regex(r"[A-Za-z0-9/._~=&?%'<>;:,+-]{0,30}", fullmatch=True),
).filter(lambda url: addresses.absolute(url) is not None)
FEEDS = st.lists(
    st.builds(
        Feed,
        url=URLS,
        title=TITLES,
        site=st.none() | URLS,
        full_text=st.sampled_from(FullText),
        language=st.none() | st.sampled_from(["en", "uk", "ckb"]),
        delay=st.none() | st.floats(0, 3600),
        group=TITLES,
        paused=st.booleans(),
    ).filter(lambda feed: feed.title != feed.url),
    unique_by=lambda feed: same(feed.url),
    max_size=8,
)


@settings(deadline=None)  # other processes may be busy
@given(FEEDS)
def test_what_is_written_is_read_again(feeds: list[Feed]) -> None:
    found = read_opml(write_opml(feeds))
    assert found.problems == ()
    assert sorted(found, key=lambda feed: feed.url) == sorted(feeds, key=lambda feed: feed.url)
    assert read_opml(write_opml(found.feeds)) == found


def test_feeds_with_anything_in_their_names_can_be_written() -> None:
    feed = Feed("https://a.example/f", title="A\x00\ud800\n\x1b[31m", group="\x07", site=None)
    assert read_opml(write_opml([feed])).feeds[0].url == feed.url


def test_seeds_are_many_live_outlets_in_several_languages_and_formats() -> None:
    found = read_opml(SEEDS.read_bytes())
    assert found.problems == ()
    assert len(found) >= 28
    assert {"en", "de", "fr", "es", "uk", "ru"} <= {feed.language for feed in found}
    assert all(feed.title and feed.group and feed.site for feed in found)
    assert {"World", "Defence", "Humanitarian"} <= {feed.group for feed in found}
    readme = SEEDS.with_name("README.md").read_text(encoding="utf-8")
    assert [feed.url for feed in found if f"`{feed.url}`" not in readme] == []  # every address with those who name it


# --- which are due ---------------------------------------------------------------------------------------------------
def state(**changes: object) -> FeedState:
    return replace(FeedState(FEED.url, FEED.url, polled=NOON - minutes(60), due=NOON + minutes(1)), **changes)


@pytest.mark.parametrize(
    ("known", "poll", "daily"),
    [
        (None, True, True),
        (state(), False, True),
        (state(due=NOON), True, True),
        (state(due=None), True, True),
        (state(status="backoff"), False, False),
        (state(status="backoff", due=NOON), True, True),
        (state(status="retired", due=None), False, False),
        (state(polled=NOON + timedelta(days=400), due=NOON + timedelta(days=401)), True, True),
    ],
)
def test_due(known: FeedState | None, poll: bool, daily: bool) -> None:
    states = {FEED.url: known} if known else {}
    assert bool(due([FEED], states, NOON, everything=False)) is poll
    assert bool(due([FEED], states, NOON, everything=True)) is daily
    assert due([replace(FEED, paused=True)], states, NOON, everything=True) == []


def test_a_feed_is_due_once_whoever_names_it() -> None:
    twice = [FEED, Feed("http://NEWS.example:80/feed", title="again"), Feed("https://other.example/feed")]
    assert due(twice, {}, NOON, everything=True) == [twice[0], twice[2]]


# --- what polls teach ------------------------------------------------------------------------------------------------
def shows(keys: Iterable[object], **facts: object) -> Poll:
    return replace(Poll("ok", entries={str(key): "text:date" for key in keys}), **facts)


def polled(*polls: Poll, start: FeedState | None = None, every: timedelta = timedelta(hours=1)) -> list[Learned]:
    """These polls one after the other, an hour apart."""
    learned: list[Learned] = []
    for number, poll in enumerate(polls):
        last = learned[-1].state if learned else start
        learned.append(after(FEED, last, poll, NOON + number * every))
    return learned


def wait(learned: Learned) -> float:
    assert learned.state.due
    assert learned.state.polled
    return (learned.state.due - learned.state.polled).total_seconds()


def test_the_first_poll_shows_everything_new_and_is_no_gap() -> None:
    (first,) = polled(shows(range(30), etag='"1"', last_modified="Tue", body="b"))
    assert first.new == tuple(map(str, range(30)))
    assert not first.gap
    assert (first.state.etag, first.state.last_modified, first.state.status) == ('"1"', "Tue", "active")
    assert wait(first) == 1800


def test_new_and_changed_entries_are_told_apart() -> None:
    second = polled(
        Poll("ok", entries={"a": "1:x", "b": "1:x", "c": "1:x", "d": "1:x"}),
        Poll("ok", entries={"e": "1:x", "a": "2:x", "b": "1:y", "c": "1:x"}),
    )[-1]
    assert (second.new, second.changed, second.redated) == (("e",), ("a", "b"), False)
    assert set(second.state.known) == set("abcde")


def test_a_feed_that_dates_everything_anew_changed_nothing_but_what_it_rewrote() -> None:
    second = polled(
        Poll("ok", entries=dict.fromkeys("abcdef", "1:x")),
        Poll("ok", entries={"a": "2:y", **dict.fromkeys("bcdef", "1:y")}),
    )[-1]
    assert (second.changed, second.redated) == (("a",), True)


def test_a_window_that_rolled_over_is_a_gap_and_is_looked_at_sooner() -> None:
    first, second = polled(shows(range(30)), shows(range(100, 130)))
    assert second.gap
    assert wait(second) < wait(first)


@pytest.mark.parametrize(
    "poll",
    [Poll("unchanged"), Poll("failed", "timeout"), shows([29, *range(100, 129)]), shows([]), Poll("waiting", "budget")],
)
def test_no_gap_where_nothing_is_seen_or_something_known_is(poll: Poll) -> None:
    assert not polled(shows(range(30)), poll)[-1].gap


def live(rate: float, window: int, days: float, quiet: float = 0) -> tuple[list[float], list[float]]:
    """A feed with `rate` stories an hour in a window of so many, silent for the first `quiet` hours of each day:
    (waits in minutes, shares of the window that were new), polled when it is due."""
    now, known = NOON, None
    waits, shares = [], []
    while now < NOON + timedelta(days=days):
        hours = (now - NOON).total_seconds() / 3600
        busy = hours // 24 * (24 - quiet) + max(hours % 24 - quiet, 0)
        newest = window + int(rate * busy)
        learned = after(FEED, known, shows(range(newest, newest - window, -1)), now)
        if known:
            waits.append((now - known.polled).total_seconds() / 60)
            shares.append(len(learned.new) / window)
            assert learned.gap == (shares[-1] == 1)
        known = learned.state
        assert known.due
        now = known.due
    return waits, shares


@pytest.mark.parametrize(
    ("rate", "window", "least", "most"),
    [
        (15, 30, 40, 60),  # the busy feed of the design: turns over in two hours
        (60, 30, 10, 14),
        (2, 20, 180, 300),
        (0.1, 20, 1300, 1440),
        (600, 30, 10, 10),  # faster than anybody may ask
    ],
)
def test_the_interval_settles_where_under_half_of_the_window_is_new(
    rate: float, window: int, least: float, most: float
) -> None:
    waits, shares = live(rate, window, days=10 if rate >= 1 else 60)
    late = waits[len(waits) // 2 :]
    assert least <= sum(late) / len(late) <= most
    if rate < 600:
        assert max(shares[len(shares) // 2 :]) <= 0.5
        assert max(shares[2:]) < 1  # no gap once the rate was seen


def test_the_morning_after_a_quiet_night_is_not_missed() -> None:
    _, shares = live(15, 30, days=10, quiet=10)
    assert max(shares) < 0.75


def test_a_silent_feed_is_asked_ever_less_until_once_a_day() -> None:
    learned = polled(shows(range(5)), start=None)[0]
    waits = []
    for _ in range(60):
        assert learned.state.due
        learned = after(FEED, learned.state, Poll("unchanged"), learned.state.due)
        waits.append(wait(learned))
    assert waits == sorted(waits)
    assert waits[-1] == 86_400


def test_asking_again_at_once_teaches_nothing() -> None:
    first, *more = polled(shows(range(30)), *[shows(range(30))] * 20, every=timedelta(seconds=5))
    assert {wait(learned) for learned in more} == {wait(first)}


@pytest.mark.parametrize(
    ("facts", "least"),
    [
        ({"ttl": 7200.0}, 7200),
        ({"cache_control": "public, max-age=5400"}, 5400),
        ({"ttl": 1e9}, 86_400),
        ({"cache_control": "no-cache, max-age=5400"}, 600),
        ({"ttl": -5.0}, 600),
    ],
)
def test_the_feed_and_its_server_may_ask_for_less(facts: dict[str, object], least: float) -> None:
    polls = [shows(range(n, n - 30, -1), **facts) for n in range(30, 130, 20)]
    for learned in polled(*polls):
        assert least <= wait(learned) <= 86_400


def test_max_age() -> None:
    headers = (None, "", "max-age=60", 'x-max-age=9, Max-Age="7"', "no-store, max-age=9")
    assert [max_age(header) for header in headers] == [None, None, 60, 7, None]


# --- failures --------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("reason", ["not-found", "server-error", "bad-response", "too-large", "not-a-feed"])
def test_failures_back_off_doubling_up_to_a_day(reason: str) -> None:
    waits = [wait(learned) for learned in polled(*[Poll("failed", reason)] * 12)]
    assert 600 <= waits[0] <= 750
    assert all(1.6 < later / earlier < 2.5 or later == 86_400 for earlier, later in pairwise(waits))
    assert waits[-1] == 86_400
    assert waits == [wait(learned) for learned in polled(*[Poll("failed", reason)] * 12)]  # the same on every machine
    others = {after(Feed(f"https://{n}.example/"), None, Poll("failed", reason), NOON).state.due for n in range(20)}
    assert len(others) > 15  # those that failed together do not all come back together


@pytest.mark.parametrize("reason", ["dns", "connect", "timeout"])
def test_a_night_without_a_network_does_not_cost_the_next_day(reason: str) -> None:
    assert wait(polled(*[Poll("failed", reason)] * 12)[-1]) <= 3 * 3600


def test_a_failure_keeps_what_is_known_and_a_success_ends_it() -> None:
    first, failed, back = polled(shows(range(9), etag='"1"'), Poll("failed", "server-error"), shows(range(10)))
    assert (failed.state.status, failed.state.reason, failed.state.failures) == ("backoff", "server-error", 1)
    assert failed.state.known == first.state.known
    assert failed.state.etag == '"1"'
    assert (back.state.status, back.state.reason, back.state.failures, back.new) == ("active", None, 0, ("9",))


@pytest.mark.parametrize("reason", ["not-a-feed", "unparsable"])
def test_a_page_that_is_no_feed_is_fetched_whole_next_time(reason: str) -> None:
    first, failed = polled(shows(range(9), etag='"1"', last_modified="Tue"), Poll("failed", reason))
    assert (failed.state.etag, failed.state.last_modified, failed.state.reason) == (None, None, reason)
    assert failed.state.known == first.state.known


def test_a_feed_that_goes_empty_failed_unless_it_never_showed_anything() -> None:
    always, gone = polled(shows([]))[0], polled(shows(range(9)), shows([]))[-1]
    assert (always.state.status, gone.state.status, gone.state.reason) == ("active", "backoff", "empty")
    assert len(gone.state.known) == 9


def test_blocked_comes_back_in_a_day() -> None:
    assert wait(polled(Poll("failed", "blocked"))[0]) == 86_400


@pytest.mark.parametrize(
    ("asked", "waited"), [(120.0, 120), (1.0, 60), (-5.0, 60), (1e12, 86_400), (float("inf"), 86_400)]
)
def test_retry_after_is_honoured_within_reason(asked: float, waited: float) -> None:
    (learned,) = polled(Poll("failed", "rate-limited", retry_after=asked))
    assert wait(learned) == waited
    assert learned.state.status == "backoff"


def test_a_retry_after_that_is_no_number_counts_as_none() -> None:
    assert 600 <= wait(polled(Poll("failed", "rate-limited", retry_after=float("nan")))[0]) <= 750


def test_gone_twice_is_retired_and_kept() -> None:
    first, once, twice = polled(shows(range(9)), Poll("failed", "gone"), Poll("failed", "gone"))
    assert (once.state.status, wait(once)) == ("backoff", 3600)
    assert (twice.state.status, twice.state.reason, twice.state.due) == ("retired", "gone", None)
    assert twice.state.known == first.state.known


@pytest.mark.parametrize("between", [shows(range(9)), Poll("unchanged"), Poll("failed", "timeout")])
def test_gone_must_be_said_twice_in_a_row(between: Poll) -> None:
    assert polled(Poll("failed", "gone"), between, Poll("failed", "gone"))[-1].state.status == "backoff"


def test_waiting_changes_nothing() -> None:
    first, second = polled(shows(range(9)), Poll("waiting", "budget"))
    assert second == Learned(first.state)


# --- moves and validators --------------------------------------------------------------------------------------------
NEW = "https://new.example/feed"


def moves(*hours: float, target: str = NEW) -> FeedState:
    known: FeedState | None = None
    for hour in hours:
        known = after(FEED, known, shows(range(9), moved_to=target), NOON + timedelta(hours=hour)).state
    assert known
    return known


def test_a_feed_moves_after_three_same_answers_over_more_than_a_day() -> None:
    assert moves(0, 12).address == FEED.url
    assert moves(0, 25).address == FEED.url
    assert moves(0, 1, 2, 3, 24).address == FEED.url
    moved = moves(0, 12, 25)
    assert (moved.address, moved.url, moved.moving_to, moved.moved) == (NEW, FEED.url, None, 0)


def test_another_target_or_a_plain_answer_starts_the_count_again() -> None:
    other = after(FEED, moves(0, 12), shows(range(9), moved_to="https://x.example/"), NOON + timedelta(hours=25)).state
    assert (other.address, other.moving_to, other.moved) == (FEED.url, "https://x.example/", 1)
    plain = after(FEED, moves(0, 12), shows(range(9)), NOON + timedelta(hours=25)).state
    assert (plain.address, plain.moving_to, plain.moved) == (FEED.url, None, 0)


def test_a_redirect_to_what_is_no_feed_moves_nothing() -> None:
    known = moves(0, 12)
    failed = after(FEED, known, Poll("failed", "not-a-feed", moved_to=NEW), NOON + timedelta(hours=25)).state
    assert (failed.address, failed.moved) == (FEED.url, 2)


def test_unchanged_for_a_week_is_asked_whole_once() -> None:
    first = polled(shows(range(9), etag='"1"', last_modified="Tue", body="b"))[0].state
    six = after(FEED, first, Poll("unchanged"), NOON + timedelta(days=6)).state
    seven = after(FEED, six, Poll("unchanged"), NOON + timedelta(days=7)).state
    assert (six.etag, seven.etag, seven.last_modified) == ('"1"', None, None)
    whole = after(FEED, seven, shows(range(9), etag='"1"', body="b"), NOON + timedelta(days=8)).state
    assert whole.etag == '"1"'


def test_an_etag_that_stays_while_the_body_changes_is_not_used() -> None:
    first, second = polled(shows(range(9), etag='"1"', body="b"), shows(range(9), etag='"1"', body="c"))
    assert (first.state.etag, second.state.etag) == ('"1"', None)


def test_what_is_known_is_bounded_by_the_most_recent() -> None:
    known: FeedState | None = None
    for start in range(0, 9000, 20):
        known = after(FEED, known, shows(range(start + 30, start, -1)), NOON).state
    assert known
    assert len(known.known) == 2000
    assert max(map(int, known.known)) - min(map(int, known.known)) == 1999
    big = polled(shows(range(5000)), shows(range(4000, 9000)))[-1].state
    assert len(big.known) == 9000


# --- entries ---------------------------------------------------------------------------------------------------------
ENTRY = Entry(
    guid="tag:1",
    url="https://harbourpost.org/bridge?utm_source=rss",
    title="Bridge closed",
    html="<p>The bridge is <b>closed</b>.</p><img src='https://count.example/1.gif?1'>",
    text=None,
    page=None,
    published="2026-11-24T10:00:00Z",
    published_from="feed",
    authors=("A. Writer",),
    language="en",
    source="harbourpost.org",
    feed=FEED.url,
    captured=NOON,
    text_from=TextFrom.TEASER,
)


def test_an_entry_is_known_by_its_address_however_it_is_written() -> None:
    for same_story in (
        {"guid": "tag:2"},
        {"url": "http://www.harbourpost.org/bridge/"},
        {"url": "https://m.harbourpost.org/bridge?utm_medium=x#top", "title": "New title"},
    ):
        assert entry_key(replace(ENTRY, **same_story)) == entry_key(ENTRY)
    assert entry_key(replace(ENTRY, url="https://harbourpost.org/dam")) != entry_key(ENTRY)


def test_an_entry_without_a_trusted_address_is_known_by_guid_then_by_content() -> None:
    by_guid = replace(ENTRY, id_by="guid")
    assert entry_key(by_guid) == entry_key(replace(by_guid, url="https://harbourpost.org/other", title="Other"))
    assert entry_key(by_guid) != entry_key(replace(by_guid, guid="tag:2"))
    by_content = replace(ENTRY, id_by="content", guid="same everywhere")
    assert entry_key(by_content) == entry_key(replace(by_content, published="2020-01-01"))
    assert entry_key(by_content) != entry_key(replace(by_content, title="Dam closed"))
    assert entry_key(replace(ENTRY, url=None, guid=None)) == entry_key(replace(by_content, guid=None))


def test_keys_and_digests_survive_the_way_through_json() -> None:
    again = Entry.from_json(ENTRY.to_json())
    assert (entry_key(again), entry_digest(again)) == (entry_key(ENTRY), entry_digest(ENTRY))


def test_a_digest_tells_text_from_date_and_ignores_markup() -> None:
    text, date = entry_digest(ENTRY).split(":")
    pixel = replace(ENTRY, html="<p>The bridge is <i>closed</i>.</p>\n<img src='https://count.example/1.gif?2'>")
    assert entry_digest(pixel) == f"{text}:{date}"
    redated = entry_digest(replace(ENTRY, published="2026-11-24T11:00:00Z")).split(":")
    assert redated[0] == text
    assert redated[1] != date
    for other in ({"title": "Bridge open"}, {"html": "<p>The bridge is open.</p>"}, {"authors": ("B. Writer",)}):
        assert entry_digest(replace(ENTRY, **other)).split(":")[0] != text


def test_hostile_text_has_a_digest_soon() -> None:
    started = time.perf_counter()
    for html in ("<" * 1_000_000, "<a " * 300_000, "\ud800\x00" * 1000):
        assert entry_digest(replace(ENTRY, html=html))
    assert time.perf_counter() - started < 2


# --- where a page names its feeds ------------------------------------------------------------------------------------
PAGE = """<!DOCTYPE html><html><head><base href="/blog/">
<link rel="alternate" type="application/rss+xml" title="Comments on everything" href="comments/feed">
<link rel="ALTERNATE" type="application/atom+xml; charset=utf-8" title="News" href="news.atom">
<link rel="alternate" type="application/feed+json" href="https://cdn.example/news.json">
<link rel="alternate" hreflang="fr" href="/fr/"><link rel="stylesheet" href="/feed.css">
<link rel="alternate" type="application/rss+xml" href="news.atom">
</head><body><a href="/about">About</a><a href="/rss.xml">RSS</a><a href="?format=rss">Subscribe</a>
<a href="javascript:void(0)">feed</a><a href="mailto:feed@a.example">feed</a>
<a href="/feedback">Feedback</a></body></html>"""


def test_named_feeds_come_first_then_links_then_comments_then_guesses() -> None:
    found = candidates(PAGE.encode(), "https://a.example/blog/start.html")
    assert found[:6] == [
        "https://a.example/blog/news.atom",
        "https://cdn.example/news.json",
        "https://a.example/rss.xml",
        "https://a.example/blog/?format=rss",
        "https://a.example/blog/comments/feed",
        "https://a.example/feed",
    ]
    assert len(set(found)) == len(found)
    assert "https://a.example/feedback" not in found


def test_a_page_that_names_none_gives_the_usual_places() -> None:
    found = candidates(b"<p>Hello</p>", "https://a.example/blog/")
    assert found[:2] == ["https://a.example/blog/feed", "https://a.example/blog/rss"]
    assert {"https://a.example/feed", "https://a.example/rss.xml", "https://a.example/?feed=rss2"} <= set(found)


def test_a_link_to_the_page_itself_is_no_candidate() -> None:
    page = b'<link rel="alternate" type="application/rss+xml" href="https://a.example/feed">'
    assert "https://a.example/feed" not in candidates(page, "https://a.example/feed")


@pytest.mark.parametrize(
    "page",
    [
        b"",
        b"\x00\xff\xfe",
        b"<?xml version='1.0'?><html xmlns='http://www.w3.org/1999/xhtml'><body/></html>",
        b"<div>" * 200_000,
        b"<a href='/feed" * 100_000,
        b'<a href="/feed">' * 50_000,
        b'<link rel="alternate" type="application/rss+xml" href="http://[bad">',
    ],
)
def test_hostile_pages_give_candidates_soon(page: bytes) -> None:
    started = time.perf_counter()
    found = candidates(page, "https://a.example/")
    assert found
    assert len(found) < 60
    assert all(addresses.absolute(url) == url for url in found)
    assert time.perf_counter() - started < 10
