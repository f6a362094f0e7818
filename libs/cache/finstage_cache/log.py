"""The log events of the cache, and the logger they go to.

    debug     cache_hit, cache_miss, cache_set, cache_delete (key, status); cache_invalidations_heard
    info      cache_backend_up
    warning   cache_backend_down, cache_invalidations_lost, cache_refresh_failed (key, error)
    error     cache_invalidations_failed

All have the field `cache` (its name) or `backend`. A level that is off costs nothing on a hit.
"""

import logging
import sys

import structlog
from structlog.typing import FilteringBoundLogger


def bound(log: FilteringBoundLogger | None, **values: object) -> FilteringBoundLogger:
    """`log`, else structlog's logger if the program configured one, else a logger of warnings on stderr."""
    if log is None:
        if structlog.is_configured():
            log = structlog.get_logger()
        else:
            quiet = structlog.make_filtering_bound_logger(logging.WARNING)
            log = structlog.wrap_logger(structlog.PrintLogger(sys.stderr), wrapper_class=quiet)
    return log.bind(**values)
