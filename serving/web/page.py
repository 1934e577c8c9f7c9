"""The page of ``suyan web`` in one language: Gradio components around a ``Session``."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import cv2
import gradio as gr
import numpy as np
from numpy.typing import NDArray

from serving import photo_io
from serving.annotate import draw_face_numbers
from serving.face_selection import ALL, FaceChoice
from serving.models import Direction
from serving.translate import TranslateOptions
from serving.web.session import PhotoTranslation, RefusedError, Session
from serving.web.strings import TEXTS, Language, direction_label

_PREVIEW_PX = 1600  # longer side of pictures on the page; the download has every pixel
CSS = """
.gradio-container { max-width: 1080px !important; margin: 0 auto; }
#head { align-items: center; }
#head h1 { margin: 0; }
#language { text-align: right; }
#privacy, #privacy * { color: var(--neutral-500); font-size: 13px; }
footer { display: none !important; }
"""


@dataclass(frozen=True)
class _Page:
    """The event handlers of a page."""

    session: Session
    language: Language
    folder: Path  # for the results

    def text(self, key: str, **values: Any) -> str:
        return TEXTS[self.language][key].format(**values)

    def directions(self) -> list[tuple[str, Direction]]:
        """Label and value of each direction."""
        return [
            (direction_label(source, target, self.language), direction)
            for direction, (source, target) in self.session.model.directions.items()
        ]

    def _error(self, text: str) -> gr.Error:
        return gr.Error(text, duration=None, title=self.text("title"), print_exception=False)

    def find_faces(self, path: str | None) -> tuple[Any, Any, int]:
        """The checkboxes for faces, the picture with their numbers, and the number of faces."""
        hidden = gr.CheckboxGroup(choices=[], value=[], visible=False), gr.Image(visible=False), 0
        if path is None or not self.session.model.prepare.faces:
            return hidden
        try:
            photo = self.session.find_faces(Path(path))
        except RefusedError:
            return hidden  # the translation reports the error
        num_faces = len(photo.faces)
        if num_faces < 2:
            return hidden
        numbers = [str(number) for number in range(1, num_faces + 1)]
        suitable = [str(number) for number in photo.suitable]
        boxes = gr.CheckboxGroup(numbers, value=suitable, visible=True)
        view = _preview(draw_face_numbers(photo.pixels, photo.faces))
        return boxes, gr.Image(value=view, visible=True), num_faces

    def translate(
        self,
        path: str | None,
        direction: Direction,
        strength: float,
        numbers: list[str],
        num_faces: int,
        whole: bool,
    ) -> tuple[Any, Any, str]:
        """Before and after, the file to download, and a summary."""
        if path is None:
            raise self._error(self.text("no_photo"))
        if num_faces > 1 and not numbers and not whole:
            raise self._error(self.text("no_choice"))
        started = time.monotonic()
        options = TranslateOptions(
            mode="whole" if whole else "model", faces=_choice(numbers), strength=float(strength)
        )
        try:
            result = self.session.translate(Path(path), direction, options)
        except RefusedError as error:
            reason = self.text(error.kind, reason=str(error), whole=self.text("whole"))
            raise self._error(reason) from error
        pair = _preview(result.before.pixels), _preview(result.after.pixels)
        file = self._write(Path(path), direction, result)
        button = gr.DownloadButton(value=str(file), visible=True)
        return pair, button, self._summary(result, time.monotonic() - started)

    def _write(self, photo: Path, direction: Direction, result: PhotoTranslation) -> Path:
        _, target = self.session.model.directions[direction]
        suffix = result.after.format.suffixes[0]
        file = Path(mkdtemp(dir=self.folder)) / f"{photo.stem[:60]}-{target}{suffix}"
        photo_io.write_photo(file, result.after)
        return file

    def _summary(self, result: PhotoTranslation, seconds: float) -> str:
        height, width = result.after.pixels.shape[:2]
        num = result.translation.num_faces
        key = "done_faces" if num else "done_whole"
        parts = [self.text(key, num=num, width=width, height=height, seconds=seconds)]
        if result.before.num_frames > 1:
            parts.append(self.text("animated"))
        if result.translation.num_skipped:
            parts.append(self.text("faces_skipped"))
        return " ".join([*parts, self.text("location_removed")])

    def privacy(self, host: str) -> str:
        limits = self.session.limits
        return self.text(
            "privacy",
            host=host,
            minutes=limits.retention_s / 60,
            megabytes=limits.max_bytes / 1e6,
            megapixels=limits.max_megapixels,
            seconds=limits.timeout_s,
        )


def build_page(
    session: Session, language: Language, folder: Path, examples: Sequence[Path], host: str
) -> gr.Blocks:
    """The page; results are written into ``folder``, and ``host`` is the address shown."""
    page = _Page(session, language, folder)
    other = "zh" if language == "en" else "en"
    directions = page.directions()
    with gr.Blocks(title=page.text("title"), analytics_enabled=False) as blocks:
        with gr.Row(elem_id="head"):
            with gr.Column(scale=4, min_width=200):
                labels = " · ".join(label for label, _ in directions)
                gr.Markdown(f"# {page.text('title')}\n\n{page.text('lead', directions=labels)}")
            with gr.Column(scale=1, min_width=80):
                gr.Markdown(f"[{page.text('other_language')}](../{other}/)", elem_id="language")
        with gr.Row():
            with gr.Column(min_width=300):
                photo = gr.Image(
                    label=page.text("photo"),
                    placeholder=page.text("drop"),
                    sources=["upload", "webcam", "clipboard"],
                    type="filepath",
                    height=360,
                    elem_id="photo",
                    buttons=[],
                )
                photo.preprocess = _path_of  # type: ignore[method-assign] # Gradio would decode the file
                direction = gr.Radio(
                    directions,
                    value=directions[0][1],
                    label=page.text("direction"),
                    elem_id="direction",
                )
                strength = gr.Slider(
                    0, 1, value=1, step=0.05, label=page.text("strength"), elem_id="strength"
                )
                boxes = gr.CheckboxGroup(
                    [], label=page.text("faces"), visible=False, elem_id="faces"
                )
                num_faces = gr.State(0)
                faces_view = gr.Image(
                    label=page.text("face_numbers"),
                    visible=False,
                    interactive=False,
                    format="jpeg",
                    height=240,
                    buttons=[],
                    elem_id="face-numbers",
                )
                whole = gr.Checkbox(
                    value=not session.model.prepare.faces,
                    visible=session.model.prepare.faces,
                    label=page.text("whole"),
                    elem_id="whole",
                )
                go = gr.Button(page.text("go"), variant="primary", elem_id="go")
            with gr.Column(min_width=300):
                result = gr.ImageSlider(
                    label=page.text("result"),
                    format="jpeg",
                    interactive=False,
                    max_height=560,
                    elem_id="result",
                    buttons=["fullscreen"],
                )
                summary = gr.Markdown(elem_id="summary")
                download = gr.DownloadButton(
                    page.text("download"), visible=False, elem_id="download"
                )
        if examples:
            # gr.Examples hands the browser an address that does not exist below a mounted page
            gallery = gr.Gallery(
                [str(path) for path in examples],
                label=page.text("examples"),
                columns=len(examples),
                height=150,
                object_fit="contain",
                allow_preview=False,
                interactive=False,
                buttons=[],
                elem_id="examples",
            )
            gallery.select(_selection(examples), None, [photo], api_visibility="private")
        gr.Markdown(
            f"{page.privacy(host)} [{page.text('api')}](../api/openapi.json)", elem_id="privacy"
        )
        quiet: dict[str, Any] = {"api_visibility": "private", "show_progress": "hidden"}
        photo.change(page.find_faces, [photo], [boxes, faces_view, num_faces], **quiet)
        go.click(
            page.translate,
            [photo, direction, strength, boxes, num_faces, whole],
            [result, download, summary],
            api_visibility="private",
            concurrency_limit=1,
        )
    page_blocks: gr.Blocks = blocks.queue(max_size=16)
    return page_blocks


def _selection(examples: Sequence[Path]) -> Callable[[gr.SelectData], str]:
    """The handler that returns the path of the example that a visitor clicks."""

    def select(event: gr.SelectData) -> str:
        return str(examples[event.index])

    # Gradio passes the event only to parameters whose annotation is the class, not its name.
    select.__annotations__ = {"event": gr.SelectData}
    return select


def _path_of(payload: Any) -> str | None:
    return str(payload.path) if payload is not None and payload.path else None


def _choice(numbers: Sequence[str]) -> FaceChoice:
    return FaceChoice(numbers=tuple(int(number) for number in numbers)) if numbers else ALL


def _preview(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The picture with a longer side of at most ``_PREVIEW_PX``."""
    scale = _PREVIEW_PX / max(pixels.shape[:2])
    if scale >= 1:
        return pixels
    small = cv2.resize(pixels, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    return np.asarray(small, dtype=np.uint8)
