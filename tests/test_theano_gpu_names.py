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
    with pytest.raises(AttributeError, match="(?s)GpuDnnRNNOp.*hint"):
        dnn.GpuDnnRNNOp  # noqa: B018
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


def test_transposed_convolutions_of_the_first_convolutional_gans():
    """A generator's layer, as programs wrote it with theano.sandbox.cuda's classes."""
    x, w = T.dtensor4("x"), theano.shared(RNG.normal(size=(3, 2, 5, 5)))
    img, kerns = cuda.basic_ops.gpu_contiguous(x), cuda.basic_ops.gpu_contiguous(w)
    desc = old_dnn.GpuDnnConvDesc(border_mode=(2, 2), subsample=(2, 2), conv_mode="conv")
    shape = img.shape[0], kerns.shape[1], img.shape[2] * 2, img.shape[3] * 2
    with theano.config.change_flags(floatX="float64"):
        out = cuda.basic_ops.gpu_alloc_empty(*shape)
    d_img = old_dnn.GpuDnnConvGradI()(kerns, img, out, desc(out.shape, kerns.shape))
    same = T.nnet.abstract_conv.conv2d_grad_wrt_inputs(
        x, w, (None, None, x.shape[2] * 2, x.shape[3] * 2), border_mode=(2, 2), subsample=(2, 2)
    )
    f = theano.function([x], [d_img, same, T.grad((d_img**2).sum(), w), T.grad((same**2).sum(), w)])
    got, expected, dw, same_dw = f(RNG.normal(size=(2, 3, 4, 3)))
    assert got.shape == (2, 2, 8, 6)
    np.testing.assert_array_equal(got, expected)
    np.testing.assert_array_equal(dw, same_dw)


def test_the_other_convolution_ops_as_classes():
    x, w = T.dtensor4("x"), T.dtensor4("w")
    desc = dnn.GpuDnnConvDesc("valid", (1, 1), (1, 1), "cross")(w.shape)
    y = dnn.dnn_conv(x, w, conv_mode="cross")
    assert dnn.GpuDnnConv(algo="small")(x, w, x, desc) is y
    by_class = dnn.GpuDnnConvGradW()(x, 2 * y, w, desc)
    f = theano.function([x, w], [by_class, T.grad((y**2).sum(), w)])
    got, expected = f(X, W)
    np.testing.assert_allclose(got, expected, rtol=1e-10)
    with pytest.raises(errors.ArgumentError, match="alpha"):
        dnn.GpuDnnConv()(x, w, x, desc, 2.0)
    with pytest.raises(errors.ArgumentError, match="GpuDnnConvDesc"):
        dnn.GpuDnnConv()(x, w, x, None)
    with pytest.raises(errors.ArgumentError, match="conv_mode"):
        dnn.GpuDnnConvDesc("valid", conv_mode="flip")
    assert basic_ops.HostFromGpu()(x) is x and basic_ops.gpu_alloc(1.0, 2, 3).eval().sum() == 6
