"""A story's title and text, taken apart for a close look at it beside another one (likeness.py)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from zlib import crc32

import numpy as np

from ingest.dedup.arrays import Flags, Hashes, Ints
from ingest.dedup.fingerprint import BLANK, DROPPED, Points, dense, shingled, spelled, squeezed, unwrapped

LONGEST = 1 << 15  # characters of a text that are looked at: some 5,000 words, longer than all but live blogs
BITS = 44  # of a hash: pairs of stories are told apart by the others
LEAD = 40  # words: the first paragraph
_MOST = 1024  # shingles of a story, the smallest ones; a text of 1,000 characters has no more
_NAME = 3  # letters
_BATCH = 1 << 16  # characters
_ODD = 0x9E3779B97F4A7C15

SHINGLES, WORDS, PAIRS, TRIPLES, TITLE, NAMES, OPENING, LETTERS, NUMBERS = range(9)


@dataclass(frozen=True, slots=True, eq=False)
class Profile:
    """Sets of hashes of `BITS` bits, each ascending, and what they are made of:

    SHINGLES    every nine characters of title and text, at most 1,024, those below `complete`
    WORDS       words of title and text; PAIRS and TRIPLES of words that follow each other in the text
    TITLE       words of the title
    NAMES       words of the text with a capital where no sentence begins
    OPENING     those of PAIRS that stand in the first 40 words
    LETTERS     every four characters of the title
    NUMBERS     numbers, each as often as it is stated

    `length` is that of title and text in characters, as they are compared.
    """

    parts: tuple[Hashes, ...]
    complete: int
    length: int


def profiles(stories: Sequence[tuple[str | None, str, Sequence[str]]]) -> list[Profile]:
    """The profile of each (title, text, the numbers of its fingerprint)."""
    result: list[Profile] = []
    for batch in _batches(stories):
        result.extend(_batch(batch))
    return result


Told = tuple[str, str, Sequence[str]]  # title, text, numbers


def _batches(stories: Sequence[tuple[str | None, str, Sequence[str]]]) -> Iterator[list[Told]]:
    batch: list[Told] = []
    size = 0
    for title, text, numbers in stories:
        batch.append((unwrapped(title or ""), unwrapped(text[:LONGEST])[:LONGEST], numbers))
        size += len(batch[-1][1])
        if size >= _BATCH:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def _batch(stories: Sequence[Told]) -> list[Profile]:
    _, points, letters, starts = spelled([part for title, text, _ in stories for part in (title, text)])
    units, bounds = squeezed(letters, starts)
    titles, bounds = bounds[1::2], bounds[::2]
    shingles = shingled(units)
    words = _Words(points, letters, starts)
    result = []
    for k, (_, _, numbers) in enumerate(stories):
        end = max(bounds[k + 1] - 9, bounds[k])  # the blank at the end belongs to no shingle
        every = _set(shingles[bounds[k] : end])
        complete = int(every[_MOST - 1]) if len(every) > _MOST else 1 << BITS
        parts = (every[:_MOST], *words.parts(k), _letters(units[bounds[k] : titles[k]]), _numbers(numbers))
        result.append(Profile(parts, complete, int(bounds[k + 1] - bounds[k])))
    return result


class _Words:
    """The words of some stories, of each its title and then its text, by hash."""

    def __init__(self, points: Points, letters: Points, starts: Ints) -> None:
        visible = letters != DROPPED
        if not visible.all():
            starts = np.concatenate(([0], np.cumsum(visible)))[starts]
            points, letters = points[visible], letters[visible]
        first, stop = _edges(letters)
        self._hashes = _hashed(letters, first, stop)
        self._bounds = np.searchsorted(first, starts)
        self._named = _named(points, first, stop)
        inside = np.ones(len(first), np.bool_)  # whether the word after it is of the same text
        ends = self._bounds[1:] - 1
        inside[ends[ends >= 0]] = False
        following = np.append(self._hashes[1:], np.uint64(0))
        self._pairs = _mixed(self._hashes * np.uint64(_ODD) + following)
        third = np.append(following[1:], np.uint64(0))
        self._triples = _mixed(self._pairs * np.uint64(_ODD) + third)
        self._paired, self._tripled = inside, inside & np.append(inside[1:], False)

    def parts(self, story: int) -> tuple[Hashes, ...]:
        title, text = (slice(*self._bounds[[k, k + 1]]) for k in (2 * story, 2 * story + 1))
        opening = slice(text.start, min(text.stop, text.start + LEAD))
        return (
            _set(self._hashes[title.start : text.stop]),
            _set(self._pairs[text][self._paired[text]]),
            _set(self._triples[text][self._tripled[text]]),
            _set(self._hashes[title]),
            _set(self._hashes[text][self._named[text]]),
            _set(self._pairs[opening][self._paired[opening]]),
        )


def _edges(letters: Points) -> tuple[Ints, Ints]:
    """Where each word begins and ends. A Chinese, Japanese or Korean character is a word."""
    blank = letters == BLANK
    alone = dense(letters) if letters.max(initial=0) >= 0x2E80 else np.zeros(len(letters), np.bool_)
    begins = ~blank
    begins[1:] &= blank[:-1] | alone[1:] | alone[:-1]
    edges = np.flatnonzero(begins | blank)
    first = np.flatnonzero(begins)
    return first, edges[np.searchsorted(edges, first, side="right")]  # the last character is a blank


@cache
def _powers() -> tuple[Hashes, Hashes]:
    """The powers of an odd number modulo 2⁶⁴, and their inverses."""
    size = 4 * (_BATCH + LONGEST)
    one, other = (np.full(size, base, np.uint64) for base in (_ODD, pow(_ODD, -1, 2**64)))
    one[0] = other[0] = 1
    return np.cumprod(one), np.cumprod(other)


def _hashed(letters: Points, first: Ints, stop: Ints) -> Hashes:
    powers, inverses = _powers()
    total = np.concatenate((np.zeros(1, np.uint64), np.cumsum(letters * powers[: len(letters)])))
    return _mixed((total[stop] - total[first]) * inverses[first])


def _mixed(hashes: Hashes) -> Hashes:
    hashes = hashes ^ (hashes >> np.uint64(29))
    hashes *= np.uint64(0xBF58476D1CE4E5B9)
    hashes ^= hashes >> np.uint64(32)
    return hashes


def _letters(units: Hashes) -> Hashes:
    odd = np.uint64(_ODD)
    return _set(_mixed(((units[:-3] * odd + units[1:-2]) * odd + units[2:-1]) * odd + units[3:]))


def _set(hashes: Hashes) -> Hashes:
    result = hashes >> np.uint64(64 - BITS)
    result.sort()
    fresh = np.ones(len(result), np.bool_)
    fresh[1:] = result[1:] != result[:-1]
    once: Hashes = result[fresh]
    return once


_CAPITALS = [(0x41, 0x5B), (0xC0, 0xDF), (0x391, 0x3AA), (0x400, 0x430)]  # Latin, Greek, Cyrillic
_ENDS = [ord(char) for char in ".!?:;\n\"'“”‘’«»()"]


def _named(points: Points, first: Ints, stop: Ints) -> Flags:
    """Which words have a capital where no sentence and no quotation begins."""
    begin = points[first]
    capital = np.zeros(len(first), np.bool_)
    for low, high in _CAPITALS:
        capital |= (begin >= low) & (begin < high)
    before, further = points[np.maximum(first - 1, 0)], points[np.maximum(first - 2, 0)]
    result: Flags = capital & (before == BLANK) & ~np.isin(further, _ENDS) & (further != BLANK) & (first >= 2)
    return result & (stop - first >= _NAME)


def _numbers(numbers: Sequence[str]) -> Hashes:
    found = [(crc32(number.encode()) << 10) | (k & 1023) for number, n in Counter(numbers).items() for k in range(n)]
    return np.unique(np.array(found, np.uint64))
