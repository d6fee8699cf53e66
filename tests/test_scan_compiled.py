"""What a loop is compiled into, and the core's own checks of it."""

import numpy as np
import pytest
from scan_helpers import draw, loops_of, on_devices

import symconv as sc
from symconv.loops import Scan

pytest.importorskip("symconv._core", reason="the C++ core is not built")
device = on_devices


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
    assert "one step of scan" in text and "tanh" in text and "test_scan_compiled.py" in text


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
