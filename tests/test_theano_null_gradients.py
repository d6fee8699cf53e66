"""symconv.theano: gradients that do not exist."""

import numpy as np
import pytest

import symconv.theano as theano
import symconv.theano.tensor as T
from symconv.theano.gof.null_type import NullType
from symconv.theano.gradient import NullTypeGradError, grad_not_implemented, grad_undefined


class _Scaled(theano.Op):
    """x * y, with a gradient by x alone."""

    def __init__(self, missing):
        self.missing = missing

    def make_node(self, x, y):
        return theano.Apply(self, [x, y], [x.type()])

    def perform(self, node, inputs, output_storage):
        output_storage[0][0] = inputs[0] * inputs[1]

    def infer_shape(self, node, shapes):
        return [shapes[0]]

    def grad(self, inputs, output_gradients):
        x, y = inputs
        return [output_gradients[0] * y, self.missing(self, 1, y)]


MISSING = {
    "undefined": lambda op, k, y: grad_undefined(op, k, y, "a comment"),
    "not implemented": lambda op, k, y: grad_not_implemented(op, k, y, "a comment"),
    "a comment": lambda op, k, y: NullType("a comment")(),
}


@pytest.mark.parametrize("missing", MISSING)
def test_null_gradients_raise_where_they_are_needed(missing):
    x, y, z = T.dvectors("xyz")
    cost = T.sqr(_Scaled(MISSING[missing])(x, T.exp(y) + z)).sum()
    f = theano.function([x, y, z], T.grad(cost, x))
    a, b = np.array([1.0, -2.0]), np.array([0.5, 0.25])
    assert np.allclose(f(a, b, b), 2 * a * (np.exp(b) + b) ** 2)
    for wrt in (y, z, [x, y]):
        with pytest.raises(NullTypeGradError, match="a comment"):
            T.grad(cost, wrt)
    assert issubclass(NullTypeGradError, TypeError)


def test_null_gradients_are_returned_on_demand():
    x, y = T.dvectors("xy")
    cost = _Scaled(MISSING["undefined"])(x, y).sum()
    by_y = T.grad(cost, y, null_gradients="return")
    assert isinstance(by_y.type, NullType) and "not defined" in by_y.type.why_null
    with pytest.raises(TypeError, match="not defined"):
        theano.function([x, y], by_y, on_unused_input="ignore")


def test_disconnected_gradients_are_returned_on_demand():
    x, y = T.dvectors("xy")
    given = {"disconnected_inputs": "ignore", "return_disconnected": "Disconnected"}
    by_x, by_y = T.grad(x.sum(), [x, y], **given)
    assert isinstance(by_x.type, T.TensorType)
    assert isinstance(by_y.type, theano.gradient.DisconnectedType)
    assert T.grad(x.sum(), y, disconnected_inputs="ignore", return_disconnected="None") is None


def test_null_gradients_that_are_given():
    x, y = T.lscalars("xy")
    cost = x + y
    with pytest.raises(NullTypeGradError, match="because"):
        T.grad(cost, [x, y], known_grads={cost: NullType("because")()})


def test_a_known_gradient_may_be_a_scalar_or_disconnected():
    x = T.dmatrix()
    y = x**2
    f = theano.function([x], T.grad(None, x, known_grads={y: T.constant(3.0)}))
    assert f(np.ones((2, 2))).tolist() == [[6, 6], [6, 6]]
    with pytest.raises(theano.gradient.DisconnectedInputError, match="disconnected"):
        T.grad(y.sum(), x, known_grads={y.sum(): theano.gradient.DisconnectedType()()})
    cost = y.sum()
    given = {cost: theano.gradient.DisconnectedType()()}
    zero = theano.function([x], T.grad(cost, x, known_grads=given, disconnected_inputs="ignore"))
    assert zero(np.ones((2, 1))).tolist() == [[0], [0]]
    other = theano.function([x], T.grad(cost, x, known_grads=given | {y: T.ones_like(y)}))
    assert other(np.ones((1, 2))).tolist() == [[2, 2]]
