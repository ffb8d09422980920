"""Who may hold the lease, and for how long: the same in every store."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable

# A lease that was not renewed for so long is taken over; a live publisher that asked so recently goes first; who holds
# it renews it so often (seconds).
LEASE_SECONDS = 30.0
WAITING_SECONDS = 5.0
RENEW_SECONDS = 5.0


def now_and_then(renew: Callable[[], None]) -> Callable[[], None]:
    """Renews the lease when it is called, but not at every call."""
    renewed = time.monotonic()

    def called() -> None:
        nonlocal renewed
        if time.monotonic() - renewed > RENEW_SECONDS:
            renew()
            renewed = time.monotonic()

    return called


def is_gone(holder: str) -> bool:
    """Whether the process that calls itself "host:pid:…" ran on this host and has ended."""
    host, pid, *_ = [*holder.rsplit(":", 2), ""]
    if host != socket.gethostname() or not pid.isdecimal():
        return False
    try:
        os.kill(int(pid), 0)
    except (ProcessLookupError, OverflowError):
        return True
    except PermissionError:
        return False
    return False
