"""docs/trust.md says what the code does."""

from __future__ import annotations

import re
from pathlib import Path

from cds_service.trust.issuers import load_issuers
from cds_service.trust.records import IssuerRecord
from cds_service.trust.verify import REASONS

TEXT = (Path(__file__).resolve().parents[2] / "docs" / "trust.md").read_text(encoding="utf-8")


def section(heading: str) -> str:
    """The text under a heading."""
    return TEXT.split(f"## {heading}\n")[1].split("\n## ")[0]


def first_cells(text: str) -> set[str]:
    """What is in code marks in the first column of tables."""
    rows = re.findall(r"^\| (`[^|]+) \|", text, re.MULTILINE)
    return {name for row in rows for name in re.findall(r"`([^`]+)`", row)}


def test_every_code_of_a_refusal_is_explained() -> None:
    """And none that does not exist."""
    assert set(REASONS) == first_cells(section("When a token is refused"))


def test_every_key_of_a_record_is_explained() -> None:
    """And none that does not exist."""
    assert set(IssuerRecord.model_fields) == first_cells(section("Register an EHR"))


def test_the_example_is_a_file_that_is_taken(tmp_path: Path) -> None:
    """As it stands there."""
    (example,) = re.findall(r"```yaml\n(.+?)```", TEXT, re.DOTALL)
    (tmp_path / "issuers.yaml").write_text(example, encoding="utf-8")

    found = load_issuers(tmp_path / "issuers.yaml")

    assert ["st-elsewhere", "other-hospital"] == [issuer.name for issuer in found]
