"""Which texts carry a shingle: an index that grows by slices and is asked for many shingles at once.

A posting is one number: the shingle's key in its high bits, the text's number in its low ones. Postings lie in a few
sorted runs. What is new is a run of its own until it is a quarter of the one before it, then the two become one: each
posting is merged a few times in its life, and asking costs a few binary searches.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from ingest.dedup.arrays import Flags, Hashes, Ints, ranges, run_on
from ingest.dedup.fingerprint import BOUND

BITS = np.uint64(26)  # of a text's number: 67 million texts in three days would not fit into memory anyway
STEP = np.uint64(1) << BITS
NUMBER = STEP - np.uint64(1)
EXTRA = np.uint64(1 << 63)
_ODD = np.uint64(0x9E3779B97F4A7C15)
_GROWTH = 4


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

    def carriers(self, which: Ints) -> Iterator[tuple[Ints, Ints]]:
        """The texts that carry each of these keys (indices), run by run; and an index into `which` for each."""
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
        self._runs: list[Hashes] = []

    def __len__(self) -> int:
        return sum(map(len, self._runs))

    def add(self, postings: Hashes) -> None:
        """Add these, in any order."""
        if not len(postings):
            return
        self._runs.append(np.sort(postings))
        while len(self._runs) > 1 and len(self._runs[-2]) < _GROWTH * len(self._runs[-1]):
            self._merge()

    def _merge(self) -> None:
        both = np.concatenate(self._runs[-2:])
        del self._runs[-2:]
        both.sort(kind="stable")  # merges what is sorted in runs
        self._runs.append(both)

    def drop(self, dead: Flags) -> None:
        """Take out the postings of these texts (a flag for each number)."""
        self._runs = [left for run in self._runs if len(left := run[~dead[numbers(run)]])]

    def find(self, keys: Hashes) -> Found:
        """Look for these keys, ascending, each once."""
        found = [_found(run, keys) for run in self._runs]
        counts = np.zeros(len(keys), np.int64)
        for _, lengths in found:
            counts += lengths
        return Found(tuple(self._runs), tuple(starts for starts, _ in found), tuple(n for _, n in found), counts)


def _found(run: Hashes, keys: Hashes) -> tuple[Ints, Ints]:
    starts = np.searchsorted(run, keys).astype(np.int64)
    there = np.flatnonzero((run[np.minimum(starts, len(run) - 1)] ^ keys) < STEP)
    there = there[starts[there] < len(run)]
    lengths = np.zeros(len(keys), np.int64)
    lengths[there] = np.searchsorted(run, keys[there] | NUMBER, side="right") - starts[there]
    return starts, lengths
