"""The face models are parts of Suyan, whole, and onnxruntime finds with them what OpenCV finds.

The kind: each model, its inner layers too; the photographs of shared/data where they are. The
boundary: a file that is absent, or differs by one byte.
"""

import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from remedies import remedy

from core.pictures import Rejected, read_picture
from evaluation.judges import mesh_activations
from preprocessing.analysis import face_detector, face_mesh, face_network, occlusion
from preprocessing.analysis.face_detector import FaceDetector
from preprocessing.analysis.face_mesh import FaceMesh
from preprocessing.analysis.face_network import FaceModel, FaceNetwork, model_file
from preprocessing.analysis.occlusion import OcclusionClassifier
from scraping.offline.portraits import Person, Shot, draw

DATA = Path(__file__).resolve().parents[3] / "shared" / "data"
FOLDER = Path(face_network.__file__).with_name("face_models")
LAYERS = {
    FaceModel.DETECTOR: ("reshaped_classifier_face_4", "reshaped_regressor_face_4"),
    FaceModel.MESH: (
        "conv2d_30", "conv2d_20", occlusion._LAYER, *mesh_activations._LAYERS,
    ),
}  # fmt: skip


class OpenCVNetwork:
    """The same model, run by OpenCV; version 5 needs the engine of version 4 for it."""

    def __init__(self, model: FaceModel) -> None:
        engine = [cv2.dnn.ENGINE_CLASSIC] if hasattr(cv2.dnn, "ENGINE_CLASSIC") else []
        self._net = cv2.dnn.readNetFromONNX(str(FOLDER / model), *engine)

    def outputs(self, pixels: NDArray[np.float32], *names: str) -> list[NDArray[np.float32]]:
        self._net.setInput(pixels.transpose(2, 0, 1)[None])
        return list(self._net.forward(names))


def portraits() -> list[NDArray[np.uint8]]:
    return [draw(Person.seeded(seed), Shot.seeded(seed), None) for seed in range(6)]


@pytest.mark.parametrize("model", FaceModel)
def test_every_layer_that_is_used_is_that_of_opencv(model: FaceModel) -> None:
    ours, opencv = FaceNetwork(model), OpenCVNetwork(model)
    for portrait in portraits():
        pixels = cv2.resize(portrait, (192, 192)).astype(np.float32) / 127.5 - 1
        layers = ours.outputs(pixels, *LAYERS[model])
        for layer, expected in zip(layers, opencv.outputs(pixels, *LAYERS[model]), strict=True):
            assert layer.shape == expected.shape
            scale = max(1.0, float(np.abs(expected).max()))
            assert np.abs(layer - expected).max() < 1e-5 * scale


@pytest.mark.slow
@pytest.mark.skipif(not DATA.is_dir(), reason="the photographs (shared/data) are absent")
def test_faces_of_photographs_are_those_of_opencv(monkeypatch: pytest.MonkeyPatch) -> None:
    detector, mesh, classifier = FaceDetector(), FaceMesh(), OcclusionClassifier()
    for module in (face_detector, face_mesh, occlusion):
        monkeypatch.setattr(module, "FaceNetwork", OpenCVNetwork)
    former_detector, former_mesh, former = FaceDetector(), FaceMesh(), OcclusionClassifier()
    num_faces = num_unsure = 0
    for folder in ("makeup_photos/A", "makeup_photos/B", "makeup128/A", "webfaces_mask/A"):
        for path in sorted((DATA / folder).iterdir())[::20]:
            photo = read_picture(path, max_pixels=2e7)
            assert not isinstance(photo, Rejected)
            faces, expected = detector.detect(photo), former_detector.detect(photo)
            assert len(faces) == len(expected), path
            for face, other in zip(faces, expected, strict=True):
                num_faces += 1
                tolerance = 0.001 * other.side
                assert np.abs(face.keypoints - other.keypoints).max() < tolerance
                assert np.abs(np.subtract(face.box, other.box)).max() < tolerance
                assert abs(face.score - other.score) < 0.005
                points = mesh.points(photo, other.keypoints)
                former_points = former_mesh.points(photo, other.keypoints)
                num_unsure += (points is None) != (former_points is None)
                if points is not None and former_points is not None:
                    assert np.abs(points - former_points).max() < tolerance
                covered = classifier.covered_probability(photo, other.keypoints)
                assert abs(covered - former.covered_probability(photo, other.keypoints)) < 0.005
    assert num_faces > 40
    assert num_unsure <= 1  # a face of which the mesh is half sure, to the last bit


def test_a_model_that_is_absent_or_damaged_is_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(face_network, "_FOLDER", tmp_path)

    def copied() -> None:
        for model in FaceModel:
            shutil.copy(FOLDER / model, tmp_path)
        FaceDetector()
        OcclusionClassifier()

    remedy("the face model ", FaceDetector, copied)
    whole = (tmp_path / FaceModel.MESH).read_bytes()
    (tmp_path / FaceModel.MESH).write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    remedy("the face model ", OcclusionClassifier, copied)


def test_licence_and_notice_lie_beside_the_models() -> None:
    assert "Apache License" in (FOLDER / "LICENSE").read_text(encoding="utf-8")
    notice = (FOLDER / "NOTICE").read_text(encoding="utf-8")
    assert all(model_file(model).name in notice for model in FaceModel)
