"""What the service writes to its log: JSON lines with a fixed set of keys.

A key that is not listed here is left out, whatever a caller passes: no patient, no token, no text
of a chart, and no text of an exception can reach the log by mistake. What libraries log becomes a
line of the same form, with the place in their code instead of their words.
"""

from __future__ import annotations

import logging
import sys
from typing import Any, Final

import structlog
from structlog.typing import EventDict, FilteringBoundLogger, Processor

from cds_service.operations.request_ids import current_request

# Each is explained in docs/operations.md. hook_instance and card are limited in form by the
# request's types; code is a code of ours, or left out.
KEYS = frozenset(
    {
        # of every line
        "event",
        "level",
        "timestamp",
        "request_id",
        "trace_id",
        # who asked, and what came of it
        "caller",
        "service",
        "hook_instance",
        "status",
        "reason",
        "milliseconds",
        # the evaluation
        "overall",
        "unread",
        "left_out",
        "trial",
        "mappings",
        "candidate",
        "comparison",
        # the card and its feedback
        "card",
        "outcome",
        "suggestions",
        "code",
        "comment",
        # the service itself
        "error",
        "logger",
        "mode",
        "version",
        "operation",
        "switch",
    }
)

LONGEST_TEXT: Final = 200
MOST_MEMBERS: Final = 20
_LARGEST: Final = 2**53


def only_known_keys(_logger: object, _method: str, event: EventDict) -> EventDict:
    """Leave out every key that is not listed, and keep each value small."""
    return {key: bounded(value) for key, value in event.items() if key in KEYS}


def with_request(_logger: object, _method: str, event: EventDict) -> EventDict:
    """Add the id of the request that the line belongs to."""
    request = current_request()
    if request is not None:
        event.setdefault("request_id", request.request_id)
        if request.trace_id is not None:
            event.setdefault("trace_id", request.trace_id)
    return event


def bounded(value: Any) -> Any:
    """A value that a log line may hold: plain, short, on one line; of any other, its class only."""
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int | float):
        return value if abs(value) < _LARGEST else "out of range"
    if isinstance(value, str):
        return _bounded_text(value)
    if isinstance(value, list | tuple):
        return [_leaf(item) for item in value[:MOST_MEMBERS]]
    if isinstance(value, dict):
        members = list(value.items())[:MOST_MEMBERS]
        return {str(bounded(str(key))): _leaf(item) for key, item in members}
    return type(value).__name__


def _bounded_text(text: str) -> str:
    if len(text) <= LONGEST_TEXT and text.isprintable():
        return text
    kept = "".join(char if char.isprintable() else "\ufffd" for char in text[:LONGEST_TEXT])
    return kept if len(text) <= LONGEST_TEXT else f"{kept}…"


def _leaf(value: Any) -> Any:
    """A member of a list or a table; these are not nested any further."""
    return type(value).__name__ if isinstance(value, list | tuple | dict) else bounded(value)


def processors() -> list[Processor]:
    """From an event to a line."""
    return [
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        with_request,
        only_known_keys,
        structlog.processors.JSONRenderer(),
    ]


def make_logger() -> FilteringBoundLogger:
    """A logger that writes JSON lines to standard error, and depends on no global configuration."""
    logger: FilteringBoundLogger = structlog.wrap_logger(
        # A line in one piece: of several workers each writes to the same place.
        structlog.WriteLogger(sys.stderr),
        processors=processors(),
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
    )
    return logger


class LibraryLog(logging.Handler):
    """Writes what libraries log: where in their code, and of an exception its class.

    Their words are left out. Those of HTTP clients name URLs with patients in them, those of HTTP
    servers quote requests, and a traceback shows the values that went wrong.
    """

    def __init__(self, logger: FilteringBoundLogger) -> None:
        super().__init__(logging.WARNING)
        self._logger = logger

    def emit(self, record: logging.LogRecord) -> None:
        """Write one line."""
        fault = record.exc_info[0] if record.exc_info else None
        name = f"{fault.__name__} " if fault is not None else ""
        place = f"{name}at {record.module}.{record.funcName}:{record.lineno}"
        if record.levelno >= logging.ERROR:
            self._logger.error("library", logger=record.name, error=place)
        else:
            self._logger.warning("library", logger=record.name, error=place)


def capture_library_logs(logger: FilteringBoundLogger) -> None:
    """Let nothing but JSON lines be written by any library of this process.

    For a process of the service's own, at its start: it replaces the handlers of every logger that
    there is.
    """
    names = [name for name in logging.root.manager.loggerDict if name]
    for library in (logging.getLogger(name) for name in names):
        library.handlers.clear()
        library.propagate = True
        library.setLevel(logging.NOTSET)
    handler = LibraryLog(logger)
    logging.root.handlers[:] = [handler]
    logging.lastResort = handler  # for a logger that was cut off from the root
    logging.root.setLevel(logging.WARNING)
    logging.captureWarnings(capture=True)
