"""Signs of a text: a few numbers that texts which are nearly the same have in common, and strangers hardly ever."""

from __future__ import annotations

import numpy as np

from ingest.dedup.arrays import Hashes, Ints
from ingest.dedup.postings import NUMBER

SIGNS = 6  # of a text. Of two that have four fifths of their shingles in common one in 300 pairs shares none of them
_ODD = np.uint64(0x9E3779B97F4A7C15)


def signs_of(hashes: Hashes, whose: Ints) -> tuple[Hashes, Ints]:
    """The signs of some samples, end to end and each ascending, and whose each is; fit to be postings' keys.

    Shingles are dealt out into six by their hash; of each the two smallest are a sign. One alone would often be a turn
    of phrase that many stories have.
    """
    hands = (hashes % np.uint64(SIGNS)).astype(np.uint8)
    signs, of = [np.empty(0, np.uint64)], [np.empty(0, np.int64)]
    for hand in range(SIGNS):
        at = np.flatnonzero(hands == hand)
        mine, dealt = whose[at], hashes[at]
        first = np.flatnonzero(np.diff(mine, prepend=-1))
        first = first[np.diff(first, append=len(at)) > 1]
        signs.append(dealt[first] * _ODD + dealt[first + 1])
        of.append(mine[first])
    sign = np.concatenate(signs)
    sign ^= sign >> np.uint64(31)
    sign *= np.uint64(0x94D049BB133111EB)
    sign &= ~NUMBER
    return sign, np.concatenate(of)
