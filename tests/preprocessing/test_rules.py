"""Rules decide by figures only."""

import numpy as np
import pytest

from preprocessing.analysis.analyse import Analysis, FaceAnalysis
from preprocessing.analysis.defects import Defects
from preprocessing.analysis.fingerprint import Fingerprint
from preprocessing.config import PrepareConfig
from preprocessing.images import geometry
from preprocessing.selection.rules import possible_crops

CONFIG = PrepareConfig(domain_a="a", domain_b="b", crop_px=100)
PRINT = Fingerprint((0,) * 7, 0, (0, 0))


def face(x: float = 200, y: float = 200, **changes: object) -> FaceAnalysis:
    """A frontal face about (x, y) with eyes 60 px apart."""
    points = [
        (x - 30, y),
        (x + 30, y),
        (x, y + 35),
        (x, y + 65),
        (x - 70, y + 10),
        (x + 70, y + 10),
    ]
    values: dict[str, object] = {
        "box": [x - 70, y - 50, x + 70, y + 90],
        "keypoints": [value for point in points for value in point],
        "score": 0.9,
        "sharpness": 100.0,
        "detail_px": 96.0,
        "covered": 0.0,
        "aligned": PRINT,
        "context": PRINT,
    }
    return FaceAnalysis(**{**values, **changes})


def analysis_of(
    *faces: FaceAnalysis, height: int = 500, width: int = 400, **changes: object
) -> Analysis:
    return Analysis("", height, width, 50.0, None, PRINT, faces=faces, **changes)


def reasons(analysis: Analysis, **changes: object) -> list[str]:
    return [crop.reason for crop in possible_crops(analysis, CONFIG.model_copy(update=changes))]


def test_a_good_face_is_cropped_about_its_eyes() -> None:
    (crop,) = possible_crops(analysis_of(face()), CONFIG)
    assert crop.reason == ""
    assert (crop.face, crop.outside) == (0, 0)
    eyes = geometry.apply(np.array(crop.transform).reshape(2, 3), face().points[:2])
    assert eyes == pytest.approx(np.array([[32, 40], [68, 40]]), abs=0.1)


SIDEWAYS = [*face().keypoints[:4], 230.0, 235.0, *face().keypoints[6:]]


@pytest.mark.parametrize(
    ("analysis", "reason"),
    [
        (Analysis("undecodable"), "undecodable"),
        (analysis_of(), "no-face"),
        (analysis_of(face(), height=60, width=400), "too-small"),
        (analysis_of(face(), height=1100, width=400), "odd-shape"),
        (analysis_of(face(box=[0, 0, 40, 47])), "face-too-small"),
        (analysis_of(face(), face(300, 300)), "several-faces"),
        (analysis_of(face(sharpness=3.0)), "blurred"),
        (analysis_of(face(detail_px=30.0)), "enlarged"),
        (analysis_of(face(covered=3.0)), "covered"),
        (analysis_of(face(x=30)), "leaves-the-frame"),
        (analysis_of(face(keypoints=SIDEWAYS)), "profile"),
    ],
)
def test_each_rule_has_its_reason(analysis: Analysis, reason: str) -> None:
    assert reasons(analysis) == [reason]


@pytest.mark.parametrize(
    ("analysis", "limit", "reason"),
    [
        (analysis_of(face(), defects=Defects(colour=0.4)), {"min_colour": 1.5}, "black-and-white"),
        (analysis_of(face(), defects=Defects(frame=0.1)), {"max_frame": 0.04}, "framed"),
        (analysis_of(face(), face(300, 300), defects=Defects(seam=0.9)), {"max_seam": 0.8},
         "collage"),
        (analysis_of(face(light=12.0)), {"min_light": 30}, "too-dark"),
        (analysis_of(face(light=250.0)), {"max_light": 235}, "too-bright"),
        (analysis_of(defects=Defects(light=12.0)), {"min_light": 30, "faces": False}, "too-dark"),
        (analysis_of(face(light=12.0)), {"min_light": 30, "faces": False}, ""),
    ],
)  # fmt: skip
def test_defects_are_rejected_where_a_limit_is_set(
    analysis: Analysis, limit: dict[str, float], reason: str
) -> None:
    assert reasons(analysis, **limit) == [reason]
    assert reason not in reasons(analysis, faces=limit.get("faces", True)) or not reason
    assert [crop.reason for crop in possible_crops(analysis, CONFIG.model_copy(update=limit),
                                                   forced=True)] == [""]  # fmt: skip


def test_a_picture_of_nothing_is_uniform_where_no_face_is_searched() -> None:
    plain = analysis_of(defects=Defects(contrast=2.0))
    assert reasons(plain, faces=False) == ["uniform"]
    assert reasons(plain) == ["no-face"]


def test_policies_for_several_faces() -> None:
    several = analysis_of(face(), face(300, 300, sharpness=1.0), face(box=[0, 0, 9, 9]))
    assert reasons(several, faces_policy="largest") == [""]
    assert reasons(several, faces_policy="all") == ["", "blurred"]
    every = CONFIG.model_copy(update={"faces_policy": "all"})
    assert [crop.face for crop in possible_crops(several, every)] == [0, 1]


def test_a_photograph_that_ends_near_the_face_is_shown_closer() -> None:
    tight = analysis_of(face(x=200, y=60))
    assert reasons(tight, max_zoom=1.0, max_outside=0.02) == ["leaves-the-frame"]
    (crop,) = possible_crops(tight, CONFIG.model_copy(update={"max_outside": 0.02}))
    found = geometry.apply(np.array(crop.transform).reshape(2, 3), face(200, 60).points)
    zoom = (found[1, 0] - found[0, 0]) / 36
    assert crop.reason == ""
    assert 1 < zoom <= 1.25 + 1e-3
    assert found[:2].mean(axis=0) == pytest.approx([50, 58 - 18 * zoom], abs=0.1)
    assert found[3, 1] < 90  # the mouth stays within what training crops


def test_a_person_may_keep_what_the_rules_would_not() -> None:
    several = analysis_of(face(sharpness=1.0, covered=9.0), face(300, 300))
    (crop,) = possible_crops(several, CONFIG, forced=True)
    assert (crop.reason, crop.face) == ("", 0)
    assert [v.reason for v in possible_crops(analysis_of(), CONFIG, forced=True)] == ["no-face"]


def test_whole_pictures_are_judged_as_wholes() -> None:
    assert reasons(analysis_of(), faces=False) == [""]
    assert reasons(analysis_of(), faces=False, min_sharpness=60.0) == ["blurred"]


def test_the_safety_filter_rejects_above_its_limit() -> None:
    unsafe = Analysis("", 500, 400, 50.0, 0.7, PRINT, faces=(face(),))
    assert reasons(unsafe) == [""]
    assert reasons(unsafe, max_unsafe=0.5) == ["unsafe"]
    assert reasons(unsafe, max_unsafe=0.8) == [""]
