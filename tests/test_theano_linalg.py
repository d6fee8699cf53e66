"""theano.tensor.nlinalg and slinalg against NumPy, their gradients against differences."""

import numpy as np
import pytest

import symconv.theano.tensor as T
from symconv import errors
from symconv.theano.tensor import nlinalg, slinalg

RNG = np.random.RandomState(7)
A = RNG.normal(size=(4, 4)) + 4 * np.eye(4)
S = A @ A.T
B = RNG.normal(size=(4, 3))


def evaluated(build, *arrays):
    inputs = [T.TensorType(str(a.dtype), (False,) * a.ndim)() for a in arrays]
    out = build(*inputs)
    values = dict(zip(inputs, arrays))
    return [o.eval(values) for o in out] if isinstance(out, list) else out.eval(values)


SAME = {
    "inverse": (nlinalg.matrix_inverse, np.linalg.inv, A),
    "pinv": (nlinalg.pinv, np.linalg.pinv, B),
    "det": (nlinalg.det, np.linalg.det, A),
    "power": (lambda a: nlinalg.matrix_power(a, 3), lambda a: a @ a @ a, A),
    "power_negative": (lambda a: nlinalg.matrix_power(a, -2), lambda a: np.linalg.inv(a @ a), A),
    "cholesky": (slinalg.cholesky, np.linalg.cholesky, S),
    "cholesky_upper": (lambda a: slinalg.cholesky(a, lower=False), lambda a: np.linalg.cholesky(a).T, S),
    "singular_values": (lambda a: nlinalg.svd(a, compute_uv=False), lambda a: np.linalg.svd(a)[1], B),
    "norm_nuclear_like": (lambda a: nlinalg.norm(a, 2), lambda a: np.linalg.norm(a, 2), B),
    "norm_inf": (lambda a: nlinalg.norm(a, np.inf), lambda a: np.linalg.norm(a, np.inf), B),
    "norm_vector": (lambda a: nlinalg.norm(a[0], 3), lambda a: np.linalg.norm(a[0], 3), B),
    "kron": (lambda a: slinalg.kron(a, a), lambda a: np.kron(a, a), B),
}


@pytest.mark.parametrize("name", SAME)
def test_values_are_numpys(name):
    build, numpy_function, a = SAME[name]
    np.testing.assert_allclose(evaluated(build, a), numpy_function(a), rtol=1e-9, atol=1e-11)


def test_decompositions_put_together_again():
    u, s, vt = evaluated(lambda a: nlinalg.svd(a, full_matrices=False), B)
    np.testing.assert_allclose(u * s @ vt, B)
    q, r = evaluated(nlinalg.qr, B)
    np.testing.assert_allclose(q @ r, B, atol=1e-12)
    for a in (B, B.T):
        for mine, numpys in zip(evaluated(lambda x: nlinalg.qr(x, "raw"), a), np.linalg.qr(a, "raw")):
            assert np.array_equal(mine, numpys)
        x = T.dmatrix()
        shapes = [v.shape.eval({x: a}) for v in nlinalg.qr(x, "raw")]
        assert [tuple(s) for s in shapes] == [a.shape[::-1], (min(a.shape),)]
    w, v = evaluated(nlinalg.eigh, S)
    np.testing.assert_allclose(v * w @ v.T, S)
    w, v = evaluated(lambda a: nlinalg.eig(a), S)
    np.testing.assert_allclose(v * w @ np.linalg.inv(v), S, atol=1e-9)


def test_linear_systems():
    np.testing.assert_allclose(evaluated(slinalg.solve, A, B), np.linalg.solve(A, B))
    lower = np.tril(A)
    got = evaluated(slinalg.solve_lower_triangular, A, B[:, 0])
    np.testing.assert_allclose(got, np.linalg.solve(lower, B[:, 0]))


@pytest.mark.parametrize(
    "build, arrays",
    [
        (nlinalg.matrix_inverse, [A]),
        (nlinalg.pinv, [B]),
        (lambda a: T.log(nlinalg.det(a)), [S]),
        (lambda a: slinalg.cholesky(T.dot(a, a.T)), [A]),
        (lambda a: slinalg.cholesky(T.dot(a, a.T), lower=False), [A]),
        (lambda a: nlinalg.eigh(T.dot(a, a.T))[0], [A]),
        (lambda a: abs(nlinalg.eigh(T.dot(a, a.T), "U")[1]), [A]),
        (slinalg.solve, [A, B]),
        (slinalg.solve_upper_triangular, [A, B[:, 0]]),
        (lambda a, b: slinalg.kron(a, b), [A[:2], B[:2]]),
    ],
)
def test_gradients(build, arrays):
    T.verify_grad(build, arrays, n_tests=1, rng=np.random.RandomState(1))


def test_faults_are_named():
    with pytest.raises(errors.ExecutionError, match=r"MatrixInverse.*[Ss]ingular"):
        evaluated(nlinalg.matrix_inverse, np.zeros((2, 2)))
    with pytest.raises(errors.ExecutionError, match=r"square.*\[4, 3\]"):
        evaluated(nlinalg.det, B)
    with pytest.raises(errors.ShapeError, match="takes a matrix"):
        nlinalg.det(T.dvector())
    with pytest.raises(errors.ExecutionError, match="complex"):
        evaluated(lambda a: nlinalg.eig(a)[0], np.array([[0.0, 1.0], [-1.0, 0.0]]))
    assert np.isnan(evaluated(lambda a: slinalg.cholesky(a, on_error="nan"), -S)).all()
