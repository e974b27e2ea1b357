"""Diagnoses, procedures, imaging, reports, consents: what they say, and when they say nothing."""

from __future__ import annotations

from typing import Any

import pytest

from tests.charts import (
    DCM,
    HISTOLOGY,
    ICD10CM,
    ICD_O_3,
    SNOMED,
    STRANGE,
    WOMAN,
    chart,
    coded,
    condition,
    days_ago,
    issues,
    pet,
    procedure,
    report,
    resource,
    result,
    screen,
    verdict,
    words,
)

MET, CLEAR, ASK, UNKNOWN = "met", "met by absence", "needs_confirmation", "unknown"
BRAIN = "C79.31"

# --- Diagnoses ---------------------------------------------------------------------------------


def brain(**elements: Any) -> str:
    """What is said of brain metastases under some elements."""
    return verdict(screen(chart(condition(BRAIN, id_="b") | elements)), "brain-metastases")


def status(*codes: str) -> dict[str, Any]:
    """A status with some codes."""
    return {"verificationStatus": {"coding": [{"code": code} for code in codes]}}


@pytest.mark.parametrize(
    ("elements", "expected"),
    [
        (status("confirmed"), ASK),
        (status("provisional"), ASK),
        (status("differential"), ASK),
        (status("unconfirmed"), ASK),
        (status("x"), ASK),
        (status("refuted"), CLEAR),
        (status("entered-in-error"), CLEAR),
        (status("local-9", "refuted"), CLEAR),
        ({"verificationStatus": "refuted"}, ASK),
        ({"verificationStatus": words("refuted")}, ASK),
        ({"verificationStatus": {}}, ASK),
        (STRANGE, UNKNOWN),
        ({"modifierExtension": {}}, UNKNOWN),
        ({"implicitRules": "x"}, UNKNOWN),
        ({"subject": 5}, UNKNOWN),
        ({"code": None}, UNKNOWN),
        ({"code": {}}, UNKNOWN),
        ({"code": {"coding": [{"system": ICD10CM}]}}, UNKNOWN),
        ({"code": BRAIN}, UNKNOWN),
        ({"code": {"coding": {"code": BRAIN}}}, UNKNOWN),
        ({"code": {"coding": [None]}}, UNKNOWN),
    ],
)
def test_a_diagnosis_is_there_refuted_or_in_doubt(elements: dict[str, Any], expected: str) -> None:
    """Never absent because it could not be read."""
    assert expected == brain(**elements)


@pytest.mark.parametrize(
    ("codes", "expected"),
    [
        (["confirmed"], MET),
        (["confirmed", "local-1"], MET),
        (["local-1", "confirmed"], MET),
        (["confirmed", "provisional"], ASK),
        (["local-1"], ASK),
    ],
)
def test_a_site_s_own_code_beside_a_status_changes_nothing(codes: list[str], expected: str) -> None:
    """Two statuses that disagree confirm nothing."""
    tumor = condition("C7A.011", id_="net") | status(*codes)

    assert expected == verdict(screen(chart(tumor)), "midgut-net")


@pytest.mark.parametrize("verification", ["confirmed", {"text": "sure"}, 5])
def test_a_status_that_is_not_understood_confirms_nothing(verification: Any) -> None:
    """As other FHIR versions write it, for one."""
    tumor = condition("C7A.011", id_="net") | {"verificationStatus": verification}

    assert ASK == verdict(screen(chart(tumor)), "midgut-net")


def test_no_status_counts_as_confirmed() -> None:
    """Most problem lists have none."""
    tumor = condition("C7A.011", id_="net", verification=None)

    assert MET == verdict(screen(chart(tumor)), "midgut-net")


@pytest.mark.parametrize(
    ("elements", "expected"),
    [
        ({}, ASK),
        ({"clinicalStatus": None}, ASK),
        ({"clinicalStatus": 5}, ASK),
        ({"clinicalStatus": words("x")}, ASK),
        ({"clinicalStatus": None, "abatementString": "last year"}, CLEAR),
        ({"clinicalStatus": None, "abatementDateTime": "2020"}, CLEAR),
        ({"clinicalStatus": None, "abatementDateTime": None}, ASK),
        ({"clinicalStatus": None, "abatementDateTime": days_ago(1)}, CLEAR),
        ({"clinicalStatus": None, "abatementDateTime": days_ago(0)}, CLEAR),
        ({"clinicalStatus": None, "abatementDateTime": days_ago(-1)}, ASK),
        ({"clinicalStatus": None, "abatementDateTime": "9999-12-31"}, ASK),
        ({"clinicalStatus": None, "abatementDateTime": "2026"}, UNKNOWN),
        ({"clinicalStatus": None, "abatementDateTime": "2027"}, ASK),
        ({"clinicalStatus": None, "abatementDateTime": "over"}, UNKNOWN),
        ({"clinicalStatus": None, "abatementDateTime": 5}, UNKNOWN),
        ({"clinicalStatus": None, "abatementPeriod": {"start": "2020", "end": "2021"}}, CLEAR),
        ({"clinicalStatus": None, "abatementPeriod": {"start": "2020", "end": "2030"}}, UNKNOWN),
        ({"clinicalStatus": None, "abatementPeriod": {"start": "2021", "end": "2020"}}, UNKNOWN),
        ({"clinicalStatus": None, "abatementPeriod": {"start": "2027", "end": "x"}}, UNKNOWN),
        ({"clinicalStatus": None, "abatementPeriod": {"start": "2028"}}, ASK),
        ({"clinicalStatus": None, "abatementPeriod": {"start": "2020"}}, CLEAR),
        ({"clinicalStatus": None, "abatementPeriod": {"end": "2021"}}, CLEAR),
        ({"clinicalStatus": None, "abatementPeriod": {}}, CLEAR),
        ({"clinicalStatus": None, "abatementPeriod": 5}, UNKNOWN),
        ({"clinicalStatus": None, "abatementAge": {"value": 60, "unit": "years"}}, CLEAR),
        ({"clinicalStatus": None, "abatementAge": {"value": 90, "unit": "years"}}, ASK),
        ({"clinicalStatus": None, "abatementAge": {"value": 90, "unit": "months"}}, CLEAR),
        ({"clinicalStatus": None, "abatementAge": {}}, CLEAR),
        ({"clinicalStatus": None, "abatementRange": {}}, CLEAR),
        ({"clinicalStatus": words("active"), "abatementString": "over"}, CLEAR),
        ({"abatementDateTime": "2020"}, ASK),
        ({"clinicalStatus": {"coding": [{"code": "resolved"}]}}, CLEAR),
        ({"clinicalStatus": {"coding": [{"code": "recurrence"}]}, "abatementAge": {}}, ASK),
    ],
)
def test_what_has_abated_is_not_active(elements: dict[str, Any], expected: str) -> None:
    """Whatever tells when it did."""
    found = screen(chart(condition("R13.10") | elements))

    assert expected == verdict(found, "oral-intake")


def test_a_date_that_tells_when_it_abated_and_cannot_be_read_is_reported() -> None:
    """Beside one of the onset."""
    one = condition("R13.10", id_="x", clinical=None, onset="once", abatementDateTime="over")

    assert ("unreadable-date", "Condition/x") in issues(screen(chart(one)))


@pytest.mark.parametrize("onset", [{"onsetDateTime": "once"}, {"onsetDateTime": 5}])
def test_an_onset_that_cannot_be_read_is_reported(onset: dict[str, Any]) -> None:
    """Text for a date, or something else."""
    one = condition(BRAIN, id_="x") | onset

    assert ("unreadable-date", "Condition/x") in issues(screen(chart(one)))


def test_a_disease_that_may_have_abated_is_still_the_patient_s() -> None:
    """Only what asks whether it is active is in doubt."""
    tumor = condition("C7A.011", id_="net", clinical=None, abatementDateTime="2026")

    found = screen(chart(tumor))

    assert MET == verdict(found, "midgut-net")
    assert 1 == len(result(found, "midgut-net").evidence)


@pytest.mark.parametrize(
    ("onset", "is_counted"),
    [
        ({"onsetDateTime": days_ago(-1)}, False),
        ({"onsetDateTime": "2026"}, True),
        ({"onsetDateTime": "soon"}, True),
        ({"onsetDateTime": 5}, True),
        ({"onsetPeriod": {"start": "2020"}}, True),
        ({"onsetPeriod": {"end": "2020"}}, True),
        ({"onsetAge": {"value": 58, "unit": "years"}}, True),
        ({"onsetAge": {"value": 99, "code": "a"}}, False),
        ({"onsetAge": {"value": 99, "unit": "months"}}, True),
        ({"onsetAge": {"value": 1e30, "code": "a"}}, True),
        ({"onsetAge": {"value": "58"}}, True),
        ({"onsetString": "as a child"}, True),
        ({"onsetRange": {}}, True),
        ({"recordedDate": 5}, True),
    ],
)
def test_a_diagnosis_counts_unless_it_is_of_a_later_day(
    onset: dict[str, Any], *, is_counted: bool
) -> None:
    """Whatever its onset is told by; an onset that says nothing hides no disease."""
    assert (ASK if is_counted else CLEAR) == brain(**({"onsetDateTime": None} | onset))


@pytest.mark.parametrize(
    ("stage", "expected"),
    [
        ([{"summary": words("Stage IV")}], MET),
        ([{"summary": words("stage IVA")}], MET),
        ([{"summary": words("Stage IV")} | STRANGE], UNKNOWN),
        ([{"summary": words("Stage III")}], UNKNOWN),
        ([{"summary": words("probably stage IV")}], UNKNOWN),
        ([{"summary": 5}], UNKNOWN),
        ([5], UNKNOWN),
        ("Stage IV", UNKNOWN),
        ([{}], UNKNOWN),
    ],
)
def test_a_stage_counts_where_it_is_understood(stage: Any, expected: str) -> None:
    """A modifier on the stage leaves the diagnosis itself as it is."""
    tumor = condition("C7A.011", id_="net", stage=stage)

    found = screen(chart(tumor, without="liver"))

    assert expected == verdict(found, "metastatic")
    assert MET == verdict(found, "midgut-net")


@pytest.mark.parametrize(
    "extension",
    [
        5,
        [5],
        [{"url": 5}],
        [{"url": HISTOLOGY}],
        [{"url": HISTOLOGY, "valueCodeableConcept": 5}],
        [{"url": "x", "valueCodeableConcept": coded("8249/3", ICD_O_3)}],
    ],
)
def test_a_histology_that_cannot_be_read_proves_none(extension: Any) -> None:
    """Nor does one in an extension that means something else."""
    tumor = condition("C7A.011", id_="net") | {"extension": extension}

    assert ASK == verdict(screen(chart(tumor)), "histology")


# --- Procedures --------------------------------------------------------------------------------

SURGERY = "387713003"


@pytest.mark.parametrize(
    ("elements", "expected"),
    [
        ({}, ASK),
        ({"status": "not-done"}, CLEAR),
        ({"status": "unknown"}, CLEAR),
        ({"status": None}, UNKNOWN),
        ({"status": "done"}, UNKNOWN),
        ({"status": 5}, UNKNOWN),
        ({"notDone": True}, UNKNOWN),
        (STRANGE, UNKNOWN),
        ({"subject": []}, UNKNOWN),
        ({"code": 5}, UNKNOWN),
        ({"code": None}, UNKNOWN),
        ({"code": {}}, UNKNOWN),
        ({"code": None, "category": coded(SURGERY, SNOMED)}, ASK),
        ({"code": 5, "category": coded(SURGERY, SNOMED)}, ASK),
        ({"usedCode": 5}, ASK),
    ],
)
def test_an_operation_is_done_not_done_or_in_doubt(elements: dict[str, Any], expected: str) -> None:
    """A status of no FHIR version, or a code that cannot be read, is no "not done"."""
    found = screen(chart(procedure(SURGERY, days_ago(20), id_="op") | elements))

    assert expected == verdict(found, "recent-surgery")


# --- Imaging -----------------------------------------------------------------------------------


def study(**elements: Any) -> dict[str, Any]:
    """An ImagingStudy that says PET by modality, and its tracer in words."""
    held = {
        "status": "available",
        "started": "2026-05-04",
        "modality": [{"system": DCM, "code": "PT"}],
        "description": "PET/CT Ga-68 DOTATATE",
    }
    return resource("ImagingStudy", "s", **(held | elements))


@pytest.mark.parametrize(
    ("scan", "expected"),
    [
        (study(), MET),
        (study(status="unknown"), MET),
        (study(status="cancelled"), UNKNOWN),
        (study(status="registered"), UNKNOWN),
        (study(status=None), UNKNOWN),
        (study(status="AVAILABLE"), UNKNOWN),
        (study(started="soon"), UNKNOWN),
        (study(started=5), UNKNOWN),
        (study(started=None), UNKNOWN),
        (study(subject=5), UNKNOWN),
        (study(series=[{"description": "x"} | STRANGE]), UNKNOWN),
        (study(series=5), MET),
        (study(description=5), ASK),
        (study(**STRANGE), UNKNOWN),
        (pet("2026-05-04", status="in-progress"), UNKNOWN),
        (pet("2026-05-04", status=""), UNKNOWN),
        (pet(None), UNKNOWN),
        (pet(None, performedPeriod={"start": "2026-05-04"}), MET),
        (report(words("PET Ga-68 DOTATATE"), "2026-05-04"), MET),
        (report(words("PET Ga-68 DOTATATE"), "2026-05-04", status="preliminary"), UNKNOWN),
        (report(words("PET Ga-68 DOTATATE"), "2026-05-04", status=None), UNKNOWN),
        (report(words("PET Ga-68 DOTATATE"), None, issued="2026-05-04T10:00:00Z"), MET),
        (report(words("PET Ga-68 DOTATATE"), None, issued=5), UNKNOWN),
        (report(words("PET Ga-68 DOTATATE"), None, effectivePeriod={"end": "2026-05-04"}), UNKNOWN),
        (report(words("PET Ga-68 DOTATATE"), None, effectivePeriod={"start": "2026-05-04"}), MET),
    ],
)
def test_a_scan_counts_where_it_was_surely_done(scan: dict[str, Any], expected: str) -> None:
    """In time, and with the tracer."""
    assert expected == verdict(screen(chart(scan, without="pet")), "sstr-pet")


@pytest.mark.parametrize(
    "elements", [{"conclusion": 5}, {"conclusionCode": 5}, {"status": None}, STRANGE]
)
def test_a_pathology_report_that_is_in_doubt_proves_no_histology(elements: dict[str, Any]) -> None:
    """It may be read by a person."""
    told = {"conclusion": "Well differentiated neuroendocrine tumour."} | elements
    tumor = condition("C7A.011", id_="net")
    path = report(coded("11526-1", "http://loinc.org", text="Pathology"), "2020-02-01") | told

    assert "met" != result(screen(chart(tumor, path)), "histology").status


@pytest.mark.parametrize("text", [None, "Operation"])
def test_an_operation_without_a_date_is_called_by_its_name(text: str | None) -> None:
    """Its own, or that of its code in the tables."""
    op = procedure(coded(SURGERY, SNOMED, text=text), None, id_="op")

    (issue,) = screen(chart(op)).data_issues

    name = text or f"Surgical procedure ({SURGERY})"
    assert ("no-date", f"{name}: no date is recorded") == (issue.code, issue.message)


# --- Adverse events ----------------------------------------------------------------------------


def event(**elements: Any) -> dict[str, Any]:
    """A severe adverse event."""
    held = {"actuality": "actual", "event": words("Neutropenia"), "date": "2026-10-01"}
    severe = {"severity": {"coding": [{"code": "severe"}]}}
    return resource("AdverseEvent", "ae", **(held | severe | elements))


@pytest.mark.parametrize("elements", [STRANGE, {"implicitRules": "x"}, {"subject": 5}])
def test_an_adverse_event_that_is_not_understood_is_listed_as_unusable(
    elements: dict[str, Any],
) -> None:
    """And reported; one that is understood is a fact."""
    fine, odd = screen(chart(event())), screen(chart(event(**elements)))
    unusable = "Neutropenia (unusable: it has a modifier or a subject that is not understood)"

    assert "Neutropenia (2026-10-01)" in result(fine, "toxicity").summary
    assert f"{unusable} (2026-10-01)" in result(odd, "toxicity").summary
    assert "modifier" not in {code for code, _ in issues(fine)}
    assert ("modifier", "AdverseEvent/ae") in issues(odd)


# --- Consent -----------------------------------------------------------------------------------


def consent(**elements: Any) -> str:
    """What is said of a consent to the trial."""
    held = {"status": "active", "category": [words("NET RETREAT")], "dateTime": "2026-11-01"}
    return verdict(screen(chart(resource("Consent", "c", **(held | elements)))), "consent")


@pytest.mark.parametrize(
    ("elements", "code"),
    [
        (STRANGE, "modifier"),
        ({"provision": 5}, "modifier"),
        ({"dateTime": "some day"}, "unreadable-date"),
        ({"dateTime": 5}, "unreadable-date"),
        ({"dateTime": days_ago(-1)}, "future-date"),
    ],
)
def test_what_is_wrong_with_a_consent_is_reported(elements: dict[str, Any], code: str) -> None:
    """As with any other resource."""
    held = {"status": "active", "category": [words("NET RETREAT")], "dateTime": "2026-11-01"}
    found = screen(chart(resource("Consent", "c", **(held | elements))))

    assert (code, "Consent/c") in issues(found)


@pytest.mark.parametrize(
    ("elements", "expected"),
    [
        ({}, MET),
        ({"category": [words("x")], "identifier": [{"value": "NCT05773274"}]}, MET),
        ({"category": None, "text": {"div": "<div>NET RETREAT</div>"}}, MET),
        ({"category": [words("research")]}, ASK),
        ({"status": "draft"}, ASK),
        ({"status": "rejected"}, ASK),
        ({"status": None}, ASK),
        ({"status": 5}, ASK),
        ({"category": 5}, ASK),
        ({"patient": {"reference": "Patient/ben"}}, ASK),
        ({"dateTime": days_ago(-1)}, ASK),
        ({"provision": {"type": "permit"}}, MET),
        ({"provision": {"type": "deny"}}, ASK),
        ({"provision": 5}, UNKNOWN),
        ({"patient": 5}, UNKNOWN),
        (STRANGE, UNKNOWN),
    ],
)
def test_a_consent_is_given_where_it_is_active_and_names_the_trial(
    elements: dict[str, Any], expected: str
) -> None:
    """A refusal that is on record is no consent."""
    assert expected == consent(**elements)


# --- Death, pregnancy --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("person", "is_relevant"),
    [
        ({"deceasedBoolean": True}, False),
        ({"deceasedDateTime": days_ago(1)}, False),
        ({"deceasedDateTime": "2026"}, False),
        ({"deceasedDateTime": 5}, False),
        ({"deceasedDateTime": days_ago(-1)}, True),
        ({"deceasedBoolean": False}, True),
        ({"active": False}, False),
        ({"active": None}, True),
        ({"link": [{"type": "replaced-by", "other": {"reference": "Patient/x"}}]}, False),
        ({"link": [{"type": "replaced-by"}]}, False),
        ({"link": [{"type": "replaces", "other": {"reference": "Patient/x"}}]}, True),
        ({"link": [{"type": "seealso"}]}, True),
    ],
)
def test_only_the_living_and_current_record_is_screened(
    person: dict[str, Any], *, is_relevant: bool
) -> None:
    """A later death is not yet one."""
    found = screen(chart(person=person))

    assert is_relevant == (found.overall != "not_relevant")


def test_the_record_that_survives_a_merge_is_named() -> None:
    """So that a person can open it."""
    link = [{"type": "replaced-by", "other": {"reference": "Patient/survivor"}}]

    found = screen(chart(person={"link": link}))

    assert ("merged-patient", "Patient/anna") in issues(found)
    assert "Patient/survivor" in found.data_issues[0].message


def test_lactation_that_cannot_be_read_is_not_absent() -> None:
    """A woman's record with a broken Condition."""
    found = screen(chart(condition("Z39.1", id_="l") | {"code": 5}, person=WOMAN))

    assert UNKNOWN == verdict(found, "breastfeeding")
