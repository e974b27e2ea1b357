"""What a hook is answered with: whether it is screened, whether the card is shown, what is kept.

The audit comes first and the answer second: where the audit cannot be written, nothing is said
about the patient.
"""

from __future__ import annotations

import re
import time
from collections.abc import Awaitable, Callable
from datetime import date, datetime, timedelta
from typing import Literal

import msgspec
from structlog.typing import FilteringBoundLogger

from cds_service.cards.build import CardBuilder
from cds_service.cards.model import Card, Cards
from cds_service.cards.orders import Opened
from cds_service.cdshooks.keeping import hook_entry
from cds_service.cdshooks.models import HookRequest, Service
from cds_service.cdshooks.notes import Notes
from cds_service.cdshooks.refusals import OTHER_PATIENT
from cds_service.cdshooks.screen import Screened
from cds_service.errors import HookError, OtherPatient, PatientUnavailable
from cds_service.operations.metrics import Metrics
from cds_service.operations.tracing import NO_TRACING, Tracing
from cds_service.report import Report
from cds_service.store.hashing import KeyedHash
from cds_service.store.records import HookEntry, QuietKey
from cds_service.store.store import Store
from cds_service.trial.schema import Trial
from cds_service.trust.caller import Caller

# Screens the patient of a hook within so many seconds. Raises HookError for a request that cannot
# be answered, FhirError where not even the Patient can be had.
ScreenHook = Callable[[HookRequest, Caller, float], Awaitable[Screened]]

HookOutcome = Literal[
    "card", "no-card", "quiet", "shadow", "switched-off", "patient-unavailable", "other-patient"
]

NO_CARDS = Cards(())

_UUID = re.compile(r"[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}")

# The codes of the reader for resources that are another patient's, or nobody's.
_OF_OTHERS = frozenset({"other-patient", "no-subject"})


class Showing(msgspec.Struct, frozen=True):
    """When a card that there is, is shown.

    Args:
        override_days: how long an override keeps the card away, unless the result changes.
        shadow: whether no card is shown at all.
    """

    override_days: int = 90
    shadow: bool = False


class Answering:
    """Answers the hooks of one service.

    Args:
        service: the service as discovery describes it.
        trial: its trial, for the switch that turns it off.
        screen: screens the patient of a hook.
        cards: makes the card of a report.
        showing: when the card is shown.
        store: where every answer is kept before it is given.
        hashes: what stands for patients and users there.
        metrics: counts.
        logger: where answers are noted.
        notes: told of what is switched off.
        now: the clock; aware of its time zone.
        today: the day at the site.
        tracing: makes spans, where they are on.
    """

    def __init__(  # noqa: PLR0913  (the parts that it puts together)
        self,
        service: Service,
        trial: Trial,
        screen: ScreenHook,
        cards: CardBuilder,
        showing: Showing,
        *,
        store: Store,
        hashes: KeyedHash,
        metrics: Metrics,
        logger: FilteringBoundLogger,
        notes: Notes,
        now: Callable[[], datetime],
        today: Callable[[], date],
        tracing: Tracing = NO_TRACING,
    ) -> None:
        self._service = service
        self._trial = trial
        self._screen = screen
        self._cards = cards
        self._showing = showing
        self._store = store
        self._hashes = hashes
        self._metrics = metrics
        self._logger = logger
        self._notes = notes
        self._now = now
        self._today = today
        self._tracing = tracing

    async def __call__(self, hook: HookRequest, caller: Caller, within_s: float) -> Cards:
        """The answer to a hook.

        Args:
            hook: the request.
            caller: who sent it.
            within_s: the time in which reading stops.

        Raises:
            HookError: the request cannot be answered.
            PatientUnavailable: the Patient can be had neither way.
            StoreUnavailable: the answer could not be kept.
        """
        answer = _Answer(hook, caller, time.monotonic())
        with self._tracing.span("hook", {"cds.caller": caller.name}) as span:
            cards = await self._answered(answer, within_s)
            if answer.screened is not None:
                span.set("cds.overall", answer.screened.report.overall)
                span.set("cds.unread", len(answer.screened.report.unread))
            return cards

    async def _answered(self, answer: _Answer, within_s: float) -> Cards:
        hook, caller = answer.hook, answer.caller
        off = await self._store.switched_off()
        self._notes.switched_off(off)
        if not off.isdisjoint({f"trial:{self._trial.id}", f"issuer:{caller.name}"}):
            return await self._given(answer, "switched-off")
        try:
            screened = await self._screen(hook, caller, within_s)
        except PatientUnavailable as error:
            other = isinstance(error, OtherPatient)
            await self._given(answer, "other-patient" if other else "patient-unavailable")
            raise
        except HookError as error:
            # Somebody should be able to find out how often this was asked, and by whom.
            if error.reason == OTHER_PATIENT:
                await self._given(answer, "other-patient")
            raise
        answer.screened = screened
        answer.card = self._card(hook, screened.report)
        return await self._given(answer, await self._outcome(answer, screened.report))

    async def _outcome(self, answer: _Answer, report: Report) -> HookOutcome:
        if answer.card is None:
            return "no-card"
        if self._showing.shadow or answer.caller.shadow:
            return "shadow"
        quieted = await self._store.quiet_since(self._quiet_key(answer))
        if quieted is not None and quieted.overall == report.overall:
            until = quieted.since + timedelta(days=self._showing.override_days)
            if self._now() < until:
                return "quiet"
        return "card"

    def _card(self, hook: HookRequest, report: Report) -> Card | None:
        context = hook.context
        opened = Opened(context.patient_id, context.user_id, context.encounter_id)
        return self._cards.card(report, opened, today=self._today())

    async def _given(self, answer: _Answer, outcome: HookOutcome) -> Cards:
        """Keep what is answered, count it, note it, and only then give it."""
        if outcome != "card":
            answer.card = None
        with self._tracing.span("store"):
            await self._store.write_hook(self._entry(answer, outcome))
        self._count(answer, outcome)
        self._note(answer, outcome)
        return NO_CARDS if answer.card is None else Cards((answer.card,))

    def _quiet_key(self, answer: _Answer) -> QuietKey:
        return QuietKey(
            caller=answer.caller.name,
            service=self._service.id,
            patient=self._patient(answer),
            user=self._user(answer),
        )

    def _patient(self, answer: _Answer) -> str:
        return self._hashes.of("patient", answer.caller.name, answer.hook.context.patient_id)

    def _user(self, answer: _Answer) -> str:
        return self._hashes.of("user", answer.caller.name, answer.hook.context.user_id)

    def _instance(self, answer: _Answer) -> str:
        """The hook's instance if it is a UUID, as CDS Hooks says; else a hash: it may say more."""
        given = answer.hook.hook_instance
        if _UUID.fullmatch(given):
            return given
        return self._hashes.of("hook-instance", answer.caller.name, given)

    def _entry(self, answer: _Answer, outcome: HookOutcome) -> HookEntry:
        return hook_entry(
            HookEntry(
                hook_instance=self._instance(answer),
                service=self._service.id,
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

    def _count(self, answer: _Answer, outcome: HookOutcome) -> None:
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

    def _note(self, answer: _Answer, outcome: HookOutcome) -> None:
        report = None if answer.screened is None else answer.screened.report
        compared = None if answer.screened is None else answer.screened.comparison
        self._logger.info(
            "hook",
            service=self._service.id,
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


def _of_others(report: Report) -> int:
    """How many resources were left out because they are not known to be the patient's."""
    return sum(issue.code in _OF_OTHERS for issue in report.data_issues)


class _Answer:
    """One answer in the making."""

    def __init__(self, hook: HookRequest, caller: Caller, started: float) -> None:
        self.hook = hook
        self.caller = caller
        self.screened: Screened | None = None
        self.card: Card | None = None
        self._started = started

    def seconds(self) -> float:
        return time.monotonic() - self._started

    def milliseconds(self) -> float:
        return round(self.seconds() * 1000, 1)
