"""The landing zone: what was fetched (WARC 1.1 with a CDXJ index), files of stories, reports, quarantine.

A zone is a folder or any fsspec URL. A file in it is there whole or not at all: it is written under a temporary name,
synced, and renamed when it is complete. What belongs to a file (a WARC's index, the data of a file of stories) is
renamed before it, and `list` shows a companion only beside the file that it belongs to. Every fault of the disk or the
object storage is a `LandingFault`, which says what to do; nothing that was there before is lost by one.
"""

from __future__ import annotations

import builtins
import errno
import functools
import hashlib
import io
import itertools
import json
import os
import re
import secrets
import shutil
import tempfile
import time
import uuid
import zipfile
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from datetime import UTC, datetime
from http import HTTPStatus
from pathlib import Path
from types import TracebackType
from typing import Any
from urllib.parse import urlsplit

import fsspec
import numpy as np
import orjson
import zstandard
from numpy.typing import NDArray
from warcio.recordloader import ArcWarcRecord
from warcio.statusandheaders import StatusAndHeaders
from warcio.warcwriter import WARCWriter

from ingest import __version__, dates
from ingest.errors import LandingFault, UsageError
from ingest.models import Capture, Content, Fingerprint, Quarantined

FRAME = 1_000  # stories in one zstd frame: what a slice decompresses at least (about 4 MB of text)
STALE = 86_400.0  # s; a temporary file this old has no writer any more, no batch takes a day
NOT_MODIFIED = "http://netpreserve.org/warc/1.1/revisit/server-not-modified"

_SEGMENT = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.+=:,@~-]{0,199}")
_COMPANIONS = {".cdxj": ".warc.gz", ".jsonl.zst": ".json", ".npz": ".json", ".bin": ".json"}
_CONTROLS = re.compile(r"[\x00-\x1f\x7f]+")
_REWRITTEN = {"content-encoding", "transfer-encoding", "content-length"}


class Landing:
    """A landing zone at `root`: a path, or an fsspec URL (`s3://…`, `memory://…`, `file://…`).

    All paths are relative to it, with slashes. Raises UsageError for a path that leaves it, LandingFault where it
    cannot be read or written.
    """

    def __init__(self, root: str) -> None:
        self.root = root
        self._zone = _open(root)

    def list(self, prefix: str = "", *, suffix: str = "") -> builtins.list[str]:
        """The complete files whose path begins with `prefix` and ends in `suffix`, sorted."""
        folder = prefix.rpartition("/")[0]
        if folder:
            _checked(folder)
        names = {name for name in self._zone.walk(folder) if not name.rpartition("/")[2].startswith(".")}
        shown = (name for name in names if _leader(name, names) and name.startswith(prefix) and name.endswith(suffix))
        return sorted(shown)

    def exists(self, path: str) -> bool:
        return self._zone.exists(_checked(path))

    def read_json(self, path: str) -> Any:
        """Raises LandingFault where the file is missing or no JSON."""
        data = self._zone.read(_checked(path))
        try:
            return json.loads(data)
        except ValueError as error:
            raise LandingFault(f"is no JSON ({error})", subject=path, advice="Delete it; it is made again.") from error

    def read(self, path: str, offset: int = 0, length: int = -1) -> bytes:
        """Bytes of a file, all of them or those from `offset` on."""
        return self._zone.read(_checked(path), offset, length)

    def write_json(self, path: str, value: Any) -> None:
        """Replace the file in one step. `value`: what JSON knows, and dataclasses and datetimes."""
        self._put(_checked(path), _json(value))

    def delete(self, path: str) -> None:
        """Delete the file, and its companions after it; nothing happens where there is none."""
        self._zone.delete(_checked(path))
        for companion, leader in _COMPANIONS.items():
            if path.endswith(leader):
                self._zone.delete(path.removesuffix(leader) + companion)

    def local(self, path: str) -> AbstractContextManager[Path]:
        """The file as a local one: itself on a local disk, else a copy that lives as long as the context."""
        return self._zone.local(_checked(path))

    # captures --------------------------------------------------------------------------------------------------
    def captures(self, path: str) -> CaptureWriter:
        """A writer for a batch of captures, to be used in a `with`: `captures/2026-11-23/<run>-0000.warc.gz`."""
        if not path.endswith(".warc.gz"):
            raise UsageError("a file of captures ends in .warc.gz", subject=path)
        return CaptureWriter(self._zone, _checked(path))

    # files of stories ------------------------------------------------------------------------------------------
    def write_part(
        self, path: str, contents: Sequence[Content], fingerprints: Sequence[Fingerprint], header: Mapping[str, Any]
    ) -> None:
        """Write a file of stories: `path`.jsonl.zst, .npz and, last, .json.

        The version that `part` shows is a digest of all three, the header included, so a header that holds a clock
        makes every writing another version. Writing the same again changes nothing.
        """
        if len(contents) != len(fingerprints):
            raise ValueError(f"{len(contents)} contents with {len(fingerprints)} fingerprints")
        _checked(path)
        lines = [_line(content.to_json()) for content in contents]
        frames, offsets = _frames(lines)
        sidecar = _sidecar(contents, fingerprints, offsets)
        version = _version(lines, sidecar, header)
        if self.exists(path + ".json"):
            if self.part(path).version == version:
                return
            self._zone.delete(path + ".json")  # no header may ever stand beside another version's data
        packed = io.BytesIO()
        np.savez(packed, allow_pickle=False, **sidecar)
        self._put(path + ".jsonl.zst", frames)
        self._put(path + ".npz", packed.getvalue())
        head = {"version": version, "count": len(lines), "header": dict(header)}
        self._put(path + ".json", _json(head))

    def part(self, path: str) -> Part:
        """The file of stories that `write_part` wrote under this path."""
        head = self.read_json(path + ".json")
        try:
            return Part(self._zone, path, head["header"], str(head["version"]), int(head["count"]))
        except (KeyError, TypeError, ValueError) as error:
            raise LandingFault("is no header of a file of stories", subject=path, advice=_DIGEST_AGAIN) from error

    def parts(self, prefix: str = "stories/") -> builtins.list[str]:
        """The complete files of stories, sorted."""
        names = set(self.list(prefix))
        heads = (name.removesuffix(".json") for name in names if name.endswith(".json"))
        return sorted(head for head in heads if {head + ".jsonl.zst", head + ".npz"} <= names)

    # quarantine ------------------------------------------------------------------------------------------------
    def quarantine(self, item: Quarantined) -> str:
        """Keep an item; its id. The same one twice is one item, with what was said of it last."""
        identity = item.identity()
        record = {name: getattr(item, name) for name in item.__slots__ if name != "data"}
        record.update(id=identity, captured=dates.iso(item.captured), meta=dict(item.meta), size=len(item.data))
        self._put(f"quarantine/{identity}.bin", item.data)
        self._put(f"quarantine/{identity}.json", _json(record))
        return identity

    def quarantined(self) -> builtins.list[Quarantined]:
        """All items, by id, without their bytes."""
        return [self._quarantined(path) for path in self.list("quarantine/", suffix=".json")]

    def quarantined_item(self, identity: str) -> Quarantined:
        """One item, without its bytes."""
        return self._quarantined(_checked(f"quarantine/{identity}.json"))

    def quarantined_bytes(self, identity: str) -> bytes:
        return self._zone.read(_checked(f"quarantine/{identity}.bin"))

    def quarantined_ids(self) -> set[str]:
        """The ids of all items; much cheaper than the items."""
        return {Path(path).stem for path in self.list("quarantine/", suffix=".json")}

    def drop_quarantined(self, identity: str) -> None:
        self.delete(f"quarantine/{identity}.json")

    def _quarantined(self, path: str) -> Quarantined:
        record = self.read_json(path)
        try:
            plain = {name: record[name] for name in Quarantined.__slots__ if name in record}  # older ones say less
            return Quarantined(**{**plain, "captured": dates.instant(record["captured"])})
        except (KeyError, TypeError, ValueError) as error:
            raise LandingFault("is no quarantined item", subject=path, advice="Delete it.") from error

    def _put(self, path: str, data: bytes) -> None:
        with self._zone.scratch(path) as temporary:
            with temporary.open("wb") as file, _faults(path):
                file.write(data)
            self._zone.commit(temporary, path)


# captures: WARC and CDXJ ----------------------------------------------------------------------------------------
class CaptureWriter:
    """Writes captures to one WARC file, which is there when the `with` block ends well, and else never was."""

    def __init__(self, zone: _Zone, path: str) -> None:
        self._zone = zone
        self._path = path
        self._name = path.rpartition("/")[2]
        self._scratch = zone.scratch(path)
        self._index: list[str] = []

    def __enter__(self) -> CaptureWriter:
        self._temporary = self._scratch.__enter__()
        with _faults(self._path):
            self._file = self._temporary.open("wb")
        self._warc = WARCWriter(self._file, gzip=True, warc_version="WARC/1.1")
        info = {"software": f"sitrep/{__version__}", "format": "WARC File Format 1.1"}
        info["conformsTo"] = "http://iipc.github.io/warc-specifications/specifications/warc-format/warc-1.1/"
        block = "".join(f"{name}: {value}\r\n" for name, value in info.items()).encode()
        head = [("WARC-Filename", self._name)]
        self._write("warcinfo", _uuid(), datetime.now(UTC), head, "application/warc-fields", block)
        return self

    def add(self, capture: Capture) -> None:
        """Write a response (a 304 as a revisit), preceded by a note of the feed, entry and addresses it belongs to."""
        identity, url = _uuid(), _uri(capture.url)
        note = _note(capture)
        if note:
            links = [("WARC-Target-URI", url), ("WARC-Concurrent-To", identity)]
            self._write("metadata", _uuid(), capture.captured, links, "application/json", note)
        revisit = capture.status == HTTPStatus.NOT_MODIFIED
        body = b"" if revisit else capture.body
        payload = f"sha256:{hashlib.sha256(body).hexdigest()}"
        head = [("WARC-Target-URI", url), ("WARC-Payload-Digest", payload)]
        if revisit:
            head.append(("WARC-Profile", NOT_MODIFIED))
        kind = "revisit" if revisit else "response"
        block = _http_head(capture, len(body)) + body
        offset, length = self._write(
            kind, identity, capture.captured, head, "application/http; msgtype=response", block
        )
        mime = "warc/revisit" if revisit else (capture.header("content-type") or "unk").partition(";")[0].strip()
        about = {"url": url, "mime": mime, "status": str(capture.status), "digest": payload}
        about.update(length=str(length), offset=str(offset), filename=self._name)
        stamp = capture.captured.astimezone(UTC).strftime("%Y%m%d%H%M%S")
        self._index.append(f"{surt(url)} {stamp} {json.dumps(about)}\n")

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            with _faults(self._path):
                self._file.close()
            if kind is None:
                self._complete()
        finally:
            self._scratch.__exit__(kind, error, trace)

    def _complete(self) -> None:
        index = self._path.removesuffix(".warc.gz") + ".cdxj"
        with self._zone.scratch(index) as temporary:
            with _faults(index):
                temporary.write_bytes("".join(sorted(self._index)).encode())
            self._zone.commit(temporary, index)
        self._zone.commit(self._temporary, self._path)

    def _write(
        self, kind: str, identity: str, moment: datetime, head: list[tuple[str, str]], media_type: str, block: bytes
    ) -> tuple[int, int]:
        """Write one record; its offset and length in the file."""
        stamp = moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        fields = [("WARC-Type", kind), ("WARC-Record-ID", identity), ("WARC-Date", stamp), *head]
        fields.append(("WARC-Block-Digest", f"sha256:{hashlib.sha256(block).hexdigest()}"))
        headers = StatusAndHeaders("", fields, protocol="WARC/1.1")
        # The HTTP headers stand in the block already: given to warcio it would write them anew, and change bytes. But
        # of a revisit it writes nothing else.
        only = _HttpHead(block) if kind == "revisit" else None
        record = ArcWarcRecord("warc", kind, headers, io.BytesIO(b"" if only else block), only, media_type, len(block))
        record.payload_length = 0 if only else len(block)
        with _faults(self._path):
            offset = self._file.tell()
            self._warc.write_record(record)
            return offset, self._file.tell() - offset


class _HttpHead:
    """HTTP headers that are written already, for warcio to take as they are."""

    def __init__(self, headers_buff: bytes) -> None:
        self.headers_buff = headers_buff

    def compute_headers_buffer(self, header_filter: object) -> None: ...


def surt(url: str) -> str:
    """The key of a CDXJ index: the host's labels from the right, then the path and the sorted query, in lower case."""
    parts = urlsplit(url if "://" in url else f"//{url}")
    host = re.sub(r"^www\d*\.", "", (parts.hostname or "").lower())
    key = host if re.fullmatch(r"[\d.]+|.*:.*", host) else ",".join(reversed(host.split(".")))
    try:
        port = parts.port
    except ValueError:
        port = None
    if port and port != {"http": 80, "https": 443}.get(parts.scheme):
        key += f":{port}"
    query = "&".join(sorted(parts.query.lower().split("&")))
    tail = (parts.path.lower() or "/") + (f"?{query}" if query else "")
    return f"{key}){tail}".replace(" ", "%20")


def _http_head(capture: Capture, length: int) -> bytes:
    """Status line and headers as they came, but for those that told of codings which are taken off."""
    try:
        phrase = HTTPStatus(capture.status).phrase
    except ValueError:
        phrase = ""
    lines = [f"HTTP/1.1 {capture.status} {phrase}".rstrip()]
    for name, value in capture.headers:
        name = re.sub(r"[^!#-'*+.0-9A-Z^_`a-z|~-]", "", name)
        if name and name.lower() not in _REWRITTEN:
            lines.append(f"{name}: {_CONTROLS.sub(' ', value).strip()}")
    lines.append(f"Content-Length: {length}")
    return b"".join(_octets(line) + b"\r\n" for line in lines) + b"\r\n"


def _octets(line: str) -> bytes:
    try:
        return line.encode("latin-1")  # as the bytes came over the wire
    except UnicodeEncodeError:
        return line.encode("utf-8", "replace")


def _note(capture: Capture) -> bytes:
    note = {"feed": capture.feed, "entry": capture.entry, "addresses": list(capture.addresses)}
    said = {name: value for name, value in note.items() if value}
    return json.dumps(said).encode() if said else b""  # not orjson: an entry may hold half a surrogate pair


def _uri(url: str) -> str:
    """`url` fit for a header line: blanks, control characters and half surrogates percent-encoded."""
    return re.sub(
        r"[\x00-\x20\x7f-\xa0\ud800-\udfff]",
        lambda match: "".join(f"%{byte:02X}" for byte in match[0].encode("utf-8", "surrogatepass")),
        url,
    )


def _uuid() -> str:
    return f"<urn:uuid:{uuid.uuid4()}>"


# files of stories -----------------------------------------------------------------------------------------------
class Part:
    """A file of stories. `version` identifies its bytes, `count` is the number of its stories."""

    def __init__(self, zone: _Zone, path: str, header: Mapping[str, Any], version: str, count: int) -> None:
        self._zone = zone
        self.path = path
        self.header = header
        self.version = version
        self.count = count

    @functools.cached_property
    def ids(self) -> tuple[str, ...]:
        return tuple(str(identity) for identity in self._arrays["ids"])

    @property
    def instants(self) -> NDArray[np.int64]:
        """When each story is placed, in seconds since the epoch."""
        return self._arrays["instants"]

    def fingerprints(self, start: int = 0, stop: int | None = None) -> list[Fingerprint]:
        """The fingerprints of the stories from `start` up to `stop`, without reading a story."""
        arrays = self._arrays
        bounds, number_bounds = arrays["shingle_bounds"], arrays["number_bounds"]
        numbers = arrays["numbers"].tobytes()
        return [
            Fingerprint(
                arrays["shingles"][bounds[i] : bounds[i + 1]].copy(),  # not a view that keeps the whole part alive
                tuple(json.loads(numbers[number_bounds[i] : number_bounds[i + 1]])),
            )
            for i in range(*slice(start, stop).indices(self.count))
        ]

    def slice(self, start: int, stop: int) -> list[tuple[Content, Fingerprint]]:
        """The stories from `start` up to `stop`, reading only the frames that hold them.

        Raises LandingFault where the file is damaged.
        """
        start, stop, _ = slice(start, stop).indices(self.count)
        if start >= stop:
            return []
        first, last = start // FRAME, (stop - 1) // FRAME
        try:
            offsets = [int(offset) for offset in self._arrays["frames"][first : last + 2]]
            data = self._zone.read(self.path + ".jsonl.zst", offsets[0], offsets[-1] - offsets[0])
            lines = _lines(data, [offset - offsets[0] for offset in offsets])
            wanted = lines[start - first * FRAME : stop - first * FRAME]
            contents = [Content.from_json(orjson.loads(line)) for line in wanted]
            return list(zip(contents, self.fingerprints(start, stop), strict=True))
        except (zstandard.ZstdError, KeyError, TypeError, ValueError, IndexError) as error:
            raise LandingFault(f"is damaged ({error})", subject=self.path, advice=_DIGEST_AGAIN) from error

    @functools.cached_property
    def _arrays(self) -> dict[str, NDArray[Any]]:
        data = self._zone.read(self.path + ".npz")
        try:
            with np.load(io.BytesIO(data), allow_pickle=False) as arrays:
                return {name: arrays[name] for name in arrays.files}
        except (OSError, ValueError, EOFError, KeyError, RuntimeError, zipfile.BadZipFile) as error:
            raise LandingFault(f"is damaged ({error})", subject=self.path + ".npz", advice=_DIGEST_AGAIN) from error


_DIGEST_AGAIN = "Delete it and digest its captures again."


def _frames(lines: Sequence[bytes]) -> tuple[bytes, list[int]]:
    """The lines as zstd frames of `FRAME` lines, and where each frame begins (and the last one ends)."""
    compressor = zstandard.ZstdCompressor(level=3, write_checksum=True)
    frames = [
        compressor.compress(b"".join(line + b"\n" for line in lines[start : start + FRAME]))
        for start in range(0, len(lines), FRAME)
    ]
    return b"".join(frames), _bounds([len(frame) for frame in frames])


def _lines(data: bytes, offsets: Sequence[int]) -> list[bytes]:
    decompressor = zstandard.ZstdDecompressor()
    lines: list[bytes] = []
    for start, stop in itertools.pairwise(offsets):
        lines += decompressor.decompress(data[start:stop]).splitlines()
    return lines


def _sidecar(
    contents: Sequence[Content], fingerprints: Sequence[Fingerprint], offsets: Sequence[int]
) -> dict[str, NDArray[Any]]:
    shingles = [np.asarray(fingerprint.shingles, dtype=np.uint64) for fingerprint in fingerprints]
    numbers = [json.dumps(list(fingerprint.numbers)).encode() for fingerprint in fingerprints]
    return {
        "ids": np.array([content.id for content in contents], dtype=np.str_),
        "instants": np.array([int(content.instant().timestamp()) for content in contents], dtype=np.int64),
        "shingles": np.concatenate([np.empty(0, np.uint64), *shingles]),
        "shingle_bounds": np.array(_bounds([len(part) for part in shingles]), dtype=np.int64),
        "numbers": np.array(bytearray(b"".join(numbers)), dtype=np.uint8),
        "number_bounds": np.array(_bounds([len(part) for part in numbers]), dtype=np.int64),
        "frames": np.array(offsets, dtype=np.int64),
    }


def _bounds(lengths: Sequence[int]) -> list[int]:
    return [0, *np.cumsum(lengths, dtype=np.int64).tolist()]


def _version(lines: Sequence[bytes], sidecar: Mapping[str, NDArray[Any]], header: Mapping[str, Any]) -> str:
    digest = hashlib.sha256()
    for line in lines:
        digest.update(line + b"\n")
    for name, array in sidecar.items():
        if name != "frames":  # where frames begin is the compressor's choice, and may change with its version
            digest.update(name.encode() + array.tobytes())
    digest.update(json.dumps(json.loads(_json(dict(header))), sort_keys=True).encode())
    return digest.hexdigest()[:16]


def _line(value: Any) -> bytes:
    try:
        return orjson.dumps(value)
    except TypeError:  # half a surrogate pair somewhere: orjson refuses what json escapes
        return json.dumps(value).encode()


def _json(value: Any) -> bytes:
    try:
        return orjson.dumps(value, option=orjson.OPT_INDENT_2 | orjson.OPT_NON_STR_KEYS | orjson.OPT_SORT_KEYS)
    except TypeError:
        return json.dumps(value, indent=2, sort_keys=True).encode()


# where the files are --------------------------------------------------------------------------------------------
class _Zone(ABC):
    """Files by relative path, on a local disk or behind fsspec."""

    @abstractmethod
    def walk(self, folder: str) -> Iterator[str]: ...

    @abstractmethod
    def exists(self, path: str) -> bool: ...

    @abstractmethod
    def read(self, path: str, offset: int = 0, length: int = -1) -> bytes: ...

    @abstractmethod
    def scratch(self, path: str) -> AbstractContextManager[Path]:
        """A local temporary file's path, to be committed as `path`; what is left of it in the end is removed."""

    @abstractmethod
    def commit(self, temporary: Path, path: str) -> None: ...

    @abstractmethod
    def delete(self, path: str) -> None: ...

    @abstractmethod
    def local(self, path: str) -> AbstractContextManager[Path]: ...


class _Disk(_Zone):
    def __init__(self, root: Path) -> None:
        self._root = root

    def walk(self, folder: str) -> Iterator[str]:
        with _faults(folder or str(self._root)):
            for base, _, names in os.walk(self._root / folder):
                for name in names:
                    yield Path(base, name).relative_to(self._root).as_posix()

    def exists(self, path: str) -> bool:
        with _faults(path):
            return (self._root / path).is_file()

    def read(self, path: str, offset: int = 0, length: int = -1) -> bytes:
        with _faults(path), (self._root / path).open("rb") as file:
            file.seek(offset)
            return file.read(length)

    @contextmanager
    def scratch(self, path: str) -> Iterator[Path]:
        folder = (self._root / path).parent
        with _faults(path):
            folder.mkdir(parents=True, exist_ok=True)
            _tidy(folder)
        temporary = folder / _temporary(path)
        try:
            yield temporary
        finally:
            temporary.unlink(missing_ok=True)

    def commit(self, temporary: Path, path: str) -> None:
        target = self._root / path
        with _faults(path):
            with temporary.open("rb") as file:
                os.fsync(file.fileno())
            temporary.replace(target)
            _sync_folder(target.parent)

    def delete(self, path: str) -> None:
        target = self._root / path
        with _faults(path):
            if target.is_file():
                target.unlink()
                _sync_folder(target.parent)

    @contextmanager
    def local(self, path: str) -> Iterator[Path]:
        if not self.exists(path):
            raise LandingFault("is not there", subject=path)
        yield self._root / path


class _Remote(_Zone):
    """Behind fsspec: written to a local temporary file, then uploaded under a temporary name and moved."""

    def __init__(self, url: str) -> None:
        with _faults(url):
            filesystem, root = fsspec.core.url_to_fs(url)
        self._fs: Any = filesystem
        self._base = str(root).rstrip("/")
        self._tidied: set[str] = set()

    def walk(self, folder: str) -> Iterator[str]:
        with _faults(folder or self._base):
            self._fs.invalidate_cache()  # other processes write here too
            start = self._full(folder) if folder else self._base
            found: list[str] = self._fs.find(start) if self._fs.exists(start or "/") else []
        for name in found:
            yield str(name)[len(self._base) :].lstrip("/")

    def exists(self, path: str) -> bool:
        with _faults(path):
            self._fs.invalidate_cache()
            return bool(self._fs.isfile(self._full(path)))

    def read(self, path: str, offset: int = 0, length: int = -1) -> bytes:
        end = None if length < 0 else offset + length
        with _faults(path):
            return bytes(self._fs.cat_file(self._full(path), start=offset, end=end))

    @contextmanager
    def scratch(self, path: str) -> Iterator[Path]:
        with _faults(path):
            self._tidy(path.rpartition("/")[0])
            folder = Path(tempfile.mkdtemp(prefix="sitrep-"))
        try:
            yield folder / "file"
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def commit(self, temporary: Path, path: str) -> None:
        folder = path.rpartition("/")[0]
        waiting = self._full(f"{folder}/{_temporary(path)}" if folder else _temporary(path))
        with _faults(path):
            self._fs.makedirs(self._full(folder) if folder else self._base, exist_ok=True)
            try:
                self._fs.put_file(str(temporary), waiting)
                self._fs.mv(waiting, self._full(path))
            except BaseException:
                if self._fs.exists(waiting):
                    self._fs.rm_file(waiting)
                raise

    def delete(self, path: str) -> None:
        with _faults(path):
            if self._fs.isfile(self._full(path)):
                self._fs.rm_file(self._full(path))

    @contextmanager
    def local(self, path: str) -> Iterator[Path]:
        folder = Path(tempfile.mkdtemp(prefix="sitrep-"))
        try:
            target = folder / path.rpartition("/")[2]
            with _faults(path):
                self._fs.get_file(self._full(path), str(target))
            yield target
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def _full(self, path: str) -> str:
        return f"{self._base}/{path}"

    def _tidy(self, folder: str) -> None:
        """Remove what a killed upload left; once a folder, as listing costs a request."""
        if folder in self._tidied:
            return
        self._tidied.add(folder)
        full = self._full(folder) if folder else self._base
        if not self._fs.exists(full or "/"):
            return
        for entry in self._fs.ls(full, detail=False):
            if _is_temporary(str(entry).rpartition("/")[2]) and self._age(str(entry)) > STALE:
                self._fs.rm_file(entry)

    def _age(self, path: str) -> float:
        try:
            modified: datetime = self._fs.modified(path)
        except NotImplementedError:
            return 0.0  # this storage does not say: what is old stays
        return datetime.now(UTC).timestamp() - modified.timestamp()


def _open(root: str) -> _Zone:
    if root.startswith("file://"):
        return _Disk(Path(root.removeprefix("file://")))
    return _Remote(root) if "://" in root or "::" in root else _Disk(Path(root))


def _checked(path: str) -> str:
    """`path`, if every part of it is a plain name. Nothing that comes from outside may choose a place on the disk."""
    if all(_SEGMENT.fullmatch(segment) and ".." not in segment for segment in path.split("/")):
        return path
    raise UsageError(f"{path[:200]!r} is no path inside the landing zone")


def _leader(name: str, names: set[str]) -> bool:
    """Whether the file that this one belongs to is there, or it belongs to none."""
    for companion, leader in _COMPANIONS.items():
        if name.endswith(companion):
            return name.removesuffix(companion) + leader in names
    return True


def _temporary(path: str) -> str:
    return f".{path.rpartition('/')[2][:180]}.{os.getpid()}-{secrets.token_hex(4)}.tmp"


def _is_temporary(name: str) -> bool:
    return name.startswith(".") and name.endswith(".tmp")


def _tidy(folder: Path) -> None:
    """Remove temporary files that a killed writer left."""
    oldest = time.time() - STALE
    for entry in os.scandir(folder):
        if _is_temporary(entry.name) and entry.stat(follow_symlinks=False).st_mtime < oldest:
            Path(entry.path).unlink(missing_ok=True)


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


@contextmanager
def _faults(subject: str) -> Iterator[None]:
    """Turn what disks and storages raise into a LandingFault that says what to do."""
    try:
        yield
    except (LandingFault, UsageError):
        raise
    except OSError as error:
        message, advice = _advice(error)
        raise LandingFault(message, subject=subject, advice=advice) from error
    except ImportError as error:  # fsspec knows the protocol, but its package is not installed
        raise UsageError(str(error), subject=subject) from error
    except ValueError as error:
        raise UsageError(str(error), subject=subject, advice="Give a path or an fsspec URL.") from error
    except Exception as error:  # a storage's own client: each has its own tree of errors
        raise LandingFault(f"the storage failed ({type(error).__name__}: {error})", subject=subject) from error


def _advice(error: OSError) -> tuple[str, str]:
    if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return "the disk is full", "Free some space and run the same again; nothing that was complete is lost."
    if error.errno in (errno.EROFS, errno.EACCES, errno.EPERM):
        return "the landing zone may not be used", "Make it writable for this user, or set SITREP_LANDING elsewhere."
    if isinstance(error, FileNotFoundError):
        return "is not there", ""
    return f"the landing zone failed ({error.strerror or type(error).__name__})", "Run the same again."
