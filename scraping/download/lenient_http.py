"""A second reading of answers that libcurl refuses, as browsers read them.

libcurl refuses a header line without a colon, a malformed ``Content-Length``, an unknown transfer
encoding, and status lines that are not quite HTTP. Browsers show such pictures. This client asks
again as HTTP/1.0, reads until the host closes, and ignores what it does not understand.
"""

from __future__ import annotations

import asyncio
import re
import ssl
from collections.abc import Callable, Sequence

import certifi

from scraping.download.ssrf import Address
from scraping.failure_reasons import FailedError, Reason
from scraping.transfer import MAX_HEADER_BYTES, BodyLimit, HttpResponse

_STATUS_LINE = re.compile(rb"\s*(?:HTTP/\S*|ICY)[ \t]+(\d{3})(?!\d)", re.IGNORECASE)
_HEAD_END = re.compile(rb"\r?\n\r?\n")
_CHUNK = re.compile(rb"\s*([0-9a-fA-F]{1,8})[^\n]*\n")
_READ_BYTES = 65_536


async def get_leniently(
    address: Address,
    headers: Sequence[str],
    *,
    check_ip: Callable[[str], None],
    body_limit: BodyLimit,
    timeout_s: float,
) -> HttpResponse:
    """The response to a GET of ``address``, without a proxy.

    Raises what ``check_ip`` raises for the host's IP address, ``FailedError`` where no response
    can be read within ``timeout_s``.
    """
    try:
        async with asyncio.timeout(timeout_s):
            ip = await _resolve(address)
            check_ip(ip)
            return await _exchange(ip, address, headers, body_limit)
    except TimeoutError:
        raise FailedError(Reason.TIMEOUT) from None
    except (OSError, ValueError):  # ssl.SSLError is an OSError
        raise FailedError(Reason.BAD_RESPONSE) from None


async def _resolve(address: Address) -> str:
    loop = asyncio.get_running_loop()
    entries = await loop.getaddrinfo(address.host, address.port)
    return str(entries[0][4][0])


async def _exchange(
    ip: str, address: Address, headers: Sequence[str], body_limit: BodyLimit
) -> HttpResponse:
    is_https = address.scheme == "https"
    reader, writer = await asyncio.open_connection(
        ip,
        address.port,
        ssl=ssl.create_default_context(cafile=certifi.where()) if is_https else None,
        server_hostname=address.host if is_https else None,
    )
    try:
        host = address.site.partition("://")[2]
        lines = [f"GET {address.target} HTTP/1.0", f"Host: {host}", *headers, "Connection: close"]
        writer.write(("\r\n".join(lines) + "\r\n\r\n").encode("ascii"))
        return await _read_response(reader, body_limit)
    finally:
        writer.transport.abort()


async def _read_response(reader: asyncio.StreamReader, body_limit: BodyLimit) -> HttpResponse:
    head, body = await _read_head(reader)
    status, headers = _parse_head(head)
    room = body_limit(status, headers)
    while len(body) <= room and (chunk := await reader.read(_READ_BYTES)):
        body += chunk
    if len(body) > room:
        return HttpResponse(status, headers, b"", is_whole=False)
    if "chunked" in headers.get("transfer-encoding", "").lower():
        body = _without_chunks(body)
    return HttpResponse(status, headers, body)


async def _read_head(reader: asyncio.StreamReader) -> tuple[bytes, bytes]:
    """The head of the final response, and the beginning of its body."""
    received, num_bytes = b"", 0
    while True:
        end = _HEAD_END.search(received)
        if end is None:
            chunk = await reader.read(_READ_BYTES)
            received += chunk
            num_bytes += len(chunk)  # interim responses too
            if not chunk or num_bytes > MAX_HEADER_BYTES + _READ_BYTES:
                raise FailedError(Reason.BAD_RESPONSE)
        elif received[: end.start()].strip() and not _is_interim(received):
            return received[: end.start()], received[end.end() :]
        else:
            received = received[end.end() :]


def _is_interim(head: bytes) -> bool:
    match = _STATUS_LINE.match(head)
    return match is not None and match[1].startswith(b"1")


def _parse_head(head: bytes) -> tuple[int, dict[str, str]]:
    match = _STATUS_LINE.match(head)
    if match is None:
        raise FailedError(Reason.BAD_RESPONSE)
    headers: dict[str, str] = {}
    for line in head[match.end() :].split(b"\n")[1:]:
        name, colon, value = line.decode("utf-8", "surrogateescape").partition(":")
        if colon:
            name, value = name.strip().lower(), value.strip()
            headers[name] = f"{headers[name]}, {value}" if name in headers else value
    return int(match[1]), headers


def _without_chunks(body: bytes) -> bytes:
    """The content of a chunked body, as far as its chunks can be read; else the body itself."""
    pieces: list[bytes] = []
    position = 0
    while match := _CHUNK.match(body, position):
        size = int(match[1], 16)
        if size == 0:
            break
        pieces.append(body[match.end() : match.end() + size])
        position = match.end() + size
    return b"".join(pieces) or body
