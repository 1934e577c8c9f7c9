"""The page of ``suyan web`` in one language: Gradio components around a ``Studio``."""

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

from serving import photo_io as photos
from serving.annotate import numbered
from serving.face_selection import ALL, FaceChoice
from serving.translate import Wish
from serving.web.session import Developed, RefusedError, Studio
from serving.web.strings import WORDS, Language, way_label

_SHOWN_PX = 1600  # longer side of what is looked at; the download has every pixel
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
    studio: Studio
    language: Language
    folder: Path

    def words(self, key: str, **values: Any) -> str:
        return WORDS[self.language][key].format(**values)

    def ways(self) -> list[tuple[str, str]]:
        return [
            (way_label(source, to, self.language), way)
            for way, (source, to) in self.studio.model.directions.items()
        ]

    def refused(self, error: RefusedError) -> gr.Error:
        whole = self.words("whole")
        return self._error(self.words(error.kind, reason=str(error), whole=whole))

    def _error(self, text: str) -> gr.Error:
        return gr.Error(text, duration=None, title=self.words("title"), print_exception=False)

    def look(self, path: str | None) -> tuple[Any, Any, int]:
        """Which faces can be chosen, the picture that shows their numbers, how many there are."""
        nothing = gr.CheckboxGroup(choices=[], value=[], visible=False), gr.Image(visible=False), 0
        if path is None or not self.studio.model.prepare.faces:
            return nothing
        try:
            found = self.studio.survey(Path(path))
        except RefusedError:
            return nothing  # said when it is to be translated
        num = len(found.faces)
        if num < 2:
            return nothing
        numbers = [str(number) for number in range(1, num + 1)]
        chosen = gr.CheckboxGroup(numbers, value=[str(n) for n in found.fit], visible=True)
        view = gr.Image(value=_shown(numbered(found.pixels, found.faces)), visible=True)
        return chosen, view, num

    def translate(
        self,
        path: str | None,
        way: Any,
        strength: float,
        numbers: list[str],
        num_faces: int,
        whole: bool,
    ) -> tuple[Any, Any, str]:
        """Before and after, the file to download, and a line about it."""
        if path is None:
            raise self._error(self.words("no_photo"))
        if num_faces > 1 and not numbers and not whole:
            raise self._error(self.words("no_choice"))
        started = time.monotonic()
        wish = Wish(
            mode="whole" if whole else "model", faces=_choice(numbers), strength=float(strength)
        )
        try:
            done = self.studio.develop(Path(path), way, wish)
        except RefusedError as error:
            raise self.refused(error) from error
        pair = _shown(done.before.pixels), _shown(done.after.pixels)
        file = self._file(Path(path), way, done)
        button = gr.DownloadButton(value=str(file), visible=True)
        return pair, button, self._told(done, time.monotonic() - started)

    def _file(self, photo: Path, way: Any, done: Developed) -> Path:
        _, to = self.studio.model.directions[way]
        suffix = photos.SUFFIXES[done.after.format][0]
        file = Path(mkdtemp(dir=self.folder)) / f"{photo.stem[:60]}-{to}{suffix}"
        photos.write(file, done.after)
        return file

    def _told(self, done: Developed, seconds: float) -> str:
        height, width = done.after.pixels.shape[:2]
        num = done.translation.num_faces
        key = "done_faces" if num else "done_whole"
        parts = [self.words(key, num=num, width=width, height=height, seconds=seconds)]
        parts += [self.words("animated")] if done.before.note.startswith("animated") else []
        parts += [self.words("left-alone")] if done.translation.note else []
        return " ".join([*parts, self.words("location_removed")])

    def privacy(self, host: str) -> str:
        limits = self.studio.limits
        return self.words(
            "privacy",
            host=host,
            minutes=limits.keep_s / 60,
            megabytes=limits.max_bytes / 1e6,
            megapixels=limits.max_megapixels,
            seconds=limits.timeout_s,
        )


def build_page(
    studio: Studio, language: Language, folder: Path, examples: Sequence[Path], host: str
) -> gr.Blocks:
    """The page; results for download are written into ``folder``."""
    page = _Page(studio, language, folder)
    other = "zh" if language == "en" else "en"
    ways = page.ways()
    with gr.Blocks(title=page.words("title"), analytics_enabled=False) as blocks:
        with gr.Row(elem_id="head"):
            with gr.Column(scale=4, min_width=200):
                listed = " · ".join(label for label, _ in ways)
                gr.Markdown(f"# {page.words('title')}\n\n{page.words('lead', ways=listed)}")
            with gr.Column(scale=1, min_width=80):
                gr.Markdown(f"[{page.words('other_language')}](../{other}/)", elem_id="language")
        with gr.Row():
            with gr.Column(min_width=300):
                photo = gr.Image(
                    label=page.words("photo"),
                    placeholder=page.words("drop"),
                    sources=["upload", "webcam", "clipboard"],
                    type="filepath",
                    height=360,
                    elem_id="photo",
                    buttons=[],
                )
                photo.preprocess = _path_of  # type: ignore[method-assign] # unopened: ours to judge
                way = gr.Radio(ways, value=ways[0][1], label=page.words("way"), elem_id="way")
                strength = gr.Slider(
                    0, 1, value=1, step=0.05, label=page.words("strength"), elem_id="strength"
                )
                chosen = gr.CheckboxGroup(
                    [], label=page.words("faces"), visible=False, elem_id="faces"
                )
                count = gr.State(0)
                faces_view = gr.Image(
                    label=page.words("numbered"),
                    visible=False,
                    interactive=False,
                    format="jpeg",
                    height=240,
                    buttons=[],
                    elem_id="numbered",
                )
                whole = gr.Checkbox(
                    value=not studio.model.prepare.faces,
                    visible=studio.model.prepare.faces,
                    label=page.words("whole"),
                    elem_id="whole",
                )
                go = gr.Button(page.words("go"), variant="primary", elem_id="go")
            with gr.Column(min_width=300):
                result = gr.ImageSlider(
                    label=page.words("result"),
                    format="jpeg",
                    interactive=False,
                    max_height=560,
                    elem_id="result",
                    buttons=["fullscreen"],
                )
                told = gr.Markdown(elem_id="told")
                download = gr.DownloadButton(
                    page.words("download"), visible=False, elem_id="download"
                )
        if examples:
            # gr.Examples hands the browser an address that does not exist below a mounted page
            gallery = gr.Gallery(
                [str(path) for path in examples],
                label=page.words("examples"),
                columns=len(examples),
                height=150,
                object_fit="contain",
                allow_preview=False,
                interactive=False,
                buttons=[],
                elem_id="examples",
            )
            gallery.select(_picked(examples), None, [photo], api_visibility="private")
        gr.Markdown(
            f"{page.privacy(host)} [{page.words('api')}](../api/openapi.json)", elem_id="privacy"
        )
        quiet: dict[str, Any] = {"api_visibility": "private", "show_progress": "hidden"}
        photo.change(page.look, [photo], [chosen, faces_view, count], **quiet)
        go.click(
            page.translate,
            [photo, way, strength, chosen, count, whole],
            [result, download, told],
            api_visibility="private",
            concurrency_limit=1,
        )
    page_blocks: gr.Blocks = blocks.queue(max_size=16)
    return page_blocks


def _picked(examples: Sequence[Path]) -> Callable[[gr.SelectData], str]:
    def picked(event: gr.SelectData) -> str:
        return str(examples[event.index])

    # of strings, gradio could not tell that it is to pass the event
    picked.__annotations__ = {"event": gr.SelectData}
    return picked


def _path_of(payload: Any) -> str | None:
    return str(payload.path) if payload is not None and payload.path else None


def _choice(numbers: Sequence[str]) -> FaceChoice:
    return FaceChoice(numbers=tuple(int(number) for number in numbers)) if numbers else ALL


def _shown(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The picture at a size for looking at."""
    scale = _SHOWN_PX / max(pixels.shape[:2])
    if scale >= 1:
        return pixels
    shown = cv2.resize(pixels, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    return np.asarray(shown, dtype=np.uint8)
