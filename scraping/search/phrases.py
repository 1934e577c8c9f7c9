"""Phrase expansion: many searches from a few phrases, prefixes and suffixes."""

from __future__ import annotations

from collections.abc import Iterable


def expand(
    phrases: Iterable[str], prefixes: Iterable[str] = (), suffixes: Iterable[str] = ()
) -> tuple[str, ...]:
    """Every phrase alone, then with each suffix, with each prefix, and with both.

    A space joins the words. Each search occurs once, the plain phrases first.
    """
    phrases, prefixes, suffixes = list(phrases), list(prefixes), list(suffixes)
    searches: list[tuple[str, ...]] = [
        *((phrase,) for phrase in phrases),
        *((phrase, suffix) for suffix in suffixes for phrase in phrases),
        *((prefix, phrase) for prefix in prefixes for phrase in phrases),
        *(
            (prefix, phrase, suffix)
            for prefix in prefixes
            for suffix in suffixes
            for phrase in phrases
        ),
    ]
    return tuple(dict.fromkeys(" ".join(words) for words in searches))
