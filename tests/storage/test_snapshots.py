"""Folders in a bucket: whole or not at all, against a real server that speaks S3."""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from core.errors import BucketError, TransientError
from core.workspace import Workspace
from storage import snapshots
from storage.remote import address_of, bucket_of, is_shared, open_workspace
from storage.s3 import Bucket

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def bucket(shared_home: str) -> Bucket:
    return Bucket(shared_home)


def _folder(path: Path, text: str = "", num: int = 6) -> Path:
    for index in range(num):
        file = path / ("trainA" if index % 2 else "testA") / f"{index}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f"{text}{index}")
    (path / "manifest.parquet").write_text(text)
    return path


def _content(folder: Path) -> dict[str, str]:
    return {
        path.relative_to(folder).as_posix(): path.read_text()
        for path in folder.rglob("*")
        if path.is_file()
    }


def test_a_workspace_in_a_bucket_has_a_folder_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SUYAN_CACHE", str(tmp_path))
    workspace = open_workspace("s3://our-bucket/faces/")
    assert workspace == open_workspace("s3://our-bucket/faces") != open_workspace("s3://our-bucket")
    assert address_of(workspace) == "s3://our-bucket/faces"
    assert is_shared(workspace)
    plain = open_workspace(str(tmp_path / "plain"))
    assert not is_shared(plain)
    assert bucket_of(plain) is None
    assert address_of(plain) == str(plain.folder)
    for wrong in ("s3://", "s3:/x/y", "s3://B/x", "s3://bucket/../x", "s3://k:s@bucket/x"):
        with pytest.raises(ValueError, match="s3://BUCKET"):
            open_workspace(wrong)


def test_what_was_published_is_fetched_once_and_checked(bucket: Bucket, tmp_path: Path) -> None:
    source, copy = _folder(tmp_path / "source"), tmp_path / "copy" / "v1"
    assert not snapshots.fetch(bucket, copy, "datasets/v1")
    snapshots.publish(bucket, source, "datasets/v1")
    assert snapshots.names(bucket, "datasets") == ["v1"]
    assert snapshots.fetch(bucket, copy, "datasets/v1")
    assert _content(copy) == _content(source)
    (picture,) = (key for key in bucket.sizes("datasets/v1") if "trainA/1." in key)
    bucket.put(picture, b"something else")
    assert snapshots.fetch(bucket, copy, "datasets/v1")  # it is here: nothing is read again
    other = tmp_path / "other" / "v1"
    with pytest.raises(BucketError, match=r"sha256 .*damaged.*run the stage again"):
        snapshots.fetch(bucket, other, "datasets/v1")
    assert not other.exists()
    bucket.put(picture, b"1")  # once mended, only the missing files are downloaded
    bucket.delete([key for key in bucket.sizes("datasets/v1") if "testA/0." in key])
    assert (tmp_path / "other" / ".v1.fetched" / "testA" / "0.png").is_file()
    assert snapshots.fetch(bucket, other, "datasets/v1")
    assert _content(other) == _content(source)


def test_a_strange_marker_reaches_nothing_outside(bucket: Bucket, tmp_path: Path) -> None:
    bucket.put("datasets/v1/published.json", b'{"files": {"../../escaped": "%s"}}' % (b"0" * 64))
    with pytest.raises(BucketError, match="escaped"):
        snapshots.fetch(bucket, tmp_path / "v1", "datasets/v1")


_KILLED = """
import os, signal, sys
from pathlib import Path
from storage import snapshots
from storage.s3 import Bucket
put = Bucket.put
left = [int(sys.argv[3])]
def counted(self, key, content):
    if left[0] == 0:
        os.kill(os.getpid(), signal.SIGKILL)
    left[0] -= 1
    put(self, key, content)
Bucket.put = counted
Bucket.map = lambda self, act, items: [act(item) for item in items]
Bucket.compare_and_swap = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
snapshots.publish(Bucket(sys.argv[1]), Path(sys.argv[2]), "datasets/v1")
"""


@pytest.mark.parametrize("num", [0, 4, 7])  # 7: all but the marker
def test_a_killed_publisher_leaves_nothing_to_see_and_its_second_run_goes_on(
    bucket: Bucket, tmp_path: Path, num: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = _folder(tmp_path / "source")
    command = (sys.executable, "-c", _KILLED, bucket.address, str(source), str(num))
    assert subprocess.run(command, cwd=ROOT, check=False).returncode == -signal.SIGKILL
    assert len(bucket.sizes("datasets/v1")) == num
    assert snapshots.names(bucket, "datasets") == []
    assert not snapshots.fetch(bucket, tmp_path / "copy", "datasets/v1")
    sent: list[str] = []
    put = Bucket.put
    monkeypatch.setattr(Bucket, "put", lambda self, key, it: (sent.append(key), put(self, key, it)))
    snapshots.publish(bucket, source, "datasets/v1")
    assert len(sent) == 7 - num
    assert snapshots.fetch(bucket, tmp_path / "copy", "datasets/v1")
    assert _content(tmp_path / "copy") == _content(source)


def test_two_publishers_at_once_do_not_mix(bucket: Bucket, tmp_path: Path) -> None:
    sources = [_folder(tmp_path / text, text) for text in ("ours", "theirs")]
    with ThreadPoolExecutor(2) as pool:
        done = list(pool.map(lambda f: snapshots.publish(bucket, f, "datasets/v1"), sources))
    assert done[0].files == done[1].files
    assert snapshots.fetch(bucket, tmp_path / "copy", "datasets/v1")
    assert _content(tmp_path / "copy") in [_content(source) for source in sources]
    for source in sources:  # the second publisher gets the files of the first
        snapshots.fetch(bucket, source, "datasets/v1", replace=True)
    assert _content(sources[0]) == _content(sources[1]) == _content(tmp_path / "copy")


def test_the_newest_replaces_where_that_is_wanted(bucket: Bucket, tmp_path: Path) -> None:
    source = _folder(tmp_path / "m")
    snapshots.publish(bucket, source, "models/makeup/m", replace=True)
    (source / "scores.json").write_text("better")
    snapshots.publish(bucket, source, "models/makeup/m", replace=True)
    snapshots.fetch(bucket, tmp_path / "copy", "models/makeup/m")
    assert _content(tmp_path / "copy") == _content(source)
    snapshots.delete(bucket, "models/makeup/m")
    assert not bucket.sizes("models")


class _Refusing(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        body = b"<Error><Code>AccessDenied</Code><Message>tester may not</Message></Error>"
        self.send_response(403)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_PUT = do_HEAD = do_GET

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def refusing() -> Iterator[str]:
    with HTTPServer(("127.0.0.1", 0), _Refusing) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_errors_say_what_to_do_and_no_secret(
    shared_home: str, refusing: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    missing = Bucket("s3://suyan-nowhere")
    for act in (
        lambda: missing.put("a", b""),
        lambda: missing.read("a"),
        lambda: missing.folders("a"),
        lambda: missing.sizes("a"),
        lambda: missing.download("a", tmp_path / "a", ""),
    ):
        with pytest.raises(BucketError, match=r"no such bucket at http://127.*aws s3 mb"):
            act()
    monkeypatch.setenv("AWS_ENDPOINT_URL", refusing)
    with pytest.raises(BucketError, match=r"refuses \(403 AccessDenied\).*PutObject") as refused:
        Bucket(shared_home).put("a", b"")
    assert "a-secret" not in str(refused.value)
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    with pytest.raises(TransientError, match=r"cannot be reached.*AWS_ENDPOINT_URL"):
        Bucket(shared_home).read("a")
    monkeypatch.setenv("AWS_PROFILE", "nobody-s")
    with pytest.raises(BucketError, match=r"nobody-s.*AWS_PROFILE"):
        Bucket(shared_home)
    for name in ("AWS_PROFILE", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", os.devnull)
    with pytest.raises(BucketError, match=r"no credentials.*AWS_ACCESS_KEY_ID"):
        Bucket(shared_home)


@pytest.mark.slow
def test_the_doctor_tries_the_bucket_and_leaves_nothing_there(
    shared_home: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from cli import doctor

    monkeypatch.delenv("SUYAN_CATALOGUE_URL", raising=False)
    home = open_workspace(shared_home)
    found = {finding.subject: finding for finding in doctor.examine(home, "no such recipe")}
    assert found["object storage"].level == "ok", found["object storage"]
    assert shared_home in found["object storage"].observation
    assert found["catalogue"].level == "problem"
    assert not Bucket(shared_home).sizes("tried")
    nowhere = doctor.examine(open_workspace("s3://suyan-nowhere"), "no such recipe")
    missing = next(finding for finding in nowhere if finding.subject == "object storage")
    assert missing.level == "problem"
    assert "aws s3 mb" in missing.remedy
    assert doctor._bucket(Workspace(tmp_path)).level == "ok"
