"""One node as a function of its own: its kernel on guarded memory, beside the op's reference."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from symconv.backends.executable import Executable, compile_graph
from symconv.backends.reference import run_reference
from symconv.config import config
from symconv.debug.compare import Oracle, differs
from symconv.debug.memory import MARGIN, POISONS, Guarded, differing, same_bits
from symconv.errors import KernelMismatchError, MemoryClaimError
from symconv.graph import Apply, Constant, Kernel, SharedVariable, Variable
from symconv.graph.function_graph import FunctionGraph
from symconv.graph.origin import origin

Pair = tuple[int, int]


class LoneNode:
    """A node's kernel with every operand in a guarded array of its own.

    With `pair` (output, input) the output is computed over that input, as the kernel claims it can.
    """

    def __init__(self, node: Apply, device: str, pair: Pair | None = None) -> None:
        self.pair = pair
        operands = [v for v in dict.fromkeys(node.inputs) if not isinstance(v, Constant)]
        leaf = {v: Variable(v.type, name=v.name) for v in operands}
        with origin(node.origin):
            self.node = node.op.make(*(leaf.get(v, v) for v in node.inputs))
        states = list(leaf.values())
        self.inputs = [Guarded(v.type) for v in states]
        self._slots = [operands.index(v) if v in leaf else -1 for v in node.inputs]
        self.outputs: list[Guarded] = []
        memory, updates = list(self.inputs), []
        for k, out in enumerate(self.node.outputs):
            if pair is not None and pair[0] == k:
                slot = self._slots[pair[1]]
                self.outputs.append(self.inputs[slot])
            else:
                slot = len(states)
                states.append(Variable(out.type))
                self.outputs.append(Guarded(out.type))
                memory.append(self.outputs[k])
            updates.append((slot, out))
        self._memory = memory
        self._shared = [SharedVariable(g.array, v.type, v.name) for g, v in zip(memory, states)]
        graph = FunctionGraph((), tuple(states), (), tuple(updates))
        self.executable: Executable = _compile(graph, self._shared, device)

    @property
    def kernel(self) -> Kernel | None:
        """The kernel that was chosen; None if the NumPy reference runs in its stead."""
        plan = self.executable.plan
        steps = () if plan is None else plan.steps
        return next((s.kernel for s in steps if s.kernel is not None), None)

    def run(self, arrays: Sequence[np.ndarray], poison: int) -> list[np.ndarray]:
        """The outputs. All memory that holds no operand is filled with `poison` first."""
        for shared, guarded in zip(self._shared, self._memory):
            shared.get_storage()  # the device's copy is out of date
            guarded.poison(poison)
        for slot, array in zip(self._slots, arrays):
            if slot >= 0:
                self.inputs[slot].fill(array)
        fill = getattr(self.executable, "poison", None)
        if fill is not None:
            fill(poison)
        self.executable.run([])
        for shared, guarded in zip(self._shared, self._memory):
            _bring_home(shared, guarded)
        return [
            g.array.reshape(-1).view(out.dtype).reshape(out.type.dims).copy()
            for g, out in zip(self.outputs, self.node.outputs)
        ]

    def claims_broken(self, arrays: Sequence[np.ndarray]) -> str:
        """What the last run did to memory that is not its output's, in words; empty if nothing."""
        names = list(self.node.op.operands)
        for k, (slot, array) in enumerate(zip(self._slots, arrays)):
            if slot < 0:
                continue
            name = names[k] if k < len(names) else f"input {k}"
            guarded = self.inputs[slot]
            if damage := guarded.damage():
                return f"wrote outside its output: beside the input {name}, {damage}"
            overwritten = self.pair is not None and self._slots[self.pair[1]] == slot
            if not overwritten and not guarded.holds(array):
                return f"wrote into its input {name}, which it does not claim to work on in place"
        for k, guarded in enumerate(self.outputs):
            if damage := guarded.damage():
                return f"wrote outside output {k}: {damage}"
        damage_of = getattr(self.executable, "damage", None)
        before, behind = (0, 0) if damage_of is None else damage_of()
        if before or behind:
            return f"wrote outside its workspace: {before} bytes before it, {behind} behind it"
        return ""


def _compile(graph: FunctionGraph, shared: Sequence[SharedVariable], device: str) -> Executable:
    if device == "cpu":
        from symconv.backends.cpu import CpuExecutable  # needs the compiled core

        return CpuExecutable(graph, shared, guard_bytes=MARGIN)
    return compile_graph(graph, shared, device, ())


def _bring_home(shared: SharedVariable, guarded: Guarded) -> None:
    """The device's bytes into the guarded array, also where the executor thinks that nothing changed."""
    mirror: Any = shared.mirror
    if mirror is not None and guarded.array.nbytes:
        mirror.runtime.download(mirror.memory.address, guarded.array)
    value = shared.get_value(borrow=True)
    if value is not guarded.array:  # an executor that replaces values instead of writing into them
        guarded.fill(value)


class CheckedNode:
    """Runs a node's kernel in every way that a plan may, and compares."""

    def __init__(self, node: Apply, device: str) -> None:
        self.node = node
        self.device = device
        self.plain = LoneNode(node, device)
        kernel = self.plain.kernel
        pairs = () if kernel is None else kernel.inplace_pairs(node)
        self.in_place = [LoneNode(node, device, p) for p in pairs if _possible(node, p)]

    def __call__(self, arrays: Sequence[np.ndarray]) -> list[np.ndarray]:
        """The kernel's outputs. Raises KernelMismatchError or MemoryClaimError."""
        plain, node = self.plain, self.node
        first = plain.run(arrays, POISONS[0])
        self._claims(plain, arrays)
        unwritten = [g.unwritten() for g in plain.outputs]
        second = plain.run(arrays, POISONS[1])
        self._claims(plain, arrays)
        missed = [a & g.unwritten() for a, g in zip(unwritten, plain.outputs)]
        if any((differing(a, b) & ~m).any() for a, b, m in zip(first, second, missed)):
            again = plain.run(arrays, POISONS[0])
            if any(not same_bits(a, b) for a, b in zip(first, again)):
                raise self._mismatch("gives another result every time it runs on the same operands", arrays)
            what = "its output's, its workspace's, or what lies beside an operand"
            raise self._mismatch(f"gives results that depend on memory nobody wrote: {what}", arrays)
        for k, m in enumerate(missed):
            if m.any():
                at = list(map(int, np.argwhere(m)[0]))
                what = f"never writes {int(m.sum())} elements of output {k}, the first at {at}"
                raise self._mismatch(what, arrays)
        oracle = Oracle(lambda xs: reference_of(node, xs), arrays, units=_units(node, self.device))
        found = oracle.mismatch(first)
        if found is not None:
            what = f"gives an output {found[0]} that is not the NumPy reference's: {found[1]}"
            raise self._mismatch(what, arrays)
        for lone in self.in_place:
            over = lone.run(arrays, POISONS[0])
            self._claims(lone, arrays)
            assert lone.pair is not None
            for k, (a, b) in enumerate(zip(over, first)):
                if not same_bits(a, b) and (what := differs(a, b)):
                    out, taken = lone.pair
                    raise MemoryClaimError(
                        f"{self._who()} claims that output {out} may be computed over input {taken}, but "
                        f"then output {k} is another one: {what}{operand_lines(self.node, arrays)}"
                    )
        return first

    def _claims(self, lone: LoneNode, arrays: Sequence[np.ndarray]) -> None:
        if broken := lone.claims_broken(arrays):
            raise MemoryClaimError(f"{self._who()} {broken}{operand_lines(self.node, arrays)}")

    def _mismatch(self, what: str, arrays: Sequence[np.ndarray]) -> KernelMismatchError:
        return KernelMismatchError(f"{self._who()} {what}{operand_lines(self.node, arrays)}")

    def _who(self) -> str:
        kernel = self.plain.kernel
        what = "the NumPy reference" if kernel is None else f"kernel {kernel.name}"
        if kernel is not None and kernel.origin:
            what += f" ({kernel.origin})"
        return f"{self.node.op.label()} from {self.node.origin}: {what} on {self.device}"


def _possible(node: Apply, pair: Pair) -> bool:
    """True if a planner may ever use the claim: the sizes agree, and the input is read once."""
    out, k = pair
    v = node.inputs[k]
    same = node.outputs[out].type.nbytes == v.type.nbytes
    return same and not isinstance(v, Constant) and node.inputs.count(v) == 1


def reference_of(node: Apply, arrays: Sequence[np.ndarray]) -> list[np.ndarray]:
    """run_reference, whose results must have the types that infer gives."""
    results = [np.asarray(r) for r in run_reference(node, arrays)]
    for k, (r, out) in enumerate(zip(results, node.outputs)):
        if str(r.dtype) != out.dtype or r.shape != out.type.dims:
            raise KernelMismatchError(
                f"{node.op.label()} from {node.origin}: its NumPy reference gives {r.dtype}{list(r.shape)} "
                f"as output {k}, infer() says {out.type}{operand_lines(node, arrays)}"
            )
    return results


def _units(node: Apply, device: str) -> float:
    """The tolerance in epsilons: it grows with the square root of the operations per result."""
    size = max(1, sum(o.type.size for o in node.outputs))
    coarse = 2.0**14 if config.tf32 and device in ("cuda", "emulated") else 1.0
    return float(64.0 * coarse * np.sqrt(max(1.0, node.op.flops(node) / size)))


def check_view(node: Apply, arrays: Sequence[np.ndarray], desired: np.ndarray) -> None:
    """Raises MemoryClaimError if the bytes that Op.view points to are not the op's result."""
    view = node.op.view(node)
    assert view is not None
    start = 0 if view.start is None else int(arrays[view.start])
    first = view.offset + start * view.stride
    base = np.ascontiguousarray(arrays[0]).reshape(-1).view(np.uint8)
    nbytes = node.out.type.nbytes
    who = f"{node.op.label()} from {node.origin}"
    if not 0 <= first <= first + nbytes <= base.nbytes:
        raise MemoryClaimError(
            f"{who} claims to be a view of bytes {first} to {first + nbytes} of {base.nbytes} bytes"
            f"{operand_lines(node, arrays)}"
        )
    claimed = base[first : first + nbytes].view(node.out.dtype).reshape(node.out.type.dims)
    if not same_bits(claimed, np.asarray(desired, node.out.dtype)):
        raise MemoryClaimError(
            f"{who} claims to be a view, at byte {first} of its first input, but other values stand there: "
            f"{differs(claimed, np.asarray(desired)) or 'the bits differ'}{operand_lines(node, arrays)}"
        )


def operand_lines(node: Apply, arrays: Sequence[np.ndarray]) -> str:
    """A line per operand: name, type, the user's line, and its values in a few numbers."""
    operands = node.op.operands
    lines = []
    for k, (v, a) in enumerate(zip(node.inputs, arrays)):
        name = operands[k] if k < len(operands) else v.name or f"input {k}"
        where = "" if isinstance(v, Constant) else f"   from {v.origin}"
        lines.append(f"\n  {name} {v.type}{where}: {summary(a)}")
    return "".join(lines)


def summary(a: np.ndarray) -> str:
    """The values of an array in a few numbers."""
    if a.size <= 4:
        return str(a.tolist())
    if a.dtype.kind != "f":
        return f"{a.min()} to {a.max()}"
    finite = a[np.isfinite(a)]
    text = (
        "no finite value"
        if not finite.size
        else (f"{finite.min():.4g} to {finite.max():.4g}, mean {finite.mean(dtype='float64'):.4g}")
    )
    for count, what in ((int(np.isnan(a).sum()), "nan"), (int(np.isinf(a).sum()), "inf")):
        text += f", {count} {what}" if count else ""
    zeros = int((a == 0).sum())
    return text + (f", {zeros} of {a.size} are 0" if zeros else "")
