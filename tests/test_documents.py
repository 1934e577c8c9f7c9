"""Links, paths, commands, options and parameters in the documents exist, in both languages."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer

from cli.main import app
from flows.parameters import PipelineParameters
from training.config import TrainConfig

ROOT = Path(__file__).resolve().parents[1]
DOCUMENTS = sorted((*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")))
CHINESE = ".zh-CN.md"
ENGLISH = [
    path
    for path in DOCUMENTS
    if not path.name.endswith(CHINESE) and (path.parent.name == "docs" or path.stem == "README")
]
PRODUCT = (
    "core", "storage", "scraping", "preprocessing", "training", "evaluation", "serving", "flows",
    "cli", "deploy",
)  # fmt: skip
FOLDERS = (*PRODUCT, "benchmarks", "docs", "tests")
SECTIONS = ("crawl_a", "crawl_b", "prepare", "train", "evaluate", "promote", "torchrun")
FILE_SUFFIXES = {"py", "json"}
OTHER_PROGRAMS = {"--type", "--work-queue"}  # options of Prefect, named without a command
MOST_README_LINES = 150
MOST_ARCHITECTURE_LINES = 199

each_document = pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)


def twin(document: Path) -> Path:
    return document.with_name(document.name.removesuffix(".md") + CHINESE)


def prose_and_code(document: Path) -> tuple[str, list[str]]:
    """The text without fenced blocks, and those blocks."""
    parts = re.split(r"^ *```.*$", document.read_text(encoding="utf-8"), flags=re.MULTILINE)
    return "\n".join(parts[::2]), parts[1::2]


def spans(document: Path) -> list[str]:
    return re.findall(r"`([^`\n]+)`", prose_and_code(document)[0])


def headings(document: Path) -> list[tuple[int, str]]:
    prose, _ = prose_and_code(document)
    found = re.findall(r"^(#+) (.+)$", prose, re.MULTILINE)
    return [(len(marks), title) for marks, title in found]


def command_lines(document: Path) -> Iterator[list[str]]:
    """The words of each command of ours, in a block of shell commands or in backticks."""
    text = document.read_text(encoding="utf-8")
    blocks = re.findall(r"^ *```sh$(.*?)^ *```$", text, re.MULTILINE | re.DOTALL)
    lines = "\n".join(blocks).replace("\\\n", " ").splitlines()
    for line in (*lines, *spans(document)):
        try:
            words = shlex.split(line, comments=True)
        except ValueError:  # an apostrophe in a text that is no command
            continue
        if words[:1] == ["python"]:
            words = words[1:]
        if words and re.fullmatch(r"(.*/)?suyan|benchmarks/\w+\.py", words[0]):
            yield words


def parsers() -> dict[str, Any]:
    """Each command of ``suyan``; those of a group have two words, e.g. ``"recipe new"``."""
    group = typer.main.get_command(app)
    assert isinstance(group, typer.core.TyperGroup)
    named = dict[str, Any](group.commands)
    for name, command in group.commands.items():
        if isinstance(command, typer.core.TyperGroup):
            named |= {f"{name} {below}": each for below, each in command.commands.items()}
    return named


def suyan_commands() -> dict[str, set[str]]:
    """The options of each command of ``suyan``."""
    return {
        name: {"--help", *(spelling for option in command.params for spelling in option.opts)}
        for name, command in parsers().items()
    }


def command_and_arguments(words: list[str]) -> tuple[str, list[str]]:
    """The name of the command, of one word or two, and what follows."""
    num_words = 2 if " ".join(words[:2]) in parsers() else 1
    return " ".join(words[:num_words]), words[num_words:]


def used_options(words: list[str]) -> set[str]:
    return {word.partition("=")[0] for word in words if re.match(r"--?[a-z]", word)}


@each_document
def test_every_link_leads_somewhere(document: Path) -> None:
    prose, _ = prose_and_code(document)
    targets = re.findall(r"\]\(([^)\s]+)\)", prose)
    local = [target for target in targets if not re.match(r"https?://", target)]
    missing = [target for target in local if not (document.parent / target).exists()]
    assert not missing


@each_document
def test_every_path_that_is_named_exists(document: Path) -> None:
    text = document.read_text(encoding="utf-8")
    pattern = rf"(?<![\w/.$-])(?:{'|'.join(FOLDERS)})/[\w./-]*"
    paths = {path.rstrip(".") for path in re.findall(pattern, text, re.ASCII)}
    missing = [path for path in paths if "NAME" not in path and not (ROOT / path).exists()]
    assert not missing
    modules = {span for span in spans(document) if re.fullmatch(r"\w+\.py", span)}
    assert not {name for name in modules if not any(ROOT.glob(f"[!.]*/**/{name}"))}


@each_document
def test_commands_and_their_options_exist(document: Path) -> None:
    options = suyan_commands()
    for program, *words in command_lines(document):
        if program.endswith(".py"):
            source = (ROOT / "benchmarks" / Path(program).name).read_text(encoding="utf-8")
            unknown = {option for option in used_options(words) if f'"{option}"' not in source}
            assert not unknown, f"{program}: {unknown}"
        elif words and not words[0].isupper():
            command, arguments = command_and_arguments(words)
            assert command in options, f"{document.name}: suyan {command}"
            assert used_options(arguments) <= options[command], f"{document.name}: {words}"


@each_document
def test_options_that_stand_alone_exist(document: Path) -> None:
    scripts = "".join(path.read_text(encoding="utf-8") for path in ROOT.glob("benchmarks/*.py"))
    known = set.union(*suyan_commands().values()) | OTHER_PROGRAMS
    known |= {name for option in typer.main.get_command(app).params for name in option.opts}
    alone = {span.split()[0].partition("=")[0] for span in spans(document) if span[:2] == "--"}
    assert not {option for option in alone - known if f'"{option}"' not in scripts}


@each_document
def test_targets_of_make_exist(document: Path) -> None:
    targets = re.findall(
        r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE
    )
    text = document.read_text(encoding="utf-8")
    assert set(re.findall(r"(?:^|`)make ([a-z-]+)", text, re.MULTILINE)) <= {*targets}


@each_document
def test_parameters_exist(document: Path) -> None:
    prose = " ".join(spans(document))
    named = re.findall(rf"(?<![\w/.])({'|'.join(SECTIONS)})\.([a-z_]+)", prose)
    for section, field in named:
        config: Any = PipelineParameters.model_fields[section].annotation
        assert field in {*config.model_fields, *FILE_SUFFIXES}, f"{section}.{field}"
    text = document.read_text(encoding="utf-8")
    assert set(re.findall(r"--set (\w+)=", text)) <= TrainConfig.model_fields.keys()


@pytest.mark.parametrize("document", ENGLISH, ids=lambda path: path.name)
def test_the_chinese_twin_has_the_same_headings_and_commands(document: Path) -> None:
    chinese = twin(document)
    assert [level for level, _ in headings(document)] == [level for level, _ in headings(chinese)]
    assert len(prose_and_code(document)[1]) == len(prose_and_code(chinese)[1])
    english_commands, chinese_commands = (
        sorted((words[1:2], sorted(used_options(words))) for words in command_lines(path))
        for path in (document, chinese)
    )
    assert english_commands == chinese_commands
    assert chinese.name in document.read_text(encoding="utf-8")
    assert document.name in chinese.read_text(encoding="utf-8")


def test_documents_stay_short() -> None:
    for name, most in (
        ("README.md", MOST_README_LINES),
        ("README.zh-CN.md", MOST_README_LINES),
        ("ARCHITECTURE.md", MOST_ARCHITECTURE_LINES),
    ):
        assert len((ROOT / name).read_text(encoding="utf-8").splitlines()) <= most, name


def test_guides_that_the_product_names_exist() -> None:
    files = [path for folder in PRODUCT for path in (ROOT / folder).rglob("*") if path.is_file()]
    for path in (*files, ROOT / "prefect.yaml", ROOT / "flows" / "server" / "automations.yaml"):
        if path.suffix not in {".py", ".yaml", ".json", ".html", ".jinja"}:
            continue
        text = path.read_text(encoding="utf-8")
        for name, section in re.findall(r"docs/([\w-]+\.md)(?:, '([^']+)')?", text):
            guide = ROOT / "docs" / name
            assert guide.exists(), f"{path}: {name}"
            titles = {title for _, title in headings(guide)}
            assert not section or section in titles, f"{path}: {name}, {section!r}"


def test_what_is_said_in_several_places_is_the_same() -> None:
    """Durations, recipes and defaults in help texts, which may not import what they describe."""
    from cli import run as commands
    from flows.recipes import RECIPES

    for name in ("README.md", "Makefile"):
        (line,) = re.findall(r"make demo  .*", (ROOT / name).read_text(encoding="utf-8"))
        assert commands._DEMO_DURATION in line, name
    parameters = typer.main.get_command(app).commands["run"].params  # type: ignore[attr-defined]
    helps = {parameter.name: parameter.help for parameter in parameters}
    assert all(name in helps["recipe"] for name in RECIPES)
    assert f"{RECIPES['makeup']().crawl_a.num_images}." in helps["images"]


def test_codes_in_tables_are_those_of_the_code() -> None:
    """Reasons, kinds of problems and faults, each in the document that explains it."""
    from core.pictures import UNREADABLE
    from preprocessing.analysis.analyse import FILE_MISSING
    from preprocessing.sandbox_worker import FailureReason
    from preprocessing.selection.rejection_reasons import Reason
    from scraping.catalogue.entities import StopReason
    from scraping.offline.raw_host import HOST_FAULTS
    from serving.web.problems import ProblemKind

    codes = {
        "datasets": [*Reason, *FailureReason, UNREADABLE, FILE_MISSING],
        "crawl": [*StopReason, *HOST_FAULTS],
        "using-a-model": [*ProblemKind],
    }
    for name, wanted in codes.items():
        for document in (ROOT / "docs" / f"{name}.md", ROOT / "docs" / f"{name}{CHINESE}"):
            named = {span.split(":")[0] for span in spans(document)}
            assert [str(code) for code in wanted if code not in named] == [], document.name


def _complete_lines(document: Path) -> Iterator[list[str]]:
    """The words of each command of ours in a block of shell commands, without redirections."""
    text = document.read_text(encoding="utf-8")
    blocks = re.findall(r"^ *```sh$(.*?)^ *```$", text, re.MULTILINE | re.DOTALL)
    for line in "\n".join(blocks).replace("\\\n", " ").splitlines():
        words = shlex.split(re.split(r" [&>|]", line)[0], comments=True)
        if words and re.fullmatch(r"(.*/)?suyan", words[0]):
            yield words[1:]


@each_document
def test_commands_in_blocks_can_be_pasted(
    document: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The command's own parser reads them: no argument is missing, no value out of range."""
    (tmp_path / "workspace").mkdir()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SUYAN_CACHE", str(tmp_path / "cache"))
    for words in _complete_lines(document):
        command, arguments = command_and_arguments(words)
        parsers()[command].make_context(command, arguments)
