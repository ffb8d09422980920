"""Word as written → what the rules of a language know of it: one hash look-up a word."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

CACHE = 200_000  # words that a lexicon remembers before it starts anew, about 30 MB
LONGEST_WORD = 60  # code points; longer tokens are no words
HEAD = 3  # letters by which words with `*` are looked up; the shortest of them have one less
ELIDING = frozenset({"fr", "it", "ca"})  # an apostrophe ends a word there: l'armée; elsewhere it stands inside one

_WORD = re.compile(r"[^\W_]++(?:['’ʼ][^\W_]++)*+")
_ELIDED_WORD = re.compile(r"[^\W_]++")


@dataclass(frozen=True, slots=True)
class Phrase:
    rest: tuple[int, ...]  # ids of the patterns that must follow the first two words
    mask: int
    excludes: bool  # it only looks like a word of the rules: what it covers does not fill the slots of the mask


@dataclass(frozen=True, slots=True)
class Known:
    """What a lexicon knows of a word: the slots that it fills and those that it is excluded from, the phrases that it
    begins, by the pattern of their second word, and the patterns it fits."""

    mask: int
    excluded: int
    phrases: dict[int, tuple[Phrase, ...]]
    fits: tuple[int, ...]


class Lexicon(dict[str, "Known | None"]):
    """Word as written → what is known of it, of one language. Finds it at the first look-up and remembers."""

    def __init__(self, language: str) -> None:
        super().__init__()
        self.token = _ELIDED_WORD if language in ELIDING else _WORD
        self.exact: dict[str, list[int]] = {}
        self.cased: dict[str, list[int]] = {}
        self.prefixes: dict[str, list[tuple[str, int]]] = {}  # by their first HEAD letters
        self.suffixes: list[tuple[str, int]] = []
        self.ends: tuple[str, ...] = ()
        self.parts: list[tuple[str, int]] = []
        self.digits: list[int] = []
        self.ids: dict[str, int] = {}
        self.masks: dict[int, int] = {}
        self.phrases: dict[int, dict[tuple[tuple[int, ...], bool], int]] = {}
        self.begun: dict[int, tuple[int, dict[int, tuple[Phrase, ...]]]] = {}

    def add(self, term: str, mask: int) -> None:
        """Let the term (a word or phrase of patterns) fill the slots of the mask; one with `!` keeps what it covers
        from filling them."""
        excludes = term.startswith("!")
        term = term.removeprefix("!")
        if self.token is _ELIDED_WORD:
            term = term.replace("'", " ")
        first, *rest = (self._pattern(word.removesuffix("'s")) for word in term.split())  # as in texts: see _find
        if rest or excludes:
            phrases = self.phrases.setdefault(first, {})
            key = (tuple(rest), excludes)
            phrases[key] = phrases.get(key, 0) | mask
        else:
            self.masks[first] = self.masks.get(first, 0) | mask

    def _pattern(self, word: str) -> int:
        if word in self.ids:
            return self.ids[word]
        number = self.ids[word] = len(self.ids)
        if word == "#":
            self.digits.append(number)
            return number
        for form in _forms(word):
            bare = form.strip("*")
            if form.startswith("*"):
                (self.parts if form.endswith("*") else self.suffixes).append((bare.lower(), number))
                self.ends = tuple(end for end, _ in self.suffixes)
            elif form.endswith("*"):
                self.prefixes.setdefault(bare[:HEAD].lower(), []).append((bare.lower(), number))
            elif bare.isupper():
                self.cased.setdefault(bare, []).append(number)
            else:
                self.exact.setdefault(bare.lower(), []).append(number)
        return number

    def __missing__(self, word: str) -> Known | None:
        if len(word) > LONGEST_WORD:
            return None
        if len(self) >= CACHE:
            self.clear()
        known = self[word] = self._find(word)
        return known

    def _find(self, word: str) -> Known | None:
        plain = word.replace("’", "'").replace("ʼ", "'")
        plain = plain[:-2] if plain.endswith(("'s", "'S")) else plain
        fits = {*self.cased.get(plain, ()), *(self.digits if plain[0].isdigit() else ())}
        plain = plain.lower()
        fits.update(self.exact.get(plain, ()))
        for head in (plain[:HEAD], plain[: HEAD - 1]):
            for start, number in self.prefixes.get(head, ()):
                if plain.startswith(start):
                    fits.add(number)
        if plain.endswith(self.ends):
            fits.update(number for end, number in self.suffixes if plain.endswith(end))
        if self.parts:
            fits.update(number for part, number in self.parts if part in plain)
        if not fits:
            return None
        mask = excluded = 0
        phrases: dict[int, tuple[Phrase, ...]] = {}
        for number in fits:
            mask |= self.masks.get(number, 0)
            slots, begun = self._begun(number)
            excluded |= slots
            if not phrases:
                phrases = begun
            elif begun:
                phrases = {key: (*phrases.get(key, ()), *begun.get(key, ())) for key in (*phrases, *begun)}
        return Known(mask, excluded, phrases, tuple(fits))

    def _begun(self, number: int) -> tuple[int, dict[int, tuple[Phrase, ...]]]:
        """The slots that a word of this pattern is excluded from, and the phrases that it begins."""
        if number not in self.begun:
            excluded = 0
            found: dict[int, tuple[Phrase, ...]] = {}
            for (rest, excludes), slots in self.phrases.get(number, {}).items():
                if rest:
                    found[rest[0]] = (*found.get(rest[0], ()), Phrase(rest[1:], slots, excludes))
                else:
                    excluded |= slots
            self.begun[number] = excluded, found
        return self.begun[number]

    def hits(self, words: Sequence[str]) -> list[tuple[int, int, int]]:
        """(first word, one past the last, slots) of all that stands in these words, by first word."""
        row = [self[word] for word in words]
        found: list[tuple[int, int, int]] = []
        excluded: list[tuple[int, int, int]] = []
        last = len(row) - 1
        for index, known in enumerate(row):
            if known is None:
                continue
            if known.mask:
                found.append((index, index + 1, known.mask))
            if known.excluded:
                excluded.append((index, index + 1, known.excluded))
            if known.phrases and index < last and (second := row[index + 1]) is not None:
                for number in second.fits:
                    for phrase in known.phrases.get(number, ()):
                        if not phrase.rest or _follows(row, index + 2, phrase.rest):
                            end = index + 2 + len(phrase.rest)
                            (excluded if phrase.excludes else found).append((index, end, phrase.mask))
        return _without(found, excluded) if excluded else found


def _without(hits: list[tuple[int, int, int]], excluded: list[tuple[int, int, int]]) -> list[tuple[int, int, int]]:
    """The hits, where an exclusion covers one of their words without the slots that it excludes."""
    removed: dict[int, int] = {}
    for start, end, mask in excluded:
        for word in range(start, end):
            removed[word] = removed.get(word, 0) | mask
    kept = []
    for start, end, slots in hits:
        for word in range(start, end):
            slots &= ~removed.get(word, 0)
        if slots:
            kept.append((start, end, slots))
    return kept


def _follows(row: Sequence[Known | None], at: int, patterns: tuple[int, ...]) -> bool:
    if at + len(patterns) > len(row):
        return False
    for offset, pattern in enumerate(patterns):
        known = row[at + offset]
        if known is None or pattern not in known.fits:
            return False
    return True


def _forms(word: str) -> tuple[str, ...]:
    """The forms that a word of the rules file stands for: itself, or with `~` its regular English ones."""
    if not word.endswith("~"):
        return (word,)
    stem = word[:-1]
    if stem.endswith("e"):
        return (stem, stem + "s", stem + "d", stem[:-1] + "ing")
    if stem.endswith("y") and stem[-2:-1] not in set("aeiou"):
        return (stem, stem[:-1] + "ies", stem[:-1] + "ied", stem + "ing")
    if stem.endswith(("s", "x", "z", "ch", "sh")):
        return (stem, stem + "es", stem + "ed", stem + "ing")
    doubled = stem + stem[-1:]
    return (stem, stem + "s", stem + "ed", stem + "ing", doubled + "ed", doubled + "ing")
