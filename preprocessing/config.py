"""Configuration of dataset preparation.

Names and values of fields enter the digest that names a version, except of incidental ones; both
the names and the defaults must therefore stay as they are.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from core.config_identity import INCIDENTAL, LATER
from core.language.messages import localised

_NAME = r"^[a-z0-9][a-z0-9_]{0,39}$"
_CHINESE_NAMES: Mapping[str, str] = MappingProxyType({
    "makeup": "化妆", "bare": "素颜", "summer": "夏天", "winter": "冬天", "day": "白天",
    "night": "夜晚",
})  # fmt: skip
_CHINESE_NAME: Any = Field(
    "",
    max_length=40,
    description="Name of this domain in Chinese reports, cards and pages; empty: that of a shipped "
    "recipe, e.g. 化妆, else its own name",
)


class PrepareConfig(BaseModel):
    """Settings by which originals of two domains become a dataset version."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    domain_a: str = Field(pattern=_NAME, description="Name of domain A, e.g. makeup")
    domain_b: str = Field(pattern=_NAME, description="Name of domain B, e.g. bare")
    faces: bool = Field(
        True,
        description="Whether faces are found, aligned and cropped; off: the middle square",
    )
    faces_policy: Literal["single", "largest", "all"] = Field(
        "single",
        description="Treatment of pictures with several faces: single rejects them, largest crops "
        "the largest face, all crops every face",
    )
    crop_px: int = Field(286, ge=32, le=2048, description="Side of a prepared picture, px")
    eye_distance: float = Field(
        0.36,
        gt=0.05,
        lt=0.6,
        description="Distance of the eyes in the crop, share of its side; less leaves more margin",
    )
    eye_height: float = Field(
        0.40,
        gt=0.1,
        lt=0.8,
        description="Height of the eyes below the crop's top, share of its side",
    )
    min_face_px: int = Field(
        48,
        ge=8,
        le=4096,
        description="Smallest longer side of a face's box in the original, px; an enlarged face "
        "must show three quarters of it",
    )
    max_profile: float = Field(
        0.38,
        gt=0,
        le=2,
        description="Largest offset of the nose from the middle of the eyes, in eye distances; a "
        "face beyond it is rejected as a profile",
    )
    max_zoom: float = Field(
        1.25,
        ge=1,
        le=2,
        description="Largest factor by which a face near the edge of its photograph is enlarged",
    )
    max_outside: float = Field(
        0.12, ge=0, le=1, description="Largest share of the crop outside the photograph"
    )
    max_covered: float = Field(
        0.5,
        gt=0,
        le=100,  # older configurations hold 1.4, a limit of another measure
        description="Largest probability that mouth and jaw are covered (by a mask, a hand), 0 to "
        "1; 0.5 rejects 98 of 100 covered faces and one of 150 bare ones, 1 rejects none",
    )
    min_sharpness: float = Field(
        20.0,
        ge=0,
        description="Smallest sharpness of the face (or of the picture): variance of the Laplacian "
        "at 128 px, grey levels squared",
    )
    min_side_px: int = Field(
        64, ge=1, le=4096, description="Smallest shorter side of an original, px"
    )
    max_megapixels: float = Field(
        60.0, gt=0, le=500, description="Largest original that is decoded, megapixels"
    )
    max_aspect: float = Field(2.6, ge=1, le=100, description="Largest ratio of an original's sides")
    duplicate_bits: int = Field(
        10,
        ge=0,
        le=16,
        description="Largest distance of two perceptual hashes, of 64 bits, at which the pictures "
        "are compared",
    )
    duplicate_alike: float = Field(
        0.972,
        gt=0,
        le=1,
        description="Smallest similarity of duplicates: the correlation of the details of their "
        "aligned thumbnails",
    )
    doubtful_alike: float = Field(
        0.94,
        gt=0,
        le=1,
        description="Smallest similarity of the doubtful pairs that the card shows",
    )
    both_domains: Literal["drop", "majority"] = Field(
        "drop",
        description="Treatment of a picture found in both domains: drop rejects it, majority gives "
        "it to the domain that found more of its copies (and rejects it in a tie)",
    )
    max_unsafe: float | None = Field(
        None,
        ge=0,
        le=1,
        description="Highest score of the optional safety filter (needs the extra safety), "
        "0 harmless to 1 explicit; empty: no filter",
    )
    min_contrast: Annotated[float, LATER] = Field(
        4.0,
        ge=0,
        le=128,
        description="Smallest standard deviation of the grey levels of a picture without faces; "
        "one below it is rejected as uniform",
    )
    min_colour: Annotated[float, LATER] = Field(
        0.0,
        ge=0,
        le=50,
        description="Smallest distance of a picture's colours from those of a toned "
        "black-and-white one, CIE L*a*b* units; 0 rejects none",
    )
    max_frame: Annotated[float, LATER] = Field(
        1.0,
        gt=0,
        le=1,
        description="Largest width of plain bars at opposite edges, share of the picture's side; "
        "1 rejects none",
    )
    max_seam: Annotated[float, LATER] = Field(
        1.0,
        gt=0,
        le=1,
        description="Largest share of a straight seam, at a half or a third of the picture, that "
        "shows a step; a picture beyond it is rejected as a collage, 1 rejects none",
    )
    split_seam: Annotated[float, LATER] = Field(
        1.0,
        gt=0,
        le=1,
        description="Share of a straight seam at a half of the picture that must show a step, for "
        "the picture to be split in two; with faces each half needs one. 1 splits none, 0.6 clear "
        "pairs",
    )
    min_light: Annotated[float, LATER] = Field(
        0.0,
        ge=0,
        le=255,
        description="Smallest median grey level of the face (or of the picture); 0 rejects none",
    )
    max_light: Annotated[float, LATER] = Field(
        255.0,
        ge=0,
        le=255,
        description="Largest median grey level of the face (or of the picture); 255 rejects none",
    )
    min_side_score: Annotated[float, LATER] = Field(
        0.0,
        ge=0,
        le=0.5,
        description="Smallest probability that a picture belongs to its own domain, by a "
        "classifier of the other pictures; 0 rejects none, 0.15 the least likely ones",
    )
    test_fraction: float = Field(
        0.15, gt=0, lt=0.9, description="Share of each side held out for evaluation"
    )
    min_images: Annotated[int, INCIDENTAL] = Field(
        50,
        ge=2,
        description="Smallest number of usable pictures of each domain; with fewer the run ends",
    )
    timeout_s: Annotated[float, INCIDENTAL] = Field(
        4.0,
        gt=0,
        le=3600,
        description="Largest processor time for one original, seconds",
    )
    num_workers: Annotated[int, INCIDENTAL] = Field(
        2,
        ge=1,
        le=64,
        description="Number of processes that decode and crop",
    )
    chinese_name_a: Annotated[str, INCIDENTAL] = _CHINESE_NAME
    chinese_name_b: Annotated[str, INCIDENTAL] = _CHINESE_NAME

    @property
    def chinese_names(self) -> tuple[str, str]:
        """The names of the domains A and B in Chinese."""
        return (
            chinese_name(self.domain_a, self.chinese_name_a),
            chinese_name(self.domain_b, self.chinese_name_b),
        )

    @model_validator(mode="after")
    def _check_consistency(self) -> Self:
        if self.domain_a == self.domain_b:
            raise ValueError(
                localised(
                    "domain_b: got {domain_b!r}, which is domain_a's name too; give it another",
                    domain_b=self.domain_b,
                )
            )
        if self.doubtful_alike > self.duplicate_alike:
            raise ValueError(
                localised(
                    "doubtful_alike: got {doubtful_alike}, needed at most duplicate_alike "
                    "({duplicate_alike})",
                    doubtful_alike=self.doubtful_alike,
                    duplicate_alike=self.duplicate_alike,
                )
            )
        return self


def chinese_name(domain: str, own: str = "") -> str:
    """A domain's name in Chinese: its ``own`` one, else that of a shipped recipe, else itself."""
    return own or _CHINESE_NAMES.get(domain, domain)
