import pytest

from core.image_formats import sniff


@pytest.mark.parametrize(
    ("head", "extension"),
    [
        (b"\xff\xd8\xff\xdb", "jpg"),
        (b"\x89PNG\r\n\x1a\n", "png"),
        (b"GIF89a", "gif"),
        (b"RIFF\x00\x00\x00\x00WEBPVP8 ", "webp"),
        (b"\x00\x00\x00\x1cftypavif", "avif"),
        (b"<svg", None),
        (b"", None),
    ],
)
def test_sniffing(head: bytes, extension: str | None) -> None:
    image_format = sniff(head)
    assert (image_format.extension if image_format else None) == extension
