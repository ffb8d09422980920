"""A file of rules → `RulesFile`: read with care, every fault named by its line."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from pathlib import Path

import yaml

from ingest import yaml_nodes
from ingest.errors import SettingsError
from ingest.languages import ISO_639_1 as LANGUAGES
from ingest.models import Status
from ingest.tag.lexicon import LONGEST_WORD

MAX_BYTES = 4_000_000  # of a rules file; a hundred times the bundled one
MOST_FAULTS = 100  # that are named of a file; nobody reads more at once
MARKERS = ("ignore", "teaser", "clause")  # words by language that stand at the top of the file
SCOPES = ("clause", "sentence", "neighbours")
ANY = "any"  # words that stand in every language's text: NATO, HIMARS
_TERM = re.compile(r"\*?[^\W_]+(?:['’ʼ][^\W_]+)*[*~]?|#")  # a word of the rules file
MODES = (Status.NEGATED, Status.HYPOTHETICAL, Status.DEMANDED, Status.PLANNED)  # the first that is found counts
_CARRIES = frozenset({Status.ASSERTED, Status.PLANNED, Status.DEMANDED, Status.HYPOTHETICAL, Status.NEGATED})


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule as the file has it; slots are names of groups."""

    name: str
    topic: str
    line: int
    act: tuple[str, ...] = ()
    thing: tuple[str, ...] = ()
    context: tuple[str, ...] = ()  # one of these in the same sentence
    nearby: tuple[str, ...] = ()  # one of these in it or a neighbouring one
    story: tuple[str, ...] = ()  # one of these anywhere in title or text
    blockers: tuple[str, ...] = ()  # none of these in the sentence
    story_blockers: tuple[str, ...] = ()  # none of these in OFF_SUBJECT sentences of the story
    scope: str = "sentence"
    within: int = 12
    order: str = "any"
    weight: float = 1.0
    carries: frozenset[Status] = _CARRIES
    holds: tuple[tuple[str, str, int], ...] = ()  # (language, example, line)
    fails: tuple[tuple[str, str, int], ...] = ()


@dataclass(frozen=True, slots=True)
class RulesFile:
    """A rules file, read and checked."""

    topics: tuple[str, ...]
    groups: Mapping[str, Mapping[str, tuple[str, ...]]]
    markers: Mapping[str, Mapping[str, tuple[str, ...]]]  # by status, and "ignore", "clause"
    rules: tuple[Rule, ...]
    lines: Mapping[str, int] = field(default_factory=dict)  # group → line
    # (group, language, word) → line, column
    places: Mapping[tuple[str, str, str], tuple[int, int]] = field(default_factory=dict)

    @property
    def languages(self) -> tuple[str, ...]:
        found = {language for words in self.groups.values() for language in words}
        return tuple(sorted(found - {ANY}))

    def terms(self, groups: Iterable[str], language: str) -> list[str]:
        """The words of these groups in that language, those of every language among them."""
        return [term for name in groups for key in (language, ANY) for term in self.groups[name].get(key, ())]


def content(path: Path) -> bytes:
    """The bytes of a rules file. Raises SettingsError where there is none."""
    return yaml_nodes.content(path, most=MAX_BYTES, what="file of topic rules", advice="Name a file of topic rules.")


def parse(data: bytes, path: str) -> RulesFile:
    """The rules in the bytes of a file that is called `path` in errors.

    Raises SettingsError for the first fault that `read` names.
    """
    file, faults = read(data, path)
    if file is None:
        raise faults[0]
    return file


def read(data: bytes, path: str) -> tuple[RulesFile | None, list[SettingsError]]:
    """The rules and no fault, or None and every fault, each with its line and column; MOST_FAULTS at most."""
    reader = _Reader(path)
    try:
        file = reader.file(reader.root(data))
    except _TooMany:
        file = None
    except SettingsError as error:
        file = None
        reader.faults.append(error)
    return (None if reader.faults else file), reader.faults


def _line(part: yaml.Node) -> int:
    """The line that it begins in, from 1."""
    return part.start_mark.line + 1 if part.start_mark else 1


class _TooMany(Exception):
    """More faults than anybody reads."""


class _Reader(yaml_nodes.Nodes):
    """Nodes of a rules file → `RulesFile`; every fault names its line and column.

    What is wrong with one word, group or rule is kept in `faults`, and reading goes on with the next.
    """

    def __init__(self, path: str) -> None:
        super().__init__(path, "`sitrep topics check FILE` names every fault.")
        self.faults: list[SettingsError] = []
        self.places: dict[tuple[str, str, str], tuple[int, int]] = {}

    @contextmanager
    def going_on(self) -> Iterator[None]:
        """Keep a fault of what is read inside, instead of ending with it."""
        try:
            yield
        except SettingsError as error:
            self.faults.append(error)
            if len(self.faults) >= MOST_FAULTS:
                raise _TooMany from error

    def file(self, root: yaml.Node | None) -> RulesFile:
        if root is None:
            raise self.at(None, "the file is empty")
        parts = self.mapping(root, "the file", {"topics", "groups", "status", "rules", *MARKERS})
        for needed in ("topics", "groups", "rules"):
            if needed not in parts:
                raise self.wrong(root, f"`{needed}` is missing")
        topics = self.names(parts["topics"], "topics")
        groups, lines = self.groups(parts["groups"])
        markers: dict[str, dict[str, tuple[str, ...]]] = {}
        for name in MARKERS:
            if name in parts:
                markers[name] = self.words(parts[name], name)
        if "status" in parts:
            allowed = {str(status) for status in (*MODES, Status.HISTORY)}
            for name, node in self.mapping(parts["status"], "status", allowed).items():
                with self.going_on():
                    markers[name] = self.words(node, name)
        return RulesFile(topics, groups, markers, self.rules(parts["rules"], topics, groups), lines, self.places)

    def names(self, node: yaml.Node, what: str) -> tuple[str, ...]:
        found: list[str] = []
        for item in self.items(node, what):
            name = self.text(item, f"an item of {what}")
            if name in found:
                raise self.wrong(item, f"{name!r} stands twice in {what}")
            found.append(name)
        return tuple(found)

    def groups(self, node: yaml.Node) -> tuple[dict[str, dict[str, tuple[str, ...]]], dict[str, int]]:
        parts = self.mapping(node, "groups")
        lines = {name: _line(value) for name, value in parts.items()}
        groups: dict[str, dict[str, tuple[str, ...]]] = {}
        for name, value in parts.items():
            groups[name] = {}
            with self.going_on():
                groups[name] = self.words(value, f"the group {name!r}", name)
        return groups, lines

    def words(self, node: yaml.Node, what: str, group: str = "") -> dict[str, tuple[str, ...]]:
        found: dict[str, tuple[str, ...]] = {}
        for language, value in self.mapping(node, what).items():
            with self.going_on():
                if language not in LANGUAGES and language != ANY:
                    raise self.wrong(value, f"{language!r} in {what} is no language: ISO 639-1, or `any`")
                found[language] = self.terms(value, f"{what}, {language}", (group, language))
        if not node.value:
            raise self.wrong(node, f"{what} has no words")
        return found

    def terms(self, node: yaml.Node, what: str, home: tuple[str, str]) -> tuple[str, ...]:
        found: dict[str, None] = {}
        for item in self.items(node, what):
            with self.going_on():
                text = self.text(item, f"a word of {what}")
                parts = self.split(text.removeprefix("!"), item)
                term = "!" * text.startswith("!") + " ".join(self.word(part, item, len(parts) > 1) for part in parts)
                if term in found:
                    raise self.wrong(item, f"{term!r} stands twice in {what}")
                found[term] = None
                self.places[(*home, term)] = item.start_mark.line + 1, item.start_mark.column + 1
        return tuple(found)

    def split(self, term: str, node: yaml.Node) -> list[str]:
        """The term's words as a text's are split, each with its signs."""
        parts = [part for part in re.split(r"[\s.\-]+", term) if part]
        if not parts or not all(_TERM.fullmatch(part) for part in parts):
            raise self.wrong(node, f"{term!r} is no word or phrase: letters, `*` or `~` at their ends, `#`")
        return parts

    def word(self, part: str, node: yaml.Node, in_phrase: bool) -> str:
        part = part.replace("’", "'").replace("ʼ", "'")
        bare = part.strip("*~")
        if "*" in part and len(bare) < (2 if in_phrase else 3):
            raise self.wrong(node, f"{part!r} fits too much: at least three letters with `*`, two inside a phrase")
        if len(bare) > LONGEST_WORD:
            raise self.wrong(node, f"{part[:20]!r}… is longer than {LONGEST_WORD} letters")
        return part

    def rules(self, node: yaml.Node, topics: Sequence[str], groups: Mapping[str, object]) -> tuple[Rule, ...]:
        found: dict[str, Rule] = {}
        for item in self.items(node, "rules"):
            with self.going_on():
                rule = self.rule(item, topics, groups)
                if rule.name in found:
                    raise self.wrong(item, f"the rule {rule.name!r} stands twice")
                found[rule.name] = rule
        return tuple(found.values())

    def rule(self, node: yaml.Node, topics: Sequence[str], groups: Mapping[str, object]) -> Rule:
        slots = ("act", "thing", "context", "nearby", "story", "blockers", "story_blockers")
        extra = ("scope", "within", "order", "weight", "carries", "holds", "not")
        parts = self.mapping(node, "a rule", {"name", "topic", *slots, *extra})
        for needed in ("name", "topic"):
            if needed not in parts:
                raise self.wrong(node, f"a rule has no `{needed}`")
        name = self.text(parts["name"], "`name`")
        topic = self.choice(parts["topic"], "`topic`", topics)
        filled = {slot: self.slot(parts[slot], f"`{slot}` of {name!r}", groups) for slot in slots if slot in parts}
        if "act" not in filled and "thing" not in filled:
            raise self.wrong(node, f"the rule {name!r} is empty: it has neither `act` nor `thing`")
        rule = replace(Rule(name, topic, _line(node)), **filled)  # type: ignore[arg-type]
        if "scope" in parts:
            rule = replace(rule, scope=self.choice(parts["scope"], "`scope`", SCOPES))
        if "order" in parts:
            rule = replace(rule, order=self.choice(parts["order"], "`order`", ("any", "act-first", "thing-first")))
        if "within" in parts:
            rule = replace(rule, within=int(self.number(parts["within"], "`within`", 0, 200)))
        if "weight" in parts:
            rule = replace(rule, weight=self.number(parts["weight"], "`weight`", 0.01, 1))
        if "carries" in parts:
            rule = replace(rule, carries=self.carries(parts["carries"]))
        return replace(rule, holds=self.examples(parts, "holds"), fails=self.examples(parts, "not"))

    def slot(self, node: yaml.Node, what: str, groups: Mapping[str, object]) -> tuple[str, ...]:
        for item in self.items(node, what):
            if (name := self.text(item, what)) not in groups:
                near = get_close_matches(name, groups, 1)
                meant = f"; is {near[0]!r} meant?" if near else ""
                raise self.wrong(item, f"{what} names the group {name!r}, which does not exist{meant}")
        return tuple(sorted(self.names(node, what)))

    def choice(self, node: yaml.Node, what: str, choices: Sequence[str]) -> str:
        value = self.text(node, what)
        if value not in choices:
            raise self.wrong(node, f"{what} is {value!r}; it can be {', '.join(choices)}")
        return value

    def number(self, node: yaml.Node, what: str, low: float, high: float) -> float:
        text = self.text(node, what)
        try:
            value = float(text)
        except ValueError:
            value = float("nan")
        if not low <= value <= high:
            raise self.wrong(node, f"{what} is {text!r}; it must be a number from {low} to {high}")
        return value

    def carries(self, node: yaml.Node) -> frozenset[Status]:
        allowed = [str(status) for status in Status if status is not Status.HISTORY]
        for item in self.items(node, "`carries`"):
            self.choice(item, "`carries`", allowed)
        return frozenset(Status(name) for name in self.names(node, "`carries`"))

    def examples(self, parts: Mapping[str, yaml.Node], key: str) -> tuple[tuple[str, str, int], ...]:
        """(language, sentence, line) of a rule's `holds` or `not`: a text is English, `{de: text}` another language."""
        found = []
        for item in self.items(parts[key], f"`{key}`") if key in parts else ():
            pairs = {"en": item} if isinstance(item, yaml.ScalarNode) else self.mapping(item, f"`{key}`", LANGUAGES)
            for language, node in pairs.items():
                found.append((language, self.text(node, f"`{key}`"), _line(node)))
        return tuple(found)
