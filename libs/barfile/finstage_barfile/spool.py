"""Columns of numbers in temporary files: written in pieces, read by rows, whatever their length."""

import weakref
from collections.abc import Mapping, Sequence
from typing import IO, Any

import numpy as np
import numpy.typing as npt

from finstage_barfile.source import temporary
from finstage_market.columns import Int64s

Numbers = npt.NDArray[Any]
_ITEM = 8


class Spool:
    """Columns of one length, each of 8-byte numbers."""

    def __init__(self, columns: Mapping[str, Any]) -> None:
        """An empty spool; columns: the type of each."""
        self._types = {name: np.dtype(kind) for name, kind in columns.items()}
        self._files: dict[str, IO[bytes]] = {name: temporary() for name in columns}
        self._length = 0
        weakref.finalize(self, _close, self._files)

    def __len__(self) -> int:
        return self._length

    def append(self, columns: Mapping[str, Numbers]) -> None:
        """Write some rows at the end."""
        for name, file in self._files.items():
            file.seek(self._length * _ITEM)
            file.write(np.ascontiguousarray(columns[name], dtype=self._types[name]).data)
        self._length += len(next(iter(columns.values())))

    def read(self, name: str, start: int = 0, end: int | None = None) -> Numbers:
        """The numbers of a column in [start, end)."""
        end = self._length if end is None else end
        values = np.empty(end - start, dtype=self._types[name])
        file: Any = self._files[name]
        file.seek(start * _ITEM)
        file.readinto(values.data.cast("B"))
        return values

    def take(self, name: str, rows: Int64s) -> Numbers:
        """The numbers of a column in these rows, which lie close together."""
        if not len(rows):
            return np.empty(0, dtype=self._types[name])
        first = int(rows.min())
        return self.read(name, first, int(rows.max()) + 1)[rows - first]

    def reorder(self, rows: Int64s) -> None:
        """Keep these rows, in this order; one column at a time is in memory."""
        for name, file in self._files.items():
            values = self.read(name)[rows]
            file.seek(0)
            file.write(values.data)
        self._length = len(rows)


def _close(files: Mapping[str, IO[bytes]]) -> None:
    for file in files.values():
        file.close()


def chunks(length: int, size: int) -> Sequence[slice]:
    """Slices of at most `size` rows, one after the other."""
    return [slice(start, min(start + size, length)) for start in range(0, length, size)]
