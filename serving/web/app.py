"""``suyan web``: pages for people and an endpoint for programs, over one model.

Nothing is loaded from the internet (a content security policy forbids it to the browser, too),
nothing is reported to anybody, and no uploaded photograph outlives ``Limits.keep_s``.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from fastapi import FastAPI, File, Form, Request, UploadFile
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import JSONResponse, RedirectResponse, Response
from numpy.typing import NDArray
from PIL import Image
from pydantic import BaseModel, Field

from core.errors import MissingModelError
from serving import photo_io as photos
from serving.face_selection import FaceChoice
from serving.models import Model
from serving.translate import Wish
from serving.web.session import LIMITS, Kind, Limits, RefusedError, Studio, swept
from serving.web.strings import Language

_STATUS: dict[Kind, int] = {
    "unreadable": 415,
    "too-large": 413,
    "no-face": 422,
    "no-fit-face": 422,
    "busy": 503,
    "too-slow": 503,
}
_POLICY = (
    "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval' blob:; "
    "style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; media-src 'self' data: blob:; "
    "font-src 'self' data:; connect-src 'self' data: blob:; worker-src 'self' blob:; "
    "form-action 'self'; base-uri 'self'"
)
_PREFIX = "suyan-web-"
_MIME = {"JPEG": "image/jpeg", "PNG": "image/png", "WEBP": "image/webp"}


class Way(BaseModel):
    """One thing the model can do."""

    direction: str = Field(description="A2B or B2A")
    source: str = Field(description="Name of the domain it starts from")
    to: str = Field(description="Name of the domain it leads to")


class ModelInfo(BaseModel):
    """What is served."""

    name: str = Field(description="Recipe and version")
    faces: bool = Field(description="Whether it translates faces, or whole pictures")
    ways: list[Way]


class FaceInfo(BaseModel):
    """A face that was found."""

    number: int = Field(description="From left to right, from 1")
    box: tuple[float, float, float, float] = Field(
        description="Left, top, right, bottom in pixels of the upright photograph"
    )
    fit: bool = Field(description="Whether faces=all translates it")


class Refusal(BaseModel):
    """Why a request was not served."""

    kind: str = Field(description="unreadable, too-large, no-face, no-fit-face, busy, too-slow")
    message: str


_REFUSALS: dict[int | str, dict[str, Any]] = {
    413: {"model": Refusal, "description": "The photograph is too large"},
    415: {"model": Refusal, "description": "The file is no photograph that can be read"},
    422: {"model": Refusal, "description": "No face was found, or a parameter is wrong"},
    503: {"model": Refusal, "description": "Busy, or it took too long"},
}
_PICTURE: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "The translated photograph, in full size",
        "content": {
            mime: {"schema": {"type": "string", "format": "binary"}} for mime in _MIME.values()
        },
        "headers": {
            "X-Suyan-Faces": {"schema": {"type": "integer"}, "description": "Faces translated"}
        },
    }
}


def serve(
    model: Model,
    host: str,
    port: int,
    examples: Sequence[NDArray[np.uint8]] = (),
    limits: Limits = LIMITS,
) -> None:
    """Serve pages and endpoint until Ctrl-C. Raises ``MissingModelError`` without Gradio."""
    import uvicorn

    with application(model, limits=limits, host=host, examples=examples) as app:
        uvicorn.run(app, host=host, port=port, log_level="warning", timeout_graceful_shutdown=2)


@contextmanager
def application(
    model: Model,
    *,
    limits: Limits = LIMITS,
    host: str = "127.0.0.1",
    examples: Sequence[NDArray[np.uint8]] = (),
) -> Iterator[FastAPI]:
    """The application; its files live in a temporary folder, and are gone when the block ends."""
    _remove_leftovers()
    with tempfile.TemporaryDirectory(prefix=f"{_PREFIX}{os.getpid()}-") as name:
        visitors, drawn = Path(name) / "visitors", Path(name) / "examples"
        visitors.mkdir()
        drawn.mkdir()
        files = []
        for number, picture in enumerate(examples, start=1):
            files.append(drawn / f"example-{number}.jpg")
            Image.fromarray(picture).save(files[-1], quality=92)
        studio = Studio(model, limits)
        studio.warm_up()
        # Gradio copies them to the visitors' files
        spared = frozenset((file.name, file.stat().st_size) for file in files)
        with swept(visitors, limits.keep_s, spared):
            yield _build(studio, visitors, files, host)


def _remove_leftovers() -> None:
    """Remove the folders of servers that were killed before they could."""
    for folder in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*-*"):
        number = folder.name.removeprefix(_PREFIX).partition("-")[0]
        if number.isdecimal() and not _runs(int(number)):
            shutil.rmtree(folder, ignore_errors=True)


def _runs(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True  # somebody else's
    return True


def _build(studio: Studio, visitors: Path, examples: Sequence[Path], host: str) -> FastAPI:
    os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
    os.environ["GRADIO_TEMP_DIR"] = str(visitors)
    os.environ["HF_HUB_OFFLINE"] = "1"
    try:
        import gradio as gr
    except ModuleNotFoundError as error:
        raise MissingModelError(
            "gradio is not installed; install it with: pip install 'suyan[web]'"
        ) from error
    from serving.web.page import CSS, build_page

    app = FastAPI(
        title="Suyan", version="1", openapi_url="/api/openapi.json", docs_url=None, redoc_url=None
    )
    _add_endpoint(app, studio, visitors)
    _add_rules(app, studio.limits)
    languages: tuple[Language, ...] = ("en", "zh")
    for language in languages:
        gr.mount_gradio_app(
            app,
            build_page(studio, language, visitors, examples, host),
            path=f"/{language}",
            max_file_size=studio.limits.max_bytes,
            show_error=True,
            footer_links=[],
            ssr_mode=False,
            theme=gr.themes.Default(font=["system-ui", "sans-serif"], font_mono=["monospace"]),
            css=CSS,
        )
    return app


def _add_rules(app: FastAPI, limits: Limits) -> None:
    @app.middleware("http")
    async def rules(
        request: Request, call_next: Callable[[Request], Awaitable[Response]]
    ) -> Response:
        length = request.headers.get("content-length", "")
        if request.url.path.startswith("/api/") and request.method == "POST":
            if not length.isdecimal():
                return _refusal("too-large", "a Content-Length header is needed", 411)
            if int(length) > limits.max_bytes + 100_000:  # the form around the file
                return _refusal("too-large", f"more than {limits.max_bytes / 1e6:g} MB", 413)
        response = await call_next(request)
        response.headers["Content-Security-Policy"] = _POLICY
        response.headers["Referrer-Policy"] = "no-referrer"
        response.headers["X-Content-Type-Options"] = "nosniff"
        return response

    @app.exception_handler(RefusedError)
    async def refused(_request: Request, error: RefusedError) -> Response:
        return _refusal(error.kind, str(error), _STATUS[error.kind])

    @app.get("/", include_in_schema=False)
    async def root(request: Request) -> Response:
        wanted = request.headers.get("accept-language", "").lower()
        return RedirectResponse("zh/" if wanted.startswith("zh") else "en/")


def _refusal(kind: str, message: str, status: int) -> Response:
    return JSONResponse(Refusal(kind=kind, message=message).model_dump(), status)


def _add_endpoint(app: FastAPI, studio: Studio, folder: Path) -> None:
    model = studio.model

    @app.get("/api/model")
    async def about() -> ModelInfo:
        """The model, and what it can do."""
        ways = [
            Way(direction=way, source=source, to=to)
            for way, (source, to) in model.directions.items()
        ]
        return ModelInfo(name=model.name, faces=model.prepare.faces, ways=ways)

    @app.post("/api/faces", responses=_REFUSALS)
    async def faces(
        photo: Annotated[UploadFile, File(description="JPEG, PNG, WebP, GIF, BMP, TIFF or AVIF")],
    ) -> list[FaceInfo]:
        """The faces in a photograph, numbered from left to right."""
        with _received(await photo.read(), folder) as path:
            found = await run_in_threadpool(studio.survey, path)
        return [
            FaceInfo(number=number, box=face.box, fit=number in found.fit)
            for number, face in enumerate(found.faces, start=1)
        ]

    @app.post("/api/translate", response_class=Response, responses={**_PICTURE, **_REFUSALS})
    async def translate(
        photo: Annotated[UploadFile, File(description="JPEG, PNG, WebP, GIF, BMP, TIFF or AVIF")],
        to: Annotated[
            str | None, Form(description="Wanted domain; by default the model's second")
        ] = None,
        faces: Annotated[
            str, Form(description="all, largest, or numbers from left to right: 1,3")
        ] = "all",
        whole: Annotated[bool, Form(description="The whole picture, not faces")] = False,
        strength: Annotated[float, Form(ge=0, le=1, description="1 is the full change")] = 1.0,
    ) -> Response:
        """The photograph translated, in its own size; a JPEG, PNG or WebP as it came."""
        try:
            direction, choice = model.direction(to), FaceChoice.parse(faces)
        except ValueError as error:
            return _refusal("parameter", str(error), 422)
        wish = Wish(mode="whole" if whole else "model", faces=choice, strength=strength)
        with _received(await photo.read(), folder) as path:
            done = await run_in_threadpool(studio.develop, path, direction, wish)
        body = await run_in_threadpool(photos.encode, done.after)
        headers = {"X-Suyan-Faces": str(done.translation.num_faces), "Cache-Control": "no-store"}
        return Response(body, media_type=_MIME[done.after.format], headers=headers)


@contextmanager
def _received(body: bytes, folder: Path) -> Iterator[Path]:
    """An upload as a file, for as long as the block lasts."""
    handle, name = tempfile.mkstemp(dir=folder)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(body)
        yield Path(name)
    finally:
        Path(name).unlink(missing_ok=True)
