"""Element-wise functions of theano.tensor: names, dtype rules and gradients at ties as Theano has them."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from symconv.errors import DTypeError
from symconv.graph import Constant as NativeConstant
from symconv.graph import constant as native_constant
from symconv.ops import elementwise as ew
from symconv.ops.complex_numbers import Hyperbolic
from symconv.ops.operands import cast as native_cast
from symconv.theano import dtypes
from symconv.theano.configuration import config
from symconv.theano.elemwise import apply, apply_float, apply_number, compare
from symconv.theano.errors import ComplexError
from symconv.theano.naming import name_made, unbind
from symconv.theano.variable import TensorConstant, as_tensor_variable, native_of, wrap


def _chain(function: Any) -> Any:
    """add(a, b, c, ...): Theano's take any number of operands."""

    def apply_chain(a: Any, *more: Any) -> Any:
        out = as_tensor_variable(a)
        for b in more:
            out = function(out, b)
        return out

    return apply_chain


add = _chain(lambda a, b: apply(ew.add, a, b))
mul = _chain(lambda a, b: apply(ew.mul, a, b))


def sub(a: Any, b: Any) -> Any:
    """a - b; bools are subtracted as int8."""
    return apply_number(ew.sub, a, b)


def true_div(a: Any, b: Any) -> Any:
    """a / b; of two integers in floatX."""
    x, y = native_of(a), native_of(b)
    common = dtypes.upcast(x.dtype, y.dtype)
    return apply(ew.true_div, x, y, dtype=common if common in dtypes.INEXACT else config.floatX)


def _no_complex(what: str, *operands: Any) -> None:
    for v in map(native_of, operands):
        if v.type.is_complex:
            raise ComplexError(f"{what}: takes real numbers, got {v.type} from {v.origin}")


def floor_div(a: Any, b: Any) -> Any:
    """floor(a / b) in the common dtype; its gradient is 0."""
    _no_complex("floor_div", a, b)
    return apply_number(ew.floor_div, a, b)


int_div = floor_div


def ceil_intdiv(a: Any, b: Any) -> Any:
    """ceil(a / b) of integers, in their common dtype."""
    whole = floor_div(a, b)
    return add(whole, cast(neq(mod(a, b), 0), whole.dtype))


def div_proxy(a: Any, b: Any) -> Any:
    """What / was under Python 2: floor_div for two integers, true_div otherwise."""
    x, y = as_tensor_variable(a), as_tensor_variable(b)
    if x.dtype in dtypes.DISCRETE and y.dtype in dtypes.DISCRETE:
        if config.int_division == "raise":
            raise DTypeError("int_division='raise': / of two integers; use // or T.true_div")
        return true_div(x, y) if config.int_division == "floatX" else floor_div(x, y)
    return true_div(x, y)


def mod(a: Any, b: Any) -> Any:
    """a - b floor(a / b): the remainder with the sign of b."""
    _no_complex("mod", a, b)
    return apply_number(ew.mod, a, b)


def pow(a: Any, b: Any) -> Any:
    """a ** b in the common dtype."""
    return apply_number(ew.power, a, b)


power = pow


def neg(a: Any) -> Any:
    """-a; bools become int8 first."""
    return apply_number(ew.neg, a)


def abs_(a: Any) -> Any:
    """|a|; the gradient at 0 is 0."""
    return as_tensor_variable(a) if native_of(a).dtype == "bool" else apply(ew.abs, a)


def sgn(a: Any) -> Any:
    """-1, 0 or 1."""
    return apply_number(ew.sign, a)


def sqr(a: Any) -> Any:
    """a * a."""
    return apply(ew.square, a)


square = sqr


def maximum(a: Any, b: Any) -> Any:
    """The larger; at ties the gradient goes to a: of maximum(0, x) at x = 0 nothing goes to x."""
    x, y = as_tensor_variable(a), as_tensor_variable(b)
    if isinstance(x, TensorConstant) and x.ndim == 0 and x.data == 0 and y.dtype in dtypes.FLOATS:
        if dtypes.upcast(x.dtype, y.dtype) == y.dtype:
            return apply(ew.relu, y)  # the same function and gradient, by the name that kernels know
    return apply(ew.maximum, x, y)


def minimum(a: Any, b: Any) -> Any:
    """The smaller; at ties the gradient goes to a."""
    return apply(ew.minimum, a, b)


def clip(x: Any, min: Any, max: Any) -> Any:
    """x below `max`, and `min` where x is below that, also if min exceeds max; on the bounds the gradient
    goes to x, beyond them nowhere."""
    x, low, high = (native_of(v) for v in (x, min, max))
    _no_complex("clip", x, low, high)
    common = dtypes.upcast(x.dtype, low.dtype, high.dtype)
    known = [v.data for v in (low, high) if isinstance(v, NativeConstant)]
    if len(known) == 2 and np.all(known[0] <= known[1]):
        bounded = apply(ew.maximum, x, low, dtype=common)
        return apply(ew.minimum, bounded, high, dtype=common)
    return switch(lt(x, low), wrap(native_cast(low, common)), apply(ew.minimum, x, high, dtype=common))


def _unary(function: Any, doc: str) -> Any:
    def apply_unary(a: Any) -> Any:
        return apply_float(function, a)

    apply_unary.__doc__ = doc
    return apply_unary


exp = _unary(ew.exp, "e^a.")
expm1 = _unary(ew.expm1, "e^a - 1.")
log = _unary(ew.log, "The natural logarithm.")
log1p = _unary(ew.log1p, "log(1 + a).")
sqrt = _unary(ew.sqrt, "The square root.")
inv = reciprocal = _unary(ew.reciprocal, "1 / a.")
cos = _unary(ew.cos, "The cosine.")
sin = _unary(ew.sin, "The sine.")
tan = _unary(ew.tan, "The tangent.")
arccos = _unary(ew.arccos, "The angle in [0, pi] with this cosine.")
arcsin = _unary(ew.arcsin, "The angle in [-pi/2, pi/2] with this sine.")
arctan = _unary(ew.arctan, "The angle in (-pi/2, pi/2) with this tangent.")
tanh = _unary(ew.tanh, "The hyperbolic tangent.")
erf = _unary(ew.erf, "The error function.")
erfc = _unary(ew.erfc, "1 - erf(a), with all its digits where it is small.")


def arctan2(a: Any, b: Any) -> Any:
    """The angle of the point (b, a)."""
    return apply_float(ew.arctan2, a, b)


def _scaled(function: Any, factor: float) -> Any:
    return lambda a: apply_float(lambda x: ew.mul(function(x), factor), a)


log2 = _scaled(ew.log, 1 / math.log(2))
log10 = _scaled(ew.log, 1 / math.log(10))
deg2rad = _scaled(lambda x: x, math.pi / 180)
rad2deg = _scaled(lambda x: x, 180 / math.pi)


def exp2(a: Any) -> Any:
    """2^a."""
    return apply_float(_power_of_two, a)


def _power_of_two(x: Any) -> Any:
    """By the power of reals: e^(x log 2) would lose the bits by which x log 2 is rounded."""
    return ew.exp(ew.mul(x, math.log(2))) if x.type.is_complex else ew.power(native_constant(2, x.dtype), x)


def _real_or_complex(function: Any, name: str, a: Any) -> Any:
    """function of reals; of complex numbers NumPy's function of that name."""
    return apply_float(lambda x: Hyperbolic(name)(x) if x.type.is_complex else function(x), a)


def cosh(a: Any) -> Any:
    """(e^a + e^-a) / 2."""
    return _real_or_complex(lambda x: ew.add(*_halves(x)), "cosh", a)


def _halves(x: Any) -> tuple[Any, Any]:
    """e^|x| / 2 and e^-|x| / 2, the first finite wherever it is."""
    root = ew.exp(ew.mul(ew.abs(x), 0.5))
    return ew.mul(ew.mul(root, 0.5), root), ew.true_div(ew.true_div(0.5, root), root)


def sinh(a: Any) -> Any:
    """(e^a - e^-a) / 2, by expm1, which is exact near 0."""

    def compute(x: Any) -> Any:
        e = ew.expm1(ew.clip(x, -1.0, 1.0))
        near = ew.mul(ew.add(e, ew.true_div(e, ew.add(e, 1.0))), 0.5)
        large, small = _halves(x)
        return ew.where(ew.le(ew.abs(x), 1.0), near, ew.mul(ew.sign(x), ew.sub(large, small)))

    return _real_or_complex(compute, "sinh", a)


def arctanh(a: Any) -> Any:
    """log((1 + a) / (1 - a)) / 2."""
    halved = lambda x: ew.mul(ew.sub(ew.log1p(x), ew.log1p(ew.neg(x))), 0.5)  # noqa: E731
    return _real_or_complex(halved, "arctanh", a)


def arcsinh(a: Any) -> Any:
    """sign(a) log(|a| + sqrt(a^2 + 1)), by log1p, which is exact near 0."""

    def compute(x: Any) -> Any:
        m, s = ew.abs(x), ew.square(x)
        tail = ew.true_div(s, ew.add(ew.sqrt(ew.add(s, 1.0)), 1.0))
        return ew.where(ew.lt(x, 0), ew.neg(ew.log1p(ew.add(m, tail))), ew.log1p(ew.add(m, tail)))

    return _real_or_complex(compute, "arcsinh", a)


def arccosh(a: Any) -> Any:
    """log(a + sqrt(a^2 - 1))."""
    root = lambda x: ew.sqrt(ew.sub(ew.square(x), 1.0))  # noqa: E731
    return _real_or_complex(lambda x: ew.log(ew.add(x, root(x))), "arccosh", a)


def _rounding(function: Any) -> Any:
    def apply_rounding(a: Any) -> Any:
        x = as_tensor_variable(a)
        return apply(function, x) if x.dtype in dtypes.FLOATS else x

    apply_rounding.__doc__ = f"{function.__name__} of floats; integers stay as they are."
    return apply_rounding


ceil = _unary(ew.ceil, "The least whole number not below a; of integers, too, a float.")
floor = _unary(ew.floor, "The largest whole number not above a; of integers, too, a float.")
trunc = _unary(ew.trunc, "a without its fraction; of integers, too, a float.")
round_half_to_even = _rounding(ew.round)


def round_half_away_from_zero(a: Any) -> Any:
    """To the nearest integer, halves away from 0."""
    x = as_tensor_variable(a)
    if x.dtype not in dtypes.FLOATS:
        return x
    whole = apply(ew.trunc, x)
    return switch(ge(abs_(x - whole), np.asarray(0.5, x.dtype)), whole + sgn(x), whole)


def round(a: Any, mode: str | None = None) -> Any:
    """To the nearest integer; mode 'half_to_even' (the default) or 'half_away_from_zero'."""
    if mode in (None, "half_to_even"):
        return round_half_to_even(a)
    if mode == "half_away_from_zero":
        return round_half_away_from_zero(a)
    raise DTypeError(f"round: mode must be 'half_to_even' or 'half_away_from_zero', got {mode!r}")


def iround(a: Any, mode: str | None = None) -> Any:
    """round(a) as int64."""
    return cast(round(a, mode), "int64")


def _comparison(function: Any) -> Any:
    def apply_comparison(a: Any, b: Any) -> Any:
        return compare(function, a, b)

    apply_comparison.__doc__ = f"{function.__name__} of a and b, element by element, as bool."
    return apply_comparison


eq, neq = _comparison(ew.eq), _comparison(ew.neq)
lt, le, gt, ge = (_comparison(f) for f in (ew.lt, ew.le, ew.gt, ew.ge))


def isnan(a: Any) -> Any:
    """a is NaN."""
    return zeros_like_bool(a) if native_of(a).dtype in dtypes.DISCRETE else apply(ew.isnan, a)


def isinf(a: Any) -> Any:
    """a is +inf or -inf."""
    return zeros_like_bool(a) if native_of(a).dtype in dtypes.DISCRETE else apply(ew.isinf, a)


isnan_, isinf_ = isnan, isinf


def zeros_like_bool(a: Any) -> Any:
    """False, in the shape of a."""
    return compare(ew.neq, a, a)


def isclose(a: Any, b: Any, rtol: float = 1e-5, atol: float = 1e-8, equal_nan: bool = False) -> Any:
    """|a - b| <= atol + rtol |b|, and equal infinities."""
    x, y = as_tensor_variable(a), as_tensor_variable(b)
    near = and_(le(abs_(sub(x, y)), atol + rtol * abs_(y)), and_(invert(isinf(x)), invert(isinf(y))))
    same = or_(near, eq(x, y))
    return or_(same, and_(isnan(x), isnan(y))) if equal_nan else same


def switch(cond: Any, ift: Any, iff: Any) -> Any:
    """ift where cond is not 0, iff elsewhere; no gradient reaches the side not taken."""
    condition, a, b = native_of(cond), native_of(ift), native_of(iff)
    common = dtypes.upcast(a.dtype, b.dtype)
    if condition.dtype != "bool":
        condition = ew.neq(condition, 0)
    from symconv.theano.declared import same_dims

    return wrap(ew.where(*same_dims([condition, native_cast(a, common), native_cast(b, common)])))


where = switch


def _bits(function: Any, name: str) -> Any:
    def apply_bits(a: Any, b: Any) -> Any:
        x, y = native_of(a), native_of(b)
        if dtypes.upcast(x.dtype, y.dtype) in dtypes.INEXACT:
            raise DTypeError(
                f"{name}: takes bools or integers, got {x.type} from {x.origin} and {y.type} from "
                f"{y.origin}\n"
                "  hint: T.neq(x, 0) makes bools of floats"
            )
        return apply(function, x, y)

    apply_bits.__doc__ = f"{name} of bools, or of the bits of integers."
    return apply_bits


and_ = bitwise_and = _bits(ew.bitwise_and, "and_")
or_ = bitwise_or = _bits(ew.bitwise_or, "or_")
xor = bitwise_xor = _bits(ew.bitwise_xor, "xor")
left_shift = _bits(ew.left_shift, "left_shift")
right_shift = _bits(ew.right_shift, "right_shift")


def invert(a: Any) -> Any:
    """Not a, of bools; -a - 1 of integers."""
    x = as_tensor_variable(a)
    if x.dtype in dtypes.INEXACT:
        raise DTypeError(f"invert: takes bools or integers, got {x.type} from {x.native.origin}")
    return apply(ew.bitwise_not, x)


bitwise_not = invert


def constant_like(value: Any, x: Any) -> Any:
    """A constant of x's dtype."""
    from symconv.theano.variable import constant

    return constant(value, dtype=x.dtype)


def cast(x: Any, dtype: Any) -> Any:
    """x as `dtype`; 'floatX' is the configured one."""
    return wrap(ew.cast(native_of(x), dtypes.checked(dtype, "cast")))


def second(a: Any, b: Any) -> Any:
    """b in the shape of a; where b has more dimensions or a is broadcastable, in that of both together."""
    from symconv.ops.shape import broadcast_like

    x, y = native_of(a), native_of(b)
    pairs = zip(x.type.shape[::-1], y.type.shape[::-1])
    if y.ndim <= x.ndim and all(m != 1 or n == 1 for m, n in pairs):
        return wrap(broadcast_like(y, x))
    zeros = broadcast_like(native_cast(native_of(np.int8(0)), y.dtype), x)
    return apply(ew.logical_or if y.dtype == "bool" else ew.add, zeros, y, dtype=y.dtype)


fill = second


def tensor_copy(a: Any) -> Any:
    """a itself: variables are immutable."""
    return as_tensor_variable(a)


identity = tensor_copy
name_made(globals())
unbind(globals())
