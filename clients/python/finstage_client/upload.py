"""One write of bars: what to send next, after each answer. The clients only carry its messages."""

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Protocol, TypeVar, cast

import numpy as np

from finstage.ingest.v1 import ingest_service_pb2 as pb
from finstage_client.calls import enum_number
from finstage_client.decoding import decode
from finstage_client.values import RejectedBar, RowCounts, SeriesVersion
from finstage_market import wire
from finstage_market.columns import Columns, Float64s, Int64s
from finstage_market.errors import Reason, Unavailable
from finstage_market.interval import Interval

if TYPE_CHECKING:
    import pandas as pd

BATCH_ROWS = 5_000

# Batches sent and not yet acknowledged: the next one travels while one is being committed.
_WINDOW = 2
# The pause between two attempts to reach a service that is away.
_PAUSE_S = 0.5
PATIENCE_S = 30.0

_ADJUSTED = pb.BarBatch.DESCRIPTOR.fields_by_name["adjusted_close"].number


T_co = TypeVar("T_co", covariant=True)


class Slices(Protocol[T_co]):
    """A sequence that is read by slices."""

    def __len__(self) -> int:
        """The number of its rows."""

    def __getitem__(self, rows: slice, /) -> T_co:
        """Return these rows."""


@dataclass(frozen=True, slots=True)
class WriteProgress:
    """The progress of a write.

    rows: what became of the rows so far, those of an earlier, interrupted run of the same write included.
    total: rows of the whole write.
    resumed: rows that an earlier run had written.
    version: the series' version after the newest commit; None when this run committed nothing.
    rejected: rows refused in this run, at most 20 of each batch; `row` counts from the write's first row.
    """

    rows: RowCounts
    total: int
    resumed: int
    version: SeriesVersion | None
    rejected: tuple[RejectedBar, ...]


class Upload:
    """The client's side of one WriteBars call.

    Send `header`; then, after each answer, send what `receive` returns; stop sending when `is_done`.
    """

    def __init__(
        self,
        bars: "Slices[Columns] | pd.DataFrame",
        *,
        symbol: str,
        interval: Interval | str,
        source: str,
        idempotency_key: str,
        mode: str = "upsert",
        adjusted_close: "Slices[Float64s] | None" = None,
        batch_rows: int = BATCH_ROWS,
    ) -> None:
        """Prepare a write of bars, oldest first and split-adjusted, to one series.

        bars: columns, or what gives them by slices; or a DataFrame such as Client.bars() returns, in any
            order: a volume that is NaN is 0, and the days of an index are those of its zone.
        source: the sender, for the provenance: "file:spx.csv", "client:NAME".
        idempotency_key: names this write, so that it can be continued; the same content needs the same key.
        mode: "upsert", "insert" (existing bars are rejected) or "update" (missing bars are rejected).
        adjusted_close: closes adjusted for dividends too, one per bar; NaN where it is not known.

        Raises:
            ValueError: the DataFrame has another form, or the interval is not supported.
            InvalidRequest: the mode is not supported.
        """
        self._interval = Interval.parse(interval)
        self._order: Int64s | None = None
        if hasattr(bars, "iloc"):
            from finstage_client import frames

            columns = frames.columns_of(cast("pd.DataFrame", bars), self._interval)
            order = np.argsort(columns.open_time_ms, kind="stable")
            if (np.diff(order) != 1).any():
                columns, self._order = columns[order], order
                adjusted_close = None if adjusted_close is None else np.asarray(adjusted_close[:])[order]
            bars = columns
        self._bars: Slices[Columns] = bars
        self._symbol = symbol
        self._adjusted = adjusted_close
        self._batch_rows = batch_rows
        self._batches = -(-len(bars) // batch_rows)
        self._next = 1
        self._acked = 0
        header = pb.WriteBarsHeader(
            idempotency_key=idempotency_key,
            mode=enum_number("mode", pb.WriteMode, "WRITE_MODE_", mode),
            source=source,
        )
        self.header = pb.WriteBarsRequest(header=header).SerializeToString()
        self.progress = WriteProgress(RowCounts(0, 0, 0, 0, 0), len(bars), 0, None, ())
        self.is_done = False
        self._is_begun = False
        self._broken: tuple[int, float] | None = None

    def result(self) -> WriteProgress:
        """Return the final progress, once the service has ended its answers.

        Raises:
            Unavailable: it ended them before all was committed; the same write, made again, continues.
        """
        if not self.is_done:
            done = f"{self.progress.rows.sent} of {self.progress.total} rows"
            raise Unavailable(
                Reason.SERVICE_UNAVAILABLE, f"the write was ended after {done}", retry_after_s=1.0
            )
        return self.progress

    def pause_s(self, error: Unavailable, *, patience_s: float, now_s: float) -> float:
        """Return how long to wait before the write is continued, after it was interrupted.

        Args:
            patience_s: how long the write may go without a commit.
            now_s: the time, in seconds of any clock that does not go back.

        Raises:
            Unavailable: `error`, when the service was away from the start, or patience_s has passed.
        """
        if self._broken is None or self._broken[0] != self._acked:
            self._broken = self._acked, now_s
        if not self._is_begun or now_s - self._broken[1] >= patience_s:
            raise error
        return min(error.retry_after_s or _PAUSE_S, _PAUSE_S)

    def receive(self, message: bytes) -> list[bytes]:
        """Take an answer of the service, and return the messages to send now."""
        response = pb.WriteBarsResponse.FromString(message)
        if response.HasField("ready"):
            self._next = response.ready.next_sequence
            self._acked = self._next - 1
            committed, before = decode(RowCounts, response.ready.committed), self.progress
            resumed = before.resumed if self._is_begun else committed.sent
            self.progress = replace(before, rows=committed, resumed=resumed)
            self._is_begun = True
            wanted = _WINDOW
        else:
            self._acknowledge(response.ack)
            wanted = 1
        self.is_done = self._acked >= self._batches
        first, self._next = self._next, min(self._next + wanted, self._batches + 1)
        return [self._batch(sequence) for sequence in range(first, self._next)]

    def _acknowledge(self, ack: pb.WriteBarsAck) -> None:
        self._acked = ack.sequence
        before, rows = self.progress, decode(RowCounts, ack.rows)
        offset = (ack.sequence - 1) * self._batch_rows
        rejected = []
        for bar in ack.rejected:
            bar.row = bar.row + offset if self._order is None else int(self._order[bar.row + offset])
            rejected.append(decode(RejectedBar, bar))
        self.progress = WriteProgress(
            before.rows + rows,
            before.total,
            before.resumed,
            decode(SeriesVersion, ack.version) if ack.HasField("version") else before.version,
            (*before.rejected, *rejected),
        )

    def _batch(self, sequence: int) -> bytes:
        rows = slice((sequence - 1) * self._batch_rows, sequence * self._batch_rows)
        rest = pb.BarBatch(sequence=sequence, symbol=self._symbol, interval=self._interval)
        adjusted: wire.Parts = []
        if self._adjusted is not None:
            closes = np.asarray(self._adjusted[rows])
            unknown = np.isnan(closes)
            rest.adjusted_close_unknown.extend(np.flatnonzero(unknown).tolist())
            adjusted = wire.packed_parts(_ADJUSTED, np.where(unknown, 0.0, closes))
        columns = wire.columns_parts(self._bars[rows])
        parts = wire.message_parts(rest, "columns", columns) + adjusted
        return wire.joined(wire.message_parts(pb.WriteBarsRequest(), "batch", parts))
