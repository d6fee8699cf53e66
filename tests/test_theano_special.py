"""Special functions of theano.tensor: erfc in the tail, erfcx, incomplete gamma and Bessel functions."""

from __future__ import annotations

import math

import numpy as np
import pytest

import symconv.theano as theano
import symconv.theano.tensor as T
from symconv import errors
from symconv.theano.tensor import special_numbers as numbers


def value(function, *operands):
    return theano.function([], function(*[np.asarray(v, "float64") for v in operands]))()


def integral(f, low, high, n=400):
    t, w = np.polynomial.legendre.leggauss(n)
    t = low + (high - low) * (t + 1) / 2
    return float(np.dot(w, [f(v) for v in t])) * (high - low) / 2


def test_erfc_is_one_native_step_with_the_digits_of_its_tail():
    for floatX in ("float32", "float64"):  # noqa: N806 - Theano's name
        x = T.vector("x", dtype=floatX)
        f = theano.function([x], [T.erfc(x), T.grad(T.erfc(x).sum(), x)])
        points = np.array([-30, -3, -1, -0.5, 0, 0.3, 0.5, 2, 5, 9, 10, 25, math.inf, math.nan], floatX)
        got, slope = f(points)
        want = np.array([math.erfc(float(v)) for v in points])
        tolerance = 2e-7 if floatX == "float32" else 1e-15
        np.testing.assert_allclose(got, want.astype(floatX), rtol=tolerance)
        with np.errstate(over="ignore"):
            np.testing.assert_allclose(slope, -2 / math.sqrt(math.pi) * np.exp(-(points**2)), rtol=1e-5)
        assert "erfc" in f.explain() and f.explain().count("erfc") <= 4


def test_erfcx_scales_what_erfc_loses():
    x = np.array([-3.0, 0, 1e-9, 0.5, 4, 24.9, 25.1, 1e3, 1e9])
    got = value(T.erfcx, x)
    np.testing.assert_allclose(got[:5], [math.exp(v * v) * math.erfc(v) for v in x[:5]], rtol=1e-13)
    # erfcx(x) = 2 / sqrt(pi) times the integral of exp(-t^2 - 2 x t)
    for v, y in zip(x[4:7], got[4:7]):
        want = integral(lambda t, v=v: math.exp(-t * t - 2 * v * t), 0, 40 / (2 * v)) * 2 / math.sqrt(math.pi)
        assert abs(y / want - 1) < 1e-12
    np.testing.assert_allclose(got[7:], 1 / (x[7:] * math.sqrt(math.pi)), rtol=1e-6)
    assert value(T.erfcx, -30.0) == math.inf


@pytest.mark.parametrize("k", [0.5, 1, 3, 7.5, 40])
@pytest.mark.parametrize("x", [0.1, 2, 7, 30, 80])
def test_incomplete_gamma_functions(k, x):
    # with t = u^2 the integrand of the lower function has no pole at 0 for k >= 1/2
    lower = integral(lambda u: 2 * u ** (2 * k - 1) * math.exp(-u * u), 0, math.sqrt(x))
    assert abs(value(T.gammal, k, x) / lower - 1) < 1e-10
    assert abs(value(T.gammainc, k, x) * math.gamma(k) / lower - 1) < 1e-10
    total = value(T.gammainc, k, x) + value(T.gammaincc, k, x)
    assert abs(total - 1) < 1e-13
    assert abs(value(T.gammau, k, x) - value(T.gammaincc, k, x) * math.gamma(k)) <= 1e-12 * math.gamma(k)
    np.testing.assert_allclose(value(T.chi2sf, 2 * x, 2 * k), value(T.gammaincc, k, x), rtol=1e-12)


def test_ends_of_incomplete_gamma_functions():
    assert value(T.gammaincc, 1.0, 100.0) == pytest.approx(math.exp(-100), rel=1e-12)  # not 1 - 1
    assert value(T.gammainc, 2.0, 0.0) == 0 and value(T.gammaincc, 2.0, math.inf) == 0
    assert math.isnan(value(T.gammainc, -1.0, 1.0)) and value(T.chi2sf, -1.0, 3.0) == 1


@pytest.mark.parametrize("x", [0.0, 0.7, 3.9, 4.1, 20.0, 77.7, 900.0])
@pytest.mark.parametrize("n", [0, 1, 2, 5, -3])
def test_bessel_functions_of_whole_order(n, x):
    count = int(x) + 400
    turns = np.arange(count) * 2 * math.pi / count
    want = np.cos(n * turns - x * np.sin(turns)).mean()
    assert abs(value(T.jv, float(n), x) - want) < 1e-13
    assert abs(value(T.jv, float(n), -x) - (-1) ** n * want) < 1e-13
    if n in (0, 1):
        assert abs(value((T.j0, T.j1)[n], x) - want) < 1e-13
    if x < 700:
        want = (np.exp(x * np.cos(turns) - x) * np.cos(n * turns)).mean() * math.exp(x)
        got = value(T.iv, float(n), x)
        np.testing.assert_allclose(got, want, rtol=1e-10, atol=1e-13)
        if n in (0, 1):
            assert value((T.i0, T.i1)[n], x) == pytest.approx(got, rel=1e-14)


@pytest.mark.parametrize("x", [0.3, 3.0, 5.0, 30.0, 49.0, 60.0, 500.0])
def test_bessel_functions_of_half_order_are_sines(x):
    root = math.sqrt(2 / (math.pi * x))
    for order, wave in ((0.5, math.sin(x)), (-0.5, math.cos(x)), (1.5, math.sin(x) / x - math.cos(x))):
        assert value(T.jv, order, x) == pytest.approx(root * wave, rel=1e-10, abs=1e-13)
    assert value(T.iv, 0.5, x) == pytest.approx(root * math.sinh(x), rel=1e-12)
    assert value(T.iv, -0.5, x) == pytest.approx(root * math.cosh(x), rel=1e-12)


def test_odd_arguments_of_bessel_functions():
    assert numbers.jv(0, 0) == 1 and numbers.jv(2.5, 0) == 0 and numbers.jv(0, math.inf) == 0
    assert (
        math.isnan(numbers.jv(0.5, -1))
        and math.isnan(numbers.iv(0.5, -1))
        and math.isnan(numbers.jv(1, math.nan))
    )
    assert numbers.iv(0, 800) == math.inf


@pytest.mark.parametrize(
    ("function", "points"),
    [
        (T.erfc, [-2, -0.3, 0.4, 1.5]), (T.erfcx, [-1.5, 0.2, 3]), (T.j0, [0.5, 3, 12]), (T.j1, [0.5, 3, 12]),
        (T.i0, [0.5, 3]), (T.i1, [-0.5, 3]), (lambda x: T.jv(1.5, x), [0.5, 7]),
        (lambda x: T.iv(2.5, x), [0.5, 4]),
        (lambda x: T.gammainc(2.5, x), [0.5, 4]), (lambda x: T.gammaincc(2.5, x), [0.5, 4]),
        (lambda x: T.gammal(2.5, x), [0.5, 4]), (lambda x: T.gammau(2.5, x), [0.5, 4]),
        (lambda x: T.chi2sf(x, 3), [0.5, 4]),
    ],
)  # fmt: skip
def test_gradients_of_special_functions(function, points):
    T.verify_grad(function, [np.array(points, "float64")], rng=np.random.RandomState(1))


def test_two_operands_broadcast_and_orders_have_no_gradient():
    v, x = T.dvector(), T.dmatrix()
    f = theano.function([v, x], [T.jv(v, x), T.grad(T.jv(v, x).sum(), x)])
    orders, points = np.array([0.0, 1.0, 2.5]), np.linspace(0.5, 9, 6).reshape(2, 3)
    got, slope = f(orders, points)
    want = [[numbers.jv(a, b) for a, b in zip(orders, row)] for row in points]
    np.testing.assert_allclose(got, want, rtol=1e-14)
    assert slope.shape == points.shape
    with pytest.raises(theano.gradient.NullTypeGradError, match="no gradient by operand 0"):
        T.grad(T.jv(v, x).sum(), v)
    with pytest.raises(errors.ArgumentError, match="jv takes 2 operands, got 1"):
        T.jv(x)
    assert (
        T.gammainc(T.bvector(), T.fvector()).dtype == "float32"
        and T.chi2sf(T.fvector(), 2).dtype == "float64"
    )


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_exp2_is_exact_at_whole_numbers(dtype):
    """2 ** k and nothing beside it, far from 0, too."""
    x = T.TensorType(dtype, (False,))()
    a = np.arange(-120, 121).astype(dtype)
    f = theano.function([x], [T.exp2(x), T.grad(T.exp2(x).sum(), x)])
    values, slopes = f(a)
    assert np.array_equal(values, np.ldexp(np.ones(1, dtype), a.astype(int))) and values.dtype == dtype
    np.testing.assert_allclose(slopes / values, np.log(2), rtol=4 * np.finfo(dtype).eps)
