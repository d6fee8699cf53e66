"""Functions under older, or rarer, modules: sandbox.linalg, fftconv, blocksparse, scan_checkpoints."""

import numpy as np
import pytest

import symconv.theano as theano
import symconv.theano.tensor as T
from symconv import errors
from symconv.theano.sandbox.cuda.fftconv import conv2d_fft
from symconv.theano.sandbox.linalg import cholesky, det, matrix_inverse, psd, spectral_radius_bound
from symconv.theano.tensor.nnet.blocksparse import sparse_block_dot

R = np.random.RandomState(0)


def test_linear_algebra_of_the_sandbox():
    x = T.dmatrix("x")
    a = R.rand(4, 4)
    a = a @ a.T + np.eye(4)
    found = [psd(x), matrix_inverse(psd(x)), det(x), cholesky(x), spectral_radius_bound(x, 5)]
    same, inverse, determinant, lower, bound = theano.function([x], found)(a)
    assert np.array_equal(same, a)
    np.testing.assert_allclose(inverse, np.linalg.inv(a))
    np.testing.assert_allclose(determinant, np.linalg.det(a))
    np.testing.assert_allclose(lower, np.linalg.cholesky(a), atol=1e-12)
    largest = np.linalg.eigvalsh(a)[-1]
    assert largest <= bound < 1.05 * largest
    with pytest.raises(errors.ArgumentError, match="positive integer"):
        spectral_radius_bound(x, 0)


@pytest.mark.parametrize("mode", ["valid", "full"])
def test_the_convolution_of_cufft_is_a_true_one(mode):
    x, w = T.dtensor4("x"), T.dtensor4("w")
    f = theano.function([x, w], [conv2d_fft(x, w, border_mode=mode), T.nnet.conv2d(x, w, border_mode=mode)])
    fft, plain = f(R.rand(2, 3, 7, 6), R.rand(4, 3, 3, 2))
    assert np.array_equal(fft, plain) and fft.shape == ((2, 4, 5, 5) if mode == "valid" else (2, 4, 9, 7))


def test_products_of_chosen_blocks():
    w, h, b = R.rand(5, 4, 3, 2), R.rand(6, 2, 3), R.rand(4, 2)
    into, out = R.randint(0, 5, (6, 2)), R.randint(0, 4, (6, 3))
    tw, th, tb = T.dtensor4("w"), T.dtensor3("h"), T.dmatrix("b")
    ti, to = T.lmatrix("into"), T.lmatrix("out")
    y = sparse_block_dot(tw, th, ti, tb, to)
    found, dw = theano.function([tw, th, tb, ti, to], [y, T.grad(y.sum(), tw)])(w, h, b, into, out)
    expected = np.zeros((6, 3, 2))
    slopes = np.zeros_like(w)
    for n in range(6):
        for j in range(3):
            expected[n, j] = b[out[n, j]] + sum(h[n, k] @ w[into[n, k], out[n, j]] for k in range(2))
            for k in range(2):
                slopes[into[n, k], out[n, j]] += h[n, k][:, None]
    np.testing.assert_allclose(found, expected)
    np.testing.assert_allclose(dw, slopes)
    alone = sparse_block_dot(w, h[0], into[0], b, out[0])
    np.testing.assert_allclose(alone.eval(), expected[:1])
    with pytest.raises(errors.ShapeError, match="takes block numbers with 2, got 1"):
        sparse_block_dot(w, h, into[0], b, out[0])


@pytest.mark.parametrize("n", [1, 4, 5, 9])
def test_checkpoints_of_a_loop(n):
    x, k = T.dvector("x"), T.iscalar("k")
    sums, updates = theano.scan_checkpoints(lambda v, s: s + v, [x], [T.zeros((), "float64")], save_every_N=4)
    powers, _ = theano.scan_checkpoints(
        lambda p, a: p * a, outputs_info=[T.ones_like(x)], non_sequences=[x], n_steps=k, save_every_N=4
    )
    f = theano.function([x, k], [sums, powers, T.grad(powers[-1].sum(), x)], updates=updates)
    a = np.arange(1.0, n + 1)
    found, power, slope = f(a, n)
    ends = [*range(3, n - 1, 4), n - 1]
    assert found.tolist() == np.cumsum(a)[ends].tolist()
    np.testing.assert_allclose(power, a ** (np.array(ends)[:, None] + 1))
    np.testing.assert_allclose(slope, n * a ** (n - 1))
    with pytest.raises(errors.UnsupportedError, match="does not take taps"):
        theano.scan_checkpoints(lambda a: a, outputs_info=[{"initial": x, "taps": [-1]}], n_steps=2)
