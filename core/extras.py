"""How to install packages that only some commands need."""

from __future__ import annotations


def install_command(extra: str) -> str:
    """The command, for Suyan's repository, that installs the optional packages of ``extra``.

    It must not name Suyan: the package of that name on the index is not ours.
    """
    return f"pip install -e '.[{extra}]'"
