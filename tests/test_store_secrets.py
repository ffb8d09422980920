"""No `store` command tells a key or a password: not in what it prints, not in a traceback, not in the process list."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

import pytest
from elasticsearch import Elasticsearch

from tests import elastic_server
from tests.elastic_server import PREFIX, wipe

pytestmark = pytest.mark.slow

COMMANDS = (
    ("check",),
    ("setup",),
    ("grant",),
    ("migrate",),
    ("drop", "--month", "2022-05", "--yes"),
    ("rebuild",),
)
ONES = PREFIX + "secrets-"
WRONG = "hush-7f3a wrong"


@pytest.fixture
def environ(tmp_path: Path, client: Elasticsearch) -> Iterator[dict[str, str]]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("SITREP_")}
    yield {**kept, "SITREP_HOME": str(tmp_path), "SITREP_ELASTICSEARCH_PREFIX": ONES}
    wipe(client, ONES, whole=True)


def process_list() -> str:
    """What `ps` shows of every process, without ps."""
    lines = []
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):  # it has ended
            lines.append((folder / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace"))
    return "\n".join(lines)


def run_all(
    environ: dict[str, str], commands: Sequence[tuple[str, ...]] = COMMANDS
) -> list[tuple[tuple[str, ...], int, str]]:
    """Every command at once, with its exit code and all that it said; the process list meanwhile comes as one more."""
    running = [
        subprocess.Popen(
            [sys.executable, "-m", "ingest", "--debug", "store", *command],
            env=environ,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for command in commands
    ]
    seen = ""
    while any(process.poll() is None for process in running):
        seen += process_list()
        time.sleep(0.3)
    assert "ingest --debug store rebuild" in seen
    told = [(c, p.returncode, p.communicate()[0]) for c, p in zip(commands, running, strict=True)]
    return [*told, (("ps",), 0, seen)]


def test_a_password_that_is_refused(environ: dict[str, str], elasticsearch_url: str) -> None:
    address = elastic_server.parted(elasticsearch_url)[0].replace("://", f"://sitrep:{WRONG.replace(' ', '%20')}@")
    for command, code, told in run_all({**environ, "SITREP_ELASTICSEARCH_URL": address}):
        assert (code != 0) == (command != ("ps",)), (command, told)
        assert "is not accepted" in told or command == ("ps",), told
        assert not any(secret in told for secret in (WRONG, WRONG.replace(" ", "%20"))), command


def test_a_key_that_is_taken(environ: dict[str, str], elasticsearch_url: str, client: Elasticsearch) -> None:
    """`grant` prints keys, new ones: that is what it is for. Ours it does not print."""
    address, _, password = elastic_server.parted(elasticsearch_url)
    made = client.security.create_api_key(name=f"{ONES}key")
    codes = {}
    for command, code, told in run_all(
        {**environ, "SITREP_ELASTICSEARCH_URL": address, "SITREP_ELASTICSEARCH_API_KEY": made["encoded"]}
    ):
        assert not any(secret in told for secret in (made["encoded"], made["api_key"], password)), command
        codes[command] = code
    assert codes["setup",] == 0


def test_where_nobody_answers(environ: dict[str, str]) -> None:
    url = f"http://sitrep:{WRONG.replace(' ', '%20')}@127.0.0.1:9"
    for command, code, told in run_all({**environ, "SITREP_ELASTICSEARCH_URL": url}, [("check",), ("rebuild",)]):
        assert (code != 0) == (command != ("ps",)), (command, told)
        assert not any(secret in told for secret in (WRONG, WRONG.replace(" ", "%20"))), command
