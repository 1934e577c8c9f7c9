"""A machine's copy of a bucket stays within its bounds, and loses nothing that is nowhere else."""

import hashlib
import os
import shutil
from pathlib import Path

import pytest

from core.workspace import Workspace
from storage import originals, runs, snapshots
from storage.eviction import in_use, limit_bytes, make_room
from storage.remote import bucket_of, open_workspace
from storage.s3 import Bucket


@pytest.fixture
def home(shared_home: str) -> Path:
    return open_workspace(shared_home)


@pytest.fixture
def bucket(home: Path) -> Bucket:
    found = bucket_of(Workspace(home))
    assert found is not None
    return found


def original(home: Path, number: int) -> Path:
    """A file of 1,000 bytes, named by its content, last used ``number`` days after the epoch."""
    content = bytes([number]) * 1000
    sha256 = hashlib.sha256(content).hexdigest()
    return written(home / "originals" / sha256[:2] / f"{sha256}.jpg", content, number)


def written(path: Path, content: bytes, number: int) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    os.utime(path, (number * 86400, number * 86400))
    return path


def sent(bucket: Bucket, home: Path, path: Path) -> Path:
    originals.send(bucket, Workspace(home), [path.relative_to(home).as_posix()])
    return path


def dataset(home: Path, name: str, number: int) -> Path:
    for file in ("manifest.parquet", "trainA/1.png"):
        written(home / "datasets" / name / file, name.encode() * 500, number)
    return home / "datasets" / name


def held(home: Path) -> int:
    return sum(path.stat().st_size for path in home.rglob("*") if path.is_file())


def test_what_was_used_longest_ago_goes_first_and_comes_back(home: Path, bucket: Bucket) -> None:
    old, new = (sent(bucket, home, original(home, number)) for number in (1, 4))
    crop = written(home / "cache" / "crops" / "ab" / "abc.png", b"x" * 1000, 2)
    version = dataset(home, "v", 3)
    snapshots.publish(bucket, version, "datasets/v")
    for number, path in enumerate((old, crop, *version.rglob("*.*"), new), 1):
        os.utime(path, (number, number))  # they were read as they were sent
    total = held(home)
    assert make_room(bucket, Workspace(home), total) == 0
    assert make_room(bucket, Workspace(home), total - 1) == 1000
    assert not old.exists()
    assert make_room(bucket, Workspace(home), total - 2001) == 2000
    assert not crop.exists()
    assert not version.exists()
    assert new.exists()
    wanted = {old.relative_to(home).as_posix(): old.stem}
    assert originals.fetch(bucket, Workspace(home), wanted) == 1
    assert snapshots.fetch(bucket, version, "datasets/v")
    assert (version / "trainA" / "1.png").read_bytes() == b"v" * 500


def test_what_the_bucket_does_not_have_stays(home: Path, bucket: Bucket) -> None:
    kept = [original(home, 1)]
    damaged = sent(bucket, home, original(home, 2))
    damaged.write_bytes(b"half of it")
    changed, unsent = dataset(home, "changed", 3), dataset(home, "unsent", 4)
    snapshots.publish(bucket, changed, "datasets/changed")
    (changed / "trainA" / "1.png").write_bytes(b"another one")
    published, not_yet = (home / "runs" / "r" / "checkpoints" / f"step_{n}" for n in (1, 2))
    for step in (published, not_yet):
        written(step / "state.json", step.name.encode(), 5)
    snapshots.publish(bucket, published, "runs/r/checkpoints/step_1")
    kept += [damaged, changed, unsent, published, not_yet, home / "bucket.json"]
    assert make_room(bucket, Workspace(home), 0) == 0
    assert all(path.exists() for path in kept)
    snapshots.publish(bucket, not_yet, "runs/r/checkpoints/step_2")
    assert make_room(bucket, Workspace(home), 0) == 12
    assert not published.exists()
    assert not not_yet.exists()
    snapshots.publish(bucket, written(home / "runs/r/log.jsonl", b"{}", 5).parent, "runs/r")
    assert runs.fetch(home / "runs" / "r")
    assert (not_yet / "state.json").read_bytes() == b"step_2"


def test_a_folder_goes_whole_also_when_the_process_is_killed(
    home: Path, bucket: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    version = dataset(home, "v", 1)
    snapshots.publish(bucket, version, "datasets/v")

    def killed(_path: Path, **_more: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(shutil, "rmtree", killed)
        with pytest.raises(KeyboardInterrupt):
            make_room(bucket, Workspace(home), 0)
    assert not version.exists()
    assert snapshots.fetch(bucket, version, "datasets/v")
    assert make_room(bucket, Workspace(home), held(home) - 1) == 1000  # what was left
    assert (version / "manifest.parquet").exists()


def test_nothing_goes_while_anybody_uses_the_workspace(
    home: Path, bucket: Bucket, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("SUYAN_CACHE_GB", "0")
    path = sent(bucket, home, original(home, 1))
    with in_use(Workspace(home)):
        with in_use(Workspace(home)):
            pass
        assert path.exists()
    assert not path.exists()
    with in_use(Workspace(tmp_path)):  # a workspace without a bucket keeps everything
        pass
    monkeypatch.setenv("SUYAN_CACHE_GB", "much")
    with pytest.raises(ValueError, match="SUYAN_CACHE_GB: got 'much', needed a number"):
        limit_bytes()
