"""Adds to the chart of a NET patient what Synthea cannot say.

Separate from Synthea and from the truth, and deterministic: what it draws follows from the seed and
the patient's id alone. What it decides goes into the patient's decisions. It knows nothing of the
service. `fixtures/synthea/README.md` lists all that it does.
"""

from __future__ import annotations

from collections.abc import Mapping
from random import Random
from typing import Any

from validation.decisions import Decisions
from validation.enriching.chart import Chart
from validation.enriching.diagnoses import enrich_diagnoses
from validation.enriching.imaging import enrich_imaging
from validation.enriching.measurements import enrich_measurements
from validation.enriching.person import enrich_person
from validation.enriching.therapy import enrich_therapy


def enrich(bundle: Mapping[str, Any], decisions: Decisions, seed: int) -> dict[str, Any]:
    """The enriched Bundle; what was decided on the way is noted in the decisions."""
    random = Random(f"{seed}:{decisions.patient}")  # noqa: S311 - the same every time is the point
    chart = Chart(bundle, decisions.patient)
    enrich_person(chart, decisions, random)
    enrich_diagnoses(chart, decisions)
    enrich_therapy(chart, decisions, random)
    enrich_imaging(chart, decisions, random)
    enrich_measurements(chart, decisions, random)
    return chart.bundle()
