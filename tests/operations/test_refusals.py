"""Every reason for which a token is refused has a label of its own in the metrics."""

from __future__ import annotations

import pytest

from cds_service.operations.metrics import Metrics
from cds_service.trust.verify import REASONS


@pytest.mark.parametrize("reason", REASONS)
def test_counted_by_its_name(reason: str) -> None:
    """And not among the others."""
    metrics = Metrics()

    metrics.refused(reason)

    lines = metrics.render()[0].decode().splitlines()
    assert [f'cds_unauthenticated_total{{reason="{reason}"}} 1.0'] == [
        line
        for line in lines
        if line.startswith("cds_unauthenticated_total") and line.endswith(" 1.0")
    ]
