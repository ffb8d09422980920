"""Ragged arrays: many short runs, end to end."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

Hashes = NDArray[np.uint64]
Ints = NDArray[np.int64]
Flags = NDArray[np.bool_]

PAIRS = 1 << 21  # pairs or postings looked at at once: bounds memory


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

    A table of cells answers most, from the processor's cache; what it lets through is looked up.
    """

    def __init__(self, hashes: Hashes) -> None:
        """`hashes` ascending, each once."""
        self.hashes = hashes
        self._bits = int(np.clip(len(hashes).bit_length() + 3, 8, 24))
        self._there = np.zeros(1 << self._bits, np.bool_)
        self._there[cells(hashes, self._bits)] = True
        # Few cells hold two, so the first of a cell is the one most often.
        self._first = np.zeros(1 << max(self._bits - 2, 8), np.int32)
        # Backwards, so that the first stays.
        self._first[self._cell(hashes[::-1])] = np.arange(len(hashes) - 1, -1, -1, dtype=np.int32)

    def __len__(self) -> int:
        return len(self.hashes)

    def _cell(self, hashes: Hashes) -> Ints:
        return cells(hashes, max(self._bits - 2, 8))

    def places(self, hashes: Hashes) -> tuple[Ints, Ints]:
        """Where in `hashes` a wanted one stands, and the place of each in `self.hashes`."""
        at = np.flatnonzero(self._there[cells(hashes, self._bits)])
        if not len(at):
            return at, at
        asked = hashes[at]
        which = self._first[self._cell(asked)].astype(np.int64)
        other = np.flatnonzero(self.hashes[which] != asked)
        if len(other):
            found = np.searchsorted(self.hashes, asked[other])
            which[other] = np.minimum(found, len(self.hashes) - 1)
            hit = self.hashes[which] == asked
            at, which = at[hit], which[hit]
        return at, which


def cells(hashes: Hashes, bits: int) -> Ints:
    """A cell for each hash, out of 2 to the power of `bits`: by its highest bits that vary in a sample."""
    result: Ints = ((hashes >> np.uint64(59 - bits)) & np.uint64((1 << bits) - 1)).astype(np.int64)
    return result
