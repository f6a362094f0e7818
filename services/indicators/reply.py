"""Replies: results to the contract's bytes, assembled from the arrays as they lie in memory."""

import math
from collections.abc import Sequence

import numpy as np

from finstage.indicators.v1 import indicator_service_pb2 as pb
from finstage_market.columns import Float64s, Int64s
from finstage_market.errors import InvalidRequest, PreconditionFailed, Reason, Violation
from finstage_market.wire import Parts, field_parts, packed_parts
from finstage_rpc.errors import to_status
from services.indicators.catalogue import Catalogue, Indicator, IndicatorClass
from services.indicators.compute import cut
from services.indicators.specs import Spec

MAX_BARS = 50_000
MAX_BYTES = 3 * 2**20

_TIMES = pb.IndicatorFrame.DESCRIPTOR.fields_by_name["open_time_ms"].number
_RESULTS = pb.IndicatorFrame.DESCRIPTOR.fields_by_name["results"].number
_OUTPUTS = pb.IndicatorResult.DESCRIPTOR.fields_by_name["outputs"].number
_VALUES = pb.OutputValues.DESCRIPTOR.fields_by_name["values"].number


def check_size(bars: int, specs: Sequence[Spec], *, times: Int64s | None) -> None:
    """Check that a frame of `bars` may be sent: at most 50,000 bars and 3 MiB of values.

    times: those of the series, of which the frame would have the last; None: the bars are the client's own.

    Raises:
        InvalidRequest: it may not; the violation says what to ask instead.
    """
    columns = 1 + sum(len(spec.indicator.outputs) for spec in specs)
    limit = min(MAX_BARS, MAX_BYTES // (8 * columns))
    if bars <= limit:
        return
    instead = f"set limit to at most {limit}"
    if times is not None:
        start = np.datetime64(int(times[-limit]), "ms").item().isoformat()
        instead = f"ask for at most {limit} bars (limit, or start at {start}Z or later)"
    if limit < MAX_BARS:
        given = f"{bars} bars of {columns - 1} outputs are {8 * bars * columns / 2**20:.1f} MiB"
        raise InvalidRequest(
            [Violation("specs", f"{given}; at most 3 MiB are returned: {instead}, or fewer specs at once")]
        )
    raise InvalidRequest(
        [Violation("start", f"the range has {bars} bars; at most {MAX_BARS} are returned: {instead}")]
    )


def frame_parts(
    frame: pb.IndicatorFrame,
    times: Int64s,
    axis: slice,
    specs: Sequence[Spec],
    results: Sequence[tuple[Float64s, ...]],
) -> Parts:
    """Return a serialised IndicatorFrame.

    frame: its fields but the time axis and the results.
    times: of the whole series; the rows `axis` of it are the time axis.
    results: what `compute` made of each spec.
    """
    parts = [frame.SerializeToString(), *packed_parts(_TIMES, times[axis])]
    for spec, outputs in zip(specs, results, strict=True):
        parts += field_parts(_RESULTS, _result(spec, outputs, axis))
    return parts


def _result(spec: Spec, outputs: tuple[Float64s, ...], axis: slice) -> Parts:
    head = pb.IndicatorResult(
        id=spec.id,
        name=spec.indicator.name,
        variant=spec.variant.name,
        params=spec.params,
        source=_source(spec),
        lookback=spec.lookback,
        bars_used=axis.stop,
        indicator_class=_class(spec.class_),
    )
    head.status.SetInParent()
    if axis.stop <= spec.lookback:
        outputs = ()
        had = f"the series has {axis.stop} up to the end of the range"
        message = f"the first value comes after {spec.lookback} bars, and {had}"
        metadata = {"bars": str(axis.stop), "bars_needed": str(spec.lookback + 1)}
        error = PreconditionFailed(Reason.TOO_FEW_BARS, message, metadata=metadata)
        head.status.CopyFrom(to_status(error))
    parts: Parts = [head.SerializeToString()]
    if not outputs:
        return parts
    for described, values, lookback in zip(spec.indicator.outputs, outputs, spec.lookbacks, strict=True):
        part = cut(values, lookback=lookback, axis=axis)
        values_head = pb.OutputValues(
            name=described.name, first_index=part.first_index, undefined_indexes=part.undefined.tolist()
        )
        values_parts = [values_head.SerializeToString(), *packed_parts(_VALUES, part.values)]
        parts += field_parts(_OUTPUTS, values_parts)
    return parts


def _source(spec: Spec) -> str:
    return f"PRICE_SOURCE_{'UNSPECIFIED' if spec.source is None else spec.source.upper()}"


def _class(class_: IndicatorClass) -> str:
    return f"INDICATOR_CLASS_{class_}"


def catalogue_to_messages(catalogue: Catalogue) -> dict[str, pb.IndicatorInfo]:
    """Return every row of the catalogue as the contract has it, by name."""
    return {row.name: _info(row) for row in catalogue}


def _info(row: Indicator) -> pb.IndicatorInfo:
    default, params = row.variants[0], row.default_params()
    return pb.IndicatorInfo(
        name=row.name,
        display_name=row.display_name,
        group=row.group,
        inputs=row.inputs,
        parameters=[
            pb.ParameterInfo(
                name=parameter.name,
                type=f"PARAMETER_TYPE_{parameter.type}",
                default_value=parameter.default,
                min_value=parameter.minimum,
                max_value=parameter.maximum,
                choices=[pb.ParameterChoice(value=value, name=name) for value, name in parameter.choices],
                description=parameter.description,
            )
            for parameter in row.parameters
        ],
        outputs=[
            pb.OutputInfo(
                name=output.name,
                description=output.description,
                min_value=_bound(output.minimum),
                max_value=_bound(output.maximum),
                default_lookback=lookback,
            )
            for output, lookback in zip(row.outputs, default.lookbacks(params), strict=True)
        ],
        default_lookback=default.lookback(params),
        indicator_class=_class(default.class_of(params)),
        variants=[
            pb.VariantInfo(
                name=each.name,
                description=each.description,
                default_params=each.defaults,
                default_source=f"PRICE_SOURCE_{each.source.upper() if row.has_source else 'UNSPECIFIED'}",
                needs_time_zone=each.by_day,
            )
            for each in row.variants
        ],
    )


def _bound(value: float) -> float | None:
    """The contract has no infinite bounds."""
    return value if math.isfinite(value) else None
