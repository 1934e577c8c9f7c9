"""Files and buckets that cannot be used are mended as the message says."""

import os
import shutil
import threading
from collections.abc import Callable
from functools import partial
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
from PIL import Image
from remedies import remedy

from core.files import claim_folder, load_json, write_json
from core.pictures import load_picture
from core.tables import Original, Picture, read_rows, write_rows
from core.workspace import Workspace
from flows.removal.full_removal import plan_removal
from scraping.catalogue.database import catalogue_url
from storage import snapshots, synced_files
from storage.forgotten_record import load_record
from storage.remote import open_workspace
from storage.s3 import Bucket


def _then(mend: Callable[[], object], act: Callable[[], object]) -> Callable[[], object]:
    return lambda: (mend(), act())


def test_a_torn_file_of_ours_is_mended(tmp_path: Path) -> None:
    file = tmp_path / "state.json"
    read = partial(load_json, file)
    file.write_text("{", encoding="utf-8")
    remedy(": found no whole JSON (", read, _then(partial(write_json, file, {}), read))
    file.write_text("[]", encoding="utf-8")
    remedy(", needed an object", read, _then(partial(write_json, file, {}), read))
    claim_folder(tmp_path / "run", {"seed": 1})
    for folder, seed in (("run", 1), ("other", 2)):  # the old value, or another folder
        remedy(
            " holds the work of another configuration:",
            lambda: claim_folder(tmp_path / "run", {"seed": 2}),
            partial(claim_folder, tmp_path / folder, {"seed": seed}),
        )
    picture = tmp_path / "a.png"
    picture.write_bytes(b"\x89PNG torn")
    replace = partial(Image.new("RGB", (9, 9)).save, picture)
    read_picture = partial(load_picture, picture)
    remedy("); remove or replace it", read_picture, _then(replace, read_picture))
    rows = tmp_path / "rows.parquet"
    write_rows(rows, Original, [])
    remedy(
        " are missing; was it written by another version?",
        lambda: read_rows(rows, Picture), lambda: read_rows(rows, Original),
    )  # fmt: skip


def test_the_files_of_a_workspace_are_mended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SUYAN_CACHE", str(tmp_path / "cache"))
    folder = open_workspace("s3://bucket").folder
    (folder / "bucket.json").write_text("{}", encoding="utf-8")

    def opened() -> None:
        assert open_workspace("s3://bucket").bucket_address == "s3://bucket"

    remedy(
        ": found something that names no bucket (",
        lambda: Workspace(folder).bucket_address,
        _then((folder / "bucket.json").unlink, opened),
    )
    home = Workspace(tmp_path / "home")
    write_json(home.forgotten, {"pictures": 3})
    remedy(
        "forget wrote there; remove this file, and run it again",
        lambda: load_record(home), _then(home.forgotten.unlink, lambda: load_record(home)),
    )  # fmt: skip
    remedy(
        "; needed the address of the database that all its machines use, ",
        lambda: catalogue_url(Workspace(folder)),
        _then(
            lambda: monkeypatch.setenv("SUYAN_CATALOGUE_URL", "postgresql+psycopg://me@db/suyan"),
            lambda: catalogue_url(Workspace(folder)),
        ),
    )


def test_a_forgotten_picture_has_to_be_named(golden: Workspace) -> None:
    picture = next(golden.originals.glob("*/*"))
    remedy(
        "forget: got nothing to forget, and nothing was forgotten in ",
        lambda: plan_removal([], golden), lambda: plan_removal([picture.stem], golden),
    )  # fmt: skip


@pytest.fixture
def bucket(shared_home: str) -> Bucket:
    return Bucket(shared_home)


def _published(bucket: Bucket, tmp_path: Path) -> Path:
    folder = tmp_path / "version"
    folder.mkdir()
    (folder / "a.png").write_text("picture")
    (folder / "manifest.parquet").write_text("rows")
    snapshots.publish(bucket, folder, "datasets/v")
    return folder


def test_a_damaged_folder_of_a_bucket_is_mended_by_publishing_again(
    bucket: Bucket, tmp_path: Path
) -> None:
    source = _published(bucket, tmp_path)
    (picture,) = (key for key in bucket.sizes("datasets/v") if key.endswith(".png"))

    def fetch(name: str) -> None:
        assert snapshots.fetch(bucket, tmp_path / name, "datasets/v")

    def publish_again() -> None:
        snapshots.publish(bucket, source, "datasets/v")
        fetch("whole")
        shutil.rmtree(tmp_path / "whole")

    bucket.put(picture, b"damaged")
    remedy(
        "object is damaged. Delete it, and run the stage again on the machine that wrote ",
        lambda: fetch("one"), _then(lambda: bucket.delete([picture]), publish_again),
    )  # fmt: skip
    bucket.delete([picture])
    remedy(
        " was removed or replaced during the download. Run it ",
        lambda: fetch("two"), publish_again,
    )  # fmt: skip
    marker = "datasets/v/published.json"
    bucket.put(marker, b"[]")
    remedy(
        ", needed a list of files and digests; remove ",
        lambda: fetch("three"), _then(lambda: bucket.delete([marker]), publish_again),
    )  # fmt: skip
    bucket.delete([picture])
    assert snapshots.publish(bucket, source, "datasets/v", replace=True)
    fetch("four")


def test_what_another_machine_changed_is_done_again(
    bucket: Bucket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = _published(bucket, tmp_path)

    def lose(act: Callable[[], object]) -> Callable[[], object]:
        def losing() -> None:
            with monkeypatch.context() as patch:
                patch.setattr(Bucket, "compare_and_swap", lambda *_: False)
                act()

        return losing

    def publish() -> None:
        (source / "a.png").write_text("another")
        snapshots.publish(bucket, source, "datasets/v", replace=True)

    def remove() -> None:
        snapshots.remove_files(bucket, "datasets/v", ["a.png"])

    remedy(": another machine published it too; run it again", lose(publish), publish)
    remedy(": another machine published it too; run it again", lose(remove), remove)
    workspace = open_workspace(bucket.address)
    file = workspace.folder / "pointer.json"

    def update() -> None:
        with synced_files.update(workspace, file):
            file.write_text("changed")

    def merge() -> None:
        other = file.with_name("overrides.csv")
        other.write_text("mine")
        synced_files.merge(workspace, other)

    remedy(": another machine changed it at the same time; run it again", lose(update), update)
    remedy(": another machine changed it at the same time; run it again", lose(merge), merge)


def test_a_file_that_two_people_changed_is_combined(
    bucket: Bucket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    workspace = open_workspace(bucket.address)
    file = workspace.folder / "overrides.csv"
    file.write_text("mine")
    bucket.put("overrides.csv", b"theirs")

    def combine() -> None:
        file.with_name("overrides.csv.theirs").write_text("mine and theirs")
        file.with_name("overrides.csv.theirs").rename(file)
        bucket.put("overrides.csv", file.read_bytes())  # as ``aws s3 cp`` does
        synced_files.merge(workspace, file)
        assert file.read_text() == "mine and theirs"

    remedy(
        ": changed here and in ",
        lambda: synced_files.merge(workspace, file),
        combine,
    )


def test_a_bucket_is_reached_as_the_message_says(
    shared_home: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    import boto3

    missing = Bucket("s3://suyan-not-there-yet")

    def create() -> None:
        client = boto3.client("s3")
        client.create_bucket(Bucket="suyan-not-there-yet")
        client.close()
        missing.put("a", b"")

    remedy(": there is no such bucket at ", lambda: missing.put("a", b""), create)
    key, endpoint = os.environ["AWS_ACCESS_KEY_ID"], os.environ["AWS_ENDPOINT_URL"]

    def put() -> None:
        Bucket(shared_home).put("a", b"")

    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", os.devnull)
    remedy(
        ": found no credentials", put,
        _then(lambda: monkeypatch.setenv("AWS_ACCESS_KEY_ID", key), put),
    )  # fmt: skip
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    remedy(
        " cannot be reached, or fails (", put,
        _then(lambda: monkeypatch.setenv("AWS_ENDPOINT_URL", endpoint), put),
    )  # fmt: skip


class _Answering(BaseHTTPRequestHandler):
    """A store of another kind: it answers with one status to everything."""

    status = 501

    def do_PUT(self) -> None:
        self.send_response(self.status)
        self.send_header("Content-Length", "0")
        self.end_headers()

    do_GET = do_HEAD = do_PUT

    def log_message(self, *_: object) -> None:
        pass


@pytest.mark.parametrize("status", [403, 501])
def test_a_store_that_cannot_be_used_is_replaced_by_one_that_can(
    status: int, shared_home: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def put() -> None:
        Bucket(shared_home).put("a", b"")

    def use(url: str) -> None:
        monkeypatch.setenv("AWS_ENDPOINT_URL", url)
        put()

    endpoint = os.environ["AWS_ENDPOINT_URL"]
    with HTTPServer(("127.0.0.1", 0), type("_Other", (_Answering,), {"status": status})) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        url = f"http://127.0.0.1:{server.server_port}"
        if status == 501:
            remedy(" does not support a request (", lambda: use(url), lambda: use(endpoint))
        else:
            remedy(" refuses (", lambda: use(url), lambda: use(endpoint))
        server.shutdown()
        thread.join()


def test_a_store_without_conditional_writes_is_found_out(
    bucket: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    def probe_one_that_overwrites() -> None:
        with monkeypatch.context() as patch:
            patch.setattr(Bucket, "compare_and_swap", lambda self, key, content, _: (
                self.put(key, content) or True
            ))  # fmt: skip
            bucket.probe()

    remedy(" ignores conditional writes (If-None-Match), or does not ",
           probe_one_that_overwrites, bucket.probe)  # fmt: skip


def test_an_object_that_was_deleted_meanwhile_costs_one_more_call(
    bucket: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    bucket.put("a", b"content")

    def size_of_one_that_goes() -> None:
        with bucket._suyan_errors():
            raise FileNotFoundError("gone")

    remedy(
        ": an object was deleted meanwhile; run it again",
        size_of_one_that_goes, lambda: bucket.sizes(""),
    )  # fmt: skip
