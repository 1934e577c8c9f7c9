"""Configuration of evaluation."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from core.config_identity import INCIDENTAL, LATER
from training.run.strengths import MAX_STRENGTH


class PromoteConfig(BaseModel):
    """The rule by which a measured model becomes champion without a person's decision."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    surely: bool = Field(
        True,
        description="Better means beyond the 95 % interval; off: only the values are compared",
    )
    beat_untranslated: bool = Field(
        True, description="Both directions must be better than untranslated pictures"
    )
    beat_closed_forms: bool = Field(
        True,
        description="Both directions must be better than every translation without a network: a "
        "constant tint, colour transport of whole pictures and of the parts of faces",
    )
    fid_not_worse: bool = Field(
        True, description="The FID of both directions must not be above that of untranslated ones"
    )
    min_classifier_share: float = Field(
        0.2,
        ge=0,
        le=1,
        description="Least share of the way from untranslated to real pictures, by the classifier, "
        "in both directions; 0: none. The default is what a shift of the white balance that nobody "
        "sees just misses (0.19 on landscapes)",
    )
    judges_not_worse: bool = Field(
        True,
        description="No independent judge that can tell the domains apart may find a direction "
        "worse than untranslated pictures by 3 standard errors",
    )
    min_judge_share: float = Field(
        0.1,
        ge=0,
        le=1,
        description="Least share of the way from untranslated to real pictures, by each "
        "independent judge that can tell the domains apart, in both directions; 0: none",
    )
    automatic: bool = Field(
        True, description="Off: only a person makes a champion, with the command promote"
    )


class EvaluateConfig(BaseModel):
    """Settings of the measurement of a checkpoint on held-out pictures, and of its report."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    num_pictures: int = Field(
        500,
        ge=2,
        le=10_000,
        description="Most test pictures of each side, and most training pictures for the ceiling; "
        "all are held in memory",
    )
    num_bootstrap: int = Field(
        1000, ge=10, le=100_000, description="Bootstrap resamplings for each 95 % interval"
    )
    seed: int = Field(0, ge=0, le=2**31 - 1, description="Seed of resampling and of the gallery")
    truth: Annotated[Path | None, INCIDENTAL] = Field(
        None,
        description="Folder with truth.parquet (sha256, counterpart) and the true counterparts of "
        "originals, where they are known; only the offline corpus has them",
    )
    pairs: Annotated[Path | None, INCIDENTAL] = Field(
        None,
        description="CSV file with the columns a and b: original files that show the same person "
        "or thing in both domains, not aligned; for evaluation only",
    )
    inception: Annotated[Literal["auto", "cached", "never"], INCIDENTAL] = Field(
        "auto",
        description="Standard Inception features beside the offline ones: auto downloads their "
        "weights (96 MB) once, cached uses them only if they are there, never leaves them out",
    )
    inception_weights: Annotated[Path | None, INCIDENTAL] = Field(
        None,
        description="File with those weights; default: the one in torch's cache",
    )
    weights: Literal["auto", "raw", "averaged"] = Field(
        "auto",
        description="Weights to measure: of the last step (raw), their moving averages (averaged), "
        "or the better of both where averages were kept (auto)",
    )
    strengths: Annotated[tuple[Annotated[float, Field(gt=0, le=MAX_STRENGTH)], ...], LATER] = Field(
        (0.75, 1.25, 1.5),
        max_length=8,
        description="Strengths of the change to compare with 1 in each direction, on training "
        "pictures of the target; one that is surely better than 1 becomes part of the model. "
        "Empty: none",
    )
    num_gallery: int = Field(
        6, ge=1, le=50, description="Pictures in each gallery: random, best, worst"
    )
    language: Annotated[Literal["en", "zh"], INCIDENTAL] = Field(
        "en",
        description="Language of the report and verdict",
    )
    batch_size: Annotated[int, INCIDENTAL] = Field(
        8,
        ge=1,
        le=256,
        description="Pictures in a batch; changes speed and memory, no figure",
    )
    device: Annotated[str, INCIDENTAL] = Field(
        "auto",
        pattern=r"^(auto|cpu|cuda(:\d+)?|mps)$",
        description="Device of the networks; auto: a GPU if there is one",
    )
