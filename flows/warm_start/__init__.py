"""Trainings that start from a model, and those that go on with a finished run."""
