"""The samples of many texts, end to end: in memory where they are few, else in a temporary file.

They are most of what a window holds and are seldom asked for: those of a slice when it comes, later some of others.
"""

from __future__ import annotations

import weakref
from tempfile import TemporaryFile
from typing import IO

import numpy as np

from ingest.dedup.arrays import Column, Hashes, Ints

IN_MEMORY = 1 << 20  # hashes: 8 MB


class Samples:
    """See the module's docstring."""

    def __init__(self) -> None:
        self._latest = Column(np.uint64)  # those that are not in the file
        self._file: IO[bytes] | None = None
        self._filed = 0  # hashes in the file
        self._mapped: Hashes = np.empty(0, np.uint64)

    def __len__(self) -> int:
        return self._filed + len(self._latest)

    def add(self, hashes: Hashes) -> None:
        if len(self._latest) + len(hashes) > IN_MEMORY:
            self._spill()
        self._latest.add(hashes)

    def _spill(self) -> None:
        if self._file is None:
            self._file = TemporaryFile()  # noqa: SIM115 - closed with this object
            weakref.finalize(self, self._file.close)
        self._file.write(self._latest.values.tobytes())
        self._file.flush()
        self._filed += len(self._latest)
        self._latest = Column(np.uint64)

    def __getitem__(self, places: Ints) -> Hashes:
        """The hashes at these places."""
        if not self._filed:
            return self._latest.values[places]
        if len(self._mapped) < self._filed:
            assert self._file is not None
            self._mapped = np.memmap(self._file, np.uint64, "r", shape=(self._filed,))
        latest = places >= self._filed
        result = np.empty(len(places), np.uint64)
        result[latest] = self._latest.values[places[latest] - self._filed]
        result[~latest] = self._mapped[places[~latest]]
        return result
