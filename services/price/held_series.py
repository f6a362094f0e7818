"""HeldSeries: one whole series as price holds it, and the slices that requests ask for."""

from dataclasses import dataclass

from google.protobuf.message import DecodeError

from finstage.market.v1 import series_pb2
from finstage.store.v1 import market_store_service_pb2 as store_pb2
from finstage_cache import CodecError
from finstage_market.columns import Columns
from finstage_market.coverage import cut_coverage
from finstage_market.errors import FinstageError
from finstage_market.interval import Interval
from finstage_market.statuses import from_status, to_status
from finstage_market.times import milliseconds, timestamp
from finstage_market.wire import columns_from_wire, joined, message_parts, series_parts, take_field


@dataclass(frozen=True, slots=True, eq=False)
class HeldSeries:
    """All bars of a series, and what is known of them.

    header: all of finstage.market.v1.BarSeries but the columns; its coverage has every gap and flag.
    columns: all bars, the forming one last if there is one.
    refresh_error: why the last refresh failed; None: it did not.
    """

    header: series_pb2.BarSeries
    columns: Columns
    refresh_error: FinstageError | None = None

    @property
    def fetched_s(self) -> float | None:
        """When it was last fetched from the provider, in epoch seconds; None: clients wrote it."""
        provenance = self.header.provenance
        return provenance.fetched_at.ToMilliseconds() / 1000 if provenance.HasField("fetched_at") else None

    def rows(self, *, start_ms: int | None, end_ms: int | None, limit: int | None, final_only: bool) -> slice:
        """The rows of the bars that opened in [start_ms, end_ms), the last `limit` of them."""
        whole = self.columns
        if final_only and len(whole) and not self.header.last_is_final:
            whole = whole[: len(whole) - 1]
        return whole.range_slice(start_ms=start_ms, end_ms=end_ms, limit=limit)

    def part(
        self, rows: slice, *, start_ms: int | None, end_ms: int | None, now_ms: int
    ) -> series_pb2.BarSeries:
        """Return the header for `rows`, which answer [start_ms, end_ms); its coverage is cut to that range.

        An unset start is the first of the rows, an unset end is now.
        """
        times = self.columns.open_time_ms
        first, last = rows.start, rows.stop - 1
        if start_ms is None:
            start_ms = int(times[first]) if last >= first else now_ms
        if end_ms is None:
            end_ms = max(now_ms, start_ms)
        has_newest = last == len(self.columns) - 1
        header = series_pb2.BarSeries(
            symbol=self.header.symbol,
            interval=self.header.interval,
            adjustment=self.header.adjustment,
            version=self.header.version,
            last_is_final=self.header.last_is_final if has_newest else True,
            coverage=cut_coverage(
                self.header.coverage, start_ms=start_ms, end_ms=end_ms, due_ms=self._due_ms(now_ms)
            ),
            provenance=self.header.provenance,
            currency=self.header.currency,
            time_zone=self.header.time_zone,
        )
        if last < first:
            header.provenance.ClearField("as_of")
        elif not has_newest:
            # The close of the range's last bar: one interval on, or the next bar's open if that is earlier.
            interval = Interval.parse(self.header.interval)
            closed_ms = min(int(times[last]) + interval.nominal_ms, int(times[last + 1]))
            header.provenance.as_of.CopyFrom(timestamp(closed_ms))
        return header

    def _due_ms(self, now_ms: int) -> int:
        """Until when bars are due: to now, but not for less than an interval after the series was fetched."""
        fetched_ms = milliseconds(self.header.coverage.end)
        is_due = now_ms - fetched_ms >= Interval.parse(self.header.interval).nominal_ms
        return now_ms if is_due else fetched_ms


_SERIES_FIELD = store_pb2.ReadBarsHeader.DESCRIPTOR.fields_by_name["series"].number
_COLUMNS_FIELD = series_pb2.BarSeries.DESCRIPTOR.fields_by_name["columns"].number


class HeldSeriesCodec:
    """HeldSeries for caches: live in memory, in other backends as a ReadBarsHeader with columns."""

    schema = "held_series:2"

    def weigh(self, value: HeldSeries) -> int:
        return value.columns.nbytes + value.header.ByteSize()

    def encode(self, value: HeldSeries) -> bytes:
        error = value.refresh_error
        rest = store_pb2.ReadBarsHeader(refresh_error=None if error is None else to_status(error))
        return joined(message_parts(rest, "series", series_parts(value.header, value.columns)))

    def decode(self, data: bytes) -> HeldSeries:
        try:
            rest, series = take_field(data, _SERIES_FIELD)
            header, columns = take_field(series or b"", _COLUMNS_FIELD)
            return HeldSeries(
                series_pb2.BarSeries.FromString(header),
                columns_from_wire(columns or b""),
                refresh_error(store_pb2.ReadBarsHeader.FromString(rest)),
            )
        except (ValueError, DecodeError) as error:
            raise CodecError(f"not a held series: {error}") from error


def refresh_error(header: store_pb2.ReadBarsHeader) -> FinstageError | None:
    """Return why the refresh before a read failed; None when it did not."""
    return from_status(header.refresh_error, service="ingest") if header.HasField("refresh_error") else None


HELD_SERIES = HeldSeriesCodec()
