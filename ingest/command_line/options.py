"""What several commands take, and what they work with."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ingest.errors import LandingFault

if TYPE_CHECKING:
    from ingest.pipeline.pipe import Pipe


class Instant(click.ParamType[datetime]):
    """A date (the beginning of that day in the time zone of the settings) or an ISO 8601 instant."""

    name = "date"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> datetime:
        from ingest import dates
        from ingest import settings as configuration

        if isinstance(value, datetime):
            return value
        try:
            return dates.instant(value, configuration.load().zone)
        except (ValueError, OverflowError):
            self.fail(f"{value!r} is no date like 2022-05-24 or 2022-05-24T12:00Z", param, ctx)


as_json = click.option("--json", "as_json", is_flag=True, help="Print data as JSON on stdout.")
topic = click.option(
    "--topic", "topics", multiple=True, metavar="TOPIC", help="Only stories with this topic (several: with any)."
)
source = click.option(
    "--source", "sources", multiple=True, metavar="SOURCE", help="Only stories of this outlet (several: of any)."
)
since = click.option("--since", type=Instant(), help="Only stories from this date (or instant) on.")
until = click.option("--until", type=Instant(), help="Only stories before this date (or instant).")
workers = click.option(
    "--workers",
    type=click.IntRange(1, 1024),  # as SITREP_WORKERS
    metavar="N",
    help="Worker processes (default: SITREP_WORKERS, else one a core).",
)
feeds_file = click.option(
    "--feeds",
    "feeds_file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Poll the feeds of this OPML file, for this run alone.",
)
page_budget = click.option(
    "--page-budget",
    type=click.FloatRange(min=0),
    metavar="SECONDS",
    default=300.0,
    show_default=True,
    help="Time for fetching pages; what is left waits for the next run, and its teaser is published meanwhile.",
)


@contextmanager
def working() -> Iterator[Pipe]:
    """The pipe for commands that write: an unusable home or store is told before any work is done.

    Raises LandingFault or StoreGone.
    """
    from ingest.pipeline.pipe import opened

    with opened() as pipe:
        home = pipe.settings.home
        try:
            home.mkdir(parents=True, exist_ok=True)
            writable = os.access(home, os.W_OK | os.X_OK)
        except OSError as error:
            raise _unusable(home, error.strerror or str(error)) from error
        if not writable:
            raise _unusable(home, "Permission denied")
        pipe.store.info()
        yield pipe


def _unusable(home: Path, why: str) -> LandingFault:
    advice = "Check its rights, or set SITREP_HOME to another folder."
    return LandingFault(f"nothing can be written there ({why}).", subject=str(home), advice=advice)
