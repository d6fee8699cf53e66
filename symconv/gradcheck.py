"""verify_grad: a symbolic gradient beside central differences, element by element."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Any

import numpy as np

from symconv.autodiff import grad
from symconv.backends.reference import evaluate
from symconv.config import config
from symconv.errors import ArgumentError, GradientMismatchError
from symconv.function import function as compile_function
from symconv.graph import TensorType, Variable
from symconv.graph.traversal import toposort
from symconv.ops.elementwise import add, cast, mul
from symconv.ops.reduce import reduce_sum

Arrays = list[np.ndarray]
SHOWN = 5  # elements, and nodes, that a report lists


def outputs_of(built: Any) -> list[Variable]:
    return list(built) if isinstance(built, (tuple, list)) else [built]


def widen(arrays: Sequence[np.ndarray]) -> Arrays:
    """Float arrays in float64, the others as they are."""
    return [a.astype("float64") if a.dtype.kind == "f" else a for a in arrays]


def weights_of(out: Variable, rng: np.random.Generator) -> np.ndarray:
    """Whole numbers other than 0 that tell every element of `out` from the others."""
    shape = _known_shape(out) or ()
    return rng.integers(1, 4, shape) * rng.choice([-1.0, 1.0], shape)


def _known_shape(out: Variable) -> tuple[int, ...] | None:
    """The shape where it is known: one weight serves for all elements where it is not."""
    dims = tuple(d for d in out.type.shape if d is not None)
    return dims if len(dims) == out.ndim else None


def weighted_sum(outputs: Sequence[Variable], rng: np.random.Generator) -> Variable:
    """A scalar to differentiate: the float outputs times weights_of them."""
    terms = [reduce_sum(mul(o, cast(weights_of(o, rng), o.dtype))) for o in outputs if o.type.is_float]
    if not terms:
        raise ArgumentError("verify_grad: no output is a float, so there is no gradient to check")
    return reduce(add, terms)


def verify_grad(
    function: Callable[..., Any],
    points: Sequence[Any],
    *,
    wrt: Sequence[int] | None = None,
    second: bool = True,
    exact: bool = False,
    variables: Sequence[Variable] | None = None,
    what: str = "gradient",
    rng: np.random.Generator | None = None,
    rtol: float = 1e-5,
    atol: float | None = None,
    eps: float | None = None,
    samples: int = 40,
    device: str | None = None,
) -> None:
    """The gradient of `function` at `points` against central differences, in float64.

    function takes a variable per point and returns one, or several, whose randomly weighted sum is
    differentiated by the inputs `wrt` (the float ones). second: also the gradient of the gradient. At most
    `samples` elements of each input are moved, by `eps` (1e-5 of their size). An element passes within
    atol + rtol |difference|; atol is rtol unless given. Elements where the one-sided slopes disagree sit on a
    kink and are skipped; a check in which more than half are skipped fails. exact: for functions linear in
    each input and integer data, the step is 1 and equality is asked for. device: the gradient as compiled for
    a device, computed in the dtypes of the points. Raises GradientMismatchError, whose text lists the worst
    elements, what they have in common, and the nodes whose gradients take part.
    """
    rng = rng or np.random.default_rng(0)
    given = [np.asarray(p) for p in points]
    if not given or not any(a.dtype.kind == "f" for a in given):
        raise ArgumentError(
            f"verify_grad: points must hold a float array, got {[str(a.dtype) for a in given]}"
        )
    arrays = widen(given)
    inputs = list(variables or [Variable(TensorType(str(a.dtype), a.shape)) for a in arrays])
    indices = [i for i, a in enumerate(arrays) if a.dtype.kind == "f"] if wrt is None else list(wrt)
    check = _Check(inputs, arrays, indices, exact, rng, rtol, rtol if atol is None else atol, eps, samples)
    targets = [inputs[i] for i in indices]
    state = rng.bit_generator.state
    with config(floatX="float64"):
        cost = weighted_sum(outputs_of(function(*inputs)), rng)
    gradients = grad(cost, targets, disconnected_inputs="ignore")
    if device is not None:
        rng.bit_generator.state = state
        check(cost, gradients, f"{what}: gradient", _compiled(function, given, indices, device, rng))
        return
    check(cost, gradients, f"{what}: gradient")
    if second:
        cost = weighted_sum(gradients, rng)
        gradients = grad(cost, targets, disconnected_inputs="ignore")
        check(cost, gradients, f"{what}: gradient of the gradient")


def _compiled(
    function: Callable[..., Any],
    points: Sequence[np.ndarray],
    indices: Sequence[int],
    device: str,
    rng: np.random.Generator,
) -> Arrays:
    inputs = [Variable(TensorType(str(a.dtype), a.shape)) for a in points]
    cost = weighted_sum(outputs_of(function(*inputs)), rng)
    gradients = grad(cost, [inputs[i] for i in indices], disconnected_inputs="ignore")
    compiled = compile_function(inputs, gradients, device=device, on_unused_input="ignore")
    return [np.asarray(a) for a in compiled(*points)]


@dataclass
class _Check:
    inputs: Sequence[Variable]
    arrays: Arrays
    indices: Sequence[int]
    exact: bool
    rng: np.random.Generator
    rtol: float
    atol: float
    eps: float | None
    samples: int

    def __call__(
        self, cost: Variable, gradients: Sequence[Variable], what: str, values: Arrays | None = None
    ) -> None:
        """Compare, for every input; `values` are the gradients where they are known already."""
        known = dict(zip(self.inputs, self.arrays))
        wide = evaluate(gradients, known)
        at = float(evaluate([cost], known)[0])
        for i, right, value in zip(self.indices, wide, wide if values is None else values):
            array = self.arrays[i]
            if right.shape != array.shape or right.dtype != array.dtype:
                found, wanted = (f"{a.dtype}{list(a.shape)}" for a in (right, array))
                raise GradientMismatchError(f"{what} of input {i}: {found} for {wanted}")
            self._elements(cost, at, i, value, f"{what} of input {i}")

    def _still(self, cost: Variable, i: int) -> dict[Variable, np.ndarray]:
        """The values below `cost` that do not move with input i."""
        known = dict(zip(self.inputs, self.arrays))
        moving = {self.inputs[i]}
        still: list[Variable] = []
        for node in toposort([cost]):
            if moving.isdisjoint(node.inputs):
                still += node.outputs
            else:
                moving.update(node.outputs)
        return known | dict(zip(still, evaluate(still, known)))

    def _moved(
        self, cost: Variable, i: int, element: int, step: float, still: Mapping[Variable, np.ndarray]
    ) -> float:
        changed = self.arrays[i].copy()
        changed.reshape(-1)[element] += step
        return float(evaluate([cost], {**still, self.inputs[i]: changed})[0])

    def _elements(self, cost: Variable, at: float, i: int, value: np.ndarray, what: str) -> None:
        array = self.arrays[i]
        chosen = self.rng.permutation(array.size)[: self.samples]
        skipped, bad = 0, []
        still = self._still(cost, i)
        for element in map(int, chosen):
            size = min(max(1.0, abs(float(array.reshape(-1)[element]))), 10.0)
            step = 1.0 if self.exact else (self.eps or 1e-5) * size
            up, down = (self._moved(cost, i, element, s, still) for s in (step, -step))
            slope, right, left = (up - down) / (2 * step), (up - at) / step, (at - down) / step
            got = float(value.reshape(-1)[element])
            noise = 0.0 if self.exact else 1e-15 * (abs(at) + abs(up)) / step  # rounding in the difference
            if not self.exact and abs(right - left) > 1e-3 * (1 + abs(slope)) + 4 * noise:
                skipped += 1
                continue
            limit = 0.0 if self.exact else self.atol + self.rtol * abs(slope) + 4 * noise
            if not abs(got - slope) <= limit:
                bad.append((element, got, slope))
        if bad:
            raise GradientMismatchError(self._report(cost, i, bad, len(chosen), skipped, what))
        if skipped * 2 > len(chosen):
            raise GradientMismatchError(
                f"{what}: {skipped} of {len(chosen)} points lie on kinks\n"
                "  hint: check at points away from the kinks"
            )

    def _report(
        self, cost: Variable, i: int, bad: list[tuple[int, float, float]], count: int, skipped: int, what: str
    ) -> str:
        shape = self.arrays[i].shape
        bad.sort(key=lambda row: -abs(row[1] - row[2]) if np.isfinite(row[1]) else -np.inf)

        def row(element: int, got: float, slope: float) -> str:
            where = list(map(int, np.unravel_index(element, shape)))
            return f"at {where}: {got!r}, by differences {slope!r}"

        lines = [f"{what} {row(*bad[0])}"]
        lines.append(f"{len(bad)} of {count} elements are off ({skipped} on kinks were skipped)")
        lines += [row(*r) for r in bad[1:SHOWN]]
        lines += _common(bad)
        if not self.exact:
            lines.append(f"allowed: {self.atol:g} + {self.rtol:g} |difference|")
        nodes = toposort([cost])
        on_path: set[Variable] = {self.inputs[i]}
        path = []
        for node in nodes:
            if any(v in on_path for v in node.inputs):
                on_path.update(node.outputs)
                path.append(f"{node.op.name} from {node.origin}")
        names = list(dict.fromkeys(path))
        lines.append("gradients of: " + ", ".join(names[:SHOWN]) + (", ..." if len(names) > SHOWN else ""))
        return "\n  ".join(lines)


def _common(bad: Sequence[tuple[int, float, float]]) -> list[str]:
    """What all wrong elements have in common, in words."""
    if not all(np.isfinite(got) for _, got, _ in bad):
        return ["some are not finite"]
    if all(got == 0 for _, got, _ in bad):
        return ["all are 0: no gradient gets through"]
    ratios = [got / slope for _, got, slope in bad if slope]
    if len(ratios) == len(bad) and max(ratios) - min(ratios) <= 1e-3 * abs(ratios[0]):
        return [f"all are {ratios[0]:.4g} times what they should be"]
    return []
