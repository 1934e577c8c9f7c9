"""What the report says, in English and in Chinese: pure text from scores."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

Language = Literal["en", "zh"]

WORDS: Mapping[str, Mapping[str, str]] = {
    "en": {
        "report": "Evaluation",
        "translated": "Translated",
        "untranslated": "Untranslated",
        "real": "Real",
        "input": "input",
        "output": "translated",
        "reconstructed": "and back",
        "truth": "truth",
        "gap": "of the way from untranslated to real",
        "gap_none": "no gap to close at this sample size",
        "lip_eye_headline": "less error on lips and eyes",
        "figures": "Figures",
        "figure": "Figure",
        "better": "better",
        "lower": "lower is better",
        "higher": "higher is better",
        "kid": "KID to real pictures",
        "kid_change": "KID, translated less untranslated",
        "fid": "FID to real pictures",
        "inception_kid": "KID on Inception features",
        "inception_fid": "FID on Inception features",
        "domain_success": "Pass for the target domain, to a classifier of real training pictures",
        "near_training": "Nearer to a training picture than 95 % of real held-out ones",
        "no_inception": "Published figures use the standard Inception features, absent here.",
        "inception_published": "Figures on {features} are comparable with published ones of as "
        "many pictures.",
        "inception_unknown": "Figures on {features} are not comparable with published ones.",
        "cycle_l1": "Cycle: mean absolute error, grey levels",
        "cycle_psnr": "Cycle: PSNR, dB",
        "cycle_ssim": "Cycle: SSIM",
        "change_l1": "Change of the picture, grey levels",
        "lip_eye_error": "Error on lips and eyes to the truth, grey levels",
        "outside_error": "Error elsewhere to the truth, grey levels",
        "error": "Error to the truth, grey levels",
        "lip_eye_error_reduction": "Error on lips and eyes taken away",
        "error_reduction": "Error taken away",
        "intervals": "Ranges are 95 % bootstrap intervals. Untranslated: the input pictures as "
        "they are. Real: training pictures of the target, what a perfect translator would reach. "
        "All distances are to the target's {num} held-out pictures.",
        "not_comparable": "KID and FID here use the features of {features}: they order runs on "
        "the same dataset and are not comparable with published FID or KID. FID leans upwards with "
        "so few pictures and is given without interval; trust KID.",
        "kid_chart": "KID, {domain} as the target",
        "random": "Drawn at random",
        "best": "The best",
        "worst": "The worst",
        "ranked_truth": "Ranked by the share of the error to the true counterpart that the "
        "translation took away (on lips and eyes, where they are known).",
        "ranked_witness": "Ranked by how much the translation's features look like the target "
        "rather than the source.",
        "zoom": "Choose a picture to enlarge it.",
        "training": "Training",
        "curves": "Losses by step: cycle and identity (left), generators (middle), discriminators "
        "(right).",
        "samples": "The same pictures as training went on: input, translated, and back; first from "
        "{a}, then from {b}.",
        "step": "step",
        "dataset": "Dataset",
        "folder": "Pictures",
        "train": "Train",
        "test": "Held out",
        "rejected": "Rejected",
        "reason": "Rejected because",
        "lineage": "Lineage",
        "phrases": "Search phrases",
        "phrase_yield": "{usable} of {found} usable",
        "version": "Dataset version",
        "configuration": "Configuration",
        "checkpoint": "Checkpoint",
        "measured": "Figures",
        "close": "Close",
    },
    "zh": {
        "report": "评估报告",
        "translated": "转换后",
        "untranslated": "未转换",
        "real": "真实",
        "input": "输入",
        "output": "转换",
        "reconstructed": "还原",
        "truth": "真值",
        "gap": "的差距已由转换弥合（未转换至真实）",
        "gap_none": "样本过少，看不出可弥合的差距",
        "lip_eye_headline": "唇部与眼部误差降低",
        "figures": "指标",
        "figure": "指标",
        "better": "优劣",
        "lower": "越低越好",
        "higher": "越高越好",
        "kid": "与真实图片的 KID",
        "kid_change": "KID：转换后减未转换",
        "fid": "与真实图片的 FID",
        "inception_kid": "KID（Inception 特征）",
        "inception_fid": "FID（Inception 特征）",
        "domain_success": "被分类器（只用真实训练图片训练）认作目标域的比例",
        "near_training": "比 95 % 的真实留出图片更接近某张训练图片的比例",
        "no_inception": "缺少文献所用的标准 Inception 特征。",
        "inception_published": "基于 {features} 的指标可与文献中图片数量相近的结果相比。",
        "inception_unknown": "基于 {features} 的指标不可与文献相比。",
        "cycle_l1": "循环：平均绝对误差（灰阶）",
        "cycle_psnr": "循环：PSNR（dB）",
        "cycle_ssim": "循环：SSIM",
        "change_l1": "图片改变量（灰阶）",
        "lip_eye_error": "唇眼区域与真值的误差（灰阶）",
        "outside_error": "其余区域与真值的误差（灰阶）",
        "error": "与真值的误差（灰阶）",
        "lip_eye_error_reduction": "唇眼区域误差的降低",
        "error_reduction": "误差的降低",
        "intervals": "区间为 95% 自助法置信区间。未转换：输入图片原样。真实：目标域的训练图片，即"
        "完美转换所能达到的水平。所有距离均相对于目标域 {num} 张留出图片。",
        "not_comparable": "此处 KID 与 FID 使用 {features} 的特征：可用于比较同一数据集上的各次"
        "运行，不可与文献中的 FID 或 KID 相比。图片较少时 FID 偏高，故不给区间；请以 KID 为准。",
        "kid_chart": "KID，目标域为 {domain}",
        "random": "随机抽取",
        "best": "最好的",
        "worst": "最差的",
        "ranked_truth": "按转换消除的与真值之间误差的比例排序（有关键点时只计唇部与眼部）。",
        "ranked_witness": "按转换结果的特征更像目标域而非源域的程度排序。",
        "zoom": "点击图片可放大。",
        "training": "训练",
        "curves": "各步的损失：循环与恒等（左）、生成器（中）、判别器（右）。",
        "samples": "训练过程中的同一组图片：输入、转换、还原；先 {a}，后 {b}。",
        "step": "步数",
        "dataset": "数据集",
        "folder": "图片",
        "train": "训练",
        "test": "留出",
        "rejected": "剔除",
        "reason": "剔除原因",
        "lineage": "来历",
        "phrases": "搜索词",
        "phrase_yield": "找到 {found} 张，可用 {usable} 张",
        "version": "数据集版本",
        "configuration": "配置",
        "checkpoint": "检查点",
        "measured": "指标",
        "close": "关闭",
    },
}


def number(value: float) -> str:
    """Three significant digits, never in exponent notation where 4 decimals will do."""
    magnitude = abs(value)
    if magnitude >= 100:
        text = f"{value:.0f}"
    elif magnitude >= 10:
        text = f"{value:.1f}"
    elif magnitude >= 1:
        text = f"{value:.2f}"
    elif magnitude >= 0.1:
        text = f"{value:.3f}"
    else:
        text = f"{value:.4f}"
    return text.replace("-", "\u2212")


def percent(value: float) -> str:
    """A share as whole per cent, e.g. ``42 %``."""
    return f"{100 * value:.0f} %".replace("-", "\u2212")


def gap_closed(direction: Mapping[str, Any]) -> float | None:
    """Share of the KID from untranslated to real that translation closes, at least 0.

    ``None`` where there is no gap to close.
    """
    baseline, ceiling = direction["kid_baseline"]["value"], direction["kid_ceiling"]["value"]
    if baseline - ceiling <= 0:
        return None
    return max(0.0, float((baseline - direction["kid"]["value"]) / (baseline - ceiling)))


def verdict(scores: Mapping[str, Any], language: Language = "en") -> str:
    """One sentence: which directions are better than leaving pictures as they are."""
    directions = scores["directions"]
    better = [name for name, is_better in scores["better_than_baseline"].items() if is_better]
    parts = [_kid_part(directions[name], language, is_better=name in better) for name in directions]
    if language == "zh":
        opening = {2: "两个方向的转换都优于原图", 1: "只有一个方向的转换优于原图"}.get(
            len(better), "两个方向的转换都不优于原图"
        )
        return f"{opening}：{'，'.join(parts)}{_truth_part(directions, language)}。"
    opening = {
        2: "Both directions are better than leaving pictures as they are",
        1: "Only one direction is better than leaving pictures as they are",
    }.get(len(better), "Neither direction is better than leaving pictures as they are")
    return f"{opening}: {', '.join(parts)}{_truth_part(directions, language)}."


def _kid_part(direction: Mapping[str, Any], language: Language, *, is_better: bool) -> str:
    source, target = direction["from"], direction["to"]
    after, before = number(direction["kid"]["value"]), number(direction["kid_baseline"]["value"])
    if language == "zh":
        moved = "降至" if is_better else "变为"
        return f"{source} → {target} 的 KID 由 {before} {moved} {after}"
    moved = "falls" if is_better else "goes"
    return f"{source} → {target} KID {moved} from {before} to {after}"


def _truth_part(directions: Mapping[str, Any], language: Language) -> str:
    shares = [
        direction["truth"]["lip_eye_error_reduction"]["value"]
        for direction in directions.values()
        if "lip_eye_error_reduction" in direction.get("truth", {})
    ]
    if len(shares) != len(directions):
        return ""
    if language == "zh":
        changes = [f"{'降低' if share >= 0 else '升高'} {percent(abs(share))}" for share in shares]
        return f"；唇部与眼部误差分别{'、'.join(changes)}"
    changes = [f"{'down' if share >= 0 else 'up'} by {percent(abs(share))}" for share in shares]
    return f"; the error on lips and eyes is {' and '.join(changes)}"
