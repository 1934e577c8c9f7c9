"""Pages of the Prefect UI, and their parts as markdown: points, tables and pictures.

Each stage has one page, an artifact: the UI lists a run's artifacts in no order, so a few pages
read better than many. Pictures are embedded as ``data:`` addresses in the server's database.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import cast
from uuid import UUID

from PIL import Image
from prefect.artifacts import create_markdown_artifact
from prefect.client.orchestration import get_client
from prefect.client.schemas.actions import ArtifactUpdate

from flows.ui.run_progress import artifact_key, warn_on_error

_MAX_IMAGE_BYTES, _MAX_PAGE_BYTES = 300_000, 1_500_000


class Page:
    """An artifact that can be rewritten while its stage goes on; ``key`` may be any text."""

    def __init__(self, key: str) -> None:
        self._key = artifact_key(key)
        self._artifact: UUID | None = None

    def write(self, description: str, *parts: str) -> None:
        """Write the page: ``parts``, each in markdown, one below the other. Lists of artifacts show
        only ``description``.
        """
        text = "\n\n".join(part for part in parts if part) + "\n"
        with warn_on_error():
            if self._artifact is None:
                artifact = create_markdown_artifact(text, key=self._key, description=description)
                self._artifact = cast("UUID", artifact)  # a coroutine only inside a coroutine
                return
            change = ArtifactUpdate(data=text, description=description)
            with get_client(sync_client=True) as client:
                client.update_artifact(self._artifact, change)


def points(rows: Sequence[Mapping[str, str]]) -> str:
    """A bullet point for each row; unlike a table's row it wraps in the Prefect UI.

    A row's first value is the head. The other values follow, each after its name, if it has one.
    """
    lines = []
    for row in rows:
        head, *cells = row.values()
        names = [f"{name}: " if name else "" for name in list(row)[1:]]
        pairs = zip(names, cells, strict=True)
        text = " · ".join(f"{name}{cell}" for name, cell in pairs if cell)
        lines.append(f"- **{head}** · {text}")
    return "\n".join(lines)


def table(rows: Sequence[Mapping[str, str]]) -> str:
    """A table of rows with the same few, short columns."""
    if not rows:
        return ""
    lines = [list(rows[0]), ["---"] * len(rows[0]), *([*row.values()] for row in rows)]
    return "\n".join(f"| {' | '.join(cell.replace('|', '∣') for cell in line)} |" for line in lines)


def pictures(titled: Mapping[str, Path | Image.Image]) -> str:
    """Pictures below their titles; together they stay below a limit of bytes."""
    max_bytes = min(_MAX_IMAGE_BYTES, _MAX_PAGE_BYTES // max(1, len(titled)))
    parts = []
    for title, source in titled.items():
        with warn_on_error():  # a torn file is left out of the page
            image = Image.open(source) if isinstance(source, Path) else source
            parts.append(f"{title}\n\n![{title}]({_data_url(image.convert('RGB'), max_bytes)})")
    return "\n\n".join(parts)


def _data_url(image: Image.Image, max_bytes: int) -> str:
    """The picture, reduced to a JPEG of at most ``max_bytes``, as a ``data:`` address.

    A label stays (``core/labels``).
    """
    label = image.info.get("xmp", b"")
    while True:
        buffer = io.BytesIO()
        image.save(buffer, "JPEG", quality=85, xmp=label)
        if buffer.tell() <= max_bytes:
            return f"data:image/jpeg;base64,{base64.b64encode(buffer.getvalue()).decode()}"
        image = image.resize((image.width * 3 // 4, image.height * 3 // 4))
