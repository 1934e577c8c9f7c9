"""What a generator's architecture says of itself, for whoever runs, exports or describes it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Architecture:
    """The facts of a generator; each generator's module states its own."""

    label: str  # for people, e.g. "ResNet, 9 blocks"
    multiple: int  # px; both sides of an input are multiples of it
    margin_px: int  # what a pixel of the output depends on beyond itself, as far as it matters
    tile_px: int  # side of the pieces that a large picture is translated in, margins included
