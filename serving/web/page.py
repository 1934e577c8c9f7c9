"""The page of ``suyan web`` in one language: Gradio components around a ``Session``."""

from __future__ import annotations

import functools
import json
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import cv2
import gradio as gr
import numpy as np
from numpy.typing import NDArray

from core.files import fitting_name
from evaluation.features.training_statistics import TrainedOn
from serving import photo_io
from serving.annotate import draw_face_numbers
from serving.face_selection import ALL, FaceChoice
from serving.labelling.visible_mark import MARK_TEXTS, VisibleMark
from serving.models import Direction
from serving.photo_io import Photo
from serving.refusals import Note, Reason, Refusal
from serving.translate import TranslateOptions
from serving.web.session import PhotoFaces, PhotoTranslation, RefusedError, Session
from serving.web.strings import GRADIO_WORDS, HTML_LANGUAGES, TEXTS, Language, direction_labels

_LOG = logging.getLogger(__name__)
_PREVIEW_PX = 1600  # longer side of pictures on the page; the download has every pixel
CSS = """
.gradio-container { max-width: 1080px !important; margin: 0 auto; }
#head { align-items: center; }
#head h1 { margin: 0; }
#language { text-align: right; }
#privacy, #privacy * { color: var(--neutral-500); font-size: 13px; }
#notice-text { color: var(--error-text-color, #b91c1c); }
#notice-text, #hint p { font-weight: 600; }
#notice:has(#notice-text:empty), #hint:not(:has(p)), #warning:not(:has(p)) { display: none; }
#drawings, #warning { padding: 8px 12px; border-left: 4px solid #d97706; background: #fef3c7; }
#drawings *, #warning * { color: #451a03; }
#examples .grid-wrap { height: auto; min-height: 0; }
#examples .grid-container { display: flex; flex-wrap: wrap; gap: 8px; padding-top: 28px; }
#examples .gallery-item { width: auto; }
#examples .thumbnail-item { width: 96px; height: 96px; }
footer { display: none !important; }
"""


@dataclass(frozen=True)
class _Picker:
    """The choice of faces that the page offers for a photograph."""

    path: str = ""  # of the photograph
    is_open: bool = False
    has_suitable: bool = True  # whether a face needs no ticking


@dataclass(frozen=True)
class _Answer:
    """The answer to a click: a summary, and a result if there is one."""

    path: str  # of the photograph; empty for none
    summary: str
    warning: str = ""
    pair: tuple[str, str] | None = None  # files of before and after
    file: str | None = None  # for the download


@dataclass(frozen=True)
class _Page:
    """The event handlers of a page."""

    session: Session
    language: Language
    folder: Path  # for the results

    def text(self, key: str, **values: Any) -> str:
        return TEXTS[self.language][key].format(**values)

    @functools.cached_property
    def direction_labels(self) -> Mapping[Direction, str]:
        """Each direction in the page's language."""
        return direction_labels(self.session.model.prepare, self.language)

    def directions(self) -> list[tuple[str, Direction]]:
        """Label and value of each direction."""
        return [
            (self.direction_labels[direction], direction)
            for direction in self.session.model.directions
        ]

    def clear(self) -> tuple[Any, Any, str, str]:
        """No result, download, summary or warning: they belonged to another photograph."""
        return None, gr.DownloadButton(value=None, visible=False), "", ""

    def find_faces(self, path: str | None) -> tuple[Any, Any, _Picker, str]:
        """The checkboxes for faces, the picture with their numbers, what they offer, and a hint.

        A single face is offered too, unless it is translated without being chosen.
        """
        hidden = gr.CheckboxGroup(choices=[], value=[], visible=False), gr.Image(visible=False)
        if path is None or not self.session.model.prepare.faces:
            return *hidden, _Picker(path or ""), ""
        try:
            photo = self.session.find_faces(Path(path))
        except RefusedError as error:
            return *hidden, _Picker(path), self._refusal_text(error.refusal)
        except Exception as error:
            return *hidden, _Picker(path), self._failure_text(error)
        if not photo.faces:
            return *hidden, _Picker(path), self._refusal_text(Refusal(Reason.NO_FACE))
        if len(photo.faces) == 1 and photo.suitable:
            return *hidden, _Picker(path), ""
        suitable = [str(number) for number in photo.suitable]
        boxes = gr.CheckboxGroup(self._face_labels(photo), value=suitable, visible=True)
        view = draw_face_numbers(photo.pixels, photo.faces, _PREVIEW_PX)
        hint = ""
        if not suitable:
            hint = self.text(Reason.NO_FIT_FACE)
        elif photo.defects:
            hint = self.text("some_unfit")
        picker = _Picker(path, is_open=True, has_suitable=bool(suitable))
        return boxes, gr.Image(value=view, visible=True), picker, hint

    def _face_labels(self, photo: PhotoFaces) -> list[tuple[str, str]]:
        """Label and value of each checkbox: the number, and the face's defect."""
        labels = []
        for number, face in enumerate(photo.faces, start=1):
            defect = photo.defects.get(number)
            label = str(number)
            if defect is not None:
                label = self.text(f"face-{defect}", number=number, side=face.side)
            labels.append((label, str(number)))
        return labels

    def translate(
        self,
        path: str | None,
        direction: Direction,
        strength: float,
        numbers: list[str],
        picker: _Picker,
        whole: bool,
        is_marked: bool,
    ) -> _Answer:
        """Before and after, the file to download, and a summary; or only the reason for none."""
        if path is None:
            return _Answer("", self.text("no_photo"))
        is_current = picker.path == path and picker.is_open  # otherwise of another photograph
        if is_current and not numbers and not whole:
            key = "no_choice" if picker.has_suitable else Reason.NO_FIT_FACE
            return _Answer(path, self.text(key))
        started = time.monotonic()
        options = TranslateOptions(
            mode="whole" if whole else "model",
            faces=_choice(numbers) if is_current else ALL,
            strength=float(strength),
        )
        try:
            mark = VisibleMark(self.language) if is_marked else None
            result = self.session.translate(Path(path), direction, options, mark)
            file = self._write(Path(path), direction, result)
        except RefusedError as error:
            return _Answer(path, self._refusal_text(error.refusal))
        except Exception as error:
            return _Answer(path, self._failure_text(error))
        pair = self._write_preview(result.before), self._write_preview(result.after)
        summary = self._summary(result, direction, strength, time.monotonic() - started)
        return _Answer(path, summary, self._warning(result.translation.unlike), pair, str(file))

    def show(self, path: str | None, answer: _Answer | None) -> tuple[Any, Any, str, str, None]:
        """The answer, unless it belongs to a photograph that is no longer there."""
        if answer is None or answer.path != (path or ""):
            return *self.clear(), None
        button = gr.DownloadButton(value=answer.file, visible=answer.file is not None)
        return answer.pair, button, answer.summary, answer.warning, None

    def _refusal_text(self, refusal: Refusal) -> str:
        minutes = self.session.limits.retention_s / 60
        values = {"whole": self.text("whole"), "minutes": minutes, **refusal.values}
        return self.text(refusal.code, **values)

    def _warning(self, unlike: Mapping[int, float]) -> str:
        """The sentence about the faces that are unlike the training pictures, 0: the picture."""
        if not unlike:
            return ""
        key = (
            "unlike_whole" if 0 in unlike else "unlike_face" if len(unlike) == 1 else "unlike_faces"
        )
        separator = ", " if self.language == "en" else "、"
        subject = self.text(key, numbers=separator.join(map(str, unlike)))
        return self.text(f"note-{Note.UNLIKE}", subject=subject, distance=max(unlike.values()))

    def _failure_text(self, error: Exception) -> str:
        _LOG.error("a photograph failed", exc_info=error)
        return self.text(Reason.FAILED, error=type(error).__name__)

    def _write(self, photo: Path, direction: Direction, result: PhotoTranslation) -> Path:
        _, target = self.session.model.directions[direction]
        suffix = result.after.format.suffixes[0]
        folder = Path(mkdtemp(dir=self.folder))
        file = folder / fitting_name(photo.stem[:60], f"-{target}{suffix}", folder)
        photo_io.write_photo(file, result.after)
        return file

    def _write_preview(self, photo: Photo) -> str:
        """A file for the slider, labelled as the photograph is."""
        file = Path(mkdtemp(dir=self.folder)) / "preview.jpg"
        preview = Photo(_preview(photo.pixels), label=photo.label)
        photo_io.write_photo(file, preview)
        return str(file)

    def _summary(
        self, result: PhotoTranslation, direction: Direction, strength: float, seconds: float
    ) -> str:
        height, width = result.after.pixels.shape[:2]
        num = result.translation.num_faces
        key = "done_faces" if num else "done_whole"
        figures = {"num": num, "width": width, "height": height, "seconds": seconds}
        label = self.direction_labels[direction]
        parts = [self.text(key, direction=label, strength=strength, **figures)]
        parts += [self.text(f"note-{note}") for note in result.after.notes]
        if result.translation.num_skipped:
            parts.append(self.text("faces_skipped"))
        minutes = self.session.limits.retention_s / 60
        separator = " " if self.language == "en" else ""
        return separator.join([*parts, self.text("location_removed", minutes=minutes)])

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


def page_head(session: Session, language: Language) -> str:
    """The page's part of the HTML head: its script and the words that it needs."""
    limit = session.limits.max_bytes / 1e6
    words = {
        "language": HTML_LANGUAGES[language],
        "maxBytes": session.limits.max_bytes,
        "tooLarge": TEXTS[language][Reason.TOO_MANY_BYTES].format(
            megabytes="{megabytes}", limit=limit
        ),
        "words": GRADIO_WORDS[language],
    }
    script = resources.files(__package__).joinpath("page.js").read_text(encoding="utf-8")
    return f"<script>window.suyan = {json.dumps(words)};\n{script}</script>"


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
        if session.model.trained_on is TrainedOn.DRAWINGS:
            gr.Markdown(page.text(f"note-{Note.DRAWINGS}"), elem_id="drawings")
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
                gr.HTML('<div id="notice-text" role="alert"></div>', elem_id="notice")
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
                picker, answer = gr.State(_Picker()), gr.State(None)
                faces_view = gr.Image(
                    label=page.text("face_numbers"),
                    show_label=False,  # it would hide numbers in the picture's corner
                    visible=False,
                    interactive=False,
                    format="jpeg",
                    height=320,
                    buttons=["fullscreen"],
                    elem_id="face-numbers",
                )
                whole = gr.Checkbox(
                    value=not session.model.prepare.faces,
                    visible=session.model.prepare.faces,
                    label=page.text("whole"),
                    elem_id="whole",
                )
                is_marked = gr.Checkbox(
                    label=page.text("mark", mark=MARK_TEXTS[language]), elem_id="mark"
                )
                hint = gr.Markdown(elem_id="hint")
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
                warning = gr.Markdown(elem_id="warning")
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
        outputs = [result, download, summary, warning]
        go.click(
            page.translate,
            [photo, direction, strength, boxes, picker, whole, is_marked],
            answer,
            api_visibility="private",
            show_progress_on=result,
            concurrency_limit=1,
        ).then(page.show, [photo, answer], [*outputs, answer], **quiet)
        # The former photograph's result goes at once.
        photo.change(page.clear, None, outputs, queue=False, **quiet)
        photo.change(page.find_faces, [photo], [boxes, faces_view, picker, hint], **quiet)
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
