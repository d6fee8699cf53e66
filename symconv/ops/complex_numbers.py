"""Complex numbers: their parts, and numbers made of parts. Arithmetic and functions of them are those of
reals.

No compiled kernel knows them: what touches one is a step of NumPy within the plan. The gradient by
z = a + ib of a real cost is dcost/da + i dcost/db, as in Theano, so that z - eta * dz descends. A function
that is differentiable in the complex sense passes dz = conj(f'(z)) dy (Elementwise.grad); those here, and
abs, have rules of their own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from symconv.errors import DTypeError
from symconv.graph import COMPLEX, Apply, Variable, op_error
from symconv.ops.arithmetic import add, mul, neg, sqrt, square, sub, true_div
from symconv.ops.create import zeros_like
from symconv.ops.elementwise_base import Array, Elementwise, Partials
from symconv.ops.inverse_trig import arctan2
from symconv.ops.logic import eq, where
from symconv.ops.operands import as_operands, as_variable, cast
from symconv.ops.transcendental import cos, sin

_PART = {"complex64": "float32", "complex128": "float64"}
_WHOLE = {part: whole for whole, part in _PART.items()}


@dataclass(frozen=True)
class _Part(Elementwise):
    """A real number of each complex one."""

    takes_complex = True
    holomorphic = False
    operands = ("z",)

    def check_dtypes(self, inputs: Sequence[Variable]) -> None:
        if inputs[0].dtype not in COMPLEX:
            raise op_error(self, inputs, f"does not take {inputs[0].dtype}", kind=DTypeError)

    def result_dtype(self, *dtypes: str) -> str:
        return _PART[dtypes[0]]


def real(z: Any) -> Variable:
    """The real part; of a real number itself."""
    z = as_variable(z)
    return Real()(z) if z.type.is_complex else z


@dataclass(frozen=True)
class Real(_Part):
    name = "real"

    def compute(self, z: Array) -> Array:
        return z.real

    def partials(self, node: Apply, dy: Variable) -> Partials:
        return (make_complex(dy, zeros_like(dy)),)


def imag(z: Any) -> Variable:
    """The imaginary part; of a real number 0."""
    z = as_variable(z)
    return Imag()(z) if z.type.is_complex else zeros_like(z)


@dataclass(frozen=True)
class Imag(_Part):
    name = "imag"

    def compute(self, z: Array) -> Array:
        return z.imag

    def partials(self, node: Apply, dy: Variable) -> Partials:
        return (make_complex(zeros_like(dy), dy),)


@dataclass(frozen=True)
class Modulus(_Part):
    """|z|; the gradient at 0 is 0. `abs` makes it."""

    name = "modulus"

    def compute(self, z: Array) -> Array:
        return np.abs(z)

    def partials(self, node: Apply, dy: Variable) -> Partials:
        r = node.out
        return (mul(true_div(dy, where(eq(r, 0), 1, r)), node.inputs[0]),)


def angle(z: Any) -> Variable:
    """The angle of z in (-pi, pi]; of reals 0 or pi."""
    z = as_variable(z)
    if z.type.is_complex:
        return Angle()(z)
    (x,) = as_operands(z, to_float=True)
    return arctan2(zeros_like(x), x)


@dataclass(frozen=True)
class Angle(_Part):
    """atan2(b, a): its gradient is (-b + ia) / |z|^2, 0 where z is 0."""

    name = "angle"

    def compute(self, z: Array) -> Array:
        return np.angle(z)

    def partials(self, node: Apply, dy: Variable) -> Partials:
        (z,) = node.inputs
        a, b = real(z), imag(z)
        length = square(a) + square(b)
        share = true_div(dy, where(eq(length, 0), 1, length))
        return (make_complex(neg(mul(share, b)), mul(share, a)),)


def conj(z: Any) -> Variable:
    """a - ib for z = a + ib; a real number itself."""
    z = as_variable(z)
    return Conj()(z) if z.type.is_complex else z


@dataclass(frozen=True)
class Conj(Elementwise):
    name = "conj"
    takes_complex = True
    holomorphic = False

    def compute(self, z: Array) -> Array:
        return np.conj(z)

    def partials(self, node: Apply, dy: Variable) -> Partials:
        return (conj(dy),)

    def simplify(self, z: Variable) -> Sequence[Variable] | None:
        inner = z.owner
        return [inner.inputs[0]] if inner is not None and isinstance(inner.op, Conj) else None


def make_complex(a: Any, b: Any) -> Variable:
    """a + ib of reals: complex128 of float64, else complex64. Raises DTypeError for complex parts."""
    parts = as_operands(a, b, to_float=True)
    if parts[0].dtype == "float16":
        parts = tuple(cast(v, "float32") for v in parts)
    return MakeComplex()(*parts)


@dataclass(frozen=True)
class MakeComplex(Elementwise):
    name = "make_complex"
    takes = "float"
    holomorphic = False
    operands = ("a", "b")

    def result_dtype(self, *dtypes: str) -> str:
        return _WHOLE[dtypes[0]]

    def compute(self, a: Array, b: Array) -> Array:
        a, b = np.broadcast_arrays(a, b)
        out = np.empty(a.shape, _WHOLE[str(a.dtype)])
        out.real, out.imag = a, b  # a + 1j * b would turn an infinite b into NaN
        return out

    def partials(self, node: Apply, dy: Variable) -> Partials:
        return real(dy), imag(dy)


def complex_from_polar(r: Any, phi: Any) -> Variable:
    """r (cos phi + i sin phi)."""
    length, turn = as_operands(r, phi, to_float=True)
    return make_complex(mul(length, cos(turn)), mul(length, sin(turn)))


@dataclass(frozen=True)
class Hyperbolic(Elementwise):
    """sinh, cosh, arcsinh, arccosh or arctanh of complex numbers, on NumPy's branches."""

    function: str
    name = "hyperbolic"
    takes_complex = True

    def compute(self, z: Array) -> Array:
        found: Array = getattr(np, self.function)(z)
        return found

    def partials(self, node: Apply, dy: Variable) -> Partials:
        (z,) = node.inputs
        if self.function in ("sinh", "cosh"):
            other = "cosh" if self.function == "sinh" else "sinh"
            return (mul(dy, Hyperbolic(other)(z)),)
        if self.function == "arctanh":
            return (true_div(dy, sub(1, square(z))),)
        if self.function == "arcsinh":
            return (true_div(dy, sqrt(add(square(z), 1))),)
        return (true_div(dy, mul(sqrt(sub(z, 1)), sqrt(add(z, 1)))),)


__all__ = ["angle", "complex_from_polar", "conj", "imag", "make_complex", "real"]
