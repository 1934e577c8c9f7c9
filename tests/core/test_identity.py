"""A configuration names its work by the fields that change the work."""

from pydantic import BaseModel, Field

from core.identity import identity_fields, outside_identity
from preprocessing.config import PrepareConfig


class Config(BaseModel):
    size_px: int = 3
    name: str = Field("a", description="A field with a description", json_schema_extra={"x": 1})
    num_workers: int = Field(2, json_schema_extra=outside_identity())


def test_marked_fields_are_left_out_and_no_others() -> None:
    assert identity_fields(Config()) == {"size_px": 3, "name": "a"}
    assert identity_fields(Config(num_workers=8)) == identity_fields(Config())
    assert identity_fields(Config(size_px=4)) != identity_fields(Config())


def test_what_changes_no_picture_names_no_dataset() -> None:
    config = PrepareConfig(domain_a="a", domain_b="b")
    left_out = config.model_dump().keys() - identity_fields(config).keys()
    assert left_out == {"num_workers", "timeout_s", "min_images"}
