"""What a page costs beside the store's own search: 20,000 made-up stories (`--stories N` for more), SQLite.

Printed are CPU milliseconds of this process (median of three), always of a process that has not been asked the same
before: of a few named pages beside `Store.search` of the same words; of a table of different searches; of the most that
may be asked; and of twenty searches at once, sent to `sitrep serve`.
`--home FOLDER` keeps the store there, and takes one that is there.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import islice
from pathlib import Path
from urllib.parse import urlencode

import numpy as np
from fastapi.testclient import TestClient
from httpx import Response

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from ingest.models import Story
from ingest.pipeline.pipe import Pipe
from ingest.settings import Settings
from ingest.store import Query, Slice
from ingest.store.sqlite import SqliteStore
from ingest.web.access import Access
from ingest.web.app import create_app
from ingest.web.window import Window
from tests.builders import story, tags

TOPICS = ("escalation", "aid", "deployments")
FREQUENT = {"artillery": 0.3, "troops": 0.2, "grain": 0.1, "said": 0.9}  # in so many of the stories
WORDS, VOCABULARY = 300, 40_000
NAMED = {"first page": "", "two words": "artillery troops", "a phrase": '"artillery troops"', "said (90 %)": "said"}
AT_ONCE = 20
ROUNDS = 3


def vocabulary(random: np.random.Generator) -> list[str]:
    letters = np.array(list("abcdefghijklmnopqrstuvwxyz"))
    return ["".join(random.choice(letters, random.integers(3, 10))) for _ in range(VOCABULARY)]


def stories(count: int) -> Iterator[Story]:
    """Stories of a year, words by Zipf's law, every tenth a copy of the one before it."""
    random = np.random.default_rng(1)
    known = vocabulary(random)
    weights = np.cumsum(1 / np.arange(1, VOCABULARY + 1))
    for n in range(count):
        drawn = np.searchsorted(weights, random.random(WORDS) * weights[-1])
        words = [known[k] for k in drawn]
        for word, share in FREQUENT.items():
            if random.random() < share:
                words[random.integers(0, WORDS)] = word
        topics = [topic for topic in TOPICS if random.random() < 0.3]
        moment = datetime(2022, 1, 1, tzinfo=UTC) + timedelta(minutes=n * 525_600 / count)
        copy = n % 10 == 9
        yield story(
            str(n),
            title=" ".join(words[:8]),
            text=" ".join(words),
            source=f"site{random.integers(0, 300)}.example",
            tags=tags(*topics, main=topics[:1]),
            published=moment.isoformat().replace("+00:00", "Z"),
            first_seen=moment,
            cluster=f"id-{n - copy}",
            lead=not copy,
        )


Pairs = Sequence[tuple[str, str]]


def searches() -> list[Pairs]:
    """Seventy-two addresses of the first page: words from everywhere in the vocabulary, alone and together, with what
    else can be asked. The most frequent one stands in nearly every story, the rarest in one of a hundred."""
    known = vocabulary(np.random.default_rng(1))
    words = [known[rank] for rank in (2, 5, 10, 20, 40, 80, 150, 300, 600, 1000, 2000, 4000)]
    typed = [
        *words,
        *FREQUENT,
        *(f"{a} {b}" for a, b in zip(words, words[3:], strict=False)),
        *(f"{a} {b} {c}" for a, b, c in zip(words, words[1:], words[4:], strict=False)),
        "artillery troops",
        "said troops grain",
        '"artillery troops"',
        f'"{words[0]} {words[1]}"',
        f'"{words[4]} {words[2]}"',
        f"title:{words[3]}",
        f"title:{words[0]} {words[6]}",
        "said -troops",
        f"{words[2]} -{words[1]}",
        f"{words[5][:3]}*",
        f"{words[8][:4]}*",
    ]
    filters: list[list[tuple[str, str]]] = [
        [],
        [("topic", "aid")],
        [("topic", "aid"), ("topic", "escalation"), ("weight", "main")],
        [("status", "asserted")],
        [("source", "site7.example")],
        [("since", "2022-05-01"), ("until", "2022-06-01")],
        [("since", "2022-10-01"), ("sort", "newest")],
        [("topic", "deployments"), ("since", "2022-03-01"), ("every", "1")],
    ]
    pages: list[Pairs] = [[("q", text)] for text in typed]
    pages += [[("q", text), *more] for text in ("", "said", "artillery", words[7]) for more in filters[1:]]
    return [[("sort", "oldest")], [("page", "40")], [("q", "troops"), ("page", "20")], *pages]


def cost(job: Callable[[], object]) -> float:
    """CPU milliseconds."""
    start = time.process_time()
    job()
    return 1000 * (time.process_time() - start)


def filled(settings: Settings, count: int) -> None:
    store = SqliteStore(settings.database)
    if store.info()["stories"] == count:
        return
    lease = store.lease("here:0:bench", live=False)
    assert not isinstance(lease, str)
    made = stories(count)
    while batch := list(islice(made, 2000)):
        store.write(Slice(stories=batch), lease)
        print(f"{int(batch[-1].id[3:]) + 1:,d} of {count:,d} stories", file=sys.stderr)
    store.release(lease)
    store.close()


@contextmanager
def fresh(settings: Settings) -> Iterator[TestClient]:
    """A window that knows what it knows after its first page, and remembers no search."""
    window = Window(lambda: settings)
    client = TestClient(create_app(window, Access()))
    client.get("/?since=2022-06-01&until=2022-06-02")
    yield client
    window.close()


def named(settings: Settings) -> None:
    print(f"\n{'':14s}{'search':>8s}{'JSON':>8s}{'page':>8s}{'page, again':>13s}{'page/search':>13s}{'KB':>6s}")
    for name, text in NAMED.items():
        taken: dict[str, list[float]] = {}
        for _ in range(ROUNDS):
            store = Pipe(settings).store
            store.stay_ready()
            store.search(Query("nothingthatisthere", folded=True))
            taken.setdefault("search", []).append(
                cost(lambda text=text, store=store: store.search(Query(text, folded=True)))
            )
            store.close()
            for kind, path in (("JSON", "/api/v1/search"), ("page", "/"), ("again", "/")):
                with fresh(settings) as client:
                    if kind == "again":
                        client.get(path, params={"q": text})
                    ask = partial(client.get, path, params={"q": text})
                    taken.setdefault(kind, []).append(cost(ask))
                    size = len(ask().content) / 1000
        own, json, page, again = (statistics.median(values) for values in taken.values())
        print(f"{name:14s}{own:8.1f}{json:8.1f}{page:8.1f}{again:13.1f}{page / own:13.1f}{size:6.0f}")


def table(settings: Settings, pages: Sequence[Pairs], *, told: bool) -> None:
    """Each of the searches, asked once of a window that does not know it: what the page costs, and what the same
    search costs as JSON, which counts and draws nothing."""
    taken: dict[tuple[str, int], list[float]] = {}
    answers: list[Response] = []
    for _ in range(ROUNDS):
        for path in ("/", "/api/v1/search"):
            with fresh(settings) as client:
                for n, pairs in enumerate(pages):
                    start = time.process_time()
                    answers.append(client.get(f"{path}?{urlencode(pairs)}"))
                    taken.setdefault((path, n), []).append(1000 * (time.process_time() - start))
    assert all(answer.status_code == 200 for answer in answers)
    found = {key: statistics.median(values) for key, values in taken.items()}
    if told:
        for n, pairs in enumerate(pages):
            print(f"{found['/', n]:8.1f}{found['/api/v1/search', n]:8.1f}  {urlencode(pairs)}")
    print(f"\n{len(pages)} searches{'mean':>10s}{'p50':>8s}{'p95':>8s}{'worst':>8s}{'KB, at most':>13s}")
    largest = max(len(answer.content) for answer in answers) / 1000
    for name, path in (("page", "/"), ("its search", "/api/v1/search")):
        values = [found[path, n] for n in range(len(pages))]
        p50, p95 = np.percentile(values, (50, 95))
        kb = f"{largest:13.0f}" if name == "page" else ""
        print(f"{name:14s}{statistics.mean(values):7.1f}{p50:8.1f}{p95:8.1f}{max(values):8.1f}{kb}")


def hostile(settings: Settings) -> None:
    """What the most that may be asked costs: CPU, and memory beyond what the process had before it."""
    known = vocabulary(np.random.default_rng(1))
    begin = [begins for begins, _ in Counter(word[:3] for word in known).most_common(4)]
    asked = {
        "32 frequent words": " ".join(known[:32]),
        "a phrase of 12 frequent words": f'"{" ".join(known[:12])}"',
        "16 phrases": " ".join(f'"{known[n]} {known[n + 1]}"' for n in range(16)),
        "4 beginnings of 3 letters": " ".join(f"{each}*" for each in begin),
        "the same in the title": " ".join(f"title:{each}*" for each in begin),
        "without 4 beginnings": " ".join(f"-{each}*" for each in begin),
        "the most frequent word, page 500": f"{known[0]}&page=500",
    }
    with fresh(settings) as client:
        print()
        for name, text in asked.items():
            q, _, page = text.partition("&page=")
            before = _memory("VmRSS")
            Path("/proc/self/clear_refs").write_text("5")  # the peak is counted from here
            spent = cost(partial(client.get, "/", params={"q": q, "page": page}))
            print(f"{name:34s}{spent:8.0f} ms of CPU{_memory('VmHWM') - before:6.0f} MB")


def _memory(name: str) -> float:
    """MB of this process."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith(name))


def at_once(settings: Settings, pages: Sequence[Pairs]) -> None:
    """Twenty different searches at once, sent to `sitrep serve`."""
    environment = {**os.environ, "SITREP_HOME": str(settings.home), "SITREP_LANDING": settings.landing}
    environment.pop("SITREP_TOKEN", None)
    command = [sys.executable, "-m", "ingest", "serve", "--port", "8931"]
    server = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        base = "http://127.0.0.1:8931/?"
        _answered(base)
        with ThreadPoolExecutor(AT_ONCE) as clients:
            list(clients.map(_asked, [base + urlencode(pairs) for pairs in pages[-AT_ONCE:]]))  # threads are there
            picked = [base + urlencode(pairs) for pairs in pages[:: len(pages) // AT_ONCE][:AT_ONCE]]
            spent, began = _spent(server.pid), time.monotonic()
            each = sorted(clients.map(_asked, picked))
            wall, cpu = time.monotonic() - began, _spent(server.pid) - spent
        load = os.getloadavg()[0]
        print(
            f"\n{AT_ONCE} at once: {1000 * wall:.0f} ms until the last was answered, half of them in "
            f"{1000 * statistics.median(each):.0f}; {1000 * cpu:.0f} ms of CPU (load {load:.1f})"
        )
    finally:
        server.terminate()
        server.wait()


def _answered(address: str) -> None:
    for _ in range(600):
        try:
            _asked(address)
            return
        except OSError:
            time.sleep(0.1)
    raise TimeoutError("sitrep serve does not answer")


def _asked(address: str) -> float:
    """Seconds."""
    began = time.monotonic()
    with urllib.request.urlopen(address) as answer:
        assert b"</html>" in answer.read()
    return time.monotonic() - began


def _spent(pid: int) -> float:
    """Seconds of processor time of a process."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def main() -> None:
    options = argparse.ArgumentParser()
    options.add_argument("--stories", type=int, default=20_000)
    options.add_argument("--home", type=Path, help="keep the store in this folder")
    options.add_argument("--each", action="store_true", help="print every search of the table")
    given = options.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        home = given.home or Path(folder)
        settings = Settings(home=home, landing=f"{home}/landing")
        filled(settings, given.stories)
        print(f"{given.stories:,d} stories; CPU ms")
        named(settings)
        pages = searches()
        table(settings, pages, told=given.each)
        hostile(settings)
        at_once(settings, pages)


if __name__ == "__main__":
    main()
