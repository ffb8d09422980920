"""Ragged arrays: many short runs, end to end."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

Hashes = NDArray[np.uint64]
Ints = NDArray[np.int64]
Flags = NDArray[np.bool_]

PAIRS = 1 << 18  # pairs or postings looked at at once: bounds memory
_CHUNK = 1 << 16  # hashes looked up at once: fits the cache
_STEPS = 4


def ranges(starts: Ints, lengths: Ints) -> tuple[Ints, Ints]:
    """The numbers start … start + length - 1 of each, end to end, and whose each is."""
    which = np.repeat(np.arange(len(starts)), lengths)
    offset = np.arange(len(which)) - np.repeat(np.cumsum(lengths) - lengths, lengths)
    return starts[which] + offset, which


def shares_of(lengths: Ints) -> Iterator[slice]:
    """Runs of items whose lengths together stay small; a long one stands alone."""
    total = np.cumsum(lengths)
    cuts = np.searchsorted(total, np.arange(PAIRS, total[-1] if len(total) else 0, PAIRS))
    edges = [0, *np.unique(cuts).tolist(), len(lengths)]
    yield from (slice(a, b) for a, b in pairwise(edges) if a < b)


def at_least(part: Ints, whole: Ints, share: tuple[int, int]) -> Flags:
    result: Flags = part * share[1] >= whole * share[0]
    return result


def sums(values: NDArray[np.generic], rows: Ints) -> Ints:
    """The sum of each run of numbers or flags."""
    total = np.concatenate(([0], np.cumsum(values)))
    result: Ints = total[rows[1:]] - total[rows[:-1]]
    return result


class Wanted:
    """Finds which of many hashes are among those wanted.

    A table of cells answers most, from the processor's cache. For what it lets through a second one tells where to
    begin to look, and a step or two lead there.
    """

    def __init__(self, hashes: Hashes) -> None:
        """`hashes` ascending, each once."""
        self.hashes = hashes
        self._ended = np.append(hashes, np.uint64(2**64 - 1))
        self._bits = int(np.clip(len(hashes).bit_length() + 3, 10, 24))
        self._there = np.zeros(1 << self._bits, np.bool_)
        self._there[cells(hashes, self._bits)] = True
        edges = np.arange(1 << (self._bits - 2), dtype=np.uint64) << np.uint64(61 - self._bits)
        self._first = np.searchsorted(hashes, edges).astype(np.int32)

    def __len__(self) -> int:
        return len(self.hashes)

    def places(self, hashes: Hashes) -> tuple[Ints, Ints]:
        """Where in `hashes` a wanted one stands, and the place of each in `self.hashes`."""
        parts = [self._places(hashes[a : a + _CHUNK]) for a in range(0, len(hashes), _CHUNK)]
        empty = np.empty(0, np.int64)
        at = np.concatenate([empty, *(found + k * _CHUNK for k, (found, _) in enumerate(parts))])
        return at, np.concatenate([empty, *(which for _, which in parts)])

    def _places(self, hashes: Hashes) -> tuple[Ints, Ints]:
        cell = cells(hashes, self._bits)
        at = np.flatnonzero(self._there[cell])
        asked = hashes[at]
        which = self._first[cell[at] >> 2].astype(np.int64)
        short = np.flatnonzero(self._ended[which] < asked)
        for _ in range(_STEPS):
            which[short] += 1
            short = short[self._ended[which[short]] < asked[short]]
        which[short] = np.searchsorted(self.hashes, asked[short])
        hit = self._ended[which] == asked
        at, which = at[hit], which[hit]
        return at[which < len(self)], which[which < len(self)]


def cells(hashes: Hashes, bits: int) -> Ints:
    """A cell for each hash, out of 2 to the power of `bits`, ascending: by the highest bits that vary in a sample."""
    result: Ints = (hashes >> np.uint64(59 - bits)).view(np.int64)
    np.minimum(result, (1 << bits) - 1, out=result)  # hashes of short texts, beyond the sample, share the last
    return result
