"""Paths → sources: which files are archives, pages, or neither."""

from __future__ import annotations

import codecs
import json
import os
import re
import stat
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO

from ingest.archive.shapes import ARCHIVES, BLOCK, UTF16, Skipped, Source, transcoded, written
from ingest.archive.streams import Damaged, codec_of, next_member, pieces
from ingest.archive.warc import NEXT_RECORD
from ingest.errors import NotAnArchive

_WARC_NAME = re.compile(r"\.warc(\.gz|\.zst)?$", re.IGNORECASE)
_LINES_NAME = re.compile(r"\.(jsonl|ndjson|json)(\.(gz|xz|zst))?$", re.IGNORECASE)
_DAMAGED = "It is damaged, or another kind of file under that name: get it again, and compare its size."
OTHER = "no page and no archive"
_PAGE_NAME = re.compile(r"\.(html?|txt)$", re.IGNORECASE)


def sources(paths: Sequence[str]) -> list[Source]:
    """The archives at these paths; a folder is one for its saved pages and one for each archive file in it. Files in
    which nothing is come as "empty" ones beside others.

    Raises NotAnArchive, naming the path and what was expected, for one that holds none, and where all are empty.
    """
    found = [source for path in paths for source in look(path)]
    if found and all(source.kind == "empty" for source in found):
        others = f", and {len(found) - 1} more as well" if len(found) > 1 else ""
        raise NotAnArchive(
            f"is empty{others}; expected {ARCHIVES}",
            subject=found[0].path,
            advice="See whether what writes it came to its end.",
        )
    return found


def look(path: str) -> list[Source]:
    """What `sources` finds at one path, be it empty or not."""
    return _sources(Path(path))


def _sources(path: Path) -> list[Source]:
    try:
        mode = path.stat().st_mode
        if stat.S_ISDIR(mode):
            return _folder(path)
        if stat.S_ISREG(mode):
            return [_file(path)]
    except FileNotFoundError as error:
        raise NotAnArchive(f"does not exist; expected {ARCHIVES}", subject=str(path)) from error
    except OSError as error:
        raise NotAnArchive(f"cannot be read ({error.strerror})", subject=str(path)) from error
    raise NotAnArchive(f"is neither a file nor a folder; expected {ARCHIVES}", subject=str(path))


def _file(path: Path) -> Source:
    size = path.stat().st_size
    if size == 0:
        return _empty(path)
    if _PAGE_NAME.search(path.name):
        return Source(str(path), "folder", size)
    with path.open("rb") as file:
        head = _beginning(file)
        if head is None:
            raise NotAnArchive(f"cannot be decompressed; expected {ARCHIVES}", subject=str(path), advice=_DAMAGED)
        if not transcoded(head).removeprefix(codecs.BOM_UTF8).strip() and len(head) < BLOCK:
            return _empty(path)
        if _WARC_NAME.search(path.name):
            if not _has_record(file):
                raise NotAnArchive("holds no WARC record; expected a WARC file", subject=str(path), advice=_DAMAGED)
            return Source(str(path), "warc", size)
        if _LINES_NAME.search(path.name):
            problem = _no_lines(head, strict=".json" in (path.suffix.lower(), path.with_suffix("").suffix.lower()))
            if problem:
                raise NotAnArchive(f"{problem}; expected JSON Lines, one object a line", subject=str(path))
            return Source(str(path), "lines", size)
        if head.lstrip().startswith(b"WARC/"):
            return Source(str(path), "warc", size)
    if not _no_lines(head, strict=True):
        return Source(str(path), "lines", size)
    raise NotAnArchive(f"is no archive; expected {ARCHIVES}", subject=str(path))


def _empty(path: Path) -> Source:
    return Source(str(path), "empty", 0, (Skipped(written(path), "is empty, there is nothing to read"),))


def _folder(path: Path) -> list[Source]:
    pages, archives, skipped = walk(path)
    if not (pages or archives or skipped):
        return [_empty(path)]
    broken: list[Skipped] = []
    found: list[Source] = []
    for archive in archives:
        try:
            source = _file(archive)
        except NotAnArchive as error:
            broken.append(Skipped(written(archive), f"skipped, it {error.args[0]}. {error.advice}".rstrip()))
        except OSError as error:
            broken.append(Skipped(written(archive), f"skipped, it cannot be read ({error.strerror})"))
        else:
            found.append(source)
    if pages or ((skipped or broken) and any(source.kind != "empty" for source in found)):
        size = sum(page.stat().st_size for page in pages)
        found.insert(0, Source(str(path), "folder", size, (*broken, *skipped)))
    if not found and broken:
        more = f" ({len(broken) - 1} more as well)" if len(broken) > 1 else ""
        raise NotAnArchive(broken[0].why.removeprefix("skipped, it "), subject=broken[0].path + more)
    if not found:
        closed = next((file for file in skipped if file.why != f"skipped, {OTHER}"), None)
        raise NotAnArchive(
            f"holds no archive and no saved page; expected {ARCHIVES}",
            subject=str(path),
            advice=f"{closed.path}: {closed.why}." if closed else "",
        )
    return found


def walk(path: Path) -> tuple[list[Path], list[Path], list[Skipped]]:
    """Pages, archive files and what else there is under a folder, each in order. Raises OSError where the folder
    itself cannot be read."""
    pages: list[Path] = []
    archives: list[Path] = []
    skipped: list[Skipped] = []

    def skip(file: Path, why: str = OTHER) -> None:
        skipped.append(Skipped(written(file), f"skipped, {why}"))

    def unread(error: OSError) -> None:
        if Path(error.filename) == path:
            raise error
        skip(Path(error.filename), f"the folder cannot be read ({error.strerror})")

    for base, folders, names in os.walk(path, onerror=unread):
        folder = Path(base)
        # A browser saves a page's frames and pictures beside it, in a folder "<title>_files": parts, not pages.
        parts = {name for name in folders if re.search(r"[_-]files$", name) and _saved_page(name, names)}
        for name in parts:
            skip(folder / name)
        folders[:] = sorted(set(folders) - parts)
        for name in folders:
            if os.path.islink(folder / name):  # noqa: PTH114 - as below. It may lead in a circle
                skip(folder / name, "links to folders are not followed; give the path of the folder itself")
        for name in sorted(names):
            file = folder / name
            if not os.path.isfile(file):  # noqa: PTH113 - that of Path raises. A pipe would block, a broken link says nothing
                skip(file)
            elif _PAGE_NAME.search(name):
                pages.append(file)
            elif _WARC_NAME.search(name) or _LINES_NAME.search(name):
                archives.append(file)
            else:
                skip(file)
    return pages, archives, sorted(skipped, key=lambda file: file.path)


def _saved_page(folder: str, names: Sequence[str]) -> bool:
    stem = folder[: -len("_files")]
    return any(f"{stem}{suffix}" in names for suffix in (".html", ".htm"))


def _beginning(file: BinaryIO) -> bytes | None:
    """The first bytes of the archive, decompressed where it is compressed; None where that cannot be done."""
    codec = codec_of(file)
    file.seek(0)
    if codec is None:
        return file.read(BLOCK)
    head = b""
    try:
        for piece in pieces(file, codec, 0):
            head += piece.data
            if len(head) >= BLOCK:
                break
    except Damaged:
        return head or None  # what could be read is what there is to judge by; reading will tell of the damage
    return head


def _has_record(file: BinaryIO) -> bool:
    codec = codec_of(file)
    if codec is not None:
        return next_member(file, codec, 0) is not None
    file.seek(0)
    head = file.read(4 << 20)
    return head.lstrip().startswith(b"WARC/") or NEXT_RECORD.search(head) is not None


def _no_lines(head: bytes, *, strict: bool) -> str:
    """Why this is the beginning of no JSON Lines file; empty if it may be one. `strict`: its first line must be one."""
    text = transcoded(head).removeprefix(codecs.BOM_UTF8).strip()
    begun = text.startswith(b"{") and _is_json(text.partition(b"\n")[0])
    if b"\0" in head and not head.startswith(UTF16) and not begun:  # a file that a crash padded may hold lines
        return "is binary"
    if not text:
        return "is empty"
    objects = re.search(rb"(?m)^[ \t]*\{", text)
    if not objects and text.startswith(b"<"):
        return "is a page or XML"
    if strict and not begun:
        return "does not begin with a line that is a JSON object"
    return ""


def _is_json(line: bytes) -> bool:
    if len(line) >= BLOCK // 2:
        return True  # a line longer than what was looked at
    try:
        json.loads(line.decode("utf-8", "replace"))
    except (ValueError, RecursionError):
        return False
    return True


def files(source: Source) -> list[Path]:
    """The files that a source is made of, in the order in which they are read."""
    path = Path(source.path)
    return walk(path)[0] if path.is_dir() else [path]
