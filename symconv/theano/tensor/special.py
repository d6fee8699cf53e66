"""Special functions of theano.tensor beyond the native ones: Python's math, element by element.

They are steps in Python within the plan.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from statistics import NormalDist
from typing import Any

import numpy as np

from symconv.errors import ArgumentError
from symconv.graph.origin import user_line
from symconv.theano import dtypes
from symconv.theano.errors import NoGradientError
from symconv.theano.gof.op import Apply, Op
from symconv.theano.null_gradient import null_gradient
from symconv.theano.tensor import elementwise
from symconv.theano.tensor import special_numbers as numbers
from symconv.theano.variable import as_tensor_variable, native_of, wrap


def _lgamma(x: float) -> float:
    return math.inf if x <= 0 and x == math.floor(x) else math.lgamma(x)


def _gamma(x: float) -> float:
    try:
        return math.gamma(x)
    except (ValueError, OverflowError):
        return math.nan if x < 0 else math.inf


def _psi(x: float) -> float:
    """The derivative of lgamma: moved up to where its asymptotic series holds."""
    if x <= 0:
        if x == math.floor(x):
            return math.nan
        return _psi(1 - x) - math.pi / math.tan(math.pi * x)
    total = 0.0
    while x < 10:
        total, x = total - 1 / x, x + 1
    y = 1 / (x * x)
    series = y * (1 / 12 - y * (1 / 120 - y * (1 / 252 - y * (1 / 240 - y * (1 / 132)))))
    return total + math.log(x) - 0.5 / x - series


def _tri_gamma(x: float) -> float:
    """The second derivative of lgamma."""
    if x <= 0:
        if x == math.floor(x):
            return math.nan
        return -_tri_gamma(1 - x) + (math.pi / math.sin(math.pi * x)) ** 2
    total = 0.0
    while x < 10:
        total, x = total + 1 / (x * x), x + 1
    y = 1 / (x * x)
    return total + 1 / x + y / 2 + y / x * (1 / 6 - y * (1 / 30 - y * (1 / 42 - y * (1 / 30 - y * (5 / 66)))))


def _erfcinv(y: float) -> float:
    """The z with erfc(z) = y, by the normal distribution's quantile and two steps of Newton's method."""
    if not 0 < y < 2:
        return math.inf if y == 0 else -math.inf if y == 2 else math.nan
    z = -NormalDist().inv_cdf(y / 2) / math.sqrt(2)
    for _ in range(2):
        z += (math.erfc(z) - y) * math.sqrt(math.pi) / 2 * math.exp(z * z)
    return z


def _erfinv(y: float) -> float:
    if abs(y) < 0.5:  # erfc would lose what is small beside 1
        z = NormalDist().inv_cdf((1 + y) / 2) / math.sqrt(2) if y else 0.0
        for _ in range(3):
            z -= (math.erf(z) - y) * math.sqrt(math.pi) / 2 * math.exp(z * z)
        return z
    return _erfcinv(1 - y) if y > 0 else -_erfcinv(1 + y)


def _none_by(op: Special, k: int, x: Any) -> Any:
    return wrap(null_gradient(native_of(x), f"{op}: there is no gradient by operand {k}, {x!r}"))


class Special(Op):
    """A function of one or two numbers, element by element; integers become floats."""

    __props__ = ("name",)

    def __init__(self, name: str, function: Callable[..., float], doc: str, wide: bool = False) -> None:
        """wide: the result is float64 whatever the operands."""
        self.name, self.function, self.wide = name, np.vectorize(function, otypes=["float64"]), wide
        self.operands = function.__code__.co_argcount
        self.__doc__ = doc

    def __str__(self) -> str:
        return self.name

    def __call__(self, *operands: Any, **kwargs: Any) -> Any:
        if len(operands) != self.operands:
            raise ArgumentError(f"{self.name} takes {self.operands} operands, got {len(operands)}")
        given = [as_tensor_variable(v) for v in operands]
        dtype = "float64" if self.wide else dtypes.upcast(*(dtypes.floating(v.dtype) for v in given))
        given = [elementwise.cast(v, dtype) for v in given]
        if len(given) == 2:
            a, b = given
            given = [elementwise.second(b, a), elementwise.second(a, b)]
        return super().__call__(*given, **kwargs)

    def make_node(self, *operands: Any) -> Apply:
        return Apply(self, list(operands), [operands[0].type()])

    def perform(self, node: Any, inputs: Sequence[np.ndarray], output_storage: list[list[Any]]) -> None:
        x = inputs[0]
        output_storage[0][0] = np.asarray(self.function(*inputs), x.dtype) if x.size else x

    def infer_shape(self, node: Any, shapes: Sequence[Any]) -> list[Any]:
        return [shapes[0]]

    def grad(self, inputs: Sequence[Any], output_gradients: Sequence[Any]) -> list[Any]:
        slopes = _SLOPES.get(self.name)
        if slopes is None:
            raise NoGradientError(f"{self.name} has no gradient, as in Theano, at {user_line()}")
        return [
            _none_by(self, k, x) if s is None else output_gradients[0] * elementwise.cast(s, x.dtype)
            for k, (x, s) in enumerate(zip(inputs, slopes(*inputs)))
        ]

    def __reduce__(self) -> Any:
        return _by_name, (self.name,)


def _by_name(name: str) -> Special:
    found: Special = globals()[name]
    return found


gammaln = Special("gammaln", _lgamma, "log |gamma(x)|.")
gamma = Special("gamma", _gamma, "The gamma function.")
psi = Special("psi", _psi, "The derivative of gammaln.")
tri_gamma = Special("tri_gamma", _tri_gamma, "The derivative of psi.")
erfinv = Special("erfinv", _erfinv, "The z with erf(z) = x.")
erfcinv = Special("erfcinv", _erfcinv, "The z with erfc(z) = x.")
erfcx = Special("erfcx", numbers.erfcx, "exp(x^2) erfc(x).")
gammainc = Special("gammainc", numbers.gammainc, "gammainc(k, x): the regularised lower gamma function.")
gammaincc = Special("gammaincc", numbers.gammaincc, "gammaincc(k, x): the regularised upper gamma function.")
gammal = Special("gammal", numbers.gammal, "gammal(k, x): the lower incomplete gamma function.")
gammau = Special("gammau", numbers.gammau, "gammau(k, x): the upper incomplete gamma function.")
chi2sf = Special("chi2sf", numbers.chi2sf, "chi2sf(x, k): the chance of a chi-squared value above x.", True)
j0 = Special("j0", lambda x: numbers.jv(0, x), "The Bessel function of the first kind of order 0.")
j1 = Special("j1", lambda x: numbers.jv(1, x), "The Bessel function of the first kind of order 1.")
jv = Special("jv", numbers.jv, "jv(v, x): the Bessel function of the first kind of order v.")
i0 = Special("i0", lambda x: numbers.iv(0, x), "The modified Bessel function of order 0.")
i1 = Special("i1", lambda x: numbers.iv(1, x), "The modified Bessel function of order 1.")
iv = Special("iv", numbers.iv, "iv(v, x): the modified Bessel function of order v.")

_ROOT_PI = math.sqrt(math.pi)


def _gamma_density(k: Any, x: Any) -> Any:
    """The derivative of gammainc(k, x) by x."""
    return elementwise.exp((k - 1) * elementwise.log(x) - x - gammaln(k))


# by operand; None where there is none
_SLOPES: dict[str, Callable[..., tuple[Any, ...]]] = {
    "gammaln": lambda x: (psi(x),),
    "gamma": lambda x: (gamma(x) * psi(x),),
    "psi": lambda x: (tri_gamma(x),),
    "erfinv": lambda x: (elementwise.exp(elementwise.sqr(erfinv(x))) * (_ROOT_PI / 2),),
    "erfcinv": lambda x: (elementwise.exp(elementwise.sqr(erfcinv(x))) * (-_ROOT_PI / 2),),
    "erfcx": lambda x: (2 * x * erfcx(x) - 2 / _ROOT_PI,),
    "gammainc": lambda k, x: (None, _gamma_density(k, x)),
    "gammaincc": lambda k, x: (None, -_gamma_density(k, x)),
    "gammal": lambda k, x: (None, elementwise.exp((k - 1) * elementwise.log(x) - x)),
    "gammau": lambda k, x: (None, -elementwise.exp((k - 1) * elementwise.log(x) - x)),
    "chi2sf": lambda x, k: (-0.5 * _gamma_density(k * 0.5, x * 0.5), None),
    "j0": lambda x: (-j1(x),),
    "j1": lambda x: ((j0(x) - jv(2, x)) * 0.5,),
    "jv": lambda v, x: (None, (jv(v - 1, x) - jv(v + 1, x)) * 0.5),
    "i0": lambda x: (i1(x),),
    "i1": lambda x: ((i0(x) + iv(2, x)) * 0.5,),
    "iv": lambda v, x: (None, (iv(v - 1, x) + iv(v + 1, x)) * 0.5),
}

__all__ = [
    "chi2sf", "erfcinv", "erfcx", "erfinv", "gamma", "gammainc", "gammaincc", "gammal", "gammaln", "gammau",
    "i0", "i1", "iv", "j0", "j1", "jv", "psi", "tri_gamma",
]  # fmt: skip
