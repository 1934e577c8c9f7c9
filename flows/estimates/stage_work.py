"""The work of crawl, prepare and evaluate, in the seconds that a usual machine takes: two cores.

The figures are those of the demo and of smaller runs on two idle cores.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from core.files import try_load_json
from core.tables import Original, Picture, iter_rows
from core.workspace import Workspace
from core.workspace_folders import DatasetFolder, EvaluationFolder, RunFolder
from evaluation.config import EvaluateConfig
from preprocessing.config import PrepareConfig
from scraping.config import CrawlConfig
from training.config import TrainConfig

_PROCESSES_S = 3.0  # their start, of a crawl and of a preparation; the same on any machine

_CRAWLED_PICTURE_S = 0.005
_PREPARED_PICTURE_S = {True: 0.04, False: 0.017}  # faces?
_REQUESTS_PER_PICTURE = 1.0  # to the busiest host, refused ones included
_HITS_PER_PAGE = 27  # of a search, that become originals
_CACHED_SHARE = 0.065  # of the time of a picture, for one that was prepared before

_START_S = 5.0  # of an evaluation: its networks, and the report at its end
_FEATURES_S = 0.007  # of a picture, by the offline network
_INCEPTION_S = 0.04  # the same by Inception, where its weights are
_MESH_S = 0.006
_CLOSED_FORMS = 3  # translations without a network, of faces; 2 of whole pictures
_TRAIN_PASSES = 3  # over training pictures: the ceiling, and once for each direction's closed forms
_FLOPS = 295e9  # of a generator, in a second
_FIDS_S = 0.8  # of a direction, for as many held-out pictures as these:
_FIDS_NUM, _FIDS_POWER = 118, 1.4
_TEST_PICTURE_S = 0.055  # all other figures of a held-out picture
_TRAIN_PICTURE_S = {True: 0.012, False: 0.004}  # what judges see in a training picture; faces?
_JUDGE_STEP_S = 0.0065  # of a network that learns to tell the domains apart, beside others
_JUDGE_STEPS, _JUDGE_EPOCHS, _JUDGE_BATCH = 300, 60, 16
_JUDGE_SHARE = 0.75  # of the training pictures
_VIEWS = {True: 3, False: 1}  # networks, one for each part of a picture; faces?


@dataclass(frozen=True)
class StageWork:
    """The work that a stage is about to do; ``seconds`` is 0 where there is none."""

    kind: str  # work of one kind takes a machine the same share of time
    seconds: float
    fixed_s: float = 0.0  # seconds that it takes besides, on any machine
    is_most: bool = False  # less may be found to do


def crawl_work(config: CrawlConfig, workspace: Workspace) -> StageWork:
    """The work of a crawl; how long a picture takes depends on the engine and on its limits."""
    from scraping.search.engines import engine_urls

    num = pictures_to_crawl(config, workspace)
    of_picture = _CRAWLED_PICTURE_S + _REQUESTS_PER_PICTURE / config.requests_per_s_per_host
    of_picture += config.search_interval_s / _HITS_PER_PAGE
    engines = sorted(urlsplit(url).hostname or url for url in engine_urls(config))
    return StageWork(
        f"crawl {' '.join(engines)}",
        num * of_picture,
        _PROCESSES_S,
        is_most=_is_refresh(config, workspace),
    )


def _is_refresh(config: CrawlConfig, workspace: Workspace) -> bool:
    summary = _summary(config, workspace)
    return summary is not None and not summary.get("partial")


def _summary(config: CrawlConfig, workspace: Workspace) -> dict[str, object] | None:
    from scraping.crawl import crawl_name

    return try_load_json(workspace.crawl(crawl_name(config)).summary)


def pictures_to_crawl(config: CrawlConfig, workspace: Workspace) -> int:
    """Number of originals that a crawl's searches will fetch, at most; 0 for a finished one."""
    if not config.searches:
        return 0
    summary = _summary(config, workspace)
    if summary is None or summary.get("partial"):
        return max(0, config.num_images - int(str((summary or {}).get("num_ok", 0))))
    return config.num_new_images if config.refresh_after_h is not None else 0


def expected_originals(config: CrawlConfig) -> int:
    """Number of originals that a crawl will have, at most, as far as its configuration tells."""
    from scraping.sources.source_import import count_pictures

    num = count_pictures(config)
    return max(num, config.num_images) if config.searches or not num else num


def prepare_work(
    config: PrepareConfig, listings: tuple[Path, Path], workspace: Workspace
) -> StageWork:
    """The work of a preparation; originals that were analysed before count a little."""
    from preprocessing.analysis.analyse import AnalysisConfig
    from preprocessing.cache import AnalysisCache

    rows = (row for path in listings for row in iter_rows(path, Original))
    names = {row.sha256 for row in rows if row.status == "ok"}
    cached = AnalysisCache(workspace, AnalysisConfig.of(config)).names_with_analysis(names)
    num = len(names) - len(cached) + _CACHED_SHARE * len(cached)
    return StageWork("prepare", num * _PREPARED_PICTURE_S[config.faces], _PROCESSES_S)


def evaluation_work(
    config: EvaluateConfig, dataset: Path, run: Path, workspace: Workspace, champion: Path | None
) -> StageWork:
    """The work of an evaluation; none where an earlier one measured the same, or that cannot begin.

    What it needs of real pictures alone is stored, so later evaluations of a dataset do without.
    """
    from evaluation.evaluate import is_measured
    from evaluation.features.inception import cache_path
    from evaluation.weights_choice import available_kinds
    from training.run.checkpoint import latest_checkpoint, load_config

    checkpoint = latest_checkpoint(run)
    if checkpoint is None or is_measured(config, dataset, run, champion=champion):
        return StageWork("evaluate", 0.0)
    train_config = load_config(checkpoint)
    counts = _counts(config, dataset)
    num_test, num_train = (sum(counts[split, side] for side in "AB") for split in ("test", "train"))
    has_faces = bool((try_load_json(DatasetFolder(dataset).config) or {}).get("faces", True))
    num_models = len(available_kinds(config.weights, checkpoint)) + (champion is not None)
    num_outputs = num_models + len(config.strengths)
    weights = config.inception_weights or cache_path()
    of_features = _FEATURES_S
    if config.inception != "never" and weights.is_file():
        of_features += _INCEPTION_S
    seconds = _START_S + num_test * (
        of_features * num_outputs
        + _TEST_PICTURE_S
        + 2 * _MESH_S * has_faces
        + generator_flops(train_config) / _FLOPS * (2 * num_models + bool(config.strengths))
    )
    seconds += 2 * _FIDS_S * (num_test / 2 / _FIDS_NUM) ** _FIDS_POWER
    seconds += num_train * _TRAIN_PICTURE_S[has_faces]
    if not _is_known(dataset, run, train_config.crop_px, workspace):
        num_passes = num_test * (1 + _CLOSED_FORMS - (not has_faces)) + num_train * _TRAIN_PASSES
        seconds += num_passes * of_features
        seconds += _JUDGE_STEP_S * _judge_steps(counts) * _VIEWS[has_faces]
    return StageWork("evaluate", seconds)


def _counts(config: EvaluateConfig, dataset: Path) -> Counter[tuple[str, str]]:
    """Number of pictures that an evaluation measures, by split and side."""
    counts = Counter[tuple[str, str]]()
    for row in iter_rows(DatasetFolder(dataset).manifest, Picture):
        if row.status == "ok":
            counts[row.split, row.side] += 1
    return Counter({place: min(num, config.num_pictures) for place, num in counts.items()})


def _judge_steps(counts: Mapping[tuple[str, str], int]) -> int:
    num = round(_JUDGE_SHARE * max(counts["train", side] for side in "AB"))
    return min(_JUDGE_STEPS, _JUDGE_EPOCHS * num // _JUDGE_BATCH)


def _is_known(dataset: Path, run: Path, px: int, workspace: Workspace) -> bool:
    """Whether an evaluation of the same dataset at the same size was finished here."""
    if not workspace.features.is_dir():
        return False
    runs = [run, *workspace.runs.glob(f"{dataset.name}-*")]
    measured = (
        try_load_json(EvaluationFolder(folder).scores) or {}
        for each in runs
        for folder in RunFolder(each).evaluations.glob("*")
    )
    return any(
        scores.get("dataset") == dataset.name and scores.get("px") == px for scores in measured
    )


def generator_flops(config: TrainConfig) -> float:
    """Floating-point operations of a generator for one picture of the training's size."""
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    from training.models.factory import build_generator

    with torch.device("meta"), torch.no_grad():
        generator = build_generator(config).eval()
        with FlopCounterMode(display=False) as counter:
            generator(torch.empty(1, 3, config.crop_px, config.crop_px))
    return float(counter.get_total_flops())
