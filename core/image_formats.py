"""The picture formats that Suyan reads: their names, first bytes, suffixes and media types."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class ImageFormat:
    """A picture format: its names for Pillow, files and HTTP, and its files' first bytes."""

    name: str  # Pillow's
    extension: str  # of an original in the workspace, without a dot
    suffixes: tuple[str, ...]  # of files, in lower case, the usual one first
    media_type: str
    magic: tuple[tuple[int, bytes], ...]  # (offset, bytes); one match is enough
    is_lossless: bool = False
    read_suffixes: tuple[str, ...] = ()  # of files that are read as this format, never written


FORMATS = (
    ImageFormat(
        "JPEG", "jpg", (".jpg", ".jpeg", ".jpe", ".jfif"), "image/jpeg",
        ((0, b"\xff\xd8\xff"),), read_suffixes=(".mpo",),
    ),
    ImageFormat(
        "PNG", "png", (".png",), "image/png", ((0, b"\x89PNG\r\n\x1a\n"),), is_lossless=True,
        read_suffixes=(".apng",),
    ),
    ImageFormat("WEBP", "webp", (".webp",), "image/webp", ((8, b"WEBPVP8"),)),
    ImageFormat(
        "GIF", "gif", (".gif",), "image/gif", ((0, b"GIF87a"), (0, b"GIF89a")), is_lossless=True
    ),
    ImageFormat("BMP", "bmp", (".bmp",), "image/bmp", ((0, b"BM"),), is_lossless=True),
    ImageFormat(
        "TIFF", "tif", (".tif", ".tiff"), "image/tiff", ((0, b"II*\x00"), (0, b"MM\x00*")),
        is_lossless=True,
    ),
    ImageFormat(
        "AVIF", "avif", (".avif",), "image/avif", ((4, b"ftypavif"), (4, b"ftypavis"))
    ),
)  # fmt: skip
BY_NAME = {image_format.name: image_format for image_format in FORMATS}
PILLOW_NAMES = tuple(BY_NAME)
"""For ``Image.open(formats=…)``. Pillow's JPEG reader opens MPO too; naming MPO here would be an
error."""

SUFFIXES = frozenset(
    suffix
    for image_format in FORMATS
    for suffix in (*image_format.suffixes, *image_format.read_suffixes)
)
"""Suffixes of picture files, in lower case."""


def sniff(head: bytes) -> ImageFormat | None:
    """The format that a file's first bytes announce (16 are enough); ``None`` for any other."""
    for image_format in FORMATS:
        if any(head[offset : offset + len(magic)] == magic for offset, magic in image_format.magic):
            return image_format
    return None
