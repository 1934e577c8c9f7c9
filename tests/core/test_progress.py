from core.progress import LogProgress, counted, duration


def test_duration_reads_like_speech() -> None:
    assert duration(0.4) == "0 s"
    assert duration(59.4) == "59 s"
    assert duration(200) == "3 min 20 s"
    assert duration(7500) == "2 h 05 min"


def test_lines_are_throttled_and_the_last_one_is_kept() -> None:
    lines: list[str] = []
    now = 0.0
    progress = LogProgress(lines.append, every_s=5, clock=lambda: now)
    for done in range(101):
        progress("train", done, 100, "")
        now += 0.5
    assert lines[0] == "train 0/100 (0 %)"
    assert lines[1] == "train 10/100 (10 %), about 45 s left"
    assert lines[-1] == "train 100/100 (100 %)"
    assert len(lines) == 11


def test_the_first_step_which_compiles_is_not_taken_for_the_rate() -> None:
    lines: list[str] = []
    times = iter((0.0, 65.0, 75.0))
    progress = LogProgress(lines.append, every_s=5, clock=lambda: next(times))
    for done in (0, 1, 68):
        progress("train", done, 1900, "")
    assert lines == [
        "train 0/1900 (0 %)",
        "train 1/1900 (0 %)",
        "train 68/1900 (3 %), about 4 min 33 s left",
    ]


def test_an_unknown_total_shows_the_count() -> None:
    lines: list[str] = []
    LogProgress(lines.append)("crawl makeup", 7, None, "3 rejected")
    assert lines == ["crawl makeup 7 · 3 rejected"]


def test_a_stage_of_one_step_is_one_line_without_a_measure() -> None:
    lines: list[str] = []
    progress = LogProgress(lines.append)
    progress("report", 0, 1, "")
    progress("report", 1, 1, "")
    progress("duplicates", 0, 1, "")
    progress("duplicates", 5, 5, "")
    progress("duplicates", 1, 1, "")
    assert lines == ["report", "duplicates", "duplicates 5/5 (100 %)"]


def test_one_thing_is_counted_as_one() -> None:
    assert [counted(num, "original") for num in range(3)] == [
        "0 originals", "1 original", "2 originals",
    ]  # fmt: skip
