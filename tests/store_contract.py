"""The contract of the store's port, as tests. Any adapter passes them: subclass `StoreContract` in its test module and
give it the fixtures `store` (an empty one) and `clock` (what its lease reads: `clock.now` in seconds)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

import numpy as np
import pytest
from builders import TEXT, content, fingerprint, moment, story, tags
from hypothesis import given, settings
from hypothesis import strategies as st

from ingest.errors import LeaseLost
from ingest.models import Feed, FeedState, FullText, Head, Kinship, Link, Status, Story, TextFrom, Version, WantedPage
from ingest.store import Booking, Lease, Query, Slice, Store

STRANGE = "https://пример.example/‮a b\"c'%\\\x7f\u2028🇺🇦?q=;--"


class Clock:
    """A clock that goes when it is told to."""

    def __init__(self) -> None:
        self.now = 1_700_000_000.0

    def __call__(self) -> float:
        return self.now


def leased(store: Store, holder: str = "here:0:a", *, live: bool = True) -> Lease:
    lease = store.lease(holder, live=live)
    assert isinstance(lease, Lease), lease
    return lease


def write(store: Store, *stories: Story, **more: Any) -> None:
    lease = leased(store)
    store.write(Slice(stories=stories, **more), lease)
    store.release(lease)


def found(store: Store, text: str, **more: Any) -> list[str]:
    """The names of the stories that are found, best first."""
    return [hit.story.id.removeprefix("id-") for hit in store.search(Query(text, **more)).hits]


class StoreContract:
    # feeds ---------------------------------------------------------------------------------------------------------
    def test_feeds_come_by_url_as_they_were_saved(self, store: Store) -> None:
        plain = Feed("https://b.example/feed")
        full = Feed(STRANGE, "T\x00itle ẞ", "https://s.example", FullText.NEVER, "uk", 2.5, 'G "1"', True)
        first = Feed("https://a.example/Feed", title="A")
        store.save_feeds([plain, full, first])
        assert store.feeds() == sorted([plain, full, first], key=lambda feed: feed.url)

    def test_saving_a_feed_again_changes_it(self, store: Store) -> None:
        store.save_feeds([Feed("https://a.example", title="old")])
        store.save_feeds([Feed("https://a.example", title="new")])
        assert store.feeds() == [Feed("https://a.example", title="new")]

    def test_a_removed_feed_is_gone_with_its_state_but_its_stories_stay(self, store: Store) -> None:
        url = "https://news.example/feed"
        store.save_feeds([Feed(url)])
        store.save_states([FeedState(url, url)])
        store.save_wanted([WantedPage("https://news.example/p", url, {}, moment())])
        write(store, story("a"))
        assert store.remove_feed(url)
        assert not store.remove_feed(url)
        assert (store.feeds(), store.states([url]), store.wanted([url])) == ([], {}, [])
        assert "id-a" in store.get(["id-a"])

    def test_states_come_back_as_they_were(self, store: Store) -> None:
        state = FeedState(
            STRANGE,
            "https://moved.example",
            etag='W/"\u00fc\u0000"',
            last_modified="Tue, 24 May 2022 12:00:00 GMT",
            polled=moment(1.123456789),
            due=moment(2),
            interval=612.5,
            status="backoff",
            reason="blocked",
            failures=3,
            gone=1,
            moving_to="https://elsewhere.example",
            moved=2,
            moving_since=moment(-5),
            body="ab12",
            known={"ключ\n": "d1", "": "d2", "\ud800": "d3"},
        )
        other = FeedState("https://b.example", "https://b.example")
        store.save_states([state, other])
        assert store.states([STRANGE, "https://unknown.example"]) == {STRANGE: state}
        store.save_states([replace(state, failures=4)])
        assert store.states([STRANGE, other.url]) == {STRANGE: replace(state, failures=4), other.url: other}

    def test_wanted_pages_come_oldest_first_and_go_when_fetched(self, store: Store) -> None:
        entry = {"title": "a\ud83d\x00‮", "authors": ["Ян"], "n": None, "deep": {"x": [1, 2.5]}}
        late = WantedPage("https://a.example/late", "https://f.example", entry, moment(2), tries=2)
        early = WantedPage(STRANGE, "https://f.example", {}, moment(1.5))
        other = WantedPage("https://a.example/other", "https://g.example", {}, moment(0))
        store.save_wanted([late, early, other])
        assert store.wanted(["https://f.example", "https://f.example"]) == [early, late]
        store.save_wanted([replace(late, tries=3)], fetched=[STRANGE])
        assert store.wanted(["https://f.example", "https://g.example"]) == [other, replace(late, tries=3)]

    # the lease -----------------------------------------------------------------------------------------------------
    def test_one_holder_at_a_time_and_tokens_grow(self, store: Store) -> None:
        first = leased(store, "other:1:a")
        assert store.lease("other:2:b", live=True) == "other:1:a"
        store.release(first)
        second = leased(store, "other:2:b")
        assert second.token > first.token

    def test_a_lease_that_is_renewed_stays(self, store: Store, clock: Clock) -> None:
        lease = leased(store, "other:1:a")
        for _ in range(3):
            clock.now += 20
            store.renew(lease)
        assert store.lease("other:2:b", live=True) == "other:1:a"

    def test_a_lease_that_was_not_renewed_for_30_seconds_is_taken_over(self, store: Store, clock: Clock) -> None:
        old = leased(store, "other:1:a")
        clock.now += 29
        assert store.lease("other:2:b", live=True) == "other:1:a"
        clock.now += 2
        new = leased(store, "other:2:b")
        for late in (lambda: store.renew(old), lambda: store.write(Slice(stories=[story("late")]), old)):
            with pytest.raises(LeaseLost):
                late()
        store.release(old)  # nothing: it is not its lease any more
        assert store.get(["id-late"]) == {}
        store.write(Slice(stories=[story("a")]), new)
        assert "id-a" in store.get(["id-a"])

    def test_a_lease_given_back_writes_nothing(self, store: Store) -> None:
        lease = leased(store)
        store.release(lease)
        with pytest.raises(LeaseLost):
            store.write(Slice(stories=[story("a")]), lease)
        assert store.get(["id-a"]) == {}

    def test_a_live_publisher_that_waits_goes_before_an_archive(self, store: Store, clock: Clock) -> None:
        archive = leased(store, "other:1:archive", live=False)
        assert store.lease("other:2:live", live=True) == "other:1:archive"
        store.release(archive)
        assert store.lease("other:1:archive", live=False) == "other:2:live"
        live = leased(store, "other:2:live")
        store.release(live)
        leased(store, "other:1:archive", live=False)

    def test_a_live_publisher_that_asks_no_more_holds_nobody_up(self, store: Store, clock: Clock) -> None:
        archive = leased(store, "other:1:archive", live=False)
        assert store.lease("other:2:live", live=True) == "other:1:archive"
        store.release(archive)
        clock.now += 6
        leased(store, "other:1:archive", live=False)

    def test_an_archive_that_waits_does_not_go_before_another(self, store: Store) -> None:
        first = leased(store, "other:1:a", live=False)
        assert store.lease("other:2:b", live=False) == "other:1:a"
        store.release(first)
        leased(store, "other:3:c", live=False)

    # stories -------------------------------------------------------------------------------------------------------
    def test_a_story_comes_back_exactly(self, store: Store) -> None:
        for given_ in strange_stories():
            write(store, given_)
            back = store.get([given_.id])[given_.id]
            assert back == given_
            assert [type(version.content.text_from) for version in back.versions] == [TextFrom] * len(back.versions)
            assert hash(back.feeds) == hash(given_.feeds)  # a tuple as well
            assert back.to_json() == given_.to_json()

    def test_unknown_ids_are_left_out(self, store: Store) -> None:
        write(store, story("a"))
        assert set(store.get(["id-a", "id-b", STRANGE])) == {"id-a"}
        assert store.get([]) == {}
        assert store.heads(["id-b"]) == {}

    def test_ids_are_found_by_how_they_begin(self, store: Store) -> None:
        write(store, *(story(name) for name in ("b2", "a", "b1", "b", "c")))
        assert store.ids("id-b", 10) == ["id-b", "id-b1", "id-b2"]
        assert store.ids("id-b", 2) == ["id-b", "id-b1"]
        assert store.ids("id-b1", 2) == ["id-b1"]
        assert store.ids("id-", 0) == store.ids("", 0) == []
        for odd in ("id-d", "id-b%", "id-?", "id-\ud800", "id-b\U0010ffff", "*"):
            assert store.ids(odd, 10) == []

    def test_writing_the_same_again_changes_nothing(self, store: Store) -> None:
        told = story("a", tags=tags("aid", "escalation", main=["aid"]))
        more = {
            "fingerprints": {"id-a": fingerprint("7")},
            "aliases": {"k": "id-a"},
            "links": [Link("id-a", "id-b", 0.5, 1.0)],
            "booking": Booking("f", "v", "r", 1, False, {"": {"indexed": 1}}),
        }
        write(store, told, story("b"), **more)
        before = everything(store)
        write(store, told, story("b"), **more)
        assert everything(store) == before

    def test_heads_are_stories_without_their_text(self, store: Store) -> None:
        told = story("a", published=None, first_seen=moment(0.25), cluster="id-z", lead=False)
        write(store, told)
        assert store.heads(["id-a"]) == {"id-a": Head("id-a", None, moment(0.25), "id-z", False)}
        write(store, replace(told, rewritten_from="id-b"))
        assert store.heads(["id-a"])["id-a"].rewritten_from == "id-b"

    def test_texts_are_those_that_are_current(self, store: Store) -> None:
        old = story("a", title=None, text="Old.")
        new = content("a", title="Grain", text="New.")
        write(store, replace(old, versions=(*old.versions, Version(new, moment(3), moment(3)))), story("b", text="B."))
        assert store.texts(["id-a", "id-x"]) == {"id-a": ("Grain", "New.")}
        write(store, old)
        assert store.texts(["id-a"]) == {"id-a": (None, "Old.")}
        assert store.texts([]) == {}

    def test_what_a_story_was_made_from_changes_without_the_story(self, store: Store) -> None:
        write(store, story("a"), story("b"))
        write(store, clusters={"id-b": ("id-c", False)}, rewritten_from={"id-b": "id-a", "id-a": None})
        assert store.get(["id-b"])["id-b"] == story("b", cluster="id-c", lead=False, rewritten_from="id-a")
        assert store.get(["id-a"])["id-a"] == story("a")
        write(store, rewritten_from={"id-b": None})
        assert store.heads(["id-b"])["id-b"].rewritten_from is None

    def test_aliases_lead_to_stories(self, store: Store) -> None:
        write(store, story("a"), aliases={"news.example/a": "id-a", STRANGE: "id-a"})
        assert store.resolve(["news.example/a", STRANGE, "x"]) == {"news.example/a": "id-a", STRANGE: "id-a"}
        write(store, aliases={STRANGE: "id-b"})
        assert store.resolve([STRANGE]) == {STRANGE: "id-b"}

    def test_a_revision_replaces_what_is_found(self, store: Store) -> None:
        old = story("a", tags=tags("aid"))
        write(store, old)
        new = content("a", text="Nothing of that was true, a spokeswoman said.", tags=tags("escalation"))
        revised = replace(old, versions=(*old.versions, Version(new, moment(3), moment(3))))
        write(store, revised)
        assert store.get(["id-a"])["id-a"] == revised
        assert (found(store, "convoys"), found(store, "spokeswoman")) == ([], ["a"])
        assert store.count(Query(), "topic") == {"escalation": 1}

    def test_touched_changes_clocks_and_feeds_only(self, store: Store) -> None:
        old = story("a", published=None, first_seen=moment(5), tags=tags("aid"))
        write(store, old, fingerprints={"id-a": fingerprint(seed=3)})
        seen = replace(old, feeds=(*old.feeds, "https://other.example"), first_seen=moment(1))
        write(store, touched=[seen])
        assert store.get(["id-a"])["id-a"] == seen
        assert found(store, "convoys") == ["a"]
        assert store.count(Query(), "topic") == {"aid": 1}
        assert ids_between(store, 0, 2) == ["id-a"]
        assert ids_between(store, 4, 6) == []

    def test_clusters_move_without_the_stories(self, store: Store) -> None:
        write(store, story("a"), story("b"))
        write(store, clusters={"id-b": ("id-a", False)})
        assert store.get(["id-b"])["id-b"] == story("b", cluster="id-a", lead=False)
        assert store.largest_clusters(9) == [("id-a", 2)]
        write(store, clusters={"id-b": ("id-b", True)})
        assert store.largest_clusters(9) == []

    def test_the_window_holds_what_lies_between_two_instants(self, store: Store) -> None:
        dated = story("dated", published="2022-05-24T09:30:00-03:00")  # 12:30 UTC
        day = story("day", published="2022-05-24")  # midnight
        undated = story("undated", published=None, first_seen=moment(2) + timedelta(microseconds=999_999))
        ancient = story("ancient", published="1931-03-01")
        prints = {told.id: fingerprint(str(n), seed=n) for n, told in enumerate((dated, day, undated, ancient))}
        link = Link("id-ancient", "id-dated", 0.75, 12.5, (("7",), ()))
        write(store, dated, day, undated, ancient, story("bare"), fingerprints=prints, links=[link])

        (window,) = store.window(moment(-12), moment(2))  # both ends belong to it, to the second
        assert list(window.ids) == ["id-day", "id-dated", "id-undated"]
        assert window.instants.tolist() == [int(moment(hours).timestamp()) for hours in (-12, 0.5, 2)]
        assert (window.instants.dtype, window.shingles.dtype) == (np.int64, np.uint64)
        for k, ident in enumerate(window.ids):
            assert np.array_equal(window.fingerprint(k).shingles, prints[ident].shingles)
            assert window.fingerprint(k).numbers == prints[ident].numbers
        assert ids_between(store, 2.001, 9) == []
        (old,) = store.window(ancient.instant(), ancient.instant())
        assert list(old.ids) == ["id-ancient"]
        assert old.instants.tolist() == [int(ancient.instant().timestamp())]

    def test_a_window_comes_in_order_in_pieces(self, store: Store) -> None:
        told = [story(f"{n % 7}-{n}", published=None, first_seen=moment(n % 3)) for n in range(60)]
        prints = {each.id: fingerprint(str(n), seed=n, size=n % 5) for n, each in enumerate(told)}
        write(store, *told, fingerprints=prints)
        store.piece = 7
        pieces = []
        for piece in store.window(moment(-1), moment(9)):
            pieces.append(piece)
            write(store, clusters={})  # nothing is held meanwhile
        assert [len(piece) for piece in pieces] == [7] * 8 + [4]
        found = [(int(at), ident) for piece in pieces for at, ident in zip(piece.instants, piece.ids, strict=True)]
        assert found == sorted((int(each.instant().timestamp()), each.id) for each in told)
        for piece in pieces:
            for k, ident in enumerate(piece.ids):
                assert piece.fingerprint(k).shingles.tolist() == prints[ident].shingles.tolist()
                assert piece.fingerprint(k).numbers == prints[ident].numbers

    def test_fingerprints_are_found_by_story(self, store: Store) -> None:
        write(store, story("a"), story("b"), story("bare"), fingerprints={"id-a": fingerprint("7", seed=1)})
        found = store.fingerprints(["id-a", "id-bare", "id-x"])
        assert list(found) == ["id-a"]
        assert (found["id-a"].numbers, found["id-a"].shingles.dtype) == (("7",), np.uint64)
        assert store.fingerprints([]) == {}

    def test_a_new_fingerprint_replaces_the_old_one(self, store: Store) -> None:
        write(store, story("a"), fingerprints={"id-a": fingerprint("1", seed=1)})
        write(store, story("a"))  # none given: it stays
        assert store.fingerprints(["id-a"])["id-a"].numbers == ("1",)
        write(store, story("a"), fingerprints={"id-a": fingerprint(seed=2, size=5)})
        print_ = store.fingerprints(["id-a"])["id-a"]
        assert (len(print_.shingles), print_.numbers) == (5, ())

    def test_links_are_found_from_both_ends(self, store: Store) -> None:
        ab = Link("id-a", "id-b", 0.9, 1.5, (("1", "2"), ("3",)))
        bc = Link("id-b", "id-c", 0.8, 0.0, kinship=Kinship.REWRITTEN)
        write(store, story("a"), story("b"), story("c"), links=[ab, bc])
        assert store.links(["id-a"]) == [ab]
        assert store.links(["id-c", "id-b"]) == [ab, bc]
        assert store.links(["id-x"]) == []
        write(store, links=[replace(ab, share=0.95)], unlinked=[("id-b", "id-c")])
        assert store.links(["id-b"]) == [replace(ab, share=0.95)]

    def test_bookings_come_back(self, store: Store) -> None:
        first = Booking("stories/1", "v1", "run-1", 10, False, {"": {"indexed": 9}, STRANGE: {"revised": 1}}, {"x": 2})
        second = Booking("stories/2", "v1", "run-1", 5, True, {})
        write(store, booking=first)
        write(store, booking=second)
        assert store.bookings(["stories/1", "no"]) == {"stories/1": first}
        write(store, booking=replace(first, done=20, complete=True))
        assert store.bookings() == {"stories/1": replace(first, done=20, complete=True), "stories/2": second}

    def test_the_bookings_of_one_run_come_back(self, store: Store) -> None:
        for file, run in (("stories/3", "run-1"), ("stories/1", "run-1"), ("stories/2", "run-10"), ("stories/4", "")):
            write(store, booking=Booking(file, "v1", run, 5, True, {}))
        assert list(store.bookings_of("run-1").items()) == [
            (file, Booking(file, "v1", "run-1", 5, True, {})) for file in ("stories/1", "stories/3")
        ]
        assert store.bookings_of("run") == store.bookings_of("run-*") == store.bookings_of(STRANGE) == {}
        write(store, booking=Booking("stories/3", "v2", "run-10", 0, False, {}))  # read anew by another run
        assert store.bookings_of("run-1").keys() == {"stories/1"}
        assert list(store.bookings_of("run-10")) == ["stories/2", "stories/3"]

    # closed months ------------------------------------------------------------------------------------------------
    def test_what_is_removed_is_gone_from_everywhere_and_remembered(self, store: Store) -> None:
        more = {"fingerprints": {"id-a": fingerprint("7"), "id-b": fingerprint()}, "aliases": {"k": "id-a"}}
        write(store, story("a", tags=tags("aid")), story("b"), links=[Link("id-a", "id-b", 1.0, 0.0)], **more)
        lease = leased(store)
        store.close_month("2022-05", lease)
        gone = Slice(removed={"id-a": "2022-05", STRANGE: "2022-05"}, unlinked=[("id-a", "id-b")])
        for _ in range(2):
            store.write(gone, lease)
            assert store.removed(["id-a", "id-b", STRANGE]) == {"id-a": "2022-05", STRANGE: "2022-05"}
            assert store.get(["id-a", "id-b"]).keys() == {"id-b"}
            assert store.fingerprints(["id-a", "id-b"]).keys() == {"id-b"}
            assert ids_between(store, -99, 99) == ["id-b"]
            assert (found(store, "convoys"), store.links(["id-b"])) == (["b"], [])
            assert store.count(Query(), "topic") == {}
            assert store.resolve(["k"]) == {"k": "id-a"}  # so that it is known again under any of its addresses
        store.sweep(lease)
        store.release(lease)
        write(store, story("a"), fingerprints={"id-a": fingerprint("8")})
        assert found(store, "convoys") == ["a", "b"]

    def test_months_are_closed_and_opened(self, store: Store) -> None:
        write(store, story("a"))
        lease = leased(store)
        for month in ("2022-05", "2014-11", "2022-05"):
            store.close_month(month, lease)
        store.write(Slice(removed={"id-a": "2022-05", "id-o": "2014-11"}), lease)
        assert store.closed_months() == ["2014-11", "2022-05"]
        assert store.open_month("2022-05", lease)
        assert not store.open_month("2022-05", lease)
        assert (store.closed_months(), store.removed(["id-a", "id-o"])) == (["2014-11"], {"id-o": "2014-11"})
        store.sweep(lease)
        store.release(lease)
        write(store, story("a"), story("b", published="2022-06-01"))
        assert ids_exported(store) == ["id-a", "id-b"]

    def test_who_lost_the_lease_closes_no_month(self, store: Store) -> None:
        lease = leased(store)
        store.release(lease)
        for deed in (lambda: store.close_month("2022-05", lease), lambda: store.open_month("2022-05", lease)):
            with pytest.raises(LeaseLost):
                deed()
        assert store.closed_months() == []

    # rebuilding ---------------------------------------------------------------------------------------------------
    def test_indexed_is_told_by_story(self, store: Store) -> None:
        write(store, story("a"), story("b", indexed=moment(9.123456)))
        assert store.indexed(["id-b", "id-a", "id-x"]) == {"id-a": moment(2), "id-b": moment(9.123456)}

    def test_a_successor_takes_over_what_follows_from_files_of_stories(self, store: Store) -> None:
        feed = Feed("https://news.example/feed")
        store.save_feeds([feed])
        write(store, story("a"), story("b"), aliases={"old": "id-a"}, booking=Booking("f", "v", "r", 1, True, {}))
        lease = leased(store)
        store.close_month("2014-11", lease)
        store.write(Slice(removed={"id-o": "2014-11"}), lease)
        assert store.successor(make=False) is None
        successor = store.successor()
        assert successor is not None
        assert (successor.closed_months(), successor.removed(["id-o"])) == (["2014-11"], {"id-o": "2014-11"})
        told = story("b", title="Anew"), story("c", tags=tags("aid"))
        new = {
            "fingerprints": {"id-c": fingerprint("7")},
            "aliases": {"k": "id-c"},
            "links": [Link("id-b", "id-c", 1.0, 0.0)],
            "booking": Booking("g", "v", "r", 2, True, {"": {"indexed": 2}}),
        }
        write(successor, told[0], **new)
        again = store.successor()  # as after a kill
        assert again is not None
        write(again, told[1], **new)
        expected = everything(again)
        again.close()
        state = FeedState(feed.url, feed.url)
        store.save_states([state])
        assert (ids_exported(store), found(store, "anew")) == (["id-a", "id-b"], [])
        store.succeed(successor, lease)
        store.release(lease)
        assert everything(store) == expected
        assert (found(store, "anew"), set(found(store, "grain"))) == (["b"], {"b", "c"})
        assert (store.feeds(), store.states([feed.url])) == ([feed], {feed.url: state})
        assert (store.resolve(["old", "k"]), store.closed_months()) == ({"k": "id-c"}, ["2014-11"])
        assert store.successor(make=False) is None
        write(store, story("d"))
        assert ids_exported(store) == ["id-b", "id-c", "id-d"]

    # readers -------------------------------------------------------------------------------------------------------
    @pytest.mark.parametrize(
        ("text", "asked", "other"),
        [
            ("The U.S. embassy closed.", "u.s.", "u"),
            ("They sent 78,000 parcels.", "78,000", "78"),
            ("They didn’t deploy.", "didn't", "didn"),
            ("Kyiv’s mayor spoke.", "kyiv", "kyivsk"),
            ("Le gouvernement de l’Ukraine", "ukraine", "lukraine"),
            ("Troops were deployed at dawn.", "deploying", "dawnless"),
            ("The café in Łódź", "CAFE lodz", "cafes4"),
            ("Die Straße nach Köln", "strasse koln", "strase"),
            ("Ещё одна колонна", "еще КОЛОННА", "колон"),
            ("Київ, п'ять", "київ п’ять", "кив"),
            ("中国军队在边境部署", "部署", "署部"),
            ("中国军队在边境部署", "军", "美"),
            ("ウクライナ軍が撤退した", "クライナ軍", "ナイ"),
            ("กองทัพไทยเคลื่อนกำลัง", "ไทย", "ยทไ"),
            ("우크라이나에서 철수했다", "우크라이나", "나이"),
            ("हिन्दी समाचार", "हिन्दी", "हन"),
            ("مَدرسة في القاهرة", "مدرسة", "درس"),
            ("A well-known port", "well-known", "known-well"),
            ("T-72 tanks", "t-72", "t-73"),
            ("foo_bar ½ ﬁne", "foo_bar fine", "foo"),
        ],
    )
    def test_what_a_word_is(self, store: Store, text: str, asked: str, other: str) -> None:
        write(store, story("a", title=None, text=text))
        assert found(store, asked) == ["a"]
        assert found(store, other) == []
        (hit,) = store.search(Query(asked)).hits
        assert hit.marks

    def test_the_query_language(self, store: Store) -> None:
        write(
            store,
            story("a", title=None, text="Grain ships left the harbour while artillery fired."),
            story("b", title=None, text="Ships with grain wait. The escalating conflict keeps them."),
        )
        cases = {
            "grain ships": {"a", "b"},
            "grain artillery": {"a"},
            '"grain ships"': {"a"},
            "“ships with grain”": {"b"},
            "grain -artillery": {"b"},
            '-"grain ships"': {"b"},
            "escalatin*": {"b"},
            "escal*": {"b"},
            "art* -conf*": {"a"},
            "harb* grain": {"a"},
            "GRAIN AND": set(),
            "ships OR harbour": set(),
            "": {"a", "b"},
            " \t": {"a", "b"},
            "!!! *": set(),
            '"grain': {"a", "b"},
            "grain)(": {"a", "b"},
            "text:grain": set(),
        }
        assert {asked: set(found(store, asked)) for asked in cases} == cases

    def test_titles_count_more_and_ties_are_settled(self, store: Store) -> None:
        filler = "The minister met farmers in the valley and spoke about roads. "
        write(
            store,
            story("text", title="Other news", text=f"{filler}A convoy passed. {filler}"),
            story("title", title="Convoy passes", text=filler * 2),
            story("none", title="Nothing", text=filler * 2),
        )
        assert found(store, "convoy") == ["title", "text"]
        scores = [hit.score for hit in store.search(Query("convoy")).hits]
        assert scores == sorted(scores, reverse=True)
        assert scores[-1] > 0
        twins = [story(name, published="2022-05-24T12:00:00Z") for name in ("t3", "t1", "t2")]
        write(store, *twins)
        assert found(store, "shelling") == ["t1", "t2", "t3"]

    def test_without_words_the_newest_comes_first(self, store: Store) -> None:
        write(
            store,
            story("old", published="2022-05-01"),
            story("new", published="2022-05-25T01:00:00+02:00"),
            story("undated", published=None, first_seen=moment(-1)),
        )
        assert found(store, "") == ["new", "undated", "old"]
        page = store.search(Query("", limit=1, offset=1))
        assert (page.total, [hit.story.id for hit in page.hits]) == (3, ["id-undated"])
        assert store.search(Query("", limit=0)).hits == []

    def test_filters(self, store: Store) -> None:
        write(
            store,
            story("a", source="x.example", language="uk", tags=tags("aid"), published="2022-05-01T00:00:00Z"),
            story("b", source="y.example", tags=tags("aid", "escalation"), cluster="id-a", lead=False),
            story("c", source=None, language=None, published="2022-06-01"),
        )
        cases: list[tuple[dict[str, Any], set[str]]] = [
            ({"topics": ["escalation"]}, {"b"}),
            ({"topics": ["escalation", "aid"]}, {"a", "b"}),
            ({"sources": ["x.example", "q"]}, {"a"}),
            ({"languages": ["en"]}, {"b"}),
            ({"since": moment()}, {"b", "c"}),
            ({"until": moment()}, {"a"}),
            ({"since": moment(), "until": moment(1)}, {"b"}),
            ({"cluster": "id-a"}, {"a", "b"}),
            ({"leads_only": True}, {"a", "c"}),
            ({"topics": ["aid"], "leads_only": True, "languages": ["uk"]}, {"a"}),
            ({"sources": ["\ud800"]}, set()),
            ({"cluster": "\ud800"}, set()),
        ]
        for filters, expected in cases:
            for text in ("", "grain"):
                assert set(found(store, text, **filters)) == expected, filters
                assert {told.id[3:] for told in store.export(Query(text, **filters))} == expected
                assert store.search(Query(text, limit=1, **filters)).total == len(expected)
                assert sum(store.count(Query(text, **filters), "source").values()) == len(expected)

    def test_topics_weigh_and_evidence_has_a_status(self, store: Store) -> None:
        def proved(name: str, weight: Sequence[str], **statuses: str) -> Story:
            told = tags(*statuses, main=weight)
            proofs = [replace(told.evidence[n], status=Status(status)) for n, status in enumerate(statuses.values())]
            return story(name, tags=replace(told, evidence=tuple(proofs)))

        write(
            store,
            proved("a", ["aid"], aid="asserted", escalation="negated"),
            proved("b", [], aid="planned"),
            proved("c", ["escalation"], escalation="asserted"),
            story("d"),
        )
        cases: list[tuple[dict[str, Any], set[str]]] = [
            ({"topics": ["aid"], "weight": "main"}, {"a"}),
            ({"topics": ["aid"], "weight": "mentioned"}, {"b"}),
            ({"topics": ["aid", "escalation"], "weight": "mentioned"}, {"a", "b"}),
            ({"topics": ["aid", "escalation"], "weight": "main"}, {"a", "c"}),
            ({"statuses": ["asserted"]}, {"a", "c"}),
            ({"statuses": ["planned", "negated"]}, {"a", "b"}),
            ({"statuses": ["negated"], "topics": ["aid"]}, set()),
            ({"statuses": ["negated"], "topics": ["escalation"]}, {"a"}),
            ({"rules": ["aid-1"]}, {"a", "b"}),
            ({"rules": ["escalation-1"], "statuses": ["asserted"]}, {"c"}),
        ]
        for filters, expected in cases:
            for text in ("", "grain"):
                assert set(found(store, text, **filters)) == expected, filters
        assert store.count(Query(), "status") == {"asserted": 2, "negated": 1, "planned": 1}
        assert store.count(Query(topics=["escalation"]), "status") == {"asserted": 1, "negated": 1}
        assert store.count(Query(statuses=["planned"]), "status") == {"planned": 1}
        assert store.count(Query(), "rule") == {"aid-1": 2, "escalation-1": 2}
        assert store.count(Query(statuses=["negated"]), "rule") == {"escalation-1": 1}
        assert store.count(Query(rules=["aid-1"]), "rule") == {"aid-1": 2, "escalation-1": 1}
        write(store, proved("a", [], aid="planned"))
        assert store.count(Query(), "status") == {"planned": 2, "asserted": 1}

    def test_folded_a_cluster_shows_its_first_hit(self, store: Store) -> None:
        early, late = "2022-05-20T00:00:00Z", "2022-05-26T00:00:00Z"
        write(
            store,
            story("a", source="x.example", published=early),
            story("b", source="y.example", cluster="id-a", lead=False, published=late),
            story("c", source="y.example", cluster="id-a", lead=False, title="Another title", published=early),
            story("d", source=None, title="Guns", text="Only artillery."),
        )
        page = store.search(Query("", folded=True))
        assert (page.total, page.clusters) == (4, 2)
        shown = [(hit.story.id, hit.copies, hit.outlets) for hit in page.hits]
        assert shown == [("id-b", 2, 2), ("id-d", 0, 0)]
        assert found(store, "", folded=True, order="oldest") == ["a", "d"]
        assert found(store, "", folded=True, limit=1, offset=1) == ["d"]
        assert found(store, "", folded=True, offset=2) == []
        assert found(store, "artillery", folded=True, order="newest") == ["b", "d"]
        assert found(store, "grain river", folded=True) == ["b"]
        assert found(store, "another", folded=True) == ["c"]
        assert store.search(Query("another", folded=True)).clusters == 1
        assert store.search(Query("another")).clusters is None
        assert found(store, "", folded=True, sources=["x.example"]) == ["a"]
        assert found(store, "grain river", folded=True, offset=50_000) == []

    def test_hits_come_in_the_order_that_is_asked_for(self, store: Store) -> None:
        write(store, *(story(str(day), published=f"2022-05-0{day}", title="Flood" * (day == 2)) for day in (3, 1, 2)))
        assert found(store, "", order="oldest") == ["1", "2", "3"]
        assert found(store, "convoys", order="newest") == ["3", "2", "1"]
        assert found(store, "convoys", order="oldest") == ["1", "2", "3"]
        with pytest.raises(ValueError, match="sideways"):
            store.search(Query(order="sideways"))

    def test_a_word_of_the_title_alone(self, store: Store) -> None:
        write(store, story("a", title="Convoys wait", text="The river froze."), story("b", title="Frost", text=TEXT))
        assert set(found(store, "convoys")) == {"a", "b"}
        assert found(store, "title:convoys") == ["a"]
        assert found(store, "TITLE:convo*") == ["a"]
        assert found(store, 'title:"convoys wait" river') == ["a"]
        assert found(store, "-title:convoys") == ["b"]
        assert found(store, "river -title:convoys") == ["b"]
        assert found(store, 'title: "convoys"') == []  # "title" is a word here

    def test_days_are_counted_by_topic_and_by_source(self, store: Store) -> None:
        write(
            store,
            story("a", tags=tags("aid", "escalation"), published="2022-05-24T01:00:00+03:00", source="x.example"),
            story("b", tags=tags("aid"), published="2022-05-24", source=None),
            story("c", tags=tags("aid"), published=None),
        )
        assert store.days(Query(), "topic") == {
            "aid": {"2022-05-23": 1, "2022-05-24": 1},
            "escalation": {"2022-05-23": 1},
        }
        for query, by in ((Query(), "topic"), (Query("grain"), "source"), (Query("grain"), "topic")):
            assert store.chart(query, by) == (store.count(query, "day"), store.days(query, by))
        assert store.days(Query("grain"), "source") == {"": {"2022-05-24": 1}, "x.example": {"2022-05-23": 1}}
        with pytest.raises(ValueError, match="weather"):
            store.days(Query(), "weather")

    def test_days_may_be_those_of_another_time_zone(self, store: Store) -> None:
        moments = {
            "a": "2022-03-26T22:30:00Z",  # clocks go forward on the 27th at 01:00 UTC
            "b": "2022-03-27T21:30:00Z",
            "c": "2022-07-01T20:59:59Z",
            "d": "2022-10-30T21:30:00Z",  # and went back on this day
            "e": "1931-03-01T23:59:59Z",
        }
        write(store, *(story(name, tags=tags("aid"), published=moment) for name, moment in moments.items()))
        write(store, story("f", published=None))
        days = {"1931-03-02": 1, "2022-03-27": 1, "2022-03-28": 1, "2022-07-01": 1, "2022-10-30": 1}
        assert store.count(Query(zone="Europe/Kyiv"), "day") == {"": 1, **days}
        assert store.days(Query(zone="Europe/Kyiv"), "topic") == {"aid": days}
        assert store.days(Query("convoys", zone="Europe/Kyiv"), "source") == {"news.example": days}
        assert store.count(Query(zone="America/New_York", topics=["aid"]), "day") == {
            "1931-03-01": 1,
            "2022-03-26": 1,
            "2022-03-27": 1,
            "2022-07-01": 1,
            "2022-10-30": 1,
        }

    def test_copies_are_the_other_stories_of_the_cluster(self, store: Store) -> None:
        lead, copy = story("a"), story("b", cluster="id-a", lead=False, text="Short.")
        write(store, lead, copy, story("c"))
        hits = store.search(Query("convoys")).hits
        assert {hit.story.id: hit.copies for hit in hits} == {"id-a": 1, "id-c": 0}

    def test_the_snippet_shows_where_it_stands(self, store: Store) -> None:
        far = "Roads were dry and the fields were quiet that day. " * 40
        text = f"{far}\n\nThen <b>artillery</b>\nshells fell & troops were deployed near the mill.\n{far}"
        write(store, story("a", title=None, text=text))
        (hit,) = store.search(Query('artillery "troops were deploying" mil*')).hits
        marked = [hit.snippet[start:end] for start, end in hit.marks]
        assert marked == ["artillery", "troops were deployed", "mill"]
        assert "<b>artillery</b> shells fell & troops" in hit.snippet
        assert 25 <= len(hit.snippet.split()) <= 40
        (hit,) = store.search(Query("")).hits
        assert hit.snippet.startswith("Roads were dry")
        assert not hit.marks

    def test_the_title_alone_may_match(self, store: Store) -> None:
        write(store, story("a", title="Harvest", text=TEXT), story("b", title="Harvest", text=""))
        hits = {hit.story.id: hit for hit in store.search(Query("harvest")).hits}
        assert hits["id-a"].snippet.startswith("Three convoys")
        assert (hits["id-b"].snippet, list(hits["id-b"].marks)) == ("", [])

    def test_nothing_typed_is_an_error(self, store: Store) -> None:
        # An own function for each store: Hypothesis refuses one that two classes share.
        @settings(max_examples=60, deadline=None)
        @given(st.text(st.characters(exclude_categories=[]), max_size=60) | st.text('ab"*-+()^:\0 中', max_size=30))
        def typed(text: str) -> None:
            query = Query(text)
            result = store.search(query)
            assert len(result.hits) <= result.total
            store.count(query, "day")

        typed()

    def test_long_queries_are_no_error(self, store: Store) -> None:
        write(store, story("a"))
        for text in ("(" * 5000, "grain " * 10_000, '"' * 9999, "a" * 50_000, "中" * 5000, "a* " * 500, "-a " * 500):
            store.search(Query(text))
        assert found(store, "grain " * 10_000) == ["a"]

    def test_export_comes_in_the_order_of_ids_whatever_is_written_meanwhile(self, store: Store) -> None:
        names = ["b", "B", "a", "Ü", "10", "9", "é"]
        write(store, *(story(name) for name in names))
        stream = store.export(Query(limit=1, offset=3))
        first = next(stream)
        write(store, story("c"), story("a", title="Changed"))
        rest = [told.id for told in stream]
        expected = sorted(f"id-{name}" for name in names)
        assert [ident for ident in (first.id, *rest) if ident != "id-c"] == expected

    def test_an_export_may_be_left_early(self, store: Store) -> None:
        write(store, story("a"), story("b"))
        stream = store.export(Query())
        next(stream)
        assert isinstance(stream, Iterator)
        stream.close()  # type: ignore[attr-defined]
        write(store, story("c"))

    def test_counts(self, store: Store) -> None:
        write(
            store,
            story("a", tags=tags("aid", "escalation", main=["aid"]), published="2022-05-24T01:00:00+03:00"),
            story("b", tags=tags("aid"), published="2022-05-24", source="x.example", language="uk"),
            story("c", published=None, source=None, language=None),
            story("d", published="1931-03-01T23:59:59Z"),
        )
        assert list(store.count(Query(), "day").items()) == [
            ("", 1),
            ("1931-03-01", 1),
            ("2022-05-23", 1),
            ("2022-05-24", 1),
        ]
        assert list(store.count(Query(), "topic").items()) == [("aid", 2), ("escalation", 1)]
        assert store.count(Query(), "main_topic") == {"aid": 1}
        assert list(store.count(Query(), "source").items()) == [("news.example", 2), ("", 1), ("x.example", 1)]
        assert store.count(Query(), "language") == {"en": 2, "": 1, "uk": 1}
        assert store.count(Query("grain", limit=1), "day")["2022-05-24"] == 1
        assert store.count(Query("nowhere"), "topic") == {}
        with pytest.raises(ValueError, match="weather"):
            store.count(Query(), "weather")

    def test_several_counts_at_once(self, store: Store) -> None:
        write(
            store,
            story("a", tags=tags("aid", "escalation", main=["aid"])),
            story("b", tags=tags("aid"), source="x.example", published="2014-03-01", text="A lighthouse went dark."),
            story("c", published=None),
        )
        asked = [
            (Query(topics=["aid"]), "topic"),
            (Query("lighthouse"), "source"),
            (Query(), "day"),
            (Query(statuses=["asserted"]), "status"),
            (Query("nowhere"), "rule"),
            (Query(since=moment(0)), "language"),
        ]
        assert store.counts(asked) == [store.count(query, by) for query, by in asked]
        assert [list(counts) for counts in store.counts(asked[:2])] == [["aid", "escalation"], ["x.example"]]
        assert store.counts([]) == []
        with pytest.raises(ValueError, match="weather"):
            store.counts([*asked, (Query(), "weather")])

    def test_largest_clusters(self, store: Store) -> None:
        write(
            store,
            *(
                story(f"{c}{n}", cluster=f"id-{c}0", lead=n == 0)
                for c, k in (("b", 2), ("a", 2), ("c", 3), ("d", 1))
                for n in range(k)
            ),
        )
        assert store.largest_clusters(2) == [("id-c0", 3), ("id-a0", 2)]
        assert store.largest_clusters(9) == [("id-c0", 3), ("id-a0", 2), ("id-b0", 2)]

    def test_info_says_what_it_is(self, store: Store) -> None:
        write(store, story("a"))
        info = store.info()
        assert info["stories"] == 1
        assert {"kind", "where", "version"} <= set(info)


def strange_stories() -> Iterator[Story]:
    """Stories with all that a round trip could lose."""
    yield story("plain")
    yield story("tagged", tags=tags("aid", "deployments", main=["aid"]))
    yield story(STRANGE, title="T “x” 🇺🇦 ẞ\u0301", text="ℵ\n\n\ttab\u2028\U0001f469\u200d\U0001f33e", authors=())
    nothing = ("guid", "url", "canonical_url", "source", "feed", "title", "language", "published", "published_from")
    yield story("nothing", **dict.fromkeys(nothing), keys=(), text="")
    yield story("kind", page_kind="live_blog", partial=True)
    exact = timedelta(microseconds=123_456)
    yield story(
        "clocks",
        published="2022-05-24T23:59:59.5-11:30",
        first_seen=moment() + exact,
        captured=moment(1) + exact,
        indexed=moment(2) + exact,
        feeds=("z", "a"),
        rewritten_from="id-plain",
        cluster="id-plain",
        lead=False,
    )
    texts = [content("revised", text=f"Version {number}. {TEXT}", text_from=TextFrom.TEASER) for number in range(3)]
    versions = tuple(Version(told, moment(n), moment(n + 0.5) + exact) for n, told in enumerate(texts))
    yield story("revised", versions=versions, published="2022-05-24")


def ids_exported(store: Store) -> list[str]:
    return [told.id for told in store.export(Query())]


def ids_between(store: Store, since: float, until: float) -> list[str]:
    return [ident for window in store.window(moment(since), moment(until)) for ident in window.ids]


def everything(store: Store) -> tuple[Any, ...]:
    """All that readers can see."""
    windows = list(store.window(moment(-999), moment(999)))
    ids = [ident for window in windows for ident in window.ids]
    return (
        list(store.export(Query())),
        [(hit.story.id, hit.score, hit.snippet) for hit in store.search(Query("grain")).hits],
        (ids, store.links(ids), [window.shingles.tolist() for window in windows]),
        [store.count(Query(), by) for by in ("day", "topic", "main_topic", "source", "language")],
        store.bookings(),
        store.info()["stories"],
    )
