"""The texts of the page, in English and Chinese.

A key that is the value of a ``Reason`` is the page's sentence for that refusal; ``note-…`` belongs
to a ``Note``, ``face-…`` to a ``FaceDefect``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from preprocessing.config import PrepareConfig
    from serving.models import Direction

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
        "face-too-small": "{number}: small ({side:.0f} px)",
        "face-profile": "{number}: turned aside",
        "whole": "Translate the whole picture instead of faces",
        "mark": "Mark the picture visibly (“{mark}”)",
        "go": "Translate",
        "result": "Before and after",
        "download": "Download at full size",
        "examples": "Examples (drawings; these people do not exist)",
        "done_faces": "Faces translated: {num}. {direction}, strength {strength:g}. "
        "{width} × {height} px, {seconds:.1f} s.",
        "done_whole": "Whole picture translated. {direction}, strength {strength:g}. "
        "{width} × {height} px, {seconds:.1f} s.",
        "location_removed": "The result contains no location data, and is removed after "
        "{minutes:g} minutes.",
        "no_photo": "Choose a photo first.",
        "no_choice": "Choose at least one face.",
        "some_unfit": "Faces that are small or turned aside are not ticked: training left such "
        "faces out. Tick them to translate them too.",
        "privacy": "Photos are processed only on the machine that serves this page ({host}), and "
        "removed after {minutes:g} minutes at the latest. Limits: {megabytes:g} MB, {megapixels:g} "
        "megapixels, {seconds:g} seconds. A translation is an invention: publish translated photos "
        "of people only with their consent.",
        "api": "HTTP API",
        "not-opened": "The photo is no longer there: photos are removed after {minutes:g} minutes. "
        "Choose it again.",
        "empty": "This file is empty (0 bytes). Copy or download it again.",
        "heic": "This is a HEIC photo, which cannot be read. Convert it to JPEG first.",
        "unreadable": "This file cannot be read as a photo: it is damaged, or it is not a JPEG, "
        "PNG, WebP, GIF, BMP, TIFF or AVIF file.",
        "cut-off": "This photo is damaged: the file ends before half of the picture. Copy or "
        "download it again.",
        "too-many-frames": "This file is animated, with more than {limit} pictures. Save one of "
        "them as a JPEG or PNG.",
        "too-many-pixels": "This photo is too large: {width} × {height} = {megapixels:.0f} "
        "megapixels; the limit is {limit:g}. Make it smaller.",
        "too-many-bytes": "This file is too large: {megabytes} MB; the limit is {limit:g} MB. Make "
        "it smaller, or save it as a JPEG.",
        "out-of-memory": "This photo does not fit into the server's memory. Make it smaller.",
        "no-face": "No face was found. The option “{whole}” needs none.",
        "no-fit-face": "No face is large and frontal enough: training left such faces out. Tick a "
        "number to translate that face anyway.",
        "no-such-face": "The photo has changed. Choose its faces again.",
        "busy": "The server is busy with photos of other visitors. Try again in a minute.",
        "too-slow": "The translation took too long and was stopped. Try a smaller photo.",
        "failed": "This photo could not be translated, because of an error of Suyan: {error}. Save "
        "it as a JPEG or PNG and try again, or report it.",
        "note-animation": "The file is animated: only its first picture was translated.",
        "note-pages": "The file has several pages: only the first was translated.",
        "note-pictures": "The file holds several pictures: only the first was translated.",
        "note-gain-map": "The HDR gain map of the photo is left out: the result has the ordinary "
        "range of brightness.",
        "note-video": "The video of this motion photo is left out.",
        "note-cut-off": "The file is damaged or cut off: a part of the picture is missing.",
        "note-metadata": "A part of the metadata cannot be read and is left out.",
        "note-long-metadata": "The longest metadata are left out: the file cannot hold them.",
        "note-location": "The XMP metadata are left out.",
        "note-png": "The result is a PNG: the picture is longer than its own format can hold.",
        "note-unlike": "**{subject} unlike the training pictures of this model** (distance "
        "{distance:.1f}; 98 % of them lie below 1). The translation may be wrong.",
        "note-drawings": "**This model was trained on drawings.** It is for trying Suyan out: on "
        "photos of real people or places it paints wrong colours and spots.",
        "unlike_whole": "This picture is",
        "unlike_face": "Face {numbers} is",
        "unlike_faces": "Faces {numbers} are",
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
        "face-too-small": "{number}：太小（{side:.0f} 像素）",
        "face-profile": "{number}：侧向",
        "whole": "转换整张图片，而不只是脸",
        "mark": "在图片上加可见标识（“{mark}”）",
        "go": "开始转换",
        "result": "转换前后",
        "download": "下载原尺寸图片",
        "examples": "示例（均为绘制，并非真人）",
        "done_faces": "已转换 {num} 张脸。{direction}，强度 {strength:g}。"
        "{width} × {height} 像素，用时 {seconds:.1f} 秒。",
        "done_whole": "已转换整张图片。{direction}，强度 {strength:g}。"
        "{width} × {height} 像素，用时 {seconds:.1f} 秒。",
        "location_removed": "结果中不含位置信息，{minutes:g} 分钟后删除。",
        "no_photo": "请先选择一张照片。",
        "no_choice": "请至少选择一张脸。",
        "some_unfit": "过小或侧向的脸没有勾选：训练时不含这样的脸。勾选即可一并转换。",
        "privacy": "照片只在提供本页面的机器（{host}）上处理，最迟 {minutes:g} 分钟后删除。上限："
        "{megabytes:g} MB、{megapixels:g} 百万像素、{seconds:g} 秒。转换结果是虚构的："
        "未经本人同意，请勿展示他人的转换照片。",
        "api": "程序接口",
        "not-opened": "照片已不在服务器上：照片在 {minutes:g} 分钟后删除。请重新选择。",
        "empty": "文件是空的（0 字节）。请重新复制或下载。",
        "heic": "这是 HEIC 照片，无法读取。请先转换成 JPEG。",
        "unreadable": "无法读取此照片：文件已损坏，或不是 JPEG、PNG、WebP、GIF、BMP、TIFF 或 AVIF "
        "格式。",
        "cut-off": "照片已损坏：文件不到图片的一半就结束了。请重新复制或下载。",
        "too-many-frames": "这是超过 {limit} 帧的动图。请把其中一帧存成 JPEG 或 PNG。",
        "too-many-pixels": "照片过大：{width} × {height} = {megapixels:.0f} 百万像素，"
        "上限是 {limit:g}。请缩小后再试。",
        "too-many-bytes": "文件过大：{megabytes} MB，上限是 {limit:g} MB。请缩小，或存成 JPEG。",
        "out-of-memory": "服务器的内存放不下这张照片。请缩小后再试。",
        "no-face": "没有找到脸。可以选择“{whole}”。",
        "no-fit-face": "没有足够大且正面的脸：训练时不含这样的脸。勾选编号，即可照样转换。",
        "no-such-face": "照片已更换，请重新选择脸。",
        "busy": "服务器正在处理其他访客的照片，请稍后再试。",
        "too-slow": "转换时间过长，已停止；请换一张较小的照片。",
        "failed": "由于 Suyan 的错误，这张照片未能转换：{error}。请存成 JPEG 或 PNG 再试，"
        "或报告此问题。",
        "note-animation": "这是动图，只转换了第一帧。",
        "note-pages": "文件有多页，只转换了第一页。",
        "note-pictures": "文件含有多张图片，只转换了第一张。",
        "note-gain-map": "照片的 HDR 增益图未保留：结果是普通亮度范围。",
        "note-video": "动态照片里的视频未保留。",
        "note-cut-off": "文件已损坏或不完整：图片缺少一部分。",
        "note-metadata": "一部分元数据无法读取，未保留。",
        "note-long-metadata": "最长的元数据未保留：文件放不下。",
        "note-location": "XMP 元数据未保留。",
        "note-png": "结果存成 PNG：图片的边长超出了原格式的上限。",
        "note-unlike": "**{subject}与本模型的训练图片相差较大**（距离 {distance:.1f}；98 % 的"
        "训练图片低于 1）。转换结果可能不对。",
        "note-drawings": "**本模型是用绘制的图片训练的**。它只供试用：用在真实的人物或风景照片上，"
        "颜色会失真，并出现色斑。",
        "unlike_whole": "这张图片",
        "unlike_face": "第 {numbers} 张脸",
        "unlike_faces": "第 {numbers} 张脸",
        "faces_skipped": "过小或侧向的脸未转换；按编号选择即可一并转换。",
    },
}

HTML_LANGUAGES: Mapping[Language, str] = {"en": "en", "zh": "zh-CN"}

GRADIO_WORDS: Mapping[Language, Sequence[tuple[str, str]]] = {
    "en": (),
    "zh": (
        (r"^Error$", "错误"),
        (r"^Warning$", "提醒"),
        (r"^Close$", "关闭"),
        (r"^(Remove Image|Clear)$", "移除图片"),
        (r"^File upload$", "上传文件"),
        (r"^Upload file$", "上传文件"),
        (r"^Drop an image file here to upload$", "把图片拖到这里上传"),
        (r"^Capture from camera$", "用摄像头拍摄"),
        (r"^Paste from clipboard$", "从剪贴板粘贴"),
        (r"^number input for (.*)$", "$1（数值）"),
        (r"^range slider for (.*)$", "$1（滑块）"),
        (r"^Reset to default value$", "恢复默认值"),
        (r"^Empty value$", "尚无内容"),
        (r"^[Uu]ndo$", "撤销"),
        (r"^Fullscreen$", "全屏"),
        (r"^Exit fullscreen mode$", "退出全屏"),
        (r"^Thumbnail (\d+) of (\d+)$", "示例 $1（共 $2 个）"),
        (r"^Click to Access Webcam$", "点击以使用摄像头"),
        (r"^capture photo$", "拍照"),
        (r"^select input source$", "选择摄像头"),
        (r"^Loading.*$", "正在处理"),
        (r"^processing \|(.*)$", "正在处理 |$1"),
        (r"^queue: (.*)$", "排队：$1"),
        (r"^Connection errored out.*$", "与服务器的连接中断，请重新打开本页面。"),
        (r"^Connection failed.*$", "无法连接服务器，请重新打开本页面。"),
        (r"^.*(application is|currently) (too )?busy.*$", "服务器正忙，请稍后再试。"),
    ),
}
"""Patterns of Gradio's own English words, and the page's words in their place."""

_ENGLISH_NAMES: Mapping[str, str] = {"makeup": "make-up", "bare": "bare face"}


def direction_labels(prepare: PrepareConfig, language: Language) -> Mapping[Direction, str]:
    """Each direction in words, e.g. ``make-up → bare face`` or ``化妆 → 素颜``."""
    a, b = domain_names(prepare, language)
    return {"A2B": f"{a} → {b}", "B2A": f"{b} → {a}"}


def domain_names(prepare: PrepareConfig, language: Language) -> tuple[str, str]:
    """The names of the domains A and B, e.g. ``make-up`` or ``化妆``."""
    if language == "zh":
        return prepare.chinese_names
    a, b = (_ENGLISH_NAMES.get(name, name) for name in (prepare.domain_a, prepare.domain_b))
    return a, b
