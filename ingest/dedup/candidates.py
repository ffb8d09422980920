"""Which pairs share enough to be worth counting exactly.

A story that changed is probed with all its shingles but boilerplate, since either of a pair may be the smaller one. A
story that is only affected can gain a link only as the smaller one, which has to stand in the other by `SHARE`. So a
few of its shingles, the rarest, are enough to find all that it can be in: if it counts n shingles and c of them for
certain, of the rarest p no more than .4 n - (n - p) can be missing, whichever of the doubtful ones count.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from ingest.dedup.affected import Boilerplate
from ingest.dedup.arrays import Flags, Ints, Wanted, at_least, ranges, shares_of, sums
from ingest.dedup.counting import Sketch, Times, times_of
from ingest.dedup.fingerprint import BOUND, LEAST
from ingest.dedup.scene import Scene, Stories
from ingest.dedup.verdicts import FEWEST, NEAR_SECONDS, SHARE

_SEVERAL = 8  # probes that have a shingle
_ENOUGH = 3  # shingles that have to be found: with fewer, phrases give many strangers


@dataclass(frozen=True, slots=True, eq=False)
class Probes:
    """Stories that are looked for, by shingle: `story[rows[w]:rows[w + 1]]` are those that have `wanted.hashes[w]`, as
    indices into `places`. Found is what has at least `need` shingles, and `SHARE` of `certain` or of its own."""

    places: Ints
    full: Flags
    need: Ints
    certain: Ints
    wanted: Wanted
    rows: Ints
    story: Ints
    key: Ints  # of each in `story` its shingle's number and its place: ascending


def certain(stories: Stories, sketch: Sketch, limits: Ints) -> Flags:
    """Which shingles count in every pair: of the regular sample, and never many."""
    result: Flags = (stories.hashes < BOUND) & (
        sketch.at_most(stories.hashes) <= limits[stories.places[stories.owners()]]
    )
    return result


def probes(
    full: Stories, partly: Stories, boilerplate: Boilerplate, scene: Scene, times: Times,
    sketch: Sketch, limits: Ints,
) -> Probes:  # fmt: skip
    """Probes for stories that are looked for in full, and as the smaller one of a pair."""
    time = times_of(full, times, scene)
    usual = ~boilerplate.within(full.hashes, time)
    sure = sums(certain(full, sketch, limits), full.rows)
    chosen, need, sure_partly = _rarest(partly, boilerplate, scene, times, sketch, limits)
    hashes = np.concatenate((full.hashes[usual], partly.hashes[chosen]))
    story = np.concatenate((full.owners()[usual], partly.owners()[chosen] + len(full.places)))
    places = np.concatenate((full.places, partly.places))
    order = np.lexsort((places[story], hashes))
    unique, first = np.unique(hashes[order], return_index=True)
    return Probes(
        places,
        np.arange(len(full.places) + len(partly.places)) < len(full.places),
        np.concatenate((np.full(len(full.places), FEWEST), need)),
        np.concatenate((sure, sure_partly)),
        Wanted(unique),
        np.append(first, len(order)),
        story[order],
        (np.repeat(np.arange(len(unique)), np.diff(np.append(first, len(order)))) << 32) | places[story[order]],
    )


def _rarest(
    stories: Stories, boilerplate: Boilerplate, scene: Scene, times: Times, sketch: Sketch, limits: Ints
) -> tuple[Ints, Ints, Ints]:
    """Which of the hashes are looked for, how many of each story's have to be found, and how many are certain."""
    count = len(stories.places)
    owner = stories.owners()
    time = times_of(stories, times, scene)
    counts = ~boilerplate.within(stories.hashes, time)
    sure = certain(stories, sketch, limits)
    n, c = np.bincount(owner[counts], minlength=count), sums(sure, stories.rows)
    few = (20 + 4 * n) // 10 + 1  # 10 p - 4 n > 20, where all p are certain: three at least are found
    more = (20 + 4 * n - 6 * c) // 4 + 1  # 6 c - 4 (n - p) > 20, where p - c are doubtful
    p = np.where(few <= c, few, np.maximum(more, c + 1))
    odd = np.bincount(owner[stories.hashes >= BOUND], minlength=count) > 0
    whole = odd | (np.diff(stories.rows) < LEAST) | (p > n)
    p = np.where(whole, n, p)
    need = np.where(whole, np.maximum(FEWEST, -(-6 * c // 10)), _ENOUGH)
    kept = np.flatnonzero(counts)
    kept = kept[np.lexsort((sketch.at_most(stories.hashes[kept]), ~sure[kept], owner[kept]))]
    rank = np.arange(len(kept)) - np.concatenate(([0], np.cumsum(n)))[owner[kept]]
    return kept[rank < p[owner[kept]]], need, c


def candidates(scene: Scene, probes: Probes, sketch: Sketch, limits: Ints) -> tuple[Ints, Ints]:
    """The pairs (i, j), i the earlier, of a probe and any story that share enough; each once."""
    parts = [np.empty(0, np.int64)]
    for piece in scene.pieces() if len(probes.wanted) else ():
        for probe, other, shared in _shared(scene, probes, piece):
            enough = shared >= probes.need[probe]
            probe, other, shared = probe[enough], other[enough], shared[enough]
            if not len(probe):
                continue
            found, which = np.unique(other - piece.places[0], return_inverse=True)
            those = piece.some(found)
            sure = sums(certain(those, sketch, limits), those.rows)
            least = np.minimum(probes.certain[probe], sure[which])
            enough = ~probes.full[probe] | at_least(shared, least, SHARE)
            parts.append(_pair(scene, probes.places[probe[enough]], other[enough]))
    pairs = np.unique(np.concatenate(parts))
    return pairs // max(len(scene), 1), pairs % max(len(scene), 1)


def _pair(scene: Scene, one: Ints, other: Ints) -> Ints:
    result: Ints = np.minimum(one, other) * len(scene) + np.maximum(one, other)
    return result


def _shared(scene: Scene, probes: Probes, piece: Stories) -> Iterator[tuple[Ints, Ints, Ints]]:
    """(probe, place, how many of the probe's shingles stand there), where the two may be linked."""
    at, wanted = probes.wanted.places(piece.hashes)
    other = piece.owners()[at]
    start, stop = _within(scene, probes, wanted, piece.places[other])
    length = stop - start
    edges = np.searchsorted(other, np.arange(len(piece.places) + 1))
    for run in shares_of(sums(length, edges)):  # all that a story shares has to be counted at once
        mine = slice(edges[run.start], edges[run.stop])
        slots, which = ranges(start[mine], length[mine])
        probe, place = probes.story[slots], piece.places[other[mine][which]]
        fit = linkable(scene, probes.places[probe], place)
        pairs, shared = np.unique(probe[fit] * len(scene) + place[fit], return_counts=True)
        yield pairs // len(scene), pairs % len(scene), shared


def _within(scene: Scene, probes: Probes, wanted: Ints, place: Ints) -> tuple[Ints, Ints]:
    """From where to where the probes of each shingle may be linked to the story at that place."""
    start, stop = probes.rows[wanted], probes.rows[wanted + 1]
    # Where there are few it is cheaper to look at each. Where one story has a thousand copies, it is neighbours only.
    several = np.flatnonzero(stop - start > _SEVERAL)
    place, shingle = place[several], wanted[several] << 32
    low = np.maximum(scene.before[place], scene.since(scene.times[place] - NEAR_SECONDS))
    high = np.minimum(scene.after[place], scene.until(scene.times[place] + NEAR_SECONDS))
    start[several] = np.searchsorted(probes.key, shingle | low, side="left")
    stop[several] = np.searchsorted(probes.key, shingle | high, side="right")
    return start, stop


def linkable(scene: Scene, one: Ints, other: Ints) -> Flags:
    """Whether two stories are near each other, and no copy of either stands between them."""
    i, j = np.minimum(one, other), np.maximum(one, other)
    near = scene.times[j] - scene.times[i] <= NEAR_SECONDS
    result: Flags = near & (i != j) & (scene.after[i] >= j) & (scene.before[j] <= i)
    return result
