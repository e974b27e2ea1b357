"""A small trial with the words of the real one, and reports made by hand."""

from __future__ import annotations

from datetime import date
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import UUID

import pytest

from cds_service.cards.build import CardBuilder
from cds_service.cards.orders import Opened
from cds_service.report import CriterionResult, Evidence, Missing, Report, Version
from cds_service.trial.schema import Trial
from cds_service.trial.site import Site, load_yaml

if TYPE_CHECKING:
    from collections.abc import Callable

TODAY = date(2026, 11, 23)
TRIAL_FILE = Path(__file__).parents[2] / "cds_service" / "trials" / "net_retreat.yaml"


@pytest.fixture(scope="session")
def trial() -> Trial:
    """The real trial's words and orders; no criteria, for the reports are made by hand."""
    content = load_yaml(TRIAL_FILE.read_text(encoding="utf-8"))
    content["criteria"] = []
    return Trial.model_validate(content)


@pytest.fixture(scope="session")
def builder(trial: Trial) -> CardBuilder:
    """Makes cards as a site with no configuration does."""
    return CardBuilder(trial, Site())


@pytest.fixture
def opened() -> Opened:
    """The chart of p1, open before a practitioner."""
    return Opened("p1", "Practitioner/9", "e1")


@pytest.fixture
def new_uuid() -> Callable[[], UUID]:
    """Identifiers that count."""
    numbers = count(1)
    return lambda: UUID(int=next(numbers))


@pytest.fixture
def hemoglobin() -> CriterionResult:
    """Met, and known until when."""
    return CriterionResult(
        id="hemoglobin",
        title="Hemoglobin",
        kind="inclusion",
        status="met",
        basis="evidence",
        change=None,
        summary="Hemoglobin 91 g/L on 2026-11-10 (needs ≥ 80 g/L)",
        valid_through=date(2026, 12, 8),
        evidence=(Evidence("Observation/1", "Hemoglobin", "9.1 g/dL", "91 g/L", "2026-11-10"),),
    )


@pytest.fixture
def platelets_outdated() -> CriterionResult:
    """Unknown, for the result is too old."""
    return CriterionResult(
        id="platelets",
        title="Platelets",
        kind="inclusion",
        status="unknown",
        basis=None,
        change=None,
        summary="Platelets 120 ×10⁹/L on 2026-09-01 are too old",
        finding="outdated",
        evidence=(Evidence("Observation/2", "Platelets", "120 10*3/uL", None, "2026-09-01"),),
        missing=(Missing("order", "platelets", "Platelet count"),),
    )


@pytest.fixture
def platelets_low() -> CriterionResult:
    """Not met; a new result can cure it."""
    return CriterionResult(
        id="platelets",
        title="Platelets",
        kind="inclusion",
        status="not_met",
        basis="evidence",
        change="new_data",
        summary="Platelets 60 ×10⁹/L on 2026-11-10 (needs ≥ 80 ×10⁹/L)",
        evidence=(Evidence("Observation/2", "Platelets", "60 10*3/uL", None, "2026-11-10"),),
        missing=(Missing("order", "platelets", "Platelet count"),),
    )


@pytest.fixture
def alkylator() -> CriterionResult:
    """Not met for good."""
    return CriterionResult(
        id="no-alkylator",
        title="Alkylating agents",
        kind="inclusion",
        status="not_met",
        basis="evidence",
        change="permanent",
        summary="Temozolomide given on 2019-05-01",
        evidence=(
            Evidence("MedicationAdministration/3", "Temozolomide", "given", None, "2019-05-01"),
        ),
    )


@pytest.fixture
def surgery() -> CriterionResult:
    """Not met; time cures it."""
    return CriterionResult(
        id="recent-surgery",
        title="Recent surgery",
        kind="exclusion",
        status="not_met",
        basis="evidence",
        change="time",
        summary="Right hemicolectomy on 2026-11-01",
        eligible_from=date(2026, 12, 14),
    )


@pytest.fixture
def consent() -> CriterionResult:
    """For a person to confirm."""
    return CriterionResult(
        id="consent",
        title="Consent",
        kind="inclusion",
        status="needs_confirmation",
        basis=None,
        change=None,
        summary="No signed consent in the record",
        missing=(Missing("question", "consent", "Has the patient signed the consent form?"),),
    )


@pytest.fixture
def make_report() -> Callable[..., Report]:
    """Makes reports of given criteria."""

    def make(overall: Any, *criteria: CriterionResult, **fields: Any) -> Report:
        return Report(
            trial=Version("2023.1", "sha256:" + "ab" * 32, "net-retreat"),
            mappings=Version("2026.11", "sha256:" + "cd" * 32),
            subject="Patient/p1",
            as_of=TODAY,
            overall=overall,
            criteria=criteria,
            **fields,
        )

    return make
