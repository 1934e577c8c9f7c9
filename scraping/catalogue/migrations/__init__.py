"""Alembic's environment: migrations from earlier versions of the catalogue's tables."""
