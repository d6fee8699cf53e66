"""Compiled functions taken apart: copies with their own defaults, the order of checks, expanded_inputs."""

import copy

import numpy as np
import pytest

import symconv.theano as theano
import symconv.theano.tensor as T
from symconv.theano.compile import UnusedInputError
from symconv.theano.tensor.shared_randomstreams import RandomStreams


def test_a_copy_has_defaults_of_its_own():
    x, a = T.dscalars("xa")
    f = theano.function([x, theano.In(a, value=2.0)], [x * a])
    g = copy.copy(f)
    assert g(3.0) == f(3.0) == [6.0]
    g["a"] = 5.0
    assert (f["a"], f(3.0), g(3.0)) == (2.0, [6.0], [15.0])
    assert g.container[a].storage is not f.container[a].storage
    f.container[a].data = 7.0
    assert (f(1.0), g(1.0)) == ([7.0], [5.0])


def test_an_unused_input_is_told_before_a_missing_one():
    x, s = T.dscalars("xs")
    with pytest.raises(UnusedInputError, match="the input s"):
        theano.function([s], [x])
    with pytest.raises(theano.gof.MissingInputError, match="the input x"):
        theano.function([s], [x], on_unused_input="ignore")


def test_streams_are_set_back_by_expanded_inputs():
    draws = RandomStreams(5).uniform((3,))
    w = theano.shared(np.array([1.0, 2.0, 3.0]), name="w")
    x = T.dvector("x")
    f = theano.function([x], draws + 0 * w + x)
    parts = f.maker.expanded_inputs
    assert parts[0].variable is x and {p.variable for p in parts[1:]} == {w, draws.owner.inputs[0]}
    for part in parts:
        if part.value and type(part.value.data) is np.random.RandomState:
            part.value.data = np.random.RandomState(123)
    assert np.array_equal(f([0, 0, 0]), np.random.RandomState(123).uniform(size=3))
    part = next(p for p in parts if p.variable is w)
    part.value.data[0] = 8.0  # a copy
    assert w.get_value().tolist() == [1.0, 2.0, 3.0]
