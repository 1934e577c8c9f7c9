"""The forms of the flows: the configuration of the stages that each one runs, checked together."""

from __future__ import annotations

from typing import Any, Literal, Self

from pydantic import Field, model_validator

from evaluation.config import EvaluateConfig, PromoteConfig
from flows.ui.forms import Form
from preprocessing.config import PrepareConfig
from scraping.config import CrawlConfig
from training.config import TrainConfig
from training.runtime.launcher import Torchrun

_RECIPE = Field(
    pattern=r"^[a-z0-9][a-z0-9-]{0,39}$",
    description="Short name of the pair of domains, e.g. makeup; models of one recipe compete",
)
_CRAWL_A = Field(description="What to search for domain A, and how")
_CRAWL_B = Field(description="What to search for domain B, and how")
_PREPARE = Field(description="How pictures become a dataset")
_TRAIN = Field(description="The CycleGAN and its training")
_EVALUATE = Field(description="How the result is measured")
_PROMOTE = Field(default_factory=PromoteConfig, description="When the result becomes champion")
_TORCHRUN = Field(
    default_factory=Torchrun,
    description="Training by several processes, on one machine or many (docs/scaling.md)",
)
Approval = Literal["none", "required"]
_APPROVAL: Any = Field(
    "none",
    description="required: a person looks at the report and decides, in the Prefect UI, whether "
    "the model becomes champion; none: the rule under promote decides",
)
_APPROVAL_TIMEOUT_H: Any = Field(
    72.0,
    gt=0,
    le=24 * 30,
    description="Hours to wait for that decision; then the model is kept, and not promoted",
)


class CrawlParameters(Form):
    """What a crawl of both domains depends on."""

    recipe: str = _RECIPE
    crawl_a: CrawlConfig = _CRAWL_A
    crawl_b: CrawlConfig = _CRAWL_B

    @model_validator(mode="after")
    def _two_domains(self) -> Self:
        if self.crawl_a.domain == self.crawl_b.domain:
            raise ValueError(
                f"both domains are called {self.crawl_a.domain!r}: give them two names"
            )
        return self


class RefreshParameters(CrawlParameters):
    """What a refresh of the dataset depends on: searching again, and a new version."""

    prepare: PrepareConfig = _PREPARE
    retrain_above: float = Field(
        0.1,
        ge=0,
        le=1,
        description="Train again when more than this share of the dataset's pictures changed since "
        "the last training; 1: never",
    )

    @model_validator(mode="after")
    def _domains_agree(self) -> Self:
        check_domains(self.crawl_a, self.crawl_b, self.prepare)
        return self


class TrainParameters(Form):
    """What a training depends on, besides its dataset."""

    recipe: str = _RECIPE
    train: TrainConfig = _TRAIN
    torchrun: Torchrun = _TORCHRUN


class EvaluateParameters(Form):
    """What an evaluation and the decision after it depend on, besides the run."""

    recipe: str = _RECIPE
    evaluate: EvaluateConfig = _EVALUATE
    promote: PromoteConfig = _PROMOTE
    approval: Approval = _APPROVAL
    approval_timeout_h: float = _APPROVAL_TIMEOUT_H


class PipelineParameters(Form):
    """Everything that one run of the pipeline depends on.

    ``recipe`` names the pair of domains: models of one recipe compete for its champion.
    """

    recipe: str = _RECIPE
    crawl_a: CrawlConfig = _CRAWL_A
    crawl_b: CrawlConfig = _CRAWL_B
    prepare: PrepareConfig = _PREPARE
    train: TrainConfig = _TRAIN
    torchrun: Torchrun = _TORCHRUN
    evaluate: EvaluateConfig = _EVALUATE
    promote: PromoteConfig = _PROMOTE
    approval: Approval = _APPROVAL
    approval_timeout_h: float = _APPROVAL_TIMEOUT_H

    @model_validator(mode="after")
    def _domains_agree(self) -> Self:
        check_domains(self.crawl_a, self.crawl_b, self.prepare)
        return self


def check_domains(crawl_a: CrawlConfig, crawl_b: CrawlConfig, prepare: PrepareConfig) -> None:
    """Raise ``ValueError`` unless crawls and preparation speak of the same two domains."""
    crawled = (crawl_a.domain, crawl_b.domain)
    prepared = (prepare.domain_a, prepare.domain_b)
    if crawled != prepared:
        raise ValueError(
            f"crawl_a and crawl_b search for {crawled}, but prepare expects {prepared}: "
            "give crawl_a.domain = prepare.domain_a and crawl_b.domain = prepare.domain_b"
        )
    if crawled[0] == crawled[1]:
        raise ValueError(f"both domains are called {crawled[0]!r}: give them two names")
