"""A person's folder becomes originals, with the care that a crawl takes."""

import hashlib
import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest
from crawl_runs import assert_whole
from own_pictures import (
    ADD_COMMAND,
    add_all,
    jpeg,
    notes_of,
    reasons_of,
    rows_of,
    write_pictures,
)

from core.workspace import Workspace
from scraping.config import CrawlConfig
from scraping.crawl import add, crawl, crawl_name
from scraping.forget import forget
from scraping.sources.source_import import Sources
from storage.remote import bucket_of, open_workspace


@pytest.fixture
def faces(tmp_path: Path) -> Path:
    return write_pictures(tmp_path / "faces", 6)


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "workspace"


def _touch(path: Path, seconds: float) -> None:
    now = path.stat().st_mtime + seconds
    os.utime(path, (now, now))


def test_every_picture_becomes_an_original_that_names_its_source(faces: Path, home: Path) -> None:
    summary = add_all(home, faces)
    assert (summary.num_ok, summary.num_added, summary.num_rejected) == (6, 6, 0)
    assert_whole(home, summary)
    row = next(row for row in rows_of(summary) if row.url == "faces/part 0/0002.jpg")
    assert row.sha256 == hashlib.sha256(jpeg(2)).hexdigest()
    assert (row.phrase, row.served_by, row.page_url) == ("folder: faces", "folder", "")
    assert row.title.startswith("changed 20")
    assert (home / row.path).read_bytes() == jpeg(2)


def test_the_folder_stays_as_it_was_and_an_original_is_no_link_to_it(
    faces: Path, home: Path
) -> None:
    summary = add_all(home, faces)
    file = faces / "part 0" / "0000.jpg"
    file.write_bytes(b"edited in place")
    assert_whole(home, summary)
    assert file.stat().st_nlink == 1


def test_no_listing_or_summary_names_a_path_of_this_machine(faces: Path, home: Path) -> None:
    summary = add_all(home, faces)
    outputs = [path for path in summary.listing.parent.iterdir() if path.is_file()]
    assert len(outputs) >= 3
    assert not [path for path in outputs if str(faces.parent).encode() in path.read_bytes()]


def test_the_same_folder_again_adds_nothing_and_says_so(faces: Path, home: Path) -> None:
    add_all(home, faces)
    again = add_all(home, faces)
    assert (again.num_ok, again.num_added, again.num_hits) == (6, 0, 6)
    assert "nothing new: all 6 files were there before" in notes_of(again)


def test_copies_in_another_folder_are_duplicates(faces: Path, home: Path, tmp_path: Path) -> None:
    add_all(home, faces)
    shutil.copytree(faces, tmp_path / "copy" / "faces")
    both = add_all(home, tmp_path / "copy" / "faces")
    assert (both.num_ok, both.num_added) == (6, 0)
    first, second = both.phrases
    assert first["phrase"] == "folder: faces"
    assert second["phrase"].startswith("folder: faces (")
    assert (first["stored"], second["stored"], second["duplicates"]) == (6, 0, 6)


def test_files_that_another_crawl_has_are_new_to_this_one(faces: Path, home: Path) -> None:
    add_all(home, faces)
    second = add_all(home, faces, domain="makeup")
    assert (second.num_ok, second.num_added) == (6, 6)
    assert "nothing new" not in notes_of(second)


def test_a_touched_file_is_no_other_one(faces: Path, home: Path) -> None:
    add_all(home, faces)
    _touch(faces / "part 0" / "0000.jpg", 60)
    again = add_all(home, faces)
    assert (again.num_hits, again.num_added) == (6, 0)
    assert "changed" not in notes_of(again)
    assert "no longer there" not in notes_of(again)


def test_a_changed_file_adds_a_picture_and_the_former_one_stays(faces: Path, home: Path) -> None:
    add_all(home, faces)
    (faces / "part 0" / "0000.jpg").write_bytes(jpeg(100))
    _touch(faces / "part 0" / "0000.jpg", 60)
    for _ in range(2):  # the second time nothing is new
        again = add_all(home, faces)
        assert again.num_ok == 7
        assert "no longer there" not in notes_of(again)
    (faces / "part 0" / "0000.jpg").write_bytes(jpeg(101))
    third = add_all(home, faces)
    assert third.num_ok == 8
    assert "1 changed: both the former and the new picture stay" in notes_of(third)


def test_a_file_that_is_gone_is_counted_and_its_picture_stays(faces: Path, home: Path) -> None:
    add_all(home, faces)
    (faces / "part 1" / "0001.jpg").unlink()
    again = add_all(home, faces)
    assert again.num_ok == 6
    assert "1 no longer there" in notes_of(again)
    assert not again.partial


def test_what_is_no_picture_has_a_row_if_its_name_says_picture(faces: Path, home: Path) -> None:
    (faces / "broken.jpg").write_bytes(b"no picture at all")
    (faces / "empty.png").touch()
    (faces / "notes.txt").write_text("not mine to add")
    (faces / ".DS_Store").write_bytes(b"a program's own")
    (faces / "picture without suffix").write_bytes(jpeg(50))
    summary = add_all(home, faces)
    assert summary.num_ok == 7
    assert reasons_of(summary) == {
        "faces/broken.jpg": "not-an-image",
        "faces/empty.png": "empty",
    }
    assert "1 other files left out (1 .txt)" in notes_of(summary)


def test_a_workspace_in_the_folder_is_not_added_to_itself(faces: Path) -> None:
    summary = add_all(faces / "workspace", faces)
    num = summary.num_ok
    again = add_all(faces / "workspace", faces)
    assert (again.num_ok, again.num_added) == (num, 0)
    assert "1 workspace of Suyan" in notes_of(again)
    assert not [row for row in rows_of(again) if "workspace/" in row.url]


def test_a_pipe_a_device_and_links_to_folders_are_left_alone(faces: Path, home: Path) -> None:
    os.mkfifo(faces / "pipe.jpg")
    (faces / "zero.jpg").symlink_to("/dev/zero")
    (faces / "loop").symlink_to(faces)
    (faces / "nowhere.jpg").symlink_to("nowhere")
    (faces / "link.jpg").symlink_to(faces / "part 0" / "0000.jpg")
    summary = add_all(home, faces)
    assert summary.num_ok == 6
    assert reasons_of(summary) == {"faces/nowhere.jpg": "unreadable"}
    assert summary.partial


def test_a_file_that_was_unreadable_is_read_by_the_next_call(faces: Path, home: Path) -> None:
    (faces / "late.jpg").symlink_to("late")
    assert add_all(home, faces).num_waiting == 1
    (faces / "late").write_bytes(jpeg(60))
    again = add_all(home, faces)
    assert (again.num_ok, again.partial, reasons_of(again)) == (7, False, {})


def test_nobody_waits_for_an_unreadable_file_that_is_gone(faces: Path, home: Path) -> None:
    (faces / "late.jpg").symlink_to("late")
    add_all(home, faces)
    (faces / "late.jpg").unlink()
    again = add_all(home, faces)
    assert (again.partial, reasons_of(again)) == (False, {"faces/late.jpg": "gone"})


def test_a_file_beyond_the_limit_is_a_row_until_the_limit_is_raised(
    faces: Path, home: Path
) -> None:
    (faces / "large.jpg").write_bytes(jpeg(1) + bytes(2_000_000))
    config = CrawlConfig(domain="bare", folders=(str(faces),), max_megabytes=1)
    small = crawl(config, Workspace(home))
    assert reasons_of(small) == {"faces/large.jpg": "too-large"}
    large = config.model_copy(update={"max_megabytes": 30.0})
    assert crawl(large, Workspace(home)).num_ok == 7


def test_a_forgotten_picture_does_not_come_back_from_any_file(
    faces: Path, home: Path, tmp_path: Path
) -> None:
    add_all(home, faces)
    digest = hashlib.sha256(jpeg(3)).hexdigest()
    forget(digest, Workspace(home))
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "same.jpg").write_bytes(jpeg(3))
    summary = add_all(home, faces, tmp_path / "other")
    assert summary.num_ok == 5
    assert reasons_of(summary) == {
        "faces/part 1/0003.jpg": "forgotten",
        "other/same.jpg": "forgotten",
    }
    assert not list(home.glob(f"originals/*/{digest}.*"))


def test_odd_names_are_one_line_of_text(home: Path, tmp_path: Path) -> None:
    folder = tmp_path / "odd"
    folder.mkdir()
    names = [
        b"line\nbreak.jpg",
        b"not utf \xff.jpg",
        "素颜 照片.jpg".encode(),
        b"a" * 251 + b".jpg",
    ]
    for seed, name in enumerate(names):
        Path(os.fsdecode(bytes(folder) + b"/" + name)).write_bytes(jpeg(seed))
    summary = add_all(home, folder)
    addresses = {row.url for row in rows_of(summary)}
    assert summary.num_ok == 4
    assert {r"odd/line\nbreak.jpg", "odd/素颜 照片.jpg"} < addresses
    assert add_all(home, folder).num_added == 0


def test_a_folder_may_have_any_name(home: Path, tmp_path: Path) -> None:
    folder = Path(os.fsdecode(bytes(tmp_path) + b"/my \xff\nfaces"))
    write_pictures(folder, 2)
    (folder / "a.zip").write_bytes(b"no archive")
    summary = add_all(home, folder)
    assert summary.num_ok == 2
    assert {row.phrase for row in rows_of(summary)} == {r"folder: my \udcff\nfaces"}
    assert reasons_of(summary) == {r"my \udcff\nfaces/a.zip": "broken-archive"}
    assert add_all(home, folder).num_added == 0


def test_the_catalogue_may_be_on_either_database(
    faces: Path, home: Path, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SUYAN_CATALOGUE_URL", database)
    (faces / "late.jpg").symlink_to("late")
    assert (add_all(home, faces).num_ok, add_all(home, faces).partial) == (6, True)
    (faces / "late.jpg").unlink()
    (faces / "part 0" / "0000.jpg").write_bytes(jpeg(100))
    _touch(faces / "part 1" / "0001.jpg", 60)
    (faces / "part 1" / "0003.jpg").unlink()
    summary = add_all(home, faces)
    assert (summary.num_ok, summary.num_hits, summary.partial) == (7, 8, False)
    assert "1 changed" in notes_of(summary)
    assert "1 no longer there" in notes_of(summary)
    assert reasons_of(summary) == {"faces/late.jpg": "gone"}


def test_added_pictures_are_in_the_bucket_of_the_workspace(
    shared_home: str, faces: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SUYAN_CATALOGUE_URL", f"sqlite:///{tmp_path}/catalogue.sqlite")
    workspace = open_workspace(shared_home)
    summary = add(CrawlConfig(domain="bare"), Sources((str(faces),)), workspace)
    bucket = bucket_of(workspace)
    assert bucket is not None
    assert [bucket.has(row.path) for row in rows_of(summary)] == [True] * 6


@pytest.mark.parametrize("content", ["nothing", "other files"])
def test_a_folder_without_pictures_says_what_it_holds(
    tmp_path: Path, home: Path, content: str
) -> None:
    (tmp_path / "faces").mkdir()
    if content != "nothing":
        (tmp_path / "faces" / "a.heic").write_bytes(b"\0\0\0\x18ftypheic")
    found = "no file" if content == "nothing" else r"1 other files \(1 .heic\)"
    with pytest.raises(ValueError, match=rf"found {found}.* and no picture; needed .*JPEG"):
        add_all(home, tmp_path / "faces")


@pytest.mark.slow
def test_a_kill_in_the_middle_loses_nothing(tmp_path: Path, home: Path) -> None:
    folder = write_pictures(tmp_path / "faces", 3000)
    process = subprocess.Popen([*ADD_COMMAND, str(folder), str(home)])
    while len(list(home.glob("originals/*/*.jpg"))) < 800:
        assert process.poll() is None
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    process.wait()
    summary = add_all(home, folder)
    assert (summary.num_ok, summary.num_hits, summary.num_rejected) == (3000, 3000, 0)
    assert_whole(home, summary)
    assert add_all(home, folder).num_added == 0


def test_a_recipe_of_folders_alone_asks_no_network(
    faces: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("the network is asked")

    monkeypatch.setattr("scraping.scheduler.CrawlScheduler.run", refuse)
    config = CrawlConfig(domain="bare", folders=(str(faces),))
    assert crawl(config, Workspace(home)).num_ok == 6
    assert not crawl(config, Workspace(home)).partial


def test_a_refresh_adds_what_is_new_in_a_watched_folder(faces: Path, home: Path) -> None:
    config = CrawlConfig(domain="bare", folders=(str(faces),), num_images=1)
    assert crawl(config, Workspace(home)).num_ok == 6  # num_images limits searches, not folders
    write_pictures(faces, 2, first=6)
    (faces / "part 0" / "0000.jpg").unlink()
    assert crawl(config, Workspace(home)).num_ok == 6  # a finished crawl returns at once
    refreshed = config.model_copy(update={"refresh_after_h": 0.0, "num_new_images": 0})
    summary = crawl(refreshed, Workspace(home))
    assert (summary.num_ok, summary.num_added) == (8, 2)
    assert "1 no longer there" in notes_of(summary)


def test_a_watched_folder_that_is_not_mounted_costs_no_refresh(faces: Path, home: Path) -> None:
    config = CrawlConfig(domain="bare", folders=(str(faces),), refresh_after_h=0.0)
    crawl(config, Workspace(home))
    faces.rename(faces.with_name("away"))
    summary = crawl(config, Workspace(home))
    assert (summary.num_ok, summary.partial, summary.num_missing) == (6, True, 1)
    assert "missing: found no" in notes_of(summary)
    faces.with_name("away").rename(faces)
    whole = crawl(config, Workspace(home))
    assert (whole.num_ok, whole.partial) == (6, False)


def test_a_folder_that_never_was_is_an_error(home: Path, tmp_path: Path) -> None:
    config = CrawlConfig(domain="bare", folders=(str(tmp_path / "fases"),))
    with pytest.raises(ValueError, match=r"found no .*fases .*needed a folder"):
        crawl(config, Workspace(home))


def test_a_crawl_without_any_source_is_an_error_unless_something_was_added(
    faces: Path, home: Path
) -> None:
    config = CrawlConfig(domain="bare")
    with pytest.raises(ValueError, match=r"found no phrases, folders or lists.*suyan add"):
        crawl(config, Workspace(home))
    add_all(home, faces)
    assert crawl(config, Workspace(home)).num_ok == 6


def test_names_of_former_crawls_stay() -> None:
    config = CrawlConfig(domain="bare", phrases=("素颜",))
    assert crawl_name(config) == "bare-3969b481edad"
    assert crawl_name(config.model_copy(update={"folders": ("faces",)})) != crawl_name(config)


def test_a_crawl_of_phrases_goes_on_after_pictures_were_added(faces: Path, home: Path) -> None:
    """To add is not to search: the crawl's round is not over."""
    config = CrawlConfig(domain="bare", phrases=("素颜",), engine_url="http://127.0.0.1:9")
    assert add(config, Sources((str(faces),)), Workspace(home)).num_ok == 6
    with pytest.raises(Exception, match="answered none of 1 searches"):
        crawl(config.model_copy(update={"num_tries": 1}), Workspace(home))
