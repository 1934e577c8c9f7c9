"""The forms of the flows: what a run may be started with, and the parameters that it stands for.

A form takes any part of a flow's parameters. What is left out stays as in the deployment's recipe,
so that ``{"train": {"seed": 7}}`` is enough. Parameters in the shape of former versions, of files
of ``suyan run --show``, and of Python callers are such parts too.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Generic, TypeVar

from pydantic import BaseModel, GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, core_schema

from core.language.messages import localised
from flows.forms.field_values import (
    Values,
    as_section,
    check_names,
    dotted,
    flatten,
    places,
    unknown_name,
)
from flows.forms.form_schema import form_schema
from flows.forms.questions import ADVANCED, CRAWLS, QUESTIONS, SHARED, Question
from flows.parameters import (
    CrawlParameters,
    EvaluateParameters,
    PipelineParameters,
    RefreshParameters,
    TrainParameters,
)
from scraping.config import CrawlConfig

Parameters = TypeVar("Parameters", bound=BaseModel)
Overrides = BaseModel | dict[str, Any]


class Form(Generic[Parameters]):
    """A form of ``parameters`` that asks questions; pydantic's marker of a flow's argument.

    It asks the first questions; those in ``folded`` may be answered by their names all the same.
    """

    def __init__(
        self, parameters: type[Parameters], *first_questions: str, folded: tuple[str, ...] = ()
    ) -> None:
        self.parameters = parameters
        self.first_questions = {name: QUESTIONS[name] for name in first_questions}
        self.questions = self.first_questions | {name: QUESTIONS[name] for name in folded}

    def values(self, overrides: Mapping[str, Any]) -> Values:
        """The values that ``overrides`` set, flat. The more special of two names decides: an answer
        for both domains gives way to ``crawl``, and that to ``crawl_a`` and ``crawl_b``.

        Raises ``ValueError`` for an unknown name, and for two names of one parameter with
        different values.
        """
        named = {name: value for name, value in overrides.items() if value is not None}
        folded = as_section(named.pop(ADVANCED, {}), (ADVANCED,))
        if twice := named.keys() & folded.keys():
            raise ValueError(
                localised(
                    "{names}: got twice, in {advanced} and outside",
                    names=", ".join(sorted(twice)),
                    advanced=ADVANCED,
                )
            )
        named |= folded
        answers, of_both, direct = Values(), Values(), Values()
        for name, value in named.items():
            if name in self.questions:
                answers |= self.questions[name].values(value)
            elif name == SHARED and CRAWLS[0] in self.parameters.model_fields:
                of_both = _of_both_crawls(value)
            elif name in self.parameters.model_fields:
                direct |= flatten({name: value}, self.parameters)
            else:
                raise unknown_name((name,), self._names())
        for name in named.keys() & self.questions.keys():
            _check_agreement(self.questions[name], answers, direct)
        return answers | of_both | direct

    def _names(self) -> list[tuple[str, ...]]:
        names = [*self.questions, *self.parameters.model_fields]
        return [*((name,) for name in names), *places(self.parameters)]

    def check(self, overrides: Any) -> Overrides:
        """``overrides``, if it is this form's parameters or a part of them; else ``ValueError``."""
        if isinstance(overrides, self.parameters):
            return overrides
        fields = as_section(overrides, ("parameters",))
        self.values(fields)
        return dict(fields)

    def __get_pydantic_core_schema__(
        self, source: object, handler: GetCoreSchemaHandler, /
    ) -> CoreSchema:
        return core_schema.no_info_plain_validator_function(self.check)

    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: GetJsonSchemaHandler, /
    ) -> JsonSchemaValue:
        return form_schema(self.parameters, self.first_questions, self.questions)


def _of_both_crawls(section: Any) -> Values:
    if section is None:
        return {}
    fields = as_section(section, (SHARED,))
    check_names(fields, CrawlConfig, (SHARED,))
    values = flatten(fields, CrawlConfig)
    return {(crawl, *place): value for crawl in CRAWLS for place, value in values.items()}


def _check_agreement(question: Question, answers: Values, direct: Values) -> None:
    """Raise ``ValueError`` where the question's parameter is set directly too, to another value."""
    if question.is_of_both_domains:
        return
    for place in question.places:
        if place in direct and direct[place] != answers[place]:
            raise ValueError(
                localised(
                    "{name} sets {dotted} too: got {answers!r} and {direct!r}, needed one of the "
                    "two",
                    name=question.name,
                    dotted=dotted(place),
                    answers=answers[place],
                    direct=direct[place],
                )
            )


CRAWL = Form(CrawlParameters, "phrases_a", "phrases_b", "num_images")
REFRESH = Form(
    RefreshParameters, "phrases_a", "phrases_b", "num_images", "num_new_images", "refresh_after_h"
)
TRAIN = Form(TrainParameters, "init_from", "seed")
EVALUATE = Form(EvaluateParameters, "promotion")
PIPELINE = Form(
    PipelineParameters, "phrases_a", "phrases_b", "num_images", "promotion", folded=("seed",)
)

CrawlForm = Annotated[CrawlParameters | dict[str, Any], CRAWL]
RefreshForm = Annotated[RefreshParameters | dict[str, Any], REFRESH]
TrainForm = Annotated[TrainParameters | dict[str, Any], TRAIN]
EvaluateForm = Annotated[EvaluateParameters | dict[str, Any], EVALUATE]
PipelineForm = Annotated[PipelineParameters | dict[str, Any], PIPELINE]
