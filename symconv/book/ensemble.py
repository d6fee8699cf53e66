"""The book's committee: five nets of one experiment, and what they decide together."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from symconv import viz
from symconv.book.experiments import Experiment
from symconv.book.runner import RESULT, STATE, Plan, Run, make_directory, runs_of, write_json
from symconv.errors import MissingExtraError
from symconv.files import atomic_path
from symconv.nn import metrics, resume
from symconv.nn.committee import RULES, Committee, decide

COMMITTEE, PREDICTIONS, ERRORS = "committee.json", "predictions.npz", "errors.png"
# Which weights vote: those after the last epoch, as conv.py's ensemble() has them, or of the best epoch.
MOMENTS = ("last", "best")


def members(e: Experiment, plan: Plan) -> list[Run]:
    """The runs that vote: those of `plan` that were trained at all."""
    return [r for r in runs_of(e, plan) if r.file(STATE).exists() and r.file(RESULT).exists()]


def alike(a: Mapping[str, np.ndarray], b: Mapping[str, np.ndarray]) -> bool:
    return a.keys() == b.keys() and all(np.array_equal(a[name], b[name]) for name in a)


def judge(e: Experiment, plan: Plan) -> dict[str, Any]:
    """Let the members of the committee decide on the test images, and write what comes of it.

    Into OUT/EXPERIMENT: committee.json, predictions.npz (each member's probabilities and the decisions of
    the last weights), errors.png (the digits that the plurality gets wrong). Returns committee.json's object.
    """
    voters = members(e, plan)
    directory = plan.directory / e.name
    make_directory(directory)
    data = plan.dataset
    images, labels = data.test
    models = [r.build() for r in voters]
    weights = [dict(zip(("best", "last"), resume.read_weights(r.file(STATE)))) for r in voters]
    views = None if e.recipe is None else e.recipe.views
    result: dict[str, Any] = {
        "experiment": e.name,
        "members": [str(r.file(RESULT).relative_to(plan.directory)) for r in voters],
        "rule": "vote",
        "weights": MOMENTS[0],
        "test_images": len(labels),
        "limit": plan.limit,
    }
    kept: dict[str, np.ndarray] = {}
    for moment in MOMENTS:
        if moment == MOMENTS[0] or not all(alike(found[moment], found[MOMENTS[0]]) for found in weights):
            for model, found in zip(models, weights):
                model.set_weights(found[moment])
            p = Committee(models).probabilities(images, views=views, device=plan.device)
        decisions = {rule: decide(p, rule) for rule in RULES}
        result[moment] = {
            **{rule: metrics.accuracy(labels, decision) for rule, decision in decisions.items()},
            "members": [metrics.accuracy(labels, scores) for scores in p],
        }
        if moment == MOMENTS[0]:
            kept = {"probabilities": p, **decisions}
    result["test_accuracy"] = result[MOMENTS[0]]["vote"]
    wrong = np.flatnonzero(kept["vote"] != labels)
    result["errors"] = [
        {"image": int(i), "true": int(labels[i]), "predicted": int(kept["vote"][i])} for i in wrong
    ]
    write_json(directory / COMMITTEE, result)
    with atomic_path(directory / PREDICTIONS) as path, path.open("wb") as file:
        np.savez_compressed(file, **kept)  # type: ignore[arg-type]
    try:
        viz.plot_errors(
            images,
            labels,
            kept["vote"],
            directory / ERRORS,
            image_shape=data.image_shape,
            classes=data.classes,
        )
    except MissingExtraError:
        pass  # the numbers are there without matplotlib
    return result
