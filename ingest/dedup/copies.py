"""Exact copies of a text, in order of instant and id: which of them may be linked to what.

Where two stories have many copies only neighbours are linked: between the two of a pair stands no copy of either.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from ingest.dedup.arrays import Hashes, once
from ingest.dedup.candidates import Alike
from ingest.dedup.scene import Delta, Scene, around
from ingest.dedup.verdicts import NEAR_SECONDS

Place = tuple[int, str, int, int]  # instant, id, stretch, number
Pair = tuple[int, int, int, int, float]  # two stories, each by its stretch and number, and their share


class Families:
    """The stories of a stretch and of those beside it that have one of some texts, where more than one do."""

    def __init__(self, scene: Scene, n: int, keys: Hashes, *, least: int = 2) -> None:
        """`keys` ascending, each once; `least`: with fewer stories a key is left out."""
        self._scene, self._n = scene, n
        here = {k: scene.stretches[k] for k in around(n, 1) if k in scene.stretches}
        texts = {k: stretch.having(keys) for k, stretch in here.items()}
        holders = np.zeros(len(keys), np.int64)
        for k, stretch in here.items():
            has = texts[k] >= 0
            holders += has
            holders[has] += stretch.several.values[texts[k][has]]
        which = np.flatnonzero(holders >= least)
        self.keys = keys[which]
        self._of: dict[int, list[Place]] = {}
        for at, key in zip(which.tolist(), self.keys.tolist(), strict=True):
            held = ((k, stretch, int(texts[k][at])) for k, stretch in here.items())
            self._of[key] = [
                (instant, id_, k, story)
                for k, stretch, text in held
                if text >= 0
                for instant, id_, story in stretch.members(text)
            ]
        mine = texts[n][which] if n in texts else which[:0]
        self.several = frozenset(mine[mine >= 0].tolist())  # texts of the stretch that more than one story has

    def beside(self, key: int, instant: int, id_: str) -> Iterator[tuple[int, int]]:
        """The copies before and after a story (which may be one itself), where they are near: stretch and number."""
        family = self._of.get(key, ())
        at = bisect_left(family, (instant, id_))
        after = at + (at < len(family) and family[at][:2] == (instant, id_))
        for place in (*family[max(at - 1, 0) : at], *family[after : after + 1]):
            if abs(place[0] - instant) <= NEAR_SECONDS:
                yield place[2], place[3]

    def pairs(self, found: Alike, asked: Mapping[int, Sequence[int]]) -> Iterator[Pair]:
        """The pairs of stories that have these texts and may be linked; of a text that several have, those asked."""
        here, there = (self._scene.stretches[n] for n in (self._n, found.there))
        one, other = here.keys.values[found.one], there.keys.values[found.other]
        several = np.isin(one, self.keys) | np.isin(other, self.keys)
        first, second = here.first.values[found.one], there.first.values[found.other]
        near = np.abs(here.instants.values[first] - there.instants.values[second]) <= NEAR_SECONDS
        for k in np.flatnonzero(near & ~several).tolist():
            yield self._n, int(first[k]), found.there, int(second[k]), float(found.share[k])
        for k in np.flatnonzero(several).tolist():
            stories = asked.get(int(found.one[k]), (int(first[k]),))
            if int(other[k]) not in self._of:
                place = int(there.instants.values[second[k]]), there.ids[second[k]], found.there, int(second[k])
                self._of[int(other[k])] = [place]
            yield from self._neighbours(int(one[k]), stories, int(other[k]), found.there, float(found.share[k]))

    def _neighbours(self, key: int, stories: Sequence[int], other: int, there: int, share: float) -> Iterator[Pair]:
        """Of each story, which has a text of this key, and its neighbours among the other family that stand `there`."""
        stretch = self._scene.stretches[self._n]
        copies, family = self._of.get(key, ()), self._of[other]
        for story in stories:
            me = int(stretch.instants.values[story]), stretch.ids[story], self._n, story
            mine, at = bisect_left(copies, me), bisect_left(family, me)
            after = at + (at < len(family) and family[at] == me)
            before, behind = copies[max(mine - 1, 0) : mine], copies[mine + 1 : mine + 2]
            for place in family[max(at - 1, 0) : at]:
                if place[2] == there and me[0] - place[0] <= NEAR_SECONDS and not (before and before[0] > place):
                    yield self._n, story, there, place[3], share
            for place in family[after : after + 1]:
                if place[2] == there and place[0] - me[0] <= NEAR_SECONDS and not (behind and behind[0] < place):
                    yield self._n, story, there, place[3], share


def beside(scene: Scene, n: int, delta: Delta) -> Iterator[tuple[int, int]]:
    """The copies next to what changed, before and after: what they are linked to may have another copy between now, or
    none any more."""
    stretch = scene.stretches[n]
    of = stretch.texts.values[delta.stories]
    stories, of = delta.stories[of >= 0], of[of >= 0]
    families = Families(scene, n, once(stretch.keys.values[of]))
    for story, text in zip(stories.tolist(), of.tolist(), strict=True):
        if text in families.several:
            yield from families.beside(
                int(stretch.keys.values[text]), int(stretch.instants.values[story]), stretch.ids[story]
            )
    families = Families(scene, n, once(np.array([key for key, _, _ in delta.gone], np.uint64)), least=1)
    for key, instant, id_ in delta.gone:
        yield from families.beside(key, instant, id_)
