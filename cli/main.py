"""The ``suyan`` command: its groups of commands, its entry point, and how errors are printed.

Commands import their modules when they run, so that ``--help`` is instant.
"""

from __future__ import annotations

import io
import signal
import sys

import typer

from cli import crawl, doctor, models, prepare, run, server, train, translate
from cli.console import ERRORS, error_text
from core.errors import SuyanError

app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="From two sets of search phrases to a working, measured CycleGAN translator.",
)
for _group in (run, crawl, prepare, train, models, translate, server, doctor):
    app.add_typer(_group.app)


def main() -> None:
    """Run the command. A user's error ends it with one message and status 2, Ctrl-C with 130."""
    for stream in (sys.stdout, sys.stderr):  # a name that the terminal cannot show ends nothing
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        app()
    except KeyboardInterrupt:
        ERRORS.print("\nInterrupted: finished work is saved; the same command goes on.")
        sys.exit(130)
    except (SuyanError, ValueError, OSError) as error:
        ERRORS.print(f"[red]{type(error).__name__}[/red]: ", end="")
        ERRORS.print(error_text(error), markup=False, highlight=False, soft_wrap=True)
        sys.exit(2)
