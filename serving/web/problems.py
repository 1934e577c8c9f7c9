"""Every refusal of the HTTP interface in one shape: ``application/problem+json`` (RFC 9457)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import StrEnum
from http import HTTPStatus
from typing import Annotated, Any

from fastapi import Depends, FastAPI, Query, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException

from serving.refusals import Interface, Reason, Refusal
from serving.web.session import RefusedError
from serving.web.strings import TEXTS, Language, refusal_sentence

MEDIA_TYPE = "application/problem+json"
LanguageQuery = Annotated[
    Language | None, Query(description="Messages as the pages word them, en or zh")
]


class ProblemKind(StrEnum):
    """The classes of problems that a program can tell apart."""

    UNREADABLE = "unreadable"
    TOO_LARGE = "too-large"
    LENGTH_REQUIRED = "length-required"
    NO_FACE = "no-face"
    NO_FIT_FACE = "no-fit-face"
    NO_SUCH_FACE = "no-such-face"
    PARAMETER = "parameter"
    MALFORMED = "malformed"
    NOT_FOUND = "not-found"
    METHOD = "method-not-allowed"
    BUSY = "busy"
    TOO_SLOW = "too-slow"
    CANCELLED = "cancelled"
    UNAUTHORIZED = "unauthorized"
    FOREIGN_PAGE = "foreign-page"
    FAILED = "failed"


_PROBLEMS: Mapping[ProblemKind, tuple[int, str]] = {
    ProblemKind.MALFORMED: (400, "The request is no form that can be read"),
    ProblemKind.UNAUTHORIZED: (401, "The server asks for a user and a password"),
    ProblemKind.FOREIGN_PAGE: (403, "The request comes from another site's page"),
    ProblemKind.NOT_FOUND: (404, "There is no such address"),
    ProblemKind.METHOD: (405, "The address does not take this method"),
    ProblemKind.LENGTH_REQUIRED: (411, "The request does not say how long it is"),
    ProblemKind.TOO_LARGE: (413, "The photograph is too large"),
    ProblemKind.UNREADABLE: (415, "The file cannot be read as a photograph"),
    ProblemKind.NO_FACE: (422, "No face was found"),
    ProblemKind.NO_FIT_FACE: (422, "No face is large and frontal enough"),
    ProblemKind.NO_SUCH_FACE: (422, "No face has this number"),
    ProblemKind.PARAMETER: (422, "A field is missing, unknown or invalid"),
    ProblemKind.FAILED: (500, "The server failed"),
    ProblemKind.BUSY: (503, "The server is busy"),
    ProblemKind.TOO_SLOW: (503, "The translation took too long"),
    ProblemKind.CANCELLED: (503, "The translation was cancelled"),
}
_RETRY_AFTER_S = 60
_BY_STATUS = {
    404: ProblemKind.NOT_FOUND,
    405: ProblemKind.METHOD,
    413: ProblemKind.TOO_LARGE,
    500: ProblemKind.FAILED,
}


class FieldError(BaseModel):
    """A field of the request that is refused."""

    field: str = Field(description="Name of the field")
    message: str = Field(description="What was found and what is needed")


class Problem(BaseModel):
    """The body of every answer with a status of 4xx or 5xx (RFC 9457)."""

    type: str = Field(description="Identifier of the kind: urn:suyan:problem: and the kind")
    title: str = Field(description="The kind in words; the same for every problem of a kind")
    status: int = Field(description="The status of the answer")
    detail: str = Field(description="What was found, what is needed, and what helps")
    kind: ProblemKind = Field(description="The kind of problem")
    message: str = Field(description="The same as detail")
    errors: list[FieldError] | None = Field(
        default=None, description="The fields that are refused (kind parameter only)"
    )


class FieldsError(Exception):
    """Fields of a request are refused."""

    def __init__(self, errors: Sequence[FieldError]) -> None:
        super().__init__("; ".join(f"{error.field}: {error.message}" for error in errors))
        self.errors = errors


class NotThereError(Exception):
    """What an address names is not there; the message says what helps."""


def problem(
    kind: ProblemKind,
    detail: str,
    errors: Sequence[FieldError] = (),
    headers: Mapping[str, str] | None = None,
) -> Response:
    """An answer in the one shape of refusals."""
    status, title = _PROBLEMS[kind]
    body = Problem(
        type=f"urn:suyan:problem:{kind}",
        title=title,
        status=status,
        detail=detail,
        kind=kind,
        message=detail,
        errors=list(errors) or None,
    )
    extra = dict(headers or {}) | {"Cache-Control": "no-store"}
    if status == HTTPStatus.SERVICE_UNAVAILABLE:
        extra["Retry-After"] = str(_RETRY_AFTER_S)
    content = body.model_dump(mode="json", exclude_none=True)
    return JSONResponse(content, status, extra, media_type=MEDIA_TYPE)


def takes_language() -> Any:
    """A dependency of endpoints whose refusals may be in the words of a page."""

    async def check(language: LanguageQuery = None) -> None:
        """Have the query's language checked and described; ``refusal_message`` reads it."""

    return Depends(check)


def refusal_message(request: Request, refusal: Refusal) -> str:
    """The page's sentence of a refusal, in the language that the request names; else the API's."""
    language = _language(request)
    return refusal_sentence(refusal, language) if language else refusal.sentence(Interface.HTTP)


def _language(request: Request) -> Language | None:
    """The language of the page that asks; None for a program, or an unknown one."""
    name = request.query_params.get("language")
    return next((language for language in TEXTS if language == name), None)


def responses(*kinds: ProblemKind) -> dict[int | str, dict[str, Any]]:
    """The refusals of an endpoint, for its description in OpenAPI."""
    described: dict[int | str, dict[str, Any]] = {}
    for kind in kinds:
        status, title = _PROBLEMS[kind]
        earlier = described.get(status, {}).get("description")
        text = f"{kind}: {title}"
        described[status] = {
            "description": f"{earlier}; {text}" if earlier else text,
            "model": Problem,
        }
    return described


def add_problems(app: FastAPI) -> None:
    """Make ``app`` answer every refusal and every failure as a problem."""

    @app.exception_handler(RefusedError)
    async def refused(request: Request, error: RefusedError) -> Response:
        return problem(ProblemKind(error.kind.value), refusal_message(request, error.refusal))

    @app.exception_handler(FieldsError)
    async def fields(_request: Request, error: FieldsError) -> Response:
        return problem(ProblemKind.PARAMETER, str(error), error.errors)

    @app.exception_handler(NotThereError)
    async def not_there(_request: Request, error: NotThereError) -> Response:
        return problem(ProblemKind.NOT_FOUND, str(error))

    @app.exception_handler(RequestValidationError)
    async def invalid(request: Request, error: RequestValidationError) -> Response:
        return await fields(request, FieldsError([_field_error(each) for each in error.errors()]))

    @app.exception_handler(HTTPException)
    async def http_error(request: Request, error: HTTPException) -> Response:
        kind = _BY_STATUS.get(error.status_code, ProblemKind.MALFORMED)
        allowed = (error.headers or {}).get("Allow", "")
        remedies = {
            ProblemKind.MALFORMED: "send a form (multipart/form-data), as curl -F does",
            ProblemKind.NOT_FOUND: "/api/openapi.json describes the addresses",
            ProblemKind.METHOD: f"this address takes {allowed}",
            ProblemKind.TOO_LARGE: "send less",
        }
        cause = f"{request.method} {request.url.path}: {str(error.detail).rstrip('.')}"
        detail = "; ".join(filter(None, (cause, remedies.get(kind))))
        return problem(kind, detail, headers=error.headers)

    @app.exception_handler(Exception)
    async def failed(request: Request, error: Exception) -> Response:
        cause = type(error).__name__
        detail = f"{request.method} {request.url.path}: an error of Suyan, {cause}; "
        detail += "the server's terminal shows it: report it"
        if _language(request):
            detail = refusal_message(request, Refusal(Reason.FAILED, {"error": cause}))
        return problem(ProblemKind.FAILED, detail)


def describe_problems(app: FastAPI) -> None:
    """Give the problems in ``app``'s OpenAPI description their media type."""
    describe = app.openapi

    def openapi() -> dict[str, Any]:
        """FastAPI's description, with the media type that problems have."""
        description = describe()
        for operations in description["paths"].values():
            for operation in operations.values():
                for status, answer in operation["responses"].items():
                    if int(status) >= HTTPStatus.BAD_REQUEST:
                        content = answer["content"]
                        content[MEDIA_TYPE] = (
                            content.pop("application/json", None) or content[MEDIA_TYPE]
                        )
        return description

    app.openapi = openapi  # type: ignore[method-assign] # the way that FastAPI documents


def _field_error(error: Mapping[str, Any]) -> FieldError:
    field = ".".join(str(part) for part in error["loc"] if part != "body") or "body"
    if error["type"] == "missing":
        return FieldError(field=field, message="is missing; a form (multipart/form-data) has it")
    if "UploadFile" in error["msg"]:
        return FieldError(field=field, message="got text, needed a file")
    return FieldError(field=field, message=f"got {str(error['input'])[:80]!r}; {error['msg']}")
