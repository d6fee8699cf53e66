"""The element-wise kernel's loops for two instructions: their values are those of one after the other."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from symconv.graph import TensorType, Variable
from symconv.ops.arithmetic import Add, Mul, Sub
from symconv.ops.elementwise_kernel import ELEMENTWISE
from symconv.ops.fused import FusedElementwise

_core = pytest.importorskip("symconv._core", reason="the C++ core is not built")

pytest_plugins = ["core_fixtures"]

OPS = (Add(), Sub(), Mul())


def check(program: tuple, outputs: tuple[int, ...], arrays: list[np.ndarray]) -> None:
    """The kernel's outputs are bit-equal to NumPy's, instruction by instruction."""
    op = FusedElementwise(program, outputs)
    node = op.make(*(Variable(TensorType(str(a.dtype), a.shape)) for a in arrays))
    outs = [np.full(o.type.shape, 7, o.dtype) for o in node.outputs]
    _core.call_kernel("elementwise", ELEMENTWISE.launch(node).params, arrays, outs)
    wants = op.reference(*arrays)
    for got, want in zip(outs, wants if isinstance(wants, tuple) else (wants,)):
        np.testing.assert_array_equal(got, want)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("single", list(itertools.product((False, True), repeat=3)), ids=str)
def test_every_pair(single: tuple[bool, ...], dtype: str, isa: str) -> None:
    """(a . b) . c and c . (a . b), each operand one value or a block; both operations round."""
    n = 1037
    rng = np.random.default_rng(5)
    arrays = [
        np.asarray(1 + 2.0**-12 if one else rng.standard_normal(n), dtype).reshape(() if one else n)
        for one in single
    ]
    arrays.append(np.zeros(n, dtype))  # so that the output is a block where no operand is
    for first, second, order in itertools.product(OPS, OPS, ((4, 2), (2, 4))):
        check(((first, (0, 1)), (second, order), (Add(), (5, 3))), (2,), arrays)


@pytest.mark.parametrize(
    "program, outputs",
    [
        (((Mul(), (0, 1)), (Sub(), (3, 3))), (1,)),  # the second reads the first twice
        (((Mul(), (0, 1)), (Sub(), (3, 2))), (0, 1)),  # the first is a result
        (((Mul(), (0, 1)), (Sub(), (3, 2)), (Mul(), (3, 4))), (2,)),  # a third reads the first
        (((Mul(), (0, 1)), (Sub(), (2, 3)), (Add(), (4, 0)), (Mul(), (5, 1))), (3,)),  # pair after pair
        (((Mul(), (0, 0)), (Mul(), (3, 0)), (Add(), (4, 4))), (2,)),
    ],
)
@pytest.mark.parametrize(
    "shapes", [((513,), (513,), (513,)), ((5, 300), (300,), (5, 1)), ((700, 3), (3,), ())]
)
def test_who_else_reads(program: tuple, outputs: tuple[int, ...], shapes: tuple) -> None:
    rng = np.random.default_rng(6)
    check(program, outputs, [rng.standard_normal(s).astype("float32") for s in shapes])


def test_integers_stay_apart() -> None:
    rng = np.random.default_rng(7)
    arrays = [rng.integers(-1000, 1000, 77).astype("int16") for _ in range(3)]
    check(((Mul(), (0, 1)), (Add(), (3, 2))), (1,), arrays)


@pytest.mark.parametrize("n", [1, 3, 8, 31, 2047, 2049])
def test_in_place(n: int) -> None:
    """The result over each of its operands."""
    op = FusedElementwise(((Mul(), (0, 1)), (Sub(), (3, 2))), (1,))
    for k in range(3):
        arrays = [np.random.default_rng(i).standard_normal(n).astype("float32") for i in range(3)]
        want = op.reference(*arrays)
        node = op.make(*(Variable(TensorType("float32", (n,))) for _ in arrays))
        _core.call_kernel("elementwise", ELEMENTWISE.launch(node).params, arrays, [arrays[k]])
        np.testing.assert_array_equal(arrays[k], want)
