"""Every day at midnight UTC: all feeds that are not in back-off; closes the day and reports on it.

A run fetches when its interval is the newest closed one and has not landed yet, or when it was started by hand for no
interval. Every other run (of a backfill, cleared later) replays what landed on its day, and says so.
"""

from __future__ import annotations

from datetime import UTC, datetime

import sitrep_moves as moves
from airflow.sdk import CronDataIntervalTimetable, dag, get_current_context, task


@task
def plan() -> list[int]:
    """Whether to fetch, and which feeds."""
    from ingest.pipeline import jobs, plans

    run = get_current_context()["dag_run"]
    start = run.start_date or run.run_after
    day = (run.data_interval_start or start).astimezone(UTC).date()
    with moves.opened() as (pipe, _):
        asked = jobs.Asked(run.run_type == "backfill", run.data_interval_end, start, jobs.complete(pipe, day))
        return moves.begin(plans.daily(pipe, f"{run.dag_id}/{run.run_id}", asked, day))


@dag(
    dag_id="sitrep_daily",
    schedule=CronDataIntervalTimetable("0 0 * * *", timezone="UTC"),
    start_date=datetime(2026, 1, 1, tzinfo=UTC),
    catchup=False,
    max_active_runs=1,
    default_args=moves.DEFAULTS,
    doc_md=__doc__,
    tags=["sitrep"],
)
def daily() -> None:
    planned = plan.override(priority_weight=moves.DAILY)()
    run = planned["run"]
    landings = moves.fetch.override(priority_weight=moves.DAILY).partial(run=run).expand(batch=planned)
    work = moves.close.override(priority_weight=moves.DAILY)(run, landings)
    moves.digest_and_publish(planned, work, weight=moves.DAILY, pool=moves.DIGEST_POOL)


daily()
