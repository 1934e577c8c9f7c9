"""What a dataset version has that the one before had not, by their manifests."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from core.tables import iter_rows


@dataclass(frozen=True)
class Change:
    """A picture's file in the version before and now ("" where it is not used), and why."""

    sha256: str
    kind: str  # "added", "removed", "moved" (another side or split), "recut"
    before: str
    now: str
    reason: str  # of its removal


@dataclass(frozen=True, slots=True)
class _Row:
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


def changes(before: Path, now: Path) -> list[Change]:
    """Pictures that came, went, moved, or are cropped otherwise; in the order of their digests.

    Raises ``ValueError`` or ``OSError`` for a manifest that cannot be read.
    """
    differing = _differing(before, now)
    old = {row.key: row for row in _used(before) if row.key in differing}
    new = {row.key: row for row in _used(now) if row.key in differing}
    gone = {row.sha256 for key, row in old.items() if key not in new}
    reasons = {
        row.sha256: row.reason
        for row in iter_rows(now, _Row)
        if row.status != "ok" and row.sha256 in gone
    }
    return [_change(old.get(key), new.get(key), reasons) for key in sorted(differing)]


def _differing(before: Path, now: Path) -> set[bytes]:
    """Keys of what is not the same in both; of what is, some hundred bytes are kept meanwhile."""
    places = {row.key: hash(row.place) for row in _used(before)}
    differing = {row.key for row in _used(now) if places.pop(row.key, None) != hash(row.place)}
    return differing | places.keys()


def _used(manifest: Path) -> Iterator[_Row]:
    return (row for row in iter_rows(manifest, _Row) if row.status == "ok")


def _change(was: _Row | None, now: _Row | None, reasons: dict[str, str]) -> Change:
    if was is None:
        assert now is not None
        return Change(now.sha256, "added", "", now.file, "")
    if now is None:
        reason = reasons.get(was.sha256, "no longer listed")
        return Change(was.sha256, "removed", was.file, "", reason)
    kind = "moved" if was.file != now.file else "recut"
    return Change(now.sha256, kind, was.file, now.file, "")
