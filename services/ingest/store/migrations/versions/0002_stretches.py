"""Where bars came from is known by stretches: which are a client's, and what adjusted closes know."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """From 0001."""
    op.create_table(
        "stretches",
        sa.Column("series_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("start_ms", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("end_ms", sa.BigInteger(), nullable=False),
        sa.Column("write_id", sa.BigInteger(), nullable=True),
        sa.Column("adjusted_to_ms", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("series_id", "start_ms"),
    )
    # Series that no provider brought anything of are all a client's, by a write that is not known.
    op.execute(
        "INSERT INTO stretches SELECT id, first_ms, last_ms, "
        "CASE WHEN fetched_at_ms IS NULL THEN 0 END, adjusted_at_ms FROM series "
        "WHERE first_ms IS NOT NULL AND (fetched_at_ms IS NULL OR adjusted_at_ms IS NOT NULL)"
    )
    op.drop_column("series", "adjusted_at_ms")
