"""Which stories that stay as they are have to be judged again, because what counts as boilerplate changed for them:
the count of one of their shingles may have crossed the limit. Only shingles of what changes can do that, and only where
they are neither rare nor common anyway.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from ingest.dedup.arrays import Flags, Hashes, Ints, Wanted
from ingest.dedup.counting import Counts, Sketch, Times, carriers, times_of
from ingest.dedup.scene import Scene, Stories
from ingest.dedup.verdicts import NEAR_SECONDS


class Boilerplate:
    """Which shingles are boilerplate, in each piece of time, in every pair that a story of that time belongs to."""

    def __init__(self, wanted: Wanted, heavy: Flags) -> None:
        self._wanted, self._heavy = wanted, heavy

    def within(self, hashes: Hashes, times: Ints) -> Flags:
        result = np.zeros(len(hashes), np.bool_)
        if len(self._wanted):
            at, shingle = self._wanted.places(hashes)
            result[at] = self._heavy[shingle, times[at]]
        return result

    @classmethod
    def of(cls, stories: Iterable[Stories], scene: Scene, times: Times, sketch: Sketch, many: int) -> Boilerplate:
        """What is boilerplate of these stories."""
        hashes = np.concatenate([some.hashes for some in stories])
        wanted = Wanted(np.unique(hashes[sketch.at_most(hashes) > many]))
        return cls(wanted, carriers(scene, times, wanted) > many)


def affected(scene: Scene, times: Times, sketch: Sketch, many: int) -> Flags:
    """Which of the stories that stay are affected by those that change."""
    new = scene.stories(np.flatnonzero(scene.changed))
    time = times_of(new, times, scene)
    gone_time = np.repeat(times.of(scene.gone.times), np.diff(scene.gone.rows))
    hashes = np.concatenate((new.hashes, scene.gone.hashes))
    time = np.concatenate((time, gone_time))
    some, count = np.unique(scene.gone.hashes, return_counts=True)
    upper = sketch.at_most(hashes).astype(np.int64)
    if len(some):
        at, which = Wanted(some).places(hashes)
        upper[at] += count[which]
    wanted = Wanted(np.unique(hashes[upper > many]))
    old = carriers(scene, times, wanted, old=True)
    result = np.zeros(len(scene), np.bool_)
    crossing = _crossing(old, _changes(wanted, hashes, time, times), many)
    if crossing.any():
        _mark(result, scene, times, wanted, crossing)
    return result & ~scene.changed & _in_reach(scene)


def _changes(wanted: Wanted, hashes: Hashes, time: Ints, times: Times) -> Counts:
    """How many of the changed stories, as they were or are, carry each shingle at each time."""
    at, shingle = wanted.places(hashes)
    slots = np.bincount(shingle * times.count + time[at], minlength=len(wanted) * times.count)
    return slots.astype(np.int32).reshape(len(wanted), times.count)


def _crossing(old: Counts, changes: Counts, common: int) -> Flags:
    """Which shingles may be boilerplate before and not after, or the other way, in a pair of a story of that time."""
    return (_around(changes) > 0) & (old <= common) & (_around(old + changes) > common)


def _around(counts: Counts) -> Counts:
    """The sum over two pieces of time before to two after."""
    padded = np.pad(counts, ((0, 0), (2, 2)))
    width = counts.shape[1]
    return sum((padded[:, k : k + width] for k in range(5)), np.zeros_like(counts))


def _mark(result: Flags, scene: Scene, times: Times, wanted: Wanted, crossing: Flags) -> None:
    rows = np.flatnonzero(crossing.any(axis=1))
    few, crossing = Wanted(wanted.hashes[rows]), crossing[rows]
    for piece in scene.pieces():
        at, shingle = few.places(piece.hashes)
        place = piece.places[piece.owners()[at]]
        result[place[crossing[shingle, times.of(scene.times[place])]]] = True


def _in_reach(scene: Scene) -> Flags:
    return over_a_moment(scene, scene.times - 2 * NEAR_SECONDS, scene.times + 2 * NEAR_SECONDS)


def over_a_moment(scene: Scene, since: Ints, until: Ints) -> Flags:
    """Whether something changes between these instants."""
    first = np.searchsorted(scene.moments, since, side="left")
    after = np.searchsorted(scene.moments, until, side="right")
    result: Flags = first < after
    return result
