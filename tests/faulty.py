"""Work for worker processes that goes wrong where an item says so."""

from __future__ import annotations

import ctypes
import os
import signal
import time
from collections.abc import Sequence
from typing import Any

from ingest.pipeline import batches


def prepare(greeting: str) -> None:
    global _greeting
    _greeting = greeting


def echo(batch: Sequence[bytes]) -> list[str]:
    """Greets every item, after doing what it asks for."""
    for item in batch:
        suffer(item)
    return [f"{_greeting} {item.decode()}" for item in batch]


def work(batch: Sequence[Any]) -> list[batches.Digested]:
    """The pipe's own work, but for raw items that hold one of the words."""
    for raw in batch:
        suffer(getattr(raw, "data", b""))
    return batches.work(batch)


def suffer(data: bytes) -> None:
    if b"OUT OF MEMORY" in data:
        os.kill(os.getpid(), signal.SIGKILL)  # as the kernel does
    if b"SEGFAULT" in data:
        ctypes.string_at(0)
    if b"HANG" in data:
        time.sleep(3600)
    if b"GREEDY" in data:
        bytearray(8 << 30)


def broken(greeting: str) -> None:
    raise OSError(f"cannot {greeting}")
