"""The first schema: threads, items, attachments and feedback."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the tables."""
    _threads()
    _items()
    _attachments()
    _feedback()


def _threads() -> None:
    op.create_table(
        "owners",
        sa.Column("tenant", sa.String, nullable=False),
        sa.Column("owner", sa.String, nullable=False),
        sa.Column("next_seq", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("tenant", "owner", name="pk_owners"),
    )
    op.create_table(
        "threads",
        sa.Column("tenant", sa.String, nullable=False),
        sa.Column("owner", sa.String, nullable=False),
        sa.Column("id", sa.String, nullable=False),
        sa.Column("seq", sa.BigInteger, nullable=False),
        sa.Column("next_seq", sa.BigInteger, nullable=False),
        sa.Column("title", sa.Text),
        sa.Column("body", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("tenant", "owner", "id", name="pk_threads"),
    )
    op.create_index(
        "ix_threads_tenant_owner_seq", "threads", ["tenant", "owner", "seq"], unique=True
    )


def _items() -> None:
    op.create_table(
        "items",
        sa.Column("tenant", sa.String, nullable=False),
        sa.Column("owner", sa.String, nullable=False),
        sa.Column("thread_id", sa.String, nullable=False),
        sa.Column("id", sa.String, nullable=False),
        sa.Column("seq", sa.BigInteger, nullable=False),
        sa.Column("type", sa.String, nullable=False),
        sa.Column("hidden", sa.Boolean, nullable=False),
        sa.Column("body", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("tenant", "owner", "thread_id", "id", name="pk_items"),
        sa.ForeignKeyConstraint(
            ["tenant", "owner", "thread_id"],
            ["threads.tenant", "threads.owner", "threads.id"],
            name="fk_items_threads",
            ondelete="CASCADE",
        ),
    )
    op.create_index(
        "ix_items_tenant_owner_thread_id_seq",
        "items",
        ["tenant", "owner", "thread_id", "seq"],
        unique=True,
    )


def _attachments() -> None:
    op.create_table(
        "attachments",
        sa.Column("tenant", sa.String, nullable=False),
        sa.Column("owner", sa.String, nullable=False),
        sa.Column("id", sa.String, nullable=False),
        sa.Column("thread_id", sa.String),
        sa.Column("body", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("tenant", "owner", "id", name="pk_attachments"),
    )
    op.create_index(
        "ix_attachments_tenant_owner_thread_id", "attachments", ["tenant", "owner", "thread_id"]
    )


def _feedback() -> None:
    op.create_table(
        "feedback",
        sa.Column("tenant", sa.String, nullable=False),
        sa.Column("owner", sa.String, nullable=False),
        sa.Column("thread_id", sa.String, nullable=False),
        sa.Column("item_id", sa.String, nullable=False),
        sa.Column("kind", sa.String, nullable=False),
        sa.PrimaryKeyConstraint("tenant", "owner", "thread_id", "item_id", name="pk_feedback"),
        sa.ForeignKeyConstraint(
            ["tenant", "owner", "thread_id", "item_id"],
            ["items.tenant", "items.owner", "items.thread_id", "items.id"],
            name="fk_feedback_items",
            ondelete="CASCADE",
        ),
    )
