"""The CUDA reductions in the emulator: layouts, groups of terms, positions, the same bits in any order."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from cuda_kernels import chosen, node_of, run_cuda_kernel

from symconv.graph.types import KERNEL_DTYPES
from symconv.ops import dividers, reduce
from symconv.ops.reduce_cuda import geometry

pytestmark = pytest.mark.usefixtures("cxx")

OPS = (reduce.Sum, reduce.Prod, reduce.Max, reduce.Min, reduce.Any_, reduce.All, reduce.ArgMax, reduce.ArgMin)


def run(op: reduce.Reduce, x: np.ndarray, order: int = 0) -> np.ndarray:
    node = node_of(op, x)
    return run_cuda_kernel(node, chosen(node), x, order=order)[0]


def test_every_subset_of_axes() -> None:
    rng = np.random.default_rng(1)
    for shape in [(3, 5, 2, 7), (2, 1, 33, 3), (70, 3), (3, 70), (1, 1), (2, 3, 2, 3, 2), ()]:
        x = rng.integers(-3, 4, shape).astype("float32")
        for n in range(len(shape) + 1):
            for axes in itertools.combinations(range(len(shape)), n):
                for cls in (reduce.Sum, reduce.ArgMin)[: 1 + bool(axes)]:
                    op = cls(axes)
                    np.testing.assert_array_equal(run(op, x), op.reference(x), err_msg=f"{op} {shape}")


@pytest.mark.parametrize("dtype", KERNEL_DTYPES)
def test_every_operation(dtype: str) -> None:
    rng = np.random.default_rng(2)
    for shape, axes in (((5, 40), (1,)), ((40, 5), (0,)), ((0, 3), (0,))):
        x = rng.integers(0, 2 if dtype == "bool" else 4, shape).astype(dtype)
        for cls in OPS:
            op = cls(axes)
            if (cls in (reduce.Any_, reduce.All)) != (dtype == "bool") and cls not in (reduce.Sum,):
                continue
            if 0 in shape and not cls.has_identity:
                continue
            expected = op.reference(x)
            np.testing.assert_allclose(run(op, x), expected, rtol=1e-6, err_msg=f"{op} {dtype}")


LONG = [
    ((70_000,), (0,)),
    ((20_000, 3), (0,)),
    ((3, 40_000), (1,)),
    ((40, 3, 600), (0, 2)),
    ((9, 9001), (0,)),
]


@pytest.mark.parametrize(("shape", "axes"), LONG, ids=str)
def test_long_sums_have_the_same_bits_in_any_order(shape: tuple[int, ...], axes: tuple[int, ...]) -> None:
    x = np.random.default_rng(3).standard_normal(shape).astype("float32")
    op = reduce.Sum(axes)
    results = [run(op, x, order) for order in (0, 1, 2)]
    np.testing.assert_allclose(results[0], x.sum(axis=axes, dtype="float64"), rtol=1e-6, atol=1e-6)
    assert results[0].tobytes() == results[1].tobytes() == results[2].tobytes()


def test_indices_beyond_31_bits_are_divided_in_full(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dividers, "LIMIT", 1)
    x = np.random.default_rng(1).integers(-3, 4, (3, 5, 2, 7)).astype("float32")
    for axes in ((0, 2), (1, 3), (1,)):
        np.testing.assert_array_equal(run(reduce.Sum(axes), x), x.sum(axis=axes))


def test_extremes_across_groups() -> None:
    """Ties in several groups of terms: the first counts; and a NaN anywhere."""
    x = np.zeros(70_000, "float32")
    assert geometry(1, x.size, x.size, True).groups > 1
    x[[300, 301, 40_000, 69_999]] = 5
    x[[7, 65_000]] = -5
    assert run(reduce.ArgMax((0,)), x, 2) == 300 and run(reduce.ArgMin((0,)), x, 1) == 7
    assert run(reduce.Max((0,)), x) == 5 and run(reduce.Min((0,)), x) == -5
    x[[50_000, 60_000]] = np.nan
    assert run(reduce.ArgMax((0,)), x) == 50_000
    assert np.isnan(run(reduce.Max((0,)), x)) and np.isnan(run(reduce.Sum((0,)), x))
    assert run(reduce.ArgMax((0,)), np.full((40, 3), -np.inf, "float32")).tolist() == [0, 0, 0]


def test_geometry_fills_the_gpu() -> None:
    for outputs, terms, inner, inner_reduced in (
        (1, 1 << 24, 1 << 24, True), (20, 590_000, 576, True), (10, 1 << 20, 10, False),
        (100_000, 10, 10, True), (1 << 20, 64, 1 << 20, False), (4000, 800, 800, True),
    ):  # fmt: skip
        g = geometry(outputs, terms, inner, inner_reduced)
        tiles = -(-outputs // (256 >> g.lane_bits)) * g.groups
        assert tiles >= 200, (outputs, terms, g)
        assert g.groups * g.per_group >= terms > (g.groups - 1) * g.per_group
        assert g.width_bits + g.lane_bits <= 5 or g.width_bits + g.lane_bits == 8
    assert geometry(1, 5000, 5000, True).groups == 1  # a second launch would cost more


@pytest.mark.parametrize("n", [1, 31, 32, 33, 100])
def test_prod_of_others(n: int) -> None:
    rng = np.random.default_rng(n)
    for dtype in ("float32", "float64"):
        for shape, axes in (((9, n), (1,)), ((n, 9), (0,)), ((3, n, 2), (0, 2))):
            x = rng.choice([-1.0, 1.0, 0.5, 2.0], shape).astype(dtype)
            x.reshape(-1)[0] = 0
            op = reduce.ProdOfOthers(axes)
            node = node_of(op, x)
            (y,) = run_cuda_kernel(node, chosen(node), x, order=2)
            np.testing.assert_allclose(y, op.reference(x), rtol=1e-6)
