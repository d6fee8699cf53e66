"""The generated element-wise kernels in the emulator: NumPy's semantics, vectors, broadcasting, texts."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable

import numpy as np
import pytest
from cuda_kernels import node_of, run_cuda_kernel

from symconv.backends.gpu import nvrtc
from symconv.backends.gpu.emulator import EmulatedRuntime
from symconv.backends.gpu.runtime import FAULT, Array, Work
from symconv.errors import DeviceError
from symconv.graph import TensorType, Variable
from symconv.graph.types import KERNEL_DTYPES
from symconv.ops import (
    activations,
    arithmetic,
    bits,
    elementwise_cuda,
    inverse_trig,
    logic,
    rounding,
    transcendental,
)
from symconv.ops.arithmetic import Add, Cast, Mul, Sub
from symconv.ops.dividers import dividers
from symconv.ops.elementwise_base import Elementwise
from symconv.ops.elementwise_cuda import ELEMENTWISE_CUDA
from symconv.ops.elementwise_kernel import table
from symconv.ops.fused import FusedElementwise
from symconv.ops.logic import Where
from symconv.plan.gpu import Source

pytestmark = pytest.mark.usefixtures("cxx")

FLOATS = [
    0.0, -0.0, 0.5, -0.5, 1, -1, 1.5, -1.5, 2.5, -2.5, 3, -3, 7, 1e-8, -1e-8, 60, -60, 1e30, -1e30, 3e9,
    -3e9, 300, -300, math.inf, -math.inf, math.nan,
]  # fmt: skip


def values(dtype: str) -> np.ndarray:
    if dtype == "bool":
        return np.array([False, True])
    if dtype.startswith("float"):
        return np.array(FLOATS, dtype)
    limits = np.iinfo(dtype)
    inner = [v for v in (-7, -3, -2, -1, 0, 1, 2, 3, 5, 7) if v >= limits.min]
    return np.array([limits.min, limits.min + 1, *inner, limits.max - 1, limits.max], dtype)


def run_together(cases: Iterable[tuple[Elementwise, list[np.ndarray]]]) -> list[np.ndarray]:
    """The results of single ops, all compiled as one text."""
    runtime = EmulatedRuntime()
    launches, texts, results = [], {}, []
    for op, arrays in cases:
        launch = ELEMENTWISE_CUDA.launch(node := node_of(op, *arrays))
        texts[launch.entry] = launch.code
        results.append(np.empty(node.out.type.dims, node.out.dtype))
        launches.append((launch, [*arrays, results[-1]]))
    source = Source(code="".join(texts.values()))
    fault = runtime.allocate(FAULT.itemsize, "fault")
    for launch, arrays in launches:
        memory = [runtime.allocate(max(a.nbytes, 1), "test") for a in arrays]
        for m, a in zip(memory, arrays):
            runtime.upload(m.address, np.ascontiguousarray(a))
        args = tuple(Array(m.address, a.nbytes) for m, a in zip(memory, arrays))
        runtime.prepare(
            [Work(source, launch.entry, launch.params, args, launch.tiles, False, 0)], fault.address
        )()
        runtime.download(memory[-1].address, arrays[-1])
    return results


def subclasses(cls: type) -> list[type]:
    return [c for s in cls.__subclasses__() for c in (s, *subclasses(s))]


def operands(op: Elementwise, dtype: str) -> list[np.ndarray] | None:
    """All pairs of the dtype's odd values, in as many operands as the op takes; None if it refuses them."""
    x = values(dtype)
    a, b = (np.ascontiguousarray(m.reshape(-1)) for m in np.meshgrid(x, x))
    if isinstance(op, arithmetic.Power) and dtype.startswith("int"):
        a, b = a[b >= 0], b[b >= 0]  # a negative power of an integer is an error in NumPy
    for arrays in ([x], [a, b], [a != b, a, b]):
        try:
            op.infer(*(Variable(TensorType(str(v.dtype), v.shape)) for v in arrays))
            op.reference(*arrays)
        except (TypeError, IndexError):
            continue  # refused dtype, or another number of operands
        return arrays
    return None


def test_every_instruction_on_every_dtype() -> None:
    families = (activations, arithmetic, bits, inverse_trig, logic, rounding, transcendental)
    modules = {m.__name__ for m in families}
    classes = [c for c in subclasses(Elementwise) if c.__module__ in modules and c.opcode and c is not Cast]
    assert {c.opcode for c in classes} == set(table("elementwise_ops.h", "ELEMENTWISE_OP")) - {"cast"}
    cases = [
        (cls(), arrays)
        for cls in classes
        for d in KERNEL_DTYPES
        if (arrays := operands(cls(), d)) is not None
    ]
    assert len(cases) > 180
    for (op, arrays), actual in zip(cases, run_together(cases)):
        expected = op.reference(*arrays)
        rtol = {"float32": 3e-6, "float64": 3e-14}.get(str(expected.dtype), 0)
        message = f"{op} of {arrays[-1].dtype}"
        with np.errstate(all="ignore"):
            np.testing.assert_allclose(actual, expected, rtol=rtol, atol=rtol * 1e-6, err_msg=message)


def test_casts_are_those_of_the_cpu() -> None:
    """Floats outside an integer's range too: NumPy's casts are the processor's."""
    pairs = list(itertools.product(KERNEL_DTYPES, KERNEL_DTYPES))
    cases: list[tuple[Elementwise, list[np.ndarray]]] = [(Cast(to), [values(d)]) for d, to in pairs]
    for (dtype, to), actual in zip(pairs, run_together(cases)):
        x = values(dtype)
        if dtype.startswith("float") and to in ("int8", "uint8", "int16"):
            x = np.where(np.abs(x) < 2**31, x, -(2.0**31)).astype("int32")  # their low bits
        with np.errstate(all="ignore"):
            np.testing.assert_array_equal(actual, x.astype(to), err_msg=f"{dtype} to {to}")


@pytest.fixture
def four_a_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(elementwise_cuda, "FILLS_THE_GPU", 1)


PROGRAM = FusedElementwise(((Mul(), (0, 1)), (Sub(), (3, 2)), (logic.Gt(), (4, 0))), (1, 2))
SHAPES = [
    ((5, 7, 11), (7, 1), (1, 11)), ((3, 5, 8), (5, 1), (8,)), ((1025,), (), (1025,)), ((6, 4), (6, 1), (4,)),
    ((3,), (3,), (3,)), ((2, 3, 2, 4), (2, 1, 2, 1), (3, 1, 4)), ((257, 5), (257, 1), (5,)),
]  # fmt: skip


@pytest.mark.parametrize("shifted", [0, 1, 3])
@pytest.mark.parametrize("dtype", ["float32", "float64", "int16", "uint8"])
def test_four_elements_a_thread(dtype: str, shifted: int, four_a_thread: None) -> None:
    rng = np.random.default_rng(1)
    for shapes in SHAPES:
        x, a, b = (rng.integers(0, 9, s).astype(dtype) for s in shapes)
        node = node_of(PROGRAM, x, a, b)
        y, greater = run_cuda_kernel(node, ELEMENTWISE_CUDA, x, a, b, order=2, shift=shifted)
        np.testing.assert_array_equal(y, x * a - b)
        np.testing.assert_array_equal(greater, x * a - b > x)


@pytest.mark.parametrize(("per", "wide"), [(1, False), (4, False), (4, True)])
def test_broadcasting_all_patterns(per: int, wide: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Operands that span any subset of four dimensions; wide: as if there were 2^31 elements."""
    monkeypatch.setattr(elementwise_cuda, "FILLS_THE_GPU", 1 if per == 4 else 1 << 18)
    if wide:
        monkeypatch.setattr(elementwise_cuda, "LIMIT", 1)
    dims = (3, 5, 2, 4)
    rng = np.random.default_rng(4)
    for masks in itertools.product((3, 15), range(16), (6,) if wide else (1, 6, 10)):
        shapes = [tuple(d if m >> i & 1 else 1 for i, d in enumerate(dims)) for m in masks]
        c, a, b = (rng.integers(-9, 9, s).astype("float32") for s in shapes)
        node = node_of(Where(), c > 0, a, b)
        (y,) = run_cuda_kernel(node, ELEMENTWISE_CUDA, c > 0, a, b)
        np.testing.assert_array_equal(y, np.where(c > 0, a, b))


@pytest.mark.parametrize("architecture", nvrtc.ARCHITECTURES)
def test_texts_compile_for_gpus(architecture: int, four_a_thread: None) -> None:
    """Every kind of input, casts and functions with a slow path; no registers are spilled."""
    try:
        nvrtc.library()
    except DeviceError as error:
        pytest.skip(str(error))
    x, row, one = (np.empty(s, "float32") for s in ((5, 7), (7,), ()))
    wide = FusedElementwise(
        ((Cast("float64"), (0,)), (transcendental.Sin(), (3,)), (Cast("int8"), (4,))), (1, 2)
    )
    for op, arrays in ((PROGRAM, (x, row, one)), (wide, (x, row, one)), (arithmetic.FloorDiv(), (x, x))):
        launch = ELEMENTWISE_CUDA.launch(node_of(op, *arrays))
        _, log = nvrtc.compile_source(Source(code=launch.code), architecture)
        (found,) = nvrtc.resources(log).values()
        assert found.registers <= 64 and not found.spill_stores, f"{op}: {found}"


def test_equal_structure_gives_equal_text() -> None:
    def entry(*shapes: tuple[int, ...]) -> str:
        launch = ELEMENTWISE_CUDA.launch(node_of(Add(), *(np.empty(s, "float32") for s in shapes)))
        assert launch.entry in launch.code
        return launch.entry

    assert entry((5, 7), (7,)) == entry((300, 9), (300, 1)) == entry((2, 3, 4), (3, 1))
    assert entry((5, 7), (5, 7)) == entry((13,), (13,))
    assert len({entry((5, 7), (5, 7)), entry((5, 7), (7,)), entry((5, 7), ())}) == 3
    assert entry((5, 7), (5, 7)) != entry((1 << 10, 1 << 10), (1 << 10, 1 << 10))  # four elements a thread


def test_sizes_set_the_tiles() -> None:
    def tiles(n: int) -> int:
        return ELEMENTWISE_CUDA.launch(node_of(Add(), np.empty(n, "f4"), np.empty(n, "f4"))).tiles

    assert [tiles(n) for n in (1, 256, 257, 1 << 18)] == [1, 1, 2, 256]


def test_many_ways_of_broadcasting_are_refused() -> None:
    shapes = [tuple(2 if m >> i & 1 else 1 for i in range(4)) for m in range(1, 10)]
    inputs = [Variable(TensorType("float32", s)) for s in [*shapes, (2, 2, 2, 2)]]
    program = tuple((Add(), (i + 1, 0 if i == 0 else 9 + i)) for i in range(9))
    node = FusedElementwise(program, (8,)).make(*inputs)
    assert "broadcast in 9 ways; at most 8" in (ELEMENTWISE_CUDA.supports(node) or "")


def test_dividers_divide() -> None:
    lengths = [1, 2, 3, 5, 7, 10, 28, 641, 784, 1 << 20, (1 << 20) + 1, (1 << 31) - 1]
    for n in lengths:
        (m,), (shift,) = dividers([n])
        for i in {0, 1, n - 1, n, n + 1, 5 * n - 1, (1 << 31) - 1, (1 << 31) // n * n - 1}:
            if 0 <= i < 1 << 31:
                assert ((i * (m % (1 << 32)) >> 32) + i) >> shift == i // n, (i, n)
    assert dividers([1 << 16, 1 << 16]) == ([0, 0], [-1, -1])
