"""real, imag, angle, conj, complex and complex_from_polar of theano.tensor, with Theano's dtypes."""

from __future__ import annotations

from typing import Any

from symconv.errors import DTypeError
from symconv.ops import complex_numbers as native
from symconv.ops.operands import cast
from symconv.theano import dtypes
from symconv.theano.elemwise import apply
from symconv.theano.naming import name_made
from symconv.theano.variable import native_of, wrap


def real(z: Any) -> Any:
    """The real part; of a real number itself."""
    return wrap(native.real(native_of(z)))


def imag(z: Any) -> Any:
    """The imaginary part; of a real number 0."""
    return wrap(native.imag(native_of(z)))


def angle(z: Any) -> Any:
    """The angle of z in (-pi, pi], as float64."""
    x = native_of(z)
    return wrap(cast(native.angle(x if x.type.is_complex else cast(x, "float64")), "float64"))


def conj(z: Any) -> Any:
    """a - ib for z = a + ib; a real number itself."""
    return wrap(native.conj(native_of(z)))


def _of_parts(function: Any, a: Any, b: Any, what: str) -> Any:
    """function of two reals, as float64 if one of them, or an integer, has 32 bits or more of precision."""
    x, y = native_of(a), native_of(b)
    for v in (x, y):
        if v.type.is_complex:
            raise DTypeError(f"{what}: takes real numbers, got {v.type} from {v.origin}")
    common = dtypes.upcast(x.dtype, y.dtype)
    wide = common in ("float64", "int64", "uint64", "int32", "uint32")
    return apply(function, x, y, dtype="float64" if wide else "float32")


def complex(real: Any, imag: Any) -> Any:
    """real + i imag: complex128 of float64 and integers of 32 bits or more, else complex64."""
    return _of_parts(native.make_complex, real, imag, "complex")


def complex_from_polar(abs: Any, angle: Any) -> Any:
    """abs (cos angle + i sin angle), with the dtypes of `complex`."""
    return _of_parts(native.complex_from_polar, abs, angle, "complex_from_polar")


name_made(globals())

__all__ = ["angle", "complex", "complex_from_polar", "conj", "imag", "real"]
