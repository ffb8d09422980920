"""`make up` and `make down`, with a real scheduler over the embedded Postgres.

One Airflow serves the whole file. It is started over what a scheduler leaves that stopped three days ago.
"""

from __future__ import annotations

import json
import os
import random
import re
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote

import jwt
import psutil
import pytest
from playwright.sync_api import Browser, Page, expect

from ingest import settings as configuration
from ingest.models import Feed, FullText
from ingest.pipeline import jobs, runs
from ingest.pipeline.fetching import fetch
from ingest.pipeline.pipe import Pipe
from ingest.store import Query
from tests.servers import FaultServer, Reply
from tests.waiting import wait

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[1]
RSS = {"Content-Type": "application/rss+xml"}
STORIES = 25_000  # of an archive: three publishing tasks, half a minute on two busy cores; the poll took 17 s of it
TODAY = datetime.now(UTC).date()
LONG_AGO = [TODAY - timedelta(days=n) for n in (20, 19, 18)]  # a range to be backfilled
WORDS = ["lorry", "bridge", "harbour", "flour", "brigade", "river", "ministry", "county", "convoy", "relief", "agency"]
WORDS += [
    "border",
    "ship",
    "ceasefire",
    "village",
    "school",
    "market",
    "hospital",
    "officer",
    "grain",
    "diesel",
    "road",
]


def rss(*titles: str) -> bytes:
    items = "".join(
        f"<item><title>{title}</title><link>https://news.example/{title}</link>"
        f"<description>{title}: {' '.join(random.Random(title).choices(WORDS, k=30))}.</description></item>"
        for title in titles
    )
    return f"<rss version='2.0'><channel><title>Northwire</title>{items}</channel></rss>".encode()


def lines(count: int, name: str, published: Callable[[int], str]) -> str:
    chance = random.Random(name)
    records = (
        {
            "id": f"{name}-{n}",
            "title": f"{name} {n}",
            "text": " ".join(chance.choices(WORDS, k=30)),
            "published": published(n),
            "language": "en",
        }
        for n in range(count)
    )
    return "".join(json.dumps(record) + "\n" for record in records)


@dataclass
class Up:
    """An Airflow that runs, and what it is told to read."""

    folder: Path
    environ: dict[str, str]
    server: FaultServer
    feed: Feed

    @property
    def home(self) -> Path:
        return self.folder / "home"

    @property
    def base(self) -> str:
        return f"http://127.0.0.1:{self.told()['port']}"

    def told(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads((self.home / "airflow" / "up.json").read_text())
        return found

    def ops(self, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        return run([str(ROOT / "ops" / "up.py"), *arguments], self.environ, check=check)

    def pipe(self) -> Pipe:
        return Pipe(configuration.load(self.environ))

    def password(self) -> str:
        """The administrator's."""
        passwords: dict[str, str] = json.loads((self.home / "airflow" / "passwords.json").read_text())
        return passwords["admin"]

    def token(self) -> str:
        told = {"username": "admin", "password": self.password()}
        answer: dict[str, str] = self.ask("/auth/token", told, token="")
        return answer["access_token"]

    def viewer(self) -> str:
        """The token of a user who may look at everything and edit no DAG."""
        token = self.token()
        claims = jwt.decode(token, options={"verify_signature": False})
        secret = json.loads((self.home / "airflow" / "secrets.json").read_text())["jwt"]
        algorithm = jwt.get_unverified_header(token)["alg"]
        return jwt.encode({**claims, "sub": "viewer", "role": "viewer"}, secret, algorithm=algorithm)

    def ask(
        self, path: str, body: Any = None, *, token: str | None = None, method: str | None = None, origin: str = ""
    ) -> Any:
        token = self.token() if token is None else token
        headers = {"Content-Type": "application/json"} | ({"Authorization": f"Bearer {token}"} if token else {})
        headers |= {"Origin": origin} if origin else {}
        data = None if body is None else json.dumps(body).encode()
        asked = urllib.request.Request(self.base + path, data, headers, method=method)
        with urllib.request.urlopen(asked, timeout=30) as answer:
            text = answer.read().decode()
            return json.loads(text) if "json" in answer.headers["Content-Type"] else text

    def start(self, dag: str, conf: dict[str, Any] | None = None) -> str:
        run_id: str = self.ask(f"/api/v2/dags/{dag}/dagRuns", {"logical_date": None, "conf": conf or {}})["dag_run_id"]
        return run_id

    def runs(self, dag: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.ask(f"/api/v2/dags/{dag}/dagRuns?limit=100")["dag_runs"]
        return found

    def ended(self, dag: str, count: int, run_type: str = "scheduled") -> list[dict[str, Any]]:
        """So many runs of that type, once they have ended."""

        def those() -> list[dict[str, Any]]:
            asked = [run for run in self.runs(dag) if run["run_type"] == run_type and "before" not in run["dag_run_id"]]
            return asked if len(asked) >= count and all(run["end_date"] for run in asked) else []

        return wait(those, 100, f"{count} {run_type} runs of {dag} to end")

    def reports(self) -> list[dict[str, Any]]:
        landing = self.pipe().landing
        return [landing.read_json(path) for path in landing.list("reports/", suffix=".json")]


def run(command: list[str], environ: dict[str, str], *, check: bool = True) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        [sys.executable, *command], env=environ, capture_output=True, text=True, check=False, timeout=280
    )
    assert not check or done.returncode == 0, done.stdout + done.stderr
    return done


def land(pipe: Pipe, server: FaultServer, day: date, title: str) -> None:
    """What a daily run of that day left: a landing file, and the mark that it is complete."""
    server.on(f"/{day}", Reply(200, rss(title), RSS))
    began = runs.start("daily", day=day, name=str(day))
    jobs.close(pipe, began, [fetch(pipe, began, [Feed(server.url(f"/{day}"), full_text=FullText.NEVER, delay=0.01)])])


@pytest.fixture(scope="module")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    folder = tmp_path_factory.mktemp("up")
    with FaultServer() as server:
        environ = {
            **{name: value for name, value in os.environ.items() if not name.startswith(("SITREP_", "AIRFLOW"))},
            "SITREP_HOME": str(folder / "home"),
            "SITREP_ALLOW_ADDRESSES": "127.0.0.0/8",
            "SITREP_ARCHIVE": str(folder / "kept" / "%Y" / "%m-%d.jsonl"),
            "SITREP_PORT": "18080",
        }
        feed = Feed(server.url("/feed"), full_text=FullText.NEVER, delay=0.01)
        started = Up(folder, environ, server, feed)
        server.on("/feed", Reply(200, rss("Morning"), RSS))
        pipe = started.pipe()
        pipe.store.save_feeds([feed])
        land(pipe, server, LONG_AGO[1], "Landed-then")
        pipe.close()
        for day in LONG_AGO[1:]:
            path = Path(day.strftime(environ["SITREP_ARCHIVE"]))
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(lines(3, f"kept-{day}", lambda n, day=day: f"{day}T0{n}:00:00Z"))
        run([str(ROOT / "tests" / "airflow_stopped.py"), "4"], environ)
        started.ops()
        try:
            yield started
        finally:
            started.ops("down")


def test_it_is_up_and_harmless_to_start_again(up: Up) -> None:
    before = up.told()
    again = up.ops()
    assert up.told() == before
    assert f"http://127.0.0.1:{before['port']}" in again.stdout
    assert json.loads((up.home / "airflow" / "passwords.json").read_text())["admin"] in again.stdout
    assert all(up.ask("/api/v2/monitor/health")[name]["status"] == "healthy" for name in ("scheduler", "triggerer"))


def test_what_it_keeps_is_for_its_owner_alone(up: Up) -> None:
    folder = up.home / "airflow"
    assert folder.stat().st_mode & 0o777 == 0o700
    assert (folder / "pg" / "data").stat().st_mode & 0o077 == 0
    for name in ("passwords.json", "secrets.json"):
        assert (folder / name).stat().st_mode & 0o777 == 0o600
    assert folder.parent.stat().st_mode & 0o777 == 0o755  # Postgres needs no open parents, whoever runs it


def test_the_pages_of_the_plugin_are_behind_the_login(up: Up) -> None:
    for page in ("", "static/base.css", "runs/x", "docs", "api", "api/v1/openapi.json", "nothing"):
        with pytest.raises(urllib.error.HTTPError) as caught:
            up.ask(f"/sitrep/{page}", token="")
        caught.value.close()
        assert caught.value.code == 401
    assert 'role="search"' in up.ask("/sitrep/")
    assert up.ask("/api/v2/plugins/importErrors")["total_entries"] == 0
    assert up.ask("/api/v2/importErrors")["total_entries"] == 0


def refused(up: Up, path: str, body: Any = None, **how: Any) -> int:
    """The status by which a request fails."""
    with pytest.raises(urllib.error.HTTPError) as caught:
        up.ask(path, body, **how)
    caught.value.close()
    return caught.value.code


def test_who_may_edit_the_daily_dag_may_change_feeds(up: Up) -> None:
    (feed,) = [feed for feed in up.ask("/sitrep/api/feeds") if feed["url"] == up.feed.url]
    path, viewer = f"/sitrep/api/feeds/{feed['id']}", up.viewer()
    assert up.ask(path, token=viewer) == up.ask(path)
    assert refused(up, path, {"paused": True}, method="PATCH", token=viewer) == 403
    assert refused(up, path, {"paused": True}, method="PATCH", token="") == 401
    assert refused(up, path, {"paused": True}, method="PATCH", origin="https://evil.example") == 403
    assert 'action="/sitrep/feeds/preview"' in up.ask("/sitrep/feeds")
    assert "/feeds/preview" not in up.ask("/sitrep/feeds", token=viewer)
    assert up.ask(path, {"paused": True}, method="PATCH")["status"] == "paused"
    assert up.ask(path, {"paused": False}, method="PATCH")["status"] != "paused"


def test_a_dags_run_leads_to_its_report(up: Up) -> None:
    run = up.ended("sitrep_daily", 1)[0]["dag_run_id"]
    page = up.ask(f"/sitrep/runs/of?dag_id=sitrep_daily&run_id={quote(run, safe='')}")
    assert "<h1>Daily run of" in page or "<h1>Replay run of" in page
    assert f'href="/dags/sitrep_daily/runs/{quote(run, safe="")}"' in page
    views = next(plugin for plugin in up.ask("/api/v2/plugins")["plugins"] if plugin["name"] == "sitrep")
    assert {view["destination"] for view in views["external_views"]} == {"nav", "dag", "dag_run", "task_instance"}


@pytest.fixture
def reader(up: Up, browser: Browser) -> Iterator[Page]:
    """Somebody at a browser, who is not known yet. The sites of stories answer that they are elsewhere."""
    context = browser.new_context(base_url=up.base, locale="en-GB")
    context.set_default_timeout(60_000)
    context.route(re.compile("^https:"), lambda route: route.fulfill(body="<title>Elsewhere</title>"))
    yield context.new_page()
    context.close()


def test_in_a_browser_it_stands_in_airflows_page_behind_its_login(up: Up, reader: Page) -> None:
    run = up.ended("sitrep_daily", 2)[0]["dag_run_id"]  # the second fetched what is searched for
    reader.goto("/")
    reader.get_by_label("Username").fill("admin")
    reader.locator("input[type=password]").fill(
        json.loads((up.home / "airflow" / "passwords.json").read_text())["admin"]
    )
    reader.keyboard.press("Enter")
    reader.get_by_role("button", name="Browse").click()
    reader.get_by_role("menuitem", name="Sitrep", exact=True).click()
    frame = reader.frame_locator("iframe[title=Sitrep]")
    frame.get_by_role("searchbox").fill("Morning")
    frame.get_by_role("searchbox").press("Enter")
    frame.locator(".hit h2 a").first.click()
    with reader.context.expect_page() as tab:
        frame.get_by_role("link", name="original").click()
    expect(tab.value).to_have_title("Elsewhere")
    frame.get_by_role("link", name="Feeds", exact=True).click()
    expect(frame.get_by_label("Add a feed")).to_be_visible()
    reader.goto(f"/dags/sitrep_daily/runs/{quote(run, safe='')}/plugin/sitrep-report-dag_run")
    report = reader.frame_locator("iframe[title='Sitrep report']")
    expect(report.locator("h1")).to_contain_text("run of")
    report.get_by_role("link", name="its tasks and their logs in Airflow").click()
    expect(reader.locator("iframe")).to_have_count(0)
    expect(reader).to_have_url(re.compile("/dags/sitrep_daily/runs/[^/]+$"))


def test_in_a_browser_who_may_only_look_finds_nothing_to_change(up: Up, reader: Page) -> None:
    reader.goto("/sitrep/")
    expect(reader.get_by_role("searchbox")).to_have_count(0)  # not known yet
    reader.context.add_cookies([{"name": "_token", "value": up.viewer(), "url": up.base}])
    reader.goto("/plugin/sitrep")
    frame = reader.frame_locator("iframe[title=Sitrep]")
    frame.get_by_role("link", name="Feeds", exact=True).click()
    expect(frame.get_by_role("heading", name="Feeds")).to_be_visible()
    expect(frame.get_by_label("Add a feed")).to_have_count(0)
    frame.locator("tbody a").first.click()
    expect(frame.get_by_role("button", name="Pause")).to_have_count(0)


def test_an_archive_a_poll_and_a_backfill_at_once(up: Up) -> None:
    """While an archive is being published, what is polled now can be found within two minutes; a backfill of days
    that landed long ago fetches nothing."""
    big = up.folder / "big.jsonl"
    big.write_text(lines(STORIES, "big", lambda n: f"{2000 + n % 20}-0{1 + n % 9}-1{n % 9}T10:00:00Z"))
    archive = up.start("sitrep_archive", {"paths": [str(big)]})
    pipe = up.pipe()

    def publishing() -> bool:
        found = pipe.store.bookings()
        return any(path.startswith("stories/archive/") and not book.complete for path, book in found.items())

    wait(publishing, 100, "the archive to be published")
    up.server.on("/feed", Reply(200, rss("Morning", "Breaking"), RSS))
    states = pipe.store.states([up.feed.url]).values()
    pipe.store.save_states([replace(state, due=datetime.now(UTC) - timedelta(seconds=1)) for state in states])
    asked = time.monotonic()
    up.start("sitrep_poll")
    wait(lambda: pipe.store.search(Query("Breaking")).total, 120, "the story that was polled")
    took = time.monotonic() - asked
    state = next(run["state"] for run in up.runs("sitrep_archive") if run["dag_run_id"] == archive)
    assert state == "running", f"the archive was done before the poll, after {took:.0f} s: it proves nothing"
    seen = len(up.server.requests)
    backfill(up)
    days = up.ended("sitrep_daily", 3, "backfill")
    assert [run["state"] for run in days] == ["success"] * 3
    replays = [
        report for report in up.reports() if report["kind"] == "replay" and "a backfill run" in report["notes"][0]
    ]
    assert sorted(report["entries"] for report in replays) == [0, 3, 4]
    assert "nothing landed" in min(replays, key=lambda report: report["entries"])["notes"][-1]
    assert pipe.store.search(Query("Landed-then")).total == 1
    assert [seen.path for seen in up.server.requests[seen:] if seen.path != "/feed"] == []
    (done,) = up.ended("sitrep_archive", 1, "manual")
    assert done["state"] == "success"
    pipe.close()


def backfill(up: Up) -> None:
    """`airflow backfill create` over the range, in the surroundings of `make up`."""
    code = (
        "import os, sys; sys.path.insert(0, 'ops'); import surroundings; from postgres import Postgres;"
        "_, folder = surroundings.prepare();"
        "os.environ['AIRFLOW__DATABASE__SQL_ALCHEMY_CONN'] = Postgres(folder / 'pg').url;"
        "os.execv(sys.executable, [sys.executable, '-m', 'airflow', *sys.argv[1:]])"
    )
    dates = ["--from-date", str(LONG_AGO[0]), "--to-date", str(LONG_AGO[-1])]
    run(["-c", code, "backfill", "create", "--dag-id", "sitrep_daily", *dates, "--max-active-runs", "2"], up.environ)


def test_after_three_days_the_newest_interval_alone_is_fetched(up: Up) -> None:
    daily = {run["data_interval_start"][:10]: run["dag_run_id"] for run in up.ended("sitrep_daily", 2)}
    yesterday = TODAY - timedelta(days=1)
    assert sorted(daily) == [str(TODAY - timedelta(days=4)), str(yesterday)]
    pipe = up.pipe()
    assert [day for day in daily if jobs.complete(pipe, date.fromisoformat(day))] == [str(yesterday)]
    (fetched,) = [report for report in up.reports() if report["kind"] == "daily"]
    (replayed,) = [r for r in up.reports() if r["kind"] == "replay" and "not the newest closed" in r["notes"][0]]
    assert fetched["feeds"][0]["url"] == up.feed.url
    assert (replayed["entries"], replayed["feeds"]) == (0, [])


def test_all_of_it_ends_also_what_a_crash_left(up: Up) -> None:
    pids = up.told()["pids"]
    os.kill(pids["scheduler"], signal.SIGKILL)  # its workers live on, as orphans
    sessions = set(pids.values())
    assert left(sessions)
    up.ops("down")
    assert left(sessions) == []
    assert not (up.home / "airflow" / "up.json").exists()
    assert up.ops("down").stdout == "Airflow is down.\n"


def left(sessions: set[int]) -> list[str]:
    listed = subprocess.run(["ps", "-eo", "sid,stat,args"], capture_output=True, text=True, check=True).stdout
    rows = [line.split(None, 2) for line in listed.splitlines()[1:]]
    return [args for sid, state, args in rows if int(sid) in sessions and not state.startswith("Z")]


def test_a_pid_that_is_somebody_elses_by_now_is_left_alone(tmp_path: Path) -> None:
    folder = tmp_path / "home" / "airflow"
    folder.mkdir(parents=True)
    with subprocess.Popen(["sleep", "60"], start_new_session=True) as other:
        created = psutil.Process(other.pid).create_time() - 100
        told = {"port": 1, "pids": {"scheduler": other.pid}, "created": {"scheduler": created}}
        (folder / "up.json").write_text(json.dumps(told))
        done = run([str(ROOT / "ops" / "up.py"), "down"], {**os.environ, "SITREP_HOME": str(folder.parent)})
        assert done.stdout == "Airflow is down.\n"
        assert other.poll() is None
        other.kill()


def test_a_start_that_fails_says_why_and_leaves_nothing_running(tmp_path: Path) -> None:
    folder = tmp_path / ("a-home-with-a-long-name-" * 4) / "airflow"  # too long for a socket
    folder.mkdir(parents=True)
    (folder / "airflow.cfg").write_text("no settings\n")
    done = run([str(ROOT / "ops" / "up.py")], {**os.environ, "SITREP_HOME": str(folder.parent)}, check=False)
    assert done.returncode == 1
    assert "no settings" in done.stderr
    assert "Traceback" not in done.stderr.splitlines()[0]
    assert not (folder / "up.json").exists()
    assert not (folder / "pg" / "data" / "postmaster.pid").exists()
