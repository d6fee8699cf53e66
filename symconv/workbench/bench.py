"""Timings of a file's kernels beside the present choice, and the bound that memory and arithmetic set."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from symconv.backends.tune import Timing, time_kernels
from symconv.graph import Apply, Kernel, TensorType, Variable
from symconv.graph.traversal import toposort
from symconv.ops.arithmetic import neg
from symconv.ops.dense import dot
from symconv.plan.select import candidates
from symconv.testing import outputs_of
from symconv.workbench.check import has_gpu
from symconv.workbench.load import KernelFile


@dataclass(frozen=True)
class Peaks:
    """What this machine did just now: bytes and floating-point operations in a microsecond."""

    bytes_per_us: float
    flops_per_us: float

    def bound(self, node: Apply) -> tuple[float, str]:
        """(the least microseconds that a node can take, which of the two sets it)."""
        memory = node.op.bytes(node) / self.bytes_per_us
        arithmetic = node.op.flops(node) / self.flops_per_us
        return (memory, "memory") if memory >= arithmetic else (arithmetic, "arithmetic")


def measured_peaks(device: str, nbytes: int) -> Peaks:
    """Bandwidth of reading and writing as many bytes as the node does, and the rate of a matrix product."""
    n = max(1024, nbytes // 8)
    stream = _first(neg(Variable(TensorType("float32", (n,)))), device)
    a, b = (Variable(TensorType("float32", (768, 768))) for _ in range(2))
    product = _first(dot(a, b), device)
    return Peaks(8 * n / stream, 2 * 768**3 / product)


def _first(out: Variable, device: str) -> float:
    node = out.owner
    assert node is not None
    return min(time_kernels(node, device, _choices(node, device)[:1])[0].us)


def _choices(node: Apply, device: str) -> list[Kernel]:
    if device == "cpu":
        from symconv.backends.cpu import available_kernels

        return candidates(node, device, available_kernels())
    return candidates(node, device)


def bench_file(file: KernelFile, rounds: int) -> Iterator[str]:
    """Lines of a table. CUDA kernels are timed where there is a GPU, and else named as not timed."""
    gpu = has_gpu()
    for op, kernel in file.kernels:
        device = "cuda" if kernel.device == "cuda" else "cpu"
        if device == "cuda" and not gpu:
            yield f"cuda kernel {kernel.name} of {op.name}: not timed, there is no GPU here"
            continue
        yield f"{device} kernel {kernel.name} of {op.name} ({kernel.place})"
        for case in file.bench:
            node = _node(case, op)
            if node is None or not node.out.type.size:
                continue
            reason = kernel.supports(node)
            if reason is not None:
                yield f"  {case.name}: refused, {reason}"
                continue
            yield from _rows(case.name, node, device, kernel, rounds)


def _node(case: Any, op: Any) -> Apply | None:
    inputs = [Variable(TensorType(s.dtype, s.shape)) for s in case.inputs]
    found = [n for n in toposort(outputs_of(case.build(*inputs))) if type(n.op) is op]
    return found[-1] if found else None


def _rows(name: str, node: Apply, device: str, kernel: Kernel, rounds: int) -> Iterator[str]:
    own = [kernel, *kernel.variants]
    others = [k for k in _choices(node, device) if k not in own]
    present: Kernel | None = others[0] if others else None  # what runs without this kernel
    timings = time_kernels(node, device, [*own, present], rounds, 0.02)
    peaks = measured_peaks(device, node.op.bytes(node))
    bound, by = peaks.bound(node)
    shown = ", ".join(str(v.type) for v in node.inputs)
    yield f"  {name}: {shown}"
    beside = next((t for t in timings if t.kernel is present), None)
    for t in timings:
        yield f"    {_line(t, beside, bound, present)}"
    yield (
        f"    {bound:>10.1f} us  bound by {by}: "
        f"{node.op.bytes(node):,} bytes at {peaks.bytes_per_us / 1e3:.1f} GB/s, "
        f"{node.op.flops(node):,} FLOPs at {peaks.flops_per_us / 1e3:.1f} GFLOP/s, measured now"
    )


def _line(t: Timing, beside: Timing | None, bound: float, present: Kernel | None) -> str:
    ratio = (
        ""
        if beside is None or t is beside
        else f", {beside.median / t.median:.2f} times {beside.name}'s speed"
    )
    role = "  (what runs without it)" if t.kernel is present else ""
    return (
        f"{t.median:>10.1f} us  {t.name}{role}: {100 * bound / t.median:.0f} % of the bound{ratio} "
        f"[{min(t.us):.1f} to {max(t.us):.1f}]"
    )
