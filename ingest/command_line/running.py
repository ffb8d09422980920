"""Commands that move things through the pipe: run, fetch, digest, publish, backfill, report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ingest import wording
from ingest.command_line import showing
from ingest.command_line.options import as_json, feeds_file, page_budget, workers, working
from ingest.errors import UsageError

if TYPE_CHECKING:
    from ingest.models import Feed
    from ingest.pipeline.pipe import Pipe


@click.command(short_help="Poll the feeds, digest, publish, report: the whole daily job.")
@feeds_file
@page_budget
@as_json
def run(feeds_file: Path | None, page_budget: float, as_json: bool) -> None:
    """Do the whole daily job, without Airflow: poll the feeds, digest, publish, report.

    Polls every feed that is not in back-off, paused or retired. Running it twice changes nothing: feeds are asked
    for what is new, and what is known is left as it is.

    \b
    Examples:
      sitrep run                          the feeds of `sitrep feeds list`
      sitrep run --feeds mine.opml        these instead, for this run alone
      sitrep run --json | jq .outcomes
    """
    from ingest.pipeline import jobs, runs

    with working() as pipe, showing.progress() as progress:
        feeds, problems = _feeds(pipe, feeds_file)
        polls = jobs.choose(pipe, feeds, everything=True)
        run = runs.start("daily")
        result = jobs.poll(pipe, run, polls, page_budget=page_budget, notes=problems, progress=progress)
    _show(result.to_json(), as_json)


@click.command(short_help="Poll the feeds and land what they answer.")
@feeds_file
@click.option("--due", is_flag=True, help="Only the feeds that are due by their own rate.")
@page_budget
@as_json
def fetch(feeds_file: Path | None, due: bool, page_budget: float, as_json: bool) -> None:
    """Poll the feeds and land what they answer: the first of three moves. Prints the landing file.

    \b
    The whole job in three moves:
      sitrep fetch && sitrep digest && sitrep publish
    """
    from ingest import addresses
    from ingest.pipeline import fetching, jobs, runs

    with working() as pipe, showing.progress() as progress:
        polls = jobs.choose(pipe, _feeds(pipe, feeds_file)[0], everything=not due)
        path = fetching.fetch(pipe, runs.start("poll"), polls.feeds, page_budget=page_budget, progress=progress)
        learned = pipe.landing.read_json(runs.beside(path))["feeds"]
    lines = [{**line, "url": addresses.shown(line["url"])} for line in learned]
    if as_json:
        showing.echo_json({"landing": path, "feeds": lines})
        return
    click.echo(path)
    told = ", ".join(f"{n} {status}" for status, n in fetching.summary(lines).items())
    showing.say(f"{wording.plural(len(lines), 'feed')} polled" + (f": {told}" if told else ""))


@click.command(short_help="Turn landing files into files of stories.")
@click.argument("landings", nargs=-1, metavar="[LANDING_FILE]...")
@workers
@as_json
def digest(landings: tuple[str, ...], workers: int | None, as_json: bool) -> None:
    """Turn landing files into files of stories: all that need it, or those named (as `sitrep fetch` printed them).

    After a change of seeds/topics.yaml, this reads everything again, archives too where they still lie at their place;
    `sitrep publish` then shows the difference.
    """
    from ingest.pipeline import jobs, runs

    with working() as pipe, showing.progress() as progress:
        run = runs.start("replay")
        named = landings or tuple(jobs.undigested(pipe))
        for path in named:
            if not pipe.landing.exists(path):
                raise UsageError("no such landing file", subject=path, advice="`sitrep fetch` prints their names.")
        parts = jobs.digest_landings(pipe, run, named, workers=workers, progress=progress)
        if not landings:
            parts += jobs.digest_known_archives(pipe, run, workers=workers, progress=progress, say=showing.say)
    if as_json:
        showing.echo_json({"parts": parts})
        return
    for part in parts:
        click.echo(part)
    showing.say(wording.plural(len(parts), "file of stories", "files of stories"))


@click.command(short_help="Write files of stories to the store.")
@click.argument("parts", nargs=-1, metavar="[FILE_OF_STORIES]...")
@as_json
def publish(parts: tuple[str, ...], as_json: bool) -> None:
    """Write files of stories to the store: all that it does not have, or those named (as `sitrep digest` printed them).

    What is published is known by the store alone: over an emptied store, everything is published again.
    """
    from ingest.pipeline import publishing, reporting, runs

    with working() as pipe, showing.progress() as progress:
        known = pipe.landing.parts()
        if unknown := set(parts) - set(known):
            raise UsageError("no such file of stories", subject=min(unknown), advice="`sitrep digest` prints them.")
        run = runs.start("replay")
        named = list(parts or known)
        publishing.publish(pipe, named, run=run.id, progress=progress)
        result = reporting.report(pipe, run, named)
    _show(result.to_json(), as_json)


@click.command(short_help="Read archives: WARC, JSON Lines, folders of saved pages.")
@click.argument("paths", nargs=-1, required=True, metavar="PATH...")
@workers
@as_json
def backfill(paths: tuple[str, ...], workers: int | None, as_json: bool) -> None:
    """Read archives; they go through the same pipe as the feeds.

    \b
      .warc .warc.gz          every response of status 200 that is a page, or a feed
      .jsonl .gz .xz .zst     objects with `url` or `id`, `html` or `text`, and if known `title`,
                              `published`, `source`, `language`, `authors`
      a folder                of .html, .htm and .txt (title in the first line), or of archives

    Interrupted, the same command goes on where it was. Run twice, it changes nothing.

    \b
    Examples:
      sitrep backfill seeds/archive
      sitrep backfill crawl-2022.warc.gz stories.jsonl.zst ~/saved-pages
    """
    from ingest.pipeline import jobs, runs

    with working() as pipe, showing.progress() as progress:
        result, named = jobs.backfill(pipe, runs.start("archive"), list(paths), workers=workers, progress=progress)
    for line in named:
        showing.say(line)
    _show(result.to_json(), as_json)


@click.command(short_help="Show what a run took in and what became of it.")
@click.argument("run", required=False)
@as_json
def report(run: str | None, as_json: bool) -> None:
    """Show what a run took in and what became of it: the last run, or the one named.

    Every entry that came in ends in exactly one outcome. A line for each feed: its status, new stories of how many
    entries, and where nothing came, why.

    \b
    Examples:
      sitrep report
      sitrep report 20261124T060001Z-daily-9f2c11aa
      sitrep report --json | jq '.feeds[] | select(.status == "unreachable") | .url'
    """
    from ingest.pipeline import reporting
    from ingest.pipeline.pipe import opened

    with opened() as pipe:
        record = reporting.kept(pipe, run)
    _show(record, as_json)


def _feeds(pipe: Pipe, file: Path | None) -> tuple[Sequence[Feed], list[str]]:
    """The feeds of an OPML file, or all that are known, and what in the file is none."""
    from ingest import feeds

    if file is None:
        return pipe.feeds(), []
    opml = feeds.read_opml(file.read_bytes())
    for problem in opml.problems:
        showing.say(f"{file}: {problem}")
    return opml.feeds, [f"{file.name}: {problem}" for problem in opml.problems]


def _show(record: Mapping[str, Any], as_json: bool) -> None:
    if as_json:
        showing.echo_json(record)
    else:
        showing.report(record)


COMMANDS = (run, fetch, digest, publish, backfill, report)
