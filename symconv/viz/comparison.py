"""Experiments side by side: every run's accuracy beside a figure to reach."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from symconv.errors import ShapeError
from symconv.files import Pathlike
from symconv.viz.figure import INK, new_figure, save


def plot_comparison(
    rows: Mapping[str, tuple[float | None, Sequence[float]]],
    path: Pathlike,
    *,
    label: str = "test accuracy in %",
    goal: str = "book",
    title: str | None = None,
) -> Path:
    """Draw a row for each experiment: its runs as dots, their mean as a bar, the goal as an open diamond.

    `rows` is {name: (goal or None, values of the runs)}; the two are told apart by their shapes. A row
    without runs says so. Returns the path. Raises ShapeError where there is nothing to draw, OutputError for
    a path that cannot be written, MissingExtraError without matplotlib.
    """
    values = {name: np.asarray(runs, np.float64) for name, (_, runs) in rows.items()}
    goals = {name: g for name, (g, _) in rows.items() if g is not None}
    everything = np.concatenate([*values.values(), np.asarray(list(goals.values()), np.float64)])
    everything = everything[np.isfinite(everything)] if everything.size else everything
    if any(v.ndim != 1 for v in values.values()) or not everything.size:
        raise ShapeError(
            "plot_comparison: rows are {name: (goal or None, [value, ...])}, with a value at least"
        )
    figure = new_figure(7.0, 0.28 * len(rows) + 1.2, path)
    axes = figure.add_subplot()
    for y, (name, runs) in enumerate(values.items()):
        found = runs[np.isfinite(runs)]
        axes.plot(found, np.full(len(found), y), "o", color="#444444", markersize=4, label="_", zorder=3)
        if len(found):
            axes.plot([found.mean()] * 2, [y - 0.3, y + 0.3], "-", color="black", linewidth=1.6, zorder=4)
        if name in goals:
            axes.plot(
                [goals[name]],
                [y],
                "D",
                markerfacecolor="white",
                markeredgecolor="#c0392b",
                markersize=7,
                zorder=2,
            )
        if not len(found):
            axes.annotate(
                "not run", (1.01, y), xycoords=("axes fraction", "data"), va="center", fontsize=7, color=INK
            )
    axes.plot([], [], "o", color="#444444", markersize=4, label="a run")
    axes.plot([], [], "|", color="black", markersize=9, markeredgewidth=1.6, label="mean of the runs")
    axes.plot([], [], "D", markerfacecolor="white", markeredgecolor="#c0392b", markersize=7, label=goal)
    margin = 0.06 * float(np.ptp(everything)) or 0.5
    axes.set_xlim(everything.min() - margin, everything.max() + margin)
    axes.set_yticks(range(len(rows)), list(rows), fontsize=8)
    axes.set_ylim(len(rows) - 0.5, -0.5)
    axes.set_xlabel(label, color=INK)
    axes.grid(color="#dddddd", linewidth=0.6)
    axes.set_axisbelow(True)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    figure.legend(loc="outside upper right", ncols=3, fontsize=7, frameon=False)
    if title:
        axes.set_title(title, color=INK)
    return save(figure, path)
