"""A run: what belongs to one daily job, one poll or one backfill, and where its files lie in the landing zone.

captures/<day>/<run>-<batch>.warc.gz    what was fetched (landing files), a .cdxj index and a .json of what it taught
captures/<day>/complete.json            the day's landing is complete
archives/<digest>.json                  the manifest of a foreign archive
stories/…/<part>                        files of stories, .jsonl.zst with .npz and .json beside it
runs/<run>.json                         what belongs to a run
reports/<run>.json                      what became of it
"""

from __future__ import annotations

import hashlib
import re
import secrets
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any

from ingest import dates


@dataclass(frozen=True, slots=True)
class Run:
    """`id` sorts by start. `kind`: poll, daily, archive or replay. `day` is the day of its data interval: its landing
    stands there, whatever the clock says."""

    id: str
    kind: str
    started: datetime
    day: date

    def to_json(self) -> dict[str, Any]:
        return {"run": self.id, "kind": self.kind, "started": dates.iso(self.started), "day": self.day.isoformat()}

    @classmethod
    def from_json(cls, record: Mapping[str, Any]) -> Run:
        day = date.fromisoformat(record["day"])
        return cls(record["run"], record["kind"], dates.instant(record["started"]), day)

    def landing_file(self, batch: int) -> str:
        return f"captures/{self.day}/{self.id}-{batch:04d}.warc.gz"


def start(kind: str, *, now: datetime | None = None, day: date | None = None, name: str | None = None) -> Run:
    """A new run. With a `name` (an Airflow run's) the same name and start give the same run, so a retry goes on."""
    now = now or datetime.now(UTC)
    last = tail(name) if name else secrets.token_hex(4)
    return Run(f"{now.astimezone(UTC):%Y%m%dT%H%M%SZ}-{kind}-{last}", kind, now, day or now.astimezone(UTC).date())


def tail(name: str) -> str:
    """How the id of an Airflow run's (<DAG>/<run>) ends."""
    return hashlib.sha256(name.encode()).hexdigest()[:8]


def beside(landing_file: str) -> str:
    """Where what a batch taught is written: captures/d/x.warc.gz → captures/d/x.json"""
    return landing_file.removesuffix(".warc.gz") + ".json"


def stories_of(landing_file: str) -> str:
    """Where the stories of a landing file go: captures/d/x.warc.gz → stories/captures/d/x"""
    return "stories/" + re.sub(r"\.warc\.gz$", "", landing_file)


def owner(landing_file: str) -> str:
    """The run that fetched a landing file: captures/<day>/<run>-<batch>.warc.gz"""
    return landing_file.rpartition("/")[2].rpartition("-")[0]


def is_live(part: str) -> bool:
    """Whether a file of stories came from fetching; others are archives'."""
    return part.startswith("stories/captures/")


def live_first(parts: Iterable[str]) -> list[str]:
    return sorted(parts, key=lambda part: (not is_live(part), part))
