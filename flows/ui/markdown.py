"""What pages of the Prefect UI are made of: text, points, tables and pictures, as markdown.

Each stage has one page, an artifact: on a run's page artifacts stand in no order, and many are a
heap. Pictures are ``data:`` addresses, which live in the server's database.
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

from flows.ui.run_progress import artifact_key, shown

_MAX_IMAGE_BYTES, _MAX_PAGE_BYTES = 300_000, 1_500_000


class Page:
    """An artifact that can be written again while its stage goes on.

    ``key`` may be any text, e.g. a name.
    """

    def __init__(self, key: str) -> None:
        self._key = artifact_key(key)
        self._artifact: UUID | None = None

    def show(self, description: str, *parts: str) -> None:
        """Put ``parts``, markdown each, under one another; ``description`` is read in lists too."""
        text = "\n\n".join(part for part in parts if part) + "\n"
        with shown():
            if self._artifact is None:
                made = create_markdown_artifact(text, key=self._key, description=description)
                self._artifact = cast("UUID", made)  # a coroutine only where one is running
                return
            change = ArtifactUpdate(data=text, description=description)
            with get_client(sync_client=True) as client:
                client.update_artifact(self._artifact, change)


def points(rows: Sequence[Mapping[str, str]]) -> str:
    """A point for each row, which wraps: tables are cut off on the right in the Prefect UI.

    A row's first value is its head; of the others, those without a name tell themselves.
    """
    lines = []
    for row in rows:
        head, *cells = row.values()
        names = [f"{name}: " if name else "" for name in list(row)[1:]]
        told = " · ".join(f"{name}{cell}" for name, cell in zip(names, cells, strict=True) if cell)
        lines.append(f"- **{head}** · {told}")
    return "\n".join(lines)


def table(rows: Sequence[Mapping[str, str]]) -> str:
    """A table of rows with the same few, short columns."""
    if not rows:
        return ""
    lines = [list(rows[0]), ["---"] * len(rows[0]), *([*row.values()] for row in rows)]
    return "\n".join(f"| {' | '.join(cell.replace('|', '∣') for cell in line)} |" for line in lines)


def pictures(titled: Mapping[str, Path | Image.Image]) -> str:
    """Pictures under their titles. A page of many holds each one smaller."""
    most = min(_MAX_IMAGE_BYTES, _MAX_PAGE_BYTES // max(1, len(titled)))
    parts = []
    for title, source in titled.items():
        with shown():  # a file that is torn costs its picture, not the page
            image = Image.open(source) if isinstance(source, Path) else source
            parts.append(f"{title}\n\n![{title}]({_data_url(image.convert('RGB'), most)})")
    return "\n\n".join(parts)


def _data_url(image: Image.Image, most: int) -> str:
    """The picture as a JPEG ``data:`` address of at most ``most`` bytes of JPEG."""
    while True:
        buffer = io.BytesIO()
        image.save(buffer, "JPEG", quality=85)
        if buffer.tell() <= most:
            return f"data:image/jpeg;base64,{base64.b64encode(buffer.getvalue()).decode()}"
        image = image.resize((image.width * 3 // 4, image.height * 3 // 4))
