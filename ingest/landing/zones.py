"""Where the files of a landing zone are: on a local disk or behind fsspec, each there whole or not at all."""

from __future__ import annotations

import contextlib
import errno
import os
import re
import secrets
import shutil
import tempfile
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import fsspec

from ingest.errors import LandingFault, UsageError

STALE = 86_400.0  # s; a temporary file this old has no writer any more, no batch takes a day

COMPANIONS = {".cdxj": ".warc.gz", ".jsonl.zst": ".json", ".npz": ".json", ".bin": ".json"}
_SEGMENT = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.+=:,@~-]{0,199}")


class Zone(ABC):
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


class Disk(Zone):
    def __init__(self, root: Path) -> None:
        self._root = root

    def walk(self, folder: str) -> Iterator[str]:
        with faults(folder or str(self._root)):
            for base, _, names in os.walk(self._root / folder, onerror=_unless_gone):
                for name in names:
                    yield Path(base, name).relative_to(self._root).as_posix()

    def exists(self, path: str) -> bool:
        with faults(path):
            return (self._root / path).is_file()

    def read(self, path: str, offset: int = 0, length: int = -1) -> bytes:
        with faults(path), (self._root / path).open("rb") as file:
            file.seek(offset)
            return file.read(length)

    @contextmanager
    def scratch(self, path: str) -> Iterator[Path]:
        folder = (self._root / path).parent
        with faults(path):
            folder.mkdir(parents=True, exist_ok=True)
            _tidy(folder)
        temporary = folder / _temporary(path)
        try:
            yield temporary
        finally:
            temporary.unlink(missing_ok=True)

    def commit(self, temporary: Path, path: str) -> None:
        target = self._root / path
        with faults(path):
            with temporary.open("rb") as file:
                os.fsync(file.fileno())
            temporary.replace(target)
            _sync_folder(target.parent)

    def delete(self, path: str) -> None:
        target = self._root / path
        with faults(path):
            if target.is_file():
                target.unlink()
                _sync_folder(target.parent)

    @contextmanager
    def local(self, path: str) -> Iterator[Path]:
        if not self.exists(path):
            raise LandingFault("is not there", subject=path)
        yield self._root / path


class Remote(Zone):
    """Behind fsspec: written to a local temporary file, then uploaded under a temporary name and moved."""

    def __init__(self, url: str) -> None:
        with faults(url):
            filesystem, root = fsspec.core.url_to_fs(url)
        self._fs: Any = filesystem
        self._base = str(root).rstrip("/")
        self._tidied: set[str] = set()

    def walk(self, folder: str) -> Iterator[str]:
        with faults(folder or self._base):
            self._fs.invalidate_cache()  # other processes write here too
            start = self._full(folder) if folder else self._base
            found: list[str] = self._fs.find(start) if self._fs.exists(start or "/") else []
        for name in found:
            yield str(name)[len(self._base) :].lstrip("/")

    def exists(self, path: str) -> bool:
        with faults(path):
            self._fs.invalidate_cache()
            return bool(self._fs.isfile(self._full(path)))

    def read(self, path: str, offset: int = 0, length: int = -1) -> bytes:
        end = None if length < 0 else offset + length
        with faults(path):
            return bytes(self._fs.cat_file(self._full(path), start=offset, end=end))

    @contextmanager
    def scratch(self, path: str) -> Iterator[Path]:
        with faults(path):
            self._tidy(path.rpartition("/")[0])
            folder = Path(tempfile.mkdtemp(prefix="sitrep-"))
        try:
            yield folder / "file"
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def commit(self, temporary: Path, path: str) -> None:
        folder = path.rpartition("/")[0]
        waiting = self._full(f"{folder}/{_temporary(path)}" if folder else _temporary(path))
        with faults(path):
            self._fs.makedirs(self._full(folder) if folder else self._base, exist_ok=True)
            try:
                self._fs.put_file(str(temporary), waiting)
                self._fs.mv(waiting, self._full(path))
            except BaseException:
                if self._fs.exists(waiting):
                    self._fs.rm_file(waiting)
                raise

    def delete(self, path: str) -> None:
        with faults(path):
            if self._fs.isfile(self._full(path)):
                self._fs.rm_file(self._full(path))

    @contextmanager
    def local(self, path: str) -> Iterator[Path]:
        folder = Path(tempfile.mkdtemp(prefix="sitrep-"))
        try:
            target = folder / path.rpartition("/")[2]
            with faults(path):
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
            with contextlib.suppress(FileNotFoundError):  # its writer has come to its end meanwhile
                if _is_temporary(str(entry).rpartition("/")[2]) and self._age(str(entry)) > STALE:
                    self._fs.rm_file(entry)

    def _age(self, path: str) -> float:
        try:
            modified: datetime = self._fs.modified(path)
        except NotImplementedError:
            return 0.0  # this storage does not say: what is old stays
        return datetime.now(UTC).timestamp() - modified.timestamp()


def opened(root: str) -> Zone:
    if root.startswith("file://"):
        return Disk(Path(root.removeprefix("file://")))
    return Remote(root) if "://" in root or "::" in root else Disk(Path(root))


def checked(path: str) -> str:
    """`path`, if every part of it is a plain name. Nothing that comes from outside may choose a place on the disk."""
    if all(_SEGMENT.fullmatch(segment) and ".." not in segment for segment in path.split("/")):
        return path
    raise UsageError(f"{path[:200]!r} is no path inside the landing zone")


def leads(name: str, names: set[str]) -> bool:
    """Whether the file that this one belongs to is there, or it belongs to none."""
    for companion, leader in COMPANIONS.items():
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
        with contextlib.suppress(FileNotFoundError):  # its writer has come to its end meanwhile
            if _is_temporary(entry.name) and entry.stat(follow_symlinks=False).st_mtime < oldest:
                Path(entry.path).unlink()


def _unless_gone(error: OSError) -> None:
    """A folder that is not there (any more) holds nothing; of one that cannot be read nobody knows."""
    if not isinstance(error, FileNotFoundError):
        raise error


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


@contextmanager
def faults(subject: str) -> Iterator[None]:
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
