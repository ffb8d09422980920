"""Text → fingerprint; fingerprints → links → clusters.

    fingerprints   a sample of the hashes of a text's character 9-shingles, and the numbers that it states
    judge          which stories of a window are the same, as the difference to the links that are known
    touched        whose clusters that changes, followed through the links as far as they reach
    clusters       connected components of the links, and the lead of each

Two stories are the same when all of this holds:

1. Their instants are at most `NEAR` apart.
2. At least `SHARE` of the smaller one's sample, and `FEWEST` shingles, stand in the other one's, where a shingle that
   many stories have does not count. Stories are counted from `NEAR` before the earlier to `NEAR` after the later of
   the two, exact copies as one: a story that five hundred sites carry unchanged is not boilerplate. "Many" is one in
   `ONE_IN` of the stories there, but at least `FREQUENT`, at most `COMMON`.
   Or: at least `ALMOST_ALL`, where only what more than `COMMON` have does not count. In a quiet week a wire story that
   thirty sites carry with a footer of their own would else be boilerplate itself.
3. Of the numbers of the one that states fewer, if it states `NUMBERS` or more, at least half stand in the other.
4. No exact copy of either stands between them, in the order of instant and id. Where two stories have many copies
   only neighbours are linked: the components are the same, and three thousand copies cost three thousand links, not
   four and a half million.

Each of these looks at nothing that is farther than `NEAR` from the pair, and at the stories as they are now. So the
links are a function of what the store holds, whatever came first, and a change at an instant can only change the
verdict on pairs of which the earlier stands at most 2 × `NEAR` before it and the later at most 2 × `NEAR` after it.
To count their boilerplate, `REACH` around the change has to be loaded.

Why containment of sampled shingles: it finds a story that was cut or grown, where Jaccard and MinHash bands do not.
`FREQUENT`, `ONE_IN` and `ALMOST_ALL` were chosen among some eighty settings on the halves of the measured sets that are
open to development; no figure below was taken on the halves that are held back.
"""

from __future__ import annotations

import html
import unicodedata
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from ingest import dates
from ingest.models import Fingerprint, Head, Link, Window

VERSION = "1"  # changes when fingerprints change: those of two versions cannot be compared

NEAR = timedelta(hours=72)  # a wire's own re-files come within three days, its next report of the kind later
REACH = 3 * NEAR + timedelta(seconds=1)  # a second more, because instants are kept in whole seconds
SHARE = (3, 5)  # .6: below it follow-ups merge, above it cut and damaged copies are lost
ALMOST_ALL = (9, 10)  # pages that are boilerplate for the most part share up to .85
FEWEST = 3  # shingles in common; two can be one phrase
# Counted over a whole archive, 50 is the best limit. In nine days of a small one (140 stories a day) what each of them
# prints does not reach it, and F1 falls from .95 to .86 (re-files) and from .96 to .55 (pages in boilerplate). With 9
# and 1 in 100 it is .94 and .94, and families of ten damaged copies keep .98; with 6 these fall to .83.
COMMON = 50
FREQUENT = 9
ONE_IN = 100
MANY = (FREQUENT, COMMON)
NUMBERS = 3

SHINGLE = 9  # characters
SAMPLE = 32  # one shingle of so many is kept
LEAST = 12  # of a short text the smallest are kept, so many
LABEL = 32  # shingles: a text with fewer (five words) is a label ("Photo of the day") and never the same as another

_BOUND = np.uint64(2**64 // SAMPLE)
_BATCH = 1 << 16  # characters hashed at once: fits the cache
_LONGEST = 40  # characters of a number
_MOST = 1000  # numbers of a text
_PAIRS = 1 << 21  # pairs looked at at once: bounds memory
_NEAR = int(NEAR.total_seconds())

Hashes = NDArray[np.uint64]
Ints = NDArray[np.int64]
Flags = NDArray[np.bool_]


# fingerprints ------------------------------------------------------------------------------------------------------
def fingerprints(texts: Sequence[tuple[str | None, str]]) -> list[Fingerprint]:
    """The fingerprint of each (title, text), in the same order.

    Shingles run over title and text, HTML unescaped, in NFKC and lower case, words joined by one blank. A Chinese,
    Japanese or Korean character counts as three, since it says as much. Hashes are the same on every machine. Of a
    text too short to be told from a label the sample is empty.
    """
    result: list[Fingerprint] = []
    for batch in _batches(f"{title or ''}\n{text}" for title, text in texts):
        result.extend(_fingerprint_batch(batch))
    return result


def _batches(texts: Iterable[str]) -> Iterator[list[str]]:
    batch: list[str] = []
    size = 0
    for text in texts:
        if "&" in text:
            text = html.unescape(text)
        if not text.isascii():
            text = unicodedata.normalize("NFKC", text)
        batch.append(text)
        size += len(text)
        if size >= _BATCH:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def _fingerprint_batch(texts: list[str]) -> list[Fingerprint]:
    joined = " ".join(texts) + " "
    starts = np.cumsum([0, *(len(text) + 1 for text in texts)])
    points = np.frombuffer(joined.encode("utf-32-le", "surrogatepass"), np.uint32)
    letters = _alphabet()[np.minimum(points, _ALPHABET - 1)]
    if points.max() >= _ALPHABET:
        letters = np.where(points >= _ALPHABET, points, letters)
    samples = _samples(*_squeezed(letters, starts))
    numbers = _numbers(joined, points, letters, starts)
    return [Fingerprint(sample, stated) for sample, stated in zip(samples, numbers, strict=True)]


_ALPHABET = 0x20000  # what lies above is Chinese characters
_DROPPED = 0
_BLANK = 32


@cache
def _alphabet() -> NDArray[np.uint32]:
    """What each character becomes: lower case, ASCII digits, a blank between words, nothing for invisible ones."""
    return np.array([_letter(chr(point)) for point in range(_ALPHABET)], np.uint32)


def _letter(char: str) -> int:
    category = unicodedata.category(char)
    if category == "Nd":
        return ord("0") + unicodedata.digit(char)
    if category[0] in "LMN":
        return ord(char.lower()[0])
    return _DROPPED if category == "Cf" else _BLANK  # soft hyphens and joiners stand inside words


def _squeezed(letters: NDArray[np.uint32], starts: Ints) -> tuple[Hashes, Ints]:
    """Words joined by one blank, a blank after the last; where each text starts in that."""
    visible = letters != _DROPPED
    if not visible.all():
        starts = np.concatenate(([0], np.cumsum(visible)))[starts]
        letters = letters[visible]
    keep = letters != _BLANK
    keep[1:] |= keep[:-1].copy()
    starts = np.concatenate(([0], np.cumsum(keep)))[starts]
    letters = letters[keep]
    if len(letters) and letters.max() >= 0x2E80:
        width = np.where(_dense(letters), 3, 1)
        starts = np.concatenate(([0], np.cumsum(width)))[starts]
        letters = np.repeat(letters, width)
    return letters.astype(np.uint64), starts


def _dense(letters: NDArray[np.uint32]) -> Flags:
    """Which characters are a syllable or a word: Chinese, Japanese, Korean, Yi."""
    result: Flags = (
        ((letters >= 0x2E80) & (letters < 0xA4D0))
        | ((letters >= 0xAC00) & (letters < 0xD7B0))
        | ((letters >= 0xF900) & (letters < 0xFB00))
        | (letters >= _ALPHABET)
    )
    return result


def _samples(units: Hashes, starts: Ints) -> list[Hashes]:
    hashes = _hashes(units)
    last = np.maximum(starts[1:] - SHINGLE, starts[:-1])  # the blank at the end belongs to no shingle
    at = np.flatnonzero(hashes < _BOUND)
    text = np.searchsorted(starts, at, side="right") - 1
    inside = at < last[text]
    kept, text = hashes[at[inside]], text[inside]
    order = np.lexsort((kept, text))
    kept, text = kept[order], text[order]
    fresh = np.ones(len(kept), np.bool_)
    fresh[1:] = (kept[1:] != kept[:-1]) | (text[1:] != text[:-1])
    kept, text = kept[fresh], text[fresh]
    bounds = np.searchsorted(text, np.arange(len(starts)))
    samples = [kept[a:b] for a, b in zip(bounds[:-1].tolist(), bounds[1:].tolist(), strict=True)]
    for short in np.flatnonzero(np.diff(bounds) < LEAST).tolist():
        every = np.unique(hashes[starts[short] : last[short]])
        enough = last[short] - starts[short] >= LABEL
        samples[short] = every[:LEAST].copy() if enough else every[:0].copy()
    return samples


def _power(exponent: int) -> np.uint64:
    return np.uint64(pow(0x9E3779B97F4A7C15, exponent, 2**64))


def _hashes(units: Hashes) -> Hashes:
    """A hash of every `SHINGLE` units: a polynomial modulo 2⁶⁴, by doubling, its bits then mixed upwards."""
    if len(units) < SHINGLE:
        return units[:0]
    two = units[:-1] * _power(1) + units[1:]
    four = two[:-2] * _power(2) + two[2:]
    eight = four[:-4] * _power(4) + four[4:]
    nine = eight[:-1] * _power(1) + units[8:]
    nine ^= nine >> np.uint64(29)
    nine *= np.uint64(0xBF58476D1CE4E5B9)
    return nine


def _numbers(
    joined: str, points: NDArray[np.uint32], letters: NDArray[np.uint32], starts: Ints
) -> list[tuple[str, ...]]:
    """The numbers of each text as they stand there ("78,000", "2022-05-24"), in ASCII digits, sorted."""
    digit = (letters >= ord("0")) & (letters <= ord("9"))
    inside = np.isin(points[1:-1], [ord(char) for char in ".,/-"])
    run = digit.copy()
    run[1:-1] |= inside & digit[:-2] & digit[2:]
    edges = np.diff(run.astype(np.int8))
    firsts = np.flatnonzero(edges == 1) + 1
    if run[0]:
        firsts = np.concatenate(([0], firsts))
    ends = np.flatnonzero(edges == -1) + 1  # the last character is a blank
    bounds = np.searchsorted(firsts, starts).tolist()
    found = [joined[a : min(b, a + _LONGEST)] for a, b in zip(firsts.tolist(), ends.tolist(), strict=True)]
    found = [number if number.isascii() else _ascii(number) for number in found]
    return [tuple(sorted(found[a : min(b, a + _MOST)])) for a, b in pairwise(bounds)]


def _ascii(number: str) -> str:
    return "".join(str(unicodedata.digit(char, char)) for char in number)


# verdicts ----------------------------------------------------------------------------------------------------------
@dataclass(frozen=True, slots=True)
class Verdicts:
    """What a change does to the links: `linked` are new ones, and those whose share, hours or numbers are others than
    before (they replace the link between the same two); `unlinked` are pairs (a < b) whose link no longer holds."""

    linked: tuple[Link, ...] = ()
    unlinked: tuple[tuple[str, str], ...] = ()


def together(parts: Iterable[Verdicts]) -> Verdicts:
    """The verdicts on several windows as one: a story that moved from one to another loses its links in both."""
    linked: dict[tuple[str, str], Link] = {}
    unlinked: set[tuple[str, str]] = set()
    for part in parts:
        linked.update(((link.a, link.b), link) for link in part.linked)
        unlinked.update(part.unlinked)
    return Verdicts(tuple(linked[pair] for pair in sorted(linked)), tuple(sorted(unlinked - linked.keys())))


def reach(moments: Iterable[int]) -> list[tuple[int, int]]:
    """What has to be loaded around these moments: spans in seconds since the epoch, both ends included, disjoint and
    ascending. Each is loaded and judged alone, with the moments inside it, and the verdicts put `together`."""
    width = int(REACH.total_seconds())
    spans: list[tuple[int, int]] = []
    for moment in sorted(set(moments)):
        if spans and moment - width <= spans[-1][1]:
            spans[-1] = (spans[-1][0], moment + width)
        else:
            spans.append((moment - width, moment + width))
    return spans


def judge(
    window: Window, changed: Collection[str], moments: Sequence[int], *, many: tuple[int, int] = MANY
) -> Verdicts:
    """Judge again every pair that a change may have made or unmade; the difference to `window.links`.

    `changed` are the stories that are new, have another text or another instant (or are gone); `moments` are the
    instants (s since the epoch) that they had before and have now. `window` holds, with these changes made, all
    stories within `REACH` of each moment (more does no harm), and the links that have an end among them. `many` is
    (`FREQUENT`, `COMMON`), smaller for small examples.
    """
    stories = _Stories.of(window)
    changed = frozenset(changed)
    affected = _Affected(stories, moments)
    found = {(link.a, link.b): link for link in _links(stories, affected, many)}
    known = {(link.a, link.b): link for link in window.links}
    unlinked = [pair for pair in known if pair not in found and (not changed.isdisjoint(pair) or affected.holds(*pair))]
    linked = [link for pair, link in found.items() if known.get(pair) != link]
    return Verdicts(tuple(sorted(linked, key=lambda link: (link.a, link.b))), tuple(sorted(unlinked)))


@dataclass(frozen=True, slots=True, eq=False)
class _Stories:
    """A window in the order of instant and id, its samples end to end: `hashes[rows[k]:rows[k + 1]]` is that of `k`."""

    ids: list[str]
    times: Ints
    prints: list[Fingerprint]
    hashes: Hashes
    rows: Ints

    @classmethod
    def of(cls, window: Window) -> _Stories:
        order = [
            k for _, _, k in sorted(zip(window.instants.tolist(), window.ids, range(len(window.ids)), strict=True))
        ]
        prints = [window.fingerprints[k] for k in order]
        sizes = [len(one.shingles) for one in prints]
        hashes = np.concatenate([np.empty(0, np.uint64), *(one.shingles for one in prints)])
        times = np.asarray(window.instants, np.int64)[order]
        return cls([window.ids[k] for k in order], times, prints, hashes, np.cumsum([0, *sizes]))

    def __len__(self) -> int:
        return len(self.ids)

    def since(self, moments: Ints) -> Ints:
        """The first story at or after each moment."""
        return np.searchsorted(self.times, moments, side="left").astype(np.int64)

    def until(self, moments: Ints) -> Ints:
        """The first story after each moment."""
        return np.searchsorted(self.times, moments, side="right").astype(np.int64)


class _Affected:
    """Which pairs a change at some moments can reach: those whose boilerplate is counted over one of them."""

    def __init__(self, stories: _Stories, moments: Sequence[int]) -> None:
        self.times = stories.times
        self.moments = np.unique(np.asarray(moments, np.int64))
        self.places = {story: k for k, story in enumerate(stories.ids)}

    def holds(self, a: str, b: str) -> bool:
        """Whether both are in the window, and the pair in reach."""
        if a not in self.places or b not in self.places:
            return False
        i, j = sorted((self.places[a], self.places[b]))
        return bool(self.pairs(np.array([i]), np.array([j]))[0])

    def pairs(self, i: Ints, j: Ints) -> Flags:
        """For pairs of places, i the earlier."""
        return self._between(self.times[i] - _NEAR, self.times[j] + _NEAR)

    def earlier(self) -> Ints:
        """The stories that can be the earlier of such a pair."""
        return np.flatnonzero(self._between(self.times - _NEAR, self.times + 2 * _NEAR))

    def _between(self, since: Ints, until: Ints) -> Flags:
        first = np.searchsorted(self.moments, since, side="left")
        after = np.searchsorted(self.moments, until, side="right")
        result: Flags = first < after
        return result


def _links(stories: _Stories, affected: _Affected, many: tuple[int, int]) -> Iterator[Link]:
    """The links among all affected pairs."""
    index = _Index(stories, *many)
    for earlier in _blocks(stories, affected.earlier()):
        i, j = index.candidates(earlier)
        kept = affected.pairs(i, j)
        i, j = i[kept], j[kept]
        share = index.shares(i, j)
        for a, b, part in zip(*(x[share > 0].tolist() for x in (i, j, share)), strict=True):
            link = _link(stories, a, b, part)
            if link:
                yield link


def _blocks(stories: _Stories, places: Ints) -> Iterator[Ints]:
    """The places in runs whose samples together stay small."""
    total = np.cumsum(stories.rows[places + 1] - stories.rows[places])
    cuts = np.searchsorted(total, np.arange(_PAIRS, total[-1] if len(total) else 0, _PAIRS))
    yield from (block for block in np.split(places, cuts) if len(block))


def _link(stories: _Stories, i: int, j: int, share: float) -> Link | None:
    hours = round(int(stories.times[j] - stories.times[i]) / 3600, 2)
    if stories.ids[j] < stories.ids[i]:
        i, j = j, i
    first, second = stories.prints[i].numbers, stories.prints[j].numbers
    if first == second:
        return Link(stories.ids[i], stories.ids[j], round(share, 4), hours)
    one, other = Counter(first), Counter(second)
    fewer = min(len(first), len(second))
    if fewer >= NUMBERS and 2 * (one & other).total() < fewer:
        return None
    differ = (tuple(sorted((one - other).elements())), tuple(sorted((other - one).elements())))
    return Link(stories.ids[i], stories.ids[j], round(share, 4), hours, differ)


class _Index:
    """Which stories have which shingle, for one window.

    A posting is a story that has a shingle; postings stand in the order of shingle, then story. Shingles that only
    one story has stand in no posting.
    """

    def __init__(self, stories: _Stories, frequent: int, common: int) -> None:
        self.stories = stories
        self.frequent, self.common = frequent, common
        self.before, self.after = _copies(stories)
        count = len(stories)
        owner = np.repeat(np.arange(count), np.diff(stories.rows))
        order = np.argsort(stories.hashes, kind="stable")
        first = np.ones(len(order), np.bool_)
        first[1:] = stories.hashes[order[1:]] != stories.hashes[order[:-1]]
        single = first.copy()
        single[:-1] &= first[1:]
        order, first = order[~single], first[~single]
        self.story = owner[order]
        self.shingle = np.cumsum(first) - 1
        self.key = self._key(self.shingle, self.story)  # ascending: finds a story among the postings of a shingle
        self.posting = np.full(len(owner), -1, np.int64)  # of each place in stories.hashes
        self.posting[order] = np.arange(len(order))
        new = self.before[self.story] < 0
        self.distinct = np.bincount(self.shingle[new], minlength=int(first.sum()))  # fingerprints that have a shingle
        old = stories.times[np.maximum(self.before, 0)] >= stories.times - 3 * _NEAR
        fresh = ~((self.before >= 0) & old)
        self.fresh = np.concatenate(([0], np.cumsum(fresh[self.story])))
        self.since = stories.since(stories.times - _NEAR)
        self.until = stories.until(stories.times + _NEAR)
        self.limit = _limits(stories)
        self.certain = self._certain()

    def candidates(self, earlier: Ints) -> tuple[Ints, Ints]:
        """The pairs (i, j) with i among `earlier` that share enough to be worth counting exactly."""
        slots = self._postings(earlier)
        i = self.story[slots]
        usual = ~self._boilerplate(self.shingle[slots], self.since[i], self.until[i], self.common)
        slots, i = slots[usual], i[usual]
        last = np.minimum(self.until[i], self.after[i] + 1)
        length = self._find(self.shingle[slots], last) - slots - 1
        slots, i, length = slots[length > 0], i[length > 0], length[length > 0]
        # All that one story shares has to be counted at once; many stories at once would take too much memory.
        total = np.cumsum(np.bincount(i, length, len(self.stories)).astype(np.int64))
        part = total // _PAIRS
        parts = [
            self._pairs(slots[mine], i[mine], length[mine])
            for mine in (np.flatnonzero(part[i] == k) for k in np.unique(part[i]))
        ]
        first, second = np.concatenate([np.empty((2, 0), np.int64), *parts], axis=1)
        return first, second

    def _pairs(self, slots: Ints, i: Ints, length: Ints) -> Ints:
        count = len(self.stories)
        other, which = _ranges(slots + 1, length)
        i, j = i[which], self.story[other]
        near = self.before[j] <= i  # no copy of j stands between
        pairs, shared = np.unique(i[near] * count + j[near], return_counts=True)
        i, j = pairs // max(count, 1), pairs % max(count, 1)
        least = np.minimum(self.certain[i], self.certain[j])
        enough = (shared >= FEWEST) & _at_least(shared, least, SHARE)
        return np.stack([i[enough], j[enough]])

    def shares(self, i: Ints, j: Ints) -> NDArray[np.float64]:
        """How much of the smaller one's sample stands in the other, for each pair; 0 where that is too little."""
        result = np.zeros(len(i))
        step = _PAIRS >> 8
        for part in np.split(np.arange(len(i)), range(step, len(i), step)):
            one, other = self._counted(i[part], i[part], j[part]), self._counted(j[part], i[part], j[part])
            sizes = np.maximum(np.minimum(one[:, 0], other[:, 0]), 1)
            shared = one[:, 1]  # the same seen from either side
            same = (shared >= FEWEST) & np.stack(
                [_at_least(shared[0], sizes[0], SHARE), _at_least(shared[1], sizes[1], ALMOST_ALL)]
            )
            share = shared / sizes
            result[part] = np.where(same[0], share[0], np.where(same[1], share[1], 0.0))
        return result

    def _counted(self, side: Ints, i: Ints, j: Ints) -> Ints:
        """How many shingles of `side` count for the pairs (i, j), and how many of these stand in both: for each of the
        two limits, [limit, (all, shared), pair]."""
        rows = self.stories.rows
        place, pair = _ranges(rows[side], rows[side + 1] - rows[side])
        # A text of a few lines keeps more than one in 32. What the other would not have kept says nothing.
        comparable = self.stories.hashes[place] <= np.minimum(self.limit[i], self.limit[j])[pair]
        place, pair = place[comparable], pair[comparable]
        posting = self.posting[place]
        several = np.flatnonzero(posting >= 0)
        shingle, of = self.shingle[posting[several]], pair[several]
        since, until = self.since[i[of]], self.until[j[of]]
        both = np.zeros(len(place), np.bool_)
        other = np.where(side == i, j, i)[of]
        both[several] = self.key[np.minimum(self._find(shingle, other), len(self.key) - 1)] == self._key(shingle, other)
        result = np.empty((2, 2, len(side)), np.int64)
        limits = (np.clip((until - since) // ONE_IN, self.frequent, self.common), self.common)
        for k, limit in enumerate(limits):
            counts = np.ones(len(place), np.bool_)
            counts[several] = ~self._boilerplate(shingle, since, until, limit)
            result[k, 0] = np.bincount(pair[counts], minlength=len(side))
            result[k, 1] = np.bincount(pair[counts & both], minlength=len(side))
        return result

    def _certain(self) -> Ints:
        """How many shingles of each story count in every pair: those of its regular sample that are never many."""
        certain = self.stories.hashes < _BOUND
        known = np.flatnonzero(self.posting >= 0)
        certain[known] &= self.distinct[self.shingle[self.posting[known]]] <= self.frequent
        total = np.concatenate(([0], np.cumsum(certain)))
        result: Ints = total[self.stories.rows[1:]] - total[self.stories.rows[:-1]]
        return result

    def _postings(self, stories: Ints) -> Ints:
        """The postings of these stories, ascending: what is looked up in order is found much faster."""
        rows = self.stories.rows
        slots = self.posting[_ranges(rows[stories], rows[stories + 1] - rows[stories])[0]]
        return np.sort(slots[slots >= 0])

    def _key(self, shingle: Ints, story: Ints) -> Ints:
        return shingle * len(self.stories) + story

    def _find(self, shingle: Ints, story: Ints) -> Ints:
        """The first posting of the shingle that is of this story or a later one."""
        return np.searchsorted(self.key, self._key(shingle, story), side="left").astype(np.int64)

    def _boilerplate(self, shingle: Ints, since: Ints, until: Ints, limit: int | Ints) -> Flags:
        """Whether more than `limit` distinct fingerprints among the stories since ≤ k < until have the shingle."""
        limits = np.broadcast_to(np.asarray(limit, np.int64), shingle.shape)
        result = np.zeros(len(shingle), np.bool_)
        maybe = np.flatnonzero(self.distinct[shingle] > limits)
        low, high = self._find(shingle[maybe], since[maybe]), self._find(shingle[maybe], until[maybe])
        # Those without an equal one in the 216 h before are distinct: no interval is longer.
        result[maybe] = self.fresh[high] - self.fresh[low] > limits[maybe]
        doubtful = np.flatnonzero(~result[maybe] & (high - low > limits[maybe]))
        size = np.cumsum((high - low)[doubtful])
        cuts = np.searchsorted(size, np.arange(_PAIRS, size[-1] if len(size) else 0, _PAIRS))
        for part in np.split(doubtful, cuts):
            slots, which = _ranges(low[part], high[part] - low[part])
            first = self.before[self.story[slots]] < since[maybe[part]][which]
            result[maybe[part]] = np.bincount(which[first], minlength=len(part)) > limits[maybe[part]]
        return result


def _at_least(part: Ints, whole: Ints, share: tuple[int, int]) -> Flags:
    result: Flags = part * share[1] >= whole * share[0]
    return result


def _ranges(starts: Ints, lengths: Ints) -> tuple[Ints, Ints]:
    """The numbers start … start + length - 1 of each, end to end, and whose each is."""
    which = np.repeat(np.arange(len(starts)), lengths)
    offset = np.arange(len(which)) - np.repeat(np.cumsum(lengths) - lengths, lengths)
    return starts[which] + offset, which


def _limits(stories: _Stories) -> Hashes:
    """The greatest hash up to which each sample is complete."""
    sizes = np.diff(stories.rows)
    limits = np.full(len(stories), _BOUND - np.uint64(1))
    some = np.flatnonzero(sizes > 0)
    limits[some] = np.maximum(limits[some], stories.hashes[stories.rows[1:][some] - 1])
    limits[sizes < LEAST] = np.uint64(2**64 - 1)
    return limits


def _copies(stories: _Stories) -> tuple[Ints, Ints]:
    """For each story the exact copy before it (-1: none) and the one after it (the number of stories: none)."""
    count = len(stories)
    before, after = np.full(count, -1, np.int64), np.full(count, count, np.int64)
    sizes = np.diff(stories.rows)
    some = np.flatnonzero(sizes > 0)
    if not len(some):
        return before, after
    mixed = (stories.hashes ^ (stories.hashes >> np.uint64(31))) * np.uint64(0x94D049BB133111EB)
    sums = np.add.reduceat(mixed, stories.rows[:-1][some])
    _, group, size = np.unique(sums, return_inverse=True, return_counts=True)
    latest: dict[tuple[int, tuple[str, ...]], int] = {}
    for at in np.flatnonzero(size[group] > 1).tolist():
        k = int(some[at])
        key = (int(group[at]), stories.prints[k].numbers)
        if key in latest:
            before[k] = latest[key]
            after[latest[key]] = k
        latest[key] = k
    return before, after


# clusters ----------------------------------------------------------------------------------------------------------
def touched(
    changed: Iterable[str], verdicts: Verdicts, links: Callable[[Collection[str]], Iterable[Link]]
) -> tuple[set[str], list[Link]]:
    """Whose clusters have to be made again, and the links among them as they are once the verdicts are written.

    `links` gives the links that have an end among some stories, as they were before (the store's method). They are
    followed as far as they reach, each story asked for once.
    """
    linked = {(link.a, link.b): link for link in verdicts.linked}
    gone = {*verdicts.unlinked, *linked}
    beside: dict[str, list[Link]] = {}
    for link in verdicts.linked:
        beside.setdefault(link.a, []).append(link)
        beside.setdefault(link.b, []).append(link)
    ends = [end for pair in gone for end in pair]
    reached: set[str] = set()
    result: dict[tuple[str, str], Link] = {}
    todo = {*changed, *ends}
    while todo:
        reached |= todo
        found = [link for link in links(todo) if (link.a, link.b) not in gone]
        found.extend(link for story in todo for link in beside.get(story, ()))
        result.update(((link.a, link.b), link) for link in found)
        todo = {end for link in found for end in (link.a, link.b)} - reached
    return reached, [result[pair] for pair in sorted(result)]


def clusters(heads: Mapping[str, Head], links: Iterable[Link]) -> dict[str, tuple[str, bool]]:
    """The connected components of the links among these stories: story → (id of its lead, whether it is the lead).

    The lead is the earliest: dated before undated, then published, then first_seen, then id. Links to stories that
    are not among `heads` are left aside.
    """
    roots = {story: story for story in heads}

    def root(story: str) -> str:
        while roots[story] != story:
            roots[story] = story = roots[roots[story]]
        return story

    for link in links:
        if link.a in roots and link.b in roots:
            roots[root(link.a)] = root(link.b)
    leads: dict[str, str] = {}
    for story in sorted(heads, key=lambda story: _precedence(heads[story])):
        leads.setdefault(root(story), story)
    return {story: (leads[root(story)], leads[root(story)] == story) for story in heads}


def _precedence(head: Head) -> tuple[bool, datetime, datetime, str]:
    published = dates.instant(head.published) if head.published else head.first_seen
    return head.published is None, published, head.first_seen, head.id
