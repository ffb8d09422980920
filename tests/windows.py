"""The window over stores that were filled through the real pipe."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from fastapi import FastAPI
from fastapi.testclient import TestClient

from ingest.pipeline import jobs, runs
from ingest.pipeline.pipe import opened
from ingest.settings import Settings
from ingest.store import Query
from ingest.web.access import Access, alone
from ingest.web.app import create_app
from ingest.web.window import Window

ARCHIVE = Path(__file__).resolve().parents[1] / "seeds" / "archive"
TOKEN = "a token of the tests"


def filled(settings: Settings, *archives: Path) -> Settings:
    """The settings of a home whose store holds these archives, by default the bundled one."""
    with opened(settings) as pipe:
        for path in archives or (ARCHIVE,):
            jobs.backfill(pipe, runs.start("archive"), [str(path)])
    return settings


def years_before(settings: Settings, folder: Path, years: int = 12) -> Path:
    """The stories of a store as an archive of so many years before. Elasticsearch keeps those before 2015 in an index a
    year: making one a month takes a minute here."""
    path = folder / "before.jsonl"
    with opened(settings) as pipe, path.open("w") as file:
        for story in pipe.store.export(Query()):
            told = story.to_json()
            line = {name: told[name] for name in ("url", "title", "text", "source", "language", "authors")}
            if told["published"]:
                line["published"] = f"{int(told['published'][:4]) - years}{told['published'][4:]}"
            file.write(json.dumps(line) + "\n")
    return path


def application(settings: Settings, access: Access | None = None, **changes: Any) -> FastAPI:
    """The window of these settings. Default: alone, on loopback, with TOKEN."""
    changed = replace(settings, **changes)
    return create_app(Window(lambda: changed), access or alone(TOKEN, loopback=True))


@contextmanager
def client(settings: Settings, access: Access | None = None) -> Iterator[TestClient]:
    """Requests without a network, as from a browser on the same machine; faults are raised here."""
    app = application(settings, access)
    with TestClient(app, base_url="http://127.0.0.1", headers={"Accept": "text/html"}) as asking:
        yield asking
