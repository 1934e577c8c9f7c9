"""Output of commands: two consoles, the progress bar, tables, and errors as text."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING

from rich.console import Console

from core.progress import LogProgress, Progress, silent

if TYPE_CHECKING:
    from rich.console import JustifyMethod
    from rich.table import Table

OUTPUT = Console()
ERRORS = Console(stderr=True)


@contextlib.contextmanager
def progress_bar(console: Console, *, transient: bool = False) -> Iterator[Progress]:
    """Progress with the time left: a bar on a terminal, log lines elsewhere.

    A ``transient`` bar disappears at its end, and prints nothing where there is no terminal.
    """
    if not console.is_terminal:
        yield silent if transient else LogProgress(lambda line: print_line(console, line))
        return
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bar

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[message]}", markup=False),
    )
    with Bar(*columns, console=console, transient=transient) as bar:
        task = bar.add_task("", total=None, message="")

        def update(stage: str, done: int, total: int | None, message: str) -> None:
            bar.update(task, description=stage, completed=done, total=total, message=message)

        yield update


def question() -> Callable[[str], bool] | None:
    """A function that asks a person at the terminal, yes or no; ``None`` where there is none."""
    if not sys.stdin.isatty():
        return None
    import typer

    return lambda text: typer.confirm(text, default=False)


def print_line(console: Console, text: str) -> None:
    """Print ``text``, which may have rich's markup, unwrapped, so that paths can be copied."""
    console.print(text, soft_wrap=True, highlight=False)


def build_table(columns: Mapping[str, JustifyMethod], title: str = "") -> Table:
    """An empty table; ``columns`` maps each heading to how its cells are justified."""
    from rich.table import Table

    table = Table(title=title or None, title_justify="left", title_style="bold")
    for heading, justify in columns.items():
        table.add_column(heading, justify=justify, overflow="fold")
    return table


def error_text(error: Exception) -> str:
    """The error's message, without pydantic's links to its manual and the system's numbers."""
    from pydantic import ValidationError

    if isinstance(error, OSError) and error.filename and error.strerror:
        return f"{error.filename}: {error.strerror}"
    if not isinstance(error, ValidationError):
        return str(error)
    lines = ["these parameters are refused:"]
    for each in error.errors():
        field = ".".join(map(str, each["loc"]))
        value = "" if isinstance(each["input"], dict) or not field else f"got {each['input']!r}; "
        lines.append(f"  {field}: {value}{each['msg']}" if field else f"  {each['msg']}")
    return "\n".join(lines)
