"""A grid shows every picture in its place."""

from pathlib import Path

import numpy as np
from PIL import Image

from core.labels.ai_label import DIGITAL_SOURCE_TYPE, AiLabel
from core.picture_grid import GAP_PX, Tile, draw_grid, in_rows, save_jpeg

RED, BLUE = (255, 0, 0), (0, 0, 255)


def tile(
    colour: tuple[int, int, int], width: int = 20, height: int = 20, **options: object
) -> Tile:
    return Tile(Image.new("RGB", (width, height), colour), **options)


def centre(page: Image.Image, column: int, row: int, side: int = 20) -> object:
    step = side + GAP_PX
    return page.getpixel((GAP_PX + column * step + side // 2, GAP_PX + row * step + side // 2))


def test_tiles_stand_in_rows_and_a_gap_stays_white() -> None:
    page = draw_grid([[tile(RED), None, tile(BLUE)], [tile(BLUE)]])
    assert page.size == (3 * 24 + GAP_PX, GAP_PX + 2 * 24)
    assert [centre(page, k, 0) for k in range(3)] == [RED, (255, 255, 255), BLUE]
    assert [centre(page, k, 1) for k in range(2)] == [BLUE, (255, 255, 255)]


def test_rows_are_filled_one_after_the_other() -> None:
    tiles = [tile(RED) for _ in range(5)]
    assert [len(row) for row in in_rows(tiles, 2)] == [2, 2, 1]
    assert [member for row in in_rows(tiles, 2) for member in row] == tiles
    assert in_rows([], 2) == []


def test_pictures_are_fitted_by_their_longer_side_and_centred() -> None:
    page = draw_grid([[tile(RED, width=100, height=50)]], tile_px=20)
    pixels = np.asarray(page)
    rows, columns = np.nonzero((pixels == RED).all(axis=2))
    assert (columns.min(), columns.max() - columns.min() + 1) == (GAP_PX, 20)
    assert (rows.min(), rows.max() - rows.min() + 1) == (GAP_PX + 5, 10)


def test_a_frame_lies_on_the_edge_of_its_tile() -> None:
    page = draw_grid([[tile(RED, frame=BLUE)]])
    assert page.getpixel((GAP_PX, GAP_PX)) == BLUE
    assert centre(page, 0, 0) == RED


def test_title_and_labels_have_room_of_their_own() -> None:
    plain = draw_grid([[tile(RED)]])
    labelled = draw_grid([[tile(RED, label="A 0123")]])
    assert labelled.height > plain.height
    title = "a title that is far wider than the only tile of its page"
    titled = draw_grid([[tile(RED)]], title=title)
    ink = (np.asarray(titled)[: titled.height - 24] < 128).all(axis=2)
    assert ink.any()
    assert not ink[:, -GAP_PX:].any()  # its end is not cut off


def test_an_empty_grid_is_a_page_still(tmp_path: Path) -> None:
    save_jpeg(tmp_path / "folder" / "grid.jpg", draw_grid([]))
    with Image.open(tmp_path / "folder" / "grid.jpg") as page:
        assert page.format == "JPEG"
    assert [path.name for path in (tmp_path / "folder").iterdir()] == ["grid.jpg"]


def test_a_grid_of_a_models_pictures_says_so(tmp_path: Path) -> None:
    grid = draw_grid(in_rows([Tile(Image.new("RGB", (20, 20)))], 1))
    save_jpeg(tmp_path / "a.jpg", grid, label=AiLabel())
    save_jpeg(tmp_path / "b.jpg", grid)
    with Image.open(tmp_path / "a.jpg") as labelled, Image.open(tmp_path / "b.jpg") as plain:
        assert DIGITAL_SOURCE_TYPE.encode() in labelled.info["xmp"]
        assert "xmp" not in plain.info
