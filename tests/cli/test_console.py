import io

import pytest
from rich.cells import cell_len
from rich.console import Console, JustifyMethod

from cli.console import error_text, print_table, progress_bar
from scraping.config import CrawlConfig


def _printed(*, terminal: bool, transient: bool = False) -> str:
    output = io.StringIO()
    console = Console(file=output, force_terminal=terminal, width=100)
    with progress_bar(console, transient=transient) as progress:
        progress("crawl bare", 1, 4, "[2 rejected]")
        progress("crawl bare", 4, 4, "[2 rejected]")
    return output.getvalue()


def test_progress_is_a_bar_on_a_terminal_and_lines_elsewhere() -> None:
    bar = _printed(terminal=True)
    assert "━" in bar
    assert "4/4" in bar
    assert "[2 rejected]" in bar  # no markup
    assert _printed(terminal=False).splitlines()[0] == "crawl bare 1/4 (25 %) · [2 rejected]"


ROWS = [("化妆 妆容 正面 高清", "1203", "http-403: 12\nhost-not-found: 3", "[no] markup")] * 2
COLUMNS: dict[str, JustifyMethod] = {
    "phrase": "left", "hits": "right", "rejec-\nted": "left", "stopped because": "left",
}  # fmt: skip


def _table(*, terminal: bool, width: int) -> list[str]:
    output = io.StringIO()
    console = Console(file=output, force_terminal=terminal, width=width, color_system=None)
    print_table(console, COLUMNS, ROWS, "A title that is longer than the narrow terminal of a test")
    return output.getvalue().splitlines()


@pytest.mark.parametrize("width", [50, 80])
def test_a_table_fits_the_terminal(width: int) -> None:
    lines = _table(terminal=True, width=width)
    assert "─" in "".join(lines[1:4])
    assert all(cell_len(line) <= width for line in lines[1:])
    assert "[no] markup" in " ".join(lines)


def test_names_and_reasons_stay_whole_on_eighty_columns() -> None:
    """A name that a cell folds can be neither read nor copied."""
    output = io.StringIO()
    console = Console(file=output, force_terminal=True, width=80, color_system=None)
    headings = ("dataset", "trainA", "trainB", "testA", "testB", "made", "newest of")
    name = "makeup-bare-c99c04c71848"
    print_table(
        console,
        dict.fromkeys(headings, "left"),
        [(name, "200", "198", "119", "118", "2026-11-28", "makeup")],
    )
    columns = ("phrase", "pages", "hits", "new", "stored", "dupli-\ncates", "rejected",
               "stopped because")  # fmt: skip
    row = ("卸妆后 素颜 近照", "1", "30", "6", "5", "0", "not-an-image: 1", "all pages read")
    print_table(console, dict.fromkeys(columns, "left"), [row])
    text = output.getvalue()
    assert name in text
    assert "not-an-image:" in text
    assert all(cell_len(line) <= 80 for line in text.splitlines())


def test_a_piped_table_has_a_line_for_each_row_and_no_frames() -> None:
    title, heading, *rows = _table(terminal=False, width=20)
    assert title.startswith("A title")
    assert heading.split() == ["phrase", "hits", "rejected", "stopped", "because"]
    assert len(rows) == 2
    row = "化妆 妆容 正面 高清  1203  http-403: 12, host-not-found: 3  [no] markup"
    assert rows[0] == row
    assert heading.index("rejected") == row.index("http-403") + 8  # a character of 8 takes 2 cells


def test_a_transient_bar_leaves_nothing_behind() -> None:
    assert _printed(terminal=False, transient=True) == ""


def test_refused_parameters_are_listed_with_their_values() -> None:
    with pytest.raises(ValueError, match="num_images") as refused:
        CrawlConfig.model_validate({"domain": "bare", "phrases": ["x"], "num_images": -3})
    text = error_text(refused.value)
    assert "  num_images: got -3; Input should be greater than or equal to 1" in text


def test_a_refused_entry_of_a_list_is_one_mistake() -> None:
    with pytest.raises(ValueError, match="engines") as refused:
        CrawlConfig.model_validate({"domain": "bare", "engines": ["bing"]})
    assert error_text(refused.value).splitlines()[1:] == [
        "  engines.0: got 'bing'; Input should be 'baidu' or 'openverse'"
    ]
    with pytest.raises(ValueError, match="engines") as refused:
        CrawlConfig.model_validate({"domain": "bare", "engines": []})
    assert "engines: got []; Tuple should have at least 1 item" in error_text(refused.value)
