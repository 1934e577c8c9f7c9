"""The shipped recipes, which are files in ``flows/recipe_files``, and the demo's.

``flows/deployments.py`` makes deployments of them. ``suyan recipe new`` begins another one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from types import MappingProxyType

from flows.parameters import PipelineParameters
from flows.recipe_files.library import SHIPPED_NAMES, shipped_recipe
from training.standard_configs import demo as demo_training

_DEMO_TEST_FRACTION = 0.36  # of about 312 usable pictures of 400: 198 for training, 115 held out


def _parameters(name: str) -> PipelineParameters:
    return shipped_recipe(name).parameters


RECIPES: Mapping[str, Callable[[], PipelineParameters]] = MappingProxyType(
    {name: partial(_parameters, name) for name in SHIPPED_NAMES}
)
"""The parameters of each shipped recipe, by its name."""


def seasons() -> PipelineParameters:
    """A recipe without faces: summer (A) ↔ winter (B) landscapes, whole pictures."""
    return _parameters("seasons")


def makeup() -> PipelineParameters:
    """The default recipe: faces with make-up (A, ``makeup``) ↔ bare faces (B, ``bare``)."""
    return _parameters("makeup")


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
