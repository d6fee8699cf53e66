"""Gradients of loops: against NumPy loops and finite differences."""

import numpy as np
import pytest
from scan_helpers import draw, numeric, on_devices

import symconv as sc
from symconv.errors import GradientError

pytest.importorskip("symconv._core", reason="the C++ core is not built")
device = on_devices


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


def test_hessian_through_a_symbolic_number_of_steps():
    """The number of steps is inside the op that waits for shapes, and must be known with them."""
    w, n = sc.tensor("float64", (None,), name="w"), sc.scalar("n", dtype="int64")
    out, _ = sc.scan(lambda s, w: s + (w**3).sum(), outputs_info=[sc.constant(0.0, "float64")],
                     non_sequences=[w], n_steps=n)  # fmt: skip
    f = sc.function([w, n], sc.hessian(out[-1], w))
    for steps in (2, 3):
        assert np.allclose(f(np.array([1.0, -2.0]), steps), np.diag([6.0, -12.0]) * steps)
