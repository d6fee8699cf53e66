"""symconv.theano: the op classes of tensor.nnet, older names of functions, and the kinds of its errors."""

from __future__ import annotations

import copy

import numpy as np
import pytest

import symconv as sc
import symconv.theano as theano
import symconv.theano.tensor as T
from symconv import errors
from symconv.theano.compile.pfunc import pfunc
from symconv.theano.gof import MissingInputError
from symconv.theano.modes import in_kind
from symconv.theano.tensor import nnet
from symconv.theano.tensor.basic import _allclose

X = np.random.RandomState(0).normal(size=(3, 4))
B = np.array([0.5, -1.0, 0.0, 2.0])
LABELS = np.array([1, 3, 0])


def softmax(x):
    e = np.exp(x - x.max(1, keepdims=True))
    return e / e.sum(1, keepdims=True)


def test_classes_of_softmax_and_its_costs():
    x, b, y = T.matrix(), T.vector(), T.lvector()
    p = softmax(X + B)
    costs = -np.log(p[range(3), LABELS])
    out = [
        nnet.Softmax()(x),
        nnet.LogSoftmax()(x),
        nnet.SoftmaxWithBias()(x, b),
        *nnet.CrossentropySoftmaxArgmax1HotWithBias()(x, b, y),
        nnet.CrossentropyCategorical1Hot()(nnet.softmax(x), y),
    ]
    want = [
        softmax(X), np.log(softmax(X)), p, costs, p, p.argmax(1), -np.log(softmax(X)[range(3), LABELS]),
    ]  # fmt: skip
    for got, value in zip(theano.function([x, b, y], out)(X, B, LABELS), want):
        np.testing.assert_allclose(got, value, atol=1e-12)
    assert nnet.Softmax() == nnet.Softmax() != nnet.LogSoftmax()
    assert hash(nnet.Softmax()) == hash(nnet.Softmax())


def test_classes_of_gradients_are_those_of_the_functions():
    x, dy, y = T.matrix(), T.vector(), T.lvector()
    p = nnet.softmax(x)
    weights = T.constant(np.arange(12.0).reshape(3, 4))
    cost = nnet.crossentropy_categorical_1hot(p, y)
    pairs = [
        (nnet.SoftmaxGrad()(weights, p), T.grad((p * weights).sum(), x)),
        (nnet.crossentropy_softmax_1hot_with_bias_dx(dy, p, y), T.grad((cost * dy).sum(), x)),
        (
            nnet.CrossentropyCategorical1HotGrad()(dy, x, y),
            T.grad((nnet.crossentropy_categorical_1hot(x, y) * dy).sum(), x),
        ),
    ]
    f = theano.function([x, dy, y], [v for pair in pairs for v in pair])
    got = f(np.abs(X), B[:3], LABELS)
    for one, other in zip(got[::2], got[1::2]):
        assert np.abs(other).max() > 0.1
        np.testing.assert_allclose(one, other, atol=1e-12)


def test_classes_that_prepend_a_column():
    x = T.matrix()
    out = [nnet.Prepend_scalar_constant_to_each_row(4.0)(x), nnet.Prepend_scalar_to_each_row()(5.0, x)]
    for got, first in zip(theano.function([x], out)(X), (4, 5)):
        np.testing.assert_array_equal(got, np.hstack([np.full((3, 1), first), X]))


def test_patches_by_their_class():
    images = np.arange(16.0).reshape(1, 1, 4, 4)
    got = nnet.neighbours.Images2Neibs("ignore_borders")(T.constant(images), (3, 2)).eval()
    np.testing.assert_array_equal(got, [[0, 1, 4, 5, 8, 9], [2, 3, 6, 7, 10, 11]])


def test_plural_constructors_take_the_letters_of_a_string():
    x, s = T.scalars("xs")
    assert (x.name, s.name) == ("x", "s")
    assert T.matrices("w").name == "w"
    assert [v.name for v in T.ivectors("ab", "c")] == ["ab", "c"]


def test_pfunc_calls_its_inputs_params():
    x = T.scalar("x")
    assert pfunc(params=[x], outputs=[x * 2])(4.0) == [8]
    assert pfunc([x], x * 2)(4.0) == 8


def test_missing_and_unused_inputs_have_their_own_errors():
    x, y = T.scalars("xy")
    with pytest.raises(MissingInputError, match="needs the input x"):
        theano.function([], x)
    with pytest.raises(theano.compile.UnusedInputError, match="input y"):
        theano.function([x, y], x)
    assert issubclass(MissingInputError, errors.GraphError)


def test_arrays_are_compared_by_their_dtypes():
    one = np.ones(3)
    assert _allclose(one, one + 5e-6) and not _allclose(one, one + 1e-4)
    assert _allclose(np.zeros(3, "float32"), np.full(3, 5e-6, "float32")) and not _allclose(
        one * 0, one * 5e-6
    )
    assert _allclose(one, one + 0.1, atol=0.2)


def test_flags_change_by_pairs_as_by_keywords():
    with theano.change_flags([("floatX", "float32"), ("on_unused_input", "ignore")]):
        assert T.matrix().dtype == "float32"
    assert T.matrix().dtype == "float64"


def test_calls_that_do_not_fit_are_type_errors():
    x, s = T.scalars("xs")
    f = theano.function([x, s], x / s)
    assert f(2, s=1) == f(s=1, x=2) == 2
    for call, said in [
        (lambda: f(1, 2, 3), "takes 2 arguments"),
        (lambda: f(x=1), "no value for the argument 's'"),
        (lambda: f(1, 2, q=3), "unknown argument q"),
        (lambda: f(1, 2, x=3), "given twice"),
    ]:
        with pytest.raises(TypeError, match=said) as caught:
            call()
        assert isinstance(caught.value, errors.GraphError)
    a, b = T.scalars("xx")
    with pytest.raises(TypeError, match="several arguments are called x"):
        theano.function([a, b], a + b)(1, x=2)


def test_inputs_that_cannot_be_inputs_are_type_errors():
    x = T.scalar("x")
    for make in (
        lambda: theano.function([theano.shared(1.0)], x),
        lambda: theano.function([[x]], x),
        lambda: theano.In(x, name=()),
        lambda: theano.In(x, update=T.lscalar()),
        lambda: theano.In(x, update=T.vector()),
    ):
        with pytest.raises(TypeError):
            make()


def test_containers_share_states_and_defaults():
    x, s = T.scalars("xs")
    up = theano.function([x, theano.In(s, value=10.0, update=s + x)], [])
    down = theano.function([x, theano.In(s, value=up.container[s], update=s - x)], [])
    look = theano.function([theano.In(s, value=up.container[s])], s * 1)
    assert up.container[s].storage is down.container["s"].storage is not up.container[x].storage
    up(3.0)
    assert down[s] == look() == 13
    down(1.0)
    assert up[s] == up.container[1].data == up.value["s"] == 12
    up.container[s].value = 2.0
    assert down[s] == 2 and look() == 2
    a = T.scalar("a")
    first = theano.function([theano.In(a, value=1.0)], a * 1)
    second = theano.function([theano.In(a, value=first.container[a])], a * 2)
    first[a] = 5.0
    assert (first(), second()) == (5, 10)
    second[a] = 3.0
    assert first[a] == 3
    assert up.container[x].data is None
    with pytest.raises(KeyError, match="keeps no value"):
        up[x]
    with pytest.raises(KeyError, match="no input"):
        up["nothing"]


def test_a_copied_function_has_a_state_of_its_own():
    x, s = T.scalars("xs")
    f = theano.function([x, theano.In(s, value=0.0, update=s + x)], s + x)
    f(2.0)
    g = copy.copy(f)
    assert g.container[s].storage is not f.container[s].storage
    f(1.0)
    assert (f[s], g[s]) == (3, 2)


def test_a_hint_that_is_not_met_is_an_assertion_as_in_theano():
    x = T.tensor4()
    f = theano.function([x], T.nnet.conv2d(x, np.ones((1, 1, 2, 2)), input_shape=(None, 1, 5, None)))
    assert f(np.ones((1, 1, 5, 3))).shape == (1, 1, 4, 2)
    with pytest.raises(AssertionError, match="declared 5 and is 4") as caught:
        f(np.ones((1, 1, 4, 3)))
    assert isinstance(caught.value, errors.ShapeError)


def test_verify_grad_takes_sides_of_one_for_broadcastable():
    row, matrix = np.random.RandomState(0).normal(size=(1, 3)), np.ones((2, 3))
    T.verify_grad(lambda a, b: a * b, [row, matrix], n_tests=1)


COSTS = {
    "categorical_crossentropy": lambda p, y: nnet.categorical_crossentropy(p, y).mean(),
    "crossentropy_categorical_1hot": lambda p, y: nnet.crossentropy_categorical_1hot(p, y).mean(),
    "indexed": lambda p, y: -T.mean(T.log(p)[T.arange(y.shape[0]), y]),
}


@pytest.mark.parametrize("mode", ["FAST_RUN", "DebugMode"])
@pytest.mark.parametrize("train", [False, True])
@pytest.mark.parametrize("name", COSTS)
def test_a_label_out_of_range_is_a_value_error_and_an_index_error(name, train, mode):
    x, y = T.matrix(), T.ivector()
    w = theano.shared(np.ones((4, 3), theano.config.floatX))
    cost = COSTS[name](nnet.softmax(T.dot(x, w)), y)
    f = theano.function([x, y], cost, updates=[(w, w - T.grad(cost, w))] if train else [], mode=mode)
    data = np.random.RandomState(1).normal(size=(5, 4)).astype(theano.config.floatX)
    for label in (-1, 3):
        for kind in (ValueError, IndexError, errors.ExecutionError):
            with pytest.raises(kind, match=rf"label {label} in row 2 is out of range for 3 classes"):
                f(data, np.array([0, 1, label, 2, 0], "int32"))
        np.testing.assert_array_equal(w.get_value(), 1)  # nothing was updated
    f(data, np.array([0, 1, 2, 2, 0], "int32"))


def test_a_label_out_of_range_on_the_reference_and_on_a_device(cxx):
    x, y = T.matrix(), T.ivector()
    cost = COSTS["categorical_crossentropy"](nnet.softmax(x), y)
    data = np.zeros((3, 4), "float32")
    for device in ("reference", "emulated"):
        f = sc.function([x.native, y.native], cost.native, device=device)
        with pytest.raises(errors.ExecutionError, match="-1") as caught:
            f(data.astype(x.dtype), np.array([0, -1, 1], "int32"))
        for kind in (ValueError, IndexError):
            assert isinstance(in_kind(caught.value), kind)


def test_gradient_by_class_of_a_label_out_of_range():
    dy, p, y = T.vector(), T.matrix(), T.lvector()
    f = theano.function([dy, p, y], nnet.CrossentropySoftmax1HotWithBiasDx()(dy, p, y))
    rows, scale = np.random.RandomState(2).dirichlet([1, 1, 1], 4), np.arange(1.0, 5.0)
    rows, scale = rows.astype(p.dtype), scale.astype(dy.dtype)
    labels = np.array([0, 2, 1, 2])
    want = scale[:, None] * (rows - np.eye(3)[labels])
    np.testing.assert_allclose(f(scale, rows, labels), want, rtol=1e-6, atol=1e-7)
    for bad in (-1, 3):
        with pytest.raises(ValueError, match=f"label {bad} in row 1"):
            f(scale, rows, np.array([0, bad, 1, 2]))
