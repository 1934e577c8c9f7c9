"""What a manifest's rows come to: counts, and the name of the version; counted as they pass."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

from core.files import canonical_json, digest
from core.tables import Picture
from preprocessing.config import PrepareConfig
from preprocessing.selection.assignment import LEAST_TEST
from preprocessing.selection.originals import SIDES

_DIGEST_BYTES = 16


class Tally:
    """Counts of rows, all of which have to pass through ``counted``."""

    def __init__(self, config: PrepareConfig) -> None:
        self._config = config
        self._folders = Counter[str]()
        self._reasons: dict[str, Counter[str]] = {side: Counter() for side in SIDES}
        self._decisions = bytearray()

    def counted(self, rows: Iterable[Picture]) -> Iterator[Picture]:
        """The rows as they are."""
        for row in rows:
            if row.status == "ok":
                self._folders[f"{row.split}{row.side}"] += 1
            else:
                self._reasons[row.side][reason_kind(row.reason)] += 1
            self._decisions += _digest(row)
            yield row

    def counts(self, folders: Iterable[str]) -> dict[str, int]:
        """Pictures that are used, by folder."""
        return {name: self._folders[name] for name in folders}

    def rejected(self) -> dict[str, dict[str, int]]:
        """Rejected ones by side and kind of reason, the most frequent first."""
        return {side: dict(nums.most_common()) for side, nums in self._reasons.items()}

    def version(self, settings: Any) -> str:
        """The version's name: of settings and decisions, not of pixels or the rows' order.

        Another processor's last digits change neither.
        """
        halves = np.frombuffer(self._decisions, ">u8").reshape(-1, 2)
        ordered = halves[np.lexsort((halves[:, 1], halves[:, 0]))]
        decisions = hashlib.sha256(ordered.tobytes()).hexdigest()
        name = f"{self._config.domain_a}-{self._config.domain_b}-{digest([settings, decisions])}"
        return name.replace("_", "-")

    def problems(self) -> list[str]:
        """What each domain lacks to be trained on; none where there is enough."""
        problems = []
        for side, domain in zip(SIDES, (self._config.domain_a, self._config.domain_b), strict=True):
            train, test = self._folders[f"train{side}"], self._folders[f"test{side}"]
            usable, rejected = train + test, self._reasons[side]
            if usable < self._config.min_images or train < 2 or test < LEAST_TEST:
                told = ", ".join(f"{reason}: {num}" for reason, num in rejected.most_common())
                problems.append(
                    f"domain {domain!r}: {usable + rejected.total()} originals found, {usable} "
                    f"usable ({train} to train on, {test} to test on), "
                    f"needed {self._config.min_images}; rejected: {told or 'none'}"
                )
        return problems


def reason_kind(reason: str) -> str:
    """A reason without its particulars, for counting."""
    return reason.split(":", maxsplit=1)[0]


def _digest(row: Picture) -> bytes:
    decided = row.sha256, row.side, row.face, row.file, row.reason, row.cluster, row.override
    return hashlib.blake2b(canonical_json(decided).encode(), digest_size=_DIGEST_BYTES).digest()
