"""Batch and local response normalisation: kernels beside the reference, statistics, refusals."""

from __future__ import annotations

import numpy as np
import pytest

import symconv as sc
from kernels import ISAS, _core, oracle, run_kernel
from symconv.errors import ArgumentError, DTypeError, ShapeError
from symconv.ops.norm import BatchNorm, BatchNormGrad, WindowSum
from symconv.testing import assert_close

SHAPES = [
    ((7, 11), (0,)), ((129, 67), (0,)), ((3, 5, 2, 7), (0, 2, 3)), ((2, 3, 17, 19), (0, 2, 3)),
    ((5, 13), (1,)), ((5, 7), (0, 1)), ((3, 5), ()), ((3, 2, 5, 7), (0, 1, 2)), ((3, 5, 7), (0,)),
    ((1, 1, 5), (0, 2)), ((5, 1), (0,)), ((33, 4, 64, 64), (0, 2, 3)), ((40000, 9), (0,)),
]  # fmt: skip


@pytest.fixture(params=ISAS or ["none"])
def isa(request):
    if _core is None:
        pytest.skip("the C++ core is not built")
    before = _core.isa()
    _core.set_isa(request.param)
    yield request.param
    _core.set_isa(before)


def close(actual, desired, dtype, terms=1):
    for a, d in zip(actual, desired):
        assert a.dtype == dtype
        units = 64 * np.finfo(dtype).eps
        assert_close(a, d, units, units * np.sqrt(terms))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(("shape", "axes"), SHAPES)
def test_batch_norm_kernels_equal_the_reference(isa, shape, axes, dtype):
    rng = np.random.default_rng(1)
    channels = tuple(d for i, d in enumerate(shape) if i not in axes)
    terms = int(np.prod([shape[a] for a in axes]))
    x, dy = (rng.standard_normal(shape).astype(dtype) + 3 for _ in range(2))
    gamma, beta, mean = (rng.standard_normal(channels).astype(dtype) for _ in range(3))
    var = rng.uniform(0.5, 2, channels).astype(dtype)
    forward, backward = BatchNorm(axes, 1e-3), BatchNormGrad(axes, 1e-3)
    for inplace in ((), ((0, 0),)):
        got, expected = run_kernel(forward, x, gamma, beta, inplace=inplace), oracle(forward, x, gamma, beta)
        # NumPy adds the rows of a column one by one: in float64 its sums are the less exact ones
        close(got, expected, dtype, terms if dtype == "float64" else 1)
    given = (dy, x, gamma, mean, var)
    # dgamma and dbeta are sums of `terms` numbers of size 1 to 3
    for inplace in ((), ((0, 0),), ((0, 1),)):
        close(run_kernel(backward, *given, inplace=inplace), oracle(backward, *given), dtype, 16 * terms)


def test_batch_norm_does_not_depend_on_the_number_of_threads(isa):
    rng = np.random.default_rng(2)
    x = rng.standard_normal((17, 8, 31, 33)).astype("float32")
    one = rng.standard_normal(8).astype("float32")
    before = _core.num_threads()
    try:
        results = []
        for threads in (1, 3):
            _core.set_num_threads(threads)
            results.append(run_kernel(BatchNorm((0, 2, 3), 1e-3), x, one, one))
        assert all(np.array_equal(a, b) for a, b in zip(*results))
    finally:
        _core.set_num_threads(before)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_window_sum_kernel_equals_the_reference_exactly(isa, dtype):
    x = np.random.default_rng(3).integers(-9, 9, (3, 7, 11, 5)).astype(dtype)
    for axis in range(4):
        for before, after in ((0, 0), (2, 1), (0, 3), (20, 20)):
            op = WindowSum(axis, before, after)
            assert np.array_equal(run_kernel(op, x)[0], oracle(op, x)[0])


def test_an_empty_batch_gives_no_rows_and_nan_statistics(isa):
    x, one = np.zeros((0, 3, 2, 2), "float32"), np.ones(3, "float32")
    y, mean, var = run_kernel(BatchNorm((0, 2, 3), 1e-5), x, one, one)
    assert y.shape == x.shape and np.isnan(mean).all() and np.isnan(var).all()
    dx, dgamma, dbeta = run_kernel(BatchNormGrad((0, 2, 3), 1e-5), x, x, one, one, one)
    assert dx.shape == x.shape and not dgamma.any() and not dbeta.any()


def test_statistics_have_the_stated_mean_and_variance():
    x = np.random.default_rng(4).standard_normal((8, 3, 5, 5)).astype("float32")
    v = sc.tensor("float32", (None, 3, None, None))
    y, mean, var = sc.function([v], sc.batch_norm(v, np.ones(3, "float32"), np.zeros(3, "float32")))(x)
    np.testing.assert_allclose(mean, x.mean((0, 2, 3)), atol=1e-6)
    np.testing.assert_allclose(var, x.var((0, 2, 3)), rtol=1e-5)
    np.testing.assert_allclose(y.std((0, 2, 3)), 1, rtol=1e-3)


def test_inference_with_the_batch_statistics_equals_training():
    x, g, b = sc.tensor("float64", (5, 3, 2, 2)), sc.tensor("float64", (3,)), sc.tensor("float64", (3,))
    y, mean, var = sc.batch_norm(x, g, b, eps=0.01)
    again = sc.batch_norm_inference(x, g, b, mean, var, eps=0.01)
    rng = np.random.default_rng(5)
    a, c = sc.function([x, g, b], [y, again])(*(rng.standard_normal(v.type.shape) for v in (x, g, b)))
    np.testing.assert_allclose(a, c, rtol=1e-12, atol=1e-12)


def test_running_average_makes_the_variance_unbiased():
    old, new, n = sc.vector("old"), sc.vector("new"), sc.lscalar("n")
    f = sc.function([old, new, n], sc.running_average(old, new, 0.75, count=n))
    o, v = np.array([1.0, 2.0], sc.config.floatX), np.array([8.0, 4.0], sc.config.floatX)
    np.testing.assert_allclose(f(o, v, 5), 0.75 * o + 0.25 * v * 5 / 4, rtol=1e-6)
    np.testing.assert_allclose(f(o, v, 1), 0.75 * o + 0.25 * v, rtol=1e-6)
    plain = sc.function([old, new], sc.running_average(old, new))
    np.testing.assert_allclose(plain(o, v), 0.9 * o + 0.1 * v, rtol=1e-6)


def test_wrong_shapes_and_arguments_are_refused():
    x, c = sc.tensor("float32", (5, 3, 2, 2)), sc.tensor("float32", (3,))
    wrong = sc.tensor("float32", (4,))
    with pytest.raises(ShapeError, match=r"float32\[4\] does not fit the channels of x"):
        sc.batch_norm(x, c, wrong)
    with pytest.raises(ShapeError, match=r"var must have shape \[3\]"):
        sc.batch_norm_inference(x, c, c, c, wrong)
    with pytest.raises(ShapeError, match=r"x must be \[N, C\]"):
        sc.batch_norm(c, c, c)
    with pytest.raises(DTypeError, match="one float dtype"):
        BatchNorm((0, 2, 3))(x, sc.tensor("float64", (3,)), c)
    for eps in (-1.0, float("nan"), float("inf"), "1"):
        with pytest.raises(ArgumentError, match="eps must be a number >= 0"):
            sc.batch_norm(x, c, c, eps=eps)
    with pytest.raises(ArgumentError, match="momentum must lie in"):
        sc.running_average(c, c, 1.5)
    for size in (0, -1, 2.0, True):
        with pytest.raises(ArgumentError, match="size must be an integer >= 1"):
            sc.local_response_norm(x, size)
    with pytest.raises(ShapeError, match="axis 1 is out of range"):
        sc.local_response_norm(c)


def test_alexnet_constants_give_the_papers_formula():
    x = np.random.default_rng(6).standard_normal((2, 9, 3, 3)) * 20
    v = sc.tensor("float64", x.shape)
    y = sc.function([v], sc.local_response_norm(v, 5, 5e-4, 0.75, 2.0))(x)
    expected = np.empty_like(x)
    for i in range(9):
        expected[:, i] = x[:, i] / (2 + 1e-4 * (x[:, max(0, i - 2) : i + 3] ** 2).sum(1)) ** 0.75
    np.testing.assert_allclose(y, expected, rtol=1e-12)
