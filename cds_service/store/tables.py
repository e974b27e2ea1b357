"""The tables as the code sees them; ``migrations/`` makes them, and a test holds both together.

Points in time are text, ISO 8601 in UTC with six decimals: the same in every database, part of what
is hashed, and in order as text.
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    Table,
    Text,
)

metadata = MetaData()

# In SQLite only INTEGER is the row's own number.
_NUMBER = BigInteger().with_variant(Integer, "sqlite")

# Append-only; triggers refuse anything else.
audit = Table(
    "audit",
    metadata,
    Column("seq", _NUMBER, primary_key=True, autoincrement=False),
    Column("recorded_at", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("record", Text, nullable=False),
    Column("prev", Text, nullable=False),
    Column("hash", Text, nullable=False),
)

# One row: the end of the chain. Whoever locks it is the only one to append.
audit_head = Table(
    "audit_head",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("seq", _NUMBER, nullable=False),
    Column("hash", Text, nullable=False),
)

# The cards that were shown, each with its current outcome.
cards = Table(
    "cards",
    metadata,
    Column("card", Text, primary_key=True),
    Column("seq", _NUMBER, ForeignKey("audit.seq"), nullable=False),
    Column("caller", Text, nullable=False),
    Column("service", Text, nullable=False),
    Column("patient_hash", Text, nullable=False),
    Column("user_hash", Text, nullable=False),
    Column("overall", Text, nullable=False),
    Column("issued_at", Text, nullable=False),
    Column("suggestions", Text, nullable=False),
    Column("outcome", Text),
    Column("outcome_effective_at", Text),
    Column("outcome_received_at", Text),
    Index("cards_of_user", "caller", "service", "patient_hash", "user_hash"),
)

# One row for each distinct feedback; repeats are counted.
feedback = Table(
    "feedback",
    metadata,
    Column("seq", _NUMBER, ForeignKey("audit.seq"), primary_key=True, autoincrement=False),
    Column("card", Text, ForeignKey("cards.card"), nullable=False),
    Column("content", Text, nullable=False),
    Column("received_at", Text, nullable=False),
    Column("times_received", Integer, nullable=False),
    Column("last_received_at", Text, nullable=False),
    Index("feedback_of_card", "card", "content"),
)

# The one place for what a user typed. Purged without touching the chain.
comments = Table(
    "comments",
    metadata,
    Column("seq", _NUMBER, ForeignKey("feedback.seq"), primary_key=True, autoincrement=False),
    Column("salt", Text, nullable=False),
    Column("comment", Text, nullable=False),
    Column("received_at", Text, nullable=False),
)

used_tokens = Table(
    "used_tokens",
    metadata,
    Column("digest", Text, primary_key=True),
    Column("expires_at", Text, nullable=False),
    Index("used_tokens_by_expiry", "expires_at"),
)

switches = Table(
    "switches",
    metadata,
    Column("name", Text, primary_key=True),
    Column("off", Boolean, nullable=False),
    Column("changed_at", Text, nullable=False),
    Column("changed_by", Text, nullable=False),
)

# Written by the readiness probe, and by nothing else.
probe = Table(
    "probe",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("written_at", Text, nullable=False),
)
