"""Charts that break the rules of FHIR: nothing raises, and nothing unread is taken for absent."""

from __future__ import annotations

import copy
import json
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from cds_service.fhir.bundle import read_chart_file
from cds_service.fhir.chart import CHART_TYPES, Chart, Entry
from cds_service.record.reads import COMPLETE
from cds_service.report import Report, report_json
from tests.charts import (
    DEXAMETHASONE,
    EVEROLIMUS,
    LOINC,
    ME,
    RADIUM,
    STRANGE,
    SUNITINIB,
    TEMOZOLOMIDE,
    TODAY,
    bundle,
    chart,
    coded,
    condition,
    days_ago,
    dispense,
    everything,
    issues,
    lab,
    observation,
    order,
    patient,
    procedure,
    quantity,
    report,
    resource,
    result,
    screen,
    screener,
    statement,
    verdict,
    words,
)
from tests.charts import given as administered

DEEP: Any = 1
for _ in range(300):
    DEEP = {"a": DEEP}

# --- Whose resource ----------------------------------------------------------------------------

NOT_MET = "not_met permanent"
CLEAR = "met by absence"


def exposed(subject: Any, person_url: str = "https://ehr.test/fhir/Patient/anna") -> Report:
    """A chart with temozolomide under some subject."""
    drug = statement(TEMOZOLOMIDE, "2020-01-01", "2020-03-01", id_="tmz", subject=subject)
    content = chart(drug)
    content["entry"][0]["fullUrl"] = person_url
    return screen(content)


@pytest.mark.parametrize(
    "reference",
    [
        "Patient/anna", "Patient/anna/_history/2", "https://ehr.test/fhir/Patient/anna",
        "https://ehr.test/fhir/Patient/anna/_history/7",
    ],
)  # fmt: skip
def test_a_reference_to_the_patient_is_the_patient_s(reference: str) -> None:
    """Relative, absolute on the server of the chart, with a version."""
    assert NOT_MET == verdict(exposed({"reference": reference}), "no-alkylator")


@pytest.mark.parametrize(
    "subject",
    [
        {"reference": "Patient/Anna"}, {"reference": "Patient/anna2"}, {"reference": "anna"},
        {"reference": "Group/anna"}, {"reference": "Device/anna"}, {"reference": "#anna"},
        {"reference": "https://other.test/fhir/Patient/anna"}, {"reference": ""},
        {"reference": "urn:uuid:anna"}, {"display": "Anna"}, {"identifier": {"value": "anna"}},
        {}, None,
    ],
)  # fmt: skip
def test_any_other_subject_is_left_out_and_reported(subject: Any) -> None:
    """An id with another case, another server, a group, a name without a reference."""
    found = exposed(subject)

    assert CLEAR == verdict(found, "no-alkylator")
    assert issues(found) & {
        ("other-patient", "MedicationStatement/tmz"),
        ("no-subject", "MedicationStatement/tmz"),
    }


@pytest.mark.parametrize("subject", [5, [], "Patient/anna", {"reference": 5}])
def test_a_subject_that_cannot_be_read_may_be_the_patient(subject: Any) -> None:
    """So the drug is neither taken nor not taken; other drugs are not in doubt."""
    found = exposed(subject)

    assert "unknown" == verdict(found, "no-alkylator")
    assert CLEAR == verdict(found, "no-alpha-therapy")


def test_a_urn_of_the_bundle_resolves_to_its_patient() -> None:
    """As a transaction writes it."""
    urn = "urn:uuid:0b5f3a9e-8d65-4f0c-9f1f-8a4c6d7f2f10"

    assert NOT_MET == verdict(exposed({"reference": urn}, urn), "no-alkylator")


def test_a_url_of_the_bundle_that_names_someone_else_is_not_believed() -> None:
    """An entry cannot claim another patient's resources."""
    found = exposed({"reference": "Patient/ben"}, "Patient/ben")

    assert CLEAR == verdict(found, "no-alkylator")


def test_entries_of_two_servers_do_not_tell_whose_patient_it_is() -> None:
    """Each may have one of this id, and the Patient itself came without a URL."""
    content = chart()
    for entry in content["entry"]:
        entry.pop("fullUrl", None)
    for base, drug in (("https://a.test/fhir", TEMOZOLOMIDE), ("https://b.test/fhir", RADIUM)):
        subject = {"reference": f"{base}/Patient/anna"}
        one = statement(drug, "2020-01-01", "2020-03-01", id_=f"{base[8]}", subject=subject)
        url = f"{base}/MedicationStatement/{base[8]}"
        content["entry"].append({"fullUrl": url, "resource": one})
    alone = {**content, "entry": content["entry"][:-1]}

    both = screen(content)

    assert NOT_MET == verdict(screen(alone), "no-alkylator")
    assert CLEAR == verdict(both, "no-alkylator")
    assert {
        ("other-patient", "MedicationStatement/a"), ("other-patient", "MedicationStatement/b"),
    } <= issues(both)  # fmt: skip


def test_an_entry_s_url_is_not_asked_where_the_patient_has_one() -> None:
    """The Patient's own URL tells the server of the chart."""
    base = "https://other.test/fhir"
    drug = statement(
        TEMOZOLOMIDE, "2020-01-01", id_="tmz", subject={"reference": f"{base}/Patient/anna"}
    )
    content = chart(drug)
    content["entry"][0]["fullUrl"] = "https://ehr.test/fhir/Patient/anna"
    content["entry"][1]["fullUrl"] = f"{base}/MedicationStatement/tmz"

    assert CLEAR == verdict(screen(content), "no-alkylator")


# --- The patient -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "broken",
    [
        {"link": {"type": "replaced-by"}}, {"link": [5]}, {"active": "false"},
        {"deceasedBoolean": "true"}, {"modifierExtension": {}}, STRANGE, {"implicitRules": "x"},
        {"birthDate": 1962}, {"birthDate": "long ago"}, {"birthDate": ""}, {"gender": 1},
    ],
)  # fmt: skip
def test_a_patient_who_cannot_be_read_has_no_age_or_no_sex(broken: dict[str, Any]) -> None:
    """Whatever else is met, something stays open."""
    found = screen(chart(person=broken))

    assert "unknown" in {verdict(found, "age"), verdict(found, "creatinine-clearance")}


@pytest.mark.parametrize("birth", ["9999-12-31", "0001-01-01", "2026-11-24", "9982"])
def test_a_birth_date_beyond_sense_does_not_make_an_adult(birth: str) -> None:
    """Dates that a system writes when it has none."""
    assert "met" != verdict(screen(chart(person={"birthDate": birth})), "age")


def test_two_patients_of_one_id_that_disagree_have_no_age() -> None:
    """Nothing says which of the two is current."""
    content = chart()
    content["entry"].append({"resource": patient(birthDate="2020-01-01")})

    found = screen(content)

    assert "unknown" == verdict(found, "age")
    assert ("conflicting-versions", "Patient/anna") in issues(found)


# --- One resource more than once ---------------------------------------------------------------


def meta(version: str | None = None, updated: str | None = None) -> dict[str, Any]:
    """The version of a resource."""
    return {"meta": {"versionId": version, "lastUpdated": updated}}


@pytest.mark.parametrize(
    ("older", "newer"),
    [
        (meta("2"), meta("10")),
        (meta(updated="2026-11-20T23:30:00-05:00"), meta(updated="2026-11-21T05:00:00Z")),
        (meta("9", "2026-11-01T00:00:00Z"), meta("1", "2026-11-02T00:00:00Z")),
    ],
    ids=["version", "instant", "instant-before-version"],
)
@pytest.mark.parametrize("swapped", [True, False])
def test_the_newest_version_decides(
    older: dict[str, Any], newer: dict[str, Any], *, swapped: bool
) -> None:
    """By instant, whatever its zone, else by number; the order in the Bundle does not matter."""
    good = lab("hemoglobin", 120, "g/L", id_="h") | older
    low = lab("hemoglobin", 60, "g/L", id_="h") | newer
    content = chart(without="hb")
    content["entry"] += [{"resource": one} for one in ((low, good) if swapped else (good, low))]

    assert "not_met new_data" == verdict(screen(content), "hemoglobin")


def test_versions_with_no_order_are_both_used() -> None:
    """Never the one that suits."""
    content = chart(without="hb")
    content["entry"] += [
        {"resource": lab("hemoglobin", value, "g/L", id_="h")} for value in (120, 60)
    ]

    found = screen(content)

    assert "needs_confirmation" == verdict(found, "hemoglobin")
    assert ("conflicting-versions", "Observation/h") in issues(found)


def test_two_servers_may_use_one_id() -> None:
    """Then they are two resources, and the one that is not ours does not push ours out."""
    ours = statement(TEMOZOLOMIDE, "2020-01-01", id_="x")
    theirs = statement(SUNITINIB, "2020-01-01", id_="x", subject={"reference": "Patient/ben"})
    content = chart(ours)
    newer = {"resource": theirs | meta("9"), "fullUrl": "https://b.test/MedicationStatement/x"}
    content["entry"].append(newer)

    assert NOT_MET == verdict(screen(content), "no-alkylator")


def test_the_order_of_entries_does_not_matter() -> None:
    """The same chart backwards is the same chart."""
    content = chart(order(TEMOZOLOMIDE), lab("hemoglobin", 70, "g/L"))
    backwards = content | {"entry": content["entry"][::-1]}

    assert verdicts(screen(content)) == verdicts(screen(backwards))


def verdicts(found: Report) -> dict[str, tuple[str, str | None, str | None]]:
    """Status, basis and change of every criterion."""
    return {one.id: (one.status, one.basis, one.change) for one in found.criteria}


# --- What cannot be read is not absent ---------------------------------------------------------


@pytest.mark.parametrize(
    "junk", [5, "x", None, [], {}, {"id": "x"}, {"resourceType": 5}, {"resourceType": "?"}]
)
def test_a_resource_of_no_type_may_be_about_anything(junk: Any) -> None:
    """No criterion is met by absence beside it; what evidence shows stays."""
    content = chart()
    content["entry"].append({"resource": junk})

    found = screen(content)

    assert "absence" not in {one.basis for one in found.criteria}
    assert "met" == verdict(found, "hemoglobin")
    assert "unknown" == verdict(found, "no-alkylator")


@pytest.mark.parametrize("kind", ["MedicationOrder", "MedicationUsage"])
def test_a_drug_of_another_fhir_version_is_not_overlooked(kind: str) -> None:
    """It cannot be read, so no drug is known not to have been taken."""
    found = screen(chart(resource(kind, "x", medicationCodeableConcept=TEMOZOLOMIDE)))

    assert "unknown" == verdict(found, "no-alkylator")


@pytest.mark.parametrize("kind", ["Encounter", "FamilyMemberHistory", "GenomicStudy"])
def test_a_type_that_is_not_read_disturbs_nothing(kind: str) -> None:
    """A chart holds much that no criterion asks for."""
    assert verdicts(screen(chart())) == verdicts(screen(chart(resource(kind, "x", code=5))))


def test_a_read_that_was_cut_takes_back_absence() -> None:
    """A Bundle with a next page of MedicationRequests knows of no alkylator to exclude."""
    links = [
        {"relation": "self", "url": "MedicationRequest?patient=anna"},
        {"relation": "next", "url": "x"},
    ]

    found = screen(chart(link=links))

    assert "unknown" == verdict(found, "no-alkylator")
    assert "met" == verdict(found, "hemoglobin")


def test_a_chart_without_its_patient_gives_nothing_to_hold_on_to() -> None:
    """No age, no sex; and nothing raises."""
    entries = tuple(
        Entry(one.raw) for one in read_chart_file(json.dumps(chart()).encode(), None).entries[1:]
    )
    reads = dict.fromkeys(CHART_TYPES, COMPLETE)

    found = screener().screen_chart(Chart("anna", entries, reads), TODAY)

    assert "unknown" == verdict(found, "age")


# --- Any junk anywhere -------------------------------------------------------------------------

FINDINGS: dict[str, tuple[dict[str, Any], ...]] = {
    "no-alkylator": (
        statement(TEMOZOLOMIDE, "2020-01-01", "2020-03-01", id_="s"),
        administered(TEMOZOLOMIDE, "2020-01-01", id_="a"),
        order(TEMOZOLOMIDE, id_="o"),
        dispense(TEMOZOLOMIDE, id_="d"),
        statement(words("temozolomide 100 mg"), "2020-01-01", id_="t"),
        statement(
            None,
            "2020-01-01",
            id_="c",
            medicationReference={"reference": "#m"},
            contained=[{"resourceType": "Medication", "id": "m", "code": TEMOZOLOMIDE}],
        ),
    ),
    "no-alpha-therapy": (administered(RADIUM, "2020-01-01", id_="ra"),),
    "everolimus-limit": (statement(EVEROLIMUS, "2020-01-01", "2020-06-01", id_="e"),),
    "no-intervening-therapy": (statement(SUNITINIB, "2023-01-01", "2023-04-01", id_="su"),),
    "brain-metastases": (condition("C79.31", id_="brain"),),
    "heart-failure": (
        condition("I50.9", id_="hf"),
        observation("nyha", id_="ny", valueCodeableConcept=coded("LA28406-8", LOINC)),
    ),
    "other-malignancy": (condition("C50.911", id_="breast"),),
    "oral-intake": (condition("R13.10", id_="dys"),),
    "recent-surgery": (procedure("387713003", days_ago(20), id_="op"),),
    "hemoglobin": (lab("hemoglobin", 60, "g/L", id_="hb"),),
    "bilirubin": (lab("bilirubin", 9, "mg/dL", id_="bili", uln={"high": quantity(1, "mg/dL")}),),
    "ecog": (observation("ecog", id_="ecog", valueInteger=3),),
}
CASES = [(name, one) for name, found in FINDINGS.items() for one in found]
# Other codes, other people and other days are no junk: the resource then says something else.
SAYS_OTHERWISE = {"system", "code", "reference", "resourceType", "id", "text", "display"}
JUNK = st.sampled_from(
    [
        5, -0.0, 1e300, True, [5], [None], [[[]]], [{}, 5], {"value": "9.1"}, "", "x" * 2000,
        {"coding": 5}, {"coding": [5]}, {"coding": [{"code": 5}]}, {"reference": 5}, {"a": [DEEP]},
        {"start": 5}, {"text": []}, "2026-13-45",
    ]
)  # fmt: skip


def places(node: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Every path in a resource."""
    inner = (
        node.items()
        if isinstance(node, dict)
        else enumerate(node)
        if isinstance(node, list)
        else ()
    )
    return [path, *(one for key, value in inner for one in places(value, (*path, key)))]


def with_junk(node: dict[str, Any], path: tuple[Any, ...], junk: Any) -> Any:
    """A resource with junk at one place."""
    if not path:
        return junk
    changed = copy.deepcopy(node)
    at: Any = changed
    for key in path[:-1]:
        at = at[key]
    at[path[-1]] = junk
    return changed


def charted(*added: Any, without: str = "") -> dict[str, Any]:
    """The base chart with some entries, and without one of its own."""
    content = bundle(patient(), *(one for one in everything() if one["id"] != without))
    content["entry"] += [{"resource": one} for one in added]
    return content


def _is_legal(path: tuple[Any, ...], junk: Any) -> bool:
    """Whether the resource then only says something else, or is nobody's."""
    if path[-1:] == ("subject",):
        return isinstance(junk, dict) and junk != {"reference": 5}
    return bool(path) and path[-1] in SAYS_OTHERWISE and isinstance(junk, str)


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.data())
def test_junk_never_makes_a_criterion_met(data: st.DataObject) -> None:
    """One broken element of the resource that a criterion fails by never makes it pass."""
    name, good = data.draw(st.sampled_from(CASES))
    path = data.draw(st.sampled_from(places(good)))
    junk = data.draw(JUNK)
    assume(not _is_legal(path, junk))

    before = screen(charted(good, without=good["id"]))
    after = screen(charted(with_junk(good, path, junk), without=good["id"]))

    assert "met" != result(before, name).status
    assert "met" != result(after, name).status
    assert "absence" != result(after, name).basis


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.data())
def test_no_chart_raises(data: st.DataObject) -> None:
    """Junk in several places of the whole chart, the Patient and the frame included."""
    content = charted(
        statement(DEXAMETHASONE, "2026-11-01", "9999-12-31", id_="dex"),
        report(words("PET Ga-68 DOTATATE"), "2026-05-04", id_="rep", conclusion="positive"),
        *(one for _, one in CASES),
    )
    entries: Any = content["entry"]
    for _ in range(data.draw(st.integers(1, 4))):
        path = data.draw(st.sampled_from(places(entries)))
        junk = data.draw(JUNK | st.sampled_from([None, {}, [], "9999-12-31", "0001-01-01", ME]))
        if path:
            entries = with_junk(entries, path, junk)
    # Another patient, so that the file can be read when the first one is spoilt.
    entries.append({"resource": {"resourceType": "Patient", "id": "zoe"}})
    data_ = json.dumps(content | {"entry": entries}).encode()
    read = read_chart_file(data_, "zoe")

    found = screener().screen_chart(msgspec.structs.replace(read, patient_id="anna"), TODAY)

    assert "Patient/anna" == found.subject
    assert report_json(found)
