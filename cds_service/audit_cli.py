"""The commands ``cds-service audit`` and ``cds-service switch``: wiring only.

They work on the store directly, so that they also do while the service is down. A broken chain is
a failed job: exit 1.
"""

from __future__ import annotations

import asyncio
import getpass
import os
import re
import sys
from collections.abc import Awaitable, Callable
from datetime import UTC, date, datetime
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from cds_service.errors import InputError

if TYPE_CHECKING:
    from cds_service.store.store import Store

T = TypeVar("T")

audit = typer.Typer(
    name="audit", help="Verify, export and purge what the store keeps.", no_args_is_help=True
)
switch = typer.Typer(
    name="switch", help="Switch a trial or an issuer off, and on again.", no_args_is_help=True
)

Database = Annotated[
    str | None,
    typer.Option("--database", help="SQLAlchemy URL of the store; else CDS_DATABASE_URL."),
]
Name = Annotated[str, typer.Argument(help="trial:ID or issuer:NAME.")]
New = Annotated[bool, typer.Option("--new", help="Although no service has used this name so far.")]
Reason = Annotated[str | None, typer.Option("--reason", help="Why; kept in the audit.")]

_HASH = re.compile(r"[0-9a-f]{64}\Z")
_SWITCH = re.compile(r"(trial|issuer):[A-Za-z0-9._-]{1,100}\Z")


class Form(StrEnum):
    """How the audit is exported."""

    ndjson = "ndjson"
    csv = "csv"


@audit.command("verify")
def verify_chain(
    database: Database = None,
    head: Annotated[
        str | None, typer.Option("--head", help="A head noted earlier, which must be in the chain.")
    ] = None,
) -> None:
    """Check that no record was changed, taken away or put in, and print the head of the chain."""
    from cds_service.store.chain import ChainBroken
    from cds_service.store.inspection import verify

    found = verify(_url(database), None if head is None else _hash(head))
    typer.echo(f"rows: {found.count}")
    typer.echo(f"first: {found.first}")
    typer.echo(f"last: {found.last}")
    typer.echo(f"head: {found.head}")
    if found.noted is not None:
        typer.echo(f"noted head: row {found.noted}")
    if found.broken is not None:
        raise ChainBroken(found.broken)


@audit.command("export")
def export_audit(
    out: Annotated[str, typer.Option("--out", help="A file, or - for standard output.")],
    database: Database = None,
    since: Annotated[
        str | None, typer.Option("--since", help="First day, UTC (YYYY-MM-DD).")
    ] = None,
    format_: Annotated[Form, typer.Option("--format", help="How to write it.")] = Form.ndjson,
    with_comments: Annotated[  # noqa: FBT002  (typer's way to say a flag)
        bool, typer.Option("--with-comments", help="With what users typed.")
    ] = False,
) -> None:
    """Write the audit to a file that only you can read; that you did is recorded in it."""
    from cds_service.store.inspection import export, private_file, write_csv, write_ndjson

    write = write_csv if format_ is Form.csv else write_ndjson
    url, first = _url(database), None if since is None else _day("--since", since)
    _with_store(
        url,
        lambda store: store.note_export(by=_user(), since=since, comments=with_comments),
    )
    if out == "-":
        export(url, sys.stdout, write, first, comments=with_comments)
        return
    with private_file(Path(out)) as file:
        count = export(url, file, write, first, comments=with_comments)
    typer.echo(f"{count} rows in {out}", err=True)


@audit.command("purge")
def purge(
    before: Annotated[str, typer.Option("--before", help="Day, UTC (YYYY-MM-DD).")],
    database: Database = None,
) -> None:
    """Delete comments received, and used tokens expired, before a day; the chain stays whole."""
    day = _day("--before", before)
    limit = datetime(day.year, day.month, day.day, tzinfo=UTC)
    comments, tokens = _with_store(_url(database), lambda store: store.purge(limit, by=_user()))
    typer.echo(f"deleted: {comments} comments, {tokens} used tokens")


@audit.command("begin")
def begin_chain(
    after: Annotated[str, typer.Option("--after", help="Head of the chain before.")],
    database: Database = None,
) -> None:
    """Begin a new chain, in a database that has none, whose first record names the one before."""
    from cds_service.store.inspection import begin

    begin(_url(database), _hash(after), _now)
    typer.echo("begun")


@switch.command("off")
def switch_off(
    name: Name,
    reason: Reason = None,
    database: Database = None,
    new: New = False,  # noqa: FBT002  (typer's way to say a flag)
) -> None:
    """Show no card of a trial, or to an issuer, from the next second on."""
    _switch(name, reason, database, off=True, new=new)


@switch.command("on")
def switch_on(
    name: Name,
    reason: Reason = None,
    database: Database = None,
    new: New = False,  # noqa: FBT002
) -> None:
    """Show cards again."""
    _switch(name, reason, database, off=False, new=new)


@switch.command("show")
def show(database: Database = None) -> None:
    """Print what was ever switched, and how it is now."""
    for one in _with_store(_url(database), lambda store: store.switches()):
        state = "off" if one.off else "on"
        typer.echo(f"{one.name}\t{state}\tsince {one.changed}\tby {one.by}")


def _switch(name: str, reason: str | None, database: str | None, *, off: bool, new: bool) -> None:
    if _SWITCH.match(name) is None:
        raise InputError(f"{name!r}: must be trial:ID or issuer:NAME")

    async def job(store: Store) -> list[str]:
        known = [one.name for one in await store.switches()]
        if known and name not in known and not new:
            # With a slip in the name, nothing would be off, and somebody would believe that it is.
            used = ", ".join(known)
            raise InputError(
                f"no service uses {name}; used: {used}. --new switches it all the same"
            )
        await store.switch(name, off=off, by=_user(), reason=reason)
        return known

    known = _with_store(_url(database), job)
    typer.echo(f"{name} is {'off' if off else 'on'}")
    if name not in known:
        typer.echo("cds-service: no service has used this name so far", err=True)


def _with_store(url: str, job: Callable[[Store], Awaitable[T]]) -> T:
    """Do something with a store that there is; a misspelt address must not make another one."""
    from cds_service.store.inspection import check_audit
    from cds_service.store.store import Store

    async def run() -> T:
        store = Store(url, now=_now, patience_s=10)
        await store.start()
        try:
            return await job(store)
        finally:
            await store.aclose()

    check_audit(url)
    return asyncio.run(run())


def _url(given: str | None) -> str:
    if given is not None:
        return given
    from cds_service.settings import load_settings

    return load_settings().database_url.get_secret_value()


def _day(option: str, text: str) -> date:
    try:
        found = date.fromisoformat(text)
    except ValueError:
        found = None
    if found is None or text != found.isoformat():
        raise InputError(f"{option} {text!r} is no date of the form YYYY-MM-DD")
    return found


def _hash(text: str) -> str:
    if _HASH.match(text) is None:
        raise InputError(f"{text!r} is no hash of 64 hexadecimal digits")
    return text


def _user() -> str:
    """Who runs this, as the operating system knows them."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return f"uid {os.getuid()}"


def _now() -> datetime:
    return datetime.now(UTC)
