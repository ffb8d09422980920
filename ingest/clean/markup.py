"""Bytes of a page → a string → a tree, within bounds of time and memory whatever the bytes are."""

from __future__ import annotations

import codecs
import functools
import logging
import re
from collections.abc import Iterator
from dataclasses import dataclass

from bs4 import BeautifulSoup
from bs4.dammit import UnicodeDammit
from lxml import etree, html

# What is left of a body after this many bytes is not read. The largest honest page measured has 6 MB.
MAX_BYTES = 20_000_000

# Attributes of one tag that are kept, from the length of tag on at which they are counted. libxml2 compares every
# attribute with all before it: 100,000 on one tag take 100 s, 256 take 0.1 ms. Honest tags stay below 60.
_MAX_ATTRIBUTES = 256
_LONG_TAG = 1_000

# Control characters that no HTML may hold; libxml2 ends some documents at them.
_CONTROLS = re.compile("[\x00-\x08\x0b\x0e-\x1f\ufffe\uffff]+")

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


def decode(body: bytes, charset: str | None) -> str:
    """The text of a page. In this order: its BOM, what HTTP says (`charset`), what the page says, UTF-8, detection.

    A declared encoding that does not fit the bytes is passed over; so is a declared one-byte encoding of a page that
    is valid UTF-8 (by chance no text is).
    """
    body = body[:MAX_BYTES]
    for bom, name in _BOMS:
        if body.startswith(bom):
            return body[len(bom) :].decode(name, "replace")
    in_page = _DECLARED.search(body[:4096])
    names = (_encoding(charset), _encoding(in_page[1].decode("ascii", "replace"), page=True) if in_page else None)
    declared = list(dict.fromkeys(name for name in names if name))
    first = [] if declared and declared[0] in _MANY_BYTES else [_utf16(body) or "utf-8"]
    for name in dict.fromkeys([*first, *declared, "utf-8"]):
        try:
            return body.decode(name)
        except UnicodeDecodeError:
            continue
    for name in declared:
        text = body.decode(name, "replace")
        if text.count("\ufffd") <= _TOLERATED * len(text):
            return text
    hush()
    return body.decode(_encoding(UnicodeDammit(body[:50_000]).original_encoding) or "utf-8", "replace")


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
class Tree:
    """A parsed page. `deep`: it is nested so deeply (256 elements) that only linear work without recursion is safe;
    `whole`: nothing of it was cut off."""

    root: html.HtmlElement
    deep: bool = False
    whole: bool = True


def parse(text: str) -> Tree | None:
    """The tree of a page; None: there is nothing in it.

    libxml2 drops, without raising, everything behind a nesting of 256 elements, or of 2,048 when asked for more.
    """
    source = _tamed(text).encode("utf-8", "replace")
    try:
        root, whole = _parsed(source, huge=False)
        if whole:
            return Tree(root)
        root, whole = _parsed(source, huge=True)
        return Tree(root, deep=True, whole=whole)
    except (etree.ParserError, ValueError):  # nothing but comments, or nothing at all
        return None


def _parsed(source: bytes, *, huge: bool) -> tuple[html.HtmlElement, bool]:
    parser = html.HTMLParser(encoding="utf-8", huge_tree=huge, remove_comments=True, remove_pis=True, collect_ids=False)
    root = html.document_fromstring(source, parser=parser)
    return root, not any(error.type == etree.ErrorTypes.ERR_RESOURCE_LIMIT for error in parser.error_log)


_VALUE = r"""\s*+=\s*+(?:"[^"]*+"|'[^']*+'|[^\s>"'][^\s>]*+)"""
_ATTRIBUTE = re.compile(rf"[\s/]*+=?[^\s/>=]++(?:{_VALUE})?")
_TAG = re.compile(rf"<[a-zA-Z][^\s/>]*+(?:{_ATTRIBUTE.pattern})*+")


def _tamed(text: str) -> str:
    """`text` without control characters and without tags of thousands of attributes. Linear in its length: 0.8 ms."""
    return _TAG.sub(_fewer_attributes, _CONTROLS.sub("", text))


def _fewer_attributes(tag: re.Match[str]) -> str:
    markup = tag[0]
    if len(markup) < _LONG_TAG:
        return markup
    attributes = _ATTRIBUTE.finditer(markup, len(markup.split(None, 1)[0]))
    last = next((match for number, match in enumerate(attributes, start=1) if number == _MAX_ATTRIBUTES), None)
    if last is None:
        return markup
    closing = markup.rfind("</")  # this was a comparison inside a script, whose end must not be lost
    return markup[: last.end()] + (markup[closing:] if closing > last.end() else "")


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
_CELLS = frozenset(("td", "th"))


def paragraphs(root: html.HtmlElement, leave: frozenset[str] = frozenset()) -> Iterator[tuple[str, str]]:
    """The paragraphs under an element in their order, each as (tag of the block that it ends, text), without those
    inside elements named in `leave`. Linear, without recursion."""
    words: list[str] = []
    walk = etree.iterwalk(root, events=("start", "end"))
    for event, element in walk:
        tag = element.tag if isinstance(element.tag, str) else ""
        if event == "start":
            if tag in BLOCKS:
                yield from _paragraph(tag, words)
            if tag in SILENT or tag in leave or not tag:
                walk.skip_subtree()
            elif element.text:
                words.append(element.text)
            continue
        if tag in BLOCKS:
            yield from _paragraph(tag, words)
        elif tag in _CELLS:
            words.append(" ")
        if element.tail and element is not root:
            words.append(element.tail)
    yield from _paragraph("", words)


@functools.cache
def hush() -> None:
    """Keep out of our log what these libraries log: text of pages, and as an error what is not HTML."""
    for name in ("trafilatura", "htmldate", "bs4.dammit"):
        logging.getLogger(name).addHandler(logging.NullHandler())
        logging.getLogger(name).propagate = False


def _paragraph(tag: str, words: list[str]) -> Iterator[tuple[str, str]]:
    text = " ".join("".join(words).split())
    words.clear()
    if text:
        yield tag, text


def soup(markup: str) -> BeautifulSoup:
    """`markup` as BeautifulSoup reads it through lxml: however deep it is nested, nothing is cut off.

    It is wrapped first, so that BeautifulSoup does not warn of what looks like an address, a file or XML to it.
    """
    return BeautifulSoup(f"<div>{_tamed(markup)}</div>", "lxml")
