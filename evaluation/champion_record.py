"""The champion that a model was compared with, as ``scores.json`` records it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any


class NoChampion(StrEnum):
    """The reason why there is no champion to compare with."""

    NONE = "none"
    ITSELF = "itself"
    DOMAINS = "domains"
    DAMAGED = "damaged"


@dataclass(frozen=True)
class MissingChampion:
    """No champion was compared with; ``detail`` is the error of a damaged one."""

    reason: NoChampion
    detail: str = ""


@dataclass(frozen=True)
class ComparedChampion:
    """The champion that was measured on the same pictures."""

    model: str
    dataset: str
    step: int
    num_trained_on: int | None  # of the held-out pictures; None: unknown


def load_champion_record(value: Mapping[str, Any]) -> ComparedChampion | MissingChampion:
    """The champion in ``scores.json``; without one, ``NoChampion.NONE``."""
    if "model" in value:
        trained_on = value.get("num_trained_on")
        return ComparedChampion(
            str(value["model"]),
            str(value.get("dataset", "")),
            int(value.get("step", 0)),
            None if trained_on is None else int(trained_on),
        )
    text = str(value.get("missing", NoChampion.NONE))
    if text in set(NoChampion) - {NoChampion.DAMAGED}:
        return MissingChampion(NoChampion(text))
    return MissingChampion(NoChampion.DAMAGED, text)


def champion_to_json(champion: ComparedChampion | MissingChampion) -> dict[str, Any]:
    """The record as it is written to ``scores.json``."""
    if isinstance(champion, ComparedChampion):
        return asdict(champion)
    return {"missing": champion.detail or champion.reason.value}
