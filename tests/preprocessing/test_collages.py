"""A collage of two pictures becomes two pictures, where that is wanted and safe."""

from pathlib import Path

import cv2
import numpy as np
import pytest
from drawn_places import beside, listing, place, png, sha256_of
from numpy.typing import NDArray
from PIL import Image

from core.tables import Picture, read_rows
from core.workspace import Workspace
from core.workspace_folders import DatasetFolder
from preprocessing.analysis.analyse import Analysis, PartPlace
from preprocessing.config import PrepareConfig
from preprocessing.images.seam import cut_out, middle_seam, part_boxes
from preprocessing.prepare import prepare
from preprocessing.selection.collage_parts import is_split, part_names, with_parts
from preprocessing.selection.overrides import overrides_file
from scraping.offline.corpus import portrait

FACES = PrepareConfig(
    domain_a="makeup", domain_b="bare", crop_px=64, min_images=2, split_seam=0.6, num_workers=1
)
PLACES = PrepareConfig(
    domain_a="day", domain_b="night", crop_px=32, min_images=4, min_sharpness=0, num_workers=1,
    faces=False, split_seam=0.6,
)  # fmt: skip
NUM = 30


def person(domain: str, seed: int) -> NDArray[np.uint8]:
    return np.asarray(cv2.resize(portrait(domain, seed), (300, 360)), np.uint8)


def rows_of(dataset: Path) -> dict[str, Picture]:
    return {row.sha256: row for row in read_rows(DatasetFolder(dataset).manifest, Picture)}


def test_both_parts_end_where_the_line_between_them_begins() -> None:
    left, right = place(1, night=False, px=200), place(2, night=True, px=200)
    for line, turned in ((0, False), (4, False), (0, True), (4, True)):
        collage = beside(left, right, line=line)
        collage = np.ascontiguousarray(collage.transpose(1, 0, 2)) if turned else collage
        seam = middle_seam(collage)
        assert seam is not None
        assert seam.share > 0.8
        assert seam.is_vertical is not turned
        for box, whole in zip(part_boxes(seam, *collage.shape[:2]), (left, right), strict=True):
            part = cut_out(collage, box)
            part = part.transpose(1, 0, 2) if turned else part
            assert 194 <= part.shape[1] <= 200
            end = slice(0, part.shape[1]) if whole is left else slice(200 - part.shape[1], 200)
            assert (part == whole[:, end]).all()


def part(share: float = 0.9, **changes: object) -> Analysis:
    return Analysis("", height=200, width=200, place=PartPlace((0, 0, 200, 200), share), **changes)  # type: ignore[arg-type]


def test_only_a_clear_seam_between_two_large_enough_parts_is_safe() -> None:
    assert is_split([part(), part()], PLACES)
    assert not is_split([part(0.6), part(0.6)], PLACES)
    assert not is_split([part(), Analysis("one-picture")], PLACES)
    assert not is_split([part(), part()], PLACES.model_copy(update={"min_side_px": 201}))
    assert not is_split([part(), part()], FACES)  # no face in either


def test_a_part_has_a_name_of_its_own_that_follows_from_the_original() -> None:
    names = part_names("ab" * 32)
    assert len({*names, "ab" * 32}) == 3
    assert all(len(name) == 64 and int(name, 16) for name in names)
    assert names == part_names("ab" * 32)
    assert with_parts({"ab" * 32}) == {"ab" * 32, *names}


@pytest.fixture(scope="module")
def crawled(
    tmp_path_factory: pytest.TempPathFactory,
) -> tuple[Workspace, list[Path], str]:
    """A workspace, both listings, and the sha256 of a day beside a night among the days."""
    workspace = Workspace(tmp_path_factory.mktemp("workspace"))
    collage = beside(place(900, night=False), place(901, night=True))
    days = [collage, *(place(seed, night=False) for seed in range(NUM))]
    nights = [place(100 + seed, night=True) for seed in range(NUM)]
    listings = [
        listing(workspace, "day", map(png, days)),
        listing(workspace, "night", map(png, nights)),
    ]
    return workspace, listings, sha256_of(collage)


@pytest.mark.slow
def test_the_part_of_the_searched_domain_is_used_and_the_other_waits_for_a_person(
    crawled: tuple[Workspace, list[Path], str],
) -> None:
    workspace, listings, collage = crawled
    whole = rows_of(
        prepare(PLACES.model_copy(update={"split_seam": 1}), *listings, workspace).dataset
    )
    assert len(whole) == 2 * NUM + 1
    assert not any(row.part_of for row in whole.values())

    first = prepare(PLACES, *listings, workspace)
    rows = rows_of(first.dataset)
    assert len(rows) == 2 * NUM + 3
    assert (rows[collage].status, rows[collage].reason) == ("rejected", "split")
    day, night = (rows[name] for name in part_names(collage))
    assert (day.status, day.side, day.part_of) == ("ok", "A", collage)
    assert (night.status, night.reason, night.part_of) == ("rejected", "wrong-side", collage)
    assert day.original == night.original == rows[collage].original
    assert (day.part_box[0], night.part_box[2]) == (0, 192)
    assert day.side_score > 0.5 > night.side_score >= 0
    crop = np.asarray(Image.open(first.dataset / day.file), np.float64)
    assert crop.mean() > 130  # no pixel of the night
    page = DatasetFolder(first.dataset).card_page.read_text(encoding="utf-8")
    assert 'id="split"' in page
    assert f"one half of {collage[:16]}" in page

    again = prepare(PLACES, *listings, workspace)
    assert again.reused
    assert again.version == first.version


@pytest.mark.slow
def test_a_decision_moves_a_part_keeps_the_collage_whole_or_drops_it(
    crawled: tuple[Workspace, list[Path], str], tmp_path: Path
) -> None:
    workspace, listings, collage = crawled
    path = overrides_file(workspace, "day", "night")
    path.parent.mkdir(parents=True, exist_ok=True)
    day, night = part_names(collage)
    try:
        path.write_text(f"sha256,action,note\n{night[:16]},move,\n")
        rows = rows_of(prepare(PLACES, *listings, workspace).dataset)
        assert (rows[night].status, rows[night].side, rows[night].override) == ("ok", "B", "move")
        assert rows[day].split == rows[night].split  # both parts are held out, or neither
        for action, status in (("keep", "ok"), ("drop", "rejected")):
            path.write_text(f"sha256,action,note\n{collage[:16]},{action},\n")
            rows = rows_of(prepare(PLACES, *listings, workspace).dataset)
            assert rows[collage].status == status
            assert not {day, night} & rows.keys()
    finally:
        path.unlink()


@pytest.mark.slow
def test_with_faces_two_people_beside_each_other_are_split_and_a_portrait_is_not(
    tmp_path: Path,
) -> None:
    workspace = Workspace(tmp_path)
    pair = beside(person("makeup", 5), person("makeup", 6), line=4)
    twins = beside(person("makeup", 7), place(7, night=True, px=360)[:, :300])
    made_up = [person("makeup", seed) for seed in range(20, 26)]
    bare = [person("bare", seed) for seed in range(40, 46)]
    listings = [
        listing(workspace, "makeup", map(png, [pair, twins, *made_up])),
        listing(workspace, "bare", map(png, bare)),
    ]  # fmt: skip
    summary = prepare(FACES, *listings, workspace)
    rows = rows_of(summary.dataset)
    assert {row.part_of for row in rows.values()} == {"", sha256_of(pair)}
    for name in part_names(sha256_of(pair)):
        assert rows[name].status == "ok"
        left, top, right, bottom = rows[name].box
        assert 0 <= left < right <= rows[name].width <= 304
        assert 0 <= top < bottom <= rows[name].height == 360
        assert (summary.dataset / rows[name].file).is_file()
