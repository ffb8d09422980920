"""Where ports meet adapters: the settings, the landing zone and the store that a process works with."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from ingest import settings as configuration
from ingest.settings import Settings

if TYPE_CHECKING:  # each is imported when it is opened: a search needs no landing zone and no parser of OPML
    from ingest.landing import Landing
    from ingest.models import Feed
    from ingest.store import Store


@dataclass(frozen=True, slots=True)
class Step:
    """Where a long move stands, for a progress bar: `done` of `total` (None: not known) in `unit`."""

    name: str
    done: int
    total: int | None
    unit: str


Progress = Callable[[Step], None]


def silent(_: Step) -> None:
    """Nobody watches."""


class Pipe:
    """The landing zone and the store of these settings, each opened when it is first needed."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.replaced: Store | None = None  # where a store is rebuilt: the one that it will stand in for

    @cached_property
    def landing(self) -> Landing:
        from ingest.landing import Landing

        return Landing(self.settings.landing)

    @cached_property
    def store(self) -> Store:
        if self.settings.elasticsearch_url:
            from ingest.store.elastic import opened_by

            return opened_by(self.settings)
        from ingest.store.sqlite import SqliteStore

        return SqliteStore(self.settings.database)

    def beside(self, successor: Store) -> Pipe:
        """The pipe into a store that will stand in for this one's, from the same landing zone."""
        other = Pipe(self.settings)
        other.__dict__.update(landing=self.landing, store=successor)
        other.replaced = self.store
        return other

    def close(self) -> None:
        if "store" in self.__dict__:
            self.store.close()

    def feeds(self) -> list[Feed]:
        """The feeds of the store; on the first run, those of `seeds/feeds.opml` are merged into it."""
        from ingest.feeds import read_opml

        known = self.store.feeds()
        if not known:
            self.store.save_feeds(read_opml((self.settings.seeds / "feeds.opml").read_bytes()).feeds)
            known = self.store.feeds()
        return known


@contextmanager
def opened(settings: Settings | None = None) -> Iterator[Pipe]:
    """The pipe of this process's settings, closed at the end."""
    pipe = Pipe(settings or configuration.load())
    try:
        yield pipe
    finally:
        pipe.close()
