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

from ingest.dedup.arrays import Flags, Hashes, Ints, once, repeated
from ingest.dedup.postings import Found, Postings, keyed
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
    which stories went (key of its text, instant, id)."""

    stories: Ints = field(default_factory=lambda: _NOTHING)
    texts: Ints = field(default_factory=lambda: _NOTHING)
    dead: Hashes = field(default_factory=lambda: np.empty(0, np.uint64))
    gone: list[tuple[int, int, str]] = field(default_factory=list)
    ids: list[str] = field(default_factory=list)  # of all that are gone


class Scene:
    """`load` gives the stories from one instant to another, both included, in order (seconds since the epoch). `many`:
    a shingle that more texts carry is boilerplate."""

    def __init__(self, load: Load, *, many: int = COMMON, kept: int = KEPT) -> None:
        self._load, self._kept = load, kept
        self.many = many
        self.stretches: dict[int, Stretch] = {}

    def forget(self) -> None:
        """Load everything anew when it is needed: somebody else may have changed it."""
        self.stretches.clear()

    def __len__(self) -> int:
        return sum(map(len, self.stretches.values()))

    # loading ---------------------------------------------------------------------------------------------------
    def reach(self, moments: Iterable[int], alive: Alive) -> None:
        """Have at hand what changes at these moments can touch."""
        needed = {n for moment in {stretch_of(moment) for moment in moments} for n in around(moment, BESIDE)}
        self._tidy(needed)
        missing = sorted(needed - self.stretches.keys())
        for first, last in _spans(missing):
            self.stretches |= {n: Stretch() for n in range(first, last + 1)}
            for window in self._load(first * NEAR_SECONDS, (last + 1) * NEAR_SECONDS - 1):
                alive()
                for n, some in _by_stretch(window):
                    self.stretches[n].add(some)

    def _tidy(self, needed: Collection[int]) -> None:
        crowded = len(self) > self._kept
        for n, stretch in [*self.stretches.items()]:
            if (crowded and n not in needed) or stretch.gone > max(len(stretch), _GARBAGE):
                del self.stretches[n]

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
            delta.stories, delta.texts = added.stories, added.texts
        return deltas

    def settle(self, deltas: Mapping[int, Delta]) -> dict[int, Settled]:
        """Count boilerplate anew for what changed; what that means for the stories of each stretch."""
        near = {n for changed in deltas for n in around(changed, 1)}
        return {n: self._settled(n, deltas) for n in sorted(near) if len(self.stretches.get(n, ()))}

    def _settled(self, n: int, deltas: Mapping[int, Delta]) -> Settled:
        nearby = [(self.stretches[k], deltas[k]) for k in around(n, 1) if k in deltas]
        plus = joined(keys_of(stretch, delta.texts)[0] for stretch, delta in nearby)
        minus = joined(delta.dead for _, delta in nearby)
        lookup = Lookup(self, once(np.concatenate((plus, minus))))
        after = lookup.counts(n)
        before = after.copy()
        for keys, sign in ((plus, -1), (minus, 1)):
            some, count = repeated(keys)
            before[np.searchsorted(lookup.keys, some)] += sign * count
        more = np.flatnonzero((before <= self.many) & (after > self.many))
        less = np.flatnonzero((before > self.many) & (after <= self.many))
        stretch, found = self.stretches[n], lookup.found(n)
        return Settled(_carriers(stretch, found, more), _carriers(stretch, found, less), lookup)


class Lookup:
    """Where some shingles stand, stretch by stretch; each stretch is asked once."""

    def __init__(self, scene: Scene, keys: Hashes) -> None:
        """`keys` ascending, each once."""
        self._scene, self.keys = scene, keys
        self._found: dict[int, Found] = {}

    def found(self, n: int) -> Found:
        if n not in self._found:
            stretch = self._scene.stretches.get(n)
            self._found[n] = (stretch.postings if stretch else Postings()).find(self.keys)
        return self._found[n]

    def counts(self, n: int) -> Ints:
        """How many texts of a stretch and of those beside it carry each."""
        return sum((self.found(k).counts for k in around(n, 1)), np.zeros(len(self.keys), np.int64))

    def heavy(self, n: int) -> Flags:
        """Which are boilerplate to the stories of a stretch."""
        result: Flags = self.counts(n) > self._scene.many
        return result


@dataclass(frozen=True, slots=True, eq=False)
class Settled:
    """Of a stretch the texts of which a shingle has become boilerplate, those of which one is none any more, and where
    the shingles of the new ones are."""

    less_counts: Ints
    more_counts: Ints
    lookup: Lookup


def keys_of(stretch: Stretch, texts: Ints) -> tuple[Hashes, Ints]:
    """The keys of the shingles of some texts, and whose each is, as an index into `texts`."""
    hashes, whose = stretch.samples(texts)
    return keyed(hashes), whose


def joined(parts: Iterable[Hashes]) -> Hashes:
    """All of these in order."""
    return np.sort(np.concatenate([np.empty(0, np.uint64), *parts]))


def _carriers(stretch: Stretch, found: Found, which: Ints) -> Ints:
    """The texts of a stretch that carry one of these keys (by their indices), each once."""
    flags = np.zeros(len(stretch.keys), np.bool_)
    for texts, _ in found.carriers(which):
        flags[texts] = True
    return np.flatnonzero(flags)


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
    dead = stretch.remove(stories)
    return Delta(dead=keys_of(stretch, dead)[0], gone=told, ids=ids)


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
