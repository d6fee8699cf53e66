"""Convolutions by Winograd's transforms along columns alone."""

from __future__ import annotations

import numpy as np
import pytest
from conv_runs import dims, named, node_of, run
from test_winograd_kernels import Pooled, check_conv_pool

import symconv as sc
from kernels import oracle
from symconv.ops.conv import Conv2d, Conv2dDgrad, Conv2dWgrad
from symconv.ops.conv_pool import ConvPool
from symconv.testing import assert_close

core = pytest.importorskip("symconv._core")

pytest_plugins = ["core_fixtures"]

# x, w, stride, padding (top, bottom, left, right), groups.
LAYERS: dict[str, tuple[tuple[int, ...], tuple[int, ...], tuple[int, int], tuple[int, ...], int]] = {
    "book_first": ((3, 1, 28, 28), (20, 1, 5, 5), (1, 1), (0, 0, 0, 0), 1),
    "rgb": ((2, 3, 32, 32), (17, 3, 3, 3), (1, 1), (1, 1, 1, 1), 1),
    "resnet_first": ((1, 3, 51, 60), (11, 3, 7, 7), (2, 2), (3, 3, 3, 3), 1),
    "alexnet_first": ((1, 3, 67, 63), (9, 3, 11, 11), (4, 4), (2, 2, 2, 2), 1),
    "7x7": ((2, 5, 14, 15), (6, 5, 7, 7), (1, 1), (3, 3, 3, 3), 1),
    "9x9": ((1, 3, 19, 20), (5, 3, 9, 9), (1, 1), (4, 4, 4, 4), 1),
    "two_rows": ((2, 3, 9, 21), (4, 3, 2, 3), (1, 1), (0, 1, 1, 1), 1),
    "one_row": ((2, 3, 9, 21), (4, 3, 1, 3), (1, 1), (0, 0, 1, 1), 1),
    "one_column": ((2, 3, 13, 9), (4, 3, 6, 1), (1, 1), (2, 3, 0, 0), 1),
    "four_rows": ((2, 2, 12, 40), (3, 2, 4, 2), (1, 1), (1, 2, 0, 1), 1),
    "unequal_strides": ((2, 3, 23, 31), (7, 3, 5, 4), (3, 2), (1, 2, 3, 0), 1),
    "stride_over_the_window": ((2, 3, 23, 31), (7, 3, 2, 2), (5, 3), (0, 0, 0, 0), 1),
    "stride_of_rows": ((2, 3, 24, 17), (8, 3, 5, 3), (2, 1), (2, 2, 1, 1), 1),
    "groups": ((2, 12, 11, 18), (8, 3, 5, 5), (1, 1), (2, 2, 2, 2), 4),
    "depthwise": ((2, 6, 13, 19), (6, 1, 5, 5), (1, 1), (2, 2, 2, 2), 6),
    "one_value": ((1, 1, 1, 1), (1, 1, 3, 3), (1, 1), (1, 1, 1, 1), 1),
    "padding_alone": ((1, 2, 1, 1), (3, 2, 3, 3), (1, 1), (9, 0, 9, 0), 1),
    "half_a_vector": ((2, 2, 13, 12), (10, 2, 5, 5), (1, 1), (0, 0, 0, 0), 1),
    "bands_without_a_fellow": ((1, 2, 22, 28), (10, 2, 3, 5), (1, 1), (0, 0, 0, 0), 1),
    "long_rows": ((1, 2, 9, 330), (3, 2, 5, 5), (1, 1), (2, 2, 2, 2), 1),
    "many_terms": ((1, 40, 12, 17), (19, 40, 5, 5), (1, 1), (2, 2, 2, 2), 1),
    "no_images": ((0, 3, 12, 12), (8, 3, 5, 5), (1, 1), (1, 1, 1, 1), 1),
}


@pytest.mark.parametrize("flip", [False, True])
@pytest.mark.parametrize(
    ("x_shape", "w_shape", "stride", "padding", "groups"), LAYERS.values(), ids=LAYERS.keys()
)
def test_winograd_columns(
    x_shape: tuple[int, ...],
    w_shape: tuple[int, ...],
    stride: tuple[int, int],
    padding: tuple[int, int, int, int],
    groups: int,
    flip: bool,
    isa: str,
    threads: int,
) -> None:
    """All three kinds, the input gradient at stride 1, within the tolerance of the case table."""
    rng = np.random.default_rng(9)
    attributes = {"stride": stride, "padding": padding, "groups": groups, "flip": flip}
    op = Conv2d(**attributes)
    shape = op(*(sc.tensor("float32", s) for s in (x_shape, w_shape))).type.dims
    x, w, dy = (rng.standard_normal(s).astype("float32") for s in (x_shape, w_shape, shape))
    kinds = [
        ("fprop", op, (x, w)),
        ("wgrad", Conv2dWgrad(**attributes), (x, dy, *dims(*w_shape[2:]))),
    ]
    if stride == (1, 1):
        kinds.append(("dgrad", Conv2dDgrad(**attributes), (dy, w, *dims(*x_shape[2:]))))
    for kind, node_op, arrays in kinds:
        node, kernel = node_of(node_op, arrays), named(node_op, f"winograd_columns_{kind}")
        got, want = run(node, kernel, arrays)[0], oracle(node_op, *arrays)[0]
        window = arrays[0].shape[1] // groups * int(np.prod(w_shape[2:]))
        terms = dy.size // dy.shape[1] if kind == "wgrad" else window
        rtol = 16 * float(np.finfo("float32").eps) * float(np.sqrt(terms))
        assert_close(got, want, rtol, rtol * float(np.sqrt(np.mean(want**2))) if want.size else 0.0)


def test_outputs_that_are_fetched(isa: str, threads: int) -> None:
    """More than caches hold: the lines of the outputs are asked for before they are written."""
    rng = np.random.default_rng(2)
    x, w = (rng.standard_normal(s).astype("float32") for s in ((5, 1, 160, 170), (25, 1, 5, 5)))
    op = Conv2d()
    got = run(node_of(op, (x, w)), named(op, "winograd_columns_fprop"), (x, w))[0]
    want = oracle(op, x, w)[0]
    assert want.nbytes > 12 << 20
    assert_close(got, want, 1e-5, 1e-4)


@pytest.mark.parametrize("shape", [(9, 2, 40, 150), (40, 3, 30, 50), (3, 1, 3, 400)])
def test_weight_gradients_of_many_columns(shape: tuple[int, ...], isa: str) -> None:
    """Bands in several chunks, images in several parts, more channels than a block, any threads."""
    rng = np.random.default_rng(4)
    w_shape = (53, shape[1], 3, 5)
    op = Conv2dWgrad(padding=(1, 1, 2, 2))
    arrays = tuple(
        rng.standard_normal(s).astype("float32") for s in (shape, (shape[0], w_shape[0], *shape[2:]))
    )
    arrays = (*arrays, *dims(*w_shape[2:]))
    node, kernel = node_of(op, arrays), named(op, "winograd_columns_wgrad")
    want, before, found = oracle(op, *arrays)[0], core.num_threads(), []
    try:
        for threads in (1, 2, 5):
            core.set_num_threads(threads)
            found.append(run(node, kernel, arrays)[0])
    finally:
        core.set_num_threads(before)
    terms = int(np.prod(shape)) // shape[1]
    rtol = 16 * float(np.finfo("float32").eps) * float(np.sqrt(terms))
    assert_close(found[0], want, rtol, rtol * float(np.sqrt(np.mean(want**2))))
    assert np.array_equal(found[0], found[1]) and np.array_equal(found[0], found[2])


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_winograd_columns_keep_nan(value: float, isa: str) -> None:
    """What is not finite stays in the four rows of its band, and in its columns."""
    rng = np.random.default_rng(3)
    x, w = (rng.standard_normal(s).astype("float32") for s in ((2, 3, 20, 20), (9, 3, 3, 3)))
    x[0, 2, 9, 9] = x[1, 0, 19, 1] = value
    op = Conv2d(padding=(1, 1, 1, 1))
    got = run(node_of(op, (x, w)), named(op, "winograd_columns_fprop"), (x, w))[0]
    touched = ~np.isfinite(op.reference(x, w))
    bands = touched.reshape(2, 9, 5, 4, 20).any(axis=3).repeat(4, axis=2)
    assert touched.any() and not bands.all()
    assert not np.isfinite(got[touched]).any() and np.isfinite(got[~bands]).all()


def test_winograd_columns_refusals(rules_of) -> None:
    def refusal(x: tuple[int, ...], w: tuple[int, ...], dtype: str = "float32", **attributes: int) -> str:
        node = sc.conv2d(sc.tensor(dtype, x), sc.tensor(dtype, w), **attributes).owner
        return named(node.op, "winograd_columns_fprop").supports(node) or ""

    book = ((10, 1, 28, 28), (20, 1, 5, 5))
    for name in ("avx2", "avx512"):
        rules_of(name)
        assert refusal(*book) == refusal((4, 3, 224, 224), (64, 3, 7, 7), stride=2, padding=3) == ""
        assert refusal((4, 64, 28, 28), (64, 64, 7, 7), padding=3) == ""
        assert (
            refusal((10, 1, 14, 14), (64, 1, 3, 3), stride=2) == "direct_channels_fprop is estimated faster"
        )
        assert refusal((10, 8, 28, 28), (20, 8, 1, 1)) == "gemm_gather_fprop is estimated faster"
    assert refusal(*book, dtype="float64") == "dtype float64, needs float32"
    needed = "needs dilation 1 and in the input gradient stride 1"
    assert refusal(*book, dilation=2) == f"stride (1, 1), dilation (2, 2), {needed}"
    with sc.config(winograd=False):
        assert refusal(*book) == "config.winograd is off"

    def wgrad_refusal(x: tuple[int, ...], w: tuple[int, ...]) -> str:
        op, dy = Conv2dWgrad(), sc.conv2d(*map(sc.tensor, 2 * ["float32"], (x, w)))
        node = node_of(op, (np.zeros(x, "float32"), np.zeros(dy.type.dims, "float32"), *dims(*w[2:])))
        return named(op, "winograd_columns_wgrad").supports(node) or ""

    assert wgrad_refusal(*book) == ""
    assert wgrad_refusal((1, 1, 8, 8), (20, 1, 5, 5)) == "direct_channels_wgrad is estimated faster"
    assert "do not stay in the cache" in wgrad_refusal((4, 64, 28, 28), (64, 64, 7, 7))
    dy, w = np.zeros((4, 8, 12, 12), "float32"), np.zeros((8, 3, 5, 5), "float32")
    op = Conv2dDgrad(stride=(2, 2))
    node = node_of(op, (dy, w, *dims(27, 27)))
    refused = named(op, "winograd_columns_dgrad").supports(node)
    assert refused == f"stride (2, 2), dilation (1, 1), {needed}"


# x, w, window, padding: rows that fill vectors, halves of them or neither, odd numbers of rows and columns.
POOLED: dict[str, Pooled] = {
    "book_first": ((3, 1, 28, 28), (20, 1, 5, 5), (2, 2), (0, 0, 0, 0)),
    "lenet_first": ((2, 1, 28, 28), (6, 1, 5, 5), (2, 2), (2, 2, 2, 2)),
    "rgb": ((2, 3, 32, 32), (5, 3, 3, 3), (2, 2), (1, 1, 1, 1)),
    "odd": ((1, 2, 19, 21), (3, 2, 4, 3), (2, 2), (0, 0, 1, 2)),
    "few_columns": ((2, 3, 13, 9), (9, 3, 7, 2), (2, 2), (3, 2, 0, 1)),
    "one_window": ((1, 1, 4, 4), (1, 1, 3, 3), (2, 2), (0, 0, 0, 0)),
    "three_bands": ((1, 1, 14, 24), (7, 1, 3, 1), (2, 2), (0, 0, 0, 0)),
    "long_rows": ((1, 1, 11, 301), (4, 1, 9, 5), (2, 2), (0, 0, 0, 0)),
    "no_images": ((0, 1, 12, 12), (4, 1, 5, 5), (2, 2), (0, 0, 0, 0)),
}


@pytest.mark.parametrize("flip", [False, True])
@pytest.mark.parametrize("name", POOLED)
def test_winograd_columns_conv_pool(name: str, flip: bool, isa: str, threads: int) -> None:
    for activation in ("linear", "relu"):
        check_conv_pool("winograd_columns_conv_pool", POOLED[name], flip, activation)


@pytest.mark.parametrize("activation", ["sigmoid", "tanh"])
def test_activations_of_pooled_columns(activation: str, isa: str, threads: int) -> None:
    rng = np.random.default_rng(6)
    arrays = tuple(rng.standard_normal(s).astype("float32") for s in ((2, 2, 15, 20), (3, 2, 5, 5), (3,)))
    op = ConvPool((2, 2), activation=activation)
    y, argmax = run(node_of(op, arrays), named(op, "winograd_columns_conv_pool"), arrays)
    want, places = oracle(op, *arrays)
    assert_close(y, want, 1e-4, 1e-4)
    assert np.array_equal(argmax, places)


@pytest.mark.parametrize("size", [3, 4, 5])
def test_ties_of_pooled_columns_go_to_the_first(size: int, isa: str) -> None:
    rng = np.random.default_rng(3)
    x = np.repeat(rng.random((2, 3, 1, 1)), 400, axis=2).reshape(2, 3, 20, 20).astype("float32")
    w, b = rng.random((10, 3, size, size)).astype("float32"), np.zeros(10, "float32")
    op = ConvPool((2, 2))
    kernel = named(op, "winograd_columns_conv_pool")
    assert not run(node_of(op, (x, w, b)), kernel, (x, w, b))[1].any()
    x[0, 1, 5, 5] = np.nan
    y, argmax = run(node_of(op, (x, w, b)), kernel, (x, w, b))
    want = op.reference(x, w, b)[0]
    assert np.isnan(y[np.isnan(want)]).all() and np.isnan(want).any()
    assert not argmax[1].any() and np.isfinite(y[1]).all()


def test_pooled_columns_refusals(rules_of) -> None:
    def refusal(x: tuple[int, ...], w: tuple[int, ...], window=(2, 2), dtype: str = "float32") -> str:
        op = ConvPool(window)
        node = op.make(*(sc.tensor(dtype, s) for s in (x, w, w[:1])))
        return named(op, "winograd_columns_conv_pool").supports(node) or ""

    for name in ("avx2", "avx512"):
        rules_of(name)
        assert refusal((10, 1, 28, 28), (4, 1, 5, 5)) == refusal((10, 3, 32, 32), (6, 3, 5, 5)) == ""
        slower = "winograd_conv_pool is estimated faster"
        assert refusal((10, 16, 16, 16), (64, 16, 5, 5)) == slower
    assert refusal((10, 1, 28, 28), (4, 1, 5, 5), (2, 3)) == "pooling windows of (2, 3), needs (2, 2)"
    assert refusal((10, 1, 28, 28), (4, 1, 5, 5), dtype="float64") == "dtype float64, needs float32"
    with sc.config(winograd=False):
        assert refusal((10, 1, 28, 28), (4, 1, 5, 5)) == "config.winograd is off"


def test_sizes_are_checked_at_the_border() -> None:
    op, x, w = Conv2d(), np.zeros((2, 1, 9, 9), "float32"), np.zeros((3, 1, 5, 5), "float32")
    params = named(op, "winograd_columns_fprop").launch(node_of(op, (x, w))).params
    y = np.zeros((2, 3, 5, 5), "float32")
    core.call_kernel("winograd_columns_fprop", params, [x, w], [y])
    with pytest.raises(ValueError, match="winograd_columns_fprop: y"):
        core.call_kernel("winograd_columns_fprop", params, [x, w], [y[:1].copy()])
    wide = Conv2d(dilation=(2, 2))
    params = named(wide, "winograd_columns_fprop").launch(node_of(wide, (x, w))).params
    with pytest.raises(ValueError, match=r"winograd_columns_fprop: stride \(1, 1\), dilation \(2, 2\)"):
        core.call_kernel("winograd_columns_fprop", params, [x, w], [np.zeros((2, 3, 1, 1), "float32")])
    gradient, many = Conv2dWgrad(), np.zeros((1, 300, 9, 9), "float32")
    arrays = (many, np.zeros((1, 300, 5, 5), "float32"), *dims(5, 5))
    params = named(gradient, "winograd_columns_wgrad").launch(node_of(gradient, arrays)).params
    with pytest.raises(ValueError, match="sums of 300 channels to 300 in .* bytes, at most 67108864"):
        core.call_kernel(
            "winograd_columns_wgrad", params, list(arrays), [np.zeros((300, 300, 5, 5), "float32")]
        )
