"""A change → the links that it makes and unmakes.

Judged again is every pair that a change may have touched, and no other, so that adding a story costs the same whatever
the window holds; only reading the window takes time in proportion to it. The stories are read

1. from the store, as they will be (scene.py);
2. to count shingles: which other stories the change affects (counting.py, affected.py);
3. to find pairs that share enough (candidates.py);
4. to count exactly for these, and for the links that are known (sameness.py).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable

import numpy as np
import orjson

from ingest.dedup.affected import Boilerplate, affected, limits, over_a_moment
from ingest.dedup.arrays import Ints
from ingest.dedup.candidates import candidates, linkable, probes
from ingest.dedup.counting import Sketch, Times
from ingest.dedup.sameness import Sameness
from ingest.dedup.scene import Alive, Scene, beside
from ingest.dedup.verdicts import MANY, NEAR_SECONDS, NUMBERS, Many, Verdicts
from ingest.models import Link, Window

Links = Callable[[Collection[str]], Iterable[Link]]


def judge(
    pieces: Iterable[Window],
    changed: Collection[str],
    now: Window,
    links: Links,
    *,
    many: Many = MANY,
    alive: Alive = lambda: None,
) -> Verdicts:
    """Judge again every pair that a change may have made or unmade; the difference to the links that are known.

    `pieces` are all stories within `REACH` of the instants that change (more does no harm), in order, as they are in
    the store. `changed` are the stories that are new, have another text or another instant, or are gone; `now` holds
    those of them that will be among these stories. `links` gives the links that have an end among some stories, as
    they are. `alive` is called every now and then.
    """
    changed = frozenset(changed)
    scene = Scene(pieces, changed, now, alive)
    try:
        return _Judge(scene, changed, links, many).verdicts()
    finally:
        scene.close()


class _Judge:
    def __init__(self, scene: Scene, changed: frozenset[str], links: Links, many: Many) -> None:
        self.scene, self.changed, self.links, self.many = scene, changed, links, many
        self.times = Times(scene)

    def verdicts(self) -> Verdicts:
        scene = self.scene
        sketch = Sketch(scene)
        partly, i, j = self._suspected(sketch)
        names = scene.names(np.union1d(np.flatnonzero(scene.changed), partly))
        known = {(link.a, link.b): link for link in self.links({*scene.gone.ids, *(id_ for id_, _ in names.values())})}
        places = {id_: place for place, (id_, _) in names.items()}
        places.update(scene.find({end for pair in known for end in pair} - places.keys()))
        a, b = self._of_links(known, places)
        pairs = np.unique(np.concatenate((i * len(scene) + j, a * len(scene) + b)))
        i, j = pairs // max(len(scene), 1), pairs % max(len(scene), 1)
        fits = linkable(scene, i, j) & over_a_moment(
            scene, scene.times[i] - NEAR_SECONDS, scene.times[j] + NEAR_SECONDS
        )
        found = self._judged(i[fits], j[fits], sketch)
        judged = {pair for pair in known if self._is_judged(pair, places)}
        return self._difference(known, found, judged)

    def _suspected(self, sketch: Sketch) -> tuple[Ints, Ints, Ints]:
        """The stories that stay and may have other links now, and the pairs that may be linked now and were not."""
        scene, many = self.scene, self.many
        marked = affected(scene, self.times, sketch, many)
        copies = beside(scene)
        marked[copies] = False
        full = scene.stories(np.union1d(np.flatnonzero(scene.changed), copies))
        partly = scene.stories(np.flatnonzero(marked))
        boilerplate = Boilerplate.of((full, partly), scene, self.times, sketch, many)
        low = limits(scene, many)
        looked_for = probes(full, partly, boilerplate, scene, self.times, sketch, low)
        i, j = candidates(scene, looked_for, sketch, low)
        return np.union1d(copies, partly.places), i, j

    def _of_links(self, known: Iterable[tuple[str, str]], places: dict[str, int]) -> tuple[Ints, Ints]:
        ends = [sorted((places[a], places[b])) for a, b in known if a in places and b in places]
        both = np.array(ends, np.int64).reshape(-1, 2)
        return both[:, 0], both[:, 1]

    def _is_judged(self, pair: tuple[str, str], places: dict[str, int]) -> bool:
        if not self.changed.isdisjoint(pair):
            return True
        if pair[0] not in places or pair[1] not in places:
            return False
        i, j = sorted((places[pair[0]], places[pair[1]]))
        since, until = self.scene.times[[i]] - NEAR_SECONDS, self.scene.times[[j]] + NEAR_SECONDS
        return bool(over_a_moment(self.scene, since, until)[0])

    def _judged(self, i: Ints, j: Ints, sketch: Sketch) -> dict[tuple[str, str], Link]:
        scene = self.scene
        stories = scene.stories(np.union1d(i, j))
        share = Sameness(stories, scene, self.times, sketch, self.many).shares(i, j)
        i, j, share = i[share > 0], j[share > 0], share[share > 0]
        names = scene.names(np.union1d(i, j))
        hours = (scene.times[j] - scene.times[i]) / 3600
        links = (
            _link(names[a], names[b], part, apart)
            for a, b, part, apart in zip(*(x.tolist() for x in (i, j, share, hours)), strict=True)
        )
        return {(link.a, link.b): link for link in links if link}

    def _difference(
        self, known: dict[tuple[str, str], Link], found: dict[tuple[str, str], Link], judged: set[tuple[str, str]]
    ) -> Verdicts:
        linked = tuple(found[pair] for pair in sorted(found) if known.get(pair) != found[pair])
        return Verdicts(linked, tuple(sorted(judged - found.keys())))


def _link(one: tuple[str, str], other: tuple[str, str], share: float, hours: float) -> Link | None:
    """The link between two stories (id, numbers), unless they state other numbers."""
    (a, first), (b, second) = sorted((one, other))
    if first == second:
        return Link(a, b, round(share, 4), round(hours, 2))
    mine, its = (Counter(orjson.loads(stated) if stated else ()) for stated in (first, second))
    fewer = min(mine.total(), its.total())
    if fewer >= NUMBERS and 2 * (mine & its).total() < fewer:
        return None
    differ = (tuple(sorted((mine - its).elements())), tuple(sorted((its - mine).elements())))
    return Link(a, b, round(share, 4), round(hours, 2), differ)
