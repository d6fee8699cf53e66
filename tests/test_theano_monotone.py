"""Activations before maximum pooling: computed after it, with the derivatives of their spelling."""

from __future__ import annotations

import numpy as np
import pytest

import symconv.theano as theano
import symconv.theano.tensor as T
from symconv.theano.tensor.signal import downsample, pool

RNG = np.random.default_rng(5)

# spelling, what it computes, its derivative
ACTIVATIONS = {
    "relu": (T.nnet.relu, lambda x: np.maximum(x, 0), lambda x: 0.5 * (1 + np.sign(x))),
    "half_sum": (lambda x: 0.5 * (x + abs(x)), lambda x: np.maximum(x, 0), lambda x: 0.5 * (1 + np.sign(x))),
    "halved": (lambda x: (abs(x) + x) / 2, lambda x: np.maximum(x, 0), lambda x: 0.5 * (1 + np.sign(x))),
    "maximum": (lambda x: T.maximum(x, 0.0), lambda x: np.maximum(x, 0), lambda x: x >= 0),
    "maximum_first": (lambda x: T.maximum(0.0, x), lambda x: np.maximum(x, 0), lambda x: x > 0),
    "minimum": (lambda x: T.minimum(x, 0.5), lambda x: np.minimum(x, 0.5), lambda x: x <= 0.5),
    "clip": (lambda x: T.clip(x, -1, 1), lambda x: np.clip(x, -1, 1), lambda x: abs(x) <= 1),
    "switch": (lambda x: T.switch(x < 0, 0, x), lambda x: np.maximum(x, 0), lambda x: x >= 0),
    "leaky": (
        lambda x: T.nnet.relu(x, 0.25),
        lambda x: np.where(x > 0, x, x / 4),
        lambda x: np.select([x > 0, x < 0], [1, 0.25], 0.625),
    ),
    "elu": (T.nnet.elu, lambda x: np.where(x > 0, x, np.expm1(x)), lambda x: np.where(x > 0, 1, np.exp(x))),
    # these fall somewhere, or are not looked into
    "abs": (abs, abs, np.sign),
    "negative": (lambda x: T.minimum(-x, 0), lambda x: np.minimum(-x, 0), lambda x: -1.0 * (x >= 0)),
    "falling": (
        lambda x: T.nnet.relu(x, -0.5),
        lambda x: np.where(x > 0, x, -x / 2),
        lambda x: np.where(x > 0, 1, -0.5),
    ),
    "masked": (lambda x: x * (x > 0), lambda x: np.maximum(x, 0), lambda x: x > 0),
    "by_elements": (
        lambda x: T.maximum(x, np.linspace(-1, 1, 6)),
        lambda x: np.maximum(x, np.linspace(-1, 1, 6)),
        lambda x: x >= np.linspace(-1, 1, 6),
    ),
}


def pooled(a: np.ndarray) -> np.ndarray:
    """The maxima of 2x2 windows."""
    *lead, height, width = a.shape
    return a.reshape(*lead, height // 2, 2, width // 2, 2).max((-3, -1))


@pytest.mark.parametrize("name", ACTIVATIONS)
@pytest.mark.parametrize("ndim", [2, 4])
def test_pooled_activations_have_their_values_and_gradients(name, ndim):
    spelled, value, slope = ACTIVATIONS[name]
    shape = (4, 6) if ndim == 2 else (2, 3, 4, 6)
    x = T.TensorType("float64", [False] * ndim)("x")
    y = pool.pool_2d(spelled(x), (2, 2), ignore_border=True)
    a, dy = RNG.normal(0, 1, shape), RNG.normal(0, 1, (*shape[:-2], 2, 3))
    out, dx = theano.function([x], [y, T.grad((y * dy).sum(), x)])(a)
    np.testing.assert_allclose(out, pooled(value(a)), rtol=1e-12)
    at = value(a) == np.kron(pooled(value(a)), np.ones((2, 2)))
    expected = np.kron(dy, np.ones((2, 2))) * at * slope(a)
    np.testing.assert_allclose(dx, expected, rtol=1e-12, atol=1e-15)  # what is level has the derivative 0


@pytest.mark.parametrize(
    ("name", "at_zero"),
    [("relu", 0.5), ("half_sum", 0.5), ("maximum", 1), ("maximum_first", 0), ("switch", 1)],
)
def test_derivative_at_zero_is_that_of_the_spelling(name, at_zero):
    x = T.dmatrix("x")
    y = downsample.max_pool_2d(ACTIVATIONS[name][0](x), (2, 2), ignore_border=True)
    dx = T.grad(y.sum(), x).eval({x: [[-1.0, 0.0], [-2.0, -3.0]]})
    assert dx.tolist() == [[0, at_zero], [0, 0]]


@pytest.mark.parametrize("name", ["relu", "half_sum", "maximum", "maximum_first", "switch", "leaky", "clip"])
def test_convolution_bias_and_pooling_are_one_kernel(name):
    x, w, b = T.ftensor4("x"), T.ftensor4("w"), T.fvector("b")
    z = T.nnet.conv2d(x, w) + b.dimshuffle("x", 0, "x", "x")
    y = pool.pool_2d(ACTIVATIONS[name][0](z), (2, 2), ignore_border=True)
    f = theano.function([x, w, b], T.grad((y**2).sum(), [w, b]))
    f(*(RNG.normal(size=s).astype("float32") for s in ((2, 1, 12, 12), (3, 1, 5, 5), (3,))))
    ops = {line.split()[2] for line in f.explain().splitlines() if line.strip()[:1].isdigit()}
    assert "conv_pool_grad" in ops and "max_pool2d" not in ops


def test_pooling_of_other_kinds_stays_where_it_is():
    x = T.dmatrix("x")
    a = RNG.normal(size=(4, 6))
    mean = pool.pool_2d(T.nnet.relu(x), (2, 2), ignore_border=True, mode="average_inc_pad")
    expected = np.maximum(a, 0).reshape(2, 2, 3, 2).mean((1, 3))
    np.testing.assert_allclose(mean.eval({x: a}), expected)
    padded = pool.pool_2d(T.nnet.relu(x), (2, 2), ignore_border=True, pad=(1, 1))
    np.testing.assert_allclose(
        padded.eval({x: a}),
        np.pad(np.maximum(a, 0), 1, constant_values=-np.inf).reshape(3, 2, 4, 2).max((1, 3)),
    )


def test_what_is_pooled_stays_an_operand_for_those_who_ask_for_it():
    x = T.dmatrix("x")
    h = T.nnet.relu(x)
    y = pool.pool_2d(h, (2, 2), ignore_border=True)
    a = RNG.normal(size=(4, 6))
    dh = T.grad((y**2).sum(), h).eval({x: a})
    expected = np.kron(2 * pooled(np.maximum(a, 0)), np.ones((2, 2)))
    assert ((dh == 0) | np.isclose(dh, expected)).all() and np.isclose(dh.sum(), expected.sum() / 4)
    known = theano.grad(None, wrt=h, known_grads={y: 2 * y})
    assert np.array_equal(known.eval({x: a}), dh)
    other = np.abs(a) + 1
    assert np.array_equal(
        theano.function([x], y, givens={h: T.constant(other)}, on_unused_input="ignore")(a), pooled(other)
    )
    assert np.array_equal(theano.function([h], y)(other), pooled(other))
    assert np.array_equal(theano.clone(y, {h: T.constant(other)}).eval(), pooled(other))
