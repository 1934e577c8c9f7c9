"""The parts of picture files that Pillow does not tell apart.

Phones append a gain map (Ultra HDR) or a video (motion photos) to a JPEG, and a viewer that does
not know them shows the picture alone. And a viewer shows a picture whose metadata are broken or
oversized: ``without_metadata`` leaves what a picture needs.
"""

from __future__ import annotations

import re

_GAIN_MAPS = (
    b"http://ns.adobe.com/hdr-gain-map/1.0/",
    b"http://ns.apple.com/HDRGainMap/1.0/",
    b"urn:iso:std:iso:ts:21496:-1",
)
_VIDEO = re.compile(rb"\x00\x00\x00[\x08-\x80]ftyp(?:mp4|isom|iso[2-9]|qt  |avc1|MSNV|3gp|hvc1)")
_PICTURE = b"\xff\xd8\xff"
_PNG_HEAD = b"\x89PNG\r\n\x1a\n"
_PNG_CHUNKS = {b"IHDR", b"PLTE", b"IDAT", b"IEND", b"tRNS", b"gAMA", b"cHRM", b"sRGB"}
_METADATA_MARKERS = {0xE1, *range(0xE3, 0xEE), 0xEF, 0xFE}  # not JFIF, colour profile, Adobe's
_STANDALONE = {0x01, *range(0xD0, 0xD9)}  # markers without a length
_SCAN, _END = 0xDA, 0xD9
_SCAN_END = re.compile(rb"\xff+[^\x00\xd0-\xd7\xff]", re.DOTALL)  # the next marker in a scan


def picture_end(content: bytes) -> int | None:
    """The number of bytes of the file's first picture; ``None`` if it does not end."""
    at = 2
    while at + 4 <= len(content):
        if content[at] != 0xFF:
            return None
        marker = content[at + 1]
        if marker == 0xFF:  # a fill byte
            at += 1
        elif marker in _STANDALONE:
            at += 2
        else:
            at += 2 + int.from_bytes(content[at + 2 : at + 4], "big")
            if marker == _SCAN:
                following = _SCAN_END.search(content, at)
                if following is None:
                    return None
                at = following.end() - 2
        if content[at : at + 2] == bytes((0xFF, _END)):
            return at + 2
    return None


def has_gain_map(content: bytes) -> bool:
    """Whether a second picture follows, and the file says that it brightens the first (HDR)."""
    end = picture_end(content)
    return (
        end is not None
        and content.find(_PICTURE, end) >= 0
        and any(name in content for name in _GAIN_MAPS)
    )


def has_video(content: bytes) -> bool:
    """Whether a video follows the picture."""
    end = picture_end(content)
    return end is not None and _VIDEO.search(content, end) is not None


def without_metadata(content: bytes) -> bytes:
    """A JPEG or PNG file without what a viewer can do without; others as they are."""
    if content.startswith(_PICTURE):
        return _jpeg_without_metadata(content)
    return _png_without_metadata(content) if content.startswith(_PNG_HEAD) else content


def _jpeg_without_metadata(content: bytes) -> bytes:
    parts, at = [content[:2]], 2
    while at + 4 <= len(content) and content[at] == 0xFF and content[at + 1] not in {_SCAN, 0xFF}:
        length = 2 + int.from_bytes(content[at + 2 : at + 4], "big")
        if content[at + 1] not in _METADATA_MARKERS:
            parts.append(content[at : at + length])
        at += length
    return b"".join([*parts, content[at:]])


def _png_without_metadata(content: bytes) -> bytes:
    parts, at = [_PNG_HEAD], len(_PNG_HEAD)
    while at + 8 <= len(content):
        length = 12 + int.from_bytes(content[at : at + 4], "big")
        if content[at + 4 : at + 8] in _PNG_CHUNKS:
            parts.append(content[at : at + length])
        at += length
    return b"".join(parts)
