"""Text → the spans of its sentences: small, tested, exact in its offsets."""

from __future__ import annotations

import re
from collections.abc import Sequence

MAX_SENTENCE = 700  # code points; a longer one is cut: it is a list or has lost its full stops
HEADING = 110  # code points; a longer paragraph without a full stop is no heading

_END = re.compile(r"\n+|[.!?…。！？]{1,6}[\"'”’»“)\]]{0,4}(?=\s)")
_SHORT = (
    "mr mrs ms dr prof gen lt col maj sgt capt cmdr adm brig gov sen rep rev hon st no nos vs etc inc ltd co corp dept "
    "est jan feb mar apr jun jul aug sept sep oct nov dec u.s u.k u.n e.u d.c i.e e.g a.m p.m approx fig vol pp ed jr "
    "sr nr bzw z.b d.h u.a ca sog mio mrd str abs vgl m mm mme mlle sra srta ud uds ee.uu gral cnel pág núm "
    "г гг им т.е т.д т.п тыс млн млрд руб ул стр см др проф ген р рр ім тис грн вул"
)
_RANKS = "mr mrs ms dr prof gen lt col maj sgt capt cmdr adm brig gov sen rep rev hon st no nos проф ген"
# After "U.S." a capital says nothing; these words begin sentences, hardly names.
_OPENERS = "The A An In On At He She It They We But And This That These Those As After Before While"
_ABBREVIATIONS = frozenset(_SHORT.split())
_TITLES = frozenset(_RANKS.split())
_STARTERS = frozenset(_OPENERS.split())


def sentences(text: str) -> list[tuple[int, int]]:
    """The spans of the text's sentences, without the white space around them, in order.

    A line break ends a sentence. A full stop does not after a known abbreviation, an initial, or before a small letter.
    """
    spans: list[tuple[int, int]] = []
    start = 0
    for match in _END.finditer(text):
        if text[match.start()] == "." and not _ends(text, start, match):
            continue
        _add_span(spans, text, start, match.end())
        start = match.end()
    _add_span(spans, text, start, len(text))
    return spans


def title_sentences(title: str) -> list[tuple[int, int]]:
    """The spans of a title's sentences: it is one, whatever stands in it, unless it is too long for that."""
    return [(0, len(title))] if 0 < len(title) <= MAX_SENTENCE else sentences(title)


def _ends(text: str, start: int, match: re.Match[str]) -> bool:
    """Whether the full stop really ends a sentence."""
    after = text[match.end() : match.end() + 24].lstrip(" \t\"'“„«(")
    if after[:1].islower():
        return False
    begin = max(start, match.start() - 24, text.rfind(" ", max(start, match.start() - 24), match.start()) + 1)
    before = text[begin : match.start()].lstrip("\"'“„«(\n").lower()
    if len(before) == 1 and before.isalpha():
        return False
    if before not in _ABBREVIATIONS:
        return True
    return before not in _TITLES and after.split(None, 1)[:1] != [] and after.split(None, 1)[0] in _STARTERS


def _add_span(spans: list[tuple[int, int]], text: str, start: int, end: int) -> None:
    """Append text[start:end] without white space around it, cut at blanks where it is too long."""
    while start < end and text[start].isspace():
        start += 1
    while start < end and text[end - 1].isspace():
        end -= 1
    while end - start > MAX_SENTENCE:
        cut = text.rfind(" ", start + 1, start + MAX_SENTENCE)
        cut = start + MAX_SENTENCE if cut < 0 else cut
        _add_span(spans, text, start, cut)
        start = cut
        while start < end and text[start].isspace():
            start += 1
    if start < end:
        spans.append((start, end))


def headings(text: str, spans: Sequence[tuple[int, int]]) -> set[int]:
    """Which sentences are headings: short lines of their own without a full stop, with text below them."""
    found = set()
    for index, (start, end) in enumerate(spans[:-1]):
        alone = text[max(0, start - 1) : start] in ("", "\n") and text[end : end + 1] == "\n"
        if alone and end - start <= HEADING and text[end - 1] not in ".!?…:;,":
            found.add(index)
    return found
