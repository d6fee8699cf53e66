"""Random draws and dropout: pure ops on a counter, so that the same seed gives the same values everywhere.

`philox.py` says how seed, stream, counter and position make a value.
"""

from __future__ import annotations

import itertools
import math
import weakref
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from symconv.config import config
from symconv.errors import ArgumentError, DTypeError, ExecutionError, ProtocolError
from symconv.graph import (
    KERNEL_FLOATS,
    Apply,
    Constant,
    Kernel,
    Launch,
    Op,
    TensorType,
    Variable,
    blocks,
    op_error,
)
from symconv.graph.params import pack
from symconv.ops import elementwise as ew
from symconv.ops import philox
from symconv.ops.float_kernels import both_dtypes
from symconv.ops.leaf import shared
from symconv.ops.operands import as_dim, as_dims, as_operands, is_scalar, static_dim
from symconv.ops.random_cuda import draws_on_cuda, permutations_on_cuda, signed


class RandomStream:
    """A source of independent random draws from one seed (`config.seed` by default).

    Each call of a method is a draw of its own; each call of a compiled function that contains
    draws gives them new values and advances the stream's counter, a shared variable, by one.
    Two RandomStreams with one seed give the same draws: share one, or seed them differently.
    Draws have no gradient. Raises ArgumentError for a seed outside [0, 2^64).
    """

    def __init__(self, seed: int | None = None) -> None:
        seed = config.seed if seed is None else seed
        if not philox.is_seed(seed):
            raise ArgumentError(f"RandomStream: seed must be an integer from 0 to 2**64 - 1, got {seed!r}")
        self.seed = int(seed)
        self.counter = shared(np.asarray(0, "int64"), name=f"random_counter_{self.seed}")
        self.counter.default_update = ew.add(self.counter, 1)
        self._streams = itertools.count()
        _sources[self.counter] = (self.seed, self._streams)

    def reset(self, counter: int = 0) -> None:
        """Start the draws over, or continue from a counter that was saved."""
        self.counter.set_value(np.asarray(counter, "int64"))

    def new_stream(self) -> int:
        """The number of the next draw."""
        return next(self._streams)

    def uniform(self, shape: Any = (), low: Any = 0.0, high: Any = 1.0, dtype: str | None = None) -> Variable:
        """low + (high - low) * u, with u from [0, 1) in steps of 2^-24 (float32) or 2^-53 (float64)."""
        op = RandomUniform(self.seed, self.new_stream(), _float("uniform", dtype))
        u = op(self.counter, *as_dims(shape))
        if is_scalar(low) and is_scalar(high):
            if not (np.isfinite(low) and np.isfinite(high)):
                raise ArgumentError(f"uniform: low and high must be finite, got {low} and {high}")
            u = ew.mul(u, high - low) if high - low != 1 else u
            return ew.add(u, low) if low != 0 else u
        return ew.add(ew.mul(u, ew.sub(high, low)), low)

    def normal(self, shape: Any = (), mean: Any = 0.0, std: Any = 1.0, dtype: str | None = None) -> Variable:
        """mean + std * z, with z from the standard normal distribution."""
        op = RandomNormal(self.seed, self.new_stream(), _float("normal", dtype))
        z = op(self.counter, *as_dims(shape))
        if is_scalar(std) and not 0 <= std < np.inf:
            raise ArgumentError(f"normal: std must be finite and >= 0, got {std}")
        z = z if is_scalar(std) and std == 1 else ew.mul(z, std)
        return z if is_scalar(mean) and mean == 0 else ew.add(z, mean)

    def bernoulli(self, shape: Any = (), p: Any = 0.5, dtype: str | None = None) -> Variable:
        """1 with probability p, else 0, in `dtype` (floatX by default)."""
        if is_scalar(p) and not 0 <= p <= 1:
            raise ArgumentError(f"bernoulli: p must lie in [0, 1], got {p}")
        u = RandomUniform(self.seed, self.new_stream(), "float32")(self.counter, *as_dims(shape))
        return ew.cast(ew.lt(u, p), dtype or config.floatX)

    def integers(self, shape: Any, low: Any, high: Any = None, dtype: str = "int64") -> Variable:
        """Integers from [low, high); with one bound, from [0, low). An empty range is an error."""
        if high is None:
            low, high = 0, low
        op = RandomIntegers(self.seed, self.new_stream())
        return ew.cast(op(self.counter, as_dim(low), as_dim(high), *as_dims(shape)), dtype)

    def permutation(self, n: Any) -> Variable:
        """0 ... n - 1 in random order, int64."""
        return RandomPermutation(self.seed, self.new_stream())(self.counter, as_dim(n))  # type: ignore[no-any-return]


# counter -> (seed, numbers of further draws) of its RandomStream
_sources: weakref.WeakKeyDictionary[Variable, tuple[int, itertools.count[int]]] = weakref.WeakKeyDictionary()


def is_counter(v: Variable) -> bool:
    """True for the counter of a RandomStream."""
    return v in _sources


def step_counters(counter: Variable, n: Variable) -> Variable:
    """int64[n]: a counter for each of n steps of a loop, so that each step has draws of its own.

    They are themselves a draw, from [0, 2^62).
    """
    seed, streams = _sources[counter]
    return RandomIntegers(seed, next(streams))(counter, as_dim(0), as_dim(2**62), n)  # type: ignore[no-any-return]


def _float(name: str, dtype: str | None) -> str:
    dtype = config.floatX if dtype is None else str(np.dtype(dtype))
    if dtype not in KERNEL_FLOATS:
        raise DTypeError(f"{name}: dtype must be one of {', '.join(KERNEL_FLOATS)}, got {dtype}")
    return dtype


def dropout(x: Any, p: float = 0.5, *, rng: RandomStream, scale: bool = True) -> Variable:
    """x * mask / (1 - p), where each element of mask is 0 with probability p (to 2^-16), else 1.

    The division keeps the mean, so that nothing needs to be changed when the net is used (inverted
    dropout). scale=False leaves it out, as the book's network3 does: there the weights are
    multiplied by (1 - p) at test time. A dropped element is 0 whatever x holds.
    """
    (x,) = as_operands(x, to_float=True)
    if isinstance(p, bool) or not isinstance(p, (int, float)) or not 0 <= p < 1:
        raise ArgumentError(f"dropout: p must be a number in [0, 1), got {p!r}")
    return Dropout(rng.seed, rng.new_stream(), float(p), bool(scale))(x, rng.counter)  # type: ignore[no-any-return]


# ---- ops and their kernels


def _launch(node: Apply) -> Launch:
    op: Any = node.op
    return Launch(pack("RandomParams", n=node.out.type.size, seed=signed(op.seed), stream=op.stream))


def _launch_dropout(node: Apply) -> Launch:
    op: Any = node.op
    return Launch(
        pack(
            "DropoutParams",
            n=node.out.type.size,
            seed=signed(op.seed),
            stream=op.stream,
            threshold=op.threshold,
            factor=op.factor,
        )
    )


def _dropout_tiles(node: Apply) -> int:
    return blocks(node.out.type.size, 8 * 256)


def _int64_kernel(entry: str) -> list[Kernel]:
    return [Kernel(entry, "cpu", "csrc/kernels/random.cpp", entry, lambda node: None, _launch)]


@dataclass(frozen=True)
class RandomOp(Op):
    """A draw: inputs counter and the dimensions of the output. The same attributes give the same values."""

    seed: int
    stream: int
    dims_from = 1  # index of the first dimension among the inputs

    def infer(self, *inputs: Variable) -> TensorType:
        _check_counter(self, inputs, inputs[0])
        shape = tuple(static_dim(d) for d in inputs[self.dims_from :])
        if any(d is not None and d < 0 for d in shape):
            raise op_error(self, inputs, f"negative dimension in shape {list(shape)}")
        if None not in shape and math.prod(shape) > philox.MAX_ELEMENTS:  # type: ignore[arg-type]
            raise op_error(self, inputs, f"shape {list(shape)} is beyond {philox.MAX_ELEMENTS} elements")
        return TensorType(self.out_dtype, shape)

    @property
    def out_dtype(self) -> str:
        return "int64"

    def shape_operands(self, n_inputs: int) -> range:
        return range(self.dims_from, n_inputs)

    def grad(self, node: Apply, *dys: Variable | None) -> Sequence[Variable | None]:
        return [None] * len(node.inputs)

    def reference(self, counter: np.ndarray, *arrays: np.ndarray) -> np.ndarray:
        first = self.dims_from - 1
        shape = tuple(int(d) for d in arrays[first:])
        n = int(np.prod(shape, dtype=np.int64))
        return self.draw(int(counter), n, *(int(a) for a in arrays[:first])).reshape(shape)

    def draw(self, counter: int, n: int, *bounds: int) -> np.ndarray:
        raise ProtocolError(f"{type(self).__name__} defines no draw()")

    def flops(self, node: Apply) -> int:
        return 20 * node.out.type.size


def _check_counter(op: Op, inputs: Sequence[Variable], counter: Variable) -> None:
    if counter.dtype != "int64" or counter.ndim != 0:
        message = f"the counter must be an int64 scalar, got {counter.type}"
        raise op_error(op, inputs, message, kind=DTypeError)


@dataclass(frozen=True)
class RandomUniform(RandomOp):
    dtype: str = "float32"
    name = "random_uniform"
    operands = ("counter",)
    kernels = both_dtypes("random_uniform", "random", _launch) + draws_on_cuda(
        "random_uniform", KERNEL_FLOATS
    )

    @property
    def out_dtype(self) -> str:
        return self.dtype

    def draw(self, counter: int, n: int, *bounds: int) -> np.ndarray:
        return philox.uniform(self.seed, self.stream, counter, n, self.dtype)


@dataclass(frozen=True)
class RandomNormal(RandomOp):
    dtype: str = "float32"
    name = "random_normal"
    operands = ("counter",)
    kernels = both_dtypes("random_normal", "random", _launch) + draws_on_cuda("random_normal", KERNEL_FLOATS)

    @property
    def out_dtype(self) -> str:
        return self.dtype

    def draw(self, counter: int, n: int, *bounds: int) -> np.ndarray:
        return philox.normal_pairs(self.seed, self.stream, counter, n, self.dtype)


@dataclass(frozen=True)
class RandomIntegers(RandomOp):
    """Inputs counter, low, high and the dimensions."""

    name = "random_integers"
    operands = ("counter", "low", "high")
    kernels = _int64_kernel("random_integers") + draws_on_cuda("random_integers", ["int64"])
    dims_from = 3

    def infer(self, *inputs: Variable) -> TensorType:
        _, low, high = inputs[:3]
        if isinstance(low, Constant) and isinstance(high, Constant) and not low.data < high.data:
            raise op_error(self, inputs, f"nothing lies in [{low.data}, {high.data})", kind=ArgumentError)
        return super().infer(*inputs)

    def draw(self, counter: int, n: int, *bounds: int) -> np.ndarray:
        low, high = bounds
        if not low < high:
            raise ExecutionError(f"random_integers: nothing lies in [{low}, {high})")
        return philox.integers(self.seed, self.stream, counter, n, low, high)


@dataclass(frozen=True)
class RandomPermutation(RandomOp):
    name = "random_permutation"
    operands = ("counter", "n")
    kernels = _int64_kernel("random_permutation") + permutations_on_cuda()

    def draw(self, counter: int, n: int, *bounds: int) -> np.ndarray:
        return np.argsort(philox.words64(self.seed, self.stream, counter, n), kind="stable")


@dataclass(frozen=True)
class Dropout(Op):
    """y[i] = x[i] * factor where half-word i of the draw >= round(p * 2^16), else 0.

    factor is 1 / (1 - p), or 1 without `scale`. Inputs x, counter. The mask is never stored: the
    gradient is the same op applied to dy, which makes the mask again.
    """

    seed: int
    stream: int
    p: float
    scale: bool = True
    name = "dropout"
    operands = ("x", "counter")
    kernels = both_dtypes("dropout", "random", _launch_dropout, ((0, 0),), tiles=_dropout_tiles)

    @property
    def threshold(self) -> int:
        return min(round(self.p * 2**16), 2**16 - 1)

    @property
    def factor(self) -> float:
        return 1 / (1 - self.p) if self.scale else 1.0

    def infer(self, x: Variable, counter: Variable) -> TensorType:
        if not x.type.is_float:
            raise op_error(self, (x, counter), f"x must be float, got {x.dtype}", "sc.cast(...)", DTypeError)
        _check_counter(self, (x, counter), counter)
        return x.type

    def grad(self, node: Apply, *dys: Variable | None) -> Sequence[Variable | None]:
        (dy,) = dys
        return [None if dy is None else self(dy, node.inputs[1]), None]

    def simplify(self, x: Variable, counter: Variable) -> Sequence[Variable] | None:
        return [x] if self.p == 0 else None

    def reference(self, x: np.ndarray, counter: np.ndarray) -> np.ndarray:
        halves = philox.halves(self.seed, self.stream, int(counter), x.size)
        keep = (halves >= self.threshold).reshape(x.shape)
        with np.errstate(all="ignore"):
            return np.where(keep, x * x.dtype.type(self.factor), x.dtype.type(0))

    def flops(self, node: Apply) -> int:
        return 15 * node.out.type.size
