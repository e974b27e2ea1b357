"""What each write of the store does, within its transaction; feedback has a module of its own.

All but a hook and a use of a token are an operator's: switches, purges, exports.
"""

from __future__ import annotations

import json
from collections.abc import Collection
from datetime import datetime, timedelta
from typing import Final

import msgspec

from cds_service.store import queries
from cds_service.store.chain import timestamp
from cds_service.store.records import HookEntry, Switch
from cds_service.store.writing import Transaction

# Longer than any leeway with which an expired token is still taken.
_EXPIRED_LONG_AGO: Final = timedelta(hours=1)


def record_hook(transaction: Transaction, entry: HookEntry) -> None:
    """Append a hook to the audit, and keep its card, so that there can be feedback on it."""
    # Whole milliseconds: a fraction has not one text in all languages, and it is hashed.
    record = msgspec.to_builtins(entry) | {"milliseconds": round(entry.milliseconds)}
    row = transaction.append("hook", record)
    if entry.card is None or entry.outcome != "card":
        return
    queries.add_card(
        transaction.connection,
        card=entry.card,
        seq=row.seq,
        caller=entry.caller,
        service=entry.service,
        patient_hash=entry.patient,
        user_hash=entry.user,
        overall=entry.overall or "",
        issued_at=row.recorded_at,
        suggestions=json.dumps(entry.suggestions),
    )


def touch(transaction: Transaction) -> None:
    """Write something that says nothing, to see whether anything can be written."""
    queries.touch(transaction.connection, timestamp(transaction.now()))


def record_switch(
    transaction: Transaction, name: str, *, off: bool, by: str, reason: str | None
) -> None:
    """Switch something off or on, and append that to the audit."""
    record = {"name": name, "off": off, "by": by, "reason": reason}
    row = transaction.append("switch", record)
    changed = Switch(name=name, off=off, changed=row.recorded_at, by=by)
    queries.set_switch(transaction.connection, changed)


def declare(transaction: Transaction, names: Collection[str]) -> None:
    """Make what can be switched known, as far as it is not yet."""
    transaction.lock()
    known = {one.name for one in queries.all_switches(transaction.connection)}
    now = timestamp(transaction.now())
    for name in sorted(set(names) - known):
        new = Switch(name=name, off=False, changed=now, by="service")
        queries.set_switch(transaction.connection, new)


def purge(transaction: Transaction, before: datetime, *, by: str) -> tuple[int, int]:
    """Delete comments and used tokens, and append that to the audit; how many of each."""
    transaction.lock()
    limit = timestamp(before)
    # No token that could still be used, whatever was asked for.
    expired = min(limit, _long_ago(transaction))
    comments = queries.purge_comments(transaction.connection, limit)
    tokens = queries.purge_tokens(transaction.connection, expired)
    record = {"before": limit, "by": by, "comments": comments, "tokens": tokens}
    transaction.append("purge", record)
    return comments, tokens


def purge_tokens(transaction: Transaction) -> None:
    """Forget tokens that expired long ago."""
    transaction.lock()
    queries.purge_tokens(transaction.connection, _long_ago(transaction))


def record_export(transaction: Transaction, *, by: str, since: str | None, comments: bool) -> None:
    """Append to the audit that it is about to be read."""
    transaction.append("export", {"by": by, "since": since, "comments": comments})


def _long_ago(transaction: Transaction) -> str:
    return timestamp(transaction.now() - _EXPIRED_LONG_AGO)
