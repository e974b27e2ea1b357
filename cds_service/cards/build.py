"""Whether a report makes a card, and the card.

Pure: the day and the source of identifiers are arguments. Sources: CDS Hooks 2.0, Card Attributes;
the safety rule that an error never looks like "nothing to show".
"""

from __future__ import annotations

from datetime import date
from uuid import uuid4

from cds_service.cards.detail import card_detail
from cds_service.cards.model import Card, Coding, Link, Source
from cds_service.cards.orders import NewUuid, Opened, OrderBook
from cds_service.cards.summary import card_summary
from cds_service.report import Report
from cds_service.trial.schema import Trial
from cds_service.trial.site import Site

REPORT_EXTENSION = "org.net-retreat.report"


def shows_card(report: Report, site: Site) -> bool:
    """Whether a report is to be shown.

    A result that the site keeps silent is shown all the same where data could not be read: silence
    would look like a complete screening. Two results stand whatever else could not be read, since
    the evaluation gives them from complete reads or from a fact that nothing can undo:
    ``not_relevant`` is never shown, and ``excluded`` only where the site asks for it.
    """
    if report.overall == "not_relevant":
        return False
    unread = bool(report.unread) and report.overall != "excluded"
    return unread or report.overall in site.cards


class CardBuilder:
    """Makes the cards of one trial at one site.

    Args:
        trial: the trial, whose file has all words.
        site: which results make a card.
        protocol_url: address of the current protocol, for a link on the card; from configuration.
        signed: whether a named person signed the criteria and codes in force; where not, each card
            says so.

    Raises:
        ConfigError: an order of the trial file makes no valid R4 ServiceRequest.
    """

    def __init__(
        self, trial: Trial, site: Site, *, protocol_url: str | None = None, signed: bool = False
    ) -> None:
        words = trial.card
        self._signed = signed
        self._trial = trial
        self._site = site
        self._orders = OrderBook(trial)
        self._source = Source(
            label=words.source,
            topic=Coding(system=trial.topic_system, code=trial.registry, display=words.trial),
        )
        self._override_reasons = tuple(
            Coding(system=words.override_system, code=reason.code, display=reason.display)
            for reason in words.override_reasons
        )
        self.override_codes = frozenset(reason.code for reason in words.override_reasons)
        self._links: tuple[Link, ...] = ()
        if protocol_url is not None:
            self._links = (Link(label=words.protocol_link, url=protocol_url, type="absolute"),)

    def card(
        self, report: Report, opened: Opened, *, today: date, new_uuid: NewUuid = uuid4
    ) -> Card | None:
        """The card of a report, or None where there is nothing to show.

        Args:
            report: the report.
            opened: whose chart is open before whom, for the orders.
            today: the day on which orders are written.
            new_uuid: makes the identifiers of the card and its suggestions.
        """
        if not shows_card(report, self._site):
            return None
        suggestions = self._orders.suggestions(report, opened, today, new_uuid)
        return Card(
            uuid=str(new_uuid()),
            summary=card_summary(report, self._trial),
            indicator="info",
            source=self._source,
            detail=card_detail(report, self._trial, signed=self._signed),
            suggestions=suggestions,
            selection_behavior="any" if suggestions else None,
            override_reasons=self._override_reasons,
            links=self._links,
            extension={REPORT_EXTENSION: report},
        )
