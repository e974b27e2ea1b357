"""Childbearing: contraception, pregnancy test, pregnancy, breastfeeding."""

from __future__ import annotations

from typing import Any

import pytest

from tests.charts import (
    LOINC,
    SNOMED,
    STRANGE,
    Json,
    case,
    chart,
    coded,
    condition,
    days_ago,
    observation,
    procedure,
    quantity,
    result,
    screen,
    verdict,
    woman,
    words,
)

CASES = ("expected", "content", "how")
FOUR = ("contraception", "pregnancy-test", "pregnancy", "breastfeeding")
ASK, NA = "needs_confirmation", "not_applicable"
HYSTERECTOMY, OVARIES, TUBES = "236886002", "609275002", "287664005"


def _menses(on: str | None, **elements: Any) -> Any:
    return observation("last menses", days_ago(5), **({"valueDateTime": on} | elements))


def _hcg(word: str, on: str | None = days_ago(5), **elements: Any) -> Any:
    return observation("hcg", on, **({"valueCodeableConcept": words(word)} | elements))


@pytest.mark.parametrize("criterion", FOUR)
def test_men(criterion: str) -> None:
    """Detail 28: for a man none of the four applies."""
    assert NA == verdict(screen(chart()), criterion)


@pytest.mark.parametrize("criterion", FOUR)
@pytest.mark.parametrize("sex", ["other", "unknown", None, "m"])
def test_unknown_sex(criterion: str, sex: str | None) -> None:
    """Detail 28: only male makes them not applicable; anything else but female is asked."""
    assert ASK == verdict(screen(chart(person={"gender": sex})), criterion)


@pytest.mark.parametrize("age", ["1940-01-01", "1990-01-01"])
def test_no_age_ends_childbearing_potential(age: Any) -> None:
    """A woman with nothing recorded is asked, whatever her age."""
    found = screen(woman(person={"birthDate": age}))

    assert (ASK, "unknown", "unknown") == tuple(verdict(found, one) for one in FOUR[:3])


@pytest.mark.parametrize(
    CASES,
    [
        case("hysterectomy", "met", woman(procedure(HYSTERECTOMY, "2015-01-01"))),
        case("both ovaries", "met", woman(procedure(OVARIES, "2015-01-01"))),
        case("tubal ligation", "met", woman(procedure(TUBES, "2015-01-01"))),
        case("undated hysterectomy", "met", woman(procedure(HYSTERECTOMY))),
        case("state after hysterectomy", "met", woman(condition("Z90.710"))),
        case("state after tubal ligation", "met", woman(condition("Z98.51"))),
        *(
            case(
                f"hysterectomy {status}",
                ASK,
                woman(procedure(HYSTERECTOMY, "2015-01-01", status=status)),
            )
            for status in ("stopped", "in-progress", "preparation", "not-done", "entered-in-error")
        ),
        case(
            "hysterectomy planned after the day", ASK, woman(procedure(HYSTERECTOMY, "2026-11-24"))
        ),
        case("one ovary is a trap", ASK, woman(procedure("302377002", "2015-01-01"))),
        case("cervix only is a trap", ASK, woman(condition("Z90.712"))),
        case(
            "detail 2: state not confirmed",
            ASK,
            woman(condition("Z90.710", verification="provisional")),
        ),
        case(
            "hysterectomy with an unknown modifier",
            "unknown",
            woman(procedure(HYSTERECTOMY, "2015-01-01", **STRANGE)),
        ),
        case("last menses 12 months ago", ASK, woman(_menses("2025-11-23"))),
        case("last menses more than 12 months ago", NA, woman(_menses("2025-11-22"))),
        case("last menses in a year that straddles", "unknown", woman(_menses("2025"))),
        case("last menses in a year that does not", NA, woman(_menses("2024"))),
        case("last menses this year", ASK, woman(_menses("2026"))),
        case(
            "last menses with an unknown modifier",
            "unknown",
            woman(_menses("2010-01-01", **STRANGE)),
        ),
        case("last menses that cannot be read", "unknown", woman(_menses("years ago"))),
        case(
            "detail 1: the newest record of the last menses decides",
            ASK,
            woman(_menses("2010-01-01", effectiveDateTime="2015-01-01"), _menses("2026-10-01")),
        ),
        case("preliminary last menses", ASK, woman(_menses("2010-01-01", status="preliminary"))),
        case("detail 37: Z78.0", NA, woman(condition("Z78.0"))),
        case(
            "detail 37: Z78.0, but menses since",
            ASK,
            woman(condition("Z78.0"), _menses("2026-06-01")),
        ),
        case(
            "detail 2: Z78.0 not confirmed",
            ASK,
            woman(condition("Z78.0", verification="provisional")),
        ),
        *(
            case(f"detail 37: {code} is for a person", ASK, woman(condition(coded(code, SNOMED))))
            for code in ("307429007", "161712005", "276477006")
        ),
        case("detail 37: N95.1 is no proof", ASK, woman(condition("N95.1"))),
    ],
)
def test_contraception(expected: str, content: Json, how: Json) -> None:
    """Surgery satisfies it, menopause makes it not applicable, else a person is asked."""
    assert expected == verdict(screen(content, **how), "contraception")


TESTS = [
    case("none", "unknown", woman()),
    case("negative", "met", woman(_hcg("negative"))),
    case("positive", ASK, woman(_hcg("positive"))),
    case(
        "negative by code", "met", woman(_hcg("", valueCodeableConcept=coded("260385009", SNOMED)))
    ),
    case("not detected", "met", woman(_hcg("not detected"))),
    case("indeterminate", "unknown", woman(_hcg("indeterminate"))),
    case("prose", "unknown", woman(_hcg("negative for now, repeat"))),
    case("28 days ago", "met", woman(_hcg("negative", days_ago(28)))),
    case("29 days ago", "unknown", woman(_hcg("negative", days_ago(29)))),
    case("the latest decides", ASK, woman(_hcg("negative", days_ago(9)), _hcg("positive"))),
    case("two of one day disagree", ASK, woman(_hcg("negative"), _hcg("positive"))),
    case(
        "empty newest",
        "met",
        woman(_hcg("negative", days_ago(9)), _hcg("", valueCodeableConcept=None)),
    ),
    case(
        "detail 1: unusable newest",
        "unknown",
        woman(_hcg("negative", days_ago(9)), _hcg("negative", **STRANGE)),
    ),
    case("preliminary", "unknown", woman(_hcg("negative", status="preliminary"))),
    case(
        "a number alone is for a person",
        ASK,
        woman(
            _hcg(
                "",
                code=coded("21198-7", LOINC),
                valueCodeableConcept=None,
                valueQuantity=quantity(2, "[IU]/L"),
            )
        ),
    ),
    case("free beta is a trap", "unknown", woman(_hcg("negative", code=coded("2111-3", LOINC)))),
    case("detail 27: hysterectomy", NA, woman(procedure(HYSTERECTOMY, "2015-01-01"))),
    case("detail 27: both ovaries", NA, woman(procedure(OVARIES, "2015-01-01"))),
    case("detail 27: tubal ligation, no test", "unknown", woman(procedure(TUBES, "2015-01-01"))),
    case(
        "detail 27: tubal ligation, tested",
        "met",
        woman(procedure(TUBES, "2015-01-01"), _hcg("negative")),
    ),
    case(
        "hysterectomy not carried through",
        "unknown",
        woman(procedure(HYSTERECTOMY, "2015-01-01", status="stopped")),
    ),
    case("postmenopausal", NA, woman(condition("Z78.0"))),
    case("last menses long ago", NA, woman(_menses("2020-01-01"))),
    case(
        "last menses with an unknown modifier", "unknown", woman(_menses("2020-01-01", **STRANGE))
    ),
    case(
        "detail 37: menopause without its date", ASK, woman(condition(coded("161712005", SNOMED)))
    ),
    case(
        "menopause without its date, tested",
        "met",
        woman(condition(coded("161712005", SNOMED)), _hcg("negative")),
    ),
]


@pytest.mark.parametrize("criterion", ["pregnancy-test", "pregnancy"])
@pytest.mark.parametrize(CASES, TESTS)
def test_pregnancy_test(criterion: str, expected: str, content: Json, how: Json) -> None:
    """A negative test of the last 28 days; pregnancy follows it where nothing else is recorded."""
    assert expected == verdict(screen(content, **how), criterion)


def _status(code: Any, on: str | None = days_ago(20), **elements: Any) -> Any:
    held = {"valueCodeableConcept": coded(code, LOINC)} | elements
    return observation("pregnancy status", on, **held)


YES, NO = "LA15173-0", "LA26683-5"
PREGNANT = "not_met new_data"


@pytest.mark.parametrize(
    CASES,
    [
        case("active pregnancy", PREGNANT, woman(condition("Z33.1"), _hcg("negative"))),
        case(
            "pregnancy over",
            "met",
            woman(condition("Z33.1", clinical="resolved"), _hcg("negative")),
        ),
        case(
            "detail 2: pregnancy without a clinical status",
            PREGNANT,
            woman(condition("Z33.1", clinical=None)),
        ),
        case(
            "pregnancy that ends after the day",
            "not_met new_data",
            woman(
                condition("Z33.1", clinical=None, abatementDateTime=days_ago(-1)), _hcg("negative")
            ),
        ),
        case(
            "pregnancy abated",
            "met",
            woman(
                condition("Z33.1", clinical=None, abatementDateTime="2024-01-01"), _hcg("negative")
            ),
        ),
        case("detail 2: not confirmed", ASK, woman(condition("Z33.1", verification="provisional"))),
        case("delivery is a trap", "met", woman(condition("O80"), _hcg("negative"))),
        case("status pregnant", PREGNANT, woman(_status(YES), _hcg("negative"))),
        case(
            "status pregnant 300 days ago",
            PREGNANT,
            woman(_status(YES, days_ago(300)), _hcg("negative")),
        ),
        case(
            "status pregnant 301 days ago",
            "met",
            woman(_status(YES, days_ago(301)), _hcg("negative")),
        ),
        case("status not pregnant says no more than the test", "unknown", woman(_status(NO))),
        case(
            "the latest status",
            "met",
            woman(_status(YES, days_ago(90)), _status(NO), _hcg("negative")),
        ),
        case(
            "two statuses of one day disagree",
            ASK,
            woman(_status(YES), _status(NO), _hcg("negative")),
        ),
        case(
            "detail 1: unusable status", "unknown", woman(_status(YES, **STRANGE), _hcg("negative"))
        ),
        case(
            "pregnancy with an unknown modifier",
            "unknown",
            woman(condition("Z33.1", **STRANGE), _hcg("negative")),
        ),
        case(
            "pregnancy recorded after the day",
            "met",
            woman(condition("Z33.1", onset="2026-11-24"), _hcg("negative")),
        ),
    ],
)
def test_pregnancy(expected: str, content: Json, how: Json) -> None:
    """An active pregnancy, or a recent positive status, excludes for now."""
    assert expected == verdict(screen(content, **how), "pregnancy")


@pytest.mark.parametrize(
    CASES,
    [
        case("none", "met by absence", woman()),
        case("lactation", ASK, woman(condition("Z39.1"))),
        case("lactation over", "met by absence", woman(condition("Z39.1", clinical="resolved"))),
        case("lactation, provisional", ASK, woman(condition("Z39.1", verification="provisional"))),
        case("lactation suppressed is a trap", "met by absence", woman(condition("O92.5"))),
        case("unknown modifier", "unknown", woman(condition("Z39.1", **STRANGE))),
        case("refuted", "met by absence", woman(condition("Z39.1", verification="refuted"))),
    ],
)
def test_breastfeeding(expected: str, content: Json, how: Json) -> None:
    """Lactation recorded as active is for a person; none is met by absence."""
    assert expected == verdict(screen(content, **how), "breastfeeding")


def test_menopause_comes_with_time() -> None:
    """What the last menses means changes on a day, and the report says when it ends."""
    found = screen(woman(_menses("2025-12-24"), _hcg("negative", days_ago(0))))

    assert "met" == verdict(found, "pregnancy-test")
    assert days_ago(-28) == result(found, "pregnancy-test").valid_through.isoformat()
