"""How well stories get their topics, and how fast: the bundled rules beside keywords and a learned model, in one run.

    python benchmarks/topics.py

The stories are the 342 of ../shared/eval/topics/dev.jsonl, which only the developers have. They are parted in two by
id with a fixed seed: the rules were written with sight of half A until they reached macro-F1 .81 on half B, whose
errors were read only then; of stories that nobody has seen expect that figure, not today's. Keywords are broad ones.
The learned model is tf-idf with logistic regression (scikit-learn, in a throwaway environment by uv), one for each
topic, each story judged by a model and a threshold that did not see it (five folds). Speed is that of judging warmed
up, on one core: ours finds the sentences that prove it, the model gives a number.
"""

from __future__ import annotations

import json
import os
import random
import re
import subprocess
import sys
import tempfile
import textwrap
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ingest import tag

ROOT = Path(__file__).resolve().parents[1]
GOLD = ROOT.parent / "shared" / "eval" / "topics" / "dev.jsonl"
TOPICS = ("escalation", "aid", "deployments")
SPLIT = 7  # seed of the two halves
KEYWORDS = {
    "escalation": r"escalat|ceasefire|cease-fire|truce|peace talks|invasion|nuclear|threaten|retaliat|missile test",
    "aid": r"\baid\b|assistance|humanitarian|weapons to|bailout|donor|relief",
    "deployments": r"deploy|troops|soldiers|withdraw|military base|exercises|national guard|warship",
}
MODEL = """
    import json, sys, time
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import f1_score
    from sklearn.model_selection import KFold, cross_val_predict
    from sklearn.pipeline import make_pipeline
    stories = [json.loads(line) for line in open(sys.argv[1])]
    texts = [f"{one['title'] or ''} {one['text']}" for one in stories]
    found, seconds = {one["id"]: [] for one in stories}, 0.0
    for topic in sys.argv[2:]:
        labels = [topic in one["topics"] for one in stories]
        for seen, held in KFold(5, shuffle=True, random_state=0).split(texts):
            words = TfidfVectorizer(ngram_range=(1, 2), min_df=2, sublinear_tf=True)
            model = make_pipeline(words, LogisticRegression(C=10, class_weight="balanced", max_iter=1000))
            known, right = [texts[n] for n in seen], [labels[n] for n in seen]
            inner = cross_val_predict(model, known, right, cv=3, method="decision_function")
            least = max(sorted(inner), key=lambda bound: f1_score(right, inner >= bound))
            model.fit(known, right)
            started = time.process_time()
            judged = model.decision_function([texts[n] for n in held])
            seconds += time.process_time() - started
            for n, value in zip(held, judged):
                if value >= least:
                    found[stories[n]["id"]].append(topic)
    print(json.dumps([seconds, found]))
"""

Story = Mapping[str, Any]
Found = Mapping[str, Sequence[str]]  # story → topics


def main() -> None:
    if not GOLD.is_file():
        print(f"no stories in {GOLD}: nothing is measured")
        return
    stories = [json.loads(line) for line in GOLD.read_text("utf-8").splitlines()]
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    rules = tag.load(ROOT / "seeds" / "topics.yaml")
    found, main_topics, seconds = _ours(rules, stories)
    halves = {"A": _half(stories, 0), "B": _half(stories, 1), "A+B": stories}
    for name, half in halves.items():
        _show(f"sitrep {name}", half, found, main_topics)
    _show("keywords A+B", stories, {one["id"]: _by_keywords(one) for one in stories})
    learned = _learned()
    if learned is not None:
        for name, half in halves.items():
            _show(f"tf-idf + LR {name}", half, learned[1])
    print()
    for language in sorted({one["lang"] for one in stories} - {"en"}):
        _show(f"sitrep {language}", [one for one in stories if one["lang"] == language], found, main_topics)
    _show("sitrep not English", [one for one in stories if one["lang"] != "en"], found, main_topics)
    words = sum(len(one["text"].split()) for one in stories)
    print(f"\nspeed   {words / 500 / seconds:,.0f} stories of 500 words a CPU second")
    if learned is not None:
        print(f"ratio   {learned[0] / seconds:.2f} (tf-idf + LR / sitrep; above 1: sitrep takes less)")


def _ours(rules: tag.Rules, stories: Sequence[Story]) -> tuple[Found, Found, float]:
    """Topics and main topics by story, and the CPU seconds of the faster of three rounds."""
    best = float("inf")
    for _ in range(3):
        started = time.process_time()
        tags = {one["id"]: tag.tag(rules, one["title"], one["text"], one["lang"]) for one in stories}
        best = min(best, time.process_time() - started)
    found = {name: one.topics for name, one in tags.items()}
    return found, {name: one.main_topics for name, one in tags.items()}, best


def _half(stories: Sequence[Story], number: int) -> list[Story]:
    ids = sorted(one["id"] for one in stories)
    random.Random(SPLIT).shuffle(ids)
    middle = len(ids) // 2
    chosen = set(ids[:middle] if number == 0 else ids[middle:])
    return [one for one in stories if one["id"] in chosen]


def _by_keywords(story: Story) -> list[str]:
    text = f"{story['title'] or ''} {story['text']}".lower()
    return [topic for topic, pattern in KEYWORDS.items() if re.search(pattern, text)]


def _learned() -> tuple[float, Found] | None:
    alone = ["uv", "run", "--quiet", "--no-project", "--python", sys.executable, "--with", "scikit-learn", "python"]
    with tempfile.TemporaryDirectory() as folder:
        script = Path(folder) / "model.py"
        script.write_text(textwrap.dedent(MODEL))
        try:
            done = subprocess.run(
                [*alone, str(script), str(GOLD), *TOPICS], capture_output=True, text=True, check=False
            )
        except FileNotFoundError:
            return None
    if done.returncode:
        print(f"no learned model to compare with: {done.stderr.strip().splitlines()[-1]}", file=sys.stderr)
        return None
    seconds, found = json.loads(done.stdout)
    return seconds, found


def _show(name: str, stories: Sequence[Story], found: Found, main_topics: Found | None = None) -> None:
    """One line: macro-F1, F1 of each topic, recall by weight, precision on main topics, false alarms."""
    scores = {topic: _f1(stories, found, topic) for topic in TOPICS}
    there = [score for score in scores.values() if score is not None]
    by_topic = "  ".join(
        f"{topic[:3]} {'-' if score is None else f'{score:.2f}':4s}" for topic, score in scores.items()
    )
    macro = f"{sum(there) / len(there):.3f}" if there else "-"
    line = f"{name:18s} n {len(stories):3d}  macro-F1 {macro:5s}  {by_topic}"
    line += f"  recall main {_recall(stories, found, 'main')} mentioned {_recall(stories, found, 'mentioned')}"
    if main_topics is not None:
        pairs = [(one, topic) for one in stories for topic in main_topics[one["id"]]]
        right = sum(topic in one["topics"] for one, topic in pairs)
        line += f"  precision of main {right}/{len(pairs)}"
    for kind in ("trap", "conflict"):
        negatives = [one for one in stories if one.get("hard") == kind and not one["topics"]]
        line += f"  {kind}s {sum(bool(found[one['id']]) for one in negatives)}/{len(negatives)}"
    print(line)


def _f1(stories: Sequence[Story], found: Found, topic: str) -> float | None:
    """None where no story has the topic and none was given it."""
    pairs = [(topic in one["topics"], topic in found[one["id"]]) for one in stories]
    right, wrong = pairs.count((True, True)), pairs.count((True, False)) + pairs.count((False, True))
    return 2 * right / (2 * right + wrong) if right + wrong else None


def _recall(stories: Sequence[Story], found: Found, weight: str) -> str:
    wanted = [(one, topic) for one in stories for topic in TOPICS if one["salience"].get(topic) == weight]
    return f"{sum(topic in found[one['id']] for one, topic in wanted)}/{len(wanted)}"


if __name__ == "__main__":
    main()
