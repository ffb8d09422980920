"""`sitrep serve` as a process of its own."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from ingest.settings import Settings

CHECKOUT = Path(__file__).resolve().parents[1]
SITREP = [sys.executable, "-m", "ingest"]


def environment(home: Path, **more: str) -> dict[str, str]:
    plain = {name: value for name, value in os.environ.items() if not name.startswith("SITREP_")}
    return {**plain, "SITREP_HOME": str(home), **more}


@contextmanager
def serving(home: Path, *options: str, **more: str) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    command = [*SITREP, "serve", "--port", "0", *options]
    process = subprocess.Popen(
        command, cwd=CHECKOUT, env=environment(home, **more), stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stderr
        told = process.stderr.readline()
        match = re.search(r"http://\S+/", told)
        assert match, told
        yield match[0], process
    finally:
        process.kill()
        process.communicate()


def ask(address: str, token: str = "") -> str:
    request = urllib.request.Request(address, headers={"Authorization": f"Bearer {token}"} if token else {})
    with urllib.request.urlopen(request, timeout=60) as answer:
        text: str = answer.read().decode()
        return text


def test_it_serves_what_was_ingested_and_ends_on_a_signal(archive_home: Settings) -> None:
    with serving(archive_home.home) as (address, process):
        assert address.startswith("http://127.0.0.1:")
        assert json.loads(ask(f"{address}api/search?q=troops"))["total"] > 0
        assert 'role="search"' in ask(address)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=60)
        assert "Traceback" not in err
        assert process.returncode in (0, 130)


def test_another_address_needs_the_token(archive_home: Settings) -> None:
    with serving(archive_home.home, "--host", "0.0.0.0", SITREP_TOKEN="a long word") as (address, _):
        local = address.replace("0.0.0.0", "127.0.0.1")
        with pytest.raises(urllib.error.HTTPError) as caught:
            ask(f"{local}api/search")
        caught.value.close()
        assert caught.value.code == 401
        assert json.loads(ask(f"{local}api/search", "a long word"))["total"] == 40


REFUSED = {
    ("--host", "0.0.0.0"): "needs a token",
    ("--host", "::"): "needs a token",
    ("--host", "no.such.host.invalid"): "needs a token",
    ("--port", "70000"): "70000 is not in the range",
}


def refused(home: Path, *options: str) -> subprocess.CompletedProcess[str]:
    command = [*SITREP, "serve", *options]
    plain = environment(home)
    return subprocess.run(command, cwd=CHECKOUT, env=plain, capture_output=True, text=True, check=False, timeout=60)


@pytest.mark.parametrize("options", REFUSED)
def test_what_cannot_be_served_is_refused_at_once(archive_home: Settings, options: tuple[str, ...]) -> None:
    done = refused(archive_home.home, *options)
    assert done.returncode == 2
    assert REFUSED[options] in done.stderr


def test_a_port_that_is_taken_is_named(archive_home: Settings) -> None:
    with serving(archive_home.home) as (address, _):
        done = refused(archive_home.home, "--port", address.rstrip("/").rpartition(":")[2])
    assert done.returncode == 2
    assert "--port" in done.stderr


def test_a_store_that_cannot_be_read_is_told_before_anything_is_served(tmp_path: Path) -> None:
    (tmp_path / "store.sqlite").write_text("no database at all, but long enough to be read as one" * 50)
    done = refused(tmp_path, "--port", "0")
    assert done.returncode == 1
    assert "not a database" in done.stderr
