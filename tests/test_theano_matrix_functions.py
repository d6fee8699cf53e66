"""expm, eigvalsh, tensorinv, tensorsolve, lstsq of theano.tensor.nlinalg and slinalg."""

import numpy as np
import pytest

import symconv.theano as theano
import symconv.theano.tensor as T
from symconv import errors
from symconv.theano.tensor import nlinalg, slinalg

RNG = np.random.RandomState(4)


def by_series(a):
    """e^(a / 64) by its series, squared six times."""
    total = term = np.eye(len(a))
    for k in range(1, 30):
        term = term @ (a / 64) / k
        total = total + term
    return np.linalg.matrix_power(total, 64)


@pytest.mark.parametrize("scale", [0.0, 1e-3, 1.0, 12.0])
def test_expm_is_the_series(scale):
    a = scale * RNG.normal(size=(4, 4))
    x = T.dmatrix()
    expected = by_series(a)
    found = slinalg.expm(x).eval({x: a})
    np.testing.assert_allclose(found, expected, rtol=1e-10, atol=1e-12 * np.abs(expected).max())
    rotation = slinalg.expm(x).eval({x: [[0, -30.0], [30.0, 0]]})
    np.testing.assert_allclose(rotation, [[np.cos(30), -np.sin(30)], [np.sin(30), np.cos(30)]], atol=1e-12)
    y = T.fmatrix()
    assert slinalg.Expm()(y).eval({y: np.eye(2, dtype="float32")}).dtype == "float32"


def test_gradients_of_expm():
    T.verify_grad(slinalg.expm, [RNG.normal(size=(3, 3))], rng=RNG)
    T.verify_grad(lambda a: T.grad((slinalg.expm(a) ** 2).sum(), a), [RNG.normal(size=(2, 2))], rng=RNG)
    with pytest.raises(errors.ExecutionError, match="square"):
        slinalg.expm(T.constant(np.ones((2, 3)))).eval()


@pytest.mark.parametrize("lower", [True, False])
def test_eigvalsh(lower):
    half = RNG.normal(size=(4, 4))
    a, b = half + half.T, half @ half.T + np.eye(4)
    read = np.tril(a) if lower else np.triu(a)
    x, y = T.dmatrices("x", "y")
    f = theano.function([x, y], [slinalg.eigvalsh(x, y, lower), slinalg.Eigvalsh(lower)(x)])
    general, plain = f(read, b)
    np.testing.assert_allclose(np.sort(np.linalg.eigvals(np.linalg.solve(b, a)).real), general)
    np.testing.assert_allclose(np.linalg.eigvalsh(a), plain)
    weights = np.arange(4.0)
    T.verify_grad(lambda a, b: (slinalg.eigvalsh(a, b, lower) * weights).sum(), [a, b + b.T], rng=RNG)


def test_tensorinv_and_tensorsolve():
    a = RNG.normal(size=(4, 6, 8, 3))
    x = T.dtensor4()
    np.testing.assert_allclose(nlinalg.tensorinv(x).eval({x: a}), np.linalg.tensorinv(a))
    b = RNG.normal(size=(24, 8, 3))
    y = T.dtensor3()
    np.testing.assert_allclose(nlinalg.TensorInv(1)(y).eval({y: b}), np.linalg.tensorinv(b, 1))
    c = RNG.normal(size=(4, 6))
    z = T.dmatrix()
    np.testing.assert_allclose(nlinalg.tensorsolve(x, z).eval({x: a, z: c}), np.linalg.tensorsolve(a, c))
    d = RNG.normal(size=(6, 4))
    moved = RNG.normal(size=(2, 6, 4, 12))
    found = nlinalg.tensorsolve(x, z, axes=(0, -1)).eval({x: moved, z: d})
    np.testing.assert_allclose(found, np.linalg.tensorsolve(moved, d, axes=(0, 3)))
    close_to_one = RNG.normal(size=(2, 3, 6)) / 4 + np.eye(6).reshape(2, 3, 6)
    T.verify_grad(lambda a: nlinalg.tensorinv(a, 2), [close_to_one], rng=RNG)
    with pytest.raises(errors.ShapeError, match="ind must be"):
        nlinalg.tensorinv(x, 4)
    with pytest.raises(errors.ShapeError, match="more axes"):
        nlinalg.tensorsolve(z, z)


def test_lstsq():
    a, b = RNG.normal(size=(6, 3)), RNG.normal(size=(6, 2))
    x, y = T.dmatrices("x", "y")
    found = theano.function([x, y], nlinalg.lstsq()(x, y, -1))(a, b)
    for got, expected in zip(found, np.linalg.lstsq(a, b, rcond=-1)):
        np.testing.assert_allclose(got, expected)
    assert nlinalg.AllocDiag()(T.constant(np.ones(2))).eval().tolist() == [[1, 0], [0, 1]]


def test_singular_matrices_raise_the_error_of_numpy():
    x = T.dmatrix()
    for op, bad in (
        (slinalg.cholesky, [[1.0, 2], [2, 1]]),
        (nlinalg.matrix_inverse, [[1.0, 1], [1, 1]]),
        (lambda a: slinalg.solve(a, a), [[1.0, 1], [1, 1]]),
    ):
        f = theano.function([x], op(x))
        with pytest.raises(np.linalg.LinAlgError, match=r"\[2, 2\]") as caught:
            f(bad)
        assert isinstance(caught.value, errors.ExecutionError) and "matrix_functions.py" in str(caught.value)


def test_a_cholesky_factor_of_nan_where_that_is_asked_for():
    x = T.dmatrix()
    bad = [[1.0, 0.2], [0.2, -2.0]]
    for on_error in ("raise", "nan"):
        factor = slinalg.cholesky(x, on_error=on_error)
        f = theano.function([x], [factor, T.grad(factor.sum(), x)])
        if on_error == "raise":
            with pytest.raises(np.linalg.LinAlgError, match="positive definite"):
                f(bad)
        else:
            value, gradient = f(bad)
            assert np.isnan(value).all() and np.isnan(gradient[np.tril_indices(2)]).all()
        np.testing.assert_allclose(f(np.eye(2))[0], np.eye(2))
