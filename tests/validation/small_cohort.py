"""Writes a cohort of a few hand-made charts whose truth is written by hand, for quick tests."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tests.charts import TODAY, bundle, chart, condition, lab, patient

Json = dict[str, Any]

_BY_RECORD = [
    "age",
    "midgut-net",
    "metastatic",
    "histology",
    "grade",
    "sstr-pet",
    "prrt-exposure",
    "everolimus-limit",
    "no-alpha-therapy",
    "no-alkylator",
    "progression",
    "no-intervening-therapy",
    "ecog",
    "hemoglobin",
    "neutrophils",
    "platelets",
    "bilirubin",
    "creatinine-clearance",
    "somatostatin-analogue",
    "other-malignancy",
    "recent-surgery",
    "brain-metastases",
    "heart-failure",
    "oral-intake",
]
_BY_PERSON = [
    "unresectable",
    "sstr-positive",
    "toxicity",
    "quality-of-life",
    "consent",
    "follow-up",
    "adverse-event-return",
    "everolimus-access",
    "uncontrolled-condition",
]
_OF_WOMEN = ["contraception", "pregnancy-test", "pregnancy", "breastfeeding"]
_STATUSES = {
    **dict.fromkeys(_BY_RECORD, "met"),
    **dict.fromkeys(_BY_PERSON, "needs_confirmation"),
    **dict.fromkeys((*_OF_WOMEN, "hiv"), "not_applicable"),
}


def truth(name: str, **changes: Any) -> Json:
    """What is true of the base chart's patient, with some of it changed.

    Args:
        changes: ``statuses`` that differ; ``false``, the sentences that do not hold; elements.
    """
    statuses = _STATUSES | changes.pop("statuses", {})
    reality = {criterion: criterion not in changes.get("false", ()) for criterion in statuses}
    answers = [
        {"criterion": one, "answer": "met", "by": "Practitioner/1", "on": TODAY.isoformat()}
        for one in _BY_PERSON
    ]
    attested = statuses | dict.fromkeys(_BY_PERSON, "met")
    held = {
        "patient": name,
        "asOf": TODAY.isoformat(),
        "branch": name,
        "decisions": {},
        "statuses": statuses,
        "overall": "possible",
        "answers": answers,
        "attestedStatuses": attested,
        "attestedOverall": "all_met",
        "reality": reality,
        "candidate": all(reality.values()),
    }
    return held | {key: value for key, value in changes.items() if key != "false"}


def write_cohort(folder: Path, *, lie: bool = False) -> Path:
    """A candidate, one with too few platelets, and an ordinary patient.

    Args:
        lie: whether the truth of the candidate says that the platelets are too few.
    """
    for name in ("net", "truth", "ordinary"):
        (folder / name).mkdir(parents=True)
    manifest = {"seed": 5, "asOf": TODAY.isoformat(), "counts": {}, "settings": {}}
    _write(folder / "manifest.json", manifest)
    low = lab("platelets", 60, "10*9/L", "2026-11-10", id_="plt")
    _write(folder / "net" / "fine.json", _named(chart(), "fine"))
    _write(folder / "net" / "low.json", _named(chart(low), "low"))
    _write(folder / "truth" / "fine.json", truth("fine", false=("platelets",) if lie else ()))
    refused = truth(
        "low",
        statuses={"platelets": "not_met"},
        false=("platelets",),
        overall="not_now",
        attestedOverall="not_now",
    )
    _write(folder / "truth" / "low.json", refused)
    other = condition("I10", id_="i10"), lab("hemoglobin", 140, "g/L", "2026-11-10", id_="hb")
    other[1]["code"]["coding"][0]["display"] = "Hemoglobin [Mass/volume] in Blood"
    _write(folder / "ordinary" / "calm.json", _named(bundle(patient(), *other), "calm"))
    return folder


def _write(path: Path, content: Json) -> None:
    path.write_text(json.dumps(content), encoding="utf-8")


def _named(content: Json, name: str) -> Json:
    """The chart of another patient, whose resources have ids of their own."""
    text = json.dumps(content).replace("Patient/anna", f"Patient/{name}")
    found: Json = json.loads(text.replace('"id": "anna"', f'"id": "{name}"'))
    for entry in found["entry"]:
        if entry["resource"]["resourceType"] != "Patient":
            entry["resource"]["id"] = f"{name}-{entry['resource']['id']}"
    return found
