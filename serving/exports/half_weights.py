"""Weights of an ONNX file in half the bytes: stored as float16, computed in float32."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

_MIN_WEIGHTS = 256  # of a tensor; smaller ones (biases, statistics, constants) stay as they are


def halve_weights(file: Path) -> bytes:
    """The bytes of the ONNX file with its large float32 tensors as float16.

    A ``Cast`` restores float32 before the first use, so that every program that runs the file runs
    the result, as fast. The caller checks how far the outputs move.
    """
    import onnx  # noqa: PLC0415 - the packages of the extra "export"
    from onnx import numpy_helper  # noqa: PLC0415

    proto = onnx.load(file)
    casts: list[Any] = []
    for tensor in proto.graph.initializer:
        values = numpy_helper.to_array(tensor)
        if values.dtype != np.float32 or values.size < _MIN_WEIGHTS:
            continue
        half = values.astype(np.float16)
        if not np.isfinite(half).all():  # beyond 65,504
            continue
        name = tensor.name
        tensor.CopyFrom(numpy_helper.from_array(half, f"{name}_half"))
        casts.append(onnx.helper.make_node("Cast", [f"{name}_half"], [name], to=1))
    nodes = [*casts, *proto.graph.node]
    del proto.graph.node[:]
    proto.graph.node.extend(nodes)
    onnx.checker.check_model(proto)
    content: bytes = proto.SerializeToString()
    return content
