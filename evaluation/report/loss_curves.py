"""The training curves as an inline SVG; text in it is language-neutral."""

from __future__ import annotations

import io
import os
import re
from collections.abc import Mapping, Sequence
from typing import Any

os.environ["MPLBACKEND"] = "agg"  # a notebook sets its own for all programs, which ours may lack

import numpy as np
from matplotlib import rc_context
from matplotlib.figure import Figure

_PANELS = (
    (("cycle_A", "cycle_B", "identity_A", "identity_B"), "#b4534a"),
    (("G_A", "G_B"), "#3d6a8a"),
    (("D_A", "D_B"), "#5d7d4e"),
)
_SHADES = (1.0, 0.55, 0.8, 0.35)
_INK = "#8a8580"
_MAX_POINTS = 400


def loss_curves(log: Sequence[Mapping[str, Any]]) -> str:
    """The log's losses by step as ``<svg>…</svg>``; ``""`` for less than two rows."""
    rows = [row for row in log if isinstance(row.get("step"), int | float)]
    if len(rows) < 2:
        return ""
    with rc_context({"svg.fonttype": "none", "svg.hashsalt": "suyan", "font.size": 8}):
        figure = Figure(figsize=(9, 2.5), layout="constrained")
        for axes, (names, colour) in zip(figure.subplots(1, 3), _PANELS, strict=True):
            _panel(axes, rows, names, colour)
        buffer = io.StringIO()
        figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None})
    svg = re.search(r"<svg.*</svg>", buffer.getvalue(), re.DOTALL)
    assert svg is not None
    text = re.sub(r"<metadata>.*?</metadata>", "", svg.group(), flags=re.DOTALL)
    return re.sub(r'(<svg[^>]*?) width="[^"]*"', r'\1 width="100%"', text, count=1).replace(
        ' height="180pt"', "", 1
    )


def _panel(axes: Any, rows: Sequence[Mapping[str, Any]], names: Sequence[str], colour: str) -> None:
    for name, alpha in zip(names, _SHADES, strict=False):
        points = [
            (row["step"], row[name]) for row in rows if isinstance(row.get(name), int | float)
        ]
        if points:
            steps, values = _thin(np.array(points, dtype=np.float64))
            axes.plot(steps, values, color=colour, alpha=alpha, linewidth=1.1, label=name)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    for side in ("bottom", "left"):
        axes.spines[side].set_color(_INK)
    axes.tick_params(colors=_INK, width=0.6)
    axes.grid(axis="y", color=_INK, alpha=0.2, linewidth=0.5)
    axes.set_ylim(bottom=0)
    if axes.get_legend_handles_labels()[0]:
        axes.legend(frameon=False, labelcolor=_INK, fontsize=7, ncols=2)


def _thin(points: np.ndarray[Any, np.dtype[np.float64]]) -> tuple[Any, Any]:
    """Steps and values of at most ``_MAX_POINTS`` points, each the mean of a stretch of the log."""
    parts = np.array_split(points, min(len(points), _MAX_POINTS))
    means = np.array([part.mean(axis=0) for part in parts])
    return means[:, 0], means[:, 1]
