"""The texts of the review's page, in English and Chinese.

``reason-…`` names a reason for which a picture is not used, ``why-…`` explains it
(``preprocessing/selection/reason_words.py``), ``stage-…`` is a stage of the preparation.
"""

from __future__ import annotations

from collections.abc import Mapping

from preprocessing.config import PrepareConfig
from preprocessing.selection.reason_words import REASON_WORDS
from serving.web.strings import Language, domain_names

_TEXTS: Mapping[Language, Mapping[str, str]] = {
    "en": {
        "title": "Review",
        "other_language": "中文",
        "loading": "Loading the pictures …",
        "sections": "Sections",
        "show": "Show",
        "all": "All",
        "undecided": "Undecided",
        "help": "Keys",
        "keep": "Keep",
        "drop": "Drop",
        "move": "Move",
        "move_to": "Move to {domain}",
        "different": "Not copies",
        "undo": "Undo",
        "select": "Select",
        "select_done": "Done",
        "selected": "{num} selected",
        "clear_selection": "Clear the selection",
        "close": "Close",
        "previous": "Previous picture",
        "next": "Next picture",
        "enlarge": "Enlarge",
        "end": "This is the end of the version.",
        "end_none": "No decision waits for the next version.",
        "end_some": "Decisions that wait for the next version: {num}.",
        "make": "Make the next version",
        "make_short": "Next version",
        "make_intro": "The originals are prepared again with the settings of this version, and "
        "with every decision. This version stays as it is.",
        "making": "The next version is being made",
        "made": "The new version: {version}",
        "made_same": "Nothing has changed: this version follows every decision already.",
        "make_failed": "The next version could not be made. This one stays under review, and all "
        "decisions are kept.",
        "open_new": "Review the new version",
        "cancel": "Back",
        "count_keep": "keep: {num}",
        "count_drop": "drop: {num}",
        "count_move": "move: {num}",
        "count_different": "not copies: {num}",
        "count_none": "taken back: {num}",
        "side": "Perhaps on the wrong side",
        "side_why": "A classifier of the two sides takes these for the other side. Move or drop "
        "the wrong ones.",
        "pairs": "Doubtful pairs",
        "pairs_why": "Taken for two pictures, although they are nearly similar enough to be copies."
        " Drop one of a pair if they are the same.",
        "clusters": "Near duplicates",
        "clusters_why": "Of each group one picture is used (green line). Keep another one to use "
        "it instead, or press “Not copies” for different pictures.",
        "used": "Used: {domain}",
        "used_why": "The pictures that are nearest to a limit come first.",
        "likelihood": "likelihood {value}",
        "similarity": "similarity {value}",
        "decision-keep": "kept by hand",
        "decision-drop": "dropped by hand",
        "decision-move": "moved by hand",
        "decision-different": "no copies of each other",
        "faces_of": "{num} faces",
        "measured": "{reason}: {value}, limit {limit}",
        "figure": "Figure",
        "nearest": "Nearest limit",
        "side_score": "Likelihood of its side",
        "size": "Size",
        "phrase": "Phrase",
        "source": "Source",
        "license": "Licence",
        "digits": "sha256",
        "copies": "Its near duplicates",
        "stale_title": "Somebody else decided meanwhile",
        "stale_text": "Your decision ({action}) about these pictures is not written. The decisions "
        "of now:",
        "stale_mine": "Write mine",
        "stale_theirs": "Leave theirs",
        "no_decision": "none",
        "undo_none": "There is nothing to undo in this window.",
        "undone": "Taken back.",
        "undo_stale": "Somebody else decided about it since: nothing was taken back.",
        "undo_gone": "This decision can no longer be taken back: the server was started again, or "
        "the file was changed. Decide anew.",
        "already": "It is decided so already.",
        "no_group": "Choose pictures of a group of near duplicates first.",
        "outdated": "A newer version is under review.",
        "reload": "Open it",
        "offline": "The server does not answer. No decision was lost; the last one was not written."
        " Is the command that started it still running?",
        "failed": "Not written: {message}",
        "nothing": "Nothing to show here with this choice.",
        "key_arrows": "to the next picture; with Shift select",
        "key_enter": "enlarge, and back",
        "key_escape": "clear the selection, close",
        "key_all": "select the whole section",
        "key_section": "former, next section",
        "stage-prepare": "Analysing originals",
        "stage-duplicates": "Comparing near duplicates",
        "stage-crops": "Cropping",
        "stage-other": "Preparing",
    },
    "zh": {
        "title": "人工复核",
        "other_language": "English",
        "loading": "正在载入图片……",
        "sections": "分组",
        "show": "显示",
        "all": "全部",
        "undecided": "只看未决定",
        "help": "快捷键",
        "keep": "保留",
        "drop": "剔除",
        "move": "换边",
        "move_to": "移到{domain}",
        "different": "不是副本",
        "undo": "撤销",
        "select": "多选",
        "select_done": "完成",
        "selected": "已选 {num} 张",
        "clear_selection": "取消选择",
        "close": "关闭",
        "previous": "上一张",
        "next": "下一张",
        "enlarge": "放大",
        "end": "这个版本已经看完。",
        "end_none": "没有等待下一个版本的决定。",
        "end_some": "有 {num} 个决定等待下一个版本。",
        "make": "生成下一个版本",
        "make_short": "下一个版本",
        "make_intro": "用这个版本的设置和所有决定重新处理原图。这个版本保持不变。",
        "making": "正在生成下一个版本",
        "made": "新版本：{version}",
        "made_same": "没有变化：这个版本已经采用了所有决定。",
        "make_failed": "未能生成下一个版本。仍在复核这个版本，所有决定都已保存。",
        "open_new": "复核新版本",
        "cancel": "返回",
        "count_keep": "保留：{num}",
        "count_drop": "剔除：{num}",
        "count_move": "换边：{num}",
        "count_different": "不是副本：{num}",
        "count_none": "收回：{num}",
        "side": "可能放错了边",
        "side_why": "区分两类的分类器认为这些图片属于另一边。放错的请换边或剔除。",
        "pairs": "存疑的图片对",
        "pairs_why": "当作两张不同的图片，但相似度接近副本的标准。如果是同一张，剔除其中一张。",
        "clusters": "近似重复",
        "clusters_why": "每组只用一张（绿线）。想改用另一张就保留它；"
        "如果是不同的图片，按“不是副本”。",
        "used": "已采用：{domain}",
        "used_why": "最接近限值的图片排在前面。",
        "likelihood": "可能性 {value}",
        "similarity": "相似度 {value}",
        "decision-keep": "人工保留",
        "decision-drop": "人工剔除",
        "decision-move": "人工换边",
        "decision-different": "互不是副本",
        "faces_of": "{num} 张脸",
        "measured": "{reason}：{value}，限值 {limit}",
        "figure": "数值",
        "nearest": "最接近的限值",
        "side_score": "属于本边的可能性",
        "size": "尺寸",
        "phrase": "搜索词",
        "source": "来源",
        "license": "授权",
        "digits": "sha256",
        "copies": "它的近似重复",
        "stale_title": "别人刚刚作了决定",
        "stale_text": "你对这些图片的决定（{action}）没有写入。现在的决定是：",
        "stale_mine": "写入我的",
        "stale_theirs": "保留对方的",
        "no_decision": "无",
        "undo_none": "这个窗口里没有可以撤销的决定。",
        "undone": "已撤销。",
        "undo_stale": "之后别人又作了决定：没有撤销。",
        "undo_gone": "这个决定已无法撤销：服务器重新启动过，或文件被改动过。请重新决定。",
        "already": "已经是这个决定。",
        "no_group": "请先选择一组近似重复里的图片。",
        "outdated": "正在复核的是更新的版本。",
        "reload": "打开",
        "offline": "服务器没有响应。已有的决定都在，最后一个没有写入。启动它的命令还在运行吗？",
        "failed": "没有写入：{message}",
        "nothing": "按现在的选择，这里没有图片。",
        "key_arrows": "移到相邻的图片；按住 Shift 选择",
        "key_enter": "放大、返回",
        "key_escape": "取消选择、关闭",
        "key_all": "选择整组",
        "key_section": "上一组、下一组",
        "stage-prepare": "正在分析原图",
        "stage-duplicates": "正在比较近似重复",
        "stage-crops": "正在裁剪",
        "stage-other": "正在处理",
    },
}


def _reasons(language: Language) -> dict[str, str]:
    words = {f"reason-{code}": each.name for code, each in REASON_WORDS.items()}
    words |= {f"why-{code}": each.why for code, each in REASON_WORDS.items() if each.why}
    return {key: text.in_language(language) for key, text in words.items()}


WORDS: Mapping[Language, Mapping[str, str]] = {
    language: {**texts, **_reasons(language)} for language, texts in _TEXTS.items()
}


def page_words(config: PrepareConfig, language: Language) -> dict[str, str]:
    """The texts of the page, with the names of the domains as ``domain-A`` and ``domain-B``."""
    a, b = domain_names(config, language)
    return {**WORDS[language], "domain-A": a, "domain-B": b}
