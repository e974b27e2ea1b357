"""What an EHR sends: the hook request and its feedback, as CDS Hooks 2.0 defines them.

Wrong types are refused, unknown members are ignored (section Extensions), and the prefetch stays
raw: each resource in it is read on its own, so that a broken one breaks nothing else.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

import msgspec
from msgspec import Meta, Raw

# FHIR R4, Datatypes, id. Nothing that fits can change a path or a query.
FhirId = Annotated[str, Meta(pattern=r"^[A-Za-z0-9.\-]{1,64}\Z")]
# The four users that patient-view names in its context.
UserId = Annotated[
    str,
    Meta(pattern=r"^(Practitioner|PractitionerRole|Patient|RelatedPerson)/[A-Za-z0-9.\-]{1,64}\Z"),
]
# A UUID by the specification; anything that is safe in a log is taken.
Identifier = Annotated[str, Meta(pattern=r"^[A-Za-z0-9._:\-]{1,128}\Z")]
# Visible ASCII only: a line break in a token would be a second header.
Token = Annotated[str, Meta(pattern=r"^[!-~]{1,16384}\Z")]
# To JSON, 300, 300.0 and 3e2 are one number, and an EHR may write any of them.
WholeSeconds = Annotated[float, Meta(gt=0, multiple_of=1)]


class PatientViewContext(msgspec.Struct, frozen=True, rename="camel"):
    """The context of ``patient-view`` 1.0."""

    user_id: UserId
    patient_id: FhirId
    encounter_id: FhirId | None = None


class FhirAuthorization(msgspec.Struct, frozen=True):
    """The token that the EHR lends for its FHIR server; kept in memory for the one answer only."""

    access_token: Token
    token_type: Literal["Bearer"]
    expires_in: WholeSeconds
    scope: str | None = None
    subject: str | None = None
    patient: FhirId | None = None

    def __repr__(self) -> str:
        """Without the token: this may end up in a log."""
        return f"FhirAuthorization(scope={self.scope!r})"


class HookRequest(msgspec.Struct, frozen=True, rename="camel"):
    """A call of the service.

    Args:
        prefetch: by the key of its template, as it came; a key that is missing was not prefetched.
    """

    hook: str
    hook_instance: Identifier
    context: PatientViewContext
    fhir_server: Annotated[str, Meta(min_length=1, max_length=2048)] | None = None
    fhir_authorization: FhirAuthorization | None = None
    prefetch: dict[str, Raw] | None = None


class AcceptedSuggestion(msgspec.Struct, frozen=True):
    """A suggestion that the user accepted."""

    id: Identifier


class ReasonCoding(msgspec.Struct, frozen=True):
    """The reason that was chosen among the card's override reasons."""

    code: Annotated[str, Meta(min_length=1, max_length=256)]
    system: Annotated[str, Meta(max_length=1024)] | None = None


class OverrideReason(msgspec.Struct, frozen=True, rename="camel"):
    """Why the card was set aside."""

    reason: ReasonCoding | None = None
    user_comment: Annotated[str, Meta(max_length=4096)] | None = None


class FeedbackItem(msgspec.Struct, frozen=True, rename="camel"):
    """What became of one card."""

    card: Identifier
    outcome: Literal["accepted", "overridden"]
    outcome_timestamp: Annotated[datetime, Meta(tz=True)]
    accepted_suggestions: tuple[AcceptedSuggestion, ...] = ()
    override_reason: OverrideReason | None = None


class FeedbackRequest(msgspec.Struct, frozen=True):
    """What became of cards, of one or several calls."""

    feedback: Annotated[tuple[FeedbackItem, ...], Meta(min_length=1)]


class Service(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """One service as discovery describes it."""

    hook: str
    id: str
    title: str
    description: str
    usage_requirements: str
    version: str
    prefetch: dict[str, str] = {}


class Services(msgspec.Struct, frozen=True):
    """The answer to discovery."""

    services: tuple[Service, ...]
