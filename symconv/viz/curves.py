"""Cost and accuracy by epoch, of one run or several."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from symconv.errors import ShapeError
from symconv.files import Pathlike
from symconv.viz.figure import INK, new_figure, save

# (colour, dash, marker): told apart without colour too, which differs in lightness besides.
LOOKS = (
    ("#1b4965", "-", "o"),
    ("#e07a1f", "--", "s"),
    ("#4f9d69", "-.", "^"),
    ("#8b2f8f", ":", "D"),
    ("#62b6cb", (0, (5, 1)), "v"),
    ("#7a7a7a", (0, (1, 1)), "P"),
)
MARKERS = 15  # of a curve at most: of sixty epochs they would hide the line
# What each panel shows: (key, its word in the legend, whether its markers are open).
PANELS = {
    "cost": (("cost", "", False),),
    "accuracy in %": (
        ("test_accuracy", "test", False),
        ("validation_accuracy", "validation", True),
        ("training_accuracy", "training", True),
    ),
}
Run = Mapping[str, Sequence[float]] | Sequence[Mapping[str, float]]


def plot_curves(history: Run | Mapping[str, Run], path: Pathlike, *, title: str | None = None) -> Path:
    """Draw cost, and validation and test accuracy, against the epoch, into a .png or .svg; returns the path.

    A cost that falls over more than a decade and a half is drawn on a logarithmic scale, where its end can
    be told from zero. `history` is a run, or several by name. A run is a list of one dict per epoch, or a
    dict of lists, with any of the keys cost, training_accuracy, validation_accuracy, test_accuracy
    (fractions from 0 to 1) and epoch (else 1, 2, ...). Values that are missing, None, NaN or Inf leave a
    gap. Raises ShapeError for anything else, OutputError for a path that cannot be written,
    MissingExtraError without matplotlib.
    """
    runs = {name: columns_of(run, name) for name, run in named_runs(history).items()}
    panels = {
        label: curves
        for label, curves in PANELS.items()
        if any(key in run for run in runs.values() for key, _, _ in curves)
    }
    if not panels:
        raise ShapeError(
            "plot_curves: no run has a cost or an accuracy"
            f"\n  runs: {', '.join(f'{name}: {sorted(run)}' for name, run in runs.items())}"
        )
    figure = new_figure(4.6 * len(panels), 3.6, path)
    for place, (label, curves) in enumerate(panels.items(), 1):
        axes = figure.add_subplot(1, len(panels), place)
        for row, (name, run) in enumerate(runs.items()):
            for column, (key, word, hollow) in enumerate(curves):
                if key in run:
                    # Several runs differ by colour and dash; the curves of a single one may have them too.
                    colour, dash, marker = LOOKS[(row if len(runs) > 1 else column) % len(LOOKS)]
                    axes.plot(
                        run["epoch"],
                        run[key] * (1 if key == "cost" else 100),
                        color=colour,
                        linestyle=dash,
                        linewidth=1.4,
                        marker=marker,
                        markersize=4,
                        markevery=max(1, -(-len(run[key]) // MARKERS)),
                        markerfacecolor="white" if hollow else colour,
                        label=" ".join(filter(None, (name, word))),
                    )
        axes.set_xlabel("epoch", color=INK)
        axes.set_ylabel(label, color=INK)
        axes.xaxis.get_major_locator().set_params(integer=True)
        if label == "cost" and spans_decades([run["cost"] for run in runs.values() if "cost" in run]):
            axes.set_yscale("log")
        axes.grid(color="#dddddd", linewidth=0.6)
        axes.set_axisbelow(True)
        for side in ("top", "right"):
            axes.spines[side].set_visible(False)
        if axes.get_legend_handles_labels()[1]:
            axes.legend(fontsize=7, frameon=False)
    if title:
        figure.suptitle(title, color=INK)
    return save(figure, path)


def spans_decades(curves: Sequence[np.ndarray]) -> bool:
    """Whether the greatest finite value is more than 30 times the least, and all are above 0."""
    values = np.concatenate(curves)
    values = values[np.isfinite(values)]
    return bool(values.size and values.min() > 0 and values.max() > 30 * values.min())


def named_runs(history: Any) -> dict[str, Any]:
    """{name: run}; a single run gets the empty name."""
    if not isinstance(history, Mapping):
        return {"": history}
    single = all(
        not isinstance(v, Mapping) and (not len(v) or not isinstance(v[0], Mapping))
        for v in history.values()
        if hasattr(v, "__len__")
    )
    return {"": history} if single else {str(name): run for name, run in history.items()}


def columns_of(run: Any, name: str) -> dict[str, np.ndarray]:
    """The run's numbers by key, NaN where there is none, and its epochs."""
    try:
        if not isinstance(run, Mapping):
            keys = dict.fromkeys(key for row in run for key in row)
            run = {key: [row.get(key) for row in run] for key in keys}
        wanted = [key for key in run if key in ("cost", "epoch") or key.endswith("_accuracy")]
        columns = {key: np.array([np.nan if v is None else v for v in run[key]], float) for key in wanted}
    except (TypeError, ValueError, AttributeError) as why:
        raise ShapeError(
            f"plot_curves: run {name!r} is neither a list of dicts of numbers nor a dict of "
            f"lists\n  {type(why).__name__}: {why}"
        ) from why
    lengths = {key: len(column) for key, column in columns.items()}
    if len(set(lengths.values())) > 1:
        raise ShapeError(f"plot_curves: the columns of run {name!r} differ in length\n  {lengths}")
    for column in columns.values():
        column[~np.isfinite(column)] = np.nan
    columns.setdefault("epoch", np.arange(1, max(lengths.values(), default=0) + 1, dtype=float))
    return columns
