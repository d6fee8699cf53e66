"""The convolution and pooling kernels of every instruction set by themselves: exact on whole numbers, nothing
written beside the outputs, NaN kept, the same bits on every run, each sharing of the work among threads."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product

import numpy as np
import pytest
from cases.conv import LAYERS, POOLED
from cases.pool import ROWS
from conv_runs import dims, named, node_of, run, whole

import symconv as sc
from kernels import oracle
from symconv.graph import Kernel, Op, constant
from symconv.graph.kernel import Slower
from symconv.ops.conv import Conv2d, Conv2dDgrad, Conv2dWgrad
from symconv.ops.conv_pool import ACTIVATIONS, ConvPool, ConvPoolGrad
from symconv.ops.pool import AvgPool2d, AvgPool2dGrad, LpPool2d, MaxPool2d, MaxPool2dGrad, MaxPool2dPick

core = pytest.importorskip("symconv._core")

pytest_plugins = ["core_fixtures"]


def check(op: Op, *arrays: np.ndarray, exact: bool = True) -> None:
    node = node_of(op, arrays)
    desired = oracle(op, *arrays)
    for kernel in cpu_kernels(op):
        refusal = kernel.supports(node) or ""
        if kernel.name.startswith("winograd") or "no channels" in refusal:
            continue
        if kernel.name.startswith(("depthwise", "paired")) and refusal and not isinstance(refusal, Slower):
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


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", LAYERS)
def test_convolution_kernels_exact(name: str, dtype: str, isa: str, threads: int) -> None:
    x_shape, w_shape, attributes = LAYERS[name]
    rng = np.random.default_rng(1)
    x, w = whole(rng, x_shape, dtype), whole(rng, w_shape, dtype)
    y = sc.conv2d(sc.tensor(dtype, x_shape), sc.tensor(dtype, w_shape), **attributes)
    *fields, _ = y.owner.op.attributes().values()
    dy = whole(rng, y.type.shape, dtype)
    for flip in (False, True):
        check(Conv2d(*fields, flip), x, w)
        check(Conv2dDgrad(*fields, flip), dy, w, *dims(*x_shape[2:]))
        check(Conv2dWgrad(*fields, flip), x, dy, *dims(*w_shape[2:]))


@pytest.mark.parametrize("groups, flip", [(1, False), (1, True), (4, False), (4, True)])
def test_convolution_kernels_share_large_work(groups: int, flip: bool, isa: str, threads: int) -> None:
    """More than 1 MFLOP, few images: the pieces and parts that only then exist."""
    rng = np.random.default_rng(2)
    op = Conv2d((1, 1), (1, 1, 1, 1), (1, 1), groups, flip)
    x, w = whole(rng, (2, 28, 19, 17), "float32"), whole(rng, (36, 28 // groups, 3, 3), "float32")
    dy = whole(rng, (2, 36, 19, 17), "float32")
    check(op, x, w)
    check(Conv2dDgrad(*op.attributes().values()), dy, w, *dims(19, 17))
    check(Conv2dWgrad(*op.attributes().values()), x, dy, *dims(3, 3))


@pytest.mark.parametrize("padding", [(1, 1, 1, 1), (0, 2, 0, 3), (5, 0, 21, 18)], ids=str)
@pytest.mark.parametrize("size", [3, 5, 7])
def test_depthwise_at_the_ends_of_vectors(
    size: int, padding: tuple[int, int, int, int], isa: str, threads: int
) -> None:
    """Rows a little shorter and longer than whole vectors, and every number of rows that is left over."""
    rng = np.random.default_rng(6)
    for height, width in zip(range(size, size + 13), (7, 15, 16, 17, 18, 31, 32, 33, 34, 47, 49, 65, 80)):
        op = Conv2d((1, 1), padding, (1, 1), 3, flip=height % 3 == 1)
        x, w = whole(rng, (2, 3, height, width), "float32"), whole(rng, (3, 1, size, size), "float32")
        dy = whole(rng, op.infer(*(sc.tensor("float32", v.shape) for v in (x, w))).shape, "float32")
        check(op, x, w)
        check(Conv2dDgrad(*op.attributes().values()), dy, w, *dims(height, width))
        check(Conv2dWgrad(*op.attributes().values()), x, dy, *dims(size, size))


@pytest.mark.parametrize("padding", [0, 1])
def test_depthwise_weight_gradient_sees_its_own_row_alone(padding: int, isa: str) -> None:
    """Infinities at the ends of rows of x meet no zero of a vector that overhangs dy."""
    rng = np.random.default_rng(6)
    op = Conv2dWgrad(padding=(padding,) * 4, groups=3)
    x, dy = (
        whole(rng, (2, 3, 9, 21), "float32"),
        whole(rng, (2, 3, 7 + 2 * padding, 19 + 2 * padding), "float32"),
    )
    x[1, 1, 4, [0, 20]] = x[0, 2, [0, 8], 7] = np.inf
    dy[np.abs(dy) < 0.5] = 1
    arrays = (x, dy, *dims(3, 3))
    got = run(node_of(op, arrays), named(op, "depthwise_wgrad"), arrays)[0]
    with np.errstate(invalid="ignore"):
        want = op.reference(*arrays)
    assert np.array_equal(got, want, equal_nan=True) and not np.isfinite(got).all()


def test_wgrad_shares_images(isa: str, threads: int) -> None:
    rng = np.random.default_rng(2)
    check(
        Conv2dWgrad(),
        whole(rng, (7, 1, 28, 28), "float32"),
        whole(rng, (7, 20, 24, 24), "float32"),
        *dims(5, 5),
    )


@pytest.mark.parametrize("shape", [(4, 5, 23, 21), (2, 3, 40, 30), (1, 3, 40, 40)], ids=str)
def test_wgrad_shares_what_divides_best(shape: tuple[int, ...], isa: str, threads: int) -> None:
    """Channels that threads cannot share evenly, and images that they can, or cannot either."""
    rng = np.random.default_rng(2)
    x, dy = whole(rng, shape, "float32"), whole(rng, (shape[0], 20, shape[2] - 6, shape[3] - 6), "float32")
    check(Conv2dWgrad(), x, dy, *dims(7, 7))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", POOLED)
def test_conv_pool_kernels_exact(name: str, dtype: str, isa: str, threads: int) -> None:
    x_shape, w_shape, window, padding = POOLED[name]
    rng = np.random.default_rng(3)
    x, w, b = (whole(rng, s, dtype) for s in (x_shape, w_shape, w_shape[:1]))
    for activation, flip in product(ACTIVATIONS, (False, True)):
        op = ConvPool(window, padding, activation, flip)
        exact = activation in ("linear", "relu")
        check(op, x, w, b, exact=exact)
        y, argmax = op.reference(x, w, b)
        for kept in (0.0, 0.3, 1.0):
            dy = whole(rng, y.shape, dtype) * (rng.random(y.shape) < kept).astype(dtype)
            for need_dx in (True, False):
                back = ConvPoolGrad(window, padding, activation, flip, need_dx=need_dx)
                check(back, x, w, y, argmax, dy, exact=exact)


def test_conv_pool_grad_shares_many_weights(isa: str, threads: int) -> None:
    """More than each thread packs for itself."""
    rng = np.random.default_rng(4)
    x, w, b = (whole(rng, s, "float32") for s in ((4, 70, 8, 8), (104, 70, 3, 3), (104,)))
    y, argmax = ConvPool((2, 2)).reference(x, w, b)
    dy = whole(rng, y.shape, "float32") * (rng.random(y.shape) < 0.3).astype("float32")
    check(ConvPoolGrad((2, 2)), x, w, y, argmax, dy, exact=True)


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
    assert np.array_equal(run(node_of(op, arrays), named(op, "argmax_walk"), arrays)[1], want)


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
            (Conv2dWgrad(groups=9), (x.transpose(1, 0, 2, 3).copy(), full[:1, :9], *dims(5, 5))),
            (Conv2dWgrad(groups=20), (full, full[:, :, 4:, 4:].copy(), *dims(5, 5))),
        ):
            node = node_of(op, arrays)
            for kernel in cpu_kernels(op):
                refusal = kernel.supports(node)
                if refusal and not isinstance(refusal, Slower):
                    continue
                first = [a.tobytes() for a in run(node, kernel, arrays)]
                for _ in range(3):
                    assert [a.tobytes() for a in run(node, kernel, arrays)] == first
    finally:
        core.set_num_threads(before)


def chosen_of(kind: str, x: tuple[int, ...], w: tuple[int, ...], **attributes: int) -> str:
    """The kernel of a convolution or of one of its gradients."""
    xs, ws = sc.tensor("float32", x), sc.tensor("float32", w)
    y = sc.conv2d(xs, ws, **attributes)
    if kind != "fprop":
        dy = sc.tensor("float32", y.type.shape)
        y = sc.grad(None, xs if kind == "dgrad" else ws, known_grads={y: dy})
    return next(k.name for k in cpu_kernels(y.owner.op) if k.supports(y.owner) is None)


# Sizes of which one kernel needs three quarters of the others' time, or less, with AVX2 as with AVX-512.
CHOICES = [
    ((10, 1, 28, 28), (20, 1, 5, 5), {}, ("winograd_columns", "gemm_scatter", "winograd_columns")),
    ((10, 20, 12, 12), (40, 20, 5, 5), {}, ("winograd",) * 3),
    ((10, 3, 28, 28), (16, 3, 7, 7), {}, ("winograd_columns", "winograd_columns", "direct_channels")),
    ((10, 3, 13, 13), (16, 3, 5, 5), {}, ("direct_channels", None, "direct_channels")),
    ((8, 64, 56, 56), (64, 64, 3, 3), {"padding": 1}, ("winograd",) * 3),
    ((8, 128, 56, 56), (128, 128, 3, 3), {"padding": 1, "stride": 2}, ("winograd",) * 3),
    ((1, 512, 14, 14), (512, 512, 3, 3), {"stride": 2}, (None, None, "gemm_gather")),
    ((3, 256, 56, 56), (256, 256, 1, 1), {}, ("gemm_gather", "gemm_gather", None)),
    ((8, 64, 28, 28), (64, 64, 1, 1), {"stride": 2}, ("direct_channels", "gemm_scatter", "direct_channels")),
    ((8, 64, 56, 56), (64, 1, 3, 3), {"padding": 1, "groups": 64}, ("depthwise",) * 3),
    (
        (8, 64, 56, 56),
        (64, 1, 3, 3),
        {"padding": 1, "groups": 64, "stride": 2},
        ("depthwise_channels",) * 3,
    ),
    ((8, 3, 56, 56), (3, 1, 3, 3), {"padding": 1, "groups": 3, "stride": 2}, ("depthwise", None, None)),
    ((8, 64, 7, 7), (64, 1, 3, 3), {"padding": 1, "groups": 64}, ("depthwise_channels",) * 3),
]


@pytest.mark.parametrize("isa", ["avx2", "avx512"])
def test_which_kernel_is_taken(isa: str, rules_of: Callable[[str], None]) -> None:
    rules_of(isa)
    for x, w, attributes, forms in CHOICES:
        for kind, form in zip(("fprop", "dgrad", "wgrad"), forms):
            if form:
                assert chosen_of(kind, x, w, **attributes) == f"{form}_{kind}", (x, w, attributes)
    with sc.config(winograd=False):
        assert chosen_of("dgrad", (2, 3, 224, 224), (64, 3, 3, 3), padding=1) == "gemm_scatter_dgrad"
        assert chosen_of("wgrad", (8, 3, 28, 28), (1, 3, 5, 5)) == "direct_rows_wgrad"


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
