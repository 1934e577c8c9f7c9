"""Decisions about originals that depend on one another."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.tables import Original, Picture
from preprocessing.analysis.analyse import Analysis
from preprocessing.analysis.fingerprint import Fingerprint
from preprocessing.config import PrepareConfig
from preprocessing.dedup.candidates import Pairs
from preprocessing.selection.attributes import Attributes
from preprocessing.selection.originals import ListedOriginal
from preprocessing.selection.manifest import Manifest, Judge, build_manifest
from preprocessing.selection.originals import OriginalIndex
from preprocessing.selection.overrides import Action
from preprocessing.selection.split import is_held_out

CONFIG = PrepareConfig(domain_a="a", domain_b="b", faces=False)
ROW = Original("", "p", "u", "objURL", "", "", "", "", 9, "ok", "", "")


def original(name: str, side: str, age: int, hits: int = 1) -> ListedOriginal:
    rows = (replace(ROW, sha256=name, path=name, fetched_at=f"{age:04}"),) * hits
    return ListedOriginal(name, side, rows)


def sees(number: int, width: int = 300, sharpness: float = 50.0) -> Analysis:
    """A picture that looks like all others of its number."""
    hashes = (number * 0x0101010101010101,) * 7
    return Analysis("", 200, width, sharpness, None, Fingerprint(hashes, 2**64 - 1 - hashes[0]))


def decided(
    originals: Sequence[ListedOriginal],
    analyses: Mapping[str, Analysis],
    overrides: Mapping[str, Action] | None = None,
    **changes: Any,
) -> list[Picture]:
    def judge(names: Sequence[str], pairs: Pairs) -> NDArray[np.float64]:
        wholes = [analyses[name].whole for name in names]
        return np.array([float(wholes[p["view"]] == wholes[p["frame"]]) for p in pairs])

    config = CONFIG.model_copy(update=changes)
    return list(made(config, OriginalIndex.of(originals), analyses, overrides or {}, judge).rows())


def made(
    config: PrepareConfig,
    register: OriginalIndex,
    analyses: Mapping[str, Analysis],
    overrides: Mapping[str, Action],
    judge: Judge,
) -> Manifest:
    """The decision, whatever the order in which originals are surveyed."""
    survey = Attributes(config, register, overrides)
    for name in reversed(register.names):
        survey.add(name, analyses[name])
    return build_manifest(config, register, survey, lambda _: analyses, overrides, judge)


def reasons(rows: Sequence[Picture]) -> list[str]:
    return [row.reason for row in rows]


def test_of_a_cluster_the_best_is_kept_and_one_that_was_sharpened_is_not_better() -> None:
    found = decided(
        [original(name, "A", age) for age, name in enumerate(["one", "two", "three", "four"])],
        {
            "one": sees(3, 300, 50),
            "two": sees(3, 400, 50),
            "three": sees(3, 400, 900),
            "four": sees(7, 100, 50),
        },
    )
    assert reasons(found) == ["duplicate-of:two", "", "duplicate-of:two", ""]
    assert [row.cluster for row in found] == ["one", "one", "one", "four"]


def test_a_picture_of_both_domains_is_dropped_or_given_to_the_one_that_found_it_more_often() -> (
    None
):
    originals = [original("one", "A", 1, 3), original("two", "B", 2), original("one", "B", 3)]
    analyses = {"one": sees(3), "two": sees(3)}
    assert set(reasons(decided(originals, analyses))) == {"in-both-domains"}
    given = decided(originals, analyses, both_domains="majority")
    assert reasons(given) == ["", "in-both-domains", "in-both-domains"]
    originals[1] = original("two", "B", 2, 2)
    tied = decided(originals, analyses, both_domains="majority")
    assert set(reasons(tied)) == {"in-both-domains"}


def test_a_person_overrules_and_what_was_dropped_has_no_say() -> None:
    originals = [original("one", "A", 1, 3), original("two", "B", 2), original("one", "B", 3)]
    analyses = {"one": sees(3), "two": sees(3)}
    without = decided(originals, analyses, {"one": "drop"})
    assert reasons(without) == ["dropped-by-hand", "", "dropped-by-hand"]
    moved = decided(originals, analyses, {"one": "move"})
    assert reasons(moved) == ["", "duplicate-of:one", "in-both-domains"]
    assert (moved[0].side, moved[0].domain, moved[0].override) == ("B", "b", "move")


def test_a_picture_does_not_change_sides_when_a_newer_one_bridges_two_clusters() -> None:
    names = [f"name-{k}" for k in range(60)]
    train = next(name for name in names if not is_held_out(name, CONFIG.test_fraction))
    test = next(name for name in names if is_held_out(name, CONFIG.test_fraction))
    analyses = {train: sees(0), test: sees(0), "bridge": sees(0)}
    apart = [original(train, "A", 1), original(test, "A", 2)]

    def judge(_names: Sequence[str], pairs: Pairs) -> NDArray[np.float64]:
        return np.array([float(2 in (p["view"], p["frame"])) for p in pairs])

    register = OriginalIndex.of([*apart, original("bridge", "A", 3)])
    decision = made(CONFIG, register, analyses, {}, judge)
    rows = {row.sha256: row for row in decision.rows()}
    assert rows[test].reason == "would-change-sides"
    assert sum(row.status == "ok" for row in rows.values()) == 1
    assert decision.several() == {train}
