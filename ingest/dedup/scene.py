"""The stories around a change as they will be, kept where they can be read again and again.

A window of a million stories takes half a gigabyte. Here samples and names lie in a temporary file (in memory, where
there are few), and only some bytes a story stay at hand: its instant, and which other stories are exact copies of it.
A story is named by its place in the order of instant and id.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from tempfile import SpooledTemporaryFile
from zlib import crc32

import numpy as np
import orjson
from numpy.typing import NDArray

from ingest.dedup.arrays import Flags, Hashes, Ints, ranges
from ingest.dedup.verdicts import NEAR_SECONDS
from ingest.models import Window

_IN_MEMORY = 32 << 20  # bytes

Alive = Callable[[], None]
Places = NDArray[np.int32]


@dataclass(frozen=True, slots=True, eq=False)
class Stories:
    """Some stories and their samples, end to end: that of `places[k]` is `hashes[rows[k]:rows[k + 1]]`."""

    places: Ints
    hashes: Hashes
    rows: Ints

    def owners(self) -> Ints:
        """Whose each hash is, as an index into `places`."""
        return np.repeat(np.arange(len(self.places)), np.diff(self.rows))

    def some(self, which: Ints) -> Stories:
        """Those of some indices into `places`."""
        sizes = self.rows[which + 1] - self.rows[which]
        hashes = self.hashes[ranges(self.rows[which], sizes)[0]]
        return Stories(self.places[which], hashes, np.concatenate(([0], np.cumsum(sizes))))


@dataclass(frozen=True, slots=True, eq=False)
class Gone:
    """Stories as they were before they changed. `place` is how many stories of the scene stand before each."""

    ids: list[str]
    places: Ints
    times: Ints
    keys: Hashes
    hashes: Hashes
    rows: Ints


class Scene:
    """See the module's docstring. `alive` is called between two pieces, whenever the stories are read."""

    def __init__(self, pieces: Iterable[Window], changed: Collection[str], now: Window, alive: Alive) -> None:
        """`pieces` are the stories as they are in the store, `now` those of `changed` that will be there."""
        self._file = SpooledTemporaryFile(_IN_MEMORY)  # noqa: SIM115 - closed by `close`
        self._alive = alive
        self._pieces: list[tuple[int, int, int, int]] = []  # first place, offset, bytes of hashes, bytes of names
        merged = _Merged(changed, now)
        times: list[Ints] = []
        keys: list[Hashes] = []
        sizes: list[Places] = []
        fresh: list[Flags] = []
        first = 0
        for window, new in merged.pieces(pieces):
            alive()
            self._keep(window, first)
            first += len(window)
            times.append(window.instants)
            keys.append(_keys(window))
            sizes.append(np.diff(window.bounds).astype(np.int32))
            fresh.append(new)
        self.gone = merged.gone()
        self.times: Ints = np.concatenate([np.empty(0, np.int64), *times])
        self.keys: Hashes = np.concatenate([np.empty(0, np.uint64), *keys])
        self._sizes: Places = np.concatenate([np.empty(0, np.int32), *sizes])
        self.changed: Flags = np.concatenate([np.empty(0, np.bool_), *fresh])
        some = self._sizes > 0
        self.before, self.after = _copies(self.keys, some)
        self.old_before, _ = _copies(self.keys, some & ~self.changed)
        self.moments = np.unique(np.concatenate((self.times[self.changed], self.gone.times)))

    def close(self) -> None:
        self._file.close()

    def __len__(self) -> int:
        return len(self.times)

    def since(self, moments: Ints) -> Ints:
        """The first story at or after each moment."""
        return np.searchsorted(self.times, moments, side="left").astype(np.int64)

    def until(self, moments: Ints) -> Ints:
        """The first story after each moment."""
        return np.searchsorted(self.times, moments, side="right").astype(np.int64)

    @property
    def shingles(self) -> int:
        """How many there are in all samples together."""
        return int(self._sizes.sum())

    # reading ---------------------------------------------------------------------------------------------------
    def pieces(self) -> Iterator[Stories]:
        """All stories, in order."""
        for number in range(len(self._pieces)):
            self._alive()
            yield self._piece(number)

    def stories(self, places: Ints) -> Stories:
        """The stories at these places (ascending, each once)."""
        parts = []
        for number, mine in self._among(places):
            piece = self._piece(number)
            at = mine - piece.places[0]
            parts.append(piece.hashes[ranges(piece.rows[at], piece.rows[at + 1] - piece.rows[at])[0]])
        rows = np.concatenate(([0], np.cumsum(self._sizes[places], dtype=np.int64)))
        return Stories(places, np.concatenate([np.empty(0, np.uint64), *parts]), rows)

    def names(self, places: Ints) -> dict[int, tuple[str, str]]:
        """Id and numbers of the stories at these places."""
        result: dict[int, tuple[str, str]] = {}
        for number, mine in self._among(places):
            ids, numbers = self._names(number)
            first = self._pieces[number][0]
            result.update((place, (ids[place - first], numbers[place - first])) for place in mine.tolist())
        return result

    def find(self, ids: Collection[str]) -> dict[str, int]:
        """Where these stories stand; those that are not there are left out."""
        result: dict[str, int] = {}
        for number in range(len(self._pieces) if ids else 0):
            self._alive()
            first = self._pieces[number][0]
            result.update((id_, first + k) for k, id_ in enumerate(self._names(number)[0]) if id_ in ids)
        return result

    def _among(self, places: Ints) -> Iterator[tuple[int, Ints]]:
        edges = np.searchsorted(places, [*(piece[0] for piece in self._pieces), len(self)])
        for number in range(len(self._pieces)):
            if edges[number] < edges[number + 1]:
                self._alive()
                yield number, places[edges[number] : edges[number + 1]]

    # the file --------------------------------------------------------------------------------------------------
    def _keep(self, window: Window, first: int) -> None:
        hashes = np.ascontiguousarray(window.shingles, np.uint64).tobytes()
        names = orjson.dumps([list(window.ids), list(window.numbers)])
        self._pieces.append((first, self._file.tell(), len(hashes), len(names)))
        self._file.write(hashes)
        self._file.write(names)

    def _piece(self, number: int) -> Stories:
        first, offset, length, _ = self._pieces[number]
        stop = self._pieces[number + 1][0] if number + 1 < len(self._pieces) else len(self)
        self._file.seek(offset)
        hashes = np.frombuffer(self._file.read(length), np.uint64)
        rows = np.concatenate(([0], np.cumsum(self._sizes[first:stop], dtype=np.int64)))
        return Stories(np.arange(first, stop), hashes, rows)

    def _names(self, number: int) -> tuple[list[str], list[str]]:
        _, offset, length, names = self._pieces[number]
        self._file.seek(offset + length)
        ids, numbers = orjson.loads(self._file.read(names))
        return ids, numbers


class _Merged:
    """The pieces of the store with a change made: without the stories that change, with what they will be."""

    def __init__(self, changed: Collection[str], now: Window) -> None:
        self._changed = changed
        self._now = now
        self._next = 0  # of `now`
        self._count = 0
        self._gone: list[tuple[Window, Ints]] = []

    def pieces(self, pieces: Iterable[Window]) -> Iterator[tuple[Window, Flags]]:
        """Pieces in order, and which of their stories are new."""
        for piece in pieces:
            if len(piece):
                yield self._merge(piece)
        if self._next < len(self._now):
            rest = _picked(self._now, np.arange(self._next, len(self._now)))
            yield rest, np.ones(len(rest), np.bool_)

    def _merge(self, piece: Window) -> tuple[Window, Flags]:
        away = np.array([k for k, id_ in enumerate(piece.ids) if id_ in self._changed], np.int64)
        stays = np.delete(np.arange(len(piece)), away)
        first, into = self._next, self._places(piece)
        # Where a story stands is told by twice its place in the piece, and one: a new one goes before it.
        ranks = np.concatenate((2 * stays + 1, 2 * np.array(into, np.int64)))
        order = np.argsort(ranks, kind="stable")
        if len(away):
            places = self._count + np.searchsorted(ranks[order], 2 * away + 1)
            self._gone.append((_picked(piece, away), places))
        self._count += len(order)
        if not len(away) and not into:
            return piece, np.zeros(len(piece), np.bool_)
        both = _joined(_picked(piece, stays), _picked(self._now, np.arange(first, self._next)))
        return _picked(both, order), order >= len(stays)

    def _places(self, piece: Window) -> list[int]:
        """Where in the piece the new stories go that belong before its end."""
        result = []
        last = int(piece.instants[-1]), piece.ids[-1]
        while self._next < len(self._now):
            moment, id_ = int(self._now.instants[self._next]), self._now.ids[self._next]
            if (moment, id_) > last:
                break
            low = int(np.searchsorted(piece.instants, moment, side="left"))
            high = int(np.searchsorted(piece.instants, moment, side="right"))
            result.append(bisect_left(piece.ids, id_, low, high))
            self._next += 1
        return result

    def gone(self) -> Gone:
        whole = _joined(*(part for part, _ in self._gone))
        places = np.concatenate([np.empty(0, np.int64), *(places for _, places in self._gone)])
        return Gone(list(whole.ids), places, whole.instants, _keys(whole), whole.shingles, whole.bounds)


def _picked(window: Window, places: Ints) -> Window:
    sizes = window.bounds[places + 1] - window.bounds[places]
    return Window(
        [window.ids[k] for k in places.tolist()],
        window.instants[places],
        window.shingles[ranges(window.bounds[places], sizes)[0]],
        np.concatenate(([0], np.cumsum(sizes))),
        [window.numbers[k] for k in places.tolist()],
    )


def _joined(*windows: Window) -> Window:
    return Window(
        [id_ for window in windows for id_ in window.ids],
        np.concatenate([np.empty(0, np.int64), *(window.instants for window in windows)]),
        np.concatenate([np.empty(0, np.uint64), *(window.shingles for window in windows)]),
        np.concatenate(
            ([0], np.cumsum(np.concatenate([np.empty(0, np.int64), *(np.diff(w.bounds) for w in windows)])))
        ),
        [stated for window in windows for stated in window.numbers],
    )


def _keys(window: Window) -> Hashes:
    """The same for exact copies, samples and numbers; 64 bits tell all others apart."""
    result = np.fromiter(map(crc32, map(str.encode, window.numbers)), np.uint64, len(window))
    result *= np.uint64(0x9E3779B97F4A7C15)
    some = np.flatnonzero(np.diff(window.bounds))
    if len(some):
        # Twice, since a sum is to say nothing of sums: {1, 5} is not {2, 4}.
        mixed = (window.shingles ^ (window.shingles >> np.uint64(31))) * np.uint64(0x94D049BB133111EB)
        mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        mixed ^= mixed >> np.uint64(32)
        result[some] += np.add.reduceat(mixed, window.bounds[:-1][some])
    return result


def _copies(keys: Hashes, among: Flags) -> tuple[Places, Places]:
    """For each story the exact copy before it (-1: none) and the one after it (the number of stories: none)."""
    before, after = np.full(len(keys), -1, np.int32), np.full(len(keys), len(keys), np.int32)
    order = np.flatnonzero(among).astype(np.int32)
    order = order[np.argsort(keys[order], kind="stable")]
    same = keys[order[1:]] == keys[order[:-1]]
    earlier, later = order[:-1][same], order[1:][same]
    before[later], after[earlier] = earlier, later
    return before, after


def beside(scene: Scene) -> Ints:
    """The copies of what changed that stand next to it, before and after, among the stories that stay as they are:
    what they are linked to may have another copy between now, or none any more."""
    new = np.flatnonzero(scene.changed)
    keys = np.concatenate((scene.keys[new], scene.gone.keys))
    at = np.concatenate((new, scene.gone.places))
    times = np.concatenate((scene.times[new], scene.gone.times))
    stay = np.flatnonzero(np.isin(scene.keys, keys) & ~scene.changed & (scene._sizes > 0))
    stay = stay[np.argsort(scene.keys[stay], kind="stable")]
    low = np.searchsorted(scene.keys[stay], keys, side="left").tolist()
    high = np.searchsorted(scene.keys[stay], keys, side="right").tolist()
    result: set[int] = set()
    for a, b, place, time in zip(low, high, at.tolist(), times.tolist(), strict=True):
        if a < b:
            middle = a + int(np.searchsorted(stay[a:b], place))
            sides: Sequence[int] = stay[max(a, middle - 1) : min(b, middle + 1)].tolist()
            result.update(k for k in sides if abs(int(scene.times[k]) - time) <= NEAR_SECONDS)
    return np.array(sorted(result), np.int64)
