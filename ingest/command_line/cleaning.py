"""`sitrep clean`: what is read in a page, and why."""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

import click

from ingest.command_line import options, showing


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

    found, story = cleaning.explain(file.read(), url=url, charset=charset, captured=datetime.now(UTC))
    if as_json:
        told = [{"kept": block.kept, "why": block.why, "tag": block.tag, "text": block.text} for block in story.blocks]
        showing.echo_json({**asdict(found), "by": story.by, "blocks": told})
        return
    for name, value in asdict(found).items():
        if name != "text" and value:
            click.echo(f"{name:15} {', '.join(value) if isinstance(value, tuple) else value}")
    click.echo(f"{'text':15} {len(found.text)} characters, found by {story.by}\n")
    for block in story.blocks:
        click.echo(f"{'+' if block.kept else '-'} {block.why:28.28} <{block.tag}> {block.text[:200]}")
