"""A version is named by its decisions, whatever their order."""

from collections.abc import Sequence
from dataclasses import replace

import pytest

from core.tables import Picture
from preprocessing.config import PrepareConfig
from preprocessing.selection.manifest import ManifestStats

CONFIG = PrepareConfig(domain_a="day_time", domain_b="night", min_images=2)
USED = Picture(
    "", "day_time", "A", "train", "", "ok", "", "", "", "", 9, 9, [], [], 1.0, "p", "u", "o"
)
ROWS = [
    *(replace(USED, sha256=f"{k}", file=f"trainA/{k}") for k in range(3)),
    *(replace(USED, sha256=f"t{k}", split="test", file=f"testA/{k}") for k in range(2)),
    replace(USED, sha256="9", side="B", status="rejected", reason="duplicate-of:7", split=""),
    replace(USED, sha256="8", side="B", status="rejected", reason="duplicate-of:6", split=""),
]


def tally(rows: Sequence[Picture]) -> ManifestStats:
    found = ManifestStats(CONFIG)
    assert list(found.counted(rows)) == list(rows)
    return found


def test_rows_are_counted_as_they_pass() -> None:
    found = tally(ROWS)
    assert found.counts(("trainA", "trainB", "testA")) == {"trainA": 3, "trainB": 0, "testA": 2}
    assert found.rejected() == {"A": {}, "B": {"duplicate-of": 2}}
    (problem,) = found.problems()
    assert problem.startswith("domain 'night': 2 originals found, 0 usable")


def test_the_name_depends_on_decisions_and_settings_alone() -> None:
    name = tally(ROWS).version({"crop_px": 1})
    assert name.startswith("day-time-night-")
    assert tally(ROWS[::-1]).version({"crop_px": 1}) == name
    assert tally([replace(row, sharpness=2.0) for row in ROWS]).version({"crop_px": 1}) == name
    assert tally(ROWS).version({"crop_px": 2}) != name


@pytest.mark.parametrize("change", [{"side": "B"}, {"reason": "blurred"}, {"override": "keep"}])
def test_another_decision_is_another_version(change: dict[str, str]) -> None:
    other = [replace(ROWS[0], **change), *ROWS[1:]]
    assert tally(other).version({}) != tally(ROWS).version({})
