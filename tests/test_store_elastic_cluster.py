"""Three nodes, one of which dies while it is published to: the run goes on with the others, and nothing is lost."""

from __future__ import annotations

import json
import socket
import tempfile
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ingest.pipeline import planning
from ingest.pipeline.pipe import Pipe
from ingest.pipeline.publishing import publish
from ingest.store import Query
from tests import elastic_server
from tests.elastic_server import PASSWORD, USER, ElasticServer, NoServer
from tests.test_store_elastic_faults import (  # the fixtures are used by their names
    _embedded,
    before_bulk,
    expected,  # noqa: F401
    home,  # noqa: F401
    outcome,
)

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

NODES = 3


def free_ports() -> list[int]:
    with ExitStack() as held:
        listening = [held.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(NODES)]
        return [each.getsockname()[1] for each in listening]


@pytest.fixture
def nodes() -> Iterator[list[ElasticServer]]:
    ports, names = free_ports(), [f"n{k}" for k in range(NODES)]
    common = {
        "discovery.type": None,
        "discovery.seed_hosts": json.dumps([f"127.0.0.1:{port}" for port in ports]),
        "cluster.initial_master_nodes": json.dumps(names),
    }
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setattr(elastic_server, "STARTING", 400.0)  # each waits for the others
        servers = [
            ElasticServer(Path(folder, name), {**common, "node.name": name, "transport.port": str(port)})  # type: ignore[dict-item]
            for name, port in zip(names, ports, strict=True)
        ]
        try:
            with ThreadPoolExecutor(NODES) as starting:
                list(starting.map(ElasticServer.start, servers))
            yield servers
        except NoServer as error:
            elastic_server.without_server(error)
        finally:
            for server in servers:
                server.stop()


def test_a_node_dies_while_it_is_published_to(
    nodes: list[ElasticServer],
    home: Path,  # noqa: F811
    expected: Any,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(planning, "ARCHIVE_SLICE", 100)
    urls = ",".join(server.url for server in nodes)
    served = replace(_embedded(home), elasticsearch_url=urls, elasticsearch_user=USER, elasticsearch_password=PASSWORD)
    with closing(Pipe(served)) as pipe:

        def soon() -> None:
            threading.Timer(0.02, nodes[0].kill).start()  # in the middle of the request

        before_bulk(pipe, monkeypatch, 5, soon)
        publish(pipe, run="r")
        assert nodes[0]._process is None
        assert outcome(pipe.store) == expected
        assert [one.what for one in pipe.store.check() if not one.ok] == []  # type: ignore[attr-defined]
        with nodes[1].client() as client:
            assert client.cluster.health()["number_of_nodes"] == NODES - 1
        assert pipe.store.search(Query("convoy")).total > 0
