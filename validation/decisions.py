"""What the generator decided about one patient: the one source of the truth, and of the enrichment.

Synthea's launcher writes it down during the simulation (`fixtures/synthea`), the enrichment adds
what it decided itself. Nothing here was read from a chart.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

# The attributes of this project's modules begin so; the rest of the name is the decision's.
PREFIX: Final = "net_"
_NO_EVENTS: Final = frozenset({"Encounter", "MedicationEnd", "ConditionEnd", "Death"})


@dataclass(frozen=True)
class Event:
    """One thing that happened to the patient in the simulation.

    Args:
        name: the module's state, such as "Hemoglobin limit".
        kind: the type of state: Observation, Procedure, MedicationOrder, ...
        at: the instant, as Synthea's exporter writes it (UTC, to the second).
        day: the day of it.
        last_day: the day on which it was over, for what took time.
        value: the number that was drawn, for an observation with one.
        unit: its unit.
        answer: the words of the answer, for an observation with one.
        resource: the id of the resource that Synthea made of it.
    """

    name: str
    kind: str
    at: str
    day: date
    last_day: date
    value: Decimal | None
    unit: str | None
    answer: str | None
    resource: str


@dataclass(frozen=True)
class Decisions:
    """All that was decided about one patient.

    Args:
        chosen: which branch was taken, by the name of the choice.
        events: what happened up to the reference date, in time order.
        ends: on which day each thing ended that was ended, by the name of the state that ended it.
        added: what the enrichment decided, by the name of the decision.
    """

    patient: str
    as_of: date
    born: date
    died: date | None
    sex: str
    chosen: Mapping[str, str]
    events: tuple[Event, ...]
    ends: Mapping[str, date]
    added: dict[str, Any] = field(default_factory=dict)

    def choice(self, name: str) -> str:
        """The branch taken; empty where the patient never came to that choice."""
        return self.chosen.get(name, "")

    def named(self, *beginnings: str, kind: str | None = None) -> tuple[Event, ...]:
        """The events whose name begins so, of that kind, in time order."""
        return tuple(
            event
            for event in self.events
            if event.name.startswith(beginnings) and (kind is None or event.kind == kind)
        )

    def event(self, name: str) -> Event | None:
        """The event of exactly that name."""
        return next((event for event in self.events if event.name == name), None)

    def as_json(self) -> dict[str, Any]:
        """The decisions as they are kept beside the truth."""
        return {
            "born": self.born.isoformat(),
            "died": self.died.isoformat() if self.died else None,
            "sex": self.sex,
            "chosen": dict(self.chosen),
            "events": [_event_json(event) for event in self.events],
            "ends": {name: day.isoformat() for name, day in self.ends.items()},
            "added": self.added,
        }


def read_decisions(path: Path, as_of: date) -> Decisions:
    """Read the launcher's log of one patient."""
    log = json.loads(path.read_text(encoding="utf-8"), parse_float=Decimal)
    states = log["states"]
    return Decisions(
        patient=log["patient"],
        as_of=as_of,
        born=_day(log["born"]),
        died=_day(log["died"]) if log["died"] else None,
        sex=log["sex"],
        chosen={name.removeprefix(PREFIX): value for name, value in log["attributes"].items()},
        events=tuple(_event(state) for state in states if _happened(state, log["died"])),
        ends={
            _name(state): _day(state["entered"])
            for state in states
            if state["type"] in {"MedicationEnd", "ConditionEnd"}
        },
    )


def _happened(state: Mapping[str, Any], died: str | None) -> bool:
    if state["type"] in _NO_EVENTS or not state.get("resource"):
        return False
    # A module may be a day ahead when the patient dies; Synthea's exporter leaves that out as well.
    return died is None or datetime.fromisoformat(state["start"]) <= datetime.fromisoformat(died)


def _event(state: Mapping[str, Any]) -> Event:
    drawn = state.get("value")
    number = None if drawn is None or isinstance(drawn, str) else Decimal(drawn)
    return Event(
        name=_name(state),
        kind=state["type"],
        at=_instant(state["start"]),
        day=_day(state["start"]),
        last_day=_day(state.get("stop") or state["start"]),
        value=number,
        unit=state.get("unit"),
        answer=drawn if isinstance(drawn, str) else None,
        resource=state["resource"],
    )


def _event_json(event: Event) -> dict[str, Any]:
    number = None if event.value is None else str(event.value)
    return {
        "name": event.name,
        "day": event.day.isoformat(),
        "value": number or event.answer,
        "unit": event.unit,
        "resource": event.resource,
    }


def _name(state: Mapping[str, Any]) -> str:
    return str(state["state"]).replace("_", " ")


def _instant(text: str) -> str:
    return datetime.fromisoformat(text).replace(microsecond=0).isoformat()


def _day(text: str) -> date:
    return datetime.fromisoformat(text).date()
