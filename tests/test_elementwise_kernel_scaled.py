"""The element-wise kernel's loops for a function between scales and shifts: their values are those of one
instruction after the other."""

from __future__ import annotations

import numpy as np
import pytest

from symconv.graph import Op, TensorType, Variable
from symconv.ops.activations import Sigmoid, Softplus
from symconv.ops.arithmetic import Add, Mul, Sqrt, Sub
from symconv.ops.elementwise_kernel import ELEMENTWISE
from symconv.ops.fused import FusedElementwise
from symconv.ops.transcendental import Erf, Exp, Log, Tanh

_core = pytest.importorskip("symconv._core", reason="the C++ core is not built")

pytest_plugins = ["core_fixtures"]

FUNCTIONS = (Exp(), Log(), Tanh(), Sigmoid(), Softplus(), Erf(), Sqrt())
Program = tuple[tuple[Op, tuple[int, ...]], ...]


def run(op: Op, arrays: list[np.ndarray], outs: list[np.ndarray] | None = None) -> list[np.ndarray]:
    node = op.make(*(Variable(TensorType(str(a.dtype), a.shape)) for a in arrays))
    outs = outs or [np.full(o.type.shape, 7, o.dtype) for o in node.outputs]
    _core.call_kernel("elementwise", ELEMENTWISE.launch(node).params, arrays, outs)
    return outs


def check(program: Program, arrays: list[np.ndarray], outputs: tuple[int, ...] | None = None) -> None:
    """All of the program in one call, bit-equal to one call for each instruction."""
    values = list(arrays)
    for op, args in program:
        values += run(op, [values[i] for i in args])
    outputs = outputs or (len(program) - 1,)
    got = run(FusedElementwise(program, outputs), arrays)
    for out, which in zip(got, outputs):
        want = values[len(arrays) + which]
        np.testing.assert_array_equal(out, want)
        assert not np.any(np.signbit(out) != np.signbit(want), where=~np.isnan(want))  # of zeros, too


def chain(function: Op, scale: bool, shift: bool, again: bool, more: bool, flip: bool) -> Program:
    """x * a + b, F, * c + d, as far as asked for, of inputs x, a to d; flip: the single ones come first."""
    program: list[tuple[Op, tuple[int, ...]]] = []

    def step(op: Op, single: int) -> None:
        last = len(program) + 4 if program else 0
        program.append((op, (single, last) if flip else (last, single)))

    if scale:
        step(Mul(), 1)
    if shift:
        step(Add(), 2)
    program.append((function, (len(program) + 4 if program else 0,)))
    if again:
        step(Mul(), 3)
    if more:
        step(Add(), 4)
    return tuple(program)


def operands(n: int, seed: int = 3) -> list[np.ndarray]:
    """x with what is special among it, and a to d such that products are not exact."""
    x = (np.random.default_rng(seed).standard_normal(n) * 3).astype("float32")
    special = [0, -0.0, np.inf, -np.inf, np.nan, 1e-42, -1e-42, 88, -88, 104, -104, 3e38, -3e38]
    x[: len(special)] = special[:n]
    return [x, *(np.asarray(v, "float32") for v in (1.1, 0.3, -0.7, 1 + 2**-20))]


@pytest.mark.parametrize("function", FUNCTIONS, ids=lambda f: type(f).__name__)
@pytest.mark.filterwarnings("ignore")
def test_every_chain(function: Op, isa: str) -> None:
    for bits in range(32):
        wanted = [bool(bits >> i & 1) for i in range(5)]
        check(chain(function, *wanted), operands(1037))


@pytest.mark.parametrize("n", [1, 2, 15, 16, 17, 63, 64, 65, 255, 2047, 2049])
def test_lengths(n: int, isa: str) -> None:
    arrays = operands(max(n, 20))
    arrays[0] = arrays[0][-n:].copy()
    check(chain(Sigmoid(), True, True, True, True, False), arrays)


@pytest.mark.parametrize(
    "program, outputs",
    [
        (((Mul(), (0, 1)), (Exp(), (3,)), (Mul(), (4, 3))), (2,)),  # the first is read twice
        (((Mul(), (0, 1)), (Exp(), (3,)), (Mul(), (4, 2))), (0, 2)),  # the first is a result
        (((Mul(), (0, 1)), (Exp(), (3,)), (Mul(), (4, 2))), (1, 2)),  # the function is one
        (((Exp(), (0,)), (Mul(), (3, 3))), (1,)),
        (((Exp(), (0,)), (Add(), (3, 1)), (Mul(), (4, 2))), (2,)),  # a shift, and a scale of its own
        (((Mul(), (0, 1)), (Add(), (3, 2)), (Exp(), (4,)), (Add(), (5, 0))), (3,)),
        (((Sub(), (0, 1)), (Tanh(), (3,)), (Mul(), (4, 1)), (Sigmoid(), (5,)), (Add(), (6, 2))), (4,)),
        (((Mul(), (1, 2)), (Exp(), (3,)), (Mul(), (4, 0))), (2,)),  # single values only, at first
        (((Exp(), (1,)), (Mul(), (3, 0)), (Tanh(), (4,))), (2,)),
    ],
)
@pytest.mark.parametrize(
    "shapes", [((513,), (), ()), ((5, 300), (300,), (5, 1)), ((700, 3), (3,), ()), ((6, 200), (6, 1), (6, 1))]
)
def test_who_else_reads(program: Program, outputs: tuple[int, ...], shapes: tuple) -> None:
    rng = np.random.default_rng(6)
    arrays = [rng.standard_normal(s).astype("float32") for s in shapes]
    want = FusedElementwise(program, outputs).reference(*arrays)
    wants = want if isinstance(want, tuple) else (want,)
    for got, desired in zip(run(FusedElementwise(program, outputs), arrays), wants, strict=True):
        np.testing.assert_allclose(got, desired, rtol=2e-6, atol=2e-7)


def test_float64_stays_apart() -> None:
    arrays = [a.astype("float64") for a in operands(99)]
    check(chain(Tanh(), True, True, True, True, False), arrays)


@pytest.mark.parametrize("n", [20, 2049])
def test_in_place(n: int, isa: str) -> None:
    arrays = operands(n)
    op = FusedElementwise(chain(Tanh(), True, True, True, True, False), (4,))
    (want,) = run(op, arrays)
    (got,) = run(op, arrays, [arrays[0]])
    np.testing.assert_array_equal(got, want)


@pytest.mark.parametrize("offset", [0, 5])
def test_past_the_caches(offset: int, isa: str) -> None:
    """Outputs of more than 32 MiB, aligned or not; the input ends where the pages of its array do."""
    n = (33 << 20) // 4
    x = np.resize(operands(100_003)[0], n)
    _, *singles = operands(20)
    out = np.full(n + 64, 7, "float32")
    op = FusedElementwise(chain(Sigmoid(), True, True, True, True, False), (4,))
    run(op, [x, *singles], [out[offset : n + offset]])
    (want,) = run(op, [x[:200_006], *singles])
    np.testing.assert_array_equal(out[offset : offset + 200_006], want)
    np.testing.assert_array_equal(out[offset + n - 7 : offset + n], run(op, [x[-7:], *singles])[0])
    assert set(out[:offset]) | set(out[n + offset :]) == {7}
    for function in (Exp(), Tanh()):  # alone
        run(function, [x], [out[offset : n + offset]])
        np.testing.assert_array_equal(out[offset : offset + 200_006], run(function, [x[:200_006]])[0])
