"""MediaPipe's networks of faces, which lie in the folder ``face_models``, run by onnxruntime.

``benchmarks/convert_face_models.py`` made the files. On one core the detector takes half the time
that it takes in OpenCV's ``dnn``, and gives the same faces (``benchmarks/face_runtimes.py``).
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.errors import MissingModelError
from core.files import file_sha256
from core.language.messages import localised

_FOLDER = Path(__file__).with_name("face_models")


class FaceModel(StrEnum):
    """A model by the name of its file."""

    DETECTOR = "face_detection_full_range.onnx"
    MESH = "face_landmark.onnx"


_SHA256: Mapping[FaceModel, str] = MappingProxyType(
    {
        FaceModel.DETECTOR: "6dbf88a6461683480969ce29c951e280aaa98d92d9763f9b5349fee696f9eb75",
        FaceModel.MESH: "cf91610f09cd33c9b75b9922d8b81a7cf740d6ea2f22b632642f7a4feb8541f1",
    }
)


class FaceNetwork:
    """A network in one thread; one instance per process. Raises ``MissingModelError`` without its
    file.
    """

    def __init__(self, model: FaceModel) -> None:
        import onnxruntime  # noqa: PLC0415 - takes a tenth of a second, and few commands need it

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        self._session = onnxruntime.InferenceSession(
            model_file(model), options, providers=["CPUExecutionProvider"]
        )
        self._input = self._session.get_inputs()[0].name

    def outputs(self, pixels: NDArray[np.float32], *names: str) -> list[NDArray[np.float32]]:
        """The tensors of these names for ``pixels`` ``[192, 192, 3]`` float32 RGB; layers are
        ``[1, C, H, W]``.
        """
        batch = np.ascontiguousarray(pixels.transpose(2, 0, 1)[None])
        arrays: list[Any] = self._session.run(names, {self._input: batch})
        return arrays


def model_file(model: FaceModel) -> Path:
    """Path of the model's file. Raises ``MissingModelError`` where it is absent or another one."""
    path = _FOLDER / model
    problem = "missing" if not path.is_file() else ""
    if not problem and file_sha256(path) != _SHA256[model]:
        problem = "damaged"
    if problem:
        raise MissingModelError(
            localised("the face model {path} is {problem}", path=path, problem=problem),
            remedy=localised(
                "It is a part of Suyan: copy preprocessing/analysis/face_models/{model} of "
                "its repository there.",
                model=model,
            ),
        )
    return path
