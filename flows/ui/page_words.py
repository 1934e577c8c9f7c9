"""The words of a run's pages and outcomes, in the language of the run's report.

``run_parameters`` chooses it by ``evaluate.language``, so that all pages of a run have one
language, whatever the locale of its worker; a run without a report speaks that of its worker. The
errors and log lines of a run with a Chinese report are Chinese too; those of others follow the
locale.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextvars import ContextVar

from core.language.bilingual import Text
from core.language.messages import Language, choose_language
from core.progress import counted

PAGE_WORDS: Mapping[str, Text] = {
    "crawled": Text(
        "**{domain}**: {num_ok} of {num_hits} hits became originals.",
        "**{domain}**：{num_hits} 条结果里有 {num_ok} 条成为原图。",
    ),
    "partial": Text(" **Partial**: {part}.", " **不完整**：{part}。"),
    "other_hits": Text(
        " Duplicates: {duplicates}. Rejected: {reasons}.", " 重复：{duplicates}。剔除：{reasons}。"
    ),
    "none": Text("none", "无"),
    "newest": Text("The newest", "最新的图片"),
    "phrase": Text("phrase", "搜索词"),
    "pages": Text("pages", "页数"),
    "hits": Text("hits", "结果"),
    "new": Text("new", "新结果"),
    "stored": Text("stored", "已保存"),
    "duplicates": Text("duplicates", "重复"),
    "stopped": Text("stopped", "停止原因"),
    "rejected": Text("rejected", "剔除"),
    "begins": Text("begins", "开始"),
    "over_time": Text(
        "One picture of each side at steps {steps}, from top to bottom: the input, translated, and "
        "translated back",
        "两个域各一张图片，从上到下为第 {steps} 步：输入、转换、还原",
    ),
    "samples": Text("All sample pictures at step {step}", "第 {step} 步的全部样例图"),
    "augmentation": Text(
        "Two pictures of each domain, and as augmentation may change them",
        "每个域两张图片，以及数据增强后可能的样子",
    ),
    "losses": Text(
        "Losses, each row the mean over a tenth of the steps", "损失，每行是十分之一步数的平均值"
    ),
    "up_to_step": Text("up to step", "到第几步"),
    "held_out": Text(
        "Held-out pictures: input, (champion,) translated, translated back, (truth)",
        "留出图片：输入、（冠军、）转换、还原（、真值）",
    ),
    "origin": Text(
        "Where model **{model}** of {recipe} comes from", "{recipe} 的模型 **{model}** 的血缘"
    ),
    "step": Text("step", "步骤"),
    "where": Text("where", "位置"),
    "crawl": Text("crawl", "抓取"),
    "dataset": Text("dataset", "数据集"),
    "run": Text("run", "训练"),
    "evaluation": Text("evaluation", "评测"),
    "model": Text("model", "模型"),
    "outcome": Text("**{name}**: {outcome}", "**{name}**：{outcome}"),
    "failed": Text(
        "**{name}** failed at the stage {stage}: {reason}",
        "**{name}** 在“{stage}”阶段失败：{reason}",
    ),
    "after_failure": Text(
        "What is finished is saved. Mend what the error names, then run it again with the same "
        "parameters (Retry, at the top of the run's page): it goes on from there.",
        "已完成的部分都已保存。按错误提示处理后，用同样的参数再运行一次（运行页面上方的 "
        "Retry），会从这里继续。",
    ),
    "error": Text("The error", "错误信息"),
    "asks": Text(
        "**Press Resume**, at the top of this run's page: {recipe} waits for your decision",
        "**请按 Resume**（在运行页面上方）：{recipe} 等待你的决定",
    ),
    "approve": Text("**Approved** for {recipe}: {reason}", "{recipe}：**已批准**（{reason}）"),
    "reject": Text("**Rejected** for {recipe}: {reason}", "{recipe}：**未批准**（{reason}）"),
    "undecided": Text("**Not decided** for {recipe}: {reason}", "{recipe}：**未决定**（{reason}）"),
    "until": Text(
        "Without a decision within {hours} hours the model is stored and not promoted.",
        "{hours} 小时内没有决定，模型只保存，不成为冠军。",
    ),
    "crawl_empty": Text(
        "no search found a picture for {domain}; check its phrases, and the address of the engine",
        "没有为 {domain} 搜到任何图片；请检查搜索词和搜索引擎的地址",
    ),
    "dataset_counts": Text(
        "{domain}: {train} to train on, {test} held out", "{domain}：训练 {train}，留出 {test}"
    ),
    "sheet": Text("{domain}, {purpose}", "{domain}，{purpose}"),
    "purpose_train": Text("to train on", "用于训练"),
    "purpose_test": Text("held out", "留出"),
    "rejected_sheet": Text("Rejected: {reason}", "剔除：{reason}"),
    "sheet_duplicates": Text("Near duplicates", "近重复"),
    "sheet_doubtful": Text("Doubtful pairs", "存疑的图片对"),
    "sheet_unlikely": Text("Least likely of their side", "可能放错了域"),
    "stage": Text("stage", "阶段"),
    "prepare": Text("prepare", "预处理"),
    "train": Text("train", "训练"),
    "evaluate": Text("evaluate", "评测"),
    "promote": Text("promote", "晋升"),
    "publish": Text("publish", "发布"),
    "status_Continued": Text("Continued", "已继续"),
    "status_Partial": Text("Partial", "不完整"),
    "status_Not promoted": Text("Not promoted", "未成为冠军"),
    "status_Nothing new": Text("Nothing new", "没有新内容"),
    "parameters": Text(
        "The effective parameters: recipe {recipe}, preset {preset} ({num_preset}), {num_given} "
        "given",
        "实际采用的参数：配方 {recipe}，预设 {preset}（{num_preset}），另外指定 {num_given}",
    ),
    "given": Text("given to this run", "本次运行指定"),
    "given_value": Text(
        "{setting} {value} (recipe: {recipe})", "{setting} {value}（配方：{recipe}）"
    ),
    "of_preset": Text("preset {preset}", "预设 {preset}"),
    "changed": Text("changed", "更改"),
    "all_parameters": Text("All of them:", "全部参数："),
    "has_originals": Text("{domain} has {originals}", "{domain} 共有 {originals}"),
    "crawled_before": Text(
        "this crawl was finished before, and {due}: {total}", "这次抓取以前已经完成，{due}：{total}"
    ),
    "never_again": Text(
        "it is never searched again (refresh_after_h is empty)", "不再搜索（refresh_after_h 为空）"
    ),
    "again_after": Text(
        "it is searched again when older than {hours} hours", "超过 {hours} 小时才会再搜索"
    ),
    "run_again": Text("{part}: run it again. {total}", "{part}：请再运行一次。{total}"),
    "nothing_found": Text("nothing new was found: {total}", "没有找到新的图片：{total}"),
    "added": Text("{new}: {total}", "新增{new}：{total}"),
    "cut_short": Text(
        "the search engine cut {num} of {total} searches short",
        "搜索引擎提前中止了 {total} 次搜索里的 {num} 次",
    ),
    "sources_missing": Text("{sources} was not there", "{sources}不在"),
    "waiting": Text(
        "{pictures} could not be fetched or read, for reasons that may pass",
        "{pictures}没有取到或读不出来，原因可能是暂时的",
    ),
    "and": Text(" and ", "；"),
    "prepared_before": Text(
        "the same originals and settings gave this dataset before: {version}, {pictures}",
        "以前用同样的原图和设置得到过这个数据集：{version}，{pictures}",
    ),
    "prepared": Text("{version}: {pictures}", "{version}：{pictures}"),
    "trained_before": Text(
        "this dataset was trained with these settings before: {run}, {steps}",
        "以前用同样的设置训练过这个数据集：{run}，{steps}",
    ),
    "went_on": Text("went on from step {before} to {now}", "从第 {before} 步继续到第 {now} 步"),
    "measured_before": Text(
        "this checkpoint was measured with these settings before: {verdict}",
        "以前用同样的设置评测过这个检查点：{verdict}",
    ),
}
_NOUNS = {
    "new original": "张原图", "folder or list": "个文件夹或清单",
    "original": "张原图", "picture": "张图片", "step": "步", "epoch": "轮", "value": "项",
}  # fmt: skip
_language: ContextVar[Language] = ContextVar("page_language", default="en")


def use_language(language: Language) -> None:
    """Let the pages of the present run speak ``language``; Chinese ones with all else it says."""
    _language.set(language)
    choose_language("zh" if language == "zh" else None)


def page_language() -> Language:
    """The language of the pages of the present run."""
    return _language.get()


def say(key: str, **values: object) -> str:
    """The words of ``key`` with ``values``, in the language of the present run."""
    return PAGE_WORDS[key].in_language(page_language()).format(**values)


def count(num: int, noun: str) -> str:
    """``"2 originals"`` or ``"2 张原图"``; ``noun`` is the English one, for one of them."""
    return counted(num, noun) if page_language() == "en" else f"{num} {_NOUNS[noun]}"
