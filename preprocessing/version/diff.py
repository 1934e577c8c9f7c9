"""The differences between a dataset version and the one before, by their manifests."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from core.tables import iter_rows


@dataclass(frozen=True)
class Change:
    """A row of ``changes.csv``: a picture's file in the version before and now, "" for unused."""

    sha256: str
    kind: str  # "added", "removed", "moved" (to another side or split), "recut"
    before: str
    now: str
    reason: str  # of its removal


@dataclass(frozen=True, slots=True)
class _Row:
    """Columns of ``Picture``."""

    sha256: str
    face: int
    status: str
    reason: str
    file: str
    transform: list[float]

    @property
    def key(self) -> bytes:
        return bytes.fromhex(self.sha256) + str(self.face).encode()

    @property
    def place(self) -> tuple[str, tuple[float, ...]]:
        return self.file, tuple(self.transform)


def find_changes(before: Path, now: Path) -> list[Change]:
    """The pictures that were added, removed, moved or recut between two manifests, by sha256.

    Raises ``ValueError`` or ``OSError`` for a manifest that cannot be read.
    """
    differing = _differing_keys(before, now)
    old = {row.key: row for row in _accepted_rows(before) if row.key in differing}
    new = {row.key: row for row in _accepted_rows(now) if row.key in differing}
    removed = {row.sha256 for key, row in old.items() if key not in new}
    reasons = {
        row.sha256: row.reason
        for row in iter_rows(now, _Row)
        if row.status != "ok" and row.sha256 in removed
    }
    return [_change(old.get(key), new.get(key), reasons) for key in sorted(differing)]


def _differing_keys(before: Path, now: Path) -> set[bytes]:
    """Keys of the pictures that are not the same in both; memory holds one hash per picture."""
    places = {row.key: hash(row.place) for row in _accepted_rows(before)}
    differing = {
        row.key for row in _accepted_rows(now) if places.pop(row.key, None) != hash(row.place)
    }
    return differing | places.keys()


def _accepted_rows(manifest: Path) -> Iterator[_Row]:
    return (row for row in iter_rows(manifest, _Row) if row.status == "ok")


def _change(old: _Row | None, new: _Row | None, reasons: Mapping[str, str]) -> Change:
    if old is None:
        assert new is not None
        return Change(sha256=new.sha256, kind="added", before="", now=new.file, reason="")
    if new is None:
        reason = reasons.get(old.sha256, "no longer listed")
        return Change(sha256=old.sha256, kind="removed", before=old.file, now="", reason=reason)
    kind = "moved" if old.file != new.file else "recut"
    return Change(sha256=new.sha256, kind=kind, before=old.file, now=new.file, reason="")
