"""How things look on a terminal: progress, reports, stories."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click
import orjson
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn
from rich.text import Text

from ingest.pipeline import pipe
from ingest.store import Hit
from ingest.tag import Checked


def echo_json(value: Any) -> None:
    """One object on one line of stdout."""
    click.echo(orjson.dumps(value))


def say(message: str) -> None:
    """A message for people, on stderr."""
    click.echo(message, err=True)


class _Bars:
    """A bar for each move, on a terminal; `rate` and time left come with it."""

    def __init__(self, progress: Progress) -> None:
        self.progress = progress
        self.tasks: dict[str, TaskID] = {}

    def __call__(self, step: pipe.Step) -> None:
        name = step.name.split()[0]
        if name not in self.tasks:
            self.tasks[name] = self.progress.add_task(name, total=step.total)
        rate = self.progress.tasks[self.tasks[name]].speed
        shown = f"{rate:,.0f} {step.unit}/s" if rate and step.unit != "bytes" else ""
        self.progress.update(self.tasks[name], completed=step.done, total=step.total, rate=shown)


@contextmanager
def progress() -> Iterator[pipe.Progress]:
    """Bars on stderr where it is a terminal, else silence."""
    if not sys.stderr.isatty():
        yield pipe.silent
        return
    columns = (
        TextColumn("{task.description:10s}"),
        BarColumn(),
        TextColumn("{task.percentage:>3.0f}%"),
        TextColumn("{task.fields[rate]}"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as bars:
        yield _Bars(bars)


def report(record: Mapping[str, Any], console: Console | None = None) -> None:
    """A run's report, for people."""
    console = console or Console(highlight=False, soft_wrap=True)
    console.print(Text(f"{record['kind']} run {record['run']}: {record['entries']} entries", "bold"))
    for outcome, n in record["outcomes"].items():
        if n:
            console.print(f"  {n:7,d} {outcome}")
    if record["reasons"]:
        told = ", ".join(f"{reason} {n}" for reason, n in sorted(record["reasons"].items(), key=lambda item: -item[1]))
        console.print(Text(f"  rejected or quarantined for: {told}"))
    _feed_lines(console, record["feeds"])
    for note in record["notes"]:
        console.print(Text(f"  {note}"))


def _feed_lines(console: Console, feeds: Sequence[Mapping[str, Any]]) -> None:
    for feed in feeds:
        line = Text(f"  {feed['status']:12s} ")
        if feed["entries"]:
            told = ", ".join(f"{n} {outcome}" for outcome, n in feed["outcomes"].items() if n)
            line.append(f"{feed['entries']} entries ({told})  ")
        line.append(feed["title"] or feed["url"], "bold")
        if feed["status"] in ("unreachable", "failed", "backoff", "retired"):
            line.append(f"  {feed['reason']}: {feed['detail']}" if feed["detail"] else f"  {feed['reason'] or ''}")
        if feed["gap"]:
            line.append("  gap: its window rolled over, entries were missed", "yellow")
        console.print(line)


def hit(found: Hit, console: Console) -> None:
    """A search hit: title, where and when, snippet, topics with their first evidence, copies."""
    story = found.story
    content = story.content
    console.print(Text(content.title or "(no title)", "bold"))
    place = " · ".join(filter(None, [content.source, story.published or "no date", content.language, story.id]))
    console.print(Text(f"  {place}", "dim"))
    snippet = Text(found.snippet)
    for start, end in found.marks:
        snippet.stylize("bold yellow", start, end)
    console.print(Text("  ") + snippet)
    for topic in content.tags.topics:
        evidence = next(item for item in content.tags.evidence if item.topic == topic)
        weight = "" if topic in content.tags.main_topics else " (mentioned)"
        console.print(Text(f"  {topic}{weight}: ", "cyan") + _proof(evidence.sentence, evidence.words))
    if found.copies:
        console.print(Text(f"  {found.copies} other {'copy' if found.copies == 1 else 'copies'}", "dim"))
    console.print()


def _proof(sentence: str, spans: Sequence[Sequence[int]]) -> Text:
    text = Text(" ".join(sentence.split(" ")))
    for start, end in spans:
        text.stylize("bold", start, end)
    return text


def story(record: Mapping[str, Any], console: Console) -> None:
    """All that is known of a story."""
    console.print(Text(record["title"] or "(no title)", "bold"))
    for name in ("id", "guid", "url", "canonical_url", "source", "language", "published", "published_from"):
        if record[name] is not None:
            console.print(Text(f"{name:15s} ", "dim") + Text(str(record[name])))
    for name in ("first_seen", "indexed", "revision", "rules_version", "text_from"):
        console.print(Text(f"{name:15s} ", "dim") + Text(str(record[name])))
    for name in ("authors", "feeds"):
        if record[name]:
            console.print(Text(f"{name:15s} ", "dim") + Text(", ".join(record[name])))
    console.print()
    console.print(Text(record["text"]))
    console.print()
    for evidence in record["evidence"]:
        weight = "main" if evidence["topic"] in record["main_topics"] else "mentioned"
        head = Text(f"{evidence['topic']} ({weight}, {evidence['status']}, rule {evidence['rule']}): ", "cyan")
        console.print(head + _proof(evidence["sentence"], evidence["words"]))
    if len(record["members"]) > 1:
        console.print(Text(f"\nThe same story, {len(record['members'])} times:", "bold"))
        for member in record["members"]:
            mark = "lead" if member["lead"] else "    "
            told = " · ".join(filter(None, [member["published"], member["source"], member["title"], member["id"]]))
            console.print(Text(f"  {mark}  {told}"))
            for numbers in member["numbers"]:
                console.print(Text(f"        numbers: {numbers}", "yellow"))
    if len(record["revisions"]) > 1:
        console.print(Text("\nRevisions:", "bold"))
        for revision in record["revisions"]:
            seen = f"{revision['first_captured']} … {revision['last_captured']}"
            console.print(Text(f"  {revision['revision']}  {seen}  {revision['title'] or '(no title)'}"))


def checked(file: Path, found: Checked) -> None:
    """What checking a file of rules brought."""
    for problem in (*found.problems, *found.failing):
        click.echo(problem)
    for note in found.notes:
        say(f"note: {note}")
    if not found.problems:
        told = f"{found.rules} rules, {found.words} words, languages {', '.join(found.languages)}"
        click.echo(f"{file}: {told}; {found.examples - len(found.failing)} of {found.examples} examples hold")
