"""The report's words, for readers who meet KID, judges and the gate for the first time."""

import re
import shutil
import tarfile
from dataclasses import replace
from pathlib import Path

import pytest

from core.config_identity import identity
from core.files import load_json, write_json
from core.workspace import Workspace
from core.workspace_folders import DatasetFolder, EvaluationFolder, ModelFolder, RunFolder
from evaluation.model_registry.model_card import load_facts, model_card
from evaluation.report.html_report import write_report
from evaluation.report.wording import Language, explanations
from evaluation.scores import load_scores
from preprocessing.config import PrepareConfig

_GOLDEN = Path(__file__).resolve().parents[1] / "golden" / "workspace.tar.xz"
_TERMS: dict[Language, tuple[str, ...]] = {
    "en": (
        "KID says", "colour transport are translations", "The way is", "95 % interval is",
        "The gate is",
    ),
    "zh": ("KID 表示", "颜色迁移是", "路程从", "95 % 置信区间是", "门槛（gate）是"),
}  # fmt: skip


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    folder = tmp_path_factory.mktemp("workspace")
    with tarfile.open(_GOLDEN) as archive:
        archive.extractall(folder, filter="data")
    return Workspace(folder)


@pytest.mark.parametrize("language", ["en", "zh"])
def test_a_report_explains_its_words_below_the_verdict_that_uses_them(
    workspace: Workspace, language: Language
) -> None:
    (path,) = workspace.runs.iterdir()
    run = workspace.run(path.name)
    (folder,) = (path / "evaluation").iterdir()
    evaluation = EvaluationFolder(folder)
    scores = load_scores(evaluation.scores)
    dataset = DatasetFolder(workspace.dataset(scores.dataset).path)
    page = write_report(language, scores, dataset, run, workspace, evaluation).read_text()
    text = re.sub(r"<[^>]+>", "", page.split("<body>")[1])
    places = [text.index(term) for term in _TERMS[language]]
    assert places == sorted(places)
    assert text.index("KID") < places[0]  # in the verdict, one paragraph above
    assert places[-1] < page.split("<body>")[1].index("<main>")


@pytest.mark.parametrize("language", ["en", "zh"])
def test_each_word_is_explained_in_one_sentence(language: Language) -> None:
    sentences = explanations(language)
    assert len(sentences) == len(_TERMS[language])
    stop = "。" if language == "zh" else "."
    for sentence, term in zip(sentences, _TERMS[language], strict=True):
        assert term in sentence
        assert sentence.endswith(stop)
        assert sentence.count(stop) == 1


@pytest.mark.parametrize("language", ["en", "zh"])
def test_a_models_card_explains_its_words_before_its_figures(
    workspace: Workspace, language: Language
) -> None:
    (model,) = (path for path in workspace.recipe_models("makeup").path.glob("step*"))
    card = model_card(load_facts(ModelFolder(model), "makeup/step"), language)
    before, _ = card.split("|---", 1)
    for term in _TERMS[language]:
        assert term in before


def test_the_end_of_a_run_is_in_the_language_of_its_report(workspace: Workspace) -> None:
    (path,) = workspace.runs.glob("*/evaluation/*/scores.json")
    scores = load_scores(path)
    assert scores.language == "en"
    assert replace(scores, config=scores.config | {"language": "zh"}).language == "zh"


def test_a_chinese_report_and_card_have_the_chinese_names_of_the_domains(
    workspace: Workspace,
) -> None:
    (run,) = (path for path in workspace.runs.iterdir() if path.is_dir())
    (version,) = (path.parent for path in workspace.datasets.glob("*/manifest.parquet"))
    (folder,) = (EvaluationFolder(path) for path in (run / "evaluation").iterdir())
    dataset, scores = DatasetFolder(version), load_scores(folder.scores)

    def texts() -> tuple[str, str]:
        write_report("en", scores, dataset, RunFolder(run), workspace, folder)
        visible = re.sub(
            r"<(pre|style|script).*?</\1>|<[^>]*>", "",
            folder.translated_report("zh").read_text(encoding="utf-8"), flags=re.DOTALL,
        )  # fmt: skip
        (model,) = (path for path in workspace.recipe_models("makeup").path.glob("step*"))
        shutil.copy(dataset.config, ModelFolder(model).prepare)
        return visible, model_card(load_facts(ModelFolder(model), "makeup/step"), "zh")

    for visible in texts():
        assert "化妆 → 素颜" in visible
        assert "makeup →" not in visible
        assert "化妆 ⇄ 素颜" in visible
    assert "- 化妆：" in texts()[1]
    assert "makeup → bare" in folder.report.read_text(encoding="utf-8")
    config = load_json(dataset.config)
    write_json(dataset.config, config | {"chinese_name_a": "浓妆"})
    for visible in texts():
        assert "浓妆 → 素颜" in visible
    assert load_scores(folder.scores) == scores


def test_chinese_names_leave_the_names_of_work_alone() -> None:
    plain = PrepareConfig(domain_a="cats", domain_b="dogs")
    named = PrepareConfig(domain_a="cats", domain_b="dogs", chinese_name_a="猫")
    assert identity(named) == identity(plain)
    assert (plain.chinese_names, named.chinese_names) == (("cats", "dogs"), ("猫", "dogs"))
