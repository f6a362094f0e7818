"""Batches of WriteBars: read from the wire, and checked row by row or refused as a whole."""

import hashlib
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
from google.protobuf.message import DecodeError

from finstage.ingest.v1 import ingest_service_pb2 as pb
from finstage_market.columns import VALUES, Columns, Float64s, Int64s
from finstage_market.errors import InvalidRequest, Violation
from finstage_market.interval import Interval
from finstage_market.symbol import parse_symbol
from finstage_market.wire import TooManyFieldsError, arrays_from_wire, repacked, take_field
from services.ingest.series import CheckedBars, RejectedRow, RejectReason, SeriesKey
from services.ingest.store.values import Batch
from services.ingest.validate import check, is_over

MAX_BATCH_ROWS = 50_000
# Of a batch that is refused as a whole: the reason is the same for all rows.
MAX_LISTED_ROWS = 1000

_BATCH = pb.WriteBarsRequest.DESCRIPTOR.fields_by_name["batch"].number
_COLUMNS = pb.BarBatch.DESCRIPTOR.fields_by_name["columns"].number
_ADJUSTED = pb.BarBatch.DESCRIPTOR.fields_by_name["adjusted_close"].number

Arrays = dict[str, npt.NDArray[Any]]


@dataclass(frozen=True, slots=True, eq=False)
class SentBatch:
    """A batch as it was sent, unchecked. arrays: the columns by name, of any lengths."""

    sequence: int
    symbol: str
    interval: str
    arrays: Arrays
    adjusted_close: Float64s
    adjusted_close_unknown: Int64s

    @property
    def rows(self) -> int:
        """How many rows were sent: the length of the longest column."""
        return max(len(self.adjusted_close), *(len(array) for array in self.arrays.values()))


def read_header(data: bytes) -> pb.WriteBarsHeader:
    """Return the header of a serialised WriteBarsRequest.

    Raises:
        InvalidRequest: it has no header.
    """
    try:
        message = pb.WriteBarsRequest.FromString(data)
    except DecodeError:
        raise _not_a_request("header") from None
    if not message.HasField("header"):
        raise InvalidRequest([Violation("header", "the first message must be the header")])
    return message.header


def read_batch(data: bytes) -> SentBatch:
    """Return the batch of a serialised WriteBarsRequest, its numbers read from the bytes of the message.

    Raises:
        InvalidRequest: the bytes are not a WriteBarsRequest with a batch, or the sequence number is below 1,
            or the batch has no rows.
    """
    try:
        try:
            sent = _split(data)
        except TooManyFieldsError:
            sent = _split(repacked(data, pb.WriteBarsRequest))
    except (ValueError, DecodeError):
        raise _not_a_request("batch") from None
    if sent.sequence < 1:
        raise InvalidRequest(
            [Violation("batch.sequence", f"{sent.sequence} was given; 1 or more is accepted")]
        )
    if not sent.rows:
        accepted = f"1 to {MAX_BATCH_ROWS:,} are accepted"
        raise InvalidRequest([Violation("batch.columns", f"0 rows were given; {accepted}")])
    return sent


def _split(data: bytes) -> SentBatch:
    _, batch = take_field(data, _BATCH)
    if batch is None:
        raise InvalidRequest([Violation("batch", "messages after the first must be batches")])
    rest, columns = take_field(batch, _COLUMNS)
    rest, adjusted = take_field(rest, _ADJUSTED)
    message = pb.BarBatch.FromString(rest)
    arrays = arrays_from_wire(columns or b"")
    # The message itself still has the numbers that were not sent packed.
    closes = np.frombuffer(adjusted or b"", "<f8").astype(np.float64)
    closes = np.concatenate([closes, np.array(message.adjusted_close, np.float64)])
    unknown = np.array(message.adjusted_close_unknown, np.int64)
    return SentBatch(message.sequence, message.symbol, message.interval, arrays, closes, unknown)


def check_batch(sent: SentBatch, *, now_ms: int, may_be_negative: bool = False) -> Batch:
    """Separate a batch's rows into bars and refused rows; a malformed batch is refused as a whole."""
    faults = []
    try:
        symbol = parse_symbol(sent.symbol)
    except ValueError as error:
        symbol = "".join(c if c.isprintable() else "?" for c in sent.symbol[:64])
        faults.append(f"symbol {symbol!r} was given; {error}")
    interval = None
    try:
        interval = Interval.parse(sent.interval)
    except ValueError as error:
        faults.append(f"interval: {error}")
    lengths = {name: len(array) for name, array in sent.arrays.items()}
    if len(set(lengths.values())) > 1:
        given = ", ".join(f"{name} {length}" for name, length in lengths.items())
        faults.append(f"columns differ in length: {given}")
    elif len(sent.adjusted_close) not in (0, lengths["close"]):
        faults.append(f"{len(sent.adjusted_close):,} adjusted closes for {lengths['close']:,} bars")
    if sent.rows > MAX_BATCH_ROWS:
        faults.append(f"{sent.rows:,} rows were sent; 1 to {MAX_BATCH_ROWS:,} are accepted")
    unknown = sent.adjusted_close_unknown
    if len(unknown) and unknown.max() >= len(sent.adjusted_close):
        faults.append(
            f"adjusted_close_unknown {unknown.max()} for {len(sent.adjusted_close):,} adjusted closes"
        )
    elif np.isnan(sent.adjusted_close).any():
        faults.append("adjusted_close has NaN; list rows without one in adjusted_close_unknown")
    if interval is not None and not faults and (unit := _slip_of_unit(sent.arrays["open_time_ms"], interval)):
        faults.append(unit)
    digest = _digest(sent)
    if faults or interval is None:
        return Batch(
            sequence=sent.sequence,
            key=None,
            sent=sent.rows,
            digest=digest,
            bars=CheckedBars(Columns.empty(), rejected=_all_refused(sent, "; ".join(faults))),
            symbol=symbol,
            interval=interval,
        )
    columns = Columns.of(**sent.arrays)
    adjusted = None
    if len(sent.adjusted_close):
        adjusted = sent.adjusted_close.copy()
        adjusted[unknown] = np.nan
    checked = check(
        interval,
        columns,
        now_ms=now_ms,
        adjusted_close=adjusted,
        from_client=True,
        may_be_negative=may_be_negative,
    )
    times = checked.columns.open_time_ms
    last_is_final = not len(times) or is_over(interval, int(times[-1]), now_ms)
    return Batch(
        sequence=sent.sequence,
        key=SeriesKey(symbol, interval),
        sent=len(columns),
        digest=digest,
        bars=replace(checked, last_is_final=last_is_final),
        symbol=symbol,
        interval=interval,
    )


def _slip_of_unit(times: Int64s, interval: Interval) -> str:
    """Why times cannot be milliseconds: they are as far apart as seconds would be. Empty: they can."""
    apart_ms = float(np.median(np.diff(times))) if len(times) > 1 else 0.0
    if apart_ms <= 0 or not interval.nominal_ms / 2 <= 1000 * apart_ms <= 10 * interval.nominal_ms:
        return ""
    return f"the open times are {apart_ms:g} ms apart; they look like seconds: send milliseconds since 1970"


def _all_refused(sent: SentBatch, detail: str) -> tuple[RejectedRow, ...]:
    """Return the first rows of a malformed batch, each with its fault."""
    given = {**{name: sent.arrays[name] for name in VALUES}, "adjusted_close": sent.adjusted_close}
    times = sent.arrays["open_time_ms"]
    if sent.rows > MAX_LISTED_ROWS:
        detail += f"; the first {MAX_LISTED_ROWS:,} of {sent.rows:,} rows are listed"
    return tuple(
        RejectedRow(
            row=row,
            open_time_ms=int(times[row]) if row < len(times) else 0,
            reason=RejectReason.MALFORMED_BATCH,
            detail=detail,
            values=" ".join(
                f"{name}={float(values[row])!r}" for name, values in given.items() if row < len(values)
            ),
        )
        for row in range(min(sent.rows, MAX_LISTED_ROWS))
    )


def _digest(sent: SentBatch) -> bytes:
    """Return a fingerprint of the numbers sent, whatever their encoding on the wire."""
    total = hashlib.sha256(f"{sent.symbol}\n{sent.interval}\n".encode())
    for array in (*sent.arrays.values(), sent.adjusted_close, sent.adjusted_close_unknown):
        total.update(len(array).to_bytes(8))
        total.update(array.data)
    return total.digest()


def _not_a_request(field: str) -> InvalidRequest:
    name = pb.WriteBarsRequest.DESCRIPTOR.full_name
    return InvalidRequest([Violation(field, f"the bytes given are not a {name}")])
