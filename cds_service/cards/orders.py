"""Suggestions: draft orders for the tests that are missing or outdated.

An order is a FHIR ServiceRequest that the EHR creates when the user accepts it (CDS Hooks 2.0,
Action). It is a draft: a clinician signs it or not. Each order of the trial file is validated once,
when the service starts, with values in every place that is filled in later.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import date
from typing import Any
from uuid import UUID

import msgspec
from fhir.resources.R4B.servicerequest import ServiceRequest
from pydantic import ValidationError

from cds_service.cards.model import Action, Suggestion
from cds_service.errors import ConfigError
from cds_service.report import Report
from cds_service.trial.schema import Order, Trial

NewUuid = Callable[[], UUID]

# Who may ask for an order in R4 (ServiceRequest.requester), of the users a hook can name. A patient
# or a relative may read the card, but is offered no orders.
_REQUESTER = re.compile(r"(Practitioner|PractitionerRole)/[A-Za-z0-9.-]{1,64}")


class Opened(msgspec.Struct, frozen=True):
    """Whose chart is open, and before whom.

    Args:
        patient_id: logical id of the patient.
        user: ``Practitioner/1`` and the like.
        encounter_id: logical id of the encounter, where the hook names one.
    """

    patient_id: str
    user: str
    encounter_id: str | None = None

    @property
    def may_order(self) -> bool:
        """Whether the user is one who orders tests."""
        return _REQUESTER.fullmatch(self.user) is not None


class OrderBook:
    """The orders of a trial file, checked and ready to be filled in.

    Args:
        trial: the trial.

    Raises:
        ConfigError: an order of the trial file makes no valid R4 ServiceRequest.
    """

    def __init__(self, trial: Trial) -> None:
        self._words = trial.card.suggestion
        self._reason = self._words.reason.format(trial=trial.card.trial)
        self._orders = trial.orders
        sample = Opened("id", "Practitioner/id", "id")
        for name, order in trial.orders.items():
            try:
                ServiceRequest.model_validate(self._resource(order, sample, date(2000, 1, 1)))
            except ValidationError as error:
                where = ".".join(str(part) for part in error.errors()[0]["loc"])
                raise ConfigError(f"trial file: order {name}: no valid order ({where})") from error

    def suggestions(
        self, report: Report, opened: Opened, today: date, new_uuid: NewUuid
    ) -> tuple[Suggestion, ...]:
        """One suggestion for each test that could settle something, each test once.

        None once a criterion is violated for good, since no test changes that.
        """
        if report.overall == "excluded" or not opened.may_order:
            return ()
        wanted = dict.fromkeys(
            missing.id
            for result in report.criteria
            for missing in result.missing
            if missing.kind == "order" and missing.id in self._orders
        )
        return tuple(
            self._suggestion(self._orders[name], opened, today, new_uuid) for name in wanted
        )

    def _suggestion(
        self, order: Order, opened: Opened, today: date, new_uuid: NewUuid
    ) -> Suggestion:
        action = Action(
            type="create",
            description=self._words.action.format(order=order.label),
            resource=self._resource(order, opened, today),
        )
        label = self._words.label.format(order=order.label)
        return Suggestion(label=label, uuid=str(new_uuid()), actions=(action,))

    def _resource(self, order: Order, opened: Opened, today: date) -> dict[str, Any]:
        resource: dict[str, Any] = {
            "resourceType": "ServiceRequest",
            "status": "draft",
            "intent": "order",
            "code": {
                "coding": [{"system": order.system, "code": order.code, "display": order.label}],
                "text": order.label,
            },
            "subject": {"reference": f"Patient/{opened.patient_id}"},
            "authoredOn": today.isoformat(),
            "requester": {"reference": opened.user},
            "reasonCode": [{"text": self._reason}],
        }
        if opened.encounter_id is not None:
            resource["encounter"] = {"reference": f"Encounter/{opened.encounter_id}"}
        return resource
