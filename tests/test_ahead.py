"""Publishing while digesting goes on: the same store as one after the other, whatever becomes of the process."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from ingest.pipeline import ahead, digesting, jobs, runs
from ingest.pipeline.ahead import Ahead
from ingest.pipeline.pipe import Pipe
from ingest.settings import Settings
from ingest.store import Query

PLACES = "harbour bridge depot school clinic market station tunnel outpost bakery".split()  # noqa: SIM905


@pytest.fixture
def archive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Some files of stories, with the same stories in several of them."""
    monkeypatch.setattr(digesting, "PART", 64)
    rows = []
    for n in range(400):
        one, other = PLACES[n % 10], PLACES[n // 10 % 10]
        text = f"The {one} in district {n % 97} was closed on Monday, and {n} people went to the {other} instead."
        rows.append({"url": f"https://a.example/{n % 300}", "text": text, "published": f"2022-05-{n % 28 + 1:02d}"})
    path = tmp_path / "many.jsonl"
    path.write_text("\n".join(map(json.dumps, rows)))
    return str(path)


def shown(pipe: Pipe) -> list[dict[str, object]]:
    return [{**story.to_json(), "indexed": None} for story in pipe.store.export(Query())]


def wait_for(pipe: Pipe, parts: list[str]) -> None:
    """Until these files are published."""
    deadline = time.monotonic() + 120
    while {path for path, booking in pipe.store.bookings(parts).items() if booking.complete} != set(parts):
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_what_is_added_is_published_by_a_process_of_its_own(
    pipe: Pipe, archive: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ahead, "WORTH", 0.0)
    run = runs.start("archive")
    told: list[str] = []
    (source,) = jobs.archive.sources([archive])
    parts = jobs.digest_archive(pipe, run, source, workers=2, ready=told.append)
    assert told == parts
    assert len(parts) > 4
    with Ahead(pipe.settings, run.id) as publisher:
        for part in parts[:3]:
            publisher.add(part)
        wait_for(pipe, parts[:3])
    assert {booking.run for booking in pipe.store.bookings().values()} == {run.id}
    assert sorted(pipe.store.bookings()) == parts[:3]
    told.clear()
    jobs.digest_archive(pipe, run, source, workers=2, ready=told.append)  # and those that were there already
    assert told == parts


def test_a_backfill_ends_the_same_with_and_without_and_when_it_is_killed(
    settings: Settings, archive: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = runs.start("archive").started
    found = []
    for number, (worth, killed) in enumerate(((1e9, False), (0.0, False), (0.0, True))):
        monkeypatch.setattr(ahead, "WORTH", worth)
        home = tmp_path / str(number)
        pipe = Pipe(replace(settings, home=home, landing=str(home / "landing")))
        add = Ahead.add

        def then_kill(self: Ahead, part: str, add: Callable[[Ahead, str], None] = add) -> None:
            add(self, part)
            if self._process is not None:
                self._process.kill()

        with monkeypatch.context() as patch:
            if killed:
                patch.setattr(Ahead, "add", then_kill)
            report, _ = jobs.backfill(pipe, runs.start("archive", now=now), [archive], workers=2)
        assert sum(report.outcomes.values()) == report.entries == 400
        found.append((shown(pipe), {name: n for name, n in report.outcomes.items() if name != "duplicate"}))
        pipe.close()
    assert found[0][0] == found[1][0] == found[2][0]
    assert len(found[0][0]) == 300


def test_a_store_that_cannot_be_opened_there_costs_nothing(
    pipe: Pipe, archive: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ahead, "WORTH", 0.0)
    (source,) = jobs.archive.sources([archive])
    nowhere = replace(pipe.settings, home=Path("/proc/nowhere"))
    with Ahead(nowhere, "run") as publisher:
        parts = jobs.digest_archive(pipe, runs.start("archive"), source, workers=2, ready=publisher.add)
    assert len(parts) > 4
