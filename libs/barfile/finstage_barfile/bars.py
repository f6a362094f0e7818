"""The bars of a file, oldest first, read from temporary files by rows."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from finstage_barfile.spool import Spool, chunks
from finstage_barfile.steps import NO_STEPS, Steps
from finstage_barfile.table import MAX_PIECE_ROWS
from finstage_market.columns import PRICES, Columns, Float64s, Int64s


@dataclass(frozen=True, slots=True, eq=False)
class Bars:
    """n bars, taken by slices.

    open_time_ms: int64[n]. order: their rows in the spool; None: as they stand there.
    splits: what prices before each split are divided by. volume: the column of the volume, if there is one.
    price_scale, volume_scale: what one unit of their numbers is worth.
    """

    open_time_ms: Int64s
    spool: Spool
    order: Int64s | None
    volume: str | None
    price_scale: float = 1.0
    volume_scale: float = 1.0
    splits: Steps = NO_STEPS

    def __len__(self) -> int:
        return len(self.open_time_ms)

    def __getitem__(self, rows: slice) -> Columns:
        """The bars that the slice chooses."""
        times = self.open_time_ms[rows]
        volume = (
            np.zeros(len(times)) if self.volume is None else self.of(self.volume, rows) * self.volume_scale
        )
        prices = {name: self.prices(name, rows) for name in PRICES}
        if len(self.splits.times_ms):
            volume = volume * self.splits.at(times)
        return Columns(times, **prices, volume=volume)

    def prices(self, name: str, rows: slice) -> Float64s:
        """The prices of a column, adjusted for the splits after them."""
        raw = _scaled(self.of(name, rows), self.price_scale)
        return raw / self.splits.at(self.open_time_ms[rows]) if len(self.splits.times_ms) else raw

    def of(self, name: str, rows: slice) -> npt.NDArray[np.float64]:
        """The numbers of a column as the file has them."""
        start, end, _ = rows.indices(len(self))
        if self.order is None:
            return self.spool.read(name, start, end)
        return self.spool.take(name, self.order[start:end])

    def read_as(self) -> list[float | str | None]:
        """What else than the file's content the bars depend on."""
        ends = [int(self.open_time_ms[row]) for row in (0, -1)]
        return [self.volume, self.price_scale, self.volume_scale, *self.splits.factors.tolist(), *ends]

    def pieces(self) -> Iterator[slice]:
        """Slices that follow each other, of a size that fits in memory."""
        yield from chunks(len(self), MAX_PIECE_ROWS)


@dataclass(frozen=True, slots=True, eq=False)
class LazyColumn:
    """A column of n numbers that is read when it is sliced."""

    length: int
    read: Callable[[slice], Float64s]

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, rows: slice) -> Float64s:
        return self.read(rows)


def _scaled(values: Float64s, scale: float) -> Float64s:
    if scale == 1.0:
        return values
    # A division by 10,000 gives the nearest double; a product with 0.0001 does not.
    parts = round(1 / scale)
    return values / parts if parts and abs(parts * scale - 1) < 1e-12 else values * scale
