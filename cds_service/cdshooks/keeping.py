"""What is kept of an answer, counted and noted: results and identifiers, nothing of the chart."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from datetime import date
from typing import Any

import msgspec
from structlog.typing import FilteringBoundLogger

from cds_service.cards.model import Card
from cds_service.cdshooks.models import HookRequest
from cds_service.cdshooks.screen import Screened
from cds_service.comparison import Comparison
from cds_service.operations.labels import HookOutcome
from cds_service.operations.metrics import Metrics
from cds_service.operations.tracing import Tracing
from cds_service.report import Report, Version
from cds_service.store.hashing import KeyedHash
from cds_service.store.records import HookEntry, QuietKey
from cds_service.store.store import Store
from cds_service.trust.caller import Caller

_UUID = re.compile(r"[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}")

# The codes of the reader for resources that are another patient's, or nobody's.
_OF_OTHERS = frozenset({"other-patient", "no-subject"})


class Answer:
    """One answer in the making.

    Args:
        hook: what is answered.
        caller: who sent it.

    Attributes:
        screened: what the screening gave; None where there was none.
        card: the card that is shown; None where there is none.
    """

    def __init__(self, hook: HookRequest, caller: Caller) -> None:
        self.hook = hook
        self.caller = caller
        self.screened: Screened | None = None
        self.card: Card | None = None
        self._started = time.monotonic()

    @property
    def report(self) -> Report | None:
        """The report; None where nothing was evaluated."""
        return None if self.screened is None else self.screened.report

    def seconds(self) -> float:
        """For how long it has been in the making."""
        return time.monotonic() - self._started

    def milliseconds(self) -> float:
        """The same for people."""
        return round(self.seconds() * 1000, 1)


class Keeping:
    """Keeps the answers of one service.

    Args:
        service: its id.
        store: where every answer is kept before it is given.
        hashes: what stands for patients and users there.
        metrics: counts.
        logger: where answers are noted.
        today: the day at the site.
        tracing: makes spans, where they are on.
    """

    def __init__(  # noqa: PLR0913  (where an answer leaves its traces)
        self,
        service: str,
        *,
        store: Store,
        hashes: KeyedHash,
        metrics: Metrics,
        logger: FilteringBoundLogger,
        today: Callable[[], date],
        tracing: Tracing,
    ) -> None:
        self._service = service
        self._store = store
        self._hashes = hashes
        self._metrics = metrics
        self._logger = logger
        self._today = today
        self._tracing = tracing

    async def keep(self, answer: Answer, outcome: HookOutcome) -> None:
        """Write an answer to the audit, and then count and note it.

        Raises:
            StoreUnavailable: it could not be kept; then it must not be given.
        """
        with self._tracing.span("store"):
            await self._store.write_hook(self._entry(answer, outcome))
        self._count(answer, outcome)
        self._note(answer, outcome)

    def quiet_key(self, answer: Answer) -> QuietKey:
        """For whom an override keeps the card away."""
        return QuietKey(
            caller=answer.caller.name,
            service=self._service,
            patient=self._patient(answer),
            user=self._user(answer),
        )

    def _patient(self, answer: Answer) -> str:
        return self._hashes.of("patient", answer.caller.name, answer.hook.context.patient_id)

    def _user(self, answer: Answer) -> str:
        return self._hashes.of("user", answer.caller.name, answer.hook.context.user_id)

    def _instance(self, answer: Answer) -> str:
        """The hook's instance if it is a UUID, as CDS Hooks says; else a hash: it may say more."""
        given = answer.hook.hook_instance
        if _UUID.fullmatch(given):
            return given
        return self._hashes.of("hook-instance", answer.caller.name, given)

    def _entry(self, answer: Answer, outcome: HookOutcome) -> HookEntry:
        return hook_entry(
            HookEntry(
                hook_instance=self._instance(answer),
                service=self._service,
                caller=answer.caller.name,
                patient=self._patient(answer),
                user=self._user(answer),
                as_of=self._today(),
                outcome=outcome,
                milliseconds=answer.milliseconds(),
            ),
            answer.screened,
            answer.card,
        )

    def _count(self, answer: Answer, outcome: HookOutcome) -> None:
        screened = answer.screened
        self._metrics.hook(
            caller=answer.caller.name,
            outcome=outcome,
            overall=None if screened is None else screened.report.overall,
            seconds=answer.seconds(),
            incomplete=screened is not None and bool(screened.report.unread),
            reads={} if screened is None else screened.reads,
        )
        if screened is not None and screened.comparison is not None:
            self._metrics.compared(same=screened.comparison.same)

    def _note(self, answer: Answer, outcome: HookOutcome) -> None:
        report = answer.report
        compared = None if answer.screened is None else answer.screened.comparison
        self._logger.info(
            "hook",
            service=self._service,
            caller=answer.caller.name,
            hook_instance=self._instance(answer),
            outcome=outcome,
            overall=None if report is None else report.overall,
            card=None if answer.card is None else answer.card.uuid,
            unread=0 if report is None else len(report.unread),
            left_out=0 if report is None else _of_others(report),
            trial=None if report is None else report.trial.digest,
            mappings=None if report is None else report.mappings.digest,
            comparison=None if compared is None else ("same" if compared.same else "different"),
            milliseconds=answer.milliseconds(),
        )


def hook_entry(entry: HookEntry, screened: Screened | None, card: Card | None) -> HookEntry:
    """The entry with what was found and shown.

    Args:
        entry: who asked about whom, and what became of it.
        screened: what the screening gave; None where there was none.
        card: the card that is shown; None where there is none.
    """
    if card is not None:
        suggestions = tuple(one.uuid for one in card.suggestions)
        entry = msgspec.structs.replace(entry, card=card.uuid, suggestions=suggestions)
    if screened is None:
        return entry
    report = screened.report
    compared = screened.comparison
    return msgspec.structs.replace(
        entry,
        as_of=report.as_of,
        overall=report.overall,
        reason=screened.why_not,
        trial=msgspec.to_builtins(report.trial),
        mappings=_edition(report.mappings),
        criteria={one.id: (one.status, one.basis) for one in report.criteria},
        reads=screened.reads,
        candidate=None if compared is None else _changes(compared),
    )


def _of_others(report: Report) -> int:
    """How many resources were left out because they are not known to be the patient's."""
    return sum(issue.code in _OF_OTHERS for issue in report.data_issues)


def _edition(version: Version) -> dict[str, Any]:
    return {"version": version.version, "digest": version.digest}


def _changes(comparison: Comparison) -> dict[str, Any]:
    return {
        "digest": comparison.digest,
        "overall": comparison.after,
        "changed": {one.criterion: [one.before, one.after] for one in comparison.differences},
    }
