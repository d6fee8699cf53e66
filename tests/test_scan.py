"""sc.scan: values, draws and errors, on the reference and the compiled core."""

import os
import signal
import threading

import numpy as np
import pytest
from scan_helpers import DEVICES, draw, loops_of, numeric, on_devices

import symconv as sc
from symconv.errors import (
    ArgumentError,
    DTypeError,
    ExecutionError,
    GraphError,
    IndexRangeError,
    ShapeError,
    SymconvError,
)

pytest.importorskip("symconv._core", reason="the C++ core is not built")
device = on_devices


# ---- values


def test_cumulative_sum(device):
    x = sc.dvector("x")
    y, updates = sc.scan(lambda a, total: total + a, x, 0.0)
    assert updates == {}
    f = sc.function([x], y)
    for n in (1, 5, 2, 0):
        a = draw(n)
        np.testing.assert_allclose(f(a), np.cumsum(a), rtol=1e-12)


def test_power_with_symbolic_steps(device):
    k, a = sc.lscalar("k"), sc.vector("a")
    result, _ = sc.scan(lambda prior, a: prior * a, None, sc.ones_like(a), a, k)
    f = sc.function([a, k], result[-1])
    base = np.arange(10, dtype="float32")
    for n in (1, 2, 5):
        np.testing.assert_array_equal(f(base, n), base**n)


def test_polynomial_from_sequence_and_index(device):
    coefficients, x = sc.dvector("c"), sc.dscalar("x")
    terms, _ = sc.scan(
        lambda c, power, x: c * x**power, [coefficients, sc.arange(100)[: coefficients.shape[0]]], None, x
    )
    f = sc.function([coefficients, x], terms.sum())
    assert f(np.array([1.0, 0, 2]), 3.0) == 19.0


def test_past_and_future_taps(device):
    x, u = sc.dvector("x"), sc.dvector("u")
    info = {"initial": x, "taps": [-3, -1]}
    y, _ = sc.scan(
        lambda before, now, after, s3, s1: before - now + 2 * after + s3 * 0.5 - s1,
        [{"input": u, "taps": [-2, 0, 1]}],
        info,
    )
    f = sc.function([u, x], y)
    a, s = draw(9), draw(3)
    states = list(s)
    for t in range(9 - 3):
        states.append(a[t] - a[t + 2] + 2 * a[t + 3] + 0.5 * states[-3] - states[-1])
    np.testing.assert_allclose(f(a, s), states[3:], rtol=1e-12)


def test_outputs_with_and_without_memory(device):
    x = sc.dmatrix("x")
    (total, double), _ = sc.scan(lambda row, s: [s + row.sum(), row * 2], x, [0.0, None])
    f = sc.function([x], [total, double])
    a = draw(4, 3)
    got = f(a)
    np.testing.assert_allclose(got[0], np.cumsum(a.sum(1)))
    np.testing.assert_array_equal(got[1], a * 2)


def test_go_backwards(device):
    x = sc.dvector("x")
    y, _ = sc.scan(lambda a, s: 0.5 * s + a, x, 0.0, go_backwards=True)
    short, _ = sc.scan(lambda a, s: 0.5 * s + a, x, 0.0, n_steps=2, go_backwards=True)
    a = draw(5)
    want, s = [], 0.0
    for value in a[::-1]:
        s = 0.5 * s + value
        want.append(s)
    got = sc.function([x], [y, short])(a)
    np.testing.assert_allclose(got[0], want)
    np.testing.assert_allclose(got[1], want[:2])


def test_until_ends_the_loop(device):
    limit = sc.dscalar("limit")
    powers, _ = sc.scan(lambda p, limit: (p * 2, sc.until(p * 2 > limit)), None, 1.0, limit, n_steps=1024)
    f = sc.function([limit], powers)
    np.testing.assert_array_equal(f(45.0), [2, 4, 8, 16, 32, 64])
    np.testing.assert_array_equal(f(3.0), [2, 4])
    last = sc.function([limit], powers[-1])
    assert last(1000.0) == 1024


def test_until_has_a_gradient(device):
    x = sc.dscalar("x")
    powers, _ = sc.scan(lambda p, x: (p * x, sc.until(p * x > 20)), None, sc.ones_like(x), x, n_steps=50)
    f = sc.function([x], [powers.sum(), sc.grad(powers.sum(), x)])
    value, slope = f(2.0)
    assert value == 2 + 4 + 8 + 16 + 32
    assert slope == sum(k * 2.0 ** (k - 1) for k in range(1, 6))


def test_updates_of_shared_variables(device):
    count = sc.shared(np.int64(0), "count")
    x = sc.lvector("x")
    y, updates = sc.scan(lambda a: (a * count, {count: count + 1}), x)
    assert list(updates) == [count]
    f = sc.function([x], y, updates=updates)
    np.testing.assert_array_equal(f(np.array([1, 1, 2])), [0, 1, 4])
    np.testing.assert_array_equal(f(np.array([1, 1])), [3, 4])
    assert count.get_value() == 5


def test_a_step_may_only_update(device):
    state = sc.shared(np.ones(2), "state")
    outputs, updates = sc.scan(lambda: {state: state * 3}, n_steps=4)
    assert outputs == []
    sc.function([], updates=updates)()
    np.testing.assert_array_equal(state.get_value(), [81, 81])


def test_no_steps(device):
    n, x0 = sc.lscalar("n"), sc.dvector("x0")
    (y, z), _ = sc.scan(lambda s: [s * 2, s.sum()], None, [x0, None], n_steps=n)
    got = sc.function([n, x0], [y, z])(0, np.ones(3))
    assert got[0].shape == (0, 3) and got[1].shape == (0,)


def test_nested_loops(device):
    x = sc.dmatrix("x")
    inner = lambda row: sc.scan(lambda a, s: s * 0.5 + a, row, 0.0)[0][-1]  # noqa: E731
    y, _ = sc.scan(lambda row, s: s + inner(row), x, 0.0)
    f = sc.function([x], [y, sc.grad((y**2).sum(), x)])

    def plain(a):
        out, s = [], 0.0
        for row in a:
            r = 0.0
            for v in row:
                r = r * 0.5 + v
            s += r
            out.append(s)
        return np.array(out)

    a = draw(3, 4)
    value, slope = f(a)
    np.testing.assert_allclose(value, plain(a))
    np.testing.assert_allclose(slope, numeric(lambda a: (plain(a) ** 2).sum(), [a], 0), rtol=1e-6, atol=1e-8)


def test_a_step_may_return_a_constant_or_an_outer_value(device):
    x, w = sc.dvector("x"), sc.dvector("w")
    (a, b, c), _ = sc.scan(lambda v: [v, w, 2.0], x, [None, None, None])
    got = sc.function([x, w], [a, b, c])(np.arange(3.0), np.ones(2))
    np.testing.assert_array_equal(got[0], np.arange(3))
    assert got[1].shape == (3, 2)
    np.testing.assert_array_equal(got[2], [2, 2, 2])


# ---- random numbers


def test_draws_are_new_in_every_step_and_call_and_equal_on_all_devices():
    values = []
    for name in DEVICES:
        with sc.config(device=name):
            rng = sc.RandomStream(3)
            y, updates = sc.scan(lambda rng=rng: rng.uniform((4,)), n_steps=6)
            assert updates == {}
            f = sc.function([], y)
            values.append(np.stack([f(), f()]))
    assert len(np.unique(values[0])) == 48
    np.testing.assert_array_equal(values[0], values[1])


def test_draws_of_nested_loops_differ():
    rng = sc.RandomStream(3)
    y, _ = sc.scan(lambda: sc.scan(lambda: rng.uniform(), n_steps=5)[0], n_steps=4)
    assert len(np.unique(sc.function([], y)())) == 20


def test_a_draw_in_non_sequences_stays_the_same(device):
    rng = sc.RandomStream(3)
    mask = rng.uniform((2,))
    (same, new), _ = sc.scan(lambda m: [m * 1, rng.uniform((2,))], None, [None, None], mask, n_steps=3)
    f = sc.function([], [same, new, mask])
    for _ in range(2):
        a, b, m = f()
        np.testing.assert_array_equal(a, np.stack([m] * 3))
        assert len(np.unique(b)) == 6


def test_gibbs_chain_of_a_restricted_boltzmann_machine():
    """k steps of block Gibbs sampling: the samples follow the model, and only the end is kept."""
    rng = sc.RandomStream(11)
    w, v0, k = sc.matrix("w"), sc.matrix("v0"), sc.lscalar("k")

    def step(v, w):
        h = rng.bernoulli((v0.shape[0], 2), sc.sigmoid(sc.dot(v, w)))
        mean = sc.sigmoid(sc.dot(h, w.T))
        return [mean, rng.bernoulli((v0.shape[0], 3), mean)]

    (mean, v), _ = sc.scan(lambda v, w: step(v, w), None, [None, v0], w, n_steps=k)
    f = sc.function([v0, w, k], v[-1])
    weights = np.array([[2, -1], [0, 1], [-1.5, 0.5]], "float32")
    samples = f(np.zeros((4000, 3), "float32"), weights, 30)
    states = np.array([[a, b, c] for a in (0, 1) for b in (0, 1) for c in (0, 1)], "float64")
    p = np.prod(1 + np.exp(states @ weights), axis=1)
    want = p @ states / p.sum()
    np.testing.assert_allclose(samples.mean(0), want, atol=0.03)
    (loop,) = loops_of(f)
    assert loop.op.traces == () and loop.op.outputs == ()  # the means are not even computed into memory


# ---- errors


def test_a_state_that_changes_its_dtype_or_shape():
    x = sc.vector("x")
    with pytest.raises(DTypeError, match=r"output 0 starts as int64.*float32"):
        sc.scan(lambda v, s: s + v, x, sc.constant(np.int64(0)))
    y, _ = sc.scan(lambda s: sc.concatenate([s, s]), None, x, n_steps=3)
    with pytest.raises(ShapeError, match=r"float32\[2\].*becomes float32\[4\].*test_scan.py"):
        sc.function([x], y)(np.ones(2, "f"))


def test_sequences_that_do_not_fit():
    x, y = sc.vector("x"), sc.vector("y")
    z, _ = sc.scan(lambda a, b: a * b, [x, y])
    with pytest.raises(ShapeError, match=r"(?s)sequence 1 has 2 rows.*3 steps.*n_steps"):
        sc.function([x, y], z)(np.ones(3, "f"), np.ones(2, "f"))
    z, _ = sc.scan(lambda a: a, x, n_steps=5)
    with pytest.raises(ShapeError, match="sequence 0 has 3 rows"):
        sc.function([x], z)(np.ones(3, "f"))
    with pytest.raises(ShapeError, match="scalar"):
        sc.scan(lambda a: a, sc.scalar("s"))


def test_arguments_that_make_no_sense():
    x = sc.vector("x")
    with pytest.raises(ArgumentError, match="must be a function"):
        sc.scan(3, x)
    with pytest.raises(ArgumentError, match=r"(?s)is given 3 arguments: 1 rows.*1 past values, 1 non_seq"):
        sc.scan(lambda v, s: v, x, 0.0, 1.0)
    with pytest.raises(ArgumentError, match="n_steps"):
        sc.scan(lambda: 1.0)
    with pytest.raises(ArgumentError, match="must not be negative"):
        sc.scan(lambda: 1.0, n_steps=-2)
    with pytest.raises(GraphError, match="2 outputs, outputs_info has 1"):
        sc.scan(lambda a, s: [a, s], x, [0.0])
    with pytest.raises(ArgumentError, match="look back"):
        sc.scan(lambda a, s: a, x, {"initial": x, "taps": [1]})
    with pytest.raises(ArgumentError, match="different integers"):
        sc.scan(lambda a, b: a, {"input": x, "taps": [1, 1]})
    with pytest.raises(ArgumentError, match="truncate_gradient"):
        sc.scan(lambda a: a, x, truncate_gradient=-3)
    with pytest.raises(GraphError, match="updates of a step change shared"):
        sc.scan(lambda a: (a, {x: x}), x)
    with pytest.raises(GraphError, match="strict"):
        sc.scan(lambda a: a * sc.shared(1.0, "w"), x, strict=True)
    with pytest.raises(ShapeError, match="bool scalar"):
        sc.scan(lambda a: (a, sc.until(a)), x)


def test_shapes_of_outputs_that_change_from_step_to_step():
    x, k = sc.vector("x"), sc.lvector("k")
    y, _ = sc.scan(lambda n, x: x[:n], k, None, x)
    with pytest.raises(ShapeError, match=r"(?s)changes? from step to step.*hint"):
        sc.function([x, k], y)(np.ones(3, "f"), np.array([1, 2]))


def test_a_failing_step_names_the_step_and_the_line(device):
    x, k = sc.vector("x"), sc.lvector("k")
    y, _ = sc.scan(lambda n, x: x[n], k, None, x)
    f = sc.function([x, k], y)
    with pytest.raises((ExecutionError, IndexRangeError), match=r"(?s)(step|iteration) 2.*test_scan.py"):
        f(np.ones(3, "f"), np.array([1, 2, 7]))
    np.testing.assert_array_equal(f(np.ones(3, "f"), np.array([1, 2, 0])), [1, 1, 1])


def test_the_gradient_of_a_step_without_one():
    x = sc.vector("x")
    y, _ = sc.scan(lambda v: sc.cast(sc.cast(v, "int64"), "float32"), x)
    with pytest.raises(SymconvError, match="no gradient reaches"):
        sc.grad(y.sum(), x)


def test_ctrl_c_ends_a_long_loop():
    x0 = sc.vector("x0")
    y, _ = sc.scan(lambda s: sc.tanh(s) + 1, None, x0, n_steps=10**9)
    f = sc.function([x0], y[-1], device="cpu")
    f.prepare(np.ones(100, "f"))
    timer = threading.Timer(1.0, os.kill, (os.getpid(), signal.SIGINT))
    timer.start()
    with pytest.raises(KeyboardInterrupt):
        f(np.ones(100, "f"))


def test_states_of_integers_and_bools(device):
    x = sc.ivector("x")
    (total, seen), _ = sc.scan(
        lambda v, s, b: [s + v, sc.logical_or(b, v > 2)], x, [sc.constant(np.int32(0)), sc.constant(False)]
    )
    got = sc.function([x], [total, seen])(np.array([1, 3, 2], "int32"))
    assert got[0].dtype == np.int32 and got[0].tolist() == [1, 4, 6]
    assert got[1].dtype == bool and got[1].tolist() == [False, True, True]
