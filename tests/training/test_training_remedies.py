"""What a training, its checkpoints and the reference's files lack is mended as the message says."""

import os
import shutil
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest
import torch
from PIL import Image
from remedies import remedy

from core.files import write_json
from training.__main__ import _load_config
from training.algorithm.cyclegan import CycleGan
from training.config import TrainConfig
from training.data import picture_folder
from training.data.dataset import UnalignedPictures
from training.models.factory import build_discriminator, build_generator
from training.pix2pix import export_reference, import_reference
from training.run.checkpoint import (
    Position,
    latest_checkpoint,
    load_config,
    load_generator,
    load_state,
    load_weights,
    save_checkpoint,
    save_weights,
)
from training.run.strengths import load_strengths
from training.runtime.distributed import World
from training.runtime.launcher import Torchrun, train_together
from training.train import train

SMALL = TrainConfig(
    num_blocks=1, ngf=4, ndf=4, d_layers=2, load_px=36, crop_px=32, num_epochs=1,
    num_epochs_decay=0, checkpoint_every=2, num_threads=1, device="cpu",
)  # fmt: skip


def _changed(**changes: object) -> TrainConfig:
    return TrainConfig.model_validate(SMALL.model_dump() | changes)


def _then(mend: Callable[[], object], act: Callable[[], object]) -> Callable[[], object]:
    return lambda: (mend(), act())


def test_pictures_that_cannot_be_trained_on_are_changed(
    dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def opened(**changes: object) -> Callable[[], object]:
        return lambda: UnalignedPictures(dataset, _changed(**changes))

    remedy(
        " that are held back; lower it",
        opened(validate_every=1, num_validation=4), opened(validate_every=1, num_validation=3),
    )  # fmt: skip
    remedy(
        " px (crop_px) each way",
        opened(preprocess="crop", crop_px=64, load_px=64),
        opened(preprocess="crop", crop_px=32, load_px=64),
    )
    memory = [0]

    def short_of_memory(path: Path) -> object:
        if memory[0]:
            return picture_folder.Rejected("out-of-memory")
        return read(path)

    read = picture_folder.read_picture
    monkeypatch.setattr(picture_folder, "read_picture", short_of_memory)
    memory[0] = 1
    remedy(
        ": found too little memory to decode it; close other programs",
        opened(), _then(memory.clear, lambda: (memory.append(0), opened()())),
    )  # fmt: skip
    remedy(
        "needed a multiple of the ",
        lambda: UnalignedPictures(dataset, _changed(batch_size=3), World(size=2)),
        lambda: UnalignedPictures(dataset, _changed(batch_size=4), World(size=2)),
    )


def test_a_run_is_continued_as_the_message_says(dataset: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    train(SMALL, dataset, run)
    shutil.copytree(dataset, tmp_path / "old")
    Image.new("RGB", (40, 40)).save(dataset / "trainA" / "new.png")
    for mended in (  # another folder, or the old pictures
        lambda: train(SMALL, dataset, tmp_path / "other"),
        lambda: ((dataset / "trainA" / "new.png").unlink(), train(SMALL, dataset, run)),
    ):
        remedy(" has changed since ", lambda: train(SMALL, dataset, run), mended)
    state = latest_checkpoint(run) / "state.pt"  # type: ignore[operator]
    state.rename(tmp_path / "aside")
    state.symlink_to(state)  # ELOOP: an error of the system, for root too

    def readable_again() -> None:
        state.unlink()
        (tmp_path / "aside").rename(state)
        assert train(SMALL, dataset, run).resumed_from_step == 5

    remedy(" cannot be loaded at present: ", lambda: train(SMALL, dataset, run), readable_again)
    remedy(
        " without a distance to validate by ",
        lambda: train(_changed(validate_every=2, num_validation=2), dataset, tmp_path / "v"),
        lambda: train(_changed(validate_every=0, num_validation=2), dataset, tmp_path / "v"),
    )


def test_losses_that_are_no_numbers_need_a_lower_rate(
    dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    step = CycleGan.step

    def diverging(self: CycleGan, *arguments: Any) -> dict[str, torch.Tensor]:
        losses = step(self, *arguments)
        if self.config.learning_rate > 0.01:
            losses["cycle_A"] = torch.tensor(torch.nan)
        return losses

    monkeypatch.setattr(CycleGan, "step", diverging)

    def trained(learning_rate: float) -> Callable[[], object]:
        config = _changed(learning_rate=learning_rate, max_rollbacks=1)
        return lambda: train(config, dataset, tmp_path / f"{learning_rate}")

    remedy("; try a lower learning_rate", trained(0.1), trained(2e-4))


def test_a_checkpoint_that_cannot_be_used_is_mended(dataset: Path, tmp_path: Path) -> None:
    whole = train(SMALL, dataset, tmp_path / "run").checkpoint
    broken = tmp_path / "broken"

    def of_the_whole(*names: str) -> Callable[[], object]:
        return lambda: [shutil.copy(whole / name, broken / name) for name in names]

    def load() -> object:
        return load_generator(broken, "G_A")

    broken.mkdir()
    remedy(": found no config.json; is it a checkpoint?", load,
           _then(of_the_whole("config.json", "G_A.safetensors"), load))  # fmt: skip
    remedy(
        " (networks there: ",
        lambda: load_generator(broken, "G_B"), _then(of_the_whole("G_B.safetensors"), load),
    )  # fmt: skip
    (broken / "config.json").write_text('{"ngf": "many"}', encoding="utf-8")
    remedy(": not the configuration of a checkpoint: ", lambda: load_config(broken),
           _then(of_the_whole("config.json"), load))  # fmt: skip
    remedy(": needed the JSON of a TrainConfig: ", lambda: _load_config(whole / "state.pt", []),
           lambda: _load_config(whole / "config.json", []))  # fmt: skip
    (broken / "G_A.safetensors").write_bytes(b"torn")
    remedy(": cannot be read as safetensors: ", load, _then(of_the_whole("G_A.safetensors"), load))
    (broken / "state.pt").write_bytes(b"torn")
    remedy(": cannot be read: it is missing or torn", lambda: load_state(broken),
           _then(of_the_whole("state.pt"), lambda: load_state(broken)))  # fmt: skip
    torch.save({}, broken / "state.pt")
    remedy(": is no state of a training (", lambda: load_state(broken),
           _then(of_the_whole("state.pt"), lambda: load_state(broken)))  # fmt: skip
    place = tmp_path / "full"
    place.write_text("a file where the run's folder should be")

    def save() -> object:
        return save_checkpoint(place, Position(1, 1, 0), SMALL, {}, {})

    remedy(" cannot be written: ", save, _then(place.unlink, save))


@pytest.mark.remedy(": tensors do not fit: ", " has shape ")
def test_tensors_that_do_not_fit_name_the_option_to_correct(tmp_path: Path) -> None:
    path = tmp_path / "G_A.safetensors"
    save_weights(path, build_generator(SMALL))
    for option, value in (("num_blocks", 3), ("ngf", 8)):
        with pytest.raises(Exception, match=rf"; set .*{option}.* in config\.json to the value"):
            load_weights(path, build_generator(_changed(**{option: value})))
    load_weights(path, build_generator(SMALL))


@pytest.mark.remedy(": found no strengths (", ": found a strength of ", " as the strength of ")
def test_strengths_are_stored_again(tmp_path: Path) -> None:
    path = tmp_path / "strengths.json"

    def load() -> object:
        return load_strengths(tmp_path)

    for text, content in (
        (": found no strengths (", "{"),
        (": found a strength of ", '{"G_C": 1}'),
        (" as the strength of ", '{"G_A": 9}'),
    ):
        path.write_text(content)
        with pytest.raises(Exception, match=text.replace("(", r"\(")):
            load()
        write_json(path, {"G_A": 1.25})  # as the model's own folder, or an evaluation, has it
        assert load() == {"G_A": 1.25, "G_B": 1.0}


@pytest.mark.remedy(
    ", needed a state dict: names and tensors",
    "network's state_dict() alone",
    " is not made of finite real numbers",
    "(model.1.weight) or U-Net (model.model.0.weight) generator",
    ", needed 3 input channels",
    " halvings; needed 7 or 8",
)
def test_a_file_of_the_reference_is_saved_again(tmp_path: Path) -> None:
    path, other = tmp_path / "latest_net_G_A.pth", tmp_path / "latest_net_D_A.pth"
    generator, discriminator = build_generator(SMALL), build_discriminator(SMALL)

    def save() -> None:
        torch.save(generator.state_dict(), path)
        torch.save(discriminator.state_dict(), other)

    def load() -> object:
        shutil.rmtree(tmp_path / "ours", ignore_errors=True)
        return import_reference(tmp_path, tmp_path / "ours")

    weight = generator.state_dict()["model.1.weight"]
    grey = {"model.1.weight": weight[:, :1]}
    six = {"model.model.0.weight": weight, "model" + ".model" * 6 + ".0.weight": weight}
    remedy("; --epoch names another epoch", load, _then(save, load))
    for text, content in (
        (", needed a state dict: names and tensors", [1]),
        ("network's state_dict() alone", {"state_dict": {}}),
        (" is not made of finite real numbers", {"model.1.weight": weight * torch.nan}),
        ("(model.1.weight) or U-Net (model.model.0.weight) generator", {"x": weight}),
        (", needed 3 input channels", grey),
        (" halvings; needed 7 or 8", six),
    ):
        torch.save(content, path)
        remedy(text, load, _then(save, load))
    path.write_bytes(b"torn")
    remedy("torch.save, and nothing else in it", load, _then(save, load))
    torch.save({"x": weight}, other)
    remedy("(model.0.weight) or pixel (net.0.weight) discriminator", load, _then(save, load))


def test_what_the_reference_cannot_hold_is_trained_or_exported_without(tmp_path: Path) -> None:
    def model(name: str, **changes: object) -> Path:
        folder = tmp_path / name
        config = _changed(**changes)
        folder.mkdir()
        write_json(folder / "config.json", config.model_dump(mode="json"))
        for network in ("G_A", "G_B"):
            save_weights(folder / f"{network}.safetensors", build_generator(config))
        return folder

    def export(folder: Path) -> Callable[[], object]:
        return lambda: export_reference(folder, tmp_path / "out")

    plain = model("plain")
    fine = model("fine", generator="fine_unet", load_px=128, crop_px=128)
    remedy(", which the reference does not have", export(fine),
           export(plain))  # fmt: skip
    remedy("models trained with upsampling=transposed run there",
           export(model("resize", upsampling="resize")),
           export(model("transposed", upsampling="transposed")))  # fmt: skip
    remedy("models trained with residual off run there", export(model("residual", residual=True)),
           export(plain))  # fmt: skip
    write_json(plain / "strengths.json", {"G_A": 1.25})
    remedy("evaluate.strengths [], which stores a model of strength 1", export(plain),
           _then((plain / "strengths.json").unlink, export(plain)))  # fmt: skip
    empty = tmp_path / "empty"
    empty.mkdir()
    shutil.copy(plain / "config.json", empty)
    remedy(": found no G_A.safetensors; is it a checkpoint?", export(empty), export(plain))


@pytest.mark.slow
def test_processes_that_died_are_started_again(smooth_dataset: Path, tmp_path: Path) -> None:
    config = _changed(batch_size=2, num_epochs=2)
    two = Torchrun(processes_per_node=2, max_restarts=0)
    steps: list[int] = []

    def killed() -> None:
        def kill(_stage: str, done: int, _total: int | None, _message: str) -> None:
            if done == 3:
                for process in _children():
                    os.kill(process, signal.SIGKILL)

        train_together(config, smooth_dataset, tmp_path / "run", two, progress=kill)

    def again() -> None:
        summary = train_together(config, smooth_dataset, tmp_path / "run", two)
        steps.append(summary.steps)

    remedy("kept: run the same again to go on. Their last lines:", killed, again)
    assert steps == [10]


def _children() -> list[int]:
    return [
        process.pid
        for process in psutil.Process().children(recursive=True)
        if "RANK" in process.environ()
    ]
