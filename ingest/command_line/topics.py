"""`sitrep topics`: the rules that say what a story is about."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ingest import wording
from ingest.command_line import showing
from ingest.command_line.options import as_json, since, until
from ingest.errors import SitrepError, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from ingest.models import Evidence
    from ingest.tag.comparing import Change, Fired, Told
    from ingest.tag.trying import Trial, Tried

SAMPLE = 5000  # stories of the store that `check` counts in, in the order of ids: a random sample; some 5 seconds
OFTEN = 0.1  # of all stories: a rule that fires in more of them is likely to be loose

rules_file = click.Path(exists=True, dir_okay=False, path_type=Path)
stories_file = click.option(
    "--stories",
    type=click.File("rb"),
    metavar="FILE",
    help="Take the stories of this file (JSON Lines, as `sitrep export` writes them; - is stdin), not the store's.",
)


@click.group(short_help="Check, try and compare the rules of topics.")
def topics() -> None:
    """Check, try and compare rules of topics (seeds/topics.yaml; seeds/README.md says how to write them)."""


@topics.command(short_help="Check a file of rules and its examples; count how often each rule fires.")
@click.argument("file", type=rules_file)
@stories_file
@click.option(
    "--sample",
    type=click.IntRange(0),
    metavar="N",
    default=SAMPLE,
    show_default=True,
    help="Count in at most so many stories; 0: none.",
)
@as_json
@click.pass_context
def check(context: click.Context, file: Path, stories: Any, sample: int, as_json: bool) -> None:
    """Check a file of rules: its form, its examples, and how often each rule fires in the stories that there are.

    Prints a line for each problem, with line and column, for each rule or word that can never do what it says, and for
    each example that comes out otherwise than it says. Exit code 1 where there is any, else 0. Then, for each rule, the
    stories in which it is among the proofs, and those in which it alone carries the topic.

    \b
    Examples:
      sitrep topics check seeds/topics.yaml && sitrep digest && sitrep publish
      sitrep topics check mine.yaml --stories stories.jsonl --sample 100000
    """
    from ingest import tag

    checked = tag.check(file)
    counts = None if checked.problems or not sample else _fired(file, stories, sample)
    if as_json:
        record = {**asdict(checked), "path": str(checked.path), "good": checked.good}
        if counts:
            record["fired"] = _fired_record(counts)
        showing.echo_json(record)
    else:
        showing.checked(file, checked)
        if counts and counts.stories:
            _show_fired(counts)
    if not checked.good:
        context.exit(1)


@topics.command("try", short_help="Which rules fire in a sentence, which do not, and why.")
@click.argument("text", required=False)
@click.option("--file", type=click.File("rb"), help="Try the text of this file (- is stdin).")
@click.option("--title", help="The title that stands above it.")
@click.option("--language", metavar="LANGUAGE", help="ISO 639-1 (default: what the text looks like).")
@click.option("--rules", type=rules_file, help="Try this file of rules, not the one in use.")
@as_json
def try_(
    text: str | None, file: Any, title: str | None, language: str | None, rules: Path | None, as_json: bool
) -> None:
    """Say which topics a text has by the rules, and why: each rule whose act and thing stand in a sentence, whether it
    proves its topic, how the sentence is meant, or what it lacks or is blocked by.

    A sentence alone has no story around it: rules that ask for words elsewhere in the story say so.

    \b
    Examples:
      sitrep topics try "Norway will send 14 tanks to Ukraine."
      sitrep topics try --rules mine.yaml --language de "Berlin liefert Panzer an Kiew."
      sitrep show 5f1c09 --json | jq -r .text | sitrep topics try --file -
    """
    from ingest import clean, tag
    from ingest.tag import trying

    if (text is None) == (file is None):
        raise UsageError("give a text, or --file")
    whole = text if text is not None else file.read().decode("utf-8", "replace")
    chosen = language or clean.language(f"{title or ''}\n{whole}")
    trial = trying.attempt(tag.load(rules or _in_use()), title, whole, chosen)
    if as_json:
        showing.echo_json(_trial_record(trial, chosen))
    else:
        _show_trial(trial, chosen)


@topics.command(short_help="Which stories get other topics by other rules.")
@click.argument("old", type=rules_file)
@click.argument("new", type=rules_file)
@stories_file
@since
@until
@click.option("--limit", type=click.IntRange(0), metavar="N", help="Show at most so many stories; count them all.")
@as_json
def diff(
    old: Path, new: Path, stories: Any, since: datetime | None, until: datetime | None, limit: int | None, as_json: bool
) -> None:
    """Tag stories by two files of rules, and list those whose topics differ, with the sentence that proves what is
    gained or lost. Nothing is written: to publish the new tags, digest and publish.

    \b
    Examples:
      git show HEAD:seeds/topics.yaml > old.yaml; sitrep topics diff old.yaml seeds/topics.yaml
      sitrep topics diff old.yaml new.yaml --since 2022-05-01 --json > changes.jsonl
      sitrep topics diff old.yaml new.yaml --stories stories.jsonl
    """
    from ingest import tag
    from ingest.store import Query
    from ingest.tag import comparing

    before, after = tag.load(old), tag.load(new)
    gained, lost, moved = (dict.fromkeys((*before.topics, *after.topics), 0) for _ in range(3))
    changed = 0
    with _told(stories, Query(since=since, until=until)) as told:
        for change in comparing.changes(before, after, told):
            changed += 1
            for counts, topics in ((gained, change.gained), (lost, change.lost), (moved, change.reweighted)):
                for topic in topics:
                    counts[topic] += 1
            if limit is None or changed <= limit:
                showing.echo_json(_change_record(change)) if as_json else _show_change(change)
        total = told.count
    showing.say(f"{wording.plural(changed, 'story', 'stories')} of {total:,d} would change")
    for topic in gained if changed else ():
        between = f"{moved[topic]} between main and mentioned"
        showing.say(f"  {topic}: {gained[topic]} gained, {lost[topic]} lost, {between}")


# stories ------------------------------------------------------------------------------------------------------------
class _Stories:
    """Passes stories on, and shows and counts how many came by."""

    def __init__(self, stories: Iterable[Told], total: int | None, progress: Any) -> None:
        self._stories, self._total, self._progress = stories, total, progress
        self.count = 0

    def __iter__(self) -> Iterator[Told]:
        from ingest.pipeline.pipe import Step

        for story in self._stories:
            self.count += 1
            if self.count % 100 == 0:
                self._progress(Step("tag", self.count, self._total, "stories"))
            yield story


@contextmanager
def _told(file: Any, query: Any, most: int | None = None) -> Iterator[_Stories]:
    """The stories of a file, else those of the store that the query finds; at most so many."""
    from ingest.pipeline.pipe import opened
    from ingest.tag.comparing import Told

    with showing.progress() as progress:
        if file is not None:
            yield _Stories(islice(_lines(file), most), most, progress)
            return
        with opened() as pipe:
            there = int(pipe.store.info()["stories"])
            exported = ((one.id, one.content) for one in pipe.store.export(query))
            told = (Told(name, content.title, content.text, content.language) for name, content in exported)
            yield _Stories(islice(told, most), min(there, most) if most else there, progress)


def _lines(file: Any) -> Iterator[Told]:
    """The stories of JSON Lines. Raises UsageError for a line that is none, naming it."""
    import orjson

    from ingest.tag.comparing import Told

    for number, line in enumerate(file, 1):
        if not line.strip():
            continue
        try:
            record = orjson.loads(line)
            text, title = record["text"], record.get("title")
            language = record.get("language") or record.get("lang")
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            advice = 'A line is a JSON object with "text", and "id", "title", "language" where it has them.'
            raise UsageError("is no story", subject=f"{file.name}, line {number}", advice=advice) from error
        if not isinstance(text, str) or not isinstance(title, str | None) or not isinstance(language, str | None):
            raise UsageError("has a text that is none", subject=f"{file.name}, line {number}")
        yield Told(str(record.get("id", number)), title, text, language)


def _in_use() -> Path:
    from ingest import settings

    return settings.load().topics


# how often rules fire -----------------------------------------------------------------------------------------------
def _fired(file: Path, stories: Any, sample: int) -> Fired | None:
    """How often the rules fire; None, with a word to people, where there is no store to count in."""
    from ingest import tag
    from ingest.store import Query
    from ingest.tag import comparing

    try:
        with _told(stories, Query(), sample) as told:
            return comparing.fired(tag.load(file), told)
    except UsageError:
        raise
    except SitrepError as error:
        showing.say(f"note: how often rules fire was not counted: {error}")
        return None


def _fired_record(counts: Fired) -> dict[str, Any]:
    parts = {"by_rule": counts.by_rule, "alone": counts.alone, "by_topic": counts.by_topic}
    return {"stories": counts.stories, **{name: dict(part) for name, part in parts.items()}}


def _show_fired(counts: Fired) -> None:
    click.echo(f"fired in {wording.plural(counts.stories, 'story', 'stories')}:    stories    alone")
    for name, number in counts.by_rule.items():
        remark = "  never" if not number else "  often" if number > OFTEN * counts.stories else ""
        click.echo(f"  {name:32s} {number:9,d} {counts.alone[name]:8,d}{remark}")
    for topic, number in counts.by_topic.items():
        click.echo(f"  {topic}: {number:,d} ({number / counts.stories:.1%})")


# a text that is tried -----------------------------------------------------------------------------------------------
def _trial_record(trial: Trial, language: str | None) -> dict[str, Any]:
    return {
        "language": language,
        "topics": list(trial.tags.topics),
        "main_topics": list(trial.tags.main_topics),
        "weights": dict(trial.weights),
        "tried": [{**asdict(one), "words": [list(span) for span in one.words]} for one in trial.tried],
    }


def _show_trial(trial: Trial, language: str | None) -> None:
    held = [f"{topic}{'' if topic in trial.tags.main_topics else ' (mentioned)'}" for topic in trial.tags.topics]
    click.echo(showing.plain(f"language {language or 'unknown, taken for English'}: {', '.join(held) or 'no topic'}"))
    for topic, weight in trial.weights.items():
        if 0 < weight < 1:
            click.echo(f"  {topic} is proved to {weight:g} only; 1 is needed")
    for one in sorted(trial.tried, key=lambda one: (one.why != "", one.rule)):
        click.echo("  " + showing.plain(f"{_verdict(one)} {one.topic}, rule {one.rule}: {_quoted(one)}"))
    if not trial.tried:
        click.echo("  no sentence has both the act and the thing of a rule")


def _verdict(one: Tried) -> str:
    if one.why:
        return f"no  ({one.why})"
    part = f", weight {one.weight:g}" if one.weight < 1 else ""
    return f"yes ({one.status}{part})"


def _quoted(one: Tried | Evidence) -> str:
    """The words of a proof, in their order."""
    return " … ".join(one.sentence[start:end] for start, end in one.words)


# a story that changes -----------------------------------------------------------------------------------------------
def _change_record(change: Change) -> dict[str, Any]:
    return {
        "id": change.story.id,
        "title": change.story.title,
        "gained": list(change.gained),
        "lost": list(change.lost),
        "before": {"topics": list(change.before.topics), "main_topics": list(change.before.main_topics)},
        "after": {"topics": list(change.after.topics), "main_topics": list(change.after.main_topics)},
        "evidence": [one.to_json() for topic in (*change.gained, *change.lost) for one in change.evidence(topic)],
    }


def _show_change(change: Change) -> None:
    click.echo(showing.plain(f"{change.story.id} {change.story.title or change.story.text[:80]}"))
    for sign, topics in (("+", change.gained), ("-", change.lost)):
        for topic in topics:
            tags = change.after if sign == "+" else change.before
            weight = "main" if topic in tags.main_topics else "mentioned"
            evidence = change.evidence(topic)[0]
            proof = f"rule {evidence.rule} ({evidence.status}): {_quoted(evidence)}"
            click.echo("  " + showing.plain(f"{sign} {topic} ({weight}), {proof} | {evidence.sentence}"))
    for topic in change.reweighted:
        click.echo(f"  ~ {topic} is {'main' if topic in change.after.main_topics else 'mentioned'} now")
