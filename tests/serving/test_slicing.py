"""A bilateral grid from a small view changes the photograph's own pixels, without tiles."""

import cv2
import numpy as np
import pytest
import torch
from model_maker import ModelMaker
from numpy.typing import NDArray
from PIL import Image

from core.workspace import Workspace
from preprocessing.images import geometry
from scraping.offline.corpus import group, portrait
from scraping.offline.landscapes import draw
from serving import slicing
from serving.blending import face_cast, face_mask
from serving.face_selection import FaceChoice
from serving.models import open_model
from serving.translate import TranslateOptions, Translation, Translator
from training.data.tensors import to_levels, to_tensor
from training.models.architecture import pixel_places

Picture = NDArray[np.uint8]


def _translator(make_model: ModelMaker, *, faces: bool) -> Translator:
    recipe = "makeup" if faces else "seasons"
    folder = make_model(
        faces=faces, recipe=recipe, generator="bilateral", norm="batch", residual=True
    )
    return Translator(open_model(Workspace(folder.parents[2]), recipe), "A2B")


@pytest.fixture
def face_translator(make_model: ModelMaker) -> Translator:
    return _translator(make_model, faces=True)


@pytest.fixture
def whole_translator(make_model: ModelMaker) -> Translator:
    return _translator(make_model, faces=False)


def _pixels(translator: Translator, picture: Picture, **options: object) -> Picture:
    translation = translator.translate(picture, TranslateOptions(**options))  # type: ignore[arg-type]
    assert isinstance(translation, Translation)
    assert translation.pixels.shape == picture.shape
    return translation.pixels


def _enlarged(picture: Picture, width: int, height: int) -> Picture:
    image = Image.fromarray(picture)
    return np.array(image.resize((width, height), Image.Resampling.BICUBIC))


def _is_equal(one: Picture, other: Picture) -> bool:
    """But for a rounding that fell on the other side in few places."""
    difference = np.abs(one.astype(int) - other)
    return bool(difference.max() <= 1 and (difference > 0).mean() < 1e-3)


@pytest.mark.parametrize("num_pixels", [1, 5_000, 10**9])
def test_no_result_depends_on_its_parts(
    face_translator: Translator, num_pixels: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    face = _enlarged(portrait("makeup", 3), 600, 700)
    view = _enlarged(draw(1, winter=True), 500, 333)
    before = _pixels(face_translator, face), _pixels(face_translator, view, mode="whole")
    monkeypatch.setattr(slicing, "_PIXELS_PER_BAND", num_pixels)
    after = _pixels(face_translator, face), _pixels(face_translator, view, mode="whole")
    assert all(_is_equal(one, other) for one, other in zip(before, after, strict=True))


def test_a_whole_picture_is_sliced_at_its_own_size(whole_translator: Translator) -> None:
    """Every pixel goes through the grid of the whole; the size for tiles has no effect."""
    picture = _enlarged(draw(1, winter=True), 640, 448)
    result = _pixels(whole_translator, picture)
    assert (result != picture).any(axis=2).mean() > 0.9
    assert np.array_equal(result, _pixels(whole_translator, picture, work_px=0))
    network = whole_translator.model.network("A2B")
    small = np.asarray(cv2.resize(picture, (88, 64), interpolation=cv2.INTER_AREA))
    with torch.inference_mode():
        grid = network.predict_grid(to_tensor(small[None]))  # type: ignore[operator]
        x = to_tensor(picture[None])
        whole = network.slice(grid, x, pixel_places(x))  # type: ignore[operator]
    levels = to_levels(whole)[0]
    assert np.abs(result - levels).max() < 0.51


@pytest.mark.parametrize("size", [(1, 1), (8, 8), (40, 900), (900, 40)])
def test_any_shape_of_picture_is_translated(
    whole_translator: Translator, size: tuple[int, int]
) -> None:
    picture = np.random.default_rng(0).integers(0, 256, (*size, 3), np.uint8)
    assert (_pixels(whole_translator, picture) != picture).any()


def test_a_face_is_sliced_in_the_photographs_own_pixels(face_translator: Translator) -> None:
    """A pixel's change is what the crop's grid says at its place, whatever lies beside it."""
    photo = _enlarged(portrait("makeup", 3), 900, 1050)
    (face,) = face_translator.faces(photo)
    result = _pixels(face_translator, photo)
    left, top, right, bottom = (round(value) for value in face.box)
    changed = (result != photo).any(axis=2)
    assert changed[top:bottom, left:right].mean() > 0.5
    margin = round(0.5 * face.side)
    changed[max(0, top - margin) : bottom + margin, max(0, left - margin) : right + margin] = False
    assert not changed.any()

    prepare, network = face_translator.model.prepare, face_translator.model.network("A2B")
    side = prepare.crop_px  # 62: no multiple of 8, so the view is padded to 64
    transform = geometry.eye_transform(
        face.keypoints, side, prepare.eye_distance, prepare.eye_height
    )
    crop = geometry.crop(photo, transform, side)
    view = to_tensor(np.pad(crop, ((0, 2), (0, 2), (0, 0)), mode="symmetric")[None])
    mask = face_mask(geometry.apply(transform, face.keypoints), side)
    row, column = (round(value) for value in face.keypoints[2][::-1])  # the tip of the nose
    place = geometry.apply(transform, np.array([[column + 0.5, row + 0.5]]))[0]
    with torch.inference_mode():
        grid = network.predict_grid(view)  # type: ignore[operator]
        after = network.slice(grid, view, pixel_places(view))  # type: ignore[operator]
        pixel = to_tensor(photo[None, row : row + 1, column : column + 1])
        where = torch.tensor(place / 64, dtype=torch.float32).reshape(1, 1, 1, 2)
        sliced = to_levels(network.slice(grid, pixel, where))[0, 0, 0]  # type: ignore[operator]
    cast = face_cast(to_levels(after)[0, :side, :side] - crop, 1 - mask)
    cast_there = cast[round(place[1] - 0.5), round(place[0] - 0.5)]
    assert mask[round(place[1] - 0.5), round(place[0] - 0.5)] == pytest.approx(1)
    assert np.abs(result[row, column] - (sliced - cast_there)).max() < 1.5


def test_strength_and_choice_of_faces(face_translator: Translator) -> None:
    picture = group("makeup", 40)
    full = _pixels(face_translator, picture).astype(int) - picture
    half = _pixels(face_translator, picture, strength=0.5).astype(int) - picture
    twice = _pixels(face_translator, picture, strength=2.0).astype(int) - picture
    inside = (picture + 2 * full > 0) & (picture + 2 * full < 255)
    assert np.abs(half - full / 2)[inside].max() <= 1
    assert np.abs(twice - full * 2)[inside].max() <= 1
    assert np.array_equal(_pixels(face_translator, picture, strength=0.0), picture)
    faces = sorted(face_translator.faces(picture), key=lambda face: face.box[0])
    second = _pixels(face_translator, picture, faces=FaceChoice.parse("2")) != picture
    shares = [
        second[round(top) : round(bottom), round(left) : round(right)].mean()
        for left, top, right, bottom in (face.box for face in faces)
    ]
    assert [share > 0.3 for share in shares] == [False, True, False]


def test_a_step_can_end_the_work(whole_translator: Translator) -> None:
    calls: list[tuple[int, int]] = []

    def step(done: int, total: int) -> None:
        calls.append((done, total))
        if done == 2:
            raise TimeoutError

    picture = np.zeros((600, 600, 3), np.uint8)
    with pytest.raises(TimeoutError):
        whole_translator.translate(picture, TranslateOptions(), step)
    assert [done for done, _ in calls] == [1, 2]
    assert calls[0][1] > 2
