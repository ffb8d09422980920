"""Which texts carry a shingle: an index that grows by slices and is asked for many shingles at once.

A posting is one number: the shingle's key in its high bits, the text's number in its low ones. Postings lie in a few
sorted runs. What is new is a run of its own until it is a quarter of the one before it, then the two become one: each
posting is merged a few times in its life, and asking costs a few binary searches.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ingest.dedup.arrays import Flags, Hashes, Ints, ranges, run_on
from ingest.dedup.fingerprint import BOUND

BITS = np.uint64(26)  # of a text's number: 67 million texts in three days would not fit into memory anyway
STEP = np.uint64(1) << BITS
NUMBER = STEP - np.uint64(1)
EXTRA = np.uint64(1 << 63)
_ODD = np.uint64(0x9E3779B97F4A7C15)
_GROWTH = 4
_STEPS = 8
_PIECE = 1 << 18


def keyed(hashes: Hashes) -> Hashes:
    """The key of each shingle: 37 bits of its hash, and above them whether it lies beyond the regular sample, as some
    of a short text do. Of a hundred million shingles one in a thousand shares its key with another; for all that counts
    shingles two with the same key are the same."""
    result = (hashes * _ODD) >> np.uint64(1)
    result &= ~NUMBER
    result[hashes >= BOUND] |= EXTRA
    return result


def numbers(postings: Hashes) -> Ints:
    """The text of each posting."""
    return (postings & NUMBER).view(np.int64)


@dataclass(frozen=True, slots=True, eq=False)
class Found:
    """Where the postings of some keys are: in each run, from where on and how many."""

    runs: tuple[Hashes, ...]
    starts: tuple[Ints, ...]
    lengths: tuple[Ints, ...]
    counts: Ints  # in all runs together

    def carriers(self, which: Ints | None = None) -> Iterator[tuple[Ints, Ints]]:
        """The texts that carry each of these keys (indices; all), run by run; and an index into `which` for each."""
        if which is None:
            which = np.arange(len(self.counts))
        for run, starts, lengths in zip(self.runs, self.starts, self.lengths, strict=True):
            slots, whose = ranges(starts[which], lengths[which])
            yield numbers(run[slots]), whose

    def pairs(self, which: Ints, asking: Hashes) -> Hashes:
        """The number of each text that carries one of these keys (indices), together with what asks for that key:
        `asking` has its low bits free for it. In order."""
        parts = [np.empty(0, np.uint64)]
        for run, starts, lengths in zip(self.runs, self.starts, self.lengths, strict=True):
            some = which[lengths[which] > 0] if len(self.runs) > 1 else which
            asks = asking[lengths[which] > 0] if len(self.runs) > 1 else asking
            found = run[run_on(starts[some], lengths[some])]
            found &= NUMBER
            found |= np.repeat(asks, lengths[some])
            parts.append(found)
        result = np.concatenate(parts)
        result.sort()
        return result


class Postings:
    """See the module's docstring."""

    def __init__(self) -> None:
        self._runs: list[_Run] = []

    def __len__(self) -> int:
        return sum(len(run.postings) for run in self._runs)

    def add(self, postings: Hashes) -> None:
        """Add these, in any order."""
        if not len(postings):
            return
        new = np.sort(postings)
        while self._runs and len(self._runs[-1].postings) < _GROWTH * len(new):
            new = np.concatenate((self._runs.pop().postings, new))
            new.sort(kind="stable")  # merges what is sorted in runs
        self._runs.append(_Run(new))

    def drop(self, dead: Flags) -> None:
        """Take out the postings of these texts (a flag for each number)."""
        kept = (run.postings[~dead[numbers(run.postings)]] for run in self._runs)
        self._runs = [_Run(some) for some in kept if len(some)]

    def pieces(self) -> Iterator[Hashes]:
        """All postings, in pieces that are in order."""
        for run in self._runs:
            for start in range(0, len(run.postings), _PIECE):
                yield run.postings[start : start + _PIECE]

    def find(self, keys: Hashes) -> Found:
        """Look for these keys, ascending."""
        found = [run.find(keys) for run in self._runs]
        counts = np.zeros(len(keys), np.int64)
        for _, lengths in found:
            counts += lengths
        runs = tuple(run.postings for run in self._runs)
        return Found(runs, tuple(starts for starts, _ in found), tuple(n for _, n in found), counts)


class _Run:
    """Postings in order. Of a long run a table says where those with the same highest bits begin: from there it is a
    step or two, and a binary search through main memory would take ten times as many."""

    def __init__(self, postings: Hashes) -> None:
        self.postings = postings
        bits = min(len(postings).bit_length() - 2, 24)
        self._shift = np.uint64(63 - bits)  # all but the highest bit, `EXTRA`
        self._begin: NDArray[np.int32] | None = None
        if bits > 13:
            edges = np.arange(1 << bits, dtype=np.uint64) << self._shift
            self._begin = np.searchsorted(postings, edges).astype(np.int32)

    def find(self, keys: Hashes) -> tuple[Ints, Ints]:
        """Where the postings of each key begin, and how many there are."""
        starts = self._first(keys)
        there = np.flatnonzero(starts < len(self.postings))
        there = there[(self.postings[starts[there]] ^ keys[there]) < STEP]
        lengths = np.zeros(len(keys), np.int64)
        lengths[there] = self._first(keys[there] | NUMBER) - starts[there]
        return starts, lengths

    def _first(self, wanted: Hashes) -> Ints:
        """How many postings are less than each of these, ascending ones."""
        if self._begin is None:
            return np.searchsorted(self.postings, wanted).astype(np.int64)
        result: Ints = self._begin[np.minimum(wanted >> self._shift, len(self._begin) - 1)].astype(np.int64)
        end = len(self.postings) - 1
        short = np.flatnonzero(self.postings[np.minimum(result, end)] < wanted)
        for _ in range(_STEPS):
            result[short] += 1
            short = short[self.postings[np.minimum(result[short], end)] < wanted[short]]
        result[short] = np.searchsorted(self.postings, wanted[short])
        return result
