"""What a person types into the search field, understood; and where it stands in a text.

Words are all required, "in quotation marks" they stand in a row, -word must not stand in the story, word* is a
beginning, and with title: before it, any of these is about the title alone (a beginning of a stem there). Anything else
that is typed only separates words; nothing is an error.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from ingest.store.terms import Word, Words, words

# What Elasticsearch takes without harm: its time grows with the square of the words. Nobody types more.
LONGEST_TYPED = 500
MOST_CLAUSES = 32
# What may be asked from outside (`refused`): in 100,000 stories a beginning of one letter costs SQLite seconds and
# hundreds of megabytes, one of three some 50 ms.
MOST_PREFIXES = 4
SHORTEST_PREFIX = 3

# About 30 words, and in scripts that are written without blanks, where a word is a character, about two lines.
SNIPPET_WORDS = 30
SNIPPET_CHARS = 120
# Marking 200,000 characters takes about 20 ms; a match further on is found, but not shown.
_MARKED = 200_000

_QUOTES = str.maketrans(dict.fromkeys("“”„‟«»＂", '"'))
_TAIL = re.compile(r"[^\s\w]{0,5}")
_CLAUSE = re.compile(r'(?P<minus>-?)(?P<title>(?i:title):)?(?:"(?P<phrase>[^"]*)"?|(?P<word>[^\s"]+))')


@dataclass(frozen=True, slots=True)
class Clause:
    """Terms that stand in a row. With `prefix` the last one is the beginning of a word, before stemming. `title`: they
    stand in the title, where beginnings are those of stems."""

    terms: tuple[str, ...]
    prefix: bool = False
    excluded: bool = False
    title: bool = False


@dataclass(frozen=True, slots=True)
class Typed:
    """The clauses of what was typed. `hopeless`: something was typed, but no word; it finds nothing."""

    clauses: tuple[Clause, ...]
    hopeless: bool

    @property
    def required(self) -> tuple[Clause, ...]:
        return tuple(clause for clause in self.clauses if not clause.excluded)

    @property
    def excluded(self) -> tuple[Clause, ...]:
        return tuple(clause for clause in self.clauses if clause.excluded)


@dataclass(frozen=True, slots=True)
class Snippet:
    """About 30 words of a text around what was asked for; `marks` are the spans in it that match."""

    text: str
    marks: tuple[tuple[int, int], ...]


def read(text: str) -> Typed:
    """Understand what was typed; at most 500 characters and 32 clauses of it."""
    text = text[:LONGEST_TYPED].translate(_QUOTES)
    clauses = [clause for match in _CLAUSE.finditer(text) if (clause := _clause(match))]
    return Typed(tuple(dict.fromkeys(clauses[:MOST_CLAUSES])), hopeless=bool(text.strip()) and not clauses)


def refused(text: str) -> str:
    """Why a text is more than can be asked, for people; empty where it is not. `read` cuts it."""
    if len(text) > LONGEST_TYPED:
        return f"A search takes at most {LONGEST_TYPED} characters; this one has {len(text):,d}."
    parts = sum(1 for _ in _CLAUSE.finditer(text.translate(_QUOTES)))
    if parts > MOST_CLAUSES:
        return f"A search takes at most {MOST_CLAUSES} words and phrases; this one has {parts}."
    prefixes = [clause.terms[-1] for clause in read(text).clauses if clause.prefix]
    if len(prefixes) > MOST_PREFIXES:
        return f"A search takes at most {MOST_PREFIXES} words with a *; this one has {len(prefixes)}."
    if short := [term for term in prefixes if term[0].isalnum() and term.isascii() and len(term) < SHORTEST_PREFIX]:
        return f"Write at least {SHORTEST_PREFIX} letters before a *: {short[0]}* is the beginning of too many words."
    return ""


def marks(text: str, clauses: Iterable[Clause]) -> tuple[tuple[int, int], ...]:
    """Where clauses stand in a text, as spans that do not overlap; of a long one in its first 200,000 characters."""
    found = Words(text[:_MARKED])
    return _merged((found[first].start, found[last].end) for first, last, _ in _matches(found, tuple(clauses)))


def _clause(match: re.Match[str]) -> Clause | None:
    typed = match["word"] if match["phrase"] is None else match["phrase"]
    prefix = match["word"] is not None and typed.endswith("*")
    found = list(words(typed))
    terms = [term for word in found for term in word.terms]
    if not terms:
        return None
    if prefix:
        terms[-1] = found[-1].forms[-1]
    return Clause(tuple(terms), prefix, excluded=bool(match["minus"]), title=bool(match["title"]))


def snippet(text: str, clauses: Iterable[Clause]) -> Snippet:
    """The part of a text where most of the clauses stand, or its beginning."""
    found = Words(text[:_MARKED])
    matches = _matches(found, tuple(clauses))
    first, last = _window(found, matches)
    return _cut(text, found, first, last, matches)


def _matches(found: Words, clauses: Sequence[Clause]) -> list[tuple[int, int, int]]:
    """(first word, last word, number of the clause) of every match, in order."""
    beginnings = [clause.terms[0] for clause in clauses if _is_beginning(clause)]
    stems = [clause.terms[0] for clause in clauses if not _is_beginning(clause)]
    matches = []
    for first in found.having(stems, beginnings):
        word = found[first]
        for at, (stem, form) in enumerate(zip(word.terms, word.forms, strict=True)):
            for number, clause in enumerate(clauses):
                if form.startswith(clause.terms[0]) if _is_beginning(clause) else stem == clause.terms[0]:
                    last = _end(found, first, at, clause)
                    if last is not None:
                        matches.append((first, last, number))
    return sorted(matches)


def _is_beginning(clause: Clause) -> bool:
    return clause.prefix and len(clause.terms) == 1


def _end(found: Words, first: int, at: int, clause: Clause) -> int | None:
    """The last word of a match that begins with the term at `at` of the word at `first`; None where it is none."""
    last, word = first, found[first]
    for number, term in enumerate(clause.terms[1:], 2):
        at += 1
        if at == len(word.terms):
            if last + 1 == len(found):
                return None
            last, at = last + 1, 0
            word = found[last]
        fits = (
            word.forms[at].startswith(term) if clause.prefix and number == len(clause.terms) else word.terms[at] == term
        )
        if not fits:
            return None
    return last


def _window(found: Sequence[Word], matches: Sequence[tuple[int, int, int]]) -> tuple[int, int]:
    """The first and the last word to show (last < first: none)."""
    best, best_first, best_last = (0, 0), 0, -1
    for place, (first, _, _) in enumerate(matches):
        inside = []
        for match in matches[place : place + SNIPPET_WORDS]:
            if match[1] - first >= SNIPPET_WORDS:
                break
            inside.append(match)
        worth = len({number for _, _, number in inside}), len(inside)
        if inside and worth > best:
            best, best_first, best_last = worth, first, max(last for _, last, _ in inside)
    return _widened(found, best_first, best_last)


def _widened(found: Sequence[Word], first: int, last: int) -> tuple[int, int]:
    """Words on both sides until it is as long as a snippet should be; twice as many behind as before."""
    turn = 0
    while len(found) > last + 1 - first and not _enough(found, first, last):
        if first > 0 and (turn % 3 == 2 or last + 1 == len(found)):
            first -= 1
        elif last + 1 < len(found):
            last += 1
        turn += 1
    return first, last


def _enough(found: Sequence[Word], first: int, last: int) -> bool:
    return last + 1 - first >= SNIPPET_WORDS and found[last].end - found[first].start >= SNIPPET_CHARS


def _cut(text: str, found: Sequence[Word], first: int, last: int, matches: Sequence[tuple[int, int, int]]) -> Snippet:
    """The words from first to last with what stands between them, white space squeezed; and the marks."""
    shown = found[first : last + 1]
    if not shown:
        return Snippet(" ".join(text[:SNIPPET_CHARS].split()), ())
    start = shown[0].start if first else 0
    out, places = "… " if first else "", {}
    for number, word in enumerate(shown, first):
        out += _squeezed(text[start : word.start])
        places[number] = len(out), len(out) + word.end - word.start
        out += text[word.start : word.end]
        start = word.end
    tail = _TAIL.match(text, start)
    out += (tail[0] if tail else "") + (" …" if last + 1 < len(found) else "")
    return Snippet(out, _merged((places[a][0], places[b][1]) for a, b, _ in matches if first <= a and b <= last))


def _squeezed(gap: str) -> str:
    return re.sub(r"\s+", " ", gap)


def _merged(marks: Iterable[tuple[int, int]]) -> tuple[tuple[int, int], ...]:
    spans: list[tuple[int, int]] = []
    for start, end in sorted(marks):
        if spans and start <= spans[-1][1]:
            spans[-1] = spans[-1][0], max(end, spans[-1][1])
        else:
            spans.append((start, end))
    return tuple(spans)
