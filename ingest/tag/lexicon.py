"""Word as written → what the rules of a language know of it: one hash look-up a word."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

CACHE = 200_000  # words that a lexicon remembers before it starts anew, about 30 MB
LONGEST_WORD = 60  # code points; longer tokens are no words
ELIDING = frozenset({"fr", "it", "ca"})  # an apostrophe ends a word there: l'armée; elsewhere it stands inside one

_WORD = re.compile(r"[^\W_]+(?:['’ʼ][^\W_]+)*")
_ELIDED_WORD = re.compile(r"[^\W_]+")


@dataclass(frozen=True, slots=True)
class Phrase:
    rest: tuple[int, ...]  # ids of the patterns that must follow
    mask: int
    excludes: bool  # it only looks like a word of the rules: what it covers does not fill the slots of the mask


@dataclass(frozen=True, slots=True)
class Known:
    """What a lexicon knows of a word: the slots that it fills, the phrases that it begins, the patterns it fits."""

    mask: int
    phrases: tuple[Phrase, ...]
    fits: frozenset[int]


class Lexicon(dict[str, "Known | None"]):
    """Word as written → what is known of it, of one language. Finds it at the first look-up and remembers."""

    def __init__(self, language: str) -> None:
        super().__init__()
        self.token = _ELIDED_WORD if language in ELIDING else _WORD
        self.exact: dict[str, list[int]] = {}
        self.cased: dict[str, list[int]] = {}
        self.prefixes: dict[str, list[int]] = {}
        self.suffixes: dict[str, list[int]] = {}
        self.parts: dict[str, list[int]] = {}
        self.digits: list[int] = []
        self.ids: dict[str, int] = {}
        self.masks: dict[int, int] = {}
        self.phrases: dict[int, dict[tuple[tuple[int, ...], bool], int]] = {}

    def add(self, term: str, mask: int) -> None:
        """Let the term (a word or phrase of patterns) fill the slots of the mask; one with `!` keeps what it covers
        from filling them."""
        excludes = term.startswith("!")
        term = term.removeprefix("!")
        if self.token is _ELIDED_WORD:
            term = term.replace("'", " ")
        first, *rest = (self._pattern(word) for word in term.split())
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
            if form.startswith("*") and form.endswith("*"):
                table = self.parts
            elif form.endswith("*"):
                table = self.prefixes
            elif form.startswith("*"):
                table = self.suffixes
            else:
                table = self.cased if bare.isupper() else self.exact
            table.setdefault(bare if table is self.cased else bare.lower(), []).append(number)
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
        fits = [*self.cased.get(plain, ()), *(self.digits if plain[0].isdigit() else ())]
        plain = plain.lower()
        fits += self.exact.get(plain, ())
        for cut in range(1, len(plain) + 1):
            fits += self.prefixes.get(plain[:cut], ())
            fits += self.suffixes.get(plain[-cut:], ())
        for part, numbers in self.parts.items():
            if part in plain:
                fits += numbers
        if not fits:
            return None
        mask = 0
        phrases: list[Phrase] = []
        for number in fits:
            mask |= self.masks.get(number, 0)
            phrases += (Phrase(rest, m, excludes) for (rest, excludes), m in self.phrases.get(number, {}).items())
        return Known(mask, tuple(phrases), frozenset(fits))

    def hits(self, words: Sequence[str]) -> list[tuple[int, int, int]]:
        """(first word, one past the last, slots) of all that stands in these words, by first word."""
        row = [self[word] for word in words]
        found: list[tuple[int, int, int]] = []
        excluded: list[tuple[int, int, int]] = []
        for index, known in enumerate(row):
            if known is None:
                continue
            if known.mask:
                found.append((index, index + 1, known.mask))
            for phrase in known.phrases:
                end = index + 1 + len(phrase.rest)
                if end <= len(row) and _follows(row, index + 1, phrase.rest):
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
