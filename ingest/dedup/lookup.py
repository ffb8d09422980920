"""Where the shingles of some texts stand: sorted once, and each stretch is asked for them once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ingest.dedup.arrays import Flags, Hashes, Ints, repeated
from ingest.dedup.postings import NUMBER, Found, Postings, keyed, numbers
from ingest.dedup.stretch import Stretch


@dataclass(frozen=True, slots=True, eq=False)
class Sought:
    """The postings of some texts in order, their keys, each once, and how many postings each has. `fresh`: these texts
    are the last ones that were added, all that were added then."""

    postings: Hashes
    keys: Hashes
    counts: Ints
    fresh: bool

    @classmethod
    def by(cls, postings: Hashes, *, fresh: bool = False) -> Sought:
        return cls(postings, *repeated(postings & ~NUMBER), fresh)

    @classmethod
    def of(cls, stretch: Stretch, texts: Ints) -> Sought:
        hashes, whose = stretch.samples(texts)
        postings = keyed(hashes)
        postings |= texts.view(np.uint64)[whose]
        postings.sort()
        return cls.by(postings)

    def texts(self) -> Ints:
        """The text of each posting."""
        return numbers(self.postings)

    def later(self) -> Ints:
        """How many postings from each on have its key: itself and those of later texts."""
        return np.repeat(np.cumsum(self.counts), self.counts) - np.arange(len(self.postings))


class Lookup:
    """Where some shingles stand, stretch by stretch; each stretch is asked once."""

    def __init__(self, stretches: Mapping[int, Stretch], many: int, keys: Sequence[Hashes]) -> None:
        """`keys` are some arrays of them, each ascending and each key once. A shingle that more than `many` texts carry
        is boilerplate."""
        self._stretches, self._many = stretches, many
        self.keys = keys[0] if len(keys) == 1 else repeated(np.sort(np.concatenate([np.empty(0, np.uint64), *keys])))[0]
        self._found: dict[int, Found] = {}
        self._counts: dict[int, Ints] = {}

    def at(self, keys: Hashes) -> Ints | slice:
        """The places of these among its own keys."""
        return slice(None) if keys is self.keys else np.searchsorted(self.keys, keys)

    def found(self, n: int) -> Found:
        if n not in self._found:
            stretch = self._stretches.get(n)
            self._found[n] = (stretch.postings if stretch else Postings()).find(self.keys)
        return self._found[n]

    def counts(self, n: int) -> Ints:
        """How many texts of a stretch and of those beside it carry each."""
        if n not in self._counts:
            nearby = [k for k in (n - 1, n, n + 1) if len(self._stretches.get(k, ()))]
            self._counts[n] = sum((self.found(k).counts for k in nearby), np.zeros(len(self.keys), np.int64))
        return self._counts[n]

    def heavy(self, n: int) -> Flags:
        """Which are boilerplate to the stories of a stretch."""
        result: Flags = self.counts(n) > self._many
        return result
