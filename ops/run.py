"""`make run`: the bundled archive, then today's feeds, each as an Airflow DAG run, in this one process.

Airflow's own words go to a file; what is said here is for people. Nothing stays running.
"""

from __future__ import annotations

import os
import sys
import time
import traceback
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TextIO

import surroundings

NEXT = """
What to type next:
  .venv/bin/sitrep serve                          all of it on a page, http://127.0.0.1:8099
  .venv/bin/sitrep search artillery --topic aid   stories, with the words that prove the topic
  .venv/bin/sitrep search flour                   any words
  .venv/bin/sitrep backfill PATH                  an archive of your own: WARC, JSON Lines, or saved pages
  .venv/bin/sitrep feeds add https://…            one more feed
  make up                                         Airflow with its web page: feeds are polled all day
"""
SAID = {
    "plan": "deciding what to do",
    "fetch": "fetching feeds and pages",
    "close": "closing the landing",
    "digest": "cleaning, tagging, fingerprinting",
    "publish": "recognising duplicates, writing to the store",
    "report": "adding up",
}


def main() -> int:
    """Do both jobs; the exit code."""
    _, folder = surroundings.prepare()
    log = folder / "run.log"
    terminal = _quiet(log)

    def say(line: str) -> None:
        print(line, file=terminal, flush=True)

    start = time.monotonic()
    try:
        reports = _jobs(say)
    except KeyboardInterrupt:
        say("interrupted; make run goes on where it was")
        return 130
    except BaseException as error:  # noqa: BLE001 - whatever it was, the terminal is told
        traceback.print_exc()
        sys.stderr.flush()
        say(f"\n{error}\n\nThe end of {log}:\n{surroundings.tail(log)}")
        return 1
    _show(reports, terminal)
    say(f"Done in {time.monotonic() - start:.0f} s. Everything lies below {folder.parent}.\n{NEXT}")
    return 0


def _quiet(log: Path) -> TextIO:
    """Send what this process and its children print to `log`; the terminal as it was."""
    terminal = os.fdopen(os.dup(1), "w")
    sys.stdout.flush()
    file = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    os.dup2(file, 1)
    os.dup2(file, 2)
    os.close(file)
    return terminal


def _jobs(say: Any) -> list[Mapping[str, Any]]:
    say("Preparing Airflow …")
    surroundings.migrate()
    from airflow.dag_processing.dagbag import DagBag

    bag = DagBag(surroundings.CHECKOUT / "dags")
    if bag.import_errors:
        raise RuntimeError("; ".join(str(error).strip().splitlines()[-1] for error in bag.import_errors.values()))
    _listen(say)
    seeds = surroundings.CHECKOUT / "seeds" / "archive"
    say(f"1 of 2: the bundled archive, {seeds} (DAG sitrep_archive)")
    archive = _run(bag.dags["sitrep_archive"], {"paths": [str(seeds)]})
    say("2 of 2: the feeds of seeds/feeds.opml and those you added (DAG sitrep_daily)")
    return [archive, _run(bag.dags["sitrep_daily"], {})]


def _listen(say: Any) -> None:
    """Tell of each kind of task once, when it begins."""
    from airflow.listeners import hookimpl
    from airflow.sdk.listener import get_listener_manager

    class Teller:
        last = ""

        @hookimpl
        def on_task_instance_running(self, previous_state: object, task_instance: Any) -> None:  # noqa: ARG002
            if task_instance.task_id in SAID and task_instance.task_id != self.last:
                self.last = task_instance.task_id
                say(f"   {SAID[self.last]} …")

    get_listener_manager().add_listener(Teller())


def _run(dag: Any, conf: Mapping[str, Any]) -> Mapping[str, Any]:
    """Run a DAG here, for no interval, and give its report."""
    from airflow.sdk import DagRunState

    run = dag.test(logical_date=None, run_conf=conf)
    if run.state != DagRunState.SUCCESS:
        failed = sorted({ti.task_id for ti in run.get_task_instances() if ti.state == "failed"})
        raise RuntimeError(f"the run of {dag.dag_id} failed in: {', '.join(failed) or 'an unknown place'}")
    from ingest.pipeline import reporting
    from ingest.pipeline.pipe import opened

    with opened() as pipe:
        return reporting.kept(pipe)


def _show(reports: list[Mapping[str, Any]], terminal: TextIO) -> None:
    from rich.console import Console

    from ingest.command_line import showing
    from ingest.pipeline.pipe import opened
    from ingest.store import Query

    console = Console(file=terminal, highlight=False, soft_wrap=True)
    for record in reports:
        console.print()
        showing.report(record, console)
    with opened() as pipe:
        topics = pipe.store.count(Query(), "topic")
        clusters = [(pipe.store.get([lead])[lead], n) for lead, n in pipe.store.largest_clusters(5)]
        total = pipe.store.info().get("stories")
    console.print(f"\n{total} stories in the store; by topic:")
    for topic, n in topics.items():
        console.print(f"  {n:7,d} {topic or 'none'}")
    console.print("The stories that were told most often:")
    for story, n in clusters:
        console.print(f"  {n:7,d} × {showing.plain(story.content.title or story.id)}", markup=False)
    console.print()


if __name__ == "__main__":
    sys.exit(main())
