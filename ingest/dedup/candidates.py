"""Which texts share enough with those that are looked for.

A text is looked for by all its shingles but boilerplate, since either of two may be the smaller one.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ingest.dedup.arrays import Flags, Hashes, Ints, at_least, repeated
from ingest.dedup.lookup import Lookup, Sought
from ingest.dedup.postings import BITS, EXTRA, Found, numbers
from ingest.dedup.scene import Scene, around
from ingest.dedup.stretch import Stretch
from ingest.dedup.verdicts import FEWEST, SUSPECT

PAIRS = 1 << 19  # of texts that share a shingle, at once: they fit the cache


@dataclass(frozen=True, slots=True, eq=False)
class Alike:
    """Texts `one` of a stretch and texts `other` of the same or the next one, and which part of the smaller one's
    sample stands in the other."""

    there: int  # the other's stretch
    one: Ints
    other: Ints
    share: NDArray[np.float64]


def alike(scene: Scene, n: int, sought: Sought, lookup: Lookup) -> Iterator[Alike]:
    """What shares enough with these texts of a stretch, whose shingles `lookup` knows of. Of two texts of the stretch
    that are both fresh the later one has the other."""
    if not len(sought.keys):
        return
    stretch = scene.stretches[n]
    at = lookup.at(sought.keys)
    where = np.arange(len(lookup.keys))[at]
    for there in around(n, 1):
        if not len(scene.stretches.get(there, ())):
            continue
        found = lookup.found(there)
        usable = ((found.counts > 0) & ~lookup.heavy(n) & ~lookup.heavy(there))[at]
        which = np.flatnonzero(np.repeat(usable, sought.counts))
        later = sought.later()[which] if sought.fresh and there == n else None
        asks = _Asks(found, np.repeat(where, sought.counts)[which], sought.postings[which], later)
        for one, other, shared, extras in asks.shared():
            apart = (one != other) | (there != n) | stretch.several.values[one]  # or copies of it
            yield _enough(scene, (n, there), one[apart], other[apart], shared[apart], extras[apart])
        if later is not None:
            one, shared, extras = asks.own(stretch.several.values)
            yield _enough(scene, (n, n), one, one, shared, extras)


class _Asks:
    """Some postings, and where the others of their keys are among what was found."""

    def __init__(self, found: Found, where: Ints, postings: Hashes, later: Ints | None) -> None:
        """`later`: leave out so many carriers of the key of each, the last ones."""
        self._found, self._where = found, where
        self._texts = numbers(postings)
        self._extra = postings >= EXTRA
        self._sizes, self._last = found.counts[where], None
        if later is not None:
            self._sizes -= later
            self._last = found.lengths[-1][where] - later

    def own(self, chosen: Flags) -> tuple[Ints, Ints, Ints]:
        """Those of the texts that have this flag, how many shingles of each are asked for, how many of them are beyond
        the regular sample."""
        at = np.flatnonzero(chosen[self._texts])
        texts, counts = repeated(np.sort(self._texts[at]))
        extra = at[self._extra[at]]
        return texts, counts, np.bincount(np.searchsorted(texts, self._texts[extra]), minlength=len(texts))

    def shared(self) -> Iterator[tuple[Ints, Ints, Ints, Ints]]:
        """Each pair that shares at least `FEWEST`: (text, text of the stretch there, shingles in common, how many of
        them are beyond the regular sample)."""
        for part in self._parts():
            pairs, shared = repeated(self._pairs(part))
            enough = np.flatnonzero(shared >= FEWEST)
            pairs, shared = pairs[enough], shared[enough]
            some, count = repeated(self._pairs(part[self._extra[part]]))
            some, count = np.append(some, np.uint64(2**64 - 1)), np.append(count, 0)
            at = np.searchsorted(some, pairs)
            yield (pairs >> BITS).view(np.int64), numbers(pairs), shared, np.where(some[at] == pairs, count[at], 0)

    def _pairs(self, part: Ints) -> Hashes:
        last = None if self._last is None else self._last[part]
        return self._found.pairs(self._where[part], self._texts[part].view(np.uint64) << BITS, last)

    def _parts(self) -> Iterator[Ints]:
        """All postings, as indices, in parts: what a text shares is counted at once, and of how many texts depends on
        the pairs that it makes."""
        whole = int(self._sizes.sum())
        if whole <= PAIRS:
            yield np.arange(len(self._texts))
            return
        texts = self._texts - self._texts.min()
        sizes = np.cumsum(np.bincount(texts, self._sizes))
        of = (sizes / PAIRS).astype(np.uint16)[texts]
        order = np.argsort(of, kind="stable")
        yield from np.split(order, np.flatnonzero(np.diff(of[order])) + 1)


def _enough(scene: Scene, where: tuple[int, int], one: Ints, other: Ints, shared: Ints, extras: Ints) -> Alike:
    """Of texts that share something those that share enough."""
    here, there = (scene.stretches[n] for n in where)
    smaller = np.minimum(here.regular.values[one], there.regular.values[other]).astype(np.int64)
    # A text of a few lines keeps more than one in 32. What the other would not have kept says nothing.
    short = here.short.values[one] & there.short.values[other]
    shared = np.where(short, shared, shared - extras)
    same = here.keys.values[one] == there.keys.values[other]
    some = np.flatnonzero((shared >= FEWEST) & (at_least(shared, smaller, SUSPECT) | same))
    one, other, shared, smaller = one[some], other[some], shared[some], smaller[some]
    short, same = short[some], same[some]
    smaller[short] = _of_short(here, one[short], there, other[short])
    some = np.flatnonzero(at_least(shared, smaller, SUSPECT) | same)
    share = np.where(same, 1.0, shared / np.maximum(smaller, 1))[some]
    return Alike(where[1], one[some], other[some], share)


def _of_short(here: Stretch, one: Ints, there: Stretch, other: Ints) -> Ints:
    """How many shingles the smaller of two short texts has, up to where both samples are complete."""
    limit = np.minimum(here.complete(one), there.complete(other))
    return np.minimum(_up_to(here, one, limit), _up_to(there, other, limit))


def _up_to(stretch: Stretch, texts: Ints, limit: Hashes) -> Ints:
    hashes, whose = stretch.samples(texts)
    return np.bincount(whose[hashes <= limit[whose]], minlength=len(texts))
