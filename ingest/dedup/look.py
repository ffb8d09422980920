"""A close look at pairs of stories that are suspected to belong together: what are they to each other?

The answer follows from the two texts and the hours between them alone, so it is the same whenever it is asked.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence

import numpy as np
import orjson
from numpy.typing import NDArray

from ingest.dedup.arrays import Flags
from ingest.dedup.judge import Suspect
from ingest.dedup.likeness import FEATURES, UNSTATED, likeness
from ingest.dedup.profiles import Profile, profiles
from ingest.dedup.scene import Alive
from ingest.dedup.trees import judges
from ingest.models import Kinship

Texts = Callable[[Collection[str]], Mapping[str, tuple[str | None, str]]]

_AT_ONCE = 2000  # profiles kept in memory, at 15 kB


class CloseLook:
    """`texts` gives title and text of stories; those that it does not give are nothing to anybody. `alive` is called
    every now and then."""

    def __init__(self, texts: Texts, alive: Alive = lambda: None) -> None:
        self._texts, self._alive = texts, alive
        self._profiles: dict[str, Profile] = {}

    def __call__(self, suspects: Sequence[Suspect]) -> list[Kinship | None]:
        result: list[Kinship | None] = [None] * len(suspects)
        for some in _parts(suspects):
            self._alive()
            self._take([suspects[k] for k in some])
            there = [k for k in some if {suspects[k].a, suspects[k].b} <= self._profiles.keys()]
            rows = self.features([suspects[k] for k in there])
            for k, kinship in zip(there, _kinships(rows), strict=True):
                result[k] = kinship
        return result

    def features(self, suspects: Sequence[Suspect]) -> NDArray[np.float64]:
        """What the judges see of pairs whose texts are there, a row each."""
        self._take(suspects)
        names = sorted({end for suspect in suspects for end in (suspect.a, suspect.b)})
        index = {name: k for k, name in enumerate(names)}
        one, other = (np.array([index[getattr(x, end)] for x in suspects], np.int64) for end in ("a", "b"))
        hours = np.array([suspect.hours for suspect in suspects])
        return likeness([self._profiles[name] for name in names], one, other, hours)

    def _take(self, suspects: Sequence[Suspect]) -> None:
        """Have the profiles of these stories at hand, and drop others where there are many."""
        stated = {x.a: x.stated[0] for x in suspects} | {x.b: x.stated[1] for x in suspects}
        missing = stated.keys() - self._profiles.keys()
        if len(self._profiles) + len(missing) > 2 * _AT_ONCE:
            self._profiles = {name: self._profiles[name] for name in stated.keys() - missing}
        texts = self._texts(missing) if missing else {}
        names = sorted(texts)
        found = profiles([(*texts[name], orjson.loads(stated[name] or b"[]")) for name in names])
        self._profiles.update(zip(names, found, strict=True))


def _parts(suspects: Sequence[Suspect]) -> Iterator[list[int]]:
    """Indices of suspects in order of their names, so many that their profiles fit into memory."""
    part: list[int] = []
    names: set[str] = set()
    for k in sorted(range(len(suspects)), key=lambda k: (suspects[k].a, suspects[k].b)):
        names |= {suspects[k].a, suspects[k].b}
        part.append(k)
        if len(names) >= _AT_ONCE - 1:
            yield part
            part, names = [], set()
    if part:
        yield part


def _kinships(rows: NDArray[np.float64]) -> list[Kinship | None]:
    if not len(rows):
        return []
    same = judges()["same"].holds(rows) | _word_for_word(rows)
    held = same & _holds_others(rows)
    rewritten = np.zeros(len(rows), np.bool_)
    rewritten[~same] = judges()["rewritten"].holds(rows[~same])
    return [
        None if a else Kinship.SAME if b else Kinship.REWRITTEN if c else None
        for a, b, c in zip(held.tolist(), same.tolist(), rewritten.tolist(), strict=True)
    ]


# All 797 such pairs of the measured sets are the same story. A report by a template that names the same comes a day
# later, or has more than two other numbers.
_TRIPLES, _NAMES, _NUMBERS, _HOURS = 0.8, 0.95, 2, 20
# In a flash of thirty words one number takes more of the triples: the 4 more such pairs are the same story as well.
_FLASH, _TRIPLES_OF_FLASH, _NUMBERS_OF_FLASH = 400, 0.7, 1


def _word_for_word(rows: NDArray[np.float64]) -> Flags:
    """Whether two texts differ in a correction or a headline alone. The judge does not know what it has not seen: a
    short story whose only number was corrected."""
    triples, names, numbers, hours, length = _columns(
        rows, "triples common", "names within", "numbers apart", "hours", "length"
    )
    named = (names >= _NAMES) | (names == UNSTATED)
    flash = (length < np.log1p(_FLASH)) & (triples >= _TRIPLES_OF_FLASH) & (numbers <= _NUMBERS_OF_FLASH)
    result: Flags = (((triples >= _TRIPLES) & (numbers <= _NUMBERS)) | flash) & named & (hours < _HOURS)
    return result


# No pair of copies that was measured is like this.
_LENGTHS, _OPENING = 0.34, 0.5


def _holds_others(rows: NDArray[np.float64]) -> Flags:
    """Whether one is three times as long as the other and begins otherwise: a live blog or a digest that holds it among
    others, and would make one story of all of them. A story that grew out of a flash begins as it did."""
    lengths, opening = _columns(rows, "lengths", "opening less")
    result: Flags = (lengths < _LENGTHS) & (opening < _OPENING)
    return result


def _columns(rows: NDArray[np.float64], *names: str) -> Iterator[NDArray[np.float64]]:
    return (rows[:, FEATURES.index(name)] for name in names)
