"""The card of a dataset version: its contents, and every rejected picture with the reason."""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import astuple, dataclass, fields
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from core.commands import recipe_of, suyan_command
from core.files import atomic_file, try_load_json, write_json
from core.language.messages import LANGUAGES
from core.tables import groups
from core.workspace import Workspace
from core.workspace_folders import SPLITS, DatasetFolder
from preprocessing.cache import AnalysisCache, libraries
from preprocessing.config import PrepareConfig
from preprocessing.selection.overrides import overrides_file
from preprocessing.version.card_rows import CardRow, CardRows
from preprocessing.version.card_words import Words, domain_text, in_markdown, on_page, reason_text
from preprocessing.version.diff import Change, find_changes
from preprocessing.version.sheets import draw_sheet, sheets_of_rejected, write_previews

_PICTURES_PER_PAGE = 1000  # of a section
_ACCEPTED_PER_PAGE = 200
_CHANGE_COLUMNS = tuple(field.name for field in fields(Change))
_PAIR_COLUMNS = ("older", "newer", "similarity")


@dataclass(frozen=True)
class _Group:
    """Pictures in a row, and their caption, which may be empty."""

    rows: Sequence[CardRow]
    anchor: str = ""
    caption: str | Words = ""


@dataclass(frozen=True)
class _Section:
    """A heading and the groups of pictures below it, one list for each page."""

    anchor: str
    title: Words
    short_title: Words  # in the list of sections
    num: int
    intro: str | Words
    command: str  # by which a person overrules; it follows the introduction
    pages: list[list[_Group]]
    of_crops: bool = False  # shows the pictures as cropped, not the originals

    def file(self, page: int) -> str:
        """The name of this page's file; pages count from 1."""
        folder = DatasetFolder(Path())
        path = folder.card_page if page == 1 else folder.card_section_page(self.anchor, page)
        return path.name


@dataclass(frozen=True)
class _Card:
    """The contents of a card, for the templates."""

    version: str
    config: PrepareConfig
    counts: Mapping[str, int]
    rejected: Mapping[str, Mapping[str, int]]
    before: str  # name of the version before, or ""
    changes: list[Change]
    rows: CardRows
    has_enough: bool  # False: the card of a preparation that ended with too few pictures
    overrides: Path
    workspace: Workspace


def write_card(
    folder: Path,
    final: Path,
    config: PrepareConfig,
    rows: CardRows,
    counts: Mapping[str, int],
    rejected: Mapping[str, Mapping[str, int]],
    cache: AnalysisCache,
    *,
    has_enough: bool = True,
) -> None:
    """Write the card into ``folder``, which has the manifest and will be renamed to ``final``.

    It consists of ``card.json``, ``card.md`` and ``card.zh.md``, ``card.html`` in both languages
    (accepted pictures, every rejected one, duplicate cluster and doubtful pair, with the lines that
    overrule a decision; long sections continue on pages of their own), ``changes.csv``,
    ``doubtful.csv`` (the doubtful pairs), and contact sheets of the rejected pictures. Those of the
    accepted ones come from ``sheets.sheets_of_accepted`` and need all crops. A card without
    ``has_enough`` shows no accepted pictures.
    """
    staged, workspace = DatasetFolder(folder), Workspace(final.parents[1].absolute())
    before, changes = _changes_since_last(staged.manifest, final, config)
    card = _Card(
        version=final.name,
        config=config,
        counts=counts,
        rejected=rejected,
        before=before,
        changes=changes,
        rows=rows,
        has_enough=has_enough,
        overrides=overrides_file(workspace, config.domain_a, config.domain_b),
        workspace=workspace,
    )
    write_json(staged.card, _as_json(card))
    _write_text(staged.changes, _as_csv(_CHANGE_COLUMNS, map(astuple, changes)))
    pairs = ((older.sha256, newer.sha256, similarity) for older, newer, similarity in rows.doubtful)
    _write_text(staged.doubtful_pairs, _as_csv(_PAIR_COLUMNS, pairs))
    _write_pages(staged, card)
    write_previews(staged.previews, rows, cache)
    for sheet in sheets_of_rejected(folder, rows, cache):
        draw_sheet(sheet)


def _write_pages(staged: DatasetFolder, card: _Card) -> None:
    templates = Environment(
        loader=PackageLoader("preprocessing.version", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
    )
    sections = list(_sections(card))
    context: dict[str, Any] = {
        "card": card, "sections": sections, "num_changes": _num_changes(card.changes),
        "curate": _curate_command(card, "ACTION", "DIGITS"),
        "review": _command(card, "review", card.version),
        "licenses": _licenses(card.rows),
        "reason": reason_text, "domain": partial(domain_text, card.config),
    }  # fmt: skip
    template = templates.get_template("card.md.jinja")
    for language in LANGUAGES:
        text = template.render(context, say=in_markdown(language))
        _write_text(staged.card_text(language), text)
    context["say"] = on_page
    _write_text(staged.card_page, templates.get_template("card.html.jinja").render(context))
    template = templates.get_template("section.html.jinja")
    for section in sections:
        for page in range(2, len(section.pages) + 1):
            text = template.render(context, section=section, page=page)
            _write_text(staged.path / section.file(page), text)


def _licenses(rows: CardRows) -> list[str]:
    """The licences of the accepted pictures, the most frequent first, "" for none that is stated;
    none where no picture has one.
    """
    total = Counter[str]()
    for num in rows.licenses.values():
        total.update(num)
    return [name for name, _ in total.most_common()] if any(total) else []


def _write_text(path: Path, text: str) -> None:
    with atomic_file(path) as file:
        file.write(text.encode())


def _sections(card: _Card) -> Iterator[_Section]:
    if card.has_enough:
        yield from _accepted_sections(card)
    for reason, rejected in card.rows.by_reason.items():
        pages = [[_Group(batch)] for batch in groups(rejected, _PICTURES_PER_PAGE)]
        yield _Section(
            anchor=reason,
            title=on_page("section_rejected", reason=reason_text(reason)),
            short_title=on_page(reason_text(reason)),
            num=len(rejected),
            intro="",
            command="",
            pages=pages,
        )
    clusters = [_Group(rows, f"cluster-{rows[0].cluster[:16]}") for rows in card.rows.clusters]
    yield _Section(
        anchor="duplicates",
        title=on_page("section_duplicates"),
        short_title=on_page("nav_duplicates"),
        num=len(clusters),
        intro=on_page("duplicates_intro"),
        command=_curate_command(card, "different", "DIGITS", "DIGITS"),
        pages=_pages(clusters),
    )
    pairs = [
        _Group((older, newer), caption=on_page("similarity", value=similarity))
        for older, newer, similarity in card.rows.doubtful
    ]
    yield _Section(
        anchor="doubtful",
        title=on_page("section_doubtful"),
        short_title=on_page("nav_doubtful"),
        num=len(pairs),
        intro=on_page("doubtful_intro", threshold=card.config.duplicate_alike),
        command=_curate_command(card, "drop", "DIGITS"),
        pages=_pages(pairs),
    )
    unlikely = [
        _Group((row,), caption=f"{row.side_score:.2f}", anchor=f"unlikely-{row.sha256[:16]}")
        for row in card.rows.unlikely
    ]
    yield _Section(
        anchor="unlikely",
        title=on_page("section_unlikely"),
        short_title=on_page("nav_unlikely"),
        num=len(unlikely),
        intro=on_page("unlikely_intro"),
        command=_curate_command(card, "move", "DIGITS"),
        pages=_pages(unlikely),
    )


def _accepted_sections(card: _Card) -> Iterator[_Section]:
    for split in (each for each in SPLITS if each in card.rows.accepted):
        rows = card.rows.accepted[split]
        name = card.config.domain_a if split.endswith("A") else card.config.domain_b
        domain = on_page(domain_text(card.config, name))
        num, is_part = card.counts[split], len(rows) < card.counts[split]
        yield _Section(
            anchor=split,
            title=on_page(f"section_{split[:-1]}", domain=domain),
            short_title=on_page(f"nav_{split[:-1]}", domain=domain),
            num=num,
            intro=on_page("accepted_part", shown=len(rows), num=num) if is_part else "",
            command=_command(card, "review", card.version),
            pages=[[_Group(batch)] for batch in groups(rows, _ACCEPTED_PER_PAGE)],
            of_crops=True,
        )


def _curate_command(card: _Card, *words: str) -> str:
    return _command(card, "curate", *words)


def _command(card: _Card, name: str, *words: str) -> str:
    recipe = recipe_of(card.config.domain_a, card.config.domain_b)
    return suyan_command(name, *words, workspace=card.workspace, recipe=recipe)


def _pages(sequence: Sequence[_Group]) -> list[list[_Group]]:
    pages: list[list[_Group]] = [[]]
    num_pictures = 0
    for group in sequence:
        if num_pictures and num_pictures + len(group.rows) > _PICTURES_PER_PAGE:
            pages.append([])
            num_pictures = 0
        pages[-1].append(group)
        num_pictures += len(group.rows)
    return pages


def _as_json(card: _Card) -> dict[str, Any]:
    config = card.config
    return {
        "version": card.version,
        "made_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "domains": _domains(config),
        "counts": dict(card.counts),
        "rejected": {side: dict(reasons) for side, reasons in card.rejected.items()},
        "crop_px": config.crop_px,
        "faces": config.faces,
        "duplicate_clusters": len(card.rows.clusters),
        "doubtful_pairs": len(card.rows.doubtful),
        "unlikely_of_their_side": [
            {"sha256": row.sha256, "file": row.file, "side_score": row.side_score}
            for row in card.rows.unlikely
        ],
        "licenses": card.rows.licenses,
        "before": card.before,
        "changes": _num_changes(card.changes),
        "libraries": dict(libraries()),
    }


def _domains(config: PrepareConfig) -> dict[str, str]:
    return {"A": config.domain_a, "B": config.domain_b}


def _changes_since_last(
    manifest: Path, final: Path, config: PrepareConfig
) -> tuple[str, list[Change]]:
    """The name of the newest other version of these domains, and the changes since; ``("", [])``
    where no such version can be read.
    """
    versions = []
    for folder in final.parent.glob("*"):
        card = try_load_json(DatasetFolder(folder).card) or {}
        # the card of a rejected preparation names no folder
        is_version = card.get("version") == folder.name
        if is_version and card.get("domains") == _domains(config) and "made_at" in card:
            versions.append((card["made_at"], folder))
    for _, folder in sorted(versions, reverse=True):
        if folder != final:
            try:
                return folder.name, find_changes(DatasetFolder(folder).manifest, manifest)
            except (ValueError, OSError):
                continue
    return "", []


def _as_csv(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(rows)
    return text.getvalue()


def _num_changes(changes: Sequence[Change]) -> dict[str, int]:
    num = Counter(change.kind for change in changes)
    return {kind: num[kind] for kind in ("added", "removed", "moved", "recut")}
