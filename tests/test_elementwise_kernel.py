"""The element-wise kernel: accuracy, programs, broadcasting, and what check() refuses."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest

import symconv as sc
from symconv.graph import TensorType, Variable
from symconv.graph.params import pack
from symconv.graph.types import KERNEL_DTYPES
from symconv.ops import (
    activations,
    arithmetic,
    bits,
    elementwise_kernel,
    inverse_trig,
    logic,
    rounding,
    transcendental,
)
from symconv.ops.activations import Sigmoid
from symconv.ops.arithmetic import Add, Cast, Mul
from symconv.ops.elementwise_base import Elementwise
from symconv.ops.elementwise_kernel import ELEMENTWISE, inplace_pairs, program_of, table
from symconv.ops.fused import FusedElementwise
from symconv.ops.logic import Gt, Where

_core = pytest.importorskip("symconv._core", reason="the C++ core is not built")

pytest_plugins = ["core_fixtures"]


def run(op, *arrays: np.ndarray) -> list[np.ndarray]:
    """The op's node by the kernel, its outputs filled with rubbish first."""
    node = op.make(*(Variable(TensorType(str(a.dtype), a.shape)) for a in arrays))
    assert ELEMENTWISE.supports(node) is None
    outs = [np.empty(o.type.shape, o.dtype) for o in node.outputs]
    for out in outs:
        out.view("uint8" if out.ndim else out.dtype)[...] = 0xA5 if out.ndim else 1
    _core.call_kernel("elementwise", ELEMENTWISE.launch(node).params, list(arrays), outs)
    return outs


def ulps(actual: np.ndarray, desired: np.ndarray) -> np.ndarray:
    """|actual - desired| in units in the last place of float32; inf where only one is finite."""
    with np.errstate(over="ignore", invalid="ignore"):
        rounded = desired.astype("float32")
        unit = np.spacing(np.abs(np.where(np.isfinite(rounded), rounded, np.float32(3e38)))).astype("float64")
        error = np.abs(actual.astype("float64") - desired) / unit
    same = (actual == rounded) | (np.isnan(actual) & np.isnan(rounded))
    return np.where(same, 0, np.where(np.isfinite(error), error, np.inf))


def every_magnitude() -> np.ndarray:
    """Floats of all exponents and both signs, dense near 1, with denormals, limits, inf and NaN."""
    bits = np.arange(0, 2**31, 104_729, dtype="uint32")
    spread = np.concatenate([bits, bits | np.uint32(1 << 31)]).view("float32")
    line = np.concatenate([np.linspace(-110, 110, 200_003), np.linspace(-2, 2, 100_003)]).astype("float32")
    odd = np.float32(
        [0.0, -0.0, 1, -1, math.inf, -math.inf, math.nan, 3.4e38, -3.4e38, 1e-45, -1e-45, 1.2e-38]
    )
    multiples = (np.arange(-40_000, 40_000) * (np.pi / 4)).astype("float32")
    return np.concatenate([spread, line, odd, multiples])


def float64(name: str, x: np.ndarray) -> np.ndarray:
    with np.errstate(all="ignore"):
        wide = x.astype("float64")
        return np.asarray(getattr(sc.ops, name)(sc.as_variable(wide)).owner.op.compute(wide))


FUNCTIONS = {
    "exp": 2, "expm1": 3, "log": 2, "log1p": 3, "tanh": 4, "sigmoid": 4, "softplus": 4, "sin": 2, "cos": 2,
    "tan": 4, "erf": 3, "erfc": 1, "sqrt": 0.5, "reciprocal": 0.5, "elu": 3, "floor": 0, "ceil": 0,
    "trunc": 0, "round": 0, "arcsin": 2, "arccos": 2, "arctan": 2,
}  # fmt: skip


@pytest.mark.parametrize("name", FUNCTIONS)
def test_float32_function_accuracy(name: str, isa: str) -> None:
    x = every_magnitude()
    op = getattr(sc.ops, name)(sc.as_variable(np.float32(1))).owner.op
    (y,) = run(op, x)
    error = ulps(y, float64(name, x))
    worst = int(np.argmax(error))
    limit = FUNCTIONS[name] + 0.01
    assert error[worst] <= limit, f"{name}({x[worst]!r}) = {y[worst]!r}: {error[worst]:.2f} ulp"


@pytest.mark.parametrize(
    "name",
    [
        "exp",
        "log",
        "tanh",
        "sigmoid",
        "softplus",
        "sin",
        "erf",
        "erfc",
        "expm1",
        "log1p",
        "tan",
        "arcsin",
        "arccos",
        "arctan",
    ],
)
def test_float64_function_accuracy(name: str, isa: str) -> None:
    x = np.concatenate(
        [np.linspace(-30, 30, 20_001), [0.0, 1e-300, 700, -700, math.inf, -math.inf, math.nan]]
    )
    op = getattr(sc.ops, name)(sc.as_variable(np.float64(1))).owner.op
    with np.errstate(all="ignore"):
        np.testing.assert_allclose(run(op, x)[0], float64(name, x), rtol=2e-15)


def test_float32_power_accuracy(isa: str) -> None:
    rng = np.random.default_rng(5)
    odd = np.float32([0, -0.0, 1, -1, 2, -2, 0.5, math.inf, -math.inf, math.nan, 1e-45, 3.4e38, 3, -3, 2.5])
    a = np.concatenate(
        [np.exp(rng.uniform(-100, 88, 100_000)), rng.uniform(-3, 3, 20_000), np.repeat(odd, 15)]
    )
    b = np.concatenate([rng.uniform(-3, 3, 50_000), rng.uniform(-40, 40, 70_000), np.tile(odd, 15)])
    a, b = a.astype("float32"), b.astype("float32")
    (y,) = run(arithmetic.Power(), a, b)
    with np.errstate(all="ignore"):
        error = ulps(y, np.power(a.astype("float64"), b.astype("float64")))
    worst = int(np.argmax(error))
    assert error[worst] <= 1.01, f"{a[worst]!r} ** {b[worst]!r} = {y[worst]!r}: {error[worst]:.2f} ulp"
    parts = [run(arithmetic.Power(), a[i : i + 7], b[i : i + 7])[0] for i in range(0, 7000, 7)]
    np.testing.assert_array_equal(np.concatenate(parts), y[:7000])  # no value depends on its neighbours


def test_float32_angle_accuracy(isa: str) -> None:
    rng = np.random.default_rng(6)
    odd = np.float32([0, -0.0, 1, -1, 0.5, -3, math.inf, -math.inf, math.nan, 1e-45, -1e-45, 3.4e38, -3.4e38])
    y = np.concatenate(
        [rng.standard_normal(100_000), np.exp(rng.uniform(-90, 88, 20_000)), np.repeat(odd, 13)]
    )
    x = np.concatenate(
        [rng.standard_normal(100_000), -np.exp(rng.uniform(-90, 88, 20_000)), np.tile(odd, 13)]
    )
    y, x = y.astype("float32"), x.astype("float32")
    (angle,) = run(inverse_trig.ArcTan2(), y, x)
    error = ulps(angle, np.arctan2(y.astype("float64"), x.astype("float64")))
    worst = int(np.argmax(error))
    assert error[worst] <= 2.01, (
        f"arctan2({y[worst]!r}, {x[worst]!r}) = {angle[worst]!r}: {error[worst]:.2f} ulp"
    )
    same = np.signbit(angle) == np.signbit(np.arctan2(y, x))
    assert (same | np.isnan(angle)).all()  # also of zeros
    parts = [run(inverse_trig.ArcTan2(), y[i : i + 7], x[i : i + 7])[0] for i in range(0, 7000, 7)]
    np.testing.assert_array_equal(np.concatenate(parts), angle[:7000])


def test_float32_integer_powers_are_exact(isa: str) -> None:
    pairs = [(a, b) for a in range(1, 4097) for b in range(25) if a**b < 2**24]
    a, b = np.array(pairs, "float32").T.copy()
    (y,) = run(arithmetic.Power(), a, b)
    np.testing.assert_array_equal(y.astype("int64"), [i**j for i, j in pairs])


@pytest.mark.parametrize("n", [0, 1, 3, 7, 8, 9, 15, 16, 17, 31, 255, 256, 257, 2047, 2048, 2049, 200_003])
def test_lengths(n: int, isa: str) -> None:
    x = np.arange(n, dtype="float32") - 5
    for op in (rounding.Floor(), transcendental.Exp(), activations.Relu()):
        guarded = np.full(n + 2, 77, "float32")
        node = op.make(Variable(TensorType("float32", (n,))))
        _core.call_kernel("elementwise", ELEMENTWISE.launch(node).params, [x], [guarded[1:-1]])
        np.testing.assert_allclose(guarded[1:-1], op.reference(x), rtol=1e-6)
        assert guarded[0] == guarded[-1] == 77


SHAPES = [
    ((5, 1), (1, 7)), ((3, 1, 5), (7, 1)), ((2, 3, 300), (3, 1)), ((2, 3, 300), (300,)), ((700, 3), (3,)),
    ((700, 3), (700, 1)), ((2, 1, 3, 1, 5), (2, 3, 1, 7, 1)), ((1,), (13, 11, 7)), ((), (513,)),
    ((3, 1, 193), (5, 1)),
    ((2, 3, 5, 7), (2, 1, 5, 1)), ((0, 3), (3,)), ((4099, 2), (4099, 1)), ((31, 1025), (1025,)), ((1, 1), ()),
]  # fmt: skip


@pytest.mark.parametrize("shapes", SHAPES, ids=str)
@pytest.mark.parametrize("dtype", ["int8", "int16", "float32", "float64"])
@pytest.mark.parametrize("threads", [1, 2])
def test_broadcasting(shapes: tuple, dtype: str, threads: int) -> None:
    rng = np.random.default_rng(3)
    a, b = (rng.integers(-9, 9, s).astype(dtype) for s in shapes)
    before = _core.num_threads()
    _core.set_num_threads(threads)
    try:
        np.testing.assert_array_equal(run(arithmetic.Sub(), a, b)[0], a - b)
        np.testing.assert_array_equal(run(arithmetic.Sub(), b, a)[0], b - a)
    finally:
        _core.set_num_threads(before)


def test_broadcasting_all_patterns() -> None:
    """Three operands, each spanning any subset of four dimensions."""
    dims = (3, 5, 2, 7)
    rng = np.random.default_rng(4)
    op = Where()
    for masks in itertools.product(range(0, 16, 3), range(16), range(1, 16, 2)):
        shapes = [tuple(d if m >> i & 1 else 1 for i, d in enumerate(dims)) for m in masks]
        c, a, b = (rng.integers(-9, 9, s).astype("float32") for s in shapes)
        np.testing.assert_array_equal(run(op, c > 0, a, b)[0], np.where(c > 0, a, b))


def test_too_many_dims_refused() -> None:
    shape, other = (2, 1) * 5, (1, 2) * 5
    node = Add().make(Variable(TensorType("float32", shape)), Variable(TensorType("float32", other)))
    assert "10 dimensions" in (ELEMENTWISE.supports(node) or "")


def fused() -> FusedElementwise:
    """sigmoid(x * a + b) and x * a > 0 as float64, with x * a read after the first output is written."""
    program = (
        (Mul(), (0, 1)),
        (Add(), (3, 2)),
        (Sigmoid(), (4,)),
        (Gt(), (3, 2)),
        (Cast("float64"), (6,)),
    )
    return FusedElementwise(program, (2, 4))


@pytest.mark.parametrize("shapes", [((3, 700), (700,), (3, 1)), ((90, 7), (1, 7), (90, 1)), ((5,), (5,), ())])
def test_program(shapes: tuple, isa: str) -> None:
    arrays = [np.random.default_rng(i).standard_normal(s).astype("float32") for i, s in enumerate(shapes)]
    y, positive = run(fused(), *arrays)
    expected = fused().reference(*arrays)
    np.testing.assert_allclose(y, expected[0], rtol=1e-5)
    np.testing.assert_array_equal(positive, expected[1])


def test_program_places_reuse_scratch() -> None:
    x = Variable(TensorType("float32", (3,)))
    chain = tuple((transcendental.Tanh(), (i,)) for i in range(20))
    places, slots = elementwise_kernel._places(chain, (19,), 1)
    assert slots == 2 and places[-1] == -1
    assert ELEMENTWISE.supports(FusedElementwise(chain, (19,)).make(x)) is None


def test_inplace_pairs() -> None:
    x, row = Variable(TensorType("float32", (5, 7))), Variable(TensorType("float32", (7,)))
    y = Variable(TensorType("float32", (5, 7)))
    assert inplace_pairs(Add().make(x, row)) == ((0, 0),)
    assert inplace_pairs(Add().make(row, x)) == ((0, 1),)
    assert inplace_pairs(Add().make(x, y)) == ((0, 0), (0, 1))
    assert inplace_pairs(Gt().make(x, y)) == ()
    assert inplace_pairs(Cast("float64").make(x)) == ()
    late = FusedElementwise(((Sigmoid(), (0,)), (Mul(), (2, 1)), (Add(), (3, 0))), (1, 2))
    # x is read after output 0 is written, also under its second name
    assert inplace_pairs(late.make(x, y)) == ((0, 1), (1, 0), (1, 1))
    assert inplace_pairs(late.make(x, x)) == ((1, 0), (1, 1))


def test_runs_in_place(isa: str) -> None:
    late = FusedElementwise(((Sigmoid(), (0,)), (Mul(), (2, 1)), (Add(), (3, 0))), (1, 2))
    x, y = (np.random.default_rng(i).standard_normal((61, 67)).astype("float32") for i in range(2))
    node = late.make(*(Variable(TensorType("float32", a.shape)) for a in (x, y)))
    first, second = late.reference(x, y)
    _core.call_kernel("elementwise", ELEMENTWISE.launch(node).params, [x, y], [y, x])
    np.testing.assert_allclose(y, first, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(x, second, rtol=1e-5, atol=1e-6)


def subclasses(cls: type) -> list[type]:
    return [c for s in cls.__subclasses__() for c in (s, *subclasses(s))]


def test_every_op_has_its_instruction() -> None:
    """Opcodes exist, none is unused, and every dtype that an op takes has a loop."""
    codes = table("elementwise_ops.h", "ELEMENTWISE_OP")
    modules = (activations, arithmetic, bits, inverse_trig, logic, rounding, transcendental)
    classes = [
        c for c in subclasses(Elementwise) if c.__module__ in {m.__name__ for m in modules} and c.opcode
    ]
    assert {c.opcode for c in classes} == set(codes)
    for cls in classes:
        op = cls()
        for dtype in KERNEL_DTYPES:
            for n in (1, 2, 3):
                types = [TensorType(dtype, (2,))] * n
                if cls is Where:
                    types[0] = TensorType("bool", (2,))
                try:
                    op.infer(*(Variable(t) for t in types))
                    ones = [np.ones(2, t.dtype) for t in types]
                    expected = op.reference(*ones)
                except (TypeError, IndexError):
                    continue  # refused dtype, or another number of operands
                (y,) = run(op, *ones)
                np.testing.assert_allclose(y, expected, rtol=1e-6, err_msg=f"{op} {dtype}")


def test_dtype_codes_are_the_graphs_order() -> None:
    assert list(table("elementwise_ops.h", "DTYPE")) == list(KERNEL_DTYPES)


ONE = {
    "opcode": 2,
    "operand_dtype": 6,
    "result_dtype": 6,
    "place": -1,
    "args": [0, 1],
    "unused": 0,
    "immediate": 0.0,
}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"opcode": 999}, "code 999"),
        ({"opcode": -1}, "code -1"),
        ({"operand_dtype": 8}, "dtypes 8"),
        ({"operand_dtype": 7, "result_dtype": 7}, "operand 0 has dtype 6, expected 7"),
        ({"result_dtype": 7}, "no instruction"),
        ({"opcode": table("elementwise_ops.h", "ELEMENTWISE_OP")["and"]}, "no instruction"),
        ({"args": [0, 2]}, "reads value 2"),
        ({"args": [-1, 0]}, "reads value -1"),
        ({"place": -2}, "output 1"),
        ({"place": 0}, "slot 0 of 0"),
    ],
    ids=lambda v: str(v)[:40],
)
def test_check_refuses_instruction(change: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call({**ONE, **change})


def call(op: dict, dims: int = 1, shape: tuple = (4,), sizes: tuple = (4, 4, 4), **header: int) -> None:
    tail = b"".join(pack("ElementwiseInput", dtype=6, dims=dims) for _ in range(2)) + pack(
        "ElementwiseOp", **op
    )
    values = {"n_in": 2, "n_out": 1, "n_ops": 1, "n_slots": 0, "ndim": len(shape), "unused": 0, **header}
    params = pack("ElementwiseParams", shape=shape, tail=tail, **values)
    a, b, y = (np.ones(n, "float32") for n in sizes)
    _core.call_kernel("elementwise", params, [a, b], [y])


def test_check_accepts_and_refuses_sizes() -> None:
    call(ONE)
    for sizes in ((3, 4, 4), (4, 3, 4), (4, 4, 3)):
        with pytest.raises(ValueError, match="has 12 bytes, the params need 16"):
            call(ONE, sizes=sizes)
    with pytest.raises(ValueError, match="dimensions 0x2"):
        call(ONE, dims=2)
    with pytest.raises(ValueError, match="9 dimensions"):
        call(ONE, ndim=9)
    with pytest.raises(ValueError, match="the params has 144 bytes"):
        call(ONE, n_ops=2)
    with pytest.raises(ValueError, match="got 2 inputs and 1 outputs"):
        call(ONE, n_out=2)


def test_program_of_single_op() -> None:
    x = Variable(TensorType("float32", (3,)))
    assert program_of(Add().make(x, x)) == (((Add(), (0, 1)),), (0,))


@pytest.mark.parametrize("threads", [1, 3])
def test_outputs_past_the_caches(threads: int) -> None:
    """Outputs of more than 32 MiB together: aligned, not aligned, of other item sizes, in place."""
    before = _core.num_threads()
    _core.set_num_threads(threads)
    try:
        n = (16 << 20) // 4 + 4321
        x = (np.arange(n) % 1021).astype("float32")
        a, b = np.full(n + 64, 7, "float32"), np.full(n + 64, 7, "float32")
        wide, greater = np.full(n + 64, 7, "float64"), np.full(n + 64, 7, "bool")
        outs = [a[3 : n + 3], b[:n], wide[1 : n + 1], greater[5 : n + 5]]
        op = FusedElementwise(
            ((Mul(), (0, 0)), (Add(), (1, 0)), (Cast("float64"), (2,)), (Gt(), (2, 1))), (0, 1, 2, 3)
        )
        node = op.make(Variable(TensorType("float32", (n,))))
        _core.call_kernel("elementwise", ELEMENTWISE.launch(node).params, [x], outs)
        for out, want in zip(outs, (x * x, x * x + x, (x * x + x).astype("float64"), x > 0)):
            assert np.array_equal(out, want)
        assert set(a[:3]) | set(a[n + 3 :]) | set(b[n:]) | set(wide[n + 1 :]) == {7}
        assert np.all(greater[:5]) and np.all(greater[n + 5 :])
        twice = np.concatenate([x, x, x])
        op = FusedElementwise(((Mul(), (0, 0)), (Add(), (1, 0))), (1,))
        node = op.make(Variable(TensorType("float32", (3 * n,))))
        _core.call_kernel("elementwise", ELEMENTWISE.launch(node).params, [twice], [twice])
        assert np.array_equal(twice[:n], x * x + x) and np.array_equal(twice[2 * n :], x * x + x)
    finally:
        _core.set_num_threads(before)
