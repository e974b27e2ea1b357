"""Evaluates one patient for the command line: from a file, standard input, or a FHIR server."""

from __future__ import annotations

import asyncio
import sys
from datetime import UTC, date, datetime
from pathlib import Path

import msgspec

from cds_service.criteria.attest import load_attestations
from cds_service.errors import InputError
from cds_service.fhir.bundle import read_chart_file
from cds_service.fhir.chart import Chart
from cds_service.fhir.http import FhirClients, server_base
from cds_service.fhir.pull import read_chart
from cds_service.fhir.queries import SearchPlan, plan
from cds_service.record.codes import CodeBook
from cds_service.record.tables import load_tables
from cds_service.record.units import UnitBook
from cds_service.report import Report
from cds_service.screening import OpenChart, Screener
from cds_service.trial.load import load_trial
from cds_service.trial.schema import Trial
from cds_service.trial.site import Site, load_site, load_yaml

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
    site = load_site(request.site)
    tables = load_tables(extra=site.mappings)
    codes, units = CodeBook(tables), UnitBook(tables)
    trial = load_trial(None, codes)
    screener = Screener(trial, site, codes, units)
    attestations = load_attestations(request.attest, trial, load_yaml)
    as_of = request.as_of or _today(site)
    opened = screener.opened(as_of)
    chart = await _chart(request, opened, plan(trial, codes))
    return opened.report(chart, attestations), trial


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
    name = request.bundle or "-"
    if name == "-":
        return read_chart_file(sys.stdin.buffer.read(), request.patient, name="standard input")
    path = Path(name)
    try:
        data = path.read_bytes()
    except OSError as error:
        raise InputError(
            f"{name}: cannot be read ({error.strerror or 'unknown reason'})"
        ) from error
    return read_chart_file(data, request.patient, name=path.name)
