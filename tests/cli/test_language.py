"""Commands speak Chinese where the person does: every text has a translation that fits."""

import os
import re
import subprocess
import sys
from pathlib import Path

import message_catalogue
import pytest
from babel.messages.catalog import Message

from core.progress import LogProgress, counted, duration

CATALOGUE = message_catalogue.read()
MESSAGES = [message for message in CATALOGUE if message.id]


def suyan(*arguments: str, cwd: Path | None = None, **variables: str) -> str:
    """What a command prints, in a process that has these variables and no other language."""
    languages = ("SUYAN_LANG", "LC_ALL", "LC_MESSAGES", "LANG")
    environment = {name: text for name, text in os.environ.items() if name not in languages}
    code = "import sys; sys.argv[0] = 'suyan'; from cli.main import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=False,
        cwd=cwd, env=environment | {"COLUMNS": "80", "PYTHONUTF8": "1"} | variables,
    )  # fmt: skip
    return done.stdout + done.stderr


def test_the_catalogue_has_every_text_and_no_other() -> None:
    remedy = "run: python tests/support/message_catalogue.py, and translate what it names"
    assert {message.id for message in MESSAGES} == {*message_catalogue.texts()}, remedy
    assert [message.id for message in MESSAGES if not message.string] == [], remedy


def test_commands_print_no_text_without_a_translation() -> None:
    assert [*message_catalogue.untranslated_texts()] == [], "wrap it in localised(…)"


def test_every_error_and_log_line_is_in_the_persons_language() -> None:
    assert [*message_catalogue.untranslated_errors()] == [], "wrap it in localised(…)"


def test_the_compiled_catalogue_is_that_of_the_texts() -> None:
    assert message_catalogue.MO.read_bytes() == message_catalogue.compiled(CATALOGUE)


@pytest.mark.parametrize("message", MESSAGES, ids=lambda message: message.id[:40])
def test_a_translation_keeps_what_a_command_needs(message: Message) -> None:
    text, translation = str(message.id), str(message.string)

    for kept in (
        r"\{[^{}]*\}",
        r"--[a-z][a-z-]+",
        r"\[/?(?:red|bold|green|yellow)\]",
    ):  # fields, options, markup
        assert {*re.findall(kept, text)} == {*re.findall(kept, translation)}
    assert (text[:1] == "\n") == (translation[:1] == "\n")
    assert not re.search(r"[\u4e00-\u9fff][,;:!?]", translation), "half-width punctuation"


@pytest.mark.parametrize(
    ("variables", "heading"),
    [
        ({"SUYAN_LANG": "zh"}, "用法："),
        ({"LANG": "zh_CN.UTF-8"}, "用法："),
        ({"LC_ALL": "zh_TW.UTF-8", "LANG": "en_US.UTF-8"}, "用法："),
        ({"SUYAN_LANG": "en", "LANG": "zh_CN.UTF-8"}, "Usage: "),
        ({"LANG": "de_DE.UTF-8"}, "Usage: "),
        ({}, "Usage: "),
    ],
)
def test_the_language_is_that_of_the_variable_or_of_the_locale(
    variables: dict[str, str], heading: str
) -> None:
    assert heading in suyan("--help", **variables)


def test_chinese_help_is_complete_and_not_cut_off() -> None:
    printed = suyan("translate", "--help", SUYAN_LANG="zh")
    words = re.sub(r"[\s│]", "", printed)
    assert "…" not in re.sub(r"s3://…", "", words)
    assert "网络看整张图片时较长边的像素数" in words
    assert "Showthismessage" not in words


def test_mistakes_of_a_command_line_are_named_in_chinese() -> None:
    assert "没有命令 trian；你是不是想用 train？" in suyan("trian", SUYAN_LANG="zh")
    assert "缺少参数 PHOTO" in suyan("translate", SUYAN_LANG="zh")
    assert "错误：" in suyan("translate", "--strenth", "1", SUYAN_LANG="zh")


def test_what_commands_print_is_in_chinese(tmp_path: Path) -> None:
    workspace = ("--workspace", str(tmp_path))
    # elsewhere than in the repository, whose demo's workspace may hold runs that it would name
    listed = suyan("list", "runs", *workspace, cwd=tmp_path, SUYAN_LANG="zh")
    assert listed.startswith(f"{tmp_path} 里还没有训练。要得到一个：")
    recipes = suyan("list", "recipes", *workspace, SUYAN_LANG="zh")
    assert re.match(r"配方 +基于 +域 +定期刷新 +文件\n", recipes)
    checked = suyan("recipe", "check", "makeup", *workspace, SUYAN_LANG="zh")
    assert "800 makeup（来自 24 个搜索词）" in checked


def test_counts_durations_and_progress_are_in_the_language(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = list[str]()
    clock = iter((0.0, 10.0, 20.0))
    monkeypatch.setenv("SUYAN_LANG", "zh")
    progress = LogProgress(lines.append, clock=lambda: next(clock))
    for done in (0, 1, 2):
        progress("prepare: crops", done, 14, "")
    assert lines[-1] == "预处理：裁剪 2/14 (14 %)，约剩 2 分 00 秒"
    assert counted(2, "original") == "2 张原图"
    monkeypatch.setenv("SUYAN_LANG", "en")
    assert counted(2, "row of the cache") == "2 rows of the cache"
    assert duration(7500) == "2 h 05 min"
