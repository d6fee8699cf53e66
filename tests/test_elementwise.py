"""Element-wise ops and reductions as a user meets them: operators, dtypes, conventions, errors."""

from __future__ import annotations

import math

import numpy as np
import pytest

import symconv as sc
from symconv.errors import DTypeError, GradientError, ShapeError
from symconv.graph import Variable
from symconv.ops.activations import Sigmoid
from symconv.ops.arithmetic import Mul
from symconv.ops.fused import FusedElementwise


def value(v: Variable, values: dict[Variable, object] | None = None) -> np.ndarray:
    inputs = list(values or {})
    f = sc.function(inputs, v, device="reference", on_unused_input="ignore")
    return f(*(np.asarray(values[i], i.dtype) for i in inputs)) if values else f()


def gradient(build, *points: list) -> list[list]:
    """The gradients of sum(build(...)) at the points, as lists."""
    inputs = [sc.tensor("float64", np.shape(p)) for p in points]
    grads = sc.grad(sc.sum(build(*inputs)), inputs, disconnected_inputs="ignore")
    f = sc.function(inputs, grads, device="reference", on_unused_input="ignore")
    return [g.tolist() for g in f(*(np.asarray(p, "float64") for p in points))]


def test_operators() -> None:
    x, y = np.array([7.0, -7.0, 2.5], "float32"), np.array([2.0, 2.0, -2.0], "float32")
    a, b = sc.as_variable(x), sc.as_variable(y)
    for expression, expected in [
        (a // b, x // y), (a % b, x % y), (9 // b, 9 // y), (9 % b, 9 % y), (abs(a), abs(x)), (+a, x),
        (-a, -x),
        (abs(a) ** b, abs(x) ** y), (2**b, 2**y), (a < b, x < y), (a <= b, x <= y), (a > 2, x > 2),
        (3 >= a, x <= 3),
        ((a > 0) & (b > 0), (x > 0) & (y > 0)), ((a > 0) | (b > 0), (x > 0) | (y > 0)),
        ((a > 0) ^ (b > 0), (x > 0) ^ (y > 0)), (~(a > 0), ~(x > 0)), (True & (a > 0), x > 0),
        (a.clip(-1, 1), x.clip(-1, 1)), (a.round(), x.round()), (a.max(), x.max()), (a.mean(), x.mean()),
        (a.std(), x.std()), (a.prod(), x.prod()), (a.argmin(), x.argmin()), ((a > 0).any(), True),
        ((a > 0).all(), False),
    ]:  # fmt: skip
        got = value(expression)
        np.testing.assert_allclose(got, expected, rtol=1e-6)
        assert got.dtype == np.asarray(expected).dtype or got.dtype in ("float32", "int64", "bool")


def test_equality_of_variables_stays_identity() -> None:
    x, y = sc.vector("x"), sc.vector("y")
    assert (x == y) is False and x == x and {x: 1}[x] == 1
    assert sc.eq(x, y).dtype == "bool"


@pytest.mark.parametrize(
    ("expression", "dtype"),
    [
        (lambda i, f, b: i + 1, "int32"),
        (lambda i, f, b: i + 1.5, "float32"),
        (lambda i, f, b: f + i, "float32"),
        (lambda i, f, b: i / i, "float32"),
        (lambda i, f, b: sc.exp(i), "float32"),
        (lambda i, f, b: sc.mean(i), "float32"),
        (lambda i, f, b: sc.sum(i), "int64"),
        (lambda i, f, b: sc.sum(b), "int64"),
        (lambda i, f, b: sc.mean(b), "float32"),
        (lambda i, f, b: b + b, "bool"),
        (lambda i, f, b: b + 1, "int64"),
        (lambda i, f, b: sc.where(b, f, 0), "float32"),
        (lambda i, f, b: sc.where(b, i, 0.5), "float32"),
        (lambda i, f, b: i < 0.5, "bool"),
        (lambda i, f, b: sc.argmax(f), "int64"),
        (lambda i, f, b: sc.floor(i), "int32"),
        (lambda i, f, b: sc.floor(f), "float32"),
        (lambda i, f, b: sc.relu(i), "int32"),
        (lambda i, f, b: sc.sigmoid(i), "float32"),
        (lambda i, f, b: sc.cast(f, "int8"), "int8"),
        (lambda i, f, b: sc.maximum(f, 0), "float32"),
        (lambda i, f, b: f**2, "float32"),
        (lambda i, f, b: i**2, "int32"),
    ],
)
def test_result_dtype(expression, dtype: str) -> None:
    i, f, b = sc.tensor("int32", (3,)), sc.tensor("float32", (3,)), sc.tensor("bool", (3,))
    assert expression(i, f, b).dtype == dtype


def test_whole_powers_are_products() -> None:
    x = sc.vector("x")
    assert x**1 is x and x**2 is sc.square(x) and x**-1 is sc.reciprocal(x) and x**0.5 is sc.sqrt(x)
    assert x**3 is sc.square(x) * x and x**4 is sc.square(sc.square(x))
    assert value(sc.as_variable(np.int32([2, -3])) ** 3).tolist() == [8, -27]


def test_integer_division_by_zero_is_zero() -> None:
    a = sc.as_variable(np.int32([7, -7, 0]))
    assert value(a // 0).tolist() == value(a % 0).tolist() == [0, 0, 0]


def test_negative_integer_powers_truncate() -> None:
    a, n = sc.as_variable(np.int32([1, -1, -1, 2, 0])), sc.as_variable(np.int32([-5, -3, -2, -1, -1]))
    assert value(sc.power(a, n)).tolist() == [1, -1, 1, 0, 0]


def test_round_takes_the_even_neighbour() -> None:
    assert value(sc.round(np.float32([0.5, 1.5, 2.5, -0.5, -1.5]))).tolist() == [0, 2, 2, 0, -2]


def test_gradients_at_kinks() -> None:
    assert gradient(sc.relu, [-1, 0, 1]) == [[0, 0, 1]]
    assert gradient(lambda x: sc.leaky_relu(x, 0.25), [-1, 0, 1]) == [[0.25, 0.25, 1]]
    assert gradient(sc.abs, [-2, 0, 2]) == [[-1, 0, 1]]
    assert gradient(sc.maximum, [1, 2, 2], [2, 1, 2]) == [[0, 1, 1], [1, 0, 0]]
    assert gradient(sc.minimum, [1, 2, 2], [2, 1, 2]) == [[1, 0, 1], [0, 1, 0]]
    assert gradient(lambda x: sc.clip(x, -1, 1), [-2, -1, 0, 1, 2]) == [[0, 1, 1, 1, 0]]
    assert gradient(lambda x: sc.max(x), [3, 1, 3]) == [[0.5, 0, 0.5]]
    assert gradient(lambda x: sc.min(x, axis=1), [[1, 1], [2, 1]]) == [[[0.5, 0.5], [0, 1]]]
    assert gradient(lambda x: sc.power(x, 3), [0]) == [[0]]
    assert gradient(lambda x, n: sc.power(x, n), [0, 2], [0, 0])[0] == [0, 0]


def test_gradient_of_where_is_selected() -> None:
    """A NaN or inf on the side not taken does not reach the other."""
    (grads,) = gradient(lambda x: sc.where(x > 0, sc.sqrt(sc.where(x > 0, x, 1)), 0), [-1, 4])
    assert grads == [0, 0.25]
    x, dy = sc.vector("x"), sc.vector("dy")
    masked = sc.grad(None, x, known_grads={sc.where(x > 0, x, 0): dy})
    assert value(masked, {x: [-1, 1], dy: [math.nan, 3]}).tolist() == [0, 3]


def test_stop_gradient() -> None:
    assert gradient(lambda x: x * sc.stop_gradient(x), [3]) == [[3]]
    assert gradient(lambda x: sc.stop_gradient(x), [3]) == [[0]]


def test_gradient_passes_a_cast() -> None:
    x = sc.tensor("float32", (2,))
    g = sc.grad(sc.sum(sc.cast(x, "float64") * 3), x)
    assert g.dtype == "float32" and value(g, {x: [1, 2]}).tolist() == [3, 3]


def test_directional_derivatives() -> None:
    x, v, b = (sc.tensor("float64", s) for s in ((2, 3), (2, 3), (3,)))
    y = sc.sin(x * b) + sc.sum(x, axis=0)
    got = value(sc.Rop(y, x, v), {x: [[1, 2, 3]] * 2, v: np.ones((2, 3)), b: [1, 0, 2]})
    cos = np.cos(np.array([1, 2, 3.0]) * [1, 0, 2]) * [1, 0, 2]
    np.testing.assert_allclose(got, [cos + 2] * 2)


def test_stable_functions_do_not_overflow() -> None:
    x = np.float32([-1000, -100, 0, 100, 1000])
    with np.errstate(over="raise", invalid="raise"):
        assert value(sc.sigmoid(x)).tolist()[::4] == [0, 1]
        np.testing.assert_allclose(
            value(sc.softplus(x)), [0, 0, math.log(2), 100, 1000], rtol=1e-6, atol=1e-40
        )
        assert value(sc.logsumexp(x)) == 1000


def test_errors_name_operands_and_hint() -> None:
    a, b = sc.tensor("float32", (2, 3), name="a"), sc.tensor("float32", (4,), name="b")
    with pytest.raises(
        ShapeError, match=r"(?s)add: dimensions \[3, 4\] .*float32\[2, 3\].*test_elementwise.py.*hint"
    ):
        a + b
    for build, message in [
        (lambda: -(a > 0), "neg: does not take bool"),
        (lambda: (a > 0) - (a > 1), "sub: does not take bool"),
        (lambda: a & (a > 0), r"bitwise_and: takes bools or integers, got float32\[2, 3\]"),
        (lambda: ~a, "bitwise_not: takes bools or integers"),
        (lambda: (a > 0) << (a > 1), "left_shift: takes integers, got bools"),
        (lambda: sc.tensor("int32", (2,)) ** -1, "to the power -1 is no integer"),
        (lambda: sc.cast(a, "float128"), "unknown dtype 'float128'"),
        (lambda: sc.clip(a), "give low, high or both"),
        (lambda: Mul()(a, sc.tensor("float64", (3,))), "operands differ in dtype: float32, float64"),
        (lambda: Sigmoid()(sc.tensor("int32", (3,))), "sigmoid: does not take int32"),
        (lambda: sc.tensor("uint8", (3,)) * -1, "-1 does not fit into uint8"),
    ]:
        with pytest.raises(DTypeError, match=message):
            build()
    for build, message in [
        (lambda: sc.sum(a, axis=2), "axis 2 is out of range"),
        (lambda: sc.sum(a, axis=(0, -2)), "names a dimension twice"),
        (lambda: sc.max(sc.tensor("float32", (0, 3)), axis=0), "no element to choose along axes"),
        (lambda: sc.argmax(sc.tensor("float32", (3, 0)), axis=1), "no element to choose"),
    ]:
        with pytest.raises(ShapeError, match=message):
            build()


def test_fused_refuses_bad_programs_and_gradients() -> None:
    x = sc.tensor("float32", (3,))
    with pytest.raises(ShapeError, match="instruction 0 is no element-wise op on earlier values"):
        FusedElementwise(((Mul(), (0, 1)),))(x)
    with pytest.raises(ShapeError, match=r"outputs \(1,\) are not results"):
        FusedElementwise(((Mul(), (0, 0)),), (1,))(x)
    with pytest.raises(ShapeError, match="distinct and of one shape|distinct, of one shape"):
        FusedElementwise(((Mul(), (0, 0)),), (0, 0))(x)
    fused = FusedElementwise(((Mul(), (0, 0)), (Sigmoid(), (1,))), (1,))
    assert fused.label() == "fused{mul, sigmoid}"
    with pytest.raises(GradientError, match="take gradients of the expression"):
        sc.grad(sc.sum(fused(x)), x)


def test_gradient_of_empty_and_unknown_shapes() -> None:
    assert gradient(lambda x: sc.sum(x * 2), np.zeros((0, 3)).tolist()) == [[]]
    x, b = sc.tensor("float32", (None, None)), sc.tensor("float32", (None,))
    g = sc.grad(sc.sum(sc.tanh(x + b) ** 2), b)
    f = sc.function([x, b], g, device="reference")
    assert f(np.ones((5, 3), "float32"), np.zeros(3, "float32")).shape == (3,)
    assert f(np.ones((5, 3), "float32"), np.zeros(1, "float32")).shape == (1,)
