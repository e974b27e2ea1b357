"""The second opinion: each rule at its limits, from decisions made by hand."""

from __future__ import annotations

import ast
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

import validation
from validation.decisions import Decisions, Event
from validation.truth.calendar import completed_years, months_before
from validation.truth.patient import CRITERIA, truth_of

AS_OF = date(2026, 1, 1)
VALIDATION = Path(validation.__file__).parent
PRRT_DAYS = (1400, 1344, 1288, 1232)


def ago(name: str, days: int, kind: str = "Observation", value: Any = None) -> Event:
    """An event so many days before the reference date."""
    day = AS_OF - timedelta(days=days)
    number = None if value is None or isinstance(value, str) else Decimal(str(value))
    answer = value if isinstance(value, str) else None
    return Event(name, kind, f"{day}T08:00:00+00:00", day, day, number, None, answer, name)


def prrt(*days: int) -> tuple[Event, ...]:
    """Cycles so many days before the reference date."""
    return tuple(
        ago(f"PRRT {number} order", before, "MedicationOrder")
        for number, before in enumerate(days, 1)
    )


FOLLOW_UP = (
    ago("Hemoglobin at follow-up 4", 422, value=12),
    ago("Platelets at follow-up 4", 422, value=200),
    ago("Neutrophils at follow-up 4", 422, value=3),
    ago("Bilirubin at follow-up 4", 422, value=0.6),
    ago("Creatinine at follow-up 4", 422, value=0.8),
    ago("Weight at follow-up 4", 422, value=75),
)
RESPONSES = (
    ago("Reference SD good", 1132, value="Stable disease"),
    ago("Progression good", 600, value="Progressive disease"),
)
LAST_WEEKS = (
    ago("Weight recent", 80, value=75),
    ago("ECOG 1 recent", 10, value=1),
    ago("PET within 1 year procedure", 100, "Procedure"),
    ago("Hemoglobin normal", 9, value=12),
    ago("Neutrophils normal", 9, value=3),
    ago("Platelets normal", 9, value=200),
    ago("Bilirubin normal", 8, value=0.6),
    ago("Creatinine normal", 8, value=0.8),
)
USUAL = {
    "site": "ileum",
    "diagnosis": "confirmed",
    "metastases": "liver",
    "histology": "coded",
    "grade": "g1",
    "uptake": "above_liver",
    "prrt": "four",
    "upper_limits": "given",
    "gilbert": "no",
    "birth_date": "known",
    "recorded_sex": "as_born",
    "heart": "none",
    "oral": "none",
    "other_cancer": "none",
    "toxicity": "none",
    "unresectable": "yes",
    "questionnaires": "willing",
    "consent": "on_paper",
    "follow_up": "yes",
    "returns": "yes",
    "everolimus_access": "yes",
    "uncontrolled": "none",
}


def made(
    *events: Event,
    without: tuple[str, ...] = (),
    sex: str = "M",
    born: date = date(1960, 5, 5),
    died: date | None = None,
    ends: dict[str, date] | None = None,
    added: dict[str, Any] | None = None,
    **chosen: str,
) -> Decisions:
    """A patient in whom everything holds, but for what is given."""
    usual = (*prrt(*PRRT_DAYS), *FOLLOW_UP, *RESPONSES, *LAST_WEEKS)
    kept = [event for event in usual if not event.name.startswith(without or ("-",))]
    return Decisions(
        patient="p",
        as_of=AS_OF,
        born=born,
        died=died,
        sex=sex,
        chosen=USUAL | chosen,
        events=tuple(sorted((*kept, *events), key=lambda event: event.day)),
        ends=ends or {},
        added={"everolimusOrderKept": False, "activitiesMBq": {}} | (added or {}),
    )


def status(criterion: str, decisions: Decisions) -> tuple[str, str | None, bool]:
    """Status, change, and whether it is truly so."""
    finding = CRITERIA[criterion](decisions)
    return finding.status, finding.change, finding.truly


MET = ("met", None, True)
NEW_DATA = ("not_met", "new_data", False)
PERMANENT = ("not_met", "permanent", False)
TIME = ("not_met", "time", False)


def asked(*, truly: bool) -> tuple[str, None, bool]:
    """Needs confirmation."""
    return ("needs_confirmation", None, truly)


def unknown(*, truly: bool) -> tuple[str, None, bool]:
    """Unknown."""
    return ("unknown", None, truly)


def test_a_man_in_whom_all_holds_is_possible_and_all_met_once_asked() -> None:
    """The attested result is that of a clinician who knows what is so."""
    truth = truth_of(made())

    assert "possible" == truth["overall"]
    assert "all_met" == truth["attestedOverall"]
    assert truth["candidate"]
    assert list(CRITERIA) == list(truth["statuses"]) == list(truth["reality"])


def test_a_dead_patient_is_not_relevant_and_no_candidate() -> None:
    """The criteria have no status then, but remain true or false."""
    truth = truth_of(made(died=date(2025, 12, 27)))

    assert ("not_relevant", {}, [], False) == (
        truth["overall"],
        truth["statuses"],
        truth["answers"],
        truth["candidate"],
    )
    assert all(truth["reality"].values())


def test_with_no_tumour_and_no_prrt_a_patient_is_not_relevant() -> None:
    """A stage says nothing of a neuroendocrine tumour."""
    truth = truth_of(
        made(site="not_recorded", metastases="stage_iv", prrt="none", without=("PRRT",))
    )

    assert "not_relevant" == truth["overall"]


def test_a_clinician_does_not_attest_a_measurement() -> None:
    """A missing haemoglobin stays unknown: somebody has to draw blood."""
    truth = truth_of(made(without=("Hemoglobin normal",)))

    assert "hemoglobin" not in {answer["criterion"] for answer in truth["answers"]}
    assert "unknown" == truth["attestedStatuses"]["hemoglobin"]
    assert truth["reality"]["hemoglobin"]


def test_a_permanent_refusal_outweighs_one_that_can_change() -> None:
    """Excluded before not now."""
    low = ago("Platelets limit", 3, value=79)

    assert "not_now" == truth_of(made(low))["overall"]
    assert "excluded" == truth_of(made(low, grade="g3"))["overall"]


@pytest.mark.parametrize(
    ("born", "expected"),
    [
        (date(2008, 1, 1), MET),
        (date(2008, 1, 2), TIME),
    ],
)
def test_age(born: date, expected: object) -> None:
    """18 on the birthday, not the day before."""
    assert expected == status("age", made(born=born))


@pytest.mark.parametrize(
    ("name", "criterion", "value", "days", "expected"),
    [
        ("Hemoglobin limit", "hemoglobin", "8.0", 1, MET),
        ("Hemoglobin below", "hemoglobin", "7.9", 1, NEW_DATA),
        ("Neutrophils limit", "neutrophils", "1.0", 1, MET),
        ("Neutrophils below", "neutrophils", "0.9", 1, NEW_DATA),
        ("Platelets limit", "platelets", "80", 1, MET),
        ("Platelets below", "platelets", "79", 1, NEW_DATA),
        ("Bilirubin just below", "bilirubin", "1.79", 1, MET),
        ("Bilirubin limit", "bilirubin", "1.8", 1, NEW_DATA),
        ("Clearance measured limit", "creatinine-clearance", "50", 1, NEW_DATA),
        ("Clearance recorded", "creatinine-clearance", "51", 28, MET),
        ("ECOG 2 recent", "ecog", "2", 1, MET),
        ("ECOG 3 recent", "ecog", "3", 1, NEW_DATA),
    ],
)
def test_a_result_at_its_limit(
    name: str, criterion: str, value: str, days: int, expected: object
) -> None:
    """Each limit, and the value next to it."""
    assert expected == status(criterion, made(ago(name, days, value=Decimal(value))))


@pytest.mark.parametrize(("days", "expected"), [(0, MET), (28, MET), (29, unknown(truly=True))])
def test_a_result_counts_for_28_days(days: int, expected: object) -> None:
    """Day 28 is within, day 29 is not."""
    decisions = made(ago("Hemoglobin normal", days, value=12), without=("Hemoglobin normal",))

    assert expected == status("hemoglobin", decisions)


def test_neutrophils_from_leukocytes_and_their_share() -> None:
    """2.5 times 40 % is 1.0; a share alone is no count."""
    share = ago("Neutrophil share", 5, value=40)
    without = ("Neutrophils",)

    whole = made(share, ago("Leukocytes few", 5, value=2.5), without=without)
    assert MET == status("neutrophils", whole)
    assert "unknown" == status("neutrophils", made(share, without=without))[0]


def test_bilirubin_needs_its_upper_limit_and_gilbert_asks() -> None:
    """No range, no answer; a raised value in Gilbert's is for a person."""
    raised = ago("Bilirubin raised", 2, value=2.5)

    assert unknown(truly=True) == status("bilirubin", made(upper_limits="missing"))
    assert asked(truly=True) == status("bilirubin", made(raised, gilbert="yes"))
    assert MET == status("bilirubin", made(gilbert="yes"))


def test_cockcroft_and_gault() -> None:
    """(140 - 65) x 75 / (72 x 1.5625) is exactly 50, which is not more than 50."""
    exactly = ago("Creatinine high", 2, value=Decimal("1.5625"))

    assert NEW_DATA == status("creatinine-clearance", made(exactly))
    assert MET == status("creatinine-clearance", made())
    for unusable in (
        made(without=("Weight recent",)),
        made(birth_date="withheld"),
        made(recorded_sex="other"),
        made(without=("Creatinine normal",)),
    ):
        assert unknown(truly=True) == status("creatinine-clearance", unusable)


@pytest.mark.parametrize(
    ("days", "expected"),
    [
        (PRRT_DAYS, MET),
        (PRRT_DAYS[:3], MET),
        ((1400, 1344), PERMANENT),
        ((168, 111), NEW_DATA),
        ((168, 112), PERMANENT),
        ((1400, 1218, 1036), MET),
        ((1400, 1217, 1035), PERMANENT),
        ((1500, 1444, 1388, 1332, 1276), PERMANENT),
        # Three records of three days are of one infusion, and leave one cycle.
        ((1400, 1399, 1397), PERMANENT),
        # Ten days later: four cycles, or five.
        ((1400, 1344, 1288, 1232, 1222), asked(truly=True)),
    ],
)
def test_cycles_of_prrt(days: tuple[int, ...], expected: object) -> None:
    """3 or 4 within 364 days of the first."""
    assert expected == status("prrt-exposure", made(*prrt(*days), without=("PRRT",)))


@pytest.mark.parametrize(
    ("activities", "expected"),
    [
        (["11100", "11100"], MET),
        # Within 10 %: 19,980 is, 19,978 is not.
        (["9990", "9990"], MET),
        (["9989", "9989"], ("not_met", "permanent", True)),
        (["11100", None], ("not_met", "permanent", True)),
    ],
)
def test_the_activity_rule(activities: list[str | None], expected: object) -> None:
    """Two cycles of full activity; what nobody wrote down is true, and does not count."""
    noted = {
        f"PRRT {number} order": activity
        for number, activity in enumerate(activities, 1)
        if activity is not None
    }
    decisions = made(
        *prrt(1400, 1344),
        without=("PRRT",),
        prrt="two_full_activity",
        added={"activitiesMBq": noted},
    )

    assert expected == status("prrt-exposure", decisions)


@pytest.mark.parametrize(
    ("answers", "expected"),
    [
        ((("Stable disease", 1000), ("Progressive disease", 634)), MET),
        ((("Stable disease", 1000), ("Progressive disease", 635)), PERMANENT),
        ((("Stable disease", 1000), ("Partial response", 600)), NEW_DATA),
        ((("Progressive disease", 1100),), PERMANENT),
        ((("Progressive disease", 800),), asked(truly=True)),
        (
            (("Stable disease", 1000), ("Progressive disease", 500), ("Partial response", 400)),
            asked(truly=True),
        ),
        ((("Stable disease", 1000), ("NE", 800), ("Progressive disease", 500)), MET),
        (
            (
                ("Patient's condition stable (finding)", 1000),
                ("Patient's condition worsened (finding)", 500),
            ),
            asked(truly=True),
        ),
        ((("Patient's condition stable (finding)", 1000),), NEW_DATA),
        ((), unknown(truly=True)),
    ],
)
def test_progression(answers: tuple[tuple[str, int], ...], expected: object) -> None:
    """The reference is the first scan after PRRT; 12 calendar months, here of a leap year."""
    events = [
        ago(f"Response {number}", days, value=answer)
        for number, (answer, days) in enumerate(answers)
    ]
    decisions = made(*events, without=("Reference", "Progression"), progression_in_truth="late")

    assert expected == status("progression", decisions)


def test_therapy_after_prrt() -> None:
    """What counts, what is asked, what never counts, and when."""
    criterion = "no-intervening-therapy"

    assert MET == status(criterion, made())
    assert MET == status(criterion, made(ago("Denosumab", 900, "MedicationOrder")))
    assert MET == status(criterion, made(ago("Sunitinib", 1232, "MedicationOrder")))
    assert PERMANENT == status(criterion, made(ago("Sunitinib", 1231, "MedicationOrder")))
    assert PERMANENT == status(criterion, made(ago("Embolisation", 900, "Procedure")))
    assert PERMANENT == status(criterion, made(ago("PRRT again", 900, "MedicationOrder")))
    irradiated = ago("Radiotherapy", 900, "Procedure")
    for told, truly in (("counts", False), ("does_not_count", True)):
        decisions = made(irradiated, intervening_in_truth=told)
        assert asked(truly=truly) == status(criterion, decisions)
    assert unknown(truly=True) == status(criterion, made(without=("PRRT",), prrt="none"))


@pytest.mark.parametrize(
    ("name", "days_on", "kept", "expected"),
    [
        ("Everolimus 31 days", 31, False, MET),
        ("Everolimus 31 days", 31, True, asked(truly=True)),
        ("Everolimus 32 days", 32, False, PERMANENT),
        ("Everolimus transplant", 20, False, asked(truly=True)),
        ("Everolimus ordered", 20, False, asked(truly=True)),
    ],
)
def test_everolimus(name: str, days_on: int, kept: bool, expected: object) -> None:  # noqa: FBT001 - a case of a table
    """Both ends count; an order beside a statement asks."""
    start = AS_OF - timedelta(days=2000)
    decisions = made(
        ago(name, 2000, "MedicationOrder"),
        ends={f"End of {name}": start + timedelta(days=days_on - 1)},
        added={"everolimusOrderKept": kept},
    )

    assert expected == status("everolimus-limit", decisions)


@pytest.mark.parametrize(
    ("chosen", "criterion", "expected"),
    [
        ({"site": "rectum"}, "midgut-net", PERMANENT),
        ({"site": "duodenum"}, "midgut-net", asked(truly=False)),
        (
            {"site": "unknown_primary", "midgut_origin": "yes"},
            "midgut-net",
            asked(truly=True),
        ),
        ({"site": "not_recorded"}, "midgut-net", asked(truly=True)),
        ({"site": "not_recorded", "metastases": "none"}, "midgut-net", unknown(truly=True)),
        ({"diagnosis": "provisional"}, "midgut-net", asked(truly=True)),
        ({"diagnosis": "provisional"}, "histology", asked(truly=True)),
        ({"histology": "never_taken"}, "histology", asked(truly=False)),
        ({"metastases": "none"}, "metastatic", unknown(truly=False)),
        ({"metastases": "stage_iv"}, "metastatic", MET),
        ({"grade": "g3"}, "grade", PERMANENT),
        ({"grade": "carcinoma"}, "grade", PERMANENT),
        ({"grade": "ki67_low"}, "grade", asked(truly=True)),
        ({"grade": "unrecorded", "grade_in_truth": "high"}, "grade", unknown(truly=False)),
        ({"uptake": "equal_to_liver"}, "sstr-positive", NEW_DATA),
        (
            {"uptake": "not_reported", "uptake_in_truth": "positive"},
            "sstr-positive",
            asked(truly=True),
        ),
        ({"questionnaires": "unwilling"}, "quality-of-life", asked(truly=False)),
        ({"questionnaires": "unable"}, "quality-of-life", asked(truly=True)),
        ({"consent": "recorded"}, "consent", MET),
    ],
)
def test_what_was_chosen(chosen: dict[str, str], criterion: str, expected: object) -> None:
    """Criteria that follow from a choice alone."""
    assert expected == status(criterion, made(**chosen))


@pytest.mark.parametrize(
    ("name", "days", "kind", "criterion", "expected"),
    [
        ("Surgery day 42", 42, "Procedure", "recent-surgery", TIME),
        ("Surgery day 43", 43, "Procedure", "recent-surgery", MET),
        ("PET 1096 days", 1096, "Procedure", "sstr-pet", MET),
        ("PET 1097 days", 1097, "Procedure", "sstr-pet", NEW_DATA),
        ("PET FDG procedure", 30, "Procedure", "sstr-pet", unknown(truly=False)),
        ("Streptozocin", 2000, "MedicationOrder", "no-alkylator", PERMANENT),
        ("Actinium", 2000, "MedicationOrder", "no-alpha-therapy", asked(truly=False)),
        ("NYHA 3", 100, "Observation", "heart-failure", NEW_DATA),
    ],
)
def test_what_happened(name: str, days: int, kind: str, criterion: str, expected: object) -> None:
    """Criteria that follow from an event and its day."""
    without = ("PET",) if criterion == "sstr-pet" else ()

    assert expected == status(criterion, made(ago(name, days, kind), without=without))


@pytest.mark.parametrize(
    ("name", "value", "days", "expected"),
    [
        ("Hemoglobin low", "7.9", 90, NEW_DATA),
        ("Hemoglobin low", "7.9", 91, asked(truly=False)),
        ("Hemoglobin limit", "8.0", 9, asked(truly=True)),
        ("Platelets low", "50", 9, asked(truly=True)),
        ("Platelets very low", "49", 9, NEW_DATA),
        ("Bilirubin raised", "3.6", 9, asked(truly=True)),
        ("Bilirubin very high", "3.7", 9, NEW_DATA),
        ("ALT very high", "200", 9, asked(truly=True)),
        ("ALT very high", "201", 9, NEW_DATA),
    ],
)
def test_toxicity_by_results(name: str, value: str, days: int, expected: object) -> None:
    """Grade 3 begins beyond the limit, and counts for 90 days."""
    analyte = name.partition(" ")[0]
    decisions = made(ago(name, days, value=Decimal(value)), without=(f"{analyte} normal",))

    assert expected == status("toxicity", decisions)


def test_a_result_from_before_the_last_cycle_is_no_toxicity_of_it() -> None:
    """Two cycles, the last 60 days ago."""
    low = ago("Hemoglobin low", 61, value=Decimal("7.0"))
    decisions = made(low, *prrt(116, 60), without=("PRRT", "Hemoglobin normal"))

    assert asked(truly=False) == status("toxicity", decisions)


def test_toxicity_that_was_noted() -> None:
    """A CTCAE grade decides; a severe event, and what nobody wrote down, only asks."""
    assert NEW_DATA == status("toxicity", made(toxicity="ctcae_3"))
    assert asked(truly=True) == status("toxicity", made(toxicity="ctcae_2"))
    assert asked(truly=False) == status("toxicity", made(toxicity="unrecorded"))
    for told, truly in (("ongoing", False), ("over", True)):
        decisions = made(toxicity="severe_event", toxicity_in_truth=told)
        assert asked(truly=truly) == status("toxicity", decisions)


@pytest.mark.parametrize(
    ("events", "expected"),
    [
        ((), asked(truly=True)),
        ((("Dexamethasone day 27", 27),), TIME),
        ((("Dexamethasone day 28", 28),), asked(truly=True)),
        ((("Prednisone", 10),), TIME),
        ((("Dexamethasone continuing", 120), ("Prednisone", 10)), NEW_DATA),
    ],
)
def test_brain_metastases(events: tuple[tuple[str, int], ...], expected: object) -> None:
    """Steroids count for 27 days; one that goes on outweighs them."""
    given = [ago(name, days, "MedicationOrder") for name, days in events]
    found = ago("Brain metastases", 2000, "ConditionOnset")

    assert expected == status("brain-metastases", made(found, *given, brain_in_truth="stable"))
    assert MET == status("brain-metastases", made(*given))


@pytest.mark.parametrize(
    ("chosen", "events", "expected"),
    [
        (
            {"woman": "childbearing", "contraception": "agreed"},
            (),
            ("needs_confirmation", "unknown", "unknown", "met"),
        ),
        (
            {"woman": "childbearing", "pregnancy_test": "negative"},
            (("Pregnancy test day 28", 28, "Negative (qualifier value)", "Observation"),),
            ("needs_confirmation", "met", "met", "met"),
        ),
        (
            {"woman": "childbearing", "pregnancy_test": "positive"},
            (("Pregnancy test positive", 10, "Positive (qualifier value)", "Observation"),),
            ("needs_confirmation", "needs_confirmation", "needs_confirmation", "met"),
        ),
        (
            {"woman": "hysterectomy"},
            (("Hysterectomy", 2700, None, "Procedure"),),
            ("met", "not_applicable", "not_applicable", "met"),
        ),
        (
            {"woman": "tubal_ligation"},
            (("Tubal ligation", 2700, None, "Procedure"),),
            ("met", "unknown", "unknown", "met"),
        ),
        (
            {"woman": "postmenopausal_coded"},
            (("Postmenopausal", 2700, None, "ConditionOnset"),),
            ("not_applicable", "not_applicable", "not_applicable", "met"),
        ),
        (
            {"woman": "childbearing", "pregnancy": "condition"},
            (("Pregnancy", 90, None, "ConditionOnset"),),
            ("needs_confirmation", "unknown", "not_met", "met"),
        ),
        (
            {"recorded_sex": "other"},
            (),
            ("needs_confirmation",) * 4,
        ),
    ],
)
def test_women(
    chosen: dict[str, str],
    events: tuple[tuple[str, int, str | None, str], ...],
    expected: tuple[str, ...],
) -> None:
    """Contraception, test, pregnancy, breastfeeding."""
    happened = [ago(name, days, kind, value) for name, days, value, kind in events]
    statuses = truth_of(made(*happened, sex="F", **chosen))["statuses"]

    names = ("contraception", "pregnancy-test", "pregnancy", "breastfeeding")
    assert expected == tuple(statuses[name] for name in names)


def test_months_and_years() -> None:
    """The last day of a shorter month; 29 February counts from 1 March."""
    assert date(2025, 2, 28) == months_before(date(2025, 3, 31), 1)
    assert date(2023, 1, 1) == months_before(AS_OF, 36)
    assert 17 == completed_years(date(2008, 2, 29), date(2026, 2, 28))
    assert 18 == completed_years(date(2008, 2, 29), date(2026, 3, 1))


OF_THE_GENERATOR = sorted(
    [
        VALIDATION / "cohort.py",
        VALIDATION / "decisions.py",
        VALIDATION / "enrich.py",
        VALIDATION / "needs.py",
        *(VALIDATION / "enriching").glob("*.py"),
        *(VALIDATION / "truth").glob("*.py"),
    ]
)


@pytest.mark.parametrize("path", OF_THE_GENERATOR, ids=lambda path: path.stem)
def test_the_generator_shares_nothing_with_the_service(path: Path) -> None:
    """Neither its code nor its tables."""
    imported = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            imported |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            imported.add(node.module or "")
    ours = {name for name in imported if name.startswith(("cds_service", "validation", "tests"))}

    generator = (
        "validation.decisions",
        "validation.enrich",
        "validation.needs",
        "validation.truth",
    )
    assert not {name for name in ours if not name.startswith(generator)}
    assert "mappings" not in path.read_text(encoding="utf-8")
