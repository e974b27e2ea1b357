"""The ``cds-service`` command: wiring only.

Errors are one line on standard error: exit 2 for bad input or usage, 1 for a failed job.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from datetime import UTC, date, datetime
from enum import StrEnum
from importlib.metadata import version as package_version
from pathlib import Path
from typing import Annotated

import typer

from cds_service.approval_cli import approval
from cds_service.audit_cli import audit, switch
from cds_service.config_cli import config
from cds_service.errors import (
    CdsServiceError,
    ConfigError,
    InputError,
    MappingError,
    TrialFileError,
    one_line,
)

app = typer.Typer(
    name="cds-service",
    help="Screens charts for the NET RETREAT trial: a CDS Hooks service and an evaluator.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
for part in (approval, audit, config, switch):
    app.add_typer(part)

# typer has no public name for the base of its usage errors.
_UsageError: type[Exception] = typer.BadParameter.__mro__[1]


def _say_version(asked: bool) -> None:  # noqa: FBT001  (as typer calls it)
    if not asked:
        return
    typer.echo(f"cds-service {package_version('cds-service')}")
    from cds_service.knowledge import load_knowledge

    known = load_knowledge(None)
    trial, codes = known.trial, known.codes
    typer.echo(f"trial {trial.id} {trial.version} {trial.digest}")
    typer.echo(f"mappings {codes.version} {codes.digest}")
    raise typer.Exit


@app.callback()
def _options(
    *,
    version: Annotated[
        bool,
        typer.Option(
            "--version",
            callback=_say_version,
            is_eager=True,
            help="Say which edition this is, of the service, the trial and the code tables.",
        ),
    ] = False,
) -> None:
    """Options of the command itself."""


class Format(StrEnum):
    """How a report is printed."""

    json = "json"
    text = "text"
    markdown = "markdown"


# A trial of this century; the windows of a day beyond would leave the calendar.
_EARLIEST, _LATEST = date(2000, 1, 1), date(2199, 12, 31)


def _day(text: str | None) -> date | None:
    if text is None:
        return None
    try:
        found = date.fromisoformat(text)
    except ValueError:
        found = None
    if found is None or text != found.isoformat():
        raise InputError(f"--as-of {text!r} is no date of the form YYYY-MM-DD")
    if not _EARLIEST <= found <= _LATEST:
        raise InputError(f"--as-of {text}: must be from {_EARLIEST} to {_LATEST}")
    return found


@app.command()
def evaluate(  # noqa: PLR0913, PLR0917  (each is an option of the command)
    bundle: Annotated[
        str | None,
        typer.Argument(help="A FHIR R4 Bundle or NDJSON file, or - for standard input."),
    ] = None,
    fhir_server: Annotated[
        str | None, typer.Option("--fhir-server", help="Pull the chart from this FHIR R4 base URL.")
    ] = None,
    patient: Annotated[
        str | None,
        typer.Option("--patient", help="The patient's id, if there are several."),
    ] = None,
    as_of: Annotated[
        str | None,
        typer.Option("--as-of", help="Assumed enrolment date (YYYY-MM-DD); else today."),
    ] = None,
    site: Annotated[Path | None, typer.Option("--site", help="The site file (YAML).")] = None,
    attest: Annotated[Path | None, typer.Option("--attest", help="Attestations (YAML).")] = None,
    format_: Annotated[Format, typer.Option("--format", help="How to print it.")] = Format.text,
) -> None:
    """Evaluate one patient from a file, from standard input, or from a FHIR server."""
    from cds_service.evaluation import Request, run_evaluation

    if (bundle is None) == (fhir_server is None):
        raise InputError("give either a file (or -) or --fhir-server with --patient")
    if fhir_server is not None and patient is None:
        raise InputError("--fhir-server needs --patient")
    request = Request(bundle, fhir_server, patient, _day(as_of), site, attest)
    report, trial = asyncio.run(run_evaluation(request))
    from cds_service.printing import print_report

    print_report(report, trial, format_.value)


@app.command()
def compare(
    other: Annotated[Path, typer.Argument(help="The other version's trial file.")],
    charts: Annotated[list[Path], typer.Argument(help="Charts, one patient a file.")],
    site: Annotated[Path | None, typer.Option("--site", help="The site file (YAML).")] = None,
    as_of: Annotated[
        str | None,
        typer.Option("--as-of", help="Assumed enrolment date (YYYY-MM-DD); else today."),
    ] = None,
) -> None:
    """Judge charts by the trial in force and by another version of it; exit 1 where they differ."""
    from cds_service.evaluation import compare_versions
    from cds_service.printing import print_comparison

    same = True
    for compared in compare_versions(charts, other, site, _day(as_of)):
        print_comparison(compared.chart, compared.comparison)
        same = same and compared.comparison.same
    if not same:
        raise typer.Exit(1)


@app.command()
def serve(
    host: Annotated[str, typer.Option("--host", help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option("--port", min=0, max=65535, help="Port.")] = 8000,
    workers: Annotated[
        int, typer.Option("--workers", min=1, max=64, help="Processes that serve it.")
    ] = 1,
) -> None:
    """Serve the CDS Hooks service, configured by the environment (CDS_…)."""
    from cds_service.serving import serve_service

    serve_service(host, port, workers)


@app.command()
def demo(
    port: Annotated[int, typer.Option("--port", min=1, max=65535, help="Port.")] = 8000,
) -> None:
    """Run the service with an embedded FHIR server, synthetic patients and a small EHR page."""
    from cds_service.serving import serve_demo

    serve_demo(port, datetime.now(UTC).date())


def main() -> None:
    """Entry point of the console command; every error on purpose is one line and an exit code."""
    try:
        code = app(standalone_mode=False)
    except _UsageError as error:
        code = _failed(_described(error), 2)
    except (InputError, ConfigError, MappingError, TrialFileError) as error:
        code = _failed(str(error), 2)
    except CdsServiceError as error:
        code = _failed(str(error), 1)
    except BrokenPipeError:
        sys.stderr.close()
        code = 1
    except typer.Abort:
        code = 130
    sys.exit(code if isinstance(code, int) else 0)


def _described(usage_error: Exception) -> str:
    """What is wrong with a command's use; the error itself names no option, its method does."""
    named: Callable[[], str] = getattr(usage_error, "format_message", lambda: str(usage_error))
    return named() or "wrong usage"


def _failed(message: str, code: int) -> int:
    typer.echo(f"cds-service: {one_line(message)}", err=True)
    return code


if __name__ == "__main__":
    main()
