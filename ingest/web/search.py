"""The first page: a box, filters with their counts, the chart, and what is found, one hit a cluster."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request, Response

from ingest.pipeline import records
from ingest.store import Store, typed
from ingest.web import chart, rendering
from ingest.web.asking import DEEPEST, ORDERS, PAGE, Asked, asked, check_depth, last_day
from ingest.web.window import Window, window_of

pages = APIRouter(include_in_schema=False)
api = APIRouter(tags=["stories"])

SHOWN = 10  # names of a filter; the rest is folded away
MOST = 60  # of them in the page at all
STATUSES = ("asserted", "planned", "demanded", "negated", "hypothetical", "history")


@dataclass(frozen=True, slots=True)
class Choice:
    """A name that can be filtered by, with the stories it would leave; of a topic, how many are about it."""

    name: str
    stories: int
    chosen: bool
    main: int = 0


@dataclass(frozen=True, slots=True)
class Filter:
    """A group of choices: `field` names it in Asked, `param` in the address."""

    title: str
    field: str
    param: str
    choices: Sequence[Choice]
    left_out: int = 0  # names that are not shown


@pages.get("/")
def search(request: Request, asked: Annotated[Asked, Depends(asked)]) -> Response:
    window = window_of(request)
    store = window.store
    found = store.search(asked.query())
    return rendering.page(
        request,
        "search.html",
        asked=asked,
        found=found,
        filters=filters(window, asked),
        chart=chart.drawn(window, asked),
        pages=_pages(asked, found.total if asked.every else found.clusters or 0),
        orders=ORDERS,
        last_day=last_day,
        title_marks=_marker(asked),
        shown=SHOWN,
        empty=not found.total and not store.info()["stories"],
    )


@api.get("/search")
def search_json(
    request: Request,
    asked: Annotated[Asked, Depends(asked)],
    limit: Annotated[int, Query(ge=1, le=100, description="Hits of a page.")] = PAGE,
) -> dict[str, Any]:
    """Stories that are found, one hit a cluster: `total` stories of `clusters`, and a page of `hits` (as in `export`,
    with `snippet`, the `marks` in it, the number of `copies` and of `outlets` that told it)."""
    check_depth(asked.page, limit)
    found = window_of(request).store.search(asked.query(limit))
    return {"total": found.total, "clusters": found.clusters, "hits": [records.hit(hit) for hit in found.hits]}


@api.get("/filters")
def filters_json(request: Request, asked: Annotated[Asked, Depends(asked)]) -> dict[str, Any]:
    """What a search can be narrowed by, each name with the stories that it would leave."""
    return {
        each.param: [
            {"name": choice.name, "stories": choice.stories, "chosen": choice.chosen}
            | ({"main": choice.main} if each.param == "topic" else {})
            for choice in each.choices
        ]
        for each in filters(window_of(request), asked)
    }


def filters(window: Window, asked: Asked) -> list[Filter]:
    """The groups; each counts what all others leave, so that a second name of it can be added."""
    return chart.counted(window, "filters", asked, lambda: _filters(window.store, asked))


def _filters(store: Store, asked: Asked) -> list[Filter]:
    topics = replace(asked, topics=(), weight="any").query()
    statuses, sources, languages = (
        replace(asked, **{field: ()}).query()  # type: ignore[arg-type]
        for field in ("statuses", "sources", "languages")
    )
    counted = store.counts(
        [(topics, "main_topic"), (topics, "topic"), (statuses, "status"), (sources, "source"), (languages, "language")]
    )
    return [
        _topics(asked, *counted[:2]),
        _filter(asked, counted[2], "Status of evidence", "statuses", "status", STATUSES),
        _filter(asked, counted[3], "Source", "sources", "source"),
        _filter(asked, counted[4], "Language", "languages", "lang"),
    ]


def _topics(asked: Asked, main: Mapping[str, int], counted: Mapping[str, int]) -> Filter:
    names = dict.fromkeys([*counted, *asked.topics])
    choices = [Choice(name, counted.get(name, 0), name in asked.topics, main.get(name, 0)) for name in names]
    return Filter("Topic", "topics", "topic", choices)


def _filter(
    asked: Asked, counted: Mapping[str, int], title: str, field: str, param: str, order: Sequence[str] = ()
) -> Filter:
    chosen: tuple[str, ...] = getattr(asked, field)
    names = [name for name in dict.fromkeys([*order, *counted]) if counted.get(name)] if order else list(counted)
    first = [name for name in names if name in chosen] if not order else []
    listed = dict.fromkeys([*first, *names, *chosen])
    choices = [Choice(name, counted.get(name, 0), name in chosen) for name in listed if name]
    return Filter(title, field, param, choices[:MOST], max(0, len(choices) - MOST))


def _marker(asked: Asked) -> Callable[[str], Sequence[tuple[int, int]]]:
    """Where what was typed stands in a title."""
    clauses = typed.read(asked.q).required
    return lambda title: typed.marks(title, clauses)


def _pages(asked: Asked, hits: int) -> dict[str, int | None]:
    last = max(1, -(-min(hits, DEEPEST) // PAGE))
    return {
        "last": last,
        "previous": asked.page - 1 if asked.page > 1 else None,
        "next": asked.page + 1 if asked.page < last else None,
    }
