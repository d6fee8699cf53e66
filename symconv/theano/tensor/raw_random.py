"""theano.tensor.raw_random: draws as functions of a random state; they return (state after, values).

The values are those of numpy.random.RandomState, bit for bit.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from symconv.errors import ArgumentError, DTypeError
from symconv.graph import Constant as NativeConstant
from symconv.graph import Variable as Native
from symconv.graph import constant as native_constant
from symconv.ops.elementwise import add
from symconv.ops.gather import take
from symconv.ops.mt19937 import mersenne_draw
from symconv.ops.operands import as_variable, cast
from symconv.ops.shape import dims_of
from symconv.theano import dtypes
from symconv.theano.configuration import config
from symconv.theano.errors import RankError
from symconv.theano.random_state import (
    RandomStateSharedVariable,
    RandomStateType,
    random_state_shared,
    random_state_type,
    state_variable,
)
from symconv.theano.shapes import as_dims
from symconv.theano.tensor.random_function import RandomFunction, permutation_helper
from symconv.theano.variable import as_tensor_variable, native_of, wrap


def _draw(
    kind: str, state: Any, size: Any, ndim: int | None, dtype: str | None,
    parameters: Sequence[tuple[Any, str]], core: int = 0, replace: bool = True,
) -> tuple[Any, Any]:  # fmt: skip
    """(state after, values). parameters: (value, dtype of the draw); the last `core` axes of the last one
    are no axes of the result. Without a size the parameters tell, and ndim adds
    dimensions of 1; a -1 in a size is the dimension that the parameters have there."""
    if not isinstance(getattr(state, "type", None), RandomStateType):
        raise DTypeError(
            f"{kind}: a draw needs a random state, got {state!r}\n"
            "  hint: random_state_type(), random_state_shared(RandomState(seed)), or a RandomStreams"
        )
    given = [native_of(v) for v, _ in parameters]
    if size is None:
        dims = _dims_of_parameters(given, core)
        dims = [native_constant(1, "int64")] * ((ndim or 0) - len(dims)) + dims
    else:
        dims = as_dims(size, kind, ndim)
        if ndim is not None and len(dims) != ndim:
            raise ArgumentError(f"{kind}: ndim is {ndim}, size has {len(dims)} elements")
        open_ = [a for a, d in enumerate(dims) if isinstance(d, NativeConstant) and int(d.data) == -1]
        from_parameters = _dims_of_parameters(given, core) if open_ else []
        for axis in open_:
            place = axis - len(dims) + len(from_parameters)
            if place < 0:
                raise ArgumentError(f"{kind}: size has -1 at {axis}, where the parameters have no dimension")
            dims[axis] = from_parameters[place]
    arguments = [cast(v, wanted) for v, (_, wanted) in zip(given, parameters)]
    after, values = mersenne_draw(kind, state.native, arguments, dims, replace)
    return state_variable(after), wrap(cast(values, dtype) if dtype else values)


def _dims_of_parameters(given: Sequence[Native], core: int) -> list[Native]:
    """The dimensions that the parameters broadcast to."""
    ranks = [v.type.ndim - (core if v is given[-1] else 0) for v in given]
    return list(dims_of(_widest(given, ranks, core)))[: max(ranks, default=0)]


def _widest(given: Sequence[Native], ranks: Sequence[int], core: int) -> Native:
    """A variable with the broadcast shape of the parameters."""
    if core or sum(r > 0 for r in ranks) <= 1:
        return given[max(range(len(given)), key=lambda k: ranks[k])]
    total = given[0]
    for v in given[1:]:
        total = add(total, v)
    return total


def _float(dtype: str | None, *parameters: Any) -> str:
    """The dtype of a continuous draw: floatX, or float64 where a parameter has it."""
    if dtype is not None:
        if str(np.dtype(dtype)) not in dtypes.FLOATS:
            raise DTypeError(f"the dtype of a continuous draw must be a float, got {dtype}")
        return str(dtype)
    held = [as_tensor_variable(p).dtype for p in parameters]
    return dtypes.upcast(config.floatX, *held)


def uniform(
    random_state: Any, size: Any = None, low: Any = 0.0, high: Any = 1.0, ndim: int | None = None,
    dtype: str | None = None,
) -> tuple[Any, Any]:  # fmt: skip
    """Values from [low, high)."""
    kind = _float(dtype, low, high)
    return _draw("uniform", random_state, size, ndim, kind, [(low, "float64"), (high, "float64")])


def normal(
    random_state: Any, size: Any = None, avg: Any = 0.0, std: Any = 1.0, ndim: int | None = None,
    dtype: str | None = None,
) -> tuple[Any, Any]:  # fmt: skip
    """Normally distributed values."""
    kind = _float(dtype, avg, std)
    return _draw("normal", random_state, size, ndim, kind, [(avg, "float64"), (std, "float64")])


def binomial(
    random_state: Any, size: Any = None, n: Any = 1, p: Any = 0.5, ndim: int | None = None,
    dtype: str = "int64", prob: Any = None,
) -> tuple[Any, Any]:  # fmt: skip
    """How many of n trials with probability p succeed."""
    p = p if prob is None else prob
    return _draw("binomial", random_state, size, ndim, dtype, [(n, "int64"), (p, "float64")])


def random_integers(
    random_state: Any, size: Any = None, low: Any = 0, high: Any = 1, ndim: int | None = None,
    dtype: str = "int64",
) -> tuple[Any, Any]:  # fmt: skip
    """Integers from low to high, both included."""
    return _draw("random_integers", random_state, size, ndim, dtype, [(low, "int64"), (high, "int64")])


def choice(
    random_state: Any, size: Any = None, a: Any = 2, replace: bool = True, p: Any = None,
    ndim: int | None = None, dtype: str = "int64",
) -> tuple[Any, Any]:  # fmt: skip
    """Elements of a (of 0 ... a - 1 for a number), with probabilities p. No p, 0 or [] is: all are equal."""
    of = as_tensor_variable(a)
    chances = None if p is None or (isinstance(p, (int, float, list, tuple)) and not p) else native_of(p)
    if of.ndim > 1 or (chances is not None and chances.ndim != 1):
        given = "none" if chances is None else chances.type
        raise RankError(f"choice: a is a number or a vector, p a vector; got a {of.type}, p {given}")
    count = of if of.ndim == 0 else wrap(as_variable(of.native.shape[0]))
    parameters = [(count, "int64")] + ([] if chances is None else [(chances, "float64")])
    after, places = _draw(
        "choice", random_state, () if size is None else size, ndim, None, parameters, 0, bool(replace)
    )
    chosen = places.native if of.ndim == 0 else take(of.native, places.native, 0)
    return after, wrap(cast(chosen, dtype))


def poisson(
    random_state: Any, size: Any = None, lam: Any = None, ndim: int | None = None, dtype: str = "int64"
) -> tuple[Any, Any]:
    """Poisson-distributed counts with mean lam (1 by default)."""
    return _draw("poisson", random_state, size, ndim, dtype, [(1.0 if lam is None else lam, "float64")])


def permutation(
    random_state: Any, size: Any = None, n: Any = 1, ndim: int | None = None, dtype: str = "int64"
) -> tuple[Any, Any]:
    """Permutations of 0 ... n - 1 along a new last axis."""
    if size is None:
        if ndim not in (None, 0, 1):  # Theano counts the added axis where there is no size
            raise RankError(f"permutation: without a size there is one permutation, ndim cannot be {ndim}")
        size, ndim = (), None
    return _draw("permutation", random_state, size, ndim, dtype, [(n, "int64")])


def multinomial(
    random_state: Any, size: Any = None, n: Any = 1, pvals: Any = (0.5, 0.5), ndim: int | None = None,
    dtype: str = "int64",
) -> tuple[Any, Any]:  # fmt: skip
    """How often each of the outcomes of pvals [..., k] comes in n trials, along a new last axis."""
    values = list(pvals) if isinstance(pvals, tuple) else pvals
    return _draw("multinomial", random_state, size, ndim, dtype, [(n, "int64"), (values, "float64")], 1)


def permute_rows(x: Native, order: Native) -> Native:
    """x with the elements of each row in the order [..., k] of that row."""
    from symconv.ops.gather import take_along_axis

    return take_along_axis(x, order, -1)


__all__ = [
    "RandomFunction", "RandomStateSharedVariable", "RandomStateType", "binomial", "choice", "multinomial",
    "normal", "permutation", "permutation_helper", "poisson", "random_integers", "random_state_shared",
    "random_state_type", "uniform",
]  # fmt: skip
