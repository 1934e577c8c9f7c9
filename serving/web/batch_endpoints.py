"""The HTTP endpoints of batches: many photographs, or archives of them, in; a zip out."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from fastapi import FastAPI, Request, UploadFile
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import FileResponse, Response, StreamingResponse
from pydantic import BaseModel, Field

from core.language.messages import localised
from serving.labelling.visible_mark import VisibleMark
from serving.refusals import Interface, Kind, Note
from serving.web.batch_files import Upload, upload_name, zip_stream
from serving.web.form_fields import (
    ChoicesField,
    CornerField,
    FacesField,
    MarkField,
    ModelField,
    PhotosField,
    StrengthField,
    ToField,
    WholeField,
    chosen_options,
    chosen_session,
    face_choices,
    only_fields,
    photo_options,
)
from serving.web.model_library import ModelLibrary
from serving.web.photo_batches import (
    Batch,
    BatchOptions,
    BatchRow,
    BatchState,
    BatchStore,
    RowState,
)
from serving.web.photo_endpoints import FaceInfo, face_infos
from serving.web.problems import (
    FieldError,
    FieldsError,
    LanguageQuery,
    NotThereError,
    ProblemKind,
    responses,
    takes_language,
)
from serving.web.strings import Language, note_sentence, refusal_sentence

_FIELDS = (
    "photos", "model", "to", "faces", "whole", "strength", "mark", "mark_corner", "choices",
)  # fmt: skip
_START_PROBLEMS = responses(
    ProblemKind.MALFORMED,
    ProblemKind.LENGTH_REQUIRED,
    ProblemKind.TOO_LARGE,
    ProblemKind.PARAMETER,
    ProblemKind.FAILED,
    ProblemKind.BUSY,
)
_BATCH_PROBLEMS = responses(ProblemKind.NOT_FOUND, ProblemKind.PARAMETER, ProblemKind.FAILED)
_FACES_PROBLEMS = responses(
    ProblemKind.NOT_FOUND,
    ProblemKind.TOO_LARGE,
    ProblemKind.UNREADABLE,
    ProblemKind.PARAMETER,
    ProblemKind.FAILED,
    ProblemKind.BUSY,
)
_AGAIN_PROBLEMS = responses(
    ProblemKind.MALFORMED,
    ProblemKind.NOT_FOUND,
    ProblemKind.LENGTH_REQUIRED,
    ProblemKind.PARAMETER,
    ProblemKind.FAILED,
    ProblemKind.BUSY,
)
_ZIP: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "A zip with the results so far, rows.csv and rows.json",
        "content": {"application/zip": {"schema": {"type": "string", "format": "binary"}}},
    }
}
_ROW_PICTURE: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "The picture",
        "content": {"image/*": {"schema": {"type": "string", "format": "binary"}}},
    }
}


class RowInfo(BaseModel):
    """A photograph of a batch, or a file that is none."""

    number: int = Field(description="Number in the batch, starting at 1")
    name: str = Field(description="Name as it was sent; archive and path for one of an archive")
    state: RowState = Field(description="waiting, translating, done or refused")
    result: str = Field(default="", description="Path of the result in the zip")
    kind: Kind | None = Field(default=None, description="Kind of refusal")
    message: str = Field(default="", description="Why there is no result, and what helps")
    num_faces: int = Field(default=0, description="Number of translated faces")
    skipped: list[int] = Field(default=[], description="Numbers of faces that faces=all left out")
    notes: list[str] = Field(
        default=[], description="What the result lacks, or why it may be wrong"
    )
    width: int = Field(default=0, description="Width of the result, px")
    height: int = Field(default=0, description="Height of the result, px")
    num_translations: int = Field(default=0, description="How often it was translated")


class RowFaces(BaseModel):
    """The faces in a photograph of a batch."""

    width: int = Field(description="Width of the upright photograph, px")
    height: int = Field(description="Height of the upright photograph, px")
    faces: list[FaceInfo]


class BatchInfo(BaseModel):
    """How far a batch is."""

    batch: str = Field(description="Name of the batch; who knows it can read and remove it")
    state: BatchState = Field(
        description="unpacking, waiting, translating, done or cancelled; the last two do not change"
    )
    place: int = Field(description="Photographs of others before the next one of this batch")
    num_done: int = Field(description="Rows with a result or a refusal")
    model: str = Field(description="Recipe and version of the model")
    rows: list[RowInfo] = Field(description="A row for each photograph; all of them once unpacked")


def add_batch_endpoints(app: FastAPI, library: ModelLibrary, store: BatchStore) -> None:
    """Add the endpoints; ``store`` has the batches."""
    limits = library.limits

    @app.post(
        "/api/batches",
        status_code=202,
        responses=_START_PROBLEMS,
        dependencies=[only_fields(*_FIELDS, repeated=("photos",))],
    )
    async def start(
        request: Request,
        response: Response,
        photos: PhotosField,
        model: ModelField = None,
        to: ToField = None,
        faces: FacesField = "all",
        whole: WholeField = False,
        strength: StrengthField = 1.0,
        mark: MarkField = None,
        mark_corner: CornerField = "bottom-right",
        choices: ChoicesField = "",
    ) -> BatchInfo:
        """Start a batch. Ask after it at its Location, at least once a minute, until it is done."""
        if len(photos) > limits.max_photos:
            message = f"got {len(photos)} files, needed {limits.max_photos} at most"
            raise FieldsError([FieldError(field="photos", message=message)])
        session = await run_in_threadpool(chosen_session, library, model)
        direction, options = chosen_options(session, to, faces, strength, whole=whole)
        batch_options = BatchOptions(
            session,
            direction,
            options,
            VisibleMark(mark, mark_corner) if mark else None,
            face_choices(choices, whole=whole),
        )
        with store.reservation() as folder:
            uploads = await run_in_threadpool(_save, photos, folder)
            batch = store.start(folder, uploads, batch_options)
        response.headers["Location"] = (
            f"{request.scope.get('root_path', '')}/api/batches/{batch.name}"
        )
        return _info(batch)

    _add_progress(app, store)
    _add_again(app, store)
    _add_results(app, store)


def _add_progress(app: FastAPI, store: BatchStore) -> None:
    @app.get("/api/batches/{batch}", responses=_BATCH_PROBLEMS)
    async def progress(batch: str, language: LanguageQuery = None) -> BatchInfo:
        """How far a batch is, with a row for each photograph."""
        current = _batch(store, batch)
        return _info(current, language)

    @app.delete("/api/batches/{batch}", status_code=204, responses=_BATCH_PROBLEMS)
    async def remove(batch: str) -> Response:
        """End a batch and remove its photographs and results."""
        if not await run_in_threadpool(store.remove, batch):
            raise _no_batch()
        return Response(status_code=204)

    @app.post("/api/batches/{batch}/cancel", responses=_BATCH_PROBLEMS)
    async def cancel(batch: str) -> BatchInfo:
        """End a batch and keep the results that it has."""
        current = _batch(store, batch)
        current.visit.cancelled.set()
        return _info(current)


def _add_again(app: FastAPI, store: BatchStore) -> None:
    @app.get(
        "/api/batches/{batch}/{number}/faces",
        responses=_FACES_PROBLEMS,
        dependencies=[takes_language()],
    )
    async def faces(batch: str, number: int) -> RowFaces:
        """The faces in a photograph of a batch, of an archive too, numbered from left to right."""
        current = _batch(store, batch)
        photo_faces = await run_in_threadpool(current.find_faces, number, _photo(current, number))
        height, width = photo_faces.pixels.shape[:2]
        return RowFaces(width=width, height=height, faces=face_infos(photo_faces))

    @app.post(
        "/api/batches/{batch}/{number}",
        status_code=202,
        responses=_AGAIN_PROBLEMS,
        dependencies=[only_fields("faces", "whole", "strength")],
    )
    async def again(
        batch: str,
        number: int,
        faces: FacesField = "all",
        whole: WholeField = False,
        strength: StrengthField = 1.0,
    ) -> BatchInfo:
        """Translate one photograph of a batch that has ended again, with these options."""
        _photo(_batch(store, batch), number)
        options = photo_options(faces, strength, whole=whole)
        current = store.translate_again(batch, number, options)
        if current is None:
            raise _no_batch()
        return _info(current)


def _photo(batch: Batch, number: int) -> Path:
    path = batch.photo(number)
    if path is None:
        raise NotThereError(
            localised("the batch has no photograph {number}; its rows say why", number=number)
        )
    return path


def _add_results(app: FastAPI, store: BatchStore) -> None:
    @app.get(
        "/api/batches/{batch}/zip", response_class=Response, responses={**_ZIP, **_BATCH_PROBLEMS}
    )
    async def results(batch: str) -> Response:
        """The results so far, and the rows, in one zip."""
        current = _batch(store, batch)
        files = [(row.result_name, row.result) for row in current.rows if row.result is not None]
        rows = [row.model_dump(mode="json") for row in _info(current).rows]
        headers = {
            "Content-Disposition": 'attachment; filename="suyan.zip"',
            "Cache-Control": "no-store",
        }
        return StreamingResponse(
            zip_stream(files, rows), media_type="application/zip", headers=headers
        )

    @app.get(
        "/api/batches/{batch}/{number}/{view}",
        response_class=Response,
        responses={**_ROW_PICTURE, **_BATCH_PROBLEMS},
    )
    async def picture(batch: str, number: int, view: str) -> Response:
        """A result in full size (view: result), or smaller JPEGs (view: before, after)."""
        current = _batch(store, batch)
        rows = current.rows
        row = rows[number - 1] if 0 < number <= len(rows) else None
        if view not in {"result", "before", "after"}:
            raise NotThereError(
                localised("got {view!r}, needed result, before or after", view=view[:20])
            )
        side: Literal["before", "after"] = "before" if view == "before" else "after"
        result = None if row is None else row.result
        path = result if view == "result" else current.preview(side, number)
        if row is None or path is None or not path.exists():
            raise NotThereError(
                localised("the batch has no result {number} yet; its rows say why", number=number)
            )
        name = Path(row.result_name).name if view == "result" else None
        return FileResponse(path, filename=name, headers={"Cache-Control": "no-store"})


def _save(photos: Sequence[UploadFile], folder: Path) -> list[Upload]:
    """The uploads in ``folder``, under numbers: their names name nothing on this machine."""
    uploads: list[Upload] = []
    used: set[str] = set()
    for number, photo in enumerate(photos, start=1):
        path = folder / f"upload-{number}"
        with path.open("wb") as file:
            shutil.copyfileobj(photo.file, file)
        name = upload_name(photo.filename)
        uploads.append(Upload(name if name not in used else f"{number}-{name}", path))
        used.add(uploads[-1].name)
    return uploads


def _batch(store: BatchStore, name: str) -> Batch:
    batch = store.get(name)
    if batch is None:
        raise _no_batch()
    return batch


def _no_batch() -> NotThereError:
    return NotThereError(
        "there is no such batch: it was removed, or nobody asked after it; send the photographs "
        "again"
    )


def _info(batch: Batch, language: Language | None = None) -> BatchInfo:
    rows = [
        _row_info(number, row, batch.state, language)
        for number, row in enumerate(list(batch.rows), start=1)
    ]
    return BatchInfo(
        batch=batch.name,
        state=batch.state,
        place=batch.place,
        num_done=sum(row.state in {RowState.DONE, RowState.REFUSED} for row in rows),
        model=batch.model_name,
        rows=rows,
    )


def _row_info(number: int, row: BatchRow, state: BatchState, language: Language | None) -> RowInfo:
    refusal, message = row.refusal, ""
    if refusal is not None:
        message = (
            refusal_sentence(refusal, language) if language else refusal.sentence(Interface.HTTP)
        )
    notes = [note.value for note in row.notes]
    if language:  # whose page says at its top what the model was trained on
        sentences = [note for note in row.notes if note is not Note.DRAWINGS]
        notes = [note_sentence(note, language, row.unlike) for note in sentences]
    row_state = row.state
    if row_state is RowState.TRANSLATING and state is BatchState.WAITING:
        row_state = RowState.WAITING
    return RowInfo(
        number=number,
        name=row.photo.name,
        state=row_state,
        result=row.result_name,
        kind=refusal.kind if refusal else None,
        message=message,
        num_faces=row.num_faces,
        skipped=list(row.skipped_numbers),
        notes=notes,
        width=row.size[0],
        height=row.size[1],
        num_translations=row.num_translations,
    )
