"""Adds leases on addresses, and an index on PostgreSQL for addresses of any length."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Add the tables of leases, and indexes."""
    op.create_table(
        "holders",
        sa.Column("name", sa.String, primary_key=True),
        sa.Column("crawl", sa.String, nullable=False),
        sa.Column("expires_at", sa.Float, nullable=False),
    )
    op.create_table(
        "claims",
        sa.Column("address", sa.String, primary_key=True),
        sa.Column("holder", sa.String, nullable=False),
    )
    op.create_index("claims_by_holder", "claims", ["holder"])
    op.create_index("sightings_by_hit", "sightings", ["hit"])
    # A B-tree index takes up to 2,704 bytes, and addresses have up to 4,000.
    op.drop_index("attempts_by_url", "attempts")
    op.create_index("attempts_by_url", "attempts", ["url"], postgresql_using="hash")
