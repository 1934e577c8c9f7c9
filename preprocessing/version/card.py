"""A dataset version's card: what it holds, what was left out and why, and how it looks."""

from __future__ import annotations

import csv
import io
import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import astuple, dataclass, fields
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from core.files import atomic_file, write_json
from core.tables import groups
from core.workspace import Workspace
from preprocessing.cache import AnalysisCache, libraries
from preprocessing.config import PrepareConfig
from preprocessing.selection.overrides import overrides_file
from preprocessing.version.card_rows import Shown, Told
from preprocessing.version.diff import Change, changes
from preprocessing.version.sheet_drawing import draw_sheet
from preprocessing.version.sheets import sheets, write_previews

_ON_A_PAGE = 1000  # pictures of a section


@dataclass(frozen=True)
class _Group:
    """Pictures beside each other, with a few words where something is to be said."""

    rows: Sequence[Shown]
    anchor: str = ""
    words: str = ""


@dataclass(frozen=True)
class _Section:
    """A heading and its pictures, a list of groups for each page."""

    anchor: str
    title: str
    num: int
    words: str
    pages: list[list[_Group]]

    def file(self, page: int) -> str:
        """The page of this number, counted from 1."""
        return "card.html" if page == 1 else f"card-{self.anchor}-{page}.html"


@dataclass(frozen=True)
class _Contents:
    """Everything a card tells."""

    version: str
    config: PrepareConfig
    counts: Mapping[str, int]
    rejected: Mapping[str, Mapping[str, int]]
    before: str  # name of the version before, or ""
    changed: list[Change]
    told: Told
    sheets: bool  # of what is kept: there are some
    overrides: Path


def write_card(
    folder: Path,
    final: Path,
    config: PrepareConfig,
    told: Told,
    counts: Mapping[str, int],
    rejected: Mapping[str, Mapping[str, int]],
    cache: AnalysisCache,
    *,
    published: bool = True,
) -> None:
    """Write the card of the version that will be ``final`` into ``folder``, which has its manifest.

    That is ``card.json``, ``card.md``, ``card.html`` (every rejected picture, duplicate cluster and
    doubtful pair, with the lines that overrule a decision; on pages of their own where they are
    many), ``changes.csv``, and contact sheets of what was left out. Those of what is kept are
    ``contact.kept_sheets``; unless it is ``published`` there are none.
    """
    before, changed = _changes(folder / "manifest.parquet", final, config)
    contents = _Contents(
        final.name, config, counts, rejected, before, changed, told, published,
        overrides_file(Workspace(final.parents[1]), config.domain_a, config.domain_b),
    )  # fmt: skip
    write_json(folder / "card.json", _json(contents))
    with atomic_file(folder / "changes.csv") as file:
        file.write(_csv(contents.changed).encode())
    _write_pages(folder, contents)
    write_previews(folder / "previews", told, cache)
    for sheet in sheets(folder, told, cache):
        draw_sheet(sheet)


def _write_pages(folder: Path, contents: _Contents) -> None:
    templates = Environment(
        loader=PackageLoader("preprocessing.version", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
    )
    sections = list(_sections(contents))
    known: dict[str, Any] = {"card": contents, "sections": sections}
    known["kinds"] = _kinds(contents.changed)
    for name in ("card.md", "card.html"):
        _write_page(folder / name, templates.get_template(f"{name}.jinja").render(known))
    more = templates.get_template("more.html.jinja")
    for section in sections:
        for page in range(2, len(section.pages) + 1):
            text = more.render(known, section=section, page=page)
            _write_page(folder / section.file(page), text)


def _write_page(path: Path, text: str) -> None:
    with atomic_file(path) as file:
        file.write(text.encode())


def _sections(contents: _Contents) -> Iterator[_Section]:
    shown = contents.told
    for reason, rows in shown.by_reason.items():
        pages = [[_Group(some)] for some in groups(rows, _ON_A_PAGE)]
        yield _Section(reason, f"Rejected: {reason}", len(rows), "", pages)
    clusters = [_Group(rows, f"cluster-{rows[0].cluster[:16]}") for rows in shown.clusters]
    title, words = "Clusters of near duplicates", "Framed in green: the one that is kept."
    yield _Section("duplicates", title, len(clusters), words, _paged(clusters))
    doubts = [_Group((one, two), words=f"alike {alike}") for one, two, alike in shown.doubtful]
    words = (
        "Taken for different pictures, though nearly alike enough to be one (threshold "
        f"{contents.config.duplicate_alike}). Drop one of them if they are the same."
    )
    yield _Section("doubtful", "Doubtful pairs", len(doubts), words, _paged(doubts))


def _paged(some: Sequence[_Group]) -> list[list[_Group]]:
    pages: list[list[_Group]] = [[]]
    num = 0
    for group in some:
        if num and num + len(group.rows) > _ON_A_PAGE:
            pages.append([])
            num = 0
        pages[-1].append(group)
        num += len(group.rows)
    return pages


def _json(contents: _Contents) -> dict[str, Any]:
    config = contents.config
    return {
        "version": contents.version,
        "made_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "domains": {"A": config.domain_a, "B": config.domain_b},
        "counts": dict(contents.counts),
        "rejected": {side: dict(reasons) for side, reasons in contents.rejected.items()},
        "crop_px": config.crop_px,
        "faces": config.faces,
        "duplicate_clusters": len(contents.told.clusters),
        "doubtful_pairs": len(contents.told.doubtful),
        "before": contents.before,
        "changes": _kinds(contents.changed),
        "libraries": dict(libraries()),
    }


def _changes(manifest: Path, final: Path, config: PrepareConfig) -> tuple[str, list[Change]]:
    """Name of the newest other version of these domains, and what it had otherwise; none when it
    cannot be read.
    """
    versions = []
    for path in final.parent.glob("*/card.json"):
        try:
            card = json.loads(path.read_text())
            published = card["version"] == path.parent.name  # not what was rejected
            if published and card["domains"] == {"A": config.domain_a, "B": config.domain_b}:
                versions.append((card["made_at"], path.parent))
        except (ValueError, KeyError):  # of an older release
            continue
    for _, folder in sorted(versions, reverse=True):
        if folder != final:
            try:
                return folder.name, changes(folder / "manifest.parquet", manifest)
            except (ValueError, OSError):
                continue
    return "", []


def _csv(changed: Sequence[Change]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(field.name for field in fields(Change))
    writer.writerows(astuple(change) for change in changed)
    return text.getvalue()


def _kinds(changed: Sequence[Change]) -> dict[str, int]:
    found = Counter(change.kind for change in changed)
    return {kind: found[kind] for kind in ("added", "removed", "moved", "recut")}
