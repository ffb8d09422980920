"""Captures as WARC 1.1 with a CDXJ index."""

from __future__ import annotations

import hashlib
import io
import json
import re
import uuid
from datetime import UTC, datetime
from http import HTTPStatus
from types import TracebackType
from urllib.parse import urlsplit

from warcio.recordloader import ArcWarcRecord
from warcio.statusandheaders import StatusAndHeaders
from warcio.warcwriter import WARCWriter

from ingest import __version__, addresses
from ingest.landing.zones import Zone, faults
from ingest.models import Capture

NOT_MODIFIED = "http://netpreserve.org/warc/1.1/revisit/server-not-modified"

_CONTROLS = re.compile(r"[\x00-\x1f\x7f]+")
_REWRITTEN = {"content-encoding", "transfer-encoding", "content-length"}


class CaptureWriter:
    """Writes captures to one WARC file, which is there when the `with` block ends well, and else never was."""

    def __init__(self, zone: Zone, path: str) -> None:
        self._zone = zone
        self._path = path
        self._name = path.rpartition("/")[2]
        self._scratch = zone.scratch(path)
        self._index: list[str] = []

    def __enter__(self) -> CaptureWriter:
        self._temporary = self._scratch.__enter__()
        with faults(self._path):
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
            with faults(self._path):
                self._file.close()
            if kind is None:
                self._complete()
        finally:
            self._scratch.__exit__(kind, error, trace)

    def _complete(self) -> None:
        index = self._path.removesuffix(".warc.gz") + ".cdxj"
        with self._zone.scratch(index) as temporary:
            with faults(index):
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
        with faults(self._path):
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
    if port and port != addresses.PORTS.get(parts.scheme):
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
    names = ("feed", "site", "language", "entry")
    note = {**{name: getattr(capture, name) for name in names}, "addresses": list(capture.addresses)}
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
