"""``docs/operations.md`` lists what there is: each series with its labels, each key of the log."""

from __future__ import annotations

import re
from pathlib import Path

from prometheus_client import CollectorRegistry
from prometheus_client.metrics import MetricWrapperBase

from cds_service.cdshooks.log import KEYS
from cds_service.operations.drain import Drain
from cds_service.operations.labels import REFUSALS
from cds_service.operations.series import Series
from cds_service.operations.tracing import SpanName
from cds_service.serving import GRACE_S

TEXT = (Path(__file__).resolve().parents[2] / "docs" / "operations.md").read_text("utf-8")


def section(title: str) -> str:
    """A section of the document."""
    return TEXT.partition(f"\n## {title}\n")[2].partition("\n## ")[0]


def test_metrics() -> None:
    """Names and labels, all of them and in order."""
    documented = {
        name: tuple(re.findall(r"`(\w+)`", labels))
        for name, labels in re.findall(
            r"^\| `(cds_\w+)` \| ([^|]*)\|", section("Metrics"), re.MULTILINE
        )
    }
    series = vars(Series(CollectorRegistry())).values()
    existing = {}
    for one in series:
        if isinstance(one, MetricWrapperBase):
            suffix = "_total" if one._type == "counter" else ""
            existing[f"{one._name}{suffix}"] = tuple(one._labelnames)

    assert existing == documented


def test_log() -> None:
    """Every key that a line may hold, and no other."""
    assert set(re.findall(r"^\| `(\w+)` \|", section("Logs"), re.MULTILINE)) == KEYS


def test_spans() -> None:
    """Their names."""
    assert all(f"`{name}`" in section("Traces") for name in SpanName.__args__)  # type: ignore[attr-defined]


def test_grace() -> None:
    """The seconds between unready and the end of listening."""
    assert f"goes on answering for {GRACE_S:g} seconds" in section("End")
    assert not Drain().begun


def test_runbook_reasons() -> None:
    """Reasons of refusals in the runbook are those that are counted."""
    row = next(line for line in TEXT.splitlines() if line.startswith("| Many 401"))
    named = set(re.findall(r"`([a-z-]+)`", row)) - {"cds_unauthenticated_total"}

    assert named
    assert named <= set(REFUSALS)
