"""The bundled archive is what its readable source says, and holds what a crawl holds."""

from __future__ import annotations

import gzip
import json
from collections import Counter

from warcio.archiveiterator import ArchiveIterator

from tests import make_seed_archive as archive

STORIES, FEED = archive.read()


def test_the_committed_files_are_what_the_source_gives() -> None:
    """Compared unpacked: another zlib packs the same bytes otherwise."""
    for name, data in archive.build().items():
        committed = (archive.TARGET / name).read_bytes()
        if name.endswith(".gz"):
            committed, data = gzip.decompress(committed), gzip.decompress(data)
        assert committed == data, f"run `python tests/make_seed_archive.py`: {name} differs from its source"


def test_the_warc_holds_pages_a_feed_and_what_a_crawl_meets() -> None:
    kinds: Counter[str] = Counter()
    urls: Counter[str] = Counter()
    with (archive.TARGET / "stories.warc.gz").open("rb") as stream:
        for record in ArchiveIterator(stream, check_digests="raise"):
            body = record.content_stream().read()
            status = record.http_headers.get_statuscode() if record.rec_type == "response" else ""
            media = (record.http_headers.get_header("Content-Type") or "").split(";")[0] if status else ""
            kinds[f"{record.rec_type} {status} {media}".strip()] += 1
            urls[record.rec_headers.get_header("WARC-Target-URI")] += record.rec_type == "response"
            assert record.rec_type in ("revisit", "request") or body
    pages = [story for story in STORIES if story.file == "pages"]
    assert kinds == {
        "warcinfo": 1,
        "request": len(pages) + 3,
        "response 200 text/html": len(pages),
        "response 200 application/rss+xml": 1,
        "response 404 text/html": 1,
        "response 200 image/png": 1,
        "revisit": 1,
        "metadata": 1,
    }
    assert urls[STORIES[0].url] == 2  # as first published, and corrected


def test_the_lines_are_the_stories() -> None:
    rows = [json.loads(line) for line in (archive.TARGET / "stories.jsonl").read_text("utf-8").splitlines()]
    stories = [story for story in STORIES if story.file == "lines"]
    assert [row["title"] for row in rows] == [story.title for story in stories]
    assert [row.get("text", story.text) for row, story in zip(rows, stories, strict=True)] == [s.text for s in stories]
    assert all(row.get("url") or row.get("id") for row in rows)
    assert any("html" in row for row in rows)


def test_the_stories_cover_what_they_are_for() -> None:
    assert len({story.revises or story.name for story in STORIES}) == 40
    assert {story.language for story in STORIES} >= {"en", "de", "fr", "es", "uk", "ru"}
    assert {topic for story in STORIES for topic in story.main} == {"escalation", "aid", "deployments"}
    assert any(len(story.main) == 3 for story in STORIES)
    assert sum(not story.main and not story.mentioned for story in STORIES) >= 7
    sizes = Counter(story.cluster for story in STORIES if story.cluster)
    assert len(sizes) >= 6
    assert min(sizes.values()) >= 2
    assert any(story.rewritten for story in STORIES)
    assert [story.name for story in STORIES if story.published is None] == ["guard-river"]
    assert [story.name for story in STORIES if story.published and "T" not in story.published] == [
        "loan-pakistan",
        "test-site",
    ]
    assert all(100 <= len(story.text.split()) <= 500 for story in STORIES)
