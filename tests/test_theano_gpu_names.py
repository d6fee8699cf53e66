"""The names of Theano's GPU parts: programs that ask for a GPU, or call cuDNN by name, run on any device."""

from __future__ import annotations

import numpy as np
import pytest

import symconv.theano as theano
import symconv.theano.tensor as T
from symconv import errors
from symconv.theano.gpuarray import basic_ops, dnn
from symconv.theano.sandbox import cuda
from symconv.theano.sandbox.cuda import dnn as old_dnn
from symconv.theano.tensor.signal import pool

RNG = np.random.default_rng(7)
X, W = RNG.normal(size=(2, 3, 7, 6)), RNG.normal(size=(4, 3, 3, 2))


def test_programs_without_a_gpu_are_told_so():
    assert cuda.cuda_available is False and cuda.cuda_enabled is False
    assert dnn.dnn_available() is False and old_dnn.dnn_available("dev0") is False
    assert "no GPU" in dnn.dnn_available.msg
    with pytest.raises(AttributeError, match="(?s)GpuDnnConv.*hint"):
        dnn.GpuDnnConv  # noqa: B018
    x = T.dmatrix("x")
    assert basic_ops.host_from_gpu(basic_ops.gpu_contiguous(x)) is x
    assert theano.gpuarray.dnn is dnn and theano.sandbox.cuda is cuda


def test_use_sets_the_device():
    with theano.config.change_flags(device="cpu"):
        cuda.use("cpu")
        assert theano.config.device == "cpu"
        with pytest.raises((errors.DeviceError, ValueError)):
            theano.gpuarray.use("gpu17x")


@pytest.mark.parametrize("conv_mode", ["conv", "cross"])
@pytest.mark.parametrize(
    ("border", "subsample", "dilation"),
    [("valid", (1, 1), (1, 1)), ("full", (1, 1), (1, 1)), ((1, 0), (2, 1), (1, 1)), ("half", (1, 1), (2, 2))],
)
def test_dnn_conv_and_its_gradients(conv_mode, border, subsample, dilation):
    x, w = T.dtensor4("x"), T.dtensor4("w")
    y = dnn.dnn_conv(x, w, border, subsample, dilation, conv_mode)
    same = T.nnet.conv2d(
        x,
        w,
        border_mode=border,
        subsample=subsample,
        filter_dilation=dilation,
        filter_flip=conv_mode == "conv",
    )
    f = theano.function([x, w], [y, same, *T.grad((y**2).sum(), [x, w])])
    out, expected, dx, dw = f(X, W)
    assert (out == expected).all()
    dy = 2 * out
    options = {"border_mode": border, "subsample": subsample, "dilation": dilation, "conv_mode": conv_mode}
    np.testing.assert_allclose(dnn.dnn_gradinput(W, dy, X.shape, **options).eval(), dx, rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(dnn.dnn_gradweight(X, dy, W.shape, **options).eval(), dw, rtol=1e-9, atol=1e-9)
    if dilation == (1, 1):
        old = old_dnn.dnn_conv(x, w, border, subsample, conv_mode)
        assert (old.eval({x: X, w: W}) == expected).all()


def test_dnn_conv3d_and_wrong_modes():
    x, w = RNG.normal(size=(2, 2, 4, 5, 4)), RNG.normal(size=(3, 2, 2, 3, 2))
    expected = T.nnet.conv3d(T.constant(x), T.constant(w), filter_flip=False).eval()
    assert (dnn.dnn_conv3d(T.constant(x), T.constant(w), conv_mode="cross").eval() == expected).all()
    with pytest.raises(ValueError, match="'conv' or 'cross'"):
        dnn.dnn_conv(T.dtensor4(), T.dtensor4(), conv_mode="flip")


@pytest.mark.parametrize("mode", ["max", "max_deterministic", "average_inc_pad", "average_exc_pad", "sum"])
def test_dnn_pool(mode):
    x = T.dtensor4("x")
    plain = "max" if mode == "max_deterministic" else mode
    for stride, pad in ((None, None), ((2, 1), (1, 0))):
        expected = pool.pool_2d(x, (2, 3), True, stride or (1, 1), pad or (0, 0), plain)
        y = dnn.dnn_pool(x, (2, 3), stride, mode, pad)
        a, b = theano.function([x], [y, expected])(X)
        assert (a == b).all()
    volumes = T.TensorType("float64", [False] * 5)("v")
    v = RNG.normal(size=(1, 2, 4, 4, 4))
    assert dnn.dnn_pool(volumes, (2, 2, 2), mode=mode).eval({volumes: v}).shape == (1, 2, 3, 3, 3)


def test_dnn_batch_normalisation():
    x = T.dtensor4("x")
    gamma, beta = RNG.normal(size=(1, 3, 1, 1)), RNG.normal(size=(1, 3, 1, 1))
    out, mean, _ = dnn.dnn_batch_normalization_train(x, gamma, beta, "spatial")
    m, v = X.mean((0, 2, 3), keepdims=True), X.var((0, 2, 3), keepdims=True)
    expected = (X - m) / np.sqrt(v + 1e-4) * gamma + beta
    np.testing.assert_allclose(out.eval({x: X}), expected)
    np.testing.assert_allclose(mean.eval({x: X}), m)
    tested = dnn.dnn_batch_normalization_test(x, gamma, beta, m, v, "spatial")
    np.testing.assert_allclose(tested.eval({x: X}), expected)
