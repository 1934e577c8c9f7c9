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
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from model_maker import ModelMaker
from odd_photos import ODD_PHOTOS, encode, photo, with_transparency
from photo_batch import translate_batch
from PIL import ExifTags, Image
from typer.testing import CliRunner

from cli.main import app
from preprocessing.analysis.face_detector import Face, FaceDetector
from scraping.offline.corpus import jpeg, portrait
from serving.photo_io import Photo, encode_photo, read_photo
from serving.photo_paths import Input
from serving.refusals import Interface, Kind, Note, Reason, Refusal, note_text
from serving.translate import (
    OutputOptions,
    TranslateOptions,
    Translation,
    Translator,
    translate,
)
from serving.web.strings import TEXTS

BAD = Path(__file__).resolve().parents[3] / "shared" / "data" / "bad"
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
    outcomes = translate_batch(paths, tmp_path / "out", translator, options, compare=True)
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


def test_a_phones_two_hundred_megapixels_are_a_matter_of_the_limit(tmp_path: Path) -> None:
    path = tmp_path / "large.png"  # more than Pillow opens by default
    Image.new("1", (16_320, 16_320)).save(path)
    refusal = read_photo(path, max_megapixels=120)
    assert isinstance(refusal, Refusal)
    assert refusal.reason == (
        "is too large: 16320 × 16320 = 266 megapixels; the limit is 120 (--max-megapixels)"
    )


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
    outcomes = translate_batch(paths, tmp_path / "out", translator)
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
    outcomes = translate_batch(
        [*paths, good], tmp_path / "out", translator, options, max_megapixels=4
    )
    assert len(outcomes) == len(paths) + 1
    failed = [outcome for outcome in outcomes if outcome.refusal
              and outcome.refusal.code in {Reason.FAILED, Reason.NOT_WRITTEN}]  # fmt: skip
    assert not failed, [(outcome.photo.name, outcome.reason) for outcome in failed]
    assert outcomes[-1].output is not None
