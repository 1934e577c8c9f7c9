"""The reasons of rejection in words, for card, report and review, in English and Chinese."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from core.language.bilingual import Text


class ReasonWords(NamedTuple):
    """The name of a reason, and a sentence that explains it to a person who reviews."""

    name: Text
    why: Text | None = None


REASON_WORDS: Mapping[str, ReasonWords] = {
    "too-small": ReasonWords(
        Text("Too small", "尺寸太小"),
        Text("Its shorter side is below the limit.", "短边小于限值。"),
    ),
    "odd-shape": ReasonWords(
        Text("Odd shape", "长宽比异常"), Text("It is too long for its width.", "图片过长或过宽。")
    ),
    "unsafe": ReasonWords(
        Text("Unsafe", "含不宜内容"), Text("The safety filter rejects it.", "安全过滤器剔除了它。")
    ),
    "uniform": ReasonWords(Text("Nothing in it", "没有内容")),
    "black-and-white": ReasonWords(Text("Black and white", "黑白")),
    "framed": ReasonWords(Text("Framed", "带边框")),
    "collage": ReasonWords(Text("Collage", "拼图")),
    "split": ReasonWords(
        Text("Split into two pictures", "已拆成两张"),
        Text(
            "Its two parts are pictures of their own. Keep uses the whole one instead.",
            "拼图的两半各自成为一张图片。保留后，改用整张。",
        ),
    ),
    "too-dark": ReasonWords(Text("Too dark", "太暗")),
    "too-bright": ReasonWords(Text("Too bright", "太亮")),
    "no-face": ReasonWords(
        Text("No face", "没有人脸"),
        Text("No face was found, so it cannot be kept.", "没有找到人脸，所以无法保留。"),
    ),
    "face-too-small": ReasonWords(
        Text("Face too small", "脸太小"),
        Text(
            "No face is as large as the limit. Keep crops the largest one.",
            "没有达到最小尺寸的脸。保留后，裁剪最大的一张。",
        ),
    ),
    "several-faces": ReasonWords(
        Text("Several faces", "不止一张脸"),
        Text("Keep crops the largest face.", "保留后，裁剪最大的一张。"),
    ),
    "profile": ReasonWords(
        Text("Profile", "侧脸"), Text("The face is turned aside.", "脸转向一侧。")
    ),
    "leaves-the-frame": ReasonWords(
        Text("Leaves the frame", "超出画面"),
        Text("The crop lies beyond the edge of the photograph.", "裁剪框超出了照片的边缘。"),
    ),
    "blurred": ReasonWords(
        Text("Blurred", "模糊"),
        Text("The picture is less sharp than the limit.", "清晰度低于限值。"),
    ),
    "enlarged": ReasonWords(
        Text("Enlarged", "由小图放大"),
        Text("The face shows less detail than its size promises.", "脸的细节比它的尺寸应有的少。"),
    ),
    "covered": ReasonWords(
        Text("Covered", "被遮挡"),
        Text("A mask or a hand seems to cover mouth and jaw.", "口罩或手似乎遮住了嘴和下颌。"),
    ),
    "wrong-side": ReasonWords(
        Text("Wrong side", "放错了域"),
        Text(
            "A classifier takes it for the other side. Move or keep it.",
            "分类器认为它属于另一个域。可以换域或保留。",
        ),
    ),
    "dropped-by-hand": ReasonWords(
        Text("Dropped by hand", "人工剔除"),
        Text("A person dropped these. Keep takes one back.", "由人工剔除。按“保留”可以收回。"),
    ),
    "in-both-domains": ReasonWords(
        Text("In both domains", "两个域都有"),
        Text(
            "Both searches found this picture. Keep uses it on the side with most hits.",
            "两个域的搜索都找到了它。保留后，归入搜索结果较多的域。",
        ),
    ),
    "would-change-sides": ReasonWords(
        Text("Would change sides", "会混入另一划分"),
        Text(
            "It joins pictures for training with pictures that are held out.",
            "它把训练图片和留出图片连在了一起。",
        ),
    ),
    "duplicate-of": ReasonWords(
        Text("Copy of another picture", "另一张的副本"),
        Text("A better copy is used.", "已经用了更好的副本。"),
    ),
    "undecodable": ReasonWords(
        Text("Unreadable", "无法读取"),
        Text("The file cannot be read, so it cannot be kept.", "文件读不出来，所以无法保留。"),
    ),
    "unreadable": ReasonWords(
        Text("Not readable at present", "暂时读不到"),
        Text(
            "The system did not let the file be read; the next preparation tries again.",
            "系统不允许读取这个文件；下次预处理时会再试。",
        ),
    ),
    "file-missing": ReasonWords(Text("File missing", "文件缺失")),
    "too-many-pixels": ReasonWords(Text("Too many pixels", "像素过多")),
    "too-many-frames": ReasonWords(Text("Too many frames", "帧数过多")),
    "out-of-memory": ReasonWords(Text("Needs too much memory", "占用内存过多")),
    "timed-out": ReasonWords(Text("Takes too long to read", "读取超时")),
    "decoder-died": ReasonWords(Text("The decoder crashed", "解码器崩溃")),
    "unexpected-error": ReasonWords(Text("Unexpected error", "意外错误")),
}
"""By ``reason_kind``: the members of ``Reason``, and the reasons of files that cannot be read."""


def reason_name(reason: str) -> Text:
    """The name of a reason without its particulars; the code itself where it has none."""
    words = REASON_WORDS.get(reason)
    return words.name if words else Text(reason, reason)
