"""Tensor types: a dtype and a shape whose dimensions may be unknown, and how dtypes promote."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache

import numpy as np

from symconv.config import config
from symconv.errors import DTypeError, ShapeError

# In the order of kernels/elementwise_ops.h: compiled kernels know a dtype by its place.
KERNEL_DTYPES = ("bool", "int8", "uint8", "int16", "int32", "int64", "float32", "float64")
KERNEL_FLOATS = ("float32", "float64")
# What touches the others is computed by the ops' references, step by step within a plan.
DTYPES = (*KERNEL_DTYPES, "uint16", "uint32", "uint64", "float16", "complex64", "complex128")
FLOATS = ("float16", "float32", "float64")
COMPLEX = ("complex64", "complex128")
INEXACT = (*FLOATS, *COMPLEX)  # what has gradients, and is no index


@dataclass(frozen=True, slots=True)
class TensorType:
    """A dtype and a shape; a dimension is an int, or None while it is unknown."""

    dtype: str
    shape: tuple[int | None, ...]

    def __post_init__(self) -> None:
        if self.dtype not in DTYPES:
            raise DTypeError(f"unknown dtype {self.dtype!r}; symconv has {', '.join(DTYPES)}")
        for dim in self.shape:
            if dim is not None and dim < 0:
                raise ShapeError(f"a dimension cannot be negative: {self.dtype}{list(self.shape)}")

    @property
    def ndim(self) -> int:
        return len(self.shape)

    @property
    def is_concrete(self) -> bool:
        return None not in self.shape

    @property
    def is_float(self) -> bool:
        return self.dtype in FLOATS

    @property
    def in_kernels(self) -> bool:
        """Whether compiled kernels know the dtype."""
        return self.dtype in KERNEL_DTYPES

    @property
    def is_complex(self) -> bool:
        return self.dtype in COMPLEX

    @property
    def is_inexact(self) -> bool:
        """Floats and complex numbers: what has a gradient, and cannot be an index."""
        return self.dtype in INEXACT

    @property
    def dims(self) -> tuple[int, ...]:
        """The shape, where every dimension is known."""
        if not self.is_concrete:
            raise ShapeError(f"{self} has unknown dimensions")
        return self.shape  # type: ignore[return-value]

    @property
    def size(self) -> int:
        """Number of elements; only for concrete shapes."""
        return math.prod(self.dims)

    @property
    def itemsize(self) -> int:
        return np.dtype(self.dtype).itemsize

    @property
    def nbytes(self) -> int:
        return self.size * self.itemsize

    def accepts(self, other: TensorType) -> bool:
        """True if a value of type `other` may stand where this type is asked for."""
        return (
            self.dtype == other.dtype
            and len(self.shape) == len(other.shape)
            and all(a is None or b is None or a == b for a, b in zip(self.shape, other.shape))
        )

    def __str__(self) -> str:
        return f"{self.dtype}[{', '.join('?' if d is None else str(d) for d in self.shape)}]"


@cache
def dtype_name(dtype: np.dtype) -> str:
    """The name that `dtype` has in a TensorType."""
    return str(dtype)


@cache
def promote(*dtypes: str) -> str:
    """The common dtype: complex > float64 > float32 > float16 > integers (as NumPy joins them) > bool.

    An integer beside a float adopts the float's dtype whatever its width, so that an
    int64 index never turns a float32 network into float64. complex64 beside float64 gives complex128, and
    int64 beside uint64 float64, as in NumPy.
    """
    inexact = [d for d in dtypes if d in INEXACT]
    return str(np.result_type(*(inexact or dtypes)))


def promote_scalar(dtype: str, value: bool | int | float | complex) -> str:
    """The dtype of a Python scalar beside an operand of `dtype`: scalars are weakly typed."""
    if isinstance(value, complex):
        return promote(dtype if dtype in INEXACT else config.floatX, "complex64")
    if isinstance(value, bool) or dtype in INEXACT:
        return dtype
    if isinstance(value, int):
        return "int64" if dtype == "bool" else dtype
    return config.floatX


def scalar_dtype(value: bool | int | float | complex) -> str:
    """The dtype of a Python scalar that stands alone."""
    if isinstance(value, bool):
        return "bool"
    if isinstance(value, complex):
        return promote(config.floatX, "complex64")
    return "int64" if isinstance(value, int) else config.floatX


def broadcast_shapes(*shapes: tuple[int | None, ...]) -> tuple[int | None, ...]:
    """NumPy's broadcasting over shapes with unknown dimensions.

    Beside a known dimension other than 1 an unknown one is taken to equal it (or to be 1);
    beside 1 or another unknown it stays unknown. Raises ValueError on a conflict.
    """
    distinct = {s for s in shapes if s}
    if len(distinct) < 2:
        return distinct.pop() if distinct else ()
    ndim = max(len(s) for s in distinct)
    out: list[int | None] = []
    for axis in range(-ndim, 0):
        dims = [s[axis] for s in distinct if len(s) >= -axis]
        known = {d for d in dims if d is not None and d != 1}
        if len(known) > 1:
            raise ValueError(f"dimensions {sorted(known)} do not broadcast along axis {axis}")
        if known:
            out.append(known.pop())
        else:
            out.append(None if None in dims else 1)
    return tuple(out)
