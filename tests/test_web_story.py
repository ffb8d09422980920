"""A story on its page: evidence in its place, tellings side by side, revisions, the bytes it was read from."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from hypothesis import given
from hypothesis import strategies as st
from warcio.archiveiterator import ArchiveIterator

from ingest.models import Evidence, Feed, Status
from ingest.pipeline import jobs, runs
from ingest.pipeline.pipe import opened
from ingest.settings import Settings
from ingest.web.comparing import LONGEST, MOST, compare
from ingest.web.evidence import paragraphs
from tests import windows
from tests.servers import FaultServer, Reply
from tests.test_dedup import PORT, TRANSLATED

TEXT = "Guns fired at dawn.\n\nTwo depots burned, officials said. Talks go on."


# evidence -----------------------------------------------------------------------------------------------------------
def proof(sentence: str, *words: str, topic: str = "escalation", text: str = TEXT, field: str = "text") -> Evidence:
    start = text.index(sentence)
    spans = tuple((sentence.index(word), sentence.index(word) + len(word)) for word in words)
    return Evidence(topic, f"{topic}-rule", field, start, start + len(sentence), sentence, spans, Status.ASSERTED)


def test_a_proof_stands_where_its_sentence_does() -> None:
    first = proof("Guns fired at dawn.", "Guns", "fired")
    second = proof("Two depots burned, officials said.", "depots", "burned")
    lines = paragraphs(TEXT, [first, second], "text", [(4, 10), (60, 65)])
    assert ["".join(segment.text for segment in line) for line in lines] == [part for part in TEXT.split("\n") if part]
    assert [segment.text for line in lines for segment in line if segment.word] == ["Guns", "fired", "depots", "burned"]
    assert [segment.text for segment in lines[0] if segment.proofs == (0,)] == ["Guns", " ", "fired", " at dawn."]
    assert [segment.ends for segment in lines[0]] == [(), (), (), (), (0,)][-len(lines[0]) :]
    assert not lines[1][-1].proofs
    assert "fired" in [segment.text for segment in lines[0] if segment.found]


def test_sentences_may_prove_two_topics_and_overlap() -> None:
    both = [proof("Guns fired at dawn.", "Guns"), proof("fired at dawn.\n\nTwo depots", "depots", topic="aid")]
    segments = [segment for line in paragraphs(TEXT, both, "text") for segment in line]
    assert {segment.proofs for segment in segments} == {(0,), (0, 1), (1,), ()}
    assert "".join(segment.text for segment in segments) == TEXT.replace("\n", "")


def test_a_proof_that_does_not_stand_in_the_text_is_not_drawn() -> None:
    stray = replace(proof("Guns fired at dawn.", "Guns"), start=3, end=22)
    assert all(not segment.proofs for line in paragraphs(TEXT, [stray], "text") for segment in line)
    title = proof("Guns fired at dawn.", "Guns", field="title")
    assert all(not segment.proofs for line in paragraphs(TEXT, [title], "text") for segment in line)


@given(st.text("ab\n ", max_size=40), st.lists(st.tuples(st.integers(0, 45), st.integers(0, 45)), max_size=6))
def test_no_character_is_lost(text: str, spans: list[tuple[int, int]]) -> None:
    proofs = [
        Evidence("t", "r", "text", start, end, text[start:end], ((0, max(0, end - start)),)) for start, end in spans
    ]
    lines = paragraphs(text, proofs, "text", [span for span in spans if span[0] <= span[1] <= len(text)])
    shown = "\n".join("".join(segment.text for segment in line) for line in lines)
    assert shown == "\n".join(line for line in text.split("\n") if line.strip())


# comparing ----------------------------------------------------------------------------------------------------------
def test_numbers_that_changed_come_in_pairs() -> None:
    left = ("340,000 shells", "They sent 340,000 shells on 5 March.\nNobody was hurt.\nThe price is 1.3 billion.")
    right = (
        "400,000 shells",
        "They sent 400,000 shells on 5 March.\nNobody was hurt.\nIt costs nothing more.\n12 came.",
    )
    compared = compare(left, right)
    assert compared.numbers == (("340,000", "400,000"), ("1.3 billion", ""), ("", "12"))
    changed = [piece.text for row in compared.rows for piece in row.left if piece.kind == "gone" and piece.number]
    assert changed == ["340,000", "340,000", "1.3"]
    assert [row.same for row in compared.rows][:3] == [False, False, True]


def test_what_is_the_same_is_said_to_be() -> None:
    assert compare(("A", "b\nc"), ("A", "b\n\nc\n")).same
    assert not compare(("A", "b"), ("B", "b")).same


def test_a_blank_between_changed_words_belongs_to_them() -> None:
    (_, row) = compare(("", "promised on Tuesday to send"), ("", "promised this week to send")).rows
    assert [(piece.text, piece.kind) for piece in row.left] == [
        ("promised ", "same"),
        ("on Tuesday", "gone"),
        (" to send", "same"),
    ]


@given(st.text("ab1 .\n", max_size=60), st.text("ab1 .\n", max_size=60))
def test_both_texts_can_be_read_off_a_comparison(left: str, right: str) -> None:
    compared = compare(("", left), ("", right))
    for side, text in (("left", left), ("right", right)):
        told = ["".join(piece.text for piece in getattr(row, side)) for row in compared.rows[1:]]
        assert [part for part in told if part] == [line.strip() for line in text.split("\n") if line.strip()]


@pytest.mark.parametrize(
    ("left", "right"),
    [
        ("word " * (LONGEST * 20), "work " * (LONGEST * 20)),
        ("a b c d " * (LONGEST // 4), "d c b a " * (LONGEST // 4)),
        ("x\n" * (MOST * 5), "y\n" * (MOST * 5)),
        ("\n".join(f"line {n} of it" for n in range(MOST)), "\n".join(f"line {n} of that" for n in range(MOST))),
        ("\n".join(f"{n} {'a b ' * 300}" for n in range(MOST)), "\n".join(f"x{n} {'b a ' * 300}" for n in range(MOST))),
    ],
)
def test_hostile_lengths_are_compared_too(left: str, right: str) -> None:
    compared = compare(("", left), ("", right))
    assert not compared.same
    assert len(compared.rows) <= 2 * MOST + 2


# the page -----------------------------------------------------------------------------------------------------------
def search(client: TestClient, query: str) -> list[dict[str, Any]]:
    hits: list[dict[str, Any]] = client.get(f"/api/v1/search?{query}").json()["hits"]
    return hits


def test_the_page_of_a_story_shows_its_proof_and_its_clocks(web: TestClient) -> None:
    hit = search(web, "q=340%2C000&every=1")[0]
    page = web.get(f"/story/{hit['id']}?q=ministers").text
    for evidence in hit["evidence"]:
        told = f"{evidence['topic']}, {evidence['status']}: rule {evidence['rule']}"
        assert f'title="{told}' in page or f"; {told}" in page
    assert "<mark>ministers</mark>" in page
    assert "its page said so, in its json-ld" in page
    assert hit["id"] in page


def test_a_cluster_is_told_in_time_with_the_numbers_that_differ(web: TestClient) -> None:
    story = web.get(f"/api/v1/stories/{search(web, 'q=340%2C000')[0]['cluster']}").json()
    lead, *copies = story["members"]
    assert lead["lead"]
    assert lead["hours"] == 0
    hours = [copy["hours"] for copy in copies]
    assert hours == sorted(hours)
    page = web.get(f"/story/{story['id']}").text
    assert f"Told {len(copies) + 1} times" in page
    differing = next(copy for copy in copies if copy["numbers"] and copy["numbers"][0]["own"])
    other = web.get(f"/api/v1/stories/{lead['id']}/beside/{differing['id']}").json()
    assert ["340,000", "400,000"] in other["numbers"]
    beside = web.get(f"/story/{lead['id']}/beside/{differing['id']}").text
    assert beside.index("Numbers that changed") < beside.index("<table")
    assert re.search(r"Numbers: (.*, )?<del>340,000</del> → <ins>400,000</ins>", page)
    assert '<del class="number">340,000</del>' in beside


@pytest.mark.parametrize("path", ["/story/{}", "/story/{}/beside/{}", "/story/{}/capture", "/api/v1/stories/{}"])
@pytest.mark.parametrize("identity", ["none", "x" * 5000, "%00", "..%2f..%2fetc%2fpasswd", "*", "%ff"])
def test_an_id_that_is_none_is_not_found(web: TestClient, path: str, identity: str) -> None:
    answer = web.get(path.format(identity, identity))
    assert answer.status_code == 404
    assert "etc/passwd" not in answer.text


def test_an_archive_keeps_its_own_bytes(web: TestClient) -> None:
    hit = search(web, "q=troops")[0]
    assert "It came from an archive, which keeps its bytes" in web.get(f"/story/{hit['id']}").text
    answer = web.get(f"/story/{hit['id']}/capture")
    assert answer.status_code == 404
    assert "no capture of this story" in answer.text


def test_a_text_without_end_is_shown_in_part_and_at_once(settings: Settings) -> None:
    line = {"url": "https://a.example/long", "title": "Long", "text": "Guns. " + "word\n" * 150_000 + "the very end"}
    path = settings.home.parent / "long.jsonl"
    path.write_text(json.dumps(line) + "\n")
    with windows.client(windows.filled(settings, path)) as client:
        (hit,) = search(client, "q=long")
        page = client.get(f"/story/{hit['id']}?q=word")
        whole = client.get(f"/api/v1/stories/{hit['id']}").json()
    assert page.status_code == 200
    assert len(whole["text"]) > 400_000
    assert "more characters stand in the" in page.text
    assert len(page.content) < 5_000_000


# what came over the wire ----------------------------------------------------------------------------------------------
PARAGRAPHS = [
    "The convoy of 14 lorries left the depot at Oslo on Monday and reached the ferry before the storm, drivers said.",
    "A clerk of the port counted the crates and signed for all of them; none was missing, and none was opened.",
    "The next ferry sails on Thursday, when the wind is to turn, and takes the flour that waits in the second shed.",
]


def page_of(*texts: str) -> bytes:
    body = "".join(f"<p>{text}</p>" for text in texts)
    head = "<!doctype html><html lang=en><title>Lorries reach the ferry</title>"
    return f"{head}<article><h1>Lorries reach the ferry</h1>{body}</article></html>".encode()


@pytest.fixture
def live(settings: Settings, server: FaultServer) -> Iterator[TestClient]:
    """A home whose feed was polled twice; its one story was changed by its outlet in between."""
    html, xml = {"Content-Type": "text/html; charset=utf-8"}, {"Content-Type": "application/rss+xml"}
    link = f"<title>Lorries reach the ferry</title><link>{server.url('/story')}</link>"
    head = "<rss version='2.0'><channel><title>Northwire</title>"
    feeds = [f"{head}<item>{link}<description>{n} came</description></item></channel></rss>".encode() for n in (14, 17)]
    pages = [page_of(*PARAGRAPHS), page_of(PARAGRAPHS[0].replace("14", "17"), *PARAGRAPHS[1:])]
    server.on("/feed", [Reply(200, feed, xml) for feed in feeds])
    server.on("/story", [Reply(200, page, html) for page in pages])
    with opened(settings) as pipe:
        for _ in feeds:
            polls = jobs.choose(pipe, [Feed(server.url("/feed"), delay=0.01)], everything=True)
            jobs.poll(pipe, runs.start("daily"), polls)
    with windows.client(settings) as client:
        yield client


def test_revisions_say_what_changed_and_the_bytes_are_there_to_save(live: TestClient, server: FaultServer) -> None:
    (hit,) = search(live, "q=lorries")
    page = live.get(f"/story/{hit['id']}").text
    assert hit["revision"] == 2
    assert "2 revisions" in page
    assert re.search(r"<del>14</del> → <ins>17</ins>", page)
    answer = live.get(f"/story/{hit['id']}/capture")
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/octet-stream"
    assert answer.headers["content-disposition"] == f'attachment; filename="sitrep-{hit["id"]}.warc.gz"'
    assert "sandbox" in answer.headers["content-security-policy"]
    record = next(iter(ArchiveIterator(io.BytesIO(answer.content))))
    assert record.rec_headers.get_header("WARC-Target-URI") == server.url("/story")
    assert b"17 lorries" in record.content_stream().read()


def test_a_capture_that_was_deleted_is_told(live: TestClient, settings: Settings) -> None:
    (hit,) = search(live, "q=lorries")
    for path in Path(settings.landing).glob("captures/*/*"):
        path.unlink()
    assert live.get(f"/story/{hit['id']}/capture").status_code == 404


def test_a_rewritten_story_leads_to_what_it_was_made_from(settings: Settings, tmp_path: Path) -> None:
    told = tmp_path / "told.jsonl"
    first = {"id": "first", "text": PORT, "published": "2022-05-25T08:00:00Z", "source": "Herald"}
    anew = {"id": "anew", "text": TRANSLATED, "published": "2022-05-25T10:30:00Z", "source": "Echo"}
    told.write_text(f"{json.dumps(first)}\n{json.dumps(anew)}\n")
    windows.filled(settings, told)
    with windows.client(settings) as client:
        hits = client.get("/api/search", params={"q": ""}).json()["hits"]
        made, origin = (next(hit for hit in hits if hit["guid"] == name) for name in ("anew", "first"))
        page = client.get(f"/story/{made['id']}").text
        assert re.search(rf'Rewritten from</dt><dd><a href="/story/{origin["id"]}"', page)
        assert "2.5 h apart" in page
        assert client.get(f"/story/{made['id']}/beside/{origin['id']}").status_code == 200
        assert "Rewritten from" not in client.get(f"/story/{origin['id']}").text
