"""verify_grad: gradients against central differences."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from symconv.errors import GradientError


def verify_grad(
    fun: Any, pt: Sequence[Any], n_tests: int = 2, rng: Any = None, eps: float | None = None,
    out_type: str | None = None, abs_tol: float | None = None, rel_tol: float | None = None, mode: Any = None,
    cast_to_output_type: bool = False, no_debug_ref: bool = True,
) -> None:  # fmt: skip
    """Compare T.grad of a random projection of fun at `pt` with central differences. Raises GradientError."""
    from symconv.theano.functions import function
    from symconv.theano.gradient import grad
    from symconv.theano.tensor.reductions import sum
    from symconv.theano.variable import TensorType

    points = [np.array(p) for p in pt]
    for p in points:
        if p.dtype not in ("float32", "float64"):
            raise GradientError(f"verify_grad: points must be floats, got {p.dtype}")
    rng = rng or np.random.RandomState(0)
    narrow = any(p.dtype == "float32" for p in points)
    eps = eps or (1e-3 if narrow else 1e-6)
    abs_tol = abs_tol or (5e-3 if narrow else 1e-5)
    rel_tol = rel_tol or (5e-3 if narrow else 1e-5)
    ins = [TensorType(str(p.dtype), [n == 1 for n in p.shape])(f"input {i}") for i, p in enumerate(points)]
    out = fun(*ins)
    value = function(ins, out, on_unused_input="ignore", mode=mode)
    for _ in range(n_tests):
        shape = np.shape(value(*points))
        weights = np.asarray(rng.uniform(0.5, 1.5, shape), out.dtype)
        gradients = function(
            ins,
            grad(sum(out * weights), ins, disconnected_inputs="ignore"),
            on_unused_input="ignore",
            mode=mode,
        )(*points)
        for k in range(len(points)):
            _compare(value, weights, points, k, np.asarray(gradients[k]), eps, abs_tol, rel_tol)


setattr(verify_grad, "E_grad", GradientError)  # noqa: B010  (programs catch T.verify_grad.E_grad)


def _compare(
    value: Any, weights: np.ndarray, points: list[np.ndarray], k: int, got: np.ndarray,
    eps: float, abs_tol: float, rel_tol: float,
) -> None:  # fmt: skip
    for place in np.ndindex(points[k].shape):
        sides = []
        for sign in (1, -1):
            moved = [p.copy() for p in points]
            moved[k][place] += sign * eps
            at = float(moved[k][place])
            sides.append((float(np.sum(np.asarray(value(*moved), "float64") * weights)), at))
        want = (sides[0][0] - sides[1][0]) / (sides[0][1] - sides[1][1])
        error = abs(want - float(got[place]))
        if error > abs_tol and error > rel_tol * max(abs(want), abs(float(got[place]))):
            raise GradientError(
                f"verify_grad: the gradient by argument {k} at {list(place)} is {float(got[place])}, central "
                f"differences give {want}"
            )
