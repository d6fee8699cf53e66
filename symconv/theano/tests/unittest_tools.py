"""theano.tests.unittest_tools: seeds, comparisons and gradient checks."""

from __future__ import annotations

import unittest
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from symconv.theano.configuration import config
from symconv.theano.gradient import GradientError
from symconv.theano.gradient import verify_grad as _verify_grad


def fetch_seed(pseed: int | None = None) -> int:
    """The seed given, or config.unittests.rseed."""
    return int(config.unittests.rseed) if pseed is None else int(pseed)


def seed_rng(pseed: int | None = None) -> int:
    """Seed NumPy's generator."""
    seed = fetch_seed(pseed)
    np.random.seed(seed)
    return seed


def verify_grad(
    op: Callable[..., Any], pt: Sequence[Any], n_tests: int = 2, rng: Any = None, **options: Any
) -> None:
    """theano.gradient.verify_grad with a seeded generator."""
    _verify_grad(op, pt, n_tests, rng or np.random.RandomState(fetch_seed()), **options)


setattr(verify_grad, "E_grad", GradientError)  # noqa: B010


def attr(*args: Any, **kwargs: Any) -> Callable[[Any], Any]:
    """Labels of a test, as nose has them: no effect."""
    return lambda test: test


class InferShapeTester(unittest.TestCase):
    """A test case with a check of the shapes that a graph is said to give."""

    def setUp(self) -> None:
        seed_rng()

    def _compile_and_check(
        self, inputs: Sequence[Any], outputs: Sequence[Any], numeric_inputs: Sequence[Any], cls: Any,
        excluding: Any = None, warn: bool = True, check_topo: bool = True,
    ) -> None:  # fmt: skip
        """The symbolic shapes of `outputs` are those of the values."""
        from symconv.theano.functions import function

        values = function(list(inputs), list(outputs), on_unused_input="ignore")(*numeric_inputs)
        sizes = function(list(inputs), [o.shape for o in outputs], on_unused_input="ignore")(*numeric_inputs)
        for value, size in zip(values, sizes):
            assert np.all(np.asarray(value).shape == size), (np.asarray(value).shape, size)


def assert_allclose(expected: Any, value: Any, rtol: float | None = None, atol: float | None = None) -> None:
    """Raise AssertionError unless the arrays agree within what their dtype allows."""
    narrow = "float32" in (str(np.asarray(expected).dtype), str(np.asarray(value).dtype))
    loose = 1e-5 if narrow else 1e-9
    np.testing.assert_allclose(
        value, expected, rtol=loose if rtol is None else rtol, atol=loose if atol is None else atol
    )
