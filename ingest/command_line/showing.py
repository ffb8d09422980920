"""How things look on a terminal: messages, progress, reports, stories.

Everything that came from outside is one line without control characters before it is shown (`plain`). On a terminal,
lines fit its width; in a pipe or a file, nothing is cut or wrapped.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import TYPE_CHECKING, Any

import click

from ingest import wording
from ingest.errors import UsageError

if TYPE_CHECKING:
    from pathlib import Path

    from rich.console import Console
    from rich.text import Text

    from ingest.pipeline import pipe
    from ingest.store import Hit
    from ingest.tag import Checked

HELP_WIDTH = 100
READING_WIDTH = 100  # longer lines of prose are hard to follow
LONGEST = 5000  # code points of a line that is shown; a paragraph is longer only by mistake or malice
WIDE = 60  # cells of a column of names where no terminal limits it
STATUSES = ("new", "unchanged", "not due", "paused", "retired", "waiting", "backoff", "failed", "unreachable")
MEANING = {
    "indexed": "new stories",
    "duplicate": "new, and told before by another: kept and linked",
    "revised": "changed by their outlet, or told more fully",
    "recleaned": "the same bytes, read better",
    "retagged": "the same text under other rules",
    "unchanged": "known as they are",
    "rejected": "no stories, for the reasons below",
    "quarantined": "could not be handled, kept: see `sitrep quarantine list`",
}
NEW_OR_REVISED = ("indexed", "duplicate", "revised")  # the column "new" of a feed; models.NEW is narrower


# messages -----------------------------------------------------------------------------------------------------------
def echo_json(value: Any) -> None:
    """One object on one line of stdout."""
    import orjson

    click.echo(orjson.dumps(value))


def say(message: str) -> None:
    """A message for people, one line on stderr."""
    click.echo(plain(message), err=True)


def confirm(question: str) -> None:
    """Ask before something is deleted. Raises UsageError unless somebody says yes, also where nobody can be asked."""
    try:
        sure = click.confirm(question, err=True)
    except click.Abort:
        if sys.stdin.isatty():
            raise  # Ctrl-C
        sure = False
    if not sure:
        raise UsageError("Not confirmed: nothing was deleted.", advice="With --yes it does not ask.")


def plain(text: str) -> str:
    """Any text as one line that does nothing to a terminal."""
    from ingest import words

    return words.one_line(text, LONGEST)


# the terminal -------------------------------------------------------------------------------------------------------
def terminal() -> Console:
    """Stdout. Where it is no terminal, lines are as long as they are."""
    from rich.console import Console

    class Terminal(Console):
        def on_broken_pipe(self) -> None:
            raise BrokenPipeError  # rich would end the process with 1

    return Terminal(highlight=False, soft_wrap=not sys.stdout.isatty())


def _text(value: object, style: str = "") -> Text:
    from rich.text import Text

    return Text(plain(str(value)), style)


def _padded(text: str, style: str = "") -> Text:
    """Text of our own, its blanks kept."""
    from rich.text import Text

    return Text(text, style)


def _print(console: Console, text: Text, indent: int = 0, hanging: int = 0) -> None:
    """A line; on a terminal wrapped at words, all of it indented, from its second row on by `hanging` more."""
    from rich.text import Text

    blank = Text(" " * indent)
    if console.soft_wrap:
        console.print(blank + text)
        return
    for row, line in enumerate(text.wrap(console, max(20, min(console.width, READING_WIDTH) - indent - hanging))):
        line.rstrip()
        console.print(blank + Text(" " * hanging if row else "") + line, soft_wrap=True)


def _table(console: Console, rows: Sequence[tuple[str, str, str]], indent: int = 2, *, cut: bool = True) -> None:
    """Rows of (facts of one width, name, remark): the names one under the other, the remarks `cut` at the edge."""
    from rich.cells import cell_len
    from rich.text import Text

    names = [plain(name) for _, name, _ in rows]
    room = WIDE if console.soft_wrap else max(24, (console.width - 30) * 45 // 100)
    width = min(room, max(map(cell_len, names), default=0))
    for (facts, _, remark), name in zip(rows, names, strict=True):
        cell = Text(name, "bold")
        cell.truncate(max(width, cell.cell_len if console.soft_wrap else 0), overflow="ellipsis", pad=True)
        line = Text(" " * indent + facts + "  ") + cell + Text("  " + plain(remark))
        line.rstrip()
        if cut and not console.soft_wrap:
            line.truncate(console.width, overflow="ellipsis")
        console.print(line, soft_wrap=True)


class _Bars:
    """A bar for each move, with its rate and the time left."""

    def __init__(self, bars: Any) -> None:
        self.bars = bars
        self.tasks: dict[str, Any] = {}

    def __call__(self, step: pipe.Step) -> None:
        name = step.name.split()[0]
        if name not in self.tasks:
            self.tasks[name] = self.bars.add_task(name, total=step.total, rate="")
        speed = next(task.speed for task in self.bars.tasks if task.id == self.tasks[name])
        self.bars.update(self.tasks[name], completed=step.done, total=step.total, rate=_rate(speed, step.unit))


def _rate(speed: float | None, unit: str) -> str:
    if not speed:
        return ""
    if unit == "bytes":
        return f"{speed / 1e6:,.1f} MB/s"
    return f"{speed:,.0f} {unit}/s" if speed >= 10 else f"{speed:,.1f} {unit}/s"


@contextmanager
def progress() -> Iterator[pipe.Progress]:
    """Bars on stderr where it is a terminal, else silence."""
    if not sys.stderr.isatty():
        yield _silent
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

    columns = (
        TextColumn("{task.description:9s}"),
        BarColumn(bar_width=24),
        TextColumn("{task.percentage:>3.0f}%"),
        TextColumn("{task.fields[rate]:>14s}"),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as bars:
        yield _Bars(bars)


def _silent(_: pipe.Step) -> None:
    """Nobody watches."""


# reports ------------------------------------------------------------------------------------------------------------
def report(record: Mapping[str, Any], console: Console | None = None) -> None:
    """A run's report, for people."""
    console = console or terminal()
    _print(console, _text(f"{record['kind']} run {record['run']}", "bold"))
    took = datetime.fromisoformat(record["ended"]) - datetime.fromisoformat(record["started"])
    came = wording.plural(record["entries"], "entry", "entries")
    _print(console, _text(f"{came} on {wording.when(record['started'])}, in {max(1, round(took.total_seconds()))} s"))
    for outcome in filter(record["outcomes"].get, MEANING):
        _print(console, _padded(f"{record['outcomes'][outcome]:>7,d} ") + _text(f"{outcome}: {MEANING[outcome]}"), 2)
    if record["reasons"]:
        told = sorted(record["reasons"].items(), key=lambda item: (-item[1], item[0]))
        _print(console, _text(f"rejected or quarantined for: {', '.join(f'{name} {n}' for name, n in told)}"), 2)
    if record.get("dropped"):
        lost = sorted(record["dropped"].items(), key=lambda item: (-item[1], item[0]))
        _print(console, _text(f"kept without a field that says nothing: {', '.join(f'{k} {n}' for k, n in lost)}"), 2)
    for note in record["notes"]:
        _print(console, _text(note), 2)
    if record["feeds"]:
        _feeds(console, record["feeds"])


def _feeds(console: Console, feeds: Sequence[Mapping[str, Any]]) -> None:
    ranks = {status: rank for rank, status in enumerate(STATUSES)}
    ordered = sorted(feeds, key=lambda feed: ranks.get(feed["status"], len(ranks)))
    counted = [(status, sum(feed["status"] == status for feed in feeds)) for status in dict.fromkeys(STATUSES)]
    told = ", ".join(f"{n} {status}" for status, n in counted if n)
    console.print()
    _print(console, _text(f"{wording.plural(len(feeds), 'feed')}: {told}", "bold"))
    numbers = any(feed["entries"] for feed in feeds)
    heading = (f"{'status':11s}{'  new    of' if numbers else ''}", "feed", "")
    _table(
        console, [heading, *((_facts(feed, numbers), feed["title"] or feed["url"], _remark(feed)) for feed in ordered)]
    )


def _facts(feed: Mapping[str, Any], numbers: bool) -> str:
    """Status, new or revised stories, entries; the numbers only where the feed brought a document."""
    new = sum(feed["outcomes"].get(outcome, 0) for outcome in NEW_OR_REVISED)
    counts = f"{new:5d} {feed['entries']:5d}" if feed["entries"] else f"{'':11s}"
    return f"{feed['status']:11s}{counts if numbers else ''}"


def _remark(feed: Mapping[str, Any]) -> str:
    why = feed["reason"] if feed["status"] not in ("new", "unchanged") else None
    odd = [f"{feed['outcomes'][name]} {name}" for name in ("rejected", "quarantined") if feed["outcomes"].get(name)]
    return "; ".join(
        filter(
            None,
            [
                f"{why}: {feed['detail']}" if why and feed["detail"] else why,
                *odd,
                "gap: entries were missed, its window rolled over" if feed["gap"] else None,
                "cut: its document ends too early or is too long" if feed["truncated"] else None,
            ],
        )
    )


def known_feeds(records: Sequence[Mapping[str, Any]]) -> None:
    """The feeds that are read and how each stands."""
    _table(terminal(), [(_standing(feed), feed["title"] or "", feed["url"]) for feed in records], indent=0, cut=False)


def _standing(feed: Mapping[str, Any]) -> str:
    rate = f"every {feed['interval'] / 60:.0f} min" if feed["interval"] else "not polled yet"
    return f"{feed['status']:9s} {rate:14s}"


# stories ------------------------------------------------------------------------------------------------------------
def hit(found: Hit, console: Console) -> None:
    """A search hit: title, where and when, snippet, topics with their first evidence, copies."""
    from rich.text import Text

    story, content = found.story, found.story.content
    _print(console, _text(content.title or "(no title)", "bold"))
    published = wording.when(story.published)
    place = " · ".join(filter(None, [content.source, published, content.language, story.id]))
    _print(console, _text(place, "dim"), 2)
    _print(console, _marked(found.snippet, found.marks, "bold yellow"), 2)
    for topic in content.tags.topics:
        evidence = next(item for item in content.tags.evidence if item.topic == topic)
        weight = "" if topic in content.tags.main_topics else " (mentioned)"
        _print(console, Text(f"{topic}{weight}: ", "cyan") + _marked(evidence.sentence, evidence.words, "bold"), 2)
    if found.copies:
        _print(console, _text(f"told {wording.plural(found.copies, 'more time')}: sitrep show {story.id}", "dim"), 2)
    console.print()


def _marked(text: str, spans: Iterable[Sequence[int]], style: str) -> Text:
    """Text on one line with some spans of it in a style."""
    from rich.text import Text

    shown, at = Text(), 0
    for start, end in sorted((start, end) for start, end in spans):
        shown.append(_kept_blanks(text[at:start])).append(_kept_blanks(text[start:end]), style)
        at = end
    return shown.append(_kept_blanks(text[at:]))


def _kept_blanks(text: str) -> str:
    """`plain` for a piece of a line, which may begin or end with a blank."""
    head, tail = (" " if text[:1].isspace() else ""), (" " if text[-1:].isspace() else "")
    return head + body + tail if (body := plain(text)) else head


def story(record: Mapping[str, Any], console: Console) -> None:
    """All that is known of a story."""
    _print(console, _text(record["title"] or "(no title)", "bold"))
    _fields(record, console)
    console.print()
    if note := wording.of_page(record["page_kind"], record["partial"]):
        _print(console, _text(note, "yellow"))
        console.print()
    for line in record["text"].split("\n"):
        _print(console, _text(line))
    console.print()
    _evidence(record, console)
    _origin(record["origin"], console)
    _members(record, console)
    _revisions(record["revisions"], console)


def _fields(record: Mapping[str, Any], console: Console) -> None:
    for name in ("id", "guid", "url", "canonical_url", "source", "feeds", "authors", "language"):
        value = record[name]
        _field(console, name, ", ".join(value) if isinstance(value, list) else value)
    _field(console, "published", wording.when(record["published"]) if record["published"] else "no date that is sure")
    for name in ("first_seen", "indexed"):
        _field(console, name, wording.when(record[name]))
    for name in ("published_from", "text_from", "page_kind", "revision", "rules_version", "rewritten_from"):
        _field(console, name, record[name])


def _field(console: Console, name: str, value: object) -> None:
    if value not in (None, ""):
        _print(console, _padded(f"{name:15s} ", "dim") + _text(value))


def _evidence(record: Mapping[str, Any], console: Console) -> None:
    from rich.text import Text

    for evidence in record["evidence"]:
        weight = "main" if evidence["topic"] in record["main_topics"] else "mentioned"
        head = Text(f"{evidence['topic']} ({weight}, {evidence['status']}, rule {evidence['rule']}): ", "cyan")
        _print(console, head + _marked(evidence["sentence"], evidence["words"], "bold"))


def _origin(origin: Mapping[str, Any] | None, console: Console) -> None:
    if not origin:
        return
    console.print()
    _print(console, _text("Rewritten from:", "bold"))
    date = wording.when(origin["published"])
    told = " · ".join(filter(None, [date, origin["source"], origin["title"], origin["id"]]))
    _print(console, _text(told), 2, hanging=6)
    if origin["share"]:
        why = f"{origin['share']:.0%} of the shorter text word for word, {origin['hours']:g} hours apart"
        _print(console, _text(why, "dim"), 9)
    _differences(origin["numbers"], origin["source"] or origin["id"], console)


def _differences(numbers: Iterable[Mapping[str, Any]], of: str, console: Console) -> None:
    """Numbers that stand in each other's place, then those that only one of the two states."""
    for differing in numbers:
        told = [", ".join(f"{theirs} → {own}" for theirs, own in differing["changed"])]
        for side, where in (("theirs", f"only in {of}"), ("own", "only here")):
            paired = {pair[side == "own"] for pair in differing["changed"]}
            alone = ", ".join(number for number in differing[side] if number not in paired)
            told.append(f"{where}: {alone}" if alone else "")
        _print(console, _text(f"numbers: {'; '.join(filter(None, told))}", "yellow"), 9)


def _members(record: Mapping[str, Any], console: Console) -> None:
    members = record["members"]
    if len(members) == 1:
        return
    console.print()
    _print(console, _text(f"Told {len(members)} times:", "bold"))
    places = {member["id"]: member["source"] or member["id"] for member in members}
    for member in members:
        date = wording.when(member["published"])
        told = " · ".join(filter(None, [date, member["source"], member["title"], member["id"]]))
        _print(console, _padded(f"{'lead' if member['lead'] else '':6s}") + _text(told), 2, hanging=6)
        for numbers in member["numbers"]:
            _differences([numbers], places.get(numbers["of"], numbers["of"]), console)


def _revisions(revisions: Sequence[Mapping[str, Any]], console: Console) -> None:
    if len(revisions) == 1:
        return
    console.print()
    _print(console, _text("Revisions:", "bold"))
    for revision in revisions:
        seen = f"{wording.when(revision['first_captured'])} … {wording.when(revision['last_captured'])}"
        title = _text(revision["title"] or "(no title)")
        _print(console, _padded(f"{revision['revision']:3d}  {seen}  ") + title, 2)


# rules --------------------------------------------------------------------------------------------------------------
def checked(file: Path, found: Checked) -> None:
    """What checking a file of rules brought."""
    for problem in (*found.problems, *found.unsound, *found.failing):
        click.echo(plain(problem))
    for note in found.notes:
        say(f"note: {note}")
    if not found.problems:
        rules, words = wording.plural(found.rules, "rule"), wording.plural(found.words, "word")
        told = f"{rules}, {words}, languages {', '.join(found.languages)}"
        held = found.examples - len(found.failing)
        click.echo(plain(f"{file}: {told}; {held} of {wording.plural(found.examples, 'example')} hold"))
