"""The store on Elasticsearch, a real one: the port's contract, and what only a server has."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import elastic_server
import pytest
from elasticsearch import Elasticsearch

from ingest.store.elastic import ElasticStore, Layout, Server

pytest.register_assert_rewrite("store_contract")

from store_contract import Clock, StoreContract  # noqa: E402  # after the line above

PREFIX = f"test{os.getpid()}-"


@pytest.fixture(scope="session")
def elasticsearch_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Of the server that all tests share."""
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
        wipe(client, PREFIX)
        for kind in ("stories", "prints"):
            client.indices.delete_index_template(name=f"{PREFIX}{kind}-v1")
            client.cluster.delete_component_template(name=f"{PREFIX}{kind}-v1-mappings")
        client.cluster.delete_component_template(name=f"{PREFIX}sitrep-v1-settings")


def wipe(client: Elasticsearch, prefix: str) -> None:
    """Delete the indices of months, empty the small ones: making one takes longer than most tests."""
    names = [each["index"] for each in client.cat.indices(index=f"{prefix}*", format="json", h="index")]
    if months := [name for name in names if "sitrep-v1-" not in name]:
        client.indices.delete(index=months)
    if small := [name for name in names if "sitrep-v1-" in name]:
        client.indices.refresh(index=small)
        everything = {"bool": {"must_not": {"ids": {"values": ["layout"]}}}}
        client.delete_by_query(index=small, query=everything, refresh=True, conflicts="proceed")


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def store(elasticsearch_url: str, client: Elasticsearch, clock: Clock) -> Iterator[ElasticStore]:
    wipe(client, PREFIX)
    store = ElasticStore(Server.read(elasticsearch_url), Layout(PREFIX), clock=clock)
    yield store
    store.close()


class TestContract(StoreContract):
    pass
