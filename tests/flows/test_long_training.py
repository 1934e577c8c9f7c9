"""How long a stage takes is said before it starts, and no training of many hours starts unasked."""

import tarfile
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from rich.console import Console

from cli.train import train_alone
from core.commands import prefect_command
from core.errors import SuyanError
from core.workspace import Workspace
from core.workspace_folders import RunFolder
from evaluation.config import EvaluateConfig
from evaluation.scores import load_scores
from flows.deployments import schedule_lines
from flows.estimates import stage_durations
from flows.estimates.long_training import announce_training, require_yes
from flows.estimates.stage_durations import (
    Estimate,
    estimate,
    estimate_training,
    timed_stage,
)
from flows.estimates.stage_work import (
    StageWork,
    crawl_work,
    evaluation_work,
    generator_flops,
    pictures_to_crawl,
)
from flows.parameters import PipelineParameters, TrainParameters
from flows.recipe_files.library import shipped_recipe
from flows.recipes import makeup
from training.config import TrainConfig
from training.runtime import step_time
from training.runtime.launcher import Torchrun
from training.runtime.step_time import StepTime, count_steps, measure_step_time
from training.train import train

TINY = TrainConfig(
    num_blocks=1, ngf=4, ndf=4, d_layers=2, load_px=32, crop_px=32, num_epochs=2,
    num_epochs_decay=1, batch_size=2, device="cpu", num_threads=1, checkpoint_every=4,
)  # fmt: skip


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    for side, num in (("trainA", 5), ("trainB", 3)):
        (tmp_path / "own" / side).mkdir(parents=True)
        for index in range(num):
            picture = Image.fromarray(rng.integers(0, 256, (40, 40, 3), np.uint8))
            picture.save(tmp_path / "own" / side / f"{index}.png")
    return tmp_path / "own"


def test_steps_are_counted_as_the_training_counts_them(dataset: Path, tmp_path: Path) -> None:
    summary = train(TINY, dataset, tmp_path / "run")
    assert count_steps(TINY, step_time.count_training_pictures(dataset)) == summary.steps == 9
    assert step_time.count_done_steps(tmp_path / "run") == 9
    assert estimate_training(TINY, dataset, tmp_path / "run", Torchrun()) is None


@pytest.mark.parametrize("changes", [{}, {"pseudo_steps": 6, "pseudo_weight": 5.0}])
def test_a_step_is_timed_on_networks_of_the_training(changes: dict[str, float]) -> None:
    measured = measure_step_time(TINY.model_copy(update=changes))
    assert measured.step_s > 0
    assert (measured.pseudo_s > 0) == bool(changes)
    assert measured.device == "cpu"


def test_the_first_step_does_not_count(monkeypatch: pytest.MonkeyPatch) -> None:
    now, steps = [0.0], list[float]()

    def step(*_: object) -> None:
        steps.append(now[0])
        now[0] += 50.0 if len(steps) == 1 else 2.0

    monkeypatch.setattr(step_time.time, "monotonic", lambda: now[0])
    monkeypatch.setattr(step_time.CycleGan, "step", step)
    assert measure_step_time(TINY).step_s == 2
    assert len(steps) == 4  # one to warm up, and as many as fill five seconds


def test_supervised_steps_have_a_time_of_their_own() -> None:
    config = TINY.model_copy(update={"pseudo_steps": 100})
    assert StepTime(1.0, 10.0, "cpu").remaining_s(config, 150, 0) == 600
    assert StepTime(1.0, 10.0, "cpu").remaining_s(config, 150, 40) == 560
    assert StepTime(1.0, 10.0, "cpu").remaining_s(config, 150, 120) == 300


def test_a_resumed_training_takes_the_rate_of_its_log(dataset: Path, tmp_path: Path) -> None:
    run = Workspace(tmp_path).run("r")
    run.checkpoint("step_00000004").path.mkdir(parents=True)
    run.log.write_text('{"step": 4, "images_per_s": 0.5}\n', encoding="utf-8")
    told = estimate_training(TINY, dataset, run.path, Torchrun())
    assert told is not None
    assert told.seconds == 10 + 5 * 4
    assert str(told) == "about 30 s (5 steps of 4 s, as in its log)"
    with_pairs = TINY.model_copy(update={"pseudo_weight": 5.0})
    told = estimate_training(with_pairs, dataset, run.path, Torchrun())
    assert told is not None
    assert told.seconds == 10 + 35 + 5 * 4  # pairs are made anew


def slow(monkeypatch: pytest.MonkeyPatch, seconds: float) -> None:
    timed = StepTime(seconds, seconds, "cpu")
    monkeypatch.setattr(step_time, "measure_step_time", lambda *_: timed)


def test_a_long_training_asks_and_starts_with_a_yes_alone(
    dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow(monkeypatch, 3600.0)
    console, questions = Console(record=True, width=200), list[str]()

    def ask(text: str) -> bool:
        questions.append(text)
        return len(questions) > 1

    parameters = makeup().model_copy(update={"train": TINY})

    def start(max_hours: float = 4.0) -> Path:
        return train_alone(
            parameters, str(dataset), Workspace(tmp_path / "w"), console, Torchrun(),
            max_hours=max_hours,
        )  # fmt: skip

    monkeypatch.setattr("cli.train.question", lambda: None)
    with pytest.raises(SuyanError, match=r"6 h 00 min .*more than 4 hours.*--preset hour.*--yes"):
        start()
    monkeypatch.setattr("cli.train.question", lambda: ask)
    with pytest.raises(SuyanError, match="was not started"):
        start()
    assert list(Workspace(tmp_path / "w").runs.glob("[!.]*")) == []
    start()
    assert len(questions) == 2
    assert "the preset hour would take about an hour" in questions[0]
    start()  # it is finished: nothing to ask
    assert len(questions) == 2
    assert "train takes about 6 h 00 min (6 steps of 1 h 00 min, timed on this CPU)" in (
        console.export_text()
    )


def test_a_flow_goes_on_only_where_its_parameters_say_so(
    dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow(monkeypatch, 3600.0)
    lines, warnings = list[str](), list[str]()

    def announce(max_hours: float) -> None:
        announce_training(
            TINY, dataset, tmp_path / "run", Torchrun(),
            max_hours=max_hours, say=lines.append, warn=warnings.append,
        )  # fmt: skip

    with pytest.raises(SuyanError, match="more than 4 hours"):
        announce(makeup().max_training_h)
    announce(10.0)
    assert len(lines) == 2
    assert all("9 h 00 min" in line for line in (*lines, *warnings))
    assert len(warnings) == 2
    for parameters in (TrainParameters, PipelineParameters):
        assert parameters.model_fields["max_training_h"].default == 4


def test_processes_share_a_batch_and_on_a_cpu_the_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    sizes = list[int]()

    def measure(config: TrainConfig, _dataset: Path | None) -> StepTime:
        sizes.append(config.batch_size)
        return StepTime(1.0, 1.0, "cpu")

    monkeypatch.setattr(step_time, "measure_step_time", measure)
    two = Torchrun(processes_per_node=2)
    assert stage_durations.estimate_steps(TINY, 10, 0, two).seconds == 10 + 20
    assert sizes == [1]


def test_a_short_training_needs_no_yes() -> None:
    require_yes(Estimate(3600 * 4, "s"), 4.0, ask=None)


def test_a_stage_guesses_first_and_knows_afterwards(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    workspace, lines, now = Workspace(tmp_path), list[str](), [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    hundred, fifty = (StageWork("prepare", seconds, fixed_s=5) for seconds in (100.0, 50.0))
    with timed_stage("prepare", hundred, workspace, lines.append):
        now[0] += 205
    assert lines == ["prepare takes about 1 min 45 s (a guess: none was timed here before)"]
    with timed_stage("prepare", fifty, workspace, lines.append) as timing:
        timing.share = 0.1  # it found most of its work done
        now[0] += 1
    assert lines[1] == "prepare takes about 1 min 45 s (as this machine took before)"
    assert estimate(hundred, workspace).seconds == 205
    with timed_stage("prepare", StageWork("prepare", 0.0), workspace, lines.append):
        pass
    assert len(lines) == 2
    assert "a guess" in str(estimate(StageWork("crawl a", 100.0), workspace))
    assert str(estimate(StageWork("crawl a", 9.0, is_most=True), workspace)).startswith("at most a")


def test_a_finished_crawl_has_nothing_to_fetch(tmp_path: Path) -> None:
    from core.files import write_json
    from scraping.crawl import crawl_name

    workspace, config = Workspace(tmp_path), makeup().crawl_a
    summary = workspace.crawl(crawl_name(config)).summary
    assert pictures_to_crawl(config, workspace) == 800
    write_json(summary, {"partial": True, "num_ok": 300})
    assert pictures_to_crawl(config, workspace) == 500
    write_json(summary, {"partial": False, "num_ok": 300})
    assert pictures_to_crawl(config, workspace) == 0
    assert crawl_work(config, workspace).seconds == 0
    again = config.model_copy(update={"refresh_after_h": 0.0})
    assert pictures_to_crawl(again, workspace) == 100
    assert crawl_work(again, workspace).is_most


def test_a_crawl_takes_as_long_as_its_engine_and_limits_allow(tmp_path: Path) -> None:
    workspace, config = Workspace(tmp_path), makeup().crawl_a
    of_baidu = crawl_work(config, workspace)
    changes = {"engine_url": "http://127.0.0.1:8765", "search_interval_s": 0.1}
    local = config.model_copy(update={**changes, "requests_per_s_per_host": 100.0})
    of_local = crawl_work(local, workspace)
    assert of_local.seconds < of_baidu.seconds / 10
    assert of_local.kind != of_baidu.kind  # the speed of one says nothing about the other


@pytest.fixture(scope="module")
def golden(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    folder = tmp_path_factory.mktemp("workspace")
    with tarfile.open(
        Path(__file__).resolve().parents[1] / "golden" / "workspace.tar.xz"
    ) as archive:
        archive.extractall(folder, filter="data")
    return Workspace(folder)


def test_an_evaluation_takes_longer_for_more_models_and_on_a_new_dataset(
    golden: Workspace, tmp_path: Path
) -> None:
    (run,) = (path for path in golden.runs.iterdir() if path.is_dir())
    (dataset,) = golden.datasets.glob("makeup-bare-*")
    (evaluation,) = RunFolder(run).evaluations.iterdir()
    config = EvaluateConfig(inception="never", num_gallery=3)

    def seconds(champion: Path | None = None, **changes: object) -> float:
        changed = config.model_copy(update=changes)
        return evaluation_work(changed, dataset, run, golden, champion).seconds

    measured = load_scores(evaluation / "scores.json").config
    stored = EvaluateConfig.model_validate({**measured, "inception": "never"})
    assert evaluation_work(stored, dataset, run, golden, None).seconds == 0  # measured before
    first = seconds()
    assert seconds(tmp_path) > first  # a champion is measured too
    assert seconds(num_pictures=4) < first
    assert seconds(strengths=()) < first
    golden.features.mkdir(parents=True)
    assert seconds() < first  # the features of the dataset's pictures are stored


def test_the_operations_of_a_generator_grow_with_its_pictures() -> None:
    small, large = (TINY.model_copy(update={"crop_px": px}) for px in (32, 64))
    assert generator_flops(large) == pytest.approx(4 * generator_flops(small), rel=0.1)


def test_what_is_scheduled_is_printed_with_its_switch() -> None:
    api_url = "http://127.0.0.1:4200/api"
    (line,) = schedule_lines([shipped_recipe("makeup"), shipped_recipe("seasons")], api_url)
    for part in ("refresh-dataset/makeup: Mondays at 3:00", "image.baidu.com", "10%",
                 "4 hours", "prefect deployment schedule pause --all"):  # fmt: skip
        assert part in line
    assert line.partition("schedules: ")[2] == prefect_command(
        "deployment", "schedule", "pause", "--all", api_url=api_url
    )
