"""``suyan review``: a page on which people decide about the pictures of a dataset version.

Addresses contain numbers of pictures, never paths; a number gives the files that the version's
manifest names, if they lie in the version's folder or among the workspace's originals.
"""

from __future__ import annotations

import asyncio
import gzip
import socket
from collections.abc import Callable, Mapping
from contextlib import asynccontextmanager
from importlib import resources
from pathlib import Path
from typing import Any

import uvicorn
from jinja2 import Environment, PackageLoader, StrictUndefined
from pydantic import ValidationError
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, RedirectResponse, Response
from starlette.routing import Route

from core.errors import SuyanError
from core.files import digest
from core.image_formats import BY_NAME, sniff
from core.language.messages import localised
from core.workspace import Workspace
from core.workspace_folders import DatasetFolder
from serving.review.next_version import MakeVersion
from serving.review.review_access import Access, AccessMiddleware
from serving.review.review_sections import picture_json
from serving.review.review_session import DecisionRequest, OutdatedError, Review, UndoRequest
from serving.review.review_words import page_words
from serving.review.thumbnails import (
    ThumbnailMaker,
    is_inside,
    original_file,
    placeholder,
    thumbnail_task,
)
from serving.review.version_pictures import VersionPictures
from serving.web.strings import HTML_LANGUAGES, Language

_ASSETS = {
    "review.css": "text/css", "review.js": "text/javascript", "grid.js": "text/javascript",
    "viewer.js": "text/javascript", "dialogs.js": "text/javascript", "store.js": "text/javascript",
}  # fmt: skip
_BROWSERS_CANNOT_SHOW = {BY_NAME["TIFF"]}
_KEPT_FOR_EVER = {"cache-control": "private, max-age=31536000, immutable"}
_NOT_KEPT = {"cache-control": "no-store"}
_CHECKED_EACH_TIME = {"cache-control": "no-cache"}
_MAGIC_BYTES = 16


def serve(
    workspace: Workspace,
    dataset: DatasetFolder,
    make: MakeVersion,
    access: Access,
    announce: Callable[[], None],
) -> None:
    """Serve the review of ``dataset`` until Ctrl-C; ``announce`` is called when it can be opened.

    Raises ``ValueError`` for a folder that is no dataset version, and for decisions in the file
    that cannot be understood, and for a port that is taken.
    """
    review = Review(workspace, dataset, make)
    app = build_app(workspace, review, access)
    config = uvicorn.Config(
        app, access.host, access.port, log_level="warning", timeout_graceful_shutdown=2,
        server_header=False,
    )  # fmt: skip
    with _listener(access) as listener:
        announce()
        uvicorn.Server(config).run(sockets=[listener])


def _listener(access: Access) -> socket.socket:
    family = socket.AF_INET6 if ":" in access.host else socket.AF_INET
    try:
        return socket.create_server((access.host, access.port), family=family)
    except OSError as error:
        raise ValueError(
            localised(
                "--host, --port: {host} port {port} cannot be listened on ({strerror}); another "
                "review or program may use it. Give another --port",
                host=access.host,
                port=access.port,
                strerror=error.strerror,
            )
        ) from error


def build_app(workspace: Workspace, review: Review, access: Access) -> Starlette:
    """The application; its thumbnails are made while it runs."""
    pages = _Pages(workspace, review)

    @asynccontextmanager
    async def lifespan(_app: Starlette) -> Any:
        with pages.thumbnails:
            yield

    return Starlette(
        routes=[
            Route("/", pages.entrance),
            Route("/{language:str}/", pages.page),
            Route("/assets/{tag}/{name}", pages.asset),
            Route("/api/version", pages.version),
            Route("/api/state", pages.state),
            Route("/api/decisions", pages.decide, methods=["POST"]),
            Route("/api/undo", pages.undo, methods=["POST"]),
            Route("/api/next-version", pages.make, methods=["POST"]),
            Route("/pictures/{version}/{number:int}", pages.picture),
            Route("/thumbnails/{version}/{number:int}", pages.thumbnail),
            Route("/crops/{version}/{number:int}", pages.crop),
            Route("/originals/{version}/{number:int}", pages.original),
        ],
        middleware=[Middleware(AccessMiddleware, access=access)],
        exception_handlers={
            OutdatedError: _outdated,
            ValueError: _refused,
            SuyanError: _refused,
            OSError: _refused,
        },
        lifespan=lifespan,
    )


class _Pages:
    """The answers of the application."""

    def __init__(self, workspace: Workspace, review: Review) -> None:
        self._workspace, self._review = workspace, review
        self.thumbnails = ThumbnailMaker()
        folder = resources.files("serving.review") / "pages"
        self._assets = {name: (folder / name).read_bytes() for name in _ASSETS}
        self._tag = digest({name: text.decode() for name, text in self._assets.items()})
        templates = Environment(
            loader=PackageLoader("serving.review", "pages"),
            autoescape=True,
            undefined=StrictUndefined,
        )
        self._template = templates.get_template("review.html.jinja")

    async def entrance(self, request: Request) -> Response:
        """The page in the language of the browser."""
        languages = request.headers.get("accept-language", "").lower()
        return RedirectResponse("zh/" if languages.startswith("zh") else "en/", headers=_NOT_KEPT)

    async def page(self, request: Request) -> Response:
        """The page in a language."""
        languages: Mapping[str, Language] = {"en": "en", "zh": "zh"}
        language = languages.get(request.path_params["language"])
        if language is None:
            return Response(status_code=404)
        text = self._template.render(
            language=HTML_LANGUAGES[language],
            other="en" if language == "zh" else "zh",
            tag=self._tag,
            words=page_words(self._review.version.config, language),
        )
        return Response(text, media_type="text/html", headers=_NOT_KEPT)

    async def asset(self, request: Request) -> Response:
        """A script or style sheet of the page."""
        name = request.path_params["name"]
        if name not in self._assets:
            return Response(status_code=404)
        return Response(self._assets[name], media_type=_ASSETS[name], headers=_KEPT_FOR_EVER)

    async def version(self, request: Request) -> Response:
        """The sections and pictures of the version."""
        content, headers = self._review.content(), dict(_NOT_KEPT)
        if "gzip" in request.headers.get("accept-encoding", ""):
            headers["content-encoding"] = "gzip"
        else:
            content = gzip.decompress(content)
        return Response(content, media_type="application/json", headers=headers)

    async def state(self, request: Request) -> Response:
        """The decisions, if they changed, and the making of the next version."""
        revision = request.query_params.get("revision", "-")
        return _json(await run_in_threadpool(self._review.state, revision))

    async def decide(self, request: Request) -> Response:
        """Write a decision."""
        body = DecisionRequest.model_validate_json(await request.body())
        return _json(await run_in_threadpool(self._review.decide, body))

    async def undo(self, request: Request) -> Response:
        """Take a change back."""
        body = UndoRequest.model_validate_json(await request.body())
        try:
            return _json(await run_in_threadpool(self._review.undo, body.change))
        except KeyError:
            return _problem("unknown-change", "the server was started again since", 410)

    async def make(self, request: Request) -> Response:
        """Start to make the next version."""
        await request.body()
        self._review.maker.start(self._review.version.dataset)
        return _json(await run_in_threadpool(self._review.state, "-"))

    async def picture(self, request: Request) -> Response:
        """What the large view shows of a picture."""
        version, number = self._picture(request)
        if number is None:
            return Response(status_code=404)
        return _json(picture_json(version, number), headers=_KEPT_FOR_EVER)

    async def thumbnail(self, request: Request) -> Response:
        """A small copy of a picture, made when it is first asked for."""
        version, number = self._picture(request)
        if number is None:
            return Response(status_code=404)
        picture = version.pictures[number]
        is_whole = "whole" in request.query_params
        task = await run_in_threadpool(
            thumbnail_task, self._workspace, version, picture, is_whole=is_whole
        )
        if task is not None and not task.target.exists():
            future = self.thumbnails.request(task)
            if not await asyncio.shield(asyncio.wrap_future(future)):
                task = None
        if task is not None:
            return FileResponse(task.target, media_type="image/jpeg", headers=_KEPT_FOR_EVER)
        preview = version.dataset.preview(picture.row.sha256)
        if is_inside(preview, version.dataset.path):
            return FileResponse(preview, media_type="image/jpeg", headers=_KEPT_FOR_EVER)
        return Response(placeholder(), media_type="image/svg+xml", headers=_CHECKED_EACH_TIME)

    async def crop(self, request: Request) -> Response:
        """A crop of the version in full size: of the face with the number ``face``."""
        version, number = self._picture(request)
        face = request.query_params.get("face", "0")
        rows = version.pictures[number].rows if number is not None else ()
        if not face.isdecimal() or int(face) >= len(rows):
            return Response(status_code=404)
        path = version.dataset.path / rows[int(face)].file
        return await run_in_threadpool(_picture_file, path, version.dataset.path)

    async def original(self, request: Request) -> Response:
        """The bytes of an original, as they were crawled."""
        version, number = self._picture(request)
        if number is None:
            return Response(status_code=404)
        path = original_file(self._workspace, version.pictures[number].row.original)
        if path is None:
            return Response(status_code=404)
        return await run_in_threadpool(_picture_file, path, self._workspace.originals)

    def _picture(self, request: Request) -> tuple[VersionPictures, int | None]:
        version = self._review.current(request.path_params["version"])
        number = request.path_params["number"]
        return version, number if number < len(version.pictures) else None


def _picture_file(path: Path, folder: Path) -> Response:
    """A picture file below ``folder`` that a browser can show, as what its content is."""
    if not is_inside(path, folder):
        return Response(status_code=404)
    with path.open("rb") as file:
        image_format = sniff(file.read(_MAGIC_BYTES))
    if image_format is None or image_format in _BROWSERS_CANNOT_SHOW:
        return Response(status_code=415)
    return FileResponse(path, media_type=image_format.media_type, headers=_KEPT_FOR_EVER)


def _json(content: Any, headers: Mapping[str, str] = _NOT_KEPT) -> Response:
    return JSONResponse(content, headers=headers)


def _problem(kind: str, message: str, status: int) -> Response:
    return JSONResponse({"problem": kind, "message": message}, status, _NOT_KEPT)


async def _outdated(_request: Request, _error: Exception) -> Response:
    return _problem("outdated", "a newer version is under review", 409)


async def _refused(_request: Request, error: Exception) -> Response:
    """What is wrong with the request, the decisions or the disk, in words."""
    if isinstance(error, ValidationError):
        return _problem("malformed", str(error), 422)
    return _problem("failed", str(error), 503)
