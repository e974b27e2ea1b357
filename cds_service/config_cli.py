"""The command ``cds-service config``: wiring only."""

from __future__ import annotations

from typing import Annotated

import typer

from cds_service.errors import one_line

config = typer.Typer(
    name="config", help="Look at the configuration without serving.", no_args_is_help=True
)


@config.callback()
def _group() -> None:
    """Keep ``check`` a command of its own, although it is the only one."""


@config.command("check")
def check(
    store: Annotated[bool, typer.Option("--store", help="Also connect to the store.")] = False,  # noqa: FBT002
) -> None:
    """Check settings and files as a start would; every error is a line, and the exit code is 2."""
    from cds_service.operations.config_check import (  # noqa: PLC0415 - slow to import
        check_configuration,
        lines,
    )

    found = check_configuration(reach_store=store)
    for error in found.errors:
        typer.echo(f"cds-service: {one_line(error)}", err=True)
    if found.errors:
        raise typer.Exit(2)
    for line in lines(found.summary):
        typer.echo(line)
