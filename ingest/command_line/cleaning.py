"""`sitrep clean`: what is read in a page, and why."""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click

from ingest.command_line import options, showing

if TYPE_CHECKING:
    from ingest.clean.body import Story as Explained
    from ingest.models import Cleaned, Story
    from ingest.pipeline.pipe import Pipe


@click.command(short_help="What is read in a page, and why the rest is not.")
@click.argument("file", type=click.File("rb"))
@click.option("--url", metavar="URL", help="The address of the page: for its date, its site and its links.")
@click.option("--charset", metavar="NAME", help="The encoding that HTTP named for it.")
@options.as_json
def clean(file: Any, url: str | None, charset: str | None, as_json: bool) -> None:
    """Say what a saved page is read as, and how: its title, date and authors, where the date came from, what found the
    text, and every paragraph of the page in its order, kept (+) or left out (-) and for what reason.

    Nothing is fetched and nothing is stored; it is how to find out why a site's stories come out short or with boxes
    in them.

    \b
    Examples:
      sitrep clean page.html --url https://news.example/2022/05/24/harbour
      curl -s https://news.example/a | sitrep clean - --json | jq -r .text
    """
    from ingest import clean as cleaning
    from ingest import settings, sites

    rule = sites.load(settings.load().sites).of(url)
    found, story = cleaning.explain(file.read(), url=url, charset=charset, captured=datetime.now(UTC), rule=rule)
    if as_json:
        showing.echo_json(record(found, story))
    else:
        show(found, story)


def why(pipe: Pipe, story: Story, *, as_json: bool) -> None:
    """The same of the page that a story was read from, out of the landing zone.

    Raises UsageError where it is not there.
    """
    from ingest import clean as cleaning
    from ingest import sites
    from ingest.models import TextFrom
    from ingest.pipeline import captures

    content = story.content
    place, capture = captures.page(pipe.landing, content)
    rule = sites.load(pipe.settings.sites).of(capture.url)
    found, how = cleaning.explain(
        capture.body, url=capture.url, charset=captures.charset(capture), captured=capture.captured, rule=rule
    )
    if content.text_from is not TextFrom.PAGE:
        showing.say("note: the page gave less than the feed, whose own text the story has")
    if content.cleaner != sites.cleaner(rule):
        showing.say("note: read by another version of the cleaner; `sitrep digest` and `sitrep publish` read it anew")
    if as_json:
        showing.echo_json({"id": story.id, "url": capture.url, "capture": asdict(place), **record(found, how)})
        return
    click.echo(f"{'capture':15} {showing.plain(place.path)}, {place.length} bytes from {place.offset}")
    click.echo(f"{'url':15} {showing.plain(capture.url)}")
    show(found, how)


def record(found: Cleaned, story: Explained) -> dict[str, Any]:
    """What a page is read as, and its blocks, as JSON."""
    told = [{"kept": block.kept, "why": block.why, "tag": block.tag, "text": block.text} for block in story.blocks]
    return {**asdict(found), "by": story.by, "cut": story.cut, "blocks": told}


def show(found: Cleaned, story: Explained) -> None:
    """The same for people."""
    for name, value in asdict(found).items():
        if name != "text" and value:
            told = ", ".join(value) if isinstance(value, tuple) else "yes" if value is True else value
            click.echo(f"{name:15} {showing.plain(str(told))}")
    click.echo(f"{'text':15} {len(found.text)} characters, found by {story.by}{story.cut and ', ' + story.cut}\n")
    for block in story.blocks:
        line = showing.plain(block.text[:200])
        click.echo(f"{'+' if block.kept else '-'} {block.why:28.28} <{block.tag}> {line}")
