"""What a reader's request may cost the embedded store. What is asked from outside is bounded, our own work is not."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

from ingest.errors import UsageError


@dataclass(slots=True)
class Budget:
    """Seconds of processor time: a request is not refused because the machine has other things to do."""

    whole: float
    left: float

    @contextmanager
    def spent(self) -> Iterator[float]:
        """What is done inside is booked; gives when it must end, on the clock of `time.thread_time`."""
        began = time.thread_time()
        try:
            yield began + self.left
        finally:
            self.left -= time.thread_time() - began

    def exceeded(self) -> UsageError:
        return UsageError(
            f"this search takes more than {self.whole:g} seconds.",
            advice="Ask for fewer or rarer words, for a longer beginning before a *, or for fewer days.",
        )


_budget: ContextVar[Budget | None] = ContextVar("budget", default=None)


def limit(seconds: float) -> None:
    """From now on this task, and the threads that work for it, may read for so many seconds in all."""
    _budget.set(Budget(seconds, seconds))


def budget() -> Budget | None:
    """What is left to this task; None: as much as it wants."""
    return _budget.get()
