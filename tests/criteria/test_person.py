"""Age, performance status, consent, and what only a person or the site can answer."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest

from tests.charts import (
    LOINC,
    STRANGE,
    TODAY,
    Json,
    case,
    chart,
    coded,
    days_ago,
    issues,
    lab,
    observation,
    quantity,
    resource,
    result,
    screen,
    verdict,
    words,
)

CASES = ("expected", "content", "how")


def _born(day: str | None) -> object:
    return chart(person={"birthDate": day})


@pytest.mark.parametrize(
    CASES,
    [
        case("18th birthday today", "met", _born("2008-11-23")),
        case("18th birthday tomorrow", "not_met time", _born("2008-11-24")),
        case("no birth date", "unknown", _born(None)),
        case("unreadable birth date", "unknown", _born("1962-W03")),
        case("born after the day", "unknown", _born("2026-11-24")),
        case("born on the day", "not_met time", _born("2026-11-23")),
        case("born in the year of the day, at the latest after it", "unknown", _born("2026")),
        case("born in a year that is surely long enough ago", "met", _born("2007")),
        case("born in a year that straddles the limit", "unknown", _born("2008")),
        case("born in a month that straddles the limit", "unknown", _born("2008-11")),
        case("born in the month before", "met", _born("2008-10")),
        case("born in the month after", "not_met time", _born("2008-12")),
        case(
            "leap day counts from 1 March: the day before",
            "not_met time",
            _born("2008-02-29"),
            as_of=date(2026, 2, 28),
        ),
        case("leap day counts from 1 March", "met", _born("2008-02-29"), as_of=date(2026, 3, 1)),
        case(
            "detail 5: a modifier on the Patient leaves the age unknown",
            "unknown",
            chart(person=STRANGE),
        ),
    ],
)
def test_age(expected: str, content: Json, how: Json) -> None:
    """Age is in completed years, and a vague birth date is an interval."""
    assert expected == verdict(screen(content, **how), "age")


def test_a_birth_after_the_day_is_told() -> None:
    """And no clearance is calculated from it."""
    found = screen(chart(person={"birthDate": "2030-01-01"}))

    assert ("future-date", "Patient/anna") in issues(found)
    assert "unknown" == verdict(found, "creatinine-clearance")


def test_too_young_says_when_that_ends() -> None:
    """Someone too young can take part from the 18th birthday on."""
    assert date(2027, 1, 9) == result(screen(_born("2009-01-09")), "age").eligible_from


@pytest.mark.parametrize(
    "criterion",
    [
        "unresectable",
        "quality-of-life",
        "follow-up",
        "adverse-event-return",
        "uncontrolled-condition",
        "everolimus-access",
        "consent",
    ],
)
def test_what_only_a_person_knows_is_asked(criterion: str) -> None:
    """With nothing attested or configured, a person has to confirm."""
    assert "needs_confirmation" == verdict(screen(chart()), criterion)


@pytest.mark.parametrize("criterion", ["quality-of-life", "follow-up", "uncontrolled-condition"])
@pytest.mark.parametrize(
    ("answer", "expected"),
    [("met", "met by attestation"), ("not_met", "not_met new_data by attestation")],
)
def test_an_answer_settles_what_only_a_person_knows(
    criterion: str, answer: str, expected: str
) -> None:
    """An attestation settles it either way, and a refusal can change."""
    found = screen(chart(), attest=({"criterion": criterion, "answer": answer},))

    assert expected == verdict(found, criterion)


@pytest.mark.parametrize(
    ("configured", "expected"),
    [(True, "met by site"), (False, "not_met new_data by site"), (None, "needs_confirmation")],
)
def test_the_site_says_whether_it_provides_everolimus(
    *, configured: bool | None, expected: str
) -> None:
    """Access to everolimus is the site's configuration."""
    site = {} if configured is None else {"everolimus_access": configured}

    assert expected == verdict(screen(chart(), site=site), "everolimus-access")


def test_recorded_languages_are_told() -> None:
    """The question about questionnaires names the languages on record."""
    person = {"communication": [{"language": words("Français")}, {"language": words("English")}]}
    summary = result(screen(chart(person=person)), "quality-of-life").summary

    assert "Français" in summary
    assert "English" in summary


def _consent(**elements: Any) -> Any:
    return resource("Consent", None, **({"status": "active", "dateTime": "2026-11-01"} | elements))


@pytest.mark.parametrize(
    CASES,
    [
        case(
            "detail 17: named in the category",
            "met",
            chart(_consent(category=[words("NET RETREAT")])),
        ),
        case(
            "detail 17: named by registry number in an identifier",
            "met",
            chart(_consent(identifier=[{"value": "NCT05773274"}])),
        ),
        case(
            "detail 17: named by the group's number in the policy",
            "met",
            chart(_consent(policy=[{"uri": "https://trials.test/NE.1"}])),
        ),
        case(
            "detail 17: not active",
            "needs_confirmation",
            chart(_consent(status="proposed", category=[words("NET RETREAT")])),
        ),
        case(
            "detail 17: for something else",
            "needs_confirmation",
            chart(_consent(category=[words("Privacy consent")])),
        ),
        case(
            "detail 17: another number that begins alike",
            "needs_confirmation",
            chart(_consent(identifier=[{"value": "NE.12"}])),
        ),
        case(
            "signed after the day",
            "needs_confirmation",
            chart(_consent(category=[words("NET RETREAT")], dateTime="2026-11-24")),
        ),
        case(
            "unknown modifier",
            "unknown",
            chart(_consent(category=[words("NET RETREAT")], **STRANGE)),
        ),
        case(
            "of another patient",
            "needs_confirmation",
            chart(_consent(category=[words("NET RETREAT")], patient={"reference": "Patient/bob"})),
        ),
    ],
)
def test_consent(expected: str, content: Json, how: Json) -> None:
    """Only an active consent that names the trial counts."""
    assert expected == verdict(screen(content, **how), "consent")


def _ecog(on: str | None = days_ago(5), **value: Any) -> Any:
    return observation("ecog", on, **value)


def _karnofsky(score: int, comparator: str) -> Any:
    return observation("karnofsky", valueQuantity=quantity(score, "1", comparator=comparator))


@pytest.mark.parametrize(
    CASES,
    [
        case("2 is fine", "met", chart(_ecog(valueInteger=2))),
        case("3 is not", "not_met new_data", chart(_ecog(valueInteger=3))),
        case("answer code", "met", chart(_ecog(valueCodeableConcept=coded("LA9624-3", LOINC)))),
        case(
            "answer code 3",
            "not_met new_data",
            chart(_ecog(valueCodeableConcept=coded("LA9625-0", LOINC))),
        ),
        case("answer in words", "met", chart(_ecog(valueString="ECOG 1"))),
        case("detail 33: quantity without unit", "met", chart(_ecog(valueQuantity=quantity(2)))),
        case("detail 33: unit 1", "met", chart(_ecog(valueQuantity=quantity(2, "1")))),
        case("detail 33: unit {score}", "met", chart(_ecog(valueQuantity=quantity(2, "{score}")))),
        case("detail 33: another unit", "unknown", chart(_ecog(valueQuantity=quantity(2, "kg")))),
        case("no whole grade", "unknown", chart(_ecog(valueQuantity=quantity(1.5)))),
        case("detail 1: implausible newest", "unknown", chart(_ecog(valueInteger=6))),
        case("detail 1: unreadable newest", "unknown", chart(_ecog(valueString="ambulatory"))),
        case(
            "detail 1: empty newest lets the older one decide",
            "met",
            chart(_ecog(dataAbsentReason=words("not asked"))),
        ),
        case("none", "unknown", chart(without="ecog")),
        case(
            "detail 8: two of one day that disagree",
            "needs_confirmation",
            chart(_ecog(valueInteger=1), _ecog(valueInteger=3)),
        ),
        case(
            "detail 8: two of one day on the same side",
            "met",
            chart(_ecog(valueInteger=0), _ecog(valueInteger=2)),
        ),
        case(
            "the later of two instants decides",
            "not_met new_data",
            chart(
                _ecog("2026-11-18T09:00:00Z", valueInteger=1),
                _ecog("2026-11-18T10:00:00Z", valueInteger=3),
            ),
        ),
        case(
            "a year old is still the latest",
            "met",
            chart(_ecog(days_ago(365), valueInteger=1), without="ecog"),
        ),
        case(
            "Karnofsky beside ECOG does not count",
            "met",
            chart(observation("karnofsky", days_ago(1), valueInteger=30)),
        ),
        *(
            case(
                f"only Karnofsky {score}: detail 26",
                expected,
                chart(observation("karnofsky", valueInteger=score), without="ecog"),
            )
            for score, expected in [
                (100, "met"),
                (60, "met"),
                (59, "needs_confirmation"),
                (50, "needs_confirmation"),
                (41, "needs_confirmation"),
                (40, "not_met new_data"),
                (0, "not_met new_data"),
                (101, "unknown"),
            ]
        ),
        *(
            case(
                f"only Karnofsky {comparator}{score}",
                expected,
                chart(_karnofsky(score, comparator), without="ecog"),
            )
            for comparator, score, expected in [
                (">", 40, "unknown"),
                ("<", 60, "unknown"),
                (">", 59, "unknown"),
                (">=", 60, "met"),
                ("<", 50, "unknown"),
                ("<=", 40, "not_met new_data"),
            ]
        ),
    ],
)
def test_performance_status(expected: str, content: Json, how: Json) -> None:
    """The latest ECOG is at most 2; Karnofsky stands in only where there is no ECOG."""
    assert expected == verdict(screen(content, **how), "ecog")


@pytest.mark.parametrize(("age", "advised"), [(28, False), (29, True)])
def test_an_old_performance_status_is_told(age: Any, *, advised: bool) -> None:
    """More than 28 days old is an advisory, no obstacle."""
    found = result(screen(chart(_ecog(days_ago(age), valueInteger=1), without="ecog")), "ecog")

    assert ("met", advised) == (found.status, bool(found.advisories))


@pytest.mark.parametrize("scale", ["ecog", "karnofsky"])
def test_a_newer_score_without_a_value_is_told(scale: str) -> None:
    """An older score decides, and the result says so."""
    older = observation(scale, days_ago(10), valueInteger=0 if scale == "ecog" else 90)
    newer = observation(scale, days_ago(5), dataAbsentReason=words("not asked"))
    found = result(screen(chart(older, newer, without="ecog")), "ecog")

    assert ("met", 1) == (found.status, len(found.advisories))


def test_a_coded_score_is_told_as_a_number() -> None:
    """The code of an answer says nothing to a reader."""
    found = screen(chart(_ecog(valueCodeableConcept=coded("LA9624-3", LOINC))))

    assert result(found, "ecog").summary.startswith("ECOG 2 on")


def test_a_component_counts_as_its_own_result() -> None:
    """Detail 33: a component of an Observation is a result of its own."""
    panel = observation(
        words("Vital signs panel"),
        days_ago(2),
        component=[{"code": coded("89247-1", LOINC), "valueInteger": 4}],
    )

    assert "not_met new_data" == verdict(screen(chart(panel)), "ecog")


def test_the_day_of_an_instant_is_the_day_at_the_site() -> None:
    """An instant falls on the day that it is in the site's zone."""
    late = lab(
        "hemoglobin", 100, "g/L", "2026-10-26T02:00:00Z"
    )  # the evening of the 25th in Toronto
    content = chart(late, without="hb")

    assert "met" == verdict(screen(content, site={"timezone": "UTC"}), "hemoglobin")
    assert "unknown" == verdict(screen(content, site={"timezone": "America/Toronto"}), "hemoglobin")


def test_a_site_without_a_time_zone_is_told() -> None:
    """Detail 8: days are read in UTC, with an advisory."""
    assert screen(chart()).advisories
    assert not screen(chart(), site={"timezone": "Europe/Berlin"}).advisories
    assert TODAY == screen(chart()).as_of
