"""One write of bars: what to send next, given what the service answered. The clients only carry messages."""

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from finstage.ingest.v1 import ingest_service_pb2 as pb
from finstage_client import frames
from finstage_client.calls import enum_number
from finstage_client.values import RejectedBar, RowCounts, SeriesVersion, Value, decode
from finstage_market import wire
from finstage_market.columns import Columns, Float64s
from finstage_market.errors import Reason, Unavailable
from finstage_market.interval import Interval

BATCH_ROWS = 5_000

# Batches under way: while one is committed the next one travels.
_WINDOW = 2
# Between two attempts to reach a service that is away.
_PAUSE_S = 0.5
PATIENCE_S = 30.0

_BATCH = pb.WriteBarsRequest.DESCRIPTOR.fields_by_name["batch"].number
_COLUMNS = pb.BarBatch.DESCRIPTOR.fields_by_name["columns"].number
_ADJUSTED = pb.BarBatch.DESCRIPTOR.fields_by_name["adjusted_close"].number


@dataclass(frozen=True, slots=True)
class WriteProgress(Value):
    """How far a write is.

    rows: what became of the rows so far, those of an earlier, broken off, run of the same write included.
    total: rows of the whole write.
    resumed: rows that an earlier run had written.
    version: the series' version after the newest commit; None when nothing was committed in this run.
    rejected: rows refused in this run, at most 20 of each batch; `row` counts from the write's first row.
    """

    rows: RowCounts
    total: int
    resumed: int
    version: SeriesVersion | None
    rejected: tuple[RejectedBar, ...]


class Upload:
    """The client's side of one WriteBars call.

    Send `header`; then, for each answer, what `receive` returns; end the sending when `is_done`.
    """

    def __init__(
        self,
        bars: Columns | pd.DataFrame,
        *,
        symbol: str,
        interval: Interval | str,
        source: str,
        idempotency_key: str,
        mode: str = "upsert",
        adjusted_close: Float64s | None = None,
        batch_rows: int = BATCH_ROWS,
    ) -> None:
        """A write of bars, oldest first and split-adjusted, to one series.

        bars: columns, or a DataFrame as Client.bars gives.
        source: who sends, for the provenance: "file:spx.csv", "client:NAME".
        idempotency_key: names this write, so that it can be continued: the same for the same content.
        mode: "upsert", "insert" (a bar that is there is rejected) or "update" (one that is not).
        adjusted_close: closes adjusted for dividends too, one a bar, where they are known.

        Raises:
            ValueError: the DataFrame is not of that form, or `interval` is none.
            InvalidRequest: `mode` is none.
        """
        bars = frames.columns_of(bars) if isinstance(bars, pd.DataFrame) else bars
        self._bars = bars
        self._symbol = symbol
        self._interval = Interval.parse(interval)
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
        """What became of the write, once the service has ended its answers.

        Raises:
            Unavailable: it ended them before all was committed; the same write again continues.
        """
        if not self.is_done:
            done = f"{self.progress.rows.sent} of {self.progress.total} rows"
            raise Unavailable(
                Reason.SERVICE_UNAVAILABLE, f"the write was ended after {done}", retry_after_s=1.0
            )
        return self.progress

    def pause_s(self, error: Unavailable, *, patience_s: float, now_s: float) -> float:
        """How long to wait before the write is taken up again, after it was broken off.

        Args:
            patience_s: for how long nothing may come of it.
            now_s: the time, in seconds of any clock that does not go back.

        Raises:
            Unavailable: `error`: the service was not there to begin with, or patience is at its end.
        """
        if self._broken is None or self._broken[0] != self._acked:
            self._broken = self._acked, now_s
        if not self._is_begun or now_s - self._broken[1] >= patience_s:
            raise error
        return min(error.retry_after_s or _PAUSE_S, _PAUSE_S)

    def receive(self, message: bytes) -> list[bytes]:
        """Takes an answer of the service; returns the messages to send now."""
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
            bar.row += offset
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
        rest = pb.BarBatch(sequence=sequence, symbol=self._symbol, interval=self._interval.proto)
        columns = wire.columns_to_wire(self._bars[rows])
        adjusted = b"" if self._adjusted is None else wire.packed(_ADJUSTED, np.asarray(self._adjusted[rows]))
        batch = rest.SerializeToString() + wire.length_delimited(_COLUMNS, columns) + adjusted
        return wire.length_delimited(_BATCH, batch)
