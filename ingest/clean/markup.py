"""Bytes of a page → a string → a tree, within bounds of time and memory whatever the bytes are."""

from __future__ import annotations

import codecs
import functools
import logging
import re
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from bs4 import BeautifulSoup
from bs4.dammit import UnicodeDammit
from selectolax.lexbor import LexborHTMLParser, LexborNode

# What is left of a body after this many bytes is not read. The largest honest page measured has 6 MB.
MAX_BYTES = 20_000_000

# Attributes of one tag that are kept, from the length of tag on at which they are counted. Parsers compare every
# attribute with all before it: 100,000 on one tag take lexbor 33 s, 256 take 0.1 ms. Honest tags stay below 60.
_MAX_ATTRIBUTES = 256
_LONG_TAG = 1_000

_DECLARED = re.compile(
    rb"""<(?:meta\b[^>]{0,500}?\bcharset|\?xml[^>]{0,200}?\bencoding)\s*=\s*["']?\s*([\w.:-]{2,40})""", re.I
)
_BOMS = ((codecs.BOM_UTF8, "utf-8"), (codecs.BOM_UTF16_LE, "utf-16-le"), (codecs.BOM_UTF16_BE, "utf-16-be"))
# Python knows codecs that are no encodings of text (zip, punycode) or run away; these are what the web uses, by the
# names that codecs.lookup gives. Names that browsers read as a superset are read so here.
_SUPERSETS = {
    "ascii": "cp1252",
    "iso8859-1": "cp1252",
    "iso8859-9": "cp1254",
    "iso8859-11": "cp874",
    "tis-620": "cp874",
    "gb2312": "gb18030",
    "gbk": "gb18030",
    "euc_kr": "cp949",
    "shift_jis": "cp932",
    "utf-8-sig": "utf-8",
}
_ENCODINGS = frozenset(
    ["utf-8", "utf-16", "utf-16-le", "utf-16-be", "gb18030", "big5", "big5hkscs", "euc_jp", "cp932", "iso2022_jp"]
    + ["cp949", "koi8-r", "koi8-u", "cp866", "mac-cyrillic", "mac-roman", "cp874"]
    + [f"cp{number}" for number in range(1250, 1259)]
    + [f"iso8859-{number}" for number in range(2, 17)]
)
_MANY_BYTES = frozenset(["utf-8", "gb18030", "big5", "big5hkscs", "euc_jp", "cp932", "iso2022_jp", "cp949"])
_TOLERATED = 0.005  # share of undecodable characters up to which a declared encoding is believed


def utf8(body: bytes, charset: str | None) -> bytes:
    """A page in UTF-8. Its encoding is, in this order: that of its BOM, what HTTP says (`charset`), what the page says,
    UTF-8, what is detected.

    A declared encoding that does not fit the bytes is passed over; so is a declared one-byte encoding of a page that
    is valid UTF-8 (by chance no text is).
    """
    body = body[:MAX_BYTES]
    for bom, name in _BOMS:
        if body.startswith(bom):
            return body[len(bom) :].decode(name, "replace").encode("utf-8", "replace")
    in_page = _DECLARED.search(body[:4096])
    names = (_encoding(charset), _encoding(in_page[1].decode("ascii", "replace"), page=True) if in_page else None)
    declared = list(dict.fromkeys(name for name in names if name))
    first = [] if declared and declared[0] in _MANY_BYTES else [_utf16(body) or "utf-8"]
    for name in dict.fromkeys([*first, *declared, "utf-8"]):
        try:
            text = body.decode(name)
        except UnicodeDecodeError:
            continue
        return body if name == "utf-8" else text.encode("utf-8", "replace")
    for name in declared:
        text = body.decode(name, "replace")
        if text.count("\ufffd") <= _TOLERATED * len(text):
            return text.encode("utf-8", "replace")
    hush()
    found = _encoding(UnicodeDammit(body[:50_000]).original_encoding) or "utf-8"
    return body.decode(found, "replace").encode("utf-8", "replace")


def _encoding(name: str | None, *, page: bool = False) -> str | None:
    """A declared encoding by Python's name, None for what is none. A page that can be read as far as its own
    declaration is not in UTF-16, whatever it says."""
    try:
        found = codecs.lookup(name.strip().lower()).name if name else ""
    except (LookupError, ValueError):
        return None
    found = _SUPERSETS.get(found, found)
    if page and found.startswith("utf-16"):
        return "utf-8"
    return found if found in _ENCODINGS else None


def _utf16(body: bytes) -> str | None:
    """UTF-16 without a BOM, told by its zeros: markup is ASCII, half of its bytes are 0."""
    head = body[:1000]
    even, odd = head[::2].count(0), head[1::2].count(0)
    if max(even, odd) < len(head) / 5 or min(even, odd) > len(head) / 20:
        return None
    return "utf-16-be" if even > odd else "utf-16-le"


@dataclass(frozen=True, slots=True)
class Page:
    """A parsed page. `whole` is False where only its beginning is in the tree: what follows is nested so deeply that
    building the tree would take minutes. `source` is all of it, in UTF-8."""

    tree: LexborHTMLParser
    source: bytes
    whole: bool = True

    def text(self) -> str:
        """The page as it was parsed."""
        return self.source.decode("utf-8", "replace")


def parse(source: bytes) -> Page:
    """The page, in UTF-8, as lexbor reads it, which is how browsers do.

    Two things make lexbor quadratic: attributes of one tag (16,000: 0.4 s, 100,000: 33 s) are cut off, and what is
    nested too deeply (100,000 elements: 20 s) is left out of the tree.
    """
    source = tamed(source)
    end = _too_deep(source)
    return Page(LexborHTMLParser(source if end is None else source[:end]), source, end is None)


# Open tags less closing ones, up to which the tree is built: 4,000 levels take 30 ms. Elements that need no closing tag
# count as well; the page of the most that was measured comes to 2,500.
_DEEPEST = 5_000


def _too_deep(source: bytes) -> int | None:
    """Where a page becomes too deep for lexbor, as an index into it; None: nowhere. Linear: 0.1 ms."""
    signs = np.frombuffer(source, dtype=np.uint8)
    are_open = signs[:-1] == ord("<")
    if np.count_nonzero(are_open) <= _DEEPEST:
        return None
    opens = np.flatnonzero(are_open)
    behind = signs[opens + 1]
    letters = behind | 0x20  # in lower case; "/" and "!" stay other signs
    steps = ((letters >= ord("a")) & (letters <= ord("z"))).astype(np.int32) - (behind == ord("/"))
    depth = np.cumsum(steps)
    deep = np.flatnonzero(depth - np.minimum.accumulate(np.minimum(depth, 0)) > _DEEPEST)
    return int(opens[deep[0]]) if len(deep) else None


_VALUE = rb"""\s*+=\s*+(?:"[^"]*+"|'[^']*+'|[^\s>"'][^\s>]*+)"""
_ATTRIBUTE = re.compile(rb"[\s/]*+=?[^\s/>=]++(?:" + _VALUE + rb")?")
_NAME = rb"<[a-zA-Z][^\s/>]*+"
_TAG = re.compile(_NAME + rb"(?:" + _ATTRIBUTE.pattern + rb")*+")
_FEW = re.compile(_NAME + rb"(?:" + _ATTRIBUTE.pattern + rb"){0,%d}+" % _MAX_ATTRIBUTES)
# A tag that does not come to its end within 60 values and 100 characters before each. Scripts hold such, too.
_UNENDING = re.compile(rb"""<[a-zA-Z](?!(?:[^"'>]{0,100}+(?:"[^"]*+"|'[^']*+')?+){0,60}+>)""")


def tamed(source: bytes) -> bytes:
    """A page in UTF-8 without what HTML has no place for, and without tags of thousands of attributes.

    Linear in its length: 0.4 ms. Other control characters than these two do no harm here; `words.sane` takes them away.
    """
    if b"\0" in source or b"\v" in source:
        source = source.translate(None, b"\0\v")
    kept, done = [], 0
    for start, end in sorted(_too_much(source)):
        if start > done:
            kept.append(source[done:start])
        done = max(done, end)
    return b"".join([*kept, source[done:]]) if done else source


def _too_much(source: bytes) -> Iterator[tuple[int, int]]:
    """Where the attributes stand that a tag has too many. What looks like a tag may be a comparison in a script, so
    another tag may begin in what looks like its values: these are looked at as well, as far as honest pages need it;
    behind that the page is cut."""
    at, left = 0, _LOOKED_AT * len(source) + MAX_BYTES
    while suspect := _UNENDING.search(source, at):
        start = suspect.start()
        at = start + 2
        few = _FEW.match(source, start)
        assert few is not None  # every suspect begins as a tag does
        end = few.end()
        if _ATTRIBUTE.match(source, end) and (tag := _TAG.match(source, start)) and tag.end() - start >= _LONG_TAG:
            closing = source.rfind(b"</", end, tag.end())  # of the script, if it was a comparison
            yield end, tag.end() if closing < 0 else closing
            end = tag.end()
        left -= end - start
        if left < 0:
            yield start, len(source)
            return


_LOOKED_AT = 8  # times, that a byte is looked at in the mean


# Elements that end the paragraph that they stand in, and those that hold no words of a story.
_BLOCK_NAMES = """
    address article aside blockquote body br center dd details div dl dt fieldset figcaption figure footer form h1 h2
    h3 h4 h5 h6 header hr li main nav ol option p pre section summary table tbody tfoot thead title tr ul
"""
_SILENT_NAMES = """
    applet audio button canvas embed frame frameset head iframe input link map math meta noscript object script select
    style svg template textarea video
"""
BLOCKS = frozenset(_BLOCK_NAMES.split())
SILENT = frozenset(_SILENT_NAMES.split())
_SPACED = BLOCKS | {"td", "th"}


def shown(node: LexborNode) -> str:
    """The text under an element as one line: no scripts, blanks where blocks and line breaks divide it."""
    parts: list[str] = []
    for inner in node.traverse(include_text=True):
        tag = inner.tag
        if tag == "-text":
            parent = inner.parent
            if parent is None or parent.tag not in SILENT:
                parts.append(inner.text_content or "")
        elif tag in _SPACED:
            parts.append(" ")
    return " ".join("".join(parts).split())


@functools.cache
def hush() -> None:
    """Keep out of our log what these libraries log: text of pages, and as an error what is not HTML."""
    for name in ("trafilatura", "bs4.dammit"):
        logging.getLogger(name).addHandler(logging.NullHandler())
        logging.getLogger(name).propagate = False


def soup(markup: str) -> BeautifulSoup:
    """`markup` as BeautifulSoup reads it through lxml: however deep it is nested, nothing is cut off.

    It is wrapped first, so that BeautifulSoup does not warn of what looks like an address, a file or XML to it.
    """
    return BeautifulSoup(b"<div>" + tamed(markup.encode("utf-8", "replace")) + b"</div>", "lxml", from_encoding="utf-8")
