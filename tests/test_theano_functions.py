"""theano.function: inputs that keep a state, checked modes, test values, pickles of graphs and functions."""

import copy
import pdb
import pickle

import numpy as np
import pytest

import symconv.theano as theano
import symconv.theano.tensor as T
from symconv import errors
from symconv.theano.compile.debugmode import BadOptimization, BadThunkOutput, DebugModeError
from symconv.theano.compile.nanguardmode import NanGuardMode
from symconv.theano.gof.op import get_test_value
from symconv.theano.tensor.shared_randomstreams import RandomStreams

X = theano.config.floatX


# ---- inputs that keep a state


def test_an_input_with_an_update_keeps_its_state():
    inc, state = T.dscalars("inc", "state")
    f = theano.function([inc, theano.In(state, value=10.0, update=state + inc, name="total")], state * 2)
    assert [float(f(1)), float(f(2))] == [20, 22] and f["total"] == f[state] == 13
    f["total"] = 0
    assert f(5) == 0 and f.value["total"] == 5 and "total" in f
    assert f(1, 100) == 200 and f.value[state] == 101
    other = f.copy()
    assert f(1) == 202 and other(0) == [202]
    with pytest.raises(KeyError, match="nothing"):
        f["nothing"]


def test_a_shared_variable_as_state_and_defaults_by_name():
    x, state = T.dvector("x"), T.dvector("state")
    kept = theano.shared(np.zeros(2))
    f = theano.function([x, theano.In(state, value=kept, update=state + x)])
    f([1, 2]), f([1, 2])
    assert kept.get_value().tolist() == [2, 4]
    y = T.dscalar("y")
    g = theano.function([x, theano.In(y, value=3.0)], x * y)
    assert g["y"] == 3.0 and g([2.0]).tolist() == [6.0]
    g["y"] = 4.0
    assert g([2.0]).tolist() == [8.0] and g([2.0], y=1.0).tolist() == [2.0]
    with pytest.raises(errors.DTypeError, match="same type"):
        theano.function([x, theano.In(y, value=0.0, update=x)])


# ---- modes


@pytest.mark.parametrize(
    "flags, value, raises",
    [
        ({}, -1.0, True),
        ({"nan_is_error": False}, -1.0, False),
        ({}, 0.0, True),
        ({"inf_is_error": False}, 0.0, False),
        ({"inf_is_error": False}, -1.0, True),
        ({"nan_is_error": False, "inf_is_error": False}, 1e30, True),
        ({"big_is_error": False}, 1e30, False),
        ({"big_is_error": False}, 1.0, False),
    ],
)
def test_nan_guard_mode_looks_for_what_it_is_told(flags, value, raises):
    x, w = T.dvector("x"), theano.shared(np.zeros(1))
    f = theano.function([x], T.log(x) + x, updates=[(w, w + 1)], mode=NanGuardMode(**flags))
    if not raises:
        f([value])
        assert w.get_value() == 1
        return
    with pytest.raises(AssertionError, match="NanGuardMode: ") as caught:
        f([value])
    assert isinstance(caught.value, errors.NonFiniteError) and w.get_value() == 0


def test_flags_of_nan_guard_mode():
    x = T.dvector("x")
    with theano.config.change_flags(**{"NanGuardMode__nan_is_error": "False"}):
        f = theano.function([x], T.log(x), mode="NanGuardMode")
    assert np.isnan(f([-1.0])[0])
    with pytest.raises(AssertionError, match="inf"):
        f([0.0])


def test_nan_guard_mode_goes_on_where_it_only_warns(caplog, monkeypatch):
    x, w = T.dvector("x"), theano.shared(np.zeros(1))
    f = theano.function([x], T.log(x), updates=[(w, w + 1)], mode="NanGuardMode")
    stops = []
    monkeypatch.setattr(pdb, "set_trace", lambda: stops.append(1))
    for action in ("warn", "pdb"):
        with theano.config.change_flags(**{"NanGuardMode__action": action}):
            assert np.isnan(f([-1.0])[0]) and f([1.0])[0] == 0
    assert w.get_value() == 4 and len(stops) == 1
    assert [("log" in r.message, r.levelname) for r in caplog.records] == [(True, "ERROR")]
    with pytest.raises(AssertionError):
        f([-1.0])
    with theano.config.change_flags(**{"NanGuardMode__action": "shout"}):
        with pytest.raises(errors.ArgumentError, match="raise, warn or pdb"):
            f([-1.0])


def test_debug_mode_is_the_native_one():
    x = T.dmatrix("x")
    f = theano.function([x], T.nnet.softmax(x), mode="DebugMode")
    np.testing.assert_allclose(f(np.eye(2)).sum(1), 1)
    assert "mode debug" in f.explain()
    assert issubclass(BadThunkOutput, DebugModeError) and issubclass(BadOptimization, AssertionError)
    g = theano.function([x], T.log(x), mode=theano.compile.DebugMode(check_isfinite=True))
    with pytest.raises(errors.NonFiniteError, match="check_isfinite"):
        g(np.zeros((1, 1)))


def test_debug_mode_finds_a_wrong_op():
    class Wrong(theano.Op):
        __props__ = ()
        calls = 0

        def make_node(self, x):
            return theano.Apply(self, [x], [x.type()])

        def perform(self, node, inputs, output_storage):
            Wrong.calls += 1
            output_storage[0][0] = inputs[0] * Wrong.calls

        def infer_shape(self, node, shapes):
            return shapes

    x = T.dvector("x")
    with pytest.raises(DebugModeError):
        theano.function([x], Wrong()(x) + 1, mode="DebugMode")(np.ones(2))


# ---- test values


def test_test_values_are_computed_as_the_graph_is_built():
    with theano.config.change_flags(compute_test_value="raise"):
        x, w = T.dmatrix("x"), theano.shared(np.ones((3, 4)), "w")
        with pytest.raises(AttributeError, match="x .*test_theano_functions.py.*has no test value"):
            x * 2
        x.tag.test_value = np.ones((5, 3))
        h = T.tanh(T.dot(x, w))
        assert h.tag.test_value.shape == (5, 4) and get_test_value(h).shape == (5, 4)
        np.testing.assert_allclose(T.grad(h.sum(), w).tag.test_value, 5 * (1 - np.tanh(3) ** 2))
        with pytest.raises(
            errors.ShapeError, match=r"(?s)inner dimensions.*\[5, 3\].*test_theano_functions.py"
        ):
            T.dot(x, theano.shared(np.ones((4, 4))))
        sums, _ = theano.scan(lambda row, s: s + row, x, T.zeros((3,)))
        assert sums.tag.test_value[-1].tolist() == [5, 5, 5]
    with (
        theano.config.change_flags(compute_test_value="warn"),
        pytest.warns(UserWarning, match="no test value"),
    ):
        T.dvector("y") + 1
    with theano.config.change_flags(compute_test_value="ignore"):
        z = T.dvector("z") + 1
    assert not hasattr(z.tag, "test_value") and not hasattr((T.dvector() * 2).tag, "test_value")


# ---- pickles


class Layer:
    """A classifier as the tutorials pickle it: weights and expressions in one object."""

    def __init__(self, x):
        self.W = theano.shared(np.arange(6, dtype=X).reshape(3, 2), name="W", borrow=True)
        self.input = x
        self.p_y_given_x = T.nnet.softmax(T.dot(x, self.W))
        self.y_pred = T.argmax(self.p_y_given_x, axis=1)
        self.params = [self.W]


def test_a_pickled_model_predicts():
    x = T.matrix("x")
    layer = Layer(x)
    read = pickle.loads(pickle.dumps(layer))
    predict = theano.function([read.input], read.y_pred)
    data = np.eye(3, dtype=X)
    np.testing.assert_array_equal(predict(data), theano.function([x], layer.y_pred)(data))
    assert read.params[0] is read.W and read.W.name == "W" and read.input.name == "x"
    read.W.set_value(-read.W.get_value())
    np.testing.assert_array_equal(predict(data), [0, 0, 0])
    assert layer.W.get_value()[0, 1] == 1


@pytest.mark.parametrize("protocol", [2, pickle.HIGHEST_PROTOCOL])
def test_pickled_functions_and_streams_go_on_where_they_were(protocol):
    x = T.vector("x")
    w = theano.shared(np.zeros(3, X), name="w")
    noise = RandomStreams(5).uniform((3,))
    total, updates = theano.scan(lambda v, s: s * 0.5 + v, x, T.zeros((), X))
    f = theano.function([x], [total, noise, x > 0], updates=[*updates.items(), (w, w + x)], name="f")
    f(np.ones(3, X))
    g = pickle.loads(pickle.dumps(f, protocol))
    for _ in range(2):
        for a, b in zip(f(np.ones(3, X)), g(np.ones(3, X))):
            np.testing.assert_array_equal(a, b)
    kept = [v for v in g.get_shared() if v.name == "w"]
    assert kept[0].get_value().tolist() == [3, 3, 3] and g.name == "f"


def test_what_is_pickled_together_stays_together():
    x = T.dvector("x")
    x.tag.note = "kept"
    state = theano.shared(np.zeros(2), "state")
    state.default_update = state + 1
    y = x * state
    a, b, c = pickle.loads(pickle.dumps((x, state, y)))
    assert set(theano.gof.graph.inputs([c])) == {a, b} and a.tag.note == "kept"
    f = theano.function([a], c)
    assert [f(np.ones(2))[0] for _ in range(3)] == [0, 1, 2] and state.get_value()[0] == 0
    with pytest.raises(TypeError, match="comparison"):
        bool(pickle.loads(pickle.dumps(x > 0)))


def test_deep_graphs_are_pickled():
    x = T.dscalar("x")
    y = x
    for k in range(3000):
        y = T.tanh(y) + (k % 7)
    z, v = pickle.loads(pickle.dumps((y, x)))
    np.testing.assert_allclose(z.eval({v: 0.3}), y.eval({x: 0.3}))


def test_copies():
    x = T.dvector("x")
    w = theano.shared(np.ones(2), "w")
    f = theano.function([x], x * w, updates=[(w, w * 2)])
    g = copy.deepcopy(f)
    f([1, 1])
    assert g([1, 1]).tolist() == [1, 1] and f([1, 1]).tolist() == [2, 2]


def test_inputs_as_tuples():
    """The older forms: (r, value), (name, r), (name, r, value), and (r, update) in the place of r."""
    a, b, c = T.dscalars("a", "b", "c")
    f = theano.function([a, ("second", b), ("kept", (c, c + a + b), 10.0)], [])
    assert f["kept"] == 10
    f(1.0, second=2.0)
    assert f["kept"] == f.value[c] == 13
    g = theano.function([a, (b, 5.0), ((c, c + 1), 0.0)], a + b + c)
    assert [float(g(1.0)), float(g(1.0)), float(g(1.0, 2.0))] == [6, 7, 5]
    for wrong in ([], ["name"], [a], [a, 1, 2], ["name", 3]):
        with pytest.raises(TypeError, match="is a list"):
            theano.function([wrong], [])


def test_test_values_of_clones_pickles_and_nodes_of_a_program():
    """A clone has the value of its original, whatever its inputs have; so Theano copied tags."""
    with theano.config.change_flags(compute_test_value="raise"):
        x, fresh = T.dvector("x"), T.dvector("fresh")
        x.tag.test_value = np.array([1.0, 2.0])
        y = (x * 3).sum()
        y.tag.role = "cost"
        z = theano.clone(y, {x: fresh})
        assert z.tag.test_value == 9 and z.tag.role == "cost" and (z + 1).tag.test_value == 10
        assert T.constant([4.0]).tag.test_value.tolist() == [4]
        again, inner = pickle.loads(pickle.dumps((y, x)))
        assert again.tag.test_value == 9 and (again + inner.sum()).tag.test_value == 12
        with theano.config.change_flags(compute_test_value="off"):
            (own,) = theano.Apply(_Source(), [], [T.dvector()]).outputs
            own.tag.test_value = np.array([8.0])
        assert (own * 2).tag.test_value.tolist() == [16]


class _Source(theano.Op):
    def perform(self, node, inputs, outputs):
        raise AssertionError("nobody asks for the value")


def test_pickles_of_different_variables_differ():
    """By auto_name, as Theano's did: programs hash pickles to tell their models apart."""
    a, b = (theano.shared(np.zeros(2), "w") for _ in range(2))
    assert pickle.dumps(a) == pickle.dumps(a) != pickle.dumps(b)
    assert pickle.loads(pickle.dumps(a)).auto_name == a.auto_name != b.auto_name
