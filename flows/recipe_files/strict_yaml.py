"""YAML as people write it by hand, read strictly: YAML 1.2, plain values, each with its line."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from core.language.messages import localised

_TAG = "tag:yaml.org,2002:"
_PLAIN = {f"{_TAG}{kind}" for kind in ("str", "int", "float", "bool", "null", "map", "seq")}
_MOST_BYTES = 1_000_000
_WORDS = {  # of the parser, for people
    "'<stream end>'": "the end of the file",
    "<block end>": "the end of the lines above, by their indentation",
    "'<block mapping start>'": "a line that is indented differently",
    "but found another document": "found a second document (---)",
}


@dataclass(frozen=True)
class Document:
    """The mapping that a file holds, and the line of each of its names, counted from 1.

    The names of ``lines`` are paths, e.g. ``("train", "seed")``.
    """

    values: dict[str, Any]
    lines: dict[tuple[str, ...], int]


def read_document(path: Path) -> Document:
    """The content of a YAML or JSON file.

    Raises ``OSError`` for a file that cannot be read, and ``ValueError`` with file and line for
    anything but a mapping of plain values: for broken YAML, tabs, names that stand twice, anchors,
    dates, and types of other programs.
    """
    if path.stat().st_size > _MOST_BYTES:
        raise ValueError(
            localised(
                "{path}: found {num} bytes, needed a file of settings of at most {most_bytes}",
                path=path,
                num=path.stat().st_size,
                most_bytes=_MOST_BYTES,
            )
        )
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(
            localised(
                "{path}: found bytes that are no UTF-8 (at byte {start}); save it as UTF-8",
                path=path,
                start=error.start,
            )
        ) from None
    try:
        # compose knows the lines, load the values
        root = YAML(typ="safe", pure=True).compose(text)
        lines = dict(_lines(root)) if root is not None else {}
        values = YAML(typ="safe", pure=True).load(text)
    except _DocumentError as error:
        raise ValueError(
            localised("{path}, line {line}: {error}", path=path, line=error.line, error=error)
        ) from None
    except MarkedYAMLError as error:
        raise ValueError(f"{path}{_problem(error)}") from None
    except (YAMLError, RecursionError, ValueError) as error:
        problem = "too deeply nested" if isinstance(error, RecursionError) else error
        raise ValueError(
            localised("{path}: found no YAML: {problem}", path=path, problem=problem)
        ) from None
    if values is None:
        values = {}
    if not isinstance(values, dict):
        raise ValueError(  # noqa: TRY004 - wrong input
            localised(
                "{path}: found {values!r:.60}, needed names and their values",
                path=path,
                values=values,
            )
        )
    return Document(values, lines)


class _DocumentError(Exception):
    """A part of valid YAML that is refused."""

    def __init__(self, node: Node, message: str) -> None:
        super().__init__(message)
        self.line = node.start_mark.line + 1


def _lines(root: Node) -> Iterator[tuple[tuple[str, ...], int]]:
    """The path and the line of every name; raises ``_DocumentError`` for what is refused."""
    visited = set[int]()
    pending: list[tuple[tuple[str, ...], Node]] = [((), root)]
    while pending:
        path, node = pending.pop()
        if id(node) in visited:
            raise _DocumentError(
                node, localised("found an anchor (&name) that is used again; write its values out")
            )
        visited.add(id(node))
        _require_plain(node)
        if isinstance(node, SequenceNode):
            pending += ((path, each) for each in node.value)
        if not isinstance(node, MappingNode):
            continue
        first_lines = dict[str, int]()
        for name, value in node.value:
            text, line = _name(name), name.start_mark.line + 1
            if text in first_lines:
                raise _DocumentError(
                    name,
                    localised(
                        "found {name} again, after line {line}; remove one of them",
                        name=text,
                        line=first_lines[text],
                    ),
                )
            first_lines[text] = line
            yield (*path, text), line
            pending.append(((*path, text), value))


def _name(node: Node) -> str:
    if not isinstance(node, ScalarNode) or node.tag != f"{_TAG}str":
        raise _DocumentError(
            node,
            localised(
                "found {found!r:.60} as a name, needed the name of a setting", found=node.value
            ),
        )
    return str(node.value)


def _require_plain(node: Node) -> None:
    tag = str(node.tag)
    if tag not in _PLAIN:
        kind = tag.removeprefix(_TAG)
        remedy = "put it in quotes" if kind == "timestamp" else "needed a plain value"
        raise _DocumentError(
            node,
            localised(
                "found {found!r:.60}, of the kind {kind}; {remedy}",
                found=node.value,
                kind=kind,
                remedy=remedy,
            ),
        )


def _problem(error: MarkedYAMLError) -> str:
    mark = error.problem_mark or error.context_mark
    line = f", line {mark.line + 1}" if mark is not None else ""
    problem = str(error.problem or error.context or "broken YAML")
    for word, meaning in _WORDS.items():
        problem = problem.replace(word, meaning)
    if r"'\t'" in problem:
        return f"{line}: found a tab, needed spaces"
    return f"{line}: {problem}; needed 'name: value', indented by spaces"
