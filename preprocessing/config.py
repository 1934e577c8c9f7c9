"""Configuration of dataset preparation."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

_NAME = r"^[a-z0-9][a-z0-9_]{0,39}$"


class PrepareConfig(BaseModel):
    """How originals of two domains become a dataset version."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    domain_a: str = Field(pattern=_NAME, description="Name of domain A, e.g. makeup")
    domain_b: str = Field(pattern=_NAME, description="Name of domain B, e.g. bare")
    faces: bool = Field(
        True, description="Find, align and crop faces; off: the middle of the whole picture"
    )
    faces_policy: Literal["single", "largest", "all"] = Field(
        "single",
        description="Pictures with several faces: single rejects them, largest crops one, "
        "all crops each",
    )
    crop_px: int = Field(286, ge=32, le=2048, description="Side of a prepared picture, px")
    eye_distance: float = Field(
        0.36,
        gt=0.05,
        lt=0.6,
        description="Distance of the eyes in the crop, share of its side: smaller is more margin",
    )
    eye_height: float = Field(
        0.40,
        gt=0.1,
        lt=0.8,
        description="Height of the eyes below the crop's top, share of its side",
    )
    min_face_px: int = Field(
        48, ge=8, le=4096, description="Least side of a face's box in the original, px"
    )
    max_profile: float = Field(
        0.38,
        gt=0,
        le=2,
        description="Nose's offset from the eyes' middle, in eye distances: more is a profile",
    )
    max_zoom: float = Field(
        1.25,
        ge=1,
        le=2,
        description="How much larger a face may be shown where its photograph ends too near to it",
    )
    max_outside: float = Field(
        0.12, ge=0, le=1, description="Share of the crop that may lie outside the photograph"
    )
    max_covered: float = Field(
        0.5,
        gt=0,
        le=100,  # stored configurations of before have 1.4: colours were told apart by it
        description="How likely mouth and jaw may be covered (a mask, a hand), 0 to 1: 0.5 finds "
        "nine of ten covered faces and costs one of 300 bare ones; 1: never",
    )
    min_sharpness: float = Field(
        20.0,
        ge=0,
        description="Least variance of the Laplacian of the face (or of the picture) at 128 px, "
        "grey levels squared",
    )
    min_side_px: int = Field(64, ge=1, le=4096, description="Least shorter side of an original, px")
    max_megapixels: float = Field(
        60.0, gt=0, le=500, description="Largest original that is decoded, megapixels"
    )
    max_aspect: float = Field(
        2.6, ge=1, le=100, description="Greatest ratio of an original's sides"
    )
    duplicate_bits: int = Field(
        10,
        ge=0,
        le=16,
        description="Perceptual hashes that differ in at most this many of 64 bits "
        "make a pair worth comparing",
    )
    duplicate_alike: float = Field(
        0.972,
        gt=0,
        le=1,
        description="Such a pair is one picture when the details of its aligned thumbnails "
        "correlate at least this much",
    )
    doubtful_alike: float = Field(
        0.94,
        gt=0,
        le=1,
        description="Pairs at least this alike, but not enough, are shown to a person",
    )
    both_domains: Literal["drop", "majority"] = Field(
        "drop",
        description="A picture found in both domains: drop it, or give it to the domain that "
        "found more of its copies (dropped in a tie)",
    )
    max_unsafe: float | None = Field(
        None,
        ge=0,
        le=1,
        description="Highest score of the optional safety filter (pip install -e '.[safety]'), "
        "0 harmless to 1 explicit; empty: no filter",
    )
    test_fraction: float = Field(
        0.15, gt=0, lt=0.9, description="Share of each side that is held out for evaluation"
    )
    min_images: int = Field(
        50, ge=2, description="Usable pictures that each domain must yield, else the run ends"
    )
    timeout_s: float = Field(
        4.0,
        gt=0,
        le=3600,
        description="An original that needs more processor time is given up, seconds",
    )
    num_workers: int = Field(2, ge=1, le=64, description="Processes that decode and crop")

    @model_validator(mode="after")
    def _distinct(self) -> Self:
        if self.domain_a == self.domain_b:
            raise ValueError(f"domain_b: got {self.domain_b!r}, which is domain_a's name too")
        if self.doubtful_alike > self.duplicate_alike:
            raise ValueError(
                f"doubtful_alike: got {self.doubtful_alike}, needed at most duplicate_alike "
                f"({self.duplicate_alike})"
            )
        return self
