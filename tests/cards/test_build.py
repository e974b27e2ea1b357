"""Which reports make a card, and that the card is what CDS Hooks 2.0 asks for."""

from __future__ import annotations

import json
from datetime import date
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import msgspec
import pytest
from fhir.resources.R4B.servicerequest import ServiceRequest

from cds_service.cards.build import REPORT_EXTENSION, CardBuilder, shows_card
from cds_service.cards.model import Card, Cards
from cds_service.cards.orders import Opened, OrderBook
from cds_service.errors import ConfigError
from cds_service.report import Missing, report_json
from cds_service.trial.site import Site

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from uuid import UUID

    from cds_service.report import CriterionResult, Report
    from cds_service.trial.schema import Trial

    MakeReport = Callable[..., Report]

TODAY = date(2026, 11, 23)
UNREAD = ("Observation: the server answered 500",)


def as_json(card: Card) -> dict[str, Any]:
    """A card as an EHR gets it."""
    cards: list[dict[str, Any]] = json.loads(msgspec.json.encode(Cards((card,))))["cards"]
    return cards[0]


def empty_members(value: Any, path: str = "$") -> Iterator[str]:
    """Where JSON has null, an empty string, list or object."""
    if value is None or value in ("", [], {}):
        yield path
    members = value if isinstance(value, list) else []
    if isinstance(value, dict):
        members = list(value.values())
        path += f".{{{','.join(value)}}}"
    for member in members:
        yield from empty_members(member, path)


@pytest.fixture
def possible(
    make_report: MakeReport,
    platelets_outdated: CriterionResult,
    hemoglobin: CriterionResult,
    consent: CriterionResult,
) -> Report:
    """One criterion met, one outdated, one to confirm."""
    return make_report("possible", hemoglobin, platelets_outdated, consent)


@pytest.fixture
def card(
    possible: Report, builder: CardBuilder, opened: Opened, new_uuid: Callable[[], UUID]
) -> Card:
    """A card with one order."""
    made = builder.card(possible, opened, today=TODAY, new_uuid=new_uuid)
    assert made is not None
    return made


class TestShowsCard:
    """Which reports are shown."""

    @pytest.mark.parametrize("overall", ["all_met", "possible", "not_now"])
    def test_these_results_are_shown(self, make_report: MakeReport, overall: str) -> None:
        """By default."""
        assert shows_card(make_report(overall), Site())

    @pytest.mark.parametrize("overall", ["excluded", "not_relevant"])
    @pytest.mark.parametrize("unread", [(), UNREAD])
    def test_these_are_silent_whatever_could_not_be_read(
        self, make_report: MakeReport, overall: str, unread: tuple[str, ...]
    ) -> None:
        """What decided them was read."""
        assert not shows_card(make_report(overall, unread=unread), Site())

    def test_a_site_can_ask_for_excluded(self, make_report: MakeReport) -> None:
        """Some sites want to know why not."""
        assert shows_card(make_report("excluded"), Site(cards=("excluded",)))

    def test_no_site_can_ask_for_patients_whom_the_trial_does_not_concern(
        self, make_report: MakeReport
    ) -> None:
        """There would be a card for everyone."""
        assert not shows_card(make_report("not_relevant"), Site(cards=("not_relevant",)))

    @pytest.mark.parametrize("overall", ["all_met", "possible", "not_now"])
    def test_unread_data_is_never_silent(self, make_report: MakeReport, overall: str) -> None:
        """Not even where the site shows nothing else."""
        assert shows_card(make_report(overall, unread=UNREAD), Site(cards=()))
        assert not shows_card(make_report(overall), Site(cards=()))


class TestCard:
    """The card itself."""

    def test_no_card_where_there_is_nothing_to_show(
        self, make_report: MakeReport, builder: CardBuilder, opened: Opened
    ) -> None:
        """None, not an empty one."""
        assert builder.card(make_report("not_relevant"), opened, today=TODAY) is None

    def test_its_members(self, card: Card) -> None:
        """Those of the specification, and no more."""
        found = as_json(card)

        assert {
            "uuid",
            "summary",
            "indicator",
            "source",
            "detail",
            "suggestions",
            "selectionBehavior",
            "overrideReasons",
            "extension",
        } == set(found)
        assert "info" == found["indicator"]
        assert "any" == found["selectionBehavior"]
        assert {
            "label": "NET RETREAT screening",
            "topic": {
                "system": "https://clinicaltrials.gov",
                "code": "NCT05773274",
                "display": "NET RETREAT",
            },
        } == found["source"]

    def test_override_reasons_have_system_code_and_display(self, card: Card) -> None:
        """Inferno asks for all three."""
        reasons = as_json(card)["overrideReasons"]

        assert all({"system", "code", "display"} == set(reason) for reason in reasons)
        assert "already-enrolled" in {reason["code"] for reason in reasons}

    def test_its_report_is_the_published_one(
        self,
        make_report: MakeReport,
        builder: CardBuilder,
        opened: Opened,
        consent: CriterionResult,
    ) -> None:
        """The same JSON that the command line prints."""
        report = make_report("possible", consent)

        made = builder.card(report, opened, today=TODAY)

        assert made is not None
        assert json.loads(report_json(report)) == as_json(made)["extension"][REPORT_EXTENSION]

    def test_outside_the_report_nothing_is_null_or_empty(self, card: Card) -> None:
        """The specification forbids both."""
        found = as_json(card)
        del found["extension"]

        assert [] == list(empty_members(found))

    def test_a_card_without_suggestions_has_no_selection_behavior(
        self, make_report: MakeReport, builder: CardBuilder, opened: Opened
    ) -> None:
        """It would have nothing to select from."""
        made = builder.card(make_report("all_met"), opened, today=TODAY)

        assert made is not None
        assert {"suggestions", "selectionBehavior", "links"}.isdisjoint(as_json(made))

    @pytest.mark.parametrize("signed", [True, False])
    def test_a_card_says_where_nobody_signed(
        self, make_report: MakeReport, trial: Trial, opened: Opened, *, signed: bool
    ) -> None:
        """Beside the version that it rests on; the report is the same."""
        made = CardBuilder(trial, Site(), signed=signed).card(
            make_report("possible"), opened, today=TODAY
        )

        assert made is not None
        assert signed == ("**Draft, not for care" not in made.detail)

    def test_a_link_comes_from_the_configuration(
        self, make_report: MakeReport, trial: Trial, opened: Opened
    ) -> None:
        """From nowhere else."""
        builder = CardBuilder(trial, Site(), protocol_url="https://trials.example.org/ne1")

        made = builder.card(make_report("all_met"), opened, today=TODAY)

        assert made is not None
        assert [
            {
                "label": "Current protocol",
                "url": "https://trials.example.org/ne1",
                "type": "absolute",
            }
        ] == as_json(made)["links"]

    def test_identifiers_are_all_different(self, card: Card) -> None:
        """Feedback tells them apart."""
        found = as_json(card)

        assert found["uuid"] not in {one["uuid"] for one in found["suggestions"]}


class TestSuggestions:
    """Draft orders."""

    def test_an_order_for_what_is_outdated(self, card: Card) -> None:
        """A draft for a clinician to sign, to the letter."""
        assert [
            {
                "label": "Order: Platelet count",
                "uuid": "00000000-0000-0000-0000-000000000001",
                "actions": [
                    {
                        "type": "create",
                        "description": "Draft order, to be signed: Platelet count",
                        "resource": {
                            "resourceType": "ServiceRequest",
                            "status": "draft",
                            "intent": "order",
                            "code": {
                                "coding": [
                                    {
                                        "system": "http://loinc.org",
                                        "code": "777-3",
                                        "display": "Platelet count",
                                    }
                                ],
                                "text": "Platelet count",
                            },
                            "subject": {"reference": "Patient/p1"},
                            "authoredOn": "2026-11-23",
                            "requester": {"reference": "Practitioner/9"},
                            "reasonCode": [{"text": "Screening for the NET RETREAT trial"}],
                            "encounter": {"reference": "Encounter/e1"},
                        },
                    }
                ],
            }
        ] == as_json(card)["suggestions"]

    def test_every_order_of_the_trial_is_valid_fhir(
        self, trial: Trial, make_report: MakeReport, consent: CriterionResult, opened: Opened
    ) -> None:
        """Checked by another library than the one that made it."""
        missing = tuple(Missing("order", name, "x") for name in trial.orders)
        report = make_report("possible", msgspec.structs.replace(consent, missing=missing))
        book = OrderBook(trial)

        suggestions = book.suggestions(report, opened, TODAY, uuid4)

        assert len(trial.orders) == len(suggestions)
        for one in suggestions:
            ServiceRequest.model_validate(one.actions[0].resource)

    def test_each_test_is_ordered_once(
        self,
        make_report: MakeReport,
        builder: CardBuilder,
        opened: Opened,
        platelets_outdated: CriterionResult,
    ) -> None:
        """However many criteria need it."""
        report = make_report("possible", platelets_outdated, platelets_outdated)

        made = builder.card(report, opened, today=TODAY)

        assert made is not None
        assert 1 == len(made.suggestions)

    def test_none_once_something_stands_for_good(
        self,
        make_report: MakeReport,
        trial: Trial,
        opened: Opened,
        alkylator: CriterionResult,
        platelets_outdated: CriterionResult,
    ) -> None:
        """No test would change the result."""
        builder = CardBuilder(trial, Site(cards=("excluded",)))

        made = builder.card(
            make_report("excluded", alkylator, platelets_outdated), opened, today=TODAY
        )

        assert made is not None
        assert () == made.suggestions

    @pytest.mark.parametrize("user", ["Patient/p1", "RelatedPerson/2", "Practitioner/a/b", ""])
    def test_none_for_a_user_who_cannot_order(
        self,
        make_report: MakeReport,
        builder: CardBuilder,
        platelets_outdated: CriterionResult,
        user: str,
    ) -> None:
        """A patient may read the card, too."""
        made = builder.card(
            make_report("possible", platelets_outdated), Opened("p1", user), today=TODAY
        )

        assert made is not None
        assert () == made.suggestions

    def test_no_encounter_where_the_hook_names_none(
        self, make_report: MakeReport, builder: CardBuilder, platelets_outdated: CriterionResult
    ) -> None:
        """None is made up."""
        made = builder.card(
            make_report("possible", platelets_outdated),
            Opened("p1", "PractitionerRole/9"),
            today=TODAY,
        )

        assert made is not None
        assert "encounter" not in made.suggestions[0].actions[0].resource

    def test_an_order_that_is_no_fhir_stops_the_start(self, trial: Trial) -> None:
        """It names the order and the place in it."""
        order = trial.orders["platelets"].model_copy(update={"code": "777-3 "})
        broken = trial.model_copy(update={"orders": {"platelets": order}})

        with pytest.raises(ConfigError, match=r"order platelets: .*code\.coding"):
            OrderBook(broken)
