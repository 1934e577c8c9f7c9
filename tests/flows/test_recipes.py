import json

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
