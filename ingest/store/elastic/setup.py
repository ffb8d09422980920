"""Templates and small indices: put there on the first use, and again where they are of another release."""

from __future__ import annotations

from urllib.parse import quote

from ingest.errors import StoreGone
from ingest.store.elastic import layout as definitions
from ingest.store.elastic.connection import Connection
from ingest.store.elastic.layout import CURRENT, Layout
from ingest.store.elastic.standing import of_role, standing


def ensure(connection: Connection, asked: Layout) -> Layout:
    """Make the store usable, and give its layout: nothing is changed where it is set up already.

    Raises StoreGone, also where the store is of another version than this release works with.
    """
    layout = of_role(standing(connection, asked), CURRENT) or asked
    fits(connection, layout, asked.version)
    noted = note(connection, layout)
    if noted == layout.digest():
        return layout
    try:
        put(connection, layout)
    except StoreGone:
        if noted is None:  # else an older release's templates serve; a reader's or a writer's key may not change them
            raise
    return layout


def fits(connection: Connection, layout: Layout, version: int) -> None:
    """Raises StoreGone where this program works with another version."""
    if layout.version < version:
        what = f"the store's mapping is version {layout.version}, this Sitrep works with version {version}."
        connection.gone(what, "Run `sitrep store migrate`.")
    if layout.version > version:
        what = f"a newer Sitrep has moved the store to mapping version {layout.version}, this one knows {version}."
        connection.gone(what, "Upgrade Sitrep.")


def note(connection: Connection, layout: Layout) -> str | None:
    """What the control index says is set up."""
    path = f"/{quote(layout.small('control'))}/_doc/layout"
    answer = connection.request("GET", path, allow=(404,))
    return str(answer.body["_source"]["layout"]) if answer.status == 200 else None


def put(connection: Connection, layout: Layout, role: str = CURRENT) -> None:
    """The control index, by which a layout is found, then templates and small indices, then the note that they are
    there. Months are made behind the alias by the layout that is current alone."""
    _put_control(connection, layout, role)
    for name, component in layout.components().items():
        connection.request("PUT", f"/_component_template/{quote(name)}", component)
    put_templates(connection, layout, behind_alias=role == CURRENT)
    connection.make_indices({layout.small(kind): layout.small_index(kind) for kind in definitions.SMALL})
    path = f"/{quote(layout.small('control'))}/_doc/layout"
    connection.request("PUT", path, {"layout": layout.digest()}, refresh="true")


def _put_control(connection: Connection, layout: Layout, role: str) -> None:
    name, alias = layout.small("control"), layout.pointer(role)
    if name not in connection.make_indices({name: {**layout.small_index("control"), "aliases": {alias: {}}}}):
        connection.request("POST", "/_aliases", {"actions": [{"add": {"index": name, "alias": alias}}]})


def put_templates(connection: Connection, layout: Layout, *, behind_alias: bool) -> None:
    for name, template in layout.templates(behind_alias=behind_alias).items():
        connection.request("PUT", f"/_index_template/{quote(name)}", template)
