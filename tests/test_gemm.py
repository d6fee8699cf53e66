"""The matrix-product kernels of every instruction set against NumPy: sizes, flags, epilogues, margins."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from symconv.graph import Apply, Kernel, constant
from symconv.graph.params import pack
from symconv.ops.dense import BatchedDot, Dot
from symconv.ops.gemm import ACTIVATIONS, FACTORS, DenseAct, DotMulActGrad, Gemm
from symconv.ops.gemm_kernels import launch, product_kernels
from symconv.ops.leaf import tensor

core = pytest.importorskip("symconv._core")
FLOAT_KERNELS = ["gemm_rows", "gemm_dots", "gemm_packed"]
FLAGS = [(False, False), (True, False), (False, True), (True, True)]
MARGIN = 67  # elements around every buffer: not a multiple of any vector

pytest_plugins = ["core_fixtures"]


@pytest.fixture(params=[1, 2, 3])
def threads(request):
    before = core.num_threads()
    core.set_num_threads(request.param)
    yield request.param
    core.set_num_threads(before)


def framed(array: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(buffer, view): the array inside a buffer whose margins hold NaN, or 77 for integers."""
    fill = np.nan if array.dtype.kind == "f" else 1 if array.dtype == bool else 77
    buffer = np.full(array.size + 2 * MARGIN, fill, array.dtype)
    view = buffer[MARGIN : MARGIN + array.size].reshape(array.shape)
    view[...] = array
    return buffer, view


def node_of(op, *arrays: np.ndarray) -> Apply:
    return op.make(*(tensor(str(a.dtype), a.shape) for a in arrays))


def chosen(node: Apply) -> Kernel:
    return next(k for k in node.op.kernels if k.supports(node) is None)


def run(node: Apply, entry: str, *arrays: np.ndarray, in_place: bool = False) -> np.ndarray:
    """One launch of the entry; the margins of the output must stay as they were."""
    inputs = [framed(a)[1] for a in arrays]
    out_type = node.out.type
    buffer, out = framed(np.full(out_type.shape, np.nan if out_type.is_float else 1, out_type.dtype))
    if in_place:
        buffer, out = framed(arrays[0])
        inputs[0] = out
    before = buffer.copy()
    core.call_kernel(entry, launch(node).params, inputs, [out])
    np.testing.assert_array_equal(buffer[:MARGIN], before[:MARGIN])
    np.testing.assert_array_equal(buffer[-MARGIN:], before[-MARGIN:])
    return out


def fits(node: Apply, entry: str) -> bool:
    """Whether the entry can run the node at all, whatever its `supports` prefers."""
    try:
        arrays = [np.zeros(v.type.shape, v.dtype) for v in node.inputs]
        core.call_kernel(entry, launch(node).params, arrays, [np.zeros(node.out.type.shape, node.out.dtype)])
    except ValueError as error:
        assert "stored as" in str(error)
        return False
    return True


def small_ints(rng, *shape: int, dtype: str = "float32", zeros: float = 0.3) -> np.ndarray:
    return (rng.integers(-3, 4, shape) * (rng.random(shape) >= zeros)).astype(dtype)


def operands(rng, m, n, k, ta, tb, dtype="float32", zeros=0.3):
    a = small_ints(rng, *((k, m) if ta else (m, k)), dtype=dtype, zeros=zeros)
    b = small_ints(rng, *((n, k) if tb else (k, n)), dtype=dtype, zeros=zeros)
    return a, b


SIZES = [
    (1, 1, 1), (1, 1, 7), (2, 3, 5), (7, 5, 3), (1, 17, 31), (17, 1, 31), (5, 2, 64), (6, 16, 65),
    (10, 10, 100), (10, 100, 67), (13, 104, 129), (3, 211, 70), (33, 29, 37),
    (37, 65, 257), (50, 113, 300), (39, 97, 70), (67, 100, 130), (4, 9, 1030), (0, 5, 3),
    (5, 0, 3), (5, 3, 0), (1, 0, 0), (11, 23, 1),
]  # fmt: skip


@pytest.mark.parametrize("entry", FLOAT_KERNELS)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("flags", FLAGS)
def test_products_of_integers_are_exact(isa, entry, dtype, flags):
    rng = np.random.default_rng(3)
    ran = 0
    for m, n, k in SIZES:
        for zeros in (0.0, 0.85):
            a, b = operands(rng, m, n, k, *flags, dtype, zeros)
            node = node_of(Dot(*flags), a, b)
            if fits(node, entry):
                ran += 1
                got = run(node, entry, a, b)
                np.testing.assert_array_equal(got, node.op.reference(a, b), err_msg=f"{m}x{n}x{k}")
    assert ran >= 2


@pytest.mark.parametrize("entry", FLOAT_KERNELS)
@pytest.mark.parametrize("flags", FLAGS)
def test_shared_among_threads(isa, threads, entry, flags):
    rng = np.random.default_rng(4)
    for m, n, k in [
        (128, 130, 67),
        (10, 100, 2000),
        (150, 20, 4000),
        (300, 10, 500),
        (64, 1000, 100),
        (64, 1024, 100),
        (130, 97, 900),
        (1, 997, 1009),
    ]:
        a, b = operands(rng, m, n, k, *flags, zeros=0.0)
        node = node_of(Dot(*flags), a, b)
        if fits(node, entry):
            got = run(node, entry, a, b)
            np.testing.assert_array_equal(got, node.op.reference(a, b), err_msg=f"{m}x{n}x{k}")
            np.testing.assert_array_equal(got, run(node, entry, a, b))


@pytest.mark.parametrize("entry", FLOAT_KERNELS)
@pytest.mark.parametrize("flags", [(False, False), (True, False), (False, True)])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_alpha_beta_and_in_place(isa, entry, flags, dtype):
    rng = np.random.default_rng(5)
    for (m, n, k), (alpha, beta) in itertools.product(
        [(10, 100, 70), (70, 37, 10), (39, 97, 70), (7, 5, 300), (9, 13, 0), (1, 40, 33), (40, 1, 33)],
        [(1, 0), (1, 1), (-2, 1), (3, -2), (0, 2), (0.5, 0.5)],
    ):
        a, b = operands(rng, m, n, k, *flags, dtype)
        c = small_ints(rng, m, n, dtype=dtype)
        scalars = np.array(alpha, dtype), np.array(beta, dtype)
        node = node_of(Gemm(*flags), c, a, b, *scalars)
        if not fits(node, entry):
            continue
        if beta == 0:
            c[...] = np.nan
        expected = node.op.reference(c, a, b, *scalars)
        for in_place in (False, True):
            got = run(node, entry, c, a, b, *scalars, in_place=in_place)
            np.testing.assert_array_equal(got, expected, err_msg=f"{m}x{n}x{k} {alpha} {beta} {in_place}")


def test_rank_k_update_leaves_rows_without_input_alone(isa):
    """A row of w whose inputs are all zero keeps even a NaN: it is not touched."""
    rng = np.random.default_rng(6)
    x, dy, w = small_ints(rng, 10, 97), small_ints(rng, 10, 100), small_ints(rng, 97, 100)
    x[:, 40:60] = 0
    w[50] = np.nan
    one = np.array(1, "float32")
    node = node_of(Gemm(True, False), w, x, dy, one, one)
    assert chosen(node).name == "gemm_rows"
    got = run(node, "gemm_rows", w, x, dy, one, one, in_place=True)
    np.testing.assert_array_equal(got, w + x.T @ dy)


def test_zeros_of_a_hide_infinity_in_b_and_nothing_else_does(isa):
    b = np.full((20, 100), np.inf, "float32")
    b[1::2] = 1
    a = np.zeros((2, 20), "float32")
    a[0, 1] = 3
    a[1, 0] = np.float32(1e-45)  # the smallest positive number is not zero
    node = node_of(Dot(), a, b)
    got = run(node, "gemm_rows", a, b)
    np.testing.assert_array_equal(got[0], 3)
    np.testing.assert_array_equal(got[1], np.inf)
    a[1, 2] = np.nan
    assert np.isnan(run(node, "gemm_rows", a, b)[1]).all()


@pytest.mark.parametrize("rows", [16, 128, 160])
def test_the_density_is_not_taken_from_the_margins_of_images_alone(isa, rows):
    """Each row begins with as many zeros as are looked at at once. A walk, not due, would hide the NaN."""
    a, b = np.ones((rows, 784), "float32"), np.ones((784, 100), "float32")
    a[:, :64] = 0
    b[:64] = np.nan
    assert np.isnan(run(node_of(Dot(), a, b), "gemm_packed", a, b)).all()


@pytest.mark.parametrize("entry", FLOAT_KERNELS)
@pytest.mark.parametrize("activation", list(ACTIVATIONS))
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_dense_act(isa, entry, activation, dtype):
    rng = np.random.default_rng(7)
    for tb, (m, n, k) in itertools.product(
        (False, True), [(10, 100, 70), (3, 7, 5), (50, 33, 40), (39, 97, 70), (1, 9, 65), (9, 1, 65)]
    ):
        x, w = (rng.normal(size=s).astype(dtype) for s in ((m, k), (n, k) if tb else (k, n)))
        b = rng.normal(size=n).astype(dtype)
        node = node_of(DenseAct(False, tb, activation), x, w, b)
        if fits(node, entry):
            close(run(node, entry, x, w, b), node.op, x, w, b)


@pytest.mark.parametrize("shape", [(128, 100, 784), (20, 30, 2000)])
def test_activations_of_sums_that_threads_share(isa, threads, shape):
    rng = np.random.default_rng(12)
    m, n, k = shape
    x, w, b = rng.normal(size=(m, k)).astype("f"), rng.normal(size=(k, n)).astype("f"), np.ones(n, "f")
    node = node_of(DenseAct(False, False, "tanh"), x, w, b)
    close(run(node, "gemm_packed", x, w, b), node.op, x, w, b)


@pytest.mark.parametrize("entry", FLOAT_KERNELS)
@pytest.mark.parametrize("activation", list(FACTORS))
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_dot_mul_act_grad(isa, entry, activation, dtype):
    rng = np.random.default_rng(8)
    for tb, alive, (m, n, k) in itertools.product(
        (False, True),
        (0.2, 1.0),
        [(10, 640, 100), (3, 7, 5), (50, 33, 40), (39, 97, 70), (1, 90, 65), (70, 1, 65), (5, 67, 700)],
    ):
        dy, w = (rng.normal(size=s).astype(dtype) for s in ((m, k), (n, k) if tb else (k, n)))
        y = (rng.random((m, n)) * (rng.random((m, n)) < alive)).astype(dtype)
        node = node_of(DotMulActGrad(False, tb, activation), dy, w, y)
        if fits(node, entry):
            close(run(node, entry, dy, w, y), node.op, dy, w, y)


def test_a_zero_factor_gives_zero_on_every_road(isa):
    dy, w = np.full((2, 40), np.inf, "float32"), np.ones((40, 40), "float32")
    for zeros in (1, 39):
        y = np.ones((2, 40), "float32")
        y[:, :zeros] = 0
        for entry, tb in itertools.product(FLOAT_KERNELS, (False, True)):
            node = node_of(DotMulActGrad(False, tb, "relu"), dy, w, y)
            if fits(node, entry):
                got = run(node, entry, dy, w, y)
                np.testing.assert_array_equal(got, np.where(y > 0, np.inf, 0))


def close(got: np.ndarray, op, *arrays: np.ndarray) -> None:
    """Against the reference in float64, within a tolerance that grows with the root of the sum's length."""
    expected = op.reference(*(a.astype("float64") for a in arrays))
    terms = arrays[0].shape[1]
    eps = np.finfo(got.dtype).eps
    assert np.isfinite(got).all()
    np.testing.assert_allclose(got, expected, rtol=20 * eps, atol=20 * eps * np.sqrt(max(terms, 1)))


@pytest.mark.parametrize("dtype", ["float32", "float64", "int32"])
def test_batches_broadcast(isa, threads, dtype):
    rng = np.random.default_rng(9)
    for sa, sb in [
        ((5, 3, 7), (5, 7, 11)), ((1, 3, 7), (5, 7, 11)), ((3, 7), (5, 7, 11)),
        ((4, 1, 3, 7), (5, 7, 11)),
        ((0, 3, 7), (0, 7, 11)), ((6, 40, 50), (6, 50, 60)), ((2, 100, 50), (1, 50, 120)),
        ((3, 4, 1), (3, 1, 5)),         ((7, 20, 60), (7, 60, 1)), ((2, 3, 0), (2, 0, 4)),
    ]:  # fmt: skip
        for ta, tb in itertools.product((False, True), repeat=2):
            a, b = small_ints(rng, *sa, dtype=dtype), small_ints(rng, *sb, dtype=dtype)
            a = np.ascontiguousarray(a.swapaxes(-1, -2)) if ta else a
            b = np.ascontiguousarray(b.swapaxes(-1, -2)) if tb else b
            node = node_of(BatchedDot(ta, tb), a, b)
            for entry in FLOAT_KERNELS if dtype != "int32" else ["gemm_plain"]:
                if entry == "gemm_plain" or fits(node, entry):
                    got = run(node, entry, a, b)
                    np.testing.assert_array_equal(
                        got, node.op.reference(a, b), err_msg=f"{sa} {sb} {ta} {tb}"
                    )


@pytest.mark.parametrize("dtype", ["bool", "int8", "uint8", "int16", "int32", "int64"])
@pytest.mark.parametrize("flags", FLAGS)
def test_integers_wrap_as_numpy(isa, threads, dtype, flags):
    rng = np.random.default_rng(10)
    for m, n, k in [*SIZES[:8], (100, 101, 103)]:
        low, high = (0, 2) if dtype == "bool" else (np.iinfo(dtype).min, np.iinfo(dtype).max)
        a, b = operands(rng, m, n, k, *flags)
        a, b = (rng.integers(low, high, v.shape).astype(dtype) for v in (a, b))
        node = node_of(Dot(*flags), a, b)
        assert chosen(node).name == "gemm_plain"
        np.testing.assert_array_equal(run(node, "gemm_plain", a, b), node.op.reference(a, b))


@pytest.mark.parametrize(
    "m, n, k, flags, name",  # the last: with AVX-512 where that differs
    [
        (10, 100, 784, (False, False), "gemm_rows"),
        (784, 100, 10, (True, False), "gemm_rows"),
        (10, 640, 100, (False, True), "gemm_dots gemm_packed"),
        (10, 1000, 1000, (False, True), "gemm_dots"),
        (784, 100, 60, (True, False), "gemm_packed gemm_rows"),
        (512, 512, 512, (False, False), "gemm_packed"),
        (128, 784, 100, (False, True), "gemm_packed"),
        (1, 100, 784, (False, False), "gemm_rows"),
        (100, 1, 784, (False, False), "gemm_dots"),
        (100, 1, 784, (True, False), "gemm_rows"),
        (10, 100, 10, (False, True), "gemm_packed"),
    ],
)
@pytest.mark.parametrize("isa", ["avx2", "avx512"])
def test_the_kernel_fits_the_size(rules_of, isa, m, n, k, flags, name):
    rules_of(isa)
    a, b = operands(np.random.default_rng(0), m, n, k, *flags)
    node = node_of(Dot(*flags), a, b)
    name = name.split()[-1 if isa == "avx512" else 0]
    assert chosen(node).name == name
    reasons = [kernel.supports(node) for kernel in node.op.kernels]
    assert all(r is None or len(r) > 10 for r in reasons)
    assert fits(node, name)


@pytest.mark.parametrize("isa", ["avx2", "avx512"])
@pytest.mark.parametrize("activation", ["relu", "tanh"])
def test_dots_leave_out_what_is_dead(rules_of, isa, activation):
    """With AVX-512 the dots of short sums pay there alone."""
    rules_of(isa)
    dy, w, y = np.ones((10, 100), "f"), np.ones((640, 100), "f"), np.ones((10, 640), "f")
    dots = activation == "relu" or isa != "avx512"
    node = node_of(DotMulActGrad(False, True, activation), dy, w, y)
    assert chosen(node).name == ("gemm_dots" if dots else "gemm_packed")


def test_what_supports_accepts_the_kernel_can_run(isa):
    """Every descriptor's word is good: a launch that it accepts passes the check of its entry."""
    rng = np.random.default_rng(11)
    for (m, n, k), flags in itertools.product(SIZES, itertools.product([False, True], repeat=2)):
        a, b = operands(rng, m, n, k, *flags)
        node = node_of(Dot(*flags), a, b)
        for kernel in product_kernels():
            if kernel.supports(node) is None:
                np.testing.assert_array_equal(run(node, kernel.entry, a, b), node.op.reference(a, b))


def test_bad_launches_are_refused():
    good = dict(form=0, dtype=6, trans_a=0, trans_b=0, activation=0, batch_ndim=0, m=3, n=5, k=4,
                batch_shape=[], a_stride=[], b_stride=[])  # fmt: skip
    a, b, out = np.zeros((3, 4), "f"), np.zeros((4, 5), "f"), np.zeros((3, 5), "f")
    core.call_kernel("gemm_packed", pack("GemmParams", **good), [a, b], [out])
    for change, words in [
        ({"form": 9}, "form 9"), ({"dtype": 2}, "dtype 2"), ({"m": -1}, "-1"),
        ({"m": 4}, "output has 60 bytes"),
        ({"k": 5}, "a has 48 bytes"), ({"n": 1 << 50}, "x"), ({"activation": 4}, "activation"),
        ({"form": 1}, "2 inputs"), ({"batch_ndim": 7}, "batch"),
        ({"batch_ndim": 1, "batch_shape": [2]}, "output"),
    ]:  # fmt: skip
        with pytest.raises(ValueError, match=words):
            core.call_kernel("gemm_packed", pack("GemmParams", **{**good, **change}), [a, b], [out])
    with pytest.raises(ValueError, match=r"stored as \[K, N\]"):
        core.call_kernel("gemm_rows", pack("GemmParams", **{**good, "trans_b": 1}), [a, b], [out])


def test_constant_operands_pack():
    node = Dot().make(constant(np.ones((3, 4), "f")), constant(np.ones((4, 2), "f")))
    np.testing.assert_array_equal(run(node, chosen(node).entry, *(v.data for v in node.inputs)), 4)
