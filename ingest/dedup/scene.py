"""The stories around what is published, kept in memory from one slice to the next.

Time is cut into stretches of `NEAR`. What a slice needs around it is loaded once, a stretch at a time; then the change
that it makes is made here as well, so that the next one finds the stories as they are. Which shingles are boilerplate
is a matter of a stretch: those that more than `many` texts of it and of the two beside it carry.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np

from ingest.dedup.arrays import Hashes, Ints, once, repeated
from ingest.dedup.lookup import Lookup, Sought
from ingest.dedup.postings import NUMBER, Found, keyed, numbers
from ingest.dedup.signs import signs_of
from ingest.dedup.stretch import Stretch, checks
from ingest.dedup.verdicts import BESIDE, COMMON, NEAR_SECONDS
from ingest.models import Window

Alive = Callable[[], None]
Load = Callable[[int, int], Iterable[Window]]

KEPT = 300_000  # stories that are kept though the slice does not need them, some 150 MB
_GARBAGE = 10_000  # stories that were removed, before a stretch is loaded anew
_NOTHING = np.empty(0, np.int64)


@dataclass(slots=True, eq=False)
class Delta:
    """What a change does to a stretch: stories and texts that are new, keys of shingles of texts that are gone, and
    which stories went (key of its text, instant, id), once more for each sign of those in chains."""

    stories: Ints = field(default_factory=lambda: _NOTHING)
    texts: Ints = field(default_factory=lambda: _NOTHING)
    postings: Hashes = field(default_factory=lambda: np.empty(0, np.uint64))  # of these texts, in order
    dead: Hashes = field(default_factory=lambda: np.empty(0, np.uint64))
    gone: list[tuple[int, int, str]] = field(default_factory=list)
    signs: list[tuple[int, int, str]] = field(default_factory=list)
    ids: list[str] = field(default_factory=list)  # of all that are gone


class Scene:
    """`load` gives the stories from one instant to another, both included, in order (seconds since the epoch). `many`:
    a shingle that more texts carry is boilerplate."""

    def __init__(self, load: Load, *, many: int = COMMON, kept: int = KEPT) -> None:
        self._load, self._kept = load, kept
        self.many = many
        self.stretches: dict[int, Stretch] = {}
        self._counted: set[int] = set()  # stretches whose texts know how much of them is boilerplate

    def forget(self) -> None:
        """Load everything anew when it is needed: somebody else may have changed it."""
        self.stretches.clear()
        self._counted.clear()

    def __len__(self) -> int:
        return sum(map(len, self.stretches.values()))

    # loading ---------------------------------------------------------------------------------------------------
    def reach(self, moments: Iterable[int], alive: Alive) -> None:
        """Have at hand what changes at these moments can touch."""
        middles = {stretch_of(moment) for moment in moments}
        needed = {n for middle in middles for n in around(middle, BESIDE)}
        self._tidy(needed)
        missing = sorted(needed - self.stretches.keys())
        for first, last in _spans(missing):
            self.stretches |= {n: Stretch() for n in range(first, last + 1)}
            for window in self._load(first * NEAR_SECONDS, (last + 1) * NEAR_SECONDS - 1):
                alive()
                for n, some in _by_stretch(window):
                    self.stretches[n].add(some)
        self._counted.difference_update(n for new in missing for n in around(new, 1))
        for n in sorted({n for middle in middles for n in around(middle, BESIDE - 1)} - self._counted):
            self._count(n)

    def _count(self, n: int) -> None:
        """How much of each text of a stretch is boilerplate."""
        self._counted.add(n)
        stretch = self.stretches[n]
        heavy = stretch.heavy.values
        heavy[:] = 0
        if sum(len(self.stretches.get(k, ())) for k in around(n, 1)) <= self.many:
            return
        for postings in stretch.postings.pieces():
            keys, counts = repeated(postings & ~NUMBER)
            np.add.at(heavy, numbers(postings)[np.repeat(self.lookup(keys).heavy(n), counts)], 1)
        stretch.sign(np.flatnonzero(stretch.first.values >= 0))

    def _tidy(self, needed: Collection[int]) -> None:
        crowded = len(self) > self._kept
        for n, stretch in [*self.stretches.items()]:
            if (crowded and n not in needed) or stretch.gone > max(len(stretch), _GARBAGE):
                del self.stretches[n]
                self._counted.difference_update(around(n, 1))

    # changing --------------------------------------------------------------------------------------------------
    def change(self, changed: Collection[str], now: Window) -> dict[int, Delta]:
        """Take away the stories that change, add what they will be."""
        deltas: dict[int, Delta] = {}
        wanted = frozenset(changed)
        told = checks(wanted)
        for n, stretch in self.stretches.items():
            gone = stretch.find(wanted, told)
            if gone:
                deltas[n] = _removed(stretch, gone)
        for n, some in _by_stretch(now):
            added = self.stretches[n].add(some, loose=True)
            delta = deltas.setdefault(n, Delta())
            delta.stories, delta.texts, delta.postings = added.stories, added.texts, added.postings
        return deltas

    def settle(self, deltas: Mapping[int, Delta]) -> dict[int, Settled]:
        """Count boilerplate anew for what changed; what that means for the stories of each stretch."""
        near = {n for changed in deltas for n in around(changed, 1)}
        sought = {n: Sought.by(delta.postings, fresh=True) for n, delta in deltas.items()}
        lookups: dict[tuple[int, ...], Lookup] = {}
        result = {}
        for n in sorted(near):
            if len(self.stretches.get(n, ())):
                those = tuple(k for k in around(n, 1) if k in deltas)
                if those not in lookups:
                    dead = once(joined(deltas[k].dead for k in those))
                    lookups[those] = self.lookup(*(sought[k].keys for k in those), *([dead] if len(dead) else []))
                result[n] = self._settled(n, {k: (sought[k], deltas[k]) for k in those}, lookups[those])
        return result

    def lookup(self, *keys: Hashes) -> Lookup:
        """Where these keys stand: some arrays, each ascending and each key once."""
        return Lookup(self.stretches, self.many, keys)

    def _settled(self, n: int, nearby: Mapping[int, tuple[Sought, Delta]], lookup: Lookup) -> Settled:
        after = lookup.counts(n)
        before = after.copy()
        for sought, delta in nearby.values():
            before[lookup.at(sought.keys)] -= sought.counts
            keys, counts = repeated(np.sort(delta.dead))
            before[lookup.at(keys)] += counts
        more = np.flatnonzero((before <= self.many) & (after > self.many))
        less = np.flatnonzero((before > self.many) & (after <= self.many))
        stretch, found = self.stretches[n], lookup.found(n)
        fewer, by = _carriers(found, more)
        others, back = _carriers(found, less)
        mine, fresh = (nearby[n][0], nearby[n][1].texts) if n in nearby else (None, _NOTHING)
        old = once(np.concatenate((fewer, others)))
        old = old[~np.isin(old, fresh, assume_unique=True)]
        was = stretch.crowded(old)
        stretch.heavy.values[fewer] += by.astype(np.int32)
        stretch.heavy.values[others] -= back.astype(np.int32)
        if mine:
            heavy = np.repeat((after > self.many)[lookup.at(mine.keys)], mine.counts)
            stretch.heavy.values[fresh] = np.bincount(mine.texts()[heavy] - fresh[:1], minlength=len(fresh))
        now = stretch.crowded(old)
        stretch.sign(np.concatenate((old[now & ~was], fresh)))
        return Settled(fewer, others, lookup, mine, old[now & ~was], old[was & ~now])


@dataclass(frozen=True, slots=True, eq=False)
class Settled:
    """Of a stretch the texts of which a shingle has become boilerplate, those of which one is none any more, and where
    the shingles of the new ones are. Of the old ones which are now mostly boilerplate and which no more."""

    less_counts: Ints
    more_counts: Ints
    lookup: Lookup
    sought: Sought | None  # the new ones
    crowded: Ints
    cleared: Ints


def joined(parts: Iterable[Hashes]) -> Hashes:
    """All of these in order."""
    return np.sort(np.concatenate([np.empty(0, np.uint64), *parts]))


def _carriers(found: Found, which: Ints) -> tuple[Ints, Ints]:
    """The texts of a stretch that carry one of these keys (by their indices), each once, and how many of them."""
    return repeated(np.sort(np.concatenate([_NOTHING, *(texts for texts, _ in found.carriers(which))])))


def stretch_of(moment: int) -> int:
    return moment // NEAR_SECONDS


def around(n: int, beside: int) -> range:
    return range(n - beside, n + beside + 1)


def _removed(stretch: Stretch, stories: Sequence[int]) -> Delta:
    texts = stretch.texts.values[stories].tolist()
    ids = [stretch.ids[story] for story in stories]
    told = [
        (int(stretch.keys.values[text]), int(stretch.instants.values[story]), id_)
        for text, story, id_ in zip(texts, stories, ids, strict=True)
        if text >= 0
    ]
    of = np.array([text for text in texts if text >= 0], np.int64)
    chained = np.flatnonzero(stretch.crowded(of))
    signs, whose = signs_of(*stretch.samples(of[chained]))
    signed = [(sign, *told[k][1:]) for sign, k in zip(signs.tolist(), chained[whose].tolist(), strict=True)]
    dead = stretch.remove(stories)
    return Delta(dead=keyed(stretch.samples(dead)[0]), gone=told, signs=signed, ids=ids)


def _spans(ascending: Sequence[int]) -> Iterable[tuple[int, int]]:
    """Runs of numbers that follow each other: first and last."""
    start = 0
    for k in range(1, len(ascending) + 1):
        if k == len(ascending) or ascending[k] != ascending[k - 1] + 1:
            yield ascending[start], ascending[k - 1]
            start = k


def _by_stretch(window: Window) -> Iterable[tuple[int, Window]]:
    """The stories of a window, which are in order, stretch by stretch."""
    which = window.instants // NEAR_SECONDS
    edges = [0, *(np.flatnonzero(np.diff(which)) + 1).tolist(), len(window)]
    for first, stop in pairwise(edges):
        if first < stop:
            yield int(which[first]), part(window, first, stop)


def part(window: Window, first: int, stop: int) -> Window:
    """Some of its stories that follow each other."""
    bounds = window.bounds[first : stop + 1]
    return Window(
        window.ids[first:stop],
        window.instants[first:stop],
        window.shingles[bounds[0] : bounds[-1]],
        bounds - bounds[0],
        window.numbers[first:stop],
    )
