"""How the statuses of all criteria make one result."""

from __future__ import annotations

from datetime import date
from itertools import product
from typing import Any

import pytest

from cds_service.criteria.evaluate import overall
from cds_service.criteria.finding import Finding
from cds_service.criteria.settle import Judgement
from tests.charts import Json, case, chart, lab, observation, result, screen

KINDS = (
    ("met", None), ("not_applicable", None), ("unknown", None), ("needs_confirmation", None),
    ("not_met", "time"), ("not_met", "new_data"), ("not_met", "permanent"),
)  # fmt: skip
ORDER = ("excluded", "not_now", "possible", "all_met")


def test_the_overall_result_is_the_worst_of_all() -> None:
    """Of every set of up to three kinds of result."""
    said = {
        ("not_met", "permanent"): "excluded", ("not_met", "time"): "not_now",
        ("not_met", "new_data"): "not_now", ("unknown", None): "possible",
        ("needs_confirmation", None): "possible",
    }  # fmt: skip
    for kinds in product(KINDS, repeat=3):
        judged = [
            Judgement(status, None, change, Finding("any"), set())  # type: ignore[arg-type]
            for status, change in kinds
        ]
        expected = min((said.get(kind, "all_met") for kind in kinds), key=ORDER.index)

        assert expected == overall(judged)


@pytest.mark.parametrize(
    ("expected", "content", "how"),
    [
        case("met", [], chart(), of="platelets"),
        case(
            "a new result can cure it",
            [("order", "platelets", "Platelet count")],
            chart(lab("platelets", 49, "10*9/L")),
            of="platelets",
        ),
        case(
            "missing, and no person would know it",
            [("order", "platelets", "Platelet count")],
            chart(without="plt"),
            of="platelets",
        ),
        case(
            "missing, and there is something to ask",
            [
                ("order", "creatinine", "Serum creatinine"),
                ("question", "weight", "What is the patient's weight?"),
            ],
            chart(without="weight crea"),
            of="creatinine-clearance",
        ),
        case(
            "one of two inputs is missing",
            [("question", "weight", "What is the patient's weight?")],
            chart(without="weight"),
            of="creatinine-clearance",
        ),
        case(
            "the other input is missing",
            [("order", "creatinine", "Serum creatinine")],
            chart(without="crea"),
            of="creatinine-clearance",
        ),
        case(
            "one of two inputs cannot be read",
            [("order", "creatinine", "Serum creatinine")],
            chart(observation("creatinine", id_="crea", valueQuantity=7)),
            of="creatinine-clearance",
        ),
        case(
            "the other input is too old",
            [("question", "weight", "What is the patient's weight?")],
            chart(lab("weight", 80, "kg", "2026-01-01", id_="weight")),
            of="creatinine-clearance",
        ),
        case(
            "one cannot be read and the other is missing",
            [
                ("order", "creatinine", "Serum creatinine"),
                ("question", "weight", "What is the patient's weight?"),
            ],
            chart(observation("creatinine", id_="crea", valueQuantity=7), without="weight"),
            of="creatinine-clearance",
        ),
        case(
            "neither input is what is missing",
            [],
            chart(person={"gender": "other"}),
            of="creatinine-clearance",
        ),
        case(
            "an input says too little",
            [("order", "creatinine", "Serum creatinine")],
            chart(lab("creatinine", 3, "mg/dL", comparator="<")),
            of="creatinine-clearance",
        ),
        case(
            "a person must say",
            [("question", "unresectable", "Is the disease unresectable?")],
            chart(),
            of="unresectable",
        ),
        case("time will cure it", [], chart(person={"birthDate": "2009-03-02"}), of="age"),
    ],
)
def test_what_would_settle_a_criterion(expected: Any, content: Json, how: Json) -> None:
    """Orders where data is missing or new data helps, questions where a person can answer.

    Only what is missing is asked for.
    """
    found = result(screen(content), how["of"])

    assert expected == [(one.kind, one.id, one.label) for one in found.missing]


def test_no_order_helps_where_a_read_failed() -> None:
    """The result may be there; who knows it can say so."""
    content = chart(without="crea", link=[{"relation": "next", "url": "https://ehr.test/more"}])
    found = result(screen(content), "creatinine-clearance")

    assert found.unread
    assert ["question"] == [one.kind for one in found.missing]


def test_until_when_and_from_when_a_status_holds() -> None:
    """The last day of a status, the first of what time cures."""
    young = screen(chart(person={"birthDate": "2009-03-02"}))
    low = screen(chart(lab("hemoglobin", 79, "g/L", "2026-11-10", id_="hb")))

    hemoglobin = result(young, "hemoglobin")
    assert (date(2026, 12, 8), None) == (hemoglobin.valid_through, hemoglobin.eligible_from)
    age = result(young, "age")
    assert (date(2027, 3, 1), date(2027, 3, 2)) == (age.valid_through, age.eligible_from)
    refused = result(low, "hemoglobin")
    assert "not_met" == refused.status
    # After that day it is too old to say anything.
    assert (hemoglobin.valid_through, None) == (refused.valid_through, refused.eligible_from)


def test_the_outlook_says_what_changes() -> None:
    """In runs of days up to a year ahead, each with the criteria that began it."""
    found = screen(chart(person={"birthDate": "2009-03-02"})).outlook

    assert [
        (date(2026, 11, 23), date(2027, 3, 1), "not_now", ""),
        (date(2027, 3, 2), date(2027, 11, 23), "possible", "age"),
    ] == [(one.start, one.through, one.overall, one.reason) for one in found]


def test_who_does_not_concern_the_trial_has_no_outlook() -> None:
    """And no criteria."""
    found = screen(chart(person={"deceasedBoolean": True}))

    assert ("not_relevant", (), ()) == (found.overall, found.criteria, found.outlook)


@pytest.mark.parametrize(
    ("answers", "message"),
    [
        (
            [("platelets", "not_met")],
            "attestation of platelets as not_met set aside: the record says met",
        ),
        (
            [("unresectable", "met"), ("unresectable", "not_met")],
            "attestation of unresectable as met set aside: answers of one day disagree",
        ),
    ],
)
def test_an_answer_that_is_set_aside_is_told(answers: Any, message: str) -> None:
    """With the reason, and who gave it."""
    attest = tuple({"criterion": name, "answer": answer} for name, answer in answers)
    (issue,) = screen(chart(), attest=attest).data_issues

    assert ("attestation-set-aside", "Practitioner/9") == (issue.code, issue.reference)
    assert message == issue.message


def test_an_answer_that_counts_is_evidence() -> None:
    """Who, when, what and why."""
    attest = ({"criterion": "unresectable", "answer": "met", "note": "CT of May"},)
    found = result(screen(chart(), attest=attest), "unresectable")

    assert "Confirmed by Practitioner/9 on 2026-11-20. CT of May" == found.summary
    (one,) = found.evidence
    assert ("Practitioner/9", "", "met", None) == (
        one.reference, one.display, one.value, one.normalized,
    )  # fmt: skip
    assert ("2026-11-20", ("CT of May",)) == (one.date, one.notes)


def test_what_lies_ahead_is_told() -> None:
    """By its date and the day of the evaluation."""
    ahead = lab("platelets", 49, "10*9/L", "2026-12-01", id_="ahead")
    (issue,) = screen(chart(ahead)).data_issues

    assert ("future-date", "Observation/ahead") == (issue.code, issue.reference)
    assert "dated 2026-12-01, after 2026-11-23" == issue.message


def test_a_site_without_a_time_zone_is_told_so() -> None:
    """And only such a site."""
    assert ["UTC" in one for one in screen(chart()).advisories] == [True]
    assert () == screen(chart(), site={"timezone": "America/Toronto"}).advisories


def test_a_sentence_without_a_value_has_the_word_for_nothing() -> None:
    """Where nothing is recorded that it could name."""
    found = result(screen(chart()), "quality-of-life")

    assert "Languages recorded: none recorded" == found.summary


@pytest.mark.parametrize(
    ("expected", "content", "how"),
    [
        case("met by a result", "evidence", chart(), of="hemoglobin"),
        case("refused", "evidence", chart(lab("hemoglobin", 79, "g/L")), of="hemoglobin"),
        case("missing", None, chart(without="hb"), of="hemoglobin"),
        case("to be confirmed", None, chart(), of="unresectable"),
        case("nothing found", "absence", chart(), of="no-alkylator"),
        case("no concern for what was found", "evidence", chart(), of="contraception"),
        case("no concern as nothing was found", "absence", chart(), of="hiv"),
        case("the site's", "site", chart(), of="everolimus-access", at={"everolimus_access": True}),
    ],
)
def test_what_a_status_rests_on(expected: str | None, content: Json, how: Json) -> None:
    """Detail 36: nothing, where it is unknown or for a person to confirm."""
    assert expected == result(screen(content, site=how.get("at")), how["of"]).basis
