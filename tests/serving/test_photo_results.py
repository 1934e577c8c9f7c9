"""The results of a batch of photographs on disk: their names, and what stands where they belong.

The kind: a name, a folder, a link or a full disk costs one photograph its result, and none of the
others. ``test_photo_outcomes.py`` has the photographs themselves.
"""

import os
import resource
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from odd_photos import ODD_PHOTOS, encode, photo
from photo_batch import WHOLE, translate_batch

from scraping.offline.corpus import jpeg
from serving import photo_io
from serving.photo_io import PNG, WEBP, Photo, encode_photo
from serving.photo_paths import Input, find_photos
from serving.refusals import Reason
from serving.translate import OutputOptions, Translator, translate

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
    outcomes = translate_batch([folder / name for name in NAMES], out, translator, compare=True)
    for outcome, (name, expected) in zip(outcomes, NAMES.items(), strict=True):
        assert outcome.output == out / expected, (name, outcome.reason)
    comparisons = [path.name for path in out.iterdir() if "-compare." in path.name]
    assert len(comparisons) == len(NAMES) + 1  # "-compare.jpg" is a result
    assert all(len(os.fsencode(path.name)) <= 255 for path in out.iterdir())
    assert not list(out.glob(".*.tmp"))


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
    outcomes = translate_batch(paths, tmp_path, translator, compare=True, overwrite=True)
    assert outcomes[0].refusal is not None
    assert outcomes[0].refusal.code is Reason.WOULD_REPLACE_INPUT
    assert other.read_bytes() == before
    both = translate_batch(paths, tmp_path / "both", translator, compare=True)
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
        outcomes = translate_batch([large, small], out, translator)
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
    first, second = translate_batch([pair, result], tmp_path / "out", translator, compare=True)
    assert first.output == tmp_path / "out" / "pair.webp"
    assert (tmp_path / "out" / "pair-compare.png").is_file()
    assert second.output == tmp_path / "out" / "long.png"
    assert "saved as PNG" in second.note
    again = translate_batch([pair, result], tmp_path / "out", translator, compare=True)
    assert [outcome.refusal and outcome.refusal.code for outcome in again] == [Reason.EXISTS] * 2


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
        path.write_bytes(jpeg(np.asarray(photo(48))))
        out = Path(folder) / "out"
        inputs = [Input(path, Path(name))]
        (outcome,) = translate(inputs, out, translator, WHOLE, OutputOptions(compare=compare))
        assert outcome.output is not None, outcome.reason
        assert len(list(out.iterdir())) == 1 + compare
        if outcome.output.name != name:
            assert outcome.output.suffix == ".jpg"
