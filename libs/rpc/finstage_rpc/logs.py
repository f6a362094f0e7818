"""Logs: structured events on stderr, each with the call that it belongs to.

Events that other libraries log through the standard library have the same form.
"""

import logging
import sys
from typing import Literal

import structlog
from structlog.typing import EventDict, Processor

from finstage_rpc import call


def configure(*, level: str, log_format: Literal["console", "json"]) -> None:
    """Set up structlog and the standard library's logging for this process.

    level: the lowest level that is logged: DEBUG, INFO, WARNING, ERROR.
    """
    number = logging.getLevelNamesMapping()[level]
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        _add_call,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    render: list[Processor]
    if log_format == "json":
        # Without local variables, which may be secret or long.
        tracebacks = structlog.tracebacks.ExceptionDictTransformer(show_locals=False, max_frames=30)
        render = [structlog.processors.ExceptionRenderer(tracebacks), structlog.processors.JSONRenderer()]
    else:
        plain = structlog.dev.plain_traceback
        render = [structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty(), exception_formatter=plain)]
    structlog.configure(
        processors=[*shared, *render],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=False,
    )
    remove = structlog.stdlib.ProcessorFormatter.remove_processors_meta
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[*shared, structlog.stdlib.add_logger_name],
            processors=[remove, *render],
        )
    )
    logging.basicConfig(handlers=[handler], level=max(number, logging.INFO), force=True)


def _add_call(logger: object, name: str, event: EventDict) -> EventDict:
    serving = call.current()
    if serving is not None:
        event.setdefault("method", serving.method)
        event.setdefault("request_id", serving.request_id)
        if serving.caller:
            event.setdefault("caller", serving.caller)
    return event
