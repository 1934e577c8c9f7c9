"""The standard Inception features of published FID and KID, if their weights are available.

The network is torch-fidelity's ``FeatureExtractorInceptionV3`` (TensorFlow's of 2015-12-05, its
2048 pooled activations). Its weights (95.7 MB) are in no package: they come from a configured file
or from torch's cache, into which they are downloaded once. The arithmetic is rearranged for speed
(batch norm folded into the convolutions, channels last, a pair of matrices for TensorFlow 1's
resize); the tests and ``benchmarks/evaluate.py`` compare the figures with torch-fidelity's.
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Literal

import numpy as np
import requests
import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval
from torch_fidelity.feature_extractor_inceptionv3 import (
    URL_INCEPTION_V3,
    BasicConv2d,
    FeatureExtractorInceptionV3,
)

from core.errors import MissingModelError
from core.files import atomic_file, file_sha256
from core.language.messages import localised
from core.progress import Progress, silent
from evaluation.features.extractor import Extractor

Policy = Literal["auto", "cached", "never"]

NUM_FEATURES = 2048
_PX = 299
_SHA256_PREFIX = "6726825d"  # of the published file, as in its name
_NUM_BYTES = 95_700_000  # approximate, for the progress
_TIMEOUT_S = (5.0, 30.0)  # to connect, and for each chunk
_CHUNK_BYTES = 1 << 20
_LAYERS = (
    "Conv2d_1a_3x3", "Conv2d_2a_3x3", "Conv2d_2b_3x3", "MaxPool_1", "Conv2d_3b_1x1",
    "Conv2d_4a_3x3", "MaxPool_2", "Mixed_5b", "Mixed_5c", "Mixed_5d", "Mixed_6a", "Mixed_6b",
    "Mixed_6c", "Mixed_6d", "Mixed_6e", "Mixed_7a", "Mixed_7b", "Mixed_7c",
)  # fmt: skip


def cache_path() -> Path:
    """The weights' file in torch's cache, ``$TORCH_HOME/hub/checkpoints/…``."""
    folder: str = torch.hub.get_dir()
    url: str = URL_INCEPTION_V3
    return Path(folder) / "checkpoints" / url.rsplit("/", 1)[1]


def find_weights(
    policy: Policy,
    weights: Path | None,
    *,
    url: str = URL_INCEPTION_V3,
    progress: Progress = silent,
) -> tuple[Path | None, str]:
    """The weights' file and ``""``; or ``None`` and a sentence with the reason and the remedy.

    ``weights`` comes first, then the cache; ``auto`` downloads them into the cache.
    Raises ``ValueError`` when ``weights`` is no file.
    """
    if policy == "never":
        return None, "They were switched off (evaluate.inception = never)."
    if weights is not None:
        if not weights.is_file():
            raise ValueError(
                localised(
                    "evaluate.inception_weights: found no file {weights}; needed {name} from "
                    "{url}, or leave the option out",
                    weights=weights,
                    name=cache_path().name,
                    url=url,
                )
            )
        return weights, ""
    cache = cache_path()
    if cache.is_file():
        return cache, ""
    # without the name of the home folder, since reports are passed on
    place = str(cache).replace(str(Path.home()), "~", 1)
    remedy = f"Put {url} at {place}, or name a copy with evaluate.inception_weights."
    if policy == "cached":
        return None, f"Their weights are not in the cache, and none were to be fetched. {remedy}"
    try:
        _download(url, cache, progress)
    except (requests.RequestException, OSError, ValueError) as error:
        return None, f"Their weights could not be fetched ({_brief(error)}). {remedy}"
    return cache, ""


def _brief(error: Exception) -> str:
    return str(error)[:160] or type(error).__name__


def _download(url: str, path: Path, progress: Progress) -> None:
    done = 0
    with requests.get(url, stream=True, timeout=_TIMEOUT_S) as answer:
        answer.raise_for_status()
        total = int(answer.headers.get("Content-Length", _NUM_BYTES))
        with atomic_file(path) as file:
            for chunk in answer.iter_content(_CHUNK_BYTES):
                file.write(chunk)
                done += len(chunk)
                progress("evaluate: fetch the Inception weights", done, max(done, total), "")
            file.flush()
            sha256 = file_sha256(Path(file.name))
            if not sha256.startswith(_SHA256_PREFIX):
                raise ValueError(
                    localised(
                        "got {done} bytes with sha256 {sha256}…, needed {prefix}…",
                        done=done,
                        sha256=sha256[:8],
                        prefix=_SHA256_PREFIX,
                    )
                )


def load_inception(weights: Path, device: str = "cpu", batch_size: int = 8) -> Extractor:
    """The network with these weights; only with the published file are figures comparable.

    Raises ``MissingModelError`` for a file that does not hold this network's weights.
    """
    try:
        torch.load(weights, map_location="cpu", weights_only=True)  # refuses code in the file
        network = FeatureExtractorInceptionV3(
            "inception-v3-compat", ["2048"], feature_extractor_weights_path=str(weights)
        )
    except Exception as error:  # torch raises half a dozen types on torn files
        raise MissingModelError(
            localised(
                "{weights}: not the Inception weights of torch-fidelity ({brief}); remove "
                "the file, or fetch {url}",
                weights=weights,
                brief=_brief(error),
                url=URL_INCEPTION_V3,
            )
        ) from error
    sha256 = file_sha256(weights)
    published = sha256.startswith(_SHA256_PREFIX)
    origin = "2015-12-05" if published else f"weights of unknown origin, sha256 {sha256[:8]}…"
    return Extractor(
        key="inception",
        name=f"Inception v3 ({origin}), 2048 features at 299 px",
        identity=f"inception {sha256}, tensorflow 1 bilinear 299 px, 1",
        comparable_with_published=published,
        num_features=NUM_FEATURES,
        network=_Inception(network).to(device).eval(),
        device=device,
        batch_size=batch_size,
    )


class _Inception(nn.Module):
    """``[N, H, W, 3]`` uint8 → ``[N, 2048]`` float32."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        for module in network.modules():
            if isinstance(module, BasicConv2d):
                module.conv = fuse_conv_bn_eval(module.conv, module.bn)
                module.bn = nn.Identity()
        layers = (getattr(network, name) for name in _LAYERS)
        self._layers = nn.Sequential(*layers).to(memory_format=torch.channels_last)

    def forward(self, pictures: Tensor) -> Tensor:
        _, height, width, _ = pictures.shape
        x = pictures.float()
        x = torch.einsum("oh,nhwc->nowc", _resize_matrix(height).to(x.device), x)
        x = torch.einsum("pw,nowc->nopc", _resize_matrix(width).to(x.device), x)
        x = ((x - 128) / 128).permute(0, 3, 1, 2)
        x = self._layers(x)  # [N, 2048, 8, 8]
        pooled: Tensor = x.mean(dim=(2, 3))
        return pooled


@lru_cache(maxsize=8)
def _resize_matrix(size: int) -> Tensor:
    """``[299, size]``: bilinear as TensorFlow 1 does it, without half-pixel centres."""
    at = torch.arange(_PX, dtype=torch.float32) * torch.tensor(size / _PX, dtype=torch.float32)
    low = at.long()
    share = (at - low).numpy()
    rows = np.arange(_PX)
    matrix = np.zeros((_PX, size), np.float32)
    matrix[rows, low.numpy()] += 1 - share
    matrix[rows, np.minimum(low.numpy() + 1, size - 1)] += share
    return torch.from_numpy(matrix)
