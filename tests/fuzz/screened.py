"""Screens a file as the command line does, and says what must hold of any report."""

from __future__ import annotations

import json
from collections.abc import Iterable
from functools import cache

from cds_service.errors import CdsServiceError, InputError
from cds_service.fhir.bundle import read_chart_file
from cds_service.fhir.chart import Entry
from cds_service.record.reads import Complete
from cds_service.report import CriterionResult, Report, report_json
from cds_service.screening import Screener
from tests.charts import TODAY, screener

# A message is read by a person, and goes into a log.
LONGEST_MESSAGE = 300
# Met without a resource of its own: the age is the Patient's, and analogues are never an obstacle.
_WITHOUT_EVIDENCE = {"age", "somatostatin-analogue"}


def check_words(error: CdsServiceError) -> None:
    """A message of ours is short, and one line."""
    assert len(str(error)) <= LONGEST_MESSAGE
    assert str(error).isprintable()


def screened(data: bytes) -> Report | None:
    """The report on a file, of which what must hold holds; None where it is an input error."""
    try:
        chart = read_chart_file(data, None)
    except InputError as error:
        check_words(error)
        return None
    report = _screener().screen_chart(chart, TODAY)
    report_json(report)
    held = _references(chart.entries)
    for one in report.criteria:
        if one.status == "met" and one.id not in _WITHOUT_EVIDENCE:
            _check_met(one, held)
    if not all(isinstance(state, Complete) for state in chart.reads.values()):
        assert report.unread or report.overall == "not_relevant"
    return report


def _check_met(one: CriterionResult, held: set[str]) -> None:
    """Nothing is met without a resource of the file, or without a whole look for what is absent."""
    if one.basis == "absence":
        assert not one.unread, f"{one.id} is met although {one.unread} was not read"
        return
    assert one.basis == "evidence"
    assert one.evidence, f"{one.id} is met by nothing"
    cited = {proof.reference for proof in one.evidence if "(entry " not in proof.reference}
    assert not held or cited <= held, f"{one.id} is met by {cited - held}"


@cache
def _screener() -> Screener:
    return screener()


def _references(entries: Iterable[Entry]) -> set[str]:
    """``Type/id`` of every resource that can be read; none at all where one cannot be."""
    found = set()
    for entry in entries:
        try:
            resource = json.loads(bytes(entry.raw))
        except (ValueError, RecursionError):
            return set()
        if isinstance(resource, dict):
            found.add(f"{resource.get('resourceType')}/{resource.get('id')}")
    return found


def is_json(data: bytes) -> bool:
    """Whether another reader takes it."""
    try:
        json.loads(data)
    except (ValueError, RecursionError):
        return False
    return True


def is_broken(line: bytes) -> bool:
    """Whether nobody can say what a line holds: no more than a character of it may be wrong."""
    try:
        json.loads(line.decode("utf-8", "replace"))
    except ValueError:
        return True
    except RecursionError:
        return False
    return False
