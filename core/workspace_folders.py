"""The files' names in each folder of a workspace, or in a person's own. Nothing reads the disk."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

SPLITS = ("trainA", "trainB", "testA", "testB")
"""The folders of a dataset, named as every CycleGAN tool expects."""


def original_key(sha256: str, extension: str) -> str:
    """The path of an original relative to the workspace, which is its key in a bucket."""
    return f"originals/{sha256[:2]}/{sha256}.{extension}"


@dataclass(frozen=True)
class CrawlFolder:
    """``crawls/<domain>-<digest>``: the results of one crawl."""

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
        """A contact sheet of the newest originals; JPEG."""
        return self.path / "preview.jpg"

    @property
    def lock(self) -> Path:
        """The lock of the process that crawls."""
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
        """The dataset card as JSON."""
        return self.path / "card.json"

    @property
    def card_page(self) -> Path:
        """The dataset card as an HTML page, in both languages."""
        return self.path / "card.html"

    def card_text(self, language: str = "en") -> Path:
        """The dataset card in Markdown, in ``en`` or ``zh``."""
        return self.path / ("card.md" if language == "en" else f"card.{language}.md")

    def card_section_page(self, section: str, page: int) -> Path:
        """The further pages, from 2 on, of a section of the card that is too long for one."""
        return self.path / f"card-{section}-{page}.html"

    @property
    def changes(self) -> Path:
        """The differences from the version before; CSV."""
        return self.path / "changes.csv"

    @property
    def doubtful_pairs(self) -> Path:
        """Pairs that are nearly similar enough to be copies, the most similar first; CSV."""
        return self.path / "doubtful.csv"

    @property
    def previews(self) -> Path:
        """The folder of small JPEGs of the originals that the card's pages show."""
        return self.path / "previews"

    def contact_sheet(self, split: str) -> Path:
        """A grid of pictures of one of ``SPLITS``; JPEG."""
        return self.path / f"contact-{split}.jpg"

    def preview(self, sha256: str) -> Path:
        """The small copy of an original that the card's pages show; JPEG."""
        return self.path / "previews" / f"{sha256[:16]}.jpg"

    def split(self, name: str) -> Path:
        """The folder of the pictures of a split and side: one of ``SPLITS``."""
        return self.path / name


@dataclass(frozen=True)
class CheckpointFolder:
    """``runs/<run>/checkpoints/step_<n>``: the networks after n steps."""

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
        """Weights of ``G_A``, ``G_B``, ``D_A``, ``D_B``, or of an average such as ``G_A_ema``."""
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
        """The report as an HTML page."""
        return self.path / "report.html"

    def translated_report(self, language: str) -> Path:
        """The same report in another language, ``en`` or ``zh``."""
        return self.path / f"report.{language}.html"

    @property
    def decision(self) -> Path:
        """A person's decision about the checkpoint, with its reason."""
        return self.path / "decision.json"

    @property
    def figures(self) -> Path:
        """The figures by plain names, as TensorBoard and trackers show them; JSON."""
        return self.path / "figures.json"

    @property
    def training_statistics(self) -> Path:
        """Where the features of the training pictures lie; safetensors."""
        return self.path / "training_statistics.safetensors"

    @property
    def gallery(self) -> Path:
        """The folder of the pictures that the report shows."""
        return self.path / "gallery"


@dataclass(frozen=True)
class RunFolder:
    """``runs/<run>``: one training run."""

    path: Path

    @property
    def config(self) -> Path:
        """``{"train": TrainConfig, "dataset": name of the dataset}``."""
        return self.path / "config.json"

    @property
    def pictures(self) -> Path:
        """The pictures that are trained on: a digest of each by side and path; JSON."""
        return self.path / "pictures.json"

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
        """Events that a person should know of, such as rollbacks and early stops; JSON lines."""
        return self.path / "events.jsonl"

    @property
    def augmentation(self) -> Path:
        """Training pictures after augmentation, as the network receives them; JPEG."""
        return self.path / "augmentation.jpg"

    @property
    def tensorboard(self) -> Path:
        """The folder of TensorBoard's event files."""
        return self.path / "tensorboard"

    def tracker(self, name: str) -> Path:
        """The tracker's id of the run, and what it has of it; JSON."""
        return self.path / f"tracker-{name}.json"

    @property
    def tracking(self) -> Path:
        """The folder of what trackers keep here, e.g. to be sent later."""
        return self.path / "tracking"

    @property
    def mlflow_store(self) -> Path:
        """The folder of MLflow's database and pictures, of all runs beside this one."""
        return self.path.parent / ".mlflow"

    @property
    def mlflow_artifacts(self) -> Path:
        """The folder of MLflow's pictures, with a folder for each run, named by MLflow's id."""
        return self.mlflow_store / "artifacts"

    def tracker_lock(self, name: str) -> Path:
        """The lock of the process that sends the run to the tracker."""
        return self.path.parent / f".{self.path.name}.{name}.lock"

    @property
    def checkpoints(self) -> Path:
        """The folder of the checkpoints."""
        return self.path / "checkpoints"

    @property
    def best(self) -> Path:
        """The checkpoint with the best validation, and its score; JSON."""
        return self.checkpoints / "best.json"

    @property
    def starting_point(self) -> CheckpointFolder:
        """The weights that the training started from, where they are those of another one."""
        return CheckpointFolder(self.path / "starting_point")

    @property
    def lock(self) -> Path:
        """The lock of the process that trains."""
        return self.path.parent / f".{self.path.name}.lock"

    def checkpoint(self, name: str) -> CheckpointFolder:
        """The checkpoint of this name, ``step_<8 digits>``."""
        return CheckpointFolder(self.checkpoints / name)

    @property
    def evaluations(self) -> Path:
        """The folder of the evaluations."""
        return self.path / "evaluation"

    def evaluation(self, checkpoint: str) -> EvaluationFolder:
        """The evaluation of the checkpoint of this name."""
        return EvaluationFolder(self.evaluations / checkpoint)

    def samples(self, step: int, *, averaged: bool = False) -> Path:
        """The grid of sample translations at ``step``; ``averaged``: by averaged weights."""
        return self.samples_folder(averaged=averaged) / f"step_{step:08d}.jpg"

    def samples_folder(self, *, averaged: bool = False) -> Path:
        """The folder of the grids of sample translations."""
        return self.path / ("samples_ema" if averaged else "samples")


@dataclass(frozen=True)
class ModelFolder:
    """``models/<recipe>/<version>``: a stored model, with its configurations and its lineage."""

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
    def strengths(self) -> Path:
        """The strength of each generator's change, where one is other than 1; JSON."""
        return self.path / "strengths.json"

    @property
    def scores(self) -> Path:
        """The figures of its evaluation."""
        return self.path / "scores.json"

    @property
    def lineage(self) -> Path:
        """The lineage: domains, phrases, dataset, run, checkpoint and weights; JSON."""
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

    def translated_report(self, language: str) -> Path:
        """The same report in another language, ``en`` or ``zh``."""
        return self.path / f"report.{language}.html"

    @property
    def training_statistics(self) -> Path:
        """Where the features of the training pictures lie; safetensors."""
        return self.path / "training_statistics.safetensors"

    @property
    def import_source(self) -> Path:
        """The origin of an imported model."""
        return self.path / "source.json"

    def weights(self, network: str) -> Path:
        """Weights of ``G_A`` or ``G_B``."""
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
        """The lock of a process that stores a model or moves the pointer."""
        return self.path / ".lock"

    def version(self, name: str) -> ModelFolder:
        """The stored model of this name."""
        return ModelFolder(self.path / name)


@dataclass(frozen=True)
class PrefectFolder:
    """``prefect/``: the database and logs of a workspace's Prefect, and its processes."""

    path: Path

    @property
    def database(self) -> Path:
        """Prefect's own database; SQLite."""
        return self.path / "prefect.db"

    @property
    def server_state(self) -> Path:
        """Process, address and owner of the running server."""
        return self.path / "server.json"

    @property
    def worker_state(self) -> Path:
        """Process number of the running worker."""
        return self.path / "worker.json"

    @property
    def deployed(self) -> Path:
        """Digests of the code and the recipes whose deployments the server has."""
        return self.path / "deployed.json"

    @property
    def recipe_deployments(self) -> Path:
        """What was deployed last, in the form of prefect.yaml."""
        return self.path / "recipes.yaml"

    @property
    def server_log(self) -> Path:
        """The server's log."""
        return self.path / "server.log"

    @property
    def worker_log(self) -> Path:
        """The log of the worker and its runs."""
        return self.path / "worker.log"
