"""`make run`: both jobs in one process, told in plain words."""

from __future__ import annotations

import io
import os
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from ingest.models import Feed, FullText
from ingest.pipeline.pipe import Pipe
from ingest.settings import Settings
from ingest.store import Lease, Slice
from tests.builders import story
from tests.servers import FaultServer, Reply

ROOT = Path(__file__).resolve().parents[1]
FEED = (
    b"<rss version='2.0'><channel><title>Northwire</title><item><title>One ship</title>"
    b"<link>https://news.example/1</link><description>A ship was let through on Monday.</description></item>"
    b"</channel></rss>"
)


def test_it_ends_with_a_report_and_leaves_nothing_running(settings: Settings, server: FaultServer) -> None:
    server.on("/feed", Reply(200, FEED, {"Content-Type": "application/rss+xml"}))
    pipe = Pipe(settings)
    urls = [server.url("/feed"), server.url("/gone"), "https://no-such-host.invalid/feed"]
    pipe.store.save_feeds([Feed(url, full_text=FullText.NEVER, delay=0.01) for url in urls])
    pipe.close()
    environ = {
        **os.environ,
        "SITREP_HOME": str(settings.home),
        "SITREP_ALLOW_ADDRESSES": "127.0.0.0/8",
        "AIRFLOW_HOME": str(settings.home / "another"),  # somebody else's: not to be touched
        "AIRFLOW__CORE__DAGS_FOLDER": "/nowhere",
    }
    command = [sys.executable, str(ROOT / "ops" / "run.py")]
    with subprocess.Popen(
        command, env=environ, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    ) as started:
        told, errors = started.communicate(timeout=170)
    assert (started.returncode, errors) == (0, ""), told
    for part in ("escalation", "told most often", "not-found", "dns: no-such-host.invalid", "sitrep serve", "make up"):
        assert part in told
    assert "41 stories in the store" in told  # the archive's and the feed's
    assert "[info" not in told  # Airflow's own words stay in its log
    assert not (settings.home / "another").exists()
    until = time.monotonic() + 5  # its children notice that it is gone, and go
    while left := [process for process in psutil.process_iter() if session(process) == started.pid]:
        assert time.monotonic() < until, left
        time.sleep(0.1)


def session(process: psutil.Process) -> int:
    try:
        return os.getsid(process.pid) if process.status() != psutil.STATUS_ZOMBIE else 0
    except (psutil.Error, OSError):
        return 0  # it is gone


def test_a_title_does_nothing_to_the_terminal(pipe: Pipe, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "ops"))
    monkeypatch.setenv("SITREP_HOME", str(pipe.settings.home))
    import run

    title = "Port \x1b]0;owned\x07\x1b[2J\u202eopened\nagain"
    told = [story("a", title=title, cluster="id-a"), story("b", cluster="id-a", lead=False)]
    lease = pipe.store.lease("here:0:test", live=False)
    assert isinstance(lease, Lease)
    pipe.store.write(Slice(stories=told), lease)
    terminal = io.StringIO()
    run._show([], terminal)
    assert "        2 × Port ]0;owned[2Jopened again\n" in terminal.getvalue()


def test_a_failure_shows_the_end_of_the_log(settings: Settings) -> None:
    (settings.home / "airflow").mkdir(parents=True)
    (settings.home / "airflow" / "airflow.cfg").write_text("no settings\n")
    done = subprocess.run(
        [sys.executable, str(ROOT / "ops" / "run.py")],
        env={**os.environ, "SITREP_HOME": str(settings.home)},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 1
    assert "no settings" in done.stdout
    assert "run.log" in done.stdout


def test_the_end_of_a_log_does_nothing_to_a_terminal(tmp_path: Path) -> None:
    """A feed's title may stand in it, and a traceback keeps its shape."""
    log = tmp_path / "scheduler.log"
    told = [
        "not shown",
        "Traceback:",
        '  File "a.py", line 1',
        "    \x1b]0;owned\x07\x1b[2J\u202eraise\x9b31m",
        "x" * 999,
    ]
    log.write_text("\n".join(told))
    script = "import surroundings, sys; print(surroundings.tail(surroundings.Path(sys.argv[1]), 4), end='')"
    command = [sys.executable, "-c", script, str(log)]
    done = subprocess.run(command, cwd=ROOT / "ops", capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.splitlines() == [
        "    Traceback:",
        '      File "a.py", line 1',
        "        ]0;owned[2Jraise31m",
        "    " + "x" * 300,
    ]
