"""Timings of a file's kernels beside the present choice and the roofline."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from symconv.backends.tune import Timing, time_kernels
from symconv.config import config
from symconv.graph import Apply, Kernel, TensorType, Variable
from symconv.graph.traversal import toposort
from symconv.plan.select import candidates
from symconv.see.roofline import Peaks, peaks
from symconv.testing import outputs_of
from symconv.workbench.check import has_gpu
from symconv.workbench.load import KernelFile


def _threads() -> int:
    from symconv.backends.cpu import default_threads

    return config.num_threads or default_threads()


def _choices(node: Apply, device: str) -> list[Kernel]:
    if device == "cpu":
        from symconv.backends.cpu import available_kernels

        return candidates(node, device, available_kernels())
    return candidates(node, device)


def bench_file(file: KernelFile, rounds: int) -> Iterator[str]:
    """Lines of a table. CUDA kernels are timed where there is a GPU, and else named as not timed."""
    gpu = has_gpu()
    roofs: dict[str, Peaks] = {}
    for op, kernel in file.kernels:
        device = "cuda" if kernel.device == "cuda" else "cpu"
        if device == "cuda" and not gpu:
            yield f"cuda kernel {kernel.name} of {op.name}: not timed, there is no GPU here"
            continue
        if device not in roofs:
            found = peaks(device, _threads(), anew=True)
            assert found is not None
            roofs[device] = found
            yield f"measured now: {found}"
        yield f"{device} kernel {kernel.name} of {op.name} ({kernel.place})"
        for case in file.bench:
            node = _node(case, op)
            if node is None or not node.out.type.size:
                continue
            reason = kernel.supports(node)
            if reason is not None:
                yield f"  {case.name}: refused, {reason}"
                continue
            yield from _rows(case.name, node, device, kernel, rounds, roofs[device])


def _node(case: Any, op: Any) -> Apply | None:
    inputs = [Variable(TensorType(s.dtype, s.shape)) for s in case.inputs]
    found = [n for n in toposort(outputs_of(case.build(*inputs))) if type(n.op) is op]
    return found[-1] if found else None


def _rows(name: str, node: Apply, device: str, kernel: Kernel, rounds: int, roofs: Peaks) -> Iterator[str]:
    own = [kernel, *kernel.variants]
    others = [k for k in _choices(node, device) if k not in own]
    present: Kernel | None = others[0] if others else None  # what runs without this kernel
    timings = time_kernels(node, device, [*own, present], rounds, 0.02)
    bound = 1e6 * roofs.seconds(node)
    shown = ", ".join(str(v.type) for v in node.inputs)
    yield f"  {name}: {shown}"
    beside = next((t for t in timings if t.kernel is present), None)
    for t in timings:
        yield f"    {_line(t, beside, bound, present)}"
    work = f"{node.op.bytes(node):,} bytes, {node.op.flops(node):,} FLOPs"
    yield f"    {bound:>10.1f} us  the least that the roofline allows: {work}"


def _line(t: Timing, beside: Timing | None, bound: float, present: Kernel | None) -> str:
    ratio = (
        ""
        if beside is None or t is beside
        else f", {beside.median / t.median:.2f} times {beside.name}'s speed"
    )
    role = "  (what runs without it)" if t.kernel is present else ""
    return (
        f"{t.median:>10.1f} us  {t.name}{role}: {100 * bound / t.median:.0f} % of the roofline{ratio} "
        f"[{min(t.us):.1f} to {max(t.us):.1f}]"
    )
