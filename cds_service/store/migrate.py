"""Brings a database to the form that this release works with, when the service starts."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection

from cds_service.errors import ConfigError
from cds_service.store import queries

_FOLDER: Final = Path(__file__).parent / "migrations"


def migrate(connection: Connection) -> None:
    """Take the steps that are still to be taken, one worker at a time.

    A database of a later release is left as it is, if all that this release needs is there: so
    that, while releases change, the earlier one still runs.

    Raises:
        ConfigError: the database is of a later release, and not fit for this one.
    """
    queries.lock_for_migration(connection)
    present = MigrationContext.configure(connection).get_current_revision()
    if present is None or present in _revisions():
        upgrade(connection)
    elif not queries.fits(connection):
        raise ConfigError("CDS_DATABASE_URL: the store is of a later release, unfit for this one")


def upgrade(connection: Connection, revision: str = "head") -> None:
    """Take the steps up to a revision."""
    command.upgrade(_config(connection), revision)


def downgrade(connection: Connection, revision: str) -> None:
    """Take the steps back; for tests of a release, not for its operator: see ``docs/store.md``."""
    command.downgrade(_config(connection), revision)


def _config(connection: Connection | None = None) -> Config:
    config = Config()
    config.set_main_option("script_location", str(_FOLDER).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    return config


def _revisions() -> set[str]:
    return {step.revision for step in ScriptDirectory.from_config(_config()).walk_revisions()}
