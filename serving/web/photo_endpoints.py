"""The HTTP endpoints of one photograph, and of the models."""

from __future__ import annotations

import asyncio
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from fastapi import FastAPI, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import Response
from pydantic import BaseModel, Field

from evaluation.features.training_statistics import TrainedOn
from serving import photo_io
from serving.labelling.visible_mark import VisibleMark
from serving.models import Model
from serving.refusals import Note
from serving.web.form_fields import (
    CornerField,
    FacesField,
    MarkField,
    ModelField,
    PhotoField,
    StrengthField,
    ToField,
    WholeField,
    chosen_options,
    chosen_session,
    only_fields,
)
from serving.web.model_library import ModelLibrary
from serving.web.problems import ProblemKind, responses
from serving.web.session import PhotoFaces, PhotoTranslation
from serving.web.visitor_queue import Visit


class DirectionInfo(BaseModel):
    """A direction in which the model translates."""

    direction: str = Field(description="A2B or B2A")
    source: str = Field(description="Name of the source domain")
    to: str = Field(description="Name of the target domain")


class ModelInfo(BaseModel):
    """A model that is served."""

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
    is_champion: bool = Field(default=False, description="Whether it is its recipe's champion")


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
    ProblemKind.CANCELLED,
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


def model_info(model: Model, *, is_champion: bool = False) -> ModelInfo:
    """What a program should know of a model."""
    statistics = model.training_statistics
    return ModelInfo(
        name=model.name,
        faces=model.prepare.faces,
        trained_on=model.trained_on,
        judges_likeness=statistics is not None and statistics.can_judge,
        directions=[
            DirectionInfo(direction=direction, source=source, to=target)
            for direction, (source, target) in model.directions.items()
        ],
        is_champion=is_champion,
    )


def face_infos(photo_faces: PhotoFaces) -> list[FaceInfo]:
    """The faces of a photograph, from left to right."""
    return [
        FaceInfo(number=number, box=face.box, fit=number in photo_faces.suitable)
        for number, face in enumerate(photo_faces.faces, start=1)
    ]


def add_photo_endpoints(app: FastAPI, library: ModelLibrary, folder: Path) -> None:
    """Add the endpoints; uploads lie in ``folder`` as long as they are needed."""

    @app.get("/api/model", responses=responses(ProblemKind.FAILED))
    async def about() -> ModelInfo:
        """The model that requests without the field model use, and its directions."""
        return await run_in_threadpool(model_info, library.first.model)

    @app.get("/api/models", responses=responses(ProblemKind.FAILED))
    async def models() -> list[ModelInfo]:
        """Every model that can be chosen, the default first."""
        listed = await run_in_threadpool(library.models)
        return [model_info(each.model, is_champion=each.is_champion) for each in listed]

    @app.post("/api/faces", responses=_FACES_PROBLEMS, dependencies=[only_fields("photo", "model")])
    async def faces(photo: PhotoField, model: ModelField = None) -> list[FaceInfo]:
        """The faces in a photograph, numbered from left to right."""
        session = await run_in_threadpool(chosen_session, library, model)
        with _temporary_file(await photo.read(), folder) as path:
            photo_faces = await run_in_threadpool(session.find_faces, path)
        return face_infos(photo_faces)

    @app.post(
        "/api/translate",
        response_class=Response,
        responses={**_PICTURE, **_TRANSLATE_PROBLEMS},
        dependencies=[
            only_fields("photo", "model", "to", "faces", "whole", "strength", "mark", "mark_corner")
        ],
    )
    async def translate(
        request: Request,
        photo: PhotoField,
        model: ModelField = None,
        to: ToField = None,
        faces: FacesField = "all",
        whole: WholeField = False,
        strength: StrengthField = 1.0,
        mark: MarkField = None,
        mark_corner: CornerField = "bottom-right",
    ) -> Response:
        """The translated photograph in its own size; a JPEG, PNG or WebP keeps its format."""
        session = await run_in_threadpool(chosen_session, library, model)
        direction, options = chosen_options(session, to, faces, strength, whole=whole)
        visible = VisibleMark(mark, mark_corner) if mark else None
        visit = Visit()
        with _temporary_file(await photo.read(), folder) as path:
            result = await _while_connected(
                request, visit, session.translate, path, direction, options, visible, visit
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


async def _while_connected(
    request: Request, visit: Visit, call: Any, *arguments: Any
) -> PhotoTranslation:
    """The result of ``call`` in a thread; ``visit`` is cancelled when the visitor leaves."""
    work = asyncio.ensure_future(run_in_threadpool(partial(call, *arguments)))
    leaving = asyncio.ensure_future(_left(request))
    try:
        await asyncio.wait({work, leaving}, return_when=asyncio.FIRST_COMPLETED)
        if not work.done():
            visit.cancelled.set()
        result: PhotoTranslation = await work
    finally:
        leaving.cancel()
        visit.cancelled.set()
    return result


async def _left(request: Request) -> None:
    """Wait until the visitor hangs up; ``request.is_disconnected`` never says so in middleware."""
    while (await request.receive())["type"] != "http.disconnect":
        pass


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
