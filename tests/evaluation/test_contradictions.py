"""Figures that contradict each other are explained, or withheld, wherever they are shown."""

import io
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from measured_runs import figure, judge, scores_of
from rich.console import Console
from tiny_evaluation import Measured

from cli.run import print_summary
from core.workspace import Workspace
from evaluation.contradictions import Contradiction
from evaluation.model_registry.model_card import ModelFacts, model_card
from evaluation.report.table import row_groups
from evaluation.report.wording import (
    Language,
    contradiction_sentences,
    share_sentence,
    verdict,
    words,
)
from evaluation.scores import Scores
from flows.pipeline import PipelineResult

LANGUAGES: tuple[Language, ...] = ("en", "zh")
TRUTH = {"num_pictures": 30, "lip_eye_error_reduction": figure(0.4)}


def scores(kid: float = 0.61, **changes: Any) -> Scores:
    """Grey mush: far from real pictures, and all of it passes for the target."""
    value = scores_of(kid)
    for direction in value["directions"].values():
        direction.update({"domain_success": figure(1.0), "judges": []} | changes)
    return Scores.from_json(value)


def test_the_classifier_is_withheld_where_translations_look_like_neither_domain() -> None:
    direction = scores().directions["A2B"]
    assert direction.contradictions == [Contradiction.CLASSIFIER]
    for language in LANGUAGES:
        (sentence,) = contradiction_sentences(direction, language)
        assert "0.610" in sentence
        assert "100 %" not in share_sentence(direction, language)
        rows = [row for group in row_groups(direction, language) for row in group.rows]
        (row,) = [row for row in rows if any("%" in cell.text for cell in row.cells)]
        texts = [cell.text for cell in row.cells]
        assert texts == [words(language)["withheld"], "10 %", "90 %"]
        assert [mark.kind for mark in row.plot] == ["untranslated", "real"]
        card = model_card(ModelFacts("m", None, None, scores(), {}), language)
        assert sentence.replace("bare", {"zh": "素颜"}.get(language, "bare")) in card
        assert "100 %" not in card


def test_a_classifier_that_agrees_is_shown() -> None:
    for good in (scores(0.02), scores(0.61, domain_success=figure(0.2))):
        direction = good.directions["A2B"]
        assert direction.contradictions == []
        assert contradiction_sentences(direction, "en") == []
        assert "the classifier" in share_sentence(direction, "en")


def test_fid_and_judges_that_find_the_opposite_are_explained() -> None:
    others = {"fid": figure(2.0), "judges": [judge("random_convolutions", 0.9)]}
    direction = scores(domain_success=figure(0.1), **others).directions["A2B"]
    assert direction.contradictions == [Contradiction.FID, Contradiction.JUDGES]
    fid, judges = contradiction_sentences(direction, "en")
    assert "FID goes from 5.00 to 2.00 and KID from 0.0500 to 0.610" in fid
    assert "random convolutions surely finds the opposite" in judges
    good = scores(0.02, fid=figure(9.0), judges=[judge("random_convolutions", -0.9)])
    assert good.directions["B2A"].contradictions == [Contradiction.FID, Contradiction.JUDGES]


def test_a_smaller_error_on_lips_does_not_hide_a_worse_picture() -> None:
    bad = scores(domain_success=figure(0.1), truth=TRUTH)
    assert bad.directions["A2B"].contradictions == [Contradiction.TRUTH]
    sentence = verdict(bad)
    assert "by 40 % (bare → makeup), though whole pictures look less like real" in sentence
    assert "但整张图片更不像真实图片" in verdict(bad, "zh")
    assert "though" not in verdict(scores(0.02, truth=TRUTH))


@pytest.mark.slow
def test_programs_find_them_in_the_scores_too(measured: Measured) -> None:
    written = json.loads((measured.done.folder / "scores.json").read_text(encoding="utf-8"))
    for name, direction in measured.done.scores.directions.items():
        assert written["directions"][name]["contradictions"] == direction.contradictions


def test_figures_without_an_interval_contradict_too() -> None:
    direction = scores().directions["A2B"]
    plain = {key: getattr(value, "value", value) for key, value in direction.figures.items()}
    assert replace(direction, figures=plain).contradictions == [Contradiction.CLASSIFIER]


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_run_of_a_pipeline_ends_with_them(tmp_path: Path, language: Language) -> None:
    measured = replace(scores(), config={"language": language})
    result = PipelineResult(
        dataset=tmp_path, run=tmp_path, report=tmp_path, model=tmp_path,
        verdict="verdict", promotion="promotion", scores=measured, seconds={},
    )  # fmt: skip
    console = Console(record=True, width=400, file=io.StringIO())
    print_summary(result, console, Workspace(tmp_path))
    (sentence,) = contradiction_sentences(measured.directions["A2B"], language)
    assert sentence in console.export_text()
