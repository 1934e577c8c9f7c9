"""Trackers beside a training. What their packages keep offline is read back from their files."""

import importlib.util
import json
import logging
import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tracker_files import TrackerFiles, read_mlflow, read_swanlab, read_wandb

from core.config_identity import identity
from core.errors import MissingModelError
from core.files import write_json
from core.workspace_folders import EvaluationFolder, RunFolder
from training.__main__ import _load_config
from training.config import TrainConfig
from training.run.run_log import TrainingLog, read_log
from training.tracking import tracker as tracker_module
from training.tracking.hyperparameters import hyperparameters
from training.tracking.sender import Sender, without_secrets
from training.tracking.tensorboard_summaries import write_evaluation
from training.tracking.tracked_training import send_evaluations, tracked
from training.tracking.tracker import Row, Status, TrackedRun, TrackerName
from training.tracking.tracker_record import create_record, load_record
from training.tracking.unsent_rows import UnsentRows
from training.train import train

ROOT = Path(__file__).resolve().parents[2]
SMALL = TrainConfig(
    num_blocks=1, ngf=4, ndf=4, d_layers=2, load_px=36, crop_px=32, pool_size=3, num_epochs=2,
    num_epochs_decay=2, checkpoint_every=5, sample_every=10, num_threads=1, device="cpu",
)  # fmt: skip
READERS: dict[TrackerName, Callable[[Path], TrackerFiles]] = {
    "wandb": read_wandb,
    "mlflow": read_mlflow,
    "swanlab": read_swanlab,
}
each_tracker = pytest.mark.parametrize(
    "name",
    [
        pytest.param(
            name,
            marks=[
                pytest.mark.slow,
                pytest.mark.skipif(
                    importlib.util.find_spec(name) is None, reason=f"needs the extra '{name}'"
                ),
            ],
        )
        for name in READERS
    ],
)


@pytest.fixture(autouse=True)
def offline(monkeypatch: pytest.MonkeyPatch) -> None:
    """No tracker asks the network, and none takes the settings of the person who tests."""
    for name in tuple(os.environ):
        if name.startswith(("WANDB_", "MLFLOW_", "SWANLAB_")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("SWANLAB_MODE", "offline")


class ListTracker:
    """A tracker that keeps everything in lists, and fails when it is told to."""

    def __init__(self) -> None:
        self.rows: list[Row] = []
        self.evaluations: list[tuple[int, Mapping[str, float]]] = []
        self.opened: list[TrackedRun] = []
        self.statuses: list[str] = []
        self.newest = -1
        self.is_down = False

    def open(self, run: TrackedRun) -> str:
        self._check()
        self.opened.append(run)
        return run.id or "its-own-id"

    def last_step(self) -> int:
        return self.newest

    def log(self, rows: Sequence[Row]) -> None:
        self._check()
        self.rows += rows

    def log_evaluation(self, step: int, figures: Mapping[str, float], num_before: int) -> None:
        self._check()
        assert num_before == len(self.evaluations)
        self.evaluations.append((step, figures))

    def close(self, status: str) -> None:
        self.statuses.append(status)

    def _check(self) -> None:
        if self.is_down:
            raise ConnectionError("no network")

    @property
    def steps(self) -> list[int]:
        return [row.step for row in self.rows]


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A run with rows at 10, 20 and 30, a measure and a grid at 20, and a checkpoint at 20."""
    folder = RunFolder(tmp_path / "runs" / "one")
    log = TrainingLog(_made(folder.path), 0)
    for step in (10, 20, 30):
        log.write({"step": step, "epoch": 1, "G_A": step / 10})
    log.measure(20, {"variety": 0.5})
    log.close()
    folder.samples(20).parent.mkdir()
    Image.fromarray(np.zeros((8, 8, 3), np.uint8)).save(folder.samples(20))
    _made(folder.checkpoint("step_00000020").path)
    return folder.path


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True)
    return folder


def _evaluate(run: Path, checkpoint: str, kid: float) -> None:
    folder = EvaluationFolder(run / "evaluation" / checkpoint)
    write_json(folder.figures, {"step": 20, "figures": {"eval/kid_A2B": kid}})


def _sender(run: Path, tracker: ListTracker) -> Sender:
    create_record(run, "wandb", {"ngf": 4})
    return Sender(run, "wandb", lambda: tracker)


def test_the_steps_that_are_complete_are_sent_with_all_that_belongs_to_them(run: Path) -> None:
    (row,) = UnsentRows(run).after(10)
    assert row.step == 20  # 30 may still get a measure
    assert row.figures == {"G_A": 2.0, "variety": 0.5}
    assert row.pictures == {"samples": RunFolder(run).samples(20)}


def test_a_log_that_grows_and_is_cut_back_is_followed(run: Path) -> None:
    rows = UnsentRows(run)
    assert [row.step for row in rows.after(-1)] == [10, 20]
    log = TrainingLog(run, 20)  # a training that resumes: 30 is cut off
    log.write({"step": 25, "epoch": 1, "G_A": 1.0})
    log.write({"step": 30, "epoch": 1, "G_A": 3.5})
    with RunFolder(run).log.open("a") as file:
        file.write('{"step": 40, "ep')  # it is being written
    assert [(row.step, dict(row.figures)) for row in rows.after(20)] == [(25, {"G_A": 1.0})]
    log.close()


def test_no_row_is_sent_twice_also_by_the_next_process(run: Path) -> None:
    tracker = ListTracker()
    first = _sender(run, tracker)
    first.send()
    first.send()
    first.close(Status.INTERRUPTED)
    _made(RunFolder(run).checkpoint("step_00000030").path)
    second = _sender(run, tracker)
    second.send()
    second.close(Status.FINISHED)
    assert tracker.steps == [10, 20, 30]
    assert [each.id for each in tracker.opened] == ["", "its-own-id"]
    assert len({each.key for each in tracker.opened}) == 1
    assert tracker.statuses == [Status.INTERRUPTED, Status.FINISHED]


def test_a_process_that_is_killed_as_it_sends_leaves_no_row_to_be_sent_twice(run: Path) -> None:
    class Killed(ListTracker):
        def log(self, rows: Sequence[Row]) -> None:
            super().log(rows)
            raise SystemExit  # no except clause runs in a process that is killed

    killed = Killed()
    with pytest.raises(SystemExit):
        _sender(run, killed).send()
    again = ListTracker()
    _sender(run, again).send()
    assert killed.steps == [10, 20]
    assert again.steps == []


def test_what_a_tracker_has_is_not_sent_when_the_record_is_older(run: Path) -> None:
    tracker = ListTracker()
    tracker.is_down = True
    with pytest.raises(ConnectionError):
        _sender(run, tracker).send()
    tracker.is_down = False
    _sender(run, tracker).send()
    record = json.loads(RunFolder(run).tracker("wandb").read_text())
    write_json(RunFolder(run).tracker("wandb"), record | {"step": -1})  # of another machine
    tracker.newest = 20
    _sender(run, tracker).send()
    assert tracker.steps == [10, 20]


def test_a_tracker_that_was_down_gets_what_it_missed(run: Path) -> None:
    tracker = ListTracker()
    sender = _sender(run, tracker)
    sender.send()
    _made(RunFolder(run).checkpoint("step_00000030").path)
    _evaluate(run, "step_00000020", 0.25)
    tracker.is_down = True
    for _ in range(2):
        with pytest.raises(ConnectionError):
            sender.send()
    tracker.is_down = False
    sender.send()
    assert tracker.steps == [10, 20, 30]
    assert tracker.evaluations == [(20, {"eval/kid_A2B": 0.25})]


def test_an_evaluation_is_sent_once_and_again_when_its_figures_change(run: Path) -> None:
    tracker = ListTracker()
    for kid in (0.25, 0.25, 0.125):
        _evaluate(run, "step_00000020", kid)
        sender = _sender(run, tracker)
        sender.send()
        sender.close(Status.RUNNING)
    assert [figures["eval/kid_A2B"] for _, figures in tracker.evaluations] == [0.25, 0.125]


def test_an_error_is_logged_without_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", "hunter2hunter2")
    text = (
        "403 at https://ann:hunter3@tracker.example/api\nwith key "
        "0123456789abcdef0123456789abcdef01234567 and hunter2hunter2."
    )
    assert without_secrets(text) == "403 at https://…@tracker.example/api with key … and …"


def test_trackers_do_not_change_the_name_of_a_run() -> None:
    config = TrainConfig(track=("wandb", "mlflow"))
    assert identity(config) == identity(TrainConfig())
    assert "track" not in hyperparameters(config, "tiny")


def test_processes_of_torchrun_have_the_trackers_that_the_name_of_a_run_lacks(
    tmp_path: Path,
) -> None:
    config = TrainConfig(track=("wandb",))
    write_json(tmp_path / "config.json", {"train": identity(config), "dataset": "tiny"})
    assert _load_config(tmp_path / "config.json", ["wandb"]) == config


def test_hyperparameters_are_plain_values_with_those_of_their_defaults() -> None:
    values = hyperparameters(TrainConfig(diff_augment=("color", "cutout")), "tiny")
    assert values["dataset"] == "tiny"
    assert values["pseudo_steps"] == 0
    assert values["diff_augment"] == "color, cutout"


def test_a_tracker_that_is_not_installed_is_an_error_before_the_training(
    dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tracker_module.importlib.util, "find_spec", {}.get)
    config = SMALL.model_copy(update={"track": ("mlflow",)})
    with pytest.raises(MissingModelError, match=r"got mlflow, .* not installed.*\[mlflow\]"):
        train(config, dataset, tmp_path / "run")
    assert not (tmp_path / "run").exists()


_FAILING_TRACKER = """
import sys, time
print("ConnectionError: no network", flush=True)
sys.stdin.read()
{at_end}
"""


@pytest.mark.parametrize(("at_end", "text"), [("sys.exit(1)", "rest is sent when")])
def test_a_tracker_that_fails_is_a_warning_and_the_training_goes_on(
    dataset: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    at_end: str,
    text: str,
) -> None:
    script = tmp_path / "failing.py"
    script.write_text(_FAILING_TRACKER.format(at_end=at_end))
    _start_instead(monkeypatch, script)
    config = SMALL.model_copy(update={"track": ("wandb",)})
    with caplog.at_level(logging.WARNING):
        summary = train(config, dataset, tmp_path / "run")
    assert summary.steps == 20
    assert caplog.text.count("no network; the run goes on") == 1
    assert text in caplog.text


def _start_instead(monkeypatch: pytest.MonkeyPatch, script: Path) -> None:
    """Start ``script`` where the process of a tracker would start."""
    start = subprocess.Popen

    def popen(command: list[str], **options: object) -> object:
        return start([command[0], str(script)], **options)  # type: ignore[call-overload]

    monkeypatch.setattr("training.train.require_packages", print)
    monkeypatch.setattr("training.tracking.tracked_training.subprocess.Popen", popen)


def test_a_tracker_that_hangs_is_ended(
    run: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    script = tmp_path / "hanging.py"
    script.write_text("import signal\nwhile True:\n    signal.pause()\n")
    _start_instead(monkeypatch, script)
    monkeypatch.setattr("training.tracking.tracked_training.CLOSE_S", 0.1)
    monkeypatch.setattr("training.tracking.tracked_training._GRACE_S", 0.1)
    with caplog.at_level(logging.WARNING), tracked(["wandb"], run, {}):
        pass
    assert "wandb does not have everything of this run" in caplog.text


def test_an_evaluation_starts_no_process_for_a_run_without_trackers(
    run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("training.tracking.tracked_training.subprocess.Popen", None)
    _evaluate(run, "step_00000020", 0.25)
    send_evaluations(run)
    create_record(run, "wandb", {})
    with pytest.raises(TypeError):
        send_evaluations(run)


def test_tensorboard_has_hyperparameters_and_the_figures_of_each_evaluation_once(
    tmp_path: Path,
) -> None:
    run = _made(tmp_path / "one")
    described = hyperparameters(SMALL, "tiny")
    for resumed in (0, 10):
        log = TrainingLog(run, resumed, described)
        log.write({"step": resumed + 10, "epoch": 1, "G_A": 1.0})
        log.close()
    for kid in (0.25, 0.125):
        write_evaluation(run, "step_00000020", 20, {"eval/kid_A2B": kid})
    (group,), metrics, scalars = _tensorboard(tmp_path)
    assert group["ngf"] == 4
    assert group["generator"] == "resnet"
    assert {"G_A", "eval/kid_A2B"} <= metrics
    assert scalars == {"one/tensorboard": [(20, 0.125)]}  # one run, not one of its own


def _tensorboard(
    folder: Path,
) -> tuple[list[dict[str, object]], set[str], dict[str, list[tuple[int, float]]]]:
    """The rows and metrics of TensorBoard's table of hyperparameters, and a scalar of each run."""
    from tensorboard import context
    from tensorboard.backend.event_processing import data_provider, plugin_event_multiplexer
    from tensorboard.plugins import base_plugin
    from tensorboard.plugins.hparams import backend_context
    from tensorboard.plugins.hparams import metadata as hparams_metadata
    from tensorboard.util import tensor_util

    events = plugin_event_multiplexer.EventMultiplexer()
    events.AddRunsFromDirectory(str(folder))
    events.Reload()
    provider = data_provider.MultiplexerDataProvider(events, str(folder))
    board = backend_context.Context(base_plugin.TBContext(data_provider=provider))
    request = context.RequestContext()
    metadata = board.hparams_metadata(request, "")
    experiment = board.experiment_from_metadata(request, "", True, metadata, [])
    groups = []
    for content in metadata.values():
        (plugin_data,) = content.values()
        start = hparams_metadata.parse_session_start_info_plugin_data(plugin_data)
        groups.append(
            {
                name: getattr(value, value.WhichOneof("kind"))
                for name, value in start.hparams.items()
            }
        )
    scalars = {
        name: [
            (event.step, float(tensor_util.make_ndarray(event.tensor_proto)))
            for event in events.Tensors(name, "eval/kid_A2B")
        ]
        for name in events.Runs()
    }
    return groups, {each.name.tag for each in experiment.metric_infos}, scalars


_SCRIPT = """
import sys
from pathlib import Path
from training.config import TrainConfig
from training.train import train
config = TrainConfig.model_validate_json(Path(sys.argv[1]).read_text())
train(config, Path(sys.argv[2]), Path(sys.argv[3]))
"""


@each_tracker
def test_a_killed_training_goes_on_in_the_same_run_of_the_tracker(
    dataset: Path, tmp_path: Path, name: TrackerName
) -> None:
    """The training is killed with -9 and resumed, then evaluated; no row is there twice."""
    changes = {"track": (name,), "num_epochs": 8, "num_epochs_decay": 8}
    config = SMALL.model_copy(update=changes)
    (tmp_path / "config.json").write_text(config.model_dump_json())
    run = _made(tmp_path / "runs") / "one"
    command = [sys.executable, "-c", _SCRIPT, tmp_path / "config.json", dataset, run]
    process = subprocess.Popen(command, cwd=ROOT)
    record = None
    while record is None or record.step < 10:
        assert process.poll() is None
        time.sleep(0.02)
        record = load_record(run, name) if run.exists() else None
    process.kill()
    process.wait()
    summary = train(config, dataset, run)
    assert summary.steps == 80
    assert summary.resumed_from_step > 0
    write_json(
        EvaluationFolder(run / "evaluation" / summary.checkpoint.name).figures,
        {"step": 80, "figures": {"eval/kid_A2B": 0.25}},
    )
    send_evaluations(run)
    files = READERS[name](run)
    losses = files.figures["G_A"]
    assert [step for step, _ in losses] == [row["step"] for row in read_log(run / "log.jsonl")]
    assert [value for _, value in losses] == pytest.approx(
        [row["G_A"] for row in read_log(run / "log.jsonl")]
    )
    assert sorted(files.pictures["samples"]) == list(range(0, 81, 10))
    assert files.figures["eval/kid_A2B"] == [(80, 0.25)]
    assert files.hyperparameters["ngf"] == "4"
    assert len(set(files.sessions)) == 1
    assert files.status == "finished"


@each_tracker
def test_several_trainings_processes_have_one_run_at_the_tracker(
    smooth_dataset: Path, tmp_path: Path, name: TrackerName
) -> None:
    from training.runtime.launcher import Torchrun, train_together

    changes = {"track": (name,), "batch_size": 2, "num_epochs": 1, "num_epochs_decay": 0}
    config = SMALL.model_copy(update=changes)
    run = _made(tmp_path / "runs") / "one"
    train_together(config, smooth_dataset, run, Torchrun(processes_per_node=2))
    files = READERS[name](run)
    assert [step for step, _ in files.figures["G_A"]] == [5]
    assert len(files.sessions) == 1
