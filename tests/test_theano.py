"""symconv.theano: imports, variables, dtype rules, functions."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

import symconv.theano as theano
import symconv.theano.tensor as T
from symconv import errors


@pytest.fixture(autouse=True)
def float_x():
    before = theano.config.floatX
    yield
    theano.config.floatX = before


@pytest.mark.parametrize(
    "build, dtype",
    [
        (lambda: T.fmatrix() + T.wmatrix(), "float32"),
        (lambda: T.fmatrix() + T.imatrix(), "float64"),
        (lambda: T.fmatrix() * T.lscalar(), "float64"),
        (lambda: T.bvector() + T.wvector(), "int16"),
        (lambda: T.fmatrix() * 2, "float32"),
        (lambda: T.fmatrix() * 0.1, "float64"),  # floatX is float64, and float32 does not hold 0.1
        (lambda: T.fmatrix() * 0.5, "float32"),
        (lambda: T.bvector() + 1, "int8"),
        (lambda: T.bvector() + 1000, "int16"),
        (lambda: T.ivector() / T.ivector(), "float64"),
        (lambda: T.ivector() // 2, "int32"),
        (lambda: T.exp(T.ivector()), "float64"),
        (lambda: T.exp(T.wvector()), "float32"),
        (lambda: T.eq(T.ivector(), 1), "bool"),
        (lambda: 1 - T.eq(T.ivector(), 1), "int8"),
        (lambda: T.mean(T.eq(T.ivector(), 1)), "float64"),
        (lambda: T.mean(T.fvector()), "float32"),
        (lambda: T.mean(T.ivector()), "float64"),
        (lambda: T.sum(T.ivector()), "int64"),
        (lambda: T.argmax(T.fvector()), "int64"),
        (lambda: T.dot(T.fmatrix(), T.dmatrix()), "float64"),
        (lambda: T.fvector() * np.float64(2), "float64"),
    ],
)
def test_dtypes_follow_theano(build, dtype):
    assert build().dtype == dtype


def test_floats_under_float32():
    theano.config.floatX = "float32"
    assert T.matrix().dtype == "float32"
    assert (T.fmatrix() * 0.1).dtype == "float32"
    assert (T.ivector() / T.ivector()).dtype == "float32"


def test_a_runtime_one_does_not_stretch():
    x, y = T.matrix("x"), T.matrix("y")
    f = theano.function([x, y], x + y)
    np.testing.assert_array_equal(f(np.ones((1, 1)), np.ones((1, 1))), [[2]])
    with pytest.raises(errors.ShapeError, match="addbroadcast"):
        f(np.ones((1, 3)), np.ones((2, 3)))
    g = theano.function([x, y], T.addbroadcast(x, 0) + y)
    np.testing.assert_array_equal(g(np.ones((1, 3)), np.ones((2, 3))), np.full((2, 3), 2.0))
    with pytest.raises(errors.ShapeError, match="addbroadcast"):
        g(np.ones((2, 3)), np.ones((2, 3)))


def test_identity_and_truth():
    x, y = T.scalars("x", "y")
    assert x == x and x != y and len({x, y}) == 2 and bool(x + y)
    with pytest.raises(TypeError, match="switch"):
        bool(x > y)


def test_updates_see_old_values_and_must_fit():
    w = theano.shared(np.float32([1, 2]), name="w")
    f = theano.function([], w.sum(), updates=[(w, w + 1)])
    assert f() == 3 and f() == 5
    with pytest.raises(errors.DTypeError, match="float32, vector.*\n.*float64, vector"):
        theano.function([], updates=[(w, w * T.ones((2,), "float64"))])


def test_program_with_import_theano(tmp_path):
    program = tmp_path / "program.py"
    program.write_text(
        "import sys\nimport theano\nimport theano.tensor as T\nfrom theano import theano as again\n"
        "from theano import function, shared\nassert again is theano\n"
        "x = T.dmatrix('x')\nprint(theano.function([x], (x ** 2).sum())([[1, 2], [3, 4]]), sys.argv[1:])\n"
    )
    done = subprocess.run(
        [sys.executable, "-m", "symconv.theano", str(program), "a", "b"], capture_output=True, text=True
    )
    assert done.stdout == "30.0 ['a', 'b']\n", done.stderr
