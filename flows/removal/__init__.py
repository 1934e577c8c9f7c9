"""Removal of forgotten pictures from every place where a copy may be, and the proof of it."""
