"""Learning-rate schedules: frozen callables from a time t to a rate, in plain Python floats.

t counts whatever the training loop counts, epochs or steps, from 0, and may be a fraction. Every schedule is
defined for all t >= 0; one of finite length keeps its last rate. Wrong parameters raise ConfigError when the
schedule is made, not in the middle of a training.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from symconv.errors import ConfigError

Schedule = Callable[[float], float]


def require(schedule: object, ok: bool, rule: str) -> None:
    if not ok:
        raise ConfigError(f"{schedule}: {rule}")


def positive(*values: float) -> bool:
    return all(is_number(v) and v > 0 for v in values)


def not_negative(*values: float) -> bool:
    return all(is_number(v) and v >= 0 for v in values)


def is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


@dataclass(frozen=True)
class Constant:
    """eta(t) = rate."""

    rate: float

    def __post_init__(self) -> None:
        require(self, not_negative(self.rate), "rate is a finite number >= 0")

    def __call__(self, t: float) -> float:
        return self.rate


@dataclass(frozen=True)
class Step:
    """eta(t) = rate * factor^floor(t / every): a staircase."""

    rate: float
    every: float
    factor: float = 0.5

    def __post_init__(self) -> None:
        require(self, not_negative(self.rate), "rate is a finite number >= 0")
        require(self, positive(self.every, self.factor), "every and factor are finite numbers > 0")

    def __call__(self, t: float) -> float:
        return self.rate * self.factor ** math.floor(t / self.every)


@dataclass(frozen=True)
class Exponential:
    """eta(t) = rate * decay^t."""

    rate: float
    decay: float

    def __post_init__(self) -> None:
        require(self, not_negative(self.rate), "rate is a finite number >= 0")
        require(self, positive(self.decay) and self.decay <= 1, "decay is above 0 and at most 1")

    def __call__(self, t: float) -> float:
        return float(self.rate * self.decay**t)


@dataclass(frozen=True)
class Cosine:
    """eta(t) = last + (rate - last) (1 + cos(pi t / length)) / 2, and `last` from t = length on.

    I. Loshchilov, F. Hutter, "SGDR: stochastic gradient descent with warm restarts", 2017, without restarts.
    """

    rate: float
    length: float
    last: float = 0.0

    def __post_init__(self) -> None:
        require(self, not_negative(self.rate, self.last), "rate and last are finite numbers >= 0")
        require(self, positive(self.length), "length is a finite number > 0")

    def __call__(self, t: float) -> float:
        return cosine(self.rate, self.last, t / self.length)


@dataclass(frozen=True)
class OneCycle:
    """Half a cosine from peak / start_div up to peak, at t = rise * length, and one down to peak / end_div.

    L. N. Smith, N. Topin, "Super-convergence: very fast training of neural networks using large learning
    rates", 2019, with cosine flanks.
    """

    peak: float
    length: float
    rise: float = 0.3
    start_div: float = 25.0
    end_div: float = 1e4

    def __post_init__(self) -> None:
        require(self, not_negative(self.peak), "peak is a finite number >= 0")
        require(
            self,
            positive(self.length, self.start_div, self.end_div),
            "length, start_div and end_div are finite numbers > 0",
        )
        require(self, positive(self.rise) and self.rise < 1, "rise lies between 0 and 1")

    def __call__(self, t: float) -> float:
        top = self.rise * self.length
        if t < top:
            return cosine(self.peak / self.start_div, self.peak, t / top)
        return cosine(self.peak, self.peak / self.end_div, (t - top) / (self.length - top))


@dataclass(frozen=True)
class Warmup:
    """eta(t) = start + (then(0) - start) t / length for t < length, then(t - length) from there on."""

    length: float
    then: Schedule | float
    start: float = 0.0

    def __post_init__(self) -> None:
        require(self, positive(self.length), "length is a finite number > 0")
        require(self, not_negative(self.start), "start is a finite number >= 0")
        object.__setattr__(self, "then", as_schedule(self.then))

    def __call__(self, t: float) -> float:
        after = as_schedule(self.then)
        if t >= self.length:
            return after(t - self.length)
        return self.start + (after(0) - self.start) * t / self.length


@dataclass(frozen=True)
class Then:
    """eta(t) = first(t) for t < length, then(t - length) from there on: one schedule after another."""

    first: Schedule | float
    length: float
    then: Schedule | float

    def __post_init__(self) -> None:
        require(self, positive(self.length), "length is a finite number > 0")
        object.__setattr__(self, "first", as_schedule(self.first))
        object.__setattr__(self, "then", as_schedule(self.then))

    def __call__(self, t: float) -> float:
        if t < self.length:
            return as_schedule(self.first)(t)
        return as_schedule(self.then)(t - self.length)


def cosine(start: float, end: float, fraction: float) -> float:
    """From start (fraction 0) to end (fraction 1) along half a cosine, and on at end."""
    if fraction >= 1:
        return end
    return end + (start - end) * (1 + math.cos(math.pi * fraction)) / 2


def as_schedule(rate: Schedule | float) -> Schedule:
    """A number as Constant, a callable as it is; ConfigError for anything else."""
    if callable(rate):
        return rate
    if not is_number(rate):
        raise ConfigError(f"a learning rate is a number or a schedule such as Cosine(0.1, 10), not {rate!r}")
    return Constant(float(rate))
