"""A photograph that is refused is translated once what the sentence says is done."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from remedies import remedy

from core.pictures import MAX_FRAMES
from core.workspace import Workspace
from preprocessing.analysis.face_detector import FaceDetector
from scraping.offline.corpus import portrait
from serving import model_export
from serving.face_selection import FaceChoice
from serving.model_export import export_model
from serving.models import open_model
from serving.photo_paths import Input, find_photos
from serving.refusals import Reason
from serving.translate import OutputOptions, TranslateOptions, Translator, translate
from serving.web.session import Limits, RefusedError, Session
from serving.web.visitor_queue import Visit


@pytest.fixture(scope="module")
def translator(module_model: Path) -> Translator:
    return Translator(open_model(Workspace(module_model.parents[2]), "makeup"), "A2B")


FACES = TranslateOptions()
WHOLE = TranslateOptions(mode="whole")


def _refused(
    photo: Path, out: Path, translator: Translator, options: TranslateOptions = WHOLE, **more: Any
) -> Reason | None:
    """The reason for which the photograph is not translated; ``None`` where it is."""
    inputs = [Input(photo, Path(photo.name))]
    (outcome,) = translate(inputs, out, translator, options, OutputOptions(**more))
    return outcome.refusal.code if outcome.refusal else None


def _saved(path: Path, pixels: np.ndarray, **options: Any) -> Path:
    Image.fromarray(pixels).save(path, **options)
    return path


@pytest.fixture
def good(tmp_path: Path) -> Path:
    return _saved(tmp_path / "good.jpg", portrait("makeup", 3))


@pytest.mark.remedy(
    "cannot be read: {error}",
    "is a folder",
    "is not a file but a pipe, a socket or a device; save the photograph to a file",
    "is empty (0 bytes); copy or download it again",
    "is a HEIC photograph, which cannot be read; convert it to JPEG first",
    "cannot be read as a picture: it is damaged, or no JPEG",
    "is damaged: the file ends before half of the picture; copy or download it ",
    "is animated with more than {limit} pictures; save one of them as a ",
)
@pytest.mark.parametrize("reason", [
    Reason.NOT_OPENED, Reason.FOLDER, Reason.NO_FILE, Reason.EMPTY, Reason.HEIC,
    Reason.UNREADABLE, Reason.CUT_OFF, Reason.TOO_MANY_FRAMES,
])  # fmt: skip
def test_a_file_that_is_no_photograph_is_replaced_by_one(
    reason: Reason, tmp_path: Path, good: Path, translator: Translator
) -> None:
    path, whole = tmp_path / "photo.jpg", good.read_bytes()
    if reason is Reason.NO_FILE:
        os.mkfifo(path)
    elif reason is Reason.FOLDER:
        path.mkdir()
    elif reason is Reason.NOT_OPENED:
        path.symlink_to(path)
    elif reason is Reason.TOO_MANY_FRAMES:
        frames = [Image.new("L", (4, 4), number % 256) for number in range(MAX_FRAMES + 1)]
        path = tmp_path / "photo.gif"
        frames[0].save(path, save_all=True, append_images=frames[1:])
    else:
        heic = b"\0\0\0\x18ftypheic\0\0\0\0heicmif1" + bytes(99)
        path.write_bytes({
            Reason.EMPTY: b"", Reason.HEIC: heic, Reason.UNREADABLE: b"text " * 99,
            Reason.CUT_OFF: whole[: len(whole) // 9],
        }[reason])  # fmt: skip
    assert _refused(path, tmp_path / "out", translator) is reason
    path.rmdir() if path.is_dir() and not path.is_symlink() else path.unlink()
    path = path.with_suffix(".jpg")
    path.write_bytes(whole)
    assert _refused(path, tmp_path / "out", translator) is None


@pytest.mark.remedy(
    "the limit is {limit:g} (--max-megapixels)",
    "the limit is {limit:g}: make it smaller",
    "does not fit into memory; make it smaller",
)
def test_a_photograph_that_is_too_large_is_made_smaller_or_allowed(
    tmp_path: Path, translator: Translator, monkeypatch: pytest.MonkeyPatch
) -> None:
    large = _saved(tmp_path / "large.png", np.zeros((600, 800, 3), np.uint8))
    small = _saved(tmp_path / "small.png", np.zeros((300, 400, 3), np.uint8))
    out = tmp_path / "out"
    for path, limit, reason in (
        (large, 0.3, Reason.TOO_MANY_PIXELS), (small, 0.3, None), (large, 0.5, None),
    ):  # fmt: skip
        assert _refused(path, out, translator, max_megapixels=limit, overwrite=True) is reason

    def draw(self: Translator, picture: np.ndarray, *arguments: Any, **options: Any) -> Any:
        if picture.shape[1] > 400:
            raise MemoryError
        return translated(self, picture, *arguments, **options)

    translated = Translator._translate
    monkeypatch.setattr(Translator, "_translate", draw)
    assert _refused(large, out, translator, overwrite=True) is Reason.OUT_OF_MEMORY
    assert _refused(small, out, translator, overwrite=True) is None


@pytest.mark.remedy(
    "no face found, upright or turned ({whole} translates the whole picture)",
    "no face to translate among the {num_faces} found: {skipped}",
    "there {are_faces}; none has the number {numbers}",
)
def test_other_faces_or_the_whole_picture_are_chosen(
    tmp_path: Path, good: Path, translator: Translator
) -> None:
    out = tmp_path / "out"
    grey = _saved(tmp_path / "grey.png", np.full((100, 100, 3), 90, np.uint8))
    assert _refused(grey, out, translator, FACES) is Reason.NO_FACE
    assert _refused(grey, out, translator, WHOLE) is None
    third = TranslateOptions(faces=FaceChoice.parse("3"))
    assert _refused(good, out, translator, third) is Reason.NO_SUCH_FACE
    first = TranslateOptions(faces=FaceChoice.parse("1"))
    assert _refused(good, out, translator, first) is None
    small = np.asarray(Image.fromarray(portrait("makeup", 3)).resize((70, 80)))
    canvas = np.full((400, 400, 3), 120, np.uint8)
    canvas[100:180, 100:170] = small
    tiny = _saved(tmp_path / "tiny.png", canvas)
    (found,) = FaceDetector().detect(canvas)
    assert found
    assert _refused(tiny, out, translator, FACES) is Reason.NO_FIT_FACE
    assert _refused(tiny, out, translator, first, overwrite=True) is None


@pytest.mark.remedy(
    "{path} exists; --overwrite replaces it",
    "the result would replace an input ({path}); choose another --out",
    "cannot write: {error}; make room or choose another --out, and run the ",
)
def test_a_result_finds_another_place(tmp_path: Path, good: Path, translator: Translator) -> None:
    out = tmp_path / "out"
    assert _refused(good, out, translator) is None
    assert _refused(good, out, translator) is Reason.EXISTS
    assert _refused(good, out, translator, overwrite=True) is None
    assert _refused(good, good.parent, translator, overwrite=True) is Reason.WOULD_REPLACE_INPUT
    assert _refused(good, tmp_path / "another", translator, overwrite=True) is None
    (tmp_path / "taken" / "good.jpg").mkdir(parents=True)
    assert _refused(good, tmp_path / "taken", translator, overwrite=True) is Reason.NOT_WRITTEN
    (tmp_path / "taken" / "good.jpg").rmdir()  # room is made
    assert _refused(good, tmp_path / "taken", translator) is None


@pytest.mark.remedy(
    "the server is busy with photographs of others; try again in a minute",
    "took longer than {limit:g} s (part {part} of {num_parts} was done); try a ",
    "MB; the limit is {limit:g} MB: make ",
    "was not translated, which is an error of Suyan ({error}); save it as a JPEG or ",
)
def test_the_page_takes_it_later_smaller_or_in_another_format(
    tmp_path: Path, translator: Translator, monkeypatch: pytest.MonkeyPatch
) -> None:
    large = _saved(tmp_path / "large.png", np.random.default_rng(0).integers(
        0, 256, (600, 900, 3), np.uint8
    ))  # fmt: skip
    small = _saved(tmp_path / "small.jpg", np.zeros((64, 64, 3), np.uint8))
    tiled = TranslateOptions(mode="whole", work_px=0)

    def refusal(path: Path, session: Session, options: TranslateOptions = WHOLE) -> Reason | None:
        try:
            session.translate(path, "A2B", options)
        except RefusedError as error:
            return error.refusal.code
        return None

    hasty = Session(translator.model, Limits(timeout_s=0, max_wait_s=0.05))
    assert refusal(large, hasty, tiled) is Reason.TOO_SLOW
    assert refusal(small, hasty, tiled) is None
    with hasty._exclusive(Visit()):
        assert refusal(small, hasty) is Reason.BUSY
    assert refusal(small, hasty) is None
    strict = Session(translator.model, Limits(max_bytes=500_000))
    assert refusal(large, strict) is Reason.TOO_MANY_BYTES
    Image.open(large).save(tmp_path / "large.jpg", quality=60)
    assert refusal(tmp_path / "large.jpg", strict) is None

    def fail_on_odd_pictures(self: Translator, picture: np.ndarray, *arguments: Any) -> Any:
        if picture[0, 0, 0] != 0:
            raise IndexError("odd")
        return translated(self, picture, *arguments)

    translated = Translator._translate
    monkeypatch.setattr(Translator, "_translate", fail_on_odd_pictures)
    assert refusal(large, hasty) is Reason.FAILED
    assert refusal(small, hasty) is None


def test_photographs_and_results_are_found_where_the_message_says(
    tmp_path: Path, good: Path, translator: Translator
) -> None:
    out, empty = tmp_path / "out", tmp_path / "empty"
    empty.mkdir()

    def find(argument: Path) -> Callable[[], object]:
        return lambda: find_photos([str(argument)], out)

    remedy(" other files); needed at least ", find(empty), find(good.parent))
    remedy("got an empty name, ", lambda: find_photos([""], out), find(good))
    remedy(": no file matches this pattern", find(tmp_path / "*.webp"), find(tmp_path / "*.jpg"))
    taken = tmp_path / "a file"
    taken.write_text("")

    def into(folder: Path) -> Callable[[], object]:
        return lambda: translate([Input(good, Path("good.jpg"))], folder, translator, WHOLE)

    remedy(" is a file; needed a folder for the results", into(taken), into(tmp_path / "1"))
    remedy("); choose another folder", into(taken / "below"), into(tmp_path / "2"))


def test_an_export_is_written_as_the_message_says(
    tmp_path: Path, translator: Translator, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = translator.model

    def export(kind: model_export.Format = "torch-export", **options: Any) -> Callable[[], object]:
        return lambda: export_model(model, tmp_path / "out", kind, **options)

    export()()
    remedy(" exists; --overwrite replaces it", export(), export(overwrite=True))
    write = model_export._write_onnx

    def fail(*_: object) -> None:
        raise AssertionError("Guard failed")

    monkeypatch.setattr(model_export, "_write_onnx", fail)
    remedy(
        ": not written: this generator cannot be exported as ",
        export("onnx", overwrite=True), export("torch-export", overwrite=True),
    )  # fmt: skip
    monkeypatch.setattr(model_export, "_write_onnx", write)
