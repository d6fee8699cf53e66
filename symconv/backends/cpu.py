"""The C++ executor: hands a Plan to _core once, then runs whole steps and whole loops without Python."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import Any

import numpy as np

from symconv import _core
from symconv.backends.executable import Progress, TimedItem, Timing
from symconv.backends.foreign import compile_codes, foreign_params, is_foreign
from symconv.backends.reference import run_reference
from symconv.config import config
from symconv.errors import CompileError, ExecutionError, MemoryLimitError, SymconvError
from symconv.graph import Apply, SharedVariable
from symconv.graph.function_graph import FunctionGraph
from symconv.loops.op import ENTRY as LOOP_ENTRY
from symconv.ops.instruction_set import set_instruction_set
from symconv.plan.build import build_plan
from symconv.plan.explain import explain_largest, explain_plan, operands_of
from symconv.plan.limits import memory_limit
from symconv.plan.plan import Plan, Step
from symconv.plan.select import set_machine_detail
from symconv.rewrite.pipeline import Stage


@cache
def available_kernels() -> frozenset[str]:
    """Entry names that this build of the core has."""
    return frozenset([*_core.kernel_names(), LOOP_ENTRY])


class CpuExecutable:
    """A graph planned for the CPU, and its executor."""

    stages: Sequence[Stage] = ()

    def __init__(
        self,
        graph: FunctionGraph,
        shared: Sequence[SharedVariable],
        passes: Sequence[Any] = (),
        guard_bytes: int = 0,
    ) -> None:
        self.graph = graph
        self.shared = list(shared)
        if config.autotune == "on":
            from symconv.backends.tune import tune_graph  # which stands on this module

            tune_graph(graph, "cpu", available_kernels())
        self.plan = build_plan(graph, "cpu", available_kernels(), passes)
        self._externals = [(b.kind, b.slot) for b in self.plan.buffers if b.kind in _EXTERNAL]
        self._outputs = [(v.type.dims, np.dtype(v.dtype)) for v in graph.outputs]
        apply_threads()
        try:
            self._tree = _executor(self.plan, guard_bytes)
            self._core = self._tree.core
        except MemoryError as error:
            hint = "\n  hint: use smaller batches, or raise config.memory_limit"
            raise MemoryLimitError(f"{error}{explain_largest(self.plan)}{hint}") from None
        except ValueError as error:
            raise CompileError(f"the core refused the plan: {error}") from error

        places: dict[tuple[str, int], list[int]] = {}
        for k, external in enumerate(self._externals):
            places.setdefault(external, []).append(k)
        kinds = (("input", graph.inputs), ("state", graph.states), ("output", graph.outputs))
        inputs_, states, outputs = (
            [(np.dtype(v.dtype), v.type.dims, places.get((kind, slot), [])) for slot, v in enumerate(group)]
            for kind, group in kinds
        )
        self._caller = _core.Caller(
            self._core, inputs_, [(s, *spec) for s, spec in zip(self.shared, states)], outputs
        )

    def run_directly(self, arguments: tuple[Any, ...]) -> list[np.ndarray] | None:
        """run() on arrays, or Python numbers, that need no conversion; None where one does."""
        apply_threads()
        try:
            return self._caller.call(arguments)
        except Exception as error:
            raise self._translated(error) from error

    def run(self, inputs: Sequence[np.ndarray]) -> list[np.ndarray]:
        outputs = [np.empty(shape, dtype) for shape, dtype in self._outputs]
        memory = {"input": inputs, "output": outputs, "state": self._states()}
        arrays = [memory[kind][slot] for kind, slot in self._externals]
        self._guarded(lambda: self._core.run(arrays))
        return outputs

    def run_many(
        self, n: int, inputs: Sequence[np.ndarray], mapped: bool, progress: Progress | None = None
    ) -> list[np.ndarray]:
        outputs = [np.empty((n, *shape), dtype) for shape, dtype in self._outputs]
        memory = {"input": inputs, "output": outputs, "state": self._states()}
        externals = []
        for kind, slot in self._externals:
            array = memory[kind][slot]
            moves = kind == "output" or (kind == "input" and mapped)
            externals.append((array, array.nbytes // n if moves and n else 0))
        if n:
            self._guarded(lambda: self._core.run_many(n, externals, progress))
        return outputs

    def explain(self) -> str:
        return explain_plan(self.plan)

    def run_watched(
        self, inputs: Sequence[np.ndarray], limit: float, nan: bool, infinity: bool
    ) -> tuple[list[np.ndarray], int | None]:
        """run() that ends after the first step which writes NaN, an infinity or more than `limit`: which."""
        outputs = [np.empty(shape, dtype) for shape, dtype in self._outputs]
        memory = {"input": inputs, "output": outputs, "state": self._states()}
        arrays = [memory[kind][slot] for kind, slot in self._externals]
        watch = [  # a complex number is watched as two floats
            (i, b.type.itemsize // (2 if b.type.is_complex else 1))
            for i, b in enumerate(self.plan.buffers)
            if b.type.is_inexact and b.type.dtype != "float16"
        ]
        found: list[Any] = []
        self._guarded(lambda: found.append(self._core.run_watched(arrays, watch, limit, nan, infinity)))
        return outputs, None if found[0] is None else found[0][0]

    def poison(self, byte: int = 0xFF) -> None:
        """Fill all memory that holds nothing between runs, and the guards beside it, with a byte."""
        self._core.poison(byte)

    def damage(self) -> tuple[int, int]:
        """Bytes of the guards (before, behind) the workspace that have changed since poison()."""
        return self._core.damage()

    def profile(self, on: bool, stamps: int = 0) -> None:
        self._tree.profile(on, stamps // max(self._tree.size, 1))

    def profile_ns(self) -> list[int]:
        """Nanoseconds per step of the plan since profile(True)."""
        return self._core.profile()

    def timing(self) -> Timing:
        return self._tree.timing()

    def _states(self) -> list[np.ndarray]:
        arrays = []
        written = {i for i, _ in self.graph.updates}
        for i, (s, v) in enumerate(zip(self.shared, self.graph.states)):
            array = s.get_storage() if i in written else s.get_value(borrow=True)
            assert array.shape == v.type.shape, "the plan is chosen by the shapes of its states"
            arrays.append(array)
        return arrays

    def _guarded(self, call: Callable[[], Any]) -> None:
        apply_threads()
        try:
            call()
        except Exception as error:
            raise self._translated(error) from error

    def _translated(self, error: Exception) -> Exception:
        """What the core, or a reference step in it, raised as an exception of symconv, with the step."""
        number = self._core.failed_step
        where = f"\n  {operands_of(self.plan, number)}" if number >= 0 else ""
        if type(error) is ExecutionError:
            return ExecutionError(error.message + where)
        if isinstance(error, SymconvError):
            return error
        if isinstance(error, MemoryError):
            return MemoryLimitError(f"{error}{where}")
        if isinstance(error, (IndexError, ValueError, RuntimeError)):
            return ExecutionError(f"{error}{where}")
        return error


_EXTERNAL = ("input", "state", "output")
_threads = 0


def apply_threads() -> None:
    """Give the pool the size that config.num_threads asks for, if that changed."""
    global _threads
    wanted = config.num_threads
    if wanted != _threads:
        _core.set_num_threads(wanted or default_threads())
        _threads = wanted


@lru_cache(maxsize=1)
def default_threads() -> int:
    """Threads that the core chose by itself: the CPUs that this process may use."""
    return _core.num_threads()


@dataclass
class _Tree:
    """The core's executor of a plan, and by step those of the plans of the loops in it."""

    plan: Plan
    core: Any
    loops: dict[int, _Tree]

    @property
    def size(self) -> int:
        return 1 + sum(t.size for t in self.loops.values())

    def profile(self, on: bool, stamps: int) -> None:
        self.core.set_profile(on, stamps)
        for tree in self.loops.values():
            tree.profile(on, stamps)

    def timing(self) -> Timing:
        items = tuple(
            TimedItem(i, s.node, s.kernel.name if s.kernel is not None else s.kind)
            for i, s in enumerate(self.plan.steps)
        )
        ns = np.asarray(self.core.profile() or [0] * len(items), np.float64)
        inside = {i: tree.timing() for i, tree in self.loops.items()}
        return Timing(items, self.core.profile_runs, ns, self.core.profile_stamps(), HOW, inside)


HOW = "steady clock after every step, in the C++ executor"


def _executor(plan: Plan, guard_bytes: int = 0) -> _Tree:
    compile_codes([s for s in plan.steps if is_foreign(s)])
    loops = {i: _executor(s.loop.plan) for i, s in enumerate(plan.steps) if s.loop is not None}
    constants = [b.data for b in plan.buffers if b.kind == "constant"]
    steps = [_step(plan, s, loops.get(i)) for i, s in enumerate(plan.steps)]
    buffers = [_buffer(b) for b in plan.buffers]
    return _Tree(plan, _core.Executor(buffers, steps, memory_limit(), constants, guard_bytes), loops)


set_instruction_set(_core.isa)
set_machine_detail("cpu", lambda: f"{_core.isa()}, {config.num_threads or default_threads()} threads")


def _buffer(b: Any) -> tuple[Any, ...]:
    nbytes = b.type.nbytes
    if b.kind in _EXTERNAL:
        return ("external", nbytes)
    if b.kind == "constant":
        return ("constant", nbytes, b.data.ctypes.data)
    if b.kind == "arena":
        return ("arena", nbytes, b.offset)
    if b.start < 0:
        return ("view", nbytes, b.base, b.offset)
    return ("view", nbytes, b.base, b.offset, b.start, b.stride, b.label)


def _step(plan: Plan, step: Step, inner: _Tree | None) -> tuple[Any, ...]:
    if step.kind == "view":
        return ("resolve", step.label, step.outputs[0])
    if step.loop is not None and inner is not None:
        loop = step.loop
        return (
            "loop",
            step.label,
            inner.core,
            loop.n,
            list(step.inputs),
            list(step.outputs),
            [(p.kind, p.index, p.offset, p.stride) for p in loop.places],
            loop.copies,
            loop.cleared,
            loop.count,
        )
    if step.kernel is not None:
        entry, params = step.kernel.entry, step.launch.params
        label = step.label
        if is_foreign(step):
            label = f"{step.kernel.name}: {label}"
            entry, params = "foreign", foreign_params(plan, step)
        return ("kernel", label, entry, params, list(step.inputs), list(step.outputs))

    def array(number: int) -> tuple[int, str, tuple[int | None, ...]]:
        b = plan.buffers[number]
        return number, b.type.dtype, b.type.shape

    ins, outs = [array(i) for i in step.inputs], [array(o) for o in step.outputs]
    return ("python", step.label, _reference_call(step.node), ins, outs)


def _reference_call(node: Apply) -> Callable[[tuple[np.ndarray, ...], tuple[np.ndarray, ...]], None]:
    def call(inputs: tuple[np.ndarray, ...], outputs: tuple[np.ndarray, ...]) -> None:
        for out, value in zip(outputs, run_reference(node, inputs)):
            out[...] = value

    return call


__all__ = ["CpuExecutable", "available_kernels"]
