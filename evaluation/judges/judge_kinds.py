"""The judges of a translation by name: what each looks at, and what it was trained on before."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Any, Literal

from core.language.bilingual import Text


class JudgeKind(StrEnum):
    """A judge that no training saw, beside KID on the offline features and the classifier."""

    DOMAIN_NETWORK = "domain_network"
    RANDOM_CONVOLUTIONS = "random_convolutions"
    PIXEL_STATISTICS = "pixel_statistics"
    MESH_ACTIVATIONS = "mesh_activations"
    REGION_COLOURS = "region_colours"


class View(StrEnum):
    """A part of the picture that a judge looks at by itself."""

    WHOLE = "whole"
    EYES = "eyes"
    MOUTH = "mouth"


PRETRAINING: Mapping[JudgeKind, str] = MappingProxyType(
    {JudgeKind.MESH_ACTIVATIONS: "MediaPipe face mesh"}
)
"""The data that a judge's network was trained on before; the other judges have none."""

_NAMES: Mapping[JudgeKind, Text] = MappingProxyType(
    {
        JudgeKind.DOMAIN_NETWORK: Text("a fresh network", "新训练的网络"),
        JudgeKind.RANDOM_CONVOLUTIONS: Text("random convolutions", "随机卷积"),
        JudgeKind.PIXEL_STATISTICS: Text("pixel statistics", "像素统计"),
        JudgeKind.MESH_ACTIVATIONS: Text("the face mesh's activations", "人脸网格的激活"),
        JudgeKind.REGION_COLOURS: Text("colours of lips, eyes and cheeks", "唇、眼、颊的颜色"),
    }
)
_MEANINGS: Mapping[JudgeKind, Text] = MappingProxyType(
    {
        JudgeKind.DOMAIN_NETWORK: Text(
            "a small network that learned to tell the domains apart from real training pictures of "
            "this dataset alone",
            "仅用本数据集的真实训练图片学会区分两个域的小型网络",
        ),
        JudgeKind.RANDOM_CONVOLUTIONS: Text(
            "four layers of random filters, which nothing trained", "四层未经任何训练的随机滤波器"
        ),
        JudgeKind.PIXEL_STATISTICS: Text(
            "colours by place, and the strength of edges at four scales; no network",
            "各处的颜色与四个尺度的边缘强度，不用网络",
        ),
        JudgeKind.MESH_ACTIVATIONS: Text(
            "inner layers of the network that finds the face's points",
            "检测人脸关键点的网络的内部层",
        ),
        JudgeKind.REGION_COLOURS: Text(
            "colours of the parts less that of the skin; no network",
            "各部位颜色减去肤色，不用网络",
        ),
    }
)
_VIEW_NAMES: Mapping[View, Text] = MappingProxyType(
    {
        View.WHOLE: Text("whole picture", "整图"),
        View.EYES: Text("eyes", "眼部"),
        View.MOUTH: Text("mouth", "嘴部"),
    }
)


def judge_name(key: str, language: Literal["en", "zh"] = "en") -> str:
    """The judge's name inside a sentence; the key of a judge of a later version."""
    return _text(_NAMES, key, language) or key


def judge_meaning(key: str, language: Literal["en", "zh"]) -> str:
    """What the judge looks at: a phrase without a full stop; ``""`` for an unknown judge."""
    return _text(_MEANINGS, key, language)


def view_name(key: str, language: Literal["en", "zh"] = "en") -> str:
    """The name of a view; the key of a view of a later version."""
    return _text(_VIEW_NAMES, key, language) or key


def _text(texts: Mapping[Any, Text], key: str, language: Literal["en", "zh"]) -> str:
    text = texts.get(key)
    return getattr(text, language) if text else ""
