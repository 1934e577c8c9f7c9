"""The entry of a metric in the registry."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

from core.language.bilingual import Text

Better = Literal["lower", "higher", ""]


class Group(StrEnum):
    """The groups of the report's table, in their order; the values are keys of its words."""

    DISTANCE = "group_distance"
    CLOSED_FORMS = "group_closed_forms"
    TARGET = "group_target"
    PRESERVED = "group_kept"
    CHANGE = "group_change"
    COPIES = "group_copies"
    TRUTH = "group_truth"
    PAIRS = "group_pairs"


@dataclass(frozen=True)
class Metric:
    """One row of the report's table."""

    key: str  # in scores.json
    group: Group
    better: Better  # the better direction; "": neither
    name: Text
    meaning: Text  # a sentence
    is_share: bool = False  # shown as a percentage
    beside: str = ""  # the metric whose untranslated and real figures stand beside it; "": its own
    measured_by: str = ""  # "": with the truths, or the pairs, where they are known
