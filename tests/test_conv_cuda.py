"""Every CUDA kernel of convolution and pooling by its descriptor, chosen or not: exact on whole numbers, in
three orders of the threads, with NaN where the reference has it."""

from __future__ import annotations

import re
from fnmatch import fnmatch

import numpy as np
import pytest
from cases.conv import LAYERS, POOLED
from cases.pool import ROWS
from cuda_kernels import run_cuda_kernel

import symconv as sc
from kernels import oracle
from symconv.graph import Apply, Kernel, Op, constant
from symconv.graph.params import kernel_dir
from symconv.ops.conv import Conv2d, Conv2dDgrad, Conv2dWgrad
from symconv.ops.conv_pool import ConvPool, ConvPoolGrad
from symconv.ops.conv_pool_kernels import GradTiling, Sizes, grad_tiling
from symconv.ops.pool import AvgPool2d, AvgPool2dGrad, LpPool2d, MaxPool2d, MaxPool2dGrad, MaxPool2dPick

pytestmark = pytest.mark.usefixtures("cxx")
BETTER = "estimated faster"  # how a refusal ends that is a matter of speed


def node_of(op: Op, arrays: tuple[np.ndarray, ...]) -> Apply:
    return op.make(*(constant(a) if a.ndim == 0 else sc.tensor(str(a.dtype), a.shape) for a in arrays))


def able(node: Apply) -> list[Kernel]:
    """The CUDA kernels that can run the node, whether or not others are faster."""
    kernels = [k for k in node.op.kernels if k.device == "cuda"]
    return [k for k in kernels if (k.supports(node) or BETTER).endswith(BETTER)]


def check(op: Op, *arrays: np.ndarray, exact: bool = True, orders: tuple[int, ...] = (0, 1, 2)) -> set[str]:
    """Runs all kernels of the node against the reference; their names."""
    node, desired = node_of(op, arrays), oracle(op, *arrays)
    kernels = able(node)
    assert kernels
    for i, kernel in enumerate(kernels):
        order = orders[i % len(orders)]
        for got, want in zip(run_cuda_kernel(node, kernel, *arrays, order=order), desired):
            if exact or got.dtype.kind != "f":
                np.testing.assert_array_equal(got, want, err_msg=kernel.name)
            else:
                eps = float(np.finfo(got.dtype).eps)
                atol = 64 * eps * max(1, np.abs(want).max(initial=0))
                np.testing.assert_allclose(got, want, rtol=64 * eps, atol=atol, err_msg=kernel.name)
    return {k.name for k in kernels}


def whole(rng: np.random.Generator, shape: tuple[int, ...], dtype: str = "float32") -> np.ndarray:
    return rng.integers(-3, 4, shape).astype(dtype)


# ---- conv_pool

# More for the 2 x 2 kernels: padding, rows and images left over, channel blocks left over, every split.
TILED = {
    "five": ((3, 7, 13, 15), (11, 7, 5, 5), (2, 2), (1, 2, 0, 3)),
    "three": ((2, 5, 8, 9), (9, 5, 3, 3), (2, 2), (1, 1, 1, 1)),
    "odd": ((2, 3, 9, 8), (5, 3, 4, 2), (2, 2), (0, 1, 2, 0)),
    "chunks": ((1, 130, 6, 6), (3, 130, 3, 3), (2, 2), (0, 0, 0, 0)),
    "five_flipped": ((1, 6, 11, 14), (9, 6, 5, 5), (2, 2), (2, 1, 3, 0)),
    "three_flipped": ((2, 3, 9, 8), (6, 3, 3, 3), (2, 2), (0, 0, 1, 1)),
    "odd_flipped": ((2, 3, 9, 8), (5, 3, 4, 2), (3, 2), (0, 1, 2, 0)),
}
FLIPPED = ("five_flipped", "three_flipped", "odd_flipped", "parts")


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", [*POOLED, *TILED])
def test_conv_pool_exact(name: str, dtype: str) -> None:
    x_shape, w_shape, window, padding = {**POOLED, **TILED}[name]
    rng = np.random.default_rng(1)
    arrays = tuple(whole(rng, s, dtype) for s in (x_shape, w_shape, w_shape[:1]))
    names = check(ConvPool(window, padding, "relu", name in FLIPPED), *arrays)
    if dtype == "float32" and window == (2, 2):
        assert "direct_conv_pool_2x2_k4" in names and (w_shape[2:] not in ((3, 3), (5, 5)) or len(names) == 5)
    assert any(n.startswith("conv_pool_naive") for n in names)


@pytest.mark.parametrize("activation", ["linear", "sigmoid", "tanh"])
def test_conv_pool_activations(activation: str) -> None:
    rng = np.random.default_rng(2)
    arrays = tuple(whole(rng, s) / 8 for s in ((1, 2, 8, 8), (3, 2, 3, 3), (3,)))
    check(ConvPool((2, 2), activation=activation), *(a.astype("float32") for a in arrays), exact=False)


def test_conv_pool_keeps_nan_and_its_place() -> None:
    rng = np.random.default_rng(3)
    x, w, b = whole(rng, (2, 3, 12, 12)), whole(rng, (20, 3, 3, 3)), whole(rng, (20,))
    x[0, 1, 4, 5] = np.nan
    for activation in ("linear", "relu"):
        assert np.isnan(oracle(ConvPool((2, 2), activation=activation), x, w, b)[0]).any()
        check(ConvPool((2, 2), activation=activation), x, w, b)


# ---- conv_pool_grad

# Bands of rows, several passes over a large patch, more maps than are staged at once, channels
# in groups, images in parts.
WALKED = {
    "bands": ((1, 2, 40, 60), (3, 2, 3, 3), (2, 2), (1, 1, 1, 1)),
    "large_patch": ((2, 2, 15, 13), (3, 2, 12, 11), (2, 2), (0, 0, 0, 0)),
    "many_maps": ((1, 1, 3, 3), (1100, 1, 2, 2), (2, 2), (0, 0, 0, 0)),
    "groups": ((270, 8, 8, 8), (1, 8, 8, 8), (1, 1), (0, 0, 0, 0)),
    "parts": ((58, 1, 28, 28), (2, 1, 5, 5), (2, 2), (0, 0, 0, 0)),
}


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", [*POOLED, *TILED, *WALKED])
def test_conv_pool_grad_exact(name: str, dtype: str) -> None:
    x_shape, w_shape, window, padding = {**POOLED, **TILED, **WALKED}[name]
    rng = np.random.default_rng(4)
    x, w, b = (whole(rng, s, dtype) for s in (x_shape, w_shape, w_shape[:1]))
    flip = name in FLIPPED
    y, argmax = ConvPool(window, padding, "relu", flip).reference(x, w, b)
    for i, (kept, need_dx) in enumerate(((0.3, True), (1.0, False), (0.0, True))):
        if i and name in WALKED:
            break
        dy = whole(rng, y.shape, dtype) * (rng.random(y.shape) < kept).astype(dtype)
        op = ConvPoolGrad(window, padding, "relu", flip, need_dx=need_dx)
        names = check(op, x, w, y, argmax, dy, orders=(i, i + 1))
        assert len(names) == 2


def test_conv_pool_grad_uses_each_form() -> None:
    def tiling(name: str) -> GradTiling:
        (n, c, h, w), (k, _, r, s), window, padding = {**POOLED, **WALKED}[name]
        return grad_tiling(Sizes(n, c, h, w, k, r, s, *window, *padding, 1, 0), 4)

    assert tiling("bands").rows < 40 and tiling("large_patch").rows == 15
    assert tiling("groups").groups > 1 and tiling("parts").parts > 1
    assert tiling("many_maps").maps < 1100 and tiling("book_second").values == 125
    assert tiling("book_second").stage and not tiling("groups").stage


@pytest.mark.parametrize("activation", ["linear", "sigmoid", "tanh"])
def test_conv_pool_grad_activations(activation: str) -> None:
    rng = np.random.default_rng(5)
    x, w, b = ((whole(rng, s) / 8).astype("float32") for s in ((2, 2, 8, 8), (3, 2, 3, 3), (3,)))
    y, argmax = ConvPool((2, 2), activation=activation).reference(x, w, b)
    check(ConvPoolGrad((2, 2), activation=activation), x, w, y, argmax, whole(rng, y.shape), exact=False)


def test_conv_pool_grad_leaves_nan_pixels_without_gradient_alone() -> None:
    rng = np.random.default_rng(6)
    x, w, b = whole(rng, (2, 3, 8, 8)), whole(rng, (5, 3, 3, 3)), whole(rng, (5,))
    y, argmax = ConvPool((2, 2)).reference(x, w, b)
    dy = whole(rng, y.shape)
    dy[1] = 0
    op = ConvPoolGrad((2, 2))
    want = oracle(op, x, w, y, argmax, dy)
    x[1] = np.nan
    node = node_of(op, (x, w, y, argmax, dy))
    for kernel in able(node):
        for got, expected in zip(run_cuda_kernel(node, kernel, x, w, y, argmax, dy), want):
            np.testing.assert_array_equal(got, expected)


def test_conv_pool_grad_spreads_nan() -> None:
    rng = np.random.default_rng(7)
    x, w, b = whole(rng, (1, 2, 6, 6)), whole(rng, (3, 2, 3, 3)), whole(rng, (3,))
    y, argmax = ConvPool((2, 2)).reference(x, w, b)
    dy = whole(rng, y.shape)
    dy[0, 1, 1, 0] = np.nan
    check(ConvPoolGrad((2, 2)), x, w, y, argmax, dy)


# ---- conv2d and its gradients


def dims(*sizes: int) -> tuple[np.ndarray, ...]:
    return tuple(np.asarray(s, "int64") for s in sizes)


# More than one tile of rows, columns and depth; sums in parts; stride and dilation with a common factor.
LARGE = {
    "tiles": ((3, 9, 17, 19), (70, 9, 3, 3), {"padding": 1}),
    "rows": ((1, 130, 5, 5), (133, 130, 1, 1), {}),
    "parts": ((7, 2, 23, 19), (5, 2, 3, 2), {"padding": (1, 2)}),
    "common_factor": ((2, 3, 15, 14), (4, 3, 3, 4), {"stride": (4, 6), "dilation": (2, 3), "padding": 5}),
}


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", [*LAYERS, *LARGE])
def test_convolution_kernels_exact(name: str, dtype: str) -> None:
    x_shape, w_shape, attributes = {**LAYERS, **LARGE}[name]
    rng = np.random.default_rng(8)
    x, w = whole(rng, x_shape, dtype), whole(rng, w_shape, dtype)
    y = sc.conv2d(sc.tensor(dtype, x_shape), sc.tensor(dtype, w_shape), **attributes)
    fields = tuple(y.owner.op.attributes().values())
    dy = whole(rng, y.type.dims, dtype)
    forms = ("direct", "128x64", "64x64", "32x128") if dtype == "float32" else ("direct", "64x64")
    for i, names in enumerate(
        (
            check(Conv2d(*fields), x, w),
            check(Conv2dDgrad(*fields), dy, w, *dims(*x_shape[2:]), orders=(1, 2, 0)),
            check(Conv2dWgrad(*fields), x, dy, *dims(*w_shape[2:]), orders=(2, 0, 1)),
        )
    ):
        kind = ("fprop", "dgrad", "wgrad")[i]
        assert all(any(kind in n and form in n for n in names) for form in forms)


def test_weight_gradient_in_parts() -> None:
    x, w, attributes = LARGE["parts"]
    y = sc.conv2d(sc.tensor("float32", x), sc.tensor("float32", w), **attributes)
    fields = tuple(y.owner.op.attributes().values())
    node = node_of(Conv2dWgrad(*fields), (np.zeros(x, "f4"), np.zeros(y.type.dims, "f4"), *dims(*w[2:])))
    launches = {k.name: k.launch(node) for k in able(node)}
    assert launches["implicit_wgrad_64x64_f32"].then is not None
    assert launches["direct_wgrad_f32"].tiles == 60  # a block an element


def test_convolution_spreads_nan() -> None:
    rng = np.random.default_rng(9)
    x, w = whole(rng, (2, 3, 9, 8)), whole(rng, (5, 3, 3, 3))
    x[1, 2, 4, 4] = np.nan
    check(Conv2d(padding=(1, 1, 1, 1)), x, w)
    dy = whole(rng, (2, 5, 7, 6))
    dy[0, 3, 0, 5] = np.nan
    check(Conv2dDgrad(), dy, w, *dims(9, 8))
    check(Conv2dWgrad(), whole(rng, (2, 3, 9, 8)), dy, *dims(3, 3))


def test_selection_by_size() -> None:
    def chosen(op: Op, *shapes: tuple[int, ...]) -> str:
        node = op.make(*(sc.tensor("float32", s) if len(s) == 4 else constant(s[0], "int64") for s in shapes))
        return next(k.name for k in node.op.kernels if k.device == "cuda" and k.supports(node) is None)

    pad = Conv2d(padding=(1, 1, 1, 1))
    assert chosen(pad, (128, 128, 28, 28), (128, 128, 3, 3)) == "implicit_fprop_128x64_f32"
    assert chosen(pad, (64, 3, 28, 28), (20, 3, 3, 3)) == "implicit_fprop_32x128_f32"
    depthwise = Conv2d(padding=(1, 1, 1, 1), groups=64)
    assert chosen(depthwise, (16, 64, 28, 28), (64, 1, 3, 3)) == "direct_fprop_f32"


# ---- pooling

# Windows that a warp shares, whole images, more rows than a tile of the gradient holds, more windows.
WINDOWS = {
    "by_warp": ((2, 2, 13, 12), (9, 8), {"stride": (2, 3), "padding": (3, 2)}),
    "bands": ((1, 2, 50, 110), 3, {"stride": 1, "padding": 1}),
    "many_windows": ((1, 1, 2, 2100), (2, 3), {"stride": 1, "padding": 1}),
}


INTEGERS = [
    (name, t) for name in ("padding", "by_warp") for t in ("int8", "uint8", "int16", "int32", "int64")
]


@pytest.mark.parametrize(
    "name, dtype", [(n, t) for n in (*ROWS, *WINDOWS) for t in ("float32", "float64")] + INTEGERS
)
def test_pooling_kernels(name: str, dtype: str) -> None:
    shape, window, attributes = {**ROWS, **WINDOWS}[name]
    rng = np.random.default_rng(10)
    x, v = (rng.integers(0, 7, shape).astype(dtype) for _ in range(2))
    pooled = sc.max_pool2d(sc.tensor(dtype, shape), window, **attributes)
    fields = tuple(pooled.owner.op.attributes().values())
    dy = rng.integers(0, 4, pooled.type.dims).astype(dtype)
    check(MaxPool2d(*fields), x)
    names = check(MaxPool2dGrad(*fields), x, dy)
    assert len(names) == (1 if name == "many_windows" else 2)
    check(MaxPool2dPick(*fields), x, v, orders=(1,))
    if x.dtype.kind != "f":
        return
    check(AvgPool2d(*fields, "sum"), x, orders=(2,))
    check(AvgPool2dGrad(*fields, "sum"), dy, *dims(*shape[2:]))
    for mode in ("padded", "mean"):
        check(AvgPool2d(*fields, mode), x, exact=False, orders=(1,))
        check(AvgPool2dGrad(*fields, mode), dy, *dims(*shape[2:]), exact=False)
    for exponent in (1.0, 2.0, 3.5):
        check(LpPool2d(*fields, exponent), x, exact=False)


@pytest.mark.parametrize("window", [(2, 2), (3, 3), (8, 9)])
def test_max_pooling_of_nan_and_inf(window: tuple[int, int]) -> None:
    rng = np.random.default_rng(11)
    x = rng.choice([np.nan, -np.inf, np.inf, 1, 2], p=[0.02, 0.9, 0.02, 0.03, 0.03], size=(2, 3, 9, 11))
    x = x.astype("float32")
    for stride in ((2, 2), (1, 2)):
        fields = (window, stride, (1, 1, 0, 1))
        pooled = MaxPool2d(*fields).reference(x)
        assert np.isnan(pooled).any() and (window == (8, 9) or np.isneginf(pooled).any())
        check(MaxPool2d(*fields), x)
        check(MaxPool2dGrad(*fields), x, whole(rng, pooled.shape))
        check(MaxPool2dPick(*fields), x, whole(rng, x.shape))


def test_global_pooling() -> None:
    rng = np.random.default_rng(12)
    x = whole(rng, (3, 2, 11, 13))
    for op in (MaxPool2d((0, 0)), AvgPool2d((0, 0), mode="sum")):
        check(op, x)
    check(MaxPool2dGrad((0, 0)), x, whole(rng, (3, 2, 1, 1)))
    check(AvgPool2dGrad((0, 0), mode="sum"), whole(rng, (3, 2, 1, 1)), *dims(11, 13))


# ---- what runs, and how


def book_layer(batch: int, first: bool) -> tuple[Apply, Apply]:
    """conv_pool and its gradient, as in the book's networks."""
    x, w = ((batch, 1, 28, 28), (20, 1, 5, 5)) if first else ((batch, 20, 12, 12), (40, 20, 5, 5))
    inputs = [sc.tensor("float32", s) for s in (x, w, w[:1])]
    forward = ConvPool((2, 2), activation="relu").make(*inputs)
    y, argmax = forward.outputs
    return forward, ConvPoolGrad((2, 2), activation="relu", need_dx=not first).make(*inputs[:2], y, argmax, y)


@pytest.mark.parametrize("first", [True, False])
@pytest.mark.parametrize("batch", [10, 128, 1024])
def test_book_layers_fill_the_gpu(batch: int, first: bool) -> None:
    forward, backward = book_layer(batch, first)
    kernel = next(k for k in able(forward) if k.supports(forward) is None)
    assert kernel.name.startswith("direct_conv_pool_2x2_k") and kernel.name.endswith("_5x5")
    launch = kernel.launch(forward)
    assert launch.tiles >= 132 and launch.shared <= 48 << 10
    kernel = next(k for k in able(backward) if k.supports(backward) is None)
    launch = kernel.launch(backward)
    assert kernel.name == "argmax_walk_f32" and launch.shared <= 64 << 10
    assert launch.tiles >= (132 if batch > 128 or not first else 20)
    assert (launch.then is None) == (batch <= 128 and not (first and batch == 128))


def test_results_do_not_depend_on_the_order_of_threads() -> None:
    rng = np.random.default_rng(13)
    x, w, b = (rng.standard_normal(s).astype("float32") for s in ((4, 5, 12, 12), (6, 5, 5, 5), (6,)))
    y, argmax = ConvPool((2, 2)).reference(x, w, b)
    dy, full = (rng.standard_normal(s).astype("float32") for s in (y.shape, (4, 6, 8, 8)))
    for op, arrays in (
        (ConvPool((2, 2)), (x, w, b)),
        (ConvPoolGrad((2, 2)), (x, w, y, argmax, dy)),
        (Conv2d(), (x, w)),
        (Conv2dDgrad(), (full, w, *dims(12, 12))),
        (Conv2dWgrad(), (x, full, *dims(5, 5))),
        (MaxPool2dGrad((3, 3), (2, 2)), (x, rng.standard_normal((4, 5, 5, 5)).astype("float32"))),
    ):
        node = node_of(op, arrays)
        for kernel in able(node):
            first, *others = (
                [a.tobytes() for a in run_cuda_kernel(node, kernel, *arrays, order=order)]
                for order in (0, 1, 7)
            )
            assert all(o == first for o in others), kernel.name


def test_banners_name_the_kernels() -> None:
    """The rungs of the ladders are the registered kernels, and each kernel is a rung of its own file."""
    ops = (
        Conv2d, Conv2dDgrad, Conv2dWgrad, ConvPool, ConvPoolGrad, MaxPool2d, MaxPool2dGrad, MaxPool2dPick,
        AvgPool2d, AvgPool2dGrad, LpPool2d,
    )  # fmt: skip
    kernels = {k for op in ops for k in op.kernels if k.device == "cuda"}
    names = {k: re.sub(r"_(f32|f64|u?int\d+|float\d+)$", "", k.entry) for k in kernels}
    for source in sorted({k.source for k in kernels}):
        ladder = (kernel_dir() / source[8:]).read_text().split("// The ladder")[1].split("\n#include")[0]
        lines = re.findall(r"^//   ([\w*]+(?:, [\w*]+)*) {2,}\S", ladder, re.M)
        rungs = [r for line in lines for r in line.split(", ")]
        for k, name in names.items():
            assert k.source != source or any(fnmatch(name, r) for r in rungs), f"{name} is not in {source}"
        assert rungs and all(any(fnmatch(n, r) for n in names.values()) for r in rungs), source
