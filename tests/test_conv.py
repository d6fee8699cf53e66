"""conv2d, conv_transpose2d and pooling: shapes, paddings, and the errors for operands that do not fit."""

from __future__ import annotations

import re

import numpy as np
import pytest

import symconv as sc
from symconv.errors import DTypeError, ShapeError
from symconv.ops.conv import Conv2d
from symconv.ops.conv_pool import ConvPool, ConvPoolGrad
from symconv.ops.window import conv_output_size, normalize_padding

f32 = lambda *shape: sc.tensor("float32", shape)  # noqa: E731


@pytest.mark.parametrize("size", range(1, 9))
@pytest.mark.parametrize("window", [1, 2, 3])
@pytest.mark.parametrize("stride", [1, 2, 5])
@pytest.mark.parametrize("dilation", [1, 2])
def test_conv_output_size_counts_windows(size: int, window: int, stride: int, dilation: int) -> None:
    for before, after in ((0, 0), (1, 0), (2, 3)):
        extent = dilation * (window - 1) + 1
        starts = range(-before, size + after - extent + 1, stride)
        if len(starts):
            assert conv_output_size(size, window, stride, before, after, dilation) == len(starts)
        else:
            assert conv_output_size(size, window, stride, before, after, dilation) <= 0


@pytest.mark.parametrize(
    "padding, expected",
    [
        (0, (0, 0, 0, 0)),
        (2, (2, 2, 2, 2)),
        ((1, 2), (1, 1, 2, 2)),
        ((1, 2, 3, 4), (1, 2, 3, 4)),
        ("valid", (0, 0, 0, 0)),
        ("full", (4, 4, 3, 3)),
        ("half", (2, 2, 2, 2)),
        ("same", (2, 2, 1, 2)),
    ],
)
def test_padding_forms(padding: object, expected: tuple[int, ...]) -> None:
    assert normalize_padding(padding, (5, 4), "padding") == expected


@pytest.mark.parametrize("stride", [1, 2, 3])
@pytest.mark.parametrize("window", [1, 2, 3, 4])
def test_same_padding_rounds_up(stride: int, window: int) -> None:
    for size in range(1, 10):
        y = sc.conv2d(f32(1, 1, size, size), f32(1, 1, window, window), stride=stride, padding="same")
        assert y.type.shape == (1, 1, -(-size // stride), -(-size // stride))


def test_conv2d_unknown_dims() -> None:
    y = sc.conv2d(f32(None, 3, None, 7), f32(5, 3, 3, 3))
    assert y.type.shape == (None, 5, None, 5)
    assert sc.conv_transpose2d(f32(None, 5, 4, None), f32(5, 3, 3, 3)).type.shape == (None, 3, 6, None)
    assert sc.max_pool2d(f32(None, 3, None, 7), 2).type.shape == (None, 3, None, 3)
    assert sc.global_avg_pool2d(f32(None, 3, None, None)).type.shape == (None, 3, 1, 1)


def test_conv2d_is_cross_correlation() -> None:
    x = np.arange(9, dtype="float32").reshape(1, 1, 3, 3)
    w = np.array([[1, 0], [0, 0]], "float32").reshape(1, 1, 2, 2)
    assert sc.conv2d(x, w).eval().tolist() == [[[[0, 1], [3, 4]]]]


def test_gradient_shapes() -> None:
    x, w = f32(2, 3, 9, 8), f32(4, 3, 3, 2)
    y = sc.conv2d(x, w, stride=2)
    gx, gw = sc.grad(sc.mean(y), [x, w])
    assert gx.type == x.type and gw.type == w.type


ERRORS = {
    "rank_of_x": (lambda: sc.conv2d(f32(3, 5, 5), f32(4, 3, 3, 3)), "conv2d: x has 3 dimensions, expected 4"),
    "rank_of_w": (lambda: sc.conv2d(f32(1, 3, 5, 5), f32(3, 3)), "conv2d: w has 2 dimensions, expected 4"),
    "channels": (
        lambda: sc.conv2d(f32(8, 3, 32, 32), f32(16, 4, 3, 3)),
        "conv2d: x has 3 channels, w expects 4",
    ),
    "grouped_channels": (
        lambda: sc.conv2d(f32(1, 6, 5, 5), f32(4, 2, 3, 3), groups=2),
        "x has 6 channels, w expects 4",
    ),
    "groups_of_inputs": (
        lambda: sc.conv2d(f32(1, 5, 5, 5), f32(4, 2, 3, 3), groups=2),
        "5 input channels do not divide into 2 groups",
    ),
    "groups_of_outputs": (
        lambda: sc.conv2d(f32(1, 4, 5, 5), f32(5, 2, 3, 3), groups=2),
        "5 output channels do not divide into 2 groups",
    ),
    "window_too_large": (
        lambda: sc.conv2d(f32(1, 1, 5, 5), f32(1, 1, 7, 3)),
        "a window of height 7 does not fit into the padded input of height 5",
    ),
    "dilated_window_too_large": (
        lambda: sc.conv2d(f32(1, 1, 5, 5), f32(1, 1, 3, 3), dilation=(1, 3), padding=(0, 0, 1, 0)),
        "a window of width 7 does not fit into the padded input of width 6",
    ),
    "empty_window": (lambda: sc.conv2d(f32(1, 1, 5, 5), f32(1, 1, 0, 3)), "the window 0x3 has no elements"),
    "stride": (
        lambda: sc.conv2d(f32(1, 1, 5, 5), f32(1, 1, 3, 3), stride=-1),
        "conv2d: stride must be a positive",
    ),
    "stride_zero": (
        lambda: sc.conv2d(f32(1, 1, 5, 5), f32(1, 1, 3, 3), stride=(1, 0)),
        "stride must be a positive",
    ),
    "dilation": (
        lambda: sc.conv2d(f32(1, 1, 5, 5), f32(1, 1, 3, 3), dilation=0),
        "dilation must be a positive",
    ),
    "groups": (
        lambda: sc.conv2d(f32(1, 1, 5, 5), f32(1, 1, 3, 3), groups=0),
        "groups must be a positive integer",
    ),
    "padding": (
        lambda: sc.conv2d(f32(1, 1, 5, 5), f32(1, 1, 3, 3), padding=-1),
        "padding must be a non-negative",
    ),
    "padding_word": (
        lambda: sc.conv2d(f32(1, 1, 5, 5), f32(1, 1, 3, 3), padding="whole"),
        "valid, same, full, half",
    ),
    "padding_of_unknown": (
        lambda: sc.conv2d(f32(1, 1, 5, 5), f32(1, 1, None, 3), padding="same"),
        "needs a window of known height",
    ),
    "transpose_channels": (
        lambda: sc.conv_transpose2d(f32(1, 3, 5, 5), f32(4, 2, 3, 3)),
        "conv2d_dgrad: dy has 3 channels, w expects 4",
    ),
    "transpose_padding": (
        lambda: sc.conv_transpose2d(f32(1, 3, 1, 1), f32(3, 2, 3, 3), padding=2),
        "the output size",
    ),
    "transpose_output_padding": (
        lambda: sc.conv_transpose2d(f32(1, 3, 5, 5), f32(3, 2, 3, 3), stride=2, output_padding=2),
        "output_padding 2 must be smaller than stride 2",
    ),
    "pool_rank": (lambda: sc.max_pool2d(f32(5, 5), 2), "max_pool2d: x has 2 dimensions, expected 4"),
    "pool_window": (
        lambda: sc.max_pool2d(f32(1, 1, 3, 5), 4),
        "a window of height 4 does not fit into the padded input of height 3",
    ),
    "pool_zero_window": (lambda: sc.avg_pool2d(f32(1, 1, 3, 5), 0), "avg_pool2d: window must be a positive"),
    "pool_stride": (
        lambda: sc.l2_pool2d(f32(1, 1, 3, 5), 2, stride=0),
        "l2_pool2d: stride must be a positive",
    ),
    "pool_padding": (lambda: sc.max_pool2d(f32(1, 1, 3, 5), 2, padding=2), "must be smaller than the window"),
    "pool_empty": (lambda: sc.global_max_pool2d(f32(1, 1, 0, 5)), "nothing to pool in an image of 0x5"),
    "lp": (lambda: sc.lp_pool2d(f32(1, 1, 4, 4), 0.5, 2), "p must be a finite number of at least 1"),
    "conv_pool_window": (
        lambda: ConvPool((16, 16))(f32(1, 1, 40, 40), f32(2, 1, 3, 3), f32(2)),
        "more than 255 elements",
    ),
    "conv_pool_bias": (lambda: ConvPool((2, 2))(f32(1, 1, 9, 9), f32(2, 1, 3, 3), f32(3)), "b must be [2]"),
    "conv_pool_activation": (
        lambda: ConvPool((2, 2), activation="softmax")(f32(1, 1, 9, 9), f32(2, 1, 3, 3), f32(2)),
        "activation must be one of linear, relu, sigmoid, tanh",
    ),
    "conv_pool_small": (
        lambda: ConvPool((4, 2))(f32(1, 1, 5, 9), f32(2, 1, 3, 3), f32(2)),
        "a pooling window (4, 2) does not fit",
    ),
    "conv_pool_grad_argmax": (
        lambda: ConvPoolGrad((2, 2))(
            f32(1, 1, 9, 9),
            f32(2, 1, 3, 3),
            f32(1, 2, 3, 3),
            sc.tensor("int32", (1, 2, 3, 3)),
            f32(1, 2, 3, 3),
        ),
        "argmax must be uint8[1, 2, 3, 3]",
    ),
}


@pytest.mark.parametrize("name", ERRORS)
def test_bad_operands_raise(name: str) -> None:
    build, message = ERRORS[name]
    with pytest.raises(ShapeError, match=re.escape(message)):
        build()


def test_error_names_operands_and_lines() -> None:
    x, w = f32(8, 3, 32, 32), f32(16, 4, 3, 3)
    with pytest.raises(ShapeError) as caught:
        sc.conv2d(x, w)
    text = str(caught.value)
    assert "x float32[8, 3, 32, 32]" in text and "w float32[16, 4, 3, 3]" in text
    assert (
        text.count("test_conv.py:") >= 3 and "groups=1" in text and "hint: w is [K, C/groups, R, S]" in text
    )


def test_conv2d_of_integers_raises() -> None:
    with pytest.raises(DTypeError, match="float32 or float64"):
        sc.conv2d(sc.tensor("int32", (1, 1, 5, 5)), sc.tensor("int32", (1, 1, 3, 3)))


def test_conv2d_promotes_integers_beside_floats() -> None:
    assert sc.conv2d(sc.tensor("uint8", (1, 1, 5, 5)), f32(1, 1, 3, 3)).dtype == "float32"


def test_shape_conflict_at_call_time() -> None:
    x, w = sc.tensor4("x"), sc.tensor4("w")
    f = sc.function([x, w], sc.conv2d(x, w))
    with pytest.raises(ShapeError, match="x has 3 channels, w expects 2"):
        f(np.zeros((1, 3, 5, 5), "float32"), np.zeros((1, 2, 3, 3), "float32"))


def test_l2_pool_gradient_of_zeros() -> None:
    x = sc.tensor4("x")
    (g,) = sc.grad(sc.sum(sc.l2_pool2d(x, 2)), [x])
    value = np.zeros((1, 1, 4, 4), "float32")
    value[0, 0, 0, 0] = -3
    assert sc.function([x], g)(value).tolist() == [[[[-1, 0, 0, 0], [0] * 4, [0] * 4, [0] * 4]]]


def test_max_pool_gradient_goes_to_first_maximum() -> None:
    x = sc.tensor4("x")
    (g,) = sc.grad(sc.sum(sc.max_pool2d(x, 2)), [x])
    assert sc.function([x], g)(np.ones((1, 1, 2, 4), "float32")).tolist() == [[[[1, 0, 1, 0], [0, 0, 0, 0]]]]


def test_flops_of_convolution() -> None:
    node = Conv2d()(f32(10, 1, 28, 28), f32(20, 1, 5, 5)).owner
    assert node is not None and node.op.flops(node) == 2 * 10 * 24 * 24 * 20 * 25


def test_flipped_windows_are_reversed_along_both_axes() -> None:
    rng = np.random.default_rng(0)
    x, w = rng.standard_normal((2, 4, 9, 8)), rng.standard_normal((6, 2, 3, 2))
    options = {"stride": (2, 1), "padding": (1, 0, 2, 3), "dilation": (1, 2), "groups": 2}
    y = sc.conv2d(x, w, flip=True, **options)
    np.testing.assert_array_equal(y.eval(), sc.conv2d(x, w[:, :, ::-1, ::-1].copy(), **options).eval())
    assert y.owner.op.name == "conv2d"
    v = sc.tensor("float64", w.shape)
    dw, reversed_dw = (
        sc.grad(sc.sum(sc.conv2d(x, u, flip=flip, **options) ** 2), v)
        for u, flip in ((v, True), (sc.flip(v, (2, 3)), False))
    )
    f = sc.function([v], [dw, reversed_dw])
    np.testing.assert_allclose(*f(w), rtol=1e-12)
    wide = sc.conv_transpose2d(y, w, flip=True, **options)
    plain = sc.conv_transpose2d(y, w[:, :, ::-1, ::-1].copy(), **options)
    np.testing.assert_array_equal(wide.eval(), plain.eval())
