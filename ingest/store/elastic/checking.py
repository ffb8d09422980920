"""What is wrong with a store on Elasticsearch, in plain words, and what to do: `sitrep store check`."""

from __future__ import annotations

import base64
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import quote

from ingest.errors import StoreGone
from ingest.store.elastic import layout as definitions
from ingest.store.elastic.connection import Connection
from ingest.store.elastic.layout import CURRENT, NEXT, PREVIOUS, Layout
from ingest.store.elastic.setup import fits, note, put
from ingest.store.elastic.standing import Standing, of_role, standing

OLDEST = 8  # major version
_STOPPED = "index.blocks.write"  # by a migration; a full disk sets another
SHARDS_A_NODE = 1000  # cluster.max_shards_per_node where nobody changed it
# What each key may do, as `sitrep store check` asks for it; of the small indices a writer needs the same.
WRITES = ("read", "write", "create_index", "view_index_metadata", "maintenance")
_SENT_HERE = {
    "`sitrep store check` lists the rights that are needed.": "`sitrep store grant` makes keys that have it.",
    "`sitrep store check` tells more.": "",
}


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at. `advice`: what to do where it is not well."""

    ok: bool
    what: str
    advice: str = ""


def check(connection: Connection, asked: Layout) -> Iterator[Finding]:
    """Look at one thing after the other, as far as the ones before let us."""
    for host in connection.server.exposed:
        yield Finding(False, f"{host} is reached unencrypted over a network", "Use https.")
    try:
        yield from _reached(connection)
        yield from _rights(connection, asked)
        found = standing(connection, asked)
        layout = of_role(found, CURRENT) or asked
        yield from _versions(found, asked)
        yield from _laid_out(connection, layout)
        yield from _months(connection, layout, moving=of_role(found, NEXT) is not None)
        yield from _shards(connection, layout)
    except StoreGone as error:
        yield Finding(False, str(error.args[0]), _here(error.advice))


def _here(advice: str) -> str:
    """Advice that does not send to the check itself."""
    for sentence, instead in _SENT_HERE.items():
        advice = advice.replace(sentence, instead)
    return advice.strip()


def _reached(connection: Connection) -> Iterator[Finding]:
    answer = connection.request("GET", "/", allow=(403,))
    if answer.status == 403:
        yield Finding(True, "reached; the key does not let us see its version")
        return
    version = answer.body["version"]["number"]
    old = int(version.partition(".")[0]) < OLDEST
    yield Finding(
        not old, f"reached: Elasticsearch {version}", f"Sitrep needs version {OLDEST} or newer." if old else ""
    )


def _rights(connection: Connection, layout: Layout) -> Iterator[Finding]:
    names = _every_index(layout)
    asked = {"index": [{"names": names, "privileges": list(WRITES)}]}
    answer = connection.request("POST", "/_security/user/_has_privileges", asked, allow=(400, 404, 405, 500))
    if answer.status != 200:
        yield Finding(True, "security is off: everybody may do everything")
        return
    lacking = [f"{right} on {name}" for name in names for right, has in answer.body["index"][name].items() if not has]
    if lacking:
        yield Finding(False, f"{answer.body['username']} lacks {', '.join(lacking)}", "Publishing needs these rights.")
    else:
        yield Finding(True, f"{answer.body['username']} may read and publish")


def _versions(found: Sequence[Standing], asked: Layout) -> Iterator[Finding]:
    """Which layouts stand side by side."""
    current, coming, before = (of_role(found, role) for role in (CURRENT, NEXT, PREVIOUS))
    if current and current.version != asked.version:
        what = f"the mapping is version {current.version}, this Sitrep works with version {asked.version}"
        newer = current.version > asked.version
        yield Finding(False, what, "Upgrade Sitrep." if newer else "Run `sitrep store migrate`.")
    if coming:
        advice = "Run the same command again, or `sitrep store migrate --back` to give it up."
        yield Finding(False, f"moving to {coming.label} has begun and is not finished", advice)
    if before:
        what = f"{before.label} still stands: `sitrep store migrate --back` returns to it, `--drop-old` deletes it"
        yield Finding(True, what)


def _laid_out(connection: Connection, layout: Layout) -> Iterator[Finding]:
    noted = note(connection, layout)
    if noted is None:
        yield Finding(False, f"nothing of version {layout.version} is set up", "Run `sitrep store setup`.")
        return
    if layout.version != definitions.VERSION:
        return
    if noted != layout.digest():
        yield Finding(
            False, "the templates are those of another release or of other settings", "Run `sitrep store setup`."
        )
    missing = [
        name
        for name in layout.templates()
        if connection.request("GET", f"/_index_template/{quote(name)}", allow=(403, 404)).status == 404
    ]
    if missing:
        yield Finding(False, f"templates are missing: {', '.join(missing)}", "Run `sitrep store setup`.")
    elif noted == layout.digest():
        yield Finding(True, f"set up, mapping version {layout.version}")


def _months(connection: Connection, layout: Layout, *, moving: bool) -> Iterator[Finding]:
    every: dict[str, Any] = {}
    for kind in (*definitions.MONTHLY, "sitrep"):
        path = f"/{quote(layout.months(kind), safe='*')}"
        every |= connection.request("GET", path, expand_wildcards="all", flat_settings="true").body
    stories = [name for name in every if name.startswith(f"{layout.prefix}stories-")]
    outside = _outside(layout, every)
    if outside:
        yield Finding(False, f"not behind their alias: {_some(outside)}", "Run `sitrep store setup`.")
    strange = [name for name in every if every[name]["mappings"].get("_meta", {}).get("schema") != layout.version]
    if strange:
        yield Finding(False, f"made without our templates: {_some(strange)}", "Delete them and publish again.")
    stopped = [name for name, one in every.items() if one["settings"].get(_STOPPED) == "true"]
    if stopped and not moving:
        what = "it takes no more writes: a migration or a rebuild was begun and not finished"
        yield Finding(False, what, "Run it again, or `sitrep store migrate --back` to give it up.")
    blocked = [name for name, one in every.items() if _is_blocked(one["settings"])]
    if blocked:
        advice = "Its disk may be full: make room, then set index.blocks.* of them to null."
        yield Finding(False, f"read-only: {_some(blocked)}", advice)
    closed = [name for name, one in every.items() if one["settings"].get("index.verified_before_close") == "true"]
    if closed:
        yield Finding(
            False, f"closed: {_some(closed)}", "Open them (POST INDEX/_open); searches refuse to leave them out."
        )
    if not (outside or strange or blocked or closed or stopped):
        yield Finding(True, f"{len(stories)} months of stories, all readable and writable")


def _outside(layout: Layout, every: Mapping[str, Any]) -> dict[str, str]:
    """The indices that are not behind the alias by which people look at them → that alias."""
    found: dict[str, str] = {}
    for kind, alias in layout.aliases.items():
        stem = layout.every(kind).removesuffix("*")
        of_kind = (name for name in every if name == stem or (name.startswith(stem) and kind in definitions.MONTHLY))
        found |= {name: alias for name in of_kind if alias not in every[name]["aliases"]}
    return found


def _is_blocked(settings: dict[str, Any]) -> bool:
    return any(
        key.startswith("index.blocks.") and value == "true" for key, value in settings.items() if key != _STOPPED
    )


def _some(names: Collection[str]) -> str:
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return ", ".join(sorted(names)[:3]) + more


def _shards(connection: Connection, layout: Layout) -> Iterator[Finding]:
    answer = connection.request("GET", "/_cluster/health", allow=(403,))
    if answer.status == 403:
        return
    health = answer.body
    yield Finding(health["status"] != "red", f"health {health['status']}", "A shard is missing: is a node down?")
    most = _most_shards(connection) * health["number_of_data_nodes"]
    copies = 1 + (layout.replicas if layout.replicas is not None else min(1, health["number_of_data_nodes"] - 1))
    month = layout.shards * copies * len(definitions.MONTHLY)
    left = most - health["active_shards"]
    told = f"{health['active_shards']} of {most} shards are in use; a month (a year before 2015) takes {month}"
    advice = "Add nodes, or take fewer shards or replicas."
    yield Finding(left // month > 24, f"{told}: there is room for {max(0, left) // month} more", advice)
    stand = [name for kind in definitions.MONTHLY for name in connection.counts(layout.months(kind))]
    again = (len(stand) * layout.shards + len(definitions.SMALL)) * copies
    yield Finding(
        left >= again, f"a migration or a rebuild takes {again} shards more for as long as both stand", advice
    )


def _most_shards(connection: Connection) -> int:
    """How many a node may have, as far as we may know."""
    answer = connection.request("GET", "/_cluster/settings", flat_settings="true", allow=(403,))
    told = {**answer.body["persistent"], **answer.body["transient"]} if answer.status == 200 else {}
    return int(told.get("cluster.max_shards_per_node", SHARDS_A_NODE))


def _every_index(layout: Layout) -> list[str]:
    """All indices of the store, of whichever version, as patterns."""
    return [f"{layout.prefix}{kind}-v*-*" for kind in (*definitions.MONTHLY, "sitrep")]


def rights(layout: Layout) -> dict[str, Any]:
    """What each key may do, by what it is for, and no more than that needs; the writer reads windows and ids too."""
    months = _every_index(layout)
    aliases = list(layout.aliases.values())
    pointers = [layout.pointer(role) for role in (CURRENT, NEXT, PREVIOUS)]
    shown = [f"{layout.prefix}{kind}-v*-*" for kind in ("stories", "revisions")]
    small = [f"{layout.prefix}sitrep-v*-{kind}" for kind in ("control", "runs", "quarantine")]
    return {
        "writer": {"cluster": ["monitor"], "indices": [{"names": months, "privileges": list(WRITES)}]},
        "setup": {
            "cluster": ["monitor", "manage_index_templates"],
            "indices": [{"names": [*months, *aliases, *pointers], "privileges": ["manage", "read", "write"]}],
        },
        "reader": {
            "cluster": [],
            "indices": [{"names": [*aliases, *shown, *small], "privileges": ["read", "view_index_metadata"]}],
        },
    }


def grant(connection: Connection, layout: Layout) -> dict[str, str]:
    """New keys, one for each of `rights`, in the form in which SITREP_ELASTICSEARCH_API_KEY takes them. Raises
    StoreGone where ours may not make keys. A key can be shown once only."""
    return {purpose: _made(connection, layout, purpose) for purpose in rights(layout)}


def keep_key(connection: Connection, layout: Layout, purpose: str, key: str) -> str:
    """`key` where the cluster still takes it, with the rights of this release whatever it had; else a new one, and
    others of its name that we made are no longer taken. Raises StoreGone."""
    if key and _is_taken(connection, key):
        path = f"/_security/api_key/{quote(_ident(key))}"
        asked = {"role_descriptors": {f"sitrep-{purpose}": rights(layout)[purpose]}}
        if connection.request("PUT", path, asked, allow=(400, 404)).status == 200:
            return key
    connection.request("DELETE", "/_security/api_key", {"name": _name(layout, purpose), "owner": True}, allow=(404,))
    return _made(connection, layout, purpose)


def _made(connection: Connection, layout: Layout, purpose: str) -> str:
    body = {"name": _name(layout, purpose), "role_descriptors": {f"sitrep-{purpose}": rights(layout)[purpose]}}
    return str(connection.request("POST", "/_security/api_key", body).body["encoded"])


def _name(layout: Layout, purpose: str) -> str:
    return f"{layout.prefix}sitrep-{purpose}"


def _is_taken(connection: Connection, key: str) -> bool:
    with closing(Connection(replace(connection.server, api_key=key, user="", password=""))) as other:
        return other.request("GET", "/_security/_authenticate", allow=(400, 401)).status == 200


def _ident(key: str) -> str:
    """The key's name for the server: what stands before the colon."""
    return base64.b64decode(key).decode().partition(":")[0]


def setup(connection: Connection, asked: Layout) -> None:
    """Put templates and small indices there, and what people look at behind its alias. Raises StoreGone."""
    layout = of_role(standing(connection, asked), CURRENT) or asked
    fits(connection, layout, asked.version)
    put(connection, layout)
    every: dict[str, Any] = {}
    for kind in layout.aliases:
        every |= connection.request("GET", f"/{quote(layout.every(kind), safe='*')}/_alias").body
    outside = _outside(layout, every)
    actions = [{"add": {"index": name, "alias": alias}} for name, alias in outside.items()]
    if actions:
        connection.request("POST", "/_aliases", {"actions": actions})
