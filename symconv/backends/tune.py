"""Autotuning: the kernels that can run a node, timed on it in turns; the fastest goes into the file."""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass

import numpy as np

from symconv.backends.executable import Executable, compile_graph
from symconv.config import config
from symconv.errors import ArgumentError, SymconvError
from symconv.graph import Apply, Constant, Kernel, SharedVariable, Variable
from symconv.graph.function_graph import FunctionGraph
from symconv.loops.op import Scan
from symconv.plan import tuning
from symconv.plan.select import candidates, forcing, machine_detail
from symconv.rewrite.pipeline import optimize

ROUNDS = 5
SECONDS = 0.004  # of one timing
HOPELESS = 3.0
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


@dataclass
class Runner:
    """Something to time: one run is run_many(1, arrays). Results stay in shared variables.

    (Fresh memory for every run would be timed too.)
    """

    executable: Executable
    arrays: Sequence[np.ndarray]

    def seconds(self, n: int) -> float:
        start = time.perf_counter()
        self.executable.run_many(n, self.arrays, False)
        return time.perf_counter() - start


def expression_runner(
    inputs: Sequence[Variable], outputs: Sequence[Variable], device: str, optimized: bool = True
) -> Runner:
    """An expression of concrete shapes on random data."""
    shared = [SharedVariable(np.zeros(o.type.dims, o.dtype), o.type) for o in outputs]
    states = tuple(Variable(o.type) for o in outputs)
    graph = FunctionGraph(tuple(inputs), states, (), tuple(enumerate(outputs)))
    if optimized:
        graph, _ = optimize(graph, None, device)
    rng = np.random.default_rng(0)
    with config(autotune="off"):
        executable = compile_graph(graph, shared, device, [])
    return Runner(executable, [_data(rng, v) for v in inputs])


def kernel_runner(node: Apply, kernel: Kernel | None, device: str) -> Runner:
    """The node by itself on that kernel (None: the reference); its inputs that are constants remain so."""
    inputs = [v if isinstance(v, Constant) else Variable(v.type, name=v.name) for v in node.inputs]
    free = [v for v in inputs if not isinstance(v, Constant)]
    with forcing(type(node.op), kernel):
        return expression_runner(free, node.op.make(*inputs).outputs, device, False)


def time_in_turns(
    runners: Sequence[Runner], rounds: int, seconds: float, hopeless: float = float("inf")
) -> list[tuple[float, ...]]:
    """Microseconds of a run of each, once a round, for about `seconds` each time.

    Those that need `hopeless` times as long as the quickest in a single run, unless it is the first, get no
    times.
    """
    least = []
    for r in runners:
        r.seconds(1)
        least.append(max(min(r.seconds(1) for _ in range(2)), 1e-7))
    kept = [i for i, s in enumerate(least) if i == 0 or s < hopeless * min(least)]
    times: list[list[float]] = [[] for _ in runners]
    for _ in range(rounds):
        for i in kept:
            n = max(1, int(seconds / least[i]))
            times[i].append(1e6 * runners[i].seconds(n) / n)
    return [tuple(t) for t in times]


def time_kernels(
    node: Apply, device: str, kernels: Sequence[Kernel | None], rounds: int = ROUNDS, seconds: float = SECONDS
) -> list[Timing]:
    """Timings of each kernel, taken in turns; without those that fail on random data or are hopeless."""
    able: list[tuple[Kernel | None, Runner]] = []
    for kernel in kernels:
        with suppress(SymconvError):
            runner = kernel_runner(node, kernel, device)
            runner.seconds(1)
            able.append((kernel, runner))
    times = time_in_turns([r for _, r in able], rounds, seconds, HOPELESS)
    return [Timing(kernel, us) for (kernel, _), us in zip(able, times) if us]


def _data(rng: np.random.Generator, v: Variable) -> np.ndarray:
    if v.type.is_float:
        return rng.standard_normal(v.type.dims).astype(v.dtype)
    return np.zeros(v.type.dims, v.dtype)


def _nodes(graph: FunctionGraph) -> Iterator[Apply]:
    """Every node, those inside loops too."""
    for node in graph.nodes():
        yield node
        if isinstance(node.op, Scan):
            yield from _nodes(node.op.graph())


def tune_graph(
    graph: FunctionGraph, device: str, available: frozenset[str] | None = None, again: bool = False
) -> dict[str, list[Timing]]:
    """Measure every node of a rewritten graph, and of its loops, that several kernels can run, unless the
    file has it.

    Returns the timings by node. Raises ArgumentError on the emulator, whose times mean nothing.
    """
    if device not in ("cpu", "cuda"):
        raise ArgumentError(f"device {device!r} is not timed\n  hint: tune on 'cpu' or 'cuda'")
    machine = tuning.machine(device, machine_detail(device))
    found: dict[str, list[Timing]] = {}
    records: dict[str, dict[str, object]] = {}
    for node in _nodes(graph):
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
