"""Files of stories: JSON lines in frames of zstd, a sidecar of arrays, and a header that is written last."""

from __future__ import annotations

import functools
import hashlib
import io
import itertools
import json
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import orjson
import zstandard
from numpy.typing import NDArray

from ingest.errors import LandingFault
from ingest.landing.zones import Zone
from ingest.models import Content, Fingerprint

FRAME = 1_000  # stories in one zstd frame: what a slice decompresses at least (about 4 MB of text)


class Part:
    """A file of stories. `version` identifies its bytes, `count` is the number of its stories."""

    def __init__(self, zone: Zone, path: str, header: Mapping[str, Any], version: str, count: int) -> None:
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
            raise LandingFault(f"is damaged ({error})", subject=self.path, advice=DIGEST_AGAIN) from error

    @functools.cached_property
    def _arrays(self) -> dict[str, NDArray[Any]]:
        data = self._zone.read(self.path + ".npz")
        try:
            with np.load(io.BytesIO(data), allow_pickle=False) as arrays:
                return {name: arrays[name] for name in arrays.files}
        except (OSError, ValueError, EOFError, KeyError, RuntimeError, zipfile.BadZipFile) as error:
            raise LandingFault(f"is damaged ({error})", subject=self.path + ".npz", advice=DIGEST_AGAIN) from error


DIGEST_AGAIN = "Delete it and digest its captures again."


@dataclass(frozen=True, slots=True)
class Packed:
    """A file of stories, to be written: ending → bytes, the header last."""

    version: str
    files: Mapping[str, bytes]


def pack(contents: Sequence[Content], fingerprints: Sequence[Fingerprint], header: Mapping[str, Any]) -> Packed:
    """Raises ValueError where there is not one fingerprint for each content."""
    if len(contents) != len(fingerprints):
        raise ValueError(f"{len(contents)} contents with {len(fingerprints)} fingerprints")
    lines = [as_line(content.to_json()) for content in contents]
    frames, offsets = _frames(lines)
    sidecar = _sidecar(contents, fingerprints, offsets)
    version = _version(lines, sidecar, header)
    arrays = io.BytesIO()
    np.savez(arrays, allow_pickle=False, **sidecar)
    head = {"version": version, "count": len(lines), "header": dict(header)}
    return Packed(version, {".jsonl.zst": frames, ".npz": arrays.getvalue(), ".json": as_json(head)})


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
    digest.update(json.dumps(json.loads(as_json(dict(header))), sort_keys=True).encode())
    return digest.hexdigest()[:16]


def as_line(value: Any) -> bytes:
    try:
        return orjson.dumps(value)
    except TypeError:  # half a surrogate pair somewhere: orjson refuses what json escapes
        return json.dumps(value).encode()


def as_json(value: Any) -> bytes:
    try:
        return orjson.dumps(value, option=orjson.OPT_INDENT_2 | orjson.OPT_NON_STR_KEYS | orjson.OPT_SORT_KEYS)
    except TypeError:
        return json.dumps(value, indent=2, sort_keys=True).encode()
