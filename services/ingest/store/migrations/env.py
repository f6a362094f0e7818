"""What Alembic runs: the steps, on the connection that migrate.py gives, within its transaction."""

from alembic import context

context.configure(connection=context.config.attributes["connection"])
context.run_migrations()
