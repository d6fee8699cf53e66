"""MRG31k3p: uniform values from many streams of a combined multiple recursive generator.

    x[k] = 2^22 x[k-2] + (2^7 + 1) x[k-3]      mod m1 = 2^31 - 1
    y[k] = 2^15 y[k-1] + (2^15 + 1) y[k-3]     mod m2 = 2^31 - 21069
    u[k] = (x[k] - y[k], plus m1 where that is not positive) * norm

L'Ecuyer, Touzin: Fast combined multiple recursive generators with multipliers of the form a = +-2^q +-2^r,
Proceedings of the 2000 Winter Simulation Conference. A state is int32[streams, 6]: the last three x and y of
each stream. Element i of a draw comes from stream i % streams.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from symconv.graph import KERNEL_FLOATS, Apply, Kernel, Launch, Op, TensorType, Variable, op_error
from symconv.graph.params import pack
from symconv.ops.operands import static_dim

MOST_VALUES = 2**31 - 1
M1, M2 = 2**31 - 1, 2**31 - 21069
# for float32 the largest factor with which m1 stays below 1 after rounding
NORM = {"float32": np.float32(4.6566126e-10), "float64": np.float64(2.0**-31)}
_A1: tuple[tuple[int, ...], ...] = ((0, 2**22, 2**7 + 1), (1, 0, 0), (0, 1, 0))
_A2: tuple[tuple[int, ...], ...] = ((2**15, 0, 2**15 + 1), (1, 0, 0), (0, 1, 0))

Matrix = tuple[tuple[int, ...], ...]


def _product(a: Matrix, b: Matrix, m: int) -> Matrix:
    return tuple(tuple(sum(a[i][k] * b[k][j] for k in range(3)) % m for j in range(3)) for i in range(3))


@lru_cache(maxsize=4)
def _jump(log2: int) -> tuple[Matrix, Matrix]:
    """The matrices that move a stream on by 2^log2 values."""
    a, b = _A1, _A2
    for _ in range(log2):
        a, b = _product(a, a, M1), _product(b, b, M2)
    return a, b


def skip(state: Sequence[int] | np.ndarray, log2: int) -> list[int]:
    """The state of one stream 2^log2 values later."""
    a, b = _jump(log2)
    x = [sum(a[i][k] * int(state[k]) for k in range(3)) % M1 for i in range(3)]
    y = [sum(b[i][k] * int(state[3 + k]) for k in range(3)) % M2 for i in range(3)]
    return x + y


def substreams(state: Sequence[int] | np.ndarray, count: int) -> np.ndarray:
    """int32[count, 6]: streams that are 2^72 values apart, from `state` on."""
    rows = [[int(v) for v in state]]
    for _ in range(count - 1):
        rows.append(skip(rows[-1], 72))
    return np.array(rows, "int32")


def draw(state: np.ndarray, n: int, dtype: str) -> tuple[np.ndarray, np.ndarray]:
    """(state after, n values)."""
    s = state.astype("int64").T.copy()
    streams = s.shape[1]
    words = np.empty((-(-n // streams), streams), "int64")
    for row in range(len(words)):
        k = min(streams, n - row * streams)
        x = (s[1, :k] * 2**22 + s[2, :k] * (2**7 + 1)) % M1
        y = (s[3, :k] * 2**15 + s[5, :k] * (2**15 + 1)) % M2
        s[2, :k], s[1, :k], s[0, :k] = s[1, :k].copy(), s[0, :k].copy(), x
        s[5, :k], s[4, :k], s[3, :k] = s[4, :k].copy(), s[3, :k].copy(), y
        words[row, :k] = np.where(x <= y, x - y + M1, x - y)
    whole = words.reshape(-1)[:n]
    if dtype == "float16":  # Theano's: of 15 bits, so that none is rounded to 1
        values = ((whole & 0x7FFF) + 1) * np.float64(np.float16(3.0458e-05))
    else:
        values = whole.astype(dtype) * NORM[dtype]
    return s.T.astype("int32"), values.astype(dtype)


def _launch(node: Apply) -> Launch:
    streams = node.inputs[0].type.dims[0]
    return Launch(pack("MrgParams", n=node.outputs[1].type.size, streams=streams))


def _kernel(dtype: str) -> Kernel:
    entry = f"mrg31k3p_f{dtype[5:]}"

    def supports(node: Apply) -> str | None:
        if node.outputs[1].dtype != dtype:
            return f"dtype {node.outputs[1].dtype}, {dtype} only"
        return None if node.inputs[0].type.dims[0] else "no streams"

    return Kernel(entry, "cpu", "csrc/kernels/mrg31k3p.cpp", entry, supports, _launch, ((0, 0),))


@dataclass(frozen=True)
class MrgUniform(Op):
    """(state after, values in (0, 1) of shape dims); inputs state int32[streams, 6], dims."""

    dtype: str
    name = "mrg31k3p"
    operands = ("state",)
    kernels = [_kernel(dtype) for dtype in KERNEL_FLOATS]

    def infer(self, state: Variable, *dims: Variable) -> tuple[TensorType, TensorType]:
        if not TensorType("int32", (None, 6)).accepts(state.type):
            raise op_error(self, (state, *dims), f"the state must be int32[streams, 6], got {state.type}")
        shape = tuple(static_dim(d) for d in dims)
        if any(d is not None and d < 0 for d in shape):
            raise op_error(self, (state, *dims), f"negative dimension in shape {list(shape)}")
        return state.type, TensorType(self.dtype, shape)

    def shape_operands(self, n_inputs: int) -> range:
        return range(1, n_inputs)

    def simplify(self, state: Variable, *dims: Variable) -> Sequence[Variable] | None:
        """Raises ShapeError, before memory is taken, for more values than 32 bits count."""
        shape = [static_dim(d) for d in dims]
        wanted = math.prod(d or 0 for d in shape)
        if wanted > MOST_VALUES:
            raise op_error(
                self, (state, *dims), f"{wanted} values in one draw, at most {MOST_VALUES} are drawn"
            )
        return None

    def grad(self, node: Apply, *dys: Variable | None) -> Sequence[Variable | None]:
        return [None] * len(node.inputs)

    def reference(self, state: np.ndarray, *dims: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        shape = tuple(int(d) for d in dims)
        after, values = draw(state, math.prod(shape), self.dtype)
        return after, values.reshape(shape)

    def flops(self, node: Apply) -> int:
        return 20 * node.outputs[1].type.size
