"""Configuration of evaluation."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class PromoteConfig(BaseModel):
    """When a measured model becomes its recipe's champion without a person saying so."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    surely: bool = Field(
        True,
        description="Better means beyond the 95 % interval; off: the values alone are compared",
    )
    beat_untranslated: bool = Field(
        True, description="Both directions must be better than leaving pictures as they are"
    )
    automatic: bool = Field(True, description="Off: only 'suyan promote' makes a champion")


class EvaluateConfig(BaseModel):
    """How a checkpoint is measured on the held-out pictures, and how the report is written."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    num_pictures: int = Field(
        500,
        ge=2,
        le=10_000,
        description="At most this many test pictures of each side (and as many training pictures "
        "for the ceiling) are measured; all are held in memory",
    )
    num_bootstrap: int = Field(
        1000, ge=10, le=100_000, description="Resamplings behind each 95 % interval"
    )
    seed: int = Field(0, ge=0, le=2**31 - 1, description="Seed of resampling and of the gallery")
    truth: Path | None = Field(
        None,
        description="Folder with truth.parquet (sha256, counterpart) and the true counterparts of "
        "originals, where they are known; only the offline corpus has them",
    )
    pairs: Path | None = Field(
        None,
        description="CSV file with the columns a and b: original files that show the same person "
        "or thing in both domains, not aligned; for evaluation alone",
    )
    inception: Literal["auto", "cached", "never"] = Field(
        "auto",
        description="Standard Inception features beside the offline ones: auto fetches their "
        "weights (96 MB) once, cached takes them only if they are there, never leaves them out",
    )
    inception_weights: Path | None = Field(
        None, description="File with those weights; torch's cache is looked into when empty"
    )
    weights: Literal["auto", "raw", "averaged"] = Field(
        "auto",
        description="Which weights of a checkpoint are the model: of the last step (raw), their "
        "moving averages, or auto: where there are averages, both are measured and the better kept",
    )
    num_gallery: int = Field(
        6, ge=1, le=50, description="Pictures in each gallery: random, best, worst"
    )
    language: Literal["en", "zh"] = Field("en", description="Language of the report and verdict")
    batch_size: int = Field(
        8, ge=1, le=256, description="Pictures that go through a network at once; changes no figure"
    )
    device: str = Field(
        "auto",
        pattern=r"^(auto|cpu|cuda(:\d+)?|mps)$",
        description="auto takes a GPU if there is one",
    )
