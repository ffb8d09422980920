"""`sitrep feeds`: which feeds are read."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import click

from ingest.command_line import showing
from ingest.command_line.running import as_json


@click.group()
def feeds() -> None:
    """List, add, check, remove, import and export the feeds that are read.

    They live in the store; on the first run, seeds/feeds.opml is merged into it.
    """


@feeds.command("list")
@as_json
def list_(as_json: bool) -> None:
    """Show all feeds, how often each is polled, and how it stands."""
    from ingest.pipeline.pipe import opened

    with opened() as pipe:
        known = pipe.feeds()
        states = pipe.store.states(feed.url for feed in known)
    for feed in known:
        state = states.get(feed.url)
        status = "paused" if feed.paused else state.status if state else "new"
        record = {
            **asdict(feed),
            "status": status,
            "reason": state.reason if state else None,
            "address": state.address if state else feed.url,
            "polled": state.polled if state else None,
            "due": state.due if state else None,
            "interval": state.interval if state else None,
        }
        if as_json:
            showing.echo_json(record)
        else:
            rate = f"every {state.interval / 60:.0f} min" if state else "not polled yet"
            click.echo(f"{status:9s} {rate:16s} {feed.title or ''}  {feed.url}")


@feeds.command()
@click.argument("url")
@click.option("--full-text", type=click.Choice(["auto", "always", "never"]), default="auto", show_default=True)
@click.option("--language", help="The language of its stories (ISO 639-1).")
@as_json
def add(url: str, full_text: str, language: str | None, as_json: bool) -> None:
    """Add a feed, by its address or that of its site.

    A site's page is searched for the feeds that it names, then the usual places are tried.
    """
    from dataclasses import replace

    from ingest.models import FullText
    from ingest.pipeline import finding
    from ingest.pipeline.pipe import opened

    with opened() as pipe:
        pipe.feeds()
        found = finding.discover(pipe, url)
        feed = replace(found, full_text=FullText(full_text), language=language or found.language)
        pipe.store.save_feeds([feed])
    if as_json:
        showing.echo_json(asdict(feed))
    else:
        click.echo(f"added {feed.title or 'a feed'}: {feed.url}")


@feeds.command()
@click.argument("urls", nargs=-1, metavar="[URL]...")
@as_json
def check(urls: tuple[str, ...], as_json: bool) -> None:
    """Fetch every feed once, or those named, and say how it answers. Nothing is kept."""
    from ingest.models import Feed
    from ingest.pipeline import finding
    from ingest.pipeline.pipe import opened

    with opened() as pipe:
        asked = [Feed(url) for url in urls] or pipe.feeds()
        failed = 0
        for result in finding.check(pipe, asked):
            failed += result.status != "ok"
            if as_json:
                showing.echo_json(asdict(result))
            elif result.status == "ok":
                moved = f"  moved to {result.moved_to}" if result.moved_to else ""
                click.echo(f"ok      {result.entries:4d} entries  {result.url}{moved}")
            else:
                click.echo(f"failed  {result.reason}: {result.detail}  {result.url}")
    showing.say(f"{len(asked) - failed} of {len(asked)} feeds answer")


@feeds.command()
@click.argument("url")
def remove(url: str) -> None:
    """Stop reading a feed. Its stories stay."""
    from ingest.errors import UsageError
    from ingest.pipeline.pipe import opened

    with opened() as pipe:
        if not pipe.store.remove_feed(url):
            raise UsageError("no such feed", subject=url, advice="`sitrep feeds list` shows all.")
    showing.say(f"removed {url}")


@feeds.command("import")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
def import_(file: Path) -> None:
    """Add the feeds of an OPML file, anybody's."""
    from ingest import feeds as opml
    from ingest.pipeline.pipe import opened

    found = opml.read_opml(file.read_bytes())
    with opened() as pipe:
        before = len(pipe.feeds())
        pipe.store.save_feeds(found.feeds)
        added = len(pipe.store.feeds()) - before
    for problem in found.problems:
        showing.say(f"{file}: {problem}")
    showing.say(f"{len(found.feeds)} feeds read, {added} of them new")


@feeds.command()
@click.argument("file", type=click.Path(dir_okay=False, writable=True, path_type=Path), required=False)
def export(file: Path | None) -> None:
    """Write all feeds as OPML, to a file or to stdout."""
    from ingest import feeds as opml
    from ingest.pipeline.pipe import opened

    with opened() as pipe:
        data = opml.write_opml(pipe.feeds())
    if file:
        file.write_bytes(data)
    else:
        click.echo(data, nl=False)
