"""The overall result, attestations, and what time alone will change."""

from __future__ import annotations

from datetime import date, timedelta
from itertools import pairwise
from typing import Any

import pytest

from tests.charts import (
    DEXAMETHASONE,
    EVEROLIMUS,
    STRANGE,
    TEMOZOLOMIDE,
    TODAY,
    WOMAN,
    Json,
    attestations,
    chart,
    coded,
    condition,
    cycle,
    days_ago,
    given,
    issues,
    lab,
    observation,
    pet,
    procedure,
    response,
    result,
    screen,
    statement,
    trial,
    verdict,
    woman,
    words,
)

OPEN = (
    "unresectable",
    "sstr-positive",
    "toxicity",
    "quality-of-life",
    "consent",
    "follow-up",
    "adverse-event-return",
    "uncontrolled-condition",
)
CONFIRMED = tuple({"criterion": one, "answer": "met"} for one in OPEN)
SITE = {"everolimus_access": True, "timezone": "America/Toronto"}


def _confirmed(*resources: Any, **more: Any) -> Any:
    return screen(chart(*resources, **more), attest=CONFIRMED, site=SITE)


class TestOverall:
    """A permanent refusal, then any refusal, then anything open, then all met."""

    @pytest.mark.parametrize(
        ("resources", "without", "expected"),
        [
            ((), "", "all_met"),
            ((), "hb", "possible"),
            ((), "grade net", "possible"),
            ((condition("C61"),), "", "possible"),
            ((lab("hemoglobin", 70, "g/L", days_ago(1)),), "", "not_now"),
            ((lab("hemoglobin", 70, "g/L", days_ago(1)),), "plt", "not_now"),
            ((procedure("54357003", days_ago(5)),), "", "not_now"),
            ((given(TEMOZOLOMIDE, "2019"),), "", "excluded"),
            ((given(TEMOZOLOMIDE, "2019"), lab("hemoglobin", 70, "g/L")), "plt", "excluded"),
        ],
    )
    def test_order(self, resources: tuple[Json, ...], without: str, expected: str) -> None:
        """The gravest decides."""
        assert expected == _confirmed(*resources, without=without).overall

    def test_not_applicable_counts_like_met(self) -> None:
        """A man without HIV has nothing open."""
        found = _confirmed()

        assert "all_met" == found.overall
        assert {"not_applicable"} == {
            result(found, one).status for one in ("contraception", "pregnancy", "hiv")
        }

    def test_every_criterion_stands_in_the_report(self) -> None:
        """Whatever the result, and in the order of the trial."""
        ids = [one.id for one in trial().criteria]

        for found in (_confirmed(), screen(chart(given(TEMOZOLOMIDE, "2019")))):
            assert ids == [one.id for one in found.criteria]

    @pytest.mark.parametrize(
        "resources",
        [
            (),
            (given(TEMOZOLOMIDE, "2019"),),
            (procedure("54357003", days_ago(5)), condition("C61")),
        ],
    )
    def test_change_and_basis(self, resources: tuple[Json, ...]) -> None:
        """Detail 36: change is set on not_met only, and a basis on what is settled."""
        for one in screen(chart(*resources)).criteria:
            assert (one.change is not None) == (one.status == "not_met")
            assert (one.basis is not None) == (one.status in ("met", "not_met", "not_applicable"))
            assert (one.eligible_from is not None) == (one.change == "time")


@pytest.mark.parametrize(
    ("criterion", "content", "through"),
    [
        ("sstr-pet", chart(pet("2026", id_="pet")), date(2029, 1, 1)),
        ("sstr-pet", chart(pet("2026-05", id_="pet")), date(2029, 5, 1)),
        ("age", chart(person={"birthDate": "1970"}), None),
        ("everolimus-limit", chart(statement(EVEROLIMUS, "2021-10", "2021-10")), None),
        # It may also be the newest result of the last days, whatever the day; then it decides.
        (
            "platelets",
            chart(lab("platelets", 90, "10*9/L", "2026-11-31", id_="odd")),
            date(2026, 12, 8),
        ),
        (
            "platelets",
            chart(lab("platelets", 90, "10*9/L", "2026-11", id_="odd")),
            date(2026, 12, 8),
        ),
        (
            "platelets",
            chart(lab("platelets", 90, "10*9/L", "2026-11", id_="plt")),
            date(2026, 11, 29),
        ),
    ],
)
def test_a_vague_date_ends_a_status_with_its_first_day(
    criterion: str, content: Json, through: date | None
) -> None:
    """And not before, however many days of it were tried."""
    found = result(screen(content), criterion)

    assert ("met", through) == (found.status, found.valid_through)


def _answer(criterion: str, said: str, **more: Any) -> Any:
    return {"criterion": criterion, "answer": said} | more


BRAIN = condition(coded("C79.31", text="Brain metastases"), onset="2024-03-04")


@pytest.mark.parametrize(
    ("steroids", "expected"),
    [
        ([statement(DEXAMETHASONE, "2026-11-01", "9999-12-31", status="active")], None),
        ([statement(DEXAMETHASONE, "2026-11-01", "9999", status="active")], None),
        ([statement(DEXAMETHASONE, "2026-11-01", "9999-12-31")], None),
        ([statement(DEXAMETHASONE, "2026-11-01", "2026-11-30")], date(2026, 12, 28)),
        ([statement(DEXAMETHASONE, "2026-11-01", "2026-11")], date(2026, 12, 28)),
        (
            [given(DEXAMETHASONE, "2026-11-10"), given(DEXAMETHASONE, "2026-11-31", id_="odd")],
            date(2026, 12, 8),
        ),
    ],
)
def test_no_end_that_nobody_recorded_is_told(steroids: list[Json], expected: date | None) -> None:
    """Systems write 9999 for an end that there is not; an unreadable day is none to come."""
    found = result(screen(chart(BRAIN, *steroids)), "brain-metastases")

    assert ("not_met", expected) == (found.status, found.eligible_from)
    assert ("new_data" if expected is None else "time") == found.change
    assert "900" not in found.summary


@pytest.mark.parametrize("end", [None, "9999-12-31"])
def test_an_operation_that_goes_on_is_told_with_no_day_of_another_age(end: str | None) -> None:
    """Where it surely ends nobody knows; told is when it may be long enough ago."""
    period = {"start": "2026-11-10"} | ({"end": end} if end else {})
    operation = procedure("236886002", status="in-progress", performedPeriod=period)
    found = result(screen(chart(operation)), "recent-surgery")

    assert ("not_met", "time", date(2026, 12, 23)) == (
        found.status,
        found.change,
        found.eligible_from,
    )


class TestAttestations:
    """A clinician settles what is open, and never overrides evidence."""

    @pytest.mark.parametrize(
        ("criterion", "said", "content", "expected", "aside"),
        [
            ("toxicity", "met", chart(), "met by attestation", False),
            ("hemoglobin", "met", chart(without="hb"), "met by attestation", False),
            (
                "hemoglobin",
                "not_met",
                chart(without="hb"),
                "not_met new_data by attestation",
                False,
            ),
            ("hemoglobin", "not_met", chart(), "met", True),
            ("hemoglobin", "met", chart(lab("hemoglobin", 70, "g/L")), "not_met new_data", True),
            ("hemoglobin", "met", chart(), "met", True),
            ("heart-failure", "not_met", chart(), "not_met new_data by attestation", False),
            ("heart-failure", "met", chart(), "met by absence", False),
            ("no-alkylator", "met", chart(given(TEMOZOLOMIDE, "2019")), "not_met permanent", True),
            (
                "no-alkylator",
                "met",
                chart(given(words("Temodar"), "2019")),
                "met by attestation",
                False,
            ),
            ("pregnancy", "not_met", chart(), "not_applicable", True),
            ("hiv", "not_met", chart(), "not_applicable by absence", True),
            (
                "no-alkylator",
                "met",
                chart(given(TEMOZOLOMIDE, "2019", **STRANGE)),
                "met by attestation",
                False,
            ),
        ],
    )
    def test_what_it_settles(
        self, criterion: str, said: str, content: Json, expected: str, *, aside: bool
    ) -> None:
        """Open ones and absence against it; what it may not settle is a data issue."""
        found = screen(content, attest=(_answer(criterion, said),))

        assert expected == verdict(found, criterion)
        assert aside == ("attestation-set-aside" in {code for code, _ in issues(found)})

    @pytest.mark.parametrize(
        ("provides", "expected"), [(True, "met by site"), (False, "not_met new_data by site")]
    )
    @pytest.mark.parametrize("said", ["met", "not_met"])
    def test_it_never_overrides_the_site(self, *, provides: bool, expected: str, said: str) -> None:
        """The site's configuration stands."""
        found = screen(
            chart(),
            site={"everolimus_access": provides},
            attest=(_answer("everolimus-access", said),),
        )

        assert expected == verdict(found, "everolimus-access")

    @pytest.mark.parametrize(
        ("more", "expected"),
        [
            ({"on": "2026-11-23"}, "met by attestation"),
            ({"on": "2026-11-24"}, "needs_confirmation"),
            ({"through": "2026-11-23"}, "met by attestation"),
            ({"through": "2026-11-22"}, "needs_confirmation"),
        ],
    )
    def test_when_it_holds(self, more: Json, expected: str) -> None:
        """From the day it was given through the day it lapses."""
        found = screen(chart(), attest=(_answer("consent", "met", **more),))

        assert expected == verdict(found, "consent")

    def test_one_of_a_later_day_is_told(self) -> None:
        """With who gave it."""
        later = _answer("consent", "met", on="2026-11-24")
        found = screen(chart(), attest=(later, _answer("follow-up", "met", on="2026-11-23")))

        assert [
            (
                "future-date",
                "Practitioner/9",
                "attestation of consent as met: dated 2026-11-24, after 2026-11-23",
            )
        ] == [(one.code, one.reference, one.message) for one in found.data_issues]

    def test_its_end_is_the_last_day(self) -> None:
        """It lapses with its last day, and the outlook knows."""
        others = tuple(one for one in CONFIRMED if one["criterion"] != "consent")
        lapsing = _answer("consent", "met", on="2026-11-21", through="2026-11-30")
        found = screen(chart(), site=SITE, attest=(*others, lapsing))

        assert date(2026, 11, 30) == result(found, "consent").valid_through
        assert [date(2026, 11, 30), "all_met"] == [
            found.outlook[0].through,
            found.outlook[0].overall,
        ]

    @pytest.mark.parametrize(
        ("first", "second", "expected"),
        [
            ("met", "not_met", "not_met new_data by attestation"),
            ("not_met", "met", "met by attestation"),
        ],
    )
    def test_the_newest_answer_counts(self, first: Any, second: Any, expected: str) -> None:
        """A later answer replaces an earlier one."""
        given_answers = (
            _answer("consent", second, on="2026-11-20"),
            _answer("consent", first, on="2026-11-10"),
        )

        assert expected == verdict(screen(chart(), attest=given_answers), "consent")

    def test_answers_of_one_day_that_disagree_settle_nothing(self) -> None:
        """They are set aside and reported."""
        found = screen(chart(), attest=(_answer("consent", "met"), _answer("consent", "not_met")))

        assert "needs_confirmation" == verdict(found, "consent")
        assert "attestation-set-aside" in {code for code, _ in issues(found)}

    def test_who_and_when_are_told(self) -> None:
        """The evidence names who confirmed it and when."""
        found = result(
            screen(chart(), attest=(_answer("consent", "met", on="2026-11-20"),)), "consent"
        )

        assert ("Practitioner/9", "2026-11-20") in {
            (one.reference, one.date) for one in found.evidence
        }
        assert attestations(_answer("consent", "met"))[0].by == "Practitioner/9"


CHARTS = {
    "base": chart(),
    "woman": woman(
        observation("last menses", days_ago(3), valueDateTime="2026-03-03"),
        observation("hcg", days_ago(2), valueCodeableConcept=words("negative")),
    ),
    "surgery": chart(
        procedure("54357003", days_ago(20)), lab("hemoglobin", 90, "g/L", days_ago(0))
    ),
    "steroids": chart(
        condition("C79.31"), statement(DEXAMETHASONE, days_ago(50), days_ago(-14), status="active")
    ),
    "everolimus": chart(statement(EVEROLIMUS, days_ago(12), status="active")),
    "under way": chart(
        cycle(days_ago(70)),
        cycle(days_ago(14)),
        without="prrt1 prrt2 prrt3 prrt4 after better worse",
    ),
    "scan runs out": chart(pet("2024-02-01"), without="pet"),
    "future facts": chart(
        given(TEMOZOLOMIDE, "2027-01-15"),
        response("SD", "2026-12-24"),
        lab("platelets", 60, "10*9/L", "2026-12-01"),
        condition("C61", onset="2027-03-03"),
    ),
    "vague dates": chart(
        lab("hemoglobin", 100, "g/L", "2026-11"), procedure("54357003", "2026-10"), without="hb"
    ),
    "young": chart(person={"birthDate": "2009-02-28"}),
    "unreadable dates": chart(
        lab("platelets", 90, "10*9/L", "2026-11-31", id_="odd"),
        given(DEXAMETHASONE, "2026-11-31"),
    ),
    "a vague result beside one of the day": chart(
        lab("hemoglobin", 70, "g/L", "2026", id_="hb"),
        lab("hemoglobin", 85, "g/L", TODAY.isoformat(), id_="new"),
    ),
    "pregnancy": woman(
        condition("Z33.1", onset="2026-12-24"),
        observation("pregnancy status", days_ago(280), valueCodeableConcept=words("pregnant")),
    ),
    "toxicity": chart(
        lab("lymphocytes", 0.3, "10*9/L", days_ago(60)),
        lab("lymphocytes", 0.9, "10*9/L", "2026-12-20"),
    ),
    "abating": chart(
        condition("R13.10", clinical=None, abatementDateTime="2027-02"),
        condition("K90.9", clinical=None, abatementDateTime="2027-01-09"),
    ),
    "hiv": chart(
        condition("B20"),
        lab("viral load", 20, "{copies}/mL", days_ago(120)),
        statement(
            {"coding": [{"system": "http://www.whocc.no/atc", "code": "J05AR20"}]},
            "2020-01-01",
            status="active",
        ),
    ),
}


class TestOutlook:
    """The outlook on a day is what an evaluation on that day would find."""

    @pytest.mark.parametrize("name", CHARTS)
    @pytest.mark.parametrize("attest", [(), CONFIRMED], ids=["open", "confirmed"])
    def test_equals_an_evaluation_on_the_day(self, name: str, attest: Any) -> None:
        """Around every change, and on a few days between."""
        found = screen(CHARTS[name], attest=attest, site=SITE)
        edges = {day for one in found.outlook for day in (one.start, one.through)}
        days = edges | {TODAY + timedelta(days=n) for n in (1, 15, 16, 22, 23, 43, 100, 222, 365)}

        for day in sorted(days):
            run = next(one for one in found.outlook if one.start <= day <= one.through)
            assert run.overall == screen(CHARTS[name], day, attest=attest, site=SITE).overall, day

    @pytest.mark.parametrize("name", CHARTS)
    def test_covers_a_year_without_gaps(self, name: str) -> None:
        """The runs follow one another from the day to the 365th day after it."""
        runs = screen(CHARTS[name]).outlook

        assert TODAY == runs[0].start
        assert TODAY + timedelta(days=365) == runs[-1].through
        for one, other in pairwise(runs):
            assert one.through + timedelta(days=1) == other.start
            assert one.overall != other.overall

    @pytest.mark.parametrize("name", CHARTS)
    def test_a_status_holds_through_its_last_day(self, name: str) -> None:
        """Detail 9: validThrough is the last day on which the rule still holds."""
        for one in screen(CHARTS[name], site=SITE).criteria:
            if one.valid_through is not None:
                on_the_day = screen(CHARTS[name], one.valid_through, site=SITE)
                after = screen(CHARTS[name], one.valid_through + timedelta(days=1), site=SITE)
                assert one.status == result(on_the_day, one.id).status, one.id
                assert one.status != result(after, one.id).status, one.id

    @pytest.mark.parametrize("name", CHARTS)
    def test_time_ends_a_refusal_on_the_day_told(self, name: str) -> None:
        """EligibleFrom is the first day on which it is no longer refused."""
        for one in screen(CHARTS[name], site=SITE).criteria:
            if one.eligible_from is not None:
                before = screen(CHARTS[name], one.eligible_from - timedelta(days=1), site=SITE)
                on_the_day = screen(CHARTS[name], one.eligible_from, site=SITE)
                assert "not_met" == result(before, one.id).status, one.id
                assert "not_met" != result(on_the_day, one.id).status, one.id

    @pytest.mark.parametrize(
        ("born", "surely"),
        [
            ("2009-12", date(2027, 12, 31)),
            ("2009", date(2027, 12, 31)),
            ("2010", date(2028, 12, 31)),
        ],
    )
    def test_a_vague_date_ends_a_refusal_with_its_last_day(self, born: str, surely: date) -> None:
        """However far beyond the outlook: from its first day the patient is only perhaps of age."""
        one = result(screen(chart(person={"birthDate": born})), "age")

        assert ("not_met", surely) == (one.status, one.eligible_from)

    def test_labs_run_out(self) -> None:
        """All is met until the first result expires."""
        found = _confirmed()

        assert [("all_met", date(2026, 12, 8)), ("possible", date(2027, 11, 23))] == [
            (one.overall, one.through) for one in found.outlook
        ]

    def test_surgery_becomes_long_enough_ago(self) -> None:
        """Not now until day 42, then open again until a result runs out."""
        found = _confirmed(
            procedure("236886002", "2026-11-01"),
            *(
                one | {"effectiveDateTime": "2026-11-23"}
                for one in (
                    lab("hemoglobin", 90, "g/L"),
                    lab("neutrophils", 2, "10*9/L"),
                    lab("platelets", 120, "10*9/L"),
                    lab("bilirubin", 0.5, "mg/dL", uln={"high": {"value": 1.2}}),
                    lab("creatinine", 0.9, "mg/dL"),
                )
            ),
            person=WOMAN,
        )

        assert [("not_now", date(2026, 12, 13)), ("all_met", date(2026, 12, 21))] == [
            (one.overall, one.through) for one in found.outlook[:2]
        ]

    def test_many_results_do_not_hide_a_later_change(self) -> None:
        """A result for every day of three months leaves the outlook right to its end."""
        daily = [lab("lymphocytes", 0.9, "10*9/L", days_ago(n)) for n in range(90)]
        toxic = lab("lymphocytes", 0.3, "10*9/L", "2027-08-01")
        found = screen(chart(*daily, toxic))

        assert "not_now" in {
            one.overall for one in found.outlook if one.through >= date(2027, 8, 1)
        }
