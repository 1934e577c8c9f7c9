"""The page of ``suyan web``, in each language: one HTML file whose script calls the endpoints."""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from importlib import resources
from typing import Any

import numpy as np
from fastapi import FastAPI, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import HTMLResponse, RedirectResponse, Response
from jinja2 import Environment, StrictUndefined
from numpy.typing import NDArray
from PIL import Image

from core.image_formats import SUFFIXES
from core.language.messages import localised
from evaluation.features.training_statistics import TrainedOn
from serving.face_selection import MAX_PHOTO_STRENGTH
from serving.labelling.visible_mark import MARK_TEXTS
from serving.refusals import Note, Reason
from serving.web.model_library import ListedModel, ModelLibrary
from serving.web.problems import NotThereError
from serving.web.strings import HTML_LANGUAGES, TEXTS, Language, direction_labels

_STATIC = {
    "page.js": "text/javascript",
    "dropped_files.js": "text/javascript",
    "face_picker.js": "text/javascript",
    "page.css": "text/css",
}
_ARCHIVES = (".zip", ".tar", ".tar.gz", ".tgz")
_NO_STORE = {"Cache-Control": "no-store"}


def add_pages(
    app: FastAPI, library: ModelLibrary, examples: Sequence[NDArray[np.uint8]], host: str
) -> None:
    """Add the pages, their files, and the ``examples``, ``[H, W, 3]`` uint8 each."""
    pictures = [_jpeg(picture) for picture in examples]
    template = Environment(autoescape=True, undefined=StrictUndefined).from_string(
        _resource("page.html")
    )

    @app.get("/", include_in_schema=False)
    async def root(request: Request) -> Response:
        """The page in the browser's language."""
        languages = request.headers.get("accept-language", "").lower()
        return RedirectResponse("zh/" if languages.startswith("zh") else "en/")

    @app.get("/en/", include_in_schema=False)
    async def english() -> Response:
        """The English page."""
        return await run_in_threadpool(page, "en")

    @app.get("/zh/", include_in_schema=False)
    async def chinese() -> Response:
        """The Chinese page."""
        return await run_in_threadpool(page, "zh")

    @app.get("/static/{name}", include_in_schema=False)
    async def static(name: str) -> Response:
        """The page's script or style."""
        if name not in _STATIC:
            raise NotThereError(localised("there is no {name!r}; /en/ is the page", name=name[:40]))
        return Response(_resource(name), media_type=_STATIC[name], headers=_NO_STORE)

    @app.get("/examples/{number}", include_in_schema=False)
    async def example(number: int) -> Response:
        """A picture for trying the page out."""
        if not 0 < number <= len(pictures):
            raise NotThereError(localised("there are {num} examples", num=len(pictures)))
        return Response(pictures[number - 1], media_type="image/jpeg")

    def page(language: Language) -> Response:
        limits = library.limits
        text = dict(TEXTS[language])
        figures = {
            "host": host,
            "minutes": limits.retention_s / 60,
            "megabytes": limits.max_bytes / 1e6,
            "megapixels": limits.max_megapixels,
            "seconds": limits.timeout_s,
            "photos": limits.max_photos,
            "batch_megabytes": limits.max_batch_bytes / 1e6,
        }
        data = {
            "words": text,
            "language": language,
            "models": [_model(listed, language) for listed in library.models()],
            "maxBytes": limits.max_bytes,
            "maxPhotos": limits.max_photos,
            "maxBatchBytes": limits.max_batch_bytes,
            "archives": _ARCHIVES,
            "tooLarge": text[Reason.TOO_MANY_BYTES].format(
                megabytes="{megabytes}", limit=limits.max_bytes / 1e6
            ),
        }
        html = template.render(
            text=text,
            language=HTML_LANGUAGES[language],
            other="zh" if language == "en" else "en",
            data=json.dumps(data, ensure_ascii=False).replace("<", "\\u003c"),
            accept=",".join([*sorted(SUFFIXES), *_ARCHIVES, "image/*"]),
            num_examples=len(pictures),
            max_strength=MAX_PHOTO_STRENGTH,
            mark=MARK_TEXTS[language],
            privacy=text["privacy"].format(**figures),
            limits=text["limits"].format(**figures),
            drop_hint=text["drop_hint"].format(**figures),
        )
        return HTMLResponse(html, headers=_NO_STORE)


def _model(listed: ListedModel, language: Language) -> dict[str, Any]:
    """What the page's script should know of a model."""
    model = listed.model
    labels = direction_labels(model.prepare, language)
    text = TEXTS[language]
    return {
        "name": model.name,
        "label": model.name + (f" ({text['champion']})" if listed.is_champion else ""),
        "faces": model.prepare.faces,
        "note": text[f"note-{Note.DRAWINGS}"] if model.trained_on is TrainedOn.DRAWINGS else "",
        "directions": [
            {"to": direction, "label": labels[direction]} for direction in model.directions
        ],
    }


def _resource(name: str) -> str:
    return resources.files(__package__).joinpath(name).read_text(encoding="utf-8")


def _jpeg(picture: NDArray[np.uint8]) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, "JPEG", quality=92)
    return buffer.getvalue()
