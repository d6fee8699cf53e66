"""Random draws: Philox's published vectors, bit equality of kernels and reference, distributions, dropout."""

from __future__ import annotations

import numpy as np
import pytest

import symconv as sc
from symconv.errors import ArgumentError, DTypeError, ExecutionError, ShapeError
from symconv.graph import constant
from symconv.graph.params import pack
from symconv.ops import philox
from symconv.ops.random import (
    Dropout,
    RandomIntegers,
    RandomNormal,
    RandomPermutation,
    RandomUniform,
)

try:
    from symconv import _core
except ImportError:
    _core = None

DEVICES = ["reference", pytest.param("cpu", marks=pytest.mark.skipif(_core is None, reason="no core"))]
SIZES = (0, 1, 2, 3, 5, 7, 31, 32, 33, 127, 128, 129, 4099, 70001)
DRAWS = ((0, 0, 0), (2**63 + 5, 3, 7), (12345678901, 2**32 - 1, 2**40 + 3))


@pytest.mark.parametrize(
    ("counter", "key", "words"),
    [
        ("00000000 00000000 00000000 00000000", "00000000 00000000", "6627e8d5 e169c58d bc57ac4c 9b00dbd8"),
        ("ffffffff ffffffff ffffffff ffffffff", "ffffffff ffffffff", "408f276d 41c83b0e a20bc7c6 6d5451fd"),
        ("243f6a88 85a308d3 13198a2e 03707344", "a4093822 299f31d0", "d16cfe09 94fdcceb 5001e420 24126ea1"),
    ],
)
def test_philox_gives_the_published_vectors(counter, key, words):
    k0, k1 = (int(h, 16) for h in key.split())
    out = philox.philox(tuple(np.array([int(h, 16)], "uint64") for h in counter.split()), (k0, k1))
    assert " ".join(f"{int(w[0]):08x}" for w in out) == words


def test_words_are_laid_out_as_documented():
    words = philox.words32(2**33 + 5, 9, 2**34 + 1, 12)
    counter = tuple(np.array([c], "uint64") for c in (2, 9, 1, 4))
    assert words[8:].tolist() == [int(w[0]) for w in philox.philox(counter, (5, 2))]
    wide = philox.words64(2**33 + 5, 9, 2**34 + 1, 6)
    assert int(wide[5]) == int(words[10]) | int(words[11]) << 32
    halves = philox.halves(2**33 + 5, 9, 2**34 + 1, 24)
    assert int(halves[21]) == int(words[10]) >> 16 and int(halves[20]) == int(words[10]) & 0xFFFF


def test_a_value_does_not_depend_on_the_size_of_the_draw():
    for dtype in ("float32", "float64"):
        for make in (philox.uniform, philox.normal_pairs):
            assert np.array_equal(make(3, 1, 4, 1000, dtype)[:77], make(3, 1, 4, 77, dtype))


def test_normal_equals_box_muller_in_extended_precision():
    wide = np.longdouble
    pi = wide("3.14159265358979323846264338327950288")
    for dtype, bits in (("float32", 24), ("float64", 53)):
        n = 20000
        raw = philox.words32(1, 2, 3, n) if bits == 24 else philox.words64(1, 2, 3, n)
        raw = (raw >> raw.dtype.type(raw.dtype.itemsize * 8 - bits)).astype(wide)
        u, v = (raw[0::2] + 1) / wide(2) ** bits, raw[1::2] / wide(2) ** bits
        radius = np.sqrt(-2 * np.log(u))
        expected = np.stack([radius * np.cos(2 * pi * v), radius * np.sin(2 * pi * v)], 1).reshape(-1)
        error = np.abs(philox.normal_pairs(1, 2, 3, n, dtype) - expected)
        assert np.max(error) < 8 * np.finfo(dtype).eps


# ---- kernels: equal to the reference, bit for bit, on every instruction set


@pytest.fixture(params=_core.isas() if _core else ["none"])
def isa(request):
    if _core is None:
        pytest.skip("the C++ core is not built")
    before = _core.isa()
    _core.set_isa(request.param)
    yield request.param
    _core.set_isa(before)


def call(op, n, draw, *inputs):
    """The op's kernel on n elements, the output between sentinels."""
    node = op(constant(np.int64(draw)), *inputs, constant(n, "int64")).owner
    kernel = next(k for k in op.kernels if k.supports(node) is None)
    whole = np.full(n + 2, 77, node.out.dtype)
    arrays = [np.asarray(v.data) for v in node.inputs]
    _core.call_kernel(kernel.entry, kernel.launch(node).params, arrays, [whole[1:-1]])
    assert whole[0] == whole[-1] == 77
    return whole[1:-1], op.reference(*arrays)


@pytest.mark.parametrize("n", SIZES)
def test_kernels_equal_the_reference_bit_for_bit(isa, n):
    bounds = (constant(-(2**62), "int64"), constant(2**62 + 12345, "int64"))
    for seed, stream, draw in DRAWS:
        for op in (
            RandomUniform(seed, stream, "float32"),
            RandomUniform(seed, stream, "float64"),
            RandomNormal(seed, stream, "float32"),
            RandomNormal(seed, stream, "float64"),
            RandomPermutation(seed, stream),
        ):
            got, expected = call(op, n, draw)
            assert got.tobytes() == expected.tobytes(), op
        got, expected = call(RandomIntegers(seed, stream), n, draw, *bounds)
        assert got.tobytes() == expected.tobytes()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("n", SIZES)
def test_dropout_kernel_equals_the_reference_bit_for_bit(isa, n, dtype):
    x = np.random.default_rng(n).standard_normal(n).astype(dtype)
    counter = np.asarray(5, "int64")
    for p, scale in ((0.5, True), (0.3, True), (0.3, False), (0.9999999, True), (1e-7, True)):
        op = Dropout(2**63 + 1, 2, p, scale)
        node = op(constant(x), constant(counter)).owner
        kernel = next(k for k in op.kernels if k.supports(node) is None)
        whole = np.full(n + 2, 77, dtype)
        _core.call_kernel(kernel.entry, kernel.launch(node).params, [x, counter], [whole[1:-1]])
        assert whole[0] == whole[-1] == 77
        assert whole[1:-1].tobytes() == op.reference(x, counter).tobytes()


def test_kernels_do_not_depend_on_the_number_of_threads(isa):
    before = _core.num_threads()
    try:
        for op in (RandomNormal(1, 1), RandomPermutation(1, 1)):
            _core.set_num_threads(1)
            one, _ = call(op, 200003, 3)
            _core.set_num_threads(3)
            assert one.tobytes() == call(op, 200003, 3)[0].tobytes()
    finally:
        _core.set_num_threads(before)


def test_kernel_refuses_sizes_that_do_not_fit():
    if _core is None:
        pytest.skip("the C++ core is not built")
    params = pack("RandomParams", n=9, seed=0, stream=0)
    with pytest.raises(ValueError, match="random_uniform_f32: output has 32 bytes, the params need 36"):
        _core.call_kernel("random_uniform_f32", params, [np.zeros((), "int64")], [np.zeros(8, "float32")])


# ---- distributions (each bound is far outside what a right generator does with this fixed seed)


def chi_square(observed, expected):
    return float(np.sum((observed - expected) ** 2 / expected))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_uniform_is_uniform(dtype):
    u = philox.uniform(11, 0, 0, 200000, dtype)
    assert u.dtype == dtype and u.min() >= 0 and u.max() < 1
    counts = np.histogram(u, 100, (0, 1))[0]
    assert chi_square(counts, 2000.0) < 99 + 5 * np.sqrt(2 * 99)
    assert abs(np.corrcoef(u[:-1], u[1:])[0, 1]) < 0.01


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_normal_is_normal(dtype):
    z = philox.normal_pairs(11, 0, 0, 400000, dtype).astype("float64")
    assert abs(z.mean()) < 0.008 and abs(z.var() - 1) < 0.012
    assert abs((z**3).mean()) < 0.03 and abs((z**4).mean() - 3) < 0.08
    assert abs((z[0::2] * z[1::2]).mean()) < 0.012
    # Phi at -2, -1, 0, 1, 2
    for at, share in ((-2, 0.02275), (-1, 0.158655), (0, 0.5), (1, 0.841345), (2, 0.97725)):
        assert abs((z < at).mean() - share) < 0.004


def test_draws_of_other_seeds_streams_and_counters_are_independent():
    base = philox.uniform(1, 2, 3, 50000, "float32")
    for other in ((2, 2, 3), (1, 3, 3), (1, 2, 4), (1 + 2**32, 2, 3), (1, 2, 3 + 2**32)):
        assert abs(np.corrcoef(base, philox.uniform(*other, 50000, "float32"))[0, 1]) < 0.02


def evaluate(make, device, seed=5):
    """The first draw that `make` takes from a fresh stream."""
    return sc.function([], make(sc.RandomStream(seed)), device=device)()


@pytest.mark.parametrize("device", DEVICES)
def test_integers_fill_their_range_evenly(device):
    got = evaluate(lambda r: r.integers((30000,), -3, 4), device)
    assert got.dtype == "int64" and got.min() == -3 and got.max() == 3
    assert chi_square(np.bincount(got + 3), 30000 / 7) < 6 + 5 * np.sqrt(12)
    assert evaluate(lambda r: r.integers((50,), 2, dtype="int8"), device).dtype == "int8"


@pytest.mark.parametrize("device", DEVICES)
def test_permutation_permutes(device):
    got = evaluate(lambda r: r.permutation(1000), device)
    assert got.dtype == "int64" and sorted(got) == list(range(1000)) and list(got) != sorted(got)
    assert abs(np.corrcoef(got, np.arange(1000))[0, 1]) < 0.15
    assert evaluate(lambda r: r.permutation(0), device).shape == (0,)


@pytest.mark.parametrize("device", DEVICES)
def test_bernoulli_has_the_probability(device):
    got = evaluate(lambda r: r.bernoulli((40000,), 0.3), device)
    assert got.dtype == sc.config.floatX and set(np.unique(got)) == {0.0, 1.0}
    assert abs(got.mean() - 0.3) < 0.01
    assert evaluate(lambda r: r.bernoulli((100,), 0.0, "int32"), device).sum() == 0
    assert evaluate(lambda r: r.bernoulli((100,), 1.0, "int32"), device).sum() == 100


@pytest.mark.parametrize("device", DEVICES)
def test_uniform_and_normal_take_bounds_and_moments(device):
    u = evaluate(lambda r: r.uniform((1000, 7), -2.0, 5.0), device)
    assert u.shape == (1000, 7) and -2 <= u.min() < -1.9 and 4.9 < u.max() <= 5
    z = evaluate(lambda r: r.normal((20000,), 3.0, 0.5, dtype="float64"), device)
    assert z.dtype == "float64" and abs(z.mean() - 3) < 0.02 and abs(z.std() - 0.5) < 0.02


# ---- streams and functions


@pytest.mark.parametrize("device", DEVICES)
def test_each_call_draws_anew_and_each_draw_differs(device):
    rng = sc.RandomStream(1)
    f = sc.function([], [rng.uniform((9,)), rng.uniform((9,))], device=device)
    (a, b), (c, d) = f(), f()
    assert rng.counter.get_value() == 2
    for one, other in ((a, b), (a, c), (b, d), (c, d)):
        assert not np.array_equal(one, other)
    rng.reset()
    again = f()
    assert np.array_equal(a, again[0]) and np.array_equal(b, again[1])


def test_devices_draw_the_same():
    if _core is None:
        pytest.skip("the C++ core is not built")
    for make in (
        lambda r: r.uniform((33, 5)),
        lambda r: r.normal((33, 5)),
        lambda r: r.permutation(100),
        lambda r: r.integers((65,), 10),
        lambda r: sc.dropout(np.ones((7, 11), "float32"), 0.5, rng=r),
    ):
        assert np.array_equal(evaluate(make, "reference"), evaluate(make, "cpu"))


@pytest.mark.parametrize("device", DEVICES)
def test_a_draw_takes_its_shape_from_another_variable(device):
    x = sc.matrix("x", dtype="float32")
    f = sc.function([x], x + sc.RandomStream(1).uniform(x.shape, dtype="float32"), device=device)
    assert f(np.zeros((3, 5), "float32")).shape == (3, 5) and f(np.zeros((0, 2), "float32")).shape == (0, 2)


def test_default_seed_is_the_configured_one():
    with sc.config(seed=77):
        assert sc.RandomStream().seed == 77


@pytest.mark.parametrize("seed", [-1, 2**64, 1.5, True])
def test_a_bad_seed_is_refused(seed):
    with pytest.raises(ArgumentError, match="seed must be an integer"):
        sc.RandomStream(seed)


def test_bad_arguments_of_draws_are_refused():
    rng = sc.RandomStream(1)
    with pytest.raises(ArgumentError, match=r"p must lie in \[0, 1\]"):
        rng.bernoulli((3,), 1.5)
    with pytest.raises(ArgumentError, match=r"nothing lies in \[4, 4\)"):
        rng.integers((3,), 4, 4)
    with pytest.raises(ArgumentError, match="std must be"):
        rng.normal((3,), std=-1.0)
    with pytest.raises(DTypeError, match="dtype must be one of float32, float64"):
        rng.uniform((3,), dtype="int32")
    with pytest.raises(ShapeError):
        rng.uniform((-3,))


@pytest.mark.parametrize("device", DEVICES)
def test_an_empty_range_at_run_time_is_an_error(device):
    high = sc.lscalar("high")
    f = sc.function([high], sc.RandomStream(1).integers((3,), 0, high), device=device)
    assert f(1).tolist() == [0, 0, 0]
    with pytest.raises(ExecutionError, match=r"nothing lies in \[0, 0\)"):
        f(0)


# ---- dropout


@pytest.mark.parametrize("device", DEVICES)
def test_dropout_keeps_the_mean_or_not(device):
    x = np.ones((200, 300), "float32")
    kept = evaluate(lambda r: sc.dropout(x, 0.25, rng=r), device)
    assert set(np.unique(kept)) == {np.float32(0), np.float32(1 / 0.75)} and abs(kept.mean() - 1) < 0.01
    plain = evaluate(lambda r: sc.dropout(x, 0.25, rng=r, scale=False), device)
    assert set(np.unique(plain)) == {0.0, 1.0} and abs(plain.mean() - 0.75) < 0.01


@pytest.mark.parametrize("device", DEVICES)
def test_the_gradient_of_dropout_has_the_mask_of_the_same_call(device):
    rng = sc.RandomStream(3)
    x = sc.matrix("x", dtype="float32")
    y = sc.dropout(x, 0.4, rng=rng)
    cost = (y * y).sum()
    g = sc.grad(cost, x)
    gg = sc.grad((g * g).sum(), x)
    f = sc.function([x], [y, g, gg], device=device)
    data = np.random.default_rng(0).standard_normal((13, 17)).astype("float32")
    factor = np.float32(1 / 0.6)
    first = None
    for _ in range(2):
        out, dx, ddx = f(data)
        keep = out != 0
        np.testing.assert_allclose(dx, np.where(keep, 2 * data * factor**2, 0), rtol=1e-6)
        np.testing.assert_allclose(ddx, np.where(keep, 8 * data * factor**4, 0), rtol=1e-6)
        assert first is None or not np.array_equal(first, keep)
        first = keep


def test_dropout_drops_what_is_not_finite():
    x = np.full(4096, np.nan, "float32")
    y = Dropout(1, 2, 0.5).reference(x, np.asarray(0))
    assert 0.4 < np.mean(y == 0) < 0.6 and np.isnan(y[y != 0]).all()


@pytest.mark.parametrize("p", [-0.1, 1.0, float("nan"), "0.5", True])
def test_dropout_refuses_a_bad_probability(p):
    with pytest.raises(ArgumentError, match=r"p must be a number in \[0, 1\)"):
        sc.dropout(np.ones(3, "float32"), p, rng=sc.RandomStream(1))
