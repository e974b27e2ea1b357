"""Junk in a chart, in every form that JSON has, makes nothing met and nothing of a card but text.

``HYPOTHESIS_PROFILE=thorough`` tries forty times as many.
"""

from __future__ import annotations

import os
from functools import cache
from typing import Any

import msgspec
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cds_service.cards.detail import card_detail
from cds_service.cards.summary import card_summary
from cds_service.fhir import views
from cds_service.fhir.bundle import read_chart_file
from cds_service.fhir.chart import CHART_TYPES
from cds_service.report import Report
from tests.charts import TODAY, screener, trial
from tests.fuzz.corpus import bundle, charts
from tests.fuzz.markdown import tokens

THOROUGH = os.environ.get("HYPOTHESIS_PROFILE") == "thorough"
LIMITS = settings(
    deadline=None,
    derandomize=not THOROUGH,
    database=None,
    max_examples=2000 if THOROUGH else 50,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
ME = "everything-met"
# What a card is made of: our own emphasis and headings, and never a link, an image or HTML.
CARD = frozenset(
    {
        "strong",
        "em",
        "heading",
        "paragraph",
        "bullet_list",
        "list_item",
        "inline",
        "text",
        "softbreak",
    }
)
HOSTILE = (
    "<img src=x onerror=alert(1)>", "</div><script>x</script>", "[a](https://evil.example)",
    "![x](https://evil.example/p)", "https://evil.example/x", "www.evil.com", "a@evil.example",
    "**x** __y__ `z` ~~w~~ \\*", "\n\n# x\n\n| a |\n| - |\n", "\n---\n", "&lt;b&gt;&#60;",
    "evil\u3002com",
)  # fmt: skip

WORDS = sorted({"text", "display", "unit", "value", "code", "system", "valueString", "description"})
OTHER_KINDS = (7, "x", ["x"], [7], {"x": 1}, {"coding": "x"}, True)
NOT_ELIGIBLE = (
    "platelets-low", "surgery-recent", "brain-metastases", "temozolomide-past", "scan-old",
    "prrt-three-cycles", "embolisation-after-prrt", "progression-none", "clearance-low",
)  # fmt: skip

_scalars = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False, allow_infinity=False),
    st.text(max_size=20),
    st.sampled_from(("", "#x", "Patient/", "9999-12-31", "2026-13-45", "final", "2026-11-01")),
)  # fmt: skip


@cache
def _names(kind: str) -> tuple[str, ...]:
    """The elements of a type that are read, but those by which the resource is the patient's."""
    view = next(one for one in views.View.__args__ if one.__struct_config__.tag == kind)
    own = {"subject", "patient", "id"}
    return tuple(one.encode_name for one in msgspec.structs.fields(view) if one.name not in own)


@cache
def _parts() -> tuple[str, ...]:
    """The elements within elements."""
    structs = [one for one in vars(views).values() if isinstance(one, type)]
    return tuple(
        sorted(
            field.encode_name
            for one in structs
            if issubclass(one, msgspec.Struct)
            for field in msgspec.structs.fields(one)
        )
    )


def _values() -> st.SearchStrategy[Any]:
    """Any JSON, with the names of FHIR in it."""
    return st.recursive(
        _scalars,
        lambda inner: st.one_of(
            st.lists(inner, max_size=3),
            st.dictionaries(st.sampled_from(_parts()), inner, max_size=4),
        ),
        max_leaves=12,
    )


@st.composite
def junk(draw: st.DrawFn) -> dict[str, Any]:
    """A resource of the patient's with nothing that any table knows."""
    kind = draw(st.sampled_from(CHART_TYPES))
    made = draw(st.dictionaries(st.sampled_from(_names(kind)), _values(), max_size=8))
    whose = {"reference": f"Patient/{ME}"}
    return {**made, "resourceType": kind, "id": "junk", "subject": whose, "patient": whose}


@cache
def _screener() -> Any:
    return screener()


def report_on(resources: Any) -> Report:
    """The report on a Bundle of resources."""
    found: Report = _screener().screen_chart(read_chart_file(bundle(resources), None), TODAY)
    return found


def met(report: Report) -> set[str]:
    """The criteria that are met."""
    return {one.id for one in report.criteria if one.status == "met"}


@cache
def _bare() -> tuple[tuple[Any, ...], set[str]]:
    """The patient with the tumour alone, and what is met by that."""
    chart = tuple(
        one for one in charts()[ME] if one["resourceType"] == "Patient" or one["id"] == f"{ME}-net"
    )
    return chart, met(report_on(chart))


@given(st.lists(junk(), min_size=1, max_size=4))
@LIMITS
def test_junk_makes_nothing_met(added: list[dict[str, Any]]) -> None:
    """Beside what is there it may leave something open, and settles nothing."""
    chart, before = _bare()

    assert met(report_on((*chart, *added))) <= before


@given(st.data())
@LIMITS
def test_an_element_of_another_kind_makes_nothing_met(data: st.DataObject) -> None:
    """What cannot be read counts for no more than before: it is not taken to be absent."""
    chart = [*charts()[data.draw(st.sampled_from(NOT_ELIGIBLE))]]
    before = met(report_on(chart))
    place = data.draw(st.integers(1, len(chart) - 1))
    name = data.draw(st.sampled_from(sorted({*chart[place]} - {"resourceType", "id"})))
    others = [one for one in OTHER_KINDS if type(one) is not type(chart[place][name])]
    chart[place] = {**chart[place], name: data.draw(st.sampled_from(others))}

    assert met(report_on(chart)) <= before, (chart[place], name)


@given(
    st.sampled_from(sorted(set(charts()) - {"ordinary-diabetes"})),
    st.sampled_from(HOSTILE) | st.text(min_size=1, max_size=40),
    st.sets(st.sampled_from(WORDS), min_size=1),
    st.sets(st.integers(1, 40), min_size=1),
)
@LIMITS
def test_hostile_words_in_a_chart_stay_words(
    name: str, evil: str, elements: set[str], places: set[int]
) -> None:
    """Whatever elements they stand in: no link, no image, no HTML, and a sentence of its length."""
    chart = [
        _with_words(one, evil, elements) if place in places else one
        for place, one in enumerate(charts()[name])
    ]
    report = report_on(chart)
    detail = card_detail(report, trial())

    assert {
        token.type.removesuffix("_open").removesuffix("_close") for token in tokens(detail)
    } <= CARD
    assert len(card_summary(report, trial())) < 140
    assert "evil.example" not in detail


def _with_words(value: Any, evil: str, elements: set[str]) -> Any:
    """A resource with other words in some of its elements."""
    if isinstance(value, dict):
        return {
            name: evil
            if name in elements and isinstance(inner, str)
            else _with_words(inner, evil, elements)
            for name, inner in value.items()
        }
    return [_with_words(one, evil, elements) for one in value] if isinstance(value, list) else value
