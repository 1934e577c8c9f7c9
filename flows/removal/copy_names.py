"""Names of files that were made from an original: crops, previews, pictures of a report."""

from __future__ import annotations

import re
from collections.abc import Collection

from storage.forgotten_record import NUM_DIGITS

_DIGITS = re.compile(rf"[0-9a-f]{{{NUM_DIGITS},}}")


def is_named_after(name: str, heads: Collection[str]) -> bool:
    """Whether a file's name has the first digits of one of these originals, such as
    ``<digits>.png``, ``<digits>-1.png`` of its second face, or ``<sha256>-<digest>.png``.
    """
    return any(digits[:NUM_DIGITS] in heads for digits in _DIGITS.findall(name))
