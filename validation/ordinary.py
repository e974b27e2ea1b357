"""Patients that nobody tuned: no card, no crash, no laboratory result of ours unrecognised."""

from __future__ import annotations

import re
from collections import Counter
from datetime import date
from typing import Any, Final

import msgspec

from cds_service.fhir.bundle import read_chart_file
from cds_service.fhir.reader import Reader
from validation.judging import Judge

LOINC: Final = "http://loinc.org"
_IMPLAUSIBLE: Final = "implausible"
# The data issues by which a value cannot be used; see docs/data-issues.md.
_UNREADABLE: Final = frozenset(
    {
        *("no-unit", "unknown-unit", "wrong-dimension", "unit-disagreement", "unusable-value"),
        *("unverified-code", "no-status", "broken-element", "unreadable", _IMPLAUSIBLE),
    }
)
_CARD: Final = frozenset({"all_met", "possible", "not_now"})
# Names of LOINC, by which a person would know the tests that the trial asks about. They stand here
# and not in the service's tables, so that the tables can be found wanting.
_NAMES: Final = {
    "hemoglobin": r"Hemoglobin \[(Mass|Moles)/volume\] in .*[Bb]lood.*",
    "neutrophils": r"Neutrophils \[#/volume\] in Blood.*",
    "leukocytes": r"Leukocytes \[#/volume\] in Blood.*",
    "lymphocytes": r"Lymphocytes \[#/volume\] in Blood.*",
    "platelets": r"Platelets \[#/volume\] in Blood.*",
    "bilirubin_total": r"Bilirubin(\.| )total \[(Mass|Moles)/volume\] in (Serum|Plasma|Blood).*",
    "creatinine": r"Creatinine \[(Mass|Moles)/volume\] in (Serum|Plasma|Blood).*",
    "alt": r"Alanine aminotransferase \[Enzymatic activity/volume\] in .*",
    "ast": r"Aspartate aminotransferase \[Enzymatic activity/volume\] in .*",
    "body_weight": r"Body [Ww]eight( Measured)?",
}
_PATTERNS: Final = {concept: re.compile(name) for concept, name in _NAMES.items()}


class Ordinary(msgspec.Struct):
    """What was found in ordinary patients.

    Args:
        overalls: overall results.
        cards: patients who would be shown a card.
        labs: results that bear the name of a test of ours.
        unmapped: those of them whose code the tables do not know, by code and name.
        unusable: those of them whose unit or value the service cannot read, by the data issue.
        implausible: those of them outside the range that the rules call plausible for an adult.
        crashes: patients whose evaluation ended with an error, and the error.
    """

    patients: int = 0
    resources: int = 0
    overalls: Counter[str] = msgspec.field(default_factory=Counter)
    cards: list[str] = msgspec.field(default_factory=list)
    labs: int = 0
    unmapped: Counter[str] = msgspec.field(default_factory=Counter)
    unusable: Counter[str] = msgspec.field(default_factory=Counter)
    implausible: int = 0
    crashes: list[tuple[str, str]] = msgspec.field(default_factory=list)

    def add(self, other: Ordinary) -> None:
        """Add what was found in other patients."""
        for name in self.__struct_fields__:
            setattr(self, name, getattr(self, name) + getattr(other, name))

    @property
    def faults(self) -> int:
        """What must be none."""
        troubles = len(self.cards) + len(self.crashes)
        return troubles + self.unmapped.total() + self.unusable.total()


def look(chart: bytes, name: str, as_of: date, judge: Judge) -> Ordinary:
    """Evaluate an ordinary patient and look at the results."""
    read = read_chart_file(chart, None)
    report = judge.screener.screen_chart(read, as_of)
    found = Ordinary(1, len(read.entries), Counter([report.overall]))
    if report.overall in _CARD:
        found.cards.append(name)
    record = Reader(judge.codes, judge.units, judge.screener.zone).read(read)
    problems = {one.reference: one.code for one in record.issues if one.code in _UNREADABLE}
    for entry in read.entries:
        if b'"Observation"' in bytes(entry.raw):
            _look_at(msgspec.json.decode(entry.raw), judge, problems, found)
    return found


def _look_at(
    resource: dict[str, Any], judge: Judge, problems: dict[str, str], found: Ordinary
) -> None:
    if resource.get("resourceType") != "Observation":
        return
    codings = resource.get("code", {}).get("coding", [])
    named = [(one, _test_named(one)) for one in codings if one.get("system") == LOINC]
    for coding, test in named:
        if test is None:
            continue
        found.labs += 1
        if test not in judge.codes.match(LOINC, coding["code"]).concepts:
            found.unmapped[f"{coding['code']} {coding['display']}"] += 1
        problem = problems.get(f"Observation/{resource.get('id')}")
        if problem == _IMPLAUSIBLE:
            found.implausible += 1
        elif problem is not None:
            found.unusable[f"{coding['code']}: {problem}"] += 1


def _test_named(coding: dict[str, Any]) -> str | None:
    name = coding.get("display", "")
    return next((test for test, one in _PATTERNS.items() if one.fullmatch(name)), None)
