"""The texts of the page, in English and Chinese."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

Language = Literal["en", "zh"]

TEXTS: Mapping[Language, Mapping[str, str]] = {
    "en": {
        "title": "Suyan",
        "lead": "Translates a photo: {directions}",
        "other_language": "中文",
        "photo": "Photo",
        "drop": "Drop, paste or take a photo",
        "direction": "Direction",
        "strength": "Strength",
        "faces": "Faces to translate (numbers as in the picture below)",
        "face_numbers": "Faces in the photo",
        "whole": "Translate the whole picture instead of faces",
        "go": "Translate",
        "result": "Before and after",
        "download": "Download at full size",
        "examples": "Examples (drawings; these people do not exist)",
        "done_faces": "Faces translated: {num}. {width} × {height} px, {seconds:.1f} s.",
        "done_whole": "Whole picture translated: {width} × {height} px, {seconds:.1f} s.",
        "location_removed": "The result contains no location data.",
        "no_photo": "Choose a photo first.",
        "no_choice": "Choose at least one face.",
        "privacy": "Photos are processed only on the machine that serves this page ({host}), and "
        "removed after {minutes:g} minutes at the latest. Limits: {megabytes:g} MB, {megapixels:g} "
        "megapixels, {seconds:g} seconds. A translation is an invention: publish translated photos "
        "of people only with their consent.",
        "api": "HTTP API",
        "unreadable": "This file cannot be read as a photo: it is damaged, or it is not a JPEG, "
        "PNG, WebP, GIF, BMP, TIFF or AVIF file.",
        "too-large": "This photo {reason}.",
        "no-face": "No face was found. The option “{whole}” needs none.",
        "no-fit-face": "No face is large and frontal enough. Choose one by its number to translate "
        "it anyway.",
        "busy": "The server is busy with photos of other visitors; try again in a minute.",
        "too-slow": "The translation took too long and was stopped; try a smaller photo.",
        "animated": "The file is animated: only its first picture was translated.",
        "faces_skipped": "Faces that are too small or turned aside were skipped; choose them by "
        "number to translate them too.",
    },
    "zh": {
        "title": "素颜 Suyan",
        "lead": "转换一张照片：{directions}",
        "other_language": "English",
        "photo": "照片",
        "drop": "拖入、粘贴或拍摄一张照片",
        "direction": "方向",
        "strength": "强度",
        "faces": "要转换的脸（编号见下图）",
        "face_numbers": "照片中的脸",
        "whole": "转换整张图片，而不只是脸",
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
        "unreadable": "无法读取此照片：文件已损坏，或不是 JPEG、PNG、WebP、GIF、BMP、TIFF 或 AVIF "
        "格式。",
        "too-large": "照片过大：{reason}",
        "no-face": "没有找到脸。可以选择“{whole}”。",
        "no-fit-face": "没有足够大且正面的脸；仍要尝试的话，请按编号选择。",
        "busy": "服务器正在处理其他访客的照片，请稍后再试。",
        "too-slow": "转换时间过长，已停止；请换一张较小的照片。",
        "animated": "这是动图，只转换了第一帧。",
        "faces_skipped": "过小或侧向的脸未转换；按编号选择即可一并转换。",
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


def direction_label(source: str, target: str, language: Language) -> str:
    """A direction in words, e.g. ``make-up → bare face`` or ``化妆 → 素颜``."""
    column = 0 if language == "en" else 1
    names = [_DOMAINS.get(name, (name, name))[column] for name in (source, target)]
    return " → ".join(names)
