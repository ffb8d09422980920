"""`make up` and `make down`: Airflow with its web page and scheduler on 127.0.0.1, in the background.

Four processes, each in a session of its own, and Postgres. `up.json` keeps their pids: whatever is left of their
sessions is found by them, also after a crash, and nothing else, also when a pid is somebody else's by now.
"""

from __future__ import annotations

import fcntl
import json
import os
import signal
import socket
import subprocess
import sys
import time
import traceback
import urllib.request
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any

import psutil
import surroundings
from postgres import Postgres

from ingest.errors import SitrepError

PATIENCE = 240.0  # seconds until all are healthy; an idle machine with two cores takes 20
GRACE = 10.0  # seconds for an orderly end
CLOCK = 2.0  # seconds by which the times of two clocks may differ
COMMANDS = {
    "api-server": ["api-server", "--workers", "1"],
    "scheduler": ["scheduler"],
    "dag-processor": ["dag-processor"],
    "triggerer": ["triggerer"],
}
HEALTH = ("metadatabase", "scheduler", "triggerer", "dag_processor")


class Failed(Exception):
    """It did not start; the message is for people."""


class Airflow:
    """The four processes over one folder; `up.json` keeps their port and pids."""

    def __init__(self, folder: Path, port: int) -> None:
        self.folder = folder
        self.port = port  # wished for
        self.postgres = Postgres(folder / "pg")
        self.kept = folder / "up.json"

    def log(self, name: str) -> Path:
        return self.folder / "logs" / f"{name}.log"

    def known(self) -> dict[str, Any]:
        try:
            found: dict[str, Any] = json.loads(self.kept.read_text())
        except (OSError, ValueError):  # never started, or damaged
            return {}
        return found

    def running(self) -> bool:
        """Whether the four are there."""
        pids = self.known().get("pids", {})
        ours = {process.pid for process in self.processes()}
        return pids.keys() == COMMANDS.keys() and ours >= set(pids.values())

    def processes(self) -> list[psutil.Process]:
        """What is there of the four and their children: all of their sessions."""
        known = self.known()
        sessions = {pid for name, pid in known.get("pids", {}).items() if _unused(pid, known["created"][name])}
        return [process for process in psutil.process_iter() if _is_of(process, sessions)]

    def start(self) -> None:
        """Start all and wait until they are healthy. Raises Failed."""
        port = _free(self.port)
        os.environ.update(_addresses(port))
        self.log("x").parent.mkdir(parents=True, exist_ok=True)
        started: dict[str, subprocess.Popen[bytes]] = {}
        created: dict[str, float] = {}
        for name, command in COMMANDS.items():
            started[name] = self._spawn(name, command)
            pids = {name: process.pid for name, process in started.items()}
            created[name] = psutil.Process(pids[name]).create_time()
            self._keep({"port": port, "pids": pids, "created": created})
        self._wait(port, started)

    def _keep(self, known: Mapping[str, Any]) -> None:
        """All of it or what was there: a half of it would forget who was started."""
        new = self.kept.with_suffix(".new")
        new.write_text(json.dumps(known))
        new.replace(self.kept)

    def _spawn(self, name: str, command: list[str]) -> subprocess.Popen[bytes]:
        with self.log(name).open("wb") as log:
            return subprocess.Popen(
                [sys.executable, "-m", "airflow", *command],
                cwd=surroundings.CHECKOUT,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def _wait(self, port: int, started: Mapping[str, subprocess.Popen[bytes]]) -> None:
        until = time.monotonic() + PATIENCE
        while not healthy(port):
            for name, process in started.items():
                if process.poll() is not None:
                    raise Failed(self._told(f"{name} ended with exit code {process.returncode}", name))
            if time.monotonic() > until:
                raise Failed(self._told(f"it is not healthy after {PATIENCE:.0f} s", "scheduler"))
            time.sleep(0.5)

    def _told(self, what: str, name: str) -> str:
        return f"{what}. The end of {self.log(name)}:\n{surroundings.tail(self.log(name))}"

    def stop(self) -> None:
        """End all of it: the four and their children, in order if they can, then Postgres."""
        mains = set(self.known().get("pids", {}).values())
        for process in [process for process in self.processes() if process.pid in mains]:
            _signal(process, signal.SIGTERM)
        until = time.monotonic() + GRACE
        while self.processes() and time.monotonic() < until:
            time.sleep(0.2)
        for _ in range(5):  # again: what is killed last may have started another
            left = self.processes()
            for process in left:
                _signal(process, signal.SIGKILL)
            psutil.wait_procs(left, 1)
        self.postgres.stop()
        self.kept.unlink(missing_ok=True)


def _unused(pid: int, created: float) -> bool:
    """Whether no other process has this pid now: ours has, or (its children may live) none."""
    try:
        return abs(psutil.Process(pid).create_time() - created) < CLOCK
    except psutil.Error:
        return True


def _is_of(process: psutil.Process, sessions: Collection[int]) -> bool:
    try:
        return os.getsid(process.pid) in sessions and process.status() != psutil.STATUS_ZOMBIE
    except (psutil.Error, OSError):
        return False  # somebody else's, or gone


def _signal(process: psutil.Process, number: signal.Signals) -> None:
    try:
        process.send_signal(number)
    except psutil.NoSuchProcess:
        pass  # it is what was wanted


def healthy(port: int) -> bool:
    """Whether all four say so; an answer alone says nothing."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/api/v2/monitor/health", timeout=5) as answer:
            told = json.load(answer)
    except (OSError, ValueError):
        return False
    return all(told.get(name, {}).get("status") == "healthy" for name in HEALTH)


def _addresses(port: int) -> dict[str, str]:
    base = f"http://127.0.0.1:{port}"
    return {
        "AIRFLOW__API__HOST": "127.0.0.1",
        "AIRFLOW__API__PORT": str(port),
        "AIRFLOW__API__BASE_URL": base,
        "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"{base}/execution/",
        "AIRFLOW__LOGGING__WORKER_LOG_SERVER_PORT": str(_free(8793)),
        "AIRFLOW__LOGGING__TRIGGER_LOG_SERVER_PORT": str(_free(8894)),
    }


def _free(first: int) -> int:
    """The port, or the next one that is free."""
    for port in range(first, first + 100):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise Failed(f"no port from {first} to {first + 99} is free; choose one by SITREP_PORT")


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """One `make up` or `make down` at a time."""
    with (folder / "up.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def up(airflow: Airflow) -> None:
    if airflow.running() and healthy(airflow.known()["port"]):
        print("Airflow runs already.")
        return
    airflow.stop()  # whatever a crash left
    print("Starting Postgres …", flush=True)
    airflow.postgres.start()
    print("Preparing Airflow …", flush=True)
    log = airflow.log("migrate")
    log.parent.mkdir(parents=True, exist_ok=True)
    try:
        with log.open("w") as told, redirect_stdout(told), redirect_stderr(told):
            surroundings.migrate()
    except Exception as error:
        raise Failed(f"{error}. The end of {log}:\n{surroundings.tail(log)}") from error
    print("Starting Airflow …", flush=True)
    airflow.start()


def _say(airflow: Airflow, password: str) -> None:
    address = f"http://127.0.0.1:{airflow.known()['port']}"
    print(
        f"""
Airflow is up: {address}   user admin, password {password}

The feeds are polled from now on: sitrep_poll asks what is due, sitrep_daily closes each day. What to do next:
  open {address}, log in, look at the DAGs; Browse → Sitrep shows stories, feeds and runs
  start sitrep_archive with {{"paths": ["/your/archive.warc.gz"]}} to read an archive
  .venv/bin/sitrep search artillery --topic aid
  make down                                       stop all of it
Logs: {airflow.folder / "logs"}"""
    )


def main(action: str = "up") -> int:
    """Start or stop; the exit code."""
    try:
        settings, folder = surroundings.prepare()
        airflow = Airflow(folder, settings.port)  # which finds a short place for a socket, where the folder's is long
        os.environ["TMPDIR"] = str(folder)
        os.environ["AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"] = airflow.postgres.url
        password = surroundings.kept(folder / "passwords.json", {"admin": surroundings.password()})["admin"]
        with _alone(folder):
            if action == "down":
                airflow.stop()
                print("Airflow is down.")
                return 0
            try:
                up(airflow)
            except BaseException:
                airflow.stop()
                raise
        _say(airflow, password)
    except KeyboardInterrupt:
        print("interrupted; nothing is left running", file=sys.stderr)
        return 130
    except (Failed, RuntimeError, SitrepError) as error:
        print(f"make {action}: {error}", file=sys.stderr)
        return 1
    except Exception:  # noqa: BLE001 - told in full: it is a fault of ours
        traceback.print_exc()
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:2]))
