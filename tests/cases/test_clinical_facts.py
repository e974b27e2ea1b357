"""Diagnoses, drugs, events, dates, persons and codes that could flip a judgement.

Each chart is the full one with one change. What is expected is the status that the eligibility
rules prescribe, exactly.
"""

from __future__ import annotations

import time
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from tests import charts
from tests.cases.inside import in_process, report_of, status_in
from tests.cases.others import command
from tests.cases.sent import (
    CELLS,
    DAY,
    Json,
    ago,
    chart,
    differing,
    judge,
    lab,
    observation,
    prefetch,
)
from tests.charts import (
    ATC,
    HISTOLOGY_G2,
    ICD10CM,
    LOINC,
    RXNORM,
    SNOMED,
    TEMOZOLOMIDE,
    WOMAN,
    coded,
    words,
)

if TYPE_CHECKING:
    from tests.cases.conftest import Running

SURGERY = "54357003"
NEGATIVE = {"valueCodeableConcept": words("Negative")}


def net(code: Json | str = "C7A.011", **more: Any) -> list[Json]:
    """The full chart with this diagnosis of a neuroendocrine tumour, and no other."""
    found = charts.condition(code, id_="net", onset=ago(2400), **more)
    return chart(found, without="liver")


def with_condition(code: Json | str, **more: Any) -> list[Json]:
    """The full chart with another Condition."""
    return chart(charts.condition(code, onset=ago(400), **more))


def with_drug(drug: Json, **more: Any) -> list[Json]:
    """The full chart with another drug that was given."""
    return chart(charts.given(drug, ago(900), **more))


# --- Diagnoses ----------------------------------------------------------------------------------


@pytest.mark.case("CLN-03")
def test_how_sure_a_diagnosis_is(service: Running) -> None:
    """Refuted is none; doubtful is for a person; where nothing is said it counts as confirmed."""
    rows = {
        status: (expected, net(verification=status, **HISTOLOGY_G2))
        for status, expected in {
            "refuted": "unknown", "entered-in-error": "unknown",
            "differential": "needs_confirmation", "provisional": "needs_confirmation",
            "unconfirmed": "needs_confirmation", "confirmed": "met",
        }.items()
    }  # fmt: skip
    rows["missing"] = ("met", net(verification=None, **HISTOLOGY_G2))

    assert {} == differing(service, "midgut-net", rows)


@pytest.mark.case("CLN-04")
def test_whether_a_condition_is_active(service: Running) -> None:
    """Brain metastases count whenever they were; dysphagia counts while it is active.

    No clinical status counts as active, unless the condition has ended.
    """
    ever = {
        f"{status}": ("needs_confirmation", with_condition("C79.31", clinical=status))
        for status in ("active", "resolved", "remission", "inactive", None)
    }
    now = {
        f"{status}": (expected, with_condition("R13.10", clinical=status))
        for status, expected in {
            "active": "needs_confirmation", "recurrence": "needs_confirmation",
            "resolved": "met by absence", "inactive": "met by absence",
            None: "needs_confirmation",
        }.items()
    }  # fmt: skip
    ended = charts.condition("R13.10", clinical=None, onset=ago(400), abatementDateTime=ago(300))
    now["ended"] = ("met by absence", chart(ended))

    assert {} == differing(service, "brain-metastases", ever)
    assert {} == differing(service, "oral-intake", now)


@pytest.mark.case("CLN-21")
def test_what_is_no_disease_of_the_patient(service: Running) -> None:
    """A family's history and a screening are none; a history of one's own is for a person.

    What was not done was not done; that surgery is prepared says nothing of surgery done.
    """
    malignancy = {
        "family history": ("met by absence", with_condition("Z80.3")),
        "screening": ("met by absence", with_condition("Z12.31")),
        "own history": ("needs_confirmation", with_condition("Z85.3")),
        "own": ("needs_confirmation", with_condition("C50.911")),
    }
    surgery = {
        status: (expected, chart(charts.procedure(SURGERY, ago(10), status=status)))
        for status, expected in {
            "completed": "not_met", "not-done": "met by absence",
            "entered-in-error": "met by absence", "preparation": "met by absence",
        }.items()
    }  # fmt: skip

    assert {} == differing(service, "other-malignancy", malignancy)
    assert {} == differing(service, "recent-surgery", surgery)
    assert "unknown" == judge(service, net("Z85.060")).status("midgut-net")


@pytest.mark.case("CLN-25")
def test_stages(service: Running) -> None:
    """Stage IV and M1 in code or exact words, of any edition; a T or an N says nothing."""
    rows = {
        word: (expected, chart(charts.condition("C7A.011", id_="net", onset=ago(2400),
                                                stage=[{"summary": words(word)}], **HISTOLOGY_G2),
                               without="liver"))
        for word, expected in {"IV": "met", "Stage IVB": "met", "M1": "met", "T4": "unknown",
                               "III": "unknown", "ZZPHI": "unknown"}.items()
    }  # fmt: skip

    assert {} == differing(service, "metastatic", rows)


# --- Drugs --------------------------------------------------------------------------------------


@pytest.mark.case("CLN-18")
def test_what_is_no_exposure(service: Running) -> None:
    """Drafts, plans, what was not given and what must not be given; as controls, what counts."""
    rows: dict[str, tuple[str, list[Json]]] = {}
    for status in ("draft", "cancelled", "entered-in-error"):
        rows[f"order {status}"] = (
            "met by absence", chart(charts.order(TEMOZOLOMIDE, ago(300), status=status)),
        )  # fmt: skip
    for intent in ("proposal", "plan", "option"):
        rows[intent] = (
            "met by absence", chart(charts.order(TEMOZOLOMIDE, ago(300), intent=intent)),
        )  # fmt: skip
    rows |= {
        "must not": (
            "met by absence", chart(charts.order(TEMOZOLOMIDE, ago(300), doNotPerform=True)),
        ),
        "not done": ("met by absence", with_drug(TEMOZOLOMIDE, status="not-done")),
        "not taken": (
            "met by absence",
            chart(charts.statement(TEMOZOLOMIDE, ago(300), status="not-taken")),
        ),
        "ordered": ("needs_confirmation", chart(charts.order(TEMOZOLOMIDE, ago(300)))),
        "dispensed": ("needs_confirmation", chart(charts.dispense(TEMOZOLOMIDE, ago(300)))),
        "given": ("not_met", with_drug(TEMOZOLOMIDE)),
        "taken": ("not_met", chart(charts.statement(TEMOZOLOMIDE, ago(300), ago(290)))),
    }  # fmt: skip

    assert {} == differing(service, "no-alkylator", rows)


@pytest.mark.case("CLN-19")
def test_drugs_by_name_only(service: Running) -> None:
    """A name is a possible exposure; a code is one, whatever the product."""
    rows = {
        "generic name": ("needs_confirmation", with_drug(words("temozolomide 100 mg"))),
        "brand name": ("needs_confirmation", with_drug(words("Temodar caps ZZPHI"))),
        "name in a display": ("needs_confirmation", with_drug({"coding": [
            {"system": "urn:oid:1.2.3", "code": "ZZ1", "display": "TEMODAL 20 mg"}]})),
        "code of a product": ("not_met", with_drug(coded("317160", RXNORM))),
        "class code": ("not_met", with_drug(coded("L01AX03", ATC))),
        "part of a word": ("met by absence", with_drug(words("xtemozolomidex"))),
        "combination": ("needs_confirmation", with_drug(words("capecitabine / temozolomide"))),
        "retired code": ("needs_confirmation", with_drug({"coding": [
            {"system": RXNORM, "code": "99999999", "display": "temozolomide 5 MG [Temodar]"}]})),
    }  # fmt: skip

    assert {} == differing(service, "no-alkylator", rows)


@pytest.mark.case("CLN-19")
def test_drugs_that_nobody_knows(service: Running) -> None:
    """They are listed on the card, to be looked at."""
    local = {"coding": [{"system": "urn:oid:1.2.3", "code": "ZZ9", "display": "Mixture ZZQX"}]}
    retired = {"coding": [{"system": RXNORM, "code": "99999999", "display": "Retired ZZQZ"}]}
    orders = (local, words("Tonic ZZQY"), retired)

    judged = judge(service, chart(*(charts.order(one, ago(90)) for one in orders)))

    listed = judged.report["unmappedDrugs"]
    assert {"Mixture ZZQX", "Tonic ZZQY", "Retired ZZQZ"} == set(listed)
    assert all(name in judged.detail for name in listed)


@pytest.mark.case("CLN-20")
def test_no_list_of_drugs_and_an_empty_one(service: Running) -> None:
    """Unread is not empty."""
    empty = judge(service, chart())
    found = {}
    for key in ("medicationAdministrations", "medicationStatements", "medicationRequests"):

        def unsent(sent: Json, key: str = key) -> None:
            del sent[key]

        judged = judge(service, chart(), change=unsent)
        found[key] = (judged.status("no-alkylator"), judged.status("no-alpha-therapy"))

    assert "met by absence" == empty.status("no-alkylator")
    assert {("unknown", "unknown")} == set(found.values())


# --- Dates --------------------------------------------------------------------------------------


def agreed(day: str, inside: date) -> str:
    """What the days of a partial date agree on: surgery from ``inside`` on is in the window."""
    year, _, month = day.partition("-")
    first = date(int(year), int(month or 1), 1)
    after = date(first.year + (not month or first.month == 12), first.month % 12 + 1 if month
                 else 1, 1)  # fmt: skip
    last = min(after - timedelta(days=1), DAY)
    found = {"not_met" if inside <= each else "met by absence" for each in (first, last)}
    return found.pop() if len(found) == 1 else "unknown"


@pytest.mark.case("CLN-15")
def test_vague_dates(service: Running) -> None:
    """A month or a year is every day in it: unknown where they do not agree."""
    earliest = DAY - timedelta(days=42)
    months = {ago(days)[:7] for days in (0, 20, 42, 43, 75)}
    years = {str(DAY.year), str(DAY.year - 1)}
    rows = {
        day: (agreed(day, earliest), chart(charts.procedure(SURGERY, day)))
        for day in months | years
    }
    rows["a week"] = ("unknown", chart(charts.procedure(SURGERY, f"{DAY.year}-W01-1")))
    assert {} == differing(service, "recent-surgery", rows)

    last_day = (DAY.month, DAY.day) == (12, 31)
    births = {
        f"{DAY.year - 17}": "not_met",
        f"{DAY.year - 18}": "met" if last_day else "unknown",
        f"{DAY.year - 19}": "met",
        "ZZPHI": "unknown",
    }
    month = (DAY + timedelta(days=1)).month != DAY.month
    births[f"{DAY.year - 18}-{DAY.month:02}"] = "met" if month else "unknown"
    people = {
        born: (str(expected), chart(person={"birthDate": born}))
        for born, expected in births.items()
    }

    assert {} == differing(service, "age", people)


@pytest.mark.case("CLN-16")
@pytest.mark.parametrize(
    ("zone", "now", "born", "expected"),
    [
        ("UTC", "2026-11-24T12:00:00+00:00", "2008-11-24", "met"),
        ("UTC", "2026-11-24T12:00:00+00:00", "2008-11-25", "not_met"),
        ("UTC", "2026-11-25T03:00:00+00:00", "2008-11-25", "met"),
        ("America/Vancouver", "2026-11-25T03:00:00+00:00", "2008-11-25", "not_met"),
        ("America/Vancouver", "2026-11-25T08:00:00+00:00", "2008-11-25", "met"),
        ("UTC", "2026-02-28T12:00:00+00:00", "2008-02-29", "not_met"),
        ("UTC", "2026-03-01T12:00:00+00:00", "2008-02-29", "met"),
    ],
)
async def test_eighteen_today(tmp_path: Any, zone: str, now: str, born: str, expected: str) -> None:
    """The day at the site decides, and 29 February counts from 1 March in common years."""
    clock = datetime.fromisoformat(now)

    async with in_process(tmp_path, lambda: clock, zone=zone) as client:
        report = await report_of(client, prefetch(chart(person={"birthDate": born})))

    (age,) = [one for one in report["criteria"] if one["id"] == "age"]
    assert expected == age["status"]
    if expected == "not_met":
        assert age["change"] == "time"
        assert age["eligibleFrom"] == {"2008-11-25": "2026-11-25", "2008-02-29": "2026-03-01"}[born]


@pytest.mark.case("CLN-17")
async def test_one_instant_in_two_zones(tmp_path: Any) -> None:
    """The same instant is on the same day of the site; without a zone it is the site's time."""
    found = {}
    async with in_process(tmp_path, zone="Etc/GMT+8") as client:
        for name, at in {
            "Z": "{0}T07:30:00Z", "-08:00": "{1}T23:30:00-08:00", "none": "{1}T23:30:00",
            "a day later": "{0}T08:30:00Z",
        }.items():  # fmt: skip
            on = at.format(ago(28), ago(29))
            resources = chart(lab("neutrophils", 2.9, CELLS, on=on), without="anc")
            report = await report_of(client, prefetch(resources))
            found[name] = status_in(report, "neutrophils")

    assert {"Z": "unknown", "-08:00": "unknown", "none": "unknown", "a day later": "met"} == found


# --- Persons ------------------------------------------------------------------------------------

BIRTH_SEX = "http://hl7.org/fhir/us/core/StructureDefinition/us-core-birthsex"
OF_WOMEN = ("contraception", "pregnancy-test", "pregnancy", "breastfeeding")


@pytest.mark.case("CLN-22")
@pytest.mark.parametrize("gender", ["other", "unknown", None, "ZZPHI"])
def test_a_sex_that_is_not_known(service: Running, gender: str | None) -> None:
    """Only ``male`` makes the criteria on childbearing not applicable; others ask a person."""
    judged = judge(service, chart(person={"gender": gender}))

    assert {"needs_confirmation"} == {judged.status(name) for name in OF_WOMEN}


@pytest.mark.case("CLN-22")
@pytest.mark.parametrize(
    ("gender", "born", "expected"),
    [("male", "F", "not_applicable"), ("female", "M", None)],
)
def test_a_sex_at_birth_that_differs(
    service: Running, gender: str, born: str, expected: str | None
) -> None:
    """The rules go by ``gender`` alone: the sex at birth changes nothing, in either direction."""
    birth = {"extension": [{"url": BIRTH_SEX, "valueCode": born}]}
    found = judge(service, chart(person={"gender": gender} | birth))
    alone = judge(service, chart(person={"gender": gender}))

    statuses = {name: found.status(name) for name in OF_WOMEN}
    assert {name: alone.status(name) for name in OF_WOMEN} == statuses
    if expected is not None:
        assert {expected} == set(statuses.values())
    else:
        assert "unknown" == statuses["pregnancy-test"]


@pytest.mark.case("CLN-22")
def test_no_age_ends_childbearing(service: Running) -> None:
    """A woman of 60 without a pregnancy test still needs one."""
    judged = judge(service, chart(person=WOMAN | {"birthDate": f"{DAY.year - 60}-01-01"}))

    assert "unknown" == judged.status("pregnancy-test")
    assert "needs_confirmation" == judged.status("contraception")


@pytest.mark.case("CLN-27")
def test_a_trial_that_is_closed(service: Running) -> None:
    """Switched off it makes no card, and the audit has why; switched on again it does.

    That the patient is in the trial already, or has declined, is not looked for in the record: a
    card that was overridden stays away for the days that the site configures.
    """
    url = f"sqlite:///{service.folder}/store.db"

    def switch(*how: str) -> None:
        command("switch", *how, "--database", url)
        time.sleep(1.2)  # all workers follow within a second

    switch("off", "trial:net-retreat", "--reason", "closed")
    try:
        closed = service.post(service.hook())
    finally:
        switch("on", "trial:net-retreat")
    reopened = judge(service, chart())

    assert [] == closed.cards
    assert "switched-off" == service.audited()[-2]["outcome"]
    assert reopened.report["trial"]["version"] in reopened.detail


# --- Codes --------------------------------------------------------------------------------------


@pytest.mark.case("CLN-24")
def test_codes_that_are_not_quite_right(service: Running) -> None:
    """System and code decide, and no display does."""
    display = "Neutrophils [#/volume] in Blood"

    def count(**coding: Any) -> list[Json]:
        return chart(lab({"coding": [coding]}, 2.9, CELLS), without="anc")

    rows = {
        "right": ("met", count(system=LOINC, code="751-8", display="ZZPHI")),
        "wrong system": ("unknown", count(system=SNOMED, code="751-8")),
        "no system": ("unknown", count(code="751-8")),
        "local": ("unknown", count(system="urn:oid:1.2.3", code="ANC", display=display)),
        "display only": ("unknown", count(display=display)),
        "stale display": ("unknown", count(system=LOINC, code="2160-0", display=display)),
    }
    drugs = {
        "right": ("not_met", with_drug({"coding": [
            {"system": RXNORM, "code": "37776", "display": "Aspirin"}]})),
        "lower case": ("met by absence", with_drug(coded("l01ax03", ATC))),
        "wrong system": ("met by absence", with_drug(coded("37776", SNOMED))),
    }  # fmt: skip
    sites = {
        "ICD-10-CM": ("met", net(coded("C7A.011", ICD10CM))),
        "lower case": ("unknown", net(coded("c7a.011", ICD10CM))),
        "another country's": ("unknown", net(coded("C7A.011", "urn:oid:1.2.3"))),
    }

    assert {} == differing(service, "neutrophils", rows)
    assert {} == differing(service, "no-alkylator", drugs)
    assert {} == differing(service, "midgut-net", sites)


# --- All of it ----------------------------------------------------------------------------------

_BEST_FIRST = ("all_met", "possible", "not_now", "excluded", "not_relevant")


@pytest.mark.case("CLN-28")
def test_with_any_one_resource_less(service: Running) -> None:
    """Nothing gets better by data that is missing: in this chart no absence is in favour."""
    drug = charts.statement(charts.OCTREOTIDE, ago(900), status="active", id_="ssa")
    whole = chart(drug, observation("ecog", 3, id_="ecog", valueInteger=2))
    before = judge(service, whole)
    better = set()
    for gone in whole[1:]:
        after = judge(service, [one for one in whole if one is not gone])
        worse = _BEST_FIRST.index(after.overall) >= _BEST_FIRST.index(before.overall)
        assert worse, gone["id"]
        was, now = before.statuses(), after.statuses()
        better |= {
            (gone["id"], name)
            for name, status in now.items()
            if status.startswith(("met", "not_app")) and not was[name].startswith(("met", "not_a"))
        }

    assert set() == better
