"""Adds the credits of hits: licence and author."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Add the table of credits."""
    op.create_table(
        "credits",
        sa.Column("hit", sa.Integer, sa.ForeignKey("hits.id"), primary_key=True),
        sa.Column("license", sa.String, nullable=False),
        sa.Column("license_url", sa.String, nullable=False),
        sa.Column("creator", sa.String, nullable=False),
        sa.Column("attribution", sa.String, nullable=False),
    )
