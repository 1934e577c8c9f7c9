"""The files of a folder that training reads, and their pixels.

The kind and its boundary are those of ``tests/core/test_pictures.py``: a file of any content is
read as a viewer shows it, or named and left out.
"""

import io
import logging
import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageCms, ImageOps

from training.config import TrainConfig
from training.data.dataset import UnalignedPictures
from training.data.picture_folder import PictureFolder, load_pictures
from training.runtime.distributed import World

SMALL = TrainConfig(
    num_blocks=1, ngf=4, ndf=4, d_layers=2, load_px=32, crop_px=32, batch_size=2, device="cpu"
)


def _picture(seed: int, px: int = 40) -> Image.Image:
    coarse = np.random.default_rng(seed).integers(0, 256, (6, 6, 3), np.uint8)
    return Image.fromarray(coarse).resize((px, px), Image.Resampling.BICUBIC)


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    for side in ("trainA", "trainB"):
        (tmp_path / side).mkdir()
        for number in range(6):
            _picture(number).save(tmp_path / side / f"{number}.png")
    return tmp_path


def _break(dataset: Path) -> None:
    """A truncated file, a text with a picture's suffix, and two files of other kinds."""
    whole = (dataset / "trainA" / "1.png").read_bytes()
    (dataset / "trainA" / "0torn.png").write_bytes(whole[: len(whole) // 2])
    (dataset / "trainA" / "9text.jpg").write_text("no picture", encoding="utf-8")
    (dataset / "trainA" / "notes.txt").write_text("by hand", encoding="utf-8")
    (dataset / "trainA" / ".hidden.png").write_bytes(b"")


@pytest.mark.parametrize("memory_share", [0.25, 0.0])
def test_broken_files_are_named_and_change_nothing_of_the_others(
    dataset: Path,
    memory_share: float,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    whole = list(UnalignedPictures(dataset, SMALL).batches(1))
    _break(dataset)
    monkeypatch.setattr("training.data.dataset._MEMORY_SHARE", memory_share)
    with caplog.at_level(logging.WARNING):
        pictures = UnalignedPictures(dataset, SMALL)
    first, second = caplog.messages
    assert first == (
        "trainA: 2 of 8 files cannot be read and are left out: "
        "0torn.png (undecodable), 9text.jpg (undecodable)"
    )
    assert second == "trainA: files have suffixes of no picture format and are left out: notes.txt"
    assert pictures.epoch_length == 6
    for one, other in zip(whole, pictures.batches(1), strict=True):
        assert one.a.equal(other.a)
        assert one.b.equal(other.b)


def test_only_the_first_process_names_broken_files(
    dataset: Path, caplog: pytest.LogCaptureFixture
) -> None:
    _break(dataset)
    with caplog.at_level(logging.WARNING):
        UnalignedPictures(dataset, SMALL, World(1, 2))
    assert not caplog.messages


def test_a_broken_picture_is_not_held_back(dataset: Path) -> None:
    config = SMALL.model_copy(update={"validate_every": 1, "num_validation": 2})
    whole = UnalignedPictures(dataset, config).held_back
    _break(dataset)
    held_back = UnalignedPictures(dataset, config).held_back
    assert whole is not None
    assert held_back is not None
    assert np.array_equal(held_back[0], whole[0])
    (dataset / "trainA" / "5.png").write_bytes(b"")
    few = config.model_copy(update={"num_validation": 5})
    with pytest.raises(ValueError, match=r"trainA: found 5 readable pictures, needed more than"):
        UnalignedPictures(dataset, few)


@pytest.mark.remedy(": the system does not let it be read at present")
def test_a_file_that_cannot_be_read_for_a_moment_is_not_left_out(dataset: Path) -> None:
    """Else the same run would go on with other pictures."""
    (dataset / "trainA" / "3.png").unlink()
    (dataset / "trainA" / "3.png").symlink_to(
        "3.png"
    )  # ELOOP: an error of the system, for root too
    message = "3.png: the system does not let it be read at present"
    with pytest.raises(ValueError, match=message):
        UnalignedPictures(dataset, SMALL)
    with pytest.raises(ValueError, match=message):
        load_pictures(dataset / "trainA", 32)
    (dataset / "trainA" / "3.png").unlink()  # out of the folder, as the message says
    assert len(load_pictures(dataset / "trainA", 32)) == len(UnalignedPictures(dataset, SMALL).a)


def _encoded(kind: str) -> bytes:
    file = io.BytesIO()
    _picture(0).save(file, kind)
    return file.getvalue()


_WHOLE = [_encoded(kind) for kind in ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF")]


@given(
    content=st.binary(max_size=2000) | st.sampled_from(_WHOLE),
    changes=st.lists(st.tuples(st.floats(0, 1), st.integers(0, 255)), max_size=8),
    end=st.just(1.0) | st.floats(0, 1),
)
def test_any_bytes_are_a_picture_or_left_out(
    content: bytes, changes: list[tuple[float, int]], end: float
) -> None:
    changed = bytearray(content[: int(end * len(content))])
    for place, value in changes:
        if changed:
            changed[int(place**3 * (len(changed) - 1))] = value  # headers above all
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        _picture(1).save(folder / "a-good.png")
        (folder / "b-any.jpg").write_bytes(changed)
        for memory_bytes in (0, 1e9):
            pictures = PictureFolder(folder, lambda _width, _height: (32, 32), memory_bytes)
            assert len(pictures) in {1, 2}
            assert all(pictures[number].shape == (32, 32, 3) for number in range(len(pictures)))
        assert len(load_pictures(folder, 32)) == len(pictures)


def test_a_folder_without_a_readable_picture_says_what_it_holds(tmp_path: Path) -> None:
    def message() -> str:
        with pytest.raises(ValueError, match="found no picture") as error:
            load_pictures(tmp_path / "side", 32)
        with pytest.raises(ValueError, match="found no picture"):
            PictureFolder(tmp_path / "side", lambda width, height: (width, height), 0)
        return str(error.value)

    assert "the folder does not exist" in message()
    (tmp_path / "side").mkdir()
    assert "its files are none" in message()
    (tmp_path / "side" / "a.heic").write_bytes(b"")
    assert "its files are a.heic" in message()
    (tmp_path / "side" / "b.PNG").write_bytes(b"")
    assert "its 1 picture files cannot be read: b.PNG" in message()
    assert "needed at least one file of .jpg, .png, .webp" in message()


def test_every_picture_is_read_as_a_viewer_shows_it(tmp_path: Path) -> None:
    """Subfolders, suffixes in any case, and all that a file says beside its pixels."""
    upright = _picture(0, 48)
    folder = tmp_path / "trainA"
    (folder / "more").mkdir(parents=True)
    exif = Image.Exif()
    exif[0x0112] = 6  # shown turned by 90° to the right
    upright.transpose(Image.Transpose.ROTATE_90).save(folder / "a-turned.PNG", exif=exif)
    grey = ImageOps.grayscale(upright)
    levels = np.asarray(grey).astype(np.uint16) * 257
    Image.fromarray(levels).save(folder / "b-sixteen-bits.Tif")
    clear = upright.convert("RGBA")
    clear.putalpha(0)
    clear.save(folder / "c-transparent.webp", lossless=True, exact=True)
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    upright.save(folder / "more" / "d-plain.bmp", icc_profile=profile)
    pictures = load_pictures(folder, 48)
    assert np.array_equal(pictures[0], np.asarray(upright))
    assert np.array_equal(pictures[1], np.asarray(grey.convert("RGB")))
    assert (pictures[2] == 255).all()
    assert np.array_equal(pictures[3], np.asarray(upright))
