"""Migrates the tables to this release's, when ingest starts, in one process at a time."""

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection

_STEPS = Path(__file__).parent / "migrations"


def migrate(connection: Connection, to: str = "head") -> None:
    """Run the steps that the database lacks, in the transaction of `connection`.

    The caller must hold a lock that only one process at a time can hold.

    Raises:
        ValueError: the database has steps that this release does not know.
    """
    config = Config()
    config.set_main_option("script_location", str(_STEPS))
    config.attributes["connection"] = connection
    found = MigrationContext.configure(connection).get_current_revision()
    known = [step.revision for step in ScriptDirectory.from_config(config).walk_revisions()]
    if found is not None and found not in known:
        raise ValueError(f"a newer release made its tables (step {found}; this one knows {known[0]})")
    command.upgrade(config, to)
