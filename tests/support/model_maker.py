"""The type of the fixture ``make_model``."""

from collections.abc import Callable
from pathlib import Path

ModelMaker = Callable[..., Path]
