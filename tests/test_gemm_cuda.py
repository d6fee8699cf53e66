"""Every CUDA kernel of the matrix products by its descriptor, on the emulated GPU."""

from __future__ import annotations

import itertools
import math
import re

import numpy as np
import pytest
from cuda_kernels import chosen, kernel_named, node_of, run_cuda_kernel

from symconv.config import config
from symconv.graph.params import kernel_dir
from symconv.ops.dense import BatchedDot, Dot
from symconv.ops.epilogue import ACTIVATIONS
from symconv.ops.gemm import FACTORS, DenseAct, DotMulActGrad, Gemm
from symconv.ops.gemm_cuda import VARIANTS

pytestmark = pytest.mark.usefixtures("cxx")
FLAGS = list(itertools.product([False, True], repeat=2))
NAMES = [f"{v.name}:{v.dtype}" for v in VARIANTS]
# ragged on every side of 4 to 128; fours that are aligned and that are not; vectors; nothing at all
SIZES = [
    (7, 11, 5), (33, 36, 67), (68, 140, 20), (131, 65, 9), (1, 37, 130), (37, 1, 33), (1, 1, 523),
    (10, 100, 41), (12, 8, 260), (5, 3, 0), (17, 4, 1),
]  # fmt: skip
FEW = SIZES[:3] + SIZES[4:5]


@pytest.fixture(params=NAMES)
def variant(request):
    name, dtype = request.param.split(":")
    return next(v for v in VARIANTS if (v.name, v.dtype) == (name, dtype))


def fits(v, m: int, n: int) -> bool:
    """Kernels for few elements are asked for few: the emulator would take its time over their many blocks."""
    return m * n <= 400 or v.form != "parts" and (v.rows * v.columns >= 16 or v.form == "outer")


def whole(rng, *shape: int, dtype: str = "float32") -> np.ndarray:
    return rng.integers(-3, 4, shape).astype(dtype)


def stored(array: np.ndarray, trans: bool) -> np.ndarray:
    return np.ascontiguousarray(array.swapaxes(-1, -2)) if trans else array


def seen(v, *arrays: np.ndarray) -> list[np.ndarray]:
    """The operands as the kernel uses them, in float64: rounded to TF32 by some."""
    if v.form == "tf32":
        arrays = tuple(((a.view("u4") + 0x1000) & 0xFFFFE000).view("f") for a in arrays)
    return [a.astype("f8") for a in arrays]


@pytest.mark.parametrize("flags", FLAGS)
def test_products_of_integers_are_exact(variant, flags):
    rng = np.random.default_rng(1)
    for order, (m, n, k) in enumerate(SIZES):
        if not fits(variant, m, n):
            continue
        a, b = whole(rng, m, k, dtype=variant.dtype), whole(rng, k, n, dtype=variant.dtype)
        operands = stored(a, flags[0]), stored(b, flags[1])
        node = node_of(Dot(*flags), *operands)
        kernel = kernel_named(node, variant.name)
        (got,) = run_cuda_kernel(node, kernel, *operands, order=order % 3, shift=order % 2)
        np.testing.assert_array_equal(got, a @ b, err_msg=f"{m}x{n}x{k}")


def test_gaussian_products_match_float64(variant):
    rng = np.random.default_rng(2)
    for m, n, k in [(33, 36, 67), (5, 7, 523), (1, 12, 900)]:
        if fits(variant, m, n):
            a, b = rng.normal(size=(m, k)), rng.normal(size=(k, n))
            a, b = a.astype(variant.dtype), b.astype(variant.dtype)
            node = node_of(Dot(), a, b)
            (got,) = run_cuda_kernel(node, kernel_named(node, variant.name), a, b)
            close(got, np.matmul(*seen(variant, a, b)), k)


def close(got: np.ndarray, expected: np.ndarray, terms: int) -> None:
    eps = np.finfo(got.dtype).eps
    np.testing.assert_allclose(got, expected, rtol=20 * eps, atol=20 * eps * math.sqrt(max(terms, 1)))


@pytest.mark.parametrize("flags", FLAGS)
@pytest.mark.parametrize("name", ["gemm_dots_1x1_parts", "gemm_dots_1x8_parts", "gemm_dots_4x4_parts"])
def test_parts_of_many_terms_add_up(name, flags):
    rng = np.random.default_rng(11)
    for batch, m, n, k in [((), 1, 1, 8193), ((2,), 1, 3, 4100), ((), 3, 1, 12288)]:
        a, b = whole(rng, *batch, m, k), whole(rng, k, n)
        operands = stored(a, flags[0]), stored(b, flags[1])
        node = node_of(BatchedDot(*flags), *operands)
        (got,) = run_cuda_kernel(node, kernel_named(node, name), *operands, order=2)
        np.testing.assert_array_equal(got, a @ b)


def test_alpha_beta_and_in_place(variant):
    rng = np.random.default_rng(3)
    for (m, n, k), (alpha, beta) in zip(
        itertools.cycle(FEW), [(1, 0), (-2, 1), (3, -2), (0.5, 0.5), (0, 2), (2, 0)]
    ):
        if not fits(variant, m, n):
            continue
        flags = FLAGS[(m + n) % 4]
        a, b = whole(rng, m, k, dtype=variant.dtype), whole(rng, k, n, dtype=variant.dtype)
        c = whole(rng, m, n, dtype=variant.dtype) if beta else np.full((m, n), np.nan, variant.dtype)
        arrays = (c, stored(a, flags[0]), stored(b, flags[1]), *(np.array(s, c.dtype) for s in (alpha, beta)))
        node = node_of(Gemm(*flags), *arrays)
        kernel = kernel_named(node, variant.name)
        assert kernel.inplace_pairs(node) == ((0, 0),)
        expected = alpha * (a @ b) + (beta * c if beta else 0)
        for in_place in (False, True):
            (got,) = run_cuda_kernel(node, kernel, *arrays, in_place=in_place, shift=m % 2)
            np.testing.assert_array_equal(got, expected, err_msg=f"{m}x{n}x{k} {alpha} {beta} {in_place}")


@pytest.mark.parametrize("activation", list(ACTIVATIONS))
def test_dense_act(variant, activation):
    rng = np.random.default_rng(4)
    for m, n, k in [(33, 36, 67), (9, 1, 65), (1, 19, 40)]:
        if not fits(variant, m, n):
            continue
        x, w, b = (rng.normal(size=s).astype(variant.dtype) for s in ((m, k), (k, n), n))
        node = node_of(DenseAct(False, False, activation), x, w, b)
        (got,) = run_cuda_kernel(node, kernel_named(node, variant.name), x, w, b)
        close(got, node.op.reference(*seen(variant, x, w), b.astype("f8")), k)


@pytest.mark.parametrize("activation", list(FACTORS))
def test_dot_mul_act_grad(variant, activation):
    rng = np.random.default_rng(5)
    for m, n, k in [(33, 36, 21), (19, 1, 65), (1, 19, 40)]:
        if not fits(variant, m, n):
            continue
        dy, w = (rng.normal(size=s).astype(variant.dtype) for s in ((m, k), (n, k)))
        y = (rng.random((m, n)) * (rng.random((m, n)) < 0.5)).astype(variant.dtype)
        node = node_of(DotMulActGrad(False, True, activation), dy, w, y)
        kernel = kernel_named(node, variant.name)
        (got,) = run_cuda_kernel(node, kernel, dy, w, y)
        close(got, node.op.reference(*seen(variant, dy, w), y.astype("f8")), k)
        if activation != "linear":
            dy[:] = np.inf
            (got,) = run_cuda_kernel(node, kernel, dy, np.ones_like(w), y)
            assert (got[y == 0] == 0).all() or activation == "tanh"  # act'(0) of tanh is 1


def test_nan_stays_where_it_belongs(variant):
    m, n = (17, 20) if variant.rows > 1 or variant.form == "outer" else (1, 5)
    a, b = np.ones((m, 23), variant.dtype), np.ones((23, n), variant.dtype)
    a[0, 22] = np.nan
    node = node_of(DenseAct(False, False, "relu"), a, b, b[0])
    (got,) = run_cuda_kernel(node, kernel_named(node, variant.name), a, b, b[0])
    assert np.isnan(got[0]).all() and (got[1:] == 24).all()


def test_results_do_not_depend_on_the_order_of_threads(variant):
    rng = np.random.default_rng(6)
    m, n, k = (18, 33, 77) if variant.rows > 1 or variant.form == "outer" else (1, 9, 300)
    a, b = rng.normal(size=(m, k)).astype(variant.dtype), rng.normal(size=(k, n)).astype(variant.dtype)
    node = node_of(Dot(), a, b)
    results = []
    for order in (0, 1, 2, 3):
        results += run_cuda_kernel(node, kernel_named(node, variant.name), a, b, order=order)
    assert len({r.tobytes() for r in results}) == 1


BATCHES = [
    ((5, 3, 7), (5, 7, 11)), ((1, 3, 7), (5, 7, 11)), ((3, 7), (5, 7, 11)), ((4, 1, 3, 7), (2, 7, 5)),
    ((2, 20, 50), (1, 50, 17)), ((3, 4, 1), (3, 1, 5)), ((7, 20, 33), (7, 33, 1)), ((2, 3, 0), (2, 0, 4)),
]  # fmt: skip


def test_batches_broadcast(variant):
    rng = np.random.default_rng(7)
    for number, (sa, sb) in enumerate(BATCHES):
        if not fits(variant, sa[-2], sb[-1]):
            continue
        flags = FLAGS[number % 4]
        a, b = whole(rng, *sa, dtype=variant.dtype), whole(rng, *sb, dtype=variant.dtype)
        operands = stored(a, flags[0]), stored(b, flags[1])
        node = node_of(BatchedDot(*flags), *operands)
        (got,) = run_cuda_kernel(node, kernel_named(node, variant.name), *operands)
        np.testing.assert_array_equal(got, a @ b, err_msg=f"{sa} {sb} {flags}")


@pytest.mark.parametrize("dtype", ["bool", "int8", "uint8", "int16", "int32", "int64"])
@pytest.mark.parametrize("flags", FLAGS)
def test_integers_wrap_as_numpy(dtype, flags):
    rng = np.random.default_rng(8)
    low, high = (0, 2) if dtype == "bool" else (np.iinfo(dtype).min, np.iinfo(dtype).max)
    for sa, sb in [((7, 11), (11, 5)), ((19, 3), (3, 23)), ((4, 0), (0, 3)), *BATCHES[:4]]:
        a, b = rng.integers(low, high, sa).astype(dtype), rng.integers(low, high, sb).astype(dtype)
        operands = stored(a, flags[0]), stored(b, flags[1])
        node = node_of(BatchedDot(*flags), *operands)
        assert chosen(node).name == "gemm_plain"
        (got,) = run_cuda_kernel(node, kernel_named(node, "gemm_plain"), *operands)
        np.testing.assert_array_equal(got, a @ b)


@pytest.mark.parametrize(
    "m, n, k, flags, name",
    [
        (10, 100, 784, (False, False), "gemm_dots_4x4_block"),
        (128, 100, 784, (False, False), "gemm_dots_8x8_block"),
        (10, 784, 100, (False, True), "gemm_dots_8x8_block"),
        (10, 10, 100, (False, False), "gemm_dots_4x4_block"),
        (1000, 20, 100, (False, False), "gemm_dots_4x4_warp"),
        (784, 100, 10, (True, False), "gemm_outer_1x4"),
        (4096, 4096, 10, (True, False), "gemm_outer_4x4"),
        (4096, 4096, 4096, (False, False), "gemm_128x128"),
        (1024, 1024, 1024, (False, True), "gemm_64x64"),
        (512, 512, 512, (True, False), "gemm_32x32"),
        (128, 784, 100, (False, True), "gemm_16x32"),
        (1, 4096, 4096, (False, False), "gemm_dots_1x8_block"),
        (4096, 1, 4096, (False, False), "gemm_dots_1x8_block"),
        (100000, 1, 100, (False, False), "gemm_dots_1x8_warp"),
        (1, 1, 10000, (False, False), "gemm_dots_1x1_block"),
        (1, 1, 100000, (False, False), "gemm_dots_1x1_parts"),
        (1, 100, 100000, (False, False), "gemm_dots_1x8_parts"),
        (10, 100, 100000, (False, False), "gemm_dots_4x4_parts"),
    ],
)
def test_the_kernel_fits_the_size(m, n, k, flags, name):
    a = np.empty((k, m) if flags[0] else (m, k), "f")
    b = np.empty((n, k) if flags[1] else (k, n), "f")
    node = node_of(Dot(*flags), a, b)
    assert chosen(node).name == name
    reasons = [kernel.supports(node) for kernel in node.op.kernels]
    assert all(r is None or len(r) > 10 for r in reasons)


@pytest.mark.parametrize(
    "m, n, k, name",
    [
        (4096, 4096, 4096, "gemm_tf32_128x128"),
        (1024, 1024, 1024, "gemm_tf32_64x64"),
        (10, 100, 784, "gemm_dots_4x4_block"),
        (4096, 4096, 10, "gemm_outer_4x4"),
    ],
)
def test_tf32_is_for_large_products_and_for_those_who_ask(m, n, k, name):
    node = node_of(Dot(), np.empty((m, k), "f"), np.empty((k, n), "f"))
    assert "tf32" not in chosen(node).name
    with config(tf32=True):
        assert chosen(node).name == name
        wide = node_of(Dot(), np.empty((m, k)), np.empty((k, n)))
        assert "tf32" not in chosen(wide).name


def test_sizes_beyond_32_bits_are_refused():
    node = node_of(Dot(), np.empty((2**31, 0), "f"), np.empty((0, 1), "f"))
    assert all(k.supports(node) for k in node.op.kernels if k.device == "cuda")


def test_banners_name_the_kernels():
    """Each variant has its entry, and each entry of the files is a variant."""
    entries = set()
    for path in kernel_dir().glob("gemm_*.cu"):
        entries |= set(re.findall(r"^KERNEL(?:_ALONE)?\((\w+)", path.read_text(), re.M))
    node = node_of(Dot(), np.empty((2, 2), "f"), np.empty((2, 2), "f"))
    stages = {"gemm_dots_sum_f32"}
    assert entries - stages == {k.entry for k in node.op.kernels if k.device == "cuda"}
