"""Who shares memory with whom: shared(borrow=True), get_value, set_value, zero, and lent random states."""

import copy
import pickle

import numpy as np
import pytest

import symconv.theano as theano
import symconv.theano.tensor as T
from symconv import errors
from symconv.theano.tensor.shared_randomstreams import RandomStreams


def doubled(w):
    return theano.function([], w * 2)


# ---- arrays


def test_a_borrowed_value_is_the_variable_and_a_copy_is_not():
    w = theano.shared(np.arange(4.0))
    f = doubled(w)
    w.get_value()[...] = 7
    assert f().tolist() == [0, 2, 4, 6]
    w.get_value(borrow=True)[...] = 5
    assert f().tolist() == [10] * 4
    w.get_value(borrow=True)[1:3] *= 2
    assert f().tolist() == [10, 20, 20, 10]


def test_shared_and_set_value_take_a_borrowed_array_and_copy_another():
    mine = np.ones(3)
    for borrow in (True, False):
        w = theano.shared(mine, borrow=borrow)
        f = doubled(w)
        mine[:] = 3
        assert f().tolist() == ([6] * 3 if borrow else [2] * 3)
        mine[:] = 4
        w.set_value(mine, borrow=borrow)
        mine[:] = 1
        assert f().tolist() == ([2] * 3 if borrow else [8] * 3)
        assert (w.get_value(borrow=True) is mine) == borrow


def test_set_value_leaves_a_lent_array_as_it_is():
    """A data set in chunks: the first is borrowed, the next ones are put in its place."""
    chunks = [np.full(3, k, "float64") for k in range(3)]
    x = theano.shared(chunks[0], borrow=True)
    f = theano.function([], x.sum())
    for _ in range(2):
        assert [(x.set_value(c), float(f()))[1] for c in chunks] == [0, 3, 6]
    assert [c.tolist() for c in chunks] == [[k] * 3 for k in range(3)]
    seen = x.get_value(borrow=True)
    x.set_value(np.full(3, 9.0))
    assert seen.tolist() == [2, 2, 2] and f() == 27
    twin = x.clone()
    seen = twin.get_value(borrow=True)
    x.set_value(np.zeros(3))
    assert seen.tolist() == [9, 9, 9] and twin.get_value().tolist() == [0, 0, 0]


def test_a_value_that_nobody_holds_keeps_its_memory():
    x = theano.shared(np.zeros(3))
    place = x.native.get_value(borrow=True)
    x.set_value(np.ones(3))
    assert x.native.get_value(borrow=True) is place


def test_zero_in_place_and_not():
    w = theano.shared(np.ones(2))
    held = w.get_value(borrow=True)
    w.zero()
    assert held.tolist() == [1, 1] and w.get_value().tolist() == [0, 0]
    held = w.get_value(borrow=True)
    held[:] = 2
    w.zero(borrow=True)
    assert held.tolist() == [0, 0] and w.get_value(borrow=True) is held


def test_a_refused_value_changes_nothing():
    mine = np.ones(2)
    w = theano.shared(mine, borrow=True)
    with pytest.raises(errors.DTypeError):
        w.set_value(np.ones((2, 2)))
    assert w.get_value(borrow=True) is mine


def test_outputs_and_copies_share_nothing():
    w = theano.shared(np.ones(3), borrow=True)
    x = T.dvector()
    f = theano.function([theano.In(x, borrow=True, mutable=True)], [theano.Out(w, borrow=True), x, x[1:]])
    given = np.arange(3.0)
    for result in f(given):
        assert not np.may_share_memory(result, given)
        assert not np.may_share_memory(result, w.get_value(borrow=True))
    for other in (copy.deepcopy(w), pickle.loads(pickle.dumps(w))):
        assert not np.may_share_memory(other.get_value(borrow=True), w.get_value(borrow=True))


# ---- random states


def draws(n=1, seed=5):
    return np.random.RandomState(seed).uniform(size=(n, 2))


def test_seeding_a_borrowed_state_seeds_the_draws():
    sample = RandomStreams(1).uniform((2,), dtype="float64")
    f = theano.function([], sample)
    sample.rng.get_value().seed(5)
    assert not np.array_equal(f(), draws()[0])
    state = sample.rng.get_value(borrow=True)
    state.seed(5)
    assert [f().tolist(), f().tolist()] == draws(2).tolist()
    state.seed(5)
    assert f().tolist() == draws()[0].tolist()
    assert sample.rng.get_value(borrow=True) is state
    assert state.uniform(size=2).tolist() == draws(2)[1].tolist(), "it follows the function's draws"
    assert f().tolist() == draws(3)[2].tolist(), "and the function follows its draws"


def test_set_value_of_a_lent_state_counts():
    state = theano.shared(np.random.RandomState(5))
    lent = state.get_value(borrow=True)
    assert state.container.storage[0] is lent and isinstance(lent, np.random.RandomState)
    lent.seed(7)
    state.set_value(np.random.RandomState(6), borrow=True)
    assert lent.uniform(size=2).tolist() == draws(seed=6)[0].tolist()
    lent.seed(8)
    state.set_value(lent, borrow=True)
    assert state.get_value().uniform(size=2).tolist() == draws(seed=8)[0].tolist()
    alone = copy.deepcopy(lent)
    alone.seed(1), pickle.loads(pickle.dumps(lent)).seed(1)
    assert state.get_value().uniform(size=2).tolist() == draws(seed=8)[0].tolist()


def test_a_lent_state_is_pickled_and_cloned_with_the_draws():
    state = theano.shared(np.random.RandomState(5))
    lent = state.get_value(borrow=True)
    lent.seed(6)
    for other in (pickle.loads(pickle.dumps(state)), copy.deepcopy(state), state.clone()):
        assert other.get_value().uniform(size=2).tolist() == draws(seed=6)[0].tolist()
    twin = state.clone()
    assert twin.get_value(borrow=True) is lent
    with pytest.raises(errors.UnsupportedError, match="zero"):
        state.zero()


def test_a_state_that_nobody_borrows_has_no_mirror():
    sample = RandomStreams(1).uniform((2,))
    f = theano.function([], sample)
    f(), sample.rng.get_value()
    assert sample.rng.native.mirror is None
