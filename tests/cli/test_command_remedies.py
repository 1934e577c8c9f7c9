"""A command that is refused works once it is given as the message says."""

import json
import shutil
import socket
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest
from cli_runs import Suyan
from filelock import FileLock
from PIL import Image

from core.files import write_json
from core.workspace import Workspace
from flows import recipes
from scraping.offline.corpus import portrait
from training.pix2pix import export_reference

ROOT = Path(__file__).resolve().parents[2]
Line = tuple[object, ...]
TINY = {
    "num_blocks", "ngf", "ndf", "d_layers", "load_px", "crop_px", "num_epochs", "batch_size",
    "device",
}  # fmt: skip


@pytest.fixture
def golden(tmp_path: Path) -> Workspace:
    with tarfile.open(ROOT / "tests" / "golden" / "workspace.tar.xz") as archive:
        archive.extractall(tmp_path / "workspace", filter="data")
    return Workspace(tmp_path / "workspace")


@pytest.fixture
def remedy(suyan: Suyan) -> Callable[..., None]:
    """A check that the first line is refused with a text, and that the second works."""

    def check(text: str, wrong: Line, right: Line, mend: Callable[[], object] = bool) -> None:
        status, output = suyan(*wrong)
        flat = " ".join(output.split())
        assert status == 2, output
        assert " ".join(text.split()) in flat
        mend()
        status, output = suyan(*right)
        assert status == 0, output

    return check


def test_workspaces_domains_and_pictures_are_named_as_the_message_says(
    remedy: Callable[..., None], golden: Workspace, tmp_path: Path
) -> None:
    home = ("--workspace", golden)
    (tmp_path / "file").write_text("")
    remedy(" is a file, needed a folder or s3://bucket/prefix",
           ("status", "--workspace", "file"), ("status", *home))  # fmt: skip
    remedy(", needed one that a run or crawl made",
           ("status", "--workspace", "workspaec"), ("status", *home))  # fmt: skip
    (tmp_path / "empty").mkdir()
    remedy("; crawl something first", ("status", "--workspace", "empty"), ("status", *home))
    remedy("--params: found no file ",
           ("run", "--show", "--params", "my.json"), ("run", "--show", "--params", "my.json"),
           lambda: Path("my.json").write_text(recipes.makeup().model_dump_json()))  # fmt: skip
    digits = next(golden.originals.glob("*/*")).name[:16]
    remedy("card.html of the dataset shows them",
           ("curate", "drop", "abababab", *home), ("curate", "drop", digits, *home))  # fmt: skip


@pytest.fixture
def params(golden: Workspace, tmp_path: Path) -> Path:
    """The file of a recipe whose crawls are those of the golden workspace, finished."""
    values = recipes.makeup().model_dump(mode="json")
    for key, name, phrase in (("crawl_a", "makeup", "妆容"), ("crawl_b", "bare", "素颜")):
        values[key] = {
            "engine_url": "http://127.0.0.1:8763", "domain": name, "phrases": [phrase],
            "num_images": 100, "allow_private_hosts": True, "search_interval_s": 0,
            "cool_down_s": 0, "requests_per_s_per_host": 1000,
        }  # fmt: skip
    values["prepare"] |= {"crop_px": 32, "min_face_px": 32, "min_images": 2, "test_fraction": 0.4}
    values["evaluate"] |= {
        "num_bootstrap": 50, "num_gallery": 1, "device": "cpu", "inception": "cached"
    }  # fmt: skip
    path = tmp_path / "mine.json"
    path.write_text(json.dumps(values), encoding="utf-8")
    return path


def test_a_crawl_and_a_preparation_are_asked_for_as_the_message_says(
    remedy: Callable[..., None], golden: Workspace, params: Path, tmp_path: Path
) -> None:
    line = ("--params", params, "--workspace", golden)
    remedy(", needed one of ", ("crawl", "--domain", "mkaeup", *line),
           ("crawl", "--domain", "makeup", *line))  # fmt: skip
    (crawl,) = golden.crawls.glob("makeup-*")
    crawl.rename(golden.folder / "moved")
    remedy(
        ", needed a crawl with the same options (crawls of this ",
        ("prepare", *line), ("prepare", *line), lambda: (golden.folder / "moved").rename(crawl),
    )  # fmt: skip


def test_a_training_is_asked_for_as_the_message_says(
    remedy: Callable[..., None], golden: Workspace, tmp_path: Path
) -> None:
    config = json.loads(next(golden.runs.glob("*/config.json")).read_text())["train"]
    changes = [word for key, value in config.items() if key in TINY
               for word in ("--set", f"{key}={json.dumps(value)}")]  # fmt: skip
    line = (*changes, "--set", "num_epochs_decay=0", "--workspace", golden)
    dataset = next(golden.datasets.glob("*/manifest.parquet")).parent
    remedy("; needed a folder with trainA and trainB, the name ",
           ("train", golden.originals, *line), ("train", dataset, *line))  # fmt: skip
    (run,) = (
        path for path in golden.runs.iterdir() if path.is_dir() and "6fe712fa" not in path.name
    )
    lock = FileLock(golden.run(run.name).lock)
    lock.acquire()
    remedy(": another process trains it now; try again later",
           ("train", dataset, *line), ("train", dataset, *line), lock.release)  # fmt: skip


def test_a_folder_of_ones_own_has_nothing_to_be_measured_by(
    remedy: Callable[..., None], golden: Workspace, params: Path
) -> None:
    (run,) = golden.runs.iterdir()
    other = golden.run("mine-00000000-00000000").path
    shutil.copytree(run, other)
    write_json(other / "config.json", {"dataset": "mine-00000000", "train": {}})
    line = ("--params", params, "--workspace", golden)
    remedy(" is measured on the dataset version of its training: ",
           ("evaluate", other.name, *line), ("evaluate", run.name, *line))  # fmt: skip


def test_a_model_is_imported_as_the_message_says(
    remedy: Callable[..., None], golden: Workspace, tmp_path: Path
) -> None:
    (model,) = golden.recipe_models("makeup").path.glob("step*")
    (model / "strengths.json").unlink(missing_ok=True)
    (tmp_path / "theirs").mkdir()
    export_reference(model, tmp_path / "theirs")
    (tmp_path / "ours").mkdir()
    (tmp_path / "ours" / "notes.txt").write_text("mine")
    for right in (("import", "theirs", "--out", "new"),
                  ("import", "theirs", "--out", "ours", "--overwrite")):  # fmt: skip
        remedy(" is not empty; choose another folder, or replace it with --overwrite",
               ("import", "theirs", "--out", "ours"), right)  # fmt: skip


@pytest.mark.remedy(", needed NAME=FOLDER of an existing folder")
def test_folders_are_given_as_the_message_says(
    remedy: Callable[..., None], suyan: Suyan, golden: Workspace, tmp_path: Path
) -> None:
    home = ("--workspace", golden)
    with socket.socket() as other:  # with a folder it goes on to its port
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = ("--port", other.getsockname()[1])
        status, text = suyan("offline-engine", *port, "--domain", f"bare={golden.originals}")
        assert f"port {port[1]} is in use" in text
        for wrong in ("bare", "bare=", "bare=nowhere", f"={golden.originals}"):
            status, text = suyan("offline-engine", *port, "--domain", wrong)
            assert (status, wrong in text) == (2, True)
            assert ", needed NAME=FOLDER of an existing folder" in text
    remedy(", needed an existing folder", ("forget", "--check", "--folder", "x", *home),
           ("forget", "--check", "--folder", "y", *home), (tmp_path / "y").mkdir)  # fmt: skip
    remedy("; it looks for copies of everything that was forgotten",
           ("forget", "--check", "a" * 64, *home), ("forget", "--check", *home))  # fmt: skip
    digits = next(golden.originals.glob("*/*")).name[:16]
    remedy("--yes. Nothing was changed", ("forget", digits, *home),
           ("forget", digits, "--yes", *home))  # fmt: skip


def test_a_translation_chooses_the_whole_picture_or_faces(
    remedy: Callable[..., None], golden: Workspace, tmp_path: Path
) -> None:
    Image.fromarray(portrait("makeup", 3)).save(tmp_path / "photo.jpg")
    line = ("translate", "photo.jpg", "--workspace", golden)
    remedy("--whole and --faces exclude each other", (*line, "--whole", "--faces", "1"),
           (*line, "--whole"))  # fmt: skip


def test_folders_and_files_of_a_comparison_are_given_as_the_message_says(
    remedy: Callable[..., None], golden: Workspace, tmp_path: Path
) -> None:
    (version,) = (path.parent for path in golden.datasets.glob("*/manifest.parquet"))
    folders = (version / "testA", version / "testB")
    line = ("distance", "--inception", "never", "--bootstrap", 20, "--workspace", golden)
    remedy(", needed a folder of pictures", (*line, folders[0], "nowhere"), (*line, *folders))
    (run,) = (path.name for path in golden.runs.iterdir() if path.is_dir())
    (tmp_path / "page.html").write_text("mine")
    compare = ("compare", run, run, "--workspace", golden, "--out")
    for right in ((*compare, "other.html"), (*compare, "page.html", "--overwrite")):
        remedy(" is there already; choose another file, or --overwrite",
               (*compare, "page.html"), right)  # fmt: skip
