"""symconv.theano: pooling ops as classes, pooling over one axis, and patches of images in every mode."""

from __future__ import annotations

import numpy as np
import pytest

import symconv.theano as theano
import symconv.theano.tensor as T
from symconv import errors
from symconv.theano.tensor.nnet.neighbours import images2neibs
from symconv.theano.tensor.signal import pool

X = np.random.RandomState(2).permutation(2 * 3 * 7 * 5).reshape(2, 3, 7, 5).astype("float64")


@pytest.mark.parametrize("mode", pool.MODES)
@pytest.mark.parametrize("ignore_border", [True, False])
def test_pooling_over_one_axis(mode, ignore_border):
    got = pool.Pool(ignore_border, mode, 1)(T.constant(X), (3,), (2,)).eval()
    starts = range(0, 5, 2) if not ignore_border else range(0, 3, 2)
    parts = [X[..., a : a + 3] for a in starts if ignore_border or a + 3 < 5 + 2]
    reduce = {"max": np.max, "sum": np.sum}.get(mode, np.mean)
    np.testing.assert_allclose(got, np.stack([reduce(p, -1) for p in parts], -1))


@pytest.mark.parametrize(
    "sizes", [((3, 2), (2, 2), (1, 0)), ((4,), (2,), (1,)), ((2, 3, 2), (1, 2, 2), (1, 0, 1))]
)
def test_gradients_by_class_are_those_of_the_pool(sizes):
    ndim = len(sizes[0])
    x = T.constant(X)
    leaf = T.tensor4()
    for mode in pool.MODES:
        y = pool.Pool(True, mode, ndim)(leaf, *sizes)
        dy = np.random.RandomState(1).normal(size=y.eval({leaf: X}).shape)
        want = T.grad((y * dy).sum(), leaf).eval({leaf: X})
        if mode == "max":
            op = pool.MaxPoolGrad(ignore_border=True, ndim=ndim)
            got = op(x, y.eval({leaf: X}), dy, *sizes).eval()
        else:
            got = pool.AveragePoolGrad(True, mode, ndim)(x, dy, *sizes).eval()
        assert np.abs(want).max() > 0.1
        np.testing.assert_allclose(got, want, atol=1e-12)


def test_gradient_of_the_gradient_by_class_picks_the_maxima():
    v = np.random.RandomState(5).normal(size=X.shape)
    y = pool.pool_2d(T.constant(X), (3, 2), True)
    got = pool.DownsampleFactorMaxGradGrad(ignore_border=True)(T.constant(X), y, v, (3, 2)).eval()
    want = np.zeros((2, 3, 2, 2))
    for n, c, p, q in np.ndindex(*want.shape):
        window = (n, c, slice(3 * p, 3 * p + 3), slice(2 * q, 2 * q + 2))
        want[n, c, p, q] = v[window].flat[X[window].argmax()]
    np.testing.assert_array_equal(got, want)


def test_sizes_may_be_a_vector_of_constants():
    got = pool.pool_2d(T.constant(X), T.constant([2, 3]), True).eval()
    np.testing.assert_array_equal(got, pool.pool_2d(T.constant(X), (2, 3), True).eval())


def test_options_of_the_classes_are_checked():
    with pytest.raises(errors.ArgumentError, match="ndim must be"):
        pool.Pool(ndim="all")
    with pytest.raises(errors.ArgumentError, match="mode must be"):
        pool.AveragePoolGrad(mode="median")
    with pytest.raises(AttributeError, match="MaxPoolRop"):
        pool.MaxPoolRop  # noqa: B018


def patches(x, shape, step, mode):
    """By the definition, one patch after the other."""
    (r, s), (down, along) = shape, step
    if mode in ("half", "full"):
        a, b = (r // 2, s // 2) if mode == "half" else (r - 1, s - 1)
        x = np.pad(x, [(0, 0), (0, 0), (a, a), (b, b)])
    h, w = x.shape[2:]
    rows = []
    for image in x.reshape(-1, h, w):
        if mode == "wrap_centered":
            image = np.pad(image, [(r // 2, r // 2), (s // 2, s // 2)], mode="wrap")
            tops, lefts = range(0, h, down), range(0, w, along)
        else:
            tops, lefts = range(0, h - r + 1, down), range(0, w - s + 1, along)
        rows += [image[i : i + r, j : j + s].ravel() for i in tops for j in lefts]
    return np.array(rows)


@pytest.mark.parametrize(
    "mode, shape, step",
    [
        ("valid", (3, 2), (2, 3)),
        ("valid", (7, 5), None),
        ("half", (3, 4), (2, 1)),
        ("full", (2, 3), (1, 2)),
        ("ignore_borders", (3, 2), None),
        ("wrap_centered", (3, 5), (2, 3)),
        ("wrap_centered", (1, 3), (1, 1)),
    ],
)
def test_patches_in_every_mode(mode, shape, step):
    want = patches(X, shape, step or shape, mode)
    np.testing.assert_array_equal(images2neibs(T.constant(X), shape, step, mode).eval(), want)
    x, sizes = T.tensor4(), theano.shared(np.array(shape))
    strides = None if step is None else theano.shared(np.array(step))
    np.testing.assert_array_equal(images2neibs(x, sizes, strides, mode).eval({x: X}), want)
    T.verify_grad(lambda v: images2neibs(v, shape, step, mode), [X[:1, :1] / 100], n_tests=1)


@pytest.mark.parametrize(
    "mode, shape, step",
    [
        ("valid", (3, 2), (3, 3)),
        ("valid", (8, 5), None),
        ("half", (3, 4), (4, 1)),
        ("full", (2, 3), (3, 2)),
        ("wrap_centered", (2, 3), None),
        ("wrap_centered", (3, 7), None),
    ],
)
def test_patches_that_do_not_fit_are_a_type_error_as_in_theano(mode, shape, step):
    x = T.tensor4()
    f = theano.function([x], images2neibs(x, shape, step, mode))
    with pytest.raises(TypeError, match="do not fit") as caught:
        f(X)
    assert isinstance(caught.value, errors.ShapeError)


def test_patches_refuse_sizes_and_modes():
    x = T.tensor4()
    with pytest.raises(errors.ShapeError, match="positive"):
        images2neibs(x, (0, 2))
    with pytest.raises(errors.ShapeError, match="two sizes"):
        images2neibs(x, (1, 2, 3))
    with pytest.raises(errors.ArgumentError, match="mode must be one of"):
        images2neibs(x, (2, 2), mode="same")
    with pytest.raises(TypeError, match="4 dimensions"):
        images2neibs(T.matrix(), (2, 2))


@pytest.mark.parametrize("mode", pool.MODES)
@pytest.mark.parametrize("ignore_border", [True, False])
def test_pooling_over_four_axes(mode, ignore_border):
    x = np.random.RandomState(3).rand(2, 5, 4, 6, 5)
    window, step = (2, 2, 3, 2), (2, 1, 2, 2)
    leaf = T.tensor5()
    y = pool.Pool(ignore_border, mode, 4)(leaf, window, step)
    got = y.eval({leaf: x})
    reduce = {"max": np.max, "sum": np.sum}.get(mode, np.mean)
    assert list(got.shape) == pool.Pool.out_shape(x.shape, window, ignore_border, step, ndim=4)
    for at in np.ndindex(*got.shape):
        box = tuple(slice(i * s, i * s + w) for i, s, w in zip(at[1:], step, window))
        np.testing.assert_allclose(got[at], reduce(x[at[0]][box]))
    T.verify_grad(
        lambda v: pool.Pool(ignore_border, mode, 4)(v, window, step), [x[:1]], rng=np.random.RandomState(4)
    )


@pytest.mark.parametrize("mode", ["sum", "average_inc_pad"])
def test_padding_may_be_as_wide_as_the_window_of_a_sum(mode):
    x = T.constant(X)
    wide = pool.Pool(True, mode, 2)(x, (2, 3), (1, 2), (2, 3)).eval()
    padded = np.pad(X, [(0, 0), (0, 0), (2, 2), (3, 3)])
    reduce = np.sum if mode == "sum" else np.mean
    for n, c, p, q in np.ndindex(*wide.shape):
        np.testing.assert_allclose(wide[n, c, p, q], reduce(padded[n, c, p : p + 2, 2 * q : 2 * q + 3]))
    assert wide.shape == (2, 3, 10, 5)
    for other in ("max", "average_exc_pad"):
        with pytest.raises(errors.ShapeError, match=r"pad \(2, 3\) must be smaller than the window \(2, 3\)"):
            pool.Pool(True, other, 2)(x, (2, 3), (1, 2), (2, 3))
    with pytest.raises(errors.ArgumentError, match="ndim must be a number of axes, got 0"):
        pool.Pool(ndim=0)
