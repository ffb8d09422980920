"""Which texts share enough with those that are looked for.

A text is looked for by all its shingles but boilerplate, since either of two may be the smaller one.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ingest.dedup.arrays import PAIRS, Hashes, Ints, at_least, once, repeated
from ingest.dedup.lookup import Lookup, Sought
from ingest.dedup.postings import BITS, EXTRA, NUMBER, numbers
from ingest.dedup.scene import Scene, around
from ingest.dedup.stretch import Stretch
from ingest.dedup.verdicts import FEWEST, SUSPECT


@dataclass(frozen=True, slots=True, eq=False)
class Alike:
    """Texts `one` of a stretch and texts `other` of the same or the next one, and which part of the smaller one's
    sample stands in the other."""

    there: int  # the other's stretch
    one: Ints
    other: Ints
    share: NDArray[np.float64]


def alike(scene: Scene, n: int, sought: Sought, lookup: Lookup) -> Iterator[Alike]:
    """What shares enough with these texts of a stretch, whose shingles `lookup` knows of."""
    stretch = scene.stretches[n]
    at = lookup.at(sought.keys)
    nearby = [there for there in around(n, 1) if len(scene.stretches.get(there, ()))]
    usable = {there: (lookup.found(there).counts > 0) & ~lookup.heavy(n) & ~lookup.heavy(there) for there in nearby}
    most = max(
        ((lookup.found(there).counts[at] * sought.counts)[usable[there][at]].sum() for there in nearby), default=0
    )
    if most > PAIRS:
        texts = once(sought.texts())
        if len(texts) > 1:  # all that a text shares has to be counted at once
            first = sought.texts() < texts[len(texts) // 2]
            for half in (first, ~first):
                yield from alike(scene, n, sought.only(half), lookup)
            return
    for there in nearby:
        which = np.flatnonzero(np.repeat(usable[there][at], sought.counts))
        where = np.repeat(at, sought.counts)[which]
        one, other, shared, extras = _shared(lookup, there, where, sought.postings[which])
        apart = (one != other) | (there != n) | stretch.several.values[one]  # or copies of it
        yield _enough(scene, (n, there), one[apart], other[apart], shared[apart], extras[apart])


def _shared(lookup: Lookup, there: int, where: Ints, postings: Hashes) -> tuple[Ints, Ints, Ints, Ints]:
    """Each pair that shares at least `FEWEST`: (text, text of the stretch there, shingles in common, how many of them
    are beyond the regular sample)."""
    found = lookup.found(there)
    asking = postings << BITS
    asking &= NUMBER << BITS
    pairs, shared = repeated(found.pairs(where, asking))
    extras = np.zeros(len(pairs), np.int64)
    extra = np.flatnonzero(postings >= EXTRA)
    if len(extra):
        some, count = repeated(found.pairs(where[extra], asking[extra]))
        extras[np.searchsorted(pairs, some)] = count
    enough = np.flatnonzero(shared >= FEWEST)
    pairs = pairs[enough]
    return (pairs >> BITS).view(np.int64), numbers(pairs), shared[enough], extras[enough]


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
