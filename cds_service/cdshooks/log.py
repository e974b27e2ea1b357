"""What the service writes to its log: JSON lines with a fixed set of keys.

A key that is not listed here is left out, whatever a caller passes: no patient, no token, no text
of a chart, and no text of an exception can reach the log by mistake.
"""

from __future__ import annotations

import logging
import sys

import structlog
from structlog.typing import EventDict, FilteringBoundLogger, Processor

# hook_instance, card and code are limited in form by the request's types.
KEYS = frozenset(
    {
        "event",
        "level",
        "timestamp",
        "request_id",
        "hook_instance",
        "service",
        "status",
        "error",
        "overall",
        "shown",
        "unread",
        "milliseconds",
        "card",
        "outcome",
        "suggestions",
        "code",
        "comment",
        "trial",
        "mappings",
    }
)


def only_known_keys(_logger: object, _method: str, event: EventDict) -> EventDict:
    """Leave out every key that is not listed."""
    return {key: value for key, value in event.items() if key in KEYS}


def processors() -> list[Processor]:
    """From an event to a line."""
    return [
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        only_known_keys,
        structlog.processors.JSONRenderer(),
    ]


def make_logger() -> FilteringBoundLogger:
    """A logger that writes JSON lines to standard error, and depends on no global configuration."""
    logger: FilteringBoundLogger = structlog.wrap_logger(
        structlog.PrintLogger(sys.stderr),
        processors=processors(),
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
    )
    return logger
