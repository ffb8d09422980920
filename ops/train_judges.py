"""Learn the judges of near-identical and rewritten stories: ingest/dedup/judges.json, the same byte for byte each time.

    uv run --no-sync --with lightgbm==4.7.0 python ops/train_judges.py FOLDER [--check]

FOLDER holds the measured sets, <set>.dev.jsonl.xz: a story a line with id, title, text, published and cluster. What the
pipe itself would suspect there is what is learned from: everything for the judges that are written (with --check they
are compared with those that are there instead). What is printed about each set, as F1 over pairs of stories in a
cluster, is of judges that never saw what they judge:

    by article   The stories are cut into five parts, and each pair is judged by what was learned from the others. All
                 of a cluster is in one part, in whatever set its article stands, and so are clusters that share three
                 tenths of a sample. Of a pair that lies in two parts neither end was seen. What is printed is the mean
                 of four ways to cut: the stories that share one site's boilerplate lie in one part, and what a judge
                 that never saw it makes of it differs much.
    by set       A rewrite is judged by what was learned without any set of its kind: how well the judge knows what
                 nobody showed it.
"""

from __future__ import annotations

import json
import lzma
import sys
import zlib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import lightgbm
import numpy as np
from framed_stories import framed

from ingest import dedup
from ingest.dedup.judge import Suspect
from ingest.dedup.likeness import FEATURES, UNSTATED
from ingest.dedup.look import CloseLook
from ingest.dedup.trees import NUMBERS, Judge
from ingest.models import Window

COPIES = ("bbc_reprints", "reuters_refiles", "synth_mixed", "synth_ocr")
TRANSLATED = ("wmt21_mt", "wmt21_mt_de_fr")
REWRITES = (*TRANSLATED, "politifact_spin")
TOLD_APART = ("semeval22_pairs",)  # the same event told by others: nothing of it is the same story, or made from it
# A judge must do without a title (many archives have none) and without capitals (many scripts have none). So it also
# learns from what it sees of each pair without them, which counts for less. There the hours between stories that have
# no date are drawn from those that are known: else it would take "no hours" for a mark of these sets.
WITHOUT = (
    (0.4, ("title within", "title common", "title letters within", "title letters common", "title told")),
    (0.2, ("names",)),
    (0.3, ("title", "names")),
)
# No set has rewrites with titles of their own: translations keep theirs, spun texts have none. So "rewritten" also
# learns from what it sees of each pair with titles of others, half of them of pairs that belong together.
RETITLED = 0.4
# Strangers in the frame of one site, made of these sets, so many pairs.
FRAMED = {"reuters_refiles": 2500, "bbc_reprints": 800}
# A set counts with the root of its size: thousands of damaged copies are no more telling than hundreds. What a wire
# really filed counts more than what was made up; with more of what is framed, reports by one template are merged, and
# follow-ups with what they follow where a hundred sites carry both.
WEIGHT = {"reuters_refiles": 3.0, **{f"{name} framed": 0.01 for name in FRAMED}}
DEPTH = 3
PARTS, ROUNDS = 5, 4
TOGETHER = 0.3  # of a sample: clusters that share so much are judged by judges that saw neither
TREES = {"same": 300, "rewritten": 150}  # the more, the less each of them says
# From where on a pair counts, as the sum of a judge's numbers: a false link joins two clusters, a missing one is often
# made good by others. Cross-validated, both lie in the middle of where little changes.
LEAST = {"same": 1.5, "rewritten": 1.5}
LEARNING = {
    "objective": "binary",
    "max_depth": DEPTH,
    "num_leaves": 2**DEPTH,
    "min_data_in_leaf": 20,
    "lambda_l2": 1.0,
    "bagging_fraction": 0.7,
    "bagging_freq": 1,
    "feature_fraction": 0.5,
    "seed": 0,
    "deterministic": True,
    "force_row_wise": True,
    "num_threads": 1,
    "verbose": -1,
}


@dataclass(frozen=True)
class Pairs:
    """Of one set: the suspected pairs, their features, whether they belong together, and the two parts that they are
    in."""

    name: str
    suspects: Sequence[Suspect]
    rows: np.ndarray
    belong: np.ndarray
    gold: Mapping[str, str]
    copies: Sequence[tuple[str, str]]  # linked without a look

    @property
    def copied(self) -> bool:
        return self.name.split()[0] in COPIES

    def article(self, story: str) -> str:
        """What the story tells, by a name that is the same in all sets."""
        cluster = self.gold[story]
        if self.copied:
            return cluster  # made up copies are of the stories of the other sets
        return cluster.split(":")[1] if self.name in TRANSLATED else f"{self.name} {cluster.split('#')[0]}"


def read(folder: Path, name: str) -> Pairs:
    stories = _lines(folder / f"{name}.dev.jsonl.xz")
    texts = {story["id"]: (story.get("title"), story["text"]) for story in stories}
    prints = dedup.fingerprints(list(texts.values()))
    rows = [(s["id"], instant(s.get("published")), print_) for s, print_ in zip(stories, prints, strict=True)]
    suspects: list[Suspect] = []

    def note(some: Sequence[Suspect]) -> list[None]:
        suspects.extend(some)
        return [None] * len(some)

    verdicts = dedup.judge([], texts, Window.of(rows), lambda _: [], note)
    if name in TOLD_APART:  # of other pairs nobody said anything
        listed = {tuple(sorted((pair["a"], pair["b"]))) for pair in _lines(folder / f"{name}.dev_pairs.jsonl.xz")}
        suspects = [suspect for suspect in suspects if (suspect.a, suspect.b) in listed]
    suspects.sort(key=lambda suspect: (suspect.a, suspect.b))
    gold = {story["id"]: story["cluster"] for story in stories}
    belong = np.array([gold[x.a] == gold[x.b] for x in suspects]) & (name not in TOLD_APART)
    copies = [(link.a, link.b) for link in verdicts.linked]
    return Pairs(name, suspects, _features(suspects, texts), belong, gold, copies)


def read_framed(folder: Path, name: str) -> Pairs:
    found = framed(_lines(folder / f"{name}.dev.jsonl.xz"), FRAMED[name], len(name))
    belong = np.array([found.gold[x.a] == found.gold[x.b] for x in found.suspects])
    rows = _features(found.suspects, found.texts)
    return Pairs(f"{name} framed", found.suspects, rows, belong, found.gold, [])


def _features(suspects: Sequence[Suspect], texts: Mapping[str, tuple[str | None, str]]) -> np.ndarray:
    look = CloseLook(lambda ids: {id_: texts[id_] for id_ in ids})
    return np.concatenate([look.features(suspects[k : k + 500]) for k in range(0, len(suspects), 500)])


def _lines(path: Path) -> list[dict[str, Any]]:
    with lzma.open(path, "rt", encoding="utf8") as lines:
        return [json.loads(line) for line in lines]


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
        one, other = sorted((self.root(one), self.root(other)))
        self._up[other] = one


def parts(sets: Sequence[Pairs], round_: int) -> dict[str, np.ndarray]:
    """In which of PARTS the two stories of each pair lie, by set."""
    groups = Groups()
    for pairs in sets:
        for x in pairs.suspects:
            if pairs.name in COPIES and x.share >= TOGETHER:
                groups.join(pairs.article(x.a), pairs.article(x.b))

    def part(pairs: Pairs, story: str) -> int:
        return zlib.crc32(f"{groups.root(pairs.article(story))} {round_}".encode()) % PARTS

    return {s.name: np.array([(part(s, x.a), part(s, x.b)) for x in s.suspects]) for s in sets}


# learning ----------------------------------------------------------------------------------------------------------
def learned(sets: Sequence[Pairs], name: str, chosen: Mapping[str, np.ndarray] | None = None) -> Judge:
    """The judge of that name, learned from these sets, or from what is chosen of each.

    What is a copy is no example for "rewritten", neither for nor against: it is asked only where "same" says no.
    """
    rows, belong, weight = [], [], []
    for pairs in sets:
        some = np.ones(len(pairs.suspects), np.bool_) if chosen is None else chosen[pairs.name].copy()
        if name == "rewritten" and pairs.copied:
            some &= ~pairs.belong
        rows.append(pairs.rows[some])
        belong.append(pairs.belong[some])
        weight.append(np.full(some.sum(), WEIGHT.get(pairs.name, 1.0) * len(pairs.suspects) ** -0.5))
    return _fitted(*map(np.concatenate, (rows, belong, weight)), name)


def _fitted(rows: np.ndarray, belong: np.ndarray, weight: np.ndarray, name: str) -> Judge:
    seen = [(1.0, rows), *((share, _without(rows, names)) for share, names in WITHOUT)]
    if name == "rewritten":
        seen.append((RETITLED, _retitled(rows, belong)))
    data = lightgbm.Dataset(
        np.concatenate([some for _, some in seen]),
        np.tile(belong, len(seen)).astype(int),
        weight=np.concatenate([weight * share for share, _ in seen]),
    )
    model = lightgbm.train({**LEARNING, "learning_rate": 15 / TREES[name]}, data, TREES[name])
    trees = [_heap(tree["tree_structure"]) for tree in model.dump_model()["tree_info"]]
    feature, threshold, leaf = (np.array(x) for x in zip(*trees, strict=True))
    judge = Judge(feature, threshold, leaf, 0.0, LEAST[name])
    if not np.allclose(judge.score(rows), model.predict(rows, raw_score=True), atol=2e-3):
        raise RuntimeError("the trees as they are written say something else than what was learned")
    return judge


def _without(rows: np.ndarray, names: Sequence[str]) -> np.ndarray:
    rows = _dated(rows)
    rows[:, _columns(names)] = UNSTATED
    return rows


def _retitled(rows: np.ndarray, belong: np.ndarray) -> np.ndarray:
    rng, titles = np.random.default_rng(7), _columns(("title",))
    common = rows[:, FEATURES.index("title common")]
    others = (common != UNSTATED) & (common < 0.9)
    sides = [some for side in (belong, ~belong) if len(some := np.flatnonzero(others & side))]
    drawn = [rng.choice(some, len(rows)) for some in sides]
    result = _dated(rows)
    result[:, titles] = rows[np.where(rng.random(len(rows)) < 0.5, drawn[0], drawn[-1])][:, titles]
    return result


def _columns(names: Sequence[str]) -> list[int]:
    return [k for k, feature in enumerate(FEATURES) if feature.startswith(tuple(names))]


def _dated(rows: np.ndarray) -> np.ndarray:
    """The same with hours drawn from the others where there are none."""
    rows = rows.copy()
    hours = rows[:, FEATURES.index("hours")]
    if hours.any():
        hours[hours == 0] = np.random.default_rng(5).choice(hours[hours > 0], int((hours == 0).sum()))
    return rows


def _heap(root: Mapping[str, Any]) -> tuple[list[int], list[float], list[float]]:
    """A tree as questions in the order of a heap, and its leaves; below a leaf that came early, questions that do not
    matter."""
    questions, level = 2**DEPTH - 1, {0: root}
    feature, threshold, leaf = [0] * questions, [0.0] * questions, [0.0] * (questions + 1)
    for at in range(2 * questions + 1):
        node = level[at]
        inner = "split_feature" in node
        if at >= questions:
            leaf[at - questions] = round(node["leaf_value"], 5)
            continue
        if inner:
            feature[at], threshold[at] = node["split_feature"], node["threshold"]
        level[2 * at + 1] = node["left_child"] if inner else node
        level[2 * at + 2] = node["right_child"] if inner else node
    return feature, threshold, leaf


# validation --------------------------------------------------------------------------------------------------------
def cross_validated(sets: Sequence[Pairs], name: str, part: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The score of each pair by a judge that saw no pair with a story of its part; by two where it lies in two."""
    score = {s.name: np.zeros(len(s.suspects)) for s in sets}
    for k in range(PARTS):
        held = {s.name: (part[s.name] == k).any(axis=1) for s in sets}
        judge = learned(sets, name, {some: ~those for some, those in held.items()})
        for s in sets:
            share = 1 / (1 + (part[s.name][:, 0] != part[s.name][:, 1]))
            score[s.name] += np.where(held[s.name], judge.score(s.rows) * share, 0.0)
    return score


def by_set(sets: Sequence[Pairs]) -> Iterator[tuple[Pairs, np.ndarray]]:
    """Rewrites of each kind, and their scores by a judge that saw none of this kind."""
    for kind in (TRANSLATED, REWRITES[len(TRANSLATED) :]):
        judge = learned([s for s in sets if s.name not in kind], "rewritten")
        yield from ((s, judge.score(s.rows)) for s in sets if s.name in kind)


def f1(found: Mapping[str, str], gold: Mapping[str, str]) -> tuple[float, float, float]:
    """Precision, recall, F1."""

    def count(groups: Sequence[object]) -> int:
        return sum(size * (size - 1) // 2 for size in Counter(groups).values())

    both = count([(found[x], gold[x]) for x in gold])
    mine, its = count([found[x] for x in gold]), count([gold[x] for x in gold])
    return both / max(mine, 1), both / max(its, 1), 2 * both / max(mine + its, 1)


def clustered(pairs: Pairs, yes: np.ndarray) -> dict[str, str]:
    groups = Groups()
    for one, other in pairs.copies:
        groups.join(one, other)
    for suspect, linked in zip(pairs.suspects, yes.tolist(), strict=True):
        if linked:
            groups.join(suspect.a, suspect.b)
    return {story: groups.root(story) for story in pairs.gold}


def _told(pairs: Pairs, rounds: Sequence[np.ndarray]) -> str:
    if pairs.name in TOLD_APART:
        return f"{np.mean([yes.sum() for yes in rounds]):4.1f} of {len(pairs.suspects)} suspects"
    if pairs.name in WEIGHT and pairs.name not in COPIES:
        missed, false = (np.mean([yes[side].mean() for yes in rounds]) for side in (pairs.belong, ~pairs.belong))
        return f"{missed:.3f} of the copies, {false:.4f} of the strangers"
    precision, recall, mean = np.mean([f1(clustered(pairs, yes), pairs.gold) for yes in rounds], axis=0)
    return f"P {precision:.3f} R {recall:.3f} F1 {mean:.3f}"


def main(folder: Path, check: bool) -> None:
    sets = [read(folder, name) for name in (*COPIES, *REWRITES, *TOLD_APART)] + [read_framed(folder, x) for x in FRAMED]
    copies = [s for s in sets if s.copied or s.name in TOLD_APART]
    judges = {"same": learned(copies, "same"), "rewritten": learned(sets, "rewritten")}
    told = {"features": FEATURES, "judges": {name: written(judge) for name, judge in judges.items()}}
    text = json.dumps(told, separators=(",", ":")) + "\n"
    if check:
        print(f"{NUMBERS.name} is {'what' if NUMBERS.read_text() == text else 'NOT what'} was learned", flush=True)
    else:
        NUMBERS.write_text(text)
    same, rewritten = [], []
    for round_ in range(ROUNDS):
        part = parts(sets, round_)
        known = {s.name: judges["same"].score(s.rows) for s in sets}
        same.append(known | cross_validated(copies, "same", part))
        rewritten.append(cross_validated(sets, "rewritten", part))
    for shift in (-0.5, 0.0, 0.5):
        print(f"by article, from {LEAST['same'] + shift:.1f} on the same, {LEAST['rewritten'] + shift:.1f} rewritten:")
        for s in sets:
            one = [score[s.name] > LEAST["same"] + shift for score in same]
            both = [x | (y[s.name] > LEAST["rewritten"] + shift) for x, y in zip(one, rewritten, strict=True)]
            print(f"  {s.name:23s} same {_told(s, one)}    with rewritten {_told(s, both)}", flush=True)
    print("by set:")
    for s, score in by_set(sets):
        yes = (same[0][s.name] > LEAST["same"]) | (score > LEAST["rewritten"])
        print(f"  {s.name:23s} with rewritten {_told(s, [yes])}", flush=True)


def written(judge: Judge) -> dict[str, Any]:
    arrays = {name: getattr(judge, name).tolist() for name in ("feature", "threshold", "leaf")}
    return {**arrays, "base": judge.base, "least": judge.least}


if __name__ == "__main__":
    main(Path(sys.argv[1]), "--check" in sys.argv[2:])
