"""Rewrites: every rule by value on odd shapes, the graphs they lead to, and what they must not touch."""

import numpy as np
import pytest

import symconv as sc
from symconv.errors import CompileError
from symconv.graph import TensorType, Variable
from symconv.graph.function_graph import FunctionGraph
from symconv.graph.verify import verify
from symconv.ops.transcendental import exp, log
from symconv.rewrite.algebra import algebra_rules
from symconv.rewrite.driver import RuleSet
from symconv.rewrite.pattern import Rule, filled_value
from symconv.rewrite.pipeline import passes
from symconv.rewrite.stabilize import RULES as STABILITY_RULES

ALGEBRAIC = [r for r in (*algebra_rules(), *STABILITY_RULES) if isinstance(r, Rule)]


def compiled_ops(f, *args):
    """Names of the ops in the optimised graph, in order."""
    return [n.op.name for n in f.prepare(*args).graph.nodes()]


def both(f_inputs, outputs, values, updates=()):
    """The results with and without rewriting, on the reference in float64."""
    results = []
    for optimize in (True, False):
        with sc.config(optimize=optimize):
            f = sc.function(f_inputs, outputs, updates=updates, device="reference", on_unused_input="ignore")
            results.append(f(*values))
    return results


@pytest.mark.parametrize("rule", ALGEBRAIC, ids=lambda r: r.name)
@pytest.mark.parametrize("shape", [(), (1,), (3, 5), (2, 1, 7), (0, 4)])
def test_rule_keeps_the_value(rule, shape):
    rng = np.random.default_rng(len(rule.name))
    names = list(rule.placeholders.values())
    inputs = [Variable(TensorType("float64", shape), name=n) for n in names]
    values = [np.abs(rng.normal(size=shape)) + 0.1 for _ in names]
    bound = dict(zip(names, inputs))
    before = sc.as_variable(rule.pattern(**bound))
    after = rule.apply(before)
    assert after is not None, f"{rule.name} does not match its own pattern at rank {len(shape)}"
    with sc.config(optimize=False):
        old, new = sc.function(inputs, [before, after], device="reference", on_unused_input="ignore")(*values)
    np.testing.assert_allclose(new, old, rtol=1e-12, atol=1e-14)


def test_rule_names_are_unique_per_op():
    keys = [(r.name, r.op) for r in (*algebra_rules(), *STABILITY_RULES)]
    assert len(set(keys)) == len(keys)


def test_driver_stops_rules_that_undo_each_other():
    x = Variable(TensorType("float32", (2,)))
    endless = [
        Rule("there", lambda x: exp(x), lambda x: log(x)),
        Rule("back", lambda x: log(x), lambda x: exp(x)),
    ]
    with pytest.raises(CompileError, match="come to an end"):
        RuleSet(endless)(FunctionGraph((x,), (), (exp(x),), ()), [])


def test_verify_finds_ill_formed_graphs():
    x = Variable(TensorType("float32", (2,)), name="x")
    verify(FunctionGraph((x,), (), (exp(x),), ()), "nothing")
    with pytest.raises(CompileError, match="no input of the function"):
        verify(FunctionGraph((), (), (exp(x),), ()), "something")
    with pytest.raises(CompileError, match="would be updated"):
        state = Variable(TensorType("float32", (3,)))
        verify(FunctionGraph((x,), (state,), (), ((0, exp(x)),)), "something")


def test_filled_value_sees_through_broadcasts():
    x = sc.constant(np.full((2, 2), 3.0))
    assert filled_value(x) == 3
    assert filled_value(sc.broadcast_to(sc.constant(2.0), (4, 5))) == 2
    assert filled_value(sc.constant([1.0, 2.0])) is None
    assert filled_value(sc.vector()) is None


@pytest.mark.parametrize(
    "build",
    [
        lambda x: x + 0,
        lambda x: 0 + x,
        lambda x: x * 1.0,
        lambda x: x / 1,
        lambda x: x - 0,
        lambda x: sc.neg(sc.neg(x)),
        lambda x: x.T.T,
        lambda x: x.reshape((x.shape[1], -1)).reshape(x.shape),
        lambda x: sc.log(sc.exp(x)),
        lambda x: x + sc.zeros_like(x),
    ],
)
def test_neutral_expressions_vanish(build):
    x = sc.matrix("x")
    f = sc.function([x], build(x) * 3, device="reference")
    assert compiled_ops(f, np.ones((2, 3))) == ["mul"]


SPELLINGS = {
    "mean of indexed log": lambda p, y: -sc.mean(sc.log(p)[sc.arange(y.shape[0]), y]),
    "sign inside": lambda p, y: sc.mean(-sc.log(p)[sc.arange(y.shape[0]), y]),
    "sum over n": lambda p, y: -sc.log(p)[sc.arange(y.shape[0]), y].sum() / y.shape[0],
    "log of indexed": lambda p, y: -sc.mean(sc.log(p[sc.arange(y.shape[0]), y])),
    "categorical": lambda p, y: sc.categorical_crossentropy(p, y).mean(),
    "one-hot": lambda p, y: -(sc.one_hot(y, 3, "float32") * sc.log(p)).sum(axis=1).mean(),
}


@pytest.mark.parametrize("spelling", SPELLINGS)
@pytest.mark.parametrize("bias", [False, True])
def test_cross_entropy_is_stable_in_every_spelling(spelling, bias):
    x, y = sc.matrix("x"), sc.ivector("y")
    b = sc.shared(np.array([0.5, -0.5, 0.25], "float32"))
    cost = SPELLINGS[spelling](sc.softmax(x + b if bias else x), y)
    f = sc.function([x, y], [cost, sc.grad(cost, x)])
    logits = np.array([[200.0, 0.0, -200.0], [1.0, 2.0, 3.0]], "float32")
    labels = np.array([2, 0], "int32")
    value, gradient = f(logits, labels)
    z = logits.astype("float64") + (b.get_value() if bias else 0)
    logp = z - z.max(1, keepdims=True)
    logp -= np.log(np.exp(logp).sum(1, keepdims=True))
    expected = np.exp(logp)
    expected[[0, 1], labels] -= 1
    np.testing.assert_allclose(value, -logp[[0, 1], labels].mean(), rtol=1e-5)
    np.testing.assert_allclose(gradient, expected / 2, rtol=1e-4, atol=1e-6)


def test_cross_entropy_becomes_one_node():
    x, y = sc.matrix("x"), sc.ivector("y")
    cost = SPELLINGS["mean of indexed log"](sc.softmax(x), y)
    f = sc.function([x, y], [cost, sc.grad(cost, x)], device="reference")
    ops = compiled_ops(f, np.ones((4, 3)), np.zeros(4, "int32"))
    assert "softmax_cross_entropy_both" in ops
    assert not {"log", "softmax", "softmax_grad", "gather", "scatter", "log_softmax"} & set(ops)


def cross_entropy_ops(outputs):
    """The names of the cross-entropy ops in a function of logits [4, 3] and labels, and its values."""
    x, y = sc.matrix("x"), sc.ivector("y")
    logits, labels = np.random.default_rng(0).standard_normal((4, 3)), np.array([0, 2, 1, 1], "int32")
    f = sc.function([x, y], outputs(x, y), device="reference")
    names = sorted(op for op in compiled_ops(f, logits, labels) if op.startswith("softmax_cross_entropy"))
    return names, f(logits, labels), logits, labels


def test_cross_entropy_forward_and_backward_in_one_node():
    """For a mean, and with a weight for each row; not where probabilities or losses are needed between."""
    weights = sc.shared(np.array([1.0, 0.5, 2.0, 0.0]))

    def weighted(x, y):
        cost = sc.sum(weights * sc.cross_entropy_with_logits(x, y))
        return [cost, sc.grad(cost, x)]

    ops, (cost, dx), logits, labels = cross_entropy_ops(weighted)
    assert ops == ["softmax_cross_entropy_both"]
    p = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    w = weights.get_value()
    np.testing.assert_allclose(cost, -(w * np.log(p[range(4), labels])).sum(), rtol=1e-6)
    np.testing.assert_allclose(dx, w[:, None] * (p - np.eye(3)[labels]), atol=1e-6)

    def squared(x, y):
        cost = sc.sum(sc.cross_entropy_with_logits(x, y) ** 2)
        return [cost, sc.grad(cost, x)]

    ops, (cost, dx), *_ = cross_entropy_ops(squared)
    assert ops == ["softmax_cross_entropy", "softmax_cross_entropy_grad"]
    loss = -np.log(p[range(4), labels])
    np.testing.assert_allclose(dx, 2 * loss[:, None] * (p - np.eye(3)[labels]), atol=1e-6)

    def two_gradients(x, y):
        loss = sc.cross_entropy_with_logits(x, y)
        return [sc.grad(sc.sum(loss), x), sc.grad(sc.sum(weights * loss), x)]

    ops, (one, two), *_ = cross_entropy_ops(two_gradients)
    assert ops == ["softmax_cross_entropy", *["softmax_cross_entropy_grad"] * 2]
    np.testing.assert_allclose(two, w[:, None] * one, atol=1e-6)


def test_binary_cross_entropy_is_stable():
    x = sc.vector("x")
    p = sc.sigmoid(x)
    cost = -(sc.log(p) + sc.log(1 - p)).sum()
    value, gradient = sc.function([x], [cost, sc.grad(cost, x)])([-200.0, 0.5, 200.0])
    assert np.isfinite(value)
    s = 1 / (1 + np.exp(-np.array([-200.0, 0.5, 200.0])))
    np.testing.assert_allclose(gradient, -(1 - s) + s, rtol=1e-5)


def test_dense_layer_becomes_one_node_forward_and_two_back():
    rng = np.random.default_rng(0)
    x, d = sc.matrix("x"), sc.matrix("d")
    w1, b1 = sc.shared(rng.normal(size=(5, 4)).astype("float32")), sc.shared(np.ones(4, "float32"))
    w2 = sc.shared(rng.normal(size=(4, 3)).astype("float32"))
    for act in (sc.sigmoid, sc.tanh, sc.relu):
        out = sc.dot(act(sc.dot(x, w1) + b1), w2)
        cost = (out * d).sum()
        updates = [(w1, w1 - 0.1 * sc.grad(cost, w1))]
        f = sc.function([x, d], [], updates=updates, device="reference")
        ops = compiled_ops(f, np.ones((2, 5)), np.ones((2, 3)))
        assert ops.count("dense_act") == 1 and ops.count("dot_mul_act_grad") == 1 and ops.count("gemm") == 1
        assert len(ops) == 3


def test_gemm_gathers_scalar_coefficients():
    c, a, b = sc.matrix("c"), sc.matrix("a"), sc.matrix("b")
    s = sc.scalar("s")
    out = 2 * c - s * (sc.dot(a, b) * 3 + 0.5 * c)
    f = sc.function([a, b, c, s], out, device="reference")
    rng = np.random.default_rng(1)
    va, vb, vc = (rng.normal(size=n).astype("float32") for n in ((3, 4), (4, 2), (3, 2)))
    assert "gemm" in compiled_ops(f, va, vb, vc, 0.5) and "dot" not in compiled_ops(f, va, vb, vc, 0.5)
    np.testing.assert_allclose(
        f(va, vb, vc, 0.7), 2 * vc - 0.7 * (va @ vb * 3 + 0.5 * vc), rtol=2e-5, atol=1e-5
    )


def test_product_that_is_read_twice_is_not_swallowed():
    c, a, b = sc.matrix("c"), sc.matrix("a"), sc.matrix("b")
    p = sc.dot(a, b)
    f = sc.function([a, b, c], [c + p, p], device="reference")
    assert compiled_ops(f, np.ones((2, 3)), np.ones((3, 2)), np.ones((2, 2))).count("dot") == 1


CONV_STYLES = {
    "pool, bias, act": lambda x, w, b, act: act(sc.max_pool2d(sc.conv2d(x, w), 2) + b),
    "bias, act, pool": lambda x, w, b, act: sc.max_pool2d(act(sc.conv2d(x, w) + b), 2),
    "bias, pool, act": lambda x, w, b, act: act(sc.max_pool2d(sc.conv2d(x, w) + b, 2)),
    "act, pool, no bias": lambda x, w, b, act: sc.max_pool2d(act(sc.conv2d(x, w)), 2) + 0 * b,
}


@pytest.mark.parametrize("style", CONV_STYLES)
@pytest.mark.parametrize("activation", ["relu", "sigmoid", "tanh"])
def test_conv_pool_is_fused_in_every_order(style, activation):
    rng = np.random.default_rng(2)
    x = sc.tensor4("x")
    w1 = sc.shared(rng.normal(size=(3, 2, 3, 3)).astype("float32"))
    w2 = sc.shared(rng.normal(size=(4, 3, 2, 2)).astype("float32"))
    b1 = sc.shared(rng.normal(size=(3,)).astype("float32"))
    b2 = sc.shared(rng.normal(size=(4,)).astype("float32"))
    act = getattr(sc, activation)
    layer = CONV_STYLES[style]
    h = layer(x, w1, b1.dimshuffle("x", 0, "x", "x"), act)
    out = layer(h, w2, b2.dimshuffle("x", 0, "x", "x"), act)
    cost = (out * out).sum()
    wrt = [w1, w2] if "no bias" in style else [w1, w2, b1, b2]
    outputs = [cost, *sc.grad(cost, wrt)]
    value = rng.normal(size=(2, 2, 10, 10)).astype("float32")
    new, old = both([x], outputs, [value])
    for a, b in zip(new, old):
        np.testing.assert_allclose(a, b, rtol=2e-4, atol=1e-4)
    ops = compiled_ops(sc.function([x], outputs, device="reference"), value)
    assert ops.count("conv_pool") == 2 and ops.count("conv_pool_grad") == 2
    assert not {"conv2d", "max_pool2d", "conv2d_wgrad", "conv2d_dgrad", "max_pool2d_grad"} & set(ops)


@pytest.mark.parametrize(("text", "size", "pools"), [((9, 4), (3, 4), (7, 1)), ((4, 9), (4, 3), (1, 7))])
def test_pooling_over_time_is_fused(text, size, pools):
    """Filters as wide as the words leave one column, along which the bias's gradient has no sum."""
    rng = np.random.default_rng(3)
    x = sc.tensor4("x")
    w = sc.shared(rng.normal(size=(3, 1, *size)).astype("float32"))
    b = sc.shared(rng.normal(size=(3,)).astype("float32"))
    h = sc.max_pool2d(sc.relu(sc.conv2d(x, w) + b.dimshuffle("x", 0, "x", "x")), pools)
    outputs = sc.grad((h * h).sum(), [w, b, x])
    value = rng.normal(size=(5, 1, *text)).astype("float32")
    for a, b in zip(*both([x], outputs, [value])):
        np.testing.assert_allclose(a, b, rtol=2e-4, atol=1e-4)
    ops = compiled_ops(sc.function([x], outputs, device="reference"), value)
    assert ops.count("conv_pool") == 1 and ops.count("conv_pool_grad") == 1
    assert not {"conv2d", "max_pool2d", "conv2d_wgrad", "conv2d_dgrad", "max_pool2d_grad"} & set(ops)


def test_convolution_that_is_read_elsewhere_is_not_fused():
    x = sc.tensor4("x")
    w = sc.shared(np.ones((2, 1, 3, 3), "float32"))
    c = sc.conv2d(x, w)
    f = sc.function([x], [sc.max_pool2d(c, 2), c.sum()], device="reference")
    assert "conv_pool" not in compiled_ops(f, np.ones((1, 1, 6, 6)))


def test_overlapping_pooling_is_not_fused():
    x = sc.tensor4("x")
    w = sc.shared(np.ones((2, 1, 3, 3), "float32"))
    f = sc.function([x], sc.relu(sc.max_pool2d(sc.conv2d(x, w), 3, stride=2)), device="reference")
    assert "conv_pool" not in compiled_ops(f, np.ones((1, 1, 9, 9)))


def test_elementwise_tree_becomes_one_loop():
    x, y = sc.matrix("x"), sc.vector("y")
    f = sc.function([x, y], sc.exp(x * 2 + y) / (1 + sc.square(x)), device="reference")
    assert compiled_ops(f, np.ones((3, 4)), np.ones(4)) == ["fused"]


def test_momentum_and_weight_are_one_loop():
    w, v = sc.shared(np.ones(8, "float32")), sc.shared(np.zeros(8, "float32"))
    g = sc.vector("g")
    new_v = 0.9 * v - 0.1 * g
    f = sc.function([g], [], updates=[(v, new_v), (w, w + new_v)], device="reference")
    assert compiled_ops(f, np.ones(8)) == ["fused"]
    f(np.ones(8))
    np.testing.assert_allclose(w.get_value(), 0.9, rtol=1e-6)


def test_fusion_does_not_repeat_work_for_a_larger_shape():
    x, y = sc.vector("x"), sc.matrix("y")
    f = sc.function([x, y], sc.exp(sc.sin(x) + 1) * y, device="reference")
    ops = compiled_ops(f, np.ones(4), np.ones((3, 4)))
    assert len(ops) == 2


@pytest.mark.parametrize("seed", range(8))
def test_random_graphs_keep_their_value(seed):
    """Random expressions with gradients and updates, rewritten and not, on the reference and the core."""
    rng = np.random.default_rng(seed)
    x, w = sc.matrix("x"), sc.shared(rng.normal(size=(3, 3)).astype("float32"))
    pool = [x, w, sc.constant(np.float32(0.5))]
    unary = [sc.tanh, sc.sigmoid, sc.relu, sc.exp, sc.neg, sc.square, lambda v: v * 0.5, lambda v: v + 1]
    for _ in range(12):
        kind = rng.integers(3)
        a, b = (pool[rng.integers(len(pool))] for _ in range(2))
        if kind == 0:
            pool.append(unary[rng.integers(len(unary))](sc.tanh(a)))
        elif kind == 1:
            pool.append([sc.add, sc.sub, sc.mul][rng.integers(3)](a, b))
        elif a.ndim == 2 and b.ndim == 2:
            pool.append(sc.dot(sc.tanh(a), sc.tanh(b)))
    cost = sum((p * 0.1).sum() for p in pool[2:])
    outputs = [cost, *sc.grad(cost, [x, w], disconnected_inputs="ignore")]
    value = rng.normal(size=(3, 3)).astype("float32")
    results = []
    for device, optimize in (("reference", False), ("reference", True), ("cpu", True), ("cpu", False)):
        with sc.config(optimize=optimize):
            results.append(sc.function([x], outputs, device=device)(value))
    for other in results[1:]:
        for a, b in zip(results[0], other):
            np.testing.assert_allclose(b, a, rtol=2e-4, atol=2e-4)


def test_passes_are_named_once():
    names = [n for n, _ in passes()]
    assert len(set(names)) == len(names)


def test_compile_time_grows_with_the_graph_not_its_square():
    """Counts rule applications, not seconds: a chain four times as long makes about four times the work."""
    from symconv.rewrite.driver import Trace

    def work(n):
        x = Variable(TensorType("float32", (4,)), name="x")
        y = x
        for _ in range(n):
            y = sc.neg(sc.neg(y + 0)) * 1 + sc.exp(y)
        trace: Trace = []
        RuleSet(algebra_rules())(FunctionGraph((x,), (), (y,), ()), trace)
        return len(trace)

    assert work(400) <= 5 * work(100)


def test_small_stretched_constants_are_stored():
    x = sc.vector("x")
    f = sc.function([x], sc.concatenate([x, sc.zeros((3,), "float32")]), device="reference")
    assert "broadcast_to" not in compiled_ops(f, np.ones(2))
    assert f(np.ones(2)).tolist() == [1, 1, 0, 0, 0]
