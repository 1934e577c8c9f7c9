"""The words of a dataset's card, in English and Chinese.

``card.html`` holds both languages and shows that of the browser; ``card.md`` has a file for each.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from markupsafe import escape

from core.language.bilingual import Text
from core.language.messages import LANGUAGES, Language
from preprocessing.config import PrepareConfig
from preprocessing.selection.reason_words import reason_name

CARD_WORDS: Mapping[str, Text] = {
    "title": Text("Dataset", "数据集"),
    "title_too_few": Text("Too few pictures for dataset", "图片太少，不足以成为数据集："),
    "other_language": Text("中文", "English"),
    "faces": Text("Aligned faces", "对齐的人脸"),
    "whole": Text("Whole pictures", "整张图片"),
    "size": Text("{kind}, {px} px.", "{kind}，{px} 像素。"),
    "side": Text("side", "侧"),
    "domain": Text("domain", "域"),
    "train": Text("train", "训练"),
    "test": Text("test", "留出"),
    "rejected": Text("rejected", "剔除"),
    "reason": Text("reason of rejection", "剔除原因"),
    "licenses": Text("Licences of the accepted pictures:", "已采用图片的授权："),
    "license": Text("licence", "授权"),
    "no_license": Text("none stated", "未注明"),
    "credit": Text(
        "The columns `license`, `creator` and `attribution` of `manifest.parquet` say how each "
        "picture wants to be credited.",
        "`manifest.parquet` 的 `license`、`creator`、`attribution` 三列写明每张图片应如何署名。",
    ),
    "groups": Text(
        "Clusters of near duplicates: {num_clusters}. Doubtful pairs: {num_pairs}.",
        "近重复：{num_clusters} 组。存疑的图片对：{num_pairs} 对。",
    ),
    "changes": Text(
        "Changes since {before}: {added} added, {removed} removed, {moved} moved to another side "
        "or split, {recut} cropped differently.",
        "与 {before} 相比：新增 {added} 张，移除 {removed} 张，换了域或划分 {moved} 张，"
        "裁剪有变 {recut} 张。",
    ),
    "changes_since": Text("`{version}` (`changes.csv`)", "`{version}`（`changes.csv`）"),
    "overrule_in_file": Text(
        "`card.html` shows every rejected picture, duplicate and doubtful pair. To overrule a "
        "decision, write a line `sha256,keep` (or `drop`, `move`; `sha256,different,other` for "
        "pictures that are no copies) into `{file}` beside this folder; the next version follows "
        "it.",
        "`card.html` 展示每张被剔除的图片、每组近重复和每对存疑的图片。要推翻决定，在本文件夹旁的 "
        "`{file}` 里写一行 `sha256,keep`（或 `drop`、`move`；不是副本的图片写 "
        "`sha256,different,other`），下一个版本会采用。",
    ),
    "overrule": Text("Overrule a decision", "推翻决定"),
    "overrule_on_page": Text("On a page, by click and by key:", "在网页上，用鼠标和键盘："),
    "overrule_in_terminal": Text(
        "In a terminal, with the digits below the picture, and <code>keep</code>, "
        "<code>drop</code>, <code>move</code> or <code>different</code> as the action:",
        "在终端里，用图片下方的编号代替 <code>DIGITS</code>，用 <code>keep</code>（保留）、"
        "<code>drop</code>（剔除）、<code>move</code>（换域）或 <code>different</code>"
        "（不是副本）代替 <code>ACTION</code>：",
    ),
    "overrule_by_line": Text(
        "Or write one line for each picture into <code>{file}</code> beside the datasets. The next "
        "version follows it:",
        "或者在数据集旁的 <code>{file}</code> 里给每张图片写一行，下一个版本会采用：",
    ),
    "note_keep": Text("a good picture", "好图片"),
    "note_drop": Text("not a photograph", "不是照片"),
    "note_move": Text("belongs to the other domain", "属于另一个域"),
    "different": Text(
        "<code>different</code> says that a picture is no copy of the others in its line; their "
        "cluster\nis split, and stays so. If you drop the accepted picture of a cluster, its next "
        "best copy takes its place. To remove\nunwanted pictures, drop every copy.",
        "<code>different</code> 表示一张图片不是同一行里其他图片的副本，它们会被分开，以后也不再"
        "合并。剔除一组近重复里已采用的那张，会由次好的副本顶替；不想要的图片，请把每个副本都"
        "剔除。",
    ),
    "contents": Text(
        "Click a picture to see its original. Sections:", "点击图片可看原图。目录："
    ),
    "section_train": Text("Accepted for training: {domain}", "用于训练：{domain}"),
    "section_test": Text("Accepted and held out for testing: {domain}", "留出测试：{domain}"),
    "nav_train": Text("training {domain}", "训练 {domain}"),
    "nav_test": Text("held-out {domain}", "留出 {domain}"),
    "accepted_part": Text(
        "{shown} of the {num} pictures, drawn at random. All of them are on the page of this "
        "command:",
        "{num} 张图片中随机抽取的 {shown} 张。运行下面的命令，网页上会列出全部图片：",
    ),
    "no_preview": Text("no preview", "无预览"),
    "face": Text(", face {num}", "，第 {num} 张脸"),
    "page": Text("page", "网页"),
    "pages": Text("Pages:", "分页："),
    "section_rejected": Text("Rejected: {reason}", "剔除：{reason}"),
    "section_duplicates": Text("Clusters of near duplicates", "近重复"),
    "duplicates_intro": Text(
        "The accepted picture has a green frame. If a cluster joins different pictures, split it:",
        "已采用的图片带绿框。如果一组里其实是不同的图片，把它们分开：",
    ),
    "section_doubtful": Text("Doubtful pairs", "存疑的图片对"),
    "doubtful_intro": Text(
        "Pairs that were taken for different pictures, although their similarity is close to the "
        "threshold of {threshold}. If they are the same, drop one of them:",
        "当作两张不同的图片处理，但相似度接近阈值 {threshold}。如果是同一张，剔除其中一张：",
    ),
    "sheet_accepted": Text("{split}: {num} pictures{part}", "{split}：{num} 张图片{part}"),
    "sheet_part": Text(", {num} of them", "，其中 {num} 张"),
    "sheet_rejected": Text("rejected, {reason}: {num} pictures", "剔除，{reason}：{num} 张图片"),
    "sheet_clusters": Text(
        "clusters of near duplicates: {num}{part}; green: the accepted picture",
        "近重复：{num} 组{part}；绿框：已采用的图片",
    ),
    "sheet_clusters_part": Text(" of {num}", "，共 {num} 组"),
    "sheet_doubtful": Text(
        "doubtful pairs: {num}, taken for different pictures",
        "存疑的图片对：{num} 对，当作不同的图片",
    ),
    "sheet_unlikely": Text(
        "least likely of their side: {num}; with the probability",
        "可能放错了域：{num} 张，附属于本域的概率",
    ),
    "part_of": Text("one half of {digits}", "拼图 {digits} 的一半"),
    "similarity": Text("similarity {value}", "相似度 {value}"),
    "section_unlikely": Text("Least likely of their side", "可能放错了域"),
    "unlikely_intro": Text(
        "Accepted pictures that look more like the other domain, with the probability of their own "
        "by a classifier of the other pictures. If one shows the other domain, move it:",
        "已采用、但看起来更像另一个域的图片；数字是用其他图片训练的分类器给出的、属于本域的概率。"
        "如果确实属于另一个域，给它换域：",
    ),
    "nav_duplicates": Text("duplicates", "近重复"),
    "nav_doubtful": Text("doubtful", "存疑的图片对"),
    "nav_unlikely": Text("unlikely", "可能放错了域"),
}  # fmt: skip


SHEET_WORDS = ("similarity", *(key for key in CARD_WORDS if key.startswith("sheet_")))
"""The texts that are drawn into contact sheets."""


class Words(Text):
    """HTML in both languages, of which the page shows one."""

    def __html__(self) -> str:
        return both if (both := self.en) == self.zh else _SPANS.format(*self)


_SPANS = '<span lang="en">{}</span><span lang="zh-CN">{}</span>'


def on_page(text: str | Text, **values: object) -> Words:
    """The HTML of a text, or of the ``CARD_WORDS`` of this key with ``values`` escaped.

    A value that is a ``Text`` gets the language of the words.
    """
    if isinstance(text, Text):
        return Words(escape(text.en), escape(text.zh))
    words = CARD_WORDS[text]
    en, zh = (
        words.in_language(language).format(
            **{name: _escaped(value, language) for name, value in values.items()}
        )
        for language in LANGUAGES
    )
    return Words(en, zh)


def in_markdown(language: Language) -> Callable[..., str]:
    """A function like ``on_page`` whose result is plain text in ``language``."""

    def say(text: str | Text, **values: object) -> str:
        words = text if isinstance(text, Text) else CARD_WORDS[text]
        return words.in_language(language).format(**values)

    return say


def reason_text(reason: str) -> Text:
    """A reason of rejection: in English the code that manifest and configuration have."""
    return Text(reason, reason_name(reason).zh)


def domain_text(config: PrepareConfig, domain: str) -> Text:
    """The name of a domain of ``config``."""
    names = dict(zip((config.domain_a, config.domain_b), config.chinese_names, strict=True))
    return Text(domain, names.get(domain, domain))


def _escaped(value: object, language: Language) -> str:
    if isinstance(value, Words):
        return value.in_language(language)
    return escape(value.in_language(language) if isinstance(value, Text) else value)
