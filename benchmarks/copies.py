"""How well near-identical and rewritten stories are found, beside three libraries, on measured sets.

    python benchmarks/copies.py [--sets FOLDER]      FOLDER holds <set>.dev.jsonl.xz; without it nothing is measured

A line a set: F1 over pairs of stories in one cluster. The libraries run as their users run them: MinHash of 128
permutations over runs of three words, what shares half of them or more is one story; in a throwaway environment by uv.
Of Sitrep also the clusters are told of which one was rewritten from the other, taken together. Its judges learned from
these very stories, so its figures flatter here; DESIGN.md has those of cross-validation. CPU seconds count shingles,
index and the close look at texts, not the store.
"""

from __future__ import annotations

import argparse
import json
import lzma
import subprocess
import sys
import textwrap
import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ingest import dedup
from ingest.models import Head, Link, Window

SETS = Path(__file__).parents[2] / "shared" / "eval" / "dedup" / "data"
NAMES = (
    "bbc_reprints",
    "reuters_refiles",
    "synth_mixed",
    "synth_ocr",
    "wmt21_mt",
    "wmt21_mt_de_fr",
    "politifact_spin",
)
PEERS = ("datasketch", "rensa", "gaoya")
# Reads texts, writes the pairs that a library finds and the CPU seconds that it took.
PEER = """
    import json, re, sys, time
    texts, peer = json.load(sys.stdin), sys.argv[1]

    def runs(text):
        words = re.findall(r"[^\\W_]+", text.lower())
        return [" ".join(words[k : k + 3]) for k in range(max(1, len(words) - 2))]

    def datasketch():
        from datasketch import MinHash, MinHashLSH
        index, sketches = MinHashLSH(threshold=0.5, num_perm=128), []
        for number, text in enumerate(texts):
            sketch = MinHash(num_perm=128)
            sketch.update_batch([run.encode() for run in runs(text)])
            yield from ((number, k) for k in index.query(sketch) if sketch.jaccard(sketches[k]) >= 0.5)
            index.insert(number, sketch)
            sketches.append(sketch)

    def rensa():
        from rensa import RMinHash, RMinHashLSH
        index, sketches = RMinHashLSH(0.5, 128, 32), []
        for number, text in enumerate(texts):
            sketch = RMinHash(num_perm=128, seed=42)
            sketch.update(runs(text))
            yield from ((number, k) for k in index.query(sketch) if sketch.jaccard(sketches[k]) >= 0.5)
            index.insert(number, sketch)
            sketches.append(sketch)

    def gaoya():
        from gaoya.minhash import MinHashStringIndex
        index = MinHashStringIndex(32, 0.5, 20, 5, None, "word", True, (3, 3))
        for number, text in enumerate(texts):
            yield from ((number, k) for k in index.query(text))
            index.insert_document(number, text)

    started = time.process_time()
    pairs = list({"datasketch": datasketch, "rensa": rensa, "gaoya": gaoya}[peer]())
    print(json.dumps([pairs, time.process_time() - started]))
"""

Found = Mapping[str, str]  # story → cluster


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--sets", type=Path, default=SETS)
    folder = options.parse_args().sets
    there = [name for name in NAMES if (folder / f"{name}.dev.jsonl.xz").exists()]
    if not there:
        print(f"no measured sets in {folder}: name their folder with --sets")
        return
    columns = ("sitrep", "with rewritten", *PEERS, "sitrep CPU s", *(f"{peer} s" for peer in PEERS))
    print(f"{'':16s}" + "".join(f"{column:>15s}" for column in columns))
    for name in there:
        with lzma.open(folder / f"{name}.dev.jsonl.xz", "rt", encoding="utf8") as lines:
            stories = [json.loads(line) for line in lines]
        gold = {story["id"]: story["cluster"] for story in stories}
        clusters, joined, seconds = _sitrep(stories)
        peers = [_peer(peer, stories) for peer in PEERS]
        cells = [_f1(clusters, gold), _f1(joined, gold), *(peer and _f1(peer[0], gold) for peer in peers)]
        spent = [seconds, *(peer and peer[1] for peer in peers)]
        told = [*(_cell(cell, ".3f") for cell in cells), *(_cell(cell, ".1f") for cell in spent)]
        print(f"{name:16s}" + "".join(f"{cell:>15s}" for cell in told), flush=True)


def _cell(value: float | None, form: str) -> str:
    return "–" if value is None else format(value, form)


def _sitrep(stories: Sequence[Mapping[str, Any]]) -> tuple[Found, Found, float]:
    """The clusters, the same with what was rewritten from them, and CPU seconds."""
    texts = {story["id"]: (story.get("title"), story["text"]) for story in stories}
    seen = {story["id"]: _instant(story.get("published")) for story in stories}
    started = time.process_time()
    prints = dedup.fingerprints(list(texts.values()))
    now = Window.of((id_, seen[id_], print_) for id_, print_ in zip(texts, prints, strict=True))
    look = dedup.CloseLook(lambda ids: {id_: texts[id_] for id_ in ids})
    links = dedup.judge([], texts, now, lambda _: [], look).linked
    heads = {id_: Head(id_, None, datetime.fromtimestamp(seen[id_], UTC), id_, True) for id_ in texts}
    places = dedup.clusters(heads, links)
    origins = dedup.rewritten(heads, links, places)
    seconds = time.process_time() - started
    clusters = {id_: cluster for id_, (cluster, _) in places.items()}
    ties = [Link(clusters[id_], clusters[origin], 1.0, 0.0) for id_, origin in origins.items() if origin]
    joined = dedup.clusters({cluster: heads[cluster] for cluster in clusters.values()}, ties)
    return clusters, {id_: joined[cluster][0] for id_, cluster in clusters.items()}, seconds


def _instant(published: str | None) -> int:
    return int(datetime.fromisoformat(published).replace(tzinfo=UTC).timestamp()) if published else 0


def _peer(name: str, stories: Sequence[Mapping[str, Any]]) -> tuple[Found, float] | None:
    """What a library finds; None where it cannot be installed."""
    texts = json.dumps([f"{story.get('title') or ''}\n{story['text']}" for story in stories])
    command = ["uv", "run", "--no-project", "--quiet", "--with", name, "python", "-c", textwrap.dedent(PEER), name]
    try:
        ran = subprocess.run(command, input=texts, check=True, capture_output=True, text=True, timeout=600)
    except (OSError, subprocess.SubprocessError) as error:
        print(f"{name} did not run: {error}", file=sys.stderr)
        return None
    pairs, seconds = json.loads(ran.stdout)
    ids = [story["id"] for story in stories]
    heads = {id_: Head(id_, None, datetime.fromtimestamp(0, UTC), id_, True) for id_ in ids}
    places = dedup.clusters(heads, [Link(ids[a], ids[b], 1.0, 0.0) for a, b in pairs])
    return {id_: cluster for id_, (cluster, _) in places.items()}, seconds


def _f1(found: Found, gold: Mapping[str, str]) -> float:
    def pairs(groups: Iterable[object]) -> int:
        return sum(size * (size - 1) // 2 for size in Counter(groups).values())

    both = pairs((found[id_], gold[id_]) for id_ in gold)
    return 2 * both / max(1, pairs(found.values()) + pairs(gold.values()))


if __name__ == "__main__":
    main()
