"""Settings that are refused are taken once they are as the message says."""

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from remedies import remedy

from cli.options import load_parameters
from core.workspace import Workspace
from flows.estimates.long_training import require_yes
from flows.estimates.stage_durations import Estimate
from flows.forms.effective import resolve
from flows.forms.form import PIPELINE
from flows.parameters import CrawlParameters, PipelineParameters
from flows.recipes import makeup
from preprocessing.config import PrepareConfig
from preprocessing.images.geometry import eye_transform
from scraping.config import CrawlConfig
from scraping.offline.corpus import host_faults
from scraping.search.filters import Filters
from serving.face_selection import FaceChoice
from storage.eviction import limit_bytes
from storage.s3 import parse_address
from training.config import TrainConfig
from training.runtime.distributed import World
from training.runtime.launcher import Torchrun
from training.train import check_world


def _with(make: Callable[..., object], **changes: Any) -> Callable[[], object]:
    return partial(make, **changes)


def test_a_training_is_configured_as_the_message_says() -> None:
    train = partial(_with, TrainConfig)
    remedy(", needed one of ", train(generator="no such"), train(generator="resnet"))
    remedy(", needed a multiple of ", train(crop_px=254), train(crop_px=252, load_px=286))
    remedy(
        ", which needs a crop_px of ", train(d_layers=5, crop_px=92), train(d_layers=4, crop_px=92)
    )
    remedy(
        "cycle_quality: needs gan_loss lsgan or vanilla, got wgangp",
        train(cycle_quality=True, gan_loss="wgangp"), train(cycle_quality=True, gan_loss="lsgan"),
    )  # fmt: skip
    remedy(
        ", which leaves pictures at several sizes",
        train(preprocess="scale_width", batch_size=2), train(preprocess="scale_width"),
    )  # fmt: skip
    remedy(
        "resize_and_crop, since both pictures of a pair have one size",
        train(preprocess="crop", pseudo_steps=1), train(pseudo_steps=1),
    )  # fmt: skip
    remedy(", needed at most load_px = ", train(load_px=252), train(load_px=252, crop_px=252))
    remedy(
        " without validations; set validate_every too",
        train(patience=2), train(patience=2, validate_every=10),
    )  # fmt: skip
    remedy(
        "init_from, continues: got ",
        train(init_from="m", continues="r"), train(init_from="m"),
    )  # fmt: skip
    remedy(
        "num_epochs + num_epochs_decay: got 0, needed at least 1",
        train(num_epochs=0, num_epochs_decay=0), train(num_epochs=1, num_epochs_decay=0),
    )  # fmt: skip


def test_processes_train_together_as_the_message_says() -> None:
    batch, two = TrainConfig(norm="batch", batch_size=2), World(size=2)
    four = TrainConfig(batch_size=4)
    remedy(
        "those of one process; needed instance",
        lambda: check_world(batch, two), lambda: check_world(four, two),
    )  # fmt: skip
    remedy(
        "of its own; needed cuda or auto",
        lambda: check_world(TrainConfig(device="cuda:1"), two),
        lambda: check_world(TrainConfig(device="auto"), two),
    )
    remedy(
        "statistics would differ from those of one process; needed instance",
        lambda: Torchrun(processes_per_node=2).check(batch),
        lambda: Torchrun(processes_per_node=2).check(four),
    )
    remedy(
        " processes, which share each batch",
        lambda: Torchrun(processes_per_node=3).check(four),
        lambda: Torchrun(processes_per_node=2).check(four),
    )
    remedy(
        " machines, needed HOST:PORT of this one",
        _with(Torchrun, num_nodes=2), _with(Torchrun, num_nodes=2, rendezvous="host:29400"),
    )  # fmt: skip


def test_a_dataset_is_configured_as_the_message_says() -> None:
    prepare = partial(_with, PrepareConfig, domain_a="makeup")
    remedy("'s name too; give it another", prepare(domain_b="makeup"), prepare(domain_b="bare"))
    remedy(
        ", needed at most duplicate_alike (",
        prepare(domain_b="bare", doubtful_alike=0.9, duplicate_alike=0.8),
        prepare(domain_b="bare", doubtful_alike=0.8, duplicate_alike=0.8),
    )
    eyes = np.array([[10.0, 20.0], [30.0, 20.0]])
    remedy(
        "needed two points to align the face by",
        lambda: eye_transform(eyes[[0, 0]], 64, 0.4, 0.4),
        lambda: eye_transform(eyes, 64, 0.4, 0.4),
    )


def test_a_crawl_is_configured_as_the_message_says() -> None:
    words = tuple(map(str, range(200)))
    crawl = partial(_with, CrawlConfig, domain="bare", phrases=words)
    remedy(" searches together, ", crawl(prefixes=words, suffixes=words), crawl())
    remedy(", needed both or neither", _with(Filters, width=9), _with(Filters, width=9, height=9))
    remedy(", needed all or one of ", lambda: host_faults(["x"]), lambda: host_faults(["all"]))
    a, b = makeup().crawl_a, makeup().crawl_b
    remedy(
        ": give them two names",
        _with(CrawlParameters, recipe="x", crawl_a=a, crawl_b=a),
        _with(CrawlParameters, recipe="x", crawl_a=a, crawl_b=b),
    )
    parts = makeup().model_dump()
    other = parts | {"crawl_a": {**parts["crawl_a"], "domain": "paint"}}
    remedy(
        "give crawl_a.domain = prepare.domain_a and crawl_b.domain = prepare.domain_b",
        lambda: PipelineParameters.model_validate(other),
        lambda: PipelineParameters.model_validate(
            other | {"prepare": {**parts["prepare"], "domain_a": "paint"}}
        ),
    )
    both = {**parts, "crawl_b": parts["crawl_a"]}
    both["prepare"] = {**parts["prepare"], "domain_b": parts["prepare"]["domain_a"]}
    with pytest.raises(ValueError, match="give it another"):
        PipelineParameters.model_validate(both)


def _form(**given: Any) -> Callable[[], object]:
    return lambda: resolve(PIPELINE, {"recipe": "makeup", **given})


def test_a_form_is_filled_in_as_the_message_says() -> None:
    remedy(": no parameter has this name; ", _form(train={"sede": 7}), _form(train={"seed": 7}))
    remedy(", needed fields and their values", _form(train=7), _form(train={"seed": 7}))
    remedy(
        ", needed one of the two",
        _form(seed=3, train={"seed": 4}), _form(seed=3, train={"batch_size": 4}),
    )  # fmt: skip
    remedy(
        ": got twice, in ",
        _form(train={"seed": 1}, advanced={"train": {}}), _form(advanced={"train": {"seed": 1}}),
    )  # fmt: skip
    remedy(", needed one of ", _form(promotion="perhaps"), _form(promotion="approval"))
    remedy(
        "these parameters are refused:",
        _form(train={"num_epochs": -1}), _form(train={"num_epochs": 1}),
    )  # fmt: skip


def test_options_are_given_as_the_message_says(tmp_path: Path) -> None:
    home = Workspace(tmp_path)
    parameters = partial(_with, load_parameters, workspace=home)
    remedy("; a new one: '", parameters(recipe="make"), parameters(recipe="makeup"))
    remedy(
        " and --small; needed one of them",
        parameters(recipe="makeup", preset="hour", small=True),
        parameters(recipe="makeup", small=True),
    )
    file = tmp_path / "mine.json"
    values = makeup().model_dump(mode="json")
    file.write_text(json.dumps(values | {"trian": {}}))
    mended = tmp_path / "mended.json"
    mended.write_text(json.dumps(values))
    with pytest.raises(ValueError, match="trian"):
        load_parameters("makeup", file, workspace=home)
    assert load_parameters("makeup", mended, workspace=home) == makeup()

    def change(text: str) -> Callable[[], object]:
        return lambda: load_parameters("makeup", workspace=home, changes=[text], stage="train")

    remedy(", needed OPTION=VALUE", change("seed"), change("seed=7"))
    remedy(", an unknown option", change("num_epoch=1"), change("num_epochs=1"))
    remedy(
        " or numbers from left to right, as in 1,3",
        lambda: FaceChoice.parse("first"), lambda: FaceChoice.parse("1,3"),
    )  # fmt: skip


def test_a_long_training_starts_as_the_message_says() -> None:
    day = Estimate(24 * 3600.0, "timed")
    remedy(
        "the training would take ",
        lambda: require_yes(day, 4, ask=None), lambda: require_yes(day, 25, ask=None),
    )  # fmt: skip
    remedy(
        "the training was not started",
        lambda: require_yes(day, 4, ask=lambda _: False),
        lambda: require_yes(Estimate(3000.0, "timed"), 4, ask=lambda _: False),
    )


def test_a_workspace_is_named_as_the_message_says(monkeypatch: pytest.MonkeyPatch) -> None:
    remedy(
        ", needed s3://BUCKET or s3://BUCKET/PREFIX, without ",
        lambda: parse_address("s3://key:secret@bucket"), lambda: parse_address("s3://bucket/of/us"),
    )  # fmt: skip
    monkeypatch.setenv("SUYAN_CACHE_GB", "much")

    def mended() -> None:
        monkeypatch.setenv("SUYAN_CACHE_GB", "0.5")
        assert limit_bytes() == 5e8

    remedy(", needed a number of gigabytes, 0 or more", limit_bytes, mended)
