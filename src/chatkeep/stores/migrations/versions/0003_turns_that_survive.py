"""What turns are doing, their tool calls, and indexes for those who look across users."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add to turns, and create the table of tool calls."""
    _turns()
    _tool_calls()


def _turns() -> None:
    op.add_column("turns", sa.Column("event_at", sa.BigInteger))
    op.add_column("turns", sa.Column("doing", sa.Text))
    op.add_column(
        "turns", sa.Column("pruned", sa.Boolean, nullable=False, server_default=sa.false())
    )
    op.create_index("ix_turns_state_created_at_id", "turns", ["state", "created_at", "id"])
    op.create_index(
        "ix_turns_stopped",
        "turns",
        ["holder"],
        sqlite_where=sa.text("cancel_requested = 1 AND ended_at IS NULL"),
        postgresql_where=sa.text("cancel_requested AND ended_at IS NULL"),
    )
    op.create_index(
        "ix_turns_logged",
        "turns",
        ["ended_at"],
        sqlite_where=sa.text("pruned = 0 AND last_event > 0"),
        postgresql_where=sa.text("NOT pruned AND last_event > 0"),
    )


def _tool_calls() -> None:
    op.create_table(
        "tool_calls",
        sa.Column("tenant", sa.String, nullable=False),
        sa.Column("owner", sa.String, nullable=False),
        sa.Column("turn_id", sa.String, nullable=False),
        sa.Column("seq", sa.BigInteger, nullable=False),
        sa.Column("call_id", sa.String, nullable=False),
        sa.Column("name", sa.String, nullable=False),
        sa.Column("fence", sa.BigInteger, nullable=False),
        sa.Column("started_at", sa.BigInteger, nullable=False),
        sa.Column("ended_at", sa.BigInteger),
        sa.PrimaryKeyConstraint("tenant", "owner", "turn_id", "seq", name="pk_tool_calls"),
        sa.ForeignKeyConstraint(
            ["tenant", "owner", "turn_id"],
            ["turns.tenant", "turns.owner", "turns.id"],
            name="fk_tool_calls_turns",
            ondelete="CASCADE",
        ),
    )
