"""What counts as a fact: whose it is, whether it was readable, and whether reads were whole."""

from __future__ import annotations

import json
import random
from typing import Any

import pytest

from tests.charts import (
    DEXAMETHASONE,
    STRANGE,
    TEMOZOLOMIDE,
    Json,
    bundle,
    chart,
    condition,
    days_ago,
    everything,
    given,
    issues,
    lab,
    patient,
    procedure,
    resource,
    result,
    screen,
    verdict,
)

ABSENT = {
    "everolimus-limit": "MedicationStatement",
    "no-alpha-therapy": "MedicationAdministration",
    "no-alkylator": "MedicationRequest",
    "no-intervening-therapy": "Procedure",
    "other-malignancy": "Condition",
    "recent-surgery": "Procedure",
    "brain-metastases": "Condition",
    "heart-failure": "Condition",
    "oral-intake": "Condition",
}
ON_EVIDENCE = {
    "midgut-net": "Condition",
    "metastatic": "Condition",
    "grade": "Observation",
    "sstr-pet": "DiagnosticReport",
    "prrt-exposure": "MedicationAdministration",
    "progression": "Observation",
    "ecog": "Observation",
    "hemoglobin": "Observation",
    "neutrophils": "Observation",
    "platelets": "Observation",
    "bilirubin": "Observation",
    "creatinine-clearance": "Observation",
}
NEXT = {"relation": "next", "url": "https://ehr.test/fhir?page=2"}


def _search_of(kind: str) -> Any:
    return {"relation": "self", "url": f"https://ehr.test/fhir/{kind}?patient=anna"}


def _outcome(severity: str) -> Any:
    return {"resourceType": "OperationOutcome", "issue": [{"severity": severity, "code": "x"}]}


class TestTruncatedSearches:
    """Detail 6: a Bundle with a next link or an error is a truncated search."""

    @pytest.mark.parametrize(("criterion", "kind"), [*ABSENT.items(), *ON_EVIDENCE.items()])
    def test_a_truncated_search_of_its_type_leaves_a_criterion_unknown(
        self, criterion: str, kind: str
    ) -> None:
        """Nothing is met from a read that was cut."""
        assert "unknown" == verdict(screen(chart(link=[_search_of(kind), NEXT])), criterion)

    @pytest.mark.parametrize("criterion", [*ABSENT, *ON_EVIDENCE])
    def test_a_truncated_search_of_no_known_type_is_one_of_all(self, criterion: str) -> None:
        """Without a self link any type may be missing."""
        assert "unknown" == verdict(screen(chart(link=[NEXT])), criterion)

    @pytest.mark.parametrize("criterion", ["hemoglobin", "sstr-pet", "prrt-exposure"])
    def test_a_truncated_search_of_another_type_does_not_matter(self, criterion: str) -> None:
        """Only what depends on the type is open."""
        assert "met" == verdict(screen(chart(link=[_search_of("Condition"), NEXT])), criterion)

    def test_a_search_without_a_next_page_is_complete(self) -> None:
        """A self link alone says nothing is missing."""
        assert "met by absence" == verdict(
            screen(chart(link=[_search_of("Condition")])), "heart-failure"
        )

    @pytest.mark.parametrize(
        ("severity", "expected"),
        [
            ("error", "unknown"),
            ("fatal", "unknown"),
            ("warning", "met by absence"),
            ("information", "met by absence"),
        ],
    )
    def test_an_outcome_among_the_entries(self, severity: str, expected: str) -> None:
        """An error or fatal outcome means that something is missing."""
        content = bundle(patient(), *everything(), _outcome(severity))

        assert expected == verdict(screen(content), "heart-failure")

    @pytest.mark.parametrize(
        ("status", "expected"),
        [
            ("403 Forbidden", "unknown"),
            ("500", "unknown"),
            ("200 OK", "met by absence"),
            ("201 Created", "met by absence"),
        ],
    )
    def test_a_failed_answer_in_a_batch(self, status: str, expected: str) -> None:
        """A request of the batch that was refused leaves a search unread."""
        content = chart(type="batch-response")
        content["entry"].append({"response": {"status": status}})

        assert expected == verdict(screen(content), "no-alkylator")

    def test_a_certain_refusal_stands(self) -> None:
        """A drug that was given stays given, whatever could not be read."""
        content = chart(given(TEMOZOLOMIDE, "2019"), link=[NEXT])

        assert "not_met permanent" == verdict(screen(content), "no-alkylator")

    @pytest.mark.parametrize(
        ("criterion", "kind", "content"),
        [
            ("recent-surgery", "Procedure", [procedure("174071004", "2026-11-10")]),
            ("pregnancy", "Condition", [condition("Z33.1", onset="2026-09-01")]),
            (
                "brain-metastases",
                "MedicationStatement",
                [condition("C79.31"), given(DEXAMETHASONE, "2026-11-20")],
            ),
        ],
    )
    def test_a_fact_that_nothing_can_undo_stands(
        self, criterion: str, kind: str, content: list[Any]
    ) -> None:
        """An operation of last week was last week, whatever else there is."""
        made = chart(*content, link=[_search_of(kind), NEXT], person={"gender": "female"})

        assert verdict(screen(made), criterion).startswith("not_met")

    @pytest.mark.parametrize(
        ("criterion", "cut", "expected"),
        [
            ("metastatic", "Observation", "met"),
            ("metastatic", "Condition", "unknown"),
            ("histology", "Observation", "met"),
            ("histology", "DiagnosticReport", "met"),
            ("pregnancy-test", "Observation", "not_applicable"),
            ("pregnancy-test", "Procedure", "unknown"),
        ],
    )
    def test_what_a_whole_read_proves_needs_no_other(
        self, criterion: str, cut: str, expected: str
    ) -> None:
        """A metastasis among the diagnoses is one, whatever results are missing."""
        made = chart(
            procedure("236886002", "2010"),
            link=[_search_of(cut), NEXT],
            person={"gender": "female"},
        )
        found = result(screen(made), criterion)

        assert expected == found.status
        assert bool(found.unread) == (expected == "unknown")

    def test_what_was_not_read_is_named(self) -> None:
        """The report says which read was not whole."""
        found = screen(chart(link=[_search_of("Procedure"), NEXT]))

        assert any(one.startswith("Procedure") for one in found.unread)

    @pytest.mark.parametrize("criterion", ["unresectable", "toxicity", "histology"])
    def test_what_a_person_must_say_is_still_asked(self, criterion: str) -> None:
        """A truncated search never turns a question into a fact."""
        found = verdict(screen(chart(link=[NEXT])), criterion)

        assert found in ("needs_confirmation", "unknown")

    def test_somatostatin_analogues_are_never_an_obstacle(self) -> None:
        """Always met, whatever could not be read."""
        assert "met" == verdict(screen(chart(link=[NEXT])), "somatostatin-analogue")


class TestBrokenResources:
    """A single broken resource does not stop the rest, and is never taken for an absent one."""

    @pytest.mark.parametrize(
        "broken",
        [[], "text", 7, {}, {"id": "x"}, {"resourceType": None}, {"resourceType": 5, "id": "x"}],
    )
    @pytest.mark.parametrize("criterion", ["no-alkylator", "heart-failure", "recent-surgery"])
    def test_a_resource_without_a_readable_type_may_be_any(
        self, criterion: str, broken: Any
    ) -> None:
        """Nothing is met by absence beside it."""
        content = chart()
        content["entry"].append({"resource": broken})

        assert "unknown" == verdict(screen(content), criterion)

    def test_the_rest_is_still_read(self) -> None:
        """What rests on evidence stays as it is."""
        content = chart()
        content["entry"].append({"resource": []})

        assert "met" == verdict(screen(content), "hemoglobin")

    def test_a_type_that_is_not_read_does_not_matter(self) -> None:
        """Encounters and the like are no concern of the trial."""
        content = chart(resource("Encounter", "visit", status="finished"))

        assert "met by absence" == verdict(screen(content), "no-alkylator")

    @pytest.mark.parametrize("criterion", list(ABSENT))
    def test_a_broken_line_of_ndjson_may_be_any(self, criterion: str) -> None:
        """A line that is no resource leaves every absence open."""
        lines = [json.dumps(one) for one in (patient(), *everything())]
        data = "\n".join([*lines, '{"resourceType": "Condi']).encode()

        assert "unknown" == verdict(screen(data), criterion)


class TestWhoseResource:
    """Every resource must belong to the patient asked about."""

    @pytest.mark.parametrize(
        ("subject", "ours"),
        [
            ({"reference": "Patient/anna"}, True),
            ({"reference": "https://ehr.test/fhir/Patient/anna"}, True),
            ({"reference": "Patient/anna/_history/3"}, True),
            ({"reference": "Patient/bob"}, False),
            ({"reference": "https://elsewhere.test/fhir/Patient/anna"}, False),
            ({"reference": "Group/anna"}, False),
            ({"reference": "urn:uuid:5e1c7e0a-0000-4000-8000-000000000000"}, False),
            ({"display": "Anna"}, False),
            (None, False),
        ],
    )
    def test_subject(self, subject: Any, *, ours: bool) -> None:
        """Detail 4: another subject, or none, is dropped and reported."""
        content = bundle(
            patient(),
            *everything(),
            lab("hemoglobin", 70, "g/L", days_ago(1), id_="low", subject=subject),
        )
        found = screen(content)

        assert ("not_met new_data" if ours else "met") == verdict(found, "hemoglobin")
        assert ours == ("Observation/low" not in {reference for _, reference in issues(found)})


class TestTheSameChartAnotherWay:
    """The verdicts do not depend on how the chart was written down."""

    def _verdicts(self, content: Json) -> Any:
        found = screen(content)
        return {one.id: verdict(found, one.id) for one in found.criteria}

    @pytest.mark.parametrize("seed", range(5))
    def test_order_of_entries(self, seed: int) -> None:
        """Shuffled entries give the same report."""
        content = chart(lab("hemoglobin", 70, "g/L", days_ago(1)), condition("C61"))
        shuffled = json.loads(json.dumps(content))
        random.Random(seed).shuffle(shuffled["entry"])  # noqa: S311

        assert self._verdicts(content) == self._verdicts(shuffled)

    def test_a_resource_twice(self) -> None:
        """Page overlap changes nothing."""
        content = chart()
        twice = content | {"entry": content["entry"] * 2}

        assert self._verdicts(content) == self._verdicts(twice)

    def test_a_measurement_under_two_ids(self) -> None:
        """The same measurement twice counts once."""
        again = [one | {"id": f"copy-{one['id']}"} for one in everything()]

        assert self._verdicts(chart()) == self._verdicts(bundle(patient(), *everything(), *again))

    def test_ndjson(self) -> None:
        """A resource on each line is the same chart."""
        data = "\n".join(json.dumps(one) for one in (patient(), *everything())).encode()

        assert self._verdicts(chart()) == self._verdicts(data)

    @pytest.mark.parametrize("dropped", [one["id"] for one in everything()])
    def test_leaving_a_resource_out_never_adds_evidence(self, dropped: str) -> None:
        """No criterion becomes met by evidence because something is missing."""
        before, after = self._verdicts(chart()), self._verdicts(chart(without=dropped))

        for criterion, found in after.items():
            assert found != "met" or before[criterion] == "met"

    @pytest.mark.parametrize("changed", [one["id"] for one in everything()])
    def test_an_unknown_modifier_never_adds_evidence(self, changed: str) -> None:
        """A resource that is not understood settles nothing that was open."""
        before = self._verdicts(chart())
        held = [one | STRANGE if one["id"] == changed else one for one in everything()]
        after = self._verdicts(bundle(patient(), *held))

        for criterion, found in after.items():
            assert found == before[criterion] or not found.startswith("met")


def test_facts_after_the_day_are_reported() -> None:
    """They are left out, and a data issue names them."""
    found = screen(chart(lab("hemoglobin", 70, "g/L", "2026-11-24", id_="tomorrow")))

    assert "met" == verdict(found, "hemoglobin")
    assert ("future-date", "Observation/tomorrow") in issues(found)
