"""What became of cards: kept, counted, noted."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from structlog.typing import FilteringBoundLogger

from cds_service.cdshooks.models import FeedbackItem, Service
from cds_service.operations.metrics import Metrics
from cds_service.store.records import FeedbackEntry
from cds_service.store.store import Store
from cds_service.trust.caller import Caller


class FeedbackDesk:
    """Takes feedback on the cards of one service.

    Args:
        service: the service.
        codes: the override reasons that its cards offer.
        store: where feedback is kept before it is acknowledged.
        metrics: counts.
        logger: where it is noted, without its free text.
    """

    def __init__(
        self,
        service: Service,
        codes: Collection[str],
        store: Store,
        metrics: Metrics,
        logger: FilteringBoundLogger,
    ) -> None:
        self._service = service
        self._codes = codes
        self._store = store
        self._metrics = metrics
        self._logger = logger

    async def __call__(self, caller: Caller, items: Sequence[FeedbackItem]) -> None:
        """Keep all items, or none.

        Raises:
            UnknownCard: one is on a card that this caller never got.
            StoreUnavailable: they could not be kept.
        """
        entries = [self._entry(item) for item in items]
        known = await self._store.write_feedback(caller.name, self._service.id, entries)
        for entry, suggestions in zip(entries, known, strict=True):
            self._metrics.feedback(outcome=entry.outcome, reason=entry.reason)
            self._note(caller, entry, suggestions)

    def _entry(self, item: FeedbackItem) -> FeedbackEntry:
        override = item.override_reason
        chosen = None if override is None else override.reason
        return FeedbackEntry(
            card=item.card,
            outcome=item.outcome,
            outcome_timestamp=item.outcome_timestamp,
            suggestions=tuple(one.id for one in item.accepted_suggestions),
            # A code that is not one of ours is a caller's free text.
            reason=chosen.code if chosen is not None and chosen.code in self._codes else None,
            comment=None if override is None else override.user_comment,
        )

    def _note(self, caller: Caller, entry: FeedbackEntry, suggestions: Sequence[str]) -> None:
        """Note a feedback, with those of the suggestions that its card had."""
        self._logger.info(
            "feedback",
            service=self._service.id,
            caller=caller.name,
            card=entry.card,
            outcome=entry.outcome,
            suggestions=list(suggestions),
            code=entry.reason,
            comment=entry.comment is not None,
        )
