"""Bytes of a feed → text that feedparser reads whole: decoded, and repaired where a known fault would cost the feed.

Everything here takes time in proportion to its input, whatever that is.
"""

from __future__ import annotations

import codecs
import html.entities
import re
from collections.abc import Iterator
from dataclasses import dataclass

# --- decoding --------------------------------------------------------------------------------------------------------

_BOMS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),  # before UTF-16, whose mark it begins with
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_DECLARED = re.compile(rb"""\s*<\?xml\s[^>]{0,300}?encoding\s*=\s*["']([^"'>]{1,60})["']""")
_CHARSET = re.compile(r"""charset\s*=\s*["']?([^\s;"']{1,60})""", re.IGNORECASE)
# Browsers read these labels as their supersets, and that is what is meant (WHATWG Encoding, 4.2).
_SUPERSETS = {
    "ascii": "cp1252",
    "iso8859-1": "cp1252",
    "iso8859-9": "cp1254",
    "tis-620": "cp874",
    "gb2312": "gb18030",
    "gbk": "gb18030",
    "shift_jis": "cp932",
    "euc_kr": "cp949",
    "big5": "big5hkscs",
}
# Codecs of Python that are no encodings of documents, or that hide markup from who reads bytes (UTF-7).
_NO_DOCUMENT = frozenset(
    {"punycode", "idna", "undefined", "unicode_escape", "unicode-escape", "raw_unicode_escape", "raw-unicode-escape"}
    | {"utf-7", "mbcs", "oem", "palmos"}
)
_MULTIBYTE = re.compile(r"gb|big5|euc|cp932|cp949|shift|iso2022|hz|johab|cp950|utf")


def decode(body: bytes, content_type: str | None = None) -> str:
    """The text of a document by its byte order mark, its pattern of zeros, its XML declaration, the HTTP header, else
    UTF-8, else Windows-1252: the first that fits. Never raises; bytes that fit nothing become U+FFFD."""
    for mark, name in _BOMS:
        if body.startswith(mark):
            body = body[len(mark) :]
            return _mixed(body) if name == "utf-8" else body.decode(name, "replace")
    wide = _by_zeros(body[:256])
    if wide is not None:
        return body.decode(wide, "replace")
    if body.startswith(b"\x4c\x6f\xa7\x94"):  # "<?xm" in EBCDIC
        return _ebcdic(body)
    in_header = _CHARSET.search(content_type or "")
    declared = _DECLARED.match(body[:1024])
    labels = [declared[1].decode("ascii", "replace")] if declared else []
    labels += [in_header[1]] if in_header else []
    return _by_labels(body, [codec for label in labels if (codec := _codec(label))])


def _by_labels(body: bytes, names: list[str]) -> str:
    utf8 = _strict(body, "utf-8")
    if utf8 is not None and not body.isascii() and not (names and _MULTIBYTE.match(names[0])):
        # Any bytes can be read by any single-byte encoding, and text of one is hardly ever valid UTF-8 by chance.
        return utf8
    for name in names:
        if name == "utf-8":
            return utf8 if utf8 is not None else _mixed(body)
        text = body.decode(name, "replace")
        if text.count("\ufffd") * 100 <= len(text):  # a few broken characters at the most, often the last one
            return text
    return utf8 if utf8 is not None else _mixed(body)


def _codec(label: str) -> str | None:
    """Python's name for a label, if it is one of an encoding for documents."""
    try:
        found = codecs.lookup(label.strip())
    except (LookupError, ValueError, UnicodeError):
        return None
    if not found._is_text_encoding or found.name in _NO_DOCUMENT or found.name.startswith(("utf-16", "utf-32")):
        return None  # UTF-16 is known by its mark or zeros; a label alone that ASCII could be read with is wrong
    return _SUPERSETS.get(found.name, found.name)


def _strict(body: bytes, name: str) -> str | None:
    try:
        return body.decode(name)
    except (UnicodeError, ValueError):
        return None


def _mixed(body: bytes) -> str:
    """UTF-8 with stray bytes read as Windows-1252; all of it as Windows-1252 where stray bytes are the rule."""
    body = _CESU.sub(_characters, body)
    text = body.decode("utf-8", "surrogateescape")
    stray = len(_STRAY.findall(text))
    if stray > sum(1 for _ in _WIDE.finditer(text)):
        return body.decode("cp1252", "replace")
    return _STRAY.sub(lambda byte: bytes([ord(byte[0]) - 0xDC00]).decode("cp1252", "replace"), text) if stray else text


# Surrogates written as if they were characters (CESU-8, what some databases call utf8), in pairs or alone.
_CESU = re.compile(rb"(?:\xed[\xa0-\xbf][\x80-\xbf])+")
_STRAY = re.compile("[\udc80-\udcff]")
_WIDE = re.compile("[\u0080-\ud7ff\ue000-\U0010ffff]")


def _characters(surrogates: re.Match[bytes]) -> bytes:
    halves = surrogates[0].decode("utf-8", "surrogatepass").encode("utf-16-le", "surrogatepass")
    return halves.decode("utf-16-le", "replace").encode()


def _by_zeros(head: bytes) -> str | None:
    """The wide encoding of a document that begins in ASCII without a byte order mark."""
    if len(head) < 8 or 0 not in head[:4]:
        return None
    for name, width, at in (("utf-32-be", 4, 3), ("utf-32-le", 4, 0), ("utf-16-be", 2, 1), ("utf-16-le", 2, 0)):
        start = head[: 4 * width]
        if all((byte != 0) == (index % width == at) for index, byte in enumerate(start)):
            return name
    return None


def _ebcdic(body: bytes) -> str:
    text = body.decode("cp037")
    declared = re.search(r"""encoding\s*=\s*["']([^"'>]{1,60})["']""", text[:300])
    name = _codec(declared[1]) if declared else None
    return (
        text if name is None or _strict(body, name) is None or "<?xml" not in body.decode(name) else body.decode(name)
    )


# --- repairing -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Document:
    """A document fit for feedparser. `root` is the name of its first element as written, empty where there is none;
    `truncated`: it ends before that element does."""

    text: str
    root: str
    truncated: bool

    @property
    def kind(self) -> str:
        """The local name of the root, in lower case."""
        return self.root.rpartition(":")[2].lower()


_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_START = re.compile(r"<([A-Za-z_][\w.-]*(?::[\w.-]+)?)")
_ROOT = re.compile(r"<(?:\?xml\s|(?:rss|feed|rdf:RDF|channel)[\s>])", re.IGNORECASE)
_MESSAGES = re.compile(r"(?:b|br|p|div|font|strong|pre|span|center|table|i|em|h[1-3]|hr|a|u|small|code)", re.IGNORECASE)


def repair(text: str) -> Document:
    """The document from its first element to its end, without prolog and document type, its entities and character
    references such that an XML parser accepts them."""
    text = _NOT_XML.sub("", text)
    start, subset = _prolog(text)
    found = _START.match(text, start)
    if found and _MESSAGES.fullmatch(found[1]):  # a server's warning stands before the feed
        later = _ROOT.search(text, start, start + 65_536)
        if later:
            text = text[later.start() :]
            start, subset = _prolog(text)
            found = _START.match(text, start)
    root = found[1] if found else ""
    end = _end(text, start, root)
    body = text[start : end or len(text)]
    entities = _entities(subset)
    return Document(_tidy_names("".join(_fixed(body, entities))), root, bool(root) and end is None)


def harsher(document: Document) -> Document:
    """The same without everything that made feedparser raise before and that Sitrep does not read: character
    references, geography, declarations and processing instructions inside."""
    text = _REFERENCE.sub("", _UNREAD.sub("", document.text))
    return Document(text, document.root, document.truncated)


_UNREAD = re.compile(
    r"</?(?:gml|georss|geo|psc|media|itunes|cc|admin):[^<>]*>|<![A-Z][^<>]*>|<\?[^<>]*>", re.IGNORECASE
)


def _prolog(text: str) -> tuple[int, str]:
    """Where the first element begins, and the document type declaration before it."""
    at, doctype = 0, ""
    while (at := text.find("<", at)) >= 0:
        if text.startswith("<!--", at):
            at = _after(text, "-->", at + 4)
        elif text.startswith("<?", at):
            at = _after(text, "?>", at)
        elif not doctype and text[at : at + 9].upper() == "<!DOCTYPE":
            end = _doctype_end(text, at)
            doctype, at = text[at:end], end
        elif _START.match(text, at):
            return at, doctype
        else:
            at += 1
    return len(text), doctype


def _after(text: str, what: str, at: int) -> int:
    """Behind the next `what`; the end of the text where there is none, for nothing that follows is anything else."""
    end = text.find(what, at)
    return end + len(what) if end >= 0 else len(text)


_SUBSET_PART = re.compile(r"""[<>\[\]"']""")


def _doctype_end(text: str, at: int) -> int:
    """Behind the `>` that closes a document type declaration, quoted strings and its internal subset skipped."""
    depth, inside, quote, position = 0, False, "", at
    for part in _SUBSET_PART.finditer(text, at):
        mark, position = part[0], part.end()
        if quote:
            quote = "" if mark == quote else quote
        elif mark in "\"'" and depth:
            quote = mark
        elif mark == "[":
            inside = True
        elif mark == "]":
            inside = False
        elif mark == "<":
            depth += 1
        elif mark == ">":
            depth -= 1
            if depth <= 0 and not inside:
                return position
    return _after(text, ">", at)


_ENTITY = re.compile(r"""<!ENTITY\s{1,9}([\w.-]{1,60})\s{1,9}(?:"([^"<>&%\\]{0,100})"|'([^'<>&%\\]{0,100})')\s{0,9}>""")
_MOST_EXPANSIONS = 10_000


def _entities(doctype: str) -> dict[str, str]:
    """The harmless entities of a document type: short strings without markup or other entities (the addresses of
    namespaces in RDF, names of products)."""
    return {name: one or other for name, one, other in _ENTITY.findall(doctype[:65_536])}


def _end(text: str, start: int, root: str) -> int | None:
    """Behind the end tag of the root; None where there is none. What servers append after it is no part of the feed."""
    if not root:
        return len(text)
    at = text.rfind(f"</{root}", start)
    if at < 0:
        opening = text.find(">", start)
        return opening + 1 if opening > 0 and text[opening - 1] == "/" else None
    close = text.find(">", at)
    return close + 1 if close >= 0 else None


_REFERENCE = re.compile(r"&(?:amp;)?#(?:[xX]([0-9A-Fa-f]+)|([0-9]+));")
_PAIR = re.compile(
    r"&(?:amp;)?#(?:[xX]0*([dD][89abAB][0-9A-Fa-f]{2})|0*(5[56]\d{3}));&(?:amp;)?#(?:[xX]0*([dD][c-fC-F][0-9A-Fa-f]{2})|0*(5[67]\d{3}));"
)
_NAMED = re.compile(r"&([A-Za-z][A-Za-z0-9._-]{0,59});|&(?!#?\w{1,60};)")
_FIVE = frozenset({"amp", "lt", "gt", "quot", "apos"})


def _fixed(body: str, entities: dict[str, str]) -> Iterator[str]:
    left = [_MOST_EXPANSIONS]

    def named(found: re.Match[str]) -> str:
        name = found[1]
        if name in _FIVE:
            return found[0]
        if name is None:  # an ampersand of a text or an address that was never escaped
            return "&amp;"
        if name in entities and left[0]:
            left[0] -= 1
            return entities[name].replace("<", "&lt;")
        character = html.entities.html5.get(name + ";")
        if character is None:
            return f"&amp;{name};"
        return character.replace("&", "&amp;").replace("<", "&lt;")

    for raw, piece in _sections(body):
        piece = _REFERENCE.sub(_legal, _PAIR.sub(_joined, piece)) if "&" in piece else piece
        yield piece if raw or "&" not in piece else _NAMED.sub(named, piece)


def _sections(body: str) -> Iterator[tuple[bool, str]]:
    """The text in pieces, and whether each is a CDATA section, in which an ampersand is only an ampersand."""
    at = 0
    while (start := body.find("<![CDATA[", at)) >= 0:
        end = body.find("]]>", start)
        if end < 0:
            break
        yield False, body[at:start]
        yield True, body[start : end + 3]
        at = end + 3
    yield False, body[at:]


def _joined(pair: re.Match[str]) -> str:
    """`&#55357;&#56832;`, as systems that count in UTF-16 write an emoji, is one character."""
    high = int(pair[1], 16) if pair[1] else int(pair[2])
    low = int(pair[3], 16) if pair[3] else int(pair[4])
    if 0xD800 <= high < 0xDC00 <= low < 0xE000:
        return chr(0x10000 + ((high - 0xD800) << 10) + (low - 0xDC00))
    return pair[0]


def _legal(reference: re.Match[str]) -> str:
    digits = (reference[1] or reference[2]).lstrip("0")
    if len(digits) > 7:  # beyond all characters; int() of a million digits would take minutes
        return "\ufffd"
    code = int(digits or "0", 16 if reference[1] else 10)
    if code < 0x20 and code not in (9, 10, 13):
        return ""
    if code > 0x10FFFF or 0xD800 <= code < 0xE000 or code in (0xFFFE, 0xFFFF):
        return "\ufffd"
    return reference[0]


_NAMES = re.compile(
    r"(<(?:[\w-]{1,20}:)?(?:author|creator|managingEditor|webMaster|publisher|contributor|name|email)\b[^<>]{0,500}>"
    r"(?:<!\[CDATA\[)?)([^<\]]+)",
    re.IGNORECASE,
)
_MAIL = re.compile(r"[\w.+-]{1,64}@[\w.-]{1,255}")
_LONGEST_NAMES = 500


def _tidy_names(text: str) -> str:
    """Names without e-mail addresses, for which feedparser looks in quadratic time and which it takes to end after
    four letters; cut where they are endless."""
    return _NAMES.sub(lambda found: found[1] + _MAIL.sub("", found[2][:_LONGEST_NAMES]), text)
