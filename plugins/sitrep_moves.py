"""The moves of the pipe as Airflow tasks; the timetables in `dags` put them in order.

What a task does stands in `ingest.pipeline.plans`. XCom carries the run, numbers and paths.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from itertools import chain
from typing import TYPE_CHECKING, Any

from airflow.sdk import ExceptionRetryPolicy, RetryAction, RetryRule, get_current_context, task

from sitrep import check_ingest

if TYPE_CHECKING:
    from ingest.pipeline.pipe import Pipe, Progress
    from ingest.pipeline.plans import Plan
    from ingest.settings import Settings

check_ingest()

CONNECTION = "sitrep_elasticsearch"
PUBLISH_POOL = "sitrep_publish"  # one slot: one writer at a time
DIGEST_POOL = "sitrep_digest"  # archives leave room for what is polled meanwhile
POLL, DAILY, ARCHIVE = 1000, 100, 1  # weights: live stories before an archive's

HOPELESS = ["UsageError", "SettingsError", "Unbalanced", "NotAnArchive"]  # the same again ends the same
DEFAULTS = {
    "owner": "sitrep",
    "retries": 3,
    "retry_delay": timedelta(seconds=20),
    "retry_exponential_backoff": 2.0,
    "max_retry_delay": timedelta(minutes=10),
    "retry_policy": ExceptionRetryPolicy(
        [RetryRule(exception=[f"ingest.errors.{name}" for name in HOPELESS], action=RetryAction.FAIL)]
    ),
    "weight_rule": "absolute",
}
ENDS = {"trigger_rule": "none_failed"}  # also after a move that had nothing to do


def settings() -> Settings:
    """Those of the environment; Airflow's connection `sitrep_elasticsearch`, where there is one, wins over them.

    Its host is an address, or several with commas between them, or a name with schema and port beside it; login and
    password, or `api_key` in its extra; `ca_file` there too.
    """
    from dataclasses import replace

    from airflow.sdk import Connection
    from airflow.sdk.exceptions import AirflowNotFoundException

    from ingest import settings as configuration

    loaded = configuration.load()
    try:
        found = Connection.get(CONNECTION)
    except AirflowNotFoundException:
        return loaded
    host, extra = found.host or "", found.extra_dejson
    if "://" not in host:
        host = f"{found.schema or 'https'}://{host}{f':{found.port}' if found.port else ''}"
    return replace(
        loaded,
        elasticsearch_url=host,
        elasticsearch_user=found.login or "",
        elasticsearch_password=found.password or "",
        elasticsearch_api_key=str(extra.get("api_key") or ""),
        elasticsearch_ca_file=str(extra.get("ca_file") or loaded.elasticsearch_ca_file),
    )


@contextmanager
def opened() -> Iterator[tuple[Pipe, Progress]]:
    """The pipe, and progress that goes to the task's log."""
    import logging

    from ingest.pipeline import pipe, plans

    with pipe.opened(settings()) as opened_pipe:
        yield opened_pipe, plans.told(logging.getLogger("sitrep").info)


def begin(plan: Plan) -> list[int]:
    """Hand the run on; the numbers of its batches."""
    import logging

    for line in (plan.why, *plan.notes):
        if line:
            logging.getLogger("sitrep").info(line)
    get_current_context()["ti"].xcom_push(key="run", value=plan.run.to_json())
    return list(range(len(plan.batches)))


@task
def fetch(run: dict[str, Any], batch: int) -> str:
    """Poll a batch of feeds: its landing file."""
    from ingest.pipeline import plans, runs

    with opened() as (pipe, progress):
        return plans.fetch_batch(pipe, runs.Run.from_json(run), batch, progress=progress)


@task(**ENDS)
def close(run: dict[str, Any], landings: Iterable[str] | None) -> list[list[dict[str, str]]]:
    """Say what the run digests; a daily run's landing is complete now."""
    from ingest.pipeline import plans, runs

    with opened() as (pipe, _):
        return plans.close(pipe, runs.Run.from_json(run), landings or ())


@task
def digest(run: dict[str, Any], work: list[dict[str, str]]) -> list[str]:
    """Turn landing files and archives into files of stories."""
    from ingest.pipeline import plans, runs

    with opened() as (pipe, progress):
        return plans.digest(pipe, runs.Run.from_json(run), work, progress=progress)


@task(**ENDS)
def queue(parts: Iterable[list[str]] | None) -> list[list[str]]:
    """Put the files of stories in line."""
    from ingest.pipeline import plans

    return plans.queue(path for paths in parts or () for path in paths)


@task(pool=PUBLISH_POOL)
def publish(run: dict[str, Any], parts: list[str]) -> int:
    """Write files of stories to the store."""
    from ingest.pipeline import plans, runs

    with opened() as (pipe, progress):
        return plans.publish_parts(pipe, runs.Run.from_json(run), parts, progress=progress)


@task(**ENDS)
def report(run: dict[str, Any], work: list[list[dict[str, str]]], parts: list[list[str]]) -> dict[str, int]:
    """Sum up, and fail where what came in and what became of it differ."""
    from ingest.pipeline import plans, runs

    with opened() as (pipe, _):
        told = plans.report_on(pipe, runs.Run.from_json(run), list(chain(*work)), list(chain(*parts)))
    return {str(outcome): n for outcome, n in told.outcomes.items() if n}


def digest_and_publish(planned: Any, work: Any, *, weight: int, pool: str = "default_pool") -> None:
    """The second half of every run: digest → publish → report."""
    run = planned["run"]
    parts = digest.override(priority_weight=weight, pool=pool).partial(run=run).expand(work=work)
    queued = queue.override(priority_weight=weight)(parts)
    published = publish.override(priority_weight=weight).partial(run=run).expand(parts=queued)
    published >> report.override(priority_weight=weight)(run, work, queued)
