"""Runs DAGs in one process, as `dag.test()` does, and prints a line of JSON: what became of the run.

    python tests/airflow_runs.py '{"dag": "sitrep_daily", "date": null, "conf": {}}' …

Tests start it as a process of its own: Airflow changes logging, warnings and much else of the process it runs in.
The environment (SITREP_HOME, AIRFLOW_HOME, …) is the caller's.
"""

from __future__ import annotations

import json
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

OPS = Path(__file__).resolve().parents[1] / "ops"


def one(dags: dict[str, Any], asked: dict[str, Any]) -> dict[str, Any]:
    date = datetime.fromisoformat(asked["date"]) if asked.get("date") else None
    try:
        run = dags[asked["dag"]].test(logical_date=date, run_conf=asked.get("conf") or {})
    except Exception as error:  # noqa: BLE001 - the caller judges it
        return {"state": "refused", "error": f"{type(error).__name__}: {error}"}
    tasks = sorted((ti.task_id, ti.map_index, str(ti.state), ti.try_number) for ti in run.get_task_instances())
    return {"state": str(run.state), "run_id": run.run_id, "tasks": tasks}


def after_three_days(dag: Any) -> dict[str, int]:
    """What the scheduler starts after it has stood still for three days."""
    from airflow.serialization.encoders import coerce_to_core_timetable
    from airflow.timetables.base import DataInterval, TimeRestriction

    today = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    following = coerce_to_core_timetable(dag.timetable).next_dagrun_info(
        last_automated_data_interval=DataInterval(today - timedelta(days=5), today - timedelta(days=4)),
        restriction=TimeRestriction(dag.start_date, None, dag.catchup),
    )
    return {"days_ago": (today - following.data_interval.start).days, "runs_at_once": dag.max_active_runs}


def main() -> None:
    sys.path.insert(0, str(OPS))
    import surroundings

    surroundings.prepare()
    surroundings.migrate()
    from airflow.dag_processing.dagbag import DagBag

    start = time.process_time()
    bag = DagBag(surroundings.CHECKOUT / "dags")
    told = {
        "dags": sorted(bag.dags),
        "errors": dict(bag.import_errors),
        "seconds": time.process_time() - start,
        "imported": sorted(name for name in sys.modules if name.startswith("ingest")),
        "after_three_days": after_three_days(bag.dags["sitrep_daily"]),
    }
    results = [one(bag.dags, json.loads(asked)) for asked in sys.argv[1:]]
    sys.stdout.write("\n" + json.dumps({**told, "runs": results}) + "\n")


if __name__ == "__main__":
    main()
