"""Trainer: epochs of compiled steps over resident data, watched for NaN, with the best weights kept."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from symconv.autodiff import grad
from symconv.errors import ArgumentError, NonFiniteError
from symconv.files import Pathlike
from symconv.function import Function, function
from symconv.graph import SharedVariable, Variable
from symconv.nn import resume
from symconv.nn.augment import Augmentation
from symconv.nn.data import MiniBatch, check_split
from symconv.nn.draws import order_draws
from symconv.nn.history import History
from symconv.nn.metrics import accuracy
from symconv.nn.model import Model
from symconv.nn.optimizers import Optimizer
from symconv.nn.progress import Lines, Progress
from symconv.ops.elementwise import add, mul
from symconv.ops.leaf import shared, tensor

Split = tuple[np.ndarray, np.ndarray]
Callback = Callable[["Trainer", dict[str, Any]], object]
CHUNK_SECONDS = 0.5  # of steps in one call: the longest that a NaN goes unnoticed


@dataclass(eq=False)
class Trainer:
    """Minimises the model's cost, plus lmbda / (2 * mini-batches) * sum of w^2, by `optimizer`.

    mini_batch_size: images a step; the last mini-batch of an epoch may be smaller. shuffle: visit the
    images in a new order every epoch, fixed by `seed` (default: the model's). patience: end after so many
    epochs without a better validation accuracy. augment: how training images are bent, anew in every epoch
    (without a seed of its own, by `seed`). keep_best: leave the weights of the best epoch in the
    model, not the last; of equal epochs the later is the best, as in network3.py. callbacks: called as
    f(trainer, row) after every epoch; True ends the training. progress: True or None for a
    report, False for none, or a Progress. device: as of `function`.
    """

    model: Model
    optimizer: Optimizer
    mini_batch_size: int = 10
    lmbda: float = 0.0
    shuffle: bool = False
    seed: int | None = None
    patience: int | None = None
    augment: Augmentation | None = None
    keep_best: bool = True
    callbacks: Sequence[Callback] = ()
    progress: bool | Progress | None = None
    device: str | None = None
    history: History = field(default_factory=History, init=False)

    def __post_init__(self) -> None:
        whole = {"mini_batch_size": self.mini_batch_size}
        if self.patience is not None:
            whole["patience"] = self.patience
        for name, value in whole.items():
            if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < 1:
                raise ArgumentError(f"Trainer: {name} must be a whole number above 0, not {value!r}")
        if not isinstance(self.lmbda, (int, float)) or not 0 <= self.lmbda < np.inf:
            raise ArgumentError(f"Trainer: lmbda must be a finite number >= 0, not {self.lmbda!r}")

    def fit(
        self,
        train: Any,
        epochs: int,
        validation: Any = None,
        test: Any = None,
        *,
        resume_from: Pathlike | None = None,
    ) -> History:
        """Train for `epochs` epochs; `train`, `validation` and `test` are pairs (images, labels).

        `resume_from`, a .safetensors or .npz file, keeps the whole state of the training at the end of
        every epoch. Where it is there already, the training goes on from it, up to `epochs` in all, and
        gives what it would have given at one go: the same bits on the same device and number of threads.
        Raises WeightsError where the file is damaged or belongs to another training.
        Ctrl-C ends the training, with the best weights so far in the model and `interrupted` set in
        the history. Raises NonFiniteError when the cost or a weight becomes NaN or Inf: it names
        epoch, step and the first node, and the model holds the weights from before that step.
        """
        if isinstance(epochs, bool) or not isinstance(epochs, (int, np.integer)) or epochs < 0:
            raise ArgumentError(f"Trainer: epochs must be a whole number >= 0, not {epochs!r}")
        data = check_split(train, self.model, "training data")
        held_out = {
            name: check_split(split, self.model, f"{name} data")
            for name, split in (("validation", validation), ("test", test))
            if split is not None
        }
        reporter = self.progress if isinstance(self.progress, Progress) else Lines()
        if self.progress is False:
            reporter = Progress()
        self.history = History()
        run = _Run(self, data, held_out, reporter)
        if resume_from is not None:
            run.keep_state_in(resume_from, data)
        run.started = time.perf_counter()
        reporter.start(len(data[1]), epochs)
        if self.history.epochs:
            reporter.note(f"Going on after epoch {len(self.history.epochs)}, as {resume_from} has it")
        try:
            for epoch in range(len(self.history.epochs) + 1, epochs + 1):
                if self.history.stopped or not run.epoch(epoch):
                    break
        except KeyboardInterrupt:
            self.history.interrupted = True
            run.recover()
        except NonFiniteError as error:
            self.history.stopped = str(error).partition("\n")[0]
            raise
        finally:
            reporter.close()
            self.history.seconds = run.clock()
        run.finish()
        return self.history


class _Run:
    """One training: the compiled step, the data it walks over, the best weights so far."""

    def __init__(self, trainer: Trainer, data: Split, held_out: dict[str, Split], reporter: Progress) -> None:
        self.trainer = trainer
        self.model = trainer.model
        self.held_out = held_out
        self.reporter = reporter
        self.n = len(data[1])
        self.batch = trainer.mini_batch_size
        self.steps = -(-self.n // self.batch)
        seed = self.model.seed if trainer.seed is None else trainer.seed
        self.rng = order_draws(seed)
        self.order = shared(np.arange(self.n), "order") if trainer.shuffle else None
        self.step = training_step(
            self.model,
            trainer.optimizer,
            data,
            self.batch,
            trainer.lmbda,
            order=self.order,
            augment=trainer.augment,
            seed=seed,
            device=trainer.device,
        )
        self.changing = [s for s, _ in self.step.updates]
        self.chunk = 1
        self.best: tuple[float, dict[str, np.ndarray]] | None = None
        self.good = snapshot(self.changing)
        self.stale = 0
        self.file: resume.StateFile | None = None
        self.before, self.started = 0.0, time.perf_counter()

    # -- the state in a file ---------------------------------------------------------------------

    def keep_state_in(self, path: Pathlike, data: Split) -> None:
        """From now on write the state after every epoch; take it up where the file is there."""
        trainer = self.trainer
        facts = {
            "model": self.model.spec(),
            "optimizer": resume.describe(trainer.optimizer),
            "mini_batch_size": self.batch,
            "lmbda": trainer.lmbda,
            "shuffle": trainer.shuffle,
            "patience": trainer.patience,
            **({} if trainer.augment is None else {"augment": repr(trainer.augment)}),
            "seeds": [int(self.model.seed), None if trainer.seed is None else int(trainer.seed)],
            "dtype": self.model.dtype,
            "train": resume.fingerprint(data),
            **{name: resume.fingerprint(split) for name, split in self.held_out.items()},
        }
        self.file = resume.StateFile(path, facts, self.changing, self.model.parameters)
        state = self.file.read()
        if state is not None:
            restore([(s, state.now[name]) for name, s in self.file.changing.items()])
            self.rng.set_state(state.order)
            self.stale, self.best = state.stale, state.best
            self.trainer.history = state.history
            self.before = state.history.seconds

    def write_state(self) -> None:
        if self.file is not None and self.best is not None:
            self.trainer.history.seconds = self.clock()
            self.file.write(self.trainer.history, self.stale, self.best, self.rng.get_state(legacy=False))

    def clock(self) -> float:
        """Seconds of this training, with those before it was cut off."""
        return self.before + time.perf_counter() - self.started

    # -- an epoch ------------------------------------------------------------------------------

    def epoch(self, number: int) -> bool:
        """Train and evaluate; False where the training should end."""
        history = self.trainer.history
        if self.order is not None:
            self.order.set_value(self.rng.permutation(self.n))
        self.step.prepare(*(a[0] for a in self.arguments(number, 0, 1)))  # not on the clock
        started = time.perf_counter()
        costs = self.train(number)
        seconds = time.perf_counter() - started
        history.training_seconds += seconds
        history.images += self.n
        row: dict[str, Any] = {
            "epoch": number,
            "cost": float(np.average(costs, weights=self.sizes())),
            "learning_rate": self.rate(number, self.steps - 1),
            "seconds": seconds,
            "images_per_s": self.n / seconds,
            "validation_accuracy": self.evaluate("validation"),
            "test_accuracy": self.evaluate("test"),
        }
        history.epochs.append(row)
        better = self.compare(row["validation_accuracy"])
        if better:
            history.best_epoch = number
        self.reporter.epoch(row, better)
        patience = self.trainer.patience
        if patience is not None and self.stale >= patience:
            history.stopped = f"no better validation accuracy in {patience} epochs"
        self.write_state()  # before the callbacks: nothing that they write is ahead of it
        for callback in self.trainer.callbacks:
            if callback(self.trainer, row) is True:
                history.stopped = history.stopped or "a callback asked for it"
                self.write_state()
        if history.stopped:
            self.reporter.note(f"Stopped after epoch {number}: {history.stopped}")
        return history.stopped is None

    def sizes(self) -> np.ndarray:
        """Images in each mini-batch."""
        sizes = np.full(self.steps, self.batch)
        sizes[-1] = self.n - self.batch * (self.steps - 1)
        return sizes

    def rate(self, number: int, step: int) -> float:
        return self.trainer.optimizer.schedule(number - 1 + step / self.steps)

    def arguments(self, number: int, first: int, last: int) -> list[np.ndarray]:
        """What the steps first to last - 1 of an epoch are called with."""
        found = [np.arange(first, last)]
        if self.trainer.optimizer.scheduled:
            rates = [self.rate(number, k) for k in range(first, last)]
            found.append(np.asarray(rates, self.trainer.optimizer.rate.dtype))
        if self.trainer.augment is not None:
            found.append(np.full(last - first, number))
        return found

    def train(self, number: int) -> np.ndarray:
        """The costs of an epoch's steps, run in chunks of a fraction of a second."""
        costs = np.empty(self.steps)
        done, latest = 0, None
        while done < self.steps:
            last = min(done + self.chunk, self.steps)
            self.good = snapshot(self.changing)

            def report(k: int, done: int = done, latest: float | None = latest) -> None:
                self.reporter.images(number, min((done + k) * self.batch, self.n), latest)

            started = time.perf_counter()
            with np.errstate(all="ignore"):  # what is not finite is looked for below
                found = self.step.map(*self.arguments(number, done, last), progress=report)
            seconds = time.perf_counter() - started
            costs[done:last] = found
            if not np.isfinite(found).all() or not finite(self.changing):
                self.explain_failure(number, done, last)
            latest = float(found.mean())
            # Chunks follow the clock; results do not depend on them.
            self.chunk = max(1, min(4 * self.chunk, int(self.chunk * CHUNK_SECONDS / max(seconds, 1e-6))))
            done = last
            self.reporter.images(number, min(done * self.batch, self.n), latest)
        return costs

    def explain_failure(self, number: int, first: int, last: int) -> None:
        """Take the chunk's steps one by one up to the one that fails; raise NonFiniteError before it."""
        restore(self.good)
        for k in range(first, last):
            before = snapshot(self.changing)
            arguments = [a[0] for a in self.arguments(number, k, k + 1)]
            with np.errstate(all="ignore"):
                cost = self.step(*arguments)
            if np.isfinite(cost) and finite(self.changing):
                continue
            restore(before)
            where = self.step.find_nonfinite(*arguments)
            what = "the cost is" if not np.isfinite(cost) else "a weight becomes"
            raise NonFiniteError(
                f"training stopped in epoch {number}, step {k + 1} of {self.steps}: {what} not finite\n"
                f"  first node: {where or 'none when computed by the reference'}\n"
                "  the network holds the weights from before this step\n"
                "  hint: a smaller learning rate; images scaled to about 0 to 1; smaller initial weights"
            )
        raise NonFiniteError(
            f"training stopped in epoch {number}: a value was not finite, but a second run of steps "
            f"{first + 1} to {last} did not show it"
        )

    # -- evaluation and the best weights ---------------------------------------------------------

    def evaluate(self, name: str) -> float | None:
        if name not in self.held_out:
            return None
        images, labels = self.held_out[name]
        return accuracy(labels, self.model.predict(images, device=self.trainer.device))

    def compare(self, validation: float | None) -> bool:
        """Keep the weights if they are the best so far; without validation data the last are."""
        if validation is not None and self.best is not None and validation <= self.best[0]:
            self.stale += 1
            if validation < self.best[0]:
                return False
        else:
            self.stale = 0
        self.best = (-1.0 if validation is None else validation, self.model.get_weights())
        return True

    def recover(self) -> None:
        """After Ctrl-C in the first epoch: weights that were not checked yet give way to checked ones."""
        if self.best is None and not finite(self.changing):
            restore(self.good)

    def finish(self) -> None:
        if self.best is not None and self.trainer.keep_best:
            self.model.set_weights(self.best[1])


def training_step(
    model: Model,
    optimizer: Optimizer,
    data: Split,
    mini_batch_size: int,
    lmbda: float = 0.0,
    *,
    order: SharedVariable | None = None,
    augment: Augmentation | None = None,
    seed: int = 0,
    device: str | None = None,
) -> Function:
    """The compiled step of mini-batch i: gives its cost, and updates weights, statistics, masks.

    Inputs: i, an int64 scalar; where the optimizer's learning rate is a schedule, the rate; with `augment`,
    the epoch, int64. `data` is used in place; `order` int64 [n], visits its images in another order. seed: of
    an `augment` that has none.
    """
    i = tensor("int64", (), "i")
    batch = MiniBatch(data, i, mini_batch_size, order)
    cost, updates = cost_and_updates(model, optimizer, -(-len(data[1]) // mini_batch_size), lmbda)
    givens: dict[Any, Any] = {model.x: batch.images, model.y: batch.labels}
    inputs = [i]
    if optimizer.scheduled:
        eta = tensor(optimizer.rate.dtype, (), "eta")
        givens[optimizer.rate] = eta
        inputs.append(eta)
    if augment is not None:
        epoch = tensor("int64", (), "epoch")
        givens[model.x] = augment.rows(batch.images, model.input_shape, batch.numbers, epoch, seed)
        inputs.append(epoch)
    return function(inputs, cost, updates, givens, "training step", device=device, on_unused_input="ignore")


def cost_and_updates(
    model: Model, optimizer: Optimizer, steps: int, lmbda: float
) -> tuple[Variable, list[tuple[SharedVariable, Variable]]]:
    """The cost of a mini-batch without its L2 term, and all that a step of an epoch of `steps` changes."""
    cost = total = model.cost()
    if lmbda:
        total = add(cost, mul(model.l2(), 0.5 * lmbda / steps))
    params = model.params
    updates = optimizer.updates(params, grad(total, params), set(model.weights))
    return cost, [*updates, *model.updates]


def snapshot(variables: Sequence[SharedVariable]) -> list[tuple[SharedVariable, np.ndarray]]:
    return [(s, s.get_value()) for s in variables]


def restore(values: Sequence[tuple[SharedVariable, np.ndarray]]) -> None:
    for s, value in values:
        s.set_value(value)


def finite(variables: Sequence[SharedVariable]) -> bool:
    return all(bool(np.isfinite(s.get_value(borrow=True)).all()) for s in variables if s.type.is_float)


__all__ = ["Trainer", "training_step"]
