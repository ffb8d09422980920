"""What must hold when processes are killed, disks fill, and files rot: real processes, real kills."""

from __future__ import annotations

import json
import os
import random
import re
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from ingest.archive import sources
from ingest.errors import LandingFault
from ingest.feeds.opml import NAMESPACE
from ingest.models import Outcome
from ingest.pipeline import digesting, jobs, publishing, runs, workers
from ingest.pipeline.pipe import Pipe
from ingest.settings import Settings
from ingest.store.sqlite import SqliteStore
from tests import faulty
from tests.servers import FaultServer, Reply

ROOT = Path(__file__).resolve().parents[1]
NOUNS = ("bridge", "brigade", "convoy", "harbour", "clinic", "depot", "village", "river", "road", "shelter", "bakery")
VERBS = ("reached", "left", "crossed", "shelled", "supplied", "guarded", "repaired", "closed", "searched", "rebuilt")
STORIES = 110


def text(rng: random.Random) -> str:
    def sentence() -> str:
        one, two, three = rng.sample(NOUNS, 3)
        verb, other = rng.choice(VERBS), rng.choice(VERBS)
        return f"The {one} {verb} {rng.randint(2, 900)} {two}s and {other} the {three}."

    return "\n\n".join(" ".join(sentence() for _ in range(3)) for _ in range(3))


def lines(count: int, seed: int = 1) -> list[str]:
    """Lines of an archive: copies, revisions, some without a date, some that are none."""
    rng = random.Random(seed)
    told = [text(rng) for _ in range(count // 2)]
    records: list[Any] = []
    for n in range(count):
        record = {
            "url": f"https://news.example/{n % (count - 9)}",
            "title": f"Story {n % 40}",
            "text": rng.choice(told),
        }
        if n % 4:
            record["published"] = f"2022-05-{1 + n % 28:02}T{n % 24:02}:00:00Z"
        if n % 3:
            record["first_seen"] = f"2022-06-{1 + n % 28:02}T10:00:00Z"
        records.append(record)
    return [json.dumps(record) for record in records] + ["no object", '{"title": "neither url nor id"}']


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("archive") / "stories.jsonl"
    path.write_text("\n".join(lines(STORIES)) + "\n")
    return path


def environment(home: Path, **more: str) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("SITREP_")}
    return {**kept, "SITREP_HOME": str(home), "SITREP_ALLOW_ADDRESSES": "127.0.0.0/8", "SITREP_WORKERS": "2", **more}


def sitrep(home: Path, *args: object, code: int = 0, **more: str) -> subprocess.CompletedProcess[str]:
    """Run the command to its end, which has to be with this exit code."""
    command = [sys.executable, "-m", "ingest", *map(str, args)]
    done = subprocess.run(command, env=environment(home, **more), cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.returncode == code, done.stderr
    return done


def told(home: Path) -> list[dict[str, Any]]:
    """All stories, but for what depends on when they came."""
    return shown(sitrep(home, "export").stdout)


def shown(export: str) -> list[dict[str, Any]]:
    stories = [json.loads(line) for line in export.splitlines()]
    for story in stories:
        story["indexed"] = None
        if not story["first_seen"].startswith("2022-06-"):
            story["first_seen"] = "the run's"
    return stories


# killed at every point -------------------------------------------------------------------------------------------
RULES = """\
topics: [aid]
groups:
  bring: {en: [reached, supplied]}
  what: {en: [convoy, clinic, bakery, shelter]}
rules:
  - {name: brought, topic: aid, act: [bring], thing: [what]}
"""


def killed(home: Path, plan: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Carry out a plan of `tests.killed`, with few rules: reading the bundled ones is most of what each run takes."""
    rules = home / "topics.yaml"
    rules.write_text(RULES)
    whole = [{"at": None, "call": 0, "after": False, "limit": 0, **run} for run in plan]
    file = home / "plan.json"
    file.write_text(json.dumps({"home": str(home), "runs": whole}))
    command = [sys.executable, "-m", "tests.killed", str(file)]
    environ = environment(home, SITREP_TOPICS=str(rules))
    done = subprocess.run(command, env=environ, cwd=ROOT, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def deaths(passed: dict[str, int], most: int) -> list[dict[str, Any]]:
    """Where to kill: at so many calls of each point, before it and after it."""
    return [
        {"at": point, "call": call, "after": after}
        for point, calls in passed.items()
        for call in sorted({1 + round(k * (calls - 1) / max(1, most - 1)) for k in range(most)})
        for after in ((False, True) if point in ("commit", "write", "states") else (True,))
    ]


def killed_and_run_again(
    folder: Path, command: list[str], places: list[dict[str, Any]], wanted: Any
) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    """Each place of death, and what the second run there said, once its export was found to be the `wanted` one."""
    plan = [
        one
        for n, place in enumerate(places)
        for one in (
            {"home": str(n), "args": command, **place},
            {"home": str(n), "args": command},
            {"home": str(n), "args": ["export"]},
        )
    ]
    done = killed(folder, plan)
    for n, place in enumerate(places):
        death, again, exported = done[3 * n : 3 * n + 3]
        assert death["code"] == -signal.SIGKILL, place
        assert again["code"] == 0, (place, again["err"])
        assert shown(exported["out"]) == wanted, place
        yield place, again


@pytest.mark.slow
def test_a_backfill_killed_anywhere_and_run_again_ends_in_the_same_store(tmp_path: Path, archive: Path) -> None:
    backfill = ["backfill", "--json", str(archive)]
    first, export = killed(tmp_path, [{"home": "once", "args": backfill}, {"home": "once", "args": ["export"]}])
    assert json.loads(first["out"])["tagged"] > 10
    assert first["passed"]["write"] >= 8
    assert first["passed"]["commit"] >= 12
    sums = json.loads(first["out"])["outcomes"]
    places = deaths(first["passed"], 3)
    for place, again in killed_and_run_again(tmp_path, backfill, places, shown(export["out"])):
        report = json.loads(again["out"])
        assert report["entries"] == sum(sums.values()) == sum(report["outcomes"].values())
        late = place["at"] == "commit" and place["call"] > first["passed"]["commit"] // 2
        assert not late or again["passed"]["commit"] < first["passed"]["commit"] * 2 // 3, "began from the beginning"


@pytest.mark.slow
def test_a_run_killed_anywhere_and_run_again_ends_in_the_same_store(tmp_path: Path, server: FaultServer) -> None:
    file = tmp_path / "feeds.opml"
    file.write_text(news(server))
    run = ["run", "--json", "--feeds", str(file)]
    first, export = killed(tmp_path, [{"home": "once", "args": run}, {"home": "once", "args": ["export"]}])
    assert first["code"] == 0, first["err"]
    assert json.loads(first["out"])["outcomes"]["indexed"] == 8
    places = deaths(first["passed"], 3)
    assert len(list(killed_and_run_again(tmp_path, run, places, shown(export["out"])))) == len(places)


def news(server: FaultServer) -> str:
    """Two feeds on the server, eight stories, four of them with pages; as OPML."""
    rng = random.Random(3)
    outlines = []
    for feed in "ab":
        items = []
        for n in range(4):
            link = server.url(f"/{feed}/{n}")
            told = text(rng)
            body = "".join(f"<p>{part}</p>" for part in told.split("\n\n"))
            page = (
                f"<html lang=en><title>Title {feed}{n}</title><article><h1>Title {feed}{n}</h1>{body}</article></html>"
            )
            server.on(f"/{feed}/{n}", Reply(200, page.encode(), {"Content-Type": "text/html"}))
            description = told if feed == "a" else told[:60] + "…"
            date = f"Tue, 24 May 2022 1{n}:00:00 GMT"
            items.append(
                f"<item><title>Title {feed}{n}</title><link>{link}</link><pubDate>{date}</pubDate>"
                f"<description>{description}</description></item>"
            )
        rss = f'<?xml version="1.0"?><rss version="2.0"><channel><title>{feed}</title>{"".join(items)}</channel></rss>'
        reply = Reply(200, rss.encode(), {"Content-Type": "application/rss+xml"})
        server.on(f"/{feed}", reply.validated(f'"{feed}"'))
        outlines.append(f'<outline type="rss" text="{feed}" xmlUrl="{server.url("/" + feed)}" s:delay="0.01"/>')
    head = f'<opml version="2.0" xmlns:s="{NAMESPACE}"><head/><body>'
    return f"{head}{''.join(outlines)}</body></opml>"


@pytest.mark.slow
def test_killed_with_its_workers_it_goes_on_and_leaves_no_process(tmp_path: Path, archive: Path) -> None:
    command = [sys.executable, "-m", "ingest", "backfill", str(archive)]
    for delay in (0.8, 1.6, 2.2, 2.8):
        process = subprocess.Popen(command, env=environment(tmp_path), cwd=ROOT, stderr=subprocess.DEVNULL, text=True)
        time.sleep(delay)
        process.kill()
        process.wait()
    report = json.loads(sitrep(tmp_path, "backfill", "--json", archive).stdout)
    assert report["entries"] == STORIES + 2 == sum(report["outcomes"].values())
    sitrep(tmp_path / "once", "backfill", archive)
    assert told(tmp_path) == told(tmp_path / "once")
    deadline = time.monotonic() + 10
    while left := workers_of(tmp_path):
        assert time.monotonic() < deadline, left
        time.sleep(0.1)


def workers_of(home: Path) -> list[int]:
    """Processes that run for this home."""
    found = []
    for file in Path("/proc").glob("[0-9]*/environ"):
        try:
            if f"SITREP_HOME={home}\0".encode() in file.read_bytes():
                found.append(int(file.parent.name))
        except OSError:
            continue  # gone, or somebody else's
    return found


# workers -----------------------------------------------------------------------------------------------------------
def test_what_kills_a_worker_is_quarantined_and_can_be_retried(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(digesting, "work", faulty.work)
    monkeypatch.setattr(workers, "PATIENCE", 2.0)
    monkeypatch.setattr(workers, "BATCH_PATIENCE", 4.0)
    faults = ("OUT OF MEMORY", "SEGFAULT", "HANG", "GREEDY")
    bad = [
        json.dumps(
            {
                "id": fault,
                "url": f"https://bad.example/{n}",
                "title": fault,
                "text": f"{fault}. " + text(random.Random(9)),
            }
        )
        for n, fault in enumerate(faults)
    ]
    file = tmp_path / os.fsdecode(b"bad \xe9.jsonl")  # a name that is no UTF-8
    file.write_text("\n".join([*lines(20)[:20], *bad, *lines(40, 2)[:40]]))
    pipe = Pipe(Settings(tmp_path, str(tmp_path / "landing"), workers=2))
    run = runs.start("archive")
    report, named = jobs.backfill(pipe, run, [str(file)])
    pipe.close()
    assert report.entries == 64
    assert report.outcomes[Outcome.QUARANTINED] == 4
    assert report.reasons == {"killed": 2, "timeout": 1, "crash": 1}
    assert len(named) == 4
    listed = [json.loads(line) for line in sitrep(tmp_path, "quarantine", "list", "--json").stdout.splitlines()]
    shown = tmp_path / "bad \ufffd.jsonl"
    assert sorted(item["where"] for item in listed) == [f"{shown} line {n}" for n in (21, 22, 23, 24)]
    assert sorted(item["url"] for item in listed) == [f"https://bad.example/{n}" for n in range(4)]
    assert {(item["source"], item["run"]) for item in listed} == {("bad.example", run.id)}
    assert sitrep(tmp_path, "quarantine", "show", listed[0]["id"], "--bytes").stdout in bad
    sitrep(tmp_path, "quarantine", "drop", listed[0]["id"])
    again = json.loads(sitrep(tmp_path, "quarantine", "retry", "--all", "--json").stdout)
    assert (again["entries"], again["outcomes"]["quarantined"]) == (3, 0)
    assert sitrep(tmp_path, "quarantine", "list").stdout == ""
    guids = {story["guid"] for story in told(tmp_path)}
    assert len(guids & set(faults)) == 3


# disks -------------------------------------------------------------------------------------------------------------
def one_sentence(done: subprocess.CompletedProcess[str]) -> str:
    """What it said last on stderr; it has said no more than that, and no traceback."""
    assert "Traceback" not in done.stderr
    (line,) = done.stderr.strip().splitlines()
    return line


@pytest.mark.parametrize("args", [["search", "bridge"], ["publish"], ["export"], ["report"]])
def test_a_store_that_is_none_is_named(tmp_path: Path, args: list[str]) -> None:
    (tmp_path / "store.sqlite").write_bytes(b"this is no database, it only lies where one should " * 200)
    if args != ["report"]:
        assert "store.sqlite" in one_sentence(sitrep(tmp_path, *args, code=1))


def test_a_store_that_rots_is_named_and_made_anew(tmp_path: Path, archive: Path) -> None:
    sitrep(tmp_path, "backfill", archive)
    before = told(tmp_path)
    store = tmp_path / "store.sqlite"
    with store.open("r+b") as file:
        size = store.stat().st_size
        for at in range(4096, size, 4096):
            file.seek(at)
            file.write(b"\xff" * 512)
    for side in ("-wal", "-shm"):
        (tmp_path / f"store.sqlite{side}").unlink(missing_ok=True)
    assert "store.sqlite" in one_sentence(sitrep(tmp_path, "export", code=1))
    store.unlink()
    report = json.loads(sitrep(tmp_path, "publish", "--json").stdout)
    assert sum(report["outcomes"].values()) == STORIES + 2
    assert told(tmp_path) == before


def test_a_home_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    assert "file" in one_sentence(sitrep(tmp_path / "file" / "home", "search", "bridge", code=1))


@pytest.mark.slow
def test_a_full_disk_is_named_and_nothing_is_lost(tmp_path: Path, archive: Path) -> None:
    """Files may not grow beyond a limit: as on a full disk, what is written comes back as an error."""
    backfill = ["backfill", "--json", str(archive)]
    limits = [4000, 20_000, 60_000, 100_000, 150_000, 200_000, 300_000]
    first, export, *full = killed(
        tmp_path,
        [
            {"home": "once", "args": backfill},
            {"home": "once", "args": ["export"]},
            *({"home": "full", "args": backfill, "limit": limit} for limit in limits),
            {"home": "full", "args": backfill},
            {"home": "full", "args": ["export"]},
        ],
    )
    faults = [done["err"].strip() for done in full[:-2] if done["code"]]
    assert len(faults) >= 4
    for done in full[:-2]:
        assert done["code"] in (0, 1)
        assert "Traceback" not in done["err"]
    assert all(re.search(r"disk|full", fault.splitlines()[-1]) for fault in faults), faults
    report = json.loads(full[-2]["out"])
    assert sum(report["outcomes"].values()) == report["entries"] == STORIES + 2
    assert shown(full[-1]["out"]) == shown(export["out"])
    assert first["code"] == 0


def test_a_full_landing_zone_stops_a_digest_that_goes_on_later(tmp_path: Path, archive: Path) -> None:
    pipe = Pipe(Settings(tmp_path, str(tmp_path / "landing")))
    (source,) = sources([str(archive)])
    run = runs.start("archive")
    list(workers.run([[b"1"]], faulty.echo, workers=1, prepare=faulty.prepare, context=["Hello"]))  # the server is up
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4000, hard))  # the manifest fits, a file of stories does not
    try:
        with pytest.raises(LandingFault, match="disk is full"):
            jobs.digest_archive(pipe, run, source)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert pipe.landing.parts() == []
    assert len(jobs.digest_archive(pipe, run, source)) == 1
    assert not list(tmp_path.rglob("*.tmp"))


def test_no_room_for_temporary_files_is_named(tmp_path: Path, archive: Path) -> None:
    """Worker processes unpack the model of languages; where they cannot, nothing is quarantined for it."""

    def small() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, 1 << 20))

    command = [sys.executable, "-m", "ingest", "backfill", str(archive)]
    done = subprocess.run(
        command, env=environment(tmp_path), cwd=ROOT, capture_output=True, text=True, preexec_fn=small, check=False
    )
    assert done.returncode == 1
    assert "no worker process can be started" in one_sentence(done)
    assert sitrep(tmp_path, "quarantine", "list").stdout == ""


# several at once ---------------------------------------------------------------------------------------------------
@pytest.mark.slow
def test_two_backfills_and_a_run_at_once_end_well(tmp_path: Path, archive: Path, server: FaultServer) -> None:
    feeds = tmp_path / "feeds.opml"
    feeds.write_text(news(server))
    home = tmp_path / "home"
    commands = [["backfill", str(archive)], ["backfill", str(archive)], ["run", "--feeds", str(feeds)]]
    started = [
        subprocess.Popen(
            [sys.executable, "-m", "ingest", *args],
            env=environment(home),
            cwd=ROOT,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        for args in commands
    ]
    for process in started:
        _, err = process.communicate(timeout=120)
        assert process.returncode == 0, err
    for args in commands[1:]:
        sitrep(tmp_path / "once", *args)
    assert told(home) == told(tmp_path / "once")


@pytest.mark.slow
def test_a_live_publisher_gets_in_between_the_slices_of_an_archive(tmp_path: Path) -> None:
    file = tmp_path / "long.jsonl"
    file.write_text("\n".join(lines(6000)))
    process = subprocess.Popen(
        [sys.executable, "-m", "ingest", "backfill", str(file)],
        env=environment(tmp_path),
        cwd=ROOT,
        stdout=-3,
        stderr=-3,
    )
    store = SqliteStore(tmp_path / "store.sqlite")
    while not store.bookings():
        assert process.poll() is None
        time.sleep(0.02)
    waits = []
    while process.poll() is None and len(waits) < 5:
        started = time.monotonic()
        with publishing.publishing(store, live=True):
            waits.append(time.monotonic() - started)
        time.sleep(0.2)
    assert process.wait(120) == 0
    store.close()
    assert len(waits) >= 2
    assert max(waits) < 10  # on an idle machine 1: a slice of 1,000 stories takes half a second


# again -------------------------------------------------------------------------------------------------------------
def test_other_rules_retag_and_change_nothing_else(tmp_path: Path, archive: Path) -> None:
    sitrep(tmp_path, "backfill", archive)
    before = told(tmp_path)
    rules = tmp_path / "topics.yaml"
    seed = (ROOT / "seeds" / "topics.yaml").read_text()
    rules.write_text(seed + "\n# another version of the same rules\n")
    sitrep(tmp_path, "digest", SITREP_TOPICS=str(rules))
    report = json.loads(sitrep(tmp_path, "publish", "--json", SITREP_TOPICS=str(rules)).stdout)
    changed = {name: n for name, n in report["outcomes"].items() if n}
    assert changed.keys() <= {"retagged", "unchanged", "rejected"}
    assert changed["retagged"] >= len(before)
    after = told(tmp_path)
    assert after != before
    ours = {"rules_version"}
    assert [{k: v for k, v in story.items() if k not in ours} for story in after] == [
        {k: v for k, v in story.items() if k not in ours} for story in before
    ]
    assert json.loads(sitrep(tmp_path, "publish", "--json").stdout)["outcomes"]["retagged"] == 0
