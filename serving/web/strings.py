"""What the page says, in English and Chinese."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

Language = Literal["en", "zh"]

WORDS: Mapping[Language, Mapping[str, str]] = {
    "en": {
        "title": "Suyan",
        "lead": "A photo in, a photo out: {ways}",
        "other_language": "中文",
        "photo": "Photo",
        "drop": "Drop a photo, paste one, or take one",
        "way": "Direction",
        "strength": "Strength",
        "faces": "Which faces (numbers as in the picture below)",
        "numbered": "The faces that were found",
        "whole": "Translate the whole picture, not just faces",
        "go": "Translate",
        "result": "Before and after",
        "download": "Download in full size",
        "examples": "Examples (drawn, nobody real)",
        "done_faces": "Faces translated: {num}. {width} × {height} px, {seconds:.1f} s.",
        "done_whole": "Translated as a whole, {width} × {height} px, {seconds:.1f} s.",
        "location_removed": "Location data is not in the result.",
        "no_photo": "Choose a photo first.",
        "no_choice": "Choose at least one face.",
        "privacy": "Photos are worked on where this page is served ({host}), and removed after "
        "{minutes:g} minutes at the latest. At most {megabytes:g} MB, {megapixels:g} megapixels, "
        "{seconds:g} seconds. A translation is an invention: show nobody in a way they have not "
        "agreed to.",
        "api": "For programs",
        "unreadable": "This file cannot be read as a photo: it is damaged, or no JPEG, PNG, WebP, "
        "GIF, BMP, TIFF or AVIF.",
        "too-large": "This photo is too large: {reason}",
        "no-face": "No face was found. “{whole}” works without one.",
        "no-fit-face": "No face is large and frontal enough; choose one by its number to try it "
        "all the same.",
        "busy": "Others' photos are being translated; try again in a minute.",
        "too-slow": "This took too long and was given up; try a smaller photo.",
        "animated": "Animated: only the first picture was taken.",
        "left-alone": "Faces that are too small or turned aside were left alone; choose them by "
        "number to translate them too.",
    },
    "zh": {
        "title": "素颜 Suyan",
        "lead": "上传一张照片，得到一张照片：{ways}",
        "other_language": "English",
        "photo": "照片",
        "drop": "拖入、粘贴或拍摄一张照片",
        "way": "方向",
        "strength": "强度",
        "faces": "处理哪些脸（编号见下图）",
        "numbered": "找到的脸",
        "whole": "处理整张图片，而不只是脸",
        "go": "开始转换",
        "result": "转换前后",
        "download": "下载原尺寸图片",
        "examples": "示例（均为绘制，并非真人）",
        "done_faces": "已转换 {num} 张脸，{width} × {height} 像素，用时 {seconds:.1f} 秒。",
        "done_whole": "已转换整张图片，{width} × {height} 像素，用时 {seconds:.1f} 秒。",
        "location_removed": "结果中不含位置信息。",
        "no_photo": "请先选择一张照片。",
        "no_choice": "请至少选择一张脸。",
        "privacy": "照片只在提供本页面的机器（{host}）上处理，最迟 {minutes:g} 分钟后删除。上限："
        "{megabytes:g} MB、{megapixels:g} 百万像素、{seconds:g} 秒。转换结果是虚构的："
        "未经本人同意，请勿展示他人的转换照片。",
        "api": "程序接口",
        "unreadable": "无法将此文件读作照片：文件已损坏，或不是 JPEG、PNG、WebP、GIF、BMP、TIFF、"
        "AVIF。",
        "too-large": "照片过大：{reason}",
        "no-face": "没有找到脸。可以选择“{whole}”。",
        "no-fit-face": "没有足够大且正面的脸；仍要尝试的话，请按编号选择。",
        "busy": "正在处理其他人的照片，请稍后再试。",
        "too-slow": "处理时间过长，已停止；请换一张较小的照片。",
        "animated": "这是动图，只取了第一帧。",
        "left-alone": "过小或侧向的脸未作处理；按编号选择即可一并转换。",
    },
}

_DOMAINS: Mapping[str, tuple[str, str]] = {
    "makeup": ("make-up", "化妆"),
    "bare": ("bare face", "素颜"),
    "summer": ("summer", "夏天"),
    "winter": ("winter", "冬天"),
    "day": ("day", "白天"),
    "night": ("night", "夜晚"),
}


def way_label(source: str, to: str, language: Language) -> str:
    """A direction as a person reads it, e.g. ``make-up → bare face`` or ``化妆 → 素颜``."""
    number = 0 if language == "en" else 1
    names = [_DOMAINS.get(name, (name, name))[number] for name in (source, to)]
    return " → ".join(names)
