"""The CPU kernel of element-wise ops: one entry runs a program of instructions over blocks of elements.

A node is a program: a single op is a program of one instruction, FusedElementwise brings its own
(`program`, `outputs`). Here it becomes an ElementwiseParams struct with its tail.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cache
from typing import TYPE_CHECKING, Any

from symconv.graph import Apply, Kernel, Launch
from symconv.graph.params import kernel_dir, pack

if TYPE_CHECKING:
    from symconv.ops.elementwise_base import Elementwise

MAX_DIMS = 8
MAX_INPUTS = 32
MAX_OPS = 128

Program = tuple[tuple["Elementwise", tuple[int, ...]], ...]


@cache
def table(header: str, macro: str) -> dict[str, int]:
    """{name: code} of the lines `macro(name, ...)` of kernels/<header>."""
    text = re.sub(r"//[^\n]*", "", (kernel_dir() / header).read_text())
    names = re.findall(rf"^\s*{macro}\((\w+)", text, re.MULTILINE)
    return {name: code for code, name in enumerate(names)}


def dtype_code(dtype: str) -> int:
    return table("elementwise_ops.h", "DTYPE")[dtype]


def program_of(node: Apply) -> tuple[Program, tuple[int, ...]]:
    """The instructions of the node and which of their results are its outputs."""
    op: Any = node.op
    if hasattr(op, "program"):
        return op.program, op.outputs
    return ((op, tuple(range(len(node.inputs)))),), (0,)


def merged_dims(node: Apply) -> tuple[list[int], list[int]]:
    """The output's shape with neighbouring dimensions merged, and per input the bits of those it spans."""
    shape = node.out.type.shape
    spans: list[tuple[bool, ...]] = []
    for axis in range(len(shape)):
        at = axis - len(shape)
        spans.append(tuple(v.ndim >= -at and v.type.shape[at] != 1 for v in node.inputs))
    merged: list[int] = []
    kept: list[tuple[bool, ...]] = []
    for dim, span in zip(shape, spans):
        if dim == 1:
            continue
        if kept and kept[-1] == span:
            merged[-1] *= dim  # type: ignore[operator]
        else:
            merged.append(dim)  # type: ignore[arg-type]
            kept.append(span)
    bits = [sum(1 << d for d, span in enumerate(kept) if span[i]) for i in range(len(node.inputs))]
    return merged, bits


def _supports(node: Apply) -> str | None:
    program, _ = program_of(node)
    codes = table("elementwise_ops.h", "ELEMENTWISE_OP")
    for op, _args in program:
        if op.opcode not in codes:
            return f"{op.name} has no instruction {op.opcode!r}"
    if len(program) > MAX_OPS or len(node.inputs) > MAX_INPUTS:
        return f"{len(program)} instructions on {len(node.inputs)} inputs; at most {MAX_OPS} on {MAX_INPUTS}"
    dims, _bits = merged_dims(node)
    return f"{len(dims)} dimensions that do not merge; at most {MAX_DIMS}" if len(dims) > MAX_DIMS else None


def _launch(node: Apply) -> Launch:
    program, outputs = program_of(node)
    codes = table("elementwise_ops.h", "ELEMENTWISE_OP")
    shape, bits = merged_dims(node)
    dtypes = [v.dtype for v in node.inputs]
    places, n_slots = _places(program, outputs, len(node.inputs))
    tail = [pack("ElementwiseInput", dtype=dtype_code(d), dims=b) for d, b in zip(dtypes, bits)]
    for (op, args), place in zip(program, places):
        result = op.result_dtype(*(dtypes[a] for a in args))
        tail.append(
            pack(
                "ElementwiseOp", opcode=codes[op.opcode], operand_dtype=dtype_code(dtypes[args[-1]]),
                result_dtype=dtype_code(result), place=place, args=args, unused=0, immediate=op.immediate,
            )
        )  # fmt: skip
        dtypes.append(result)
    return Launch(
        pack(
            "ElementwiseParams", n_in=len(node.inputs), n_out=len(outputs), n_ops=len(program),
            n_slots=n_slots, ndim=len(shape), unused=0, shape=shape, tail=b"".join(tail),
        )
    )  # fmt: skip


def _places(program: Program, outputs: Sequence[int], n_in: int) -> tuple[list[int], int]:
    """Where each result goes: -1 - k for output k, else a scratch slot, reused after its last reader."""
    last = {a - n_in: i for i, (_, args) in enumerate(program) for a in args if a >= n_in}
    free: list[int] = []
    places: list[int] = []
    n_slots = 0
    for i, (_, args) in enumerate(program):
        if i in outputs:
            places.append(-1 - outputs.index(i))
        else:
            if not free:
                free.append(n_slots)
                n_slots += 1
            places.append(free.pop())
        for r in {a - n_in for a in args if a >= n_in} | {i}:
            if last.get(r, i) == i and places[r] >= 0:
                free.append(places[r])
    return places, n_slots


def inplace_pairs(node: Apply) -> tuple[tuple[int, int], ...]:
    """(output, input) of one type where nothing reads the input once the output is written."""
    program, outputs = program_of(node)
    last: dict[Any, int] = {}
    for i, (_, args) in enumerate(program):
        for a in args:
            if a < len(node.inputs):
                last[node.inputs[a]] = i
    return tuple(
        (k, j)
        for k, (r, out) in enumerate(zip(outputs, node.outputs))
        for j, v in enumerate(node.inputs)
        if v.type == out.type and last.get(v, -1) <= r
    )


ELEMENTWISE = Kernel(
    "elementwise", "cpu", "csrc/kernels/elementwise.cpp", "elementwise", _supports, _launch, inplace_pairs
)
