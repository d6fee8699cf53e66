"""The convolution and pooling kernels of every instruction set by themselves: exact on whole numbers, nothing
written beside the outputs, NaN kept, the same bits on every run, each sharing of the work among threads."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from cases.conv import LAYERS, POOLED
from cases.pool import ROWS

import symconv as sc
from kernels import guarded, oracle
from symconv.graph import Apply, Kernel, Op, constant
from symconv.ops.conv import Conv2d, Conv2dDgrad, Conv2dWgrad
from symconv.ops.conv_pool import ACTIVATIONS, ConvPool, ConvPoolGrad
from symconv.ops.pool import AvgPool2d, AvgPool2dGrad, LpPool2d, MaxPool2d, MaxPool2dGrad, MaxPool2dPick
from symconv.testing import assert_close

core = pytest.importorskip("symconv._core")


@pytest.fixture(params=core.isas())
def isa(request: pytest.FixtureRequest) -> Iterator[str]:
    before = core.isa()
    core.set_isa(request.param)
    yield request.param
    core.set_isa(before)


@pytest.fixture(params=[1, 3])
def threads(request: pytest.FixtureRequest) -> Iterator[int]:
    before = core.num_threads()
    core.set_num_threads(request.param)
    yield request.param
    core.set_num_threads(before)


def node_of(op: Op, arrays: tuple[np.ndarray, ...]) -> Apply:
    return op.make(*(constant(a) if a.ndim == 0 else sc.tensor(str(a.dtype), a.shape) for a in arrays))


def run(node: Apply, kernel: Kernel, arrays: tuple[np.ndarray, ...]) -> list[np.ndarray]:
    """One launch into outputs full of NaN between sentinels; inputs have sentinels too, and stay."""
    views, wholes = zip(*(guarded(v.type.shape, v.dtype) for v in node.outputs))
    inputs = []
    for a in arrays:
        view, _ = guarded(a.shape, str(a.dtype))
        view[...] = a
        inputs.append(view)
    core.call_kernel(kernel.entry, kernel.launch(node).params, inputs, views)
    for whole in wholes:
        assert whole[0] == whole[-1] == 77, f"{kernel.name} wrote beside its output"
    for a, b in zip(arrays, inputs):
        assert np.array_equal(a, b, equal_nan=a.dtype.kind == "f")
    return list(views)


def check(op: Op, *arrays: np.ndarray, exact: bool = True) -> None:
    node = node_of(op, arrays)
    desired = oracle(op, *arrays)
    for kernel in cpu_kernels(op):
        refusal = kernel.supports(node) or ""
        if kernel.name.startswith("winograd") or "no channels" in refusal:
            continue
        if kernel.name.startswith(("depthwise", "paired")) and refusal:
            continue
        for got, want in zip(run(node, kernel, arrays), desired):
            if exact or got.dtype.kind != "f":
                assert np.array_equal(got, want, equal_nan=True), kernel.name
            else:
                eps = float(np.finfo(got.dtype).eps)
                np.testing.assert_allclose(
                    got, want, rtol=64 * eps, atol=64 * eps * max(1, np.abs(want).max(initial=0))
                )


def cpu_kernels(op: Op | type[Op]) -> list[Kernel]:
    return [k for k in op.kernels if k.device == "cpu"]


def named(op: Op, name: str) -> Kernel:
    return next(k for k in op.kernels if k.name == name)


def whole(rng: np.random.Generator, shape: tuple[int, ...], dtype: str) -> np.ndarray:
    return rng.integers(-3, 4, shape).astype(dtype)


def dims(*sizes: int) -> tuple[np.ndarray, ...]:
    return tuple(np.asarray(s, "int64") for s in sizes)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", LAYERS)
def test_convolution_kernels_exact(name: str, dtype: str, isa: str, threads: int) -> None:
    x_shape, w_shape, attributes = LAYERS[name]
    rng = np.random.default_rng(1)
    x, w = whole(rng, x_shape, dtype), whole(rng, w_shape, dtype)
    y = sc.conv2d(sc.tensor(dtype, x_shape), sc.tensor(dtype, w_shape), **attributes)
    fields = tuple(y.owner.op.attributes().values())
    dy = whole(rng, y.type.shape, dtype)
    check(Conv2d(*fields), x, w)
    check(Conv2dDgrad(*fields), dy, w, *dims(*x_shape[2:]))
    check(Conv2dWgrad(*fields), x, dy, *dims(*w_shape[2:]))


@pytest.mark.parametrize("groups", [1, 4])
def test_convolution_kernels_share_large_work(groups: int, isa: str, threads: int) -> None:
    """More than 1 MFLOP, few images: the pieces and parts that only then exist."""
    rng = np.random.default_rng(2)
    op = Conv2d((1, 1), (1, 1, 1, 1), (1, 1), groups)
    x, w = whole(rng, (2, 28, 19, 17), "float32"), whole(rng, (36, 28 // groups, 3, 3), "float32")
    dy = whole(rng, (2, 36, 19, 17), "float32")
    check(op, x, w)
    check(Conv2dDgrad(*op.attributes().values()), dy, w, *dims(19, 17))
    check(Conv2dWgrad(*op.attributes().values()), x, dy, *dims(3, 3))


def test_wgrad_shares_images(isa: str, threads: int) -> None:
    rng = np.random.default_rng(2)
    check(
        Conv2dWgrad(),
        whole(rng, (7, 1, 28, 28), "float32"),
        whole(rng, (7, 20, 24, 24), "float32"),
        *dims(5, 5),
    )


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", POOLED)
def test_conv_pool_kernels_exact(name: str, dtype: str, isa: str, threads: int) -> None:
    x_shape, w_shape, window, padding = POOLED[name]
    rng = np.random.default_rng(3)
    x, w, b = (whole(rng, s, dtype) for s in (x_shape, w_shape, w_shape[:1]))
    for activation in ACTIVATIONS:
        op = ConvPool(window, padding, activation)
        exact = activation in ("linear", "relu")
        check(op, x, w, b, exact=exact)
        y, argmax = op.reference(x, w, b)
        for kept in (0.0, 0.3, 1.0):
            dy = whole(rng, y.shape, dtype) * (rng.random(y.shape) < kept).astype(dtype)
            for need_dx in (True, False):
                check(
                    ConvPoolGrad(window, padding, activation, need_dx=need_dx),
                    x,
                    w,
                    y,
                    argmax,
                    dy,
                    exact=exact,
                )


@pytest.mark.parametrize("kept", [0.1, 1.0])
@pytest.mark.parametrize("x_shape, padding", [((1, 1, 28, 28), (0, 0, 0, 0)), ((1, 3, 17, 23), (2, 1, 3, 2))])
def test_conv_pool_cuts_few_images_into_bands(
    x_shape: tuple[int, ...], padding: tuple[int, ...], kept: float, isa: str, threads: int
) -> None:
    """One image with enough work to share; pixels kept or not, and a part of the image without any."""
    rng = np.random.default_rng(5)
    x = whole(rng, x_shape, "float32") * (rng.random(x_shape) < kept).astype("float32")
    if kept < 1:
        x[:, :, :12, 9:] = 0
    w, b = whole(rng, (20, x_shape[1], 5, 5), "float32"), whole(rng, (20,), "float32")
    op = ConvPool((2, 2), padding, "relu")
    assert op.flops(op.make(*(constant(a) for a in (x, w, b)))) > 4e5
    check(op, x, w, b)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", ROWS)
def test_pooling_kernels(name: str, dtype: str, isa: str, threads: int) -> None:
    shape, window, attributes = ROWS[name]
    rng = np.random.default_rng(4)
    x, v = whole(rng, shape, dtype), whole(rng, shape, dtype)
    pooled = sc.max_pool2d(sc.tensor(dtype, shape), window, **attributes)
    fields = tuple(pooled.owner.op.attributes().values())
    dy = whole(rng, pooled.type.shape, dtype)
    check(MaxPool2d(*fields), x)
    check(MaxPool2dGrad(*fields), x, dy)
    check(MaxPool2dPick(*fields), x, v)
    check(AvgPool2d(*fields, "sum"), x)
    check(AvgPool2dGrad(*fields, "sum"), dy, *dims(*shape[2:]))
    for mode in ("padded", "mean"):
        check(AvgPool2d(*fields, mode), x, exact=False)
        check(AvgPool2dGrad(*fields, mode), dy, *dims(*shape[2:]), exact=False)
    for p in (1.0, 2.0, 3.5):
        check(LpPool2d(*fields, p), x, exact=False)


def test_max_pooling_of_nan_and_inf(isa: str) -> None:
    rng = np.random.default_rng(5)
    for window, stride, padding in (((2, 2), (2, 2), (0,) * 4), ((3, 3), (1, 2), (1, 2, 0, 1))):
        x = rng.choice(
            [np.nan, -np.inf, np.inf, 1, 2], p=[0.1, 0.5, 0.1, 0.2, 0.1], size=(2, 3, 9, 11)
        ).astype("float32")
        fields = (window, stride, padding)
        pooled = MaxPool2d(*fields).reference(x)
        assert np.isnan(pooled).any() and np.isneginf(pooled).any()
        check(MaxPool2d(*fields), x)
        check(MaxPool2dGrad(*fields), x, whole(rng, pooled.shape, "float32"))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("shape", [(2, 1, 28, 28), (1, 3, 9, 150), (2, 2, 12, 70)], ids=str)
def test_conv_pool_leaves_out_rows_of_zeros(shape: tuple[int, ...], dtype: str, isa: str) -> None:
    """Inputs of which whole rows, parts of rows, planes or images are 0, as digits' borders are."""
    rng = np.random.default_rng(5)
    for density in (0.0, 0.01, 0.05, 0.3):
        x = whole(rng, shape, dtype) * (rng.random(shape) < density)
        x[:, :, ::4] = x[:, :, 1::4] = 0
        x[-1, 0] = 0
        for window, taps, padding in (
            ((2, 2), 5, (0, 0, 0, 0)),
            ((3, 2), 3, (2, 1, 0, 3)),
            ((1, 1), 2, (0,) * 4),
        ):
            w = whole(rng, (20, shape[1], taps, taps), dtype)
            check(ConvPool(window, padding, "relu"), x.astype(dtype), w, whole(rng, (20,), dtype), exact=True)


def test_conv_pool_keeps_nan(isa: str) -> None:
    rng = np.random.default_rng(6)
    x = whole(rng, (2, 3, 12, 12), "float32")
    x[0, 1, 4, 5] = np.nan
    w, b = whole(rng, (20, 3, 3, 3), "float32"), whole(rng, (20,), "float32")
    for activation in ("linear", "relu", "sigmoid", "tanh"):
        op = ConvPool((2, 2), activation=activation)
        kernel = named(op, "direct_conv_pool")
        (got, _), (want, _) = run(node_of(op, (x, w, b)), kernel, (x, w, b)), op.reference(x, w, b)
        assert np.isnan(want).any() and np.array_equal(np.isnan(got), np.isnan(want))


def test_zero_gradients_leave_nan_pixels_alone(isa: str) -> None:
    """What has no gradient is not visited: a NaN in such an image does not reach dw."""
    rng = np.random.default_rng(7)
    x, w, b = (
        whole(rng, (2, 3, 8, 8), "float32"),
        whole(rng, (5, 3, 3, 3), "float32"),
        whole(rng, (5,), "float32"),
    )
    y, argmax = ConvPool((2, 2)).reference(x, w, b)
    dy = whole(rng, y.shape, "float32")
    dy[1] = 0
    op = ConvPoolGrad((2, 2))
    want = oracle(op, x, w, y, argmax, dy)[1]
    x[1] = np.nan
    arrays = (x, w, y, argmax, dy)
    assert np.array_equal(run(node_of(op, arrays), op.kernels[0], arrays)[1], want)


# x, w, window, padding: the layer of the book; tiles that overhang on two sides; more output channels than a
# block holds, more tiles than a chunk, no pooling.
WINOGRAD = {
    "book_second": ((3, 20, 12, 12), (40, 20, 5, 5), (2, 2), (0, 0, 0, 0)),
    "overhang": ((2, 9, 17, 23), (13, 9, 5, 5), (2, 2), (1, 1, 1, 1)),
    "uneven_padding": ((1, 8, 14, 15), (8, 8, 5, 5), (4, 1), (0, 3, 2, 1)),
    "wide_padding": ((2, 11, 9, 7), (50, 11, 5, 5), (1, 2), (6, 2, 5, 7)),
    "large": ((3, 33, 31, 37), (90, 33, 5, 5), (1, 1), (2, 2, 2, 2)),
    "no_images": ((0, 8, 12, 12), (8, 8, 5, 5), (2, 2), (0, 0, 0, 0)),
}


@pytest.mark.parametrize("name", WINOGRAD)
def test_winograd_conv_pool(name: str, isa: str, threads: int) -> None:
    """Within the tolerance of the case table; each place holds, to that tolerance, the maximum."""
    x_shape, w_shape, window, padding = WINOGRAD[name]
    rng = np.random.default_rng(9)
    x, w, b = (rng.standard_normal(s).astype("float32") for s in (x_shape, w_shape, w_shape[:1]))
    op = ConvPool(window, padding)
    node = node_of(op, (x, w, b))
    y, argmax = run(node, named(op, "winograd_conv_pool"), (x, w, b))
    want, _ = oracle(op, x, w, b)
    rtol = 16 * float(np.finfo("float32").eps) * float(np.sqrt(np.prod(w_shape[1:])))
    atol = rtol * float(np.sqrt(np.mean(want**2))) if want.size else 0.0
    assert_close(y, want, rtol, atol)
    full = oracle(Conv2d(padding=padding), x, w)[0]
    rows, cols = np.divmod(argmax.astype(int), window[1])
    rows += np.arange(y.shape[2])[:, None] * window[0]
    cols += np.arange(y.shape[3]) * window[1]
    n, k = np.ogrid[: y.shape[0], : y.shape[1]]
    picked = full[n[..., None, None], k[..., None, None], rows, cols] + b[:, None, None]
    assert_close(picked, want, rtol, atol)


def test_winograd_keeps_nan(isa: str) -> None:
    """It spreads over its tile of 4 x 4 outputs at most."""
    rng = np.random.default_rng(3)
    x, w, b = (rng.standard_normal(s).astype("float32") for s in ((2, 8, 24, 24), (9, 8, 5, 5), (9,)))
    x[0, 3, 9, 9] = x[1, 0, 23, 1] = np.nan
    op = ConvPool((2, 2), activation="relu")
    arrays = (x, w, b)
    got, want = run(node_of(op, arrays), named(op, "winograd_conv_pool"), arrays)[0], op.reference(*arrays)[0]
    tiles = np.isnan(want).reshape(2, 9, 5, 2, 5, 2).any(axis=(3, 5)).repeat(2, axis=2).repeat(2, axis=3)
    assert np.isnan(want).any() and not tiles.all()
    assert np.isnan(got[np.isnan(want)]).all() and np.isfinite(got[~tiles]).all()


def test_winograd_ties_go_to_the_first(isa: str) -> None:
    """Over flat parts of an image all outputs are equal, and the transforms round each in its own way."""
    rng = np.random.default_rng(3)
    x = np.repeat(rng.random((2, 20, 1, 1)), 144, axis=2).reshape(2, 20, 12, 12).astype("float32")
    w, b = rng.random((40, 20, 5, 5)).astype("float32"), np.zeros(40, "float32")
    op = ConvPool((2, 2))
    node = node_of(op, (x, w, b))
    kernel = next(k for k in op.kernels if k.name == "winograd_conv_pool")
    y, argmax = run(node, kernel, (x, w, b))
    assert not argmax.any()
    x[0, 3, 5, 5] = np.nan
    y, argmax = run(node, kernel, (x, w, b))
    assert np.isnan(y[0]).any() and not argmax[1].any() and np.isfinite(y[1]).all()


def test_winograd_refusals() -> None:
    def refusal(
        x: tuple[int, ...], w: tuple[int, ...], window: tuple[int, int] = (2, 2), dtype: str = "float32"
    ) -> str:
        node = ConvPool(window)(*(sc.tensor(dtype, s) for s in (x, w, w[:1])))[0].owner
        return ConvPool.kernels[0].supports(node) or ""

    book = ((10, 20, 12, 12), (40, 20, 5, 5))
    assert refusal(*book) == ""
    assert refusal(*book, dtype="float64") == "dtype float64, needs float32"
    assert refusal((10, 1, 28, 28), (20, 1, 5, 5)) == "1 channels to 20, pays from 8 on"
    assert refusal((1, 8, 12, 12), (8, 8, 4, 5)) == "windows of 4x5, needs 5x5"
    assert refusal(*book, window=(3, 3)) == "pooling windows of (3, 3) do not divide tiles of 4x4"
    assert "1x8 outputs fill tiles of 4x4 too little" in refusal((1, 8, 5, 12), (8, 8, 5, 5), (1, 1))
    with sc.config(winograd=False):
        assert refusal(*book) == "config.winograd is off"


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
}


@pytest.mark.parametrize("name", WINOGRAD_LAYERS)
def test_winograd_conv2d(name: str, isa: str, threads: int) -> None:
    """All three kinds within the tolerance of the case table."""
    x_shape, w_shape, padding = WINOGRAD_LAYERS[name]
    rng = np.random.default_rng(9)
    op = Conv2d(padding=padding)
    shape = op(*(sc.tensor("float32", s) for s in (x_shape, w_shape))).type.dims
    x, w, dy = (rng.standard_normal(s).astype("float32") for s in (x_shape, w_shape, shape))
    for kind, node_op, arrays in (
        ("fprop", op, (x, w)),
        ("dgrad", Conv2dDgrad(padding=padding), (dy, w, *dims(*x_shape[2:]))),
        ("wgrad", Conv2dWgrad(padding=padding), (x, dy, *dims(*w_shape[2:]))),
    ):
        node, kernel = node_of(node_op, arrays), named(node_op, f"winograd_{kind}")
        if "rounding" in (kernel.supports(node) or ""):
            continue
        got, want = run(node, kernel, arrays)[0], oracle(node_op, *arrays)[0]
        terms = dy.size // dy.shape[1] if kind == "wgrad" else arrays[0].shape[1] * int(np.prod(w_shape[2:]))
        rtol = 16 * float(np.finfo("float32").eps) * float(np.sqrt(terms))
        assert_close(got, want, rtol, rtol * float(np.sqrt(np.mean(want**2))) if want.size else 0.0)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_winograd_conv2d_keeps_nan(value: float, isa: str) -> None:
    rng = np.random.default_rng(3)
    x, w = (rng.standard_normal(s).astype("float32") for s in ((2, 8, 20, 20), (9, 8, 3, 3)))
    x[0, 3, 9, 9] = x[1, 0, 19, 1] = value
    op = Conv2d(padding=(1, 1, 1, 1))
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
    assert refusal(*resnet, stride=2) == "stride (2, 2), dilation (1, 1), groups 1, needs 1"
    assert refusal((8, 64, 56, 56), (64, 64, 3, 5)) == "windows of 3x5, needs 3x3 or 5x5"
    assert refusal((8, 3, 56, 56), (64, 3, 3, 3)) == "3 input channels, needs 4"
    assert "too few for the transforms" in refusal((1, 64, 4, 4), (64, 64, 3, 3))
    assert "too few for the transforms" in refusal((8, 64, 56, 56), (1, 64, 3, 3))
    with sc.config(winograd=False):
        assert refusal(*resnet) == "config.winograd is off"

    def wgrad_refusal(x: tuple[int, ...], w: tuple[int, ...]) -> str:
        op, dy = Conv2dWgrad(), sc.conv2d(*map(sc.tensor, 2 * ["float32"], (x, w)))
        node = node_of(op, (np.zeros(x, "float32"), np.zeros(dy.type.dims, "float32"), *dims(*w[2:])))
        return named(op, "winograd_wgrad").supports(node) or ""

    assert wgrad_refusal((10, 20, 12, 12), (40, 20, 3, 3)) == ""
    assert "rounding" in wgrad_refusal((10, 20, 12, 12), (40, 20, 5, 5))
    assert "take too much memory" in wgrad_refusal((1, 700, 5, 5), (900, 700, 3, 3))


@pytest.mark.parametrize("threads_", [1, 2, 3])
def test_kernels_repeat_their_bits(threads_: int) -> None:
    before = core.num_threads()
    core.set_num_threads(threads_)
    try:
        rng = np.random.default_rng(8)
        x, w, b = (rng.standard_normal(s).astype("float32") for s in ((9, 1, 28, 28), (20, 1, 5, 5), (20,)))
        y, argmax = ConvPool((2, 2)).reference(x, w, b)
        dy = rng.standard_normal(y.shape).astype("float32")
        full = rng.standard_normal((9, 20, 24, 24)).astype("float32")
        for op, arrays in (
            (ConvPool((2, 2)), (x, w, b)),
            (ConvPoolGrad((2, 2)), (x, w, y, argmax, dy)),
            (Conv2dWgrad(), (x, full, *dims(5, 5))),
        ):
            node = node_of(op, arrays)
            for kernel in cpu_kernels(op):
                first = [a.tobytes() for a in run(node, kernel, arrays)]
                for _ in range(3):
                    assert [a.tobytes() for a in run(node, kernel, arrays)] == first
    finally:
        core.set_num_threads(before)


def test_selection_by_filled_lanes() -> None:
    def chosen(x: tuple[int, ...], w: tuple[int, ...], **attributes: int) -> str:
        node = sc.conv2d(sc.tensor("float32", x), sc.tensor("float32", w), **attributes).owner
        return next(k.name for k in cpu_kernels(node.op) if k.supports(node) is None)

    with sc.config(winograd=False):
        assert chosen((8, 64, 56, 56), (64, 64, 3, 3), padding=1) == "gemm_gather_fprop"
    assert chosen((8, 64, 56, 56), (128, 64, 3, 3), padding=1, stride=2) == "gemm_gather_fprop"
    assert chosen((8, 256, 14, 14), (256, 256, 1, 1)) == "gemm_gather_fprop"
    assert chosen((10, 3, 13, 13), (16, 3, 5, 5)) == "direct_channels_fprop"
    assert chosen((10, 3, 28, 28), (16, 3, 7, 7)) == "direct_rows_fprop"
    assert chosen((8, 64, 56, 56), (64, 1, 3, 3), padding=1, groups=64) == "depthwise_fprop"
    assert chosen((8, 64, 56, 56), (64, 1, 3, 3), padding=1, groups=64, stride=2) == "depthwise_fprop"
    assert chosen((8, 3, 56, 56), (1, 3, 3, 3)) == "direct_rows_fprop"
    node = sc.conv2d(sc.tensor("float32", (8, 3, 56, 56)), sc.tensor("float32", (1, 3, 3, 3))).owner
    refusal = named(Conv2d(), "direct_channels_fprop").supports(node)
    assert refusal == "rows of 54 outputs fill the lanes better than 1 channels per group"


def test_no_channels_runs_on_the_reference() -> None:
    node = sc.conv2d(sc.tensor("float32", (2, 0, 5, 5)), sc.tensor("float32", (3, 0, 3, 3))).owner
    assert all(k.supports(node) == "no channels" for k in cpu_kernels(node.op))
    assert not sc.conv2d(np.zeros((2, 0, 5, 5), "float32"), np.zeros((3, 0, 3, 3), "float32")).eval().any()


def test_wrong_sizes_are_refused() -> None:
    x, w = np.zeros((1, 2, 5, 5), "float32"), np.zeros((3, 2, 3, 3), "float32")
    node = node_of(Conv2d(), (x, w))
    for kernel in cpu_kernels(Conv2d):
        with pytest.raises(ValueError, match=f"{kernel.name}: y has 104 bytes, the params need 108"):
            core.call_kernel(kernel.entry, kernel.launch(node).params, [x, w], [np.zeros(26, "float32")])
        with pytest.raises(ValueError, match="got 1 inputs"):
            core.call_kernel(kernel.entry, kernel.launch(node).params, [x], [np.zeros(27, "float32")])
