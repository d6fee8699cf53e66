"""Shape operations, joins and borders against NumPy: values, static shapes, errors."""

from __future__ import annotations

import re

import numpy as np
import pytest

import symconv as sc
from symconv.backends.reference import evaluate
from symconv.errors import DTypeError, ShapeError
from symconv.rewrite.specialize import specialize

A = np.random.default_rng(0).integers(-9, 9, (4, 5, 6)).astype("float32")
ORDER = np.argsort(A, 1)


def split_pieces(x, xp):
    return xp.split(x, [1, 2, 2], 1) if xp is sc else np.split(x, [1, 3], 1)


SAME = {
    "transpose": lambda x, xp: xp.transpose(x, (1, 2, 0)),
    "transpose method": lambda x, xp: x.transpose(2, 0, 1),
    "transpose method reversed": lambda x, xp: x.transpose(),
    "T": lambda x, xp: x.T,
    "flatten": lambda x, xp: x.flatten(),
    "ravel": lambda x, xp: x.ravel(),
    "reshape": lambda x, xp: x.reshape(2, -1, 3),
    "reshape tuple": lambda x, xp: x.reshape((20, 6)),
    "reshape by shape": lambda x, xp: x.reshape((x.shape[0], -1)),
    "expand_dims": lambda x, xp: xp.expand_dims(x, (0, -1)),
    "squeeze": lambda x, xp: xp.squeeze(x[None, :, None, :1], (0, 2, 3)),
    "swapaxes": lambda x, xp: x.swapaxes(0, -1),
    "moveaxis": lambda x, xp: xp.moveaxis(x, 0, -1),
    "moveaxis of two": lambda x, xp: xp.moveaxis(x, (0, 2), (1, 0)),
    "broadcast_to": lambda x, xp: xp.broadcast_to(x[:, :1], (3, 4, 7, 6)),
    "concatenate": lambda x, xp: xp.concatenate([x, x[:, ::-1], x[:, :0]], 1),
    "concatenate last": lambda x, xp: xp.concatenate((x, x), axis=-1),
    "stack": lambda x, xp: xp.stack([x, x + 1], -1),
    "stack first": lambda x, xp: xp.stack([x, x]),
    "split": lambda x, xp: xp.concatenate(split_pieces(x, xp)[::-1], 1),
    "split equally": lambda x, xp: xp.split(x, 3, 2)[1],
    "tile": lambda x, xp: xp.tile(x, (2, 3)),
    "tile more axes": lambda x, xp: xp.tile(x, (2, 1, 1, 3)),
    "tile int": lambda x, xp: xp.tile(x, 2),
    "repeat": lambda x, xp: xp.repeat(x, 3, 1),
    "repeat flat": lambda x, xp: x.repeat(2),
    "repeat by counts": lambda x, xp: xp.repeat(x, [1, 0, 2, 3], 0),
    "flip": lambda x, xp: xp.flip(x),
    "flip two": lambda x, xp: xp.flip(x, (0, -1)),
    "roll": lambda x, xp: xp.roll(x, 2, 1),
    "roll back": lambda x, xp: xp.roll(x, -13, 2),
    "roll flat": lambda x, xp: xp.roll(x, 7),
    "pad": lambda x, xp: xp.pad(x, 2),
    "pad pair": lambda x, xp: xp.pad(x, (1, 3)),
    "pad edge": lambda x, xp: xp.pad(x, ((1, 2), (0, 0), (3, 0)), mode="edge"),
    "pad reflect": lambda x, xp: xp.pad(x, ((1, 2), (0, 9), (3, 0)), mode="reflect"),
    "pad symmetric": lambda x, xp: xp.pad(x, 7, mode="symmetric"),
    "pad wrap": lambda x, xp: xp.pad(x, 7, mode="wrap"),
    "diagonal": lambda x, xp: xp.diagonal(x, 1),
    "diagonal below": lambda x, xp: xp.diagonal(x, -2, 2, 0),
    "diagonal outside": lambda x, xp: xp.diagonal(x, 9),
    "diag of vector": lambda x, xp: xp.diag(x[0, 0], 2),
    "diag of vector below": lambda x, xp: xp.diag(x[0, 0], -1),
    "diag of matrix": lambda x, xp: xp.diag(x[0], -1),
    "triu": lambda x, xp: xp.triu(x, 1),
    "tril": lambda x, xp: xp.tril(x, -1),
    "take": lambda x, xp: xp.take(x, [[3, -1], [0, 0]], 1),
    "take flat": lambda x, xp: x.take([100, -1]),
    "take_along_axis": lambda x, xp: xp.take_along_axis(x, ORDER, 1),
}
NEED_KNOWN = {"repeat by counts"}


@pytest.mark.parametrize("known", [True, False], ids=["known dims", "unknown dims"])
@pytest.mark.parametrize("name", SAME)
def test_shape_op_equals_numpy(name, known):
    x = sc.tensor("float32", A.shape if known else (None,) * 3)
    want, out = SAME[name](A, np), SAME[name](x, sc)
    got = evaluate([out], {x: A})[0]
    assert got.shape == want.shape and got.dtype == want.dtype
    np.testing.assert_array_equal(got, want)
    assert out.type.accepts(sc.TensorType("float32", want.shape))
    if known:
        assert out.type.shape == want.shape


@pytest.mark.parametrize(
    "pattern,like",
    [
        ((1, "x", 0, 2), lambda a: a.transpose(1, 0, 2)[:, None]),
        (("x", 2, 1, 0, "x"), lambda a: a.T[None, ..., None]),
        ((0, 1, 2), lambda a: a),
    ],
)
def test_dimshuffle_moves_and_inserts_axes(pattern, like):
    x = sc.tensor3()
    np.testing.assert_array_equal(evaluate([x.dimshuffle(*pattern)], {x: A})[0], like(A))
    np.testing.assert_array_equal(evaluate([x.dimshuffle(pattern)], {x: A})[0], like(A))


def test_dimshuffle_drops_axes_of_length_one():
    x = sc.tensor("float32", (1, 5, None))
    out = x.dimshuffle(1)
    assert out.type.shape == (5,)
    np.testing.assert_array_equal(evaluate([out], {x: A[:1, :, :1]})[0], A[0, :, 0])


def test_pad_with_a_value():
    x, v = sc.tensor3(), sc.scalar()
    got = evaluate([sc.pad(x, 1, value=v)], {x: A, v: np.float32(3)})[0]
    np.testing.assert_array_equal(got, np.pad(A, 1, constant_values=3))


def test_symbolic_sizes():
    x, n = sc.matrix(), sc.iscalar()
    values = {x: A[0], n: np.int32(2)}
    for out, want in (
        (sc.repeat(x, n, 0), np.repeat(A[0], 2, 0)),
        (sc.tile(x, (n, 1)), np.tile(A[0], (2, 1))),
        (x.reshape((n, -1)[::-1]), A[0].reshape(-1, 2)),
        (sc.split(x, [n, x.shape[0] - n])[1], A[0, 2:]),
        (sc.zeros((n, 3)), np.zeros((2, 3), "float32")),
        (sc.broadcast_to(x[:1], (n, x.shape[1])), A[0, [0, 0]]),
        (x.reshape(sc.stack([x.shape[1], x.shape[0]])), A[0].reshape(6, 5)),
        (sc.as_variable([n, 5]), np.array([2, 5])),
    ):
        got = evaluate([out], values)[0]
        np.testing.assert_array_equal(got, want)
        assert got.shape == want.shape


def simplified(build, shape):
    x = sc.tensor("float32", (None,) * len(shape))
    graph, _, _ = specialize([build(x)], [], [x], [shape], int)
    return graph.outputs[0], graph.inputs[0]


@pytest.mark.parametrize(
    "build,shape",
    [
        (lambda x: x.T.T, (3, 4)),
        (lambda x: x.reshape((4, 3)).reshape((3, 4)), (3, 4)),
        (lambda x: sc.concatenate([x[:0], x, x[:0]]), (3, 4)),
        (lambda x: sc.pad(x, 0), (3, 4)),
        (lambda x: x[:, :4], (3, 4)),
        (lambda x: sc.broadcast_to(x, (3, 4)), (3, 4)),
        (lambda x: sc.set_subtensor(x[:, 2:2], 5), (3, 4)),
        (lambda x: sc.squeeze(sc.expand_dims(x, 1), 1), (3, 4)),
    ],
)
def test_what_changes_nothing_vanishes(build, shape):
    out, x = simplified(build, shape)
    assert out is x


@pytest.mark.parametrize(
    "build",
    [lambda x: sc.moveaxis(x, 0, 1), lambda x: sc.broadcast_to(x, (1, 1, 3, 4)), lambda x: x[:, None]],
)
def test_moving_axes_of_length_one_is_a_reshape(build):
    out, x = simplified(build, (1, 3, 4))
    assert out.owner.op.name == "reshape" and out.owner.inputs[0] is x


X, V = sc.tensor("float32", (4, 5, 6), "X"), sc.tensor("float32", (6,), "V")
BAD = [
    (lambda: sc.concatenate([X, V]), ShapeError, "one rank and dtype"),
    (lambda: sc.concatenate([X, X[:, :2]]), ShapeError, "dimensions [2, 5] of axis 1 differ"),
    (lambda: sc.concatenate([X, X], 3), ShapeError, "axis 3 is out of range"),
    (lambda: sc.concatenate([]), ShapeError, "at least one tensor"),
    (lambda: sc.concatenate(X), ShapeError, "takes a list"),
    (lambda: sc.stack([X, V]), ShapeError, "all tensors must have one rank"),
    (lambda: sc.split(X, 4, 1), ShapeError, "does not divide into 4"),
    (lambda: sc.split(X, [1, 2], 1), ShapeError, "do not add up to the 5"),
    (lambda: sc.split(X, [6, -1], 1), ShapeError, "cannot be negative"),
    (lambda: sc.squeeze(X, 0), ShapeError, "axis 0 has length 4, not 1"),
    (lambda: sc.expand_dims(X, 5), ShapeError, "out of range"),
    (lambda: X.dimshuffle(0, 1), ShapeError, "drops axis 2"),
    (lambda: X.dimshuffle(0, 1, 1, 2), ShapeError, "twice"),
    (lambda: sc.transpose(X, (0, 1, 1)), ShapeError, "no permutation"),
    (lambda: sc.moveaxis(X, (0, 0), (1, 2)), ShapeError, "distinct axes"),
    (lambda: sc.broadcast_to(X, (4, 5, 7)), ShapeError, "does not broadcast"),
    (lambda: X.reshape((7, -1)), ShapeError, "does not divide"),
    (lambda: X.reshape((-1, -1)), ShapeError, "only one dimension may be -1"),
    (lambda: X.reshape((7, 7)), ShapeError, "120 elements do not fill"),
    (lambda: sc.repeat(X, [1, 2], 0), ShapeError, "2 counts for axis 0"),
    (lambda: sc.repeat(X, [1, -2, 1, 1], 0), ShapeError, "non-negative integers"),
    (lambda: sc.pad(X, -1), ShapeError, "integers of 0 or more"),
    (lambda: sc.pad(X, (1, 2, 3)), ShapeError, "for each axis"),
    (lambda: sc.pad(X, 1, "shiny"), ShapeError, "mode must be"),
    (lambda: sc.pad(X[:0], 1, "edge"), ShapeError, "empty axis"),
    (lambda: sc.diagonal(V), ShapeError, "needs a matrix"),
    (lambda: sc.diag(X), ShapeError, "a vector or a matrix"),
    (lambda: sc.take(X, 1.5, 0), DTypeError, "must hold integers"),
    (lambda: sc.take_along_axis(X, [0], 0), ShapeError, "1 dimensions, x has 3"),
]


@pytest.mark.parametrize("make,error,text", BAD, ids=[text for _, _, text in BAD])
def test_bad_shapes_raise_where_they_are_written(make, error, text):
    with pytest.raises(error, match=re.escape(text)):
        make()
