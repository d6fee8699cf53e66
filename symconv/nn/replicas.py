"""Several models trained on the same mini-batches: all in one compiled step, or one after the other.

Together they are one program: a step takes a mini-batch once and changes every model; on a GPU what does not
depend on each other runs at once. In turn each is trained as by Trainer. The results are the same bits.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import numpy as np

from symconv.device import resolve_device
from symconv.errors import ArgumentError, NonFiniteError
from symconv.function import Function, function
from symconv.nn.augment import Augmentation
from symconv.nn.data import MiniBatch, check_split
from symconv.nn.history import History
from symconv.nn.metrics import accuracy
from symconv.nn.model import Model
from symconv.nn.optimizers import Optimizer
from symconv.nn.trainer import CHUNK_SECONDS, Trainer, cost_and_updates, finite, restore, snapshot
from symconv.ops.leaf import tensor

Split = tuple[np.ndarray, np.ndarray]


def fit_replicas(
    models: Sequence[Model],
    optimizers: Sequence[Optimizer],
    train: Any,
    epochs: int,
    validation: Any = None,
    test: Any = None,
    *,
    mini_batch_size: int = 10,
    lmbda: float | Sequence[float] = 0.0,
    augment: Augmentation | None = None,
    together: bool | None = None,
    device: str | None = None,
) -> list[History]:
    """Train each model with its optimizer (and its lmbda, where there are several); their histories.

    together: in one compiled step; None leaves it to the device: together on GPUs, in turn elsewhere, where
    one model's weights then stay in the cache. Images come in their order, unshuffled. augment: as of
    Trainer; with a seed of its own all models see the same images. Every model is left with the weights of
    its best epoch. Ctrl-C ends the training with `interrupted` set in the histories.
    Raises ArgumentError where the lists do not fit, NonFiniteError as Trainer does; together, the models then
    hold the weights from before the steps that it names.
    """
    models, optimizers = list(models), list(optimizers)
    strengths = [float(lmbda)] * len(models) if isinstance(lmbda, (int, float)) else [float(v) for v in lmbda]
    if not models or not len(models) == len(optimizers) == len(strengths):
        raise ArgumentError(
            f"fit_replicas: {len(models)} models need as many optimizers and values of lmbda, got "
            f"{len(optimizers)} and {len(strengths)}"
        )
    if len(set(map(id, models))) < len(models) or len(set(map(id, optimizers))) < len(optimizers):
        raise ArgumentError(
            "fit_replicas: a model or an optimizer stands in its list twice; make one for each"
        )
    if len({(m.input_shape, m.n_classes, m.dtype) for m in models}) > 1:
        raise ArgumentError("fit_replicas: the models differ in the images or classes that they take")
    trainers = [
        Trainer(
            m, o, mini_batch_size=mini_batch_size, lmbda=s, augment=augment, progress=False, device=device
        )
        for m, o, s in zip(models, optimizers, strengths)
    ]
    if together is None:
        together = takes_together(device)
    if together:
        return _Together(trainers, train, validation, test).fit(epochs)
    histories = []
    for trainer in trainers:
        histories.append(trainer.fit(train, epochs, validation, test))
        if histories[-1].interrupted:
            break
    return histories


def takes_together(device: str | None) -> bool:
    """Whether replicas run in one step there by default: a GPU does at once what is independent."""
    return resolve_device(device) in ("cuda", "emulated")


def together_step(
    models: Sequence[Model],
    optimizers: Sequence[Optimizer],
    data: Split,
    mini_batch_size: int,
    lmbdas: Sequence[float] | None = None,
    augments: Sequence[Augmentation | None] | None = None,
    *,
    device: str | None = None,
) -> Function:
    """The compiled step of all models on mini-batch i: gives their costs.

    Inputs: i, int64; the rate of every scheduled optimizer; with augmentation, the epoch, int64.
    """
    i, epoch = tensor("int64", (), "i"), tensor("int64", (), "epoch")
    batch, steps = MiniBatch(data, i, mini_batch_size), -(-len(data[1]) // mini_batch_size)
    inputs, costs, updates = [i], [], []
    givens: dict[Any, Any] = {}
    augments = augments or [None] * len(models)
    for m, o, lmbda, augment in zip(models, optimizers, lmbdas or [0.0] * len(models), augments):
        cost, changes = cost_and_updates(m, o, steps, lmbda)
        costs.append(cost)
        updates += changes
        givens |= {m.x: batch.images, m.y: batch.labels}
        if augment is not None:
            givens[m.x] = augment.rows(batch.images, m.input_shape, batch.numbers, epoch, m.seed)
        if o.scheduled:
            eta = tensor(o.rate.dtype, (), "eta")
            givens[o.rate] = eta
            inputs.append(eta)
    if any(augments):
        inputs.append(epoch)
    name = "training step of replicas"
    return function(inputs, costs, updates, givens, name, device=device, on_unused_input="ignore")


class _Together:
    """One step for all models, with each model's history and best weights."""

    def __init__(self, trainers: Sequence[Trainer], train: Any, validation: Any, test: Any) -> None:
        self.trainers = list(trainers)
        self.models = [t.model for t in trainers]
        self.device = trainers[0].device
        self.batch = trainers[0].mini_batch_size
        data = check_split(train, self.models[0], "training data")
        self.held_out = {
            name: check_split(split, self.models[0], f"{name} data")
            for name, split in (("validation", validation), ("test", test))
            if split is not None
        }
        self.n = len(data[1])
        self.steps = -(-self.n // self.batch)
        self.augmented = any(t.augment is not None for t in trainers)
        self.step = together_step(
            self.models,
            [t.optimizer for t in trainers],
            data,
            self.batch,
            [t.lmbda for t in trainers],
            [t.augment for t in trainers],
            device=self.device,
        )
        self.changing = [s for s, _ in self.step.updates]
        self.histories = [History() for _ in self.models]
        self.best: list[tuple[float, dict[str, np.ndarray]] | None] = [None] * len(self.models)

    def arguments(self, epoch: int, first: int, last: int) -> list[np.ndarray]:
        found: list[np.ndarray] = [np.arange(first, last)]
        for t in self.trainers:
            if t.optimizer.scheduled:
                at = [epoch - 1 + k / self.steps for k in range(first, last)]
                found.append(np.asarray([t.optimizer.schedule(x) for x in at], t.optimizer.rate.dtype))
        if self.augmented:
            found.append(np.full(last - first, epoch))
        return found

    def fit(self, epochs: int) -> list[History]:
        started = time.perf_counter()
        try:
            for epoch in range(1, epochs + 1):
                self.epoch(epoch)
        except KeyboardInterrupt:
            for history in self.histories:
                history.interrupted = True
        for model, best, history in zip(self.models, self.best, self.histories):
            history.seconds = time.perf_counter() - started
            if best is not None:
                model.set_weights(best[1])
        return self.histories

    def epoch(self, number: int) -> None:
        started = time.perf_counter()
        costs = self.train(number)
        seconds = time.perf_counter() - started
        sizes = np.full(self.steps, self.batch)
        sizes[-1] = self.n - self.batch * (self.steps - 1)
        for k, (t, history) in enumerate(zip(self.trainers, self.histories)):
            scores: dict[str, float | None] = {}
            for name in ("validation", "test"):
                scores[name] = None
                if name in self.held_out:
                    images, labels = self.held_out[name]
                    scores[name] = accuracy(labels, t.model.predict(images, device=self.device))
            history.epochs.append(
                {
                    "epoch": number,
                    "cost": float(np.average(costs[k], weights=sizes)),
                    "learning_rate": t.optimizer.schedule(number - 1 + (self.steps - 1) / self.steps),
                    "seconds": seconds,
                    "images_per_s": self.n / seconds,
                    "validation_accuracy": scores["validation"],
                    "test_accuracy": scores["test"],
                }
            )
            history.images += self.n
            history.training_seconds += seconds
            now, best = scores["validation"], self.best[k]
            if now is None or best is None or now >= best[0]:
                self.best[k] = (-1.0 if now is None else now, t.model.get_weights())
                history.best_epoch = number

    def train(self, number: int) -> np.ndarray:
        """The costs [models, steps] of an epoch, in chunks of a fraction of a second."""
        costs = np.empty((len(self.models), self.steps))
        done, chunk = 0, 1
        while done < self.steps:
            last = min(done + chunk, self.steps)
            good = snapshot(self.changing)
            started = time.perf_counter()
            with np.errstate(all="ignore"):
                costs[:, done:last] = self.step.map(*self.arguments(number, done, last))
            seconds = time.perf_counter() - started
            if not np.isfinite(costs[:, done:last]).all() or not finite(self.changing):
                message = self.refusal(number, done, last, costs[:, done:last])
                restore(good)
                raise NonFiniteError(message)
            chunk = max(1, min(4 * chunk, int(chunk * CHUNK_SECONDS / max(seconds, 1e-6))))
            done = last
        return costs

    def refusal(self, number: int, first: int, last: int, costs: np.ndarray) -> str:
        """What to say of a cost or weight that is not finite; named before the weights are put back."""
        bad = [
            k
            for k, m in enumerate(self.models)
            if not np.isfinite(costs[k]).all() or not finite([p.variable for p in m.parameters.values()])
        ]
        return (
            f"training stopped in epoch {number}, steps {first + 1} to {last} of {self.steps}: the cost or a "
            f"weight of model {', '.join(map(str, bad)) or '(its optimizer)'} is not finite\n"
            "  all models hold the weights from before these steps\n"
            "  hint: a smaller learning rate; Trainer on that model alone names the step and the node"
        )


__all__ = ["fit_replicas"]
