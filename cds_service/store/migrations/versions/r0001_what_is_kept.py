"""The audit, cards with their feedback, used tokens, switches, and the probe."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

_NUMBER = sa.BigInteger().with_variant(sa.Integer, "sqlite")

# INSERT OR REPLACE deletes without asking the trigger for DELETE, hence the one for INSERT.
_SQLITE = (
    """CREATE TRIGGER audit_no_update BEFORE UPDATE ON audit
       BEGIN SELECT RAISE(ABORT, 'the audit is append-only'); END""",
    """CREATE TRIGGER audit_no_delete BEFORE DELETE ON audit
       BEGIN SELECT RAISE(ABORT, 'the audit is append-only'); END""",
    """CREATE TRIGGER audit_no_replace BEFORE INSERT ON audit
       WHEN EXISTS (SELECT 1 FROM audit WHERE seq = NEW.seq)
       BEGIN SELECT RAISE(ABORT, 'the audit is append-only'); END""",
)
_POSTGRESQL = (
    """CREATE FUNCTION audit_append_only() RETURNS trigger LANGUAGE plpgsql AS
       $$ BEGIN RAISE EXCEPTION 'the audit is append-only'; END $$""",
    """CREATE TRIGGER audit_no_change BEFORE UPDATE OR DELETE ON audit
       FOR EACH ROW EXECUTE FUNCTION audit_append_only()""",
    """CREATE TRIGGER audit_no_truncate BEFORE TRUNCATE ON audit
       FOR EACH STATEMENT EXECUTE FUNCTION audit_append_only()""",
)


def upgrade() -> None:
    """Make all tables, and the triggers that refuse to change the audit."""
    _make_audit()
    _make_feedback()
    _make_others()
    for statement in _SQLITE if op.get_bind().dialect.name == "sqlite" else _POSTGRESQL:
        op.execute(statement)


def downgrade() -> None:
    """Drop all tables, unless the audit holds a record besides its beginning."""
    rows = op.get_bind().execute(sa.text("SELECT count(*) FROM audit")).scalar_one()
    if rows > 1:
        raise RuntimeError(f"the audit holds {rows} records: export it, and start a new store")
    for table in (
        "probe",
        "switches",
        "used_tokens",
        "comments",
        "feedback",
        "cards",
        "audit_head",
        "audit",
    ):
        op.drop_table(table)
    if op.get_bind().dialect.name != "sqlite":
        op.execute("DROP FUNCTION audit_append_only()")


def _make_audit() -> None:
    op.create_table(
        "audit",
        sa.Column("seq", _NUMBER, primary_key=True, autoincrement=False),
        sa.Column("recorded_at", sa.Text, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("record", sa.Text, nullable=False),
        sa.Column("prev", sa.Text, nullable=False),
        sa.Column("hash", sa.Text, nullable=False),
    )
    op.create_table(
        "audit_head",
        sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("seq", _NUMBER, nullable=False),
        sa.Column("hash", sa.Text, nullable=False),
    )


def _make_feedback() -> None:
    op.create_table(
        "cards",
        sa.Column("card", sa.Text, primary_key=True),
        sa.Column("seq", _NUMBER, sa.ForeignKey("audit.seq"), nullable=False),
        sa.Column("caller", sa.Text, nullable=False),
        sa.Column("service", sa.Text, nullable=False),
        sa.Column("patient_hash", sa.Text, nullable=False),
        sa.Column("user_hash", sa.Text, nullable=False),
        sa.Column("overall", sa.Text, nullable=False),
        sa.Column("issued_at", sa.Text, nullable=False),
        sa.Column("suggestions", sa.Text, nullable=False),
        sa.Column("outcome", sa.Text),
        sa.Column("outcome_effective_at", sa.Text),
        sa.Column("outcome_received_at", sa.Text),
    )
    op.create_index("cards_of_user", "cards", ["caller", "service", "patient_hash", "user_hash"])
    op.create_table(
        "feedback",
        sa.Column(
            "seq", _NUMBER, sa.ForeignKey("audit.seq"), primary_key=True, autoincrement=False
        ),
        sa.Column("card", sa.Text, sa.ForeignKey("cards.card"), nullable=False),
        sa.Column("content", sa.Text, nullable=False),
        sa.Column("received_at", sa.Text, nullable=False),
        sa.Column("times_received", sa.Integer, nullable=False),
        sa.Column("last_received_at", sa.Text, nullable=False),
    )
    op.create_index("feedback_of_card", "feedback", ["card", "content"])
    op.create_table(
        "comments",
        sa.Column(
            "seq", _NUMBER, sa.ForeignKey("feedback.seq"), primary_key=True, autoincrement=False
        ),
        sa.Column("salt", sa.Text, nullable=False),
        sa.Column("comment", sa.Text, nullable=False),
        sa.Column("received_at", sa.Text, nullable=False),
    )


def _make_others() -> None:
    op.create_table(
        "used_tokens",
        sa.Column("digest", sa.Text, primary_key=True),
        sa.Column("expires_at", sa.Text, nullable=False),
    )
    op.create_index("used_tokens_by_expiry", "used_tokens", ["expires_at"])
    op.create_table(
        "switches",
        sa.Column("name", sa.Text, primary_key=True),
        sa.Column("off", sa.Boolean, nullable=False),
        sa.Column("changed_at", sa.Text, nullable=False),
        sa.Column("changed_by", sa.Text, nullable=False),
    )
    op.create_table(
        "probe",
        sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("written_at", sa.Text, nullable=False),
    )
