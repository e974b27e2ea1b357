"""The values that a metric's label may take. Few, fixed, and none of them from a request."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final, Literal, get_args

from cds_service.fhir.http import BreakerState
from cds_service.fhir.http.answers import Outcome
from cds_service.report import Overall
from cds_service.store.records import Operation

OTHER: Final = "other"
"""What any value becomes that is not listed."""

NONE: Final = "none"
"""What stands for no value."""


class Labels:
    """The values of one label.

    Args:
        values: those that it may take besides ``other``.
    """

    def __init__(self, values: Iterable[str]) -> None:
        self._values = dict.fromkeys((*values, OTHER))

    def allow(self, values: Iterable[str]) -> None:
        """Let it take more values."""
        self._values |= dict.fromkeys(values)

    def bounded(self, value: str | None) -> str:
        """The value if it is listed, else ``other``; ``none`` for none."""
        if value is None:
            return NONE
        return value if value in self._values else OTHER

    def __iter__(self) -> Iterator[str]:
        return iter(tuple(self._values))


HookOutcome = Literal[
    "card",
    "no-card",  # evaluated, and the result makes no card at this site
    "quiet",  # overridden not long ago, and nothing has changed
    "shadow",  # there was a card, and shadow mode kept it back
    "test-patient",  # evaluated, and the Patient is marked as one at this site
    "switched-off",  # the trial or the caller is switched off: not evaluated
    "patient-unavailable",
    "other-patient",  # the Patient that was sent or read is another one
]
ReadOutcome = Literal["complete", "partial", "failed", "not-permitted"]
ShedReason = Literal["service", "caller", "rate"]  # as of cdshooks.bulkhead
SecurityReason = Literal[
    "other-patient",  # a Patient, or a lent token, of another patient than the hook's
    "other-client",  # a token that was lent to another client
]
Route = Literal["discovery", "hook", "feedback", "health", "metrics"]

HOOK_OUTCOMES: Final = Labels(get_args(HookOutcome))
OVERALLS: Final = Labels(get_args(Overall))
REQUEST_OUTCOMES: Final = Labels(get_args(Outcome))
READ_OUTCOMES: Final = Labels(get_args(ReadOutcome))
SHED_REASONS: Final = Labels(get_args(ShedReason))
STORE_OPERATIONS: Final = Labels(get_args(Operation))
SECURITY_REASONS: Final = Labels(get_args(SecurityReason))
ROUTES: Final = Labels(get_args(Route))
FEEDBACK_OUTCOMES: Final = Labels(("accepted", "overridden"))
COMPARISONS: Final = Labels(("same", "different"))
STATUSES: Final = Labels(
    str(status) for status in (200, 400, 401, 403, 404, 405, 408, 412, 413, 415, 422, 429, 500, 503)
)
UNPARSED: Final = Labels(("400", "408", "431"))  # as of http_guard
BREAKER_STATES: Final = get_args(BreakerState)

# What is read of a chart.
RESOURCE_TYPES: Final = (
    "Patient",
    "AdverseEvent",
    "Condition",
    "Consent",
    "DiagnosticReport",
    "ImagingStudy",
    "Medication",
    "MedicationAdministration",
    "MedicationDispense",
    "MedicationRequest",
    "MedicationStatement",
    "Observation",
    "Procedure",
)

# The codes that the check of callers gives; a caller's own words are never among them.
REFUSALS: Final = Labels(
    (
        "several-tokens",
        "missing",
        "too-large",
        "malformed",
        "header",
        "algorithm",
        "unknown-issuer",
        "issuer-disabled",
        "key-address",
        "unknown-key",
        "stale-keys",
        "signature",
        "claims",
        "audience",
        "tenant",
        "lifetime",
        "not-yet-valid",
        "expired",
        "token-id",
        "replayed",
    )
)
