"""Functions for worker processes of the tests, which import them by name and cannot import a
test."""

import os
import sys
from collections.abc import Iterator

import numpy as np


def decode(name: str) -> str:
    """A substitute for a decoder; the name of the item says how it ends."""
    if name == "crash":
        os._exit(11)
    if name == "swell":
        return str(np.ones(1 << 31, np.uint8).sum())
    if name == "fail":
        raise RuntimeError(name)
    if name == "main":
        return str(hasattr(sys.modules["__main__"], "__file__"))
    if name == "full":
        raise OSError("no space left")
    while name == "hang":  # in Python: can be interrupted
        pass
    if name == "hang-in-c":
        sum(iter(_Endless()))
    return name.upper()


class _Endless:
    def __iter__(self) -> Iterator[int]:
        return iter(range(10**12))


def process_id(_item: int) -> int:
    """The process that works on the item."""
    return os.getpid()
