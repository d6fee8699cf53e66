"""symconv.theano: which variables a gradient is connected to, and draws, which have none."""

import numpy as np
import pytest

import symconv.theano as theano
import symconv.theano.tensor as T
from symconv.errors import DisconnectedInputError
from symconv.theano.gradient import NullTypeGradError
from symconv.theano.sandbox.rng_mrg import MRG_RandomStreams
from symconv.theano.tensor.raw_random import RandomFunction, random_state_shared
from symconv.theano.tensor.shared_randomstreams import RandomStreams

DRAWS = {
    "binomial": lambda s, x: s.binomial(size=(3,), n=1, p=x),
    "binomial in floats": lambda s, x: s.binomial(size=(3,), n=1, p=x, dtype="float64") * x,
    "normal": lambda s, x: s.normal(size=(3,), avg=x),
    "uniform": lambda s, x: s.uniform(size=(3,), high=x),
    "multinomial": lambda s, x: s.multinomial(n=1, pvals=T.nnet.softmax(x)) * 1.0,
    "poisson": lambda s, x: s.poisson(size=(3,), lam=x),
}


@pytest.mark.parametrize("draw", DRAWS)
def test_parameters_of_draws_have_no_gradient(draw):
    x = T.dvector("x")
    y = DRAWS[draw](RandomStreams(1), T.exp(x))
    for cost in (y.sum(), (y * x).sum(), T.cast(y, "float64").sum()):
        with pytest.raises(NullTypeGradError, match="through the parameters of a random draw"):
            T.grad(cost, x)
    value = T.grad((y * x).sum(), x, consider_constant=[y])
    f = theano.function([x], [value, y])
    slope, sample = f(np.array([-1.0, -2.0, -3.0]))
    np.testing.assert_allclose(slope, sample if sample.ndim == 1 else sample.sum(0))


def test_other_paths_than_parameters_have_their_gradients():
    """Sizes, indices, and what is held constant do not count."""
    x, w = T.dvector("x"), T.dvector("w")
    s = RandomStreams(2)
    mask = s.binomial(size=x.shape, n=1, p=0.5)
    assert T.grad((mask * x).sum(), x) is not None
    chosen = s.multinomial(n=1, pvals=T.nnet.softmax(x)).argmax(axis=1)
    f = theano.function([x, w], T.grad(w[chosen].sum(), w))
    assert f(np.zeros(3), np.zeros(3)).sum() == 1
    kept = theano.gradient.disconnected_grad(s.normal(size=(3,), avg=x))
    f = theano.function([x], [T.grad((kept * x).sum(), x), kept])
    np.testing.assert_array_equal(*f(np.ones(3)))
    g = T.grad((x + MRG_RandomStreams(1).normal(size=x.shape)).sum(), x)
    np.testing.assert_allclose(g.eval({x: np.ones(3)}), 1)


MRG_DRAWS = {
    "uniform": lambda s, x: s.uniform((3,), low=x) + s.uniform((3,), high=1.5),
    "binomial": lambda s, x: s.binomial((3,), p=x),
    "normal": lambda s, x: s.normal((3,), avg=0.0, std=x),
    "truncated_normal": lambda s, x: s.truncated_normal((3,), avg=x),
    "multinomial": lambda s, x: s.multinomial(pvals=T.nnet.softmax(x)),
    "choice": lambda s, x: s.choice(replace=False, p=T.nnet.softmax(x)),
}


@pytest.mark.parametrize("draw", MRG_DRAWS)
def test_parameters_of_mrg_draws_have_no_gradient(draw):
    x = T.dvector("x")
    y = MRG_DRAWS[draw](MRG_RandomStreams(3), T.exp(x))
    for cost in (y.sum(), (T.exp(y) * x.sum()).sum()):
        with pytest.raises(NullTypeGradError, match="undefined_grad"):
            T.grad(cost, x)
    assert T.grad((y * x.sum()).sum(), x, consider_constant=[y]) is not None


def test_undefined_grad():
    x, w = T.dvectors("xw")
    cost = (theano.gradient.undefined_grad(x * 2) * w).sum()
    f = theano.function([x, w], [cost, T.grad(cost, w)])
    value, slope = f([1.0, 2.0], [3.0, 4.0])
    assert value == 22 and slope.tolist() == [2, 4]
    with pytest.raises(NullTypeGradError):
        T.grad(cost, x)


def test_undefined_gradients_are_returned_where_that_is_asked_for():
    x, w = T.dvectors("xw")
    y = RandomStreams(1).normal(size=(3,), avg=x)
    dx, dw = T.grad((y * w).sum(), [x, w], null_gradients="return")
    f = theano.function([x, w], [dw, y])
    np.testing.assert_array_equal(*f(np.ones(3), np.ones(3)))
    with pytest.raises(NullTypeGradError):
        theano.function([x, w], dx)


def test_draws_of_a_users_function_and_other_derivatives():
    x = T.dvector("x")
    op = RandomFunction("normal", T.dvector)
    y = op(random_state_shared(np.random.RandomState(1)), (3,), x)[1]
    for derive in (
        lambda: T.grad(y.sum(), x),
        lambda: theano.gradient.jacobian(y * x, x),
        lambda: theano.gradient.hessian((y * x**2).sum(), x),
        lambda: T.Lop(y * x, x, x),
    ):
        with pytest.raises(NullTypeGradError):
            derive()


def test_draws_in_the_step_of_a_loop():
    p, w = T.dvector("p"), T.dvector("w")
    s = RandomStreams(4)

    def step(h, w):
        return s.binomial(size=h.shape, n=1, p=T.nnet.sigmoid(h * w), dtype="float64")

    chain, updates = theano.scan(step, outputs_info=p, non_sequences=w, n_steps=3)
    last = chain[-1]
    for wrt in (p, w):
        with pytest.raises(NullTypeGradError):
            T.grad((last * w).sum(), wrt)
    f = theano.function(
        [p, w], [T.grad((last * w).sum(), w, consider_constant=[last]), last], updates=updates
    )
    np.testing.assert_array_equal(*f(np.ones(3), np.ones(3)))


def test_states_that_no_step_passes_on_are_disconnected():
    x0, y0, z0 = T.dvectors(3)
    (x, y, z), _ = theano.scan(lambda x, y, z: (x**2, y, x + 1), outputs_info=[x0, y0, z0], n_steps=3)
    cost = (x + y + z).sum()
    f = theano.function([x0, y0, z0], T.grad(cost, [x0, y0]))
    at = np.full(2, 0.5)
    dx, dy = f(at, at, at)
    # cost = sum over t = 1, 2, 3 of x[t] + y0 + x[t - 1] + 1, where x[t] = x0^(2^t)
    np.testing.assert_allclose(dx, 1 + 2 * (2 * at + 4 * at**3) + 8 * at**7)
    np.testing.assert_array_equal(dy, 3)
    for c, wrt in ((cost, z0), (x.sum(), y0)):
        with pytest.raises(DisconnectedInputError, match="does not depend on|no gradient reaches"):
            T.grad(c, wrt)
        zero = T.grad(c, wrt, disconnected_inputs="ignore")
        f = theano.function([x0, y0, z0], zero, on_unused_input="ignore")
        np.testing.assert_array_equal(f(at, at, at), 0)
        assert T.grad(c, wrt, disconnected_inputs="ignore", return_disconnected="None") is None


def test_what_a_users_op_says_of_its_connections():
    class Second(theano.Op):
        """y, whatever x is."""

        __props__ = ()
        itypes, otypes = [T.dvector, T.dvector], [T.dvector]

        def perform(self, node, inputs, output_storage):
            output_storage[0][0] = inputs[1].copy()

        def infer_shape(self, node, shapes):
            return [shapes[1]]

        def connection_pattern(self, node):
            return [[False], [True]]

        def grad(self, inputs, output_gradients):
            return [theano.gradient.DisconnectedType()(), output_gradients[0]]

    x, y = T.dvectors("xy")
    out = Second()(RandomStreams(1).normal(size=(3,), avg=x), y * x)
    f = theano.function([x, y], T.grad(out.sum(), x))
    np.testing.assert_array_equal(f(np.ones(3), np.full(3, 2.0)), 2)


def test_zero_grad_is_zero_where_the_gradient_is_not_finite():
    x = T.dvector("x")
    g = T.grad((theano.gradient.zero_grad(x) ** 0.5).sum() + x.sum(), x)
    assert g.eval({x: [0.0, 1.0]}).tolist() == [1, 1]


def test_a_compiled_graph_has_no_ops_that_are_there_for_gradients():
    x = T.dscalar("x")
    flow = theano.gradient
    y = flow.grad_clip(flow.grad_scale(flow.undefined_grad(flow.disconnected_grad(x)), 2.0) * 2, -1, 1)
    f = theano.function([x], [y + 1, T.grad(flow.grad_clip(x, -1, 1) ** 2, x)])
    assert [n.op.name for n in f.maker.fgraph.toposort()].count("mul") >= 1
    kinds = (flow.GradClip, flow.GradScale, flow.UndefinedGrad, flow.ZeroGrad)
    assert not any(isinstance(n.op, kinds) or n.op.name == "stop_gradient" for n in f.maker.fgraph.toposort())
    assert f(3.0) == [7, 1]


def test_hessians_of_unknown_shapes_heed_what_steers_gradients():
    """A divergence of the policy from itself, held constant: its Hessian is Fisher's matrix, not 0."""
    w, v, x = T.dvector("w"), T.dvector("v"), T.dmatrix("x")
    p = T.nnet.softmax(x.dot(w.reshape((2, 3))))
    held = theano.gradient.disconnected_grad(p)
    kl = (held * T.log(held / p)).sum(axis=1).mean()
    product = T.grad((T.grad(kl, w) * v).sum(), w)
    clipped = theano.gradient.hessian((theano.gradient.grad_clip(w, -1, 1) ** 2).sum(), w)
    f = theano.function([w, x, v], [theano.gradient.hessian(kl, w).dot(v), product, clipped])
    rng = np.random.RandomState(2)
    by_matrix, wanted, zero = f(rng.randn(6), rng.randn(5, 2), rng.randn(6))
    np.testing.assert_allclose(by_matrix, wanted, rtol=1e-10)
    assert abs(wanted).max() > 0.01 and zero.shape == (6, 6)
