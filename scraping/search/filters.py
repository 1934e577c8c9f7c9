"""The filters of Baidu image search as typed fields, and as parameters of a request."""

from __future__ import annotations

from enum import IntEnum
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from core.language.messages import localised


class Colour(IntEnum):
    """Dominant colours and Baidu's numbers for them, the values of ``ic``."""

    any = 0
    red = 1
    yellow = 2
    green = 4
    teal = 8
    brown = 12
    blue = 16
    purple = 32
    pink = 64
    orange = 256
    black = 512
    white = 1024
    black_and_white = 2048


_SIZES = {
    "any": "", "small": "1", "medium": "2", "large": "3", "extra-large": "9", "over-1080": "7",
}  # fmt: skip
_ANIMATED = {None: "-1", True: "6", False: "7"}
_DRAWN = {"any": "", "clip-art": "1", "line-drawing": "2"}


class Filters(BaseModel):
    """The engine's own filters; the defaults filter nothing.

    The engine does not always obey them: preparation judges every picture by its content.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    size: Literal["any", "small", "medium", "large", "extra-large", "over-1080"] = Field(
        "any", description="Size class of pictures; over-1080 works on the newer front end only"
    )
    width: int = Field(
        0, ge=0, le=20_000, description="Exact width, px, together with height; 0: any"
    )
    height: int = Field(
        0, ge=0, le=20_000, description="Exact height, px, together with width; 0: any"
    )
    colour: Colour = Field(
        Colour.any,
        description="Dominant colour, as Baidu's number: "
        + ", ".join(f"{colour.value} {colour.name.replace('_', ' ')}" for colour in Colour),
    )
    face: bool = Field(False, description="Only pictures with a face")
    portrait: bool = Field(False, description="Only portraits")
    drawn: Literal["any", "clip-art", "line-drawing"] = Field(
        "any", description="Only drawings of this kind"
    )
    animated: bool | None = Field(
        None, description="Only animated pictures (true), only still ones (false), or both (none)"
    )
    high_definition: bool = Field(False, description="Only pictures in high definition")
    latest: bool = Field(False, description="Newest pictures first")
    licensed: bool = Field(False, description="Only pictures that Baidu marks as licensed")

    @model_validator(mode="after")
    def _check_size(self) -> Self:
        if bool(self.width) != bool(self.height):
            raise ValueError(
                localised(
                    "width, height: got {width} × {height}, needed both or neither",
                    width=self.width,
                    height=self.height,
                )
            )
        return self

    def query(self) -> dict[str, str]:
        """The parameters of a search request; a filter that is off gives an empty one."""
        return {
            "lm": _ANIMATED[self.animated],
            "st": _DRAWN[self.drawn],
            "z": _SIZES[self.size],
            "ic": str(int(self.colour)),
            "s": "3" if self.portrait else "",
            "face": "1" if self.face else "",
            "hd": "1" if self.high_definition else "",
            "latest": "1" if self.latest else "",
            "copyright": "1" if self.licensed else "",
            "width": str(self.width or ""),
            "height": str(self.height or ""),
        }
