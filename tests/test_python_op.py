"""as_op: Python functions on NumPy arrays as ops."""

from __future__ import annotations

import numpy as np
import pytest

import symconv as sc
from symconv.errors import ArgumentError, ExecutionError


@sc.as_op
def sorted_rows(x):
    """Each row in order."""
    return np.sort(x, axis=-1)


def test_a_python_function_is_a_visible_step(core):
    x = sc.matrix("x")
    f = sc.function([x], sorted_rows(x) * 2)
    assert np.array_equal(f(np.array([[3, 1, 2]], "f4")), [[2, 4, 6]])
    text = f.explain()
    assert "REFERENCE" in text and "sorted_rows" in text and "it is a Python function" in text
    assert sorted_rows.__doc__ == "Each row in order." and sorted_rows(x) is sorted_rows(x)


def test_a_python_function_with_types_and_a_gradient():
    @sc.as_op(
        infer=lambda x: (x, sc.TensorType("int64", x.shape)),
        grad=lambda inputs, outputs, dys: [dys[0] * 2 * inputs[0]],
    )
    def square_and_sign(x):
        return x * x, np.sign(x).astype("int64")

    x = sc.vector("x")
    square, sign = square_and_sign(x)
    f = sc.function([x], [square, sign, sc.grad(square.sum(), x)])
    a, b, c = f(np.array([-2, 3], "f4"))
    assert a.tolist() == [4, 9] and b.tolist() == [-1, 1] and c.tolist() == [-4, 6]


def test_mistakes_of_python_functions_name_them():
    @sc.as_op
    def wide(x):
        return x.astype("float64")

    @sc.as_op(infer=lambda x: "float32", name="untyped")
    def untyped(x):
        return x

    x = sc.vector("x")
    f = sc.function([x], wide(x), device="reference")
    with pytest.raises(ExecutionError, match=r"wide.*result 0 is float64\[1\], infer says float32\[1\]"):
        f(np.ones(1, "f4"))
    with pytest.raises(sc.errors.ShapeError, match="infer of untyped .test_python_op.py:.* gave 'float32'"):
        untyped(x)
    with pytest.raises(sc.errors.GradientError, match="wide .test_python_op.py:.*has no gradient"):
        sc.grad(wide(x).sum(), x)
    with pytest.raises(ArgumentError, match="takes a function of arrays"):
        sc.as_op(3)


def test_a_numba_function_is_an_op():
    numba = pytest.importorskip("numba")

    @sc.as_op
    @numba.njit
    def running_sum(x):
        out, total = np.empty_like(x), 0.0
        for i in range(x.size):
            total += x[i]
            out[i] = total
        return out

    x = sc.vector("x")
    assert sc.function([x], running_sum(x))(np.arange(4, dtype="f4")).tolist() == [0, 1, 3, 6]
    assert running_sum.__name__ == "running_sum"


@pytest.mark.parametrize("device", ["reference", "cpu"])
def test_a_python_function_cannot_change_what_others_read(device):
    if device == "cpu":
        pytest.importorskip("symconv._core")

    @sc.as_op
    def doubled_in_place(x):
        x *= 2
        return x

    x = sc.vector("x")
    y = sc.exp(x)
    f = sc.function([x], [y, doubled_in_place(y)], device=device)
    line = doubled_in_place.op.function.__code__.co_firstlineno + 2
    message = (
        rf"(?s)test_python_op.py:{line}: ValueError: .*read-only\n  hint: the function changes an argument"
    )
    with pytest.raises(ExecutionError, match=message):
        f(np.zeros(2, "f4"))


def test_an_exception_in_a_python_function_is_told_with_its_line():
    @sc.as_op
    def broken(x):
        return {}["missing"]

    x = sc.vector("x")
    line = broken.op.function.__code__.co_firstlineno + 2
    with pytest.raises(ExecutionError, match=rf"broken.*test_python_op.py:{line}: KeyError: 'missing'"):
        sc.function([x], broken(x), device="reference")(np.zeros(2, "f4"))
