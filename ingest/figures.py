"""The numbers that texts state, and which of them differ between two tellings. Pure.

Digits are read in every script, with whatever stands between thousands or before decimals, and with the word for their
scale in seven languages ("12 Millionen", "3 тыс."); numbers all in words ("twelve", "two hundred and six") in English
alone. "78,000", "78.000", "78 000" and "78000" are one number, so are "3.5" and "3,50", "24 May" and "May 24th", "$3bn"
and "$3 billion", "10-15" and "10 to 15".
"""

from __future__ import annotations

import re
import unicodedata
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import cache
from itertools import islice, takewhile

from ingest import dates, scales

LONGEST = 200_000  # characters of a text that are read
MOST = 2_000  # numbers of a text: tables of results, not stories, have more
_AROUND = 6  # words on each side by which the places of two numbers are compared
_LEAST = 3  # of these that agree in one place
_NEAREST = 8  # places with the same neighbours that are tried in each direction; only tables have more

_BLANKS = " \u00a0\u2009\u202f'’٬"  # between thousands, and nowhere else in a number
_PLAIN = rf"(?:\d{{1,3}}(?:[{_BLANKS}]\d{{3}})+(?!\d)(?:[.,٫]\d+)?|\d+(?:[.,:/٫]\d+)*)"
_TO = r"(?:\s?[-‐‑–—−]\s?|\s(?:to|bis|à|a|до)\s)"
NUMBER = rf"{_PLAIN}(?:\s?[%٪])?(?:{_TO}{_PLAIN}(?:\s?[%٪])?)*"

_ORDINAL = r"(?:st|nd|rd|th|er|[ºª°])"
_SCALE = r"(?:thousand|million|billion|trillion)"
_NUMBERED = rf"(?P<money>[$€£¥₹₽₴₩₺₪])?\s?(?P<number>(?:(?<![\w)])[-−](?=\d))?{NUMBER})"
_ONES = "one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen"
_SPOKEN = {name: n for n, name in enumerate(f"{_ONES} eighteen nineteen".split(), 1)}
_TENS = {name: 10 * n for n, name in enumerate("twenty thirty forty fifty sixty seventy eighty ninety".split(), 2)}  # noqa: SIM905
_BELOW_HUNDRED = rf"(?:(?:{'|'.join(_TENS)})(?:[- ](?:{_ONES.replace(' ', '|')}))?|{'|'.join(_SPOKEN)})"
_BELOW_THOUSAND = rf"(?:(?:an?|{_BELOW_HUNDRED}) hundred(?:(?: and)? {_BELOW_HUNDRED})?|{_BELOW_HUNDRED})"
_IN_WORDS = rf"(?P<spoken>\b(?:a|{_BELOW_THOUSAND}) {_SCALE}(?:,? (?:and )?{_BELOW_THOUSAND})?\b|\b{_BELOW_THOUSAND}\b)"
_CHARACTER = "\u0e00-\u0eff\u2e80-\ua4cf\uac00-\ud7af\uf900-\ufaff"  # scripts without blanks between words
_WORD = rf"(?P<word>[{_CHARACTER}]|[^\W\d_{_CHARACTER}]+|\n+)"
_UNSURE_MONTHS = frozenset(("may", "march"))  # words of English as well, where they have a small letter


@dataclass(frozen=True, slots=True)
class Figure:
    """A number as it is written. `names` are all that it is certainly called; `of` is its currency or month, if any is
    said; of a `weak` one ("one" is often no number) nothing is told unless another number stands in its place."""

    text: str
    names: frozenset[object]
    of: object = None
    weak: bool = False
    before: tuple[str, ...] = ()  # words, the nearest first
    after: tuple[str, ...] = ()

    def same(self, other: Figure) -> bool:
        """Whether the two certainly say the same."""
        return not self.names.isdisjoint(other.names) and (None in (self.of, other.of) or self.of == other.of)


@dataclass(frozen=True, slots=True)
class Differences:
    """`changed`: what the left says and what the right says in its place, in the order of the left. `left` and `right`
    are numbers that only that side states, and that stand in no other's place. Each once, as written."""

    changed: tuple[tuple[str, str], ...] = ()
    left: tuple[str, ...] = ()
    right: tuple[str, ...] = ()


def read(title: str | None, text: str, language: str | None = None) -> tuple[Figure, ...]:
    """The numbers of a story in their order, with the scale words of its `language` (ISO 639-1)."""
    told = f"{title or ''}\n{text[:LONGEST]}\n"
    known = language if language in scales.LANGUAGES else None
    tokens = list(_tokens(known).finditer(told))
    powers = scales.powers(known)
    words = ["#" if match["word"] is None else match["word"].casefold() for match in tokens]
    words = ["¶", *("¶" if word.isspace() else word for word in words), "¶"]
    found = (
        _figure(match, told, powers, words[max(0, k - _AROUND + 1) : k + 1][::-1], words[k + 2 : k + 2 + _AROUND])
        for k, match in enumerate(tokens)
        if match["word"] is None
    )
    return tuple(islice(found, MOST))


@cache
def _tokens(language: str | None) -> re.Pattern[str]:
    longest_first = sorted({*scales.powers(language)} - {"m", "k"}, key=lambda word: (-len(word), word))
    words = "|".join(longest_first).replace("_", r"\s")
    scale = rf"(?P<scale>(?:bn|mn|tn|m|k)\b|[\s-]?(?:{words})(?!\w))"
    signed = rf"{_NUMBERED}(?:{_ORDINAL}(?![^\W\d_])|{scale})?"
    return re.compile("|".join([signed, *([_IN_WORDS] if language == "en" else []), _WORD]), re.IGNORECASE)


def _figure(
    match: re.Match[str], told: str, powers: Mapping[str, int], before: Sequence[str], after: Sequence[str]
) -> Figure:
    groups = match.groupdict()
    around = tuple(before), tuple(after)
    if groups.get("spoken"):
        value = _spoken(match[0].casefold())
        return Figure(match[0], frozenset([value]), None, value == 1, *around)
    names, scale = _names(match["number"]), re.sub(r"[\s-]", "_", (match["scale"] or "").casefold()).strip("_")
    if scale:
        scaled = frozenset(_scaled(names, 10 ** powers[scale]))
        names = scaled | (names if scale in ("m", "k") or not scaled else frozenset())  # "100m" may be metres
    start, end, month = match.start(), match.end(), None
    if not match["money"] and not scale and re.fullmatch(r"\d{1,2}", match["number"]):
        start, end, month = _with_month(told, start, end)
    return Figure(told[start:end].strip(), names, match["money"] or month, False, *around)


def _scaled(names: Iterable[object], scale: int) -> Iterator[object]:
    """What a number is called with its scale, which holds for both ends of a range: "2-3 million"."""
    for name in names:
        if isinstance(name, Decimal):
            yield name * scale
        elif isinstance(name, tuple) and name[0] == "from":
            yield "from", *(end * scale if isinstance(end, Decimal) else end for end in name[1:])


_MONTH_BEHIND = re.compile(r"\.?\s(?:de\s|of\s)?([^\W\d_]{3,})\.?")
_MONTH_BEFORE = re.compile(r"([^\W\d_]{3,})\.?\s$")


def _with_month(told: str, start: int, end: int) -> tuple[int, int, int | None]:
    """Where a day begins and ends with the name of its month, and the month."""
    if (behind := _MONTH_BEHIND.match(told, end)) and (month := _month(behind[1])):
        return start, behind.end(1), month
    if (ahead := _MONTH_BEFORE.search(told[max(0, start - 20) : start])) and (month := _month(ahead[1])):
        return start - len(ahead[0]), end, month
    return start, end, None


def _month(name: str) -> int | None:
    if len(name) == 3 and not name[0].isupper():
        return None if name != "mai" else 5
    return None if name in _UNSURE_MONTHS else dates.month(name)


def _names(number: str) -> frozenset[object]:
    """All that a number is called for certain: its value, and its digits by the places where they are parted."""
    written = "".join(str(unicodedata.decimal(char)) if char.isdecimal() else char for char in number)
    sign = -1 if written[0] in "-−" else 1
    parts = [part.strip(" \u00a0%٪") for part in re.split(_TO, written.lstrip("-−"))]
    if len(parts) == 1:
        value, places = _value(parts[0][:40])
        return frozenset(name for name in (None if value is None else sign * value, places) if name is not None)
    if len(parts) == 2:
        return frozenset([("from", *(value if (value := _value(part)[0]) is not None else part for part in parts))])
    return frozenset([("places", *(part.lstrip("0") for part in parts))])


def _value(written: str) -> tuple[Decimal | None, tuple[str, ...] | None]:
    """The value (None of a date, a time), and the digits by places (None where they are not parted)."""
    groups = re.split(r"\D", written)
    signs = [("'" if sign in _BLANKS else "." if sign == "٫" else sign) for sign in re.findall(r"\D", written)]
    if not signs:
        return Decimal(written), None
    places = "places", groups[0].lstrip("0"), *(g.lstrip("0") if len(groups) == 3 else g for g in groups[1:])
    if {":", "/"} & set(signs):
        return None, places
    if signs[-1] != "'" and (len(set(signs)) > 1 or not _thousands(groups, signs)):
        if len(signs) > 1 and not _thousands(groups[:-1], signs[:-1]):
            return None, places
        return Decimal(f"{''.join(groups[:-1])}.{groups[-1]}"), places
    return Decimal("".join(groups)), places


def _thousands(groups: Sequence[str], signs: Sequence[str]) -> bool:
    """Whether digits are grouped by thousands, or as in India by two above them."""
    if len(set(signs)) != 1 or len(groups[-1]) != 3 or len(groups[0]) > 3 or groups[0].startswith("0"):
        return False
    widths = {len(group) for group in groups[1:-1]}
    return widths <= {3} or (widths == {2} and signs[0] == ",")


def _spoken(words: str) -> Decimal:
    """A number in English words."""
    total = part = 0
    for word in re.findall(r"[a-z]+", words):
        if word in scales.ENGLISH:
            total, part = total + (part or 1) * 10 ** scales.ENGLISH[word], 0
        elif word == "hundred":
            part = 100 * (part or 1)
        else:
            part += _SPOKEN.get(word, 0) + _TENS.get(word, 0)
    return Decimal(total + part)


def differences(left: Sequence[Figure], right: Sequence[Figure]) -> Differences:
    """Which numbers differ. Two stand in the same place where the words around them are the same; a number that only
    moved, or is stated once more or less, differs from nothing. Linear in the numbers."""
    changed, ours, theirs = [], set(range(len(left))), set(range(len(right)))
    stated_left, stated_right = _Stated(left), _Stated(right)
    for i, j in _placed(left, right):
        ours.discard(i)
        theirs.discard(j)
        one, other = left[i], right[j]
        moved = stated_right.has(one) and stated_left.has(other) and _agreeing(one, other) < _LEAST
        if not moved and not one.same(other):
            changed.append((i, j))
    pairs = [(left[i], right[j]) for i, j in sorted(changed)]
    gone = [left[i] for i in sorted(ours)]
    new = [right[j] for j in sorted(theirs)]
    return Differences(
        tuple(dict.fromkeys((one.text, other.text) for one, other in pairs)),
        tuple(_stated_by_one(gone, _Stated((*right, *(one for one, _ in pairs))))),
        tuple(_stated_by_one(new, _Stated((*left, *(other for _, other in pairs))))),
    )


class _Stated:
    """Which numbers are stated anywhere."""

    def __init__(self, figures: Sequence[Figure]) -> None:
        self._known: dict[object, set[object]] = {}  # what a number is called → of what it is
        for figure in figures:
            self.add(figure)

    def add(self, figure: Figure) -> None:
        for name in figure.names:
            self._known.setdefault(name, set()).add(figure.of)

    def has(self, figure: Figure) -> bool:
        found = (self._known.get(name) for name in figure.names)
        return any(of and (figure.of is None or not of.isdisjoint((None, figure.of))) for of in found)


def _stated_by_one(some: Sequence[Figure], known: _Stated) -> Iterator[str]:
    """Those that are not known, each once."""
    for figure in some:
        if not figure.weak and not known.has(figure):
            known.add(figure)
            yield figure.text


def _placed(left: Sequence[Figure], right: Sequence[Figure]) -> Iterator[tuple[int, int]]:
    """Pairs of numbers that stand in the same place, by index: the surest first, each number once."""
    where: dict[tuple[str, ...], list[int]] = {}
    for j, figure in enumerate(right):
        for key in _neighbours(figure):
            where.setdefault(key, []).append(j)
    found = set()
    for i, figure in enumerate(left):
        for key in _neighbours(figure):
            places = where.get(key, [])
            at = bisect_left(places, i * len(right) // len(left))
            found |= {(i, j) for j in places[max(0, at - _NEAREST) : at + _NEAREST]}
    ranked = sorted((*_rank(left[i], right[j]), abs(i - j), i, j) for i, j in found)
    ours: set[int] = set()
    theirs: set[int] = set()
    for agreeing, _, _, i, j in ranked:
        if agreeing <= -_LEAST and i not in ours and j not in theirs:
            ours.add(i)
            theirs.add(j)
            yield i, j


def _neighbours(figure: Figure) -> Iterator[tuple[str, ...]]:
    """By what a place is found again, also where two words beside it differ ("one person was", "two people were")."""
    yield "between", *figure.before[:1], *figure.after[:1]
    for side, words in (("before", figure.before), ("after", figure.after)):
        for skipped in (0, 1, 2):
            if len(key := words[skipped : skipped + _LEAST]) == _LEAST:
                yield side, str(skipped), *key


def _rank(one: Figure, other: Figure) -> tuple[int, bool]:
    sides = ((one.before, other.before), (one.after, other.after))
    anywhere = sum(a == b for ours, theirs in sides for a, b in zip(ours, theirs, strict=False))
    return -anywhere - _agreeing(one, other), not one.same(other)


def _agreeing(one: Figure, other: Figure) -> int:
    """How many words around two numbers are the same, up to the first that is another or the end of the line."""
    sides = ((one.before, other.before), (one.after, other.after))
    return sum(1 for ours, theirs in sides for _ in takewhile(_alike, zip(ours, theirs, strict=False)))


def _alike(pair: tuple[str, str]) -> bool:
    return pair[0] == pair[1] != "¶"
