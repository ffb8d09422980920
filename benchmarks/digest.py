"""How much CPU a page costs: digest of a WARC against news-please, page for page, in the same run.

    python benchmarks/digest.py [PAGES]         default: all pages, of which news-please reads 150

The pages are those of ../shared/eval/clean, which only the developers have. news-please is the usual choice for news
archives; it is installed into a throwaway environment by uv. Both read the same pages on one core. Ours is everything
that digest does (reading the WARC, cleaning, metadata, language, topics, fingerprint, the file of stories), in all its
processes; what it takes once, to start a worker with its rules and models, is measured with a WARC of one short page
and told apart. news-please's is `NewsPlease.from_html` alone, warmed up, fetching no pictures, which gives text,
metadata and no more.
"""

from __future__ import annotations

import gzip
import json
import os
import resource
import subprocess
import sys
import tempfile
import textwrap
import time
from datetime import UTC, datetime
from pathlib import Path

from ingest import archive
from ingest import settings as configuration
from ingest.landing import Landing
from ingest.models import Capture
from ingest.pipeline.batches import Job
from ingest.pipeline.digesting import digest

DATA = Path(__file__).resolve().parents[2] / "shared" / "eval" / "clean" / "data"
PEER = """
    import json, sys, time
    from newsplease import NewsPlease
    pages = [json.loads(line) for line in open(sys.argv[1])]
    def read(page):
        return NewsPlease.from_html(page["html"], url=page["url"], fetch_images=False)
    read(pages[0])
    started, texts = time.process_time(), 0
    for page in pages:
        try:
            texts += bool(read(page).maintext)
        except Exception:
            pass  # counted as without a text
    print(json.dumps([time.process_time() - started, texts]))
"""


SAMPLE = 150  # pages that news-please reads; it takes a sixth of a second for each
SHORT = ("https://news.example/short", b"<html><body><article><p>The bridge of Sel is open again.</p></article></html>")


def main() -> None:
    most = int(sys.argv[1]) if len(sys.argv) > 1 else None
    files = sorted(DATA.glob("*/dev/*.html.gz"))
    if not files:
        print(f"no pages in {DATA}: nothing is measured")
        return
    pages = _read(files, most)
    sample = [pages[number * len(pages) // SAMPLE] for number in range(SAMPLE)] if len(pages) > SAMPLE else pages
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    start, _ = _ours([SHORT])
    print(f"sitrep       {start:7.2f} s of CPU to start, once a run", flush=True)
    alone, _ = _ours(sample)
    everything, stories = _ours(pages)
    print(
        f"sitrep       {_each(everything - start, pages):7.2f} ms of CPU a page, {stories} stories of {len(pages)} "
        f"pages ({_each(everything, pages):.2f} with the start)\n"
        f"sitrep       {_each(alone - start, sample):7.2f} ms on the {len(sample)} of them that news-please reads",
        flush=True,
    )
    peer = _peer(sample)
    if peer is None:
        print("news-please is missing (uv could not install it): no ratio")
        return
    theirs = _each(peer[0], sample)
    print(f"news-please  {theirs:7.2f} ms on these, {peer[1]} texts")
    print(
        f"ratio        {peer[0] / (alone - start):7.1f} on these (news-please / sitrep; above 1: sitrep takes less), "
        f"{theirs / _each(everything, pages):.1f} against all pages with the start"
    )


def _read(files: list[Path], most: int | None) -> list[tuple[str, bytes]]:
    files = files[:: max(1, len(files) // most)][:most] if most else files
    return [(_url(file), gzip.decompress(file.read_bytes())) for file in files]


def _each(seconds: float, pages: list[tuple[str, bytes]]) -> float:
    """Milliseconds a page."""
    return 1000 * seconds / len(pages)


def _url(file: Path) -> str:
    gold = json.loads(Path(str(file).removesuffix(".html.gz") + ".gold.json").read_text())
    return gold.get("url") or f"https://news.example/{file.name}"


def _ours(pages: list[tuple[str, bytes]]) -> tuple[float, int]:
    """Seconds of CPU for digesting a WARC of these pages, all processes together; and how many stories came out."""
    with tempfile.TemporaryDirectory() as folder:
        return _digested(Path(folder), pages)


def _digested(folder: Path, pages: list[tuple[str, bytes]]) -> tuple[float, int]:
    landing = Landing(str(folder))
    now = datetime.now(UTC)
    headers = (("Content-Type", "text/html; charset=utf-8"),)
    with landing.captures("pages.warc.gz") as writer:
        for url, body in pages:
            writer.add(Capture(url, 200, headers, body, now))
    file = folder / "pages.warc.gz"
    job = Job(archive.Source(str(file), "warc", file.stat().st_size), "stories/archive/pages", now, trusted=False)
    before, started = _used(), time.process_time()
    parts = digest(landing, job, configuration.load({"SITREP_HOME": str(folder), "SITREP_WORKERS": "1"}))
    here = time.process_time() - started
    _stop_server()
    return here + _used() - before, sum(landing.part(part).count for part in parts)


def _used() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def _stop_server() -> None:
    """End the server of the workers, so that its time, and theirs, is counted."""
    from multiprocessing import forkserver

    vars(forkserver)["_forkserver"]._stop()


def _peer(pages: list[tuple[str, bytes]]) -> tuple[float, int] | None:
    """Seconds of CPU, and of how many pages there is a text; None where news-please cannot be had."""
    with tempfile.TemporaryDirectory() as folder:
        return _asked(Path(folder) / "pages.jsonl", pages)


def _asked(file: Path, pages: list[tuple[str, bytes]]) -> tuple[float, int] | None:
    lines = (json.dumps({"url": url, "html": body.decode("utf-8", "replace")}) for url, body in pages)
    file.write_text("".join(line + "\n" for line in lines))
    alone = ["uv", "run", "--quiet", "--no-project", "--python", sys.executable, "--with", "news-please", "python"]
    command = [*alone, "-c", textwrap.dedent(PEER), str(file)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        return None
    if done.returncode:
        print(done.stderr.strip().splitlines()[-1], file=sys.stderr)
        return None
    seconds, texts = json.loads(done.stdout.strip().splitlines()[-1])
    return seconds, texts


if __name__ == "__main__":
    main()
