"""A machine's copy of a bucket stays below its limit, and loses no data that only this machine
has."""

import hashlib
import os
import shutil
from pathlib import Path

import pytest

from core.workspace import Workspace
from storage import originals, runs, snapshots
from storage.eviction import evict, in_use, limit_bytes
from storage.remote import bucket_of, open_workspace
from storage.s3 import Bucket


@pytest.fixture
def workspace(shared_home: str) -> Workspace:
    return open_workspace(shared_home)


@pytest.fixture
def bucket(workspace: Workspace) -> Bucket:
    found = bucket_of(workspace)
    assert found is not None
    return found


def original(workspace: Workspace, number: int) -> Path:
    """A file of 1,000 bytes, named by its content, last used ``number`` days after the epoch."""
    content = bytes([number]) * 1000
    sha256 = hashlib.sha256(content).hexdigest()
    return written(workspace.original(sha256, "jpg"), content, number)


def written(path: Path, content: bytes, number: int) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    os.utime(path, (number * 86400, number * 86400))
    return path


def sent(bucket: Bucket, workspace: Workspace, path: Path) -> Path:
    originals.publish(bucket, workspace, [workspace.key(path)])
    return path


def dataset(workspace: Workspace, name: str, number: int) -> Path:
    for file in ("manifest.parquet", "trainA/1.png"):
        written(workspace.dataset(name).path / file, name.encode() * 500, number)
    return workspace.dataset(name).path


def held(workspace: Workspace) -> int:
    return sum(path.stat().st_size for path in workspace.folder.rglob("*") if path.is_file())


def test_what_was_used_longest_ago_goes_first_and_comes_back(
    workspace: Workspace, bucket: Bucket
) -> None:
    old, new = (sent(bucket, workspace, original(workspace, number)) for number in (1, 4))
    crop = written(workspace.crops / "ab" / "abc.png", b"x" * 1000, 2)
    version = dataset(workspace, "v", 3)
    snapshots.publish(bucket, version, "datasets/v")
    for number, path in enumerate((old, crop, *version.rglob("*.*"), new), 1):
        os.utime(path, (number, number))  # they were read as they were sent
    total = held(workspace)
    assert evict(bucket, workspace, total) == 0
    assert evict(bucket, workspace, total - 1) == 1000
    assert not old.exists()
    assert evict(bucket, workspace, total - 2001) == 2000
    assert not crop.exists()
    assert not version.exists()
    assert new.exists()
    digests = {workspace.key(old): old.stem}
    assert originals.fetch(bucket, workspace, digests) == 1
    assert snapshots.fetch(bucket, version, "datasets/v")
    assert (version / "trainA" / "1.png").read_bytes() == b"v" * 500


def test_what_the_bucket_does_not_have_stays(workspace: Workspace, bucket: Bucket) -> None:
    kept = [original(workspace, 1)]
    damaged = sent(bucket, workspace, original(workspace, 2))
    damaged.write_bytes(b"half of it")
    changed, unsent = dataset(workspace, "changed", 3), dataset(workspace, "unsent", 4)
    snapshots.publish(bucket, changed, "datasets/changed")
    (changed / "trainA" / "1.png").write_bytes(b"another one")
    published, not_yet = (workspace.run("r").checkpoint(f"step_{n}").path for n in (1, 2))
    for step in (published, not_yet):
        written(step / "state.json", step.name.encode(), 5)
    snapshots.publish(bucket, published, "runs/r/checkpoints/step_1")
    kept += [damaged, changed, unsent, published, not_yet, workspace.bucket_file]
    assert evict(bucket, workspace, 0) == 0
    assert all(path.exists() for path in kept)
    snapshots.publish(bucket, not_yet, "runs/r/checkpoints/step_2")
    assert evict(bucket, workspace, 0) == 12
    assert not published.exists()
    assert not not_yet.exists()
    snapshots.publish(bucket, written(workspace.run("r").log, b"{}", 5).parent, "runs/r")
    assert runs.fetch(workspace, "r")
    assert (not_yet / "state.json").read_bytes() == b"step_2"


def test_a_folder_goes_whole_also_when_the_process_is_killed(
    workspace: Workspace, bucket: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    version = dataset(workspace, "v", 1)
    snapshots.publish(bucket, version, "datasets/v")

    def killed(_path: Path, **_more: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(shutil, "rmtree", killed)
        with pytest.raises(KeyboardInterrupt):
            evict(bucket, workspace, 0)
    assert not version.exists()
    assert snapshots.fetch(bucket, version, "datasets/v")
    assert evict(bucket, workspace, held(workspace) - 1) == 1000  # what was left
    assert (version / "manifest.parquet").exists()


def test_nothing_goes_while_anybody_uses_the_workspace(
    workspace: Workspace, bucket: Bucket, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("SUYAN_CACHE_GB", "0")
    path = sent(bucket, workspace, original(workspace, 1))
    with in_use(workspace):
        with in_use(workspace):
            pass
        assert path.exists()
    assert not path.exists()
    with in_use(Workspace(tmp_path)):  # a workspace without a bucket keeps everything
        pass
    monkeypatch.setenv("SUYAN_CACHE_GB", "much")
    with pytest.raises(ValueError, match="SUYAN_CACHE_GB: got 'much', needed a number"):
        limit_bytes()
