"""Fixtures that several test files share."""

from __future__ import annotations

import ipaddress
import os
import signal
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import hypothesis
import pytest
from elasticsearch import Elasticsearch

from ingest import settings as configuration
from ingest.settings import Settings
from tests import elastic_server
from tests.servers import FaultServer

if TYPE_CHECKING:  # imported where they are used: most tests need none of it
    from fastapi.testclient import TestClient
    from playwright.sync_api import Browser

    from ingest.pipeline.pipe import Pipe

# What an example may take is a matter of what else the machine does; bounds on time have tests of their own.
hypothesis.settings.register_profile("sitrep", deadline=None)
hypothesis.settings.load_profile("sitrep")

SHARED = Path(__file__).resolve().parents[2] / "shared"
MEMORY = Path("/dev/shm")
ROOM = 4 << 30  # bytes, ten times of what was seen to lie there: half the memory of the smallest machine that has it
# Files that take long, first: with these at the end, one core would be idle while the other does the last. Two that
# start servers are kept apart.
LONG = """
    up command_line store_elastic_faults faults compose_stack dags store_upkeep store_elastic store_elastic_cluster
    web_browser pipe web_hostile web_watch parse store_migrate dedup serve kibana fetch clean compose mirror
""".split()  # noqa: SIM905


def pytest_configure() -> None:
    """Programs that tests start can be interrupted, also where the tests run in a shell's background (it lets them
    ignore that). Then what is installed once for all workers, which would wait for each other."""
    _lie_in_memory()
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    if os.environ.get("CI") == "true" and os.geteuid() == 0 and "PYTEST_XDIST_WORKER" not in os.environ:
        from tests import browser

        browser.install()


def _lie_in_memory() -> None:
    """Where there is room, what tests write lies in memory: stores and servers make sure at every step that it is on
    the disk, and with others on the same cores an index of Elasticsearch took 700 ms there and takes 100 here."""
    if "TMPDIR" in os.environ or not os.access(MEMORY, os.W_OK | os.X_OK):
        return
    told = os.statvfs(MEMORY)
    if told.f_bavail * told.f_frsize >= ROOM and not told.f_flag & os.ST_NOEXEC:  # tests start what they write
        os.environ["TMPDIR"] = tempfile.tempdir = str(MEMORY)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    ranks = {f"test_{name}": rank for rank, name in enumerate(LONG)}
    items.sort(key=lambda item: ranks.get(item.path.stem, len(LONG)))
    if not SHARED.is_dir():
        for item in items:
            if item.get_closest_marker("shared"):
                item.add_marker(pytest.mark.skip(reason="reads ../shared, which only the developers have"))


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """An empty home, and loopback allowed."""
    loaded = configuration.load({"SITREP_HOME": str(tmp_path / "home"), "SITREP_WORKERS": "2"})
    return replace(loaded, allow_addresses=(ipaddress.ip_network("127.0.0.0/8"),))


@pytest.fixture
def pipe(settings: Settings) -> Iterator[Pipe]:
    """Over an empty home."""
    from ingest.pipeline.pipe import opened

    with opened(settings) as pipe:
        yield pipe


@pytest.fixture
def server() -> Iterator[FaultServer]:
    with FaultServer() as running:
        yield running


@pytest.fixture(scope="session")
def elasticsearch_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Of the server that all tests share, with user and password."""
    base = tmp_path_factory.getbasetemp()
    folder = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
    try:
        with elastic_server.shared(folder) as url:
            yield url
    except elastic_server.NoServer as error:
        elastic_server.without_server(error)


@pytest.fixture(scope="session")
def client(elasticsearch_url: str) -> Iterator[Elasticsearch]:
    """For what the store itself cannot do."""
    address, user, password = elastic_server.parted(elasticsearch_url)
    with Elasticsearch(address, basic_auth=(user, password), request_timeout=60) as client:
        yield client
        elastic_server.wipe(client, elastic_server.PREFIX, whole=True)


@pytest.fixture(scope="session")
def archive_home(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """Settings of a home with the bundled archive in its store. For reading alone: all tests share it."""
    from tests import windows

    home = tmp_path_factory.mktemp("archive")
    return windows.filled(Settings(home=home, landing=str(home / "landing"), workers=1))


@pytest.fixture(scope="session")
def web(archive_home: Settings) -> Iterator[TestClient]:
    """The window over the bundled archive, alone and on loopback, without a browser."""
    from tests import windows

    with windows.client(archive_home) as client:
        yield client


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    from tests import browser as browsers

    with browsers.launched() as browser:
        yield browser


@pytest.fixture(scope="session")
def site(archive_home: Settings) -> Iterator[str]:
    """The address of the window over the bundled archive, for a browser."""
    from tests import browser as browsers
    from tests import windows

    with browsers.served(windows.application(archive_home)) as address:
        yield address
