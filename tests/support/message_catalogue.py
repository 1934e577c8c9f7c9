"""Brings the Chinese catalogue up to date: every text for people, those without a use left out.

``python tests/support/message_catalogue.py`` writes ``suyan.po`` and ``suyan.mo`` beside
``core/language/messages.py``, and names the texts that still need a translation.
"""

from __future__ import annotations

import ast
import io
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import typer
from babel.messages.catalog import Catalog
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po, write_po

from cli.command_group import HELP_WORDS
from cli.main import app
from core.language.messages import DOMAIN, FOLDER

ROOT = Path(__file__).resolve().parents[2]
PO = FOLDER / "zh_CN" / "LC_MESSAGES" / f"{DOMAIN}.po"
MO = PO.with_suffix(".mo")
_DATE = datetime(2026, 11, 28, tzinfo=UTC)  # of the first version, so that files follow from texts
_PACKAGES = ("cli", "core", "evaluation", "flows", "preprocessing", "scraping", "serving",
             "storage", "training")  # fmt: skip


def texts() -> list[str]:
    """Every text for people: the help of all commands, and the arguments of ``localised``."""
    found = {*HELP_WORDS.values(), *_help_texts(typer.main.get_command(app))}
    for package in _PACKAGES:
        for path in sorted((ROOT / package).rglob("*.py")):
            found.update(_localised_texts(ast.parse(path.read_text(encoding="utf-8"))))
    return sorted(found)


def _help_texts(command: Any) -> Iterator[str]:
    yield from filter(None, (command.help, command.rich_help_panel))
    for parameter in command.params:
        if text := getattr(parameter, "help", None):
            yield text
    for each in getattr(command, "commands", {}).values():
        yield from _help_texts(each)


def _localised_texts(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "localised":
            (argument,) = node.args
            if isinstance(argument, ast.Constant) and isinstance(argument.value, str):
                yield argument.value


def read() -> Catalog:
    """The catalogue as it is stored."""
    with PO.open("rb") as file:
        return read_po(file, locale="zh_CN", domain=DOMAIN)


def compiled(catalogue: Catalog) -> bytes:
    """The content of the ``.mo`` file."""
    buffer = io.BytesIO()
    write_mo(buffer, catalogue)
    return buffer.getvalue()


def main() -> None:
    """Write both files."""
    former = read() if PO.is_file() else Catalog()
    catalogue = Catalog(
        locale="zh_CN", domain=DOMAIN, header_comment="# Suyan in Chinese.", project="Suyan",
        version="1", last_translator="Suyan", language_team="Suyan", creation_date=_DATE,
        revision_date=_DATE, fuzzy=False,
    )  # fmt: skip
    for text in texts():
        message = former.get(text)
        catalogue.add(text, message.string if message else "")
    PO.parent.mkdir(parents=True, exist_ok=True)
    with PO.open("wb") as file:
        write_po(file, catalogue, width=100, omit_header=False)
    MO.write_bytes(compiled(catalogue))
    missing = [message.id for message in catalogue if message.id and not message.string]
    sys.stdout.write("".join(f"{text!r}\n" for text in missing))
    sys.stdout.write(f"{len(missing)} texts need a translation\n")


if __name__ == "__main__":
    main()
