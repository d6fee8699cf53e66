"""Pictures as PNG or SVG: filters, misclassified images, training curves, confusion matrix, graphs."""

from __future__ import annotations

from symconv.viz.comparison import plot_comparison
from symconv.viz.confusion import plot_confusion
from symconv.viz.curves import plot_curves
from symconv.viz.features import plot_features
from symconv.viz.filters import plot_filters
from symconv.viz.graphs import draw_graph, draw_stages
from symconv.viz.mistakes import plot_errors

__all__ = [
    "draw_graph",
    "draw_stages",
    "plot_comparison",
    "plot_confusion",
    "plot_curves",
    "plot_errors",
    "plot_features",
    "plot_filters",
]
