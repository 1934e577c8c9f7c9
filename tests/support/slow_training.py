"""The flow ``train`` with a step that computes for minutes in C code, where Python runs no signal
handler; for ``tests/flows/test_cancellation.py``, whose worker loads it.
"""

import hashlib
import logging
from typing import Any

from flows.model import train
from training.algorithm.cyclegan import CycleGan
from training.run import rescue_copy
from training.runtime import step_time

__all__ = ["train"]
LONG_STEP = 4
_step = CycleGan.step


def _slow_step(gan: CycleGan, *pictures: Any) -> Any:
    losses = _step(gan, *pictures)
    if gan.num_steps == LONG_STEP:
        logging.getLogger("training").warning("a long step begins")
        hashlib.pbkdf2_hmac("sha256", b"", b"", 2**31 - 1)
    return losses


CycleGan.step = _slow_step  # type: ignore[method-assign]
# Timed steps before the training would be the long one.
step_time.measure_step_time = lambda *_: step_time.StepTime(0.01, 0.01, "cpu")
rescue_copy._LEAST_STEP_S = rescue_copy._INTERVAL_S = 0.0  # as if every step were long
