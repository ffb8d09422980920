"""The store on Elasticsearch, a real one: the port's contract, and what only a server has."""

from __future__ import annotations

import json
import os
import secrets
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from builders import content, fingerprint, moment, story, tags
from elasticsearch import Elasticsearch

from ingest import dedup
from ingest import settings as configuration
from ingest.errors import LeaseLost, SettingsError, StoreGone
from ingest.models import Link
from ingest.pipeline import jobs, retrying, runs
from ingest.pipeline.pipe import Pipe
from ingest.pipeline.publishing import publish
from ingest.settings import Settings
from ingest.store import Booking, Found, Query, Slice, Store
from ingest.store.elastic import ElasticStore, Layout, Server
from ingest.store.elastic.connection import Connection
from ingest.store.elastic.layout import VERSION
from ingest.store.elastic.writing import Change
from tests import elastic_server
from tests.elastic_server import PREFIX, wipe

pytest.register_assert_rewrite("store_contract")

from store_contract import Clock, StoreContract, everything, found, leased, write  # noqa: E402  # after the line above

ARCHIVE = Path(__file__).parents[1] / "seeds" / "archive"


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def store(elasticsearch_url: str, client: Elasticsearch, clock: Clock) -> Iterator[ElasticStore]:
    wipe(client, PREFIX)
    store = ElasticStore(Server.read(elasticsearch_url), Layout(PREFIX), clock=clock)
    yield store
    if store._layout.generation > 1:  # it was rebuilt
        wipe(client, PREFIX, whole=True)
    store.close()


class TestContract(StoreContract):
    pass


def versions(client: Elasticsearch) -> dict[str, tuple[int, int]]:
    """Every document of the store and how often it was written; the lease's and the journal's left out."""
    client.indices.refresh(index=f"{PREFIX}*")
    found = client.search(index=f"{PREFIX}*", size=10_000, version=True, seq_no_primary_term=True, source=False)
    return {
        f"{hit['_index']}/{hit['_id']}": (hit["_version"], hit["_seq_no"])
        for hit in found["hits"]["hits"]
        if "-control" not in hit["_index"]
    }


def controls(client: Elasticsearch) -> set[str]:
    """What the control index holds."""
    index = f"{PREFIX}sitrep-v{VERSION}-control"
    client.indices.refresh(index=index)
    return {hit["_id"] for hit in client.search(index=index, size=100, source=False)["hits"]["hits"]}


FULL: dict[str, Any] = {
    "fingerprints": {"id-a": fingerprint("7"), "id-b": fingerprint(seed=3)},
    "aliases": {"news.example/a": "id-a"},
    "links": [Link("id-a", "id-b", 1.0, 0.0, (("7",), ()))],
    "booking": Booking("f", "v", "r", 2, True, {"": {"indexed": 2}}, {"x": 1}),
}


def test_publishing_again_makes_no_version(store: ElasticStore, client: Elasticsearch) -> None:
    told = story("a", tags=tags("aid", "escalation", main=["aid"])), story("b", published=None)
    write(store, *told, clusters={"id-b": ("id-b", True)}, **FULL)
    before = versions(client)
    assert len(before) == 7
    write(store, *told, clusters={"id-b": ("id-b", True)}, **FULL)
    write(store, touched=told)
    assert versions(client) == before


# where stories lie ---------------------------------------------------------------------------------------------------
def months(client: Elasticsearch) -> dict[str, list[str]]:
    client.indices.refresh(index=f"{PREFIX}*")
    found: dict[str, list[str]] = {}
    for hit in client.search(index=f"{PREFIX}stories", size=100)["hits"]["hits"]:
        found.setdefault(hit["_index"].removeprefix(f"{PREFIX}stories-v{VERSION}-"), []).append(
            hit["_id"].removeprefix("id-")
        )
    return found


def test_a_story_stays_in_the_month_where_it_was_first_put(store: ElasticStore, client: Elasticsearch) -> None:
    may = story("a", published="2022-05-31T23:59:59-03:00")  # June in UTC
    undated = story("u", published=None, first_seen=moment())
    old, older = story("o", published="2014-12-31"), story("p", published="1931-03-01")
    write(store, may, undated, old, older, fingerprints={each.id: fingerprint() for each in (may, undated, old, older)})
    there = {"2022.06": ["a"], "2022.05": ["u"], "2014": ["o"], "1931": ["p"]}
    assert months(client) == there
    moved = replace(undated, published="2021-01-01", published_from="page")
    write(store, moved, replace(may, published=None))
    assert months(client) == there
    assert store.get(["id-u"])["id-u"] == moved
    assert [told.id for told in store.export(Query())] == ["id-a", "id-o", "id-p", "id-u"]
    (window,) = store.window(moved.instant(), moved.instant())
    assert list(window.ids) == ["id-u"]


def test_mappings_are_strict_and_everything_in_them_is_used(store: ElasticStore, client: Elasticsearch) -> None:
    write(store, story("a", tags=tags("aid")), **{**FULL, "fingerprints": {"id-a": fingerprint("7")}})
    for index, mapped in client.indices.get_mapping(index=f"{PREFIX}*").items():
        assert mapped["mappings"]["dynamic"] == "strict", index
    index = f"{PREFIX}stories-v{VERSION}-2022.05"
    fields = client.indices.get_mapping(index=index)[index]["mappings"]["properties"]
    document = client.get(index=index, id="id-a")["_source"]
    assert document.keys() == fields.keys()


def test_kibana_finds_words_in_any_form_by_its_own_fields(store: ElasticStore, client: Elasticsearch) -> None:
    write(store, story("en", text="The convoys’ drivers were deploying."), story("uk", text="Колонна у Львові"))
    for asked, expected in {"convoy": ["en"], "DEPLOYED": ["en"], "львові": ["uk"], "колон": []}.items():
        hits = client.search(index=f"{PREFIX}stories", query={"match": {"text": asked}})["hits"]["hits"]
        assert [hit["_id"][3:] for hit in hits] == expected, asked
    proof = {"nested": {"path": "evidence", "query": {"term": {"evidence.status": "asserted"}}}}
    assert client.count(index=f"{PREFIX}stories", query=proof)["count"] == 0


def test_kibana_is_told_how_long_a_story_of_a_feed_took(store: ElasticStore, client: Elasticsearch) -> None:
    told = {
        "feed": story("feed", published="2022-05-24T13:00:00+03:00", indexed=moment()),
        "ahead": story("ahead", published="2022-05-24T12:00:30Z", indexed=moment()),
        "day": story("day", published="2022-05-24", indexed=moment()),
        "undated": story("undated", published=None, indexed=moment()),
        "archive": story("archive", published="2022-05-24T10:00:00Z", indexed=moment(), feeds=()),
    }
    write(store, *told.values())
    hits = client.search(index=f"{PREFIX}stories", source=["delay_s"])["hits"]["hits"]
    delays = {hit["_id"][3:]: hit["_source"]["delay_s"] for hit in hits}
    assert delays == {"feed": 7200, "ahead": -30, "day": None, "undated": None, "archive": None}
    assert store.get(["id-feed"])["id-feed"] == told["feed"]


def test_a_closed_month_is_no_answer_with_a_month_missing(store: ElasticStore, client: Elasticsearch) -> None:
    write(store, story("a"), story("b", published="2022-06-01"))
    index = f"{PREFIX}stories-v{VERSION}-2022.06"
    client.indices.close(index=index)
    try:
        for ask in (
            lambda: store.search(Query()),
            lambda: list(store.export(Query())),
            lambda: store.get(["id-a"]),
            lambda: store.count(Query(), "topic"),
            lambda: store.counts([(Query(), "topic"), (Query(), "day")]),
        ):
            with pytest.raises(StoreGone, match="closed"):
                ask()
    finally:
        client.indices.open(index=index)


def test_hits_beyond_what_elasticsearch_skips(store: ElasticStore, monkeypatch: pytest.MonkeyPatch) -> None:
    write(store, *(story(f"{n:02}", published=f"2022-05-{n + 1:02}") for n in range(25)))
    monkeypatch.setattr("ingest.store.elastic.RESULT_WINDOW", 4)
    for text in ("", "convoys"):
        names = [found(store, text, limit=3, offset=offset) for offset in range(0, 30, 3)]
        assert [name for page in names for name in page] == [f"{n:02}" for n in reversed(range(25))]
        assert store.search(Query(text, limit=3, offset=21)).total == 25


# a publisher that dies, or sleeps ------------------------------------------------------------------------------------
class Cut(Exception):
    """The process ends here."""


@pytest.mark.parametrize("requests", range(9))
def test_a_publisher_that_dies_leaves_all_of_a_slice_or_nothing(
    store: ElasticStore,
    elasticsearch_url: str,
    client: Elasticsearch,
    clock: Clock,
    monkeypatch: pytest.MonkeyPatch,
    requests: int,
) -> None:
    """Cut off before each request that writes, as a kill would do; the next publisher finds what a whole run leaves."""
    told = story("a"), story("b", cluster="id-a", lead=False)
    write(store, story("old"))
    lease = leased(store, "elsewhere:1:a")
    left = requests
    plain = store._wire.request

    def cut(method: str, path: str, *args: Any, **params: Any) -> Any:
        nonlocal left
        if method == "PUT" or "_bulk" in path or "_refresh" in path:
            if not left:
                raise Cut
            left -= 1
        return plain(method, path, *args, **params)

    monkeypatch.setattr(store._wire, "request", cut)
    slice_ = Slice(stories=told, clusters={"id-old": ("id-a", False)}, **FULL)
    died = False
    try:
        store.write(slice_, lease)
    except Cut:
        died = True
    monkeypatch.undo()
    other = ElasticStore(Server.read(elasticsearch_url), Layout(PREFIX), clock=clock)
    clock.now += 31
    new = leased(other, "elsewhere:2:b")
    assert controls(client) == {"lease", "layout"}, "a journal is left over"
    booked = other.bookings(["f"])
    if booked:
        assert other.get(["id-a", "id-b"]) == {each.id: each for each in told}
        assert other.heads(["id-old"])["id-old"].cluster == "id-a"
        assert other.links(["id-a"]) == FULL["links"]
        assert other.resolve(["news.example/a"]) == {"news.example/a": "id-a"}
        assert other.fingerprints(["id-a"]).keys() == {"id-a"}
        assert [list(window.ids) for window in other.window(moment(-1), moment(1))] == [["id-a", "id-b"]]
    else:
        assert other.get(["id-a", "id-b"]) == {}
        assert (other.links(["id-a"]), other.resolve(["news.example/a"])) == ([], {})
        assert died
    assert bool(booked) == (requests >= 3), "the lease's document decides; the journal and a month come before it"
    other.write(slice_, new)
    other.release(new)
    assert other.bookings(["f"]) == {"f": FULL["booking"]}
    assert everything(other) == everything(store)
    other.close()


def test_a_journal_of_many_pieces_comes_back(store: ElasticStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ingest.store.elastic.journal.PIECE", 3000)
    listed = [Change("stories", f"id-{n}", {"text": secrets.token_hex(50)}, month="2022.05") for n in range(450)]
    names = store._journal.keep(listed)
    assert len(names) > 5
    assert store._journal.read(names) == listed
    store._journal.forget(names)
    assert store._journal.read(names) is None


def test_a_publisher_that_wakes_up_late_overwrites_nothing(
    store: ElasticStore, elasticsearch_url: str, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It sleeps where it hurts most: after its lease was checked, before its documents are sent."""
    write(store, story("a"))
    late = leased(store, "elsewhere:1:late")
    other = ElasticStore(Server.read(elasticsearch_url), Layout(PREFIX), clock=clock)
    newer = story("a", title="Newer"), story("b", title="Newer")
    plain = store._wire.request

    def sleepy(method: str, path: str, *args: Any, **params: Any) -> Any:
        if "_bulk" in path:
            monkeypatch.undo()
            clock.now += 31
            lease = leased(other, "elsewhere:2:new")
            assert other.get(["id-a"])["id-a"].content.title == "Older"  # what had begun was finished
            other.write(Slice(stories=newer), lease)
        return plain(method, path, *args, **params)

    monkeypatch.setattr(store._wire, "request", sleepy)
    with pytest.raises(LeaseLost):
        store.write(Slice(stories=[story("a", title="Older"), story("b", title="Older")]), late)
    assert other.get(["id-a", "id-b"]) == {told.id: told for told in newer}
    other.close()


def test_what_another_client_wrote_meanwhile_is_written_over(
    store: ElasticStore, client: Elasticsearch, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somebody who knows no lease (Kibana's console) changes a document between looking and writing."""
    write(store, story("a"))
    plain = store._wire.request
    index = f"{PREFIX}stories-v{VERSION}-2022.05"

    def disturbed(method: str, path: str, *args: Any, **params: Any) -> Any:
        if "_bulk" in path:
            monkeypatch.undo()
            client.update(index=index, id="id-a", doc={"title": "Not ours"})
            client.index(index=index, id="id-b", document={"id": "id-b", "title": "Not ours"})
        return plain(method, path, *args, **params)

    monkeypatch.setattr(store._wire, "request", disturbed)
    told = story("a", title="Ours"), story("b", title="Ours")
    write(store, *told)
    assert store.get(["id-a", "id-b"]) == {each.id: each for each in told}


# refused -------------------------------------------------------------------------------------------------------------
def test_one_story_in_a_thousand_is_refused_and_the_rest_is_unharmed(store: ElasticStore) -> None:
    told = [story(f"{n:03}") for n in range(1000)]
    told[500] = story("500", published="2022-05-24T12:00:00+19:00")  # a zone that Elasticsearch does not know
    lease = leased(store)
    refused = store.write(Slice(stories=told, booking=FULL["booking"]), lease)
    assert list(refused) == ["id-500"]
    assert "published" in refused["id-500"]
    assert store.bookings() == {}
    assert (
        store.write(Slice(stories=[each for each in told if each.id not in refused], booking=FULL["booking"]), lease)
        == {}
    )
    store.release(lease)
    assert store.info()["stories"] == 999
    assert store.bookings() == {"f": FULL["booking"]}


def test_a_story_with_too_long_an_id_is_refused(store: ElasticStore) -> None:
    lease = leased(store)
    assert list(store.write(Slice(stories=[story("x" * 600), story("a")]), lease)) == [f"id-{'x' * 600}"]
    store.release(lease)
    assert store.get(["id-a"])


# the same as the embedded store --------------------------------------------------------------------------------------
@pytest.fixture(scope="module")
def both(
    elasticsearch_url: str, client: Elasticsearch, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Pipe, Pipe]]:
    """The bundled archive on both stores, from one landing zone; taken in as any archive is."""
    home = tmp_path_factory.mktemp("both")
    plain = Settings(home=home, landing=str(home / "landing"), workers=2)
    embedded = Pipe(plain)
    jobs.backfill(embedded, runs.start("archive"), [str(ARCHIVE)])
    prefix = f"{PREFIX}both-"
    served = Pipe(replace(plain, elasticsearch_url=elasticsearch_url, elasticsearch_prefix=prefix))
    jobs.backfill(served, runs.start("archive"), [str(ARCHIVE)])
    yield embedded, served
    served.close()
    embedded.close()
    wipe(client, prefix, whole=True)


def exported(store: Store) -> list[str]:
    return [json.dumps({**told.to_json(), "indexed": None}) for told in store.export(Query())]


def test_a_backfill_gives_the_same_on_both_stores(both: tuple[Pipe, Pipe]) -> None:
    embedded, served = both
    assert exported(served.store) == exported(embedded.store)
    assert len(exported(served.store)) == 40
    parts = embedded.landing.parts()
    for path, booking in embedded.store.bookings(parts).items():
        assert served.store.bookings()[path] == replace(booking, run=served.store.bookings()[path].run)
    ids = [told.id for told in embedded.store.export(Query())]
    assert served.store.links(ids) == embedded.store.links(ids)
    assert served.store.largest_clusters(9) == embedded.store.largest_clusters(9)


SINCE, UNTIL = datetime.fromisoformat("2024-01-01T00:00:00Z"), datetime.fromisoformat("2024-07-13T00:00:00Z")
QUERIES = [
    *map(
        Query,
        """
        artillery|shells|ukraine|Ukraine's|UKRAINIAN|troops|soldier|soldiers|deploys|deployed|deployment|escalate
        escalating|first aid|"first aid"|aid|hearing aids|convoy|convoys|-ukraine|artillery -ukraine|ukraine -artillery
        -ukraine -russia|"artillery shells"|"shells artillery"|"400,000 artillery shells"|400,000|340,000|"promised on"
        nine governments|"nine European governments" july|artiller*|dep*|esc* -net|a*|uk* mil*|"air defence" syst*
        Bundeswehr|soldaten|"erste soldaten"|Litauen|ayuda humanitaria|Turquía|turquia|humanitaire|l'aide|d'aide|aide
        frégate|FREGATE|"mer rouge"|Україні|україні снарядів|"180 тисяч"|снаряд*|навчання|Армения|переговоры|переговор*
        ещё|Білорусь і Росія|7 billion|"7 billion dollars"|62-year|two-day|two day|antiaircraft|IMF|U.S.|Kyiv's
        !!!|*|( ukraine )|ukraine OR russia|title:ukraine|"unclosed ukraine|-"artillery shells" ukraine|中国|the
        missile* -"north korea"|Gotland train*|reopened telephone line|Tallinn -launchers
    """.strip()
        .replace("\n", "|")
        .split("|"),
    ),
    Query("ukraine", topics=["aid"]),
    Query("ukraine", topics=["aid", "escalation"], languages=["en"]),
    Query("", topics=["deployments"]),
    Query("", languages=["de", "uk"]),
    Query("soldat*", languages=["de"]),
    Query("", sources=["northwire.example", "Meridian Review"]),
    Query("", sources=["Степовий вісник"]),
    Query("", since=SINCE),
    Query("", until=UNTIL),
    Query("ukraine", since=SINCE, until=UNTIL),
    Query("", since=SINCE, until=UNTIL, leads_only=True),
    Query("shells", leads_only=True),
    Query("", topics=["nothing"]),
    Query("ukraine -shells", topics=["aid"], languages=["en"], since=SINCE, leads_only=True),
]


def shown(result: Found) -> dict[str, Any]:
    return {hit.story.id: (hit.snippet, tuple(hit.marks), hit.copies) for hit in result.hits}


@pytest.mark.parametrize("query", QUERIES, ids=lambda query: query.text.strip() or "filters")
def test_a_query_finds_the_same_stories_on_both_stores(both: tuple[Pipe, Pipe], query: Query) -> None:
    embedded, served = (pipe.store for pipe in both)
    query = replace(query, text=query.text.strip(), limit=100)
    expected, got = embedded.search(query), served.search(query)
    assert got.total == expected.total
    shown = [
        {hit.story.id: (hit.snippet, tuple(hit.marks), hit.copies) for hit in each.hits} for each in (got, expected)
    ]
    assert shown[0] == shown[1]
    if not query.text:
        assert [hit.story.id for hit in got.hits] == [hit.story.id for hit in expected.hits]
    assert [told.id for told in served.export(query)] == [told.id for told in embedded.export(query)]
    asked = [(query, by) for by in ("day", "topic", "main_topic", "source", "language", "status", "rule")]
    for got, wanted in zip(served.counts(asked), embedded.counts(asked), strict=True):
        assert list(got.items()) == list(wanted.items())


def test_the_table_of_queries_is_worth_something(both: tuple[Pipe, Pipe]) -> None:
    totals = [both[0].store.search(query).total for query in QUERIES]
    assert len(QUERIES) >= 60
    assert sum(0 < total < 40 for total in totals) >= 60


def test_publishing_again_changes_nothing_on_both_stores(both: tuple[Pipe, Pipe]) -> None:
    before = [everything(pipe.store) for pipe in both]
    for pipe in both:
        publish(pipe, run="again")
    assert [everything(pipe.store) for pipe in both] == before


def test_a_refused_story_is_quarantined_and_counted(
    elasticsearch_url: str, client: Elasticsearch, tmp_path: Path
) -> None:
    """Of three that tell the same, the earliest is refused: the others are there as if it had not been."""
    prefix = f"{PREFIX}refused-"
    home = tmp_path / "home"
    served = {"elasticsearch_url": elasticsearch_url, "elasticsearch_prefix": prefix}
    pipe = Pipe(Settings(home=home, landing=str(home / "landing"), **served))
    bad = content("bad", published="2022-05-24T23:00:00+19:00")
    told = [bad, content("a"), content("b", published="2022-05-24T16:00:00+03:00")]
    prints = dedup.fingerprints([(each.title, each.text) for each in told])
    pipe.landing.write_part("stories/archive/x/00000", told, prints, {"counts": {}, "reasons": {"y": 1}, "last": True})
    (booking,) = publish(pipe, run="r").values()
    assert booking.counts == {"": {"indexed": 1, "duplicate": 1, "quarantined": 1}}
    assert booking.reasons == {"y": 1, "refused_by_store": 1}
    assert booking.complete
    assert {told.id: (told.cluster, told.lead) for told in pipe.store.export(Query())} == {
        "id-a": ("id-a", True),
        "id-b": ("id-a", False),
    }
    (item,) = pipe.landing.quarantined()
    assert (item.reason, item.meta["url"]) == ("refused_by_store", bad.url)
    assert json.loads(pipe.landing.quarantined_bytes(item.id))["id"] == "id-bad"
    for _ in range(2):
        again = retrying.retry(pipe, runs.start("replay"), [item.id])
        assert {str(name): n for name, n in again.outcomes.items() if n} == {"quarantined": 1}
        assert [each.id for each in pipe.landing.quarantined()] == [item.id]
    pipe.close()
    wipe(client, prefix, whole=True)


def test_the_keys_that_are_granted_do_their_work_and_no_more(
    elasticsearch_url: str, client: Elasticsearch, store: ElasticStore
) -> None:
    prefix = f"{PREFIX}keys-"
    address = elastic_server.parted(elasticsearch_url)[0]
    keys = ElasticStore(Server.read(elasticsearch_url), Layout(prefix)).grant()
    keyed = {name: ElasticStore(Server.read(address, api_key=key), Layout(prefix)) for name, key in keys.items()}
    with pytest.raises(StoreGone, match="lacks a right"):
        write(keyed["writer"], story("a"))  # nothing is set up, and it may not
    keyed["setup"].setup()
    write(keyed["writer"], story("a"), **FULL)
    write(keyed["writer"], story("a", title="Changed"), clusters={"id-a": ("id-z", False)})
    assert [one.what for one in keyed["writer"].check() if not one.ok] == []
    assert found(keyed["reader"], "convoys") == ["a"]
    assert len(list(keyed["reader"].export(Query()))) == 1
    assert client.options(api_key=keys["reader"]).count(index=f"{prefix}stories")["count"] == 1
    with pytest.raises(StoreGone, match="lacks a right"):
        write(keyed["reader"], story("b"))
    with pytest.raises(StoreGone, match="lacks a right"):
        keyed["writer"].setup()
    with pytest.raises(StoreGone, match="lacks a right"):
        keyed["writer"].grant()
    for each in keyed.values():
        each.close()
    wipe(client, prefix, whole=True)


# settings ------------------------------------------------------------------------------------------------------------
def test_addresses_are_parted_from_secrets() -> None:
    server = Server.read("https://me:p%40ss@a.example, http://localhost:9201/es/,http://[::1]:9200")
    assert server.hosts == ("https://a.example:443", "http://localhost:9201/es", "http://[::1]:9200")
    assert (server.user, server.password, server.exposed) == ("me", "p@ss", [])
    assert "p@ss" not in repr(server)
    assert Server.read("http://es.example").exposed == ["http://es.example:9200"]
    keyed = Server.read("https://me:p%40ss@a.example", api_key="key==")
    assert (keyed.user, keyed.password) == ("", "")
    names = ("URL", "API_KEY", "PASSWORD")
    loaded = configuration.load({f"SITREP_ELASTICSEARCH_{name}": f"hush-{name}" for name in names})
    assert loaded.elasticsearch_url == "hush-URL"
    assert "hush" not in repr(loaded)


@pytest.mark.parametrize("url", ["ftp://hush", "https://", "hush.example:9200", "http://hush:99999", ","])
def test_an_address_that_is_none_is_a_wrong_setting(url: str) -> None:
    with pytest.raises(SettingsError, match="SITREP_ELASTICSEARCH_URL") as told:
        Server.read(url)
    assert "hush" not in str(told.value)


def test_one_warning_where_keys_go_unencrypted(caplog: pytest.LogCaptureFixture) -> None:
    for _ in range(2):
        ElasticStore(Server.read("http://me:hush@es.example"))
    ElasticStore(Server.read("http://me:hush@127.0.0.1,https://es.example"))
    assert [record.getMessage() for record in caplog.records] == [
        "http://es.example:9200: stories and keys go there unencrypted; use https"
    ]


def test_check_says_what_is_wrong_and_what_to_do(elasticsearch_url: str, store: ElasticStore, tmp_path: Path) -> None:
    def check(url: str, prefix: str) -> tuple[int, str, str]:
        environ = {**os.environ, "SITREP_HOME": str(tmp_path), "SITREP_ELASTICSEARCH_URL": url}
        command = [sys.executable, "-m", "ingest", "store", "check"]
        environ["SITREP_ELASTICSEARCH_PREFIX"] = prefix
        done = subprocess.run(command, env=environ, capture_output=True, text=True, check=False, timeout=60)
        return done.returncode, done.stdout, done.stderr

    write(store, story("a"))
    address, _, password = elastic_server.parted(elasticsearch_url)
    code, told, _ = check(elasticsearch_url, PREFIX)
    assert code == 0, told
    assert "may read and publish" in told
    code, told, complaint = check(elasticsearch_url, f"{PREFIX}none-")
    assert (code, "Run `sitrep store setup`" in told) == (1, True)
    code, told, complaint = check(address.replace("://", "://sitrep:hush@"), PREFIX)
    assert (code, "is not accepted" in told) == (1, True)
    assert not any(secret in text for secret in ("hush", password) for text in (told, complaint))


MOVES = """
import sitrep_moves
loaded = sitrep_moves.settings()
assert "hush" not in repr(loaded), loaded
print(loaded.elasticsearch_url, loaded.elasticsearch_user, loaded.elasticsearch_password, loaded.elasticsearch_api_key)
"""


@pytest.mark.parametrize(
    ("connection", "told"),
    [
        ({"host": "es.example", "schema": "https", "port": 9200, "login": "me", "password": "hush12"},
         "https://es.example:9200 me hush12 "),
        ({"host": "https://a:1,https://b:2", "extra": {"api_key": "hush=="}}, "https://a:1,https://b:2   hush=="),
        (None, "http://environment:1 them  "),
    ],
    ids=["one host", "several hosts", "none"],
)  # fmt: skip
def test_airflows_connection_wins(tmp_path: Path, connection: dict[str, Any] | None, told: str) -> None:
    environ = {
        **{name: value for name, value in os.environ.items() if not name.startswith("AIRFLOW")},
        "AIRFLOW_HOME": str(tmp_path),
        "SITREP_HOME": str(tmp_path),
        "SITREP_ELASTICSEARCH_URL": "http://environment:1",
        "SITREP_ELASTICSEARCH_USER": "them",
    }
    if connection:
        environ["AIRFLOW_CONN_SITREP_ELASTICSEARCH"] = json.dumps({"conn_type": "generic", **connection})
    done = subprocess.run(
        [sys.executable, "-c", MOVES], env=environ, capture_output=True, text=True, check=False, timeout=100
    )
    assert done.stdout.splitlines()[-1:] == [told], done.stderr[-2000:]


def test_a_chart_takes_one_request(store: ElasticStore, monkeypatch: pytest.MonkeyPatch) -> None:
    write(store, story("a", published="2022-05-24"), story("b", published=None))
    store.count(Query(), "day")  # has looked where it is
    asked: list[str] = []
    plain = Connection.request

    def request(self: Connection, method: str, path: str, *args: Any, **params: Any) -> Any:
        asked.append(path)
        return plain(self, method, path, *args, **params)

    monkeypatch.setattr(Connection, "request", request)
    assert store.chart(Query(), "source")[0] == {"": 1, "2022-05-24": 1}
    assert asked == ["/_msearch"]
