"""The demo patients: synthetic charts that differ in the reason, and move with today.

A file in ``fixtures/patients`` holds what one patient adds to, replaces in, or removes from the
shared ``base.json``. Two tokens stand in its strings: ``{{patient}}``, the patient's id, and
``{{today-26mo}}``, a day counted from today, so that the demo does not age. The service itself
never reads these.
"""

from __future__ import annotations

import json
import re
from calendar import monthrange
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Any

from cds_service.errors import ConfigError

BASE_NAME = "base"

TypeAndId = tuple[str, str]
Resource = dict[str, Any]

_TODAY = re.compile(r"\{\{today((?:[+-]\d+(?:y|mo|d))*)(?::(year|month))?\}\}")
_STEP = re.compile(r"([+-]\d+)(y|mo|d)")
_PRECISION: dict[str | None, Callable[[date], str]] = {
    None: date.isoformat,
    "month": lambda day: f"{day:%Y-%m}",
    "year": lambda day: f"{day:%Y}",
}


@dataclass(frozen=True)
class Expected:
    """What the rules say about a demo patient, written by hand from the specification.

    Args:
        overall: the overall result of the chart alone, with no attestation and no site file.
        criteria: criterion id to the fields asserted (``status``, and where it matters ``basis``,
            ``change``, ``eligibleFrom``); empty where the patient is not relevant.
    """

    overall: str
    criteria: Mapping[str, Mapping[str, str]]


@dataclass(frozen=True)
class DemoPatient:
    """One synthetic chart.

    Args:
        name: the fixture's file name, which is the Patient's id as well.
        title: in one line, what this patient is there to show.
        expected: what the rules say about the chart.
        resources: the chart; the Patient comes first.
    """

    name: str
    title: str
    expected: Expected
    resources: tuple[Resource, ...]

    @property
    def patient(self) -> Resource:
        """The Patient resource."""
        return self.resources[0]


def shift_date(day: date, *, years: int = 0, months: int = 0, days: int = 0) -> date:
    """Move a date by calendar years and months, then by days.

    31 March less a month is the last day of February.
    """
    ordinal = day.year * 12 + day.month - 1 + years * 12 + months
    year, month = divmod(ordinal, 12)
    last = monthrange(year, month + 1)[1]
    return date(year, month + 1, min(day.day, last)) + timedelta(days=days)


def resolve_dates(text: str, today: date) -> str:
    """Replace every ``{{today…}}`` in a text.

    Steps are taken left to right: ``{{today-62y-4mo}}``, ``{{today+3d}}``; ``:month`` and ``:year``
    cut the date to a partial one. What looks like a token but is not one is left as it stands.
    """
    return _TODAY.sub(lambda token: _day_text(token, today), text)


def _day_text(token: re.Match[str], today: date) -> str:
    day = today
    for amount, unit in _STEP.findall(token[1]):
        step = {"y": "years", "mo": "months", "d": "days"}[unit]
        day = shift_date(day, **{step: int(amount)})
    return _PRECISION[token[2]](day)


def fixtures_directory() -> Path:
    """Where the fixtures are: in the installed package, or beside it in a checkout.

    Raises:
        ConfigError: neither place has them.
    """
    package = Path(__file__).resolve().parents[1]
    for place in (package / "fixtures", package.parent / "fixtures"):
        if (place / "patients").is_dir():
            return place
    raise ConfigError("the demo fixtures are missing from this installation; reinstall the package")


def load_demo_patients(today: date) -> tuple[DemoPatient, ...]:
    """All demo patients, in the order of the list that shows them.

    Args:
        today: the day that the offsets in the files are counted from.

    Raises:
        ConfigError: a file contradicts the base: it replaces or removes what is not there, or
            adds what is.
    """
    files = sorted((fixtures_directory() / "patients").glob("*.json"))
    texts = {file.stem: file.read_text(encoding="utf-8") for file in files}
    base_text = texts.pop(BASE_NAME)
    loaded = [_load_patient(name, text, base_text, today) for name, text in texts.items()]
    return tuple(patient for _, patient in sorted(loaded, key=lambda pair: pair[0]))


def load_demo_resources(today: date) -> tuple[Resource, ...]:
    """Everything the demo's FHIR server holds: the clinician who is logged in, and every chart."""
    clinicians = json.loads((fixtures_directory() / "clinicians.json").read_text(encoding="utf-8"))
    charts = [resource for patient in load_demo_patients(today) for resource in patient.resources]
    return (*clinicians, *charts)


def _load_patient(name: str, text: str, base_text: str, today: date) -> tuple[int, DemoPatient]:
    own = _read(text, name, today)
    base = _read(base_text, name, today) if own["base"] else {"resources": [], "expected": {}}
    expected = Expected(
        overall=own["expected"]["overall"],
        criteria={**base["expected"].get("criteria", {}), **own["expected"]["criteria"]},
    )
    chart = _merge_charts(name, base["resources"], own)
    return own["order"], DemoPatient(name, own["title"], expected, (own["patient"], *chart))


def _read(text: str, name: str, today: date) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(resolve_dates(text.replace("{{patient}}", name), today))
    return document


def _merge_charts(name: str, base: Iterable[Resource], own: Mapping[str, Any]) -> list[Resource]:
    """The base chart with one patient's changes; one that does not fit the base is a slip."""
    chart = {_key(resource): resource for resource in base}
    removed = set(own.get("remove", ()))
    replaced = {_key(resource): resource for resource in own.get("replace", ())}
    added = {_key(resource): resource for resource in own.get("add", ())}
    unknown = (removed - {key[1] for key in chart}) | {
        key[1] for key in replaced.keys() - chart.keys()
    }
    doubled = {key[1] for key in added.keys() & chart.keys()}
    if unknown or doubled:
        wrong = ", ".join(sorted(unknown | doubled))
        raise ConfigError(f"fixtures/patients/{name}.json does not fit base.json: {wrong}")
    kept = {key: resource for key, resource in chart.items() if key[1] not in removed}
    return list({**kept, **replaced, **added}.values())


def _key(resource: Resource) -> TypeAndId:
    return resource["resourceType"], resource["id"]
