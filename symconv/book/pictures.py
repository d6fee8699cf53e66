"""An experiment's pictures: learning curves of its runs; filters, mistakes, feature maps of the best run."""

from __future__ import annotations

from pathlib import Path

from symconv import viz
from symconv.book.ensemble import COMMITTEE
from symconv.book.experiments import EXPERIMENTS, Experiment
from symconv.book.report import Summary, chosen_variant, read_results
from symconv.book.runner import RESULT, WEIGHTS, Plan, Run, read_json, runs_of
from symconv.files import Pathlike
from symconv.nn.activations import layer_outputs
from symconv.nn.saved import load

FORMATS = ("png", "svg")


def draw(e: Experiment, plan: Plan, digit: int = 0) -> list[Path]:
    """Write curves, filters, errors and features beside the results of the runs; the paths.

    features.png shows what every layer makes of test image `digit`.

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
            found += draw_variant(e, plan, runs, digit)
    return found


def draw_variant(e: Experiment, plan: Plan, runs: dict[Run, dict], digit: int) -> list[Path]:
    best = max(runs, key=lambda r: runs[r]["validation_accuracy"] or 0.0)
    directory, data = best.directory, plan.dataset
    model = load(best.file(WEIGHTS))
    predictions = model.predict(data.test.images, device=plan.device)
    outputs = layer_outputs(model, data.test.images[digit : digit + 1], device=plan.device)
    features = {name: value[0] for name, value in outputs.items()}
    image = data.test.images[digit].reshape(data.image_shape).mean(0)
    true, predicted = (data.classes[k] for k in (data.test.labels[digit], predictions[digit]))
    heading = f"{e.net.about}: a {true}, taken for a {predicted}"
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
        found.append(viz.plot_features(image, features, directory / f"features.{suffix}", title=heading))
        if filters is not None:
            found.append(viz.plot_filters(filters, directory / f"filters.{suffix}"))
    return found


def draw_comparison(out: Pathlike) -> list[Path]:
    """comparison.png and .svg in `out`: the runs of every experiment beside the book's figures."""
    results = read_results(out)
    rows: dict[str, tuple[float | None, list[float]]] = {}
    for name, e in EXPERIMENTS.items():
        if e.members:
            committee = read_json(Path(out) / name / COMMITTEE)
            rows[name] = (e.book, [] if committee is None else [100 * committee["test_accuracy"]])
        else:
            variant = chosen_variant(results.get(name, {}))
            rows[name] = (e.book, [] if variant is None else Summary(results[name][variant]).accuracies)
    return [viz.plot_comparison(rows, Path(out) / f"comparison.{suffix}") for suffix in FORMATS]
