"""Indexing against NumPy: values, static shapes, updates, errors."""

from __future__ import annotations

import re

import numpy as np
import pytest

import symconv as sc
from symconv.backends.reference import evaluate
from symconv.errors import DTypeError, ExecutionError, IndexRangeError, ShapeError
from symconv.ops.gather import picked_labels
from symconv.rewrite.specialize import specialize

A = np.random.default_rng(0).integers(-9, 9, (4, 5, 6)).astype("float32")
TABLE, PAIR = np.array([[0, 1], [3, 2]]), np.array([1, -1])
INDICES = {
    "int": np.s_[0],
    "negative int": np.s_[-1],
    "numpy int": np.s_[np.int32(2)],
    "0-d array": np.s_[np.array(1)],
    "three ints": np.s_[0, 1, 2],
    "slice": np.s_[1:3],
    "clipped slice": np.s_[1:99],
    "slice beyond the end": np.s_[10:],
    "empty slice": np.s_[3:2],
    "negative bounds": np.s_[:-2, -3:],
    "reversed": np.s_[::-1],
    "reversed with step": np.s_[3:0:-2],
    "reversed to the front": np.s_[-2:-10:-1],
    "steps": np.s_[1:, ::2, 1::3],
    "full": np.s_[:],
    "full axes": np.s_[:, :],
    "ellipsis": np.s_[...],
    "ellipsis first": np.s_[..., 2],
    "ellipsis between": np.s_[1, ..., 2:],
    "newaxis": np.s_[None],
    "newaxis between": np.s_[:, None, 1],
    "array": np.s_[PAIR],
    "table": np.s_[TABLE],
    "list": np.s_[[0, 2]],
    "empty list": np.s_[[]],
    "array on a later axis": np.s_[:, TABLE],
    "adjacent arrays": np.s_[:, PAIR, PAIR],
    "broadcast arrays": np.s_[TABLE, PAIR],
    "separated arrays": np.s_[PAIR, :, PAIR],
    "separated by newaxis": np.s_[PAIR, None, PAIR],
    "int apart from array": np.s_[0, :, PAIR],
    "0-d array apart from array": np.s_[np.array(1), :, PAIR],
    "int beside array": np.s_[:, 0, PAIR],
    "array beside int": np.s_[PAIR, 0],
    "array and newaxis": np.s_[..., TABLE, None],
    "newaxis and array and slice": np.s_[None, PAIR, 1:3],
    "slice and array": np.s_[1:3, TABLE],
    "everything": np.s_[1:, PAIR, None, ::-1],
    "constant mask": np.s_[A[:, 0, 0] > 0],
    "constant mask of two axes": np.s_[:, A[0] > 0],
}


def value(out, values=None):
    return evaluate([out], values or {})[0]


def inputs_of(known: bool) -> sc.Variable:
    return sc.tensor("float32", A.shape if known else (None,) * 3)


@pytest.mark.parametrize("known", [True, False], ids=["known dims", "unknown dims"])
@pytest.mark.parametrize("index", INDICES.values(), ids=INDICES)
def test_index_equals_numpy(index, known):
    x, want = inputs_of(known), A[index]
    out = x[index]
    got = value(out, {x: A})
    assert got.shape == want.shape and got.dtype == want.dtype
    np.testing.assert_array_equal(got, want)
    assert out.type.accepts(sc.TensorType("float32", want.shape))
    if known:
        assert out.type.shape == want.shape


@pytest.mark.parametrize("known", [True, False], ids=["known dims", "unknown dims"])
@pytest.mark.parametrize("index", INDICES.values(), ids=INDICES)
def test_subtensor_update_equals_numpy(index, known):
    x = inputs_of(known)
    y = np.random.default_rng(1).integers(-9, 9, A[index].shape).astype("float32")
    changed, increased = A.copy(), A.copy()
    changed[index] = y
    np.add.at(increased, index, y)
    np.testing.assert_array_equal(value(sc.set_subtensor(x[index], y), {x: A}), changed)
    np.testing.assert_array_equal(value(sc.inc_subtensor(x[index], y), {x: A}), increased)
    np.testing.assert_array_equal(value(sc.index_update(x, index, y), {x: A}), changed)
    changed[index] = 7
    np.testing.assert_array_equal(value(sc.set_subtensor(x[index], 7), {x: A}), changed)


@pytest.mark.parametrize("start,stop", [(0, 2), (2, 4), (3, 9), (-3, -1), (2, 1), (-99, 99)])
@pytest.mark.parametrize("step", [1, 2, -1, -3])
def test_symbolic_bounds_equal_numpy(start, stop, step):
    x, i, j = inputs_of(False), sc.iscalar(), sc.lscalar()
    values = {x: A, i: np.int32(start), j: np.int64(stop)}
    np.testing.assert_array_equal(value(x[i:j:step], values), A[start:stop:step])
    np.testing.assert_array_equal(value(x[:, i:None:step], values), A[:, start::step])
    np.testing.assert_array_equal(value(x[:, :j:step], values), A[:, :stop:step])


def test_symbolic_integers_equal_numpy():
    x, i, v = inputs_of(False), sc.iscalar(), sc.ivector()
    for at in (0, 3, -1, -4):
        values = {x: A, i: np.int32(at), v: np.array([at, 0], "int32")}
        np.testing.assert_array_equal(value(x[i], values), A[at])
        np.testing.assert_array_equal(value(x[i, v], values), A[at, [at, 0]])


def test_minibatch_slice_is_a_view_with_moving_start():
    x, i = sc.tensor("float32", (100, 7)), sc.lscalar()
    graph, _, guards = specialize([x[i * 10 : (i + 1) * 10]], [], [x, i], [(100, 7), ()], lambda v: 10)
    node = graph.outputs[0].owner
    view = node.op.view(node)
    assert (view.offset, view.start, view.stride) == (0, 1, 28)
    assert graph.outputs[0].type.shape == (10, 7) and len(guards) == 1


@pytest.mark.parametrize(
    "shape,index,offset",
    [
        ((6, 5), np.s_[2:4], 40),
        ((6, 5), np.s_[3, 1:3], 64),
        ((1, 6, 5), np.s_[:, 2:], 40),
        ((6, 5), np.s_[3, 2:3], 68),
    ],
)
def test_contiguous_slice_is_a_view(shape, index, offset):
    x = sc.tensor("float32", shape)
    out = x[index]
    node = out.owner if out.owner.op.name == "slice" else out.owner.inputs[0].owner
    a = np.arange(np.prod(shape), dtype="float32").reshape(shape)
    view = node.op.view(node)
    assert view.offset == offset
    flat = a.ravel()[offset // 4 :][: value(out, {x: a}).size]
    np.testing.assert_array_equal(flat, a[index].ravel())


@pytest.mark.parametrize("index", [np.s_[:, 1:3], np.s_[::2], np.s_[::-1], np.s_[:, :1]])
def test_scattered_slice_is_no_view(index):
    out = sc.tensor("float32", (6, 5))[index]
    assert out.owner.op.view(out.owner) is None


def test_full_slice_vanishes_and_cast_is_taken_of_the_part():
    x, y = sc.tensor("float32", (100, 7)), sc.tensor("float64", (100,))
    graph, _, _ = specialize([x[:], sc.cast(y, "int32")[20:30]], [], [x, y], [(100, 7), (100,)], int)
    full, part = graph.outputs
    assert full is graph.inputs[0]
    assert part.owner.op.name == "cast" and part.owner.inputs[0].owner.op.name == "slice"


def test_picked_labels_recognises_rows_by_label():
    p, y = sc.tensor("float32", (8, 10)), sc.tensor("int32", (8,))
    assert picked_labels(p[sc.arange(8), y].owner) == (p, y)
    assert picked_labels(p[np.arange(8), y].owner) == (p, y)
    assert picked_labels(p[sc.arange(y.shape[0]), y].owner) == (p, y)
    assert picked_labels(p[sc.arange(8), y[::-1]].owner)[0] is p
    assert picked_labels(p[np.arange(7), y[:7]].owner) is None
    assert picked_labels(p[np.arange(8)[::-1], y].owner) is None
    assert picked_labels(p[y].owner) is None


def test_duplicate_indices_accumulate_in_the_gradient():
    x, i = sc.tensor("float32", (4, 2)), sc.ivector()
    dx = sc.grad(x[i].sum(), x)
    got = value(dx, {x: A[0, :4, :2], i: np.array([1, 3, 1, 1], "int32")})
    np.testing.assert_array_equal(got, [[0, 0], [3, 3], [0, 0], [1, 1]])


X, Z = sc.tensor("float32", (4, 5, 6), "X"), sc.tensor("float32", (None,), "Z")
BAD = [
    (lambda: X[4], IndexRangeError, "index 4 is out of range for axis 0 of length 4"),
    (lambda: X[:, -6], IndexRangeError, "index -6 is out of range for axis 1 of length 5"),
    (lambda: X[[0, 4]], IndexRangeError, "index 4 is out of range for axis 0 of length 4"),
    (lambda: X[0, 0, 0, 0], ShapeError, "too many indices: 4 for the 3 dimensions"),
    (lambda: X[..., 0, ...], ShapeError, "one Ellipsis"),
    (lambda: X[::0], ShapeError, "step of a slice cannot be 0"),
    (lambda: X[sc.ivector() : 2], ShapeError, "bound of a slice must be a scalar"),
    (lambda: X[1.5], DTypeError, "must be an integer"),
    (lambda: X["a"], DTypeError, "must be an integer"),
    (lambda: X[[1.5]], DTypeError, "must hold integers"),
    (lambda: X[sc.scalar()], DTypeError, "hint: cast"),
    (lambda: X[[0, 1], [0, 1, 2]], ShapeError, "index arrays"),
    (lambda: X[sc.tensor("bool", (3,))], ShapeError, "a mask of shape [3]"),
    (lambda: X[np.array([True, False])], ShapeError, "a mask of shape [2]"),
    (lambda: X[True], ShapeError, "a mask of shape []"),
    (lambda: sc.set_subtensor(X, 1), ShapeError, "must be an expression x[...]"),
    (lambda: sc.set_subtensor(X[0], np.ones((2, 3), "float32")), ShapeError, "does not broadcast"),
    (lambda: sc.index_update(sc.ivector(), 0, 1.5 * np.ones(1)), DTypeError, "cannot be stored"),
    (lambda: list(Z), TypeError, "is not known while the graph is built"),
    (lambda: len(sc.scalar()), TypeError, "a scalar has no length"),
    (lambda: X.__setitem__(0, 1), TypeError, "sc.index_update"),
    (lambda: np.asarray(X), TypeError, "symbolic"),
]


@pytest.mark.parametrize("make,error,text", BAD, ids=[text for _, _, text in BAD])
def test_bad_index_raises_where_it_is_written(make, error, text):
    with pytest.raises(error, match=re.escape(text)):
        make()


def test_index_out_of_range_at_run_time_names_index_extent_and_line():
    x, i, v = inputs_of(False), sc.iscalar(), sc.ivector()
    for out, values in ((x[:, i], {x: A, i: np.int32(5)}), (x[:, v], {x: A, v: np.array([0, 5], "int32")})):
        with pytest.raises(ExecutionError, match=r"test_index\.py:\d+.*index 5 .* axis 1 of length 5"):
            value(out, values)


def test_iteration_and_length_follow_the_known_dimension():
    x = sc.tensor("float32", (3, 2))
    assert len(x) == 3 and [v.type.shape for v in x] == [(2,)] * 3
    a, b, c = (value(v, {x: A[0, :3, :2]}) for v in x)
    np.testing.assert_array_equal(np.stack([a, b, c]), A[0, :3, :2])
