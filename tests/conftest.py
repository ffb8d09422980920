"""Fixtures that several test files share."""

from __future__ import annotations

import ipaddress
import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import hypothesis
import pytest
from elasticsearch import Elasticsearch

from ingest import settings as configuration
from ingest.settings import Settings
from tests import elastic_server
from tests.servers import FaultServer

# What an example may take is a matter of what else the machine does; bounds on time have tests of their own.
hypothesis.settings.register_profile("sitrep", deadline=None)
hypothesis.settings.load_profile("sitrep")

SHARED = Path(__file__).resolve().parents[2] / "shared"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
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
