"""Toxicity of grade 3 or more that is still there."""

from __future__ import annotations

from typing import Any

import pytest

from tests.charts import (
    STRANGE,
    Json,
    case,
    chart,
    cycle,
    days_ago,
    lab,
    observation,
    quantity,
    resource,
    result,
    screen,
    upper,
    verdict,
    words,
)

CASES = ("expected", "content", "how")
TOXIC, OPEN = "not_met new_data", "needs_confirmation"
CELLS = "10*9/L"


def _sampled(days: int = 5, /, **parts: Any) -> list[Json]:
    """Results of one sampling time."""
    return [
        lab(name, value, "%" if name.endswith("%") else CELLS, days_ago(days))
        for name, value in parts.items()
    ]


@pytest.mark.parametrize(
    CASES,
    [
        case("nothing", OPEN, chart()),
        *(
            case(f"{name} {value} {unit}", expected, chart(lab(name, value, unit)))
            for name, unit, beyond, limit in [
                ("hemoglobin", "g/L", 79.9, 80),
                ("hemoglobin", "g/dL", 7.9, 8.0),
                ("neutrophils", CELLS, 0.99, 1.0),
                ("platelets", CELLS, 49.9, 50),
                ("leukocytes", CELLS, 1.99, 2.0),
                ("lymphocytes", CELLS, 0.49, 0.5),
            ]
            for value, expected in [(beyond, TOXIC), (limit, OPEN)]
        ),
        *(
            case(
                f"{name} at {value} of ULN {uln}",
                expected,
                chart(lab(name, value, unit, uln=upper(uln, unit))),
            )
            for name, unit, uln, limit, beyond in [
                ("bilirubin", "mg/dL", 1.2, 3.6, 3.61),
                ("creatinine", "mg/dL", 1.1, 3.3, 3.31),
                ("alt", "U/L", 40, 200, 201),
                ("ast", "U/L", 35, 175, 176),
            ]
            for value, expected in [(beyond, TOXIC), (limit, OPEN)]
        ),
        case("no ULN decides nothing", OPEN, chart(lab("alt", 900, "U/L"))),
        *(
            case(
                f"detail 43: the site's ULN of {test}",
                TOXIC,
                chart(lab(test, value, unit)),
                site={"uln": {test: {"value": uln, "unit": unit}}},
            )
            for test, value, unit, uln in [
                ("alt", 201, "U/L", 40),
                ("ast", 176, "U/L", 35),
                ("creatinine", 3.7, "mg/dL", 1.2),
                ("bilirubin", 3.7, "mg/dL", 1.2),
            ]
        ),
        case(
            "the site's ULN of another test does not count",
            OPEN,
            chart(lab("alt", 900, "U/L")),
            site={"uln": {"ast": {"value": 35, "unit": "U/L"}}},
        ),
        *(
            case(f"neutrophils from {name}", expected, chart(*_sampled(**parts), without="anc"))
            for name, expected, parts in [
                ("a share of leukocytes", TOXIC, {"leukocytes": 2.4, "neutrophils %": 40}),
                ("a share, at the limit", OPEN, {"leukocytes": 2.5, "neutrophils %": 40}),
                ("segmented and bands", TOXIC, {"segmented": 0.7, "bands": 0.29}),
                ("a share alone", OPEN, {"neutrophils %": 1}),
                ("a share of what cannot be used", OPEN, {"leukocytes": 900, "neutrophils %": 0}),
            ]
        ),
        case(
            "a direct count before one from a share",
            OPEN,
            chart(*_sampled(**{"leukocytes": 2.4, "neutrophils %": 40})),
        ),
        case(
            "neutrophils from a share, 91 days ago",
            OPEN,
            chart(*_sampled(91, **{"leukocytes": 2.4, "neutrophils %": 40}), without="anc"),
        ),
        case(
            "neutrophils from a share, two that disagree",
            OPEN,
            chart(
                *_sampled(**{"leukocytes": 2.4, "neutrophils %": 40}),
                *_sampled(**{"neutrophils %": 50}),
                without="anc",
            ),
        ),
        case("90 days ago", TOXIC, chart(lab("lymphocytes", 0.4, CELLS, days_ago(90)))),
        case("91 days ago", OPEN, chart(lab("lymphocytes", 0.4, CELLS, days_ago(91)))),
        case(
            "the latest decides",
            OPEN,
            chart(
                lab("lymphocytes", 0.4, CELLS, days_ago(30)),
                lab("lymphocytes", 0.9, CELLS, days_ago(20)),
            ),
        ),
        case(
            "detail 43: before the latest cycle of all",
            OPEN,
            chart(cycle(days_ago(20)), lab("lymphocytes", 0.4, CELLS, days_ago(30))),
        ),
        case(
            "detail 43: after the latest cycle of all",
            TOXIC,
            chart(cycle(days_ago(40)), lab("lymphocytes", 0.4, CELLS, days_ago(30))),
        ),
        case(
            "detail 1: an unusable result decides nothing",
            OPEN,
            chart(lab("lymphocytes", 0.4, "kg")),
        ),
        case(
            "detail 1: an empty one lets an older one decide",
            TOXIC,
            chart(
                lab("lymphocytes", 0.4, CELLS, days_ago(20)),
                observation("lymphocytes", days_ago(10), dataAbsentReason=words("lost")),
            ),
        ),
        case("comparator surely beyond", TOXIC, chart(lab("platelets", 10, CELLS, comparator="<"))),
        case("comparator that straddles", OPEN, chart(lab("platelets", 60, CELLS, comparator="<"))),
        case("after the day", OPEN, chart(lab("lymphocytes", 0.4, CELLS, "2026-11-24"))),
    ],
)
def test_laboratory_results(expected: str, content: Json, how: Json) -> None:
    """A latest result beyond grade 3 excludes for now; nothing shows that there is no toxicity."""
    assert expected == verdict(screen(content, **how), "toxicity")


def _graded(on: str | None = days_ago(10), term: Any = "Fatigue", **value: Any) -> Any:
    return observation(words(term), on, category=[words("CTCAE 5.0")], **value)


@pytest.mark.parametrize(
    CASES,
    [
        case("integer 3", TOXIC, chart(_graded(valueInteger=3))),
        case("integer 2", OPEN, chart(_graded(valueInteger=2))),
        case(
            "detail 19: Grade 3 in a concept",
            TOXIC,
            chart(_graded(valueCodeableConcept=words("Grade 3"))),
        ),
        case("detail 19: Grade 4 in a string", TOXIC, chart(_graded(valueString="Grade 4"))),
        case("detail 19: Grade 2", OPEN, chart(_graded(valueString="Grade 2"))),
        case("detail 19: in prose", OPEN, chart(_graded(valueString="not yet Grade 3"))),
        case("quantity without a unit", TOXIC, chart(_graded(valueQuantity=quantity(3)))),
        case(
            "detail 19: CTCAE in the code",
            TOXIC,
            chart(observation(words("CTCAE grade of nausea"), days_ago(10), valueInteger=3)),
        ),
        case(
            "detail 19: CTCAE in the method",
            TOXIC,
            chart(
                observation(words("Nausea"), days_ago(10), method=words("CTCAE"), valueInteger=3)
            ),
        ),
        case(
            "no CTCAE",
            OPEN,
            chart(observation(words("Nausea grade"), days_ago(10), valueInteger=3)),
        ),
        case(
            "the latest of one finding decides",
            OPEN,
            chart(_graded(days_ago(20), valueInteger=3), _graded(valueInteger=1)),
        ),
        case(
            "of another finding it does not",
            TOXIC,
            chart(_graded(days_ago(20), valueInteger=3), _graded(term="Nausea", valueInteger=1)),
        ),
        case(
            "findings told apart by code alone",
            TOXIC,
            chart(
                *(
                    observation(
                        {"coding": [{"system": "urn:meddra", "code": code}]},
                        on,
                        category=[words("CTCAE")],
                        valueInteger=value,
                    )
                    for code, on, value in [
                        ("10016256", days_ago(20), 3),
                        ("10028813", days_ago(10), 1),
                    ]
                )
            ),
        ),
        case("unknown modifier", OPEN, chart(_graded(valueInteger=3, **STRANGE))),
        case("older than 90 days", OPEN, chart(_graded(days_ago(91), valueInteger=3))),
    ],
)
def test_graded_observations(expected: str, content: Json, how: Json) -> None:
    """A CTCAE grade of 3 or more excludes for now."""
    assert expected == verdict(screen(content, **how), "toxicity")


def test_a_grade_in_words_is_told_once() -> None:
    """The word that ends the name and begins the value stands there once."""
    found = screen(chart(_graded(term="CTCAE grade", valueString="Grade 4")))

    assert "CTCAE grade 4" in result(found, "toxicity").summary


@pytest.mark.parametrize(
    ("elements", "told"),
    [
        ({}, True),
        ({"outcome": {"coding": [{"code": "resolved"}]}}, False),
        ({"severity": {"coding": [{"code": "mild"}]}}, False),
        ({"actuality": "potential"}, False),
    ],
)
def test_unresolved_severe_events_are_listed(elements: Any, told: Any) -> None:
    """They are listed for the clinician, and do not decide."""
    held = {
        "actuality": "actual",
        "event": words("Renal failure"),
        "date": days_ago(20),
        "severity": {"coding": [{"code": "severe"}]},
    }
    event = resource("AdverseEvent", "event", **(held | elements))
    found = result(screen(chart(event)), "toxicity")

    assert OPEN == found.status
    assert told == ("Renal failure" in found.summary)


def test_what_cannot_be_used_is_listed_with_the_reason() -> None:
    """So that nobody reads a number without a unit as a result."""
    summary = result(screen(chart(lab("hemoglobin", 7.8, None))), "toxicity").summary

    assert "Hemoglobin 7.8 (the hemoglobin result has no unit), " in summary


def test_grades_found_are_listed() -> None:
    """What was looked at is told, so that a person can judge."""
    summary = result(screen(chart(_graded(valueInteger=2))), "toxicity").summary

    assert "118 g/L" in summary
