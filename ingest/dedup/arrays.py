"""Arrays that are sorted in runs, that grow, or that hold many short runs end to end."""

from __future__ import annotations

from typing import Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

Hashes = NDArray[np.uint64]
Ints = NDArray[np.int64]
Flags = NDArray[np.bool_]
Kind = TypeVar("Kind", bound=np.generic)


def ranges(starts: Ints, lengths: Ints) -> tuple[Ints, Ints]:
    """The numbers start … start + length - 1 of each, end to end, and whose each is."""
    return run_on(starts, lengths), np.repeat(np.arange(len(starts)), lengths)


def run_on(starts: Ints, lengths: Ints) -> Ints:
    """The numbers start … start + length - 1 of each, end to end."""
    before = np.cumsum(lengths) - lengths
    result = np.repeat(starts - before, lengths)
    result += np.arange(len(result))
    return result


def at_least(part: Ints, whole: Ints, share: tuple[int, int]) -> Flags:
    result: Flags = part * share[1] >= whole * share[0]
    return result


def repeated(ascending: NDArray[Kind]) -> tuple[NDArray[Kind], Ints]:
    """The different ones among values in order, and how often each stands there."""
    fresh = np.ones(len(ascending), np.bool_)
    fresh[1:] = ascending[1:] != ascending[:-1]
    first = np.flatnonzero(fresh)
    return ascending[first], np.diff(first, append=len(ascending))


def once(values: NDArray[Kind]) -> NDArray[Kind]:
    """The different ones among values, in order. By sorting, which costs less than the hashing of `np.unique`."""
    return repeated(np.sort(values))[0]


class Column(Generic[Kind]):
    """An array that grows at its end. Writing to `values` changes it; a later `add` may make another one."""

    def __init__(self, kind: type[Kind]) -> None:
        self._room: NDArray[Kind] = np.empty(16, kind)
        self._size = 0

    def __len__(self) -> int:
        return self._size

    @property
    def values(self) -> NDArray[Kind]:
        return self._room[: self._size]

    def add(self, values: NDArray[Kind]) -> None:
        size = self._size + len(values)
        if size > len(self._room):
            room = np.empty(max(size, len(self._room) + len(self._room) // 2), self._room.dtype)
            room[: self._size] = self.values
            self._room = room
        self._room[self._size : size] = values
        self._size = size
