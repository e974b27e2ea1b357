"""Site, spread, histology and grade of the tumour."""

from __future__ import annotations

from typing import Any

import pytest

from tests.charts import (
    HISTOLOGY,
    ICD10CM,
    ICD_O_3,
    LOINC,
    SNOMED,
    STRANGE,
    Json,
    bundle,
    case,
    chart,
    coded,
    condition,
    cycle,
    days_ago,
    lab,
    observation,
    patient,
    report,
    result,
    screen,
    verdict,
    words,
)

CASES = ("expected", "content", "how")
MIDGUT = "21306003"  # jejunum
NCIT = "http://ncicb.nci.nih.gov/xml/owl/EVS/Thesaurus.owl"


def _net(code: Any = "C7A.011", **elements: Any) -> Any:
    return condition(code, id_="net", **elements)


def _morphology(code: Any) -> Any:
    return {"extension": [{"url": HISTOLOGY, "valueCodeableConcept": coded(code, ICD_O_3)}]}


def _site_case(name: str, expected: str, *conditions: Any) -> Any:
    # A cycle of PRRT keeps the patient relevant whatever the Conditions are.
    return case(name, expected, bundle(patient(), cycle("2021-01-11"), *conditions))


@pytest.mark.parametrize(
    CASES,
    [
        *(
            _site_case(f"midgut {code}", "met", _net(code))
            for code in ("C7A.011", "C7A.012", "C7A.019", "C7A.020", "C7A.021", "C7A.022", "C7A012")
        ),
        *(
            _site_case(f"{why} {code}", "needs_confirmation", _net(code))
            for code, why in [
                ("C7A.010", "duodenum"),
                ("C7A.00", "detail 20: unspecified site"),
                ("C7A.8", "detail 20: unspecified"),
                ("C7B.02", "detail 20: metastasis alone"),
                ("D3A.012", "detail 20: benign by name"),
            ]
        ),
        *(
            _site_case(f"another site {code}", "not_met permanent", _net(code))
            for code in ("C7A.090", "C7A.092", "C7A.026", "C7A.091", "C7A.093")
        ),
        _site_case("none", "unknown"),
        _site_case("another site beside midgut", "met", _net("C7A.092"), condition("C7A.011")),
        _site_case(
            "another site with its metastasis",
            "not_met permanent",
            _net("C7A.092"),
            condition("C7B.02"),
        ),
        _site_case(
            "another site beside an unspecified one",
            "needs_confirmation",
            _net("C7A.092"),
            condition("C7A.00"),
        ),
        _site_case("detail 2: provisional", "needs_confirmation", _net(verification="provisional")),
        _site_case("detail 2: unconfirmed", "needs_confirmation", _net(verification="unconfirmed")),
        _site_case(
            "detail 2: differential", "needs_confirmation", _net(verification="differential")
        ),
        _site_case(
            "detail 2: no verification status counts as confirmed", "met", _net(verification=None)
        ),
        _site_case(
            "detail 2: another site, provisional only",
            "needs_confirmation",
            _net("C7A.092", verification="provisional"),
        ),
        _site_case("refuted", "unknown", _net(verification="refuted")),
        _site_case("entered in error", "unknown", _net(verification="entered-in-error")),
        _site_case(
            "a status that is not known is not confirmed",
            "needs_confirmation",
            _net(verification="sure"),
        ),
        _site_case("resolved is still the diagnosis", "met", _net(clinical="resolved")),
        _site_case(
            "unspecified, with a midgut body site",
            "met",
            _net("C7A.00", bodySite=[coded(MIDGUT, SNOMED)]),
        ),
        *(
            _site_case(
                f"unspecified, with the {organ} as body site",
                "not_met permanent",
                _net("C7A.00", bodySite=[coded(code, system)]),
            )
            for organ, code, system in [
                ("pancreas", "15776009", SNOMED),
                ("lung", "39607008", SNOMED),
                ("stomach", "69695003", SNOMED),
                ("rectum", "34402009", SNOMED),
                ("pancreas in ICD-O", "C25.9", ICD_O_3),
            ]
        ),
        _site_case(
            "a midgut code, with another body site",
            "met",
            _net(bodySite=[coded("15776009", SNOMED)]),
        ),
        _site_case(
            "benign by name, with another body site",
            "needs_confirmation",
            _net("D3A.00", bodySite=[coded("15776009", SNOMED)]),
        ),
        _site_case(
            "a metastasis with another body site",
            "needs_confirmation",
            _net("C7B.00", bodySite=[coded("39607008", SNOMED)]),
        ),
        _site_case(
            "an organ that is no other site",
            "needs_confirmation",
            _net("C7A.00", bodySite=[coded("10200004", SNOMED)]),
        ),
        _site_case(
            "detail 20: benign by name, with a midgut body site",
            "needs_confirmation",
            _net("D3A.011", bodySite=[coded(MIDGUT, SNOMED)]),
        ),
        _site_case(
            "duodenum, with a midgut body site",
            "needs_confirmation",
            _net("C7A.010", bodySite=[coded(MIDGUT, SNOMED)]),
        ),
        _site_case(
            "another site, with a midgut body site",
            "not_met permanent",
            _net("C7A.092", bodySite=[coded(MIDGUT, SNOMED)]),
        ),
        *(
            _site_case(
                f"detail 20: {code} with a NET morphology",
                "met",
                _net(code, **_morphology("8240/3")),
            )
            for code in ("C17.1", "C17.2", "C17.9", "C18.0", "C18.1", "C18.2")
        ),
        _site_case(
            "C17.0 (duodenum) with a NET morphology",
            "needs_confirmation",
            _net("C17.0", **_morphology("8240/3")),
        ),
        _site_case("C17.1 without a morphology is no NET", "unknown", _net("C17.1")),
        _site_case(
            "detail 38: in words",
            "needs_confirmation",
            _net(words("Neuroendocrine tumour of the ileum")),
        ),
        _site_case("history of carcinoid is not the disease", "unknown", _net("Z85.060")),
        _site_case("carcinoid syndrome is no tumour", "unknown", _net("E34.00")),
        _site_case("detail 1: unknown modifier", "unknown", _net(**STRANGE)),
        _site_case(
            "unknown modifier beside a plain one", "met", _net(**STRANGE), condition("C7A.012")
        ),
        _site_case("after the day", "unknown", _net(onset="2026-11-24")),
        _site_case("of another patient", "unknown", _net(subject={"reference": "Patient/bob"})),
    ],
)
def test_midgut(expected: str, content: Json, how: Json) -> None:
    """A confirmed midgut NET decides; only NETs of another site exclude."""
    assert expected == verdict(screen(content, **how), "midgut-net")


def _stage(value: Any, on: str | None = "2020-03-01", **elements: Any) -> Any:
    return observation("stage", on, valueCodeableConcept=value, **elements)


@pytest.mark.parametrize(
    CASES,
    [
        case("none", "unknown", chart(without="liver")),
        *(
            case(f"secondary malignancy {code}", "met", chart(condition(code), without="liver"))
            for code in ("C7B.00", "C7B.03", "C7B.8", "C77.2", "C78.7", "C79.51")
        ),
        case(
            "SNOMED CT finding",
            "met",
            chart(condition(coded("399409002", SNOMED)), without="liver"),
        ),
        case(
            "detail 3: Merkel cell carcinoma is a trap",
            "unknown",
            chart(condition("C7B.1"), without="liver"),
        ),
        case(
            "detail 2: provisional only",
            "needs_confirmation",
            chart(condition("C78.7", verification="provisional"), without="liver"),
        ),
        case(
            "refuted", "unknown", chart(condition("C78.7", verification="refuted"), without="liver")
        ),
        *(
            case(f"detail 16: stage {text}", "met", chart(_stage(words(text)), without="liver"))
            for text in ("IV", "IVA", "IVB", "Stage IV", "M1", "M1a", "M1b", "M1c")
        ),
        *(
            case(
                f"detail 16: not stage {text}",
                "unknown",
                chart(_stage(words(text)), without="liver"),
            )
            for text in ("III", "M0", "pT4 M1?", "IVish")
        ),
        case(
            "detail 16: stage by code",
            "met",
            chart(_stage(coded("2640006", SNOMED)), without="liver"),
        ),
        case(
            "detail 16: stage by the code of mCODE",
            "met",
            chart(_stage(coded("C27971", NCIT)), without="liver"),
        ),
        case(
            "detail 16: Condition.stage",
            "met",
            chart(_net(stage=[{"summary": words("Stage IV")}]), without="liver"),
        ),
        case(
            "stage of a provisional NET",
            "needs_confirmation",
            chart(
                _net(verification="provisional", stage=[{"summary": words("IV")}]), without="liver"
            ),
        ),
        case(
            "stage observation with an unknown modifier",
            "unknown",
            chart(_stage(words("IV"), **STRANGE), without="liver"),
        ),
        case(
            "preliminary stage observation",
            "unknown",
            chart(_stage(words("IV"), status="preliminary"), without="liver"),
        ),
    ],
)
def test_metastatic(expected: str, content: Json, how: Json) -> None:
    """A confirmed metastasis, or stage IV or M1."""
    assert expected == verdict(screen(content, **how), "metastatic")


PATHOLOGY = coded("LP7839-6", LOINC)


def _pathology(on: str | None = "2020-02-20", **elements: Any) -> Any:
    return report(coded("11529-5", LOINC), on, **elements)


@pytest.mark.parametrize(
    CASES,
    [
        case("nothing", "needs_confirmation", chart(_net())),
        *(
            case(f"morphology {code}", "met", chart(_net(**_morphology(code))))
            for code in ("8240/3", "8241/3", "8249/3")
        ),
        case(
            "detail 2: on a provisional Condition",
            "needs_confirmation",
            chart(_net(verification="provisional", **_morphology("8240/3"))),
        ),
        case(
            "detail 17: report in words",
            "met",
            chart(_net(), _pathology(conclusion="Well-differentiated neuroendocrine tumor")),
        ),
        case(
            "detail 17: report says carcinoid",
            "met",
            chart(_net(), _pathology(conclusion="Carcinoid.")),
        ),
        case(
            "detail 17: report by code",
            "met",
            chart(_net(), _pathology(conclusionCode=[coded("8240/3", ICD_O_3)])),
        ),
        *(
            case(
                f"detail 17: report by the code of the tumour, {code}",
                "met",
                chart(_net(), _pathology(conclusionCode=[coded(code, system)])),
            )
            for code, system in [
                ("255046005", SNOMED),
                ("709517003", SNOMED),
                ("C7A.012", ICD10CM),
                ("133531000119104", SNOMED),
            ]
        ),
        *(
            case(
                f"detail 17: report by the code of something else, {code}",
                "needs_confirmation",
                chart(_net(), _pathology(conclusionCode=[coded(code, system)])),
            )
            for code, system in [
                ("Z85.060", ICD10CM),
                ("C7B.1", ICD10CM),
                ("E34.0", ICD10CM),
                ("C18.7", ICD10CM),
            ]
        ),
        *(
            case(
                f"detail 17: a report of {name}",
                "met",
                chart(_net(), report(code, "2020-02-20", conclusion="Carcinoid", **elements)),
            )
            for name, code, elements in [
                ("the category pathology", words("Biopsy"), {"category": [PATHOLOGY]}),
                ("the panel", coded("60567-5", LOINC), {}),
                ("a pathology study", coded("11526-1", LOINC), {}),
            ]
        ),
        case(
            "observation of the tumour",
            "met",
            chart(
                _net(),
                observation("morphology", valueCodeableConcept=coded("255046005", SNOMED)),
            ),
        ),
        case(
            "detail 17: part of a word does not count",
            "needs_confirmation",
            chart(_net(), _pathology(conclusion="Carcinoidosis")),
        ),
        case(
            "report denies it",
            "needs_confirmation",
            chart(_net(), _pathology(conclusion="No evidence of neuroendocrine tumor")),
        ),
        case(
            "report of something else",
            "needs_confirmation",
            chart(_net(), _pathology(conclusion="Hyperplastic polyp")),
        ),
        case(
            "detail 17: preliminary report",
            "needs_confirmation",
            chart(_net(), _pathology(status="preliminary", conclusion="Carcinoid")),
        ),
        case(
            "no pathology report",
            "needs_confirmation",
            chart(_net(), report(coded("24627-2", LOINC), "2020-02-20", conclusion="Carcinoid")),
        ),
        case(
            "pathology observation",
            "met",
            chart(_net(), observation("morphology", valueCodeableConcept=coded("8240/3", ICD_O_3))),
        ),
        case(
            "report with an unknown modifier",
            "unknown",
            chart(_net(), _pathology(conclusion="Carcinoid", **STRANGE)),
        ),
    ],
)
def test_histology(expected: str, content: Json, how: Json) -> None:
    """A morphology, or a pathology report of the NET."""
    assert expected == verdict(screen(content, **how), "histology")


def _grade(text: str, on: str | None = "2022-05-05", **elements: Any) -> Any:
    return observation("grade", on, **({"valueCodeableConcept": words(text)} | elements))


def _ki67(value: Any, comparator: str | None = None, on: str | None = "2022-05-05") -> Any:
    return lab("ki67", value, "%", on, comparator=comparator)


@pytest.mark.parametrize(
    CASES,
    [
        *(
            case(f"detail 11: {text}", "met", chart(_grade(text)))
            for text in ("G1", "G2", "Grade 1", "Grade 2", "Grade I", "Grade II", "grade ii")
        ),
        *(
            case(f"detail 11: {text}", "not_met permanent", chart(_grade(text)))
            for text in ("G3", "Grade 3", "Grade III")
        ),
        *(
            case(f"detail 1: newest cannot be read: {text}", "unknown", chart(_grade(text)))
            for text in ("G2-3", "intermediate", "2 of 3", "G4")
        ),
        case(
            "by code",
            "not_met permanent",
            chart(_grade("", valueCodeableConcept=coded("61026006", SNOMED))),
        ),
        case(
            "the latest decides: G3, then G1",
            "met",
            chart(_grade("G3", "2022-01-01"), _grade("G1")),
        ),
        case(
            "the latest decides: G1, then G3",
            "not_met permanent",
            chart(_grade("G1", "2022-01-01"), _grade("G3")),
        ),
        case(
            "detail 8: two of one day disagree",
            "needs_confirmation",
            chart(_grade("G1"), _grade("G3")),
        ),
        case("an undated one may be the newest", "needs_confirmation", chart(_grade("G3", None))),
        case("detail 11: 8249/3 is G2", "met", chart(without="grade")),
        case(
            "detail 11: 8240/3 alone is no grade",
            "unknown",
            chart(_net(**_morphology("8240/3")), without="grade"),
        ),
        case(
            "8246/3 is a carcinoma",
            "not_met permanent",
            chart(_net(**_morphology("8246/3")), without="grade"),
        ),
        case(
            "poorly differentiated by code",
            "not_met permanent",
            chart(_net(), condition("C7A.1"), without="grade"),
        ),
        case(
            "detail 2: poorly differentiated, provisional",
            "needs_confirmation",
            chart(_net(), condition("C7A.1", verification="provisional"), without="grade"),
        ),
        case("nothing", "unknown", chart(_net(), without="grade")),
        case("Ki-67 of 20", "needs_confirmation", chart(_net(), _ki67(20), without="grade")),
        case("Ki-67 of 21", "needs_confirmation", chart(_net(), _ki67(21), without="grade")),
        case("Ki-67 never outweighs a grade", "met", chart(_ki67(60, on="2026-01-01"))),
        case(
            "Ki-67 without a unit",
            "unknown",
            chart(_net(), lab("ki67", 3, None, "2022-05-05"), without="grade"),
        ),
        case(
            "empty newest lets the older decide",
            "met",
            chart(_grade("", valueCodeableConcept=None)),
        ),
        case("unknown modifier on the newest", "unknown", chart(_grade("G1", **STRANGE))),
        case("entered in error", "met", chart(_grade("G3", status="entered-in-error"))),
        case("after the day", "met", chart(_grade("G3", "2026-11-24"))),
        case(
            "breast cancer grade is a trap",
            "met",
            chart(
                observation(coded("44648-4", LOINC), "2024-01-01", valueCodeableConcept=words("G3"))
            ),
        ),
        case(
            "partial date that may be before or after another",
            "unknown",
            chart(_grade("G3", "2022"), _grade("G1", "2022-05-05")),
        ),
        case("partial date that is surely older", "met", chart(_grade("G3", "2021"), _grade("G1"))),
    ],
)
def test_grade(expected: str, content: Json, how: Json) -> None:
    """The latest grade decides; Ki-67 only supports."""
    assert expected == verdict(screen(content, **how), "grade")


def test_a_newer_grade_without_a_value_is_told() -> None:
    """An older grade decides, with a note; an older one without a value is no matter."""
    empty = {"valueCodeableConcept": None, "dataAbsentReason": words("not done")}
    newer = screen(chart(_grade("", "2022-06-05", **empty), _grade("G2"), without="grade"))
    older = screen(chart(_grade("", "2022-04-05", **empty), _grade("G2"), without="grade"))

    assert ("met", 1) == (result(newer, "grade").status, len(result(newer, "grade").advisories))
    assert ("met", 0) == (result(older, "grade").status, len(result(older, "grade").advisories))


def test_ki67_without_a_unit_is_named() -> None:
    """What cannot be read is told by its name."""
    found = screen(chart(_net(), lab("ki67", 10, None, days_ago(100)), without="grade"))

    assert "unknown" == verdict(found, "grade")
    assert "Ki-67" in result(found, "grade").summary


def test_the_stage_that_shows_metastasis_is_named() -> None:
    """Stage IV is told with the record that says so."""
    staged = _net(stage=[{"summary": words("Stage IVB")}])
    found = screen(bundle(patient(), cycle("2021-01-11"), staged))

    assert "met" == verdict(found, "metastatic")
    assert "Stage IV" in result(found, "metastatic").summary


@pytest.mark.parametrize(("value", "word"), [(20, "supports"), (21, "suggests")])
def test_the_meaning_of_ki67_is_told(value: Any, word: str) -> None:
    """At most 20 % supports G1 or G2, above suggests G3."""
    found = screen(chart(_net(), _ki67(value, on=days_ago(100)), without="grade"))

    assert word in next(one.summary for one in found.criteria if one.id == "grade")
