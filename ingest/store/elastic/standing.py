"""Which layouts stand on the cluster side by side, and which of them is the store.

Aliases on the control indices say so, and move in one request with the alias of the stories: `sitrep` stands on that of
the store, `sitrep-next` on that of one that is being built, `sitrep-previous` on that of the one before.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from urllib.parse import quote

from ingest.store.elastic.connection import Connection
from ingest.store.elastic.layout import CURRENT, NEXT, PREVIOUS, Layout


@dataclass(frozen=True, slots=True)
class Standing:
    """A layout that stands, and for what; `role` None: for nothing that we know."""

    layout: Layout
    role: str | None


def standing(connection: Connection, asked: Layout) -> list[Standing]:
    """All of them, oldest first; of `asked`, prefix and settings count."""
    pattern = f"{asked.prefix}sitrep-v*-control"
    found = connection.request("GET", f"/{quote(pattern, safe='*')}/_alias").body
    name = re.compile(re.escape(asked.prefix) + r"sitrep-v(\d+)(?:\.(\d+))?-control")
    named = [(match, told["aliases"]) for index, told in found.items() if (match := name.fullmatch(index))]
    result = [_standing(asked, int(match[1]), int(match[2] or 1), aliases) for match, aliases in named]
    result.sort(key=lambda one: (one.layout.version, one.layout.generation))
    if result and all(one.role != CURRENT for one in result):  # set up before there was an alias, or half set up
        first = next((k for k, one in enumerate(result) if one.role is None), None)
        if first is not None:
            result[first] = replace(result[first], role=CURRENT)
    return result


def _standing(asked: Layout, version: int, generation: int, aliases: Sequence[str]) -> Standing:
    layout = replace(asked, version=version, generation=generation)
    roles = [role for role in (CURRENT, NEXT, PREVIOUS) if layout.pointer(role) in aliases]
    return Standing(layout, roles[0] if roles else None)


def of_role(found: Sequence[Standing], role: str) -> Layout | None:
    return next((one.layout for one in found if one.role == role), None)
