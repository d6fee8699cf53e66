"""Dtypes that no compiled kernel knows: uint16 to uint64, float16 and complex numbers."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import symconv as sc
from symconv.debug.nan import Bounds
from symconv.errors import DTypeError, GradientError
from symconv.graph import promote
from symconv.ops.complex_numbers import Real

NEW = ["uint16", "uint32", "uint64", "float16"]


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(0)


def complexes(rng: np.random.Generator, *shape: int, dtype: str = "complex128") -> np.ndarray:
    return (rng.normal(size=shape) + 1j * rng.normal(size=shape)).astype(dtype)


def both(outs: list[Any], inputs: list[Any], values: list[np.ndarray], wanted: list[Any]) -> None:
    """Each output has the dtype, and nearly the value, that NumPy gives."""
    for k, (got, want) in enumerate(zip(sc.function(inputs, outs)(*values), map(np.asarray, wanted))):
        assert got.dtype == want.dtype, (k, got.dtype, want.dtype)
        tolerance = 1e-3 if got.dtype == "float16" else 1e-5
        np.testing.assert_allclose(got, want, rtol=tolerance, atol=tolerance, err_msg=str(k))


@pytest.mark.parametrize("dtype", NEW)
def test_operations_agree_with_numpy(dtype: str, rng: np.random.Generator) -> None:
    x, y = sc.tensor(dtype, (None, None)), sc.tensor(dtype, (None,))
    a, b = rng.integers(0, 9, (3, 4)).astype(dtype), rng.integers(1, 9, 4).astype(dtype)
    outs = [
        x + y,
        x * y,
        x - y,
        x // y,
        x % y,
        sc.maximum(x, y),
        x.sum(0),
        x.prod(1),
        sc.dot(x, y),
        x.T,
        x[1:],
        x.reshape((4, 3)),
        sc.cast(x, "float32") * 2,
        sc.concatenate([x, x]),
        x > y,
        sc.where(x > y, x, y),
        x.max(1),
        x.argmax(1),
        sc.cumsum(x, 0),
        sc.sort(x, 0),
        x + 1,
        sc.eq(x, 3),
    ]
    wanted = [
        a + b,
        a * b,
        a - b,
        a // b,
        a % b,
        np.maximum(a, b),
        a.sum(0),
        a.prod(1),
        a @ b,
        a.T,
        a[1:],
        a.reshape(4, 3),
        a.astype("float32") * 2,
        np.concatenate([a, a]),
        a > b,
        np.where(a > b, a, b),
        a.max(1),
        a.argmax(1),
        np.cumsum(a, 0),
        np.sort(a, 0),
        a + 1,
        a == 3,
    ]
    both(outs, [x, y], [a, b], wanted)


@pytest.mark.parametrize("dtype", ["uint16", "uint32", "uint64"])
def test_bits_and_wrapping_of_unsigned_numbers(dtype: str) -> None:
    x, y = sc.tensor(dtype, (None,)), sc.tensor(dtype, (None,))
    most = np.iinfo(dtype).max
    a, b = np.array([0, 1, most, most - 1], dtype), np.array([1, 2, 3, 1], dtype)
    both([x - y, x + y, -y, x & y, x | y, x ^ y, ~x, x >> y, x << y], [x, y], [a, b],
         [a - b, a + b, np.negative(b), a & b, a | b, a ^ b, ~a, a >> b, a << b])  # fmt: skip


@pytest.mark.parametrize("dtype", ["uint16", "uint32", "uint64"])
def test_unsigned_indices_and_labels(dtype: str, rng: np.random.Generator) -> None:
    table, i, k = sc.matrix(), sc.tensor(dtype, (None,)), sc.tensor(dtype, ())
    values, places = rng.normal(size=(9, 5)).astype("float32"), np.array([3, 0, 3], dtype)
    picked = table[i]
    f = sc.function([table, i, k], [picked, sc.grad((picked**2).sum(), table), table[k], table[: k + 1]])
    want = np.zeros_like(values)
    np.add.at(want, places, 2 * values[places])
    for got, wanted in zip(
        f(values, places, np.asarray(2, dtype)), [values[places], want, values[2], values[:3]]
    ):
        np.testing.assert_allclose(got, wanted, rtol=1e-6)
    p = sc.softmax(table)
    cost = -sc.mean(sc.log(p)[sc.arange(i.shape[0]), i])
    step = sc.function([table, i], [cost, sc.grad(cost, table)])
    wide = sc.lvector("labels")
    known = -sc.mean(sc.log(p)[sc.arange(wide.shape[0]), wide])
    wanted = sc.function([table, wide], [known, sc.grad(known, table)])(values[:3], places.astype("int64"))
    for got, w in zip(step(values[:3], places), wanted):
        np.testing.assert_allclose(got, w, rtol=1e-6)


def test_promotion_is_that_of_numpy_but_for_integers_beside_floats() -> None:
    assert promote("uint16", "int16") == "int32" and promote("uint32", "uint8") == "uint32"
    assert promote("uint64", "int64") == "float64"  # as NumPy joins them
    assert promote("float16", "int64") == "float16" and promote("float16", "float32") == "float32"
    assert promote("complex64", "float64") == "complex128" and promote("complex64", "int64") == "complex64"
    x = sc.tensor("uint16", (2,))
    assert (x * 2).dtype == "uint16" and (x * 2.5).dtype == "float32" and (x / x).dtype == "float32"
    assert (sc.matrix() * 1j).dtype == "complex64" and (sc.tensor("float16", ()) * 2.5).dtype == "float16"
    with pytest.raises(DTypeError, match="-1 does not fit into uint16"):
        x * -1


def test_arguments_of_new_dtypes_are_taken_where_they_fit() -> None:
    x = sc.tensor("uint16", (2,))
    f = sc.function([x], x + 1)
    assert f([3, 65535]).tolist() == [4, 0] and f(np.uint8([1, 2])).dtype == "uint16"
    with pytest.raises(DTypeError, match="cannot take int64 for uint16"):
        f([-1, 2])
    v = sc.vector("v")
    real = sc.function([v], sc.sum(v), allow_input_downcast=True)
    with pytest.raises(DTypeError, match="cannot take complex128 for float32"):
        real(np.ones(2) * 1j)
    z = sc.tensor("complex128", (2,))
    assert sc.function([z], z * 2)([1, 2j]).tolist() == [2, 4j]


def test_shared_values_and_updates() -> None:
    for dtype in (*NEW, "complex64", "complex128"):
        s = sc.shared(np.arange(5, dtype=dtype))
        f = sc.function([], s * s, updates=[(s, s + 1)])
        f()
        assert f().dtype == dtype and s.get_value().dtype == dtype
        assert s.get_value().tolist() == (np.arange(5) + 2).tolist()


def test_a_net_in_float16_follows_the_one_in_float32(rng: np.random.Generator) -> None:
    start = [rng.normal(size=s) * 0.3 for s in ((3, 2, 3, 3), (3,), (27, 5))]
    images, labels = rng.normal(size=(4, 2, 8, 8)), rng.integers(0, 5, 4)

    def costs(dtype: str) -> list[float]:
        x, y = sc.tensor(dtype, (None,) * 4), sc.tensor("uint16", (None,))
        w, b, v = (sc.shared(a.astype(dtype)) for a in start)
        h = sc.relu(sc.max_pool2d(sc.conv2d(x, w), 2) + b.dimshuffle("x", 0, "x", "x")).flatten(2)
        cost = -sc.mean(sc.log(sc.softmax(sc.dot(h, v)))[sc.arange(y.shape[0]), y])
        updates = [(p, p - 0.1 * g) for p, g in zip((w, b, v), sc.grad(cost, [w, b, v]))]
        f = sc.function([x, y], cost, updates=updates)
        found = [f(images.astype(dtype), labels.astype("uint16")) for _ in range(4)]
        assert all(c.dtype == dtype for c in found)
        return [float(c) for c in found]

    half, single = costs("float16"), costs("float32")
    np.testing.assert_allclose(half, single, rtol=1e-2)
    assert half[-1] < half[0]


def test_means_of_float16_count_beyond_its_whole_numbers() -> None:
    x = sc.tensor("float16", (None,))
    f = sc.function([x], [x.mean(), sc.var(x), x.sum(), x.prod()])
    mean, var, total, product = f(np.full(70000, 0.5, "float16"))
    assert mean == 0.5 and var == 0 and total == 35008 and product == 0


def test_plans_take_numpy_only_where_it_is_needed() -> None:
    x, i = sc.matrix(), sc.tensor("uint16", (None,))
    f = sc.function([x, i], [sc.tanh(x) * 2, i + 1])
    f(np.ones((2, 2), "float32"), np.ones(3, "uint16"))
    text = f.explain()
    assert "compiled kernels do not know uint16" in text
    assert text.count("elementwise") >= 1


@pytest.mark.parametrize("dtype", ["complex64", "complex128"])
def test_complex_operations_agree_with_numpy(dtype: str, rng: np.random.Generator) -> None:
    x, y = sc.tensor(dtype, (None, None)), sc.tensor(dtype, (None,))
    a, b = complexes(rng, 3, 4, dtype=dtype), complexes(rng, 4, dtype=dtype)
    outs = [
        x + y,
        x * y,
        x - y,
        x / y,
        -x,
        abs(x),
        sc.real(x),
        sc.imag(x),
        sc.conj(x),
        sc.angle(x),
        sc.dot(x, y),
        x.sum(0),
        sc.exp(x),
        sc.eq(x, y),
        x**2,
        x**2.5,
        sc.mean(x),
        x.T,
        x[0],
        x + 1,
        x * 1j,
        x * 2.5,
        sc.log(sc.exp(x)),
        sc.sqrt(x),
        sc.where(abs(x) > 1, x, 0),
        x + np.float32(1),
        x + np.ones(4),
        sc.cumsum(x, 1),
        x.prod(0),
        sc.make_complex(sc.real(x), sc.imag(x)),
        sc.complex_from_polar(abs(x), sc.angle(x)),
        sc.exp(sc.real(x)) * x,
        sc.maximum(x, y),
        sc.minimum(x, 1),
        x < y,
        x >= y,
        x.max(1),
        x.argmin(0),
        sc.sort(x, 0),
    ]
    wanted = [
        a + b,
        a * b,
        a - b,
        a / b,
        -a,
        abs(a),
        a.real,
        a.imag,
        a.conj(),
        np.angle(a),
        a @ b,
        a.sum(0),
        np.exp(a),
        a == b,
        a**2,
        a**2.5,
        a.mean(),
        a.T,
        a[0],
        a + 1,
        a * 1j,
        a * 2.5,
        np.log(np.exp(a)),
        np.sqrt(a),
        np.where(abs(a) > 1, a, 0),
        a + np.float32(1),
        a + np.ones(4),
        np.cumsum(a, 1),
        a.prod(0),
        a,
        a,
        np.exp(a.real) * a,
        np.maximum(a, b),
        np.minimum(a, 1),
        a < b,
        a >= b,
        a.max(1),
        a.argmin(0),
        np.sort(a, 0),
    ]
    both(outs, [x, y], [a, b], wanted)


def test_rules_of_the_reals_are_not_applied_to_complex_numbers() -> None:
    z = sc.tensor("complex128", ())
    f = sc.function([z], [sc.log(sc.exp(z)), sc.log(1 + sc.exp(z)), 1 / (1 + sc.exp(-z))])
    for value in (7j, 0.5 + 4j):  # log(exp(7i)) is not 7i
        e = np.exp(value)
        np.testing.assert_allclose(f(value), [np.log(e), np.log(1 + e), 1 / (1 + 1 / e)], rtol=1e-12)


def costs_of(z: Any, re: Any, w: Any) -> dict[str, Any]:
    return {
        "abs": abs(z).sum(), "real": sc.real(z * z).sum(), "div": abs(1 / (z + 2)).sum(),
        "exp": sc.imag(sc.exp(z) * z).sum(), "dot": abs(sc.dot(z, w)).sum(), "angle": sc.angle(z).sum(),
        "conj": sc.real(sc.conj(z) * z * z).sum(), "cast": abs(re * w[0, 0] + z).sum(),
        "index": sc.real(sc.concatenate([z[1:], z])[::2] ** 3).sum(), "log": abs(sc.log(z)).sum(),
        "power": sc.real(z**2.5).sum(), "where": abs(sc.where(abs(z) > 1, z * z, z)).sum(),
        "tanh": sc.real(sc.tanh(z)).sum(), "sqrt": sc.imag(sc.sqrt(z)).sum(),
    }  # fmt: skip


ONE = sc.tensor("complex128", (1, 1))


@pytest.mark.parametrize("name", list(costs_of(ONE, sc.real(ONE), ONE)))
def test_complex_gradients_are_those_by_the_parts(name: str, rng: np.random.Generator) -> None:
    re, im, w = sc.tensor("float64", (3, 4)), sc.tensor("float64", (3, 4)), sc.tensor("complex128", (4, 2))
    cost = costs_of(sc.make_complex(re, im), re, w)[name]
    f = sc.function([re, im, w], [cost, *sc.grad(cost, [re, im])], on_unused_input="ignore")
    parts, weights = [rng.normal(size=(3, 4)), rng.normal(size=(3, 4))], complexes(rng, 4, 2)
    found = f(*parts, weights)[1:]
    for which in range(2):
        for at in np.ndindex(3, 4):
            sides = []
            for step in (1e-6, -1e-6):
                moved = [p.copy() for p in parts]
                moved[which][at] += step
                sides.append(float(f(*moved, weights)[0]))
            assert abs((sides[0] - sides[1]) / 2e-6 - found[which][at]) < 1e-5


def test_a_gradient_by_a_complex_variable_descends(rng: np.random.Generator) -> None:
    z = sc.shared(complexes(rng, 5))
    target = complexes(rng, 5)
    cost = (abs(z - target) ** 2).sum()
    g = sc.grad(cost, z)
    assert g.dtype == "complex128"
    step = sc.function([], cost, updates=[(z, z - 0.1 * g)])
    for _ in range(60):
        step()
    np.testing.assert_allclose(z.get_value(), target, atol=1e-4)
    zero = sc.tensor("complex128", ())
    at_zero = sc.function([zero], [sc.grad(abs(zero), zero), sc.grad(sc.angle(zero), zero)])
    assert at_zero(0j) == [0, 0]


def test_what_complex_numbers_do_not_have_is_refused() -> None:
    z = sc.tensor("complex64", (3,), "z")
    for build, message in [
        (lambda: sc.floor(z), "floor: does not take complex64"),
        (lambda: sc.sign(z), "sign: does not take complex64"),
        (lambda: z // 2, "floor_div: does not take complex64"),
        (lambda: sc.cast(z, "float32"), "would drop the imaginary part"),
        (lambda: sc.sigmoid(z), "sigmoid: does not take complex64"),
        (lambda: sc.matrix()[z], "must hold integers"),
        (lambda: sc.arange(z[0]), "no order and no range"),
        (lambda: sc.set_subtensor(sc.vector()[:3], z), "cannot be stored in"),
        (lambda: Real()(sc.vector()), "real: does not take float32"),
    ]:
        with pytest.raises(DTypeError, match=message):
            build()
    with pytest.raises(GradientError, match="real\\(\\), imag\\(\\) or abs\\(\\) of it have one"):
        sc.grad(z.sum(), z)


def test_infinities_and_nans_of_new_dtypes_are_seen() -> None:
    assert "nan+0j) at [1]" in str(Bounds().first(np.array([1, complex(np.nan, 0)])))
    for dtype in ("float16", "complex64", "complex128"):
        x = sc.tensor(dtype, (2,), "x")
        with sc.config(mode="nan_guard"):
            f = sc.function([x], sc.exp(sc.log(x) * 2))
        assert np.isfinite(f(np.array([1, 2], dtype))).all()
        with pytest.raises(sc.errors.NonFiniteError, match="log"):
            f(np.array([0, 2], dtype))


def test_on_a_gpu_such_steps_run_on_the_host() -> None:
    x, z = sc.tensor("uint16", (3,)), sc.tensor("complex64", (3,))
    s = sc.shared(np.ones(3, "float16"))
    with sc.config(device="emulated"):
        f = sc.function([x, z], [x + 1, z * z], updates=[(s, s * 2)])
        first, second = f(np.uint16([1, 2, 65535]), np.complex64([1, 2j, 3]))
    assert first.tolist() == [2, 3, 0] and second.tolist() == [1, -4, 9]
    assert s.get_value().tolist() == [2, 2, 2]
    assert "on the host" in f.explain()


def test_loops_over_such_values_are_compiled(rng: np.random.Generator) -> None:
    x, labels, z = (
        sc.tensor("float32", (None, None)),
        sc.tensor("uint16", (None,)),
        sc.tensor("complex64", (None,)),
    )
    picked, _ = sc.scan(lambda k, s: sc.tanh(s + x[k]), labels, sc.zeros_like(x[0]))
    turned, _ = sc.scan(lambda v, s: s * v, z, sc.constant(np.complex64(1)))
    half, _ = sc.scan(lambda s: s * 2, None, sc.constant(np.float16(1)), n_steps=5)
    f = sc.function([x, labels, z], [picked[-1], sc.grad(picked[-1].sum(), x), turned, half])
    a, k, w = (
        rng.normal(size=(4, 3)).astype("float32"),
        np.uint16([3, 0, 3]),
        complexes(rng, 4, dtype="complex64"),
    )
    got = f(a, k, w)
    s = np.zeros(3, "float32")
    for i in k:
        s = np.tanh(s + a[i])
    np.testing.assert_allclose(got[0], s, rtol=1e-5)
    assert (got[1][1:3] == 0).all() and (got[1][[0, 3]] != 0).all()
    np.testing.assert_allclose(got[2], np.cumprod(w), rtol=1e-5)
    assert got[3].dtype == "float16" and got[3].tolist() == [2, 4, 8, 16, 32]
    steps = [line for line in f.explain().splitlines() if " scan " in line or line.split()[1:2] == ["loop"]]
    assert steps and not any("REFERENCE" in line for line in steps)
