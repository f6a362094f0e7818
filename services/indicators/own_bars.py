"""The client's own bars: ComputeOnBarsRequest, read from its bytes without a loop over numbers."""

import zoneinfo
from collections.abc import Callable, Sequence
from typing import Any, cast

import numpy as np
import numpy.typing as npt
from google.protobuf.message import DecodeError

from finstage.indicators.v1 import indicator_service_pb2 as pb
from finstage_market.columns import VALUES, Columns
from finstage_market.errors import InvalidRequest, Violation
from finstage_market.wire import arrays_from_wire, take_field
from finstage_rpc.fields import Fields, shown
from services.indicators.inputs import first_fault
from services.indicators.reply import MAX_BARS
from services.indicators.specs import Spec

_COLUMNS = pb.ComputeOnBarsRequest.DESCRIPTOR.fields_by_name["columns"].number


def split_request(request: bytes) -> tuple[pb.ComputeOnBarsRequest, dict[str, npt.NDArray[Any]]]:
    """Return the request without its columns, and the columns' arrays by name.

    Raises:
        InvalidRequest: the bytes are not such a request.
    """
    try:
        rest, columns = take_field(request, _COLUMNS)
        return pb.ComputeOnBarsRequest.FromString(rest), arrays_from_wire(columns or b"")
    except (ValueError, DecodeError) as error:
        name = pb.ComputeOnBarsRequest.DESCRIPTOR.full_name
        raise InvalidRequest([Violation("", f"the bytes given are not a {name}: {error}")]) from None


def read_bars(fields: Fields, arrays: dict[str, npt.NDArray[Any]], specs: Sequence[Spec]) -> Columns:
    """Return the bars of `arrays`. Each wrong column is noted in `fields`.

    A column that is left out has zeros, and no spec may read it.
    """
    times = arrays["open_time_ms"]
    arrays_given = {name for name in VALUES if len(arrays[name])}
    fields.count("columns.open_time_ms", cast("Sequence[object]", times), least=1, most=MAX_BARS, what="bars")
    for name in VALUES:
        given = len(arrays[name])
        if given not in (0, len(times)):
            fields.wrong(
                f"columns.{name}",
                f"{given} values were given for {len(times)} times; one for each is accepted",
            )
            arrays[name] = times[:0]
        readers = [spec.id for spec in specs if name in spec.columns]
        if readers and not given:
            fields.wrong(f"columns.{name}", f"it is empty, and {readers[0]} reads it")
        if not len(arrays[name]):
            arrays[name] = np.zeros(len(times))
    columns = Columns.of(**arrays)
    if fault := first_fault(columns) or _first_impossible(columns, given=arrays_given):
        column, row, problem = fault
        fields.wrong(f"columns.{column}[{row}]", problem)
    return columns


def read_time_zone(fields: Fields, name: str, specs: Sequence[Spec]) -> str:
    """Return the zone in which the bars' days begin; UTC where none is given and none is needed."""
    if name:
        try:
            return zoneinfo.ZoneInfo(name).key
        except (KeyError, ValueError, OSError):
            fields.wrong("time_zone", f"{shown(name)} was given; an IANA name is accepted: America/New_York")
    elif by_day := [spec.id for spec in specs if spec.variant.by_day]:
        fields.wrong(
            "time_zone",
            f"it is empty, and {by_day[0]} starts over each day; give the zone in which the bars' days "
            f"begin: "
            "America/New_York",
        )
    return "UTC"


def _first_impossible(columns: Columns, *, given: set[str]) -> tuple[str, int, str] | None:
    """Return (column, row, what is wrong) of the first bar that cannot be.

    Its high is below its low, its open or close is outside them, or its volume is negative. Of one bar's
    faults that is the first.
    """
    faults: list[tuple[int, int, str, str]] = []

    def note(name: str, wrong: npt.NDArray[np.bool_], accepted: Callable[[int], str]) -> None:
        if wrong.any():
            row = int(np.argmax(wrong))
            value = getattr(columns, name)[row]
            faults.append((row, len(faults), name, f"{value} was given; {accepted(row)} is accepted"))

    def at_least_low(row: int) -> str:
        return f"at least the low, {columns.low[row]},"

    def at_most_high(row: int) -> str:
        return f"at most the high, {columns.high[row]},"

    if "high" in given and "low" in given:
        note("high", columns.high < columns.low, at_least_low)
    for name in sorted(given & {"open", "close"}, reverse=True):
        values = getattr(columns, name)
        if "low" in given:
            note(name, values < columns.low, at_least_low)
        if "high" in given:
            note(name, values > columns.high, at_most_high)
    note("volume", columns.volume < 0.0, lambda row: "0 or more")
    if not faults:
        return None
    row, _, name, problem = min(faults)
    return name, row, problem
