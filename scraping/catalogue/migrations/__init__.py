"""Alembic's environment: how a catalogue of an earlier version becomes one of this version."""
