"""Pages out of templates: what stands in `templates/` may use, static files, and errors as pages or JSON.

Everything is escaped; markup of our own is made here alone, out of escaped pieces (`marked`).
"""

from __future__ import annotations

import hashlib
import mimetypes
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import jinja2
from fastapi import HTTPException, Request, Response
from fastapi.responses import HTMLResponse, JSONResponse
from markupsafe import Markup, escape

from ingest import __version__, addresses, dates, wording
from ingest.errors import Missing, SettingsError, SitrepError, TryAgain
from ingest.web.access import Access
from ingest.web.headers import KEPT

HERE = Path(__file__).resolve().parent
STATIC = HERE / "static"
# The pages of the navigation: path, name.
PAGES = (("/", "Search"), ("/feeds", "Feeds"), ("/runs", "Runs"), ("/topics", "Topics"))


@cache
def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(HERE / "templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(iso=iso, count=count, after=after, marked=marked, link=link)
    environment.filters.update(when=wording.when, plural=wording.plural)
    environment.globals.update(of_page=wording.of_page)
    return environment


def page(request: Request, template: str, *, status: int = 200, **values: Any) -> HTMLResponse:
    """A page. Beside `values`, its template knows `url` and `static` (addresses below wherever the application is
    mounted), `nav`, `here` (the path of the page), `may_write` and `version`."""
    return HTMLResponse(render(request, template, **values), status)


def render(request: Request, template: str, **values: Any) -> str:
    access: Access = request.app.state.access
    return (
        _environment()
        .get_template(template)
        .render(
            url=lambda path, pairs=(), **query: address(request, path, pairs, **query),
            static=lambda name: address(request, f"/static/{name}", v=_static()[name][2]),
            nav=PAGES,
            here=path_of(request),
            may_write=access.may_write(request),
            can_log_in=bool(access.token),
            version=__version__,
            **values,
        )
    )


def path_of(request: Request) -> str:
    """The path inside the application, wherever it is mounted."""
    root: str = request.scope.get("root_path", "")
    return request.url.path.removeprefix(root) or "/"


def address(request: Request, path: str, pairs: Iterable[tuple[str, str]] = (), **query: object) -> str:
    """An address of this application: `path` below where it is mounted, with a query of `pairs` and names."""
    told = [*pairs, *((name, str(value)) for name, value in query.items() if value not in (None, ""))]
    root: str = request.scope.get("root_path", "")
    return root + path + (f"?{urlencode(told)}" if told else "")


# filters ------------------------------------------------------------------------------------------------------------
def iso(moment: str | datetime) -> str:
    """For <time datetime=…>."""
    return dates.iso(moment) if isinstance(moment, datetime) else moment


def count(number: int) -> str:
    """1,234"""
    return f"{number:,d}"


def after(hours: float) -> str:
    """A distance in time: + 40 min, + 3.5 h, + 2 days"""
    sign, hours = ("−" if hours < 0 else "+"), abs(hours)
    if hours < 1:
        return f"{sign} {round(60 * hours)} min"
    return f"{sign} {hours:.1f} h" if hours < 48 else f"{sign} {hours / 24:.1f} days"


def marked(text: str, spans: Iterable[Sequence[int]]) -> Markup:
    """Text with some spans of it (code points, which do not overlap) marked."""
    out, at = Markup(), 0
    for start, end in sorted((start, end) for start, end in spans):
        out += escape(text[at:start]) + Markup("<mark>{}</mark>").format(text[start:end])
        at = end
    return out + escape(text[at:])


def link(url: str | None) -> str | None:
    """An address that a page may link to: http or https, nothing else."""
    return addresses.absolute(url) if url and url[:4].lower() == "http" else None


# static files -------------------------------------------------------------------------------------------------------
@cache
def _static() -> Mapping[str, tuple[bytes, str, str]]:
    """name → (bytes, media type, version): read once, so that no request ever names a file."""
    found = {}
    for path in sorted(STATIC.rglob("*")):
        if path.is_file():
            data = path.read_bytes()
            media = mimetypes.guess_type(path.name)[0] or "text/plain"
            name = path.relative_to(STATIC).as_posix()
            found[name] = data, media, hashlib.sha256(data).hexdigest()[:12]
    return found


def static(name: str) -> Response:
    """A static file. Raises 404."""
    if name not in _static():
        raise HTTPException(404, "There is no such file.")
    data, media, _ = _static()[name]
    return Response(data, media_type=media, headers={"Cache-Control": KEPT.decode()})


# errors -------------------------------------------------------------------------------------------------------------
def failed(request: Request, error: Exception) -> Response:
    """What went wrong and what to do: a page, or JSON for /api."""
    status, message, advice, headers = _told(error)
    path = path_of(request)
    if path.startswith("/api/"):
        body = {"error": {"status": status, "message": message, "advice": advice}}
        return JSONResponse(body, status, headers)
    html = "text/html" in request.headers.get("accept", "")
    if status == 401 and html and request.app.state.access.token:
        target = address(request, "/login", next=path + (f"?{request.url.query}" if request.url.query else ""))
        return Response(status_code=303, headers={"Location": target})
    answer = page(request, "error.html", status=status, code=status, message=message, advice=advice)
    answer.headers.update(headers or {})
    return answer


def _told(error: Exception) -> tuple[int, str, str, Mapping[str, str] | None]:
    """(status, message, advice, headers)"""
    if isinstance(error, SitrepError):
        head = f"{error.subject}: " if error.subject else ""
        return _status(error), head + str(error.args[0]), error.advice, None
    if hasattr(error, "status_code"):
        said: Any = error
        return said.status_code, str(said.detail), "", said.headers
    return (
        500,
        "This page failed. It is a fault of Sitrep.",
        "The log of the server says where; please report it.",
        None,
    )


def _status(error: SitrepError) -> int:
    match error:
        case Missing():
            return 404
        case TryAgain():
            return 503
        case SettingsError():
            return 500
    return 400
