"""Text that every store and every terminal can hold; and folded for comparing (`letters`)."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable

# C0 but tab and line feed, DEL, C1. NEL (U+0085) is among them: as a line break it becomes one.
_CONTROLS = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")
_BREAKS = re.compile("\r\n?|[\x0b\x0c\x85\u2028\u2029]")
_SURROGATES = re.compile("[\ud800-\udfff]")
_PAIRS = re.compile("[\ud800-\udbff][\udc00-\udfff]")
# What turns the direction of the text around it, so that a title can read as another one. The marks U+200E and U+200F
# stay: honest Arabic and Hebrew headlines carry them, and they move nothing but neutral signs.
_OVERRIDES = re.compile("[\u202a-\u202e\u2066-\u2069]")
_NOTHING = re.compile("[\u200b\ufeff\u2060\u00ad\ufff9-\ufffb]+")  # invisible, and in the way of every comparison


def sane(text: str, limit: int) -> str:
    """`text` in NFC without control characters but line feed and tab, at most `limit` code points.

    All kinds of line ends become line feeds, halves of surrogate pairs that belong together become their character,
    lone ones U+FFFD. The cut never stands before a combining mark.
    """
    text = text[: 4 * limit + 64]  # NFC may shrink a text, by a factor of three at the most; this bounds the work
    if not text.replace("\n", "").isprintable():  # what is printable holds none of all these
        text = _PAIRS.sub(_join, text)
        text = _SURROGATES.sub("\ufffd", text)
        text = _CONTROLS.sub("", _BREAKS.sub("\n", text))
    if not text.isascii():
        text = unicodedata.normalize("NFC", text)
    if len(text) <= limit:
        return text
    end = limit
    while end > max(0, limit - 32) and unicodedata.combining(text[end]):
        end -= 1
    return text[:end]


def one_line(text: str, limit: int) -> str:
    """`text` as one line fit for titles, names and log lines: `sane`, every run of whitespace a single blank, no
    characters that turn the direction of text, none that are invisible."""
    text = text[: 16 * limit + 1024]  # a title after kilobytes of blanks is no title
    for unwanted in (_NOTHING, _OVERRIDES, _CONTROLS):
        text = unwanted.sub("", _BREAKS.sub(" ", text))
    return sane(" ".join(text.split()), limit).strip()


def letters(text: str) -> str:
    """`text` for comparing: letters and digits alone, without case."""
    folded = text.casefold()
    if folded.isascii():  # which most titles are: it takes a tenth of the time
        return folded.encode().translate(None, _NO_LETTERS).decode()
    return _NO_WORD.sub("", folded)


_NO_WORD = re.compile(r"[\W_]+")
_NO_LETTERS = bytes(code for code in range(128) if not chr(code).isalnum())


_LEADS = "ÂÃâÐÑØÙÎÏ×äåæçèéãÄÅêëìíð"  # as which the first bytes of UTF-8 are read
_BORDERS = (b"<", b">", b'"', b"\n")
_BORDER = re.compile(b'[<>"\n]')
_SEQUENCES = re.compile("[\x80-\U0010ffff]")
_OWN = re.compile("[\u00c0-\u024f\u1e00-\u1eff\u2010-\u2044\u20ac\u2122]")  # letters of Latin, quotes, dashes, …
_MANY = 3
# Windows-1252, and its five gaps as browsers read them.
_BYTES = {**{bytes([n]).decode("cp1252", "ignore"): n for n in range(0x80, 0x100)}, **{chr(n): n for n in range(0x100)}}
_TABLE = {ord(sign): chr(byte) for sign, byte in _BYTES.items() if sign}


def _one_of(signs: Iterable[str]) -> bytes:
    """A pattern for one of these signs in UTF-8, their first bytes looked at first."""
    coded = sorted({sign.encode() for sign in signs})
    first = b"".join(sorted({re.escape(each[:1]) for each in coded}))
    return b"(?=[%s])(?:%s)" % (first, b"|".join(map(re.escape, coded)))


# The two signs as which the first two bytes of a character of UTF-8 are read: nothing is mended where none stand.
_SUSPECT = re.compile(
    b"\xc3(?:%s)%s"
    % (
        b"|".join(re.escape(lead.encode()[1:]) for lead in _LEADS),
        _one_of(sign for sign, byte in _BYTES.items() if sign and 0x80 <= byte < 0xC0),
    )
)


def mended(text: str) -> str:
    """`text` with UTF-8 that was read as Windows-1252 or Latin-1 (“cafÃ©”) read as what it is, where that is certain.

    It is decided for each piece between tags, quotes and line ends. Certain is: all of its signs beyond ASCII are, as
    bytes, UTF-8; and what comes out are letters of Latin script or punctuation, or at least three signs of any kind. A
    piece with one sign that was read well stays as it is. Before `sane`, which takes away what is needed for it.
    """
    if text.isascii():
        return text
    source = text.encode("utf-8", "surrogatepass")
    found = mended_utf8(source)
    return text if found is source else found.decode("utf-8", "surrogatepass")


def mended_utf8(source: bytes) -> bytes:
    """`mended` of a text in UTF-8. Linear in its length, and fast where nothing is suspect: 20 µs for a page."""
    parts = []
    done = 0
    while suspect := _SUSPECT.search(source, done):
        at = suspect.start()
        start = max(done, *(source.rfind(border, done, at) + 1 for border in _BORDERS))
        border = _BORDER.search(source, at)
        end = border.start() if border else len(source)
        parts += [source[done:start], _mend(source[start:end])]
        done = end
    return b"".join([*parts, source[done:]]) if parts else source


def _mend(piece: bytes) -> bytes:
    try:
        told = piece.decode().translate(_TABLE).encode("latin-1").decode()
    except UnicodeError:
        return piece
    signs = _SEQUENCES.findall(told)
    return told.encode() if len(signs) >= _MANY or all(map(_OWN.match, signs)) else piece


def _join(pair: re.Match[str]) -> str:
    return pair[0].encode("utf-16-le", "surrogatepass").decode("utf-16-le")
