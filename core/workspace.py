"""The paths of a workspace; no other code spells them.

::

    originals/ab/<sha256>.<ext>
    crawls/<domain>-<digest>/
    datasets/<version>/
    runs/<run>/checkpoints/<checkpoint>/, runs/<run>/evaluation/<checkpoint>/
    models/<recipe>/<version>/, models/<recipe>/champion.json
    recipes/<recipe>.yaml, recipes/<recipe>/dataset.json, run.json
    cache/, truth/, prefect/, catalogue.sqlite, bucket.json, forgotten.json, exports.json

``workspace_folders`` describes the files in each of them. Only ``bucket_address`` and
``other_workspace`` touch the disk.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from core.files import load_json
from core.language.messages import localised
from core.workspace_folders import (
    CrawlFolder,
    DatasetFolder,
    PrefectFolder,
    RecipeModels,
    RunFolder,
    original_key,
)


@dataclass(frozen=True)
class Workspace:
    """A folder of this machine that holds the results of all stages.

    It may be the local copy of a bucket (``storage/remote.py`` opens it then); ``bucket_address``
    names the bucket.
    """

    folder: Path

    @functools.cached_property
    def bucket_address(self) -> str:
        """``s3://…``, or "" for a workspace that is only a folder; read once.

        Raises ``ValueError`` for a ``bucket.json`` that names none.
        """
        try:
            return str(load_json(self.bucket_file)["address"])
        except FileNotFoundError:
            return ""
        except (ValueError, KeyError, TypeError) as error:
            raise ValueError(
                localised(
                    "{bucket_file}: found something that names no bucket ({error}), needed what "
                    "suyan wrote there; remove this file, and give the workspace as s3://… again",
                    bucket_file=self.bucket_file,
                    error=error,
                )
            ) from error

    def __str__(self) -> str:
        return str(self.folder)

    @property
    def bucket_file(self) -> Path:
        """The file that names the bucket of which this folder is the local copy."""
        return self.folder / "bucket.json"

    @property
    def catalogue(self) -> Path:
        """The SQLite file of hits, downloads and originals."""
        return self.folder / "catalogue.sqlite"

    @property
    def forgotten(self) -> Path:
        """What ``suyan forget`` removed, so that copies are recognised later; JSON."""
        return self.folder / "forgotten.json"

    @property
    def exports(self) -> Path:
        """The files that ``suyan export-dataset`` wrote on this machine; JSON."""
        return self.folder / "exports.json"

    @property
    def originals(self) -> Path:
        """The folder of downloaded files, named by their content."""
        return self.folder / "originals"

    @property
    def crawls(self) -> Path:
        """The folder of the crawls."""
        return self.folder / "crawls"

    @property
    def datasets(self) -> Path:
        """The folder of the dataset versions, and of people's decisions about pictures."""
        return self.folder / "datasets"

    @property
    def runs(self) -> Path:
        """The folder of the training runs."""
        return self.folder / "runs"

    @property
    def models(self) -> Path:
        """The folder of the recipes' models."""
        return self.folder / "models"

    @property
    def cache(self) -> Path:
        """The folder of files that may be removed, since they can be computed again."""
        return self.folder / "cache"

    @property
    def analyses(self) -> Path:
        """Results of preparation for each original, pair and crop; SQLite."""
        return self.cache / "analysis.sqlite"

    @property
    def crops(self) -> Path:
        """The folder of crops, by original."""
        return self.cache / "crops"

    @property
    def thumbnails(self) -> Path:
        """The folder of small copies that the review's page shows, by original; JPEG."""
        return self.cache / "thumbnails"

    @property
    def features(self) -> Path:
        """The folder of feature arrays, named by pictures and network."""
        return self.cache / "features"

    @property
    def durations(self) -> Path:
        """Seconds that each stage took for a picture, by machine; JSON."""
        return self.cache / "durations.json"

    @property
    def merge_notes(self) -> Path:
        """Last merged state of the files that people edit, here and in the bucket; JSON."""
        return self.cache / "agreed"

    @property
    def truth(self) -> Path:
        """The folder of the drawn people's true counterparts, for evaluation only."""
        return self.folder / "truth"

    @property
    def truth_table(self) -> Path:
        """The counterpart of each drawn picture; Parquet."""
        return self.truth / "truth.parquet"

    @property
    def prefect(self) -> PrefectFolder:
        """The folder of the workspace's Prefect; absolute, for processes with other folders."""
        return PrefectFolder(self.folder.absolute() / "prefect")

    @property
    def in_use_lock(self) -> Path:
        """The lock that every process shares while it uses the workspace."""
        return self.folder / ".in_use.lock"

    def crawl(self, name: str) -> CrawlFolder:
        """The crawl of this name."""
        return CrawlFolder(self.crawls / name)

    def dataset(self, version: str) -> DatasetFolder:
        """The dataset version of this name."""
        return DatasetFolder(self.datasets / version)

    def overrides(self, domain_a: str, domain_b: str) -> Path:
        """People's decisions about the pictures of two domains; CSV."""
        return self.datasets / f"overrides-{domain_a}-{domain_b}.csv"

    def overrides_lock(self, domain_a: str, domain_b: str) -> Path:
        """The lock of a process that adds to, or takes from, the decisions of these domains."""
        return self.datasets / f".overrides-{domain_a}-{domain_b}.lock"

    def run(self, name: str) -> RunFolder:
        """The run of this name."""
        return RunFolder(self.runs / name)

    def recipe_models(self, recipe: str) -> RecipeModels:
        """The stored models of ``recipe``."""
        return RecipeModels(self.models / recipe)

    def pointer(self, recipe: str, kind: str) -> Path:
        """``recipes/<recipe>/<kind>.json``: the newest ``dataset`` or ``run`` of a recipe."""
        return self.pointers / recipe / f"{kind}.json"

    @property
    def pointers(self) -> Path:
        """The folder of every recipe's pointers."""
        return self.recipe_files

    @property
    def recipe_files(self) -> Path:
        """The folder of people's own recipes, ``<recipe>.yaml`` each."""
        return self.folder / "recipes"

    def recipe_file(self, recipe: str) -> Path:
        """The file of a person's own recipe; YAML."""
        return self.recipe_files / f"{recipe}.yaml"

    def original(self, sha256: str, extension: str) -> Path:
        """The path of the original with this content."""
        return self.folder / original_key(sha256, extension)

    def key(self, path: Path) -> str:
        """``path`` as it is written in the bucket and the tables: relative, with slashes."""
        return path.relative_to(self.folder).as_posix()


def other_workspace(content: Callable[[Workspace], Path]) -> Path | None:
    """A workspace below this folder, such as the demonstration's, that has ``content``: a path of
    a workspace, which may hold patterns.
    """
    pattern = content(Workspace(Path()))
    paths = sorted(Path().glob(f"workspace*/**/{pattern}"))
    return paths[0].parents[len(pattern.parts) - 1] if paths else None
