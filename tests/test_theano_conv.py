"""theano.tensor.nnet.conv2d and signal.pool: true convolution, border modes, hints, partial windows, ties."""

from __future__ import annotations

import numpy as np
import pytest

import symconv as sc
import symconv.theano as theano
import symconv.theano.tensor as T
from symconv import errors
from symconv.theano.tensor.nnet import abstract_conv, conv
from symconv.theano.tensor.signal import downsample, pool

RNG = np.random.RandomState(5)
X, W = RNG.normal(size=(2, 3, 7, 6)), RNG.normal(size=(4, 3, 3, 2))


def convolved(x, w, pad, step=(1, 1), flip=True):
    x = np.pad(x, ((0, 0), (0, 0), (pad[0], pad[0]), (pad[1], pad[1])))
    w = w[:, :, ::-1, ::-1] if flip else w
    windows = np.lib.stride_tricks.sliding_window_view(x, w.shape[2:], (2, 3))
    return np.einsum("nchwrs,kcrs->nkhw", windows, w)[:, :, :: step[0], :: step[1]]


PADS = {"valid": (0, 0), "full": (2, 1), "half": (1, 1), 1: (1, 1), (2, 0): (2, 0)}


@pytest.mark.parametrize("mode", PADS)
@pytest.mark.parametrize("step", [(1, 1), (2, 3)])
@pytest.mark.parametrize("flip", [True, False])
def test_conv2d(mode, step, flip):
    x, w = T.tensor4(), T.tensor4()
    want = convolved(X, W, PADS[mode], step, flip)
    options = {"border_mode": mode, "subsample": step, "filter_flip": flip}
    for filters, given in ((theano.shared(W), [X]), (w, [X, W])):
        y = T.nnet.conv2d(x, filters, **options)
        np.testing.assert_allclose(theano.function([x, w][: len(given)], y)(*given), want, atol=1e-12)


@pytest.mark.parametrize("mode", ["valid", "full", "half"])
def test_conv2d_gradients(mode):
    T.verify_grad(
        lambda x, w: T.nnet.conv2d(x, w, border_mode=mode, subsample=(2, 1)), [X[:1], W[:2]], n_tests=1
    )


def test_conv2d_dilation_and_groups():
    x = T.tensor4()
    w = RNG.normal(size=(6, 1, 2, 2))
    y = T.nnet.conv2d(x, theano.shared(w), filter_dilation=(2, 2), num_groups=3)
    wide = np.zeros((6, 1, 3, 3))
    wide[:, :, ::2, ::2] = w
    want = np.concatenate([convolved(X[:, g : g + 1], wide[2 * g : 2 * g + 2], (0, 0)) for g in range(3)], 1)
    np.testing.assert_allclose(y.eval({x: X}), want, atol=1e-12)


def test_older_conv2d_takes_its_arguments():
    x = T.tensor4()
    y = conv.conv2d(
        input=x, filters=theano.shared(W), image_shape=(2, 3.0, None, 6), filter_shape=(4, 3, 3, 2),
        border_mode="full", unroll_batch=2, unroll_kern=4, unroll_patch=True,
    )  # fmt: skip
    np.testing.assert_allclose(y.eval({x: X}), convolved(X, W, (2, 1)), atol=1e-12)


def test_wrong_hints_raise():
    x = T.tensor4()
    y = T.nnet.conv2d(x, theano.shared(W), input_shape=(2, 3, 8, 6))
    with pytest.raises(errors.ShapeError, match="dimension 2 was declared 8 and is 7"):
        y.eval({x: X})
    with pytest.raises(errors.ShapeError, match="channels"):
        T.nnet.conv2d(x, theano.shared(W), input_shape=(2, 5, 7, 6), filter_shape=(4, 3, 3, 2))
    with pytest.raises(errors.ShapeError, match="border_mode"):
        T.nnet.conv2d(x, theano.shared(W), border_mode="same")


def test_flipped_filters_are_read_by_the_kernels():
    x, w = T.tensor4(), theano.shared(W)
    y = T.nnet.conv2d(x, w)
    f = theano.function([x], T.grad(T.sum(y**2), [w, x]))
    f(X)
    assert "reverse" not in f.explain()


def test_gradients_of_convolution_by_name():
    dy = RNG.normal(size=(2, 4, 5, 5))
    x, w = T.tensor4(), T.tensor4()
    y = T.nnet.conv2d(x, w)
    dx, dw = theano.function([x, w], T.grad(T.sum(y * dy), [x, w]))(X, W)
    got = abstract_conv.conv2d_grad_wrt_inputs(dy, W, (2, 3, 7, 6)).eval()
    np.testing.assert_allclose(got, dx, atol=1e-12)
    got = abstract_conv.conv2d_grad_wrt_weights(X, dy, (4, 3, 3, 2)).eval()
    np.testing.assert_allclose(got, dw, atol=1e-12)
    op = abstract_conv.AbstractConv2d_gradInputs(imshp=(2, 3, 7, 6), kshp=W.shape)
    np.testing.assert_allclose(op(W, dy, (7, 6)).eval(), dx, atol=1e-12)


def test_signal_conv2d():
    image, one, many = X[0, 0], W[0, 0], W[:, 0]
    from symconv.theano.tensor.signal.conv import conv2d

    want = convolved(image[None, None], one[None, None], (0, 0))
    np.testing.assert_allclose(conv2d(image, one).eval(), want[0, 0], atol=1e-12)
    want = convolved(X[:, :1], many[:, None], (0, 0))
    np.testing.assert_allclose(conv2d(X[:, 0], many).eval(), want, atol=1e-12)


def pooled(x, window, step, ignore_border, mode, pad=(0, 0)):
    """By the definition, window by window."""
    lowest = -np.inf if mode == "max" else 0.0
    inside = np.pad(np.ones(x.shape[2:]), [(p, p) for p in pad])
    x = np.pad(x, ((0, 0), (0, 0), (pad[0], pad[0]), (pad[1], pad[1])), constant_values=lowest)
    sizes = []
    for n, w, s in zip(x.shape[2:], window, step):
        if ignore_border:
            sizes.append(max((n - w) // s + 1, 0))
        else:
            sizes.append((n - 1) // s + 1 if s >= w else max(0, (n - 1 - w + s) // s) + 1)
    out = np.zeros((*x.shape[:2], *sizes))
    for p, q in np.ndindex(*sizes):
        where = np.s_[..., p * step[0] : p * step[0] + window[0], q * step[1] : q * step[1] + window[1]]
        part, count = x[where], inside[where[1:]]
        total = part.sum((2, 3))
        out[:, :, p, q] = {
            "max": part.max((2, 3)), "sum": total, "average_inc_pad": total / count.size,
            "average_exc_pad": total / max(count.sum(), 1),
        }[mode]  # fmt: skip
    return out


# For images of 7 x 6: window, step, ignore_border, pad.
LARGE_WINDOWS = [
    ((8, 7), (8, 9), False, (0, 0)),
    ((9, 9), (1, 1), False, (0, 0)),
    ((3, 7), (2, 10), False, (0, 0)),
    ((9, 9), (1, 1), True, (0, 0)),
    ((3, 7), (2, 10), True, (0, 0)),
    ((8, 3), (2, 2), True, (0, 1)),
]


@pytest.mark.parametrize("mode", pool.MODES)
@pytest.mark.parametrize(
    "window, step, ignore_border, pad",
    [
        ((2, 2), (2, 2), True, (0, 0)),
        ((2, 2), (2, 2), False, (0, 0)),
        ((3, 2), (1, 3), True, (1, 1)),
        ((3, 3), (2, 1), False, (0, 0)),
        ((2, 2), (3, 3), False, (0, 0)),
        *LARGE_WINDOWS,
    ],
)
def test_pool_2d(mode, window, step, ignore_border, pad):
    x = T.tensor4()
    y = pool.pool_2d(x, window, ignore_border, step, pad, mode)
    want = pooled(X, window, step, ignore_border, mode, pad)
    got = y.eval({x: X})
    assert got.shape == want.shape
    np.testing.assert_allclose(got, want, atol=1e-12)


@pytest.mark.parametrize("ties", ["first", "all"])
@pytest.mark.parametrize("mode", pool.MODES)
@pytest.mark.parametrize("window, step, ignore_border, pad", LARGE_WINDOWS)
def test_gradients_of_pooling_by_windows_larger_than_the_image(mode, window, step, ignore_border, pad, ties):
    """By central differences: exact, as costs are quadratic and the maxima stay where they are."""
    data = np.random.RandomState(4).permutation(X[:1, :1].size).reshape(1, 1, *X.shape[2:]).astype("float64")
    v = np.random.RandomState(5).normal(size=data.shape)
    weights = 1.0 + np.arange(pooled(data, window, step, ignore_border, mode, pad).size)
    with theano.config.change_flags(pool_ties=ties):
        x = T.tensor4()
        y = pool.pool_2d(x, window, ignore_border, step, pad, mode)
        dx = T.grad(T.sum(y.flatten() ** 2 * weights), x)
        f = theano.function([x], [dx, T.grad(T.sum(dx * v), x)])
    want, want_second = np.zeros_like(data), np.zeros_like(data)
    for at in np.ndindex(*data.shape):
        ends, slopes = [], []
        for h in (0.25, -0.25):
            moved = data.copy()
            moved[at] += h
            ends.append(pooled(moved, window, step, ignore_border, mode, pad).ravel() ** 2 @ weights)
            slopes.append(np.sum(f(moved)[0] * v))
        want[at], want_second[at] = (ends[0] - ends[1]) / 0.5, (slopes[0] - slopes[1]) / 0.5
    got, second = f(data)
    np.testing.assert_allclose(got, want, rtol=1e-9, atol=1e-8)
    np.testing.assert_allclose(second, want_second, rtol=1e-9, atol=1e-8)
    assert want.any() == want_second.any() == (weights.size > 0)
    assert "REFERENCE" not in f.explain()


def test_a_static_image_smaller_than_the_window_has_no_outputs():
    y = pool.pool_2d(T.constant(X[..., :1]), (2, 2), True)
    assert y.native.type.shape == (2, 3, 3, 0)
    assert y.eval().shape == (2, 3, 3, 0)
    assert pool.Pool.out_shape((2, 3, 7, 1), (2, 2), True) == [2, 3, 3, 0]


def test_pooling_that_may_be_empty_is_fused_where_it_is_not():
    x, w = T.tensor4(), T.constant(np.ones((1, 3, 2, 2)))
    from symconv.theano.tensor.nnet import conv2d

    f = theano.function([x], T.tanh(pool.pool_2d(conv2d(x, w), (2, 2), True)))
    assert f(X).shape == (2, 1, 3, 2)
    assert "conv_pool" in f.explain() and "empty" not in f.explain()
    assert f(X[:, :, :2]).shape == (2, 1, 0, 2)


@pytest.mark.parametrize("mode", pool.MODES)
@pytest.mark.parametrize("ignore_border", [False, True])
def test_pool_3d_by_windows_larger_than_the_image(mode, ignore_border):
    x = T.tensor3()
    data = X[0]  # [3, 7, 6]; along the second axis the last window is a part of one
    y = pool.pool_3d(x, (4, 3, 7), ignore_border, mode=mode)
    got, dx = theano.function([x], [y, T.grad(T.sum(y), x)])(data)
    if ignore_border:
        assert got.shape == (0, 2, 0) and not dx.any()
        return
    parts = [data[:, i : i + 3] for i in (0, 3, 6)]
    reduce = {"max": np.max, "sum": np.sum}.get(mode, np.mean)
    np.testing.assert_allclose(got[0, :, 0], [reduce(p) for p in parts])
    share = [np.where(p == p.max(), 1, 0) if mode == "max" else np.ones_like(p) for p in parts]
    scale = [1 if mode in ("max", "sum") else p.size for p in parts]
    np.testing.assert_allclose(dx, np.concatenate([s / n for s, n in zip(share, scale)], axis=1))


def test_pooling_of_other_ranks_and_older_names():
    x, m = T.tensor3(), T.matrix()
    want = pooled(X[:1], (2, 2), (2, 2), False, "max")[0]
    np.testing.assert_array_equal(downsample.max_pool_2d(x, ds=(2, 2)).eval({x: X[0]}), want)
    got = pool.pool_2d(m, ds=(2, 2), ignore_border=True, st=(1, 1)).eval({m: X[0, 0]})
    np.testing.assert_array_equal(got, pooled(X[:1, :1], (2, 2), (1, 1), True, "max")[0, 0])
    with pytest.warns(UserWarning, match="ignore_border"):
        pool.pool_2d(m, (2, 2))
    with pytest.raises(errors.ArgumentError, match="ignore_border=True"):
        pool.pool_2d(x, (2, 2), False, pad=(1, 1))


@pytest.mark.parametrize("ties", ["first", "all"])
def test_pool_gradient_at_ties(ties):
    x = T.tensor4()
    image = np.array([[[[1.0, 1.0, 0.0], [0.0, 1.0, 2.0], [5.0, 3.0, 2.0]]]])
    with theano.config.change_flags(pool_ties=ties):
        y = pool.pool_2d(x, (2, 2), ignore_border=False)
        got = T.grad(T.sum(y * np.array([[1.0, 10.0], [100.0, 1000.0]])), x).eval({x: image})
    first = [[1, 0, 0], [0, 0, 10], [100, 0, 1000]]
    every = [[1, 1, 0], [0, 1, 10], [100, 0, 1000]]
    np.testing.assert_array_equal(got[0, 0], first if ties == "first" else every)


def test_pool_gradients_where_every_tie_counts():
    with theano.config.change_flags(pool_ties="all"):
        T.verify_grad(lambda x: pool.pool_2d(x, (3, 2), True, (2, 1), (1, 0)) ** 2, [X[:1]], n_tests=1)
        x = T.tensor4()
        (dx,) = T.grad(T.sum(pool.pool_2d(x, (2, 2), True) ** 3), [x])
        second = T.grad(T.sum(dx * np.arange(42.0).reshape(7, 6)), x)  # by the adjoint of the gradient
        f = theano.function([x], [dx, second])
        f(X)
        assert "every_tie_grad" in f.explain() and "every_tie_pick" in f.explain()
        assert "REFERENCE" not in f.explain()
        y = pooled(X, (2, 2), (2, 2), True, "max")
        hit = X[:, :, :6, :6] == y.repeat(2, 2).repeat(2, 3)
        want = hit * 6 * X[:, :, :6, :6] * np.arange(42.0).reshape(7, 6)[:6, :6]
        np.testing.assert_allclose(second.eval({x: X})[:, :, :6, :6], want, atol=1e-9)


@pytest.mark.parametrize("ties", ["first", "all"])
@pytest.mark.parametrize(
    "window, partial, step, pad",
    [((2, 2), False, (2, 2), (0, 0)), ((2, 2), True, (2, 2), (0, 0)), ((3, 2), False, (2, 1), (1, 0))],
)
def test_kernels_of_pool_gradients_agree_with_the_reference(ties, window, partial, step, pad):
    x = T.tensor4()
    data = np.random.RandomState(2).randint(0, 3, (2, 3, 7, 5)).astype("float64")
    with theano.config.change_flags(pool_ties=ties):
        y = pool.pool_2d(x, window, not partial, step, pad)
    (dx,) = T.grad(T.sum(y**2), [x])
    second = T.grad(T.sum(dx * np.arange(35.0).reshape(7, 5)), x)
    got = theano.function([x], [y, dx, second])(data)
    with sc.config(device="reference"):
        want = theano.function([x], [y, dx, second])(data)
    for a, b in zip(got, want):
        np.testing.assert_allclose(a, b)


def convolved_3d(x, w, pads, step, dilation):
    """By the definition, with filters that are flipped here."""
    x = np.pad(x, [(0, 0), (0, 0), *((p, p) for p in pads)])
    w = w[:, :, ::-1, ::-1, ::-1]
    sizes = [(n - d * (k - 1) - 1) // s + 1 for n, k, s, d in zip(x.shape[2:], w.shape[2:], step, dilation)]
    y = np.zeros((len(x), len(w), *sizes))
    for at in np.ndindex(*sizes):
        where = tuple(
            slice(i * s, i * s + d * (k - 1) + 1, d) for i, s, d, k in zip(at, step, dilation, w.shape[2:])
        )
        y[(slice(None), slice(None), *at)] = np.einsum("nctij,kctij->nk", x[(..., *where)], w)
    return y


@pytest.mark.parametrize(
    "mode, step, dilation",
    [("valid", (1, 1, 1), (1, 1, 1)), ("full", (2, 1, 1), (1, 1, 1)), ("half", 1, (2, 1, 2)), (1, 2, 1)],
)
def test_conv3d(mode, step, dilation):
    rng = np.random.RandomState(4)
    x, w = rng.normal(size=(2, 3, 6, 7, 5)), rng.normal(size=(4, 3, 2, 3, 2))
    steps, gaps = ((v,) * 3 if isinstance(v, int) else v for v in (step, dilation))
    extent = [d * (k - 1) + 1 for d, k in zip(gaps, w.shape[2:])]
    pads = {"valid": [0] * 3, "full": [e - 1 for e in extent], "half": [e // 2 for e in extent]}.get(
        mode, [1] * 3
    )
    v = T.tensor5()
    y = T.nnet.conv3d(v, theano.shared(w), border_mode=mode, subsample=step, filter_dilation=dilation)
    np.testing.assert_allclose(y.eval({v: x}), convolved_3d(x, w, pads, steps, gaps), atol=1e-10)


def test_conv3d_gradient_and_the_older_order_of_axes():
    rng = np.random.RandomState(4)
    x, w = rng.normal(size=(1, 2, 3, 4, 3)), rng.normal(size=(2, 2, 2, 2, 2))
    T.verify_grad(lambda a, b: T.nnet.conv3d(a, b, filter_shape=w.shape), [x, w], n_tests=1)
    signals = T.tensor5()
    y = T.nnet.conv3d2d.conv3d(signals, theano.shared(w.transpose(0, 2, 1, 3, 4).copy()))
    want = convolved_3d(x, w, (0,) * 3, (1,) * 3, (1,) * 3)
    np.testing.assert_allclose(
        y.eval({signals: x.transpose(0, 2, 1, 3, 4)}), want.transpose(0, 2, 1, 3, 4), atol=1e-10
    )


@pytest.mark.parametrize("mode", pool.MODES)
@pytest.mark.parametrize("ignore_border", [True, False])
def test_pool_3d(mode, ignore_border):
    x = np.random.RandomState(1).normal(size=(2, 3, 5, 7, 5))
    v = T.tensor5()
    y = pool.pool_3d(v, (2, 3, 2), ignore_border, mode=mode).eval({v: x})
    want = np.zeros_like(y)
    for at in np.ndindex(*y.shape[2:]):
        where = tuple(slice(i * k, (i + 1) * k) for i, k in zip(at, (2, 3, 2)))
        part = x[(..., *where)]
        done = {"max": part.max, "sum": part.sum}.get(mode, part.mean)
        want[(..., *at)] = done((2, 3, 4))
    assert y.shape[2:] == ((2, 2, 2) if ignore_border else (3, 3, 3))
    np.testing.assert_allclose(y, want, atol=1e-12)
