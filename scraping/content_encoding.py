"""The content encodings of HTTP, undone with a limit: a small body may unpack to gigabytes."""

from __future__ import annotations

import zlib

from core.language.messages import localised

_WINDOWS = {  # values of wbits to try
    "gzip": (zlib.MAX_WBITS | 32,),
    "x-gzip": (zlib.MAX_WBITS | 32,),
    "deflate": (zlib.MAX_WBITS, -zlib.MAX_WBITS),  # some hosts leave out zlib's header
}
_MAX_LAYERS = 3


class TooLongError(ValueError):
    """A body that unpacks to more bytes than are allowed."""


def decode_body(body: bytes, content_encoding: str, max_bytes: int) -> bytes:
    """``body`` without the encodings that ``content_encoding`` names, the last one first.

    An unknown encoding, and one that the body does not have, leave it unchanged: some hosts name
    one that they did not apply. A body that ends early gives what it has. Raises ``TooLongError``.
    """
    names = [name.strip().lower() for name in content_encoding.split(",")]
    for name in names[: -_MAX_LAYERS - 1 : -1]:
        body = _unpack(body, _WINDOWS.get(name, ()), max_bytes)
    return body


def _unpack(body: bytes, windows: tuple[int, ...], max_bytes: int) -> bytes:
    for wbits in windows:
        decompressor = zlib.decompressobj(wbits)
        try:
            unpacked = decompressor.decompress(body, max_bytes + 1)
        except zlib.error:
            continue
        if len(unpacked) > max_bytes:
            raise TooLongError(
                localised("the body unpacks to more than {max_bytes} bytes", max_bytes=max_bytes)
            )
        return unpacked
    return body
