import io

import pytest
from rich.console import Console

from cli.console import error_text, progress_bar
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


def test_a_transient_bar_leaves_nothing_behind() -> None:
    assert _printed(terminal=False, transient=True) == ""


def test_refused_parameters_are_listed_with_their_values() -> None:
    with pytest.raises(ValueError, match="num_images") as refused:
        CrawlConfig.model_validate({"domain": "bare", "phrases": ["x"], "num_images": -3})
    text = error_text(refused.value)
    assert "  num_images: got -3; Input should be greater than or equal to 1" in text
