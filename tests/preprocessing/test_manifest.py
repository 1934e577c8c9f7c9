"""Decisions about originals, and the name of a version, which depends on the decisions."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from core.config_identity import identity
from core.tables import Original, Picture
from preprocessing.analysis.analyse import Analysis
from preprocessing.analysis.fingerprint import Fingerprint
from preprocessing.config import PrepareConfig
from preprocessing.dedup.candidates import Pairs
from preprocessing.images.side_features import NUM_PICTURE_FEATURES
from preprocessing.selection.attributes import Attributes
from preprocessing.selection.manifest import (
    CompareOriginals,
    Manifest,
    ManifestStats,
    build_manifest,
)
from preprocessing.selection.originals import ListedOriginal, OriginalIndex
from preprocessing.selection.overrides import Action
from preprocessing.selection.split import is_held_out

CONFIG = PrepareConfig(domain_a="a", domain_b="b", faces=False)
ROW = Original("", "p", "u", "objURL", "", "", "", "", 9, "ok", "", "")


def original(name: str, side: str, age: int, hits: int = 1) -> ListedOriginal:
    rows = (replace(ROW, sha256=name, path=name, fetched_at=f"{age:04}"),) * hits
    return ListedOriginal(name, side, rows)


def analysis_of(number: int, width: int = 300, sharpness: float = 50.0) -> Analysis:
    """A picture that is a duplicate of all others with its number."""
    hashes = (number * 0x0101010101010101,) * 7
    far = 0x5555555555555555
    turned = hashes[0] ^ far, hashes[0] ^ (far << 1)
    whole = Fingerprint(hashes, 2**64 - 1 - hashes[0], turned)
    return Analysis("", 200, width, sharpness, None, whole)


def rows_of(
    originals: Sequence[ListedOriginal],
    analyses: Mapping[str, Analysis],
    overrides: Mapping[str, Action] | None = None,
    **changes: Any,
) -> list[Picture]:
    def compare(names: Sequence[str], pairs: Pairs) -> NDArray[np.float64]:
        wholes = [analyses[name].whole for name in names]
        return np.array([float(wholes[p["inner"]] == wholes[p["outer"]]) for p in pairs])

    config = CONFIG.model_copy(update=changes)
    index = OriginalIndex.build(originals)
    return list(manifest_of(config, index, analyses, overrides or {}, compare).rows())


def manifest_of(
    config: PrepareConfig,
    index: OriginalIndex,
    analyses: Mapping[str, Analysis],
    overrides: Mapping[str, Action],
    compare: CompareOriginals,
) -> Manifest:
    """The manifest, whatever the order in which originals are added."""
    attributes = Attributes(config, index, overrides)
    for name in reversed(index.names):
        attributes.add(name, analyses[name])
    return build_manifest(config, index, attributes, lambda _: analyses, overrides, compare)


def reasons(rows: Sequence[Picture]) -> list[str]:
    return [row.reason for row in rows]


def test_of_a_cluster_the_best_is_kept_and_one_that_was_sharpened_is_not_better() -> None:
    found = rows_of(
        [original(name, "A", age) for age, name in enumerate(["one", "two", "three", "four"])],
        {
            "one": analysis_of(3, 300, 50),
            "two": analysis_of(3, 400, 50),
            "three": analysis_of(3, 400, 900),
            "four": analysis_of(7, 100, 50),
        },
    )
    assert reasons(found) == ["duplicate-of:two", "", "duplicate-of:two", ""]
    assert [row.cluster for row in found] == ["one", "one", "one", "four"]


def test_a_picture_of_both_domains_is_dropped_or_given_to_the_one_that_found_it_more_often() -> (
    None
):
    originals = [original("one", "A", 1, 3), original("two", "B", 2), original("one", "B", 3)]
    analyses = {"one": analysis_of(3), "two": analysis_of(3)}
    assert set(reasons(rows_of(originals, analyses))) == {"in-both-domains"}
    given = rows_of(originals, analyses, both_domains="majority")
    assert reasons(given) == ["", "in-both-domains", "in-both-domains"]
    originals[1] = original("two", "B", 2, 2)
    tied = rows_of(originals, analyses, both_domains="majority")
    assert set(reasons(tied)) == {"in-both-domains"}


def test_a_person_overrules_and_what_was_dropped_has_no_say() -> None:
    originals = [original("one", "A", 1, 3), original("two", "B", 2), original("one", "B", 3)]
    analyses = {"one": analysis_of(3), "two": analysis_of(3)}
    without = rows_of(originals, analyses, {"one": "drop"})
    assert reasons(without) == ["dropped-by-hand", "", "dropped-by-hand"]
    moved = rows_of(originals, analyses, {"one": "move"})
    assert reasons(moved) == ["", "duplicate-of:one", "in-both-domains"]
    assert (moved[0].side, moved[0].domain, moved[0].override) == ("B", "b", "move")


def test_a_picture_does_not_change_sides_when_a_newer_one_bridges_two_clusters() -> None:
    names = [f"name-{k}" for k in range(60)]
    train = next(name for name in names if not is_held_out(name, CONFIG.test_fraction))
    test = next(name for name in names if is_held_out(name, CONFIG.test_fraction))
    analyses = {train: analysis_of(0), test: analysis_of(0), "bridge": analysis_of(0)}
    apart = [original(train, "A", 1), original(test, "A", 2)]

    def compare(_names: Sequence[str], pairs: Pairs) -> NDArray[np.float64]:
        return np.array([float(2 in (p["inner"], p["outer"])) for p in pairs])

    index = OriginalIndex.build([*apart, original("bridge", "A", 3)])
    manifest = manifest_of(CONFIG, index, analyses, {}, compare)
    rows = {row.sha256: row for row in manifest.rows()}
    assert rows[test].reason == "would-change-sides"
    assert sum(row.status == "ok" for row in rows.values()) == 1
    assert manifest.clusters_of_several() == {train}


STATS_CONFIG = PrepareConfig(domain_a="day_time", domain_b="night", min_images=2)
USED = Picture(
    "", "day_time", "A", "train", "", "ok", "", "", "", "", 9, 9, [], [], 1.0, "p", "u", "o"
)
ROWS = [
    *(replace(USED, sha256=f"{k}", file=f"trainA/{k}") for k in range(3)),
    *(replace(USED, sha256=f"t{k}", split="test", file=f"testA/{k}") for k in range(2)),
    replace(USED, sha256="9", side="B", status="rejected", reason="duplicate-of:7", split=""),
    replace(USED, sha256="8", side="B", status="rejected", reason="duplicate-of:6", split=""),
]


def stats_of(rows: Sequence[Picture]) -> ManifestStats:
    stats = ManifestStats(STATS_CONFIG)
    assert list(stats.count(rows)) == list(rows)
    return stats


def test_rows_are_counted_as_they_pass() -> None:
    stats = stats_of(ROWS)
    assert stats.counts() == {"trainA": 3, "trainB": 0, "testA": 2, "testB": 0}
    assert stats.rejected() == {"A": {}, "B": {"duplicate-of": 2}}
    (problem,) = stats.problems()
    assert problem.startswith("domain 'night': 2 originals found, 0 usable")


def test_the_name_depends_on_decisions_and_settings_alone() -> None:
    name = stats_of(ROWS).version({"crop_px": 1})
    assert name.startswith("day-time-night-")
    assert stats_of(ROWS[::-1]).version({"crop_px": 1}) == name
    assert stats_of([replace(row, sharpness=2.0) for row in ROWS]).version({"crop_px": 1}) == name
    assert stats_of(ROWS).version({"crop_px": 2}) != name


@pytest.mark.parametrize("change", [{"side": "B"}, {"reason": "blurred"}, {"override": "keep"}])
def test_another_decision_is_another_version(change: dict[str, str]) -> None:
    other = [replace(ROWS[0], **change), *ROWS[1:]]
    assert stats_of(other).version({}) != stats_of(ROWS).version({})


def test_settings_that_change_no_picture_name_no_version() -> None:
    left_out = CONFIG.model_dump().keys() - identity(CONFIG).keys()
    names = {"chinese_name_a", "chinese_name_b"}
    later = {  # with their defaults
        "min_contrast", "min_colour", "max_frame", "max_seam", "min_light",
        "max_light", "min_side_score", "split_seam",
    }  # fmt: skip
    assert left_out == {"num_workers", "timeout_s", "min_images", *names, *later}
    assert "min_side_score" in identity(CONFIG.model_copy(update={"min_side_score": 0.1}))


def side_scored(
    overrides: Mapping[str, Action] | None = None, **changes: Any
) -> tuple[list[Picture], str]:
    """The rows of 60 pictures a side, of which one of side A looks like side B; its name."""
    rng = np.random.default_rng(0)
    names = [f"{number:02x}{'0' * 62}" for number in rng.permutation(120)]
    sides = {name: "AB"[k % 2] for k, name in enumerate(names)}
    features = {
        name: (rng.normal(0, 1, NUM_PICTURE_FEATURES) + 0.5 * (side == "B")).astype(np.float16)
        for name, side in sides.items()
    }
    wrong = names[0]
    features[wrong] = features[wrong] + np.float16(0.5)
    analyses = {name: analysis_of(k) for k, name in enumerate(names)}
    index = OriginalIndex.build([original(name, sides[name], k) for k, name in enumerate(names)])
    config = CONFIG.model_copy(update={"duplicate_bits": 0, **changes})
    manifest = manifest_of(
        config, index, analyses, overrides or {}, lambda _, pairs: np.zeros(len(pairs))
    )
    scored = manifest.with_side_scores(
        lambda wanted: {name: features[name].tobytes() for name in wanted}
    )
    return list(scored.rows()), wrong


def test_every_used_picture_has_a_side_score_and_by_default_none_is_rejected() -> None:
    rows, wrong = side_scored()
    assert set(reasons(rows)) == {""}
    assert min(rows, key=lambda row: row.side_score).sha256 == wrong
    assert all(0 <= row.side_score <= 1 for row in rows)


def test_with_a_limit_the_least_likely_of_their_side_are_left_out_but_none_a_person_kept() -> None:
    rows, wrong = side_scored(min_side_score=0.15)
    assert [row.sha256 for row in rows if row.reason == "wrong-side"] == [wrong]
    rejected = next(row for row in rows if row.sha256 == wrong)
    assert (rejected.status, rejected.file, rejected.side) == ("rejected", "", "A")
    assert 0 <= rejected.side_score < 0.15
    assert set(reasons(side_scored({wrong: "keep"}, min_side_score=0.15)[0])) == {""}
