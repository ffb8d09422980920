"""Learn the judges of near-identical and rewritten stories: ingest/dedup/judges.json.

    uv run --no-sync --with scikit-learn python ops/train_judges.py FOLDER

FOLDER holds the measured sets, <set>.dev.jsonl.xz: a story a line with id, title, text, published and cluster. What the
pipe itself would suspect there is what is learned from: everything for the judges that are written, and then four parts
of five at a time, for what cross-validation says of each set, as F1 over pairs of stories in a cluster. Stories that
share .3 of their samples stay in one part. Rewrites often share less, so pairs of one of their clusters can lie in two
parts, and their figures flatter somewhat.
"""

from __future__ import annotations

import json
import lzma
import sys
import zlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.ensemble import GradientBoostingClassifier

from ingest import dedup
from ingest.dedup.judge import Suspect
from ingest.dedup.likeness import FEATURES, UNSTATED
from ingest.dedup.look import CloseLook
from ingest.dedup.trees import NUMBERS, Judge
from ingest.models import Window

COPIES = ("bbc_reprints", "reuters_refiles", "synth_mixed", "synth_ocr")
REWRITES = ("wmt21_mt", "wmt21_mt_de_fr", "politifact_spin")
TOLD_APART = ("semeval22_pairs",)  # the same event told by others: nothing of it is the same story, or made from it
# A judge must do without a title (many archives have none) and without capitals (many scripts have none). So it also
# learns from what it sees of each pair without them, which counts for less.
WITHOUT = (
    (0.4, ("title", "title letters")),
    (0.2, ("names",)),
    (0.3, ("title", "title letters", "names")),
)
DEPTH = 3
PARTS = 5
# From where on a pair counts, as the sum of a judge's numbers: a false link joins two clusters, a missing one is often
# made good by others.
LEAST = {"same": 1.0, "rewritten": 0.5}
TREES = {"same": 150, "rewritten": 100}


@dataclass(frozen=True)
class Pairs:
    """Of one set: the suspected pairs, their features, whether they belong together, and the part that each is in."""

    name: str
    suspects: Sequence[Suspect]
    rows: np.ndarray
    belong: np.ndarray
    part: np.ndarray
    gold: Mapping[str, str]
    copies: Sequence[tuple[str, str]]  # linked without a look


def read(folder: Path, name: str) -> Pairs:
    with lzma.open(folder / f"{name}.dev.jsonl.xz", "rt", encoding="utf8") as lines:
        stories = [json.loads(line) for line in lines]
    texts = {story["id"]: (story.get("title"), story["text"]) for story in stories}
    prints = dedup.fingerprints(list(texts.values()))
    rows = [(s["id"], instant(s.get("published")), print_) for s, print_ in zip(stories, prints, strict=True)]
    suspects: list[Suspect] = []

    def note(some: Sequence[Suspect]) -> list[None]:
        suspects.extend(some)
        return [None] * len(some)

    verdicts = dedup.judge([], texts, Window.of(rows), lambda _: [], note)
    if name in TOLD_APART:  # of other pairs nobody said anything
        with lzma.open(folder / f"{name}.dev_pairs.jsonl.xz", "rt", encoding="utf8") as lines:
            listed = {tuple(sorted((pair["a"], pair["b"]))) for pair in map(json.loads, lines)}
        suspects = [suspect for suspect in suspects if (suspect.a, suspect.b) in listed]
    gold = {story["id"]: story["cluster"] for story in stories}
    features = CloseLook(lambda ids: {id_: texts[id_] for id_ in ids})
    found = np.concatenate(
        [np.empty((0, len(FEATURES)))]
        + [features.features(suspects[k : k + 500]) for k in range(0, len(suspects), 500)]
    )
    belong = np.array([gold[x.a] == gold[x.b] for x in suspects]) & (name not in TOLD_APART)
    copies = [(link.a, link.b) for link in verdicts.linked]
    return Pairs(name, suspects, found, belong, parts(suspects), gold, copies)


def instant(published: str | None) -> int:
    return int(datetime.fromisoformat(published).replace(tzinfo=UTC).timestamp()) if published else 0


class Groups:
    """Union and find."""

    def __init__(self) -> None:
        self._up: dict[str, str] = {}

    def root(self, one: str) -> str:
        self._up.setdefault(one, one)
        while self._up[one] != one:
            self._up[one] = one = self._up[self._up[one]]
        return one

    def join(self, one: str, other: str) -> None:
        self._up[self.root(one)] = self.root(other)


def parts(suspects: Sequence[Suspect]) -> np.ndarray:
    """Which of PARTS each pair is in: those that hang together by .3 of their samples are in one."""
    groups = Groups()
    for suspect in suspects:
        if suspect.share >= 0.3:  # else all of a set hang together
            groups.join(suspect.a, suspect.b)
    return np.array([zlib.crc32(min(groups.root(x.a), groups.root(x.b)).encode()) % PARTS for x in suspects], int)


def learned(rows: np.ndarray, belong: np.ndarray, weight: np.ndarray, name: str) -> Judge:
    model = GradientBoostingClassifier(
        n_estimators=TREES[name], max_depth=DEPTH, learning_rate=0.1, subsample=0.7, max_features=8, random_state=0
    )
    seen = [(1.0, rows), *((share, _without(rows, names)) for share, names in WITHOUT)]
    model.fit(
        np.concatenate([some for _, some in seen]),
        np.tile(belong, len(seen)),
        sample_weight=np.concatenate([weight * share for share, _ in seen]),
    )
    trees = [_heap(estimator.tree_, model.learning_rate) for estimator in model.estimators_[:, 0]]
    prior = float(np.average(belong, weights=weight))  # where boosting begins
    feature, threshold, leaf = (np.array(x) for x in zip(*trees, strict=True))
    judge = Judge(feature, threshold, leaf, float(np.log(prior / (1 - prior))), LEAST[name])
    assert np.allclose(judge.score(rows), model.decision_function(rows), atol=1e-3)
    return judge


def _without(rows: np.ndarray, names: Sequence[str]) -> np.ndarray:
    rows = rows.copy()
    for name in names:
        rows[:, [FEATURES.index(f"{name} within"), FEATURES.index(f"{name} common")]] = UNSTATED
    return rows


def _heap(tree: Any, rate: float) -> tuple[list[int], list[float], list[float]]:
    """A tree as questions in the order of a heap, and its leaves; below a leaf that came early, questions that do not
    matter."""
    questions, level = 2**DEPTH - 1, {0: 0}
    feature, threshold, leaf = [0] * questions, [0.0] * questions, [0.0] * (questions + 1)
    for at in range(2 * questions + 1):
        node = level[at]
        inner = tree.children_left[node] >= 0
        if at >= questions:
            leaf[at - questions] = round(float(tree.value[node, 0, 0]) * rate, 5)
            continue
        if inner:
            feature[at], threshold[at] = int(tree.feature[node]), float(tree.threshold[node])
        level[2 * at + 1] = tree.children_left[node] if inner else node
        level[2 * at + 2] = tree.children_right[node] if inner else node
    return feature, threshold, leaf


def weights(sets: Sequence[Pairs]) -> np.ndarray:
    """A set counts with the root of its size: thousands of damaged copies are no more telling than hundreds."""
    return np.concatenate([np.full(len(s.suspects), max(len(s.suspects), 1) ** -0.5) for s in sets])


def cross_validated(sets: Sequence[Pairs], name: str) -> list[np.ndarray]:
    """The score of each pair by a judge that learned from the other parts."""
    rows, belong, part = (np.concatenate([getattr(s, x) for s in sets]) for x in ("rows", "belong", "part"))
    weight, score = weights(sets), np.zeros(len(rows))
    for k in range(PARTS):
        rest = part != k
        score[~rest] = learned(rows[rest], belong[rest], weight[rest], name).score(rows[~rest])
    return np.split(score, np.cumsum([len(s.suspects) for s in sets])[:-1])


def f1(found: Mapping[str, str], gold: Mapping[str, str]) -> tuple[float, float, float]:
    def count(groups: Sequence[object]) -> int:
        return sum(size * (size - 1) // 2 for size in Counter(groups).values())

    both = count([(found[x], gold[x]) for x in gold])
    mine, its = count([found[x] for x in gold]), count([gold[x] for x in gold])
    return both / max(mine, 1), both / max(its, 1), 2 * both / max(mine + its, 1)


def _told(figures: tuple[float, float, float], yes: np.ndarray) -> list[str]:
    return [f"{name} {x:.4f}" for name, x in zip(("P", "R", "F1"), figures, strict=True)] + [f"({yes.sum()} pairs)"]


def clustered(pairs: Pairs, yes: np.ndarray) -> dict[str, str]:
    groups = Groups()
    for one, other in pairs.copies:
        groups.join(one, other)
    for suspect, linked in zip(pairs.suspects, yes.tolist(), strict=True):
        if linked:
            groups.join(suspect.a, suspect.b)
    return {story: groups.root(story) for story in pairs.gold}


def main(folder: Path) -> None:
    sets = [read(folder, name) for name in (*COPIES, *REWRITES, *TOLD_APART)]
    copies = [s for s in sets if s.name in (*COPIES, *TOLD_APART)]
    judges = {"same": learned_from(copies, "same"), "rewritten": learned_from(sets, "rewritten")}
    NUMBERS.write_text(json.dumps({"features": FEATURES, "judges": {k: written(v) for k, v in judges.items()}}) + "\n")
    same = {s.name: judges["same"].score(s.rows) for s in sets}
    same.update(zip((s.name for s in copies), cross_validated(copies, "same"), strict=True))
    rewritten = dict(zip((s.name for s in sets), cross_validated(sets, "rewritten"), strict=True))
    for pairs in sets:
        print(f"{pairs.name:16s} {len(pairs.suspects)} pairs, {pairs.belong.mean():.2f} belong together")
        first, second = same[pairs.name], rewritten[pairs.name]
        for least in (0.0, 0.5, 1.0, 1.5, 2.0):
            one = f1(clustered(pairs, first > least), pairs.gold)
            both = f1(clustered(pairs, (first > LEAST["same"]) | (second > least)), pairs.gold)
            print(f"    above {least:.1f}: same", *_told(one, first > least), end="   ")
            print("with rewritten", *_told(both, second > least), flush=True)


def learned_from(sets: Sequence[Pairs], name: str) -> Judge:
    rows, belong = (np.concatenate([getattr(s, x) for s in sets]) for x in ("rows", "belong"))
    return learned(rows, belong, weights(sets), name)


def written(judge: Judge) -> dict[str, Any]:
    arrays = {name: getattr(judge, name).tolist() for name in ("feature", "threshold", "leaf")}
    return {**arrays, "base": judge.base, "least": judge.least}


if __name__ == "__main__":
    main(Path(sys.argv[1]))
