"""Story → topics with evidence: an engine of rules over words.

    rules file ──load──> Rules ──┐
    title, text, language ───────┴──tag──> Tags (topics, main topics, Evidence)

A rule says which *act* must meet which *thing* near each other, in what context, and what must not stand there. What
the words are, by language, is data (`seeds/topics.yaml`, explained at its head); how they are matched is here:

- Words are compared in lower case, one hash look-up for each word of the text, so that time is linear in the text and
  does not depend on how many words the rules have. (Aho-Corasick finds strings, not words: "aid" in "said" would come
  out and have to be thrown away again.)
- A sentence is the unit of proof: `field[start:end] == sentence`, in code points. Endless ones are cut.
- Each proof says how it is meant (`models.Status`), by the words before the act; history never carries a topic, the
  other statuses where the rule does not say otherwise.
- A topic holds when the weights of the sentences that prove it sum to 1, title, lead and headings counting twice; it
  is a main topic when these alone do, or when about a third of the sentences prove it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from ingest.errors import SettingsError
from ingest.models import Tags
from ingest.tag import proof, rulesfile
from ingest.tag.rules import Book, Rules, compile_book
from ingest.tag.rulesfile import Rule, RulesFile
from ingest.tag.soundness import unsound
from ingest.tag.splitting import headings, sentences, title_sentences

__all__ = ["Checked", "Rules", "check", "load", "tag"]

ENGINE = "2"  # changes when the same rules give other tags


def tag(rules: Rules, title: str | None, text: str, language: str | None) -> Tags:
    """The topics of a story and the sentences that prove them.

    `language` is ISO 639-1 or None. Never raises, whatever the text; takes time linear in it.
    """
    book = rules.book(language)
    if book is None:
        return Tags()
    title = title or ""
    head = proof.read(book, title, title_sentences(title))
    body = proof.read(book, text, sentences(text))
    latest = proof.latest_year(text)
    rules_of_it = proof.fitting(book, [*head, *body])
    named = proof.prove(book, rules_of_it, "title", title, head, latest)
    told = proof.prove(book, rules_of_it, "text", text, body, latest)
    if not named and not told:
        return Tags()
    tops = headings(text, [(sentence.start, sentence.end) for sentence in body])
    return proof.judge(rules.topics, named, told, len(body), tops)


def load(path: Path) -> Rules:
    """The rules of a file.

    Raises SettingsError, naming the file, the line and the problem, for a file that is none.
    """
    data = rulesfile.content(path)
    return Rules(rulesfile.parse(data, str(path)), _version(data))


def _version(data: bytes) -> str:
    """What identifies the content of a rules file together with this engine."""
    return hashlib.sha256(ENGINE.encode() + b"\0" + data).hexdigest()[:12]


@dataclass(frozen=True, slots=True)
class Checked:
    """What `check` found in a rules file. It can be used when `problems` is empty. `failing` are its own examples that
    come out otherwise than they say, `unsound` are rules and words that cannot do what they say; `notes` are no
    faults."""

    path: Path
    version: str = ""
    topics: tuple[str, ...] = ()
    languages: tuple[str, ...] = ()
    rules: int = 0
    words: int = 0
    examples: int = 0
    problems: tuple[str, ...] = ()
    failing: tuple[str, ...] = ()
    unsound: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def good(self) -> bool:
        return not (self.problems or self.failing or self.unsound)


def check(path: Path) -> Checked:
    """Read a rules file and run its examples. Never raises for what stands in it."""
    try:
        data = rulesfile.content(path)
    except SettingsError as error:
        return Checked(path, problems=(str(error),))
    file, faults = rulesfile.read(data, str(path))
    if file is None:
        return Checked(path, problems=tuple(str(fault) for fault in faults))
    checked = Checked(
        path=path,
        version=_version(data),
        topics=file.topics,
        languages=file.languages,
        rules=len(file.rules),
        words=sum(len(terms) for words in file.groups.values() for terms in words.values()),
        examples=sum(len(rule.holds) + len(rule.fails) for rule in file.rules),
    )
    used = {name for rule in file.rules for name in _slots(rule)}
    notes = [f"line {line}: no rule uses the group {name!r}" for name, line in file.lines.items() if name not in used]
    return replace(checked, failing=tuple(_failing(file)), unsound=tuple(unsound(file)), notes=tuple(notes))


def _failing(file: RulesFile) -> Iterator[str]:
    """A line for each example that comes out otherwise than its rule says."""
    for rule in file.rules:
        books: dict[str, Book] = {}
        for wanted, examples in ((True, rule.holds), (False, rule.fails)):
            for language, text, line in examples:
                if language not in books:
                    books[language] = compile_book(file, [replace(rule, weight=1.0)], language)
                if _holds(books[language], text) is not wanted:
                    what = "does not hold" if wanted else "holds"
                    yield f"line {line}: the rule {rule.name!r} {what} in {text!r}"


def _holds(book: Book, text: str) -> bool:
    read = proof.read(book, text, sentences(text))
    return any(found.carries for found in proof.prove(book, proof.fitting(book, read), "text", text, read, 0))


def _slots(rule: Rule) -> tuple[str, ...]:
    return (*rule.act, *rule.thing, *rule.context, *rule.nearby, *rule.story, *rule.blockers, *rule.story_blockers)
