"""Publishing while digesting goes on.

Digesting keeps all cores busy and publishing one; done one after the other, the second half of a large backfill would
leave all cores but one idle. So files of stories are published as they are completed, by a process of its own: which
ones are published first changes nothing in the store (DESIGN, "Revisions do not depend on order"), and memory stays
bounded in each process. It may be killed at any moment, as every publisher: whoever started it publishes the rest.
"""

from __future__ import annotations

import signal
import time
from multiprocessing.connection import Connection
from types import TracebackType

from ingest.errors import SitrepError
from ingest.pipeline import workers
from ingest.pipeline.pipe import Pipe
from ingest.settings import Settings

WORTH = 5.0  # seconds: what is digested sooner is over before another process has begun


class Ahead:
    """Publishes what is added, in the name of `run`, until the `with` block ends; what it did not get to is left."""

    def __init__(self, settings: Settings, run: str) -> None:
        self._settings = settings
        self._run = run
        self._begun = time.monotonic()
        self._waiting: list[str] = []
        self._process: workers.Process | None = None

    def __enter__(self) -> Ahead:
        return self

    def add(self, part: str) -> None:
        """Publish this file of stories, which is complete."""
        self._waiting.append(part)
        if time.monotonic() - self._begun < WORTH:
            return
        try:
            if self._process is None:
                self._process, self._pipe = workers.start(_serve, self._settings, self._run)
            for path in self._waiting:
                self._pipe.send(path)
            self._waiting.clear()
        except (EOFError, OSError):
            pass  # it is gone, or cannot be started: everything is published afterwards

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.join()
            self._pipe.close()


def _serve(pipe: Connection, settings: Settings, run: str) -> None:
    """The process's side: publish what comes, one file after the other, until nobody is there any more."""
    from ingest.pipeline.publishing import publish
    from ingest.pipeline.surroundings import Surroundings

    signal.signal(signal.SIGINT, signal.SIG_IGN)  # who is interrupted is the parent; it ends this one
    opened = Pipe(settings)
    around = Surroundings(opened.store)
    try:
        while True:
            parts = [pipe.recv()]
            while pipe.poll():
                parts.append(pipe.recv())
            try:
                publish(opened, parts, run=run, around=around)
            except SitrepError:
                pass  # a file that fails is tried again by the parent, which says what is wrong with it
    except (EOFError, OSError):
        return
