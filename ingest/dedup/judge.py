"""A change → the links that it makes and unmakes.

Judged again is every pair that a change may have touched, and no other, so that a change costs what it and the stories
like it cost, whatever else is there. The stories that change are

1. taken from the scene and put into it as they will be (scene.py);
2. their shingles counted: of which stories that stay does more or less count now (scene.py)?
3. All these are looked for: which texts share enough with theirs (candidates.py)? Of exact copies only those next to a
   story are its neighbours (copies.py).

What then is suspected to belong together gets a close look (look.py).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import orjson

from ingest.dedup.arrays import Ints, once
from ingest.dedup.candidates import Alike, alike
from ingest.dedup.copies import Families, Pair, beside
from ingest.dedup.lookup import Sought
from ingest.dedup.scene import Alive, Delta, Scene, Settled, part
from ingest.dedup.syndicated import chained, stirred
from ingest.dedup.verdicts import COMMON, Verdicts
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
    """As `judge_change`, for a change that comes alone: `pieces` are all stories as they are, in order."""
    there = [*pieces]
    known = {id_: int(moment) for some in there for id_, moment in zip(some.ids, some.instants, strict=True)}
    moments = [*now.instants.tolist(), *(known[id_] for id_ in changed if id_ in known)]

    def load(since: int, until: int) -> Iterator[Window]:
        for some in there:
            first, stop = np.searchsorted(some.instants, [since, until + 1]).tolist()
            yield part(some, first, stop)

    return judge_change(Scene(load, many=many), moments, changed, now, links, look, alive=alive)


def judge_change(
    scene: Scene,
    moments: Iterable[int],
    changed: Collection[str],
    now: Window,
    links: Links,
    look: Look,
    *,
    alive: Alive = lambda: None,
) -> Verdicts:
    """Make a change in the scene, and judge again every pair that it may have made or unmade; the difference to the
    links that are known. Where the change is not written, the scene has to `forget`.

    `moments` are the instants of the stories that change, before and after. `changed` are the stories that are new,
    have another text or another instant, or are gone; `now` holds those of them that will be there. `links` gives the
    links that have an end among some stories, as they are. `look` says what suspected pairs are to each other, by their
    texts and nothing else. `alive` is called every now and then.
    """
    scene.reach(moments, alive)
    deltas = scene.change(changed, now)
    settled = scene.settle(deltas)
    chains = stirred(scene, deltas, settled)
    wholly = _looked_for(scene, deltas, settled)
    for n, some in chains.apart.items():
        wholly.setdefault(n, set()).update(some)
    gone = {id_ for delta in deltas.values() for id_ in delta.ids}
    judged = _ids(scene, wholly) | _ids(scene, chains.joined) | gone
    # What has become boilerplate makes no suspects: only pairs that are linked may be linked no more.
    fewer = {n: _members(scene, n, some.less_counts, linked=True) for n, some in settled.items()}
    for n, stories in _parted(scene, chains.parted, links).items():
        fewer.setdefault(n, set()).update(stories)
    asked = (_ids(scene, wholly) - set(now.ids)) | _ids(scene, fewer) | gone
    known = {(link.a, link.b): link for link in links(asked)} if asked else {}
    ends = {end for pair in known for end in pair}
    pairs: list[Pair] = []
    mine: dict[int, set[int]] = {}
    for n in sorted(wholly.keys() | fewer.keys()):
        alive()
        ids = scene.stretches[n].ids
        mine[n] = wholly.get(n, set()) | {story for story in fewer.get(n, ()) if ids[story] in ends}
        pairs += _pairs(scene, n, sorted(mine[n]), deltas.get(n, Delta()), settled.get(n))
    for n in sorted(mine.keys() | chains.joined.keys()):  # last: of a pair that is found twice the first counts
        pairs += chained(scene, n, mine.get(n, set()), chains)
    suspects = [x for x in _suspects(scene, pairs) if x.a in judged or x.b in judged or (x.a, x.b) in known]
    found = _looked_at(suspects, known, frozenset(changed), look)
    linked = {end for pair in found for end in pair}
    for n, stories in (*fewer.items(), *wholly.items()):  # of these all links are known now
        scene.stretches[n].note(stories, linked)
    for n, stories in _others(pairs).items():
        ids = scene.stretches[n].ids
        scene.stretches[n].note([story for story in stories if ids[story] in linked], linked)
    return Verdicts(
        tuple(found[pair] for pair in sorted(found) if known.get(pair) != found[pair]),
        tuple(sorted(known.keys() - found.keys())),
    )


def _looked_for(scene: Scene, deltas: Mapping[int, Delta], settled: Mapping[int, Settled]) -> dict[int, set[int]]:
    """The stories, by stretch, that may be linked to some now to which they were not."""
    result: dict[int, set[int]] = {}
    for n, delta in deltas.items():
        result.setdefault(n, set()).update(delta.stories.tolist())
        for there, story in beside(scene, n, delta):
            result.setdefault(there, set()).add(story)
    for n, some in settled.items():
        result.setdefault(n, set()).update(_members(scene, n, some.more_counts))
    return result


def _members(scene: Scene, n: int, texts: Ints, *, linked: bool = False) -> set[int]:
    """The stories of a stretch that have one of these texts; without those that are known to have no links."""
    stories, _ = scene.stretches[n].carriers(texts)
    if linked:
        stories = stories[~scene.stretches[n].loose.values[stories]]
    return set(stories.tolist())


def _parted(scene: Scene, beside: Mapping[int, set[int]], links: Links) -> dict[int, set[int]]:
    """Of these stories those that are linked to each other."""
    names = _ids(scene, beside)
    tied = {end for link in (links(names) if names else ()) if {link.a, link.b} <= names for end in (link.a, link.b)}
    return {n: {x for x in stories if scene.stretches[n].ids[x] in tied} for n, stories in beside.items()}


def _others(pairs: Iterable[Pair]) -> dict[int, set[int]]:
    """The second story of each pair, by stretch."""
    result: dict[int, set[int]] = {}
    for _, _, there, other, _ in pairs:
        result.setdefault(there, set()).add(other)
    return result


def _ids(scene: Scene, stories: Mapping[int, Iterable[int]]) -> set[str]:
    return {scene.stretches[n].ids[story] for n, some in stories.items() for story in some}


def _pairs(scene: Scene, n: int, stories: Sequence[int], delta: Delta, settled: Settled | None) -> Iterator[Pair]:
    """The pairs of stories that may be linked and share enough, of which one is among these of a stretch."""
    stretch = scene.stretches[n]
    of = stretch.texts.values[stories].astype(np.int64)
    texts = once(of[of >= 0])
    found = [*_alike(scene, n, texts, delta, settled)]
    others = [scene.stretches[some.there].keys.values[some.other] for some in found]
    families = Families(scene, n, once(np.concatenate([stretch.keys.values[texts], *others])))
    asked: dict[int, list[int]] = {}
    for story, text in zip(stories, of.tolist(), strict=True):
        if text in families.several:
            asked.setdefault(text, []).append(story)
    for some in found:
        yield from families.pairs(some, asked)


def _alike(scene: Scene, n: int, texts: Ints, delta: Delta, settled: Settled | None) -> Iterator[Alike]:
    fresh = np.isin(texts, delta.texts, assume_unique=True)
    if settled and settled.sought:
        yield from alike(scene, n, settled.sought, settled.lookup)  # all that are fresh are asked for
    rest = texts[~fresh]
    if len(rest):
        sought = Sought.of(scene.stretches[n], rest)
        yield from alike(scene, n, sought, scene.lookup(sought.keys))


def _suspects(scene: Scene, pairs: Iterable[Pair]) -> list[Suspect]:
    found: dict[tuple[str, str], Suspect] = {}
    for n, one, there, other, share in pairs:
        here, beside_ = scene.stretches[n], scene.stretches[there]
        first, second = here.ids[one], beside_.ids[other]
        if (first, second) in found or (second, first) in found:
            continue
        text, another = here.texts.values[one], beside_.texts.values[other]
        suspect = _suspect(
            (first, here.stated[text]),
            (second, beside_.stated[another]),
            share,
            abs(int(here.instants.values[one]) - int(beside_.instants.values[other])) / 3600,
            bool(here.keys.values[text] == beside_.keys.values[another]),
        )
        found[suspect.a, suspect.b] = suspect
    return [found[pair] for pair in sorted(found)]


def _looked_at(
    suspects: Sequence[Suspect], known: Mapping[tuple[str, str], Link], changed: frozenset[str], look: Look
) -> dict[tuple[str, str], Link]:
    """The links among the suspects. What two texts are to each other does not change while neither does."""
    found: dict[tuple[str, str], Kinship | None] = {}
    for suspect in suspects:
        pair = suspect.a, suspect.b
        if suspect.copies:
            found[pair] = Kinship.SAME
        elif pair in known and changed.isdisjoint(pair):
            found[pair] = known[pair].kinship
    rest = [suspect for suspect in suspects if (suspect.a, suspect.b) not in found]
    found.update(zip(((x.a, x.b) for x in rest), look(rest) if rest else (), strict=True))
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
