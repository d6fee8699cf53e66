"""Runs an experiment: every run resumable at an epoch, one JSON of results each.

Files of the run with seed S in OUT/EXPERIMENT (and a directory for each lambda of a sweep): run-S.json,
run-S.state.safetensors (Trainer's state, from which a run goes on), run-S.weights.safetensors (of the best
epoch).
"""

from __future__ import annotations

import importlib
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from symconv import datasets
from symconv.book.experiments import Experiment, experiment
from symconv.datasets import Dataset, Split
from symconv.datasets.augment import shift_expand
from symconv.device import resolve_device
from symconv.errors import DataError, NonFiniteError, OutputError
from symconv.files import Pathlike, atomic_path, locked, output_hint, reason
from symconv.nn import SGD, History, Model, Net, Optimizer, Trainer, metrics
from symconv.nn.progress import Progress

RESULT, STATE, WEIGHTS = "run-{}.json", "run-{}.state.safetensors", "run-{}.weights.safetensors"
ONE_VIEW = "one_view_test_accuracy"  # in the results, where test_accuracy is that over more views of an image
EXPANSION_SEED = 0  # the book expanded the data once, for all its nets


@dataclass(frozen=True)
class Plan:
    """How to run: None stands for the book's value. limit: the first images of each split alone.

    Run k of an experiment has the seed `seed` + k. Raises ConfigError, DataError, OutputError.
    """

    out: Pathlike | None = None
    epochs: int | None = None
    runs: int | None = None
    seed: int = 0
    limit: int | None = None
    data: Pathlike | None = None
    device: str | None = None

    @property
    def directory(self) -> Path:
        """Where results go; a limited run never meets the results of a whole one."""
        return (
            Path(self.out)
            if self.out
            else Path("runs") / ("book" if self.limit is None else f"book-first-{self.limit}")
        )

    def seeds(self, e: Experiment) -> range:
        return range(self.seed, self.seed + (e.runs if self.runs is None else self.runs))

    @cached_property
    def dataset(self) -> Dataset:
        if self.data is None:
            return datasets.mnist(limit=self.limit)
        return datasets.load(self.data, limit=self.limit)

    @cached_property
    def expanded(self) -> Split:
        images, labels = self.dataset.train
        return Split(*shift_expand(images, labels, image_shape=self.dataset.image_shape, seed=EXPANSION_SEED))

    @cached_property
    def with_validation(self) -> Split:
        """The images to train on and, behind them, those for validation."""
        train, validation = self.dataset.train, self.dataset.validation
        return Split(*(np.concatenate(parts) for parts in zip(train, validation)))


@dataclass(eq=False)
class Run:
    """One training of an experiment: its network, its seed, its files."""

    plan: Plan
    experiment: Experiment
    variant: str
    net: Net
    seed: int
    history: History = field(default_factory=History)

    @property
    def directory(self) -> Path:
        return self.plan.directory / (self.experiment.members or self.experiment.name) / self.variant

    def file(self, pattern: str) -> Path:
        return self.directory / pattern.format(self.seed)

    @property
    def title(self) -> str:
        return " ".join(filter(None, (self.experiment.name, self.variant, f"run {self.seed}")))

    @property
    def epochs(self) -> int:
        return self.plan.epochs or self.net.epochs

    def settings(self) -> dict[str, Any]:
        """What tells the run apart from one that would give other numbers."""
        recipe = self.experiment.recipe
        beyond = (
            {}
            if recipe is None
            else {
                "optimizer": repr(self.optimizer()),
                "augment": repr(recipe.augment),
                "holds_out": recipe.holds_out,
                **({} if recipe.views is None else {"views": repr(recipe.views)}),
            }
        )
        return {
            "experiment": self.experiment.members or self.experiment.name,
            "seed": self.seed,
            "eta": self.net.eta,
            "lmbda": self.net.lmbda,
            "mini_batch_size": self.net.mini_batch_size,
            "expanded": self.experiment.expanded,
            "limit": self.plan.limit,
            "data": None if self.plan.data is None else str(self.plan.data),
            **beyond,
        }

    def done(self) -> bool:
        """Whether the results of all epochs are there."""
        found = read_json(self.file(RESULT))
        return (
            found is not None
            and all(found.get(key) == value for key, value in self.settings().items())
            and (bool(found.get("stopped")) or (found.get("epochs", 0) >= self.epochs and self.judged(found)))
            and self.file(STATE).exists()
            and self.file(WEIGHTS).exists()
        )

    def judged(self, result: dict[str, Any]) -> bool:
        """Whether the trained net has seen the test images as the recipe has it."""
        recipe = self.experiment.recipe
        return recipe is None or recipe.views is None or ONE_VIEW in result

    def optimizer(self) -> Optimizer:
        recipe = self.experiment.recipe
        return SGD(self.net.eta) if recipe is None else recipe.optimizer(self.epochs)

    def train(self, progress: Progress | bool | None) -> History:
        """Train, or go on training, and write the results. Ctrl-C ends it with `interrupted` set."""
        plan, data, recipe = self.plan, self.plan.dataset, self.experiment.recipe
        model = self.build()
        trainer = Trainer(
            model,
            self.optimizer(),
            mini_batch_size=self.net.mini_batch_size,
            lmbda=self.net.lmbda,
            shuffle=recipe is not None and recipe.shuffle,
            augment=None if recipe is None else recipe.augment,
            progress=progress,
            device=plan.device,
            callbacks=[lambda t, row: self.write(t.history)],
        )
        held_out = data.validation if self.holds_out else None
        try:
            trainer.fit(self.train_split(), self.epochs, held_out, data.test, resume_from=self.file(STATE))
        except NonFiniteError:
            pass  # a result too: `stopped` tells it
        history = trainer.history
        if history.epochs:
            model.save(
                self.file(WEIGHTS),
                {"net": self.net.name, "classes": list(data.classes), "image_shape": list(data.image_shape)},
            )
            self.write(history, self.viewed(model, history))
        return history

    def viewed(self, model: Model, history: History) -> float | None:
        """Test accuracy over the recipe's views, once the last epoch is done; None without such."""
        recipe, (images, labels) = self.experiment.recipe, self.plan.dataset.test
        if recipe is None or recipe.views is None or len(history.epochs) < self.epochs:
            return None
        p = recipe.views.predict_proba(model, images, device=self.plan.device)
        return metrics.accuracy(labels, p.argmax(1))

    def train_split(self) -> Split:
        if self.experiment.expanded:
            return self.plan.expanded
        return self.plan.dataset.train if self.holds_out else self.plan.with_validation

    @property
    def holds_out(self) -> bool:
        recipe = self.experiment.recipe
        return recipe is None or recipe.holds_out

    def build(self) -> Model:
        data, recipe = self.plan.dataset, self.experiment.recipe
        if recipe is not None:
            return recipe.build(self.net, data.image_shape, data.n_classes, self.seed)
        return self.net.build(data.image_shape, data.n_classes, self.seed)

    def write(self, history: History, viewed: float | None = None) -> None:
        """`viewed`: the test accuracy that counts, where the net has more than one view of an image."""
        data = self.plan.dataset
        result = {
            **self.settings(),
            "epochs": len(history.epochs),
            "planned_epochs": self.epochs,
            "best_epoch": history.best_epoch,
            "validation_accuracy": history.validation_accuracy,
            "test_accuracy": history.test_accuracy if viewed is None else viewed,
            **({} if viewed is None else {ONE_VIEW: history.test_accuracy}),
            "train_images": len(self.train_split()),
            "test_images": len(data.test),
            "stopped": history.stopped,
            "seconds": round(history.seconds, 3),
            "device": self.plan.device or resolve_device(),
            "version": importlib.import_module("symconv").__version__,
            "history": history.epochs,
        }
        write_json(self.file(RESULT), result)


def runs_of(e: Experiment, plan: Plan) -> Iterator[Run]:
    """Every run of the experiment; of a sweep, the first run of all values before the second of any."""
    for seed in plan.seeds(e):
        for variant, net in e.variants().items():
            yield Run(plan, e, variant, net, seed)


def run(
    name: str,
    plan: Plan | None = None,
    *,
    progress: Progress | bool | None = None,
    say: Callable[[str], None] = lambda text: None,
) -> bool:
    """Do what is missing of the experiment's runs; False where Ctrl-C ended it. Results: see the module.

    What was done before, in this process or another, is not done again; a run that was cut off goes on after
    its last whole epoch. `say` is told of every run. Raises ConfigError, DataError, OutputError and
    WeightsError.
    """
    e, plan = experiment(name), plan or Plan()
    for r in runs_of(e, plan):
        make_directory(r.directory)
        if r.done():
            say(f"{r.title}: done before, in {r.file(RESULT)}")
            continue
        recipe = f"{r.optimizer()}" if e.recipe else f"eta {r.net.eta:g}, lambda {r.net.lmbda:g}"
        with locked(r.file(STATE), wait=False):  # two processes would write over each other's epochs
            say(f"{r.title}: {r.epochs} epochs, {recipe}")
            history = r.train(progress)
        if history.interrupted:
            return False
        if history.stopped:
            say(f"{r.title}: {history.stopped}")
    return True


def make_directory(path: Path) -> None:
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as why:
        raise OutputError(
            f"cannot make the output directory {path}: {reason(why)}{output_hint(path)}"
        ) from why


def write_json(path: Path, value: dict[str, Any]) -> None:
    with atomic_path(path) as temporary:
        temporary.write_text(json.dumps(value, indent=1) + "\n", encoding="utf-8")


def read_json(path: Path) -> dict[str, Any] | None:
    """The object in the file, None where there is no file. Raises DataError where it is no JSON object."""
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as why:
        raise DataError(f"{path}: not a readable file of results: {why}\n  hint: remove it") from why
    if not isinstance(value, dict):
        raise DataError(f"{path}: not a file of results: a {type(value).__name__}\n  hint: remove it")
    return value
