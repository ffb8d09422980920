"""Feeds: which are read, how each does, what one would bring; adding, pausing, checking and removing them.

What changes or fetches something is a `writing` route: the application lets only writers there.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from typing import Annotated, Any

from fastapi import APIRouter, Body, File, Form, HTTPException, Request, Response, UploadFile
from fastapi.responses import RedirectResponse

from ingest import addresses, wording
from ingest import feeds as opml
from ingest.models import Content, Feed, FeedState
from ingest.pipeline import finding, health, previewing, records
from ingest.pipeline.health import Health
from ingest.pipeline.pipe import Pipe
from ingest.web import rendering
from ingest.web.bodies import LARGEST_FILE
from ingest.web.window import Window, pipe_of, window_of

pages = APIRouter(include_in_schema=False)
api = APIRouter(tags=["feeds"])
writing_pages = APIRouter(include_in_schema=False)
writing_api = APIRouter(tags=["feeds"])

LONGEST = 2000  # characters of an address
PERIOD = 30  # days that a feed's own page looks back
KEPT = 30.0  # seconds
DONE = {
    "added": "Added. The next poll reads it.",
    "there": "It was there already.",
    "paused": "Paused. Its stories stay.",
    "resumed": "Read again from the next poll on.",
    "removed": "Removed. Its stories stay.",
}


@dataclass(frozen=True, slots=True)
class Told:
    """A feed, and what pages say of it."""

    record: dict[str, Any]
    health: Health
    trouble: tuple[str, str] | None
    last: datetime | None  # success


# reading ------------------------------------------------------------------------------------------------------------
@pages.get("/feeds")
def feeds(request: Request, done: str = "", n: int = 0, changed: int = 0) -> Response:
    said = f"{wording.plural(n, 'feed')} added, {changed:,d} changed." if done == "imported" else DONE.get(done, "")
    return rendering.page(request, "feeds.html", feeds=_all(window_of(request)), said=said, days=health.DAYS)


@pages.get("/feeds.opml")
def export(request: Request) -> Response:
    """The list as a file. Real addresses, which may hold tokens, are for those who could change them as well."""
    known = pipe_of(request).feeds()
    if not request.app.state.access.may_write(request):
        known = [replace(feed, url=addresses.shown(feed.url)) for feed in known]
    name = f"sitrep-feeds-{datetime.now(UTC):%Y-%m-%d}.opml"
    headers = {"Content-Disposition": f'attachment; filename="{name}"'}
    return Response(opml.write_opml(known), media_type="text/x-opml", headers=headers)


@pages.get("/feeds/{identity}")
def feed(request: Request, identity: str, done: str = "") -> Response:
    return _page(request, _found(pipe_of(request), identity), said=DONE.get(done, ""))


@api.get("/feeds")
def feeds_json(request: Request) -> list[dict[str, Any]]:
    """All feeds, those that somebody should look at first; `days` counts the new stories of the last two weeks."""
    return [_json(told) for told in _all(window_of(request))]


@api.get("/feeds/{identity}")
def feed_json(request: Request, identity: str) -> dict[str, Any]:
    """A feed and how it does; `days` counts the new stories of the last month, `refused` its entries that were rejected
    or quarantined in it, by reason."""
    window = window_of(request)
    feed = _found(window.pipe, identity)
    return {**_json(_told(window, feed)), "refused": [asdict(each) for each in _refused(window, feed)]}


# writing ------------------------------------------------------------------------------------------------------------
@writing_pages.post("/feeds/preview")
def preview(request: Request, url: Annotated[str, Form(max_length=LONGEST)] = "") -> Response:
    found = previewing.look(pipe_of(request), url.strip())
    stories = [(item.told, isinstance(item.told, Content), item.known) for item in found.stories]
    return rendering.page(request, "preview.html", asked=url.strip(), found=found, stories=stories)


@writing_pages.post("/feeds")
def add(request: Request, url: Annotated[str, Form(max_length=LONGEST)] = "") -> Response:
    told, new = _added(pipe_of(request), url.strip())
    return _back(request, f"/feeds/{records.feed_id(told.url)}", "added" if new else "there")


@writing_pages.post("/feeds/opml")
def load(request: Request, file: Annotated[UploadFile, File()]) -> Response:
    data = file.file.read(LARGEST_FILE + 1)
    if len(data) > LARGEST_FILE:
        raise HTTPException(413, f"The file has more than {LARGEST_FILE >> 20} MB: that is no list of feeds.")
    pipe = pipe_of(request)
    found = opml.read_opml(data)
    new, changed = finding.take_in(pipe, found)
    if found.problems:
        told = {"new": new, "changed": changed}
        return rendering.page(request, "imported.html", read=len(found), problems=found.problems, **told)
    return _back(request, "/feeds", "imported", n=new, changed=changed)


@writing_pages.post("/feeds/{identity}/check")
def check(request: Request, identity: str) -> Response:
    pipe = pipe_of(request)
    told = _found(pipe, identity)
    (answer,) = finding.check(pipe, [told])
    return _page(request, told, checked=answer, advice=health.ADVICE.get(answer.reason or ""))


@writing_pages.post("/feeds/{identity}/{what}")
def change(request: Request, identity: str, what: str) -> Response:
    pipe = pipe_of(request)
    told = _found(pipe, identity)
    match what:
        case "pause" | "resume":
            pipe.store.save_feeds([replace(told, paused=what == "pause")])
            return _back(request, f"/feeds/{identity}", what + "d")
        case "remove":
            pipe.store.remove_feed(told.url)
            return _back(request, "/feeds", "removed")
    raise HTTPException(404, "There is no such page.")


@writing_api.post("/feeds", status_code=201)
def add_json(
    request: Request, response: Response, url: Annotated[str, Body(embed=True, max_length=LONGEST)]
) -> dict[str, Any]:
    """Add the feed at an address, or the one that the site there names. 200 where it was there already."""
    window = window_of(request)
    told, new = _added(window.pipe, url.strip())
    response.status_code = 201 if new else 200
    return _json(_told(window, told))


@writing_api.post("/feeds/preview")
def preview_json(request: Request, url: Annotated[str, Body(embed=True, max_length=LONGEST)]) -> dict[str, Any]:
    """What the feed at an address would bring: its latest entries as stories, or why they are none. Nothing is kept."""
    found = previewing.look(pipe_of(request), url.strip())
    return {
        "feed": records.settings_of(found.feed),
        "there": found.there,
        "entries": found.entries,
        "stories": [
            {**(item.told.to_json() if isinstance(item.told, Content) else asdict(item.told)), "known": item.known}
            for item in found.stories
        ],
    }


@writing_api.post("/feeds/{identity}/check")
def check_json(request: Request, identity: str) -> dict[str, Any]:
    """Fetch the feed once and say how it answers. Nothing is kept."""
    pipe = pipe_of(request)
    (answer,) = finding.check(pipe, [_found(pipe, identity)])
    return asdict(answer)


@writing_api.patch("/feeds/{identity}")
def change_json(request: Request, identity: str, paused: Annotated[bool, Body(embed=True)]) -> dict[str, Any]:
    """Pause a feed, or read it again."""
    window = window_of(request)
    told = replace(_found(window.pipe, identity), paused=paused)
    window.store.save_feeds([told])
    return _json(_told(window, told))


@writing_api.delete("/feeds/{identity}", status_code=204)
def remove_json(request: Request, identity: str) -> Response:
    """Stop reading a feed. Its stories stay."""
    pipe = pipe_of(request)
    pipe.store.remove_feed(_found(pipe, identity).url)
    return Response(status_code=204)


# ---------------------------------------------------------------------------------------------------------------------
def _found(pipe: Pipe, identity: str) -> Feed:
    found = next((feed for feed in pipe.feeds() if records.feed_id(feed.url) == identity), None)
    if found is None:
        raise HTTPException(404, "There is no such feed.")
    return found


def _added(pipe: Pipe, url: str) -> tuple[Feed, bool]:
    """The feed of an address, and whether it is new. Raises UsageError where there is none."""
    found = finding.discover(pipe, url)
    there = next((feed for feed in pipe.feeds() if feed.url == found.url), None)
    if there is None:
        pipe.store.save_feeds([found])
    return there or found, there is None


def _all(window: Window) -> list[Told]:
    known = window.pipe.feeds()
    states = window.store.states(feed.url for feed in known)
    healths = _healths(window, health.DAYS)
    return [
        _with(feed, states.get(feed.url), healths.get(addresses.shown(feed.url), Health({})))
        for feed in health.troubled_first(known, states)
    ]


def _told(window: Window, feed: Feed) -> Told:
    shown = addresses.shown(feed.url)
    return _with(feed, window.store.states([feed.url]).get(feed.url), _healths(window, PERIOD).get(shown, Health({})))


def _healths(window: Window, days: int) -> Mapping[str, Health]:
    """All files of these days are asked after; where that takes long, as they were when the store was written last, or
    half a minute old where it cannot tell."""
    today = datetime.now(UTC).date()
    return window.counted(("health", today, days), KEPT, lambda: health.healths(window.pipe, today, days))


def _refused(window: Window, feed: Feed) -> list[health.Refused]:
    today, shown = datetime.now(UTC).date(), addresses.shown(feed.url)
    key = "refused", today, shown
    return window.counted(key, KEPT, lambda: health.refused(window.pipe, shown, today, PERIOD))


def _with(feed: Feed, state: FeedState | None, health_: Health) -> Told:
    last = None if state is None else state.whole if state.failures else state.polled
    return Told(records.feed(feed, state), health_, health.why(feed, state), last)


def _json(told: Told) -> dict[str, Any]:
    what, advice = told.trouble or (None, None)
    return {
        **told.record,
        "trouble": what,
        "advice": advice,
        "last_success": told.last,
        "days": {str(day): n for day, n in told.health.days.items()},
        "usual": told.health.usual,
        "silent": told.health.silent,
        "outcomes": dict(told.health.outcomes),
    }


def _page(request: Request, feed: Feed, **values: Any) -> Response:
    window = window_of(request)
    told = _told(window, feed)
    return rendering.page(
        request,
        "feed.html",
        **{
            "feed": told,
            "refused": _refused(window, feed),
            "days": PERIOD,
            "said": "",
            "checked": None,
            "advice": None,
            **values,
        },
    )


def _back(request: Request, path: str, done: str, **query: Any) -> Response:
    """To a page that says what was done: loading that again does nothing twice."""
    return RedirectResponse(rendering.address(request, path, done=done, **query), 303)
