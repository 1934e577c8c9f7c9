"""The questions of a form: short names for the parameters that people change first."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from core.language.messages import localised
from flows.forms.field_values import Place, Values

CRAWLS = ("crawl_a", "crawl_b")
SHARED = "crawl"
"""The section of a form whose fields are those of both crawls."""
ADVANCED = "advanced"
"""The section of a form that folds all but the questions; what is in it may stand outside too."""

DERIVED: Mapping[Place, Place] = MappingProxyType(
    {
        ("prepare", "domain_a"): ("crawl_a", "domain"),
        ("prepare", "domain_b"): ("crawl_b", "domain"),
    }
)
"""Parameters that follow another one where they are not given."""


@dataclass(frozen=True)
class Question:
    """A field of the form, and the ``places`` of the parameters that its answer sets.

    Where ``answers`` are given, the answer is one of them, each with the values that it stands for.
    """

    name: str
    places: tuple[Place, ...]
    description: str
    answers: Mapping[str, tuple[Any, ...]] = field(default_factory=dict)

    @property
    def is_of_both_domains(self) -> bool:
        """Whether the answer is for both domains, each of which may have its own value."""
        return {place[0] for place in self.places} == {*CRAWLS}

    def values(self, answer: Any) -> Values:
        """What ``answer`` sets. Raises ``ValueError`` for one that is not among ``answers``."""
        if not self.answers:
            return dict.fromkeys(self.places, answer)
        if answer not in self.answers:
            options = ", ".join(self.answers)
            raise ValueError(
                localised(
                    "{name}: got {answer!r}, needed one of {options}",
                    name=self.name,
                    answer=answer,
                    options=options,
                )
            )
        return dict(zip(self.places, self.answers[answer], strict=True))

    def answer(self, values: Mapping[Place, Any]) -> Any:
        """The answer that stands for ``values``; ``None`` where the places differ, or lack one."""
        present = tuple(values.get(place) for place in self.places)
        if self.answers:
            return next((text for text, each in self.answers.items() if each == present), None)
        return present[0] if all(value == present[0] for value in present) else None


def _of_both(name: str, description: str) -> Question:
    return Question(name, tuple((crawl, name) for crawl in CRAWLS), description)


_ALL = (
    Question("phrases_a", (("crawl_a", "phrases"),), "Search phrases for domain A"),
    Question("phrases_b", (("crawl_b", "phrases"),), "Search phrases for domain B"),
    _of_both("num_images", "Number of different originals to download for each domain"),
    _of_both("refresh_after_h", "Age from which a finished crawl is searched again, hours"),
    _of_both("num_new_images", "Most originals that one refresh adds to each domain"),
    Question(
        "init_from",
        (("train", "init_from"),),
        "Model to start from: champion, a version, a run or a folder; empty: random weights",
    ),
    Question("seed", (("train", "seed"),), "Seed of weights, order and augmentation"),
    Question(
        "promotion",
        (("promote", "automatic"), ("approval",)),
        "Decision on the champion. automatic: by the rule under promote; approval: by a person who "
        "looks at the report in the Prefect UI; never: the model is only stored",
        {
            "automatic": (True, "none"),
            "approval": (True, "required"),
            "never": (False, "none"),
        },
    ),
)
QUESTIONS: Mapping[str, Question] = {question.name: question for question in _ALL}
"""All questions, by name."""
