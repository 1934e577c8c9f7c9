"""``suyan web``: pages for people and HTTP endpoints for programs, over the models of a workspace.

The pages load nothing from the internet (a content security policy makes the browser refuse it),
no usage is reported to anybody, and photographs and results are removed after
``Limits.retention_s``.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from fastapi import FastAPI, Request
from fastapi.responses import Response
from numpy.typing import NDArray

from core.commands import install_command
from core.errors import MissingModelError
from core.labels.ai_label import DEFAULT_PRODUCER
from core.language.messages import localised
from core.locks import is_alive
from core.workspace import Workspace
from serving.models import Model
from serving.refusals import Reason, Refusal
from serving.web.access import AccessRules
from serving.web.model_library import ModelLibrary
from serving.web.photo_batches import BatchStore
from serving.web.problems import (
    ProblemKind,
    add_problems,
    describe_problems,
    problem,
    refusal_message,
)
from serving.web.session import LIMITS, Limits

_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; "
    "connect-src 'self'; form-action 'none'; base-uri 'none'; frame-ancestors 'none'"
)
_PREFIX = "suyan-web-"
_FORM_BYTES = 100_000  # largest size of a request without its files
_BATCHES = "/api/batches"


@dataclass(frozen=True)
class ServerOptions:
    """Settings of a server."""

    host: str = "127.0.0.1"
    port: int = 7860
    workspace: Workspace | None = None  # of the other models that are offered
    limits: Limits = field(default=LIMITS)
    producer: str | None = DEFAULT_PRODUCER  # in the label of results; None: no label
    credentials: str | None = None  # user:password; None: everybody is admitted
    root_path: str = ""  # below which a proxy offers the server, as in /suyan


def check_root_path(text: str) -> str:
    """The path below which a proxy offers the server, without its last slash, "" for none.

    Raises ``ValueError`` for another text than a path.
    """
    path = text.rstrip("/")
    if path and (not path.startswith("/") or path.startswith("//") or set(path) & set("?#% \\")):
        raise ValueError(
            localised(
                "--root-path: got {path!r}, needed a path that begins with /, as in /suyan",
                path=text,
            )
        )
    return path


def serve(
    model: Model,
    options: ServerOptions = ServerOptions(),
    examples: Sequence[NDArray[np.uint8]] = (),
) -> None:
    """Serve pages and endpoints until Ctrl-C. ``examples``: ``[H, W, 3]`` uint8 each.

    Raises ``MissingModelError`` without the package that reads forms.
    """
    import uvicorn

    with application(model, options, examples) as app:
        uvicorn.run(
            app,
            host=options.host,
            port=options.port,
            log_level="warning",
            timeout_graceful_shutdown=2,
        )


@contextmanager
def application(
    model: Model,
    options: ServerOptions = ServerOptions(),
    examples: Sequence[NDArray[np.uint8]] = (),
) -> Iterator[FastAPI]:
    """The application; its files lie in a temporary folder, which is removed after the block."""
    if find_spec("python_multipart") is None:
        raise MissingModelError(
            localised(
                "python-multipart is not installed, needed for uploads; run: {command}",
                command=install_command("web"),
            )
        )
    _remove_leftovers()
    with tempfile.TemporaryDirectory(prefix=f"{_PREFIX}{os.getpid()}-") as name:
        folder = Path(name)
        library = ModelLibrary(model, options.workspace, options.limits, options.producer)
        library.first.warm_up()
        store = BatchStore(folder, options.limits)
        with store.at_work():
            yield _build_app(library, store, folder, examples, options)


def _remove_leftovers() -> None:
    """Remove the temporary folders of servers that were killed."""
    for folder in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*-*"):
        pid = folder.name.removeprefix(_PREFIX).partition("-")[0]
        if pid.isdecimal() and not is_alive(int(pid)):
            shutil.rmtree(folder, ignore_errors=True)


def _build_app(
    library: ModelLibrary,
    store: BatchStore,
    folder: Path,
    examples: Sequence[NDArray[np.uint8]],
    options: ServerOptions,
) -> FastAPI:
    # FastAPI defines the forms as these are imported, for which it needs python-multipart
    from serving.web.batch_endpoints import add_batch_endpoints
    from serving.web.pages import add_pages
    from serving.web.photo_endpoints import add_photo_endpoints

    app = FastAPI(
        title="Suyan",
        version="1",
        openapi_url="/api/openapi.json",
        docs_url=None,
        redoc_url=None,
        root_path=options.root_path,
    )
    add_photo_endpoints(app, library, folder)
    add_batch_endpoints(app, library, store)
    add_pages(app, library, examples, options.host)
    _add_rules(app, options.limits)
    add_problems(app)
    describe_problems(app)
    app.add_middleware(AccessRules, credentials=options.credentials)
    return app


def _add_rules(app: FastAPI, limits: Limits) -> None:
    """Add the limit on the size of requests, and the security headers."""

    @app.middleware("http")
    async def rules(
        request: Request, call_next: Callable[[Request], Awaitable[Response]]
    ) -> Response:
        if request.method == "POST":
            nothing = "" if "transfer-encoding" in request.headers else "0"
            length = request.headers.get("content-length", nothing)
            if not length.isdecimal():
                detail = "found no Content-Length header; send the request's length"
                return problem(ProblemKind.LENGTH_REQUIRED, detail)
            path = request.url.path.removeprefix(request.scope.get("root_path", ""))
            refusal = _size_refusal(int(length), limits, is_batch=path == _BATCHES)
            if refusal is not None:
                return problem(ProblemKind.TOO_LARGE, refusal_message(request, refusal))
        response = await call_next(request)
        response.headers["Content-Security-Policy"] = _POLICY
        response.headers["Referrer-Policy"] = "no-referrer"
        response.headers["X-Content-Type-Options"] = "nosniff"
        return response


def _size_refusal(num_bytes: int, limits: Limits, *, is_batch: bool) -> Refusal | None:
    if is_batch:
        is_too_long = num_bytes > limits.max_batch_bytes + _FORM_BYTES
        values = {"megabytes": num_bytes / 1e6, "limit": limits.max_batch_bytes / 1e6}
        return Refusal(Reason.TOO_MANY_BYTES, values) if is_too_long else None
    return limits.refusal(num_bytes) if num_bytes > limits.max_bytes + _FORM_BYTES else None
