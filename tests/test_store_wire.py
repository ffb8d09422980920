"""What Elasticsearch answers when it is busy, too old or too small, told by a stand-in: a real one does so when it
likes. And what the tests themselves do where there is no server."""

from __future__ import annotations

import json
from types import SimpleNamespace

import pytest

from ingest.errors import StoreGone
from ingest.store.elastic import ElasticStore, Layout, Server
from ingest.store.elastic import bulk as bulks
from ingest.store.elastic import connection as wire
from tests import elastic_server
from tests.servers import FaultServer, Reply

KIND = {"X-Elastic-Product": "Elasticsearch", "Content-Type": "application/json"}


def reply(status: int, body: object, **headers: str) -> Reply:
    return Reply(status, json.dumps(body).encode(), {**KIND, **headers})


BUSY = {"error": {"type": "circuit_breaking_exception", "reason": "too much at once"}}


@pytest.fixture
def waited(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The pauses that were made (s), without waiting for them."""
    pauses: list[float] = []
    monkeypatch.setattr(wire, "time", SimpleNamespace(sleep=pauses.append))
    return pauses


@pytest.mark.parametrize("status", [429, 502, 503, 504])
def test_a_busy_server_is_asked_again_and_not_before_it_says(
    server: FaultServer, waited: list[float], status: int
) -> None:
    busy = reply(status, BUSY)
    server.on("/x", [busy, busy, reply(status, BUSY, **{"Retry-After": "17"}), busy, reply(200, {"done": True})])
    assert wire.Connection(Server.read(server.url(""))).request("GET", "/x").body == {"done": True}
    assert waited[2] == 17
    free = [*waited[:2], waited[3]]
    assert all(0.25 <= pause <= wire.LONGEST_PAUSE for pause in free)
    assert free == sorted(free), "each is longer than the one before"


@pytest.mark.parametrize(
    ("url", "why", "advice"),
    [
        ("http://127.0.0.1:9", "nobody answers at that port", "Is it running, and is its port right"),
        ("http://elastic.invalid:9200", "its name is not known here", "Is the host spelt right"),
    ],
    ids=["port", "name"],
)
def test_who_cannot_be_reached_is_told_why(waited: list[float], url: str, why: str, advice: str) -> None:
    with pytest.raises(StoreGone, match=f"cannot be reached: {why}") as error:
        wire.Connection(Server.read(url)).request("GET", "/")
    assert advice in error.value.advice
    assert len(waited) == wire.TRIES_GONE - 1
    (bad,) = [one for one in ElasticStore(Server.read(url)).check() if "reached:" in one.what]
    assert advice in bad.advice


def test_the_check_does_not_send_to_itself(server: FaultServer) -> None:
    forbidden = {"error": {"type": "security_exception", "reason": "no rights"}}
    server.on("/", reply(200, {"version": {"number": "9.4.3"}}))
    server.on("/_security/user/_has_privileges", reply(403, forbidden))
    with pytest.raises(StoreGone, match="lacks a right") as error:
        wire.Connection(Server.read(server.url(""))).request("POST", "/_security/user/_has_privileges")
    assert "sitrep store check" in error.value.advice
    bad = [one for one in ElasticStore(Server.read(server.url(""))).check() if not one.ok]
    assert [("lacks a right" in one.what, one.advice) for one in bad] == [
        (True, "`sitrep store grant` makes keys that have it.")
    ]


def test_a_server_that_stays_busy_is_given_up_at_last(server: FaultServer, waited: list[float]) -> None:
    server.on("/x", reply(503, BUSY, **{"Retry-After": "86400"}))
    with pytest.raises(StoreGone, match="too busy"):
        wire.Connection(Server.read(server.url(""))).request("GET", "/x")
    assert len(server.requests) == wire.TRIES_BUSY
    assert max(waited) == 60, "longer than that nobody waits"


def test_pauses_are_not_the_same_for_everybody(waited: list[float]) -> None:
    for _ in range(50):
        wire.pause(4)
    assert len(set(waited)) > 40
    assert all(2 <= pause <= 4 for pause in waited)


def test_what_is_sent_at_once_is_bounded_in_documents_and_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bulks, "CHUNK_DOCUMENTS", 10)
    monkeypatch.setattr(bulks, "CHUNK_BYTES", 2000)
    sizes = [10] * 25 + [900] * 5 + [5000] + [10]
    actions = [bulks.action("create", ("k", str(n)), "i", str(n), {"t": "x" * size}) for n, size in enumerate(sizes)]
    chunks = list(bulks._chunks(actions))
    assert [one for chunk in chunks for one in chunk] == actions
    assert max(map(len, chunks)) == 10
    large = [chunk for chunk in chunks if sum(len(one.lines) for one in chunk) > 2000]
    assert [len(chunk) for chunk in large] == [1], "one that is too large goes alone"


def test_an_elasticsearch_that_is_too_old_is_named(server: FaultServer, waited: list[float]) -> None:
    server.on("/", reply(200, {"version": {"number": "7.17.29"}}))
    found = list(ElasticStore(Server.read(server.url("")), Layout()).check())
    assert (found[0].ok, found[0].what) == (False, "reached: Elasticsearch 7.17.29")
    assert found[0].advice == "Sitrep needs version 8 or newer."


# the tests themselves ------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(("ci", "ends"), [("true", pytest.fail.Exception), ("", pytest.skip.Exception)])
def test_without_a_server_tests_are_skipped_aloud_and_fail_in_ci(
    monkeypatch: pytest.MonkeyPatch, ci: str, ends: type[Exception]
) -> None:
    monkeypatch.setenv("CI", ci)
    monkeypatch.setenv("ES_JAVA_HOME", "/nowhere")
    with pytest.raises(elastic_server.NoServer) as why:
        elastic_server.java_home()
    with pytest.raises(ends, match=r"NOT TESTED: no JDK of version 21.*SITREP_TEST_ELASTICSEARCH_URL"):
        elastic_server.without_server(why.value)
