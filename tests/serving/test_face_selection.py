"""A person's choice of faces and files is understood, or refused with a clear message."""

from pathlib import Path

import numpy as np
import pytest

from preprocessing.analysis.face_detector import Face
from preprocessing.config import PrepareConfig
from serving.face_selection import FaceChoice, select_faces, suitable_numbers
from serving.photo_paths import find_photos

PREPARE = PrepareConfig(domain_a="a", domain_b="b", min_face_px=40)


def _face(left: float, side: float = 100, nose: float = 0.5) -> Face:
    x = left + side * np.array([0.3, 0.7, nose, 0.5, 0.0, 1.0])
    y = side * np.array([0.4, 0.4, 0.6, 0.8, 0.5, 0.5])
    return Face((left, 0, left + side, side), np.stack([x, y], axis=1), 0.9)


def test_faces_are_numbered_from_left_to_right() -> None:
    faces = [_face(500, 90), _face(0, 60), _face(200, 120)]
    assert select_faces(faces, FaceChoice.parse("all"), PREPARE).faces == (
        faces[1],
        faces[2],
        faces[0],
    )
    assert select_faces(faces, FaceChoice.parse("largest"), PREPARE).faces == (faces[2],)
    assert select_faces(faces, FaceChoice.parse(" 3, 1"), PREPARE).faces == (faces[1], faces[0])


def test_faces_that_training_would_leave_out_are_left_alone_unless_named() -> None:
    faces = [_face(0, 20), _face(100), _face(300, nose=1.0)]
    chosen = select_faces(faces, FaceChoice(), PREPARE)
    assert chosen.faces == (faces[1],)
    assert "face 1 is too small (20 px" in chosen.note
    assert "face 3 is turned too far aside" in chosen.note
    assert "--faces 1,3" in chosen.note
    assert suitable_numbers(faces, PREPARE) == [2]
    assert select_faces(faces, FaceChoice.parse("1"), PREPARE).faces == (faces[0],)
    beyond = select_faces(faces, FaceChoice.parse("2,7"), PREPARE)
    assert beyond.faces == (faces[1],)
    assert "there are 3 faces" in beyond.note
    nobody = select_faces(faces[:1], FaceChoice.parse("largest"), PREPARE)
    assert nobody.faces == ()
    assert nobody.note


def test_a_face_may_have_a_strength_of_its_own() -> None:
    choice = FaceChoice.parse("1:0.5, 2:2, 3:1.75,4:.25,5")
    assert [choice.strength(number, 1.0) for number in range(1, 6)] == [0.5, 2, 1.75, 0.25, 1]


@pytest.mark.parametrize(
    "text", ["", "0", "1,", "both", "-1", "1;2", "²", "1:", "1:2.5", "1:3", "1:-1", "1:1e9"]
)
def test_what_is_no_choice_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="largest"):
        FaceChoice.parse(text)


def test_files_folders_and_patterns(tmp_path: Path) -> None:
    for name in ("a.jpg", "b.PNG", "notes.txt", ".hidden.jpg", "sub/a.jpg", "out/a.jpg"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"")
    out = tmp_path / "out"

    def places(*given: str) -> list[str]:
        return [str(one.relative_path) for one in find_photos(given, out)]

    assert places(str(tmp_path)) == ["a.jpg", "b.PNG", "sub/a.jpg"]
    assert places(str(tmp_path / "*.jpg")) == ["a.jpg"]
    assert places(str(tmp_path / "**" / "*.jpg")) == ["a.jpg", "a.jpg"]
    assert places(str(tmp_path / "a.jpg"), str(tmp_path)) == ["a.jpg", "b.PNG", "sub/a.jpg"]
    assert places(str(tmp_path / "gone.jpg")) == ["gone.jpg"]  # reported later
    with pytest.raises(ValueError, match="no file matches"):
        places(str(tmp_path / "*.webp"))
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match="a folder without pictures"):
        places(str(tmp_path / "empty"))
