"""theano.tensor against NumPy, row by row of what programs use."""

from __future__ import annotations

import pickle
import re
import warnings
from pathlib import Path

import numpy as np
import pytest

import symconv.theano as theano
import symconv.theano.tensor as T
from symconv import errors
from symconv.theano import coverage

RNG = np.random.RandomState(3)
A, B = RNG.normal(size=(3, 4)), RNG.normal(size=(3, 4))
V, CUBE = RNG.normal(size=4), RNG.normal(size=(2, 3, 4))
POSITIVE = np.abs(A) + 0.5

VALUES = {
    "operators": (lambda a, b: (a + 2 * b - a / 3) ** 2 - abs(b) + (-a), (A, B)),
    "chain": (lambda a, b: T.add(a, b, a) * T.mul(a, b, b), (A, B)),
    "floor_mod": (lambda a, b: a // b + a % b, (A, B)),
    "reversed": (lambda a: 1 - a + 2.0 / a + 2**a + 3 // a + 5 % a, (POSITIVE,)),
    "unary": (lambda a: T.exp(a) + T.log(a) + T.sqrt(a) + T.sqr(a) + T.tanh(a) + T.inv(a), (POSITIVE,)),
    "logs": (lambda a: T.log2(a) + T.log10(a) + T.log1p(a) + T.expm1(a) + T.exp2(a), (POSITIVE,)),
    "hyperbolic": (lambda a: T.sinh(a) + T.cosh(a) + T.arcsinh(a), (A,)),
    "arcs": (lambda a: T.arctan(a) + T.arctan2(a, 2.0) + T.arcsin(a / 9) * T.arccos(a / 9), (A,)),
    "clip": (lambda a: T.clip(a, -0.5, 0.5), (A,)),
    "extremes": (lambda a, b: T.maximum(a, b) - T.minimum(a, b), (A, B)),
    "switch": (lambda a, b: T.switch(T.gt(a, b), a, 2 * b), (A, B)),
    "sums": (lambda a: a.sum() + a.sum(axis=0).prod() + T.sum(a, axis=(0, 1)), (A,)),
    "moments": (lambda a: T.mean(a, axis=1) + a.var(axis=1) + a.std(axis=1, ddof=1), (A,)),
    "max_min": (lambda a: a.max(axis=1) - a.min(axis=1) + T.ptp(a, axis=1), (A,)),
    "norm": (lambda a: a.norm(2, axis=1), (A,)),
    "dot": (lambda a, b: T.dot(a, b.T) + a.dot(b.T), (A, B)),
    "outer": (lambda v: T.outer(v, v), (V,)),
    "tensordot": (lambda a, c: T.tensordot(a, c, [[1], [2]]), (A, CUBE)),
    "batched_dot": (lambda c: T.batched_dot(c, c.dimshuffle(0, 2, 1)), (CUBE,)),
    "batched_dot_vectors": (lambda a, b: T.batched_dot(a, b), (A, B)),
    "concatenate": (lambda a, b: T.concatenate([a, b], axis=1), (A, B)),
    "stack": (lambda a, b: T.stack([a, b], axis=1), (A, B)),
    "join_split": (lambda a: T.join(0, *T.split(a, [1, 2], 2, axis=0)[::-1]), (A,)),
    "dimshuffle": (lambda v: v.dimshuffle("x", 0, "x").flatten(2), (V,)),
    "reshape": (lambda c: c.reshape((c.shape[0], -1)).T, (CUBE,)),
    "flatten_outdim": (lambda c: T.flatten(c, outdim=2), (CUBE,)),
    "tile_repeat": (lambda v: T.tile(v, (2,)) + T.repeat(v, 2), (V,)),
    "roll": (lambda v: T.roll(v, 1), (V,)),
    "diag": (lambda v: T.diag(T.diag(v) * 2), (V,)),
    "trace_tri": (lambda a: T.triu(a) + T.tril(a, -1) + T.trace(a), (A[:, :3],)),
    "sort": (lambda a: T.sort(a, axis=0) + a.sort(), (A,)),
    "cumulative": (lambda a: T.cumsum(a, 1) + T.extra_ops.cumprod(a, 0), (A,)),
    "index": (lambda c: c[0, 1:, ::-1] + c[-1, 1:3], (CUBE,)),
    "gather": (lambda a: a[T.arange(3), np.array([3, 0, 1])] + a[[2, 0, 1], 0], (A,)),
    "set_subtensor": (lambda a: T.set_subtensor(a[1:, 0], 5.0) + T.inc_subtensor(a[0], 1.0), (A,)),
    "inc_repeated": (lambda a: T.inc_subtensor(a[np.array([0, 0])], a[:2]), (A,)),
    "take": (lambda a: a.take([0, 2], axis=1), (A,)),
    "eye_alloc": (lambda a: T.eye(3, 4) * a + T.alloc(2.0, 3, 4) + T.zeros_like(a) + T.ones((3, 4)), (A,)),
    "softplus": (lambda a: T.nnet.softplus(a) + T.nnet.sigmoid(a) + T.nnet.softsign(a), (A,)),
    "hard_sigmoid": (lambda a: T.nnet.hard_sigmoid(a * 4), (A,)),
    "softmax": (lambda a: T.nnet.softmax(a) + T.nnet.logsoftmax(a), (A,)),
    "elu_selu": (lambda a: T.nnet.elu(a) + T.nnet.selu(a), (A,)),
    "leaky": (lambda a: T.nnet.relu(a, 0.1), (A,)),
    "prepend": (lambda a: T.nnet.nnet.prepend_1_to_each_row(a), (A,)),
}


def softmax(a):
    e = np.exp(a - a.max(1, keepdims=True))
    return e / e.sum(1, keepdims=True)


def inc_repeated(a):
    out = a.copy()
    np.add.at(out, [0, 0], a[:2])
    return out


def written(a):
    x, y = a.copy(), a.copy()
    x[1:, 0], y[0] = 5, y[0] + 1
    return x + y


WANT = {
    "operators": lambda a, b: (a + 2 * b - a / 3) ** 2 - np.abs(b) - a,
    "chain": lambda a, b: (a + b + a) * (a * b * b),
    "floor_mod": lambda a, b: a // b + a % b,
    "reversed": lambda a: 1 - a + 2 / a + 2**a + 3 // a + 5 % a,
    "unary": lambda a: np.exp(a) + np.log(a) + np.sqrt(a) + a * a + np.tanh(a) + 1 / a,
    "logs": lambda a: np.log2(a) + np.log10(a) + np.log1p(a) + np.expm1(a) + np.exp2(a),
    "hyperbolic": lambda a: np.sinh(a) + np.cosh(a) + np.arcsinh(a),
    "arcs": lambda a: np.arctan(a) + np.arctan2(a, 2) + np.arcsin(a / 9) * np.arccos(a / 9),
    "clip": lambda a: np.clip(a, -0.5, 0.5),
    "extremes": lambda a, b: np.maximum(a, b) - np.minimum(a, b),
    "switch": lambda a, b: np.where(a > b, a, 2 * b),
    "sums": lambda a: a.sum() + a.sum(0).prod() + a.sum(),
    "moments": lambda a: a.mean(1) + a.var(1) + a.std(1, ddof=1),
    "max_min": lambda a: 2 * np.ptp(a, axis=1),
    "norm": lambda a: np.linalg.norm(a, axis=1),
    "dot": lambda a, b: 2 * a @ b.T,
    "outer": lambda v: np.outer(v, v),
    "tensordot": lambda a, c: np.tensordot(a, c, [[1], [2]]),
    "batched_dot": lambda c: c @ c.transpose(0, 2, 1),
    "batched_dot_vectors": lambda a, b: (a * b).sum(1),
    "concatenate": lambda a, b: np.concatenate([a, b], 1),
    "stack": lambda a, b: np.stack([a, b], 1),
    "join_split": lambda a: np.concatenate([a[1:], a[:1]]),
    "dimshuffle": lambda v: v[None, :],
    "reshape": lambda c: c.reshape(2, -1).T,
    "flatten_outdim": lambda c: c.reshape(2, -1),
    "tile_repeat": lambda v: np.tile(v, 2) + np.repeat(v, 2),
    "roll": lambda v: np.roll(v, 1),
    "diag": lambda v: 2 * v,
    "trace_tri": lambda a: a + np.trace(a),
    "sort": lambda a: np.sort(a, 0) + np.sort(a),
    "cumulative": lambda a: np.cumsum(a, 1) + np.cumprod(a, 0),
    "index": lambda c: c[0, 1:, ::-1] + c[-1, 1:3],
    "gather": lambda a: a[np.arange(3), [3, 0, 1]] + a[[2, 0, 1], 0],
    "set_subtensor": written,
    "inc_repeated": inc_repeated,
    "take": lambda a: a.take([0, 2], axis=1),
    "eye_alloc": lambda a: np.eye(3, 4) * a + 3,
    "softplus": lambda a: np.log1p(np.exp(a)) + 1 / (1 + np.exp(-a)) + a / (1 + np.abs(a)),
    "hard_sigmoid": lambda a: np.clip(0.2 * 4 * a + 0.5, 0, 1),
    "softmax": lambda a: softmax(a) + np.log(softmax(a)),
    "elu_selu": lambda a: (
        np.where(a > 0, a, np.expm1(a))
        + 1.0507009873554805 * np.where(a > 0, a, 1.6732632423543772 * np.expm1(a))
    ),
    "leaky": lambda a: np.where(a > 0, a, 0.1 * a),
    "prepend": lambda a: np.hstack([np.ones((3, 1)), a]),
}
SMOOTH = sorted(set(VALUES) - {"floor_mod", "reversed"})


@pytest.mark.parametrize("name", VALUES)
def test_values(name):
    build, points = VALUES[name]
    ins = [T.TensorType("float64", (False,) * p.ndim)() for p in points]
    got = theano.function(ins, build(*ins))(*points)
    np.testing.assert_allclose(got, WANT[name](*points), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("name", SMOOTH)
def test_gradients(name):
    build, points = VALUES[name]
    T.verify_grad(build, points, n_tests=1)


def test_verify_grad_finds_a_wrong_gradient():
    with pytest.raises(errors.GradientError, match="central differences"):
        T.verify_grad(lambda a: theano.gradient.grad_scale(a, 2.0), [A])


def grad_at(build, point):
    v = T.vector()
    return T.grad(T.sum(build(v)), v).eval({v: np.asarray(point, "float64")}).tolist()


def test_gradients_at_ties():
    at = [-1.0, 0.0, 2.0]
    assert grad_at(lambda v: T.maximum(0.0, v), at) == [0, 0, 1]
    assert grad_at(lambda v: T.maximum(v, 0.0), at) == [0, 1, 1]
    assert grad_at(lambda v: T.nnet.relu(v), at) == [0, 0.5, 1]
    assert grad_at(lambda v: abs(v), at) == [-1, 0, 1]
    assert grad_at(lambda v: T.max(v), [5.0, 5.0, 1.0]) == [1, 1, 0]
    assert grad_at(lambda v: T.clip(v, 0, 2), [-1.0, 0.0, 2.0, 3.0]) == [0, 1, 1, 0]


def test_costs_do_not_overflow():
    x, t, y = T.matrix("x"), T.vector("t"), T.ivector("y")
    big = np.array([[800.0, -800.0], [-900.0, 900.0]])
    p = T.nnet.softmax(x)
    for cost in (
        T.nnet.categorical_crossentropy(p, y).sum(),
        -T.sum(T.log(p)[T.arange(y.shape[0]), y]),
        T.sum(-T.log(p[T.arange(y.shape[0]), y])),
        T.nnet.categorical_crossentropy(p, T.extra_ops.to_one_hot(y, 2)).sum(),
    ):
        f = theano.function([x, y], [cost, T.grad(cost, x)])
        value, gradient = f(big, np.int32([1, 1]))
        assert value == 1600
        np.testing.assert_allclose(gradient, [[1, -1], [0, 0]], atol=1e-12)
    s = T.nnet.sigmoid(t)
    cost = T.nnet.binary_crossentropy(s, np.float64(0)).sum()
    value, gradient = theano.function([t], [cost, T.grad(cost, t)])([800.0, -800.0])
    assert value == 800
    np.testing.assert_allclose(gradient, [1, 0])


def test_float32_mean_does_not_lose_small_terms():
    x = T.fvector()
    values = np.full(1 << 22, 0.1, "float32")
    got = theano.function([x], T.mean(x))(values)
    assert got.dtype == np.float32 and abs(got - values.astype("float64").mean()) < 1e-7


def test_softmax_of_a_vector_is_a_row():
    v = T.vector()
    assert T.nnet.softmax(v).eval({v: V}).shape == (1, 4)
    with pytest.raises(errors.ShapeError, match="reshape"):
        T.nnet.softmax(T.tensor3())


def test_broadcastable_flags():
    x = T.matrix()
    assert x.reshape((x.shape[0], 1)).broadcastable == (False, True)
    assert x.dimshuffle("x", 0, 1).broadcastable == (True, False, False)
    assert x.sum(axis=0, keepdims=True).broadcastable == (True, False)
    assert T.unbroadcast(T.row(), 0).broadcastable == (False, False)
    assert T.patternbroadcast(x, (True, False)).broadcastable == (True, False)
    assert theano.shared(np.ones((1, 3))).broadcastable == (False, False)
    assert theano.shared(np.ones((1, 3)), broadcastable=(True, False)).broadcastable == (True, False)
    with pytest.raises(errors.ShapeError, match="addbroadcast"):
        x.dimshuffle(0)


def test_shapes_are_symbolic_vectors():
    x = T.tensor3()
    f = theano.function([x], [x.shape, x.shape[1:], T.prod(x.shape), x.size, T.zeros(x.shape).sum()])
    got = f(CUBE)
    assert [g.tolist() for g in got] == [[2, 3, 4], [3, 4], 24, 24, 0.0]
    n, _, m = x.shape
    assert (n * m).eval({x: CUBE}) == 8


def test_whole_floats_stand_for_ints():
    x = T.vector()
    assert x.reshape((2.0, 4 / 2)).eval({x: V}).shape == (2, 2)
    assert T.zeros((4 / 2, 3)).eval().shape == (2, 3)


def test_shared_values():
    s = theano.shared(np.ones((2, 3), "float32"), name="s")
    s.set_value(np.ones((4, 3), "float32"))
    assert s.shape.eval().tolist() == [4, 3] and s.get_value().shape == (4, 3)
    s.get_value()[:] = 7
    assert s.get_value().max() == 1
    with pytest.raises(errors.DTypeError, match="float64"):
        s.set_value(np.ones((4, 3)) / 3)
    with pytest.raises(TypeError, match="dimensions"):
        s.set_value(np.ones(3, "float32"))
    again = pickle.loads(pickle.dumps(s))
    assert again.name == "s" and again is not s
    np.testing.assert_array_equal(again.get_value(), s.get_value())
    assert theano.shared(0.5).dtype == "float64" and theano.shared(3).dtype == "int64"


def test_function_arguments():
    x, y = T.fvector("x"), T.dscalar("y")
    f = theano.function([x, theano.In(y, value=2.0, name="factor")], T.sum(x) * y)
    assert f([1, 2]) == 6 and f([1, 2], factor=3) == 9 and f(np.int16([1, 2]), 4.0) == 12
    with pytest.raises(errors.DTypeError, match="allow_input_downcast"):
        f(np.array([0.1]))
    g = theano.function([x], x.sum(), allow_input_downcast=True)
    assert g(np.array([0.5])) == 0.5
    with pytest.raises(errors.GraphError, match="not part of the graph"):
        theano.function([x, y], x)
    assert theano.function([x], {"a": x.sum()})([1, 2]) == {"a": 3}
    assert theano.function([], None)() == []


def test_givens():
    x, y, z = T.vector("x"), T.vector("y"), T.vector("z")
    data = theano.shared(np.arange(10.0))
    labels = T.cast(theano.shared(np.arange(10.0)), "int32")
    i = T.lscalar()
    f = theano.function(
        [i], [x.sum(), labels[i * 2 : (i + 1) * 2]], givens={x: data[i * 2 : (i + 1) * 2], z: y}
    )
    f(0)
    assert re.search(r"cast +int32\[2\]", f.explain())  # the slice was lifted under the cast
    assert f(3)[0] == 13 and f(4)[1].tolist() == [8, 9] and labels[1:3].eval().tolist() == [1, 2]
    with pytest.raises(errors.GraphError, match="explicit input"):
        theano.function([x], x, givens={x: y})
    with pytest.raises(errors.DTypeError, match="cast"):
        theano.function([], x.sum(), givens={x: labels})


def test_gradient_arguments():
    x, n = T.vector("x"), T.iscalar("n")
    cost = T.sum(x**2) * n
    gx, gn = T.grad(cost, [x, n])
    assert gx.eval({x: [1.0, 2.0], n: 3}).tolist() == [6, 12] and gn.dtype == "float64"
    hidden = x * 2
    assert T.grad(T.sum(hidden * x), x, consider_constant=[hidden]).eval({x: [1.0]}).tolist() == [2]
    assert theano.grad(None, x, known_grads={hidden: x}).eval({x: [3.0]}).tolist() == [6]
    assert T.grad(T.sum(theano.gradient.zero_grad(x) * x), x).eval({x: [3.0]}).tolist() == [3]
    clipped = theano.gradient.grad_clip(x, -1, 1)
    assert T.grad(T.sum(clipped**2), x).eval({x: [3.0, 0.25]}).tolist() == [1, 0.5]
    with pytest.raises(errors.DisconnectedInputError):
        T.grad(T.sum(x), T.vector("other"))
    with pytest.raises(errors.GradientError, match="scalar"):
        T.grad(x, x)


def test_jacobian_and_products():
    v = T.vector()
    point = {v: np.array([1.0, 2.0])}
    assert T.jacobian(v**2, v).eval(point).tolist() == [[2, 0], [0, 4]]
    assert T.hessian(T.sum(v**3), v).eval(point).tolist() == [[6, 0], [0, 12]]
    assert T.Rop(v**2, v, v).eval(point).tolist() == T.Lop(v**2, v, v).eval(point).tolist() == [2, 8]


def test_batch_normalisation():
    x = T.tensor4()
    data = RNG.normal(size=(5, 2, 3, 3))
    gamma, beta = np.array([1.5, 0.5]), np.array([0.1, -0.2])
    mean0, var0 = np.zeros(2), np.ones(2)
    outs = T.nnet.bn.batch_normalization_train(
        x, gamma, beta, "spatial", 1e-4, 0.1, T.constant(mean0), T.constant(var0)
    )
    out, mean, _, new_mean, new_var = theano.function([x], list(outs))(data)
    m, v = data.mean((0, 2, 3)), data.var((0, 2, 3))
    scale = (gamma / np.sqrt(v + 1e-4))[:, None, None]
    np.testing.assert_allclose(out, (data - m[:, None, None]) * scale + beta[:, None, None], atol=1e-10)
    np.testing.assert_allclose(mean.ravel(), m)
    np.testing.assert_allclose(new_mean.ravel(), 0.1 * m)
    np.testing.assert_allclose(new_var.ravel(), 0.9 + 0.1 * v * 45 / 44)


def test_modes():
    v = T.vector("v")
    for mode in ("FAST_RUN", "FAST_COMPILE", "DebugMode"):
        assert theano.function([v], T.log(T.exp(v)).sum(), mode=mode)([1.0, 2.0]) == 3
    guarded = theano.function([v], T.log(v), mode="NanGuardMode")
    assert guarded([1.0]) == 0
    with pytest.raises(errors.NonFiniteError, match="log"):
        guarded([-1.0])
    with pytest.raises(errors.ArgumentError, match="FAST_RUN"):
        theano.function([v], v, mode="fast")


def test_verbose_errors_show_the_graph_and_functions_their_parts():
    x, w = T.matrix("x"), theano.shared(np.ones((3, 2)), name="w")
    f = theano.function([x], T.tanh(T.dot(x, w)), updates=[(w, w * 2)], name="f")
    with pytest.raises(errors.ShapeError) as quiet:
        f(np.ones((2, 4)))
    with theano.config.change_flags(exception_verbosity="high"):
        with pytest.raises(errors.ShapeError, match="graph as written:\ntanh") as loud:
            f(np.ones((2, 4)))
    assert "graph as written" not in str(quiet.value) and "test_theano_tensor.py" in str(loud.value)
    assert f.get_shared() == [w] and f.maker.fgraph.inputs == [x]
    assert [n.op.name for n in f.maker.fgraph.toposort()] == ["dot", "tanh", "mul"]
    other = theano.shared(np.zeros((3, 2)))
    assert f.copy(swap={w: other}, delete_updates=True)(np.ones((1, 3)))[0].tolist() == [[0, 0]]
    assert f(np.ones((1, 3)))[0, 0] == np.tanh(3) and w.get_value().max() == 2


def test_print_and_assert(capsys):
    v = T.vector("v")
    f = theano.function([v], theano.printing.Print("v is", attrs=("__str__", "shape"))(v).sum())
    assert f([1.0, 2.0]) == 3
    assert capsys.readouterr().out == "v is __str__ = [1. 2.]\nv is shape = (2,)\n"
    g = theano.function([v], T.opt.Assert("negative")(v, T.all(v > 0)).sum())
    assert g([1.0]) == 1
    with pytest.raises(errors.ExecutionError, match="negative"):
        g([-1.0])


@pytest.mark.parametrize(
    "build, match",
    [
        (lambda x: T.switch(True, x, x), "T.eq"),
        (lambda x: len(x), "shape"),
        (lambda x: list(x), "scan"),
        (lambda x: np.asarray(x, float), "eval"),
        (lambda x: T.cast(T.zmatrix(), "float64"), "imaginary"),
        (lambda x: T.zmatrix() // 1, "takes real numbers"),
        (lambda x: T.ceil(T.zmatrix()), "does not take complex128"),
        (lambda x: T.tensor("float128", ()), "float128 is not supported"),
        (lambda x: T.arctna, "T.arctan"),
        (lambda x: T.set_subtensor(x, 1), "x\\[index\\]"),
        (lambda x: x + theano.shared([1, 2]), "asarray"),
    ],
)
def test_refusals_say_what_to_do(build, match):
    with pytest.raises((errors.SymconvError, TypeError, AttributeError), match=match):
        build(T.matrix("x"))


def test_configuration():
    with theano.config.change_flags(floatX="float32"):
        assert T.matrix().dtype == "float32"
    assert T.matrix().dtype == "float64"
    with pytest.raises(errors.ConfigError, match="floatX"):
        theano.config.floatX = "float8"
    with pytest.raises(AttributeError, match="no such setting"):
        theano.config.flotaX = "float32"
    with pytest.raises(ImportError, match="dense"), warnings.catch_warnings():
        __import__("symconv.theano").theano.install()
        __import__("theano.sparse.sandbox")


def test_table_of_docs_is_that_of_the_code():
    page = (Path(__file__).resolve().parents[1] / "docs" / "theano.md").read_text(encoding="utf-8")
    assert coverage.written(page) == page, "run python -m symconv.theano.coverage docs/theano.md"


def test_deep_graphs_and_their_text():
    x = T.vector("x")
    y = x
    for _ in range(400):
        y = T.tanh(y) * y + x  # every value is used twice: its text doubles
    value, gradient = theano.function([x], [y.sum(), T.grad(y.sum(), x)])([0.1, 0.2])
    assert np.isfinite(value) and gradient.shape == (2,)
    assert len(theano.pp(y)) < 50_000
    assert theano.pp(T.tanh(x) * T.vector("y") + 1) == "((tanh(x) * y) + 1.0)"
