import json
from pathlib import Path

import pytest
from pydantic import ValidationError

from flows import recipes
from flows.parameters import PipelineParameters


@pytest.mark.parametrize("name", recipes.RECIPES)
def test_a_recipe_survives_json(name: str) -> None:
    parameters = recipes.RECIPES[name]()
    assert parameters.recipe == name
    assert PipelineParameters.model_validate_json(parameters.model_dump_json()) == parameters


def test_the_default_recipe_searches_in_chinese() -> None:
    parameters = recipes.makeup()
    assert all("妆" in phrase for phrase in parameters.crawl_a.phrases)
    assert any("素颜" in phrase for phrase in parameters.crawl_b.phrases)
    assert not set(parameters.crawl_a.phrases) & set(parameters.crawl_b.phrases)


def test_domains_must_agree() -> None:
    values = recipes.makeup().model_dump()
    values["crawl_b"]["domain"] = "nobody"
    with pytest.raises(ValidationError, match=r"crawl_b\.domain = prepare\.domain_b"):
        PipelineParameters.model_validate(values)


def test_a_wrong_value_is_refused_with_field_value_and_range() -> None:
    values = json.loads(recipes.makeup().model_dump_json())
    values["crawl_a"]["num_images"] = -3
    with pytest.raises(ValidationError) as caught:
        PipelineParameters.model_validate(values)
    text = str(caught.value)
    assert "crawl_a.num_images" in text
    assert "-3" in text
    assert "greater than or equal to" in text


def test_an_unknown_field_is_refused() -> None:
    values = recipes.makeup().model_dump() | {"colour": "red"}
    with pytest.raises(ValidationError, match="colour"):
        PipelineParameters.model_validate(values)


def test_recipes_hold_out_enough_to_be_sure(tmp_path: Path) -> None:
    """At 0.8 usable, 800 originals hold out 250 a side, and the demo's 400 more than 100."""
    for build in recipes.RECIPES.values():
        parameters = build()
        for crawl in (parameters.crawl_a, parameters.crawl_b):
            assert 250 <= 0.8 * crawl.num_images * parameters.prepare.test_fraction <= 400
    demo = recipes.demo("http://127.0.0.1:1", tmp_path)
    usable = 0.78 * demo.crawl_a.num_images
    assert usable * demo.prepare.test_fraction >= 100
    assert 190 <= usable * (1 - demo.prepare.test_fraction) <= 210
