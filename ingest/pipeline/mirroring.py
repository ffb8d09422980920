"""What stands in files, shown in the store as well where people look into it by other ways (`store.Mirror`).

The files are the truth. That something cannot be shown costs no run: it is counted, logged, and noted in the report.
"""

from __future__ import annotations

import itertools
import logging
from collections.abc import Collection, Iterable, Iterator, Mapping

from ingest.errors import LandingFault
from ingest.models import Quarantined, RunReport
from ingest.pipeline.pipe import Pipe, Progress, Step, silent
from ingest.store import Mirror

REPORTS = 50  # of a chunk: each may have a thousand feeds
ITEMS = 1000
ADVICE = "`sitrep store setup` shows everything anew"

_log = logging.getLogger(__name__)


def show(pipe: Pipe, report: RunReport, *, again: Collection[str] = ()) -> list[str]:
    """Show a run's report, and the quarantine as it is now. `again`: items that this run handled once more.

    Gives notes on what could not be shown.
    """
    mirror = pipe.store.mirror
    if mirror is None:
        return []
    try:
        refused = {**mirror.reports([report]), **_show_quarantine(pipe, mirror, again)}
    except Exception as error:  # noqa: BLE001 - the run is published and reported: nothing may be lost by showing it
        told = f"the report of this run is not shown in Kibana ({error}); {ADVICE}"
        _log.warning("%s", told)
        return [told]
    return _complaint(refused)


def show_anew(pipe: Pipe, progress: Progress = silent) -> tuple[int, int, list[str]]:
    """Show all reports and the whole quarantine anew: how many of each, and notes on what could not be shown.

    Raises StoreGone.
    """
    mirror = pipe.store.mirror
    if mirror is None:
        return 0, 0, []
    refused: dict[str, str] = {}
    notes: list[str] = []
    paths = pipe.landing.list("reports/", suffix=".json")
    for start in range(0, len(paths), REPORTS):
        refused |= mirror.reports(_readable(pipe, paths[start : start + REPORTS], notes))
        progress(Step("show reports", min(start + REPORTS, len(paths)), len(paths), "reports"))
    ids = sorted(pipe.landing.quarantined_ids())
    for some in _chunks(ids):
        refused |= mirror.quarantine(_items(pipe, some))
    mirror.quarantine([], gone=mirror.quarantined() - set(ids))
    return len(paths) - len(notes), len(ids), notes + _complaint(refused)


def _readable(pipe: Pipe, paths: Iterable[str], notes: list[str]) -> Iterator[RunReport]:
    for path in paths:
        try:
            yield kept(pipe, path)
        except LandingFault as error:
            notes.append(f"not shown: {error}")


def kept(pipe: Pipe, path: str) -> RunReport:
    """The report that was kept there. Raises LandingFault."""
    record = pipe.landing.read_json(path)
    try:
        return RunReport.from_json(record)
    except (KeyError, TypeError, ValueError) as error:
        raise LandingFault("is no report of a run", subject=path, advice="Delete it.") from error


def _show_quarantine(pipe: Pipe, mirror: Mirror, again: Collection[str]) -> Mapping[str, str]:
    ids, shown = pipe.landing.quarantined_ids(), mirror.quarantined()
    refused: dict[str, str] = {}
    for some in _chunks(sorted((ids - shown) | (ids & set(again)))):
        refused |= mirror.quarantine(_items(pipe, some))
    if gone := shown - ids:
        mirror.quarantine([], gone=gone)
    return refused


def _chunks(ids: list[str]) -> Iterator[list[str]]:
    return (ids[start : start + ITEMS] for start in range(0, len(ids), ITEMS))


def _items(pipe: Pipe, ids: list[str]) -> Iterator[Quarantined]:
    return (pipe.landing.quarantined_item(ident) for ident in ids)


def _complaint(refused: Mapping[str, str]) -> list[str]:
    if not refused:
        return []
    first = "; ".join(f"{name}: {why}" for name, why in itertools.islice(refused.items(), 3))
    told = f"{len(refused)} documents about runs and quarantine were refused by the store ({first}); {ADVICE}"
    _log.warning("%s", told)
    return [told]
