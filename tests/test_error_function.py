"""The error function in its tails: values and slopes where what was written has no digits left."""

import math

import numpy as np
import pytest

import symconv as sc


def fraction(x):
    """e^(-x^2) / (sqrt(pi) erfc(x)) as a continued fraction: independent of the series."""
    tail = x
    for k in range(200, 0, -1):
        tail = x + k / 2 / tail
    return tail


def log_erfc(x):
    return math.log(math.erfc(x)) if x < 2 else -x * x - math.log(fraction(x) * math.sqrt(math.pi))


def slope(x):
    """The derivative of log_erfc."""
    if x < 2:
        return -2 / math.sqrt(math.pi) * math.exp(-x * x) / math.erfc(x)
    return -2 * fraction(x)


POINTS = {
    "float64": [-7.0, -0.5, 0.0, 1.5, 6.5, 24.9, 25.1, 40.0, 1000.0],
    "float32": [-4.0, -0.5, 0.0, 1.5, 6.5, 8.9, 9.1, 40.0, 300.0],
}
SPELLINGS = {
    "erfc": (lambda x: sc.log(sc.erfc(x)), 1.0),
    "1 - erf": (lambda x: sc.log(1 - sc.erf(x)), 1.0),
    "1 + erf(-x)": (lambda x: sc.log(1 + sc.erf(-x)), 1.0),
    "log1p": (lambda x: sc.log1p(-sc.erf(x)), 1.0),
    "half": (lambda x: sc.log(0.5 * sc.erfc(x)), 0.5),
    "normal distribution": (lambda x: sc.log(0.5 * (1 + sc.erf(-x))), 0.5),
    "quotient": (lambda x: sc.log(sc.erfc(x) / 2), 0.5),
}


@pytest.mark.parametrize("dtype", POINTS)
@pytest.mark.parametrize("spelling", SPELLINGS)
def test_logarithms_of_the_tail_and_their_slopes(spelling, dtype):
    build, factor = SPELLINGS[spelling]
    x, a = sc.tensor(dtype, (None,)), np.array(POINTS[dtype], dtype)
    y = build(x)
    f = sc.function([x], [y, sc.grad(y.sum(), x), sc.grad((3 * y).mean(), x)])
    values, slopes, scaled = f(a)
    tolerance = 1e-12 if dtype == "float64" else 1e-5
    np.testing.assert_allclose(
        values, [log_erfc(float(v)) + math.log(factor) for v in a], rtol=tolerance, atol=tolerance
    )
    wanted = [slope(float(v)) for v in a]
    np.testing.assert_allclose(slopes, wanted, rtol=4 * tolerance)
    np.testing.assert_allclose(scaled, np.array(wanted) * 3 / len(a), rtol=4 * tolerance)


def test_sums_with_one_keep_the_digits_of_the_tail():
    x, a = sc.tensor("float64", (None,)), np.array([-6.5, -0.25, 0.5, 6.5])
    f = sc.function([x], [1 + sc.erf(x), 1 - sc.erf(x), sc.erf(x) - 1, 1 - sc.erfc(x)])
    rows = f(a)
    wanted = [[math.erfc(-v) for v in a], [math.erfc(v) for v in a], [-math.erfc(v) for v in a]]
    np.testing.assert_allclose(rows[:3], wanted, rtol=1e-14)
    np.testing.assert_allclose(rows[3], [math.erf(v) for v in a], rtol=1e-14)


def test_what_is_no_tail_stays_as_it_is():
    x = sc.tensor("float64", (2,))
    y = sc.tensor("float64", (2,))
    f = sc.function([x, y], [sc.log(-1 * sc.erfc(x)), sc.log(y * sc.erfc(x)), sc.exp(-(x**2)) / sc.erfc(y)])
    a, b = np.array([0.5, -1.0]), np.array([2.0, 3.0])
    first, second, third = f(a, b)
    assert np.isnan(first).all()
    np.testing.assert_allclose(second, np.log(b * [math.erfc(v) for v in a]))
    np.testing.assert_allclose(third, np.exp(-a * a) / [math.erfc(v) for v in b])
