"""Where everything of a workspace lies: the only code that spells its paths.

::

    originals/ab/<sha256>.<ext>          CrawlFolder, DatasetFolder, … say what is in each of these
    crawls/<domain>-<digest>/
    datasets/<version>/
    runs/<run>/checkpoints/<checkpoint>/, runs/<run>/evaluation/<checkpoint>/
    models/<recipe>/<version>/, models/<recipe>/champion.json
    recipes/<recipe>/dataset.json, run.json
    cache/, truth/, prefect/, catalogue.sqlite, bucket.json

A stage gets a ``Workspace``, or one of its folders; a folder may also be a person's own, anywhere.
Nothing here touches the disk but ``bucket_address`` and what its docstring says so of.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from pathlib import Path

from core.files import load_json

SPLITS = ("trainA", "trainB", "testA", "testB")
"""The folders of a dataset, as every CycleGAN tool reads them."""


def original_key(sha256: str, extension: str) -> str:
    """The path of an original relative to the workspace, which is its key in a bucket."""
    return f"originals/{sha256[:2]}/{sha256}.{extension}"


@dataclass(frozen=True)
class CrawlFolder:
    """``crawls/<domain>-<digest>``: what one crawl has brought."""

    path: Path

    @property
    def listing(self) -> Path:
        """A ``tables.Original`` for each hit, rejected ones too; Parquet."""
        return self.path / "listing.parquet"

    @property
    def summary(self) -> Path:
        """Counts, reasons, and the yield of each phrase."""
        return self.path / "summary.json"

    @property
    def preview(self) -> Path:
        """The newest originals at a glance; JPEG."""
        return self.path / "preview.jpg"

    @property
    def lock(self) -> Path:
        """Held by the process that crawls."""
        return self.path / ".lock"


@dataclass(frozen=True)
class DatasetFolder:
    """``datasets/<version>``, or any folder with ``trainA`` and ``trainB``."""

    path: Path

    @property
    def manifest(self) -> Path:
        """A ``tables.Picture`` for each original or face, rejected ones too; Parquet."""
        return self.path / "manifest.parquet"

    @property
    def config(self) -> Path:
        """The ``PrepareConfig`` that it was made with."""
        return self.path / "config.json"

    @property
    def card(self) -> Path:
        """What it holds, as JSON."""
        return self.path / "card.json"

    @property
    def card_page(self) -> Path:
        """The same as a page to look at."""
        return self.path / "card.html"

    @property
    def card_text(self) -> Path:
        """The same in Markdown."""
        return self.path / "card.md"

    def card_section_page(self, section: str, page: int) -> Path:
        """The further pages, from 2 on, of a section of the card that is too long for one."""
        return self.path / f"card-{section}-{page}.html"

    @property
    def changes(self) -> Path:
        """What differs from the version before; CSV."""
        return self.path / "changes.csv"

    @property
    def previews(self) -> Path:
        """Small JPEGs of the originals that the card page shows."""
        return self.path / "previews"

    def contact_sheet(self, split: str) -> Path:
        """A grid of pictures of one of ``SPLITS``; JPEG."""
        return self.path / f"contact-{split}.jpg"

    def preview(self, sha256: str) -> Path:
        """The small copy of an original that the card's pages show; JPEG."""
        return self.path / "previews" / f"{sha256[:16]}.jpg"

    def split(self, name: str) -> Path:
        """The pictures of a split and side: one of ``SPLITS``."""
        return self.path / name


@dataclass(frozen=True)
class CheckpointFolder:
    """``runs/<run>/checkpoints/step_<n>``: the networks of one moment."""

    path: Path

    @property
    def config(self) -> Path:
        """The ``TrainConfig`` of the run."""
        return self.path / "config.json"

    @property
    def state(self) -> Path:
        """Optimisers, pools and the position in the run."""
        return self.path / "state.pt"

    def weights(self, network: str) -> Path:
        """Of ``G_A``, ``G_B``, ``D_A``, ``D_B`` or an average, ``G_A_ema`` or ``G_B_ema``."""
        return self.path / f"{network}.safetensors"


@dataclass(frozen=True)
class EvaluationFolder:
    """``runs/<run>/evaluation/<checkpoint>``: the figures of one checkpoint."""

    path: Path

    @property
    def scores(self) -> Path:
        """The figures; ``evaluation/scores.py`` describes them."""
        return self.path / "scores.json"

    @property
    def report(self) -> Path:
        """The page for people."""
        return self.path / "report.html"

    @property
    def decision(self) -> Path:
        """What a person decided about the checkpoint, and why."""
        return self.path / "decision.json"

    @property
    def gallery(self) -> Path:
        """The pictures that the report shows."""
        return self.path / "gallery"


@dataclass(frozen=True)
class RunFolder:
    """``runs/<run>``: one training."""

    path: Path

    @property
    def config(self) -> Path:
        """``{"train": TrainConfig, "dataset": name of the dataset}``."""
        return self.path / "config.json"

    @property
    def log(self) -> Path:
        """Losses, learning rate, speed and memory every ten steps; JSON lines."""
        return self.path / "log.jsonl"

    @property
    def measures(self) -> Path:
        """Validations and the variety of translations; JSON lines."""
        return self.path / "measures.jsonl"

    @property
    def events(self) -> Path:
        """What a person should know, such as rollbacks and early stops; JSON lines."""
        return self.path / "events.jsonl"

    @property
    def augmentation(self) -> Path:
        """Training pictures as the network sees them; JPEG."""
        return self.path / "augmentation.jpg"

    @property
    def tensorboard(self) -> Path:
        """The same for TensorBoard."""
        return self.path / "tensorboard"

    @property
    def checkpoints(self) -> Path:
        """The folder of the checkpoints."""
        return self.path / "checkpoints"

    @property
    def best(self) -> Path:
        """Which checkpoint validated best, and its score."""
        return self.checkpoints / "best.json"

    @property
    def lock(self) -> Path:
        """Held by the process that trains."""
        return self.path.parent / f".{self.path.name}.lock"

    def checkpoint(self, name: str) -> CheckpointFolder:
        """The checkpoint of this name, ``step_<8 digits>``."""
        return CheckpointFolder(self.checkpoints / name)

    @property
    def evaluations(self) -> Path:
        """The folder of the evaluations."""
        return self.path / "evaluation"

    def evaluation(self, checkpoint: str) -> EvaluationFolder:
        """The figures of the checkpoint of this name."""
        return EvaluationFolder(self.evaluations / checkpoint)

    def samples(self, step: int, *, averaged: bool = False) -> Path:
        """The grid of sample translations at ``step``; ``averaged``: by averaged weights."""
        return self.samples_folder(averaged=averaged) / f"step_{step:08d}.jpg"

    def samples_folder(self, *, averaged: bool = False) -> Path:
        """The folder of those grids."""
        return self.path / ("samples_ema" if averaged else "samples")


@dataclass(frozen=True)
class ModelFolder:
    """``models/<recipe>/<version>``: a stored model, and what it was made of."""

    path: Path

    @property
    def config(self) -> Path:
        """The ``TrainConfig`` of its training."""
        return self.path / "config.json"

    @property
    def prepare(self) -> Path:
        """The ``PrepareConfig`` of its pictures."""
        return self.path / "prepare.json"

    @property
    def scores(self) -> Path:
        """The figures of its evaluation."""
        return self.path / "scores.json"

    @property
    def lineage(self) -> Path:
        """Its domains, phrases, dataset, run, checkpoint and weights."""
        return self.path / "model.json"

    @property
    def card(self) -> Path:
        """The model card, in Markdown."""
        return self.path / "card.md"

    @property
    def dataset_card(self) -> Path:
        """The card of the dataset that it was trained on, as JSON."""
        return self.path / "dataset.json"

    @property
    def report(self) -> Path:
        """The report of its evaluation."""
        return self.path / "report.html"

    @property
    def import_source(self) -> Path:
        """Of a model that was imported: from where."""
        return self.path / "source.json"

    def weights(self, network: str) -> Path:
        """Of ``G_A`` or ``G_B``."""
        return self.path / f"{network}.safetensors"


@dataclass(frozen=True)
class RecipeModels:
    """``models/<recipe>``: the stored models of a recipe, and the pointer to its champion."""

    path: Path

    @property
    def champion(self) -> Path:
        """The pointer: which version is the champion, and its history."""
        return self.path / "champion.json"

    @property
    def lock(self) -> Path:
        """Held by whoever stores a model or moves the pointer."""
        return self.path / ".lock"

    def version(self, name: str) -> ModelFolder:
        """The stored model of this name."""
        return ModelFolder(self.path / name)


@dataclass(frozen=True)
class PrefectFolder:
    """``prefect/``: the database and logs of a workspace's Prefect, and which processes run."""

    path: Path

    @property
    def database(self) -> Path:
        """Prefect's own; SQLite."""
        return self.path / "prefect.db"

    @property
    def server_state(self) -> Path:
        """Process, address and owner of the running server."""
        return self.path / "server.json"

    @property
    def worker_state(self) -> Path:
        """Process of the running worker."""
        return self.path / "worker.json"

    @property
    def deployed(self) -> Path:
        """Digest of the code and the deployments that the server has."""
        return self.path / "deployed.json"

    @property
    def server_log(self) -> Path:
        """What the server prints."""
        return self.path / "server.log"

    @property
    def worker_log(self) -> Path:
        """What the worker and its runs print."""
        return self.path / "worker.log"


@dataclass(frozen=True)
class Workspace:
    """A folder of this machine that holds all that the stages make.

    It may stand in for a bucket (``storage/remote.py`` opens it then): ``bucket_address`` says for
    which one.
    """

    folder: Path

    @functools.cached_property
    def bucket_address(self) -> str:
        """``s3://…``, or "" where this folder is all there is; read once.

        Raises ``ValueError`` for a ``bucket.json`` that names none.
        """
        try:
            return str(load_json(self.bucket_file)["address"])
        except FileNotFoundError:
            return ""
        except (ValueError, KeyError, TypeError) as error:
            raise ValueError(
                f"{self.bucket_file}: found something that names no bucket ({error}), needed what "
                "suyan wrote there; remove this file, and give the workspace as s3://… again"
            ) from error

    def __str__(self) -> str:
        return str(self.folder)

    def __truediv__(self, name: str) -> Path:  # transitional
        return self.folder / name

    def __fspath__(self) -> str:  # transitional
        return str(self.folder)

    @property
    def bucket_file(self) -> Path:
        """Which bucket this folder stands in for."""
        return self.folder / "bucket.json"

    @property
    def catalogue(self) -> Path:
        """The SQLite file of hits, downloads and originals."""
        return self.folder / "catalogue.sqlite"

    @property
    def originals(self) -> Path:
        """Files as they were fetched, named by their content."""
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
        """What may be removed: it is made again."""
        return self.folder / "cache"

    @property
    def analyses(self) -> Path:
        """What preparation knows of originals, of pairs and of crops; SQLite."""
        return self.cache / "analysis.sqlite"

    @property
    def crops(self) -> Path:
        """Crops by original."""
        return self.cache / "crops"

    @property
    def features(self) -> Path:
        """Features of pictures, named by pictures and network."""
        return self.cache / "features"

    @property
    def merge_notes(self) -> Path:
        """Of files that people edit, what this machine and the bucket last agreed on; JSON."""
        return self.cache / "agreed"

    @property
    def truth(self) -> Path:
        """True counterparts of drawn people, for evaluation alone."""
        return self.folder / "truth"

    @property
    def truth_table(self) -> Path:
        """Which of them belongs to which drawn picture; Parquet."""
        return self.truth / "truth.parquet"

    @property
    def prefect(self) -> PrefectFolder:
        """The folder of the workspace's Prefect; absolute, for its processes run elsewhere."""
        return PrefectFolder(self.folder.absolute() / "prefect")

    @property
    def in_use_lock(self) -> Path:
        """Held, shared, by every process that reads or makes things here."""
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

    def run(self, name: str) -> RunFolder:
        """The run of this name."""
        return RunFolder(self.runs / name)

    def recipe_models(self, recipe: str) -> RecipeModels:
        """The stored models of ``recipe``."""
        return RecipeModels(self.models / recipe)

    def pointer(self, recipe: str, kind: str) -> Path:
        """``recipes/<recipe>/<kind>.json``: the newest ``dataset`` or ``run`` of a recipe."""
        return self.folder / "recipes" / recipe / f"{kind}.json"

    def original(self, sha256: str, extension: str) -> Path:
        """Where the original of this content lies."""
        return self.folder / original_key(sha256, extension)

    def key(self, path: Path) -> str:
        """``path`` as the bucket and the tables call it: relative, with slashes."""
        return path.relative_to(self.folder).as_posix()
