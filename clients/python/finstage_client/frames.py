"""Columns of the wire to DataFrames, and back. Importing it needs pandas, which is optional."""

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt
from google.protobuf.message import Message

from finstage.indicators.v1 import indicator_service_pb2
from finstage.market.v1 import series_pb2
from finstage.price.v1 import price_service_pb2
from finstage_client.decoding import decode
from finstage_client.plain import plain
from finstage_client.values import FrameInfo, SeriesInfo
from finstage_market import wire
from finstage_market.columns import PRICES, VALUES, Columns, Float64s, Int64s
from finstage_market.interval import Interval

try:
    import pandas as pd
except ModuleNotFoundError as error:
    if error.name != "pandas":
        raise
    raise ModuleNotFoundError(
        "this answers with a DataFrame, which needs pandas: pip install 'finstage-client[pandas]'",
        name="pandas",
    ) from None

_PAGE_SERIES = price_service_pb2.GetBarsResponse.DESCRIPTOR.fields_by_name["series"].number
_SERIES_COLUMNS = series_pb2.BarSeries.DESCRIPTOR.fields_by_name["columns"].number
_AXIS = indicator_service_pb2.IndicatorFrame.DESCRIPTOR.fields_by_name["open_time_ms"].number
_VALUES = indicator_service_pb2.OutputValues.DESCRIPTOR.fields_by_name["values"].number
_CHUNK_COLUMNS = price_service_pb2.StreamBarsResponse.DESCRIPTOR.fields_by_name["columns"].number


def bars_of_page(message: bytes) -> pd.DataFrame:
    """Return the bars of a serialised GetBarsResponse."""
    _, series = wire.take_field(message, _PAGE_SERIES)
    header, columns = wire.take_field(series or b"", _SERIES_COLUMNS)
    return bars_frame(
        decode(SeriesInfo, series_pb2.BarSeries.FromString(header)), wire.columns_from_wire(columns or b"")
    )


def bars_of_stream(messages: Iterable[bytes]) -> pd.DataFrame:
    """Return the bars of serialised StreamBarsResponses."""
    header = series_pb2.BarSeries()
    parts: list[Columns] = []
    for message in messages:
        rest, columns = wire.take_field(message, _CHUNK_COLUMNS)
        if columns is not None:
            parts.append(wire.columns_from_wire(columns))
        else:
            header.MergeFrom(price_service_pb2.StreamBarsResponse.FromString(rest).header)
    return bars_frame(decode(SeriesInfo, header), Columns.concat(parts))


def bars_frame(info: SeriesInfo, columns: Columns) -> pd.DataFrame:
    """Return the columns by open time, with the fields of `info` as attrs."""
    frame = pd.DataFrame(
        {name: getattr(columns, name) for name in VALUES}, index=_time_index(columns.open_time_ms), copy=False
    )
    frame.attrs.update(plain(info))
    return frame


def columns_of(frame: pd.DataFrame, interval: Interval) -> Columns:
    """Return the bars of a DataFrame such as `bars_frame` makes; a volume that is NaN is 0.

    A day, week or month has the date that the index shows in its own zone, and is sent as its midnight UTC.

    Raises:
        ValueError: the index does not hold times with a zone, or a column is missing or not of numbers.
    """
    index = frame.index
    if not isinstance(index, pd.DatetimeIndex) or index.tz is None:
        raise ValueError("the index must be a DatetimeIndex with a time zone: the bars' open times")
    if missing := [name for name in VALUES if name not in frame]:
        raise ValueError(f"columns missing: {', '.join(missing)}")
    if not interval.is_intraday and str(index.tz) != "UTC":
        index = index.tz_localize(None).normalize().tz_localize("UTC")
    open_time_ms = index.tz_convert("UTC").as_unit("ms").asi8
    prices = {name: frame[name].to_numpy(dtype=np.float64) for name in PRICES}
    volume = np.nan_to_num(frame["volume"].to_numpy(dtype=np.float64), nan=0.0)
    return Columns.of(open_time_ms, **prices, volume=volume)


def indicators_frame(frame: indicator_service_pb2.IndicatorFrame) -> pd.DataFrame:
    """Return a column per output, named by the spec's id, or id.output where there are several outputs.

    A value is NaN in the warm-up and where the indicator is undefined. A spec whose status is not OK has one
    column of NaN, named by its id. attrs are the fields of `FrameInfo`.
    """
    axis = _packed(frame, _AXIS).view(np.int64)
    columns: dict[str, Float64s] = {}
    for result in frame.results:
        if not result.outputs:
            columns[result.id] = np.full(len(axis), np.nan)
        for output in result.outputs:
            name = result.id if len(result.outputs) == 1 else f"{result.id}.{output.name}"
            columns[name] = _values(output, len(axis))
    table = pd.DataFrame(columns, index=_time_index(axis), copy=False)
    table.attrs.update(plain(decode(FrameInfo, frame)))
    return table


def _values(output: indicator_service_pb2.OutputValues, size: int) -> Float64s:
    values = np.full(size, np.nan)
    values[output.first_index :] = _packed(output, _VALUES).view(np.float64)
    values[np.fromiter(output.undefined_indexes, dtype=np.int64)] = np.nan
    return values


def _packed(message: Message, field: int) -> npt.NDArray[np.uint8]:
    """The bytes of a packed field: a loop over its numbers would make an object of each."""
    _, data = wire.take_field(message.SerializeToString(), field)
    return np.frombuffer(bytearray(data or b""), np.uint8)


def _time_index(open_time_ms: Int64s) -> pd.DatetimeIndex:
    return pd.DatetimeIndex(open_time_ms.view("datetime64[ms]"), tz="UTC", name="open_time")
