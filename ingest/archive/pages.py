"""Saved pages → lines."""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterator

from ingest.archive.places import files
from ingest.archive.shapes import RECORD_MAX, UTF16, Raw, Refused, Source, written
from ingest.models import Line, Rejection


def read_folder(source: Source, start: int) -> Iterator[Raw | Refused]:
    done = 0
    for number, page in enumerate(files(source), 1):
        where = written(page)
        try:
            size = page.stat().st_size
            done += size
            if number <= start:
                continue
            if size > RECORD_MAX:
                yield Refused("too-large", f"{size} bytes, more than {RECORD_MAX}", where, None, number, done)
                continue
            data = page.read_bytes()
        except OSError as error:
            yield Refused("damaged", f"cannot be read ({error.strerror})", where, None, number, done)
            continue
        yield Raw("file", data, None, where, number, done)


_META_CHARSET = re.compile(rb"<meta[^>]{0,200}?charset\s*=\s*[\"']?\s*([\w.:-]{1,40})", re.IGNORECASE)


# What browsers write above a page that they save: Internet Explorer and Chrome the first, SingleFile the second.
_SAVED_FROM = re.compile(
    r"<!--\s*saved from url=\(\d+\)(\S+?)\s*-->|<!--\s*Page saved with SingleFile\s+url:\s*(\S+)", re.IGNORECASE
)


def decode_file(raw: Raw) -> Line | Rejection:
    if not raw.data.strip():
        return Rejection("empty", "the file has no words", raw.where)
    if b"\0" in raw.data[:4096] and not raw.data.startswith(UTF16):
        return Rejection("binary", "the file is no text", raw.where)
    text = as_text(raw.data)
    if raw.where.lower().endswith(".txt"):
        title, _, rest = text.lstrip().replace("\r\n", "\n").replace("\r", "\n").partition("\n")
        return _saved(raw, title=title.strip(), text=rest.strip())
    saved_from = _SAVED_FROM.search(text[:8192])
    url = (saved_from[1] or saved_from[2]) if saved_from else None
    return _saved(raw, html=text, url=url if url and url.lower().startswith(("http://", "https://")) else None)


def _saved(
    raw: Raw, *, title: str | None = None, html: str | None = None, text: str | None = None, url: str | None = None
) -> Line:
    return Line(
        guid=None,
        url=url,
        title=title,
        html=html,
        text=text,
        published=None,
        source=None,
        language=None,
        authors=(),
        first_seen=None,
        where=raw.where,
    )


def as_text(data: bytes) -> str:
    """Bytes as text: by the byte order mark, as UTF-8 if it is, as its meta tag says, else as windows-1252.

    UTF-8 goes before the meta tag: a browser that saves a page often writes it anew and leaves the tag, and bytes
    above 127 that happen to be UTF-8 hardly ever are anything else.
    """
    if data.startswith(UTF16):
        return data.decode("utf-16", "replace")
    data = data.removeprefix(codecs.BOM_UTF8)
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        pass
    named = _META_CHARSET.search(data[:4096])
    loose = data.decode("utf-8", "replace")
    # A few broken bytes among many good ones: still UTF-8, with a mark where it is broken.
    if loose.count("\ufffd") * 10 <= len(data.translate(None, _BELOW_LEADS)):
        return loose
    return data.decode(_encoding(named[1]) if named else _guessed(data), "replace")


_BELOW_LEADS = bytes(range(0xC2))  # all bytes but those that begin a character in UTF-8


def _guessed(data: bytes) -> str:
    """The encoding of a text that does not say. Few bytes above 127: a Western text, where guessers are often wrong;
    many: another script, which they know well."""
    import charset_normalizer  # slow to load, and hardly ever needed

    sample = data[: 64 << 10]
    if len(sample.translate(None, bytes(range(0x80)))) * 5 < len(sample):
        return "windows-1252"
    best = charset_normalizer.from_bytes(sample).best()
    return best.encoding if best else "windows-1252"


def _encoding(label: bytes) -> str:
    """The Python codec for a charset's name in HTML, which calls windows-1252 by many names."""
    try:
        name = codecs.lookup(label.decode("ascii")).name
    except (LookupError, UnicodeDecodeError):
        return "windows-1252"
    if name in ("utf-8", "ascii", "iso8859-1") or not codecs.lookup(name)._is_text_encoding:
        return "windows-1252"
    return "gb18030" if name in ("gb2312", "gbk") else name
