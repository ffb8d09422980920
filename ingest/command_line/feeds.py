"""`sitrep feeds`: which feeds are read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import click

from ingest import wording
from ingest.command_line import naming, showing
from ingest.command_line.options import as_json, working
from ingest.errors import UsageError

if TYPE_CHECKING:
    from ingest.models import Feed
    from ingest.pipeline.finding import Checked


@click.group(short_help="List, add, check, remove, import and export feeds.")
def feeds() -> None:
    """List, add, check, remove, import and export the feeds that are read.

    They live in the store; on the first run, seeds/feeds.opml is merged into it.
    """


@feeds.command("list", short_help="Show all feeds and how each stands.")
@as_json
def list_(as_json: bool) -> None:
    """Show all feeds, how often each is polled, and how it stands. Tokens in their addresses are not shown.

    \b
      new        not polled yet          backoff   did not answer, waits
      active     polled at its own rate  retired   said that it is gone
      paused     left alone
    """
    from ingest.pipeline import records

    with working() as pipe:
        known = pipe.feeds()
        states = pipe.store.states(feed.url for feed in known)
    told = [records.feed(feed, states.get(feed.url)) for feed in known]
    if not as_json:
        showing.known_feeds(told)
        showing.say(wording.plural(len(told), "feed"))
    for record in told if as_json else ():
        showing.echo_json(record)


@feeds.command(short_help="Add a feed, by its address or that of its site.")
@click.argument("url")
@click.option(
    "--full-text",
    type=click.Choice(["auto", "always", "never"]),
    help="Whether its entries' pages are fetched; auto: where the feed tells only a teaser.  [default: auto]",
)
@click.option("--language", metavar="LANGUAGE", help="The language of its stories (ISO 639-1).")
@as_json
def add(url: str, full_text: str | None, language: str | None, as_json: bool) -> None:
    """Add a feed, by its address or that of its site.

    A site's page is searched for the feeds that it names, then the usual places are tried. A feed that is there
    already keeps its place, and takes the options given.

    \b
    Examples:
      sitrep feeds add https://news.example.org/world/rss.xml
      sitrep feeds add example.org
      sitrep feeds add example.org --full-text always --language de
    """
    from dataclasses import replace

    from ingest import addresses
    from ingest.models import FullText
    from ingest.pipeline import finding, records

    with working() as pipe:
        known = {feed.url: feed for feed in pipe.feeds()}
        found = finding.discover(pipe, url)
        feed = known.get(found.url, found)
        feed = replace(
            feed, full_text=FullText(full_text) if full_text else feed.full_text, language=language or feed.language
        )
        pipe.store.save_feeds([feed])
    if as_json:
        showing.echo_json(records.settings_of(feed))
        return
    verb = "kept, it was there" if feed.url in known else "added"
    showing.say(f"{verb}: {feed.title or 'a feed without a title'}, {addresses.shown(feed.url)}")


@feeds.command(short_help="Fetch feeds once and say how they answer.")
@click.argument("urls", nargs=-1, metavar="[URL]...")
@as_json
def check(urls: tuple[str, ...], as_json: bool) -> None:
    """Fetch every feed once, or those named, and say how it answers. Nothing is kept.

    Exit code 0 whatever they answer: a script reads `status` with --json.
    """
    from ingest.pipeline import finding

    with working() as pipe:
        known = pipe.feeds()
        asked = [_asked(known, url) for url in urls] or known
        failed = 0
        for result in finding.check(pipe, asked):
            failed += result.status != "ok"
            if as_json:
                showing.echo_json(asdict(result))
            else:
                click.echo(showing.plain(_answer(result)))
    showing.say(f"{len(asked) - failed} of {wording.plural(len(asked), 'feed')} answer")


def _asked(known: Sequence[Feed], url: str) -> Feed:
    """A feed that is known, also by its address as it is shown, or a new one at that address."""
    from ingest.models import Feed

    try:
        return naming.feed(known, url)
    except UsageError:
        return Feed(url)


def _answer(result: Checked) -> str:
    if result.status == "ok":
        moved = f", moved to {result.moved_to}" if result.moved_to else ""
        return f"ok      {result.url} ({wording.plural(result.entries, 'entry', 'entries')}{moved})"
    return f"failed  {result.url} ({result.reason}{f': {result.detail}' if result.detail else ''})"


@feeds.command(short_help="Stop reading a feed; its stories stay.")
@click.argument("url")
def remove(url: str) -> None:
    """Stop reading a feed. Its stories stay."""
    from ingest import addresses

    with working() as pipe:
        feed = naming.feed(pipe.feeds(), url)
        pipe.store.remove_feed(feed.url)
    showing.say(f"removed {addresses.shown(feed.url)}")


@feeds.command("import", short_help="Add the feeds of an OPML file.")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@as_json
def import_(file: Path, as_json: bool) -> None:
    """Add the feeds of an OPML file, anybody's. Those that are there already take the file's options."""
    from ingest import feeds as opml
    from ingest.pipeline import finding

    found = opml.read_opml(file.read_bytes())
    with working() as pipe:
        added, changed = finding.take_in(pipe, found)
    if as_json:
        showing.echo_json(
            {"read": len(found.feeds), "added": added, "changed": changed, "problems": list(found.problems)}
        )
    for problem in found.problems:
        showing.say(f"{file}: {problem}")
    showing.say(f"{wording.plural(len(found.feeds), 'feed')} read, {added} of them new, {changed} changed")


@feeds.command(short_help="Write all feeds as OPML.")
@click.argument("file", type=click.File("wb", lazy=True), default="-")
def export(file: BinaryIO) -> None:
    """Write all feeds as OPML, to a file or to stdout: with their whole addresses, also where those hold a token."""
    from ingest import feeds as opml

    with working() as pipe:
        file.write(opml.write_opml(pipe.feeds()))
