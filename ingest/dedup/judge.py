"""A change → the links that it makes and unmakes.

Judged again is every pair that a change may have touched, and no other, so that adding a story costs the same whatever
the window holds; only reading the window takes time in proportion to it. The stories are read

1. from the store, as they will be (scene.py);
2. to count shingles: which other stories the change affects (counting.py, affected.py);
3. to find pairs that share enough (candidates.py);
4. to count exactly for these, and for the links that are known (sameness.py).

What then is suspected to belong together gets a close look (look.py).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import orjson

from ingest.dedup.affected import Boilerplate, affected, over_a_moment
from ingest.dedup.arrays import Ints
from ingest.dedup.candidates import candidates, linkable, probes
from ingest.dedup.counting import Sketch, Times
from ingest.dedup.sameness import Sameness
from ingest.dedup.scene import Alive, Scene, beside
from ingest.dedup.verdicts import COMMON, NEAR_SECONDS, Verdicts
from ingest.models import Kinship, Link, Window

Links = Callable[[Collection[str]], Iterable[Link]]


@dataclass(frozen=True, slots=True)
class Suspect:
    """A pair of stories, `a` < `b`, that may belong together: how much of the smaller one's sample the other has, the
    hours between them, and the numbers that each states (as `Fingerprint.stated` writes them)."""

    a: str
    b: str
    share: float
    hours: float
    stated: tuple[str, str]
    copies: bool  # of the same text, as far as their fingerprints tell


Look = Callable[[Sequence[Suspect]], Sequence[Kinship | None]]


def judge(
    pieces: Iterable[Window],
    changed: Collection[str],
    now: Window,
    links: Links,
    look: Look,
    *,
    many: int = COMMON,
    alive: Alive = lambda: None,
) -> Verdicts:
    """Judge again every pair that a change may have made or unmade; the difference to the links that are known.

    `pieces` are all stories within `REACH` of the instants that change (more does no harm), in order, as they are in
    the store. `changed` are the stories that are new, have another text or another instant, or are gone; `now` holds
    those of them that will be among these stories. `links` gives the links that have an end among some stories, as
    they are. `look` says what suspected pairs are to each other, by their texts and nothing else. `alive` is called
    every now and then.
    """
    changed = frozenset(changed)
    scene = Scene(pieces, changed, now, alive)
    try:
        return _Judge(scene, changed, links, look, many).verdicts()
    finally:
        scene.close()


class _Judge:
    def __init__(self, scene: Scene, changed: frozenset[str], links: Links, look: Look, many: int) -> None:
        self.scene, self.changed, self.links, self.look, self.many = scene, changed, links, look, many
        self.times = Times(scene)

    def verdicts(self) -> Verdicts:
        scene = self.scene
        sketch = Sketch(scene)
        again, i, j = self._suspected(sketch)
        names = scene.names(np.union1d(np.flatnonzero(scene.changed), again))
        known = {(link.a, link.b): link for link in self.links({*scene.gone.ids, *(id_ for id_, _ in names.values())})}
        places = {id_: place for place, (id_, _) in names.items()}
        places.update(scene.find({end for pair in known for end in pair} - places.keys()))
        a, b = self._of_links(known, places)
        pairs = np.unique(np.concatenate((i * len(scene) + j, a * len(scene) + b)))
        i, j = pairs // max(len(scene), 1), pairs % max(len(scene), 1)
        fits = linkable(scene, i, j) & over_a_moment(
            scene, scene.times[i] - NEAR_SECONDS, scene.times[j] + NEAR_SECONDS
        )
        found = self._looked_at(self._counted(i[fits], j[fits], sketch), known)
        judged = {pair for pair in known if self._is_judged(pair, places)}
        linked = tuple(found[pair] for pair in sorted(found) if known.get(pair) != found[pair])
        return Verdicts(linked, tuple(sorted(judged - found.keys())))

    def _suspected(self, sketch: Sketch) -> tuple[Ints, Ints, Ints]:
        """The stories that stay and may have other links now, and the pairs that may be linked now and were not."""
        scene, many = self.scene, self.many
        again = np.union1d(np.flatnonzero(affected(scene, self.times, sketch, many)), beside(scene))
        stories = scene.stories(np.union1d(np.flatnonzero(scene.changed), again))
        boilerplate = Boilerplate.of((stories,), scene, self.times, sketch, many)
        looked_for = probes(stories, boilerplate, scene, self.times, sketch, many)
        return again, *candidates(scene, looked_for, sketch, many)

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

    def _counted(self, i: Ints, j: Ints, sketch: Sketch) -> list[Suspect]:
        """Those of the pairs (i, j) that share enough."""
        scene = self.scene
        stories = scene.stories(np.union1d(i, j))
        share = Sameness(stories, scene, self.times, sketch, self.many).shares(i, j)
        i, j, share = i[share > 0], j[share > 0], share[share > 0]
        names = scene.names(np.union1d(i, j))
        hours = (scene.times[j] - scene.times[i]) / 3600
        copies = scene.keys[i] == scene.keys[j]
        return [
            _suspect(names[a], names[b], part, apart, same)
            for a, b, part, apart, same in zip(*(x.tolist() for x in (i, j, share, hours, copies)), strict=True)
        ]

    def _looked_at(
        self, suspects: Sequence[Suspect], known: Mapping[tuple[str, str], Link]
    ) -> dict[tuple[str, str], Link]:
        """The links among the suspects. What two texts are to each other does not change while neither does."""
        found: dict[tuple[str, str], Kinship | None] = {}
        for suspect in suspects:
            pair = suspect.a, suspect.b
            if suspect.copies:
                found[pair] = Kinship.SAME
            elif pair in known and self.changed.isdisjoint(pair):
                found[pair] = known[pair].kinship
        rest = [suspect for suspect in suspects if (suspect.a, suspect.b) not in found]
        found.update(zip(((x.a, x.b) for x in rest), self.look(rest) if rest else (), strict=True))
        kin = ((suspect, found[suspect.a, suspect.b]) for suspect in suspects)
        return {(x.a, x.b): _link(x, kinship) for x, kinship in kin if kinship}


def _suspect(one: tuple[str, str], other: tuple[str, str], share: float, hours: float, copies: bool) -> Suspect:
    (a, first), (b, second) = sorted((one, other))
    return Suspect(a, b, share, hours, (first, second), copies)


def _link(suspect: Suspect, kinship: Kinship) -> Link:
    share, hours = round(suspect.share, 4), round(suspect.hours, 2)
    first, second = suspect.stated
    if first == second:
        return Link(suspect.a, suspect.b, share, hours, kinship=kinship)
    mine, its = (Counter(orjson.loads(stated) if stated else ()) for stated in (first, second))
    differ = (tuple(sorted((mine - its).elements())), tuple(sorted((its - mine).elements())))
    return Link(suspect.a, suspect.b, share, hours, differ, kinship)
