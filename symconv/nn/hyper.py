"""Search for hyper-parameters: many settings, each trained from several seeds; validation images decide.

Settings are points of a space, {name: values}. `grid` takes every combination, `sample` draws from
distributions. The test images take no part.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from symconv.errors import ArgumentError, NonFiniteError
from symconv.nn.augment import Augmentation
from symconv.nn.draws import order_draws
from symconv.nn.history import History
from symconv.nn.model import Model
from symconv.nn.optimizers import Optimizer
from symconv.nn.replicas import fit_replicas, takes_together
from symconv.nn.schedules import is_number

Setting = dict[str, Any]
# (setting, seed) -> the model, its optimizer, and its lmbda
Build = Callable[[Setting, int], tuple[Model, Optimizer, float]]


@dataclass(frozen=True)
class Uniform:
    """From [low, high], every part of it alike."""

    low: float
    high: float

    def __post_init__(self) -> None:
        if not (is_number(self.low) and is_number(self.high) and self.low < self.high):
            raise ArgumentError(f"{self}: low and high are finite numbers, low below high")

    def at(self, u: float) -> float:
        return self.low + (self.high - self.low) * u


@dataclass(frozen=True)
class LogUniform(Uniform):
    """From [low, high], every order of magnitude alike: for rates and strengths."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.low <= 0:
            raise ArgumentError(f"{self}: low must be above 0")

    def at(self, u: float) -> float:
        return math.exp(math.log(self.low) + math.log(self.high / self.low) * u)


Values = Uniform | Sequence[Any]
Space = Mapping[str, Values]


def choices(name: str, values: Values) -> list[Any]:
    if (
        isinstance(values, Uniform)
        or isinstance(values, str)
        or not isinstance(values, Sequence)
        or not values
    ):
        raise ArgumentError(
            f"grid: {name} needs a list of values, not {values!r}\n  hint: sample(space, n) draws"
        )
    return list(values)


def grid(space: Space) -> list[Setting]:
    """Every combination, the last name's values changing first. Raises ArgumentError for a distribution."""
    lists = [choices(name, values) for name, values in space.items()]
    return [dict(zip(space, point)) for point in itertools.product(*lists)]


def sample(space: Space, n: int, seed: int = 0) -> list[Setting]:
    """n points, each name drawn by itself: from its distribution, or from its list, each value alike.

    The first points do not depend on n.
    """
    if isinstance(n, bool) or not isinstance(n, int) or n < 1:
        raise ArgumentError(f"sample: the number of points must be a whole number above 0, not {n!r}")
    rng = order_draws(seed)
    points = []
    for row in rng.random_sample((n, len(space))):
        point = {}
        for (name, values), u in zip(space.items(), row.tolist()):
            if isinstance(values, Uniform):
                point[name] = values.at(u)
            else:
                listed = choices(name, values)
                point[name] = listed[int(u * len(listed))]
        points.append(point)
    return points


@dataclass(frozen=True)
class Trial:
    """A setting and what came of it: the best validation accuracy of each seed, None where it diverged."""

    setting: Setting
    seeds: tuple[int, ...]
    accuracies: tuple[float | None, ...]
    best_epochs: tuple[int | None, ...]
    stopped: tuple[str | None, ...]

    @property
    def accuracy(self) -> float:
        """The mean over the seeds; one that diverged counts as 0."""
        return float(np.mean([a or 0.0 for a in self.accuracies]))

    def as_json(self) -> dict[str, Any]:
        return {
            "setting": self.setting,
            "validation_accuracy": self.accuracy,
            "seeds": list(self.seeds),
            "accuracies": list(self.accuracies),
            "best_epochs": list(self.best_epochs),
            "stopped": list(self.stopped),
        }


def ranked(trials: Sequence[Trial]) -> list[Trial]:
    """The best first; of equal ones the one that was tried first."""
    return sorted(trials, key=lambda t: -t.accuracy)


def search(
    build: Build,
    settings: Sequence[Setting],
    train: Any,
    validation: Any,
    epochs: int,
    *,
    seeds: Sequence[int] = (0,),
    mini_batch_size: int = 10,
    augment: Augmentation | None = None,
    together: int | None = None,
    device: str | None = None,
    after: Callable[[Trial], object] = lambda trial: None,
) -> list[Trial]:
    """Train every setting from every seed; the trials, best first.

    `build(setting, seed)` makes a model, its optimizer and its lmbda, anew at every call. together: replicas
    in one compiled step (fit_replicas); None leaves it to the device: 8 on a GPU, one elsewhere. after(trial)
    is told of each as it is done. A training that diverges is a result, and the others go on. Ctrl-C raises
    KeyboardInterrupt. Raises ArgumentError.
    """
    if not settings or not seeds or len(set(seeds)) < len(seeds):
        raise ArgumentError(
            f"search: needs settings, and different seeds, got {len(settings)} and {list(seeds)}"
        )
    if together is None:
        together = 8 if takes_together(device) else 1
    if isinstance(together, bool) or not isinstance(together, int) or together < 1:
        raise ArgumentError(f"search: together must be None or a whole number above 0, not {together!r}")
    per = max(1, together // len(seeds))  # whole settings: a trial is done when its group is
    trials: list[Trial] = []
    for first in range(0, len(settings), per):
        group = list(settings[first : first + per])
        jobs = [(setting, seed) for setting in group for seed in seeds]
        histories: list[History] = []
        for at in range(0, len(jobs), together):
            histories += _fit(
                build, jobs[at : at + together], train, validation, epochs, mini_batch_size, augment, device
            )
        for k, setting in enumerate(group):
            mine = histories[k * len(seeds) : (k + 1) * len(seeds)]
            trials.append(
                Trial(
                    setting,
                    tuple(int(s) for s in seeds),
                    tuple(None if h.stopped else h.validation_accuracy for h in mine),
                    tuple(h.best_epoch for h in mine),
                    tuple(h.stopped for h in mine),
                )
            )
            after(trials[-1])
    return ranked(trials)


def _fit(
    build: Build,
    jobs: Sequence[tuple[Setting, int]],
    train: Any,
    validation: Any,
    epochs: int,
    mini_batch_size: int,
    augment: Augmentation | None,
    device: str | None,
) -> list[History]:
    """The histories of (setting, seed) trained at once; where one diverges, of all trained one by one."""
    made = [build(dict(setting), seed) for setting, seed in jobs]
    models, optimizers, lmbdas = zip(*made)
    try:
        found = fit_replicas(
            models, optimizers, train, epochs, validation,
            mini_batch_size=mini_batch_size, lmbda=lmbdas, augment=augment, together=len(jobs) > 1,
            device=device,
        )  # fmt: skip
    except NonFiniteError as error:
        if len(jobs) == 1:
            return [History(stopped=str(error).partition("\n")[0])]
        parts = [
            _fit(build, [job], train, validation, epochs, mini_batch_size, augment, device) for job in jobs
        ]
        return [history for part in parts for history in part]
    if any(h.interrupted for h in found):
        raise KeyboardInterrupt
    return found


__all__ = ["LogUniform", "Trial", "Uniform", "grid", "ranked", "sample", "search"]
