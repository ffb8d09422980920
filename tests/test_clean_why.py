"""What `sitrep clean` and `sitrep show --why` say of a page."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from ingest.command_line import sitrep
from ingest.errors import UsageError
from ingest.models import Feed
from ingest.pipeline import jobs, runs
from ingest.pipeline.pipe import opened
from ingest.settings import Settings
from ingest.store import Query
from tests.servers import FaultServer, Reply
from tests.test_clean_kinds import FIRST, OTHER, SECOND, STORY, THIRD


def test_the_command_says_of_every_paragraph_why_it_is_kept_or_left_out(tmp_path: Path) -> None:
    file = tmp_path / "page.html"
    file.write_text(
        f"<article><h1>The harbour of Sel is open again</h1>{STORY}<p>Advertisement</p>"
        f"<div class='related-stories'><p>{OTHER}</p></div></article>",
        encoding="utf-8",
    )
    url = "https://news.example/2022/05/24/harbour"
    told = CliRunner().invoke(sitrep, ["clean", str(file), "--url", url], catch_exceptions=False).output
    assert "published       2022-05-24\npublished_from  url" in told
    assert f"+ in the story's element       <p> {FIRST}" in told
    assert "- leads on or credits          <p> Advertisement" in told
    assert f"- named related                <p> {OTHER}" in told
    again = CliRunner().invoke(sitrep, ["clean", str(file), "--json"], catch_exceptions=False).output
    data = json.loads(again)
    assert data["text"].split("\n\n") == [FIRST, SECOND, THIRD] == [b["text"] for b in data["blocks"] if b["kept"]]
    assert data["by"] == "blocks"


def show_why(identity: str, *more: str) -> Result:
    return CliRunner().invoke(sitrep, ["show", identity, "--why", *more], catch_exceptions=False)


def test_show_says_why_of_the_page_that_landed(
    settings: Settings, server: FaultServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SITREP_HOME", str(settings.home))
    monkeypatch.setenv("SITREP_LANDING", settings.landing)
    links = server.url("/harbour"), server.url("/told")
    body = f"<article><h1>The harbour of Sel is open again</h1>{STORY}<p>Advertisement</p></article>"
    items = "".join(f"<item><title>Sel {n}</title><link>{link}</link></item>" for n, link in enumerate(links))
    feed = f"<rss version='2.0'><channel><title>Sel</title>{items}</channel></rss>"
    server.on("/feed", Reply(200, feed.encode(), {"Content-Type": "application/rss+xml"}))
    server.on("/harbour", Reply(200, body.encode("cp1251", "replace"), {"Content-Type": "text/html; charset=cp1251"}))
    server.on("/told", Reply(404))
    saved = settings.home / "saved"
    saved.mkdir(parents=True)
    (saved / "page.html").write_text(f"<h1>Grain is sold again</h1><p>{OTHER}</p>", encoding="utf-8")
    with opened(settings) as pipe:
        polls = jobs.choose(pipe, [Feed(server.url("/feed"), delay=0.01)], everything=True)
        jobs.poll(pipe, runs.start("daily"), polls)
        jobs.backfill(pipe, runs.start("archive"), [str(saved)], workers=1)
        ids = {story.content.url: story.id for story in pipe.store.export(Query())}
        (place,) = (path for path in pipe.landing.list("captures/", suffix=".warc.gz"))

    told = show_why(ids[links[0]])
    assert f"capture         {place}, " in told.output
    assert f"+ in the story's element       <p> {FIRST}" in told.output
    assert "- leads on or credits          <p> Advertisement" in told.output
    data = json.loads(show_why(ids[links[0]], "--json").output)
    assert (data["id"], data["url"], data["capture"]["path"]) == (ids[links[0]], links[0], place)
    assert [block["text"] for block in data["blocks"] if block["kept"]] == [FIRST, SECOND, THIRD]

    with pytest.raises(UsageError, match=r"its feed told.*sitrep clean page\.html --url http"):
        show_why(ids[links[1]])
    (other,) = (identity for url, identity in ids.items() if url not in links)
    with pytest.raises(UsageError, match=r"archives that were read: .*saved.*sitrep clean page\.html"):
        show_why(other)
