from typing import Annotated

from pydantic import BaseModel, Field

from core.config_identity import INCIDENTAL, LATER, identity


class _Work(BaseModel):
    size_px: int = Field(32, ge=1, description="Side, px")
    num_workers: Annotated[int, INCIDENTAL] = Field(4, ge=1, description="Processes")
    timeout_s: Annotated[float | None, INCIDENTAL] = None
    blur_px: Annotated[float, LATER] = Field(0.0, ge=0)


def test_incidental_fields_do_not_name_the_work() -> None:
    assert identity(_Work()) == identity(_Work(num_workers=9, timeout_s=1.0)) == {"size_px": 32}
    assert identity(_Work(size_px=64)) == {"size_px": 64}


def test_a_later_field_names_the_work_unless_it_has_its_default() -> None:
    assert identity(_Work(blur_px=0)) == {"size_px": 32}
    assert identity(_Work(blur_px=1.5)) == {"size_px": 32, "blur_px": 1.5}


def test_a_marked_field_is_checked_as_ever() -> None:
    schema = _Work.model_json_schema()["properties"]["num_workers"]
    assert schema["minimum"] == 1
    assert schema["description"] == "Processes"
