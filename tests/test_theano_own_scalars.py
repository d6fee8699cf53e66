"""Scalar ops that programs define, taken to tensors by Elemwise."""

import pickle

import numpy as np
import pytest

import symconv.theano as theano
import symconv.theano.tensor as T
from symconv import errors
from symconv.theano import scalar
from symconv.theano.scalar.basic import BinaryScalarOp, UnaryScalarOp, same_out_nocomplex, upgrade_to_float
from symconv.theano.scalar.c_expressions import function_of
from symconv.theano.tensor.elemwise import Elemwise


class Rounded(UnaryScalarOp):
    """Rounding through which gradients pass, as binarised networks have it; its value is in C."""

    def c_code(self, node, name, inputs, outputs, sub):
        (x,), (z,) = inputs, outputs
        return "%(z)s = round(%(x)s);" % locals()  # noqa: UP031 - as programs of its time have it

    def grad(self, inputs, gout):
        (gz,) = gout
        return (gz,)


class XLogX(UnaryScalarOp):
    def impl(self, x):
        return 0.0 if x == 0 else x * np.log(x)

    def grad(self, inputs, gout):
        (x,), (gz,) = inputs, gout
        return [gz * (1 + scalar.log(x))]

    def c_code(self, node, name, inputs, outputs, sub):
        if node.inputs[0].type in [scalar.float32, scalar.float64]:
            return "..."
        raise NotImplementedError("only floats")


class Scaled(BinaryScalarOp):
    def impl(self, x, y):
        return x * abs(y)

    def L_op(self, inputs, outputs, gout):
        (_, y), (gz,) = inputs, gout
        return gz * scalar.abs_(y), gz * outputs[0] / y


rounded = Elemwise(Rounded(same_out_nocomplex, name="round3"))
xlogx = Elemwise(XLogX(upgrade_to_float, name="xlogx"), name="xlogx")
scaled = Elemwise(Scaled(scalar.upcast_out))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_rounding_with_a_gradient_of_its_own(dtype):
    x = T.matrix("x", dtype)
    y = 2 * rounded(T.clip((x + 1) / 2, 0, 1)) - 1
    f = theano.function([x], [y, T.grad(y.sum(), x)])
    value, gradient = f(np.array([[-2, -0.5, -0.1], [0.1, 0.5, 3]], dtype))
    assert value.dtype == dtype and value.tolist() == [[-1, -1, -1], [1, 1, 1]]
    assert gradient.tolist() == [[0, 1, 1], [1, 1, 0]]
    assert rounded(T.dvector()).eval is not None
    v = T.dvector()
    assert rounded(v).eval({v: [0.5, 1.5, -2.5, 0.49999999999999994]}).tolist() == [1, 2, -3, 0]


def test_values_by_impl_and_gradients_by_expressions():
    x = T.dmatrix("x")
    y = xlogx(x)
    points = np.array([[0.5, 1.0], [2.0, 3.0]])
    f = theano.function([x], [y, T.grad(y.sum(), x), T.grad(T.grad(y.sum(), x).sum(), x)])
    for got, expected in zip(f(points), (points * np.log(points), 1 + np.log(points), 1 / points)):
        np.testing.assert_allclose(got, expected)
    assert xlogx(T.ivector()).dtype == "float64" and xlogx(T.bvector()).dtype == "float32"
    assert xlogx(0.0).eval() == 0
    assert isinstance(y.owner.op, Elemwise)


def test_two_operands_broadcast_and_are_pickled():
    x, y = T.dmatrix("x"), T.dvector("y")
    z = scaled(x, y)
    f = theano.function([x, y], [z, *T.grad((z * np.arange(6.0).reshape(2, 3)).sum(), [x, y])])
    a, b = np.array([[1.0, 2, 3], [4, 5, 6]]), np.array([1.0, -2, 3])
    for g in (f, pickle.loads(pickle.dumps(f))):
        out, dx, dy = g(a, b)
        np.testing.assert_allclose(out, a * abs(b))
        np.testing.assert_allclose(dx, np.arange(6.0).reshape(2, 3) * abs(b))
        np.testing.assert_allclose(dy, (np.arange(6.0).reshape(2, 3) * a).sum(0) * np.sign(b))
    assert Scaled(scalar.upcast_out)(2.0, -3.0).eval() == 6
    again = pickle.loads(pickle.dumps(theano.function([x], rounded(x))))
    assert again([[0.6]]).tolist() == [[1.0]]


def test_a_gradient_by_one_operand_alone():
    class Times(scalar.ScalarOp):
        def __init__(self):
            self.output_types_preference = upgrade_to_float

        def impl(self, n, x):
            return x * n

        def grad(self, inputs, gout):
            (n, _), (gz,) = inputs, gout
            return [theano.gradient.grad_not_implemented(self, 0, n), gz * n]

    op, x = Elemwise(Times()), T.dvector("x")
    assert T.grad(op(2.0, x).sum(), x).eval({x: [1.0, 3.0]}).tolist() == [2, 2]
    with pytest.raises(theano.gradient.NullTypeGradError, match="Times"):
        T.grad(op(x, 2.0).sum(), x)


def test_what_is_refused():
    class Lost(UnaryScalarOp):
        def c_code(self, node, name, inputs, outputs, sub):
            return "for (;;) {}"

    with pytest.raises(errors.UnsupportedError, match=r"C code alone(.|\n)*impl"):
        Elemwise(Lost(same_out_nocomplex, name="lost"))(T.dvector())
    with pytest.raises(errors.UnsupportedError, match="no grad"):
        x = T.dscalar()

        class Flat(UnaryScalarOp):
            def impl(self, x):
                return x

        T.grad(Elemwise(Flat(scalar.same_out))(x), x)
    with pytest.raises(errors.GraphError, match="takes 1 operands"):
        rounded(T.dvector(), T.dvector())
    with pytest.raises(errors.DTypeError, match="real numbers"):
        rounded(T.zvector())


@pytest.mark.parametrize(
    "text, expected",
    [
        ("z = round(x);", 2.0),
        ("z = x > 0 ? x : 0.1f * x;", 1.5),
        (" z = -fmax(x, 2.0f) + pow(x, 2) / 2.; ", -2 + 1.125),
        ("z = tanhf(x);", np.tanh(1.5)),
        ("z = x * 1e-3;", 1.5e-3),
        ("z = x * (1 / 2);", None),
        ("z = x; z += 1;", None),
        ("z == x;", None),
        ("z = w;", None),
        ("z = system(x);", None),
        ("z = (double) x;", None),
        ("z = x && 1;", None),
        ("", None),
    ],
)
def test_expressions_of_c(text, expected):
    f = function_of(text, ["x"], "z")
    if expected is None:
        assert f is None
    else:
        np.testing.assert_allclose(f(np.array([1.5])), [expected])
