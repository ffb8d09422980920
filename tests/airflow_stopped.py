"""Gives the metadata of `make up` the look of a scheduler that stopped days ago: its last daily run is of then, and the
next one that it had in mind was never started.

    python tests/airflow_stopped.py DAYS
"""

from __future__ import annotations

import os
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "ops"))


def main(days: int) -> None:
    import surroundings
    from postgres import Postgres

    _, folder = surroundings.prepare()
    postgres = Postgres(folder / "pg")
    postgres.start()
    os.environ["AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"] = postgres.url
    surroundings.migrate()
    from airflow.dag_processing.bundles.manager import DagBundlesManager
    from airflow.dag_processing.dagbag import BundleDagBag, sync_bag_to_db
    from airflow.models.dag import DagModel
    from airflow.models.serialized_dag import SerializedDagModel
    from airflow.timetables.base import DataInterval
    from airflow.utils.session import create_session
    from airflow.utils.state import DagRunState
    from airflow.utils.types import DagRunTriggeredByType, DagRunType

    manager = DagBundlesManager()
    manager.sync_bundles_to_db()
    bundle = next(iter(manager.get_all_dag_bundles()))
    sync_bag_to_db(BundleDagBag(bundle.path, bundle_path=bundle.path, bundle_name=bundle.name), bundle.name, None)
    today = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    last = DataInterval(today - timedelta(days=days + 1), today - timedelta(days=days))
    with create_session() as session:
        dag = SerializedDagModel.get_dag("sitrep_daily", session=session)
        assert dag is not None
        dag.create_dagrun(
            run_id="scheduled__before_the_stop",
            run_type=DagRunType.SCHEDULED,
            logical_date=last.start,
            data_interval=last,
            run_after=last.end,
            start_date=last.end,
            state=DagRunState.SUCCESS,
            triggered_by=DagRunTriggeredByType.TIMETABLE,
            session=session,
        )
        model = session.get(DagModel, "sitrep_daily")
        assert model is not None
        model.next_dagrun = model.next_dagrun_data_interval_start = last.end
        model.next_dagrun_create_after = model.next_dagrun_data_interval_end = last.end + timedelta(days=1)


if __name__ == "__main__":
    main(int(sys.argv[1]))
