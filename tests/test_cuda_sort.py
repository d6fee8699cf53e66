"""sort, argsort, cumsum, cumprod in the emulator: layouts of tiles, ties, bits, persistent kernels."""

from __future__ import annotations

import numpy as np
import pytest
from cuda_kernels import chosen, node_of, run_cuda_kernel

from symconv.graph import Op
from symconv.graph.types import KERNEL_DTYPES
from symconv.ops import cumulative_kernels
from symconv.ops.cumulative import CumProd, CumSum
from symconv.ops.cumulative_kernels import geometry
from symconv.ops.sort import ArgSort, Sort

pytestmark = pytest.mark.usefixtures("cxx")


def run(op: Op, x: np.ndarray, order: int = 0, in_place: bool = False) -> np.ndarray:
    node = node_of(op, x)
    return run_cuda_kernel(node, chosen(node), x, order=order, in_place=in_place)[0]


def drawn(shape: tuple[int, ...], dtype: str, seed: int = 1) -> np.ndarray:
    """Values with many ties; of floats some NaN, infinities and zeros of both signs."""
    rng = np.random.default_rng(seed)
    x = rng.integers(0 if dtype in ("bool", "uint8") else -9, 2 if dtype == "bool" else 9, shape)
    x = np.asarray(x).astype(dtype)
    if x.dtype.kind == "f":
        for value in (np.nan, -0.0, 0.0, np.inf, -np.inf):
            x[rng.random(shape) < 0.05] = value
    return x


def same_bits(actual: np.ndarray, desired: np.ndarray, what: str) -> None:
    np.testing.assert_array_equal(actual, desired, err_msg=what)
    if actual.dtype.kind == "f":  # which zero, not only that it is one
        numbers = ~np.isnan(desired)
        np.testing.assert_array_equal(np.signbit(actual)[numbers], np.signbit(desired)[numbers], err_msg=what)


@pytest.mark.parametrize("n", [1, 2, 7, 8, 9, 31, 64, 257, 2047, 2048, 2049, 4096, 10_007])
def test_sorted_as_by_numpy(n: int) -> None:
    """Rows that share a tile, fill one, and are merged from several; along the last axis and across it."""
    for shape, axis in (((3, n), 1), ((n, 3), 0), ((2, n, 5), 1)):
        if n > 3000 and len(shape) == 3:
            continue
        x = drawn(shape, "float32", n)
        for op in (Sort(axis), ArgSort(axis)):
            same_bits(run(op, x, order=2), op.reference(x), f"{op} {shape}")


@pytest.mark.parametrize("dtype", KERNEL_DTYPES)
def test_every_dtype(dtype: str) -> None:
    for shape, axis in (((5, 37), 1), ((37, 5), 0), ((2500,), 0)):
        x = drawn(shape, dtype)
        if x.dtype.kind == "i" and x.size > 3:  # the extremes, which also stand for places beyond a row
            limits = np.iinfo(x.dtype)
            x.flat[0], x.flat[1], x.flat[2] = limits.max, limits.min, limits.max
        for op in (Sort(axis), ArgSort(axis), CumSum(axis), CumProd(axis), CumSum(axis, reverse=True)):
            np.testing.assert_array_equal(run(op, x), op.reference(x), err_msg=f"{op} {dtype} {shape}")


def test_sorting_in_place_of_its_input() -> None:
    for shape, axis in (((3, 300), 1), ((300, 3), 0), ((5000,), 0)):
        x = drawn(shape, "float32")
        same_bits(run(Sort(axis), x, in_place=True), Sort(axis).reference(x), str(shape))


SCANS = [
    ((40_000,), 0), ((3, 20_000), 1), ((9_001, 3), 0), ((2, 9001, 2), 1), ((5, 1023), 1), ((300, 5), 1),
    ((7, 1), 1), ((1, 300), 0), ((40, 33, 3), 1), ((3, 4099), 1),
]  # fmt: skip


@pytest.mark.parametrize(("shape", "axis"), SCANS, ids=str)
def test_running_sums_and_products(shape: tuple[int, ...], axis: int) -> None:
    check_running(shape, axis)


def test_rows_enough_to_fill_the_gpu_take_a_warp_each(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cumulative_kernels, "ENOUGH_TILES", 1)
    assert geometry(9, 1030, 1).lane_bits == 5
    check_running((9, 1030), 1)


def check_running(shape: tuple[int, ...], axis: int) -> None:
    """On whole numbers and powers of two, of which nothing is rounded."""
    x = np.random.default_rng(3).integers(-4, 5, shape).astype("float32")
    factors = np.random.default_rng(4).choice(np.float32([0.5, 1, 1, 2, -1]), shape)
    for reverse in (False, True):
        for op, data in ((CumSum(axis, reverse), x), (CumProd(axis, reverse), factors)):
            with np.errstate(all="ignore"):
                expected = op.reference(data.astype("float64")).astype("float32")
            np.testing.assert_array_equal(run(op, data), expected, err_msg=str(op))


def test_running_sums_have_the_same_bits_in_any_order_and_in_place() -> None:
    for shape, axis in (((70_000,), 0), ((20_000, 3), 0), ((3, 999), 1)):
        x = np.random.default_rng(5).standard_normal(shape).astype("float32")
        results = [run(CumSum(axis), x, order) for order in (0, 1, 2)]
        results.append(run(CumSum(axis), x, in_place=True))
        assert len({r.tobytes() for r in results}) == 1
        np.testing.assert_allclose(results[0], np.cumsum(x, axis, dtype="float64"), rtol=1e-6, atol=1e-6)


def test_a_running_sum_keeps_the_sign_of_zero() -> None:
    x = np.float32([[-0.0, -0.0, 0.0], [-0.0, 1, -1]])
    for axis in (0, 1):
        same_bits(run(CumSum(axis), x), CumSum(axis).reference(x), str(axis))


def test_a_nan_stays_in_its_row() -> None:
    x = np.ones((3, 5000), "float32")
    x[1, 4000] = np.nan
    y = run(CumSum(1), x)
    assert np.isnan(y[1, 4000:]).all() and np.isfinite(y[1, :4000]).all() and np.isfinite(y[[0, 2]]).all()


def test_geometry_fills_the_gpu() -> None:
    for outer, n, inner, least in (
        (1, 1 << 24, 1, 200), (10, 1 << 20, 1, 200), (1 << 20, 64, 1, 200), (1, 64, 1 << 20, 200),
        (1, 1 << 20, 100, 200), (1, 1 << 20, 10, 40),
    ):  # fmt: skip
        g = geometry(outer, n, inner)
        assert g.tiles >= least, (outer, n, inner, g)
        assert g.groups * g.per_group >= n > (g.groups - 1) * g.per_group
    assert geometry(1, 5000, 1).groups == 1  # a second pass would cost more
    assert geometry(3, 10, 1).lane_bits == 2


def test_they_take_part_in_a_persistent_kernel() -> None:
    """All stages in one kernel, with a barrier of the grid between them."""
    import symconv as sc
    from symconv.config import config

    x = sc.matrix("x")
    outputs = [sc.sort(x), sc.argsort(x, 0), sc.cumsum(x, 1), sc.arctan2(x, sc.cumprod(x, 0))]
    data = np.random.default_rng(6).standard_normal((3, 5003)).astype("float32")
    with config(gpu_executor="persistent"):
        f = sc.function([x], outputs, device="emulated")
        results = f(data)
        assert "persistent" in f.explain() and " 0 reference steps" in f.explain()
    expected = sc.function([x], outputs, device="reference")(data)
    np.testing.assert_array_equal(results[0], expected[0])
    np.testing.assert_array_equal(results[1], expected[1])
    np.testing.assert_allclose(results[2], expected[2], rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(results[3], expected[3], rtol=1e-4, atol=1e-4)
