"""Winograd's transforms by themselves: the tolerance kept, where a NaN spreads to, what is refused."""

from __future__ import annotations

import numpy as np
import pytest
from conv_runs import dims, named, node_of, run

import symconv as sc
from kernels import oracle
from symconv.ops.conv import Conv2d, Conv2dDgrad, Conv2dWgrad
from symconv.ops.conv_pool import ConvPool, ConvPoolGrad
from symconv.testing import assert_close

core = pytest.importorskip("symconv._core")

pytest_plugins = ["core_fixtures"]


# x, w, window, padding: the layer of the book; tiles that overhang on two sides; more output channels than a
# block holds, more tiles than a chunk, no pooling.
WINOGRAD = {
    "book_second": ((3, 20, 12, 12), (40, 20, 5, 5), (2, 2), (0, 0, 0, 0)),
    "overhang": ((2, 9, 17, 23), (13, 9, 5, 5), (2, 2), (1, 1, 1, 1)),
    "uneven_padding": ((1, 8, 14, 15), (8, 8, 5, 5), (4, 1), (0, 3, 2, 1)),
    "wide_padding": ((2, 11, 9, 7), (50, 11, 5, 5), (1, 2), (6, 2, 5, 7)),
    "large": ((3, 33, 31, 37), (90, 33, 5, 5), (1, 1), (2, 2, 2, 2)),
    "no_images": ((0, 8, 12, 12), (8, 8, 5, 5), (2, 2), (0, 0, 0, 0)),
    "small_windows": ((3, 20, 10, 10), (64, 20, 3, 3), (2, 2), (0, 0, 0, 0)),
    "small_windows_overhang": ((2, 9, 17, 23), (13, 9, 3, 3), (2, 2), (1, 1, 1, 1)),
    "small_windows_uneven_padding": ((1, 8, 14, 15), (8, 8, 3, 3), (4, 1), (0, 3, 2, 1)),
    "small_windows_wide_padding": ((2, 11, 9, 7), (50, 11, 3, 3), (1, 2), (6, 2, 5, 7)),
    "small_windows_large": ((3, 33, 31, 37), (90, 33, 3, 3), (1, 1), (1, 1, 1, 1)),
    "small_windows_no_images": ((0, 8, 12, 12), (8, 8, 3, 3), (2, 2), (0, 0, 0, 0)),
}


Pooled = tuple[tuple[int, ...], tuple[int, ...], tuple[int, int], tuple[int, int, int, int]]


def check_conv_pool(kernel: str, case: Pooled, flip: bool, activation: str = "linear") -> None:
    """Within the tolerance of the case table; each place holds, to that tolerance, the maximum."""
    x_shape, w_shape, window, padding = case
    rng = np.random.default_rng(9)
    x, w, b = (rng.standard_normal(s).astype("float32") for s in (x_shape, w_shape, w_shape[:1]))
    op = ConvPool(window, padding, activation, flip=flip)
    node = node_of(op, (x, w, b))
    y, argmax = run(node, named(op, kernel), (x, w, b))
    want, _ = oracle(op, x, w, b)
    rtol = 16 * float(np.finfo("float32").eps) * float(np.sqrt(np.prod(w_shape[1:])))
    atol = rtol * float(np.sqrt(np.mean(want**2))) if want.size else 0.0
    assert_close(y, want, rtol, atol)
    full = oracle(op.conv, x, w)[0]
    rows, cols = np.divmod(argmax.astype(int), window[1])
    rows += np.arange(y.shape[2])[:, None] * window[0]
    cols += np.arange(y.shape[3]) * window[1]
    n, k = np.ogrid[: y.shape[0], : y.shape[1]]
    picked = full[n[..., None, None], k[..., None, None], rows, cols] + b[:, None, None]
    if activation == "relu":
        picked = np.maximum(picked, 0)
    assert_close(picked, want, rtol, atol)


@pytest.mark.parametrize("flip", [False, True])
@pytest.mark.parametrize("name", WINOGRAD)
def test_winograd_conv_pool(name: str, flip: bool, isa: str, threads: int) -> None:
    check_conv_pool("winograd_conv_pool", WINOGRAD[name], flip)


@pytest.mark.parametrize("size", [3, 5])
def test_winograd_keeps_nan(size: int, isa: str) -> None:
    """It spreads over its tile of 4 x 4 outputs at most."""
    rng = np.random.default_rng(3)
    shapes = ((2, 8, 19 + size, 19 + size), (9, 8, size, size), (9,))
    x, w, b = (rng.standard_normal(s).astype("float32") for s in shapes)
    x[0, 3, 9, 9] = x[1, 0, 18 + size, 1] = np.nan
    op = ConvPool((2, 2), activation="relu")
    arrays = (x, w, b)
    got, want = run(node_of(op, arrays), named(op, "winograd_conv_pool"), arrays)[0], op.reference(*arrays)[0]
    tiles = np.isnan(want).reshape(2, 9, 5, 2, 5, 2).any(axis=(3, 5)).repeat(2, axis=2).repeat(2, axis=3)
    assert np.isnan(want).any() and not tiles.all()
    assert np.isnan(got[np.isnan(want)]).all() and np.isfinite(got[~tiles]).all()


@pytest.mark.parametrize("size", [3, 5])
def test_winograd_ties_go_to_the_first(size: int, isa: str) -> None:
    """Over flat parts of an image all outputs are equal, and the transforms round each in its own way."""
    rng = np.random.default_rng(3)
    x = np.repeat(rng.random((2, 20, 1, 1)), 144, axis=2).reshape(2, 20, 12, 12).astype("float32")
    w, b = rng.random((40, 20, size, size)).astype("float32"), np.zeros(40, "float32")
    op = ConvPool((2, 2))
    node = node_of(op, (x, w, b))
    kernel = next(k for k in op.kernels if k.name == "winograd_conv_pool")
    y, argmax = run(node, kernel, (x, w, b))
    assert not argmax.any()
    x[0, 3, 5, 5] = np.nan
    y, argmax = run(node, kernel, (x, w, b))
    assert np.isnan(y[0]).any() and not argmax[1].any() and np.isfinite(y[1]).all()


def test_winograd_refusals(rules_of) -> None:
    def refusal(
        x: tuple[int, ...], w: tuple[int, ...], window: tuple[int, int] = (2, 2), dtype: str = "float32"
    ) -> str:
        node = ConvPool(window)(*(sc.tensor(dtype, s) for s in (x, w, w[:1])))[0].owner
        return ConvPool.kernels[0].supports(node) or ""

    rules_of("avx2")
    book = ((10, 20, 12, 12), (40, 20, 5, 5))
    assert refusal(*book) == ""
    assert refusal(*book, dtype="float64") == "dtype float64, needs float32"
    assert refusal((10, 1, 28, 28), (4, 1, 5, 5)) == "winograd_columns_conv_pool is estimated faster"
    assert refusal((1, 8, 12, 12), (8, 8, 4, 5)) == "windows of 4x5, needs 3x3 or 5x5"
    assert refusal(*book, window=(3, 3)) == "pooling windows of (3, 3) do not divide tiles of 4x4"
    assert refusal((1, 8, 5, 12), (8, 8, 5, 5), (1, 1)) == "direct_conv_pool is estimated faster"
    assert refusal((10, 64, 10, 10), (64, 64, 3, 3)) == ""
    assert refusal((1, 8, 4, 4), (8, 8, 3, 3)) == "direct_conv_pool is estimated faster"
    with sc.config(winograd=False):
        assert refusal(*book) == "config.winograd is off"


GRADS = [name for name, (_, w, _, _) in WINOGRAD.items() if w[2] == 3]


@pytest.mark.parametrize("need_dx", [True, False])
@pytest.mark.parametrize(
    "activation, flip", [("linear", False), ("relu", True), ("sigmoid", False), ("tanh", True)]
)
@pytest.mark.parametrize("name", GRADS)
def test_winograd_conv_pool_grad(
    name: str, activation: str, flip: bool, need_dx: bool, isa: str, threads: int
) -> None:
    """Within the tolerance of the case table; db, sums in another order alone, is that of the walk."""
    x_shape, w_shape, window, padding = WINOGRAD[name]
    rng = np.random.default_rng(9)
    x, w = (rng.standard_normal(s).astype("float32") for s in (x_shape, w_shape))
    tensors = (sc.tensor("float32", shape) for shape in (x_shape, w_shape, w_shape[:1]))
    pooled = tuple(d or 0 for d in ConvPool(window, padding)(*tensors)[0].type.shape)
    y, dy = (rng.uniform(-1, 1, pooled).astype("float32") for _ in range(2))
    argmax = rng.integers(0, window[0] * window[1], pooled).astype("uint8")
    op = ConvPoolGrad(window, padding, activation, flip, need_dx=need_dx)
    arrays = (x, w, y, argmax, dy)
    got = run(node_of(op, arrays), named(op, "winograd_conv_pool_grad"), arrays)
    terms = [w_shape[0] * 9, np.prod(pooled) // max(pooled[1], 1), np.prod(pooled) // max(pooled[1], 1)]
    for value, want, n in zip(got, oracle(op, *arrays), terms[not need_dx :], strict=True):
        rtol = 16 * float(np.finfo("float32").eps) * float(np.sqrt(max(n, 1)))
        atol = rtol * float(np.sqrt(np.mean(want**2))) if want.size else 0.0
        assert_close(value, want, rtol, atol)


def test_winograd_conv_pool_grad_takes_places_beyond_the_window(isa: str) -> None:
    """They lie in it, as for the walk."""
    rng = np.random.default_rng(4)
    x, w = (rng.standard_normal(s).astype("float32") for s in ((2, 8, 6, 6), (8, 8, 3, 3)))
    y = rng.uniform(-1, 1, (2, 8, 2, 2)).astype("float32")
    argmax = rng.integers(0, 256, y.shape).astype("uint8")
    op = ConvPoolGrad((2, 2))
    arrays = (x, w, y, argmax, y)
    node = node_of(op, arrays)
    for got, want in zip(
        *(run(node, named(op, k), arrays) for k in ("winograd_conv_pool_grad", "argmax_walk"))
    ):
        assert_close(got, want, 1e-5, 1e-5)


def test_winograd_conv_pool_grad_refusals() -> None:
    def refusal(
        x: tuple[int, ...], w: tuple[int, ...], activation: str = "linear", dtype: str = "float32"
    ) -> str:
        arrays = [sc.tensor(dtype, s) for s in (x, w, w[:1])]
        y, argmax = ConvPool(activation=activation)(*arrays)
        dy = sc.tensor(dtype, y.type.shape)
        node = ConvPoolGrad(activation=activation)(*arrays[:2], y, argmax, dy)[0].owner
        return named(node.op, "winograd_conv_pool_grad").supports(node) or ""

    wide = ((10, 64, 10, 10), (64, 64, 3, 3))
    assert refusal(*wide) == refusal(*wide, "tanh") == ""
    assert refusal(*wide, "relu") == "relu leaves few gradients to walk"
    assert refusal(*wide, dtype="float64") == "dtype float64, needs float32"
    assert refusal((10, 64, 10, 10), (64, 64, 5, 5)) == "windows of 5x5, needs 3x3"
    assert refusal((10, 20, 10, 10), (64, 20, 3, 3)) == "20 channels to 64, pays from 64 on"
    assert refusal((10, 64, 9, 9), (64, 64, 3, 3)) == "6x6 outputs fill tiles of 4x4 too little"
    assert "take too much memory" in refusal((1, 1000, 10, 10), (1000, 1000, 3, 3))
    with sc.config(winograd=False):
        assert refusal(*wide) == "config.winograd is off"


def test_products_masked_by_relu_are_walked() -> None:
    """The gradient comes masked out of the product, and the activation of the node is linear."""
    x, w = sc.tensor("float32", (2, 64, 10, 10)), sc.shared(np.ones((64, 64, 3, 3), "float32"))
    v, b = sc.shared(np.ones((64 * 16, 30), "float32")), sc.shared(np.zeros((64, 1, 1), "float32"))
    taken = {}
    for activation in (sc.relu, sc.tanh):
        h = activation(sc.max_pool2d(sc.conv2d(x, w), 2) + b)
        cost = sc.sum(sc.tanh(sc.dot(sc.reshape(h, (2, 64 * 16)), v)))
        f = sc.function([x], sc.grad(cost, [w, b, v]))
        f(np.ones((2, 64, 10, 10), "float32"))
        steps = f.executables[0].plan.steps
        taken[activation] = next(s for s in steps if s.node.op.name == "conv_pool_grad")
    assert taken[sc.relu].node.op.activation == "linear"
    assert [s.kernel.name for s in taken.values() if s.kernel] == ["argmax_walk", "winograd_conv_pool_grad"]


# x, w, padding: strips of a row of tiles, tiles that overhang, few and many channels, weights in groups,
# padding wider than the window, nothing but padding, no images.
WINOGRAD_LAYERS: dict[str, tuple[tuple[int, ...], tuple[int, ...], tuple[int, int, int, int]]] = {
    "overhang": ((2, 9, 17, 23), (13, 9, 3, 3), (1, 1, 1, 1)),
    "uneven_padding": ((1, 8, 14, 15), (8, 8, 3, 3), (0, 3, 2, 1)),
    "wide_padding": ((2, 11, 9, 7), (50, 11, 3, 3), (4, 2, 5, 3)),
    "large": ((3, 33, 31, 37), (90, 33, 3, 3), (1, 1, 1, 1)),
    "one_value": ((1, 1, 1, 1), (1, 1, 3, 3), (1, 1, 1, 1)),
    "padding_alone": ((1, 2, 1, 1), (3, 2, 3, 3), (9, 0, 9, 0)),
    "no_images": ((0, 8, 12, 12), (8, 8, 3, 3), (1, 1, 1, 1)),
    "groups_of_panels": ((2, 190, 7, 7), (160, 190, 3, 3), (1, 1, 1, 1)),
    "many_tiles": ((1, 150, 67, 65), (150, 150, 3, 3), (1, 1, 1, 1)),
    "long_rows": ((2, 5, 9, 700), (3, 5, 3, 3), (1, 1, 1, 1)),
    "book_second": ((3, 20, 12, 12), (40, 20, 5, 5), (0, 0, 0, 0)),
    "wide_padding_5x5": ((2, 11, 9, 7), (50, 11, 5, 5), (6, 2, 5, 7)),
    "groups_of_panels_5x5": ((2, 120, 9, 7), (113, 120, 5, 5), (2, 2, 2, 2)),
    "many_terms_5x5": ((12, 20, 12, 12), (40, 20, 5, 5), (0, 0, 0, 0)),
    "many_terms_overhang_5x5": ((2, 9, 19, 27), (35, 9, 5, 5), (2, 0, 2, 2)),
}
# The same with stride 2: padding even and odd, rows that no window meets, tiles that begin before the image.
STRIDED_LAYERS: dict[str, tuple[tuple[int, ...], tuple[int, ...], tuple[int, int, int, int]]] = {
    **{name: case for name, case in WINOGRAD_LAYERS.items() if case[1][2] == 3},
    "resnet": ((2, 24, 16, 16), (20, 24, 3, 3), (1, 1, 1, 1)),
    "no_padding": ((2, 9, 17, 17), (13, 9, 3, 3), (0, 0, 0, 0)),
    "a_row_unmet": ((2, 9, 18, 20), (13, 9, 3, 3), (0, 0, 0, 0)),
    "padding_after": ((2, 9, 16, 18), (13, 9, 3, 3), (0, 1, 0, 1)),
    "two_and_one": ((1, 5, 19, 12), (7, 5, 3, 3), (2, 1, 1, 2)),
    "three_and_four": ((2, 5, 6, 23), (17, 5, 3, 3), (3, 4, 4, 3)),
    "one_output": ((2, 7, 3, 3), (5, 7, 3, 3), (0, 0, 0, 0)),
}
WINOGRAD_CASES = [(name, *case, (1, 1)) for name, case in WINOGRAD_LAYERS.items()] + [
    (f"{name}_stride_2", *case, (2, 2)) for name, case in STRIDED_LAYERS.items()
]


@pytest.mark.parametrize("flip", [False, True])
@pytest.mark.parametrize(
    ("x_shape", "w_shape", "padding", "stride"),
    [case[1:] for case in WINOGRAD_CASES],
    ids=[case[0] for case in WINOGRAD_CASES],
)
def test_winograd_conv2d(
    x_shape: tuple[int, ...],
    w_shape: tuple[int, ...],
    padding: tuple[int, int, int, int],
    stride: tuple[int, int],
    flip: bool,
    isa: str,
    threads: int,
) -> None:
    """All three kinds within the tolerance of the case table."""
    rng = np.random.default_rng(9)
    attributes = {"stride": stride, "padding": padding, "flip": flip}
    op = Conv2d(**attributes)
    shape = op(*(sc.tensor("float32", s) for s in (x_shape, w_shape))).type.dims
    x, w, dy = (rng.standard_normal(s).astype("float32") for s in (x_shape, w_shape, shape))
    for kind, node_op, arrays in (
        ("fprop", op, (x, w)),
        ("dgrad", Conv2dDgrad(**attributes), (dy, w, *dims(*x_shape[2:]))),
        ("wgrad", Conv2dWgrad(**attributes), (x, dy, *dims(*w_shape[2:]))),
    ):
        node, kernel = node_of(node_op, arrays), named(node_op, f"winograd_{kind}")
        if "rounding" in (kernel.supports(node) or ""):
            continue
        got, want = run(node, kernel, arrays)[0], oracle(node_op, *arrays)[0]
        terms = dy.size // dy.shape[1] if kind == "wgrad" else arrays[0].shape[1] * int(np.prod(w_shape[2:]))
        rtol = 16 * float(np.finfo("float32").eps) * float(np.sqrt(terms))
        assert_close(got, want, rtol, rtol * float(np.sqrt(np.mean(want**2))) if want.size else 0.0)


@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize("stride", [1, 2])
def test_winograd_conv2d_keeps_nan(stride: int, value: float, isa: str) -> None:
    rng = np.random.default_rng(3)
    size = 20 * stride
    x, w = (rng.standard_normal(s).astype("float32") for s in ((2, 8, size, size), (9, 8, 3, 3)))
    x[0, 3, 9, 9] = x[1, 0, size - 1, 1] = value
    op = Conv2d(padding=(1, 1, 1, 1), stride=(stride, stride))
    got, want = run(node_of(op, (x, w)), named(op, "winograd_fprop"), (x, w))[0], op.reference(x, w)
    touched = ~np.isfinite(want)
    tiles = touched.reshape(2, 9, 5, 4, 5, 4).any(axis=(3, 5)).repeat(4, axis=2).repeat(4, axis=3)
    assert touched.any() and not tiles.all()
    assert not np.isfinite(got[touched]).any() and np.isfinite(got[~tiles]).all()


def test_winograd_conv2d_refusals() -> None:
    def refusal(x: tuple[int, ...], w: tuple[int, ...], dtype: str = "float32", **attributes: int) -> str:
        node = sc.conv2d(sc.tensor(dtype, x), sc.tensor(dtype, w), **attributes).owner
        return named(node.op, "winograd_fprop").supports(node) or ""

    resnet = ((8, 64, 56, 56), (64, 64, 3, 3))
    assert refusal(*resnet, padding=1) == refusal((128, 20, 12, 12), (40, 20, 5, 5)) == ""
    assert refusal(*resnet, dtype="float64") == "dtype float64, needs float32"
    assert refusal(*resnet, stride=2, padding=1) == ""
    needed = "needs stride 1 or 2, dilation 1, one group"
    assert refusal(*resnet, stride=3) == f"stride (3, 3), dilation (1, 1), groups 1: {needed}"
    assert refusal((8, 64, 56, 56), (64, 64, 5, 5), stride=2) == "windows of 5x5, needs 3x3"
    assert refusal((8, 64, 56, 56), (64, 64, 3, 5)) == "windows of 3x5, needs 3x3 or 5x5"
    assert refusal((8, 3, 56, 56), (64, 3, 3, 3)) == "winograd_columns_fprop is estimated faster"
    assert refusal((1, 64, 4, 4), (64, 64, 3, 3)) == "direct_channels_fprop is estimated faster"
    assert refusal((8, 64, 56, 56), (1, 64, 3, 3)) == "winograd_columns_fprop is estimated faster"
    with sc.config(winograd=False):
        assert refusal(*resnet) == "config.winograd is off"

    def wgrad_refusal(x: tuple[int, ...], w: tuple[int, ...]) -> str:
        op, dy = Conv2dWgrad(), sc.conv2d(*map(sc.tensor, 2 * ["float32"], (x, w)))
        node = node_of(op, (np.zeros(x, "float32"), np.zeros(dy.type.dims, "float32"), *dims(*w[2:])))
        return named(op, "winograd_wgrad").supports(node) or ""

    assert wgrad_refusal((10, 20, 12, 12), (40, 20, 3, 3)) == ""
    assert wgrad_refusal((8, 20, 12, 12), (40, 20, 5, 5)) == ""
    assert "sums of 448 terms, needs 512" in wgrad_refusal((7, 20, 12, 12), (40, 20, 5, 5))
    assert "take too much memory" in wgrad_refusal((1, 700, 5, 5), (900, 700, 3, 3))
