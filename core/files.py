"""Files that appear whole or not at all, canonical JSON, and digests."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import tempfile
import unicodedata
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO

from core.errors import FolderMismatchError
from core.language.messages import localised

_USUAL_NAME_BYTES = 255
_DRAFT_BYTES = 16  # of a temporary name: mkstemp's letters and the suffix
_DIRECTION_CHANGES = {"LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"}


@contextlib.contextmanager
def atomic_file(path: Path, *, is_new: bool = False) -> Iterator[BinaryIO]:
    """Open a temporary file beside ``path``; on a clean exit fsync it and rename it to ``path``.

    A reader sees the old file or the whole new one. On an exception the temporary file is removed.
    With ``is_new`` nothing is replaced: raises ``FileExistsError`` where ``path`` is there.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    prefix = fitting_name(f".{path.name}", ".", path.parent, reserved_bytes=_DRAFT_BYTES)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=prefix, suffix=".tmp")
    try:
        with os.fdopen(handle, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        Path(name).chmod(0o644)
        if is_new:
            _rename_to_new(Path(name), path)
        else:
            Path(name).replace(path)
        sync_folder(path.parent)
    except BaseException as error:
        Path(name).unlink(missing_ok=True)
        if isinstance(error, OSError) and error.errno and not error.filename:
            error.filename = str(path)  # the system's "disk full" error names no file
        raise


def _rename_to_new(draft: Path, path: Path) -> None:
    """Rename ``draft``; raises ``FileExistsError`` where ``path`` is there."""
    try:
        path.hardlink_to(draft)
    except FileExistsError:
        raise
    except OSError:  # a file system without hard links
        path.touch(exist_ok=False)
        draft.replace(path)
    else:
        draft.unlink()


def fitting_name(stem: str, ending: str, folder: Path, *, reserved_bytes: int = 0) -> str:
    """``stem + ending`` as a file's name in ``folder``: the stem is cut at a whole character where
    the file system takes no longer name.

    ``reserved_bytes`` are left free for what the caller appends.
    """
    try:
        max_bytes = os.pathconf(folder, "PC_NAME_MAX")
    except (OSError, ValueError):
        max_bytes = _USUAL_NAME_BYTES
    room = max(1, max_bytes - reserved_bytes - len(os.fsencode(ending)))
    while len(os.fsencode(stem)) > room:
        stem = stem[:-1]
    return stem + ending


def printable_name(path: Path) -> str:
    """``path`` as one line of text.

    Characters that would break or turn the line, and bytes that are no text, become escapes.
    """
    return "".join(
        character.encode("unicode_escape").decode() if _is_unsafe(character) else character
        for character in str(path)
    )


def _is_unsafe(character: str) -> bool:
    """Whether a character is a control, a line end, half of a pair, or changes the direction."""
    return (
        unicodedata.category(character) in {"Cc", "Cs", "Zl", "Zp"}
        or unicodedata.bidirectional(character) in _DIRECTION_CHANGES
    )


def sync_file(path: Path) -> None:
    """Flush a file's content to disk. Raises ``FileNotFoundError``."""
    _sync(path)


def sync_folder(folder: Path) -> None:
    """Flush a folder's entries to disk, so that a rename in it survives a power cut."""
    _sync(folder)


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def load_json(path: Path) -> dict[str, Any]:
    """The object in a JSON file (UTF-8).

    Raises ``FileNotFoundError``, and a ``ValueError`` that names the file if it holds no JSON
    object.
    """
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(
            localised("{path}: found no whole JSON ({error})", path=path, error=error)
        ) from error
    if not isinstance(value, dict):
        kind = type(value).__name__
        raise ValueError(  # noqa: TRY004 - the file is wrong, not a type
            localised("{path}: found a JSON {kind}, needed an object", path=path, kind=kind)
        )
    return value


def try_load_json(path: Path) -> dict[str, Any] | None:
    """The object in a JSON file; ``None`` if the file is missing or holds no whole object.

    Raises ``OSError`` for a file that cannot be read at present (its rights, a network disk): it
    may be whole, and must not be replaced as if it were missing.
    """
    try:
        return load_json(path)
    except (FileNotFoundError, NotADirectoryError, ValueError):
        return None


def write_json(path: Path, value: Any) -> None:
    """Write ``value`` as readable UTF-8 JSON with sorted keys, atomically."""
    with atomic_file(path) as file:
        file.write(canonical_json(value, indent=2).encode())


def canonical_json(value: Any, indent: int | None = None) -> str:
    """``value`` as JSON text that is the same for equal values (sorted keys, no NaN)."""
    return json.dumps(value, ensure_ascii=False, sort_keys=True, indent=indent, allow_nan=False)


def digest(value: Any, length: int = 12) -> str:
    """The first ``length`` hex digits of the sha256 of ``value``'s canonical JSON."""
    return hashlib.sha256(canonical_json(value).encode()).hexdigest()[:length]


def file_sha256(path: Path) -> str:
    """sha256 of a file's bytes, 64 hex digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def claim_folder(folder: Path, config: Mapping[str, Any]) -> None:
    """Create ``folder`` with ``config`` as ``config.json``, or check that it holds the same one.

    Raises ``FolderMismatchError`` that lists each differing field, both values and the remedies.
    """
    path = _claim(folder)
    expected = json.loads(canonical_json(config))
    if not path.exists():
        write_json(path, expected)
        return
    differences = list(_differences(load_json(path), expected, ""))
    if differences:
        raise FolderMismatchError(
            localised("{folder} holds the work of another configuration:\n", folder=folder)
            + "\n".join(f"  {line}" for line in differences)
            + localised(
                "\nGive the old values back, or choose another folder (or remove this one)."
            )
        )


def claimed_config(folder: Path) -> dict[str, Any]:
    """The configuration with which ``folder`` was claimed; empty where it was not."""
    return dict(try_load_json(_claim(folder)) or {})


def _claim(folder: Path) -> Path:
    return folder / "config.json"


def _differences(actual: Any, expected: Any, field: str) -> Iterator[str]:
    if isinstance(actual, dict) and isinstance(expected, dict):
        for key in sorted(actual.keys() | expected.keys()):
            path = f"{field}.{key}" if field else key
            yield from _differences(actual.get(key), expected.get(key), path)
    elif actual != expected:
        yield f"{field}: the folder has {actual!r}, this run asks for {expected!r}"
