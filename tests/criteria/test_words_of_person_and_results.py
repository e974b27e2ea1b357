"""What is said of the person, of results and of other diseases, and on what facts."""

from __future__ import annotations

from typing import Any

import pytest

from tests.charts import (
    ATC,
    LOINC,
    RXNORM,
    SNOMED,
    STRANGE,
    Json,
    chart,
    coded,
    condition,
    lab,
    observation,
    order,
    procedure,
    quantity,
    report,
    resource,
    statement,
    upper,
    woman,
    words,
)
from tests.criteria.words import row, words_and_facts

CELLS, AT = "10*9/L", "2026-11-20"
BIKTARVY = coded("J05AR20", ATC, text="Biktarvy")
HIV = condition(coded("B20", text="HIV disease"), onset="2010-01-01")
ART = statement(BIKTARVY, "2015-01-01", status="active")


def load(value: Any, comparator: str | None = None) -> Json:
    """A viral load."""
    return lab("viral load", value, "{copies}/mL", AT, comparator=comparator)


HYST = procedure(coded("236886002", SNOMED, text="Hysterectomy"), "2015-01-01")
TUBES = procedure(coded("287664005", SNOMED, text="Tubal ligation"), "2015-01-01")


def hcg(word: str) -> Json:
    """A pregnancy test."""
    return observation("hcg", AT, valueCodeableConcept=words(word))


def menses(on: str) -> Json:
    """The last menses."""
    return observation("last menses", AT, valueDateTime=on)


MENO = condition(coded("161712005", SNOMED, text="Menopause"))
BRAIN = condition(coded("C79.31", text="Brain metastases"), onset="2024-03-04")
DEXA = coded("3264", RXNORM, text="Dexamethasone")
FAIL = condition(coded("I50.9", text="Heart failure"), onset="2024-03-04")


def nyha(word: str) -> Json:
    """A class of the New York Heart Association."""
    return observation("nyha", AT, valueCodeableConcept=words(word))


ROWS = [
    row("age", "age", "64 years", "", chart()),
    row(
        "too young",
        "age",
        "16 years; 18th birthday 2028-02-28",
        "",
        chart(person={"birthDate": "2010-02-28"}),
    ),
    row(
        "too young, born on a day of a year",
        "age",
        "16–17 years; 18th birthday 2027-01-01 to 2027-12-31",
        "",
        chart(person={"birthDate": "2009"}),
    ),
    row(
        "born in a year that may be long enough ago",
        "age",
        "Cannot be decided: the dates are too vague (date of birth 2008).",
        "",
        chart(person={"birthDate": "2008"}),
    ),
    row(
        "birth date unreadable",
        "age",
        "No birth date that can be used is recorded",
        "",
        chart(person={"birthDate": "around 1960"}),
    ),
    row(
        "ecog",
        "ecog",
        "ECOG 2 on 2026-09-07 (needs 2 or better)\nRecorded more than 28 days ago (2026-09-07).",
        "ecog",
        chart(observation("ecog", "2026-09-07", id_="ecog", valueInteger=2)),
    ),
    row(
        "ecog 3",
        "ecog",
        "ECOG 3 on 2026-11-20 (needs 2 or better)",
        "ecog",
        chart(observation("ecog", AT, id_="ecog", valueInteger=3)),
    ),
    row(
        "ecogs",
        "ecog",
        "Scores of 2026-11-20 disagree",
        "1 2",
        chart(observation("ecog", AT, valueInteger=3), observation("ecog", AT, valueInteger=2)),
    ),
    row(
        "ecog unusable",
        "ecog",
        "The latest score (9, 2026-11-20) cannot be used",
        "1",
        chart(observation("ecog", AT, valueInteger=9)),
    ),
    row(
        "ecog unreadable",
        "ecog",
        "The latest score (unreadable, 2026-11-20) cannot be used",
        "1",
        chart(observation("ecog", AT, valueQuantity=7)),
    ),
    row(
        "karnofsky",
        "ecog",
        "Karnofsky 60 on 2026-11-20, converted to ECOG 2 or better",
        "1",
        chart(lab("karnofsky", 60, "{score}", AT), without="ecog"),
    ),
    row(
        "karnofsky 40",
        "ecog",
        "Karnofsky 40 on 2026-11-20, converted to ECOG 3 or worse",
        "1",
        chart(lab("karnofsky", 40, "{score}", AT), without="ecog"),
    ),
    row(
        "karnofsky 50",
        "ecog",
        "Karnofsky 50 on 2026-11-20 lies between ECOG 2 and 3",
        "1",
        chart(lab("karnofsky", 50, "{score}", AT), without="ecog"),
    ),
    row(
        "hb",
        "hemoglobin",
        "91 g/L on 2026-11-20 (needs 80 g/L or more)",
        "hb",
        chart(lab("hemoglobin", 9.1, "g/dL", AT, id_="hb")),
    ),
    row(
        "hb low",
        "hemoglobin",
        "79 g/L on 2026-11-20 (needs 80 g/L or more)",
        "hb",
        chart(lab("hemoglobin", 7.9, "g/dL", AT, id_="hb")),
    ),
    row(
        "hb disagree",
        "hemoglobin",
        "Results of 2026-11-20 disagree: 79 g/L, 81 g/L",
        "1 2",
        chart(lab("hemoglobin", 7.9, "g/dL", AT), lab("hemoglobin", 8.1, "g/dL", AT)),
    ),
    row(
        "hb straddles",
        "hemoglobin",
        "<91 g/L on 2026-11-20 may be on either side of 80 g/L",
        "1",
        chart(lab("hemoglobin", 9.1, "g/dL", AT, comparator="<")),
    ),
    row(
        "hb unusable",
        "hemoglobin",
        "The latest result (9.1, 2026-11-20) cannot be used: the hemoglobin result has no unit",
        "1",
        chart(lab("hemoglobin", 9.1, None, AT)),
    ),
    row(
        "hb unreadable",
        "hemoglobin",
        "The latest result (unreadable, 2026-11-20) cannot be used: its value cannot be read",
        "1",
        chart(observation("hemoglobin", AT, valueQuantity=7)),
    ),
    row(
        "hb outdated",
        "hemoglobin",
        "91 g/L on 2026-09-07 is older than 28 days",
        "hb",
        chart(lab("hemoglobin", 9.1, "g/dL", "2026-09-07", id_="hb")),
    ),
    row(
        "hb older",
        "hemoglobin",
        (
            "118 g/L on 2026-11-10 (needs 80 g/L or more)\n"
            "A newer result has no value; the one of 2026-11-10 decides."
        ),
        "hb",
        chart(observation("hemoglobin", AT)),
    ),
    row(
        "derived",
        "neutrophils",
        (
            "2.4 ×10⁹/L on 2026-11-20 (needs 1 ×10⁹/L or more)\n"
            "Calculated from Leukocytes 4 ×10⁹/L, Neutrophils % 60 %."
        ),
        "1 2",
        chart(lab("leukocytes", 4, CELLS, AT), lab("neutrophils %", 60, "%", AT), without="anc"),
    ),
    row(
        "derived disagree",
        "neutrophils",
        "Results of 2026-11-20 disagree: 2.4 ×10⁹/L",
        "1 3 2",
        chart(
            lab("leukocytes", 4, CELLS, AT),
            lab("leukocytes", 1, CELLS, AT),
            lab("neutrophils %", 60, "%", AT),
            without="anc",
        ),
    ),
    row(
        "derived unusable",
        "neutrophils",
        (
            "The latest result (4 ×10⁹/L, 60 mg, 2026-11-20) cannot be used: the unit 'mg' "
            "is not known for percentage"
        ),
        "1 2",
        chart(lab("leukocytes", 4, CELLS, AT), lab("neutrophils %", 60, "mg", AT), without="anc"),
    ),
    row(
        "derived straddles",
        "neutrophils",
        (
            "<4 ×10⁹/L, 60 % on 2026-11-20 may be on either side of 1 ×10⁹/L\n"
            "Calculated from Leukocytes <4 ×10⁹/L, Neutrophils % 60 %."
        ),
        "1 2",
        chart(
            lab("leukocytes", 4, CELLS, AT, comparator="<"),
            lab("neutrophils %", 60, "%", AT),
            without="anc",
        ),
    ),
    row(
        "bili",
        "bilirubin",
        "10 µmol/L on 2026-11-10, 0.5 × ULN (needs less than 1.5 × ULN)",
        "bili",
        chart(),
    ),
    row(
        "bili no uln",
        "bilirubin",
        "10 µmol/L on 2026-11-20 cannot be judged: no upper limit of normal is known",
        "1",
        chart(lab("bilirubin", 0.6, "mg/dL", AT)),
    ),
    row(
        "gilbert open",
        "bilirubin",
        (
            "44 µmol/L on 2026-11-20, 2.2 × ULN, beyond 1.5 × ULN with Gilbert's: the "
            "protocol's multiple decides"
        ),
        "1 2",
        chart(lab("bilirubin", 2.6, "mg/dL", AT, uln=upper(1.2)), condition("E80.4")),
    ),
    row(
        "gilbert met",
        "bilirubin",
        "44 µmol/L on 2026-11-20, 2.2 × ULN; Gilbert's (needs 3 × ULN or less)",
        "1 2",
        chart(lab("bilirubin", 2.6, "mg/dL", AT, uln=upper(1.2)), condition("E80.4")),
        site={"gilbert_bilirubin_uln_multiple": 3},
    ),
    row(
        "gilbert not met",
        "bilirubin",
        "63 µmol/L on 2026-11-20, 3.1 × ULN; Gilbert's (needs 3 × ULN or less)",
        "1 2",
        chart(lab("bilirubin", 3.7, "mg/dL", AT, uln=upper(1.2)), condition("E80.4")),
        site={"gilbert_bilirubin_uln_multiple": 3},
    ),
    row(
        "cc",
        "creatinine-clearance",
        (
            "84 mL/min on 2026-11-10, Cockcroft-Gault from creatinine 1.0 mg/dL, weight "
            "80 kg, 64 years (needs more than 50 mL/min)"
        ),
        "crea weight",
        chart(),
    ),
    row(
        "cc low",
        "creatinine-clearance",
        (
            "40 mL/min on 2026-11-20, Cockcroft-Gault from creatinine 2.1 mg/dL, weight "
            "80 kg, 64 years (needs more than 50 mL/min)"
        ),
        "1 weight",
        chart(lab("creatinine", 2.1, "mg/dL", AT)),
    ),
    row(
        "cc ideal",
        "creatinine-clearance",
        (
            "53 mL/min on 2026-11-20, Cockcroft-Gault from creatinine 1.6 mg/dL, weight "
            "80 kg, 64 years (needs more than 50 mL/min)\n"
            "With the ideal weight (48 kg) the answer would be another one."
        ),
        "1 weight",
        chart(lab("creatinine", 1.6, "mg/dL", AT), lab("height", 150, "cm", "2020-01-01")),
    ),
    row(
        "cc recorded",
        "creatinine-clearance",
        "61 mL/min on 2026-11-20, as recorded (needs more than 50 mL/min)",
        "1",
        chart(lab("clearance 24 h", 61, "mL/min", AT)),
    ),
    row(
        "cc recorded disagree",
        "creatinine-clearance",
        "Results of 2026-11-20 disagree",
        "1 2",
        chart(lab("clearance 24 h", 61, "mL/min", AT), lab("clearance 24 h", 49, "mL/min", AT)),
    ),
    row(
        "cc recorded unusable",
        "creatinine-clearance",
        (
            "Creatinine clearance (24-hour urine) of 2026-11-20 cannot be used: the creatinine "
            "clearance result has no unit"
        ),
        "1",
        chart(lab("clearance 24 h", 61, None, AT)),
    ),
    row(
        "cc straddles",
        "creatinine-clearance",
        "<61 mL/min on 2026-11-20 may be on either side of 50 mL/min",
        "1",
        chart(lab("clearance 24 h", 61, "mL/min", AT, comparator="<")),
    ),
    row(
        "cc missing",
        "creatinine-clearance",
        (
            "Cannot be calculated: weight of the last 90 days, sex (male or female), birth "
            "date missing"
        ),
        "crea",
        chart(without="weight", person={"gender": None, "birthDate": None}),
    ),
    row(
        "cc missing one",
        "creatinine-clearance",
        "Cannot be calculated: weight of the last 90 days missing",
        "crea",
        chart(without="weight"),
    ),
    row(
        "cc outdated",
        "creatinine-clearance",
        "Creatinine 88 µmol/L on 2026-09-07 is older than 28 days",
        "crea",
        chart(lab("creatinine", 1.0, "mg/dL", "2026-09-07", id_="crea")),
    ),
    row(
        "cc unusable",
        "creatinine-clearance",
        (
            "Body weight of 2026-11-20 cannot be used: the unit m cannot be that of this "
            "body weight result"
        ),
        "crea 1",
        chart(lab("weight", 80, "m", AT)),
    ),
    row(
        "cc unreadable",
        "creatinine-clearance",
        "Creatinine (serum) of 2026-11-20 cannot be used: its value cannot be read",
        "1 weight",
        chart(observation("creatinine", AT, valueQuantity=7)),
    ),
    row(
        "cc both unusable",
        "creatinine-clearance",
        (
            "Creatinine (serum); Body weight of 2026-11-20 cannot be used: its value cannot be "
            "read; the unit m cannot be that of this body weight result"
        ),
        "1 2",
        chart(observation("creatinine", AT, valueQuantity=7), lab("weight", 80, "m", AT)),
    ),
    row(
        "cc an interval",
        "creatinine-clearance",
        (
            ">84 mL/min on 2026-11-20, Cockcroft-Gault from creatinine <1.0 mg/dL, weight "
            "80 kg, 64 years (needs more than 50 mL/min)"
        ),
        "1 weight",
        chart(lab("creatinine", 1.0, "mg/dL", AT, comparator="<")),
    ),
    row(
        "cc disagree",
        "creatinine-clearance",
        "Results of 2026-11-20 disagree",
        "1 2 weight",
        chart(lab("creatinine", 2.1, "mg/dL", AT), lab("creatinine", 1.0, "mg/dL", AT)),
    ),
    row(
        "qol",
        "quality-of-life",
        "Languages recorded: fr, Dutch",
        "",
        chart(
            person={
                "communication": [
                    {"language": {"coding": [{"code": "fr"}]}},
                    {"language": {"text": "Dutch"}},
                ]
            }
        ),
    ),
    row("qol none", "quality-of-life", "Languages recorded: none recorded", "", chart()),
    row(
        "ecog 28 days ago",
        "ecog",
        "ECOG 2 on 2026-10-26 (needs 2 or better)",
        "ecog",
        chart(observation("ecog", "2026-10-26", id_="ecog", valueInteger=2)),
    ),
    row(
        "ecog 29 days ago",
        "ecog",
        "ECOG 2 on 2026-10-25 (needs 2 or better)\nRecorded more than 28 days ago (2026-10-25).",
        "ecog",
        chart(observation("ecog", "2026-10-25", id_="ecog", valueInteger=2)),
    ),
    row(
        "karnofskys",
        "ecog",
        "Scores of 2026-11-20 disagree",
        "1 2",
        chart(
            lab("karnofsky", 40, "{score}", AT), lab("karnofsky", 60, "{score}", AT), without="ecog"
        ),
    ),
    row(
        "direct disagree with gilbert",
        "bilirubin",
        "Results of 2026-11-20 disagree: 44 µmol/L, 63 µmol/L",
        "1 2 3",
        chart(
            lab("bilirubin", 2.6, "mg/dL", AT, uln=upper(1.2)),
            lab("bilirubin", 3.7, "mg/dL", AT, uln=upper(1.2)),
            condition("E80.4"),
        ),
        site={"gilbert_bilirubin_uln_multiple": 3},
    ),
    row(
        "gilbert straddles",
        "bilirubin",
        ">44 µmol/L on 2026-11-20 may be on either side of 3 × ULN",
        "1 2",
        chart(
            lab("bilirubin", 2.6, "mg/dL", AT, uln=upper(1.2), comparator=">"), condition("E80.4")
        ),
        site={"gilbert_bilirubin_uln_multiple": 3},
    ),
    row(
        "hiv suppressed",
        "hiv",
        "Viral load 20 {copies}/mL on 2026-11-20, on Biktarvy",
        "1 3 2",
        chart(HIV, ART, load(20)),
    ),
    row(
        "hiv detectable",
        "hiv",
        "Viral load 5000 {copies}/mL on 2026-11-20",
        "1 3",
        chart(HIV, ART, load(5000)),
    ),
    row(
        "hiv disagree",
        "hiv",
        "Viral loads of 2026-11-20 disagree",
        "1 3 4",
        chart(HIV, ART, load(5000), load(20)),
    ),
    row(
        "hiv ordered",
        "hiv",
        "Therapy not shown as given: Biktarvy",
        "1 3 2",
        chart(HIV, order(BIKTARVY), load(20)),
    ),
    row(
        "hiv no therapy",
        "hiv",
        "Viral load 20 {copies}/mL on 2026-11-20; no antiretroviral therapy is recorded",
        "1 2",
        chart(HIV, load(20)),
    ),
    row(
        "hiv unclear",
        "hiv",
        "Viral load <201 {copies}/mL on 2026-11-20 cannot be judged",
        "1 2",
        chart(HIV, load(201, "<")),
    ),
    row(
        "hiv unconfirmed",
        "hiv",
        "Not confirmed: HIV disease (2010)",
        "1",
        chart(
            condition(coded("B20", text="HIV disease"), verification="provisional", onset="2010")
        ),
    ),
    row(
        "malignancy",
        "other-malignancy",
        "Prostate cancer (2015-03-04)",
        "1",
        chart(condition(coded("C61", text="Prostate cancer"), onset="2015-03-04")),
    ),
    row(
        "surgery recent",
        "recent-surgery",
        "Hepatectomy, Laparotomy on 2026-11-02, within 6 weeks",
        "1 2",
        chart(
            procedure(coded("54357003", SNOMED, text="Hepatectomy"), "2026-11-02"),
            procedure(coded("54357003", SNOMED, text="Laparotomy"), "2026-10-26"),
        ),
    ),
    row(
        "surgery review",
        "recent-surgery",
        "Operation on 2026-11-02: was it major surgery?",
        "1",
        chart(procedure(coded("387713003", SNOMED, text="Operation"), "2026-11-02")),
    ),
    row(
        "brain steroid",
        "brain-metastases",
        "On Dexamethasone",
        "1 2",
        chart(BRAIN, statement(DEXA, "2026-11-01", status="active")),
    ),
    row(
        "brain recent steroid",
        "brain-metastases",
        "Dexamethasone until 2026-11-09, less than 28 days ago",
        "1 2 3",
        chart(
            BRAIN,
            statement(DEXA, "2026-10-01", "2026-11-09"),
            statement(DEXA, "2026-10-01", "2026-11-02"),
        ),
    ),
    row(
        "brain judge none",
        "brain-metastases",
        (
            "Treatment: none recorded. Steroids: none recorded. Head imaging with contrast: "
            "none recorded"
        ),
        "1",
        chart(BRAIN),
    ),
    row(
        "brain judge",
        "brain-metastases",
        (
            "Treatment: Teletherapy (2024-05-06). Steroids: Dexamethasone (2024-10-01). Head "
            "imaging with contrast: MRI brain (2026-10-10)"
        ),
        "1 2 3 4",
        chart(
            BRAIN,
            procedure(coded("33195004", SNOMED, text="Teletherapy"), "2024-05-06"),
            statement(DEXA, "2024-10-01", "2024-11-09"),
            report(coded("24587-8", LOINC, text="MRI brain"), "2026-10-10"),
            report(coded("24587-8", LOINC, text="MRI brain old"), "2026-09-10"),
        ),
    ),
    row("nyha 3", "heart-failure", "NYHA class III (2026-11-20)", "2", chart(FAIL, nyha("III"))),
    row(
        "nyha 3 not confirmed",
        "heart-failure",
        "Not confirmed: NYHA class III",
        "1",
        chart(
            condition(
                coded("420913000", SNOMED, text="NYHA III"),
                verification="provisional",
                onset="2026-03-04",
            )
        ),
    ),
    row(
        "nyha 2",
        "heart-failure",
        "NYHA class II (2026-11-20): is heart failure controlled?",
        "1 2",
        chart(FAIL, nyha("II")),
    ),
    row(
        "nyha 2 alone",
        "heart-failure",
        "No heart failure is recorded (NYHA class II, 2026-11-20)",
        "1",
        chart(nyha("II")),
    ),
    row(
        "heart failure",
        "heart-failure",
        "Heart failure (2024-03-04), no NYHA class",
        "1",
        chart(FAIL),
    ),
    row(
        "valve",
        "heart-failure",
        "Carcinoid heart (2024-03-04)",
        "1",
        chart(condition(coded("E34.01", text="Carcinoid heart"), onset="2024-03-04")),
    ),
    row(
        "nyhas",
        "heart-failure",
        "NYHA classes of 2026-11-20 disagree",
        "1 2",
        chart(nyha("II"), nyha("III")),
    ),
    row(
        "nyha unreadable",
        "heart-failure",
        "The latest NYHA class (2026-11-20) cannot be read",
        "1",
        chart(nyha("so so")),
    ),
    row(
        "oral",
        "oral-intake",
        "Dysphagia (2024-03-04)",
        "1",
        chart(condition(coded("R13.10", text="Dysphagia"), onset="2024-03-04")),
    ),
    row("contraception surgery", "contraception", "Tubal ligation", "1", woman(TUBES)),
    row(
        "contraception surgeries",
        "contraception",
        "Hysterectomy, Tubal ligation",
        "2 1",
        woman(TUBES, HYST),
    ),
    row(
        "contraception menopause",
        "contraception",
        "No childbearing potential: Last menstrual period 2020-03-04",
        "1",
        woman(menses("2020-03-04")),
    ),
    row(
        "contraception unproven",
        "contraception",
        "Menopause, without the date of the last menses",
        "1",
        woman(MENO),
    ),
    row(
        "contraception unclear",
        "contraception",
        "The date of the last menses cannot be used",
        "1",
        woman(menses("2025")),
    ),
    row(
        "test ended",
        "pregnancy-test",
        "No childbearing potential: Hysterectomy",
        "1",
        woman(HYST),
    ),
    row(
        "test postmenopausal",
        "pregnancy-test",
        "No childbearing potential: Postmenopausal",
        "1",
        woman(condition(coded("Z78.0", text="Postmenopausal"))),
    ),
    row("test negative", "pregnancy-test", "Negative on 2026-11-20", "1", woman(hcg("negative"))),
    row(
        "test positive",
        "pregnancy-test",
        "Positive on 2026-11-20; an ultrasound may rule out pregnancy (tumours can make hCG)",
        "1",
        woman(hcg("positive")),
    ),
    row(
        "test disagree",
        "pregnancy-test",
        "Results of 2026-11-20 disagree",
        "1 2",
        woman(hcg("positive"), hcg("negative")),
    ),
    row(
        "test number",
        "pregnancy-test",
        "The result of 2026-11-20 cannot be used",
        "1",
        woman(lab("hcg", 3, "m[IU]/mL", AT)),
    ),
    row(
        "test number2",
        "pregnancy-test",
        "hCG 3 m[IU]/mL on 2026-11-20 is not stated as positive or negative",
        "1",
        woman(observation(coded("21198-7", LOINC), AT, valueQuantity=quantity(3, "m[IU]/mL"))),
    ),
    row(
        "test unusable",
        "pregnancy-test",
        "The result of 2026-11-20 cannot be used",
        "1",
        woman(hcg("so so")),
    ),
    row(
        "test unproven",
        "pregnancy-test",
        "Menopause, without the date of the last menses, and no test",
        "1",
        woman(MENO),
    ),
    row(
        "pregnant",
        "pregnancy",
        "Pregnant (2026-09-07)",
        "1",
        woman(condition(coded("Z33.1", text="Pregnant"), onset="2026-09-07")),
    ),
    row(
        "pregnant status",
        "pregnancy",
        "Pregnancy status (2026-11-20)",
        "1",
        woman(observation("pregnancy status", AT, valueCodeableConcept=coded("LA15173-0", LOINC))),
    ),
    row(
        "pregnant status no",
        "pregnancy",
        "Not ruled out: no pregnancy test of the last 28 days",
        "",
        woman(observation("pregnancy status", AT, valueCodeableConcept=coded("LA26683-5", LOINC))),
    ),
    row(
        "pregnant status disagree",
        "pregnancy",
        "Results of 2026-11-20 disagree",
        "1 2",
        woman(
            observation("pregnancy status", AT, valueCodeableConcept=coded("LA15173-0", LOINC)),
            observation("pregnancy status", AT, valueCodeableConcept=coded("LA26683-5", LOINC)),
        ),
    ),
    row(
        "pregnant status unusable",
        "pregnancy",
        "The result of 2026-11-20 cannot be used",
        "1",
        woman(
            observation(
                "pregnancy status", AT, valueCodeableConcept=coded("LA15173-0", LOINC), **STRANGE
            )
        ),
    ),
    row(
        "pregnant not confirmed",
        "pregnancy",
        "Not confirmed: Pregnant",
        "1",
        woman(
            condition(
                coded("Z33.1", text="Pregnant"), verification="provisional", onset="2026-09-07"
            )
        ),
    ),
    row(
        "lactation",
        "breastfeeding",
        "Lactating (2026-09-07): breastfeeding is to be discontinued",
        "1",
        woman(condition(coded("Z39.1", text="Lactating"), onset="2026-09-07")),
    ),
    row(
        "consent",
        "consent",
        "Active consent (2026-11-02)",
        "c",
        chart(
            resource(
                "Consent",
                "c",
                status="active",
                dateTime="2026-11-02",
                scope=words("research"),
                category=[words("NET RETREAT")],
            )
        ),
    ),
    row(
        "site setting",
        "everolimus-access",
        "Provided by the site",
        "",
        chart(),
        site={"everolimus_access": True},
    ),
    row(
        "site setting no",
        "everolimus-access",
        "Not provided by the site",
        "",
        chart(),
        site={"everolimus_access": False},
    ),
    row(
        "brain steroid until today",
        "brain-metastases",
        "Dexamethasone until 2026-11-23, less than 28 days ago",
        "1 2",
        chart(BRAIN, statement(DEXA, "2026-11-01", "2026-11-23")),
    ),
    row(
        "pregnant status of a man",
        "pregnancy",
        "Pregnancy status (2026-11-20)",
        "1",
        chart(observation("pregnancy status", AT, valueCodeableConcept=coded("LA15173-0", LOINC))),
    ),
]


@pytest.mark.parametrize(("criterion", "said", "facts", "content", "how"), ROWS)
def test_what_is_said_of_the_person_and_of_results(
    criterion: str, said: str, facts: str, content: Json, how: Json
) -> None:
    """The whole sentence, with the advisories, and every fact that it rests on."""
    assert (said, facts) == words_and_facts(content, criterion, **how)
