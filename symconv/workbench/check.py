"""check_kernel: a kernel on the rows of a case table, with every check that there is.

For each row that the kernel accepts: it must be the one that is chosen; in the emulator, in three orders of
the threads, it may touch nothing that is not its own, must write every element of its outputs, each from one
thread, and give the same bits; values are compared with the float64 reference, integers exactly; then the
whole row runs through compiled functions, with its gradient, natively, and on a GPU where there is one.
"""

from __future__ import annotations

import ctypes
import inspect
import os
import re
import traceback
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import nullcontext
from typing import Any

import numpy as np

from symconv.backends.gpu.emulator import Write, Writes, place_of, read_place_of
from symconv.config import config
from symconv.errors import (
    ArgumentError,
    CompileError,
    KernelFault,
    ProtocolError,
    SymconvError,
)
from symconv.extend.kernel import PACKAGE
from symconv.graph import Apply, Kernel, Op, TensorType, Variable
from symconv.graph.registry import kernels_of
from symconv.graph.traversal import toposort
from symconv.plan.select import forcing, select
from symconv.testing import OpCase, assert_close, assert_matches, check_grad, check_op, outputs_of, widen
from symconv.workbench.report import KernelReport
from symconv.workbench.runs import emulated_run, evaluated_inputs, native_run

ORDERS = (0, 1, 2)  # of the threads: forward, reverse, random
KINDS = (
    ("race", "race"),
    ("out of bounds", "bounds"),
    ("no memory of the device", "bounds"),
    ("null pointer", "bounds"),
    ("misaligned", "bounds"),
    ("nothing was written", "uninitialised"),
    ("get<> takes it", "type"),
    ("counted from 0", "bounds"),
    ("divergent", "barrier"),
    ("deadlock", "barrier"),
)
# The numbers of the records of `Writes`, for NumPy.
RECORD = np.dtype(
    {
        "names": ["found", "other_thread", "read"],
        "formats": ["i4"] * 3,
        "offsets": [getattr(Write, name).offset for name in ("found", "other_thread", "read")],
        "itemsize": ctypes.sizeof(Write),
    }
)
_FAULT = re.compile(r"kernel \w+, block (\d+), thread (\d+), (.+?:\d+|instruction [^:]*): (.*)", re.DOTALL)
Progress = Callable[[str], None]


def check_kernel(kernel: Kernel | str, cases: Iterable[OpCase], op: Any = None) -> KernelReport:
    """Checks a kernel on the rows that it accepts; raises AssertionError with every finding.

    kernel: a descriptor, or its name with `op` (a class, or its name). It must be one of the op's kernels, or
    registered for it.
    """
    report = examine(kernel, cases, op)
    if not report.passed:
        raise AssertionError(str(report))
    return report


def examine(
    kernel: Kernel | str, cases: Iterable[OpCase], op: Any = None, progress: Progress | None = None
) -> KernelReport:
    """`check_kernel` that returns its findings instead of raising them."""
    cases = list(cases)
    kernel = _descriptor(kernel, op, cases)
    report = KernelReport(kernel.name, "", kernel.device, kernel.place)
    for case in cases:
        if progress is not None:
            progress(f"{kernel.device} kernel {kernel.name}, case {case.name}")
        try:
            _examine_case(kernel, case, report)
        except KernelFault as fault:
            _report_fault(kernel, case, str(fault), report)
        except CompileError as error:
            report.add("compile", _first_place(error.message) or kernel.place, error.message, case.name)
        except Exception as error:  # of the user's own functions, most often
            report.add("fault", _users_line(error) or kernel.place, _told(error), case.name)
    if not report.ran and report.passed:
        reasons = "".join(f"; {name}: {why}" for name, why in report.refused)
        report.add("refused", kernel.place, f"no case reached it{reasons}")
    return report


def _descriptor(kernel: Kernel | str, op: Any, cases: Sequence[OpCase]) -> Kernel:
    if isinstance(kernel, Kernel):
        return kernel
    from symconv.graph.registry import op_class

    ops = [op_class(op)] if op is not None else [type(n.op) for c in cases for n in nodes_of(c)]
    for cls in ops:
        for k in kernels_of(cls):
            if k.name == kernel:
                return k
    raise ArgumentError(f"no kernel {kernel!r} in {', '.join(sorted({c.name for c in ops})) or 'the cases'}")


def _built(case: OpCase) -> tuple[list[Variable], list[Variable]]:
    inputs = [Variable(TensorType(s.dtype, s.shape), name=f"x{i}") for i, s in enumerate(case.inputs)]
    return inputs, outputs_of(case.build(*inputs))


def nodes_of(case: OpCase) -> list[Apply]:
    """Every node of a case, producers first."""
    return toposort(_built(case)[1])


def _node_of(kernel: Kernel, outputs: Sequence[Variable]) -> Apply | None:
    """The last node below `outputs` whose op has the kernel."""
    for node in reversed(toposort(outputs)):
        if any(kernel is k or kernel in k.variants_of(node) for k in kernels_of(type(node.op))):
            return node
    return None


def _examine_case(kernel: Kernel, case: OpCase, report: KernelReport) -> None:
    inputs, outputs = _built(case)
    node = _node_of(kernel, outputs)
    if node is None:
        report.add("not chosen", kernel.place, "the case has no op with this kernel", case.name)
        return
    report.op = report.op or node.op.name
    reason = kernel.supports(node)
    if reason is not None:
        report.refused.append((case.name, reason))
        if case.kernel == kernel.name:
            report.add("refused", kernel.place, reason, case.name)
        return
    if kernel.device == "cpu":
        from symconv.backends.cpu import available_kernels  # needs the compiled core

        choice = select(node, "cpu", available_kernels())
    else:
        choice = select(node, kernel.device)
    if choice.kernel is not kernel and kernel not in (
        choice.kernel.variants_of(node) if choice.kernel else ()
    ):
        chosen = "the reference" if choice.kernel is None else choice.kernel.name
        report.add("not chosen", kernel.place, f"{chosen} comes before it and accepts too", case.name)
    report.ran.append(case.name)
    before = len(report.findings)
    for integers in [True] * case.exact + [False] * (case.gaussian or not case.exact):
        if len(report.findings) > before:
            return
        arrays = evaluated_inputs(node, inputs, case.draw(integers))
        if _reference_holds(node, arrays, case, report):
            _examine_values(kernel, node, case, arrays, integers, report)
    if len(report.findings) > before:
        return
    # A variant runs in compiled functions only where it is asked for.
    with nullcontext() if choice.kernel is kernel else forcing(type(node.op), kernel):
        _examine_function(kernel, node, case, report)
        _examine_gradient(kernel, node, case, report)


# ---- one node, by itself


def _reference_holds(node: Apply, arrays: list[np.ndarray], case: OpCase, report: KernelReport) -> bool:
    """The op's own reference gives what infer says and leaves its arguments alone; else that is a finding."""
    where = op_place(type(node.op), "reference")
    given = [np.array(a) for a in arrays]
    try:
        found = node.op.reference(*given)
    except Exception as error:
        report.add("reference", _users_line(error) or where, _told(error), case.name)
        return False
    results = [np.asarray(r) for r in (found if isinstance(found, tuple) else (found,))]
    changed = [i for i, (a, b) in enumerate(zip(arrays, given)) if a.tobytes() != b.tobytes()]
    wanted = ", ".join(str(o.type) for o in node.outputs)
    shown = ", ".join(f"{r.dtype}[{', '.join(map(str, r.shape))}]" for r in results)
    if changed:
        report.add(
            "reference", where, f"reference() of {node.op.name} changes its input {changed[0]}", case.name
        )
    elif shown != wanted:
        report.add(
            "reference",
            where,
            f"reference() of {node.op.name} gives {shown}, infer() says {wanted}",
            case.name,
        )
    return not changed and shown == wanted


def _examine_values(
    kernel: Kernel, node: Apply, case: OpCase, arrays: list[np.ndarray], integers: bool, report: KernelReport
) -> None:
    found = node.op.reference(*widen(arrays))
    desired = [np.asarray(d) for d in (found if isinstance(found, tuple) else (found,))]
    first: list[np.ndarray] | None = None
    emulated = kernel.device != "cpu" or bool(kernel.launch(node).code)
    for order in ORDERS if emulated else ():
        try:
            done = emulated_run(node, kernel, arrays, order)
        except KernelFault as fault:
            _report_fault(kernel, case, str(fault), report)
            return
        except SymconvError as error:
            if isinstance(error, CompileError):
                raise
            report.add("fault", kernel.place, _told(error), case.name)
            return
        outputs, writes = done.outputs, done.writes
        changed = [i for i, (a, b) in enumerate(zip(arrays, done.inputs)) if a.tobytes() != b.tobytes()]
        for i in changed:
            report.add("input", kernel.place, f"it changed input {i}", case.name)
        if changed or _compare(kernel, node, case, outputs, desired, writes, integers, report):
            return
        first = first or outputs
        for i, (a, b) in enumerate(zip(first, outputs)):
            if a.tobytes() != b.tobytes():
                report.add(
                    "order",
                    _writers(writes[i]),
                    f"output {i} differs when threads run in order {order}",
                    case.name,
                )
    for pair in kernel.inplace_pairs(node) if emulated else ():
        done = emulated_run(node, kernel, arrays, 2, pair)
        how = f"in place {pair}, "
        if _compare(kernel, node, case, done.outputs, desired, done.writes, integers, report, how):
            return
    if kernel.device == "cpu":
        outputs, besides = native_run(node, kernel, arrays)
        for what in besides:
            report.add("bounds" if "beside" in what else "input", kernel.place, what, case.name)
        _compare(kernel, node, case, outputs, desired, None, integers, report, "compiled, ")


def _report_fault(kernel: Kernel, case: OpCase, text: str, report: KernelReport) -> None:
    match = _FAULT.search(text)
    if match is None:
        report.add("fault", kernel.place, text, case.name)
        return
    block, thread, where, message = match.groups()
    message = message.partition("\n")[0]
    kind = next((k for words, k in KINDS if words in message), "fault")
    at = f"item {block}" if kernel.device == "cpu" else f"block {block}, thread {thread}"
    report.add(kind, where, f"{message} ({at})", case.name)


def _compare(
    kernel: Kernel, node: Apply, case: OpCase, outputs: Sequence[np.ndarray], desired: Sequence[np.ndarray],
    writes: Sequence[Writes] | None, integers: bool, report: KernelReport, how: str = "",
) -> bool:  # fmt: skip
    """True if a finding was added: unwritten elements, two writers of one, NaN, a wrong value."""
    for i, (actual, want) in enumerate(zip(outputs, desired)):
        records = None if writes is None else writes[i].records
        if writes is not None and actual.size and _unwritten(kernel, case, i, actual, writes[i], how, report):
            return True
        what = f"{how}output {i}, {'integers' if integers else 'Gaussian'}"
        try:
            if integers:
                assert_close(actual, want, rtol=0, what=what)
            else:
                assert_matches(actual, want, case, what)
        except AssertionError as error:
            at = _worst(actual, want)
            where, by = kernel.place, ""
            if records is not None and at is not None:
                write = records[at]
                where = place_of(write)
                by = f"; element {at} was written here by {_who(kernel, write.block, write.thread)}"
            kind = "nan" if at is not None and bool(np.isnan(actual.reshape(-1)[at])) else "value"
            report.add(kind, where, f"{error}{by}", case.name)
            return True
    return False


def _unwritten(
    kernel: Kernel, case: OpCase, i: int, actual: np.ndarray, writes: Writes, how: str, report: KernelReport
) -> bool:
    records = writes.records
    table = np.frombuffer(records, RECORD)[: actual.size]
    early = np.flatnonzero(table["read"]) if not how else np.empty(0, int)
    if len(early):
        at = list(map(int, np.unravel_index(early[0], actual.shape)))
        what = f"output {i} at {at} is read here before anything has written it"
        report.add("uninitialised", read_place_of(records[int(early[0])]), what, case.name)
        return True
    missing = np.flatnonzero(table["found"] == 0)
    if len(missing):
        at = list(map(int, np.unravel_index(missing[0], actual.shape)))
        nan = ", so they are NaN" if actual.dtype.kind == "f" else ""
        report.add(
            "unwritten", _writers(writes) if len(missing) < actual.size else kernel.place,
            f"{how}{len(missing)} of {actual.size} elements of output {i} are never written, the first at "
            f"{at}{nan}", case.name,
        )  # fmt: skip
        return True
    shared = np.flatnonzero(table["other_thread"] >= 0)
    if len(shared):
        w = records[int(shared[0])]
        at = list(map(int, np.unravel_index(shared[0], actual.shape)))
        first = f"{_who(kernel, w.other_block, w.other_thread)} (line {w.other_line})"
        what = f"{how}output {i} at {at} is written by {first} and by {_who(kernel, w.block, w.thread)}"
        report.add("race", place_of(w), what, case.name)
    return bool(len(shared))


def _who(kernel: Kernel, block: int, thread: int) -> str:
    return f"item {block}" if kernel.device == "cpu" else f"block {block}, thread {thread}"


def _writers(writes: Writes) -> str:
    """The line that writes this array."""
    written = np.flatnonzero(np.frombuffer(writes.records, RECORD)["found"])
    return place_of(writes.records[int(written[0])]) if len(written) else "no line"


def _worst(actual: np.ndarray, want: np.ndarray) -> int | None:
    """The number of the element that is furthest off."""
    if actual.shape != want.shape or not actual.size:
        return None
    with np.errstate(invalid="ignore", over="ignore"):
        error = np.abs(actual.astype("float64") - want.astype("float64"))
    return int(np.argmax(np.nan_to_num(error, nan=np.inf)))


# ---- through compiled functions


def _devices(kernel: Kernel, first: bool) -> Iterator[tuple[str, dict[str, Any]]]:
    if kernel.device == "cpu":
        yield "cpu", {"num_threads": 1}
        yield "cpu", {"num_threads": 2}
        return
    # A persistent kernel is compiled for every shape: once is enough to see that it can be.
    yield "emulated", {"gpu_executor": "persistent" if first else "kernels"}
    if has_gpu():
        yield "cuda", {}


def has_gpu() -> bool:
    from symconv.device import resolve_device

    try:
        return resolve_device("cuda") == "cuda"
    except SymconvError:
        return False


def _examine_function(kernel: Kernel, node: Apply, case: OpCase, report: KernelReport) -> None:
    for device, settings in _devices(kernel, len(report.ran) == 1):
        with config(**settings):
            try:
                check_op(case, device)
            except AssertionError as error:
                report.add("value", kernel.place, f"in a compiled function: {error}", case.name)
                return
            except SymconvError as error:
                report.add("fault", kernel.place, f"in a compiled function: {_told(error)}", case.name)
                return


def _examine_gradient(kernel: Kernel, node: Apply, case: OpCase, report: KernelReport) -> None:
    if not case.wrt():
        return
    device = "cpu" if kernel.device == "cpu" else "emulated"
    where = op_place(type(node.op))
    try:
        check_grad(case)
        if not report.findings:
            check_grad(case, device)
    except ProtocolError:
        report.add(
            "gradient", where, f"{node.op.name} defines no grad()\n"
            "    hint: define it, or say grad=False in the case", case.name,
        )  # fmt: skip
    except KernelFault as fault:
        _report_fault(kernel, case, str(fault), report)
    except (AssertionError, SymconvError) as error:
        report.add("gradient", where, _told(error), case.name)
    except Exception as error:
        report.add("gradient", _users_line(error) or where, _told(error), case.name)


def op_place(op: type[Op], method: str = "grad") -> str:
    """File and line of a method, else of the class."""
    target: Any = op.__dict__.get(method, op)
    try:
        file, line = inspect.getsourcefile(target), inspect.getsourcelines(target)[1]
    except (OSError, TypeError):
        return op.__module__
    return f"{os.path.basename(file or op.__module__)}:{max(line, 1)}"


def _first_place(text: str) -> str:
    """'scale.cu:12' of the first error of a compiler's log, or of the function of the user's that failed."""
    match = re.search(r"^(\S[^:\n]*?):(\d+):\d+: (?:fatal )?error", text, re.MULTILINE)
    match = match or re.match(r"(?:launch|supports)\(\) of .*?\(([^()]+):(\d+)\)", text)
    return f"{os.path.basename(match[1])}:{match[2]}" if match else ""


def _users_line(error: BaseException) -> str:
    """'scale.py:30', the deepest line outside this package that raised; empty if there is none."""
    frames = traceback.extract_tb(error.__traceback__)
    own = [f for f in frames if not f.filename.startswith(PACKAGE) and os.path.isfile(f.filename)]
    return f"{os.path.basename(own[-1].filename)}:{own[-1].lineno}" if own else ""


def _told(error: BaseException) -> str:
    if isinstance(error, SymconvError):
        return error.message
    return str(error) if isinstance(error, AssertionError) else f"{type(error).__name__}: {error}"
