"""The upper limit of normal of a result: its own range, the one that fits, or the site's."""

from __future__ import annotations

from typing import Any

import pytest

from tests.charts import chart, coded, days_ago, lab, screen, upper, verdict

SITE = {"uln": {"bilirubin": {"value": 21, "unit": "umol/L"}}}
MALE, FEMALE = (coded(sex, "urn:sex") for sex in ("male", "female"))
MET, NOT_MET = "met", "not_met new_data"


def aged(low: int | None, high: int | None, unit: str | None = "a") -> dict[str, Any]:
    """The ages that a range is for."""
    ends = {"low": low, "high": high}
    more = {} if unit is None else {"code": unit, "system": "http://unitsofmeasure.org"}
    return {"age": {name: {"value": at} | more for name, at in ends.items() if at is not None}}


@pytest.mark.parametrize(
    ("expected", "ranges"),
    [
        # At 1.6 mg/dL a limit of 1.2 is met, one of 1.0 is not. He is 64.
        pytest.param(MET, [upper(1.2)], id="the only one"),
        pytest.param("unknown", [upper(1.2, **aged(0, 10))], id="the only one, of another age"),
        pytest.param(
            "unknown", [upper(1.2, appliesTo=[FEMALE])], id="the only one, of the other sex"
        ),
        pytest.param(MET, [upper(1.2, appliesTo=[MALE])], id="the only one, of his sex"),
        pytest.param(MET, [upper(1.2, age={"low": {"value": 1, "unit": "mo"}})], id="from a month"),
        pytest.param(
            "unknown", [upper(1.2, age={"high": {"value": 90, "unit": "d"}})], id="to three months"
        ),
        pytest.param(
            "unknown", [upper(1.2, age={"low": {"value": 1, "unit": "moons"}})], id="of moons"
        ),
        pytest.param(MET, [upper(1.2, appliesTo=[MALE]), upper(1.0, appliesTo=[FEMALE])], id="sex"),
        pytest.param(
            NOT_MET, [upper(1.2, appliesTo=[FEMALE]), upper(1.0, appliesTo=[MALE])], id="other sex"
        ),
        pytest.param(MET, [upper(1.2, **aged(64, 70)), upper(1.0, **aged(65, 99))], id="low end"),
        pytest.param(MET, [upper(1.2, **aged(18, 64)), upper(1.0, **aged(18, 63))], id="high end"),
        pytest.param(MET, [upper(1.2, **aged(18, None)), upper(1.0, **aged(65, None))], id="low"),
        pytest.param(MET, [upper(1.2, **aged(None, 64)), upper(1.0, **aged(None, 63))], id="high"),
        pytest.param("unknown", [upper(1.2, **aged(65, 70)), upper(1.0, **aged(0, 63))], id="none"),
        pytest.param("unknown", [upper(1.2), upper(1.0)], id="both"),
        pytest.param(MET, [upper(1.2), upper(1.2)], id="the same twice"),
        pytest.param(MET, [upper(1.2) | {"low": {"value": 1.2}}], id="of one value"),
        pytest.param("unknown", [upper(1.2) | {"low": {"value": 1.3}}], id="upside down"),
        pytest.param(MET, [upper(1.2) | {"low": {"value": 0.1}}], id="with a lower end"),
        pytest.param("unknown", [{"low": {"value": 0.1}}], id="of a lower end only"),
        pytest.param(MET, [{"low": {"value": 0.1}}, upper(1.2)], id="beside a lower end only"),
    ],
)
def test_the_range_that_fits_decides(expected: str, ranges: list[Any]) -> None:
    """That for his age and sex, also where it is the only one."""
    made = lab("bilirubin", 1.6, "mg/dL", days_ago(5), referenceRange=ranges, id_="bili")

    assert expected == verdict(screen(chart(made)), "bilirubin")


@pytest.mark.parametrize("person", [{"birthDate": None}, {"birthDate": "soon"}])
def test_without_an_age_no_range_of_an_age_fits(person: dict[str, Any]) -> None:
    """Of several; one that is for every age does."""
    for expected, ranges in (
        ("unknown", [upper(1.2, **aged(18, None)), upper(1.2, **aged(None, 99))]),
        (MET, [upper(1.2), upper(1.0, **aged(18, None))]),
    ):
        made = lab("bilirubin", 1.6, "mg/dL", days_ago(5), referenceRange=ranges, id_="bili")

        assert expected == verdict(screen(chart(made, person=person)), "bilirubin")


@pytest.mark.parametrize(
    ("value", "expected"), [(1.84, MET), (1.85, NOT_MET)], ids=["below", "beyond"]
)
@pytest.mark.parametrize("ranges", [None, [{"low": {"value": 0.1}}], [upper(1.0), upper(1.2)]])
def test_the_site_s_limit_stands_in(value: float, expected: str, ranges: Any) -> None:
    """Where the result has no limit, or none that can be told from another."""
    made = lab("bilirubin", value, "mg/dL", days_ago(5), referenceRange=ranges, id_="bili")

    assert expected == verdict(screen(chart(made), site=SITE), "bilirubin")
    assert "unknown" == verdict(screen(chart(made)), "bilirubin")


def test_a_limit_that_the_site_does_not_have_is_unknown() -> None:
    """The site's limit of bilirubin is not that of a transaminase."""
    made = lab("alt", 900, "U/L", days_ago(5))

    assert "needs_confirmation" == verdict(screen(chart(made), site=SITE), "toxicity")
    limit = {"uln": {"alt": {"value": 40, "unit": "U/L"}}}
    assert NOT_MET == verdict(screen(chart(made), site=limit), "toxicity")
