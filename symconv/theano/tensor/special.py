"""gamma, gammaln, psi, tri_gamma, erfinv, erfcinv of theano.tensor: Python's math, element by element.

They are steps in Python within the plan.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from statistics import NormalDist
from typing import Any

import numpy as np

from symconv.errors import GradientError
from symconv.theano import dtypes
from symconv.theano.gof.op import Apply, Op
from symconv.theano.tensor import elementwise
from symconv.theano.variable import as_tensor_variable


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


gammaln: Special
gamma: Special
psi: Special
tri_gamma: Special
erfinv: Special
erfcinv: Special

_SLOPES: dict[str, Callable[[Any], Any]] = {
    "gammaln": lambda x: psi(x),
    "gamma": lambda x: gamma(x) * psi(x),
    "psi": lambda x: tri_gamma(x),
    "erfinv": lambda x: elementwise.exp(elementwise.sqr(erfinv(x))) * (math.sqrt(math.pi) / 2),
    "erfcinv": lambda x: elementwise.exp(elementwise.sqr(erfcinv(x))) * (-math.sqrt(math.pi) / 2),
}


class Special(Op):
    """A function of numbers, element by element; of floats, integers become floats."""

    __props__ = ("name",)

    def __init__(self, name: str, function: Callable[[float], float], doc: str) -> None:
        self.name, self.function = name, np.vectorize(function, otypes=["float64"])
        self.__doc__ = doc

    def __str__(self) -> str:
        return self.name

    def make_node(self, x: Any) -> Apply:
        x = as_tensor_variable(x)
        x = elementwise.cast(x, dtypes.floating(x.dtype))
        return Apply(self, [x], [x.type()])

    def perform(self, node: Any, inputs: Sequence[np.ndarray], output_storage: list[list[Any]]) -> None:
        (x,) = inputs
        output_storage[0][0] = np.asarray(self.function(x), x.dtype) if x.size else x

    def infer_shape(self, node: Any, shapes: Sequence[Any]) -> list[Any]:
        return list(shapes)

    def grad(self, inputs: Sequence[Any], output_gradients: Sequence[Any]) -> list[Any]:
        slope = _SLOPES.get(self.name)
        if slope is None:
            raise GradientError(f"{self.name} has no gradient")
        return [output_gradients[0] * elementwise.cast(slope(inputs[0]), inputs[0].dtype)]

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

__all__ = ["erfcinv", "erfinv", "gamma", "gammaln", "psi", "tri_gamma"]
