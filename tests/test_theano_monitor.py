"""MonitorMode: the program's functions around every node."""

import numpy as np
import pytest

import symconv.theano as theano
import symconv.theano.tensor as T
from symconv.theano.tensor.shared_randomstreams import RandomStreams


def test_a_node_that_gives_nan_is_found():
    found = []

    def detect_nan(i, node, fn):
        for output in fn.outputs:
            if not isinstance(output[0], np.random.RandomState) and np.isnan(output[0]).any():
                found.append((i, node.op.name, [float(cell[0]) for cell in fn.inputs]))

    x = T.dscalar("x")
    f = theano.function([x], [T.log(x) * x], mode=theano.compile.MonitorMode(post_func=detect_nan))
    assert f(2.0)[0] == 2 * np.log(2) and not found
    assert np.isnan(f(0.0)[0]) and [name for _, name, _ in found] == ["mul"]
    assert -np.inf in found[0][2]


def test_updates_shapes_and_draws_are_those_of_other_modes():
    seen = []
    x, w = T.dmatrix("x"), theano.shared(np.ones((3, 2)), "w")
    noise = RandomStreams(3).normal((2,))
    y = T.nnet.softmax(T.dot(x, w) + noise)
    cost = -T.log(y)[T.arange(x.shape[0]), 0].mean()
    updates = [(w, w - T.grad(cost, w))]
    plain = theano.function([x], cost, updates=updates)
    results = [plain(np.arange(6.0).reshape(2, 3)), plain(np.ones((4, 3)))]
    after = w.get_value()
    w.set_value(np.ones((3, 2)))
    noise.rng.set_value(np.random.RandomState(np.random.RandomState(3).randint(2**30)))
    mode = theano.compile.MonitorMode(pre_func=lambda i, node, fn: seen.append(i))
    f = theano.function([x], cost, updates=updates, mode=mode)
    np.testing.assert_allclose([f(np.arange(6.0).reshape(2, 3)), f(np.ones((4, 3)))], results, rtol=1e-6)
    np.testing.assert_allclose(w.get_value(), after, rtol=1e-6)
    assert seen[:3] == [0, 1, 2] and seen.count(0) == 2


def test_a_hook_may_change_results_and_errors_keep_their_kind():
    def tenfold(i, node, fn):
        fn.outputs[0][0] = fn.outputs[0][0] * 10

    x = T.dvector()
    f = theano.function([x], x + 1, mode=theano.compile.MonitorMode(post_func=tenfold))
    assert f([1.0]).tolist() == [20]
    g = theano.function(
        [x], theano.printing.Assert("positive")(x, T.all(x > 0)), mode=theano.compile.MonitorMode()
    )
    with pytest.raises(AssertionError, match="positive"):
        g([-1.0])


def test_modules_of_compile_need_no_import():
    assert theano.compile.nanguardmode.NanGuardMode is theano.compile.NanGuardMode
    assert theano.compile.monitormode.MonitorMode is theano.compile.MonitorMode
    assert theano.compile.io.In is theano.In and theano.compile.sharedvalue.shared is theano.shared
    with pytest.raises(AttributeError, match="docs/theano.md"):
        theano.compile.nothing  # noqa: B018


def test_the_step_of_a_scan_is_watched_where_it_is_asked_for():
    seen, large = [], []

    def before(i, node, fn):
        seen.append((i, node.op.name, [cell[0].tolist() for cell in fn.inputs]))

    def after(i, node, fn):
        large.extend(v for cell in fn.outputs for v in cell[0][cell[0] > 10])

    a, k = T.dvector("a"), T.iscalar("k")
    outputs, updates = theano.scan(
        lambda before, a: before * a, outputs_info=T.ones_like(a), non_sequences=a, n_steps=k,
        mode=theano.compile.MonitorMode(before, after),
    )  # fmt: skip
    f = theano.function([a, k], [outputs[-1], T.grad(outputs[-1].sum(), a)], updates=updates)
    power, slope = f([2.0, 3.0, 0.5], 4)
    assert power.tolist() == [16, 81, 0.0625] and slope.tolist() == [32, 108, 0.5]
    assert [s for s in seen if s[0] == 0 and s[1] == "mul"] == seen and len(seen) == 4
    assert seen[2][2] == [[4, 9, 0.25], [2, 3, 0.5]] and large == [27, 16, 81]


def test_a_hook_in_a_scan_may_change_results():
    def halved(i, node, fn):
        fn.outputs[0][0] = fn.outputs[0][0] / 2

    x = T.dvector()
    total, _ = theano.scan(
        lambda row, total: total + row, x, np.float64(0), mode=theano.compile.MonitorMode(post_func=halved)
    )
    assert theano.function([x], total)([8.0, 4.0]).tolist() == [4, 4]
