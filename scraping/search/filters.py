"""What Baidu image search itself filters by, as typed parameters, and how it spells them."""

from __future__ import annotations

from enum import IntEnum
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator


class Colour(IntEnum):
    """Values of ``ic``."""

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
    """The engine's own filters; the defaults ask for everything.

    They narrow what the engine returns, and it does not always obey: whatever comes is judged again
    by its content.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    size: Literal["any", "small", "medium", "large", "extra-large", "over-1080"] = Field(
        "any", description="Size class of the picture; over-1080 is the newer front end's"
    )
    width: int = Field(0, ge=0, le=20_000, description="Exact width, px; 0 any; needs height too")
    height: int = Field(0, ge=0, le=20_000, description="Exact height, px; 0 any; needs width too")
    colour: Colour = Field(
        Colour.any,
        description="Dominant colour by Baidu's number: "
        + ", ".join(f"{colour.value} {colour.name.replace('_', ' ')}" for colour in Colour),
    )
    face: bool = Field(False, description="Pictures with a face alone")
    portrait: bool = Field(False, description="Portraits alone")
    drawn: Literal["any", "clip-art", "line-drawing"] = Field(
        "any", description="Drawings of one kind alone"
    )
    animated: bool | None = Field(
        None, description="Animated alone (true), still alone (false), or both (None)"
    )
    high_definition: bool = Field(False, description="High definition alone")
    latest: bool = Field(False, description="Newest first")
    licensed: bool = Field(False, description="Pictures that Baidu marks as licensed alone")

    @model_validator(mode="after")
    def _both_sides(self) -> Self:
        if bool(self.width) != bool(self.height):
            raise ValueError(
                f"width, height: got {self.width} × {self.height}, needed both or neither"
            )
        return self

    def query(self) -> dict[str, str]:
        """The parameters of a search request that these filters set, empty ones included."""
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
