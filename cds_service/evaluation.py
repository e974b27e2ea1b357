"""Evaluates one patient for the command line: from a file, standard input, or a FHIR server."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime
from pathlib import Path

import msgspec

from cds_service.comparison import Comparison, compare
from cds_service.criteria.attest import load_attestations
from cds_service.errors import InputError
from cds_service.fhir.bundle import read_chart_file
from cds_service.fhir.chart import Chart
from cds_service.fhir.http import FhirClients, server_base
from cds_service.fhir.pull import read_chart
from cds_service.fhir.queries import SearchPlan
from cds_service.knowledge import load_knowledge
from cds_service.report import Report
from cds_service.screening import OpenChart
from cds_service.trial.schema import Trial
from cds_service.trial.site import Site, load_yaml

# A person at a terminal waits longer than an EHR.
PULL_SECONDS = 60.0


class Request(msgspec.Struct, frozen=True):
    """What the command line asks for; one of ``bundle`` and ``fhir_server`` is given."""

    bundle: str | None
    fhir_server: str | None
    patient: str | None
    as_of: date | None
    site: Path | None
    attest: Path | None


async def run_evaluation(request: Request) -> tuple[Report, Trial]:
    """Evaluate one patient.

    Raises:
        InputError: the chart, the site file or the attestation file cannot be used.
        FhirError: the FHIR server does not give the patient.
        MappingError, TrialFileError: a reviewed data file is wrong.
    """
    known = load_knowledge(request.site)
    attestations = load_attestations(request.attest, known.trial, load_yaml)
    opened = known.screener.opened(request.as_of or _today(known.site))
    chart = await _chart(request, opened, known.searches)
    return opened.report(chart, attestations), known.trial


def _today(site: Site) -> date:
    return datetime.now(UTC).astimezone(site.zone).date()


async def _chart(request: Request, opened: OpenChart, searches: SearchPlan) -> Chart:
    if request.fhir_server is None:
        return _file(request)
    base = server_base(request.fhir_server)
    if base is None or request.patient is None:
        raise InputError("--fhir-server is no base URL of a FHIR server")
    patient_id = request.patient.removeprefix("Patient/")
    deadline = asyncio.get_running_loop().time() + PULL_SECONDS
    async with FhirClients() as clients:
        client = clients.client(base)
        return await read_chart(client, searches, patient_id, deadline, opened.relevant)


def _file(request: Request) -> Chart:
    name = request.bundle
    if not name:
        raise InputError("the name of the file is empty")
    if name == "-":
        return read_chart_file(sys.stdin.buffer.read(), request.patient, name="standard input")
    path = Path(name)
    return read_chart_file(_bytes(path), request.patient, name=path.name)


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise InputError(
            f"{path}: cannot be read ({error.strerror or 'unknown reason'})"
        ) from error


class Compared(msgspec.Struct, frozen=True):
    """How two versions of a trial judge one chart."""

    chart: str
    comparison: Comparison


def compare_versions(
    charts: Sequence[Path], other: Path, site: Path | None, as_of: date | None
) -> Iterator[Compared]:
    """Judge charts by the trial in force and by another version of it, one after the other.

    Args:
        charts: files with one patient each.
        other: the other version's trial file.
        site: the site file.
        as_of: the assumed day of enrolment; None for today.

    Raises:
        InputError: a chart or the site file cannot be used.
        MappingError, TrialFileError: a reviewed data file is wrong.
    """
    known = load_knowledge(site)
    candidate = known.other_version(other)
    day = as_of or _today(known.site)
    for path in charts:
        chart = read_chart_file(_bytes(path), None, name=path.name)
        opened = known.screener.opened(day)
        comparison = compare(opened.report(chart), opened.report_by(candidate, chart))
        yield Compared(path.name, comparison)
