"""How the statuses of all criteria make one result."""

from __future__ import annotations

from itertools import product

from cds_service.criteria.evaluate import overall
from cds_service.criteria.finding import Finding
from cds_service.criteria.settle import Judgement

KINDS = (
    ("met", None), ("not_applicable", None), ("unknown", None), ("needs_confirmation", None),
    ("not_met", "time"), ("not_met", "new_data"), ("not_met", "permanent"),
)  # fmt: skip
ORDER = ("excluded", "not_now", "possible", "all_met")


def test_the_overall_result_is_the_worst_of_all() -> None:
    """Of every set of up to three kinds of result."""
    said = {
        ("not_met", "permanent"): "excluded", ("not_met", "time"): "not_now",
        ("not_met", "new_data"): "not_now", ("unknown", None): "possible",
        ("needs_confirmation", None): "possible",
    }  # fmt: skip
    for kinds in product(KINDS, repeat=3):
        judged = [
            Judgement(status, None, change, Finding("any"), set())  # type: ignore[arg-type]
            for status, change in kinds
        ]
        expected = min((said.get(kind, "all_met") for kind in kinds), key=ORDER.index)

        assert expected == overall(judged)
