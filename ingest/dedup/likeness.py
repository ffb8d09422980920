"""How alike two stories are, in a few numbers that a judge (trees.py) weighs.

Sets of words and characters are compared in two ways: which share of the smaller one stands in the other ("within": a
text that was cut or grown keeps it), and which share of all that either has is common to both ("common").
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from ingest.dedup.arrays import Flags, Hashes, Ints
from ingest.dedup.profiles import (
    ABOVE,
    HASH,
    IN_TITLE,
    LETTERS,
    NAMES,
    NOTE,
    NUMBERS,
    PAIRS,
    SHINGLES,
    STEPS,
    STRETCHES,
    TITLE,
    TRIPLES,
    WORDS,
    Profile,
    noted,
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
    "newest less",  # of each eighth of a text how many of the words that are new there stand in the other: the eighth
    "newest more",  # with fewest. A rewrite tells every part of its model, a follow-up has parts of its own
    "newer less",  # the same for the three eighths with fewest
    "newer more",
    "title told less",  # words of the title that the other has anywhere; .5 without a title
    "title told more",
    "astray",  # how far apart a word stands in the two, in parts of the whole: a rewrite keeps the order
    "lengths",  # the shorter by the longer
    "length",  # characters of the shorter, as a logarithm
    "hours",  # apart
)
_CHUNK = 64  # pairs compared at once: fits the cache
UNSTATED = 0.5


def likeness(profiles: Sequence[Profile], one: Ints, other: Ints, hours: NDArray[np.float64]) -> NDArray[np.float64]:
    """A row of FEATURES for each pair of profiles, given by their indices; the same whichever comes first."""
    rows = [
        _rows([(profiles[a], profiles[b]) for a, b in zip(one[part].tolist(), other[part].tolist(), strict=True)])
        for part in (slice(k, k + _CHUNK) for k in range(0, len(one), _CHUNK))
    ]
    return np.column_stack((np.concatenate([np.empty((0, len(FEATURES) - 1)), *rows]), hours))


# What is compared, in this order, and what stands for a share of nothing.
_COMPARED = (SHINGLES, WORDS, PAIRS, TRIPLES, NUMBERS, TITLE, LETTERS, NAMES)
_SLOTS = len(_COMPARED)
_AT = {part: slot for slot, part in enumerate(_COMPARED)}


def _rows(pairs: Sequence[tuple[Profile, Profile]]) -> NDArray[np.float64]:
    met = _Met(pairs)
    columns: list[NDArray[np.float64]] = []
    for slot, part in enumerate(_COMPARED):
        mine, its, shared = met.mine[:, slot], met.its[:, slot], met.shared[:, slot]
        columns += _within_and_common(mine, its, shared, 1.0 if part == NUMBERS else UNSTATED)
        if part == NUMBERS:
            fewer = np.minimum(mine, its)
            columns += [np.minimum(fewer, 10), np.minimum(fewer - shared, 10)]
    columns += [*_less_and_more(met.opening()), *met.news(), *_less_and_more(met.titles()), met.astray()]
    lengths = np.array([(a.length, b.length) for a, b in pairs], np.float64)
    shorter, longer = lengths.min(axis=1), np.maximum(lengths.max(axis=1), 1)
    return np.column_stack([*columns, shorter / longer, np.log1p(shorter)])


class _Met:
    """Pairs of profiles, and what both of each have: how many hashes (`shared`, by pair and part; `mine` and `its` are
    how many each has), and what is noted of these."""

    def __init__(self, pairs: Sequence[tuple[Profile, Profile]]) -> None:
        self._pairs = pairs
        left, right = zip(*(_cut(a, b) for a, b in pairs), strict=True)
        self.mine, self.its = (np.array([[len(part) for part in parts] for parts in side]) for side in (left, right))
        keys = np.concatenate([_keys(left, 0), _keys(right, 1)])
        keys.sort()
        both = np.flatnonzero(
            keys[1:] ^ keys[:-1] < np.uint64(1 << HASH)
        )  # else they differ in what lies above the notes
        self._number = (keys[both] >> np.uint64(ABOVE)).view(np.int64)
        self._notes = [noted(keys[both]), noted(keys[both + 1])]  # of the left one, of the right one
        counts = np.bincount(self._number, minlength=len(pairs) * _SLOTS)
        self.shared: Ints = counts.reshape(-1, _SLOTS)

    def _of(self, part: int) -> tuple[Ints, list[Ints]]:
        """The pair that each shared hash of this part belongs to, and its notes."""
        here = np.flatnonzero(self._number % _SLOTS == _AT[part])
        return self._number[here] // _SLOTS, [notes[here] for notes in self._notes]

    def _share(self, pair: Ints, of: Flags, whole: Sequence[int]) -> NDArray[np.float64]:
        size = np.array(whole)
        shared = np.bincount(pair[of], minlength=len(size))
        return np.where(size > 0, shared / np.maximum(size, 1), UNSTATED)

    def opening(self) -> list[NDArray[np.float64]]:
        """Of the first and the second of each pair the share of its opening that the other has."""
        pair, notes = self._of(PAIRS)
        wholes = zip(*((a.opening, b.opening) for a, b in self._pairs), strict=True)
        return [self._share(pair, note == 0, whole) for note, whole in zip(notes, wholes, strict=True)]

    def titles(self) -> list[NDArray[np.float64]]:
        pair, notes = self._of(WORDS)
        wholes = (sizes[:, _AT[TITLE]].tolist() for sizes in (self.mine, self.its))
        return [self._share(pair, note >= IN_TITLE, whole) for note, whole in zip(notes, wholes, strict=True)]

    def news(self) -> Iterator[NDArray[np.float64]]:
        pair, notes = self._of(WORDS)
        sides: list[NDArray[np.float64]] = []
        for note, which in zip(notes, (0, 1), strict=True):
            stretch = note % IN_TITLE * STRETCHES // STEPS
            slots = np.bincount(pair * (STRETCHES + 1) + stretch, minlength=len(self._pairs) * (STRETCHES + 1))
            shared = slots.reshape(-1, STRETCHES + 1)[:, :STRETCHES]
            fresh = np.array([both[which].fresh for both in self._pairs])
            sides.append(np.sort((shared + 0.5) / (fresh + 1), axis=1))  # of a few words not all or nothing
        yield from _less_and_more([side[:, 0] for side in sides])
        yield from _less_and_more([side[:, :3].mean(axis=1) for side in sides])

    def astray(self) -> NDArray[np.float64]:
        pair, notes = self._of(WORDS)
        first, second = (note % IN_TITLE for note in notes)
        here = (first < STEPS) & (second < STEPS)
        steps = np.bincount(pair[here], np.abs(first - second)[here] / STEPS, minlength=len(self._pairs))
        count = np.bincount(pair[here], minlength=len(self._pairs))
        return np.where(count > 0, steps / np.maximum(count, 1), UNSTATED)


def _cut(a: Profile, b: Profile) -> tuple[list[Hashes], list[Hashes]]:
    left, right = [a.parts[part] for part in _COMPARED], [b.parts[part] for part in _COMPARED]
    if a.complete != b.complete:
        limit = np.uint64(min(a.complete, b.complete))
        slot = _AT[SHINGLES]
        for side in (left, right):
            side[slot] = side[slot][: np.searchsorted(side[slot], limit, side="right")]
    return left, right


def _keys(sides: Sequence[Sequence[Hashes]], side: int) -> Hashes:
    """All hashes of one side, with the number of pair and part, and the side."""
    parts = [part for side in sides for part in side]
    number = (np.arange(len(parts), dtype=np.uint64) << np.uint64(ABOVE)) | np.uint64(side << NOTE)
    keys: Hashes = np.repeat(number, [len(part) for part in parts])
    keys |= np.concatenate(parts)
    return keys


def _less_and_more(sides: Sequence[NDArray[np.float64]]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    return np.minimum(*sides), np.maximum(*sides)


def _within_and_common(
    mine: Ints, its: Ints, shared: Ints, unstated: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    smaller, all_ = np.minimum(mine, its), mine + its - shared
    none = smaller == 0
    within = np.where(none, unstated, shared / np.maximum(smaller, 1))
    return within, np.where(none, unstated, shared / np.maximum(all_, 1))
