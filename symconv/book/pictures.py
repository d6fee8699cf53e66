"""An experiment's pictures: learning curves of its runs, filters and mistakes of the best run."""

from __future__ import annotations

from pathlib import Path

from symconv import viz
from symconv.book.experiments import Experiment
from symconv.book.runner import RESULT, WEIGHTS, Plan, Run, read_json, runs_of
from symconv.nn.saved import load

FORMATS = ("png", "svg")


def draw(e: Experiment, plan: Plan) -> list[Path]:
    """Write curves, filters and errors beside the results of the runs; the paths.

    Raises MissingExtraError without matplotlib, OutputError where a file cannot be written.
    """
    found: list[Path] = []
    for variant in e.variants():
        runs = {
            r: result
            for r in runs_of(e, plan)
            if r.variant == variant and (result := read_json(r.file(RESULT)))
        }
        runs = {r: result for r, result in runs.items() if result["history"] and r.file(WEIGHTS).exists()}
        if runs:
            found += draw_variant(e, plan, runs)
    return found


def draw_variant(e: Experiment, plan: Plan, runs: dict[Run, dict]) -> list[Path]:
    best = max(runs, key=lambda r: runs[r]["validation_accuracy"])
    directory, data = best.directory, plan.dataset
    model = load(best.file(WEIGHTS))
    predictions = model.predict(data.test.images, device=plan.device)
    filters = next((w.get_value() for w in model.weights if w.ndim == 4), None)
    found = []
    for suffix in FORMATS:
        curves = {f"run {r.seed}": result["history"] for r, result in runs.items()}
        found.append(viz.plot_curves(curves, directory / f"curves.{suffix}", title=e.net.about))
        found.append(
            viz.plot_errors(
                data.test.images,
                data.test.labels,
                predictions,
                directory / f"errors.{suffix}",
                image_shape=data.image_shape,
                classes=data.classes,
            )
        )
        if filters is not None:
            found.append(viz.plot_filters(filters, directory / f"filters.{suffix}"))
    return found
