"""dot, matmul, batched_dot, tensordot, outer, dense against NumPy; their gradients and their errors."""

from __future__ import annotations

import numpy as np
import pytest

from symconv.backends.reference import evaluate
from symconv.errors import DTypeError, ShapeError
from symconv.graph import Variable, constant
from symconv.graph.traversal import rebuild, toposort
from symconv.ops.dense import BatchedDot, Dot, batched_dot, dense, dot, matmul, outer, tensordot
from symconv.ops.gemm import ACTIVATIONS, FACTORS, DenseAct, DotMulActGrad, Gemm
from symconv.ops.leaf import tensor
from symconv.ops.shape import Transpose, transpose

RNG = np.random.default_rng(7)


def integers(*shape: int, dtype: str = "float64") -> np.ndarray:
    return RNG.integers(-3, 4, shape).astype(dtype)


def run(function, *arrays: np.ndarray, known: bool = True) -> np.ndarray:
    """function on symbolic inputs whose shapes are known or not, evaluated by the reference."""
    xs = [tensor(str(a.dtype), a.shape if known else (None,) * a.ndim) for a in arrays]
    y = function(*xs)
    (out,) = evaluate([y], dict(zip(xs, arrays)))
    assert y.ndim == out.ndim
    assert all(s in (None, n) for s, n in zip(y.type.shape, out.shape))
    if known:
        assert y.type.shape == out.shape
    assert y.dtype == str(out.dtype)
    return out


PAIRS = [
    ((5,), (5,)),
    ((3, 5), (5,)),
    ((5,), (5, 7)),
    ((3, 5), (5, 7)),
    ((2, 3, 5), (5,)),
    ((2, 3, 5), (5, 7)),
    ((3, 5), (2, 5, 7)),
    ((5,), (2, 5, 7)),
    ((2, 3, 5), (11, 5, 7)),
    ((1, 1), (1, 1)),
    ((0, 5), (5, 7)),
    ((3, 0), (0, 7)),
    ((3, 5), (5, 0)),
    ((0,), (0,)),
    ((2, 0, 5), (5, 3)),
    ((), (3, 5)),
    ((2,), ()),
]


@pytest.mark.parametrize("known", [True, False])
@pytest.mark.parametrize("a, b", PAIRS)
def test_dot_equals_numpy(a, b, known):
    x, y = integers(*a), integers(*b)
    np.testing.assert_array_equal(run(dot, x, y, known=known), np.dot(x, y))


MATMULS = [
    *PAIRS[:6],
    ((2, 3, 5), (2, 5, 7)),
    ((2, 3, 5), (1, 5, 7)),
    ((1, 3, 5), (2, 5, 7)),
    ((3, 5), (2, 5, 7)),
    ((5,), (2, 5, 7)),
    ((2, 1, 3, 5), (11, 5, 7)),
    ((2, 1, 3, 5), (2, 3, 5, 7)),
    ((0, 3, 5), (0, 5, 7)),
    ((2, 3, 0), (2, 0, 7)),
    ((2, 3, 5), (5,)),
]


@pytest.mark.parametrize("known", [True, False])
@pytest.mark.parametrize("a, b", MATMULS)
def test_matmul_equals_numpy(a, b, known):
    x, y = integers(*a), integers(*b)
    np.testing.assert_array_equal(run(matmul, x, y, known=known), np.matmul(x, y))


@pytest.mark.parametrize("known", [True, False])
@pytest.mark.parametrize(
    "a, b, axes",
    [
        ((2, 3, 5), (3, 5, 7), 2),
        ((2, 3), (5, 7), 0),
        ((2, 3), (2, 3), 2),
        ((2, 3, 5), (7, 2, 3), ([0, 1], [1, 2])),
        ((3, 5, 2), (5, 3, 7), ([1, 0], [0, 1])),
        ((3, 5, 2), (7, 5, 3), ([0, 1], [2, 1])),
        ((3, 5, 2), (3, 5, 7), ([0, 1], [0, 1])),
        ((3, 5), (7, 5), (1, 1)),
        ((3, 5), (7, 5), (-1, -1)),
        ((3, 0), (0, 5), 1),
    ],
)
def test_tensordot_equals_numpy(a, b, axes, known):
    x, y = integers(*a), integers(*b)
    got = run(lambda u, v: tensordot(u, v, axes), x, y, known=known)
    np.testing.assert_array_equal(got, np.tensordot(x, y, axes))


@pytest.mark.parametrize("known", [True, False])
@pytest.mark.parametrize(
    "a, b", [((4, 3, 5), (4, 5, 7)), ((4, 5), (4, 5)), ((4, 5), (4, 5, 7)), ((4, 3, 5), (4, 5)),
             ((4, 2, 3, 5), (4, 11, 5, 7)), ((4,), (4, 3)), ((4, 3, 2), (4,)), ((0, 3, 5), (0, 5, 7))]
)  # fmt: skip
def test_batched_dot_is_dot_of_each_member(a, b, known):
    x, y = integers(*a), integers(*b)
    each = [np.dot(p, q) for p, q in zip(x, y)]
    expected = np.stack(each) if each else np.zeros((0, 3, 7))
    np.testing.assert_array_equal(run(batched_dot, x, y, known=known), expected)


@pytest.mark.parametrize("known", [True, False])
def test_outer_equals_numpy(known):
    for a, b in (((3,), (5,)), ((2, 3), (5,)), ((), (4,)), ((0,), (4,))):
        x, y = integers(*a), integers(*b)
        np.testing.assert_array_equal(run(outer, x, y, known=known), np.outer(x, y))


def test_dense_adds_the_bias_to_every_row():
    x, w, b = integers(2, 3, 5), integers(5, 7), integers(7)
    np.testing.assert_array_equal(run(dense, x, w, b), x @ w + b)
    np.testing.assert_array_equal(run(dense, x[0, 0], w), x[0, 0] @ w)


@pytest.mark.parametrize("dtype", ["bool", "int8", "uint8", "int32", "int64", "float32"])
def test_dtypes_follow_numpy(dtype):
    x, y = integers(3, 5).astype(dtype), integers(5, 7).astype(dtype)
    got = run(dot, x, y)
    assert str(got.dtype) == dtype
    np.testing.assert_array_equal(got, np.dot(x, y))


def test_mixed_dtypes_promote():
    assert dot(tensor("float32", (2, 3)), tensor("int64", (3, 4))).dtype == "float32"
    assert dot(tensor("int32", (2, 3)), 2).dtype == "int32"
    with pytest.raises(DTypeError, match="share one dtype"):
        Dot()(tensor("float32", (2, 3)), tensor("float64", (3, 4)))


# ---- gradients: bilinear, so central differences on small integers are exact at any step


def check_gradient(function, *arrays: np.ndarray) -> None:
    """Op.grad of every node under function, chained by hand, against differences with eps = 1."""
    xs = [tensor("float64", a.shape) for a in arrays]
    y = function(*xs)
    seed = integers(*y.type.shape)
    values = dict(zip(xs, arrays))
    got = evaluate(backward(y, xs, constant(seed)), values)
    for x, a, g in zip(xs, arrays, got):
        expected = np.zeros_like(a)
        for i in np.ndindex(a.shape):
            ends = []
            for step in (1, -1):
                moved = a.copy()
                moved[i] += step
                ends.append((evaluate([y], {**values, x: moved})[0] * seed).sum())
            expected[i] = (ends[0] - ends[1]) / 2
        np.testing.assert_array_equal(g, expected)


def backward(y: Variable, xs: list[Variable], seed: Variable) -> list[Variable]:
    total = {y: seed}
    for node in reversed(toposort([y], stop=xs)):
        dy = total.get(node.out)
        if dy is None:
            continue
        for v, g in zip(node.inputs, node.op.grad(node, dy)):
            if g is not None:
                assert g.type.accepts(v.type)
                total[v] = g if v not in total else total[v] + g
    return [total[x] for x in xs]


@pytest.mark.parametrize("ta", [False, True])
@pytest.mark.parametrize("tb", [False, True])
def test_dot_gradient_for_all_flags(ta, tb):
    a, b = integers(*((5, 3) if ta else (3, 5))), integers(*((2, 5) if tb else (5, 2)))
    check_gradient(lambda x, y: Dot(ta, tb)(x, y), a, b)


@pytest.mark.parametrize("ta", [False, True])
@pytest.mark.parametrize("tb", [False, True])
@pytest.mark.parametrize("batches", [((2,), (2,)), ((2,), (1,)), ((), (2,)), ((2, 1), (3,))])
def test_batched_dot_gradient_for_all_flags(ta, tb, batches):
    a = integers(*batches[0], *((5, 3) if ta else (3, 5)))
    b = integers(*batches[1], *((2, 5) if tb else (5, 2)))
    check_gradient(lambda x, y: BatchedDot(ta, tb)(x, y), a, b)


def test_gradients_of_user_functions():
    check_gradient(dot, integers(5), integers(5))
    check_gradient(dot, integers(2, 3, 5), integers(3, 5, 2))
    check_gradient(matmul, integers(5), integers(2, 5, 3))
    check_gradient(dense, integers(3, 4), integers(4, 2), integers(2))
    check_gradient(outer, integers(3), integers(2))
    check_gradient(lambda x, y: tensordot(x, y, ([0, 1], [1, 2])), integers(2, 3, 2), integers(2, 2, 3))
    check_gradient(batched_dot, integers(2, 3), integers(2, 3, 4))


def test_gradient_of_the_gradient_is_again_dots():
    def first(a, b):
        return backward(Dot(True, False)(a, b), [a], constant(np.ones((3, 2))))[0]

    b = tensor("float64", (5, 2))
    a = tensor("float64", (5, 3))
    y = first(a, b)
    (g,) = backward(y, [b], constant(integers(5, 3)))
    assert g.type.shape == (5, 2)
    assert all(not isinstance(n.op, Transpose) for n in toposort([g]))


def test_gradients_hold_no_transposed_copy():
    a, b = tensor("float32", (3, 5)), tensor("float32", (5, 2))
    gs = backward(dot(a, b), [a, b], constant(np.ones((3, 2), "float32")))
    assert {(n.op.trans_a, n.op.trans_b) for n in toposort(gs)} == {(False, True), (True, False)}


def test_simplify_absorbs_transposes():
    a, b = tensor("float32", (5, 3)), tensor("float32", (2, 5))
    y = dot(transpose(a), transpose(b))

    def make(node, inputs):
        return node.op.simplify(*inputs) or node.op.make(*inputs).outputs

    (z,) = rebuild([y], {}, make)
    assert z.owner.op == Dot(True, True) and z.owner.inputs == (a, b)
    u = tensor("float32", (4, 5, 3))
    (w,) = BatchedDot().simplify(transpose(u, (0, 2, 1)), transpose(b))
    assert w.owner.op == BatchedDot(True, True) and w.owner.inputs == (u, b)
    assert BatchedDot().simplify(transpose(u, (1, 0, 2)), tensor("float32", (3, 2))) is None


def test_rop_is_the_directional_derivative():
    a, b, da, db = (integers(*s) for s in ((3, 5), (5, 2), (3, 5), (5, 2)))
    xs = [constant(v) for v in (a, b, da, db)]
    node = Dot().make(xs[0], xs[1])
    (both,) = node.op.rop(node, xs[2], xs[3])
    (one,) = node.op.rop(node, None, xs[3])
    got = evaluate([both, one], {})
    np.testing.assert_array_equal(got[0], da @ b + a @ db)
    np.testing.assert_array_equal(got[1], a @ db)
    assert node.op.rop(node, None, None) == [None]


def test_flops_count_multiplies_and_adds():
    y = Dot(True, False)(tensor("float32", (5, 3)), tensor("float32", (5, 7)))
    assert y.owner.op.flops(y.owner) == 2 * 3 * 5 * 7


# ---- errors


@pytest.mark.parametrize(
    "call, words",
    [
        (lambda v: dot(v(3, 5), v(4, 7)), ["dot:", "axis 1 of a has 5", "axis 0 of b has 4", "[3, 5]"]),
        (lambda v: dot(v(3), v(4)), ["dot:", "3 elements", "has 4"]),
        (lambda v: matmul(v(2, 3, 5), v(2, 4, 7)), ["matmul:", "axis 2 of a", "axis 1 of b"]),
        (lambda v: matmul(v(2, 3, 5), v(4, 5, 7)), ["batched_dot", "batches differ", "2", "4"]),
        (lambda v: matmul(v(), v(4, 5)), ["matmul:", "scalar", "with *"]),
        (lambda v: tensordot(v(3, 5), v(4, 7), 1), ["tensordot:", "5", "4"]),
        (lambda v: tensordot(v(3, 5), v(5, 7), 3), ["tensordot:", "0..2"]),
        (lambda v: tensordot(v(3, 5), v(5, 7), ([0, 1], [0])), ["tensordot:", "2 axes of a for 1 of b"]),
        (lambda v: batched_dot(v(3, 5), v(4, 5)), ["batched_dot:", "batch of 3", "4"]),
        (lambda v: dense(v(3, 5), v(4, 7), v(7)), ["dense:", "5 features", "expects 4", "n_in"]),
        (lambda v: dense(v(3, 5), v(5, 7), v(8)), ["dense:", "7 outputs", "b has 8"]),
        (lambda v: dense(v(3, 5), v(5), v(8)), ["dense:", "dimensions"]),
        (lambda v: Dot()(v(3, 5, 2), v(5, 7)), ["dot:", "matrices", "3 and 2"]),
        (lambda v: Dot(True, True)(v(3, 5), v(7, 5)), ["dot:", "a gives 3, b gives 5", "trans_a=True"]),
    ],
)
def test_bad_shapes_are_named(call, words):
    with pytest.raises(ShapeError) as caught:
        call(lambda *shape: tensor("float32", shape))
    for word in words:
        assert word in str(caught.value)
    assert "test_dense.py" in str(caught.value)


# ---- the ops that rewrites make


@pytest.mark.parametrize("ta", [False, True])
@pytest.mark.parametrize("tb", [False, True])
def test_gemm_reference(ta, tb):
    c, a, b = integers(3, 2), integers(*((5, 3) if ta else (3, 5))), integers(*((2, 5) if tb else (5, 2)))
    product = (a.T if ta else a) @ (b.T if tb else b)
    got = run(Gemm(ta, tb), c, a, b, np.array(2.0), np.array(-3.0))
    np.testing.assert_array_equal(got, -3 * c + 2 * product)
    got = run(Gemm(ta, tb), np.full_like(c, np.nan), a, b, np.array(2.0), np.array(0.0))
    np.testing.assert_array_equal(got, 2 * product)


@pytest.mark.parametrize("activation", list(ACTIVATIONS))
def test_dense_act_reference(activation):
    x, w, b = RNG.normal(size=(3, 5)), RNG.normal(size=(2, 5)), RNG.normal(size=2)
    z = x @ w.T + b
    each = {"linear": z, "relu": z * (z > 0), "tanh": np.tanh(z), "sigmoid": 1 / (1 + np.exp(-z))}
    expected = each[activation]
    np.testing.assert_allclose(run(DenseAct(False, True, activation), x, w, b), expected, rtol=1e-14)


@pytest.mark.parametrize("activation", list(FACTORS))
def test_dot_mul_act_grad_is_the_derivative(activation):
    dy, w, z = RNG.normal(size=(3, 5)), RNG.normal(size=(2, 5)), RNG.normal(size=(3, 2))
    got = run(DotMulActGrad(False, True, activation), dy, w, z if activation == "mul" else act(activation, z))
    step = 1e-6
    slope = z if activation == "mul" else (act(activation, z + step) - act(activation, z - step)) / (2 * step)
    np.testing.assert_allclose(got, (dy @ w.T) * slope, rtol=1e-6, atol=1e-9)


def act(name: str, z: np.ndarray) -> np.ndarray:
    return ACTIVATIONS[name][0](z)


def test_dot_mul_act_grad_hides_what_a_zero_factor_meets():
    dy, w, y = np.array([[np.inf]]), np.array([[1.0, 1.0]]), np.array([[0.0, 2.0]])
    np.testing.assert_array_equal(run(DotMulActGrad(activation="relu"), dy, w, y), [[0.0, np.inf]])


@pytest.mark.parametrize(
    "call, words",
    [
        (lambda v: Gemm()(v(3, 3), v(3, 5), v(5, 2), v(), v()), ["gemm:", "c is float32[3, 3]", "[3, 2]"]),
        (lambda v: Gemm()(v(3, 2), v(3, 5), v(5, 2), v(1), v()), ["gemm:", "alpha is float32[1]"]),
        (lambda v: DenseAct()(v(3, 5), v(5, 2), v(3)), ["dense_act:", "b is float32[3]", "[2]"]),
        (lambda v: DenseAct(activation="x")(v(3, 5), v(5, 2), v(2)), ["unknown activation 'x'", "tanh"]),
        (lambda v: DotMulActGrad()(v(3, 5), v(5, 2), v(2, 3)), ["dot_mul_act_grad:", "y is float32[2, 3]"]),
    ],
)
def test_fused_ops_refuse_bad_operands(call, words):
    with pytest.raises(ShapeError) as caught:
        call(lambda *shape: tensor("float32", shape))
    for word in words:
        assert word in str(caught.value)


def test_operators():
    x, y = integers(3, 5), integers(5, 2)
    np.testing.assert_array_equal(run(lambda a: a @ y, x), x @ y)
    np.testing.assert_array_equal(run(lambda b: x @ b, y), x @ y)
    np.testing.assert_array_equal(run(lambda a, b: a.dot(b), x, y), x @ y)
