"""The model card: what a stored model is, what for, and how well it does."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from evaluation.report.wording import figure_text, verdict, words

_ROWS = ("kid", "fid", "inception_kid", "inception_fid", "domain_success", "content", "cycle_l1")
_SHARES = ("domain_success",)


def model_card(scores: Mapping[str, Any], lineage: Mapping[str, Any]) -> str:
    """Markdown after Mitchell et al. 2019 (arXiv:1810.03993), in the scores' language."""
    language = scores.get("config", {}).get("language", "en")
    text = words(language)
    a, b = scores["domains"]["A"], scores["domains"]["B"]
    lines = [
        f"# {a} ⇄ {b}",
        verdict(scores, language),
        f"## {text['figures']}",
        *_tables(scores, text),
        text["intervals_short"],
        f"## {text['lineage']}",
        *(
            f"- {domain}: {', '.join(phrases)}"
            for domain, phrases in lineage.get("phrases", {}).items()
        ),
        f"- {text['version']}: `{lineage['dataset']}`",
        f"- {text['checkpoint']}: `{lineage['run']}/{lineage['checkpoint']}`, {scores['px']} px",
        f"## {text['use']}",
        text["use_text"].format(a=a, b=b),
    ]
    return "\n\n".join(lines).replace("\n\n- ", "\n- ").replace(":\n- ", ":\n\n- ") + "\n"


def _tables(scores: Mapping[str, Any], text: Mapping[str, str]) -> list[str]:
    found = []
    for direction in scores["directions"].values():
        rows = [
            f"| {text[key]} | "
            + " | ".join(
                figure_text(direction.get(f"{key}{suffix}"), as_share=key in _SHARES)
                for suffix in ("", "_baseline", "_ceiling")
            )
            + " |"
            for key in _ROWS
            if key in direction
        ]
        if rows:
            found.append(
                f"**{direction['from']} → {direction['to']}**\n\n"
                f"| {text['figure']} | {text['translated']} | {text['untranslated']} | "
                f"{text['real']} |\n|---|---|---|---|\n" + "\n".join(rows)
            )
    return found
