"""The offline engine: an HTTP server on loopback that answers like Baidu image search, and like
Openverse's API.

One port is the search engine, three more are hosts of originals, and one is a faulty host. Like
the real engine, it refuses a search without the home page's cookie, a user agent and a referer.
"""

from __future__ import annotations

import asyncio
import hashlib
import io
import itertools
import socket
import threading
from collections import Counter
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Literal, Self
from urllib.parse import quote, unquote

import uvicorn
from PIL import Image
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import (
    HTMLResponse,
    JSONResponse,
    PlainTextResponse,
    RedirectResponse,
    Response,
)
from starlette.routing import Route

from core.errors import SuyanError
from core.language.messages import localised
from scraping.offline import openverse_answers, responses
from scraping.offline.corpus import Corpus, Item
from scraping.offline.raw_host import HOST_FAULTS, RawHost

Refusal = Literal["anti-bot", "captcha", "portal", "empty-pages", "throttled", "maintenance"]
"""The form of a refusal: an anti-bot body (Openverse: status 403), a redirect to a captcha, a page
in place of everything, pages without the hits that they announce, a 429, or a 503."""

_NUM_HOSTS = 3
_THUMBNAIL_PX = 200
_START_TIMEOUT_S = 30.0


class OfflineEngine:
    """A search engine over ``corpus``, as a context manager; ``url`` is its address.

    A ``port`` of 0, or one that is in use, is replaced by a free port. The hosts get the ports
    after it, so that addresses are the same the next time. After ``block_after`` searches every
    search is refused in the form ``refusal``, until ``num_refusals`` were (none: for ever).
    ``garble`` breaks the JSON, so that clients must read the pages; with ``front_2025`` the JSON of
    the 2025 front end still works. ``retry_after_s`` is the pause that a throttled answer asks for,
    ``slow_s`` is the delay of slow hosts, ``robots`` the robots.txt
    of every host.
    """

    def __init__(
        self,
        corpus: Corpus,
        port: int = 0,
        *,
        block_after: int | None = None,
        refusal: Refusal = "anti-bot",
        captcha: bool = False,
        num_refusals: int | None = None,
        garble: bool = False,
        front_2025: bool = False,
        retry_after_s: float = 60.0,
        slow_s: float = 0.5,
        robots: str = "",
    ) -> None:
        self._corpus = corpus
        self._by_name = {item.name: item for items in corpus.items.values() for item in items}
        self._block_after, self._garble = block_after, garble
        self._refusal: Refusal = "captcha" if captcha else refusal
        self._refusals_left = num_refusals
        self._front_2025 = front_2025
        self._retry_after_s, self._slow_s = retry_after_s, slow_s
        self._robots_txt = robots
        self.num_searches = 0
        self.downloads: Counter[str] = Counter()  # whole originals that were served, by name
        self.num_files = 0
        host_ports = [port + 1 + index if port else 0 for index in range(_NUM_HOSTS + 1)]
        self._sockets = [_listen(port), *map(_listen, host_ports)]
        self._servers: list[_ThreadServer] = []

    @property
    def url(self) -> str:
        """Address of the search engine, without a path."""
        return f"http://127.0.0.1:{self._sockets[0].getsockname()[1]}"

    def __enter__(self) -> Self:
        engine = Starlette(
            routes=[
                Route("/", self._home),
                Route("/search/acjson", self._acjson),
                Route("/search/{kind:str}", self._page),
                Route("/v1/", self._home),
                Route("/v1/images/", self._images),
                Route("/v1/images/{key:str}/thumb/", self._openverse_thumbnail),
            ]
        )
        host = Starlette(
            routes=[
                Route("/robots.txt", self._robots),
                Route("/original/{name:str}", self._original),
                Route("/moved/{name:str}", self._moved),
                Route("/thumbnail/{name:str}", self._thumbnail),
            ]
        )
        self._raw_host = RawHost(self._raw_answer, self._sockets[-1]).__enter__()
        for index, server_socket in enumerate(self._sockets[:-1]):
            self._servers.append(_ThreadServer(engine if index == 0 else host, server_socket))
        for server in self._servers:
            server.start()
        return self

    def __exit__(
        self,
        error_type: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._raw_host.__exit__(None, None, None)
        for server in self._servers:
            server.stop()
        for server in self._servers:
            server.join()
        for server_socket in self._sockets:
            server_socket.close()

    def _address(self, item: Item, kind: str) -> str:
        if kind == "original" and item.behaviour in HOST_FAULTS:
            return f"{self._raw_host.url}/original/{quote(item.name)}.jpg"
        digest = hashlib.sha256(item.name.encode()).digest()
        port = self._sockets[1 + digest[0] % _NUM_HOSTS].getsockname()[1]
        kind = "moved" if kind == "original" and item.behaviour == "redirect" else kind
        return f"http://127.0.0.1:{port}/{kind}/{quote(item.name)}.jpg"

    async def _home(self, _request: Request) -> Response:
        if self._refusal == "portal" and self._is_refusing():
            return HTMLResponse(responses.PORTAL)
        response = HTMLResponse(responses.HOME)
        response.set_cookie("BAIDUID", "0123456789ABCDEF0123456789ABCDEF:FG=1")
        return response

    def _is_refusing(self) -> bool:
        """Whether the request is refused; counts refusals down."""
        if self._block_after is None or self.num_searches < self._block_after:
            return False
        if self._refusals_left is None:
            return True
        self._refusals_left -= 1
        return self._refusals_left >= 0

    def _refuse(self, request: Request) -> Response | None:
        """The refusal of a search, if it is refused."""
        headers = request.headers
        is_polite = (
            "BAIDUID" in request.cookies
            and headers.get("referer")
            and headers.get("accept-language")
            and "python" not in headers.get("user-agent", "python").lower()
        )
        is_refusing = self._is_refusing()
        self.num_searches += 1
        if is_polite and not is_refusing:
            return None
        if refusal := self._refuse_any(request):
            return refusal
        if self._refusal == "empty-pages" and is_polite:
            phrase, _, _, total = self._search(request, 1)
            text = responses.acjson(phrase, [], 0, 30, total, self._address)
            return PlainTextResponse(text, media_type="application/json")
        return PlainTextResponse(responses.ANTI_BOT)

    def _refuse_any(self, request: Request) -> Response | None:
        """A refusal in a form that is the same at every engine, if it has one."""
        match self._refusal:
            case "captcha":
                return RedirectResponse(responses.CAPTCHA + quote(str(request.url)), 302)
            case "portal":
                return HTMLResponse(responses.PORTAL)
            case "maintenance":
                return HTMLResponse(openverse_answers.MAINTENANCE, 503)
            case "throttled":
                return JSONResponse(
                    openverse_answers.throttled(self._retry_after_s),
                    429,
                    {"Retry-After": f"{self._retry_after_s:.0f}"},
                )
        return None

    def _search(self, request: Request, page_size: int) -> tuple[str, list[Item], int, int]:
        """The phrase, the items of the page, their offset, and the number of all items."""
        query = request.query_params
        phrase = query.get("word") or query.get("queryWord") or ""
        offset = int(query["pn"]) if query.get("pn", "").isdecimal() else 0
        items = self._corpus.search(phrase)
        page = list(items[offset : offset + page_size])
        if offset and items:  # later pages repeat a hit; the last one has all hits that are left
            is_last = offset + page_size >= len(items)
            page = [*items[offset - 1 : offset], *(page if is_last else page[:-1])]
        return phrase, page, offset, len(items)

    async def _acjson(self, request: Request) -> Response:
        if refusal := self._refuse(request):
            return refusal
        num_requested = request.query_params.get("rn", "")
        page_size = min(int(num_requested), 60) if num_requested.isdecimal() else 30
        phrase, items, offset, total = self._search(request, page_size)
        if self._front_2025 and request.query_params.get("tn") == "resulttagjson":
            return Response(responses.tag(items, self._address), media_type="application/json")
        text = responses.acjson(phrase, items, offset, page_size, total, self._address)
        body = text[: len(text) // 2] if self._garble else text
        gbk = request.query_params.get("ie") != "utf-8"
        content = body.encode("gb18030" if gbk else "utf-8")
        return Response(content, media_type="application/json")

    async def _page(self, request: Request) -> Response:
        if refusal := self._refuse(request):
            return refusal
        kind = request.path_params["kind"]
        if kind not in {"flip", "index"}:
            return PlainTextResponse("not found", 404)
        phrase, items, offset, total = self._search(request, 60)
        return HTMLResponse(responses.page(kind, phrase, items, offset, total, self._address))

    async def _images(self, request: Request) -> Response:
        """Openverse's search."""
        is_refusing = self._is_refusing()
        self.num_searches += 1
        query = request.query_params
        page, page_size = (
            int(query[name]) if query.get(name, "").isdecimal() else default
            for name, default in (("page", 1), ("page_size", openverse_answers.MAX_PAGE_SIZE))
        )
        if is_refusing and self._refusal == "anti-bot":
            return JSONResponse(openverse_answers.FORBIDDEN, 403)
        if is_refusing and (refusal := self._refuse_any(request)):
            return refusal
        if page_size > openverse_answers.MAX_PAGE_SIZE:
            return JSONResponse(openverse_answers.TOO_MANY_HITS, 401)
        if page > openverse_answers.MAX_PAGES:
            return JSONResponse(openverse_answers.TOO_DEEP, 400)
        uses = [use for use in query.get("license_type", "").split(",") if use]
        items = [
            item
            for item in self._corpus.search(query.get("q", ""))
            if openverse_answers.allows(item, uses)
        ]
        page_items = [] if is_refusing else items[(page - 1) * page_size : page * page_size]
        answer = openverse_answers.images(
            page_items, page, page_size, len(items), self._address, self.url
        )
        return JSONResponse(answer)

    async def _openverse_thumbnail(self, request: Request) -> Response:
        key = request.path_params["key"]
        item = next(
            (item for item in self._by_name.values() if openverse_answers.key(item) == key), None
        )
        self.num_files += 1
        return await self._thumbnail_of(item)

    def _item(self, request: Request) -> Item | None:
        self.num_files += 1
        return self._by_name.get(request.path_params["name"].removesuffix(".jpg"))

    def _raw_answer(self, path: str, headers: Mapping[str, str]) -> bytes:
        name = unquote(path.rpartition("/")[2]).removesuffix(".jpg")
        item = self._by_name.get(name)
        if item is None or item.behaviour not in HOST_FAULTS:  # robots.txt
            return b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"
        self.num_files += 1
        self.downloads[name] += 1
        return HOST_FAULTS[item.behaviour](item.body, headers)

    async def _robots(self, _request: Request) -> Response:
        return PlainTextResponse(self._robots_txt, 200 if self._robots_txt else 404)

    async def _moved(self, request: Request) -> Response:
        return RedirectResponse(f"/original/{request.path_params['name']}", 302)

    async def _original(self, request: Request) -> Response:
        item = self._item(request)
        if item is None or item.behaviour in {"missing", "gone"}:
            return PlainTextResponse("not found", 404)
        if item.behaviour == "forbidden":
            return PlainTextResponse("forbidden", 403)
        if item.behaviour == "html":
            return HTMLResponse("<html><body>图片加载中</body></html>")
        if item.behaviour == "slow":
            await asyncio.sleep(self._slow_s)
        body = await asyncio.to_thread(lambda: item.body)
        if item.behaviour == "cut":
            body = body[: len(body) // 2]
        self.downloads[item.name] += 1
        return Response(body, media_type="image/jpeg")

    async def _thumbnail(self, request: Request) -> Response:
        return await self._thumbnail_of(self._item(request))

    async def _thumbnail_of(self, item: Item | None) -> Response:
        if item is None or item.behaviour in {"missing", "forbidden", "html", "cut"}:
            return PlainTextResponse("gone", 404)
        try:
            body = await asyncio.to_thread(_thumbnail_jpeg, item.body)
        except Exception:  # Pillow raises anything for a broken file, and for a bomb
            return PlainTextResponse("gone", 404)
        return Response(body, media_type="image/jpeg")


def serve(
    corpus: Corpus,
    port: int,
    on_start: Callable[[str], None],
    *,
    block_after: int | None = None,
    refusal: Refusal = "anti-bot",
) -> None:
    """Serve until the process is interrupted; ``on_start`` gets the address once it listens.

    Raises ``SuyanError`` when the port is in use.
    """
    with OfflineEngine(corpus, port, block_after=block_after, refusal=refusal) as engine:
        if not engine.url.endswith(f":{port}"):
            raise SuyanError(
                localised("port {port} is in use; choose another one with --port", port=port)
            )
        on_start(engine.url)
        for _ in itertools.repeat(None):
            threading.Event().wait(3600)


def _thumbnail_jpeg(body: bytes) -> bytes:
    buffer = io.BytesIO()
    with Image.open(io.BytesIO(body)) as image:
        image.thumbnail((_THUMBNAIL_PX, _THUMBNAIL_PX))
        image.convert("RGB").save(buffer, "JPEG", quality=80)
    return buffer.getvalue()


def _listen(port: int) -> socket.socket:
    server_socket = socket.socket()
    server_socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        server_socket.bind(("127.0.0.1", port))
    except OSError:
        server_socket.bind(("127.0.0.1", 0))
    return server_socket


class _ThreadServer:
    """A uvicorn server that runs in a thread."""

    def __init__(self, app: Starlette, server_socket: socket.socket) -> None:
        config = uvicorn.Config(app, log_level="error", lifespan="off", access_log=False)
        self._server = uvicorn.Server(config)
        self._socket = server_socket
        self._thread = threading.Thread(target=self._run, daemon=True)

    def _run(self) -> None:
        self._server.run(sockets=[self._socket])

    def start(self) -> None:
        self._thread.start()
        pause = threading.Event()
        for _ in range(int(_START_TIMEOUT_S / 0.01)):
            if self._server.started:
                return
            pause.wait(0.01)
        raise SuyanError(
            localised(
                "the offline engine did not start within {start_timeout_s:g} s",
                start_timeout_s=_START_TIMEOUT_S,
            )
        )

    def stop(self) -> None:
        """Tell the server to stop, without waiting for responses in progress."""
        self._server.should_exit = self._server.force_exit = True

    def join(self) -> None:
        """Wait until the server has stopped."""
        self._thread.join(10)
