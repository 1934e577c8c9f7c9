"""Face regions on a drawn face: a painted mouth changes lips, and nothing else."""

import csv
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from core.errors import MissingModelError
from core.tables import Picture
from evaluation.config import EvaluateConfig
from evaluation.features.face_embeddings import load_face_embedding
from evaluation.figures import Figure
from evaluation.metrics import pairs
from evaluation.metrics.preservation import content_scores, similarity
from evaluation.metrics.regions import change_scores, colour_change, contrasts
from preprocessing.analysis import face_regions
from preprocessing.analysis.face_detector import FaceDetector
from preprocessing.analysis.face_mesh import NUM_POINTS, FaceMesh, Points
from preprocessing.analysis.face_regions import masks
from preprocessing.selection.overrides import read_overrides
from scraping.offline.corpus import portrait

CONFIG = EvaluateConfig(num_bootstrap=50)


@pytest.fixture(scope="module")
def face() -> tuple[np.ndarray, Points]:
    picture = portrait("bare", 3)
    picture = cv2.resize(picture, (200, 200), interpolation=cv2.INTER_AREA)
    (found,) = FaceDetector().detect(picture)
    mesh = FaceMesh().points(picture, found.keypoints)
    assert mesh is not None
    assert mesh.shape == (NUM_POINTS, 2)
    return picture, mesh


def test_the_mesh_lies_on_eyes_and_mouth_and_nowhere_without_a_face(
    face: tuple[np.ndarray, Points],
) -> None:
    picture, mesh = face
    (found,) = FaceDetector().detect(picture)
    eyes = [mesh[[33, 133]].mean(axis=0), mesh[[362, 263]].mean(axis=0)]
    across = np.hypot(*(eyes[1] - eyes[0]))
    for eye, keypoint in zip(eyes, found.keypoints, strict=False):
        assert np.hypot(*(eye - keypoint)) < 0.15 * across
    assert np.hypot(*(mesh[[13, 14]].mean(axis=0) - found.keypoints[3])) < 0.2 * across
    grey = np.full_like(picture, 128)
    assert FaceMesh().points(grey, found.keypoints) is None
    assert FaceMesh().points(picture, np.zeros((6, 2))) is None


def test_the_mesh_turns_with_the_face(face: tuple[np.ndarray, Points]) -> None:
    picture, mesh = face
    turned = np.ascontiguousarray(np.rot90(picture, -1))  # clockwise: (x, y) → (side − y, x)
    (found,) = FaceDetector().detect(picture)
    keypoints = np.column_stack([200 - found.keypoints[:, 1], found.keypoints[:, 0]])
    again = FaceMesh().points(turned, keypoints)
    assert again is not None
    expected = np.column_stack([200 - mesh[:, 1], mesh[:, 0]])
    assert np.median(np.hypot(*(again - expected).T)) < 3


def test_regions_do_not_overlap(face: tuple[np.ndarray, Points]) -> None:
    found = masks(face[1], 200)
    total = sum(found[name] for name in ("lips", "eyes", "cheeks", "outside"))
    np.testing.assert_allclose(total, 1, atol=0.02)
    for name in ("lips", "eyes", "cheeks"):
        assert 20 < found[name].sum() < 4000
        assert not (found[name] * found["skin"] > 0.5).any()


@pytest.mark.parametrize("shift", [(0, 0), (-70, 30), (50, -90), (1000, 0)])
def test_a_region_is_as_if_it_was_drawn_on_the_whole_picture(
    face: tuple[np.ndarray, Points], shift: tuple[int, int]
) -> None:
    mesh = face[1] + shift
    for rings in ((face_regions._LIPS,), (face_regions._RIGHT_CHEEK, face_regions._LEFT_CHEEK)):
        canvas = np.zeros((800, 800), np.uint8)
        for ring in rings:
            cv2.fillPoly(canvas, [np.round(4 * mesh[list(ring)] - 0.5).astype(np.int32)], 255)
        whole = cv2.resize(canvas, (200, 200), interpolation=cv2.INTER_AREA)
        np.testing.assert_array_equal(face_regions._fill(mesh, 200, *rings), whole / 255)


def test_a_painted_mouth_changes_the_lips_alone(face: tuple[np.ndarray, Points]) -> None:
    picture, mesh = face
    lips = masks(mesh, 200)["lips"] > 0.5
    painted = picture.copy()
    painted[lips] = (200, 20, 60)
    change = colour_change(picture[None], painted[None], [mesh])
    assert change["lips"][0] > 20
    assert change["eyes"][0] == change["cheeks"][0] == 0
    assert change["outside"][0] < 0.2
    many = [mesh] * 6
    inputs, outputs = (np.repeat(one[None], 6, axis=0) for one in (picture, painted))
    scores = change_scores(CONFIG, inputs, outputs, many)
    assert scores["change_focus"].value > 10
    assert scores["num_faces"] == 6
    assert not change_scores(CONFIG, inputs, outputs, [mesh] * 4 + [None] * 2)
    before, after = contrasts(picture[None], [mesh]), contrasts(painted[None], [mesh])
    assert np.linalg.norm(after["lips"] - before["lips"]) > 20
    np.testing.assert_allclose(after["eyes"], before["eyes"], atol=0.5)
    assert np.isnan(contrasts(picture[None], [None])["lips"]).all()


def test_light_on_the_whole_face_changes_no_contrast_much(face: tuple[np.ndarray, Points]) -> None:
    picture, mesh = face
    darker = (picture * 0.85).astype(np.uint8)
    before, after = contrasts(picture[None], [mesh]), contrasts(darker[None], [mesh])
    for name in before:
        moved = np.linalg.norm(after[name] - before[name])
        assert moved < 0.35 * np.linalg.norm(before[name]) + 1


def test_content_is_kept_by_a_shift_of_domain_and_lost_by_a_shuffle() -> None:
    x = np.random.default_rng(0).normal(size=(30, 64))
    other = np.random.default_rng(1).normal(size=(20, 64))
    shifted = content_scores(CONFIG, x, 0.5 * x + 3, other)
    assert shifted["content"].value == pytest.approx(1)
    assert shifted["content_found"].value == 1
    shuffled = content_scores(CONFIG, x, np.roll(x, 1, axis=0), other)
    assert abs(shuffled["content"].value) < 0.2
    assert shuffled["content_found"].value == 0
    assert abs(shifted["content_ceiling"].value) < 0.1
    assert np.diagonal(similarity(x, x)) == pytest.approx(1)


def _row(sha256: str, side: str, split: str = "test") -> Picture:
    return Picture(
        sha256, "makeup" if side == "A" else "bare", side, split, f"{split}{side}/{sha256[:4]}.png",
        "ok", "", "", "", "", 32, 32, [], [], 1.0, "", "", "",
    )  # fmt: skip


def test_pairs_are_matched_by_content(tmp_path: Path) -> None:
    for name in ("a1", "a2", "b1", "b2"):
        (tmp_path / f"{name}.jpg").write_bytes(name.encode())
    table = tmp_path / "pairs.csv"
    with table.open("w", newline="") as file:
        csv.writer(file).writerows([("a", "b"), ("a1.jpg", "b1.jpg"), ("a2.jpg", "b2.jpg")])
    known = pairs.load_pairs(table)
    digests = {name: pairs.file_sha256(tmp_path / f"{name}.jpg") for name in ("a1", "a2", "b2")}
    found = pairs.match(
        [_row("f" * 64, "A"), _row(digests["a1"], "A"), _row(digests["a2"], "A")],
        [_row(digests["b2"], "B", "train")],
        known,
    )
    assert found.inputs == [2]
    assert found.rows[0].sha256 == digests["b2"]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "gb18030"])
@pytest.mark.parametrize("between", [",", ";", "\t", ", "])
@pytest.mark.parametrize("heading", ["a,b", "A,B", "sep=,\r\nnote,B,A", '"a","b"'])
def test_every_csv_that_overrides_may_be_is_read(
    tmp_path: Path, encoding: str, between: str, heading: str
) -> None:
    for name in ("妆.jpg", "素 颜.jpg"):
        (tmp_path / name).write_bytes(name.encode())
    row = "不,素 颜.jpg,妆.jpg" if "note" in heading else '妆.jpg,"素 颜.jpg"'
    text = f"{heading}\r\n{row}\r\n,,\r\n".replace(",", between)
    (tmp_path / "pairs.csv").write_bytes(text.encode(encoding))
    first, second = (pairs.file_sha256(tmp_path / name) for name in ("妆.jpg", "素 颜.jpg"))
    assert pairs.load_pairs(tmp_path / "pairs.csv") == {first: [second], second: [first]}


def test_a_name_may_have_a_comma(tmp_path: Path) -> None:
    for name in ("a,1.jpg", "b.jpg"):
        (tmp_path / name).write_bytes(name.encode())
    for text in ("a;b\na,1.jpg;b.jpg\n", 'a,b\n"a,1.jpg",b.jpg\n', 'a;b\n"a,1.jpg";b.jpg'):
        (tmp_path / "pairs.csv").write_text(text)
        assert len(pairs.load_pairs(tmp_path / "pairs.csv")) == 2


_CSV = st.one_of(st.binary(max_size=300), st.text(max_size=100).map(
    lambda text: ("a,b\n" + text).encode("utf-8", "surrogatepass")
))  # fmt: skip


@given(content=_CSV)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_bytes_are_read_or_refused_with_the_files_name(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "any.csv"
    path.write_bytes(content)
    for read in (pairs.load_pairs, lambda path: read_overrides(path, ["0" * 64])):
        try:
            read(path)
        except ValueError as error:
            assert "any.csv" in str(error)  # noqa: PT017 - most contents are refused, some are read


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a,b\nx.jpg\n", "line 2: got 'x.jpg'"),
        ("x,y\n1,2\n", "needed a and b"),
        ("a,b\nnone.jpg,none.jpg\n", "none.jpg"),
        ("", "a and b"),
    ],
)
def test_bad_pairs_are_named(tmp_path: Path, text: str, words: str) -> None:
    (tmp_path / "pairs.csv").write_text(text)
    with pytest.raises(ValueError, match=words):
        pairs.load_pairs(tmp_path / "pairs.csv")
    with pytest.raises(ValueError, match="cannot read"):
        pairs.load_pairs(tmp_path / "no.csv")


def test_paired_pictures_tell_how_much_difference_went_away() -> None:
    rng = np.random.default_rng(0)
    true = {name: rng.normal(size=(12, 3)) for name in ("lips", "eyes", "cheeks")}
    far = {name: points + 10 for name, points in true.items()}
    near = {name: points + 2.5 for name, points in true.items()}
    features = rng.normal(size=(12, 16))
    noisy = features + rng.normal(size=features.shape)
    found = pairs.pair_scores(
        CONFIG,
        pairs.PairFeatures(features, near, None),
        pairs.PairFeatures(noisy, far, None),
        pairs.PairFeatures(features, true, None),
    )
    assert found is not None
    figures = {key: value for key, value in found.figures.items() if isinstance(value, Figure)}
    assert figures["pair_lips_reduction"].value == pytest.approx(0.75)
    assert figures["pair_content"].value > figures["pair_content_baseline"].value
    assert "pair_identity" not in figures
    few = [
        pairs.PairFeatures(f[:4], {k: v[:4] for k, v in c.items()}, None)
        for f, c in ((features, true),) * 3
    ]
    assert pairs.pair_scores(CONFIG, *few) is None


def test_one_person_is_nearer_than_another(face: tuple[np.ndarray, Points]) -> None:
    try:
        embed = load_face_embedding()
    except MissingModelError as error:
        pytest.skip(f"the extra 'identity' is not installed: {error}")
    picture, mesh = face
    bright = np.clip(picture * 1.1, 0, 255).astype(np.uint8)
    other = cv2.resize(portrait("bare", 11), (200, 200), interpolation=cv2.INTER_AREA)
    (found,) = FaceDetector().detect(other)
    meshes = [mesh, mesh, FaceMesh().points(other, found.keypoints), None]
    points = embed(np.stack([picture, bright, other, other]), meshes)
    assert np.linalg.norm(points[0] - points[1]) < np.linalg.norm(points[0] - points[2])
    assert np.isnan(points[3]).all()
