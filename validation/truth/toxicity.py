"""Toxicity of the past PRRT, by CTCAE: laboratory results of grade 3, and what was noted."""

from __future__ import annotations

from decimal import Decimal
from typing import Final

from validation.decisions import Decisions
from validation.truth.finding import Finding, ask, not_met
from validation.truth.labs import BILIRUBIN_LIMIT, latest, neutrophil_count, number
from validation.truth.prrt import readings

_DAYS: Final = 90
# Grade 3 begins below these: g/dL, then 10*9/L.
_TOO_LOW: Final = {
    "Hemoglobin ": Decimal("8.0"),
    "Platelets ": Decimal(50),
    "Leukocytes ": Decimal("2.0"),
    "Lymphocytes ": Decimal("0.5"),
}
_NEUTROPHILS: Final = Decimal("1.0")
# All of total bilirubin; "Bilirubin direct" is none.
_BILIRUBIN: Final = (
    "Bilirubin at ",
    "Bilirubin normal",
    "Bilirubin just below",
    "Bilirubin limit",
    "Bilirubin raised",
    "Bilirubin very high",
)
# Grade 3 begins above these multiples of the laboratory's upper limits of normal.
_TOO_HIGH: Final = (
    (_BILIRUBIN, 3 * BILIRUBIN_LIMIT),
    (("Creatinine ",), 3 * Decimal("1.2")),
    (("ALT ",), 5 * Decimal(40)),
    (("AST ",), 5 * Decimal(40)),
)


def toxicity(decisions: Decisions) -> Finding:
    """Inclusion: no ongoing toxicity of grade 3 or more."""
    told = decisions.choice("toxicity")
    ongoing = told == "severe_event" and decisions.choice("toxicity_in_truth") == "ongoing"
    hidden = ongoing or told in {"ctcae_3", "unrecorded"}
    truly = not (hidden or _grade_3(decisions, None, limits_known=True))
    days = _days_since_prrt(decisions)
    known = decisions.choice("upper_limits") == "given"
    documented = days is not None and (
        told == "ctcae_3" or _grade_3(decisions, days, limits_known=known)
    )
    return not_met("new_data") if documented else ask(truly=truly)


def _days_since_prrt(decisions: Decisions) -> int | None:
    """How far back a result may lie: 90 days, and after the latest cycle of all.

    With no known cycle there is no "after PRRT" for a result to be in.
    """
    cycles = [cycle for way in readings(decisions) for cycle in way]
    if not cycles:
        return None
    last = max(cycle.day for cycle in cycles)
    return min(_DAYS, (decisions.as_of - last).days - 1)


def _grade_3(decisions: Decisions, days: int | None, *, limits_known: bool) -> bool:
    # The text says "ANC" and "latest labs". A count from leukocytes and a share is taken for it,
    # as by the criterion on neutrophils; the text does not say so here.
    count = neutrophil_count(decisions, days)
    if count is not None and count < _NEUTROPHILS:
        return True
    low = [(latest(decisions, name, days=days), limit) for name, limit in _TOO_LOW.items()]
    if any(result is not None and number(result) < limit for result, limit in low):
        return True
    high = [(latest(decisions, *names, days=days), limit) for names, limit in _TOO_HIGH]
    return limits_known and any(
        result is not None and number(result) > limit for result, limit in high
    )
