"""Which pairs share enough to be worth counting exactly.

A story that changed, or is affected by a change, is looked for by all its shingles but boilerplate, since either of a
pair may be the smaller one.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from ingest.dedup.affected import Boilerplate
from ingest.dedup.arrays import Flags, Ints, Wanted, at_least, ranges, shares_of, sums
from ingest.dedup.counting import Sketch, Times, times_of
from ingest.dedup.fingerprint import BOUND
from ingest.dedup.scene import Scene, Stories
from ingest.dedup.verdicts import FEWEST, NEAR_SECONDS, SUSPECT

_SEVERAL = 8  # probes that have a shingle


@dataclass(frozen=True, slots=True, eq=False)
class Probes:
    """Stories that are looked for, by shingle: `story[rows[w]:rows[w + 1]]` are those that have `wanted.hashes[w]`, as
    indices into `places`. Of each story `certain` shingles count in every pair."""

    places: Ints
    certain: Ints
    wanted: Wanted
    rows: Ints
    story: Ints
    key: Ints  # of each in `story` its shingle's number and its place: ascending


def certain(stories: Stories, sketch: Sketch, many: int) -> Flags:
    """Which shingles count in every pair: of the regular sample, and never many."""
    result: Flags = (stories.hashes < BOUND) & (sketch.at_most(stories.hashes) <= many)
    return result


def probes(stories: Stories, boilerplate: Boilerplate, scene: Scene, times: Times, sketch: Sketch, many: int) -> Probes:
    """Probes for these stories."""
    usual = ~boilerplate.within(stories.hashes, times_of(stories, times, scene))
    hashes, story = stories.hashes[usual], stories.owners()[usual]
    order = np.lexsort((stories.places[story], hashes))
    unique, first = np.unique(hashes[order], return_index=True)
    rows = np.append(first, len(order))
    shingle = np.repeat(np.arange(len(unique)), np.diff(rows))
    return Probes(
        stories.places,
        sums(certain(stories, sketch, many), stories.rows),
        Wanted(unique),
        rows,
        story[order],
        (shingle << 32) | stories.places[story[order]],
    )


def candidates(scene: Scene, probes: Probes, sketch: Sketch, many: int) -> tuple[Ints, Ints]:
    """The pairs (i, j), i the earlier, of a probe and any story that share enough; each once."""
    parts = [np.empty(0, np.int64)]
    for piece in scene.pieces() if len(probes.wanted) else ():
        for probe, other, shared in _shared(scene, probes, piece):
            enough = shared >= FEWEST
            probe, other, shared = probe[enough], other[enough], shared[enough]
            if not len(probe):
                continue
            found, which = np.unique(other - piece.places[0], return_inverse=True)
            those = piece.some(found)
            sure = sums(certain(those, sketch, many), those.rows)
            enough = at_least(shared, np.minimum(probes.certain[probe], sure[which]), SUSPECT)
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
