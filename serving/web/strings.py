"""The texts of the page, in English and Chinese.

A key that is the value of a ``Reason`` is the page's sentence for that refusal; ``note-…`` belongs
to a ``Note``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Literal

from serving.refusals import Note, Refusal

if TYPE_CHECKING:
    from preprocessing.config import PrepareConfig
    from serving.models import Direction

Language = Literal["en", "zh"]

TEXTS: Mapping[Language, Mapping[str, str]] = {
    "en": {
        "title": "Suyan",
        "lead": "Translates photographs, and gives them back at full size.",
        "other_language": "中文",
        "choose": "Choose photos or a zip",
        "choose_folder": "Choose a folder",
        "drop": "Drop photos, a folder or a zip here, or paste a photo",
        "drop_hint": "Up to {photos} photos at once, {megabytes:g} MB each",
        "examples": "Or try a drawing (these people do not exist)",
        "settings": "Settings",
        "model": "Model",
        "champion": "champion",
        "direction": "Direction",
        "strength": "Strength",
        "which_faces": "Faces",
        "faces_all": "all",
        "faces_largest": "the largest",
        "whole": "Translate the whole picture instead of faces",
        "mark": "Mark the pictures visibly (“{mark}”)",
        "go": "Translate",
        "cancel": "Cancel",
        "remove_all": "Remove all",
        "remove": "Remove {name}",
        "download_all": "Download all (zip)",
        "download": "Download at full size",
        "photos_heading": "Photos",
        "num_photos": "{num} photos",
        "one_photo": "1 photo",
        "state_ready": "ready",
        "archive_faces": "its faces: all or the largest, as set. Once they are translated, faces "
        "can be chosen photo by photo",
        "again": "Translate this photo again",
        "state_waiting": "waiting",
        "state_translating": "being translated",
        "state_done": "done",
        "state_faces": "done, {num} faces",
        "state_face": "done, 1 face",
        "state_refused": "not done",
        "uploading": "Sending: {percent} %",
        "unpacking": "The archive is being unpacked.",
        "place": "Photos of others before yours: {place}.",
        "progress": "{done} of {total} photos",
        "finished": "{done} of {total} photos translated.",
        "stopped": "Cancelled. {done} of {total} photos translated.",
        "result": "Before and after",
        "before": "before",
        "after": "after",
        "slider": "Slider",
        "side_by_side": "Side by side",
        "show": "Show {name}",
        "edit_faces": "Faces of {name}",
        "faces_button": "Faces…",
        "faces_hint": "Tick the faces to translate, each with its strength. Faces that are small "
        "or turned aside are not ticked: training left such faces out.",
        "face": "Face {number}",
        "face_strength": "Strength of face {number}",
        "face_unfit": " (small or turned aside)",
        "no_faces_found": "No face was found. The option “{whole}” needs none.",
        "looking": "Looking for faces …",
        "all_faces": "All suitable faces",
        "no_choice": "Choose at least one face.",
        "close": "Close",
        "empty_view": "The result appears here.",
        "no_photo": "Choose a photo first.",
        "too_many": "Too many photos: {num}; the limit is {limit}. The rest is left out.",
        "batch_too_large": "These files are too large together: {megabytes} MB; the limit is "
        "{limit} MB. Send some of them later.",
        "at_work": "Photos are being translated. Wait until they are done, or cancel.",
        "connection": "The server cannot be reached. Try again.",
        "gone": "The photos are no longer on the server. Translate them again.",
        "privacy": "Photos are processed only on the machine that serves this page ({host}). They "
        "are removed when you close the page, and after {minutes:g} minutes at the latest. Results "
        "contain no location data, and say in their metadata that a model changed them. A "
        "translation is an invention: publish translated photos of people only with their "
        "consent.",
        "limits": "Limits: {megabytes:g} MB and {megapixels:g} megapixels for a photo, {seconds:g} "
        "seconds for its translation; {photos} photos and {batch_megabytes:g} MB at once. Photos "
        "of all visitors are translated one at a time, in turn.",
        "api": "HTTP API",
        "not-opened": "The photo is no longer on the server. Choose it again.",
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
        "no-fit-face": "No face is large and frontal enough: training left such faces out. Choose "
        "it with “Faces…” to translate it anyway.",
        "no-such-face": "The photo has changed. Choose its faces again.",
        "busy": "The server is busy with photos of other visitors. Try again in a minute.",
        "too-slow": "The translation took too long and was stopped. Try a smaller photo.",
        "cancelled": "Cancelled before it was translated.",
        "encrypted": "This photo is encrypted. Put it into an archive without a password.",
        "nested-archive": "This is an archive inside an archive. Send it by itself.",
        "broken-archive": "This archive is damaged, or no zip or tar file. Make it again.",
        "archive-bomb": "This archive unpacks to far more than photos do. Send fewer in "
        "one archive.",
        "link": "This is a link and no file. Put the photo itself into the archive.",
        "no-photos": "This archive has no photos.",
        "too-many-photos": "Left out, with all that follow: {limit} photos at once are the limit. "
        "Send the others later.",
        "batch-full": "Left out: these photos, or their results, are larger than {limit:g} MB "
        "together. Send the others later.",
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
        "note-unlike": "{subject} unlike the training pictures of this model (distance "
        "{distance:.1f}; 98 % of them lie below 1). The translation may be wrong.",
        "note-drawings": "This model was trained on drawings. It is for trying Suyan out: on "
        "photos of real people or places it paints wrong colours and spots.",
        "unlike_whole": "This picture is",
        "unlike_face": "Face {numbers} is",
        "unlike_faces": "Faces {numbers} are",
    },
    "zh": {
        "title": "素颜 Suyan",
        "lead": "转换照片，结果保持原尺寸。",
        "other_language": "English",
        "choose": "选择照片或 zip",
        "choose_folder": "选择文件夹",
        "drop": "把照片、文件夹或 zip 拖到这里，也可以粘贴照片",
        "drop_hint": "一次最多 {photos} 张，每张不超过 {megabytes:g} MB",
        "examples": "或者用绘制的图片试试（并非真人）",
        "settings": "设置",
        "model": "模型",
        "champion": "冠军",
        "direction": "方向",
        "strength": "强度",
        "which_faces": "人脸",
        "faces_all": "全部",
        "faces_largest": "最大的一张",
        "whole": "转换整张图片，而不只是脸",
        "mark": "在图片上加可见标识（“{mark}”）",
        "go": "开始转换",
        "cancel": "取消",
        "remove_all": "全部移除",
        "remove": "移除 {name}",
        "download_all": "全部下载（zip）",
        "download": "下载原尺寸图片",
        "photos_heading": "照片",
        "num_photos": "{num} 张照片",
        "one_photo": "1 张照片",
        "state_ready": "待转换",
        "archive_faces": "其中的人脸按设置转换全部或最大的一张；转换之后可以逐张照片选择人脸",
        "again": "重新转换这张照片",
        "state_waiting": "等待中",
        "state_translating": "正在转换",
        "state_done": "完成",
        "state_faces": "完成，{num} 张脸",
        "state_face": "完成，1 张脸",
        "state_refused": "未完成",
        "uploading": "正在上传：{percent} %",
        "unpacking": "正在解压。",
        "place": "前面还有其他访客的 {place} 张照片。",
        "progress": "{done} / {total} 张",
        "finished": "已转换 {done} 张，共 {total} 张。",
        "stopped": "已取消。已转换 {done} 张，共 {total} 张。",
        "result": "转换前后",
        "before": "转换前",
        "after": "转换后",
        "slider": "滑块",
        "side_by_side": "并排",
        "show": "查看 {name}",
        "edit_faces": "{name} 中的人脸",
        "faces_button": "人脸…",
        "faces_hint": "勾选要转换的脸，并分别设定强度。过小或侧向的脸没有勾选："
        "训练时不含这样的脸。",
        "face": "第 {number} 张脸",
        "face_strength": "第 {number} 张脸的强度",
        "face_unfit": "（过小或侧向）",
        "no_faces_found": "没有找到脸。可以选择“{whole}”。",
        "looking": "正在寻找人脸……",
        "all_faces": "所有合适的脸",
        "no_choice": "请至少选择一张脸。",
        "close": "关闭",
        "empty_view": "结果会显示在这里。",
        "no_photo": "请先选择一张照片。",
        "too_many": "照片太多：{num} 张，上限是 {limit} 张。其余的未加入。",
        "batch_too_large": "这些文件加起来过大：{megabytes} MB，上限是 {limit} MB。请分几次处理。",
        "at_work": "正在转换照片，请等待完成，或先取消。",
        "connection": "无法连接服务器，请重试。",
        "gone": "照片已不在服务器上，请重新转换。",
        "privacy": "照片只在提供本页面的机器（{host}）上处理，关闭页面即删除，"
        "最迟 {minutes:g} 分钟后删除。结果中不含位置信息，并在元数据中注明由模型改动过。"
        "转换结果是虚构的：未经本人同意，请勿公开他人的转换照片。",
        "limits": "上限：每张照片 {megabytes:g} MB、{megapixels:g} 百万像素，"
        "转换 {seconds:g} 秒；一次 {photos} 张、{batch_megabytes:g} MB。"
        "所有访客的照片轮流转换，一次一张。",
        "api": "HTTP 接口",
        "not-opened": "照片已不在服务器上，请重新选择。",
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
        "no-fit-face": "没有足够大且正面的脸：训练时不含这样的脸。点“人脸…”勾选它，就能照样转换。",
        "no-such-face": "照片已更换，请重新选择人脸。",
        "busy": "服务器正在处理其他访客的照片，请稍后再试。",
        "too-slow": "转换时间过长，已停止；请换一张较小的照片。",
        "cancelled": "转换之前已取消。",
        "encrypted": "照片已加密，请放进不带密码的压缩包。",
        "nested-archive": "这是压缩包里的压缩包，请单独发送。",
        "broken-archive": "压缩包已损坏，或不是 zip、tar 文件。请重新打包。",
        "archive-bomb": "压缩包解压后远大于照片应有的大小。请减少一个压缩包里的照片。",
        "link": "这是链接而不是文件，请把照片本身放进压缩包。",
        "no-photos": "压缩包里没有照片。",
        "too-many-photos": "这张和后面的都未处理：一次最多 {limit} 张，其余请另行发送。",
        "batch-full": "未处理：照片或结果合计超过 {limit:g} MB，其余请另行发送。",
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
        "note-unlike": "{subject}与本模型的训练图片相差较大（距离 {distance:.1f}；98 % 的"
        "训练图片低于 1）。转换结果可能不对。",
        "note-drawings": "本模型是用绘制的图片训练的。它只供试用：用在真实的人物或风景照片上，"
        "颜色会失真，并出现色斑。",
        "unlike_whole": "这张图片",
        "unlike_face": "第 {numbers} 张脸",
        "unlike_faces": "第 {numbers} 张脸",
    },
}

HTML_LANGUAGES: Mapping[Language, str] = {"en": "en", "zh": "zh-CN"}

_ENGLISH_NAMES: Mapping[str, str] = {"makeup": "make-up", "bare": "bare face"}


def direction_labels(prepare: PrepareConfig, language: Language) -> Mapping[Direction, str]:
    """Each direction in words, e.g. ``make-up → bare face`` or ``化妆 → 素颜``."""
    a, b = domain_names(prepare, language)
    return {"A2B": f"{a} → {b}", "B2A": f"{b} → {a}"}


def refusal_sentence(refusal: Refusal, language: Language) -> str:
    """The page's sentence for a refusal."""
    text = TEXTS[language]
    values = {"whole": text["whole"], **refusal.values}
    if isinstance(megabytes := values.get("megabytes"), float):
        values["megabytes"] = f"{megabytes:.1f}"
    return text[refusal.code].format(**values)


def note_sentence(note: Note, language: Language, unlike: Mapping[int, float]) -> str:
    """The page's sentence for a note.

    ``unlike``: distances by number of the face; 0 stands for the picture.
    """
    text = TEXTS[language]
    if note is not Note.UNLIKE:
        return text[f"note-{note}"]
    key = "unlike_whole" if 0 in unlike else "unlike_face" if len(unlike) == 1 else "unlike_faces"
    separator = ", " if language == "en" else "、"
    subject = text[key].format(numbers=separator.join(map(str, unlike)))
    distance = max(unlike.values(), default=1.0)
    return text[f"note-{note}"].format(subject=subject, distance=distance)


def domain_names(prepare: PrepareConfig, language: Language) -> tuple[str, str]:
    """The names of the domains A and B, e.g. ``make-up`` or ``化妆``."""
    if language == "zh":
        return prepare.chinese_names
    a, b = (_ENGLISH_NAMES.get(name, name) for name in (prepare.domain_a, prepare.domain_b))
    return a, b
