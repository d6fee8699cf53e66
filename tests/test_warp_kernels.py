"""random_warp: places against the definition in float64, kernels bit for bit, draws of the image alone."""

from __future__ import annotations

import numpy as np
import pytest
from cuda_kernels import chosen, node_of, run_cuda_kernel

import symconv as sc
from kernels import ISAS, run_kernel
from symconv.errors import ArgumentError, DTypeError, ShapeError
from symconv.graph import Op
from symconv.ops import warp_field
from symconv.ops.warp import RandomWarp, RandomWarpGrad, random_warp

try:
    from symconv import _core
except ImportError:
    _core = None

BENT = {"rotation": 15, "translation": (2, 1), "scale": 0.15, "shear": 10, "crop": (11, 14), "elastic": 34}
SEEDS = (0, 2**63 + 11, 12345678901)


def op_and_inputs(
    shape: tuple[int, ...], dtype: str, seed: int = 5, **changes: object
) -> tuple[Op, list[np.ndarray]]:
    """The op, and images with a border that shows, numbers that wrap, an epoch."""
    rng = np.random.default_rng(len(changes) + shape[0])
    x, index = rng.standard_normal(shape).astype(dtype), rng.integers(-(2**40), 2**40, shape[0])
    epoch = np.asarray(2**31 + 3)
    node = random_warp(x, index, epoch, seed=seed, **changes).owner  # type: ignore[arg-type]
    assert node is not None
    return node.op, [x, index, epoch, *(v.data for v in node.inputs[3:])]


def bits(a: np.ndarray) -> np.ndarray:
    return a.view(f"u{a.itemsize}")


def each_kind() -> list[dict[str, object]]:
    return [BENT, {**BENT, "border": "edge"}, {"rotation": 180}, {"elastic": 80, "sigma": 0.7}, {"crop": 5}]


@pytest.mark.skipif(_core is None, reason="the C++ core is not built")
@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_cpu_kernels_equal_the_reference_bit_for_bit(isa, dtype):
    before = _core.isa()
    _core.set_isa(isa)
    try:
        for k, changes in enumerate(each_kind()):
            for shape in ((3, 1, 28, 28), (2, 3, 17, 33), (9, 1, 15, 14)):
                op, arrays = op_and_inputs(shape, dtype, SEEDS[k % 3], **changes)
                for made in (op, op.transposed()):
                    (got,) = run_kernel(made, *arrays)
                    np.testing.assert_array_equal(bits(got), bits(made.reference(*arrays)))
    finally:
        _core.set_isa(before)


@pytest.mark.usefixtures("cxx")
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_cuda_kernel_equals_the_reference_bit_for_bit(dtype):
    for k, changes in enumerate(each_kind()):
        op, arrays = op_and_inputs(((3, 1, 17, 15), (2, 3, 15, 18))[k % 2], dtype, SEEDS[k % 3], **changes)
        node = node_of(op, *arrays)
        (got,) = run_cuda_kernel(node, chosen(node), *arrays, order=k % 3)
        np.testing.assert_array_equal(bits(got), bits(op.reference(*arrays)))
        node = node_of(op.transposed(), *arrays)
        (got,) = run_cuda_kernel(node, chosen(node), *arrays, order=k % 3)
        eps = np.finfo(dtype).eps  # its sums go in another order than NumPy's
        np.testing.assert_allclose(got, op.transposed().reference(*arrays), rtol=50 * eps, atol=50 * eps)


def test_without_changes_the_images_are_the_same_variable():
    x = sc.tensor("float32", (None, 1, 9, 9))
    assert random_warp(x, sc.lvector(), sc.lscalar(), seed=1) is x
    assert random_warp(x, sc.lvector(), sc.lscalar(), seed=1, crop=9, sigma=2) is x


def test_one_change_at_a_time_moves_the_places_as_it_says():
    """x and y of every pixel, against the definition in float64."""
    h, w = 21, 33
    cy, cx = (h - 1) / 2, (w - 1) / 2
    row, column = np.mgrid[:h, :w].astype("float64")
    turned, moved, scaled, sheared, corners = [], [], [], [], set()
    for index in range(300):
        x, y = warp_field.positions(warp_field.Warp(3, h, w, turns=2**24 // 8, crop=(h, w)), index, 1)
        angle = np.arctan2(y[10, 32] - cy, x[10, 32] - cx)
        turned.append(angle)
        np.testing.assert_allclose(
            x - cx, np.cos(angle) * (column - cx) - np.sin(angle) * (row - cy), atol=1e-4
        )
        np.testing.assert_allclose(
            y - cy, np.sin(angle) * (column - cx) + np.cos(angle) * (row - cy), atol=1e-4
        )
        x, y = warp_field.positions(warp_field.Warp(3, h, w, shift=(2.0, 4.0), crop=(h, w)), index, 1)
        assert np.ptp(x - column) < 1e-5 and np.ptp(y - row) < 1e-5
        moved.append((x[0, 0], y[0, 0]))
        x, y = warp_field.positions(warp_field.Warp(3, h, w, scale=0.25, crop=(h, w)), index, 1)
        factor = (column - cx)[0, 0] / (x[0, 0] - cx)
        np.testing.assert_allclose((y - cy) * factor, row - cy, atol=1e-4)
        scaled.append(factor)
        x, y = warp_field.positions(warp_field.Warp(3, h, w, shear=0.5, crop=(h, w)), index, 1)
        slope = (x[0, 0] - column[0, 0]) / (row[0, 0] - cy)
        np.testing.assert_allclose(x, column + slope * (row - cy), atol=1e-4)
        np.testing.assert_array_equal(y, row.astype("float32"))
        sheared.append(slope)
        x, y = warp_field.positions(warp_field.Warp(3, h, w, crop=(18, 30)), index, 1)
        corner = round(float(x[0, 0]) - 0.5 * 30 / w + 0.5), round(float(y[0, 0]) - 0.5 * 18 / h + 0.5)
        np.testing.assert_allclose(x, corner[0] + (column + 0.5) * 30 / w - 0.5, atol=1e-5)
        np.testing.assert_allclose(y, corner[1] + (row + 0.5) * 18 / h - 0.5, atol=1e-5)
        corners.add(corner)
    assert corners == {(i, j) for i in range(4) for j in range(4)}
    limits = ((turned, np.pi / 4), (np.array(moved)[:, 0], 4), (np.array(moved)[:, 1], 2), (sheared, 0.5))
    for drawn, limit in (*limits, (np.array(scaled) - 1, 0.25)):  # uniform in [-limit, limit]
        assert np.abs(drawn).max() <= limit * (1 + 1e-5) and abs(np.mean(drawn)) < 0.15 * limit
        assert abs(np.std(drawn) - limit / np.sqrt(3)) < 0.07 * limit


def test_the_elastic_field_is_smoothed_noise():
    """Simard's field: noise in [-1, 1] under a Gaussian, times alpha; float64 here, whole numbers there."""
    h, w, sigma, alpha = 25, 31, 3.0, 20.0
    weights = tuple(warp_field.gaussian_weights(n, sigma) for n in (h, w))
    words = np.random.default_rng(1).integers(0, 2**32, h * w // 2 + 20, dtype="uint32")
    found = warp_field.displacement(words, warp_field.Warp(0, h, w, alpha=alpha), *weights)
    u = warp_field.noise(words, h, w) / 256
    assert np.abs(u).max() < 1 and len(np.unique(u)) > 240
    bell = [np.exp(-((np.arange(n)[:, None] - np.arange(n)) ** 2) / (2 * sigma**2)) for n in (h, w)]
    bell = [b / (sigma * np.sqrt(2 * np.pi)) for b in bell]
    for c in range(2):
        expected = alpha * bell[0] @ u[:, c] @ bell[1].T
        np.testing.assert_allclose(found[c], expected, atol=0.02 * alpha * 0.1)
        assert 0.5 < np.std(found[c]) < 2


def test_no_sum_of_the_field_leaves_the_whole_numbers_of_float32():
    for sigma in (0.01, 0.5, 1, 4, 30, 100):
        for n in (1, 2, 28, 500):
            weights = warp_field.gaussian_weights(n, sigma)
            assert np.array_equal(weights, np.floor(weights)) and np.array_equal(weights, weights.T)
            total = weights.sum(1).max()
            assert total <= 2**12 and total * np.ceil(total * 255 * 2**-8) <= 2**24


@pytest.mark.skipif(_core is None, reason="the C++ core is not built")
def test_an_image_is_bent_alike_in_every_company():
    """Whatever the place in the mini-batch, its size, the threads, the device; another in every epoch."""
    x = np.random.default_rng(2).random((40, 1, 28, 28), "float32")
    bend = sc.nn.Augmentation(rotation=10, crop=25, elastic=30, translation=1, seed=9)
    whole = bend(x, 3)
    picked = np.array([7, 0, 31, 8, 8])
    np.testing.assert_array_equal(bend(x[picked], 3, index=picked), whole[picked])
    np.testing.assert_array_equal(bend(x.reshape(40, 784)[:3], 3), whole[:3].reshape(3, 784))
    np.testing.assert_array_equal(bend(x[:3, 0], 3), whole[:3, 0])
    with sc.config(num_threads=1):
        np.testing.assert_array_equal(bend(x, 3), whole)
    np.testing.assert_array_equal(bend(x, 3, device="reference"), whole)
    assert np.abs(bend(x, 4) - whole).mean() > 0.01
    assert (
        np.abs(sc.nn.Augmentation(rotation=10, seed=8)(x) - sc.nn.Augmentation(rotation=10, seed=9)(x)).max()
        > 0
    )


def test_bad_arguments_are_refused():
    x, i, e = sc.tensor("float32", (None, 1, 9, 9), "x"), sc.lvector("i"), sc.lscalar("e")
    wrong: list[tuple[type[Exception], str, dict[str, object]]] = [
        (ArgumentError, "rotation must be a number from 0 to 180", {"rotation": 200}),
        (ArgumentError, "shear must be a number", {"shear": -1}),
        (ArgumentError, "elastic must be a number", {"elastic": float("nan")}),
        (ArgumentError, "scale must be below 1", {"scale": 1}),
        (ArgumentError, "sigma above 0", {"sigma": 0}),
        (ArgumentError, "translation is a number, or one for y and one for x", {"translation": (1, 2, 3)}),
        (ArgumentError, "translation must be a number", {"translation": True}),
        (ArgumentError, "border is one of zero, edge", {"border": "wrap"}),
        (ArgumentError, "seed must be an integer", {"seed": -1}),
        (ShapeError, "within the images' 9 x 9, got 10", {"crop": 10}),
        (ShapeError, "got 2.5", {"crop": 2.5}),
    ]
    for kind, message, changes in wrong:
        with pytest.raises(kind, match=message):
            random_warp(x, i, e, **{"seed": 1, "rotation": 1, **changes})  # type: ignore[arg-type]
    with pytest.raises(ShapeError, match=r"images are \[N, C, H, W\]"):
        random_warp(sc.matrix(), i, e, seed=1, rotation=1)
    with pytest.raises(ShapeError, match="must be known"):
        random_warp(sc.tensor4(), i, e, seed=1, rotation=1)
    with pytest.raises(ShapeError, match="3 images need as many numbers"):
        random_warp(sc.zeros((3, 1, 9, 9)), np.arange(4), e, seed=1, rotation=1)
    with pytest.raises(DTypeError, match="x must be float"):
        random_warp(sc.zeros((3, 1, 9, 9), "int32"), np.arange(3), e, seed=1, rotation=1)
    with pytest.raises(ArgumentError, match="scale must be a number"):
        sc.nn.Augmentation(scale=2)
    bend = sc.nn.Augmentation(rotation=3)
    with pytest.raises(ArgumentError, match="a whole number for each of 2 images"):
        bend(np.zeros((2, 1, 5, 5)), index=[1.5, 2])
    with pytest.raises(ShapeError, match=r"not \[2, 7\]"):
        bend(np.zeros((2, 7)))


@pytest.mark.skipif(_core is None, reason="the C++ core is not built")
def test_the_kernels_check_their_params():
    op, arrays = op_and_inputs((2, 1, 5, 6), "float32", rotation=3, elastic=3)
    node = op.make(*(sc.constant(a) for a in arrays))
    kernel = next(k for k in op.kernels if k.device == "cpu")
    good = kernel.launch(node).params
    from symconv.graph.params import pack, unpack

    for change in (
        {"height": 0},
        {"n": 3},
        {"channels": 2},
        {"turns": 2**23 + 1},
        {"crop_width": 7},
        {"elastic": 0},
    ):
        params = pack("WarpParams", **{**unpack("WarpParams", good), **change})
        with pytest.raises(ValueError, match="random_warp_f32"):
            _core.call_kernel(kernel.entry, params, arrays, [np.empty_like(arrays[0])])


def test_the_gradient_is_the_transpose():
    op, arrays = op_and_inputs((2, 1, 8, 7), "float64", **{**BENT, "crop": 6})
    assert isinstance(op, RandomWarp) and isinstance(op.transposed(), RandomWarpGrad)
    assert op.transposed().transposed() == op
    x, rest = arrays[0], arrays[1:]
    dy = np.random.default_rng(0).standard_normal(x.shape)
    np.testing.assert_allclose(
        (op.reference(x, *rest) * dy).sum(), (x * op.transposed().reference(dy, *rest)).sum(), rtol=1e-12
    )
