"""grad, Lop, Rop, jacobian, hessian: values against closed forms, and every refusal."""

import numpy as np
import pytest

import symconv as sc
from symconv.errors import DisconnectedInputError, GradientError

A = np.array([[2.0, 1.0, 0.5], [1.0, 3.0, -1.0], [0.5, -1.0, 4.0]])


@pytest.fixture(autouse=True)
def _double():
    with sc.config(floatX="float64", device="reference"):
        yield


def quadratic(x):
    return 0.5 * sc.dot(x, sc.dot(sc.constant(A), x))


def test_gradient_of_a_quadratic_form():
    x = sc.vector("x")
    v = np.array([1.0, -2.0, 0.5])
    np.testing.assert_allclose(sc.grad(quadratic(x), x).eval({x: v}), A @ v)


def test_gradient_is_closed_under_repetition():
    x = sc.scalar("x")
    y = x**5
    for factor, power in ((5, 4), (20, 3), (60, 2), (120, 1), (120, 0)):
        y = sc.grad(y, x)
        np.testing.assert_allclose(y.eval({x: 1.5}), factor * 1.5**power)


def test_single_variable_or_list():
    x, y = sc.scalar("x"), sc.scalar("y")
    assert isinstance(sc.grad(x * y, x), sc.Variable)
    gx, gy = sc.grad(x * y, [x, y])
    assert gx.eval({x: 2.0, y: 3.0}) == 3 and gy.eval({x: 2.0, y: 3.0}) == 2
    assert sc.grad(x * x, x).name == "dx"


def test_gradient_by_an_intermediate_variable():
    x = sc.scalar("x")
    h = x * 3
    assert sc.grad(h * h, h).eval({x: 2.0}) == 12


def test_values_used_twice_accumulate():
    x = sc.scalar("x")
    assert sc.grad(x * x + sc.sin(x) * x, x).eval({x: 0.7}) == pytest.approx(
        1.4 + np.sin(0.7) + 0.7 * np.cos(0.7)
    )


def test_a_gradient_reaches_what_is_considered_constant_and_goes_no_further():
    x = sc.vector("x", dtype="float64")
    y = x * 3
    cost = (y * y).sum() + x.sum()
    dx, dy = sc.grad(cost, [x, y], consider_constant=[y])
    values = {x: np.array([1.0, 2.0])}
    assert dx.eval(values).tolist() == [1, 1] and dy.eval(values).tolist() == [6, 12]
    assert sc.grad((x * x).sum(), x, consider_constant=[x]).eval(values).tolist() == [2, 4]


def test_consider_constant_and_stop_gradient():
    x = sc.scalar("x")
    y = x * x
    assert sc.grad(y * x, x, consider_constant=[y]).eval({x: 3.0}) == 9
    assert sc.grad(sc.stop_gradient(y) * x, x).eval({x: 3.0}) == 9


def test_known_grads_start_the_walk():
    x = sc.vector("x")
    y = sc.exp(x)
    g = sc.grad(None, x, known_grads={y: sc.constant(np.array([1.0, 2.0]))})
    np.testing.assert_allclose(g.eval({x: [0.0, 1.0]}), [1, 2 * np.e])
    with pytest.raises(GradientError, match="does not fit"):
        sc.grad(None, x, known_grads={y: 1.0})


def test_disconnected_inputs():
    x, y = sc.scalar("x"), sc.vector("y")
    with pytest.raises(DisconnectedInputError, match="does not depend on y"):
        sc.grad(x, y)
    with pytest.warns(UserWarning, match="does not depend"):
        g = sc.grad(x, y, disconnected_inputs="warn")
    assert g.eval({y: np.ones(3)}).tolist() == [0, 0, 0]
    assert sc.grad(x, y, disconnected_inputs="ignore").eval({y: np.ones(2)}).tolist() == [0, 0]
    with pytest.raises(GradientError, match="disconnected_inputs"):
        sc.grad(x, y, disconnected_inputs="maybe")


def test_gradient_that_ends_at_an_integer_op_names_it():
    x = sc.vector("x")
    cost = sc.cast(sc.argmax(x), "float64") * 2.0
    with pytest.raises(DisconnectedInputError, match="ends at cast from test_autodiff.py"):
        sc.grad(cost, x)


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda x: sc.grad(x, x), "must be a scalar"),
        (lambda x: sc.grad(sc.argmax(x), x), "gradients need a float"),
        (lambda x: sc.grad(x.sum(), sc.ivector("i")), "not a float"),
        (lambda x: sc.grad(None, x), "known_grads"),
        (lambda x: sc.grad(x.sum(), "x"), "must be variables"),
    ],
)
def test_wrong_questions(build, message):
    with pytest.raises(GradientError, match=message):
        build(sc.vector("x"))


def test_lop_and_rop_are_transposes_of_each_other():
    x = sc.vector("x")
    y = sc.tanh(sc.dot(sc.constant(A), x)) * x[0]
    point, u, v = np.array([0.3, -0.2, 0.5]), np.array([1.0, 2.0, -1.0]), np.array([0.5, 0.1, -2.0])
    left = sc.Lop(y, x, u).eval({x: point})
    right = sc.Rop(y, x, v).eval({x: point})
    jac = sc.jacobian(y, x).eval({x: point})
    np.testing.assert_allclose(left, u @ jac)
    np.testing.assert_allclose(right, jac @ v)
    assert left @ v == pytest.approx(u @ right)


def test_rop_of_several_inputs():
    x, y = sc.scalar("x"), sc.scalar("y")
    r = sc.Rop([x * y, x + y], [x, y], [1.0, 10.0])
    assert [float(v.eval({x: 2.0, y: 3.0})) for v in r] == [23, 11] or float(
        r[0].eval({x: 2.0, y: 3.0})
    ) == 23


def test_jacobian_with_unknown_and_known_shapes():
    for shape in ((None,), (3,)):
        x = sc.tensor("float64", shape, "x")
        jac = sc.jacobian(x * x, x).eval({x: np.array([1.0, 2.0, 3.0])})
        np.testing.assert_allclose(jac, np.diag([2.0, 4.0, 6.0]))


def test_jacobian_of_a_matrix():
    x = sc.matrix("x")
    value = np.arange(6.0).reshape(2, 3)
    jac = sc.jacobian(x.sum(axis=0) * 2, x).eval({x: value})
    assert jac.shape == (3, 2, 3)
    np.testing.assert_allclose(jac[1], 2 * np.array([[0, 1, 0], [0, 1, 0]]))


def test_hessian_is_the_matrix_of_the_form():
    x = sc.vector("x")
    np.testing.assert_allclose(sc.hessian(quadratic(x), x).eval({x: np.ones(3)}), A)
    h = sc.hessian((x**3).sum(), x).eval({x: np.array([1.0, 2.0])})
    np.testing.assert_allclose(h, np.diag([6.0, 12.0]))


def test_jacobian_refusals():
    x = sc.vector("x")
    with pytest.raises(GradientError, match="floats"):
        sc.jacobian(sc.argmax(x), x)
    with pytest.raises(DisconnectedInputError):
        sc.jacobian(x, sc.vector("y"))


def test_origin_of_a_gradient_names_the_forward_line():
    x = sc.vector("x")
    g = sc.grad(sc.exp(x).sum(), x)
    assert g.owner.origin.startswith("gradient of exp at test_autodiff.py:")


def test_jacobian_and_hessian_of_unknown_shapes_heed_stopped_gradients():
    """They are built when shapes are known: what stops gradients must be there still."""
    x, n = sc.tensor("float64", (None,), name="x"), sc.tensor("int64", (), name="n")
    still = sc.stop_gradient(x)
    power, _ = sc.scan(lambda p, v: sc.stop_gradient(v) * p, None, x * 1, [x], n_steps=n)
    f = sc.function(
        [x, n],
        [sc.jacobian(still * x**2, x), sc.hessian((still * x**2).sum(), x), sc.jacobian(power[-1], x)],
    )
    a = np.array([2.0, -3.0])
    first, second, third = f(a, 3)
    np.testing.assert_allclose(first, np.diag(2 * a * a))
    np.testing.assert_allclose(second, np.diag(2 * a))
    np.testing.assert_allclose(third, np.diag(a**3))
