"""What Kibana shows beside the stories: run reports, quarantine, older versions; on a real server."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from builders import content, moment, story
from elasticsearch import Elasticsearch

from ingest import dedup
from ingest.models import Content, FeedReport, Outcome, Quarantined, RunReport, Story, TextFrom, Version
from ingest.pipeline import mirroring, runs
from ingest.pipeline.pipe import Pipe
from ingest.pipeline.publishing import publish
from ingest.pipeline.reporting import report
from ingest.settings import Settings
from ingest.store.elastic import ElasticStore, Layout, Server
from ingest.store.elastic.layout import VERSION
from ingest.store.sqlite import SqliteStore
from tests import elastic_server
from tests.elastic_server import PREFIX, wipe

pytest.register_assert_rewrite("store_contract")

from store_contract import write  # noqa: E402  # after the line above

DAY = timedelta(days=1)


@pytest.fixture
def store(elasticsearch_url: str, client: Elasticsearch) -> Iterator[ElasticStore]:
    wipe(client, PREFIX)
    store = ElasticStore(Server.read(elasticsearch_url), Layout(PREFIX))
    yield store
    store.close()


@pytest.fixture
def pipe(store: ElasticStore, elasticsearch_url: str, tmp_path: Path) -> Iterator[Pipe]:
    home = tmp_path / "home"
    served = {"elasticsearch_url": elasticsearch_url, "elasticsearch_prefix": PREFIX}
    pipe = Pipe(Settings(home=home, landing=str(home / "landing"), **served))
    yield pipe
    pipe.close()


def shown(client: Elasticsearch, alias: str, **query: Any) -> list[dict[str, Any]]:
    """All documents behind an alias, by id."""
    client.indices.refresh(index=f"{PREFIX}{alias}")
    hits = client.search(index=f"{PREFIX}{alias}", size=1000, **query)["hits"]["hits"]
    return [hit["_source"] for hit in sorted(hits, key=lambda hit: str(hit["_id"]))]


# reports -------------------------------------------------------------------------------------------------------------
def feed_report(name: str, new: int = 0, status: str = "new") -> FeedReport:
    outcomes = {Outcome.INDEXED: new, Outcome.UNCHANGED: 3}
    url = f"https://{name}.example/feed"
    return FeedReport(url, name, status, None, None, new + 3, gap=False, truncated=False, outcomes=outcomes)


def run_report(days: float, *feeds: FeedReport, **changes: Any) -> RunReport:
    started = moment() + days * DAY
    total = sum(feed.entries for feed in feeds)
    new = sum(feed.outcomes[Outcome.INDEXED] for feed in feeds)
    fields: dict[str, Any] = {
        "run": f"run-{days}",
        "kind": "daily",
        "started": started,
        "ended": started + timedelta(seconds=2.5),
        "entries": total,
        "outcomes": {Outcome.INDEXED: new, Outcome.UNCHANGED: total - new},
        "reasons": {},
        "feeds": feeds,
        **changes,
    }
    return RunReport(**fields)


def silence(client: Elasticsearch) -> dict[tuple[str, str], float]:
    """Days without anything new, by run and feed."""
    documents = shown(client, "sitrep-runs", query={"term": {"level": "feed"}})
    return {(each["run"], each["title"]): each["silent_s"] / DAY.total_seconds() for each in documents}


def test_a_report_is_a_document_for_the_run_its_feeds_and_its_reasons(
    store: ElasticStore, client: Elasticsearch
) -> None:
    told = run_report(
        0,
        feed_report("a", 2),
        feed_report("idle", status="not due"),
        reasons={"no-text": 4, "crash": 1},
        notes=("a note",),
    )
    assert store.mirror.reports([told]) == {}
    before = shown(client, "sitrep-runs")
    assert store.mirror.reports([told]) == {}
    assert shown(client, "sitrep-runs") == before
    by_level = {level: [each for each in before if each["level"] == level] for level in ("run", "feed", "reason")}
    (whole,), (feed,) = by_level["run"], by_level["feed"]
    assert (whole["run"], whole["kind"], whole["took_s"], whole["notes"]) == ("run-0", "daily", 2.5, ["a note"])
    assert (whole["entries"], whole["new_stories"], whole["outcomes"]["unchanged"]) == (8, 2, 6)
    assert whole["outcomes"].keys() == {str(outcome) for outcome in Outcome}
    assert (feed["feed"], feed["new_stories"], feed["silent_s"]) == ("https://a.example/feed", 2, 0)
    assert {each["reason"]: each["count"] for each in by_level["reason"]} == {"no-text": 4, "crash": 1}


def test_how_long_a_feed_was_silent_does_not_depend_on_when_it_is_shown(
    store: ElasticStore, client: Elasticsearch
) -> None:
    """b never brings anything, c is in back-off and comes later."""
    told = [
        run_report(0, feed_report("a", 1), feed_report("b")),
        run_report(1, feed_report("a"), feed_report("b"), feed_report("c", status="backoff")),
        run_report(2.5, feed_report("a"), feed_report("b"), feed_report("c", status="backoff")),
        run_report(3, feed_report("a", 5), feed_report("b"), feed_report("c", 1)),
        run_report(4, feed_report("a"), feed_report("b")),
    ]
    for each in told:
        store.mirror.reports([each])
    expected = {
        ("run-0", "a"): 0, ("run-1", "a"): 1, ("run-2.5", "a"): 2.5, ("run-3", "a"): 0, ("run-4", "a"): 1,
        ("run-0", "b"): 0, ("run-1", "b"): 1, ("run-2.5", "b"): 2.5, ("run-3", "b"): 3, ("run-4", "b"): 4,
        ("run-1", "c"): 0, ("run-2.5", "c"): 1.5, ("run-3", "c"): 0,
    }  # fmt: skip
    assert silence(client) == expected
    latest = shown(client, "sitrep-runs", query={"term": {"level": "latest"}})
    assert {each["title"]: each["run"] for each in latest} == {"a": "run-4", "b": "run-4", "c": "run-3"}
    assert {each["title"]: each["last_new"][:10] for each in latest} == {
        "a": "2022-05-27", "b": "2022-05-24", "c": "2022-05-27",
    }  # fmt: skip
    store.mirror.reports(reversed(told))
    assert silence(client) == expected
    store.mirror.reports([told[1]])
    assert silence(client) == expected
    assert shown(client, "sitrep-runs", query={"term": {"level": "latest"}}) == latest


def test_a_report_comes_back_from_its_file() -> None:
    told = run_report(0, feed_report("a", 2), reasons={"crash": 1}, notes=("x",))
    again = RunReport.from_json(told.to_json())
    assert again.to_json() == told.to_json()
    assert again.feeds[0].outcomes[Outcome.INDEXED] == 2


# quarantine ----------------------------------------------------------------------------------------------------------
def item(name: str, **changes: Any) -> Quarantined:
    given: dict[str, Any] = {"id": name, "url": f"https://n.example/{name}", "run": "r", "size": 7, **changes}
    return Quarantined("crash", "MemoryError", f"a.warc byte {name}", "record", None, moment(), **given)


def test_items_are_shown_until_they_are_gone(store: ElasticStore, client: Elasticsearch) -> None:
    assert store.mirror.quarantine([item("1"), item("2", source="n.example")]) == {}
    assert store.mirror.quarantined() == {"1", "2"}
    store.mirror.quarantine([replace(item("1"), reason="hang")], gone=["2", "never"])
    (left,) = shown(client, "sitrep-quarantine")
    assert (left["id"], left["reason"], left["url"], left["run"], left["size"]) == (
        "1", "hang", "https://n.example/1", "r", 7,
    )  # fmt: skip


def test_tokens_of_feeds_are_shown_nowhere(store: ElasticStore, client: Elasticsearch) -> None:
    secret = "https://n.example/feed?token=hush&page=2"
    told = replace(feed_report("a", 1), url=secret)
    store.mirror.reports([run_report(0, told)])
    store.mirror.quarantine([replace(item("1"), feed=secret, url=secret)])
    written = [*shown(client, "sitrep-runs"), *shown(client, "sitrep-quarantine")]
    assert len(written) == 4
    assert "hush" not in str(written)
    assert "page=2" in str(written)


def landed(pipe: Pipe, path: str, *stories: Content) -> str:
    prints = dedup.fingerprints([(each.title, each.text) for each in stories])
    pipe.landing.write_part(path, stories, prints, {"counts": {}, "reasons": {}, "named": [], "last": True})
    return path


def test_a_run_shows_what_it_quarantined_and_what_is_quarantined_no_longer(pipe: Pipe, client: Elasticsearch) -> None:
    bad = content("bad", published="2022-05-24T23:00:00+19:00")  # no such zone, says the server
    part = landed(pipe, "stories/archive/x/00000", content("a"), bad)
    run = runs.start("archive")
    publish(pipe, [part], run=run.id)
    assert not report(pipe, run, [part]).notes
    (left,) = shown(client, "sitrep-quarantine")
    assert (left["reason"], left["url"], left["source"], left["run"]) == (
        "refused_by_store", bad.url, bad.source, run.id,
    )  # fmt: skip
    (kept,) = pipe.landing.quarantined()
    assert left["size"] == len(pipe.landing.quarantined_bytes(kept.id)) > 0
    pipe.landing.drop_quarantined(left["id"])
    again = runs.start("replay")
    report(pipe, again, [part])
    assert shown(client, "sitrep-quarantine") == []
    whole = shown(client, "sitrep-runs", query={"term": {"level": "run"}})
    assert {each["run"]: each["outcomes"]["quarantined"] for each in whole} == {run.id: 1, again.id: 1}


# faults --------------------------------------------------------------------------------------------------------------
def test_what_cannot_be_shown_costs_no_run_and_is_said(
    pipe: Pipe, client: Elasticsearch, caplog: pytest.LogCaptureFixture
) -> None:
    part = landed(pipe, "stories/archive/x/00000", content("a"))
    run = runs.start("archive")
    publish(pipe, [part], run=run.id)
    index = f"{PREFIX}sitrep-v{VERSION}-runs"
    client.indices.put_settings(index=index, settings={"index.blocks.read_only_allow_delete": True})
    try:
        with caplog.at_level(logging.WARNING):
            told = report(pipe, run, [part])
    finally:
        client.indices.put_settings(index=index, settings={"index.blocks.read_only_allow_delete": None})
    assert told.outcomes[Outcome.INDEXED] == 1
    (note,) = told.notes
    assert "read-only" in note
    assert "sitrep store setup" in note
    assert note in caplog.text
    assert pipe.landing.read_json(f"reports/{run.id}.json")["notes"] == [note]
    assert shown(client, "sitrep-runs") == []
    pipe.landing.write_json("reports/20200101T000000Z-poll-00000000.json", {"run": "half a report"})
    reports, items, notes = mirroring.show_anew(pipe)
    assert (reports, items, len(notes)) == (1, 0, 1)
    assert "is no report" in notes[0]
    (whole,) = shown(client, "sitrep-runs")
    assert (whole["run"], whole["notes"]) == (run.id, [note])


def test_setting_up_by_the_command_line_shows_everything_anew(
    pipe: Pipe, client: Elasticsearch, elasticsearch_url: str
) -> None:
    part = landed(pipe, "stories/archive/x/00000", content("a"), content("bad", published="2022-05-24T23:00:00+19:00"))
    run = runs.start("archive")
    publish(pipe, [part], run=run.id)
    report(pipe, run, [part])
    before = {alias: shown(client, alias) for alias in ("sitrep-runs", "sitrep-quarantine")}
    assert all(before.values())
    for alias in before:
        client.delete_by_query(index=f"{PREFIX}{alias}", query={"match_all": {}}, refresh=True)
    pipe.store.mirror.quarantine([item("gone")])  # type: ignore[union-attr]
    environ = {
        **os.environ,
        "SITREP_HOME": str(pipe.settings.home),
        "SITREP_ELASTICSEARCH_URL": elasticsearch_url,
        "SITREP_ELASTICSEARCH_PREFIX": PREFIX,
    }
    command = [sys.executable, "-m", "ingest", "store", "setup"]
    done = subprocess.run(command, env=environ, capture_output=True, text=True, check=False, timeout=250)
    assert done.returncode == 0, done.stderr
    assert "1 report and 1 quarantined item are shown there" in done.stderr
    assert {alias: shown(client, alias) for alias in before} == before


def test_one_document_that_the_store_refuses_costs_itself(store: ElasticStore, client: Elasticsearch) -> None:
    assert list(store.mirror.reports([run_report(0, entries=2**63), run_report(1)])) == ["run-0 run"]
    assert [each["run"] for each in shown(client, "sitrep-runs")] == ["run-1"]


def test_the_embedded_store_has_no_mirror(settings: Settings) -> None:
    assert SqliteStore.mirror is None
    pipe = Pipe(settings)
    part = landed(pipe, "stories/archive/x/00000", content("a"))
    run = runs.start("archive")
    publish(pipe, [part], run=run.id)
    assert report(pipe, run, [part]).notes == ()
    assert mirroring.show_anew(pipe) == (0, 0, [])
    pipe.close()


# revisions -----------------------------------------------------------------------------------------------------------
def revised(name: str, *texts: str, **changes: Any) -> Story:
    versions = tuple(
        Version(content(name, text=text, captured=moment(hours), **changes), moment(hours), moment(hours))
        for hours, text in enumerate(texts, 1)
    )
    return story(name, versions=versions)


def places(client: Elasticsearch) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for each in sorted(shown(client, "revisions"), key=lambda each: each["revision"]):
        found.setdefault(each["story"], []).append(each["text"])
    return found


def test_older_versions_stand_beside_their_story(store: ElasticStore, client: Elasticsearch) -> None:
    write(store, revised("a", "One.", "Two.", "Three."), revised("b", "Only."))
    assert places(client) == {"id-a": ["One.", "Two."]}
    (first, _) = sorted(shown(client, "revisions"), key=lambda each: each["revision"])
    assert (first["revision"], first["first"], first["published"]) == (1, "2022-05-24T13:00:00Z", content().published)
    write(store, revised("a", "Zero.", "One.", "Two.", "Three."), revised("b", "Only.", "Other."))
    assert places(client) == {"id-a": ["Zero.", "One.", "Two."], "id-b": ["Only."]}
    write(store, revised("a", "The whole page.", text_from=TextFrom.PAGE))  # the poorer ones are forgotten
    assert places(client) == {"id-b": ["Only."]}
    indices = {hit["_index"] for hit in client.search(index=f"{PREFIX}revisions")["hits"]["hits"]}
    assert indices == {f"{PREFIX}revisions-v{VERSION}-2022.05"}


def test_setting_up_brings_missing_versions_back(store: ElasticStore, client: Elasticsearch) -> None:
    write(store, revised("a", "One.", "Two.", "Three."), revised("b", "Only.", "Other."))
    before = shown(client, "revisions")
    client.delete_by_query(
        index=f"{PREFIX}revisions-v{VERSION}-2022.05", query={"term": {"story": "id-a"}}, refresh=True
    )
    assert len(shown(client, "revisions")) == 1
    store.setup()
    assert shown(client, "revisions") == before
    store.setup()
    assert shown(client, "revisions") == before


# keys ----------------------------------------------------------------------------------------------------------------
def test_the_keys_suffice(elasticsearch_url: str, client: Elasticsearch) -> None:
    prefix = f"{PREFIX}shown-"
    address = elastic_server.parted(elasticsearch_url)[0]
    keys = ElasticStore(Server.read(elasticsearch_url), Layout(prefix)).grant()
    keyed = {name: ElasticStore(Server.read(address, api_key=key), Layout(prefix)) for name, key in keys.items()}
    keyed["setup"].setup()
    writer = keyed["writer"]
    write(writer, revised("a", "One.", "Two."))
    writer.mirror.reports([run_report(0, feed_report("a", 1))])
    writer.mirror.quarantine([item("1"), item("2")], gone=["2"])
    assert writer.mirror.quarantined() == {"1"}
    assert [one.what for one in writer.check() if not one.ok] == []
    client.indices.refresh(index=f"{prefix}*")
    reader = client.options(api_key=keys["reader"])
    counts = {alias: reader.count(index=f"{prefix}{alias}")["count"] for alias in Layout().aliases.values()}
    assert counts == {"stories": 1, "revisions": 1, "sitrep-runs": 3, "sitrep-quarantine": 1}
    for each in keyed.values():
        each.close()
    wipe(client, prefix, whole=True)


def test_check_and_setup_mind_every_alias(store: ElasticStore, client: Elasticsearch) -> None:
    write(store, revised("a", "One.", "Two."))
    aliases = {f"revisions-v{VERSION}-2022.05": "revisions", f"sitrep-v{VERSION}-runs": "sitrep-runs"}
    for index, alias in aliases.items():
        client.indices.delete_alias(index=f"{PREFIX}{index}", name=f"{PREFIX}{alias}")
    (bad,) = [one for one in store.check() if not one.ok]
    assert "not behind their alias" in bad.what
    assert all(index in bad.what for index in aliases)
    store.setup()
    assert [one for one in store.check() if not one.ok] == []
