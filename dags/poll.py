"""Every ten minutes: the feeds that are due by their own rate, published at once."""

from __future__ import annotations

from datetime import UTC, datetime

import sitrep_moves as moves
from airflow.sdk import dag, get_current_context, task


@task
def plan() -> list[int]:
    """Which feeds are due."""
    from ingest.pipeline import plans

    run = get_current_context()["dag_run"]
    start = run.start_date or run.run_after
    with moves.opened() as (pipe, _):
        day = (run.data_interval_start or start).astimezone(UTC).date()
        return moves.begin(plans.poll(pipe, f"{run.dag_id}/{run.run_id}", start, day))


@dag(
    dag_id="sitrep_poll",
    schedule="5-59/10 * * * *",  # not at midnight: the daily run polls then, and the day's last poll should be in it
    start_date=datetime(2026, 1, 1, tzinfo=UTC),
    catchup=False,
    max_active_runs=1,
    default_args=moves.DEFAULTS,
    doc_md=__doc__,
    tags=["sitrep"],
)
def poll() -> None:
    planned = plan.override(priority_weight=moves.POLL)()
    run = planned["run"]
    landings = moves.fetch.override(priority_weight=moves.POLL).partial(run=run).expand(batch=planned)
    work = moves.close.override(priority_weight=moves.POLL)(run, landings)
    moves.digest_and_publish(planned, work, weight=moves.POLL)


poll()
