"""Ops that users of Theano write, as_op, ifelse and walks over the graph."""

import math

import numpy as np
import pytest

import symconv.theano as theano
import symconv.theano.tensor as T
from symconv.errors import DTypeError, ExecutionError, GradientError, GraphError, ShapeError, UnsupportedError
from symconv.theano import gof
from symconv.theano.compile.ops import as_op
from symconv.theano.ifelse import ifelse

X = theano.config.floatX


class DoubleOp(theano.Op):
    """The tutorial's."""

    __props__ = ()

    def make_node(self, x):
        x = T.as_tensor_variable(x)
        return theano.Apply(self, [x], [x.type()])

    def perform(self, node, inputs, output_storage):
        x = inputs[0]
        z = output_storage[0]
        z[0] = x * 2

    def infer_shape(self, node, i0_shapes):
        return i0_shapes

    def grad(self, inputs, output_grads):
        return [output_grads[0] * 2]


class AxPB(theano.Op):
    __props__ = ("a", "b")

    def __init__(self, a, b):
        self.a, self.b = a, b

    def make_node(self, x):
        x = T.as_tensor_variable(x)
        return gof.Apply(self, [x], [x.type()])

    def perform(self, node, inputs, output_storage):
        assert node.inputs[0].type == node.outputs[0].type
        output_storage[0][0] = self.a * inputs[0] + self.b

    def grad(self, inputs, output_grads):
        return [self.a * output_grads[0]]


class Rows(theano.Op):
    """The positive elements: how many there are, only perform knows."""

    itypes = [T.dvector]
    otypes = [T.dvector, T.lscalar]

    def perform(self, node, inputs, output_storage):
        (x,) = inputs
        output_storage[0][0] = x[x > 0]
        output_storage[1][0] = np.asarray((x > 0).sum())


def test_the_tutorials_op():
    x = T.matrix()
    f = theano.function([x], DoubleOp()(x))
    value = np.random.default_rng(0).random((5, 4)).astype(X)
    np.testing.assert_array_equal(f(value), value * 2)
    assert "REFERENCE" in f.explain() and "DoubleOp" in f.explain(graph=True)
    theano.gradient.verify_grad(DoubleOp(), [value], rng=np.random.RandomState(1))


def test_ops_inside_a_graph_and_its_gradient():
    x = T.vector("x")
    y = T.tanh(AxPB(3, 1)(x) ** 2).sum()
    f = theano.function([x], [y, T.grad(y, x)])
    value, slope = f(np.array([0.1, -0.2], X))
    z = 3 * np.array([0.1, -0.2]) + 1
    np.testing.assert_allclose(value, np.tanh(z**2).sum(), rtol=1e-6)
    np.testing.assert_allclose(slope, (1 - np.tanh(z**2) ** 2) * 2 * z * 3, rtol=1e-5)


def test_props_make_ops_equal():
    x = T.vector("x")
    assert AxPB(1, 2) == AxPB(1, 2) != AxPB(1, 3)
    assert AxPB(1, 2)(x) is AxPB(1, 2)(x)
    assert str(AxPB(1, 2)) == "AxPB{a=1, b=2}"
    assert Rows() != Rows()


def test_owner_shows_the_users_op():
    x = T.vector("x")
    y = AxPB(1, 2)(x)
    assert isinstance(y.owner.op, AxPB) and y.owner.inputs == [x] and y.owner.nin == 1


def test_shapes_that_only_perform_knows():
    x = T.dvector("x")
    picked, count = Rows()(x)
    f = theano.function([x], [picked * 2, count])
    got = f(np.array([1.0, -1, 3]))
    assert got[0].tolist() == [2, 6] and got[1] == 2
    assert f(np.array([-1.0, -1, 3]))[0].tolist() == [6]


def test_an_op_in_a_scan():
    x = T.vector("x")
    y, _ = theano.scan(lambda v, s: AxPB(2, 1)(s) + DoubleOp()(v), x, T.zeros(()))
    f = theano.function([x], [y, T.grad(y[-1], x)])
    value, slope = f(np.array([1, 2, 3], X))
    assert value.tolist() == [3, 11, 29] and slope.tolist() == [8, 4, 2]


def test_as_op():
    @as_op(
        itypes=[T.dmatrix, T.dmatrix], otypes=[T.dmatrix], infer_shape=lambda node, s: [(s[0][0], s[1][1])]
    )
    def numpy_dot(a, b):
        return np.dot(a, b)

    a, b = T.dmatrix("a"), T.dmatrix("b")
    f = theano.function([a, b], T.exp(numpy_dot(a, b)))
    np.testing.assert_allclose(f(np.ones((2, 3)), np.ones((3, 4))), np.full((2, 4), np.exp(3)))
    with pytest.raises(DTypeError, match="input 1 must be"):
        numpy_dot(a, T.fmatrix())
    with pytest.raises(GradientError, match="defines no grad"):
        T.grad(numpy_dot(a, b).sum(), a)
    with pytest.raises(GraphError, match="tensor types"):
        as_op([int], [T.dmatrix])(numpy_dot)


def test_as_op_without_infer_shape():
    @theano.as_op(itypes=[T.lscalar], otypes=[T.lvector])
    def count_to(n):
        return np.arange(n)

    n = T.lscalar("n")
    f = theano.function([n], count_to(n).sum())
    assert [int(f(k)) for k in (3, 5, 3)] == [3, 10, 3]


def test_faults_of_users_ops():
    class Empty(DoubleOp):
        def perform(self, node, inputs, output_storage):
            pass

    class Wrong(DoubleOp):
        def perform(self, node, inputs, output_storage):
            output_storage[0][0] = np.zeros(3, "int32")

    class WrongShape(DoubleOp):
        def perform(self, node, inputs, output_storage):
            output_storage[0][0] = np.zeros(7, inputs[0].dtype)

    class NoPerform(theano.Op):
        itypes, otypes = [T.dscalar], [T.dscalar]

    x = T.vector("x")
    for op, text in ((Empty(), "left output 0 empty"), (Wrong(), "int32"), (WrongShape(), r"\[7\]")):
        with pytest.raises(ExecutionError, match=text):
            theano.function([x], op(x))(np.zeros(2, X))
    y = T.dscalar("y")
    with pytest.raises(UnsupportedError, match="defines no perform"):
        theano.function([y], NoPerform()(y))(1.0)
    with pytest.raises(GraphError, match="new variables"):
        theano.Apply(DoubleOp(), [x], [x + 1])


def test_an_op_may_write_into_its_inputs():
    class Destroys(DoubleOp):
        def perform(self, node, inputs, output_storage):
            inputs[0] *= 2
            output_storage[0][0] = inputs[0]

    x = T.vector("x")
    value = np.ones(2, X)
    got = theano.function([x], [Destroys()(x), x + 0])(value)
    assert got[0].tolist() == [2, 2] and got[1].tolist() == [1, 1] and value.tolist() == [1, 1]


# ---- ifelse


def test_ifelse_computes_only_one_branch():
    calls = []

    @as_op(itypes=[T.dvector], otypes=[T.dvector], infer_shape=lambda node, s: s)
    def noted(x):
        calls.append(1)
        return x + 1

    a, b, x = T.dscalar("a"), T.dscalar("b"), T.dvector("x")
    z = ifelse(T.lt(a, b), x * 2, noted(x))
    f = theano.function([a, b, x], z)
    assert f(1, 2, np.ones(2)).tolist() == [2, 2] and calls == []
    assert f(2, 1, np.ones(2)).tolist() == [2, 2] and calls == [1]


def test_ifelse_of_lists_gradients_and_sizes():
    c, x = T.iscalar("c"), T.vector("x")
    u, v = ifelse(c, [x, x[:1]], [x * 3, x])
    f = theano.function([c, x], [u, v, T.grad(u.sum(), x)])
    assert [a.tolist() for a in f(1, np.ones(2, X))] == [[1, 1], [1], [1, 1]]
    assert [a.tolist() for a in f(0, np.ones(2, X))] == [[3, 3], [1, 1], [3, 3]]


def test_ifelse_in_a_scan():
    x = T.vector("x")
    y, _ = theano.scan(lambda v, s: ifelse(v > 0, s + v, s * 2), x, T.zeros(()))
    assert theano.function([x], y)(np.array([1, -1, 2], X)).tolist() == [1, 2, 4]


def test_ifelse_errors():
    x, m = T.vector("x"), T.matrix("m")
    with pytest.raises(ShapeError, match="one branch"):
        ifelse(1, x, m)
    with pytest.raises(ShapeError, match="T.switch"):
        ifelse(x, x, x)
    with pytest.raises(GraphError, match="lists"):
        ifelse(1, [x], x)


# ---- walks


def test_inputs_and_ancestors():
    x, w = T.vector("x"), theano.shared(np.ones(2), "w")
    y = T.tanh(x * w)
    assert set(gof.graph.inputs([y])) == {x, w}
    assert gof.graph.inputs([y], blockers=[y]) == [y]
    assert {x, w, y} < set(gof.graph.ancestors([y]))
    assert [n.op.name for n in gof.graph.list_of_nodes([x], [y])][-1] == "tanh"


def test_parts_are_found_where_theano_has_them():
    assert T.shared_randomstreams.RandomStreams is theano.tensor.randomstreams.RandomStreams
    assert theano.sandbox.rng_mrg.MRG_RandomStreams(1) and T.raw_random.uniform
    assert theano.compile.ops.as_op is theano.as_op is theano.compile.as_op
    assert theano.scan_module.until is theano.scan_utils.until is theano.scan_module.scan_utils.until
    assert theano.gof.Op is theano.Op and theano.gof.graph.inputs and theano.ifelse.ifelse


@pytest.mark.parametrize("dtype, rtol", [("float64", 3e-13), ("float32", 3e-5)])
def test_erfc_has_its_digits_where_it_is_small(dtype, rtol):
    x = T.vector(dtype=dtype)
    y = T.erfc(x)
    f = theano.function([x], [y, T.grad(y.sum(), x), T.grad(T.grad(y.sum(), x).sum(), x)])
    points = np.concatenate([np.linspace(-6, 9, 301), [0.0, 0.5, 20.0 if dtype == "float64" else 9.0]])
    points = points.astype(dtype)
    value, slope, bend = f(points)
    np.testing.assert_allclose(value, [math.erfc(v) for v in points], rtol)
    wide = points.astype("float64")
    gauss = -2 / np.sqrt(np.pi) * np.exp(-(wide**2))
    np.testing.assert_allclose(slope, gauss, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(bend, -2 * wide * gauss, rtol=1e-4, atol=1e-6)
    ends = f(np.array([np.inf, -np.inf, np.nan], dtype))[0]
    np.testing.assert_array_equal(ends, [0, 2, np.nan])


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_hyperbolic_functions_to_the_ends_of_their_range(dtype):
    x = T.vector(dtype=dtype)
    f = theano.function([x], [T.sinh(x), T.cosh(x), T.grad(T.sinh(x).sum(), x), T.grad(T.cosh(x).sum(), x)])
    last = 89 if dtype == "float32" else 710
    points = np.array([-last, -20, -1.5, -1, -1e-3, -1e-6, 0, 1e-5, 0.5, 1, 2, last], dtype)
    wide = points.astype("float64")
    sinh, cosh = np.sinh(wide), np.cosh(wide)
    inner = slice(1, -1)  # the gradients' own products overflow where 2 cosh(x) does
    for got, want, part in zip(f(points), (sinh, cosh, cosh, sinh), (slice(None),) * 2 + (inner,) * 2):
        rtol = 1e-5 if dtype == "float32" else 1e-13
        atol = 0 if part != inner else rtol / 10  # a difference of exponentials near 0
        np.testing.assert_allclose(got[part], want[part], rtol=rtol, atol=atol)
    beyond = f(np.array([-1000, 1000, np.nan], dtype))
    np.testing.assert_array_equal(beyond[0], [-np.inf, np.inf, np.nan])
    np.testing.assert_array_equal(beyond[1], [np.inf, np.inf, np.nan])


@pytest.mark.parametrize("given, wanted", [("int8", "float32"), ("int32", "float64"), ("float32", "float32")])
def test_whole_numbers_of_integers_are_floats(given, wanted):
    x = T.vector(dtype=given)
    for op in (T.ceil, T.floor, T.trunc):
        assert op(x).dtype == wanted
        assert theano.function([x], op(x))(np.array([-2, 3], given)).tolist() == [-2, 3]


def test_infer_shape_may_use_the_values_of_inputs():
    class Stretched(theano.Op):
        """x repeated n times: the shape depends on the value of the input n."""

        def make_node(self, x, n):
            x, n = T.as_tensor_variable(x), T.as_tensor_variable(n)
            return theano.Apply(self, [x, n], [x.type()])

        def perform(self, node, inputs, output_storage):
            output_storage[0][0] = np.tile(inputs[0], int(inputs[1]))

        def infer_shape(self, node, shapes):
            return [(shapes[0][0] * node.inputs[1],)]

    x, n = T.dvector(), T.lscalar()
    y = Stretched()(x, n)
    f = theano.function([x, n], [y, y.shape[0]])
    for count in (2, 3, 2):
        value, length = f([1.0, 2.0], count)
        assert value.tolist() == [1, 2] * count and length == 2 * count


class Counting(theano.Op):
    """Rows from a generator, of which each call takes one: without inputs, and without infer_shape."""

    def __init__(self, rows):
        self.rows, self.calls = iter(rows), 0

    def make_node(self):
        return theano.Apply(self, [], [T.dvector()])

    def do_constant_folding(self, node):
        return False

    def perform(self, node, inputs, outputs):
        self.calls += 1
        outputs[0][0] = next(self.rows)


def test_perform_runs_once_a_call_and_is_not_folded_where_the_op_forbids_it():
    op = Counting([np.arange(1.0, n) for n in (3, 5, 3, 4)])
    f = theano.function([], op() * 2)
    assert [f().tolist() for _ in range(4)] == [[2, 4], [2, 4, 6, 8], [2, 4], [2, 4, 6]]
    assert op.calls == 4


def test_an_op_without_a_gradient_raises_what_programs_catch():
    @theano.as_op(itypes=[T.dvector], otypes=[T.dscalar])
    def total(x):
        return x.sum()

    x = T.dvector()
    for kind in (AttributeError, NotImplementedError, GradientError):
        with pytest.raises(kind, match="defines no grad"):
            T.grad(total(x), x)
