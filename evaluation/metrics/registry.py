"""The list of all metrics, from which report, model card and Prefect's artifacts are made.

A new metric is a module that measures it and one entry of ``METRICS``: ``measured_by`` names a
function ``module:function`` below ``evaluation.metrics`` that gets a ``Measurement`` and returns
``Figures``: the metric under its key, and where it has them ``<key>_baseline`` (untranslated
pictures) and ``<key>_ceiling`` (real pictures of the target). A name instead of the function itself
lets code that only names metrics import this list without the networks' libraries.
"""

from __future__ import annotations

from functools import cache
from typing import Literal

from core.language.bilingual import Text
from evaluation.metrics.metric import Group, Metric
from evaluation.metrics.metric_meanings import (
    CHEEKS,
    CLOSED_FORM_METRICS,
    EYES,
    LIPS,
    MEANING_OF_CHANGED,
    MEANING_OF_COLOUR,
    MEANING_OF_EMBEDDING,
    MEANING_OF_PAIR_COLOUR,
    MEANING_OF_PAIR_REDUCTION,
    MEANING_OF_PUBLISHED,
    MEANING_OF_WINDOW,
    POWER_METRICS,
    about,
)

_DISTANCES = "direction:distances_to_target"
_REGIONS = "regions:region_colours"
_CHANGES = "regions:region_changes"
_CYCLE = "direction:cycle_errors"
_CONTENT = "preservation:content"
METRICS: tuple[Metric, ...] = (
    Metric(
        "kid",
        Group.DISTANCE,
        "lower",
        Text("KID to real pictures", "与真实图片的 KID"),
        Text(
            "Distance between the features of translations and of real pictures of the target "
            "(Bińkowski et al. 2018); it does not depend on their number.",
            "转换结果与目标域真实图片的特征之间的距离（Bińkowski 等，2018），与图片数量无关。",
        ),
        measured_by=_DISTANCES,
    ),
    Metric(
        "kid_change",
        Group.DISTANCE,
        "lower",
        Text("KID, translated minus untranslated", "KID：转换后减未转换"),
        Text(
            "The difference for the same pictures, resampled together; below 0 translating helps.",
            "同一批图片的差值（一同重采样）；小于 0 表示转换有益。",
        ),
        measured_by=_DISTANCES,
    ),
    *POWER_METRICS,
    Metric(
        "eyes_window_kid",
        Group.DISTANCE,
        "lower",
        Text("KID of the eyes alone", "仅眼部窗口的 KID"),
        about(MEANING_OF_WINDOW, Text("eyes", "眼部")),
        measured_by="windows:window_distances",
    ),
    Metric(
        "mouth_window_kid",
        Group.DISTANCE,
        "lower",
        Text("KID of the mouth alone", "仅嘴部窗口的 KID"),
        about(MEANING_OF_WINDOW, Text("mouths", "嘴部")),
        measured_by="windows:window_distances",
    ),
    Metric(
        "fid",
        Group.DISTANCE,
        "lower",
        Text("FID to real pictures", "与真实图片的 FID"),
        Text(
            "Distance between the same features as two Gaussians (Heusel et al. 2017); it is "
            "larger for fewer pictures.",
            "把同样的特征视为两个高斯分布时的距离（Heusel 等，2017）；图片越少数值越大。",
        ),
        measured_by=_DISTANCES,
    ),
    Metric(
        "inception_kid",
        Group.DISTANCE,
        "lower",
        Text("KID on Inception features", "KID（Inception 特征）"),
        about(MEANING_OF_PUBLISHED, Text("KID", "KID")),
        measured_by=_DISTANCES,
    ),
    Metric(
        "inception_fid",
        Group.DISTANCE,
        "lower",
        Text("FID on Inception features", "FID（Inception 特征）"),
        about(MEANING_OF_PUBLISHED, Text("FID", "FID")),
        measured_by=_DISTANCES,
    ),
    *CLOSED_FORM_METRICS,
    Metric(
        "domain_success",
        Group.TARGET,
        "higher",
        Text("Classified as the target domain", "被分类器认作目标域的比例"),
        Text(
            "Share of translations that a classifier, trained on real training pictures alone, "
            "takes for the target domain.",
            "只用真实训练图片训练的分类器将转换结果判为目标域的比例。",
        ),
        is_share=True,
        measured_by="direction:domain_success",
    ),
    Metric(
        "lips_colour",
        Group.TARGET,
        "lower",
        Text("Lips: colour distance to real ones, ΔE", "唇部：与真实图片的颜色差异 ΔE"),
        about(MEANING_OF_COLOUR, LIPS),
        measured_by=_REGIONS,
    ),
    Metric(
        "eyes_colour",
        Group.TARGET,
        "lower",
        Text("Eyes: colour distance to real ones, ΔE", "眼部：与真实图片的颜色差异 ΔE"),
        about(MEANING_OF_COLOUR, EYES),
        measured_by=_REGIONS,
    ),
    Metric(
        "cheeks_colour",
        Group.TARGET,
        "lower",
        Text("Cheeks: colour distance to real ones, ΔE", "颊部：与真实图片的颜色差异 ΔE"),
        about(MEANING_OF_COLOUR, CHEEKS),
        measured_by=_REGIONS,
    ),
    Metric(
        "content",
        Group.PRESERVED,
        "higher",
        Text("Content similarity to the input", "与输入的内容相似度"),
        Text(
            "Cosine of the features of input and translation, each about the mean of its set: 1 is "
            "the same content, 0 is unrelated.",
            "输入与转换结果的特征（各减去其集合均值）的余弦：1 为相同内容，0 为无关。",
        ),
        measured_by=_CONTENT,
    ),
    Metric(
        "content_found",
        Group.PRESERVED,
        "higher",
        Text("Translations most similar to their own input", "与自身输入最相似的转换结果比例"),
        Text(
            "Share of translations whose features are nearer to their own input than to any other.",
            "特征与自身输入比与其他任何输入都更接近的转换结果的比例。",
        ),
        is_share=True,
        measured_by=_CONTENT,
    ),
    Metric(
        "identity",
        Group.PRESERVED,
        "lower",
        Text("Face embedding distance to the input", "人脸特征与输入的距离"),
        MEANING_OF_EMBEDDING,
        measured_by="preservation:identity",
    ),
    Metric(
        "cycle_l1",
        Group.PRESERVED,
        "lower",
        Text("Cycle: mean absolute error, grey levels", "循环：平均绝对误差（灰度级）"),
        Text(
            "Difference between the input and its translation translated back, 0 to 255.",
            "输入与“转换后再转换回来”的图片之间的差异，0 到 255。",
        ),
        measured_by=_CYCLE,
    ),
    Metric(
        "cycle_psnr",
        Group.PRESERVED,
        "higher",
        Text("Cycle: PSNR, dB", "循环：PSNR（dB）"),
        Text("The same as a peak signal-to-noise ratio.", "同上，以峰值信噪比表示。"),
        measured_by=_CYCLE,
    ),
    Metric(
        "cycle_ssim",
        Group.PRESERVED,
        "higher",
        Text("Cycle: SSIM", "循环：SSIM"),
        Text(
            "The same as a structural similarity (Wang et al. 2004), at most 1.",
            "同上，以结构相似度表示（Wang 等，2004），最大为 1。",
        ),
        measured_by=_CYCLE,
    ),
    Metric(
        "change_l1",
        Group.CHANGE,
        "",
        Text("Change of the picture, grey levels", "图片改变量（灰度级）"),
        Text(
            "Mean absolute difference between input and translation, 0 to 255.",
            "输入与转换结果之间的平均绝对差异，0 到 255。",
        ),
        measured_by=_CYCLE,
    ),
    Metric(
        "change_lips",
        Group.CHANGE,
        "",
        Text("Change of colour on lips, ΔE", "唇部颜色改变 ΔE"),
        about(MEANING_OF_CHANGED, LIPS, "on the "),
        measured_by=_CHANGES,
    ),
    Metric(
        "change_eyes",
        Group.CHANGE,
        "",
        Text("Change of colour on eyes, ΔE", "眼部颜色改变 ΔE"),
        about(MEANING_OF_CHANGED, EYES, "on the "),
        measured_by=_CHANGES,
    ),
    Metric(
        "change_cheeks",
        Group.CHANGE,
        "",
        Text("Change of colour on cheeks, ΔE", "颊部颜色改变 ΔE"),
        about(MEANING_OF_CHANGED, CHEEKS, "on the "),
        measured_by=_CHANGES,
    ),
    Metric(
        "change_outside",
        Group.CHANGE,
        "",
        Text("Change of colour elsewhere, ΔE", "其余区域颜色改变 ΔE"),
        about(MEANING_OF_CHANGED, Text("outside lips, eyes and cheeks", "唇、眼、颊以外区域")),
        measured_by=_CHANGES,
    ),
    Metric(
        "change_focus",
        Group.CHANGE,
        "",
        Text("Change inside these regions relative to elsewhere", "三处区域的改变与其余区域之比"),
        Text(
            "Colour change on lips, eyes and cheeks divided by that elsewhere; above 1 the change "
            "keeps to them.",
            "唇、眼、颊的颜色改变除以其余区域的改变；大于 1 表示改变集中于此。",
        ),
        measured_by=_CHANGES,
    ),
    Metric(
        "near_training",
        Group.COPIES,
        "lower",
        Text("Unusually close to a training picture", "异常接近某张训练图片的比例"),
        Text(
            "Share of translations that are nearer to a training picture than 95 % of real "
            "held-out pictures are; of these, 5 % are.",
            "比 95 % 的真实留出图片更接近某张训练图片的转换结果的比例；真实图片为 5 %。",
        ),
        is_share=True,
        measured_by="memorization:copies_of_training",
    ),
    Metric(
        "lip_eye_error",
        Group.TRUTH,
        "lower",
        Text("Error on lips and eyes, grey levels", "唇眼区域的误差（灰度级）"),
        Text(
            "Mean absolute difference to the true counterpart on lips and eyes, 0 to 255.",
            "唇眼区域与真值的平均绝对差异，0 到 255。",
        ),
    ),
    Metric(
        "lip_eye_error_reduction",
        Group.TRUTH,
        "higher",
        Text("Error on lips and eyes taken away", "唇眼区域误差的降低"),
        Text(
            "Share of the untranslated pictures' error there that translation took away.",
            "转换所消除的、未转换图片在该区域误差的比例。",
        ),
        is_share=True,
    ),
    Metric(
        "outside_error",
        Group.TRUTH,
        "lower",
        Text("Error elsewhere, grey levels", "其余区域的误差（灰度级）"),
        Text(
            "Mean absolute difference to the true counterpart outside lips and eyes, 0 to 255.",
            "唇眼以外区域与真值的平均绝对差异，0 到 255。",
        ),
    ),
    Metric(
        "error",
        Group.TRUTH,
        "lower",
        Text("Error of the whole picture, grey levels", "整图误差（灰度级）"),
        Text(
            "Mean absolute difference to the true counterpart, 0 to 255.",
            "与真值的平均绝对差异，0 到 255。",
        ),
    ),
    Metric(
        "error_reduction",
        Group.TRUTH,
        "higher",
        Text("Error of the whole picture taken away", "整图误差的降低"),
        Text(
            "Share of the untranslated pictures' error that translation took away.",
            "转换所消除的未转换图片误差的比例。",
        ),
        is_share=True,
    ),
    Metric(
        "pair_content",
        Group.PAIRS,
        "higher",
        Text("Content similarity to the other photograph", "与另一张照片的内容相似度"),
        Text(
            "Cosine of their features, each about the mean of its set.",
            "二者特征（各减去其集合均值）的余弦。",
        ),
    ),
    Metric(
        "pair_identity",
        Group.PAIRS,
        "lower",
        Text("Face embedding distance to the other photograph", "人脸特征与另一张照片的距离"),
        MEANING_OF_EMBEDDING,
    ),
    Metric(
        "pair_lips_colour",
        Group.PAIRS,
        "lower",
        Text("Lips: colour distance, ΔE", "唇部：颜色差异 ΔE"),
        about(MEANING_OF_PAIR_COLOUR, LIPS),
    ),
    Metric(
        "pair_lips_reduction",
        Group.PAIRS,
        "higher",
        Text("Lips: difference taken away", "唇部：差异的降低"),
        about(MEANING_OF_PAIR_REDUCTION, LIPS),
        is_share=True,
    ),
    Metric(
        "pair_eyes_colour",
        Group.PAIRS,
        "lower",
        Text("Eyes: colour distance, ΔE", "眼部：颜色差异 ΔE"),
        about(MEANING_OF_PAIR_COLOUR, EYES),
    ),
    Metric(
        "pair_eyes_reduction",
        Group.PAIRS,
        "higher",
        Text("Eyes: difference taken away", "眼部：差异的降低"),
        about(MEANING_OF_PAIR_REDUCTION, EYES),
        is_share=True,
    ),
    Metric(
        "pair_cheeks_colour",
        Group.PAIRS,
        "lower",
        Text("Cheeks: colour distance, ΔE", "颊部：颜色差异 ΔE"),
        about(MEANING_OF_PAIR_COLOUR, CHEEKS),
    ),
    Metric(
        "pair_cheeks_reduction",
        Group.PAIRS,
        "higher",
        Text("Cheeks: difference taken away", "颊部：差异的降低"),
        about(MEANING_OF_PAIR_REDUCTION, CHEEKS),
        is_share=True,
    ),
)


@cache
def metric_names(language: Literal["en", "zh"]) -> dict[str, str]:
    """The name of each metric by its key."""
    return {metric.key: getattr(metric.name, language) for metric in METRICS}


def measuring_functions() -> list[str]:
    """``module:function`` of everything that measures, each once, in the order of the list."""
    return list(dict.fromkeys(metric.measured_by for metric in METRICS if metric.measured_by))
