"""Templates and small indices: put there on the first use, and again where they are of another release."""

from __future__ import annotations

from urllib.parse import quote

from ingest.errors import StoreGone
from ingest.store.elastic import layout as definitions
from ingest.store.elastic.connection import Connection
from ingest.store.elastic.layout import Layout


def ensure(connection: Connection, layout: Layout) -> None:
    """Make the store usable: nothing happens where it is already. Raises StoreGone."""
    path = f"/{quote(layout.small('control'))}/_doc/layout"
    answer = connection.request("GET", path, allow=(404,))
    if answer.status == 200 and answer.body["_source"]["layout"] == layout.digest():
        return
    try:
        put(connection, layout)
    except StoreGone:
        if answer.status == 200:  # an older release's templates serve; a reader's or a writer's key may not change them
            return
        raise


def put(connection: Connection, layout: Layout) -> None:
    """Templates, then small indices, then the note that they are there."""
    for name, component in layout.components().items():
        connection.request("PUT", f"/_component_template/{quote(name)}", component)
    for name, template in layout.templates().items():
        connection.request("PUT", f"/_index_template/{quote(name)}", template)
    connection.make_indices({layout.small(kind): layout.small_index(kind) for kind in definitions.SMALL})
    path = f"/{quote(layout.small('control'))}/_doc/layout"
    connection.request("PUT", path, {"layout": layout.digest()}, refresh="true")
