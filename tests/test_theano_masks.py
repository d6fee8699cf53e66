"""theano: results whose shape depends on values (nonzero, masks, unique, ...); the bits of integers."""

import numpy as np
import pytest

import symconv as sc
import symconv.theano as theano
import symconv.theano.tensor as T
from symconv import errors

RNG = np.random.RandomState(3)


def test_nonzero_and_its_relatives():
    m = T.dmatrix("m")
    data = np.array([[0.0, 2.0, 0.0], [-1.0, 0.0, np.nan]])
    rows, columns = m.nonzero()
    f = theano.function([m], [rows, columns, T.flatnonzero(m), T.nonzero_values(m), T.nonzero(m, True)])
    for array in (data, np.zeros((2, 3)), np.ones((1, 4))):
        got = f(array)
        want = np.nonzero(array)
        np.testing.assert_array_equal(got[0], want[0])
        np.testing.assert_array_equal(got[1], want[1])
        np.testing.assert_array_equal(got[2], np.flatnonzero(array))
        np.testing.assert_array_equal(got[3], array[want])
        np.testing.assert_array_equal(got[4], np.stack(want))


@pytest.mark.parametrize("shape, part", [((4, 3), np.s_[:, :]), ((4,), np.s_[:])])
def test_masks_pick_set_and_add(shape, part):
    x, mask = T.dmatrix("x"), T.TensorType("bool", (False,) * len(shape))("mask")
    a, m = RNG.normal(size=(4, 3)), RNG.uniform(size=shape) > 0.5
    f = theano.function(
        [x, mask],
        [
            x[mask],
            x[mask.nonzero()],
            T.set_subtensor(x[mask], 7.0),
            T.inc_subtensor(x[mask], 7.0),
            T.grad((x[mask] ** 2).sum(), x),
        ],
    )
    for chosen in (m, ~m, np.zeros(shape, bool)):
        got = f(a, chosen)
        np.testing.assert_array_equal(got[0], a[chosen])
        np.testing.assert_array_equal(got[1], a[chosen])
        wide = np.broadcast_to(chosen.reshape(shape + (1,) * (2 - len(shape))), a.shape)
        np.testing.assert_array_equal(got[2], np.where(wide, 7.0, a))
        np.testing.assert_array_equal(got[3], np.where(wide, a + 7.0, a))
        np.testing.assert_allclose(got[4], np.where(wide, 2 * a, 0))


def test_a_mask_of_the_data_itself_and_the_mean_of_what_it_picks():
    x = T.dvector("x")
    f = theano.function([x], [x[x > 0].mean(), T.grad(T.log(x[x > 0]).sum(), x)])
    mean, slope = f([-1.0, 2.0, 4.0])
    assert mean == 3
    np.testing.assert_allclose(slope, [0, 0.5, 0.25])


def test_masks_that_do_not_fit():
    x, mask = T.dmatrix("x"), T.TensorType("bool", (False, False))("mask")
    f = theano.function([x, mask], x[mask])
    with pytest.raises(errors.ShapeError, match=r"a mask of shape \[2, 2\] indexes axes of shape \[2, 3\]"):
        f(np.ones((2, 3)), np.ones((2, 2), bool))
    with pytest.raises(errors.ShapeError, match="mask"):
        T.dvector()[mask]


def test_old_plans_of_masks_are_forgotten(monkeypatch):
    monkeypatch.setattr("symconv.plan_table.GUARDED_PLANS", 3)
    x = sc.vector("x")
    f = sc.function([x], x[x > 0].sum())
    for count in (1, 2, 3, 4, 5, 1, 5):
        a = np.where(np.arange(6) < count, 2, -1).astype("float32")
        assert f(a) == 2 * count
    assert len(f.executables) == 3


def test_native_masks():
    x = sc.vector("x")
    f = sc.function([x], [x[x > 0], sc.nonzero(x)[0]])
    for data in ([1, -2, 3], [-1, -2, -3], [1, 2, 3]):
        a = np.array(data, "float32")
        got = f(a)
        np.testing.assert_array_equal(got[0], a[a > 0])
        np.testing.assert_array_equal(got[1], np.flatnonzero(a))
    with pytest.raises(errors.ShapeError, match="scalar"):
        sc.nonzero(sc.scalar())


def test_unique_bincount_searchsorted_compress_repeat():
    v, w, n = T.lvector("v"), T.dvector("w"), T.lvector("n")
    a, b = np.array([3, 1, 1, 5]), np.array([0.5, 1.0, 2.0, 4.0])
    got = theano.function([v], T.extra_ops.unique(v, True, True, True))(a)
    for one, want in zip(got, np.unique(a, True, True, True)):
        np.testing.assert_array_equal(one, want)
    f = theano.function(
        [v, w],
        [
            T.bincount(v),
            T.bincount(v, w),
            T.bincount(v, minlength=9),
            T.grad((T.bincount(v, w) ** 2).sum(), w),
        ],
    )
    for k in (a, a[::-1] + 1):
        got = f(k, b)
        np.testing.assert_array_equal(got[0], np.bincount(k))
        np.testing.assert_array_equal(got[1], np.bincount(k, b))
        np.testing.assert_array_equal(got[2], np.bincount(k, minlength=9))
        np.testing.assert_allclose(got[3], 2 * np.bincount(k, b)[k])
    with pytest.raises(errors.ExecutionError, match="negative"):
        f(np.array([-1, 2, 3, 4]), b)
    with pytest.raises(errors.DTypeError, match="integers"):
        T.bincount(w)
    grid = np.array([0.0, 1.0, 2.0])
    places = T.extra_ops.searchsorted(T.as_tensor_variable(grid), w, side="right")
    np.testing.assert_array_equal(theano.function([w], places)(b), np.searchsorted(grid, b, "right"))
    np.testing.assert_array_equal(theano.function([v, w], T.compress(T.eq(v, 1), w))(a, b), [1.0, 2.0])
    np.testing.assert_array_equal(theano.function([w, n], T.repeat(w, n))(b, a), b.repeat(a))
    np.testing.assert_allclose(T.extra_ops.bartlett(7).eval(), np.bartlett(7))


@pytest.mark.parametrize("order", ["C", "F"])
def test_flat_indices(order):
    flat = np.array([0, 5, 23, 11])
    parts = T.unravel_index(T.as_tensor_variable(flat), (2, 3, 4), order)
    for got, want in zip(parts, np.unravel_index(flat, (2, 3, 4), order)):
        np.testing.assert_array_equal(got.eval(), want)
    np.testing.assert_array_equal(T.ravel_multi_index(parts, (2, 3, 4), order=order).eval(), flat)
    wild = T.ravel_multi_index([np.array([5, -1])], (4,), mode="wrap")
    np.testing.assert_array_equal(wild.eval(), np.ravel_multi_index([[5, -1]], (4,), mode="wrap"))


BITS = {
    "and": lambda a, b: a & b,
    "or": lambda a, b: a | b,
    "xor": lambda a, b: a ^ b,
    "left": lambda a, b: a << abs(b % 7),
    "right": lambda a, b: a >> abs(b % 7),
    "not": lambda a, b: ~a,
}


@pytest.mark.parametrize("name", BITS)
@pytest.mark.parametrize("dtype", ["int8", "int32", "int64"])
def test_bits(name, dtype):
    a, b = (RNG.randint(-128, 128, (5, 6)).astype(dtype) for _ in range(2))
    x, y = (T.TensorType(dtype, (False, False))() for _ in range(2))
    f = theano.function([x, y], BITS[name](x, y), on_unused_input="ignore")
    got = f(a, b)
    assert got.dtype == dtype and "REFERENCE" not in f.explain()
    np.testing.assert_array_equal(got, BITS[name](a, b))


def test_bits_of_mixed_dtypes():
    x, flag = T.bvector("x"), T.TensorType("bool", (False,))("flag")
    assert (x & 1).dtype == "int8" and (x | T.lvector()).dtype == "int64" and (flag & x).dtype == "int8"
    np.testing.assert_array_equal(
        (flag ^ x).eval({flag: np.array([True, False]), x: np.int8([3, 3])}), [2, 3]
    )
    for build in (lambda: T.dvector() & x, lambda: ~T.dvector(), lambda: T.bitwise_or(T.fvector(), flag)):
        with pytest.raises(errors.DTypeError, match="bools or integers"):
            build()
