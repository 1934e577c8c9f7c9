"""Who may use a server: a password (HTTP Basic), and no requests from other sites' pages."""

from __future__ import annotations

import base64
import binascii
import secrets
from pathlib import Path
from typing import TYPE_CHECKING

from starlette.datastructures import Headers

from core.language.messages import localised
from serving.web.problems import ProblemKind, problem

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Receive, Scope, Send

_CHALLENGE = {"WWW-Authenticate": 'Basic realm="Suyan", charset="UTF-8"'}
_SAFE_METHODS = {"GET", "HEAD", "OPTIONS"}


def load_credentials(text: str) -> str:
    """``user:password`` from itself, or from the first line of the file that ``text`` names.

    Raises ``ValueError`` for anything else.
    """
    credentials = text
    if ":" not in text:
        try:
            credentials = Path(text).read_text(encoding="utf-8").partition("\n")[0].strip()
        except (OSError, ValueError) as error:
            raise ValueError(
                localised(
                    "--auth: got a text without ':', and no file of that name can be read "
                    "({error}); needed user:password, or a file with it",
                    error=error,
                )
            ) from error
    user, separator, password = credentials.partition(":")
    if not (user and separator and password):
        raise ValueError(
            localised(
                "--auth: got no user, or no password; needed user:password, or a file with it"
            )
        )
    return credentials


class AccessRules:
    """Refuses requests without the password, and changes that other sites' pages ask for."""

    def __init__(self, app: ASGIApp, credentials: str | None = None) -> None:
        self._app = app
        self._credentials = credentials.encode() if credentials else None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, or pass the request on."""
        if scope["type"] == "http":
            headers = Headers(scope=scope)
            if not self._is_admitted(headers.get("authorization", "")):
                detail = "found no user and password, or wrong ones; send those that the server has"
                answer = problem(ProblemKind.UNAUTHORIZED, detail, headers=_CHALLENGE)
                await answer(scope, receive, send)
                return
            site = headers.get("sec-fetch-site", "")
            if site == "cross-site" and scope["method"] not in _SAFE_METHODS:
                detail = "a page of another site sent this request; use the server's own page"
                await problem(ProblemKind.FOREIGN_PAGE, detail)(scope, receive, send)
                return
        await self._app(scope, receive, send)

    def _is_admitted(self, authorization: str) -> bool:
        if self._credentials is None:
            return True
        scheme, _, text = authorization.partition(" ")
        try:
            sent = base64.b64decode(text.strip(), validate=True)
        except (binascii.Error, ValueError):
            return False
        return scheme.lower() == "basic" and secrets.compare_digest(sent, self._credentials)
