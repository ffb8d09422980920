"""Runs and feeds: what came in, what became of it, which feeds answer."""

from __future__ import annotations

import re
from typing import Any

from fastapi import APIRouter, HTTPException, Request, Response

from ingest.models import Outcome
from ingest.pipeline import records, reporting
from ingest.pipeline.pipe import Pipe
from ingest.web import rendering

pages = APIRouter(include_in_schema=False)
api = APIRouter(tags=["runs and feeds"])

SHOWN = 100  # runs
_RUN = re.compile(r"[0-9A-Za-z-]{1,100}")


@pages.get("/runs")
def runs(request: Request) -> Response:
    latest = _latest(request.app.state.window.pipe)
    return rendering.page(request, "runs.html", runs=latest, outcomes=[str(outcome) for outcome in Outcome])


@pages.get("/runs/{run}")
def run(request: Request, run: str) -> Response:
    return rendering.page(request, "run.html", run=_report(request.app.state.window.pipe, run))


@pages.get("/feeds")
def feeds(request: Request) -> Response:
    return rendering.page(request, "feeds.html", feeds=_feeds(request.app.state.window.pipe))


@api.get("/runs")
def runs_json(request: Request) -> list[dict[str, Any]]:
    """The reports of the latest runs, newest first."""
    return _latest(request.app.state.window.pipe)


@api.get("/runs/{run}")
def run_json(request: Request, run: str) -> dict[str, Any]:
    """The report of a run."""
    return _report(request.app.state.window.pipe, run)


@api.get("/feeds")
def feeds_json(request: Request) -> list[dict[str, Any]]:
    """All feeds and how each stands."""
    return _feeds(request.app.state.window.pipe)


def _latest(pipe: Pipe) -> list[dict[str, Any]]:
    paths = pipe.landing.list("reports/", suffix=".json")[: -SHOWN - 1 : -1]
    return [pipe.landing.read_json(path) for path in paths]


def _report(pipe: Pipe, run: str) -> dict[str, Any]:
    if not _RUN.fullmatch(run):
        raise HTTPException(404, "There is no report of that run.")
    return reporting.kept(pipe, run)


def _feeds(pipe: Pipe) -> list[dict[str, Any]]:
    feeds = pipe.feeds()
    states = pipe.store.states(feed.url for feed in feeds)
    return [records.feed(feed, states.get(feed.url)) for feed in feeds]
