"""Timings of a file's kernels beside the present choice, the same written out, and the roofline."""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import groupby
from typing import Any

from symconv.backends.tune import expression_runner, kernel_runner, time_in_turns
from symconv.config import config
from symconv.graph import Apply, Kernel, TensorType, Variable
from symconv.graph.traversal import toposort
from symconv.plan.select import select
from symconv.see.roofline import Peaks, peaks
from symconv.testing import OpCase, outputs_of
from symconv.workbench.check import has_gpu
from symconv.workbench.load import KernelFile

SECONDS = 0.02  # of one timing
NO_GPU = "not timed, there is no GPU here"


@dataclass(frozen=True)
class Entry:
    """us: microseconds of a run, one for each round.

    role: "own"; "present", what runs without the file's kernel; "written out", the row's `instead`.
    """

    name: str
    role: str
    us: tuple[float, ...]

    @property
    def median(self) -> float:
        return statistics.median(self.us)


@dataclass(frozen=True)
class Measured:
    """A kernel on a row of BENCH; without `entries`, `reason` says why it was not timed there."""

    device: str
    kernel: str
    op: str
    place: str
    case: str = ""
    operands: str = ""
    flops: int = 0
    bytes: int = 0
    bound_us: float = 0.0
    entries: tuple[Entry, ...] = ()
    reason: str = ""

    @property
    def head(self) -> str:
        return f"{self.device} kernel {self.kernel} of {self.op} ({self.place})"

    def lines(self) -> Iterator[str]:
        """The row as text."""
        if self.reason:
            yield f"{self.case}: {self.reason}" if self.case else self.reason
            return
        yield f"{self.case}: {self.operands}"
        beside = next((e for e in self.entries if e.role != "own"), None)
        for e in self.entries:
            yield f"  {e.median:>10.1f} us  {self._about(e, beside)}"
        work = f"{self.bytes:,} bytes, {self.flops:,} FLOPs"
        yield f"  {self.bound_us:>10.1f} us  the least that the roofline allows: {work}"

    def _about(self, e: Entry, beside: Entry | None) -> str:
        roles = {"own": "", "present": "  (what runs without it)", "written out": ""}
        ratio = ""
        if e.role == "own" and beside is not None:
            ratio = ", " + " and ".join(
                f"{other.median / e.median:.2f} times {other.name}'s speed"
                for other in self.entries
                if other.role != "own"
            )
        share = f"{100 * self.bound_us / e.median:.0f} % of the roofline"
        return f"{e.name}{roles[e.role]}: {share}{ratio} [{min(e.us):.1f} to {max(e.us):.1f}]"


def measure_file(file: KernelFile, rounds: int) -> Iterator[Peaks | Measured]:
    """The peaks of each device, measured now, before its first kernel; then every row of BENCH.

    CUDA kernels are timed where there is a GPU, and else named as not timed.
    """
    gpu = has_gpu()
    roofs: dict[str, Peaks] = {}
    for op, kernel in file.kernels:
        who = kernel.device, kernel.name, op.name, kernel.place
        if kernel.device == "cuda" and not gpu:
            yield Measured(*who, reason=NO_GPU)
            continue
        if kernel.device not in roofs:
            found = peaks(kernel.device, _threads(), anew=True)
            assert found is not None
            yield found
            roofs[kernel.device] = found
        nodes = [(case, node) for case in file.bench if (node := _node(case, op)) is not None]
        for case, node in nodes:
            if not node.out.type.size:
                continue
            operands = ", ".join(str(v.type) for v in node.inputs)
            work = node.op.flops(node), node.op.bytes(node), 1e6 * roofs[kernel.device].seconds(node)
            reason = kernel.supports(node) or ""
            entries = () if reason else _entries(case, node, kernel, rounds)
            reason = f"refused, {reason}" if reason else reason
            yield Measured(*who, case.name, operands, *work, entries, reason)
        if not nodes:
            yield Measured(*who, reason=f"no row of BENCH has the op {op.name}")


def text_of(rows: Sequence[Measured], roofs: Sequence[str]) -> Iterator[str]:
    """Lines of a table."""
    for head, group in groupby(rows, lambda row: row.head):
        own = list(group)
        if len(own) == 1 and own[0].reason and not own[0].case:
            yield f"{head}: {own[0].reason}"
            continue
        yield head
        for row in own:
            yield from (f"  {line}" for line in row.lines())
    for roof in roofs:
        yield f"measured in the same run: {roof}"


def to_json(rows: Sequence[Measured]) -> list[dict[str, Any]]:
    return [asdict(row) for row in rows]


def from_json(rows: Sequence[Mapping[str, Any]]) -> list[Measured]:
    return [
        Measured(
            **{**row, "entries": tuple(Entry(e["name"], e["role"], tuple(e["us"])) for e in row["entries"])}
        )
        for row in rows
    ]


def _threads() -> int:
    from symconv.backends.cpu import default_threads

    return config.num_threads or default_threads()


def _node(case: Any, op: Any) -> Apply | None:
    inputs = [Variable(TensorType(s.dtype, s.shape)) for s in case.inputs]
    found = [n for n in toposort(outputs_of(case.build(*inputs))) if type(n.op) is op]
    return found[-1] if found else None


def _present(node: Apply, own: Sequence[Kernel], device: str) -> Kernel | None:
    """What runs without the kernels in `own`; None for the reference."""
    if device == "cpu":
        from symconv.backends.cpu import available_kernels

        return select(node, device, available_kernels(), without=own).kernel
    return select(node, device, without=own).kernel


def _entries(case: OpCase, node: Apply, kernel: Kernel, rounds: int) -> tuple[Entry, ...]:
    own, device = [kernel, *kernel.variants_of(node)], kernel.device
    present = _present(node, own, device)
    names = [("reference" if k is None else k.name) for k in (*own, present)]
    roles = [*("own" for _ in own), "present"]
    runners = [kernel_runner(node, k, device) for k in (*own, present)]
    if case.instead is not None:
        inputs = [Variable(TensorType(s.dtype, s.shape)) for s in case.inputs]
        names.append("written out")
        roles.append("written out")
        runners.append(expression_runner(inputs, outputs_of(case.instead(*inputs)), device))
    times = time_in_turns(runners, rounds, SECONDS)
    return tuple(Entry(*each) for each in zip(names, roles, times))
