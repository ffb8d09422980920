"""The two judges of a pair: small boosted decision trees, learned by ops/train_judges.py, their numbers in judges.json.

Every tree asks up to three questions about the features of a pair (likeness.py) and gives a number; the sum says how
likely it is that the two are what the judge looks for. Why trees: cross-validated, a weighted sum of the
same kind of features (logistic regression) left more than twice as many errors.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import orjson
from numpy.typing import NDArray

from ingest.dedup.arrays import Flags
from ingest.dedup.likeness import FEATURES

NUMBERS = Path(__file__).with_name("judges.json")
_ROWS = 128  # looked at at once: fits the cache


@dataclass(frozen=True, slots=True, eq=False)
class Judge:
    """`feature` and `threshold` of each tree's questions, as a heap: behind question k stand 2 k + 1 (not more than the
    threshold) and 2 k + 2 (more); then `leaf`, from left to right. A pair is it where the sum is above `least`."""

    feature: NDArray[np.int64]
    threshold: NDArray[np.float64]
    leaf: NDArray[np.float64]
    base: float
    least: float

    def score(self, rows: NDArray[np.float64]) -> NDArray[np.float64]:
        """For each row of features; 0 is as likely as not, for the pairs that it learned from."""
        parts = [self._score(rows[k : k + _ROWS]) for k in range(0, len(rows), _ROWS)]
        return np.concatenate([np.empty(0), *parts])

    def _score(self, rows: NDArray[np.float64]) -> NDArray[np.float64]:
        trees, questions = self.feature.shape
        tree, at = np.arange(trees), np.zeros((len(rows), trees), np.int64)
        for _ in range((questions + 1).bit_length() - 1):
            value = np.take_along_axis(rows, self.feature[tree, at], axis=1)
            at = 2 * at + 1 + (value > self.threshold[tree, at])
        result: NDArray[np.float64] = self.base + self.leaf[tree, at - questions].sum(axis=1)
        return result

    def holds(self, rows: NDArray[np.float64]) -> Flags:
        result: Flags = self.score(rows) > self.least
        return result


@cache
def judges() -> dict[str, Judge]:
    """The judges by name: "same" and "rewritten"."""
    told = orjson.loads(NUMBERS.read_bytes())
    if tuple(told["features"]) != FEATURES:
        raise ValueError(f"{NUMBERS.name} was learned from other features: run ops/train_judges.py")
    return {name: _judge(**numbers) for name, numbers in told["judges"].items()}


def _judge(
    feature: list[list[int]], threshold: list[list[float]], leaf: list[list[float]], base: float, least: float
) -> Judge:
    return Judge(np.array(feature, np.int64), np.array(threshold), np.array(leaf), base, least)
