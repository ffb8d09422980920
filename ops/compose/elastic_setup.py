"""Prepares the Elasticsearch of docker-compose.yml: Kibana's password, Sitrep's templates and key, the analyst's user.

    python elastic_setup.py FOLDER_OF_SECRETS

It runs at every start, as the superuser that SITREP_ELASTICSEARCH_… name, and changes nothing that is as it should be.
"""

from __future__ import annotations

import sys
from pathlib import Path

from kibana_setup import ROLE
from make_secrets import write

from ingest import settings as configuration
from ingest.errors import SitrepError
from ingest.settings import Settings
from ingest.store.elastic import Server, opened_by
from ingest.store.elastic.connection import Connection

ANALYST = "analyst"


def main(folder: Path) -> None:
    """Raises SitrepError."""
    settings = configuration.load()
    connection = Connection(_server(settings))
    try:
        _authenticate(connection, settings)
        password = (folder / "setup" / "kibana-password").read_text()
        connection.request("POST", "/_security/user/kibana_system/_password", {"password": password})
        _say("kibana_system has its password")
        _make_analyst(connection, (folder / "setup" / "analyst-password").read_text())
    finally:
        connection.close()
    store = opened_by(settings)
    try:
        store.setup()
        _say(f"templates, small indices and the alias are in {store.where}")
        path = folder / "sitrep" / "api-key"
        before = path.read_text().strip() if path.exists() else ""
        key = store.keep_key("writer", before)
        if key != before:
            write(path, key, 0o640)
        _say("the writer's key has the rights of this release" if key == before else "a new key for the writer")
    finally:
        store.close()


def _server(settings: Settings) -> Server:
    return Server.read(
        settings.elasticsearch_url,
        user=settings.elasticsearch_user,
        password=settings.elasticsearch_password,
        ca_file=settings.elasticsearch_ca_file,
    )


def _authenticate(connection: Connection, settings: Settings) -> None:
    """ELASTIC_PASSWORD counts for a new volume alone: say so where another one is in force."""
    if connection.request("GET", "/_security/_authenticate", allow=(401,)).status == 401:
        sys.exit(
            f"Elasticsearch refuses the password of {settings.elasticsearch_user}: its volume is older than the "
            "volume of secrets, or the password was changed. Put back the volumes that belong together, or set the "
            "password back to what `docker compose run --rm secrets show` tells. `docker compose down -v` "
            "begins anew and deletes all data."
        )


def _make_analyst(connection: Connection, password: str) -> None:
    """Once: a password that the analyst changed stays."""
    path = f"/_security/user/{ANALYST}"
    if connection.request("GET", path, allow=(404,)).status == 404:
        connection.request("PUT", path, {"password": password, "roles": [ROLE], "full_name": "Sitrep's analyst"})
        _say(f"user {ANALYST} is made")


def _say(what: str) -> None:
    print(what, flush=True)


if __name__ == "__main__":
    try:
        main(Path(sys.argv[1]))
    except (SitrepError, OSError) as error:
        sys.exit(f"elastic_setup: {error}")
