"""The corpus of the offline engine: for each domain the items that a search for it returns.

A picture is drawn when it is requested. Like a real search, this one returns junk too, in a fixed
proportion and order.
"""

from __future__ import annotations

import functools
import io
import itertools
import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, get_args

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from core.image_formats import PILLOW_NAMES, SUFFIXES, sniff
from core.language.messages import localised
from scraping.offline import landscapes, portraits

HostFault = Literal[
    "odd-header",
    "no-colon",
    "early-hints",
    "gzip",
    "false-encoding",
    "false-length",
    "hotlink",
    "endless-header",
    "http-0.9",
    "bad-chunks",
    "bad-redirect",
    "odd-status",
    "no-answer",
    "cookie",
    "status-203",
]
"""A fault of a host, which ``raw_host.HOST_FAULTS`` makes."""

Behaviour = (
    Literal[
        "serve",
        "forbidden",
        "missing",
        "redirect",
        "html",
        "cut",
        "slow",
        "gone",  # the original is missing, and its thumbnail is served
    ]
    | HostFault
)
_FAULTY_SHARE = 4  # one picture in so many gets a fault
_logger = logging.getLogger(__name__)
_DOMAIN_STRIDE = 1_000_000  # between the seeds of two domains, so that they show different people


@dataclass(frozen=True)
class Item:
    """One search result: the function that makes its file, and the behaviour of its host."""

    name: str  # unique within the corpus; part of its address
    title: str
    make: Callable[[], bytes]
    behaviour: Behaviour = "serve"
    pair: Callable[[], tuple[bytes, NDArray[np.uint8]]] | None = None  # makes it with its truth
    is_drawn: bool = True  # False: a file of the user's

    @functools.cached_property
    def body(self) -> bytes:
        """The file's bytes, computed once."""
        return self.make()

    def truth(self) -> NDArray[np.uint8]:
        """The counterpart of an item that has one, ``[H, W, 3]`` uint8 RGB; ``body`` is kept too.

        Both are drawn at once, which takes half of the time.
        """
        assert self.pair is not None
        vars(self)["body"], counterpart = self.pair()
        return counterpart


@dataclass(frozen=True)
class Corpus:
    """Items by domain, and the words in a search phrase that stand for a domain."""

    items: Mapping[str, tuple[Item, ...]]
    words: Mapping[str, tuple[str, ...]]

    def search(self, phrase: str) -> tuple[Item, ...]:
        """The items that a search for ``phrase`` returns, in an order that depends on it.

        The items are those of the first domain in ``words`` with a word that is in the phrase; a
        phrase without such a word has none.
        """
        for domain, words in self.words.items():
            if any(word in phrase for word in (*words, domain)):
                rng = np.random.default_rng(list(phrase.encode()))
                items = self.items.get(domain, ())
                return tuple(items[index] for index in rng.permutation(len(items)))
        return ()


_WORDS = {  # bare before makeup: 卸妆 and 无妆 contain 妆
    "bare": ("素颜", "卸妆", "无妆", "裸脸"),
    "makeup": ("妆", "红唇"),
    "summer": ("夏",),
    "winter": ("冬", "雪"),
}


def portrait_corpus(num_good: int = 260, seed: int = 0) -> Corpus:
    """A corpus of drawn people, ``num_good`` with make-up and as many others without, and junk."""
    items = {}
    for number, domain in enumerate(("bare", "makeup")):
        first = seed * 10 * _DOMAIN_STRIDE + number * _DOMAIN_STRIDE
        good = [_portrait(domain, first + index) for index in range(num_good)]
        items[domain] = (*good, *_copies(domain, first, num_good), *_junk(domain, first, num_good))
    shared = tuple(
        _portrait("makeup", 7 * _DOMAIN_STRIDE + index) for index in range(num_good // 40)
    )
    items["makeup"] += shared
    items["bare"] += tuple(
        Item(f"bare-{item.name}", item.title, item.make, pair=item.pair) for item in shared
    )
    return Corpus(items, _WORDS)


def landscape_corpus(num_good: int = 260, seed: int = 0) -> Corpus:
    """A corpus of drawn landscapes, ``num_good`` in summer and in winter each, and junk."""
    items = {}
    for number, domain in enumerate(("summer", "winter")):
        first = seed * 10 * _DOMAIN_STRIDE + number * _DOMAIN_STRIDE
        items[domain] = tuple(
            Item(f"{domain}-{first + index}", f"{domain} 风景", _landscape(first + index, domain))
            for index in range(num_good)
        ) + _broken(domain, max(2, num_good // 30))
    return Corpus(items, _WORDS)


def host_faults(names: Iterable[str]) -> list[HostFault]:
    """The faults of these names; ``all`` stands for every one. Raises ``ValueError``."""
    faults: tuple[HostFault, ...] = get_args(HostFault)
    chosen: list[HostFault] = []
    for name in names:
        matching = [fault for fault in faults if name in {fault, "all"}]
        if not matching:
            raise ValueError(
                localised(
                    "host fault: got {name!r}, needed all or one of {names}",
                    name=name,
                    names=", ".join(faults),
                )
            )
        chosen += matching
    return chosen


def with_faults(corpus: Corpus, faults: Sequence[HostFault]) -> Corpus:
    """The corpus with these faults in turn, for one in four of the pictures of each domain."""
    if not faults:
        return corpus
    items = {}
    for domain, domain_items in corpus.items.items():
        kinds = itertools.cycle(faults)
        items[domain] = tuple(
            replace(item, behaviour=next(kinds)) if number % _FAULTY_SHARE == 0 else item
            for number, item in enumerate(domain_items)
        )
    return replace(corpus, items=items)


def folder_corpus(sources: Mapping[str, Path]) -> Corpus:
    """A corpus of the user's own pictures: a folder, with its subfolders, for each domain.

    A picture is what has a picture's first bytes or suffix; the number of all other files is
    logged. Raises ``ValueError`` for a folder without pictures.
    """
    items = {}
    for domain, folder in sources.items():
        paths = _picture_files(folder)
        if not paths:
            raise ValueError(
                localised(
                    "{folder}: found no picture, needed at least one file in a format of {names}",
                    folder=folder,
                    names=", ".join(PILLOW_NAMES),
                )
            )
        items[domain] = tuple(
            Item(
                f"{domain}-{number}", path.name, functools.partial(_file_body, path), is_drawn=False
            )
            for number, path in enumerate(paths)
        )
    words = {domain: _WORDS.get(domain, ()) for domain in _WORDS if domain in items}
    return Corpus(items, words | {domain: () for domain in items if domain not in words})


def _picture_files(folder: Path) -> list[Path]:
    files = [
        path
        for path in sorted(folder.rglob("*"))
        if path.is_file()
        and not any(part.startswith(".") for part in path.relative_to(folder).parts)
    ]
    paths = [path for path in files if path.suffix.lower() in SUFFIXES or sniff(_head(path))]
    if len(paths) < len(files):
        _logger.warning(
            localised(
                "%s: %d of %d files are left out: neither their first bytes nor their names are "
                "those of a picture"
            ),
            folder, len(files) - len(paths), len(files),
        )  # fmt: skip
    return paths


def _head(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(16)
    except OSError:
        return b""


def _file_body(path: Path) -> bytes:
    """The file's bytes; none where it was removed or cannot be read."""
    try:
        return path.read_bytes()
    except OSError:
        return b""


def portrait(domain: str, seed: int) -> NDArray[np.uint8]:
    """The drawn person of this seed as in ``domain``: ``[H, W, 3]`` uint8 RGB."""
    makeup = portraits.Makeup.seeded(seed) if domain == "makeup" else None
    person, shot = portraits.Person.seeded(seed), portraits.Shot.seeded(seed)
    return portraits.draw(person, shot, makeup, *_portrait_size(seed))


def portrait_and_counterpart(domain: str, seed: int) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """``portrait`` of ``domain``, and that of the other one, in half of the time."""
    makeup = portraits.Makeup.seeded(seed)
    person, shot = portraits.Person.seeded(seed), portraits.Shot.seeded(seed)
    bare, made_up = portraits.draw_pair(person, shot, makeup, *_portrait_size(seed))
    return (made_up, bare) if domain == "makeup" else (bare, made_up)


def _portrait_size(seed: int) -> tuple[int, int]:
    rng = np.random.default_rng([seed, 7])
    height = int(rng.integers(380, 520))
    return height, int(height * rng.uniform(0.75, 1.0))


def jpeg(picture: NDArray[np.uint8], quality: int = 92) -> bytes:
    """``[H, W, 3]`` uint8 RGB as a JPEG file."""
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, "JPEG", quality=quality)
    return buffer.getvalue()


def _pair(
    domain: str, seed: int, quality: int = 92, scale: float = 1
) -> tuple[bytes, NDArray[np.uint8]]:
    """The JPEG of a portrait, and its counterpart."""
    served, counterpart = portrait_and_counterpart(domain, seed)
    if scale != 1:
        served, counterpart = _resized(served, scale), _resized(counterpart, scale)
    return jpeg(served, quality), counterpart


def _portrait(domain: str, seed: int) -> Item:
    subject = "精致<strong>妆容</strong>" if domain == "makeup" else "<strong>素颜</strong>照"
    return Item(
        f"{domain}-{seed}",
        f"{subject} {seed}",
        lambda: jpeg(portrait(domain, seed)),
        "slow" if seed % 53 == 5 else "redirect" if seed % 41 == 7 else "serve",
        lambda: _pair(domain, seed),
    )


def _copies(domain: str, first: int, num_good: int) -> Iterable[Item]:
    """Copies of some pictures: identical, recompressed, and smaller."""
    for index in range(0, num_good, 12):
        seed = first + index
        yield Item(f"{domain}-copy-{seed}", "转载", lambda s=seed: jpeg(portrait(domain, s)))  # type: ignore[misc]
        yield Item(
            f"{domain}-recoded-{seed + 1}",
            "转载",
            lambda s=seed + 1: jpeg(portrait(domain, s), 40),  # type: ignore[misc]
            pair=lambda s=seed + 1: _pair(domain, s, 40),  # type: ignore[misc]
        )
        yield Item(
            f"{domain}-resized-{seed + 2}",
            "缩略图",
            lambda s=seed + 2: jpeg(_resized(portrait(domain, s), 0.6)),  # type: ignore[misc]
            pair=lambda s=seed + 2: _pair(domain, s, scale=0.6),  # type: ignore[misc]
        )


def _junk(domain: str, first: int, num_good: int) -> Iterable[Item]:
    """Groups, still lifes, tiny and huge pictures, and broken files."""
    for index in range(max(2, num_good // 26)):
        seed = first + 500_000 + index
        yield Item(f"{domain}-group-{seed}", "合影", lambda s=seed: jpeg(group(domain, s)))  # type: ignore[misc]
        yield Item(f"{domain}-object-{seed}", "化妆品", lambda s=seed: jpeg(_still_life(s)))  # type: ignore[misc]
    tiny, huge = first + 600_000, first + 600_001
    yield Item(f"{domain}-tiny", "头像", lambda: jpeg(_resized(portrait(domain, tiny), 0.08)))
    yield Item(f"{domain}-huge", "高清", lambda: jpeg(_resized(portrait(domain, huge), 7.0)))
    yield from _broken(domain, max(2, num_good // 40))


def _broken(domain: str, num_each: int) -> tuple[Item, ...]:
    """Broken files: forbidden, missing, HTML, cut short, noise after a JPEG's first bytes."""

    def noise(seed: int) -> bytes:
        return b"\xff\xd8\xff\xe0" + np.random.default_rng(seed).bytes(4000)

    items = []
    for index in range(num_each):
        for behaviour in ("forbidden", "missing", "html", "cut"):
            name = f"{domain}-{behaviour}-{index}"
            items.append(Item(name, "图片", lambda i=index: noise(i), behaviour))  # type: ignore[misc]
        items.append(Item(f"{domain}-noise-{index}", "图片", lambda i=index: noise(i)))  # type: ignore[misc]
    return tuple(items)


def _landscape(seed: int, domain: str) -> Callable[[], bytes]:
    return lambda: jpeg(landscapes.draw(seed, winter=domain == "winter"))


def _resized(picture: NDArray[np.uint8], scale: float) -> NDArray[np.uint8]:
    method = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(picture, None, fx=scale, fy=scale, interpolation=method), np.uint8)


def group(domain: str, seed: int) -> NDArray[np.uint8]:
    """Three drawn people side by side: ``[320, 780, 3]`` uint8 RGB."""
    makeup = portraits.Makeup.seeded(seed) if domain == "makeup" else None
    people = [
        portraits.draw(
            portraits.Person.seeded(seed + i), portraits.Shot.seeded(seed + i), makeup, 320, 260
        )
        for i in range(0, 3000, 1000)
    ]
    return np.concatenate(people, axis=1)


def _still_life(seed: int) -> NDArray[np.uint8]:
    """A still life of boxes and discs."""
    rng = np.random.default_rng([seed, 8])
    picture = np.full((400, 480, 3), rng.uniform(120, 240, 3), np.float32)
    for _ in range(int(rng.integers(4, 12))):
        x, y = rng.integers(0, 480), rng.integers(0, 400)
        colour = rng.uniform(0, 255, 3).tolist()
        if rng.random() < 0.5:
            size = rng.integers(20, 160, 2)
            corner = (int(x + size[0]), int(y + size[1]))
            cv2.rectangle(picture, (int(x), int(y)), corner, colour, -1, cv2.LINE_AA)
        else:
            cv2.circle(
                picture, (int(x), int(y)), int(rng.integers(15, 90)), colour, -1, cv2.LINE_AA
            )
    picture += 4 * rng.standard_normal(picture.shape, dtype=np.float32)
    return np.asarray(np.clip(cv2.GaussianBlur(picture, (0, 0), 1.2), 0, 255), np.uint8)
