"""What no card means is said where it is looked for: by whoever runs the service, and on cards."""

from __future__ import annotations

import re
from pathlib import Path
from typing import get_args

import pytest

from cds_service.operations.labels import HookOutcome

DOCS = Path(__file__).resolve().parents[2] / "docs"
OPERATIONS = (DOCS / "operations.md").read_text(encoding="utf-8")
# Of a hook that is answered 412, which an EHR can tell from an answer without cards.
REFUSED = {"patient-unavailable", "other-patient"}
SILENT = sorted({*get_args(HookOutcome)} - REFUSED - {"card"})
# What the warning must name, beside a service that does not answer at all.
CAUSES = ("fails", "down", "switched off", "does not concern")


def test_the_runbook_begins_with_it() -> None:
    """Before anything else, and with what may be behind it."""
    first = OPERATIONS.partition("\n## ")[0]
    (warning,) = [part for part in first.split("\n\n") if part.startswith("**No card does not")]

    assert 'does not mean "not eligible"' in warning
    assert [] == [cause for cause in CAUSES if cause not in warning]
    assert "study team" in warning


@pytest.mark.parametrize("outcome", SILENT)
def test_each_reason_for_no_card_can_be_looked_up(outcome: str) -> None:
    """By the word that stands for it in audit, log and metrics."""
    assert f"`{outcome}`" in OPERATIONS


def test_the_document_of_the_card_says_it() -> None:
    """Beside the table of the results that make a card, and of those that make none."""
    section = re.search(r"(?ms)^## [^\n]*\n(?:(?!^## ).)*`not_relevant` \|.*?(?=^## |\Z)",
                        (DOCS / "card.md").read_text(encoding="utf-8"))  # fmt: skip

    assert section
    assert 'No card is not "not eligible"' in section[0]
