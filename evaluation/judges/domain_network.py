"""A judge that learns the two domains anew: a small network, trained on real pictures alone.

This is a classifier two-sample test (Lopez-Paz and Oquab 2017, arXiv 1610.06545) that goes on to
compare its features, so that too strong a change counts, too. It learns from three quarters of the
training pictures of a dataset; the last quarter says how far real pictures are from real ones.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from itertools import repeat
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits

from evaluation.arrays import Array, Pictures
from evaluation.features.extractor import Extractor, cached, content_key
from evaluation.judges.judge import JudgedPictures
from evaluation.judges.judge_kinds import JudgeKind, View
from evaluation.judges.picture_views import cut_view, resized
from preprocessing.analysis.face_windows import Alignment

_WIDTHS = (16, 32, 48, 64)
_PX = 64  # longer side of a view
_NUM_STEPS = 300
_MAX_EPOCHS = 60
_BATCH_SIZE = 32  # half of each domain
_LEARNING_RATE = 3e-3
_WEIGHT_DECAY = 1e-2
_DROPOUT = 0.3
_SMOOTHING = 0.05  # of the labels
_MAX_SHIFT_PX = 3
_LIGHT = 0.1  # largest change of contrast and of brightness, of [-1, 1]
_LEARNED_SHARE = 0.75
_SEED = 0


class DomainNetwork:
    """The judge. Networks and features of pictures are cached in the folder ``cache``.

    ``load_train`` loads the training pictures of the sides ``A`` and ``B``.
    """

    kind = JudgeKind.DOMAIN_NETWORK
    decorrelates = False

    def __init__(
        self,
        load_train: Mapping[str, Callable[[], Pictures]],
        views: tuple[View, ...],
        alignment: Alignment | None,
        cache: Path,
    ) -> None:
        self._alignment = alignment
        learned: dict[View, list[Tensor]] = {view: [] for view in views}
        for load in load_train.values():
            pictures = load()
            indices, _ = _split(len(pictures))
            for view in views:
                part = torch.from_numpy(cut_view(pictures[indices], view, alignment))
                learned[view].append(resized(part, _PX, enlarges=True))
        self._learned = {view: (a, b) for view, (a, b) in learned.items()}
        self._cache = cache
        self._extractors = {view: self._extractor(view) for view in views}

    def features(self, judged: JudgedPictures, view: View) -> Array:
        """Mean and maximum of each channel of the last layer: ``[N, 128]``."""
        return self._extractors[view](cut_view(judged.pictures, view, self._alignment))

    def _extractor(self, view: View) -> Extractor:
        """The features of the view's network; the networks are trained when one is needed."""

        def extract(pictures: Tensor) -> Tensor:
            return self._networks[view].features(resized(pictures, _PX, enlarges=True))

        return Extractor(
            key="domain network",
            name="domain network",
            identity=_identity(*self._learned[view]),
            comparable_with_published=False,
            num_features=2 * _WIDTHS[-1],
            network=extract,
            batch_size=_BATCH_SIZE,
            cache=self._cache,
        )

    @cached_property
    def _networks(self) -> dict[View, _Classifier]:
        """The network of each view; those that are not stored learn at the same time.

        Each has one thread, so that sums have one order on every machine of a kind.
        """
        num_threads = torch.get_num_threads()
        try:
            with ThreadPoolExecutor(
                num_threads, initializer=torch.set_num_threads, initargs=(1,)
            ) as pool:
                sides = zip(*self._learned.values(), strict=True)
                networks = pool.map(_load_or_train, *sides, repeat(self._cache))
                return dict(zip(self._learned, networks, strict=True))
        finally:
            torch.set_num_threads(num_threads)  # else later threads begin with one

    def unlearned(self, num: int) -> NDArray[np.int_]:
        """The quarter of ``num`` pictures that the networks did not learn from."""
        return _split(num)[1]


class _Classifier(nn.Module):
    """``[N, 3, h, w]`` → a logit, above 0 for the second domain."""

    def __init__(self) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        channels = 3
        for width in _WIDTHS:
            conv = nn.Conv2d(channels, width, 3, stride=2, padding=1, bias=False)
            layers += [conv, nn.BatchNorm2d(width), nn.ReLU()]
            channels = width
        self.body = nn.Sequential(*layers)
        self.head = nn.Linear(2 * channels, 1)

    def features(self, x: Tensor) -> Tensor:
        """``[N, 128]``."""
        x = self.body(x)
        return torch.cat([x.mean(dim=(2, 3)), x.amax(dim=(2, 3))], dim=1)


def _split(num: int) -> tuple[NDArray[np.int_], NDArray[np.int_]]:
    """Indices of the pictures to learn from, and of the rest, in their order."""
    order = np.random.default_rng(_SEED).permutation(num)
    num_learned = round(_LEARNED_SHARE * num)
    return np.sort(order[:num_learned]), np.sort(order[num_learned:])


def _identity(a: Tensor, b: Tensor) -> str:
    """What the network that tells ``a`` from ``b`` depends on."""
    sha256 = hashlib.sha256()
    for side in (a, b):
        sha256.update(str(tuple(side.shape)).encode())
        sha256.update(side.numpy().tobytes())
    settings = (
        _WIDTHS, _PX, _NUM_STEPS, _MAX_EPOCHS, _BATCH_SIZE, _LEARNING_RATE, _WEIGHT_DECAY,
        _DROPOUT, _SMOOTHING, _MAX_SHIFT_PX, _LIGHT, _SEED,
    )  # fmt: skip
    return f"domain network {settings} {sha256.hexdigest()}, 1"


@torch.inference_mode(mode=False)
def _load_or_train(a: Tensor, b: Tensor, cache: Path) -> _Classifier:
    """The network that tells ``a`` from ``b``; its weights lie in ``cache`` as a row of numbers."""
    network = _Classifier()
    tensors = [each for each in network.state_dict().values() if each.is_floating_point()]
    ends = np.cumsum([each.numel() for each in tensors])
    store = Extractor(
        key="domain network",
        name="weights of a domain network",
        identity=f"weights of {_identity(a, b)}",
        comparable_with_published=False,
        num_features=int(ends[-1]),
        network=nn.Identity(),
        cache=cache,
    )

    def train() -> NDArray[np.float32]:
        with torch.enable_grad():
            _train(network, a, b)
        return torch.cat([each.flatten() for each in tensors])[None].numpy()

    row = cached(store, content_key(store, []), train)[0]
    for tensor, values in zip(tensors, np.split(row, ends[:-1]), strict=True):
        tensor.copy_(torch.from_numpy(values).view_as(tensor))
    return network.eval()


def _train(network: _Classifier, a: Tensor, b: Tensor) -> None:
    """Minimise the smoothed log loss; the same pictures give the same weights."""
    random = torch.Generator().manual_seed(_SEED)
    for parameter in network.parameters():
        if parameter.dim() > 1:
            nn.init.kaiming_normal_(parameter, nonlinearity="relu", generator=random)
    nn.init.zeros_(network.head.bias)
    network.train()
    half = _BATCH_SIZE // 2
    num_steps = max(1, min(_NUM_STEPS, _MAX_EPOCHS * max(len(a), len(b)) // half))
    optimizer = torch.optim.AdamW(network.parameters(), _LEARNING_RATE, weight_decay=_WEIGHT_DECAY)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, _LEARNING_RATE, total_steps=num_steps)
    labels = torch.cat([torch.full((half,), _SMOOTHING), torch.full((half,), 1 - _SMOOTHING)])
    for _ in range(num_steps):
        drawn = [side[torch.randint(len(side), (half,), generator=random)] for side in (a, b)]
        x = network.features(_augmented(torch.cat(drawn), random))
        keep = torch.rand(x.shape, generator=random) >= _DROPOUT
        logits = network.head(x * keep / (1 - _DROPOUT))[:, 0]
        loss = binary_cross_entropy_with_logits(logits, labels)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        schedule.step()
    network.eval()


def _augmented(x: Tensor, random: torch.Generator) -> Tensor:
    """Mirrored, shifted and lit at random, so that few pictures teach no single face or scene."""
    num = len(x)
    mirrored = torch.rand(num, 1, 1, 1, generator=random) < 0.5
    x = torch.where(mirrored, x.flip(3), x)
    shifts = torch.randint(-_MAX_SHIFT_PX, _MAX_SHIFT_PX + 1, (2,), generator=random)
    x = torch.roll(x, shifts.tolist(), (2, 3))
    contrast, brightness = _LIGHT * (2 * torch.rand(2, num, 1, 1, 1, generator=random) - 1)
    lit: Tensor = x * (1 + contrast) + brightness
    return lit
