from hypothesis import given
from hypothesis import strategies as st

from scraping.search.phrases import expand

WORDS = st.lists(st.text(min_size=1, max_size=5), max_size=4)


def test_plain_phrases_come_first_and_every_combination_once() -> None:
    found = expand(["素颜", "裸脸"], prefixes=["女生"], suffixes=["高清"])
    assert found == (
        "素颜", "裸脸", "素颜 高清", "裸脸 高清", "女生 素颜", "女生 裸脸",
        "女生 素颜 高清", "女生 裸脸 高清",
    )  # fmt: skip


@given(WORDS, WORDS, WORDS)
def test_searches_are_unique_and_begin_with_the_phrases(
    phrases: list[str], prefixes: list[str], suffixes: list[str]
) -> None:
    found = expand(phrases, prefixes, suffixes)
    assert len(set(found)) == len(found)
    plain = list(dict.fromkeys(phrases))
    assert list(found[: len(plain)]) == plain
    assert len(found) <= len(phrases) * (1 + len(prefixes)) * (1 + len(suffixes))
