"""Creates the tables of the first version, which did not record its number."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Create all tables in an empty database."""
    op.create_table(
        "crawls",
        sa.Column("name", sa.String, primary_key=True),
        sa.Column("domain", sa.String, nullable=False),
        sa.Column("round", sa.Integer, nullable=False),
        sa.Column("target", sa.Integer, nullable=False),
        sa.Column("started_at", sa.Float, nullable=False),
        sa.Column("finished_at", sa.Float),
    )
    op.create_table(
        "cursors",
        sa.Column("crawl", sa.String, primary_key=True),
        sa.Column("phrase", sa.String, primary_key=True),
        *(
            sa.Column(name, sa.Integer, nullable=False)
            for name in ("offset", "frontier", "pages", "hits", "new", "stored", "stale_pages")
        ),
        sa.Column("stopped_because", sa.String, nullable=False),
    )
    op.create_table(
        "hits",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("engine", sa.String, nullable=False),
        sa.Column("key", sa.String, nullable=False),
        sa.Column("candidates", sa.JSON, nullable=False),
        sa.Column("status", sa.String),
        sa.Column("failures", sa.Integer, nullable=False),
        sa.Column("reason", sa.String, nullable=False),
        sa.Column("url", sa.String, nullable=False),
        sa.Column("served_by", sa.String, nullable=False),
        sa.Column("sha256", sa.String, nullable=False),
        sa.Column("settled_at", sa.Float),
        sa.UniqueConstraint("engine", "key"),
    )
    op.create_index("hits_by_status", "hits", ["status"])
    op.create_index("hits_by_sha256", "hits", ["sha256"])
    op.create_table(
        "sightings",
        sa.Column("crawl", sa.String, primary_key=True),
        sa.Column("hit", sa.Integer, sa.ForeignKey("hits.id"), primary_key=True),
        sa.Column("phrase", sa.String, primary_key=True),
        sa.Column("first", sa.Boolean, nullable=False),
        sa.Column("page_url", sa.String, nullable=False),
        sa.Column("title", sa.String, nullable=False),
        sa.Column("first_seen", sa.Float, nullable=False),
        sa.Column("last_seen", sa.Float, nullable=False),
    )
    op.create_table(
        "attempts",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("url", sa.String, nullable=False),
        sa.Column("host", sa.String, nullable=False),
        sa.Column("at", sa.Float, nullable=False),
        sa.Column("seconds", sa.Float, nullable=False),
        sa.Column("status", sa.String, nullable=False),
        sa.Column("reason", sa.String, nullable=False),
        sa.Column("num_bytes", sa.Integer, nullable=False),
        sa.Column("sha256", sa.String, nullable=False),
        sa.Column("extension", sa.String, nullable=False),
    )
    op.create_index("attempts_by_url", "attempts", ["url"])
    op.create_index("attempts_by_host", "attempts", ["host"])
    op.create_table(
        "originals",
        sa.Column("sha256", sa.String, primary_key=True),
        sa.Column("path", sa.String, nullable=False),
        sa.Column("num_bytes", sa.Integer, nullable=False),
        sa.Column("stored_at", sa.Float, nullable=False),
    )
    op.create_table(
        "finds",
        sa.Column("crawl", sa.String, primary_key=True),
        sa.Column("sha256", sa.String, primary_key=True),
        sa.Column("phrase", sa.String, nullable=False),
    )
    op.create_table(
        "tombstones",
        sa.Column("kind", sa.String, primary_key=True),
        sa.Column("value", sa.String, primary_key=True),
        sa.Column("at", sa.Float, nullable=False),
    )
