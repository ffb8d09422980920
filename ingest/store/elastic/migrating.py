"""The store moves to another mapping version, or to a rebuilt generation, beside the one that it is now.

    block    the old version takes no more writes: the server refuses them, whoever asks and whatever his release
    copy     index by index, by the server where documents stay as they are, else made anew from what they hold
    compare  the numbers of documents of every index, and a sample of the documents
    move     the aliases of the stories and of the control index, in one request

Nothing is noted on the way, so nothing can go out of step: what is blocked does not change, so an index with as many
documents as the one that it is copied from is done. A migration that is killed goes on with the next call; `back`
gives up one that is under way, or returns to the version before while that stands.
"""

from __future__ import annotations

import os
import secrets
import socket
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import count
from typing import Any
from urllib.parse import quote

from ingest.errors import UsageError
from ingest.store import Lease, Store
from ingest.store.elastic import documents, setup
from ingest.store.elastic.bulk import Action, action, deliver
from ingest.store.elastic.connection import Connection
from ingest.store.elastic.layout import CURRENT, DERIVED, MONTHLY, NEXT, PREVIOUS, SMALL, Layout
from ingest.store.elastic.standing import Standing, of_role, standing
from ingest.store.holders import now_and_then

# Version → the kinds whose documents are to be made anew on the way there although their mapping is the same.
REMADE: Mapping[int, frozenset[str]] = {}

SAMPLE = 200  # documents of each kind that are compared
SLICED_FROM = 20_000  # documents: what several threads of the server copy faster than one
SLICES = 4
LOOK_EVERY = 0.5  # seconds, at most
PATIENCE = 60.0  # seconds for somebody else's slice
NAMES = 40  # of indices in the line of a request, which may have 4,096 bytes
_MIGRATION = ":migration-"
_TEMPLATE = ("index_patterns", "template", "composed_of", "priority", "version", "_meta")

Tell = Callable[[str, int, int], None]  # what, done, of how many
Pinned = Callable[[Layout], Store]


def is_migration(holder: str) -> bool:
    """Whether a holder of the lease is a migration."""
    return _MIGRATION in holder


@dataclass(frozen=True, slots=True)
class Copied:
    """An index and its counterpart, with the documents of both."""

    kind: str
    source: str
    target: str
    documents: int
    done: int


class Migration:
    """The ways between the layouts that stand. `pinned` opens the store of a layout: the lease is taken there."""

    def __init__(self, connection: Connection, asked: Layout, pinned: Pinned) -> None:
        self._connection = connection
        self._asked = asked
        self._pinned = pinned

    def migrate(self, tell: Tell) -> str:
        """Bring the store to the version of this release; gives a sentence. Raises StoreGone, and what was done stays
        done."""
        source = of_role(standing(self._connection, self._asked), CURRENT)
        if source is None:
            raise UsageError("nothing is set up there", subject=self._connection.where, advice="`sitrep store setup`")
        if source.version >= self._asked.version:
            setup.fits(self._connection, source, self._asked.version)
            return f"nothing to migrate: the mapping is version {source.version}"
        with self._writing_alone(source) as alive:
            self._prepare(source, self._asked)
            self._copy(source, self._asked, (*MONTHLY, *_kept()), tell, alive)
            self._compare(source, self._asked)
            self._move(source, self._asked)
        return (
            f"migrated from version {source.version} to {self._asked.version}; the old one still stands: "
            "`sitrep store migrate --back` returns to it, `--drop-old` deletes it"
        )

    def back(self) -> str:
        """Give up what is under way, or return to the version before."""
        found = standing(self._connection, self._asked)
        current, coming = of_role(found, CURRENT), of_role(found, NEXT)
        if current and (coming or self._is_blocked(current)):
            with self._writing_alone(current):
                self._show(current, on=True)
                self._block(current, on=False)
                if coming:
                    self._drop(coming)
            return f"given up: the store is {current.label}, as it was"
        before = of_role(found, PREVIOUS)
        if before is None or current is None:
            raise UsageError("no other version stands there", subject=self._connection.where)
        with self._writing_alone(current):
            self._give_back_what_is_kept(current, before)
            self._show(current, on=False)
            self._show(before, on=True)
            self._point(current, before, left=None)
            self._block(before, on=False)
            self._drop(current)
        return (
            f"back at {before.label}. Use the Sitrep that works with it; "
            "`sitrep publish` there brings what was published meanwhile"
        )

    def drop_old(self) -> str:
        """Delete what is neither the store nor about to be."""
        old = [one.layout for one in standing(self._connection, self._asked) if one.role in (PREVIOUS, None)]
        for layout in old:
            self._drop(layout)
        return f"deleted: {', '.join(layout.label for layout in old)}" if old else "no other version stands there"

    # a rebuilt generation ----------------------------------------------------------------------------------------
    def coming(self, current: Layout, *, make: bool) -> Layout | None:
        """The generation that is built in place of `current`; made where there is none and `make` says so."""
        found = standing(self._connection, self._asked)
        there = of_role(found, NEXT)
        if not make:
            return there
        target = replace(current, generation=current.generation + 1)
        if there != target:
            self._clear(found, target)
        setup.put(self._connection, target, NEXT)
        self._copy(current, target, ("closed",), _silent, _nothing)
        return target

    def replace_by(self, current: Layout, target: Layout, alive: Callable[[], None]) -> None:
        """Let `target`, which holds what follows from the files of stories, be the store. The caller has the lease."""
        self._block(current, on=True)
        self._copy(current, target, [kind for kind in _kept() if kind not in DERIVED], _silent, alive)
        self._move(current, target)
        self._drop(current)

    # steps -------------------------------------------------------------------------------------------------------
    @contextmanager
    def _writing_alone(self, layout: Layout) -> Iterator[Callable[[], None]]:
        """Hold the lease of a layout; what its last publisher left unfinished is finished."""
        store = self._pinned(layout)
        holder = f"{socket.gethostname()}:{os.getpid()}{_MIGRATION}{secrets.token_hex(4)}"
        try:
            lease = self._lease(store, holder)
            yield now_and_then(lambda: store.renew(lease))
            if self._names([layout.small("control")]):
                store.release(lease)
        finally:
            store.close()  # a lease that is left is taken over: its holder is gone

    def _lease(self, store: Store, holder: str) -> Lease:
        until = time.monotonic() + PATIENCE
        while isinstance(lease := store.lease(holder, live=True), str):
            if time.monotonic() > until:
                self._connection.gone(f"{lease} is publishing or migrating.", "Run the same thing again in a moment.")
            time.sleep(LOOK_EVERY)
        return lease

    def _prepare(self, source: Layout, target: Layout) -> None:
        """Whatever stands of the target counts only where the source has not changed since."""
        found = standing(self._connection, self._asked)
        if of_role(found, NEXT) != target or not self._is_blocked(source):
            self._clear(found, target)
        self._block(source, on=True)
        self._show(source, on=False)
        setup.put(self._connection, target, NEXT)

    def _clear(self, found: Sequence[Standing], target: Layout) -> None:
        for one in found:
            if one.role == NEXT or (one.layout == target and one.role != CURRENT):
                self._drop(one.layout)

    def _is_blocked(self, layout: Layout) -> bool:
        index = layout.small("feeds")
        told = self._connection.request("GET", f"/{quote(index)}/_settings", flat_settings="true").body
        return bool(told[index]["settings"].get("index.blocks.write") == "true")

    def _block(self, layout: Layout, *, on: bool) -> None:
        """All but the control index, where the lease is."""
        wanted = [*map(layout.months, MONTHLY), *(layout.small(kind) for kind in SMALL if kind != "control")]
        names = self._names(wanted)
        for start in range(0, len(names), NAMES):
            path = f"/{','.join(map(quote, names[start : start + NAMES]))}/_settings"
            self._connection.request("PUT", path, {"index.blocks.write": True if on else None})

    def _names(self, wanted: Sequence[str]) -> list[str]:
        """The indices of these names or patterns that are there."""
        path = f"/{quote(','.join(wanted), safe='*,')}/_alias"
        return sorted(self._connection.request("GET", path, ignore_unavailable="true").body)

    def _show(self, layout: Layout, *, on: bool) -> None:
        """Whether a new index of this layout stands behind its alias at once."""
        for kind, alias in layout.aliases.items():
            path = f"/_index_template/{quote(layout.template(kind))}"
            answer = self._connection.request("GET", path, allow=(404,))
            if answer.status == 200:
                whole = answer.body["index_templates"][0]["index_template"]
                kept = {key: value for key, value in whole.items() if key in _TEMPLATE}
                kept["template"] = {**kept.get("template", {}), "aliases": {alias: {}} if on else {}}
                self._connection.request("PUT", path, kept)

    # copying -----------------------------------------------------------------------------------------------------
    def _pairs(self, source: Layout, target: Layout, kinds: Sequence[str]) -> list[Copied]:
        """Every index of these kinds and its counterpart, with how many documents each has now."""
        listed = []
        for kind in kinds:
            there, here = (
                (layout.months(kind) if kind in MONTHLY else layout.small(kind)) for layout in (source, target)
            )
            counts, done = self._counts(there), self._counts(here)
            for index, number in counts.items():
                other = target.month(kind, source.suffix(index)) if kind in MONTHLY else here
                listed.append(Copied(kind, index, other, number, done.get(other, 0)))
        return listed

    def _counts(self, pattern: str) -> dict[str, int]:
        """How many documents each of these indices has, as it is now."""
        if not self._names([pattern]):
            return {}
        self._connection.request("POST", f"/{quote(pattern, safe='*')}/_refresh")
        return self._connection.counts(pattern)

    def _copy(
        self, source: Layout, target: Layout, kinds: Sequence[str], tell: Tell, alive: Callable[[], None]
    ) -> None:
        pairs = self._pairs(source, target, kinds)
        total, done = sum(one.documents for one in pairs), sum(min(one.done, one.documents) for one in pairs)
        months: dict[str, Any] = {one.target: {} for one in pairs if one.kind in MONTHLY}
        self._connection.make_indices(months)
        for one in pairs:
            alive()
            if one.done == one.documents:
                continue
            before = done - min(one.done, one.documents)

            def told(number: int, before: int = before) -> None:
                alive()
                tell("migrate", before + number, total)

            if self._is_alike(one, target):
                self._copied(one, told)
            else:
                self._made_anew(one, told)
            done = before + one.documents
            tell("migrate", done, total)

    def _is_alike(self, one: Copied, target: Layout) -> bool:
        """Whether documents stay as they are: then the server copies them by itself."""
        found = self._connection.request("GET", f"/{quote(one.source)},{quote(one.target)}/_mapping").body
        here, there = (found[index]["mappings"].get("properties") for index in (one.source, one.target))
        return here == there and one.kind not in REMADE.get(target.version, ())

    def _copied(self, one: Copied, told: Callable[[int], None]) -> None:
        """By the server; a copying that a migration began before it died is waited for, not begun again."""
        running = self._running(one.target)
        if not running:
            body = {
                "conflicts": "proceed",  # what is there already was copied before
                "source": {"index": one.source, "size": 1000},
                "dest": {"index": one.target, "op_type": "create"},
            }
            slices = SLICES if one.documents > SLICED_FROM else 1
            params: dict[str, Any] = {"wait_for_completion": "false", "refresh": "true", "slices": slices}
            running = [self._connection.request("POST", "/_reindex", body, **params).body["task"]]
        for task in running:
            self._wait(task, one, told)

    def _running(self, target: str) -> list[str]:
        answer = self._connection.request("GET", "/_tasks", actions="*data/write/reindex", detailed="true")
        return [
            ident
            for node in answer.body.get("nodes", {}).values()
            for ident, task in node["tasks"].items()
            if f"to [{target}]" in task.get("description", "") and "parent_task_id" not in task
        ]

    def _wait(self, task: str, one: Copied, told: Callable[[int], None]) -> None:
        for attempt in count(1):
            answer = self._connection.request("GET", f"/_tasks/{quote(task)}", allow=(404,))
            if answer.status == 404:  # its node went: what is missing shows when it is counted
                return
            status = answer.body["task"].get("status", {})
            told(min(one.documents, status.get("created", 0) + status.get("version_conflicts", 0)))
            if answer.body["completed"]:
                wrong = answer.body.get("error") or answer.body.get("response", {}).get("failures")
                if wrong:
                    advice = "What is copied stays; run the same thing again, or `sitrep store migrate --back`."
                    self._connection.gone(f"copying {one.source} failed ({str(wrong)[:300]}).", advice)
                return
            time.sleep(min(LOOK_EVERY, 0.02 * attempt))

    def _made_anew(self, one: Copied, told: Callable[[int], None]) -> None:
        """From what the documents hold, which is all of it: fields that follow from others are computed again."""

        def made() -> Iterator[Action]:
            hits = self._connection.stream(one.source, {"match_all": {}}, ["_shard_doc"], size=500)
            for number, hit in enumerate(hits):
                if number % 500 == 0:
                    told(number)
                key, ident = (one.kind, hit["_id"]), hit["_id"]
                yield action("index", key, one.target, ident, documents.remade(one.kind, hit["_source"]))

        outcome = deliver(self._connection, made())
        for (_, ident), why in outcome.refused.items():
            advice = "Nothing has moved: `sitrep store migrate --back` gives up. Report it."
            self._connection.gone(f"{ident} of {one.source} does not fit the new mapping ({why[:300]}).", advice)
        self._connection.request("POST", f"/{quote(one.target)}/_refresh")

    # comparing ---------------------------------------------------------------------------------------------------
    def _compare(self, source: Layout, target: Layout) -> None:
        """Raises StoreGone where the two differ."""
        pairs = self._pairs(source, target, (*MONTHLY, *_kept()))
        for one in pairs:
            if one.done != one.documents:
                self._differs(f"{one.source} has {one.documents} documents, {one.target} has {one.done}")
        for kind in dict.fromkeys(one.kind for one in pairs):
            self._compare_sample(kind, {one.source: one.target for one in pairs if one.kind == kind})

    def _compare_sample(self, kind: str, counterparts: Mapping[str, str]) -> None:
        pattern = ",".join(list(counterparts)[:NAMES])
        anything: dict[str, Any] = {"function_score": {"query": {"match_all": {}}, "random_score": {}}}
        hits = self._connection.search(pattern, {"query": anything, "size": SAMPLE})["hits"]["hits"]
        asked = [{"_index": counterparts[hit["_index"]], "_id": hit["_id"]} for hit in hits]
        if not asked:
            return
        docs = self._connection.request("POST", "/_mget", {"docs": asked}).body["docs"]
        for hit, doc in zip(hits, docs, strict=True):
            if "_source" not in doc or not documents.are_alike(kind, hit["_source"], doc["_source"]):
                self._differs(f"{hit['_id']} of {hit['_index']} is another one in {doc['_index']}")

    def _differs(self, what: str) -> None:
        advice = "Nothing has moved: run `sitrep store migrate --back`, then migrate again; if it stays, report it."
        self._connection.gone(f"the copy is not the same: {what}.", advice)

    # moving ------------------------------------------------------------------------------------------------------
    def _move(self, source: Layout, target: Layout) -> None:
        setup.put_templates(self._connection, target, behind_alias=True)
        self._point(source, target, left=PREVIOUS)

    def _point(self, source: Layout, target: Layout, *, left: str | None) -> None:
        """The step that counts: all aliases in one request."""
        actions: list[dict[str, Any]] = []
        for kind, alias in target.aliases.items():
            actions += [_remove(index, alias) for index in self._names([source.every(kind)])]
            actions += [_add(index, alias) for index in self._names([target.every(kind)])]
        here, there = source.small("control"), target.small("control")
        actions += [_remove(here, source.pointer(role)) for role in (CURRENT, NEXT, PREVIOUS)]
        actions += [_remove(there, target.pointer(role)) for role in (NEXT, PREVIOUS)]
        actions += [_add(here, source.pointer(left))] if left else []
        actions.append(_add(there, target.pointer(CURRENT)))
        self._connection.request("POST", "/_aliases", {"actions": actions})

    def _give_back_what_is_kept(self, current: Layout, before: Layout) -> None:
        """What does not follow from the files of stories, and may have changed since: feeds and their like. Fields that
        the version before does not know are left out."""
        self._block(before, on=False)
        for kind in _kept():
            if kind in DERIVED or not self._names([before.small(kind)]):
                continue
            index = before.small(kind)
            fields = self._connection.request("GET", f"/{quote(index)}/_mapping").body[index]["mappings"]["properties"]
            now = {hit["_id"]: hit["_source"] for hit in self._connection.all(current.small(kind), {"match_all": {}})}
            then = [hit["_id"] for hit in self._connection.all(index, {"match_all": {}}, False)]
            actions = [action("delete", (kind, ident), index, ident, None) for ident in then if ident not in now]
            for ident, found in now.items():
                known = {name: value for name, value in found.items() if name in fields}
                actions.append(action("index", (kind, ident), index, ident, known))
            for why in deliver(self._connection, actions).refused.values():
                self._connection.gone(f"version {before.version} refuses a document of {kind} ({why}).", "Report it.")
            self._connection.request("POST", f"/{quote(index)}/_refresh")

    def _drop(self, layout: Layout) -> None:
        """Delete a layout with its templates; the control index, by which it is found, at last."""
        control = layout.small("control")
        every = self._names([*map(layout.months, MONTHLY), *map(layout.small, SMALL)])
        self._stop_copying(every)
        rest = [index for index in every if index != control]
        for start in range(0, len(rest), NAMES):
            self._connection.request("DELETE", f"/{','.join(map(quote, rest[start : start + NAMES]))}")
        for name in layout.templates():
            self._connection.request("DELETE", f"/_index_template/{quote(name)}", allow=(404,))
        for name in layout.components():
            self._connection.request("DELETE", f"/_component_template/{quote(name)}", allow=(404,))
        self._connection.request("DELETE", f"/{quote(control)}", allow=(404,))

    def _stop_copying(self, targets: Sequence[str]) -> None:
        """What still copies would make an index again that is deleted."""
        while running := [task for index in targets for task in self._running(index)]:
            for task in running:
                self._connection.request("POST", f"/_tasks/{quote(task)}/_cancel", allow=(403, 404))
            time.sleep(LOOK_EVERY)


def _kept() -> tuple[str, ...]:
    """The small kinds but for the lease and what belongs to it."""
    return tuple(kind for kind in SMALL if kind != "control")


def _remove(index: str, alias: str) -> dict[str, Any]:
    return {"remove": {"index": index, "alias": alias, "must_exist": False}}


def _add(index: str, alias: str) -> dict[str, Any]:
    return {"add": {"index": index, "alias": alias}}


def _silent(_: str, __: int, ___: int) -> None: ...


def _nothing() -> None: ...
