"""All SQL of the service, but for the steps in ``migrations/``; each function is one question.

Every value is bound, never written into a statement. What every hook asks or writes is a statement
made once: SQLAlchemy finds the SQL of a statement by its parts, and making the parts anew takes
longer than executing it.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable, Sequence
from typing import Final

import msgspec
from sqlalchemy import (
    Connection,
    bindparam,
    delete,
    func,
    insert,
    inspect,
    literal_column,
    select,
    true,
    update,
)
from sqlalchemy.dialects import postgresql, sqlite

from cds_service.store.chain import Row
from cds_service.store.records import QuietKey, Switch
from cds_service.store.tables import (
    audit,
    audit_head,
    cards,
    comments,
    feedback,
    metadata,
    probe,
    switches,
    used_tokens,
)

# Of this project alone; any number will do.
_MIGRATION_LOCK: Final = 0x6364_735F_7376
_AT_A_TIME: Final = 500

_READ_HEAD: Final = select(audit_head.c.seq, audit_head.c.hash).where(audit_head.c.id == 1)
_LOCK_HEAD: Final = _READ_HEAD.with_for_update()
_APPEND: Final = insert(audit)
_MOVE_HEAD: Final = (
    update(audit_head)
    .where(audit_head.c.id == 1)
    .values(seq=bindparam("new_seq"), hash=bindparam("new_hash"))
)
_ADD_CARD: Final = insert(cards)
_ADD_TOKEN: Final = {
    name: kind.insert(used_tokens).on_conflict_do_nothing().returning(literal_column("1"))
    for name, kind in (("sqlite", sqlite), ("postgresql", postgresql))
}
_LATEST_OVERRIDE: Final = (
    select(cards.c.outcome_received_at, cards.c.overall)
    .where(
        cards.c.caller == bindparam("caller"),
        cards.c.service == bindparam("service"),
        cards.c.patient_hash == bindparam("patient"),
        cards.c.user_hash == bindparam("user"),
        cards.c.outcome == "overridden",
    )
    .order_by(cards.c.outcome_effective_at.desc(), cards.c.outcome_received_at.desc())
    .limit(1)
)
_SWITCHED_OFF: Final = select(switches.c.name).where(switches.c.off == true())


class CardRow(msgspec.Struct, frozen=True):
    """A card that was shown."""

    card: str
    issued_at: str
    suggestions: str
    outcome_effective_at: str | None


class KnownFeedback(msgspec.Struct, frozen=True):
    """A feedback of a certain content; the comment is None where there is none or it was purged."""

    seq: int
    comment: str | None


class Exported(msgspec.Struct, frozen=True):
    """A row of the audit, and the comment that belongs to it."""

    row: Row
    comment: str | None


def lock_for_migration(connection: Connection) -> None:
    """Be the only one to change tables; in SQLite a write transaction is that already."""
    if connection.dialect.name == "postgresql":
        connection.execute(select(func.pg_advisory_xact_lock(_MIGRATION_LOCK)))


def has_audit(connection: Connection) -> bool:
    """Whether there is an audit at all."""
    return inspect(connection).has_table(audit.name)


def fits(connection: Connection) -> bool:
    """Whether every table and column that this release needs is there."""
    found = inspect(connection)
    return all(
        found.has_table(table.name)
        and {column.name for column in table.columns}
        <= {column["name"] for column in found.get_columns(table.name)}
        for table in metadata.sorted_tables
    )


def lock_head(connection: Connection) -> tuple[int, str] | None:
    """Number and hash of the last row, and the right to append until the transaction ends."""
    found = connection.execute(_LOCK_HEAD).one_or_none()
    return None if found is None else (found.seq, found.hash)


def read_head(connection: Connection) -> tuple[int, str] | None:
    """Number and hash of the last row, as noted beside the chain."""
    found = connection.execute(_READ_HEAD).one_or_none()
    return None if found is None else (found.seq, found.hash)


def append(connection: Connection, row: Row) -> None:
    """Add a row to the audit."""
    connection.execute(_APPEND, msgspec.structs.asdict(row))


def begin_head(connection: Connection, seq: int, row_hash: str) -> None:
    """Note the end of a new chain."""
    connection.execute(insert(audit_head), {"id": 1, "seq": seq, "hash": row_hash})


def move_head(connection: Connection, seq: int, row_hash: str) -> None:
    """Note the new end of the chain."""
    connection.execute(_MOVE_HEAD, {"new_seq": seq, "new_hash": row_hash})


def has_hashes(connection: Connection) -> bool:
    """Whether patients and users stand in the audit."""
    if not has_audit(connection):
        return False
    one = select(audit.c.seq).where(audit.c.kind == "hook").limit(1)
    return connection.execute(one).first() is not None


def has_hash(connection: Connection, row_hash: str) -> bool:
    """Whether any row has this hash."""
    found = connection.execute(select(audit.c.seq).where(audit.c.hash == row_hash).limit(1))
    return found.first() is not None


def rows(connection: Connection) -> Generator[Row, None, None]:
    """All rows of the audit in order, a few in memory at a time."""
    with connection.execute(
        select(*audit.columns).order_by(audit.c.seq), execution_options={"yield_per": _AT_A_TIME}
    ) as found:
        for row in found:
            yield Row(*row)


def exported(connection: Connection, since: str) -> Generator[Exported, None, None]:
    """Rows recorded at that point in time or later, in order, each with its comment."""
    with connection.execute(
        select(*audit.columns, comments.c.comment)
        .select_from(audit.outerjoin(comments, comments.c.seq == audit.c.seq))
        .where(audit.c.recorded_at >= since)
        .order_by(audit.c.seq),
        execution_options={"yield_per": _AT_A_TIME},
    ) as found:
        for row in found:
            yield Exported(Row(*row[:-1]), row[-1])


def add_card(connection: Connection, **values: str | int) -> None:
    """Note a card that is about to be shown."""
    connection.execute(_ADD_CARD, values)


def find_cards(
    connection: Connection, caller: str, service: str, wanted: Iterable[str]
) -> dict[str, CardRow]:
    """Those of the cards that this caller was shown by this service."""
    ids = sorted(set(wanted))
    found: dict[str, CardRow] = {}
    for start in range(0, len(ids), _AT_A_TIME):
        some = ids[start : start + _AT_A_TIME]
        for row in connection.execute(
            select(
                cards.c.card, cards.c.issued_at, cards.c.suggestions, cards.c.outcome_effective_at
            ).where(cards.c.caller == caller, cards.c.service == service, cards.c.card.in_(some))
        ):
            found[row.card] = CardRow(*row)
    return found


def set_outcome(
    connection: Connection, card: str, outcome: str, effective_at: str, received_at: str
) -> None:
    """Note the current outcome of a card."""
    connection.execute(
        update(cards)
        .where(cards.c.card == card)
        .values(outcome=outcome, outcome_effective_at=effective_at, outcome_received_at=received_at)
    )


def latest_override(connection: Connection, key: QuietKey) -> tuple[str, str] | None:
    """When the latest override was received, and the overall result of its card."""
    found = connection.execute(_LATEST_OVERRIDE, msgspec.structs.asdict(key)).one_or_none()
    return None if found is None else (found.outcome_received_at, found.overall)


def known_feedback(connection: Connection, card: str, content: str) -> Sequence[KnownFeedback]:
    """The feedback on a card with a certain content, apart from comments."""
    found = connection.execute(
        select(feedback.c.seq, comments.c.comment)
        .select_from(feedback.outerjoin(comments, comments.c.seq == feedback.c.seq))
        .where(feedback.c.card == card, feedback.c.content == content)
        .order_by(feedback.c.seq)
    )
    return [KnownFeedback(*row) for row in found]


def add_feedback(connection: Connection, seq: int, card: str, content: str, at: str) -> None:
    """Note a feedback, received for the first time."""
    connection.execute(
        insert(feedback),
        {
            "seq": seq,
            "card": card,
            "content": content,
            "received_at": at,
            "times_received": 1,
            "last_received_at": at,
        },
    )


def count_repeat(connection: Connection, seq: int, at: str) -> None:
    """Note that a feedback came again."""
    connection.execute(
        update(feedback)
        .where(feedback.c.seq == seq)
        .values(times_received=feedback.c.times_received + 1, last_received_at=at)
    )


def add_comment(connection: Connection, seq: int, salt: str, comment: str, at: str) -> None:
    """Keep what a user typed."""
    connection.execute(
        insert(comments), {"seq": seq, "salt": salt, "comment": comment, "received_at": at}
    )


def add_token(connection: Connection, digest: str, expires_at: str) -> bool:
    """Note a used token; False if it was noted before."""
    values = {"digest": digest, "expires_at": expires_at}
    added = connection.execute(_ADD_TOKEN[connection.dialect.name], values)
    return added.first() is not None


def purge_tokens(connection: Connection, before: str) -> int:
    """Forget tokens that expired before a point in time; how many."""
    return connection.execute(delete(used_tokens).where(used_tokens.c.expires_at < before)).rowcount


def purge_comments(connection: Connection, before: str) -> int:
    """Delete comments received before a point in time; how many."""
    return connection.execute(delete(comments).where(comments.c.received_at < before)).rowcount


def set_switch(connection: Connection, switch: Switch) -> None:
    """Note a switch."""
    values = {
        "off": switch.off,
        "changed_at": switch.changed,
        "changed_by": switch.by,
    }
    changed = connection.execute(
        update(switches).where(switches.c.name == switch.name).values(values)
    )
    if not changed.rowcount:
        connection.execute(insert(switches), {"name": switch.name, **values})


def switched_off(connection: Connection) -> frozenset[str]:
    """What is off."""
    return frozenset(connection.execute(_SWITCHED_OFF).scalars())


def all_switches(connection: Connection) -> list[Switch]:
    """Everything that was ever switched."""
    found = connection.execute(
        select(
            switches.c.name, switches.c.off, switches.c.changed_at, switches.c.changed_by
        ).order_by(switches.c.name)
    )
    return [
        Switch(name=row.name, off=row.off, changed=row.changed_at, by=row.changed_by)
        for row in found
    ]


def touch(connection: Connection, at: str) -> None:
    """Write something, to see that it can be done."""
    if not connection.execute(update(probe).where(probe.c.id == 1).values(written_at=at)).rowcount:
        connection.execute(insert(probe), {"id": 1, "written_at": at})
