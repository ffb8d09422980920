"""A story's title and text, taken apart for a close look at it beside another one (likeness.py)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from zlib import crc32

import numpy as np

from ingest.dedup.arrays import Flags, Hashes, Ints, ranges
from ingest.dedup.fingerprint import BLANK, DROPPED, SHINGLE, Points, dense, shingled, spelled, squeezed, unwrapped

LONGEST = 1 << 15  # characters of a text that are looked at: some 5,000 words, longer than all but live blogs
# A hash as it stands in a profile, from the lowest bit: a note of eight, one that is free for telling which of two
# stories it is of, 44 of the hash. What lies above is free for telling pairs of stories apart.
NOTE, HASH, ABOVE = 8, 9, 53
LEAD = 40  # words: the first paragraph
STRETCHES = 8  # of a text, equally many words in each
STEPS = 64  # of a text: how precisely is noted where a word stands
NOWHERE = STEPS  # noted of a word that stands in the title alone
IN_TITLE = 2 * STEPS  # noted of a word that stands in the title
_MOST = 512  # shingles of a story, the smallest ones; a text of 500 characters has no more
_NAME = 3  # letters
_BATCH = 1 << 16  # characters
_STORIES = 1 << 64 - ABOVE - 1  # of a batch
_TIMES = 10  # bits: how often a number is stated
_ODD = 0x9E3779B97F4A7C15

SHINGLES, WORDS, PAIRS, TRIPLES, TITLE, NAMES, LETTERS, NUMBERS = range(8)


@dataclass(frozen=True, slots=True, eq=False)
class Profile:
    """Sets of hashes, each ascending, and what they are made of:

    SHINGLES    every nine characters of title and text, at most 512, those below `complete`
    WORDS       words of title and text; noted is where each stands first in the text, and whether it is in the title
    PAIRS       words of the text that follow each other; noted is 0 of those that stand in the first 40 words, else 1
    TRIPLES     the same for three words
    TITLE       words of the title
    NAMES       words of the text with a capital where no sentence begins
    LETTERS     every four characters of the title
    NUMBERS     numbers, each as often as it is stated

    `fresh` is how many words stand first in each eighth of the text, `opening` how many of PAIRS stand in the first 40
    words; `length` is that of title and text in characters, as they are compared.
    """

    parts: tuple[Hashes, ...]
    complete: int
    fresh: Ints
    opening: int
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
        if size >= _BATCH or len(batch) == _STORIES:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def _batch(stories: Sequence[Told]) -> list[Profile]:
    _, points, letters, starts = spelled([part for title, text, _ in stories for part in (title, text)])
    units, bounds = squeezed(letters, starts)
    titles, bounds = bounds[1::2], bounds[::2]
    words = _Words(points, letters, starts)
    shingles = _shingles(units, bounds)
    parts = (
        shingles.first(_MOST),
        *words.parts(),
        _letters(units, bounds[:-1], titles),
        _numbers([numbers for _, _, numbers in stories]),
    )
    told, paired = parts[WORDS], parts[PAIRS]
    where = noted(told.hashes) % IN_TITLE * STRETCHES // STEPS
    fresh = np.bincount(told.owners() * (STRETCHES + 1) + where, minlength=len(stories) * (STRETCHES + 1))
    fresh = fresh.reshape(-1, STRETCHES + 1)[:, :STRETCHES]
    opening = np.bincount(paired.owners()[noted(paired.hashes) == 0], minlength=len(stories)).tolist()
    complete = shingles.complete(_MOST)
    lengths = np.diff(bounds).tolist()
    return [
        Profile(tuple(part.of(k) for part in parts), complete[k], fresh[k], opening[k], lengths[k])
        for k in range(len(stories))
    ]


# sets of hashes, story by story ------------------------------------------------------------------------------------
class _Sets:
    """A set of hashes for each of some stories, end to end: of story k `hashes[rows[k]:rows[k + 1]]`."""

    def __init__(self, keys: Hashes, count: int) -> None:
        """`keys` ascending, above each hash the number of its story."""
        edges = np.arange(count + 1, dtype=np.uint64) << np.uint64(ABOVE)
        self.rows = [*np.searchsorted(keys, edges[:-1]).tolist(), len(keys)]
        self.hashes: Hashes = keys & np.uint64((1 << ABOVE) - 1)

    def of(self, story: int) -> Hashes:
        return self.hashes[self.rows[story] : self.rows[story + 1]].copy()  # not to keep all the others in memory

    def owners(self) -> Ints:
        return np.repeat(np.arange(len(self.rows) - 1), np.diff(self.rows))

    def first(self, most: int) -> _Sets:
        """The smallest ones of each."""
        rank = np.arange(len(self.hashes)) - np.array(self.rows, np.int64)[self.owners()]
        number = self.owners().astype(np.uint64) << np.uint64(ABOVE)
        return _Sets((number | self.hashes)[rank < most], len(self.rows) - 1)

    def complete(self, most: int) -> list[int]:
        """Up to which hash of each story the smallest ones are all that there are."""
        return [int(self.hashes[a + most - 1]) if b - a > most else 1 << ABOVE for a, b in pairwise(self.rows)]


def _keys(hashes: Hashes, story: Ints) -> Hashes:
    number = story.astype(np.uint64) << np.uint64(ABOVE)
    return number | ((hashes >> np.uint64(64 - ABOVE + HASH)) << np.uint64(HASH))


def _sets(keys: Hashes, count: int) -> _Sets:
    """Each hash once, with the least of its notes. Sorts `keys`."""
    keys.sort()
    return _Sets(keys[_firsts(keys >> np.uint64(HASH))], count)


def _firsts(ascending: Hashes) -> Flags:
    result = np.ones(len(ascending), np.bool_)
    result[1:] = ascending[1:] != ascending[:-1]
    return result


def noted(hashes: Hashes) -> Ints:
    """What is noted of each."""
    return (hashes & np.uint64((1 << NOTE) - 1)).view(np.int64)


# parts -------------------------------------------------------------------------------------------------------------
def _shingles(units: Points, bounds: Ints) -> _Sets:
    at, story = ranges(bounds[:-1], np.maximum(np.diff(bounds) - SHINGLE, 0))  # the blank at the end belongs to none
    return _sets(_keys(shingled(units)[at], story), len(bounds) - 1)


def _letters(units: Points, starts: Ints, stops: Ints) -> _Sets:
    at, story = ranges(starts, np.maximum(stops - starts - 3, 0))
    first, second, third, fourth = (units[at + k].astype(np.uint64) for k in range(4))
    odd = np.uint64(_ODD)
    hashes = _mixed(((first * odd + second) * odd + third) * odd + fourth)
    return _sets(_keys(hashes, story), len(starts))


def _numbers(stated: Sequence[Sequence[str]]) -> _Sets:
    hashes = np.array([crc32(number.encode()) for numbers in stated for number in numbers], np.uint64)
    story = np.repeat(np.arange(len(stated)), [len(numbers) for numbers in stated])
    keys = (story.astype(np.uint64) << np.uint64(ABOVE)) | (hashes << np.uint64(_TIMES + HASH))
    keys.sort()
    at = np.arange(len(keys))
    times = at - np.maximum.accumulate(np.where(_firsts(keys), at, 0))  # the how manieth of its kind
    last = np.uint64((1 << _TIMES) - 1)
    return _sets(keys | (np.minimum(times.astype(np.uint64), last) << np.uint64(HASH)), len(stated))


class _Words:
    """The words of some stories, of each its title and then its text, by hash."""

    def __init__(self, points: Points, letters: Points, starts: Ints) -> None:
        visible = letters != DROPPED
        if not visible.all():
            starts = np.concatenate(([0], np.cumsum(visible)))[starts]
            points, letters = points[visible], letters[visible]
        first, stop = _edges(letters)
        self._hashes = _hashed(letters, first, stop)
        self._named = _named(points, first, stop)
        bounds = np.searchsorted(first, starts)
        sizes = np.diff(bounds)
        part = np.repeat(np.arange(len(sizes)), sizes)  # title, text, title, text …
        self._count, self._story, self._text = len(sizes) // 2, part // 2, part % 2 == 1
        self._rank, self._size = np.arange(len(first)) - bounds[part], sizes[part]

    def parts(self) -> tuple[_Sets, ...]:
        """WORDS to NAMES."""
        after = self._size - self._rank  # how many words of the same text begin here
        following = np.append(self._hashes[1:], np.uint64(0))
        pairs = _mixed(self._hashes * np.uint64(_ODD) + following)
        triples = _mixed(pairs * np.uint64(_ODD) + np.append(following[1:], np.uint64(0)))
        keys = _keys(pairs, self._story) | (self._rank >= LEAD).astype(np.uint64)
        return (
            self._told(),
            _sets(keys[self._text & (after > 1)], self._count),
            self._chosen(triples, self._text & (after > 2)),
            self._chosen(self._hashes, ~self._text),
            self._chosen(self._hashes, self._text & self._named),
        )

    def _chosen(self, hashes: Hashes, which: Flags) -> _Sets:
        return _sets(_keys(hashes[which], self._story[which]), self._count)

    def _told(self) -> _Sets:
        where = np.where(self._text, self._rank * STEPS // np.maximum(self._size, 1), NOWHERE)
        keys = _keys(self._hashes, self._story) | where.astype(np.uint64)
        keys.sort()
        fresh = _firsts(keys >> np.uint64(HASH))
        last = np.append(fresh[1:], True)[: len(keys)]  # of the same word: the one in the title, if there is any
        entitled = noted(keys[last]) == NOWHERE
        return _Sets(keys[fresh] | (entitled * np.uint64(IN_TITLE)), self._count)


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
