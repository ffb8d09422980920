"""Rules that are well-formed and yet cannot do what they say: found before a story is tagged with them."""

from __future__ import annotations

from collections.abc import Iterator

from ingest.tag.rules import Book, Compiled, compile_book
from ingest.tag.rulesfile import ANY, Rule, RulesFile


def unsound(file: RulesFile) -> Iterator[str]:
    """A line for each rule that can never match, and for each word of an act or thing that is ignored or blocks its
    own rule."""
    seen: set[str] = set()
    for rule in file.rules:
        possible = False
        for language in file.languages:
            book = compile_book(file, [rule], language)
            for compiled in book.rules:
                possible = True
                for line in _words(file, book, compiled, language):
                    if line not in seen:
                        seen.add(line)
                        yield line
        if not possible:
            slots = [name for name in ("act", "thing", "context", "nearby", "story") if getattr(rule, name)]
            lack = f"no language has words for all of {', '.join(slots)}"
            yield f"line {rule.line}: the rule {rule.name!r} can never match: {lack}"


def _words(file: RulesFile, book: Book, compiled: Compiled, language: str) -> Iterator[str]:
    rule = compiled.rule
    bits = compiled.act | compiled.thing
    for group in dict.fromkeys((*rule.act, *rule.thing)):
        for home in (language, ANY):
            for term in file.groups[group].get(home, ()):
                if term.startswith("!"):
                    continue
                text = term.replace("*", "").replace("~", "").replace("#", "7")
                mask = 0
                for hit in book.lexicon.hits(book.lexicon.token.findall(text)):
                    mask |= hit[2]
                line, column = file.places.get((group, home, term), (file.lines.get(group, 0), 1))
                place = f"line {line}, column {column}: {term!r} in the group {group!r}"
                if not mask & bits:
                    yield f"{place} can never match: `ignore` or a word with `!` covers it"
                elif mask & compiled.block:
                    yield f"{place} blocks the rule {rule.name!r} itself: {_blocking(file, rule, language, text)}"


def _blocking(file: RulesFile, rule: Rule, language: str, text: str) -> str:
    """The groups of the rule's blockers that have the word."""
    found = []
    for name in rule.blockers:
        alone = compile_book(file, [Rule(rule.name, rule.topic, rule.line, thing=(name,))], language)
        if any(hit[2] & alone.rules[0].thing for hit in alone.lexicon.hits(alone.lexicon.token.findall(text))):
            found.append(name)
    return f"it stands in {' and '.join(found)} too"
