"""Sentences that several metrics of the registry share, with a place for the part of the face."""

from __future__ import annotations

from evaluation.metrics.metric import Text

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
