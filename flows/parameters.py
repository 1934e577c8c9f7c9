"""The form of a pipeline run: the configuration of every stage, checked together."""

from __future__ import annotations

from typing import Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from evaluation.config import EvaluateConfig, PromoteConfig
from preprocessing.config import PrepareConfig
from scraping.config import CrawlConfig
from training.config import TrainConfig


class PipelineParameters(BaseModel):
    """Everything that one run of the pipeline depends on.

    ``recipe`` names the pair of domains: models of one recipe compete for its champion.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    recipe: str = Field(
        pattern=r"^[a-z0-9][a-z0-9-]{0,39}$",
        description="Short name of the pair of domains, e.g. makeup; models of one recipe compete",
    )
    crawl_a: CrawlConfig = Field(description="What to search for domain A, and how")
    crawl_b: CrawlConfig = Field(description="What to search for domain B, and how")
    prepare: PrepareConfig = Field(description="How pictures become a dataset")
    train: TrainConfig = Field(description="The CycleGAN and its training")
    evaluate: EvaluateConfig = Field(description="How the result is measured")
    promote: PromoteConfig = Field(
        default_factory=PromoteConfig, description="When the result becomes champion"
    )

    @model_validator(mode="after")
    def _domains_agree(self) -> Self:
        crawled = (self.crawl_a.domain, self.crawl_b.domain)
        prepared = (self.prepare.domain_a, self.prepare.domain_b)
        if crawled != prepared:
            raise ValueError(
                f"crawl_a and crawl_b search for {crawled}, but prepare expects {prepared}: "
                "give crawl_a.domain = prepare.domain_a and crawl_b.domain = prepare.domain_b"
            )
        if crawled[0] == crawled[1]:
            raise ValueError(f"both domains are called {crawled[0]!r}: give them two names")
        return self
