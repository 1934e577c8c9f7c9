"""The shipped recipes: the search phrases and the settings of every stage, for a pair of domains.

``flows/deployments.py`` makes deployments of them. Another pair of domains needs only parameters:
start from one of these, or from ``suyan run --recipe makeup --show``, and change the phrases.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from evaluation.config import EvaluateConfig
from flows.parameters import PipelineParameters
from preprocessing.config import PrepareConfig
from scraping.config import CrawlConfig
from training.config import demo as demo_training
from training.config import reference as reference_training

MAKEUP_PHRASES = (
    "化妆 妆容 正面",
    "精致妆容 女生 自拍",
    "浓妆 人像 特写",
    "新娘妆 正脸",
    "红唇 妆容 近照",
    "眼妆 全脸 妆容",
    "彩妆 模特 面部",
    "美妆博主 妆容",
)
BARE_PHRASES = (
    "素颜 女生 正面",
    "素颜照 自拍",
    "素颜 近照 真实",
    "无妆 人像 正脸",
    "素颜 证件照",
    "卸妆后 素颜",
    "裸脸 女生",
    "明星 素颜照",
)
PORTRAIT_SUFFIXES = ("高清", "近照")
SUMMER_PHRASES = ("夏天 山 风景", "夏季 森林 风景 摄影", "夏天 草原 风光", "夏日 湖 山 风景照")
WINTER_PHRASES = ("冬天 山 雪景", "冬季 森林 雪景 摄影", "冬天 草原 雪", "冬日 湖 雪山 风景照")
_TEST_FRACTION = 0.4  # of about 640 usable pictures of 800: 250 a side are held out
_DEMO_TEST_FRACTION = 0.36  # of about 312 usable pictures of 400: 198 for training, 115 held out


def makeup() -> PipelineParameters:
    """The default recipe: faces with make-up (A, ``makeup``) ↔ bare faces (B, ``bare``)."""
    return PipelineParameters(
        recipe="makeup",
        crawl_a=CrawlConfig(domain="makeup", phrases=MAKEUP_PHRASES, suffixes=PORTRAIT_SUFFIXES),
        crawl_b=CrawlConfig(domain="bare", phrases=BARE_PHRASES, suffixes=PORTRAIT_SUFFIXES),
        prepare=PrepareConfig(domain_a="makeup", domain_b="bare", test_fraction=_TEST_FRACTION),
        train=reference_training(),
        evaluate=EvaluateConfig(),
    )


def seasons() -> PipelineParameters:
    """A recipe without faces: summer (A) ↔ winter (B) landscapes, whole pictures."""
    return PipelineParameters(
        recipe="seasons",
        crawl_a=CrawlConfig(domain="summer", phrases=SUMMER_PHRASES, suffixes=("高清",)),
        crawl_b=CrawlConfig(domain="winter", phrases=WINTER_PHRASES, suffixes=("高清",)),
        prepare=PrepareConfig(
            domain_a="summer", domain_b="winter", faces=False, test_fraction=_TEST_FRACTION
        ),
        train=reference_training(),
        evaluate=EvaluateConfig(),
    )


RECIPES: Mapping[str, Callable[[], PipelineParameters]] = MappingProxyType(
    {"makeup": makeup, "seasons": seasons}
)
"""The parameters of each recipe, by its name."""


@dataclass(frozen=True)
class Title:
    """The titles of a recipe and its two domains, for people."""

    recipe: str
    domain_a: str
    domain_b: str


TITLES: Mapping[str, Title] = MappingProxyType(
    {
        "makeup": Title("make-up", "make-up", "bare face"),
        "seasons": Title("seasons", "summer", "winter"),
    }
)


def with_engine(
    parameters: PipelineParameters, engine_url: str, *, allow_private_hosts: bool
) -> PipelineParameters:
    """``parameters`` that search at ``engine_url`` instead of Baidu."""
    change = {"engine_url": engine_url, "allow_private_hosts": allow_private_hosts}
    return _checked(
        parameters,
        crawl_a=parameters.crawl_a.model_dump() | change,
        crawl_b=parameters.crawl_b.model_dump() | change,
    )


def with_num_images(parameters: PipelineParameters, num_images: int) -> PipelineParameters:
    """``parameters`` with ``num_images`` originals for each domain."""
    return _checked(
        parameters,
        crawl_a=parameters.crawl_a.model_dump() | {"num_images": num_images},
        crawl_b=parameters.crawl_b.model_dump() | {"num_images": num_images},
    )


def _checked(parameters: PipelineParameters, **changes: object) -> PipelineParameters:
    """A validated copy: pydantic's own ``model_copy`` does not check the new values."""
    return PipelineParameters.model_validate(parameters.model_dump() | changes)


def demo(engine_url: str, truth: Path, num_images: int = 400) -> PipelineParameters:
    """The make-up recipe at a size that two CPU cores train in minutes, searching ``engine_url``.

    ``truth`` holds the true counterparts that the evaluation compares with.
    """
    base = with_engine(makeup(), engine_url, allow_private_hosts=True)
    train = demo_training()
    prepare = {"test_fraction": _DEMO_TEST_FRACTION, "crop_px": train.load_px}
    changes = {  # the offline engine serves only this crawl, which need not be polite
        "num_images": num_images,
        "requests_per_s_per_host": 100.0,
        "search_interval_s": 0.1,
    }
    return _checked(
        base,
        crawl_a=base.crawl_a.model_dump() | changes,
        crawl_b=base.crawl_b.model_dump() | changes,
        prepare=base.prepare.model_dump() | prepare,
        train=train,
        evaluate=base.evaluate.model_dump() | {"truth": truth, "inception": "cached"},
    )
