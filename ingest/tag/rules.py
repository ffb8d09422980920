"""The rules of a file, compiled by language: slots as bits, words in a lexicon."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from ingest.models import Status
from ingest.tag.lexicon import Lexicon
from ingest.tag.rulesfile import ANY, MODES, Rule, RulesFile


@dataclass(frozen=True, slots=True)
class Compiled:
    """A rule with its slots as bits, for one language."""

    rule: Rule
    act: int
    thing: int
    need: int  # all of these in the sentence (`neighbours`: around it)
    nearby: int
    story: int
    block: int
    story_block: int
    across: bool  # act and thing may stand in neighbouring sentences


@dataclass(frozen=True, slots=True)
class Book:
    """All rules of one language, ready to be applied."""

    lexicon: Lexicon
    rules: tuple[Compiled, ...]
    modes: tuple[tuple[Status, int], ...]
    history: int
    teaser: int
    clause: re.Pattern[str]


class Rules:
    """The rules of a file: `version` identifies its content and this engine, `topics` their order."""

    def __init__(self, file: RulesFile, version: str) -> None:
        self.version = version
        self.topics = file.topics
        self.names = tuple(rule.name for rule in file.rules)
        self._file = file
        self._languages = frozenset(file.languages)
        self._books: dict[str, Book] = {}

    def book(self, language: str | None) -> Book | None:
        """The book of that language, compiled when it is first asked for. Where it is not known, or has no rules, the
        English one: a wrong guess of the language of an English text costs nothing then, and other languages hardly
        meet an act and a thing in it."""
        code = (language or "en").lower()[:2]
        code = code if code in self._languages else "en"
        if code not in self._books and code in self._languages:
            self._books[code] = compile_book(self._file, self._file.rules, code)
        return self._books.get(code)


def compile_book(file: RulesFile, rules: Iterable[Rule], language: str) -> Book:
    """The rules of that language; those with a slot for which it has no word are left out."""
    lexicon = Lexicon(language)
    slots: dict[tuple[str, ...], int] = {}

    def slot(names: tuple[str, ...]) -> int:
        """The bit of a slot: 0 for none asked, -1 where the language has no word for it."""
        if not names:
            return 0
        if names not in slots:
            terms = file.terms(names, language)
            slots[names] = 1 << len(slots) if terms else -1
            for term in terms:
                lexicon.add(term, slots[names])
        return slots[names]

    compiled = []
    for rule in sorted(rules, key=lambda rule: -rule.weight):
        act, thing, context = slot(rule.act), slot(rule.thing), slot(rule.context)
        nearby, story = slot(rule.nearby), slot(rule.story)
        if -1 not in (act, thing, context, nearby, story):
            block = max(0, slot(rule.blockers))
            story_block = max(0, slot(rule.story_blockers))
            need = act | thing | context
            across = rule.scope == "neighbours"
            compiled.append(Compiled(rule, act, thing, need, nearby, story, block, story_block, across))
    offset = len(slots)
    bits = {}
    for number, name in enumerate([*MODES, Status.HISTORY]):
        bits[name] = 1 << (offset + number)
        for term in _marker_terms(file, name, language):
            lexicon.add(term, bits[name])
    teaser = 1 << (offset + len(bits))
    for term in _marker_terms(file, "teaser", language):
        lexicon.add(term, teaser)
    for term in _marker_terms(file, "ignore", language):
        lexicon.add(f"!{term}", -1)
    joints = "|".join(re.escape(term).replace(r"\*", r"\w*") for term in _marker_terms(file, "clause", language))
    clause = re.compile(r"[;:—]|\s[–-]\s" + (rf"|,\s(?:{joints})\b" if joints else ""), re.I)
    modes = tuple((mode, bits[mode]) for mode in MODES)
    return Book(lexicon, tuple(compiled), modes, bits[Status.HISTORY], teaser, clause)


def _marker_terms(file: RulesFile, name: str, language: str) -> list[str]:
    words = file.markers.get(name, {})
    return [*words.get(language, ()), *words.get(ANY, ())]
