"""Waiting for what other processes do."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any


def wait(found: Callable[[], Any], seconds: float, what: str) -> Any:
    """What `found` gives once that is something; fails the test where it is nothing for so long."""
    until = time.monotonic() + seconds
    while not (value := found()):
        assert time.monotonic() < until, f"waited {seconds:.0f} s for {what}"
        time.sleep(0.5)
    return value
