"""Translate photographs with the ONNX files beside this one: Gradio and onnxruntime, nothing else.

``python app.py`` serves the page on port 7860 (PORT changes it). This file was written by
``suyan export --as space``; it does not need Suyan.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from functools import cache
from pathlib import Path
from typing import Any

import gradio as gr
import numpy as np
import onnxruntime
from numpy.typing import NDArray
from PIL import Image, ImageOps

FOLDER = Path(__file__).resolve().parent
SETTINGS: dict[str, Any] = json.loads((FOLDER / "settings.json").read_text(encoding="utf-8"))
MAX_MEGAPIXELS = 50
_CAST_BLUR = 0.12  # standard deviation of the blur that finds a colour cast, share of the crop
_FEATHER = 0.12  # width of the soft edge, share of the crop's side
_EYES_TO_MOUTH = 1.1  # of an upright face, in eye distances
_FOREHEAD, _CHIN = 1.15, 1.75  # ends of the face above and below the eyes, in eye-mouth distances
_CHEEK = 1.2  # half width of the face, in eye distances
_INNER, _OUTER = 0.8, 1.15  # between these the mask fades from 1 to 0, in radii of the face

WORDS = {
    "en": {
        "photo": "Photograph", "direction": "Direction", "strength": "Strength", "go": "Translate",
        "result": "Result", "eyes": "Eyes: click both of them in the photograph",
        "missing": "Choose a photograph first.",
        "large": "The photograph is larger than 50 megapixels: make it smaller first.",
        "whole": "The whole picture was translated. This model was trained on aligned faces: click "
        "both eyes in the photograph, and it translates the face alone.",
        "done": "Done.", "drawings": "This model was trained on drawings: expect wrong colours on "
        "photographs.",
    },
    "zh": {
        "photo": "照片", "direction": "方向", "strength": "强度", "go": "转换", "result": "结果",
        "eyes": "双眼：在照片上各点一下", "missing": "请先选择一张照片。",
        "large": "照片超过 5000 万像素，请先缩小。",
        "whole": "已转换整张图片。这个模型是用对齐的人脸训练的："
        "在照片上点一下两只眼睛，就只转换人脸。",
        "done": "完成。", "drawings": "这个模型是用绘制的图片训练的，用在照片上颜色会失真。",
    },
}  # fmt: skip

Picture = NDArray[np.uint8]
Levels = NDArray[np.float32]


@cache
def session(file: str) -> Any:
    """The network of one direction."""
    return onnxruntime.InferenceSession(FOLDER / file, providers=["CPUExecutionProvider"])


def run(network: Any, pixels: Picture) -> Levels:
    """``[H, W, 3]`` uint8 → its translation in grey levels, the same shape; edges are mirrored."""
    height, width = pixels.shape[:2]
    multiple, least = SETTINGS["multiple"], SETTINGS["least_px"]
    padding = [max(-side % multiple, least - side) for side in (height, width)]
    padded = np.pad(pixels, ((0, padding[0]), (0, padding[1]), (0, 0)), mode="symmetric")
    batch = padded.transpose(2, 0, 1)[None].astype(np.float32) / 127.5 - 1
    (output,) = network.run(None, {"image": batch})
    levels = (output[0].transpose(1, 2, 0) + 1) * 127.5
    return np.asarray(levels[:height, :width], np.float32)


def translate_whole(photo: Picture, network: Any, strength: float) -> Picture:
    """The picture with the network's change, which is enlarged where the picture is large."""
    height, width = photo.shape[:2]
    scale = min(1.0, SETTINGS["work_px"] / max(height, width))
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    image = Image.fromarray(photo)
    small = photo if scale == 1 else np.asarray(image.resize(size, Image.Resampling.BOX))
    change = run(network, small) - small
    if scale < 1:
        change = _resized(change, width, height)
    return _levels(photo + strength * change)


def translate_face(
    photo: Picture, eyes: NDArray[np.float64], network: Any, strength: float
) -> Picture:
    """The picture in which the face with these eyes ``[2, 2]`` (x, y in px) is translated."""
    side = SETTINGS["crop_px"]
    matrix = eye_transform(eyes)
    inverse = np.asarray(np.linalg.inv(matrix), np.float64)
    crop = _crop(photo, inverse, side)
    change = run(network, crop) - crop
    mask = face_mask(side)
    change = (change - colour_cast(change, 1 - mask)) * mask[..., None]
    corners = np.array([(0, 0, 1), (side, 0, 1), (side, side, 1), (0, side, 1)]) @ inverse.T
    height, width = photo.shape[:2]
    left, top = np.clip(np.floor(corners[:, :2].min(axis=0)), 0, (width, height)).astype(int)
    right, bottom = np.clip(np.ceil(corners[:, :2].max(axis=0)), 0, (width, height)).astype(int)
    result = photo.copy()
    if right > left and bottom > top:
        shifted = matrix @ np.array([[1, 0, left], [0, 1, top], [0, 0, 1]])
        size = (int(right - left), int(bottom - top))
        window = result[top:bottom, left:right]
        window[:] = _levels(window + strength * _warped(change, shifted, size))
    return result


def eye_transform(eyes: NDArray[np.float64]) -> NDArray[np.float64]:
    """``[3, 3]``: px of the photograph → px of the crop in which the eyes are level."""
    side = SETTINGS["crop_px"]
    first, second = eyes[np.argsort(eyes[:, 0])]
    across = second - first
    distance = float(np.hypot(*across))
    scale = SETTINGS["eye_distance"] * side / distance
    cosine, sine = across / distance
    turn = scale * np.array([[cosine, sine], [-sine, cosine]])
    target = np.array([0.5, SETTINGS["eye_height"]]) * side
    matrix = np.eye(3)
    matrix[:2, :2] = turn
    matrix[:2, 2] = target - turn @ ((first + second) / 2)
    return matrix


def face_mask(side: int) -> Levels:
    """``[side, side]``: 1 on the face of an aligned crop, fading to 0 around it."""
    across = SETTINGS["eye_distance"] * side
    down = _EYES_TO_MOUTH * across
    centre_y = SETTINGS["eye_height"] * side + down * (_CHIN - _FOREHEAD) / 2
    places = np.arange(side) + 0.5
    radius = np.hypot(
        (places[None] - side / 2) / (_CHEEK * across),
        (places[:, None] - centre_y) / (down * (_CHIN + _FOREHEAD) / 2),
    )
    edge = _smoothstep(np.minimum(places, side - places) / side / _FEATHER)
    inside = 1 - _smoothstep((radius - _INNER) / (_OUTER - _INNER))
    return np.asarray(inside * np.outer(edge, edge), np.float32)


def colour_cast(change: Levels, outside: Levels) -> Levels:
    """``change`` ``[C, C, 3]`` outside the face, blurred and continued into it.

    Nothing should change there: what does is a cast of the whole crop.
    """
    side = change.shape[0]
    places = np.arange(side)
    blur = np.exp(-0.5 * ((places[:, None] - places) / (_CAST_BLUR * side)) ** 2)
    weight = outside**2 + 1e-3
    total = np.einsum("ij,jkc,lk->ilc", blur, change * weight[..., None], blur, optimize=True)
    return np.asarray(total / (blur @ weight @ blur.T)[..., None], np.float32)


def read_eyes(text: str) -> NDArray[np.float64] | None:
    """The points in a text such as ``120,80 180,82``; ``None`` where they are not two."""
    numbers = [float(number) for number in re.findall(r"-?\d+(?:\.\d+)?", text or "")]
    if len(numbers) != 4:
        return None
    eyes = np.array(numbers).reshape(2, 2)
    return eyes if np.hypot(*(eyes[1] - eyes[0])) >= 1 else None


def translate(
    photo: Image.Image | None, direction: int, strength: float, eyes: str, language: str
) -> tuple[Image.Image | None, str]:
    """The translated photograph, and a sentence about it."""
    words = WORDS[language]
    if photo is None:
        return None, words["missing"]
    if photo.width * photo.height > MAX_MEGAPIXELS * 1e6:
        return None, words["large"]
    pixels = np.asarray(ImageOps.exif_transpose(photo).convert("RGB"))
    network = session(SETTINGS["directions"][direction]["file"])
    points = read_eyes(eyes) if SETTINGS["faces"] else None
    notes = [words["drawings"]] if SETTINGS["trained_on"] == "drawings" else []
    if points is None:
        result = translate_whole(pixels, network, strength)
        notes.append(words["whole"] if SETTINGS["faces"] else words["done"])
    else:
        result = translate_face(pixels, points, network, strength)
        notes.append(words["done"])
    return labelled(result), " ".join(notes)


def labelled(picture: Picture) -> Image.Image:
    """The picture with the label that a model edited it; Gradio writes it into the PNG."""
    image = Image.fromarray(picture)
    digits = hashlib.blake2b(picture.tobytes(), digest_size=16).hexdigest()
    image.info["XML:com.adobe.xmp"] = SETTINGS["label"].replace("PRODUCE_ID", digits)
    return image


def build_page() -> tuple[gr.Blocks, Any]:
    """The page, and its words in the languages of browsers."""
    i18n = gr.I18n(en=WORDS["en"], **{"zh-CN": WORDS["zh"], "zh": WORDS["zh"]})
    directions = SETTINGS["directions"]
    labels = [
        f"{each['from']} → {each['to']}"
        + (f" ({each['from_zh']} → {each['to_zh']})" if each["to_zh"] != each["to"] else "")
        for each in directions
    ]
    with gr.Blocks(title=SETTINGS["model"], analytics_enabled=False) as page:
        gr.Markdown(f"## {SETTINGS['model']}")
        with gr.Row():
            photo = gr.Image(type="pil", label=i18n("photo"), elem_id="photo")
            result = gr.Image(
                type="pil", label=i18n("result"), format="png", interactive=False, elem_id="result"
            )
        choices = list(zip(labels, range(len(directions)), strict=True))
        direction = gr.Radio(choices, value=0, label=i18n("direction"))
        strength = gr.Slider(0, 2, value=1, step=0.05, label=i18n("strength"))
        eyes = gr.Textbox(
            label=i18n("eyes"), visible=SETTINGS["faces"], placeholder="120,80 180,82"
        )
        button = gr.Button(i18n("go"), variant="primary", elem_id="go")
        note = gr.Markdown(elem_id="note")

        def add_eye(text: str, event: gr.SelectData) -> str:
            points = (text or "").split()[-1:]
            return " ".join([*points, f"{event.index[0]},{event.index[1]}"])

        def on_click(
            photo: Image.Image | None,
            direction: int,
            strength: float,
            eyes: str,
            request: gr.Request,
        ) -> tuple[Image.Image | None, str]:
            language = request.headers.get("accept-language", "") if request else ""
            return translate(
                photo, direction, strength, eyes, "zh" if language.startswith("zh") else "en"
            )

        photo.select(add_eye, eyes, eyes, api_visibility="private")
        photo.clear(lambda: "", None, eyes, api_visibility="private")
        button.click(
            on_click, [photo, direction, strength, eyes], [result, note], api_name="translate"
        )
    return page, i18n


def _crop(photo: Picture, inverse: NDArray[np.float64], side: int) -> Picture:
    """``[side, side, 3]``: the pixels to which ``inverse`` leads from the crop, anti-aliased."""
    factor = max(1, int(np.sqrt(abs(np.linalg.det(inverse[:2, :2])))))
    image = Image.fromarray(photo)
    margin = side  # px around a small picture, so that its edge repeats beyond it
    if factor > 1:
        image = image.reduce(factor)
    pixels = np.pad(np.asarray(image), ((margin, margin), (margin, margin), (0, 0)), mode="edge")
    matrix = np.diag([1 / factor, 1 / factor, 1]) @ inverse
    matrix[:2, 2] += margin
    return np.asarray(
        Image.fromarray(pixels).transform(
            (side, side),
            Image.Transform.AFFINE,
            matrix[:2].ravel().tolist(),
            Image.Resampling.BICUBIC,
        )
    )


def _warped(change: Levels, matrix: NDArray[np.float64], size: tuple[int, int]) -> Levels:
    """The change at the places to which ``matrix`` leads from a window of the photograph."""
    planes = [
        Image.fromarray(np.ascontiguousarray(change[..., channel])).transform(
            size, Image.Transform.AFFINE, matrix[:2].ravel().tolist(), Image.Resampling.BICUBIC
        )
        for channel in range(3)
    ]
    return np.stack([np.asarray(plane) for plane in planes], axis=-1)


def _resized(change: Levels, width: int, height: int) -> Levels:
    planes = [
        Image.fromarray(np.ascontiguousarray(change[..., channel])).resize(
            (width, height), Image.Resampling.BICUBIC
        )
        for channel in range(3)
    ]
    return np.stack([np.asarray(plane) for plane in planes], axis=-1)


def _levels(values: NDArray[np.floating[Any]]) -> Picture:
    return np.asarray(np.clip(np.rint(values), 0, 255), np.uint8)


def _smoothstep(value: NDArray[np.floating[Any]]) -> NDArray[np.floating[Any]]:
    x = np.clip(value, 0, 1)
    return np.asarray(x * x * (3 - 2 * x))


if __name__ == "__main__":
    page, i18n = build_page()
    page.launch(
        server_name=os.environ.get("GRADIO_SERVER_NAME", "127.0.0.1"),
        server_port=int(os.environ.get("PORT", "7860")),
        i18n=i18n,
    )
