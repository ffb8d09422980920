"""The rule in numbers, and what comes of applying it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from ingest.models import Link

NEAR = timedelta(hours=72)  # a wire's own re-files come within three days, its next report of the kind later
NEAR_SECONDS = int(NEAR.total_seconds())
# Stretches of time before and after a change that have to be known: what counts of a story can change one away, so a
# verdict on a pair two away, and to count the boilerplate of that one takes the third.
BESIDE = 3
SUSPECT = (1, 7)  # of the smaller one's sample: of 12,529 measured pairs of copies at most one shares less
FEWEST = 2  # shingles in common
# A shingle that more distinct stories have is boilerplate. With 20 there are half as many suspects to look at, and
# families of more than twenty copies that all differ would be lost.
COMMON = 50
# Of a sample: with so much boilerplate a text stands in chains (syndicated.py). With half of it every second story of
# 100,000 of a hundred words would, whose turns of phrase are boilerplate; with three quarters one in a hundred.
CROWDED = (3, 4)
HALF = (1, 2)  # of the smaller one's sample, boilerplate included, between neighbours in a chain


@dataclass(frozen=True, slots=True)
class Verdicts:
    """What a change does to the links: `linked` are new ones, and those whose share, hours or numbers are others than
    before (they replace the link between the same two); `unlinked` are pairs (a < b) whose link no longer holds."""

    linked: tuple[Link, ...] = ()
    unlinked: tuple[tuple[str, str], ...] = ()
