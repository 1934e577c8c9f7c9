"""The ``suyan`` command: its groups of commands, its entry point, and how errors are printed.

Commands import their modules when they run, so that ``--help`` is instant.
"""

from __future__ import annotations

import codecs
import io
import os
import signal
import sys
from typing import Annotated

import typer

from cli import (
    crawl,
    distance,
    doctor,
    forget,
    models,
    prepare,
    run,
    server,
    train,
    translate,
)
from cli.command_group import MainGroup
from cli.console import ERRORS, error_text, print_only_json
from cli.hub import publish_command
from cli.inventory import compare_command, list_commands, recipe_commands, review_command
from cli.usage import usage_text
from core.errors import SuyanError
from core.language.messages import localised
from core.proxies import loopback_exemption

_HELP = """From two sets of search phrases to a working, measured CycleGAN translator.

[bold]Exit status[/bold]

- 0: done
- 1: a part was not done (a photo), or doctor found a problem
- 2: wrong input, or an error that the message explains
- 130, 143: stopped by Ctrl-C, by SIGTERM or in the UI; finished work is saved
"""

_INTERRUPTED_STATUS = 130  # typer's own, for Ctrl-C

app = typer.Typer(
    cls=MainGroup,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help=_HELP,
)
for _group in (
    run,
    recipe_commands,
    list_commands,
    crawl,
    forget,
    prepare,
    review_command,
    train,
    models,
    compare_command,
    distance,
    translate,
    publish_command,
    server,
    doctor,
):
    app.add_typer(_group.app)


def _print_version(value: bool) -> None:
    if value:
        from flows.installation import VERSION

        typer.echo(f"suyan {VERSION}")
        raise typer.Exit


@app.callback()
def _main_options(
    *,
    version: Annotated[
        bool,
        typer.Option("--version", is_eager=True, callback=_print_version, help="Version of Suyan."),
    ] = False,
    debug: Annotated[
        bool,
        typer.Option(
            "--debug", help="Traceback of an error, and all lines of Prefect; may stand anywhere."
        ),
    ] = False,
) -> None:
    """Options of every command."""


def main() -> None:
    """Run the command. A user's error ends it with one message and status 2, Ctrl-C with 130."""
    _require_utf8()
    for stream in (sys.stdout, sys.stderr):  # a name that the terminal cannot show ends nothing
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    os.environ.update(loopback_exemption(os.environ))  # before any library reads it
    print_only_json(is_wanted=False)
    is_debugging = "--debug" in sys.argv[1:]
    arguments = [argument for argument in sys.argv[1:] if argument != "--debug"]
    try:
        status = app(arguments, standalone_mode=False)
    except typer.Abort:
        ERRORS.print(localised("\nStopped at the question: nothing was changed."))
        sys.exit(_INTERRUPTED_STATUS)
    except typer.TyperException as error:
        _print_error(usage_text(error, _command_of(arguments)))
        sys.exit(2)
    except (SuyanError, ValueError, OSError) as error:
        if is_debugging:
            raise
        _print_error(error_text(error))
        sys.exit(2)
    if status == _INTERRUPTED_STATUS:
        ERRORS.print(localised("\nInterrupted: finished work is saved; the same command goes on."))
    sys.exit(status or 0)


def _command_of(arguments: list[str]) -> str:
    names = typer.main.get_command(app).commands  # type: ignore[attr-defined]
    return next((argument for argument in arguments[:1] if argument in names), "")


def _print_error(text: str) -> None:
    """Print an error in its one form; nothing for "", after which the help stands."""
    if text:
        ERRORS.print(localised("[red]Error[/red]: "), end="")
        ERRORS.print(text, markup=False, highlight=False, soft_wrap=True)


def _require_utf8() -> None:
    """Start Python again in UTF-8 mode where the locale has another encoding.

    File names and contents are UTF-8 then, here and in all child processes; what the terminal's
    encoding lacks is printed as an escape. A terminal of the locale "C" is taken to show UTF-8.
    """
    if sys.flags.utf8_mode or sys.getfilesystemencoding() == "utf-8" == sys.stdout.encoding.lower():
        return
    os.environ["PYTHONUTF8"] = "1"
    encoding = sys.stdout.encoding
    printed = "utf-8" if codecs.lookup(encoding).name == "ascii" else encoding
    os.environ["PYTHONIOENCODING"] = f"{printed}:backslashreplace"
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])  # noqa: S606 - this command
