"""Details of Theano's documented behaviour that programs meet beside the well-trodden road."""

from __future__ import annotations

import numpy as np
import pytest

import symconv.theano as theano
import symconv.theano.tensor as T
from symconv.theano import gradient
from symconv.theano.gof.fg import MissingInputError
from symconv.theano.scan_module.scan_utils import equal_computations
from symconv.theano.tensor import extra_ops


@pytest.fixture
def x():
    return T.dmatrix("x")


M = np.array([[3.0, 1.0, 2.0], [0.5, 4.0, -1.0]])


# ---- gradients --------------------------------------------------------------------------------------------


def test_grad_by_integers_is_that_by_their_floats():
    i, w = T.imatrix("i"), T.dmatrix("w")
    g = T.grad((T.dot(i, w) ** 2).sum() + (i * 0.5).sum(), i)
    assert g.dtype == theano.config.floatX
    a, b = np.array([[1, 2], [3, -1]], "int32"), np.array([[0.5, 1.0], [2.0, -1.0]])
    assert np.allclose(g.eval({i: a, w: b}), 2 * (a @ b) @ b.T + 0.5)


def test_grad_of_integer_costs():
    n, v = T.iscalar("n"), T.dscalar("v")
    assert T.grad(n, n).eval({n: 3}) == 1
    assert T.grad(T.cast(v, "int64"), v).eval({v: 3.5}) == 0
    seed = T.dscalar()
    assert gradient.grad(None, n, known_grads={n: seed}).eval({seed: 0.6}) == 0.6
    with pytest.raises(theano.gradient.DisconnectedInputError):
        T.grad(n, v)


def test_consider_constant_stays_connected():
    v = T.dvector("v")
    assert T.grad(gradient.consider_constant(v).sum(), v).eval({v: [1.0, 2.0]}).tolist() == [0, 0]
    g = T.grad((v**2 * gradient.consider_constant(T.exp(v))).sum(), v)
    assert np.allclose(g.eval({v: [1.0, 2.0]}), 2 * np.array([1, 2]) * np.exp([1, 2]))


def test_the_gradient_by_a_constant_that_met_another_dtype():
    one, three, v = T.constant(1.0), T.constant(np.float32([3.0, 5.0])), T.dvector("v")
    cost = (one * v * three).sum()
    assert one.dtype == "float32" or theano.config.floatX == "float32"
    f = theano.function([v], T.grad(cost, [one, three, v]))
    by_one, by_three, by_v = f([2.0, 4.0])
    assert (by_one, by_three.tolist(), by_v.tolist()) == (26.0, [2.0, 4.0], [3.0, 5.0])
    assert by_three.dtype == "float32"
    with pytest.raises(theano.gradient.DisconnectedInputError):
        T.grad(cost, T.constant(7.0))


def test_slices_are_inputs():
    x, s = T.dmatrix("x"), T.slicetype("s")
    a = np.arange(20.0).reshape(4, 5)
    f = theano.function([x, s], [x[s], x[1, s], x[:, s].sum(), T.set_subtensor(x[s], 0)])
    for given in (
        slice(1, 3),
        slice(None),
        slice(None, None, -1),
        slice(-2, None),
        slice(4, 0, -2),
        slice(9, 1),
    ):
        zeroed = a.copy()
        zeroed[given] = 0
        for mine, numpys in zip(f(a, given), (a[given], a[1, given], a[:, given].sum(), zeroed)):
            assert np.array_equal(mine, numpys)
    with pytest.raises(TypeError, match="a slice is asked for, got int"):
        f(a, 3)


def test_subgraph_grad_chains_to_the_whole_gradient():
    t, u = T.dvector("t"), T.dvector("u")
    w1 = theano.shared(np.arange(6.0).reshape(2, 3) / 7, "w1")
    w2 = theano.shared(np.arange(6.0).reshape(3, 2) / 5, "w2")
    a1 = T.tanh(T.dot(u, w1))
    above = T.sqr(T.tanh(T.dot(a1, w2)) - t).sum()
    below = T.sqr(w1).sum()
    whole = theano.grad(above + below, [w2, w1])
    first, ends = theano.subgraph_grad(wrt=[w2], end=[a1], cost=above)
    second, _ = theano.subgraph_grad(wrt=[w1], end=[u], start={a1: ends[0]}, cost=below)
    f = theano.function([t, u], [*whole, *first, *second])
    want2, want1, got2, got1 = f([0.3, -0.2], [1.0, 2.0])
    assert np.allclose(want2, got2) and np.allclose(want1, got1) and np.abs(got1).min() > 0


def test_gradients_are_named_after_cost_and_variable():
    v = T.dvector("v")
    cost = (v**3).sum()
    cost.name = "cost"
    assert T.grad(cost, v).name == "(dcost/dv)"
    assert T.grad((v**4).sum(), v).name != "(dcost/dv)"


def test_grad_of_a_vector_is_a_type_error():
    with pytest.raises(TypeError, match="scalar"):
        T.grad(T.dvector() * 2, T.dvector())


# ---- functions --------------------------------------------------------------------------------------------


def test_errors_have_the_classes_of_theano(x):
    shared = theano.shared(np.zeros(2), "w")
    with pytest.raises(TypeError, match="cannot be an explicit input"):
        theano.function([shared], shared * 2)
    with pytest.raises(TypeError, match="must be a list"):
        theano.function(x, x)
    with pytest.raises(MissingInputError):
        theano.function([], x * 2)
    with pytest.raises(TypeError, match="no_default_updates"):
        theano.function([], shared, no_default_updates=shared)
    with pytest.raises(TypeError, match="2 dimensions"):
        T.set_subtensor(x[0], T.dmatrix())
    with pytest.raises(TypeError, match="ifelse"):
        theano.ifelse.ifelse(T.iscalar(), T.dvector(), T.dmatrix())
    with pytest.raises(IndexError, match="too many indices"):
        x[0, 0, 0]


class Refusing(theano.Op):
    itypes, otypes = [T.dvector], [T.dvector]

    def perform(self, node, inputs, outputs):
        raise KeyError("no such word")


def test_errors_of_a_step_keep_their_class():
    v = T.dvector("v")
    f = theano.function([v], Refusing()(v))
    with pytest.raises(KeyError, match="no such word"):
        f([1.0])
    with pytest.raises(AssertionError, match="positive"):
        theano.function([v], T.opt.Assert("positive")(v, T.all(v > 0)))([-1.0])


def test_default_updates_below_an_input_rest():
    count = theano.shared(0)
    count.default_update = count + 1
    twice = 2 * count
    f = theano.function([twice], twice + 1)
    assert f(21) == 22 and count.get_value() == 0
    del count.default_update
    theano.function([], count)()
    assert count.get_value() == 0


def test_an_input_counts_as_used_where_its_shape_is():
    row = T.drow("row")
    assert theano.function([row], row.dimshuffle(1, 0).shape[1])([[1.0, 2.0]]) == 1
    with pytest.raises(ValueError, match="not part of the graph"):
        theano.function([row, T.dvector("unused")], row)


def test_shape_vector_of_another_length_than_ndim():
    sizes = T.lvector("sizes")
    stream = theano.tensor.shared_randomstreams.RandomStreams(3)
    draw = theano.function([sizes], stream.uniform(sizes, ndim=2))
    assert draw([2, 3]).shape == (2, 3)
    for wrong in ([4], [4, 3, 4, 5]):
        with pytest.raises(ValueError):
            draw(wrong)


def test_shared_random_state():
    state = theano.shared(np.random.RandomState(7), "state")
    assert state.get_value().randn() == np.random.RandomState(7).randn()


def test_clone_with_inputs_of_its_own():
    a, b = T.dscalar("a"), theano.shared(2.0, "b")
    copy = theano.clone(a * b, share_inputs=False)
    assert a not in theano.gof.graph.inputs([copy]) and b not in theano.gof.graph.inputs([copy])
    assert a in theano.gof.graph.inputs([theano.clone(a * b, replace={b: T.dscalar()})])
    c = T.dscalar("c")
    copy = theano.clone(a * b, replace={b: c}, share_inputs=False)
    assert {v.name for v in theano.gof.graph.inputs([copy])} == {"a", "c"}
    assert c not in theano.gof.graph.inputs([copy])


def test_equal_computations():
    a, b, c = T.dscalars("a", "b", "c")
    assert equal_computations([a * 2 + b], [c * 2 + b], [a], [c])
    assert not equal_computations([a * 2 + b], [c * 3 + b], [a], [c])
    assert theano.gof.graph.is_same_graph(a + b, c + b, {a: c})


# ---- tensors ----------------------------------------------------------------------------------------------


def test_topk_of_all_elements_and_symbolic_k(x):
    k = T.iscalar("k")
    assert sorted(T.topk(x, 2, axis=None).eval({x: M})) == [3, 4]
    f = theano.function([x, k], T.topk(x, k, axis=1))
    assert np.array_equal(np.sort(f(M, 2)), np.sort(M)[:, 1:])
    assert np.array_equal(np.sort(f(M, -1)), np.sort(M)[:, :1])
    values, places = theano.function([x], T.topk_and_argtopk(x, 1, axis=0, idx_dtype="int32"))(M)
    assert places.dtype == "int32" and np.array_equal(values[0], M.max(0))
    with pytest.raises(ValueError):
        T.topk(x, 0)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"rowvar": False},
        {"bias": True},
        {"ddof": 0},
        {"fweights": [1, 2, 3]},
        {"aweights": [0.2, 1.0, 0.5]},
        {"fweights": [1, 2, 3], "aweights": [0.2, 1.0, 0.5], "ddof": 1},
        {"y": [[1.0, 5.0, 2.0]]},
    ],
)
def test_cov_is_numpys(x, options):
    arrays = {k: np.asarray(v) if isinstance(v, list) else v for k, v in options.items()}
    assert np.allclose(T.cov(x, **arrays).eval({x: M}), np.cov(M, **arrays))
    v = T.dvector()
    assert np.allclose(T.cov(v).eval({v: M[0]}), np.cov(M[0]))


def test_permutations(x):
    order = T.lmatrix("order")
    p = np.array([[2, 0, 1], [0, 2, 1]])
    assert np.array_equal(T.inverse_permutation(order).eval({order: p}), np.argsort(p))
    there = T.permute_row_elements(x, order)
    assert np.array_equal(there.eval({x: M, order: p}), np.take_along_axis(M, p, 1))
    back = T.permute_row_elements(there, order, inverse=1)
    assert np.array_equal(back.eval({x: M, order: p}), M)
    one = T.lvector()
    assert np.array_equal(
        T.permute_row_elements(x, one.dimshuffle("x", 0)).eval({x: M, one: p[0]}), M[:, p[0]]
    )
    with pytest.raises(TypeError):
        T.inverse_permutation(x)


def test_what_is_known_of_vectors(x):
    assert T.get_vector_length(x.shape) == 2 and T.get_vector_length([1, 2, 3]) == 3
    with pytest.raises(ValueError):
        T.get_vector_length(T.dvector())
    assert T.is_flat(x, 2) and not T.is_flat(x)
    with pytest.raises(T.basic.EmptyConstantError):
        T.get_scalar_constant_value(T.constant(np.zeros(0)))
    assert T.scalar_from_tensor(T.constant(3)).eval() == 3


def test_repeat_counts_each_or_all(x):
    v, counts = T.dvector("v"), T.lvector("counts")
    assert T.repeat(v, [2]).eval({v: [1.0, 2.0]}).tolist() == [1, 1, 2, 2]
    f = theano.function([v, counts], T.repeat(v, counts))
    assert f([1.0, 2.0], [2, 1]).tolist() == [1, 1, 2]
    assert f([1.0, 2.0], [2]).tolist() == [1, 1, 2, 2]
    with pytest.raises(ValueError):
        f([1.0, 2.0, 3.0], [2, 1])
    with pytest.raises(ValueError):
        T.repeat(v, [2, 1]).eval({v: [1.0, 2.0, 3.0]})


def test_searchsorted(x):
    v = T.dvector("v")
    at = v.searchsorted(np.array([0.5, 2.0]), side="right")
    assert at.eval({v: [0.0, 2.0, 3.0]}).tolist() == [1, 2]
    for wrong in (lambda: T.searchsorted(x, v), lambda: T.searchsorted(v, v, side="middle")):
        with pytest.raises(ValueError):
            wrong()
    with pytest.raises(TypeError):
        T.searchsorted(v, v, sorter=v)


def test_flat_indices_of_symbolic_dimensions():
    dims, flat = T.lvector("dims"), T.lvector("flat")
    found = theano.function([flat, dims], T.unravel_index(flat, dims, ndim=2))([4, 5], [2, 3])
    assert np.array_equal(found, np.unravel_index([4, 5], (2, 3)))
    back = T.ravel_multi_index((flat, flat), dims)
    assert back.eval({flat: [0, 1], dims: [2, 3]}).tolist() == [0, 4]
    with pytest.raises(TypeError):
        T.unravel_index(T.dvector(), (2, 3))
    with pytest.raises(ValueError):
        T.unravel_index(flat, dims)


def test_fill_diagonal_of_a_cube():
    cube = T.dtensor3()
    want = np.zeros((3, 3, 3))
    want[range(3), range(3), range(3)] = 7
    assert np.array_equal(T.fill_diagonal(cube, 7.0).eval({cube: np.zeros((3, 3, 3))}), want)


def test_bincount_below_zero():
    v = T.lvector()
    f = theano.function([v], T.bincount(v, assert_nonneg=True))
    assert f([1, 1]).tolist() == [0, 2]
    with pytest.raises(AssertionError):
        f([-1, 1])


def test_classes_of_extra_ops(x):
    assert np.allclose(extra_ops.CumOp(axis=1, mode="mul")(x).eval({x: M}), np.cumprod(M, 1))
    assert np.allclose(extra_ops.DiffOp(n=2, axis=1)(x).eval({x: M}), np.diff(M, 2, 1))
    assert np.allclose(extra_ops.RepeatOp(axis=0)(x, 2).eval({x: M}), np.repeat(M, 2, 0))
    assert [v.ndim for v in extra_ops.Unique()(x, return_list=True)] == [1]
    with pytest.raises(ValueError):
        extra_ops.CumOp(mode="max")


def test_names_of_op_classes(x):
    assert isinstance(T.dot(x, x).owner.op, T.Dot) and not isinstance((x + 1).owner.op, T.Dot)
    assert isinstance(T.concatenate([x, x]).owner.op, T.Join) and isinstance(
        T.eye(T.iscalar()).owner.op, T.Eye
    )
    with pytest.raises(NotImplementedError, match="T.dot"):
        T.basic.Dot22()
    assert "uint8" in T.discrete_dtypes and T.float_dtypes == ("float16", "float32", "float64")


def test_clip_with_bounds_in_the_wrong_order(x):
    low, high = T.dscalars("low", "high")
    f = theano.function([x, low, high], [T.clip(x, low, high), T.clip(x, 1.0, -1.0)])
    symbolic, constant = f(M, 1.0, -1.0)
    want = np.where(M < 1, 1.0, np.minimum(M, -1.0))
    assert np.array_equal(symbolic, want) and np.array_equal(constant, want)
    assert np.array_equal(f(M, 0.0, 2.0)[0], np.clip(M, 0, 2))
    g = theano.function([x, low, high], T.grad(T.clip(x, low, high).sum(), [x, low, high]))
    slopes = g(np.array([[-3.0, 0.5, 7.0]]), 0.0, 2.0)
    assert [s.tolist() for s in slopes] == [[[0, 1, 0]], 1, 1]


def test_fill_broadcasts_both_ways():
    row, column = T.drow("row"), T.dcol("column")
    f = theano.function([row, column], T.fill(row, column))
    assert f([[1.0, 2.0, 3.0]], [[4.0], [np.nan]]).shape == (2, 3)
    v, m = T.dvector("v"), T.lmatrix("m")
    filled = theano.function([v, m], T.second(v, m))([0.5, np.inf], [[1, 2], [3, 4]])
    assert filled.dtype == "int64" and filled.tolist() == [[1, 2], [3, 4]]
    assert T.fill(m, 7).eval({m: [[1, 2]]}).tolist() == [[7, 7]]


# ---- inputs that leave no trace ---------------------------------------------------------------------------


def test_functions_of_derivatives_take_the_inputs_of_what_was_differentiated(x):
    s, z, v = T.dscalar("s"), T.dscalar("z"), T.dvector("v")
    assert theano.function([s], T.grad(3 * s, s))(5.0) == 3
    assert theano.function([s, v], T.grad((v**2).sum() + 2 * s, v))(1.0, [1.0, 2.0]).tolist() == [2, 4]
    assert theano.function([s], T.jacobian(2 * s, s))(5.0) == 2
    zeros = T.jacobian(1 + v, x, disconnected_inputs="ignore")
    assert theano.function([x, v], zeros)(M, [1.0, 2.0]).shape == (2, *M.shape)
    with pytest.raises(ValueError, match="not part of the graph"):
        theano.function([s, z], T.grad(3 * s, s))


def test_jacobians_come_as_their_variables_were_given(x):
    y = (x**2).sum(1)
    as_tuple, as_list = T.jacobian(y, (x,)), T.jacobian(y, [x])
    assert type(as_tuple) is tuple and type(as_list) is list and as_tuple[0] is as_list[0]
    v = T.dvector("v")
    assert type(T.hessian((v**2).sum(), (v,))) is tuple
    assert T.hessian((v**2).sum(), v).eval({v: [1.0, 2.0]}).tolist() == [[2, 0], [0, 2]]


def test_copies_with_a_name_and_norms_by_method(x):
    y = x.copy(name="y")
    assert (y.name, x.name) == ("y", "x") and (y.eval({x: M}) == M).all()
    assert (T.grad((2 * y).sum(), x).eval({x: M}) == 2).all() and x.copy() is x
    np.testing.assert_allclose(x.norm(L=2, axis=0).eval({x: M}), np.linalg.norm(M, axis=0))
    assert x.norm(1, keepdims=True).eval({x: M}).tolist() == [[abs(M).sum()]]
