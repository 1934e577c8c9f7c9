"""Alembic runs this module: the migrations, on the connection of ``config.attributes``."""

from __future__ import annotations

from alembic import context

from scraping.catalogue.schema import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    version_table="catalogue_version",
)
context.run_migrations()
