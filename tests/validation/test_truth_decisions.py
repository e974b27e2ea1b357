"""The launcher's log, as it is read: what happened, when, and what did not."""

from __future__ import annotations

import json
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

from validation.decisions import Decisions, read_decisions

AS_OF = date(2026, 1, 1)
DIED = "2025-12-27T18:00:00.250Z"


def state(name: str, kind: str, at: str, **more: Any) -> dict[str, Any]:
    """A state as the launcher writes it."""
    made = {} if kind in {"MedicationEnd", "Simple"} else {"start": at, "resource": name}
    return {"module": "NET RETREAT", "state": name, "type": kind, "entered": at, **made, **more}


def read(tmp_path: Path, *states: dict[str, Any], died: str | None = None) -> Decisions:
    """The decisions in a log of these states."""
    log = {
        "patient": "p",
        "born": "1960-05-05T03:00:00.250Z",
        "died": died,
        "sex": "F",
        "attributes": {"net_site": "ileum"},
        "states": states,
    }
    path = tmp_path / "p.json"
    path.write_text(json.dumps(log), encoding="utf-8")
    return read_decisions(path, AS_OF)


def test_a_value_is_as_it_was_drawn(tmp_path: Path) -> None:
    """A decimal, and the second in which Synthea's exporter writes it."""
    drawn = state("Hemoglobin_limit", "Observation", "2025-12-20T08:00:00.250Z")

    decisions = read(tmp_path, drawn | {"value": 8.1, "unit": "g/dL"})

    (event,) = decisions.events
    assert ("Hemoglobin limit", Decimal("8.1"), "2025-12-20T08:00:00+00:00") == (
        event.name,
        event.value,
        event.at,
    )
    assert date(2025, 12, 20) == event.day == event.last_day
    assert "ileum" == decisions.choice("site")
    assert not decisions.choice("prrt")


def test_an_answer_is_words_and_no_number(tmp_path: Path) -> None:
    """A coded answer is kept by its display."""
    assessed = state("Response_SD", "Observation", "2024-01-01T23:59:59Z", value="Stable disease")

    (event,) = read(tmp_path, assessed).events

    assert (None, "Stable disease") == (event.value, event.answer)


def test_a_thing_that_ends_after_midnight_has_two_days(tmp_path: Path) -> None:
    """An operation counts from its last day."""
    operated = state(
        "Surgery_recent", "Procedure", "2025-12-20T23:30:00Z", stop="2025-12-21T00:30:00Z"
    )

    (event,) = read(tmp_path, operated).events

    assert (date(2025, 12, 20), date(2025, 12, 21)) == (event.day, event.last_day)


def test_ends_and_visits_are_no_events(tmp_path: Path) -> None:
    """The end of a drug is kept under the name of the state that ended it."""
    decisions = read(
        tmp_path,
        state("Visit", "Encounter", "2025-01-01T08:00:00Z"),
        state("Case_Sunitinib", "Simple", "2025-01-01T08:00:00Z"),
        state("End_of_Sunitinib", "MedicationEnd", "2025-02-01T08:00:00Z"),
    )

    assert () == decisions.events
    assert {"End of Sunitinib": date(2025, 2, 1)} == decisions.ends


def test_nothing_happens_after_death(tmp_path: Path) -> None:
    """A module may have gone on for less than a day; the chart does not have it either."""
    before = state("Platelets_normal", "Observation", "2025-12-27T17:00:00.250Z", value=200)
    after = state("Hemoglobin_normal", "Observation", "2025-12-28T12:00:00.250Z", value=12)

    decisions = read(tmp_path, before, after, died=DIED)

    assert ["Platelets normal"] == [event.name for event in decisions.events]
    assert date(2025, 12, 27) == decisions.died
