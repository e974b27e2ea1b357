"""Charts that are sent along with a hook, and what the service made of them.

The charts are those of :mod:`tests.charts`, moved to the day of the clock, and every free text in
them carries ``ZZPHI``, so that the check for leaks has something to find.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any

from tests import charts
from tests.cases.conftest import PATIENT

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from tests.cases.conftest import Answered, Running

Json = dict[str, Any]

DAY = datetime.now(UTC).date()
ME = f"Patient/{PATIENT}"
CELLS = "10*9/L"
# What stands for each type of resource in a hook's prefetch, as discovery offers it.
KEYS = {
    "Condition": "conditions",
    "MedicationAdministration": "medicationAdministrations",
    "MedicationStatement": "medicationStatements",
    "MedicationRequest": "medicationRequests",
    "MedicationDispense": "medicationDispenses",
    "Procedure": "procedures",
    "Observation": "observations",
    "DiagnosticReport": "diagnosticReports",
    "ImagingStudy": "imagingStudies",
    "AdverseEvent": "adverseEvents",
    "Consent": "consents",
}
# A machine that does other work as well may keep the service from its deadline.
_OVERLOADED, _ATTEMPTS = 503, 3
_DATE = re.compile(r'(?<=")\d{4}-\d{2}-\d{2}(?=["T])')


def ago(days: int) -> str:
    """An ISO date so many days before the day of the clock."""
    return charts.days_ago(days, DAY)


def lab(test: str, value: Any, unit: str | None = None, days: int = 7, **more: Any) -> Json:
    """A measured value of so many days ago, or of ``on``."""
    return charts.lab(test, value, unit, more.pop("on", ago(days)), **more)


def observation(test: str | Json, days: int = 7, **more: Any) -> Json:
    """An Observation of so many days ago, or of ``on``."""
    return charts.observation(test, more.pop("on", ago(days)), **more)


def chart(*added: Json, without: str = "", person: Json | None = None) -> list[Json]:
    """The builder's full chart on the day of the clock, without some of it and with more."""
    moved = DAY - charts.TODAY

    def move(found: re.Match[str]) -> str:
        return (date.fromisoformat(found[0]) + moved).isoformat()

    dropped = set(without.split())
    kept = [one for one in charts.everything() if one["id"] not in dropped]
    assert len(kept) == len(charts.everything()) - len(dropped)
    base = json.loads(_DATE.sub(move, json.dumps([charts.patient(), *kept])))
    base[0] = {name: it for name, it in (base[0] | (person or {})).items() if it is not None}
    replaced = {(one["resourceType"], one.get("id")) for one in added}
    return [one for one in base if (one["resourceType"], one["id"]) not in replaced] + [*added]


def marked(resources: Iterable[Json]) -> list[Json]:
    """The chart of the patient of the hook, with words of its own in every place for words."""
    text = json.dumps(list(resources)).replace(f'"{charts.ME}', f'"{ME}')
    found: list[Json] = json.loads(text)
    for number, one in enumerate(found):
        if one["resourceType"] == "Patient":
            one["id"] = PATIENT if one["id"] == "anna" else one["id"]
            one.setdefault("name", [{"family": f"ZZPHI-name-{number}"}])
        one.setdefault("note", [{"text": f"ZZPHI-note-{number}"}])
        one.setdefault("text", {"status": "generated", "div": f"<div>ZZPHI-div-{number}</div>"})
        one.setdefault("identifier", [{"value": f"ZZPHI-identifier-{number}"}])
        concept = one.get("code")
        for coding in concept.get("coding", ()) if isinstance(concept, dict) else ():
            coding.setdefault("display", f"ZZPHI-display-{number}")
    return found


def prefetch(resources: Iterable[Json]) -> Json:
    """All of a chart as the prefetch that discovery asks for."""
    found = marked(resources)
    sent: Json = {key: page(one for one in found if one["resourceType"] == type_)
                  for type_, key in KEYS.items()}  # fmt: skip
    for one in found:
        if one["resourceType"] == "Medication":  # comes along with whatever refers to it
            for key in ("medicationRequests", "medicationAdministrations"):
                sent[key]["entry"].append({"resource": one, "search": {"mode": "include"}})
    return sent | {"patient": next(one for one in found if one["resourceType"] == "Patient")}


def page(resources: Iterable[Json], **more: Any) -> Json:
    """A whole search result."""
    entry = [{"resource": one} for one in resources]
    return {"resourceType": "Bundle", "type": "searchset", "entry": entry} | more


@dataclass
class Judged:
    """What a hook was answered, and what the audit has of it."""

    answer: Answered
    audited: Json

    @property
    def overall(self) -> str:
        """The overall result."""
        found: str = self.audited["overall"]
        return found

    @property
    def report(self) -> Json:
        """The report on the card."""
        return self.answer.report

    @property
    def detail(self) -> str:
        """The detail of the card."""
        (card,) = self.answer.cards
        found: str = card["detail"]
        return found

    def status(self, criterion: str) -> str:
        """A criterion's status, with its basis where that is not evidence."""
        status, basis = self.audited["criteria"][criterion]
        return f"{status} by {basis}" if basis not in (None, "evidence") else str(status)

    def statuses(self) -> dict[str, str]:
        """All of them."""
        return {name: self.status(name) for name in self.audited["criteria"]}

    def issues(self) -> set[str]:
        """The codes of the data issues."""
        return {one["code"] for one in self.report["dataIssues"]}


def judge(
    service: Running, resources: Iterable[Json] | None = None, *, tenant: str = "alpha",
    change: Callable[[Json], Json | None] = lambda _: None, **members: Any,
) -> Judged:  # fmt: skip
    """Ask about a chart.

    Args:
        service: the service.
        resources: the chart, all of it sent along, so that no server is asked; None to send
            nothing.
        tenant: who asks.
        change: changes the prefetch.
        members: of the hook, beside the prefetch.
    """
    alone: Json = {}
    if resources is not None:
        sent = prefetch(resources)
        changed = change(sent)
        alone = {"prefetch": sent if changed is None else changed}
        alone |= {"fhirServer": None, "fhirAuthorization": None}
    for _ in range(_ATTEMPTS):
        answer = service.post(service.hook(tenant, **(alone | members)), tenant)
        if answer.response.status_code != _OVERLOADED:
            break
    assert 200 == answer.response.status_code, answer.response.text
    return Judged(answer, service.audited()[-1])


def day_of(moment: date, days: int = 0) -> str:
    """Another day, as FHIR writes it."""
    return (moment + timedelta(days=days)).isoformat()


Row = tuple[str, list[Json]]


def differing(service: Running, criterion: str, rows: dict[str, Row]) -> dict[str, tuple[str, str]]:
    """The rows of a table of charts in which a criterion is judged otherwise: expected, found."""
    found = {name: judge(service, resources).status(criterion) for name, (_, resources) in
             rows.items()}  # fmt: skip
    return {
        name: (expected, found[name])
        for name, (expected, _) in rows.items()
        if found[name] != expected
    }
