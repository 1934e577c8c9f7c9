"""How to install packages that only some commands need."""

from __future__ import annotations


def install_hint(extra: str) -> str:
    """The command that installs the optional packages of ``extra``, for messages.

    Suyan is installed from its repository: a package of this name on the index is not ours.
    """
    return f"pip install -e '.[{extra}]' (in Suyan's repository)"
