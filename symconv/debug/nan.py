"""The first value that is not finite, or too large: who makes it, and from what."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from symconv.backends.executable import Executable
from symconv.backends.reference import run_reference
from symconv.debug.lone import operand_lines, summary
from symconv.debug.transaction import on_host
from symconv.debug.wrapped import WrappedExecutable
from symconv.errors import NonFiniteError
from symconv.graph import Apply, Constant, SharedVariable, Variable
from symconv.graph.observe import observed
from symconv.graph.traversal import toposort
from symconv.plan.check import check_plan
from symconv.plan.explain import operands_of


@dataclass(frozen=True)
class Bounds:
    """Which values are at fault: NaN, infinities, finite values of a magnitude above `limit`."""

    nan: bool = True
    infinity: bool = True
    limit: float = float("inf")

    def first(self, array: np.ndarray) -> str | None:
        """'nan at [3, 0] of float32[10, 10] (2 nan)' for an array with a value out of bounds, else None."""
        if array.dtype.kind not in "fc" or not array.size:
            return None
        largest = min(self.limit, float(np.finfo(array.dtype).max))
        if array.dtype.kind == "f" and -largest <= array.min() and array.max() <= largest:  # false for NaN
            return None
        nan, infinite = np.isnan(array), np.isinf(array)
        with np.errstate(invalid="ignore"):
            large = (np.abs(array) > self.limit) & ~infinite
        bad = (nan & self.nan) | (infinite & self.infinity) | large
        if not bad.any():
            return None
        at = tuple(int(i) for i in np.argwhere(bad)[0])
        counts = ((nan, "nan"), (infinite, "inf"), (large, f"beyond {self.limit:g}"))
        text = ", ".join(f"{int(c.sum())} {what}" for c, what in counts if c.any())
        return f"{array[at]} at {list(at)} of {array.dtype}{list(array.shape)} ({text})"


def first_out_of_bounds(
    outputs: Sequence[Variable], values: Mapping[Variable, np.ndarray], bounds: Bounds
) -> str | None:
    """The first leaf or node below `outputs`, in order of evaluation, with a value out of bounds."""
    for v, array in values.items():
        if (found := bounds.first(array)) is not None:
            return f"{v!r} from {v.origin} holds {found} already"
    memo: dict[Variable, np.ndarray] = dict(values)
    with np.errstate(all="ignore"):
        for node in toposort(outputs, stop=memo):
            arrays = [v.data if isinstance(v, Constant) else memo[v] for v in node.inputs]
            for out, array in zip(node.outputs, run_reference(node, arrays)):
                if (found := bounds.first(array)) is not None:
                    inner = _inside(node, arrays, bounds)
                    return inner or f"{_label(node)} gives {found}{operand_lines(node, arrays)}"
                memo[out] = array
    return None


def _label(node: Apply) -> str:
    return f"{node.op.label()} from {node.origin}"


def _inside(node: Apply, arrays: Sequence[np.ndarray], bounds: Bounds) -> str:
    """The first node with a value out of bounds in what `node` computes by nodes, a loop; else empty."""
    found: list[str] = []
    times: Counter[Apply] = Counter()

    def see(inner: Apply, operands: Sequence[np.ndarray], results: Sequence[np.ndarray]) -> None:
        bad = None if found else next(filter(None, map(bounds.first, map(np.asarray, results))), None)
        if bad is not None:
            where = f"in step {times[inner]} of {_label(node)}"
            found.append(f"{_label(inner)} gives {bad} {where}{operand_lines(inner, operands)}")
        times[inner] += 1

    with observed(see):
        run_reference(node, arrays)
    return found[0] if found else ""


class GuardedExecutable(WrappedExecutable):
    """Mode "nan_guard": runs the Executable as it is.

    On the CPU the core looks at what each step has written and stops at once; on a GPU the intermediate
    values are looked at after the run. What is found is then looked for in the graph as it was written.
    """

    def __init__(self, inner: Executable, shared: Sequence[SharedVariable], bounds: Bounds) -> None:
        super().__init__(inner, shared)
        self.bounds = bounds
        self._survivors = frozenset[int]() if inner.plan is None else check_plan(inner.plan)

    def explain(self) -> str:
        return f"mode nan_guard: NaN, infinities and large values are looked for\n{self.inner.explain()}"

    def _run(self, inputs: Sequence[np.ndarray]) -> list[np.ndarray]:
        bounds = self.bounds
        leaves = dict(zip(self.graph.inputs, on_host(inputs)))
        for v, array in leaves.items():  # states, which may be large, when a step has gone wrong
            if (found := bounds.first(array)) is not None:
                raise NonFiniteError(f"{v!r} from {v.origin} holds {found} already: {summary(array)}")
        leaves |= {v: s.get_value(borrow=True) for v, s in zip(self.graph.states, self.shared)}
        changing = [i for i, _ in self.graph.updates]
        before = {self.graph.states[i]: self.shared[i].get_value() for i in changing}
        if self.plan is None or any(b.type.dtype == "float16" for b in self.plan.buffers):
            if (found := first_out_of_bounds(self.graph.roots, leaves, bounds)) is not None:
                raise NonFiniteError(first_out_of_bounds(self.as_written.roots, leaves, bounds) or found)
            return self.inner.run(inputs)
        outputs, step = self._watched(inputs)
        if step is not None:
            blamed = first_out_of_bounds(self.as_written.roots, leaves | before, bounds)
            if blamed is None:
                blamed = "no node of the graph as written gives such a value, but a rewrite or a kernel does"
            label = self.plan.steps[step].label
            raise NonFiniteError(f"{blamed}\n  noticed in {label}\n  {operands_of(self.plan, step)}")
        return outputs

    def _watched(self, inputs: Sequence[np.ndarray]) -> tuple[list[np.ndarray], int | None]:
        """A run, and the first step that left a value out of bounds."""
        bounds, inner = self.bounds, self.inner
        run = getattr(inner, "run_watched", None)
        if run is not None:
            result: tuple[list[np.ndarray], int | None] = run(
                inputs, bounds.limit, bounds.nan, bounds.infinity
            )
            return result
        assert self.plan is not None
        outputs = inner.run(inputs)
        fetch = inner.fetch  # type: ignore[attr-defined]
        for number, step in enumerate(self.plan.steps):
            for buffer in step.outputs:
                b = self.plan.buffers[buffer]
                if b.kind == "output":  # its address has moved on, to the next iteration of a loop
                    array = outputs[b.slot]
                elif buffer in self._survivors:
                    array = fetch(buffer)
                else:
                    continue
                if bounds.first(array) is not None:
                    return outputs, number
        return outputs, None
