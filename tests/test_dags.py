"""The DAGs: whole, quick to read, and what each run does, run for real in processes of their own."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from ingest import feeds as opml
from ingest.errors import NotAnArchive, Unbalanced, UsageError
from ingest.models import Feed, FullText
from ingest.pipeline import jobs, plans, reporting, runs
from ingest.pipeline.jobs import Asked
from ingest.pipeline.pipe import Pipe
from ingest.settings import Settings
from ingest.store import Query
from tests.servers import FaultServer, Reply

ROOT = Path(__file__).resolve().parents[1]
RSS = {"Content-Type": "application/rss+xml"}
DAY = date(2026, 3, 9)
MIDNIGHT = datetime(2026, 3, 10, tzinfo=UTC)  # the end of that day's interval
DAYS = timedelta(days=1)

Airflow = Callable[..., dict[str, Any]]


TOLD = {
    "One ship": "The harbour master said on Monday that the first vessel in eleven days had been let through.",
    "Two": "Farmers of the northern county asked for diesel, because their tractors have stood still since the spring.",
    "Three": "The council of the island voted on Friday to build a second pier, against the advice of its engineers.",
}


def rss(server: FaultServer, *titles: str) -> bytes:
    items = "".join(
        f"<item><title>{title}</title><link>{server.url('/' + title.replace(' ', '-'))}</link>"
        f"<description>{TOLD[title]}</description></item>"
        for title in titles
    )
    return f"<rss version='2.0'><channel><title>Northwire</title>{items}</channel></rss>".encode()


def line(number: int, **more: str) -> str:
    text = f"Report {number}. The relief agency said that {number} lorries with flour had reached the district."
    return json.dumps({"id": f"n{number}", "title": f"Flour {number}", "text": text, **more})


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """An Airflow home with its tables made, to copy (making them takes five seconds), and what reading brought."""
    home = tmp_path_factory.mktemp("airflow") / "home"
    return home, run_airflow(home)


def run_airflow(home: Path, *asked: dict[str, Any], **environ: str) -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, str(ROOT / "tests" / "airflow_runs.py"), *map(json.dumps, asked)],
        env={**os.environ, "SITREP_HOME": str(home), "SITREP_ALLOW_ADDRESSES": "127.0.0.0/8", **environ},
        capture_output=True,
        text=True,
        check=False,
        timeout=200,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    result["log"] = done.stdout + done.stderr
    return result


@pytest.fixture
def airflow(pipe: Pipe, first: tuple[Path, dict[str, Any]]) -> Airflow:
    """Runs DAGs over the home of `pipe`."""
    home = pipe.settings.home
    shutil.copytree(first[0] / "airflow", home / "airflow")
    return lambda *asked, **environ: run_airflow(home, *asked, **environ)


def follow(pipe: Pipe, server: FaultServer, path: str = "/feed") -> Feed:
    feed = Feed(server.url(path), full_text=FullText.NEVER, delay=0.01)
    pipe.store.save_feeds([feed])
    return feed


def titles(pipe: Pipe) -> list[str | None]:
    return sorted(str(story.content.title) for story in pipe.store.export(Query()))


# --- the timetables -------------------------------------------------------------------------------------------------
def test_the_dags_are_whole_and_quick_to_read(first: tuple[Path, dict[str, Any]]) -> None:
    _, result = first
    assert result["errors"] == {}
    assert result["dags"] == ["sitrep_archive", "sitrep_daily", "sitrep_poll"]
    assert result["seconds"] < 2.0  # 0.1 s measured on two cores: nothing of the pipe is imported to read a timetable


def test_reading_the_dags_imports_nothing_of_the_pipe(first: tuple[Path, dict[str, Any]]) -> None:
    assert [name for name in first[1]["imported"] if name.startswith("ingest.pipeline")] == []


def test_a_stopped_scheduler_goes_on_with_the_newest_interval_alone(first: tuple[Path, dict[str, Any]]) -> None:
    assert first[1]["after_three_days"] == {"days_ago": 1, "runs_at_once": 1}


# --- when a run fetches ---------------------------------------------------------------------------------------------
def asked(started: datetime, *, backfill: bool = False, by_hand: bool = False, complete: bool = False) -> Asked:
    return Asked(backfill, None if by_hand else MIDNIGHT, started, complete)


@pytest.mark.parametrize(
    ("what", "fetches"),
    [
        (asked(MIDNIGHT + timedelta(seconds=3)), True),  # scheduled
        (asked(MIDNIGHT + timedelta(hours=9)), True),  # the scheduler came up late
        (asked(MIDNIGHT + 0.99 * DAYS), True),
        (asked(MIDNIGHT + DAYS), False),  # a newer interval is closed
        (asked(MIDNIGHT + 3 * DAYS), False),  # cleared later
        (asked(MIDNIGHT + timedelta(hours=1), complete=True), False),  # cleared on the same day
        (asked(MIDNIGHT + timedelta(hours=9), backfill=True), False),
        (asked(MIDNIGHT, by_hand=True), True),
    ],
)
def test_when_a_daily_run_fetches(what: Asked, fetches: bool) -> None:
    decided, why = jobs.fetches(what)
    assert decided is fetches
    assert why


def test_a_retry_after_midnight_does_what_its_first_try_decided(pipe: Pipe, server: FaultServer) -> None:
    follow(pipe, server)
    started = MIDNIGHT + timedelta(hours=23, minutes=59)
    plan = plans.daily(pipe, "sitrep_daily/r1", asked(started), DAY)
    fetched = plans.fetch_batch(pipe, plan.run, 0)
    jobs.close(pipe, plan.run, [fetched])  # and killed; Airflow tries again an hour later, as the same run
    again = plans.daily(pipe, "sitrep_daily/r1", asked(started), DAY)
    assert again == plan
    assert not again.replays


def test_a_run_that_is_cleared_decides_anew(pipe: Pipe, server: FaultServer) -> None:
    server.on("/feed", Reply(200, rss(server, "One ship"), RSS))
    follow(pipe, server)
    plan = plans.daily(pipe, "sitrep_daily/r1", asked(MIDNIGHT), DAY)
    plans.close(pipe, plan.run, [plans.fetch_batch(pipe, plan.run, 0)])
    later = MIDNIGHT + 2 * DAYS
    cleared = plans.daily(pipe, "sitrep_daily/r1", Asked(False, MIDNIGHT, later, jobs.complete(pipe, DAY)), DAY)
    assert cleared.run.id != plan.run.id
    assert (cleared.replays, cleared.run.kind, cleared.batches) == (True, "replay", [])


def test_a_run_by_hand_for_no_interval_leaves_its_day_open(pipe: Pipe, server: FaultServer) -> None:
    follow(pipe, server)
    plan = plans.daily(pipe, "sitrep_daily/manual", asked(MIDNIGHT, by_hand=True), DAY)
    plans.close(pipe, plan.run, [plans.fetch_batch(pipe, plan.run, 0)])
    assert not jobs.complete(pipe, DAY)


def work_off(pipe: Pipe, plan: plans.Plan, *landings: str) -> dict[str, Any]:
    """What the tasks of a run do, one after the other."""
    shares = plans.close(pipe, plan.run, landings)
    parts = [path for share in shares for path in plans.digest(pipe, plan.run, share)]
    for share in plans.queue(parts):
        plans.publish_parts(pipe, plan.run, share)
    return plans.report_on(pipe, plan.run, [item for share in shares for item in share], parts).to_json()


def test_a_poll_publishes_what_a_poll_before_it_left(pipe: Pipe, server: FaultServer) -> None:
    server.on("/feed", [Reply(200, rss(server, *("One ship", "Two", "Three")[:n]), RSS) for n in (1, 2, 3)])
    follow(pipe, server)
    begun = MIDNIGHT - timedelta(hours=2)
    first = plans.poll(pipe, "sitrep_poll/r1", begun, DAY)
    landed = plans.fetch_batch(pipe, first.run, 0)
    (share,) = plans.close(pipe, first.run, [landed])
    plans.digest(pipe, first.run, share)  # and its worker is gone for good
    daily = plans.daily(pipe, "sitrep_daily/r1", asked(begun, by_hand=True), DAY)  # at work at this moment
    at_work = plans.fetch_batch(pipe, daily.run, 0)
    pipe.store.save_states([replace(state, due=None) for state in pipe.store.states([server.url("/feed")]).values()])
    second = plans.poll(pipe, "sitrep_poll/r2", begun + timedelta(minutes=10), DAY + DAYS)  # midnight passed between
    report = work_off(pipe, second, plans.fetch_batch(pipe, second.run, 0))
    assert titles(pipe) == ["One ship", "Three", "Two"]
    assert (report["entries"], report["feeds"][0]["entries"]) == (4, 4)  # one of the first poll, three of its own
    third = plans.poll(pipe, "sitrep_poll/r3", begun + timedelta(minutes=20), DAY + DAYS)
    assert [item["landing"] for share in plans.close(pipe, third.run, []) for item in share] == []
    assert jobs.left_over(pipe, third.run) == [at_work]


def test_what_was_set_aside_is_not_what_was_left(pipe: Pipe, server: FaultServer) -> None:
    server.on("/feed", Reply(200, rss(server, "One ship"), RSS))
    follow(pipe, server)
    first = plans.poll(pipe, "sitrep_poll/r1", MIDNIGHT, DAY)
    landed = plans.fetch_batch(pipe, first.run, 0)
    (part,) = plans.digest(pipe, first.run, [{"landing": landed}])
    assert jobs.left_over(pipe, first.run) == [landed]
    note = {"version": pipe.landing.part(part).version, "tries": 3, "error": "OSError: a sector is gone"}
    pipe.landing.write_json(f"failures/{part}.json", note)
    assert jobs.left_over(pipe, first.run) == []
    assert plans.poll(pipe, "sitrep_poll/r2", MIDNIGHT, DAY).run.id != first.run.id


def test_a_daily_run_closes_its_day_with_the_polls_of_that_day(pipe: Pipe, server: FaultServer) -> None:
    server.on("/feed", [Reply(200, rss(server, "One ship"), RSS), Reply(200, rss(server, "One ship", "Two"), RSS)])
    follow(pipe, server)
    poll = plans.poll(pipe, "sitrep_poll/r1", MIDNIGHT - timedelta(hours=2), DAY)
    polled = work_off(pipe, poll, plans.fetch_batch(pipe, poll.run, 0))
    assert (polled["kind"], polled["outcomes"]["indexed"]) == ("poll", 1)
    daily = plans.daily(pipe, "sitrep_daily/r1", asked(MIDNIGHT + timedelta(seconds=5)), DAY)
    report = work_off(pipe, daily, plans.fetch_batch(pipe, daily.run, 0))
    assert jobs.complete(pipe, DAY)
    assert report["kind"] == "daily"
    assert report["entries"] == 3
    assert {name: n for name, n in report["outcomes"].items() if n} == {"indexed": 2, "unchanged": 1}


def test_a_backfill_run_replays_its_day_and_takes_the_archive_of_that_day(
    settings: Settings, tmp_path: Path, server: FaultServer
) -> None:
    (tmp_path / "2026-03-09.jsonl").write_text(line(1) + "\n" + line(2) + "\n")
    opened = Pipe(replace(settings, archive=str(tmp_path / "%Y-%m-%d.jsonl")))
    server.on("/feed", Reply(200, rss(server, "One ship"), RSS))
    follow(opened, server)
    daily = plans.daily(opened, "sitrep_daily/r1", asked(MIDNIGHT), DAY)
    work_off(opened, daily, plans.fetch_batch(opened, daily.run, 0))
    polls = len(server.requests)
    started = MIDNIGHT + 30 * DAYS
    backfill = plans.daily(opened, "sitrep_daily/backfill", asked(started, backfill=True), DAY)
    report = work_off(opened, backfill)
    assert (report["kind"], report["entries"], report["outcomes"]["unchanged"]) == ("replay", 3, 1)
    assert report["outcomes"]["indexed"] + report["outcomes"]["duplicate"] == 2
    assert "a backfill run replays" in report["notes"][0]
    empty = plans.daily(opened, "sitrep_daily/b2", asked(started, backfill=True), DAY - DAYS)
    assert work_off(opened, empty)["notes"][-1] == "nothing landed on 2026-03-08"
    (tmp_path / "2026-03-07.jsonl").write_text("\n")
    empty = plans.daily(opened, "sitrep_daily/b3", asked(started, backfill=True), DAY - 2 * DAYS)
    assert work_off(opened, empty)["notes"][-2:] == [
        f"{tmp_path}/2026-03-07.jsonl: is empty, there is nothing to read",
        "nothing landed on 2026-03-07",
    ]
    (tmp_path / "2026-03-06.jsonl" / "pages").mkdir(parents=True)  # a day's folder into which nobody wrote
    empty = plans.daily(opened, "sitrep_daily/b4", asked(started, backfill=True), DAY - 3 * DAYS)
    assert work_off(opened, empty)["notes"][-2] == f"{tmp_path}/2026-03-06.jsonl: is empty, there is nothing to read"
    assert len(server.requests) == polls  # nothing was fetched
    opened.close()


def test_a_file_that_was_not_published_fails_the_report(pipe: Pipe, tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text(line(1) + "\n")
    plan = plans.backfill(pipe, "sitrep_archive/r1", MIDNIGHT, [str(tmp_path)])
    work = plans.archives(plan)
    parts = plans.digest(pipe, plan.run, work)
    with pytest.raises(Unbalanced, match="not published"):
        plans.report_on(pipe, plan.run, work, parts)


@pytest.mark.parametrize(
    ("paths", "error", "told"),
    [
        ([], UsageError, r'no paths were given.*\{"paths": \['),
        (None, UsageError, "no paths were given"),
        ("/archive/2022.warc.gz", UsageError, "no paths were given"),
        (["archive.jsonl"], UsageError, "is not an absolute path"),
        (["/nowhere/at/all.jsonl"], NotAnArchive, "/nowhere/at/all.jsonl: does not exist; expected"),
    ],
)
def test_an_archive_run_without_archives_says_what_to_give(
    pipe: Pipe, paths: Any, error: type[Exception], told: str
) -> None:
    with pytest.raises(error, match=told):
        plans.backfill(pipe, "sitrep_archive/r1", MIDNIGHT, paths)


def test_live_stories_stand_before_an_archives_which_go_one_by_one() -> None:
    parts = ["stories/archive/b/00000", "stories/captures/d/x/00000", "stories/archive/a/00000"]
    assert plans.queue([*parts, "stories/captures/d/a/00000"]) == [
        ["stories/captures/d/a/00000", "stories/captures/d/x/00000"],
        ["stories/archive/a/00000"],
        ["stories/archive/b/00000"],
    ]


def test_a_run_has_no_more_tasks_than_airflow_takes() -> None:
    shares = plans.queue([f"stories/archive/{n:05d}/00000" for n in range(3000)])
    assert len(shares) == plans.TASKS
    assert sum(map(len, shares)) == 3000


def test_progress_tells_rate_and_time_left(monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    now = iter([0.0, 1.0, 11.0, 41.0])
    monkeypatch.setattr(plans.time, "monotonic", lambda: next(now))
    tell = plans.told(said.append)
    for done in (0, 1000, 4000):
        tell(plans.Step("digest", done, 10_000, "bytes"))
    assert said == ["digest: 4,000 of 10,000 bytes, 100 a second, about 60 s left"]


# --- by deed --------------------------------------------------------------------------------------------------------
def test_daily_and_archive_run_for_real(pipe: Pipe, airflow: Airflow, server: FaultServer, tmp_path: Path) -> None:
    server.on("/feed", Reply(200, rss(server, "One ship", "Two"), RSS))
    follow(pipe, server)
    follow(pipe, server, "/gone")
    (tmp_path / "a.jsonl").write_text("\n".join(line(n) for n in range(30)) + "\nno object\n")
    yesterday = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    result = airflow(
        {"dag": "sitrep_archive", "conf": {"paths": [str(tmp_path / "a.jsonl")]}},
        {"dag": "sitrep_daily"},
        {"dag": "sitrep_daily", "date": yesterday.isoformat()},  # dag.test: as by hand, for the interval before it
        {"dag": "sitrep_poll"},
        {"dag": "sitrep_archive", "conf": {"paths": []}},
    )
    archive, by_hand, scheduled, poll, wrong = result["runs"]
    assert [run["state"] for run in (archive, by_hand, scheduled, poll)] == ["success"] * 4, result["log"][-4000:]
    reports = [pipe.landing.read_json(path) for path in pipe.landing.list("reports/", suffix=".json")]
    kinds = {report["kind"]: report for report in reports}
    assert kinds["archive"]["entries"] == 31
    assert kinds["archive"]["outcomes"]["rejected"] == 1
    fetched = [report for report in reports if report["kind"] == "daily"]
    assert sorted(report["entries"] for report in fetched) == [2, 2]
    assert {feed["status"] for report in fetched for feed in report["feeds"]} >= {"new", "unreachable"}
    closed = yesterday.date() - DAYS
    assert jobs.complete(pipe, closed)
    assert jobs.landed(pipe, closed)
    assert "no paths were given" in result["log"]
    plan_tries = [(state, tries) for task, _, state, tries in wrong["tasks"] if task == "plan"]
    assert plan_tries == [("failed", 1)]  # the same again would end the same: no retry
    assert {"One ship", "Two"} <= set(titles(pipe))


def test_a_stranger_called_ingest_is_named(tmp_path: Path) -> None:
    stranger = tmp_path / "ingest"
    stranger.mkdir()
    (stranger / "__init__.py").write_text("raise SystemExit('the stranger ran')")
    environ = {**os.environ, "PYTHONPATH": str(tmp_path)}
    script = Path(sys.executable).with_name("sitrep")
    for command in (
        [str(script), "--version"],
        [sys.executable, "-W", "ignore", "-c", f"import sys; sys.path.append({str(ROOT / 'dags')!r}); import daily"],
    ):
        done = subprocess.run(command, env=environ, cwd=tmp_path, capture_output=True, text=True, check=False)
        assert done.returncode == 1
        assert f"another package called ingest is in the way: Python finds {stranger}" in done.stderr


def test_feeds_of_a_batch_go_by_a_plan_that_survives_their_removal(pipe: Pipe, server: FaultServer) -> None:
    server.on("/feed", Reply(200, rss(server, "One ship"), RSS))
    follow(pipe, server)
    follow(pipe, server, "/other")
    plan = plans.daily(pipe, "sitrep_daily/r1", asked(MIDNIGHT), DAY)
    pipe.store.remove_feed(server.url("/other"))
    landing = plans.fetch_batch(pipe, plan.run, 0)
    assert [feed["url"] for feed in work_off(pipe, plan, landing)["feeds"]] == [server.url("/feed")]


def test_the_seeds_are_read_where_the_store_knows_no_feed(pipe: Pipe) -> None:
    plan = plans.daily(pipe, "sitrep_daily/r1", asked(MIDNIGHT), DAY)
    there = opml.read_opml((ROOT / "seeds" / "feeds.opml").read_bytes()).feeds
    assert sorted(url for batch in plan.batches for url in batch) == sorted(feed.url for feed in there)


def test_a_report_of_a_whole_day_is_kept(pipe: Pipe) -> None:
    plan = plans.daily(pipe, "sitrep_daily/r1", asked(MIDNIGHT, backfill=True), DAY)
    work_off(pipe, plan)
    assert reporting.kept(pipe)["run"] == plan.run.id
    assert runs.Run.from_json(plan.run.to_json()) == plan.run


def test_the_wheel_brings_dags_plugin_and_seeds_to_any_airflow(tmp_path: Path) -> None:
    uv = shutil.which("uv") or str(Path(sys.executable).with_name("uv"))
    subprocess.run([uv, "build", "--quiet", "--wheel", "--out-dir", str(tmp_path), str(ROOT)], check=True)
    site = tmp_path / "site"
    (wheel,) = tmp_path.glob("*.whl")
    zipfile.ZipFile(wheel).extractall(site)
    code = f"""
from pathlib import Path
from airflow.dag_processing.dagbag import DagBag
from airflow.plugins_manager import get_plugin_info
bag = DagBag({str(site / "ingest" / "dags")!r})
plugins = [plugin["name"] for plugin in get_plugin_info()]
print(sorted(bag.dags), bag.import_errors, [name for name in plugins if name == "sitrep"])
import sitrep, sitrep_plugin, ingest.settings
print({{Path(module.__file__).is_relative_to({str(site)!r}) for module in (sitrep, sitrep_plugin, ingest)}})
print((ingest.settings.load({{}}).seeds / "feeds.opml").is_file(), ingest.settings.CHECKOUT)
"""
    environ = {
        **os.environ,
        "PYTHONPATH": str(site),
        "AIRFLOW_HOME": str(tmp_path / "airflow"),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "SITREP_HOME": str(tmp_path / "home"),
    }
    done = run_there(tmp_path, environ, "-W", "ignore", "-c", code)
    assert done.stdout.splitlines()[-3:] == [
        "['sitrep_archive', 'sitrep_daily', 'sitrep_poll'] {} ['sitrep']",
        "{True}",
        "True None",
    ], done.stdout + done.stderr
    (tmp_path / "a.jsonl").write_text(line(1) + "\n")
    done = run_there(tmp_path, environ, "-c", "import sitrep; sitrep.main()", "backfill", "a.jsonl", "--json")
    assert json.loads(done.stdout)["outcomes"]["indexed"] == 1


@pytest.mark.parametrize("broken", ["airflow.api_fastapi.core_api.security", "ingest.web.app"])
def test_pages_that_cannot_be_built_let_nobody_in_and_hold_up_nothing(tmp_path: Path, broken: str) -> None:
    code = f"""
import sys
sys.modules[{broken!r}] = None  # importing it fails
from sitrep_plugin import SitrepPlugin
(mounted,) = SitrepPlugin().fastapi_apps
from starlette.applications import Starlette
from starlette.testclient import TestClient
airflow = Starlette()
airflow.mount(mounted["url_prefix"], mounted["app"])
client = TestClient(airflow)
asked = [(method, path) for method in ("GET", "POST") for path in ("/sitrep/", "/sitrep/api/feeds")]
answers = [client.request(*each) for each in asked]
print({{(answer.status_code, "log" in answer.text) for answer in answers}})
"""
    environ = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([str(ROOT / "plugins"), str(ROOT)]),
        "AIRFLOW_HOME": str(tmp_path / "airflow"),
    }
    done = run_there(tmp_path, environ, "-W", "ignore", "-c", code)
    assert done.stdout.splitlines()[-1:] == ["{(503, True)}"], done.stdout + done.stderr
    assert "Sitrep's pages cannot be served" in done.stdout + done.stderr
    assert broken in done.stdout + done.stderr


def run_there(folder: Path, environ: dict[str, str], *command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *command], cwd=folder, env=environ, capture_output=True, text=True, check=False
    )
