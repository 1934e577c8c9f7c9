"""A forgotten picture leaves every place, and ``--check`` proves it."""

import io
import json
import shutil
import signal
import subprocess
import sys
import tarfile
import zipfile
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image

from cli.main import main
from core.errors import SuyanError
from core.files import file_sha256, load_json, write_json
from core.tables import Picture, read_rows, write_rows
from core.workspace import Workspace
from flows import latest, sync
from flows.cluster.torchrun import train_run
from flows.removal import full_removal
from flows.removal.copies import find_copies
from flows.removal.full_removal import plan_removal, remove
from flows.removal.training_guard import require_none_forgotten
from preprocessing.version.dataset_export import export
from preprocessing.version.export_record import record_export
from storage import snapshots
from storage.forgotten_record import load_record
from storage.remote import bucket_of, open_workspace
from training.config import TrainConfig
from training.runtime.launcher import Torchrun
from training.tracking.tracker_record import TrackerRecord, save_record

ROOT = Path(__file__).resolve().parents[2]
GOLDEN = ROOT / "tests" / "golden"
DATASET = json.loads((GOLDEN / "names.json").read_text(encoding="utf-8"))["dataset"]


def unpacked(folder: Path) -> Workspace:
    """The golden workspace, with two exports and the files of a run that the archive lacks."""
    with tarfile.open(GOLDEN / "workspace.tar.xz") as archive:
        archive.extractall(folder / "workspace", filter="data")
    workspace = Workspace(folder / "workspace")
    for kind in ("zip", "webdataset"):
        record_export(workspace, folder / "exports")
        export(workspace.dataset(DATASET).path, folder / "exports", kind)
    run = run_of(workspace)
    for path in (run.samples(10), run.samples(10, averaged=True), run.augmentation):
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"a grid of pictures")
    (run.tensorboard / "events").parent.mkdir(exist_ok=True)
    (run.tensorboard / "events").write_bytes(b"the same grids")
    for path in (run.tracking / "wandb" / "grid.jpg", run.mlflow_artifacts / "7" / "grid.jpg"):
        path.parent.mkdir(parents=True)
        path.write_bytes(b"the same grids for trackers")
    for name, number in (("wandb", "5"), ("mlflow", "7")):
        save_record(run.path, name, TrackerRecord("key", number, step=10))
    return workspace


def run_of(workspace: Workspace) -> Any:
    (path,) = workspace.runs.glob("[!.]*/")
    return workspace.run(path.name)


def rows_of(workspace: Workspace) -> list[Picture]:
    rows = read_rows(workspace.dataset(DATASET).manifest, Picture)
    return sorted((row for row in rows if row.status == "ok"), key=lambda row: row.file)


def contents(workspace: Workspace) -> set[bytes]:
    return {
        path.read_bytes()
        for path in workspace.folder.parent.rglob("*")
        if path.is_file() and path.suffix in {".jpg", ".png"}
    }


@pytest.fixture(scope="module")
def removed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """A training picture, named by its first digits, is forgotten in a whole workspace."""
    workspace = unpacked(tmp_path_factory.mktemp("forget"))
    row = next(row for row in rows_of(workspace) if row.file.startswith("trainA/"))
    crop = workspace.dataset(DATASET).path / row.file
    (workspace.folder / "holiday.png").write_bytes(crop.read_bytes())
    own = workspace.folder.parent / "own"
    for split in ("trainA", "trainB"):
        shutil.copytree(workspace.dataset(DATASET).split(split), own / split)
    (own / row.file).rename(own / "trainA" / "renamed.png")
    before = {
        "original": (workspace.folder / row.original).read_bytes(),
        "crop": crop.read_bytes(),
    }
    plan = plan_removal([row.sha256[:10]], workspace)
    return {
        "workspace": workspace,
        "row": row,
        "own": own,
        "before": before,
        "plan": plan.copies,
        "result": remove(plan, workspace),
    }


def test_no_file_has_its_content_or_its_name_any_more(removed: dict[str, Any]) -> None:
    workspace, row = removed["workspace"], removed["row"]
    kept = {path.read_bytes() for path in removed["own"].rglob("*.png")}
    assert removed["before"]["original"] not in contents(workspace)
    inside = {
        path.read_bytes() for path in workspace.folder.rglob("*") if path.suffix in {".jpg", ".png"}
    }
    assert removed["before"]["crop"] in kept
    assert removed["before"]["crop"] not in inside
    assert not list(workspace.folder.rglob(f"*{row.sha256[:16]}*"))
    assert not (workspace.folder / "holiday.png").exists()
    assert removed["result"].left.is_empty
    assert find_copies(workspace, load_record(workspace)).is_empty


@pytest.mark.remedy(" was removed, because it held a picture that was ")
def test_the_dataset_is_prepared_again_without_it(removed: dict[str, Any]) -> None:
    workspace, row = removed["workspace"], removed["row"]
    replacement = load_record(workspace).versions[DATASET].replacement
    assert latest.dataset_folder(workspace, "makeup").name == replacement != DATASET
    assert not workspace.dataset(DATASET).path.exists()
    rows = read_rows(workspace.dataset(replacement).manifest, Picture)
    assert row.sha256 not in {each.sha256 for each in rows}
    assert len([each for each in rows if each.status == "ok"]) > 50
    with pytest.raises(SuyanError, match=f"picture that was forgotten.*suyan train {replacement}"):
        latest.dataset_folder(workspace, "makeup", DATASET)


def test_exports_lose_its_entries_and_its_row(removed: dict[str, Any]) -> None:
    workspace, row = removed["workspace"], removed["row"]
    exports = workspace.folder.parent / "exports"
    with zipfile.ZipFile(exports / f"{DATASET}.zip") as archive:
        names = archive.namelist()
        manifest = archive.read(f"{DATASET}/manifest.parquet")
        assert archive.testzip() is None
    assert len(names) > 50
    assert f"{DATASET}/{row.file}" not in names
    assert row.sha256 not in pq.read_table(io.BytesIO(manifest))["sha256"].to_pylist()
    with tarfile.open(exports / f"{DATASET}-trainA-000000.tar") as shard:
        stems = {Path(name).stem for name in shard.getnames()}
    assert len(stems) > 10
    assert f"A-{row.sha256[:16]}" not in stems


def test_runs_and_models_keep_weights_and_lose_what_shows_it(removed: dict[str, Any]) -> None:
    workspace = removed["workspace"]
    run = run_of(workspace)
    evaluation = run.evaluation("step_00000010")
    assert not evaluation.gallery.exists()
    assert not evaluation.report.exists()
    checkpoint = run.checkpoint("step_00000010")
    assert checkpoint.weights("G_A").exists()
    assert not checkpoint.state.exists()  # its pools hold translations
    assert run.samples(10).exists()  # of test pictures
    model = next(workspace.recipe_models("makeup").path.glob("step*/"))
    assert not (model / "report.html").exists()
    assert (model / "scores.json").exists()
    (weights,) = (line for line in removed["result"].lines if "weights" in line)
    assert str(run.path) in weights
    assert str(model) in weights


@pytest.mark.remedy(" in it that forget was to ")
def test_nobody_trains_on_a_copy_under_another_name(removed: dict[str, Any]) -> None:
    workspace, own = removed["workspace"], removed["own"]
    with pytest.raises(SuyanError, match=r"own: found 1 picture in it .*trainA/renamed\.png"):
        train_run(
            TrainConfig(), own, workspace.run("own").path, workspace, Torchrun(), lambda *_: None
        )
    (own / "trainA" / "renamed.png").unlink()
    require_none_forgotten(own, workspace)


def test_the_plan_names_every_kind_of_place(removed: dict[str, Any]) -> None:
    text = "\n".join(removed["plan"].lines())
    for kind in ("1 dataset version", "2 exports", "1 run", "1 model", "holiday.png", "1 listing",
                 "1 row of the catalogue", "1 row of the cache", "originals"):  # fmt: skip
        assert kind in text


def test_grids_of_test_pictures_go_if_they_show_it_and_near_duplicates_are_named(
    tmp_path: Path,
) -> None:
    workspace = unpacked(tmp_path)
    rows = rows_of(workspace)
    first = next(row for row in rows if row.file.startswith("testB/"))
    twin = next(row for row in rows if row.file.startswith("trainB/"))
    manifest = workspace.dataset(DATASET).manifest
    table = read_rows(manifest, Picture)
    joined = [replace(r, cluster=first.cluster) if r.sha256 == twin.sha256 else r for r in table]
    write_rows(manifest, Picture, joined)
    result = remove(plan_removal([first.sha256], workspace), workspace)
    run = run_of(workspace)
    assert not any(path.exists() for path in (run.samples(10).parent, run.tensorboard))
    assert not run.samples(10, averaged=True).exists()
    assert not any(path.exists() for path in (run.tracking, run.mlflow_artifacts / "7"))
    assert any(f"{run.path.name} (wandb, mlflow)" in line for line in result.lines)
    assert run.augmentation.exists()
    assert run.checkpoint("step_00000010").state.exists()  # it was no training picture
    assert not any("weights" in line for line in result.lines)
    assert any(twin.sha256[:16] in line and "near duplicate" in line for line in result.lines)


_KILLED = """
import os, signal, sys
from pathlib import Path
from core.workspace import Workspace
from flows.removal import full_removal
name = sys.argv[3]
whole = getattr(full_removal, name)
def killed(*arguments, **options):
    whole(*arguments, **options)
    os.kill(os.getpid(), signal.SIGKILL)
setattr(full_removal, name, killed)
workspace = Workspace(Path(sys.argv[1]))
full_removal.remove(full_removal.plan_removal([sys.argv[2]], workspace), workspace)
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    "step",
    ["_remember", "forget", "rebuild", "remove_run_files", "remove_entries", "remove_version"],
)
def test_killed_anywhere_it_finishes_when_it_runs_again(tmp_path: Path, step: str) -> None:
    workspace = unpacked(tmp_path)
    row = next(row for row in rows_of(workspace) if row.file.startswith("trainB/"))
    command = [sys.executable, "-c", _KILLED, workspace.folder, row.sha256, step]
    assert subprocess.run(command, cwd=ROOT, check=False).returncode == -signal.SIGKILL
    record = load_record(workspace)
    assert record.pending == {row.sha256}
    if workspace.dataset(DATASET).path.exists():
        with pytest.raises(SuyanError, match=r"Mend it: .*suyan forget --yes"):
            latest.dataset_folder(workspace, "makeup", DATASET)
    result = remove(plan_removal([], workspace), workspace)
    assert result.left.is_empty
    assert load_record(workspace).pending == set()
    assert load_record(workspace).versions[DATASET].replacement
    assert str(run_of(workspace).path) in "\n".join(full_removal.cannot_remove(workspace))


def test_the_command_asks_once_and_checks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    workspace = unpacked(tmp_path)
    row = next(row for row in rows_of(workspace) if row.file.startswith("trainB/"))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("cli.forget.remove_pictures", _without_rebuild(monkeypatch))
    handler = signal.getsignal(signal.SIGTERM)

    def suyan(*arguments: str) -> tuple[int, str]:
        monkeypatch.setattr(sys, "argv", ["suyan", *arguments, "--workspace", str(workspace)])
        status = 0
        try:
            main()
        except SystemExit as ended:
            status = int(ended.code or 0)
        captured = capsys.readouterr()
        return status, captured.out + captured.err

    monkeypatch.setattr("sys.stdin", io.StringIO())
    status, text = suyan("forget", row.sha256[:8])
    assert (status, load_record(workspace).pictures) == (2, set())
    assert "1 dataset version" in text
    assert "needed --yes. Nothing was changed" in text
    status, text = suyan("forget", row.sha256[:8], "--yes")
    assert status == 0, text
    assert "No copy is left" in text
    assert suyan("forget", "--check")[0] == 0
    copy = workspace.originals / "zz" / f"{row.sha256}.jpg"
    copy.parent.mkdir()
    copy.write_bytes(b"back again")
    status, text = suyan("forget", "--check")
    assert status == 1
    assert str(copy) in text.replace("\n", "")
    assert f"forget --yes --workspace {workspace}" in text
    moved = tmp_path / "moved"
    moved.mkdir()
    (moved / "x.png").write_bytes(b"")
    copy.rename(moved / copy.name)
    assert suyan("forget", "--check")[0] == 0
    status, text = suyan("forget", "--check", "--folder", str(moved))
    assert (status, copy.name in text) == (1, True)
    assert suyan("forget", "--yes", "--folder", str(moved))[0] == 0
    assert [path.name for path in moved.iterdir()] == ["x.png"]
    assert suyan("forget", row.sha256, "--check")[0] == 2
    signal.signal(signal.SIGTERM, handler)


def _without_rebuild(monkeypatch: pytest.MonkeyPatch) -> Any:
    from cli.forget import remove_pictures

    monkeypatch.setattr(full_removal, "rebuild", lambda *_: ("", "its crawls are gone"))
    return remove_pictures


def test_the_bucket_and_the_other_machine_lose_it_too(
    shared_home: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SUYAN_CATALOGUE_URL", f"sqlite:///{tmp_path / 'c.sqlite'}")
    here = open_workspace(shared_home)
    monkeypatch.setenv("SUYAN_CACHE", str(tmp_path / "machine-2"))
    there = open_workspace(shared_home)
    bucket = bucket_of(here)
    assert bucket is not None
    sha256, folder = "ab" * 32, here.dataset("with")
    picture = Picture(
        sha256=sha256, domain="bare", side="A", split="train", file=f"trainA/{sha256[:16]}.png",
        status="ok", reason="", cluster="", phash="", face_phash="", width=1, height=1,
        keypoints=[], transform=[], sharpness=0.0, phrase="", url="", original="",
    )  # fmt: skip
    pixels = np.arange(192, dtype=np.uint8).reshape(8, 8, 3)
    for row in (picture, replace(picture, sha256="0" * 64, file="testA/0.png")):
        path = folder.path / row.file
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels + len(row.file)).save(path)
    write_rows(folder.manifest, Picture, [picture])
    write_rows(here.dataset("without").manifest, Picture, [replace(picture, sha256="0" * 64)])
    write_json(here.pointer("faces", "dataset"), {"version": "with", "trained_for": "without"})
    bucket.put(here.key(here.pointer("faces", "dataset")), here.pointer("faces", "dataset"))
    run = here.run("r")
    write_json(run.config, {"dataset": "with"})
    run.augmentation.write_bytes(b"augmented")
    run.log.write_bytes(b"{}\n")
    state = run.checkpoint("step_00000001").state
    state.parent.mkdir(parents=True)
    state.write_bytes(b"pools")
    run.checkpoint("step_00000001").weights("G_A").write_bytes(b"weights")
    report = run.evaluation("step_00000001").report
    report.parent.mkdir(parents=True)
    report.write_bytes(b"report")
    crop = (folder.path / picture.file).read_bytes()
    (run.path / "copied.png").write_bytes(crop)  # found by its content
    for each in (folder.path, here.dataset("without").path, state.parent, report.parent):
        snapshots.publish(bucket, each, here.key(each))
    older = [run.log, run.config, run.augmentation, run.path / "copied.png"]
    snapshots.publish(bucket, run.path, here.key(run.path), files=older)
    snapshots.fetch(bucket, there.dataset("with").path, "datasets/with")
    shutil.copytree(run.path, there.run("r").path)
    shutil.rmtree(folder.path)  # it is in the bucket, and on the other machine
    result = remove(plan_removal([sha256], here), here)
    assert result.left.is_empty, result.left.lines()
    (rest,) = (line.partition("not prepared again: ")[2] for line in result.lines
               if "not prepared again: " in line)  # fmt: skip
    assert rest
    assert not rest.endswith((":", "."))
    assert snapshots.names(bucket, "datasets") == ["without"]
    assert not bucket.sizes("datasets/with")
    kept = {Path(key).name.partition(".")[0] for key in bucket.sizes("runs")}
    assert kept == {"G_A", "config", "log", "published"}
    assert load_json(here.pointer("faces", "dataset")) == {
        "version": "", "trained_for": "without",
    }  # fmt: skip
    assert find_copies(there, load_record(there)).versions  # until it crawls or prepares
    sync.drop_forgotten(there)
    assert not there.dataset("with").path.exists()
    assert not there.run("r").augmentation.exists()
    assert there.run("r").log.exists()


@pytest.mark.remedy(": another process trains it now, on a picture to forget")
def test_a_training_on_it_must_end_first(tmp_path: Path) -> None:
    from core.locks import file_lock

    workspace = unpacked(tmp_path)
    row = next(row for row in rows_of(workspace) if row.file.startswith("trainB/"))
    before = file_sha256(workspace.dataset(DATASET).manifest)
    with (
        file_lock(run_of(workspace).lock),
        pytest.raises(SuyanError, match="another process trains it now"),
    ):
        plan_removal([row.sha256], workspace)
    assert file_sha256(workspace.dataset(DATASET).manifest) == before
    assert not load_record(workspace).pictures
    assert plan_removal([row.sha256], workspace).targets  # once it has stopped


def test_a_damaged_record_trains_nothing(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)
    write_json(workspace.forgotten, {"pictures": []})
    with pytest.raises(ValueError, match="found no record of forgotten pictures"):
        require_none_forgotten(tmp_path, workspace)
    with suppress(FileNotFoundError):
        workspace.forgotten.unlink()
    require_none_forgotten(tmp_path, workspace)
    assert not workspace.catalogue.exists()


def test_nothing_forgotten_and_nothing_named_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="nothing was forgotten"):
        plan_removal([], Workspace(tmp_path))
