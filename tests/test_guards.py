"""Guards as Python code give what the reference gives, wrap-around included, or decline."""

from __future__ import annotations

import numpy as np
import pytest

import symconv as sc
from symconv.backends.reference import evaluate
from symconv.errors import IndexRangeError
from symconv.ops.shape import shape_of
from symconv.ops.slicing import IndexStart, slice_bounds
from symconv.plan.guards import compile_guards

I, J, N = sc.lscalar("i"), sc.tensor("int8", (), "j"), sc.matrix("n")
DATA = sc.shared(np.zeros((7, 3), "float32"), shape=(None, None))
VALUES = [(i, j) for i in (-9, -1, 0, 2, 6, 7, 40) for j in (-128, -3, 0, 5, 127)]

EXPRESSIONS = {
    "arithmetic": (I * 3 + 1 - I // 4) % 5,
    "wraps": sc.cast(J + J, "int64") - sc.cast(-J, "int64") + sc.cast(J * J, "int64"),
    "no_divisor": I // (I - 2) + I % (I - 2),
    "extremes": sc.maximum(sc.minimum(I, 4), -2) + sc.abs(I) + sc.square(I),
    "shapes": shape_of(N, 0) * shape_of(DATA, 1) + shape_of(sc.cast(N, "int32"), 1),
    "slice": slice_bounds(I, I + 3, 1, shape_of(DATA, 0))[1],
    "slice_backwards": slice_bounds(I, None, -2, shape_of(DATA, 0))[1],
}


@pytest.mark.parametrize("name", EXPRESSIONS)
def test_guards_equal_reference(name):
    v = sc.cast(EXPRESSIONS[name], "int64")
    code = compile_guards([v, I], [I, J, N])
    assert code is not None
    for i, j in VALUES:
        arrays = [np.int64(i), np.int8(j), np.zeros((2, 5), "float32")]
        want = evaluate([v, I], dict(zip((I, J, N), (np.asarray(a) for a in arrays))))
        assert code(arrays) == tuple(int(w) for w in want), (i, j)


def test_guards_raise_for_an_index_out_of_range():
    code = compile_guards([IndexStart(0)(I, shape_of(DATA, 0))], [I])
    assert code([np.int64(-7)]) == (0,)
    with pytest.raises((IndexError, IndexRangeError), match="out of range"):
        code([np.int64(7)])


def test_guards_decline_what_they_do_not_know():
    assert compile_guards([sc.cast(sc.sum(N), "int64")], [N]) is None
    assert compile_guards([sc.cast(N[0, 0], "int64")], [N]) is None
