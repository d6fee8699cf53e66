"""What libraries of layers build from: parameters told from expressions, NumPy's functions on variables,
loops that are given expressions, normalisation with running averages."""

from __future__ import annotations

import pickle

import numpy as np
import pytest

import symconv.theano as theano
import symconv.theano.tensor as T

A = np.array([[0.5, -1.0], [2.0, 3.0]])
RNG = np.random.default_rng(3)


@pytest.fixture
def x():
    return T.dmatrix("x")


# ---- kinds of variables -----------------------------------------------------------------------------------


def test_parameters_and_constants_are_no_tensor_variables(x):
    w, c = theano.shared(A, "w"), T.constant(A)
    kinds = [T.TensorVariable, T.TensorConstant, T.sharedvar.TensorSharedVariable]
    found = [[isinstance(v, kind) for kind in kinds] for v in (x * w, c, w)]
    assert found == np.eye(3, dtype=bool).tolist()
    assert all(isinstance(v, theano.Variable) for v in (x, c, w))


# ---- NumPy's functions ------------------------------------------------------------------------------------

UFUNCS = """negative exp log log2 log10 log1p abs floor ceil trunc rint sqrt square cos sin tan cosh sinh
tanh arctan arcsinh expm1 exp2 deg2rad rad2deg degrees radians sign reciprocal isnan isinf positive conjugate
fabs arccos arcsin arctanh arccosh""".split()


@pytest.mark.parametrize("name", UFUNCS)
def test_ufuncs_of_variables_are_expressions(x, name):
    ufunc = getattr(np, name)
    with np.errstate(all="ignore"):
        np.testing.assert_allclose(ufunc(x).eval({x: A}), ufunc(A), rtol=1e-12)


@pytest.mark.parametrize(
    "name",
    "add subtract multiply true_divide floor_divide remainder power maximum minimum arctan2 greater "
    "greater_equal less less_equal matmul".split(),
)
def test_ufuncs_of_arrays_and_variables(x, name):
    ufunc, b = getattr(np, name), np.array([[1.5, 2.0], [0.5, 4.0]])
    np.testing.assert_allclose(ufunc(b, x).eval({x: A**2}), ufunc(b, A**2), rtol=1e-12)
    np.testing.assert_allclose(ufunc(x, b).eval({x: A**2}), ufunc(A**2, b), rtol=1e-12)


def test_numpy_operators_keep_the_variable(x):
    for v in (A * x, A - x, A @ x, np.float32(2) / x, np.array([1.0, 2.0]) ** x, A < x):
        assert isinstance(v, T.TensorVariable)
    product = np.prod([x.shape[0], 3, x.shape[1]])
    assert product.eval({x: np.zeros((2, 5))}) == 30
    assert (A == x) is False and (A != x) is True  # identity, as between variables


def test_numpy_functions_without_a_counterpart_say_so(x):
    with pytest.raises(TypeError, match=r"np.isfinite cannot be applied to x .*test_theano_layers"):
        np.isfinite(x)
    with pytest.raises(TypeError, match="np.add.reduce cannot"):
        np.add.reduce(x)
    array = A.copy()
    with pytest.raises(TypeError, match="x = x \\+ y instead of x \\+= y"):
        array += x
    with pytest.raises(TypeError, match="symbolic and holds no numbers"):
        np.asarray(x, "float32")


# ---- loops ------------------------------------------------------------------------------------------------


def test_strict_loops_are_given_expressions_of_parameters(x):
    w, v = theano.shared(np.eye(2) * 0.5, "w"), theano.shared(np.eye(2), "v")
    stacked = T.concatenate([w, v], axis=1)

    def step(h, stacked):
        return T.dot(h, stacked)[:, :2]

    out, _ = theano.scan(step, outputs_info=x, non_sequences=stacked, n_steps=2, strict=True)
    np.testing.assert_allclose(out[-1].eval({x: A}), A / 4)
    # empty tuples stand for arguments that the step does not use
    theano.scan(lambda h, s, _: step(h, s), [], x, [stacked, ()], 2, strict=True)
    with pytest.raises(theano.gof.MissingInputError, match="shared variable w"):
        theano.scan(
            lambda h, s: step(h, s) + w, outputs_info=x, non_sequences=stacked, n_steps=2, strict=True
        )


# ---- writing into a tensor of another precision -----------------------------------------------------------


def test_written_values_take_the_dtype_of_the_tensor(x):
    zeros = T.alloc(np.float32(0), 3, 2)
    out = T.set_subtensor(zeros[1:], x / 3)
    assert out.dtype == "float32"
    assert (out.eval({x: A})[1:] == (A / 3).astype("float32")).all()
    whole = T.inc_subtensor(T.zeros((3,), "int8")[0], T.lscalar("k"))
    assert whole.dtype == "int8"
    with pytest.raises(TypeError, match="without loss"):
        T.set_subtensor(T.zeros((2, 2), "int64")[:], x)
    assert np.allclose(T.grad(out.sum(), x).eval({x: A}), 1 / 3)


def test_lists_of_slices_index_as_tuples(x):
    assert (x[[slice(None), slice(None, None, -1)]].eval({x: A}) == A[:, ::-1]).all()


# ---- batch normalisation ----------------------------------------------------------------------------------


@pytest.mark.parametrize("axes", [(0, 2, 3), (0,), (3, 0), "spatial", 1])
def test_statistics_are_laid_as_the_parameters(axes):
    t, data = T.dtensor4("t"), RNG.normal(2, 3, (4, 3, 5, 2))
    over = (0, 2, 3) if axes == "spatial" else (axes,) if axes == 1 else tuple(axes)
    kept = [n for i, n in enumerate(data.shape) if i not in over]
    flat = [theano.shared(RNG.uniform(0.5, 1.5, kept)) for _ in range(4)]
    gamma, beta, mean, var = (np.expand_dims(v.get_value(), over) for v in flat)
    m, v = data.mean(over, keepdims=True), data.var(over, keepdims=True)
    count = data.size / m.size
    expected = [
        (data - m) / np.sqrt(v + 1e-3) * gamma + beta,
        m,
        1 / np.sqrt(v + 1e-3),
        0.8 * mean + 0.2 * m,
        0.8 * var + 0.2 * v * count / (count - 1),
    ]
    outs = T.nnet.bn.batch_normalization_train(t, flat[0], flat[1], axes, 1e-3, 0.2, flat[2], flat[3])
    assert [o.ndim for o in outs] == [4, *[len(kept)] * 4]
    train = theano.function([t], outs, updates=[(flat[2], outs[3]), (flat[3], outs[4])])
    for got, want in zip(train(data), expected):
        np.testing.assert_allclose(got, want.reshape(got.shape), rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(flat[3].get_value(), expected[4].reshape(kept))
    whole = [theano.shared(v, broadcastable=[n == 1 for n in v.shape]) for v in (gamma, beta, mean, var)]
    outs = T.nnet.bn.batch_normalization_train(t, whole[0], whole[1], axes, 1e-3, 0.2, whole[2], whole[3])
    train = theano.function([t], outs, updates=[(whole[2], outs[3]), (whole[3], outs[4])])
    for got, want in zip(train(data), expected):
        np.testing.assert_allclose(got, want, rtol=1e-10, atol=1e-12)
    tested = T.nnet.bn.batch_normalization_test(t, gamma, beta, mean, var, axes, 1e-3)
    np.testing.assert_allclose(tested.eval({t: data}), (data - mean) / np.sqrt(var + 1e-3) * gamma + beta)


def test_batch_normalisation_refuses_other_layouts():
    t, v, m = T.dtensor4("t"), T.dvector("v"), T.dmatrix("m")
    train = T.nnet.bn.batch_normalization_train
    with pytest.raises(ValueError, match="beta has 2 dimensions"):
        train(t, v, m, "spatial")
    with pytest.raises(ValueError, match="gamma has 1 dimensions.*m"):
        train(t, v, v, (0, 1))
    with pytest.raises(ValueError, match="both, or neither"):
        train(t, v, v, "spatial", running_mean=v)
    with pytest.raises(ValueError, match="from 0 to 3"):
        train(t, v, v, (0, 2, 4))
    with pytest.raises(ValueError, match="mean has 4 dimensions"):
        T.nnet.bn.batch_normalization_test(t, v, v, t, v, "spatial")


# ---- clones of shared variables ---------------------------------------------------------------------------


def test_running_means_on_clones_are_updated_by_the_functions_that_compute_them(x):
    mean = theano.shared(np.zeros(2), "mean")
    batch, running = x.mean(0), theano.clone(mean, share_inputs=False)
    running.default_update = 0.75 * running + 0.25 * batch
    train = theano.function([x], x - (batch + 0 * running))
    test = theano.function([x], x - mean)
    np.testing.assert_allclose(train(A), A - A.mean(0))
    np.testing.assert_allclose(mean.get_value(), A.mean(0) / 4)
    np.testing.assert_allclose(test(A), A - A.mean(0) / 4)
    np.testing.assert_allclose(running.get_value(), A.mean(0) / 4)
    train(A)
    np.testing.assert_allclose(mean.get_value(), A.mean(0) * 0.4375)
    running.set_value(np.ones(2))
    assert test(A)[0].tolist() == [-0.5, -2]
    # one value that two clones change: the last update counts, and reads the value from before
    again = theano.clone(running, share_inputs=False)
    again.default_update = again + 5
    theano.function([x], [x + 0 * running, x + 0 * again])(A)
    assert mean.get_value().tolist() == [6, 6]
    model = {"mean": mean, "clone": running, "out": x + running}
    back = pickle.loads(pickle.dumps(model))
    back["mean"].set_value(np.full(2, 3.0))
    assert back["clone"].get_value().tolist() == [3, 3] and mean.get_value().tolist() == [6, 6]
    assert back["clone"].default_update is not None


def test_clones_of_random_states_are_random_states():
    state = theano.shared(np.random.RandomState(3))
    copy = state.clone()
    assert copy.type == state.type and copy is not state
    copy.set_value(np.random.RandomState(5))
    assert state.get_value().randint(1000) == np.random.RandomState(5).randint(1000)


def test_one_step_makes_no_broadcastable_axis():
    rows = T.reshape(T.dvector("v"), (1, 3))
    out, _ = theano.scan(lambda row: 2 * row, rows)
    assert out.broadcastable == (False, False) and T.squeeze(out).ndim == 2
