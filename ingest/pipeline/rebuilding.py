"""The store once more from the files of stories, beside the one that is: `sitrep store rebuild`.

Everything goes through the ordinary publish into a successor. Others read, and publish, as ever; only at the end the
lease is held while what they published meanwhile is published there too, and the successor takes over in one step.
Killed at any point, the same call goes on. What was indexed when stays known, and what was dropped stays out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import islice

from ingest.errors import SitrepError, TryAgain
from ingest.pipeline.pipe import Pipe, Progress, Step, silent
from ingest.pipeline.publishing import publish, publishing
from ingest.pipeline.runs import Run, live_first
from ingest.pipeline.surroundings import Surroundings, renewal
from ingest.store import Query

LISTED = 1000  # ids at once
NAMED = 3  # stories that are lost, of however many


def rebuild(pipe: Pipe, run: Run, *, accept_loss: bool = False, progress: Progress = silent) -> tuple[int, int]:
    """Build the store anew and let it take over; gives how many files and how many stories it is made of.

    Raises SitrepError, and replaces nothing, where a file that the store has published fails now, or where stories of
    the store are in no file of stories and that is not accepted.
    """
    successor = pipe.store.successor()
    assert successor is not None
    fresh = pipe.beside(successor)
    _publish_all(fresh, run, progress)
    with publishing(pipe.store, live=True) as lease:
        alive = renewal(pipe.store, lease)
        files = _publish_all(fresh, run, _while_alive(progress, alive))
        stories = int(successor.info()["stories"])
        lost = list(islice(_lost(fresh, alive), NAMED)) if not accept_loss else []
        if lost:
            advice = "Are all landing zones there? `--accept-loss` rebuilds without them; they are gone then."
            what = f"{', '.join(lost)} … of the store are in no file of stories: nothing is replaced."
            raise SitrepError(what, subject="rebuild", advice=advice)
        pipe.store.succeed(successor, lease)
    return files, stories


def _while_alive(progress: Progress, alive: Callable[[], None]) -> Progress:
    def told(step: Step) -> None:
        alive()
        progress(step)

    return told


def _publish_all(fresh: Pipe, run: Run, progress: Progress) -> int:
    """Publish every file of stories that is not, each in the name of the run that published it before."""
    assert fresh.replaced is not None
    parts = live_first(fresh.landing.parts())
    before, booked = fresh.replaced.bookings(), fresh.store.bookings()
    around = Surroundings(fresh.store)
    for done, path in enumerate(parts):
        progress(Step("rebuild", done, len(parts), "files"))
        if path in booked and booked[path].complete and booked[path].version == fresh.landing.part(path).version:
            continue
        known = before.get(path)
        try:
            owner = known.run if known else run.id
            publish(fresh, [path], run=owner, progress=lambda step: _inside(progress, step), around=around)
        except TryAgain:
            raise
        except SitrepError:  # what could not be published before either costs nothing
            if known and known.complete:
                raise
    progress(Step("rebuild", len(parts), len(parts), "files"))
    return len(parts)


def _inside(progress: Progress, step: Step) -> None:
    """The stories of a file; that it is done says the step of all files."""
    if step.unit == "stories":
        progress(step)


def _lost(fresh: Pipe, alive: Callable[[], None]) -> Iterator[str]:
    """The stories of the store that its successor does not have."""
    assert fresh.replaced is not None
    if fresh.store.info()["stories"] >= fresh.replaced.info()["stories"]:
        return
    every = fresh.replaced.export(Query())
    while ids := [story.id for story in islice(every, LISTED)]:
        alive()
        there = fresh.store.indexed(ids)
        yield from (id_ for id_ in ids if id_ not in there)
