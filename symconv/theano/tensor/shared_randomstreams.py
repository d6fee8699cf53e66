"""theano.tensor.shared_randomstreams: draws whose states are shared variables, equal to NumPy's."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from symconv.errors import ArgumentError
from symconv.theano.tensor import raw_random
from symconv.theano.tensor.raw_random import RandomStateSharedVariable, random_state_shared
from symconv.theano.variable import as_tensor_variable, wrap


class RandomStreams:
    """A source of draws. Each has a state of its own, RandomState(k) with k the next value of
    RandomState(seed).randint(2**30); calls of a function that uses the draw advance it.

    A draw v has v.rng, the shared state, and v.update, the pair (state, state after). Inside scan every step
    has new values, and the updates of the scan carry the state.
    """

    def __init__(self, seed: int | None = None) -> None:
        self.state_updates: list[tuple[RandomStateSharedVariable, Any]] = []
        self.default_instance_seed = seed
        self.gen_seedgen = self._generator(seed)

    @staticmethod
    def _generator(seed: Any) -> np.random.RandomState:
        try:
            return np.random.RandomState(seed)
        except (ValueError, TypeError) as error:
            raise ArgumentError(f"RandomStreams: the seed {seed!r} is none of NumPy's: {error}") from None

    def updates(self) -> list[tuple[RandomStateSharedVariable, Any]]:
        """Pairs (state, state after), for functions with no_default_updates."""
        return list(self.state_updates)

    def seed(self, seed: int | None = None) -> None:
        """Give every draw made so far a new state, from `seed` or from the seed of the constructor."""
        generator = self._generator(self.default_instance_seed if seed is None else seed)
        for state, _ in self.state_updates:
            state.set_value(np.random.RandomState(int(generator.randint(2**30))))

    def __getitem__(self, item: Any) -> Any:
        """The state of a draw, as a RandomState; item is the shared variable or the draw."""
        for state, _ in self.state_updates:
            if item is state or getattr(item, "rng", None) is state:
                return state.get_value()
        raise KeyError(item)

    def __setitem__(self, item: Any, value: Any) -> None:
        for state, _ in self.state_updates:
            if item is state or getattr(item, "rng", None) is state:
                state.set_value(value)
                return
        raise KeyError(item)

    def gen(self, op: Callable[..., tuple[Any, Any]], *args: Any, **kwargs: Any) -> Any:
        """The draw op(state, ...) of raw_random with a state of its own."""
        state = random_state_shared(np.random.RandomState(int(self.gen_seedgen.randint(2**30))))
        after, value = op(state, *args, **kwargs)
        value.rng = state
        value.update = (state, after)
        state.default_update = after
        self.state_updates.append(value.update)
        return value

    def binomial(
        self, size: Any = None, n: Any = 1, p: Any = 0.5, ndim: int | None = None, dtype: str = "int64",
        prob: Any = None,
    ) -> Any:  # fmt: skip
        """How many of n trials with probability p succeed."""
        return self.gen(raw_random.binomial, size, n, p if prob is None else prob, ndim, dtype)

    def uniform(
        self, size: Any = None, low: Any = 0.0, high: Any = 1.0, ndim: int | None = None,
        dtype: str | None = None,
    ) -> Any:  # fmt: skip
        """Values from [low, high), floatX by default."""
        return self.gen(raw_random.uniform, size, low, high, ndim, dtype)

    def normal(
        self, size: Any = None, avg: Any = 0.0, std: Any = 1.0, ndim: int | None = None,
        dtype: str | None = None,
    ) -> Any:  # fmt: skip
        """Normally distributed values, floatX by default."""
        return self.gen(raw_random.normal, size, avg, std, ndim, dtype)

    def random_integers(
        self, size: Any = None, low: Any = 0, high: Any = 1, ndim: int | None = None, dtype: str = "int64"
    ) -> Any:
        """Integers from low to high, both included."""
        return self.gen(raw_random.random_integers, size, low, high, ndim, dtype)

    def choice(
        self, size: Any = None, a: Any = 2, replace: bool = True, p: Any = None, ndim: int | None = None,
        dtype: str = "int64",
    ) -> Any:  # fmt: skip
        """Elements of a, with probabilities p."""
        return self.gen(raw_random.choice, size, a, replace, p, ndim, dtype)

    def poisson(
        self, size: Any = None, lam: Any = None, ndim: int | None = None, dtype: str = "int64"
    ) -> Any:
        """Poisson-distributed counts."""
        return self.gen(raw_random.poisson, size, lam, ndim, dtype)

    def permutation(self, size: Any = None, n: Any = 1, ndim: int | None = None, dtype: str = "int64") -> Any:
        """Permutations of 0 ... n - 1 along a new last axis."""
        return self.gen(raw_random.permutation, size, n, ndim, dtype)

    def multinomial(
        self, size: Any = None, n: Any = 1, pvals: Any = (0.5, 0.5), ndim: int | None = None,
        dtype: str = "int64",
    ) -> Any:  # fmt: skip
        """How often each outcome comes in n trials, along a new last axis."""
        return self.gen(raw_random.multinomial, size, n, pvals, ndim, dtype)

    def shuffle_row_elements(self, input: Any) -> Any:
        """The input with the elements of its last axis shuffled, in every row differently."""
        x = as_tensor_variable(input)
        native = x.native
        rows, n = native.shape[:-1], native.shape[-1]
        order = self.permutation(size=tuple(_dim(d) for d in rows), n=_dim(n), ndim=len(rows))
        shuffled = wrap(raw_random.permute_rows(native, order.native))
        shuffled.permutation, shuffled.rng = order, order.rng
        return shuffled


def _dim(d: Any) -> Any:
    return d if isinstance(d, int) else wrap(d)
