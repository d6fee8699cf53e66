"""Pooling by windows, strides and paddings that are arguments of the function."""

import numpy as np
import pytest

import symconv.theano as theano
import symconv.theano.tensor as T
from symconv import errors
from symconv.theano.tensor.signal.pool import Pool, pool_2d, pool_3d

pytest_plugins = ["theano_fixtures"]
X = np.random.RandomState(0).normal(size=(2, 3, 7, 8))


@pytest.mark.parametrize("mode", ["max", "sum", "average_inc_pad", "average_exc_pad"])
@pytest.mark.parametrize("ignore_border", [True, False])
def test_sizes_that_are_arguments(mode, ignore_border, floatx):
    x, (ws, st, pad) = T.tensor4("x"), T.ivectors(3)
    y = pool_2d(x, ws, ignore_border, st, pad, mode)
    assert y.dtype == floatx and y.ndim == 4
    f = theano.function([x, ws, st, pad], [y, T.grad((y**2).sum(), x)])
    data = X.astype(floatx)
    for sizes in (((2, 3), (2, 1), (0, 0)), ((5, 2), (1, 2), (0, 0)), ((3, 3), (2, 2), (1, 2))):
        if any(sizes[2]) and not ignore_border:
            continue
        fixed = pool_2d(x, sizes[0], ignore_border, sizes[1], sizes[2], mode)
        expected = theano.function([x], [fixed, T.grad((fixed**2).sum(), x)])(data)
        for got, want in zip(f(data, *sizes), expected):
            np.testing.assert_array_equal(got, want)


def test_scalars_tuples_and_three_axes():
    x, n = T.dtensor4("x"), T.iscalar("n")
    for sizes in (n, (n, 2), [2, n * 1]):
        y = pool_2d(x, sizes, ignore_border=True)
        fixed = pool_2d(x, (2, 2), ignore_border=True)
        np.testing.assert_array_equal(y.eval({x: X, n: 2}), fixed.eval({x: X}))
    y = pool_3d(x, (1, n, n), True, mode="sum")
    np.testing.assert_array_equal(y.eval({x: X, n: 2}), pool_3d(x, (1, 2, 2), True, mode="sum").eval({x: X}))
    y = Pool(ignore_border=True)(x, T.stack([n, n]))
    np.testing.assert_array_equal(y.eval({x: X, n: 3}), pool_2d(x, (3, 3), True).eval({x: X}))


def test_a_size_computed_from_the_input():
    """Pooling over half of the height, whatever it is; ties as the setting says when it is built."""
    x = T.dtensor4("x")
    with theano.config.change_flags(pool_ties="all"):
        y = pool_2d(x, (x.shape[2] // 2, 1), ignore_border=True)
    f = theano.function([x], [y, T.grad(y.sum(), x)])
    ones = np.ones((1, 1, 4, 2))
    assert f(ones)[0].shape == (1, 1, 2, 2) and (f(ones)[1] == 1).all()
    assert f(np.ones((1, 1, 6, 2)))[0].shape == (1, 1, 2, 2)


def test_second_derivatives():
    x, n = T.dtensor4("x"), T.iscalar("n")
    y = pool_2d(x, n, True, mode="sum")
    g = T.grad((y**3).sum(), x)
    h = T.grad((g**2).sum(), x)
    fixed = pool_2d(x, (2, 2), True, mode="sum")
    fixed = T.grad((T.grad((fixed**3).sum(), x) ** 2).sum(), x)
    np.testing.assert_allclose(h.eval({x: X, n: 2}), fixed.eval({x: X}), rtol=1e-12)


def test_debug_mode_and_test_values():
    x, n = T.dtensor4("x"), T.iscalar("n")
    y = pool_2d(x, n, ignore_border=True)
    f = theano.function([x, n], [y, T.grad(y.sum(), x)], mode="DebugMode")
    np.testing.assert_array_equal(f(X, 3)[0], pool_2d(x, (3, 3), True).eval({x: X}))
    with theano.config.change_flags(compute_test_value="raise"):
        x, n = T.dtensor4("x"), T.iscalar("n")
        x.tag.test_value, n.tag.test_value = X, 3
        assert pool_2d(x, n, ignore_border=True).tag.test_value.shape == (2, 3, 2, 2)


def test_bad_sizes_are_named_in_the_call():
    x, ws, pad = T.dtensor4("x"), T.ivector("ws"), T.iscalar("pad")
    f = theano.function([x, ws, pad], pool_2d(x, ws, True, pad=(pad, pad)))
    for sizes, fault in (((0, 2), 0), "positive"), (((2, 2), -1), "negative"), (((2, 2), 2), "smaller than"):
        with pytest.raises(errors.ShapeError, match=f"pool_2d: .*{fault}"):
            f(X, *sizes)
    with pytest.raises((errors.ShapeError, AssertionError), match="2"):
        f(X, (1, 2, 3), 0)
    assert f(X, (2, 2), 0).shape == (2, 3, 3, 4)
    with pytest.raises(errors.ShapeError, match="pool_2d: ws"):
        pool_2d(x, T.imatrix(), True)
    with pytest.raises(errors.ShapeError, match="positive"):
        pool_2d(x, (0, 0), True)
