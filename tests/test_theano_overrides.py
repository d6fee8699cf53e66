"""OpFromGraph with gradients of its own."""

import pickle

import numpy as np
import pytest

import symconv.theano as theano
import symconv.theano.tensor as T
from symconv import errors
from symconv.theano.compile import OpFromGraph
from symconv.theano.gof.null_type import NullType
from symconv.theano.gradient import DisconnectedType, NullTypeGradError

A, B, C = np.random.RandomState(0).rand(3, 5)


def scaled(inputs, gradients):
    (x, y), (g,) = inputs, gradients
    return [g * y * 2, g * x * 1.5]


def test_gradients_by_a_function_or_another_graph():
    x, y, dz = T.dvectors("x", "y", "dz")
    by_graph = OpFromGraph([x, y, dz], scaled([x, y], [dz]))
    for override in (scaled, by_graph):
        op = OpFromGraph([x, y], [x * y], grad_overrides=override)
        a, b = T.dvectors("a", "b")
        z = op(a, b * 1)
        f = theano.function([a, b], [z, *T.grad((z * C).sum(), [a, b])])
        for g in (f, pickle.loads(pickle.dumps(f))) if override is scaled else (f,):
            for got, expected in zip(g(A, B), (A * B, C * B * 2, C * A * 1.5)):
                np.testing.assert_allclose(got, expected)


def test_a_list_of_overrides_and_defaults():
    x, y, z = T.scalars("xyz")
    op = OpFromGraph(
        [x, y, z], [x + y * z], grad_overrides=["default", lambda i, g: i[2] * 2 * g[0], "default"]
    )
    a, b, c = T.dscalars("abc")
    f = theano.function([a, b, c], T.grad(op(a, b, c), [a, b, c]))
    assert [float(v) for v in f(2.0, 3.0, 4.0)] == [1, 8, 3]
    # an argument in two places, and the arguments of one op made of another's
    f = theano.function([a, b], T.grad(op(op(a, b, b), b, a), [a, b]))
    assert [float(v) for v in f(2.0, 3.0)] == [1 + 3, 2 * 2 + (2 * 3 + 3)]


def test_several_outputs_shared_variables_and_lop():
    w = theano.shared(np.array([1.0, 2, 3, 4, 5]))
    x = T.dvector()
    y = T.nnet.sigmoid(x * w)

    def lop(inputs, outputs, gradients):
        (s, _), (ds, dt) = outputs, gradients
        return [3 * s * ds + dt]

    op = OpFromGraph([x], [y, x * 2], lop_overrides=lop)
    a = T.dvector()
    s, t = op(a)
    f = theano.function([a], [s, t, *T.grad((s * B).sum() + (t * C).sum(), [a, w]), T.grad(t.sum(), a)])
    got = f(A)
    value = 1 / (1 + np.exp(-A * w.get_value()))
    expected = value, 2 * A, 3 * value * B + C, value * (1 - value) * A * B, np.ones(5)
    for one, other in zip(got, expected):
        np.testing.assert_allclose(one, other)
    straight = OpFromGraph([x], [T.sgn(x)], grad_overrides=lambda inputs, gradients: gradients)
    twice = T.grad((T.grad((straight(a) ** 3).sum(), a) * C).sum(), a)  # 3 sgn(a)^2 g, then 6 sgn(a)
    np.testing.assert_allclose(twice.eval({a: A}), 6 * C)


def test_gradients_that_do_not_exist():
    x, y = T.dvectors("x", "y")
    op = OpFromGraph([x, y], [x * y], grad_overrides=[NullType("told so")(), DisconnectedType()()])
    a, b = T.dvectors("a", "b")
    with pytest.raises(NullTypeGradError, match="told so"):
        T.grad(op(a, b).sum(), a)
    with pytest.raises(errors.DisconnectedInputError):
        T.grad(op(a, b).sum(), b)
    found = T.grad(op(a, b).sum(), b, disconnected_inputs="ignore", return_disconnected="Disconnected")
    assert isinstance(found.type, DisconnectedType)
    nothing = theano.gradient.disconnected_type()
    overrides = {"grad_overrides": lambda i, g: [g[0], nothing], "on_unused_input": "ignore"}
    back = OpFromGraph([x, y], [y + T.round(y)], **overrides)
    np.testing.assert_array_equal(T.grad(back(a, b).sum(), a).eval({a: A, b: B}), np.ones(5))


def test_connection_pattern():
    x, y, z = T.dvectors("xyz")
    op = OpFromGraph([x, y, z], [x * y, y + theano.gradient.disconnected_grad(z) + x.shape[0]])
    assert op.connection_pattern() == [[True, False], [True, True], [False, False]]
    given = OpFromGraph([x, y], [y + T.round(y)], connection_pattern=[[True], [False]])
    assert given.connection_pattern() == [[True], [False]]


def test_what_is_refused():
    x, y = T.dvectors("x", "y")
    with pytest.raises(errors.ArgumentError, match="exclude each other"):
        OpFromGraph([x], [x], grad_overrides=scaled, lop_overrides=scaled)
    with pytest.raises(errors.ArgumentError, match="2 overrides for 1 inputs"):
        OpFromGraph([x], [x], grad_overrides=["default", "default"])
    with pytest.raises(errors.ArgumentError, match="an override is"):
        OpFromGraph([x], [x], grad_overrides=3)
    with pytest.raises(errors.ArgumentError, match="updates"):
        OpFromGraph([x], [x], updates=[])
    op = OpFromGraph([x, y], [x * y], grad_overrides=lambda i, g: g)
    with pytest.raises(errors.GradientError, match="1 gradients for 2 inputs"):
        T.grad(op(x, y).sum(), x)
    op = OpFromGraph([x], [x * 2], grad_overrides=lambda i, g: [g[0].sum()])
    with pytest.raises(errors.GradientError, match="an override gave"):
        T.grad(op(x).sum(), x)
