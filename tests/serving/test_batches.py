"""Batches: archives and photographs in, a row for each, and what hostile ones lead to."""

import io
import json
import stat
import tarfile
import threading
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from core.workspace import Workspace
from scraping.offline.corpus import jpeg, portrait
from serving.face_selection import FaceChoice
from serving.models import Model, open_model
from serving.refusals import Interface, Kind, Reason
from serving.translate import TranslateOptions
from serving.web.batch_files import Upload, result_name, unpack, upload_name, zip_stream
from serving.web.photo_batches import Batch, BatchOptions, BatchState, BatchStore, RowState
from serving.web.session import Limits, RefusedError, Session
from serving.web.visitor_queue import Visit, VisitorQueue

PHOTO = jpeg(portrait("makeup", 3))
GREY = jpeg(np.full((60, 80, 3), 120, np.uint8))
WHOLE = TranslateOptions(mode="whole")


@pytest.fixture(scope="module")
def model(module_model: Path) -> Model:
    return open_model(Workspace(module_model.parents[2]), "makeup")


@pytest.fixture
def store(tmp_path: Path) -> Iterator[BatchStore]:
    store = BatchStore(tmp_path, Limits())
    with store.at_work():
        yield store
    assert list(tmp_path.iterdir()) == []  # nothing stays


def _zip(*members: tuple[str, bytes], **options: int) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members:
            info = zipfile.ZipInfo(name)
            info.compress_type = zipfile.ZIP_DEFLATED
            info.external_attr = options.get("mode", 0o644) << 16
            archive.writestr(info, content)
    return buffer.getvalue()


def _encrypted() -> bytes:
    content = bytearray(_zip(("a.jpg", GREY)))
    content[6] |= 1  # of the member's own header
    content[content.rindex(b"PK\x01\x02") + 8] |= 1  # and of the directory's
    return bytes(content)


def _bomb(num: int = 20) -> bytes:
    """Pictures that each unpack to 60 MB of zeros."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for number in range(num):
            archive.writestr(f"{number}.jpg", b"\xff\xd8\xff" + bytes(60_000_000))
    return buffer.getvalue()


def _unpacked(
    tmp_path: Path, name: str, content: bytes, limits: Limits | None = None
) -> list[tuple[str, Reason | None]]:
    path = tmp_path / "upload"
    path.write_bytes(content)
    photos = list(unpack([Upload(name, path)], tmp_path, limits or Limits()))
    assert all(photo.path is None or photo.path.parent == tmp_path for photo in photos)
    return [(photo.name, photo.refusal.code if photo.refusal else None) for photo in photos]


@pytest.mark.remedy(
    "is encrypted; put it into an archive without a password",
    "is an archive inside an archive; send it by itself",
    "is damaged, or no zip or tar archive; make the archive again",
    "is a link and no file; put the photograph itself into the archive",
    "is an archive without photographs",
)
def test_a_member_that_cannot_be_taken_out_costs_its_own_row(tmp_path: Path) -> None:
    inner = _zip(("x.jpg", GREY))
    cases: dict[str, tuple[bytes, list[tuple[str, Reason | None]]]] = {
        "encrypted": (_encrypted(), [("t.zip/a.jpg", Reason.ENCRYPTED)]),
        "nested": (
            _zip(("b.jpg", GREY), ("in.zip", inner)),
            [("t.zip/b.jpg", None), ("t.zip/in.zip", Reason.NESTED_ARCHIVE)],
        ),
        "damaged": (b"PK\x03\x04 no zip", [("t.zip", Reason.BROKEN_ARCHIVE)]),
        "text": (b"text", [("t.zip", Reason.BROKEN_ARCHIVE)]),
        "link": (
            _zip(("a.jpg", b"/etc/passwd"), mode=stat.S_IFLNK | 0o777),
            [("t.zip/a.jpg", Reason.LINK)],
        ),
        "no photographs": (_zip(("note.txt", b"x")), [("t.zip", Reason.NO_PHOTOS)]),
        # What each sentence advises:
        "as advised": (
            _zip(("a.jpg", GREY), ("trip/b.jpg", GREY)),
            [("t.zip/a.jpg", None), ("t.zip/trip/b.jpg", None)],
        ),
    }
    for name, (content, expected) in cases.items():
        assert _unpacked(tmp_path, "t.zip", content) == expected, name


def test_names_in_an_archive_name_nothing_on_this_machine(tmp_path: Path) -> None:
    names = ["../../x.jpg", "/etc/y.jpg", "..\\..\\z.jpg", "C:\\w.jpg", "a/./../v.jpg", "\n.jpg"]
    rows = _unpacked(tmp_path, "../t.zip", _zip(*[(name, GREY) for name in names]))
    assert all(reason is None for _, reason in rows)
    for name, _ in rows:
        assert ".." not in Path(name).parts[1:]
        assert name.isprintable()
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        f"photo-{number}" for number in range(1, 7)
    ]
    for name in ("../../a.jpg", "/a.jpg", "..\\a.jpg", "C:\\a.jpg"):
        assert upload_name(name) == "a.jpg"
    assert upload_name(None) == upload_name("") == upload_name("..") == "photo"
    assert len(upload_name("x" * 5000)) <= 200


@pytest.mark.remedy(
    "unpacks to far more than photographs do; send fewer in an archive",
    "is left out with all that follow: a batch has {limit} photographs at most; send the others in "
    "another batch",
    "is left out: the photographs, or results, of this batch are larger than {limit:g} MB; send "
    "the others in another batch",
)
@pytest.mark.slow
def test_an_archive_cannot_fill_memory_or_disk(tmp_path: Path) -> None:
    roomy = Limits(max_bytes=100_000_000, max_batch_bytes=10**12)
    assert _unpacked(tmp_path, "t.zip", _bomb(), roomy)[-1] == ("t.zip", Reason.ARCHIVE_BOMB)
    rows = _unpacked(tmp_path, "t.zip", _bomb(2))  # declared, and above the limit of a file
    assert rows == [("t.zip/0.jpg", Reason.TOO_MANY_BYTES), ("t.zip/1.jpg", Reason.TOO_MANY_BYTES)]
    many = _zip(*[(f"{number:03}.jpg", GREY) for number in range(5)])
    rows = _unpacked(tmp_path, "t.zip", many, Limits(max_photos=3))
    assert [reason for _, reason in rows] == [None, None, None, Reason.TOO_MANY_PHOTOS]
    rows = _unpacked(tmp_path, "t.zip", many, Limits(max_batch_bytes=2 * len(GREY)))
    assert [reason for _, reason in rows] == [None, None, Reason.BATCH_FULL]
    few = _zip(*[(f"{number:03}.jpg", GREY) for number in range(2)])
    strict = Limits(max_photos=3, max_batch_bytes=2 * len(GREY))
    assert [reason for _, reason in _unpacked(tmp_path, "t.zip", few, strict)] == [None, None]


def test_a_tar_archive_is_one_too(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        info = tarfile.TarInfo("照片/a.jpg")
        info.size = len(GREY)
        archive.addfile(info, io.BytesIO(GREY))
    assert _unpacked(tmp_path, "t.tar.gz", buffer.getvalue()) == [("t.tar.gz/照片/a.jpg", None)]


def _run(
    store: BatchStore,
    session: Session,
    photos: dict[str, bytes],
    options: TranslateOptions = WHOLE,
    choices: dict[str, FaceChoice] | None = None,
) -> Batch:
    with store.reservation() as folder:
        uploads = []
        for number, (name, content) in enumerate(photos.items(), start=1):
            uploads.append(Upload(name, folder / f"upload-{number}"))
            uploads[-1].path.write_bytes(content)
        batch_options = BatchOptions(session, "A2B", options, choices=choices or {})
        return store.start(folder, uploads, batch_options)


def test_each_photograph_gets_a_row_and_good_ones_a_result(model: Model, store: BatchStore) -> None:
    archive = _zip(("a.jpg", GREY), ("A.JPG", GREY), ("bad.jpg", b"\xff\xd8\xff no"))
    batch = _run(store, Session(model), {"a.jpg": GREY, "empty.jpg": b"", "t.zip": archive})
    batch.join()
    assert batch.state is BatchState.DONE
    assert [(row.photo.name, row.state) for row in batch.rows] == [
        ("a.jpg", RowState.DONE),
        ("empty.jpg", RowState.REFUSED),
        ("t.zip/a.jpg", RowState.DONE),
        ("t.zip/A.JPG", RowState.DONE),
        ("t.zip/bad.jpg", RowState.REFUSED),
    ]
    assert [row.refusal.code for row in batch.rows if row.refusal] == [
        Reason.EMPTY,
        Reason.UNREADABLE,
    ]
    results = {row.result_name: row.result for row in batch.rows if row.result}
    assert set(results) == {"a.jpg", "t.zip/a.jpg", "t.zip/A-2.jpg"}
    left = {path.name.partition("-")[0] for path in batch.folder.iterdir()}
    assert left == {"result", "before", "after", "upload", "photo"}  # they can be translated again
    assert {path.suffix for path in batch.folder.glob("*-*")} == {"", ".jpg"}  # no archive
    assert store.get(batch.name) is batch
    assert store.remove(batch.name)
    assert store.get(batch.name) is None
    assert not batch.folder.exists()


def test_faces_of_one_photograph_have_strengths_of_their_own(
    model: Model, store: BatchStore
) -> None:
    photos = {"a.jpg": PHOTO, "b.jpg": PHOTO}
    options = TranslateOptions(strength=1.0)
    choices = {"#2": FaceChoice.parse("1:0")}
    batch = _run(store, Session(model), photos, options, choices)
    batch.join()
    pixels = []
    for row in batch.rows:
        assert row.result is not None
        with Image.open(row.result) as image:
            pixels.append(np.asarray(image, int))
    with Image.open(io.BytesIO(PHOTO)) as image:
        before = np.asarray(image, int)
    assert np.abs(pixels[0] - before).max() > 20
    assert np.abs(pixels[1] - before).max() < 20  # JPEG's own error


def _change(path: Path | None) -> float:
    """How much a result differs from ``PHOTO`` at most, grey levels."""
    assert path is not None
    with Image.open(path) as after, Image.open(io.BytesIO(PHOTO)) as before:
        return float(np.abs(np.asarray(after, int) - np.asarray(before, int)).max())


def test_a_photograph_of_an_archive_is_translated_again_with_other_faces(
    model: Model, store: BatchStore
) -> None:
    photos = {"t.zip": _zip(("a.jpg", PHOTO), ("b.jpg", PHOTO)), "c.jpg": b"none"}
    batch = _run(store, Session(model), photos, TranslateOptions(strength=1.0))
    batch.join()
    assert [_change(row.result) > 20 for row in batch.rows[:2]] == [True, True]
    assert batch.photo(3) is not None
    assert [batch.photo(number) for number in (0, 4)] == [None, None]
    names = [row.result_name for row in batch.rows]
    path = batch.photo(2)
    assert path is not None
    (face,) = batch.find_faces(2, path).faces
    assert 0 < face.box[0] < face.box[2] < 408
    options = TranslateOptions(mode="faces", faces=FaceChoice.parse("1:0"))
    assert store.translate_again(batch.name, 2, options) is batch
    batch.join()
    assert batch.state is BatchState.DONE
    assert [_change(row.result) > 20 for row in batch.rows[:2]] == [True, False]
    assert [row.num_translations for row in batch.rows] == [1, 2, 0]
    assert [row.result_name for row in batch.rows] == names
    nobody = TranslateOptions(mode="faces", faces=FaceChoice.parse("7"))
    store.translate_again(batch.name, 2, nobody)
    batch.join()
    assert batch.rows[1].state is RowState.REFUSED
    assert batch.rows[1].result is None
    assert store.translate_again("none", 1, options) is None


def test_a_second_translation_that_is_cancelled_leaves_the_first(
    model: Model, store: BatchStore
) -> None:
    session = Session(model)
    batch = _run(store, session, {"a.jpg": PHOTO})
    batch.join()
    former = batch.rows[0].result
    with session.queue.turn(Visit(), None):
        store.translate_again(batch.name, 1, TranslateOptions(strength=0.0))
        while batch.state is not BatchState.WAITING:
            pass
        with pytest.raises(RefusedError, match="busy"):
            store.translate_again(batch.name, 1, TranslateOptions())
        batch.visit.cancelled.set()
        batch.join()
    assert batch.state is BatchState.CANCELLED
    assert (batch.rows[0].state, batch.rows[0].result) == (RowState.DONE, former)
    assert _change(former) > 20


@pytest.mark.remedy("was cancelled before it was translated")
def test_a_cancelled_batch_leaves_the_queue_and_keeps_what_is_done(
    model: Model, store: BatchStore
) -> None:
    session = Session(model)
    ahead = Visit()
    with session.queue.turn(ahead, None):
        batch = _run(store, session, {f"{number}.jpg": GREY for number in range(3)})
        while batch.state is not BatchState.WAITING:
            pass
        assert batch.place == 1
        batch.visit.cancelled.set()
        batch.join()  # while the other still has its turn
    assert batch.state is BatchState.CANCELLED
    codes = [row.refusal.code for row in batch.rows if row.refusal]
    assert codes == [Reason.CANCELLED] * 3
    refusal = batch.rows[0].refusal
    assert refusal is not None
    assert refusal.kind is Kind.CANCELLED
    assert "cancelled" in refusal.sentence(Interface.HTTP)
    again = _run(store, session, {"0.jpg": GREY})
    again.join()
    assert again.rows[0].state is RowState.DONE


def test_a_batch_that_nobody_asks_after_leaves_the_queue(model: Model, tmp_path: Path) -> None:
    session = Session(model)
    for limits in (Limits(abandon_s=0), Limits(retention_s=0)):
        store = BatchStore(tmp_path, limits)
        with session.queue.turn(Visit(), None):
            batch = _run(store, session, {"0.jpg": GREY})
            while not batch.rows:
                pass
            store.remove_old()  # while it waits
            assert (store.get(batch.name) is None) == (limits.abandon_s == 0)
        batch.join()
        store.remove_old()
        assert store.get(batch.name) is None
        assert list(tmp_path.iterdir()) == []


def test_there_are_only_so_many_batches(model: Model, tmp_path: Path) -> None:
    store, session = BatchStore(tmp_path, Limits(max_batches=1)), Session(model)
    batch = _run(store, session, {"0.jpg": GREY})
    with pytest.raises(RefusedError, match="busy"):
        _run(store, session, {"0.jpg": GREY})
    store.remove(batch.name)
    _run(store, session, {"0.jpg": GREY}).join()
    with store.at_work():
        pass
    assert list(tmp_path.iterdir()) == []


def test_results_beyond_the_limit_are_left_out(model: Model, tmp_path: Path) -> None:
    store = BatchStore(tmp_path, Limits(max_batch_bytes=10))
    batch = _run(store, Session(model), {"0.jpg": GREY})
    batch.join()
    assert batch.rows[0].refusal is not None
    assert batch.rows[0].refusal.code is Reason.BATCH_FULL
    store.remove(batch.name)


def test_a_single_photograph_waits_for_one_of_a_batch_at_most() -> None:
    queue, order = VisitorQueue(), []
    batch, single = Visit(is_impatient=False), Visit()
    started = threading.Event()

    def translate(visit: Visit, name: str, num: int) -> Callable[[], None]:
        def run() -> None:
            for _ in range(num):
                with queue.turn(visit, None) as has_turn:
                    assert has_turn
                    order.append(name)
                    started.set()
                    while name == "batch" and len(order) == 1 and single.place != 1:
                        pass  # until the single one waits

        return run

    threads = [threading.Thread(target=translate(batch, "batch", 5))]
    threads[0].start()
    started.wait()
    threads.append(threading.Thread(target=translate(single, "single", 1)))
    threads[1].start()
    for thread in threads:
        thread.join()
    assert order == ["batch", "single", "batch", "batch", "batch", "batch"]
    assert single.place is None


def test_the_zip_has_the_rows_for_spreadsheets_and_programs(tmp_path: Path) -> None:
    (tmp_path / "r").write_bytes(GREY)
    rows = [
        {"number": 1, "name": "=cmd()", "state": "done", "notes": ["a", "b"], "message": "说明"}
    ]
    content = b"".join(zip_stream([("照片/a.jpg", tmp_path / "r")], rows))
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        assert archive.testzip() is None
        assert archive.namelist() == ["照片/a.jpg", "rows.csv", "rows.json"]
        assert archive.read("照片/a.jpg") == GREY
        lines = archive.read("rows.csv").decode("utf-8-sig").splitlines()
        assert lines[1] == '1,\'=cmd(),done,,,说明,"a, b"'  # no formula for a spreadsheet
        assert json.loads(archive.read("rows.json")) == rows


def test_results_of_one_name_get_numbers() -> None:
    used: set[str] = set()
    names = [result_name(name, ".png", used) for name in ("x/a.bmp", "x/A.tif", "a.png")]
    assert names == ["x/a.png", "x/A-2.png", "a.png"]
