"""Pictures as PNG or SVG: filters, misclassified images, training curves, confusion matrix."""

from __future__ import annotations

from symconv.viz.confusion import plot_confusion
from symconv.viz.curves import plot_curves
from symconv.viz.filters import plot_filters
from symconv.viz.mistakes import plot_errors

__all__ = ["plot_confusion", "plot_curves", "plot_errors", "plot_filters"]
