"""Chinese in a picture is drawn by letters that the font has."""

import numpy as np
import pytest
from fontTools.ttLib import TTFont
from letter_subset import letters
from PIL import Image

from core.language.letters import LETTERS, letters_font
from core.picture_grid import Tile, draw_grid


def test_the_font_has_every_letter_that_is_drawn() -> None:
    command = "run: python tests/support/letter_subset.py NotoSansCJK-Regular.ttc"
    with TTFont(LETTERS) as font:
        assert letters() - {*map(chr, font.getBestCmap())} == set(), command


@pytest.mark.parametrize(("title", "label"), [("剔除：4", "A 1"), ("four", "相似度 0.9")])
def test_a_chinese_title_or_label_is_no_row_of_boxes(title: str, label: str) -> None:
    def page(table: dict[int, int]) -> np.ndarray:
        tile = Tile(Image.new("RGB", (120, 20), (255, 255, 255)), label.translate(table))
        return np.asarray(draw_grid([[tile]], title=title.translate(table)))

    others = str.maketrans("剔除似", "模糊同")  # two letters that are missing look the same
    assert (page({}) != page(others)).any()
    assert letters_font(14).getlength("剔除") == pytest.approx(28)
