"""Calls that leave no trace when they fail."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from symconv.backends.executable import Progress
from symconv.errors import SymconvError
from symconv.graph import SharedVariable
from symconv.graph.function_graph import FunctionGraph


class Transaction:
    """Shared variables get the values back that they had at the start, if an exception ends the block."""

    def __init__(self, shared: Sequence[SharedVariable]) -> None:
        self._saved = [(s, s.get_value()) for s in shared]

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is not None:
            self.undo()

    def undo(self) -> None:
        for shared, value in self._saved:
            shared.set_value(value)


def on_host(inputs: Sequence[Any]) -> list[np.ndarray]:
    """The arguments of a call as NumPy arrays; those on a device are copied."""
    return [np.asarray(a.numpy() if hasattr(a, "numpy") else a) for a in inputs]


def written(graph: FunctionGraph, shared: Sequence[SharedVariable]) -> list[SharedVariable]:
    """The shared variables that the graph updates."""
    return [shared[i] for i, _ in graph.updates]


def run_one_by_one(
    run: Callable[[Sequence[np.ndarray]], list[np.ndarray]],
    graph: FunctionGraph,
    n: int,
    inputs: Sequence[np.ndarray],
    mapped: bool,
    progress: Progress | None,
) -> list[np.ndarray]:
    """Executable.run_many by single runs; a failure tells in which iteration it came."""
    rows = []
    for i in range(n):
        try:
            rows.append(run([np.asarray(a[i]) for a in inputs] if mapped else inputs))
        except SymconvError as error:
            raise type(error)(f"{error.message}\n  in iteration {i} of {n}") from error
        if progress is not None:
            progress(i + 1)
    if not rows:
        return [np.empty((0, *v.type.dims), v.dtype) for v in graph.outputs]
    return [np.stack(column) for column in zip(*rows)]
