"""What every test may use: respx for ``httpx2``, and the rule that nothing is skipped in CI."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, ClassVar

import pytest
from respx.mocks import HTTPCoreMocker

if TYPE_CHECKING:
    from collections.abc import Generator


class Httpcore2Mocker(HTTPCoreMocker):
    """Lets ``respx.mock(using="httpcore2")`` intercept ``httpx2``, which respx does not know yet.

    ``httpx2`` sends through ``httpcore2``, a copy of ``httpcore`` with the same names, so only the
    places to patch differ. A simulated failure must be an *instance* of an ``httpx2`` error
    (``side_effect=httpx2.ReadTimeout("slow")``): respx builds a class as ``httpx`` would, and its
    own error classes are not caught by ``except httpx2.TransportError``.
    """

    name = "httpcore2"
    targets: ClassVar[list[str]] = [
        target.replace("httpcore.", "httpcore2.", 1) for target in HTTPCoreMocker.targets
    ]


def in_ci() -> bool:
    """Whether this is the run that must leave nothing out."""
    return os.environ.get("CI") == "true"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Turn a skip into a failure in CI, unless the test is marked ``may_skip`` with the reason."""
    report = yield
    if report.skipped and _forbidden(report) and item.get_closest_marker("may_skip") is None:
        _fail(report)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """Turn the skip of a whole module into a failure in CI."""
    report = yield
    if report.skipped and _forbidden(report):
        _fail(report)
    return report


def _forbidden(report: pytest.TestReport | pytest.CollectReport) -> bool:
    return in_ci() and not hasattr(report, "wasxfail")


def _fail(report: pytest.TestReport | pytest.CollectReport) -> None:
    reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr
    report.outcome = "failed"
    report.longrepr = f"{report.nodeid} was skipped in CI, where nothing may be: {reason}"
