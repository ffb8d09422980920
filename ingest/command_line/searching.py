"""Commands for readers: search, show, export."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

import click

from ingest import wording
from ingest.command_line import cleaning, naming, showing
from ingest.command_line.options import as_json, since, source, topic, until
from ingest.errors import UsageError

if TYPE_CHECKING:
    from ingest.models import Story

# -word or -"a phrase", no option: those of more letters have two dashes
EXCLUDED = re.compile(r'-(?:title:)?["“„«]?[^\W_].+', re.DOTALL | re.IGNORECASE)
SIGNS = re.compile(r"(-?(?:title:)?)(.*)", re.DOTALL | re.IGNORECASE)


class _Search(click.Command):
    """A command whose arguments may be words to exclude: -word."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        options = args[: args.index("--")] if "--" in args else args
        excluded = [argument for argument in options if EXCLUDED.fullmatch(argument)]
        rest = [argument for argument in options if argument not in excluded]
        left = super().parse_args(ctx, rest + args[len(options) :])
        ctx.params["words"] = (*ctx.params.get("words", ()), *excluded)
        return left


@click.command(cls=_Search, short_help="Find stories, with the words that prove their topics.")
@click.argument("words", nargs=-1, metavar='[WORD|"PHRASE"|-WORD|PREFIX*]...')
@topic
@source
@click.option(
    "--language", "languages", multiple=True, metavar="LANGUAGE", help="Only stories in this language (ISO 639-1)."
)
@since
@until
@click.option(
    "--limit", type=click.IntRange(1, 1000), metavar="N", default=10, show_default=True, help="At most so many."
)
@click.option("--offset", type=click.IntRange(0, 10**9), metavar="N", default=0, help="Leave out so many of the best.")
@click.option("--leads", is_flag=True, help="One story of each cluster: its lead.")
@as_json
def search(words: tuple[str, ...], limit: int, offset: int, leads: bool, as_json: bool, **chosen: Any) -> None:
    """Find stories: all words must stand in them; best first, without words newest first.

    Each comes with a snippet, its topics with the words that prove them, and how many copies there are.

    \b
    Examples:
      sitrep search artillery --topic aid --since 2022-05-01
      sitrep search "grain corridor" -odesa        a phrase, without a word
      sitrep search 'shell*' --leads               words that begin so; one story of each cluster
      sitrep search --topic escalation --limit 50  no words: the newest
    """
    from ingest.pipeline import records
    from ingest.pipeline.pipe import opened
    from ingest.store import Query

    query = Query(text=_typed(words), leads_only=leads, limit=limit, offset=offset, **chosen)
    with opened() as pipe:
        found = pipe.store.search(query)
        if not found.total or len(query.topics) > 1:  # rules are slow to load, and a story that was found has the topic
            naming.check_topics(pipe, query.topics)
        hint = "" if found.total else naming.hint(pipe.store, query)
    console = None if as_json else showing.terminal()
    for hit in found.hits:
        if console:
            showing.hit(hit, console)
        else:
            showing.echo_json(records.hit(hit))
    if not found.total:
        showing.say(f"no story was found{hint}")
    elif console:
        showing.say(f"{len(found.hits)} of {wording.plural(found.total, 'story', 'stories')}")


def _typed(words: Iterable[str]) -> str:
    """The words as they were typed: an argument with blanks in it stood in quotation marks."""
    return " ".join(map(_quoted, words))


def _quoted(argument: str) -> str:
    signs, phrase = SIGNS.fullmatch(argument).groups()  # type: ignore[union-attr]  # it matches anything
    plain = " " not in phrase.strip() or '"' in phrase
    return argument if plain or re.search(r"\s-|\*(\s|$)", phrase) else f'{signs}"{phrase}"'


@click.command(short_help="Show a story with its evidence, copies and revisions.")
@click.argument("identity", metavar="ID")
@click.option("--why", is_flag=True, help="Of the page that it was read from: what is kept and left out, and why.")
@as_json
def show(identity: str, why: bool, as_json: bool) -> None:
    """Show a story: text, clocks, topics with the sentences that prove them, its copies and its revisions.

    Of each copy, and of the story that it was rewritten from, the numbers are told in which they differ; in English
    also those in words. The beginning of an id will do where no other begins so.

    \b
    Examples:
      sitrep show 5f1c09
      sitrep show 5f1c09 --why     each paragraph of its page, kept (+) or left out (-)
    """
    from ingest.pipeline import records
    from ingest.pipeline.pipe import opened

    with opened() as pipe:
        if why:
            cleaning.why(pipe, naming.story(pipe.store, identity), as_json=as_json)
            return
        record = records.story(pipe.store, naming.story(pipe.store, identity))
    if as_json:
        showing.echo_json(record)
    else:
        showing.story(record, showing.terminal())


@click.command(short_help="Write every story as JSON Lines or CSV.")
@since
@until
@topic
@source
@click.option(
    "--format", "format_", type=click.Choice(["jsonl", "csv"]), default="jsonl", show_default=True, help="How to write."
)
@click.option("--json", "as_json", is_flag=True, help="The same as --format jsonl.")
@click.option("--output", "-o", type=click.File("wb", lazy=True), help="Write to this file instead of stdout.")
def export(format_: str, as_json: bool, output: Any, **chosen: Any) -> None:
    """Write every story, as one JSON object a line or as CSV, in the order of ids; streamed.

    In CSV lists are written as JSON, and a cell that a spreadsheet would run as a formula begins with an apostrophe.

    \b
    Examples:
      sitrep export > stories.jsonl
      sitrep export --topic aid --since 2022-05-01 --until 2022-06-01 --format csv -o may.csv
    """
    from ingest.pipeline import exporting
    from ingest.pipeline.pipe import opened
    from ingest.store import Query

    if as_json and format_ != "jsonl":
        raise UsageError("--json and --format csv exclude each other")
    target = output or sys.stdout.buffer
    query = Query(**chosen)
    with opened() as pipe:
        naming.check_topics(pipe, query.topics)
        counted = _Counted(pipe.store.export(query))
        for line in exporting.jsonl(counted) if format_ == "jsonl" else exporting.as_csv(counted):
            target.write(line)
        target.flush()
        hint = "" if counted.count else naming.hint(pipe.store, query)
    if not counted.count:
        showing.say(f"no story was found{hint}")


class _Counted:
    """Passes on what it is made of, and counts it."""

    def __init__(self, items: Iterator[Story]) -> None:
        self._items = items
        self.count = 0

    def __iter__(self) -> Iterator[Story]:
        for item in self._items:
            self.count += 1
            yield item


COMMANDS = (search, show, export)
