"""The search phrases behind a dataset, and the yield of each."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from core.tables import Picture, iter_rows


@dataclass(frozen=True)
class PhraseYield:
    """A phrase of a domain, with the number of its originals and of the usable ones among them."""

    domain: str
    phrase: str
    num_originals: int
    num_usable: int


def phrase_yields(manifest: Path) -> list[PhraseYield]:
    """The phrases in a dataset's manifest, by side and then by yield; none without a manifest."""
    originals, usable = Counter[tuple[str, str, str]](), Counter[tuple[str, str, str]]()
    for row in iter_rows(manifest, Picture) if manifest.is_file() else ():
        key = (row.side, row.domain, row.phrase)
        originals[key] += 1
        usable[key] += row.status == "ok"
    by_yield = originals.most_common()
    return [
        PhraseYield(domain, phrase, num, usable[side, domain, phrase])
        for (side, domain, phrase), num in sorted(by_yield, key=lambda each: each[0][:2])
    ]
