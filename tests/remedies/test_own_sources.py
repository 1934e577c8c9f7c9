"""Own pictures, plain folders and models to start from: what their errors advise, done."""

import importlib
import importlib.util
import json
import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image
from remedies import remedy
from rich.console import Console
from safetensors.torch import load_file, save_file

from cli import crawl as crawl_commands
from cli.distance import distance
from cli.train import train as train_command
from core.errors import CheckpointError
from core.workspace import Workspace
from flows.recipes import makeup
from flows.warm_start.more_epochs import continuation
from flows.warm_start.starting_points import starting_point
from preprocessing.version.folder_version import version_of_folder
from scraping.config import CrawlConfig
from scraping.crawl import crawl
from scraping.sources.address_lists import AddressList
from scraping.sources.source_import import Sources
from training.config import TrainConfig
from training.run.checkpoint import latest_checkpoint, load_config
from training.run.starting_point import StartingPoint
from training.tracking.tracker import require_packages
from training.train import train

QUIET = Console(quiet=True)


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """A folder of three pictures."""
    return draw(tmp_path / "pictures", 3)


def draw(folder: Path, num: int) -> Path:
    folder.mkdir(parents=True)
    rng = np.random.default_rng([ord(letter) for letter in folder.name])
    for number in range(num):
        noise = rng.integers(0, 256, (40, 40, 3), np.uint8)
        Image.fromarray(noise).save(folder / f"{number}.png")
    return folder


def read(path: Path, column: str = "") -> Callable[[], object]:
    return lambda: list(AddressList(path, column).addresses())


def written(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


def test_a_list_of_addresses_is_written_as_the_message_says(tmp_path: Path) -> None:
    row = "https://host.example/1.jpg\n"
    two = written(tmp_path / "two.csv", f"place,other\n{row.strip()},x\n")
    remedy("; name that of the addresses with --url-column", read(two), read(two, "place"))
    other = written(tmp_path / "list.doc", row)
    remedy(": found a file whose name ends in ", read(other), read(two, "place"))
    torn = written(tmp_path / "torn.parquet", "no Parquet")
    whole = tmp_path / "whole.parquet"
    pq.write_table(pa.table({"url": [row.strip()]}), whole)
    remedy(": found no whole Parquet file (", read(torn), read(whole))


def test_a_parquet_list_without_its_reader_may_be_saved_as_csv(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = tmp_path / "list.parquet"
    pq.write_table(pa.table({"url": ["https://host.example/1.jpg"]}), whole)
    csv = written(tmp_path / "list.csv", "url\nhttps://host.example/1.jpg\n")
    with monkeypatch.context() as patch:
        patch.setitem(importlib.sys.modules, "pyarrow.parquet", None)
        remedy("install pyarrow, or save the list as CSV", read(whole), read(csv))


def test_sources_are_named_as_the_message_says(pictures: Path, tmp_path: Path) -> None:
    file = written(tmp_path / "pictures.rar", "")
    addresses = written(tmp_path / "list.txt", "https://host.example/1.jpg\n")

    def named(*names: str, column: str = "") -> Callable[[], object]:
        return partial(Sources.of_names, names, column)

    here = named(str(pictures))
    remedy(", and there is no such file or folder; ", named(str(tmp_path / "nowhere")), here)
    remedy(", whose name is of another kind; ", named(str(file)), here)
    remedy(
        ", and no list of addresses to which it belongs",
        named(str(pictures), column="url"), named(str(addresses), column="url"),
    )  # fmt: skip


def test_a_crawl_of_sources_goes_once_they_are_there(pictures: Path, tmp_path: Path) -> None:
    workspace = Workspace(tmp_path / "workspace")

    def crawled(**sources: object) -> Callable[[], object]:
        config = CrawlConfig.model_validate({"domain": "bare", "num_tries": 1, **sources})
        return lambda: crawl(config, workspace)

    good = crawled(folders=[str(pictures)])
    remedy("needed one of them. Add pictures with '", crawled(), good)
    remedy(
        "; needed a folder, an archive or a list that is there",
        crawled(folders=[str(tmp_path / "gone")]), good,
    )  # fmt: skip
    texts = tmp_path / "texts"
    texts.mkdir()
    written(texts / "a.txt", "no picture")
    remedy(". Name another folder, or convert the pictures", crawled(folders=[str(texts)]), good)
    empty = written(tmp_path / "empty.csv", "url\n\n")
    local = written(tmp_path / "local.csv", "url\nhttp://127.0.0.1:9/1.jpg\n")
    remedy(
        " rows and no address; needed at least one, ",
        crawled(lists=[str(empty)]),
        lambda: AddressList(local, "").num_rows,
    )
    with_engines = CrawlConfig.model_validate
    remedy(
        ", needed each engine once",
        lambda: with_engines({"domain": "bare", "engines": ["baidu", "baidu"]}),
        lambda: with_engines({"domain": "bare", "engines": ["baidu", "openverse"]}),
    )


def test_the_commands_of_crawls_take_what_they_name(tmp_path: Path) -> None:
    workspace, parameters = Workspace(tmp_path / "workspace"), makeup()
    chosen = partial(crawl_commands._chosen, parameters)
    remedy("--domain: got ", lambda: chosen("bar"), lambda: chosen("bare"))
    of_domain = partial(
        crawl_commands._crawl_of_domain, parameters, console=QUIET, allow_private_hosts=False
    )
    remedy("--domain: ", lambda: of_domain("Bare!"), lambda: of_domain("bare2"))
    without = parameters.crawl_a.model_copy(update={"phrases": (), "suffixes": ()})
    preview = partial(crawl_commands.preview_domains, workspace=workspace, console=QUIET)
    remedy(
        " has no phrases to search; its pictures come from ",
        lambda: preview(parameters.model_copy(update={"crawl_a": without}), domain="makeup"),
        lambda: crawl(
            without.model_copy(update={"folders": (str(draw(tmp_path / "mine", 2)),)}), workspace
        ),
    )


def test_a_search_that_answers_nothing_answers_later(tmp_path: Path) -> None:
    from scraping.offline.corpus import portrait_corpus
    from scraping.offline.server import OfflineEngine

    parameters, workspace = makeup(), Workspace(tmp_path / "workspace")

    def preview(url: str) -> Callable[[], object]:
        change = {
            "engine_url": url, "phrases": parameters.crawl_a.phrases[:1], "suffixes": (),
            "allow_private_hosts": True, "search_interval_s": 0.0, "num_tries": 1,
        }  # fmt: skip
        crawl_a = parameters.crawl_a.model_copy(update=change)
        changed = parameters.model_copy(update={"crawl_a": crawl_a})
        return lambda: crawl_commands.preview_domains(changed, workspace, QUIET, domain="makeup")

    with OfflineEngine(portrait_corpus(num_good=10)) as engine:
        remedy(" answered no search", preview("http://127.0.0.1:9"), preview(engine.url))


def test_a_plain_folder_gets_what_it_lacks(tmp_path: Path) -> None:
    folder, workspace = tmp_path / "mine", Workspace(tmp_path / "workspace")
    draw(folder / "trainA", 5)
    make = partial(version_of_folder, folder, workspace, test_fraction=0.3)
    remedy(
        "; needed at least one of each side to train on and one to hold out", make,
        lambda: (draw(folder / "trainB", 5), make()),
    )  # fmt: skip


def test_a_distance_is_that_of_two_folders(pictures: Path, tmp_path: Path) -> None:
    measure = partial(
        distance, first=pictures, inception="never", num_bootstrap=0,
        workspace=Workspace(tmp_path / "none"),
    )  # fmt: skip
    remedy(
        ", needed a folder of pictures",
        lambda: measure(second=tmp_path / "gone"),
        lambda: measure(second=draw(tmp_path / "more", 3)),
    )  # fmt: skip


def test_a_tracker_is_used_once_its_package_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    def installed(*, is_there: bool) -> Callable[[], object]:
        def check() -> None:
            monkeypatch.setattr(
                importlib.util, "find_spec", lambda _: object() if is_there else None
            )
            require_packages(["wandb"])

        return check

    remedy("not installed", installed(is_there=False), installed(is_there=True))


def changed(config: TrainConfig, **values: object) -> TrainConfig:
    return TrainConfig.model_validate(config.model_dump() | values)


def test_the_options_of_a_training_fit_together(golden: Workspace) -> None:
    remedy(
        ", needed n_layers, resize_and_crop and ",
        lambda: TrainConfig(face_windows=True, discriminator="pixel"),
        lambda: TrainConfig(face_windows=True),
    )
    remedy(
        ", needed one that crops",
        lambda: TrainConfig(face_exposure=0.45, preprocess="scale_width"),
        lambda: TrainConfig(face_exposure=0.45, preprocess="scale_width_and_crop"),
    )
    remedy(
        ", needed one of them",
        lambda: TrainConfig(init_from="a", continues="b"), lambda: TrainConfig(init_from="a"),
    )  # fmt: skip
    run = partial(train_command, recipe="makeup", more_epochs=1, workspace=golden)
    remedy("--more-epochs: got --set, ", lambda: run(changes=["ngf=4"]), run)


def test_a_model_to_start_from_is_named_as_the_message_says(
    golden: Workspace, tmp_path: Path
) -> None:
    version = next(golden.recipe_models("makeup").path.glob("step*"))
    run = next(golden.runs.glob("makeup-*"))

    def start(name: str) -> Callable[[], object]:
        def open_it() -> str:
            with starting_point(name, golden, "makeup") as found:
                assert found is not None
                return found.origin

        return open_it

    remedy(") or the folder of a model", start("step9"), start(version.name))
    (tmp_path / "empty").mkdir()
    remedy(" holds no G_A.safetensors, ", start(str(tmp_path / "empty")), start(str(version)))
    recorded = f"{start(version.name)()}"
    weights = version / "G_A.safetensors"
    before = weights.read_bytes()
    shutil.copy(version / "G_B.safetensors", weights)
    remedy(" has other weights now than ", start(recorded), start(version.name))
    weights.write_bytes(before)
    shutil.copytree(run, golden.run("new-run").path)
    shutil.rmtree(golden.run("new-run").checkpoints)
    remedy(" has no checkpoint yet; train it first", start("new-run"), start(run.name))


def test_only_a_finished_run_goes_on(golden: Workspace) -> None:
    run = next(golden.runs.glob("makeup-*"))
    go_on = partial(continuation, golden, "makeup", run.name, 2)
    file = run / "checkpoints" / "step_00000010" / "config.json"
    config = json.loads(file.read_text())

    def longer(more: int) -> None:
        file.write_text(json.dumps(config | {"num_epochs": config["num_epochs"] + more}))

    longer(5)
    remedy("; more epochs are for a finished run", go_on, lambda: (longer(0), go_on()))
    shutil.move(run / "checkpoints", run / "away")
    remedy(
        " has no checkpoint yet; train it first", go_on,
        lambda: (shutil.move(run / "away", run / "checkpoints"), go_on()),
    )  # fmt: skip


def test_weights_that_do_not_fit_are_answered_by_options(golden: Workspace, tmp_path: Path) -> None:
    checkpoint = latest_checkpoint(next(golden.runs.glob("makeup-*")))
    assert checkpoint is not None
    dataset = next(golden.datasets.glob("makeup-bare-*"))
    start = StartingPoint(checkpoint, "golden")
    config = changed(
        load_config(checkpoint), init_from=start.origin, num_epochs=1, num_epochs_decay=0,
        pseudo_steps=0,
    )  # fmt: skip
    numbers = iter(range(100))

    def trained(config: TrainConfig, damage: Callable[[Path], object] = str) -> object:
        run = tmp_path / str(next(numbers))
        start.copy_to(run)
        damage(run / "starting_point")
        return train(config, dataset, run)

    good = partial(trained, config)
    remedy(
        " is missing, which holds the weights of ", partial(trained, config, shutil.rmtree), good
    )
    remedy(": the model to start from has ", partial(trained, changed(config, residual=True)), good)
    remedy(
        ". Set ngf and num_blocks to those of the model",
        partial(trained, changed(config, ngf=2 * config.ngf)), good,
    )  # fmt: skip

    def spoil(folder: Path) -> None:
        tensors = load_file(folder / "G_A.safetensors")
        save_file({name: value / 0 for name, value in tensors.items()}, folder / "G_A.safetensors")

    remedy(": holds numbers that are not finite", partial(trained, config, spoil), good)
    remedy(
        ": cannot be read as safetensors: ",
        partial(trained, config, lambda folder: (folder / "G_A.safetensors").write_bytes(b"x")),
        good,
    )
    half = tmp_path / "half"
    shutil.copytree(checkpoint, half)
    for name in ("G_B", "G_B_ema"):
        (half / f"{name}.safetensors").unlink()
    remedy(
        ", needed both generators to start from; ",
        lambda: StartingPoint(half, "half").copy_to(tmp_path / "x"),
        lambda: start.copy_to(tmp_path / "x"),
    )
    torn = tmp_path / "torn"
    shutil.copytree(checkpoint, torn)
    file = torn / "G_A.safetensors"
    for each in (file, torn / "G_A_ema.safetensors"):
        if each.exists():
            each.write_bytes(each.read_bytes()[:-10])
    remedy(
        ", needed a model to start from; copy it again, or start from another one",
        lambda: StartingPoint(torn, "torn").copy_to(tmp_path / "y"),
        lambda: start.copy_to(tmp_path / "y"),
    )
    (torn / "config.json").write_text("{")
    shutil.copy(checkpoint / "G_A.safetensors", file)
    for each in checkpoint.glob("G_A_ema.safetensors"):
        shutil.copy(each, torn)
    with pytest.raises(CheckpointError, match=r"torn/config\.json"):
        StartingPoint(torn, "torn").copy_to(tmp_path / "z")
    assert not (tmp_path / "z").exists()
