"""Stories that so many carry that most of their shingles are boilerplate: a story of a wire on five hundred sites, each
with a title and a footer of its own.

Counting cannot tell them from a footer below five hundred stories; what else the carriers share can. To compare each
with each would cost a hundred thousand looks, so stories whose sample is mostly boilerplate (`CROWDED`) are chained: a
sample is cut into six, and the two smallest shingles of each sixth are a sign. Of the stories that have a sign each may
be linked to the one before it and the one after it (chains.py), where half of the smaller sample stands in the other,
boilerplate included. Copies that are nine tenths the same have most signs in common, so what is alike hangs together,
by at most two pairs for each of six signs; strangers with a footer in common have few, and the close look tells them
apart.

A sign is of one text, and how much of it is boilerplate is counted as everything else is, so the pairs are the same
whatever came first. Few stories of an ordinary window are in chains, and what comes between two of them is looked for
only where they are linked: so chains cost nearly nothing where nothing is syndicated.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np

from ingest.dedup.arrays import Flags, Ints, at_least, once
from ingest.dedup.chains import Chains, Gone, Pairs
from ingest.dedup.copies import Pair
from ingest.dedup.postings import keyed, numbers
from ingest.dedup.scene import Delta, Scene, Settled
from ingest.dedup.signs import signs_of
from ingest.dedup.stretch import Stretch
from ingest.dedup.verdicts import FEWEST, HALF

Stories = dict[int, set[int]]  # by stretch
Place = tuple[int, int]  # of a story: stretch and number

_AT_ONCE = 1 << 12  # texts whose chains are made
_BITS = 32
_NOTHING = np.empty(0, np.int64)


@dataclass(frozen=True, slots=True, eq=False)
class Stirred:
    """What a change does to the chains, by stretch: stories that are in them and were not, and the pairs of these and
    their neighbours; stories that may have been linked before these came between; and stories beside those that are in
    them no more."""

    joined: Stories = field(default_factory=dict)
    pairs: dict[int, list[Pairs]] = field(default_factory=dict)
    parted: Stories = field(default_factory=dict)
    apart: Stories = field(default_factory=dict)


def stirred(scene: Scene, deltas: Mapping[int, Delta], settled: Mapping[int, Settled]) -> Stirred:
    """See there; boilerplate is counted already."""
    result = Stirred()
    for n in sorted(settled.keys() | deltas.keys()):
        joined = {*_crowded(scene.stretches[n], deltas[n].stories if n in deltas else ()).tolist()}
        if n in settled:
            joined.update(scene.stretches[n].carriers(settled[n].crowded)[0].tolist())
        if joined:
            result.joined[n] = joined
        for there, story in _apart(scene, n, deltas.get(n), settled.get(n)):
            result.apart.setdefault(there, set()).add(story)
    flags = {n: _flags(scene.stretches[n], some) for n, some in result.joined.items()}
    for n, some in result.joined.items():
        result.pairs[n] = []
        for chains in _chains(scene, n, some):
            result.pairs[n].append(chains.neighbours(chains.flagged({n: flags[n]})))
            for there, story in _parted(scene, chains.parted(chains.flagged(flags))):
                result.parted.setdefault(there, set()).add(story)
    return result


def chained(scene: Scene, n: int, stories: Collection[int], known: Stirred) -> Iterator[Pair]:
    """The pairs of these stories of a stretch, and of those that joined, with their neighbours that share enough."""
    rest = {*stories} - known.joined.get(n, set())
    flags = {n: _flags(scene.stretches[n], rest)}
    more = (chains.neighbours(chains.flagged(flags)) for chains in _chains(scene, n, rest))
    yield from _sharing(scene, [*known.pairs.get(n, ()), *more])


def _apart(scene: Scene, n: int, delta: Delta | None, settled: Settled | None) -> Iterator[Place]:
    """The stories (stretch and number) beside those that are in no chains any more."""
    left = delta.signs if delta else []
    if settled:
        left = left + _places(scene.stretches[n], settled.cleared)
    if left:
        chains = Chains(scene, n, once(np.array([sign for sign, _, _ in left], np.uint64)), left)
        _, _, there, other = chains.neighbours(chains.gone())
        yield from zip(there.tolist(), other.tolist(), strict=True)


def _parted(scene: Scene, pairs: Pairs) -> set[Place]:
    """The stories of those of these pairs that share enough, but for stories that are known to have no links."""
    loose = np.zeros(len(pairs[0]), np.bool_)
    for stretches, stories in (pairs[:2], pairs[2:]):
        for k in once(stretches).tolist():
            at = np.flatnonzero(stretches == k)
            loose[at] |= scene.stretches[k].loose.values[stories[at]]
    here, one, there, other = (column[~loose] for column in pairs)
    return {end for n, a, k, b, _ in _sharing(scene, [(here, one, there, other)]) for end in ((n, a), (k, b))}


def _chains(scene: Scene, n: int, stories: Collection[int]) -> Iterator[Chains]:
    """The chains of these stories of a stretch, some at a time."""
    stretch = scene.stretches[n]
    texts = once(stretch.texts.values[_crowded(stretch, stories)].astype(np.int64))
    for start in range(0, len(texts), _AT_ONCE):
        signs, _ = signs_of(*stretch.samples(texts[start : start + _AT_ONCE]))
        yield Chains(scene, n, once(signs))


def _flags(stretch: Stretch, stories: Collection[int]) -> Flags:
    result = np.zeros(len(stretch.ids), np.bool_)
    result[[*stories]] = True
    return result


def _crowded(stretch: Stretch, stories: Collection[int]) -> Ints:
    """Those of some stories that are mostly boilerplate."""
    numbers = np.fromiter(stories, np.int64, len(stories))
    of = stretch.texts.values[numbers].astype(np.int64)
    numbers, of = numbers[of >= 0], of[of >= 0]
    return numbers[stretch.crowded(of)]


def _places(stretch: Stretch, texts: Ints) -> list[Gone]:
    """Sign, instant and id of each story that has one of these texts, for each of its signs."""
    signs, whose = signs_of(*stretch.samples(texts))
    return [
        (sign, instant, id_)
        for sign, text in zip(signs.tolist(), texts[whose].tolist(), strict=True)
        for instant, id_, _ in stretch.members(text)
    ]


def _sharing(scene: Scene, found: Iterable[Pairs]) -> Iterator[Pair]:
    """Those of some pairs that share enough, each once, and which part of the smaller one's sample that is."""
    columns = [np.concatenate([_NOTHING, *column]) for column in zip(*found, strict=True)] or [_NOTHING] * 4
    here, one, there, other = columns
    for side in once((here << _BITS) + there).tolist():
        n, k = side >> _BITS, side & ((1 << _BITS) - 1)
        at = np.flatnonzero((here == n) & (there == k))
        pairs = once((one[at] << _BITS) + other[at])
        first, second = pairs >> _BITS, pairs & ((1 << _BITS) - 1)
        one_, other_ = scene.stretches[n], scene.stretches[k]
        shared, smaller = _shared(one_, one_.texts.values[first], other_, other_.texts.values[second])
        some = np.flatnonzero((shared >= FEWEST) & at_least(shared, smaller, HALF))
        share = shared[some] / smaller[some]
        yield from (
            (n, a, k, b, part)
            for a, b, part in zip(first[some].tolist(), second[some].tolist(), share.tolist(), strict=True)
        )


def _shared(here: Stretch, one: Ints, there: Stretch, other: Ints) -> tuple[Ints, Ints]:
    """How many shingles the two texts of each pair share, and how many the smaller one has, boilerplate included, up to
    where both samples are complete."""
    limit = np.minimum(here.complete(one), there.complete(other))
    sides, sizes = [], []
    for stretch, texts in ((here, one), (there, other)):
        hashes, whose = stretch.samples(texts)
        fit = np.flatnonzero(hashes <= limit[whose])
        whose = whose[fit]
        sides.append(keyed(hashes[fit]) | whose.view(np.uint64))
        sizes.append(np.bincount(whose, minlength=len(one)))
    both = np.sort(np.concatenate(sides))
    twice = numbers(both[1:][both[1:] == both[:-1]])
    return np.bincount(twice, minlength=len(one)), np.minimum(*sizes)
