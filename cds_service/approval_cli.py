"""``cds-service approval``: sign what decides about patients, and check what was signed."""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from cds_service.errors import InputError
from cds_service.knowledge import load_knowledge
from cds_service.trust.approval import check_approval, new_key, sign

approval = typer.Typer(
    name="approval",
    help="Sign the criteria and codes in force, and check it.",
    no_args_is_help=True,
)

_SITE = typer.Option("--site", help="The site file that is approved with them.")


@approval.command("new-key")
def make_key(
    by: Annotated[str, typer.Option("--by", help="The signer's name, as it shall be shown.")],
    out: Annotated[Path, typer.Option("--out", help="Where the private key goes; must not exist.")],
) -> None:
    """Make a signer's key; the public half goes to standard output, as a JWK set."""
    private, public = new_key(by)
    try:
        handle = os.open(out, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except OSError as error:
        raise InputError(f"{out}: cannot be made ({error.strerror})") from error
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        json.dump(private, file)
    typer.echo(json.dumps({"keys": [public]}, indent=2))


@approval.command("sign")
def make_approval(
    by: Annotated[str, typer.Option("--by", help="The signer.")],
    key: Annotated[Path, typer.Option("--key", help="The signer's private key (JWK).")],
    site: Annotated[Path | None, _SITE] = None,
) -> None:
    """Sign the trial file, the tables and the site file; the approval goes to standard output."""
    wanted = load_knowledge(site).to_approve(site, by, datetime.now(UTC).date())
    typer.echo(sign(wanted, key))


@approval.command("check")
def check(
    file: Annotated[Path, typer.Argument(help="The approval.")],
    keys: Annotated[Path, typer.Option("--keys", help="The signers' public keys (JWK set).")],
    site: Annotated[Path | None, _SITE] = None,
) -> None:
    """Check that what is in force is what was approved."""
    wanted = load_knowledge(site).to_approve(site, "", datetime.now(UTC).date())
    found = check_approval(file, keys, wanted)
    typer.echo(msgspec.json.format(msgspec.json.encode(found)).decode())
