"""What a hook is answered with: whether it is screened, whether the card is shown, what is kept.

The audit comes first and the answer second: where the audit cannot be written, nothing is said
about the patient.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import date, datetime, timedelta

import msgspec
from structlog.typing import FilteringBoundLogger

from cds_service.cards.build import CardBuilder
from cds_service.cards.model import Card, Cards
from cds_service.cards.orders import Opened
from cds_service.cdshooks.keeping import Answer, Keeping
from cds_service.cdshooks.models import HookRequest, Service
from cds_service.cdshooks.notes import Notes
from cds_service.cdshooks.refusals import OTHER_PATIENT
from cds_service.cdshooks.screen import Screened
from cds_service.errors import HookError, OtherPatient, PatientUnavailable
from cds_service.operations.labels import HookOutcome
from cds_service.operations.metrics import Metrics
from cds_service.operations.tracing import NO_TRACING, Tracing
from cds_service.report import Report
from cds_service.store.hashing import KeyedHash
from cds_service.store.store import Store
from cds_service.trial.schema import Trial
from cds_service.trust.caller import Caller

# Screens the patient of a hook within so many seconds. Raises HookError for a request that cannot
# be answered, FhirError where not even the Patient can be had.
ScreenHook = Callable[[HookRequest, Caller, float], Awaitable[Screened]]

NO_CARDS = Cards(())


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
        self._trial = trial
        self._screen = screen
        self._cards = cards
        self._showing = showing
        self._store = store
        self._keeping = Keeping(
            service.id,
            store=store,
            hashes=hashes,
            metrics=metrics,
            logger=logger,
            today=today,
            tracing=tracing,
        )
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
        answer = Answer(hook, caller)
        with self._tracing.span("hook", {"cds.caller": caller.name}) as span:
            cards = await self._answered(answer, within_s)
            if answer.report is not None:
                span.set("cds.overall", answer.report.overall)
                span.set("cds.unread", len(answer.report.unread))
            return cards

    async def _answered(self, answer: Answer, within_s: float) -> Cards:
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
        return await self._given(answer, await self._outcome(answer, screened))

    async def _outcome(self, answer: Answer, screened: Screened) -> HookOutcome:
        if screened.test_patient:
            return "test-patient"
        if answer.card is None:
            return "no-card"
        if self._showing.shadow or answer.caller.shadow:
            return "shadow"
        quieted = await self._store.quiet_since(self._keeping.quiet_key(answer))
        if quieted is not None and quieted.overall == screened.report.overall:
            until = quieted.since + timedelta(days=self._showing.override_days)
            if self._now() < until:
                return "quiet"
        return "card"

    def _card(self, hook: HookRequest, report: Report) -> Card | None:
        context = hook.context
        opened = Opened(context.patient_id, context.user_id, context.encounter_id)
        return self._cards.card(report, opened, today=self._today())

    async def _given(self, answer: Answer, outcome: HookOutcome) -> Cards:
        """Keep what is answered, and only then give it."""
        if outcome != "card":
            answer.card = None
        await self._keeping.keep(answer, outcome)
        return NO_CARDS if answer.card is None else Cards((answer.card,))
