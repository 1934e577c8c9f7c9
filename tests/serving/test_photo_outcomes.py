"""A batch of photographs: each one is an outcome.

The kind: something about one photograph (its metadata, its size, its name, a part that phones
append, a full disk) raises in the middle of a batch, and the others are not done; or a part of it
is lost without a word. The boundary is held in three places. ``photo_io.read_photo`` returns a
``Photo`` with notes or a ``Refusal`` for any file. ``Translator.translate`` returns a ``Refusal``
for whatever a picture raises. ``translate`` makes a ``Refusal`` of everything else that one
photograph raises; only errors of ours (a missing model) end a batch. What a refusal or a note says
is data, ``serving.refusals``, of which the command, the page and the HTTP interface make sentences.
"""

import io
import os
import resource
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from model_maker import ModelMaker
from odd_photos import ODD_PHOTOS, encode, photo, with_transparency
from PIL import ExifTags, Image
from typer.testing import CliRunner

from cli.main import app
from core.workspace import Workspace
from preprocessing.analysis.face_detector import Face, FaceDetector
from scraping.offline.corpus import jpeg, portrait
from serving import photo_io
from serving.models import open_model
from serving.photo_io import PNG, WEBP, Photo, encode_photo, read_photo
from serving.photo_paths import Input, find_photos
from serving.refusals import Interface, Kind, Note, Reason, Refusal, note_text
from serving.translate import (
    OutputOptions,
    PhotoOutcome,
    TranslateOptions,
    Translation,
    Translator,
    translate,
)
from serving.web.strings import TEXTS

BAD = Path(__file__).resolve().parents[3] / "shared" / "data" / "bad"
WHOLE = TranslateOptions(mode="whole")
EXPECTED: dict[str, Reason | set[Note]] = {
    "exif-65k.jpg": set(),
    "exif-two-segments.jpg": {Note.LONG_METADATA},
    "exif-300k.png": set(),
    "exif-300k.webp": set(),
    "exif-broken.png": {Note.METADATA},
    "exif-broken.webp": {Note.METADATA},
    "profile-9mb.png": {Note.METADATA},
    "profile-broken.jpg": set(),
    "text-3mb.png": {Note.METADATA},
    "xmp-broken.jpg": set(),
    "ultra-hdr.jpg": {Note.GAIN_MAP},
    "motion.jpg": {Note.VIDEO},
    "several.jpg": {Note.PICTURES},
    "animated.webp": {Note.ANIMATION},
    "animated.png": {Note.ANIMATION},
    "animated.avif": {Note.ANIMATION},
    "pages.tif": {Note.PAGES},
    "no-end.jpg": {Note.CUT_OFF},
    "cut-off.jpg": {Note.CUT_OFF},
    "cut-off.png": {Note.CUT_OFF},
    "cut-early.jpg": Reason.CUT_OFF,
    "cmyk.jpg": set(),
    "16-bit.png": set(),
    "1-bit.png": set(),
    "palette.png": set(),
    "1x1.png": set(),
    "3x300.png": set(),
    "12x5000.png": set(),
    "70000x3.png": set(),
    "named-jpg.jpg": set(),
    "empty.jpg": Reason.EMPTY,
    "heic.jpg": Reason.HEIC,
    "drawing.svg": Reason.UNREADABLE,
    "text.png": Reason.UNREADABLE,
}
# Those that only the command can give: the page and the HTTP interface write no files of a user.
COMMAND_ONLY = {
    Reason.FOLDER,
    Reason.NO_FILE,
    Reason.EXISTS,
    Reason.WOULD_REPLACE_INPUT,
    Reason.NOT_WRITTEN,
}


@pytest.fixture(scope="module")
def translator(module_model: Path) -> Translator:
    return Translator(open_model(Workspace(module_model.parents[2]), "makeup"), "A2B")


def _translate(
    given: list[Path],
    out: Path,
    translator: Translator,
    options: TranslateOptions = WHOLE,
    **output_options: object,
) -> list[PhotoOutcome]:
    inputs = find_photos([str(path) for path in given], out)
    return translate(inputs, out, translator, options, OutputOptions(**output_options))  # type: ignore[arg-type]


@pytest.fixture
def good(tmp_path: Path) -> Path:
    path = tmp_path / "zz-good.jpg"
    path.write_bytes(encode(photo(120), "JPEG"))
    return path


@pytest.mark.parametrize("name", EXPECTED)
def test_an_odd_photograph_is_read_or_refused_with_its_reason(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    path.write_bytes(ODD_PHOTOS[name]())
    outcome, expected = read_photo(path), EXPECTED[name]
    if isinstance(expected, Reason):
        assert isinstance(outcome, Refusal)
        assert outcome.code is expected
    else:
        assert isinstance(outcome, Photo), outcome
        assert set(outcome.notes) == expected
        encode_photo(outcome)


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["model", "whole"])
def test_a_batch_of_odd_photographs_goes_on_to_its_end(
    mode: str, translator: Translator, tmp_path: Path, good: Path
) -> None:
    folder = tmp_path / "odd"
    folder.mkdir()
    for name, build in ODD_PHOTOS.items():
        (folder / name).write_bytes(build())
    paths = [*sorted(folder.iterdir()), good]
    options = TranslateOptions(mode=mode)  # type: ignore[arg-type]
    outcomes = _translate(paths, tmp_path / "out", translator, options, compare=True)
    assert [outcome.photo for outcome in outcomes] == paths
    for outcome in outcomes:
        expected = EXPECTED.get(outcome.photo.name, set())
        if isinstance(expected, Reason):
            assert outcome.refusal is not None
            assert outcome.refusal.code is expected
        elif mode == "whole":
            assert outcome.output is not None, outcome
            assert all(note_text(note, num_frames=3, format="JPEG") in outcome.note
                       for note in expected)  # fmt: skip
        else:
            allowed = {None, Reason.NO_FACE, Reason.NO_FIT_FACE}
            assert (outcome.refusal and outcome.refusal.code) in allowed, outcome.reason
    if mode == "whole":
        assert outcomes[-1].output == tmp_path / "out" / "zz-good.jpg"


def test_long_metadata_lose_their_longest_part_alone(tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    path.write_bytes(ODD_PHOTOS["exif-two-segments.jpg"]())
    outcome = read_photo(path)
    assert isinstance(outcome, Photo)
    with Image.open(io.BytesIO(encode_photo(outcome))) as image:
        assert image.getexif()[ExifTags.Base.Artist] == "Somebody"
        assert ExifTags.Base.ImageDescription not in image.getexif()


def test_a_cut_off_photograph_is_upright(tmp_path: Path) -> None:
    path, exif = tmp_path / "a.jpg", Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    content = encode(photo(160), "JPEG", exif=exif)
    path.write_bytes(content[: int(0.95 * len(content))])
    outcome = read_photo(path)
    assert isinstance(outcome, Photo)
    assert outcome.pixels.shape == (160, photo(160).height, 3)
    assert outcome.notes == (Note.CUT_OFF,)
    path.write_bytes(content[: int(0.3 * len(content))])
    refusal = read_photo(path)
    assert isinstance(refusal, Refusal)
    assert refusal.code is Reason.CUT_OFF


@pytest.mark.parametrize("suffix", ["png", "webp"])
def test_broken_metadata_cost_neither_the_format_nor_transparency(
    suffix: str, tmp_path: Path
) -> None:
    path = tmp_path / f"a.{suffix}"
    path.write_bytes(ODD_PHOTOS[f"exif-broken.{suffix}"]())
    outcome = read_photo(path)
    assert isinstance(outcome, Photo)
    with Image.open(io.BytesIO(encode_photo(outcome))) as image:
        assert image.format == suffix.upper()
        assert image.mode == "RGBA"


def test_half_transparent_pixels_keep_their_colour(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    source = with_transparency(photo())
    source.save(path)
    outcome = read_photo(path)
    assert isinstance(outcome, Photo)
    with Image.open(io.BytesIO(encode_photo(outcome))) as image:
        before, after = np.asarray(source).astype(int), np.asarray(image).astype(int)
    assert np.array_equal(before[..., 3], after[..., 3])
    assert np.abs(before - after)[20:40].max() <= 1
    assert np.array_equal(before[40:], after[40:])


def test_a_picture_longer_than_its_format_holds_becomes_a_png(
    translator: Translator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wide = Photo(np.zeros((5, 8300, 3), np.uint8), format=WEBP)
    assert wide.format_for((5600, 16_600, 3)) is PNG
    assert encode_photo(wide.with_pixels(np.zeros((5, 16_600, 3), np.uint8))).startswith(b"\x89PNG")
    monkeypatch.setattr(photo_io, "_MAX_SIDES_PX", {"WEBP": 200, "JPEG": 100})
    pair, result = tmp_path / "pair.webp", tmp_path / "long.jpg"
    photo(120).save(pair)
    photo(120).save(result)
    first, second = _translate([pair, result], tmp_path / "out", translator, compare=True)
    assert first.output == tmp_path / "out" / "pair.webp"
    assert (tmp_path / "out" / "pair-compare.png").is_file()
    assert second.output == tmp_path / "out" / "long.png"
    assert "saved as PNG" in second.note
    again = _translate([pair, result], tmp_path / "out", translator, compare=True)
    assert [outcome.refusal and outcome.refusal.code for outcome in again] == [Reason.EXISTS] * 2


def test_a_phones_two_hundred_megapixels_are_a_matter_of_the_limit(tmp_path: Path) -> None:
    path = tmp_path / "large.png"  # more than Pillow opens by default
    Image.new("1", (16_320, 16_320)).save(path)
    refusal = read_photo(path, max_megapixels=120)
    assert isinstance(refusal, Refusal)
    assert refusal.reason == (
        "is too large: 16320 × 16320 = 266 megapixels; the limit is 120 (--max-megapixels)"
    )


NAMES = {
    "彩" * 82 + ".jpg": "彩" * 82 + ".jpg",
    "彩" * 83 + ".jpeg": "彩" * 83 + ".jpeg",
    "c" * 251 + ".bmp": "c" * 251 + ".png",
    "a\nb.jpg": "a\nb.jpg",
    "\u202egpj.exe.jpg": "\u202egpj.exe.jpg",
    "trailing dots...": "trailing dots....jpg",
    " space .JPG": " space .JPG",
    ".hidden.jpg": ".hidden.jpg",
    "\udcff\udcfe.jpg": "\udcff\udcfe.jpg",  # bytes that are no UTF-8
    "[1]*?.jpg": "[1]*?.jpg",
    "-compare.jpg": "-compare.jpg",
}


def test_every_name_of_a_file_is_a_name_of_a_result(translator: Translator, tmp_path: Path) -> None:
    folder, out = tmp_path / "in", tmp_path / "out"
    folder.mkdir()
    for name in NAMES:
        content = encode(photo(32), "BMP" if name.endswith("bmp") else "JPEG")
        (folder / name).write_bytes(content)
    outcomes = _translate([folder / name for name in NAMES], out, translator, compare=True)
    for outcome, (name, expected) in zip(outcomes, NAMES.items(), strict=True):
        assert outcome.output == out / expected, (name, outcome.reason)
    comparisons = [path.name for path in out.iterdir() if "-compare." in path.name]
    assert len(comparisons) == len(NAMES) + 1  # "-compare.jpg" is a result
    assert all(len(os.fsencode(path.name)) <= 255 for path in out.iterdir())
    assert not list(out.glob(".*.tmp"))


def test_a_photograph_is_one_line_of_output(make_model: ModelMaker, tmp_path: Path) -> None:
    workspace, folder = make_model().parents[2], tmp_path / "in"
    folder.mkdir()
    names = ["a\nb.jpg", "\x1b[31mred.jpg", "\u202egpj.jpg", "\udcff.jpg", "empty\n.jpg"]
    for name in names:
        (folder / name).write_bytes(b"" if "empty" in name else encode(photo(32), "JPEG"))
    arguments = [str(folder / name) for name in names]
    options = ["--whole", "--workspace", str(workspace), "--out", str(tmp_path / "out")]
    done = CliRunner().invoke(app, ["translate", *arguments, *options])
    assert done.exit_code == 1
    lines = done.stdout.splitlines()
    assert len(lines) == len(names)
    assert all(line.isprintable() for line in lines)
    assert r"empty\n.jpg: not done: is empty (0 bytes)" in lines[-1]


def test_what_is_no_file_is_refused_at_once(
    translator: Translator, tmp_path: Path, good: Path
) -> None:
    pipe, folder, loop = tmp_path / "pipe.jpg", tmp_path / "folder.jpg", tmp_path / "loop.jpg"
    os.mkfifo(pipe)
    folder.mkdir()
    loop.symlink_to(loop)
    paths = [pipe, folder, loop, tmp_path / ("x" * 300 + ".jpg"), Path("/dev/null"), good]
    inputs = [Input(path, Path(path.name)) for path in paths]
    outcomes = translate(inputs, tmp_path / "out", translator, WHOLE)
    codes = [outcome.refusal and outcome.refusal.code for outcome in outcomes]
    assert codes == [
        Reason.NO_FILE, Reason.FOLDER, Reason.NOT_OPENED, Reason.NOT_OPENED, Reason.NO_FILE, None,
    ]  # fmt: skip
    named = find_photos([str(path) for path in [loop, paths[3], good]], tmp_path / "out")
    assert [source.photo for source in named] == [loop, paths[3], good]


def test_a_folder_is_translated_with_all_that_a_person_sees_in_it(
    translator: Translator, tmp_path: Path, good: Path
) -> None:
    """Linked folders too; what is not translated is said: an iPhone's HEIC, a link to nowhere."""
    folder, disk = tmp_path / "holiday", tmp_path / "disk"
    for path in (folder / "a.jpg", disk / "b.jpg"):
        path.parent.mkdir()
        path.write_bytes(good.read_bytes())
    (folder / "IMG_1.HEIC").write_bytes(ODD_PHOTOS["heic.jpg"]())
    (folder / "card").symlink_to(disk)
    (folder / "gone.jpg").symlink_to(tmp_path / "unplugged" / "gone.jpg")
    outcomes = translate(
        find_photos([str(folder)], tmp_path / "out"), tmp_path / "out", translator, WHOLE
    )
    codes = {outcome.photo.name: outcome.refusal and outcome.refusal.code for outcome in outcomes}
    assert codes == {
        "a.jpg": None, "b.jpg": None, "IMG_1.HEIC": Reason.HEIC, "gone.jpg": Reason.NOT_OPENED,
    }  # fmt: skip
    assert (tmp_path / "out" / "card" / "b.jpg").exists()


def test_a_comparison_replaces_no_input_and_no_other_result(
    translator: Translator, tmp_path: Path
) -> None:
    bitmap, other = tmp_path / "a.bmp", tmp_path / "a-compare.png"
    bitmap.write_bytes(encode(photo(48), "BMP"))
    other.write_bytes(encode(photo(48), "PNG"))
    before = other.read_bytes()
    paths = [bitmap, other]
    outcomes = _translate(paths, tmp_path, translator, compare=True, overwrite=True)
    assert outcomes[0].refusal is not None
    assert outcomes[0].refusal.code is Reason.WOULD_REPLACE_INPUT
    assert other.read_bytes() == before
    both = _translate(paths, tmp_path / "both", translator, compare=True)
    results = [outcome.output.name for outcome in both if outcome.output]
    assert results == ["a.png", "a-compare-2.png"]
    names = {"a.png", "a-compare.png", "a-compare-2.png", "a-compare-2-compare.png"}
    assert {path.name for path in (tmp_path / "both").iterdir()} == names


@contextmanager
def _file_size_limit(num_bytes: int) -> Iterator[None]:
    """The kernel refuses to write more into a file, as a full disk does."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (num_bytes, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)


def test_a_result_that_does_not_fit_costs_itself_alone(
    translator: Translator, tmp_path: Path
) -> None:
    large, small = tmp_path / "large.png", tmp_path / "small.jpg"
    large.write_bytes(encode(photo(), "PNG"))
    small.write_bytes(encode(photo(16), "JPEG"))
    out = tmp_path / "out"
    with _file_size_limit(20_000):
        outcomes = _translate([large, small], out, translator)
    assert outcomes[0].refusal is not None
    assert outcomes[0].refusal.code is Reason.NOT_WRITTEN
    assert "cannot write: File too large" in outcomes[0].reason
    assert outcomes[1].output == out / "small.jpg"
    assert [path.name for path in out.iterdir()] == ["small.jpg"]


def test_a_result_where_a_folder_or_a_file_stands_costs_itself_alone(
    translator: Translator, tmp_path: Path, good: Path
) -> None:
    out = tmp_path / "out"
    (out / "zz-good.jpg").mkdir(parents=True)
    (out / "sub").write_text("a file")
    inputs = [Input(good, Path("zz-good.jpg")), Input(good, Path("sub/b.jpg")),
              Input(good, Path("c.jpg"))]  # fmt: skip
    outcomes = translate(inputs, out, translator, WHOLE, OutputOptions(overwrite=True))
    codes = [outcome.refusal and outcome.refusal.code for outcome in outcomes]
    assert codes == [Reason.NOT_WRITTEN, Reason.NOT_WRITTEN, None]
    assert "is a folder" in outcomes[0].reason


def test_whatever_the_network_raises_is_the_photographs_own_refusal(
    translator: Translator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    errors: list[Exception] = [
        RuntimeError("DefaultCPUAllocator: not enough memory"),
        MemoryError(),
        ValueError("found both eyes at one point"),
        IndexError("index 0"),
    ]
    paths = []
    for number in range(len(errors) + 1):
        paths.append(tmp_path / f"{number}.jpg")
        paths[-1].write_bytes(encode(photo(32), "JPEG"))
    raised = iter([*errors, None])
    whole = translator._translate

    def fail(*arguments: object) -> object:
        error = next(raised)
        if error is not None:
            raise error
        return whole(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(translator, "_translate", fail)
    outcomes = _translate(paths, tmp_path / "out", translator)
    codes = [outcome.refusal and outcome.refusal.code for outcome in outcomes]
    assert codes == [Reason.OUT_OF_MEMORY, Reason.OUT_OF_MEMORY, Reason.FAILED, Reason.FAILED, None]
    assert "ValueError: found both eyes at one point" in outcomes[2].reason


def test_a_small_face_in_a_panorama_is_translated(
    translator: Translator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """OpenCV warps no picture of more than 32,766 px."""
    small = np.asarray(photo(60))
    picture = np.zeros((80, 36_000, 3), np.uint8)
    picture[: small.shape[0], 34_000:34_060] = small
    (face,) = FaceDetector().detect(portrait("makeup", 3))
    scale = 60 / portrait("makeup", 3).shape[1]
    left, top, right, bottom = (scale * value for value in face.box)
    moved = Face(
        (left + 34_000, top, right + 34_000, bottom), face.keypoints * scale + (34_000, 0), 0.9
    )
    monkeypatch.setattr(translator, "faces", lambda _picture: [moved])
    choice = TranslateOptions(faces=type(TranslateOptions().faces).parse("1"))
    done = translator.translate(picture, choice)
    assert isinstance(done, Translation)
    changed = (done.pixels != picture).any(axis=(0, 2)).nonzero()[0]
    assert changed.size
    assert 33_950 < changed.min() <= changed.max() < 34_110


@pytest.mark.slow
def test_decoders_write_nothing_to_the_terminal(make_model: ModelMaker, tmp_path: Path) -> None:
    workspace, folder = make_model().parents[2], tmp_path / "in"
    folder.mkdir()
    tiff = encode(photo(64), "TIFF", compression="tiff_adobe_deflate")
    (folder / "broken.tif").write_bytes(tiff[:200] + bytes(100) + tiff[300:])
    for name in ("exif-broken.png", "exif-two-segments.jpg", "animated.png"):
        (folder / name).write_bytes(ODD_PHOTOS[name]()[:-500])
    command = [sys.executable, "-c", "from cli.main import main; main()", "translate", str(folder)]
    options = ["--whole", "--workspace", str(workspace), "--out", str(tmp_path / "out")]
    done = subprocess.run([*command, *options], capture_output=True, text=True, check=False)
    assert done.returncode in {0, 1}, done.stderr
    lines = done.stderr.splitlines()
    ours = ("makeup → bare", "translated, in", "/out", "training pictures is unknown")
    assert [line for line in lines if not any(part in line for part in ours)] == []


def test_every_refusal_and_note_has_its_sentence_in_every_interface() -> None:
    values = {
        "error": "no", "limit": 2, "width": 1, "height": 1, "megapixels": 1.0, "megabytes": 1.0,
        "num_faces": 1, "skipped": "", "are_faces": "is 1 face", "numbers": "2", "path": "a",
        "part": 1, "num_parts": 2,
    }  # fmt: skip
    for reason in Reason:
        for interface in Interface:
            if interface is Interface.COMMAND and reason is Reason.TOO_MANY_BYTES:
                continue  # the command has no such limit
            sentence = Refusal(reason, values).sentence(interface)
            assert sentence
            if interface is Interface.HTTP and reason not in COMMAND_ONLY:
                assert "--" not in sentence, sentence
        assert Refusal(reason).kind in Kind
    for language in TEXTS.values():
        assert not {reason.value for reason in Reason} - COMMAND_ONLY - set(language)
        assert not {f"note-{note}" for note in Note} - set(language)
    values = {"num_frames": 2, "format": "JPEG", "subject": "the face is", "distance": 1.5}
    assert all(note_text(note, **values) for note in Note)


@given(content=st.binary(max_size=2000), mode=st.sampled_from(["model", "whole"]))
def test_arbitrary_bytes_end_as_an_outcome(
    translator: Translator, content: bytes, mode: str
) -> None:
    _check_outcome(translator, content, mode)


_VALID = {
    "JPEG": jpeg(np.asarray(photo(48))),
    "PNG": encode(photo(48), "PNG", exif=Image.Exif()),
    "WEBP": encode(photo(48), "WEBP"),
    "GIF": encode(photo(48), "GIF"),
    "TIFF": encode(photo(48), "TIFF"),
    "MPO": ODD_PHOTOS["ultra-hdr.jpg"](),
}


@given(
    image_format=st.sampled_from(sorted(_VALID)),
    changes=st.lists(st.tuples(st.floats(0, 1), st.integers(0, 255)), max_size=8),
    end=st.one_of(st.just(1.0), st.floats(0, 1)),
    inserted=st.tuples(st.floats(0, 1), st.binary(max_size=40)),
    mode=st.sampled_from(["model", "whole"]),
)
def test_mutated_pictures_end_as_an_outcome(
    translator: Translator,
    image_format: str,
    changes: list[tuple[float, int]],
    end: float,
    inserted: tuple[float, bytes],
    mode: str,
) -> None:
    content = bytearray(_VALID[image_format])
    for place, value in changes:
        content[min(int(place**3 * len(content)), len(content) - 1)] = value  # headers above all
    at = int(inserted[0] * len(content))
    content[at:at] = inserted[1]
    _check_outcome(translator, bytes(content[: int(end * len(content))]), mode)


@given(
    name=st.text(
        st.characters(blacklist_characters="/\0", blacklist_categories=("Cs",)), min_size=1
    ).filter(lambda name: name not in {".", ".."} and len(name.encode()) <= 255),
    compare=st.booleans(),
)
def test_arbitrary_names_are_kept_or_shortened(
    translator: Translator, name: str, compare: bool
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "in" / name
        path.parent.mkdir()
        path.write_bytes(_VALID["JPEG"])
        out = Path(folder) / "out"
        inputs = [Input(path, Path(name))]
        (outcome,) = translate(inputs, out, translator, WHOLE, OutputOptions(compare=compare))
        assert outcome.output is not None, outcome.reason
        assert len(list(out.iterdir())) == 1 + compare
        if outcome.output.name != name:
            assert outcome.output.suffix == ".jpg"


def _check_outcome(translator: Translator, content: bytes, mode: str) -> None:
    """Nothing but documented outcomes, and a result that a viewer opens."""
    with tempfile.TemporaryDirectory() as folder:
        path, out = Path(folder) / "photo.jpg", Path(folder) / "out"
        path.write_bytes(content)
        options = TranslateOptions(mode=mode, work_px=64)  # type: ignore[arg-type]
        limits = OutputOptions(max_megapixels=1.0)
        (outcome,) = translate([Input(path, Path("photo.jpg"))], out, translator, options, limits)
        assert (outcome.output is None) == (outcome.refusal is not None)
        if outcome.refusal is not None:
            assert outcome.refusal.code is not Reason.FAILED, outcome.reason
            assert outcome.reason
        if outcome.output is not None:
            with Image.open(outcome.output) as image:
                image.load()


@pytest.mark.slow
@pytest.mark.skipif(not BAD.is_dir(), reason="needs ../shared/data/bad, which is not part of Suyan")
def test_a_folder_of_hostile_files_costs_none_of_the_others(
    translator: Translator, tmp_path: Path, good: Path
) -> None:
    paths = [path for path in sorted(BAD.rglob("*")) if path.is_file()][::5]
    options = TranslateOptions(mode="whole", work_px=64)
    outcomes = _translate([*paths, good], tmp_path / "out", translator, options, max_megapixels=4)
    assert len(outcomes) == len(paths) + 1
    failed = [outcome for outcome in outcomes if outcome.refusal
              and outcome.refusal.code in {Reason.FAILED, Reason.NOT_WRITTEN}]  # fmt: skip
    assert not failed, [(outcome.photo.name, outcome.reason) for outcome in failed]
    assert outcomes[-1].output is not None
