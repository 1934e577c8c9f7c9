"""Phrase expansion: a few words become many searches."""

from __future__ import annotations

from collections.abc import Iterable


def expand(
    phrases: Iterable[str], prefixes: Iterable[str] = (), suffixes: Iterable[str] = ()
) -> tuple[str, ...]:
    """Every phrase as it is, then with each suffix, with each prefix, and with both.

    Words are joined by a blank, as one types them; each search stands once, the plain ones first.
    """
    plain = list(phrases)
    before, after = list(prefixes), list(suffixes)
    pieces = [(phrase,) for phrase in plain]
    searches: list[tuple[str, ...]] = [
        *pieces,
        *((phrase, suffix) for suffix in after for phrase in plain),
        *((prefix, phrase) for prefix in before for phrase in plain),
        *((prefix, phrase, suffix) for prefix in before for suffix in after for phrase in plain),
    ]
    return tuple(dict.fromkeys(" ".join(words) for words in searches))
