"""What is said of the tumour, its scan and its therapy, and on what facts."""

from __future__ import annotations

from typing import Any

import pytest

from tests.charts import (
    ATC,
    DCM,
    EVEROLIMUS,
    HISTOLOGY_G2,
    LOINC,
    LUTATHERA,
    RXNORM,
    SNOMED,
    STRANGE,
    Json,
    chart,
    coded,
    condition,
    cycle,
    given,
    lab,
    observation,
    order,
    pet,
    procedure,
    quantity,
    resource,
    response,
    statement,
    words,
)
from tests.criteria.words import row, words_and_facts

CELLS, AT = "10*9/L", "2026-11-20"
JEJUNAL = coded("C7A.011", text="Jejunal NET")
OWN_WORDS = coded("1999687", RXNORM, text="Lutathera")
AFINITOR = coded("845507", RXNORM, text="Afinitor")
SUTENT = coded("357977", RXNORM, text="Sutent")
TEMODAL = coded("37776", RXNORM, text="Temodal")
SANDOSTATIN = coded("H01CB02", ATC, text="Sandostatin")


def no_prrt(*added: Json) -> Json:
    """The base chart without its four cycles."""
    return chart(*added, without="prrt1 prrt2 prrt3 prrt4")


def suv(value: Any, method: str, unit: str = "{SUVbw}g/mL", **elements: Any) -> Json:
    """A standardised uptake value on the day of the scan."""
    held = {"valueQuantity": quantity(value, unit), "method": coded(method, SNOMED)} | elements
    return observation(coded("126401", DCM), "2026-05-04", **held)


def lesion(value: Any, unit: str = "{SUVbw}g/mL") -> Json:
    """The maximum of a lesion."""
    return suv(value, "56851009", unit, id_="lesion")


def liver(value: Any) -> Json:
    """The mean of the liver."""
    return suv(value, "373098007", id_="organ", bodySite=coded("10200004", SNOMED))


ROWS = [
    row("site", "midgut-net", "Jejunal NET", "net", chart(condition(JEJUNAL, id_="net"))),
    row(
        "two sites",
        "midgut-net",
        "Midgut neuroendocrine tumour (C7A.011), Ileal NET",
        "net 1",
        chart(condition(coded("C7A.012", text="Ileal NET"))),
    ),
    row(
        "site to review",
        "midgut-net",
        "Duodenal NET: is the origin midgut?",
        "net",
        chart(condition(coded("C7A.010", text="Duodenal NET"), id_="net")),
    ),
    row(
        "site not confirmed",
        "midgut-net",
        "Jejunal NET is not a confirmed diagnosis",
        "net",
        chart(condition(JEJUNAL, id_="net", verification="provisional")),
    ),
    row(
        "other site",
        "midgut-net",
        "Bronchial carcinoid: not of midgut origin",
        "net",
        chart(condition(coded("C7A.090", text="Bronchial carcinoid"), id_="net")),
    ),
    row(
        "metastasis",
        "metastatic",
        "Liver metastases (2020-02-03)",
        "liver",
        chart(condition(coded("C7B.02", text="Liver metastases"), id_="liver")),
    ),
    row(
        "metastasis not confirmed",
        "metastatic",
        "Not confirmed: Liver metastases (2026-03)",
        "liver",
        chart(
            condition(
                coded("C7B.02", text="Liver metastases"),
                id_="liver",
                verification="provisional",
                onset="2026-03",
            )
        ),
    ),
    row(
        "stage",
        "metastatic",
        "Tumour stage, Stage IV (2026-03-04)",
        "1",
        chart(
            observation(
                "stage",
                "2026-03-04",
                valueCodeableConcept=words("Stage IV"),
                code=coded("21908-9", LOINC, text="Stage"),
            ),
            without="liver",
        ),
    ),
    row(
        "histology",
        "histology",
        "Jejunal NET (2020-02-03)",
        "net",
        chart(condition(JEJUNAL, id_="net", **HISTOLOGY_G2)),
    ),
    row(
        "histology not confirmed",
        "histology",
        "Only on a diagnosis that is not confirmed: Jejunal NET (2020-02-03)",
        "net",
        chart(condition(JEJUNAL, id_="net", verification="provisional", **HISTOLOGY_G2)),
    ),
    row("grade", "grade", "Grade 2 (2020-02-10)", "grade", chart(condition("C7A.011", id_="net"))),
    row(
        "grade 3",
        "grade",
        "Grade 3 (2026-02-10)",
        "1",
        chart(observation("grade", "2026-02-10", valueCodeableConcept=words("G3"))),
    ),
    row(
        "grades disagree",
        "grade",
        "Records of one time disagree: Grade 2, Grade 3",
        "1 2",
        chart(
            observation("grade", "2026-02-10", valueCodeableConcept=words("G3")),
            observation("grade", "2026-02-10", valueCodeableConcept=words("G2")),
        ),
    ),
    row(
        "grade unreadable",
        "grade",
        "The latest grade cannot be read: middling (2026-02-10)",
        "1",
        chart(observation("grade", "2026-02-10", valueCodeableConcept=words("middling"))),
    ),
    row(
        "ki-67 low",
        "grade",
        "No grade; Ki-67 12 % (2026-02-10) supports grade 1 or 2",
        "1",
        chart(condition("C7A.011", id_="net"), lab("ki67", 12, "%", "2026-02-10"), without="grade"),
    ),
    row(
        "ki-67 high",
        "grade",
        "No grade; Ki-67 21 % (2026-02-10) suggests grade 3",
        "1",
        chart(condition("C7A.011", id_="net"), lab("ki67", 21, "%", "2026-02-10"), without="grade"),
    ),
    row(
        "ki-67 unreadable",
        "grade",
        "No grade; the latest Ki-67 cannot be read: 21 mg (2026-02-10)",
        "1",
        chart(
            condition("C7A.011", id_="net"), lab("ki67", 21, "mg", "2026-02-10"), without="grade"
        ),
    ),
    row(
        "grade not confirmed",
        "grade",
        "Grade 2, on a diagnosis that is not confirmed",
        "net",
        chart(
            condition("C7A.011", id_="net", verification="provisional", **HISTOLOGY_G2),
            without="grade",
        ),
    ),
    row("scan", "sstr-pet", "PET/CT Ga-68 DOTATATE, 2026-05-04", "pet", chart()),
    row(
        "scan old",
        "sstr-pet",
        "PET/CT Ga-68 DOTATATE, 2025-03-04\nOlder than the recommended 12 months.",
        "pet",
        chart(pet("2025-03-04", id_="pet")),
    ),
    row(
        "scan outdated",
        "sstr-pet",
        (
            "PET/CT Ga-68 DOTATATE of 2022-03-04 is older than 36 months\n"
            "A newer PET (2026-09-07) does not say its tracer."
        ),
        "pet",
        chart(pet("2022-03-04", id_="pet"), pet("2026-09-07", "", id_="pet2")),
    ),
    row(
        "scan newer",
        "sstr-pet",
        "PET/CT Ga-68 DOTATATE, 2026-05-04\nA newer PET (2026-10-04) does not say its tracer.",
        "pet",
        chart(pet("2026-10-04", "", id_="pet2")),
    ),
    row(
        "scan no tracer",
        "sstr-pet",
        "PET/CT of 2026-10-04: which tracer?",
        "pet",
        chart(pet("2026-10-04", "", id_="pet")),
    ),
    row(
        "cycles",
        "prrt-exposure",
        "4 cycles, 2021-01-11 to 2021-06-28",
        "prrt1 prrt2 prrt3 prrt4",
        chart(),
    ),
    row(
        "activity",
        "prrt-exposure",
        "22200 MBq in 2 cycles, 2021-01-11 to 2021-03-08 (target 22200 MBq)",
        "prrt1 prrt2",
        chart(
            cycle("2021-01-11", 11100, id_="prrt1"),
            cycle("2021-03-08", 11100, id_="prrt2"),
            without="prrt3 prrt4",
        ),
    ),
    row(
        "under way",
        "prrt-exposure",
        "PRRT cycles so far: 2, the last on 2026-10-05; the course may still be under way",
        "1 2",
        no_prrt(cycle("2026-09-07"), cycle("2026-10-05")),
    ),
    row(
        "too few",
        "prrt-exposure",
        "Too few PRRT cycles: 2, the last on 2021-03-08",
        "prrt1 prrt2",
        chart(without="prrt3 prrt4"),
    ),
    row(
        "too many",
        "prrt-exposure",
        "5 cycles within 52 weeks, 2021-01-11 to 2021-08-23",
        "prrt1 prrt2 prrt3 prrt4 1",
        chart(cycle("2021-08-23")),
    ),
    row(
        "count uncertain",
        "prrt-exposure",
        "4 or 5 cycles: some records are too close for two cycles and too far apart for one",
        "prrt1 prrt2 prrt3 prrt4 1",
        chart(cycle("2021-07-09")),
    ),
    row(
        "activity unusable",
        "prrt-exposure",
        "2 cycles with a recorded activity that cannot be used",
        "prrt1 prrt2",
        chart(cycle("2021-01-11", 11, "mg", id_="prrt1"), without="prrt3 prrt4"),
    ),
    row(
        "period",
        "prrt-exposure",
        "A record covers a period and does not say how many cycles: 177Lu-DOTATATE (2021-01-11)",
        "1",
        no_prrt(statement(LUTATHERA, "2021-01-11", "2021-06-28")),
    ),
    row(
        "beside",
        "prrt-exposure",
        (
            "PRRT cycles given: 2; further records do not show whether a cycle was given: "
            "Lutathera (2021-05-03)"
        ),
        "prrt1 prrt2 1",
        chart(order(OWN_WORDS, "2021-05-03"), without="prrt3 prrt4"),
    ),
    row("undated", "prrt-exposure", "PRRT cycles without a date: 1", "1", no_prrt(cycle(None))),
    row(
        "prrt ordered",
        "prrt-exposure",
        "Not shown as given: Lutathera (2021-05-03)",
        "1",
        no_prrt(order(OWN_WORDS, "2021-05-03")),
    ),
    row(
        "everolimus within",
        "everolimus-limit",
        "Days on everolimus: 20 (at most 31)",
        "1",
        chart(statement(EVEROLIMUS, "2020-03-01", "2020-03-20")),
    ),
    row(
        "everolimus beyond",
        "everolimus-limit",
        "51 days on everolimus, more than 31",
        "1",
        chart(statement(EVEROLIMUS, "2020-03-01", "2020-04-20")),
    ),
    row(
        "everolimus end",
        "everolimus-limit",
        "Everolimus from 2020-03-01: its end is not recorded",
        "1",
        chart(statement(EVEROLIMUS, "2020-03-01")),
    ),
    row(
        "everolimus beside",
        "everolimus-limit",
        "Days given: 20; not shown as given: Afinitor",
        "1 2",
        chart(statement(EVEROLIMUS, "2020-03-01", "2020-03-20"), order(AFINITOR)),
    ),
    row(
        "everolimus product",
        "everolimus-limit",
        "A product sold for transplant use: Zortress",
        "1",
        chart(statement(coded("977427", RXNORM, text="Zortress"), "2020-03-01", "2020-03-20")),
    ),
    row(
        "everolimus ordered",
        "everolimus-limit",
        "Not shown as given: Afinitor",
        "1",
        chart(order(AFINITOR)),
    ),
    row(
        "alkylator",
        "no-alkylator",
        "Temodal (2019-05-06)",
        "1",
        chart(given(TEMODAL, "2019-05-06")),
    ),
    row(
        "alkylators",
        "no-alkylator",
        "Temodal, Temozolomide (2019-05-06, 2019-06-03, no date)",
        "1 2 3",
        chart(
            given(TEMODAL, "2019-05-06"),
            given(TEMODAL, "2019-06-03"),
            given(coded("37776", RXNORM, text="Temozolomide"), None),
        ),
    ),
    row(
        "alkylator ordered",
        "no-alkylator",
        "Not shown as given: Temodal (2019-05-06)",
        "1",
        chart(order(TEMODAL, "2019-05-06")),
    ),
    row(
        "alkylator in words",
        "no-alkylator",
        "Named in words only: temozolomide capsules (2019-05-06)",
        "1",
        chart(given(words("temozolomide capsules"), "2019-05-06")),
    ),
    row(
        "alkylator local",
        "no-alkylator",
        "In a local form: Gliadel (2019-05-06)",
        "1",
        chart(given(coded("105586", RXNORM, text="Gliadel"), "2019-05-06")),
    ),
    row(
        "progression",
        "progression",
        "Progression on 2026-08-31, 12 months or more after the scan of 2021-09-27",
        "after better worse",
        chart(),
    ),
    row(
        "too soon",
        "progression",
        "Progression on 2022-08-31, less than 12 months after the scan of 2021-09-27",
        "after worse",
        chart(response("PD", "2022-08-31", id_="worse"), without="better"),
    ),
    row(
        "too soon after course",
        "progression",
        "Progression on 2022-03-31, less than 12 months after the last cycle (2021-06-28)",
        "worse",
        chart(response("PD", "2022-03-31", id_="worse"), without="better after"),
    ),
    row(
        "no reference",
        "progression",
        "Progression on 2026-08-31 with no assessment between it and the last cycle (2021-06-28)",
        "worse",
        chart(without="better after"),
    ),
    row(
        "not progressed",
        "progression",
        "No progression by 2023-02-06",
        "after better",
        chart(without="worse"),
    ),
    row(
        "better afterwards",
        "progression",
        "Progression on 2026-08-31, but a better assessment on 2026-10-05",
        "after better worse 1",
        chart(response("SD", "2026-10-05")),
    ),
    row(
        "same day",
        "progression",
        "Assessments of 2026-08-31 disagree about progression",
        "after better worse 1",
        chart(response("SD", "2026-08-31")),
    ),
    row(
        "unreadable",
        "progression",
        "The assessment of 2025-10-05 cannot be read",
        "after better 1 worse",
        chart(response("so so", "2025-10-05")),
    ),
    row(
        "response unusable",
        "progression",
        "An assessment cannot be used: RECIST response (2025-10-05)",
        "1",
        chart(response("SD", "2025-10-05", **STRANGE)),
    ),
    row(
        "general worse",
        "progression",
        "Worsening is recorded on 2026-10-05 without RECIST",
        "1",
        chart(
            observation("disease status", "2026-10-05", valueCodeableConcept=words("worsening")),
            without="after better worse",
        ),
    ),
    row(
        "not evaluable",
        "progression",
        (
            "Progression on 2026-08-31, 12 months or more after the scan of 2021-09-27\n"
            "Not evaluable and passed over: 2025-10-05, 2025-11-05."
        ),
        "after better worse",
        chart(response("NE", "2025-10-05"), response("NE", "2025-11-05")),
    ),
    row("no course", "progression", "No dated PRRT cycle is recorded", "", no_prrt()),
    row(
        "since none",
        "no-intervening-therapy",
        "None recorded after the last cycle (2021-06-28)",
        "",
        chart(),
    ),
    row(
        "since given",
        "no-intervening-therapy",
        "Sutent after PRRT (2024-05-06)",
        "1",
        chart(given(SUTENT, "2024-05-06")),
    ),
    row(
        "since undated",
        "no-intervening-therapy",
        "Without a date: Sutent",
        "1",
        chart(given(SUTENT, None)),
    ),
    row(
        "since limited",
        "no-intervening-therapy",
        "Afinitor after PRRT, days in all: 20 (another sentence allows one month)",
        "1",
        chart(statement(AFINITOR, "2024-03-01", "2024-03-20")),
    ),
    row(
        "since too long",
        "no-intervening-therapy",
        "Afinitor after PRRT (2024-03-01)",
        "1",
        chart(statement(AFINITOR, "2024-03-01", "2024-05-20")),
    ),
    row(
        "since review",
        "no-intervening-therapy",
        "Teletherapy (2024-05-06): was it against the tumour?",
        "1",
        chart(procedure(coded("33195004", SNOMED, text="Teletherapy"), "2024-05-06")),
    ),
    row(
        "since ordered",
        "no-intervening-therapy",
        "Not shown as given: Sutent",
        "1",
        chart(order(SUTENT, "2024-05-06")),
    ),
    row(
        "since overlapping",
        "no-intervening-therapy",
        "Started before the last cycle and may have gone on after it: Sutent",
        "1",
        chart(statement(SUTENT, "2021-05-06", "2021-09-06")),
    ),
    row(
        "toxic",
        "toxicity",
        "Grade 3 or more: Platelets 49 ×10⁹/L",
        "low",
        chart(lab("platelets", 49, CELLS, AT, id_="low")),
    ),
    row(
        "toxicity to judge",
        "toxicity",
        (
            "Latest results: Hemoglobin 118 g/L, Neutrophils 2.9 ×10⁹/L, Platelets 160 "
            "×10⁹/L, Total bilirubin 10 µmol/L, Creatinine (serum) 88 µmol/L. "
            "Unresolved severe events: none recorded"
        ),
        "hb anc plt bili crea",
        chart(),
    ),
    row(
        "toxicity severe",
        "toxicity",
        (
            "Latest results: Hemoglobin 118 g/L, Neutrophils 2.9 ×10⁹/L, Platelets 160 "
            "×10⁹/L, Total bilirubin 10 µmol/L, Creatinine (serum) 88 µmol/L. "
            "Unresolved severe events: Nephropathy (2024-05-06)"
        ),
        "hb anc plt bili crea ae",
        chart(
            resource(
                "AdverseEvent",
                "ae",
                actuality="actual",
                event=words("Nephropathy"),
                date="2024-05-06",
                severity={"coding": [{"code": "severe"}]},
            )
        ),
    ),
    row(
        "ssa",
        "somatostatin-analogue",
        "Sandostatin (2020-03-20), no carcinoid syndrome recorded: stops on Arm 2 (everolimus)",
        "1",
        chart(statement(SANDOSTATIN, "2020-03-01", "2020-03-20")),
    ),
    row("ssa none", "somatostatin-analogue", "Not in use", "", chart()),
    row(
        "ssa syndrome",
        "somatostatin-analogue",
        (
            "Sandostatin (2020-03-20), with Carcinoid syndrome: may go on in both arms while "
            "the syndrome is functional"
        ),
        "1 2",
        chart(
            statement(SANDOSTATIN, "2020-03-01", "2020-03-20"),
            condition(coded("E34.0", text="Carcinoid syndrome")),
        ),
    ),
    row(
        "ssa syndrome only",
        "somatostatin-analogue",
        "Not in use; Carcinoid syndrome recorded",
        "1",
        chart(condition(coded("E34.0", text="Carcinoid syndrome"))),
    ),
    row(
        "scan and a nameless one of its day",
        "sstr-pet",
        "PET/CT Ga-68 DOTATATE, 2026-05-04",
        "pet",
        chart(pet("2026-05-04", "", id_="pet2")),
    ),
    row(
        "since too long beside one without a date",
        "no-intervening-therapy",
        "Afinitor after PRRT (2024-03-01)",
        "1",
        chart(statement(AFINITOR, id_="z"), statement(AFINITOR, "2024-03-01", "2024-05-20")),
    ),
    row(
        "unreadable at the end",
        "progression",
        "The assessment of 2025-10-05 cannot be read",
        "after better 1",
        chart(response("so so", "2025-10-05"), without="worse"),
    ),
    row(
        "alkylator ordered without a date",
        "no-alkylator",
        "Not shown as given: Temodal (no date)",
        "1",
        chart(order(TEMODAL, None)),
    ),
    row(
        "uptake positive values",
        "sstr-positive",
        "Lesion SUVmax 9.1 g/mL above liver mean 4.5 g/mL (2026-05-04)",
        "pet lesion organ",
        chart(lesion(9.1), liver(4.5)),
    ),
    row(
        "uptake negative values",
        "sstr-positive",
        "Lesion SUVmax 4.5 g/mL not above liver mean 4.5 g/mL (2026-05-04)",
        "pet lesion organ",
        chart(lesion(4.5), liver(4.5)),
    ),
    row(
        "uptake unusable",
        "sstr-positive",
        "An SUV of the scan cannot be used: SUVbw",
        "pet lesion organ",
        chart(lesion(4.5, "mg"), liver(4.5)),
    ),
    row(
        "uptake disagrees",
        "sstr-positive",
        "Values or conclusions of the scan of 2026-05-04 disagree",
        "pet lesion organ organ2",
        chart(lesion(9.1), liver(4.5), liver(9.5) | {"id": "organ2"}),
    ),
]


@pytest.mark.parametrize(("criterion", "said", "facts", "content", "how"), ROWS)
def test_what_is_said_of_the_tumor_and_its_therapy(
    criterion: str, said: str, facts: str, content: Json, how: Json
) -> None:
    """The whole sentence, with the advisories, and every fact that it rests on."""
    assert (said, facts) == words_and_facts(content, criterion, **how)
