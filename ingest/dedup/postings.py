"""Which texts carry a shingle: an index that grows by slices and is asked for many shingles at once.

A posting is one number: the shingle's key in its high bits, the text's number in its low ones. Postings lie in a few
sorted runs. What is new is a run of its own until it is a part of the one before it, then the two become one: each
posting is merged a few times in its life. Short runs are arrays of postings, which are merged and searched within the
cache; long ones whose shingles stand in several texts are packed, which takes half of the memory, and a third of the
time to ask.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ingest.dedup.arrays import Flags, Hashes, Ints, ranges, repeated, run_on
from ingest.dedup.fingerprint import BOUND

Numbers = NDArray[np.uint32]

BITS = np.uint64(26)  # of a text's number: 67 million texts in three days would not fit into memory anyway
NUMBER = (np.uint64(1) << BITS) - np.uint64(1)
EXTRA = np.uint64(1 << 63)
_ODD = np.uint64(0x9E3779B97F4A7C15)
_LONG = 1 << 21  # postings of a run that is packed
_PARTS = 64  # what is above the low half of a key


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

    runs: tuple[Numbers | Hashes, ...]  # the texts of each, and what else may stand above `NUMBER`
    starts: tuple[Ints, ...]
    lengths: tuple[Ints, ...]
    counts: Ints  # in all runs together

    def carriers(self, which: Ints | None = None) -> Iterator[tuple[Ints, Ints]]:
        """The texts that carry each of these keys (indices; all), run by run; and an index into `which` for each."""
        if which is None:
            which = np.arange(len(self.counts))
        for run, starts, lengths in zip(self.runs, self.starts, self.lengths, strict=True):
            slots, whose = ranges(starts[which], lengths[which])
            yield (run[slots] & NUMBER).view(np.int64), whose

    def pairs(self, which: Ints, asking: Hashes, last: Ints | None = None) -> Hashes:
        """The number of each text that carries one of these keys (indices), together with what asks for that key:
        `asking` has its low bits free for it. In order. `last`: how many carriers in the last run count, the first
        ones; all, if not told."""
        parts = [np.empty(0, np.uint64)]
        for k, (run, starts, lengths) in enumerate(zip(self.runs, self.starts, self.lengths, strict=True), 1):
            counts = last if last is not None and k == len(self.runs) else lengths[which]
            some = np.flatnonzero(counts)
            counts = counts[some]
            found = np.repeat(asking[some], counts)
            texts = run[run_on(starts[which[some]], counts)]
            found |= texts if texts.dtype == np.uint32 else texts & NUMBER
            parts.append(found)
        result = np.concatenate(parts) if len(parts) > 2 else parts[-1]
        result.sort()
        return result


class Postings:
    """See the module's docstring."""

    def __init__(self) -> None:
        self._runs: list[_Run | _Packed] = []

    def __len__(self) -> int:
        return sum(map(len, self._runs))

    def add(self, postings: Hashes) -> None:
        """Add these, which are in order."""
        if not len(postings):
            return
        some: list[_Run | _Packed] = [_Run(postings)]
        size = len(postings)
        while self._runs and len(self._runs[-1]) < self._runs[-1].growth * size:
            some.append(self._runs.pop())
            size += len(some[-1])
        short = [run.postings for run in some if isinstance(run, _Run)]
        if len(short) < len(some):
            self._runs.append(_Packed(_parts(some), size))
            return
        new = _Run(_merged(short))
        self._runs.append(_Packed(_parts([new]), size) if size >= _LONG and new.crowded() else new)

    def drop(self, dead: Flags) -> None:
        """Take out the postings of these texts (a flag for each number)."""
        kept = (run.without(dead) for run in self._runs)
        self._runs = [run for run in kept if len(run)]

    def pieces(self) -> Iterator[Hashes]:
        """All postings, in pieces that are in order."""
        for run in self._runs:
            yield from _parts([run])

    def find(self, keys: Hashes) -> Found:
        """Look for these keys, ascending."""
        found = [run.find(keys) for run in self._runs]
        counts = np.zeros(len(keys), np.int64)
        for _, lengths in found:
            counts += lengths
        runs = tuple(run.postings for run in self._runs)
        return Found(runs, tuple(starts for starts, _ in found), tuple(n for _, n in found), counts)


class _Run:
    """Postings in order. What is added becomes part of it when it is no less than one in `growth`."""

    growth = 4

    def __init__(self, postings: Hashes) -> None:
        self.postings = postings

    def __len__(self) -> int:
        return len(self.postings)

    def part(self, part: int) -> Hashes:
        first = int(np.searchsorted(self.postings, np.uint64(part * 2**58)))
        stop = int(np.searchsorted(self.postings, np.uint64((part + 1) * 2**58 - 1), side="right"))
        return self.postings[first:stop]

    def crowded(self) -> bool:
        """Whether a key has two texts or more on average; else packing saves nothing."""
        part = self.part(0)
        return 2 * len(repeated(part >> BITS)[0]) <= len(part)

    def without(self, dead: Flags) -> _Run:
        return _Run(self.postings[~dead[numbers(self.postings)]])

    def find(self, keys: Hashes) -> tuple[Ints, Ints]:
        """Where the postings of each key, ascending, begin, and how many there are."""
        last = len(self.postings) - 1
        starts = np.searchsorted(self.postings, keys)
        there = np.flatnonzero((self.postings[np.minimum(starts, last)] ^ keys) <= NUMBER)
        lengths = np.zeros(len(keys), np.int64)
        lengths[there] = 1
        begin = starts[there]
        some = np.flatnonzero((begin < last) & ((self.postings[np.minimum(begin + 1, last)] ^ keys[there]) <= NUMBER))
        several = there[some]
        lengths[several] = np.searchsorted(self.postings, keys[several] | NUMBER, side="right") - begin[some]
        return starts, lengths


class _Packed:
    """Keys (without the bits of a text's number) in order, each once, and the texts that carry each, end to end: of key
    k `postings[starts[k]:starts[k + 1]]`.

    Only the low half of a key is kept: keys with the same highest bits share a cell, and `_cells` says where each
    begins. Since keys are spread evenly a cell has one or two, if any, and to find one takes three looks at memory.
    """

    growth = 2  # to merge it takes five times as long

    def __init__(self, parts: Iterable[Hashes], size: int) -> None:
        """`parts` as `_parts` gives them, no more than `size` postings."""
        low, texts, lengths = (np.empty(size, np.uint32) for _ in range(3))  # what is not written takes no memory
        keys, postings = [0], 0
        for some in parts:
            found, counts = repeated(some >> BITS)
            keys.append(keys[-1] + len(found))
            low[keys[-2] : keys[-1]] = found
            lengths[keys[-2] : keys[-1]] = counts
            texts[postings : postings + len(some)] = numbers(some)
            postings += len(some)
        self._low, self.postings = low[: keys[-1]].copy(), texts[:postings]
        self._starts = _added_up(lengths[: keys[-1]])
        self._bits = max(keys[-1].bit_length() - 6, 0)  # there are fewer `EXTRA` ones: half of the parts
        self._shift = np.uint64(32 - self._bits)
        self._cells = np.zeros((_PARTS << self._bits) + 1, np.uint32)
        for part, (first, stop) in enumerate(pairwise(keys)):
            cells = self._low[first:stop].astype(np.int64) >> int(self._shift)
            of = np.bincount(cells, minlength=1 << self._bits)
            self._cells[(part << self._bits) + 1 : ((part + 1) << self._bits) + 1] = of
        np.cumsum(self._cells, out=self._cells)

    def __len__(self) -> int:
        return len(self.postings)

    def part(self, part: int) -> Hashes:
        first, stop = (int(self._cells[edge << self._bits]) for edge in (part, part + 1))
        keys = self._low[first:stop] | np.uint64(part << 32)
        postings = np.repeat(keys << BITS, np.diff(self._starts[first : stop + 1]))
        postings |= self.postings[self._starts[first] : self._starts[stop]]
        return postings

    def without(self, dead: Flags) -> _Packed:
        return _Packed((part[~dead[numbers(part)]] for part in _parts([self])), len(self))

    def find(self, keys: Hashes) -> tuple[Ints, Ints]:
        """Where the texts of each key, ascending, begin, and how many there are."""
        keys = keys >> BITS
        cells = (keys >> self._shift).view(np.int64)
        places = self._cells[cells].astype(np.int64)
        which = np.flatnonzero(places < self._cells[cells + 1])  # which of the keys may be there
        places, ends, wanted = places[which], self._cells[cells[which] + 1], keys[which].astype(np.uint32)
        starts, lengths = np.zeros(len(keys), np.int64), np.zeros(len(keys), np.int64)
        while len(which):
            low = self._low[places]
            same = np.flatnonzero(low == wanted)
            at, there = places[same], which[same]
            starts[there] = first = self._starts[at]
            lengths[there] = self._starts[at + 1] - first
            places += 1
            rest = np.flatnonzero((low < wanted) & (places < ends))
            which, places, ends, wanted = which[rest], places[rest], ends[rest], wanted[rest]
        return starts, lengths


def _parts(runs: Sequence[_Run | _Packed]) -> Iterator[Hashes]:
    """The postings of some runs in order, those with the same highest bits at a time: not to need as much memory once
    more."""
    for part in range(_PARTS):
        yield _merged([run.part(part) for run in runs])


def _merged(ordered: Sequence[Hashes]) -> Hashes:
    if len(ordered) == 1:
        return ordered[0]
    result = np.concatenate(ordered)
    result.sort(kind="stable")  # merges what is sorted in runs
    return result


def _added_up(counts: NDArray[Any]) -> Numbers:
    result = np.zeros(len(counts) + 1, np.uint32)
    np.cumsum(counts, out=result[1:])
    return result
