"""Brings the Chinese catalogue up to date: every text for people, those without a use left out.

``python tests/support/message_catalogue.py`` writes ``suyan.po`` and ``suyan.mo`` beside
``core/language/messages.py``, and names the texts that still need a translation.
"""

from __future__ import annotations

import ast
import io
import re
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
from scraping.catalogue.entities import StopReason
from training.run.run_log import EventKind

ROOT = Path(__file__).resolve().parents[2]
PO = FOLDER / "zh_CN" / "LC_MESSAGES" / f"{DOMAIN}.po"
MO = PO.with_suffix(".mo")
_DATE = datetime(2026, 11, 28, tzinfo=UTC)  # of the first version, so that files follow from texts
_WORD = r"[A-Za-z]{2,}"
_SENTENCE = r"[a-z]{2,} [a-z]{2,}"
_INVARIANTS = {"AssertionError", "TerminationSignal"}
_MARKUP = r"\[/?\w+\]"
_COMMANDS_AND_UNITS = {"suyan ", "suyan translate PHOTO --model ", "export LC_ALL=C.UTF-8", "UTF-8",
                       " MB"}  # fmt: skip
_PACKAGES = ("cli", "core", "evaluation", "flows", "preprocessing", "scraping", "serving",
             "storage", "training")  # fmt: skip


def texts() -> list[str]:
    """Every text for people: the help of all commands, and what a command prints."""
    found = {*HELP_WORDS.values(), *_help_texts(typer.main.get_command(app))}
    found |= {code.replace("-", " ") for code in (*StopReason, *EventKind)}
    for package in _PACKAGES:
        for path in sorted((ROOT / package).rglob("*.py")):
            found.update(_localised_texts(ast.parse(path.read_text(encoding="utf-8"))))
    return sorted(found - {""})


def _help_texts(command: Any) -> Iterator[str]:
    yield from filter(None, (command.help, command.rich_help_panel))
    for parameter in command.params:
        if text := getattr(parameter, "help", None):
            yield text
    for each in getattr(command, "commands", {}).values():
        yield from _help_texts(each)


def _localised_texts(tree: ast.Module) -> Iterator[str]:
    """The arguments of ``localised`` and ``localisable``; what functions pass on to ``localised``:
    counted nouns, headings of tables, subjects of the doctor, stages that tell their progress.
    """
    for node in ast.walk(tree):
        if isinstance(node, ast.Dict):
            pairs = zip(node.keys, node.values, strict=True)
            cells = {_text(key): _text(value) for key, value in pairs if key is not None}
            if {*cells.values()} <= {"left", "right"}:
                yield from cells
        if not isinstance(node, ast.Call):
            continue
        name = getattr(node.func, "id", getattr(node.func, "attr", ""))
        texts = [*map(_text, node.args), ""]
        if name in {"localised", "localisable", "timed_stage", "Finding"} or name.endswith(
            "progress"
        ):
            yield texts[0]
        elif name == "counted" and texts[1]:
            yield f"{{num}} {texts[1]}"


def _text(node: ast.expr) -> str:
    """The text that ``node`` is; "" for any other expression."""
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else ""


def untranslated_errors() -> Iterator[str]:
    """The place of every error and log line that is English whatever the person's language is."""
    for package in _PACKAGES:
        for path in sorted((ROOT / package).rglob("*.py")):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                for part in _said(node):
                    if any(re.search(_SENTENCE, text) for text in _own_texts(part)):
                        yield f"{path.relative_to(ROOT)}:{part.lineno}: {ast.unparse(part)}"


def _said(node: ast.AST) -> list[ast.expr]:
    """The arguments of an error that is raised or made, or of a line for a log."""
    if isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call):
        name = ast.unparse(node.exc.func)
        return [] if name in _INVARIANTS else [*node.exc.args]
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
        is_line = node.func.attr in {"info", "warning", "error"}
        return node.args[:1] if is_line and "log" in ast.unparse(node.func.value).lower() else []
    if isinstance(node, ast.Call) and getattr(node.func, "id", "") in {"ValueError", "SuyanError"}:
        return [*node.args]
    return []


def untranslated_texts() -> Iterator[str]:
    """The place of every text that a command of ``cli`` or a service prints as it is written."""
    for path in sorted([*(ROOT / "cli").rglob("*.py"), *(ROOT / "flows").rglob("*.py")]):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        says_words = _imports_page_words(tree)
        for node in ast.walk(tree):
            if isinstance(node, ast.Call):
                if says_words and getattr(node.func, "id", "") == "say":
                    continue  # its argument is the name of a text in both languages
                for part in _printed(node):
                    texts = {*_own_texts(part)} - _COMMANDS_AND_UNITS
                    if any(re.search(_WORD, re.sub(_MARKUP, "", text)) for text in texts):
                        yield f"{path.relative_to(ROOT)}:{part.lineno}: {ast.unparse(part)}"


def _imports_page_words(tree: ast.Module) -> bool:
    return any(
        isinstance(node, ast.ImportFrom) and node.module == "flows.ui.page_words"
        for node in ast.walk(tree)
    )


def _printed(call: ast.Call) -> list[ast.expr]:
    """The arguments of a call that a person reads."""
    name = getattr(call.func, "id", getattr(call.func, "attr", ""))
    if name == "print_table":
        return call.args[3:4]
    if name in {"print_line", "print_text"}:
        return call.args[1:2]
    if name == "Finding":
        return call.args[2:]
    return call.args[:1] if name in {"print", "confirm", "echo", "say"} else []


def _own_texts(node: ast.AST) -> Iterator[str]:
    """The texts that are written in ``node`` itself, not in a call within it."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        yield node.value
    elif not isinstance(node, (ast.Call, ast.Subscript)):
        for each in ast.iter_child_nodes(node):
            yield from _own_texts(each)


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
