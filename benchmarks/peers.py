"""A check, at the start of a benchmark, for the packages that it compares with."""

from __future__ import annotations

import importlib.util


def require(*modules: str) -> None:
    """End the benchmark with the command that installs them, unless all of these can be
    imported.
    """
    missing = [name for name in modules if importlib.util.find_spec(name) is None]
    if missing:
        raise SystemExit(
            f"found no {' and no '.join(missing)}, needed to compare with; "
            "install the peers with: uv pip install -e '.[bench]' -c constraints.txt"
        )
