"""What turns took, and sums of it by user and tenant."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

_COUNTED = (
    "requests",
    "input_tokens",
    "cached_tokens",
    "output_tokens",
    "reasoning_tokens",
    "cost",
    "unpriced",
)


def upgrade() -> None:
    """Add to turns, and create the table of sums."""
    op.add_column("turns", sa.Column("tokens", sa.BigInteger))
    op.add_column("turns", sa.Column("cost", sa.BigInteger))
    op.create_table(
        "spending",
        sa.Column("tenant", sa.String, nullable=False),
        sa.Column("owner", sa.String, nullable=False),
        sa.Column("day", sa.BigInteger, nullable=False),
        sa.Column("model", sa.String, nullable=False),
        sa.Column("currency", sa.String, nullable=False),
        *[sa.Column(name, sa.BigInteger, nullable=False) for name in _COUNTED],
        sa.PrimaryKeyConstraint("tenant", "owner", "day", "model", "currency", name="pk_spending"),
    )
    op.create_index("ix_spending_day", "spending", ["day"])
