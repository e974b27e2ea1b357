"""The search plan: golden URLs, codes that come from the tables only, and the prefetch subset."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl

import pytest

from cds_service.fhir.queries import (
    LONGEST_URL,
    SearchPlan,
    medications,
    observed_concepts,
    plan,
    prefetch_templates,
    search_types,
)
from cds_service.record.codes import CodeBook
from cds_service.record.table_rows import Code, Concept, Place
from cds_service.record.tables import Tables
from cds_service.trial.rules.laboratory import LabRule
from cds_service.trial.schema import CriterionSpec, Trial

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cds_service.fhir.queries import Search


def urls(searches: Sequence[Search]) -> list[str]:
    """The URLs for patient ``p-1``."""
    return [search.url("p-1") for search in searches]


def test_the_relevance_stage_reads_whole_types(small_plan: SearchPlan) -> None:
    """Nothing is filtered by code where not finding something is an answer."""
    assert [
        "Condition?patient=p-1&_count=200",
        (
            "MedicationAdministration?patient=p-1&_count=200"
            "&_include=MedicationAdministration%3Amedication"
        ),
        "MedicationStatement?patient=p-1&_count=200&_include=MedicationStatement%3Amedication",
        "MedicationRequest?patient=p-1&_count=200&_include=MedicationRequest%3Amedication",
        "MedicationDispense?patient=p-1&_count=200&_include=MedicationDispense%3Amedication",
        "Procedure?patient=p-1&_count=200",
    ] == urls(small_plan.relevance)


def test_the_rest_asks_for_observations_by_code(small_plan: SearchPlan) -> None:
    """Each code once, without its system, separators escaped; no trap, no prefix, no consent."""
    assert [
        "Observation?patient=p-1&code=1-8,2-6,3-4,HB%5C,1%5C%7Cx,4&_sort=-date&_count=200",
        "DiagnosticReport?patient=p-1&_sort=-date&_count=200",
        "ImagingStudy?patient=p-1&_count=200",
        "AdverseEvent?subject=Patient%2Fp-1&_count=200",
        "Consent?patient=p-1&_count=200",
    ] == urls(small_plan.rest)


def test_a_search_with_an_include_has_one_without_it_to_fall_back_on(
    small_plan: SearchPlan,
) -> None:
    """Servers that cannot include answer 400."""
    simpler = [search.simpler_url("p-1") for search in small_plan.relevance]

    assert [None, *(f"{kind}?patient=p-1&_count=200" for kind in MEDICATIONS), None] == simpler


MEDICATIONS = (
    "MedicationAdministration",
    "MedicationStatement",
    "MedicationRequest",
    "MedicationDispense",
)


def test_the_patient_is_read_by_id(small_plan: SearchPlan) -> None:
    """No search, so that an unknown patient is a 404."""
    assert "Patient/p-1" == small_plan.patient_url("p-1")


def test_only_marked_fields_of_rules_name_observations(small_trial: Trial) -> None:
    """Nested parts of a rule count; diagnoses and consents do not."""
    assert {"level", "part", "whole", "scale"} == observed_concepts(small_trial)


def test_results_known_by_words_only_are_searched_for_apart(
    trial_with_words: Trial, small_book: CodeBook
) -> None:
    """They are found among what is neither a laboratory result nor a vital sign."""
    search = plan(trial_with_words, small_book).rest[1]

    assert (
        "Observation?patient=p-1&category:not=laboratory&category:not=vital-signs"
        "&_sort=-date&_count=200"
    ) == search.url("p-1")
    assert not search.needed


def test_a_trial_that_reads_no_observation_does_not_search_for_any(small_book: CodeBook) -> None:
    """An empty code filter would ask for everything."""
    empty = plan(Trial.model_construct(criteria=()), small_book)

    assert "Observation" not in search_types(empty.rest)
    assert "observations" not in prefetch_templates(empty)


def test_a_long_list_of_codes_becomes_several_searches_and_one_template() -> None:
    """Every code is asked for exactly once, and no URL is longer than the limit."""
    here = Place("test.csv", 2)
    codes = [f"{'9' * 30}-{number}" for number in range(500)]
    book = CodeBook(
        Tables(
            concepts=(Concept(here, "level", "level", ()),),
            systems=(),
            codes=tuple(
                Code(here, "level", "http://loinc.org", code, "exact", "fact", "") for code in codes
            ),
            words=(),
            quantities=(),
            measures={},
            properties={},
            units=(),
            spellings=(),
            version="1",
            digest="sha256:0",
        )
    )
    rule = LabRule(kind="lab", result=("level",), comparison=">=", limit=Decimal(1), within_days=1)
    trial = Trial.model_construct(criteria=(CriterionSpec.model_construct(rule=rule),))

    made = plan(trial, book)
    searches = [search for search in made.rest if search.resource_type == "Observation"]
    asked = [code for one in searches for code in dict(parse_qsl(one.template))["code"].split(",")]

    assert len(searches) > 1
    assert max(len(search.template) for search in searches) <= LONGEST_URL
    assert sorted(codes) == sorted(asked)
    assert 1 == sum(one.startswith("Observation?") for one in prefetch_templates(made).values())


def test_prefetch_templates_are_golden(small_plan: SearchPlan) -> None:
    """One for each type; the token stands as CDS Hooks writes it."""
    assert {
        "patient": "Patient/{{context.patientId}}",
        "conditions": "Condition?patient={{context.patientId}}&_count=1000",
        "medicationAdministrations": (
            "MedicationAdministration?patient={{context.patientId}}&_count=1000"
        ),
        "medicationStatements": "MedicationStatement?patient={{context.patientId}}&_count=1000",
        "medicationRequests": "MedicationRequest?patient={{context.patientId}}&_count=1000",
        "medicationDispenses": "MedicationDispense?patient={{context.patientId}}&_count=1000",
        "procedures": "Procedure?patient={{context.patientId}}&_count=1000",
        "observations": (
            "Observation?patient={{context.patientId}}&code=1-8,2-6,3-4,HB%5C,1%5C%7Cx,4"
            "&_sort=-date&_count=1000"
        ),
        "diagnosticReports": (
            "DiagnosticReport?patient={{context.patientId}}&_sort=-date&_count=1000"
        ),
        "imagingStudies": "ImagingStudy?patient={{context.patientId}}&_count=1000",
        "adverseEvents": "AdverseEvent?subject=Patient%2F{{context.patientId}}&_count=1000",
        "consents": "Consent?patient={{context.patientId}}&_count=1000",
    } == prefetch_templates(small_plan)


def test_templates_stay_within_the_recommended_subset(
    trial_with_words: Trial, small_book: CodeBook
) -> None:
    """No modifier, no include, no chain; each parameter once (CDS Hooks 2.0)."""
    templates = prefetch_templates(plan(trial_with_words, small_book))

    for template in templates.values():
        names = re.findall(r"[?&]([^=]*)=", template)
        assert len(names) == len(set(names))
        assert set(names) <= {"patient", "subject", "code", "_sort", "_count"}
        assert ["{{context.patientId}}"] == re.findall(r"{{[^}]*}}", template)


def test_every_searched_type_has_a_template_and_every_key_a_type(small_plan: SearchPlan) -> None:
    """What the EHR can send is what would be pulled."""
    searched = search_types((*small_plan.relevance, *small_plan.rest))

    assert set(searched) == set(small_plan.keys.values())
    assert {"patient", *small_plan.keys} == set(prefetch_templates(small_plan))


@pytest.mark.parametrize(("count", "searches"), [(1, 1), (50, 1), (51, 2)])
def test_medications_are_asked_for_by_id_in_chunks(count: int, searches: int) -> None:
    """So that no URL grows without limit."""
    ids = [f"m{number}" for number in range(count)]

    made = list(medications(ids))

    assert searches == len(made)
    assert "Medication?_id=m0" == made[0].template[: len("Medication?_id=m0")]
    assert ids == [
        id_ for one in made for id_ in dict(parse_qsl(one.template.split("?")[1]))["_id"].split(",")
    ]
    assert {"_id"} == {one.filter_name for one in made}
