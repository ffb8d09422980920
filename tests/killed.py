"""Runs `sitrep` in a process of its own that kills itself at a named point: `python -m tests.killed PLAN`.

PLAN is JSON: {"home": folder, "runs": [{"home": name, "args": [...], "at": point, "call": n, "after": bool,
"limit": bytes}, ...]}. Every run is a forked process; "at" null: undisturbed. "limit" is how large its files may grow,
0: as they like. Prints a JSON object for each: its exit status, what it printed, and how often each point was passed.
Worker processes would cost a second each time, so the work is done in the process itself; the parts are small, so that
an archive of some stories is digested and published in many steps.
"""

from __future__ import annotations

import json
import os
import resource
import signal
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from ingest import __main__ as program
from ingest.landing.zones import Disk
from ingest.pipeline import ahead, digesting, planning, workers
from ingest.pipeline import warm as warm  # once, for all of them
from ingest.store.sqlite import SqliteStore

POINTS: dict[str, tuple[type, str]] = {
    "commit": (Disk, "commit"),
    "delete": (Disk, "delete"),
    "write": (SqliteStore, "write"),
    "lease": (SqliteStore, "lease"),
    "release": (SqliteStore, "release"),
    "states": (SqliteStore, "save_states"),
    "wanted": (SqliteStore, "save_wanted"),
}


def main() -> None:
    plan = json.loads(Path(sys.argv[1]).read_text())
    digesting.PART, digesting.BATCH_ITEMS, planning.SLICE = 30, 10, 12
    workers.run = inline  # type: ignore[assignment]
    workers.get_ready = lambda: None  # nor for their server, which would be killed before it is up
    ahead.WORTH = float("inf")  # whatever the machine's speed, each point is passed in the process that is killed
    for run in plan["runs"]:
        sys.stdout.write(json.dumps(_forked(run, Path(plan["home"]))) + "\n")
        sys.stdout.flush()


def inline(
    batches: Any, work: Any, *, prepare: Callable[..., None], context: Sequence[Any], **_: Any
) -> Iterator[tuple[Any, Any]]:
    """As `workers.run`, without workers."""
    prepare(*context)
    for batch in batches:
        yield batch, work(batch)


def _forked(run: dict[str, Any], home: Path) -> dict[str, Any]:
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err, tempfile.TemporaryFile() as passed:
        child = os.fork()
        if not child:
            os.dup2(out.fileno(), 1)
            os.dup2(err.fileno(), 2)
            os.environ["SITREP_HOME"] = str(home / run["home"])
            sys.argv = ["sitrep", *run["args"]]
            if run["limit"]:
                resource.setrlimit(resource.RLIMIT_FSIZE, (run["limit"], run["limit"]))
            counts: Counter[str] = Counter()
            for name in POINTS:
                _watch(name, counts, run if name == run["at"] else None)
            try:
                program.main()
            except SystemExit as left:
                os.write(passed.fileno(), json.dumps(counts).encode())
                sys.stdout.flush()
                os._exit(left.code if isinstance(left.code, int) else 0)
            finally:
                sys.stdout.flush()
                os.write(passed.fileno(), json.dumps(counts).encode())
                os._exit(0)
        _, status = os.waitpid(child, 0)
        texts = []
        for file in (out, err, passed):
            file.seek(0)
            texts.append(file.read().decode())
    code = os.waitstatus_to_exitcode(status)
    return {"code": code, "out": texts[0], "err": texts[1], "passed": json.loads(texts[2] or "{}")}


def _watch(name: str, counts: Counter[str], run: dict[str, Any] | None) -> None:
    """Count the calls of a point, and die at the one that the run names, before it is done or after."""
    owner, method = POINTS[name]
    real = getattr(owner, method)

    def passing(*args: Any, **options: Any) -> Any:
        counts[name] += 1
        deadly = run is not None and counts[name] == run["call"]
        if deadly and not run["after"]:
            os.kill(os.getpid(), signal.SIGKILL)
        result = real(*args, **options)
        if deadly:
            os.kill(os.getpid(), signal.SIGKILL)
        return result

    setattr(owner, method, passing)


if __name__ == "__main__":
    main()
