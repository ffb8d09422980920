"""Run reports and the health of feeds, as plain tables.

All that is shown came from outside once (titles, reasons, addresses): every cell is escaped, nothing is a link but our
own pages, and the browser is told to run and load nothing.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from html import escape
from typing import Any

from fastapi import FastAPI, HTTPException, Response
from fastapi.responses import HTMLResponse

from ingest import dates
from ingest.errors import UsageError
from ingest.models import Outcome
from ingest.pipeline import reporting
from ingest.pipeline.pipe import Pipe, opened

SHOWN = 100  # runs
SECURITY = {
    "Content-Security-Policy": "default-src 'none'; style-src 'self'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'self'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}
STYLE = """
body { font: 14px/1.5 system-ui, sans-serif; margin: 1.5em; color-scheme: light dark; }
table { border-collapse: collapse; margin-bottom: 2em; }
th, td { text-align: left; padding: .2em .8em; border-bottom: 1px solid #8884; vertical-align: top; }
td.number { text-align: right; font-variant-numeric: tabular-nums; }
"""
Row = Sequence[object]
_RUN = re.compile(r"[0-9A-Za-z-]{1,100}")


class _Html(str):
    """Markup of our own, which is not escaped again."""


def app(guards: Sequence[Any]) -> FastAPI:
    """The pages, each behind all of `guards` (FastAPI dependencies)."""
    pages = FastAPI(title="Sitrep", dependencies=list(guards), docs_url=None, redoc_url=None, openapi_url=None)

    @pages.get("/")
    def overview() -> HTMLResponse:
        with opened() as pipe:
            return _page("Sitrep", "<h2>Runs</h2>", _runs(pipe), "<h2>Feeds</h2>", _feeds(pipe))

    @pages.get("/runs/{run}")
    def one(run: str) -> HTMLResponse:
        if not _RUN.fullmatch(run):
            raise HTTPException(404)
        with opened() as pipe:
            try:
                record = reporting.kept(pipe, run)
            except UsageError as error:
                raise HTTPException(404) from error
        return _page(f"Run {run}", *_report(record))

    @pages.get("/style.css")
    def style() -> Response:
        return Response(STYLE, media_type="text/css", headers=SECURITY)

    @pages.get("/{path:path}")
    def unknown(path: str) -> Response:
        """Nothing is told to strangers, not even what there is not."""
        raise HTTPException(404, f"no page {path[:100]!r}")

    return pages


def _page(title: str, *parts: str) -> HTMLResponse:
    depth = "../" if title != "Sitrep" else ""
    head = f"<!doctype html><html lang=en><head><meta charset=utf-8><title>{escape(title)}</title>"
    head += f'<link rel=stylesheet href="{depth}style.css"></head><body><h1>{escape(title)}</h1>'
    return HTMLResponse(head + "".join(parts) + "</body></html>", headers=SECURITY)


def _table(names: Sequence[str], rows: Iterable[Row]) -> str:
    head = "".join(f"<th>{escape(name)}</th>" for name in names)
    body = "".join(f"<tr>{''.join(map(_cell, row))}</tr>" for row in rows)
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def _cell(value: object) -> str:
    if isinstance(value, _Html):
        return f"<td>{value}</td>"
    if isinstance(value, int) and not isinstance(value, bool):
        return f"<td class=number>{value:,d}</td>"
    return f"<td>{escape('' if value is None else str(value))}</td>"


def _runs(pipe: Pipe) -> str:
    names = ["run", "kind", "entries", *(str(outcome) for outcome in Outcome)]
    return _table(names, (_run(record) for record in _latest(pipe)))


def _latest(pipe: Pipe) -> Iterator[dict[str, Any]]:
    for path in pipe.landing.list("reports/", suffix=".json")[: -SHOWN - 1 : -1]:
        yield pipe.landing.read_json(path)


def _run(record: dict[str, Any]) -> Row:
    run = escape(record["run"], quote=True)
    return [
        _Html(f'<a href="runs/{run}">{run}</a>'),
        record["kind"],
        record["entries"],
        *record["outcomes"].values(),
    ]


def _feeds(pipe: Pipe) -> str:
    feeds = pipe.feeds()
    states = pipe.store.states(feed.url for feed in feeds)
    names = ["feed", "address", "status", "why", "last asked", "due", "failures in a row"]
    rows: list[Row] = []
    for feed in feeds:
        state = states.get(feed.url)
        status = "paused" if feed.paused else state.status if state else "new"
        seen: Row = (
            (state.reason, _when(state.polled), _when(state.due), state.failures) if state else ("", "never", "", "")
        )
        rows.append([feed.title, feed.url, status, *seen])
    return _table(names, rows)


def _when(moment: datetime | None) -> str:
    return dates.iso(moment) if moment else "never"


def _report(record: dict[str, Any]) -> Iterator[str]:
    yield _table(["", ""], [[name, record[name]] for name in ("kind", "started", "ended", "entries")])
    yield "<h2>Outcomes</h2>" + _table(["outcome", "entries"], [[*item] for item in record["outcomes"].items()])
    if record["reasons"]:
        yield "<h2>Why</h2>" + _table(["reason", "entries"], [[*item] for item in record["reasons"].items()])
    if record["notes"]:
        yield "<h2>Notes</h2>" + _table(["note"], [[note] for note in record["notes"]])
    if record["feeds"]:
        names = ["feed", "status", "why", "entries", *(str(outcome) for outcome in Outcome), "gap"]
        rows = [
            [
                feed["title"] or feed["url"],
                feed["status"],
                ": ".join(filter(None, [feed["reason"], feed["detail"]])),
                feed["entries"],
                *feed["outcomes"].values(),
                "gap" if feed["gap"] else "",
            ]
            for feed in record["feeds"]
        ]
        yield "<h2>Feeds</h2>" + _table(names, rows)
