"""A recipe: the name, the parameters of every stage, the schedule and the triggers of one pair of
domains, read from a YAML file that holds only what differs from its base.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar
from zoneinfo import ZoneInfo

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from core.language.messages import localised
from flows.forms.field_values import (
    Place,
    Values,
    dotted,
    flatten,
    nest,
    problem,
    section_of,
    single_errors,
    unknown_name,
)
from flows.forms.questions import CRAWLS, DERIVED, SHARED
from flows.parameters import (
    RECIPE_NAME,
    RETRAIN_ABOVE,
    RETRAIN_FROM,
    RETRAIN_SHARE,
    PipelineParameters,
    RetrainFrom,
)
from flows.recipe_files.strict_yaml import Document
from scraping.config import CrawlConfig

_Model = TypeVar("_Model", bound=BaseModel)
_PATHS = {"folders", "lists", "truth", "pairs"}  # settings that name files
_TEMPLATE = "{{"  # Prefect would fill in what stands between such braces
_CRON_FIELD = r"(\*|[\dA-Za-z]+(-[\dA-Za-z]+)?)(/\d+)?"
_CRON = re.compile(rf"{_CRON_FIELD}(,{_CRON_FIELD})*")
_CRON_RANGES = ((0, 59), (0, 23), (1, 31), (1, 12), (0, 7))
_WEEKDAYS = ("Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday")


class Titles(BaseModel):
    """The titles of a recipe and its two domains, for people."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    recipe: str = Field("", max_length=80, description="Title of the recipe; default: its name")
    domain_a: str = Field("", max_length=80, description="Title of domain A; default: its name")
    domain_b: str = Field("", max_length=80, description="Title of domain B; default: its name")


class Schedule(BaseModel):
    """When the deployment refresh-dataset of a recipe starts by itself."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    cron: str = Field(
        "0 3 * * 3", description="Minute, hour, day, month and weekday of a refresh, as in cron"
    )
    timezone: str = Field("Asia/Shanghai", description="Time zone of the schedule")
    active: bool = Field(False, description="Whether the schedule is switched on")

    @field_validator("cron")
    @classmethod
    def _is_cron(cls, text: str) -> str:
        fields = text.split()
        if len(fields) != len(_CRON_RANGES) or not all(map(_is_cron_field, fields, _CRON_RANGES)):
            raise ValueError(
                localised(
                    "got {text!r}, needed five fields such as 0 3 * * 1 (Mondays at 3:00)",
                    text=text,
                )
            )
        return " ".join(fields)

    @field_validator("timezone")
    @classmethod
    def _is_timezone(cls, name: str) -> str:
        try:
            ZoneInfo(name)
        except (KeyError, ValueError, OSError):
            raise ValueError(
                localised("got {name!r}, needed a name such as Asia/Shanghai or UTC", name=name)
            ) from None
        return name

    @property
    def weekday(self) -> str:
        """The day of a weekly schedule, e.g. Monday; "" for one that is not weekly."""
        *time, day, month, weekday = self.cron.split()
        is_weekly = all(map(str.isdigit, [*time, weekday])) and day == month == "*"
        return _WEEKDAYS[int(weekday) % 7] if is_weekly else ""

    @property
    def text(self) -> str:
        """The times of the schedule, e.g. ``"Mondays at 3:00 (Asia/Shanghai)"``."""
        minute, hour = self.cron.split()[:2]
        times = f"{self.weekday}s at {hour}:{minute:0>2}" if self.weekday else f"cron {self.cron}"
        return f"{times} ({self.timezone})"


def _is_cron_field(text: str, limits: tuple[int, int]) -> bool:
    numbers = [int(number) for number in re.findall(r"(?<!/)\b\d+", text)]
    return bool(_CRON.fullmatch(text)) and all(limits[0] <= n <= limits[1] for n in numbers)


class Triggers(BaseModel):
    """Which deployments of a recipe start by themselves after another one."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    train: bool = Field(
        True, description="Training after a refresh that changed more than retrain_above"
    )
    evaluate: bool = Field(True, description="Evaluation after a training")


class RecipeSettings(BaseModel):
    """What a recipe file holds besides the parameters of the stages."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    recipe: str = RECIPE_NAME
    titles: Titles = Field(default_factory=Titles, description="Titles in pages and forms")
    schedule: Schedule = Field(
        default_factory=Schedule, description="When the dataset is refreshed without a person"
    )
    triggers: Triggers = Field(
        default_factory=Triggers, description="Deployments that start after another one"
    )
    retrain_above: float = RETRAIN_ABOVE
    retrain_from: RetrainFrom = RETRAIN_FROM
    retrain_share: float = RETRAIN_SHARE


class RecipeFields(RecipeSettings, PipelineParameters):
    """Everything that a recipe file may hold, besides ``from``; for its names alone."""

    crawl: CrawlConfig = Field(description="Search and download for both domains")


NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,39}")
"""A recipe's name."""
BASE = "from"
"""The setting that names the recipe from which a file differs."""
OWN = {"recipe", "titles", "schedule", "triggers"}
"""Settings that a recipe does not take from its base."""


@dataclass(frozen=True)
class Recipe:
    """A recipe that was read and checked; ``values`` is what it and its bases set, flat."""

    file: Path
    base: str
    settings: RecipeSettings
    parameters: PipelineParameters
    values: Values

    @property
    def name(self) -> str:
        """Its name, which its models, pointers and deployments have too."""
        return self.settings.recipe

    @cached_property
    def titles(self) -> Titles:
        """The titles; where the file gives none, the names."""
        titles = self.settings.titles
        return Titles(
            recipe=titles.recipe or self.name,
            domain_a=titles.domain_a or self.parameters.crawl_a.domain,
            domain_b=titles.domain_b or self.parameters.crawl_b.domain,
        )

    def values_of(self, form: type[BaseModel]) -> Values:
        """Every parameter of a flow, flat; ``form`` is the class of the flow's parameters."""
        values = self.settings.model_dump(mode="json") | self.parameters.model_dump(mode="json")
        return flatten({name: values[name] for name in form.model_fields if name in values}, form)


def build_recipe(document: Document, file: Path, base: Recipe | None) -> Recipe:
    """The recipe of a file's content. A file without a name has that of the file.

    Raises ``ValueError`` with the line of each unknown name and each refused value.
    """
    settings = {name: value for name, value in document.values.items() if name != BASE}
    _refuse(file, _problems(settings, RecipeFields, document))
    values = Values() if base is None else dict(base.values)
    own = {
        place: _from_folder(value, file.parent) if place[-1] in _PATHS else value
        for place, value in flatten(settings, RecipeFields).items()
    }
    for place, value in own.items():
        if place[0] == SHARED:
            values |= {(crawl, *place[1:]): value for crawl in CRAWLS}
    values |= {place: value for place, value in own.items() if place[0] != SHARED}
    for place, source in DERIVED.items():
        if place not in own and source in values:
            values[place] = values[source]
    values.setdefault(("recipe",), file.stem)
    if ("recipe",) not in own and not NAME.fullmatch(file.stem):
        raise ValueError(
            localised(
                "{file}: found the file's name {stem!r}, which would be the recipe's too; "
                "needed at most 40 of a-z, 0-9 and -, the first no -; rename the file",
                file=file,
                stem=file.stem,
            )
        )
    nested = {name: {} for name in (*CRAWLS, "prepare", "train", "evaluate")} | nest(values)
    recipe = Recipe(
        file,
        str(document.values.get(BASE) or ""),
        _checked(RecipeSettings, nested, document, file),
        _checked(PipelineParameters, nested, document, file),
        {place: value for place, value in values.items() if place[0] not in OWN},
    )
    try:
        recipe.parameters.torchrun.check(recipe.parameters.train)
    except ValueError as error:
        raise ValueError(f"{file}: {error}") from None
    return recipe


def _from_folder(value: Any, folder: Path) -> Any:
    """A path, or a list of paths, as seen from ``folder``; other values stay, to be refused."""
    if isinstance(value, list):
        return [_from_folder(each, folder) for each in value]
    return str(folder.absolute() / Path(value).expanduser()) if isinstance(value, str) else value


def _checked(
    model: type[_Model], nested: Mapping[str, Any], document: Document, file: Path
) -> _Model:
    try:
        return model.model_validate(
            {name: value for name, value in nested.items() if name in model.model_fields}
        )
    except ValidationError as error:
        errors = single_errors(error)
        _refuse(file, [(_line(document, each["loc"]), problem(each)) for each in errors])
        raise


def _problems(
    nested: Mapping[str, Any], fields: type[BaseModel], document: Document, above: Place = ()
) -> Iterator[tuple[int, str]]:
    """The line and the text of each unknown name, and of each value of a wrong kind."""
    for name, value in nested.items():
        place = (*above, name)
        line = _line(document, place)
        if name not in fields.model_fields:
            yield line, str(unknown_name(place, _NAMES))
            continue
        section = section_of(fields, name)
        if section is not None and isinstance(value, Mapping):
            yield from _problems(value, section, document, place)
        elif section is not None and value is not None:
            yield line, f"{dotted(place)}: got {value!r:.60}, needed settings, indented below it"
        elif _TEMPLATE in str(value):
            yield line, f"{dotted(place)}: got {value!r:.60}, needed a text without {_TEMPLATE}"


def _line(document: Document, place: Sequence[str | int]) -> int:
    """The line of ``place``, else of the section around it; 0 for one that the file lacks."""
    names = tuple(map(str, place))
    for end in range(len(names), 0, -1):
        shared = (SHARED, *names[1:end]) if names[0] in CRAWLS else ()
        for each in (names[:end], shared):
            if each in document.lines:
                return document.lines[each]
    return 0


def _refuse(file: Path, problems: Iterable[tuple[int, str]]) -> None:
    """Raise ``ValueError`` with all ``problems``, by line; nothing for none."""
    lines = [f"  line {line}: {text}" if line else f"  {text}" for line, text in sorted(problems)]
    if lines:
        raise ValueError("\n".join([f"{file} is refused:", *lines]))


def _names(fields: type[BaseModel], above: Place = ()) -> Iterator[Place]:
    """The places of all fields, of sections too."""
    for name in fields.model_fields:
        yield (*above, name)
        section = section_of(fields, name)
        if section is not None:
            yield from _names(section, (*above, name))


_NAMES = [(BASE,), *_names(RecipeFields)]
