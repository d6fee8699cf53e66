"""Initial weights: functions (rng, shape, fan_in, fan_out) -> array, all drawn in float64."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from symconv.errors import ConfigError

Shape = tuple[int, ...]
Initial = Callable[[np.random.RandomState, Shape, float, float], np.ndarray]


def zeros(rng: np.random.RandomState, shape: Shape, fan_in: float, fan_out: float) -> np.ndarray:
    """w = 0."""
    return np.zeros(shape)


def book(rng: np.random.RandomState, shape: Shape, fan_in: float, fan_out: float) -> np.ndarray:
    """w ~ N(0, 1 / fan_out), as network3.py of M. Nielsen, "Neural Networks and Deep Learning", 2015."""
    return rng.normal(0.0, np.sqrt(1.0 / fan_out), shape)


def he(rng: np.random.RandomState, shape: Shape, fan_in: float, fan_out: float) -> np.ndarray:
    """w ~ N(0, 2 / fan_in), for ReLU: K. He and others, "Delving deep into rectifiers", 2015."""
    return rng.normal(0.0, np.sqrt(2.0 / fan_in), shape)


def lecun(rng: np.random.RandomState, shape: Shape, fan_in: float, fan_out: float) -> np.ndarray:
    """w ~ N(0, 1 / fan_in): Y. LeCun and others, "Efficient backprop", 1998."""
    return rng.normal(0.0, np.sqrt(1.0 / fan_in), shape)


def glorot(rng: np.random.RandomState, shape: Shape, fan_in: float, fan_out: float) -> np.ndarray:
    """w ~ U(-a, a), a^2 = 6 / (fan_in + fan_out): X. Glorot, Y. Bengio, 2010."""
    bound = np.sqrt(6.0 / (fan_in + fan_out))
    return rng.uniform(-bound, bound, shape)


INITIAL: dict[str, Initial] = {f.__name__: f for f in (zeros, book, he, lecun, glorot)}


def initial(name: str, activation: str | None = None) -> Initial:
    """The function of that name; "auto" is he before a rectifier and glorot before anything else."""
    if name == "auto":
        rectifiers = ("relu", "leaky_relu", "elu", "gelu", "softplus")
        return he if activation in rectifiers else glorot
    if name not in INITIAL:
        raise ConfigError(f"unknown initial weights {name!r}\n  allowed: auto, {', '.join(INITIAL)}")
    return INITIAL[name]
