"""An Executable around another one whose calls are looked at, and leave no trace when they fail."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

import numpy as np

from symconv.backends.executable import Executable, Progress, Timing
from symconv.debug.transaction import Transaction, run_one_by_one, written
from symconv.graph import SharedVariable
from symconv.plan.plan import Plan


class WrappedExecutable(ABC):
    """graph: as rewritten, which `inner` runs. as_written: before that, on the same inputs and states."""

    def __init__(self, inner: Executable, shared: Sequence[SharedVariable]) -> None:
        self.inner = inner
        self.graph = inner.graph
        self.stages = inner.stages
        self.as_written = inner.stages[0].graph
        self.shared = list(shared)

    @property
    def plan(self) -> Plan | None:
        return self.inner.plan

    @abstractmethod
    def explain(self) -> str:
        """The plan as text, below a line on the mode."""

    @abstractmethod
    def _run(self, inputs: Sequence[np.ndarray]) -> list[np.ndarray]:
        """One call, with what the mode does about it."""

    def profile(self, on: bool, stamps: int = 0) -> None:
        self.inner.profile(on, stamps)

    def timing(self) -> Timing:
        return self.inner.timing()

    def run(self, inputs: Sequence[np.ndarray]) -> list[np.ndarray]:
        with Transaction(written(self.graph, self.shared)):
            return self._run(inputs)

    def run_many(
        self, n: int, inputs: Sequence[np.ndarray], mapped: bool, progress: Progress | None = None
    ) -> list[np.ndarray]:
        with Transaction(written(self.graph, self.shared)):
            return run_one_by_one(self._run, self.graph, n, inputs, mapped, progress)
