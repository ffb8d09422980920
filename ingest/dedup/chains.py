"""The stories that have a sign, in a chain: by instant, then by a checksum of the id, then by id."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from ingest.dedup.arrays import Flags, Hashes, Ints
from ingest.dedup.scene import Scene, around
from ingest.dedup.stretch import Stretch, check
from ingest.dedup.verdicts import NEAR_SECONDS

Gone = tuple[int, int, str]  # sign, instant and id of a story that is not there any more
Pairs = tuple[Ints, Ints, Ints, Ints]  # stretch and number of some stories, and of others

_MOMENT, _CHECK = 20, 24  # bits for an instant within three stretches, and for a checksum


class Chains:
    """The chains of some signs, end to end: a row for every story of a stretch and of those beside it that has one."""

    def __init__(self, scene: Scene, n: int, signs: Hashes, gone: Sequence[Gone] = ()) -> None:
        """`signs` ascending, each once, not more than a million; `gone` are given a row all the same."""
        self._scene, self._gone = scene, gone
        told = np.array([sign for sign, _, _ in gone], np.uint64)
        instants = np.array([instant for _, instant, _ in gone], np.int64)
        marks = np.array([check(id_) for _, _, id_ in gone], np.int64)
        rows = [(np.searchsorted(signs, told), np.full(len(gone), n), ~np.arange(len(gone)), instants, marks)]
        for k in around(n, 1):
            stretch = scene.stretches.get(k)
            if stretch:
                sign, at = _holders(stretch, signs)
                marks = stretch.checks.values[at].astype(np.int64)
                rows.append((sign, np.full(len(at), k), at, stretch.instants.values[at], marks))
        sign, stretches, stories, instants, marks = (np.concatenate(parts) for parts in zip(*rows, strict=True))
        place = (((sign << _MOMENT) + (instants - (n - 1) * NEAR_SECONDS)) << _CHECK) + marks
        order = np.argsort(place)
        self._sign, self._stretch, self._story, self._instant = (
            column[order] for column in (sign, stretches, stories, instants)
        )
        self._untie(place[order])

    def _untie(self, place: Ints) -> None:
        """Put rows of the same place in order of their ids."""
        same = np.zeros(len(place) + 1, np.bool_)
        same[1:-1] = place[1:] == place[:-1]
        tied = np.flatnonzero(same[1:] | same[:-1])
        if len(tied):
            ids = [self._id(row) for row in tied.tolist()]
            order = tied[sorted(range(len(tied)), key=lambda k: (place[tied[k]], ids[k]))]
            self._stretch[tied], self._story[tied] = self._stretch[order], self._story[order]

    def _id(self, row: int) -> str:
        story = int(self._story[row])
        return self._gone[~story][2] if story < 0 else self._scene.stretches[int(self._stretch[row])].ids[story]

    def flagged(self, stories: Mapping[int, Flags]) -> Flags:
        """The rows of stories, by a flag for each of a stretch."""
        result = np.zeros(len(self._sign), np.bool_)
        for k, flags in stories.items():
            rows = np.flatnonzero((self._stretch == k) & (self._story >= 0))
            result[rows] = flags[self._story[rows]]
        return result

    def gone(self) -> Flags:
        """The rows of stories that are gone."""
        result: Flags = self._story < 0
        return result

    def neighbours(self, asked: Flags) -> Pairs:
        """Each of these rows, and the story before it and the one after it, where they are near."""
        rows = np.flatnonzero(asked)
        before, after = self._beside(self.gone())
        return self._near(np.concatenate((rows, rows)), np.concatenate((before[rows], after[rows])))

    def parted(self, between: Flags) -> Pairs:
        """The stories that would be neighbours without these rows, where they are near."""
        before, after = self._beside(between | self.gone())
        rows = np.flatnonzero(between)
        return self._near(before[rows], after[rows])

    def _beside(self, without: Flags) -> tuple[Ints, Ints]:
        """For each row those before and after it in its chain, passing over those `without`; -1: there is none."""
        count = len(self._sign)
        rows = np.arange(count)
        before, after = np.full(count, -1), np.full(count, -1)
        before[1:] = np.maximum.accumulate(np.where(without, -1, rows))[:-1]
        after[:-1] = np.minimum.accumulate(np.where(without, count, rows)[::-1])[::-1][1:]
        after[after == count] = -1
        for beside in (before, after):
            beside[self._sign[beside] != self._sign] = -1
        return before, after

    def _near(self, one: Ints, other: Ints) -> Pairs:
        some = np.flatnonzero((one >= 0) & (other >= 0))
        one, other = one[some], other[some]
        near = np.abs(self._instant[one] - self._instant[other]) <= NEAR_SECONDS
        one, other = one[near], other[near]
        return self._stretch[one], self._story[one], self._stretch[other], self._story[other]


def _holders(stretch: Stretch, signs: Hashes) -> tuple[Ints, Ints]:
    """The stories of a stretch that have one of these signs and are crowded: the index of the sign, and the story."""
    nothing = np.empty(0, np.int64)
    found = [(nothing, nothing), *stretch.signs.find(signs).carriers()]
    texts, which = (np.concatenate(parts) for parts in zip(*found, strict=True))
    some = stretch.crowded(texts)
    stories, whose = stretch.carriers(texts[some])
    return which[some][whose], stories
