"""sc.scan: against NumPy loops and finite differences, on the reference and the compiled core."""

import os
import signal
import threading

import numpy as np
import pytest

import symconv as sc
from symconv.errors import (
    ArgumentError,
    DTypeError,
    ExecutionError,
    GradientError,
    GraphError,
    IndexRangeError,
    ShapeError,
    SymconvError,
)
from symconv.loops import Scan

pytest.importorskip("symconv._core", reason="the C++ core is not built")
DEVICES = ["reference", "cpu"]


@pytest.fixture(params=DEVICES)
def device(request):
    with sc.config(device=request.param, verify_rewrites=True):
        yield request.param


def loops_of(f):
    """The Scan nodes of the function's only plan, after rewriting."""
    (executable,) = f.executables
    return [n for n in executable.graph.nodes() if isinstance(n.op, Scan)]


def numeric(f, arrays, which, eps=1e-6):
    """d f / d arrays[which] by central differences."""
    x = arrays[which]
    out = np.zeros_like(x)
    for at in np.ndindex(x.shape):
        ends = []
        for sign in (1, -1):
            moved = [a.copy() for a in arrays]
            moved[which][at] += sign * eps
            ends.append(f(*moved))
        out[at] = (ends[0] - ends[1]) / (2 * eps)
    return out


RNG = np.random.default_rng(5)


def draw(*shape):
    return RNG.standard_normal(shape)


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


# ---- gradients


def rnn(x, h0, w, u):
    h, total = h0, 0.0
    for row in x:
        h = np.tanh(row @ u + h @ w)
        total += (h**2).sum()
    return total + h.sum()


def test_gradient_of_a_recurrent_net(device):
    x, h0, w, u = sc.dmatrix("x"), sc.dvector("h0"), sc.dmatrix("w"), sc.dmatrix("u")
    h, _ = sc.scan(lambda row, h, w, u: sc.tanh(sc.dot(row, u) + sc.dot(h, w)), x, h0, [w, u])
    cost = (h**2).sum() + h[-1].sum()
    f = sc.function([x, h0, w, u], [cost, *sc.grad(cost, [x, h0, w, u])])
    arrays = [draw(6, 2), draw(3), draw(3, 3) / 2, draw(2, 3)]
    cost_value, *slopes = f(*arrays)
    np.testing.assert_allclose(cost_value, rnn(*arrays), rtol=1e-12)
    for k, slope in enumerate(slopes):
        np.testing.assert_allclose(slope, numeric(rnn, arrays, k), rtol=1e-5, atol=1e-8)


def test_gradient_through_several_taps_and_outputs(device):
    x, s0, a = sc.dvector("x"), sc.dvector("s0"), sc.dscalar("a")

    def step(before, after, s2, s1, a):
        s = sc.tanh(a * s2 - s1 * before) + after
        return [s, s * s1]

    info = {"initial": s0, "taps": [-2, -1]}
    (s, p), _ = sc.scan(step, {"input": x, "taps": [-1, 1]}, [info, None], a)
    cost = (s * p).sum() + (p[1:] ** 2).sum()
    f = sc.function([x, s0, a], [cost, *sc.grad(cost, [x, s0, a])])

    def plain(x, s0, a):
        states, ps = list(s0), []
        for t in range(1, len(x) - 1):
            states.append(np.tanh(a * states[-2] - states[-1] * x[t - 1]) + x[t + 1])
            ps.append(states[-1] * states[-2])
        ps = np.array(ps)
        return (np.array(states[2:]) * ps).sum() + (ps[1:] ** 2).sum()

    arrays = [draw(8), draw(2), np.array(0.7)]
    value, *slopes = f(*arrays)
    np.testing.assert_allclose(value, plain(*arrays), rtol=1e-12)
    for k, slope in enumerate(slopes):
        np.testing.assert_allclose(slope, numeric(plain, arrays, k), rtol=1e-5, atol=1e-7)


def test_gradient_going_backwards_over_part_of_a_sequence(device):
    x, s0 = sc.dvector("x"), sc.dscalar("s0")
    s, _ = sc.scan(lambda v, s: sc.sin(s) * v + v, x, s0, n_steps=3, go_backwards=True)
    f = sc.function([x, s0], sc.grad((s**2).sum(), [x, s0]))

    def plain(x, s0):
        total, s = 0.0, s0
        for v in x[::-1][:3]:
            s = np.sin(s) * v + v
            total += s**2
        return total

    arrays = [draw(5), np.array(0.3)]
    for k, slope in enumerate(f(*arrays)):
        np.testing.assert_allclose(slope, numeric(plain, arrays, k), rtol=1e-5, atol=1e-8)


def test_gradient_of_a_gradient(device):
    x, s0, a = sc.dvector("x"), sc.dscalar("s0"), sc.dscalar("a")
    s, _ = sc.scan(lambda v, s, a: sc.tanh(a * s + v), x, s0, a)
    gx, ga = sc.grad((s**3).sum(), [x, a])
    second = sc.grad((gx**2).sum() + ga, [x, s0, a])
    first = sc.function([x, s0, a], (gx**2).sum() + ga)
    f = sc.function([x, s0, a], second)
    arrays = [draw(4), np.array(0.4), np.array(0.8)]
    for k, slope in enumerate(f(*arrays)):
        np.testing.assert_allclose(slope, numeric(first, arrays, k), rtol=1e-5, atol=1e-7)


def test_product_of_jacobian_and_vector(device):
    x, v = sc.dvector("x"), sc.dvector("v")
    s, _ = sc.scan(lambda a, s: sc.tanh(a + 0.5 * s), x, 0.1)
    f = sc.function([x, v], [s, sc.Rop(s, x, v)])
    a, b = draw(5), draw(5)
    eps = 1e-6
    want = (f(a + eps * b, b)[0] - f(a - eps * b, b)[0]) / (2 * eps)
    np.testing.assert_allclose(f(a, b)[1], want, rtol=1e-6, atol=1e-8)


def test_truncated_gradient(device):
    x, a = sc.dvector("x"), sc.dscalar("a")
    s, _ = sc.scan(lambda v, s, a: a * s + v, x, 0.0, a, truncate_gradient=2)
    dx, da = sc.function([x, a], sc.grad(s[-1], [x, a]))(np.array([1.0, 2, 3, 4]), 0.5)
    np.testing.assert_allclose(dx, [0, 0, 0.5, 1])
    states = [0, 1, 2.5, 4.25]
    np.testing.assert_allclose(da, states[3] + 0.5 * states[2])


def test_gradient_through_updated_shared_variable(device):
    w, x = sc.dscalar("w"), sc.dvector("x")
    state = sc.shared(np.array(2.0), "state")
    y, _ = sc.scan(lambda v, w: (v * state, {state: state * w}), x, None, w)
    f = sc.function([x, w], sc.grad(y.sum(), [x, w]), no_default_updates=True)
    a = np.array([1.0, 3, 5])
    dx, dw = f(a, 0.5)
    np.testing.assert_allclose(dx, [2, 1, 0.5])
    np.testing.assert_allclose(dw, 3 * 2 + 5 * 2 * 2 * 0.5)


def test_integers_have_no_gradient(device):
    x = sc.lvector("x")
    y, _ = sc.scan(lambda v, s: s + v, x, 0)
    with pytest.raises(GradientError):
        sc.grad(y.sum(), x)


# ---- what is compiled


def test_what_does_not_change_is_computed_once():
    x, w = sc.matrix("x"), sc.matrix("w")
    y, _ = sc.scan(lambda row, w: sc.dot(row, sc.exp(w) + 1), x, None, w)
    (loop,) = [n for n in sc.graph.traversal.toposort([y]) if isinstance(n.op, Scan)]
    assert [n.op.name for n in loop.op.body.nodes if n.op.name in ("exp", "add")] == []
    a, b = draw(3, 2).astype("f"), draw(2, 2).astype("f")
    np.testing.assert_allclose(sc.function([x, w], y, device="cpu")(a, b), a @ (np.exp(b) + 1), rtol=1e-5)


def test_only_the_last_value_takes_memory_for_one():
    x0, n = sc.vector("x0"), sc.lscalar("n")
    y, _ = sc.scan(lambda s: sc.tanh(s) + 1, None, x0, n_steps=n)
    f = sc.function([x0, n], y[-1], device="cpu")
    f(np.zeros(1000, "f"), 500)
    (loop,) = loops_of(f)
    assert loop.op.traces == () and loop.op.carries == 1
    (executable,) = f.executables
    assert executable.plan.arena_bytes < 3 * 4000
    step = next(s for s in executable.plan.steps if s.loop is not None)
    assert [s.kind for s in step.loop.plan.steps] == ["kernel"]  # the state is overwritten in place


def test_several_last_values(device):
    x = sc.dvector("x")
    y, _ = sc.scan(lambda s2, s1: s2 + s1, None, {"initial": x, "taps": [-2, -1]}, n_steps=10)
    f = sc.function([x], [y[-1], y[-2]])
    assert [float(v) for v in f(np.array([0.0, 1.0]))] == [89.0, 55.0]
    if device == "cpu":
        assert loops_of(f)[0].op.carries == 2


def test_unread_outputs_and_states_are_left_out():
    x = sc.vector("x")
    (a, b, c), _ = sc.scan(lambda v, s, r: [s + v, r * sc.exp(v), sc.tanh(v)], x, [0.0, 1.0, None])
    f = sc.function([x], c, device="cpu")
    f(np.ones(4, "f"))
    (loop,) = loops_of(f)
    assert (loop.op.traces, loop.op.carries, len(loop.op.outputs)) == ((), 0, 1)
    assert {n.op.name for n in loop.op.body.nodes} == {"tanh"}


def test_the_same_loop_is_one_node_and_a_gradient_shares_the_forward_loop():
    x = sc.vector("x")
    build = lambda: sc.scan(lambda v, s: sc.tanh(s * v) + sc.exp(s), x, 0.5)[0]  # noqa: E731
    assert build() is build()
    y = build()
    f = sc.function([x], [y, sc.grad(y.sum(), x)], device="cpu")
    f(np.ones(4, "f"))
    assert len(loops_of(f)) == 2
    assert "join_loops" in f.explain(rewrites=True)


def test_bodies_are_rewritten_and_run_without_python():
    x, w = sc.matrix("x"), sc.matrix("w")
    h, _ = sc.scan(lambda v, h, w: sc.log(sc.sigmoid(sc.dot(v, w) + h)), x, sc.zeros((3,)), w)
    f = sc.function([x, w], h, device="cpu")
    f(np.ones((4, 2), "f"), np.ones((2, 3), "f"))
    text = f.explain(rewrites=True)
    assert "log_sigmoid" in text and "0 reference steps" in text
    assert "4 times this plan" in text and "REFERENCE" not in text


def test_debugprint_shows_the_step():
    x = sc.vector("x")
    y, _ = sc.scan(lambda v, s: sc.tanh(s) * v, x, 0.0, name="leak")
    text = sc.debugprint(y)
    assert "scan{leak; 1 sequences; taps [-1]}" in text
    assert "one step of scan" in text and "tanh" in text and "test_scan.py" in text


def test_emulated_device_takes_the_reference_and_says_so():
    x = sc.vector("x")
    y, _ = sc.scan(lambda v, s: s + v, x, 0.0)
    f = sc.function([x], y * 2, device="emulated")
    np.testing.assert_array_equal(f(np.arange(4, dtype="f")), [0, 2, 6, 12])
    assert "scan has no cuda kernel" in f.explain()


def test_find_nonfinite_names_the_loop():
    x = sc.vector("x")
    y, _ = sc.scan(lambda v, s: s + sc.log(v), x, 0.0)
    f = sc.function([x], y)
    assert "scan" in f.find_nonfinite(np.array([1, -1, 1], "f"))


def test_givens_reach_into_the_loop(device):
    x, w = sc.dvector("x"), sc.dscalar("w")
    y, _ = sc.scan(lambda v, s: s * w + v, x, 0.0)
    f = sc.function([x], y, givens={w: sc.constant(0.5)})
    np.testing.assert_allclose(f(np.ones(3)), [1, 1.5, 1.75])


def test_many_calls_in_one():
    x = sc.vector("x")
    y, _ = sc.scan(lambda v, s: s + v, x, 0.0)
    f = sc.function([x], y[-1], device="cpu")
    np.testing.assert_array_equal(f.map(np.arange(6, dtype="f").reshape(3, 2)), [1, 5, 9])


def test_sizes_inside_the_step_from_outside(device):
    x, k = sc.dmatrix("x"), sc.lscalar("k")
    y, _ = sc.scan(lambda row: row[:k].sum(), x)
    f = sc.function([x, k], y)
    a = draw(3, 4)
    np.testing.assert_allclose(f(a, 2), a[:, :2].sum(1))
    np.testing.assert_allclose(f(a, 3), a[:, :3].sum(1))


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


def test_shapes_that_change_from_step_to_step():
    x, k = sc.vector("x"), sc.lvector("k")
    y, _ = sc.scan(lambda n, x: x[:n].sum(), k, None, x)
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


# ---- the core's side


def loop_step(n=2, places=(("in", 0, 0, 8), ("out", 0, 0, 8)), copies=(), cleared=(), count=-1):
    """An executor whose only step runs a plan of two 8-byte arrays n times over 16-byte ones."""
    from symconv import _core

    inner = _core.Executor([("external", 8), ("external", 8)], [])
    step = ("loop", "test", inner, n, [0], [1, 2], list(places), list(copies), list(cleared), count)
    return _core.Executor([("external", 16), ("external", 16), ("external", 8)], [step])


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"n": 3}, "leaves an array of 16 bytes"),
        ({"n": 0}, "0 iterations"),
        ({"places": [("in", 0, 0, 8)]}, "1 places for 2"),
        ({"places": [("in", 0, 8, -8), ("out", 0, 0, -8)]}, "leaves an array"),
        ({"places": [("in", 0, 0, 8), ("out", 2, 0, 8)]}, "array 2, there are 2"),
        ({"places": [("in", 0, 0, 8), ("in", 0, 0, 2**62)]}, "leaves an array|too far"),
        ({"places": [("in", 0, 0, 8), ("stop", 0, 0, 0)]}, "condition has 8 bytes"),
        ({"places": [("in", 0, 0, 8), ("there", 0, 0, 8)]}, "a place in 'there'"),
        ({"copies": [(0, 1, 16)]}, "a copy of 16 bytes"),
        ({"cleared": [5]}, "output 5, there are 2"),
        ({"count": 0}, "the count has 16 bytes"),
    ],
)
def test_the_core_refuses_a_loop_that_leaves_its_arrays(wrong, message):
    with pytest.raises(ValueError, match=message):
        loop_step(**wrong)


def test_the_core_counts_and_copies():
    x, y, count = np.array([5, 6]), np.zeros(2, "int64"), np.zeros(1, "int64")
    loop_step(copies=[(0, 0, 16)], cleared=[0], count=1).run([x, y, count])
    assert y.tolist() == [5, 6] and count.tolist() == [2]
