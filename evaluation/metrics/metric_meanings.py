"""Sentences that several metrics of the registry share, and families of metrics that differ in a
name alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType

from core.language.bilingual import Text
from evaluation.metrics.metric import Group, Metric

MEANING_OF_COLOUR = Text(
    "Colour of {en} less that of the other skin: distance (CIE ΔE) between its mean over "
    "translations and over real pictures of the target.",
    "{zh}颜色减去其余肤色：转换结果的均值与目标域真实图片均值之间的距离（CIE ΔE）。",
)
MEANING_OF_CHANGED = Text(
    "Mean colour difference (CIE ΔE) between input and translation {en}; 2 is just visible.",
    "输入与转换结果在{zh}的平均色差（CIE ΔE）；2 为刚好可见。",
)
MEANING_OF_PAIR_COLOUR = Text(
    "Colour of {en} less that of the other skin: mean distance (CIE ΔE) to the same in the other "
    "photograph.",
    "{zh}颜色减去其余肤色：与另一张照片中相同部位的平均距离（CIE ΔE）。",
)
MEANING_OF_PAIR_REDUCTION = Text(
    "Share of that colour difference on {en} that translation took away.",
    "转换所消除的{zh}颜色差异的比例。",
)
MEANING_OF_WINDOW = Text(
    "KID between the {en} of translations and of real pictures, cut out where aligned crops have "
    "them: small strokes that the KID of whole pictures hardly notices.",
    "转换结果与真实图片的{zh}窗口之间的 KID（按对齐后的位置裁出）："
    "整图 KID 难以察觉的细微笔触在此可见。",
)
MEANING_OF_PUBLISHED = Text(
    "{en} on the features that published figures use.", "使用文献通用特征计算的 {zh}。"
)
MEANING_OF_EMBEDDING = Text(
    "Distance of dlib's face embeddings; below about 0.6 it calls two pictures the same person.",
    "dlib 人脸特征的距离；约 0.6 以下视为同一人。",
)
LIPS, EYES, CHEEKS = Text("lips", "唇部"), Text("eyes", "眼部"), Text("cheeks", "颊部")


def about(template: Text, part: Text, preposition: str = "") -> Text:
    """The template with ``part`` of a face in its place."""
    return Text(template.en.format(en=preposition + part.en), template.zh.format(zh=part.zh))


class ClosedForm(StrEnum):
    """A translation without a network (``evaluation/metrics/closed_forms.py``)."""

    TINT = "tint"
    TRANSPORT = "transport"
    REGION_TRANSPORT = "region_transport"


CLOSED_FORM_NAMES: Mapping[ClosedForm, Text] = MappingProxyType(
    {
        ClosedForm.TINT: Text("a constant tint", "恒定色调"),
        ClosedForm.TRANSPORT: Text("colour transport", "整图颜色迁移"),
        ClosedForm.REGION_TRANSPORT: Text(
            "colour transport of lips, eyes and cheeks", "唇、眼、颊的颜色迁移"
        ),
    }
)
_MEASURED_BY = "closed_forms:closed_form_distances"


def _closed_form_metrics(form: ClosedForm, name: Text) -> tuple[Metric, ...]:
    return (
        Metric(
            f"{form}_kid",
            Group.CLOSED_FORMS,
            "lower",
            about(Text("KID of {en}", "KID：{zh}"), name),
            about(
                Text(
                    "KID to real pictures of the inputs after {en}, fitted on training pictures.",
                    "输入经{zh}（由训练图片拟合）后与真实图片的 KID。",
                ),
                name,
            ),
            beside="kid",
            measured_by=_MEASURED_BY,
        ),
        Metric(
            f"{form}_kid_change",
            Group.CLOSED_FORMS,
            "lower",
            about(Text("KID, the model's minus that of {en}", "KID：模型减{zh}"), name),
            about(
                Text(
                    "The difference for the same inputs, resampled together; below 0 the model is "
                    "better than {en}.",
                    "同一批输入的差值（一同重采样）；小于 0 表示模型优于{zh}。",
                ),
                name,
            ),
            measured_by=_MEASURED_BY,
        ),
        Metric(
            f"{form}_fid",
            Group.CLOSED_FORMS,
            "lower",
            about(Text("FID of {en}", "FID：{zh}"), name),
            about(
                Text(
                    "FID to real pictures of the inputs after {en}.",
                    "输入经{zh}后与真实图片的 FID。",
                ),
                name,
            ),
            beside="fid",
            measured_by=_MEASURED_BY,
        ),
        Metric(
            f"{form}_domain_success",
            Group.CLOSED_FORMS,
            "higher",
            about(Text("Classified as the target after {en}", "经{zh}后被认作目标域的比例"), name),
            about(
                Text(
                    "Share of the inputs that the classifier takes for the target after {en}.",
                    "输入经{zh}后被分类器判为目标域的比例。",
                ),
                name,
            ),
            is_share=True,
            beside="domain_success",
            measured_by=_MEASURED_BY,
        ),
    )


CLOSED_FORM_METRICS: tuple[Metric, ...] = tuple(
    metric
    for form, name in CLOSED_FORM_NAMES.items()
    for metric in _closed_form_metrics(form, name)
)

SURE_ERRORS = 1.96  # standard errors that the half width of a 95 % interval is
LIKELY_ERRORS = 2.8  # 1.96 + 0.84: a true change so large is sure in 8 of 10 samples
POWER_METRICS: tuple[Metric, ...] = (
    Metric(
        "kid_sure_change",
        Group.DISTANCE,
        "",
        Text("Smallest change of KID that is sure", "可以确定的最小 KID 变化"),
        Text(
            "1.96 standard errors of the paired change: a measured change beyond it is sure. It "
            "falls as one over the square root of the number of held-out pictures.",
            "配对变化的 1.96 个标准误：超过它的实测变化才可确定。它与留出图片数量的平方根成反比。",
        ),
        measured_by="direction:distances_to_target",
    ),
    Metric(
        "kid_likely_change",
        Group.DISTANCE,
        "",
        Text("True change of KID that is sure 8 times in 10", "十次中有八次可确定的真实 KID 变化"),
        Text(
            "2.8 standard errors of the paired change.",
            "配对变化的 2.8 个标准误。",
        ),
        measured_by="direction:distances_to_target",
    ),
)
POWER_KEYS = frozenset(metric.key for metric in POWER_METRICS)
