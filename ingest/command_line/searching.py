"""Commands for readers: search, show, export."""

from __future__ import annotations

import csv
import io
import sys
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from typing import Any

import click
import orjson
from rich.console import Console

from ingest import dates
from ingest.command_line import showing
from ingest.command_line.running import as_json
from ingest.errors import UsageError
from ingest.models import STORY_FIELDS, Content, Link, Story
from ingest.store import Hit, Query, Store

FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")  # what a spreadsheet would run


class Instant(click.ParamType[datetime]):
    """A date (midnight UTC) or an ISO 8601 instant."""

    name = "date"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> datetime:
        if isinstance(value, datetime):
            return value
        try:
            return dates.instant(value)
        except ValueError:
            self.fail(f"{value!r} is no date like 2022-05-24 or 2022-05-24T12:00Z", param, ctx)


topic = click.option("--topic", "topics", multiple=True, help="Only stories with this topic (several: with any).")
source = click.option("--source", "sources", multiple=True, help="Only stories of this outlet (several: of any).")
since = click.option("--since", type=Instant(), help="Only stories from this date or instant on.")
until = click.option("--until", type=Instant(), help="Only stories before this date or instant.")


@click.command()
@click.argument("words", nargs=-1, metavar='[WORD|"PHRASE"|-WORD|PREFIX*]...')
@topic
@source
@click.option("--language", "languages", multiple=True, help="Only stories in this language (ISO 639-1).")
@since
@until
@click.option("--limit", type=click.IntRange(1, 1000), default=10, show_default=True)
@click.option("--offset", type=click.IntRange(0), default=0, help="Leave out so many of the best.")
@click.option("--leads", is_flag=True, help="One story of each cluster: its lead.")
@as_json
def search(words: tuple[str, ...], limit: int, offset: int, leads: bool, as_json: bool, **chosen: Any) -> None:
    """Find stories: all words must stand in them; best first, without words newest first.

    Each comes with a snippet, its topics with the words that prove them, and how many copies there are.
    """
    from ingest.pipeline.pipe import opened

    query = Query(text=_typed(words), leads_only=leads, limit=limit, offset=offset, **chosen)
    with opened() as pipe:
        found = pipe.store.search(query)
    if as_json:
        for hit in found.hits:
            showing.echo_json(_hit(hit))
        return
    console = Console(highlight=False, soft_wrap=True)
    for hit in found.hits:
        showing.hit(hit, console)
    showing.say(f"{len(found.hits)} of {found.total} stories" if found.total else "no story was found")


def _typed(words: Iterable[str]) -> str:
    """The words as they were typed: an argument with blanks in it stood in quotation marks."""
    return " ".join(f'"{word}"' if " " in word.strip() and '"' not in word else word for word in words)


def _hit(hit: Hit) -> dict[str, Any]:
    marks = [list(span) for span in hit.marks]
    return {**hit.story.to_json(), "score": hit.score, "snippet": hit.snippet, "marks": marks, "copies": hit.copies}


@click.command()
@click.argument("identity", metavar="ID")
@as_json
def show(identity: str, as_json: bool) -> None:
    """Show a story: text, clocks, topics with the sentences that prove them, its copies and its revisions."""
    from ingest.pipeline.pipe import opened

    with opened() as pipe:
        found = pipe.store.get([identity]).get(identity)
        if found is None:
            raise UsageError("no story has this id", subject=identity, advice="`sitrep search` shows ids.")
        record = _shown(pipe.store, found)
    if as_json:
        showing.echo_json(record)
    else:
        showing.story(record, Console(highlight=False, soft_wrap=True))


def _shown(store: Store, story: Story) -> dict[str, Any]:
    members = sorted(store.export(Query(cluster=story.cluster)), key=lambda m: (not m.lead, m.instant(), m.id))
    links = store.links(member.id for member in members)
    return {
        **story.to_json(),
        "members": [_member(member, links) for member in members],
        "revisions": [
            {
                "revision": number,
                "first_captured": dates.iso(version.first),
                "last_captured": dates.iso(version.last),
                "title": version.content.title,
                "text": version.content.text,
                "published": version.content.published,
            }
            for number, version in enumerate(story.versions, 1)
        ],
    }


def _member(member: Story, links: Iterable[Link]) -> dict[str, Any]:
    own = [link for link in links if member.id in (link.a, link.b)]
    content: Content = member.content
    return {
        "id": member.id,
        "lead": member.lead,
        "title": content.title,
        "source": content.source,
        "published": member.published,
        "url": content.url,
        "share": max((link.share for link in own), default=None),
        "numbers": sorted({told for link in own if not member.lead and (told := _numbers(link, member.id))}),
    }


def _numbers(link: Link, member: str) -> str:
    """The numbers in which a copy differs from the story that it is linked to: "78,000 → 102,000"."""
    there, here = link.numbers if member == link.b else link.numbers[::-1]
    return f"{', '.join(there) or '–'} → {', '.join(here) or '–'}" if there or here else ""


@click.command()
@since
@until
@topic
@source
@click.option("--format", "format_", type=click.Choice(["jsonl", "csv"]), default="jsonl", show_default=True)
@click.option("--output", "-o", type=click.File("wb", lazy=True), help="Write to this file instead of stdout.")
def export(format_: str, output: Any, **chosen: Any) -> None:
    """Write every story, as one JSON object a line or as CSV, in the order of ids; streamed."""
    from ingest.pipeline.pipe import opened

    target = output or sys.stdout.buffer
    with opened() as pipe:
        stories = (story.to_json() for story in pipe.store.export(Query(**chosen)))
        lines = (orjson.dumps(story) + b"\n" for story in stories) if format_ == "jsonl" else _csv(stories)
        for line in lines:
            target.write(line)
        target.flush()


def _csv(stories: Iterator[Mapping[str, Any]]) -> Iterator[bytes]:
    """Rows of CSV in UTF-8, every field quoted; lists as JSON; what a spreadsheet would run as a formula disarmed."""
    names = STORY_FIELDS
    yield _row(names)
    for story in stories:
        yield _row(_cell(story[name]) for name in names)


def _row(cells: Iterable[str]) -> bytes:
    line = io.StringIO()
    csv.writer(line, quoting=csv.QUOTE_ALL).writerow(cells)
    return line.getvalue().encode()


def _cell(value: Any) -> str:
    if value is None:
        return ""
    text = value if isinstance(value, str) else orjson.dumps(value).decode()
    return f"'{text}" if text.startswith(FORMULA) else text


COMMANDS = (search, show, export)
