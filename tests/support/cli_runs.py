"""The installed command, and the lines of it that a text contains."""

import re
import shlex
import sys
from collections.abc import Callable
from pathlib import Path

Suyan = Callable[..., tuple[int, str]]
"""Runs the command with these arguments; returns its status and its output."""

PROGRAM = Path(sys.executable).with_name("suyan")
_LINE = re.compile(
    r"""(?:"[^"\n]*/suyan"|(?:[^\s'"`<>(]*/)?\bsuyan) [a-z-]+(?: (?:"[^"\n]*"|[^\s'"`<]+))*"""
)


def printed_commands(text: str) -> list[list[str]]:
    """The arguments of each command of ours in ``text``, as a shell reads them.

    Raises ``AssertionError`` for a program that a shell would not find.
    """
    lines = [shlex.split(line) for line in _LINE.findall(text)]
    for program, *_ in lines:
        assert program == "suyan" or Path(program).samefile(PROGRAM), program
    return [[word.rstrip(".,") for word in words] for _, *words in lines]
