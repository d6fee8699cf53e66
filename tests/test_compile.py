"""Compilation: no recursion, work that grows with the nodes; and calls that go straight to the core."""

from __future__ import annotations

import gc
import sys
import weakref
from collections.abc import Callable
from contextlib import nullcontext

import numpy as np
import pytest

import symconv as sc
from symconv.backends.cpu import CpuExecutable
from symconv.config import config
from symconv.errors import DTypeError, ExecutionError, NonFiniteError, ShapeError
from symconv.plan.gpu import gpu_program, phases

DEEP = 3000  # nodes on top of each other, three times Python's recursion limit


def tanh_chain(x: sc.Variable, depth: int) -> sc.Variable:
    for _ in range(depth // 2):
        x = sc.tanh(x) * 0.9
    return x


def test_deep_graphs_compile_differentiate_and_run():
    x = sc.vector("x")
    deep = tanh_chain(x, DEEP)
    f = sc.function([x], [deep, sc.grad(deep.sum(), x)], device="cpu")
    y, dx = f(np.ones(2, np.float32))
    assert 0 < y[0] < 0.1 and np.isfinite(dx).all()


@pytest.mark.parametrize(
    "step",
    [
        lambda h: sc.reshape(h[1:], (-1,)),  # views of views
        lambda h: sc.concatenate([h[1:], h[:1]]),
        lambda h: sc.dot(sc.reshape(h, (1, -1)), np.eye(4, dtype=np.float32))[0],
        lambda h: sc.where(h > 0, h, -h) + h.sum(),
    ],
    ids=["views", "join", "dot", "where"],
)
def test_deep_graphs_of_other_ops_compile(step: Callable[[sc.Variable], sc.Variable]):
    x = sc.vector("x")
    h = x
    for _ in range(400):
        h = step(h)
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(350)
    try:
        sc.function([x], h, device="cpu").prepare(np.ones(4 if h.type.shape != (None,) else 500, np.float32))
    finally:
        sys.setrecursionlimit(limit)


def test_deep_graphs_print_in_text_that_grows_with_the_nodes():
    x = sc.vector("x")
    short, long = (len(sc.debugprint(tanh_chain(x, n))) for n in (DEEP, 2 * DEEP))
    assert long < 2.2 * short


def test_deep_graphs_are_freed():
    x = sc.vector("x")
    deep = tanh_chain(x * 1.25, DEEP)
    f = sc.function([x], sc.grad(deep.sum(), x), device="cpu")
    f(np.ones(2, np.float32))
    gone = weakref.ref(deep.owner)
    del deep, f
    gc.collect()
    assert gone() is None


@pytest.mark.parametrize("fails", [False, True])
def test_garbage_is_collected_again_after_a_compilation(fails):
    x = sc.vector("x")
    f = sc.function([x], sc.reshape(x, (2, 2)) if fails else x + 1, device="cpu")
    with pytest.raises(ShapeError) if fails else nullcontext():
        f(np.ones(3, np.float32))
    assert gc.isenabled()


def test_a_thousand_updates_are_checked_in_one_walk():
    def make(n):
        weights = [sc.shared(0.0) for _ in range(n)]
        return lambda: sc.function([], [], updates=[(w, w) for w in weights])

    assert calls_of(make(400)) < 4.4 * calls_of(make(100))


def calls_of(work: Callable[[], object]) -> int:
    """Calls of functions, Python's and C's, that `work` makes; without what a garbage collection calls."""
    count = 0

    def see(frame: object, event: str, argument: object) -> None:
        nonlocal count
        count += event in ("call", "c_call")

    gc.collect()
    gc.disable()
    sys.setprofile(see)
    try:
        work()
    finally:
        sys.setprofile(None)
        gc.enable()
    return count


def residual_step(blocks: int, device: str) -> Callable[[], object]:
    """Making the plan of a residual net's training step."""
    from symconv.nn import BatchNorm, Conv, Dense, GlobalPool, Residual, Sequential
    from symconv.nn.optimizers import SGD
    from symconv.nn.trainer import training_step

    block = lambda: Residual([Conv(4, 3, padding=1, bias=False), BatchNorm()])  # noqa: E731
    layers = [Conv(4, 3, padding=1), *(block() for _ in range(blocks)), GlobalPool(), Dense(3)]
    model = Sequential(layers, (1, 6, 6), seed=1)
    data = np.zeros((8, 36), np.float32), np.zeros(8, np.int32)

    def compile_() -> None:
        if device == "cpu":
            training_step(model, SGD(0.1, momentum=0.9), data, 4, device="cpu").prepare(0)
        else:
            f = training_step(model, SGD(0.1, momentum=0.9), data, 4, device="reference")
            zero = np.asarray(0)
            graph = sc.rewrite.pipeline.optimize(f._plans.specialize([zero])[0])[0]
            assert phases(gpu_program(sc.plan.build.build_plan(graph, "cuda")))

    return compile_


def stack_of_dense(depth: int) -> Callable[[], object]:
    x = sc.matrix("x")

    def compile_() -> None:
        h = x
        weights = [sc.shared(np.eye(3, dtype=np.float32), f"w{i}") for i in range(depth)]
        for w in weights:
            h = sc.tanh(sc.dot(h, w))
        grads = sc.grad(h.sum(), weights)
        updates = [(w, w - 0.1 * g) for w, g in zip(weights, grads)]
        sc.function([x], h.sum(), updates=updates, device="cpu").prepare(np.ones((2, 3), np.float32))

    return compile_


def chain(depth: int) -> Callable[[], object]:
    x = sc.vector("x")

    def compile_() -> None:
        deep = tanh_chain(x, depth)
        sc.function([x], sc.grad(deep.sum(), x), device="cpu").prepare(np.ones(2, np.float32))

    return compile_


@pytest.mark.parametrize(
    ("make", "size"),
    [
        (lambda n: residual_step(n, "cpu"), 5),
        (lambda n: residual_step(n, "cuda"), 5),
        (stack_of_dense, 15),
        (chain, 100),
    ],
    ids=["residual", "residual on cuda", "dense", "chain"],
)
def test_work_of_compiling_grows_with_the_nodes(make: Callable[[int], Callable[[], object]], size: int):
    with config(verify_rewrites=False):
        make(size)()  # whatever is done once
        one, two, four = (calls_of(make(k * size)) for k in (1, 2, 4))
    assert four - two < 2.15 * (two - one)


# -- calls that need no conversion go straight to the core ---------------------------------------------


class Counted:
    """Counts calls that took the direct way, and those that did not."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.direct = self.converted = 0
        for name in ("run_directly", "run"):
            monkeypatch.setattr(CpuExecutable, name, self.counting(getattr(CpuExecutable, name)))

    def counting(self, original):
        def counted(executable, arguments):
            result = original(executable, arguments)
            self.direct += original.__name__ == "run_directly" and result is not None
            self.converted += original.__name__ == "run"
            return result

        return counted


@pytest.fixture
def ways(monkeypatch: pytest.MonkeyPatch) -> Counted:
    return Counted(monkeypatch)


def test_arrays_as_they_should_be_are_not_converted(ways: Counted):
    x, n = sc.matrix("x"), sc.tensor("int64", (), "n")
    a = sc.tensor("float32", (), "a")
    f = sc.function([x, n, a], [x * a, x.sum() + n], device="cpu")
    value = np.arange(6, dtype=np.float32).reshape(2, 3)
    for _ in range(3):
        doubled, total = f(value, 4, 2.0)
        np.testing.assert_array_equal(doubled, 2 * value)
        assert total == 19
    assert (ways.direct, ways.converted) == (2, 1)


@pytest.mark.parametrize(
    "value",
    [
        [[1.0, 2.0]],
        np.ones((1, 2)),
        np.ones((2, 1), np.float32).T[:, ::-1],
        np.ones((1, 4), np.float32)[:, ::2],
        np.ones((1, 2), ">f4"),
        np.ma.masked_array(np.ones((1, 2), np.float32)),
        np.ones((3, 2), np.float32),
    ],
    ids=["list", "float64", "reversed", "strided", "big endian", "subclass", "another shape"],
)
def test_other_arguments_are_converted(ways: Counted, value: object):
    x = sc.matrix("x")
    f = sc.function([x], x + 1, device="cpu")
    f(np.ones((1, 2), np.float32))
    np.testing.assert_array_equal(f(value), np.asarray(value, np.float32) + 1)
    assert (ways.direct, ways.converted) == (0, 2)


def test_scalars_out_of_range_are_converted_or_refused(ways: Counted):
    a, n = sc.tensor("float32", (), "a"), sc.tensor("int64", (), "n")
    f = sc.function([a, n], a * n, device="cpu")
    f(1.0, 1)
    with np.errstate(over="ignore"):
        assert np.isinf(f(1e300, 1)) and ways.direct == 0
    with pytest.raises(DTypeError):
        f(1.0, 2**70)
    with pytest.raises(DTypeError):
        f(1.0, 1.5)
    assert f(float("inf"), True) == np.inf and ways.direct == 0


def test_errors_are_those_of_a_first_call(ways: Counted):
    x = sc.tensor("float32", (None, 2), "x")
    f = sc.function([x], x + 1, device="cpu")
    f(np.ones((1, 2), np.float32))
    with pytest.raises(ShapeError, match="expected"):
        f(np.ones((1, 3), np.float32))
    with pytest.raises(sc.errors.GraphError, match="no value"):
        f()
    with config(check_data=True), pytest.raises(NonFiniteError):
        f(np.full((1, 2), np.nan, np.float32))
    i = sc.tensor("int64", (None,), "i")
    g = sc.function([x, i], x[i], device="cpu")
    value = np.ones((3, 2), np.float32)
    g(value, np.array([1]))
    with pytest.raises(ExecutionError, match="3"):
        g(value, np.array([3]))
    assert ways.direct == 0
    np.testing.assert_array_equal(g(value, np.array([2])), value[:1])
    assert ways.direct == 1


def test_states_that_get_another_array_are_found_again(ways: Counted):
    s = sc.shared(np.zeros(2, np.float32), "s")
    f = sc.function([], s + 0, updates=[(s, s + 1)], device="cpu")
    f()
    other = np.full(2, 7, np.float32)
    s.set_value(other, borrow=True)
    np.testing.assert_array_equal(f(), [7, 7])
    np.testing.assert_array_equal(other, [8, 8])
    s.set_value([1, 1])
    np.testing.assert_array_equal(f(), [1, 1])
    assert ways.direct == 2 and f() is not f()


def test_plans_that_depend_on_values_or_open_states_are_looked_up(ways: Counted):
    x, n = sc.vector("x"), sc.tensor("int64", (), "n")
    head = sc.function([x, n], x[:n], device="cpu")
    value = np.arange(5, dtype=np.float32)
    assert [len(head(value, k)) for k in (2, 3, 2)] == [2, 3, 2]
    s = sc.shared(np.zeros(2, np.float32), shape=(None,))
    total = sc.function([], s.sum(), device="cpu")
    total()
    s.set_value(np.ones(3, np.float32))
    assert total() == 3 and ways.direct == 0


def test_a_function_on_an_empty_array(ways: Counted):
    x = sc.vector("x")
    f = sc.function([x], x + 1, device="cpu")
    for _ in range(2):
        assert f(np.empty(0, np.float32)).shape == (0,)
