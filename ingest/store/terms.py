"""What a word is: the same for every store, for indexing, for asking and for marking.

Words are those of UAX #29, lower case, accents folded, with English stems. Scripts that are written without blanks
(Chinese, Japanese, Thai …) and Korean give one term a character: asked for in a row, they find any part of a text.
"U.S." is the term `u.s`, "78,000" is `78,000`, "Kyiv's" and "l'Ukraine" lose what hangs on them.
"""

from __future__ import annotations

import re
import threading
import unicodedata
from bisect import bisect_right
from collections.abc import Collection, Iterator, Sequence
from functools import cache
from itertools import accumulate, chain
from operator import attrgetter, itemgetter
from typing import NamedTuple, TypeVar, cast, overload

import apsw
import apsw.unicode

V = TypeVar("V")

# Longer words are cut: the limit of Elasticsearch's standard tokenizer, and far below FTS5's of 32 KiB.
LONGEST = 255
# A cache of words keeps about 200 bytes for each: 20 MB. English news uses about 50,000 different words a day.
_REMEMBERED = 100_000
_LONGEST_PIECE = 30  # characters; longer ones, as whole sentences without blanks, do not come again

_SINGLE = re.compile(
    "([\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3005-\u3007\u3040-\u30ff\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff"
    "\uac00-\ud7a3\uf900-\ufaff\U00020000-\U0003ffff])"
)
_first, _second = itemgetter(0), itemgetter(1)
_ELISION = re.compile(r"\A(?:[cdjlmnst]|qu|jusqu|lorsqu|puisqu|quoqu|un|all|dall|dell|nell|sull|coll|gl)'(?=\w{2})")
_LETTERS = str.maketrans(
    {
        "æ": "ae",
        "œ": "oe",
        "ø": "o",
        "đ": "d",
        "ð": "d",
        "þ": "th",
        "ł": "l",
        "ħ": "h",
        "ı": "i",
        "‘": "'",
        "’": "'",
        "ʼ": "'",
        "ـ": None,  # tatweel only stretches an Arabic word
    }
)


class Word(NamedTuple):
    """A word where it stands, in code points, and the terms that it gives (mostly one)."""

    start: int
    end: int
    terms: tuple[str, ...]
    forms: tuple[str, ...]


def words(text: str) -> Iterator[Word]:
    """The words of a text, in order. `forms` are its terms before they were stemmed."""
    pieces, at = _placed(), 0
    for piece in text.replace("\n", " ").split(" "):
        for start, end, stems, forms in pieces[piece].words:
            yield Word(at + start, at + end, stems, forms)
        at += len(piece) + 1


class Words(Sequence[Word]):
    """The words of a text, in order, each made when it is asked for: to find some of them takes a tenth of the time
    that making all of them does."""

    def __init__(self, text: str) -> None:
        pieces, parts = _placed(), text.replace("\n", " ").split(" ")
        self._pieces = [pieces[part] for part in parts]
        self._firsts = list(accumulate((len(piece.words) for piece in self._pieces), initial=0))
        self._starts = list(accumulate(map(len, parts), initial=0))  # blanks not counted

    def __len__(self) -> int:
        return self._firsts[-1]

    @overload
    def __getitem__(self, place: int) -> Word: ...
    @overload
    def __getitem__(self, place: slice) -> list[Word]: ...
    def __getitem__(self, place: int | slice) -> Word | list[Word]:
        if isinstance(place, slice):
            return [self._word(each) for each in range(*place.indices(len(self)))]
        return self._word(range(len(self))[place])

    def _word(self, place: int) -> Word:
        number = bisect_right(self._firsts, place) - 1
        start, end, stems, forms = self._pieces[number].words[place - self._firsts[number]]
        at = self._starts[number] + number
        return Word(at + start, at + end, stems, forms)

    def having(self, stems: Collection[str], beginnings: Sequence[str] = ()) -> Iterator[int]:
        """The places of words with one of these stems, or with a form that begins so; some others may be among them."""
        wanted, begun = set(stems), tuple(beginnings)
        for number, piece in enumerate(self._pieces):
            if not wanted.isdisjoint(piece.terms) or (begun and any(form.startswith(begun) for form in piece.forms)):
                yield from range(self._firsts[number], self._firsts[number + 1])


def indexed(text: str) -> tuple[str, set[str]]:
    """The terms of a text with blanks between them, and the forms that stemming changed.

    UAX #29 joins nothing over a blank or a line's end, so what stands between two is looked up as a whole: finding
    words in it anew took two thirds of the time of publishing.
    """
    found = list(map(_pieces().__getitem__, text.replace("\n", " ").split(" ")))
    return " ".join(filter(None, map(_first, found))), set().union(*filter(None, map(_second, found)))


def folded(word: str) -> str:
    """Lower case without accents, compatibility forms made plain; only scripts whose marks are accents lose them."""
    if word.isascii():
        return word.lower()
    plain = unicodedata.normalize("NFKC", word).casefold()
    return "".join(_unmarked(char) for char in plain).translate(_LETTERS)


@cache
def _unmarked(char: str) -> str:
    # Latin, Greek, Cyrillic, Hebrew and Arabic; in Thai or Devanagari a mark is a vowel, in Japanese a consonant.
    if ord(char) < 0x700 or 0x1E00 <= ord(char) < 0x2000:
        return "".join(part for part in unicodedata.normalize("NFD", char) if not unicodedata.combining(part))
    return char


def _split(word: str) -> tuple[str, ...]:
    """The bare forms in what UAX #29 calls a word."""
    parts = _SINGLE.sub(r" \1 ", folded(word)).split()
    return tuple(bare for bare in (_bare(part)[:LONGEST] for part in parts) if bare)


def _bare(form: str) -> str:
    if "'" not in form:
        return form
    return _ELISION.sub("", form.removesuffix("'s"))


class _Remembered(dict[str, V]):
    """What was found for words or pieces as written; when there are too many, they are forgotten all at once."""

    def keep(self, written: str, found: V) -> V:
        if len(self) >= _REMEMBERED:
            self.clear()
        self[written] = found
        return found


class _Terms(_Remembered[tuple[str, str]]):
    """Words as written → their terms and their forms, each joined by blanks."""

    def __missing__(self, word: str) -> tuple[str, str]:
        forms = _split(word)
        return self.keep(word, (" ".join(map(_stem, forms)), " ".join(forms)))


@cache
def _terms() -> _Terms:
    return _Terms()


class _Pieces(_Remembered[tuple[str, tuple[str, ...]]]):
    """What stands between two blanks → its terms, joined by blanks, and the forms that stemming changed."""

    def __missing__(self, piece: str) -> tuple[str, tuple[str, ...]]:
        terms = _terms()
        found = [terms[word] for word in apsw.unicode.word_iter(piece)]
        changed = tuple(forms for stems, forms in found if forms != stems)
        pair = " ".join([stems for stems, _ in found if stems]), changed
        return self.keep(piece, pair) if len(piece) <= _LONGEST_PIECE else pair


@cache
def _pieces() -> _Pieces:
    return _Pieces()


class _Piece(NamedTuple):
    """The words of what stands between two blanks, where they stand in it; and what they give, all together."""

    words: tuple[Word, ...]
    terms: tuple[str, ...]
    forms: tuple[str, ...]


class _Placed(_Remembered[_Piece]):
    """What stands between two blanks → its words."""

    def __missing__(self, piece: str) -> _Piece:
        known = _terms()
        # its annotation forgets the offsets
        spans = cast(Iterator[tuple[int, int, str]], apsw.unicode.word_iter_with_offsets(piece))
        told = ((start, end, *known[word]) for start, end, word in spans)
        words = tuple(
            Word(start, end, tuple(stems.split(" ")), tuple(forms.split(" ")))
            for start, end, stems, forms in told
            if stems
        )
        terms, forms = (tuple(chain.from_iterable(map(attrgetter(name), words))) for name in ("terms", "forms"))
        found = _Piece(words, terms, forms)
        return self.keep(piece, found) if len(piece) <= _LONGEST_PIECE else found


@cache
def _placed() -> _Placed:
    return _Placed()


# SQLite's own Porter stemmer, word by word; a connection is used by one thread at a time.
_stemming = threading.Lock()


@cache
def _porter() -> tuple[apsw.Connection, apsw.FTS5Tokenizer]:
    connection = apsw.Connection(":memory:")
    return connection, connection.fts5_tokenizer("porter", ["ascii"])


def _stem(form: str) -> str:
    if not (form.isascii() and form.isalnum()):
        return form  # "u.s" is no plural
    with _stemming:
        stems = _porter()[1](form.encode(), apsw.FTS5_TOKENIZE_DOCUMENT, None, include_offsets=False)
    return _with_y(form, " ".join(*cast(list[tuple[str]], stems)) if stems else form)


def _with_y(form: str, stem: str) -> str:
    """Porter makes "deploi" of "deploy" but "deploy" of "deployment"; his later rules (Porter 2) leave y after a
    vowel."""
    if stem[-1] == "i" and form[len(stem) - 1] == "y" and stem[-2:-1] in ("a", "e", "o", "u"):
        return stem[:-1] + "y"
    return stem
