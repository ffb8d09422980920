"""Runs: what came in, what became of it, and what could not be handled, with its bytes."""

from __future__ import annotations

import re
from itertools import islice
from typing import Any
from urllib.parse import quote

from fastapi import APIRouter, HTTPException, Request, Response
from fastapi.responses import RedirectResponse

from ingest import addresses
from ingest.models import Quarantined
from ingest.pipeline import records, reporting, retrying, runs
from ingest.pipeline.pipe import Pipe
from ingest.web import flow, rendering
from ingest.web.window import WORTH, Window, pipe_of, window_of

pages = APIRouter(include_in_schema=False)
api = APIRouter(tags=["runs"])

SHOWN = 100  # runs
NAMED = 200  # entries that are named with their reason
LISTED = 1000  # items of the quarantine
KEPT = 10.0  # seconds
_RUN = re.compile(r"[0-9A-Za-z-]{1,100}")
_ITEM = re.compile(r"[0-9a-f]{24}")


@pages.get("/runs")
def index(request: Request) -> Response:
    return rendering.page(request, "runs.html", runs=_latest(pipe_of(request)))


@pages.get("/runs/of")
def of_airflow(request: Request, dag_id: str, run_id: str) -> Response:
    """Airflow's tab of a DAG's run leads here."""
    tail = runs.tail(f"{dag_id}/{run_id}")
    pipe = pipe_of(request)
    for path in reversed(pipe.landing.list("reports/", suffix=f"-{tail}.json")):
        name = path.removeprefix("reports/").removesuffix(".json")
        return RedirectResponse(rendering.address(request, f"/runs/{name}"), 303)
    raise HTTPException(404, "This run has no report (yet): it is written by the run's last task.")


@pages.get("/runs/{run}")
def one(request: Request, run: str) -> Response:
    window = window_of(request)
    pipe = window.pipe
    report = _report(pipe, run)
    return rendering.page(
        request,
        "run.html",
        run=report,
        flow=flow.of(report),
        named=_named(pipe, run),
        ids={addresses.shown(feed.url): records.feed_id(feed.url) for feed in pipe.feeds()},
        airflow=_airflow(pipe, run),
        items=_set_aside(window, run) if report["outcomes"]["quarantined"] else [],
        most=NAMED,
    )


@pages.get("/quarantine")
def quarantine(request: Request) -> Response:
    items = _quarantined(window_of(request))
    return rendering.page(request, "quarantine.html", items=items[:LISTED], total=len(items))


@pages.get("/quarantine/{identity}")
def download(request: Request, identity: str) -> Response:
    """The bytes, as a file that no browser shows or runs."""
    pipe = pipe_of(request)
    _item(pipe, identity)
    headers = {"Content-Disposition": f'attachment; filename="{identity}.bin"'}
    data = pipe.landing.quarantined_bytes(identity)
    return Response(data, media_type="application/octet-stream", headers=headers)


@api.get("/runs")
def index_json(request: Request) -> list[dict[str, Any]]:
    """The reports of the latest runs, newest first."""
    return _latest(pipe_of(request))


@api.get("/runs/{run}")
def one_json(request: Request, run: str) -> dict[str, Any]:
    """The report of a run, and the first of the entries that it rejected or quarantined, each with its reason."""
    pipe = pipe_of(request)
    return {**_report(pipe, run), "named": _named(pipe, run)}


@api.get("/quarantine")
def quarantine_json(request: Request) -> list[dict[str, Any]]:
    """What could be a story, but could not be handled."""
    return [retrying.to_json(item) for item in pipe_of(request).landing.quarantined()]


# ---------------------------------------------------------------------------------------------------------------------
def _latest(pipe: Pipe) -> list[dict[str, Any]]:
    return reporting.latest(pipe, SHOWN)


def _report(pipe: Pipe, run: str) -> dict[str, Any]:
    if not _RUN.fullmatch(run):
        raise HTTPException(404, "There is no report of that run.")
    return reporting.kept(pipe, run)


def _named(pipe: Pipe, run: str) -> list[dict[str, Any]]:
    """The first entries that a run rejected or quarantined."""
    named = (said for part in pipe.store.bookings_of(run) for said in pipe.landing.part(part).header.get("named", ()))
    return [{**said, "feed": addresses.shown(said.get("feed", ""))} for said in islice(named, NAMED)]


def _set_aside(window: Window, run: str) -> list[Quarantined]:
    return [item for item in _quarantined(window) if item.run == run][:LISTED]


def _quarantined(window: Window) -> list[Quarantined]:
    """All of it, the latest first: a file each, so where that takes long, ten seconds old. No store tells of a change:
    it lies in the landing zone."""

    def read() -> list[Quarantined]:
        return sorted(window.landing.quarantined(), key=lambda item: item.captured, reverse=True)

    return window.remembered("quarantine", KEPT, read, worth=WORTH)


def _item(pipe: Pipe, identity: str) -> None:
    if not _ITEM.fullmatch(identity):
        raise HTTPException(404, "Nothing of that id is quarantined.")
    retrying.item(pipe, identity)


def _airflow(pipe: Pipe, run: str) -> str | None:
    """Where Airflow shows a run of its own, with the logs of its tasks."""
    path = f"runs/{run}.json"
    name = pipe.landing.read_json(path).get("name", "") if pipe.landing.exists(path) else ""
    dag, _, run_id = name.partition("/")
    return f"/dags/{quote(dag, safe='')}/runs/{quote(run_id, safe='')}" if run_id else None
