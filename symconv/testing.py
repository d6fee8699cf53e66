"""Checks of ops against oracles: one table of cases, and what each mode asks of a case.

    CASES = [OpCase("relu", sc.relu, (Spec((3, 5)),), exact=True), ...]
    check_op(case, "cpu")      integers exactly, then Gaussian data against float64
    check_grad(case)           the gradient, and its gradient, against finite differences
    check_grad(case, "cpu")    the compiled gradient against the reference's, in float64
    check_kernel(kernel, CASES)
    check_rule(rule, CASES)    a rewrite rule is applied to its own pattern and keeps the value

A user's own op is tested by the same functions; `verify_grad(function, points)` needs no case.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import reduce
from typing import Any

import numpy as np

from symconv.autodiff import grad
from symconv.backends.executable import Executable
from symconv.backends.reference import evaluate
from symconv.config import config
from symconv.function import function
from symconv.gradcheck import outputs_of, verify_grad, weighted_sum, weights_of, widen
from symconv.graph import TensorType, Variable
from symconv.plan.select import select
from symconv.rewrite.driver import applications
from symconv.rewrite.pattern import Rule
from symconv.rewrite.registered import use_rule

Arrays = list[np.ndarray]
SCHEDULES = (1, 2)  # of the emulator beside the forward one: reverse, and random


@dataclass(frozen=True)
class Spec:
    """One input of a case: shape, dtype, and how its values are drawn.

    kind: "normal" (clipped to [low, high]), "uniform", "distinct" (no two values closer than 0.1, for
    ops with kinks between elements), "index" (integers in [low, high)), or "values" (those of `values`).
    """

    shape: tuple[int, ...]
    dtype: str = "float32"
    kind: str = "normal"
    low: float = -np.inf
    high: float = np.inf
    values: Any = None

    @property
    def is_float(self) -> bool:
        return self.dtype.startswith("float")

    def draw(self, rng: np.random.Generator, integers: bool = False) -> np.ndarray:
        """Values of the spec; with `integers`, small whole numbers within its bounds."""
        if self.kind == "values":
            return np.array(self.values, dtype=self.dtype).reshape(self.shape)
        if self.dtype == "bool":
            return rng.integers(0, 2, self.shape).astype(bool)
        if self.kind == "index":
            return rng.integers(int(self.low), int(self.high), self.shape).astype(self.dtype)
        if integers or not self.is_float:
            floor = 0 if self.dtype.startswith("uint") else -4
            low, high = int(np.ceil(max(self.low, floor))), int(np.floor(min(self.high, 4)))
            return rng.integers(low, max(high, low) + 1, self.shape).astype(self.dtype)
        if self.kind == "distinct":
            count = int(np.prod(self.shape))
            steps = rng.permutation(count) - count / 2 + rng.uniform(-0.25, 0.25, count)
            return (0.2 * steps).reshape(self.shape).astype(self.dtype)
        if self.kind == "uniform":
            return rng.uniform(self.low, self.high, self.shape).astype(self.dtype)
        return np.clip(rng.standard_normal(self.shape), self.low, self.high).astype(self.dtype)


@dataclass(frozen=True)
class OpCase:
    """One row of a case table.

    build takes one Variable per spec and returns a Variable or several. `exact`: on small integers the
    op rounds nothing, so results must equal the oracle's. `reduction`: the number of terms summed into
    one result; tolerances grow with its square root. `tolerance` is in units of the dtype's epsilon.
    `grad`: True, False, or the indices of the inputs to differentiate; `second` the same for the
    gradient's gradient. `bilinear`: central differences with step 1 on integers are exact.
    `torch(torch, *tensors)` computes the same with PyTorch. `kernel`: the CPU kernel that must be
    chosen for the node of `build`'s first output. `unknown_shapes`: the inputs are
    declared without their dimensions. `gaussian=False` leaves out the second data set. `instead`: the same
    of other ops, which `symconv kernel bench` times beside it.
    """

    name: str
    build: Callable[..., Any]
    inputs: tuple[Spec, ...]
    grad: bool | tuple[int, ...] = True
    second: bool = True
    exact: bool = False
    reduction: int = 1
    tolerance: float = 16.0
    bilinear: bool = False
    torch: Callable[..., Any] | None = None
    kernel: str | None = None
    gaussian: bool = True
    unknown_shapes: bool = False
    instead: Callable[..., Any] | None = None

    def __str__(self) -> str:
        return self.name

    def rng(self) -> np.random.Generator:
        return np.random.default_rng(zlib.crc32(self.name.encode()))

    def draw(self, integers: bool = False) -> Arrays:
        rng = self.rng()
        return [spec.draw(rng, integers) for spec in self.inputs]

    def variables(self, dtype: str | None = None) -> list[Variable]:
        """Input variables; floats take `dtype` where given."""
        return [
            Variable(
                TensorType(
                    dtype if dtype and s.is_float else s.dtype,
                    (None,) * len(s.shape) if self.unknown_shapes else s.shape,
                ),
                name=f"x{i}",
            )
            for i, s in enumerate(self.inputs)
        ]

    def wrt(self) -> list[int]:
        if self.grad is True:
            return [i for i, s in enumerate(self.inputs) if s.is_float]
        return list(self.grad or ())


def run(
    inputs: Sequence[Variable], outputs: Sequence[Variable], arrays: Sequence[np.ndarray], device: str
) -> Arrays:
    """The values of `outputs` on a device. "oracle" evaluates the graph as built, with no rewrites.

    On device "emulated" in three orders of the threads, which must agree in every bit.
    """
    if device == "oracle":
        return evaluate(outputs, dict(zip(inputs, arrays)))
    compiled = function(list(inputs), list(outputs), device=device, on_unused_input="ignore")
    results = [np.asarray(a) for a in compiled(*arrays)]
    for order in SCHEDULES if device == "emulated" else ():
        with config(emulator_order=order):
            for i, (first, again) in enumerate(zip(results, compiled(*arrays))):
                if first.tobytes() != np.asarray(again).tobytes():
                    raise AssertionError(f"output {i} differs when threads run in order {order}")
    return results


def oracle(case: OpCase, arrays: Sequence[np.ndarray]) -> Arrays:
    """The case computed in float64 by NumPy alone."""
    with config(floatX="float64"):
        inputs = case.variables("float64")
        return run(inputs, outputs_of(case.build(*inputs)), widen(arrays), "oracle")


def assert_close(
    actual: Any, desired: Any, rtol: float = 1e-5, atol: float = 0.0, what: str = "result"
) -> None:
    """|actual - desired| <= atol + rtol |desired|, element by element; inf equals inf of its sign.

    A NaN in `actual` is a failure wherever `desired` has none, and the other way round.
    """
    actual, desired = np.asarray(actual), np.asarray(desired)
    if actual.shape != desired.shape:
        raise AssertionError(f"{what}: shape {list(actual.shape)}, expected {list(desired.shape)}")
    if actual.dtype.kind != "f" and desired.dtype.kind != "f":
        bad = actual != desired
        error = bad.astype(float)
    else:
        a, d = actual.astype("float64"), desired.astype("float64")
        with np.errstate(invalid="ignore", over="ignore"):
            error = np.where(a == d, 0.0, np.abs(a - d))
            finite = np.isfinite(a) & np.isfinite(d)
            fits = (a == d) | (finite & (error <= atol + rtol * np.abs(d)))
        bad = ~(fits | (np.isnan(a) & np.isnan(d)))
    if bad.any():
        worst = np.unravel_index(np.argmax(np.where(bad, np.nan_to_num(error, nan=np.inf), -1)), bad.shape)
        where = list(map(int, worst))
        raise AssertionError(
            f"{what}: {int(bad.sum())} of {bad.size} elements differ; worst at {where}: "
            f"{actual[worst].item()!r}, expected {desired[worst].item()!r} (rtol {rtol:.3g}, atol {atol:.3g})"
        )


def assert_matches(actual: np.ndarray, desired: np.ndarray, case: OpCase, what: str) -> None:
    """Within the case's tolerance: epsilon * sqrt(reduction), beside each value and the typical one."""
    if actual.dtype.kind != "f":
        return assert_close(actual, desired, what=what)
    rtol = case.tolerance * float(np.finfo(actual.dtype).eps) * np.sqrt(case.reduction)
    finite = desired[np.isfinite(desired)] if desired.dtype.kind == "f" else desired
    typical = float(np.sqrt(np.mean(np.square(finite.astype("float64"))))) if finite.size else 0.0
    limit = float(np.finfo(actual.dtype).max)
    with np.errstate(over="ignore"):  # what overflows in the tested dtype is inf in the oracle too
        desired = np.where(np.abs(desired) > limit, np.copysign(np.inf, desired), desired)
    return assert_close(actual, desired, rtol, rtol * typical, what)


def check_op(case: OpCase, device: str = "reference") -> None:
    """Values, shapes and dtypes on `device`: whole numbers exactly, then Gaussian data in tolerance."""
    inputs = case.variables()
    outputs = outputs_of(case.build(*inputs))
    if device == "cpu" and case.kernel is not None:
        chosen = chosen_kernel(case)
        if chosen != case.kernel:
            raise AssertionError(f"{case.name}: kernel {chosen}, expected {case.kernel}")
    for integers in [True] * case.exact + [False] * (case.gaussian or not case.exact):
        arrays = case.draw(integers)
        before = [a.copy() for a in arrays]
        actual, desired = run(inputs, outputs, arrays, device), oracle(case, arrays)
        for i, (a, d, out) in enumerate(zip(actual, desired, outputs)):
            what = f"{case.name} output {i} on {device}, {'integers' if integers else 'Gaussian'}"
            if str(a.dtype) != out.dtype or not out.type.accepts(TensorType(out.dtype, a.shape)):
                raise AssertionError(f"{what}: got {a.dtype}{list(a.shape)}, infer() says {out.type}")
            if integers:
                assert_close(a, d, rtol=0, what=what)
            else:
                assert_matches(a, d, case, what)
        for a, b in zip(arrays, before):
            assert_close(a, b, rtol=0, what=f"{case.name}: the caller's input, which was written to,")


def chosen_kernel(case: OpCase, device: str = "cpu") -> str:
    """The kernel that the node of the case's first output gets, or "reference"."""
    from symconv.backends.cpu import available_kernels  # needs the compiled core

    inputs = [Variable(TensorType(s.dtype, s.shape)) for s in case.inputs]
    node = outputs_of(case.build(*inputs))[0].owner
    if node is None:
        raise AssertionError(f"{case.name}: build() returned an input, so no kernel is chosen")
    kernel = select(node, device, available_kernels() if device == "cpu" else None).kernel
    return "reference" if kernel is None else kernel.name


def check_grad(case: OpCase, device: str = "reference") -> None:
    """The symbolic gradient, and the gradient's gradient.

    On the reference: against finite differences in float64. On another device: against the
    reference's float64, in the case's tolerance.
    """
    if not case.wrt():
        return
    if device == "reference":
        with config(floatX="float64"):
            verify_grad(
                case.build, widen(case.draw(case.bilinear)), wrt=case.wrt(), second=case.second,
                exact=case.bilinear, variables=case.variables("float64"), what=case.name, rng=case.rng(),
            )  # fmt: skip
        return

    def gradients(inputs: list[Variable]) -> list[Variable]:
        cost = weighted_sum(outputs_of(case.build(*inputs)), np.random.default_rng(7))
        return grad(cost, [inputs[i] for i in case.wrt()], disconnected_inputs="ignore")

    arrays = case.draw()
    inputs = case.variables()
    actual = run(inputs, gradients(inputs), arrays, device)
    with config(floatX="float64"):
        wide = case.variables("float64")
        desired = run(wide, gradients(wide), widen(arrays), "oracle")
    for i, a, d in zip(case.wrt(), actual, desired):
        if str(a.dtype) != inputs[i].dtype:
            raise AssertionError(f"{case.name}: gradient {i} is {a.dtype}, input is {inputs[i].dtype}")
        assert_matches(a, d, case, f"{case.name}: gradient of input {i} on {device}")


def check_torch(case: OpCase, torch: Any, device: str = "reference") -> None:
    """Values and gradients against PyTorch's, in float64, for a case that has `torch`."""
    if case.torch is None:
        raise AssertionError(f"{case.name} has no torch expression")
    arrays = widen(case.draw())
    tensors = [torch.tensor(a) for a in arrays]
    for i in case.wrt():
        tensors[i].requires_grad_()
    with config(floatX="float64"):
        inputs = case.variables("float64")
        outputs = outputs_of(case.build(*inputs))
        theirs = case.torch(torch, *tensors)
        theirs = list(theirs) if isinstance(theirs, (tuple, list)) else [theirs]
        for a, t in zip(run(inputs, outputs, arrays, device), theirs):
            assert_close(a, t.detach().numpy(), 1e-10, 1e-10, f"{case.name} beside torch")
        if not case.wrt():
            return
        cost = weighted_sum(outputs, np.random.default_rng(7))
        gradients = grad(cost, [inputs[i] for i in case.wrt()], disconnected_inputs="ignore")
        rng = np.random.default_rng(7)
        terms = [
            (t * torch.tensor(weights_of(o, rng))).sum() for o, t in zip(outputs, theirs) if o.type.is_float
        ]
        total = reduce(lambda a, b: a + b, terms)
        expected = torch.autograd.grad(total, [tensors[i] for i in case.wrt()], allow_unused=True)
        for i, a, t in zip(case.wrt(), run(inputs, gradients, arrays, device), expected):
            t = np.zeros(a.shape) if t is None else t.numpy()
            assert_close(a, t, 1e-9, 1e-9, f"{case.name}: gradient of input {i} beside torch")


def check_rule(rule: Rule, cases: Sequence[OpCase], device: str = "reference") -> None:
    """A rule is applied to its own pattern, compiled, and changes no value.

    cases: inputs for the pattern's parameters, in their order, and the tolerance; what a case builds is not
    used. The pattern, written out and computed in float64, says what is right. Raises AssertionError that
    tells why a rule was left alone, or what differs.
    """
    for case in cases:
        names = list(rule.placeholders.values())
        if len(case.inputs) != len(names):
            given = f"{case.name} has {len(case.inputs)} inputs"
            raise AssertionError(f"rule {rule.name}: {given}, the pattern takes {', '.join(names)}")
        arrays = case.draw()
        inputs = case.variables()
        with use_rule(rule):
            compiled = function(inputs, rule.pattern(*inputs), device=device)
            why = left_alone(rule, compiled.prepare(*arrays))
            if why is not None:
                raise AssertionError(
                    f"rule {rule.name} ({rule.place}) was not applied to {case.name} on {device}: {why}"
                )
            actual = np.asarray(compiled(*arrays))
        plain = replace(case, build=rule.pattern)
        (desired,) = oracle(plain, arrays)
        assert_matches(actual, desired, case, f"rule {rule.name}, {case.name} on {device}")


def left_alone(rule: Rule, executable: Executable) -> str | None:
    """Why a rule was applied nowhere in a compiled function; None if it was applied."""
    trace = [a for s in executable.stages for a in s.trace if a.rule == rule.name]
    if applications(trace):
        return None
    return "; ".join(a.after for a in trace) or "the compiled graph has no such expression"


def check_kernel(kernel: Any, cases: Sequence[OpCase], op: Any = None) -> Any:
    """Every check of a kernel on the rows that it accepts; the report, or AssertionError with all findings.

    kernel: a descriptor, or its name with `op`. It must be the one that is chosen; in the emulator, in three
    orders of the threads, it may race with nobody and touch nothing that is not its own; its values and
    gradients and what it leaves unwritten are held against the reference; then it runs in compiled functions
    and, where there is one, on a GPU. `symconv kernel check FILE` does the same in a process of its own.
    """
    from symconv.workbench.check import check_kernel as check  # which stands on this module

    return check(kernel, cases, op)
