"""How well and how fast pages are cleaned: text and metadata against other extractors, page for page, in the same run.

    python benchmarks/clean.py [PAGES]          default: all pages of a set; fewer for a quick look

The pages and what a reader would call their story are those of ../shared/eval/clean (the halves for development), which
only the developers have; the scorer is theirs as well: F1 over the shingles of four words. All engines read on one
core; ours and trafilatura's, turn by turn. Ours is all that `clean.page` gives: text, title, date, authors, language,
canonical address, site. trafilatura reads every page as shipped (text alone; the measure of speed) and in its setting
for precision (the best peer on text), every fourth page with metadata. newspaper4k and news-please, which are slow and
installed into a throwaway environment by uv, read `FEW` pages of each set. The speed of who reads fewer pages is told
against what trafilatura took for the same ones.
"""

from __future__ import annotations

import gzip
import importlib.util
import json
import logging
import os
import subprocess
import sys
import tempfile
import textwrap
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple, TypeVar

import trafilatura

from ingest import clean

HERE = Path(__file__).resolve().parents[2] / "shared" / "eval" / "clean"
SETS = ("aeb", "n4k", "fundus", "wcxb_article", "daniel", "magic", "htmldate_eval")
FEW = 20


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
T = TypeVar("T")
_WARM = 5  # pages that are read before the clock runs: models and tables are loaded when first needed


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


class Engine(NamedTuple):
    """What reads every so many of the pages."""

    name: str
    read: Callable[[bytes, str], Answer]
    every: int = 1


SHIPPED = Engine("trafilatura", default)
ENGINES = (
    Engine("sitrep", ours),
    SHIPPED,
    Engine("trafilatura, precision", precision),
    Engine("trafilatura + metadata", with_metadata, every=4),
)
# In an environment of their own: pages in, a line out for each with its seconds of CPU and the answer.
PEERS = ("newspaper4k", "news-please")
PEER = """
    import json, sys, time
    def newspaper4k(page):
        import newspaper
        found = newspaper.article(page["url"], input_html=page["html"], fetch_images=False)
        return found.text, found.title, found.publish_date, found.authors
    def newsplease(page):
        from newsplease import NewsPlease
        found = NewsPlease.from_html(page["html"], url=page["url"], fetch_images=False)
        return found.maintext, found.title, found.date_publish, found.authors
    read = {"newspaper4k": newspaper4k, "news-please": newsplease}[sys.argv[2]]
    pages = [json.loads(line) for line in open(sys.argv[1])]
    for number, page in enumerate(pages[:5] + pages):
        started, answer = time.process_time(), {}
        try:
            text, title, date, authors = read(page)
            answer = {"text": text, "title": title, "date": str(date or ""), "author": list(authors or [])}
        except Exception:
            pass  # whatever it fails of, its answer is empty
        if number >= len(pages[:5]):
            print(json.dumps([time.process_time() - started, answer]))
"""


class Page(NamedTuple):
    body: bytes
    gold: Answer

    @property
    def url(self) -> str:
        return str(self.gold["url"] or "https://news.example/")


class Read(NamedTuple):
    """What an engine made of some pages: their gold, its answers, its seconds, and trafilatura's for the same."""

    golds: list[Answer]
    answers: list[Answer]
    spent: list[float]
    shipped: list[float]


Results = dict[tuple[str, str], Read]  # by set and engine


def main() -> None:
    most = int(sys.argv[1]) if len(sys.argv) > 1 else None
    if not HERE.is_dir():
        print(f"no pages in {HERE}: nothing is measured")
        return
    logging.disable(logging.CRITICAL)
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    sets = {name: _pages(name, most) for name in SETS}
    for page in sets[SETS[0]][:_WARM]:
        for engine in ENGINES:
            engine.read(page.body, page.url)
    results: Results = {}
    for name, pages in sets.items():
        print(f"{name}: {len(pages)} pages", file=sys.stderr, flush=True)
        results |= _read(name, pages)
    for peer in PEERS:
        print(f"{peer}: {FEW} pages of each set", file=sys.stderr, flush=True)
        results |= _asked(peer, sets, results)
    print(_table(results))


def _pages(name: str, most: int | None) -> list[Page]:
    files = sorted((HERE / "data" / name / "dev").glob("*.gold.json"))
    return [
        Page(
            gzip.decompress(file.with_name(file.name.replace(".gold.json", ".html.gz")).read_bytes()),
            json.loads(file.read_text(encoding="utf-8")),
        )
        for file in _few(files, most)
    ]


def _few(items: Sequence[T], most: int | None) -> list[T]:
    """So many, from all over the list."""
    return [items[number * len(items) // most] for number in range(most)] if most and most < len(items) else [*items]


def _read(name: str, pages: list[Page]) -> Results:
    """What the engines make of the pages of a set, turn by turn."""
    results: Results = {(name, engine.name): Read([], [], [], []) for engine in ENGINES}
    for number, page in enumerate(pages):
        of_page: dict[str, tuple[float, Answer]] = {}
        for engine in ENGINES:
            if number % engine.every == 0:
                of_page[engine.name] = _timed(engine, page)
        for engine_name, (seconds, answer) in of_page.items():
            read = results[name, engine_name]
            read.golds.append(page.gold)
            read.answers.append(answer)
            read.spent.append(seconds)
            read.shipped.append(of_page[SHIPPED.name][0])
    return results


def _timed(engine: Engine, page: Page) -> tuple[float, Answer]:
    started = time.process_time()
    try:
        answer = engine.read(page.body, page.url)
    except Exception as error:  # noqa: BLE001 - whatever a peer fails of, its answer is empty
        print(f"{engine.name} failed: {type(error).__name__}", file=sys.stderr)
        answer = {}
    return time.process_time() - started, answer


def _asked(peer: str, sets: dict[str, list[Page]], results: Results) -> Results:
    """What a peer in its own environment makes of a few pages of each set; nothing where it cannot be had."""
    few = {name: _few(range(len(pages)), FEW) for name, pages in sets.items()}
    chosen = [(name, number) for name, numbers in few.items() for number in numbers]
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "pages.jsonl"
        pages = (sets[name][number] for name, number in chosen)
        lines = (json.dumps({"url": page.url, "html": page.body.decode("utf-8", "replace")}) for page in pages)
        file.write_text("".join(line + "\n" for line in lines), encoding="utf-8")
        alone = ["uv", "run", "--quiet", "--no-project", "--python", sys.executable, "--with", peer, "python"]
        command = [*alone, "-c", textwrap.dedent(PEER), str(file), peer]
        try:
            done = subprocess.run(command, capture_output=True, text=True, check=False)
        except FileNotFoundError:
            return {}
    if done.returncode:
        print(f"{peer} is missing: {done.stderr.strip().splitlines()[-1]}", file=sys.stderr)
        return {}
    found: Results = {(name, peer): Read([], [], [], []) for name in sets}
    told = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("[")]
    for (name, number), (seconds, answer) in zip(chosen, told, strict=True):
        read = found[name, peer]
        read.golds.append(sets[name][number].gold)
        read.answers.append(answer)
        read.spent.append(seconds)
        read.shipped.append(results[name, SHIPPED.name].spent[number])
    return found


def _table(results: Results) -> str:
    """The table that README shows: F1 of the text by set, what is right of the metadata, the speed."""
    scorer = _scorer()
    rows: dict[str, dict[str, str]] = defaultdict(dict)
    for (name, engine), read in results.items():
        report = scorer.report(engine, read.golds, [(answer, 1, 1, None, 0) for answer in read.answers])
        given = {key for answer in read.answers for key, value in answer.items() if value}
        for measure in MEASURES:
            if measure.key in report and measure.field in given:
                rows[engine][f"{name} {measure.label}"] = f"{report[measure.key]:.3f}".removeprefix("0")
    for engine in rows:
        own = {name: read for (name, named), read in results.items() if named == engine}
        rows[engine]["pages"] = str(sum(len(read.golds) for read in own.values()))
        for label, names in (("speed", SETS), ("on news", SETS[:3])):
            shipped, spent = (sum(sum(getattr(own[name], field)) for name in names) for field in ("shipped", "spent"))
            rows[engine][label] = f"{shipped / spent:.2f}"
    columns = list(dict.fromkeys(column for row in rows.values() for column in row if " F1" in column))
    columns += [f"fundus {label}" for label in ("title", "date", "authors")] + ["htmldate_eval date"]
    columns += ["pages", "speed", "on news"]
    lines = [["", *columns], ["---"] * (len(columns) + 1)]
    lines += [[engine, *(row.get(column, "") for column in columns)] for engine, row in rows.items()]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _scorer() -> ModuleType:
    spec = importlib.util.spec_from_file_location("scorer", HERE / "evaluate.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


if __name__ == "__main__":
    main()
