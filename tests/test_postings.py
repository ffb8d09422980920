"""The index of shingles against a plain dictionary, with short runs and packed ones."""

from __future__ import annotations

import numpy as np
import pytest
from test_dedup import SPREAD
from test_dedup import test_hundreds_of_stories_in_any_order_give_the_same as in_any_order

from ingest.dedup import candidates, postings
from ingest.dedup.postings import BITS, EXTRA, NUMBER, Postings


@pytest.fixture(autouse=True)
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs are packed from so few postings on."""
    monkeypatch.setattr(postings, "_LONG", 60)


@pytest.mark.parametrize(("seed", "keys"), [(1, 40), (2, 40), (3, 40), (4, 400), (5, 400)])
def test_what_was_added_is_found_and_what_was_dropped_is_not(seed: int, keys: int) -> None:
    rng = np.random.default_rng(seed)
    vocabulary = rng.integers(0, 1 << 37, keys, np.uint64) << BITS
    vocabulary[::9] |= EXTRA  # of short texts, in the upper half
    vocabulary[1], vocabulary[2] = 0, (np.uint64(2**64 - 1) & ~NUMBER)  # the first and the last key
    index, carriers, packed = Postings(), {int(key): set[int]() for key in vocabulary}, False
    number = 0
    for _ in range(30):
        texts = np.arange(number, number + int(rng.integers(1, 9)), dtype=np.uint64)
        number += len(texts)
        new = []
        for text in texts.tolist():
            for key in rng.choice(vocabulary, int(rng.integers(1, keys // 3)), replace=False).tolist():
                new.append(key | text)
                carriers[key].add(text)
        index.add(np.sort(np.array(new, np.uint64)))
        if rng.random() < 0.3:
            dead = rng.random(number) < 0.2
            index.drop(dead)
            for some in carriers.values():
                some.difference_update(np.flatnonzero(dead).tolist())
        packed |= any(isinstance(run, postings._Packed) for run in index._runs)
        asked = np.unique(np.concatenate((vocabulary, rng.integers(0, 1 << 38, 20, np.uint64) << BITS)))
        found = index.find(asked)
        there: dict[int, list[int]] = {int(key): [] for key in asked}
        for some_texts, whose in found.carriers():
            for text, at in zip(some_texts.tolist(), whose.tolist(), strict=True):
                there[int(asked[at])].append(text)
        assert {key: sorted(some) for key, some in there.items() if some} == {
            key: sorted(some) for key, some in carriers.items() if some
        }
        assert found.counts.tolist() == [len(carriers.get(int(key), ())) for key in asked]
        pieces = [piece for piece in index.pieces() if len(piece)]
        assert all((np.diff(piece.astype(object)) > 0).all() for piece in pieces)
        told = np.sort(np.concatenate([np.empty(0, np.uint64), *pieces])).tolist()
        assert told == sorted(key | text for key, some in carriers.items() for text in some)
        assert len(index) == len(told)
    assert packed


@pytest.mark.parametrize("pairs", [1, 40, 1 << 18])
def test_stories_in_any_order_give_the_same_however_many_pairs_are_counted_at_once(
    pairs: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(candidates, "PAIRS", pairs)
    in_any_order(150, 4, SPREAD)
