"""The client's own bars: ComputeOnBarsRequest, read from its bytes without a loop over numbers."""

from collections.abc import Sequence
from typing import Any, cast

import numpy as np
import numpy.typing as npt
from google.protobuf.message import DecodeError

from finstage.indicators.v1 import indicator_service_pb2 as pb
from finstage_market.columns import VALUES, Columns
from finstage_market.errors import InvalidRequest, Violation
from finstage_market.wire import arrays_from_wire, take_field
from finstage_rpc.fields import Fields
from services.indicators.inputs import first_fault
from services.indicators.specs import Spec

MOST_BARS = 50_000
_COLUMNS = pb.ComputeOnBarsRequest.DESCRIPTOR.fields_by_name["columns"].number


def split_request(request: bytes) -> tuple[pb.ComputeOnBarsRequest, dict[str, npt.NDArray[Any]]]:
    """The request without its columns, and the columns' arrays by name.

    Raises:
        InvalidRequest: the bytes are no such request.
    """
    try:
        rest, columns = take_field(request, _COLUMNS)
        return pb.ComputeOnBarsRequest.FromString(rest), arrays_from_wire(columns or b"")
    except (ValueError, DecodeError) as error:
        name = pb.ComputeOnBarsRequest.DESCRIPTOR.full_name
        raise InvalidRequest([Violation("", f"the bytes given are not a {name}: {error}")]) from None


def read_bars(fields: Fields, arrays: dict[str, npt.NDArray[Any]], specs: Sequence[Spec]) -> Columns:
    """The bars of `arrays`; each wrong column is noted. A column that is left out has zeros, and no spec may
    read it."""
    times = arrays["open_time_ms"]
    fields.count(
        "columns.open_time_ms", cast("Sequence[object]", times), least=1, most=MOST_BARS, what="bars"
    )
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
    if fault := first_fault(columns):
        column, row, problem = fault
        fields.wrong(f"columns.{column}[{row}]", problem)
    return columns
