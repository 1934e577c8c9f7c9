"""Output of commands: two consoles, the progress bar, tables, and errors as text."""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from rich.console import Console

from core.errors import nearest, suggestion
from core.language.messages import localised
from core.progress import LogProgress, Progress, silent

if TYPE_CHECKING:
    from pydantic import BaseModel
    from rich.console import JustifyMethod

OUTPUT = Console()
ERRORS = Console(stderr=True)


def print_only_json(*, is_wanted: bool = True) -> None:
    """Keep the standard output for ``print_result``: all else goes to the error output."""
    OUTPUT.stderr = is_wanted


def print_result(result: Any) -> None:
    """Print the result of a command as one line of JSON, if ``--json`` asks for it.

    Paths become texts, data classes objects, and numbers that are not finite ``null``.
    """
    if OUTPUT.stderr:
        from pydantic_core import to_jsonable_python

        value = to_jsonable_python(result, inf_nan_mode="null")
        sys.stdout.write(json.dumps(value, ensure_ascii=False) + "\n")


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
            bar.update(
                task, description=localised(stage), completed=done, total=total, message=message
            )

        yield update


def question() -> Callable[[str], bool] | None:
    """A function that asks a person at the terminal, yes or no; ``None`` where there is none."""
    if not sys.stdin.isatty():
        return None
    import typer

    return lambda text: typer.confirm(text, default=False, err=OUTPUT.stderr)


def print_line(console: Console, text: str) -> None:
    """Print ``text``, which may have rich's markup, unwrapped, so that paths can be copied."""
    console.print(text, soft_wrap=True, highlight=False)


def print_text(console: Console, text: str) -> None:
    """Print ``text`` as it is, unwrapped."""
    console.print(text, soft_wrap=True, highlight=False, markup=False)


def print_table(
    console: Console,
    columns: Mapping[str, JustifyMethod],
    rows: Iterable[Sequence[str]],
    title: str = "",
) -> None:
    """Print a table; ``columns`` maps each heading to how its cells are justified.

    A terminal gets folded cells below a rule; no frames, which would take the room of names and
    reasons. A pipe or a file gets one line for each row, so that it can be searched; lines of a
    cell are joined by commas.
    """
    columns = {localised(heading): justify for heading, justify in columns.items()}
    if console.is_terminal:
        from rich import box
        from rich.markup import escape
        from rich.table import Table

        table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 1, 0, 0))
        for heading, justify in columns.items():
            table.add_column(heading, justify=justify, overflow="fold")
        for row in rows:
            table.add_row(*map(escape, row))
        if title:
            console.print(title, style="bold", markup=False, highlight=False, soft_wrap=True)
        console.print(table)
        return
    from rich.cells import cell_len

    headings = [heading.replace("-\n", "") for heading in columns]
    lines = [headings, *([", ".join(cell.splitlines()) for cell in row] for row in rows)]
    widths = [max(map(cell_len, column)) for column in zip(*lines, strict=True)]
    if title:
        print_text(console, title)
    for line in lines:
        cells = (
            padded(cell, width, justify)
            for cell, width, justify in zip(line, widths, columns.values(), strict=True)
        )
        print_text(console, "  ".join(cells).rstrip())


def padded(text: str, width: int, justify: JustifyMethod = "left") -> str:
    """``text`` with spaces up to ``width`` cells, of which a Chinese character takes two."""
    from rich.cells import cell_len

    blanks = " " * (width - cell_len(text))
    return blanks + text if justify == "right" else text + blanks


def error_text(error: Exception, model: type[BaseModel] | None = None) -> str:
    """The error's message, without pydantic's links to its manual and the system's numbers.

    With the ``model`` that was validated, an unknown field is answered by those nearest to it.
    """
    from pydantic import ValidationError

    if isinstance(error, OSError) and error.filename and error.strerror:
        return f"{error.filename}: {error.strerror}"
    if not isinstance(error, ValidationError):
        return str(error)
    from flows.forms.field_values import single_errors

    lines = [localised("these parameters are refused:")]
    for each in single_errors(error):
        field = ".".join(map(str, each["loc"]))
        if each["type"] == "extra_forbidden":
            problem = localised("there is no such parameter")
            lines.append(f"  {field}: {problem}{_near_field(model, each['loc'])}")
            continue
        value = ""
        if field and not isinstance(each["input"], dict):
            value = localised("got {value!r}; ", value=each["input"])
        lines.append(f"  {field}: {value}{each['msg']}" if field else f"  {each['msg']}")
    return "\n".join(lines)


def _near_field(model: type[BaseModel] | None, names: Sequence[str | int]) -> str:
    """The fields beside the last of ``names`` that resemble it, as a question; "" for none."""
    for name in names[:-1]:
        field = model.model_fields.get(str(name)) if model else None
        model = getattr(field, "annotation", None)
    fields = getattr(model, "model_fields", {})
    return suggestion(nearest(str(names[-1]), fields))
