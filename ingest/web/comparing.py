"""Two texts side by side: what is gone, what is new, and which numbers changed. Pure.

Paragraphs are aligned first, words inside those that belong together. The work is bounded: a pair of paragraphs that
are too long for it counts as changed wholly.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher

from ingest import figures

LONGEST = 1_200  # words of a paragraph that are compared one by one: at most a second
WORK = 3_000_000  # pairs of words that are compared in all: seconds where all of them are alike
MOST = 600  # paragraphs
CHARACTERS = 200_000  # of a text
AHEAD = 20  # paragraphs that are tried for one
ALIKE = 0.3  # of the words of two paragraphs that belong together
_TOKEN = re.compile(rf"{figures.NUMBER}|\w+(?:['’]\w+)*|\s+|[^\w\s]", re.IGNORECASE)
_NUMBER = re.compile(figures.NUMBER, re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Piece:
    """Some words of a paragraph: `kind` is same, gone (on the left alone) or new (on the right alone)."""

    text: str
    kind: str = "same"
    number: bool = False


@dataclass(frozen=True, slots=True)
class Row:
    """Two paragraphs that belong together; an empty side where one has none."""

    left: tuple[Piece, ...]
    right: tuple[Piece, ...]

    @property
    def same(self) -> bool:
        return all(piece.kind == "same" for piece in (*self.left, *self.right))


@dataclass(frozen=True, slots=True)
class Comparison:
    """`numbers`: pairs of what the left says and what the right says in its place ("" where one says none)."""

    rows: tuple[Row, ...]
    numbers: tuple[tuple[str, str], ...]

    @property
    def same(self) -> bool:
        return all(row.same for row in self.rows)


def compare(
    left: tuple[str, str], right: tuple[str, str], work: Work | None = None, *, languages: tuple[str, str] = ("", "")
) -> Comparison:
    """Two stories, each a title and a text with a paragraph a line; 200,000 characters of it. The first row is the
    titles'. `work` may be shared by several comparisons; what comes after its end counts as changed wholly."""
    (one, ours), (other, theirs) = ((title, text[:CHARACTERS]) for title, text in (left, right))
    words = work or Work()
    rows = (words.row(one, other), *_rows(words, _paragraphs(ours), _paragraphs(theirs)))
    read = figures.read(one, ours, languages[0]), figures.read(other, theirs, languages[1])
    differ = figures.differences(*read)
    alone = *((text, "") for text in differ.left), *(("", text) for text in differ.right)
    return Comparison(rows, (*differ.changed, *alone))


def _paragraphs(text: str) -> list[str]:
    return [line.strip() for line in text.split("\n") if line.strip()]


def _rows(words: Work, left: list[str], right: list[str]) -> Iterator[Row]:
    if len(left) > MOST or len(right) > MOST:
        left, right = [*left[: MOST - 1], " ".join(left[MOST - 1 :])], [*right[: MOST - 1], " ".join(right[MOST - 1 :])]
    for tag, a, b, c, d in SequenceMatcher(None, left, right, autojunk=False).get_opcodes():
        if tag == "equal":
            yield from (Row((Piece(text),), (Piece(text),)) for text in left[a:b])
        else:
            yield from (words.row(one, other) for one, other in _paired(left[a:b], right[c:d]))


def _paired(left: Sequence[str], right: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Paragraphs of a changed passage, each with the one on the other side that shares most words, in order."""
    words = [set(_TOKEN.findall(text.casefold())[:LONGEST]) for text in right]
    at = 0
    for text in left:
        own = set(_TOKEN.findall(text.casefold())[:LONGEST])
        shares = [
            (len(own & words[n]) / (len(own | words[n]) or 1), -n) for n in range(at, min(len(right), at + AHEAD))
        ]
        share, place = max(shares, default=(0.0, 0))
        if share < ALIKE:
            yield text, ""
            continue
        yield from (("", other) for other in right[at:-place])
        yield text, right[-place]
        at = -place + 1
    yield from (("", other) for other in right[at:])


class Work:
    """Compares the words of paragraphs, up to so many pairs of words in all."""

    def __init__(self) -> None:
        self._left = WORK

    def row(self, left: str, right: str) -> Row:
        ours, theirs = _TOKEN.findall(left), _TOKEN.findall(right)
        self._left -= len(ours) * len(theirs)
        if not ours or not theirs or max(len(ours), len(theirs)) > LONGEST or self._left < 0:
            return Row(tuple(_pieces(ours, "gone")), tuple(_pieces(theirs, "new")))
        before: list[Piece] = []
        after: list[Piece] = []
        for same, a, b, c, d in _opcodes(ours, theirs):
            before += [Piece("".join(ours[a:b]))] if same else _pieces(ours[a:b], "gone")
            after += [Piece("".join(theirs[c:d]))] if same else _pieces(theirs[c:d], "new")
        return Row(tuple(before), tuple(after))


def _opcodes(ours: list[str], theirs: list[str]) -> list[tuple[bool, int, int, int, int]]:
    """What is the same and what is not, in turn; a blank between two changed words belongs to them."""
    merged: list[tuple[bool, int, int, int, int]] = []
    for tag, a, b, c, d in SequenceMatcher(None, ours, theirs, autojunk=False).get_opcodes():
        same = tag == "equal" and not (merged and b < len(ours) and "".join(ours[a:b]).isspace())
        if merged and not merged[-1][0] and not same:
            _, first, _, other, _ = merged.pop()
            a, c = first, other
        merged.append((same, a, b, c, d))
    return merged


def _pieces(tokens: Sequence[str], kind: str) -> list[Piece]:
    """Tokens as pieces: numbers alone, the rest together."""
    pieces: list[Piece] = []
    for token in tokens:
        if _NUMBER.fullmatch(token):
            pieces.append(Piece(token, kind, number=True))
        elif pieces and not pieces[-1].number:
            pieces[-1] = Piece(pieces[-1].text + token, kind)
        else:
            pieces.append(Piece(token, kind))
    return pieces
