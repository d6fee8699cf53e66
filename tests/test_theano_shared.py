"""Shared variables made by hand, those that hold no tensor, and copies of functions."""

import copy
import pickle

import numpy as np
import pytest

import symconv.theano as theano
import symconv.theano.tensor as T
from symconv import errors
from symconv.theano.compile.sharedvalue import SharedVariable, generic
from symconv.theano.tensor.raw_random import choice, random_state_type
from symconv.theano.tensor.shared_randomstreams import RandomStreams
from symconv.theano.tensor.sharedvar import TensorSharedVariable

# ---- made by hand


@pytest.mark.parametrize("made_by", [SharedVariable, TensorSharedVariable])
def test_a_shared_variable_made_by_hand(made_by):
    kind = T.TensorType("float64", [False])
    u = made_by(name="u", type=kind, value=[1, 2], strict=False)
    assert isinstance(u, SharedVariable) and isinstance(u, TensorSharedVariable)
    assert u.type == kind and u.name == "u" and u.get_value().dtype == "float64"
    double = theano.function([], u * 2, updates=[(u, u + 1)])
    assert double().tolist() == [2, 4] and double().tolist() == [4, 6]
    perfect = np.arange(4.0)
    u.set_value(perfect, borrow=True)
    assert u.get_value(borrow=True) is perfect
    for wrong in ({}, "text", [[1.0]]):
        with pytest.raises(TypeError):
            made_by(name="u", type=kind, value=wrong, strict=False)
    with pytest.raises(ValueError, match="str of dtype"):
        u.set_value("text")


def test_strict_by_hand():
    u = SharedVariable(None, T.dvector, np.ones(2), True)
    with pytest.raises(errors.DTypeError, match="expected an array"):
        u.set_value([1.0, 2.0])


def test_unknown_arguments_are_refused():
    with pytest.raises(TypeError, match="bad_kw"):
        theano.shared(7, bad_kw=False)


# ---- values that are no tensors


@pytest.mark.parametrize("value", [[1, 2], "text", None, {"a": 1}, np.array(["a", "b"])], ids=repr)
def test_other_values_are_kept(value):
    v = theano.shared(value, name="v")
    assert v.type == generic and isinstance(v, SharedVariable) and str(v) == "v"
    assert v.get_value(borrow=True) is value
    v.set_value(88)
    assert v.get_value() == 88
    again = pickle.loads(pickle.dumps(v))
    assert again.get_value() == 88 and again.name == "v"


def test_lists_are_copied_unless_borrowed():
    v = theano.shared([1, 2])
    v.get_value().append(3)
    assert v.get_value() == [1, 2]
    v.get_value(borrow=True).append(3)
    assert v.get_value() == [1, 2, 3]
    mine = [0]
    v.set_value(mine, borrow=True)
    assert v.get_value(borrow=True) is mine
    twin = v.clone()
    v.set_value(mine)
    assert v.get_value(borrow=True) is not mine and twin.get_value(borrow=True) is mine


def test_a_list_is_no_tensor():
    v = theano.shared([1, 2])
    for use in (lambda: v[0], lambda: T.dot(v, v), lambda: theano.function([], v), lambda: T.dvector() + v):
        with pytest.raises(errors.DTypeError, match=r"holds a list(.|\n)*asarray") as caught:
            use()
        assert "test_theano_shared.py" in str(caught.value)
    with pytest.raises(AttributeError, match="holds a list"):
        _ = v.shape
    with pytest.raises(errors.DTypeError, match=r"shared w: a list(.|\n)*asarray"):
        theano.shared(value=[1.0, 2.0], name="w", borrow=True)
    with pytest.raises(errors.UnsupportedError, match="generic"):
        generic()


# ---- copies of functions


def test_a_copied_function_gives_lists_as_in_theano():
    state, inc = theano.shared(0), T.iscalar("inc")
    accumulator = theano.function([inc], state, updates=[(state, state + inc)])
    assert accumulator(10) == 0
    other = theano.shared(0)
    assert accumulator.copy(swap={state: other})(100) == [0] and other.get_value() == 100
    still = accumulator.copy(delete_updates=True)
    assert still(9000) == [10] and state.get_value() == 10
    assert copy.copy(still)(1) == [10] and pickle.loads(pickle.dumps(accumulator))(1) == 10


def test_a_subset_of_the_outputs():
    x = T.dscalar()
    named = theano.function([x], {"a": x, "b": x * 2, "c": x * 3})
    assert named(1.0, output_subset=[0, 2]) == {"a": 1, "c": 3}
    assert theano.function([x], [x, x * 2])(1.0, output_subset=[1]) == [2]
    assert theano.function([x], x)(1.0, output_subset=[0]) == [1]


def test_none_stands_for_an_argument_that_nothing_needs():
    x, y = T.dmatrices("x", "y")
    f = theano.function([x, y], x * 2, on_unused_input="ignore")
    assert f([[1.0]], None).tolist() == f([[1.0]], [[5.0]]).tolist() == [[2.0]]
    again = pickle.loads(pickle.dumps(f))
    assert again([[1.0]], y=None).tolist() == [[2.0]]
    with pytest.raises(TypeError, match="argument 0"):
        f(None, None)


def test_classes_of_errors():
    x = T.dscalar("x")
    with pytest.raises(RuntimeError, match="givens replace x"):
        theano.function([x], x * 2, givens={x: x + 1})
    with pytest.raises(theano.compile.UnusedInputError, match="given twice"):
        theano.function([x, x], x)


# ---- choice


@pytest.mark.parametrize("p", [None, 0, []])
def test_choice_without_probabilities(p):
    draw = RandomStreams(3).choice(size=(4, 5), a=10, p=p)
    state = np.random.RandomState(np.random.RandomState(3).randint(2**30))
    f = theano.function([], draw)
    for _ in range(2):
        assert f().tolist() == state.choice(10, (4, 5)).tolist()


def test_choice_of_given_elements():
    state, a, p = random_state_type(), T.dvector("a"), T.dvector("p")
    after, chosen = choice(state, (6,), a, True, p, dtype="float64")
    f = theano.function([state, a, p], [after, chosen])
    values, chances = np.array([0.25, 0.5, 2.5]), np.array([0.2, 0.3, 0.5])
    expected = np.random.RandomState(1)
    assert (
        f(np.random.RandomState(1), values, chances)[1].tolist()
        == expected.choice(values, 6, p=chances).tolist()
    )
    after = f(np.random.RandomState(1), values, np.zeros(0))[0]
    expected = np.random.RandomState(1)
    expected.choice(values, 6)
    assert after.randint(1000) == expected.randint(1000)
    with pytest.raises(errors.ShapeError, match="p a vector"):
        choice(state, (6,), a, True, T.dmatrix())


# ---- test values


def test_another_test_value_is_seen_by_expressions_built_again():
    with theano.config.change_flags(compute_test_value="raise"):
        x, y = T.dmatrices("x", "y")
        x.tag.test_value, y.tag.test_value = np.ones((3, 4)), np.ones((4, 5))
        z = T.tanh(T.dot(x, y))
        assert z.tag.test_value.shape == (3, 5)
        y.tag.test_value = np.ones((4, 2))
        assert T.tanh(T.dot(x, y)) is z and z.tag.test_value.shape == (3, 2)
        y.tag.test_value = np.ones((6, 5))
        with pytest.raises(ValueError, match="inner dimensions"):
            T.dot(x, y)
        w = theano.shared(np.ones((4, 2)))
        assert T.dot(x, w).tag.test_value.shape == (3, 2)
        w.set_value(np.ones((5, 2)))
        with pytest.raises(ValueError, match="inner dimensions"):
            T.dot(x, w)


def test_test_values_are_asked_for_where_they_were_not_before():
    x, y = T.dmatrices("x", "y")
    y.tag.test_value = np.ones((4, 5))
    z = T.dot(x, y)
    with theano.config.change_flags(compute_test_value="raise"):
        with pytest.raises(AttributeError, match="has no test value"):
            T.dot(x, y)
        x.tag.test_value = np.ones((2, 4))
        assert T.dot(x, y) is z and z.tag.test_value.shape == (2, 5)
        a = T.dmatrix("a")
        a.tag.test_value = np.ones((5, 3))
        with pytest.raises(ValueError, match="a state of shape"):
            theano.scan(lambda s, m: T.dot(s, m), outputs_info=T.ones_like(a.T), non_sequences=a, n_steps=3)


# ---- updates


def test_joined_updates_that_collide_are_refused():
    a, b = theano.shared(0.0, "a"), theano.shared(0.0, "b")
    first, second = theano.OrderedUpdates(), theano.OrderedUpdates()
    first[a], second[b] = 5, 7
    assert list((first + second).items()) == [(a, 5), (b, 7)] and len(first + first + {a: 5}) == 1
    second[a] = 8
    with pytest.raises(KeyError, match="a is to become 5 and 8"):
        first + second
    first[a] = a + 1
    first.update({a: a + 1})  # the same expression
    first.update()
    with pytest.raises(errors.GraphError, match="hint"):
        first.update({a: a + 2})
    first[a] = a + 2
    assert copy.copy(first)[a] is first[a] and first[a] is a + 2
