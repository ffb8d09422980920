"""How many stories carry a shingle: at most (a sketch), in three days (exactly), between two places (exactly).

Exact copies count as one. Time is cut into days of three (`NEAR`), because of this: whatever pair a story belongs to,
its boilerplate is counted over the whole of the story's own piece of time, and over nothing beyond two pieces from it.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ingest.dedup.arrays import Flags, Hashes, Ints, Wanted, ranges, shares_of
from ingest.dedup.scene import Scene, Stories
from ingest.dedup.verdicts import NEAR_SECONDS

_BITS = 22  # at most: of a million stories of 400 words, some fifteen shingles fall into one cell
_LOOSE = 1 << 20  # postings that are collected before they are thinned

Counts = NDArray[np.int32]


class Sketch:
    """An upper bound for the number of distinct stories that carry a shingle, in the whole scene."""

    def __init__(self, scene: Scene) -> None:
        self._bits = int(np.clip(scene.shingles.bit_length() + 2, 8, _BITS))
        self._cells = np.zeros(1 << self._bits, np.int32)
        for piece in scene.pieces():
            first = np.repeat(scene.before[piece.places] < 0, np.diff(piece.rows))
            hashes = piece.hashes if first.all() else piece.hashes[first]
            counts = np.bincount(self._cell(hashes), minlength=1 << self._bits)
            np.add(self._cells, counts, out=self._cells, casting="unsafe")

    def _cell(self, hashes: Hashes) -> Ints:
        result: Ints = (hashes >> np.uint64(59 - self._bits)).view(np.int64)
        result &= (1 << self._bits) - 1
        return result

    def at_most(self, hashes: Hashes) -> Counts:
        result: Counts = self._cells[self._cell(hashes)]
        return result


class Times:
    """The scene's time in pieces of `NEAR`, by number."""

    def __init__(self, scene: Scene) -> None:
        every = np.concatenate((scene.times[:1], scene.times[-1:], scene.moments[:1], scene.moments[-1:]))
        self._first = int(every.min()) // NEAR_SECONDS if len(every) else 0
        self.count = int(every.max()) // NEAR_SECONDS - self._first + 1 if len(every) else 0
        self._scene = scene

    def of(self, moments: Ints) -> Ints:
        result: Ints = moments // NEAR_SECONDS - self._first
        return result

    def bounds(self) -> Ints:
        """The place of the first story of each piece of time, and the end of the last."""
        return self._scene.since((np.arange(self.count + 1) + self._first) * NEAR_SECONDS)


def carriers(scene: Scene, times: Times, wanted: Wanted, *, old: bool = False) -> Counts:
    """For each shingle and piece of time how many distinct stories carry it; with `old` only those that stay."""
    before = scene.old_before if old else scene.before
    first = before < times.bounds()[times.of(scene.times)]
    if old:
        first &= ~scene.changed
    result = np.zeros(len(wanted) * times.count, np.int32)
    for piece in scene.pieces() if len(wanted) else ():
        at, shingle = wanted.places(piece.hashes)
        place = piece.places[piece.owners()[at]]
        counted = first[place]
        slot = shingle[counted] * times.count + times.of(scene.times[place[counted]])
        np.add(result, np.bincount(slot, minlength=len(result)), out=result, casting="unsafe")
    return result.reshape(len(wanted), times.count)


class Postings:
    """Which stories carry some shingles, thinned: counts up to `enough` are exact between any two places that have
    at least one whole piece of time between them, and more than `enough` stay more.

    Of each shingle and piece of time the first stories are kept and the last, `enough` + 1 distinct ones each. In
    order of shingle, then place.
    """

    def __init__(self, scene: Scene, times: Times, wanted: Wanted, enough: int) -> None:
        self.wanted = wanted
        bounds = times.bounds()
        of = times.of(scene.times)
        self._first = scene.before < bounds[of]
        self._last = scene.after >= bounds[of + 1]
        self._time, self._enough = of, enough
        self._key = self._collected(scene)
        place = self._key & 0xFFFFFFFF
        self._previous = _previous(self._key, scene)
        far = scene.times[np.maximum(self._previous, 0)] < scene.times[place] - 3 * NEAR_SECONDS
        self._lone = np.concatenate(([0], np.cumsum((self._previous < 0) | far)))
        self._each = np.diff(np.searchsorted(self._key, np.arange(len(wanted) + 1) << 32))

    def _collected(self, scene: Scene) -> Ints:
        kept, loose, size = np.empty(0, np.int64), [], 0
        for piece in scene.pieces() if len(self.wanted) else ():
            at, shingle = self.wanted.places(piece.hashes)
            place = piece.places[piece.owners()[at]]
            edge = self._first[place] | self._last[place]
            loose.append((shingle[edge] << 32) | place[edge])
            size += len(loose[-1])
            if size > _LOOSE:
                kept, loose, size = self._thinned(np.concatenate([kept, *loose])), [], 0
        return self._thinned(np.concatenate([kept, *loose]))

    def _thinned(self, key: Ints) -> Ints:
        key = np.sort(key)
        shingle, place = key >> 32, key & 0xFFFFFFFF
        time = self._time[place]
        opens = np.ones(len(key), np.bool_)
        opens[1:] = (shingle[1:] != shingle[:-1]) | (time[1:] != time[:-1])
        starts = np.flatnonzero(opens)
        group = np.cumsum(opens) - 1
        first = np.concatenate(([0], np.cumsum(self._first[place])))
        last = np.concatenate(([0], np.cumsum(self._last[place])))
        ends = np.append(starts[1:], len(key))
        rank = first[1:] - first[starts][group]
        from_end = last[ends][group] - last[:-1]
        keep = (self._first[place] & (rank <= self._enough + 1)) | (self._last[place] & (from_end <= self._enough + 1))
        result: Ints = key[keep]
        return result

    def many(self, shingle: Ints, since: Ints, until: Ints) -> Flags:
        """Whether more than `enough` distinct stories of since ≤ place < until carry the shingle."""
        result = np.zeros(len(shingle), np.bool_)
        maybe = np.flatnonzero(self._each[shingle] > self._enough)
        low = np.searchsorted(self._key, (shingle[maybe] << 32) | since[maybe])
        high = np.searchsorted(self._key, (shingle[maybe] << 32) | until[maybe])
        # Those without an equal one in the 216 h before are distinct: no pair's interval is longer.
        result[maybe] = self._lone[high] - self._lone[low] > self._enough
        doubtful = np.flatnonzero(~result[maybe] & (high - low > self._enough))
        for mine in shares_of((high - low)[doubtful]):
            part = doubtful[mine]
            slots, which = ranges(low[part], high[part] - low[part])
            first = self._previous[slots] < since[maybe[part]][which]
            result[maybe[part]] = np.bincount(which[first], minlength=len(part)) > self._enough
        return result


def _previous(key: Ints, scene: Scene) -> Ints:
    """For each posting the place of the copy before it among the postings of its shingle, -1 where there is none."""
    result = np.full(len(key), -1, np.int64)
    place = key & 0xFFFFFFFF
    copied = np.flatnonzero((scene.before[place] >= 0) | (scene.after[place] < len(scene)))
    place, shingle, text = place[copied], key[copied] >> 32, scene.keys[place[copied]]
    order = np.lexsort((place, text, shingle))
    same = (shingle[order[1:]] == shingle[order[:-1]]) & (text[order[1:]] == text[order[:-1]])
    result[copied[order[1:][same]]] = place[order[:-1][same]]
    return result


def times_of(stories: Stories, times: Times, scene: Scene) -> Ints:
    """The piece of time of the story of each hash."""
    return times.of(scene.times[stories.places])[stories.owners()]
