"""The report's words, for readers who meet KID, intervals and the gate for the first time."""

import re
import tarfile
from dataclasses import replace
from pathlib import Path

import pytest

from core.workspace import Workspace
from core.workspace_folders import DatasetFolder, EvaluationFolder
from evaluation.report.html_report import write_report
from evaluation.report.wording import Language, explanations
from evaluation.scores import load_scores

_GOLDEN = Path(__file__).resolve().parents[1] / "golden" / "workspace.tar.xz"
_TERMS: dict[Language, tuple[str, ...]] = {
    "en": ("KID says", "95 % interval is", "The gate is"),
    "zh": ("KID 表示", "95 % 区间是", "门槛（gate）是"),
}


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


def test_the_end_of_a_run_is_in_the_language_of_its_report(workspace: Workspace) -> None:
    (path,) = workspace.runs.glob("*/evaluation/*/scores.json")
    scores = load_scores(path)
    assert scores.language == "en"
    assert replace(scores, config=scores.config | {"language": "zh"}).language == "zh"
