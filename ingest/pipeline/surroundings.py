"""The stories around what is published, which say what it is a copy of."""

from __future__ import annotations

import functools
from collections.abc import Callable, Collection, Iterator, Mapping
from datetime import UTC, datetime

from ingest import dedup
from ingest.models import Window
from ingest.pipeline.deciding import Work
from ingest.pipeline.upcoming import Known, second
from ingest.store import Lease, Store
from ingest.store.holders import now_and_then

_FIRST, _LAST = datetime(1, 1, 1, tzinfo=UTC), datetime(9999, 12, 31, tzinfo=UTC)


class Surroundings:
    """Read from the store once, and kept from one slice to the next as long as nobody else publishes."""

    def __init__(self, store: Store) -> None:
        self._store: Known = store
        self._scene = dedup.Scene(self._load)
        self._judged = self._written = -1  # tokens of the leases under which that was done last

    def judge(
        self,
        store: Known,
        work: Work,
        moved: Mapping[str, list[int]],
        token: int,
        alive: Callable[[], None],
        *,
        early: bool = False,
    ) -> dedup.Verdicts:
        """Which links come and go, by what is to be written under the lease of this number. `early`: the slice before
        is being written under the lease before, and `store` is as it will be then."""
        before = token - 1  # each lease has the number after the one before
        if self._judged != before or not (early or self._written == before):
            self._scene.forget()
        self._store, self._judged = store, token
        prints = store.fingerprints((moved.keys() & work.after.keys()) - work.prints.keys()) | work.prints
        return dedup.judge_change(
            self._scene,
            [moment for times in moved.values() for moment in times],
            moved.keys(),
            Window.of((id_, second(work.after[id_]), prints[id_]) for id_ in moved if id_ in prints),
            store.links,
            dedup.CloseLook(functools.partial(_texts, store, work), alive),
            alive=alive,
        )

    def holds(self, token: int) -> bool:
        """Whether what was judged early, for the lease of this number, came true."""
        return self._judged == token and self._written == token - 1

    def written(self, token: int) -> None:
        """What was judged under the lease of this number is in the store."""
        self._written = token

    def _load(self, since: int, until: int) -> Iterator[Window]:
        first, last = (int(moment.timestamp()) for moment in (_FIRST, _LAST))
        return self._store.window(
            datetime.fromtimestamp(min(max(since, first), last), UTC),
            datetime.fromtimestamp(max(min(until, last), first), UTC),
        )


def _texts(store: Known, work: Work, ids: Collection[str]) -> dict[str, tuple[str | None, str]]:
    """Title and text of these stories, as they will be."""
    here = {id_: work.after[id_].content for id_ in ids if id_ in work.after}
    return {id_: (content.title, content.text) for id_, content in here.items()} | store.texts(ids - here.keys())


def renewal(store: Store, lease: Lease) -> Callable[[], None]:
    """Renews the lease when it is called, but not at every call."""
    return now_and_then(lambda: store.renew(lease))
