"""What the runner asks of a framework, which lives in a worker process set to one number of threads."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from benchmarks.opcases import OpCase
from benchmarks.workloads import Data, Workload


class Resident:
    """The framework's own copies of images and labels, made once per worker and shared by all its nets."""

    def __init__(self, convert: Callable[[np.ndarray], Any]) -> None:
        self._convert = convert
        self._data: Data | None = None
        self._arrays: tuple[Any, Any] | None = None

    def __call__(self, data: Data) -> tuple[Any, Any]:
        if self._arrays is None or self._data is not data:
            self._data = data
            self._arrays = self._convert(data.images), self._convert(data.labels)
        return self._arrays


class Trainer(ABC):
    """A net in training on resident data. Step i of its life takes minibatch i modulo their number."""

    multiple = 1  # run(n) takes multiples of this only

    @abstractmethod
    def run(self, n: int) -> None:
        """The next n steps; returns when they are done, on the device too."""

    @abstractmethod
    def weights(self) -> list[np.ndarray]:
        """[w0, b0, ...] in the shapes of workloads.py."""


class Predictor(ABC):
    """A trained net that gives class probabilities; every run starts at the first batch."""

    multiple = 1

    @abstractmethod
    def run(self, n: int) -> None:
        """Probabilities of n batches, computed and handed out, one after the other."""

    @abstractmethod
    def probabilities(self) -> np.ndarray:
        """float32 [batch, 10] of the first batch, from the code that run() times."""


class OpRunner(ABC):
    """One operator on fixed inputs."""

    multiple = 1

    @abstractmethod
    def run(self, n: int) -> None: ...

    @abstractmethod
    def output(self) -> list[np.ndarray]: ...


class Peer(ABC):
    name: str

    @abstractmethod
    def available(self, device: str) -> str | None:
        """None, or the reason why this peer cannot run here."""

    @abstractmethod
    def versions(self) -> dict[str, str]: ...

    @abstractmethod
    def environment(self, threads: int, device: str) -> dict[str, str]:
        """Environment variables to set before the framework is imported. Must not import it."""

    @abstractmethod
    def set_up(self, threads: int, device: str) -> None:
        """Called once in the worker, before anything else."""

    @abstractmethod
    def configs(self, net: Workload, mode: str, device: str) -> list[str]:
        """The sensible forms of this net; mode is "train" or "infer"."""

    @abstractmethod
    def make_trainer(
        self, net: Workload, config: str, batch: int, data: Data, weights: Sequence[np.ndarray]
    ) -> Trainer: ...

    @abstractmethod
    def make_predictor(
        self, net: Workload, config: str, batch: int, data: Data, weights: Sequence[np.ndarray]
    ) -> Predictor: ...

    def op_configs(self, case: OpCase, device: str) -> list[str]:
        """The forms of a single operator; none if this peer does not take part in ops.py."""
        return []

    def make_op(self, case: OpCase, config: str) -> OpRunner:
        raise NotImplementedError(f"{self.name} does not run single operators")
