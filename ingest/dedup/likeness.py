"""How alike two stories are, in a few numbers that a judge (trees.py) weighs.

Sets of words and characters are compared in two ways: which share of the smaller one stands in the other ("within": a
text that was cut or grown keeps it), and which share of all that either has is common to both ("common").
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from ingest.dedup.arrays import Hashes, Ints
from ingest.dedup.profiles import (
    BITS,
    LETTERS,
    NAMES,
    NUMBERS,
    OPENING,
    PAIRS,
    SHINGLES,
    TITLE,
    TRIPLES,
    WORDS,
    Profile,
)

FEATURES = (
    "shingles within",  # nine characters in a row: text that was copied
    "shingles common",
    "words within",  # words in any order: text that was told anew, or translated
    "words common",
    "pairs within",  # two words in a row
    "pairs common",
    "triples within",
    "triples common",
    "numbers within",  # a template report has others; 1 where one states none
    "numbers common",
    "numbers",  # how many the one with fewer states, at most 10
    "numbers apart",  # how many of these the other does not state, at most 10
    "title within",  # .5 where one has no title
    "title common",
    "title letters within",  # four characters in a row
    "title letters common",
    "names within",  # a template report names others
    "names common",
    "opening less",  # pairs of words of the first paragraph that stand anywhere in the other: a follow-up begins with
    "opening more",  # what is new and has the older story at its end
    "lengths",  # the shorter by the longer
    "length",  # characters of the shorter, as a logarithm
    "hours",  # apart
)
_CHUNK = 64  # pairs compared at once: fits the cache
_SLOTS = 10
UNSTATED = 0.5


def likeness(profiles: Sequence[Profile], one: Ints, other: Ints, hours: NDArray[np.float64]) -> NDArray[np.float64]:
    """A row of FEATURES for each pair of profiles, given by their indices; the same whichever comes first."""
    rows = [
        _rows([(profiles[a], profiles[b]) for a, b in zip(one[part].tolist(), other[part].tolist(), strict=True)])
        for part in (slice(k, k + _CHUNK) for k in range(0, len(one), _CHUNK))
    ]
    return np.column_stack((np.concatenate([np.empty((0, len(FEATURES) - 1)), *rows]), hours))


def _rows(pairs: Sequence[tuple[Profile, Profile]]) -> NDArray[np.float64]:
    left, right = zip(*(_compared(a, b) for a, b in pairs), strict=True)
    sizes = np.array([[len(part) for part in side] for both in (left, right) for side in both])
    mine, its = sizes[: len(pairs)], sizes[len(pairs) :]
    shared = _shared(left, right)
    columns: list[NDArray[np.float64]] = []
    for slot, unstated in _MEASURED:
        columns += _within_and_common(mine[:, slot], its[:, slot], shared[:, slot], unstated)
        if slot == NUMBERS_SLOT:
            fewer = np.minimum(mine[:, slot], its[:, slot])
            columns += [np.minimum(fewer, 10), np.minimum(fewer - shared[:, slot], 10)]
    openings = [
        shared[:, slot] / np.maximum(side[:, slot], 1) for slot, side in ((OPENS_LEFT, mine), (OPENS_RIGHT, its))
    ]
    lengths = np.array([(a.length, b.length) for a, b in pairs], np.float64)
    shorter, longer = lengths.min(axis=1), np.maximum(lengths.max(axis=1), 1)
    columns += [np.minimum(*openings), np.maximum(*openings), shorter / longer, np.log1p(shorter)]
    return np.column_stack(columns)


# What is compared with what: the same parts of both, and the opening of one with all of the other.
_SAME = (SHINGLES, WORDS, PAIRS, TRIPLES, NUMBERS, TITLE, LETTERS, NAMES)
NUMBERS_SLOT, OPENS_LEFT, OPENS_RIGHT = 4, 8, 9
_MEASURED = tuple((slot, 1.0 if slot == NUMBERS_SLOT else UNSTATED) for slot in range(len(_SAME)))


def _compared(a: Profile, b: Profile) -> tuple[list[Hashes], list[Hashes]]:
    left, right = [a.parts[part] for part in _SAME], [b.parts[part] for part in _SAME]
    if a.complete != b.complete:
        limit = np.uint64(min(a.complete, b.complete))
        for side in (left, right):
            side[0] = side[0][: np.searchsorted(side[0], limit, side="right")]
    left += [a.parts[OPENING], a.parts[PAIRS]]
    right += [b.parts[PAIRS], b.parts[OPENING]]
    return left, right


def _shared(left: Sequence[Sequence[Hashes]], right: Sequence[Sequence[Hashes]]) -> Ints:
    """How many hashes stand in both, by pair and slot: those that appear twice when all are sorted."""
    keys = np.concatenate([*_keys(left), *_keys(right)])
    keys.sort()
    twice = keys[1:][keys[1:] == keys[:-1]] >> np.uint64(BITS)
    counts = np.bincount(twice.view(np.int64), minlength=len(left) * _SLOTS)
    return counts.reshape(-1, _SLOTS)


def _keys(sides: Sequence[Sequence[Hashes]]) -> Iterator[Hashes]:
    parts = [part for side in sides for part in side]
    number = np.repeat(np.arange(len(parts), dtype=np.uint64), [len(part) for part in parts])
    yield (number << np.uint64(BITS)) | np.concatenate(parts)


def _within_and_common(
    mine: Ints, its: Ints, shared: Ints, unstated: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    smaller, all_ = np.minimum(mine, its), mine + its - shared
    none = smaller == 0
    within = np.where(none, unstated, shared / np.maximum(smaller, 1))
    return within, np.where(none, unstated, shared / np.maximum(all_, 1))
