"""Compares two doors on real FHIR: the report on a bundle, and the report by pull from HAPI FHIR.

The same evaluator stands behind both; what is compared is everything before it: searches, pages,
included Medications, what a real server does to a resource that it stores.

The hook reads no further once it knows that a chart is not relevant. Such a chart is pulled once
more as a whole, so that all of it is compared; what the hook says of it must be the same but for
remarks on what it did not read.
"""

from __future__ import annotations

import argparse
import asyncio
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from datetime import date
from pathlib import Path
from typing import Any, Final

import httpx2
import msgspec

from cds_service.fhir.bundle import read_chart_file
from cds_service.fhir.chart import Chart
from cds_service.fhir.http import FhirClients, server_base
from cds_service.fhir.pull import read_chart
from cds_service.fhir.queries import SearchPlan, plan
from cds_service.report import Report, report_json
from validation.cohort_folder import Cohort
from validation.hapi_load import load_chart
from validation.hapi_server import built_jar, running_hapi
from validation.judging import Judge
from validation.markdown import between, table
from validation.mess import Dial
from validation.usual_cohort import cohort_at

_PULL_S: Final = 60
_SHOWN: Final = 20
# The whole sample is in the memory of the server.
_HEAP_MB: Final = 3072
_LONGEST: Final = 120
# One ordinary patient for so many NET patients: most of what an ordinary chart holds is never read.
_NET_FOR_ONE: Final = 10
_COMPARED: Final = (
    "Patients with a tumour, and an ordinary one for each ten of them, were drawn by a hash of "
    "their ids and loaded into HAPI FHIR. What the service pulled from it gave a report, and so "
    "did the file; both were compared as JSON, field for field. "
)


class Comparison(msgspec.Struct):
    """What was compared.

    Args:
        differences: by patient, each field that differs.
        fields: how many fields were the same.
    """

    patients: int = 0
    resources: int = 0
    fields: int = 0
    differences: dict[str, list[str]] = msgspec.field(default_factory=dict)
    overalls: dict[str, int] = msgspec.field(default_factory=dict)


class Doors:
    """Both ways to a report.

    Args:
        base: base URL of the FHIR server.
    """

    def __init__(self, judge: Judge, base: str) -> None:
        self._judge = judge
        self._base = base
        self._plan: SearchPlan = plan(judge.trial, judge.codes)

    def from_bundle(self, chart: bytes, as_of: date) -> tuple[str, Report]:
        """The patient's id and the report on a file."""
        read = read_chart_file(chart, None)
        return read.patient_id, self._judge.screener.screen_chart(read, as_of)

    async def by_pull(self, patient: str, as_of: date, *, whole: bool = False) -> Report:
        """The report on what the server gives.

        Args:
            whole: whether to read all of a chart that is not relevant, too.
        """
        deadline = asyncio.get_running_loop().time() + _PULL_S
        opened = self._judge.screener.opened(as_of)
        relevant: Callable[[Chart], bool] = (lambda _: True) if whole else opened.relevant
        async with FhirClients() as clients:
            client = clients.client(self._base)
            chart = await read_chart(client, self._plan, patient, deadline, relevant)
        return opened.report(chart)


def differences(one: Any, other: Any, path: str = "") -> Iterator[str]:
    """Each field in which two JSON values differ."""
    if isinstance(one, dict) and isinstance(other, dict):
        for name in {**one, **other}:
            yield from differences(one.get(name), other.get(name), f"{path}.{name}".lstrip("."))
    elif isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
        for at, (left, right) in enumerate(zip(one, other, strict=True)):
            yield from differences(left, right, f"{path}[{at}]")
    elif one != other:
        yield f"{path}: {_short(one)} from the bundle, {_short(other)} by pull"


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]} …"


def count_fields(value: Any) -> int:
    """How many values a JSON value holds."""
    if isinstance(value, dict):
        return sum(map(count_fields, value.values()))
    return sum(map(count_fields, value)) if isinstance(value, list) else 1


def compare(charts: Sequence[Path], as_of: date, judge: Judge, base_url: str) -> Comparison:
    """Load charts into a server and compare both reports on each.

    Raises:
        httpx2.HTTPStatusError: the server does not take a chart.
        ValueError: this is no base URL, or two charts share an id, so that one would overwrite the
            other.
    """
    base = server_base(base_url)
    if base is None:
        raise ValueError(f"{base_url} is no base URL")
    doors, found = Doors(judge, base), Comparison()
    loaded: set[str] = set()
    with httpx2.Client(trust_env=False, timeout=300) as client:
        for path in charts:
            addresses = load_chart(client, base, path.read_bytes())
            if loaded & addresses:
                raise ValueError(f"{path.name} has ids of another chart: {loaded & addresses}")
            loaded |= addresses
    found.resources = len(loaded)
    for path in charts:
        _compare(path, as_of, doors, found)
    return found


def _compare(path: Path, as_of: date, doors: Doors, found: Comparison) -> None:
    patient, filed = doors.from_bundle(path.read_bytes(), as_of)
    pulled = asyncio.run(doors.by_pull(patient, as_of))
    one, other = _json(filed), _json(pulled)
    found.patients += 1
    found.overalls[filed.overall] = found.overalls.get(filed.overall, 0) + 1
    unlike: list[str] = []
    if pulled.overall == "not_relevant":
        seen = [issue for issue in one["dataIssues"] if issue in other["dataIssues"]]
        unlike += differences(one | {"dataIssues": seen}, other)
        other = _json(asyncio.run(doors.by_pull(patient, as_of, whole=True)))
    unlike += differences(one, other)
    found.fields += count_fields(one) - len(unlike)
    if unlike:
        found.differences[patient] = unlike


def _json(report: Report) -> dict[str, Any]:
    content: dict[str, Any] = msgspec.json.decode(report_json(report))
    return content


def sampled(cohort: Cohort, size: int) -> tuple[Path, ...]:
    """Some patients, NET and ordinary, by a draw that belongs to each."""
    dial = Dial("sample", 1, cohort.manifest.seed)

    def some(charts: Sequence[Path], wanted: int) -> list[Path]:
        return sorted(charts, key=lambda chart: dial.draw("through HAPI", chart.stem, ""))[:wanted]

    return (*some(cohort.net, size), *some(cohort.ordinary, size // _NET_FOR_ONE))


def main(arguments: Sequence[str] | None = None) -> int:
    """Compare.

    Returns:
        1 if any field differs.

    Raises:
        CannotRun: there is no cohort, and none can be made; or the server does not start.
    """
    parser = argparse.ArgumentParser(prog="python -m validation hapi", description=__doc__)
    parser.add_argument("--cohort", type=Path, help="folder of another cohort than build/cohort")
    parser.add_argument("--sample", type=int, default=200, help="how many NET patients")
    parser.add_argument("--base", help="a FHIR server to use instead of one of our own")
    parser.add_argument("--out", type=Path, help="document to write")
    options = parser.parse_args(arguments)
    cohort = cohort_at(options.cohort)
    started = time.monotonic()
    with ExitStack() as stack:
        base = options.base or stack.enter_context(running_hapi(built_jar(), heap_mb=_HEAP_MB))
        charts = sampled(cohort, options.sample)
        found = compare(charts, cohort.manifest.as_of, Judge(cohort.manifest), base)
    words = described(found)
    print(f"{words}\n\ndone in {time.monotonic() - started:.0f} s")
    print("differences" if found.differences else "equal, field for field")
    if options.out is not None:
        text = options.out.read_text(encoding="utf-8")
        options.out.write_text(between(text, "hapi", words), encoding="utf-8")
    return 1 if found.differences else 0


def described(found: Comparison) -> str:
    """What was compared, as Markdown."""
    rows = [
        ("patients", f"{found.patients:,}"),
        *((f"of them `{name}`", f"{count:,}") for name, count in sorted(found.overalls.items())),
        ("resources in HAPI FHIR", f"{found.resources:,}"),
        ("fields of the reports that are the same", f"{found.fields:,}"),
        ("fields that differ", sum(map(len, found.differences.values()))),
    ]
    lines = [
        f"- {patient}: {line}"
        for patient, unlike in list(found.differences.items())[:_SHOWN]
        for line in unlike[:_SHOWN]
    ]
    words = _COMPARED + ("Not all is the same." if found.differences else "All is the same.")
    return "\n".join([words, "", table(("", "found"), rows), *([""] if lines else []), *lines])
