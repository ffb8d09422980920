"""By hand: read archives that somebody else collected.

Start it with `{"paths": ["/archive/2022.warc.gz"]}`: WARC files, JSON Lines (also compressed), folders of saved pages
or of archives. What was read before is left as it is, and an interrupted run goes on where it was.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import sitrep_moves as moves
from airflow.sdk import Param, dag, get_current_context, task


@task
def plan() -> list[list[dict[str, str]]]:
    """What there is to read."""
    from ingest.pipeline import plans

    context = get_current_context()
    run = context["dag_run"]
    with moves.opened() as (pipe, _):
        name = f"{run.dag_id}/{run.run_id}"
        planned = plans.backfill(pipe, name, run.start_date or run.run_after, context["params"]["paths"])
        moves.begin(planned)
        return plans.shares_of_work(pipe, plans.archives(planned))


@dag(
    dag_id="sitrep_archive",
    schedule=None,
    start_date=datetime(2026, 1, 1, tzinfo=UTC),
    catchup=False,
    max_active_runs=1,
    default_args=moves.DEFAULTS,
    params={"paths": Param([], type="array", description="Absolute paths of archives", items={"type": "string"})},
    doc_md=__doc__,
    tags=["sitrep"],
)
def archive() -> None:
    planned: Any = plan.override(priority_weight=moves.ARCHIVE)()
    moves.digest_and_publish(planned, planned, weight=moves.ARCHIVE, pool=moves.DIGEST_POOL)


archive()
