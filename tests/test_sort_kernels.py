"""sort, argsort, cumsum, cumprod of the C++ core beside NumPy, on every instruction set; what they refuse."""

from __future__ import annotations

import numpy as np
import pytest
from test_cuda_sort import drawn, same_bits

from kernels import ISAS, run_kernel
from symconv.graph.params import pack
from symconv.graph.types import KERNEL_DTYPES
from symconv.ops.cumulative import CumProd, CumSum
from symconv.ops.sort import ArgSort, Sort

_core = pytest.importorskip("symconv._core", reason="the C++ core is not built")


@pytest.fixture(params=ISAS)
def isa(request: pytest.FixtureRequest):
    before = _core.isa()
    _core.set_isa(request.param)
    yield request.param
    _core.set_isa(before)


@pytest.fixture(params=[1, 3])
def threads(request: pytest.FixtureRequest):
    before = _core.num_threads()
    _core.set_num_threads(request.param)
    yield request.param
    _core.set_num_threads(before)


@pytest.mark.parametrize("dtype", KERNEL_DTYPES)
def test_every_dtype(dtype: str, isa: str) -> None:
    for shape, axis in (((5, 37), 1), ((37, 5), 0), ((3, 1, 4), 1), ((0, 3), 1), ((3, 0), 1), ((700,), 0)):
        x = drawn(shape, dtype)
        for op in (Sort(axis), ArgSort(axis), CumSum(axis), CumProd(axis), CumSum(axis, reverse=True)):
            (y,) = run_kernel(op, x)
            np.testing.assert_array_equal(y, op.reference(x), err_msg=f"{op} {dtype} {shape}")


@pytest.mark.parametrize("n", [1, 15, 16, 17, 31, 257, 16_384, 32_768, 40_009, 100_003])
def test_sorted_as_by_numpy(n: int, threads: int) -> None:
    """One row, which threads share from some length on; rows of their own; and NaNs in all places."""
    for shape, axis in (((n,), 0), ((n, 2), 0), ((5, n), 1)):
        x = drawn(shape, "float32", n)
        ascending, descending = np.sort(x, axis), -np.sort(-x, axis)
        for op in (Sort(axis), ArgSort(axis)):
            for data in (x, ascending, descending) if n < 50_000 else (x,):
                same_bits(run_kernel(op, data)[0], op.reference(data), f"{op} {shape}")


def test_nothing_but_nan() -> None:
    x = np.full(70, np.nan, "float32")
    assert np.isnan(run_kernel(Sort(0), x)[0]).all()
    np.testing.assert_array_equal(run_kernel(ArgSort(0), x)[0], np.arange(70))


def test_sorting_in_place_of_its_input() -> None:
    for shape, axis in (((3, 300), 1), ((300, 3), 0)):
        x = drawn(shape, "float32")
        same_bits(run_kernel(Sort(axis), x, inplace=[(0, 0)])[0], Sort(axis).reference(x), str(shape))
        same_bits(run_kernel(CumSum(axis), x, inplace=[(0, 0)])[0], CumSum(axis).reference(x), str(shape))


@pytest.mark.parametrize(
    ("shape", "axis"),
    [((100_003,), 0), ((3, 40_000), 1), ((9, 1001), 1), ((20_000, 3), 0), ((2, 501, 70), 1), ((300, 5), 1)],
    ids=str,
)
def test_running_sums_do_not_depend_on_threads(shape: tuple[int, ...], axis: int, isa: str) -> None:
    rng = np.random.default_rng(1)
    x, whole = rng.standard_normal(shape).astype("float32"), rng.integers(-4, 5, shape).astype("float32")
    for op in (CumSum(axis), CumSum(axis, reverse=True)):
        before, results = _core.num_threads(), []
        try:
            for n in (1, 2, 3):
                _core.set_num_threads(n)
                results.append(run_kernel(op, x)[0])
        finally:
            _core.set_num_threads(before)
        assert len({r.tobytes() for r in results}) == 1
        expected = op.reference(x.astype("float64"))
        np.testing.assert_allclose(results[0], expected, rtol=1e-6, atol=1e-6)
        np.testing.assert_array_equal(run_kernel(op, whole)[0], op.reference(whole))


def test_a_running_sum_keeps_the_sign_of_zero() -> None:
    x = np.float32([[-0.0, -0.0, 0.0], [-0.0, 1, -1]])
    for axis in (0, 1):
        same_bits(run_kernel(CumSum(axis), x)[0], CumSum(axis).reference(x), str(axis))


@pytest.mark.parametrize(
    ("entry", "change", "message"),
    [
        ("sort", {"dtype": 9}, "sort: dtype 9"),
        ("argsort", {"n": -1}, "argsort: extents 2, -1, 1"),
        ("sort", {"n": 1 << 31}, "extents"),
        ("sort", {"outer": 1 << 40, "inner": 1 << 40}, "overflow"),
        ("sort", {"n": 4}, "the input has 24 bytes, the params need 32"),
        ("argsort", {}, "the output has 24 bytes, the params need 48"),
        ("cumulative", {"op": 2}, "op 2 on dtype 6"),
        ("cumulative", {"outer": -2}, "extents -2"),
        ("cumulative", {"outer": 1 << 40, "inner": 1 << 40}, "overflow"),
        ("cumulative", {"inner": 2}, "the input has 24 bytes, the params need 48"),
        ("cumulative", {"dtype": 4}, "the output has 24 bytes, the params need 48"),
    ],
)
def test_sizes_that_do_not_fit_are_refused(entry: str, change: dict, message: str) -> None:
    fields = {"dtype": 6, "unused": 0, "outer": 2, "n": 3, "inner": 1}
    if entry == "cumulative":
        fields |= {"op": 0, "reverse": 0}
    params = pack("CumulativeParams" if entry == "cumulative" else "SortParams", **{**fields, **change})
    x, y = np.ones(6, "float32"), np.ones(6, "float32")
    with pytest.raises(ValueError, match=message):
        _core.call_kernel(entry, params, [x], [y])
