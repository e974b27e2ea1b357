"""Hooks and feedback as tests hand them to the store, and questions to the database itself."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any

import msgspec
from sqlalchemy import create_engine, text

from cds_service.store.records import FeedbackEntry, HookEntry, QuietKey

CALLER, SERVICE = "st-elsewhere", "net-retreat-eligibility"
NOON = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
KEY = QuietKey(caller=CALLER, service=SERVICE, patient="patient-hash", user="user-hash")


class Clock:
    """A clock that is set by hand."""

    def __init__(self) -> None:
        self.time = NOON

    def __call__(self) -> datetime:
        """The time that was set."""
        return self.time

    def forward(self, **by: float) -> None:
        """Let time pass."""
        self.time += timedelta(**by)


_HOOK = HookEntry(
    hook_instance="d1577c69-dfbe-44ad-ba6d-3e05e953b2ea",
    service=SERVICE,
    caller=CALLER,
    patient=KEY.patient,
    user=KEY.user,
    as_of=date(2026, 11, 24),
    outcome="card",
    overall="possible",
    trial={"id": "net-retreat", "version": "2023", "digest": "sha256:1"},
    mappings={"version": "1", "digest": "sha256:2"},
    criteria={"hemoglobin": ("met", "evidence"), "consent": ("needs_confirmation", None)},
    reads={"Observation": "complete", "Condition": "failed"},
    card="card-1",
    suggestions=("suggestion-1", "suggestion-2"),
    candidate={"digest": "sha256:3", "overall": "excluded", "changed": {"age": ["met", "unknown"]}},
    milliseconds=41.6,
)
_FEEDBACK = FeedbackEntry(card="card-1", outcome="overridden", outcome_timestamp=NOON)


def hook(**changes: Any) -> HookEntry:
    """A hook that was answered with a card."""
    return msgspec.structs.replace(_HOOK, **changes)


def feedback(**changes: Any) -> FeedbackEntry:
    """An override of that card."""
    return msgspec.structs.replace(_FEEDBACK, **changes)


def query(url: str, statement: str, **values: Any) -> list[tuple[Any, ...]]:
    """What the database itself says, or does, past the store."""
    engine = create_engine(url)
    try:
        with engine.begin() as connection:
            found = connection.execute(text(statement), values)
            return [tuple(row) for row in found] if found.returns_rows else []
    finally:
        engine.dispose()


def count(url: str, table: str, where: str = "1 = 1") -> int:
    """How many rows a table has."""
    [(number,)] = query(url, f"SELECT count(*) FROM {table} WHERE {where}")  # noqa: S608
    return int(number)
