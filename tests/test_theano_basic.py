"""symconv.theano.tensor: values, dtypes, names and kinds of errors of functions on tensors; op classes."""

import numpy as np
import pytest

import symconv.theano as theano
import symconv.theano.tensor as T
from symconv.theano import scalar
from symconv.theano.tensor import opt

M = np.random.RandomState(3).randn(3, 4)


@pytest.fixture
def x():
    return T.dmatrix("x")


def test_elements_of_constant_vectors_keep_value_and_dtype():
    assert [float(v.eval()) for v in T.constant([0.5, 0.25])] == [0.5, 0.25]
    assert T.constant([0.5, 0.25])[-1].eval() == 0.25
    element = T.constant(np.int32([7, 2]))[0]
    assert element.dtype == "int32" and element.eval() == 7
    assert T.constant(np.array([True, False]))[1].dtype == "bool"


SHAPES = [((4,), (4, 4)), ((), (4, 4)), ((5, 4), (7, 4)), ((1, 4), (7, 4)), ((5, 1), (7, 4)), ((4,), (5, 4)),
          ((1,), (5, 4)), ((5, 4), (4,)), ((2, 3), (4, 2, 1, 3)), ((3,), (4, 2, 1))]  # fmt: skip


@pytest.mark.parametrize("mode", ["raise", "wrap", "clip"])
@pytest.mark.parametrize("numbers, table", SHAPES)
def test_choose_from_a_tensor(numbers, table, mode):
    rng = np.random.RandomState(0)
    a, b = T.TensorType("int32", (False,) * len(numbers))(), T.TensorType("float64", (False,) * len(table))()
    low, high = (0, table[0]) if mode == "raise" else (-9, 9)
    which, values = rng.randint(low, high, numbers).astype("int32"), rng.rand(*table)
    out = T.choose(a, b, mode=mode)
    got, slope = theano.function([a, b], [out, T.grad(T.sqr(out).sum(), b)])(which, values)
    want = np.choose(which, values, mode=mode)
    assert got.shape == want.shape and np.array_equal(got, want)
    # sum(b * d cost / d b) is 2 cost, for the cost is quadratic
    assert np.isclose((slope * values).sum(), 2 * (want**2).sum())


def test_choose_from_a_list_broadcasts():
    a, parts = T.imatrix(), T.dvectors(3)
    values = [np.array([0.5, 1.5]), np.array([7.0]), np.array([-1.0, -2.0])]
    which = np.int32([[0], [2], [1]])
    f = theano.function([a, *parts], T.choose(a, parts))
    assert np.array_equal(f(which, *values), np.choose(which, values))
    assert T.choose(a, [T.fvector(), T.lvector()]).dtype == "float64"


@pytest.mark.parametrize("bad", [-1, 2])
def test_choose_refuses_numbers_of_no_choice(bad):
    a, b = T.ivector(), T.dmatrix()
    for choices in (b, [b[0], b[1]]):
        with pytest.raises(IndexError):
            theano.function([a, b], T.choose(a, choices))([bad], M[:2, :1])
    with pytest.raises(IndexError):
        theano.function([a, b], T.choose(a, [b[0]]))([bad], M[:2, :1])
    with pytest.raises(TypeError, match="integers"):
        T.choose(b, [b])
    with pytest.raises(ValueError, match="mode"):
        T.choose(a, b, mode="wrong")
    with pytest.raises(ValueError, match="no choices"):
        T.choose(a, [])


def test_eye_with_a_symbolic_diagonal():
    n, k = T.lscalars("n", "k")
    f = theano.function([n, k], T.eye(n, n + 1, k, dtype="int8"))
    for offset in (-2, 0, 4):
        assert np.array_equal(f(4, offset), np.eye(4, 5, offset)) and f(4, offset).dtype == "int8"
    with pytest.raises(ValueError, match="k must be an integer"):
        T.eye(3, 3, T.dscalar())


def test_inverse_permutation_keeps_the_dtype():
    p = T.imatrix()
    f = theano.function([p], T.inverse_permutation(p))
    rows = np.int32([[2, 0, 1], [1, 0, 2]])
    assert f(rows).dtype == "int32" and np.array_equal(f(f(rows)), rows)


def test_kinds_of_errors(x):
    for shape, axes in (((), (0, 1)), ((2,), (0, 1)), ((2, 2), (3, 4))):
        with pytest.raises(IndexError, match="out of range"):
            T.swapaxes(np.zeros(shape), *axes)
    for reps, ndim in (([2, 3, 4], 2), (T.lscalar(), 1), (T.lvector(), 1)):
        with pytest.raises(ValueError, match="ndim"):
            T.tile(x, reps, ndim)
    for function in (T.flatnonzero, T.nonzero, T.nonzero_values):
        with pytest.raises(ValueError, match="scalar"):
            function(T.dscalar())


def test_transpose_is_named(x):
    assert T.transpose(x).name == "x.T" and T.transpose(T.dmatrix()).name is None


class _Two(theano.Op):
    def __init__(self, default_output):
        self.default_output = default_output

    def make_node(self, x):
        return theano.Apply(self, [x], [x.type(), x.type()])


def test_a_node_stands_for_its_default_output(x):
    node = _Two(1).make_node(x)
    assert T.as_tensor_variable(node) is node.outputs[1]
    for bad in (None, -1, 2, [0, 1]):
        with pytest.raises(AttributeError, match="default_output"):
            T.as_tensor_variable(_Two(bad).make_node(x))


def test_as_tensor_variable_drops_leading_broadcastable_axes():
    v = T.as_tensor_variable(T.drow("r"), ndim=1)
    assert v.broadcastable == (False,)
    with pytest.raises(ValueError, match="at most 1"):
        T.as_tensor_variable(T.dcol("c"), ndim=1)


def test_get_scalar_constant_value_computes(x):
    c = T.constant(0.5)
    known = T.get_scalar_constant_value
    assert known(c + 1) == 1.5 and known(T.constant([0.5, 0.75])[1]) == 0.75
    assert known(T.stack([1, 2, 3])[2]) == 3 and known(T.second(x, c)) == 0.5 and known(T.lt(c, 1.0)) == 1
    assert known(opt.Assert()(c, c > 0)) == 0.5
    mixed = T.stack([T.iscalar(), 2, 3])
    assert known(mixed[1]) == 2 and known(mixed[-1]) == 3 and known(T.stack([x.sum(), 0.25])[1]) == 0.25
    unknown = [opt.Assert()(c, c > 2), opt.Assert()(c, c > T.dscalar()), x[0, 0], T.constant([1, 2]) + 1]
    unknown.append(mixed[0])
    for v in unknown:
        with pytest.raises(T.NotScalarConstantError):
            known(v)
    for options in ({"elemwise": False}, {"only_process_constants": True}):
        with pytest.raises(T.NotScalarConstantError):
            known(c + 1, **options)


def test_scalars_are_stacked_to_a_vector_whatever_the_axis():
    a, b = T.dscalars("ab")
    assert T.stack([a, b], axis=1).eval({a: 1.0, b: 2.0}).tolist() == [1, 2]


def test_scalars_are_tensors_without_dimensions():
    assert scalar.constant(2).ndim == 0 and scalar.basic.constant(0.5, dtype="float64").dtype == "float64"
    assert scalar.float32 == T.TensorType("float32", ()) and scalar.Scalar("int32")("n").name == "n"
    assert T.tensor_from_scalar(scalar.constant(3)).eval() == 3
    with pytest.raises(ValueError):
        scalar.as_scalar([1, 2])


@pytest.mark.parametrize("axis", [0, 1, -1, -2])
def test_axes_that_are_variables(x, axis):
    k = T.lscalar("k")
    cost = T.sqr(T.sort(x, k)).sum()
    outputs = [T.sort(x, k), T.argsort(x, k), T.grad(cost, x), T.join(k, x, 2 * x), *T.split(x, [1, 2], 2, k)]
    in_order, order, slope, joined, *_ = theano.function([x, k], outputs)(M[:, :3], axis)
    m = M[:, :3]
    assert np.array_equal(in_order, np.sort(m, axis)) and np.array_equal(order, np.argsort(m, axis))
    assert np.allclose(slope, 2 * m) and np.array_equal(joined, np.concatenate([m, 2 * m], axis))


def test_a_variable_axis_out_of_range(x):
    k = T.lscalar("k")
    with pytest.raises(AssertionError, match="out of range"):
        theano.function([x, k], T.sort(x, k))(M, 2)
    with pytest.raises(ValueError, match="an axis is an integer"):
        T.join(T.dscalar(), x, x)


def test_split_along_a_variable_axis(x):
    k = T.lscalar("k")
    f = theano.function([x, k], T.split(x, [1, 2], 2, k))
    assert [v.shape for v in f(M[:, :3], 0)] == [(1, 3), (2, 3)]
    assert [v.shape for v in f(M[:, :3], 1)] == [(3, 1), (3, 2)]


OPERATIONS = [
    (T.Join(), lambda op, x: op(1, x, x), np.concatenate([M, M], 1)),
    (T.Split(2), lambda op, x: op(x, 1, [1, 3])[1], M[:, 1:]),
    (T.ARange("int64"), lambda op, x: op(1, 7, 2), np.arange(1, 7, 2)),
    (T.Eye("float64"), lambda op, x: op(3, 4, 1), np.eye(3, 4, 1)),
    (T.Tri("int8"), lambda op, x: op(3, 4, 1), np.tri(3, 4, 1)),
    (T.Reshape(1), lambda op, x: op(x, (12,)), M.ravel()),
    (T.SpecifyShape(), lambda op, x: op(x, (3, 4)), M),
    (T.Alloc(), lambda op, x: op(2.0, 2, 3), np.full((2, 3), 2.0)),
    (T.ExtractDiag(1), lambda op, x: op(x), np.diagonal(M, 1)),
    (T.Dot(), lambda op, x: op(x, x.T), M @ M.T),
    (T.Shape(), lambda op, x: op(x), [3, 4]),
    (T.Shape_i(1), lambda op, x: op(x), 4),
    (T.Argmax(1), lambda op, x: op(x), M.argmax(1)),
    (T.MaxAndArgmax((0,)), lambda op, x: op(x)[0], M.max(0)),
    (T.Mean(0), lambda op, x: op(x), M.mean(0)),
    (T.MakeVector("float64"), lambda op, x: op(x[0, 0], 2), [M[0, 0], 2]),
    (T.MakeVector(), lambda op, x: op(), []),
    (T.Choose(), lambda op, x: op([0, 1, 0, 1], x), np.choose([0, 1, 0, 1], M)),
    (T.Tile(2), lambda op, x: op(x, (1, 2)), np.tile(M, (1, 2))),
    (T.PermuteRowElements(), lambda op, x: op(x, [3, 2, 1, 0]), M[:, ::-1]),
    (T.TensorFromScalar(), lambda op, x: op(x[0, 1]), M[0, 1]),
    (T.ScalarFromTensor(), lambda op, x: op(x[0, 1]), M[0, 1]),
    (T.SortOp("quicksort"), lambda op, x: op(x, 0), np.sort(M, 0)),
    (T.ArgSortOp("quicksort"), lambda op, x: op(x, 0), np.argsort(M, 0)),
]


@pytest.mark.parametrize("op, call, want", OPERATIONS, ids=lambda v: type(v).__name__)
def test_op_classes_are_made_and_called(x, op, call, want):
    got = theano.function([x], call(op, x), on_unused_input="ignore")(M)
    assert np.shape(got) == np.shape(want) and np.allclose(got, want)
    assert isinstance(op, type(op)) and not isinstance(3, type(op))


def test_op_classes_name_native_ops_too(x):
    assert isinstance(T.concatenate([x, x]).owner.op, T.Join) and not isinstance((x + 1).owner.op, T.Join)
    assert T.Reshape(3) == T.Reshape(3) != T.Reshape(2) and len({T.Join(), T.Join()}) == 1
    assert T.concatenate([x], axis=1) is x
    flagged = T.Rebroadcast((0, True))(x)
    assert flagged.broadcastable == (True, False)
    with pytest.raises(ValueError, match="no axes"):
        T.Rebroadcast((2, True))(x)
    empty = T.AllocEmpty("float32")(2, 3).eval()
    assert empty.shape == (2, 3) and empty.dtype == "float32"


@pytest.mark.parametrize("offset, first, second", [(0, 0, 1), (1, 0, 2), (-2, 1, 2), (2, 2, 0)])
def test_alloc_diag_puts_the_last_axis_on_a_diagonal(x, offset, first, second):
    made = theano.function([x], T.AllocDiag(offset, first, second)(x))(M)
    assert np.array_equal(np.diagonal(made, offset, first, second), M) and np.count_nonzero(made) == M.size
