"""The rule in numbers, and what comes of applying it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta

from ingest.models import Link

NEAR = timedelta(hours=72)  # a wire's own re-files come within three days, its next report of the kind later
REACH = 3 * NEAR + timedelta(seconds=1)  # a second more, because instants are kept in whole seconds
NEAR_SECONDS = int(NEAR.total_seconds())
SUSPECT = (1, 6)  # of the smaller one's sample: of 12,529 measured pairs of copies one shares less
FEWEST = 2  # shingles in common
# A shingle that more distinct stories have is boilerplate. With 20 there are half as many suspects to look at, and
# families of more than twenty copies that all differ would be lost.
COMMON = 50


@dataclass(frozen=True, slots=True)
class Verdicts:
    """What a change does to the links: `linked` are new ones, and those whose share, hours or numbers are others than
    before (they replace the link between the same two); `unlinked` are pairs (a < b) whose link no longer holds."""

    linked: tuple[Link, ...] = ()
    unlinked: tuple[tuple[str, str], ...] = ()


def together(parts: Iterable[Verdicts]) -> Verdicts:
    """The verdicts on several windows as one: a story that moved from one to another loses its links in both."""
    linked: dict[tuple[str, str], Link] = {}
    unlinked: set[tuple[str, str]] = set()
    for part in parts:
        linked.update(((link.a, link.b), link) for link in part.linked)
        unlinked.update(part.unlinked)
    return Verdicts(tuple(linked[pair] for pair in sorted(linked)), tuple(sorted(unlinked - linked.keys())))


def reach(moments: Iterable[int]) -> list[tuple[int, int]]:
    """What has to be read around these moments: spans in seconds since the epoch, both ends included, disjoint and
    ascending. Each is read and judged alone, and the verdicts put `together`."""
    width = int(REACH.total_seconds())
    spans: list[tuple[int, int]] = []
    for moment in sorted(set(moments)):
        if spans and moment - width <= spans[-1][1]:
            spans[-1] = (spans[-1][0], moment + width)
        else:
            spans.append((moment - width, moment + width))
    return spans
