"""The fields of a request's form: which there may be, and what they mean."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from typing import Annotated, Any, Literal

from fastapi import Depends, File, Form, Request, UploadFile

from serving.face_selection import ALL, MAX_PHOTO_STRENGTH, FaceChoice
from serving.labelling.visible_mark import Corner, MarkLanguage
from serving.models import Direction
from serving.translate import TranslateOptions
from serving.web.model_library import ModelLibrary
from serving.web.problems import FieldError, FieldsError, LanguageQuery
from serving.web.session import Session

_PHOTO_FORMATS = "JPEG, PNG, WebP, GIF, BMP, TIFF or AVIF"
PhotoField = Annotated[UploadFile, File(description=_PHOTO_FORMATS)]
PhotosField = Annotated[
    list[UploadFile],
    File(description=f"Photographs ({_PHOTO_FORMATS}), and zip or tar archives of them"),
]
ModelField = Annotated[
    str | None,
    Form(description="Model of /api/models: recipe/version, or a recipe for its champion"),
]
ToField = Annotated[
    str | None, Form(description="Target domain; default: the model's second domain")
]
FacesField = Annotated[
    str,
    Form(
        description="Faces: all (default), largest, or numbers from left to right, each with a "
        "strength of its own or not: 1:0.5,3"
    ),
]
WholeField = Annotated[bool, Form(description="Translation of the whole picture instead of faces")]
StrengthField = Annotated[
    float,
    Form(
        ge=0,
        le=MAX_PHOTO_STRENGTH,
        description="How many times the model's change, 0 to 2; default 1",
    ),
]
MarkField = Annotated[
    MarkLanguage | None,
    Form(description="Visible mark: en (Edited with AI), zh (AI合成); default: none"),
]
CornerField = Annotated[Corner, Form(description="Corner of the mark")]
ChoicesField = Annotated[
    str,
    Form(
        description="Faces of single photographs: a JSON object of names and what the field faces "
        'takes, as in {"people.jpg": "1:0.5,3"}; a photograph of an archive is named '
        "archive.zip/folder/people.jpg, and #2 stands for the second file"
    ),
]


def only_fields(*names: str, repeated: Collection[str] = ()) -> Any:
    """A dependency that refuses fields that the endpoint does not have, or has twice.

    FastAPI would ignore both, and a misspelt option would silently have no effect. The address has
    ``language`` alone.
    """

    async def check(request: Request, language: LanguageQuery = None) -> None:  # noqa: ARG001
        fields = [name for name, _ in (await request.form()).multi_items()]
        errors = []
        in_address = request.query_params.keys() - {"language"}
        for name in dict.fromkeys([*fields, *in_address]):
            if name in in_address or name not in names:
                needed = f"is no field of the form; needed one of {', '.join(names)}"
                errors.append(FieldError(field=name[:80], message=needed))
            elif fields.count(name) > 1 and name not in repeated:
                message = f"is given {fields.count(name)} times, needed once"
                errors.append(FieldError(field=name, message=message))
        if errors:
            raise FieldsError(errors)

    return Depends(check)


def chosen_session(library: ModelLibrary, model: str | None) -> Session:
    """The session of the model that a request names. Raises ``FieldsError``."""
    try:
        return library.session(model)
    except ValueError as error:
        raise FieldsError([FieldError(field="model", message=str(error))]) from error


def chosen_options(
    session: Session, to: str | None, faces: str, strength: float, *, whole: bool
) -> tuple[Direction, TranslateOptions]:
    """The direction and the options of a request. Raises ``FieldsError``."""
    errors = []
    direction, options = None, None
    try:
        direction = session.model.direction(to)
    except ValueError as error:
        errors.append(FieldError(field="to", message=str(error)))
    try:
        options = photo_options(faces, strength, whole=whole)
    except FieldsError as error:
        errors += error.errors
    if direction is None or options is None:
        raise FieldsError(errors)
    return direction, options


def photo_options(faces: str, strength: float, *, whole: bool) -> TranslateOptions:
    """What a request says of the faces of a photograph. Raises ``FieldsError``."""
    errors = []
    choice = ALL
    try:
        choice = FaceChoice.parse(faces)
    except ValueError as error:
        errors.append(FieldError(field="faces", message=str(error)))
    if whole and choice != ALL:
        message = f"got {faces!r}, which a whole picture (whole=true) excludes; leave out one"
        errors.append(FieldError(field="faces", message=message))
    if errors:
        raise FieldsError(errors)
    mode: Literal["model", "faces", "whole"] = (
        "whole" if whole else "model" if choice == ALL else "faces"
    )
    return TranslateOptions(mode=mode, faces=choice, strength=strength)


def face_choices(text: str, *, whole: bool) -> Mapping[str, FaceChoice]:
    """The faces of single photographs by name. Raises ``FieldsError``."""
    try:
        values = json.loads(text or "{}")
    except (ValueError, RecursionError):
        values = None
    message = f"got {text[:80]!r}, needed a JSON object of names and texts"
    choices = {}
    if isinstance(values, dict) and all(isinstance(each, str) for each in values.values()):
        message = "a whole picture (whole=true) has no faces; leave out one" * (
            whole and values != {}
        )
        try:
            choices = {name: FaceChoice.parse(value) for name, value in values.items()}
        except ValueError as error:
            message = str(error)
    if message:
        raise FieldsError([FieldError(field="choices", message=message)])
    return choices
