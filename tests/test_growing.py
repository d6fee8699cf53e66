"""Updates that change the shape of a shared variable, as Theano's programs make them."""

from __future__ import annotations

import numpy as np
import pytest

import symconv as sc
import symconv.theano as theano
import symconv.theano.tensor as T
from symconv import errors


@pytest.mark.parametrize("device", ["cpu", "emulated", "reference"])
def test_a_state_takes_values_of_other_shapes(device):
    with sc.config(device=device):
        kept = theano.shared(np.zeros((2, 3)), name="kept")
        count = theano.shared(np.float64(0), name="count")
        x = T.matrix("x")
        f = theano.function([x], kept.sum(), updates=[(kept, 2 * x), (count, count + kept.sum())])
        for k, shape in enumerate([(4, 5), (2, 3), (2, 3), (0, 7), (1, 1)]):
            before = kept.get_value()
            total = float(count.get_value())
            assert f(np.full(shape, k + 1.0)) == before.sum()
            np.testing.assert_array_equal(kept.get_value(), np.full(shape, 2 * (k + 1.0)))
            assert count.get_value() == total + before.sum()
        assert "stored after the plan" in f.explain()


def test_a_state_that_grows_with_every_call():
    seen = theano.shared(np.zeros(0), name="seen")
    v = T.scalar()
    f = theano.function([v], seen.shape[0], updates=[(seen, T.concatenate([seen, v.dimshuffle("x")]))])
    assert [int(f(float(k))) for k in range(4)] == [0, 1, 2, 3]
    assert seen.get_value().tolist() == [0, 1, 2, 3]


def test_values_taken_from_a_state_are_not_changed_by_what_follows():
    kept = theano.shared(np.zeros(2))
    x = T.vector()
    f = theano.function([x], x * 1, updates=[(kept, x)])
    given = np.ones(3)
    f(given)
    given[:] = 5
    assert kept.get_value().tolist() == [1, 1, 1]


def test_loops_over_growing_states_are_refused():
    kept = theano.shared(np.zeros(2), name="kept")
    x = T.vector()
    f = theano.function([x], [], updates=[(kept, x)])
    with pytest.raises(errors.ShapeError, match="kept .* changes from call to call"):
        f.native.loop(3, np.ones(4))
