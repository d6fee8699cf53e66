"""symconv.theano: map_variables, in graphs, in the steps of loops, and in graphs that are applied as ops."""

import numpy as np
import pytest

import symconv.theano as theano
import symconv.theano.tensor as T
from symconv.errors import UnsupportedError
from symconv.theano.scan_module.scan_utils import map_variables


def by_tag(v):
    return getattr(v.tag, "replacement", v)


def test_map_variables_replaces_by_tag():
    a, b, c = T.dscalars("abc")
    total = a + b
    total.tag.replacement = a * b
    (out,) = map_variables(by_tag, [total + c])
    assert out.eval({a: 2.0, b: 5.0, c: 1.0}) == 11


def test_map_variables_replaces_inputs_and_what_is_made_of_them():
    a, b = T.dscalars("ab")
    middle = T.exp(a)
    exchange = {a: b, middle: middle * 10}
    first, second = map_variables(lambda v: exchange.get(v, v), [middle + 1, a])
    assert np.isclose(first.eval({b: 0.0}), 11) and second is b
    with pytest.raises(TypeError, match="cannot be replaced"):
        map_variables(lambda v: T.dvector() if v is a else v, [middle])


def test_steps_of_loops_are_mapped():
    """The replacement reads an outer variable, a shared one and a constant."""
    x, outer = T.dvector("x"), T.dscalar("outer")
    shared = theano.shared(np.array(3.0))

    def step(row, past):
        total = past + row
        total.tag.replacement = outer * (shared + 1) * (past - row)
        return total

    sums, _ = theano.scan(step, x, [np.array(0.0)])
    whole = 2 * sums
    (mapped,) = map_variables(by_tag, [whole])
    f = theano.function([x, outer], [whole, mapped, T.grad(mapped[-1], outer)])
    plain, new, slope = f([1.0, 2.0, 4.0], 0.5)
    np.testing.assert_array_equal(plain, [2, 6, 14])
    h, want, k, dh = 0.0, [], 0.5 * 4, 0.0
    for row in (1.0, 2.0, 4.0):
        dh = 4 * (h - row) + k * dh
        h = k * (h - row)
        want.append(2 * h)
    np.testing.assert_allclose(new, want)
    np.testing.assert_allclose(slope, 2 * dh)
    (same,) = map_variables(lambda v: v, [whole])
    assert same is whole


def test_loops_within_loops_are_mapped():
    x = T.dvector("x")

    def outer(row):
        def inner(a, b):
            total = a + b
            total.tag.replacement = total * 2
            return total + row

        values, _ = theano.scan(inner, None, [{"initial": T.ones(2), "taps": [-2, -1]}], n_steps=4)
        return values[-1]

    last, _ = theano.scan(outer, x)
    (mapped,) = map_variables(by_tag, [last])
    rows = [0.0, 1.0, -2.0]
    for v, factor in ((last, 1), (mapped, 2)):
        want = []
        for row in rows:
            a = b = 1.0
            for _ in range(4):
                a, b = b, factor * (a + b) + row
            want.append(b)
        np.testing.assert_array_equal(v.eval({x: rows}), want)


def test_conditions_of_loops_are_mapped():
    limit = T.dscalar("limit")

    def step(s):
        new = s * 2
        over = T.gt(new, 10.0)
        over.tag.replacement = T.gt(new, limit)
        return new, theano.scan_module.until(over)

    powers, _ = theano.scan(step, None, np.array(1.0), n_steps=20)
    (mapped,) = map_variables(by_tag, [powers])
    assert powers.eval().tolist() == [2, 4, 8, 16]
    assert mapped.eval({limit: 50.0}).tolist() == [2, 4, 8, 16, 32, 64]


def test_graphs_applied_as_ops_are_mapped():
    a, b, c, d, outer = T.dscalars(5)
    total = a + b
    total.tag.replacement = outer * (a - b)
    u = theano.OpFromGraph([a, b], [total])(c, d) * 10
    (v,) = map_variables(by_tag, [u])
    assert theano.function([c, d, outer], [u, v])(7.0, 2.0, 3.0) == [90, 150]


def test_steps_take_no_new_updates():
    x = T.dvector("x")
    counter = theano.shared(0.0, "counter")
    counter.default_update = counter + 1

    def step(row, past):
        total = past + row
        total.tag.replacement = counter * total
        return total

    sums, _ = theano.scan(step, x, [np.array(0.0)])
    with pytest.raises(UnsupportedError, match="counter"):
        map_variables(by_tag, [sums])
    assert issubclass(UnsupportedError, NotImplementedError)
