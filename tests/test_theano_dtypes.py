"""symconv.theano: unsigned integers, float16, complex numbers and T.fft, with Theano's dtypes."""

from __future__ import annotations

import numpy as np
import pytest

import symconv.theano as theano
import symconv.theano.tensor as T
from symconv import errors
from symconv.theano.sandbox.rng_mrg import MRG_RandomStreams
from symconv.theano.tensor import fft
from symconv.theano.tensor.shared_randomstreams import RandomStreams


@pytest.fixture
def rng():
    return np.random.RandomState(0)


def of(dtype, ndim=1):
    return T.TensorType(dtype, (False,) * ndim)()


def test_dtypes_of_expressions_are_theanos():
    u = {d: of(d) for d in T.uint_dtypes}
    assert T.uint_dtypes == ("uint8", "uint16", "uint32", "uint64")
    assert (u["uint8"] + u["uint16"]).dtype == "uint16" and (u["uint16"] + 1).dtype == "int32"
    assert (u["uint16"] + of("int16")).dtype == "int32" and (u["uint64"] + of("int64")).dtype == "float64"
    assert (u["uint32"] + of("float32")).dtype == "float64" and (
        u["uint16"] + of("float32")
    ).dtype == "float32"
    assert (of("float16") + of("int8")).dtype == "float16" and (
        of("float16") + of("int16")
    ).dtype == "float32"
    for dtype, v in u.items():
        assert v.sum().dtype == "uint64" and v.prod().dtype == "uint64" and v.mean().dtype == "float64"
        assert T.exp(v).dtype == ("float32" if dtype in ("uint8", "uint16") else "float64")
        assert T.arange(v[0], dtype=dtype).dtype == dtype
    assert T.arange(u["uint8"][0], u["uint8"][1], u["uint8"][0]).dtype == "uint64"
    assert T.constant(2**63).dtype == "uint64" and T.constant(2**40).dtype == "int64"
    for dtype in ("float16", "complex64", "complex128"):
        v = of(dtype)
        assert v.sum().dtype == v.mean().dtype == T.exp(v).dtype == (v / 2).dtype == dtype
    assert T.constant(1j).dtype == "complex128" and T.cscalar().dtype == "complex64"
    assert T.zvector().real.dtype == abs(T.zvector()).dtype == "float64"
    assert T.angle(T.cvector()).dtype == "float64" and T.cvector().imag.dtype == "float32"
    assert T.complex(T.fvector(), T.bvector()).dtype == "complex64"
    assert T.complex(T.fvector(), T.ivector()).dtype == "complex128"
    assert theano.scalar.uint16.dtype == "uint16" and theano.scalar.upcast("uint32", "int8") == "int64"


def test_values_of_new_dtypes(rng):
    a = rng.randint(0, 60000, 6).astype("uint16")
    x = of("uint16")
    f = theano.function(
        [x], [x.sum(), x.mean(), x // 7, T.cast(x, "float32"), x.max(), T.switch(x > 9, x, 0)]
    )
    want = [a.sum(), a.mean(), a // 7, a.astype("float32"), a.max(), np.where(a > 9, a, 0)]
    for got, w in zip(f(a), want):
        np.testing.assert_allclose(got, w)
    bytes_ = T.tensor("uint8", (False,))
    total = theano.function([bytes_], bytes_.sum())(np.full(300, 255, "uint8"))
    assert total == 76500 and total.dtype == "uint64"
    with pytest.raises(TypeError):
        f(np.array([-1]))
    with pytest.raises(TypeError):
        f(np.array([1.5]))


def test_labels_and_indices_may_be_unsigned(rng):
    w = theano.shared(rng.randn(4, 3))
    x, y = T.dmatrix(), of("uint32")
    p = T.nnet.softmax(T.dot(x, w))
    cost = -T.mean(T.log(p)[T.arange(y.shape[0]), y])
    other = T.nnet.categorical_crossentropy(p, y).mean()
    f = theano.function([x, y], [cost, other, T.grad(cost, w), w[y]])
    values, labels = rng.randn(5, 4), np.array([0, 1, 2, 2, 1], "uint32")
    got = f(values, labels)
    scores = values @ w.get_value()
    logp = scores - np.log(np.exp(scores).sum(1, keepdims=True))
    np.testing.assert_allclose(got[0], -logp[np.arange(5), labels].mean())
    np.testing.assert_allclose(got[1], got[0])
    np.testing.assert_allclose(got[2], values.T @ (np.exp(logp) - np.eye(3)[labels]) / 5)
    assert (got[3] == w.get_value()[labels]).all()


def test_floatX_may_be_float16(rng):  # noqa: N802 - Theano's name
    with theano.config.change_flags(floatX="float16"):
        assert T.matrix().dtype == "float16" and T.constant(2.5).dtype == "float16"
        x, w = T.matrix(), theano.shared(rng.randn(4, 3).astype("float16"))
        cost = T.mean(T.nnet.sigmoid(T.dot(x, w) * 0.5) ** 2)
        step = theano.function([x], cost, updates=[(w, w - 0.5 * T.grad(cost, w))])
        values = rng.randn(8, 4).astype("float16")
        costs = [float(step(values)) for _ in range(5)]
        assert cost.dtype == "float16" and w.get_value().dtype == "float16" and costs[-1] < costs[0]
        for streams in (RandomStreams(3), MRG_RandomStreams(3)):
            for draw in (streams.uniform, streams.normal):
                v = draw(size=(400,))
                got = v.eval()
                assert v.dtype == got.dtype == "float16" and np.isfinite(got).all()
        uniform = MRG_RandomStreams(3).uniform(size=(4000,)).eval()
        assert 0 < uniform.min() < 0.01 and 0.99 < uniform.max() < 1 and abs(uniform.mean() - 0.5) < 0.02


def test_complex_programs(rng):
    z, w = T.zmatrix("z"), theano.shared(rng.randn(3, 2) + 1j * rng.randn(3, 2))
    value = rng.randn(2, 3) + 1j * rng.randn(2, 3)
    outs = [
        T.dot(z, w),
        z.sum(0),
        z.conj(),
        np.conjugate(z),
        z * 1j,
        T.eq(z, z.real),
        T.exp(z),
        T.angle(z),
        z.T,
        T.set_subtensor(z[0], 1j),
        T.concatenate([z, z.real]),
        T.complex_from_polar(abs(z), T.angle(z)),
    ]
    v = w.get_value()
    changed = value.copy()
    changed[0] = 1j
    want = [
        value @ v,
        value.sum(0),
        value.conj(),
        value.conj(),
        value * 1j,
        value == value.real,
        np.exp(value),
        np.angle(value),
        value.T,
        changed,
        np.concatenate([value, value.real]),
        value,
    ]
    for got, expected in zip(theano.function([z], outs)(value), want):
        np.testing.assert_allclose(got, expected)
    half = theano.function([z], T.cast(z, "complex64"))(value)
    assert half.dtype == "complex64"
    with pytest.raises(TypeError):
        theano.function([z.real], z.real * 2)(value)
    with pytest.raises(errors.DTypeError, match="takes real numbers"):
        T.complex(z, 1)
    with pytest.raises(errors.GradientError, match="real\\(\\), imag\\(\\)"):
        T.grad(z.sum(), z)


def test_functions_of_complex_numbers_are_numpys(rng):
    z = T.zvector()
    names = "sinh cosh arcsinh arccosh arctanh tanh sin cos tan arcsin arccos sqrt log1p expm1 log2".split()
    value = rng.randn(6) + 1j * rng.randn(6)
    for name, got in zip(names, theano.function([z], [getattr(T, name)(z) for name in names])(value)):
        np.testing.assert_allclose(got, getattr(np, name)(value), rtol=1e-12, err_msg=name)
    for error in (theano.scalar.ComplexError, NotImplementedError, TypeError):
        with pytest.raises(error):
            z % 2
    with pytest.raises(TypeError, match="clip: takes real numbers"):
        T.clip(z, 0, 1)


@pytest.mark.parametrize(
    "cost",
    [
        *[lambda m, f=f: T.real(f(T.complex(m[0], m[1]))) for f in (T.sinh, T.cosh, T.arcsinh, T.arctanh)],
        lambda m: T.imag(T.arccosh(T.complex(m[0], m[1]))),
        lambda m: abs(T.maximum(T.complex(m[0], m[1]), T.complex(m[1], m[0]))),
        lambda m: abs(T.complex(m[0], m[1])).sum(),
        lambda m: abs(T.complex(m[0], m[1]) ** 2).sum(),
        lambda m: 0.5 * T.real(T.complex(m[0], m[1])) + 0.9 * T.imag(T.complex(m[0], m[1])),
        lambda m: 0.5 * T.real(T.complex_from_polar(abs(m[0]), m[1])),
        lambda m: T.real(T.exp(T.complex(m[0], m[1])) * T.conj(T.complex(m[0], 1))),
        lambda m: abs(T.dot(T.complex(m[0], m[1]), T.complex(m[1], m[0]))),
        lambda m: T.angle(T.complex(m[0], m[1])),
        lambda m: abs(m[0] * T.complex(m[0], m[1])),
    ],
)
def test_complex_gradients(cost, rng):
    T.verify_grad(cost, [rng.randn(2, 5)], rng=rng)


def test_the_gradient_by_a_complex_variable_has_both_parts(rng):
    z = T.zvector()
    f = theano.function([z], T.grad((abs(z) ** 2).sum() + T.imag(3 * z).sum(), z))
    value = rng.randn(4) + 1j * rng.randn(4)
    np.testing.assert_allclose(f(value), 2 * value + 3j)


@pytest.mark.parametrize("shape", [(2, 6), (2, 5), (3, 4, 6), (1, 3, 2, 5)])
@pytest.mark.parametrize("norm", [None, "ortho", "no_norm"])
def test_fft_of_real_tensors(shape, norm, rng):
    x = rng.randn(*shape)
    axes = tuple(range(1, len(shape)))
    v = T.TensorType("float64", (False,) * len(shape))()
    spectrum = fft.rfft(v, norm)
    back = fft.irfft(spectrum, norm, is_odd=shape[-1] % 2 == 1)
    got, again = theano.function([v], [spectrum, back])(x)
    want = np.fft.rfftn(x, axes=axes, norm="ortho" if norm == "ortho" else None)
    np.testing.assert_allclose(got[..., 0] + 1j * got[..., 1], want, atol=1e-12)
    count = np.prod(shape[1:])
    np.testing.assert_allclose(again, x * (count if norm == "no_norm" else 1), atol=1e-12)
    T.verify_grad(lambda a: fft.rfft(a, norm), [x], rng=rng)
    T.verify_grad(lambda a: fft.irfft(a, norm), [rng.randn(*shape[:-1], 4, 2)], rng=rng)
    T.verify_grad(lambda a: fft.irfft(a, norm, True), [rng.randn(*shape[:-1], 4, 2)], rng=rng)


def test_fft_refuses_what_it_cannot_transform():
    with pytest.raises(TypeError, match="at least 2 axes"):
        fft.rfft(T.dvector())
    with pytest.raises(TypeError, match="vector of integers"):
        fft.rfft_op(T.dmatrix(), T.dvector())
    with pytest.raises(ValueError, match="'ortho'"):
        fft.rfft(T.dmatrix(), "orto")
    with pytest.raises(ValueError, match="is_odd"):
        fft.irfft(T.dtensor3(), is_odd=3)


def test_a_mean_with_an_integer_dtype_divides_the_sum_of_integers():
    x = T.dmatrix()
    outs = [x.mean(dtype="int32"), x.mean(0, dtype="int8"), x.mean((0, 1), dtype="uint16", keepdims=True)]
    got = theano.function([x], outs)(np.array([[1.5, 2.5], [3.5, 4.5]]))
    assert all(v.dtype == "float64" for v in got)
    assert got[0] == 2.5 and got[1].tolist() == [2, 3] and got[2].tolist() == [[2.5]]
    assert (
        x.mean(dtype="float32").dtype == "float32"
        and T.zvector().mean(dtype="complex64").dtype == "complex64"
    )
