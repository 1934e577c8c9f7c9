"""Who may use the review: this machine's browser; any other with the token of the printed address.

Pages of other sites that are open in the same browser can neither read nor change anything: the
``Host`` header is checked (DNS rebinding), a change needs a header that no form can send, and what
a browser reports as coming from another site is refused.
"""

from __future__ import annotations

import ipaddress
import secrets
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from http.cookies import CookieError, SimpleCookie
from urllib.parse import parse_qs, urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from core.commands import suyan_command
from core.proxies import is_loopback, literal_ip

CHANGE_HEADER = "x-suyan-review"
"""The header of every request that changes something."""

_MAX_BODY_BYTES = 16 << 20
_TOKEN_BYTES = 24
_READ_METHODS = {"GET", "HEAD"}
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "connect-src 'self'; form-action 'none'; base-uri 'none'; frame-ancestors 'none'"
)
_HEADERS: Mapping[str, str] = {
    "content-security-policy": _POLICY,
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
}
_UNKNOWN_VISITOR = (
    f"found no token, needed the whole address that '{suyan_command('review')}' printed, with "
    f"?token=…\n这里需要“{suyan_command('review')}”打印出的完整网址，包括 ?token=…\n"
)


@dataclass(frozen=True)
class Access:
    """The address that the review listens on, and its token ("" on loopback)."""

    host: str
    port: int
    token: str

    @classmethod
    def to(cls, host: str, port: int) -> Access:
        """Access by an address, with a new token unless only this machine can reach it."""
        is_open = _is_wildcard(host) or not is_loopback(host)
        return cls(host, port, secrets.token_urlsafe(_TOKEN_BYTES) if is_open else "")

    @property
    def url(self) -> str:
        """The address to open, with the token."""
        name = _own_address() if _is_wildcard(self.host) else self.host
        name = f"[{name}]" if ":" in name else name
        return f"http://{name}:{self.port}/" + (f"?token={self.token}" if self.token else "")

    @property
    def cookie(self) -> str:
        """The name of the cookie that holds the token; browsers share cookies between ports."""
        return f"suyan-review-{self.port}"

    def admits_host(self, header: str) -> bool:
        """Whether a ``Host`` header names this machine, not a site that made its name point here.

        An address in digits is no name that anybody could have registered.
        """
        try:
            name = urlsplit(f"//{header}").hostname or ""
        except ValueError:
            return False
        if is_loopback(name) and not _is_wildcard(name):
            return True
        if not self.token:
            return False
        own = {self.host, socket.gethostname(), socket.getfqdn()}
        own |= {f"{socket.gethostname()}.local"}
        return literal_ip(name) is not None or name in {each.lower() for each in own}

    def has_token(self, candidate: str) -> bool:
        """Whether ``candidate`` is the token, in constant time."""
        return secrets.compare_digest(candidate.encode(), self.token.encode())


class AccessMiddleware:
    """Refuses requests that ``Access`` does not admit, and adds headers of security."""

    def __init__(self, app: ASGIApp, access: Access) -> None:
        self._app, self._access = app, access

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or pass it on."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in _HEADERS.items():
                    headers[name] = value
            await send(message)

        answer = self._answer(scope)
        await (answer or self._app)(scope, receive, send_with_headers)

    def _answer(self, scope: Scope) -> Response | None:
        """The refusal or redirection of a request; ``None`` for one that is passed on."""
        headers, access = Headers(scope=scope), self._access
        if not access.admits_host(headers.get("host", "")):
            return _refusal(
                HTTPStatus.MISDIRECTED_REQUEST,
                f"found the Host {headers.get('host', '')!r}, needed the address that "
                f"'{suyan_command('review')}' printed",
            )
        if access.token:
            candidate = parse_qs(scope["query_string"].decode("latin-1")).get("token", [""])[0]
            if candidate and scope["method"] in _READ_METHODS:
                return self._entrance(scope["path"], candidate)
            if not access.has_token(_cookie(headers, access.cookie)):
                return _refusal(HTTPStatus.UNAUTHORIZED, _UNKNOWN_VISITOR)
        return _cross_site_refusal(scope["method"], headers)

    def _entrance(self, path: str, token: str) -> Response:
        """The token becomes a cookie, and leaves the address and the browser's history."""
        if not self._access.has_token(token):
            return _refusal(HTTPStatus.UNAUTHORIZED, _UNKNOWN_VISITOR)
        response = RedirectResponse("/" + path.lstrip("/\\"), HTTPStatus.SEE_OTHER)
        response.set_cookie(self._access.cookie, token, httponly=True, samesite="lax")
        return response


def _cross_site_refusal(method: str, headers: Headers) -> Response | None:
    site, mode = headers.get("sec-fetch-site", ""), headers.get("sec-fetch-mode", "")
    origin, host = headers.get("origin", ""), headers.get("host", "")
    if method in _READ_METHODS:
        is_foreign = site in {"cross-site", "same-site"} and mode != "navigate"
    else:
        is_foreign = (
            site not in {"", "same-origin"}
            or (bool(origin) and urlsplit(origin).netloc != host)
            or CHANGE_HEADER not in headers
        )
        length = headers.get("content-length", "")
        if not length.isdecimal() or int(length) > _MAX_BODY_BYTES:
            return _refusal(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "found a body that is too long")
    if is_foreign:
        return _refusal(
            HTTPStatus.FORBIDDEN,
            f"found a request of another site, needed one of the page itself (a change has the "
            f"header {CHANGE_HEADER})",
        )
    return None


def _refusal(status: HTTPStatus, text: str) -> Response:
    return PlainTextResponse(text, status, {"cache-control": "no-store"})


def _cookie(headers: Headers, name: str) -> str:
    try:
        morsel = SimpleCookie(headers.get("cookie", "")).get(name)
    except CookieError:
        return ""
    return morsel.value if morsel else ""


def _is_wildcard(host: str) -> bool:
    """Whether this host to listen on means every address of the machine, however it is written."""
    ip = literal_ip(host)
    if isinstance(ip, ipaddress.IPv6Address) and ip.ipv4_mapped:
        ip = ip.ipv4_mapped
    return not host or (ip is not None and ip.is_unspecified)


def _own_address() -> str:
    """The address of this machine in its network; nothing is sent to find it."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))  # an address for documentation (RFC 5737)
        except OSError:
            return socket.gethostname()
        return str(probe.getsockname()[0])
