"""The landing zone: what was fetched (WARC 1.1 with a CDXJ index), files of stories, reports, quarantine.

A zone is a folder or any fsspec URL. A file in it is there whole or not at all: it is written under a temporary name,
synced, and renamed when it is complete. What belongs to a file (a WARC's index, the data of a file of stories) is
renamed before it, and `list` shows a companion only beside the file that it belongs to. Every fault of the disk or the
object storage is a `LandingFault`, which says what to do; nothing that was there before is lost by one.
"""

from __future__ import annotations

import builtins
import json
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ingest import dates
from ingest.errors import LandingFault, UsageError
from ingest.landing import parts
from ingest.landing.captures import CaptureWriter, surt
from ingest.landing.parts import FRAME, Part, as_json
from ingest.landing.zones import COMPANIONS, checked, faults, leads, opened
from ingest.models import Content, Fingerprint, Quarantined

__all__ = ["DAMAGED", "FRAME", "CaptureWriter", "Landing", "Part", "surt"]

DAMAGED = "damaged"  # the kind of a quarantined item of which nobody can tell what it was
_UNKNOWN = datetime.fromtimestamp(0, UTC)


class Landing:
    """A landing zone at `root`: a path, or an fsspec URL (`s3://…`, `memory://…`, `file://…`).

    All paths are relative to it, with slashes. Raises UsageError for a path that leaves it, LandingFault where it
    cannot be read or written.
    """

    def __init__(self, root: str) -> None:
        self.root = root
        self._zone = opened(root)

    def list(self, prefix: str = "", *, suffix: str = "") -> builtins.list[str]:
        """The complete files whose path begins with `prefix` and ends in `suffix`, sorted."""
        folder = prefix.rpartition("/")[0]
        if folder:
            checked(folder)
        names = {name for name in self._zone.walk(folder) if not name.rpartition("/")[2].startswith(".")}
        shown = (name for name in names if leads(name, names) and name.startswith(prefix) and name.endswith(suffix))
        return sorted(shown)

    def exists(self, path: str) -> bool:
        return self._zone.exists(checked(path))

    def read_json(self, path: str) -> Any:
        """Raises LandingFault where the file is missing or no JSON."""
        data = self._zone.read(checked(path))
        try:
            return json.loads(data)
        except ValueError as error:
            again = not path.startswith("reports/")
            advice = "Delete it; it is made again." if again else "Delete it."
            raise LandingFault(f"is no JSON ({error})", subject=path, advice=advice) from error

    def read(self, path: str, offset: int = 0, length: int = -1) -> bytes:
        """Bytes of a file, all of them or those from `offset` on."""
        return self._zone.read(checked(path), offset, length)

    def write_json(self, path: str, value: Any) -> None:
        """Replace the file in one step. `value`: what JSON knows, and dataclasses and datetimes."""
        self._put(checked(path), as_json(value))

    def delete(self, path: str) -> None:
        """Delete the file, and its companions after it; nothing happens where there is none."""
        self._zone.delete(checked(path))
        for companion, leader in COMPANIONS.items():
            if path.endswith(leader):
                self._zone.delete(path.removesuffix(leader) + companion)

    def local(self, path: str) -> AbstractContextManager[Path]:
        """The file as a local one: itself on a local disk, else a copy that lives as long as the context."""
        return self._zone.local(checked(path))

    # captures --------------------------------------------------------------------------------------------------
    def captures(self, path: str) -> CaptureWriter:
        """A writer for a batch of captures, to be used in a `with`: `captures/2026-11-23/<run>-0000.warc.gz`."""
        if not path.endswith(".warc.gz"):
            raise UsageError("a file of captures ends in .warc.gz", subject=path)
        return CaptureWriter(self._zone, checked(path))

    # files of stories ------------------------------------------------------------------------------------------
    def write_part(
        self, path: str, contents: Sequence[Content], fingerprints: Sequence[Fingerprint], header: Mapping[str, Any]
    ) -> None:
        """Write a file of stories: `path`.jsonl.zst, .npz and, last, .json.

        The version that `part` shows is a digest of all three, the header included, so a header that holds a clock
        makes every writing another version. Writing the same again changes nothing.
        """
        packed = parts.pack(contents, fingerprints, header)
        if self.exists(path + ".json"):
            whole = all(self.exists(path + ending) for ending in packed.files)  # one may have been found damaged
            if whole and self.part(path).version == packed.version:
                return
            self._zone.delete(path + ".json")  # no header may ever stand beside another version's data
        for ending, data in packed.files.items():
            self._put(path + ending, data)

    def part(self, path: str) -> Part:
        """The file of stories that `write_part` wrote under this path."""
        head = self.read_json(path + ".json")
        try:
            return Part(self._zone, path, head["header"], str(head["version"]), int(head["count"]))
        except (KeyError, TypeError, ValueError) as error:
            raise LandingFault("is no header of a file of stories", subject=path, advice=parts.DIGEST_AGAIN) from error

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
        self._put(f"quarantine/{identity}.json", as_json(record))
        return identity

    def quarantined(self) -> builtins.list[Quarantined]:
        """All items, by id, without their bytes; of one whose record is damaged the id alone, its kind is DAMAGED."""
        return [self._quarantined(path) for path in self.list("quarantine/", suffix=".json")]

    def quarantined_item(self, identity: str) -> Quarantined:
        """One item, without its bytes; see `quarantined`."""
        return self._quarantined(checked(f"quarantine/{identity}.json"))

    def quarantined_bytes(self, identity: str) -> bytes:
        return self._zone.read(checked(f"quarantine/{identity}.bin"))

    def quarantined_ids(self) -> set[str]:
        """The ids of all items; much cheaper than the items."""
        return {Path(path).stem for path in self.list("quarantine/", suffix=".json")}

    def drop_quarantined(self, identity: str) -> None:
        self.delete(f"quarantine/{identity}.json")

    def _quarantined(self, path: str) -> Quarantined:
        try:
            record = json.loads(self._zone.read(path))
            plain = {name: record[name] for name in Quarantined.__slots__ if name in record}  # older ones say less
            return Quarantined(**{**plain, "captured": dates.instant(record["captured"])})
        except (KeyError, TypeError, ValueError):
            told = "what was kept of it cannot be read: `sitrep quarantine drop` it; `show --bytes` has its bytes"
            return Quarantined("damaged-record", told, path, DAMAGED, None, _UNKNOWN, id=Path(path).stem)

    def _put(self, path: str, data: bytes) -> None:
        with self._zone.scratch(path) as temporary:
            with temporary.open("wb") as file, faults(path):
                file.write(data)
            self._zone.commit(temporary, path)
