"""Charts that are too large for the time there is: what was not read is unread, and no more."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC
from typing import Any

import msgspec
import pytest

from cds_service.errors import FhirUnavailable
from cds_service.fhir.bundle import read_chart_file
from cds_service.fhir.chart import LARGE_CHART, Chart, Entry
from cds_service.fhir.pace import TOO_LARGE, Paced, always
from cds_service.fhir.prefetch import Unread, read_prefetch
from cds_service.fhir.queries import SearchPlan, plan
from cds_service.fhir.reader import Reader
from cds_service.fhir.searchset import read_page
from cds_service.fhir.sparing import TOO_MUCH, takes_long, without_much
from cds_service.record.codes import CodeBook
from cds_service.record.model import Record
from cds_service.record.reads import COMPLETE, Failed, Partial, Read
from cds_service.record.tables import load_tables
from cds_service.record.units import UnitBook
from tests.charts import bundle, condition, days_ago, everything, lab, patient, trial

Json = dict[str, Any]
MANY = 3 * LARGE_CHART
CUT = Partial(TOO_LARGE)


@pytest.fixture(scope="module")
def reader() -> Reader:
    """A reader as the service has it."""
    tables = load_tables()
    return Reader(CodeBook(tables), UnitBook(tables), UTC)


@pytest.fixture(scope="module")
def searches() -> SearchPlan:
    """What the service asks for."""
    return plan(trial(), CodeBook(load_tables()))


def results(number: int = MANY) -> list[Json]:
    """So many results of one test, each of a day of its own."""
    return [
        lab("platelets", 100 + n % 300, "10*9/L", days_ago(1 + n), id_=f"n{n}")
        for n in range(number)
    ]


def chart_of(*resources: Json) -> Chart:
    """The chart of a patient with these."""
    return read_chart_file(json.dumps(bundle(patient(), *resources)).encode(), None)


def looks(number: int) -> Callable[[], bool]:
    """There is time for so many looks at the clock."""
    left = iter(range(number))
    return lambda: next(left, None) is not None


def gaps(record: Record) -> dict[str, Read]:
    """The reads that are not complete."""
    return {kind: read for kind, read in record.reads.items() if read != COMPLETE}


class TestPaced:
    """Going through items while there is time."""

    def test_to_the_end(self) -> None:
        """All of them, and nothing is left."""
        paced = Paced(range(1001), always)

        assert [*range(1001)] == [*paced]
        assert not paced.rest

    def test_up_to_a_moment(self) -> None:
        """What was gone through and what is left are all."""
        paced = Paced(range(1001), looks(2))

        seen = [*paced]

        assert 200 < len(seen) < 1001
        assert [*range(1001)] == [*seen, *paced.rest]

    def test_the_first_few_in_any_case(self) -> None:
        """So that there is something to say."""
        paced = Paced(range(1001), looks(0))

        assert [*range(200)] == [*paced]
        assert [*range(200, 1001)] == [*paced.rest]

    def test_of_nothing(self) -> None:
        """Nothing is left."""
        paced = Paced((), looks(0))

        assert not [*paced]
        assert not paced.rest


class TestRecord:
    """The record of a large chart."""

    def test_with_time_enough(self, reader: Reader) -> None:
        """Is the one that it has without a clock."""
        chart = chart_of(*everything(), *results())

        paced = reader.read(chart, always)

        assert reader.read(chart) == paced
        assert not gaps(paced)
        assert MANY < len(paced.results)

    def test_what_is_many_is_cut_and_what_is_rare_is_read(self, reader: Reader) -> None:
        """Wherever it stands: of 3,000 results none keeps a procedure from being read."""
        chart = chart_of(*results(), *everything())
        whole = reader.read(chart)
        decoding_alone = len(chart.entries) // 200

        found = reader.read(chart, looks(decoding_alone + 5))

        assert {"Observation": CUT} == gaps(found)
        assert 0 < len(found.results) < len(whole.results)
        for kind in ("patient", "exposures", "diagnoses", "procedures", "scans", "reports"):
            assert getattr(whole, kind) == getattr(found, kind), kind

    def test_what_was_not_even_decoded(self, reader: Reader) -> None:
        """Is cut by its type."""
        found = reader.read(chart_of(*everything(), *results()), looks(3))

        assert {"Observation": CUT} == gaps(found)

    @pytest.mark.parametrize(
        ("last", "cut"),
        [
            ({"resourceType": "Condition", "id": "c"}, {"Condition"}),
            ({"resourceType": "MedicationOrder", "id": "m"}, {"MedicationRequest"}),
            ({"resourceType": "Claim", "id": "c"}, set()),
            (
                {"resourceType": "Medication", "id": "m"},
                {
                    "MedicationAdministration",
                    "MedicationDispense",
                    "MedicationRequest",
                    "MedicationStatement",
                },
            ),
        ],
    )
    def test_the_last_of_them(self, reader: Reader, last: Json, cut: set[str]) -> None:
        """May be about what its type is about, under whatever name."""
        found = reader.read(chart_of(*results(), last), looks(3))

        assert {"Observation", *cut} == set(gaps(found))

    def test_one_that_says_no_type(self, reader: Reader) -> None:
        """May be about anything."""
        chart = chart_of(*results())
        odd = Entry(msgspec.Raw(b'{"resourceType": 7}'))
        chart = msgspec.structs.replace(chart, entries=(*chart.entries, odd))

        assert set(chart.reads) == set(gaps(reader.read(chart, looks(3))))

    def test_what_was_wrong_before_is_not_forgotten(self, reader: Reader) -> None:
        """Both reasons are named."""
        chart = chart_of(*results())
        reads = chart.reads | {"Observation": Partial("page 2: HTTP 500")}
        chart = msgspec.structs.replace(chart, reads=reads)

        found = reader.read(chart, looks(3))

        assert Partial(f"page 2: HTTP 500; {TOO_LARGE}") == found.reads["Observation"]

    def test_an_ordinary_chart_is_read_to_its_end(self, reader: Reader) -> None:
        """Whatever the time: it takes milliseconds."""
        chart = chart_of(*everything())

        assert reader.read(chart) == reader.read(chart, looks(0))


class TestSent:
    """What an EHR may send along, before anything of it is decoded."""

    def sent(self, searches: SearchPlan, entry: bytes, number: int) -> Any:
        """A prefetch with so many entries of Observations."""
        entries = b",".join([entry] * number)
        page = b'{"resourceType":"Bundle","type":"searchset","entry":[' + entries + b"]}"
        person = b'{"resourceType":"Patient","id":"anna"}'
        prefetch = {"patient": msgspec.Raw(person), "observations": msgspec.Raw(page)}
        return read_prefetch(prefetch, searches, "anna")

    def test_very_many_entries(self, searches: SearchPlan) -> None:
        """Are not decoded, and none of them counts as sent; the Patient does."""
        found = self.sent(searches, b'{"resource":{}}', 100_001)

        assert Unread("provided with too many entries") == found.page("Observation")
        assert Unread("provided with too many entries") == found.page("Condition")
        assert found.patient is not None

    def test_just_not_too_many(self, searches: SearchPlan) -> None:
        """Are read one by one."""
        found = self.sent(searches, b'{"resource":{}}', 100_000)

        assert not isinstance(found.page("Observation"), Unread)

    def test_millions_of_entries_that_are_none(self, searches: SearchPlan) -> None:
        """Are not looked at one by one."""
        found = self.sent(searches, b"1", 600_000).page("Observation")

        assert isinstance(found, Unread)
        assert found.reason.startswith("provided as too large")

    def test_nor_are_those_of_a_server(self) -> None:
        """The same page, read from it."""
        page = b'{"resourceType":"Bundle","type":"searchset","entry":[' + b"1," * 600_000 + b"1]}"

        with pytest.raises(FhirUnavailable, match="too large"):
            read_page(page, "Observation")


class TestSparing:
    """What is left of a record that took too long to judge."""

    def test_of_many_results(self, reader: Reader) -> None:
        """Everything else."""
        record = reader.read(chart_of(*everything(), *results()))

        less = without_much(record)

        assert not less.results
        assert {"Observation": Failed(TOO_MUCH)} == gaps(less)
        assert record.exposures == less.exposures
        assert record.diagnoses == less.diagnoses

    def test_of_many_vague_dates(self, reader: Reader) -> None:
        """All but the kinds of facts that have them."""
        vague = [
            lab("platelets", 200, "10*9/L", days_ago(40 * n)[:7], id_=f"v{n}") for n in range(3)
        ]
        record = reader.read(chart_of(*everything(), *vague))

        less = without_much(record)

        assert takes_long(record)
        assert not takes_long(less)
        assert {"Observation": Failed(TOO_MUCH)} == gaps(less)

    def test_of_vague_abatements(self, reader: Reader) -> None:
        """Each is tried as there and as over."""
        over = {"clinical": None, "abatementDateTime": "2026"}
        record = reader.read(chart_of(*(condition("R13.10", **over) for _ in range(3))))

        assert takes_long(record)
        assert {"Condition": Failed(TOO_MUCH)} == gaps(without_much(record))

    def test_an_ordinary_one(self, reader: Reader) -> None:
        """Takes no time, and nothing is left out."""
        record = reader.read(chart_of(*everything()))

        assert not takes_long(record)
        assert record == without_much(record)
