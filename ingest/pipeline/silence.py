"""Whether a quiet day means calm or dead feeds: which days were watched, and which usual outlets said nothing on them.

A day is watched when feeds were read on it, or when some outlet told something of it (an archive's days). An outlet is
usual on a day when it told something on at least half of the watched days before it, of the last 28; from the seventh
on. It is silent when it then tells nothing. A day on which half of its usual outlets are silent says little.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Collection, Mapping
from dataclasses import dataclass

WINDOW = 28  # watched days that are looked back at
LEAST = 7  # before that nobody knows what is usual
USUAL = 0.5  # of the days of the window
QUIET = 0.5  # of the usual outlets
FEWEST = 2  # usual outlets: half of one says nothing


@dataclass(frozen=True, slots=True)
class Quiet:
    """A day on which at least half of the `usual` outlets were `silent`."""

    usual: int
    silent: tuple[str, ...]


def quiet(by_source: Mapping[str, Mapping[str, int]], read: Collection[str], *, today: str) -> dict[str, Quiet]:
    """The days (ISO dates) that say little. `by_source`: outlet → day → stories; `read`: days on which feeds were
    read. A day that is not over (`today` and later) is never quiet."""
    told: dict[str, set[str]] = {day: set() for day in read}
    for name, days in by_source.items():
        for day, stories in days.items():
            if name and stories:
                told.setdefault(day, set()).add(name)
    window: deque[set[str]] = deque()
    counted: Counter[str] = Counter()  # in the window: on how many days each told something
    found: dict[str, Quiet] = {}
    for day in sorted(told):
        if len(window) >= LEAST and day < today:
            usual = [name for name, days in counted.items() if days >= USUAL * len(window)]
            silent = sorted(set(usual) - told[day])
            if len(usual) >= FEWEST and len(silent) >= QUIET * len(usual):
                found[day] = Quiet(len(usual), tuple(silent))
        window.append(told[day])
        counted.update(told[day])
        if len(window) > WINDOW:
            for name in window.popleft():
                counted[name] -= 1
                if not counted[name]:
                    del counted[name]
    return found
