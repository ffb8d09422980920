"""The window as a whole: who may do what, what every answer says, what is shown when something fails."""

from __future__ import annotations

import base64
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
from fastapi import Depends, HTTPException
from fastapi.routing import APIRoute
from fastapi.testclient import TestClient

from ingest.settings import Settings
from ingest.web import asking, login
from ingest.web.access import Access, alone, session
from tests import windows
from tests.windows import TOKEN

PATHS = ("/", "/story/none", "/runs", "/runs/x", "/feeds", "/api", "/api/search", "/api/v1/openapi.json", "/nothing")


@pytest.fixture
def public(archive_home: Settings) -> Iterator[TestClient]:
    with windows.client(archive_home, alone(TOKEN, loopback=False)) as client:
        yield client


# headers ------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("path", [*PATHS, "/static/base.css", "/static/../app.py", "/login"])
def test_every_answer_forbids_what_is_not_ours(web: TestClient, path: str) -> None:
    answer = web.get(path)
    policy = answer.headers["content-security-policy"]
    assert policy.startswith("default-src 'none'; script-src 'self';")
    assert "unsafe" not in policy
    assert policy.endswith("frame-ancestors 'none'")
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["referrer-policy"] == "no-referrer"
    assert "<script>" not in answer.text
    assert "style=" not in answer.text


@pytest.mark.parametrize("path", ["/", "/feeds", "/api/v1/search", "/static/base.css", "/none"])
def test_head_is_answered_as_get_without_a_body(web: TestClient, path: str) -> None:
    head, get = web.head(path), web.get(path)
    assert (head.status_code, head.headers["content-type"]) == (get.status_code, get.headers["content-type"])
    assert not head.content


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("POST", "/", "GET"),
        ("DELETE", "/runs/x", "GET"),
        ("PUT", "/feeds", "GET, POST"),
        ("PUT", "/api/v1/search", "GET"),
        ("GET", "/api/feeds/x/check", "POST"),
        ("PUT", "/api/v1/feeds/x", "DELETE, GET, PATCH"),
    ],
)
def test_what_an_address_does_not_take_is_told_with_what_it_takes(
    web: TestClient, public: TestClient, method: str, path: str, allowed: str
) -> None:
    answer = web.request(method, path)
    assert (answer.status_code, answer.headers["allow"]) == (405, allowed)
    assert f"This address takes {allowed}, not {method}." in answer.text
    assert web.request(method, f"/nothing{path}").status_code == 404
    assert public.request(method, path, headers={"Accept": "*/*"}).status_code == 401  # no word to strangers


def test_a_page_that_fails_says_so_with_the_same_headers(
    archive_home: Settings, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    app = windows.application(archive_home)

    def broken(*_: object) -> None:
        raise RuntimeError("a secret")

    monkeypatch.setattr(type(app.state.window.store), "search", broken)
    with TestClient(app, base_url="http://127.0.0.1", raise_server_exceptions=False) as client:
        answer = client.get("/")
    assert answer.status_code == 500
    assert "a secret" not in answer.text
    assert "content-security-policy" in answer.headers
    assert "a page failed" in caplog.text


def test_a_store_that_is_gone_is_told_with_what_to_do(settings: Settings) -> None:
    settings.home.mkdir()
    settings.database.write_text("this is no database, it is a text of some length" * 100)
    with windows.client(settings) as client:
        page = client.get("/")
        data = client.get("/api/search")
    assert page.status_code == data.status_code == 503
    assert "this file is not a database" in page.text
    assert "Move it away" in data.json()["error"]["advice"]


# hosts --------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.1:8099", "localhost:1", "LOCALHOST", "[::1]:8099"])
def test_loopback_is_served_under_its_names(web: TestClient, host: str) -> None:
    assert web.get("/", headers={"Host": host}).status_code == 200


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", "localhost.", "", "127.0.0.1@evil", "[::1"])
def test_a_name_that_was_made_to_point_here_is_refused(web: TestClient, host: str) -> None:
    for path in ("/", "/api/search", "/static/base.css"):
        answer = web.get(path, headers={"Host": host})
        assert answer.status_code == 421
        assert "content-security-policy" in answer.headers


# who may ------------------------------------------------------------------------------------------------------------
def test_every_route_is_guarded_when_mounted(archive_home: Settings) -> None:
    """The routes are taken from the application, so that a new one cannot be forgotten."""

    def nobody() -> None:
        raise HTTPException(401)

    app = windows.application(archive_home, Access(readers=[Depends(nobody)]))
    with TestClient(app, base_url="http://127.0.0.1") as client:
        for route in app.routes:
            if isinstance(route, APIRoute):
                for method in route.methods:
                    path = route.path.replace("{", "").replace("}", "").replace(":path", "")
                    assert client.request(method, path).status_code == 401, (method, path)
        assert client.get("/nothing/at/all").status_code == 401


LARGE = [
    ("/api/v1/feeds", "application/json"),
    ("/login", "application/x-www-form-urlencoded"),
    ("/feeds/opml", "multipart/form-data; boundary=x"),
]


def test_off_loopback_all_needs_the_token(public: TestClient) -> None:
    for path in PATHS:
        answer = public.get(path, headers={"Accept": "*/*"})
        assert answer.status_code == 401, path
        assert answer.headers["www-authenticate"].startswith("Basic")
    assert public.get("/api/search", headers={"Authorization": f"Bearer {TOKEN}"}).status_code == 200
    basic = base64.b64encode(f"anybody:{TOKEN}".encode()).decode()
    assert public.get("/", headers={"Authorization": f"Basic {basic}"}).status_code == 200
    assert public.get("/", headers={"Host": "sitrep.example", "Authorization": f"Bearer {TOKEN}"}).status_code == 200


@pytest.mark.parametrize(("path", "media"), LARGE)
def test_what_strangers_send_is_read_to_a_bound(public: TestClient, path: str, media: str) -> None:
    sent = 0

    def endless() -> Iterator[bytes]:
        nonlocal sent
        yield b'--x\r\nContent-Disposition: form-data; name="file"; filename="f"\r\n\r\n' if "multi" in media else b""
        while sent < 64 << 20:
            sent += 1 << 20
            yield b"a" * (1 << 20)

    answer = public.post(path, content=endless(), headers={"Content-Type": media})
    assert answer.status_code == 413
    assert "More than 6 MB were sent" in answer.text


@pytest.mark.parametrize(
    "wrong", ["Bearer", "Bearer x", f"Bearer {TOKEN}x", "Basic !!!", "Basic Og==", f"Digest {TOKEN}"]
)
def test_a_wrong_token_opens_nothing(public: TestClient, wrong: str) -> None:
    assert public.get("/api/search", headers={"Authorization": wrong}).status_code == 401


COOKIES = {
    "none": "",
    "the token": TOKEN,
    "too late": "9" * 30 + ".x",
    "no cookie": "x.y",
    "too old": session(TOKEN, 0),
    "of another": session("another"),
}


@pytest.mark.parametrize("cookie", COOKIES.values(), ids=COOKIES.keys())
def test_a_cookie_that_is_not_ours_or_too_old_opens_nothing(public: TestClient, cookie: str) -> None:
    assert public.get("/api/search", headers={"Cookie": f"sitrep={cookie}"}).status_code == 401


def test_a_browser_logs_in_once(public: TestClient) -> None:
    asked = public.get("/?q=grain&page=2", follow_redirects=False)
    assert asked.status_code == 303
    assert asked.headers["location"] == "/login?next=%2F%3Fq%3Dgrain%26page%3D2"
    wrong = public.post("/login", data={"token": "guessed", "next": "/"})
    assert wrong.status_code == 403
    assert "That is not the token" in wrong.text
    done = public.post("/login", data={"token": TOKEN, "next": "/?q=grain"}, follow_redirects=False)
    assert done.status_code == 303
    assert done.headers["location"] == "/?q=grain"
    cookie = done.headers["set-cookie"]
    assert TOKEN not in cookie
    assert "HttpOnly" in cookie
    assert "SameSite=strict" in cookie
    assert public.get("/").status_code == 200
    assert public.post("/logout", follow_redirects=False).status_code == 303
    assert public.get("/", follow_redirects=False).status_code == 303


@pytest.mark.parametrize(
    "target", ["//evil.example", "https://evil.example", "/\\evil.example", "javascript:x", "/\n/e"]
)
def test_a_login_leads_to_no_other_site(public: TestClient, target: str) -> None:
    done = public.post("/login", data={"token": TOKEN, "next": target}, follow_redirects=False)
    assert done.headers["location"] == "/"


def test_another_site_cannot_log_anybody_in(public: TestClient) -> None:
    for headers in ({"Origin": "https://evil.example"}, {"Sec-Fetch-Site": "cross-site"}, {"Origin": "null"}):
        assert public.post("/login", data={"token": TOKEN}, headers=headers).status_code == 403


def test_tries_of_a_token_do_not_hold_up_the_pages(public: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    """A wrong one takes its time; what comes meanwhile is sent away and not kept waiting in a thread of the pages."""
    tried, done = threading.Event(), threading.Event()

    def slowly(_: float) -> None:
        tried.set()
        assert done.wait(60)

    monkeypatch.setattr(login.time, "sleep", slowly)
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(public.post, "/login", data={"token": "guessed"})
        assert tried.wait(60)
        second = public.post("/login", data={"token": TOKEN}, follow_redirects=False)
        done.set()
        assert first.result(60).status_code == 403
    assert (second.status_code, second.headers["retry-after"]) == (429, "1")
    assert "set-cookie" not in second.headers
    assert public.post("/login", data={"token": TOKEN}, follow_redirects=False).status_code == 303


# mounted ------------------------------------------------------------------------------------------------------------
def test_all_links_follow_where_it_is_mounted(archive_home: Settings) -> None:
    from fastapi import FastAPI

    outer = FastAPI()
    outer.mount("/sitrep", windows.application(archive_home, Access(framed=True)))
    with TestClient(outer, base_url="http://airflow.example", root_path="/behind") as client:
        page = client.get("/behind/sitrep/?q=grain", headers={"Accept": "text/html"})
    assert page.status_code == 200
    assert page.headers["content-security-policy"].endswith("frame-ancestors 'self'")
    links = [part.partition('"')[0] for part in page.text.split('href="')[1:]]
    assert links
    assert all(link.startswith(("/behind/sitrep/", "#", "http")) for link in links), links


def test_settings_that_change_are_taken_up(archive_home: Settings, settings: Settings) -> None:
    from ingest.web import window as windows_

    current = [archive_home]
    window = windows_.Window(lambda: current[0])
    assert window.store.info()["stories"] > 0
    first = window.pipe
    current[0] = replace(settings)
    assert window.pipe is first
    window._asked -= windows_.ASKED_AGAIN + 1
    assert window.store.info()["stories"] == 0
    window.close()


@pytest.mark.parametrize("path", ["/", "/days", "/feed.atom", "/api/search", "/api/filters", "/api/days"])
def test_a_search_that_costs_too_much_is_ended(
    archive_home: Settings, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with windows.client(archive_home) as client:
        client.get("/")  # opens the store, whose memory of what is usual is not this request's
        monkeypatch.setattr(asking, "MOST_SECONDS", 1e-9)
        answer = client.get(path, params={"q": "troops -aid"})
        assert answer.status_code == 400
        assert "this search takes more than" in answer.text
        assert "fewer or rarer words" in answer.text
        monkeypatch.undo()
        assert client.get(path, params={"q": "troops -aid"}).status_code == 200
        assert client.get("/stories.csv", params={"q": "troops"}).status_code == 200
