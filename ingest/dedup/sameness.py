"""How much of their samples two stories share, exactly."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ingest.dedup.affected import Boilerplate
from ingest.dedup.arrays import Flags, Hashes, Ints, Wanted, at_least, ranges
from ingest.dedup.counting import Postings, Sketch, Times
from ingest.dedup.fingerprint import BOUND, LEAST
from ingest.dedup.scene import Scene, Stories
from ingest.dedup.verdicts import FEWEST, NEAR_SECONDS, SUSPECT

_STEP = 1 << 11  # pairs that are counted at once


class Sameness:
    """Of some stories, how much of the smaller one's sample stands in the other."""

    def __init__(self, stories: Stories, scene: Scene, times: Times, sketch: Sketch, many: int) -> None:
        self._stories = stories
        mine = scene.times[stories.places]
        self._since, self._until = scene.since(mine - NEAR_SECONDS), scene.until(mine + NEAR_SECONDS)
        self._complete = _complete(stories)
        hashes, shingle = np.unique(stories.hashes, return_inverse=True)
        self._count = max(len(hashes), 1)
        self._key = stories.owners() * self._count + shingle  # ascending: finds a shingle in a story
        self._shingle = shingle
        self._time = times.of(mine)
        self._heavy = Boilerplate.of([stories], scene, times, sketch, many)
        # Where it is many in a story's own time, nothing has to be counted.
        own = self._heavy.within(stories.hashes, self._time[stories.owners()])
        doubtful = np.unique(stories.hashes[(sketch.at_most(stories.hashes) > many) & ~own])
        self._postings = Postings(scene, times, Wanted(doubtful), many)
        self._doubtful = np.full(len(hashes), -1, np.int64)
        self._doubtful[np.searchsorted(hashes, doubtful)] = np.arange(len(doubtful))

    def shares(self, i: Ints, j: Ints) -> NDArray[np.float64]:
        """For pairs of places, i the earlier; 0 where that is too little."""
        one, other = (np.searchsorted(self._stories.places, x) for x in (i, j))
        parts = [self._shares(one[a : a + _STEP], other[a : a + _STEP]) for a in range(0, len(i), _STEP)]
        return np.concatenate([np.empty(0), *parts])

    def _shares(self, i: Ints, j: Ints) -> NDArray[np.float64]:
        (one, shared), (other, _) = self._counted(i, i, j), self._counted(j, i, j)  # shared: the same from either side
        sizes = np.maximum(np.minimum(one, other), 1)
        return np.where((shared >= FEWEST) & at_least(shared, sizes, SUSPECT), shared / sizes, 0.0)

    def _counted(self, side: Ints, i: Ints, j: Ints) -> tuple[Ints, Ints]:
        """How many shingles of `side` count for the pairs (i, j), and how many of these stand in both."""
        rows = self._stories.rows
        at, pair = ranges(rows[side], rows[side + 1] - rows[side])
        # A text of a few lines keeps more than one in 32. What the other would not have kept says nothing.
        comparable = self._stories.hashes[at] <= np.minimum(self._complete[i], self._complete[j])[pair]
        at, pair = at[comparable], pair[comparable]
        shingle, hashes = self._shingle[at], self._stories.hashes[at]
        both = self._stands_in(shingle, np.where(side == i, j, i)[pair])
        heavy = self._heavy.within(hashes, self._time[i[pair]]) | self._heavy.within(hashes, self._time[j[pair]])
        counts = ~heavy
        counts[counts] = ~self._boilerplate(*(x[~heavy] for x in (shingle, self._since[i[pair]], self._until[j[pair]])))
        size = len(side)
        return np.bincount(pair[counts], minlength=size), np.bincount(pair[counts & both], minlength=size)

    def _stands_in(self, shingle: Ints, story: Ints) -> Flags:
        key = story * self._count + shingle
        result: Flags = self._key[np.minimum(np.searchsorted(self._key, key), len(self._key) - 1)] == key
        return result

    def _boilerplate(self, shingle: Ints, since: Ints, until: Ints) -> Flags:
        result = np.zeros(len(shingle), np.bool_)
        doubtful = self._doubtful[shingle]
        at = np.flatnonzero(doubtful >= 0)
        result[at] = self._postings.many(doubtful[at], since[at], until[at])
        return result


def _complete(stories: Stories) -> Hashes:
    """The greatest hash up to which each sample is complete."""
    sizes = np.diff(stories.rows)
    result = np.full(len(sizes), BOUND - np.uint64(1))
    some = np.flatnonzero(sizes > 0)
    result[some] = np.maximum(result[some], stories.hashes[stories.rows[1:][some] - 1])
    result[sizes < LEAST] = np.uint64(2**64 - 1)
    return result
