"""Fixtures that several test files share."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import hypothesis
import pytest

from ingest import settings as configuration
from ingest.settings import Settings
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
