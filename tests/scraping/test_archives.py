"""An archive costs itself alone, whatever its author put into it."""

import io
import os
import stat
import struct
import subprocess
import tarfile
import time
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from crawl_runs import assert_whole
from own_pictures import add_all, jpeg, notes_of, reasons_of, rows_of, write_pictures

from scraping.failure_reasons import Reason
from scraping.sources import archive_worker

Members = dict[str, bytes]
PICTURES: Members = {"readme.txt": b"by someone", "a/0.jpg": jpeg(0), "a/1.jpg": jpeg(1, 200)}


def write_zip(path: Path, members: Members = PICTURES) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, body in members.items():
            archive.writestr(name, body)
    return path


def write_tar(path: Path, members: Members = PICTURES, mode: str = "w") -> Path:
    with tarfile.open(path, mode) as archive:  # type: ignore[call-overload]
        for name, body in members.items():
            info = tarfile.TarInfo(name)
            info.size, info.mtime = len(body), 1_700_000_000
            archive.addfile(info, io.BytesIO(body))
    return path


WRITERS: dict[str, Callable[[Path], Path]] = {
    "x.zip": write_zip,
    "x.tar": write_tar,
    "x.tar.gz": lambda path: write_tar(path, mode="w:gz"),
    "x.tgz": lambda path: write_tar(path, mode="w:gz"),
    "x.tar.bz2": lambda path: write_tar(path, mode="w:bz2"),
    "x.tar.xz": lambda path: write_tar(path, mode="w:xz"),
}


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "workspace"


@pytest.mark.parametrize("name", WRITERS)
def test_every_kind_of_archive_gives_its_pictures(tmp_path: Path, home: Path, name: str) -> None:
    summary = add_all(home, WRITERS[name](tmp_path / name))
    assert_whole(home, summary)
    assert {row.url for row in rows_of(summary)} == {f"{name}/a/0.jpg", f"{name}/a/1.jpg"}
    assert {(row.served_by, row.phrase) for row in rows_of(summary)} == {
        ("archive", f"archive: {name}")
    }
    assert "1 other files left out (1 .txt)" in notes_of(summary)


def test_an_archive_again_adds_nothing(tmp_path: Path, home: Path) -> None:
    archive = write_tar(tmp_path / "x.tar")
    add_all(home, archive)
    again = add_all(home, archive)
    assert (again.num_ok, again.num_added, again.num_hits) == (2, 0, 2)
    assert "nothing new: all 2 files were there before" in notes_of(again)


def test_archives_in_a_folder_are_read_with_it(tmp_path: Path, home: Path) -> None:
    folder = write_pictures(tmp_path / "shards", 2, first=10)
    write_tar(folder / "part 0" / "00000.tar")
    summary = add_all(home, folder)
    assert summary.num_ok == 4
    assert "shards/part 0/00000.tar/a/0.jpg" in {row.url for row in rows_of(summary)}


@pytest.mark.parametrize("write", [write_zip, write_tar])
def test_names_lead_nowhere(
    tmp_path: Path, home: Path, write: Callable[[Path, Members], Path]
) -> None:
    names = [
        "../../up.jpg",
        "/etc/abs.jpg",
        "a/../../b.jpg",
        "C:\\win\\c.jpg",
        "x\ny.jpg",
        "./d.jpg",
    ]
    members = {name: jpeg(seed) for seed, name in enumerate(names)}
    archive = write(tmp_path / "x.zip", members)
    before = set(tmp_path.rglob("*"))
    summary = add_all(home, archive)
    assert summary.num_ok == len(names)
    assert_whole(home, summary)
    assert {row.url for row in rows_of(summary)} == {
        "x.zip/up.jpg", "x.zip/etc/abs.jpg", "x.zip/a/b.jpg", "x.zip/C:/win/c.jpg",
        r"x.zip/x\ny.jpg", "x.zip/d.jpg",
    }  # fmt: skip
    assert {path for path in set(tmp_path.rglob("*")) - before if home not in path.parents} <= {
        home
    }


def test_links_and_devices_of_a_tar_are_not_followed(tmp_path: Path, home: Path) -> None:
    (tmp_path / "secret.jpg").write_bytes(jpeg(99))
    with tarfile.open(tmp_path / "x.tar", "w") as archive:
        for name, kind in (
            ("sym.jpg", tarfile.SYMTYPE),
            ("hard.jpg", tarfile.LNKTYPE),
            ("null.jpg", tarfile.CHRTYPE),
            ("pipe.jpg", tarfile.FIFOTYPE),
        ):
            info = tarfile.TarInfo(name)
            info.type, info.linkname = kind, str(tmp_path / "secret.jpg")
            archive.addfile(info)
        info = tarfile.TarInfo("good.jpg")
        info.size = len(jpeg(1))
        archive.addfile(info, io.BytesIO(jpeg(1)))
    summary = add_all(home, tmp_path / "x.tar")
    assert summary.num_ok == 1
    assert set(reasons_of(summary).values()) == {"link"}
    assert len(reasons_of(summary)) == 4


def test_a_link_of_a_zip_is_not_followed(tmp_path: Path, home: Path) -> None:
    archive = write_zip(tmp_path / "x.zip")
    with zipfile.ZipFile(archive, "a") as file:
        info = zipfile.ZipInfo("sym.jpg")
        info.external_attr = (stat.S_IFLNK | 0o777) << 16
        file.writestr(info, "/etc/passwd")
    summary = add_all(home, archive)
    assert (summary.num_ok, reasons_of(summary)) == (2, {"x.zip/sym.jpg": "link"})


def test_an_encrypted_member_is_a_row(tmp_path: Path, home: Path) -> None:
    archive = write_zip(tmp_path / "x.zip", {"a/0.jpg": jpeg(0), "a/1.jpg": jpeg(1)})
    body = bytearray(archive.read_bytes())
    for marker, place in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):  # the flags of the first member
        at = body.find(marker) + place
        body[at] |= 1
    archive.write_bytes(body)
    summary = add_all(home, archive)
    assert (summary.num_ok, reasons_of(summary)) == (1, {"x.zip/a/0.jpg": "encrypted"})


def test_an_archive_in_an_archive_is_a_row(tmp_path: Path, home: Path) -> None:
    inner = write_zip(tmp_path / "inner.zip").read_bytes()
    archive = write_tar(tmp_path / "x.tar", {"inner.zip": inner, "a.jpg": jpeg(5)})
    summary = add_all(home, archive)
    assert (summary.num_ok, reasons_of(summary)) == (1, {"x.tar/inner.zip": "nested-archive"})


@pytest.mark.parametrize("name", WRITERS)
def test_a_torn_archive_gives_what_can_be_read(tmp_path: Path, home: Path, name: str) -> None:
    good = write_pictures(tmp_path / "good", 2, first=20)
    archive = WRITERS[name](tmp_path / name)
    archive.write_bytes(archive.read_bytes()[: archive.stat().st_size * 6 // 10])
    summary = add_all(home, archive, good)
    assert summary.num_ok >= 2
    assert "broken-archive" in reasons_of(summary).values()
    assert not summary.partial


def test_a_member_with_a_wrong_checksum_costs_itself(tmp_path: Path, home: Path) -> None:
    archive = tmp_path / "x.zip"
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_STORED) as file:
        for seed in range(3):
            file.writestr(f"{seed}.jpg", jpeg(seed))
    body = archive.read_bytes()
    archive.write_bytes(body.replace(jpeg(1)[-300:-200], bytes(100)))
    summary = add_all(home, archive)
    assert (summary.num_ok, reasons_of(summary)) == (2, {"x.zip/1.jpg": "broken-archive"})


def test_a_member_that_says_it_is_small_is_read_up_to_the_limit(tmp_path: Path, home: Path) -> None:
    """The sizes in a zip are its author's words."""
    archive = write_zip(tmp_path / "x.zip", {"bomb.jpg": jpeg(0) + bytes(40_000_000)})
    body = archive.read_bytes()
    real = struct.pack("<I", len(jpeg(0)) + 40_000_000)
    archive.write_bytes(body.replace(real, struct.pack("<I", 1000)))
    summary = add_all(home, archive)
    assert summary.num_ok == 0
    assert set(reasons_of(summary).values()) <= {"too-large", "broken-archive"}


@pytest.mark.parametrize("write", [write_zip, lambda p, m: write_tar(p, m, "w:gz")])
def test_a_bomb_ends_at_its_budget(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    write: Callable[[Path, Members], Path],
) -> None:
    monkeypatch.setattr(archive_worker, "_MIN_BUDGET_BYTES", 1_000_000)
    monkeypatch.setattr(archive_worker, "_MAX_RATIO", 1)
    members = {"first.jpg": jpeg(0)} | {f"{k}.jpg": jpeg(k) + bytes(400_000) for k in range(1, 9)}
    archive = write(tmp_path / "x.zip", members)
    out = io.BytesIO()
    archive_worker._Archive(archive, 30_000_000, out).run()
    frames = out.getvalue()
    assert frames.count(jpeg(0)) == 1
    assert Reason.ARCHIVE_BOMB.encode() in frames
    assert len(frames) < 2_000_000


def test_a_member_that_is_no_picture_is_not_unpacked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(archive_worker, "_MIN_BUDGET_BYTES", 1_000)
    archive = write_zip(tmp_path / "x.zip", {"film.bin": bytes(50_000_000)})
    out = io.BytesIO()
    archive_worker._Archive(archive, 30_000_000, out).run()
    assert b'"others": {".bin": 1}' in out.getvalue()


def test_chinese_names_of_old_windows_programs_are_read(tmp_path: Path, home: Path) -> None:
    archive = tmp_path / "x.zip"
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("12345678.jpg", jpeg(0))
    archive.write_bytes(archive.read_bytes().replace(b"12345678", "素颜照片".encode("gb18030")))
    summary = add_all(home, archive)
    assert [row.url for row in rows_of(summary)] == ["x.zip/素颜照片.jpg"]


def test_what_is_no_archive_is_a_row_and_an_error_alone(tmp_path: Path, home: Path) -> None:
    (tmp_path / "x.zip").write_bytes(b"no archive")
    summary = add_all(home, tmp_path / "x.zip")
    assert reasons_of(summary) == {"x.zip": "broken-archive"}


def test_the_process_that_reads_ends_with_its_parent(tmp_path: Path) -> None:
    archive = write_tar(tmp_path / "x.tar", {f"{k}.jpg": jpeg(k, 400) for k in range(40)})
    code = "from scraping.sources.archive_worker import main; main()"
    process = subprocess.Popen(
        [os.sys.executable, "-c", code, str(archive), "30000000"],  # type: ignore[attr-defined]
        stdout=subprocess.PIPE,
    )
    assert process.stdout is not None
    process.stdout.read(4)
    process.stdout.close()
    deadline = time.monotonic() + 60
    while process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.01)
    assert process.returncode == 0
