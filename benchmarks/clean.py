"""How well and how fast pages are cleaned: text and metadata against trafilatura, page for page, in the same run.

    python benchmarks/clean.py [PAGES]          default: all pages of a set; fewer for a quick look

The pages and what a reader would call their story are those of ../shared/eval/clean (the halves for development), which
only the developers have; the scorer is theirs as well: F1 over the shingles of four words. Both engines read every page
on one core, turn by turn. The peers are trafilatura as shipped (text alone; the measure of speed), its setting for
precision (the best peer on text), and its text with metadata. Ours is all that `clean.page` gives: text, title, date,
authors, language, canonical address, site.
"""

from __future__ import annotations

import gzip
import importlib.util
import json
import logging
import os
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import trafilatura

from ingest import clean

HERE = Path(__file__).resolve().parents[2] / "shared" / "eval" / "clean"
SETS = ("aeb", "n4k", "fundus", "wcxb_article", "daniel", "magic", "htmldate_eval")


class Measure(NamedTuple):
    """A figure of the scorer's report, what it is called here, and the field of an answer that it judges."""

    key: str
    label: str
    field: str


MEASURES = (
    Measure("f1", "F1", "text"),
    Measure("title_exact", "title", "title"),
    Measure("date_day", "date", "date"),
    Measure("author_exact", "authors", "author"),
)

Answer = dict[str, Any]
_WARM = 5  # pages of a set that are read before the clock runs: models and tables are loaded when first needed


def ours(body: bytes, url: str) -> Answer:
    found = clean.page(body, url=url, charset="utf-8", captured=datetime.now(UTC))
    return {"text": found.text, "title": found.title, "date": found.published, "author": list(found.authors)}


def default(body: bytes, url: str) -> Answer:
    return {"text": trafilatura.extract(body.decode("utf-8", "replace"), url=url)}


def precision(body: bytes, url: str) -> Answer:
    text = body.decode("utf-8", "replace")
    return {"text": trafilatura.extract(text, url=url, favor_precision=True, include_comments=False)}


def with_metadata(body: bytes, url: str) -> Answer:
    text = body.decode("utf-8", "replace")
    found: Any = trafilatura.bare_extraction(text, url=url, include_comments=False, with_metadata=True)
    if found is None:
        return {}
    return {"text": found.text, "title": found.title, "date": found.date, "author": found.author}


ENGINES: dict[str, Callable[[bytes, str], Answer]] = {
    "sitrep": ours,
    "trafilatura": default,
    "trafilatura, precision": precision,
    "trafilatura + metadata": with_metadata,
}


def main() -> None:
    most = int(sys.argv[1]) if len(sys.argv) > 1 else None
    if not HERE.is_dir():
        print(f"no pages in {HERE}: nothing is measured")
        return
    logging.disable(logging.CRITICAL)
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    scorer = _scorer()
    spent = dict.fromkeys(ENGINES, 0.0)
    for name in SETS:
        golds, answers = _read(name, most, spent)
        for engine, found in answers.items():
            report = scorer.report(engine, golds, [(answer, 1, 1, None, 0) for answer in found])
            given = {key for answer in found for key, value in answer.items() if value}
            measures = [one for one in MEASURES if one.key in report and one.field in given]
            shown = "  ".join(f"{one.label} {report[one.key]:.3f}" for one in measures)
            print(f"{name:14} {engine:24} {shown}", flush=True)
    for engine, seconds in spent.items():
        print(f"{'speed':14} {engine:24} {spent['trafilatura'] / seconds:.2f} times trafilatura's")


def _scorer() -> ModuleType:
    spec = importlib.util.spec_from_file_location("scorer", HERE / "evaluate.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _read(name: str, most: int | None, spent: dict[str, float]) -> tuple[list[Answer], dict[str, list[Answer]]]:
    """The gold of a set and the answers of every engine; adds what they took to `spent` (CPU seconds)."""
    files = sorted((HERE / "data" / name / "dev").glob("*.gold.json"))
    files = files[:: max(1, len(files) // most)][:most] if most else files
    golds = [json.loads(file.read_text(encoding="utf-8")) for file in files]
    answers: dict[str, list[Answer]] = {engine: [] for engine in ENGINES}
    pages = [
        gzip.decompress(file.with_name(file.name.replace(".gold.json", ".html.gz")).read_bytes()) for file in files
    ]
    for body, gold in zip(pages[:_WARM], golds, strict=False):
        for read in ENGINES.values():
            read(body, gold["url"])
    for body, gold in zip(pages, golds, strict=True):
        for engine, read in ENGINES.items():
            started = time.process_time()
            try:
                answer = read(body, gold["url"])
            except Exception as error:  # noqa: BLE001 - whatever a peer fails of, its answer is empty
                print(f"{engine} failed: {type(error).__name__}", file=sys.stderr)
                answer = {}
            spent[engine] += time.process_time() - started
            answers[engine].append(answer)
    return golds, answers


if __name__ == "__main__":
    main()
