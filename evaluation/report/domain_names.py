"""The names of the domains as a report's language has them; files and folders keep the given ones.

A recipe may give its own (``prepare.chinese_name_a``, ``prepare.chinese_name_b``).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from core.files import try_load_json
from evaluation.report.wording import Language
from evaluation.scores import Scores
from preprocessing.config import chinese_name


def domain_names(domains: Mapping[str, str], language: Language, config: Path) -> dict[str, str]:
    """The names to show by the given ones, for ``domains`` by side, ``"A"`` and ``"B"``.

    ``config`` is the configuration of the preparation; missing, it names nothing.
    """
    if language != "zh":
        return {name: name for name in domains.values()}
    stored = try_load_json(config) or {}
    return {
        name: chinese_name(name, str(stored.get(f"chinese_name_{side.lower()}", "")))
        for side, name in domains.items()
    }


def with_display_names(scores: Scores, names: Mapping[str, str]) -> Scores:
    """``scores`` whose domains and directions have the names to show."""
    directions = {
        key: replace(
            direction,
            source=names.get(direction.source, direction.source),
            target=names.get(direction.target, direction.target),
        )
        for key, direction in scores.directions.items()
    }
    domains = {side: names.get(name, name) for side, name in scores.domains.items()}
    return replace(scores, domains=domains, directions=directions)
