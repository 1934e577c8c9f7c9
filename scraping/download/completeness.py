"""Whether the bytes of a picture end as its format ends.

Some hosts announce more bytes than they send, or end a chunked body without its last chunk. A
browser shows such a picture, and so it is taken if its end is there.
"""

from __future__ import annotations

from core.image_formats import sniff

_TAIL_BYTES = 64  # some files have a few bytes after their end
_ENDS = {"JPEG": b"\xff\xd9", "PNG": b"IEND\xaeB`\x82", "GIF": b"\x00;"}


def has_end(body: bytes) -> bool:
    """Whether ``body`` is a JPEG, PNG, GIF or WebP file with its end; false for other formats."""
    image_format = sniff(body)
    if image_format is None:
        return False
    if image_format.name == "WEBP":
        return len(body) >= 8 + int.from_bytes(body[4:8], "little")
    end = _ENDS.get(image_format.name)
    return end is not None and end in body[-_TAIL_BYTES:]
