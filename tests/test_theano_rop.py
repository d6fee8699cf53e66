"""T.Rop through ops that bring a rule of their own: R_op, and rop_overrides of an OpFromGraph."""

import numpy as np
import pytest

import symconv.theano as theano
import symconv.theano.tensor as T
from symconv import errors
from symconv.theano.compile import OpFromGraph


class Wave(theano.Op):
    """sin(x) computed by NumPy, whose gradient is another op without a gradient of its own."""

    __props__ = ()
    calls = 0

    def make_node(self, x):
        x = T.as_tensor_variable(x)
        return theano.Apply(self, [x], [x.type()])

    def perform(self, node, inputs, outputs):
        outputs[0][0] = np.sin(inputs[0])

    def infer_shape(self, node, shapes):
        return shapes

    def grad(self, inputs, gradients):
        return [gradients[0] * Slope()(inputs[0])]

    def R_op(self, inputs, eval_points):  # noqa: N802 - Theano's name
        Wave.calls += 1
        return [None if eval_points[0] is None else eval_points[0] * T.cos(inputs[0])]


class Slope(Wave):
    def perform(self, node, inputs, outputs):
        outputs[0][0] = np.cos(inputs[0])

    grad = property()
    R_op = property()


def test_a_user_op_with_r_op_in_a_chain():
    x, v = T.dvectors("xv")
    y = Wave()(x * x) + T.exp(Wave()(Wave()(x) * 2))
    before = Wave.calls
    f = theano.function([x, v], T.Rop(y, x, v))
    assert Wave.calls == before + 3
    a, d = np.array([0.3, -1.2, 2.0]), np.array([1.0, 0.5, -2.0])
    wanted = np.cos(a * a) * 2 * a * d
    wanted += np.exp(np.sin(2 * np.sin(a))) * np.cos(2 * np.sin(a)) * 2 * np.cos(a) * d
    np.testing.assert_allclose(f(a, d), wanted)


def test_r_op_gets_none_for_inputs_that_do_not_depend_on_x():
    seen = []

    class Times(theano.Op):
        __props__ = ()
        itypes, otypes = [T.dvector, T.dvector], [T.dvector]

        def perform(self, node, inputs, outputs):
            outputs[0][0] = inputs[0] * inputs[1]

        def R_op(self, inputs, eval_points):  # noqa: N802
            seen.append(eval_points)
            (x, y), (u, v) = inputs, eval_points
            return [(0 if u is None else u * y) + (0 if v is None else x * v)]

    x, y, v = T.dvectors("xyv")
    f = theano.function([x, y, v], T.Rop([Times()(x + 1, y), y.sum() + x], x, v))
    assert [p is None for p in seen[0]] == [False, True]
    first, second = f([1.0, 2.0], [3.0, 4.0], [5.0, 6.0])
    assert first.tolist() == [15, 24] and second.tolist() == [5, 6]


def test_an_op_whose_r_op_is_not_implemented_takes_the_gradient_of_its_gradient():
    class Square(theano.Op):
        __props__ = ()
        itypes, otypes = [T.dvector], [T.dvector]

        def perform(self, node, inputs, outputs):
            outputs[0][0] = inputs[0] ** 2

        def grad(self, inputs, gradients):
            return [2 * inputs[0] * gradients[0]]

        def R_op(self, inputs, eval_points):  # noqa: N802
            raise NotImplementedError

    x, v = T.dvectors("xv")
    assert T.Rop(Square()(x), x, v).eval({x: [1.0, 3.0], v: [1.0, 2.0]}).tolist() == [2, 12]


def test_rop_overrides_of_a_graph():
    def rule(inputs, points):
        (x, y), (u, v) = inputs, points
        return [u * y * 2.0 + x * v * 1.5]

    x, y, u, v = T.dvectors("xyuv")
    a, b, du, dv = np.random.RandomState(3).rand(4, 5)
    of_graph = OpFromGraph([x, y, u, v], rule([x, y], [u, v]))
    for given in (rule, of_graph, [lambda i, p: rule(i, p)[0]]):
        z = OpFromGraph([x, y], [x * y], rop_overrides=given)(x, y)
        f = theano.function([x, y, u, v], [T.Rop(z * 3, [x, y], [u, v]), T.grad(z.sum(), x), z])
        product, dx, value = f(a, b, du, dv)
        np.testing.assert_allclose(product, 3 * (du * b * 2 + a * dv * 1.5))
        np.testing.assert_allclose(dx, b)  # the gradient is the graph's own
        np.testing.assert_allclose(value, a * b)


def test_wrong_rules_are_told():
    x, v = T.dvectors("xv")
    with pytest.raises(errors.ArgumentError, match="each of the 1 outputs"):
        OpFromGraph([x], [x], rop_overrides=[None, None])
    with pytest.raises(errors.GradientError, match="gave 2 products for 1 outputs"):
        T.Rop(OpFromGraph([x], [x * 2], rop_overrides=lambda i, p: [*p, *p])(x), x, v)
    with pytest.raises(errors.GradientError, match=r"gave float64\[\] for an output float64\[\?\]"):
        T.Rop(OpFromGraph([x], [x * 2], rop_overrides=lambda i, p: [p[0].sum()])(x), x, v)
