"""How the reports of two versions of a trial differ."""

from __future__ import annotations

import json
from datetime import date
from pathlib import Path

from cds_service.comparison import Comparison, Difference, compare
from cds_service.evaluation import compare_versions
from cds_service.report import CriterionResult, Overall, Report, Status, Version
from cds_service.trial.load import DEFAULT_TRIAL
from tests.charts import TODAY, chart

AS_OF = date(2026, 11, 23)


def report(digest: str, overall: Overall, **statuses: Status) -> Report:
    """A report with these statuses."""
    return Report(
        trial=Version("1", digest, "net-retreat"),
        mappings=Version("1", "sha256:m"),
        subject="Patient/1",
        as_of=AS_OF,
        overall=overall,
        criteria=tuple(
            CriterionResult(id_, "inclusion", status, None, None, "")
            for id_, status in statuses.items()
        ),
    )


def test_equal_reports_are_the_same() -> None:
    """Nothing differs but the digest."""
    found = compare(report("a", "possible", age="met"), report("b", "possible", age="met"))

    assert Comparison("b", "possible", "possible") == found
    assert found.same


def test_a_criterion_judged_otherwise_differs() -> None:
    """In the order of the first report, those that only one has included."""
    found = compare(
        report("a", "possible", age="met", ecog="unknown", gone="met"),
        report("b", "not_now", new="met", age="met", ecog="not_met"),
    )

    assert found.differences == (
        Difference("ecog", "unknown", "not_met"),
        Difference("gone", "met", None),
        Difference("new", None, "met"),
    )
    assert not found.same


def test_another_limit_changes_what_it_decides(tmp_path: Path) -> None:
    """A version that asks for more platelets than the patient has judges that one criterion."""
    file = tmp_path / "chart.json"
    file.write_text(json.dumps(chart()), encoding="utf-8")
    other = tmp_path / "other.yaml"
    text = DEFAULT_TRIAL.read_text(encoding="utf-8")
    start = text.index("- id: platelets")
    limit = text.index("80", text.index("limit", start))
    other.write_text(text[:limit] + "4000" + text[limit + 2 :], encoding="utf-8")

    (compared,) = compare_versions([file], other, None, TODAY)

    assert ("platelets", "met", "not_met") == (
        compared.comparison.differences[0].criterion,
        compared.comparison.differences[0].before,
        compared.comparison.differences[0].after,
    )
    assert len(compared.comparison.differences) == 1
    assert compared.comparison.after == "not_now"
