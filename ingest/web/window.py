"""What pages look through: the store and the landing zone of the settings, kept open between requests."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Hashable
from typing import TYPE_CHECKING, Any, TypeVar

from fastapi import Request

from ingest import settings as configuration
from ingest.pipeline.pipe import Pipe

if TYPE_CHECKING:
    from ingest.landing import Landing
    from ingest.settings import Settings
    from ingest.store import Store

T = TypeVar("T")
ASKED_AGAIN = 30.0  # seconds after which the settings are read anew: somebody may have changed Airflow's connection
REMEMBERED = 200  # values at once
UNWRITTEN = 60.0  # seconds that they are kept while nothing is written: days pass, and captures land, without a write
WORTH = 0.04  # seconds that a page may spend on what it could remember


class _Kept:
    def __init__(self) -> None:
        self.making = threading.Lock()
        self.pipe: Pipe | None = None
        self.until = 0.0
        self.value: Any = None


class Window:
    """The pipe of the settings that `load` gives; another one as soon as they change.

    Safe for many threads. Opening is lazy: an application can be made where no store answers.
    """

    def __init__(self, load: Callable[[], Settings] = configuration.load) -> None:
        self._load = load
        self._lock = threading.Lock()
        self._pipe: Pipe | None = None
        self._asked = 0.0
        self._kept: dict[Hashable, _Kept] = {}

    @property
    def pipe(self) -> Pipe:
        """Raises SettingsError."""
        with self._lock:
            if self._pipe is None or time.monotonic() - self._asked > ASKED_AGAIN:
                settings = self._load()
                if self._pipe is None or settings != self._pipe.settings:
                    pipe = Pipe(settings)
                    _ = pipe.landing  # opened here, so that two threads do not open two
                    pipe.store.stay_ready()
                    self._pipe = pipe  # the old one may be in use: it closes when its last reader is done
                self._asked = time.monotonic()
            return self._pipe

    @property
    def settings(self) -> Settings:
        return self.pipe.settings

    @property
    def store(self) -> Store:
        """Raises StoreGone and SettingsError."""
        return self.pipe.store

    @property
    def landing(self) -> Landing:
        """Raises LandingFault and UsageError."""
        return self.pipe.landing

    def remembered(self, name: Hashable, seconds: float, make: Callable[[], T], *, worth: float = 0.0) -> T:
        """What `make` gives, for so many seconds: for what costs more than a page may and changes slowly. What takes
        less than `worth` seconds is made anew each time."""
        pipe = self.pipe
        with self._lock:
            if len(self._kept) > REMEMBERED:
                self._kept.clear()
            kept = self._kept.setdefault(name, _Kept())
        with kept.making:  # one makes it, the others wait for it
            if kept.pipe is pipe and time.monotonic() < kept.until:
                value: T = kept.value
                return value
            began = time.monotonic()
            value = make()
            ended = time.monotonic()
            if ended - began >= worth:
                kept.pipe, kept.value, kept.until = pipe, value, ended + seconds
            return value

    def counted(self, name: Hashable, seconds: float, make: Callable[[], T]) -> T:
        """The same for what `make` counts in the store: until something is written there (a minute at most), or where
        the store cannot tell, for so many seconds. What costs less than a page may spend is counted each time."""
        state = self.store.state()
        return self.remembered((name, state), seconds if state is None else UNWRITTEN, make, worth=WORTH)

    def close(self) -> None:
        """The next request opens it again."""
        with self._lock:
            if self._pipe is not None:
                self._pipe.close()
            self._pipe = None


def window_of(request: Request) -> Window:
    """The window of the application that this request asks."""
    window: Window = request.app.state.window
    return window


def pipe_of(request: Request) -> Pipe:
    """The pipe that the application of this request looks through. Raises SettingsError."""
    return window_of(request).pipe
