"""``suyan web``: pages for people and HTTP endpoints for programs, over one model.

The pages load nothing from the internet (a content security policy makes the browser refuse it),
no usage is reported to anybody, and uploaded photographs are removed after ``Limits.retention_s``.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from fastapi import Depends, FastAPI, File, Form, Request, UploadFile
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import RedirectResponse, Response
from numpy.typing import NDArray
from PIL import Image
from pydantic import BaseModel, Field

from core.commands import install_command
from core.errors import MissingModelError
from core.labels.ai_label import DEFAULT_PRODUCER
from core.locks import is_alive
from evaluation.features.training_statistics import TrainedOn
from serving import photo_io
from serving.face_selection import ALL, FaceChoice
from serving.labelling.visible_mark import Corner, MarkLanguage, VisibleMark
from serving.models import Direction, Model
from serving.refusals import Interface, Note
from serving.translate import TranslateOptions
from serving.web.problems import (
    FieldError,
    FieldsError,
    ProblemKind,
    add_problems,
    describe_problems,
    problem,
    responses,
)
from serving.web.session import LIMITS, Limits, Session, sweeper
from serving.web.strings import Language

_POLICY = (
    "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval' blob:; "
    "style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; media-src 'self' data: blob:; "
    "font-src 'self' data:; connect-src 'self' data: blob:; worker-src 'self' blob:; "
    "form-action 'self'; base-uri 'self'"
)
_PREFIX = "suyan-web-"
_FORM_BYTES = 100_000  # largest size of a request without its file


class DirectionInfo(BaseModel):
    """A direction in which the model translates."""

    direction: str = Field(description="A2B or B2A")
    source: str = Field(description="Name of the source domain")
    to: str = Field(description="Name of the target domain")


class ModelInfo(BaseModel):
    """The model that is served."""

    name: str = Field(description="Recipe and version")
    faces: bool = Field(description="Whether it translates faces (true) or whole pictures (false)")
    trained_on: TrainedOn = Field(
        description="Whether its training pictures were drawn by Suyan's offline engine: drawings "
        "(half of them or more), some-drawings, no-drawings or unknown"
    )
    judges_likeness: bool = Field(
        description="Whether it knows how far a photograph lies from its training pictures"
    )
    directions: list[DirectionInfo] = Field(
        serialization_alias="ways", description="Directions in which it translates"
    )


class FaceInfo(BaseModel):
    """A face in the photograph."""

    number: int = Field(description="Number from left to right, starting at 1")
    box: tuple[float, float, float, float] = Field(
        description="Left, top, right and bottom in pixels of the upright photograph"
    )
    fit: bool = Field(description="Whether faces=all translates it: it is large and frontal enough")


_REQUEST_PROBLEMS = (
    ProblemKind.MALFORMED,
    ProblemKind.LENGTH_REQUIRED,
    ProblemKind.TOO_LARGE,
    ProblemKind.UNREADABLE,
    ProblemKind.PARAMETER,
    ProblemKind.FAILED,
    ProblemKind.BUSY,
)
_FACES_PROBLEMS = responses(*_REQUEST_PROBLEMS)
_TRANSLATE_PROBLEMS = responses(
    *_REQUEST_PROBLEMS,
    ProblemKind.NO_FACE,
    ProblemKind.NO_FIT_FACE,
    ProblemKind.NO_SUCH_FACE,
    ProblemKind.TOO_SLOW,
)
_PICTURE: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "The translated photograph, in full size",
        "content": {
            image_format.media_type: {"schema": {"type": "string", "format": "binary"}}
            for image_format in photo_io.OUTPUT_FORMATS
        },
        "headers": {
            "X-Suyan-Faces": {
                "schema": {"type": "integer"},
                "description": "Number of translated faces",
            },
            "X-Suyan-Skipped": {
                "schema": {"type": "string"},
                "description": "Numbers of the faces that faces=all left out: small, or turned "
                "aside; empty for none",
            },
            "X-Suyan-Notes": {
                "schema": {"type": "string"},
                "description": "What the result lacks, or why it may be wrong, in a list with "
                "commas; empty for nothing: " + ", ".join(Note),
            },
            "X-Suyan-Distances": {
                "schema": {"type": "string"},
                "description": "Distance of each translated face, from left to right, or of the "
                "whole picture, from the training pictures, in a list with commas; above 1 it is "
                "unlike them (98 % of training pictures lie below); empty: unknown",
            },
        },
    }
}


def serve(
    model: Model,
    host: str,
    port: int,
    examples: Sequence[NDArray[np.uint8]] = (),
    limits: Limits = LIMITS,
    *,
    producer: str | None = DEFAULT_PRODUCER,
) -> None:
    """Serve pages and endpoints until Ctrl-C. ``examples``: ``[H, W, 3]`` uint8 each.

    ``producer``: in the label of translations; ``None``: no label. Raises ``MissingModelError``
    without Gradio.
    """
    import uvicorn

    with application(model, limits=limits, host=host, examples=examples, producer=producer) as app:
        uvicorn.run(app, host=host, port=port, log_level="warning", timeout_graceful_shutdown=2)


@contextmanager
def application(
    model: Model,
    *,
    limits: Limits = LIMITS,
    host: str = "127.0.0.1",
    examples: Sequence[NDArray[np.uint8]] = (),
    producer: str | None = DEFAULT_PRODUCER,
) -> Iterator[FastAPI]:
    """The application; its files lie in a temporary folder, which is removed after the block."""
    _remove_leftovers()
    with tempfile.TemporaryDirectory(prefix=f"{_PREFIX}{os.getpid()}-") as name:
        visitors_folder, examples_folder = Path(name) / "visitors", Path(name) / "examples"
        visitors_folder.mkdir()
        examples_folder.mkdir()
        files = []
        for number, picture in enumerate(examples, start=1):
            files.append(examples_folder / f"example-{number}.jpg")
            Image.fromarray(picture).save(files[-1], quality=92)
        session = Session(model, limits, producer)
        session.warm_up()
        # Gradio copies the examples to the visitors' files
        exempt = frozenset((file.name, file.stat().st_size) for file in files)
        with sweeper(visitors_folder, limits.retention_s, exempt):
            yield _build_app(session, visitors_folder, files, host)


def _remove_leftovers() -> None:
    """Remove the temporary folders of servers that were killed."""
    for folder in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*-*"):
        pid = folder.name.removeprefix(_PREFIX).partition("-")[0]
        if pid.isdecimal() and not is_alive(int(pid)):
            shutil.rmtree(folder, ignore_errors=True)


def _build_app(session: Session, folder: Path, examples: Sequence[Path], host: str) -> FastAPI:
    os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
    os.environ["GRADIO_TEMP_DIR"] = str(folder)
    os.environ["HF_HUB_OFFLINE"] = "1"
    try:
        import gradio as gr
    except ModuleNotFoundError as error:
        raise MissingModelError(
            f"gradio is not installed, needed for the page; run: {install_command('web')}"
        ) from error
    from serving.web.page import CSS, build_page, page_head

    app = FastAPI(
        title="Suyan", version="1", openapi_url="/api/openapi.json", docs_url=None, redoc_url=None
    )
    _add_endpoints(app, session, folder)
    _add_rules(app, session.limits)
    add_problems(app)
    describe_problems(app)
    languages: tuple[Language, ...] = ("en", "zh")
    for language in languages:
        gr.mount_gradio_app(
            app,
            build_page(session, language, folder, examples, host),
            path=f"/{language}",
            max_file_size=session.limits.max_bytes,
            show_error=True,
            footer_links=[],
            ssr_mode=False,
            theme=gr.themes.Default(font=["system-ui", "sans-serif"], font_mono=["monospace"]),
            css=CSS,
            head=page_head(session, language),
        )
    return app


def _add_rules(app: FastAPI, limits: Limits) -> None:
    """Add the limit on the size of requests, the security headers, and the answers for refusals."""

    @app.middleware("http")
    async def rules(
        request: Request, call_next: Callable[[Request], Awaitable[Response]]
    ) -> Response:
        length = request.headers.get("content-length", "")
        if request.url.path.startswith("/api/") and request.method == "POST":
            if not length.isdecimal():
                detail = "found no Content-Length header; send the request's length"
                return problem(ProblemKind.LENGTH_REQUIRED, detail)
            if int(length) > limits.max_bytes + _FORM_BYTES:
                detail = limits.refusal(int(length)).sentence(Interface.HTTP)
                return problem(ProblemKind.TOO_LARGE, detail)
        response = await call_next(request)
        response.headers["Content-Security-Policy"] = _POLICY
        response.headers["Referrer-Policy"] = "no-referrer"
        response.headers["X-Content-Type-Options"] = "nosniff"
        return response

    @app.get("/", include_in_schema=False)
    async def root(request: Request) -> Response:
        languages = request.headers.get("accept-language", "").lower()
        return RedirectResponse("zh/" if languages.startswith("zh") else "en/")


def _fields(*names: str) -> Any:
    """A dependency that refuses fields that the endpoint does not have, or has twice.

    FastAPI would ignore both, and a misspelt option would silently have no effect.
    """

    async def check(request: Request) -> None:
        fields = [name for name, _ in (await request.form()).multi_items()]
        errors = []
        for name in dict.fromkeys([*fields, *request.query_params]):
            if name in request.query_params or name not in names:
                needed = f"is no field of the form; needed one of {', '.join(names)}"
                errors.append(FieldError(field=name[:80], message=needed))
            elif fields.count(name) > 1:
                message = f"is given {fields.count(name)} times, needed once"
                errors.append(FieldError(field=name, message=message))
        if errors:
            raise FieldsError(errors)

    return Depends(check)


def _add_endpoints(app: FastAPI, session: Session, folder: Path) -> None:
    model = session.model

    @app.get("/api/model", responses=responses(ProblemKind.FAILED))
    async def about() -> ModelInfo:
        """The model, and the directions in which it translates."""
        directions = [
            DirectionInfo(direction=direction, source=source, to=target)
            for direction, (source, target) in model.directions.items()
        ]
        statistics = model.training_statistics
        return ModelInfo(
            name=model.name,
            faces=model.prepare.faces,
            trained_on=model.trained_on,
            judges_likeness=statistics is not None and statistics.can_judge,
            directions=directions,
        )

    @app.post("/api/faces", responses=_FACES_PROBLEMS, dependencies=[_fields("photo")])
    async def faces(
        photo: Annotated[UploadFile, File(description="JPEG, PNG, WebP, GIF, BMP, TIFF or AVIF")],
    ) -> list[FaceInfo]:
        """The faces in a photograph, numbered from left to right."""
        with _temporary_file(await photo.read(), folder) as path:
            photo_faces = await run_in_threadpool(session.find_faces, path)
        return [
            FaceInfo(number=number, box=face.box, fit=number in photo_faces.suitable)
            for number, face in enumerate(photo_faces.faces, start=1)
        ]

    @app.post(
        "/api/translate",
        response_class=Response,
        responses={**_PICTURE, **_TRANSLATE_PROBLEMS},
        dependencies=[_fields("photo", "to", "faces", "whole", "strength", "mark", "mark_corner")],
    )
    async def translate(
        photo: Annotated[UploadFile, File(description="JPEG, PNG, WebP, GIF, BMP, TIFF or AVIF")],
        to: Annotated[
            str | None, Form(description="Target domain; default: the model's second domain")
        ] = None,
        faces: Annotated[
            str,
            Form(description="Faces: all (default), largest, or numbers from left to right: 1,3"),
        ] = "all",
        whole: Annotated[
            bool, Form(description="Translation of the whole picture instead of faces")
        ] = False,
        strength: Annotated[
            float, Form(ge=0, le=1, description="Share of the change, 0 to 1; default 1")
        ] = 1.0,
        mark: Annotated[
            MarkLanguage | None,
            Form(description="Visible mark: en (Edited with AI), zh (AI合成); default: none"),
        ] = None,
        mark_corner: Annotated[Corner, Form(description="Corner of the mark")] = "bottom-right",
    ) -> Response:
        """The translated photograph in its own size; a JPEG, PNG or WebP keeps its format."""
        direction, options = _choices(model, to, faces, strength, whole=whole)
        with _temporary_file(await photo.read(), folder) as path:
            result = await run_in_threadpool(
                session.translate,
                path,
                direction,
                options,
                VisibleMark(mark, mark_corner) if mark else None,
            )
        body = await run_in_threadpool(photo_io.encode_photo, result.after)
        headers = {
            "X-Suyan-Faces": str(result.translation.num_faces),
            "X-Suyan-Skipped": ",".join(map(str, result.translation.skipped_numbers)),
            "X-Suyan-Notes": ",".join(result.notes),
            "X-Suyan-Distances": ",".join(
                f"{distance:.2f}" for distance in result.translation.distances or ()
            ),
            "Cache-Control": "no-store",
        }
        return Response(body, media_type=result.after.format.media_type, headers=headers)


def _choices(
    model: Model, to: str | None, faces: str, strength: float, *, whole: bool
) -> tuple[Direction, TranslateOptions]:
    """The direction and the options of a request. Raises ``FieldsError``."""
    errors = []
    direction, choice = None, ALL
    try:
        direction = model.direction(to)
    except ValueError as error:
        errors.append(FieldError(field="to", message=str(error)))
    try:
        choice = FaceChoice.parse(faces)
    except ValueError as error:
        errors.append(FieldError(field="faces", message=str(error)))
    if whole and choice != ALL:
        message = f"got {faces!r}, which a whole picture (whole=true) excludes; leave out one"
        errors.append(FieldError(field="faces", message=message))
    if errors or direction is None:
        raise FieldsError(errors)
    mode: Literal["model", "faces", "whole"] = (
        "whole" if whole else "model" if choice == ALL else "faces"
    )
    return direction, TranslateOptions(mode=mode, faces=choice, strength=strength)


@contextmanager
def _temporary_file(body: bytes, folder: Path) -> Iterator[Path]:
    """A file with this content in ``folder``, removed after the block."""
    handle, name = tempfile.mkstemp(dir=folder)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(body)
        yield Path(name)
    finally:
        Path(name).unlink(missing_ok=True)
