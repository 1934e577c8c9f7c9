"""Milliseconds per look of the two face models by runtime, one thread, and how far outputs differ.

Inputs are the photographs of shared/data, or those of the folder ``--photos``. onnxruntime, which
Suyan uses, and OpenCV run the same files. LiteRT runs the TFLite files that these were converted
from: it needs ``pip install ai-edge-litert`` and the folder of these files, ``--tflite``
(``convert_face_models.py`` says where they are).
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from photographs import DATA

from core.pictures import Rejected, read_picture
from preprocessing.analysis.face_network import FaceModel, FaceNetwork, model_file

Pixels = NDArray[np.float32]
Network = Callable[[Pixels], list[Pixels]]

_OUTPUTS = {
    FaceModel.DETECTOR: ("reshaped_classifier_face_4", "reshaped_regressor_face_4"),
    FaceModel.MESH: ("conv2d_30", "conv2d_20"),
}
_INPUT_PX = 192
_ROUNDS = 3


def _onnxruntime(model: FaceModel) -> Network:
    network = FaceNetwork(model)
    return lambda pixels: network.outputs(pixels, *_OUTPUTS[model])


def _opencv(model: FaceModel) -> Network:
    engine = [cv2.dnn.ENGINE_CLASSIC] if hasattr(cv2.dnn, "ENGINE_CLASSIC") else []
    net = cv2.dnn.readNetFromONNX(str(model_file(model)), *engine)

    def run(pixels: Pixels) -> list[Pixels]:
        net.setInput(pixels.transpose(2, 0, 1)[None])
        return list(net.forward(_OUTPUTS[model]))

    return run


def _litert(model: FaceModel, folder: Path) -> Network:
    from ai_edge_litert.interpreter import Interpreter  # type: ignore[import-not-found]

    net = Interpreter(str(folder / f"{Path(model).stem}.tflite"), num_threads=1)
    net.allocate_tensors()
    place = net.get_input_details()[0]["index"]
    places = {each["name"]: each["index"] for each in net.get_output_details()}

    def run(pixels: Pixels) -> list[Pixels]:
        net.set_tensor(place, pixels[None])
        net.invoke()
        return [net.get_tensor(places[name]) for name in _OUTPUTS[model]]

    return run


def _windows(folder: Path) -> list[Pixels]:
    """Whole photographs at the size of the models' input, 0 to 1."""
    windows = []
    for path in sorted(each for each in folder.rglob("*") if each.suffix.lower() == ".jpg"):
        photo = read_picture(path, max_pixels=2e7)
        if not isinstance(photo, Rejected):
            windows.append(cv2.resize(photo, (_INPUT_PX, _INPUT_PX)).astype(np.float32) / 255)
    return windows[:: max(1, len(windows) // 100)]


def main() -> None:
    """Print a line for each model and runtime."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--photos", type=Path, default=DATA / "makeup_photos")
    parser.add_argument("--tflite", type=Path, help="folder of the TFLite files, for LiteRT")
    arguments = parser.parse_args()
    cv2.setNumThreads(1)
    windows = _windows(arguments.photos)
    if not windows:
        raise SystemExit(f"{arguments.photos} has no photographs (.jpg): name a folder, --photos")
    for model in FaceModel:
        pixels = [2 * each - 1 if model is FaceModel.DETECTOR else each for each in windows]
        runtimes = {"onnxruntime": _onnxruntime(model), f"OpenCV {cv2.__version__}": _opencv(model)}
        if arguments.tflite:
            runtimes["LiteRT"] = _litert(model, arguments.tflite)
        expected: list[list[Pixels]] = []
        for name, run in runtimes.items():
            times, difference = [], 0.0
            for _ in range(_ROUNDS):
                for each in pixels:
                    start = time.process_time()
                    run(each)
                    times.append(time.process_time() - start)
            outputs = [[np.array(array).ravel() for array in run(each)] for each in pixels]
            expected = expected or outputs
            for ours, theirs in zip(expected, outputs, strict=True):
                pairs = zip(ours, theirs, strict=True)
                difference = max(difference, *(float(np.abs(a - b).max()) for a, b in pairs))
            milliseconds = 1000 * statistics.median(times)
            print(
                f"{Path(model).stem:<26} {name:<14} {milliseconds:5.2f} ms, outputs differ "
                f"from onnxruntime's by {difference:.1e} at most"
            )


if __name__ == "__main__":
    main()
