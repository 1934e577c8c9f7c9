"""Splits depend only on names."""

from hypothesis import given
from hypothesis import strategies as st

from preprocessing.selection.split import choose_held_out

names = st.sets(st.text("0123456789abcdef", min_size=4, max_size=8), max_size=60)


@given(names, names, st.floats(0.01, 0.89))
def test_a_growing_dataset_moves_nothing_across(old: set[str], new: set[str], share: float) -> None:
    before = choose_held_out(old, share, 0)
    after = choose_held_out(old | new, share, 0)
    if len(before) < len(old) - 1:  # otherwise one was kept back to train on
        assert after & old == before


@given(names, st.floats(0.01, 0.89))
def test_small_datasets_still_have_both_splits(some: set[str], share: float) -> None:
    test = choose_held_out(some, share, 2)
    assert test <= some
    if some:
        assert len(test) < len(some)
    if len(some) > 2:
        assert len(test) >= 2


def test_the_share_is_about_what_was_asked() -> None:
    assert 800 < len(choose_held_out([str(number) for number in range(5000)], 0.18, 2)) < 1000
