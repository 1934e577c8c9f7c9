"""The independent judges of a direction as a table: what each sees, and what it says."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from evaluation.figures import Figure
from evaluation.judges.judge_kinds import judge_meaning, judge_name, view_name
from evaluation.judges.judge_scores import JudgeScores, Opinion, ViewScores
from evaluation.report.wording import Language, figure_text, number, words
from evaluation.scores import DirectionScores

_COLUMNS = ("judge_column", "judge_view", "judge_sight", "judge_way", "judge_opinion")


@dataclass(frozen=True)
class JudgeRow:
    """A judge's view, or all of its views together, as texts."""

    judge: str
    view: str
    sight: str  # whether it can tell the domains apart
    share: str  # of the way, with its interval
    opinion: str
    state: Opinion


def judge_columns(language: Language) -> list[str]:
    """The titles of a row's cells."""
    text = words(language)
    return [text[key] for key in _COLUMNS]


def judge_rows(direction: DirectionScores, language: Language) -> list[JudgeRow]:
    """A row for each view of each judge, and one for all views of a judge that has several."""
    return [row for judge in direction.judges or () for row in _rows(judge, language)]


def judge_table(direction: DirectionScores, language: Language) -> str:
    """The rows as a Markdown table; ``""`` without judges."""
    rows = judge_rows(direction, language)
    if not rows:
        return ""
    cells = [[row.judge, row.view, row.sight, row.share, row.opinion] for row in rows]
    lines = [judge_columns(language), ["---"] * len(_COLUMNS), *cells]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def judge_notes(direction: DirectionScores, language: Language) -> list[str]:
    """A line for each judge: what it looks at, and whether it counts."""
    text = words(language)
    notes = []
    for judge in direction.judges or ():
        pretraining = judge.pretraining or text["judge_untrained"]
        note = text["judge_note"].format(
            name=_title(judge_name(judge.judge, language)),
            meaning=judge_meaning(judge.judge, language),
            pretraining=pretraining,
        )
        notes.append(note if judge.is_independent else f"{note} {text['judge_in_loss']}")
    return notes


def _rows(judge: JudgeScores, language: Language) -> Iterator[JudgeRow]:
    name, text = _title(judge_name(judge.judge, language)), words(language)
    for key, view in judge.views.items():
        yield JudgeRow(
            judge=name,
            view=view_name(key, language),
            sight=_sight(view, language),
            share=_share(view.share),
            opinion=text[f"judge_{view.opinion}"] if view.can_see else "–",
            state=view.opinion,
        )
    if len(judge.views) > 1:
        yield JudgeRow(
            judge=name,
            view=text["judge_all_views"],
            sight=text["judge_sees" if judge.can_see else "judge_sees_not"],
            share=_share(judge.share),
            opinion=text[f"judge_{judge.opinion}"] if judge.can_see else "–",
            state=judge.opinion,
        )


def _sight(view: ViewScores, language: Language) -> str:
    text = words(language)
    sight = text["judge_sees" if view.can_see else "judge_sees_not"]
    return text["judge_errors_apart"].format(sight=sight, num=number(view.errors_apart))


def _share(share: Figure | None) -> str:
    return figure_text(share, as_share=True) if share is not None else "–"


def _title(name: str) -> str:
    return name[:1].upper() + name[1:]
