"""Autotuning: the kernels that accept a node, timed on it in turns; the fastest goes into the file."""

from __future__ import annotations

import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from symconv.backends.executable import Executable, compile_graph
from symconv.config import config
from symconv.errors import ArgumentError, SymconvError
from symconv.graph import Apply, Constant, Kernel, SharedVariable, Variable
from symconv.graph.function_graph import FunctionGraph
from symconv.plan import tuning
from symconv.plan.select import candidates, forcing, machine_detail

ROUNDS = 5
SECONDS = 0.004  # of one timing
MARGIN = 0.97  # a kernel replaces the one that would be taken anyway if it needs less than this share


@dataclass(frozen=True)
class Timing:
    """Microseconds of one kernel (None: the reference) on one node, of each round."""

    kernel: Kernel | None
    us: tuple[float, ...]

    @property
    def name(self) -> str:
        return "reference" if self.kernel is None else self.kernel.name

    @property
    def median(self) -> float:
        return statistics.median(self.us)


def lone_graph(node: Apply) -> tuple[FunctionGraph, list[SharedVariable]]:
    """The node by itself; its inputs are those of the graph, except constants.

    Results go into shared variables: fresh memory for every run would be timed too.
    """
    inputs = [v if isinstance(v, Constant) else Variable(v.type, name=v.name) for v in node.inputs]
    alone = node.op.make(*inputs)
    shared = [SharedVariable(np.zeros(o.type.dims, o.dtype), o.type) for o in alone.outputs]
    states = tuple(Variable(o.type) for o in alone.outputs)
    free = tuple(v for v in inputs if not isinstance(v, Constant))
    return FunctionGraph(free, states, (), tuple(enumerate(alone.outputs))), shared


def time_kernels(
    node: Apply, device: str, kernels: Sequence[Kernel | None], rounds: int = ROUNDS, seconds: float = SECONDS
) -> list[Timing]:
    """Timings of each kernel, taken in turns; those that fail on random data are left out."""
    graph, shared = lone_graph(node)
    rng = np.random.default_rng(0)
    arrays = [_data(rng, v) for v in graph.inputs]
    running: list[tuple[Kernel | None, Executable, int]] = []
    for kernel in kernels:
        try:
            with forcing(type(node.op), kernel), config(autotune="off"):
                executable = compile_graph(graph, shared, device, [])
            executable.run_many(1, arrays, False)
            least = min(_seconds(executable, arrays, 1) for _ in range(2))
            running.append((kernel, executable, max(1, int(seconds / max(least, 1e-7)))))
        except SymconvError:
            continue
    times: list[list[float]] = [[] for _ in running]
    for _ in range(rounds):
        for i, (_, executable, n) in enumerate(running):
            times[i].append(1e6 * _seconds(executable, arrays, n) / n)
    return [Timing(kernel, tuple(t)) for (kernel, _, _), t in zip(running, times)]


def _seconds(executable: Executable, arrays: Sequence[np.ndarray], n: int) -> float:
    start = time.perf_counter()
    executable.run_many(n, arrays, False)
    return time.perf_counter() - start


def _data(rng: np.random.Generator, v: Variable) -> np.ndarray:
    if v.type.is_float:
        return rng.standard_normal(v.type.dims).astype(v.dtype)
    return np.zeros(v.type.dims, v.dtype)


def tune_graph(
    graph: FunctionGraph, device: str, available: frozenset[str] | None = None, again: bool = False
) -> dict[str, list[Timing]]:
    """Measure every node of a rewritten graph that several kernels accept and that is not in the file.

    Returns the timings by node. Raises ArgumentError on the emulator, whose times mean nothing.
    """
    if device not in ("cpu", "cuda"):
        raise ArgumentError(f"device {device!r} is not timed\n  hint: tune on 'cpu' or 'cuda'")
    machine = tuning.machine(device, machine_detail(device))
    found: dict[str, list[Timing]] = {}
    records: dict[str, dict[str, object]] = {}
    for node in graph.nodes():
        key = tuning.node_key(node)
        if key in found or node.op.view(node) is not None or not sum(o.type.size for o in node.outputs):
            continue
        if not again and tuning.record_of(node, machine) is not None:
            continue
        choices = candidates(node, device, available)
        if len(choices) < 2:
            continue
        timings = time_kernels(node, device, choices)
        if not timings:
            continue
        found[key] = timings
        best = min(timings, key=lambda t: t.median)
        usual = next((t for t in timings if t.kernel is choices[0]), best)
        winner = best if best.median < MARGIN * usual.median else usual
        records[key] = {"kernel": winner.name, "us": {t.name: round(t.median, 3) for t in timings}}
    if records:
        tuning.add({machine: records})
    return found
