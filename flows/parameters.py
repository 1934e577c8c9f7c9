"""Parameters of the flows: the configurations of their stages, checked together."""

from __future__ import annotations

from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from core.language.messages import localised
from evaluation.config import EvaluateConfig, PromoteConfig
from preprocessing.config import PrepareConfig
from scraping.config import CrawlConfig
from training.config import TrainConfig
from training.runtime.launcher import Torchrun

RECIPE_NAME: Any = Field(
    pattern=r"^[a-z0-9][a-z0-9-]{0,39}$",
    description="Short name of the pair of domains, e.g. makeup; the models of a recipe compete to "
    "be its champion",
)
RETRAIN_ABOVE: Any = Field(
    0.1,
    ge=0,
    le=1,
    description="Share of the dataset's pictures above which a change since the last training "
    "starts a new one; 1: never",
)
_CRAWL_A = Field(description="Search and download for domain A")
_CRAWL_B = Field(description="Search and download for domain B")
_PREPARE = Field(description="Preparation of the dataset")
_TRAIN = Field(description="CycleGAN and its training")
_EVALUATE = Field(description="Measurement of the result")
_PROMOTE = Field(
    default_factory=PromoteConfig, description="Rule by which the result becomes champion"
)
_TORCHRUN = Field(
    default_factory=Torchrun,
    description="Training processes, on one machine or several (docs/scaling.md)",
)
Approval = Literal["none", "required"]
_APPROVAL: Any = Field(
    "none",
    description="Decision on the champion. required: a person looks at the report and decides in "
    "the Prefect UI; none: the rule under promote decides",
)
_APPROVAL_TIMEOUT_H: Any = Field(
    72.0,
    gt=0,
    le=24 * 30,
    description="Time to wait for a person's decision, hours; after it the model is stored and not "
    "promoted",
)


MOST_TRAINING_H = 24.0 * 365
_MAX_TRAINING_H: Any = Field(
    4.0,
    ge=0,
    le=MOST_TRAINING_H,
    description="Longest training, hours on this device; one that would take longer by a timed "
    "step ends before it starts",
)


RetrainFrom = Literal["champion", "nothing"]
RETRAIN_FROM: Any = Field(
    "champion",
    description="Start of a training that follows a refresh. champion: the recipe's, where it has "
    "the same network, with retrain_share of the epochs; nothing: random weights",
)
RETRAIN_SHARE: Any = Field(
    0.25,
    gt=0,
    le=1,
    description="Share of the epochs that a training which follows a refresh has, when it starts "
    "from the champion",
)


class Parameters(BaseModel):
    """Parameters of a flow, complete and checked; ``flows/forms`` makes them of what is given."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class CrawlParameters(Parameters):
    """Everything that a crawl of both domains depends on."""

    recipe: str = RECIPE_NAME
    crawl_a: CrawlConfig = _CRAWL_A
    crawl_b: CrawlConfig = _CRAWL_B

    @model_validator(mode="after")
    def _two_domains(self) -> Self:
        if self.crawl_a.domain == self.crawl_b.domain:
            raise ValueError(
                localised(
                    "both domains are called {domain!r}: give them two names",
                    domain=self.crawl_a.domain,
                )
            )
        return self


class RefreshParameters(CrawlParameters):
    """Everything that a refresh of the dataset depends on: a new search and a new version."""

    prepare: PrepareConfig = _PREPARE
    retrain_above: float = RETRAIN_ABOVE

    @model_validator(mode="after")
    def _domains_agree(self) -> Self:
        check_domains(self.crawl_a, self.crawl_b, self.prepare)
        return self


class TrainParameters(Parameters):
    """Everything that a training depends on, besides its dataset."""

    recipe: str = RECIPE_NAME
    train: TrainConfig = _TRAIN
    torchrun: Torchrun = _TORCHRUN
    max_training_h: float = _MAX_TRAINING_H
    retrain_from: RetrainFrom = RETRAIN_FROM
    retrain_share: float = RETRAIN_SHARE


class EvaluateParameters(Parameters):
    """Everything that an evaluation and the promotion after it depend on, besides the run."""

    recipe: str = RECIPE_NAME
    evaluate: EvaluateConfig = _EVALUATE
    promote: PromoteConfig = _PROMOTE
    approval: Approval = _APPROVAL
    approval_timeout_h: float = _APPROVAL_TIMEOUT_H


class PipelineParameters(Parameters):
    """Everything that one run of the pipeline depends on."""

    recipe: str = RECIPE_NAME
    crawl_a: CrawlConfig = _CRAWL_A
    crawl_b: CrawlConfig = _CRAWL_B
    prepare: PrepareConfig = _PREPARE
    train: TrainConfig = _TRAIN
    torchrun: Torchrun = _TORCHRUN
    evaluate: EvaluateConfig = _EVALUATE
    promote: PromoteConfig = _PROMOTE
    approval: Approval = _APPROVAL
    approval_timeout_h: float = _APPROVAL_TIMEOUT_H
    max_training_h: float = _MAX_TRAINING_H

    @model_validator(mode="after")
    def _domains_agree(self) -> Self:
        check_domains(self.crawl_a, self.crawl_b, self.prepare)
        return self


def check_domains(crawl_a: CrawlConfig, crawl_b: CrawlConfig, prepare: PrepareConfig) -> None:
    """Raise ``ValueError`` unless crawls and preparation name the same two domains."""
    crawled = (crawl_a.domain, crawl_b.domain)
    prepared = (prepare.domain_a, prepare.domain_b)
    if crawled != prepared:
        raise ValueError(
            localised(
                "crawl_a and crawl_b search for {crawled}, but prepare expects {prepared}: "
                "give crawl_a.domain = prepare.domain_a and crawl_b.domain = prepare.domain_b",
                crawled=crawled,
                prepared=prepared,
            )
        )
